//! Columns of Arrow's that are filled row by row: one for each field, by what its type is.

use super::class::Class;
use super::fail::{self, Outcome};
use super::plan::{Choice, Held, Id, Node, Plan, Temporal};
use super::{titled, unsuited};
use crate::value::fault::{Fault, type_name};
use arrow_buffer::{BooleanBufferBuilder, Buffer, NullBufferBuilder};
use arrow_data::ArrayData;
use arrow_schema::{ArrowError, DataType, Field, Fields, TimeUnit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyList;
use slipring_codec::error::Segment;
use std::collections::HashMap;
use std::sync::Arc;

/// Which of the columns.
pub(super) type Number = usize;

/// Digits of a Decimal's column, of 128 bits.
const DIGITS: u8 = 38;
/// One more than what they hold.
const BEYOND: i128 = 10i128.pow(DIGITS as u32);

/// The values of a column, or those that it is made of.
pub(super) enum Values {
    Bool(BooleanBufferBuilder),
    Int(Vec<i64>),
    Float(Vec<f64>),
    Text(Pieces),
    Bytes(Pieces),
    Uuid(Vec<u8>),
    Decimal(Decimals),
    /// Microseconds since 1970, and whether they have a zone, once one is known.
    Moment(Vec<i64>, Option<bool>),
    Date(Vec<i32>),
    Time(Vec<i64>),
    Delta(Vec<i64>),
    Choice(Choices),
    List(Ends, Number),
    /// Keys and values.
    Map(Ends, Number, Number),
    /// Names, and the column of each field.
    Struct(Vec<(String, Number)>),
}

pub(super) struct Column {
    pub(super) values: Values,
    nulls: NullBufferBuilder,
    is_nullable: bool,
}

/// Pieces of bytes behind each other.
#[derive(Default)]
pub(super) struct Pieces {
    bytes: Vec<u8>,
    ends: Ends,
}

impl Pieces {
    pub(super) fn push(&mut self, piece: &[u8]) {
        self.bytes.extend_from_slice(piece);
        self.ends.push(self.bytes.len());
    }
}

/// Where each element ends.
#[derive(Default)]
pub(super) struct Ends(Vec<i64>);

impl Ends {
    pub(super) fn push(&mut self, end: usize) {
        self.0.push(end as i64);
    }

    fn again(&mut self) {
        self.0.push(self.0.last().copied().unwrap_or(0));
    }

    /// Offsets, and whether they are wide.
    fn finish(self) -> (Buffer, bool) {
        let is_wide = self.0.last().is_some_and(|&end| i32::try_from(end).is_err());
        let all = [0].into_iter().chain(self.0);
        match is_wide {
            true => (Buffer::from_vec(all.collect::<Vec<i64>>()), true),
            false => (Buffer::from_vec(all.map(|end| end as i32).collect::<Vec<i32>>()), false),
        }
    }
}

/// Decimals while it is not known how many digits behind the point they need.
pub(super) struct Decimals {
    mantissas: Vec<i128>,
    scales: Vec<u8>,
    /// What was said of it.
    places: Option<u8>,
}

impl Decimals {
    /// Takes a number as Python writes it; `false` if it has too many digits.
    pub(super) fn push(&mut self, text: &[u8]) -> bool {
        let Some((mantissa, scale)) = parts(text) else { return false };
        if scale > self.places.unwrap_or(DIGITS) {
            return false;
        }
        self.mantissas.push(mantissa);
        self.scales.push(scale);
        true
    }

    fn finish(self) -> Option<(Vec<i128>, i8)> {
        let scale = self.places.or_else(|| self.scales.iter().copied().max()).unwrap_or(0);
        let mut all = self.mantissas;
        for (mantissa, own) in all.iter_mut().zip(self.scales) {
            let step = 10i128.pow(u32::from(scale - own));
            *mantissa = mantissa.checked_mul(step).filter(|n| n.abs() < BEYOND)?;
        }
        Some((all, scale as i8))
    }
}

/// Mantissa and digits behind the point of a finite number as Decimal writes it, if they are few enough.
fn parts(text: &[u8]) -> Option<(i128, u8)> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let mut exponent = 0i64;
    let (mut mantissa, mut behind, mut has_point) = (0i128, 0i64, false);
    for (at, &byte) in digits.iter().enumerate() {
        match byte {
            b'0'..=b'9' => {
                if mantissa >= BEYOND / 10 {
                    return None;
                }
                mantissa = mantissa * 10 + i128::from(byte - b'0');
                behind += i64::from(has_point);
            }
            b'.' if !has_point => has_point = true,
            // Small where the thread's context writes no capitals.
            b'E' | b'e' => {
                exponent = std::str::from_utf8(&digits[at + 1..]).ok()?.parse().ok()?;
                break;
            }
            _ => return None,
        }
    }
    let mut scale = behind - exponent;
    if mantissa == 0 {
        scale = scale.clamp(0, DIGITS.into());
    }
    while scale < 0 {
        mantissa = mantissa.checked_mul(10).filter(|n| *n < BEYOND)?;
        scale += 1;
    }
    let scale = u8::try_from(scale).ok().filter(|scale| *scale <= DIGITS)?;
    Some((if negative { -mantissa } else { mantissa }, scale))
}

