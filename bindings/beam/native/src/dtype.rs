//! Types of elements as terms, both ways. Numbers are as Nx writes them; what `Slipring.Tensor` says of the
//! others is said here.

use crate::atoms::{bool_, c, f, nan, nil, s, u};
use crate::error::Fault;
use rustler::types::tuple::{get_tuple, make_tuple};
use rustler::{Atom, Encoder, Env, Term};
use slipring_codec::format::ndarray::{
    ByteOrder, Descriptor, Dtype, Element, Field, Kind, LongDouble, MAX_NESTING, Missing,
    MissingValue, Order, Struct, Subarray, TimeUnit,
};

mod words {
    rustler::atoms! {
        little, big, ok, error,
        long_double, complex_long_double, datetime, timedelta, bytes, text, void, array, string,
        struct_ = "struct",
        name, title, offset, type_ = "type", byte_order, size, aligned, fields, coerce, missing, no,
    }
}

/// An element's type as a term, and its byte order.
pub(crate) fn term<'a>(env: Env<'a>, element: &Element) -> Result<(Term<'a>, Atom), Fault> {
    let unknown = || Fault::unreadable(format!("the dtype {element} has no tensor"), "$.head");
    let mut order = ByteOrder::Little;
    let of = match element {
        Element::Numeric(dtype) => {
            order = dtype.byte_order();
            let kind = match dtype.kind() {
                Kind::Bool => bool_(),
                Kind::Int => s(),
                Kind::Uint => u(),
                Kind::Float => f(),
                Kind::Complex => c(),
                _ => return Err(unknown()),
            };
            (kind, dtype.item_size() * 8).encode(env)
        }
        Element::LongDouble { format, complex, byte_order } => {
            order = *byte_order;
            let kind = if *complex { words::complex_long_double() } else { words::long_double() };
            (kind, format.name()).encode(env)
        }
        Element::Time { since_1970, unit, count, byte_order } => {
            order = *byte_order;
            let kind = if *since_1970 { words::datetime() } else { words::timedelta() };
            (kind, (*count, unit.name())).encode(env)
        }
        Element::Bytes { len } => (words::bytes(), *len).encode(env),
        Element::Text { len, byte_order } => {
            order = *byte_order;
            (words::text(), *len).encode(env)
        }
        Element::Void { len } => (words::void(), *len).encode(env),
        Element::Struct(of) => {
            let fields = of.fields().iter().map(|of| field(env, of));
            let fields: Vec<Term<'_>> = fields.collect::<Result<_, _>>()?;
            let said = Term::map_new(env)
                .map_put(words::size(), of.item_size())
                .and_then(|map| map.map_put(words::aligned(), of.is_aligned()))
                .and_then(|map| map.map_put(words::fields(), fields))
                .map_err(|_| unknown())?;
            (words::struct_(), said).encode(env)
        }
        Element::Subarray(of) => {
            let lengths: Vec<Term<'_>> = of.shape().iter().map(|n| n.encode(env)).collect();
            let (inner, order) = term(env, of.element())?;
            (words::array(), (make_tuple(env, &lengths), inner, order)).encode(env)
        }
        Element::String(of) => {
            let stands = match &of.value {
                MissingValue::No => words::no().encode(env),
                MissingValue::Null => nil().encode(env),
                MissingValue::Nan => nan().encode(env),
                MissingValue::Text(text) => text.encode(env),
            };
            let said = Term::map_new(env)
                .map_put(words::coerce(), of.coerce)
                .and_then(|map| map.map_put(words::missing(), stands))
                .map_err(|_| unknown())?;
            (words::string(), said).encode(env)
        }
        _ => return Err(unknown()),
    };
    Ok((of, order_term(order)))
}

fn order_term(order: ByteOrder) -> Atom {
    match order {
        ByteOrder::Little => words::little(),
        ByteOrder::Big => words::big(),
    }
}

fn field<'a>(env: Env<'a>, field: &Field) -> Result<Term<'a>, Fault> {
    let (of, order) = term(env, &field.element)?;
    Term::map_new(env)
        .map_put(words::name(), &*field.name)
        .and_then(|map| map.map_put(words::title(), field.title.as_deref()))
        .and_then(|map| map.map_put(words::offset(), field.offset))
        .and_then(|map| map.map_put(words::type_(), of))
        .and_then(|map| map.map_put(words::byte_order(), order))
        .map_err(|_| Fault::unreadable("a field has no term".into(), "$.head"))
}

