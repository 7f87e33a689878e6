//! JSON to terms, in one pass and without recursion: a scheduler's stack is small.
//!
//! 1. Nothing is made on credit: items are gathered as they are read, and each costs the input a byte at least.
//! 2. Atoms are looked up, never made.
//! 3. Of a key that stands twice the last value stays.

use crate::atoms;
use crate::error::Fault;
use crate::value::big::Big;
use crate::value::decode::{Forms, form, not_finite};
use crate::value::names;
use crate::value::shape::Shapes;
use crate::value::terms::{self, Gathered, Word};
use rustler::Env;
use slipring_codec::DecodeError;
use slipring_codec::DecodeErrorKind as Kind;
use slipring_codec::error::Segment as Step;
use slipring_codec::json::{self, Close, Item, JsonFault, Reader};

/// Digits of a number that are made an integer on a normal scheduler: that takes some 10 us.
pub(crate) const DIGITS_AT_ONCE: usize = 4096;
/// Digits of a number at most: their time grows with the square, and these take about a second.
const DIGITS: usize = 1_000_000;

/// Keys are atoms, where there are such.
const ATOM_KEYS: u32 = 1;
/// Numbers with a point or an exponent are decimals.
const DECIMALS: u32 = 16;
/// NaN and the infinities are atoms.
const CONSTANTS: u32 = 32;

/// Why reading stopped.
pub(crate) enum Stop {
    /// There is more to do than it may.
    Large,
    Refused(Fault),
}

/// A container that is being read. Its items wait from `first` on, and the keys of an object from `first_key` on.
struct Open {
    close: Close,
    first: usize,
    first_key: usize,
}

/// A key that stood at a place of another object: objects of a list mostly have the same ones, which so take their
/// memory once.
#[derive(Default)]
struct Known<'a> {
    bytes: Vec<u8>,
    term: Option<Word<'a>>,
}

const KEYS: usize = 32;
const KEY_MOST: usize = 64;

struct Walk<'a> {
    env: Env<'a>,
    forms: Forms<'a>,
    options: u32,
    digits: usize,
    open: Vec<Open>,
    /// Items of the open containers, and the keys of the objects among them.
    items: Gathered<'a>,
    keys: Gathered<'a>,
    shapes: Shapes<'a>,
    known: [Known<'a>; KEYS],
}

/// Reads the value that the text is, and counts `left` down by what was read.
pub(crate) fn decode<'a>(
    env: Env<'a>,
    text: &[u8],
    options: u32,
    forms: Forms<'a>,
    left: &mut usize,
    digits: usize,
) -> Result<Word<'a>, Stop> {
    let mut walk = Walk {
        env,
        forms,
        options,
        digits,
        open: Vec::new(),
        items: Gathered::new(),
        keys: Gathered::new(),
        shapes: Shapes::default(),
        known: Default::default(),
    };
    let mut reader = Reader::new(
        text,
        json::Options { decimals: options & DECIMALS != 0, constants: options & CONSTANTS != 0 },
    );
    loop {
        *left = left.checked_sub(1).ok_or(Stop::Large)?;
        let at = reader.offset();
        let item = match reader.item(walk.open.len()) {
            Ok(item) => item,
            Err(error) => return Err(walk.refused(error, true)),
        };
        let begun = match item {
            Item::Array => Some(Close::Array),
            Item::Object => Some(Close::Object),
            _ => None,
        };
        let mut value = match begun {
            None => match walk.scalar(item)? {
                Ok(value) => value,
                Err(fault) => {
                    let (line, column) = json::position(text, at);
                    let error = DecodeError::json(fault, line, column, at);
                    return Err(walk.refused(error, true));
                }
            },
            Some(close) => match reader.first(close) {
                Ok(true) => {
                    walk.enter(close);
                    walk.key(&mut reader, left)?;
                    continue;
                }
                Ok(false) if close == Close::Array => terms::make_list(env, &[]),
                Ok(false) => terms::make_map(env, &[], &[]).unwrap_or(atoms::nil().into()),
                Err(error) => return Err(walk.refused(error, false)),
            },
        };
        // It is the last one of as many containers as end here.
        loop {
            let Some(close) = walk.open.last().map(|open| open.close) else {
                return reader.finish().map(|()| value).map_err(|e| walk.refused(e, false));
            };
            walk.items.push(value);
            match reader.more(close) {
                Ok(true) => {
                    walk.key(&mut reader, left)?;
                    break;
                }
                Ok(false) => value = walk.leave(),
                Err(error) => return Err(walk.refused(error, false)),
            }
        }
    }
}

impl<'a> Walk<'a> {
    fn enter(&mut self, close: Close) {
        let (first, first_key) = (self.items.len(), self.keys.len());
        self.open.push(Open { close, first, first_key });
    }

