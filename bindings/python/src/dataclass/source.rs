//! What is loaded from: plain objects.
//!
//! The other sources are JSON's reader (`text.rs`) and CBOR's (`cbor.rs`). A source gives the kind of an item; then exactly one of the other
//! calls takes the item, or goes past it.

use super::class::{Class, Object};
use super::fail::{self, Outcome};
use super::plan::Node;
use super::sent::Sent;
use super::walk;
use crate::value::encode::{compact_ascii, text};
use crate::value::types::{Exact, Types};
use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyMapping, PyString, PyTuple};
use slipring_codec::error::Segment;
use std::ptr::NonNull;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    Bool,
    Int,
    Float,
    Str,
    List,
    Map,
    /// Of no basic type.
    Other,
}

/// What is gone through as a list.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Opens {
    Nothing,
    Tuple,
    /// Or a tuple.
    Set,
}

pub(super) trait Source<'py>: Sized {
    type Item: Copy;
    type List;
    type Map;
    /// What is of no basic type is made by the source, and looked at as an object.
    const MAKES: bool = false;

    fn kind(&mut self, item: Self::Item) -> Kind;
    /// The plain object that the item is.
    fn take(&mut self, item: Self::Item) -> Outcome<Object>;
    /// Goes past the item.
    fn pass(&mut self, item: Self::Item) -> Outcome<()>;
    /// The UTF-8 of a str.
    fn text<R>(&mut self, item: Self::Item, use_it: impl FnOnce(&[u8]) -> R) -> Outcome<R>;
    /// A number as it is written: an int or a Decimal, where it is no object yet.
    fn exact(&mut self, item: Self::Item) -> Outcome<Option<Object>>;
    /// Whether a whole number is written as a zero with a minus, which an int can't tell.
    fn is_minus_zero(&self, _item: Self::Item) -> bool {
        false
    }
    /// What a node is made of, where the source has a form of its own for it and the item is written so.
    fn leaf(&mut self, _node: &Node) -> Outcome<Option<Object>> {
        Ok(None)
    }
    /// The name of an object that was sent under one, which stays where it is.
    fn sent(&mut self, _item: Self::Item) -> Outcome<Option<Sent>> {
        Ok(None)
    }
    /// The fields of such an object, which are all that is left of it.
    fn fields_of(&mut self, item: Self::Item) -> Outcome<Self::Item> {
        Ok(item)
    }
    /// Goes to the list that a tuple or a set is under its tag, which is given, with the depth there.
    fn open_list(&mut self, _what: Opens, _depth: usize) -> Option<(u64, usize)> {
        None
    }
    /// Whether no code of others runs while items are made.
    fn is_quiet(&self) -> PyResult<bool> {
        Ok(true)
    }
    /// The object itself, where there is one.
    fn as_object(&self, item: Self::Item) -> Option<Borrowed<'_, 'py, PyAny>>;

    fn list(&mut self, item: Self::Item, depth: usize) -> Outcome<Self::List>;
    fn next_item(&mut self, list: &mut Self::List) -> Outcome<Option<Self::Item>>;
    fn map(&mut self, item: Self::Item, depth: usize) -> Outcome<Self::Map>;
    /// The next item of a map and the field that it is for, which `hint` may be; `None` for another key.
    fn next_field(
        &mut self,
        map: &mut Self::Map,
        class: &Class,
        hint: usize,
    ) -> Outcome<Option<(Option<usize>, Self::Item)>>;
    /// The next key and its item.
    fn next_pair(
        &mut self,
        map: &mut Self::Map,
    ) -> Outcome<Option<(Bound<'py, PyAny>, Self::Item)>>;
    /// The key of the item that `next_field` gave last.
    fn key_name(&mut self, map: &Self::Map) -> PyResult<Bound<'py, PyAny>>;
    /// The str under a key of a map, looked at before it is gone through; `None` where that is not to be had.
    fn tag_text<R>(
        &mut self,
        item: Self::Item,
        key: Borrowed<'_, 'py, PyAny>,
        key_text: &[u8],
        use_it: impl FnOnce(&[u8]) -> R,
    ) -> Outcome<Option<R>>;
    /// What went wrong went wrong in there.
    fn note(&mut self, segment: impl FnOnce() -> Segment);
}

