//! Runs of a string and of white space, eight bytes at a time.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// The upper bit of the lowest byte that ends a run in a string: a quote, a backslash or a control. Bytes above it may be
/// marked for nothing.
#[inline(always)]
fn ends(word: u64) -> u64 {
    let zero = |x: u64| x.wrapping_sub(ONES) & !x;
    let quote = zero(word ^ (ONES * b'"' as u64));
    let slash = zero(word ^ (ONES * b'\\' as u64));
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (quote | slash | control) & HIGH
}

#[inline(always)]
fn word(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Where the first quote, backslash or control from `at` on is, or the end, and whether bytes beyond ASCII stand before.
#[inline(always)]
pub fn run(bytes: &[u8], mut at: usize) -> (usize, bool) {
    let mut beyond = 0;
    while let Some(word) = word(bytes, at) {
        let ends = ends(word);
        if ends != 0 {
            // The bits below the one that marks the first.
            beyond |= word & (ends & ends.wrapping_neg()).wrapping_sub(1);
            return (at + (ends.trailing_zeros() / 8) as usize, beyond & HIGH != 0);
        }
        beyond |= word;
        at += 8;
    }
    let mut beyond = beyond & HIGH != 0;
    while let Some(&byte) = bytes.get(at) {
        if byte < 0x20 || byte == b'"' || byte == b'\\' {
            break;
        }
        beyond |= byte >= 0x80;
        at += 1;
    }
    (at, beyond)
}

/// Where the first byte from `at` on is that is no space, of those that stand in whole eights.
#[inline(always)]
pub fn spaces(bytes: &[u8], mut at: usize) -> usize {
    while let Some(word) = word(bytes, at) {
        let others = word ^ (ONES * b' ' as u64);
        if others != 0 {
            return at + (others.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    at
}
