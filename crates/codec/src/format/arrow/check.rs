//! What of the data is looked at. Each check reads its buffer once, from front to end, without a branch for each element;
//! only where something is wrong does a second look say which element it is.

use std::ops::Range;

use arrow_schema::{DataType, UnionMode};

use super::copy::{INLINE, View};
use super::read::{Checks, Column, fault};
use crate::error::{ArrowFault as Fault, DecodeError, Segment};
use crate::frame::Part;

/// A column's buffers, as bytes.
struct Bytes<'a> {
    column: &'a Column,
    body: &'a Part<'a>,
}

/// Checks a column whose buffers lie inside the body and are long enough. Its children were checked before.
pub(super) fn column(column: &Column, body: &Part<'_>, checks: Checks) -> Result<(), DecodeError> {
    use DataType::*;
    let bytes = Bytes { column, body };
    bytes.null_count()?;
    let children = |number: usize| column.children.get(number).map_or(0, |child| child.len as u64);
    match &column.data_type {
        Utf8 | Binary => {
            let values = column.buffers[1].len() as u64;
            bytes.offsets::<4>(values)?;
            if checks == Checks::Full && column.data_type == Utf8 {
                bytes.texts::<4>()?;
            }
            Ok(())
        }
        LargeUtf8 | LargeBinary => {
            let values = column.buffers[1].len() as u64;
            bytes.offsets::<8>(values)?;
            if checks == Checks::Full && column.data_type == LargeUtf8 {
                bytes.texts::<8>()?;
            }
            Ok(())
        }
        List(_) | Map(..) => bytes.offsets::<4>(children(0)),
        LargeList(_) => bytes.offsets::<8>(children(0)),
        ListView(_) => bytes.list_views::<4>(children(0)),
        LargeListView(_) => bytes.list_views::<8>(children(0)),
        Utf8View | BinaryView => bytes.views(checks),
        Union(fields, mode) => {
            // How many elements there are for each id: for sparse ones any number will do.
            let mut lens = [None; 256];
            for ((id, _), child) in fields.iter().zip(&column.children) {
                lens[usize::from(id as u8)] = Some(child.len as u64);
            }
            bytes.union(&lens, *mode)
        }
        Dictionary(key, _) => {
            let values = column.dictionary.as_ref().map_or(0, |values| values.len as u64);
            match **key {
                Int8 => bytes.indices::<1>(values, |b| i8::from_le_bytes(b).into(), 1 << 7),
                UInt8 => bytes.indices::<1>(values, |b| u8::from_le_bytes(b).into(), 1 << 8),
                Int16 => bytes.indices::<2>(values, |b| i16::from_le_bytes(b).into(), 1 << 15),
                UInt16 => bytes.indices::<2>(values, |b| u16::from_le_bytes(b).into(), 1 << 16),
                Int32 => bytes.indices::<4>(values, |b| i32::from_le_bytes(b).into(), 1 << 31),
                UInt32 => bytes.indices::<4>(values, |b| u32::from_le_bytes(b).into(), 1 << 32),
                UInt64 => bytes.indices::<8>(values, |b| u64::from_le_bytes(b).into(), 1 << 64),
                _ => bytes.indices::<8>(values, |b| i64::from_le_bytes(b).into(), 1 << 63),
            }
        }
        RunEndEncoded(ends, _) => match ends.data_type() {
            Int16 => bytes.runs::<2>(|b| i16::from_le_bytes(b).into()),
            Int32 => bytes.runs::<4>(|b| i32::from_le_bytes(b).into()),
            _ => bytes.runs::<8>(i64::from_le_bytes),
        },
        _ => Ok(()),
    }
}

