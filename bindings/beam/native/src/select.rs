//! Which format a term goes in, by the rules that all languages share.

use crate::frame::format;
use rustler::{Encoder, Env, Term};
use slipring_codec::Format;
use slipring_codec::select::{Nature, select as rules};

/// What a term is, as `Slipring.Explanation` says it.
fn nature(name: &str) -> Nature {
    match name {
        "bytes" => Nature::Bytes,
        "array" => Nature::Array,
        "value" => Nature::Value,
        _ => Nature::Opaque,
    }
}

/// `[{format, fits?, reason}]`, the one that is taken first. `refused` says why it is no value, if it is none.
#[rustler::nif]
fn select<'a>(env: Env<'a>, of: &str, refused: Option<String>) -> Term<'a> {
    let refused: Vec<_> = refused.into_iter().map(|why| (Format::Value, why)).collect();
    let candidates = rules(nature(of), &refused, false).candidates;
    let rows: Vec<_> =
        candidates.into_iter().map(|c| (format(Some(c.format)), c.fits, c.reason)).collect();
    rows.encode(env)
}
