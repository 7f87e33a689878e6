//! What a value is, without making objects of it.

use super::fault::Fault;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use slipring_codec::{Decoder, Token, tag};

/// Keys that are told of one map.
const KEYS: usize = 64;

/// Puts into `told` what kind of item this is, how long it is, and a map's first keys.
pub(crate) fn describe(head: &[u8], told: &Bound<'_, PyDict>) -> PyResult<()> {
    let py = told.py();
    let failed = |error| Box::<Fault>::from(error).decoding(py);
    let mut decoder = Decoder::new(head);
    let mut tags = Vec::new();
    let first = loop {
        match decoder.token().map_err(failed)? {
            Token::Tag(tag) if tags.len() < KEYS => tags.push(tag),
            other => break other,
        }
    };
    let (kind, len) = match first {
        Token::Null | Token::Undefined => ("null", None),
        Token::Bool(_) => ("bool", None),
        Token::Unsigned(_) | Token::Negative(_) => ("int", None),
        Token::Float(_) => ("float", None),
        Token::Bytes(bytes) => ("bytes", Some(bytes.len())),
        Token::Text(text) => ("text", Some(text.len())),
        Token::BytesPieces => ("bytes", None),
        Token::TextPieces => ("text", None),
        Token::Array(len) => ("array", len),
        Token::Map(len) => ("map", len),
        _ => ("unknown", None),
    };
    let (kind, len) = if tags.last() == Some(&tag::TABLE) { ("table", None) } else { (kind, len) };
    told.set_item(intern!(py, "kind"), kind)?;
    if !tags.is_empty() {
        told.set_item(intern!(py, "tags"), tags)?;
    }
    if let Some(len) = len {
        told.set_item(intern!(py, "len"), len)?;
    }
    if let Token::Map(Some(len)) = first {
        let keys = PyList::empty(py);
        for _ in 0..len.min(KEYS) {
            match decoder.text_bytes() {
                Some(key) => keys.append(String::from_utf8_lossy(key))?,
                // A key of another kind is passed over.
                None => decoder.skip().map_err(failed)?,
            }
            decoder.skip().map_err(failed)?;
        }
        told.set_item(intern!(py, "keys"), keys)?;
    }
    Ok(())
}
