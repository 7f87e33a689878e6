//! What objects are whose type no plan tells, and which JSON has a form for.

use crate::array::{self, Role};
use crate::value::registry;
use crate::value::types::Types;
use pyo3::intern;
use pyo3::prelude::*;

/// The fields of what is registered, or, where `arrays` are to be made plain as well, what an array or a scalar of NumPy's
/// is: numbers, text, or lists of these. `None` of anything else.
#[cold]
pub(super) fn plain<'py>(
    object: &Bound<'py, PyAny>,
    arrays: bool,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = object.py();
    if let Some(registered) = registry::of(object)? {
        return Ok(Some(registered.fields.into_bound(py)));
    }
    if object.is_exact_instance(Types::get(py)?.object.bind(py)) {
        return object.getattr(intern!(py, "fields")).map(Some);
    }
    let role = array::role(object)?;
    if !arrays || role == Role::Other {
        return Ok(None);
    }
    let masked = role == Role::Array && object.get_type().hasattr(intern!(py, "mask"))?;
    let dtype = object.getattr(intern!(py, "dtype"))?;
    let letter: char = dtype.getattr(intern!(py, "kind"))?.extract()?;
    let size: usize = dtype.getattr(intern!(py, "itemsize"))?.extract()?;
    match (letter, role) {
        _ if masked => Ok(None),
        ('b' | 'i' | 'u', _) | ('U' | 'T' | 'O', Role::Array) => {
            object.call_method0(intern!(py, "tolist")).map(Some)
        }
        // What is longer than a double has no list of floats.
        ('f', _) if size <= 8 => object.call_method0(intern!(py, "tolist")).map(Some),
        ('M', _) => {
            let numpy = py.import(intern!(py, "numpy"))?;
            let nothing = numpy.call_method1(intern!(py, "isnat"), (object,))?;
            if nothing.call_method0(intern!(py, "any"))?.is_truthy()? {
                return Ok(None);
            }
            let texts = numpy.call_method1(intern!(py, "datetime_as_string"), (object,))?;
            texts.call_method0(intern!(py, "tolist")).map(Some)
        }
        _ => Ok(None),
    }
}
