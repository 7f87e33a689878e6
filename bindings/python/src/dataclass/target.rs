//! What a dump becomes: plain objects, or JSON; the third is CBOR (`cbor.rs`).

use super::class::{self, Class, Field, Object};
use super::dump;
use super::fail::{self, Fail, Outcome};
use super::leaf::Short;
use crate::json::{self, JsonWriter, Lend};
use crate::value::decode::_PyDict_NewPresized;
use crate::value::encode::small_int;
use crate::value::fault::{Fault, type_name};
use crate::value::pairs;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use pyo3::{ffi, intern};
use std::cell::Cell;
use std::ptr::NonNull;

type Any<'a, 'py> = Borrowed<'a, 'py, PyAny>;

pub(super) trait Target<'py>: Sized {
    /// What a part becomes.
    type Value;
    type Seq;
    type Map;
    type Record;
    const IS_TEXT: bool;
    /// Containers that may stand inside each other.
    const DEPTH: usize = super::DEPTH;
    /// All fields are written, those that are None or missing included.
    const IS_WHOLE: bool = false;
    /// How many items a container has must be known before the first, and no key may be there twice.
    const COUNTS: bool = false;

    /// None, bool, int, a finite float or a str, of these very types.
    fn scalar(&mut self, object: Any<'_, 'py>) -> Outcome<Self::Value>;
    fn text(&mut self, object: Any<'_, 'py>) -> Outcome<Self::Value> {
        self.scalar(object)
    }
    fn int(&mut self, object: Any<'_, 'py>) -> Outcome<Self::Value> {
        self.scalar(object)
    }
    fn float(&mut self, object: Any<'_, 'py>, _x: f64) -> Outcome<Self::Value> {
        self.scalar(object)
    }
    /// A str and its text, which is ASCII and needs no escapes.
    fn plain_text(&mut self, object: Any<'_, 'py>, text: &[u8]) -> Outcome<Self::Value>;
    /// A text of ASCII that needs no escapes.
    fn ascii(&mut self, text: &[u8]) -> Outcome<Self::Value>;
    fn short(&mut self, text: &Short) -> Outcome<Self::Value> {
        self.ascii(text.as_bytes())
    }
    /// An object as it is, where that was asked for.
    fn keep(&mut self, object: Any<'_, 'py>) -> Outcome<Self::Value>;
    /// A Decimal as it is, and what `str` makes of it.
    fn keep_decimal(&mut self, object: Any<'_, 'py>, _text: &[u8]) -> Outcome<Self::Value> {
        self.keep(object)
    }
    /// An array of NumPy's.
    fn array(&mut self, object: Any<'_, 'py>, depth: usize) -> Outcome<Self::Value>;
    /// A plain object that was made meanwhile.
    fn structure(&mut self, object: Bound<'py, PyAny>, depth: usize) -> Outcome<Self::Value>;
    /// Whether objects that dumps know nothing of are left to [`foreign`](Self::foreign), members and arrays included.
    fn keeps(&self) -> bool {
        false
    }
    /// One of a type that dumps know nothing of.
    fn foreign(&mut self, object: Any<'_, 'py>, depth: usize) -> Outcome<Self::Value>;

    /// What parts become that are made before they are written.
    fn objects(&self, py: Python<'py>) -> Objects<'py> {
        Objects::new(py)
    }

    fn seq(&mut self, len: usize) -> Self::Seq;
    /// Before each item.
    fn item(&mut self, seq: &mut Self::Seq);
    fn add(&mut self, seq: &mut Self::Seq, value: Self::Value);
    fn end(&mut self, seq: Self::Seq) -> Outcome<Self::Value>;

    fn map(&mut self, len: usize) -> Outcome<Self::Map>;
    /// The fields of a class, so many of them.
    fn record(&mut self, class: &Class, len: usize) -> Outcome<Self::Record>;
    /// Before the value of a field.
    fn field(&mut self, record: &mut Self::Record, field: &Field);
    /// A field of a dict that has it not.
    fn absent(&mut self, _record: &mut Self::Record, _field: &Field) {}
    fn put_field(
        &mut self,
        record: &mut Self::Record,
        field: &Field,
        value: Self::Value,
    ) -> Outcome<()>;
    fn end_record(&mut self, record: Self::Record) -> Outcome<Self::Value>;
    /// Before the value of a key.
    fn key(&mut self, map: &mut Self::Map, key: Any<'_, 'py>) -> Outcome<()>;
    fn put(&mut self, map: &mut Self::Map, key: Any<'_, 'py>, value: Self::Value) -> Outcome<()>;
    fn end_map(&mut self, map: Self::Map) -> Outcome<Self::Value>;
}

/// Dicts, lists, str and numbers. Items wait for their list on one stack; where one is not valid they are left there, and
/// no list around them is made.
pub(super) struct Objects<'py> {
    py: Python<'py>,
    stack: Vec<Object>,
    /// Objects of other types stay what they are: who writes them knows more.
    keeps: bool,
    /// Lists are tuples, which may be keys.
    pub(super) are_keys: bool,
}

