//! From plain structures or JSON to objects, by one walk.
//!
//! 1. Values that wait for their object or list stand on one stack, which lets go of them whatever happens.
//! 2. A part that is not valid is gone past, and the walk goes on, so that all is said that is wrong.

use super::class::{Class, Field, Object, Slot, new_reference, owned};
use super::fail::{self, Errors, Gathered, Message, Outcome};
use super::plan::{Id, Node, Plan, Temporal};
use super::registered::registered;
use super::scalars::{float_of, native};
use super::source::{Kind, Opens, Plain, Source, is_mapping, is_sequence};
use super::tries::{self, Tries};
use super::{DEPTH, leaf, message, plans};
use crate::value::fault::Fault;
use crate::value::stack;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyList, PyString};
use slipring_codec::error::Segment;
use std::cell::Cell;
use std::ptr::NonNull;

/// What the caller wants.
#[derive(Clone, Copy)]
pub(super) struct Options {
    /// Text may be numbers, and numbers text.
    pub(super) coerce: bool,
    /// Instead of what classes say.
    pub(super) unknown_is_error: Option<bool>,
    /// A key that stands twice is an error.
    pub(super) unique_keys: bool,
    /// Dicts may be lists of pairs, as tables have them.
    pub(super) pairs: bool,
    /// Floats may be NaN or endless, as frames and tables have them.
    pub(super) not_finite: bool,
    /// Objects that registered types have put together from their fields are looked into.
    pub(super) looks_again: bool,
    /// That a number of JSON may have.
    pub(super) max_digits: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            coerce: false,
            unknown_is_error: None,
            unique_keys: false,
            pairs: false,
            not_finite: false,
            looks_again: false,
            max_digits: usize::MAX,
        }
    }
}

/// References that wait, or null.
pub(super) struct Stack(pub(super) Vec<Slot>);

thread_local! {
    /// The memory of a stack that is not in use.
    static SPARE: Cell<Vec<Slot>> = const { Cell::new(Vec::new()) };
}

/// Places of a stack that are kept.
const KEPT: usize = 1 << 14;

