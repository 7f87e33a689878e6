//! NumPy's dtypes that are no numbers: described for a frame, and made again from its description.
//!
//! Both go through the attributes and the constructor of `numpy.dtype`, so that NumPy itself checks what it
//! is given. Numbers don't come here; `array` knows them by heart.

use crate::error;
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFloat, PyList, PyString, PyTuple};
use slipring_codec::format::ndarray::{
    ByteOrder, Dtype, Element, Field, LongDouble, MAX_NESTING, Missing, MissingValue, Struct,
    Subarray, TimeUnit,
};

/// The first type number that is none of NumPy's old dtypes, whose letters say what they are.
const NEW: i32 = 24;
/// `StringDType`, among the new ones.
const STRING: i32 = 2056;

/// What is said of a dtype, or why it can't be sent.
pub(crate) fn describe(dtype: &Bound<'_, PyAny>) -> PyResult<Element> {
    at(dtype, "$", 0)
}

fn at(dtype: &Bound<'_, PyAny>, path: &str, depth: usize) -> PyResult<Element> {
    let py = dtype.py();
    let refuse = |hint: &str| {
        let name = dtype.str()?.to_string();
        let what = format!("an array of dtype {name} can't be sent");
        Err(error::unsendable(py, &what, path, &name, hint))
    };
    let unfit = |e| error::encode(py, &e, "ndarray");
    if depth > MAX_NESTING {
        return refuse("structs and subarrays nest deeper than 32: flatten the struct");
    }
    let number: i32 = dtype.getattr(intern!(py, "num"))?.extract()?;
    if number == STRING {
        return string(dtype, path);
    }
    if !(0..NEW).contains(&number) {
        return refuse(
            "another package has made it: send a view of it as a dtype of NumPy's, such as \"u2\"",
        );
    }
    let kind: char = dtype.getattr(intern!(py, "kind"))?.extract()?;
    let size: u64 = dtype.getattr(intern!(py, "itemsize"))?.extract()?;
    let Ok(size) = u32::try_from(size) else {
        return refuse("an element has more than 2^31 - 1 bytes: send it in several arrays");
    };
    let subdtype = dtype.getattr(intern!(py, "subdtype"))?;
    if !subdtype.is_none() {
        let (base, shape): (Bound<'_, PyAny>, Vec<u32>) = subdtype.extract()?;
        return Ok(Subarray::new(at(&base, path, depth + 1)?, &shape).map_err(unfit)?.into());
    }
    let names = dtype.getattr(intern!(py, "names"))?;
    if !names.is_none() {
        if kind != 'V' {
            return refuse("it is a number that has fields: send a view of it as one or the other");
        }
        return structure(dtype, names.cast::<PyTuple>()?, size, path, depth);
    }
    let byte_order = match dtype.getattr(intern!(py, "byteorder"))?.extract()? {
        '>' => ByteOrder::Big,
        '=' if cfg!(target_endian = "big") => ByteOrder::Big,
        _ => ByteOrder::Little,
    };
    Ok(match (kind, size) {
        ('S', len) => Element::Bytes { len },
        ('V', len) => Element::Void { len },
        ('U', size) => Element::Text { len: size / 4, byte_order },
        ('m' | 'M', 8) => {
            let numpy = py.import(intern!(py, "numpy"))?;
            let (unit, count): (String, u32) =
                numpy.call_method1(intern!(py, "datetime_data"), (dtype,))?.extract()?;
            let Some(unit) = TimeUnit::from_name(&unit) else {
                return refuse("its unit is unknown to this version");
            };
            Element::Time { since_1970: kind == 'M', unit, count, byte_order }
        }
        ('f', 16) | ('c', 32) => match LongDouble::native() {
            Some(format) => Element::LongDouble { format, complex: kind == 'c', byte_order },
            None => return refuse("this platform's long double is unknown: send it as f8 or c16"),
        },
        ('O', _) => {
            return refuse(
                "objects go by pickle, which an array does not: send them as a list, or as a dtype \
                 that holds no object",
            );
        }
        (kind, size) => {
            let big = u16::from(byte_order == ByteOrder::Big && size > 1) << 15;
            let size = u8::try_from(size).ok().map(u16::from);
            let code = size.map(|size| big | (kind as u16) << 8 | size);
            match code.and_then(Dtype::from_code) {
                Some(dtype) => dtype.into(),
                None => return refuse("no such dtype is known: send it as another one"),
            }
        }
    })
}

fn structure(
    dtype: &Bound<'_, PyAny>,
    names: &Bound<'_, PyTuple>,
    size: u32,
    path: &str,
    depth: usize,
) -> PyResult<Element> {
    let py = dtype.py();
    let table = dtype.getattr(intern!(py, "fields"))?;
    let mut fields = Vec::with_capacity(names.len());
    for name in names {
        let entry = table.get_item(&name)?;
        let entry = entry.cast::<PyTuple>()?;
        let text = |text: &Bound<'_, PyAny>| text.extract::<String>().map(String::into_boxed_str);
        let title = entry.get_item(2).ok();
        let (Ok(named), Ok(title)) = (text(&name), title.as_ref().map(text).transpose()) else {
            let what = format!("a struct with the field {} can't be sent", name.repr()?);
            let hint = "give it a name and a title that are text of Unicode";
            return Err(error::unsendable(py, &what, path, "numpy.dtype", hint));
        };
        let path = format!("{path}.{named}");
        let offset = entry.get_item(1)?.extract()?;
        let element = at(&entry.get_item(0)?, &path, depth + 1)?;
        fields.push(Field { name: named, title, offset, element });
    }
    let aligned = dtype.getattr(intern!(py, "isalignedstruct"))?.extract()?;
    let of =
        Struct::new(fields, size, aligned).map_err(|e| error::encode(py, &e, "numpy.dtype"))?;
    Ok(of.into())
}

fn string(dtype: &Bound<'_, PyAny>, path: &str) -> PyResult<Element> {
    let py = dtype.py();
    let coerce = dtype.getattr(intern!(py, "coerce"))?.extract()?;
    let value = match dtype.getattr_opt(intern!(py, "na_object"))? {
        None => MissingValue::No,
        Some(na) if na.is_none() => MissingValue::Null,
        Some(na) if na.cast::<PyFloat>().is_ok_and(|na| na.value().is_nan()) => MissingValue::Nan,
        Some(na) => match na.cast::<PyString>().map(|text| text.to_str()) {
            Ok(Ok(text)) => MissingValue::Text(text.into()),
            _ => {
                let name = dtype.str()?.to_string();
                let what = format!("an array of dtype {name} can't be sent");
                let hint = "let None, NaN or a text stand for what is missing";
                return Err(error::unsendable(py, &what, path, &name, hint));
            }
        },
    };
    Ok(Element::String(Missing { value, coerce }.into()))
}

/// The dtype of an element that came. NumPy must be there.
pub(crate) fn build<'py>(py: Python<'py>, element: &Element) -> PyResult<Bound<'py, PyAny>> {
    let numpy = py.import(intern!(py, "numpy"))?;
    let made = make(&numpy.getattr(intern!(py, "dtype"))?, element).and_then(|dtype| {
        // An array lies over as many bytes as this makes.
        let size: usize = dtype.getattr(intern!(py, "itemsize"))?.extract()?;
        match size == element.item_size() || matches!(element, Element::String(_)) {
            true => Ok(dtype),
            false => Err(PyValueError::new_err(format!("its elements have {size} bytes"))),
        }
    });
    made.map_err(|cause| {
        let what = format!("NumPy has no dtype {element}: {cause}");
        let hint = "read the bytes by frame.view, or send another dtype";
        let class = intern!(py, "DecodeError");
        let error = error::undecodable(py, class, &what, "$.head.dtype", "ndarray", hint);
        error.set_cause(py, Some(cause));
        error
    })
}