thread_local! {
    /// The memory of a stack that is not in use.
    static SPARE: Cell<Vec<Object>> = const { Cell::new(Vec::new()) };
}

/// Places of a stack that are kept.
const KEPT: usize = 1 << 14;

impl<'py> Objects<'py> {
    pub(super) fn new(py: Python<'py>) -> Self {
        Self { py, stack: SPARE.take(), keeps: false, are_keys: false }
    }

    pub(super) fn keeping(py: Python<'py>) -> Self {
        Self { py, stack: SPARE.take(), keeps: true, are_keys: false }
    }

    #[cold]
    fn tuple(&mut self, base: usize) -> Outcome<Owned<'py>> {
        let py = self.py;
        let items: Vec<_> = self.stack.drain(base..).map(|item| class::owned(py, item)).collect();
        Ok(PyTuple::new(py, items)?.into_any())
    }

    #[inline(always)]
    fn made(&self, object: *mut ffi::PyObject) -> Outcome<Object> {
        NonNull::new(object).ok_or_else(|| fail::raised(self.py))
    }
}

impl Drop for Objects<'_> {
    fn drop(&mut self) {
        while let Some(item) = self.stack.pop() {
            // SAFETY: each place holds a reference of its own; who dumps is attached.
            unsafe { ffi::Py_DECREF(item.as_ptr()) };
        }
        if self.stack.capacity() <= KEPT {
            // At a thread's end there is nowhere to keep it.
            let _ = SPARE.try_with(|spare| spare.set(std::mem::take(&mut self.stack)));
        }
    }
}

/// A dict of a class's fields; `places` are those of its values, if it has one for each already.
pub(super) struct Record<'py> {
    dict: Bound<'py, PyAny>,
    places: *mut pairs::Entry,
}

