//! How a record comes in: it is looked for, room is claimed, it is written, and placed.

use super::super::Mapping;
use super::{Known, Schema, Schemas};
use crate::block::{Phase, Word};
use crate::clock::realtime;
use crate::error::{Conflict, Error};
use crate::layout::{RECORD_HEADER, Record};
use crate::pool::{self, Claimer, NoBlock, Place, Pool};
use crate::schemas::{Entry, Room, Settled, Table};
use std::ops::Range;
use std::time::{Duration, Instant};

/// How long one who adds a schema waits for others who do, where it lacks what they hold; and how long it
/// sleeps between two looks.
const PATIENCE: Duration = Duration::from_millis(100);
const PAUSE: Duration = Duration::from_micros(50);
/// Claims of the pool of one attempt.
const CLAIMS: u64 = 3;

impl Schemas {
    /// The record that says the same as `new`, which is added if there is none.
    pub(super) fn enter(&self, new: &New<'_>) -> Result<Schema, Error> {
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
        let mut vacant = 0;
        // Who is not in the table yet is to be placed behind all that this has seen.
        let mut look = || match table.settle(vacant, None, meet)? {
            Settled::Met(there) => Ok(Some(there)),
            Settled::Vacant(index) => {
                vacant = index;
                Ok(None)
            }
            _ => Err(Error::SchemasFull { limit: table.len() }),
        };
        if let Some(there) = look()? {
            return Ok(there);
        }
        let len = body_at + new.bytes.len() as u64;
        let mine = match Claimed::claim(mapping, table, pool, len, look)? {
            Room::Claimed(mine) => mine,
            Room::Met(there) => return Ok(there),
            Room::None { why: NoBlock::Exhausted, adding } => {
                return Err(Error::NoRoomForSchema {
                    len,
                    limit: mapping.geometry.records(),
                    adding,
                });
            }
            Room::None { why: NoBlock::Unbacked, .. } => {
                return Err(Error::OutOfMemory { path: mapping.path.clone(), needed: len });
            }
        };
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
pub(super) struct New<'a> {
    pub kind: u16,
    pub name: &'a str,
    pub version: u16,
    pub bytes: &'a [u8],
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
    word: Word,
}

impl<'a> Claimed<'a> {
    /// Room for a record, unless `meet` finds it in the table before there is any.
    fn claim<T>(
        mapping: &'a Mapping,
        table: Table<'_>,
        pool: Pool<'a>,
        len: u64,
        meet: impl FnMut() -> Result<Option<T>, Error>,
    ) -> Result<Room<Self, T>, Error> {
        let limit = mapping.geometry.records();
        if len > limit {
            return Err(Error::SchemaTooLarge { len, limit });
        }
        // In few sizes: records come in all lengths and stay, and each size of blocks takes a chunk.
        let most = pool.measures.chunk_len / 2;
        let need = if len > most { len } else { len.next_power_of_two() };
        let back = |offset, len| mapping.back_records(offset, len);
        let mut looked = false;
        let attempt = |nonces: Range<u64>| {
            let claim = |n, back| {
                let by = Claimer { owner: mapping.tag(), nonce: nonces.start + n, back };
                pool.claim(need, &by, &mut pool::fresh())
            };
            let mut claimed = claim(0, Some(&back));
            if claimed.is_err() {
                // The dead may have been adding some, and no more memory be needed than there is.
                if std::mem::replace(&mut looked, true) {
                    mapping.look_along();
                } else {
                    mapping.look_around();
                }
                claimed = match claim(1, Some(&back)) {
                    Err(NoBlock::Unbacked) => claim(2, None).map_err(|_| NoBlock::Unbacked),
                    other => other,
                };
            }
            claimed.map(|(place, word)| Self { mapping, pool, place, word })
        };
        let start = Instant::now();
        let pause = || {
            std::thread::sleep(PAUSE);
            start.elapsed() < PATIENCE
        };
        let is = |tag| mapping.participants().has(tag);
        table.room(pool, &is, || mapping.nonces(CLAIMS), attempt, meet, pause)
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
