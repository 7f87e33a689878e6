//! Types that users have registered. The books are kept in Python (`slipring.values`); here they
//! are looked into.

use crate::error;
use crate::value::fault::{Fault, type_name};
use crate::value::types::warn_lossy;
use pyo3::exceptions::{PyAttributeError, PyException};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;
use slipring_codec::error::Segment;

/// How objects of a registered type are written.
pub(crate) struct Registered {
    pub(crate) name: Py<PyAny>,
    pub(crate) version: u64,
    pub(crate) fields: Py<PyAny>,
}

/// A name, and the fields under it.
pub(crate) type Known<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>);

struct Books {
    by_type: Py<PyDict>,
    by_name: Py<PyDict>,
}

fn books(py: Python<'_>) -> PyResult<&'static Books> {
    static BOOKS: PyOnceLock<Books> = PyOnceLock::new();
    BOOKS.get_or_try_init(py, || {
        let values = py.import("slipring.values")?;
        let book = |name| Ok::<_, PyErr>(values.getattr(name)?.cast_into::<PyDict>()?.unbind());
        Ok(Books { by_type: book("_by_type")?, by_name: book("_by_name")? })
    })
}

/// Whether nobody has registered anything, so that no code of others runs while values are read.
pub(crate) fn is_quiet(py: Python<'_>) -> PyResult<bool> {
    Ok(books(py)?.by_name.bind(py).is_empty())
}

pub(super) fn is_registered(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    books(object.py())?.by_type.bind(object.py()).contains(object.get_type())
}

/// What a class is registered with.
pub(crate) fn entry<'py>(class: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    books(class.py())?.by_type.bind(class.py()).get_item(class)
}

/// What is registered under a name.
pub(crate) fn entry_named<'py>(py: Python<'py>, name: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
    books(py)?.by_name.bind(py).get_item(name)
}

/// Whether objects of what is registered are put together from their fields, by no code of its own.
pub(crate) fn is_by_fields(entry: &Bound<'_, PyAny>) -> PyResult<bool> {
    entry.getattr(intern!(entry.py(), "by_fields"))?.extract()
}

/// The object's name, version and fields, if its type is registered. Where its own encoder fails,
/// that is said, and it goes as if it were not registered.
pub(crate) fn of(object: &Bound<'_, PyAny>) -> PyResult<Option<Registered>> {
    let py = object.py();
    let by_type = books(py)?.by_type.bind(py);
    if by_type.is_empty() {
        return Ok(None);
    }
    let Some(entry) = by_type.get_item(object.get_type())? else { return Ok(None) };
    match entry.call_method1(intern!(py, "fields_of"), (object,)) {
        Ok(fields) => Ok(Some(Registered {
            name: entry.getattr(intern!(py, "name"))?.unbind(),
            version: entry.getattr(intern!(py, "version"))?.extract()?,
            fields: fields.unbind(),
        })),
        Err(error) if !error.is_instance_of::<PyException>(py) => Err(error),
        Err(error) => {
            let kind = object.get_type().fully_qualified_name()?;
            let what = format!(
                "the encoder registered for {kind} failed ({error}): a standard form is used"
            );
            warn_lossy(py, &what)?;
            Ok(None)
        }
    }
}

/// The object of a registered name; `None` if nobody has registered it.
pub(crate) fn build<'py>(
    py: Python<'py>,
    name: &str,
    version: u64,
    fields: &Bound<'py, PyAny>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    match books(py)?.by_name.bind(py).get_item(name)? {
        Some(entry) => entry.call_method1(intern!(py, "build"), (fields, version)).map(Some),
        None if name.starts_with("scipy.") => {
            let values = py.import(intern!(py, "slipring.values"))?;
            match values.call_method1(intern!(py, "_build"), (name, fields)) {
                Ok(made) => Ok((!made.is_none()).then_some(made)),
                Err(e) if e.is_instance_of::<PyException>(py) => {
                    let hint = "the sender may be newer, or faulty: send the arrays by themselves";
                    let class = intern!(py, "DecodeError");
                    let what = format!("a {name} can't be put together: {e}");
                    Err(error::undecodable(py, class, &what, "$", name, hint))
                }
                Err(error) => Err(error),
            }
        }
        None => Ok(None),
    }
}

/// Whether an exception says that the object has not this attribute, or none if no name is given.
pub(crate) fn is_unset(
    error: &PyErr,
    object: &Bound<'_, PyAny>,
    name: Option<&Bound<'_, PyAny>>,
) -> PyResult<bool> {
    let py = object.py();
    if !error.is_instance_of::<PyAttributeError>(py) {
        return Ok(false);
    }
    let value = error.value(py);
    if !value.getattr(intern!(py, "obj"))?.is(object) {
        return Ok(false);
    }
    name.map_or(Ok(true), |name| value.getattr(intern!(py, "name"))?.eq(name))
}

/// An attribute that was never set, or was deleted, as a refusal with its place.
#[cold]
fn without_attribute(object: &Bound<'_, PyAny>, error: PyErr) -> Box<Fault> {
    let py = object.py();
    let name = error.value(py).getattr(intern!(py, "name"));
    match (is_unset(&error, object, None), name.and_then(|name| name.extract::<String>())) {
        (Ok(true), Ok(name)) => {
            let what = format!("the attribute {name} is not set");
            Fault::refused(what, type_name(object), "set it before").within(Segment::key(&name))
        }
        _ => error.into(),
    }
}

/// Name and fields of an object whose type nobody has registered, if its type is one that is known by
/// itself: a dataclass, a sparse array.
pub(crate) fn known<'py>(object: &Bound<'py, PyAny>) -> Result<Option<Known<'py>>, Box<Fault>> {
    let py = object.py();
    let values = py.import(intern!(py, "slipring.values"))?;
    match values.call_method1(intern!(py, "_known"), (object,)) {
        Ok(known) => Ok(known.extract()?),
        Err(error) => Err(without_attribute(object, error)),
    }
}

/// The fields of a dataclass's object by their names; `None` for anything else.
pub(crate) fn dataclass_fields<'py>(
    object: &Bound<'py, PyAny>,
) -> Result<Option<Bound<'py, PyAny>>, Box<Fault>> {
    let py = object.py();
    if !object.get_type().hasattr(intern!(py, "__dataclass_fields__"))? {
        return Ok(None);
    }
    let values = py.import(intern!(py, "slipring.values"))?;
    match values.call_method1(intern!(py, "_dataclass_fields"), (object,)) {
        Ok(fields) => Ok(Some(fields)),
        Err(error) => Err(without_attribute(object, error)),
    }
}
