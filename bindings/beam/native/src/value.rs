//! Values: any term of `docs/types.md`, straight to CBOR and back.

pub(crate) mod array;
pub(crate) mod big;
pub(crate) mod calendar;
pub(crate) mod decode;
pub(crate) mod describe;
pub(crate) mod encode;
pub(crate) mod shape;
pub(crate) mod terms;

use crate::error::{Fault, answer};
use crate::producer::needs;
use crate::{atoms, charge, counts, json};
use decode::{Forms, Input, Options, Read, form};
use describe::Description;
use encode::{Met, Rules};
use rustler::{Encoder as _, Env, Term};
use slipring_codec::{Body, Content, Encoder, Format, Part};
use std::cell::Cell;
use terms::{Growing, Word};

/// The most work that one call encodes on a normal scheduler, in units: one for each byte of a binary, and
/// [`encode::TERM`] for each term. So many take less than a millisecond.
pub(crate) const ENCODE_MOST: usize = 1 << 20;
/// A unit takes about as long as so many bytes to copy.
pub(crate) const UNIT_COSTS: usize = 5;
/// What each scheduler may keep to write values in that are not sent.
pub(crate) const ENCODE_KEPT: usize = 1 << 20;
/// The most that one call decodes on a normal scheduler: bytes, and items, which take a millisecond at most.
pub(crate) const DECODE_MOST: usize = 256 << 10;
pub(crate) const ITEMS_MOST: usize = 32 << 10;
/// An item takes about as long as so many bytes to copy.
pub(crate) const ITEM_COSTS: usize = 100;

/// Levels that an object takes before its fields: a tag and an array.
const OBJECT_PARTS: usize = 2;

/// The modules and fields of the structs that have a form of their own.
pub(crate) mod names {
    use rustler::Atom;
    use std::sync::OnceLock;

    rustler::atoms! {
        true_ = "true", false_ = "false",
        // answers and questions of a walk
        as_ = "as", refuse, need,
        // fields
        prepared, map, first, last, step, calendar, year, month, week, day, hour, minute, second, microsecond,
        time_zone, zone_abbr, utc_offset, std_offset, sign, coef, exp, inf, not_a_number = "NaN",
        seconds, microseconds, bytes, data, number, value, name, version, fields,
        shape, type_ = "type", order, byte_order,
        // descriptions
        kind, length, keys, buffers, table, schema, null, boolean, integer, float, text, list, tuple, set, atom, range, date,
        time, naive_datetime, datetime, duration, decimal, uuid, tensor, object, tag, element, pickle,
    }

    mod modules {
        rustler::atoms! {
            map_set = "Elixir.MapSet", range = "Elixir.Range", date = "Elixir.Date", time = "Elixir.Time",
            naive = "Elixir.NaiveDateTime", datetime = "Elixir.DateTime", decimal = "Elixir.Decimal",
            duration = "Elixir.Duration", iso = "Elixir.Calendar.ISO",
            own_decimal = "Elixir.Slipring.Decimal", own_duration = "Elixir.Slipring.Duration",
            uuid = "Elixir.Slipring.UUID", tensor = "Elixir.Slipring.Tensor", tag = "Elixir.Slipring.Tag",
            object = "Elixir.Slipring.Object", text = "Elixir.Slipring.Text", bytes = "Elixir.Slipring.Bytes",
            prepared = "Elixir.Slipring.Prepared", json_raw = "Elixir.Slipring.JSON.Raw",
            table = "Elixir.Slipring.Table", under = "Elixir.Slipring.Table.Under",
        }
    }

    macro_rules! modules {
        ($($name:ident)*) => {
            /// The modules, looked up once for a walk over a chain of them.
            pub(crate) struct Modules { $(pub(crate) $name: Atom),* }
            pub(crate) fn all() -> &'static Modules {
                static ALL: OnceLock<Modules> = OnceLock::new();
                ALL.get_or_init(|| Modules { $($name: modules::$name()),* })
            }
        };
    }
    modules! {
        map_set range date time naive datetime decimal duration iso own_decimal own_duration uuid tensor
        tag object text bytes prepared json_raw table under
    }
}

/// The term as CBOR, a binary; `:large` for `encode_large`, `{:need, met}`, or `{:error, fault}`.
#[rustler::nif]
fn encode<'a>(
    env: Env<'a>,
    term: Term<'a>,
    bytes: bool,
    registry: Term<'a>,
    prepared: Term<'a>,
) -> Term<'a> {
    let rules = Rules { bytes, registry: registry.into(), prepared: prepared.into() };
    encoded(env, term, rules, Most::Normal)
}

#[rustler::nif(schedule = "DirtyCpu")]
fn encode_large<'a>(
    env: Env<'a>,
    term: Term<'a>,
    bytes: bool,
    registry: Term<'a>,
    prepared: Term<'a>,
) -> Term<'a> {
    let rules = Rules { bytes, registry: registry.into(), prepared: prepared.into() };
    encoded(env, term, rules, Most::All)
}