/// Plain objects. An item is borrowed: from the caller, or from its container's walk, which holds it until the
/// next one.
pub(super) struct Plain<'py> {
    pub(super) py: Python<'py>,
}

impl<'py> Plain<'py> {
    #[inline(always)]
    fn bind<'a>(&self, item: Object) -> Borrowed<'a, 'py, PyAny> {
        // SAFETY: held, as the type says.
        unsafe { Borrowed::from_ptr(self.py, item.as_ptr()) }
    }
}

/// A list that is gone through, and the item at hand.
pub(super) struct ListWalk<'py> {
    list: Bound<'py, PyAny>,
    index: usize,
    item: Option<Bound<'py, PyAny>>,
}

/// A dict that is gone through, and the pair at hand.
pub(super) struct MapWalk<'py> {
    dict: Bound<'py, PyAny>,
    at: ffi::Py_ssize_t,
    left: usize,
    pair: Option<(Bound<'py, PyAny>, Bound<'py, PyAny>)>,
}

impl MapWalk<'_> {
    #[inline(always)]
    fn next(&mut self) -> Outcome<Option<Object>> {
        self.pair = walk::pair_of(&self.dict.as_borrowed(), &mut self.at);
        match &self.pair {
            Some((_, value)) if self.left > 0 => {
                self.left -= 1;
                // SAFETY: a reference is never null.
                Ok(Some(unsafe { NonNull::new_unchecked(value.as_ptr()) }))
            }
            None if self.left == 0 => Ok(None),
            _ => Err(changed()),
        }
    }
}

#[cold]
fn changed() -> Box<fail::Fail> {
    PyRuntimeError::new_err("a dict changed while it was loaded: load a copy of it").into()
}

