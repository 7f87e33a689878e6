//! Unions: which of several types an object or an item is of.
//!
//! What is seen from outside decides where it can, a field that tells classes apart next, then the shape; what is left
//! is tried.

use super::class::{Object, owned};
use super::dump::Dumper;
use super::fail::{self, Errors, Fail, Message, Outcome};
use super::load::Loader;
use super::message;
use super::plan::{Id, Node, Plan, Temporal, Union};
use super::source::{Kind, Plain, Source};
use super::target::Target;
use super::tries::Tries;
use crate::value::types::{Exact, Types};
use pyo3::prelude::*;
use pyo3::types::{
    PyBytes, PyDate, PyDateTime, PyDelta, PyDict, PyFloat, PyFrozenSet, PyInt, PyList, PySet,
    PyString, PyTime, PyTuple,
};
use std::ptr::NonNull;

type Any<'a, 'py> = Borrowed<'a, 'py, PyAny>;

impl<'py, T: Target<'py>> Dumper<'py, T> {
    pub(super) fn union(
        &mut self,
        plan: &Plan,
        union: &Union,
        object: Any<'_, 'py>,
        depth: usize,
    ) -> Outcome<T::Value> {
        let mut fitting = Vec::new();
        for weak in [false, true] {
            for &id in &union.items {
                if fits(plan, id, object, weak)? {
                    fitting.push(id);
                }
            }
            if !fitting.is_empty() {
                break;
            }
        }
        match fitting[..] {
            [] if object.is_none() => fail::null(),
            [] => fail::of(refusals(self.py, plan, union)),
            [one] => self.node(plan, one, object, depth),
            _ => {
                let is_outermost = self.tries.is_none();
                let whole = || Tries::of(&object.to_owned());
                let tries = self.tries.take().unwrap_or_else(whole);
                self.attempts(plan, &fitting, object, depth, tries, is_outermost)
            }
        }
    }

    /// The first of several types by which the object is valid.
    #[cold]
    fn attempts(
        &mut self,
        plan: &Plan,
        fitting: &[Id],
        object: Any<'_, 'py>,
        depth: usize,
        tries: Tries,
        is_outermost: bool,
    ) -> Outcome<T::Value> {
        let mut failed = None;
        // What was written can't be taken back: so to an object first.
        let mut objects = Dumper::new(self.py, self.target.objects(self.py), self.native);
        objects.tries = Some(tries);
        for &id in fitting {
            if let Some(tries) = &mut objects.tries {
                tries.spend(self.py, 1)?;
            }
            match objects.node(plan, id, object, depth) {
                Ok(made) => {
                    self.tries = objects.tries.take().filter(|_| !is_outermost);
                    return self.target.structure(made, depth);
                }
                Err(fail) if matches!(*fail, Fail::Invalid(_)) => failed = failed.or(Some(fail)),
                Err(fail) => return Err(fail),
            }
        }
        self.tries = objects.tries.take().filter(|_| !is_outermost);
        failed.map_or_else(fail::null, Err)
    }
}

