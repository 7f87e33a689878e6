//! From JSON to Python's objects, in one pass.
//!
//! 1. Items of containers that are still open wait on one stack; a container is made when its end is there, so that
//!    its length is known, and takes them over.
//! 2. The bytes may be those of a frame, which a broken peer can change meanwhile. Nothing that was seen of
//!    them is relied on where they are read again: what is written is bounded by what was allocated, and what a str
//!    must be is looked at where nobody else writes.
//! 3. Nothing is allocated that the input has not paid for.

mod numbers;
mod strings;

use super::text::{is_ascii, make_ascii, make_text};
use super::{DEPTH, scan};
use crate::error;
use crate::garbage::Pause;
use crate::value::decode::_PyDict_NewPresized;
use crate::value::keys::{self, set_item};
use crate::value::stack;
use crate::value::types::Types;
use pyo3::exceptions::{PyArithmeticError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyInt, PyString};
use pyo3::{IntoPyObjectExt, ffi};
use slipring_codec::error::{Path, Segment};
use slipring_codec::json::{JsonFault, number};
use std::cell::Cell;
use std::fmt::Display;
use std::ptr::NonNull;

const NAN_HINT: &str = "give nan=True to read NaN and Infinity";

/// How JSON is read.
#[derive(Clone, Copy)]
pub(super) struct Options {
    /// A key that stands twice is an error; else its last value stays.
    pub(super) unique_keys: bool,
    /// Numbers with a point or an exponent become Decimals.
    pub(super) decimals: bool,
    /// `NaN`, `Infinity` and `-Infinity` are read, and numbers beyond a double are infinite.
    pub(super) nan: bool,
    pub(super) keep_surrogates: bool,
    pub(super) max_digits: usize,
    /// The caller has been offered these, so that hints name them.
    pub(super) are_offered: bool,
}

/// JSON that is to be read.
#[derive(Clone, Copy)]
pub(crate) struct Input<'a> {
    bytes: &'a [u8],
    /// It came as a str: places count characters.
    is_str: bool,
    /// Others may write to it while it is read.
    is_shared: bool,
}

impl<'a> Input<'a> {
    /// Bytes that nobody changes.
    pub(crate) fn of_bytes(bytes: &'a [u8]) -> Self {
        Self { bytes, is_str: false, is_shared: false }
    }

    /// The UTF-8 of a str.
    pub(crate) fn of_str(bytes: &'a [u8]) -> Self {
        Self { is_str: true, ..Self::of_bytes(bytes) }
    }

    /// Bytes that others may change meanwhile: those of a frame lie in shared memory.
    pub(crate) fn shared(bytes: &'a [u8]) -> Self {
        Self { is_shared: true, ..Self::of_bytes(bytes) }
    }
}

/// Why reading ended; [`Reader::failure`] says it.
pub(crate) struct Failed;

pub(crate) type Object = NonNull<ffi::PyObject>;
pub(crate) type Made = Result<Object, Failed>;

enum Why {
    /// What is wrong at which byte, and what to do.
    Wrong {
        what: String,
        hint: &'static str,
        at: usize,
    },
    Python(PyErr),
}

struct Failure {
    why: Why,
    path: Path,
}

/// References that wait for their container.
struct Stack(Vec<Object>);

thread_local! {
    /// The memory of a stack that is not in use.
    static SPARE: Cell<Vec<Object>> = const { Cell::new(Vec::new()) };
}

/// Places of a stack that are kept.
const KEPT: usize = 1 << 16;

impl Stack {
    fn new() -> Self {
        Self(SPARE.take())
    }

    /// Lets go of all from `base` on.
    fn cut(&mut self, base: usize) {
        while self.0.len() > base {
            if let Some(object) = self.0.pop() {
                // SAFETY: each place holds a reference of its own; the Reader is attached.
                unsafe { ffi::Py_DECREF(object.as_ptr()) };
            }
        }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.cut(0);
        if self.0.capacity() <= KEPT {
            // At a thread's end there is nowhere to keep it.
            let _ = SPARE.try_with(|spare| spare.set(std::mem::take(&mut self.0)));
        }
    }
}

