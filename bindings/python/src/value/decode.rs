//! From CBOR to Python's objects, straight from the token layer.
//!
//! 1. Nothing is allocated that the input has not paid for: an item is a byte at least, and what all
//!    open containers are still owed must be left.
//! 2. What is used as a key must be hashable: there a list becomes a tuple and a set a frozen one.

use super::fault::Fault;
use super::key::Hashes;
use super::text::new_text;
use super::types::{Exact, Types, warn_lossy};
use super::{keys, registry, shapes, stack, temporal};
use crate::dataclass::made;
use crate::frame::{Lease, Window, memoryview};
use crate::garbage::Pause;
use crate::table::{Memory, Table};
use crate::{array, pickle};
use pyo3::exceptions::{
    PyArithmeticError, PyMemoryError, PyTypeError, PyUnicodeDecodeError, PyValueError,
};
use pyo3::prelude::*;
use pyo3::types::{
    PyBool, PyBytes, PyComplex, PyDelta, PyDict, PyFrozenSet, PyInt, PyList, PyRange, PySet,
    PyString, PyTuple,
};
use pyo3::{IntoPyObjectExt, ffi, intern};
use slipring_codec::error::Segment;
use slipring_codec::format::arrow::{self, Checks};
use slipring_codec::format::value::{self, Bytes, Tables};
use slipring_codec::frame::Headed;
use slipring_codec::token::check_depth;
use slipring_codec::{DecodeError, DecodeErrorKind, Decoder, Part, Token, Value, tag};
use std::ops::Range;
use std::sync::Arc;

type Made<'py> = Result<Bound<'py, PyAny>, Box<Fault>>;

/// Where the bytes lie that are decoded.
pub(crate) enum Place<'a, 'py> {
    /// In memory that nobody keeps: all is copied.
    Passing,
    /// In a frame, in which these are the buffers; `copy` says that nothing may refer to it, and `checks` what of a table is
    /// looked at.
    Frame { lease: &'a Bound<'py, Lease>, buffers: &'a [Range<usize>], copy: bool, checks: Checks },
}

/// Goes through CBOR and makes what it says.
pub(crate) struct Reader<'a, 'py> {
    py: Python<'py>,
    pub(crate) decoder: Decoder<'a>,
    place: Place<'a, 'py>,
    /// Whether pickles among it may be loaded.
    trusted: bool,
    tables: Tables,
    keys: keys::Borrowed,
    shapes: shapes::Borrowed,
    /// False and True.
    truths: [*mut ffi::PyObject; 2],
}

/// What `fill` makes.
const LIST: u8 = 0;
const TUPLE: u8 = 1;

/// How an item is used.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Value,
    Key,
}

impl<'a, 'py> Reader<'a, 'py> {
    pub(crate) fn new(
        py: Python<'py>,
        input: &'a [u8],
        place: Place<'a, 'py>,
        trusted: bool,
    ) -> Self {
        let (decoder, tables) = (Decoder::new(input), Tables::default());
        let (keys, shapes) = (keys::Borrowed::new(), shapes::Borrowed::new());
        // SAFETY: both are borrowed references to objects that are always there.
        let truths = unsafe { [ffi::Py_False(), ffi::Py_True()] };
        Self { py, decoder, place, trusted, tables, keys, shapes, truths }
    }