    /// The term of the innermost container, whose end was read.
    fn leave(&mut self) -> Word<'a> {
        let Some(Open { close, first, first_key }) = self.open.pop() else {
            return atoms::nil().into();
        };
        let made = match close {
            Close::Array => terms::make_list(self.env, &self.items[first..]),
            Close::Object => {
                let (keys, values) = (&self.keys[first_key..], &self.items[first..]);
                let map = self.shapes.map(self.open.len(), self.env, keys, values);
                map.unwrap_or_else(|| self.last_of_each(keys, values))
            }
        };
        self.items.truncate(first);
        self.keys.truncate(first_key);
        made
    }

    /// A map of pairs among which a key stands twice.
    #[cold]
    fn last_of_each(&self, keys: &[Word<'a>], values: &[Word<'a>]) -> Word<'a> {
        let mut order: Vec<usize> = (0..keys.len()).collect();
        // Stable: of equal keys the last one stays the last.
        order.sort_by(|&a, &b| terms::compare(keys[a], keys[b]));
        let last = order.iter().enumerate().filter(|&(place, &index)| {
            let next = order.get(place + 1);
            next.is_none_or(|&next| !terms::identical(keys[index], keys[next]))
        });
        let (keys, values): (Vec<_>, Vec<_>) =
            last.map(|(_, &index)| (keys[index], values[index])).unzip();
        terms::make_map(self.env, &keys, &values).unwrap_or(atoms::nil().into())
    }

    /// Reads the key that comes next, where the innermost container is an object.
    fn key(&mut self, reader: &mut Reader<'_>, left: &mut usize) -> Result<(), Stop> {
        let Some(&Open { close: Close::Object, first, .. }) = self.open.last() else {
            return Ok(());
        };
        *left = left.checked_sub(1).ok_or(Stop::Large)?;
        let entry = self.items.len() - first;
        let bytes = match reader.key(entry) {
            Ok(bytes) => bytes,
            Err(error) => return Err(self.refused(error, false)),
        };
        let known = &mut self.known[(entry + 7 * self.open.len()) % KEYS];
        if let Some(term) = known.term
            && terms::same(&known.bytes, bytes)
        {
            self.keys.push(term);
            return Ok(());
        }
        let atom = match self.options & ATOM_KEYS {
            0 => None,
            _ => std::str::from_utf8(bytes)
                .ok()
                .and_then(|text| terms::existing_atom(self.env, text)),
        };
        let term = atom.unwrap_or_else(|| terms::make_binary(self.env, bytes));
        if bytes.len() <= KEY_MOST {
            known.bytes.clear();
            known.bytes.extend_from_slice(bytes);
            known.term = Some(term);
        }
        self.keys.push(term);
        Ok(())
    }

    #[inline(always)]
    fn scalar(&self, item: Item<'_>) -> Result<Result<Word<'a>, JsonFault>, Stop> {
        let env = self.env;
        Ok(Ok(match item {
            Item::Text(text) => terms::make_binary(env, text),
            Item::Int(n) => terms::make_int(env, n),
            Item::Float(x) if x.is_finite() => terms::make_float(env, x),
            Item::Float(x) => not_finite(x).into(),
            Item::Bool(true) => names::true_().into(),
            Item::Bool(false) => names::false_().into(),
            Item::Big(digits) => return self.big(digits),
            Item::Decimal(text) => return self.decimal(text),
            Item::Null | Item::Array | Item::Object => atoms::nil().into(),
        }))
    }

    #[cold]
    fn big(&self, digits: &str) -> Result<Result<Word<'a>, JsonFault>, Stop> {
        if digits.len() > DIGITS {
            return Ok(Err(JsonFault::Digits { limit: DIGITS }));
        }
        if digits.len() > self.digits {
            return Err(Stop::Large);
        }
        let made = Big::from_digits(digits).term(self.env);
        Ok(made.ok_or(JsonFault::Digits { limit: DIGITS }))
    }

    #[cold]
    fn decimal(&self, text: &str) -> Result<Result<Word<'a>, JsonFault>, Stop> {
        let (number, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (negative, number) = match number.strip_prefix('-') {
            Some(number) => (true, number),
            None => (false, number),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let exponent =
            exponent.parse().ok().and_then(|n: i64| n.checked_sub(fraction.len() as i64));
        let Some(exponent) = exponent else { return Ok(Err(JsonFault::ExponentRange)) };
        let coefficient = match self.big(&[whole, fraction].concat())? {
            Ok(coefficient) => coefficient,
            Err(fault) => return Ok(Err(fault)),
        };
        let sign = terms::make_int(self.env, if negative { -1 } else { 1 });
        let exponent = terms::make_int(self.env, exponent);
        let fields =
            [(names::sign(), sign), (names::coef(), coefficient), (names::exp(), exponent)];
        let mut term = self.forms.templates.get(form::DECIMAL).copied();
        for (name, value) in fields {
            term = term.and_then(|term| terms::update(self.env, term, name.into(), value));
        }
        term.map(Ok).ok_or_else(|| Stop::Refused(Fault::other_library()))
    }

    /// The error with its path: where it is that of an item, with the step to that.
    #[cold]
    fn refused(&self, error: DecodeError, of_item: bool) -> Stop {
        let last = self.open.len();
        let steps = self.open.iter().enumerate().rev().filter(|&(at, _)| of_item || at + 1 < last);
        let error = steps.fold(error, |error, (at, open)| {
            // What is read of it, up to where its part of the gathered ends.
            let end = self.open.get(at + 1).map_or(self.items.len(), |inner| inner.first);
            let index = end - open.first;
            error.within(match open.close {
                Close::Array => Step::Index(index),
                Close::Object => match self.keys.get(open.first_key + index) {
                    Some(&key) => crate::value::encode::step(self.env, key),
                    None => Step::KeyOf(index),
                },
            })
        });
        Stop::Refused(match error.kind() {
            Kind::Json {
                line, column, fault: JsonFault::NaN | JsonFault::Infinity { .. }, ..
            } => Fault::no_json(error, "read it with nan: :atoms, or have null sent")
                .place(line, column),
            Kind::Json { line, column, .. } => Fault::from(error).place(line, column),
            _ => Fault::from(error),
        })
    }
}
