//! From Python's objects to JSON.
//!
//! 1. As in `value::encode`: a container is held while its items are gone through, and so is every object for which
//!    code of others may run; items are looked up one by one.
//! 2. What is short (a number, a name of three to five letters, a comma) goes where [`SHORT`] bytes were reserved
//!    before the item; what is long looks for room by itself, and leaves some for the short item that may follow.

mod escape;
mod numbers;
mod texts;

use super::float::{self, write_float};
use super::number::{self, LONGEST};
use super::out::{Lend, MARGIN, Out};
use super::scan::{self, BLOCK};
use super::{DEPTH, Raw, numpy};
use crate::value::encode::{compact_ascii, small_int, text};
use crate::value::fault::{Fault, Outcome, type_name};
use crate::value::pairs::Pairs;
use crate::value::sink::copy_short;
use crate::value::types::{Exact, Types, own_text};
use crate::value::{registry, stack, temporal};
pub(super) use escape::quote;
use escape::{escaped, escaped_behind_block};
pub(super) use numbers::Number;
use numbers::truth_value;
use pyo3::prelude::*;
use pyo3::sync::critical_section::with_critical_section;
use pyo3::types::{
    PyBool, PyBytes, PyDate, PyDateTime, PyDict, PyFloat, PyInt, PyList, PyString, PyTime, PyTuple,
    PyType,
};
use pyo3::{ffi, intern};
use slipring_codec::error::Segment;
use slipring_codec::json::ESCAPES;
use std::ptr::NonNull;

/// What becomes of numbers that are none, or endless.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotFinite {
    Error,
    Null,
    /// `NaN`, `Infinity`, `-Infinity`, which are no JSON.
    Constants,
}

/// How an object is written.
pub(crate) struct Options<'py> {
    pub(super) default: Option<Bound<'py, PyAny>>,
    pub(super) sort_keys: bool,
    /// What stands before an item, once for each container around it.
    pub(super) indent: Option<String>,
    pub(super) ascii: bool,
    pub(super) nan: NotFinite,
    pub(super) decimals_as_text: bool,
    pub(super) convert_keys: bool,
    pub(super) keep_surrogates: bool,
    /// The caller has been offered these, so that hints name them.
    pub(super) are_offered: bool,
}

impl Options<'_> {
    /// Whether containers are written in the order that they have, in one line, and text as it is.
    pub(super) fn are_plain(&self) -> bool {
        !self.sort_keys && self.indent.is_none() && !self.ascii
    }
}

/// Bytes that are reserved before each item.
const SHORT: usize = 96;
/// Bytes of these that are left when it is written.
const LITTLE: usize = 32;
const _: () = assert!(LONGEST + LITTLE <= SHORT && float::ROOM + LITTLE <= SHORT);
const _: () = assert!(SHORT + 4 <= MARGIN && 2 * BLOCK + 4 <= MARGIN);

/// Where the next byte goes.
pub(super) type Place = Result<*mut u8, Box<Fault>>;

/// Results of `default` that may stand inside each other.
const DEFAULTS: usize = 256;
/// Text that is written in one go: each byte may take six.
const PIECE: usize = 1024;

/// Goes through an object and writes what it is; `PLAIN` as [`Options::are_plain`] says.
pub(crate) struct Writer<'py, 'o, S: Lend, const PLAIN: bool> {
    py: Python<'py>,
    pub(crate) out: Out<S>,
    pub(super) options: &'o Options<'py>,
    /// Results of `default` that are being written.
    defaults: usize,
}

impl<'py, 'o, S: Lend, const PLAIN: bool> Writer<'py, 'o, S, PLAIN> {
    pub(super) fn new(py: Python<'py>, sink: S, options: &'o Options<'py>) -> Self {
        Self { py, out: Out::new(sink), options, defaults: 0 }
    }