    /// The one item that the input is.
    pub(crate) fn read_all(mut self) -> Made<'py> {
        let many = self.decoder.remaining() > MANY && !self.trusted;
        let _pause = (many && registry::is_quiet(self.py)?).then(Pause::new);
        let value = self.read(0, 0, Use::Value)?;
        self.decoder.finish()?;
        Ok(value)
    }

    /// The next item, for who goes through the containers around it by himself: so many, which still expect `owed` items.
    pub(crate) fn item(&mut self, depth: usize, owed: usize) -> Made<'py> {
        self.read(depth, owed, Use::Value)
    }

    /// Whether pickles among it are loaded.
    pub(crate) fn is_trusted(&self) -> bool {
        self.trusted
    }

    /// The same for a key.
    pub(crate) fn key_at(&mut self, depth: usize, owed: usize) -> Made<'py> {
        self.key(depth, owed, 0)
    }

    /// Reads an item, which `depth` others enclose, and beside which `owed` items are still to come.
    #[inline(never)]
    fn read(&mut self, depth: usize, owed: usize, used: Use) -> Made<'py> {
        self.read_here(depth, owed, used)
    }

    /// The same where many come: what there is most of is made in place, the rest is called.
    #[inline(always)]
    fn read_here(&mut self, depth: usize, owed: usize, used: Use) -> Made<'py> {
        let py = self.py;
        let start = self.decoder.offset();
        if let Some(text) = self.decoder.text_bytes() {
            return match new_text(py, text) {
                Some(text) => Ok(text),
                None => Err(self.not_text(start)),
            };
        }
        // What comes in rows, one like the other but for what a branch can't foretell: the sign, which truth.
        if let Some(n) = self.decoder.integer() {
            // SAFETY: gives a new reference or raises.
            return Ok(unsafe { owned(py, ffi::PyLong_FromLongLong(n))? });
        }
        if let Some(x) = self.decoder.float64() {
            // SAFETY: as above.
            return Ok(unsafe { owned(py, ffi::PyFloat_FromDouble(x))? });
        }
        if let Some(truth) = self.decoder.truth() {
            let object = self.truths[usize::from(truth)];
            // SAFETY: it is always there; a reference of its own is taken.
            return Ok(unsafe { Bound::from_borrowed_ptr(py, object) });
        }
        self.read_other(depth, owed, used)
    }

    #[inline(never)]
    fn read_other(&mut self, depth: usize, owed: usize, used: Use) -> Made<'py> {
        let py = self.py;
        let start = self.decoder.offset();
        Ok(match self.decoder.token()? {
            Token::Text(text) => {
                new_text(py, text.as_bytes()).ok_or_else(|| self.not_text(start))?
            }
            Token::Unsigned(n) => match i64::try_from(n) {
                // SAFETY: gives a new reference or raises.
                Ok(n) => unsafe { owned(py, ffi::PyLong_FromLongLong(n))? },
                // SAFETY: as above.
                Err(_) => unsafe { owned(py, ffi::PyLong_FromUnsignedLongLong(n))? },
            },
            Token::Negative(n) => match i64::try_from(n) {
                // SAFETY: as above.
                Ok(n) => unsafe { owned(py, ffi::PyLong_FromLongLong(-1 - n))? },
                Err(_) => (-1 - i128::from(n)).into_bound_py_any(py)?,
            },
            // SAFETY: as above.
            Token::Float(x) => unsafe { owned(py, ffi::PyFloat_FromDouble(x))? },
            Token::Map(_) | Token::Array(_) | Token::Tag(_) if stack::is_short(depth) => {
                return Err(Fault::short_of_stack("value".into()));
            }
            Token::Map(len) => self.map(start, len, depth, owed, used)?,
            Token::Array(len) => self.array(start, len, depth, owed, used)?,
            Token::Null => py.None().into_bound(py),
            Token::Bool(truth) => PyBool::new(py, truth).to_owned().into_any(),
            Token::Bytes(bytes) => PyBytes::new(py, bytes).into_any(),
            Token::Tag(tag) => {
                check_depth(depth, start)?;
                if tag == tag::PICKLE && !self.trusted {
                    return Err(Fault::untrusted(self.begin_of_pickle()));
                }
                self.tagged(tag, depth, owed, used).map_err(|f| f.within(Segment::Tag(tag)))?
            }
            Token::BytesPieces => PyBytes::new(py, &self.decoder.join_bytes()?).into_any(),
            Token::TextPieces => {
                let text = self.decoder.join_text()?;
                new_text(py, text.as_bytes()).ok_or_else(|| self.not_text(start))?
            }
            token => return Err(self.decoder.unfit(&token, start).into()),
        })
    }

    fn array(
        &mut self,
        start: usize,
        len: Option<usize>,
        depth: usize,
        owed: usize,
        used: Use,
    ) -> Made<'py> {
        let Some(len) = len else {
            let items = self.open_array(start, depth, owed, used)?;
            return match used {
                Use::Value => Ok(PyList::new(self.py, items)?.into_any()),
                Use::Key => self.tuple_key(PyTuple::new(self.py, items)?),
            };
        };
        if used == Use::Key {
            let tuple = self.tuple(start, len, depth, owed, used)?;
            return self.tuple_key(tuple.cast_into().map_err(PyErr::from)?);
        }
        self.fill::<LIST>(start, len, depth, owed, used)
    }

    /// A list or a tuple of that many items, each written into its place.
    #[inline(always)]
    fn fill<const KIND: u8>(
        &mut self,
        start: usize,
        len: usize,
        depth: usize,
        owed: usize,
        used: Use,
    ) -> Made<'py> {
        let mut rest = self.decoder.open(start, len, depth, owed)?;
        // SAFETY: a new object of that many empty places, or an exception. Hidden from the garbage collector
        // nobody else sees it before it is full; one that is not is freed as it is.
        let made = unsafe {
            let new = if KIND == LIST { ffi::PyList_New } else { ffi::PyTuple_New };
            let made = self::owned(self.py, new(len as _))?;
            ffi::PyObject_GC_UnTrack(made.as_ptr().cast());
            made
        };
        for index in 0..len {
            rest -= 1;
            let item = self
                .read_here(depth + 1, rest, used)
                .map_err(|fault| fault.within(Segment::Index(index)))?;
            let (made, item) = (made.as_ptr(), item.into_ptr());
            // SAFETY: the place is empty, and takes the reference.
            unsafe {
                match KIND {
                    LIST => ffi::PyList_SET_ITEM(made, index as _, item),
                    _ => ffi::PyTuple_SET_ITEM(made, index as _, item),
                }
            };
        }
        // SAFETY: it is full, and was hidden above.
        unsafe { ffi::PyObject_GC_Track(made.as_ptr().cast()) };
        Ok(made)
    }

    /// The items of an array whose end is marked.
    fn open_array(
        &mut self,
        start: usize,
        depth: usize,
        owed: usize,
        used: Use,
    ) -> Result<Vec<Bound<'py, PyAny>>, Box<Fault>> {
        self.decoder.open(start, 1, depth, owed)?;
        let mut items = Vec::new();
        while !self.decoder.take_break() {
            let index = items.len();
            let item = self.read(depth + 1, owed + 1, used);
            items.push(item.map_err(|fault| fault.within(Segment::Index(index)))?);
        }
        Ok(items)
    }

    /// A list is no key in Python.
    #[cold]
    fn tuple_key(&self, tuple: Bound<'py, PyTuple>) -> Made<'py> {
        let lost =
            "a list that is a key has become a tuple, and goes back as one: send tuples as keys";
        warn_lossy(self.py, lost)?;
        Ok(tuple.into_any())
    }

    fn tuple(
        &mut self,
        start: usize,
        len: usize,
        depth: usize,
        owed: usize,
        used: Use,
    ) -> Made<'py> {
        if len == 0 {
            self.decoder.open(start, len, depth, owed)?;
            // There is but one.
            return Ok(PyTuple::empty(self.py).into_any());
        }
        self.fill::<TUPLE>(start, len, depth, owed, used)
    }

    fn map(
        &mut self,
        start: usize,
        len: Option<usize>,
        depth: usize,
        owed: usize,
        used: Use,
    ) -> Made<'py> {
        let py = self.py;
        if used == Use::Key {
            let what = "a map is the key of a map, or a member of a set".to_owned();
            return Err(Fault::refused(what, "map".into(), KEYS));
        }
        let mut rest = self.decoder.open(start, len.map_or(1, |len| 2 * len), depth, owed)?;
        let mut learnt = None;
        let (dict, mut entry) = match self.shaped(len, depth, &mut rest, &mut learnt)? {
            Shaped::Whole(dict) => return Ok(dict),
            Shaped::Begun(dict, pairs) => (dict, pairs),
            // SAFETY: gives a new reference or raises.
            Shaped::No => unsafe {
                (self::owned(py, _PyDict_NewPresized(self.presized(len) as _))?, 0)
            },
        };
        let mut hashes = Hashes::default();
        while match len {
            Some(len) => entry < len,
            None => !self.decoder.take_break(),
        } {
            let below = |rest: &mut usize| {
                if len.is_some() {
                    *rest -= 1;
                }
                *rest
            };
            let key_owed = below(&mut rest);
            let key = self.key(depth + 1, key_owed, entry)?;
            let value_owed = below(&mut rest);
            let value =
                self.read_here(depth + 1, value_owed, Use::Value).map_err(|f| f.under(&key))?;
            hashes.note(key.as_borrowed()).map_err(|fault| fault.within(Segment::KeyOf(entry)))?;
            let (of, pair) = (dict.as_ptr(), [key.as_ptr(), value.as_ptr()]);
            let set = match Exact::of(key.as_borrowed()) {
                // SAFETY: a dict that is ours, and two objects; the dict takes references of its own.
                Exact::Str => unsafe { keys::set_item(of, pair[0], pair[1]) },
                // SAFETY: as above.
                _ => unsafe { ffi::PyDict_SetItem(of, pair[0], pair[1]) },
            };
            if set != 0 {
                return Err(no_key(PyErr::fetch(py), py).within(Segment::KeyOf(entry)));
            }
            entry += 1;
        }
        // SAFETY: a dict.
        if unsafe { ffi::PyDict_Size(dict.as_ptr()) } as usize != entry {
            self.repeated(start)?;
        } else if let Some(at) = learnt {
            self.shapes.learn(at, &dict)?;
        }
        Ok(dict)
    }

    /// A map whose keys are expected in their order. If they don't come so, what has come is in a dict, and the rest is to be read;
    /// `learnt` says then how it may be expected from now on.
    #[inline(always)]
    fn shaped(
        &mut self,
        len: Option<usize>,
        depth: usize,
        rest: &mut usize,
        learnt: &mut Option<shapes::At>,
    ) -> Result<Shaped<'py>, Box<Fault>> {
        let input = &self.decoder.input()[self.decoder.offset()..];
        let Some((at, shape)) = len.and_then(|len| self.shapes.find(input, len)) else {
            return Ok(Shaped::No);
        };
        let Some(shape) = shape else {
            *learnt = Some(at);
            return Ok(Shaped::No);
        };
        let Some(mut begun) = shape.begin(self.py)? else { return Ok(Shaped::No) };
        for (entry, key) in shape.keys.iter().enumerate() {
            if !self.decoder.take_padded(key) {
                return self.unlike(at, &begun, entry, shape.keys.len());
            }
            *rest -= 2;
            let value = self.read_here(depth + 1, *rest, Use::Value);
            // SAFETY: there are as many places as keys.
            unsafe {
                match value {
                    Ok(value) => begun.put(entry, value),
                    Err(fault) => return Err(fault.under(&begun.pair(entry).0)),
                }
            }
        }
        self.shapes.note(at, true);
        Ok(Shaped::Whole(begun.finish()))
    }

    /// The next key is another one, or it stands near the end.
    #[cold]
    fn unlike(
        &mut self,
        at: shapes::At,
        begun: &shapes::Begun<'py>,
        came: usize,
        len: usize,
    ) -> Result<Shaped<'py>, Box<Fault>> {
        self.shapes.note(at, false);
        // SAFETY: gives a new reference or raises.
        let dict = unsafe { self::owned(self.py, _PyDict_NewPresized(len as _))? };
        for entry in 0..came {
            // SAFETY: so many have come, of as many places.
            let (key, value) = unsafe { begun.pair(entry) };
            // SAFETY: a dict that is ours, a str and an object; the dict takes references of its own.
            if unsafe { keys::set_item(dict.as_ptr(), key.as_ptr(), value.as_ptr()) } != 0 {
                return Err(PyErr::fetch(self.py).into());
            }
        }
        Ok(Shaped::Begun(dict, came))
    }

    /// The places that a dict gets before it is known that its pairs are there: those are paid for that take about as much memory
    /// as the input has bytes left, a few times over.
    fn presized(&self, len: Option<usize>) -> usize {
        let len = len.unwrap_or(0);
        len.min(PRESIZED.max(self.decoder.remaining() / PAIR))
    }

    #[inline]
    fn key(&mut self, depth: usize, owed: usize, entry: usize) -> Made<'py> {
        let start = self.decoder.offset();
        if let Some(text) = self.decoder.text_bytes() {
            let (input, end) = (self.decoder.input(), self.decoder.offset());
            let key = self.keys.get(self.py, input, end - text.len(), end);
            return key.ok_or_else(|| self.not_text(start).within(Segment::KeyOf(entry)));
        }
        self.read(depth, owed, Use::Key).map_err(|fault| fault.within(Segment::KeyOf(entry)))
    }

    /// What stands behind a pickle's tag, as far as it is told to who loads none.
    #[cold]
    fn begin_of_pickle(&self) -> Vec<u8> {
        let mut ahead = self.decoder.clone();
        match (ahead.token(), ahead.token()) {
            (Ok(Token::Array(_)), Ok(Token::Bytes(stream))) => {
                stream[..stream.len().min(pickle::BEGIN)].to_vec()
            }
            _ => Vec::new(),
        }
    }

    /// Why the text that begins here could not be made: it is not UTF-8, or there is no memory.
    #[cold]
    fn not_text(&self, start: usize) -> Box<Fault> {
        let raised = PyErr::fetch(self.py);
        match self.decoder.from(start).token() {
            Err(error) => error.into(),
            // The bytes have changed since.
            Ok(_) if raised.is_instance_of::<PyUnicodeDecodeError>(self.py) => {
                DecodeError::new(DecodeErrorKind::Utf8, start).into()
            }
            Ok(_) => raised.into(),
        }
    }

    /// Two keys were one to Python: the same twice, which is refused, or such as `1` and `1.0`.
    #[cold]
    fn repeated(&self, start: usize) -> Result<(), Box<Fault>> {
        Value::read(&mut self.decoder.from(start))?;
        let lost = "two keys of a map are one in Python (1 and 1.0 are): the last one stays; \
                    send keys of one type";
        Ok(warn_lossy(self.py, lost)?)
    }

    #[cold]
    fn tagged(&mut self, tag: u64, depth: usize, owed: usize, used: Use) -> Made<'py> {
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

    /// A byte string that lies in a buffer of the frame: as a view, where that is wanted.
    fn buffer(&mut self, number: u64, at: usize) -> Made<'py> {
        let Place::Frame { lease, copy, .. } = &self.place else {
            return Err(DecodeError::buffer_unknown(number, at).into());
        };
        let (lease, copy) = (*lease, *copy);
        let Some(range) = self.buffer_range(number) else {
            return Err(DecodeError::buffer_unknown(number, at).into());
        };
        if copy {
            return Ok(PyBytes::new(self.py, &lease.get().body()[range]).into_any());
        }
        let window = Bound::new(self.py, Window::new(lease.clone().unbind(), range))?;
        Ok(memoryview(window.as_any())?)
    }

    fn buffer_range(&self, number: u64) -> Option<Range<usize>> {
        match &self.place {
            Place::Frame { buffers, .. } => buffers.get(usize::try_from(number).ok()?).cloned(),
            Place::Passing => None,
        }
    }

    /// The bytes of a byte string, here or in a buffer.
    fn bytes_of(&self, bytes: Bytes<'a>, at: usize) -> Result<&'a [u8], Box<Fault>> {
        match (bytes, &self.place) {
            (Bytes::Inline(bytes), _) => Ok(bytes),
            (Bytes::Buffer(number), Place::Frame { lease, .. }) => {
                let range = self.buffer_range(number);
                let range = range.ok_or_else(|| DecodeError::buffer_unknown(number, at))?;
                Ok(&lease.get().body()[range])
            }
            (Bytes::Buffer(number), Place::Passing) => {
                Err(DecodeError::buffer_unknown(number, at).into())
            }
        }
    }

    /// A table over the frame, or, where that may not be or it is in line, over a copy.
    fn table(&mut self, used: Use) -> Made<'py> {
        let (py, start) = (self.py, self.decoder.offset());
        if used == Use::Key {
            let what = "a table is the key of a map, or a member of a set".to_owned();
            return Err(Fault::refused(what, "table".into(), KEYS));
        }
        let (messages, bodies) = self.tables.read(&mut self.decoder)?;
        let messages = self.bytes_of(messages, start)?;
        let parts: Result<Vec<&[u8]>, _> =
            bodies.iter().map(|&body| self.bytes_of(body, start)).collect();
        let (parts, checks) = match &self.place {
            Place::Frame { checks, .. } => (parts?, *checks),
            Place::Passing => (parts?, Checks::default()),
        };
        let out_of_line = bodies.iter().all(|body| matches!(body, Bytes::Buffer(_)));
        if let Place::Frame { lease, copy: false, .. } = &self.place
            && out_of_line
            && let Some(frame) = lease.get().shared()
        {
            let whole = lease.get().body().as_ptr() as usize;
            let part = |bytes: &'a [u8]| Part { offset: bytes.as_ptr() as usize - whole, bytes };
            let buffers = parts.into_iter().map(part).collect();
            let headed = Headed { head: Part { offset: start, bytes: messages }, buffers };
            let table = py.detach(|| arrow::read(&headed, None, checks))?;
            return Ok(Table::new(Memory::Frame(frame), Arc::new(table)).shown(py)?);
        }
        let read = py.detach(|| value::copied_table(messages, &parts, checks));
        let (table, memory) = read.map_err(|error| error.shifted(start))?;
        Ok(Table::new(Memory::Copy(memory), Arc::new(table)).shown(py)?)
    }

    fn ndarray(&mut self, tag: u64) -> Made<'py> {
        let py = self.py;
        let found = value::read_array(&mut self.decoder, tag, |number| match &self.place {
            Place::Frame { buffers, .. } => {
                buffers.get(usize::try_from(number).ok()?).map(ExactSizeIterator::len)
            }
            Place::Passing => None,
        });
        let (descriptor, bytes) = found?;
        let data = self.bytes_of(bytes, self.decoder.offset())?;
        match (bytes, &self.place) {
            (Bytes::Buffer(_), Place::Frame { lease, copy: false, .. }) => {
                let base = (*lease).clone().into_any();
                Ok(array::received(&descriptor, data, base)?)
            }
            _ => Ok(array::copied(py, &descriptor, data)?),
        }
    }
}

