//! Tables on their way in: whatever shows itself by Arrow's capsules, without a look at the library it is of.

use super::capsule::{self, Array, Schema, Stream, Structure};
use super::{loaded, pandas, polars};
use crate::error;
use crate::frame::Frame;
use crate::value::fault::type_name;
use arrow_array::ffi::{FFI_ArrowArray, from_ffi_and_data_type};
use arrow_data::ArrayData;
use arrow_schema::{ArrowError, DataType, Field};
use pyo3::exceptions::{PyException, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use slipring_codec::format::arrow::{Rows, children_of};
use std::ffi::CStr;

/// In the metadata of a schema: the table is one column, sent alone.
pub(crate) const COLUMN: &str = "slipring.column";

/// A table that an object shows.
pub(crate) struct Incoming {
    pub(crate) schema: arrow_schema::Schema,
    pub(crate) batches: Vec<Rows>,
    /// Whether its types are those that were found for elements, and nobody said so.
    pub(crate) inferred: bool,
}

impl Incoming {
    /// No records, of which nobody can say which columns they would have had.
    pub(crate) fn empty() -> Self {
        Self { schema: arrow_schema::Schema::empty(), batches: Vec::new(), inferred: true }
    }
}

/// Whether an object shows itself as a table or a column of one.
pub(crate) fn shows(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    let (py, kind) = (object.py(), object.get_type());
    if let Ok(frame) = object.cast::<Frame>() {
        return Ok(frame.get().is_table());
    }
    Ok(kind.hasattr(intern!(py, "__arrow_c_stream__"))?
        || kind.hasattr(intern!(py, "__arrow_c_array__"))?)
}

/// The table of an object that [`shows`] one. That it can't be had in this form is an `EncodeError`, with the
/// library's own exception as its cause.
pub(crate) fn whole(object: &Bound<'_, PyAny>) -> PyResult<Incoming> {
    let refused = |cause| refusal(object, cause);
    if let Some(frame) = pandas::shown(object).map_err(refused)? {
        return Ok(frame);
    }
    let batches = || {
        let mut batches = Batches::of(object)?;
        let mut all = Vec::new();
        while let Some(rows) = batches.next(object.py())? {
            all.push(rows);
        }
        Ok(Incoming { schema: batches.schema, batches: all, inferred: false })
    };
    let table = batches().map_err(refused)?;
    pandas::warn_index(object)?;
    Ok(table)
}

/// The library could not make Arrow of it: as the refusal of a format, so that another is tried.
fn refusal(object: &Bound<'_, PyAny>, cause: PyErr) -> PyErr {
    let py = object.py();
    let ours = error::is(py, &cause, intern!(py, "Error"));
    if ours || !cause.is_instance_of::<PyException>(py) {
        return cause;
    }
    let kind = type_name(object);
    let what = format!("an object of type {kind} does not come as Arrow: {cause}");
    let hint = "give its columns types of Arrow's, or send it with format=\"pickle\"";
    let error = error::unsendable(py, &what, "$", &kind, hint);
    error.set_cause(py, Some(cause));
    error
}

/// Whether it is one column of pyarrow's.
fn is_pyarrow_array(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = object.py();
    for class in [intern!(py, "Array"), intern!(py, "ChunkedArray")] {
        if let Some(class) = loaded(py, intern!(py, "pyarrow"), class)?
            && object.is_instance(&class)?
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The array of an object that has one.
pub(super) fn array(object: &Bound<'_, PyAny>) -> PyResult<(Field, ArrayData)> {
    let shown = object.call_method0(intern!(object.py(), "__arrow_c_array__"))?;
    let (field, array) = array_of(&shown)?;
    let data = import(array, field.data_type().clone()).map_err(|error| failed(&error))?;
    Ok((field, data))
}

/// What the two capsules of an array hold.
fn array_of(shown: &Bound<'_, PyAny>) -> PyResult<(Field, Array)> {
    let (schema, array): (Bound<'_, PyAny>, Bound<'_, PyAny>) = shown.extract()?;
    // SAFETY: the interface keeps an `ArrowSchema` under this name.
    let schema: Schema = unsafe { capsule::take(&schema, capsule::SCHEMA) }?;
    // SAFETY: the interface keeps an `ArrowArray` under this name.
    let array: Array = unsafe { capsule::take(&array, capsule::ARRAY) }?;
    let field = Field::try_from(&schema).map_err(|error| failed(&error.to_string()))?;
    Ok((field, array))
}

/// The schema that an object shows: one itself, or a table's.
pub(crate) fn schema(object: &Bound<'_, PyAny>) -> PyResult<arrow_schema::Schema> {
    let py = object.py();
    if !object.get_type().hasattr(intern!(py, "__arrow_c_schema__"))? {
        if shows(object)? {
            return Batches::of(object).map(|batches| batches.schema);
        }
        let found = object.get_type().name()?;
        return Err(PyTypeError::new_err(format!(
            "a schema is given by Arrow's, such as pyarrow.schema(...), or by a table that has it, not by {found}"
        )));
    }
    let shown = object.call_method0(intern!(py, "__arrow_c_schema__"))?;
    // SAFETY: the interface keeps an `ArrowSchema` under this name.
    let schema: Schema = unsafe { capsule::take(&shown, capsule::SCHEMA) }?;
    arrow_schema::Schema::try_from(&schema).map_err(|error| failed(&error.to_string()))
}

/// The batches of an object, one at a time.
pub(crate) struct Batches {
    pub(crate) schema: arrow_schema::Schema,
    /// Of what the arrays are: of structs that are the rows, or a column.
    data_type: DataType,
    is_rows: bool,
    from: From,
}

enum From {
    Stream(Stream),
    Array(Option<Array>),
}

impl Batches {
    /// Asks the object for its stream, or for its array.
    pub(crate) fn of(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = object.py();
        polars::refuse_objects(object)?;
        if object.get_type().hasattr(intern!(py, "__arrow_c_stream__"))? {
            let shown = object.call_method0(intern!(py, "__arrow_c_stream__"))?;
            // SAFETY: the interface keeps an `ArrowArrayStream` under this name.
            let mut stream: Stream = unsafe { capsule::take(&shown, capsule::STREAM) }?;
            let (stream, field) = py.detach(|| {
                let field = stream_field(&mut stream);
                (stream, field)
            });
            let field = field.map_err(|error| failed(&error))?;
            return Self::new(object, field, From::Stream(stream));
        }
        let (field, array) = array_of(&object.call_method0(intern!(py, "__arrow_c_array__"))?)?;
        Self::new(object, field, From::Array(Some(array)))
    }

    fn new(object: &Bound<'_, PyAny>, field: Field, from: From) -> PyResult<Self> {
        let data_type = field.data_type().clone();
        let metadata = field.metadata().clone();
        // A series or an array of structs is a column, too, whose rows may be null.
        let is_rows = matches!(data_type, DataType::Struct(_))
            && !pandas::is_series(object)?
            && !polars::is_series(object)?
            && !is_pyarrow_array(object)?;
        let schema = match &data_type {
            DataType::Struct(fields) if is_rows => {
                arrow_schema::Schema::new_with_metadata(fields.clone(), metadata)
            }
            _ => {
                let field = match pandas::name(object)? {
                    Some(name) => field.with_name(name),
                    None => field,
                };
                let mark = [(COLUMN.to_owned(), "1".to_owned())];
                arrow_schema::Schema::new_with_metadata(vec![field], mark)
            }
        };
        Ok(Self { schema, data_type, is_rows, from })
    }

    /// The next batch. The library works detached: it attaches itself where it needs the interpreter.
    pub(crate) fn next(&mut self, py: Python<'_>) -> PyResult<Option<Rows>> {
        let (data_type, from) = (&self.data_type, &mut self.from);
        let next = py.detach(|| {
            let array = match from {
                From::Stream(stream) => next_of(stream)?,
                From::Array(array) => array.take(),
            };
            array.map(|array| import(array, data_type.clone())).transpose()
        });
        let Some(data) = next.map_err(|error| failed(&error))? else { return Ok(None) };
        if !self.is_rows {
            return Ok(Some(Rows { len: data.len(), columns: vec![data] }));
        }
        let rows = Rows::from_struct(&data);
        rows.map(Some).map_err(|refused| error::encode(py, &refused, "arrow"))
    }
}

#[cold]
fn failed(error: &str) -> PyErr {
    pyo3::exceptions::PyValueError::new_err(error.to_owned())
}

/// What the stream says of its last failure.
fn last_error(stream: &mut Stream, code: i32) -> String {
    // SAFETY: an unreleased stream, right after a call that failed.
    let text = stream.get_last_error.map(|get| unsafe { get(stream) });
    match text {
        Some(text) if !text.is_null() => {
            // SAFETY: the text is the stream's, until its next call.
            unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
        }
        _ => format!("the Arrow stream failed with code {code}"),
    }
}

fn stream_field(stream: &mut Stream) -> Result<Field, String> {
    let Some(get) = stream.get_schema else { return Err("the stream has no schema".to_owned()) };
    let mut schema = Schema::released();
    // SAFETY: an unreleased stream, and a place for a schema.
    match unsafe { get(stream, &mut schema) } {
        0 => Field::try_from(&schema).map_err(|error: ArrowError| error.to_string()),
        code => Err(last_error(stream, code)),
    }
}

fn next_of(stream: &mut Stream) -> Result<Option<Array>, String> {
    let Some(get) = stream.get_next else { return Ok(None) };
    let mut array = Array::released();
    // SAFETY: an unreleased stream, and a place for an array.
    match unsafe { get(stream, &mut array) } {
        0 => Ok(if array.is_released() { None } else { Some(array) }),
        code => Err(last_error(stream, code)),
    }
}

/// Whether a type is the null type, or has it in it.
fn has_null(data_type: &DataType) -> bool {
    match data_type {
        DataType::Null => true,
        DataType::Dictionary(_, values) => has_null(values),
        other => children_of(other).into_iter().any(|field| has_null(field.data_type())),
    }
}

/// Null arrays have no buffers, but polars says one, which is at null: arrow-rs takes only none.
///
/// # Safety
/// The array is unreleased and the caller's alone, with all that it points to, as the interface says of a consumer's.
unsafe fn without_buffers(array: &mut Array, data_type: &DataType) {
    if *data_type == DataType::Null {
        let count = usize::try_from(array.n_buffers).unwrap_or(0);
        let buffers = match array.buffers.is_null() {
            true => &[],
            // SAFETY: the interface: so many pointers are there.
            false => unsafe { std::slice::from_raw_parts(array.buffers, count) },
        };
        // A callback that frees the buffers by their number has nothing to free then; else the number stays as it is.
        if buffers.iter().all(|buffer| buffer.is_null()) {
            array.n_buffers = 0;
        }
        return;
    }
    if let DataType::Dictionary(_, values) = data_type {
        // SAFETY: null, or an array that is the caller's with the one that points to it.
        if let Some(dictionary) = unsafe { array.dictionary.as_mut() } {
            // SAFETY: as above.
            unsafe { without_buffers(dictionary, values) };
        }
        return;
    }
    let fields = children_of(data_type);
    if array.children.is_null() || usize::try_from(array.n_children) != Ok(fields.len()) {
        // What is made of that is said where it is imported.
        return;
    }
    // SAFETY: the interface: so many pointers are there.
    let each = unsafe { std::slice::from_raw_parts(array.children, fields.len()) };
    for (child, field) in each.iter().zip(fields) {
        // SAFETY: null, or an array that is the caller's, who may even move it out and so writes to it.
        if let Some(child) = unsafe { child.as_mut() } {
            // SAFETY: as above.
            unsafe { without_buffers(child, field.data_type()) };
        }
    }
}

/// The array as arrow-rs has it, over the library's memory.
fn import(mut array: Array, data_type: DataType) -> Result<ArrayData, String> {
    if has_null(&data_type) {
        // SAFETY: it was moved here out of its capsule or stream, and nobody has looked into it yet.
        unsafe { without_buffers(&mut array, &data_type) };
    }
    let mut array = std::mem::ManuallyDrop::new(array);
    // SAFETY: both are the interface's `struct ArrowArray`; what was moved out is not dropped here.
    let array = unsafe { FFI_ArrowArray::from_raw((&raw mut *array).cast()) };
    // SAFETY: the library answers for what it shows: that it is of its type, and as long as it says.
    let data = unsafe { from_ffi_and_data_type(array, data_type) };
    data.map_err(|error| error.to_string())
}