    /// Writes one object, which `depth` others enclose.
    pub(crate) fn write(&mut self, object: Borrowed<'_, 'py, PyAny>, depth: usize) -> Outcome {
        // SAFETY: the place is that of `self.out`, with room behind it; both give the one behind what they write.
        unsafe {
            self.placed(|writer, at| match writer.quick(at, object) {
                Some(at) => Ok(at.as_ptr()),
                None => writer.larger(at, &object.to_owned(), depth),
            })
        }
    }

    /// Has `write` write where the next byte goes, at a place as [`quick`](Self::quick) wants it, and goes on behind that.
    ///
    /// # Safety
    /// `write` gives the place behind all that it has written, from the one on that it gets, within what is reserved.
    #[inline(always)]
    pub(super) unsafe fn placed(
        &mut self,
        write: impl FnOnce(&mut Self, *mut u8) -> Place,
    ) -> Outcome {
        // SAFETY: the place is that of `self.out`.
        let at = unsafe { self.out.room(self.out.at(), 0) };
        let at = write(self, at)?;
        // SAFETY: by the caller's word.
        unsafe { self.out.set(at) };
        Ok(())
    }

    /// Writes a scalar, or a text of ASCII for which there is room, at `at`, and gives the place behind, from which on
    /// [`LITTLE`] bytes are reserved; `None` for all else, and then nothing is written that counts. No code of others
    /// runs. What is behind `at` of `self.out` counts only when that is told: the place stays in a register as
    /// long as nothing large comes.
    ///
    /// # Safety
    /// `at` is as [`Out::set`] wants it, and [`SHORT`] bytes are reserved from there on.
    #[inline(always)]
    unsafe fn quick(&self, at: *mut u8, object: Borrowed<'_, 'py, PyAny>) -> Option<NonNull<u8>> {
        // SAFETY: the caller has reserved more than any of these takes.
        let at = unsafe {
            match Exact::of(object) {
                Exact::Str => return self.quick_text(at, object, *b"\"\0"),
                Exact::Int => at.add(number::write_int(small_int(object)?, at)),
                Exact::Float => {
                    let x = ffi::PyFloat_AS_DOUBLE(object.as_ptr());
                    if !x.is_finite() {
                        return None;
                    }
                    write_float(x, at)
                }
                Exact::Bool => truth_value(at, object.as_ptr() == ffi::Py_True()).sub(1),
                Exact::None => {
                    at.cast::<[u8; 4]>().write(*b"null");
                    at.add(4)
                }
                _ => return None,
            }
        };
        NonNull::new(at)
    }

    /// Writes at `at` what is not written quickly, and gives the place behind, with room for more.
    ///
    /// # Safety
    /// As for [`quick`](Self::quick).
    #[inline(never)]
    unsafe fn larger(&mut self, at: *mut u8, object: &Bound<'py, PyAny>, depth: usize) -> Place {
        // SAFETY: by the caller's word.
        unsafe {
            // Not by `Exact`, which looks for scalars first: `quick` has done that.
            match object.as_ptr() {
                dict if ffi::PyDict_CheckExact(dict) != 0 => return self.dict(at, object, depth),
                list if ffi::PyList_CheckExact(list) != 0 => return self.list(at, object, depth),
                tuple if ffi::PyTuple_CheckExact(tuple) != 0 => {
                    return self.tuple(at, object, depth);
                }
                _ => self.out.set(at),
            }
        }
        match Exact::of(object.as_borrowed()) {
            Exact::Str => self.other_text(object.as_borrowed())?,
            Exact::Int => self.int(object.as_borrowed())?,
            Exact::Float => self.not_finite(object.extract()?)?,
            _ => self.other(object, depth)?,
        }
        // SAFETY: the place is that of `self.out`.
        Ok(unsafe { self.out.room(self.out.at(), 0) })
    }

