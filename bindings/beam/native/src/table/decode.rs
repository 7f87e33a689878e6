//! Elements of columns as terms.
//!
//! 1. A walk takes some rows of an array and puts a term for each behind those that are gathered already; what is within an
//!    array is taken the same way. So a type is looked at once for many rows.
//! 2. Offsets, indices, type ids and ends of runs are checked where they are used: the memory that they lie in may be
//!    shared with whoever sent them.
//! 3. An array may claim elements that take no memory, and lists may share theirs: what a walk makes is limited.

mod moments;

use super::column::{Array, signed};
use super::names as n;
use crate::atoms;
use crate::error::Fault;
use crate::value::array::half;
use crate::value::big::Big;
use crate::value::decode::{Forms, Options, form, notes, uuid_text};
use crate::value::shape::Shape;
use crate::value::terms::{self, Word};
use arrow_schema::{DataType, Fields, UnionMode};
use rustler::Env;
use slipring_codec::error::{Path, Segment as Step};
use slipring_codec::format::value::BYTES_OUT_OF_LINE;
use std::collections::HashMap;
use std::ops::Range;

/// The most elements that one call makes terms of, and all calls together for the rows of a table.
pub(crate) const MOST: usize = 1 << 26;
/// Texts up to so many bytes are looked at in place.
const SHORT: usize = 64;
/// So many bytes take as long as an element.
const BYTES_PER_ITEM: usize = 256;
/// What a struct takes, in elements.
const STRUCT: usize = 4;
/// Values of a dictionary that are few enough to be kept for one row.
const FEW: usize = 64;

/// Why a walk stopped.
pub(crate) enum Stop {
    /// There is more to do than it may.
    Large,
    Refused(Box<Refused>),
}

/// What is wrong with an element, and where: its row, and from that on.
pub(crate) struct Refused {
    what: String,
    hint: &'static str,
    row: usize,
    path: Path,
}

impl Refused {
    /// As an error in the column of this name, or in a row of the table.
    pub(crate) fn fault(mut self, column: Option<&str>) -> Fault {
        self.path.enclose(Step::Index(self.row));
        self.path.enclose(Step::key(column.unwrap_or("rows")));
        if column.is_some() {
            self.path.enclose(Step::key("columns"));
        }
        Fault::table(&self.what, &self.path.to_string(), self.hint)
    }
}

const FAULTY: &str = "the sender's library is faulty, or wrote to the frame after it was sent";

/// What is wrong with an element.
struct Bad(String, &'static str);

impl Bad {
    #[cold]
    fn new(what: impl Into<String>) -> Self {
        Bad(what.into(), FAULTY)
    }
}

impl Stop {
    #[cold]
    fn at(row: usize, Bad(what, hint): Bad) -> Self {
        Stop::Refused(Box::new(Refused { what, hint, row, path: Path::default() }))
    }

    /// The error of an item as one of its list.
    #[cold]
    fn of_list(mut self, row: usize, start: usize) -> Self {
        if let Stop::Refused(refused) = &mut self {
            refused.path.enclose(Step::Index(refused.row - start));
            refused.row = row;
        }
        self
    }

    /// The error of a field as one of its struct.
    #[cold]
    fn of_field(mut self, name: &str) -> Self {
        if let Stop::Refused(refused) = &mut self {
            refused.path.enclose(Step::key(name));
        }
        self
    }

    #[cold]
    fn of_row(mut self, row: usize) -> Self {
        if let Stop::Refused(refused) = &mut self {
            refused.row = row;
        }
        self
    }
}

pub(crate) struct Walk<'a> {
    pub(crate) env: Env<'a>,
    pub(crate) options: Options,
    pub(crate) forms: Forms<'a>,
    /// Elements that may still be made.
    pub(crate) left: usize,
    /// What was lost, as the decoder of values has it.
    pub(crate) notes: u32,
    /// Whether the last column that was begun was not finished.
    pub(crate) in_column: bool,
    /// What is known of the structs met, by their array.
    structs: HashMap<usize, Keyed<'a>>,
}

/// The keys of maps, and how those with all of them are made.
pub(crate) type Keyed<'a> = (Vec<Word<'a>>, Shape<'a>);

type Out<'a> = Vec<Word<'a>>;

impl<'a> Walk<'a> {
    pub(crate) fn new(env: Env<'a>, options: Options, forms: Forms<'a>, most: usize) -> Self {
        Walk {
            env,
            options,
            forms,
            left: most,
            notes: 0,
            in_column: false,
            structs: HashMap::new(),
        }
    }

