//! Scalars that are loaded, where they are more than one look.

use super::class::{Object, new_reference, owned};
use super::dump::refused;
use super::fail::{self, Fail, Outcome};
use super::load::Loader;
use super::plan::{Choice, Node, Temporal};
use super::source::{Kind, Plain, Source};
use super::{leaf, message};
use crate::value::types::{Exact, Types};
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{
    PyBool, PyByteArray, PyBytes, PyDate, PyDateTime, PyDelta, PyFloat, PyInt, PyMemoryView,
    PyString, PyTime,
};
use std::ptr::NonNull;

impl<'py, S: Source<'py>> Loader<'py, S> {
    #[cold]
    pub(super) fn choice(&mut self, choice: &Choice, item: S::Item) -> Outcome<Object> {
        let py = self.py;
        let given = match self.source.take(item) {
            Err(failed) if matches!(*failed, Fail::Invalid(_)) => {
                return refused(py, choice.message);
            }
            given => owned(py, given?),
        };
        if let Some(found) = choice.of_inner(given.as_ptr()) {
            return Ok(new_reference(found.inner.bind(py)));
        }
        let text = given.cast_exact::<PyString>().ok().and_then(|text| text.to_str().ok());
        if let Some(found) = text.and_then(|text| choice.of_text(text.as_bytes())) {
            return Ok(new_reference(found.inner.bind(py)));
        }
        for found in choice.items.iter().filter(|_| text.is_none()) {
            let outer = found.outer.bind(py);
            if outer.is(&given) || (outer.get_type().is(given.get_type()) && outer.eq(&given)?) {
                return Ok(new_reference(found.inner.bind(py)));
            }
        }
        if given.is_none() {
            return fail::null();
        }
        if let Some(member) = asked(choice, &given)? {
            return Ok(member);
        }
        if self.options.coerce
            && let Some(found) = coerced_choice(choice, &given)?
        {
            return Ok(found);
        }
        refused(py, choice.message)
    }

    #[cold]
    pub(super) fn rare_choice_text(&mut self, choice: &Choice, item: S::Item) -> Outcome<Object> {
        // A str that is no key outside may be a member inside.
        if let Some(object) = self.source.as_object(item)
            && let Some(found) = choice.of_inner(object.as_ptr())
        {
            return Ok(new_reference(found.inner.bind(self.py)));
        }
        refused(self.py, choice.message)
    }

    #[inline(never)]
    pub(super) fn decimal(&mut self, node: &Node, item: S::Item, kind: Kind) -> Outcome<Object> {
        let Node::Decimal { step, rounding } = node else { return fail::invalid(message(node)) };
        let py = self.py;
        let made = match kind {
            Kind::Str => self.source.text(item, |text| leaf::decimal(py, text))??,
            _ => {
                let is_minus_zero = kind == Kind::Int && self.source.is_minus_zero(item);
                let exact = self.source.exact(item)?;
                let is_exact = exact.is_some();
                let given = match exact {
                    Some(given) => given,
                    None => self.source.take(item)?,
                };
                if is_exact && kind == Kind::Float {
                    Some(given)
                } else {
                    let given = owned(py, given);
                    match kind {
                        _ if is_minus_zero => leaf::decimal(py, b"-0")?,
                        Kind::Int => leaf::decimal_of(&given)?,
                        // As it is written: 0.1 is a tenth.
                        _ => leaf::decimal(py, given.repr()?.to_string().as_bytes())?,
                    }
                }
            }
        };
        let Some(made) = made else { return fail::invalid(message(node)) };
        let Some(step) = step else { return Ok(made) };
        let rounding = rounding.map(|rounding| rounding.bind(py));
        let made = leaf::rounded(&owned(py, made), step.bind(py), rounding)?;
        made.map_or_else(|| fail::invalid(message(node)), Ok)
    }

    /// A date or time by a format of its own.
    #[inline(never)]
    pub(super) fn formatted(
        &mut self,
        which: Temporal,
        class: Borrowed<'_, 'py, PyAny>,
        format: Borrowed<'_, 'py, PyAny>,
        item: S::Item,
    ) -> Outcome<Object> {
        let py = self.py;
        let text = self.source.take(item)?;
        let text = owned(py, text);
        let moment = match which {
            Temporal::DateTime => class.call_method1(intern!(py, "strptime"), (text, format)),
            _ => py
                .get_type::<PyDateTime>()
                .call_method1(intern!(py, "strptime"), (text, format))
                .and_then(|moment| match which {
                    Temporal::Date => moment.call_method0(intern!(py, "date")),
                    _ => moment.call_method0(intern!(py, "timetz")),
                }),
        };
        match moment {
            // SAFETY: a reference is never null.
            Ok(moment) => Ok(unsafe { NonNull::new_unchecked(moment.into_ptr()) }),
            Err(error) if error.is_instance_of::<pyo3::exceptions::PyValueError>(py) => {
                fail::invalid(super::temporal_message(which))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// What marshmallow makes of values of other types, on request. What it takes is gone past.
    #[cold]
    pub(super) fn coerced(
        &mut self,
        node: &Node,
        item: S::Item,
        kind: Kind,
    ) -> Outcome<Option<Object>> {
        match self.source.take(item) {
            Err(failed) if matches!(*failed, Fail::Invalid(_)) => fail::invalid(message(node)),
            given => coerced(node, &owned(self.py, given?), kind),
        }
    }
}

/// What a value of another type is as one of a node's, where that is plain.
#[cold]
fn coerced(node: &Node, given: &Bound<'_, PyAny>, kind: Kind) -> Outcome<Option<Object>> {
    let py = given.py();
    let text = match kind {
        Kind::Str => given.extract::<&str>().ok().map(str::trim),
        _ => None,
    };
    let made = match (node, kind, text) {
        (Node::Str, Kind::Int | Kind::Float, _) => match given.str() {
            Ok(text) => text.into_any(),
            // More digits than this Python writes.
            Err(error) if error.is_instance_of::<PyValueError>(py) => return Ok(None),
            Err(error) => return Err(error.into()),
        },
        (Node::Int, Kind::Str, Some(text)) => {
            let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
            if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return Ok(None);
            }
            match py.get_type::<PyInt>().call1((text,)) {
                Ok(made) => made,
                Err(_) => return Ok(None),
            }
        }
        (Node::Int, Kind::Float, _) => {
            let x: f64 = given.extract()?;
            if !x.is_finite() || x.fract() != 0.0 {
                return Ok(None);
            }
            given.call_method0(intern!(py, "__int__"))?
        }
        (Node::Float, Kind::Str, Some(text)) => match text.parse::<f64>() {
            Ok(x) if x.is_finite() => PyFloat::new(py, x).into_any(),
            _ => return Ok(None),
        },
        (Node::Float, Kind::Int, _) => match given.extract::<f64>() {
            Ok(x) => PyFloat::new(py, x).into_any(),
            Err(_) => return Ok(None),
        },
        (Node::Bool, Kind::Int, _) => match given.extract::<i64>() {
            Ok(n @ 0..=1) => PyBool::new(py, n == 1).to_owned().into_any(),
            _ => return Ok(None),
        },
        (Node::Bool, Kind::Str, Some(text)) => {
            let truth = match text.to_ascii_lowercase().as_str() {
                "true" | "t" | "yes" | "y" | "on" | "1" => true,
                "false" | "f" | "no" | "n" | "off" | "0" => false,
                _ => return Ok(None),
            };
            PyBool::new(py, truth).to_owned().into_any()
        }
        (Node::Delta, Kind::Int | Kind::Float, _) => {
            let made = py.get_type::<PyDelta>().call1((0, given));
            match made {
                Ok(made) => made,
                Err(_) => return Ok(None),
            }
        }
        _ => return Ok(None),
    };
    // SAFETY: a reference is never null.
    Ok(Some(unsafe { NonNull::new_unchecked(made.into_ptr()) }))
}

/// An object that is already what it is to be.
#[cold]
pub(super) fn native(
    node: &Node,
    object: Borrowed<'_, '_, PyAny>,
    not_finite: bool,
) -> Outcome<Option<Object>> {
    let py = object.py();
    let fits = match node {
        Node::Str => object.is_instance_of::<PyString>(),
        Node::Int => object.is_instance_of::<PyInt>() && !object.is_instance_of::<PyBool>(),
        Node::Bytes if object.is_instance_of::<PyBytes>() => true,
        // As frames give large ones.
        Node::Bytes
            if object.is_instance_of::<PyMemoryView>()
                || object.is_instance_of::<PyByteArray>() =>
        {
            let bytes = py.get_type::<PyBytes>().call1((object,))?;
            return Ok(Some(new_reference(bytes.as_borrowed())));
        }
        // As tables give it.
        Node::Uuid if object.is_exact_instance_of::<PyBytes>() => {
            let bytes = object.cast::<PyBytes>().map_err(PyErr::from)?;
            let Ok(bytes) = bytes.as_bytes().try_into() else { return Ok(None) };
            return leaf::make_uuid(py, u128::from_be_bytes(bytes)).map(Some);
        }
        Node::Uuid => object.is_instance(Types::get(py)?.uuid.bind(py))?,
        Node::Delta => object.is_instance_of::<PyDelta>(),
        Node::Temporal { which: Temporal::DateTime, .. } => object.is_instance_of::<PyDateTime>(),
        Node::Temporal { which: Temporal::Date, .. } => {
            object.is_instance_of::<PyDate>() && !object.is_instance_of::<PyDateTime>()
        }
        Node::Temporal { which: Temporal::Time, .. } => object.is_instance_of::<PyTime>(),
        Node::Float if object.is_instance_of::<PyFloat>() => {
            return float_of(&object, not_finite).map(Some);
        }
        Node::Decimal { step, rounding }
            if object.is_instance(Types::get(py)?.decimal.bind(py))? =>
        {
            if !object.call_method0(intern!(py, "is_finite"))?.is_truthy()? {
                return fail::invalid(fail::NOT_FINITE);
            }
            let Some(step) = step else { return Ok(Some(new_reference(object))) };
            let rounding = rounding.map(|rounding| rounding.bind(py));
            return leaf::rounded(&object, step.bind(py), rounding);
        }
        _ => false,
    };
    Ok(fits.then(|| new_reference(object)))
}

/// A number as a float, which may be NaN or endless if `not_finite` says so.
pub(super) fn float_of(number: &Bound<'_, PyAny>, not_finite: bool) -> Outcome<Object> {
    match number.extract::<f64>() {
        Ok(x) if not_finite || x.is_finite() => {
            Ok(new_reference(PyFloat::new(number.py(), x).as_any().as_borrowed()))
        }
        Ok(_) => fail::invalid(fail::NOT_FINITE),
        Err(_) => fail::invalid(message(&Node::Float)),
    }
}

/// What a value becomes, coerced, of those that may stand outside: a number rather than a truth, and that rather than text.
#[cold]
pub(super) fn coerced_among<'a, 'py: 'a, T>(
    given: &Bound<'py, PyAny>,
    outers: impl Iterator<Item = (Borrowed<'a, 'py, PyAny>, T)> + Clone,
) -> Outcome<Option<T>> {
    let kind = kind_of(given);
    for (exact, node) in [
        (Exact::Int, Node::Int),
        (Exact::Float, Node::Float),
        (Exact::Bool, Node::Bool),
        (Exact::Str, Node::Str),
    ] {
        let mut of_type = outers.clone().filter(|(outer, _)| Exact::of(*outer) == exact).peekable();
        if of_type.peek().is_none() {
            continue;
        }
        let Some(made) = coerced(&node, given, kind)? else { continue };
        let made = owned(given.py(), made);
        for (outer, found) in of_type {
            if outer.eq(&made)? {
                return Ok(Some(found));
            }
        }
    }
    Ok(None)
}

