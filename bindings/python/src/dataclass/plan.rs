//! A plan: what to do with the objects of a type, found once.
//!
//! `slipring/dataclass/_analyse.py` describes a type as a tuple of nodes, which are tuples themselves; here they become
//! a tree that is gone through without asking Python.

use super::class::Class;
use super::fail::Outcome;
use super::scalars::coerced_among;
use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};
use std::collections::HashMap;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Nodes refer to each other by their places, so that a type may contain itself.
pub(super) type Id = u32;

/// An object that a plan's description holds, which is made of tuples all the way down: nobody can take it out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Held(NonNull<ffi::PyObject>);

// SAFETY: only a pointer; what is behind it is touched only by who is attached, through `bind`.
unsafe impl Send for Held {}
// SAFETY: as above.
unsafe impl Sync for Held {}

impl Held {
    /// # Safety
    /// The object is reachable from the description that the plan holds, through tuples only.
    unsafe fn new(object: &Bound<'_, PyAny>) -> Self {
        // SAFETY: a reference is never null.
        Self(unsafe { NonNull::new_unchecked(object.as_ptr()) })
    }

    #[inline(always)]
    pub(super) fn as_ptr(self) -> *mut ffi::PyObject {
        self.0.as_ptr()
    }

    /// The object, for as long as its plan is in use.
    #[inline(always)]
    pub(super) fn bind<'a, 'py>(self, py: Python<'py>) -> Borrowed<'a, 'py, PyAny> {
        // SAFETY: alive by the word of `new`: who has this has the plan.
        unsafe { Borrowed::from_ptr(py, self.0.as_ptr()) }
    }
}

/// Which of the temporal types.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Temporal {
    DateTime,
    Date,
    Time,
}

/// What is done with a value.
pub(super) enum Node {
    Any,
    None,
    Bool,
    Int,
    Float,
    Str,
    Bytes,
    Uuid,
    Delta,
    /// Rounded to a step, in a way.
    Decimal {
        step: Option<Held>,
        rounding: Option<Held>,
    },
    Temporal {
        which: Temporal,
        class: Held,
        /// strftime's; ISO without.
        format: Option<Held>,
    },
    /// An array of NumPy's, and its dtype, if it is said.
    Array {
        class: Held,
        dtype: Option<Held>,
    },
    /// Of a type that only those know who have registered it, with what is said of what is none.
    Registered {
        class: Held,
        message: Held,
    },
    Choice(Box<Choice>),
    List(Id),
    Set(Id),
    FrozenSet(Id),
    TupleOf(Id),
    /// Of these items, of which so many must be there; a tuple or a class that derives from it.
    Tuple {
        items: Box<[Id]>,
        class: Option<Held>,
        required: usize,
    },
    Dict(Id, Id),
    Optional(Id),
    /// Another node and nothing else.
    Same(Id),
    Union(Box<Union>),
    Checked(Box<Checked>),
    Class(Box<Class>),
}

/// One of some values: an Enum's members, a Literal's values.
pub(super) struct Choice {
    pub(super) items: Box<[Item]>,
    /// Where there are many: their places by text, and by the address inside.
    by_text: HashMap<Box<[u8]>, u32>,
    by_address: HashMap<usize, u32>,
    pub(super) message: Held,
    pub(super) class: Option<Held>,
    /// The class knows more members than these.
    pub(super) asks: bool,
}

pub(super) struct Item {
    pub(super) inner: Held,
    pub(super) outer: Held,
    /// If it is a str outside.
    pub(super) text: Option<Box<[u8]>>,
}

/// So many are gone through one by one.
const FEW: usize = 12;

impl Choice {
    fn new(items: Vec<Item>, message: Held, class: Option<Held>, asks: bool) -> Self {
        let (mut by_text, mut by_address) = (HashMap::new(), HashMap::new());
        if items.len() > FEW {
            for (at, item) in items.iter().enumerate() {
                if let Some(text) = &item.text {
                    by_text.entry(text.clone()).or_insert(at as u32);
                }
                by_address.entry(item.inner.as_ptr() as usize).or_insert(at as u32);
            }
        }
        Self { items: items.into(), by_text, by_address, message, class, asks }
    }

