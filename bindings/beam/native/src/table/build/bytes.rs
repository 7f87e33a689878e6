//! Texts and bytes, in their forms.

use super::{Column, LESS, Made, Stop, WIDER, Work, is_nil};
use crate::table::names as n;
use crate::value::terms::{self, Kind, Word};
use arrow_array::builder::make_view;
use arrow_schema::DataType;
use rustler::Env;

/// Bytes that a view can hold itself.
const INLINE: usize = 12;
/// Bytes that offsets of 32 bits count.
const MOST: usize = i32::MAX as usize;

/// The bytes of a text: of a binary, or an atom's name.
pub(super) fn with_text<'a, R>(
    env: Env<'a>,
    word: Word<'a>,
    take: impl FnOnce(&[u8]) -> R,
) -> Option<R> {
    match terms::bytes(env, word) {
        Some(bytes) => Some(take(bytes)),
        None if terms::kind(env, word) == Kind::Atom => {
            Some(terms::with_atom(env, word, |name| take(name.as_bytes())))
        }
        None => None,
    }
}

/// Whether a type is of texts, and not of any bytes.
pub(super) fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// Hands the bytes of an element of texts or bytes to `take`; `None` for what is none.
pub(super) fn with_element<'a, R>(
    env: Env<'a>,
    word: Word<'a>,
    data_type: &DataType,
    take: impl FnOnce(&[u8]) -> R,
) -> Option<R> {
    if !is_text(data_type) {
        return terms::bytes(env, word).map(take);
    }
    with_text(env, word, |bytes| {
        let fits = bytes.is_ascii() || std::str::from_utf8(bytes).is_ok();
        fits.then(|| take(bytes))
    })?
}

/// So many bytes, of a binary or of a struct that has them, such as a UUID.
pub(super) fn fixed<'a>(env: Env<'a>, word: Word<'a>, width: usize) -> Option<&'a [u8]> {
    let word = terms::get(env, word, n::bytes().into()).unwrap_or(word);
    terms::bytes(env, word).filter(|bytes| bytes.len() == width)
}

impl Made {
    pub(super) fn texts<const WIDTH: usize>(
        &mut self,
        column: &Column<'_, '_>,
        work: &mut Work,
    ) -> Result<(), Stop> {
        let mut offsets = Vec::with_capacity((column.words.len() + 1) * WIDTH);
        offsets.extend_from_slice(&[0; WIDTH]);
        for (row, &word) in column.words.iter().enumerate() {
            if !is_nil(word) {
                let data = &mut self.data;
                let append = |bytes: &[u8]| data.extend_from_slice(bytes);
                let appended = with_element(column.env, word, column.data_type, append);
                appended.ok_or_else(|| column.no(row))?;
            }
            let end = self.data.len();
            if WIDTH == 4 && end > MOST {
                let what = "more than 2 GiB in a column of offsets of 32 bits";
                return Err(Stop::unfit(row, what, "binary").hint(WIDER));
            }
            offsets.extend_from_slice(&(end as u64).to_le_bytes()[..WIDTH]);
        }
        work.spend(self.data.len() / 256)?;
        self.offsets = Some(offsets);
        Ok(())
    }

    /// Views, and the bytes of those that don't hold them.
    pub(super) fn views(&mut self, column: &Column<'_, '_>, work: &mut Work) -> Result<(), Stop> {
        self.data.reserve(column.words.len() * size_of::<u128>());
        for (row, &word) in column.words.iter().enumerate() {
            let buffers = &mut self.buffers;
            let mut view = |bytes: &[u8]| {
                if bytes.len() <= INLINE {
                    return Some(make_view(bytes, 0, 0));
                }
                if bytes.len() > MOST {
                    return None;
                }
                if buffers.last().is_none_or(|last: &Vec<u8>| last.len() + bytes.len() > MOST) {
                    buffers.push(Vec::new());
                }
                let block = buffers.len() - 1;
                let start = buffers[block].len();
                buffers[block].extend_from_slice(bytes);
                Some(make_view(bytes, block as u32, start as u32))
            };
            let view = match is_nil(word) {
                true => view(b""),
                false => with_element(column.env, word, column.data_type, view)
                    .ok_or_else(|| column.no(row))?,
            };
            let view = view.ok_or_else(|| {
                Stop::unfit(row, "more than 2 GiB in a view", "binary").hint(WIDER)
            })?;
            self.data.extend_from_slice(&view.to_le_bytes());
        }
        work.spend(self.buffers.iter().map(Vec::len).sum::<usize>() / 256)
    }

    pub(super) fn fixed_binary(
        &mut self,
        column: &Column<'_, '_>,
        width: usize,
    ) -> Result<(), Stop> {
        let bytes = column.words.len().checked_mul(width);
        // A null takes as much, so that a wide type may ask for more than there is.
        let room = bytes.and_then(|bytes| self.data.try_reserve_exact(bytes).ok());
        room.ok_or_else(|| {
            let what = format!("elements of {width} bytes each, more than there is memory for");
            Stop::unfit(0, what, "binary").hint(LESS)
        })?;
        for (row, &word) in column.words.iter().enumerate() {
            let end = self.data.len() + width;
            if !is_nil(word) {
                let bytes = fixed(column.env, word, width).ok_or_else(|| column.no(row))?;
                self.data.extend_from_slice(bytes);
            }
            self.data.resize(end, 0);
        }
        Ok(())
    }
}