/// The element of a type and a byte order; `None` for what is none.
pub(crate) fn parse(of: Term<'_>, order: Term<'_>) -> Option<Element> {
    // A subarray stands in a struct only.
    at(of, order, 0).filter(|element| !matches!(element, Element::Subarray(_)))
}

fn at(of: Term<'_>, order: Term<'_>, depth: usize) -> Option<Element> {
    if depth > MAX_NESTING {
        return None;
    }
    let (kind, said): (Atom, Term<'_>) = of.decode().ok()?;
    let order: Atom = order.decode().ok()?;
    let byte_order = match order {
        order if order == words::little() => ByteOrder::Little,
        order if order == words::big() => ByteOrder::Big,
        _ => return None,
    };
    let is = |word: Atom| kind == word;
    let len = || said.decode::<u32>().ok();
    if let Some(dtype) = said.decode().ok().and_then(|bits| number(kind, bits)) {
        return Some(dtype.with_byte_order(byte_order).into());
    }
    Some(if is(words::long_double()) || is(words::complex_long_double()) {
        let name: String = said.decode().ok()?;
        let format = [LongDouble::X87, LongDouble::Binary128];
        let format = format.into_iter().find(|format| format.name() == name)?;
        Element::LongDouble { format, complex: is(words::complex_long_double()), byte_order }
    } else if is(words::datetime()) || is(words::timedelta()) {
        let (count, unit): (u32, String) = said.decode().ok()?;
        let unit = TimeUnit::from_name(&unit)?;
        Element::Time { since_1970: is(words::datetime()), unit, count, byte_order }
    } else if is(words::bytes()) {
        Element::Bytes { len: len()? }
    } else if is(words::text()) {
        Element::Text { len: len()?, byte_order }
    } else if is(words::void()) {
        Element::Void { len: len()? }
    } else if is(words::struct_()) {
        let get = |key: Atom| said.map_get(key).ok();
        let fields: Vec<Term<'_>> = get(words::fields())?.decode().ok()?;
        let field = |term: &Term<'_>| {
            let get = |key: Atom| term.map_get(key).ok();
            let name: String = get(words::name())?.decode().ok()?;
            let title: Option<Option<String>> =
                get(words::title()).map(|title| title.decode().ok()).unwrap_or(Some(None));
            Some(Field {
                name: name.into(),
                title: title?.map(Into::into),
                offset: get(words::offset())?.decode().ok()?,
                element: at(get(words::type_())?, get(words::byte_order())?, depth + 1)?,
            })
        };
        let fields: Option<Vec<_>> = fields.iter().map(field).collect();
        let size = get(words::size())?.decode().ok()?;
        let aligned = get(words::aligned())?.decode().ok()?;
        Struct::new(fields?, size, aligned).ok()?.into()
    } else if is(words::array()) {
        let (shape, inner, order): (Term<'_>, Term<'_>, Term<'_>) = said.decode().ok()?;
        let lengths = get_tuple(shape).ok()?;
        let lengths: Option<Vec<u32>> = lengths.iter().map(|n| n.decode().ok()).collect();
        Subarray::new(at(inner, order, depth + 1)?, &lengths?).ok()?.into()
    } else if is(words::string()) {
        let stands = said.map_get(words::missing()).ok()?;
        let value = match stands.decode::<Atom>() {
            Ok(word) if word == words::no() => MissingValue::No,
            Ok(word) if word == nil() => MissingValue::Null,
            Ok(word) if word == nan() => MissingValue::Nan,
            _ => MissingValue::Text(stands.decode::<String>().ok()?.into()),
        };
        let coerce = said.map_get(words::coerce()).ok()?.decode().ok()?;
        Element::String(Missing { value, coerce }.into())
    } else {
        return None;
    })
}

fn number(kind: Atom, bits: u16) -> Option<Dtype> {
    let letter = [(s(), b'i'), (u(), b'u'), (f(), b'f'), (c(), b'c'), (bool_(), b'b')];
    let (_, letter) = letter.into_iter().find(|(atom, _)| *atom == kind)?;
    let code = (u16::from(letter) << 8) | (bits / 8);
    bits.is_multiple_of(8).then(|| Dtype::from_code(code)).flatten()
}

/// `{:ok, name}` of a type, as NumPy has it, or `:error`.
#[rustler::nif]
fn dtype<'a>(env: Env<'a>, of: Term<'a>, order: Term<'a>) -> Term<'a> {
    let array = parse(of, order).and_then(|of| Descriptor::new(of, Order::C, &[]).ok());
    match array {
        Some(array) => (words::ok(), array.element().to_string()).encode(env),
        None => words::error().encode(env),
    }
}
