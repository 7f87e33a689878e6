//! What tags make of the items that they enclose.

use super::{Made, Reader, Use, no_key, owned};
use crate::dataclass::made;
use crate::pickle;
use crate::value::fault::Fault;
use crate::value::key::Hashes;
use crate::value::types::{Types, warn_lossy};
use crate::value::{registry, temporal};
use pyo3::exceptions::{PyArithmeticError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{
    PyBytes, PyComplex, PyDelta, PyDict, PyFrozenSet, PyInt, PyList, PyRange, PySet, PyString,
    PyTuple,
};
use pyo3::{ffi, intern};
use slipring_codec::error::Segment;
use slipring_codec::format::value;
use slipring_codec::{DecodeError, Token, tag};

impl<'py> Reader<'_, 'py> {
    #[cold]
    pub(super) fn tagged(&mut self, tag: u64, depth: usize, owed: usize, used: Use) -> Made<'py> {
        let py = self.py;
        let start = self.decoder.offset();
        let refused = || Box::<Fault>::from(DecodeError::tag_content(tag, start));
        match tag {
            tag::TUPLE => match self.decoder.token()? {
                Token::Array(Some(len)) => return self.tuple(start, len, depth + 1, owed, used),
                Token::Array(None) => {
                    let items = self.open_array(start, depth + 1, owed, used)?;
                    return Ok(PyTuple::new(py, items)?.into_any());
                }
                _ => return Err(refused()),
            },
            tag::BUFFER => {
                let Token::Unsigned(number) = self.decoder.token()? else { return Err(refused()) };
                return self.buffer(number, start);
            }
            tag if value::is_array(tag) => return self.ndarray(tag),
            tag::TABLE => return self.table(used),
            tag::ELEMENT => {
                let inner = self.decoder.token()?;
                let Token::Tag(inner) = inner else { return Err(refused()) };
                if !value::is_array(inner) {
                    return Err(refused());
                }
                // A scalar is hashable, and an array without dimensions gives its own.
                let array = self.ndarray(inner)?;
                if array.getattr(intern!(py, "size"))?.extract::<usize>()? != 1 {
                    return Err(refused());
                }
                return Ok(array.call_method1(intern!(py, "take"), (0,))?);
            }
            tag::SELF_DESCRIBED => return self.read(depth + 1, owed, used),
            tag::SET | tag::FROZEN_SET => return self.set(tag, depth, owed, used),
            _ => {}
        }
        // The rest has few and small items, which are made first.
        let inner_use = if is_made_whole(tag) { Use::Value } else { used };
        let inner = self.read(depth + 1, owed, inner_use)?;
        match tag {
            tag::DECIMAL => few_digits(&inner, 1, "decimal", "Decimal")?,
            tag::RATIONAL => few_digits(&inner, 0, "ratio", "Fraction")?,
            _ => {}
        }
        match self.made_of(tag, &inner) {
            Ok(Some(made)) => Ok(made),
            Ok(None) => Err(refused()),
            // What a constructor refuses is no such thing; other exceptions are others' business.
            Err(e)
                if !matches!(tag, tag::OBJECT | tag::PICKLE)
                    && (e.is_instance_of::<PyValueError>(py)
                        || e.is_instance_of::<PyTypeError>(py)
                        || e.is_instance_of::<PyArithmeticError>(py)) =>
            {
                Err(refused())
            }
            Err(error) if tag == tag::OBJECT => Err(undecoded(py, error, &inner)),
            Err(error) => Err(error.into()),
        }
    }

    /// What a tag makes of what it encloses; `None` if that can't be.
    fn made_of(
        &mut self,
        tag: u64,
        inner: &Bound<'py, PyAny>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = self.py;
        let parts = |count: usize| {
            let items = array_of(inner)?;
            (items.len() == count).then_some(items)
        };
        let text = || inner.cast_exact::<PyString>().ok();
        let ints = |count| {
            parts(count).filter(|all| all.iter().all(|n| n.is_exact_instance_of::<PyInt>()))
        };
        Ok(match tag {
            tag::POSITIVE_BIG | tag::NEGATIVE_BIG => {
                let Ok(bytes) = inner.cast_exact::<PyBytes>() else { return Ok(None) };
                let int = py.get_type::<PyInt>();
                let n = int.call_method1(intern!(py, "from_bytes"), (bytes, intern!(py, "big")))?;
                Some(if tag == tag::POSITIVE_BIG { n } else { n.bitnot()? })
            }
            tag::DECIMAL => {
                let Some(parts) = ints(2) else { return Ok(None) };
                Some(decimal(py, &parts[0], &parts[1])?)
            }
            tag::DECIMAL_TEXT => match text() {
                Some(text) => Some(Types::get(py)?.decimal.bind(py).call1((text,))?),
                None => None,
            },
            tag::RATIONAL => match ints(2) {
                Some(parts) => {
                    Some(Types::get(py)?.fraction.bind(py).call1((&parts[0], &parts[1]))?)
                }
                None => None,
            },
            tag::COMPLEX => match parts(2) {
                Some(parts) => {
                    let (re, im): (f64, f64) = (parts[0].extract()?, parts[1].extract()?);
                    Some(PyComplex::from_doubles(py, re, im).into_any())
                }
                None => None,
            },
            tag::UUID => match inner.cast_exact::<PyBytes>() {
                Ok(bytes) => match bytes.as_bytes().try_into() {
                    Ok(bytes) => Some(made::uuid(py, bytes)?),
                    Err(_) => None,
                },
                _ => None,
            },
            tag::ATOM => match text() {
                Some(text) => Some(Types::get(py)?.atom.bind(py).call1((text,))?),
                None => None,
            },
            tag::RANGE => match ints(3) {
                Some(parts) => {
                    Some(py.get_type::<PyRange>().call1((&parts[0], &parts[1], &parts[2]))?)
                }
                None => None,
            },
            tag::DATE | tag::TIME | tag::NAIVE_DATETIME | tag::DATETIME => match text() {
                Some(text) => temporal::read(py, tag, &text.to_cow()?)?,
                None => None,
            },
            tag::EPOCH => temporal::from_epoch(inner)?,
            tag::EPOCH_DATE => temporal::from_days(inner)?,
            tag::ZONED_DATETIME => match parts(3) {
                Some(parts) => match parts[0].cast_exact::<PyString>() {
                    Ok(text) => temporal::read_zoned(py, &text.to_cow()?)?,
                    Err(_) => None,
                },
                None => None,
            },
            tag::DURATION => match inner.cast_exact::<PyDict>() {
                Ok(parts) => duration(py, parts)?,
                Err(_) => None,
            },
            tag::OBJECT => match parts(3) {
                Some(parts) => self.object(&parts)?,
                None => None,
            },
            tag::PICKLE => match array_of(inner).filter(|parts| !parts.is_empty()) {
                Some(parts) => Some(pickle::load(py, parts, self.trusted)?),
                None => None,
            },
            number => Some(Types::get(py)?.tag.bind(py).call1((number, inner))?),
        })
    }

    fn object(&self, parts: &[Bound<'py, PyAny>]) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = self.py;
        let [name, version, fields] = parts else { return Ok(None) };
        let (Ok(text), Ok(number)) = (name.cast_exact::<PyString>(), version.extract::<u64>())
        else {
            return Ok(None);
        };
        match registry::build(py, &text.to_cow()?, number, fields)? {
            Some(made) => Ok(Some(made)),
            None => Types::get(py)?.object.bind(py).call1((name, version, fields)).map(Some),
        }
    }

    fn set(&mut self, tag: u64, depth: usize, owed: usize, used: Use) -> Made<'py> {
        let start = self.decoder.offset();
        let frozen = used == Use::Key || tag == tag::FROZEN_SET;
        let mut depth = depth + 1;
        let mut token = self.decoder.token()?;
        if tag == tag::FROZEN_SET {
            if token != Token::Tag(tag::SET) {
                return Err(DecodeError::tag_content(tag, start).into());
            }
            depth += 1;
            token = self.decoder.token()?;
        }
        let items = match token {
            Token::Array(Some(len)) => self.tuple(start, len, depth, owed, Use::Key)?,
            Token::Array(None) => {
                let items = self.open_array(start, depth, owed, Use::Key)?;
                PyTuple::new(self.py, items)?.into_any()
            }
            _ => return Err(DecodeError::tag_content(tag, start).into()),
        };
        let mut hashes = Hashes::default();
        let members = items.cast::<PyTuple>().map_err(PyErr::from)?;
        for (index, member) in members.iter_borrowed().enumerate() {
            hashes.note(member).map_err(|fault| fault.within(Segment::Index(index)))?;
        }
        let made = if frozen {
            // SAFETY: makes a new frozen set of what can be iterated, or raises.
            unsafe { self::owned(self.py, ffi::PyFrozenSet_New(items.as_ptr())) }
        } else {
            // SAFETY: as above.
            unsafe { self::owned(self.py, ffi::PySet_New(items.as_ptr())) }
        };
        let made = made.map_err(|raised| no_key(raised, self.py))?;
        let distinct = match made.cast::<PySet>() {
            Ok(set) => set.len(),
            Err(_) => made.cast::<PyFrozenSet>().map_or(0, |set| set.len()),
        };
        if distinct != items.len()? {
            let lost = "two members of a set are one in Python (1 and 1.0 are): one stays";
            warn_lossy(self.py, lost)?;
        }
        Ok(made)
    }
}

