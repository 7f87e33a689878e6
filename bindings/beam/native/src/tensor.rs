//! Tensors: a `Slipring.Tensor` that is sent, with the types written as Nx writes them, and one that has
//! arrived, as `{data, shape, {kind, bits}, order, byte_order}`, of which the struct is made.

use crate::atoms;
use crate::error::Fault;
use crate::value::terms::{self, Word};
use crate::value::{array, names};
use rustler::{Atom, Binary, Env, Term};
use slipring_codec::format::ndarray::{ByteOrder, Descriptor, Dtype, Order};

/// A tensor to be sent.
pub(crate) struct Tensor<'a> {
    pub(crate) data: Binary<'a>,
    pub(crate) descriptor: Descriptor,
}

const HINT: &str = "give data as a binary, shape as a tuple of lengths, type as {:s | :u, 8 | 16 | \
                    32 | 64}, {:f, 16 | 32 | 64}, {:c, 64 | 128} or {:bool, 8}, order as :c or \
                    :fortran, byte_order as :little or :big";

/// Why a struct is no tensor: the field, if it is one, what is wrong, and what to do.
pub(crate) type Wrong = (Option<&'static str>, String, &'static str);

impl<'a> Tensor<'a> {
    /// Reads a `Slipring.Tensor`.
    pub(crate) fn of_struct(env: Env<'a>, map: Word<'a>) -> Result<Self, Wrong> {
        let wrong = |field: &'static str| {
            let what = format!("the tensor's {field} can't be used");
            (Some(field), what, HINT)
        };
        let field = |name: &'static str, atom: Atom| {
            terms::get(env, map, atom.into()).map(|word| word.term(env)).ok_or_else(|| wrong(name))
        };
        let data = field("data", names::data())?;
        let data = Binary::from_term(data).map_err(|_| wrong("data"))?;
        let shape = rustler::types::tuple::get_tuple(field("shape", names::shape())?)
            .and_then(|lengths| {
                lengths.into_iter().map(|n| n.decode::<u64>()).collect::<Result<Vec<_>, _>>()
            })
            .map_err(|_| wrong("shape"))?;
        let dtype = field("type", names::type_())?
            .decode::<(Atom, u16)>()
            .ok()
            .and_then(|(kind, bits)| dtype(kind, bits))
            .ok_or_else(|| wrong("type"))?;
        let byte_order = field("byte_order", names::byte_order())?;
        let big = one_of(byte_order, atoms::little(), atoms::big());
        let big = big.ok_or_else(|| wrong("byte_order"))?;
        let order = one_of(field("order", names::order())?, atoms::c(), atoms::fortran());
        let order = if order.ok_or_else(|| wrong("order"))? { Order::F } else { Order::C };
        let byte_order = if big { ByteOrder::Big } else { ByteOrder::Little };
        let descriptor = Descriptor::new(dtype.with_byte_order(byte_order), order, &shape)
            .map_err(|error| (None, error.kind().to_string(), error.hint()))?;
        if descriptor.byte_len() != data.len() {
            let what = format!(
                "the shape and type of the tensor make {} bytes, its data has {}",
                descriptor.byte_len(),
                data.len()
            );
            return Err((Some("data"), what, "give as many elements as the shape says"));
        }
        Ok(Self { data, descriptor })
    }

    /// The same, as an array frame.
    pub(crate) fn parse(env: Env<'a>, map: Word<'a>) -> Result<Self, Fault> {
        Self::of_struct(env, map).map_err(|(field, what, hint)| {
            let path = field.map_or("$".to_owned(), |field| format!("$.{field}"));
            Fault::unsendable(&what, &path, "Slipring.Tensor", hint)
        })
    }
}

/// `false` for the first atom, `true` for the second.
fn one_of(term: Term<'_>, first: Atom, second: Atom) -> Option<bool> {
    let atom = Atom::from_term(term).ok()?;
    if atom == first { Some(false) } else { (atom == second).then_some(true) }
}

fn dtype(kind: Atom, bits: u16) -> Option<Dtype> {
    let letter = [
        (atoms::s(), b'i'),
        (atoms::u(), b'u'),
        (atoms::f(), b'f'),
        (atoms::c(), b'c'),
        (atoms::bool_(), b'b'),
    ];
    let (_, letter) = letter.into_iter().find(|(atom, _)| *atom == kind)?;
    bits.is_multiple_of(8)
        .then(|| Dtype::from_code((u16::from(letter) << 8) | (bits / 8)))
        .flatten()
}

/// A tensor that has arrived, with its data as a term.
pub(crate) fn term<'a>(
    env: Env<'a>,
    array: &Descriptor,
    data: Term<'a>,
) -> Result<Term<'a>, Fault> {
    let facts = array::facts(env, array).ok_or_else(|| {
        Fault::unreadable(format!("the dtype {} has no tensor", array.dtype()), "$.head")
    })?;
    let [shape, kind, order, byte_order] = facts;
    Ok(terms::make_tuple(env, &[data.into(), shape, kind, order, byte_order]).term(env))
}
