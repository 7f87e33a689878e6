//! JSON (RFC 8259), straight from and to Python's objects.

mod float;
mod number;
mod numpy;
mod out;
mod raw;
mod read;
mod scan;
mod text;
mod write;

pub(crate) use out::Lend;
pub(crate) use raw::Raw;
pub(crate) use read::{Failed, Input, Reader, Span};
pub(crate) use text::make_ascii;
pub(crate) use write::class_itself;

use crate::buffer::Buffer;
use crate::value::fault::Fault;
use crate::value::sink::BytesSink;
use crate::{options, size};
use pyo3::exceptions::{PyTypeError, PyUnicodeEncodeError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyInt, PyString};
use pyo3::{ffi, intern};
use slipring_codec::token::{Fixed, Sink};
use std::borrow::Cow;
use write::{NotFinite, Writer};

/// Containers that may stand inside each other, both ways: more than documents have, and less than a thread's stack
/// holds.
const DEPTH: usize = 1024;

/// The value of an option that is one of several names.
pub(crate) fn choose<T: Copy>(
    py: Python<'_>,
    option: &'static str,
    given: &str,
    expected: &'static str,
    all: &[(&str, T)],
) -> PyResult<T> {
    match all.iter().find(|(name, _)| *name == given) {
        Some((_, value)) => Ok(*value),
        None => Err(size::refused(py, option, given, expected)),
    }
}

fn keeps_surrogates(py: Python<'_>, given: &str) -> PyResult<bool> {
    choose(py, "surrogates", given, "error or keep", &[("error", false), ("keep", true)])
}

/// The digits that a number may have.
pub(crate) fn digits(given: Option<&Bound<'_, PyAny>>) -> PyResult<usize> {
    given.map_or(Ok(usize::MAX), |digits| {
        Ok(size::count(digits, "max_digits", "a number of digits")? as usize)
    })
}

fn indent(given: Option<&Bound<'_, PyAny>>) -> PyResult<Option<String>> {
    const EXPECTED: &str = "0 to 64 spaces, or a text of white space";
    let Some(given) = given else { return Ok(None) };
    if given.is_instance_of::<PyInt>() {
        return match size::byte(given, "indent", EXPECTED)? {
            spaces @ 0..=64 => Ok(Some(" ".repeat(spaces.into()))),
            more => Err(size::refused(given.py(), "indent", &more.to_string(), EXPECTED)),
        };
    }
    let Ok(text) = given.cast::<PyString>() else {
        let kind = given.get_type().name()?;
        return Err(PyTypeError::new_err(format!("indent must be {EXPECTED}, not {kind}")));
    };
    match text.to_str()? {
        text if text.bytes().all(|byte| b" \t\r\n".contains(&byte)) => Ok(Some(text.into())),
        text => Err(size::refused(given.py(), "indent", text, EXPECTED)),
    }
}

fn write<'py, const PLAIN: bool>(
    object: &Bound<'py, PyAny>,
    options: &write::Options<'py>,
) -> Result<BytesSink, Box<Fault>> {
    let mut writer = Writer::<_, PLAIN>::new(object.py(), BytesSink::new(448), options);
    writer.write(object.as_borrowed(), 0)?;
    Ok(writer.out.finish())
}

/// Writes an object into a slice, as `dumps` does without options. Answers how many bytes it takes, also where there
/// are not so many.
pub(crate) fn write_into(object: &Bound<'_, PyAny>, out: &mut [u8]) -> Result<usize, Box<Fault>> {
    let options = write::Options {
        default: None,
        sort_keys: false,
        indent: None,
        ascii: false,
        nan: NotFinite::Error,
        decimals_as_text: false,
        convert_keys: false,
        keep_surrogates: false,
        are_offered: false,
    };
    let mut writer = Writer::<_, true>::new(object.py(), Fixed::new(out), &options);
    writer.write(object.as_borrowed(), 0)?;
    Ok(writer.out.finish().len())
}

/// The object that a frame's text says, as `loads` reads it without options.
pub(crate) fn read_frame<'py>(py: Python<'py>, input: Input<'_>) -> PyResult<Bound<'py, PyAny>> {
    reader(py, input, false, usize::MAX).read_all()
}

