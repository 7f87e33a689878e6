//! Numbers as people give them: sizes such as `67108864`, `"64 MiB"`, `"1.5 GB"`, and counts.

use crate::error;
use pyo3::exceptions::{PyOverflowError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PyString;
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

/// An option's value that is none.
#[cold]
pub(crate) fn refused(
    py: Python<'_>,
    option: &'static str,
    value: &str,
    expected: &'static str,
) -> PyErr {
    error::raise(py, Error::InvalidOption { option, value: value.to_owned(), expected })
}

/// A whole number from 0 on. `expected` says what the option may be, where it is beyond all bounds.
pub(crate) fn count(
    number: &Bound<'_, PyAny>,
    option: &'static str,
    expected: &'static str,
) -> PyResult<u64> {
    let py = number.py();
    match number.extract::<i128>() {
        Ok(n) => match u64::try_from(n) {
            Ok(n) if n <= i64::MAX as u64 => Ok(n),
            _ => Err(refused(py, option, &n.to_string(), expected)),
        },
        Err(error) if error.is_instance_of::<PyOverflowError>(py) => {
            Err(refused(py, option, "beyond 2^127", expected))
        }
        Err(_) => {
            let found = number.get_type().name()?;
            Err(PyTypeError::new_err(format!("{option} must be {expected}, not {found}")))
        }
    }
}

/// As [`count`], up to 255.
pub(crate) fn byte(
    number: &Bound<'_, PyAny>,
    option: &'static str,
    expected: &'static str,
) -> PyResult<u8> {
    let count = count(number, option, expected)?;
    u8::try_from(count).map_err(|_| refused(number.py(), option, &count.to_string(), expected))
}

/// A number of bytes, from an int or from a text with a unit.
pub(crate) fn parse(size: &Bound<'_, PyAny>) -> PyResult<u64> {
    let Ok(text) = size.cast::<PyString>() else {
        return count(
            size,
            "capacity",
            "1 byte to 1 TiB, as a number or a text such as \"64 MiB\"",
        );
    };
    let text = text.to_string();
    bytes(&text).ok_or_else(|| {
        let expected = "a number and a unit: B, KiB, MiB, GiB, TiB, kB, MB, GB or TB";
        refused(size.py(), "capacity", &text, expected)
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
