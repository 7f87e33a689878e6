//! Columns: an array of Arrow's in a frame as a `Slipring.Column`, and such a struct as an array again.
//!
//! A struct may have been made by anybody, and the bytes of one that lies in a frame may change at any time. So an
//! [`Array`] promises only what can't change: its buffers, which are binaries, are long enough for its elements. What
//! stands in them is checked by who uses it.

use super::names as n;
use super::types;
use crate::atoms;
use crate::error::Fault;
use crate::value::terms::{self, Word};
use arrow_schema::{DataType, Field, UnionMode};
use rustler::{Encoder, Env, Term};
use slipring_codec::error::{Path, Segment as Step};
use slipring_codec::format::arrow::{self, children_of};
use slipring_codec::infer;
use std::ops::Range;

/// Elements that an array may claim, as the codec has it.
const MOST: u64 = 1 << 48;
const UUID_TYPE: DataType = DataType::FixedSizeBinary(16);

/// A binary, and its bytes.
#[derive(Clone, Copy)]
pub(crate) struct Bytes<'a> {
    pub(crate) word: Word<'a>,
    pub(crate) bytes: &'a [u8],
}

/// An array whose buffers are as long as its type and length ask for, children and values included. Its first element is the
/// first of its buffers.
pub(crate) struct Array<'a> {
    /// The struct.
    pub(crate) word: Word<'a>,
    pub(crate) data_type: DataType,
    /// Whether its field says that they are UUIDs.
    pub(crate) is_uuid: bool,
    pub(crate) len: usize,
    /// None where the type has none, whatever the struct says.
    pub(crate) validity: Option<Bytes<'a>>,
    /// Elements, bits, indices, type ids or views; of texts and bytes what the offsets point to.
    pub(crate) data: Bytes<'a>,
    pub(crate) offsets: Bytes<'a>,
    pub(crate) sizes: Bytes<'a>,
    /// What views point to.
    pub(crate) buffers: Vec<Bytes<'a>>,
    pub(crate) children: Vec<Array<'a>>,
    pub(crate) dictionary: Option<Box<Array<'a>>>,
}

/// Why a term is no column: what, and where from the column on.
pub(crate) struct Wrong {
    pub(crate) what: String,
    pub(crate) path: Path,
}

impl Wrong {
    #[cold]
    fn new(what: impl Into<String>, field: &str) -> Self {
        let mut path = Path::default();
        path.enclose(Step::key(field));
        Wrong { what: what.into(), path }
    }

    #[cold]
    pub(crate) fn within(mut self, step: Step) -> Self {
        self.path.enclose(step);
        self
    }
}

impl From<Wrong> for Fault {
    fn from(Wrong { what, path }: Wrong) -> Self {
        Fault::no_column(&what, &path.to_string())
    }
}

/// How wide the offsets of a type are.
pub(crate) fn offset_width(data_type: &DataType) -> usize {
    use DataType::*;
    match data_type {
        LargeUtf8 | LargeBinary | LargeList(_) | LargeListView(_) => 8,
        _ => 4,
    }
}

/// How many bytes the elements of a type have, where all have as many.
fn width(data_type: &DataType) -> Option<usize> {
    match data_type {
        DataType::FixedSizeBinary(width) => Some(*width as usize),
        DataType::Dictionary(key, _) => key.primitive_width(),
        DataType::Utf8View | DataType::BinaryView => Some(16),
        DataType::Union(..) => Some(1),
        other => other.primitive_width(),
    }
}

/// A number of 4 or 8 bytes with a sign.
#[inline]
pub(crate) fn signed(bytes: &[u8], width: usize, index: usize) -> i64 {
    if width == 4 {
        bytes.as_chunks::<4>().0.get(index).map_or(-1, |&bytes| i32::from_le_bytes(bytes).into())
    } else {
        bytes.as_chunks::<8>().0.get(index).map_or(-1, |&bytes| i64::from_le_bytes(bytes))
    }
}

#[inline]
pub(crate) fn bit(bits: &[u8], at: usize) -> bool {
    bits[at / 8] >> (at % 8) & 1 == 1
}

impl<'a> Array<'a> {
    #[inline]
    pub(crate) fn is_valid(&self, row: usize) -> bool {
        self.validity.is_none_or(|bits| bit(bits.bytes, row))
    }