/// What a str says, or anything that has bytes.
pub(crate) fn with_input<'py, T>(
    data: &Bound<'py, PyAny>,
    call: &str,
    use_it: impl FnOnce(Input<'_>) -> PyResult<T>,
) -> PyResult<T> {
    let py = data.py();
    if let Ok(bytes) = data.cast::<PyBytes>() {
        return use_it(Input::of_bytes(bytes.as_bytes()));
    }
    if let Ok(text) = data.cast::<PyString>() {
        // SAFETY: a str; of one that is compact and ASCII nothing is made.
        if unsafe { ffi::PyUnicode_IS_COMPACT_ASCII(text.as_ptr()) } != 0 {
            return use_it(Input::of_str(text.to_str()?.as_bytes()));
        }
        // Not the UTF-8 that the str would keep.
        let encoded = match text.encode_utf8() {
            Err(e) if e.is_instance_of::<PyUnicodeEncodeError>(py) => text
                .call_method1(intern!(py, "encode"), ("utf-8", "surrogatepass"))?
                .cast_into::<PyBytes>()?,
            encoded => encoded?,
        };
        return use_it(Input::of_str(encoded.as_bytes()));
    }
    let Some(buffer) = Buffer::of(data)? else {
        let kind = data.get_type().name()?;
        return Err(PyTypeError::new_err(format!("{call} takes str or bytes, not {kind}")));
    };
    match buffer.in_one_piece(py)? {
        // Its owner may write to it, or a peer where it is a frame's.
        Cow::Borrowed(shared) => use_it(Input::shared(shared)),
        Cow::Owned(own) => use_it(Input::of_bytes(&own)),
    }
}

/// How one who writes JSON by himself writes what stands in it.
pub(crate) fn plain_options<'py>() -> write::Options<'py> {
    write::Options {
        default: None,
        sort_keys: false,
        indent: None,
        ascii: false,
        nan: NotFinite::Error,
        decimals_as_text: true,
        convert_keys: true,
        keep_surrogates: false,
        are_offered: false,
    }
}

/// Writes what a walk tells it to.
pub(crate) type JsonWriter<'py, 'o, S> = Writer<'py, 'o, S, true>;

pub(crate) fn writer<'py, 'o, S: Lend>(
    py: Python<'py>,
    sink: S,
    options: &'o write::Options<'py>,
) -> JsonWriter<'py, 'o, S> {
    Writer::new(py, sink, options)
}

/// Reads what a walk asks it for.
pub(crate) fn reader<'a, 'py>(
    py: Python<'py>,
    input: Input<'a>,
    unique_keys: bool,
    max_digits: usize,
) -> Reader<'a, 'py> {
    let options = read::Options {
        unique_keys,
        decimals: false,
        nan: false,
        keep_surrogates: false,
        max_digits,
        are_offered: false,
    };
    Reader::new(py, input, options)
}

/// A key that is no str, as JSON has it.
pub(crate) fn key_text(key: &Bound<'_, PyAny>) -> Result<String, Box<Fault>> {
    write::key_text(&plain_options(), key)
}

/// A text between its quotes.
pub(crate) fn quoted(text: &str) -> Vec<u8> {
    write::quote(text)
}

/// JSON to and from Python's objects; `slipring.json` is its public name.
#[pymodule(submodule)]
pub(crate) mod _json {
    use super::*;

    #[pymodule_export]
    use super::raw::Raw;

