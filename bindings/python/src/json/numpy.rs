//! NumPy's arrays and scalars, as lists and numbers.

use super::out::Lend;
use super::write::{Number, Place, Writer, unsupported};
use crate::array::{self, Role};
use crate::buffer::Buffer;
use crate::value::fault::{Fault, Outcome};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use pyo3::{IntoPyObjectExt, intern};
use slipring_codec::error::Segment;

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
        ('M', ..) => moments(writer, object, &dtype, depth)?,
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

/// A scalar that is a truth value or a number as Python's; the short floats with the digits that they are written with.
#[cold]
pub(super) fn number<'py>(object: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = object.py();
    if array::role(object)? != Role::Scalar {
        return Ok(None);
    }
    let dtype = object.getattr(intern!(py, "dtype"))?;
    let letter: char = dtype.getattr(intern!(py, "kind"))?.extract()?;
    let size: usize = dtype.getattr(intern!(py, "itemsize"))?.extract()?;
    match (letter, size) {
        ('b' | 'i' | 'u', _) => object.call_method0(intern!(py, "item")).map(Some),
        ('f', 2 | 4) => {
            let short: f32 = object.extract()?;
            Ok(Some(short.to_string().parse::<f64>().unwrap_or(f64::NAN).into_bound_py_any(py)?))
        }
        _ => Ok(None),
    }
}

/// Moments as RFC 3339 writes them, of whole days as dates.
fn moments<'py, S: Lend, const PLAIN: bool>(
    writer: &mut Writer<'py, '_, S, PLAIN>,
    object: &Bound<'py, PyAny>,
    dtype: &Bound<'py, PyAny>,
    depth: usize,
) -> Outcome {
    let py = object.py();
    let numpy = py.import(intern!(py, "numpy"))?;
    let (unit, _): (String, usize) =
        numpy.call_method1(intern!(py, "datetime_data"), (dtype,))?.extract()?;
    // What is coarser would be text that is neither a date nor a time: `2026-11` and `2026-11-21T10`.
    let told = match unit.as_str() {
        "Y" | "M" | "W" => "D",
        "h" | "m" => "s",
        // Of a NaT that has none.
        "generic" => "auto",
        unit => unit,
    };
    let texts = numpy.call_method1(intern!(py, "datetime_as_string"), (object, told))?;
    let items = texts.call_method0(intern!(py, "tolist"))?;
    let default = if writer.options.are_offered { "give default=, or " } else { "give " };
    match no_moment(&items, default)? {
        None => writer.write(items.as_borrowed(), depth),
        Some(_) if writer.has_default() => writer.by_default(object, depth),
        Some(fault) => Err(fault),
    }
}

/// What is wrong with the first of these texts that RFC 3339 has not: NaT, and years of other than four digits.
fn no_moment(item: &Bound<'_, PyAny>, default: &str) -> PyResult<Option<Box<Fault>>> {
    if let Ok(items) = item.cast::<PyList>() {
        for (index, item) in items.iter().enumerate() {
            if let Some(fault) = no_moment(&item, default)? {
                return Ok(Some(fault.within(Segment::Index(index))));
            }
        }
        return Ok(None);
    }
    let text: String = item.extract()?;
    let kind = || "numpy.datetime64".to_owned();
    let year = text.split('-').next().unwrap_or_default();
    Ok(if text == "NaT" {
        let what = "a datetime64 that is NaT has no form in JSON".to_owned();
        Some(Fault::refused(what, kind(), &format!("{default}None where there is no time")))
    } else if year.len() != 4 {
        let what = format!("the datetime64 {text} is in no year from 0 to 9999");
        Some(Fault::refused(what, kind(), &format!("{default}a text or a number instead")))
    } else {
        None
    })
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
    // A class below NumPy's may say something else of its arrays than what they are.
    let width = if (letter, size) == ('f', 2) { 4 } else { size };
    let len = shape.iter().try_fold(width, |len, &count| len.checked_mul(count));
    let Some(bytes) = buffer.bytes().filter(|bytes| Some(bytes.len()) == len) else {
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
