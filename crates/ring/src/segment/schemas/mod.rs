//! Schemas in a segment: added once, read in place, named by number. What their bytes mean is the codec's
//! business.
//!
//! The order of entries is the matter of `crate::schemas`, the memory of records that of `pool`; here
//! they meet, and records are read. `adding` is how one comes in; `wants` is what consumers say of the versions that they read.

#![allow(
    clippy::disallowed_types,
    reason = "cells of a mapping, which a forked child is refused before it comes to them"
)]

mod adding;
mod wants;

use adding::New;
#[cfg(test)]
pub(crate) use wants::want_word;
pub(super) use wants::{Asks, Names};
pub use wants::{Want, Wanted};

use super::{Mapping, Segment};
use crate::block::{Block, Phase};
use crate::error::Error;
use crate::layout::{Header, RECORD_HEADER, Record};
use crate::pool::Pool;
use crate::schemas::{Entry, Table};
use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Arc, OnceLock};

/// Number of a schema in its ring, as [`Header::schema_id`] says it. It never names another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SchemaId(NonZeroU32);

impl SchemaId {
    /// Of what a frame's header says; 0 is none.
    pub fn new(id: u32) -> Option<Self> {
        NonZeroU32::new(id).map(Self)
    }

    /// As a frame's header says it.
    pub fn get(self) -> u32 {
        self.0.get()
    }

    fn at(index: u32) -> Self {
        Self(NonZeroU32::MIN.saturating_add(index))
    }

    fn index(self) -> u32 {
        self.get() - 1
    }
}

impl fmt::Display for SchemaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What is known of a record once it was looked at. It is not read again, but for its body.
#[derive(Debug)]
pub(super) struct Known {
    pub kind: u16,
    pub version: u16,
    pub name: Box<str>,
    pub created_ns: u64,
    /// Where its body lies in the records' memory.
    offset: u64,
    pub len: usize,
    /// What a reader has made of its body.
    made: OnceLock<Arc<dyn Any + Send + Sync>>,
}

/// The records that a process has looked at, by index. Not for a forked child: a thread that it has not may
/// have been at a cell.
#[derive(Debug)]
pub(super) struct Seen(OnceLock<Box<[OnceLock<Arc<Known>>]>>);

impl Seen {
    pub(super) fn new() -> Self {
        Self(OnceLock::new())
    }

    fn cell(&self, table: Table<'_>, index: u32) -> Option<&OnceLock<Arc<Known>>> {
        let all = self.0.get_or_init(|| (0..table.len()).map(|_| OnceLock::new()).collect());
        all.get(index as usize)
    }
}

/// A schema, of which the ring keeps one copy: derefs to its bytes, in the segment. Clones are cheap.
#[derive(Clone, Debug)]
pub struct Schema {
    mapping: Arc<Mapping>,
    known: Arc<Known>,
    id: SchemaId,
}

impl Schema {
    /// Its number in this ring.
    pub fn id(&self) -> SchemaId {
        self.id
    }

    /// What kind of schema it is; the codec says which there are.
    pub fn kind(&self) -> u16 {
        self.known.kind
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.known.name
    }

    /// Its version, from 1 on; 0 for the name alone, which a [`Want`] may have added.
    pub fn version(&self) -> u16 {
        self.known.version
    }

    /// When it was added: nanoseconds since the Unix epoch.
    pub fn created_ns(&self) -> u64 {
        self.known.created_ns
    }

    /// Its bytes, as [`Deref`](std::ops::Deref) gives them, which stay where they are.
    pub fn bytes(&self) -> &[u8] {
        let pointer = self.mapping.record(self.known.offset);
        // SAFETY: the body was checked to lie in its block, and the block in the records' memory; the
        // mapping is this one's, and maps it until it is dropped. Placed records are immutable by contract.
        unsafe { std::slice::from_raw_parts(pointer, self.known.len) }
    }

    /// What `make` makes of its bytes, once for all who ask for this type: it is kept while the segment is mapped, so there are no
    /// more of these than the table has entries. It stays what it was, whatever becomes of the bytes. Where something of
    /// another type is kept, it is made anew each time.
    pub fn made<T, E>(&self, make: impl FnOnce(&[u8]) -> Result<T, E>) -> Result<Arc<T>, E>
    where
        T: Any + Send + Sync,
    {
        let kept = self.known.made.get().and_then(|made| Arc::clone(made).downcast().ok());
        if let Some(kept) = kept {
            return Ok(kept);
        }
        let made = Arc::new(make(self.bytes())?);
        // Somebody else may have been faster, or have made another thing of it.
        let _ = self.known.made.set(Arc::clone(&made) as _);
        Ok(made)
    }
}

