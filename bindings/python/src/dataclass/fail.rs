//! What is wrong with a value, gathered on the way out: all that is wrong with an object, each at its place.

use crate::error;
use crate::value::fault::Fault;
use pyo3::exceptions::{PyException, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyInt, PyList, PyString};
use slipring_codec::error::Segment;

/// Why there is no result.
pub(super) enum Fail {
    Invalid(Errors),
    /// An exception, or an object that has no form.
    Fault(Box<Fault>),
    /// The JSON is none; its reader knows why.
    Malformed,
}

/// Messages, as marshmallow arranges them.
pub(super) enum Errors {
    /// The value is null.
    Null,
    /// The value is of another type.
    Invalid(Message),
    /// The value is of none of several types, each with its message.
    Invalids(Vec<Py<PyAny>>),
    /// Validators have said this.
    Said(Vec<Py<PyAny>>),
    /// Under names and indices.
    Within(Vec<(Py<PyAny>, Errors)>),
    /// As an exception has them.
    Given(Py<PyAny>),
    /// Of an object as a whole.
    Schema(Box<Errors>),
    /// Nothing any more; gone before it is told.
    Forgotten,
}

impl Fail {
    /// What ends the whole learns where.
    #[cold]
    #[allow(clippy::boxed_local, reason = "it comes in a box and leaves in one")]
    pub(super) fn within(self: Box<Self>, segment: Segment) -> Box<Self> {
        match *self {
            Self::Fault(fault) => Box::new(Self::Fault(fault.within(segment))),
            other => Box::new(other),
        }
    }
}

pub(super) enum Message {
    Static(&'static str),
    Owned(Box<str>),
    Object(Py<PyAny>),
}

pub(super) const NULL: &str = "Field may not be null.";
pub(super) const REQUIRED: &str = "Missing data for required field.";
pub(super) const UNKNOWN: &str = "Unknown field.";
pub(super) const REFUSED: &str = "Invalid value.";
pub(super) const NO_OBJECT: &str = "Invalid input type.";
pub(super) const NOT_FINITE: &str = "Special numeric values (nan or infinity) are not permitted.";

pub(super) type Outcome<T> = Result<T, Box<Fail>>;

impl From<std::convert::Infallible> for Box<Fail> {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

impl From<PyErr> for Box<Fail> {
    #[cold]
    fn from(error: PyErr) -> Self {
        Box::new(Fail::Fault(error.into()))
    }
}

impl From<Box<Fault>> for Box<Fail> {
    #[cold]
    fn from(fault: Box<Fault>) -> Self {
        Box::new(Fail::Fault(fault))
    }
}

/// The exception that a call has set.
#[cold]
#[inline(never)]
pub(super) fn raised(py: Python<'_>) -> Box<Fail> {
    PyErr::fetch(py).into()
}

#[cold]
#[inline(never)]
pub(super) fn invalid<T>(message: &'static str) -> Outcome<T> {
    Err(Box::new(Fail::Invalid(Errors::Invalid(Message::Static(message)))))
}

#[cold]
#[inline(never)]
pub(super) fn null<T>() -> Outcome<T> {
    Err(Box::new(Fail::Invalid(Errors::Null)))
}

#[cold]
pub(super) fn of<T>(errors: Errors) -> Outcome<T> {
    Err(Box::new(Fail::Invalid(errors)))
}

#[cold]
pub(super) fn no_object<T>() -> Outcome<T> {
    of(Errors::Schema(Box::new(Errors::Invalid(Message::Static(NO_OBJECT)))))
}

/// What a function that checks values has raised: its messages, if it is a ValueError or has such, as marshmallow's own
/// has; and itself otherwise.
#[cold]
pub(super) fn of_exception(py: Python<'_>, error: PyErr) -> Result<Errors, Box<Fail>> {
    let value = error.value(py);
    if error.is_instance_of::<PyException>(py)
        && let Ok(messages) = value.getattr(intern!(py, "messages"))
        && (messages.is_instance_of::<PyDict>() || messages.is_instance_of::<PyList>())
    {
        return match messages.is_instance_of::<PyList>() {
            true => Ok(Errors::Said(messages.extract()?)),
            false => Ok(Errors::Given(messages.unbind())),
        };
    }
    if !error.is_instance_of::<PyValueError>(py) {
        return Err(error.into());
    }
    let said = value.str()?;
    let said = if said.is_empty()? { PyString::new(py, REFUSED) } else { said };
    Ok(Errors::Said(vec![said.into_any().unbind()]))
}

/// A key as it stands among what is wrong.
pub(super) fn told(key: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
    let py = key.py();
    match key.str() {
        Ok(text) => Ok(text.into_any().unbind()),
        // Of more digits than this Python writes.
        Err(error) if error.is_instance_of::<PyValueError>(py) && key.is_instance_of::<PyInt>() => {
            let bits = key.call_method0(intern!(py, "bit_length"))?;
            Ok(PyString::new(py, &format!("an integer of {bits} bits")).into_any().unbind())
        }
        Err(error) => Err(error),
    }
}

/// Gathers what is wrong with the parts of a value.
#[derive(Default)]
pub(super) struct Gathered(Vec<(Py<PyAny>, Errors)>);

impl Gathered {
    /// Takes what is wrong with one part; all else ends the whole, and learns where.
    #[cold]
    #[inline(never)]
    #[allow(clippy::boxed_local, reason = "it comes in a box and may leave in one")]
    pub(super) fn take(
        &mut self,
        fail: Box<Fail>,
        name: impl FnOnce() -> PyResult<Py<PyAny>>,
        segment: impl FnOnce() -> Segment,
    ) -> Outcome<()> {
        match *fail {
            Fail::Invalid(errors) => {
                self.0.push((name()?, errors));
                Ok(())
            }
            Fail::Fault(fault) => Err(Box::new(Fail::Fault(fault.within(segment())))),
            Fail::Malformed => Err(Box::new(Fail::Malformed)),
        }
    }

