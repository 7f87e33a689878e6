//! Lists of maps as columns in one pass, where their keys and the kinds of what stands under them are alike from row to row.
//!
//! Each column guesses that the next term is as the last one was, and a call that reads it as that says whether it is. What a column
//! of numbers, texts or booleans is not made for, such as a date, is gathered, and its column built as any other is. Where a guess
//! proves wrong in a way that would need what was read already, the pass is given up, and the slow one begins anew: it also says
//! what is wrong with the maps, if anything is.

use super::numbers::is_exact;
use super::{Stop, Work, binary, build, infer, is_nil};
use crate::atoms;
use crate::table::column::Parts;
use crate::table::names as n;
use crate::table::types;
use crate::value::terms::{self, Kind, Pairs, Word};
use arrow_buffer::Buffer;
use arrow_schema::{DataType, Field};
use rustler::{Env, Term};
use std::collections::HashMap;

/// Rows that a column has room for when it gets its first element.
const ROOM: usize = 256;

/// What a column has so far. Where it is null there is a zero, or no text.
enum Values<'a> {
    /// Nothing but nulls.
    Nothing,
    /// With whether floats hold all of them exactly.
    Int(Vec<i64>, bool),
    Float(Vec<f64>),
    Bool(Vec<bool>),
    /// Where each ends, and the bytes of all.
    Text(Vec<i32>, Vec<u8>),
    /// Terms of other kinds, or of another type that was asked for.
    Words(Vec<Word<'a>>),
}

struct Column<'a> {
    name: String,
    /// As it stood in the last row in which it had another word.
    key: Word<'a>,
    given: Option<DataType>,
    values: Values<'a>,
    len: usize,
    /// Rows, of which terms have none.
    nulls: Vec<usize>,
}

impl<'a> Column<'a> {
    /// Rows that have no such key.
    fn fill(&mut self, rows: usize, work: &mut Work) -> Result<(), Stop> {
        work.spend(rows - self.len)?;
        while self.len < rows {
            self.null();
        }
        Ok(())
    }

    fn null(&mut self) {
        match &mut self.values {
            Values::Nothing => {}
            Values::Int(values, _) => values.push(0),
            Values::Float(values) => values.push(0.0),
            Values::Bool(values) => values.push(false),
            Values::Text(ends, bytes) => ends.push(bytes.len() as i32),
            Values::Words(words) => {
                words.push(atoms::nil().into());
                self.len += 1;
                return;
            }
        }
        self.nulls.push(self.len);
        self.len += 1;
    }

    /// Takes in a term; `None` where the guess was wrong.
    #[inline(always)]
    fn push(&mut self, env: Env<'a>, word: Word<'a>) -> Option<()> {
        let taken = match &mut self.values {
            Values::Int(values, exact) => terms::int(env, word).map(|value| {
                *exact &= value.unsigned_abs() <= 1 << f64::MANTISSA_DIGITS || is_exact(value);
                values.push(value);
            }),
            Values::Float(values) => terms::float(env, word).map(|value| values.push(value)),
            Values::Text(ends, bytes) => match terms::bytes(env, word) {
                Some(text) => {
                    bytes.extend_from_slice(text);
                    ends.push(i32::try_from(bytes.len()).ok()?);
                    Some(())
                }
                None => None,
            },
            Values::Words(words) => {
                words.push(word);
                Some(())
            }
            Values::Bool(_) | Values::Nothing => None,
        };
        match taken {
            Some(()) => {
                self.len += 1;
                Some(())
            }
            None => self.other(env, word),
        }
    }

