//! Strings, sixteen bytes at a time.

/// Bytes that are looked at together.
pub(super) const BLOCK: usize = 16;

pub(super) type Block = [u8; BLOCK];

/// The sixteen bytes from `at` on, if there are so many.
#[inline(always)]
pub(super) fn block(bytes: &[u8], at: usize) -> Option<Block> {
    bytes.get(at..)?.first_chunk::<BLOCK>().copied()
}

/// Two blocks that follow each other.
pub(super) type Pair = [Block; 2];

/// The two blocks from `at` on, if there are so many bytes.
#[inline(always)]
pub(super) fn pair(bytes: &[u8], at: usize) -> Option<Pair> {
    let (blocks, _) = bytes.get(at..)?.as_chunks::<BLOCK>();
    blocks.first_chunk::<2>().copied()
}

/// As [`ends`].
#[inline(always)]
pub(super) fn ends_of_pair(pair: Pair) -> u32 {
    ends(pair[0]) | ends(pair[1]) << BLOCK
}

/// As [`beyond_ascii`].
#[inline(always)]
pub(super) fn beyond_ascii_of_pair(pair: Pair) -> u32 {
    beyond_ascii(pair[0]) | beyond_ascii(pair[1]) << BLOCK
}

/// The last `rest` bytes, fewer than sixteen, and zeros behind them.
#[inline(always)]
pub(super) fn tail(bytes: &[u8], rest: usize) -> Block {
    match bytes.last_chunk::<BLOCK>() {
        Some(last) if rest > 0 => {
            (u128::from_le_bytes(*last) >> (8 * (BLOCK - rest))).to_le_bytes()
        }
        Some(_) => [0; BLOCK],
        None => part(bytes),
    }
}

/// Fewer than sixteen bytes, and zeros behind them.
#[inline(always)]
pub(super) fn part(bytes: &[u8]) -> Block {
    let len = bytes.len();
    let word = if let (Some(head), Some(tail)) = (bytes.first_chunk(), bytes.last_chunk()) {
        // Where both overlap they are the same.
        let (head, tail) = (u64::from_le_bytes(*head), u64::from_le_bytes(*tail));
        u128::from(head) | u128::from(tail) << (8 * (len - 8))
    } else if let (Some(head), Some(tail)) = (bytes.first_chunk(), bytes.last_chunk()) {
        let (head, tail) = (u32::from_le_bytes(*head), u32::from_le_bytes(*tail));
        u128::from(u64::from(head) | u64::from(tail) << (8 * (len - 4)))
    } else if let (Some(first), Some(last)) = (bytes.first(), bytes.last()) {
        let middle = u32::from(bytes[len / 2]) << (8 * (len / 2));
        u128::from(u32::from(*first) | middle | u32::from(*last) << (8 * (len - 1)))
    } else {
        0
    };
    word.to_le_bytes()
}

/// A bit for each byte: whether it ends a run in a string, being a quote, a backslash or a control.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) fn ends(block: Block) -> u32 {
    mask(marked(vector(block)))
}

/// A bit for each byte: whether that of one of two blocks ends a run.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) fn ends_of_either(one: Block, other: Block) -> u32 {
    mask(marked_in_either(vector(one), vector(other)))
}

/// All bits of a byte that ends a run.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn marked(bytes: std::arch::x86_64::__m128i) -> std::arch::x86_64::__m128i {
    marked_in_either(bytes, bytes)
}

/// All bits of a byte that ends a run in one of two blocks.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn marked_in_either(
    one: std::arch::x86_64::__m128i,
    other: std::arch::x86_64::__m128i,
) -> std::arch::x86_64::__m128i {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_min_epu8, _mm_or_si128, _mm_set1_epi8, _mm_xor_si128,
    };
    // SAFETY: SSE2, which every x86-64 has.
    #[allow(unused_unsafe, reason = "newer compilers know that these are safe")]
    unsafe {
        // With this bit turned round controls stay controls, and the quote, and nothing else, is the one behind them. The
        // lower one of two is low if either is.
        let bit = _mm_set1_epi8(2);
        let turned = _mm_min_epu8(_mm_xor_si128(one, bit), _mm_xor_si128(other, bit));
        let low = _mm_cmpeq_epi8(_mm_min_epu8(turned, _mm_set1_epi8(0x20)), turned);
        let slash = _mm_set1_epi8(b'\\' as i8);
        let slash = _mm_or_si128(_mm_cmpeq_epi8(one, slash), _mm_cmpeq_epi8(other, slash));
        _mm_or_si128(low, slash)
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn mask(bytes: std::arch::x86_64::__m128i) -> u32 {
    // SAFETY: SSE2, which every x86-64 has.
    #[allow(unused_unsafe, reason = "newer compilers know that it is safe")]
    unsafe {
        std::arch::x86_64::_mm_movemask_epi8(bytes) as u32
    }
}

/// A bit for each byte: whether it is beyond ASCII.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) fn beyond_ascii(block: Block) -> u32 {
    // SAFETY: SSE2, which every x86-64 has.
    #[allow(unused_unsafe, reason = "newer compilers know that it is safe")]
    unsafe {
        std::arch::x86_64::_mm_movemask_epi8(vector(block)) as u32
    }
}

/// A bit for each byte: whether it is anything but a space.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) fn not_spaces(block: Block) -> u32 {
    use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_movemask_epi8, _mm_set1_epi8};
    // SAFETY: SSE2, which every x86-64 has.
    #[allow(unused_unsafe, reason = "newer compilers know that these are safe")]
    unsafe {
        !(_mm_movemask_epi8(_mm_cmpeq_epi8(vector(block), _mm_set1_epi8(b' ' as i8))) as u32)
            & 0xffff
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn vector(block: Block) -> std::arch::x86_64::__m128i {
    // SAFETY: sixteen bytes are one, whatever they are.
    unsafe { std::mem::transmute(block) }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn bits(block: Block, holds: impl Fn(u8) -> bool) -> u32 {
    block.iter().enumerate().fold(0, |bits, (at, &byte)| bits | u32::from(holds(byte)) << at)
}

/// A bit for each byte: whether it ends a run in a string, being a quote, a backslash or a control.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub(super) fn ends(block: Block) -> u32 {
    bits(block, |byte| byte < 0x20 || byte == b'"' || byte == b'\\')
}

/// A bit for each byte: whether that of one of two blocks ends a run.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub(super) fn ends_of_either(one: Block, other: Block) -> u32 {
    ends(one) | ends(other)
}

/// A bit for each byte: whether it is beyond ASCII.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub(super) fn beyond_ascii(block: Block) -> u32 {
    bits(block, |byte| byte >= 0x80)
}

/// A bit for each byte: whether it is anything but a space.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub(super) fn not_spaces(block: Block) -> u32 {
    bits(block, |byte| byte != b' ')
}