/// Whether an object is of a node's type, as far as that is seen from outside; `weak` lets ints be floats.
fn fits(plan: &Plan, id: Id, object: Any<'_, '_>, weak: bool) -> PyResult<bool> {
    let py = object.py();
    let exact = Exact::of(object);
    Ok(match plan.node(id) {
        Node::Any => true,
        Node::None => exact == Exact::None,
        Node::Bool => exact == Exact::Bool,
        Node::Int => object.is_instance_of::<PyInt>() && exact != Exact::Bool,
        Node::Float => {
            object.is_instance_of::<PyFloat>()
                || (weak && object.is_instance_of::<PyInt>() && exact != Exact::Bool)
        }
        Node::Str => object.is_instance_of::<PyString>(),
        Node::Bytes => object.is_instance_of::<PyBytes>(),
        Node::Uuid => object.is_instance(Types::get(py)?.uuid.bind(py))?,
        Node::Decimal { .. } => object.is_instance(Types::get(py)?.decimal.bind(py))?,
        Node::Delta => object.is_instance_of::<PyDelta>(),
        Node::Temporal { which, .. } => match which {
            Temporal::DateTime => object.is_instance_of::<PyDateTime>(),
            Temporal::Date => {
                object.is_instance_of::<PyDate>() && !object.is_instance_of::<PyDateTime>()
            }
            Temporal::Time => object.is_instance_of::<PyTime>(),
        },
        Node::Choice(choice) => match choice.class {
            Some(class) => object.is_instance(&class.bind(py))?,
            None => {
                let mut found = false;
                for item in &choice.items {
                    let inner = item.inner.bind(py);
                    found |= inner.is(object)
                        || (inner.get_type().is(object.get_type()) && inner.eq(object)?);
                }
                found
            }
        },
        Node::Registered { class, .. } => object.is_instance(&class.bind(py))?,
        Node::Array { class, dtype } => super::leaf::is_array(object, class.bind(py), *dtype)?,
        Node::List(_) => object.is_instance_of::<PyList>(),
        Node::Set(_) => object.is_instance_of::<PySet>(),
        Node::FrozenSet(_) => object.is_instance_of::<PyFrozenSet>(),
        Node::TupleOf(_) => object.is_instance_of::<PyTuple>(),
        Node::Tuple { class: Some(class), .. } => object.is_instance(&class.bind(py))?,
        Node::Tuple { items, .. } => {
            object.cast::<PyTuple>().is_ok_and(|tuple| tuple.len() == items.len())
        }
        Node::Dict(..) => object.is_instance_of::<PyDict>(),
        Node::Optional(inner) => exact == Exact::None || fits(plan, *inner, object, weak)?,
        Node::Same(inner) => fits(plan, *inner, object, weak)?,
        Node::Checked(checked) => fits(plan, checked.inner, object, weak)?,
        Node::Union(union) => {
            for &item in &union.items {
                if fits(plan, item, object, weak)? {
                    return Ok(true);
                }
            }
            false
        }
        Node::Class(class) if class.is_dict() && object.is_instance_of::<PyDict>() => {
            // The keys that must be there tell.
            let mut has_all = true;
            for field in class.fields.iter().filter(|field| field.required) {
                has_all &= object.contains(field.name.bind(py))?;
            }
            has_all
        }
        Node::Class(class) => class.has(object)?,
    })
}

/// What each type of a union says of a value that is of none.
#[cold]
fn refusals(py: Python<'_>, plan: &Plan, union: &Union) -> Errors {
    let mut said = Vec::new();
    for &id in &union.items {
        refusal(py, plan, id, &mut said);
    }
    let mut told: Vec<String> = Vec::new();
    said.retain(|one| {
        let text = one.bind(py).to_string();
        let is_new = !told.contains(&text);
        told.extend(is_new.then_some(text));
        is_new
    });
    Errors::Invalids(said)
}

/// What a type says, in its own words if it has such.
fn refusal(py: Python<'_>, plan: &Plan, id: Id, said: &mut Vec<Py<PyAny>>) {
    let text = match plan.node(id) {
        Node::Same(inner) | Node::Optional(inner) => return refusal(py, plan, *inner, said),
        Node::Checked(checked) => match checked.invalid {
            Some(own) => return said.push(own.bind(py).to_owned().unbind()),
            None => return refusal(py, plan, checked.inner, said),
        },
        Node::Union(union) => {
            return union.items.iter().for_each(|&id| refusal(py, plan, id, said));
        }
        Node::Choice(choice) => return said.push(choice.message.bind(py).to_owned().unbind()),
        Node::Registered { message, .. } => {
            return said.push(message.bind(py).to_owned().unbind());
        }
        Node::Class(_) => fail::NO_OBJECT,
        node => message(node),
    };
    said.push(PyString::new(py, text).into_any().unbind());
}

impl<'py, S: Source<'py>> Loader<'py, S> {
    #[inline(never)]
    pub(super) fn union(
        &mut self,
        plan: &Plan,
        union: &Union,
        item: S::Item,
        kind: Kind,
        depth: usize,
    ) -> Outcome<Object> {
        let mut fitting = Vec::new();
        for weak in [false, true] {
            for &id in &union.items {
                if accepts(plan, id, kind, weak, self.source.as_object(item))? {
                    fitting.push(id);
                }
            }
            if !fitting.is_empty() {
                break;
            }
        }
        let is_scalar = matches!(kind, Kind::Bool | Kind::Int | Kind::Float | Kind::Str);
        let coerces = is_scalar && self.options.coerce;
        match fitting[..] {
            [] if !coerces => {
                self.source.pass(item)?;
                return match kind {
                    Kind::Null => fail::null(),
                    _ => fail::of(refusals(self.py, plan, union)),
                };
            }
            [one] if !coerces => {
                let made = self.node(plan, one, item, depth);
                return made.map_err(|failed| widened(self.py, plan, union, is_scalar, failed));
            }
            _ => {}
        }
        if kind == Kind::Map
            && let Some(tag) = &union.tag
        {
            let classes = fitting.iter().filter(|&&id| matches!(plan.bare(id), Node::Class(_)));
            if classes.count() == fitting.len() {
                let of_value = |text: &[u8]| {
                    tag.values.iter().find(|(value, _)| **value == *text).map(|&(_, id)| id)
                };
                let key = tag.key.bind(self.py);
                if let Some(Some(id)) = self.source.tag_text(item, key, &tag.key_text, of_value)? {
                    return self.node(plan, id, item, depth);
                }
            }
        }
        // Looked at more than once: as an object.
        let object = self.source.take(item);
        let object = object.map_err(|failed| widened(self.py, plan, union, is_scalar, failed))?;
        let object = owned(self.py, object);
        let mut inner = Loader::new(self.py, Plain { py: self.py }, self.options);
        let is_outermost = self.tries.is_none();
        inner.tries = self.tries.take().or_else(|| Some(Tries::of(&object)));
        let made = inner.attempts(plan, union, &mut fitting, &object, depth, coerces);
        if !is_outermost {
            self.tries = inner.tries.take();
        }
        made.map_err(|failed| widened(self.py, plan, union, is_scalar, failed))
    }
}