impl Stack {
    #[inline(always)]
    pub(super) fn cut(&mut self, base: usize) {
        while self.0.len() > base {
            if let Some(object) = self.0.pop() {
                // SAFETY: each place holds a reference of its own, or null; the Loader is attached.
                unsafe { ffi::Py_XDECREF(object) };
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

/// Goes through an item by the plan of what it is to be.
pub(super) struct Loader<'py, S: Source<'py>> {
    pub(super) py: Python<'py>,
    pub(super) source: S,
    pub(super) stack: Stack,
    pub(super) options: Options,
    /// Of the union that is tried around this, if any.
    pub(super) tries: Option<Tries>,
}

impl<'py, S: Source<'py>> Loader<'py, S> {
    pub(super) fn new(py: Python<'py>, source: S, options: Options) -> Self {
        Self { py, source, stack: Stack(SPARE.take()), options, tries: None }
    }

    /// One item, which `depth` others enclose.
    pub(super) fn node(
        &mut self,
        plan: &Plan,
        id: Id,
        item: S::Item,
        depth: usize,
    ) -> Outcome<Object> {
        let kind = self.source.kind(item);
        match (plan.node(id), kind) {
            (Node::Str, Kind::Str)
            | (Node::Int, Kind::Int)
            | (Node::Bool, Kind::Bool)
            | (Node::None, Kind::Null)
            | (Node::Optional(_), Kind::Null)
            | (Node::Any, _) => self.source.take(item),
            (Node::Float, Kind::Float) => {
                let made = self.source.take(item)?;
                // SAFETY: an exact float.
                let x = unsafe { ffi::PyFloat_AS_DOUBLE(made.as_ptr()) };
                match self.options.not_finite || x.is_finite() {
                    true => Ok(made),
                    false => {
                        drop(owned(self.py, made));
                        fail::invalid(fail::NOT_FINITE)
                    }
                }
            }
            (Node::Optional(inner) | Node::Same(inner), _) => self.node(plan, *inner, item, depth),
            (Node::Class(class), Kind::Map) => self.class(plan, class, item, depth),
            (Node::List(inner), Kind::List) => self.list(plan, *inner, item, depth),
            (Node::Uuid, Kind::Str) => {
                let py = self.py;
                let made = self.source.text(item, |text| leaf::uuid(py, text))??;
                made.map_or_else(|| fail::invalid(message(&Node::Uuid)), Ok)
            }
            (Node::Decimal { step: None, .. }, Kind::Str) => {
                let py = self.py;
                let made = self.source.text(item, |text| leaf::decimal(py, text))??;
                made.map_or_else(|| fail::invalid("Not a valid number."), Ok)
            }
            (Node::Temporal { which: Temporal::DateTime, format: None, .. }, Kind::Str) => {
                let py = self.py;
                let made = self.source.text(item, |text| leaf::datetime(py, text))??;
                made.map_or_else(|| fail::invalid("Not a valid datetime."), Ok)
            }
            (Node::Choice(choice), Kind::Str) if !choice.asks && !self.options.coerce => {
                let found = self.source.text(item, |text| choice.of_text(text))?;
                match found {
                    // SAFETY: alive as long as the plan.
                    Some(found) => unsafe {
                        Ok(NonNull::new_unchecked(ffi::Py_NewRef(found.inner.as_ptr())))
                    },
                    None => self.rare_choice_text(choice, item),
                }
            }
            (Node::Checked(checked), _) => self.checked(plan, checked, item, kind, depth),
            (_, Kind::Other) if S::MAKES => self.through_object(plan, id, item, depth),
            (node, kind) => self.other(plan, id, node, item, kind, depth),
        }
    }

    /// What the source makes of an item that is of no basic type.
    #[inline(never)]
    fn through_object(
        &mut self,
        plan: &Plan,
        id: Id,
        item: S::Item,
        depth: usize,
    ) -> Outcome<Object> {
        if let Some(made) = self.source.leaf(plan.node(id))? {
            return Ok(made);
        }
        if let Some(made) = self.sent(plan, id, item, depth)? {
            return Ok(made);
        }
        let opens = match plan.node(id) {
            // What else is in a set may be another thing for having to have a hash.
            Node::List(inner)
            | Node::TupleOf(inner)
            | Node::Set(inner)
            | Node::FrozenSet(inner)
                if matches!(plan.bare(*inner), Node::Class(_)) =>
            {
                Opens::Set
            }
            Node::List(_) | Node::TupleOf(_) | Node::Tuple { .. } => Opens::Tuple,
            Node::Set(_) | Node::FrozenSet(_) => Opens::Tuple,
            _ => Opens::Nothing,
        };
        if let Some((tag, depth)) = self.source.open_list(opens, depth) {
            let made = self.node(plan, id, item, depth);
            return made.map_err(|failed| failed.within(Segment::Tag(tag)));
        }
        let made = self.source.take(item)?;
        let object = owned(self.py, made);
        // An object of a registered type has been made, and brought to its newest version.
        if let Node::Class(class) = plan.bare(id)
            && !class.is_dict()
            && class.has(object.as_borrowed())?
        {
            if let Some(made) = self.again(plan, class, &object, depth)? {
                return Ok(made);
            }
            return Ok(new_reference(object.as_borrowed()));
        }
        self.plain(plan, id, &object, depth)
    }

    /// The same walk over an object.
    pub(super) fn plain(
        &mut self,
        plan: &Plan,
        id: Id,
        object: &Bound<'py, PyAny>,
        depth: usize,
    ) -> Outcome<Object> {
        // SAFETY: a reference is never null.
        let item = unsafe { NonNull::new_unchecked(object.as_ptr()) };
        self.with_plain(|inner| inner.node(plan, id, item, depth))
    }

    pub(super) fn with_plain<T>(
        &mut self,
        read: impl FnOnce(&mut Loader<'py, Plain<'py>>) -> Outcome<T>,
    ) -> Outcome<T> {
        let mut inner = Loader::new(self.py, Plain { py: self.py }, self.options);
        inner.tries = self.tries.take();
        let made = read(&mut inner);
        self.tries = inner.tries.take();
        made
    }

    #[inline(never)]
    fn other(
        &mut self,
        plan: &Plan,
        id: Id,
        node: &Node,
        item: S::Item,
        kind: Kind,
        depth: usize,
    ) -> Outcome<Object> {
        let py = self.py;
        if kind == Kind::Other
            && matches!(node, Node::Class(_) | Node::Union(_))
            && let Some(made) = self.sent(plan, id, item, depth)?
        {
            return Ok(made);
        }
        match (node, kind) {
            (Node::Union(union), _) => return self.union(plan, union, item, kind, depth),
            (Node::Choice(choice), _) => return self.choice(choice, item),
            (_, Kind::Null) => {
                self.source.pass(item)?;
                return fail::null();
            }
            (Node::Registered { class, message }, _) => {
                let given = self.source.take(item)?;
                return registered(*class, *message, &owned(py, given));
            }
            (Node::Array { class, dtype }, _) => {
                let given = self.source.take(item)?;
                let made = leaf::array(&owned(py, given), class.bind(py), *dtype)?;
                return made.map_or_else(|| fail::invalid(message(node)), Ok);
            }
            (Node::Float, Kind::Int) => {
                let is_minus_zero = self.source.is_minus_zero(item);
                let int = self.source.take(item)?;
                let int = owned(py, int);
                if is_minus_zero {
                    return Ok(new_reference(PyFloat::new(py, -0.0).as_any().as_borrowed()));
                }
                return float_of(&int, false);
            }
            (Node::Set(inner), _) if self.is_list(item, kind) => {
                return self.set(plan, *inner, item, depth, false);
            }
            (Node::FrozenSet(inner), _) if self.is_list(item, kind) => {
                return self.set(plan, *inner, item, depth, true);
            }
            (Node::List(inner), _) if self.is_list(item, kind) => {
                return self.list(plan, *inner, item, depth);
            }
            (Node::TupleOf(inner), _) if self.is_list(item, kind) => {
                return self.tuple_of(plan, *inner, item, depth);
            }
            (Node::Tuple { .. }, _) if self.is_list(item, kind) => {
                return self.tuple(plan, node, item, depth);
            }
            (Node::Dict(..), Kind::List) if self.options.pairs => {
                if let Some(pairs) = self.source.as_object(item) {
                    let dict = pyo3::types::PyDict::from_sequence(&pairs)?;
                    return self.plain(plan, id, dict.as_any(), depth);
                }
            }
            (Node::Tuple { items, class: Some(class), .. }, Kind::Map) if self.options.pairs => {
                return self.named(plan, items, *class, item, depth);
            }
            (Node::Dict(key, inner), _) if self.is_map(item, kind) => {
                return self.dict(plan, *key, *inner, item, depth);
            }
            (Node::Class(class), Kind::Other) if self.is_made(class, item) => {
                if let Some(object) =
                    self.source.as_object(item).filter(|_| self.options.looks_again)
                    && let Some(made) = self.again(plan, class, &object.to_owned(), depth)?
                {
                    return Ok(made);
                }
                return self.source.take(item);
            }
            (Node::Class(class), _) if self.is_map(item, kind) => {
                return self.class(plan, class, item, depth);
            }
            (Node::Class(_), _) => {
                self.source.pass(item)?;
                return fail::no_object();
            }
            (Node::Decimal { .. }, Kind::Str | Kind::Int | Kind::Float) => {
                return self.decimal(node, item, kind);
            }
            (Node::Temporal { which, format, class }, Kind::Str) => {
                if let Some(format) = format {
                    return self.formatted(*which, class.bind(py), format.bind(py), item);
                }
                let made = self.source.text(item, |text| match which {
                    Temporal::DateTime => leaf::datetime(py, text),
                    Temporal::Date => leaf::date(py, text),
                    Temporal::Time => leaf::time(py, text),
                })??;
                return made.map_or_else(|| fail::invalid(message(node)), Ok);
            }
            (Node::Delta, Kind::Str) => {
                let made = self.source.text(item, |text| leaf::delta(py, text))??;
                return made.map_or_else(|| fail::invalid(message(node)), Ok);
            }
            (Node::Bytes, Kind::Str) => {
                let text = self.source.take(item)?;
                let made = plans::from_base64(&owned(py, text))?;
                return made.map_or_else(|| fail::invalid(message(node)), Ok);
            }
            _ => {}
        }
        if self.options.coerce
            && let Some(made) = self.coerced(node, item, kind)?
        {
            return Ok(made);
        }
        if let Some(object) = self.source.as_object(item)
            && let Some(made) = native(node, object, self.options.not_finite)?
        {
            return Ok(made);
        }
        if !self.options.coerce || self.source.as_object(item).is_some() {
            self.source.pass(item)?;
        }
        fail::invalid(message(node))
    }

    pub(super) fn is_list(&self, item: S::Item, kind: Kind) -> bool {
        kind == Kind::List
            || (kind == Kind::Other && self.source.as_object(item).is_some_and(is_sequence))
    }

    pub(super) fn is_map(&self, item: S::Item, kind: Kind) -> bool {
        kind == Kind::Map
            || (kind == Kind::Other && self.source.as_object(item).is_some_and(is_mapping))
    }

    #[inline(always)]
    pub(super) fn enter(&mut self, item: S::Item, depth: usize) -> Outcome<()> {
        if depth >= DEPTH || stack::is_short(depth) {
            return too_deep(depth);
        }
        if self.tries.is_some() { self.pay(item) } else { Ok(()) }
    }

    /// Pays for the items of a container inside a union that is tried.
    #[inline(never)]
    pub(super) fn pay(&mut self, item: S::Item) -> Outcome<()> {
        let items = 1 + self.source.as_object(item).map_or(0, tries::width);
        self.tries.as_mut().map_or(Ok(()), |tries| tries.spend(self.py, items))
    }

    // --- classes ---

    /// Places on the stack, where they begin.
    pub(super) fn reserve(&mut self, count: usize) -> usize {
        let base = self.stack.0.len();
        self.stack.0.resize(base + count, std::ptr::null_mut());
        base
    }

    /// Puts a value in its place, instead of one that may be there.
    pub(super) fn keep(&mut self, place: usize, value: Object) {
        let former = std::mem::replace(&mut self.stack.0[place], value.as_ptr());
        // SAFETY: the reference of the place, or null.
        unsafe { ffi::Py_XDECREF(former) };
    }

    /// The object of the values that are behind `base`.
    pub(super) fn made(&mut self, class: &Class, base: usize) -> Outcome<Object> {
        let values = &mut self.stack.0[base..];
        class.complete(self.py, values)?;
        class.make(self.py, values)
    }

    /// Whether an item is an object of the very class already.
    fn is_made(&self, class: &Class, item: S::Item) -> bool {
        let is_so = |object: Borrowed<'_, '_, PyAny>| {
            object.get_type().as_ptr() == class.class.as_ptr() && !class.is_dict()
        };
        self.source.as_object(item).is_some_and(is_so)
    }

    fn class(
        &mut self,
        plan: &Plan,
        class: &Class,
        item: S::Item,
        depth: usize,
    ) -> Outcome<Object> {
        self.enter(item, depth)?;
        let base = self.stack.0.len();
        self.stack.0.resize(base + class.fields.len(), std::ptr::null_mut());
        let made = self.fields(plan, class, item, depth, base);
        self.stack.cut(base);
        made
    }

    #[inline(always)]
    fn fields(
        &mut self,
        plan: &Plan,
        class: &Class,
        item: S::Item,
        depth: usize,
        base: usize,
    ) -> Outcome<Object> {
        let py = self.py;
        let mut errors = Gathered::default();
        let mut map = self.source.map(item, depth)?;
        let mut hint = 0;
        while let Some((found, item)) = self.source.next_field(&mut map, class, hint)? {
            let Some(at) = found else {
                self.unknown(class, &map, item, &mut errors)?;
                continue;
            };
            hint = at + 1;
            let field = &class.fields[at];
            if !field.init {
                match field.tag {
                    true => self.tag(plan, field, item, depth, &mut errors)?,
                    false => self.pass_field(&map, item)?,
                }
                continue;
            }
            if !self.stack.0[base + at].is_null() {
                match self.options.unique_keys {
                    true => twice(py, field.key.bind(py), &mut errors),
                    false if errors.is_empty() => {}
                    false => errors.forget(field.key.bind(py).to_owned().unbind()),
                }
            }
            let value = match self.node(plan, field.node, item, depth + 1) {
                Ok(value) => value.as_ptr(),
                Err(failed) => {
                    let segment = || Segment::key(&String::from_utf8_lossy(&field.key_text));
                    self.source.note(segment);
                    let name = || Ok(field.key.bind(py).to_owned().unbind());
                    errors.take(failed, name, segment)?;
                    // Something is there, so that it is not missing.
                    py.None().into_ptr()
                }
            };
            let former = std::mem::replace(&mut self.stack.0[base + at], value);
            if !former.is_null() {
                // SAFETY: the reference of the place.
                unsafe { ffi::Py_DECREF(former) };
            }
        }
        let values = &mut self.stack.0[base..];
        for (field, value) in class.fields.iter().zip(&*values) {
            if value.is_null() && field.required {
                let message =
                    field.required_message.map_or(Message::Static(fail::REQUIRED), |own| {
                        Message::Object(own.bind(py).to_owned().unbind())
                    });
                errors.add(field.key.bind(py).to_owned().unbind(), Errors::Invalid(message));
            }
        }
        if !errors.settle(py)? {
            class.judge_rest(py, values, &mut errors)?;
            return errors.fail();
        }
        class.complete(py, values)?;
        class.make(py, values)
    }

    /// Objects of a class, a list of them, of which each column has one field: the parts of what is `rows` long in a table. Nobody
    /// is told what is wrong with one: who wants to know makes rows of it.
    pub(super) fn of_columns(
        &mut self,
        plan: &Plan,
        class: &Class,
        columns: &[(usize, Bound<'py, PyList>)],
        rows: usize,
    ) -> Outcome<Bound<'py, PyList>>
    where
        S: Source<'py, Item = Object>,
    {
        let py = self.py;
        let list = PyList::empty(py);
        for row in 0..rows {
            let base = self.stack.0.len();
            self.stack.0.resize(base + class.fields.len(), std::ptr::null_mut());
            let made = self.of_row(plan, class, columns, row, base);
            self.stack.cut(base);
            list.append(owned(py, made?))?;
        }
        Ok(list)
    }

    fn of_row(
        &mut self,
        plan: &Plan,
        class: &Class,
        columns: &[(usize, Bound<'py, PyList>)],
        row: usize,
        base: usize,
    ) -> Outcome<Object>
    where
        S: Source<'py, Item = Object>,
    {
        for (at, column) in columns {
            let field = &class.fields[*at];
            let item = column.get_item(row)?;
            // SAFETY: a reference is never null; the item is held until after its use.
            let given = unsafe { NonNull::new_unchecked(item.as_ptr()) };
            let value = match (field.init, field.tag) {
                (false, false) => continue,
                // At the depth of the field of an object in a list.
                _ => self.node(plan, field.node, given, 2)?,
            };
            match field.init {
                true => self.stack.0[base + at] = value.as_ptr(),
                false => drop(owned(self.py, value)),
            }
        }
        let values = &mut self.stack.0[base..];
        if class.fields.iter().zip(&*values).any(|(field, value)| value.is_null() && field.required)
        {
            return fail::invalid(fail::REQUIRED);
        }
        class.complete(self.py, values)?;
        class.make(self.py, values)
    }

    /// What says of which class the object is must say so.
    fn tag(
        &mut self,
        plan: &Plan,
        field: &Field,
        item: S::Item,
        depth: usize,
        errors: &mut Gathered,
    ) -> Outcome<()> {
        let py = self.py;
        match self.node(plan, field.node, item, depth + 1) {
            Ok(value) => drop(owned(py, value)),
            Err(failed) => {
                let segment = || Segment::key(&String::from_utf8_lossy(&field.key_text));
                self.source.note(segment);
                errors.take(failed, || Ok(field.key.bind(py).to_owned().unbind()), segment)?;
            }
        }
        Ok(())
    }

    #[cold]
    fn unknown(
        &mut self,
        class: &Class,
        map: &S::Map,
        item: S::Item,
        errors: &mut Gathered,
    ) -> Outcome<()> {
        if self.options.unknown_is_error.unwrap_or(class.unknown_is_error) {
            let name = self.source.key_name(map)?;
            let said = Errors::Invalid(Message::Static(fail::UNKNOWN));
            errors.add(name.unbind(), said);
        }
        self.pass_field(map, item)
    }

    /// Goes past what stands under a key.
    #[cold]
    pub(super) fn pass_field(&mut self, map: &S::Map, item: S::Item) -> Outcome<()> {
        let passed = self.source.pass(item);
        if passed.is_err() {
            let name = self.source.key_name(map)?;
            let text = name.str()?;
            let segment = || Segment::key(&text.to_string_lossy());
            self.source.note(segment);
            return passed.map_err(|failed| failed.within(segment()));
        }
        Ok(())
    }
}

#[cold]
pub(super) fn twice(py: Python<'_>, key: Borrowed<'_, '_, PyAny>, errors: &mut Gathered) {
    let said = PyString::new(py, "This key stands twice.").into_any().unbind();
    errors.add(key.to_owned().unbind(), Errors::Said(vec![said]));
}

/// Of an object that can't be in a set or a key.
#[cold]
fn too_deep<T>(depth: usize) -> Outcome<T> {
    if depth < DEPTH {
        return Err(Fault::short_of_stack("dict".into()).into());
    }
    let what = format!("more than {DEPTH} objects and containers inside each other");
    Err(Fault::refused(what, "dict".into(), "flatten it").into())
}
