//! From JSON to Python's objects, in one pass.
//!
//! 1. Items of containers that are still open wait on one stack; a container is made when its end is there, so that
//!    its length is known, and takes them over.
//! 2. The bytes may be those of a frame, which a broken peer can change meanwhile. Nothing that was seen of
//!    them is relied on where they are read again: what is written is bounded by what was allocated.
//! 3. Nothing is allocated that the input has not paid for.

use super::text::{make_ascii, make_text};
use super::{DEPTH, number, scan};
use crate::error;
use crate::value::decode::_PyDict_NewPresized;
use crate::value::keys;
use crate::value::types::Types;
use pyo3::exceptions::{PyArithmeticError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyInt, PyString};
use pyo3::{IntoPyObjectExt, ffi};
use slipring_codec::error::{Path, Segment};
use std::cell::Cell;
use std::ptr::NonNull;

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
    stack: Stack,
    /// Where the keys begin that wait on the stack, if each may stand once only.
    keys_at: Vec<usize>,
    keys: keys::Borrowed,
    /// A string without its escapes.
    plain: Vec<u8>,
    options: Options,
    failure: Option<Box<Failure>>,
}

/// A string between its quotes.
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) is_ascii: bool,
}

impl<'a, 'py> Reader<'a, 'py> {
    pub(super) fn new(py: Python<'py>, input: &'a [u8], options: Options) -> Self {
        Self {
            py,
            input,
            at: 0,
            stack: Stack::new(),
            keys_at: Vec::new(),
            keys: keys::Borrowed::new(),
            plain: Vec::new(),
            options,
            failure: None,
        }
    }

