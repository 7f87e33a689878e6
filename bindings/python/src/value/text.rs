//! Texts of a frame as str objects.

use pyo3::ffi;
use pyo3::prelude::*;
use std::mem::MaybeUninit;

/// A str of these bytes; `None` with an exception set if they are not UTF-8, or there is no memory.
///
/// Whoever writes to the bytes meanwhile gets another text, and never a str that is broken: what is taken for
/// ASCII is looked at where it is not shared.
#[inline]
pub(crate) fn new_text<'py>(py: Python<'py>, text: &[u8]) -> Option<Bound<'py, PyAny>> {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    const HIGH_16: u128 = (HIGH as u128) << 64 | HIGH as u128;
    let (from, len) = (text.as_ptr(), text.len());
    // SAFETY: both pieces lie within the length, and may overlap. What `new_ascii` gives has room for them.
    unsafe {
        match len {
            17..=32 => {
                let head = from.cast::<u128>().read_unaligned();
                let tail = from.add(len - 16).cast::<u128>().read_unaligned();
                if (head | tail) & HIGH_16 == 0 {
                    let (new, to) = new_ascii(py, len)?;
                    to.cast::<u128>().write_unaligned(head);
                    to.add(len - 16).cast::<u128>().write_unaligned(tail);
                    return Some(new);
                }
            }
            8..=16 => {
                let head = from.cast::<u64>().read_unaligned();
                let tail = from.add(len - 8).cast::<u64>().read_unaligned();
                if (head | tail) & HIGH == 0 {
                    let (new, to) = new_ascii(py, len)?;
                    to.cast::<u64>().write_unaligned(head);
                    to.add(len - 8).cast::<u64>().write_unaligned(tail);
                    return Some(new);
                }
            }
            4..=7 => {
                let head = from.cast::<u32>().read_unaligned();
                let tail = from.add(len - 4).cast::<u32>().read_unaligned();
                if (head | tail) & HIGH as u32 == 0 {
                    let (new, to) = new_ascii(py, len)?;
                    to.cast::<u32>().write_unaligned(head);
                    to.add(len - 4).cast::<u32>().write_unaligned(tail);
                    return Some(new);
                }
            }
            2..=3 => {
                let [first, middle, last] = [0, 1, len - 1].map(|at| from.add(at).read());
                if first | middle | last < 0x80 {
                    let (new, to) = new_ascii(py, len)?;
                    to.write(first);
                    to.add(1).write(middle);
                    to.add(len - 1).write(last);
                    return Some(new);
                }
            }
            1 => {
                let character = from.read();
                if character < 0x80 {
                    // Of these there is one each.
                    let one = ffi::PyUnicode_FromOrdinal(character.into());
                    return Bound::from_owned_ptr_or_opt(py, one);
                }
            }
            0 => {}
            _ => {
                let head = from.cast::<u128>().read_unaligned();
                if head & HIGH_16 == 0 {
                    let (new, to) = new_ascii(py, len)?;
                    // What is looked at is what was written.
                    let (mut all, mut at) = (head, 16);
                    to.cast::<u128>().write_unaligned(head);
                    while at < len - 16 {
                        let next = from.add(at).cast::<u128>().read_unaligned();
                        to.add(at).cast::<u128>().write_unaligned(next);
                        (all, at) = (all | next, at + 16);
                    }
                    let tail = from.add(len - 16).cast::<u128>().read_unaligned();
                    to.add(len - 16).cast::<u128>().write_unaligned(tail);
                    if (all | tail) & HIGH_16 == 0 {
                        return Some(new);
                    }
                }
            }
        }
    }
    decode_utf8(py, text)
}

/// Bytes of a text that is looked at on the stack.
const SOME: usize = 512;
/// What a character takes at most.
const WIDEST: usize = 4;

/// A str of bytes that may not be ASCII. They are looked at and then copied, so that is done with a copy.
#[inline(never)]
fn decode_utf8<'py>(py: Python<'py>, text: &[u8]) -> Option<Bound<'py, PyAny>> {
    let mut few = [const { MaybeUninit::<u8>::uninit() }; SOME + WIDEST];
    let many;
    let own = match text.len() {
        // SAFETY: so many bytes of the text, and as many zeros behind it as a character takes, all of which are there to be written,
        // and are then borrowed.
        len @ 0..=SOME => unsafe {
            let own = few.as_mut_ptr().cast::<u8>();
            std::ptr::copy_nonoverlapping(text.as_ptr(), own, len);
            std::ptr::write_bytes(own.add(len), 0, WIDEST);
            let own = std::slice::from_raw_parts(own, len + WIDEST);
            if let Some(new) = in_two_bytes(py, own) {
                return new;
            }
            &own[..len]
        },
        _ => {
            many = text.to_vec();
            &many
        }
    };
    // SAFETY: gives a new reference, or null with an exception set.
    unsafe {
        let new = ffi::PyUnicode_DecodeUTF8(own.as_ptr().cast(), own.len() as _, std::ptr::null());
        Bound::from_owned_ptr_or_opt(py, new)
    }
}