/// Whether this tag makes something else of the array or map that it encloses, which as a key is hashed as
/// what it has become.
fn is_made_whole(tag: u64) -> bool {
    matches!(
        tag,
        tag::OBJECT
            | tag::PICKLE
            | tag::DECIMAL
            | tag::RATIONAL
            | tag::COMPLEX
            | tag::RANGE
            | tag::ZONED_DATETIME
            | tag::DURATION
    )
}

/// The items of what was an array on the wire.
fn array_of<'py>(inner: &Bound<'py, PyAny>) -> Option<Vec<Bound<'py, PyAny>>> {
    let array = inner.is_exact_instance_of::<PyList>() || inner.is_exact_instance_of::<PyTuple>();
    array.then(|| inner.extract().ok()).flatten()
}

/// Digits of a decimal's mantissa at most, and of a ratio's parts: finding them, or what two have in common, takes the square of
/// their number.
const DIGITS: usize = 100_000;

/// Refuses the parts of a number of which one, from `first` on, has too many digits.
fn few_digits(
    parts: &Bound<'_, PyAny>,
    first: usize,
    name: &str,
    kind: &str,
) -> Result<(), Box<Fault>> {
    // As many bits as that many digits may have: log2(10) is 3.3219...
    const BITS: usize = DIGITS * 33_220 / 10_000;
    let py = parts.py();
    for part in array_of(parts).unwrap_or_default().into_iter().skip(first) {
        if part.is_exact_instance_of::<PyInt>()
            && part.call_method0(intern!(py, "bit_length"))?.extract::<usize>()? > BITS
        {
            let what = format!("a {name} of more than {DIGITS} digits");
            let hint = "send the integers that it is made of, each by itself";
            return Err(Fault::refused(what, kind.into(), hint));
        }
    }
    Ok(())
}

