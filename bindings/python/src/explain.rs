//! What would become of an object that is sent: the format, why, what it costs, and the runners-up.
//!
//! An object of up to [`LARGE`] bytes is written once in each format, so that its size and time are measured. Of a larger one
//! nothing is copied: it is gone through to see whether a format holds it and how many bytes that takes, and the time is what
//! such objects took before (`costs`). A large object that is a value is not pickled for it.

use crate::array::{self, Candidate};
use crate::buffer::Buffer;
use crate::outgoing::Kind;
use crate::table::records::{self, Look};
use crate::table::{columns, send, take};
use crate::value::{Piece, Writer};
use crate::{costs, error, json, pickle};
use pyo3::prelude::*;
use pyo3::types::PyList;
use slipring_codec::Format;
use slipring_codec::cost::Class;
use slipring_codec::frame::Layout;
use slipring_codec::select::{Nature, Selection, select_by_cost};
use slipring_codec::token::Fixed;
use std::time::Instant;

/// From here on nothing is written to find out what it costs.
const LARGE: usize = 64 << 10;

/// What a format takes.
struct Cost {
    bytes: usize,
    seconds: f64,
    /// It was written; else it is an estimate.
    measured: bool,
}

/// A format, whether it holds the object, why, and where it does how many bytes it takes in how many
/// seconds, and whether these are measured.
pub(crate) type Row = (&'static str, bool, String, Option<(usize, f64, bool)>);

/// All formats for an object, the one that `send` takes first.
pub(crate) fn explain(object: &Bound<'_, PyAny>) -> PyResult<Vec<Row>> {
    let mut refused = Vec::new();
    let nature = nature(object, &mut refused)?;
    let class = match nature {
        Nature::Bytes => Class::Bytes,
        Nature::Array | Nature::Table => Class::Arrays,
        Nature::Json => Class::Text,
        _ => costs::class(object),
    };
    let mut costs: Vec<(Format, Cost)> = Vec::new();
    use Format::{Arrow, Json, Ndarray, Pickle, Raw, Value};
    for format in [Raw, Ndarray, Arrow, Value, Json, Pickle] {
        let holds = match nature {
            Nature::Bytes => !matches!(format, Ndarray | Arrow | Json),
            Nature::Array => !matches!(format, Raw | Arrow | Json),
            Nature::Table => matches!(format, Arrow | Pickle),
            Nature::Records => !matches!(format, Raw | Ndarray),
            Nature::Json => format == Json,
            _ => !matches!(format, Raw | Ndarray | Arrow),
        };
        if holds && !refused.iter().any(|tried: &(Format, String)| tried.0 == format) {
            // What others of it take.
            let known = costs.iter().find(|cost| cost.0 != Format::Json).map(|cost| cost.1.bytes);
            match cost(format, object, class, known) {
                Ok(cost) => costs.push((format, cost)),
                Err(e) => refused.push((format, reason(object.py(), format, e)?)),
            }
        }
    }
    let nature = match nature {
        Nature::Value if refused.iter().any(|tried| tried.0 == Format::Value) => Nature::Opaque,
        nature => nature,
    };
    let found = |format| costs.iter().find(|cost| cost.0 == format).map(|cost| &cost.1);
    let nanoseconds = |format| {
        let bytes = found(format).map_or(0, |cost| cost.bytes);
        costs::estimate_ns(format, class, bytes)
    };
    let Selection { candidates } = select_by_cost(nature, &refused, true, nanoseconds);
    let rows = candidates.into_iter().map(|candidate| {
        let cost = found(candidate.format);
        let cost = cost.map(|cost| (cost.bytes, cost.seconds, cost.measured));
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
        Look::Not(odd) => refused.push((Format::Arrow, odd.what)),
        Look::Other if records::are_objects(object)? => {
            let why = "as a table they would come back as dicts: format=\"arrow\" sends them so";
            refused.push((Format::Arrow, why.to_owned()));
        }
        Look::Other => match columns::look(object)? {
            Some(Ok(())) => {
                let why = "a dict of columns goes as a value, and comes back as one: format=\"arrow\" sends a table";
                refused.push((Format::Arrow, why.to_owned()));
            }
            Some(Err(odd)) => refused.push((Format::Arrow, odd.what)),
            None => {}
        },
    }
    Ok(match Kind::of(object)? {
        Kind::Bytes(_) => Nature::Bytes,
        Kind::Array(_) => Nature::Array,
        Kind::Table => Nature::Table,
        Kind::Value => Nature::Value,
        Kind::Json => Nature::Json,
        Kind::Odd(why) => {
            refused.push((Format::Ndarray, reason(object.py(), Format::Ndarray, why)?));
            Nature::Array
        }
    })
}

/// What the object takes in this format, of which another one takes `known` bytes.
fn cost(
    format: Format,
    object: &Bound<'_, PyAny>,
    class: Class,
    known: Option<usize>,
) -> PyResult<Cost> {
    let estimated = |bytes| {
        let seconds = costs::estimate(format, class, bytes);
        Ok(Cost { bytes, seconds, measured: false })
    };
    // The same as what is known already, more or less, and as likely to work.
    if let (Format::Pickle, Some(known)) = (format, known.filter(|&known| known > LARGE)) {
        return estimated(known);
    }
    let bytes = count(format, object)?;
    if bytes > LARGE {
        return estimated(bytes);
    }
    let start = Instant::now();
    let bytes = write(format, object, bytes)?;
    Ok(Cost { bytes, seconds: start.elapsed().as_secs_f64(), measured: true })
}

/// The table that an object is, or shows.
fn table(object: &Bound<'_, PyAny>) -> PyResult<take::Incoming> {
    match records::of_list(object, 1)? {
        Look::Table(table) => Ok(table),
        _ => take::whole(object),
    }
}

/// The bytes that the object takes in this format, of which none is written.
fn count(format: Format, object: &Bound<'_, PyAny>) -> PyResult<usize> {
    let py = object.py();
    Ok(match format {
        Format::Raw => Buffer::of(object)?.map_or(0, |buffer| buffer.len()),
        Format::Ndarray => match array::look(object)? {
            Candidate::Array(array) => array.descriptor.byte_len(),
            _ => 0,
        },
        Format::Arrow => send::planned(py, &table(object)?, None)?.body_len(),
        Format::Value => written_value(object, &mut [])?,
        Format::Json => json::write_into(object, &mut []).map_err(|fault| fault.encoding(py))?,
        // Only writing one tells.
        _ => 0,
    })
}

/// Writes the object in this format, in which it takes `bytes`.
fn write(format: Format, object: &Bound<'_, PyAny>, bytes: usize) -> PyResult<usize> {
    let py = object.py();
    let mut out = vec![0; bytes];
    match format {
        Format::Raw => match Buffer::of(object)? {
            Some(buffer) => buffer.copy_to(py, &mut out).map(|()| bytes),
            None => Ok(0),
        },
        Format::Ndarray => match array::look(object)? {
            Candidate::Array(array) => array.copy_to(py, &mut out).map(|()| bytes),
            _ => Ok(0),
        },
        Format::Arrow => {
            let table = table(object)?;
            let written = send::planned(py, &table, None)?.write(&mut out, None);
            written.map_err(|refused| error::encode(py, &refused, "arrow")).map(|()| bytes)
        }
        Format::Value => written_value(object, &mut out),
        Format::Json => json::write_into(object, &mut out).map_err(|fault| fault.encoding(py)),
        Format::Pickle => pickle::dump(object).map(|pickled| {
            pickled.stream.as_bytes().len() + pickled.buffers.iter().map(Buffer::len).sum::<usize>()
        }),
        _ => Ok(0),
    }
}

/// Writes the object as a value, as far as there is room, and answers how many bytes the body takes.
fn written_value(object: &Bound<'_, PyAny>, out: &mut [u8]) -> PyResult<usize> {
    let py = object.py();
    let mut writer = Writer::new(py, Fixed::new(out), true);
    writer.write(object.as_borrowed(), 0).map_err(|fault| fault.encoding(py))?;
    let pieces = writer.pieces.take().unwrap_or_default();
    let lens = pieces.iter().map(Piece::len);
    let layout = Layout::new(Format::Value, writer.encoder.len(), None, lens)
        .map_err(|e| error::encode(py, &e, "value"))?;
    let len = layout.body_len();
    // What is out of line is copied, too.
    let (buffers, fits) = (layout.buffers().to_vec(), out.len() >= len);
    for (piece, range) in pieces.iter().zip(buffers).filter(|_| fits) {
        piece.copy_to(py, &mut out[range])?;
    }
    Ok(len)
}

/// Why a format refused the object, and where in it; any other exception stays one.
fn reason(py: Python<'_>, format: Format, raised: PyErr) -> PyResult<String> {
    if !error::is_refusal(py, &raised) {
        return Err(raised);
    }
    let told = |name: &str| raised.value(py).getattr(name)?.extract::<String>();
    let (mut what, path) = (told("what")?, told("path")?);
    if path != "$" {
        what.push_str(&format!(", at {path}"));
    }
    // Where a pickle is all that is left, there is something to do.
    if format == Format::Value {
        what.push_str(&format!("; {}", told("hint")?));
    }
    Ok(what)
}
