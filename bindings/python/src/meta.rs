//! Metadata: a dict with text keys at the side of a frame, of anything that a value may be.

use crate::error;
use crate::value::{Fault, Place, Reader, Writer};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use slipring_codec::error::Segment;

/// Encodes `meta`, which must be a dict with text keys.
pub(crate) fn encode(meta: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    let py = meta.py();
    let kind = |object: &Bound<'_, PyAny>| object.get_type().name().map(|name| name.to_string());
    let Ok(dict) = meta.cast::<PyDict>() else {
        let kind = kind(meta)?;
        let what = format!("meta is of type {kind}");
        return Err(error::unsendable(py, &what, "$.meta", &kind, "give a dict, or None"));
    };
    if let Some(key) = dict.keys().iter().find(|key| !key.is_instance_of::<PyString>()) {
        let kind = kind(&key)?;
        let what = format!("a key of type {kind}");
        return Err(error::unsendable(py, &what, "$.meta", &kind, "give keys that are str"));
    }
    let mut writer = Writer::new(py, Vec::new(), false);
    let written = writer.write(meta.as_borrowed(), 0);
    // Metadata is a value whatever the frame is.
    written.map_err(|fault: Box<Fault>| {
        fault.within(Segment::key("meta")).without_pickles().encoding(py)
    })?;
    crate::value::warn_losses(py, &writer.losses)?;
    Ok(writer.encoder.sink())
}

/// The metadata that these bytes encode.
pub(crate) fn decode<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    let read = Reader::new(py, bytes, Place::Passing, false).read_all();
    let meta = read.map_err(|fault| fault.within(Segment::key("meta")).decoding(py))?;
    let wrong = match meta.cast::<PyDict>() {
        Err(_) => Some("the metadata is not a map"),
        Ok(dict) if dict.keys().iter().any(|key| !key.is_instance_of::<PyString>()) => {
            Some("a key of the metadata is not text")
        }
        Ok(_) => None,
    };
    match wrong {
        None => Ok(meta),
        Some(what) => {
            let class = intern!(py, "DecodeError");
            let hint = "send metadata as one map with text keys";
            Err(error::undecodable(py, class, what, "$.meta", "meta", hint))
        }
    }
}
