//! Tells Python's log which format was chosen and why, for who has asked for it by `log_choices`.
//!
//! What is sent is noted where it is decided, and told at the end of the call that sends, once it is counted: a handler of the log
//! runs code of others, and what that raises must not make a frame that was sent look like one that was not.

use crate::end::End;
use pyo3::exceptions::PyException;
use pyo3::intern;
use pyo3::prelude::*;
use slipring::Producer;
use slipring_codec::Format;
use slipring_codec::select::{Nature, select};
use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicBool, Ordering};

static LOGGED: AtomicBool = AtomicBool::new(false);

/// Whether somebody has asked.
#[inline(always)]
pub(crate) fn asked() -> bool {
    // Relaxed: sends that race with the change may go either way.
    LOGGED.load(Ordering::Relaxed)
}

pub(crate) fn ask(on: bool) {
    LOGGED.store(on, Ordering::Relaxed);
}

/// Why an object goes in a format.
#[derive(Clone, Copy)]
pub(crate) enum Why {
    /// By the rules, for what it is.
    Is(Nature),
    /// `format=...` said so.
    Asked,
    Told(&'static str),
}

/// Frames that were sent and are not told of yet.
#[derive(PartialEq)]
struct Sent {
    ring: String,
    format: &'static str,
    reason: String,
    kind: Option<String>,
}

thread_local! {
    /// With how many of each.
    static NOTED: RefCell<Vec<(Sent, usize)>> = const { RefCell::new(Vec::new()) };
    /// While the log is told: a handler of it may send frames, of which telling would have no end.
    static TELLING: Cell<bool> = const { Cell::new(false) };
}

/// Notes frames that were sent, where somebody has asked.
#[inline(always)]
pub(crate) fn note(
    end: &End<Producer>,
    object: Option<&Bound<'_, PyAny>>,
    format: Format,
    why: Why,
    frames: usize,
) {
    if asked() {
        noted(end, object, format, why, frames);
    }
}

#[cold]
#[inline(never)]
fn noted(
    end: &End<Producer>,
    object: Option<&Bound<'_, PyAny>>,
    format: Format,
    why: Why,
    frames: usize,
) {
    if TELLING.get() || frames == 0 {
        return;
    }
    let kind = object.and_then(|object| object.get_type().fully_qualified_name().ok());
    let reason = match why {
        Why::Is(nature) => {
            let candidates = select(nature, &[], true).candidates;
            let chosen = candidates.into_iter().find(|candidate| candidate.format == format);
            chosen.map_or_else(String::new, |chosen| chosen.reason)
        }
        Why::Asked => format!("it was asked for by format={:?}", format.name()),
        Why::Told(reason) => reason.to_owned(),
    };
    let kind = kind.map(|kind| kind.to_string());
    let sent = Sent { ring: end.ring(), format: format.name(), reason, kind };
    NOTED.with_borrow_mut(|noted| match noted.iter_mut().find(|(same, _)| *same == sent) {
        Some((_, count)) => *count += frames,
        None => noted.push((sent, frames)),
    });
}

/// At the end of a call that sends: tells the log what it has sent, where somebody has asked.
#[inline(always)]
pub(crate) fn told<T>(py: Python<'_>, outcome: PyResult<T>) -> PyResult<T> {
    if asked() { tell(py, outcome) } else { outcome }
}

#[cold]
#[inline(never)]
fn tell<T>(py: Python<'_>, outcome: PyResult<T>) -> PyResult<T> {
    if TELLING.replace(true) {
        return outcome;
    }
    let noted = NOTED.take();
    let say = || -> PyResult<()> {
        if noted.is_empty() {
            return Ok(());
        }
        let choices = py.import(intern!(py, "slipring._choices"))?;
        let say = choices.getattr(intern!(py, "sent"))?;
        for (Sent { ring, format, reason, kind }, frames) in &noted {
            say.call1((ring, format, reason, kind, frames))?;
        }
        Ok(())
    };
    let said = say();
    TELLING.set(false);
    match said {
        Ok(()) => outcome,
        // What was sent is sent, and who sent it must not send it again.
        Err(error) if error.is_instance_of::<PyException>(py) => {
            error.write_unraisable(py, None);
            outcome
        }
        // A signal's, which came while the log was told and might have come right after.
        Err(error) => Err(error),
    }
}