fn encoded<'a>(env: Env<'a>, term: Term<'a>, rules: Rules<'a>, most: Most) -> Term<'a> {
    kept(env, most, |place, most| {
        let out = Encoder::into_sink(place);
        let written = encode::encode(env, term.into(), rules, out, 0, None, most)?;
        Ok((written.out.sink(), written.needs, written.left))
    })
}

/// A binary of what `write` writes with so many units of work, into memory that this scheduler keeps for the next call; `:large`,
/// `{:need, met}`, or `{:error, fault}`. It answers the memory, what Elixir has to prepare first, and the units that are left.
pub(crate) fn kept<'a>(
    env: Env<'a>,
    most: Most,
    write: impl FnOnce(Growing, usize) -> Result<(Growing, Vec<Met<'a>>, usize), encode::Stop>,
) -> Term<'a> {
    thread_local!(static PLACE: Cell<Growing> = Cell::default());
    let (mut place, units) = match most {
        Most::Normal => (PLACE.take(), ENCODE_MOST),
        Most::All => (Growing::default(), usize::MAX),
    };
    place.reset();
    let (made, left) = match write(place, units) {
        Ok((place, met, left)) => {
            let made = match met.is_empty() {
                true => terms::make_binary(env, place.written()).term(env),
                false => needs(env, &met),
            };
            if most == Most::Normal && place.capacity() <= ENCODE_KEPT {
                PLACE.set(place);
            }
            (made, left)
        }
        Err(encode::Stop::Large) => (atoms::large().encode(env), 0),
        Err(encode::Stop::Refused(refused)) => (answer(env, Err(refused.into())), units),
    };
    if most == Most::Normal {
        charge(env, 0, (units - left) * UNIT_COSTS);
    }
    made
}

/// What Elixir gives with each value to be read: `{templates, registry}`.
pub(crate) fn forms<'a>(env: Env<'a>, forms: Term<'a>) -> Option<Forms<'a>> {
    let &[templates, registry] = terms::tuple(env, forms.into())? else { return None };
    let templates = terms::tuple(env, templates)?;
    (templates.len() == form::COUNT).then_some(Forms { templates, registry })
}

/// How much a call may read.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Most {
    /// What a normal scheduler has time for.
    Normal,
    All,
}

/// Reads a value: `{term, notes}`, or `None` where that is more than it may.
fn read<'a>(
    env: Env<'a>,
    input: &Input<'a, '_, '_>,
    options: u32,
    forms: Option<Forms<'a>>,
    most: Most,
) -> Result<Option<Term<'a>>, Fault> {
    let forms = forms.ok_or_else(Fault::other_library)?;
    let items = if most == Most::Normal { ITEMS_MOST } else { usize::MAX };
    if most == Most::Normal && input.head.bytes.len() > DECODE_MOST {
        return Ok(None);
    }
    let read = decode::decode(env, input, Options(options), forms, items);
    let left = read.as_ref().map_or(0, |read| read.left);
    if most == Most::Normal {
        charge(env, 0, (items - left) * ITEM_COSTS);
    }
    match read {
        Ok(Read { term, notes, .. }) => Ok(Some((term.term(env), notes).encode(env))),
        Err(decode::Stop::Large) => Ok(None),
        Err(decode::Stop::Refused(refused)) => Err(refused.into()),
    }
}

/// Reads a value of bytes that are a term: what is large in it becomes a part of that.
fn read_binary<'a>(
    env: Env<'a>,
    bytes: Term<'a>,
    options: u32,
    given: Term<'a>,
    most: Most,
) -> Term<'a> {
    let whole = Word::from(bytes);
    let read = || {
        let bytes = terms::bytes(env, whole).ok_or_else(Fault::no_binary)?;
        let view = |part: &[u8]| view_of(env, whole, bytes, part);
        let head = Part { offset: 0, bytes };
        let input = Input { head, buffers: &[], whole: bytes, view: &view };
        let read = read(env, &input, options, forms(env, given), most)?;
        Ok(read.unwrap_or_else(|| atoms::large().encode(env)))
    };
    answer(env, read())
}

/// A part of a binary that has these bytes.
pub(crate) fn view_of<'a>(env: Env<'a>, whole: Word<'a>, bytes: &[u8], part: &[u8]) -> Word<'a> {
    let start = part.as_ptr() as usize - bytes.as_ptr() as usize;
    terms::make_view(env, whole, start, part.len())
}

/// `{term, notes}`, `:large` for `decode_large`, or `{:error, fault}`.
#[rustler::nif]
fn decode<'a>(env: Env<'a>, bytes: Term<'a>, options: u32, forms: Term<'a>) -> Term<'a> {
    read_binary(env, bytes, options, forms, Most::Normal)
}

#[rustler::nif(schedule = "DirtyCpu")]
fn decode_large<'a>(env: Env<'a>, bytes: Term<'a>, options: u32, forms: Term<'a>) -> Term<'a> {
    read_binary(env, bytes, options, forms, Most::All)
}

