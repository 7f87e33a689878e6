//! Metadata: a dict with text keys, from Python objects to CBOR and back.

use crate::error;
use pyo3::prelude::*;
use pyo3::types::{
    PyBool, PyByteArray, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple,
};
use pyo3::{ffi, intern};
use slipring_codec::token::MAX_DEPTH;
use slipring_codec::{Encoder, Value};

/// Why an object is no metadata.
enum Fault {
    Python(PyErr),
    Refused {
        what: String,
        kind: String,
        hint: &'static str,
        /// Gathered on the way out, so innermost first.
        steps: Vec<String>,
    },
}

impl From<PyErr> for Fault {
    fn from(error: PyErr) -> Self {
        Self::Python(error)
    }
}

impl Fault {
    fn refused(what: String, kind: String, hint: &'static str) -> Self {
        Self::Refused { what, kind, hint, steps: Vec::new() }
    }

    fn within(mut self, step: impl FnOnce() -> String) -> Self {
        if let Self::Refused { steps, .. } = &mut self {
            steps.push(step());
        }
        self
    }
}

/// Encodes `meta`, which must be a dict with text keys.
pub(crate) fn encode(meta: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    let mut encoder = Encoder::new();
    let outcome = match meta.cast::<PyDict>() {
        Ok(dict) => write_dict(dict, &mut encoder, 0),
        Err(_) => type_name(meta).map_err(Fault::from).and_then(|kind| {
            Err(Fault::refused(format!("meta is of type {kind}"), kind, "give a dict, or None"))
        }),
    };
    match outcome {
        Ok(()) => Ok(encoder.into_vec()),
        Err(Fault::Python(error)) => Err(error),
        Err(Fault::Refused { what, kind, hint, steps }) => {
            let path: String = steps.into_iter().rev().collect();
            Err(error::unsendable(meta.py(), &what, &format!("$.meta{path}"), &kind, hint))
        }
    }
}

fn type_name(object: &Bound<'_, PyAny>) -> PyResult<String> {
    Ok(object.get_type().name()?.to_string())
}

fn check_depth(depth: usize, kind: &str) -> Result<(), Fault> {
    if depth < MAX_DEPTH {
        return Ok(());
    }
    let what = format!("more than {MAX_DEPTH} containers inside each other");
    Err(Fault::refused(what, kind.into(), "flatten it, or look for one that contains itself"))
}

