//! Space in the segment that Python writes into before the frame is sent.
//!
//! 1. The space belongs to a `Space`. What is lent from it (an array or a memoryview) has the space
//!    as its base; while anything is lent the memory stays reserved, whatever becomes of the ring.
//! 2. A frame is sent only when nothing but the name in `with ... as name` refers to what was lent,
//!    and that is emptied first: nobody can write into a frame that others read.
//! 3. Views of an array refer to that array, and exports of a memoryview count on their space, so
//!    that both can be seen from outside.

use crate::choices::{self, Why};
use crate::end::{End, Timeout};
use crate::frame::memoryview;
use crate::{array, counts, error};
use pyo3::exceptions::{PyBufferError, PyRuntimeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use slipring::{Error, Grant, Header, Producer};
use slipring_codec::Format;
use slipring_codec::format::ndarray::{self, Descriptor};
use slipring_codec::format::raw;
use std::ffi::c_int;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// The reserved piece and how often it is lent by buffer.
#[pyclass(frozen, module = "slipring._native")]
pub(crate) struct Space {
    grant: Mutex<Option<Grant>>,
    /// Where in the body the data lies.
    data: Range<usize>,
    /// An array has the space as its base only, so that it can't be made writable again.
    by_buffer: bool,
    exports: AtomicUsize,
}

#[pymethods]
impl Space {
    /// # Safety
    /// As the buffer protocol says: `view` is null or a structure to be filled.
    unsafe fn __getbuffer__(
        slf: Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        let space = slf.get();
        let mut grant = space.grant(slf.py());
        let Some(grant) = grant.as_mut().filter(|_| space.by_buffer) else {
            return Err(PyBufferError::new_err("this reservation has no buffer, or is over"));
        };
        let data = &mut grant[space.data.clone()];
        // SAFETY: the memory stays reserved while the space has exports; the view refers to it.
        let filled = unsafe {
            let pointer = data.as_mut_ptr().cast();
            ffi::PyBuffer_FillInfo(view, slf.as_ptr(), pointer, data.len() as _, 0, flags)
        };
        if filled != 0 {
            return Err(PyErr::fetch(slf.py()));
        }
        // Relaxed: the lock orders it before any look.
        space.exports.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// # Safety
    /// As the buffer protocol says: called once for each filled view.
    unsafe fn __releasebuffer__(&self, _view: *mut ffi::Py_buffer) {
        // Release: pairs with the Acquire in `withdraw`, after the last write.
        self.exports.fetch_sub(1, Ordering::Release);
    }
}

impl Space {
    fn grant(&self, py: Python<'_>) -> std::sync::MutexGuard<'_, Option<Grant>> {
        self.grant.lock_py_attached(py).unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// What is reserved.
pub(crate) enum Shape {
    Bytes(usize),
    Array(Descriptor),
}

struct Open {
    space: Py<Space>,
    lent: Py<PyAny>,
}

#[doc = doc!(Reservation)]
#[pyclass(frozen, module = "slipring")]
pub(crate) struct Reservation {
    end: Arc<End<Producer>>,
    shape: Shape,
    meta: Option<Vec<u8>>,
    timeout: Timeout,
    header: Header,
    /// Room that is had and not lent: before entering, or on leaving, where that is waited for from outside.
    room: Mutex<Option<Grant>>,
    open: Mutex<Option<Open>>,
}

impl Reservation {
    /// Plans it; space is taken on entering, or before by `_claim`.
    pub(crate) fn new(
        py: Python<'_>,
        end: Arc<End<Producer>>,
        shape: Shape,
        meta: Option<Vec<u8>>,
        timeout: Timeout,
    ) -> PyResult<Self> {
        let (header, room, open) = (Header::default(), Mutex::default(), Mutex::default());
        let mut this = Self { end, shape, meta, timeout, header, room, open };
        this.header = crate::producer::header(&this.plan(py)?);
        Ok(this)
    }

    fn plan(&self, py: Python<'_>) -> PyResult<slipring_codec::Plan<'_>> {
        let meta = self.meta.as_deref();
        match &self.shape {
            Shape::Bytes(len) => raw::plan(*len, meta).map_err(|e| error::encode(py, &e, "raw")),
            Shape::Array(descriptor) => {
                ndarray::plan(descriptor, meta).map_err(|e| error::encode(py, &e, "ndarray"))
            }
        }
    }

    fn room(&self, py: Python<'_>) -> std::sync::MutexGuard<'_, Option<Grant>> {
        self.room.lock_py_attached(py).unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn open(&self, py: Python<'_>) -> std::sync::MutexGuard<'_, Option<Open>> {
        self.open.lock_py_attached(py).unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// It was sent.
    fn count(&self, len: usize) {
        let format = match self.shape {
            Shape::Bytes(_) => Format::Raw,
            Shape::Array(_) => Format::Ndarray,
        };
        counts::sent(format, len);
        choices::note(&self.end, None, format, Why::Told("it was reserved so"), 1);
    }

    /// Takes back what was lent: the grant, unless something still refers to it (rule 2).
    fn withdraw(&self, py: Python<'_>, open: Open) -> PyResult<Grant> {
        let Open { space, lent } = open;
        let lent = lent.into_bound(py);
        match &self.shape {
            Shape::Array(descriptor) => {
                // One reference is ours, one may be the name's.
                // SAFETY: the object is alive.
                let references = unsafe { ffi::Py_REFCNT(lent.as_ptr()) };
                if references > 2 {
                    return Err(error::escaped("an array, a view or a second name"));
                }
                // SAFETY: made by `array::over` in `__enter__`; that nothing was derived from it is
                // what the count says, since each view of it holds a reference.
                unsafe { array::empty(&lent, descriptor) };
            }
            Shape::Bytes(_) => {
                lent.call_method0("release")
                    .map_err(|_| error::escaped("a buffer taken of the memoryview"))?;
                if space.get().exports.load(Ordering::Acquire) != 0 {
                    return Err(error::escaped("a slice or copy of the memoryview"));
                }
            }
        }
        let grant = space.get().grant(py).take();
        grant.ok_or_else(|| PyRuntimeError::new_err("the reservation is over"))
    }

    /// Ends the lending: the grant, unless an exception is under way.
    fn end(&self, py: Python<'_>, kind: &Bound<'_, PyAny>) -> PyResult<Option<Grant>> {
        let open = self.open(py).take();
        let Some(open) = open else {
            return Err(PyRuntimeError::new_err("this reservation was not entered"));
        };
        let grant = self.withdraw(py, open);
        if !kind.is_none() {
            // Dropped; what still refers to it keeps the memory until it is gone, and the
            // exception under way says more than ours would.
            return Ok(None);
        }
        grant.map(Some)
    }
}

#[pymethods]
impl Reservation {
    fn __enter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        if self.open(py).is_some() {
            return Err(PyRuntimeError::new_err(
                "this reservation is entered already: call reserve() for another one",
            ));
        }
        let plan = self.plan(py)?;
        let len = plan.body_len();
        let had = self.room(py).take();
        let mut grant = match had {
            Some(grant) if grant.len() == len => grant,
            // In a forked child, where the room is its parent's.
            Some(_) => return Err(error::raise(py, Error::Forked { pid: std::process::id() })),
            None => self.end.run(py, self.timeout, |tx, wait| tx.reserve(len, wait))?,
        };
        let offset = plan.data_offset();
        let pointer =
            plan.write(&mut grant).map_err(|e| error::encode(py, &e, "reservation"))?.as_mut_ptr();
        let space = Space {
            grant: Mutex::new(Some(grant)),
            data: offset..len,
            by_buffer: matches!(self.shape, Shape::Bytes(_)),
            exports: AtomicUsize::new(0),
        };
        let space = Bound::new(py, space)?;
        let base = space.clone().into_any();
        let lent = match &self.shape {
            Shape::Bytes(_) => memoryview(&base)?,
            Shape::Array(descriptor) => array::over(py, descriptor, pointer, true, Some(base))?,
        };
        let open = Open { space: space.unbind(), lent: lent.clone().unbind() };
        *self.open(py) = Some(open);
        Ok(lent)
    }

    fn __exit__(
        &self,
        py: Python<'_>,
        kind: &Bound<'_, PyAny>,
        _error: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        if let Some(grant) = self.end(py, kind)? {
            let len = grant.len();
            crate::producer::commit(py, &self.end, grant, self.header, self.timeout)?;
            self.count(len);
        }
        choices::told(py, Ok(false))
    }

    /// Takes the room that entering needs, if there is some.
    fn _claim(&self, py: Python<'_>) -> PyResult<bool> {
        if self.room(py).is_some() {
            return Ok(true);
        }
        let len = self.plan(py)?.body_len();
        match self.end.attempt(py, Timeout::Now, |tx, wait| tx.reserve(len, wait)) {
            Ok(grant) => *self.room(py) = Some(grant),
            Err(stop) if stop.is_outcome() => return Ok(false),
            Err(stop) => return Err(self.end.raise(py, stop)),
        }
        Ok(true)
    }

    /// As `__exit__`, but for the sending.
    fn _withdraw(&self, py: Python<'_>, kind: &Bound<'_, PyAny>) -> PyResult<()> {
        *self.room(py) = self.end(py, kind)?;
        Ok(())
    }

    /// Sends what was withdrawn, if there is a place.
    fn _commit(&self, py: Python<'_>) -> PyResult<bool> {
        let mut grant = self.room(py).take();
        let len = grant.as_ref().map_or(0, |grant| grant.len());
        let sent =
            crate::producer::try_commit(py, &self.end, &mut grant, self.header, Timeout::Now);
        *self.room(py) = grant;
        match sent {
            Ok(()) => {
                self.count(len);
                choices::told(py, Ok(true))
            }
            Err(stop) if stop.is_outcome() => Ok(false),
            Err(stop) => Err(self.end.raise(py, stop)),
        }
    }

    /// Gives up what was withdrawn and not sent.
    fn _drop(&self, py: Python<'_>) {
        let grant = self.room(py).take();
        drop(grant);
    }
}
