//! Columns of terms: which type holds them, and their buffers.
//!
//! Lists of maps are mostly of plain terms, which are written as they are met ([`quick`]). Else the terms of a column are gathered
//! first, the fields of maps beside each other; then each is looked at twice, to find
//! the type and to write it. What is written stands in memory of its own, is a binary from then on, and is copied once more
//! when it is sent.
//!
//! A type that is asked for is any of Arrow's, and takes the terms that its elements come back as: [`numbers`] and [`bytes`] write
//! single elements, [`within`] what has others in it, and [`shared`] what says by an index, a number or a run whose an element is.

mod bytes;
mod holds;
mod infer;
mod moments;
mod numbers;
pub(crate) mod quick;
mod shared;
mod transposed;
mod within;

pub(crate) use infer::infer;
pub(crate) use transposed::Transposed;

use super::column::{Parts, values_field};
use super::names as n;
use crate::atoms;
use crate::error::Fault;
use crate::value::terms::{self, Kind, Word};
use arrow_schema::{DataType, Field};
use rustler::{Env, Resource, ResourceArc};
use slipring_codec::error::{Path, Segment as Step};
use slipring_codec::format::arrow::children_of;

/// Buffers of so many bytes become binaries as they are; shorter ones are copied.
const LONG: usize = 64 << 10;

/// A buffer that is a binary.
pub(crate) struct Kept(arrow_buffer::Buffer);

impl Resource for Kept {}

/// Why there is no column.
pub(crate) enum Stop {
    /// There is more to do than it may.
    Large,
    Unfit(Box<Unfit>),
}

/// What does not fit, and where: its row, and from that on.
pub(crate) struct Unfit {
    what: String,
    kind: String,
    row: usize,
    path: Path,
    hint: &'static str,
}

impl Unfit {
    /// As an error under the steps given, outermost first; between them and the rest stands the row.
    pub(crate) fn fault(mut self, row_first: bool, name: Option<&str>) -> Fault {
        let name = name.map(Step::key);
        let row = Step::Index(self.row);
        if row_first {
            name.into_iter().for_each(|name| self.path.enclose(name));
            self.path.enclose(row);
        } else {
            self.path.enclose(row);
            if let Some(name) = name {
                self.path.enclose(name);
                self.path.enclose(Step::key("columns"));
            }
        }
        Fault::unsendable_value(false, &self.what, &self.path.to_string(), &self.kind, self.hint)
    }
}

/// What to do about an element that is not of the type that was asked for.
const ASKED: &str = "give elements of that type, or say another one by :types";
/// About one that goes with no type together with the others.
const MIXED: &str = "give the column elements of one type, say one that holds all by :types, or send the terms as a value";
/// About one that no type holds.
const NONE: &str = "leave it out, or send the terms as a value";
/// About what is no row.
const MAPS: &str = "give maps whose keys are atoms or texts, each name once";
/// About a null.
const VALUE: &str = "give a value, or say by :types that it may be null";
/// About what is more than a type counts.
const WIDER: &str = "say a wider type by :types, or send the rows in several tables";
/// About what asks for more memory than there is.
const LESS: &str = "say a narrower type by :types";
/// About a key of a map that is null.
const KEY: &str = "leave the pair out, or give it another key";
/// About a struct that no map is.
const NAMES: &str = "say a type by :types whose fields have names of their own";
/// About one that is of no member of a union.
const MEMBER: &str = "give an element of a member, or {name, element} where several hold it";

impl Stop {
    #[cold]
    pub(super) fn unfit(row: usize, what: impl Into<String>, kind: impl Into<String>) -> Self {
        let (what, kind, path) = (what.into(), kind.into(), Path::default());
        Stop::Unfit(Box::new(Unfit { what, kind, row, path, hint: ASKED }))
    }

    /// A row is nil.
    pub(crate) fn no_row(row: usize) -> Self {
        Self::unfit(row, "nil is no map", "nil").hint(MAPS)
    }

    #[cold]
    fn hint(mut self, hint: &'static str) -> Self {
        if let Stop::Unfit(unfit) = &mut self {
            unfit.hint = hint;
        }
        self
    }

    /// The error of one of some elements, of which these are the rows.
    #[cold]
    fn of_rows(mut self, rows: &[usize]) -> Self {
        if let Stop::Unfit(unfit) = &mut self {
            unfit.row = rows.get(unfit.row).copied().unwrap_or(unfit.row);
        }
        self
    }

    #[cold]
    fn of_list(mut self, starts: &[usize]) -> Self {
        if let Stop::Unfit(unfit) = &mut self {
            // The list that has the item: the last one that begins at it or before.
            let list = starts.partition_point(|&start| start <= unfit.row).saturating_sub(1);
            unfit.path.enclose(Step::Index(unfit.row - starts[list]));
            unfit.row = list;
        }
        self
    }

