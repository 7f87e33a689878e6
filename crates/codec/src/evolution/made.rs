//! Memory for what has to be made of a table, beside the frame that it was read from.

use std::ops::{Deref, Range};

use arrow_array::RecordBatch;
use arrow_buffer::{Buffer, MutableBuffer};
use arrow_data::ArrayData;
use arrow_schema::ArrowError;

use super::apply::ApplyErrorKind;
use crate::format::arrow::{Column, Table};

/// What made buffers begin at multiples of, as those of frames do.
const ALIGN: usize = 64;

/// Bytes that may be made of a table in a frame of `body_len` bytes: no more than in proportion to what its sender has paid
/// for, whatever counts of rows it claims.
pub fn fair(body_len: usize) -> usize {
    body_len.saturating_mul(64).saturating_add(64 << 20)
}

/// A table as it is expected: what stayed lies in the body of the frame, the rest beside it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Projected {
    /// Its places are to be looked up by [`Made::get`]: some are in the body, some are not.
    pub table: Table,
    /// What is not in the body.
    pub made: Made,
}

impl Projected {
    /// The batches, over `body` and what was made. As [`Table::record_batches`].
    ///
    /// # Errors
    ///
    /// Those of arrow-rs.
    pub fn record_batches(&self, body: &Buffer) -> Result<Vec<RecordBatch>, ArrowError> {
        self.table.record_batches_of(&|place| self.made.buffer(body, place).ok_or_else(elsewhere))
    }
}

fn elsewhere() -> ArrowError {
    ArrowError::InvalidArgumentError("the body is another one".to_owned())
}

/// Buffers beside a body, at places that follow those of the body.
#[derive(Debug, Clone)]
pub struct Made {
    /// Where the body has ended: places before are the body's.
    base: usize,
    /// Each with the place where it begins, in ascending order.
    buffers: Vec<(usize, Buffer)>,
    end: usize,
}

impl Made {
    pub(super) fn beside(body_len: usize) -> Self {
        let base = body_len.next_multiple_of(ALIGN);
        Self { base, buffers: Vec::new(), end: base }
    }

    /// Whether nothing had to be made.
    pub fn is_empty(&self) -> bool {
        self.buffers.is_empty()
    }

    /// Bytes that were made.
    pub fn len(&self) -> usize {
        self.buffers.iter().map(|(_, buffer)| buffer.len()).sum()
    }

    /// The bytes at a place of a column. `None` where it is none of this table over this body.
    pub fn get<'a>(&'a self, body: &'a [u8], place: &Range<usize>) -> Option<&'a [u8]> {
        match self.find(place) {
            None => body.get(place.clone()),
            Some(found) => found.map(|(buffer, at)| &buffer[at..at + place.len()]),
        }
    }

    /// The same as a buffer of arrow-rs's.
    pub fn buffer(&self, body: &Buffer, place: &Range<usize>) -> Option<Buffer> {
        match self.find(place) {
            None => {
                (place.end <= body.len()).then(|| body.slice_with_length(place.start, place.len()))
            }
            Some(found) => found.map(|(buffer, at)| buffer.slice_with_length(at, place.len())),
        }
    }

    /// A column of this table over `body` and what was made. As [`Column::to_data`].
    ///
    /// # Errors
    ///
    /// Those of arrow-rs; also where the column is of another table.
    pub fn to_data(&self, column: &Column, body: &Buffer) -> Result<ArrayData, ArrowError> {
        column.data_of(&|place| self.buffer(body, place).ok_or_else(elsewhere))
    }

    /// `None`: the place is in the body, if anywhere. `Some(None)`: it is nowhere.
    #[allow(clippy::option_option, reason = "there are three answers")]
    fn find(&self, place: &Range<usize>) -> Option<Option<(&Buffer, usize)>> {
        if place.start < self.base || place.is_empty() {
            return None;
        }
        let after = self.buffers.partition_point(|(start, _)| *start <= place.start);
        let found = after.checked_sub(1).map(|at| &self.buffers[at]);
        Some(found.and_then(|(start, buffer)| {
            let at = place.start - start;
            (place.end - start <= buffer.len()).then_some((buffer, at))
        }))
    }

    /// Lets go of the buffers in which none of these places, in ascending order, is. The others stay where they are.
    pub(super) fn keep(&mut self, starts: &[usize]) {
        self.buffers.retain(|(start, buffer)| {
            let first = starts.partition_point(|place| place < start);
            starts.get(first).is_some_and(|place| *place < start + buffer.len())
        });
    }

    pub(super) fn add(&mut self, buffer: Buffer) -> Range<usize> {
        if buffer.is_empty() {
            return 0..0;
        }
        let (start, len) = (self.end, buffer.len());
        self.end += len.next_multiple_of(ALIGN);
        self.buffers.push((start, buffer));
        start..start + len
    }
}

/// Bytes that are read while others are made.
pub(super) enum Bytes<'b> {
    Body(&'b [u8]),
    Made(Buffer),
}

impl Deref for Bytes<'_> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match self {
            Bytes::Body(bytes) => bytes,
            Bytes::Made(buffer) => buffer,
        }
    }
}

/// A body, what is made beside it, and how much may be.
pub(super) struct Maker<'b> {
    body: &'b [u8],
    made: Made,
    left: usize,
    limit: usize,
    /// Zeros that were made already.
    zeros: Range<usize>,
}

impl<'b> Maker<'b> {
    pub(super) fn new(body: &'b [u8], limit: usize) -> Self {
        Self { body, made: Made::beside(body.len()), left: limit, limit, zeros: 0..0 }
    }

    pub(super) fn finish(self) -> Made {
        self.made
    }

    /// The bytes at a place.
    pub(super) fn bytes(&self, place: &Range<usize>) -> Result<Bytes<'b>, ApplyErrorKind> {
        let found = match self.made.find(place) {
            None => self.body.get(place.clone()).map(Bytes::Body),
            Some(found) => {
                found.map(|(buffer, at)| Bytes::Made(buffer.slice_with_length(at, place.len())))
            }
        };
        found.ok_or(ApplyErrorKind::Changed)
    }

    /// Zeroed memory to be filled, for so many elements of so many bytes.
    pub(super) fn room(
        &mut self,
        count: usize,
        width: usize,
    ) -> Result<MutableBuffer, ApplyErrorKind> {
        let needed = count.checked_mul(width);
        match needed.filter(|&needed| needed <= self.left) {
            Some(needed) => {
                self.left -= needed;
                Ok(MutableBuffer::from_len_zeroed(needed))
            }
            None => {
                let used = self.limit - self.left;
                let needed = needed.map_or(usize::MAX, |needed| needed.saturating_add(used));
                Err(ApplyErrorKind::TooMuch { needed, limit: self.limit })
            }
        }
    }

    /// A place for what was filled.
    pub(super) fn add(&mut self, filled: MutableBuffer) -> Range<usize> {
        self.made.add(filled.into())
    }

    /// A place with so many zeros, which others may have, too.
    pub(super) fn zeros(
        &mut self,
        count: usize,
        width: usize,
    ) -> Result<Range<usize>, ApplyErrorKind> {
        match count.checked_mul(width) {
            Some(0) => Ok(0..0),
            Some(len) if len <= self.zeros.len() => Ok(self.zeros.start..self.zeros.start + len),
            _ => {
                let zeros = self.room(count, width)?;
                self.zeros = self.add(zeros);
                Ok(self.zeros.clone())
            }
        }
    }
}
