//! How a buffer of an array comes into its place: copied once, and cut, shifted or counted anew on the way.

use arrow_buffer::{Buffer, NullBuffer};

/// Bytes that a view holds in itself; longer ones lie in a buffer.
pub(super) const INLINE: usize = 12;
/// How long a buffer may be that views count in with 32 bits.
const VIEWED: usize = i32::MAX as usize;

/// One buffer of a body. Lengths and ranges were checked when it was planned.
#[derive(Debug)]
pub(super) enum Copy {
    /// As it is.
    Bytes(Buffer),
    /// A bitmap, from this bit on.
    Bits { bits: Buffer, offset: usize, len: usize },
    /// 32-bit offsets less their first one.
    Rebased32 { offsets: Buffer, by: i32 },
    /// 64-bit offsets less their first one.
    Rebased64 { offsets: Buffer, by: i64 },
    /// Ends of runs of this width, from an element on, the last one cut.
    RunEnds { ends: Buffer, width: usize, by: i64, len: i64 },
    /// Offsets of a dense union, less the first of each child.
    Union { types: Buffer, offsets: Buffer, by: Box<[i32; 128]> },
    /// Views; empty where null, and into `Gathered` buffers if `gather`.
    Views { views: Buffer, nulls: Option<NullBuffer>, gather: bool },
    /// The bytes of the views from this one on, as many as one buffer takes.
    Gathered {
        views: Buffer,
        nulls: Option<NullBuffer>,
        data: Box<[Buffer]>,
        first: usize,
        len: usize,
    },
    /// Zeros.
    Zeros(usize),
}

impl Copy {
    /// Bytes that it takes.
    pub(super) fn len(&self) -> usize {
        match self {
            Copy::Bytes(bytes) => bytes.len(),
            Copy::Bits { len, .. } => len.div_ceil(8),
            Copy::Rebased32 { offsets, .. }
            | Copy::Rebased64 { offsets, .. }
            | Copy::Union { offsets, .. } => offsets.len(),
            Copy::RunEnds { ends, .. } => ends.len(),
            Copy::Views { views, .. } => views.len(),
            Copy::Gathered { len, .. } => *len,
            Copy::Zeros(len) => *len,
        }
    }

    /// Writes it over all of `out`, which has that length.
    pub(super) fn write(&self, out: &mut [u8]) {
        match self {
            Copy::Bytes(bytes) => out.copy_from_slice(bytes),
            Copy::Bits { bits, offset, len } => write_bits(out, bits, *offset, *len),
            Copy::Rebased32 { offsets, by } => {
                each(out, offsets, |offset| {
                    (i32::from_le_bytes(offset).wrapping_sub(*by)).to_le_bytes()
                });
            }
            Copy::Rebased64 { offsets, by } => {
                each(out, offsets, |offset| {
                    (i64::from_le_bytes(offset).wrapping_sub(*by)).to_le_bytes()
                });
            }
            Copy::RunEnds { ends, width: 2, by, len } => {
                let end =
                    |end| i64::from(i16::from_le_bytes(end)).wrapping_sub(*by).min(*len) as i16;
                each(out, ends, |bytes| end(bytes).to_le_bytes());
            }
            Copy::RunEnds { ends, width: 4, by, len } => {
                let end =
                    |end| i64::from(i32::from_le_bytes(end)).wrapping_sub(*by).min(*len) as i32;
                each(out, ends, |bytes| end(bytes).to_le_bytes());
            }
            Copy::RunEnds { ends, by, len, .. } => {
                let end = |end| i64::from_le_bytes(end).wrapping_sub(*by).min(*len);
                each(out, ends, |bytes| end(bytes).to_le_bytes());
            }
            Copy::Union { types, offsets, by } => {
                let (out, _) = out.as_chunks_mut::<4>();
                let (offsets, _) = offsets.as_chunks::<4>();
                for ((out, &offset), &id) in out.iter_mut().zip(offsets).zip(types.as_slice()) {
                    let by = by[usize::from(id & 0x7F)];
                    *out = i32::from_le_bytes(offset).wrapping_sub(by).to_le_bytes();
                }
            }
            Copy::Views { views, nulls, gather } => {
                write_views(out, views, nulls.as_ref(), *gather)
            }
            Copy::Gathered { views, nulls, data, first, .. } => {
                gather(out, views, nulls.as_ref(), data, *first);
            }
            Copy::Zeros(_) => out.fill(0),
        }
    }
}