    /// What is not as it was guessed.
    #[inline(never)]
    fn other(&mut self, env: Env<'a>, word: Word<'a>) -> Option<()> {
        if is_nil(word) {
            self.null();
            return Some(());
        }
        match &mut self.values {
            Values::Bool(values) => {
                let set = word == n::true_().into();
                if !set && word != n::false_().into() {
                    return None;
                }
                values.push(set);
                self.len += 1;
                return Some(());
            }
            Values::Int(values, true) => {
                let value = terms::float(env, word)?;
                let mut floats = Vec::with_capacity(values.capacity());
                floats.extend(values.iter().map(|&value| value as f64));
                floats.push(value);
                self.values = Values::Float(floats);
                self.len += 1;
                return Some(());
            }
            Values::Float(values) => {
                let value = terms::int(env, word).filter(|&value| is_exact(value))?;
                values.push(value as f64);
                self.len += 1;
                return Some(());
            }
            Values::Nothing => {}
            _ => return None,
        }
        let (len, room) = (self.len, ROOM.max(self.len + 1));
        /// As many as there are rows, with room for more.
        fn zeros<T: Clone>(zero: T, len: usize, room: usize) -> Vec<T> {
            let mut values = Vec::with_capacity(room);
            values.resize(len, zero);
            values
        }
        self.values = match terms::kind(env, word) {
            Kind::Integer => Values::Int(zeros(0, len, room), true),
            Kind::Float => Values::Float(zeros(0.0, len, room)),
            Kind::Bits => Values::Text(zeros(0, len, room), Vec::with_capacity(8 * room)),
            Kind::Atom if word == n::true_().into() || word == n::false_().into() => {
                Values::Bool(zeros(false, len, room))
            }
            _ => {
                self.nulls = Vec::new();
                Values::Words(zeros(atoms::nil().into(), len, room))
            }
        };
        // Read as that; an integer of more bits, or odd bits, are for the slow pass.
        match &self.values {
            Values::Int(..) if terms::int(env, word).is_none() => None,
            Values::Text(..) if terms::bytes(env, word).is_none() => None,
            _ => self.push(env, word),
        }
    }

    /// The struct; `None` where the guess was another type than was asked for.
    fn finish(self, env: Env<'a>, work: &mut Work) -> Result<Option<Word<'a>>, Stop> {
        let Column { name, given, mut values, len, nulls, .. } = self;
        match (&values, &given) {
            (Values::Nothing, Some(_)) => values = Values::Words(vec![atoms::nil().into(); len]),
            (Values::Int(ints, true), Some(DataType::Float64)) => {
                values = Values::Float(ints.iter().map(|&value| value as f64).collect());
            }
            _ => {}
        }
        let mut parts = Parts::new();
        (parts.len, parts.null_count) = (len, nulls.len());
        let data_type = match values {
            Values::Words(words) => {
                let data_type = match given {
                    Some(given) => Ok(given),
                    None => infer(env, &words, 0, work),
                };
                let built = data_type.and_then(|data_type| {
                    let made = build(env, &words, &data_type, work)?;
                    Ok(made.column(env, &Field::new(&name, data_type, true)))
                });
                return built.map(Some).map_err(|stop| stop.of_field(&name));
            }
            Values::Nothing => DataType::Null,
            Values::Int(values, _) => {
                parts.data = binary(env, Buffer::from_vec(values));
                DataType::Int64
            }
            Values::Float(values) => {
                parts.data = binary(env, Buffer::from_vec(values));
                DataType::Float64
            }
            Values::Bool(values) => {
                let byte =
                    |bits: &[bool]| bits.iter().rfold(0, |byte, &bit| byte << 1 | u8::from(bit));
                parts.data = binary(env, values.chunks(8).map(byte).collect::<Vec<u8>>());
                DataType::Boolean
            }
            Values::Text(ends, bytes) => {
                work.spend(bytes.len() / 256)?;
                let data_type =
                    if are_texts(&ends, &bytes) { DataType::Utf8 } else { DataType::Binary };
                let mut offsets = Vec::with_capacity(ends.len() + 1);
                offsets.push(0);
                offsets.extend_from_slice(&ends);
                parts.offsets = binary(env, Buffer::from_vec(offsets));
                parts.data = binary(env, Buffer::from_vec(bytes));
                data_type
            }
        };
        if given.is_some_and(|given| given != data_type) {
            return Ok(None);
        }
        if !nulls.is_empty() && data_type != DataType::Null {
            let mut bits = vec![u8::MAX; len.div_ceil(8)];
            if let Some(last) = bits.last_mut() {
                *last >>= (8 - len % 8) % 8;
            }
            nulls.iter().for_each(|&row| bits[row / 8] &= !(1 << (row % 8)));
            parts.validity = binary(env, bits);
        }
        Ok(Some(parts.column(env, &Field::new(&name, data_type, true))))
    }
}

/// Whether each piece is UTF-8.
fn are_texts(ends: &[i32], bytes: &[u8]) -> bool {
    let piece = |start: i32, end: i32| std::str::from_utf8(&bytes[start as usize..end as usize]);
    bytes.is_ascii()
        || ends.iter().try_fold(0, |start, &end| piece(start, end).map(|_| end)).is_ok()
}

/// The columns.
struct Rows<'a> {
    env: Env<'a>,
    columns: Vec<Column<'a>>,
    places: HashMap<String, usize>,
    types: Term<'a>,
    typed: bool,
}

