//! Elements that have others in them: lists in their forms, structs and maps.

use super::{
    Column, KEY, LESS, MAPS, Made, NAMES, Stop, Transposed, WIDER, Work, build, is_nil, items,
    required, told,
};
use crate::atoms;
use crate::value::terms::{self, Kind, Pairs, Word};
use arrow_schema::{DataType, Field, Fields};
use rustler::Env;
use std::collections::HashSet;

/// The items of all lists of a column, and where each list begins.
struct Items<'a> {
    all: Vec<Word<'a>>,
    starts: Vec<usize>,
}

impl<'a> Items<'a> {
    fn of(column: &Column<'_, 'a>) -> Result<Self, Stop> {
        let (mut all, mut starts) = (Vec::new(), Vec::with_capacity(column.words.len()));
        for (row, &word) in column.words.iter().enumerate() {
            starts.push(all.len());
            if !is_nil(word) {
                all.extend(items(column.env, word).ok_or_else(|| column.no(row))?);
            }
        }
        Ok(Items { all, starts })
    }

    fn build(&self, env: Env<'a>, item: &Field, work: &mut Work) -> Result<Made, Stop> {
        let built = required(item, &self.all, |_| true)
            .and_then(|()| build(env, &self.all, item.data_type(), work));
        built.map_err(|stop| stop.of_list(&self.starts))
    }
}

/// Numbers of so many bytes.
fn counts<const WIDTH: usize>(counts: impl Iterator<Item = usize>) -> Vec<u8> {
    counts.flat_map(|count| (count as u64).to_le_bytes().into_iter().take(WIDTH)).collect()
}

/// Refuses more items than offsets of so many bytes count.
fn countable<const WIDTH: usize>(count: usize) -> Result<(), Stop> {
    if WIDTH == 4 && i32::try_from(count).is_err() {
        let what = "more than 2^31 items in the lists of a column";
        return Err(Stop::unfit(0, what, "list").hint(WIDER));
    }
    Ok(())
}

impl Made {
    /// Lists, or views of such.
    pub(super) fn lists<const WIDTH: usize>(
        &mut self,
        column: &Column<'_, '_>,
        item: &Field,
        views: bool,
        work: &mut Work,
    ) -> Result<(), Stop> {
        let items = Items::of(column)?;
        self.offsets::<WIDTH>(&items.starts, items.all.len(), views)?;
        self.children.push(items.build(column.env, item, work)?);
        Ok(())
    }

    /// Where lists start, and where the last one ends; of views instead how long each is.
    fn offsets<const WIDTH: usize>(
        &mut self,
        starts: &[usize],
        end: usize,
        views: bool,
    ) -> Result<(), Stop> {
        countable::<WIDTH>(end)?;
        if views {
            let ends = starts.iter().copied().skip(1).chain([end]);
            self.sizes = Some(counts::<WIDTH>(ends.zip(starts).map(|(end, start)| end - start)));
        }
        let last = (!views).then_some(end);
        self.offsets = Some(counts::<WIDTH>(starts.iter().copied().chain(last)));
        Ok(())
    }

    /// Lists of one length. A null takes as many items.
    pub(super) fn fixed_lists(
        &mut self,
        column: &Column<'_, '_>,
        item: &Field,
        size: usize,
        work: &mut Work,
    ) -> Result<(), Stop> {
        let (env, words) = (column.env, column.words);
        let mut all = Vec::new();
        let count = words.len().checked_mul(size).filter(|&count| i32::try_from(count).is_ok());
        count.and_then(|count| all.try_reserve_exact(count).ok()).ok_or_else(|| {
            let what = format!("{} lists of {size} items, more than a column takes", words.len());
            Stop::unfit(0, what, "list").hint(LESS)
        })?;
        for (row, &word) in words.iter().enumerate() {
            if is_nil(word) {
                work.spend(size)?;
                all.resize(all.len() + size, atoms::nil().into());
            } else {
                let items = items(env, word).filter(|items| items.len() == size);
                all.extend(items.ok_or_else(|| column.no(row))?);
            }
        }
        let starts: Vec<usize> = (0..words.len()).map(|row| row * size).collect();
        let child = required(item, &all, |at| !is_nil(words[at / size]))
            .and_then(|()| build(env, &all, item.data_type(), work));
        self.children.push(child.map_err(|stop| stop.of_list(&starts))?);
        Ok(())
    }

