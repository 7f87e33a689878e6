//! Schemas in a segment: added once, read in place, named by number. What their bytes mean is the codec's
//! business.
//!
//! The order of entries is the matter of `crate::schemas`, the memory of records that of `pool`; here
//! they meet, and records are read. `wants` is what consumers say of the versions that they read.

mod wants;

pub(super) use wants::Asks;
#[cfg(test)]
pub(crate) use wants::want_word;
pub use wants::{Want, Wanted};

use super::{Mapping, Segment};
use crate::block::{Block, Phase};
use crate::clock::realtime;
use crate::error::{Conflict, Error};
use crate::layout::{CLASSES, Header, RECORD_HEADER, Record};
use crate::pool::{Claimer, NoBlock, Place, Pool};
use crate::schemas::{Entry, Settled, Table};
use crate::sync::Ordering;
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
}

/// The records that a process has looked at, by index.
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
    /// The schemas that can be read.
    pub(super) fn described(&self) -> Vec<Described> {
        let all = (0..self.geometry.rules.schemas).map_while(|index| {
            self.known(index).transpose().map(|known| known.ok().map(|known| (index + 1, known)))
        });
        let wanted = self.all_wanted();
        // What is wanted is said of the first one of a name.
        let mut first = HashMap::new();
        let describe = |(id, known): (u32, &Arc<Known>)| {
            let Known { kind, version, ref name, created_ns, len, .. } = **known;
            let named = *first.entry((kind, name.clone())).or_insert(id);
            let wanted = wanted.get(&named).copied();
            Described {
                id,
                kind,
                name: name.to_string(),
                version,
                size: len as u64,
                created_ns,
                wanted,
            }
        };
        all.flatten().map(describe).collect()
    }

    /// What is known of the record at an index. `None`: there is none yet.
    pub(super) fn known(&self, index: u32) -> Result<Option<&Arc<Known>>, Error> {
        let Some((table, pool)) = self.schemas() else { return Ok(None) };
        let Some(cell) = self.seen.cell(table, index) else { return Ok(None) };
        if let Some(known) = cell.get() {
            return Ok(Some(known));
        }
        let Some(entry) = table.read(index)? else { return Ok(None) };
        let known = self.read_record(pool, index, entry)?;
        Ok(Some(cell.get_or_init(|| Arc::new(known))))
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
        (0..self.limit()).map_while(|index| self.at(index).transpose())
    }

    /// What there is, for people who look at it; what is damaged is left out.
    pub fn describe(&self) -> Vec<Described> {
        self.mapping.described()
    }

    /// All versions of a schema, in the order in which they were added.
    pub fn versions(&self, kind: u16, name: &str) -> Result<Vec<Schema>, Error> {
        let named = |schema: &Schema| {
            (schema.kind(), schema.name()) == (kind, name) && schema.version() > 0
        };
        self.iter().filter(|found| found.as_ref().map_or(true, named)).collect()
    }

    /// A version of a schema.
    pub fn find(&self, kind: u16, name: &str, version: u16) -> Result<Option<Schema>, Error> {
        Ok(self.versions(kind, name)?.into_iter().find(|schema| schema.version() == version))
    }

    /// The latest version of a schema.
    pub fn latest(&self, kind: u16, name: &str) -> Result<Option<Schema>, Error> {
        Ok(self.versions(kind, name)?.into_iter().max_by_key(Schema::version))
    }

    fn at(&self, index: u32) -> Result<Option<Schema>, Error> {
        let known = self.mapping.known(index)?;
        let (mapping, id) = (self.mapping.clone(), SchemaId::at(index));
        Ok(known.map(|known| Schema { mapping, known: known.clone(), id }))
    }

    /// The record that says the same as `new`, which is added if there is none.
    fn enter(&self, new: &New<'_>) -> Result<Schema, Error> {
        let mapping = &*self.mapping;
        mapping.own()?;
        let body_at = Record::body_at(new.name.len() as u64);
        let Some(body_at) = body_at else {
            let (option, value) = ("name of a schema", format!("{:?}", new.name));
            return Err(Error::InvalidOption { option, value, expected: "1 to 1024 bytes" });
        };
        let (table, pool) = mapping.schemas().ok_or(Error::NoSchemas)?;
        let meet = |index, _| match mapping.known(index)? {
            Some(there) if new.is(there) => {
                self.at(index)?.map_or(Ok(None), |there| new.met(there))
            }
            _ => Ok(None),
        };
        let vacant = match table.settle(0, None, meet)? {
            Settled::Met(there) => return Ok(there),
            Settled::Vacant(index) => index,
            _ => return Err(Error::SchemasFull { limit: table.len() }),
        };
        let len = body_at + new.bytes.len() as u64;
        let mine = Claimed::claim(mapping, pool, len)?;
        // SAFETY: `len` bytes of the block, which is this claim's.
        unsafe { new.write(mapping, mine.place, body_at) };
        let entry = mine.offer();
        match table.settle(vacant, Some(entry), meet)? {
            Settled::Placed(index) => {
                std::mem::forget(mine);
                self.at(index)?.ok_or(Error::NoSchemas)
            }
            Settled::Met(there) => Ok(there),
            _ => Err(Error::SchemasFull { limit: table.len() }),
        }
    }
}

