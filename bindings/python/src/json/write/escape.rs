//! Escaped text, written where there is room for it.

use super::*;

/// As [`escaped`], for bytes that stand behind others of the same object: then no size is a special case.
///
/// # Safety
/// As for [`escaped`], and two blocks can be written; `len` bytes from `from` on and [`BLOCK`] before them can be
/// read.
#[inline(always)]
pub(super) unsafe fn escaped_behind_block(from: *const u8, len: usize, to: *mut u8) -> *mut u8 {
    // SAFETY: what is read ends with the bytes and begins at most a block before them; what is written ends two blocks
    // behind `to`, or with as many bytes as there are.
    unsafe {
        if len <= 2 * BLOCK {
            // Without a branch for each length, which would be foretold wrongly. Pieces end where the bytes do, or where
            // the first sixteen or eight of them do; what they hold from before the bytes is written where another piece
            // is written after it.
            let (sixteen, eight) = (len.min(BLOCK), len.min(8));
            let head = from.add(sixteen).wrapping_sub(BLOCK).cast::<scan::Block>().read();
            let tail = from.add(len).wrapping_sub(BLOCK).cast::<scan::Block>().read();
            let second = from.add(sixteen).wrapping_sub(8).cast::<u64>().read_unaligned();
            let first = from.add(eight).wrapping_sub(8).cast::<u64>().read_unaligned();
            to.add(len - sixteen).cast::<scan::Block>().write(tail);
            to.cast::<scan::Block>().write(head);
            to.add(sixteen - eight).cast::<u64>().write_unaligned(second);
            // Of no bytes it does not matter what is written.
            let first = u64::from_le(first).wrapping_shr(8 * (8 - eight) as u32).to_le();
            to.cast::<u64>().write_unaligned(first);
            if scan::ends_of_either(head, tail) >> (BLOCK - sixteen) == 0 {
                return to.add(len);
            }
            return escaped_long(from, len, to);
        }
        let pair = |at: usize, second: usize| {
            let one = from.add(at).cast::<scan::Block>().read();
            let other = from.add(second).cast::<scan::Block>().read();
            to.add(at).cast::<scan::Block>().write(one);
            to.add(second).cast::<scan::Block>().write(other);
            scan::ends_of_either(one, other)
        };
        // Two blocks at a time; the last two end with the bytes, and may overlap those before.
        let mut at = 0;
        while at + 2 * BLOCK < len {
            if pair(at, at + BLOCK) != 0 {
                return escaped_long(from.add(at), len - at, to.add(at));
            }
            at += 2 * BLOCK;
        }
        // Of these one may begin before `at`: it holds the same.
        if pair(at.min(len - BLOCK), len - BLOCK) != 0 {
            return escaped_long(from.add(at), len - at, to.add(at));
        }
        to.add(len)
    }
}

/// As [`escaped`], for what is long or has escapes.
///
/// # Safety
/// As for [`escaped`]; `len` bytes from `from` on can be read.
#[inline(never)]
unsafe fn escaped_long(from: *const u8, len: usize, to: *mut u8) -> *mut u8 {
    // SAFETY: by the caller's word.
    unsafe { escaped(std::slice::from_raw_parts(from, len), to) }
}

/// A text between its quotes.
pub(in crate::json) fn quote(text: &str) -> Vec<u8> {
    let mut quoted = vec![b'"'];
    for &byte in text.as_bytes() {
        match ESCAPES.get(usize::from(byte)) {
            Some((escape, len @ 1..)) => quoted.extend_from_slice(&escape[..usize::from(*len)]),
            _ => quoted.push(byte),
        }
    }
    quoted.push(b'"');
    quoted
}

/// Writes bytes of a string, with escapes where it needs them, and gives the place behind.
///
/// # Safety
/// Six bytes for each of these and [`BLOCK`] more can be written from `to` on.
#[inline(always)]
pub(super) unsafe fn escaped(bytes: &[u8], mut to: *mut u8) -> *mut u8 {
    let mut at = 0;
    while let Some(block) = scan::block(bytes, at) {
        // SAFETY: by the caller's word: no byte before took more than six.
        to = unsafe { escaped_block(block, BLOCK, to) };
        at += BLOCK;
    }
    let rest = bytes.len() - at;
    // SAFETY: as above.
    unsafe { escaped_block(scan::tail(bytes, rest), rest, to) }
}

/// # Safety
/// Six bytes for each of the `len` first ones and [`BLOCK`] more can be written from `to` on.
#[inline(always)]
unsafe fn escaped_block(block: scan::Block, len: usize, to: *mut u8) -> *mut u8 {
    let ends = scan::ends(block) & ((1 << len) - 1);
    // SAFETY: by the caller's word.
    unsafe {
        to.cast::<scan::Block>().write(block);
        // A branch that is foretold is faster than a place that is computed.
        if ends == 0 { to.add(len) } else { escape_block(block, len, to, ends) }
    }
}

/// # Safety
/// As for [`escaped_block`]; `ends` has no bit from `len` on.
#[inline(never)]
unsafe fn escape_block(
    block: scan::Block,
    mut len: usize,
    mut to: *mut u8,
    mut ends: u32,
) -> *mut u8 {
    let mut word = u128::from_le_bytes(block);
    loop {
        // SAFETY: what is left of the block, the zeros behind it included, has sixteen bytes, and each byte that is done took
        // at most six, by the caller's word; the table's eight bytes end within the same.
        unsafe {
            to.cast::<scan::Block>().write(word.to_le_bytes());
            if ends == 0 {
                return to.add(len);
            }
            let run = ends.trailing_zeros() as usize;
            word >>= 8 * run;
            let (escape, escape_len) = ESCAPES[usize::from(word as u8 & 0x7f)];
            to = to.add(run);
            to.cast::<[u8; 8]>().write(escape);
            to = to.add(usize::from(escape_len));
            word >>= 8;
            (ends, len) = (ends >> run >> 1, len - run - 1);
        }
    }
}
