//! Sizes as people write them: `67108864`, `"64 MiB"`, `"1.5 GB"`.

use crate::error;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyInt, PyString};
use slipring::Error;

const UNITS: [(&str, u64); 11] = [
    ("", 1),
    ("b", 1),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
    ("bytes", 1),
];

/// A number of bytes, from an int or from a text with a unit.
pub(crate) fn parse(size: &Bound<'_, PyAny>) -> PyResult<u64> {
    if size.is_instance_of::<PyInt>() {
        return size.extract();
    }
    let Ok(text) = size.cast::<PyString>() else {
        let found = size.get_type();
        return Err(PyTypeError::new_err(format!(
            "capacity is a number of bytes or a text such as \"64 MiB\", not {found}"
        )));
    };
    let text = text.to_string();
    bytes(&text).ok_or_else(|| {
        let expected = "a number and a unit: B, KiB, MiB, GiB, TiB, kB, MB, GB or TB";
        let option = "capacity";
        error::raise(size.py(), Error::InvalidOption { option, value: text, expected })
    })
}

fn bytes(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = (&text[..end], text[end..].trim_start());
    let unit = UNITS.iter().find(|(name, _)| *name == unit)?.1;
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(unit);
    }
    let bytes = number.parse::<f64>().ok()? * unit as f64;
    // Above 2^53 a fraction of a unit is no whole number of bytes any more.
    (0.0..9e15).contains(&bytes).then_some(bytes as u64)
}
