//! What a dump becomes: plain objects, or JSON.

use super::class::{self, Field, Object};
use super::dump;
use super::fail::{self, Outcome};
use crate::json::{self, JsonWriter};
use crate::value::decode::_PyDict_NewPresized;
use crate::value::fault::Fault;
use pyo3::ffi;
use pyo3::prelude::*;
use std::ptr::NonNull;

type Any<'a, 'py> = Borrowed<'a, 'py, PyAny>;

pub(super) trait Target<'py>: Sized {
    /// What a part becomes.
    type Value;
    type Seq;
    type Map;
    const IS_TEXT: bool;

    /// None, bool, int, a finite float or a str, of these very types.
    fn scalar(&mut self, object: Any<'_, 'py>) -> Outcome<Self::Value>;
    /// A text of ASCII that needs no escapes.
    fn ascii(&mut self, text: &[u8]) -> Outcome<Self::Value>;
    /// An object as it is, where that was asked for.
    fn keep(&mut self, object: Any<'_, 'py>) -> Outcome<Self::Value>;
    /// A plain object that was made meanwhile.
    fn structure(&mut self, object: Bound<'py, PyAny>, depth: usize) -> Outcome<Self::Value>;
    /// One of a type that dumps know nothing of.
    fn foreign(&mut self, object: Any<'_, 'py>, depth: usize) -> Outcome<Self::Value>;

    fn seq(&mut self) -> Self::Seq;
    /// Before each item.
    fn item(&mut self, seq: &mut Self::Seq);
    fn add(&mut self, seq: &mut Self::Seq, value: Self::Value);
    fn end(&mut self, seq: Self::Seq) -> Outcome<Self::Value>;

    fn map(&mut self, len: usize) -> Outcome<Self::Map>;
    /// Before the value of a field.
    fn field(&mut self, map: &mut Self::Map, field: &Field);
    fn put_field(&mut self, map: &mut Self::Map, field: &Field, value: Self::Value) -> Outcome<()>;
    /// Before the value of a key.
    fn key(&mut self, map: &mut Self::Map, key: Any<'_, 'py>) -> Outcome<()>;
    fn put(&mut self, map: &mut Self::Map, key: Any<'_, 'py>, value: Self::Value) -> Outcome<()>;
    fn end_map(&mut self, map: Self::Map) -> Outcome<Self::Value>;
}

/// Dicts, lists, str and numbers. A value is a reference of its own.
pub(super) struct Objects<'py> {
    py: Python<'py>,
}

impl<'py> Objects<'py> {
    pub(super) fn new(py: Python<'py>) -> Self {
        Self { py }
    }

    #[inline(always)]
    fn made(&self, object: *mut ffi::PyObject) -> Outcome<Object> {
        NonNull::new(object).ok_or_else(|| fail::raised(self.py))
    }
}

/// References that wait for their list.
pub(super) struct Items(Vec<Object>);

impl Drop for Items {
    fn drop(&mut self) {
        for item in self.0.drain(..) {
            // SAFETY: each place holds a reference of its own; who dumps is attached.
            unsafe { ffi::Py_DECREF(item.as_ptr()) };
        }
    }
}

impl<'py> Target<'py> for Objects<'py> {
    type Value = Owned<'py>;
    type Seq = Items;
    type Map = Bound<'py, PyAny>;
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

    fn keep(&mut self, object: Any<'_, 'py>) -> Outcome<Owned<'py>> {
        Ok(object.to_owned())
    }

    fn structure(&mut self, object: Bound<'py, PyAny>, _depth: usize) -> Outcome<Owned<'py>> {
        Ok(object)
    }

    #[cold]
    fn foreign(&mut self, object: Any<'_, 'py>, _depth: usize) -> Outcome<Owned<'py>> {
        let kind = crate::value::fault::type_name(&object);
        let what = format!("an object of type {kind} has no plain form");
        let hint = "make it a dataclass, or a dict, a list, a str or a number";
        Err(Fault::refused(what, kind, hint).into())
    }

    #[inline(always)]
    fn seq(&mut self) -> Items {
        Items(Vec::new())
    }

    #[inline(always)]
    fn item(&mut self, _seq: &mut Items) {}

    #[inline(always)]
    fn add(&mut self, seq: &mut Items, value: Owned<'py>) {
        // SAFETY: a reference is never null.
        seq.0.push(unsafe { NonNull::new_unchecked(value.into_ptr()) });
    }

    #[inline(always)]
    fn end(&mut self, mut seq: Items) -> Outcome<Owned<'py>> {
        // SAFETY: a new list of so many empty places, or null; each takes a reference over.
        unsafe {
            let list = self.made(ffi::PyList_New(seq.0.len() as _))?;
            for (index, item) in seq.0.drain(..).enumerate() {
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
    fn field(&mut self, _map: &mut Bound<'py, PyAny>, _field: &Field) {}

    #[inline(always)]
    fn put_field(
        &mut self,
        map: &mut Bound<'py, PyAny>,
        field: &Field,
        value: Owned<'py>,
    ) -> Outcome<()> {
        self.put(map, field.key.bind(self.py), value)
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
            _ => Err(fail::raised(self.py)),
        }
    }

    #[inline(always)]
    fn end_map(&mut self, map: Bound<'py, PyAny>) -> Outcome<Owned<'py>> {
        Ok(map)
    }
}

type Owned<'py> = Bound<'py, PyAny>;

/// UTF-8 bytes of JSON.
pub(super) struct Json<'py, 'o> {
    pub(super) writer: JsonWriter<'py, 'o>,
}

/// Whether something was put into a container.
pub(super) struct Begun(bool);

impl<'py> Target<'py> for Json<'py, '_> {
    type Value = ();
    type Seq = Begun;
    type Map = Begun;
    const IS_TEXT: bool = true;

    #[inline(always)]
    fn scalar(&mut self, object: Any<'_, 'py>) -> Outcome<()> {
        Ok(self.writer.write(object, 0)?)
    }

    #[inline(always)]
    fn ascii(&mut self, text: &[u8]) -> Outcome<()> {
        self.writer.plain_text(text);
        Ok(())
    }

    fn keep(&mut self, object: Any<'_, 'py>) -> Outcome<()> {
        self.scalar(object)
    }

    fn structure(&mut self, object: Bound<'py, PyAny>, depth: usize) -> Outcome<()> {
        Ok(self.writer.write(object.as_borrowed(), depth)?)
    }

    #[cold]
    fn foreign(&mut self, object: Any<'_, 'py>, depth: usize) -> Outcome<()> {
        Ok(self.writer.write(object, depth)?)
    }

    #[inline(always)]
    fn seq(&mut self) -> Begun {
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
    fn field(&mut self, map: &mut Begun, field: &Field) {
        // Before the first one there is no comma.
        let begin = usize::from(!std::mem::replace(&mut map.0, true));
        self.writer.out.put(&field.json_key[begin..]);
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