/// Reads the value of a frame that was copied, as `frame` has made it.
fn read_copied<'a>(
    env: Env<'a>,
    (format, (flags, type_code, body)): (u8, (u16, u16, Term<'a>)),
    options: u32,
    given: Term<'a>,
    most: Most,
) -> Term<'a> {
    let whole = Word::from(body);
    let read = || {
        let bytes = terms::bytes(env, whole).ok_or_else(Fault::no_binary)?;
        let view = |part: &[u8]| view_of(env, whole, bytes, part);
        let body = Body::open(format, flags, type_code, bytes)?;
        read_body(env, &body, bytes, &view, options, forms(env, given), most)
    };
    answer(env, read())
}

/// Reads the value of a body, of which `whole` is all: `{term, notes}`, or `:large`.
pub(crate) fn read_body<'a, 'b>(
    env: Env<'a>,
    body: &Body<'b>,
    whole: &'b [u8],
    view: &dyn Fn(&'b [u8]) -> Word<'a>,
    options: u32,
    forms: Option<Forms<'a>>,
    most: Most,
) -> Result<Term<'a>, Fault> {
    match body.content()? {
        Content::Value(headed) => {
            let input = Input { head: headed.head, buffers: &headed.buffers, whole, view };
            match read(env, &input, options, forms, most)? {
                Some(read) => {
                    counts::here(|tally| tally.decoded(Format::Value.code(), whole.len()));
                    Ok(read)
                }
                None => Ok(atoms::large().encode(env)),
            }
        }
        Content::Json(text) => {
            if most == Most::Normal && text.bytes.len() > DECODE_MOST {
                return Ok(atoms::large().encode(env));
            }
            // Where a peer may change it, it is looked at in a copy.
            let own = text.bytes.to_vec();
            match json::read(env, &own, options, forms, most)? {
                Some(read) => {
                    counts::here(|tally| tally.decoded(Format::Json.code(), whole.len()));
                    Ok(read)
                }
                None => Ok(atoms::large().encode(env)),
            }
        }
        other => Err(Fault::unreadable(format!("content of another kind: {other:?}"), "$.format")),
    }
}

#[rustler::nif]
fn decode_frame<'a>(
    env: Env<'a>,
    format: u8,
    content: (u16, u16, Term<'a>),
    options: u32,
    forms: Term<'a>,
) -> Term<'a> {
    read_copied(env, (format, content), options, forms, Most::Normal)
}

#[rustler::nif(schedule = "DirtyCpu")]
fn decode_frame_large<'a>(
    env: Env<'a>,
    format: u8,
    content: (u16, u16, Term<'a>),
    options: u32,
    forms: Term<'a>,
) -> Term<'a> {
    read_copied(env, (format, content), options, forms, Most::All)
}

/// What a frame that was copied holds: a map. Looking over the keys of a map may take long.
#[rustler::nif(schedule = "DirtyCpu")]
fn describe_frame<'a>(
    env: Env<'a>,
    format: u8,
    content: (u16, u16, Term<'a>),
    forms: Term<'a>,
) -> Term<'a> {
    let (flags, type_code, body) = content;
    let described = || {
        let bytes = terms::bytes(env, body.into()).ok_or_else(Fault::no_binary)?;
        described(env, &Body::open(format, flags, type_code, bytes)?, forms)
    };
    answer(env, described())
}

/// What a body holds, as a map without its format.
pub(crate) fn described<'a>(
    env: Env<'a>,
    body: &Body<'_>,
    given: Term<'a>,
) -> Result<Term<'a>, Fault> {
    let mut description = Description::new();
    match body.content()? {
        Content::Raw(part) => {
            let length = terms::make_uint(env, part.bytes.len() as u64);
            description.say(names::kind(), names::bytes().into());
            description.say(names::length(), length);
        }
        Content::Ndarray(view) => {
            description.say(names::kind(), names::tensor().into());
            let facts = array::facts(env, &view.descriptor)?;
            for (name, fact) in array::FIELDS.into_iter().zip(facts) {
                description.say(name(), fact);
            }
        }
        Content::Value(value) => {
            let forms = forms(env, given).ok_or_else(Fault::other_library)?;
            describe::describe(env, value.head, &value.buffers, forms, &mut description)?;
            let buffers = terms::make_uint(env, value.buffers.len() as u64);
            description.say(names::buffers(), buffers);
        }
        Content::Json(text) => {
            let kind = match text.bytes.iter().find(|byte| !b" \t\r\n".contains(byte)) {
                Some(b'{') => names::map(),
                Some(b'[') => names::list(),
                Some(b'"') => names::text(),
                Some(b't' | b'f') => names::boolean(),
                Some(b'n') => names::null(),
                _ => names::number(),
            };
            description.say(names::kind(), kind.into());
            let length = terms::make_uint(env, text.bytes.len() as u64);
            description.say(names::length(), length);
        }
        other => {
            let what = format!("content of another kind: {other:?}");
            return Err(Fault::unreadable(what, "$.format"));
        }
    }
    Ok(description.term(env).term(env))
}
