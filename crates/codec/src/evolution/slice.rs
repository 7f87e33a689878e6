//! Some rows of a table, over the same memory: all that begins with a byte lies where it lay, bits that begin within one and
//! the ends of runs are written anew.

use std::ops::Range;

use arrow_buffer::Buffer;
use arrow_buffer::bit_chunk_iterator::UnalignedBitChunk;
use arrow_schema::{DataType, UnionMode};

use super::made::{Made, Projected};
use crate::format::arrow::{Batch, Column, Table};

/// These rows of a table over `body` and what was `made` beside it, of which what comes back holds what it needs. Rows that there are not are left out.
/// `None` where the table is of another body, or that was changed meanwhile.
///
/// Nothing is copied but bits (null masks and booleans), where the rows don't begin with a byte of them, and the ends of runs.
pub fn slice(
    table: &Table,
    body: &[u8],
    made: Option<&Made>,
    rows: Range<usize>,
) -> Option<Projected> {
    let made = made.map_or_else(|| Made::beside(body.len()), Made::clone);
    let mut cut = Cut { body, made };
    let (mut batches, mut before) = (Vec::new(), 0);
    for batch in &table.batches {
        let within = |row: usize| row.clamp(before, before + batch.len) - before;
        let (from, to) = (within(rows.start), within(rows.end.max(rows.start)));
        before += batch.len;
        if from == to {
            continue;
        }
        let mut part = Batch::clone(batch);
        part.len = to - from;
        for column in &mut part.columns {
            *column = cut.column(column, from, to - from)?;
        }
        batches.push(part);
    }
    let mut made = cut.made;
    if !made.is_empty() {
        let mut starts = Vec::new();
        batches
            .iter()
            .flat_map(|batch| &batch.columns)
            .for_each(|column| places(column, &mut starts));
        starts.sort_unstable();
        made.keep(&starts);
    }
    let mut table = Table::clone(table);
    table.batches = batches;
    Some(Projected { table, made })
}

/// Where the buffers of a column begin, and of all within it.
fn places(column: &Column, starts: &mut Vec<usize>) {
    starts.extend(column.validity.iter().chain(&column.buffers).map(|place| place.start));
    column
        .children
        .iter()
        .chain(column.dictionary.as_deref())
        .for_each(|part| places(part, starts));
}

struct Cut<'b> {
    body: &'b [u8],
    made: Made,
}

impl Cut<'_> {
    /// `count` elements of a column from `from` on, which it has.
    fn column(&mut self, column: &Column, from: usize, count: usize) -> Option<Column> {
        use DataType::*;
        let mut part = column.clone();
        if from == 0 && count == column.len {
            return Some(part);
        }
        part.len = count;
        if let Some(validity) = &column.validity {
            let bits = self.made.get(self.body, validity)?;
            if (from + count).div_ceil(8) > bits.len() {
                return None;
            }
            part.null_count = count - UnalignedBitChunk::new(bits, from, count).count_ones();
            part.validity = match part.null_count {
                0 => None,
                _ => Some(self.bits(validity, from, count)?),
            };
        }
        // Elements of a buffer, of so many bytes.
        let shift = |part: &mut Column, number: usize, width: usize, count: usize| {
            let place = part.buffers.get_mut(number)?;
            let start = place.start.checked_add(from.checked_mul(width)?)?;
            let end = start.checked_add(count.checked_mul(width)?)?;
            let is_there = end <= place.end;
            *place = start..end;
            is_there.then_some(())
        };
        match &column.data_type {
            Null => part.null_count = count,
            Boolean => part.buffers[0] = self.bits(column.buffers.first()?, from, count)?,
            Utf8 | Binary | List(_) | Map(..) => shift(&mut part, 0, 4, count + 1)?,
            LargeUtf8 | LargeBinary | LargeList(_) => shift(&mut part, 0, 8, count + 1)?,
            ListView(_) | LargeListView(_) => {
                let width = if matches!(column.data_type, ListView(_)) { 4 } else { 8 };
                shift(&mut part, 0, width, count)?;
                shift(&mut part, 1, width, count)?;
            }
            Utf8View | BinaryView => shift(&mut part, 0, 16, count)?,
            FixedSizeBinary(width) => shift(&mut part, 0, usize::try_from(*width).ok()?, count)?,
            Dictionary(key, _) => shift(&mut part, 0, key.primitive_width()?, count)?,
            FixedSizeList(_, size) => {
                let size = usize::try_from(*size).ok()?;
                self.children(&mut part, from.checked_mul(size)?, count.checked_mul(size)?)?;
            }
            Struct(_) => self.children(&mut part, from, count)?,
            Union(_, UnionMode::Sparse) => {
                shift(&mut part, 0, 1, count)?;
                self.children(&mut part, from, count)?;
            }
            Union(_, UnionMode::Dense) => {
                shift(&mut part, 0, 1, count)?;
                shift(&mut part, 1, 4, count)?;
            }
            RunEndEncoded(..) => self.runs(&mut part, from, count)?,
            other => shift(&mut part, 0, other.primitive_width()?, count)?,
        }
        Some(part)
    }

    fn children(&mut self, part: &mut Column, from: usize, count: usize) -> Option<()> {
        for child in &mut part.children {
            if from.checked_add(count)? > child.len {
                return None;
            }
            *child = self.column(child, from, count)?;
        }
        Some(())
    }

    /// Bits from one on, moved to the start where that is not the first of a byte.
    fn bits(&mut self, place: &Range<usize>, from: usize, count: usize) -> Option<Range<usize>> {
        let (start, len, shift) = (from / 8, count.div_ceil(8), from % 8);
        let bytes = self.made.get(self.body, place)?;
        if (from + count).div_ceil(8) > bytes.len() {
            return None;
        }
        if shift == 0 {
            return Some(place.start + start..place.start + start + len);
        }
        let byte = |at: usize| bytes.get(at).copied().unwrap_or(0);
        let moved: Vec<u8> = (start..start + len)
            .map(|at| byte(at) >> shift | byte(at + 1) << (8 - shift))
            .collect();
        Some(self.made.add(Buffer::from_vec(moved)))
    }

    /// The ends and values of the runs of some rows.
    fn runs(&mut self, part: &mut Column, from: usize, count: usize) -> Option<()> {
        let [ends, values] = &mut part.children[..] else { return None };
        let width = ends.data_type.primitive_width()?;
        let bytes = self.made.get(self.body, ends.buffers.first()?)?;
        let end_of = |bytes: &[u8]| {
            let mut end = [0; 8];
            end[..width].copy_from_slice(bytes);
            // What is below 0 has more bytes than rows.
            usize::try_from(u64::from_le_bytes(end)).unwrap_or(usize::MAX)
        };
        let (mut first, mut cut, mut runs) = (0, Vec::new(), 0);
        for end in bytes.chunks_exact(width).take(ends.len).map(end_of) {
            if end <= from {
                first += 1;
                continue;
            }
            if count == 0 {
                break;
            }
            let end = (end - from).min(count);
            cut.extend_from_slice(&(end as u64).to_le_bytes()[..width]);
            runs += 1;
            if end == count {
                break;
            }
        }
        if first + runs > values.len {
            return None;
        }
        ends.len = runs;
        ends.buffers[0] = self.made.add(Buffer::from_vec(cut));
        *values = self.column(values, first, runs)?;
        Some(())
    }
}