/// Goes through JSON and makes what it says.
pub(crate) struct Reader<'a, 'py> {
    pub(crate) py: Python<'py>,
    pub(crate) input: &'a [u8],
    pub(crate) at: usize,
    is_str: bool,
    pub(crate) is_shared: bool,
    stack: Stack,
    /// Where the keys begin that wait on the stack, if each may stand once only.
    keys_at: Vec<usize>,
    keys: keys::Borrowed,
    /// A string without its escapes.
    plain: Vec<u8>,
    options: Options,
    /// Values are gone past, whatever the range of their numbers.
    passes: bool,
    /// What went wrong is that a number is beyond what would hold it.
    is_range: bool,
    failure: Option<Box<Failure>>,
}

/// A string between its quotes.
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) is_ascii: bool,
}

impl<'a, 'py> Reader<'a, 'py> {
    pub(super) fn new(py: Python<'py>, input: Input<'a>, options: Options) -> Self {
        Self {
            py,
            input: input.bytes,
            at: 0,
            is_str: input.is_str,
            is_shared: input.is_shared,
            stack: Stack::new(),
            keys_at: Vec::new(),
            keys: keys::Borrowed::new(),
            plain: Vec::new(),
            options,
            passes: false,
            is_range: false,
            failure: None,
        }
    }

