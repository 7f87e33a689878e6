//! Elements that are said by others: unions by the number of a member, dictionaries by an index, runs by where they end.

use super::bytes::{is_text, with_element};
use super::{
    Column, MEMBER, Made, Stop, VALUE, WIDER, Work, build, holds, is_nil, kind_of, required, told,
};
use crate::atoms;
use crate::value::terms::{self, Kind, Word};
use arrow_schema::{DataType, Field, UnionFields, UnionMode};
use rustler::Env;
use std::collections::HashMap;

/// Elements that are different, where each is first, and which of them stands in a row.
#[derive(Default)]
struct Distinct {
    firsts: Vec<usize>,
    indices: Vec<usize>,
}

impl Distinct {
    /// Of elements that are alike where their keys are.
    fn of<K: std::hash::Hash + Eq>(
        rows: usize,
        keys: impl Iterator<Item = Result<(usize, K), Stop>>,
    ) -> Result<Self, Stop> {
        let mut known = HashMap::new();
        let mut all = Distinct { firsts: Vec::new(), indices: vec![0; rows] };
        for key in keys {
            let (row, key) = key?;
            all.indices[row] = *known.entry(key).or_insert_with(|| {
                all.firsts.push(row);
                all.firsts.len() - 1
            });
        }
        Ok(all)
    }
}

/// What a term is known by: all its bytes, since two that the BEAM calls the same may differ by a sign of zero.
fn key<'a>(env: Env<'a>, word: Word<'a>) -> Vec<u8> {
    terms::external(env, word, <[u8]>::to_vec)
}

fn same<'a>(env: Env<'a>, one: Word<'a>, other: Word<'a>) -> bool {
    if one == other || !terms::identical(one, other) {
        return one == other;
    }
    let plain = matches!(terms::kind(env, one), Kind::Integer | Kind::Bits);
    plain || key(env, one) == key(env, other)
}

