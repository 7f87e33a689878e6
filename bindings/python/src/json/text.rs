//! Text of JSON as str.

use pyo3::ffi;
use pyo3::prelude::*;

/// A str of bytes that were ASCII when they were looked at; null with an exception set if there is no memory.
#[inline(always)]
pub(crate) fn make_ascii(text: &[u8]) -> *mut ffi::PyObject {
    if let &[character] = text {
        // Of these there is one each.
        // SAFETY: gives a new reference or null.
        return unsafe { ffi::PyUnicode_FromOrdinal((character & 0x7f).into()) };
    }
    // SAFETY: gives a new reference or null.
    let new = unsafe { ffi::PyUnicode_New(text.len() as _, 127) };
    if new.is_null() || text.is_empty() {
        return new;
    }
    // SAFETY: nobody else has seen it. Behind the fixed fields of a compact ASCII str stand its characters, as many
    // as were asked for.
    unsafe {
        let data = new.cast::<ffi::PyASCIIObject>().add(1).cast::<u8>();
        match text.len() {
            33..=256 => copy_blocks(text, data),
            _ => crate::value::sink::copy_short(text, data),
        }
    }
    new
}

/// Whether all characters of a str that [`make_ascii`] gave are ASCII; so is null.
#[inline(always)]
pub(super) fn is_ascii(made: *mut ffi::PyObject) -> bool {
    if made.is_null() {
        return true;
    }
    let str = made.cast::<ffi::PyASCIIObject>();
    // SAFETY: a compact str that is said to be ASCII, whose characters stand behind its fixed fields.
    unsafe { std::slice::from_raw_parts(str.add(1).cast::<u8>(), (*str).length as usize) }
        .is_ascii()
}

/// Copies more than 32 bytes, without a call.
///
/// # Safety
/// `to` has room for them.
#[inline(always)]
unsafe fn copy_blocks(from: &[u8], to: *mut u8) {
    type Blocks = [u8; 32];
    let mut at = 0;
    while let Some(blocks) = from[at..].first_chunk::<32>() {
        // SAFETY: the same place of both.
        unsafe { to.add(at).cast::<Blocks>().write(*blocks) };
        at += 32;
    }
    if let Some(last) = from.last_chunk::<32>() {
        // SAFETY: the same place of both.
        unsafe { to.add(from.len() - 32).cast::<Blocks>().write(*last) };
    }
}

/// A str of these bytes, or null with an exception set; or the place of those that are not UTF-8. `lone` lets lone
/// surrogates through, which have three bytes each.
pub(super) fn make_text(
    py: Python<'_>,
    text: &[u8],
    lone: bool,
) -> Result<*mut ffi::PyObject, usize> {
    let Err(error) = std::str::from_utf8(text) else { return Ok(make_valid(text)) };
    if !lone {
        return Err(error.valid_up_to());
    }
    let (data, len) = (text.as_ptr().cast(), text.len() as _);
    // SAFETY: the pointer and its length are those of `text`; the name ends with a zero.
    let new = unsafe { ffi::PyUnicode_DecodeUTF8(data, len, c"surrogatepass".as_ptr()) };
    if new.is_null() {
        // Either no memory, or what is no surrogate either.
        let raised = PyErr::fetch(py);
        if raised.is_instance_of::<pyo3::exceptions::PyUnicodeDecodeError>(py) {
            return Err(raised.value(py).getattr("start").and_then(|n| n.extract()).unwrap_or(0));
        }
        raised.restore(py);
    }
    Ok(new)
}

/// A str of bytes that were UTF-8 when they were looked at.
fn make_valid(text: &[u8]) -> *mut ffi::PyObject {
    // Of the bytes that continue no character the largest says how wide the widest one is.
    let (mut len, mut largest) = (0, 0);
    // As many as a byte counts, so that many are looked at together.
    for piece in text.chunks(255) {
        let mut begin = 0u8;
        for &byte in piece {
            begin += u8::from(byte & 0xc0 != 0x80);
            largest = largest.max(byte);
        }
        len += usize::from(begin);
    }
    match largest {
        0..0x80 => make_ascii(text),
        0x80..0xc4 => make_wide::<u8>(text, len, 0xff),
        0xc4..0xf0 => make_wide::<u16>(text, len, 0xffff),
        _ => make_wide::<u32>(text, len, 0x10_ffff),
    }
}

/// A character as a str holds it.
trait Unit: Copy {
    fn cut(code_point: u32) -> Self;
}

impl Unit for u8 {
    #[inline(always)]
    fn cut(code_point: u32) -> Self {
        code_point as u8
    }
}

impl Unit for u16 {
    #[inline(always)]
    fn cut(code_point: u32) -> Self {
        code_point as u16
    }
}

impl Unit for u32 {
    #[inline(always)]
    fn cut(code_point: u32) -> Self {
        code_point
    }
}

fn make_wide<U: Unit>(text: &[u8], len: usize, widest: u32) -> *mut ffi::PyObject {
    // SAFETY: gives a new reference or null.
    let new = unsafe { ffi::PyUnicode_New(len as _, widest) };
    if new.is_null() {
        return new;
    }
    // SAFETY: a new str that nobody else has seen; behind the fixed fields of a compact one, which is not ASCII,
    // stand `len` characters of this width.
    let units = unsafe {
        let data = new.cast::<ffi::PyCompactUnicodeObject>().add(1).cast::<U>();
        std::slice::from_raw_parts_mut(data.cast::<std::mem::MaybeUninit<U>>(), len)
    };
    let mut at = 0;
    let byte = |at: usize| u32::from(text.get(at).copied().unwrap_or(0));
    for unit in units {
        let first = byte(at);
        let rest = |index: usize| byte(at + index) & 0x3f;
        let (code_point, len) = match first {
            0..0x80 => (first, 1),
            0x80..0xe0 => ((first & 0x1f) << 6 | rest(1), 2),
            0xe0..0xf0 => ((first & 0x0f) << 12 | rest(1) << 6 | rest(2), 3),
            _ => ((first & 0x07) << 18 | rest(1) << 12 | rest(2) << 6 | rest(3), 4),
        };
        at += len;
        unit.write(U::cut(code_point.min(0x10_ffff)));
    }
    new
}