/// Text of which there are few, by their numbers.
pub(super) struct Choices {
    numbers: Vec<i32>,
    texts: Vec<Box<str>>,
    by_text: HashMap<Box<str>, i32>,
}

impl Choices {
    fn of(choice: &Choice) -> Self {
        let mut made = Self { numbers: Vec::new(), texts: Vec::new(), by_text: HashMap::new() };
        for text in choice.items.iter().filter_map(|item| item.text.as_deref()) {
            made.number(&String::from_utf8_lossy(text));
        }
        made
    }

    fn number(&mut self, text: &str) -> i32 {
        if let Some(&known) = self.by_text.get(text) {
            return known;
        }
        let number = self.texts.len() as i32;
        self.texts.push(text.into());
        self.by_text.insert(text.into(), number);
        number
    }

    pub(super) fn push(&mut self, text: &str) {
        let number = self.number(text);
        self.numbers.push(number);
    }
}

/// The columns of a table, those within others included; 0 is the rows themselves.
pub(super) struct Columns(Vec<Column>);

/// The names of a NamedTuple's items.
pub(super) fn names(class: Borrowed<'_, '_, PyAny>) -> PyResult<Vec<String>> {
    class.getattr(intern!(class.py(), "_fields"))?.extract()
}

impl Columns {
    /// Columns for the objects of a plan, or of what the first one is.
    pub(super) fn of(plan: &Plan, objects: &Bound<'_, PyList>) -> Outcome<Self> {
        let py = objects.py();
        let mut columns = Self(Vec::new());
        match plan.bare(plan.root) {
            Node::Class(_) | Node::Tuple { class: Some(_), .. } => {
                columns.add(py, plan, plan.root, &mut Vec::new())?
            }
            _ => {
                let given = plan.target.bind(py);
                let (name, hint) = match (plan.bare(plan.root), objects.get_item(0)) {
                    (Node::Any, Ok(first)) => (type_name(&first), "make them dataclasses"),
                    (Node::List(_), _) => (titled(given)?, "give the type of one row"),
                    _ => (titled(given)?, "make them dataclasses"),
                };
                let what = format!("rows are objects of a class with fields, not of {name}");
                let hint = format!("{hint}: to_arrow(cls, objects) makes a column of each field");
                return Err(Fault::refused(what, name, &hint).into());
            }
        };
        Ok(columns)
    }

    pub(super) fn at(&mut self, number: Number) -> &mut Column {
        &mut self.0[number]
    }

    /// The column that a list's items go to.
    pub(super) fn items(&self, number: Number) -> Number {
        match self.0[number].values {
            Values::List(_, items) | Values::Map(_, items, _) => items,
            _ => number,
        }
    }

    /// The column that the item of this number goes to; `None` behind a NamedTuple's last one.
    pub(super) fn item(&self, number: Number, index: usize) -> Option<Number> {
        match &self.0[number].values {
            Values::Struct(fields) => fields.get(index).map(|&(_, number)| number),
            _ => Some(self.items(number)),
        }
    }

    /// The column that a map's values go to.
    pub(super) fn values(&self, number: Number) -> Number {
        match self.0[number].values {
            Values::Map(_, _, values) => values,
            _ => number,
        }
    }

    /// The column of a field.
    pub(super) fn field(&self, number: Number, position: usize) -> Number {
        match &self.0[number].values {
            Values::Struct(fields) => fields[position].1,
            _ => number,
        }
    }