    #[cold]
    pub(super) fn add(&mut self, name: Py<PyAny>, errors: Errors) {
        self.0.push((name, errors));
    }

    /// Whether something is wrong with the part of this name.
    #[cold]
    pub(super) fn names(&self, name: Borrowed<'_, '_, PyAny>) -> PyResult<bool> {
        for (known, _) in &self.0 {
            if known.as_ptr() == name.as_ptr() || known.bind(name.py()).eq(name)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What was said of a name is no longer true: it stands again, and the last one counts.
    #[cold]
    pub(super) fn forget(&mut self, name: Py<PyAny>) {
        self.add(name, Errors::Forgotten);
    }

    /// Whether nothing is wrong in the end.
    #[inline(always)]
    pub(super) fn settle(&mut self, py: Python<'_>) -> PyResult<bool> {
        if self.0.is_empty() { Ok(true) } else { self.settle_all(py) }
    }

    #[cold]
    fn settle_all(&mut self, py: Python<'_>) -> PyResult<bool> {
        if self.0.iter().any(|(_, errors)| matches!(errors, Errors::Forgotten)) {
            // Where each name stands last.
            let last = PyDict::new(py);
            for (at, (name, _)) in self.0.iter().enumerate() {
                last.set_item(name, at)?;
            }
            let mut kept = Vec::new();
            for (at, (name, errors)) in std::mem::take(&mut self.0).into_iter().enumerate() {
                let is_last =
                    last.get_item(&name)?.is_some_and(|last| last.eq(at).unwrap_or(false));
                if is_last && !matches!(errors, Errors::Forgotten) {
                    kept.push((name, errors));
                }
            }
            self.0 = kept;
        }
        Ok(self.0.is_empty())
    }

    #[inline(always)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[cold]
    pub(super) fn fail<T>(&mut self) -> Outcome<T> {
        of(Errors::Within(std::mem::take(&mut self.0)))
    }
}

/// An index as the messages have it.
#[cold]
pub(super) fn index_name(py: Python<'_>, index: usize) -> PyResult<Py<PyAny>> {
    Ok(PyString::new(py, &index.to_string()).into_any().unbind())
}

impl Errors {
    /// Whether the value is of another type, and nothing else is wrong with it.
    pub(super) fn is_mismatch(&self) -> bool {
        match self {
            Self::Invalid(Message::Static(text)) => *text != NOT_FINITE,
            Self::Invalid(_) | Self::Invalids(_) => true,
            Self::Schema(inner) => {
                matches!(**inner, Self::Invalid(Message::Static(NO_OBJECT)))
            }
            _ => false,
        }
    }

    fn to_python<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let one = |message: Bound<'py, PyAny>| PyList::new(py, [message]).map(Bound::into_any);
        match self {
            Self::Null => one(PyString::new(py, NULL).into_any()),
            Self::Invalid(message) => one(message.to_python(py)),
            Self::Invalids(messages) | Self::Said(messages) => {
                Ok(PyList::new(py, messages)?.into_any())
            }
            Self::Given(messages) => Ok(messages.bind(py).clone()),
            Self::Forgotten => Ok(PyList::empty(py).into_any()),
            Self::Within(parts) => {
                let dict = PyDict::new(py);
                for (name, errors) in parts {
                    dict.set_item(name, errors.to_python(py)?)?;
                }
                Ok(dict.into_any())
            }
            Self::Schema(errors) => {
                let errors = errors.to_python(py)?;
                if errors.is_instance_of::<PyDict>() {
                    return Ok(errors);
                }
                let dict = PyDict::new(py);
                dict.set_item(intern!(py, "_schema"), errors)?;
                Ok(dict.into_any())
            }
        }
    }

    /// The exception that says it all, of what was to be a `target`.
    #[cold]
    pub(super) fn raise(&self, target: &Bound<'_, PyAny>) -> PyErr {
        let py = target.py();
        match self.to_python(py) {
            Ok(messages) => error::validation(py, messages, target),
            Err(error) => error,
        }
    }
}

impl Message {
    pub(super) fn to_python<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        match self {
            Self::Static(text) => PyString::new(py, text).into_any(),
            Self::Owned(text) => PyString::new(py, text).into_any(),
            Self::Object(object) => object.bind(py).clone(),
        }
    }
}