/// A record on its way.
struct New<'a> {
    kind: u16,
    name: &'a str,
    version: u16,
    bytes: &'a [u8],
}

impl New<'_> {
    /// Whether a record has the same kind, name and version.
    fn is(&self, there: &Known) -> bool {
        (there.version, there.kind, &*there.name) == (self.version, self.kind, self.name)
    }

    /// A record that is, if it is this one.
    fn met(&self, there: Schema) -> Result<Option<Schema>, Error> {
        if *there == *self.bytes {
            return Ok(Some(there));
        }
        let same = there.iter().zip(self.bytes).take_while(|(a, b)| a == b).count();
        Err(Error::SchemaConflict(Box::new(Conflict {
            kind: self.kind,
            name: self.name.to_owned(),
            version: self.version,
            id: there.id().get(),
            there: there.len() as u64,
            given: self.bytes.len() as u64,
            differs_at: same as u64,
        })))
    }

    /// # Safety
    /// The place is the caller's, and holds the record, whose body begins at `body_at`.
    unsafe fn write(&self, mapping: &Mapping, place: Place, body_at: u64) {
        let pointer = mapping.record(place.offset);
        let record = Record {
            body_len: self.bytes.len() as u64,
            name_len: self.name.len() as u32,
            kind: self.kind,
            version: self.version,
            created_ns: realtime(),
            reserved: [0; 8],
        };
        // SAFETY: by the function's contract; blocks are aligned to 64.
        unsafe { pointer.cast::<Record>().write(record) };
        for (at, bytes) in [(RECORD_HEADER, self.name.as_bytes()), (body_at as usize, self.bytes)] {
            let to = pointer.wrapping_add(at);
            // SAFETY: within the place, by the function's contract, and nobody else's.
            unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
        }
    }
}

/// A block for a record, given back unless the record is placed.
struct Claimed<'a> {
    mapping: &'a Mapping,
    pool: Pool<'a>,
    place: Place,
    word: crate::block::Word,
}

impl<'a> Claimed<'a> {
    fn claim(mapping: &'a Mapping, pool: Pool<'a>, len: u64) -> Result<Self, Error> {
        let limit = mapping.geometry.records();
        if len > limit {
            return Err(Error::SchemaTooLarge { len, limit });
        }
        let back = |offset, len| mapping.back_records(offset, len);
        // Relaxed: a number that no other claim has.
        let nonce = || mapping.control().handles.fetch_add(1, Ordering::Relaxed).into();
        let by = |back| Claimer { owner: mapping.tag(), nonce: nonce(), back };
        // In few sizes: records come in all lengths and stay, and each size of blocks takes a chunk.
        let most = pool.measures.chunk_len / 2;
        let need = if len > most { len } else { len.next_power_of_two() };
        let claim = |by| pool.claim(need, &by, &mut [0; CLASSES]);
        let mut claimed = claim(by(Some(&back)));
        if claimed.is_err() {
            // The dead may have been adding some, and no more memory be needed than there is.
            mapping.look_around();
            claimed = match claim(by(Some(&back))) {
                Err(NoBlock::Unbacked) => claim(by(None)).map_err(|_| NoBlock::Unbacked),
                other => other,
            };
        }
        match claimed {
            Ok((place, word)) => Ok(Self { mapping, pool, place, word }),
            Err(NoBlock::Exhausted) => Err(Error::NoRoomForSchema { len, limit }),
            Err(NoBlock::Unbacked) => {
                Err(Error::OutOfMemory { path: mapping.path.clone(), needed: len })
            }
        }
    }

    /// Step *offer*: the record is complete.
    fn offer(&self) -> Entry {
        let offered = self.word.with(Phase::Offered, self.mapping.tag());
        self.pool.blocks[self.place.block as usize].set(offered);
        Entry { block: self.place.block, generation: offered.generation() }
    }
}

impl Drop for Claimed<'_> {
    fn drop(&mut self) {
        self.pool.release(self.place, self.word);
    }
}