    /// The one value that the input is. `is_text` says that positions count characters.
    pub(super) fn read_all(mut self, is_text: bool) -> PyResult<Bound<'py, PyAny>> {
        let pause = Pause::new();
        let made = self.document();
        drop(pause);
        match made {
            // SAFETY: a new reference.
            Ok(object) => Ok(unsafe { Bound::from_owned_ptr(self.py, object.as_ptr()) }),
            Err(Failed) => Err(self.raise(is_text)),
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
            true => self.wrong("something follows the value", "send one value only"),
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
        if rest.is_empty() {
            return self.wrong("a value is missing: it ends here", "send it whole");
        }
        for (name, x) in [("NaN", f64::NAN), ("Infinity", f64::INFINITY)] {
            if rest.starts_with(name.as_bytes()) {
                if !self.options.nan {
                    let hint = "give nan=True to read NaN and Infinity";
                    return self.wrong(&format!("{name} is no JSON"), hint);
                }
                self.at += name.len();
                return self.float(x);
            }
        }
        if rest.starts_with(b"\xef\xbb\xbf") {
            let hint = "decode it first: data.decode(\"utf-8-sig\")";
            return self.wrong("a byte order mark is no JSON", hint);
        }
        let hint = match rest[0] {
            b'\'' => "strings have double quotes",
            b']' | b'}' => "no comma stands before the end",
            b'+' | b'.' => "a number begins with a digit or a minus",
            b'N' | b'T' | b'F' => "JSON says null, true and false",
            b'/' | b'#' => "JSON has no comments",
            _ => "a value is a string, a number, an object, an array, true, false or null",
        };
        self.wrong("this begins no value", hint)
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
                    None => return self.no_comma("array", "]"),
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
                    None => return self.no_comma("object", "}"),
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
            // SAFETY: a dict that is ours, and two objects, of which it takes references of its own.
            if unsafe { ffi::PyDict_SetItem(dict, key.as_ptr(), value.as_ptr()) } != 0 {
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
                return self.wrong("an object has this key twice", hint);
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
        if depth < DEPTH { Ok(()) } else { self.too_deep() }
    }

    #[cold]
    fn too_deep(&mut self) -> Result<(), Failed> {
        let what = format!("more than {DEPTH} arrays and objects inside each other");
        self.wrong(&what, "flatten it")
    }

    // --- strings ---

    /// The string that begins here, up to its end; `None` if it has escapes.
    #[inline(always)]
    pub(crate) fn span(&mut self) -> Result<Option<Span>, Failed> {
        let start = self.at + 1;
        let (mut at, mut beyond) = (start, 0);
        loop {
            let (block, len) = match scan::block(self.input, at) {
                Some(block) => (block, 16),
                None => {
                    let rest = self.input.get(at..).unwrap_or(&[]);
                    (scan::part(rest), rest.len())
                }
            };
            let run = (scan::ends(block) | 1 << len).trailing_zeros();
            beyond |= scan::beyond_ascii(block) & ((1 << run) - 1);
            at += run as usize;
            if (run as usize) < len {
                break;
            }
            if len < 16 {
                self.at = at;
                return self.unfinished();
            }
        }
        match self.input[at] {
            b'"' => {
                self.at = at + 1;
                Ok(Some(Span { start, end: at, is_ascii: beyond == 0 }))
            }
            b'\\' => Ok(None),
            _ => {
                self.at = at;
                self.control()
            }
        }
    }

    #[cold]
    fn unfinished<T>(&mut self) -> Result<T, Failed> {
        self.wrong("a string does not end", "send it whole")
    }

    #[cold]
    fn control<T>(&mut self) -> Result<T, Failed> {
        let what = format!("a string holds the control character 0x{:02x}", self.peek());
        self.wrong(&what, "write it as an escape, such as \\n")
    }

    #[inline(always)]
    pub(crate) fn string(&mut self) -> Made {
        let begin = self.at;
        let Some(span) = self.span()? else { return self.escaped_string() };
        let bytes = &self.input[span.start..span.end];
        if span.is_ascii {
            let made = make_ascii(bytes);
            return self.made(made);
        }
        self.beyond_ascii(begin, span.start, span.end)
    }

    fn beyond_ascii(&mut self, begin: usize, start: usize, end: usize) -> Made {
        let keep = self.options.keep_surrogates;
        match make_text(self.py, &self.input[start..end], keep) {
            Ok(object) => self.made(object),
            Err(offset) => {
                self.at = start + offset;
                self.not_utf8(begin)
            }
        }
    }

    #[cold]
    fn not_utf8<T>(&mut self, begin: usize) -> Result<T, Failed> {
        let surrogate = matches!(self.input.get(self.at..), Some([0xed, 0xa0..=0xbf, ..]));
        if surrogate {
            let hint = "give surrogates=\"keep\" to read half a pair";
            return self.wrong("a lone surrogate is no Unicode text", hint);
        }
        debug_assert!(begin < self.at);
        self.wrong("a string is not UTF-8", "encode it as UTF-8")
    }

    #[inline(always)]
    pub(crate) fn key(&mut self) -> Made {
        let begin = self.at;
        let Some(span) = self.span()? else { return self.escaped_string() };
        if span.is_ascii {
            let key = self.keys.get(self.py, self.input, span.start, span.end);
            return self.made(key.map_or(std::ptr::null_mut(), Bound::into_ptr));
        }
        self.beyond_ascii(begin, span.start, span.end)
    }

    /// A string with escapes, from its first quote on.
    #[inline(never)]
    fn escaped_string(&mut self) -> Made {
        let begin = self.at;
        self.at += 1;
        self.plain.clear();
        let mut lone = false;
        loop {
            let start = self.at;
            let (block, len) = match scan::block(self.input, start) {
                Some(block) => (block, 16),
                None => {
                    let rest = self.input.get(start..).unwrap_or(&[]);
                    (scan::part(rest), rest.len())
                }
            };
            let run = (scan::ends(block) | 1 << len).trailing_zeros() as usize;
            self.plain.extend_from_slice(&block[..run]);
            self.at += run;
            if run == len {
                match len {
                    16 => continue,
                    _ => return self.unfinished(),
                }
            }
            match self.peek() {
                b'"' => {
                    self.at += 1;
                    break;
                }
                b'\\' => lone |= self.escape()?,
                _ => return self.control(),
            }
        }
        if self.plain.is_ascii() {
            let made = make_ascii(&self.plain);
            return self.made(made);
        }
        match make_text(self.py, &self.plain, lone || self.options.keep_surrogates) {
            Ok(object) => self.made(object),
            Err(_) => self.bad_bytes(begin),
        }
    }

    /// Where the bytes are that are not UTF-8, among escapes.
    #[cold]
    fn bad_bytes(&mut self, begin: usize) -> Made {
        let whole = &self.input[begin..self.at];
        let valid = std::str::from_utf8(whole).map_or_else(|e| e.valid_up_to(), str::len);
        self.at = begin + valid;
        self.not_utf8(begin)
    }

    /// An escape, from its backslash on; whether it is half a pair, and stays.
    #[inline(always)]
    fn escape(&mut self) -> Result<bool, Failed> {
        let letter = self.input.get(self.at + 1).copied().unwrap_or(0);
        let byte = match letter {
            b'"' | b'\\' | b'/' => letter,
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => return self.unicode_escape(),
            _ => {
                let hint = "an escape is one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\uXXXX";
                return self.wrong("this is no escape", hint);
            }
        };
        self.plain.push(byte);
        self.at += 2;
        Ok(false)
    }

    /// The four digits of an escape at `at`.
    fn unit(&self, at: usize) -> Option<u32> {
        let [b'\\', b'u', digits @ ..] = self.input.get(at..at + 6)? else { return None };
        digits.iter().try_fold(0, |unit, &digit| Some(unit << 4 | char::from(digit).to_digit(16)?))
    }

    fn unicode_escape(&mut self) -> Result<bool, Failed> {
        let Some(unit) = self.unit(self.at) else {
            return self.wrong("\\u has no four hexadecimal digits", "write it as \\u0041");
        };
        let mut len = 6;
        let mut code_point = unit;
        if let (0xd800..0xdc00, Some(low @ 0xdc00..0xe000)) = (unit, self.unit(self.at + 6)) {
            code_point = 0x1_0000 + ((unit - 0xd800) << 10 | (low - 0xdc00));
            len = 12;
        }
        match char::from_u32(code_point) {
            Some(char) => self.plain.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
            None if self.options.keep_surrogates => {
                let [high, low] = [code_point >> 6 & 0x3f | 0x80, code_point & 0x3f | 0x80];
                self.plain.extend_from_slice(&[0xed, high as u8, low as u8]);
            }
            None => {
                let hint = "escape the other half as well, or give surrogates=\"keep\"";
                return self.wrong("a lone surrogate is no Unicode text", hint);
            }
        }
        self.at += len;
        Ok(len == 6 && (0xd800..0xe000).contains(&unit))
    }

    // --- numbers ---

    /// Joins the digits from `at` on to a number, which is cut to 64 bits, and gives the place behind.
    #[inline(always)]
    fn digits(&self, mut at: usize, mut n: u64) -> (usize, u64) {
        while let Some(chunk) = self.input.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
            let chunk = u64::from_le_bytes(*chunk);
            let count = number::count_digits(chunk);
            // A branch of its own: what is foretold is not waited for.
            if count == 8 {
                let eight = number::join_digits(chunk, 8);
                n = n.wrapping_mul(number::POWERS[8]).wrapping_add(eight);
                at += 8;
                continue;
            }
            n = n.wrapping_mul(number::POWERS[count as usize]);
            n = n.wrapping_add(number::join_digits(chunk, count));
            return (at + count as usize, n);
        }
        while let digit @ b'0'..=b'9' = self.byte(at) {
            n = n.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
            at += 1;
        }
        (at, n)
    }

