//! From objects to plain structures or to JSON, by one walk.
//!
//! 1. Who calls [`Dumper::node`] holds the object. A container is held while its items are gone through, which are looked
//!    up one by one and held each: code of others may change it meanwhile.
//! 2. After a part that is not valid the walk goes on, so that all is said that is wrong; what was written is not used.

use super::class::{Class, Field};
use super::fail::{self, Gathered, Outcome};
use super::plan::{Choice, Held, Id, Node, Plan, Temporal};
use super::target::Target;
use super::tries::{self, Tries};
use super::{leaf, message, plans, untyped, walk};
use crate::json;
use crate::value::encode::{compact_ascii, small_int, text};
use crate::value::fault::{Fault, type_name};
use crate::value::types::{Exact, Types, own_text};
use crate::value::{stack, temporal};
use pyo3::prelude::*;
use pyo3::types::{
    PyBool, PyBytes, PyDate, PyDateTime, PyDelta, PyDict, PyFloat, PyFrozenSet, PyInt, PyList,
    PySet, PyString, PyTime, PyTuple,
};
use pyo3::{ffi, intern};
use slipring_codec::error::Segment;

/// Goes through an object by its plan.
pub(super) struct Dumper<'py, T: Target<'py>> {
    pub(super) py: Python<'py>,
    pub(super) target: T,
    /// Dates, Decimals and the like stay what they are, and floats may be NaN or endless.
    pub(super) native: bool,
    /// Of the union that is tried around this, if any.
    pub(super) tries: Option<Tries>,
}

type Any<'a, 'py> = Borrowed<'a, 'py, PyAny>;