/// Applies `f` to each N bytes.
fn each<const N: usize>(out: &mut [u8], from: &[u8], f: impl Fn([u8; N]) -> [u8; N]) {
    let (out, _) = out.as_chunks_mut::<N>();
    let (from, _) = from.as_chunks::<N>();
    for (out, &from) in out.iter_mut().zip(from) {
        *out = f(from);
    }
}

/// The bits from `offset` on, moved to the start; those after the last one are zero.
fn write_bits(out: &mut [u8], bits: &Buffer, offset: usize, len: usize) {
    if offset.is_multiple_of(8) {
        let from = &bits[offset / 8..];
        let n = out.len();
        out.copy_from_slice(&from[..n]);
        if let (Some(last), used @ 1..) = (out.last_mut(), len % 8) {
            *last &= (1 << used) - 1;
        }
        return;
    }
    let chunks = bits.bit_chunks(offset, len);
    // The remainder has up to 63 bits, which may take eight bytes as well.
    let words = chunks.iter().chain([chunks.remainder_bits()]);
    for (out, word) in out.chunks_mut(8).zip(words) {
        out.copy_from_slice(&word.to_le_bytes()[..out.len()]);
    }
}

/// A view: its length, and where its bytes lie if they are not in it.
pub(crate) struct View {
    pub(crate) len: usize,
    pub(crate) buffer: usize,
    pub(crate) offset: usize,
}

impl View {
    /// Negative numbers come out as lengths and places that nothing has.
    pub(crate) fn parse(view: &[u8; 16]) -> View {
        let word = |at: usize| {
            let word = [view[at], view[at + 1], view[at + 2], view[at + 3]];
            i32::from_le_bytes(word) as isize as usize
        };
        View { len: word(0), buffer: word(8), offset: word(12) }
    }

    /// Whether its bytes lie in a buffer.
    pub(crate) fn is_long(&self) -> bool {
        self.len > INLINE
    }
}

/// Where gathered bytes go: in order, a new buffer where 32 bits no longer count them.
#[derive(Default)]
pub(super) struct Places {
    pub(super) buffer: i32,
    pub(super) filled: usize,
}

impl Places {
    /// The place of the next `len` bytes; whether it is the first in its buffer, and not the first of all.
    pub(super) fn take(&mut self, len: usize) -> (i32, i32, bool) {
        let turned = self.filled + len > VIEWED;
        if turned {
            self.buffer += 1;
            self.filled = 0;
        }
        let offset = self.filled as i32;
        self.filled += len;
        (self.buffer, offset, turned)
    }
}

fn write_views(out: &mut [u8], views: &Buffer, nulls: Option<&NullBuffer>, gather: bool) {
    let (out, _) = out.as_chunks_mut::<16>();
    let (views, _) = views.as_chunks::<16>();
    let mut places = Places::default();
    for (row, (out, view)) in out.iter_mut().zip(views).enumerate() {
        if nulls.is_some_and(|nulls| nulls.is_null(row)) {
            *out = [0; 16];
            continue;
        }
        *out = *view;
        let parsed = View::parse(view);
        if gather && parsed.is_long() {
            let (buffer, offset, _) = places.take(parsed.len);
            out[8..12].copy_from_slice(&buffer.to_le_bytes());
            out[12..].copy_from_slice(&offset.to_le_bytes());
        }
    }
}

fn gather(
    out: &mut [u8],
    views: &Buffer,
    nulls: Option<&NullBuffer>,
    data: &[Buffer],
    first: usize,
) {
    let (views, _) = views.as_chunks::<16>();
    let mut filled = 0;
    for (row, view) in views.iter().enumerate().skip(first) {
        let view = View::parse(view);
        if !view.is_long() || nulls.is_some_and(|nulls| nulls.is_null(row)) {
            continue;
        }
        if filled == out.len() {
            break;
        }
        let bytes = &data[view.buffer][view.offset..][..view.len];
        out[filled..filled + view.len].copy_from_slice(bytes);
        filled += view.len;
    }
}
