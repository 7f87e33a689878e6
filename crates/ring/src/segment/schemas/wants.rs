//! What consumers say of the versions that they read, so that producers can send one that they do.
//!
//! Each process has a few words for it in its participant's entry, one for each name: from which version
//! to which one all of its consumers read. So what a process wants ends with it, without a step of
//! recovery; only it writes there; and a producer reads a word for each process. A name is given by the
//! first record that has it, which is the same for everybody for ever; where there is none yet, a record
//! of version 0 without bytes stands for it, so that either side may come first.

use super::super::Mapping;
use super::{New, SchemaId, Schemas};
use crate::error::Error;
use crate::participants::WANTS;
use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::{Arc, MutexGuard};

/// `schema id(32) | newest(16) | oldest(16)`
pub(crate) fn want_word(id: u32, (oldest, newest): (u16, u16)) -> u64 {
    u64::from(id) << 32 | u64::from(newest) << 16 | u64::from(oldest)
}

fn id_of(word: u64) -> u32 {
    (word >> 32) as u32
}

fn versions_of(word: u64) -> (u16, u16) {
    (word as u16, (word >> 16) as u16)
}

/// What both read.
fn both(one: (u16, u16), other: (u16, u16)) -> (u16, u16) {
    (one.0.max(other.0), one.1.min(other.1))
}

/// What the handles of a process want.
#[derive(Debug, Default)]
pub(in crate::segment) struct Asks {
    all: Vec<Ask>,
    last: u64,
}

#[derive(Debug)]
struct Ask {
    number: u64,
    id: u32,
    versions: (u16, u16),
}

/// A consumer's word that it reads some versions of a schema, until it is dropped or its process ends.
#[derive(Debug)]
#[must_use = "it ends when it is dropped"]
pub struct Want {
    mapping: Arc<Mapping>,
    number: u64,
    id: u32,
}

impl Drop for Want {
    fn drop(&mut self) {
        if self.mapping.own().is_ok() {
            let mut asks = self.mapping.asks();
            asks.all.retain(|ask| ask.number != self.number);
            // To say less there is always room.
            let _ = self.mapping.tell(&asks, self.id);
        }
    }
}

/// What one process reads of a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Wanted {
    /// The process, by its id in the segment.
    pub process: u8,
    /// Its pid, in its own pid namespace.
    pub pid: u32,
    /// The oldest version that all of its consumers read, of those that have said so.
    pub oldest: u16,
    /// The newest one; `u16::MAX` where they read whatever comes.
    pub newest: u16,
}

impl Schemas {
    /// Says, until the answer is dropped, that a consumer of this process reads the versions of a schema from
    /// the oldest to the newest. Producers see it ([`Schemas::readable`]), and may send an older version
    /// than they would. Nobody is kept from sending another one.
    ///
    /// [`Error::TooManyWanted`]: a process can say so of 10 names. Where the name is new to the ring it is
    /// added, as a schema of version 0 without bytes, and the errors of [`Schemas::add`] may come.
    pub fn want(
        &self,
        kind: u16,
        name: &str,
        versions: RangeInclusive<u16>,
    ) -> Result<Want, Error> {
        let mapping = &*self.mapping;
        mapping.own()?;
        let (oldest, newest) = versions.into_inner();
        if !(1..=newest).contains(&oldest) {
            return Err(Error::InvalidOption {
                option: "versions",
                value: format!("{oldest} to {newest}"),
                expected: "from 1 on, the oldest first",
            });
        }
        let id = match mapping.named(kind, name)? {
            Some(id) => id,
            None => {
                self.enter(&New { kind, name, version: 0, bytes: &[] })?;
                mapping.named(kind, name)?.ok_or(Error::NoSchemas)?
            }
        };
        let mut asks = mapping.asks();
        asks.last += 1;
        let number = asks.last;
        asks.all.push(Ask { number, id: id.get(), versions: (oldest, newest) });
        if let Err(error) = mapping.tell(&asks, id.get()) {
            asks.all.pop();
            return Err(error);
        }
        drop(asks);
        Ok(Want { mapping: self.mapping.clone(), number, id: id.get() })
    }

    /// What each process reads that has said so of a schema. One that has died counts until it is
    /// recovered, a few milliseconds later where there is traffic.
    pub fn wanted(&self, kind: u16, name: &str) -> Result<Vec<Wanted>, Error> {
        let id = self.mapping.named(kind, name)?;
        Ok(id.map_or(Vec::new(), |id| self.mapping.wanted(id.get()).collect()))
    }

    /// The versions, from the oldest to the newest, that all read who have said so; empty
    /// ([`RangeInclusive::is_empty`]) where there is none. `None`: nobody has. It takes a look at each
    /// place for a process, some microseconds: ask once for a batch, not for a small frame.
    pub fn readable(&self, kind: u16, name: &str) -> Option<RangeInclusive<u16>> {
        self.mapping.read_by_all(kind, name).map(|(oldest, newest)| oldest..=newest)
    }
}

impl Mapping {
    fn asks(&self) -> MutexGuard<'_, Asks> {
        self.asks.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The first record of a name.
    fn named(&self, kind: u16, name: &str) -> Result<Option<SchemaId>, Error> {
        for index in 0..self.geometry.rules.schemas {
            match self.known(index)? {
                Some(known) if known.kind == kind && &*known.name == name => {
                    return Ok(Some(SchemaId::at(index)));
                }
                Some(_) => {}
                None => break,
            }
        }
        Ok(None)
    }

    /// What of a schema all handles of this process read, said anew.
    fn tell(&self, asks: &Asks, id: u32) -> Result<(), Error> {
        let participants = self.participants();
        let Some((_, words)) = participants.wants(self.id) else { return Ok(()) };
        let mine = asks.all.iter().filter(|ask| ask.id == id).map(|ask| ask.versions);
        let word = mine.reduce(both).map_or(0, |versions| want_word(id, versions));
        let place = words.iter().position(|word| id_of(*word) == id);
        match place.or_else(|| words.iter().position(|word| *word == 0)) {
            Some(place) => participants.want(self.id, place, word),
            None if word == 0 => {}
            None => return Err(Error::TooManyWanted { limit: WANTS as u32 }),
        }
        Ok(())
    }

    fn wanted(&self, id: u32) -> impl Iterator<Item = Wanted> + '_ {
        let participants = self.participants();
        (1..=crate::layout::PARTICIPANTS as u8).filter_map(move |process| {
            let (entry, words) = participants.wants(process)?;
            let word = words.into_iter().find(|word| id_of(*word) == id)?;
            let (oldest, newest) = versions_of(word);
            Some(Wanted { process, pid: entry.pid(), oldest, newest })
        })
    }

    /// Of each schema of which anybody has said it, which versions all read.
    pub(super) fn all_wanted(&self) -> HashMap<u32, (u16, u16)> {
        let mut all = HashMap::new();
        for process in 1..=crate::layout::PARTICIPANTS as u8 {
            let words = self.participants().wants(process).map_or([0; WANTS], |(_, words)| words);
            for word in words.into_iter().filter(|word| *word != 0) {
                let versions = all.entry(id_of(word)).or_insert((0, u16::MAX));
                *versions = both(*versions, versions_of(word));
            }
        }
        all
    }

    fn read_by_all(&self, kind: u16, name: &str) -> Option<(u16, u16)> {
        let id = self.named(kind, name).ok().flatten()?;
        self.wanted(id.get()).map(|wanted| (wanted.oldest, wanted.newest)).reduce(both)
    }
}