    #[inline(always)]
    fn number(&mut self) -> Made {
        let start = self.at;
        let negative = self.byte(start) == b'-';
        let whole = start + usize::from(negative);
        let (mut at, mut n) = self.digits(whole, 0);
        let mut digits = at - whole;
        if digits == 0 || (digits > 1 && self.byte(whole) == b'0') {
            return self.no_number(whole, digits);
        }
        let (mut exponent, mut is_int) = (0, true);
        let mut next = self.byte(at);
        if next == b'.' {
            is_int = false;
            let fraction = at + 1;
            (at, n) = self.digits(fraction, n);
            let len = at - fraction;
            if len == 0 {
                self.at = at;
                return self.wrong("a digit is missing behind the point", "write 1.0 or 1");
            }
            digits += len;
            exponent = -(len as i64);
            next = self.byte(at);
        }
        self.at = at;
        if next | 0x20 == b'e' {
            is_int = false;
            exponent = exponent.saturating_add(self.exponent()?);
        }
        if is_int {
            if digits > 18 {
                return self.big(start);
            }
            let n = n as i64;
            // SAFETY: gives a new reference or null.
            let int = unsafe { ffi::PyLong_FromLongLong(if negative { -n } else { n }) };
            return self.made(int);
        }
        if self.options.decimals {
            return self.decimal(start, digits);
        }
        if (digits <= 19 || self.significant(start, digits) <= 19)
            && let Some(x) = number::nearest(n, exponent)
        {
            return self.float(if negative { -x } else { x });
        }
        self.long_float(start)
    }