    pub(super) fn structs(
        &mut self,
        column: &Column<'_, '_>,
        fields: &Fields,
        work: &mut Work,
    ) -> Result<(), Stop> {
        let (env, words) = (column.env, column.words);
        let mut names = HashSet::new();
        if let Some(twice) = fields.iter().find(|field| !names.insert(field.name())) {
            let what =
                format!("two fields are named {:?}, and a map has one of them", twice.name());
            return Err(Stop::unfit(0, what, "map").hint(NAMES));
        }
        let rows = Transposed::of(env, words, Some(fields), work)?;
        for (words_within, field) in rows.columns.iter().zip(fields) {
            let child = required(field, words_within, |row| !is_nil(words[row]))
                .and_then(|()| build(env, words_within, field.data_type(), work));
            self.children.push(child.map_err(|stop| stop.of_field(field.name()))?);
        }
        Ok(())
    }

    /// Arrow's maps, of maps or of lists of pairs. Pairs stay as they are, also such as have one key.
    pub(super) fn maps(
        &mut self,
        column: &Column<'_, '_>,
        entries: &Field,
        sorted: bool,
        work: &mut Work,
    ) -> Result<(), Stop> {
        let env = column.env;
        let DataType::Struct(fields) = entries.data_type() else { return Err(column.no(0)) };
        let [key, value] = &fields[..] else { return Err(column.no(0)) };
        let (mut keys, mut values, mut starts) = (Vec::new(), Vec::new(), Vec::new());
        for (row, &word) in column.words.iter().enumerate() {
            starts.push(keys.len());
            if is_nil(word) {
                continue;
            }
            let mut pairs = pairs(env, word).ok_or_else(|| column.no(row))?;
            if terms::kind(env, word) == Kind::Map {
                named_once(env, row, &pairs)?;
            }
            if sorted {
                pairs.sort_by(|(one, _), (other, _)| terms::compare(*one, *other));
            }
            keys.extend(pairs.iter().map(|(key, _)| *key));
            values.extend(pairs.iter().map(|(_, value)| *value));
        }
        if let Some(at) = keys.iter().position(|&key| is_nil(key)) {
            return Err(Stop::unfit(at, "a key that is nil", "nil").hint(KEY).of_list(&starts));
        }
        self.offsets::<4>(&starts, keys.len(), false)?;
        let mut child = Made { len: keys.len(), ..Made::default() };
        for (field, words) in [(key, &keys), (value, &values)] {
            let made = required(field, words, |_| true)
                .and_then(|()| build(env, words, field.data_type(), work));
            let made = made.map_err(|stop| stop.of_field(field.name()).of_list(&starts))?;
            child.children.push(made);
        }
        self.children.push(child);
        Ok(())
    }
}

/// The pairs of a map that is no struct, or of a list of them.
pub(super) fn pairs<'a>(env: Env<'a>, word: Word<'a>) -> Option<Vec<(Word<'a>, Word<'a>)>> {
    if let Some(pairs) = Pairs::new(env, word) {
        let is_struct = terms::get(env, word, atoms::struct_().into()).is_some();
        return (!is_struct).then(|| pairs.collect());
    }
    let pair = |pair| match terms::tuple(env, pair) {
        Some(&[key, value]) => Some((key, value)),
        _ => None,
    };
    items(env, word)?.into_iter().map(pair).collect()
}

/// Refuses a map that has a name both as an atom and as a binary.
fn named_once<'a>(env: Env<'a>, row: usize, pairs: &[(Word<'a>, Word<'a>)]) -> Result<(), Stop> {
    let texts = || pairs.iter().filter_map(|(key, _)| terms::bytes(env, *key));
    let is_atom = |key: Word<'a>| terms::kind(env, key) == Kind::Atom;
    if texts().next().is_none() || !pairs.iter().any(|(key, _)| is_atom(*key)) {
        return Ok(());
    }
    let texts: HashSet<&[u8]> = texts().collect();
    let twice = pairs.iter().map(|(key, _)| *key).find(|&key| {
        is_atom(key) && terms::with_atom(env, key, |name| texts.contains(name.as_bytes()))
    });
    twice.map_or(Ok(()), |key| {
        let what = format!("{} stands there as a binary, too", told(env, key));
        Err(Stop::unfit(row, what, "map").hint(MAPS))
    })
}