/// The str of a text that ends with as many zeros as a character may take, and has no more than [`SOME`] bytes before them; the
/// outer `None` if it is not UTF-8, or if a character takes more than two bytes in memory.
#[inline(always)]
fn in_two_bytes<'py>(py: Python<'py>, padded: &[u8]) -> Option<Option<Bound<'py, PyAny>>> {
    let mut characters = [const { MaybeUninit::<u16>::uninit() }; SOME];
    let end = padded.len() - WIDEST;
    let (mut at, mut len, mut highest) = (0, 0, 0);
    while at < end {
        let next = u32::from_le_bytes(*padded[at..].first_chunk()?);
        // Neither a zero nor what begins another character goes on with one.
        let (character, takes) = if next & 0x80 == 0 {
            (next & 0x7f, 1)
        } else if next & 0xc0_c0f0 == 0x80_80e0 {
            let character = (next & 0xf) << 12 | (next >> 2 & 0xfc0) | (next >> 16 & 0x3f);
            if character < 0x800 || character & 0xf800 == 0xd800 {
                return None;
            }
            (character, 3)
        } else if next & 0xc0e0 == 0x80c0 && next & 0x1e != 0 {
            ((next & 0x1f) << 6 | (next >> 8 & 0x3f), 2)
        } else {
            return None;
        };
        characters.get_mut(len)?.write(character as u16);
        (at, len, highest) = (at + takes, len + 1, highest | character);
    }
    // SAFETY: so many were written.
    let characters = unsafe { std::slice::from_raw_parts(characters.as_ptr().cast::<u16>(), len) };
    if len == 1 {
        // Of those up to U+00FF there is one each.
        // SAFETY: gives a new reference, or null with an exception set.
        return Some(unsafe {
            Bound::from_owned_ptr_or_opt(py, ffi::PyUnicode_FromOrdinal(highest as _))
        });
    }
    // The widest one says how wide each is.
    // SAFETY: the call gives a new reference, or null with an exception set; the str has room for so many characters, of one byte
    // each up to U+00FF and of two beyond, and nobody else has seen it.
    Some(unsafe {
        let new = Bound::from_owned_ptr_or_opt(py, ffi::PyUnicode_New(len as _, highest));
        new.inspect(|new| {
            let to = ffi::PyUnicode_DATA(new.as_ptr());
            match highest {
                ..=0xff => characters
                    .iter()
                    .enumerate()
                    .for_each(|(at, &character)| to.cast::<u8>().add(at).write(character as u8)),
                _ => std::ptr::copy_nonoverlapping(characters.as_ptr(), to.cast(), len),
            }
        })
    })
}

/// Text of so many bytes is looked at where nobody allocates.
const TEXT: usize = 64;

/// For a text that a peer may change between a look and the next.
#[inline(always)]
pub(crate) fn with_own<R>(text: &[u8], use_it: impl FnOnce(&[u8]) -> R) -> R {
    let mut own = [0; TEXT];
    match own.get_mut(..text.len()) {
        Some(own) => {
            own.copy_from_slice(text);
            use_it(own)
        }
        None => {
            let own = text.to_vec();
            use_it(&own)
        }
    }
}

/// A new str of so many ASCII characters, two or more, and the place where they are to be written.
///
/// # Safety
/// They are written, or nobody else gets the str.
#[inline(always)]
unsafe fn new_ascii(py: Python<'_>, len: usize) -> Option<(Bound<'_, PyAny>, *mut u8)> {
    // SAFETY: the call gives a new reference, or null with an exception set. Behind the fixed fields of a compact
    // ASCII str stand its characters.
    unsafe {
        let new = Bound::from_owned_ptr_or_opt(py, ffi::PyUnicode_New(len as _, 127))?;
        let data = new.as_ptr().cast::<ffi::PyASCIIObject>().add(1).cast::<u8>();
        Some((new, data))
    }
}
