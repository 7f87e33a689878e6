//! Metadata: a map with text keys, from terms to CBOR and back.

use crate::atoms;
use crate::error::Fault;
use rustler::types::atom;
use rustler::{Binary, Encoder as _, Env, ListIterator, MapIterator, NewBinary, Term, TermType};
use slipring_codec::token::MAX_DEPTH;
use slipring_codec::{Encoder, Value};
use std::collections::HashSet;

const HINT: &str = "give nil, booleans, integers, floats, binaries, atoms, lists or maps";

/// Why a term is no metadata, and the way to it, gathered on the way out: innermost first.
struct Refused {
    what: String,
    kind: &'static str,
    hint: &'static str,
    steps: Vec<String>,
}

impl Refused {
    fn new(what: impl Into<String>, kind: &'static str, hint: &'static str) -> Self {
        Self { what: what.into(), kind, hint, steps: Vec::new() }
    }

    fn within(mut self, step: impl FnOnce() -> String) -> Self {
        self.steps.push(step());
        self
    }
}

/// Encodes `meta`, a map with binaries or atoms as keys; `None` for `nil`.
pub(crate) fn encode(meta: Term<'_>) -> Result<Option<Vec<u8>>, Fault> {
    if is(meta, atom::nil()) {
        return Ok(None);
    }
    let mut encoder = Encoder::new();
    let written = if meta.is_map() {
        write_map(meta, &mut encoder, 0)
    } else {
        Err(Refused::new("meta is not a map", kind(meta), "give a map, or nil"))
    };
    match written {
        Ok(()) => Ok(Some(encoder.into_vec())),
        Err(Refused { what, kind, hint, steps }) => {
            let path: String = steps.into_iter().rev().collect();
            Err(Fault::unsendable(&what, &format!("$.meta{path}"), kind, hint))
        }
    }
}

fn is(term: Term<'_>, wanted: rustler::Atom) -> bool {
    rustler::Atom::from_term(term).is_ok_and(|found| found == wanted)
}

