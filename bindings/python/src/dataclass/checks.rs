//! Validators, and messages of one's own.

use super::class::{Object, owned};
use super::fail::{self, Errors, Fail, Message, Outcome};
use super::load::Loader;
use super::plan::{Checked, Held, Plan};
use super::source::{Kind, Source};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyString;
use std::ptr::NonNull;

impl<'py, S: Source<'py>> Loader<'py, S> {
    pub(super) fn checked(
        &mut self,
        plan: &Plan,
        checked: &Checked,
        item: S::Item,
        kind: Kind,
        depth: usize,
    ) -> Outcome<Object> {
        let py = self.py;
        let made = match self.node(plan, checked.inner, item, depth) {
            Ok(made) => owned(py, made),
            Err(failed) => return Err(reworded(py, checked, kind, failed)),
        };
        let mut said = None;
        for (validator, message) in &checked.validators {
            // SAFETY: a function and an object that are alive.
            let verdict = unsafe {
                let verdict = ffi::PyObject_CallOneArg(validator.as_ptr(), made.as_ptr());
                Bound::from_owned_ptr_or_err(py, verdict)
            };
            match verdict {
                Ok(verdict) if !says_no(&verdict) => {}
                verdict => refuse(py, verdict, *message, &mut said)?,
            }
        }
        match said {
            Some(errors) => fail::of(errors),
            // SAFETY: a reference is never null.
            None => Ok(unsafe { NonNull::new_unchecked(made.into_ptr()) }),
        }
    }
}

/// Whether a validator has given False, Python's or NumPy's.
#[inline(always)]
fn says_no(verdict: &Bound<'_, PyAny>) -> bool {
    // SAFETY: objects that are always there.
    let [yes, no, none] = unsafe { [ffi::Py_True(), ffi::Py_False(), ffi::Py_None()] };
    let given = verdict.as_ptr();
    given == no || (given != yes && given != none && is_numpys_no(verdict))
}

#[cold]
fn is_numpys_no(verdict: &Bound<'_, PyAny>) -> bool {
    let class = verdict.get_type();
    // Named `bool_` before NumPy 2.
    let named = class.name().is_ok_and(|name| name == "bool" || name == "bool_");
    named
        && class.module().is_ok_and(|module| module == "numpy")
        && verdict.is_truthy().is_ok_and(|truth| !truth)
}

/// A failure in the words that a field has of its own.
#[cold]
fn reworded(py: Python<'_>, checked: &Checked, kind: Kind, mut failed: Box<Fail>) -> Box<Fail> {
    let own =
        |message: Held| Errors::Invalid(Message::Object(message.bind(py).to_owned().unbind()));
    if let Fail::Invalid(errors) = &mut *failed {
        match (&*errors, checked.none, checked.invalid) {
            (Errors::Null, Some(none), _) if kind == Kind::Null => *errors = own(none),
            (Errors::Invalid(_) | Errors::Invalids(_), _, Some(invalid)) => *errors = own(invalid),
            (Errors::Schema(inner), _, Some(invalid))
                if matches!(**inner, Errors::Invalid(Message::Static(fail::NO_OBJECT))) =>
            {
                *errors = own(invalid);
            }
            _ => {}
        }
    }
    failed
}

/// What a validator has said by refusing.
#[cold]
fn refuse(
    py: Python<'_>,
    verdict: PyResult<Bound<'_, PyAny>>,
    message: Option<Held>,
    said: &mut Option<Errors>,
) -> Outcome<()> {
    let errors = match verdict {
        Err(error) => {
            let errors = fail::of_exception(py, error)?;
            match message {
                Some(message) => Errors::Said(vec![message.bind(py).to_owned().unbind()]),
                None => errors,
            }
        }
        Ok(_) => {
            let text = match message {
                Some(message) => message.bind(py).to_owned(),
                None => PyString::new(py, fail::REFUSED).into_any(),
            };
            Errors::Said(vec![text.unbind()])
        }
    };
    *said = Some(match (said.take(), errors) {
        (None, errors) => errors,
        (Some(Errors::Said(mut all)), Errors::Said(more)) => {
            all.extend(more);
            Errors::Said(all)
        }
        // Messages of another form can't be joined: the first ones stay.
        (Some(first), _) => first,
    });
    Ok(())
}
