//! Objects as bytes, without a ring, in a form that is asked for: the faults are those of sending.

use crate::array::{self, Candidate};
use crate::buffer::Buffer;
use crate::frame::Frame;
use crate::outgoing::Form;
use crate::producer::unsupported;
use crate::table::{records, send, take};
use crate::{size, value};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::sync::Arc;

/// The object as CBOR in this form, or not at all.
pub(crate) fn encode_as<'py>(
    form: Form,
    object: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyBytes>> {
    let py = object.py();
    let written = match form {
        Form::Raw if object.is_exact_instance_of::<Frame>() => {
            return encode_as(form, &object.getattr(intern!(py, "view"))?);
        }
        Form::Raw => {
            let Some(buffer) = Buffer::of(object)? else {
                return Err(unsupported(object, "give an object with a buffer, such as bytes"));
            };
            let bytes = buffer.in_one_piece(py)?;
            value::written(py, |writer| {
                writer.encoder.bytes(&bytes);
                Ok(())
            })
        }
        Form::Ndarray => {
            let Candidate::Array(array) = array::look(object)? else {
                return Err(unsupported(object, "give a NumPy array: np.asarray(it) makes one"));
            };
            value::written(py, |writer| writer.array(object, &array))
        }
        Form::Value => value::written(py, |writer| writer.write(object.as_borrowed(), 0)),
        Form::Arrow => {
            let table = match take::shows(object)? {
                true => take::whole(object)?,
                false => records::asked(object)?,
            };
            let plan = Arc::new(send::planned(py, &table, None)?);
            value::written(py, |writer| writer.planned_table(&plan))
        }
        Form::Pickle => return value::as_pickle(object),
        Form::Json => {
            let expected = "raw, ndarray, value, arrow or pickle: slipring.json.dumps makes JSON";
            return Err(size::refused(py, "format", "json", expected));
        }
    };
    written.map_err(|fault| fault.encoding(py))
}
