//! A bytes object that grows while it is written.

use super::encode::Writer;
use super::fault::Fault;
use super::warn_losses;
use crate::json::Lend;
use crate::pickle;
use pyo3::exceptions::PyMemoryError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use slipring_codec::token::Sink;
use slipring_codec::{Encoder, tag};
use std::cell::Cell;

unsafe extern "C" {
    /// Not among PyO3's declarations, but a stable part of CPython's interface.
    fn _PyBytes_Resize(bytes: *mut *mut ffi::PyObject, size: ffi::Py_ssize_t) -> std::ffi::c_int;
}

/// What is written goes straight into the object that the caller gets.
///
/// 1. `object` is a bytes object that nobody else has seen, of `capacity` + [`SLACK`] bytes from `data` on; or
///    it is null, `capacity` is 0, and memory has run out.
/// 2. The first `len` bytes are written, where memory did not run out.
pub(crate) struct BytesSink {
    object: *mut ffi::PyObject,
    data: *mut u8,
    len: usize,
    capacity: usize,
}

/// Bytes behind the capacity, so that short pieces can be written as 16 bytes at once.
const SLACK: usize = 16;

/// Up to here what is lent grows fourfold.
const SMALL: usize = 1 << 17;

/// What is begun with at most, however long the last one was.
const LONGEST: usize = 1 << 20;

thread_local! {
    /// How long the thread's last object was, or half of that of the one before: the next one is mostly like it, and one that
    /// has not to grow is neither copied nor cut, and gets memory that is at hand.
    static LAST: Cell<usize> = const { Cell::new(0) };
}

impl BytesSink {
    /// For an object of at least `capacity` bytes, and not many more than the last one had.
    pub(crate) fn new(capacity: usize) -> Self {
        let last = LAST.get().min(LONGEST);
        let capacity = capacity.max(last + last / 16);
        // SAFETY: the interpreter is attached by the caller's Writer; null is rule 1.
        let object =
            unsafe { ffi::PyBytes_FromStringAndSize(std::ptr::null(), (capacity + SLACK) as _) };
        let mut sink = Self { object, data: std::ptr::null_mut(), len: 0, capacity };
        sink.locate(capacity);
        sink
    }

    /// Holds rule 1 after the object was made or resized.
    fn locate(&mut self, capacity: usize) {
        if self.object.is_null() {
            (self.data, self.capacity) = (std::ptr::null_mut(), 0);
        } else {
            // SAFETY: a bytes object by rule 1.
            self.data = unsafe { ffi::PyBytes_AS_STRING(self.object) }.cast_mut().cast();
            self.capacity = capacity;
        }
    }

    fn resize(&mut self, len: usize) {
        if !self.object.is_null() {
            // SAFETY: nobody else has seen the object; the call leaves null where memory runs out.
            unsafe { _PyBytes_Resize(&mut self.object, len as _) };
        }
    }

    #[cold]
    fn grow(&mut self, needed: usize) {
        let capacity = needed.saturating_mul(2).next_multiple_of(64) - SLACK;
        self.resize(capacity + SLACK);
        self.locate(capacity);
    }

    /// The object, cut to what was written.
    pub(crate) fn finish(mut self, py: Python<'_>) -> PyResult<Bound<'_, PyBytes>> {
        LAST.set(self.len.max(LAST.get() / 2));
        if !self.object.is_null() && self.capacity + SLACK - self.len <= self.len / 2 {
            // The little that is left stays: an allocator that gets back as much as it gave keeps large pieces at hand, and
            // one that is cut is given back to the system.
            // SAFETY: rules 1 and 2; nobody else has seen the object, whose bytes end with a zero.
            unsafe {
                (*self.object.cast::<ffi::PyVarObject>()).ob_size = self.len as _;
                self.data.add(self.len).write(0);
            }
        } else {
            self.resize(self.len);
        }
        let object = std::mem::replace(&mut self.object, std::ptr::null_mut());
        if object.is_null() {
            // The exception of the call that failed, if nothing has taken it.
            let raised = PyErr::take(py);
            return Err(
                raised.unwrap_or_else(|| PyMemoryError::new_err("no memory to encode into"))
            );
        }
        // SAFETY: the one reference to a bytes object.
        Ok(unsafe { Bound::from_owned_ptr(py, object).cast_into_unchecked() })
    }
}

impl Drop for BytesSink {
    fn drop(&mut self) {
        // SAFETY: the one reference, or null.
        unsafe { ffi::Py_XDECREF(self.object) };
    }
}

/// Copies bytes, of which there are mostly few, without a call where there are.
///
/// # Safety
/// `to` has room for them.
#[inline(always)]
pub(crate) unsafe fn copy_short(from: &[u8], to: *mut u8) {
    let (len, from) = (from.len(), from.as_ptr());
    // SAFETY: both pieces of a pair lie within the length, and may overlap each other.
    unsafe {
        match len {
            17..=32 => {
                let (head, tail) =
                    (from.cast::<[u8; 16]>().read(), from.add(len - 16).cast::<[u8; 16]>().read());
                to.cast::<[u8; 16]>().write(head);
                to.add(len - 16).cast::<[u8; 16]>().write(tail);
            }
            8..=16 => {
                let (head, tail) = (
                    from.cast::<u64>().read_unaligned(),
                    from.add(len - 8).cast::<u64>().read_unaligned(),
                );
                to.cast::<u64>().write_unaligned(head);
                to.add(len - 8).cast::<u64>().write_unaligned(tail);
            }
            4..=7 => {
                let (head, tail) = (
                    from.cast::<u32>().read_unaligned(),
                    from.add(len - 4).cast::<u32>().read_unaligned(),
                );
                to.cast::<u32>().write_unaligned(head);
                to.add(len - 4).cast::<u32>().write_unaligned(tail);
            }
            0..=3 => (0..len).for_each(|i| *to.add(i) = *from.add(i)),
            _ => std::ptr::copy_nonoverlapping(from, to, len),
        }
    }
}

impl Sink for BytesSink {
    #[inline(always)]
    fn put(&mut self, bytes: &[u8]) {
        let end = self.len.saturating_add(bytes.len());
        if end > self.capacity {
            self.grow(end);
            if end > self.capacity {
                self.len = end;
                return;
            }
        }
        // SAFETY: rule 1, and the bytes end within the capacity.
        unsafe { copy_short(bytes, self.data.add(self.len)) };
        self.len = end;
    }