    /// The one value that the input is.
    pub(super) fn read_all(mut self) -> PyResult<Bound<'py, PyAny>> {
        let pause = Pause::new();
        let made = self.document();
        drop(pause);
        match made {
            // SAFETY: a new reference.
            Ok(object) => Ok(unsafe { Bound::from_owned_ptr(self.py, object.as_ptr()) }),
            Err(Failed) => Err(self.raise()),
        }
    }

    fn document(&mut self) -> Made {
        self.skip_space();
        let value = self.value(0)?;
        if self.expect_end().is_err() {
            // SAFETY: a reference of ours, of an object that nobody else has seen.
            unsafe { ffi::Py_DECREF(value.as_ptr()) };
            return Err(Failed);
        }
        Ok(value)
    }

    /// Refuses what follows the value.
    pub(crate) fn expect_end(&mut self) -> Result<(), Failed> {
        self.skip_space();
        match self.at < self.input.len() {
            true => self.wrong(JsonFault::Trailing),
            false => Ok(()),
        }
    }

    /// The value that begins here, for one who goes through what is around it.
    #[inline(always)]
    pub(crate) fn value_at(&mut self, depth: usize) -> Result<Object, Failed> {
        self.value(depth)
    }

    /// The number that begins here, as an int or a Decimal.
    pub(crate) fn exact_number(&mut self) -> Result<Object, Failed> {
        let decimals = std::mem::replace(&mut self.options.decimals, true);
        let made = self.number();
        self.options.decimals = decimals;
        made
    }

    /// Goes past the value that begins here, which `depth` containers enclose.
    #[cold]
    pub(crate) fn pass_value(&mut self, depth: usize) -> Result<(), Failed> {
        self.passes = true;
        let passed = self.value(depth);
        self.passes = false;
        // SAFETY: a new reference.
        drop(unsafe { Bound::from_owned_ptr(self.py, passed?.as_ptr()) });
        Ok(())
    }

    /// Whether reading ended at a number that is JSON, but beyond what would hold it. It may then go on.
    #[cold]
    pub(crate) fn forgive_range(&mut self) -> bool {
        let is_range = std::mem::take(&mut self.is_range);
        if is_range {
            self.failure = None;
        }
        is_range
    }

    /// What went wrong, if anything did, went wrong in there.
    #[cold]
    pub(crate) fn enclose(&mut self, segment: impl FnOnce() -> Segment) {
        if let Some(failure) = &mut self.failure {
            failure.path.enclose(segment());
        }
    }

    /// The byte at a place; 0, which is no JSON, at the end.
    #[inline(always)]
    fn byte(&self, at: usize) -> u8 {
        self.input.get(at).copied().unwrap_or(0)
    }

    #[inline(always)]
    pub(crate) fn peek(&self) -> u8 {
        self.byte(self.at)
    }

    #[inline(always)]
    pub(crate) fn skip_space(&mut self) {
        if self.peek() <= b' ' {
            self.at = self.behind_space(self.at);
        }
    }

    #[inline(always)]
    fn behind_space(&self, mut at: usize) -> usize {
        loop {
            match self.byte(at) {
                b' ' | b'\t' | b'\r' => at += 1,
                b'\n' => {
                    at += 1;
                    // An indented line.
                    while let Some(block) = scan::block(self.input, at) {
                        let spaces = (scan::not_spaces(block) | 1 << 16).trailing_zeros();
                        at += spaces as usize;
                        if spaces < 16 {
                            break;
                        }
                    }
                }
                _ => return at,
            }
        }
    }

    /// Goes over the comma that follows an item, or over the end of its container, with the white space around; `None`
    /// for anything else, and otherwise whether it was the comma.
    #[inline(always)]
    pub(crate) fn comma_or(&mut self, end: u8) -> Option<bool> {
        let mut at = self.at;
        if self.byte(at) <= b' ' {
            at = self.behind_space(at);
        }
        let found = self.byte(at);
        if found == b',' {
            at += 1;
            if self.byte(at) <= b' ' {
                at = self.behind_space(at);
            }
            self.at = at;
            return Some(true);
        }
        self.at = at;
        if found != end {
            return None;
        }
        self.at = at + 1;
        Some(false)
    }

    /// Reads a value, which `depth` containers enclose.
    #[inline(always)]
    fn value(&mut self, depth: usize) -> Made {
        match self.peek() {
            b'"' => self.string(),
            b'-' | b'0'..=b'9' => self.number(),
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b't' | b'f' => self.truth(),
            // SAFETY: gives a borrowed reference to an object that is always there.
            b'n' => self.name(b"null", unsafe { ffi::Py_None() }),
            _ => self.no_value(),
        }
    }

    /// `true` or `false`, without a branch between the two.
    #[inline(always)]
    fn truth(&mut self) -> Made {
        let rest = self.input.get(self.at..).unwrap_or(&[]);
        let Some(name) = rest.first_chunk::<5>() else {
            // SAFETY: gives a borrowed reference to an object that is always there.
            return self.name(b"true", unsafe { ffi::Py_True() });
        };
        let is_true = name[..4] == *b"true";
        if !is_true & (name != b"false") {
            return self.no_value();
        }
        // SAFETY: as above.
        let objects = unsafe { [ffi::Py_False(), ffi::Py_True()] };
        let object = objects[usize::from(is_true)];
        self.at += 5 - usize::from(is_true);
        // SAFETY: an object that is always there.
        unsafe { ffi::Py_INCREF(object) };
        self.made(object)
    }

    #[inline(always)]
    fn name<const N: usize>(&mut self, name: &[u8; N], object: *mut ffi::PyObject) -> Made {
        let rest = self.input.get(self.at..).unwrap_or(&[]);
        if rest.first_chunk() != Some(name) {
            return self.no_value();
        }
        self.at += N;
        // SAFETY: an object that is always there.
        unsafe { ffi::Py_INCREF(object) };
        self.made(object)
    }

    #[cold]
    fn no_value(&mut self) -> Made {
        let rest = &self.input[self.at..];
        let Some(&first) = rest.first() else { return self.wrong(JsonFault::ValueMissing) };
        let infinity = JsonFault::Infinity { negative: false };
        for (name, x, fault) in
            [("NaN", f64::NAN, JsonFault::NaN), ("Infinity", f64::INFINITY, infinity)]
        {
            if rest.starts_with(name.as_bytes()) {
                if !self.options.nan {
                    return self.wrong_or(fault, NAN_HINT);
                }
                self.at += name.len();
                return self.float(x);
            }
        }
        if rest.starts_with(b"\xef\xbb\xbf") {
            let hint = "decode it first: data.decode(\"utf-8-sig\")";
            return self.wrong_with(JsonFault::ByteOrderMark, hint);
        }
        self.wrong(JsonFault::NoValue(first))
    }

    fn array(&mut self, depth: usize) -> Made {
        self.enter(depth)?;
        let base = self.stack.0.len();
        let made = self.items(base, depth);
        if made.is_err() {
            self.stack.cut(base);
        }
        made
    }

    #[inline(always)]
    fn items(&mut self, base: usize, depth: usize) -> Made {
        self.at += 1;
        self.skip_space();
        if self.peek() == b']' {
            self.at += 1;
        } else {
            loop {
                match self.value(depth + 1) {
                    Ok(item) => self.stack.0.push(item),
                    Err(Failed) => return self.within_item(base),
                }
                match self.comma_or(b']') {
                    Some(true) => {}
                    Some(false) => break,
                    None => return self.no_comma(b']'),
                }
            }
        }
        let items = &self.stack.0[base..];
        // SAFETY: a new list of that many empty places, or null; nobody else sees it before it is full.
        let list = unsafe { ffi::PyList_New(items.len() as _) };
        if !list.is_null() {
            for (index, item) in items.iter().enumerate() {
                // SAFETY: the place is empty, and takes over the reference, which leaves the stack below.
                unsafe { ffi::PyList_SET_ITEM(list, index as _, item.as_ptr()) };
            }
            self.stack.0.truncate(base);
        }
        self.made(list)
    }

    fn object(&mut self, depth: usize) -> Made {
        self.enter(depth)?;
        let base = self.stack.0.len();
        let made = self.pairs(base, depth);
        self.stack.cut(base);
        made
    }

    #[inline(always)]
    fn pairs(&mut self, base: usize, depth: usize) -> Made {
        self.at += 1;
        self.skip_space();
        let first_key = self.keys_at.len();
        if self.peek() == b'}' {
            self.at += 1;
        } else {
            loop {
                if self.peek() != b'"' {
                    return self.no_key();
                }
                if self.options.unique_keys {
                    self.keys_at.push(self.at);
                }
                match self.key() {
                    Ok(key) => self.stack.0.push(key),
                    Err(Failed) => return self.within_key(base),
                }
                self.skip_space();
                if self.peek() != b':' {
                    return self.no_colon();
                }
                self.at += 1;
                self.skip_space();
                match self.value(depth + 1) {
                    Ok(value) => self.stack.0.push(value),
                    Err(Failed) => return self.within_value(),
                }
                match self.comma_or(b'}') {
                    Some(true) => {}
                    Some(false) => break,
                    None => return self.no_comma(b'}'),
                }
            }
        }
        let dict = self.dict(base, first_key)?;
        self.keys_at.truncate(first_key);
        Ok(dict)
    }

    /// A dict of the pairs on the stack from `base` on.
    #[inline(always)]
    fn dict(&mut self, base: usize, first_key: usize) -> Made {
        let (pairs, _) = self.stack.0[base..].as_chunks::<2>();
        // SAFETY: gives a new reference or null.
        let dict = unsafe { _PyDict_NewPresized(pairs.len() as _) };
        if dict.is_null() {
            return self.raised();
        }
        for (index, [key, value]) in pairs.iter().enumerate() {
            // SAFETY: a dict that is ours, a str, and an object; it takes references of its own.
            if unsafe { set_item(dict, key.as_ptr(), value.as_ptr()) } != 0 {
                // SAFETY: the reference is ours.
                unsafe { ffi::Py_DECREF(dict) };
                return self.raised();
            }
            // SAFETY: a dict.
            if self.options.unique_keys && unsafe { ffi::PyDict_Size(dict) } as usize == index {
                // SAFETY: the reference is ours.
                unsafe { ffi::Py_DECREF(dict) };
                self.at = self.keys_at[first_key + index];
                let hint = "rename one, or give duplicates=\"last\" to keep the last value";
                return self.wrong_with("an object has this key twice", hint);
            }
        }
        self.made(dict)
    }

    /// The object of a call.
    #[inline(always)]
    fn made(&mut self, object: *mut ffi::PyObject) -> Made {
        match NonNull::new(object) {
            Some(object) => Ok(object),
            None => self.raised(),
        }
    }

    #[inline(always)]
    fn enter(&mut self, depth: usize) -> Result<(), Failed> {
        if depth < DEPTH && !stack::is_short(depth) { Ok(()) } else { self.too_deep(depth) }
    }

    #[cold]
    fn too_deep(&mut self, depth: usize) -> Result<(), Failed> {
        if depth < DEPTH {
            return self.wrong_with(stack::WHAT, stack::HINT);
        }
        self.wrong(JsonFault::TooDeep { limit: DEPTH })
    }

    // --- what is wrong ---

    #[cold]
    fn wrong<T>(&mut self, fault: JsonFault) -> Result<T, Failed> {
        self.wrong_with(fault, fault.hint())
    }

    /// With a hint that names an option, where there are any.
    #[cold]
    fn wrong_or<T>(&mut self, fault: JsonFault, hint: &'static str) -> Result<T, Failed> {
        self.wrong_with(fault, if self.options.are_offered { hint } else { fault.hint() })
    }

    /// With a hint that knows the options, or what is wrong for Python alone.
    #[cold]
    fn wrong_with<T>(&mut self, what: impl Display, hint: &'static str) -> Result<T, Failed> {
        let why = Why::Wrong { what: what.to_string(), hint, at: self.at };
        self.failure = Some(Box::new(Failure { why, path: Path::default() }));
        Err(Failed)
    }

    #[cold]
    fn python<T>(&mut self, error: PyErr) -> Result<T, Failed> {
        self.failure = Some(Box::new(Failure { why: Why::Python(error), path: Path::default() }));
        Err(Failed)
    }

    /// The exception of a call that has failed.
    #[cold]
    fn raised<T>(&mut self) -> Result<T, Failed> {
        self.python(PyErr::fetch(self.py))
    }

    #[cold]
    fn within(&mut self, segment: Segment) -> Made {
        if let Some(failure) = &mut self.failure {
            failure.path.enclose(segment);
        }
        Err(Failed)
    }

    #[cold]
    fn within_item(&mut self, base: usize) -> Made {
        let index = self.stack.0.len() - base;
        self.within(Segment::Index(index))
    }

    #[cold]
    fn within_key(&mut self, base: usize) -> Made {
        let index = (self.stack.0.len() - base) / 2;
        self.within(Segment::KeyOf(index))
    }

    /// The value's key is the last one on the stack.
    #[cold]
    fn within_value(&mut self) -> Made {
        let Some(key) = self.stack.0.last() else { return Err(Failed) };
        // SAFETY: a reference of the stack.
        let key = unsafe { Borrowed::from_ptr(self.py, key.as_ptr()) };
        let name = key.cast::<PyString>().map(|text| text.to_string_lossy().into_owned());
        self.within(Segment::key(&name.unwrap_or_default()))
    }

    /// What stands where a comma or the `end` of a container should.
    #[cold]
    pub(crate) fn no_comma(&mut self, end: u8) -> Made {
        let is_whole = self.at < self.input.len();
        self.wrong(match (end, is_whole) {
            (b']', true) => JsonFault::ArrayComma,
            (b']', false) => JsonFault::ArrayUnfinished,
            (_, true) => JsonFault::ObjectComma,
            (_, false) => JsonFault::ObjectUnfinished,
        })
    }

    #[cold]
    pub(crate) fn no_colon(&mut self) -> Made {
        self.wrong(JsonFault::Colon)
    }

    #[cold]
    pub(crate) fn no_key(&mut self) -> Made {
        match self.input.get(self.at) {
            Some(&byte) => self.wrong(JsonFault::NoKey(byte)),
            None => self.wrong(JsonFault::ObjectUnfinished),
        }
    }

    #[cold]
    pub(crate) fn raise(&mut self) -> PyErr {
        let Some(failure) = self.failure.take() else {
            return PyValueError::new_err("no JSON");
        };
        let (what, hint, at) = match failure.why {
            Why::Python(error) => return error,
            Why::Wrong { what, hint, at } => (what, hint, at),
        };
        let before = &self.input[..at.min(self.input.len())];
        let line_at = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let characters = |bytes: &[u8]| bytes.iter().filter(|&&byte| byte & 0xc0 != 0x80).count();
        let place = error::Place {
            line: 1 + before.iter().filter(|&&byte| byte == b'\n').count(),
            column: 1 + characters(&before[line_at..]),
            offset: if self.is_str { characters(before) } else { at },
        };
        error::malformed(self.py, &what, &failure.path.to_string(), place, hint)
    }
}