impl std::ops::Deref for Schema {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.bytes()
    }
}

impl Header {
    /// Says that the body is of this schema.
    pub fn with_schema(self, schema: &Schema) -> Self {
        Self { schema_id: schema.id().get(), schema_version: schema.version(), ..self }
    }
}

/// A schema of the ring.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Described {
    /// Its number in the ring.
    pub id: u32,
    /// What kind it is; the codec says which there are.
    pub kind: u16,
    /// Its name.
    pub name: String,
    /// Its version; 0 for the name alone.
    pub version: u16,
    /// Its length in bytes.
    pub size: u64,
    /// When it was added: nanoseconds since the Unix epoch.
    pub created_ns: u64,
    /// The versions, from the oldest to the newest, that all processes read which have said so. The oldest is
    /// newer than the newest where no version is read by all.
    pub wanted: Option<(u16, u16)>,
}

impl Mapping {
    /// The schemas that can be read; each is read anew, so a forked child may ask.
    pub(super) fn described(&self) -> Vec<Described> {
        let all = (0..self.geometry.rules.schemas).map_while(|index| {
            self.look_at_record(index).transpose().map(|known| Some((index + 1, known.ok()?)))
        });
        let wanted = self.all_wanted();
        // What is wanted is said of the first one of a name.
        let mut first = HashMap::new();
        let describe = |(id, known)| {
            let Known { kind, version, name, created_ns, len, .. } = known;
            let named = *first.entry((kind, name.clone())).or_insert(id);
            let wanted = wanted.get(&named).copied();
            Described { id, kind, name: name.into(), version, size: len as u64, created_ns, wanted }
        };
        all.flatten().map(describe).collect()
    }

    /// What is known of the record at an index. `None`: there is none yet.
    pub(super) fn known(&self, index: u32) -> Result<Option<&Arc<Known>>, Error> {
        self.own()?;
        let Some((table, _)) = self.schemas() else { return Ok(None) };
        let Some(cell) = self.seen.cell(table, index) else { return Ok(None) };
        if let Some(known) = cell.get() {
            return Ok(Some(known));
        }
        let known = self.look_at_record(index)?;
        Ok(known.map(|known| cell.get_or_init(|| Arc::new(known))))
    }

    fn look_at_record(&self, index: u32) -> Result<Option<Known>, Error> {
        let Some((table, pool)) = self.schemas() else { return Ok(None) };
        let entry = table.read(index)?;
        entry.map(|entry| self.read_record(pool, index, entry)).transpose()
    }

    /// Reads a record that was placed: its words once, checked, and its name into memory of its own.
    fn read_record(&self, pool: Pool<'_>, index: u32, entry: Entry) -> Result<Known, Error> {
        let corrupt = |what, found| Error::Corrupt { what, index: (index + 1).into(), found };
        let word = pool.blocks.get(entry.block as usize).map(Block::load);
        let offered = word.filter(|word| {
            word.phase() == Some(Phase::Offered) && word.generation() == entry.generation
        });
        let place = offered.and_then(|_| pool.place(entry.block));
        let Some(place) = place else {
            let found = word.map_or(entry.ready(), |word| word.0);
            return Err(corrupt("block word of schema", found));
        };
        let pointer = self.record(place.offset);
        // SAFETY: the block is mapped, aligned to 64 and longer than a header. What is checked is what is
        // used, even if a peer still writes.
        let record = unsafe { pointer.cast::<Record>().read_volatile() };
        let body_at = Record::body_at(record.name_len.into()).filter(|at| *at <= place.len);
        let Some(body_at) = body_at else {
            return Err(corrupt("length of the name of schema", record.name_len.into()));
        };
        if record.body_len > place.len - body_at {
            return Err(corrupt("length of schema", record.body_len));
        }
        // SAFETY: the name lies between the header and the body, within the block.
        let name = unsafe {
            std::slice::from_raw_parts(pointer.add(RECORD_HEADER), record.name_len as usize)
        };
        let Ok(name) = String::from_utf8(name.to_vec()) else {
            return Err(corrupt("name of schema", record.name_len.into()));
        };
        Ok(Known {
            kind: record.kind,
            version: record.version,
            name: name.into(),
            created_ns: record.created_ns,
            offset: place.offset + body_at,
            len: record.body_len as usize,
            made: OnceLock::new(),
        })
    }
}

