//! Frames and series of polars' with columns of Python's objects: their Arrow is addresses.

use super::loaded;
use crate::error;
use crate::value::fault::type_name;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString};

/// Whether it is a series.
pub(super) fn is_series(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = object.py();
    match loaded(py, intern!(py, "polars"), intern!(py, "Series"))? {
        Some(class) => object.is_instance(&class),
        None => Ok(false),
    }
}

/// Refuses a frame or series that has such a column, before polars is asked for its Arrow: of objects in lists or
/// structs it ends the process then.
pub(super) fn refuse_objects(object: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = object.py();
    let package = intern!(py, "polars");
    let is = |class| match loaded(py, package, class)? {
        Some(class) => object.is_instance(&class),
        None => Ok(false),
    };
    let is_frame = is(intern!(py, "DataFrame"))?;
    if !is_frame && !is(intern!(py, "Series"))? {
        return Ok(());
    }
    let Some(objects) = loaded(py, package, intern!(py, "Object"))? else { return Ok(()) };
    let kinds = match is_frame {
        true => object.getattr(intern!(py, "dtypes"))?,
        false => PyList::new(py, [object.getattr(intern!(py, "dtype"))?])?.into_any(),
    };
    for (number, kind) in kinds.try_iter()?.enumerate() {
        if has(&kind?, &objects)? {
            let name = match is_frame {
                true => object.getattr(intern!(py, "columns"))?.get_item(number)?,
                false => object.getattr(intern!(py, "name"))?,
            };
            return Err(refusal(object, &name.cast::<PyString>()?.to_string_lossy()));
        }
    }
    Ok(())
}

#[cold]
fn refusal(object: &Bound<'_, PyAny>, name: &str) -> PyErr {
    let what = format!(
        "column {name:?} of polars has the type Object, which has no form outside this process"
    );
    let hint = "cast to text, or send to_dicts()";
    error::unsendable(object.py(), &what, "$", &type_name(object), hint)
}

/// Whether a type is of objects, or has them in it. A type in another may be a class and no instance.
fn has(kind: &Bound<'_, PyAny>, objects: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = kind.py();
    if kind.is(objects) || kind.is_instance(objects)? {
        return Ok(true);
    }
    if let Some(inner) = kind.getattr_opt(intern!(py, "inner"))? {
        return has(&inner, objects);
    }
    let Some(fields) = kind.getattr_opt(intern!(py, "fields"))? else { return Ok(false) };
    for field in fields.try_iter()? {
        if has(&field?.getattr(intern!(py, "dtype"))?, objects)? {
            return Ok(true);
        }
    }
    Ok(false)
}
