//! Writing a body: planned first, then written in place.

use std::fmt;

use super::{BUFFER_ALIGN, ENTRY_LEN, Format, PART_ALIGN, TABLE_LEN, flags, part};
use crate::error::{EncodeError, EncodeErrorKind};

/// What a format writes as its head.
pub(crate) trait Head: fmt::Debug + Sync {
    /// Bytes of the head.
    fn len(&self) -> usize;
    /// Writes the head over all of `out`, which has that length.
    fn write(&self, out: &mut [u8]);
}

/// How a body will be laid out. Made by [`raw::plan`](crate::format::raw::plan) and
/// [`ndarray::plan`](crate::format::ndarray::plan).
///
/// Reserve [`body_len`](Self::body_len) bytes, [`write`](Self::write), fill the data, and put format, flags and type
/// code in the frame header.
#[derive(Debug, Clone)]
pub struct Plan<'a> {
    format: Format,
    type_code: u16,
    flags: u16,
    head: Option<&'a dyn Head>,
    meta: Option<&'a [u8]>,
    data_offset: usize,
    body_len: usize,
}

impl<'a> Plan<'a> {
    /// A body that is its data and nothing else.
    pub(crate) fn bare(
        format: Format,
        type_code: u16,
        data_len: usize,
    ) -> Result<Self, EncodeError> {
        let body_len = bounded(Some(data_len))?;
        Ok(Plan { format, type_code, flags: 0, head: None, meta: None, data_offset: 0, body_len })
    }

    /// A body with a part table, one buffer of `data_len` bytes last.
    pub(crate) fn with_parts(
        format: Format,
        type_code: u16,
        head: Option<&'a dyn Head>,
        meta: Option<&'a [u8]>,
        data_len: usize,
    ) -> Result<Self, EncodeError> {
        check_meta(meta)?;
        let flags = flags::PARTS | if meta.is_some() { flags::META } else { 0 };
        let mut plan = Plan { format, type_code, flags, head, meta, data_offset: 0, body_len: 0 };
        // A head is short and metadata is in memory: only the data can make the sum overflow.
        plan.data_offset = plan.front().end.next_multiple_of(BUFFER_ALIGN);
        plan.body_len = bounded(plan.data_offset.checked_add(data_len))?;
        Ok(plan)
    }

    /// The format, for the frame header.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The codec's [`flags`], for the frame header.
    pub fn flags(&self) -> u16 {
        self.flags
    }

    /// The type code, for the frame header.
    pub fn type_code(&self) -> u16 {
        self.type_code
    }

    /// Bytes of the body.
    pub fn body_len(&self) -> usize {
        self.body_len
    }

    /// Where the data begins, in bytes from the start of the body; it ends with the body.
    pub fn data_offset(&self) -> usize {
        self.data_offset
    }

    /// Writes all of the body but its data, and returns the place of the data, untouched.
    ///
    /// # Errors
    ///
    /// [`BodyLength`](EncodeErrorKind::BodyLength) if `body` has not [`body_len`](Self::body_len) bytes.
    pub fn write<'b>(&self, body: &'b mut [u8]) -> Result<&'b mut [u8], EncodeError> {
        if body.len() != self.body_len {
            let kind = EncodeErrorKind::BodyLength { planned: self.body_len, found: body.len() };
            return Err(EncodeError::new(kind));
        }
        let (out, data) = body.split_at_mut(self.data_offset);
        if self.flags & flags::PARTS == 0 {
            return Ok(data);
        }
        let front = self.front();
        let (table, parts) = out.split_at_mut(front.table_end);
        table[..TABLE_LEN].copy_from_slice(&(front.count as u64).to_le_bytes());
        let (entries, _) = table[TABLE_LEN..].as_chunks_mut::<ENTRY_LEN>();
        let mut entries = entries.iter_mut();
        let mut enter = |kind: u32, offset: usize, length: usize| {
            if let Some(entry) = entries.next() {
                entry[..8].copy_from_slice(&u64::from(kind).to_le_bytes());
                entry[8..16].copy_from_slice(&(offset as u64).to_le_bytes());
                entry[16..].copy_from_slice(&(length as u64).to_le_bytes());
            }
        };
        let mut written = 0;
        if let Some(head) = self.head {
            head.write(&mut parts[..head.len()]);
            written = head.len();
            enter(part::HEAD, front.table_end, head.len());
        }
        if let Some(meta) = self.meta {
            let at = front.meta_offset - front.table_end;
            parts[written..at].fill(0);
            written = at + meta.len();
            parts[at..written].copy_from_slice(meta);
            enter(part::META, front.meta_offset, meta.len());
        }
        parts[written..].fill(0);
        enter(part::BUFFER, self.data_offset, data.len());
        Ok(data)
    }

    /// Where everything before the data stands.
    fn front(&self) -> Front {
        let count = 1 + usize::from(self.head.is_some()) + usize::from(self.meta.is_some());
        // The head follows the table at once: both are multiples of eight.
        let table_end = TABLE_LEN + count * ENTRY_LEN;
        let head_end = table_end + self.head.map_or(0, Head::len);
        match self.meta {
            None => Front { count, table_end, meta_offset: head_end, end: head_end },
            Some(meta) => {
                let meta_offset = head_end.next_multiple_of(PART_ALIGN);
                Front { count, table_end, meta_offset, end: meta_offset + meta.len() }
            }
        }
    }
}

/// Offsets of what stands before the data.
struct Front {
    /// Entries of the part table.
    count: usize,
    table_end: usize,
    meta_offset: usize,
    end: usize,
}

/// No slice has more than `isize::MAX` bytes.
fn bounded(len: Option<usize>) -> Result<usize, EncodeError> {
    len.filter(|&len| isize::try_from(len).is_ok())
        .ok_or_else(|| EncodeError::new(EncodeErrorKind::BodyTooLarge))
}

/// Major type 5 begins with 0xA0 to 0xBF; the rest of the map is the encoder's word.
pub(crate) fn check_meta(meta: Option<&[u8]>) -> Result<(), EncodeError> {
    match meta.is_none_or(|meta| matches!(meta.first(), Some(0xA0..=0xBF))) {
        true => Ok(()),
        false => Err(EncodeError::new(EncodeErrorKind::MetaNotMap)),
    }
}
