//! Pickles of protocol 5, with their buffers out of band, by Python's own module.
//!
//! A pickle is code: [`load`] runs one only for who said so.

use crate::buffer::Buffer;
use crate::error;
use pyo3::exceptions::PyException;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};
use slipring_codec::format::pickle::PROTOCOL;

/// A pickled object, and what it refers to.
pub(crate) struct Pickled<'py> {
    pub(crate) stream: Bound<'py, PyBytes>,
    pub(crate) buffers: Vec<Buffer>,
}

/// Pickles an object: by `pickle`, or by cloudpickle where that can't.
pub(crate) fn dump<'py>(object: &Bound<'py, PyAny>) -> PyResult<Pickled<'py>> {
    let py = object.py();
    let plain = match dump_by(object, "pickle") {
        Ok(pickled) => return Ok(pickled),
        Err(error) => error,
    };
    let reason = plain.to_string();
    match py.import(intern!(py, "cloudpickle")) {
        Ok(_) => dump_by(object, "cloudpickle").map_err(|error| {
            let what = format!("neither pickle ({reason}) nor cloudpickle ({error}) can hold it");
            refuse(object, &what, "register its type with slipring.register")
        }),
        Err(_) => {
            let what = format!("pickle can't hold it ({reason})");
            let hint = "install cloudpickle for lambdas, closures and local classes, or register \
                        its type with slipring.register";
            Err(refuse(object, &what, hint))
        }
    }
}

fn refuse(object: &Bound<'_, PyAny>, what: &str, hint: &str) -> PyErr {
    let kind = object.get_type().fully_qualified_name();
    let kind = kind.map_or_else(|_| "unknown".into(), |name| name.to_string());
    error::unsendable(object.py(), what, "$", &kind, hint)
}

fn dump_by<'py>(object: &Bound<'py, PyAny>, module: &str) -> PyResult<Pickled<'py>> {
    let py = object.py();
    let taken = PyList::empty(py);
    let options = PyDict::new(py);
    options.set_item(intern!(py, "protocol"), PROTOCOL)?;
    options.set_item(intern!(py, "buffer_callback"), taken.getattr(intern!(py, "append"))?)?;
    let dumps = py.import(module)?.getattr(intern!(py, "dumps"))?;
    let stream = dumps.call((object,), Some(&options))?.cast_into::<PyBytes>()?;
    let mut buffers = Vec::with_capacity(taken.len());
    for buffer in taken.iter() {
        // In memory order, whatever the shape.
        let raw = buffer.call_method0(intern!(py, "raw"))?;
        buffers.extend(Buffer::of(&raw)?);
    }
    Ok(Pickled { stream, buffers })
}

/// Loads a pickle: the stream and its buffers, all of them objects with a buffer.
pub(crate) fn load<'py>(
    py: Python<'py>,
    parts: Vec<Bound<'py, PyAny>>,
    trusted: bool,
) -> PyResult<Bound<'py, PyAny>> {
    if !trusted {
        let begin = parts.first().map(|stream| begin_of(stream)).transpose()?;
        return Err(untrusted(py, "$.format", &begin.unwrap_or_default()));
    }
    let mut parts = parts.into_iter();
    let Some(stream) = parts.next() else { return Err(untrusted(py, "$.format", &[])) };
    let options = PyDict::new(py);
    options.set_item(intern!(py, "buffers"), PyList::new(py, parts)?)?;
    let loads = py.import(intern!(py, "pickle"))?.getattr(intern!(py, "loads"))?;
    loads.call((stream,), Some(&options)).map_err(|cause| {
        let class = intern!(py, "DecodeError");
        let what = format!("the pickle can't be loaded ({cause})");
        let hint = "import here what was pickled there, in the same versions";
        let error = error::undecodable(py, class, &what, "$", "pickle", hint);
        error.set_cause(py, Some(cause));
        error
    })
}

/// Says that an object goes as a pickle, and why.
#[cold]
pub(crate) fn tell_chosen(
    py: Python<'_>,
    kind: &str,
    what: &str,
    path: &str,
    hint: &str,
    warns: bool,
) -> PyResult<()> {
    let pickles = py.import(intern!(py, "slipring._pickles"))?;
    let chosen = pickles.getattr(intern!(py, "chosen"))?;
    chosen.call1((kind, what, path, hint, warns)).map(drop)
}

/// So much of a pickle is looked at for what it names.
pub(crate) const BEGIN: usize = 64 << 10;

/// The begin of a pickle that is not loaded.
#[cold]
fn begin_of(stream: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    let Some(buffer) = Buffer::of(stream)? else { return Ok(Vec::new()) };
    let bytes = buffer.bytes().unwrap_or_default();
    Ok(bytes[..bytes.len().min(BEGIN)].to_vec())
}

/// A pickle that nobody loads, with what its begin names: that is looked at, and not run.
#[cold]
pub(crate) fn untrusted(py: Python<'_>, path: &str, begin: &[u8]) -> PyErr {
    let named = || -> PyResult<String> {
        let pickles = py.import(intern!(py, "slipring._pickles"))?;
        pickles.getattr(intern!(py, "named"))?.call1((PyBytes::new(py, begin),))?.extract()
    };
    let mut what = "a pickle arrived, which is code that would run here".to_owned();
    match named() {
        Ok(names) if names.is_empty() => {}
        Ok(names) => what.push_str(&format!(" (of {names})")),
        Err(error) if error.is_instance_of::<PyException>(py) => {}
        Err(error) => return error,
    }
    let hint = "have it sent in another form: slipring.explain(obj) tells the sender what made it a pickle, \
                and slipring.register gives a type a form; or, if you trust whoever can write to the ring, \
                take it with consumer(pickle=True) or decode(..., pickle=True); frame.header and \
                frame.meta still tell what it is";
    let class = intern!(py, "UntrustedPickle");
    error::undecodable(py, class, &what, path, "pickle", hint)
}