impl Made {
    pub(super) fn unions(
        &mut self,
        column: &Column<'_, '_>,
        members: &UnionFields,
        mode: UnionMode,
        work: &mut Work,
    ) -> Result<(), Stop> {
        let (env, len) = (column.env, column.words.len());
        let ids: Vec<i8> = members.iter().map(|(id, _)| id).collect();
        let nil = Word::from(atoms::nil());
        let sparse = mode == UnionMode::Sparse;
        // Of each member its terms, and the rows that they stand in.
        let mut parts = vec![(Vec::new(), Vec::new()); ids.len()];
        let mut offsets = Vec::new();
        if sparse {
            work.spend(len.saturating_mul(ids.len()))?;
            parts = vec![(vec![nil; len], Vec::new()); ids.len()];
        }
        for (row, &word) in column.words.iter().enumerate() {
            let (number, word) = chosen(env, row, word, members)?;
            self.data.push(ids[number] as u8);
            let (words, rows): &mut (Vec<Word<'_>>, Vec<usize>) = &mut parts[number];
            match sparse {
                true => words[row] = word,
                false => {
                    offsets.extend_from_slice(&(words.len() as u32).to_le_bytes());
                    words.push(word);
                }
            }
            rows.push(row);
        }
        for ((_, field), (words, rows)) in members.iter().zip(&parts) {
            if sparse {
                // Rows of other members are null here, and nobody asks for them.
                required(field, words, |row| rows.binary_search(&row).is_ok())?;
                self.children.push(build(env, words, field.data_type(), work)?);
            } else {
                let child = required(field, words, |_| true)
                    .and_then(|()| build(env, words, field.data_type(), work));
                self.children.push(child.map_err(|stop| stop.of_rows(rows))?);
            }
        }
        self.offsets = (!sparse).then_some(offsets);
        Ok(())
    }

    /// Indices of the different elements.
    pub(super) fn dictionary(
        &mut self,
        column: &Column<'_, '_>,
        key_type: &DataType,
        of: &DataType,
        work: &mut Work,
    ) -> Result<(), Stop> {
        let (env, len) = (column.env, column.words.len());
        let (distinct, values) = match of.primitive_width() {
            // Alike is what is written alike: 1 and 1.0 among floats.
            Some(width) => {
                let (rows, words): (Vec<usize>, Vec<Word<'_>>) = column.present().unzip();
                let mut values =
                    build(env, &words, of, work).map_err(|stop| stop.of_rows(&rows))?;
                let (elements, mut kept) = (std::mem::take(&mut values.data), Vec::new());
                let elements = || rows.iter().copied().zip(elements.chunks_exact(width));
                let distinct = Distinct::of(len, elements().map(Ok))?;
                let mut firsts = distinct.firsts.iter().copied().peekable();
                for (_, element) in elements().filter(|(row, _)| firsts.next_if_eq(row).is_some()) {
                    kept.extend_from_slice(element);
                }
                (values.len, values.data) = (distinct.firsts.len(), kept);
                (distinct, values)
            }
            None => {
                let bytes = is_text(of) || matches!(of, DataType::Binary | DataType::LargeBinary);
                let keys = column.present().map(|(row, word)| match bytes {
                    true => with_element(env, word, of, <[u8]>::to_vec)
                        .map(|key| (row, key))
                        .ok_or_else(|| column.no(row)),
                    false => Ok((row, key(env, word))),
                });
                let distinct = Distinct::of(len, keys)?;
                let words: Vec<_> = distinct.firsts.iter().map(|&row| column.words[row]).collect();
                let values = build(env, &words, of, work);
                let values = values.map_err(|stop| stop.of_rows(&distinct.firsts))?;
                (distinct, values)
            }
        };
        let width = key_type.primitive_width().unwrap_or(8);
        // The bits of an index, one less where there is a sign.
        let most = 1u128 << (8 * width as u32 - u32::from(key_type.is_signed_integer()));
        if let Some(&row) = distinct.firsts.get(usize::try_from(most).unwrap_or(usize::MAX)) {
            let what = format!("more different elements than {key_type} counts");
            return Err(Stop::unfit(row, what, kind_of(env, column.words[row])).hint(WIDER));
        }
        self.data = Vec::with_capacity(len * width);
        for index in distinct.indices {
            self.data.extend_from_slice(&(index as u64).to_le_bytes()[..width]);
        }
        self.dictionary = Some(Box::new(values));
        Ok(())
    }

    pub(super) fn runs(
        &mut self,
        column: &Column<'_, '_>,
        ends: &Field,
        values: &Field,
        work: &mut Work,
    ) -> Result<(), Stop> {
        let (env, words) = (column.env, column.words);
        let width = ends.data_type().primitive_width().unwrap_or(8);
        let most = (1u64 << (8 * width - 1)) - 1;
        if words.len() as u64 > most {
            let row = most as usize;
            let what = format!("more rows than ends of runs of {} count", ends.data_type());
            return Err(Stop::unfit(row, what, kind_of(env, words[row])).hint(WIDER));
        }
        let begins = |&row: &usize| row == 0 || !same(env, words[row - 1], words[row]);
        let firsts: Vec<usize> = (0..words.len()).filter(begins).collect();
        let each: Vec<Word<'_>> = firsts.iter().map(|&row| words[row]).collect();
        let mut made = Made { len: firsts.len(), ..Made::default() };
        for end in firsts.iter().skip(1).copied().chain((!words.is_empty()).then_some(words.len()))
        {
            made.data.extend_from_slice(&(end as u64).to_le_bytes()[..width]);
        }
        let child = required(values, &each, |_| true)
            .and_then(|()| build(env, &each, values.data_type(), work));
        self.children = vec![made, child.map_err(|stop| stop.of_rows(&firsts))?];
        Ok(())
    }
}

/// The member that a term is of, and what it is there.
fn chosen<'a>(
    env: Env<'a>,
    row: usize,
    word: Word<'a>,
    members: &UnionFields,
) -> Result<(usize, Word<'a>), Stop> {
    let no = |what: String| Stop::unfit(row, what, kind_of(env, word)).hint(MEMBER);
    let all = || {
        if members.is_empty() {
            return "none".into();
        }
        let member = |(id, field): (i8, &std::sync::Arc<Field>)| {
            format!("{id} {:?} of {}", field.name(), field.data_type())
        };
        members.iter().map(member).collect::<Vec<_>>().join(", ")
    };
    match holds::tagged(env, word, members) {
        Some((Some(number), word)) => Ok((number, word)),
        Some((None, _)) => {
            Err(no(format!("no member of the union has this name or number; there are: {}", all())))
        }
        None => match holds::member(env, word, members) {
            Some(number) => Ok((number, word)),
            None if is_nil(word) => {
                let what = format!("nil where no member of the union may be null: {}", all());
                Err(no(what).hint(VALUE))
            }
            None => {
                let what = told(env, word);
                Err(no(format!("{what} is of no member of the union; there are: {}", all())))
            }
        },
    }
}