/// How many bytes of the column's own buffers its checks go through.
pub(super) fn looked_at(column: &Column, checks: Checks) -> usize {
    use DataType::*;
    let all = || column.buffers.iter().map(Range::len).sum::<usize>();
    let first = || column.buffers.first().map_or(0, Range::len);
    let of_type = match &column.data_type {
        Utf8 | LargeUtf8 if checks == Checks::Full => all(),
        Utf8 | LargeUtf8 | Binary | LargeBinary | Utf8View | BinaryView => first(),
        List(_) | LargeList(_) | Map(..) | ListView(_) | LargeListView(_) => all(),
        Union(..) | Dictionary(..) => all(),
        RunEndEncoded(..) => {
            column.children.first().map_or(0, |ends| ends.buffers.iter().map(Range::len).sum())
        }
        _ => 0,
    };
    of_type + column.validity.as_ref().map_or(0, Range::len)
}

/// A number of 4 or 8 bytes with a sign.
#[inline(always)]
fn signed<const N: usize>(bytes: [u8; N]) -> i64 {
    // Which of them it is stands fast when it is compiled.
    match (N, bytes.first_chunk::<4>(), bytes.first_chunk::<8>()) {
        (4, Some(narrow), _) => i32::from_le_bytes(*narrow).into(),
        (_, _, Some(wide)) => i64::from_le_bytes(*wide),
        _ => 0,
    }
}

/// Whether any of these numbers without a sign is larger. In as few bits as they have, so that many are compared at a time.
fn any_above<const N: usize>(numbers: &[[u8; N]], most: u64) -> bool {
    let bytes = numbers.as_flattened();
    let mut above = false;
    // Which of them it is stands fast when it is compiled; `most` is of the domain of N bytes.
    match N {
        1 => bytes.iter().for_each(|&n| above |= n > most as u8),
        2 => {
            let numbers = bytes.as_chunks::<2>().0;
            numbers.iter().for_each(|&n| above |= u16::from_le_bytes(n) > most as u16);
        }
        4 => {
            let numbers = bytes.as_chunks::<4>().0;
            numbers.iter().for_each(|&n| above |= u32::from_le_bytes(n) > most as u32);
        }
        _ => {
            let numbers = bytes.as_chunks::<8>().0;
            numbers.iter().for_each(|&n| above |= u64::from_le_bytes(n) > most);
        }
    }
    above
}

/// Whether any offset or size may be below 0, or both together beyond `limit`. By signs alone, which are told of many at a time; of sums
/// that have no room in N bytes it is not known.
fn any_beyond<const N: usize>(offsets: &[[u8; N]], sizes: &[[u8; N]], limit: u64) -> bool {
    let each = offsets.iter().zip(sizes);
    // A sum of two numbers that have no sign has one where it is too large, and so has what is left of the limit.
    match N {
        4 => {
            let limit = i32::try_from(limit).unwrap_or(i32::MAX);
            let signs = each.fold(0, |signs, (offset, size)| {
                let (offset, size) = (signed(*offset) as i32, signed(*size) as i32);
                let end = offset.wrapping_add(size);
                signs | offset | size | end | limit.wrapping_sub(end)
            });
            signs < 0
        }
        _ => {
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let signs = each.fold(0, |signs, (offset, size)| {
                let (offset, size) = (signed(*offset), signed(*size));
                let end = offset.wrapping_add(size);
                signs | offset | size | end | limit.wrapping_sub(end)
            });
            signs < 0
        }
    }
}

/// Whether the bit is set.
fn bit(bits: &[u8], at: usize) -> bool {
    bits[at / 8] >> (at % 8) & 1 == 1
}

