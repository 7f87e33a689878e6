//! Objects that were sent under a name: as plain `send` writes those of dataclasses and of registered types.
//!
//! 1. One whose fields a registered type would put together by itself, and one that nobody has registered and whose name is that
//!    of the class, is loaded from its fields by the class's plan: all that is wrong is said, and validators are asked.
//! 2. One with a decoder of its own is what that makes of it. What the decoder raises is said at its place, among the rest.
//! 3. In both the fields have the names of attributes. What is wrong with them is said under their names outside, as of any object.

use super::class::{Class, Object, new_reference, owned};
use super::fail::{self, Errors, Fail, Gathered, Message, Outcome};
use super::load::{Loader, twice};
use super::plan::{Id, Node, Plan, Union};
use super::plans;
use super::source::Source;
use crate::value::fault::Fault;
use crate::value::registry;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyType};
use pyo3::{ffi, intern};
use slipring_codec::error::Segment;
use slipring_codec::tag;
use std::ptr::NonNull;

/// What an object was sent as.
pub(super) struct Sent {
    pub(super) name: String,
    pub(super) version: u64,
}

/// A registered type and what was sent as it.
struct Entry<'a, 'py> {
    entry: Bound<'py, PyAny>,
    sent: &'a Sent,
}

impl Entry<'_, '_> {
    fn is_of_today(&self) -> PyResult<bool> {
        let version: u64 = self.entry.getattr(intern!(self.entry.py(), "version"))?.extract()?;
        Ok(self.sent.version == version)
    }
}