    fn spend(&mut self, items: usize) -> Result<(), Stop> {
        self.left = self.left.checked_sub(items).ok_or(Stop::Large)?;
        Ok(())
    }

    /// Room for so many terms, which are still to be paid for when they are made: for no more than could be.
    fn room(&self, terms: &mut Out<'a>, more: usize) -> Result<(), Stop> {
        if more > self.left {
            return Err(Stop::Large);
        }
        terms.try_reserve(more).map_err(|_| Stop::Large)
    }

    /// Puts the terms of these rows, which the array has, behind those that are there.
    pub(crate) fn values(
        &mut self,
        array: &Array<'a>,
        rows: Range<usize>,
        out: &mut Out<'a>,
    ) -> Result<(), Stop> {
        use DataType::*;
        debug_assert!(rows.end <= array.len);
        self.spend(rows.len())?;
        out.try_reserve(rows.len()).map_err(|_| Stop::Large)?;
        let env = self.env;
        let int = |value: i64| Ok(terms::make_int(env, value));
        match &array.data_type {
            Null => {
                out.resize(out.len() + rows.len(), nil());
                Ok(())
            }
            Boolean => self.each(array, rows, out, |_, row| {
                let set = super::column::bit(array.data.bytes, row);
                Ok(if set { n::true_() } else { n::false_() }.into())
            }),
            Int8 => self.fixed::<1>(array, rows, out, |_, b| int(i8::from_le_bytes(b).into())),
            Int16 => self.fixed::<2>(array, rows, out, |_, b| int(i16::from_le_bytes(b).into())),
            Int32 => self.fixed::<4>(array, rows, out, |_, b| int(i32::from_le_bytes(b).into())),
            Int64 => self.fixed::<8>(array, rows, out, |_, b| int(i64::from_le_bytes(b))),
            UInt8 => self.fixed::<1>(array, rows, out, |_, b| int(b[0].into())),
            UInt16 => self.fixed::<2>(array, rows, out, |_, b| int(u16::from_le_bytes(b).into())),
            UInt32 => self.fixed::<4>(array, rows, out, |_, b| int(u32::from_le_bytes(b).into())),
            UInt64 => self.fixed::<8>(array, rows, out, |_, b| {
                Ok(terms::make_uint(env, u64::from_le_bytes(b)))
            }),
            Float16 => {
                self.fixed::<2>(array, rows, out, |walk, b| walk.float(half(u16::from_le_bytes(b))))
            }
            Float32 => self
                .fixed::<4>(array, rows, out, |walk, b| walk.float(f32::from_le_bytes(b).into())),
            Float64 => {
                self.fixed::<8>(array, rows, out, |walk, b| walk.float(f64::from_le_bytes(b)))
            }
            Decimal32(_, scale) => self.fixed::<4>(array, rows, out, |walk, b| {
                walk.decimal(i32::from_le_bytes(b).into(), *scale)
            }),
            Decimal64(_, scale) => self.fixed::<8>(array, rows, out, |walk, b| {
                walk.decimal(i64::from_le_bytes(b).into(), *scale)
            }),
            Decimal128(_, scale) => self.fixed::<16>(array, rows, out, |walk, b| {
                walk.decimal(i128::from_le_bytes(b), *scale)
            }),
            Decimal256(_, scale) => self.fixed::<32>(array, rows, out, |walk, mut bytes| {
                let negative = bytes[31] & 0x80 != 0;
                if negative {
                    let mut carry = true;
                    for byte in &mut bytes {
                        (*byte, carry) = (!*byte).overflowing_add(carry.into());
                    }
                }
                walk.big_decimal(negative, &Big::new(false, bytes.to_vec()), *scale)
            }),
            Utf8 | LargeUtf8 => self.each(array, rows, out, |walk, row| {
                let bytes = text(array, row)?;
                walk.text(array.data.word, array.data.bytes, bytes)
            }),
            Binary | LargeBinary => self.each(array, rows, out, |walk, row| {
                let bytes = text(array, row)?;
                walk.binary(array.data.word, array.data.bytes, bytes)
            }),
            Utf8View | BinaryView => self.views(array, rows, out),
            FixedSizeBinary(16) if array.is_uuid => {
                self.spend(STRUCT * rows.len())?;
                self.fixed::<16>(array, rows, out, |walk, bytes| walk.uuid(bytes))
            }
            FixedSizeBinary(width) => {
                let width = *width as usize;
                self.each(array, rows, out, |walk, row| {
                    let bytes = &array.data.bytes[row * width..][..width];
                    walk.binary(array.data.word, array.data.bytes, bytes)
                })
            }
            Date32 | Date64 | Time32(_) | Time64(_) | Timestamp(..) | Duration(_) | Interval(_) => {
                self.spend(STRUCT * rows.len())?;
                self.moments(array, rows, out)
            }
            List(_) | LargeList(_) | ListView(_) | LargeListView(_) => {
                self.lists(array, rows, out, |array, row| {
                    array.span(row, array.children[0].len).ok_or_else(|| outside(array, row))
                })
            }
            FixedSizeList(_, size) => {
                let size = *size as usize;
                self.lists(array, rows, out, |_, row| Ok(row * size..(row + 1) * size))
            }
            Struct(fields) => self.structs(array, fields, rows, out),
            Map(..) => self.maps(array, rows, out),
            Union(..) => self.unions(array, rows, out),
            Dictionary(..) => self.dictionary(array, rows, out),
            RunEndEncoded(..) => self.runs(array, rows, out),
        }
    }