/// A decimal of exponent and mantissa, exactly.
fn decimal<'py>(
    py: Python<'py>,
    exponent: &Bound<'py, PyAny>,
    mantissa: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let class = Types::get(py)?.decimal.bind(py);
    if let Ok(small) = mantissa.extract::<i64>() {
        let exponent: i64 = exponent.extract().map_err(|_| PyValueError::new_err("exponent"))?;
        return class.call1((format!("{small}E{exponent}"),));
    }
    // Through the digits: a text of so many would not be read, and arithmetic would round.
    let digits = class.call1((mantissa,))?.call_method0(intern!(py, "as_tuple"))?;
    let (sign, digits) = (digits.get_item(0)?, digits.get_item(1)?);
    class.call1(((sign, digits, exponent),))
}

/// A duration of RFC 9581 made of seconds and microseconds, milliseconds or nanoseconds.
fn duration<'py>(
    py: Python<'py>,
    parts: &Bound<'py, PyDict>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let (mut seconds, mut micros) = (0i64, 0i64);
    for (key, value) in parts.iter() {
        let (Ok(key), Ok(n)) = (key.extract::<i64>(), value.extract::<i64>()) else {
            return Ok(None);
        };
        match key {
            1 => seconds = n,
            -3 => micros = n.saturating_mul(1000),
            -6 => micros = n,
            -9 => micros = n / 1000,
            _ => return Ok(None),
        }
    }
    let days = i32::try_from(seconds.div_euclid(86_400));
    let (Ok(days), Ok(micros)) = (days, i32::try_from(micros)) else { return Ok(None) };
    let rest = seconds.rem_euclid(86_400) as i32;
    match PyDelta::new(py, days, rest, micros, true) {
        Ok(delta) => Ok(Some(delta.into_any())),
        Err(e) if e.is_instance_of::<pyo3::exceptions::PyOverflowError>(py) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What a decoder of others raised for an object.
#[cold]
fn undecoded(py: Python<'_>, raised: PyErr, object: &Bound<'_, PyAny>) -> Box<Fault> {
    let parts = array_of(object).unwrap_or_default();
    match &parts[..] {
        [name, version, _] => {
            let name = name.str().map(|name| name.to_string()).unwrap_or_default();
            Fault::of_type(py, raised, &name, version.extract().unwrap_or(0))
        }
        _ => raised.into(),
    }
}
