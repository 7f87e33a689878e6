//! Arrays of NumPy's `StringDType`. Their texts lie where NumPy wants them and not in one piece, so that
//! they are copied when they are sent and when they are read.

use crate::{dtype, error};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};
use slipring_codec::format::ndarray::{Descriptor, Missing, MissingValue, Order, Texts};

/// The data of a frame with the elements of `array`, in this order.
pub(crate) fn pack(array: &Bound<'_, PyAny>, missing: &Missing, order: Order) -> PyResult<Vec<u8>> {
    let py = array.py();
    let order = letter(order);
    // Not by the methods of a subclass.
    let array = py.import(intern!(py, "numpy"))?.call_method1(intern!(py, "asarray"), (array,))?;
    let flat = array.call_method1(intern!(py, "ravel"), (order,))?;
    let list = flat.call_method0(intern!(py, "tolist"))?.cast_into::<PyList>()?;
    let items: Vec<Bound<'_, PyAny>> = list.iter().collect();
    let mut texts = Vec::with_capacity(items.len());
    for item in &items {
        let text = item.cast::<PyString>().ok().map(|text| text.to_str()).transpose()?;
        let stands_for_none =
            |text: &str| matches!(&missing.value, MissingValue::Text(of) if **of == *text);
        texts.push(text.filter(|text| !stands_for_none(text)));
    }
    Ok(Texts::pack(texts))
}

/// The array of a frame's data, read-only as all that come.
pub(crate) fn unpack<'py>(
    py: Python<'py>,
    descriptor: &Descriptor,
    missing: &Missing,
    data: &[u8],
) -> PyResult<Bound<'py, PyAny>> {
    // A copy that nobody writes to: what was checked stays so.
    let data = data.to_vec();
    let wrong = |e| error::decode(py, &e, "ndarray");
    let stands = match &missing.value {
        MissingValue::No | MissingValue::Null => py.None().into_bound(py),
        MissingValue::Nan => f64::NAN.into_pyobject(py)?.into_any(),
        MissingValue::Text(text) => PyString::new(py, text).into_any(),
    };
    let list = PyList::empty(py);
    for text in Texts::open(&data, descriptor.len()).map_err(wrong)? {
        match text.map_err(wrong)? {
            Some(text) => list.append(text)?,
            None => list.append(&stands)?,
        }
    }
    let options = PyDict::new(py);
    options.set_item(intern!(py, "dtype"), dtype::build(py, descriptor.element())?)?;
    let numpy = py.import(intern!(py, "numpy"))?;
    let flat = numpy.call_method(intern!(py, "array"), (list,), Some(&options))?;
    let readonly = PyDict::new(py);
    readonly.set_item(intern!(py, "write"), false)?;
    flat.call_method(intern!(py, "setflags"), (), Some(&readonly))?;
    let shape = pyo3::types::PyTuple::new(py, descriptor.shape())?;
    let order = PyDict::new(py);
    order.set_item(intern!(py, "order"), letter(descriptor.order()))?;
    flat.call_method(intern!(py, "reshape"), (shape,), Some(&order))
}

fn letter(order: Order) -> &'static str {
    match order {
        Order::C => "C",
        Order::F => "F",
    }
}