    fn int(&mut self, object: Borrowed<'_, 'py, PyAny>) -> Outcome {
        let mut overflow = 0;
        // SAFETY: an int, or what derives from it; the call writes to `overflow` and can't fail for one.
        let n = unsafe { ffi::PyLong_AsLongLongAndOverflow(object.as_ptr(), &mut overflow) };
        if overflow == 0 {
            return self.number(n);
        }
        self.out.put(big_int(&object.to_owned())?.as_bytes());
        Ok(())
    }

    pub(super) fn float(&mut self, x: f64) -> Outcome {
        if !x.is_finite() {
            return self.not_finite(x);
        }
        self.finite(x);
        Ok(())
    }

    #[cold]
    fn not_finite(&mut self, x: f64) -> Outcome {
        self.out.put(not_finite(self.options, x)?.as_bytes());
        Ok(())
    }

    /// A number that is neither endless nor none.
    #[inline(always)]
    pub(crate) fn finite(&mut self, x: f64) {
        self.out.reserve(SHORT);
        // SAFETY: reserved.
        unsafe {
            let at = write_float(x, self.out.at());
            self.out.set(at);
        }
    }

    #[inline(always)]
    pub(crate) fn number(&mut self, n: impl Into<i64>) -> Outcome {
        self.out.reserve(LONGEST);
        // SAFETY: reserved.
        unsafe {
            let len = number::write_int(n.into(), self.out.at());
            self.out.set(self.out.at().add(len));
        }
        Ok(())
    }

    pub(super) fn has_default(&self) -> bool {
        self.options.default.is_some()
    }

    pub(super) fn enter(&self, depth: usize, object: &Bound<'py, PyAny>) -> Outcome {
        if depth < DEPTH && !stack::is_short(depth) {
            return Ok(());
        }
        self.too_deep(depth, object)
    }

    #[cold]
    fn too_deep(&self, depth: usize, object: &Bound<'py, PyAny>) -> Outcome {
        if depth < DEPTH {
            return Err(Fault::short_of_stack(type_name(object)));
        }
        let what = format!("more than {DEPTH} containers inside each other");
        let hint = "flatten it, or look for one that contains itself";
        Err(Fault::refused(what, type_name(object), hint))
    }

    /// Between two items, before the first one and behind the last one, where lines are broken.
    #[inline(always)]
    fn line(&mut self, depth: usize) {
        if !PLAIN && let Some(indent) = &self.options.indent {
            self.out.put(b"\n");
            for _ in 0..depth {
                self.out.put(indent.as_bytes());
            }
        }
    }

    /// Before an item, in a line of its own where lines are broken: room for it.
    ///
    /// # Safety
    /// `at` is as [`Out::set`] wants it.
    #[inline(always)]
    unsafe fn before(&mut self, at: *mut u8, depth: usize) -> *mut u8 {
        // SAFETY: by the caller's word.
        unsafe {
            if PLAIN {
                return self.out.room(at, 0);
            }
            self.out.set(at);
            self.line(depth);
            self.out.room(self.out.at(), 0)
        }
    }

    /// The comma behind an item: that behind the last one gives way to the mark of the end.
    ///
    /// # Safety
    /// A byte can be written at `at`.
    #[inline(always)]
    unsafe fn comma(&self, at: *mut u8) -> *mut u8 {
        // SAFETY: by the caller's word.
        unsafe {
            at.write(b',');
            at.add(1)
        }
    }

    /// The end of a container, and room behind it.
    ///
    /// # Safety
    /// `at` is as [`Out::set`] wants it; before it stands the comma of the last item, if there is one, of which
    /// `self.out` has not been told; and a byte is reserved there.
    #[inline(always)]
    unsafe fn end(&mut self, at: *mut u8, mark: u8, is_empty: bool, depth: usize) -> *mut u8 {
        // SAFETY: by the caller's word.
        unsafe {
            let mut at = at.sub(usize::from(!is_empty));
            if !PLAIN && !is_empty {
                self.out.set(at);
                self.line(depth);
                at = self.out.room(self.out.at(), 0);
            }
            at.write(mark);
            self.out.room(at.add(1), 0)
        }
    }