/// The schema table of a ring.
#[derive(Clone, Debug)]
pub struct Schemas {
    mapping: Arc<Mapping>,
}

impl Segment {
    /// The ring's schemas.
    pub fn schemas(&self) -> Schemas {
        Schemas { mapping: self.mapping.clone() }
    }
}

impl Schemas {
    pub(crate) fn of(mapping: Arc<Mapping>) -> Self {
        Self { mapping }
    }

    /// Schemas that there is room for; 0: the ring has no table.
    pub fn limit(&self) -> u32 {
        self.mapping.geometry.rules.schemas
    }

    /// The schema of this kind, name (1 to 1,024 bytes) and version (from 1 on) with these bytes, which is
    /// added if it is not there. It stays as long as the ring.
    ///
    /// [`Error::SchemaConflict`] if there is one with other bytes; [`Error::SchemasFull`],
    /// [`Error::NoRoomForSchema`], [`Error::SchemaTooLarge`], [`Error::OutOfMemory`] where there is no room.
    /// Where others are adding just now, and hold what this one lacks, it waits for them, a tenth of a second
    /// at most.
    pub fn add(&self, kind: u16, name: &str, version: u16, bytes: &[u8]) -> Result<Schema, Error> {
        if version == 0 {
            let (option, expected) = ("version", "1 to 65535");
            return Err(Error::InvalidOption { option, value: "0".into(), expected });
        }
        self.enter(&New { kind, name, version, bytes })
    }

    /// The schema that a frame's header names. `None`: there is none.
    pub fn get(&self, id: SchemaId) -> Result<Option<Schema>, Error> {
        self.at(id.index())
    }

    /// The schemas that there are, in the order in which they were added. One that is damaged is an error,
    /// and the others follow.
    pub fn iter(&self) -> impl Iterator<Item = Result<Schema, Error>> + '_ {
        // Said once, not of each.
        let forked = self.mapping.own().err();
        let all = if forked.is_some() { 0 } else { self.limit() };
        let all = (0..all).map_while(|index| self.at(index).transpose());
        forked.map(Err).into_iter().chain(all)
    }

    /// What there is, for people who look at it; what is damaged is left out.
    pub fn describe(&self) -> Vec<Described> {
        self.mapping.described()
    }

    /// All versions of a schema, in the order in which they were added. An error, if any schema of the ring
    /// is damaged: it may be one of them.
    pub fn versions(&self, kind: u16, name: &str) -> Result<Vec<Schema>, Error> {
        self.of_name(kind, name).collect()
    }

    /// A version of a schema. What is damaged elsewhere in the table is an error only if it is not found.
    pub fn find(&self, kind: u16, name: &str, version: u16) -> Result<Option<Schema>, Error> {
        let mut damaged = None;
        for found in self.of_name(kind, name) {
            match found {
                Ok(schema) if schema.version() == version => return Ok(Some(schema)),
                Ok(_) => {}
                Err(error) => damaged = damaged.or(Some(error)),
            }
        }
        damaged.map_or(Ok(None), Err)
    }

    /// The latest version of a schema, of those that can be read. What is damaged is an error only if there
    /// is none.
    pub fn latest(&self, kind: u16, name: &str) -> Result<Option<Schema>, Error> {
        let (mut latest, mut damaged) = (None::<Schema>, None);
        for found in self.of_name(kind, name) {
            match found {
                Ok(schema) => {
                    latest = latest.into_iter().chain([schema]).max_by_key(Schema::version)
                }
                Err(error) => damaged = damaged.or(Some(error)),
            }
        }
        damaged.filter(|_| latest.is_none()).map_or(Ok(latest), Err)
    }

    /// The versions of a schema, and what is damaged.
    fn of_name(&self, kind: u16, name: &str) -> impl Iterator<Item = Result<Schema, Error>> {
        let named = move |schema: &Schema| {
            (schema.kind(), schema.name()) == (kind, name) && schema.version() > 0
        };
        self.iter().filter(move |found| found.as_ref().map_or(true, named))
    }

    fn at(&self, index: u32) -> Result<Option<Schema>, Error> {
        let known = self.mapping.known(index)?;
        let (mapping, id) = (self.mapping.clone(), SchemaId::at(index));
        Ok(known.map(|known| Schema { mapping, known: known.clone(), id }))
    }
}
