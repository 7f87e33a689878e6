//! Items of containers, each held, whatever becomes of the container meanwhile.

use crate::value::pairs;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::critical_section::with_critical_section;

/// An item of a list, if it has so many.
#[inline(always)]
pub(super) fn item_of<'py>(
    list: &Borrowed<'_, 'py, PyAny>,
    index: usize,
) -> Option<Bound<'py, PyAny>> {
    with_critical_section(list, || {
        // SAFETY: a list, which the caller holds; its length is asked for again each time, and the reference is taken before
        // code of others runs.
        unsafe {
            if index >= ffi::PyList_GET_SIZE(list.as_ptr()) as usize {
                return None;
            }
            let item = ffi::PyList_GET_ITEM(list.as_ptr(), index as _);
            Some(Borrowed::from_ptr(list.py(), item).to_owned())
        }
    })
}

/// The next pair of a dict; `at` is 0 at first.
#[inline(always)]
pub(super) fn pair_of<'py>(
    dict: &Borrowed<'_, 'py, PyAny>,
    at: &mut ffi::Py_ssize_t,
) -> Option<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    with_critical_section(dict, || {
        // SAFETY: a dict, which the caller holds; the position is checked whatever became of the dict, and the references are
        // taken before code of others runs.
        unsafe {
            let (key, value) = pairs::next(dict.as_ptr(), at)?;
            let py = dict.py();
            Some((Borrowed::from_ptr(py, key).to_owned(), Borrowed::from_ptr(py, value).to_owned()))
        }
    })
}
