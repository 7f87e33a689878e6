//! What would become of an object that is sent: the format, why, what it costs, and the runners-up.

use crate::array::{self, Candidate};
use crate::buffer::Buffer;
use crate::outgoing::Kind;
use crate::table::records::{self, Look};
use crate::table::{send, take};
use crate::{error, json, pickle, value};
use pyo3::prelude::*;
use pyo3::types::PyList;
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
    let nature = nature(object, &mut refused)?;
    let mut costs = Vec::new();
    for format in
        [Format::Raw, Format::Ndarray, Format::Arrow, Format::Value, Format::Pickle, Format::Json]
    {
        use Format::{Arrow, Json, Ndarray, Pickle, Raw};
        let holds = match nature {
            Nature::Bytes => !matches!(format, Ndarray | Arrow | Json),
            Nature::Array => !matches!(format, Raw | Arrow | Json),
            Nature::Table => matches!(format, Arrow | Pickle),
            Nature::Records => !matches!(format, Raw | Ndarray),
            Nature::Json => format == Json,
            _ => !matches!(format, Raw | Ndarray | Arrow),
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

/// What `send` takes an object for.
fn nature(object: &Bound<'_, PyAny>, refused: &mut Vec<(Format, String)>) -> PyResult<Nature> {
    let len = object.cast::<PyList>().map_or(0, |list| list.len());
    match records::of_list(object, 1)? {
        Look::Table(_) if len >= records::WORTH => return Ok(Nature::Records),
        Look::Table(_) => {
            let why = format!("{len} records: a table is worth it from {} on", records::WORTH);
            refused.push((Format::Arrow, why));
        }
        Look::Not(why) => refused.push((Format::Arrow, why)),
        Look::Other => {}
    }
    Ok(match Kind::of(object)? {
        Kind::Bytes(_) => Nature::Bytes,
        Kind::Array(_) => Nature::Array,
        Kind::Table => Nature::Table,
        Kind::Value => Nature::Value,
        Kind::Json => Nature::Json,
        Kind::Odd(why) => {
            refused.push((Format::Ndarray, reason(object.py(), why)?));
            Nature::Array
        }
    })
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
        Format::Arrow => {
            let table = match records::of_list(object, 1)? {
                Look::Table(table) => table,
                _ => take::whole(object)?,
            };
            let plan = send::planned(py, &table, None)?;
            let mut out = vec![0; plan.body_len()];
            let written = py.detach(|| plan.write(&mut out, None));
            written.map_err(|refused| error::encode(py, &refused, "arrow")).map(|()| out.len())
        }
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