    /// How many of the digits of the number from `start` on follow its leading zeros.
    #[inline(never)]
    fn significant(&self, start: usize, digits: usize) -> usize {
        let before = self.input[start..].iter().take_while(|byte| b"-0.".contains(byte));
        digits.saturating_sub(before.filter(|&&byte| byte == b'0').count())
    }

    #[inline(always)]
    fn float(&mut self, x: f64) -> Made {
        // SAFETY: gives a new reference or null.
        let float = unsafe { ffi::PyFloat_FromDouble(x) };
        self.made(float)
    }

    /// The exponent from its letter on, cut to what fits.
    #[inline(never)]
    fn exponent(&mut self) -> Result<i64, Failed> {
        self.at += 1;
        let negative = self.peek() == b'-';
        self.at += usize::from(matches!(self.peek(), b'-' | b'+'));
        let (start, mut n) = (self.at, 0i64);
        while let digit @ b'0'..=b'9' = self.peek() {
            n = n.saturating_mul(10).saturating_add((digit - b'0').into());
            self.at += 1;
        }
        if self.at == start {
            return self.wrong("a digit is missing in the exponent", "write 1e5 or 1e-5");
        }
        Ok(if negative { -n } else { n })
    }

    #[cold]
    fn no_number(&mut self, whole: usize, digits: usize) -> Made {
        self.at = whole;
        if digits > 0 {
            return self.wrong("a number begins with 0", "leave leading zeros out");
        }
        if self.input[whole..].starts_with(b"Infinity") {
            if self.options.nan {
                self.at = whole + 8;
                return self.float(f64::NEG_INFINITY);
            }
            self.at -= 1;
            return self.wrong("-Infinity is no JSON", "give nan=True to read NaN and Infinity");
        }
        self.wrong("a digit is missing behind the minus", "a number begins with a digit or a minus")
    }

