//! JSON (RFC 8259): terms to text and back, as the codec reads and writes it.

pub(crate) mod decode;
pub(crate) mod encode;

use crate::error::{Fault, answer};
use crate::value::decode::Forms;
use crate::value::encode::Rules;
use crate::value::terms::{self, Word};
use crate::value::{DECODE_MOST, ITEM_COSTS, ITEMS_MOST, Most, kept};
use crate::{atoms, charge};
use encode::NotFinite;
use rustler::{Encoder as _, Env, Term};
use slipring_codec::json::Writer;

/// The term as JSON, a binary; `:large` for `json_encode_large`, `{:need, met}`, or `{:error, fault}`.
#[rustler::nif]
fn json_encode<'a>(
    env: Env<'a>,
    term: Term<'a>,
    nan: u8,
    registry: Term<'a>,
    prepared: Term<'a>,
) -> Term<'a> {
    encoded(env, term, nan, registry, prepared, Most::Normal)
}

#[rustler::nif(schedule = "DirtyCpu")]
fn json_encode_large<'a>(
    env: Env<'a>,
    term: Term<'a>,
    nan: u8,
    registry: Term<'a>,
    prepared: Term<'a>,
) -> Term<'a> {
    encoded(env, term, nan, registry, prepared, Most::All)
}

fn encoded<'a>(
    env: Env<'a>,
    term: Term<'a>,
    nan: u8,
    registry: Term<'a>,
    prepared: Term<'a>,
    most: Most,
) -> Term<'a> {
    let rules = Rules { bytes: false, registry: registry.into(), prepared: prepared.into() };
    let nan = NotFinite::of(nan);
    kept(env, most, |place, most| {
        let written = encode::encode(env, term.into(), rules, Writer::new(place), most, nan)?;
        Ok((written.out.into_sink(), written.needs, written.left))
    })
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
