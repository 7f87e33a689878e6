//! The types that values know, as Python has them.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::{ffi, intern};

/// The exact basic types, which make up nearly all of what is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exact {
    Str,
    Int,
    Float,
    Dict,
    List,
    Bool,
    None,
    Tuple,
    Bytes,
    Other,
}

impl Exact {
    #[inline(always)]
    pub(crate) fn of(object: Borrowed<'_, '_, PyAny>) -> Self {
        // SAFETY: the object is alive; the types are static objects, of which only addresses are taken.
        unsafe {
            let kind = ffi::Py_TYPE(object.as_ptr());
            if kind == &raw mut ffi::PyUnicode_Type {
                Self::Str
            } else if kind == &raw mut ffi::PyLong_Type {
                Self::Int
            } else if kind == &raw mut ffi::PyFloat_Type {
                Self::Float
            } else if kind == &raw mut ffi::PyBool_Type {
                Self::Bool
            } else if object.as_ptr() == ffi::Py_None() {
                Self::None
            } else if kind == &raw mut ffi::PyDict_Type {
                Self::Dict
            } else if kind == &raw mut ffi::PyList_Type {
                Self::List
            } else if kind == &raw mut ffi::PyTuple_Type {
                Self::Tuple
            } else if kind == &raw mut ffi::PyBytes_Type {
                Self::Bytes
            } else {
                Self::Other
            }
        }
    }
}

/// Types of the standard library and of this package, found once.
pub(crate) struct Types {
    pub(crate) atom: Py<PyAny>,
    pub(crate) tag: Py<PyAny>,
    pub(crate) object: Py<PyAny>,
    pub(crate) decimal: Py<PyAny>,
    pub(crate) uuid: Py<PyAny>,
    pub(crate) fraction: Py<PyAny>,
    pub(crate) zone_info: Py<PyAny>,
    pub(crate) enumeration: Py<PyAny>,
}

impl Types {
    pub(crate) fn get(py: Python<'_>) -> PyResult<&'static Self> {
        static TYPES: PyOnceLock<Types> = PyOnceLock::new();
        TYPES.get_or_try_init(py, || {
            let find = |module: &str, name: &str| {
                py.import(module).and_then(|module| module.getattr(name)).map(Bound::unbind)
            };
            Ok(Self {
                atom: find("slipring.values", "Atom")?,
                tag: find("slipring.values", "Tag")?,
                object: find("slipring.values", "Object")?,
                decimal: find("decimal", "Decimal")?,
                uuid: find("uuid", "UUID")?,
                fraction: find("fractions", "Fraction")?,
                zone_info: find("zoneinfo", "ZoneInfo")?,
                enumeration: find("enum", "Enum")?,
            })
        })
    }
}

/// What `str` makes of a Decimal or a UUID, by `class`'s own method: a class below may say anything of itself.
#[inline(always)]
pub(crate) fn own_text<'py>(
    object: Borrowed<'_, 'py, PyAny>,
    class: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    if object.get_type_ptr().cast() != class.as_ptr() {
        return text_by(object, class);
    }
    // SAFETY: an object that is alive; a new reference, or null with an exception set.
    unsafe { Bound::from_owned_ptr_or_err(object.py(), ffi::PyObject_Str(object.as_ptr())) }
}

#[cold]
fn text_by<'py>(
    object: Borrowed<'_, 'py, PyAny>,
    class: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    class.call_method1(intern!(object.py(), "__str__"), (object,))
}

/// Says that something is lost, and how it is kept.
#[cold]
pub(crate) fn warn_lossy(py: Python<'_>, message: &str) -> PyResult<()> {
    let class = py.import(intern!(py, "slipring.errors"))?.getattr(intern!(py, "LossyWarning"))?;
    let message = std::ffi::CString::new(message.replace('\0', "?"))?;
    PyErr::warn(py, &class, &message, 1)
}
