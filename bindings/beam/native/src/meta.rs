//! Metadata: a map with text keys, from terms to CBOR and back.
//!
//! Plain terms are written here, with atoms as text; what has a type of its own on the wire as within values.

use crate::atoms;
use crate::error::Fault;
use crate::value::encode::{self, Rules, TERM};
use crate::value::terms::Word;
use rustler::types::atom;
use rustler::{Binary, Encoder as _, Env, ListIterator, MapIterator, NewBinary, Term, TermType};
use slipring_codec::token::MAX_DEPTH;
use slipring_codec::{Encoder, Value};
use std::borrow::Cow;
use std::collections::HashSet;

const HINT: &str = "give nil, booleans, integers, floats, binaries, atoms, lists or maps";

/// What is counted so takes as long as so many bytes to copy.
pub(crate) const COSTS: usize = 16;

/// Encoded metadata.
pub(crate) enum Meta {
    None,
    Bytes {
        bytes: Vec<u8>,
        /// What it took, as bytes copied.
        cost: usize,
    },
    /// There is more of it than the caller wants to encode.
    Long,
}

impl Meta {
    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes { bytes, .. } => Some(bytes),
            Self::None | Self::Long => None,
        }
    }

    pub(crate) fn cost(&self) -> usize {
        if let Self::Bytes { cost, .. } = self { *cost } else { 0 }
    }
}

/// Why encoding stopped.
enum Stop {
    Long,
    Refused(Box<Refused>),
}

/// Why a term is no metadata, and the way to it, gathered on the way out: innermost first.
struct Refused {
    what: String,
    kind: String,
    hint: Cow<'static, str>,
    steps: Vec<String>,
}

impl Stop {
    fn refused(
        what: impl Into<String>,
        kind: impl Into<String>,
        hint: impl Into<Cow<'static, str>>,
    ) -> Self {
        let (what, kind, hint, steps) = (what.into(), kind.into(), hint.into(), Vec::new());
        Self::Refused(Box::new(Refused { what, kind, hint, steps }))
    }

    fn within(mut self, step: impl FnOnce() -> String) -> Self {
        if let Self::Refused(refused) = &mut self {
            refused.steps.push(step());
        }
        self
    }
}