impl<'py> Loader<'py, Plain<'py>> {
    /// The first of several types that takes an object; classes by their tag or, without one, those first whose fields
    /// are the object's. What none takes as it is may be coerced by any, if that `coerces` a scalar.
    #[inline(never)]
    fn attempts(
        &mut self,
        plan: &Plan,
        union: &Union,
        fitting: &mut Vec<Id>,
        object: &Bound<'py, PyAny>,
        depth: usize,
        coerces: bool,
    ) -> Outcome<Object> {
        // SAFETY: a reference is never null.
        let item = unsafe { NonNull::new_unchecked(object.as_ptr()) };
        if let Ok(dict) = object.cast::<PyDict>() {
            if let Some(tag) = &union.tag {
                let of_value = |text: &[u8]| {
                    tag.values.iter().find(|(value, _)| **value == *text).map(|&(_, id)| id)
                };
                let key = tag.key.bind(self.py);
                let found = match self.source.tag_text(item, key, &tag.key_text, of_value)? {
                    Some(found) => found,
                    None => match dict.get_item(key)? {
                        Some(value) => tag.of_other(&value)?,
                        None => None,
                    },
                };
                let found = match dict.get_item(key)? {
                    Some(value) if found.is_none() && self.options.coerce => tag.coerced(&value)?,
                    _ => found,
                };
                match found {
                    Some(id) => return self.node(plan, id, item, depth),
                    _ if fitting.iter().all(|&id| matches!(plan.bare(id), Node::Class(_))) => {
                        let message = match dict.contains(key)? {
                            true => Message::Owned(tag.message.clone()),
                            false => Message::Static(fail::REQUIRED),
                        };
                        let name = key.to_owned().unbind();
                        return fail::of(Errors::Within(vec![(name, Errors::Invalid(message))]));
                    }
                    _ => {}
                }
            }
            let mut ranked = Vec::with_capacity(fitting.len());
            for &id in &*fitting {
                ranked.push((shape(plan, id, dict)?, id));
            }
            ranked.sort_by_key(|&(rank, _)| rank);
            *fitting = ranked.into_iter().map(|(_, id)| id).collect();
        }
        let made = match self.options.coerce {
            false => self.first_of(plan, fitting, item, depth)?,
            true => {
                self.options.coerce = false;
                let strictly = self.first_of(plan, fitting, item, depth)?;
                self.options.coerce = true;
                match strictly {
                    Ok(made) => return Ok(made),
                    Err(_) if coerces => {
                        *fitting = union.items.to_vec();
                        // Text that is a number is rather that than a truth.
                        fitting.sort_by_key(|&id| matches!(plan.bare(id), Node::Bool));
                        self.first_of(plan, fitting, item, depth)?
                    }
                    Err(_) => self.first_of(plan, fitting, item, depth)?,
                }
            }
        };
        made.or_else(|failed| failed.map_or_else(fail::null, Err))
    }

    /// What the first type makes of an item that takes it, or what is wrong with it.
    fn first_of(
        &mut self,
        plan: &Plan,
        ids: &[Id],
        item: Object,
        depth: usize,
    ) -> Outcome<Result<Object, Option<Box<Fail>>>> {
        let mut failed: Option<Box<Fail>> = None;
        for &id in ids {
            if let Some(tries) = &mut self.tries {
                tries.spend(self.py, 1)?;
            }
            match self.node(plan, id, item, depth) {
                Ok(made) => return Ok(Ok(made)),
                Err(fail) if matches!(*fail, Fail::Invalid(_)) => {
                    failed = Some(match failed {
                        None => fail,
                        Some(first) => joined(self.py, first, *fail)?,
                    });
                }
                Err(fail) => return Err(fail),
            }
        }
        Ok(Err(failed))
    }
}