impl<'a> Rows<'a> {
    /// Takes in a row; `None` where the slow pass has to look.
    fn row(&mut self, row: usize, pairs: Pairs<'a>, work: &mut Work) -> Result<Option<()>, Stop> {
        let (mut next, mut entries) = (0, 1);
        for (key, value) in pairs {
            entries += 1;
            let place = match self.columns.get(next) {
                Some(column) if column.key == key => next,
                Some(column)
                    if terms::bytes(self.env, key)
                        .is_some_and(|text| terms::same(text, column.name.as_bytes())) =>
                {
                    next
                }
                _ => match self.place(key) {
                    Some(place) => place,
                    None => return Ok(None),
                },
            };
            let column = &mut self.columns[place];
            if column.len != row {
                if column.len > row {
                    return Ok(None);
                }
                column.fill(row, work)?;
            }
            if column.push(self.env, value).is_none() {
                return Ok(None);
            }
            next = place + 1;
        }
        work.spend(entries)?;
        Ok(Some(()))
    }

    /// The column of a key that is not the expected one; `None` for what is no name, or of a struct.
    #[inline(never)]
    fn place(&mut self, key: Word<'a>) -> Option<usize> {
        let env = self.env;
        match terms::kind(env, key) {
            Kind::Atom if !is_nil(key) && key != atoms::struct_().into() => {
                terms::with_atom(env, key, |name| Some(self.named(name, key)))
            }
            Kind::Bits => Some(self.named(std::str::from_utf8(terms::bytes(env, key)?).ok()?, key)),
            _ => None,
        }
    }

    fn named(&mut self, name: &str, key: Word<'a>) -> usize {
        if let Some(&place) = self.places.get(name) {
            self.columns[place].key = key;
            return place;
        }
        let given = match self.typed {
            true => self.types.map_get(name).ok().and_then(types::parse),
            false => None,
        };
        // What most terms are is guessed, as where nothing was said.
        let is_plain = |of: &DataType| {
            matches!(of, DataType::Boolean | DataType::Int64 | DataType::Float64 | DataType::Utf8)
        };
        let guessed = given.as_ref().is_none_or(is_plain);
        let values = if guessed { Values::Nothing } else { Values::Words(Vec::new()) };
        let (len, nulls) = (0, Vec::new());
        self.columns.push(Column { name: name.to_owned(), key, given, values, len, nulls });
        self.places.insert(name.to_owned(), self.columns.len() - 1);
        self.columns.len() - 1
    }
}

/// The columns of a list of maps; `None` where that is for the slow pass. `types` has those of some of them, by name.
pub(crate) fn columns<'a>(
    env: Env<'a>,
    list: Word<'a>,
    types: Term<'a>,
    work: &mut Work,
) -> Result<Option<Word<'a>>, Stop> {
    let Some((first, _)) = terms::cell(env, list) else { return Ok(None) };
    // Seen at once where it can be.
    let entries = terms::map_size(env, first) + 1;
    if terms::list_len(env, list).saturating_mul(entries) > work.left {
        return Err(Stop::Large);
    }
    let typed = terms::map_size(env, types.into()) > 0;
    let mut rows = Rows { env, columns: Vec::new(), places: HashMap::new(), types, typed };
    let (mut row, mut rest) = (0, list);
    while let Some((map, tail)) = terms::cell(env, rest) {
        let Some(pairs) = Pairs::new(env, map) else { return Ok(None) };
        if rows.row(row, pairs, work)?.is_none() {
            return Ok(None);
        }
        (row, rest) = (row + 1, tail);
    }
    if !terms::is_nil_list(env, rest) {
        return Ok(None);
    }
    let mut made = Vec::with_capacity(rows.columns.len());
    for mut column in rows.columns {
        column.fill(row, work)?;
        match column.finish(env, work)? {
            Some(column) => made.push(column),
            None => return Ok(None),
        }
    }
    Ok(Some(terms::make_list(env, &made)))
}
