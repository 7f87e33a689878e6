//! What would become of an object that is sent: the format, why, what it costs, and the runners-up.

use crate::array::{self, Candidate};
use crate::buffer::Buffer;
use crate::outgoing::Kind;
use crate::{error, json, pickle, value};
use pyo3::prelude::*;
use slipring_codec::Format;
use slipring_codec::select::{Nature, Selection, select};
use std::time::Instant;

/// A format, whether it holds the object, why, and where it does how many bytes it takes in how many
/// seconds.
pub(crate) type Row = (&'static str, bool, String, Option<(usize, f64)>);

/// All formats for an object, the one that `send` takes first. Those that may hold it are tried, so that
/// size and time are measured and not guessed.
pub(crate) fn explain(object: &Bound<'_, PyAny>) -> PyResult<Vec<Row>> {
    let mut refused = Vec::new();
    let nature = match Kind::of(object)? {
        Kind::Bytes(_) => Nature::Bytes,
        Kind::Array(_) => Nature::Array,
        Kind::Value => Nature::Value,
        Kind::Json => Nature::Json,
        Kind::Odd(why) => {
            refused.push((Format::Ndarray, reason(object.py(), why)?));
            Nature::Array
        }
    };
    let mut costs = Vec::new();
    for format in [Format::Raw, Format::Ndarray, Format::Value, Format::Pickle, Format::Json] {
        let holds = match nature {
            Nature::Bytes => !matches!(format, Format::Ndarray | Format::Json),
            Nature::Array => !matches!(format, Format::Raw | Format::Json),
            Nature::Json => format == Format::Json,
            _ => !matches!(format, Format::Raw | Format::Ndarray),
        };
        if holds && !refused.iter().any(|tried: &(Format, String)| tried.0 == format) {
            let start = Instant::now();
            match size(format, object) {
                Ok(len) => costs.push((format, (len, start.elapsed().as_secs_f64()))),
                Err(e) => refused.push((format, reason(object.py(), e)?)),
            }
        }
    }
    let nature = match nature {
        Nature::Value if refused.iter().any(|tried| tried.0 == Format::Value) => Nature::Opaque,
        nature => nature,
    };
    let Selection { candidates } = select(nature, &refused, true);
    let rows = candidates.into_iter().map(|candidate| {
        let cost = costs.iter().find(|cost| cost.0 == candidate.format).map(|cost| cost.1);
        (candidate.format.name(), candidate.fits, candidate.reason, cost)
    });
    Ok(rows.collect())
}

/// Writes the object in this format, and answers how many bytes that took.
fn size(format: Format, object: &Bound<'_, PyAny>) -> PyResult<usize> {
    let py = object.py();
    let copied = |len: usize, copy: &dyn Fn(&mut [u8]) -> PyResult<()>| {
        let mut out = vec![0; len];
        copy(&mut out).map(|()| len)
    };
    match format {
        Format::Raw => match Buffer::of(object)? {
            Some(buffer) => copied(buffer.len(), &|out| buffer.copy_to(py, out)),
            None => Ok(0),
        },
        Format::Ndarray => match array::look(object)? {
            Candidate::Array(array) => {
                copied(array.descriptor.byte_len(), &|out| array.copy_to(py, out))
            }
            _ => Ok(0),
        },
        Format::Value => value::encode(object).map(|bytes| bytes.as_bytes().len()),
        Format::Pickle => pickle::dump(object).map(|pickled| {
            pickled.stream.as_bytes().len() + pickled.buffers.iter().map(Buffer::len).sum::<usize>()
        }),
        Format::Json => {
            let mut out = vec![0; 512];
            let len = json::write_into(object, &mut out).map_err(|fault| fault.encoding(py))?;
            if len > out.len() {
                out.resize(len, 0);
                json::write_into(object, &mut out).map_err(|fault| fault.encoding(py))?;
            }
            Ok(len)
        }
        _ => Ok(0),
    }
}

/// Why a format refused the object, and where in it; any other exception stays one.
fn reason(py: Python<'_>, raised: PyErr) -> PyResult<String> {
    if !error::is_refusal(py, &raised) {
        return Err(raised);
    }
    let told = |name: &str| raised.value(py).getattr(name)?.extract::<String>();
    let (what, path) = (told("what")?, told("path")?);
    Ok(if path == "$" { what } else { format!("{what}, at {path}") })
}