impl<'py> Target<'py> for Objects<'py> {
    type Value = Owned<'py>;
    /// Where its items begin.
    type Seq = usize;
    type Map = Bound<'py, PyAny>;
    type Record = Record<'py>;
    const IS_TEXT: bool = false;

    #[inline(always)]
    fn scalar(&mut self, object: Any<'_, 'py>) -> Outcome<Owned<'py>> {
        Ok(object.to_owned())
    }

    #[inline(always)]
    fn ascii(&mut self, text: &[u8]) -> Outcome<Owned<'py>> {
        let made = self.made(json::make_ascii(text))?;
        Ok(class::owned(self.py, made))
    }

    #[inline(always)]
    fn plain_text(&mut self, object: Any<'_, 'py>, _text: &[u8]) -> Outcome<Owned<'py>> {
        Ok(object.to_owned())
    }

    fn keep(&mut self, object: Any<'_, 'py>) -> Outcome<Owned<'py>> {
        Ok(object.to_owned())
    }

    fn array(&mut self, object: Any<'_, 'py>, _depth: usize) -> Outcome<Owned<'py>> {
        Ok(if self.keeps {
            object.to_owned()
        } else {
            object.call_method0(intern!(self.py, "tolist"))?
        })
    }

    fn structure(&mut self, object: Bound<'py, PyAny>, _depth: usize) -> Outcome<Owned<'py>> {
        Ok(object)
    }

    fn keeps(&self) -> bool {
        self.keeps
    }

    #[cold]
    fn foreign(&mut self, object: Any<'_, 'py>, _depth: usize) -> Outcome<Owned<'py>> {
        if self.keeps {
            return Ok(object.to_owned());
        }
        if let Some(fault) =
            crate::json::class_itself(&object, "plain form", "give an object of it")
        {
            return Err(fault.into());
        }
        let kind = type_name(&object);
        let what = format!("an object of type {kind} has no plain form");
        let hint = "make it a dataclass, or a dict, a list, a str or a number";
        Err(Fault::refused(what, kind, hint).into())
    }

    fn objects(&self, py: Python<'py>) -> Objects<'py> {
        if self.keeps { Objects::keeping(py) } else { Objects::new(py) }
    }

    #[inline(always)]
    fn seq(&mut self, _len: usize) -> usize {
        self.stack.len()
    }

    #[inline(always)]
    fn item(&mut self, _seq: &mut usize) {}

    #[inline(always)]
    fn add(&mut self, _seq: &mut usize, value: Owned<'py>) {
        // SAFETY: a reference is never null.
        self.stack.push(unsafe { NonNull::new_unchecked(value.into_ptr()) });
    }

    #[inline(always)]
    fn end(&mut self, base: usize) -> Outcome<Owned<'py>> {
        if self.are_keys {
            return self.tuple(base);
        }
        // SAFETY: a new list of so many empty places, or null; each takes a reference over.
        unsafe {
            let list = self.made(ffi::PyList_New((self.stack.len() - base) as _))?;
            for (index, item) in self.stack.drain(base..).enumerate() {
                ffi::PyList_SET_ITEM(list.as_ptr(), index as _, item.as_ptr());
            }
            Ok(class::owned(self.py, list))
        }
    }

    #[inline(always)]
    fn map(&mut self, len: usize) -> Outcome<Bound<'py, PyAny>> {
        // SAFETY: gives a new reference or null.
        let dict = self.made(unsafe { _PyDict_NewPresized(len as _) })?;
        Ok(class::owned(self.py, dict))
    }

    #[inline(always)]
    fn record(&mut self, class: &Class, len: usize) -> Outcome<Record<'py>> {
        match class.template(self.py)? {
            Some((dict, places)) => Ok(Record { dict, places }),
            None => Ok(Record { dict: self.map(len)?, places: std::ptr::null_mut() }),
        }
    }

    #[inline(always)]
    fn field(&mut self, _record: &mut Record<'py>, _field: &Field) {}

    #[inline(always)]
    fn put_field(
        &mut self,
        record: &mut Record<'py>,
        field: &Field,
        value: Owned<'py>,
    ) -> Outcome<()> {
        if record.places.is_null() {
            return self.put(&mut record.dict, field.key.bind(self.py), value);
        }
        // SAFETY: a dict that nobody else has seen, with a place for each field that is stored, which takes the reference
        // over; there stands None, which lives for ever.
        unsafe {
            let place = record.places.add(field.position);
            let none = std::mem::replace(&mut (*place).value, value.into_ptr());
            ffi::Py_DECREF(none);
        }
        Ok(())
    }

    #[inline(always)]
    fn end_record(&mut self, record: Record<'py>) -> Outcome<Owned<'py>> {
        if !record.places.is_null() {
            // Its values were not seen to come.
            // SAFETY: a dict that is alive and whole.
            unsafe {
                if ffi::PyObject_GC_IsTracked(record.dict.as_ptr()) == 0 {
                    ffi::PyObject_GC_Track(record.dict.as_ptr().cast());
                }
            }
        }
        Ok(record.dict)
    }

    #[inline(always)]
    fn key(&mut self, _map: &mut Bound<'py, PyAny>, _key: Any<'_, 'py>) -> Outcome<()> {
        Ok(())
    }

    #[inline(always)]
    fn put(
        &mut self,
        map: &mut Bound<'py, PyAny>,
        key: Any<'_, 'py>,
        value: Owned<'py>,
    ) -> Outcome<()> {
        // SAFETY: a dict that is ours, and two objects, of which it takes references of its own.
        match unsafe { ffi::PyDict_SetItem(map.as_ptr(), key.as_ptr(), value.as_ptr()) } {
            0 => Ok(()),
            _ => Err(unhashable(key)),
        }
    }

    #[inline(always)]
    fn end_map(&mut self, map: Bound<'py, PyAny>) -> Outcome<Owned<'py>> {
        Ok(map)
    }
}

/// Why a dict did not take a key, which is what the object's key was dumped as.
#[cold]
fn unhashable(key: Any<'_, '_>) -> Box<Fail> {
    let raised = PyErr::fetch(key.py());
    if !raised.is_instance_of::<PyTypeError>(key.py()) {
        return raised.into();
    }
    let kind = type_name(&key);
    let what = format!("a key becomes a {kind}, which can be no key");
    let hint = "make it a type that is dumped as text or a number, or send the object with send";
    Fault::refused(what, kind, hint).into()
}

type Owned<'py> = Bound<'py, PyAny>;

/// UTF-8 bytes of JSON.
pub(super) struct Json<'py, 'o, S: Lend> {
    pub(super) writer: JsonWriter<'py, 'o, S>,
}

/// Whether something was put into a container.
pub(super) struct Begun(bool);

impl<'py, S: Lend> Target<'py> for Json<'py, '_, S> {
    type Value = ();
    type Seq = Begun;
    type Map = Begun;
    type Record = Begun;
    const IS_TEXT: bool = true;

    #[inline(always)]
    fn scalar(&mut self, object: Any<'_, 'py>) -> Outcome<()> {
        Ok(self.writer.write(object, 0)?)
    }

    #[inline(always)]
    fn text(&mut self, object: Any<'_, 'py>) -> Outcome<()> {
        Ok(self.writer.text(object)?)
    }

    #[inline(always)]
    fn int(&mut self, object: Any<'_, 'py>) -> Outcome<()> {
        match small_int(object) {
            Some(n) => Ok(self.writer.number(n)?),
            None => self.scalar(object),
        }
    }

    #[inline(always)]
    fn float(&mut self, _object: Any<'_, 'py>, x: f64) -> Outcome<()> {
        self.writer.finite(x);
        Ok(())
    }

    #[inline(always)]
    fn plain_text(&mut self, _object: Any<'_, 'py>, text: &[u8]) -> Outcome<()> {
        self.ascii(text)
    }

    #[inline(always)]
    fn ascii(&mut self, text: &[u8]) -> Outcome<()> {
        self.writer.plain_text(text);
        Ok(())
    }

    #[inline(always)]
    fn short(&mut self, text: &Short) -> Outcome<()> {
        self.writer.short_text(&text.bytes, text.len);
        Ok(())
    }

    fn keep(&mut self, object: Any<'_, 'py>) -> Outcome<()> {
        self.scalar(object)
    }

    fn array(&mut self, object: Any<'_, 'py>, depth: usize) -> Outcome<()> {
        Ok(self.writer.write(object, depth)?)
    }

    fn structure(&mut self, object: Bound<'py, PyAny>, depth: usize) -> Outcome<()> {
        Ok(self.writer.write(object.as_borrowed(), depth)?)
    }

    #[cold]
    fn foreign(&mut self, object: Any<'_, 'py>, depth: usize) -> Outcome<()> {
        Ok(self.writer.write(object, depth)?)
    }

    #[inline(always)]
    fn seq(&mut self, _len: usize) -> Begun {
        self.writer.out.put(b"[");
        Begun(false)
    }

    #[inline(always)]
    fn item(&mut self, seq: &mut Begun) {
        if std::mem::replace(&mut seq.0, true) {
            self.writer.out.put(b",");
        }
    }

    #[inline(always)]
    fn add(&mut self, _seq: &mut Begun, (): ()) {}

    #[inline(always)]
    fn end(&mut self, _seq: Begun) -> Outcome<()> {
        self.writer.out.put(b"]");
        Ok(())
    }

    #[inline(always)]
    fn map(&mut self, _len: usize) -> Outcome<Begun> {
        self.writer.out.put(b"{");
        Ok(Begun(false))
    }

    #[inline(always)]
    fn record(&mut self, _class: &Class, _len: usize) -> Outcome<Begun> {
        self.map(0)
    }

    #[inline(always)]
    fn end_record(&mut self, record: Begun) -> Outcome<()> {
        self.end_map(record)
    }

    #[inline(always)]
    fn field(&mut self, map: &mut Begun, field: &Field) {
        // Before the first one there is no comma.
        let begin = !std::mem::replace(&mut map.0, true);
        let len = field.json_key.len() - usize::from(begin);
        match &field.json_head {
            Some(head) => self.writer.head(head, begin, len),
            None => self.writer.out.put(&field.json_key[usize::from(begin)..]),
        }
    }

    #[inline(always)]
    fn put_field(&mut self, _map: &mut Begun, _field: &Field, (): ()) -> Outcome<()> {
        Ok(())
    }

    fn key(&mut self, map: &mut Begun, key: Any<'_, 'py>) -> Outcome<()> {
        if std::mem::replace(&mut map.0, true) {
            self.writer.out.put(b",");
        }
        match dump::key_text(key)? {
            None => self.writer.write(key, 0)?,
            Some(text) => self.writer.quoted(&text),
        }
        self.writer.out.put(b":");
        Ok(())
    }

    #[inline(always)]
    fn put(&mut self, _map: &mut Begun, _key: Any<'_, 'py>, (): ()) -> Outcome<()> {
        Ok(())
    }

    #[inline(always)]
    fn end_map(&mut self, _map: Begun) -> Outcome<()> {
        self.writer.out.put(b"}");
        Ok(())
    }
}