    #[inline]
    pub(super) fn of_text(&self, text: &[u8]) -> Option<&Item> {
        if self.items.len() > FEW {
            return self.by_text.get(text).map(|&at| &self.items[at as usize]);
        }
        self.items.iter().find(|item| item.text.as_deref() == Some(text))
    }

    /// The item whose object inside is this very one.
    #[inline]
    pub(super) fn of_inner(&self, object: *mut ffi::PyObject) -> Option<&Item> {
        if self.items.len() > FEW {
            return self.by_address.get(&(object as usize)).map(|&at| &self.items[at as usize]);
        }
        self.items.iter().find(|item| item.inner.as_ptr() == object)
    }
}

pub(super) struct Union {
    pub(super) items: Box<[Id]>,
    pub(super) tag: Option<Tag>,
}

/// The field that tells classes apart.
pub(super) struct Tag {
    pub(super) key: Held,
    pub(super) key_text: Box<[u8]>,
    pub(super) values: Box<[(Box<[u8]>, Id)]>,
    /// All of them, also those that are no text: ints and booleans.
    outers: Box<[(Held, Id)]>,
    pub(super) message: Box<str>,
}

impl Tag {
    /// The class of a value that is no text; `True` is not 1.
    pub(super) fn of_other(&self, value: &Bound<'_, PyAny>) -> PyResult<Option<Id>> {
        for &(other, id) in &self.outers {
            let other = other.bind(value.py());
            if other.get_type().is(value.get_type()) && other.eq(value)? {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    /// The class of a value that is coerced to one of a tag's.
    pub(super) fn coerced(&self, value: &Bound<'_, PyAny>) -> Outcome<Option<Id>> {
        let outers = self.outers.iter().map(|&(outer, id)| (outer.bind(value.py()), id));
        coerced_among(value, outers)
    }
}

/// A node with validators and messages of its own.
pub(super) struct Checked {
    pub(super) inner: Id,
    pub(super) validators: Box<[(Held, Option<Held>)]>,
    pub(super) none: Option<Held>,
    pub(super) invalid: Option<Held>,
}

/// What a type's objects are dumped and loaded by.
#[pyclass(frozen, module = "slipring._native")]
pub(super) struct Plan {
    nodes: Box<[Node]>,
    pub(super) root: Id,
    /// The type.
    pub(super) target: Py<PyAny>,
    /// Holds what the nodes refer to. It is never let go of while there is a plan: a class that refers to its plan lets
    /// go of that when it is garbage.
    description: Py<PyTuple>,
    /// The type has an order that `==` passes over: equal ones may have another plan.
    pub(super) is_ordered: bool,
    /// Nothing in it calls code of others.
    pub(super) is_quiet: bool,
    /// Bytes of JSON that were written last: as many may be written next.
    wrote: AtomicUsize,
}

#[pymethods]
impl Plan {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.target)?;
        visit.call(&self.description)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("<plan of {}, {} nodes>", self.target.bind(py).repr()?, self.nodes.len()))
    }
}

impl Plan {
    /// Bytes to make room for.
    pub(super) fn room(&self) -> usize {
        // A little more than last time, with the room that is asked for before the last item; no more than is cheap to ask
        // for in vain. Relaxed: a guess.
        let wrote = self.wrote.load(Ordering::Relaxed);
        (wrote + wrote / 8 + 256).min(1 << 23)
    }

    pub(super) fn wrote(&self, len: usize) {
        // Relaxed: a guess.
        self.wrote.store(len, Ordering::Relaxed);
    }

    #[inline(always)]
    pub(super) fn node(&self, id: Id) -> &Node {
        &self.nodes[id as usize]
    }