    /// Spaces behind a colon.
    #[inline(always)]
    fn spaces(&self) -> usize {
        usize::from(!PLAIN && self.options.indent.is_some())
    }

    /// Items that are there: `places` tells where the first one stands and how many there are, and is asked again and
    /// again, since code of others may change both.
    ///
    /// # Safety
    /// As for [`quick`](Self::quick). What `places` tells of are objects that are alive until code of others runs, or null.
    #[inline(always)]
    unsafe fn items(
        &mut self,
        mut at: *mut u8,
        depth: usize,
        places: impl Fn() -> (*const *mut ffi::PyObject, usize),
    ) -> Place {
        // SAFETY: each gets the place that the one before gave, behind which there is room for a mark, and `before`
        // makes more. `larger` gets a reference of its own.
        unsafe {
            at.write(b'[');
            at = at.add(1);
            let mut index = 0;
            // An empty list has no place.
            if PLAIN && let (first, len @ 1..) = places() {
                let objects = std::slice::from_raw_parts(first, len);
                (at, index) = self.truth_values(at, objects);
            }
            while index < places().1 {
                let item = Borrowed::from_ptr(self.py, *places().0.add(index));
                at = self.before(at, depth + 1);
                at = match self.quick(at, item) {
                    Some(at) => at.as_ptr(),
                    None => self
                        .larger(at, &item.to_owned(), depth + 1)
                        .map_err(|fault| fault.within(Segment::Index(index)))?,
                };
                at = self.comma(at);
                index += 1;
            }
            Ok(self.end(at, b']', index == 0, depth))
        }
    }

    /// # Safety
    /// A list; else as for [`quick`](Self::quick).
    unsafe fn list(&mut self, at: *mut u8, list: &Bound<'py, PyAny>, depth: usize) -> Place {
        self.enter(depth, list)?;
        with_critical_section(list, || {
            // SAFETY: a list, which the caller holds, and its items as they are now.
            let places = || unsafe {
                let list = list.as_ptr().cast::<ffi::PyListObject>();
                ((*list).ob_item.cast_const(), (*list).ob_base.ob_size as usize)
            };
            // SAFETY: by the caller's word.
            unsafe { self.items(at, depth, places) }
        })
    }

    /// # Safety
    /// A tuple; else as for [`quick`](Self::quick).
    unsafe fn tuple(&mut self, at: *mut u8, tuple: &Bound<'py, PyAny>, depth: usize) -> Place {
        self.enter(depth, tuple)?;
        // SAFETY: a tuple, which the caller holds, and which has and holds its items.
        let places = || unsafe {
            let tuple = tuple.as_ptr().cast::<ffi::PyTupleObject>();
            ((&raw const (*tuple).ob_item).cast(), (*tuple).ob_base.ob_size as usize)
        };
        // SAFETY: by the caller's word.
        unsafe { self.items(at, depth, places) }
    }

    /// The comma before an item that is not the first one.
    #[inline(always)]
    fn separate(&mut self, is_first: bool, depth: usize) {
        self.out.put(&b","[usize::from(is_first)..]);
        self.line(depth + 1);
    }

    #[inline(always)]
    fn close(&mut self, mark: &[u8; 1], is_empty: bool, depth: usize) {
        if !is_empty {
            self.line(depth);
        }
        self.out.put(mark);
    }