    /// The number from `start` on, whose bytes are checked.
    fn number_text(&self, start: usize) -> &'a str {
        std::str::from_utf8(&self.input[start..self.at]).unwrap_or_default()
    }

    /// Numbers for which the short ways don't do.
    #[cold]
    fn long_float(&mut self, start: usize) -> Made {
        let x: f64 = self.number_text(start).parse().unwrap_or(f64::NAN);
        if x.is_infinite() && !self.options.nan {
            self.at = start;
            let hint = "give floats=\"decimal\" to keep it, or nan=True to make it infinite";
            return self.wrong("a number is beyond what a float holds", hint);
        }
        self.float(x)
    }

    #[cold]
    fn check_digits(&mut self, start: usize, digits: usize) -> Result<(), Failed> {
        if digits <= self.options.max_digits {
            return Ok(());
        }
        self.at = start;
        let what = format!("a number has {digits} digits, more than {}", self.options.max_digits);
        self.wrong(&what, "raise max_digits")
    }

    #[cold]
    fn decimal(&mut self, start: usize, digits: usize) -> Made {
        self.check_digits(start, digits)?;
        let make = || Types::get(self.py)?.decimal.bind(self.py).call1((self.number_text(start),));
        match make() {
            Ok(decimal) => self.made(decimal.into_ptr()),
            Err(e) if e.is_instance_of::<PyArithmeticError>(self.py) => {
                self.at = start;
                self.wrong("a number is beyond what a Decimal holds", "send it as a string")
            }
            Err(error) => self.python(error),
        }
    }

    /// An integer of more than 18 digits.
    #[cold]
    fn big(&mut self, start: usize) -> Made {
        let text = self.number_text(start);
        let unsigned = text.trim_start_matches('-');
        self.check_digits(start, unsigned.len())?;
        match big_int(self.py, unsigned, unsigned.len() < text.len()) {
            Ok(int) => self.made(int.into_ptr()),
            Err(error) => self.python(error),
        }
    }

    // --- what is wrong ---

    #[cold]
    fn wrong<T>(&mut self, what: &str, hint: &'static str) -> Result<T, Failed> {
        let why = Why::Wrong { what: what.into(), hint, at: self.at };
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

    #[cold]
    pub(crate) fn no_comma(&mut self, container: &str, end: &str) -> Made {
        if self.at >= self.input.len() {
            return self.wrong(&format!("an {container} does not end"), "send it whole");
        }
        let what = format!("neither a comma nor {end} follows an item of an {container}");
        self.wrong(&what, "items stand apart by commas")
    }

    #[cold]
    pub(crate) fn no_colon(&mut self) -> Made {
        self.wrong("no colon follows a key", "a colon stands between key and value")
    }

    #[cold]
    pub(crate) fn no_key(&mut self) -> Made {
        if self.at >= self.input.len() {
            return self.wrong("an object does not end", "send it whole");
        }
        let hint = match self.peek() {
            b'}' => "no comma stands before the end",
            _ => "keys are strings in double quotes",
        };
        self.wrong("a key is missing", hint)
    }

    #[cold]
    pub(crate) fn raise(&mut self, is_text: bool) -> PyErr {
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
            offset: if is_text { characters(before) } else { at },
        };
        error::malformed(self.py, &what, &failure.path.to_string(), place, hint)
    }
}

/// An int of any length. Up to 640 digits Python reads them whatever its limit; longer ones are joined of parts, so
/// that the time is that of multiplying two halves.
fn big_int<'py>(py: Python<'py>, digits: &str, negative: bool) -> PyResult<Bound<'py, PyAny>> {
    const PART: usize = 512;
    let int = py.get_type::<PyInt>();
    let (head, rest) = digits.split_at(digits.len() % PART);
    let mut parts = vec![int.call1((if head.is_empty() { "0" } else { head },))?];
    for at in (0..rest.len()).step_by(PART) {
        parts.push(int.call1((&rest[at..at + PART],))?);
    }
    let mut base = 10i32.into_bound_py_any(py)?.pow(PART, py.None())?;
    while parts.len() > 1 {
        let mut joined = Vec::with_capacity(parts.len().div_ceil(2));
        // The last parts are whole ones.
        let odd = parts.len() % 2;
        joined.extend(parts.iter().take(odd).cloned());
        for pair in parts[odd..].chunks_exact(2) {
            joined.push(pair[0].mul(&base)?.add(&pair[1])?);
        }
        parts = joined;
        if parts.len() > 1 {
            base = base.mul(&base)?;
        }
    }
    let n = parts.swap_remove(0);
    if negative { n.neg() } else { Ok(n) }
}

/// No garbage is looked for while JSON is read: all that is made is in use, and going through it again and again
/// takes as long as making it.
pub(crate) struct Pause {
    was_enabled: bool,
}

impl Pause {
    pub(crate) fn new() -> Self {
        // Where there is no lock others would see it.
        // SAFETY: attached, as the Reader's token says.
        let was_enabled = !cfg!(Py_GIL_DISABLED) && unsafe { ffi::PyGC_Disable() } != 0;
        Self { was_enabled }
    }
}

impl Drop for Pause {
    fn drop(&mut self) {
        if self.was_enabled {
            // SAFETY: attached, as when it was made.
            unsafe { ffi::PyGC_Enable() };
        }
    }
}
