//! Short pieces of bytes that are expected, and compared in registers.

const ROOM: usize = 40;
type Words = [u64; ROOM / 8];

/// Up to 40 bytes that may come next; [`Decoder::take_padded`](super::Decoder::take_padded) looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Padded {
    /// The bytes, and zeros behind them.
    words: Words,
    /// All ones where the bytes are.
    keep: Words,
    len: usize,
}

impl Padded {
    /// `None` for more than 40 bytes.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let (mut padded, mut kept) = ([0; ROOM], [0; ROOM]);
        padded.get_mut(..bytes.len())?.copy_from_slice(bytes);
        kept[..bytes.len()].fill(0xff);
        Some(Self { words: words(&padded), keep: words(&kept), len: bytes.len() })
    }

    /// How many bytes they are.
    #[inline(always)]
    #[expect(clippy::len_without_is_empty, reason = "nobody expects nothing")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether fewer than 40 bytes begin with them.
    #[cold]
    pub(super) fn begin_short(&self, next: &[u8]) -> bool {
        let mut padded = [0; ROOM];
        padded[..next.len()].copy_from_slice(next);
        self.len <= next.len() && self.begin(&padded)
    }

    /// Whether these begin with them.
    #[inline(always)]
    pub(super) fn begin(&self, next: &[u8; ROOM]) -> bool {
        let next = words(next);
        (0..next.len()).fold(0, |differ, at| differ | next[at] & self.keep[at] ^ self.words[at])
            == 0
    }
}

#[inline(always)]
fn words(bytes: &[u8; ROOM]) -> Words {
    let (chunks, _) = bytes.as_chunks::<8>();
    std::array::from_fn(|at| u64::from_le_bytes(chunks[at]))
}