    /// The node within others that add nothing to what it takes.
    pub(super) fn bare(&self, mut id: Id) -> &Node {
        loop {
            match self.node(id) {
                Node::Same(inner) => id = *inner,
                Node::Checked(checked) => id = checked.inner,
                node => return node,
            }
        }
    }

    pub(super) fn compile(
        target: &Bound<'_, PyAny>,
        description: &Bound<'_, PyTuple>,
        root: Id,
        is_ordered: bool,
    ) -> PyResult<Self> {
        let count = description.len();
        let nodes: Vec<_> = description
            .iter()
            .map(|node| Description::of(node, count)?.node())
            .collect::<PyResult<_>>()?;
        if root as usize >= count {
            return Err(PyTypeError::new_err("a plan has no such node"));
        }
        let is_quiet = nodes.iter().all(|node| match node {
            Node::Class(class) => class.is_quiet(),
            Node::Checked(checked) => checked.validators.is_empty(),
            Node::Choice(choice) => !choice.asks,
            Node::Any
            | Node::Array { .. }
            | Node::Registered { .. }
            | Node::Tuple { class: Some(_), .. } => false,
            _ => true,
        });
        let mut plan = Self {
            nodes: nodes.into(),
            root,
            target: target.clone().unbind(),
            description: description.clone().unbind(),
            is_ordered,
            is_quiet,
            wrote: AtomicUsize::new(0),
        };
        plan.check_loops()?;
        Ok(plan)
    }

    /// Refuses nodes that lead back to themselves without a value in between.
    fn check_loops(&mut self) -> PyResult<()> {
        for start in 0..self.nodes.len() {
            let (mut id, mut steps) = (start as Id, 0);
            while let Node::Same(inner) | Node::Optional(inner) = self.node(id) {
                (id, steps) = (*inner, steps + 1);
                if steps > self.nodes.len() {
                    return Err(PyTypeError::new_err("a type is made of itself and nothing else"));
                }
            }
        }
        Ok(())
    }
}

/// A node's tuple while it is read.
pub(super) struct Description<'py> {
    tuple: Bound<'py, PyTuple>,
    /// Nodes that there are.
    count: usize,
}

impl<'py> Description<'py> {
    fn of(tuple: Bound<'py, PyAny>, count: usize) -> PyResult<Self> {
        Ok(Self { tuple: tuple.cast_into()?, count })
    }

