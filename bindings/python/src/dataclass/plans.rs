//! Where plans are found: each on its class, those of other types in a book of `_analyse.py`.

use super::plan::Plan;
use pyo3::exceptions::PyValueError;
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyString, PyTuple, PyType};
use std::ptr::NonNull;

use super::class::Object;
use super::fail::Outcome;

/// The plan of a type.
#[inline(always)]
pub(super) fn of_type<'py>(target: &Bound<'py, PyAny>) -> PyResult<Bound<'py, Plan>> {
    let is_class = target.is_instance_of::<PyType>();
    if is_class
        && let Some(found) = on_class(target)
        && let Ok(plan) = found.cast_into_exact::<Plan>()
        && plan.get().target.is(target)
    {
        return Ok(plan);
    }
    // Where there is no hash it is not there either.
    if let Ok(Some(found)) = in_book(target.py())?.get_item(target) {
        let plan = found.cast_into_exact::<Plan>()?;
        if !plan.get().is_ordered || has_order_of(plan.get().target.bind(target.py()), target)? {
            return Ok(plan);
        }
    }
    analyse(target)
}

/// Whether two types that are equal are so in the order of what is in them, too: `==` passes over that of unions.
fn has_order_of<'py>(a: &Bound<'py, PyAny>, b: &Bound<'py, PyAny>) -> PyResult<bool> {
    if a.is(b) {
        return Ok(true);
    }
    let name = intern!(a.py(), "__args__");
    let (Some(a), Some(b)) = (a.getattr_opt(name)?, b.getattr_opt(name)?) else { return Ok(true) };
    let (Ok(a), Ok(b)) = (a.cast_into::<PyTuple>(), b.cast_into::<PyTuple>()) else {
        return Ok(true);
    };
    if a.len() != b.len() {
        return Ok(false);
    }
    for (a, b) in a.iter().zip(&b) {
        // At one place two that are not equal may stand. Of a Literal's values 1 is True.
        let is_same =
            a.is(&b) || (a.get_type().is(b.get_type()) && a.eq(&b)? && has_order_of(&a, &b)?);
        if !is_same {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What a class or one that it derives from has as its plan.
#[inline(always)]
fn on_class<'py>(class: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
    let py = class.py();
    let name = intern!(py, "__slipring_plan__");
    // SAFETY: an object and a name that are alive; a new reference or null.
    match NonNull::new(unsafe { ffi::PyObject_GetAttr(class.as_ptr(), name.as_ptr()) }) {
        // SAFETY: a new reference.
        Some(found) => Some(unsafe { Bound::from_owned_ptr(py, found.as_ptr()) }),
        None => {
            // SAFETY: attached.
            unsafe { ffi::PyErr_Clear() };
            None
        }
    }
}

fn in_book(py: Python<'_>) -> PyResult<&Bound<'_, PyDict>> {
    static BOOK: PyOnceLock<Py<PyDict>> = PyOnceLock::new();
    let book = BOOK.get_or_try_init(py, || {
        let book = py.import("slipring.dataclass._analyse")?.getattr("_plans")?;
        Ok::<_, PyErr>(book.cast_into::<PyDict>()?.unbind())
    })?;
    Ok(book.bind(py))
}

#[cold]
fn analyse<'py>(target: &Bound<'py, PyAny>) -> PyResult<Bound<'py, Plan>> {
    let module = target.py().import("slipring.dataclass._analyse")?;
    Ok(module.getattr("plan")?.call1((target,))?.cast_into::<Plan>()?)
}

/// The plan of an object's class, if it is one with fields.
pub(super) fn of_object<'py>(object: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, Plan>>> {
    let (py, class) = (object.py(), object.get_type());
    let has = |name: &Bound<'py, PyString>| class.hasattr(name);
    if !has(intern!(py, "__dataclass_fields__"))? && !has(intern!(py, "__attrs_attrs__"))? {
        return Ok(None);
    }
    of_type(class.as_any()).map(Some)
}

/// The plan of what has no type: node 0 is anything.
pub(super) fn untyped(py: Python<'_>) -> PyResult<Py<Plan>> {
    static UNTYPED: PyOnceLock<Py<Plan>> = PyOnceLock::new();
    let plan = UNTYPED.get_or_try_init(py, || {
        let any = PyTuple::new(py, ["any"])?;
        let nodes = PyTuple::new(py, [any])?;
        Py::new(py, Plan::compile(py.None().bind(py), &nodes, 0, false)?)
    })?;
    Ok(plan.clone_ref(py))
}

/// Base64 of bytes.
pub(super) fn base64(bytes: &Bound<'_, PyBytes>) -> PyResult<String> {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bytes = bytes.as_bytes();
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let word = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            let letter = LETTERS[(word >> (18 - 6 * at) & 63) as usize];
            text.push(char::from(if at <= chunk.len() { letter } else { b'=' }));
        }
    }
    Ok(text)
}

/// Bytes of strict base64.
pub(super) fn from_base64(text: &Bound<'_, PyAny>) -> Outcome<Option<Object>> {
    let py = text.py();
    let options = PyDict::new(py);
    options.set_item(intern!(py, "strict_mode"), true)?;
    let module = py.import(intern!(py, "binascii"))?;
    match module.call_method(intern!(py, "a2b_base64"), (text,), Some(&options)) {
        // SAFETY: a reference is never null.
        Ok(made) => Ok(Some(unsafe { NonNull::new_unchecked(made.into_ptr()) })),
        Err(error) if error.is_instance_of::<PyValueError>(py) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