/// What is wrong with a scalar that is of no type of a union: what each of them says, also those that took no look at it.
#[cold]
fn widened(
    py: Python<'_>,
    plan: &Plan,
    union: &Union,
    is_scalar: bool,
    failed: Box<Fail>,
) -> Box<Fail> {
    match &*failed {
        Fail::Invalid(errors) if is_scalar && errors.is_mismatch() => {
            Box::new(Fail::Invalid(refusals(py, plan, union)))
        }
        _ => failed,
    }
}

/// What two types of a union say: what is said of a value of the right type rather than that it is of the wrong one; the messages
/// of both, if these are about the value itself; else the first one's.
#[cold]
fn joined(py: Python<'_>, first: Box<Fail>, second: Fail) -> Outcome<Box<Fail>> {
    let messages = |errors: &Errors| match errors {
        Errors::Null => Some(vec![PyString::new(py, fail::NULL).into_any().unbind()]),
        Errors::Invalid(message) => Some(vec![message.to_python(py).unbind()]),
        Errors::Invalids(said) | Errors::Said(said) => {
            Some(said.iter().map(|one| one.clone_ref(py)).collect())
        }
        _ => None,
    };
    let (Fail::Invalid(a), Fail::Invalid(b)) = (&*first, &second) else { return Ok(first) };
    let is_mismatch = match (a.is_mismatch(), b.is_mismatch()) {
        (true, false) if messages(b).is_some() => return Ok(Box::new(second)),
        (false, true) => return Ok(first),
        (both, _) => both,
    };
    let (Some(mut all), Some(more)) = (messages(a), messages(b)) else { return Ok(first) };
    for one in more {
        let mut known = false;
        for other in &all {
            known |= other.bind(py).eq(&one)?;
        }
        if !known {
            all.push(one);
        }
    }
    Ok(Box::new(Fail::Invalid(match is_mismatch {
        true => Errors::Invalids(all),
        false => Errors::Said(all),
    })))
}

/// How far a dict's keys are from a class's fields: those that are missing, then those that are not known.
fn shape(plan: &Plan, id: Id, dict: &Bound<'_, PyDict>) -> PyResult<(usize, usize)> {
    let Node::Class(class) = plan.bare(id) else { return Ok((0, 0)) };
    let (mut missing, mut known) = (0, 0);
    for field in &class.fields {
        match dict.contains(field.key.bind(dict.py()))? {
            true => known += 1,
            false => missing += usize::from(field.required),
        }
    }
    Ok((missing, dict.len().saturating_sub(known)))
}

/// Whether a node takes items of a kind; `weak` lets ints be floats and numbers Decimals.
fn accepts(
    plan: &Plan,
    id: Id,
    kind: Kind,
    weak: bool,
    object: Option<Borrowed<'_, '_, PyAny>>,
) -> PyResult<bool> {
    if kind == Kind::Other
        && let Some(object) = object
    {
        return fits(plan, id, object, weak);
    }
    Ok(match plan.bare(id) {
        Node::Any => true,
        // What they are outside, their decoder knows alone.
        Node::Registered { .. } => kind != Kind::Null,
        Node::None => kind == Kind::Null,
        Node::Optional(inner) => kind == Kind::Null || accepts(plan, *inner, kind, weak, object)?,
        Node::Bool => kind == Kind::Bool,
        Node::Int => kind == Kind::Int,
        Node::Float => kind == Kind::Float || (weak && kind == Kind::Int),
        Node::Decimal { .. } => {
            kind == Kind::Str || (weak && matches!(kind, Kind::Int | Kind::Float))
        }
        Node::Str | Node::Bytes | Node::Uuid | Node::Delta | Node::Temporal { .. } => {
            kind == Kind::Str
        }
        Node::Choice(choice) => {
            choice.asks
                || choice.items.iter().any(|item| match kind {
                    Kind::Str => item.text.is_some(),
                    Kind::Int | Kind::Float | Kind::Bool | Kind::Null => item.text.is_none(),
                    _ => false,
                })
        }
        Node::List(_) | Node::Set(_) | Node::FrozenSet(_) => kind == Kind::List,
        Node::Array { .. } => weak && kind == Kind::List,
        Node::TupleOf(_) | Node::Tuple { .. } => kind == Kind::List,
        Node::Dict(..) | Node::Class(_) => kind == Kind::Map,
        Node::Union(union) => {
            for &item in &union.items {
                if accepts(plan, item, kind, weak, object)? {
                    return Ok(true);
                }
            }
            false
        }
        Node::Same(_) | Node::Checked(_) => true,
    })
}