    pub(super) fn object(&self, index: usize) -> PyResult<Bound<'py, PyAny>> {
        self.tuple.get_item(index)
    }

    pub(super) fn flag(&self, index: usize) -> PyResult<bool> {
        self.object(index)?.extract()
    }

    pub(super) fn number(&self, index: usize) -> PyResult<usize> {
        self.object(index)?.extract()
    }

    pub(super) fn text(&self, index: usize) -> PyResult<String> {
        self.object(index)?.extract()
    }

    pub(super) fn held(&self, index: usize) -> PyResult<Held> {
        // SAFETY: an item of a tuple of the description.
        Ok(unsafe { Held::new(&self.object(index)?) })
    }

    pub(super) fn optional(&self, index: usize) -> PyResult<Option<Held>> {
        let is_none = self.object(index)?.is_none();
        if is_none { Ok(None) } else { self.held(index).map(Some) }
    }

    fn check(&self, id: usize) -> PyResult<Id> {
        match id < self.count {
            true => Ok(id as Id),
            false => Err(PyTypeError::new_err("a plan has no such node")),
        }
    }

    pub(super) fn id(&self, index: usize) -> PyResult<Id> {
        self.check(self.number(index)?)
    }

    fn ids(&self, index: usize) -> PyResult<Box<[Id]>> {
        let ids: Vec<usize> = self.object(index)?.extract()?;
        ids.into_iter().map(|id| self.check(id)).collect()
    }

    /// The tuple within.
    pub(super) fn within(&self, index: usize) -> PyResult<Self> {
        Self::of(self.object(index)?, self.count)
    }

    /// The items of a tuple within, each a tuple.
    pub(super) fn each<T>(
        &self,
        index: usize,
        mut read: impl FnMut(Self) -> PyResult<T>,
    ) -> PyResult<Vec<T>> {
        let items = self.within(index)?;
        (0..items.tuple.len()).map(|at| read(items.within(at)?)).collect()
    }

    fn node(&self) -> PyResult<Node> {
        let temporal = |which| -> PyResult<Node> {
            Ok(Node::Temporal { which, class: self.held(1)?, format: self.optional(2)? })
        };
        Ok(match self.text(0)?.as_str() {
            "any" => Node::Any,
            "none" => Node::None,
            "bool" => Node::Bool,
            "int" => Node::Int,
            "float" => Node::Float,
            "str" => Node::Str,
            "bytes" => Node::Bytes,
            "uuid" => Node::Uuid,
            "timedelta" => Node::Delta,
            "decimal" => Node::Decimal { step: self.optional(1)?, rounding: self.optional(2)? },
            "datetime" => temporal(Temporal::DateTime)?,
            "date" => temporal(Temporal::Date)?,
            "time" => temporal(Temporal::Time)?,
            "array" => Node::Array { class: self.held(1)?, dtype: self.optional(2)? },
            "registered" => Node::Registered { class: self.held(1)?, message: self.held(2)? },
            "choice" => Node::Choice(Box::new(self.choice()?)),
            "list" => Node::List(self.id(1)?),
            "set" => Node::Set(self.id(1)?),
            "frozenset" => Node::FrozenSet(self.id(1)?),
            "tuple_of" => Node::TupleOf(self.id(1)?),
            "tuple" => Node::Tuple {
                items: self.ids(1)?,
                class: self.optional(2)?,
                required: self.number(3)?,
            },
            "dict" => Node::Dict(self.id(1)?, self.id(2)?),
            "optional" => Node::Optional(self.id(1)?),
            "same" => Node::Same(self.id(1)?),
            "union" => Node::Union(Box::new(Union { items: self.ids(1)?, tag: self.tag()? })),
            "checked" => Node::Checked(Box::new(Checked {
                inner: self.id(1)?,
                validators: self
                    .each(2, |validator| Ok((validator.held(0)?, validator.optional(1)?)))?
                    .into(),
                none: self.optional(3)?,
                invalid: self.optional(4)?,
            })),
            "class" => Node::Class(Box::new(Class::of(self)?)),
            other => return Err(PyTypeError::new_err(format!("no kind of node: {other}"))),
        })
    }

    fn choice(&self) -> PyResult<Choice> {
        let items = self.each(2, |item| {
            let text = match item.object(1)?.cast_exact::<PyString>() {
                Ok(text) => Some(text.to_str()?.as_bytes().into()),
                Err(_) => None,
            };
            Ok(Item { inner: item.held(0)?, outer: item.held(1)?, text })
        })?;
        Ok(Choice::new(items, self.held(3)?, self.optional(1)?, self.flag(4)?))
    }

    fn tag(&self) -> PyResult<Option<Tag>> {
        if self.object(2)?.is_none() {
            return Ok(None);
        }
        let tag = self.within(2)?;
        let (mut values, mut outers, mut all) = (Vec::new(), Vec::new(), Vec::new());
        tag.each(1, |value| {
            let (outer, id) = (value.object(0)?, value.id(1)?);
            all.push(outer.str()?.to_string());
            outers.push((value.held(0)?, id));
            if let Ok(text) = outer.cast_exact::<PyString>() {
                values.push((text.to_str()?.as_bytes().into(), id));
            }
            Ok(())
        })?;
        let message = format!("Must be one of: {}.", all.join(", ")).into();
        Ok(Some(Tag {
            key: tag.held(0)?,
            key_text: tag.text(0)?.into_bytes().into(),
            values: values.into(),
            outers: outers.into(),
            message,
        }))
    }
}