    fn add(
        &mut self,
        py: Python<'_>,
        plan: &Plan,
        id: Id,
        within: &mut Vec<Id>,
    ) -> Outcome<Number> {
        let (mut id, mut is_nullable) = (id, false);
        while let node @ (Node::Same(_) | Node::Optional(_) | Node::Checked(_)) = plan.node(id) {
            id = match node {
                Node::Same(inner) => *inner,
                Node::Optional(inner) => {
                    is_nullable = true;
                    *inner
                }
                Node::Checked(checked) => checked.inner,
                _ => id,
            };
        }
        let number = self.0.len();
        let place = Values::Int(Vec::new());
        self.0.push(Column { values: place, nulls: NullBufferBuilder::new(0), is_nullable });
        let pieces = Pieces::default;
        let values = match plan.node(id) {
            Node::Bool => Values::Bool(BooleanBufferBuilder::new(0)),
            Node::Int => Values::Int(Vec::new()),
            Node::Float => Values::Float(Vec::new()),
            Node::Str => Values::Text(pieces()),
            Node::Bytes => Values::Bytes(pieces()),
            Node::Uuid => Values::Uuid(Vec::new()),
            Node::Delta => Values::Delta(Vec::new()),
            Node::Decimal { step, .. } => {
                let places = match step {
                    // A step is a one behind so many digits.
                    Some(step) => parts(step.bind(py).str()?.to_string_lossy().as_bytes()),
                    None => None,
                };
                let places = places.map(|(_, scale)| scale);
                Values::Decimal(Decimals { mantissas: Vec::new(), scales: Vec::new(), places })
            }
            Node::Temporal { which, .. } => match which {
                Temporal::DateTime => Values::Moment(Vec::new(), None),
                Temporal::Date => Values::Date(Vec::new()),
                Temporal::Time => Values::Time(Vec::new()),
            },
            Node::Choice(choice) => self.choice(py, choice, number)?,
            Node::List(inner)
            | Node::Set(inner)
            | Node::FrozenSet(inner)
            | Node::TupleOf(inner) => {
                Values::List(Ends::default(), self.add(py, plan, *inner, within)?)
            }
            Node::Dict(key, inner) => {
                let key = self.add(py, plan, *key, within)?;
                if self.0[key].is_nullable {
                    return Err(unsuited("keys of a map can't be None"));
                }
                Values::Map(Ends::default(), key, self.add(py, plan, *inner, within)?)
            }
            Node::Class(class) => self.class(py, plan, class, id, within)?,
            Node::Any => return Err(unsuited("of a field of any type there is no column")),
            Node::None => return Err(unsuited("of nothing but None there is no column")),
            Node::Union(_) => return Err(unsuited("of several types there is no column")),
            Node::Tuple { items, class: Some(class), .. } => {
                self.named(py, plan, items, *class, id, within)?
            }
            Node::Tuple { .. } => {
                return Err(unsuited("of a tuple of its own types there is no column"));
            }
            Node::Registered { .. } => {
                return Err(unsuited("of a registered type there is no column"));
            }
            Node::Array { .. } => return Err(unsuited("of arrays there is no column")),
            Node::Same(_) | Node::Optional(_) | Node::Checked(_) => {
                return Err(unsuited("of nothing but None there is no column"));
            }
        };
        self.0[number].values = values;
        Ok(number)
    }

    /// Text by its number; numbers and truth as such.
    fn choice(&mut self, py: Python<'_>, choice: &Choice, number: Number) -> Outcome<Values> {
        let mut kinds = Vec::new();
        for item in &choice.items {
            let outer = item.outer.bind(py);
            match outer.is_none() {
                true => self.0[number].is_nullable = true,
                false => kinds.push(outer.get_type().name()?.to_string()),
            }
        }
        let all = |name: &str| kinds.iter().all(|kind| kind == name);
        Ok(match () {
            () if all("str") => Values::Choice(Choices::of(choice)),
            () if all("bool") => Values::Bool(BooleanBufferBuilder::new(0)),
            () if all("int") => Values::Int(Vec::new()),
            () if kinds.iter().all(|kind| kind == "int" || kind == "float") => {
                Values::Float(Vec::new())
            }
            () => return Err(unsuited("of choices of several types there is no column")),
        })
    }

    fn class(
        &mut self,
        py: Python<'_>,
        plan: &Plan,
        class: &Class,
        id: Id,
        within: &mut Vec<Id>,
    ) -> Outcome<Values> {
        let stored = class.fields.iter().filter(|field| field.stored);
        let parts = stored.map(|field| {
            // Of a dict the key may be missing.
            let may_miss = class.is_dict() && !field.required;
            (String::from_utf8_lossy(&field.key_text).into_owned(), field.node, may_miss)
        });
        self.structure(py, plan, parts, id, within)
    }

