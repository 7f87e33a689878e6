//! Which format a term goes in, by the rules that all languages share, and whether the log is to say so.

use crate::atoms;
use crate::frame::format;
use crate::value::names;
use crate::value::terms::{self, Kind, Pairs, Word};
use rustler::{Atom, Encoder, Env, Term};
use slipring::Segment;
use slipring_codec::Format;
use slipring_codec::cost::{Class, Model, Writer};
use slipring_codec::select::{Nature, select_by_cost};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Whether what is sent is answered with `:told`, for Elixir to log it. Asked here, since a look at a persistent
/// term for each frame takes a tenth of what sending a small one does.
static LOGGED: AtomicBool = AtomicBool::new(false);

/// What is answered of a frame that was sent: `:ok`, or `:told` where the log is to say so.
pub(crate) fn sent() -> Atom {
    // Relaxed: sends that race with the change may go either way.
    if LOGGED.load(Ordering::Relaxed) { atoms::told() } else { atoms::ok() }
}

#[rustler::nif]
fn log_choices(on: bool) -> Atom {
    LOGGED.store(on, Ordering::Relaxed);
    atoms::ok()
}

#[rustler::nif]
fn choices_logged() -> bool {
    LOGGED.load(Ordering::Relaxed)
}

/// What sending costs in this BEAM, as measured in use.
static COSTS: Model = Model::new();

/// A text up to so many bytes is a scalar.
const SHORT: usize = 64;
/// Items of a container that are looked at, and containers inside each other.
const LOOKED_AT: usize = 8;
const DEPTH: usize = 4;

/// Takes in what one frame took. The segment keeps the figure.
#[cold]
pub(crate) fn record(
    segment: &Segment,
    began: Instant,
    format: Format,
    class: Class,
    bytes: usize,
) {
    let took = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
    if let Some(figure) = COSTS.record(format, class, bytes, took) {
        segment.set_figure(Writer::Beam.words().start + figure, COSTS.kept(figure));
    }
}

/// Takes over what others have measured and left in a segment, and leaves there what it lacks.
pub(crate) fn exchange(segment: &Segment) {
    for (figure, word) in Writer::Beam.words().enumerate() {
        match segment.figure(word) {
            0 => segment.set_figure(word, COSTS.kept(figure)),
            found => COSTS.adopt(figure, found),
        }
    }
}

/// What a term is made of, by a look at the first of its items.
#[cold]
pub(crate) fn class<'a>(env: Env<'a>, term: Word<'a>) -> Class {
    look(env, term, 0)
}

fn look<'a>(env: Env<'a>, term: Word<'a>, depth: usize) -> Class {
    match terms::kind(env, term) {
        Kind::Bits if terms::bytes(env, term).is_some_and(|bytes| bytes.len() > SHORT) => {
            Class::Text
        }
        Kind::List if depth < DEPTH => {
            let mut rest = term;
            let items = std::iter::from_fn(|| {
                let (head, tail) = terms::cell(env, rest)?;
                rest = tail;
                Some(head)
            });
            container(env, items, depth)
        }
        Kind::Tuple if depth < DEPTH => {
            container(env, terms::tuple(env, term).unwrap_or_default().iter().copied(), depth)
        }
        Kind::Map if depth < DEPTH => {
            match terms::get(env, term, atoms::struct_().into()) {
                Some(module) if module == names::all().tensor.into() => return Class::Arrays,
                Some(_) if depth > 0 => return Class::Scalar,
                _ => {}
            }
            let values = Pairs::new(env, term).into_iter().flatten().map(|(_, value)| value);
            match container(env, values, depth) {
                Class::Arrays => Class::Arrays,
                _ => Class::Records,
            }
        }
        _ => Class::Scalar,
    }
}

fn container<'a>(env: Env<'a>, items: impl Iterator<Item = Word<'a>>, depth: usize) -> Class {
    let mut found = None;
    for item in items.take(LOOKED_AT) {
        let of = match (look(env, item, depth + 1), terms::kind(env, item)) {
            (Class::Arrays, _) => return Class::Arrays,
            (_, Kind::Integer | Kind::Float) => Class::Numbers,
            (_, Kind::Bits) => Class::Text,
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

/// What a term is, as `Slipring.Explanation` says it.
fn nature(name: &str) -> Nature {
    match name {
        "bytes" => Nature::Bytes,
        "array" => Nature::Array,
        "table" => Nature::Table,
        "records" => Nature::Records,
        "value" => Nature::Value,
        "json" => Nature::Json,
        _ => Nature::Opaque,
    }
}

/// `[{format, class, bytes, nanoseconds}]`, as measured.
#[rustler::nif]
fn costs(env: Env<'_>) -> Term<'_> {
    let rows: Vec<_> = COSTS
        .measured()
        .map(|(of, class, bytes, ns)| (format(Some(of)), class.name(), bytes, ns))
        .collect();
    rows.encode(env)
}

/// `[{format, fits?, reason, bytes, nanoseconds}]`, the one that is taken first; the nanoseconds are an estimate. `refused` says
/// why it is no value, no JSON, no table, where that is known; the numbers are the bytes that it takes raw or as an array, as a
/// value, as JSON, as a table.
#[rustler::nif]
fn select<'a>(
    env: Env<'a>,
    term: Term<'a>,
    of: &str,
    (no_value, no_json, no_table): (Option<String>, Option<String>, Option<String>),
    (plain, value, json, table): (usize, usize, usize, usize),
) -> Term<'a> {
    let nature = nature(of);
    let class = match nature {
        Nature::Bytes => Class::Bytes,
        Nature::Array | Nature::Table => Class::Arrays,
        _ => class(env, term.into()),
    };
    let bytes = |format| match format {
        Format::Value => value,
        Format::Json => json,
        Format::Arrow => table,
        _ => plain,
    };
    let cost = |format| COSTS.estimate(format, class, bytes(format));

    let refused = [(Format::Value, no_value), (Format::Json, no_json), (Format::Arrow, no_table)];
    let refused: Vec<_> = refused.into_iter().filter_map(|(f, why)| Some((f, why?))).collect();
    let candidates = select_by_cost(nature, &refused, false, cost).candidates;
    let rows: Vec<_> = candidates
        .into_iter()
        .map(|c| (format(Some(c.format)), c.fits, c.reason, bytes(c.format), cost(c.format)))
        .collect();
    rows.encode(env)
}