    #[inline(always)]
    fn put_first(&mut self, bytes: [u8; 16], len: usize) {
        if self.len >= self.capacity {
            return self.put(&bytes[..len]);
        }
        let all = u128::from_le_bytes(bytes);
        // In two stores: one of 16 bytes would wait for what was just put together in two halves.
        // SAFETY: rule 1: behind each byte of the capacity there are 16 more.
        unsafe {
            let to = self.data.add(self.len).cast::<u64>();
            to.write_unaligned((all as u64).to_le());
            to.add(1).write_unaligned(((all >> 64) as u64).to_le());
        }
        self.len += len;
    }

    #[inline]
    fn len(&self) -> usize {
        self.len
    }
}

// SAFETY: rule 1; the object moves only when the sink is used.
unsafe impl Lend for BytesSink {
    fn lend(&mut self, len: usize) -> Option<(*mut u8, usize)> {
        let end = self.len.saturating_add(len);
        if end > self.capacity {
            // While it is small it grows faster: each time what there is may have to be copied.
            self.grow(if end < SMALL { end.saturating_mul(2) } else { end });
        }
        if end > self.capacity {
            // Code of others may run before `finish` says it.
            // SAFETY: the interpreter is attached by the caller's Writer.
            unsafe { ffi::PyErr_Clear() };
            return None;
        }
        // SAFETY: rules 1 and 2: `len` is not beyond the capacity here.
        Some((unsafe { self.data.add(self.len) }, self.capacity - self.len))
    }

    unsafe fn take(&mut self, len: usize) {
        self.len += len;
    }
}

/// The object as CBOR, all in one piece.
pub(super) fn encode_bytes<'py>(
    object: &Bound<'py, PyAny>,
) -> Result<Bound<'py, PyBytes>, Box<Fault>> {
    written(object.py(), |writer| writer.write(object.as_borrowed(), 0))
}

/// What is written, all in one piece.
pub(crate) fn written<'py>(
    py: Python<'py>,
    write: impl FnOnce(&mut Writer<'py, BytesSink>) -> Result<(), Box<Fault>>,
) -> Result<Bound<'py, PyBytes>, Box<Fault>> {
    let mut writer = Writer::new(py, BytesSink::new(512), false);
    write(&mut writer)?;
    warn_losses(py, &writer.losses)?;
    Ok(writer.encoder.sink().finish(py)?)
}

/// The object as CBOR; as a pickle among it where it has no other form.
pub(crate) fn encode_or_pickle<'py>(object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    let py = object.py();
    let fault = match encode_bytes(object) {
        Ok(bytes) => return Ok(bytes),
        Err(fault) if fault.is_refusal() => fault,
        Err(fault) => return Err(fault.encoding(py)),
    };
    match as_pickle(object) {
        Ok(made) => fault.tell_pickled(py, true).map(|()| made),
        Err(error) => Err(fault.unpickled(py, Some(error))),
    }
}

/// The object as a pickle among CBOR.
pub(crate) fn as_pickle<'py>(object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    let py = object.py();
    let pickled = pickle::dump(object)?;
    let mut encoder = Encoder::into_sink(BytesSink::new(512));
    encoder.tag(tag::PICKLE).array(1 + pickled.buffers.len()).bytes(pickled.stream.as_bytes());
    for buffer in &pickled.buffers {
        encoder.bytes(&buffer.in_one_piece(py)?);
    }
    encoder.sink().finish(py)
}
