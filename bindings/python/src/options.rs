//! Options that are flags or words, as people give them: what is of another kind is refused by the option's name, with
//! what it takes. The functions are for `from_py_with`, which calls them only where the option is given.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

#[cold]
fn odd(given: &Bound<'_, PyAny>, option: &str, expected: &str) -> PyErr {
    let found = given.get_type().name();
    let found = found.map_or_else(|_| "that".into(), |name| name.to_string());
    PyTypeError::new_err(format!("{option} must be {expected}, not {found}"))
}

fn flag(given: &Bound<'_, PyAny>, option: &str) -> PyResult<bool> {
    given.extract().map_err(|_| odd(given, option, "True or False"))
}

fn word<'a>(given: &'a Bound<'_, PyAny>, option: &str, expected: &str) -> PyResult<&'a str> {
    given.extract().map_err(|_| odd(given, option, expected))
}

macro_rules! flags {
    ($($name:ident)*) => {
        $(pub(crate) fn $name(given: &Bound<'_, PyAny>) -> PyResult<bool> {
            flag(given, stringify!($name))
        })*
    };
}

macro_rules! words {
    ($($name:ident: $expected:literal,)*) => {
        $(pub(crate) fn $name<'a>(given: &'a Bound<'_, PyAny>) -> PyResult<&'a str> {
            word(given, stringify!($name), $expected)
        })*
    };
}

flags! {
    anonymous ascii breaking copy drop_oldest keep native on pickle populate replace sort_keys strict text
}

words! {
    ack: r#""auto" or "manual""#,
    checks: r#""safe" or "full""#,
    decimals: r#""number" or "text""#,
    duplicates: r#""last" or "error""#,
    floats: r#""float" or "decimal""#,
    keys: r#""strict" or "convert""#,
    mode: r#""spsc", "mpsc", "spmc" or "mpmc""#,
    surrogates: r#""error" or "keep""#,
}

/// Of `to_frame`; `send` has a type for it.
pub(crate) fn format<'a>(given: &'a Bound<'_, PyAny>) -> PyResult<&'a str> {
    word(given, "format", r#""value" or "json""#)
}

/// Of `dumps`.
pub(crate) fn nan_out<'a>(given: &'a Bound<'_, PyAny>) -> PyResult<&'a str> {
    word(given, "nan", r#""error", "null" or "constants""#)
}

/// Of `loads`.
pub(crate) fn nan_in(given: &Bound<'_, PyAny>) -> PyResult<bool> {
    flag(given, "nan")
}

/// A producer's, which may be left open.
pub(crate) fn pickles(given: &Bound<'_, PyAny>) -> PyResult<Option<bool>> {
    given.extract().map_err(|_| odd(given, "pickle", "True, False or None"))
}

pub(crate) fn name(given: &Bound<'_, PyAny>) -> PyResult<Option<String>> {
    given.extract().map_err(|_| odd(given, "name", "a text, or None"))
}

pub(crate) fn unknown<'a>(given: &'a Bound<'_, PyAny>) -> PyResult<Option<&'a str>> {
    given.extract().map_err(|_| odd(given, "unknown", r#""ignore", "raise" or None"#))
}