    /// The place of a list's items in its child, or of a text in the data, as far as there is such a place.
    #[inline]
    pub(crate) fn span(&self, row: usize, limit: usize) -> Option<Range<usize>> {
        let width = offset_width(&self.data_type);
        let start = signed(self.offsets.bytes, width, row);
        let end = match self.data_type {
            DataType::ListView(_) | DataType::LargeListView(_) => {
                let size = signed(self.sizes.bytes, width, row);
                if size < 0 { None } else { start.checked_add(size) }
            }
            _ => Some(signed(self.offsets.bytes, width, row + 1)),
        };
        let (start, end) = (usize::try_from(start).ok()?, usize::try_from(end?).ok()?);
        (start <= end && end <= limit).then_some(start..end)
    }

    /// Reads a `Slipring.Column`.
    pub(crate) fn parse(env: Env<'a>, column: Word<'a>) -> Result<(Field, Array<'a>), Wrong> {
        let field = field(env, column)?;
        let array = Self::of_field(env, column, &field)?;
        Ok((field, array))
    }

    fn of_field(env: Env<'a>, column: Word<'a>, field: &Field) -> Result<Array<'a>, Wrong> {
        let mut array = Self::of(env, column, field.data_type())?;
        let says = |name: &str| *field.data_type() == UUID_TYPE && name == infer::UUID;
        array.is_uuid = field.metadata().get(infer::EXTENSION).is_some_and(|name| says(name));
        Ok(array)
    }

    fn of(env: Env<'a>, column: Word<'a>, data_type: &DataType) -> Result<Array<'a>, Wrong> {
        use DataType::*;
        let len = get(env, column, n::length(), "length")?;
        let len = terms::uint(env, len).filter(|&len| len <= MOST);
        let len = len.ok_or_else(|| Wrong::new("no number of elements", "length"))? as usize;
        let buffer = |name: rustler::Atom, field: &str, needed: Option<usize>| {
            let word = get(env, column, name, field)?;
            let bytes = match word == Word::from(atoms::nil()) {
                true => Some(&[][..]),
                false => terms::bytes(env, word),
            };
            let bytes = bytes.ok_or_else(|| Wrong::new("neither a binary nor nil", field))?;
            let needed = needed.ok_or_else(|| Wrong::new("more than an address can say", field))?;
            if bytes.len() < needed {
                let what = format!("{} bytes, where {needed} are needed", bytes.len());
                return Err(Wrong::new(what, field));
            }
            Ok(Bytes { word, bytes })
        };
        let validity = match data_type {
            Null | Union(..) | RunEndEncoded(..) => None,
            _ => match get(env, column, n::validity(), "validity")? {
                word if word == atoms::nil().into() => None,
                _ => Some(buffer(n::validity(), "validity", Some(len.div_ceil(8)))?),
            },
        };
        let needed = match data_type {
            Boolean => Some(len.div_ceil(8)),
            other => match width(other) {
                Some(width) => len.checked_mul(width),
                None => Some(0),
            },
        };
        let data = buffer(n::data(), "data", needed)?;
        let wide = offset_width(data_type);
        let (offsets, sizes) = match data_type {
            Utf8 | Binary | LargeUtf8 | LargeBinary | List(_) | LargeList(_) | Map(..) => {
                (if len == 0 { 0 } else { (len + 1) * wide }, 0)
            }
            ListView(_) | LargeListView(_) => (len * wide, len * wide),
            Union(_, UnionMode::Dense) => (len * 4, 0),
            _ => (0, 0),
        };
        let offsets = buffer(n::offsets(), "offsets", Some(offsets))?;
        let sizes = buffer(n::sizes(), "sizes", Some(sizes))?;
        let mut array = Array {
            word: column,
            data_type: data_type.clone(),
            is_uuid: false,
            len,
            validity,
            data,
            offsets,
            sizes,
            buffers: Vec::new(),
            children: Vec::new(),
            dictionary: None,
        };
        if matches!(data_type, Utf8View | BinaryView) {
            for (number, word) in
                list(env, column, n::buffers(), "buffers")?.into_iter().enumerate()
            {
                let bytes = terms::bytes(env, word).ok_or_else(|| {
                    let wrong = Wrong { what: "no binary".into(), path: Path::default() };
                    wrong.within(Step::Index(number)).within(Step::key("buffers"))
                })?;
                array.buffers.push(Bytes { word, bytes });
            }
        }
        let children = |fields: Vec<(&Field, usize)>| -> Result<Vec<Array<'a>>, Wrong> {
            let words = list(env, column, n::children(), "children")?;
            if words.len() != fields.len() {
                let what = format!("{} columns, where {} are needed", words.len(), fields.len());
                return Err(Wrong::new(what, "children"));
            }
            let child = |(word, (field, least)): (Word<'a>, (&Field, usize))| {
                let child = Self::of_field(env, word, field);
                let child = child.map_err(|wrong| wrong.within(Step::key(field.name())))?;
                if child.len < least {
                    let what = format!("{} elements, where {least} are needed", child.len);
                    return Err(Wrong::new(what, field.name()));
                }
                Ok(child)
            };
            words.into_iter().zip(fields).map(child).collect()
        };
        array.children = match data_type {
            List(field)
            | LargeList(field)
            | ListView(field)
            | LargeListView(field)
            | Map(field, _) => children(vec![(field, 0)])?,
            FixedSizeList(field, size) => {
                let least = len.checked_mul(*size as usize);
                let least = least.filter(|&least| least as u64 <= MOST);
                let least = least.ok_or_else(|| Wrong::new("too many", "length"))?;
                children(vec![(field, least)])?
            }
            Struct(fields) => children(fields.iter().map(|field| (&**field, len)).collect())?,
            Union(fields, mode) => {
                let least = if *mode == UnionMode::Sparse { len } else { 0 };
                children(fields.iter().map(|(_, field)| (&**field, least)).collect())?
            }
            RunEndEncoded(ends, values) => {
                let made = children(vec![(ends, 0), (values, 0)])?;
                if made[1].len < made[0].len {
                    let what = format!("{} values of {} runs", made[1].len, made[0].len);
                    return Err(Wrong::new(what, values.name()));
                }
                made
            }
            _ => Vec::new(),
        };
        if let Dictionary(_, values) = data_type {
            let dictionary = get(env, column, n::dictionary(), "dictionary")?;
            let dictionary = Self::of(env, dictionary, values);
            let dictionary = dictionary.map_err(|wrong| wrong.within(Step::key("dictionary")))?;
            array.dictionary = Some(Box::new(dictionary));
        }
        Ok(array)
    }

    /// Bytes of all its buffers.
    pub(crate) fn size(&self) -> usize {
        let own = self.validity.map_or(0, |bits| bits.bytes.len())
            + self.data.bytes.len()
            + self.offsets.bytes.len()
            + self.sizes.bytes.len();
        let buffers: usize = self.buffers.iter().map(|buffer| buffer.bytes.len()).sum();
        let children: usize = self.children.iter().map(Array::size).sum();
        own + buffers + children + self.dictionary.as_ref().map_or(0, |values| values.size())
    }
}

