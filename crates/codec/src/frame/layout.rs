//! Where the parts of a body stand, for encoders that learn it only when their head is written.

use std::ops::Range;

use super::{BUFFER_ALIGN, ENTRY_LEN, Format, MAX_BUFFERS, PART_ALIGN, TABLE_LEN, flags, part};
use crate::error::{EncodeError, EncodeErrorKind};

/// The parts of a body with one head and any number of buffers.
///
/// An encoder does not know how long its head will be, nor how many buffers it will refer to, before it
/// has gone through its object. So it writes the head straight into the place of the body, at
/// [`front`](Self::front) of as many buffers as it expects, and says afterwards what came of it; a head
/// that stands a little off is moved.
///
/// ```
/// use slipring_codec::frame::Layout;
/// use slipring_codec::{Body, Content, Format};
///
/// let mut body = vec![0xAA; 1024];
/// // The head: an array of one item, which lies in buffer 0.
/// let at = Layout::front(1, false);
/// body[at..at + 5].copy_from_slice(&[0x81, 0xd9, 0xb9, 0xf0, 0x00]);
/// let layout = Layout::new(Format::Value, 5, None, [3])?;
/// layout.write(&mut body, at, None)?;
/// body[layout.buffers()[0].clone()].copy_from_slice(b"abc");
///
/// let body = Body::open(Format::Value.code(), layout.flags(), 0, &body[..layout.body_len()])?;
/// let Content::Value(value) = body.content()? else { panic!("a value was sent") };
/// assert_eq!(value.buffers[0].bytes, b"abc");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    format: Format,
    head: Range<usize>,
    meta: Option<Range<usize>>,
    buffers: Vec<Range<usize>>,
    body_len: usize,
}

impl Layout {
    /// Where the head stands in a body with that many buffers.
    pub fn front(buffers: usize, meta: bool) -> usize {
        match (buffers, meta) {
            (0, false) => 0,
            _ => TABLE_LEN + ENTRY_LEN * (1 + usize::from(meta) + buffers),
        }
    }

    /// Lays out a head, metadata and buffers of these lengths.
    ///
    /// # Errors
    ///
    /// [`TooManyBuffers`](EncodeErrorKind::TooManyBuffers) and [`BodyTooLarge`](EncodeErrorKind::BodyTooLarge).
    pub fn new(
        format: Format,
        head_len: usize,
        meta_len: Option<usize>,
        buffer_lens: impl IntoIterator<Item = usize>,
    ) -> Result<Self, EncodeError> {
        let too_large = || EncodeError::new(EncodeErrorKind::BodyTooLarge);
        let piece = |at: Option<usize>, align: usize, len: usize| {
            let start = at?.checked_next_multiple_of(align)?;
            Some(start..start.checked_add(len).filter(|&end| isize::try_from(end).is_ok())?)
        };
        let buffer_lens: Vec<usize> = buffer_lens.into_iter().collect();
        if buffer_lens.len() > MAX_BUFFERS {
            let limit = MAX_BUFFERS;
            let kind = EncodeErrorKind::TooManyBuffers { found: buffer_lens.len(), limit };
            return Err(EncodeError::new(kind));
        }
        let front = Layout::front(buffer_lens.len(), meta_len.is_some());
        let head = piece(Some(front), PART_ALIGN, head_len).ok_or_else(too_large)?;
        let mut end = head.end;
        let mut next = |align, len| {
            let place = piece(Some(end), align, len).ok_or_else(too_large)?;
            end = place.end;
            Ok(place)
        };
        let meta = meta_len.map(|len| next(PART_ALIGN, len)).transpose()?;
        let buffers: Result<_, _> =
            buffer_lens.into_iter().map(|len| next(BUFFER_ALIGN, len)).collect();
        Ok(Layout { format, head, meta, buffers: buffers?, body_len: end })
    }

    /// The format, for the frame header.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The codec's [`flags`], for the frame header.
    pub fn flags(&self) -> u16 {
        let parts = if self.head.start == 0 { 0 } else { flags::PARTS };
        parts | if self.meta.is_some() { flags::META } else { 0 }
    }

    /// The type code, for the frame header.
    pub fn type_code(&self) -> u16 {
        self.format.type_code()
    }

    /// Bytes of the body.
    pub fn body_len(&self) -> usize {
        self.body_len
    }

    /// Where the buffers lie.
    pub fn buffers(&self) -> &[Range<usize>] {
        &self.buffers
    }

    /// Writes all of the body but its buffers. The head is there already, at `head_at`.
    ///
    /// # Errors
    ///
    /// [`NoSpace`](EncodeErrorKind::NoSpace) if `body` has fewer bytes than [`body_len`](Self::body_len), and
    /// [`MetaNotMap`](EncodeErrorKind::MetaNotMap).
    ///
    /// # Panics
    ///
    /// If the metadata has another length than was laid out, or the head does not lie in the body.
    pub fn write(
        &self,
        body: &mut [u8],
        head_at: usize,
        meta: Option<&[u8]>,
    ) -> Result<(), EncodeError> {
        let available = body.len();
        let Some(body) = body.get_mut(..self.body_len.max(head_at + self.head.len())) else {
            let kind = EncodeErrorKind::NoSpace { needed: self.body_len, available };
            return Err(EncodeError::new(kind));
        };
        super::plan::check_meta(meta)?;
        assert_eq!(meta.map(<[u8]>::len), self.meta.as_ref().map(Range::len), "as laid out");
        body.copy_within(head_at..head_at + self.head.len(), self.head.start);
        if self.head.start == 0 {
            return Ok(());
        }
        let mut entries = 0;
        let mut end = self.head.end;
        let parts = [(part::HEAD, &self.head)].into_iter();
        let parts = parts.chain(self.meta.iter().map(|range| (part::META, range)));
        for (kind, range) in parts.chain(self.buffers.iter().map(|range| (part::BUFFER, range))) {
            let at = TABLE_LEN + entries * ENTRY_LEN;
            entries += 1;
            let fields = [u64::from(kind), range.start as u64, range.len() as u64];
            for (place, field) in body[at..at + ENTRY_LEN].chunks_exact_mut(8).zip(fields) {
                place.copy_from_slice(&field.to_le_bytes());
            }
            if kind != part::HEAD {
                body[end..range.start].fill(0);
                end = range.end;
            }
        }
        body[..TABLE_LEN].copy_from_slice(&(entries as u64).to_le_bytes());
        if let (Some(meta), Some(place)) = (meta, &self.meta) {
            body[place.clone()].copy_from_slice(meta);
        }
        Ok(())
    }
}