fn kind(term: Term<'_>) -> &'static str {
    match term.get_type() {
        TermType::Atom => "atom",
        TermType::Binary => "binary",
        TermType::Fun => "function",
        TermType::List => "list",
        TermType::Map => "map",
        TermType::Integer => "integer",
        TermType::Float => "float",
        TermType::Pid => "pid",
        TermType::Port => "port",
        TermType::Ref => "reference",
        TermType::Tuple => "tuple",
        TermType::Unknown => "term",
    }
}

fn check_depth(depth: usize, kind: &'static str) -> Result<(), Refused> {
    if depth < MAX_DEPTH {
        return Ok(());
    }
    let what = format!("more than {MAX_DEPTH} containers inside each other");
    Err(Refused::new(what, kind, "flatten it"))
}

fn write_map(map: Term<'_>, encoder: &mut Encoder<Vec<u8>>, depth: usize) -> Result<(), Refused> {
    check_depth(depth, "map")?;
    let entries = || MapIterator::new(map).into_iter().flatten();
    encoder.map(entries().count());
    // Only atoms and binaries together can name one key twice.
    let mut seen = HashSet::new();
    for (key, value) in entries() {
        let text = key_text(key)?;
        encoder.text(&text);
        write(value, encoder, depth + 1)
            .map_err(|refused| refused.within(|| format!(".{}", text.escape_debug())))?;
        if let Some(text) = seen.replace(text) {
            let what = format!("the key {text:?} stands there as an atom and as a binary");
            return Err(Refused::new(what, "map", "give each key once"));
        }
    }
    Ok(())
}

fn key_text(key: Term<'_>) -> Result<String, Refused> {
    let hint = "give keys that are atoms, or binaries of valid UTF-8";
    let text = match key.get_type() {
        TermType::Atom => key.atom_to_string().ok(),
        TermType::Binary => key.decode::<String>().ok(),
        _ => None,
    };
    text.ok_or_else(|| {
        Refused::new(format!("a key is no text, but a {}", kind(key)), kind(key), hint)
    })
}

fn write(term: Term<'_>, encoder: &mut Encoder<Vec<u8>>, depth: usize) -> Result<(), Refused> {
    match term.get_type() {
        TermType::Atom if is(term, atom::nil()) => drop(encoder.null()),
        TermType::Atom if is(term, atom::true_()) => drop(encoder.bool(true)),
        TermType::Atom if is(term, atom::false_()) => drop(encoder.bool(false)),
        TermType::Atom => drop(encoder.text(&term.atom_to_string().unwrap_or_default())),
        TermType::Binary => match Binary::from_term(term) {
            Ok(bytes) => match std::str::from_utf8(&bytes) {
                Ok(text) => drop(encoder.text(text)),
                Err(_) => drop(encoder.bytes(&bytes)),
            },
            Err(_) => return Err(Refused::new("a bitstring", "bitstring", HINT)),
        },
        TermType::Integer => write_integer(term, encoder)?,
        TermType::Float => drop(encoder.float(term.decode().unwrap_or(f64::NAN))),
        TermType::List => write_list(term, encoder, depth)?,
        TermType::Map => write_map(term, encoder, depth)?,
        _ => return Err(Refused::new(format!("a {}", kind(term)), kind(term), HINT)),
    }
    Ok(())
}

fn write_list(list: Term<'_>, encoder: &mut Encoder<Vec<u8>>, depth: usize) -> Result<(), Refused> {
    check_depth(depth, "list")?;
    let improper = || Refused::new("an improper list", "list", HINT);
    encoder.array(list.list_length().map_err(|_| improper())?);
    let items: ListIterator<'_> = list.decode().map_err(|_| improper())?;
    for (index, item) in items.enumerate() {
        write(item, encoder, depth + 1)
            .map_err(|refused| refused.within(|| format!("[{index}]")))?;
    }
    Ok(())
}

fn write_integer(term: Term<'_>, encoder: &mut Encoder<Vec<u8>>) -> Result<(), Refused> {
    let value = term.decode::<i128>().ok();
    let negative = |value: i128| u64::try_from(-1 - value).ok();
    if let Ok(value) = term.decode::<i64>() {
        encoder.int(value);
    } else if let Some(value) = value.and_then(|value| u64::try_from(value).ok()) {
        encoder.uint(value);
    } else if let Some(value) = value.and_then(negative) {
        encoder.negative(value);
    } else {
        let what = "an integer outside -2^64 to 2^64 - 1";
        return Err(Refused::new(what, "integer", "give it as a binary"));
    }
    Ok(())
}

/// A decoded value as a term. Text and bytes are both binaries; numbers that are none for the BEAM
/// are the atoms `:nan`, `:infinity` and `:neg_infinity`.
pub(crate) fn term<'a>(env: Env<'a>, value: &Value) -> Result<Term<'a>, Fault> {
    Ok(match value {
        Value::Null => atom::nil().encode(env),
        Value::Bool(value) => value.encode(env),
        Value::Int(value) => value.encode(env),
        Value::Float(value) if value.is_nan() => atoms::nan().encode(env),
        Value::Float(value) if *value == f64::INFINITY => atoms::infinity().encode(env),
        Value::Float(value) if *value == f64::NEG_INFINITY => atoms::neg_infinity().encode(env),
        Value::Float(value) => value.encode(env),
        Value::Bytes(bytes) => NewBinary::from_slice(env, bytes).into(),
        Value::Text(text) => NewBinary::from_slice(env, text.as_bytes()).into(),
        Value::Array(items) => {
            let terms: Result<Vec<_>, _> = items.iter().map(|item| term(env, item)).collect();
            terms?.encode(env)
        }
        Value::Map(pairs) => {
            let (mut keys, mut values) = (Vec::new(), Vec::new());
            for (key, value) in pairs {
                keys.push(term(env, key)?);
                values.push(term(env, value)?);
            }
            // Text and bytes of the same octets are one key here.
            Term::map_from_term_arrays(env, &keys, &values).map_err(|_| {
                Fault::unreadable("two keys of a map are one key in Elixir".into(), "$.meta")
            })?
        }
        // Big integers of RFC 8949, section 3.4.3; n counts from -1 down where it is negative.
        Value::Tag(tag @ (2 | 3), inner) if let Value::Bytes(bytes) = &**inner => {
            big_integer(env, *tag == 3, bytes)?
        }
        Value::Tag(tag, _) => {
            return Err(Fault::unreadable(format!("the tag {tag} has no term"), "$.meta"));
        }
        _ => {
            let what = "a kind of value that this version does not know".to_owned();
            return Err(Fault::unreadable(what, "$.meta"));
        }
    })
}

/// From big-endian bytes, through the BEAM's external format (LARGE_BIG_EXT).
fn big_integer<'a>(env: Env<'a>, negative: bool, bytes: &[u8]) -> Result<Term<'a>, Fault> {
    let mut digits: Vec<u8> = bytes.iter().rev().copied().collect();
    if negative {
        // -1 - n is -(n + 1).
        digits.push(0);
        for digit in &mut digits {
            let (sum, carry) = digit.overflowing_add(1);
            *digit = sum;
            if !carry {
                break;
            }
        }
    }
    let mut external = vec![131, 111];
    external.extend_from_slice(&(digits.len() as u32).to_be_bytes());
    external.push(u8::from(negative));
    external.extend_from_slice(&digits);
    let made = env.binary_to_term(&external).map(|(term, _)| term);
    made.ok_or_else(|| Fault::unreadable("an integer too large for the BEAM".into(), "$.meta"))
}
