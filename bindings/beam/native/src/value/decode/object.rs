//! Objects, and the structs that they become.

use super::{FAULTY, Reader, Stop, form, notes, unfit};
use crate::value::terms::{self, Word};
use crate::value::{OBJECT_PARTS, names};
use slipring_codec::error::Segment as Step;
use slipring_codec::{Token, tag};
use std::collections::HashSet;

impl<'a> Reader<'a, '_, '_> {
    pub(super) fn object(&mut self, start: usize, depth: usize) -> Result<Word<'a>, Stop> {
        let ending = self.expect_items(3, tag::OBJECT, start, depth)?;
        let name = self.text(tag::OBJECT, start)?;
        let version = self.unsigned(tag::OBJECT, start)?;
        let name_term = terms::make_binary(self.env, name.as_bytes());
        let fields_depth = depth + OBJECT_PARTS - 1;
        if !self.options.no_structs() {
            match self.registered(name_term) {
                // What was dropped or added since, the version does not say: names decide.
                Some((template, own, loads)) if version == own || (!loads && version < own) => {
                    let (at, owed) = (self.input.clone(), self.owed);
                    if let Token::Map(len) = self.input.token()? {
                        let made = self.registered_fields(template, len, fields_depth, start)?;
                        self.end(ending, tag::OBJECT, start)?;
                        return Ok(made);
                    }
                    (self.input, self.owed) = (at, owed);
                    self.notes |= notes::VERSION;
                }
                Some((_, _, true)) => self.notes |= notes::LOAD,
                Some(_) => self.notes |= notes::VERSION,
                None => self.notes |= notes::UNKNOWN,
            }
        }
        let fields = self.item(fields_depth)?;
        self.end(ending, tag::OBJECT, start)?;
        let version = terms::make_uint(self.env, version);
        self.form(
            form::OBJECT,
            &[(names::name(), name_term), (names::version(), version), (names::fields(), fields)],
        )
    }

    /// Template, version, and whether other versions are for Elixir to load.
    fn registered(&self, name: Word<'a>) -> Option<(Word<'a>, u64, bool)> {
        let entry = terms::get(self.env, self.forms.registry, name)?;
        match *terms::tuple(self.env, entry)? {
            [template, version, loads] => {
                Some((template, terms::uint(self.env, version)?, loads == names::true_().into()))
            }
            _ => None,
        }
    }

    fn registered_fields(
        &mut self,
        template: Word<'a>,
        len: Option<usize>,
        depth: usize,
        start: usize,
    ) -> Result<Word<'a>, Stop> {
        let outer = self.announce(len.map_or(0, |len| 2 * len), depth, start)?;
        let (mut term, mut entry) = (template, 0);
        // Which fields were given, for none may be twice.
        let (first, mut others) = (self.keys.len(), HashSet::new());
        while match len {
            Some(len) => entry < len,
            None => !self.input.take_break(),
        } {
            match len {
                Some(len) => self.owed = outer + 2 * (len - entry - 1),
                None => self.spend(2)?,
            }
            let at = self.input.offset();
            let Token::Text(name) = self.input.token()? else {
                return Err(unfit(tag::OBJECT, start).within(|| Step::KeyOf(entry)));
            };
            let value = self.item(depth + 1).map_err(|stop| stop.within(|| Step::key(name)))?;
            // Which struct it is, the name has said.
            let key = match name.starts_with("__") {
                true => None,
                false => terms::existing_atom(self.env, name),
            };
            let twice = match key {
                Some(key) if self.keys[first..].contains(&key) => true,
                _ => match key
                    .and_then(|key| Some((key, terms::update(self.env, term, key, value)?)))
                {
                    Some((key, updated)) => {
                        self.keys.push(key);
                        term = updated;
                        false
                    }
                    None => {
                        self.notes |= notes::FIELD;
                        !others.insert(name)
                    }
                },
            };
            if twice {
                let stop = Stop::refused("a map holds this key twice", FAULTY, at);
                return Err(stop.within(|| Step::key(name)));
            }
            entry += 1;
        }
        self.keys.truncate(first);
        Ok(term)
    }
}
