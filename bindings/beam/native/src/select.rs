//! Which format a term goes in, by the rules that all languages share.

use crate::atoms;
use rustler::{Atom, Encoder, Env, Term};
use slipring_codec::Format;
use slipring_codec::select::{Nature, select as rules};

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

fn format(format: Format) -> Atom {
    match format {
        Format::Raw => atoms::raw(),
        Format::Ndarray => atoms::ndarray(),
        Format::Value => atoms::value(),
        Format::Arrow => atoms::arrow(),
        Format::Pickle => atoms::pickle(),
        Format::Json => atoms::json(),
        _ => atoms::unknown(),
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
        candidates.into_iter().map(|c| (format(c.format), c.fits, c.reason)).collect();
    rows.encode(env)
}