    /// A NamedTuple, whose fields are in the order of its items.
    fn named(
        &mut self,
        py: Python<'_>,
        plan: &Plan,
        items: &[Id],
        class: Held,
        id: Id,
        within: &mut Vec<Id>,
    ) -> Outcome<Values> {
        let names = names(class.bind(py))?.into_iter();
        let parts = names.zip(items).map(|(name, &item)| (name, item, false));
        self.structure(py, plan, parts, id, within)
    }

    /// Parts by their names and types, each with whether it may be missing.
    fn structure(
        &mut self,
        py: Python<'_>,
        plan: &Plan,
        parts: impl Iterator<Item = (String, Id, bool)>,
        id: Id,
        within: &mut Vec<Id>,
    ) -> Outcome<Values> {
        if within.contains(&id) {
            return Err(unsuited("of a type that contains itself there is no column"));
        }
        within.push(id);
        let mut fields = Vec::new();
        for (name, item, may_miss) in parts {
            let number = self.add(py, plan, item, within);
            let number = number.map_err(|failed| failed.within(Segment::key(&name)))?;
            self.0[number].is_nullable |= may_miss;
            fields.push((name, number));
        }
        within.pop();
        Ok(Values::Struct(fields))
    }

    /// A row, or a part of one, that is null; all that is in it is, too.
    pub(super) fn push_null(&mut self, number: Number) {
        let column = &mut self.0[number];
        column.nulls.append_null();
        match &mut column.values {
            Values::Bool(bits) => bits.append(false),
            Values::Int(all) | Values::Time(all) | Values::Delta(all) | Values::Moment(all, _) => {
                all.push(0);
            }
            Values::Float(all) => all.push(0.0),
            Values::Text(pieces) | Values::Bytes(pieces) => pieces.ends.again(),
            Values::Uuid(all) => all.extend([0; 16]),
            Values::Decimal(all) => {
                all.mantissas.push(0);
                all.scales.push(0);
            }
            Values::Date(all) => all.push(0),
            Values::Choice(choices) => choices.numbers.push(0),
            Values::List(ends, _) | Values::Map(ends, ..) => ends.again(),
            Values::Struct(fields) => {
                let fields: Vec<_> = fields.iter().map(|&(_, number)| number).collect();
                fields.into_iter().for_each(|number| self.push_null(number));
            }
        }
    }

    /// Ends a list of so many items, which for a NamedTuple must be all.
    pub(super) fn end_items(&mut self, number: Number, count: usize) -> bool {
        match &self.0[number].values {
            Values::Struct(fields) if fields.len() != count => return false,
            Values::Struct(_) => self.0[number].is_there(),
            _ => self.end(number),
        }
        true
    }

    /// Ends a list or a map: as many items belong to it as there are behind the last one.
    pub(super) fn end(&mut self, number: Number) {
        let len = self.0[self.items(number)].nulls.len();
        let column = &mut self.0[number];
        if let Values::List(ends, _) | Values::Map(ends, ..) = &mut column.values {
            ends.push(len);
        }
        column.nulls.append_non_null();
    }

    /// Fields and columns of the rows.
    pub(super) fn finish(mut self) -> Outcome<(Fields, usize, Vec<ArrayData>)> {
        let len = self.0[0].nulls.len();
        let fields = std::mem::replace(&mut self.0[0].values, Values::Int(Vec::new()));
        let Values::Struct(fields) = fields else { return fail::no_object() };
        let (fields, columns) = self.all(fields)?;
        Ok((fields, len, columns))
    }

    fn all(&mut self, fields: Vec<(String, Number)>) -> Outcome<(Fields, Vec<ArrayData>)> {
        let (mut made, mut columns) = (Vec::new(), Vec::new());
        for (name, number) in fields {
            let one = self.one(&name, number);
            let (field, data) = one.map_err(|failed| failed.within(Segment::key(&name)))?;
            made.push(field);
            columns.push(data);
        }
        Ok((made.into(), columns))
    }