impl<'py> Source<'py> for Plain<'py> {
    type Item = Object;
    type List = ListWalk<'py>;
    type Map = MapWalk<'py>;

    #[inline(always)]
    fn kind(&mut self, item: Object) -> Kind {
        match Exact::of(self.bind(item)) {
            Exact::Str => Kind::Str,
            Exact::Int => Kind::Int,
            Exact::Float => Kind::Float,
            Exact::Dict => Kind::Map,
            Exact::List => Kind::List,
            Exact::Bool => Kind::Bool,
            Exact::None => Kind::Null,
            _ => Kind::Other,
        }
    }

    #[inline(always)]
    fn take(&mut self, item: Object) -> Outcome<Object> {
        // SAFETY: an object that is alive.
        unsafe { ffi::Py_INCREF(item.as_ptr()) };
        Ok(item)
    }

    #[inline(always)]
    fn pass(&mut self, _item: Object) -> Outcome<()> {
        Ok(())
    }

    #[inline(always)]
    fn text<R>(&mut self, item: Object, use_it: impl FnOnce(&[u8]) -> R) -> Outcome<R> {
        let object = self.bind(item);
        match compact_ascii(&object) {
            Some(bytes) => Ok(use_it(bytes)),
            None => Ok(use_it(text(&object)?.as_bytes())),
        }
    }

    fn exact(&mut self, _item: Object) -> Outcome<Option<Object>> {
        Ok(None)
    }

    fn sent(&mut self, item: Object) -> Outcome<Option<Sent>> {
        let object = self.bind(item);
        if object.get_type_ptr().cast() != Types::get(self.py)?.object.as_ptr() {
            return Ok(None);
        }
        let parts = object.cast::<PyTuple>().map_err(PyErr::from)?;
        let (name, version) = (parts.get_item(0)?, parts.get_item(1)?);
        // Made by hand they may be anything.
        Ok(match (name.extract(), version.extract()) {
            (Ok(name), Ok(version)) => Some(Sent { name, version }),
            _ => None,
        })
    }

    fn fields_of(&mut self, item: Object) -> Outcome<Object> {
        let fields = self.bind(item).cast::<PyTuple>().map_err(PyErr::from)?.get_item(2)?;
        // SAFETY: a reference is never null; the tuple, which nobody changes, holds it.
        Ok(unsafe { NonNull::new_unchecked(fields.as_ptr()) })
    }

    fn as_object(&self, item: Object) -> Option<Borrowed<'_, 'py, PyAny>> {
        Some(self.bind(item))
    }

    #[inline(always)]
    fn list(&mut self, item: Object, _depth: usize) -> Outcome<ListWalk<'py>> {
        let list = self.bind(item);
        let list = match list.cast_exact::<PyList>() {
            Ok(_) => list.to_owned(),
            Err(_) => {
                PyList::new(self.py, list.try_iter()?.collect::<PyResult<Vec<_>>>()?)?.into_any()
            }
        };
        Ok(ListWalk { list, index: 0, item: None })
    }

    #[inline(always)]
    fn next_item(&mut self, walk: &mut ListWalk<'py>) -> Outcome<Option<Object>> {
        walk.item = walk::item_of(&walk.list.as_borrowed(), walk.index);
        walk.index += 1;
        // SAFETY: a reference is never null.
        Ok(walk.item.as_ref().map(|item| unsafe { NonNull::new_unchecked(item.as_ptr()) }))
    }

    #[inline(always)]
    fn map(&mut self, item: Object, _depth: usize) -> Outcome<MapWalk<'py>> {
        let dict = self.bind(item);
        let dict = match Exact::of(dict) {
            Exact::Dict => dict.to_owned(),
            _ => {
                let items = dict.cast::<PyMapping>().map_err(PyErr::from)?.items()?;
                PyDict::from_sequence(items.as_any())?.into_any()
            }
        };
        // SAFETY: a dict.
        let left = unsafe { ffi::PyDict_Size(dict.as_ptr()) } as usize;
        Ok(MapWalk { dict, at: 0, left, pair: None })
    }

    #[inline(always)]
    fn next_field(
        &mut self,
        map: &mut MapWalk<'py>,
        class: &Class,
        hint: usize,
    ) -> Outcome<Option<(Option<usize>, Object)>> {
        let Some(item) = map.next()? else { return Ok(None) };
        let Some((key, _)) = &map.pair else { return Ok(None) };
        if let Some(field) = class.fields.get(hint)
            && field.key.as_ptr() == key.as_ptr()
        {
            return Ok(Some((Some(hint), item)));
        }
        let key = key.as_borrowed();
        let found = match compact_ascii(&key) {
            Some(bytes) => class.find(bytes, hint),
            None if key.is_instance_of::<PyString>() => {
                // Half a pair of surrogates is no field's name.
                key.extract::<&str>().ok().and_then(|text| class.search(text.as_bytes()))
            }
            None => None,
        };
        Ok(Some((found, item)))
    }

    #[inline(always)]
    fn next_pair(
        &mut self,
        map: &mut MapWalk<'py>,
    ) -> Outcome<Option<(Bound<'py, PyAny>, Object)>> {
        let Some(item) = map.next()? else { return Ok(None) };
        Ok(map.pair.as_ref().map(|(key, _)| (key.clone(), item)))
    }

    fn key_name(&mut self, map: &MapWalk<'py>) -> PyResult<Bound<'py, PyAny>> {
        match &map.pair {
            Some((key, _)) if key.is_instance_of::<PyString>() => Ok(key.clone()),
            Some((key, _)) => Ok(key.repr()?.into_any()),
            None => Ok(self.py.None().into_bound(self.py)),
        }
    }

    fn tag_text<R>(
        &mut self,
        item: Object,
        key: Borrowed<'_, 'py, PyAny>,
        _key_text: &[u8],
        use_it: impl FnOnce(&[u8]) -> R,
    ) -> Outcome<Option<R>> {
        let map = self.bind(item);
        let Ok(found) = map.get_item(key) else { return Ok(None) };
        match found.cast_exact::<PyString>() {
            Ok(found) => Ok(found.to_str().ok().map(|text| use_it(text.as_bytes()))),
            Err(_) => Ok(None),
        }
    }

    fn note(&mut self, _segment: impl FnOnce() -> Segment) {}
}

/// Whether an object that is of no basic type is like a list.
pub(super) fn is_sequence(object: Borrowed<'_, '_, PyAny>) -> bool {
    object.is_instance_of::<PyTuple>()
        || object.is_instance_of::<PyList>()
        || object.is_instance_of::<pyo3::types::PySet>()
        || object.is_instance_of::<pyo3::types::PyFrozenSet>()
}

/// Whether an object that is of no basic type is like a dict.
pub(super) fn is_mapping(object: Borrowed<'_, '_, PyAny>) -> bool {
    object.is_instance_of::<PyDict>() || object.cast::<PyMapping>().is_ok()
}
