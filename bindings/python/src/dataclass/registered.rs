//! Types of others, by what they were registered with: what is written of them is any plain structure, and what is read is
//! given to their decoder, as of their newest version.

use super::class::{Object, new_reference};
use super::dump::{Dumper, refused};
use super::fail::{self, Outcome};
use super::plan::Held;
use super::target::Target;
use crate::value::fault::{Fault, type_name};
use crate::value::registry;
use crate::value::types::Types;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;

/// What a type is registered with; who has it in a plan had it registered.
fn entry<'py>(class: Borrowed<'_, 'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    registry::entry(&class)?.ok_or_else(|| PyTypeError::new_err("a type is registered no more"))
}

impl<'py, T: Target<'py>> Dumper<'py, T> {
    /// By the declared type, of which the object may be a derived one.
    #[cold]
    pub(super) fn registered(
        &mut self,
        class: Held,
        object: Borrowed<'_, 'py, PyAny>,
        depth: usize,
    ) -> Outcome<T::Value> {
        let py = self.py;
        let entry = entry(class.bind(py))?;
        let fields = entry.call_method1(intern!(py, "fields_of"), (object,)).map_err(|error| {
            let kind = type_name(&object);
            let who = format!("the encoder registered for {kind} failed");
            Fault::of_others(py, error, &who, &kind, "correct its encode=")
        })?;
        if !self.target.keeps() {
            return self.any(fields.as_borrowed(), depth);
        }
        // With name and version, as by itself.
        let parts =
            (entry.getattr(intern!(py, "name"))?, entry.getattr(intern!(py, "version"))?, fields);
        let named = Types::get(py)?.object.bind(py).call1(parts)?;
        self.target.foreign(named.as_borrowed(), depth)
    }
}

/// An object of the class as it is, or what its decoder makes of all else. What that refuses by a ValueError is said in its
/// words, by a TypeError in ours: it was written for others.
#[cold]
pub(super) fn registered(class: Held, message: Held, given: &Bound<'_, PyAny>) -> Outcome<Object> {
    let py = given.py();
    let class = class.bind(py);
    if given.is_instance(&class)? {
        return Ok(new_reference(given.as_borrowed()));
    }
    let entry = entry(class)?;
    let version = entry.getattr(intern!(py, "version"))?;
    match entry.call_method1(intern!(py, "build"), (given, version)) {
        Ok(made) => Ok(new_reference(made.as_borrowed())),
        Err(error) if error.is_instance_of::<PyTypeError>(py) => refused(py, message),
        Err(error) if error.is_instance_of::<PyValueError>(py) => {
            fail::of(fail::of_exception(py, error)?)
        }
        Err(error) => Err(error.into()),
    }
}