    /// # Safety
    /// A dict; else as for [`quick`](Self::quick).
    unsafe fn dict(&mut self, mut at: *mut u8, dict: &Bound<'py, PyAny>, depth: usize) -> Place {
        self.enter(depth, dict)?;
        if !PLAIN && self.options.sort_keys {
            // SAFETY: by the caller's word.
            unsafe { self.out.set(at) };
            self.sorted(dict, depth)?;
            // SAFETY: the place is that of `self.out`.
            return Ok(unsafe { self.out.room(self.out.at(), 0) });
        }
        with_critical_section(dict, || {
            // SAFETY: a dict, which the caller holds.
            let len = || unsafe { (*dict.as_ptr().cast::<ffi::PyDictObject>()).ma_used } as usize;
            let announced = len();
            let mut count = 0;
            // SAFETY: each gets the place that the one before gave, behind which there is room for a mark. A pair is
            // alive until code of others runs, before which references are taken, and after which the walk is told.
            unsafe {
                at.write(b'{');
                at = at.add(1);
                let mut pairs = Pairs::of(dict.as_ptr());
                while let Some((key, value)) = pairs.next() {
                    let key = Borrowed::from_ptr(self.py, key);
                    let value = Borrowed::from_ptr(self.py, value);
                    if !PLAIN {
                        at = self.before(at, depth + 1);
                    }
                    let behind = match Exact::of(key) {
                        Exact::Str => self.quick_text(at, key, *b"\":"),
                        _ => None,
                    };
                    at = match behind {
                        Some(behind) => {
                            let mut behind = behind.as_ptr().add(1);
                            if !PLAIN {
                                behind.write(b' ');
                                behind = behind.add(self.spaces());
                            }
                            if let Some(behind) = self.quick(behind, value) {
                                at = self.comma(behind.as_ptr());
                                count += 1;
                                continue;
                            }
                            let key = key.to_owned();
                            self.larger(behind, &value.to_owned(), depth + 1)
                                .map_err(|fault| fault.under(&key))?
                        }
                        None => self.pair(at, &key.to_owned(), &value.to_owned(), count, depth)?,
                    };
                    if len() != announced {
                        break;
                    }
                    pairs.look_again();
                    at = self.comma(at);
                    count += 1;
                }
                if count != announced || len() != announced {
                    let what = "a dict changed while it was written".to_owned();
                    return Err(Fault::refused(what, type_name(dict), "write a copy of it"));
                }
                Ok(self.end(at, b'}', count == 0, depth))
            }
        })
    }

    /// A pair whose key is no exact str, or not of ASCII only, or for which there is no room.
    ///
    /// # Safety
    /// `at` is as [`Out::set`] wants it.
    #[inline(never)]
    unsafe fn pair(
        &mut self,
        at: *mut u8,
        key: &Bound<'py, PyAny>,
        value: &Bound<'py, PyAny>,
        count: usize,
        depth: usize,
    ) -> Place {
        // SAFETY: by the caller's word.
        unsafe { self.out.set(at) };
        match Exact::of(key.as_borrowed()) {
            Exact::Str => self.text(key.as_borrowed()),
            _ => self.other_key(key),
        }
        .map_err(|fault| fault.within(Segment::KeyOf(count)))?;
        self.value_of(key, value, depth)?;
        // SAFETY: the place is that of `self.out`.
        Ok(unsafe { self.out.room(self.out.at(), 0) })
    }

    fn value_of(
        &mut self,
        key: &Bound<'py, PyAny>,
        value: &Bound<'py, PyAny>,
        depth: usize,
    ) -> Outcome {
        self.out.put(&b": "[..1 + self.spaces()]);
        self.write(value.as_borrowed(), depth + 1).map_err(|fault| fault.under(key))
    }