    #[cold]
    pub(crate) fn of_field(mut self, name: &str) -> Self {
        if let Stop::Unfit(unfit) = &mut self {
            unfit.path.enclose(Step::key(name));
        }
        self
    }
}

/// What a build may still do, in elements.
pub(crate) struct Work {
    pub(crate) left: usize,
}

impl Work {
    pub(super) fn spend(&mut self, items: usize) -> Result<(), Stop> {
        self.left = self.left.checked_sub(items).ok_or(Stop::Large)?;
        Ok(())
    }
}

/// A column that was built.
#[derive(Default)]
pub(crate) struct Made {
    len: usize,
    null_count: usize,
    validity: Option<Vec<u8>>,
    data: Vec<u8>,
    offsets: Option<Vec<u8>>,
    sizes: Option<Vec<u8>>,
    buffers: Vec<Vec<u8>>,
    children: Vec<Made>,
    dictionary: Option<Box<Made>>,
}

impl Made {
    /// The struct.
    pub(crate) fn column<'a>(self, env: Env<'a>, field: &Field) -> Word<'a> {
        let mut parts = Parts::new();
        (parts.len, parts.null_count) = (self.len, self.null_count);
        if let Some(bits) = self.validity {
            parts.validity = binary(env, bits);
        }
        parts.data = binary(env, self.data);
        if let Some(offsets) = self.offsets {
            parts.offsets = binary(env, offsets);
        }
        if let Some(sizes) = self.sizes {
            parts.sizes = binary(env, sizes);
        }
        parts.buffers = self.buffers.into_iter().map(|buffer| binary(env, buffer)).collect();
        let fields = children_of(field.data_type());
        let children = self.children.into_iter().zip(fields);
        parts.children = children.map(|(child, field)| child.column(env, field)).collect();
        if let (Some(values), DataType::Dictionary(_, of)) = (self.dictionary, field.data_type()) {
            parts.dictionary = values.column(env, &values_field(of));
        }
        parts.column(env, field)
    }
}

/// A buffer as a binary.
pub(crate) fn binary(env: Env<'_>, bytes: impl Into<arrow_buffer::Buffer>) -> Word<'_> {
    let bytes = bytes.into();
    if bytes.len() < LONG {
        return terms::make_binary(env, &bytes);
    }
    ResourceArc::new(Kept(bytes)).make_binary(env, |kept| &kept.0).to_term(env).into()
}

/// The elements of a list; `None` for what is none.
pub(crate) fn items<'a>(env: Env<'a>, list: Word<'a>) -> Option<Vec<Word<'a>>> {
    let (mut items, mut rest) = (Vec::new(), list);
    while let Some((head, tail)) = terms::cell(env, rest) {
        items.push(head);
        rest = tail;
    }
    terms::is_nil_list(env, rest).then_some(items)
}

pub(super) fn is_nil(word: Word<'_>) -> bool {
    word == atoms::nil().into()
}

/// What a term is called in errors.
pub(super) fn kind_of<'a>(env: Env<'a>, word: Word<'a>) -> String {
    match terms::kind(env, word) {
        Kind::Map => match terms::get(env, word, atoms::struct_().into()) {
            Some(module) => crate::value::encode::module_name(env, module),
            None => "map".into(),
        },
        Kind::Bits if terms::bytes(env, word).is_some() => "binary".into(),
        other => other.name().into(),
    }
}

/// What a term is in an error: numbers, truths and atoms as they are, the others by their kind and length.
#[cold]
fn told<'a>(env: Env<'a>, word: Word<'a>) -> String {
    let kind = kind_of(env, word);
    match terms::kind(env, word) {
        Kind::Integer => match (terms::int(env, word), terms::uint(env, word)) {
            (Some(value), _) => format!("the integer {value}"),
            (None, Some(value)) => format!("the integer {value}"),
            (None, None) => "an integer of more than 64 bits".into(),
        },
        Kind::Float => format!("the float {:?}", terms::float(env, word).unwrap_or_default()),
        Kind::Atom => terms::with_atom(env, word, |name| format!("the atom {name}")),
        Kind::Bits => match terms::bytes(env, word) {
            Some(bytes) => format!("a binary of {}", counted(bytes.len(), "byte")),
            None => "a bitstring of odd bits".into(),
        },
        Kind::List => match items(env, word) {
            Some(items) => format!("a list of {}", counted(items.len(), "item")),
            None => "an improper list".into(),
        },
        _ => format!("a {kind}"),
    }
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// The terms that a column is made of, and their type.
struct Column<'t, 'a> {
    env: Env<'a>,
    words: &'t [Word<'a>],
    data_type: &'t DataType,
}

