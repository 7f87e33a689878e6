//! Lists, tuples, sets and dicts, as they are loaded.

use super::class::{Object, new_reference, owned};
use super::dump::wrong_length;
use super::fail::{self, Errors, Fail, Gathered, Message, Outcome};
use super::load::{Loader, Options, twice};
use super::message;
use super::plan::{Held, Id, Node, Plan};
use super::scalars::choice_of_key;
use super::source::{Plain, Source};
use crate::value::Hashes;
use crate::value::types::Exact;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};
use pyo3::{ffi, intern};
use slipring_codec::error::Segment;
use std::ptr::NonNull;

impl<'py, S: Source<'py>> Loader<'py, S> {
    /// Puts the items of a list on the stack.
    #[inline(always)]
    fn items(&mut self, plan: &Plan, inner: Id, item: S::Item, depth: usize) -> Outcome<()> {
        self.enter(item, depth)?;
        let mut errors = Gathered::default();
        let mut list = self.source.list(item, depth)?;
        let mut index = 0;
        while let Some(item) = self.source.next_item(&mut list)? {
            match self.node(plan, inner, item, depth + 1) {
                Ok(value) => self.stack.0.push(value.as_ptr()),
                Err(failed) => self.failed_item(failed, index, &mut errors)?,
            }
            index += 1;
        }
        if errors.is_empty() { Ok(()) } else { errors.fail() }
    }

    #[cold]
    fn failed_item(
        &mut self,
        failed: Box<Fail>,
        index: usize,
        errors: &mut Gathered,
    ) -> Outcome<()> {
        self.source.note(|| Segment::Index(index));
        errors.take(failed, || fail::index_name(self.py, index), || Segment::Index(index))
    }

    pub(super) fn list(
        &mut self,
        plan: &Plan,
        inner: Id,
        item: S::Item,
        depth: usize,
    ) -> Outcome<Object> {
        let base = self.stack.0.len();
        let made = self.items(plan, inner, item, depth).and_then(|()| {
            // SAFETY: a new list of that many empty places, or null.
            let list = unsafe { ffi::PyList_New((self.stack.0.len() - base) as _) };
            let list = NonNull::new(list).ok_or_else(|| fail::raised(self.py))?;
            for (index, item) in self.stack.0.drain(base..).enumerate() {
                // SAFETY: the place is empty, and takes over the reference, which leaves the stack.
                unsafe { ffi::PyList_SET_ITEM(list.as_ptr(), index as _, item) };
            }
            Ok(list)
        });
        self.stack.cut(base);
        made
    }

    pub(super) fn tuple_of(
        &mut self,
        plan: &Plan,
        inner: Id,
        item: S::Item,
        depth: usize,
    ) -> Outcome<Object> {
        let base = self.stack.0.len();
        let made = self.items(plan, inner, item, depth).and_then(|()| self.tuple_from(base));
        self.stack.cut(base);
        made
    }

    fn tuple_from(&mut self, base: usize) -> Outcome<Object> {
        // SAFETY: a new tuple of that many empty places, or null.
        let tuple = unsafe { ffi::PyTuple_New((self.stack.0.len() - base) as _) };
        let tuple = NonNull::new(tuple).ok_or_else(|| fail::raised(self.py))?;
        for (index, item) in self.stack.0.drain(base..).enumerate() {
            // SAFETY: the place is empty, and takes over the reference, which leaves the stack.
            unsafe { ffi::PyTuple_SET_ITEM(tuple.as_ptr(), index as _, item) };
        }
        Ok(tuple)
    }

    #[inline(never)]
    pub(super) fn set(
        &mut self,
        plan: &Plan,
        inner: Id,
        item: S::Item,
        depth: usize,
        frozen: bool,
    ) -> Outcome<Object> {
        let base = self.stack.0.len();
        let made = self.items(plan, inner, item, depth).and_then(|()| {
            // SAFETY: a new reference or null.
            let set = unsafe {
                match frozen {
                    true => ffi::PyFrozenSet_New(std::ptr::null_mut()),
                    false => ffi::PySet_New(std::ptr::null_mut()),
                }
            };
            let set = owned(self.py, NonNull::new(set).ok_or_else(|| fail::raised(self.py))?);
            let mut hashes = Hashes::default();
            for at in base..self.stack.0.len() {
                // SAFETY: an object of the stack.
                hashes.note(unsafe { Borrowed::from_ptr(self.py, self.stack.0[at]) })?;
                // SAFETY: a set that nobody else has seen, and an object of the stack.
                if unsafe { ffi::PySet_Add(set.as_ptr(), self.stack.0[at]) } != 0 {
                    return unhashable(self.py, "Not a valid set.");
                }
            }
            // SAFETY: a reference is never null.
            Ok(unsafe { NonNull::new_unchecked(set.into_ptr()) })
        });
        self.stack.cut(base);
        made
    }

    #[inline(never)]
    pub(super) fn tuple(
        &mut self,
        plan: &Plan,
        node: &Node,
        item: S::Item,
        depth: usize,
    ) -> Outcome<Object> {
        let Node::Tuple { items, class, required } = node else {
            return fail::invalid(message(node));
        };
        let base = self.stack.0.len();
        let made = self.tuple_items(plan, items, *required, item, depth).and_then(|()| {
            let Some(class) = class else { return self.tuple_from(base) };
            let values = &self.stack.0[base..];
            // SAFETY: a class and so many objects that are alive.
            let made = unsafe {
                let class = class.as_ptr();
                ffi::PyObject_Vectorcall(class, values.as_ptr(), values.len(), std::ptr::null_mut())
            };
            match NonNull::new(made) {
                Some(made) => Ok(made),
                None => fail::of(fail::of_exception(self.py, PyErr::fetch(self.py))?),
            }
        });
        self.stack.cut(base);
        made
    }

    fn tuple_items(
        &mut self,
        plan: &Plan,
        nodes: &[Id],
        required: usize,
        item: S::Item,
        depth: usize,
    ) -> Outcome<()> {
        self.enter(item, depth)?;
        let mut errors = Gathered::default();
        let mut list = self.source.list(item, depth)?;
        let mut index = 0;
        while let Some(item) = self.source.next_item(&mut list)? {
            match nodes.get(index) {
                Some(node) => match self.node(plan, *node, item, depth + 1) {
                    Ok(value) => self.stack.0.push(value.as_ptr()),
                    Err(failed) => self.failed_item(failed, index, &mut errors)?,
                },
                None => self.source.pass(item)?,
            }
            index += 1;
        }
        if !(required..=nodes.len()).contains(&index) {
            return wrong_length(required, nodes.len());
        }
        if errors.is_empty() { Ok(()) } else { errors.fail() }
    }

    /// A NamedTuple of a table's columns, which have names.
    #[inline(never)]
    pub(super) fn named(
        &mut self,
        plan: &Plan,
        nodes: &[Id],
        class: Held,
        item: S::Item,
        depth: usize,
    ) -> Outcome<Object> {
        let base = self.reserve(nodes.len());
        let made = self.named_items(plan, nodes, class, item, depth, base);
        self.stack.cut(base);
        made
    }

    fn named_items(
        &mut self,
        plan: &Plan,
        nodes: &[Id],
        class: Held,
        item: S::Item,
        depth: usize,
        base: usize,
    ) -> Outcome<Object> {
        self.enter(item, depth)?;
        let py = self.py;
        let class = class.bind(py);
        let names = class.getattr(intern!(py, "_fields"))?.cast_into::<PyTuple>();
        let names = names.map_err(PyErr::from)?;
        let mut errors = Gathered::default();
        let mut map = self.source.map(item, depth)?;
        while let Some((name, item)) = self.source.next_pair(&mut map)? {
            let at = match names.index(&name) {
                Ok(at) if at < nodes.len() => at,
                _ => {
                    if self.options.unknown_is_error == Some(true) {
                        let said = Errors::Invalid(Message::Static(fail::UNKNOWN));
                        errors.add(fail::told(&name)?, said);
                    }
                    self.source.pass(item)?;
                    continue;
                }
            };
            let value = match self.node(plan, nodes[at], item, depth + 1) {
                Ok(value) => value,
                Err(failed) => {
                    let segment = || Segment::key(&name.to_string());
                    errors.take(failed, || fail::told(&name), segment)?;
                    // Something is there.
                    new_reference(py.None().bind_borrowed(py))
                }
            };
            self.keep(base + at, value);
        }
        let defaults = class.getattr(intern!(py, "_field_defaults"))?;
        let (mut given, mut values) = (Vec::new(), Vec::new());
        for (name, &value) in names.iter().zip(&self.stack.0[base..]) {
            if !value.is_null() {
                given.push(name);
                values.push(value);
            } else if !defaults.contains(&name)? {
                errors.add(name.unbind(), Errors::Invalid(Message::Static(fail::REQUIRED)));
            }
        }
        if !errors.is_empty() {
            return errors.fail();
        }
        let given = PyTuple::new(py, given)?;
        // SAFETY: a class, so many objects that are alive, and as many names.
        let made =
            unsafe { ffi::PyObject_Vectorcall(class.as_ptr(), values.as_ptr(), 0, given.as_ptr()) };
        match NonNull::new(made) {
            Some(made) => Ok(made),
            None => fail::of(fail::of_exception(py, PyErr::fetch(py))?),
        }
    }

    #[inline(never)]
    pub(super) fn dict(
        &mut self,
        plan: &Plan,
        key: Id,
        inner: Id,
        item: S::Item,
        depth: usize,
    ) -> Outcome<Object> {
        self.enter(item, depth)?;
        let py = self.py;
        let dict = pyo3::types::PyDict::new(py);
        let mut refused = None;
        let mut errors = Gathered::default();
        let mut hashes = Hashes::default();
        let mut map = self.source.map(item, depth)?;
        while let Some((name, item)) = self.source.next_pair(&mut map)? {
            // As marshmallow has it: of a key, and of its value.
            let mut of_pair = Vec::new();
            let part = |name: &str| PyString::new(py, name).into_any().unbind();
            let segment = || match name.cast::<PyString>() {
                Ok(text) => Segment::key(&text.to_string_lossy()),
                Err(_) => Segment::OtherKey("key".into()),
            };
            let named = match self.key(plan, key, &name, depth) {
                Ok(named) => Some(named),
                Err(failed) => match *failed {
                    Fail::Invalid(within) => {
                        of_pair.push((part("key"), within));
                        None
                    }
                    other => return Err(Box::new(other)),
                },
            };
            let value = self.node(plan, inner, item, depth + 1);
            let failed = value.is_err();
            let value = match value {
                Ok(value) => owned(py, value),
                Err(failed) => {
                    self.source.note(segment);
                    match *failed {
                        Fail::Invalid(within) => of_pair.push((part("value"), within)),
                        other => return Err(Box::new(other).within(segment())),
                    }
                    // Something is there.
                    py.None().into_bound(py)
                }
            };
            if !of_pair.is_empty() {
                errors.add(fail::told(&name)?, Errors::Within(of_pair));
            }
            let Some(named) = named else { continue };
            hashes.note(named.as_borrowed())?;
            if self.options.unique_keys && dict.contains(&named)? {
                twice(py, name.as_borrowed(), &mut errors);
            } else if !failed && !errors.is_empty() && dict.contains(&named)? {
                errors.forget(fail::told(&name)?);
            }
            // SAFETY: a dict that nobody else has seen, and two objects, of which it takes references of its own.
            if unsafe { ffi::PyDict_SetItem(dict.as_ptr(), named.as_ptr(), value.as_ptr()) } != 0 {
                // The rest is gone past.
                match unhashable::<()>(py, message(&Node::Dict(0, 0))) {
                    Err(failed) if matches!(*failed, Fail::Invalid(_)) => refused = Some(failed),
                    failed => failed?,
                }
            }
        }
        if let Some(failed) = refused {
            return Err(failed);
        }
        if !errors.settle(py)? {
            return errors.fail();
        }
        // SAFETY: a reference is never null.
        Ok(unsafe { NonNull::new_unchecked(dict.into_ptr()) })
    }

    /// A key, which is text in JSON whatever it is to be.
    fn key(
        &mut self,
        plan: &Plan,
        id: Id,
        name: &Bound<'py, PyAny>,
        depth: usize,
    ) -> Outcome<Bound<'py, PyAny>> {
        let node = plan.bare(id);
        let is_text = Exact::of(name.as_borrowed()) == Exact::Str;
        if is_text && matches!(plan.node(id), Node::Str | Node::Any) {
            return Ok(name.clone());
        }
        let as_number = is_text && !matches!(node, Node::Str | Node::Choice(_));
        let options = Options { coerce: self.options.coerce || as_number, ..self.options };
        let mut inner = Loader::new(self.py, Plain { py: self.py }, options);
        // SAFETY: a reference is never null.
        let item = unsafe { NonNull::new_unchecked(name.as_ptr()) };
        if let (Node::Choice(choice), true) = (node, is_text) {
            let text = name.extract::<&str>().unwrap_or_default();
            if choice.of_text(text.as_bytes()).is_none()
                && let Some(made) = choice_of_key(choice, name)?
            {
                return Ok(made);
            }
        }
        inner.tries = self.tries.take();
        let made = inner.node(plan, id, item, depth + 1);
        self.tries = inner.tries.take();
        Ok(owned(self.py, made?))
    }
}

#[cold]
fn unhashable<T>(py: Python<'_>, message: &'static str) -> Outcome<T> {
    let error = PyErr::fetch(py);
    match error.is_instance_of::<pyo3::exceptions::PyTypeError>(py) {
        true => fail::invalid(message),
        false => Err(error.into()),
    }
}