    #[cold]
    fn sorted(&mut self, dict: &Bound<'py, PyAny>, depth: usize) -> Outcome {
        let dict = dict.cast::<PyDict>().map_err(PyErr::from)?;
        let pairs: Vec<_> = dict.iter().collect();
        let mut named = Vec::with_capacity(pairs.len());
        for (index, (key, value)) in pairs.iter().enumerate() {
            let borrowed = key.as_borrowed();
            let name = match Exact::of(borrowed) {
                // Where it is no text, there is no order: it is refused, or goes last.
                Exact::Str => unicode(self.options, &borrowed).map(ToOwned::to_owned),
                _ => key_text(self.options, key),
            };
            match name {
                Ok(name) => named.push((Some(name), key, value)),
                Err(_) if self.options.keep_surrogates && key.is_instance_of::<PyString>() => {
                    named.push((None, key, value));
                }
                Err(fault) => return Err(fault.within(Segment::KeyOf(index))),
            }
        }
        // UTF-8 has the order of the code points.
        named.sort_by(|(a, ..), (b, ..)| (a.is_none(), a).cmp(&(b.is_none(), b)));
        self.out.put(b"{");
        for (index, (name, key, value)) in named.iter().enumerate() {
            self.separate(index == 0, depth);
            match name {
                Some(name) => self.quoted(name),
                None => self.text(key.as_borrowed())?,
            }
            self.value_of(key, value, depth)?;
        }
        self.close(b"}", named.is_empty(), depth);
        Ok(())
    }

    #[cold]
    fn other_key(&mut self, key: &Bound<'py, PyAny>) -> Outcome {
        if key.is_instance_of::<PyString>() && !is_member(key)? {
            return self.text(key.as_borrowed());
        }
        let name = key_text(self.options, key)?;
        self.quoted(&name);
        Ok(())
    }

    /// All that is not of an exact basic type.
    #[cold]
    #[inline(never)]
    fn other(&mut self, object: &Bound<'py, PyAny>, depth: usize) -> Outcome {
        let py = self.py;
        if let Ok(raw) = object.cast_exact::<Raw>() {
            self.out.put(raw.get().bytes(py));
            return Ok(());
        }
        if let Some(registered) = registry::of(object)? {
            self.enter(depth, object)?;
            return self.write(registered.fields.bind(py).as_borrowed(), depth + 1);
        }
        let types = Types::get(py)?;
        if is_member(object)? {
            self.enter(depth, object)?;
            let value = object.getattr(intern!(py, "value"))?;
            return self.write(value.as_borrowed(), depth + 1);
        }
        if let Some(fields) = registry::dataclass_fields(object)? {
            return self.write(fields.as_borrowed(), depth);
        }
        if object.is_exact_instance(types.object.bind(py)) {
            self.enter(depth, object)?;
            let fields = object.getattr(intern!(py, "fields"))?;
            return self.write(fields.as_borrowed(), depth + 1);
        }
        if numpy::write(self, object, depth)? || self.derived(object, depth)? {
            return Ok(());
        }
        if object.is_instance(types.decimal.bind(py))? {
            let text = own_text(object.as_borrowed(), types.decimal.bind(py))?;
            return self.decimal(&text.to_string());
        }
        match standard_text(object, types) {
            Ok(Some(text)) => self.quoted(&text),
            Ok(None) => self.by_default(object, depth)?,
            // What text would lose a part of is the caller's.
            Err(fault) if fault.is_refusal() && self.has_default() => {
                self.by_default(object, depth)?;
            }
            Err(fault) => return Err(fault),
        }
        Ok(())
    }