    /// Elements of N bytes, nil where they are null.
    #[inline]
    fn fixed<const N: usize>(
        &mut self,
        array: &Array<'a>,
        rows: Range<usize>,
        out: &mut Out<'a>,
        mut make: impl FnMut(&mut Self, [u8; N]) -> Result<Word<'a>, Bad>,
    ) -> Result<(), Stop> {
        let elements = &array.data.bytes.as_chunks::<N>().0[rows.clone()];
        for (row, &bytes) in rows.zip(elements) {
            out.push(match array.is_valid(row) {
                true => make(self, bytes).map_err(|bad| Stop::at(row, bad))?,
                false => nil(),
            });
        }
        Ok(())
    }

    #[inline]
    fn each(
        &mut self,
        array: &Array<'a>,
        rows: Range<usize>,
        out: &mut Out<'a>,
        mut make: impl FnMut(&mut Self, usize) -> Result<Word<'a>, Bad>,
    ) -> Result<(), Stop> {
        for row in rows {
            out.push(match array.is_valid(row) {
                true => make(self, row).map_err(|bad| Stop::at(row, bad))?,
                false => nil(),
            });
        }
        Ok(())
    }

    #[inline]
    fn float(&mut self, value: f64) -> Result<Word<'a>, Bad> {
        if value.is_finite() {
            return Ok(terms::make_float(self.env, value));
        }
        if self.options.nan_is_error() {
            let hint = "decode it with nan: :atoms, or take its data";
            return Err(Bad(format!("a float that is {value}"), hint));
        }
        self.notes |= notes::FLOAT;
        let atom = match value {
            f64::INFINITY => atoms::infinity(),
            f64::NEG_INFINITY => atoms::neg_infinity(),
            _ => atoms::nan(),
        };
        Ok(atom.into())
    }

    fn decimal(&mut self, value: i128, scale: i8) -> Result<Word<'a>, Bad> {
        self.big_decimal(value < 0, &Big::from_magnitude(value.unsigned_abs()), scale)
    }

    fn big_decimal(&mut self, negative: bool, digits: &Big, scale: i8) -> Result<Word<'a>, Bad> {
        let env = self.env;
        let module = self.forms.templates.get(form::DECIMAL);
        let module = module.and_then(|&form| terms::get(env, form, atoms::struct_().into()));
        let made = module.zip(digits.term(env)).and_then(|(module, digits)| {
            let keys = [atoms::struct_(), n::sign(), n::coef(), n::exp()].map(Word::from);
            let sign = terms::make_int(env, if negative { -1 } else { 1 });
            let exponent = terms::make_int(env, -i64::from(scale));
            terms::make_map(env, &keys, &[module, sign, digits, exponent])
        });
        made.ok_or_else(|| Bad::new("a decimal that Elixir makes otherwise"))
    }

    fn uuid(&mut self, bytes: [u8; 16]) -> Result<Word<'a>, Bad> {
        let env = self.env;
        if self.options.uuid_text() {
            return Ok(uuid_text(env, bytes));
        }
        let template = self.forms.templates.get(form::UUID);
        let bytes = terms::make_binary(env, &bytes);
        let made = template.and_then(|&form| terms::update(env, form, n::bytes().into(), bytes));
        made.ok_or_else(|| Bad::new("a UUID that Elixir makes otherwise"))
    }

    fn text(&mut self, whole: Word<'a>, all: &[u8], text: &[u8]) -> Result<Word<'a>, Bad> {
        if text.len() <= SHORT && text.is_ascii() {
            return Ok(terms::make_binary(self.env, text));
        }
        match std::str::from_utf8(text) {
            Ok(_) => self.binary(whole, all, text),
            Err(_) => Err(Bad::new("a text that is not UTF-8")),
        }
    }

    /// Bytes of a binary, in place where they are many.
    fn binary(&mut self, whole: Word<'a>, all: &[u8], bytes: &[u8]) -> Result<Word<'a>, Bad> {
        if bytes.len() >= BYTES_OUT_OF_LINE {
            return Ok(crate::value::view_of(self.env, whole, all, bytes));
        }
        // What is copied beyond what an element is taken for.
        self.left = self.left.saturating_sub(bytes.len() / BYTES_PER_ITEM);
        Ok(terms::make_binary(self.env, bytes))
    }

    fn views(
        &mut self,
        array: &Array<'a>,
        rows: Range<usize>,
        out: &mut Out<'a>,
    ) -> Result<(), Stop> {
        let is_text = array.data_type == DataType::Utf8View;
        // Read once, since it may change: what is looked up is what was checked.
        self.fixed::<16>(array, rows, out, |walk, view| {
            let word = |at: usize| {
                let word = [view[at], view[at + 1], view[at + 2], view[at + 3]];
                usize::try_from(i32::from_le_bytes(word)).ok()
            };
            let bad = || Bad::new("a view of bytes that are not there");
            let len = word(0).ok_or_else(bad)?;
            if len <= 12 {
                let bytes = &view[4..4 + len];
                if is_text && std::str::from_utf8(bytes).is_err() {
                    return Err(Bad::new("a text that is not UTF-8"));
                }
                return Ok(terms::make_binary(walk.env, bytes));
            }
            let buffer = word(8).and_then(|number| array.buffers.get(number)).ok_or_else(bad)?;
            let bytes = word(12).and_then(|start| buffer.bytes.get(start..start.checked_add(len)?));
            let bytes = bytes.ok_or_else(bad)?;
            match is_text {
                true => walk.text(buffer.word, buffer.bytes, bytes),
                false => walk.binary(buffer.word, buffer.bytes, bytes),
            }
        })
    }

    fn lists(
        &mut self,
        array: &Array<'a>,
        rows: Range<usize>,
        out: &mut Out<'a>,
        span: impl Fn(&Array<'a>, usize) -> Result<Range<usize>, Bad>,
    ) -> Result<(), Stop> {
        for row in rows {
            if !array.is_valid(row) {
                out.push(nil());
                continue;
            }
            let items = span(array, row).map_err(|bad| Stop::at(row, bad))?;
            let (first, start) = (out.len(), items.start);
            self.values(&array.children[0], items, out).map_err(|s| s.of_list(row, start))?;
            let list = terms::make_list(self.env, &out[first..]);
            out.truncate(first);
            out.push(list);
        }
        Ok(())
    }

    /// Maps of Arrow's: lists of pairs.
    fn maps(
        &mut self,
        array: &Array<'a>,
        rows: Range<usize>,
        out: &mut Out<'a>,
    ) -> Result<(), Stop> {
        let entries = &array.children[0];
        let [keys, values] = &entries.children[..] else {
            return Err(Stop::at(rows.start, Bad::new("a map without keys and values")));
        };
        for row in rows {
            if !array.is_valid(row) {
                out.push(nil());
                continue;
            }
            let items = array.span(row, entries.len);
            let items = items.ok_or_else(|| Stop::at(row, outside(array, row)))?;
            let (first, count, start) = (out.len(), items.len(), items.start);
            self.values(keys, items.clone(), out).map_err(|s| s.of_list(row, start))?;
            self.values(values, items, out).map_err(|s| s.of_list(row, start))?;
            for pair in first..first + count {
                out[pair] = terms::make_tuple(self.env, &[out[pair], out[pair + count]]);
            }
            let list = terms::make_list(self.env, &out[first..first + count]);
            out.truncate(first);
            out.push(list);
        }
        Ok(())
    }

    fn structs(
        &mut self,
        array: &Array<'a>,
        fields: &Fields,
        rows: Range<usize>,
        out: &mut Out<'a>,
    ) -> Result<(), Stop> {
        let place = std::ptr::from_ref(array) as usize;
        let mut keyed = self.structs.remove(&place).unwrap_or_else(|| {
            (fields.iter().map(|field| self.key(field.name())).collect(), Shape::default())
        });
        let columns =
            array.children.iter().zip(fields).map(|(child, field)| (child, &**field.name()));
        let valid = |row| array.is_valid(row);
        self.maps_of(&mut keyed, columns, rows, None, valid, out)?;
        self.structs.insert(place, keyed);
        Ok(())
    }

    /// The key of a name: a binary, or an atom that exists.
    pub(crate) fn key(&self, name: &str) -> Word<'a> {
        // A map must not become a struct by what somebody sent.
        let atom = match self.options.atom_keys() && name != "__struct__" {
            true => terms::existing_atom(self.env, name),
            false => None,
        };
        atom.unwrap_or_else(|| terms::make_binary(self.env, name.as_bytes()))
    }

    /// A map of each of these rows, of columns that all have them. Of a table's rows it is said which
    /// columns have no key where they are null; errors in other ones say the field.
    pub(crate) fn maps_of<'c, 'n>(
        &mut self,
        (keys, shape): &mut Keyed<'a>,
        columns: impl Iterator<Item = (&'c Array<'a>, &'n str)>,
        rows: Range<usize>,
        missing: Option<&[bool]>,
        is_valid: impl Fn(usize) -> bool,
        out: &mut Out<'a>,
    ) -> Result<(), Stop>
    where
        'a: 'c,
    {
        let (first, count) = (out.len(), rows.len());
        // Also where there is no column to pay for them.
        self.spend(count)?;
        if count == 0 {
            return Ok(());
        }
        let mut gathered = Vec::new();
        self.room(&mut gathered, keys.len().checked_mul(count).ok_or(Stop::Large)?)?;
        for (column, name) in columns {
            self.in_column = true;
            let done = self.values(column, rows.clone(), &mut gathered);
            done.map_err(|stop| if missing.is_none() { stop.of_field(name) } else { stop })?;
        }
        self.in_column = false;
        let mut values = Vec::with_capacity(keys.len());
        for row in rows.clone() {
            if !is_valid(row) {
                out.push(nil());
                continue;
            }
            let at = row - rows.start;
            let value = |column: usize| gathered[column * count + at];
            values.clear();
            let map = match missing {
                Some(missing) if missing.contains(&true) => {
                    let there = |&column: &usize| !(missing[column] && value(column) == nil());
                    let there: Vec<usize> = (0..keys.len()).filter(there).collect();
                    let keys: Vec<Word<'a>> = there.iter().map(|&column| keys[column]).collect();
                    values.extend(there.into_iter().map(value));
                    shape.map(self.env, &keys, &values)
                }
                _ => {
                    values.extend((0..keys.len()).map(value));
                    shape.map(self.env, keys, &values)
                }
            };
            let map = map.ok_or_else(|| {
                let hint = "take the columns one by one, or rename them";
                Stop::at(row, Bad("two columns of one name".into(), hint))
            })?;
            out.push(map);
        }
        debug_assert_eq!(out.len(), first + count);
        Ok(())
    }

    fn unions(
        &mut self,
        array: &Array<'a>,
        rows: Range<usize>,
        out: &mut Out<'a>,
    ) -> Result<(), Stop> {
        let DataType::Union(fields, mode) = &array.data_type else { return Ok(()) };
        let mut numbers = [None; 256];
        for (number, (id, _)) in fields.iter().enumerate() {
            numbers[usize::from(id as u8)] = Some(number);
        }
        for row in rows {
            let id = array.data.bytes[row];
            let child = numbers[usize::from(id)].and_then(|number| array.children.get(number));
            let bad = |what: &str| Stop::at(row, Bad::new(what));
            let child = child.ok_or_else(|| bad("a type that the union does not have"))?;
            let at = match mode {
                UnionMode::Sparse => Some(row),
                UnionMode::Dense => usize::try_from(signed(array.offsets.bytes, 4, row)).ok(),
            };
            let at = at.filter(|&at| at < child.len);
            let at = at.ok_or_else(|| bad("an offset outside of its values"))?;
            self.values(child, at..at + 1, out).map_err(|stop| stop.of_row(row))?;
        }
        Ok(())
    }

    fn dictionary(
        &mut self,
        array: &Array<'a>,
        rows: Range<usize>,
        out: &mut Out<'a>,
    ) -> Result<(), Stop> {
        let (DataType::Dictionary(key, _), Some(values)) = (&array.data_type, &array.dictionary)
        else {
            return Ok(());
        };
        // Each value is made once, unless there are far more of them than rows, or than there is room for.
        let few = values.len <= rows.len().saturating_mul(4).saturating_add(FEW);
        let mut known: Vec<Option<Word<'a>>> = Vec::new();
        if few && values.len <= self.left.max(FEW) && known.try_reserve_exact(values.len).is_ok() {
            known.resize(values.len, None);
        }
        for row in rows {
            if !array.is_valid(row) {
                out.push(nil());
                continue;
            }
            let index = index(key, array.data.bytes, row).filter(|&index| index < values.len);
            let index = index
                .ok_or_else(|| Stop::at(row, Bad::new("an index outside of its dictionary")))?;
            if let Some(Some(word)) = known.get(index) {
                out.push(*word);
                continue;
            }
            self.values(values, index..index + 1, out).map_err(|stop| stop.of_row(row))?;
            if let Some(place) = known.get_mut(index) {
                *place = out.last().copied();
            }
        }
        Ok(())
    }

    fn runs(
        &mut self,
        array: &Array<'a>,
        rows: Range<usize>,
        out: &mut Out<'a>,
    ) -> Result<(), Stop> {
        let [ends, values] = &array.children[..] else { return Ok(()) };
        let end = |run: usize| run_end(ends, run);
        let mut run = first_run(ends, rows.start);
        let mut made = None;
        for row in rows {
            while run < ends.len && end(run) <= row as i64 {
                (run, made) = (run + 1, None);
            }
            if run >= ends.len.min(values.len) {
                return Err(Stop::at(row, Bad::new("a row behind the last run")));
            }
            match made {
                Some(word) => out.push(word),
                None => {
                    self.values(values, run..run + 1, out).map_err(|stop| stop.of_row(row))?;
                    made = out.last().copied();
                }
            }
        }
        Ok(())
    }
}

/// Where a run ends.
pub(crate) fn run_end(ends: &Array<'_>, run: usize) -> i64 {
    let bytes = ends.data.bytes;
    match ends.data_type {
        DataType::Int16 => {
            bytes.as_chunks::<2>().0.get(run).map_or(0, |&b| i16::from_le_bytes(b).into())
        }
        DataType::Int32 => signed(bytes, 4, run),
        _ => signed(bytes, 8, run),
    }
}

/// The first run that ends behind a row; any number up to that of the runs, where they don't rise.
pub(crate) fn first_run(ends: &Array<'_>, row: usize) -> usize {
    let (mut low, mut high) = (0, ends.len);
    while low < high {
        let middle = low + (high - low) / 2;
        if run_end(ends, middle) <= row as i64 { low = middle + 1 } else { high = middle }
    }
    low
}

/// The index at a row, if it is one.
pub(crate) fn index(key: &DataType, bytes: &[u8], row: usize) -> Option<usize> {
    use DataType::*;
    let signed = match key {
        UInt8 => return bytes.get(row).map(|&byte| byte.into()),
        UInt16 => return bytes.as_chunks::<2>().0.get(row).map(|&b| u16::from_le_bytes(b).into()),
        UInt32 => {
            return bytes.as_chunks::<4>().0.get(row).map(|&b| u32::from_le_bytes(b) as usize);
        }
        UInt64 => {
            let index = bytes.as_chunks::<8>().0.get(row).map(|&b| u64::from_le_bytes(b))?;
            return usize::try_from(index).ok();
        }
        Int8 => bytes.get(row).map(|&byte| i64::from(byte as i8)),
        Int16 => bytes.as_chunks::<2>().0.get(row).map(|&b| i16::from_le_bytes(b).into()),
        Int32 => bytes.as_chunks::<4>().0.get(row).map(|&b| i32::from_le_bytes(b).into()),
        _ => bytes.as_chunks::<8>().0.get(row).map(|&b| i64::from_le_bytes(b)),
    };
    usize::try_from(signed?).ok()
}

fn nil<'a>() -> Word<'a> {
    atoms::nil().into()
}

/// The bytes of a text.
fn text<'b>(array: &Array<'b>, row: usize) -> Result<&'b [u8], Bad> {
    let bytes = array.data.bytes;
    array.span(row, bytes.len()).map(|span| &bytes[span]).ok_or_else(|| outside(array, row))
}

#[cold]
fn outside(array: &Array<'_>, row: usize) -> Bad {
    let wide = super::column::offset_width(&array.data_type);
    Bad::new(format!(
        "offsets {} and {} that lead outside, or back",
        signed(array.offsets.bytes, wide, row),
        signed(array.offsets.bytes, wide, row + 1)
    ))
}