impl<'py, T: Target<'py>> Dumper<'py, T> {
    pub(super) fn new(py: Python<'py>, target: T, native: bool) -> Self {
        Self { py, target, native, tries: None }
    }

    /// One object, which `depth` others enclose.
    pub(super) fn node(
        &mut self,
        plan: &Plan,
        id: Id,
        object: Any<'_, 'py>,
        depth: usize,
    ) -> Outcome<T::Value> {
        let mut id = id;
        // The type is looked at by its address alone, and only for what the node wants.
        let kind = object.get_type_ptr();
        loop {
            match plan.node(id) {
                Node::Str if kind == &raw mut ffi::PyUnicode_Type => {
                    return self.target.text(object);
                }
                Node::Int if kind == &raw mut ffi::PyLong_Type => return self.target.int(object),
                Node::Bool if kind == &raw mut ffi::PyBool_Type => {
                    return self.target.scalar(object);
                }
                Node::Float if kind == &raw mut ffi::PyFloat_Type => {
                    // SAFETY: an exact float.
                    let x = unsafe { ffi::PyFloat_AS_DOUBLE(object.as_ptr()) };
                    if self.native || x.is_finite() {
                        return self.target.float(object, x);
                    }
                }
                Node::Optional(inner) => {
                    if object.is_none() {
                        return self.target.scalar(object);
                    }
                    id = *inner;
                    continue;
                }
                Node::Same(inner) => {
                    id = *inner;
                    continue;
                }
                Node::Class(class) => return self.class(plan, class, object, depth),
                Node::List(inner) if kind == &raw mut ffi::PyList_Type => {
                    return self.list(plan, *inner, &object, depth);
                }
                Node::Choice(choice) => return self.choice(choice, object, depth),
                Node::Uuid if !self.native => {
                    let mut text = leaf::Short::new();
                    if leaf::uuid_text(&mut text, object)? {
                        return self.target.short(&text);
                    }
                }
                Node::Temporal { which: Temporal::DateTime, format: None, .. } if !self.native => {
                    if let Ok(moment) = object.cast::<PyDateTime>() {
                        let mut text = leaf::Short::new();
                        leaf::datetime_text(&mut text, &moment)?;
                        return self.target.short(&text);
                    }
                }
                Node::Temporal { which: Temporal::Date, format: None, .. }
                    if !self.native && object.is_exact_instance_of::<PyDate>() =>
                {
                    let mut text = leaf::Short::new();
                    leaf::date_text(&mut text, &*object.cast::<PyDate>().map_err(PyErr::from)?);
                    return self.target.short(&text);
                }
                Node::Decimal { step: None, .. } => {
                    if let Some(made) = self.decimal(None, None, object)? {
                        return Ok(made);
                    }
                }
                Node::Any => return self.any(object, depth),
                _ => {}
            }
            return self.other(plan, plan.node(id), object, depth);
        }
    }

    #[inline(never)]
    fn other(
        &mut self,
        plan: &Plan,
        node: &Node,
        object: Any<'_, 'py>,
        depth: usize,
    ) -> Outcome<T::Value> {
        let exact = Exact::of(object);
        if exact == Exact::None && !matches!(node, Node::Union(_) | Node::Checked(_)) {
            return match node {
                Node::None => self.target.scalar(object),
                _ => fail::null(),
            };
        }
        match node {
            Node::Uuid | Node::Decimal { .. } | Node::Temporal { .. } | Node::Delta => {
                if let Some(made) = self.leaf(node, object)? {
                    return Ok(made);
                }
            }
            Node::Bytes => {
                if let Ok(bytes) = object.cast::<PyBytes>() {
                    return self.bytes(&bytes);
                }
            }
            Node::Str if object.is_instance_of::<PyString>() => {
                return self.derived(object, depth);
            }
            Node::Int if object.is_instance_of::<PyInt>() && exact != Exact::Bool => {
                return self.derived(object, depth);
            }
            Node::Float => return self.float(object),
            Node::List(inner) | Node::TupleOf(inner) => {
                if exact == Exact::List {
                    return self.list(plan, *inner, &object, depth);
                }
                if object.is_instance_of::<PyList>()
                    || object.is_instance_of::<PyTuple>()
                    || object.is_instance_of::<PySet>()
                    || object.is_instance_of::<PyFrozenSet>()
                {
                    return self.items(plan, *inner, &object, depth);
                }
            }
            Node::Set(inner) | Node::FrozenSet(inner)
                if object.is_instance_of::<PySet>() || object.is_instance_of::<PyFrozenSet>() =>
            {
                return self.items(plan, *inner, &object, depth);
            }
            Node::Tuple { items, required, .. } => {
                if let Ok(tuple) = object.cast::<PyTuple>() {
                    return self.tuple(plan, items, *required, &tuple, depth);
                }
            }
            Node::Dict(key, inner) => {
                if object.is_instance_of::<PyDict>() {
                    return self.dict(plan, *key, *inner, &object, depth);
                }
                if let Ok(items) = object.cast::<pyo3::types::PyMapping>() {
                    let dict = PyDict::from_sequence(items.items()?.as_any())?;
                    return self.dict(plan, *key, *inner, &dict.as_any().as_borrowed(), depth);
                }
            }
            Node::Array { class, dtype }
                if leaf::is_array(object, class.bind(self.py), *dtype)? =>
            {
                return match self.native {
                    true => self.target.keep(object),
                    false => self.target.array(object, depth),
                };
            }
            Node::Registered { class, message } => {
                return match object.is_instance(&class.bind(self.py))? {
                    true => self.registered(*class, object, depth),
                    false => refused(self.py, *message),
                };
            }
            Node::Union(union) => return self.union(plan, union, object, depth),
            Node::Checked(checked) => return self.node(plan, checked.inner, object, depth),
            _ => {}
        }
        fail::invalid(message(node))
    }

    #[inline(always)]
    fn enter(&mut self, depth: usize, object: Any<'_, 'py>) -> Outcome<()> {
        if depth >= T::DEPTH || stack::is_short(depth) {
            return too_deep(object, depth, T::DEPTH);
        }
        if self.tries.is_some() { self.pay(object) } else { Ok(()) }
    }

    /// Pays for the parts of an object inside a union that is tried.
    #[inline(never)]
    fn pay(&mut self, object: Any<'_, 'py>) -> Outcome<()> {
        let items = 1 + tries::width(object);
        self.tries.as_mut().map_or(Ok(()), |tries| tries.spend(self.py, items))
    }

    // --- classes ---

    fn class(
        &mut self,
        plan: &Plan,
        class: &Class,
        object: Any<'_, 'py>,
        depth: usize,
    ) -> Outcome<T::Value> {
        self.enter(depth, object)?;
        if !class.has(object)? {
            return if object.is_none() { fail::null() } else { fail::no_object() };
        }
        if T::COUNTS && (class.omit_none || class.is_dict()) {
            return self.counted(plan, class, object, depth);
        }
        let mut errors = Gathered::default();
        let begun = class.begin(object);
        let mut map = self.target.record(class, class.stored)?;
        for field in &class.fields {
            if !field.stored {
                continue;
            }
            let value = match class.peek(object, field, begun) {
                Some(value) => {
                    // SAFETY: alive until other code runs.
                    let value = unsafe { Borrowed::from_ptr(self.py, value.as_ptr()) };
                    if (T::IS_WHOLE || !class.omit_none) && is_quick(plan, field.node, value) {
                        self.target.field(&mut map, field);
                        let made = self.quick(value)?;
                        self.target.put_field(&mut map, field, made)?;
                        continue;
                    }
                    value.to_owned()
                }
                None => match class.get(object, field)? {
                    // SAFETY: a reference of ours.
                    Some(value) => unsafe { Bound::from_owned_ptr(self.py, value.as_ptr()) },
                    None => {
                        match class.needs(field) {
                            true => self.missing(field, &mut errors),
                            false => self.target.absent(&mut map, field),
                        }
                        continue;
                    }
                },
            };
            if !T::IS_WHOLE && class.omit_none && value.is_none() {
                continue;
            }
            self.target.field(&mut map, field);
            let made = self.node(plan, field.node, value.as_borrowed(), depth + 1);
            self.put_field(&mut map, field, made, &mut errors)?;
        }
        if !errors.is_empty() {
            return errors.fail();
        }
        self.target.end_record(map)
    }

    /// An object of which not all fields are written, where it must be known before how many are.
    #[inline(never)]
    fn counted(
        &mut self,
        plan: &Plan,
        class: &Class,
        object: Any<'_, 'py>,
        depth: usize,
    ) -> Outcome<T::Value> {
        let mut errors = Gathered::default();
        let mut there = Vec::with_capacity(class.fields.len());
        for field in class.fields.iter().filter(|field| field.stored) {
            match class.get(object, field)? {
                // SAFETY: a reference of ours.
                Some(value) => match unsafe { Bound::from_owned_ptr(self.py, value.as_ptr()) } {
                    value if class.omit_none && value.is_none() => {}
                    value => there.push((field, value)),
                },
                None if class.needs(field) => self.missing(field, &mut errors),
                None => {}
            }
        }
        let mut map = self.target.record(class, there.len())?;
        for (field, value) in there {
            self.target.field(&mut map, field);
            let made = self.node(plan, field.node, value.as_borrowed(), depth + 1);
            self.put_field(&mut map, field, made, &mut errors)?;
        }
        if errors.is_empty() { self.target.end_record(map) } else { errors.fail() }
    }

    #[cold]
    fn missing(&self, field: &Field, errors: &mut Gathered) {
        let name = field.key.bind(self.py).to_owned().unbind();
        errors.add(name, fail::Errors::Invalid(fail::Message::Static(fail::REQUIRED)));
    }

    #[inline(always)]
    fn put_field(
        &mut self,
        map: &mut T::Record,
        field: &Field,
        made: Outcome<T::Value>,
        errors: &mut Gathered,
    ) -> Outcome<()> {
        match made {
            Ok(made) => self.target.put_field(map, field, made),
            Err(failed) => errors.take(
                failed,
                || Ok(field.key.bind(self.py).to_owned().unbind()),
                || Segment::key(&String::from_utf8_lossy(&field.key_text)),
            ),
        }
    }

    /// What [`is_quick`]: no code of others runs before it is written, so that nobody need hold it.
    #[inline(always)]
    fn quick(&mut self, object: Any<'_, 'py>) -> Outcome<T::Value> {
        match Exact::of(object) {
            Exact::Str => self.target.text(object),
            Exact::Int => self.target.int(object),
            Exact::Float => {
                // SAFETY: an exact float.
                let x = unsafe { ffi::PyFloat_AS_DOUBLE(object.as_ptr()) };
                self.target.float(object, x)
            }
            _ => self.target.scalar(object),
        }
    }

    // --- containers ---

    fn list(
        &mut self,
        plan: &Plan,
        inner: Id,
        list: &Any<'_, 'py>,
        depth: usize,
    ) -> Outcome<T::Value> {
        self.enter(depth, *list)?;
        // SAFETY: a list.
        let announced = unsafe { ffi::PyList_GET_SIZE(list.as_ptr()) } as usize;
        let mut seq = self.target.seq(announced);
        let mut errors = Gathered::default();
        let mut index = 0;
        while let Some(item) = walk::item_of(list, index) {
            self.item(plan, inner, &item, index, &mut seq, &mut errors, depth)?;
            index += 1;
        }
        if T::COUNTS && index != announced {
            return changed(*list);
        }
        self.end(seq, errors)
    }

    #[inline(always)]
    #[allow(clippy::too_many_arguments, reason = "of one place of a container each")]
    fn item(
        &mut self,
        plan: &Plan,
        inner: Id,
        item: &Bound<'py, PyAny>,
        index: usize,
        seq: &mut T::Seq,
        errors: &mut Gathered,
        depth: usize,
    ) -> Outcome<()> {
        self.target.item(seq);
        match self.node(plan, inner, item.as_borrowed(), depth + 1) {
            Ok(made) => {
                self.target.add(seq, made);
                Ok(())
            }
            Err(failed) => {
                errors.take(failed, || fail::index_name(self.py, index), || Segment::Index(index))
            }
        }
    }

    fn end(&mut self, seq: T::Seq, mut errors: Gathered) -> Outcome<T::Value> {
        if errors.is_empty() { self.target.end(seq) } else { errors.fail() }
    }

    /// What can be gone through once.
    #[inline(never)]
    fn items(
        &mut self,
        plan: &Plan,
        inner: Id,
        items: &Any<'_, 'py>,
        depth: usize,
    ) -> Outcome<T::Value> {
        self.enter(depth, *items)?;
        let announced = items.len()?;
        let mut seq = self.target.seq(announced);
        let mut errors = Gathered::default();
        let mut count = 0;
        for (index, item) in items.try_iter()?.enumerate() {
            self.item(plan, inner, &item?, index, &mut seq, &mut errors, depth)?;
            count += 1;
        }
        if T::COUNTS && count != announced {
            return changed(*items);
        }
        self.end(seq, errors)
    }

    #[inline(never)]
    fn tuple(
        &mut self,
        plan: &Plan,
        nodes: &[Id],
        required: usize,
        tuple: &Bound<'py, PyTuple>,
        depth: usize,
    ) -> Outcome<T::Value> {
        self.enter(depth, tuple.as_any().as_borrowed())?;
        if !(required..=nodes.len()).contains(&tuple.len()) {
            return wrong_length(required, nodes.len());
        }
        let mut seq = self.target.seq(tuple.len());
        let mut errors = Gathered::default();
        for (index, (item, node)) in tuple.iter().zip(nodes).enumerate() {
            self.item(plan, *node, &item, index, &mut seq, &mut errors, depth)?;
        }
        self.end(seq, errors)
    }

    #[inline(never)]
    fn dict(
        &mut self,
        plan: &Plan,
        key: Id,
        inner: Id,
        dict: &Any<'_, 'py>,
        depth: usize,
    ) -> Outcome<T::Value> {
        self.enter(depth, *dict)?;
        // SAFETY: a dict.
        let len = || unsafe { ffi::PyDict_Size(dict.as_ptr()) } as usize;
        if T::COUNTS && !self.keeps_keys(plan, key, dict) {
            let mut objects = Dumper::new(self.py, self.target.objects(self.py), self.native);
            objects.tries = self.tries.take();
            let made = objects.dict(plan, key, inner, dict, depth);
            self.tries = objects.tries.take();
            return self.target.structure(made?, depth);
        }
        let announced = len();
        let mut map = self.target.map(announced)?;
        let mut errors = Gathered::default();
        let (mut at, mut count) = (0, 0);
        while let Some((name, value)) = walk::pair_of(dict, &mut at) {
            let named = self.key(plan, key, name.as_borrowed(), depth);
            let segment = || match name.cast::<PyString>() {
                Ok(text) => Segment::key(&text.to_string_lossy()),
                Err(_) => Segment::KeyOf(count),
            };
            if let Ok(named) = &named {
                let begun = self.target.key(&mut map, named.as_borrowed());
                begun.map_err(|failed| failed.within(segment()))?;
            }
            match (named, self.node(plan, inner, value.as_borrowed(), depth + 1)) {
                (Ok(named), Ok(made)) => {
                    let put = self.target.put(&mut map, named.as_borrowed(), made);
                    put.map_err(|failed| failed.within(segment()))?;
                }
                (named, made) => {
                    // As marshmallow has it: of a key, and of its value.
                    let mut of_pair = Gathered::default();
                    for (part, failed) in [("key", named.err()), ("value", made.err())] {
                        let Some(failed) = failed else { continue };
                        let part = || Ok(PyString::new(self.py, part).into_any().unbind());
                        of_pair.take(failed, part, segment)?;
                    }
                    if let Err(failed) = of_pair.fail::<()>() {
                        errors.take(failed, || fail::told(&name), segment)?;
                    }
                }
            }
            count += 1;
            if count > announced {
                break;
            }
        }
        if count != announced || len() != announced {
            return changed(*dict);
        }
        if errors.is_empty() { self.target.end_map(map) } else { errors.fail() }
    }

    /// Whether the keys of a dict are written as they are, so that no two of them become one.
    fn keeps_keys(&self, plan: &Plan, id: Id, dict: &Any<'_, 'py>) -> bool {
        let node = plan.node(id);
        let (mut at, mut keeps) = (0, true);
        while let (true, Some((key, _))) = (keeps, walk::pair_of(dict, &mut at)) {
            let key = Exact::of(key.as_borrowed());
            keeps = match node {
                Node::Str | Node::Any => key == Exact::Str,
                Node::Int => key == Exact::Int,
                _ => false,
            };
        }
        keeps
    }

    /// A key as a plain object.
    fn key(
        &mut self,
        plan: &Plan,
        id: Id,
        name: Any<'_, 'py>,
        depth: usize,
    ) -> Outcome<Bound<'py, PyAny>> {
        if let (Node::Str | Node::Any, Exact::Str) = (plan.node(id), Exact::of(name)) {
            return Ok(name.to_owned());
        }
        let native = self.native && !T::IS_TEXT;
        let mut target = self.target.objects(self.py);
        target.are_keys = native;
        let mut objects = Dumper::new(self.py, target, native);
        objects.tries = self.tries.take();
        let made = objects.node(plan, id, name, depth + 1);
        self.tries = objects.tries.take();
        made
    }

    // --- leaves ---

    fn choice(&mut self, choice: &Choice, object: Any<'_, 'py>, depth: usize) -> Outcome<T::Value> {
        if let Some(item) = choice.of_inner(object.as_ptr()) {
            return self.target.scalar(item.outer.bind(self.py));
        }
        self.rare_choice(choice, object, depth)
    }

    #[cold]
    fn rare_choice(
        &mut self,
        choice: &Choice,
        object: Any<'_, 'py>,
        depth: usize,
    ) -> Outcome<T::Value> {
        if object.is_none() {
            return fail::null();
        }
        if let Some(class) = choice.class {
            if choice.asks && object.is_instance(&class.bind(self.py))? {
                let value = object.getattr(intern!(self.py, "value"))?;
                return self.derived(value.as_borrowed(), depth);
            }
            return refused(self.py, choice.message);
        }
        // A Literal's value that is equal, and of the same type.
        for item in &choice.items {
            let inner = item.inner.bind(self.py);
            if inner.get_type().is(object.get_type()) && inner.eq(object)? {
                return self.target.scalar(item.outer.bind(self.py));
            }
        }
        refused(self.py, choice.message)
    }

    /// What derives from str or int, as that.
    #[cold]
    fn derived(&mut self, object: Any<'_, 'py>, depth: usize) -> Outcome<T::Value> {
        let plain = if object.is_instance_of::<PyString>() {
            // SAFETY: an exact str of the same characters, or null.
            unsafe {
                let made = ffi::PyUnicode_FromObject(object.as_ptr());
                Bound::from_owned_ptr_or_err(self.py, made)?
            }
        } else if object.is_instance_of::<PyInt>() {
            // Without methods of its own.
            let int = self.py.get_type::<PyInt>();
            let made = int.call_method1(intern!(self.py, "__index__"), (object,))?;
            int.call1((made,))?
        } else {
            return self.any(object, depth);
        };
        self.target.scalar(plain.as_borrowed())
    }

    #[cold]
    fn float(&mut self, object: Any<'_, 'py>) -> Outcome<T::Value> {
        if object.is_instance_of::<PyBool>()
            || !(object.is_instance_of::<PyFloat>() || object.is_instance_of::<PyInt>())
        {
            return fail::invalid(message(&Node::Float));
        }
        let Ok(x) = object.extract::<f64>() else {
            return fail::invalid(message(&Node::Float));
        };
        if !self.native && !x.is_finite() {
            return fail::invalid(fail::NOT_FINITE);
        }
        self.target.scalar(PyFloat::new(self.py, x).as_any().as_borrowed())
    }

    fn bytes(&mut self, bytes: &Bound<'py, PyBytes>) -> Outcome<T::Value> {
        if self.native {
            return self.target.keep(bytes.as_any().as_borrowed());
        }
        let text = plans::base64(bytes)?;
        self.target.ascii(text.as_bytes())
    }

    /// What is text outside; `None` if the object is of another type.
    #[inline(always)]
    fn leaf(&mut self, node: &Node, object: Any<'_, 'py>) -> Outcome<Option<T::Value>> {
        let keep = self.native;
        match node {
            Node::Uuid if keep => {
                match object.is_instance(Types::get(self.py)?.uuid.bind(self.py))? {
                    true => self.target.keep(object).map(Some),
                    false => Ok(None),
                }
            }
            Node::Uuid => {
                let mut text = leaf::Short::new();
                if !leaf::uuid_text(&mut text, object)? {
                    return Ok(None);
                }
                self.target.short(&text).map(Some)
            }
            Node::Temporal { which, format, .. } => self.temporal(*which, *format, object),
            Node::Decimal { step, rounding } => self.decimal(*step, *rounding, object),
            Node::Delta => {
                let Ok(delta) = object.cast::<PyDelta>() else { return Ok(None) };
                if keep {
                    return self.target.keep(object).map(Some);
                }
                self.target.short(&leaf::delta_text(&delta)?).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn temporal(
        &mut self,
        which: Temporal,
        format: Option<Held>,
        object: Any<'_, 'py>,
    ) -> Outcome<Option<T::Value>> {
        let fits = match which {
            Temporal::DateTime => object.is_instance_of::<PyDateTime>(),
            Temporal::Date => {
                object.is_instance_of::<PyDate>() && !object.is_instance_of::<PyDateTime>()
            }
            Temporal::Time => object.is_instance_of::<PyTime>(),
        };
        if !fits {
            return Ok(None);
        }
        if self.native {
            return self.target.keep(object).map(Some);
        }
        if let Some(format) = format {
            temporal::a_point(&object, temporal::OR_ROUND)?;
            let text =
                object.call_method1(intern!(self.py, "strftime"), (format.bind(self.py),))?;
            return self.target.scalar(text.as_borrowed()).map(Some);
        }
        let mut text = leaf::Short::new();
        if let Ok(moment) = object.cast::<PyDateTime>() {
            leaf::datetime_text(&mut text, &moment)?;
        } else if let Ok(day) = object.cast::<PyDate>() {
            leaf::date_text(&mut text, &*day);
        } else {
            let time = object.cast::<PyTime>().map_err(PyErr::from)?;
            leaf::time_text(&mut text, &time)?;
        }
        self.target.short(&text).map(Some)
    }

    fn decimal(
        &mut self,
        step: Option<Held>,
        rounding: Option<Held>,
        object: Any<'_, 'py>,
    ) -> Outcome<Option<T::Value>> {
        let py = self.py;
        let class = Types::get(py)?.decimal.bind(py);
        if object.get_type_ptr().cast() != class.as_ptr() && !object.is_instance(class)? {
            return Ok(None);
        }
        let mut value = object.to_owned();
        if let Some(step) = step {
            let rounding = rounding.map(|rounding| rounding.bind(py));
            let Some(made) = leaf::rounded(&value, step.bind(py), rounding)? else {
                return Ok(None);
            };
            // SAFETY: a reference of ours.
            value = unsafe { Bound::from_owned_ptr(py, made.as_ptr()) };
        }
        let written = own_text(value.as_borrowed(), class)?;
        let borrowed = written.as_borrowed();
        let text = text(&borrowed)?.as_bytes();
        // Those that are no number, or endless, begin with a letter.
        let is_finite =
            text.strip_prefix(b"-").unwrap_or(text).first().is_some_and(u8::is_ascii_digit);
        if !is_finite {
            return fail::invalid(fail::NOT_FINITE);
        }
        match self.native {
            true => self.target.keep_decimal(value.as_borrowed(), text).map(Some),
            false => self.target.plain_text(borrowed, text).map(Some),
        }
    }

    // --- what has no type ---

    /// An object of which nothing is known, by its own type.
    #[inline(never)]
    pub(super) fn any(&mut self, object: Any<'_, 'py>, depth: usize) -> Outcome<T::Value> {
        match Exact::of(object) {
            Exact::Str | Exact::Int | Exact::Bool | Exact::None => self.target.scalar(object),
            Exact::Float => self.float(object),
            Exact::List | Exact::Tuple | Exact::Dict => {
                let plan = plans::untyped(self.py)?;
                let plan = plan.get();
                match Exact::of(object) {
                    Exact::List => self.list(plan, 0, &object, depth),
                    Exact::Dict => self.dict(plan, 0, 0, &object, depth),
                    _ => self.items(plan, 0, &object, depth),
                }
            }
            _ => self.any_other(object, depth),
        }
    }

    #[cold]
    fn any_other(&mut self, object: Any<'_, 'py>, depth: usize) -> Outcome<T::Value> {
        self.enter(depth, object)?;
        // Who keeps them knows more than their values.
        let py = self.py;
        if !self.target.keeps() && object.is_instance(Types::get(py)?.enumeration.bind(py))? {
            let value = object.getattr(intern!(py, "value"))?;
            return self.any(value.as_borrowed(), depth + 1);
        }
        for node in [Node::Uuid, Node::Decimal { step: None, rounding: None }, Node::Delta] {
            if let Some(made) = self.leaf(&node, object)? {
                return Ok(made);
            }
        }
        for which in [Temporal::DateTime, Temporal::Date, Temporal::Time] {
            if let Some(made) = self.temporal(which, None, object)? {
                return Ok(made);
            }
        }
        if let Ok(bytes) = object.cast::<PyBytes>() {
            return self.bytes(&bytes);
        }
        if let Some(plan) = plans::of_object(&object)? {
            return self.node(plan.get(), plan.get().root, object, depth);
        }
        if !self.target.keeps()
            && let Some(made) = untyped::plain(&object, !T::IS_TEXT)?
        {
            return self.any(made.as_borrowed(), depth + 1);
        }
        let untyped = plans::untyped(self.py)?;
        if object.is_instance_of::<PyDict>() {
            return self.dict(untyped.get(), 0, 0, &object, depth);
        }
        if object.is_instance_of::<PySet>()
            || object.is_instance_of::<PyFrozenSet>()
            || object.is_instance_of::<PyList>()
            || object.is_instance_of::<PyTuple>()
        {
            return self.items(untyped.get(), 0, &object, depth);
        }
        if object.is_instance_of::<PyString>() || object.is_instance_of::<PyInt>() {
            return self.derived(object, depth);
        }
        if object.is_instance_of::<PyFloat>() {
            return self.float(object);
        }
        self.target.foreign(object, depth)
    }
}

/// Whether an object is of a node's type, and of one of the basic types whose objects are written in one step.
#[inline(always)]
fn is_quick(plan: &Plan, id: Id, object: Any<'_, '_>) -> bool {
    let kind = object.get_type_ptr();
    let mut node = plan.node(id);
    if let Node::Optional(inner) = node {
        if object.is_none() {
            return true;
        }
        node = plan.node(*inner);
    }
    match node {
        Node::Str => compact_ascii(&object).is_some(),
        Node::Int => kind == &raw mut ffi::PyLong_Type && small_int(object).is_some(),
        Node::Bool => kind == &raw mut ffi::PyBool_Type,
        Node::Float => {
            kind == &raw mut ffi::PyFloat_Type
                // SAFETY: an exact float.
                && unsafe { ffi::PyFloat_AS_DOUBLE(object.as_ptr()) }.is_finite()
        }
        _ => false,
    }
}

#[cold]
pub(super) fn refused<T>(py: Python<'_>, message: Held) -> Outcome<T> {
    let message = fail::Message::Object(message.bind(py).to_owned().unbind());
    fail::of(fail::Errors::Invalid(message))
}

#[cold]
pub(super) fn wrong_length<T>(required: usize, len: usize) -> Outcome<T> {
    let text = match required == len {
        true => format!("Length must be {len}."),
        false => format!("Length must be between {required} and {len}."),
    };
    fail::of(fail::Errors::Invalid(fail::Message::Owned(text.into())))
}

#[cold]
fn too_deep<T>(object: Any<'_, '_>, depth: usize, limit: usize) -> Outcome<T> {
    if depth < limit {
        return Err(Fault::short_of_stack(type_name(&object)).into());
    }
    let what = format!("more than {limit} objects and containers inside each other");
    let hint = "flatten it, or look for one that contains itself";
    Err(Fault::refused(what, type_name(&object), hint).into())
}

#[cold]
fn changed<T>(container: Any<'_, '_>) -> Outcome<T> {
    let kind = type_name(&container);
    Err(Fault::refused(format!("a {kind} changed while it was dumped"), kind, "dump a copy of it")
        .into())
}

/// A key of a dict as JSON has it.
pub(super) fn key_text<'py>(key: Any<'_, 'py>) -> Outcome<Option<String>> {
    if let Some(n) = (Exact::of(key) == Exact::Int).then(|| small_int(key)).flatten() {
        return Ok(Some(n.to_string()));
    }
    Ok(match Exact::of(key) {
        Exact::Str => None,
        _ => Some(json::key_text(&key)?),
    })
}