fn coerced_choice(choice: &Choice, given: &Bound<'_, PyAny>) -> Outcome<Option<Object>> {
    let py = given.py();
    let outers = choice.items.iter().map(|item| (item.outer.bind(py), item));
    if let Some(found) = coerced_among(given, outers)? {
        return Ok(Some(new_reference(found.inner.bind(py))));
    }
    // Of several flags no member stands there.
    if choice.asks
        && choice.items.iter().any(|item| Exact::of(item.outer.bind(py)) == Exact::Int)
        && let Some(made) = coerced(&Node::Int, given, kind_of(given))?
    {
        return asked(choice, &owned(py, made));
    }
    Ok(None)
}

fn kind_of(object: &Bound<'_, PyAny>) -> Kind {
    // SAFETY: a reference is never null.
    let item = unsafe { NonNull::new_unchecked(object.as_ptr()) };
    Plain { py: object.py() }.kind(item)
}

/// A member that only its class knows.
#[cold]
fn asked(choice: &Choice, given: &Bound<'_, PyAny>) -> Outcome<Option<Object>> {
    let py = given.py();
    if let Some(class) = choice.class {
        let class = class.bind(py);
        if given.is_instance(&class)? {
            return Ok(Some(new_reference(given.as_borrowed())));
        }
        if choice.asks {
            match class.call1((given,)) {
                Ok(member) => return Ok(Some(new_reference(member.as_borrowed()))),
                Err(error) if error.is_instance_of::<pyo3::exceptions::PyValueError>(py) => {}
                Err(error) if error.is_instance_of::<pyo3::exceptions::PyTypeError>(py) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(None)
}

/// A choice that is no str, from the text that JSON has for it as a key.
#[cold]
pub(super) fn choice_of_key<'py>(
    choice: &Choice,
    name: &Bound<'py, PyAny>,
) -> Outcome<Option<Bound<'py, PyAny>>> {
    for item in &choice.items {
        let outer = item.outer.bind(name.py());
        let text = super::dump::key_text(outer)?;
        if text.is_some_and(|text| name.eq(text).unwrap_or(false)) {
            return Ok(Some(item.inner.bind(name.py()).to_owned()));
        }
    }
    Ok(None)
}