    /// What derives from a basic type is written as one.
    fn derived(&mut self, object: &Bound<'py, PyAny>, depth: usize) -> Result<bool, Box<Fault>> {
        if object.is_instance_of::<PyString>() {
            self.text(object.as_borrowed())?;
        } else if object.is_instance_of::<PyInt>() {
            self.int(object.as_borrowed())?;
        } else if let Ok(float) = object.cast::<PyFloat>() {
            self.float(float.value())?;
        } else if object.is_instance_of::<PyDict>() {
            // Its own methods may give other items than the dict below has.
            let items = object.call_method0(intern!(self.py, "items"))?;
            self.write(PyDict::from_sequence(&items)?.as_any().as_borrowed(), depth)?;
        } else if object.is_instance_of::<PyList>() {
            let items: Vec<_> = object.try_iter()?.collect::<PyResult<_>>()?;
            self.write(PyList::new(self.py, items)?.as_any().as_borrowed(), depth)?;
        } else if object.is_instance_of::<PyTuple>() {
            // SAFETY: a tuple, which the caller holds; it gives the place behind what it writes.
            unsafe { self.placed(|writer, at| writer.tuple(at, object, depth))? };
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    fn decimal(&mut self, text: &str) -> Outcome {
        if self.options.decimals_as_text {
            self.quoted(text);
        } else if text.ends_with(|last: char| last.is_ascii_digit()) && !text.contains('N') {
            self.out.put(text.as_bytes());
        } else if text.ends_with("Infinity") {
            self.not_finite(if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY })?;
        } else {
            self.not_finite(f64::NAN)?;
        }
        Ok(())
    }

    /// What the caller's function makes of it, if there is one.
    pub(super) fn by_default(&mut self, object: &Bound<'py, PyAny>, depth: usize) -> Outcome {
        let Some(default) = &self.options.default else {
            return Err(unsupported(self.options, object));
        };
        if self.defaults >= DEFAULTS {
            let what = format!("default= gives what it is asked for again, {DEFAULTS} times");
            let hint = "let it give what has a form in JSON";
            return Err(Fault::refused(what, type_name(object), hint));
        }
        self.defaults += 1;
        let made = default.call1((object,))?;
        self.write(made.as_borrowed(), depth + 1)?;
        self.defaults -= 1;
        Ok(())
    }
}

/// Whether it is an enumeration's member, which is written as its value.
fn is_member(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    object.is_instance(Types::get(object.py())?.enumeration.bind(object.py()))
}

/// A key that is no str, as text.
pub(super) fn key_text(
    options: &Options<'_>,
    key: &Bound<'_, PyAny>,
) -> Result<String, Box<Fault>> {
    let py = key.py();
    let types = Types::get(py)?;
    let (mut key, mut members) = (key.clone(), 0);
    while is_member(&key)? {
        // A class may say that a member's value is a member, without end.
        if members == DEPTH {
            let what = format!("more than {DEPTH} members of enumerations inside each other");
            return Err(Fault::refused(what, type_name(&key), "make the key a str"));
        }
        (key, members) = (key.getattr(intern!(py, "value"))?, members + 1);
    }
    let key = &key;
    if key.is_instance_of::<PyString>() {
        return Ok(unicode(options, &key.as_borrowed())?.to_owned());
    }
    if options.convert_keys {
        if let Ok(truth) = key.cast::<PyBool>() {
            return Ok(truth.is_true().to_string());
        }
        if key.is_none() {
            return Ok("null".into());
        }
        if key.is_instance_of::<PyInt>() {
            return big_int(key);
        }
        if let Ok(float) = key.cast::<PyFloat>() {
            let x = float.value();
            return match x.is_finite() {
                true => Ok(float::text(x)),
                false => not_finite(options, x).map(Into::into),
            };
        }
        if key.is_instance(types.decimal.bind(py))? {
            return Ok(own_text(key.as_borrowed(), types.decimal.bind(py))?.to_string());
        }
        if let Some(text) = standard_text(key, types)? {
            return Ok(text);
        }
        if let Some(number) = numpy::number(key)? {
            return key_text(options, &number);
        }
    }
    let kind = type_name(key);
    let what = format!("a key of type {kind} is no text");
    let hint = match options.convert_keys {
        false if !options.are_offered => "make it a str",
        true => "make keys of str, int, float, bool, None, Decimal, UUID or dates",
        false => "make it a str, or give keys=\"convert\"",
    };
    Err(Fault::refused(what, kind, hint))
}

/// UUIDs, dates and times, as RFC 9562 and RFC 3339 write them; naive ones without offset.
fn standard_text(object: &Bound<'_, PyAny>, types: &Types) -> Result<Option<String>, Box<Fault>> {
    if object.is_instance(types.uuid.bind(object.py()))? {
        let class = types.uuid.bind(object.py());
        return Ok(Some(own_text(object.as_borrowed(), class)?.to_string()));
    }
    if object.is_instance_of::<PyDateTime>()
        || object.is_instance_of::<PyDate>()
        || object.is_instance_of::<PyTime>()
    {
        return temporal::rfc3339(object).map(Some);
    }
    Ok(None)
}

/// All digits of an int, also beyond those that Python writes unasked.
fn big_int(object: &Bound<'_, PyAny>) -> Result<String, Box<Fault>> {
    let py = object.py();
    let bits: usize = object.call_method0(intern!(py, "bit_length"))?.extract()?;
    // Where the type below int has methods of its own, they are not asked.
    let plain = py.get_type::<PyInt>().call_method1(intern!(py, "__index__"), (object,))?;
    // The limit is of 640 digits at least, and a decimal has none.
    let text = if bits < 2048 {
        plain.str()?
    } else {
        Types::get(py)?.decimal.bind(py).call1((plain,))?.str()?
    };
    Ok(text.to_string())
}

fn not_finite(options: &Options<'_>, x: f64) -> Result<&'static str, Box<Fault>> {
    match options.nan {
        NotFinite::Null => Ok("null"),
        NotFinite::Constants => Ok(match x {
            f64::INFINITY => "Infinity",
            f64::NEG_INFINITY => "-Infinity",
            _ => "NaN",
        }),
        NotFinite::Error => {
            let what = format!("{} is no number in JSON", if x.is_nan() { "nan" } else { "inf" });
            let hint = match options.are_offered {
                true => {
                    "give nan=\"null\", or nan=\"constants\" for NaN and Infinity, which are no JSON"
                }
                false => "put None where there is no number",
            };
            Err(Fault::refused(what, "float".into(), hint))
        }
    }
}

/// The UTF-8 of a str.
fn unicode<'a>(
    options: &Options<'_>,
    object: &'a Borrowed<'_, '_, PyAny>,
) -> Result<&'a str, Box<Fault>> {
    text(object).map_err(|fault| no_unicode(options, fault))
}