/// Bytes from which on so much is made that looking for garbage meanwhile would take as long.
const MANY: usize = 512;

/// Places that a dict gets before it is known that its pairs are there, and bytes of input that pay for one more, which
/// takes six to ten times as many.
const PRESIZED: usize = 1024;
const PAIR: usize = 6;

/// What came of a map that was expected to be like another one.
enum Shaped<'py> {
    Whole(Bound<'py, PyAny>),
    /// So many of its pairs.
    Begun(Bound<'py, PyAny>, usize),
    No,
}

unsafe extern "C" {
    /// Not among PyO3's declarations; exported by every CPython so far.
    pub(crate) fn _PyDict_NewPresized(len: ffi::Py_ssize_t) -> *mut ffi::PyObject;
}

/// # Safety
/// `object` is a new reference, or null with an exception set.
#[inline(always)]
unsafe fn owned<'py>(py: Python<'py>, object: *mut ffi::PyObject) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: by the caller's word.
    unsafe { Bound::from_owned_ptr_or_err(py, object) }
}

/// What may be a key or a member.
const KEYS: &str = "send keys, and members of sets, that are text, numbers or tuples of them";

/// An object that Python can't hash.
#[cold]
fn no_key(raised: PyErr, py: Python<'_>) -> Box<Fault> {
    match &raised {
        e if e.is_instance_of::<PyMemoryError>(py) => raised.into(),
        e if e.is_instance_of::<PyTypeError>(py) => {
            Fault::refused_for(raised.value(py).to_string(), "key", KEYS, raised)
        }
        // Of a hash that somebody else computes.
        _ => Fault::of_others(py, raised, "the hash or comparison of a key raised", "key", KEYS),
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