impl<'py, S: Source<'py>> Loader<'py, S> {
    /// An object that was sent under a name, where one of a class is expected; `None` where it is to be made first, or is none.
    #[cold]
    #[inline(never)]
    pub(super) fn sent(
        &mut self,
        plan: &Plan,
        id: Id,
        item: S::Item,
        depth: usize,
    ) -> Outcome<Option<Object>> {
        let class = match plan.node(id) {
            Node::Class(class) if !class.is_dict() => class,
            Node::Union(union) => {
                let Some(sent) = self.source.sent(item)? else { return Ok(None) };
                return match named(self.py, plan, union, &sent)? {
                    Some(id) => self.node(plan, id, item, depth).map(Some),
                    None => Ok(None),
                };
            }
            _ => return Ok(None),
        };
        let Some(sent) = self.source.sent(item)? else { return Ok(None) };
        let Some(entry) = registry::entry_named(self.py, &sent.name)? else {
            if *sent.name == *class.sent_as {
                return self.of_fields(plan, class, item, depth, None).map(Some);
            }
            // What is put together by the library itself.
            if S::MAKES && sent.name.starts_with("scipy.") {
                return Ok(None);
            }
            self.source.pass(item)?;
            return misnamed(&sent.name, &class.sent_as);
        };
        let entry = Entry { entry, sent: &sent };
        let of = of_entry(&entry.entry)?;
        if !registry::is_by_fields(&entry.entry)? || !derives(&of, class) {
            return match self.source.as_object(item) {
                Some(_) => self.decoded(plan, class, item, &entry, depth).map(Some),
                None => Ok(None),
            };
        }
        if of.as_ptr() == class.class.as_ptr() {
            return self.of_fields(plan, class, item, depth, Some(&entry)).map(Some);
        }
        let own = plans::of_type(of.as_any())?;
        let own = own.get();
        let Node::Class(class) = own.bare(own.root) else { return Ok(None) };
        self.of_fields(own, class, item, depth, Some(&entry)).map(Some)
    }

    /// What a registered type's own decoder makes of an object whose fields are objects already.
    fn decoded(
        &mut self,
        plan: &Plan,
        class: &Class,
        item: S::Item,
        entry: &Entry<'_, 'py>,
        depth: usize,
    ) -> Outcome<Object> {
        let py = self.py;
        let fields = self.source.fields_of(item)?;
        let fields = owned(py, self.source.take(fields)?);
        let Sent { name, version } = entry.sent;
        let made = match entry.entry.call_method1(intern!(py, "build"), (fields, *version)) {
            Ok(made) => made,
            Err(error) => {
                return Err(said_by_type(py, Fault::of_type(py, error, name, *version)));
            }
        };
        if class.has(made.as_borrowed())? {
            return Ok(new_reference(made.as_borrowed()));
        }
        self.plain(plan, plan.root, &made, depth)
    }

    /// An object of its fields under the names of attributes.
    fn of_fields(
        &mut self,
        plan: &Plan,
        class: &Class,
        item: S::Item,
        depth: usize,
        entry: Option<&Entry<'_, 'py>>,
    ) -> Outcome<Object> {
        let py = self.py;
        let fields = self.source.fields_of(item)?;
        // A tag and an array are around them.
        let depth = depth + 2;
        let made = match entry {
            Some(entry) if !entry.is_of_today()? => {
                let fields = owned(py, self.source.take(fields)?);
                let brought = entry
                    .entry
                    .call_method1(intern!(py, "brought"), (fields, entry.sent.version))
                    .map_err(|error| said_by_type(py, error.into()))?;
                self.plain_fields(plan, class, &brought, depth, Some(entry))
            }
            entry => self.named_fields(plan, class, fields, depth, entry),
        };
        let made = made
            .map_err(|failed| failed.within(Segment::Index(2)).within(Segment::Tag(tag::OBJECT)))?;
        if let Some(entry) = entry {
            entry.entry.call_method1(intern!(py, "arrived"), (entry.sent.version,))?;
        }
        Ok(made)
    }

    fn plain_fields(
        &mut self,
        plan: &Plan,
        class: &Class,
        fields: &Bound<'py, PyAny>,
        depth: usize,
        entry: Option<&Entry<'_, 'py>>,
    ) -> Outcome<Object> {
        // SAFETY: a reference is never null.
        let item = unsafe { NonNull::new_unchecked(fields.as_ptr()) };
        self.with_plain(|inner| inner.named_fields(plan, class, item, depth, entry))
    }

    /// An object that a registered type has put together from its fields, once more by the plan; `None` where it is believed.
    #[cold]
    #[inline(never)]
    pub(super) fn again(
        &mut self,
        plan: &Plan,
        class: &Class,
        object: &Bound<'py, PyAny>,
        depth: usize,
    ) -> Outcome<Option<Object>> {
        let py = self.py;
        match registry::entry(&object.get_type())? {
            Some(entry) if registry::is_by_fields(&entry)? => {}
            _ => return Ok(None),
        }
        if object.get_type().as_ptr() != class.class.as_ptr() {
            return Ok(None);
        }
        let fields = PyDict::new(py);
        for field in class.fields.iter().filter(|field| field.stored && !field.tag) {
            if let Some(value) = class.get(object.as_borrowed(), field)? {
                fields.set_item(field.name.bind(py), owned(py, value))?;
            }
        }
        self.plain_fields(plan, class, fields.as_any(), depth, None).map(Some)
    }

    fn named_fields(
        &mut self,
        plan: &Plan,
        class: &Class,
        item: S::Item,
        depth: usize,
        entry: Option<&Entry<'_, 'py>>,
    ) -> Outcome<Object> {
        let kind = self.source.kind(item);
        if !self.is_map(item, kind) {
            self.source.pass(item)?;
            return fail::no_object();
        }
        self.enter(item, depth)?;
        let base = self.reserve(class.fields.len());
        let made = self.named_values(plan, class, item, depth, base, entry);
        self.stack.cut(base);
        made
    }

    fn named_values(
        &mut self,
        plan: &Plan,
        class: &Class,
        item: S::Item,
        depth: usize,
        base: usize,
        entry: Option<&Entry<'_, 'py>>,
    ) -> Outcome<Object> {
        let py = self.py;
        let mut errors = Gathered::default();
        let mut seen = vec![false; class.fields.len()];
        // What `__init__` does not take.
        let mut later = Vec::new();
        let mut map = self.source.map(item, depth)?;
        while let Some((key, item)) = self.source.next_pair(&mut map)? {
            let segment = || match key.cast::<PyString>() {
                Ok(text) => Segment::key(&text.to_string_lossy()),
                Err(_) => Segment::OtherKey("key".into()),
            };
            let Some(at) = field_of(class, &key)? else {
                if self.options.unknown_is_error.unwrap_or(class.unknown_is_error) {
                    errors.add(fail::told(&key)?, Errors::Invalid(Message::Static(fail::UNKNOWN)));
                }
                self.source.pass(item).map_err(|failed| failed.within(segment()))?;
                continue;
            };
            let field = &class.fields[at];
            let name = || field.key.bind(py).to_owned().unbind();
            if std::mem::replace(&mut seen[at], true) && self.options.unique_keys {
                twice(py, field.key.bind(py), &mut errors);
            }
            match self.node(plan, field.node, item, depth + 1) {
                Ok(value) if field.init => self.keep(base + at, value),
                Ok(value) => later.push((field, owned(py, value))),
                Err(failed) => {
                    self.source.note(segment);
                    errors.take(failed, || Ok(name()), segment)?;
                }
            }
        }
        let mut is_missing = false;
        for (field, seen) in class.fields.iter().zip(seen) {
            if !seen && field.required {
                is_missing = true;
                let message =
                    field.required_message.map_or(Message::Static(fail::REQUIRED), |own| {
                        Message::Object(own.bind(py).to_owned().unbind())
                    });
                errors.add(field.key.bind(py).to_owned().unbind(), Errors::Invalid(message));
            }
        }
        if let Some(entry) = entry
            && is_missing
            && !entry.is_of_today()?
        {
            let unread: Bound<'py, PyAny> =
                entry.entry.call_method1(intern!(py, "unread"), (entry.sent.version,))?;
            if !unread.is_none() {
                let name = PyString::intern(py, "_schema").into_any().unbind();
                errors.add(name, Errors::Said(vec![unread.unbind()]));
            }
        }
        if !errors.settle(py)? {
            class.judge_rest(py, &self.stack.0[base..], &mut errors)?;
            return errors.fail();
        }
        let made = owned(py, self.made(class, base)?);
        for (field, value) in later {
            class.set(&made, field, &value)?;
        }
        Ok(new_reference(made.as_borrowed()))
    }
}