    /// The object as JSON (RFC 8259): UTF-8 bytes, or a str with ``text=True``.
    ///
    /// Written are None, bool, int of any size, float in the fewest digits that give it back, str, list, tuple, dict;
    /// Decimal (exactly), UUID, date, time and datetime (RFC 3339; naive ones without an offset), Enum (its value),
    /// dataclasses and what ``slipring.register`` knows (their fields), NumPy's arrays and scalars, and what derives from
    /// these. ``EncodeError`` names the path of anything else.
    ///
    /// ``default`` is called for it, and its result is written. ``sort_keys`` orders keys by their code points. ``indent`` is
    /// a number of spaces or a text of white space. ``ascii`` escapes all else. ``nan`` says what becomes of NaN and
    /// infinities: ``"error"``, ``"null"``, or ``"constants"`` (``NaN``, ``Infinity``), which are no JSON. ``decimals`` are a
    /// ``"number"`` or ``"text"``. With ``keys="convert"`` keys may be int, float, bool, None, Decimal, UUID or dates.
    /// ``surrogates="keep"`` writes halves of surrogate pairs as escapes. More than 1024 containers inside each other are an error.
    #[pyfunction]
    #[pyo3(signature = (obj, /, default=None, *, sort_keys=false, indent=None, text=false, ascii=false, nan="error",
                        decimals="number", keys="strict", surrogates="error"))]
    #[allow(clippy::too_many_arguments, reason = "they are Python's keywords")]
    fn dumps<'py>(
        obj: &Bound<'py, PyAny>,
        default: Option<Bound<'py, PyAny>>,
        #[pyo3(from_py_with = options::sort_keys)] sort_keys: bool,
        indent: Option<&Bound<'py, PyAny>>,
        #[pyo3(from_py_with = options::text)] text: bool,
        #[pyo3(from_py_with = options::ascii)] ascii: bool,
        #[pyo3(from_py_with = options::nan_out)] nan: &str,
        #[pyo3(from_py_with = options::decimals)] decimals: &str,
        #[pyo3(from_py_with = options::keys)] keys: &str,
        #[pyo3(from_py_with = options::surrogates)] surrogates: &str,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = obj.py();
        if let Some(default) = default.as_ref().filter(|default| !default.is_callable()) {
            let kind = default.get_type().name()?;
            let message = format!("default must be a function of one object, not {kind}");
            return Err(PyTypeError::new_err(message));
        }
        let of_nan = [
            ("error", NotFinite::Error),
            ("null", NotFinite::Null),
            ("constants", NotFinite::Constants),
        ];
        let of_decimals = [("number", false), ("text", true)];
        let of_keys = [("strict", false), ("convert", true)];
        let options = write::Options {
            default,
            sort_keys,
            indent: super::indent(indent)?,
            ascii,
            nan: choose(py, "nan", nan, "error, null or constants", &of_nan)?,
            decimals_as_text: choose(py, "decimals", decimals, "number or text", &of_decimals)?,
            convert_keys: choose(py, "keys", keys, "strict or convert", &of_keys)?,
            keep_surrogates: keeps_surrogates(py, surrogates)?,
            are_offered: true,
        };
        let written = match options.are_plain() {
            true => write::<true>(obj, &options),
            false => write::<false>(obj, &options),
        };
        let bytes = written.map_err(|fault| fault.encoding(py))?.finish(py)?;
        if !text {
            return Ok(bytes.into_any());
        }
        let written = bytes.as_bytes();
        let str = match written.is_ascii() {
            true => text::make_ascii(written),
            false => text::make_text(py, written, false).unwrap_or(std::ptr::null_mut()),
        };
        // SAFETY: a new reference, or null with an exception set: what is written is UTF-8.
        unsafe { Bound::from_owned_ptr_or_err(py, str) }
    }

    /// The object that JSON (RFC 8259) says, from str or anything that has bytes, such as a frame's view.
    ///
    /// ``DecodeError``, which is a ``ValueError``, has ``line`` and ``column`` from 1, the ``path``
    /// (``$.users[3].photo``), the ``offset`` in what was given, and a ``hint``.
    ///
    /// Of ``duplicates`` the ``"last"`` value stays, or they are an ``"error"``. ``floats`` are a ``"float"`` or a
    /// ``"decimal"``. ``nan`` lets NaN, Infinity and -Infinity in, and makes numbers beyond a float infinite.
    /// ``surrogates="keep"`` reads halves of surrogate pairs. ``max_digits`` limits Decimals, and ints of
    /// more than 18 digits.
    /// More than 1024 arrays and objects inside each other are an error.
    #[pyfunction]
    #[pyo3(signature = (data, /, *, duplicates="last", floats="float", nan=false, surrogates="error", max_digits=None))]
    fn loads<'py>(
        data: &Bound<'py, PyAny>,
        #[pyo3(from_py_with = options::duplicates)] duplicates: &str,
        #[pyo3(from_py_with = options::floats)] floats: &str,
        #[pyo3(from_py_with = options::nan_in)] nan: bool,
        #[pyo3(from_py_with = options::surrogates)] surrogates: &str,
        max_digits: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = data.py();
        let of_duplicates = [("last", false), ("error", true)];
        let of_floats = [("float", false), ("decimal", true)];
        let max_digits = digits(max_digits)?;
        let options = read::Options {
            unique_keys: choose(py, "duplicates", duplicates, "last or error", &of_duplicates)?,
            decimals: choose(py, "floats", floats, "float or decimal", &of_floats)?,
            nan,
            keep_surrogates: keeps_surrogates(py, surrogates)?,
            max_digits,
            are_offered: true,
        };
        with_input(data, "loads", |input| Reader::new(py, input, options).read_all())
    }
}