/// Encodes `meta`, a map with binaries or atoms as keys; `None` for `nil`. About `most` bytes are
/// written at most.
pub(crate) fn encode(meta: Term<'_>, most: usize) -> Result<Meta, Fault> {
    if is(meta, atom::nil()) {
        return Ok(Meta::None);
    }
    let mut writer = Writer { encoder: Encoder::new(), left: most };
    let written = if let Some(refused) = refused_struct(meta) {
        Err(refused)
    } else if meta.is_map() {
        writer.map(meta, 0)
    } else {
        Err(Stop::refused("meta is not a map", kind(meta), "give a map, or nil"))
    };
    match written {
        Ok(()) => {
            let cost = (most - writer.left).saturating_mul(COSTS);
            Ok(Meta::Bytes { bytes: writer.encoder.into_vec(), cost })
        }
        Err(Stop::Long) => Ok(Meta::Long),
        Err(Stop::Refused(refused)) => {
            let Refused { what, kind, hint, steps } = *refused;
            let path: String = steps.into_iter().rev().collect();
            Err(Fault::unsendable_value(false, &what, &format!("$.meta{path}"), &kind, &hint))
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

/// With its article.
fn one(kind: &str) -> String {
    let article = if kind.starts_with(['a', 'i']) { "an" } else { "a" };
    format!("{article} {kind}")
}

fn check_depth(depth: usize, kind: &'static str) -> Result<(), Stop> {
    if depth < MAX_DEPTH {
        return Ok(());
    }
    let what = format!("more than {MAX_DEPTH} containers inside each other");
    Err(Stop::refused(what, kind, "flatten it"))
}

fn key_text(key: Term<'_>) -> Result<String, Stop> {
    let hint = "give keys that are atoms, or binaries of valid UTF-8";
    let text = match key.get_type() {
        TermType::Atom => key.atom_to_string().ok(),
        TermType::Binary => key.decode::<String>().ok(),
        _ => None,
    };
    text.ok_or_else(|| {
        Stop::refused(format!("a key is no text, but {}", one(kind(key))), kind(key), hint)
    })
}

/// A struct is more than its fields, and what arrived would be less.
fn refused_struct(map: Term<'_>) -> Option<Stop> {
    let module = map.map_get(atoms::struct_()).ok()?;
    let name = module.atom_to_string().unwrap_or_default();
    let name = name.strip_prefix("Elixir.").unwrap_or(&name);
    let hint = "give text, such as to_string/1 or inspect/1 make, or a map of Map.from_struct/1";
    Some(Stop::refused(format!("a struct {name}"), name, hint))
}

/// Whether all keys of a map are atoms or binaries, and it is no struct.
fn is_named(map: Term<'_>) -> bool {
    let named = |key: Term<'_>| matches!(key.get_type(), TermType::Atom | TermType::Binary);
    map.map_get(atoms::struct_()).is_err()
        && MapIterator::new(map).into_iter().flatten().all(|(key, _)| named(key))
}

struct Writer {
    encoder: Encoder<Vec<u8>>,
    /// Bytes that may still be written.
    left: usize,
}

impl Writer {
    /// Charges for what is about to be written.
    fn spend(&mut self, bytes: usize) -> Result<(), Stop> {
        self.left = self.left.checked_sub(bytes).ok_or(Stop::Long)?;
        Ok(())
    }

    fn map(&mut self, map: Term<'_>, depth: usize) -> Result<(), Stop> {
        check_depth(depth, "map")?;
        self.encoder.map(map.map_size().unwrap_or_default());
        // Only atoms and binaries together can name one key twice.
        let mut seen = HashSet::new();
        for (key, value) in MapIterator::new(map).into_iter().flatten() {
            let text = key_text(key)?;
            self.spend(TERM + text.len())?;
            self.encoder.text(&text);
            self.term(value, depth + 1)
                .map_err(|stop| stop.within(|| format!(".{}", text.escape_debug())))?;
            if let Some(text) = seen.replace(text) {
                let what = format!("the key {text:?} stands there as an atom and as a binary");
                return Err(Stop::refused(what, "map", "give each key once"));
            }
        }
        Ok(())
    }

    fn term(&mut self, term: Term<'_>, depth: usize) -> Result<(), Stop> {
        self.spend(TERM)?;
        match term.get_type() {
            TermType::Atom if is(term, atom::nil()) => drop(self.encoder.null()),
            TermType::Atom if is(term, atom::true_()) => drop(self.encoder.bool(true)),
            TermType::Atom if is(term, atom::false_()) => drop(self.encoder.bool(false)),
            TermType::Atom => drop(self.encoder.text(&term.atom_to_string().unwrap_or_default())),
            TermType::Binary => match Binary::from_term(term) {
                Ok(bytes) => {
                    self.spend(bytes.len())?;
                    match std::str::from_utf8(&bytes) {
                        Ok(text) => drop(self.encoder.text(text)),
                        Err(_) => drop(self.encoder.bytes(&bytes)),
                    }
                }
                Err(_) => return Err(Stop::refused("a bitstring", "bitstring", HINT)),
            },
            TermType::Integer => self.integer(term, depth)?,
            TermType::Float => drop(self.encoder.float(term.decode().unwrap_or(f64::NAN))),
            TermType::List => self.list(term, depth)?,
            TermType::Map if !is_named(term) => self.value(term, depth)?,
            TermType::Map => self.map(term, depth)?,
            TermType::Tuple => self.value(term, depth)?,
            _ => return Err(Stop::refused(one(kind(term)), kind(term), HINT)),
        }
        Ok(())
    }

    fn list(&mut self, list: Term<'_>, depth: usize) -> Result<(), Stop> {
        check_depth(depth, "list")?;
        // Counted no further than may be written: the whole length can take long to find.
        let (mut len, mut rest) = (0, list);
        while let Ok((_, behind)) = rest.list_get_cell() {
            (len, rest) = (len + 1, behind);
            if len > self.left / TERM {
                return Err(Stop::Long);
            }
        }
        if !rest.is_empty_list() {
            return Err(Stop::refused("an improper list", "list", HINT));
        }
        self.encoder.array(len);
        let items = list.decode::<ListIterator<'_>>().into_iter().flatten();
        for (index, item) in items.enumerate() {
            self.term(item, depth + 1).map_err(|stop| stop.within(|| format!("[{index}]")))?;
        }
        Ok(())
    }

    fn integer(&mut self, term: Term<'_>, depth: usize) -> Result<(), Stop> {
        match term.decode() {
            Ok(value) => drop(self.encoder.int(value)),
            Err(_) => self.value(term, depth)?,
        }
        Ok(())
    }

    /// As within a value. Nothing is registered here: what Elixir would have to prepare is refused.
    fn value(&mut self, term: Term<'_>, depth: usize) -> Result<(), Stop> {
        let env = term.get_env();
        let (none, empty) = (Term::map_new(env).into(), Term::list_new_empty(env).into());
        let rules = Rules { bytes: false, registry: none, prepared: empty };
        let out = Encoder::append(std::mem::take(&mut self.encoder).into_vec());
        match encode::encode(env, Word::from(term), rules, out, depth, None, self.left) {
            Ok(written) if !written.needs.is_empty() => {
                let inside = || Stop::refused("a struct within", kind(term), HINT);
                Err(refused_struct(term).unwrap_or_else(inside))
            }
            Ok(written) => {
                (self.encoder, self.left) = (written.out, written.left);
                Ok(())
            }
            Err(encode::Stop::Large) => Err(Stop::Long),
            Err(encode::Stop::Refused(refused)) => {
                let (what, kind, hint, path) = refused.facts();
                let path = path.to_string();
                let step = path.strip_prefix('$').unwrap_or(&path).to_owned();
                Err(Stop::refused(what, kind, hint).within(|| step))
            }
        }
    }
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
