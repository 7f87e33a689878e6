//! From CBOR to Python's objects, straight from the token layer.
//!
//! 1. Nothing is allocated that the input has not paid for: an item is a byte at least, and what all
//!    open containers are still owed must be left.
//! 2. What is used as a key must be hashable: there a list becomes a tuple and a set a frozen one.

mod map;
mod tagged;

use super::fault::Fault;
use super::text::new_text;
use super::types::warn_lossy;
use super::{keys, registry, shapes, stack};
use crate::frame::{Lease, Window, memoryview};
use crate::garbage::Pause;
use crate::table::{Memory, Table};
use crate::{array, pickle};
use pyo3::exceptions::{PyMemoryError, PyTypeError, PyUnicodeDecodeError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyList, PyTuple};
use pyo3::{IntoPyObjectExt, ffi};
use slipring_codec::error::Segment;
use slipring_codec::format::arrow::{self, Checks};
use slipring_codec::format::value::{self, Bytes, Tables};
use slipring_codec::frame::Headed;
use slipring_codec::token::check_depth;
use slipring_codec::{DecodeError, DecodeErrorKind, Decoder, Part, Token, tag};
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
