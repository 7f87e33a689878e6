//! JSON (RFC 8259): terms to text and back, as the codec reads and writes it.

pub(crate) mod decode;
pub(crate) mod encode;

use crate::error::{Fault, answer};
use crate::producer::needs;
use crate::value::decode::Forms;
use crate::value::encode::{Rules, Stop};
use crate::value::terms::{self, Growing, Word};
use crate::value::{
    DECODE_MOST, ENCODE_KEPT, ENCODE_MOST, ITEM_COSTS, ITEMS_MOST, Most, UNIT_COSTS,
};
use crate::{atoms, charge};
use rustler::{Encoder as _, Env, Term};
use slipring_codec::json::Writer;
use std::cell::Cell;

/// The term as JSON, a binary; `:large` for `json_encode_large`, `{:need, met}`, or `{:error, fault}`.
#[rustler::nif]
fn json_encode<'a>(
    env: Env<'a>,
    term: Term<'a>,
    registry: Term<'a>,
    prepared: Term<'a>,
) -> Term<'a> {
    // Written again by each call on this scheduler.
    thread_local!(static PLACE: Cell<Growing> = Cell::default());
    let rules = Rules { bytes: false, registry: registry.into(), prepared: prepared.into() };
    let (encoded, place) = encoded(env, term, rules, PLACE.take(), ENCODE_MOST);
    if place.capacity() <= ENCODE_KEPT {
        PLACE.set(place);
    }
    encoded
}

#[rustler::nif(schedule = "DirtyCpu")]
fn json_encode_large<'a>(
    env: Env<'a>,
    term: Term<'a>,
    registry: Term<'a>,
    prepared: Term<'a>,
) -> Term<'a> {
    let rules = Rules { bytes: false, registry: registry.into(), prepared: prepared.into() };
    encoded(env, term, rules, Growing::default(), usize::MAX).0
}

fn encoded<'a>(
    env: Env<'a>,
    term: Term<'a>,
    rules: Rules<'a>,
    mut place: Growing,
    most: usize,
) -> (Term<'a>, Growing) {
    place.reset();
    let written = match encode::encode(env, term.into(), rules, Writer::new(place), most) {
        Ok(written) => written,
        Err(Stop::Large) => return (atoms::large().encode(env), Growing::default()),
        Err(Stop::Refused(refused)) => {
            return (answer(env, Err(refused.into())), Growing::default());
        }
    };
    if most == ENCODE_MOST {
        charge(env, 0, (most - written.left) * UNIT_COSTS);
    }
    let place = written.out.into_sink();
    let made = match written.needs.is_empty() {
        true => terms::make_binary(env, place.written()).term(env),
        false => needs(env, &written.needs),
    };
    (made, place)
}

/// Reads a text that nobody changes meanwhile: `{term, notes}`, or `:large`.
pub(crate) fn read<'a>(
    env: Env<'a>,
    text: &[u8],
    options: u32,
    forms: Option<Forms<'a>>,
    most: Most,
) -> Result<Option<Term<'a>>, Fault> {
    let forms = forms.ok_or_else(Fault::other_library)?;
    let (items, digits) = match most {
        Most::Normal => (ITEMS_MOST, decode::DIGITS_AT_ONCE),
        Most::All => (usize::MAX, usize::MAX),
    };
    if most == Most::Normal && text.len() > DECODE_MOST {
        return Ok(None);
    }
    let mut left = items;
    let read = decode::decode(env, text, options, forms, &mut left, digits);
    if most == Most::Normal {
        charge(env, 0, (items - left) * ITEM_COSTS);
    }
    match read {
        Ok(term) => Ok(Some((term.term(env), 0u32).encode(env))),
        Err(decode::Stop::Large) => Ok(None),
        Err(decode::Stop::Refused(fault)) => Err(fault),
    }
}

fn read_binary<'a>(
    env: Env<'a>,
    bytes: Term<'a>,
    options: u32,
    forms: Term<'a>,
    most: Most,
) -> Term<'a> {
    let Some(text) = terms::bytes(env, Word::from(bytes)) else {
        return answer(env, Err(Fault::no_binary()));
    };
    let read = read(env, text, options, crate::value::forms(env, forms), most);
    answer(env, read.map(|read| read.unwrap_or_else(|| atoms::large().encode(env))))
}

/// `{term, notes}`, `:large` for `json_decode_large`, or `{:error, fault}`.
#[rustler::nif]
fn json_decode<'a>(env: Env<'a>, bytes: Term<'a>, options: u32, forms: Term<'a>) -> Term<'a> {
    read_binary(env, bytes, options, forms, Most::Normal)
}

#[rustler::nif(schedule = "DirtyCpu")]
fn json_decode_large<'a>(env: Env<'a>, bytes: Term<'a>, options: u32, forms: Term<'a>) -> Term<'a> {
    read_binary(env, bytes, options, forms, Most::All)
}
