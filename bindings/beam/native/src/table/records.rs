//! Lists of maps that are worth a table without being asked: those that come back as they were sent, key by key and
//! value by value. The rules are the codec's, see [`infer`].

use crate::atoms;
use crate::table::names as n;
use crate::value::terms::{self, Kind, Pairs, Word};
use arrow_schema::Schema;
use rustler::Env;
use slipring_codec::format::arrow::Rows;
use slipring_codec::infer::{self, Records, Scalar};

/// What became of a look at records.
pub(crate) enum Look {
    Table(Schema, Rows),
    /// They are none, and why.
    Not(String),
    /// It is no list of so many maps.
    Other,
    /// There is more to do than it may.
    Large,
}

/// The list as a table, if it has `least` maps or more that are alike; by a look at so many entries at `most`. With
/// `bytes`, all binaries are bytes.
pub(crate) fn look<'a>(
    env: Env<'a>,
    list: Word<'a>,
    bytes: bool,
    least: usize,
    mut most: usize,
) -> Look {
    if !is_long(env, list, least) {
        return Look::Other;
    }
    let mut records = Records::new();
    // What the columns so far have had last.
    let mut seen = Vec::new();
    let (mut row, mut rest) = (0, list);
    while let Some((map, tail)) = terms::cell(env, rest) {
        let Some(pairs) = Pairs::new(env, map) else {
            return Look::Not(format!("record {row} is no map, or a struct"));
        };
        records.begin();
        for (key, value) in pairs {
            let Some(left) = most.checked_sub(1) else { return Look::Large };
            most = left;
            let place = records.position();
            let known = seen.get(place).filter(|seen: &&Seen<'a>| seen.has(env, key, &records));
            let quick = known.and_then(|seen| seen.quick(env, value, bytes));
            let known = known.is_some();
            let taken = match quick {
                Some(scalar) => records.expected_entry(scalar),
                None => {
                    let text = terms::bytes(env, key).and_then(|key| std::str::from_utf8(key).ok());
                    let Some(text) = text else {
                        return Look::Not(match key == atoms::struct_().into() {
                            true => format!("record {row} is no map, or a struct"),
                            false => format!("record {row} has a key that is no text"),
                        });
                    };
                    let Some(scalar) = scalar(env, value, bytes) else {
                        let kind = super::build::kind_of(env, value);
                        return Look::Not(format!(
                            "record {row} has a term of type {kind} under {text:?}"
                        ));
                    };
                    let taken = records.entry(text, scalar);
                    learn(env, &mut seen, known, (key, value), &records);
                    taken
                }
            };
            if let Err(misfit) = taken {
                return Look::Not(misfit.to_string());
            }
        }
        (row, rest) = (row + 1, tail);
    }
    if !terms::is_nil_list(env, rest) {
        return Look::Other;
    }
    match records.finish() {
        Ok((schema, rows)) => Look::Table(schema, rows),
        Err(misfit) => Look::Not(misfit.to_string()),
    }
}

/// What stood in a column when it was looked at closely: mostly the next one is alike.
struct Seen<'a> {
    key: Word<'a>,
    kind: Kind,
}

impl<'a> Seen<'a> {
    /// Whether the key is that of the column, which is the next one.
    #[inline(always)]
    fn has(&self, env: Env<'a>, key: Word<'a>, records: &Records) -> bool {
        let same = |name: &str| {
            terms::bytes(env, key).is_some_and(|text| terms::same(text, name.as_bytes()))
        };
        self.key == key || records.expected().is_some_and(same)
    }

    /// What there is most of.
    #[inline(always)]
    fn quick(&self, env: Env<'a>, value: Word<'a>, bytes: bool) -> Option<Scalar<'a>> {
        match self.kind {
            Kind::Integer => terms::int(env, value).map(Scalar::Int),
            Kind::Float => terms::float(env, value).map(Scalar::Float),
            Kind::Bits if !bytes => {
                let text = terms::bytes(env, value)?;
                std::str::from_utf8(text).ok().map(Scalar::Text)
            }
            Kind::Atom if value == n::true_().into() => Some(Scalar::Bool(true)),
            Kind::Atom if value == n::false_().into() => Some(Scalar::Bool(false)),
            _ => None,
        }
        .or_else(|| (value == atoms::nil().into()).then_some(Scalar::Null))
    }
}

/// Notes what stood in the column that has just been given an entry.
fn learn<'a>(
    env: Env<'a>,
    seen: &mut Vec<Seen<'a>>,
    known: bool,
    (key, value): (Word<'a>, Word<'a>),
    records: &Records,
) {
    let column = records.position().saturating_sub(1);
    let kind = terms::kind(env, value);
    match seen.get_mut(column) {
        Some(there) if known || there.key == key => there.kind = kind,
        // A new column moves those behind it.
        _ => {
            seen.truncate(column);
            if seen.len() == column {
                seen.push(Seen { key, kind });
            }
        }
    }
}

/// Whether it is a list that begins with a map and has so many items.
fn is_long<'a>(env: Env<'a>, list: Word<'a>, least: usize) -> bool {
    let Some((first, mut rest)) = terms::cell(env, list) else { return false };
    if terms::kind(env, first) != Kind::Map {
        return false;
    }
    for _ in 1..least {
        let Some((_, tail)) = terms::cell(env, rest) else { return false };
        rest = tail;
    }
    true
}

/// What goes into a column and comes back as the same.
fn scalar<'a>(env: Env<'a>, word: Word<'a>, bytes: bool) -> Option<Scalar<'a>> {
    Some(match terms::kind(env, word) {
        Kind::Integer => match terms::int(env, word) {
            Some(value) => Scalar::Int(value),
            None => Scalar::Unsigned(terms::uint(env, word)?),
        },
        Kind::Float => Scalar::Float(terms::float(env, word)?),
        Kind::Bits => {
            let binary = terms::bytes(env, word)?;
            match std::str::from_utf8(binary) {
                Ok(text) if !bytes => Scalar::Text(text),
                _ => Scalar::Bytes(binary),
            }
        }
        Kind::Atom if word == atoms::nil().into() => Scalar::Null,
        Kind::Atom if word == n::true_().into() => Scalar::Bool(true),
        Kind::Atom if word == n::false_().into() => Scalar::Bool(false),
        _ => return None,
    })
}

/// Whether nulls of a field stand for keys that are missing.
pub(crate) fn is_missing(field: &arrow_schema::Field) -> bool {
    field.metadata().get(infer::MISSING).is_some()
}
