//! Lists of maps as columns of terms.

use super::{MAPS, Stop, Work, is_nil, kind_of, told};
use crate::atoms;
use crate::value::encode::step;
use crate::value::terms::{self, Kind, Pairs, Word};
use arrow_schema::Fields;
use rustler::Env;
use std::collections::HashMap;

/// The maps of some rows, field by field.
pub(crate) struct Transposed<'a> {
    pub(crate) names: Vec<String>,
    /// As it stood in the last row in which it had another word; none before the first.
    keys: Vec<Option<Word<'a>>>,
    places: HashMap<String, usize>,
    pub(crate) columns: Vec<Vec<Word<'a>>>,
}

impl<'a> Transposed<'a> {
    /// The fields of maps; of `fields` alone, where they are given. A row that is nil has none.
    pub(crate) fn of(
        env: Env<'a>,
        rows: &[Word<'a>],
        fields: Option<&Fields>,
        work: &mut Work,
    ) -> Result<Self, Stop> {
        let mut all = Transposed {
            names: Vec::new(),
            keys: Vec::new(),
            places: HashMap::new(),
            columns: Vec::new(),
        };
        for field in fields.into_iter().flatten() {
            all.add(field.name().clone(), None, 0);
        }
        for (row, &map) in rows.iter().enumerate() {
            let pairs = match terms::get(env, map, atoms::struct_().into()) {
                Some(_) => None,
                None => Pairs::new(env, map),
            };
            match pairs {
                Some(pairs) => all.row(env, row, pairs, fields.is_none(), work)?,
                None if is_nil(map) => {}
                None => {
                    let what = format!("{} is no map", told(env, map));
                    return Err(Stop::unfit(row, what, kind_of(env, map)).hint(MAPS));
                }
            }
            for column in &mut all.columns {
                if column.len() <= row {
                    column.push(atoms::nil().into());
                }
            }
            work.spend(all.columns.len())?;
        }
        Ok(all)
    }

    fn add(&mut self, name: String, key: Option<Word<'a>>, rows: usize) {
        self.places.insert(name.clone(), self.names.len());
        self.names.push(name);
        self.keys.push(key);
        self.columns.push(vec![atoms::nil().into(); rows]);
    }

    fn row(
        &mut self,
        env: Env<'a>,
        row: usize,
        pairs: Pairs<'a>,
        may_add: bool,
        work: &mut Work,
    ) -> Result<(), Stop> {
        for (entry, (key, value)) in pairs.enumerate() {
            // Rows mostly have the same keys, in the same order.
            let place = match self.keys.get(entry) {
                Some(&known) if known == Some(key) => entry,
                _ => self.place(env, row, key, may_add, work)?,
            };
            let column = &mut self.columns[place];
            if column.len() > row {
                let name = &self.names[place];
                let what = format!("the key {name:?} stands there as an atom and as a binary");
                return Err(Stop::unfit(row, what, "map").hint(MAPS));
            }
            column.push(value);
        }
        Ok(())
    }

    fn place(
        &mut self,
        env: Env<'a>,
        row: usize,
        key: Word<'a>,
        may_add: bool,
        work: &mut Work,
    ) -> Result<usize, Stop> {
        let name = match terms::kind(env, key) {
            Kind::Atom if !is_nil(key) => Some(terms::with_atom(env, key, str::to_owned)),
            Kind::Bits => {
                let text = terms::bytes(env, key).map(std::str::from_utf8);
                text.and_then(Result::ok).map(str::to_owned)
            }
            _ => None,
        };
        let name = name.ok_or_else(|| {
            let mut stop = Stop::unfit(row, "a key that is no name", kind_of(env, key)).hint(MAPS);
            if let Stop::Unfit(unfit) = &mut stop {
                unfit.path.enclose(step(env, key));
            }
            stop
        })?;
        if let Some(&place) = self.places.get(&name) {
            self.keys[place] = Some(key);
            return Ok(place);
        }
        if !may_add {
            let there = self.names.join(", ");
            let what = format!("the key {name:?} is no field of the type, which has: {there}");
            return Err(Stop::unfit(row, what, "map"));
        }
        // The rows before have none of it.
        work.spend(row)?;
        self.add(name, Some(key), row);
        Ok(self.names.len() - 1)
    }
}