/// What is said of a lone surrogate.
#[cold]
fn no_unicode(options: &Options<'_>, fault: Box<Fault>) -> Box<Fault> {
    fault.hinting(match options.are_offered {
        true => "give surrogates=\"keep\" to write it as an escape",
        false => "write the other half as well",
    })
}

/// What is said of a class that is given where an object of it is meant.
#[cold]
pub(crate) fn class_itself(
    object: &Bound<'_, PyAny>,
    form: &str,
    hint: &str,
) -> Option<Box<Fault>> {
    let name = object.cast::<PyType>().ok()?.qualname().ok()?;
    let what = format!("the class {name} itself has no {form}");
    Some(Fault::refused(what, type_name(object), hint))
}

#[cold]
pub(super) fn unsupported(options: &Options<'_>, object: &Bound<'_, PyAny>) -> Box<Fault> {
    let kind = type_name(object);
    let instead = match options.are_offered {
        true => "give an object of it, or default=, a function that makes something else of it",
        false => "give an object of it",
    };
    if let Some(fault) = class_itself(object, "form in JSON", instead) {
        return fault;
    }
    let hint = match kind.as_str() {
        "bytes" | "bytearray" | "memoryview" if !options.are_offered => {
            "send slipring.json.Raw(data) if it is JSON, or make it text: base64.b64encode(data).decode()"
        }
        _ if !options.are_offered => "make it a dict, a list, a str or a number",
        "bytes" | "bytearray" | "memoryview" => {
            "give default=, such as lambda data: base64.b64encode(data).decode()"
        }
        "set" | "frozenset" => "give default=sorted, or default=list for any order",
        _ => "give default=, a function that makes something else of it",
    };
    Fault::refused(format!("an object of type {kind} has no form in JSON"), kind, hint)
}