impl<'a> Bytes<'a> {
    /// A place of the frame's body, which lies in this message's.
    fn at(&self, place: &Range<usize>) -> &'a [u8] {
        &self.body.bytes[place.start - self.body.offset..place.end - self.body.offset]
    }

    fn buffer(&self, number: usize) -> &'a [u8] {
        self.at(&self.column.buffers[number])
    }

    /// Whether an element has a value.
    fn is_valid(&self, row: usize) -> bool {
        self.column.validity.as_ref().is_none_or(|place| bit(self.at(place), row))
    }

    fn error(&self, found: Fault, buffer: usize, byte: usize, name: &str) -> DecodeError {
        fault(found, self.column.buffers[buffer].start + byte).within(Segment::key(name))
    }

    /// A count that is too low or too high makes consumers reserve less than they fill.
    fn null_count(&self) -> Result<(), DecodeError> {
        let Some(place) = &self.column.validity else { return Ok(()) };
        let len = self.column.len;
        let bits = &self.at(place)[..len.div_ceil(8)];
        let (words, rest) = bits[..len / 8].as_chunks::<8>();
        let mut set: usize =
            words.iter().map(|word| u64::from_le_bytes(*word).count_ones() as usize).sum();
        set += rest.iter().map(|byte| byte.count_ones() as usize).sum::<usize>();
        if !len.is_multiple_of(8) {
            set += (bits[len / 8] & ((1 << (len % 8)) - 1)).count_ones() as usize;
        }
        if len - set != self.column.null_count {
            let (claimed, found) = (self.column.null_count as i64, (len - set) as u64);
            let error = fault(Fault::NullCount { claimed, found }, place.start);
            return Err(error.within(Segment::key("validity")));
        }
        Ok(())
    }

    /// None is less than the one ahead, the first not below 0, the last not beyond `limit`.
    fn offsets<const N: usize>(&self, limit: u64) -> Result<(), DecodeError> {
        let len = self.column.len;
        if len == 0 {
            // There may be one all the same, which consumers may start from.
            let first = self.buffer(0).first_chunk::<N>().map_or(0, |first| signed(*first));
            return match first {
                0 => Ok(()),
                found => {
                    Err(self.error(Fault::Offset { index: 0, found, limit: 0 }, 0, 0, "offsets"))
                }
            };
        }
        let (offsets, _) = self.buffer(0).as_chunks::<N>();
        let offsets = &offsets[..len + 1];
        let mut falls = false;
        for (one, next) in offsets.iter().zip(&offsets[1..]) {
            falls |= signed(*next) < signed(*one);
        }
        let (first, last) = (signed(offsets[0]), signed(offsets[len]));
        if !falls && first >= 0 && last as u64 <= limit {
            return Ok(());
        }
        let mut ahead = 0;
        let bad = offsets.iter().position(|&offset| {
            let found = signed(offset);
            let bad = found < ahead || found as u64 > limit;
            ahead = found;
            bad
        });
        let index = bad.unwrap_or(len);
        let found = signed(offsets[index]);
        let found = Fault::Offset { index: index as u64, found, limit };
        Err(self.error(found, 0, index * N, "offsets"))
    }

    /// Offset and size of each list lie in the child. A size is taken for what it is also where the list is null.
    fn list_views<const N: usize>(&self, limit: u64) -> Result<(), DecodeError> {
        let len = self.column.len;
        let offsets = &self.buffer(0).as_chunks::<N>().0[..len];
        let sizes = &self.buffer(1).as_chunks::<N>().0[..len];
        let fits = |offset: [u8; N], size: [u8; N]| {
            // Both are below 2^63 if they are not negative: the sum does not overflow.
            let (offset, size) = (signed(offset), signed(size));
            offset >= 0 && size >= 0 && offset as u64 + size as u64 <= limit
        };
        if !any_beyond(offsets, sizes, limit) {
            return Ok(());
        }
        let bad = offsets.iter().zip(sizes).position(|(&offset, &size)| !fits(offset, size));
        let Some(row) = bad else { return Ok(()) };
        let found = Fault::Offset { index: row as u64, found: signed(offsets[row]), limit };
        Err(self.error(found, 0, row * N, "offsets"))
    }

    /// Every index is of a value. That of a null element may be anything by Arrow's rules, though most writers keep
    /// it in bounds: it is looked at only where the quick look finds one out of bounds.
    fn indices<const N: usize>(
        &self,
        limit: u64,
        index: impl Fn([u8; N]) -> i128,
        domain: u128,
    ) -> Result<(), DecodeError> {
        let indices = &self.buffer(0).as_chunks::<N>().0[..self.column.len];
        // Without their sign negative ones are beyond the domain, too.
        if limit > 0 && !any_above(indices, (u128::from(limit).min(domain) - 1) as u64) {
            return Ok(());
        }
        for (row, &bytes) in indices.iter().enumerate() {
            let found = index(bytes);
            if (found < 0 || found >= i128::from(limit)) && self.is_valid(row) {
                let found = Fault::DictionaryIndex { index: row as u64, found, limit };
                return Err(self.error(found, 0, row * N, "indices"));
            }
        }
        Ok(())
    }

    /// Each run ends after the one ahead, the last one not before the array does, and each has a value.
    fn runs<const N: usize>(&self, end: impl Fn([u8; N]) -> i64) -> Result<(), DecodeError> {
        let [ends, values] = &self.column.children[..] else { return Ok(()) };
        let wrong = |found: Fault, at: usize| fault(found, at).within(Segment::key("run_ends"));
        let start = ends.buffers[0].start;
        if ends.null_count != 0 {
            let claimed = ends.null_count as i64;
            return Err(wrong(Fault::NullCount { claimed, found: 0 }, start));
        }
        if values.len < ends.len {
            let found = Fault::Length { expected: ends.len as u64, found: values.len as i64 };
            return Err(fault(found, start).within(Segment::key("values")));
        }
        let mut ahead = 0;
        for (index, &bytes) in
            self.at(&ends.buffers[0]).as_chunks::<N>().0[..ends.len].iter().enumerate()
        {
            let found = end(bytes);
            if found <= ahead {
                return Err(wrong(Fault::RunEnd { index: index as u64, found }, start + index * N));
            }
            ahead = found;
        }
        if (ahead as u64) < self.column.len as u64 {
            let index = ends.len.saturating_sub(1) as u64;
            return Err(wrong(Fault::RunEnd { index, found: ahead }, start));
        }
        Ok(())
    }

    /// Every type id is one of the union's, and the offsets of a dense one lie in the child of the id.
    fn union(&self, lens: &[Option<u64>; 256], mode: UnionMode) -> Result<(), DecodeError> {
        let ids = &self.buffer(0)[..self.column.len];
        if let Some(row) = ids.iter().position(|&id| lens[usize::from(id)].is_none()) {
            let found = Fault::TypeId { index: row as u64, found: ids[row] as i8 };
            return Err(self.error(found, 0, row, "types"));
        }
        if mode == UnionMode::Sparse {
            return Ok(());
        }
        let offsets = &self.buffer(1).as_chunks::<4>().0[..ids.len()];
        for (row, (&id, &offset)) in ids.iter().zip(offsets).enumerate() {
            let (found, limit) = (signed(offset), lens[usize::from(id)].unwrap_or(0));
            if found < 0 || found as u64 >= limit {
                let found = Fault::Offset { index: row as u64, found, limit };
                return Err(self.error(found, 1, row * 4, "offsets"));
            }
        }
        Ok(())
    }

    /// Every view is short, or of bytes that are there: also where it is null. By Arrow's rules a null one may be anything, but
    /// libraries compare and hash views without a look at what is null, and writers leave zeros there.
    fn views(&self, checks: Checks) -> Result<(), DecodeError> {
        let views = &self.buffer(0).as_chunks::<16>().0[..self.column.len];
        // Of a buffer that is not there nothing is held.
        let mut held: Vec<u64> =
            self.column.buffers[1..].iter().map(|place| place.len() as u64).collect();
        held.push(0);
        let is_beyond = |view: &[u8; 16]| {
            let word = |at: usize| {
                u32::from_le_bytes([view[at], view[at + 1], view[at + 2], view[at + 3]])
            };
            let (len, buffer, offset) = (word(0), word(8), word(12));
            let held = held[(buffer as usize).min(held.len() - 1)];
            let is_negative = (len | offset) >> 31 != 0;
            (len > INLINE as u32) & (is_negative | (u64::from(offset) + u64::from(len) > held))
        };
        let wrong = |found: Fault, row: usize| Err(self.error(found, 0, row * 16, "views"));
        // Most columns have short ones only, or many of them in a row.
        let is_long = |view: &[u8; 16]| View::parse(view).is_long();
        let has_long =
            |views: &&[[u8; 16]]| views.iter().fold(false, |any, view| any | is_long(view));
        let mut blocks = views.chunks(64).filter(has_long);
        if blocks.any(|views| views.iter().fold(false, |any, view| any | is_beyond(view))) {
            let row = views.iter().position(is_beyond).unwrap_or_default();
            return wrong(Fault::View { index: row as u64 }, row);
        }
        if checks != Checks::Full {
            return Ok(());
        }
        let text = self.column.data_type == DataType::Utf8View;
        // Where all of a buffer is UTF-8, texts in it are that begin and end between characters: all of them where it is ASCII.
        let data: Vec<(&[u8], Option<&str>, bool)> = (1..held.len())
            .map(|number| {
                let data = self.buffer(number);
                let is_ascii = text && data.is_ascii();
                let whole = if text && !is_ascii { str::from_utf8(data).ok() } else { None };
                (data, whole, is_ascii)
            })
            .collect();
        for (row, bytes) in views.iter().enumerate() {
            let view = View::parse(bytes);
            // What a peer has changed meanwhile lies nowhere.
            let (begins, is_text) = if view.is_long() {
                let (start, end) = (view.offset, view.offset.saturating_add(view.len));
                let found = data.get(view.buffer);
                let value = found.and_then(|(data, ..)| data.get(start..end));
                let prefix = value.and_then(|value| value.first_chunk::<4>());
                let is_text = !text
                    || match found {
                        Some((_, _, true)) => true,
                        Some((_, Some(whole), _)) => {
                            whole.is_char_boundary(start) && whole.is_char_boundary(end)
                        }
                        _ => value.is_some_and(|value| str::from_utf8(value).is_ok()),
                    };
                (prefix == bytes[4..].first_chunk(), is_text)
            } else {
                let value = u128::from_le_bytes(*bytes) >> 32;
                let is_ascii = value & (u128::MAX / 0xFF * 0x80) == 0;
                let value = &bytes[4..4 + view.len];
                (true, !text || is_ascii || str::from_utf8(value).is_ok())
            };
            if !(begins & is_text) && self.is_valid(row) {
                let index = row as u64;
                return wrong(
                    if begins { Fault::Utf8 { index } } else { Fault::View { index } },
                    row,
                );
            }
        }
        Ok(())
    }

    /// Every text is UTF-8: all of them as one, and no offset within a character. What lies under a null may be anything.
    fn texts<const N: usize>(&self) -> Result<(), DecodeError> {
        if self.column.len == 0 {
            return Ok(());
        }
        let offsets = &self.buffer(0).as_chunks::<N>().0[..self.column.len + 1];
        let values = self.buffer(1);
        // A peer can have changed them since they were checked.
        let text = |row: usize| {
            values.get(signed(offsets[row]) as usize..signed(offsets[row + 1]) as usize)
        };
        let all =
            values.get(signed(offsets[0]) as usize..signed(offsets[self.column.len]) as usize);
        if let Some(Ok(all)) = all.map(str::from_utf8) {
            let first = signed(offsets[0]);
            if all.is_ascii()
                || offsets.iter().all(|&at| all.is_char_boundary((signed(at) - first) as usize))
            {
                return Ok(());
            }
        }
        for row in (0..self.column.len).filter(|&row| self.is_valid(row)) {
            if text(row).is_none_or(|text| str::from_utf8(text).is_err()) {
                return Err(self.error(Fault::Utf8 { index: row as u64 }, 0, row * N, "values"));
            }
        }
        Ok(())
    }
}
