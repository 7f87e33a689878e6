//! Which type holds the terms of a column.
//!
//! Integers go together with floats where a float holds each of them exactly, texts with bytes, and all with nil. Anything
//! else that is mixed has no column.

use super::numbers::{digits, is_exact};
use super::{MIXED, NONE, Stop, Transposed, Work, is_nil, items, kind_of, moments};
use crate::atoms;
use crate::table::names as n;
use crate::value::names;
use crate::value::terms::{self, Kind, Word};
use arrow_schema::{DataType, Field, Fields, TimeUnit};
use rustler::Env;
use std::sync::Arc;

/// Bytes that offsets of 32 bits count.
const TEXT_MOST: usize = i32::MAX as usize;
/// Lists and maps that may enclose each other.
const DEPTH: usize = slipring_codec::format::arrow::MAX_NESTING - 1;

/// What the elements so far are.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Class {
    Nothing,
    Boolean,
    Integer,
    Float,
    Text,
    Date,
    Time,
    Naive,
    DateTime,
    Duration,
    Decimal,
    List,
    Map,
}

impl Class {
    fn name(self) -> &'static str {
        match self {
            Class::Nothing => "nothing",
            Class::Boolean => "booleans",
            Class::Integer => "integers",
            Class::Float => "floats",
            Class::Text => "binaries",
            Class::Date => "dates",
            Class::Time => "times",
            Class::Naive => "naive times",
            Class::DateTime => "points in time",
            Class::Duration => "durations",
            Class::Decimal => "decimals",
            Class::List => "lists",
            Class::Map => "maps",
        }
    }
}

fn class<'a>(env: Env<'a>, word: Word<'a>) -> Option<Class> {
    let is = |atom: rustler::Atom| word == atom.into();
    Some(match terms::kind(env, word) {
        Kind::Atom if is(n::true_()) || is(n::false_()) => Class::Boolean,
        Kind::Atom if is(atoms::nan()) || is(atoms::infinity()) || is(atoms::neg_infinity()) => {
            Class::Float
        }
        Kind::Atom => Class::Text,
        Kind::Integer => Class::Integer,
        Kind::Float => Class::Float,
        Kind::Bits if terms::bytes(env, word).is_some() => Class::Text,
        Kind::List => Class::List,
        Kind::Map => match terms::get(env, word, atoms::struct_().into()) {
            None => Class::Map,
            Some(module) => {
                let all = names::all();
                let known = [
                    (all.date, Class::Date),
                    (all.time, Class::Time),
                    (all.naive, Class::Naive),
                    (all.datetime, Class::DateTime),
                    (all.own_duration, Class::Duration),
                    (all.decimal, Class::Decimal),
                    (all.own_decimal, Class::Decimal),
                ];
                return known.into_iter().find(|&(atom, _)| module == atom.into()).map(|(_, c)| c);
            }
        },
        _ => return None,
    })
}

/// What decides among the types of a class.
struct Facts {
    /// An integer that needs the 64th bit for its value, and one that has a sign.
    large: bool,
    negative: bool,
    /// The first integer that is no float.
    inexact: Option<usize>,
    not_text: bool,
    bytes: usize,
    /// Digits of a second.
    precision: u8,
    /// The zone of all, if they have one in common.
    zone: Option<String>,
    zones: bool,
    /// Digits before the point of decimals, and behind it.
    whole: i64,
    scale: i64,
    /// The row from which on there are too many of them.
    longest: usize,
}

