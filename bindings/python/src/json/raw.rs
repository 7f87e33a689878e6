//! Text that is JSON already.

use crate::buffer::Buffer;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

/// Text that is JSON already: ``dumps`` writes it as it is, wherever it stands, and ``Producer.send`` sends it as a JSON frame.
///
/// It is checked to be UTF-8, and not to be JSON: whoever reads it does that.
#[pyclass(frozen, module = "slipring.json")]
pub(crate) struct Raw {
    /// UTF-8.
    text: Py<PyBytes>,
}

impl Raw {
    pub(crate) fn bytes<'a>(&'a self, py: Python<'a>) -> &'a [u8] {
        self.text.as_bytes(py)
    }
}

#[pymethods]
impl Raw {
    #[new]
    #[pyo3(signature = (text, /))]
    fn new(text: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = text.py();
        if let Ok(text) = text.cast::<PyString>() {
            return Ok(Self { text: text.encode_utf8()?.unbind() });
        }
        let bytes = match text.cast::<PyBytes>() {
            Ok(bytes) => bytes.clone(),
            Err(_) => match Buffer::of(text)? {
                Some(buffer) => PyBytes::new_with(py, buffer.len(), |out| buffer.copy_to(py, out))?,
                None => {
                    let kind = text.get_type().name()?;
                    let what = format!("Raw takes a str or bytes that are JSON, not {kind}");
                    return Err(PyTypeError::new_err(what));
                }
            },
        };
        if let Err(error) = std::str::from_utf8(bytes.as_bytes()) {
            let at = error.valid_up_to();
            let what = format!("JSON is UTF-8, and this is not from byte {at} on");
            return Err(PyValueError::new_err(what));
        }
        Ok(Self { text: bytes.unbind() })
    }

    /// The text, as UTF-8.
    #[getter]
    fn data(&self, py: Python<'_>) -> Py<PyBytes> {
        self.text.clone_ref(py)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("slipring.json.Raw({})", self.text.bind(py).repr()?))
    }
}