    fn one(&mut self, name: &str, number: Number) -> Outcome<(Field, ArrayData)> {
        let column = &mut self.0[number];
        let (len, is_nullable) = (column.nulls.len(), column.is_nullable);
        let nulls = column.nulls.finish();
        let values = std::mem::replace(&mut column.values, Values::Int(Vec::new()));
        let wide = |ends: Ends, narrow, wide| {
            let (offsets, is_wide) = ends.finish();
            (if is_wide { wide } else { narrow }, offsets)
        };
        let mut children = Vec::new();
        let mut extension = None;
        let (data_type, buffers) = match values {
            Values::Bool(mut bits) => (DataType::Boolean, vec![bits.finish().into_inner()]),
            Values::Int(all) => (DataType::Int64, vec![Buffer::from_vec(all)]),
            Values::Float(all) => (DataType::Float64, vec![Buffer::from_vec(all)]),
            Values::Text(pieces) => {
                let (data_type, ends) = wide(pieces.ends, DataType::Utf8, DataType::LargeUtf8);
                (data_type, vec![ends, Buffer::from_vec(pieces.bytes)])
            }
            Values::Bytes(pieces) => {
                let (data_type, ends) = wide(pieces.ends, DataType::Binary, DataType::LargeBinary);
                (data_type, vec![ends, Buffer::from_vec(pieces.bytes)])
            }
            Values::Uuid(all) => {
                extension = Some("arrow.uuid");
                (DataType::FixedSizeBinary(16), vec![Buffer::from_vec(all)])
            }
            Values::Decimal(decimals) => {
                let Some((all, scale)) = decimals.finish() else {
                    return Err(unsuited("together the Decimals need more than 38 digits"));
                };
                (DataType::Decimal128(DIGITS, scale), vec![Buffer::from_vec(all)])
            }
            Values::Moment(all, is_aware) => {
                let zone = (is_aware == Some(true)).then(|| Arc::from("UTC"));
                (DataType::Timestamp(TimeUnit::Microsecond, zone), vec![Buffer::from_vec(all)])
            }
            Values::Date(all) => (DataType::Date32, vec![Buffer::from_vec(all)]),
            Values::Time(all) => {
                (DataType::Time64(TimeUnit::Microsecond), vec![Buffer::from_vec(all)])
            }
            Values::Delta(all) => {
                (DataType::Duration(TimeUnit::Microsecond), vec![Buffer::from_vec(all)])
            }
            Values::Choice(choices) => {
                let mut pieces = Pieces::default();
                choices.texts.iter().for_each(|text| pieces.push(text.as_bytes()));
                let ends = pieces.ends.finish().0;
                let texts = ArrayData::builder(DataType::Utf8).len(choices.texts.len());
                let texts = texts.add_buffer(ends).add_buffer(Buffer::from_vec(pieces.bytes));
                children.push(texts.build().map_err(impossible)?);
                let key = Box::new(DataType::Int32);
                let data_type = DataType::Dictionary(key, Box::new(DataType::Utf8));
                (data_type, vec![Buffer::from_vec(choices.numbers)])
            }
            Values::List(ends, items) => {
                let (field, data) = self.one("item", items)?;
                children.push(data);
                let field = Arc::new(field);
                let large = DataType::LargeList(Arc::clone(&field));
                let (data_type, ends) = wide(ends, DataType::List(field), large);
                (data_type, vec![ends])
            }
            Values::Map(ends, keys, values) => {
                let pair = vec![("key".to_owned(), keys), ("value".to_owned(), values)];
                let (fields, columns) = self.all(pair)?;
                let entries = DataType::Struct(fields);
                let len = columns[0].len();
                let data = ArrayData::builder(entries.clone()).len(len).child_data(columns);
                children.push(data.build().map_err(impossible)?);
                let (ends, is_wide) = ends.finish();
                if is_wide {
                    return Err(unsuited("together the maps have more than 2^31 entries"));
                }
                let field = Arc::new(Field::new("entries", entries, false));
                (DataType::Map(field, false), vec![ends])
            }
            Values::Struct(fields) => {
                let (fields, columns) = self.all(fields)?;
                children = columns;
                (DataType::Struct(fields), vec![])
            }
        };
        let mut field = Field::new(name, data_type.clone(), is_nullable);
        if let Some(extension) = extension {
            let told = [("ARROW:extension:name".to_owned(), extension.to_owned())];
            field = field.with_metadata(told);
        }
        let data = ArrayData::builder(data_type).len(len).nulls(nulls).buffers(buffers);
        Ok((field, data.child_data(children).build().map_err(impossible)?))
    }
}

/// What was filled row by row has columns of one length, and offsets that rise.
#[cold]
fn impossible(error: ArrowError) -> Box<fail::Fail> {
    pyo3::exceptions::PyRuntimeError::new_err(error.to_string()).into()
}

impl Column {
    /// After a value was put in.
    pub(super) fn is_there(&mut self) {
        self.nulls.append_non_null();
    }
}
