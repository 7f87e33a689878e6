//! The bytes of any object that has the buffer protocol.

use crate::producer::copy;
use pyo3::ffi;
use pyo3::prelude::*;
use std::borrow::Cow;
use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::ptr;

/// A hold on an object's buffer: as long as it lives the object neither moves nor resizes it.
pub(crate) struct Buffer {
    // Boxed: some exporters point into the structure itself.
    raw: Box<ffi::Py_buffer>,
}

impl Buffer {
    /// The buffer of `object`, `None` if it has none. It may be strided.
    pub(crate) fn of(object: &Bound<'_, PyAny>) -> PyResult<Option<Self>> {
        // SAFETY: the object is alive.
        if unsafe { ffi::PyObject_CheckBuffer(object.as_ptr()) } == 0 {
            return Ok(None);
        }
        let mut raw = Box::new(MaybeUninit::<ffi::Py_buffer>::zeroed());
        // SAFETY: the object is alive, and the place is one for a `Py_buffer`.
        let got = unsafe {
            ffi::PyObject_GetBuffer(object.as_ptr(), raw.as_mut_ptr(), ffi::PyBUF_FULL_RO)
        };
        if got != 0 {
            return Err(PyErr::fetch(object.py()));
        }
        // SAFETY: the call succeeded, so that the structure is filled.
        Ok(Some(Self { raw: unsafe { raw.assume_init() } }))
    }

    pub(crate) fn len(&self) -> usize {
        self.raw.len as usize
    }

    /// Whether it is more than bytes in a row: of other elements, or in several dimensions.
    pub(crate) fn is_typed(&self) -> bool {
        if self.raw.format.is_null() {
            return self.raw.ndim > 1;
        }
        // SAFETY: a C string, which the exporter keeps as long as the buffer is held.
        let format = unsafe { CStr::from_ptr(self.raw.format) }.to_bytes();
        let format = match format {
            [b'@' | b'=' | b'<' | b'>' | b'!', rest @ ..] => rest,
            whole => whole,
        };
        self.raw.ndim > 1 || !matches!(format, b"B" | b"b" | b"c" | b"")
    }

    /// The bytes, where they lie in one piece in C order.
    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        // SAFETY: the structure was filled by its exporter.
        let whole = unsafe { ffi::PyBuffer_IsContiguous(&*self.raw, b'C' as _) } != 0;
        if !whole {
            return None;
        }
        if self.raw.len == 0 {
            return Some(&[]);
        }
        // SAFETY: `len` contiguous bytes, kept by the export. Writing to them meanwhile from
        // another thread is the caller's own race, as with every consumer of the protocol.
        Some(unsafe { std::slice::from_raw_parts(self.raw.buf.cast::<u8>(), self.len()) })
    }

    /// The bytes in C order, copied where they don't lie so.
    pub(crate) fn in_one_piece(&self, py: Python<'_>) -> PyResult<Cow<'_, [u8]>> {
        if let Some(bytes) = self.bytes() {
            return Ok(bytes.into());
        }
        let mut out = vec![0; self.len()];
        self.copy_to(py, &mut out)?;
        Ok(out.into())
    }

    /// Copies the bytes in C order; `out` has `len` of them.
    pub(crate) fn copy_to(&self, py: Python<'_>, out: &mut [u8]) -> PyResult<()> {
        assert_eq!(out.len(), self.len());
        if let Some(bytes) = self.bytes() {
            return copy(py, bytes, out);
        }
        let view = ptr::from_ref(&*self.raw).cast_mut();
        // SAFETY: `out` is writable for the length given, and the structure is filled.
        let copied = unsafe {
            ffi::PyBuffer_ToContiguous(out.as_mut_ptr().cast(), view, self.raw.len, b'C' as _)
        };
        if copied == 0 { Ok(()) } else { Err(PyErr::fetch(py)) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        Python::attach(|_| {
            // SAFETY: filled once, released once, while attached.
            unsafe { ffi::PyBuffer_Release(&mut *self.raw) }
        });
    }
}
