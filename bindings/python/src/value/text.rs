//! Texts of a frame as str objects.

use pyo3::ffi;
use pyo3::prelude::*;

/// A str of these bytes; `None` with an exception set if they are not UTF-8, or there is no memory.
///
/// Whoever writes to the bytes meanwhile gets another text, and never a str that is broken: what is taken for
/// ASCII is looked at where it is not shared.
#[inline]
pub(crate) fn new_text<'py>(py: Python<'py>, text: &[u8]) -> Option<Bound<'py, PyAny>> {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let (from, len) = (text.as_ptr(), text.len());
    // SAFETY: both pieces lie within the length, and may overlap. What `new_ascii` gives has room for them.
    unsafe {
        match len {
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
            _ if text.is_ascii() => {
                let (new, to) = new_ascii(py, len)?;
                std::ptr::copy_nonoverlapping(from, to, len);
                if std::slice::from_raw_parts(to, len).is_ascii() {
                    return Some(new);
                }
            }
            _ => {}
        }
    }
    decode_utf8(py, text)
}

/// A str of bytes that may not be ASCII. CPython, too, looks at them and then copies, so it gets a copy.
#[cold]
fn decode_utf8<'py>(py: Python<'py>, text: &[u8]) -> Option<Bound<'py, PyAny>> {
    let mut few = [0; 256];
    let many;
    let own = match few.get_mut(..text.len()) {
        Some(own) => {
            own.copy_from_slice(text);
            &*own
        }
        None => {
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