/// The type of these elements.
pub(crate) fn infer<'a>(
    env: Env<'a>,
    words: &[Word<'a>],
    depth: usize,
    work: &mut Work,
) -> Result<DataType, Stop> {
    work.spend(words.len())?;
    let mut facts = Facts {
        large: false,
        negative: false,
        inexact: None,
        not_text: false,
        bytes: 0,
        precision: 0,
        zone: None,
        zones: false,
        whole: 0,
        scale: 0,
        longest: 0,
    };
    let mut so_far = Class::Nothing;
    for (row, &word) in words.iter().enumerate() {
        if is_nil(word) {
            continue;
        }
        let no_form = || {
            let kind = kind_of(env, word);
            Stop::unfit(row, format!("a term of type {kind} has no type in a table"), kind)
                .hint(NONE)
        };
        let next = class(env, word).ok_or_else(no_form)?;
        so_far = match (so_far, next) {
            (Class::Nothing, next) => next,
            (so_far, next) if so_far == next => next,
            (Class::Integer, Class::Float) | (Class::Float, Class::Integer) => Class::Float,
            (so_far, next) => {
                let what = format!("{} in a column of {}", next.name(), so_far.name());
                return Err(Stop::unfit(row, what, kind_of(env, word)).hint(MIXED));
            }
        };
        look(env, row, word, next, &mut facts)?;
    }
    let unit = match facts.precision {
        0 => TimeUnit::Second,
        1..=3 => TimeUnit::Millisecond,
        _ => TimeUnit::Microsecond,
    };
    Ok(match so_far {
        Class::Nothing => DataType::Null,
        Class::Boolean => DataType::Boolean,
        Class::Integer if facts.large && facts.negative => {
            let row =
                words.iter().position(|&word| terms::int(env, word).is_none() && !is_nil(word));
            let what = "an integer of 64 bits without a sign among negative ones";
            return Err(Stop::unfit(row.unwrap_or(0), what, "integer").hint(MIXED));
        }
        Class::Integer if facts.large => DataType::UInt64,
        Class::Integer => DataType::Int64,
        Class::Float => match facts.inexact {
            None => DataType::Float64,
            Some(row) => {
                let what = "an integer among floats that a float does not hold exactly";
                return Err(Stop::unfit(row, what, "integer").hint(MIXED));
            }
        },
        Class::Text => match (facts.not_text, facts.bytes > TEXT_MOST) {
            (false, false) => DataType::Utf8,
            (false, true) => DataType::LargeUtf8,
            (true, false) => DataType::Binary,
            (true, true) => DataType::LargeBinary,
        },
        Class::Date => DataType::Date32,
        Class::Time => match unit {
            TimeUnit::Microsecond => DataType::Time64(unit),
            unit => DataType::Time32(unit),
        },
        Class::Naive => DataType::Timestamp(unit, None),
        Class::DateTime => {
            let zone = if facts.zones { None } else { facts.zone };
            let zone = match zone.as_deref() {
                None | Some("Etc/UTC") => "UTC",
                Some(zone) => zone,
            };
            DataType::Timestamp(unit, Some(zone.into()))
        }
        Class::Duration => DataType::Duration(TimeUnit::Microsecond),
        Class::Decimal => {
            let precision = (facts.whole + facts.scale).max(1);
            match precision {
                ..=38 => DataType::Decimal128(precision as u8, facts.scale as i8),
                39..=76 => DataType::Decimal256(precision as u8, facts.scale as i8),
                _ => {
                    let what = "decimals that together have more than 76 digits";
                    return Err(Stop::unfit(facts.longest, what, "Decimal").hint(NONE));
                }
            }
        }
        Class::List | Class::Map if depth == DEPTH => {
            let what = "lists and maps too deep inside each other";
            return Err(Stop::unfit(0, what, "list").hint(NONE));
        }
        Class::List => {
            let (mut all, mut starts) = (Vec::new(), Vec::new());
            for (row, &word) in words.iter().enumerate() {
                starts.push(all.len());
                if !is_nil(word) {
                    let improper = || Stop::unfit(row, "an improper list", "list").hint(NONE);
                    all.extend(items(env, word).ok_or_else(improper)?);
                }
            }
            let item = infer(env, &all, depth + 1, work).map_err(|stop| stop.of_list(&starts))?;
            let field = Arc::new(Field::new_list_field(item, true));
            if all.len() > TEXT_MOST { DataType::LargeList(field) } else { DataType::List(field) }
        }
        Class::Map => {
            let rows = Transposed::of(env, words, None, work)?;
            DataType::Struct(fields(env, &rows, depth + 1, work)?)
        }
    })
}

/// The fields of maps.
pub(crate) fn fields<'a>(
    env: Env<'a>,
    rows: &Transposed<'a>,
    depth: usize,
    work: &mut Work,
) -> Result<Fields, Stop> {
    let field = |(name, column): (&String, &Vec<Word<'a>>)| {
        let of = infer(env, column, depth, work).map_err(|stop| stop.of_field(name))?;
        Ok(Field::new(name, of, true))
    };
    let fields: Result<Vec<Field>, Stop> =
        rows.names.iter().zip(&rows.columns).map(field).collect();
    Ok(fields?.into())
}

fn look<'a>(
    env: Env<'a>,
    row: usize,
    word: Word<'a>,
    class: Class,
    facts: &mut Facts,
) -> Result<(), Stop> {
    match class {
        Class::Integer => match terms::int(env, word) {
            Some(value) => {
                facts.negative |= value < 0;
                if facts.inexact.is_none() && !is_exact(value) {
                    facts.inexact = Some(row);
                }
            }
            None if terms::uint(env, word).is_some() => {
                facts.large = true;
                facts.inexact = facts.inexact.or(Some(row));
            }
            None => {
                let what = "an integer of more than 64 bits";
                return Err(Stop::unfit(row, what, "integer").hint(MIXED));
            }
        },
        Class::Text => {
            if let Some(bytes) = terms::bytes(env, word) {
                facts.not_text |= !bytes.is_ascii() && std::str::from_utf8(bytes).is_err();
                facts.bytes = facts.bytes.saturating_add(bytes.len());
            }
        }
        Class::Time | Class::Naive => {
            facts.precision = facts.precision.max(moments::precision(env, word).unwrap_or(6));
        }
        Class::DateTime => {
            facts.precision = facts.precision.max(moments::precision(env, word).unwrap_or(6));
            let zone = terms::get(env, word, n::time_zone().into());
            let zone = zone.and_then(|zone| terms::bytes(env, zone));
            let zone = String::from_utf8_lossy(zone.unwrap_or_default());
            match &facts.zone {
                None => facts.zone = Some(zone.into_owned()),
                Some(known) => facts.zones |= *known != zone,
            }
        }
        Class::Decimal => {
            let Some((value, exponent)) = digits(env, word) else {
                let what = "a decimal that is no number, or of more than 76 digits";
                return Err(Stop::unfit(row, what, "Decimal").hint(NONE));
            };
            let places = match value.to_i128() {
                Some(value) => {
                    value.unsigned_abs().checked_ilog10().map_or(1, |log| log + 1).into()
                }
                None => value.to_string().trim_start_matches('-').len() as i64,
            };
            let scale = exponent.checked_neg().unwrap_or(i64::MAX).max(0);
            facts.scale = facts.scale.max(scale).min(100);
            facts.whole = facts.whole.max(places.saturating_add(exponent).clamp(0, 100));
            if facts.whole + facts.scale <= 76 {
                facts.longest = row + 1;
            }
        }
        _ => {}
    }
    Ok(())
}
