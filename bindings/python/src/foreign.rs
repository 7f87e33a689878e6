//! Arrays of others: what shows itself by `__dlpack__`, `__array_interface__` or a typed buffer is sent as the array that it
//! is, and a received array shows itself so. NumPy speaks both; no other package is imported.

use crate::buffer::Buffer;
use crate::frame::Frame;
use crate::{array, error};
use pyo3::exceptions::{PyAttributeError, PyBufferError, PyException};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// The CPU's memory, as DLPack calls it.
pub(crate) const CPU: (i32, i32) = (1, 0);

/// The array that an object shows, as a NumPy array over the same memory; `None` if it shows none.
pub(crate) fn view<'py>(object: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = object.py();
    if let Ok(frame) = object.cast::<Frame>() {
        // A frame that is sent on stays what it is; its bytes have a buffer.
        return match frame.get().is_array() {
            true => frame.getattr(intern!(py, "value")).map(Some),
            false => Ok(None),
        };
    }
    let shown = if object.get_type().hasattr(intern!(py, "__dlpack__"))? {
        from_dlpack(object)
    } else if object.hasattr(intern!(py, "__array_interface__"))? {
        array::need_numpy(py)?;
        py.import(intern!(py, "numpy"))?.call_method1(intern!(py, "asarray"), (object,))
    } else if Buffer::of(object)?.is_some_and(|buffer| buffer.is_typed()) {
        array::need_numpy(py).map_err(|missing| {
            let kind = object.get_type().fully_qualified_name();
            let kind = kind.map_or_else(|_| "unknown".into(), |name| name.to_string());
            let what = format!("a {kind} of other elements than bytes is an array: {missing}");
            let hint = "install numpy, or send its bytes(), which tell no type";
            error::unsendable(py, &what, "$", &kind, hint)
        })?;
        py.import(intern!(py, "numpy"))?.call_method1(intern!(py, "asarray"), (object,))
    } else {
        return Ok(None);
    };
    shown.map(Some).map_err(|cause| {
        if !cause.is_instance_of::<PyException>(py) || error::is(py, &cause, intern!(py, "Error")) {
            return cause;
        }
        let kind = object.get_type().fully_qualified_name();
        let kind = kind.map_or_else(|_| "unknown".into(), |name| name.to_string());
        let what = format!("an object of type {kind} shows an array that can't be read: {cause}");
        let hint = "send it as a NumPy array, as bytes, or with format=\"pickle\"";
        let error = error::unsendable(py, &what, "$", &kind, hint);
        error.set_cause(py, Some(cause));
        error
    })
}

fn from_dlpack<'py>(object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = object.py();
    let device = object.call_method0(intern!(py, "__dlpack_device__"))?;
    let (kind, _): (i32, i64) = device.extract()?;
    if kind != CPU.0 {
        let name = object.get_type().fully_qualified_name()?.to_string();
        let what = format!("an array on a device of DLPack's type {kind} can't be sent");
        let hint = "copy it to the CPU's memory first";
        return Err(error::unsendable(py, &what, "$", &name, hint));
    }
    array::need_numpy(py)?;
    py.import(intern!(py, "numpy"))?.call_method1(intern!(py, "from_dlpack"), (object,))
}

/// A capsule over a received array of numbers. NumPy makes it, and refuses consumers of a version before
/// 1.0: these could not be told that nobody may write.
pub(crate) fn dlpack<'py>(
    frame: &Bound<'py, Frame>,
    stream: Option<Bound<'py, PyAny>>,
    max_version: Option<Bound<'py, PyAny>>,
    dl_device: Option<Bound<'py, PyAny>>,
    copy: Option<bool>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = frame.py();
    let array = numbers(frame, |name| {
        PyBufferError::new_err(format!("DLPack has no dtype {name}: take frame.value"))
    })?;
    // What was not given is not passed on: NumPy 2.0 knows the first only.
    let options = PyDict::new(py);
    options.set_item(intern!(py, "stream"), stream)?;
    if let Some(version) = max_version {
        options.set_item(intern!(py, "max_version"), version)?;
    }
    if let Some(device) = dl_device {
        options.set_item(intern!(py, "dl_device"), device)?;
    }
    if let Some(copy) = copy {
        options.set_item(intern!(py, "copy"), copy)?;
    }
    array.call_method(intern!(py, "__dlpack__"), (), Some(&options))
}

/// NumPy's description of a received array of numbers. In the place of an address it has a memoryview,
/// which keeps the memory also when the frame is released.
pub(crate) fn interface<'py>(frame: &Bound<'py, Frame>) -> PyResult<Bound<'py, PyAny>> {
    let py = frame.py();
    let array = numbers(frame, |name| {
        PyAttributeError::new_err(format!("no __array_interface__ for dtype {name}"))
    })?;
    let shown = array.getattr(intern!(py, "__array_interface__"))?;
    shown.set_item(intern!(py, "data"), frame.getattr(intern!(py, "view"))?)?;
    Ok(shown)
}

/// The frame as an array of numbers, else the refusal of its dtype.
fn numbers<'py>(
    frame: &Bound<'py, Frame>,
    refuse: impl FnOnce(String) -> PyErr,
) -> PyResult<Bound<'py, PyAny>> {
    match frame.get().unlike_number(frame.py())? {
        Some(name) => Err(refuse(name)),
        None => Frame::__array__(frame, None, None),
    }
}
