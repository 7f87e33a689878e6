//! Which format a term goes in, by the rules that all languages share, and whether the log is to say so.

use crate::atoms;
use crate::frame::format;
use rustler::{Atom, Encoder, Env, Term};
use slipring_codec::Format;
use slipring_codec::select::{Nature, select as rules};
use std::sync::atomic::{AtomicBool, Ordering};

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

/// What a term is, as `Slipring.Explanation` says it.
fn nature(name: &str) -> Nature {
    match name {
        "bytes" => Nature::Bytes,
        "array" => Nature::Array,
        "value" => Nature::Value,
        "json" => Nature::Json,
        _ => Nature::Opaque,
    }
}

/// `[{format, fits?, reason}]`, the one that is taken first. `no_value` and `no_json` say why it is none, if it is none.
#[rustler::nif]
fn select<'a>(
    env: Env<'a>,
    of: &str,
    no_value: Option<String>,
    no_json: Option<String>,
) -> Term<'a> {
    let refused = [(Format::Value, no_value), (Format::Json, no_json)];
    let refused: Vec<_> = refused.into_iter().filter_map(|(f, why)| Some((f, why?))).collect();
    let candidates = rules(nature(of), &refused, false).candidates;
    let rows: Vec<_> =
        candidates.into_iter().map(|c| (format(Some(c.format)), c.fits, c.reason)).collect();
    rows.encode(env)
}