fn get<'a>(
    env: Env<'a>,
    column: Word<'a>,
    name: rustler::Atom,
    field: &str,
) -> Result<Word<'a>, Wrong> {
    terms::get(env, column, name.into())
        .ok_or_else(|| Wrong::new("no Slipring.Column: this field is missing", field))
}

fn list<'a>(
    env: Env<'a>,
    column: Word<'a>,
    name: rustler::Atom,
    field: &str,
) -> Result<Vec<Word<'a>>, Wrong> {
    let mut rest = get(env, column, name, field)?;
    let mut items = Vec::new();
    while let Some((head, tail)) = terms::cell(env, rest) {
        items.push(head);
        rest = tail;
    }
    match terms::is_nil_list(env, rest) {
        true => Ok(items),
        false => Err(Wrong::new("no list", field)),
    }
}

/// The field of a column: its name, type and metadata.
pub(crate) fn field<'a>(env: Env<'a>, column: Word<'a>) -> Result<Field, Wrong> {
    let wrong = |field: &'static str| Wrong::new("this can't be used", field);
    let term = |name, field: &str| get(env, column, name, field).map(|word| word.term(env));
    let name: String = term(n::name(), "name")?.decode().map_err(|_| wrong("name"))?;
    let of = term(n::type_(), "type")?;
    let data_type = types::parse(of).ok_or_else(|| wrong("type"))?;
    let ordered = term(n::ordered(), "ordered")?.decode().map_err(|_| wrong("ordered"))?;
    let nullable = term(n::nullable(), "nullable")?;
    let metadata = term(n::metadata(), "metadata")?;
    types::parse_field(&name, data_type, nullable, ordered, metadata)
        .ok_or_else(|| wrong("metadata"))
}

/// What a column is made of, as terms.
pub(crate) struct Parts<'a> {
    pub(crate) len: usize,
    pub(crate) null_count: usize,
    pub(crate) validity: Word<'a>,
    pub(crate) data: Word<'a>,
    pub(crate) offsets: Word<'a>,
    pub(crate) sizes: Word<'a>,
    pub(crate) buffers: Vec<Word<'a>>,
    pub(crate) children: Vec<Word<'a>>,
    pub(crate) dictionary: Word<'a>,
}

