//! NumPy's arrays and scalars, as lists and numbers.

use super::out::Lend;
use super::write::{Number, Place, Writer, unsupported};
use crate::array::{self, Role};
use crate::buffer::Buffer;
use crate::value::fault::{Fault, Outcome};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use pyo3::{IntoPyObjectExt, intern};

/// Writes an array or a scalar; `false` if the object is none.
pub(super) fn write<'py, S: Lend, const PLAIN: bool>(
    writer: &mut Writer<'py, '_, S, PLAIN>,
    object: &Bound<'py, PyAny>,
    depth: usize,
) -> Result<bool, Box<Fault>> {
    let role = array::role(object)?;
    if role == Role::Other {
        return Ok(false);
    }
    let py = object.py();
    let dtype = object.getattr(intern!(py, "dtype"))?;
    let letter: char = dtype.getattr(intern!(py, "kind"))?.extract()?;
    let size: usize = dtype.getattr(intern!(py, "itemsize"))?.extract()?;
    let masked = role == Role::Array && object.get_type().hasattr(intern!(py, "mask"))?;
    match (letter, size, role) {
        _ if masked => writer.by_default(object, depth)?,
        ('f', 2 | 4, Role::Scalar) => writer.one_number(Number::Short(object.extract()?))?,
        ('b' | 'i' | 'u' | 'f', 1..=8, Role::Scalar) => {
            let item = object.call_method0(intern!(py, "item"))?;
            writer.write(item.as_borrowed(), depth)?;
        }
        ('b' | 'i' | 'u', ..) | ('f', 2 | 4 | 8, _) => {
            numbers(writer, object, letter, size, depth)?
        }
        ('M', ..) => {
            let numpy = py.import(intern!(py, "numpy"))?;
            let texts = numpy.call_method1(intern!(py, "datetime_as_string"), (object,))?;
            let item = texts.call_method0(intern!(py, "tolist"))?;
            if not_a_time(&item)? {
                writer.by_default(object, depth)?;
            } else {
                writer.write(item.as_borrowed(), depth)?;
            }
        }
        ('U' | 'T' | 'O', _, Role::Array) => {
            let items = object.call_method0(intern!(py, "tolist"))?;
            writer.write(items.as_borrowed(), depth)?;
        }
        // A scalar of text is a str.
        ('U', ..) => return Ok(false),
        _ if writer.has_default() => writer.by_default(object, depth)?,
        _ => {
            let mut what = unsupported(writer.options, object).to_string();
            what.truncate(what.find(", at ").unwrap_or(what.len()));
            let kind = dtype.str()?.to_string();
            let what = format!("{what} if its dtype is {kind}");
            let hint = match writer.options.are_offered {
                true => "give default=, or convert it with astype",
                false => "convert it with astype",
            };
            return Err(Fault::refused(what, kind, hint));
        }
    }
    Ok(true)
}

/// Whether there is a NaT among the texts.
fn not_a_time(item: &Bound<'_, PyAny>) -> PyResult<bool> {
    if let Ok(items) = item.cast::<pyo3::types::PyList>() {
        for item in items {
            if not_a_time(&item)? {
                return Ok(true);
            }
        }
        return Ok(false);
    }
    item.eq("NaT")
}

/// An array of numbers or truth values.
fn numbers<'py, S: Lend, const PLAIN: bool>(
    writer: &mut Writer<'py, '_, S, PLAIN>,
    object: &Bound<'py, PyAny>,
    letter: char,
    size: usize,
    depth: usize,
) -> Outcome {
    let py = object.py();
    let dtype = object.getattr(intern!(py, "dtype"))?;
    let native = match (letter, size) {
        // What Rust has no type for, in one that holds it.
        ('f', 2) => "f4".into_bound_py_any(py)?,
        _ => dtype.call_method1(intern!(py, "newbyteorder"), ("=",))?,
    };
    let options = PyDict::new(py);
    options.set_item(intern!(py, "dtype"), native)?;
    options.set_item(intern!(py, "order"), "C")?;
    let numpy = py.import(intern!(py, "numpy"))?;
    // The array itself, where it is so already.
    let array = numpy.call_method(intern!(py, "asarray"), (object,), Some(&options))?;
    let shape: Vec<usize> = array.getattr(intern!(py, "shape"))?.extract()?;
    writer.enter((depth + shape.len()).saturating_sub(1), object)?;
    let Some(buffer) = Buffer::of(&array)? else {
        return Err(unsupported(writer.options, object));
    };
    let Some(bytes) = buffer.bytes() else {
        return Err(unsupported(writer.options, object));
    };
    match (letter, size) {
        ('b', _) => all(writer, bytes, &shape, depth, |[b]: [u8; 1]| Number::Bool(b != 0)),
        ('i', 1) => all(writer, bytes, &shape, depth, |b| int(i8::from_ne_bytes(b))),
        ('i', 2) => all(writer, bytes, &shape, depth, |b| int(i16::from_ne_bytes(b))),
        ('i', 4) => all(writer, bytes, &shape, depth, |b| int(i32::from_ne_bytes(b))),
        ('i', _) => all(writer, bytes, &shape, depth, |b| int(i64::from_ne_bytes(b))),
        ('u', 1) => all(writer, bytes, &shape, depth, |b| int(u8::from_ne_bytes(b))),
        ('u', 2) => all(writer, bytes, &shape, depth, |b| int(u16::from_ne_bytes(b))),
        ('u', 4) => all(writer, bytes, &shape, depth, |b| int(u32::from_ne_bytes(b))),
        ('u', _) => all(writer, bytes, &shape, depth, |b| Number::Unsigned(u64::from_ne_bytes(b))),
        ('f', 8) => all(writer, bytes, &shape, depth, |b| Number::Float(f64::from_ne_bytes(b))),
        _ => all(writer, bytes, &shape, depth, |b| Number::Short(f32::from_ne_bytes(b))),
    }
}

fn int(n: impl Into<i64>) -> Number {
    Number::Int(n.into())
}

/// The items of N bytes each, in lists as deep as there are dimensions.
fn all<'py, S: Lend, const PLAIN: bool, const N: usize>(
    writer: &mut Writer<'py, '_, S, PLAIN>,
    bytes: &[u8],
    shape: &[usize],
    depth: usize,
    number: impl Fn([u8; N]) -> Number + Copy,
) -> Outcome {
    let (items, _) = bytes.as_chunks::<N>();
    if shape.is_empty() {
        return items.first().map_or(Ok(()), |item| writer.one_number(number(*item)));
    }
    // SAFETY: `nested` gets a place with room, and gives the one behind the lists.
    unsafe { writer.placed(|writer, at| nested(writer, at, items, shape, depth, number)) }
}

/// The items of one dimension or more.
///
/// # Safety
/// As for [`Writer::each`].
unsafe fn nested<'py, S: Lend, const PLAIN: bool, const N: usize>(
    writer: &mut Writer<'py, '_, S, PLAIN>,
    at: *mut u8,
    items: &[[u8; N]],
    shape: &[usize],
    depth: usize,
    number: impl Fn([u8; N]) -> Number + Copy,
) -> Place {
    // SAFETY: by the caller's word, and by that of `each` for each item.
    unsafe {
        match shape {
            [] | [_] => writer.each(at, items.iter(), depth, |writer, at, item| {
                writer.number_at(at, number(*item))
            }),
            [rows, inner @ ..] => {
                let len = inner.iter().product::<usize>();
                writer.each(at, 0..*rows, depth, |writer, at, row| {
                    nested(writer, at, &items[row * len..][..len], inner, depth + 1, number)
                })
            }
        }
    }
}