fn write_dict(
    dict: &Bound<'_, PyDict>,
    encoder: &mut Encoder<Vec<u8>>,
    depth: usize,
) -> Result<(), Fault> {
    check_depth(depth, "dict")?;
    // A copy: what is called for the values may change the dict.
    let items = dict.items();
    encoder.map(items.len());
    for item in items.iter() {
        let (key, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = item.extract()?;
        let Ok(text) = key.cast::<PyString>() else {
            let kind = type_name(&key)?;
            let what = format!("a key of type {kind}");
            return Err(Fault::refused(what, kind, "give keys that are str"));
        };
        let text = text.to_cow()?;
        encoder.text(&text);
        write(&value, encoder, depth + 1)
            .map_err(|fault| fault.within(|| format!(".{}", text.escape_debug())))?;
    }
    Ok(())
}

fn write_items(
    items: &Bound<'_, PyTuple>,
    encoder: &mut Encoder<Vec<u8>>,
    depth: usize,
) -> Result<(), Fault> {
    check_depth(depth, "list")?;
    encoder.array(items.len());
    for (index, item) in items.iter().enumerate() {
        write(&item, encoder, depth + 1).map_err(|fault| fault.within(|| format!("[{index}]")))?;
    }
    Ok(())
}

fn write(
    value: &Bound<'_, PyAny>,
    encoder: &mut Encoder<Vec<u8>>,
    depth: usize,
) -> Result<(), Fault> {
    if value.is_none() {
        encoder.null();
    } else if let Ok(truth) = value.cast::<PyBool>() {
        encoder.bool(truth.is_true());
    } else if let Ok(text) = value.cast::<PyString>() {
        encoder.text(&text.to_cow()?);
    } else if let Ok(float) = value.cast::<PyFloat>() {
        encoder.float(float.value());
    } else if let Ok(bytes) = value.cast::<PyBytes>() {
        encoder.bytes(bytes.as_bytes());
    } else if let Ok(bytes) = value.cast::<PyByteArray>() {
        encoder.bytes(&bytes.to_vec());
    } else if let Ok(dict) = value.cast::<PyDict>() {
        write_dict(dict, encoder, depth)?;
    } else if let Ok(tuple) = value.cast::<PyTuple>() {
        write_items(tuple, encoder, depth)?;
    } else if let Ok(list) = value.cast::<PyList>() {
        // A copy, as above.
        write_items(&list.to_tuple(), encoder, depth)?;
    } else if is_index(value) {
        write_integer(value, encoder)?;
    } else {
        let kind = type_name(value)?;
        let hint =
            "give None, bool, int, float, str, bytes, list, tuple, dict or what has __index__";
        return Err(Fault::refused(format!("a value of type {kind}"), kind, hint));
    }
    Ok(())
}

/// An int, or what can be one without loss, such as NumPy's integers. An array is neither.
fn is_index(value: &Bound<'_, PyAny>) -> bool {
    // SAFETY: the object is alive.
    let index = unsafe { ffi::PyIndex_Check(value.as_ptr()) } != 0;
    index && (value.is_instance_of::<PyInt>() || !value.hasattr("__len__").unwrap_or(true))
}

fn write_integer(value: &Bound<'_, PyAny>, encoder: &mut Encoder<Vec<u8>>) -> Result<(), Fault> {
    let integer = value.call_method0(intern!(value.py(), "__index__"))?;
    if let Ok(small) = integer.extract::<i64>() {
        encoder.int(small);
    } else if let Ok(large) = integer.extract::<u64>() {
        encoder.uint(large);
    } else {
        let Some(n) = integer.extract::<i128>().ok().and_then(|n| u64::try_from(-1 - n).ok())
        else {
            let what = "an integer outside -2^64 to 2^64 - 1".to_owned();
            return Err(Fault::refused(what, "int".into(), "give it as str or bytes"));
        };
        encoder.negative(n);
    }
    Ok(())
}

/// A decoded value as Python's objects.
pub(crate) fn to_python<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Value::Null => py.None().into_bound(py),
        Value::Bool(value) => PyBool::new(py, *value).to_owned().into_any(),
        Value::Int(value) => value.into_pyobject(py)?.into_any(),
        Value::Float(value) => PyFloat::new(py, *value).into_any(),
        Value::Bytes(bytes) => PyBytes::new(py, bytes).into_any(),
        Value::Text(text) => PyString::new(py, text).into_any(),
        Value::Array(items) => {
            let list = PyList::empty(py);
            items.iter().try_for_each(|item| list.append(to_python(py, item)?))?;
            list.into_any()
        }
        Value::Map(pairs) => {
            let dict = PyDict::new(py);
            for (key, value) in pairs {
                let key = match key {
                    // Python can't hash what a list or dict would be.
                    Value::Array(_) | Value::Map(_) => return Err(unhashable(py)),
                    key => to_python(py, key)?,
                };
                dict.set_item(key, to_python(py, value)?)?;
            }
            dict.into_any()
        }
        // Big integers of RFC 8949, section 3.4.3; n counts from -1 down where it is negative.
        Value::Tag(tag @ (2 | 3), inner) if let Value::Bytes(bytes) = &**inner => {
            let int = py.get_type::<PyInt>();
            let n =
                int.call_method1(intern!(py, "from_bytes"), (PyBytes::new(py, bytes), "big"))?;
            if *tag == 2 { n } else { n.bitnot()? }
        }
        other => {
            let what = match other {
                Value::Tag(tag, _) => format!("the tag {tag} has no type in Python"),
                _ => "a kind of value that this version does not know".to_owned(),
            };
            let hint = "the sender may be newer: send plain values, or upgrade this side";
            let class = intern!(py, "DecodeError");
            return Err(error::undecodable(py, class, &what, "$.meta", "meta", hint));
        }
    })
}

fn unhashable(py: Python<'_>) -> PyErr {
    let what = "a list or map is the key of a map";
    let hint = "send keys that are text or numbers";
    error::undecodable(py, intern!(py, "DecodeError"), what, "$.meta", "meta", hint)
}
