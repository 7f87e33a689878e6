//! UUIDs and Decimals as dataclasses have them made, for who has nothing to do with dataclasses otherwise.

use super::class::{self, Object};
use super::fail::{self, Fail, Outcome};
use super::leaf;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// A UUID, of its bytes.
pub(crate) fn uuid(py: Python<'_>, bytes: [u8; 16]) -> PyResult<Bound<'_, PyAny>> {
    made(py, leaf::make_uuid(py, u128::from_be_bytes(bytes)))
}

/// The same of a Decimal, if its parts are small.
pub(crate) fn small_decimal(
    py: Python<'_>,
    mantissa: i128,
    exponent: i128,
) -> PyResult<Option<Bound<'_, PyAny>>> {
    match leaf::decimal_of_parts(py, Some(mantissa), Some(exponent)) {
        Ok(None) => Ok(None),
        Ok(Some(object)) => Ok(Some(class::owned(py, object))),
        Err(failed) => made(py, Err(failed)).map(Some),
    }
}

fn made(py: Python<'_>, made: Outcome<Object>) -> PyResult<Bound<'_, PyAny>> {
    match made.map_err(|failed| *failed) {
        Ok(object) => Ok(class::owned(py, object)),
        Err(Fail::Fault(fault)) => Err(fault.decoding(py)),
        Err(Fail::Invalid(_) | Fail::Malformed) => Err(PyValueError::new_err(fail::REFUSED)),
    }
}