impl<'a> Parts<'a> {
    /// Of no elements.
    pub(crate) fn new() -> Self {
        let nil = Word::from(atoms::nil());
        Parts {
            len: 0,
            null_count: 0,
            validity: nil,
            data: nil,
            offsets: nil,
            sizes: nil,
            buffers: Vec::new(),
            children: Vec::new(),
            dictionary: nil,
        }
    }

    /// The struct.
    pub(crate) fn column(mut self, env: Env<'a>, field: &Field) -> Word<'a> {
        let word = |term: Term<'a>| Word::from(term);
        if self.data == atoms::nil().into() {
            self.data = terms::make_binary(env, b"");
        }
        let ordered = field.dict_is_ordered() == Some(true);
        let pairs = [
            (atoms::struct_(), Word::from(n::column_module())),
            (n::name(), terms::make_binary(env, field.name().as_bytes())),
            (n::type_(), word(types::term(env, field.data_type()))),
            (n::nullable(), word(field.is_nullable().encode(env))),
            (n::ordered(), word(ordered.encode(env))),
            (n::metadata(), word(types::metadata(env, field))),
            (n::length(), terms::make_uint(env, self.len as u64)),
            (n::null_count(), terms::make_uint(env, self.null_count as u64)),
            (n::validity(), self.validity),
            (n::data(), self.data),
            (n::offsets(), self.offsets),
            (n::sizes(), self.sizes),
            (n::buffers(), terms::make_list(env, &self.buffers)),
            (n::children(), terms::make_list(env, &self.children)),
            (n::dictionary(), self.dictionary),
        ];
        let keys = pairs.map(|(key, _)| Word::from(key));
        let values = pairs.map(|(_, value)| value);
        // No key stands twice.
        terms::make_map(env, &keys, &values).unwrap_or(atoms::nil().into())
    }
}

/// A column that lies in a frame; `view` makes a binary of a place in it.
pub(crate) fn of_frame<'a>(
    env: Env<'a>,
    field: &Field,
    column: &arrow::Column,
    view: &dyn Fn(Range<usize>) -> Word<'a>,
) -> Word<'a> {
    use DataType::*;
    let len = column.len;
    // Writers may fill buffers up: what is behind the last element is nobody's.
    let cut = |place: &Range<usize>, needed: usize| {
        view(place.start..place.end.min(place.start + needed))
    };
    let mut parts = Parts::new();
    (parts.len, parts.null_count) = (len, column.null_count);
    if let Some(place) = &column.validity {
        parts.validity = cut(place, len.div_ceil(8));
    }
    let wide = offset_width(&column.data_type);
    let buffers = &column.buffers[..];
    match &column.data_type {
        Boolean => parts.data = cut(&buffers[0], len.div_ceil(8)),
        Utf8 | Binary | LargeUtf8 | LargeBinary => {
            parts.offsets = cut(&buffers[0], (len + 1) * wide);
            parts.data = view(buffers[1].clone());
        }
        List(_) | LargeList(_) | Map(..) => parts.offsets = cut(&buffers[0], (len + 1) * wide),
        ListView(_) | LargeListView(_) => {
            parts.offsets = cut(&buffers[0], len * wide);
            parts.sizes = cut(&buffers[1], len * wide);
        }
        Union(..) => {
            parts.data = cut(&buffers[0], len);
            if let Some(offsets) = buffers.get(1) {
                parts.offsets = cut(offsets, len * 4);
            }
        }
        other => {
            if let (Some(place), Some(width)) = (buffers.first(), width(other)) {
                // Its buffer has as many, as was checked.
                parts.data = cut(place, len * width);
            }
            parts.buffers = buffers.iter().skip(1).map(|place| view(place.clone())).collect();
        }
    }
    let child = |(child, field): (&arrow::Column, &Field)| of_frame(env, field, child, view);
    let fields = children_of(&column.data_type);
    parts.children = column.children.iter().zip(fields).map(child).collect();
    if let (Some(values), Dictionary(_, of)) = (&column.dictionary, &column.data_type) {
        parts.dictionary = of_frame(env, &values_field(of), values, view);
    }
    parts.column(env, field)
}

/// What the values of a dictionary are called, which are no field.
pub(crate) fn values_field(of: &DataType) -> Field {
    Field::new("values", of.clone(), true)
}

/// A column of no elements.
pub(crate) fn empty<'a>(env: Env<'a>, field: &Field) -> Word<'a> {
    let mut parts = Parts::new();
    let fields = children_of(field.data_type());
    parts.children = fields.into_iter().map(|field| empty(env, field)).collect();
    if let DataType::Dictionary(_, of) = field.data_type() {
        parts.dictionary = empty(env, &values_field(of));
    }
    parts.column(env, field)
}