impl<'a> Column<'_, 'a> {
    /// The terms that are not nil, with their rows.
    fn present(&self) -> impl Iterator<Item = (usize, Word<'a>)> {
        self.words.iter().copied().enumerate().filter(|(_, word)| !is_nil(*word))
    }

    /// The term in this row is none of the type.
    #[cold]
    fn no(&self, row: usize) -> Stop {
        let (env, word) = (self.env, self.words[row]);
        let told = told(env, word);
        let of = match self.data_type {
            DataType::Dictionary(_, of) => of,
            of => of,
        };
        let why = match of {
            of if bytes::is_text(of) && terms::bytes(env, word).is_some() => ": it is not UTF-8",
            DataType::Interval(unit) => moments::parts_told(*unit),
            of if of.is_decimal() && numbers::digits(env, word).is_some() => {
                ": a digit would be lost, or there are more than it has"
            }
            of if moments::is_beyond(env, word, of) => {
                ": it is beyond what the unit counts, or between its steps"
            }
            _ => "",
        };
        let what = format!("{told} is no element of the type {}{why}", self.data_type);
        Stop::unfit(row, what, kind_of(env, word))
    }
}

/// Refuses nil among the elements of a field that may not be null, in rows of which it is `asked`.
fn required<'a>(
    field: &Field,
    words: &[Word<'a>],
    asked: impl Fn(usize) -> bool,
) -> Result<(), Stop> {
    if field.is_nullable() {
        return Ok(());
    }
    let null = words.iter().enumerate().position(|(row, &word)| is_nil(word) && asked(row));
    null.map_or(Ok(()), |row| {
        let what = format!("nil where {:?} of {} may not be null", field.name(), field.data_type());
        Err(Stop::unfit(row, what, "nil").hint(VALUE))
    })
}

/// Writes terms as elements of a type.
pub(crate) fn build<'a>(
    env: Env<'a>,
    words: &[Word<'a>],
    data_type: &DataType,
    work: &mut Work,
) -> Result<Made, Stop> {
    use DataType::*;
    work.spend(words.len())?;
    let mut made = Made { len: words.len(), ..Made::default() };
    let column = Column { env, words, data_type };
    // What is null in these their children say.
    if !matches!(data_type, Null | Union(..) | RunEndEncoded(..)) {
        made.nulls(words);
    }
    match data_type {
        Null => {
            made.null_count = words.len();
            column.present().next().map_or(Ok(()), |(row, _)| Err(column.no(row)))
        }
        Boolean => made.booleans(&column),
        Utf8 | Binary => made.texts::<4>(&column, work),
        LargeUtf8 | LargeBinary => made.texts::<8>(&column, work),
        Utf8View | BinaryView => made.views(&column, work),
        FixedSizeBinary(width) => made.fixed_binary(&column, *width as usize),
        List(item) => made.lists::<4>(&column, item, false, work),
        LargeList(item) => made.lists::<8>(&column, item, false, work),
        ListView(item) => made.lists::<4>(&column, item, true, work),
        LargeListView(item) => made.lists::<8>(&column, item, true, work),
        FixedSizeList(item, size) => made.fixed_lists(&column, item, *size as usize, work),
        Struct(fields) => made.structs(&column, fields, work),
        Map(entries, sorted) => made.maps(&column, entries, *sorted, work),
        Union(members, mode) => made.unions(&column, members, *mode, work),
        Dictionary(key, of) => made.dictionary(&column, key, of, work),
        RunEndEncoded(ends, values) => made.runs(&column, ends, values, work),
        _ => numbers::write(&mut made, &column),
    }?;
    Ok(made)
}

impl Made {
    /// Which elements are null.
    fn nulls(&mut self, words: &[Word<'_>]) {
        self.null_count = words.iter().filter(|&&word| is_nil(word)).count();
        if self.null_count != 0 {
            let mut bits = vec![0u8; words.len().div_ceil(8)];
            for (row, _) in words.iter().enumerate().filter(|(_, word)| !is_nil(**word)) {
                bits[row / 8] |= 1 << (row % 8);
            }
            self.validity = Some(bits);
        }
    }

    fn booleans(&mut self, column: &Column<'_, '_>) -> Result<(), Stop> {
        self.data = vec![0u8; column.words.len().div_ceil(8)];
        for (row, word) in column.present() {
            if word == n::true_().into() {
                self.data[row / 8] |= 1 << (row % 8);
            } else if word != n::false_().into() {
                return Err(column.no(row));
            }
        }
        Ok(())
    }
}
