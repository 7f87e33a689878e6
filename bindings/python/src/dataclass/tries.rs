//! What trying may cost, where the types of a union can't be told apart.
//!
//! Unions inside each other are tried again for each type that is tried around them: twice as often with each level, or
//! worse. So the work inside the outermost one is counted, and bounded by the items there are.

use super::fail::Outcome;
use crate::value::fault::{Fault, type_name};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};

/// Items that may be gone through before the value's own are counted.
const FREE: usize = 1 << 14;
/// How often each item may be gone through.
const PER_ITEM: usize = 64;
/// So many items are gone through between two looks at signals.
const STEP: usize = 1 << 12;
/// More items than this are not counted: lists that hold each other may show any number of them.
const COUNTED: usize = 1 << 26;

/// What is left of it.
pub(super) struct Tries {
    /// The outermost value that is tried.
    whole: Py<PyAny>,
    /// Until the next look at signals.
    room: usize,
    /// Behind that.
    left: usize,
    is_counted: bool,
}

impl Tries {
    pub(super) fn of(whole: &Bound<'_, PyAny>) -> Self {
        Self { whole: whole.clone().unbind(), room: STEP, left: FREE - STEP, is_counted: false }
    }

    /// Pays for so many items.
    #[inline]
    pub(super) fn spend(&mut self, py: Python<'_>, items: usize) -> Outcome<()> {
        match self.room.checked_sub(items) {
            Some(room) => {
                self.room = room;
                Ok(())
            }
            None => self.refill(py, items),
        }
    }

    #[cold]
    fn refill(&mut self, py: Python<'_>, items: usize) -> Outcome<()> {
        py.check_signals()?;
        let mut left = self.room + self.left;
        if left < items && !self.is_counted {
            self.is_counted = true;
            left += PER_ITEM * count(self.whole.bind(py))?;
        }
        let Some(left) = left.checked_sub(items) else {
            let what = "the types of a union inside unions can't be told apart, by as many tries \
                        as its size allows";
            let hint = "give its classes a discriminator: a field that is a Literal of its own in \
                        each, or Meta(discriminator=...)";
            return Err(Fault::refused(what.into(), type_name(self.whole.bind(py)), hint).into());
        };
        self.room = left.min(STEP);
        self.left = left - self.room;
        Ok(())
    }
}

/// The items of a value, and those of its items.
#[cold]
fn count(whole: &Bound<'_, PyAny>) -> PyResult<usize> {
    let mut waiting = vec![whole.clone()];
    let mut count = 0;
    while let Some(object) = waiting.pop() {
        count += 1;
        if count % STEP == 0 {
            object.py().check_signals()?;
        }
        if count + waiting.len() >= COUNTED {
            return Ok(COUNTED);
        }
        if let Ok(dict) = object.cast_exact::<PyDict>() {
            waiting.extend(dict.values());
        } else if let Ok(list) = object.cast_exact::<PyList>() {
            waiting.extend(list);
        } else if let Ok(tuple) = object.cast_exact::<PyTuple>() {
            waiting.extend(tuple);
        } else {
            fields(&object, &mut waiting)?;
        }
    }
    Ok(count)
}

/// What an object with fields has in them; a dump goes through that.
fn fields<'py>(object: &Bound<'py, PyAny>, into: &mut Vec<Bound<'py, PyAny>>) -> PyResult<()> {
    let (py, class) = (object.py(), object.get_type());
    let mut names = Vec::new();
    if let Some(known) = class.getattr_opt(intern!(py, "__dataclass_fields__"))? {
        names = known.try_iter()?.collect::<PyResult<_>>()?;
    } else if let Some(known) = class.getattr_opt(intern!(py, "__attrs_attrs__"))? {
        for field in known.try_iter()? {
            names.push(field?.getattr(intern!(py, "name"))?);
        }
    }
    for name in names {
        if let Ok(name) = name.cast::<PyString>() {
            into.extend(object.getattr_opt(name)?);
        }
    }
    Ok(())
}

/// The items that one object shows.
pub(super) fn width(object: Borrowed<'_, '_, PyAny>) -> usize {
    let known = object.cast::<PyDict>().map(|dict| dict.len());
    let known = known.or_else(|_| object.cast::<PyList>().map(|list| list.len()));
    known.or_else(|_| object.cast::<PyTuple>().map(|tuple| tuple.len())).unwrap_or(0)
}
