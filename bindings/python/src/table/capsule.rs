//! Arrow's C data and C stream interfaces: what libraries hand each other in capsules.
//!
//! 1. A structure whose `release` is null has been released or moved, and nothing in it may be used.
//! 2. What a structure points to belongs to its `private_data`, which `release` frees, once.

use pyo3::exceptions::PyValueError;
use pyo3::ffi;
use pyo3::prelude::*;
use std::ffi::{CStr, c_char, c_int, c_void};

pub(super) const SCHEMA: &CStr = c"arrow_schema";
pub(super) const ARRAY: &CStr = c"arrow_array";
pub(super) const STREAM: &CStr = c"arrow_array_stream";

pub(super) use arrow_array::ffi::FFI_ArrowSchema as Schema;

/// `struct ArrowArray`.
#[repr(C)]
pub(super) struct Array {
    pub(super) length: i64,
    pub(super) null_count: i64,
    pub(super) offset: i64,
    pub(super) n_buffers: i64,
    pub(super) n_children: i64,
    pub(super) buffers: *mut *const c_void,
    pub(super) children: *mut *mut Array,
    pub(super) dictionary: *mut Array,
    pub(super) release: Option<unsafe extern "C" fn(*mut Array)>,
    pub(super) private_data: *mut c_void,
}

/// `struct ArrowArrayStream`.
#[repr(C)]
pub(super) struct Stream {
    pub(super) get_schema: Option<unsafe extern "C" fn(*mut Stream, *mut Schema) -> c_int>,
    pub(super) get_next: Option<unsafe extern "C" fn(*mut Stream, *mut Array) -> c_int>,
    pub(super) get_last_error: Option<unsafe extern "C" fn(*mut Stream) -> *const c_char>,
    pub(super) release: Option<unsafe extern "C" fn(*mut Stream)>,
    pub(super) private_data: *mut c_void,
}

// SAFETY: the interface lets a structure go from thread to thread, one using it at a time.
unsafe impl Send for Array {}
// SAFETY: as above.
unsafe impl Send for Stream {}

/// A structure of the interface.
pub(super) trait Structure: Sized {
    /// A released one, to be filled.
    fn released() -> Self;
    fn is_released(&self) -> bool;
}

impl Structure for Array {
    fn released() -> Self {
        Array {
            length: 0,
            null_count: 0,
            offset: 0,
            n_buffers: 0,
            n_children: 0,
            buffers: std::ptr::null_mut(),
            children: std::ptr::null_mut(),
            dictionary: std::ptr::null_mut(),
            release: None,
            private_data: std::ptr::null_mut(),
        }
    }

    fn is_released(&self) -> bool {
        self.release.is_none()
    }
}

impl Structure for Stream {
    fn released() -> Self {
        Stream {
            get_schema: None,
            get_next: None,
            get_last_error: None,
            release: None,
            private_data: std::ptr::null_mut(),
        }
    }

    fn is_released(&self) -> bool {
        self.release.is_none()
    }
}

impl Structure for Schema {
    fn released() -> Self {
        Schema::empty()
    }

    fn is_released(&self) -> bool {
        self.release().is_none()
    }
}

impl Drop for Array {
    fn drop(&mut self) {
        if let Some(release) = self.release {
            // SAFETY: rule 2; a callback leaves null.
            unsafe { release(self) }
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Some(release) = self.release {
            // SAFETY: rule 2; a callback leaves null.
            unsafe { release(self) }
        }
    }
}

/// Frees what a consumer has left in the capsule.
///
/// # Safety
/// As Python says of destructors: `object` is a capsule that [`capsule`] has made of a `T`.
unsafe extern "C" fn destroy<T: Structure>(object: *mut ffi::PyObject) {
    // SAFETY: of a capsule, whose name is what it was made with.
    let pointer = unsafe { ffi::PyCapsule_GetPointer(object, ffi::PyCapsule_GetName(object)) };
    if !pointer.is_null() {
        // SAFETY: the box that the capsule was made of; dropping releases what was not moved out.
        drop(unsafe { Box::from_raw(pointer.cast::<T>()) });
    }
}

/// A capsule that owns a structure until a consumer moves it out.
pub(super) fn capsule<'py, T: Structure>(
    py: Python<'py>,
    structure: T,
    name: &'static CStr,
) -> PyResult<Bound<'py, PyAny>> {
    let pointer = Box::into_raw(Box::new(structure));
    // SAFETY: a pointer that is not null, a name that lives for ever, a destructor for what the pointer is.
    let object = unsafe { ffi::PyCapsule_New(pointer.cast(), name.as_ptr(), Some(destroy::<T>)) };
    if object.is_null() {
        // SAFETY: nobody has taken the box.
        drop(unsafe { Box::from_raw(pointer) });
    }
    // SAFETY: a new reference, or null with an exception.
    unsafe { Bound::from_owned_ptr_or_err(py, object) }
}

/// Moves the structure out of a capsule, which is empty then.
///
/// # Safety
/// `T` is the structure that the interface keeps under this name.
pub(super) unsafe fn take<T: Structure>(object: &Bound<'_, PyAny>, name: &CStr) -> PyResult<T> {
    // SAFETY: the object is alive; the call raises where it is no capsule of this name.
    let pointer = unsafe { ffi::PyCapsule_GetPointer(object.as_ptr(), name.as_ptr()) };
    if pointer.is_null() {
        return Err(PyErr::fetch(object.py()));
    }
    // SAFETY: a structure of that kind by the interface, which the interpreter, attached here, keeps from others.
    let taken = unsafe { std::mem::replace(&mut *pointer.cast::<T>(), T::released()) };
    if taken.is_released() {
        return Err(PyValueError::new_err("the capsule is empty: it was taken before"));
    }
    Ok(taken)
}
