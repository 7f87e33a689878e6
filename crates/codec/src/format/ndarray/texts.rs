//! The data of an array whose elements are texts of any length.
//!
//! ```text
//! 0          8 (n + 1)     8 (n + 1) + (n + 7) / 8
//! +----------+-------------+---------------------+
//! | offsets  | missing     | texts               |
//! | u64[n+1] | n bits      | UTF-8, end to end   |
//! +----------+-------------+---------------------+
//! ```
//!
//! 1. Text i is the bytes from offset i to offset i + 1, counted from the first text. The first offset is
//!    0, none is less than the one ahead, and the last is the length of all texts.
//! 2. Bit i % 8 of byte i / 8, the lowest first, is set where element i is missing; its text is empty.
//!    Bits beyond the last element are zero.
//! 3. Elements follow each other in the memory order of the array.

use crate::error::{DecodeError, DecodeErrorKind, Segment};

/// Bytes ahead of the texts of `len` elements; `None` where they don't fit in memory.
pub(super) fn front_len(len: u64) -> Option<u64> {
    len.checked_add(1)?.checked_mul(8)?.checked_add(len.div_ceil(8))
}

/// The elements of an array of texts.
///
/// Each offset is read once, when its text is: bytes that a peer still changes give other texts or an
/// error, and nothing else.
///
/// ```
/// use slipring_codec::format::ndarray::Texts;
///
/// let data = Texts::pack([Some("a"), None, Some("bc")]);
/// let texts: Result<Vec<_>, _> = Texts::open(&data, 3)?.collect();
/// assert_eq!(texts?, [Some("a"), None, Some("bc")]);
/// # Ok::<(), slipring_codec::DecodeError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Texts<'a> {
    /// Ends of the texts that are left, and after the last one nothing.
    ends: std::slice::Iter<'a, [u8; 8]>,
    missing: &'a [u8],
    text: &'a [u8],
    /// Of the text that is next: its number, and where it begins in `text`.
    index: usize,
    start: usize,
}

impl<'a> Texts<'a> {
    /// The texts of `len` elements.
    ///
    /// # Errors
    ///
    /// [`DataLength`](DecodeErrorKind::DataLength) if there is no room for their offsets,
    /// [`TextOffset`](DecodeErrorKind::TextOffset) if the first is not 0.
    pub fn open(data: &'a [u8], len: usize) -> Result<Self, DecodeError> {
        let found = data.len() as u64;
        let front = front_len(len as u64).filter(|&front| front <= found);
        let Some(front) = front else {
            let expected = front_len(len as u64).unwrap_or(u64::MAX);
            return Err(DecodeError::new(DecodeErrorKind::DataLength { expected, found }, 0));
        };
        let (offsets, rest) = data.split_at((len + 1) * 8);
        let (missing, text) = rest.split_at(front as usize - offsets.len());
        let mut ends = offsets.as_chunks::<8>().0.iter();
        let texts = Self { missing, text, index: 0, start: 0, ends: ends.clone() };
        match ends.next() {
            Some(&first) if first == [0; 8] && (len > 0 || text.is_empty()) => {
                Ok(Self { ends, ..texts })
            }
            first => Err(texts.misplaced(first.map_or(0, |&first| u64::from_le_bytes(first)))),
        }
    }

    /// The data of these elements. `None` is a missing one.
    pub fn pack<'t, I>(texts: I) -> Vec<u8>
    where
        I: IntoIterator<Item = Option<&'t str>, IntoIter: ExactSizeIterator>,
    {
        let texts = texts.into_iter();
        let len = texts.len();
        let front = (len + 1) * 8 + len.div_ceil(8);
        let mut data = vec![0; front];
        for (i, text) in texts.take(len).enumerate() {
            match text {
                Some(text) => data.extend_from_slice(text.as_bytes()),
                None => data[(len + 1) * 8 + i / 8] |= 1 << (i % 8),
            }
            let end = (data.len() - front) as u64;
            data[(i + 1) * 8..][..8].copy_from_slice(&end.to_le_bytes());
        }
        data
    }

    #[cold]
    fn misplaced(&self, found: u64) -> DecodeError {
        let kind = DecodeErrorKind::TextOffset { found, text_len: self.text.len() as u64 };
        DecodeError::new(kind, self.index * 8).within(Segment::Index(self.index))
    }

    fn take(&mut self, end: u64) -> Result<Option<&'a str>, DecodeError> {
        let last = self.ends.len() == 0;
        let range = usize::try_from(end).ok().and_then(|end| self.text.get(self.start..end));
        let Some(bytes) = range.filter(|_| !last || end == self.text.len() as u64) else {
            return Err(self.misplaced(end));
        };
        let index = self.index;
        self.start = end as usize;
        self.index += 1;
        let missing = self.missing.get(index / 8).is_some_and(|bits| bits >> (index % 8) & 1 != 0);
        if missing {
            return Ok(None);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| {
            let error = DecodeError::new(DecodeErrorKind::Utf8, index * 8);
            error.within(Segment::Index(index))
        })?;
        Ok(Some(text))
    }
}

impl<'a> Iterator for Texts<'a> {
    type Item = Result<Option<&'a str>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let end = u64::from_le_bytes(*self.ends.next()?);
        let text = self.take(end);
        if text.is_err() {
            // What follows an error means nothing.
            self.ends = [].iter();
        }
        Some(text)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.ends.size_hint()
    }
}