/// Where the field is that has this name as an attribute.
fn field_of(class: &Class, key: &Bound<'_, PyAny>) -> PyResult<Option<usize>> {
    let Ok(key) = key.cast::<PyString>() else { return Ok(None) };
    let py = key.py();
    for (at, field) in class.fields.iter().enumerate().filter(|(_, field)| !field.tag) {
        if field.name.as_ptr() == key.as_ptr() || field.name.bind(py).eq(key)? {
            return Ok(Some(at));
        }
    }
    Ok(None)
}

/// The member of a union that an object is by its name: the class itself rather than one that it derives from.
fn named(py: Python<'_>, plan: &Plan, union: &Union, sent: &Sent) -> PyResult<Option<Id>> {
    let entry = registry::entry_named(py, &sent.name)?;
    let of = entry.map(|entry| of_entry(&entry)).transpose()?;
    let mut derived = None;
    for &id in &union.items {
        let inner = match plan.bare(id) {
            Node::Optional(inner) => plan.bare(*inner),
            node => node,
        };
        let Node::Class(class) = inner else { continue };
        match &of {
            _ if class.is_dict() => {}
            Some(of) if of.as_ptr() == class.class.as_ptr() => return Ok(Some(id)),
            Some(of) if derives(of, class) => derived = derived.or(Some(id)),
            None if *class.sent_as == *sent.name => return Ok(Some(id)),
            _ => {}
        }
    }
    Ok(derived)
}

fn of_entry<'py>(entry: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyType>> {
    Ok(entry.getattr(intern!(entry.py(), "cls"))?.cast_into()?)
}

fn derives(of: &Bound<'_, PyType>, class: &Class) -> bool {
    // SAFETY: two types that are alive.
    unsafe { ffi::PyType_IsSubtype(of.as_ptr().cast(), class.class.as_ptr().cast()) != 0 }
}

#[cold]
fn misnamed<T>(name: &str, expected: &str) -> Outcome<T> {
    let said = format!(
        "Invalid input type: the object is named {name:?}, not {expected:?}; register the class under one name on both sides."
    );
    let said = Errors::Invalid(Message::Owned(said.into()));
    fail::of(Errors::Schema(Box::new(said)))
}

/// What a registered type has raised, said at its place; all else ends the whole.
#[cold]
pub(super) fn said_by_type(py: Python<'_>, fault: Box<Fault>) -> Box<Fail> {
    let Some((error, said, path)) = fault.raised_by_type(py) else { return fault.into() };
    let own = error.is_instance_of::<PyValueError>(py).then(|| error.clone_ref(py));
    let mut errors = match own.map(|own| fail::of_exception(py, own)) {
        Some(Ok(errors)) => errors,
        _ => Errors::Said(vec![PyString::new(py, &said).into_any().unbind()]),
    };
    errors = Errors::Schema(Box::new(errors));
    // Inside the fields of another object: those of the message do not show that it has a tag.
    let mut steps = path.iter().peekable();
    let mut names = Vec::new();
    while let Some(step) = steps.next() {
        match step {
            Segment::Tag(tag::OBJECT) => {
                steps.next_if(|next| matches!(next, Segment::Index(2)));
            }
            Segment::Key(name) | Segment::OtherKey(name) => names.push(name.to_string()),
            Segment::Index(at) | Segment::KeyOf(at) => names.push(at.to_string()),
            _ => {}
        }
    }
    for name in names.into_iter().rev() {
        let name = PyString::new(py, &name).into_any().unbind();
        errors = Errors::Within(vec![(name, errors)]);
    }
    Box::new(Fail::Invalid(errors))
}
