//! What sending costs in this process: one send in a while is timed, so that the others pay for no clock.

use crate::counts;
use crate::end::End;
use crate::value::types::Exact;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};
use slipring::{Producer, Segment};
use slipring_codec::Format;
use slipring_codec::cost::{Class, EVERY, Model, Writer};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

static COSTS: Model = Model::new();

/// A text up to so many characters is a scalar.
const SHORT: usize = 64;
/// Items of a container that are looked at, and containers inside each other.
const LOOKED_AT: usize = 8;
const DEPTH: usize = 4;

/// A send whose number has none of these bits is timed.
static UNTIMED: AtomicU64 = AtomicU64::new(EVERY - 1);

/// Begins to time a send, if its turn has come.
#[inline(always)]
pub(crate) fn sample(format: Format) -> Option<Instant> {
    // Relaxed: which ones are timed is of no matter.
    if counts::frames(format) & UNTIMED.load(Ordering::Relaxed) != 0 { None } else { now() }
}

#[cold]
#[inline(never)]
fn now() -> Option<Instant> {
    Some(Instant::now())
}

/// Whether each send is timed, or one of [`EVERY`].
pub(crate) fn time_all(all: bool) {
    UNTIMED.store(if all { 0 } else { EVERY - 1 }, Ordering::Relaxed);
}

/// Ends it: what was sent takes so many bytes. The segment keeps the figure.
#[cold]
#[inline(never)]
pub(crate) fn record(
    py: Python<'_>,
    end: &End<Producer>,
    began: Instant,
    format: Format,
    class: Class,
    bytes: usize,
) {
    let took = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
    if let Some(figure) = COSTS.record(format, class, bytes, took)
        && let Ok(segment) = end.segment(py)
    {
        segment.set_figure(Writer::Python.words().start + figure, COSTS.kept(figure));
    }
}

/// Takes over what others have measured and left in a segment, and leaves there what it lacks.
pub(crate) fn exchange(segment: &Segment) {
    for (figure, word) in Writer::Python.words().enumerate() {
        match segment.figure(word) {
            0 => segment.set_figure(word, COSTS.kept(figure)),
            found => COSTS.adopt(figure, found),
        }
    }
}

/// The nanoseconds that an object of so many bytes takes, as seconds.
pub(crate) fn estimate(format: Format, class: Class, bytes: usize) -> f64 {
    COSTS.estimate(format, class, bytes) as f64 / 1e9
}

pub(crate) fn estimate_ns(format: Format, class: Class, bytes: usize) -> u64 {
    COSTS.estimate(format, class, bytes)
}

/// What was measured: rows of format, class, bytes, seconds.
pub(crate) fn told() -> Vec<(&'static str, &'static str, u64, f64)> {
    let row = |(format, class, bytes, ns): (Format, Class, u64, u64)| {
        (format.name(), class.name(), bytes, ns as f64 / 1e9)
    };
    COSTS.measured().map(row).collect()
}

/// What an object that is neither bytes nor an array is made of, by a look at the first of its items.
#[cold]
pub(crate) fn class(object: &Bound<'_, PyAny>) -> Class {
    look(object, 0)
}

fn look(object: &Bound<'_, PyAny>, depth: usize) -> Class {
    match Exact::of(object.as_borrowed()) {
        Exact::Str => match object.len() {
            Ok(..SHORT) => Class::Scalar,
            _ => Class::Text,
        },
        Exact::Bytes => Class::Bytes,
        Exact::List => container(object.cast::<PyList>().into_iter().flatten(), depth),
        Exact::Tuple => container(object.cast::<PyTuple>().into_iter().flatten(), depth),
        Exact::Dict => {
            let values = object.cast::<PyDict>().into_iter().flat_map(|dict| {
                dict.iter().take(LOOKED_AT).map(|(_, value)| value).collect::<Vec<_>>()
            });
            match container(values, depth) {
                Class::Arrays => Class::Arrays,
                _ => Class::Records,
            }
        }
        Exact::Other => {
            if crate::array::role(object).is_ok_and(|role| role == crate::array::Role::Array) {
                return Class::Arrays;
            }
            if depth == 0 { Class::Records } else { Class::Scalar }
        }
        _ => Class::Scalar,
    }
}

fn container<'py>(items: impl Iterator<Item = Bound<'py, PyAny>>, depth: usize) -> Class {
    let mut found = None;
    for item in items.take(if depth < DEPTH { LOOKED_AT } else { 0 }) {
        let of = match (look(&item, depth + 1), Exact::of(item.as_borrowed())) {
            (Class::Arrays, _) => return Class::Arrays,
            (_, Exact::Int | Exact::Float | Exact::Bool) => Class::Numbers,
            (_, Exact::Str) => Class::Text,
            (of, _) => of,
        };
        found = match found {
            None => Some(of),
            Some(before) if before == of => Some(of),
            Some(_) => Some(Class::Records),
        };
    }
    found.unwrap_or(Class::Scalar)
}