fn make<'py>(dtype: &Bound<'py, PyAny>, element: &Element) -> PyResult<Bound<'py, PyAny>> {
    let py = dtype.py();
    match element {
        Element::LongDouble { format, .. } if LongDouble::native() != Some(*format) => {
            let name = format.name();
            Err(PyValueError::new_err(format!("the long double of this platform is not {name}")))
        }
        Element::Struct(of) => {
            let formats: PyResult<Vec<_>> =
                of.fields().iter().map(|field| make(dtype, &field.element)).collect();
            let names: Vec<&str> = of.fields().iter().map(|field| &*field.name).collect();
            let offsets: Vec<u32> = of.fields().iter().map(|field| field.offset).collect();
            let said = PyDict::new(py);
            said.set_item(intern!(py, "names"), PyList::new(py, names)?)?;
            said.set_item(intern!(py, "formats"), PyList::new(py, formats?)?)?;
            said.set_item(intern!(py, "offsets"), PyList::new(py, offsets)?)?;
            said.set_item(intern!(py, "itemsize"), of.item_size())?;
            if of.is_aligned() {
                said.set_item(intern!(py, "aligned"), true)?;
            }
            if has_title(of) {
                let titles = of.fields().iter().map(|field| field.title.as_deref());
                let titles: Vec<Option<&str>> = titles.collect();
                said.set_item(intern!(py, "titles"), PyList::new(py, titles)?)?;
            }
            dtype.call1((said,))
        }
        Element::Subarray(of) => {
            let shape = PyTuple::new(py, of.shape())?;
            dtype.call1(((make(dtype, of.element())?, shape),))
        }
        Element::String(of) => {
            let options = PyDict::new(py);
            options.set_item(intern!(py, "coerce"), of.coerce)?;
            let na = intern!(py, "na_object");
            match &of.value {
                MissingValue::No => {}
                MissingValue::Null => options.set_item(na, py.None())?,
                MissingValue::Nan => options.set_item(na, f64::NAN)?,
                MissingValue::Text(text) => options.set_item(na, &**text)?,
            }
            let dtypes = py.import(intern!(py, "numpy.dtypes"))?;
            dtypes.call_method(intern!(py, "StringDType"), (), Some(&options))
        }
        word => dtype.call1((word.to_string(),)),
    }
}

fn has_title(of: &Struct) -> bool {
    of.fields().iter().any(|field| field.title.is_some())
}
