//! The schema table: which records there are, in the order in which they were added.
//!
//! ```text
//! bit   63   62.........27   26....0
//! Ready 1    generation(36)  block(27)        Vacant: all 0
//! ```
//!
//! Rules:
//! 1. A record lies in a block of a pool of its own and is complete, its block's word `Offered`, before it
//!    is placed. *Place* is one compare-and-swap of the first vacant entry.
//! 2. Entries are filled in order and never change again. Who adds has looked at every entry before the
//!    one that it takes; if another record is placed there first, it looks at that one and goes on. So
//!    whoever races, no two entries have the same kind, name and version.
//! 3. Who meets its own record, other bytes of its name, or the end of the table gives its block back.
//! 4. The block of a record that was placed keeps its word, whoever placed it, whether alive or dead: it is
//!    never free again. What a dead one has offered and not placed is freed by recovery, which knows the
//!    one from the other by the block and generation in the table. Where an entry is damaged it can't, and
//!    leaves all that were offered.
//! 5. What one claims another one lacks, if only for a moment: until its record is placed, or its chunks are
//!    given back. So a claim that fails says that there is no room only if nobody was *moving* while it was
//!    tried: two looks at the pool, before and after, have found each chunk and block at rest, and the same.
//!    The table is looked at after that: what was moving may be the very record that is to be added.
//!
//! The pool is the records' own for three reasons. Any process may add a record, while the ring's pool
//! belongs to one claimer where there is one producer. A record stays for ever, and would cut in two
//! what the longest frames need whole. And no word of a record can be taken for a frame's.

use crate::error::Error;
use crate::pool::{Chunk, NoBlock, Pool, State};
use crate::sync::{AtomicU64, Ordering};
use std::collections::HashSet;
use std::ops::Range;

const READY: u64 = 1 << 63;
const GENERATION: u32 = 27;
const BLOCK: u64 = (1 << GENERATION) - 1;

/// Where a record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Entry {
    /// Number of its block among the records'.
    pub block: u64,
    pub generation: u64,
}

impl Entry {
    pub(crate) fn ready(self) -> u64 {
        READY | self.generation << GENERATION | self.block
    }
}

/// What became of a search, and of the record that was to be placed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Settled<T> {
    /// It stands at this index.
    Placed(u32),
    /// `meet` has ended the search.
    Met(T),
    /// There was nothing to place; this index is the first vacant one.
    Vacant(u32),
    /// All entries are taken.
    Full,
}

/// What became of the search for room.
#[derive(Debug)]
pub(crate) enum Room<C, T> {
    Claimed(C),
    /// Somebody else has added what was to be added.
    Met(T),
    /// There is none; `adding`: as long as the patience lasted, others were moving.
    None {
        why: NoBlock,
        adding: bool,
    },
}

/// A look at the records' pool while nobody was moving.
#[derive(Debug)]
pub(crate) struct Still {
    chunks: Vec<Chunk>,
    /// Lives of all blocks that have ended.
    lives: u64,
}

impl Still {
    /// Whether nobody was moving between the earlier look and this one, either, but for the caller's claims
    /// with these nonces, which have failed.
    ///
    /// Each word was at rest twice. A block that was claimed meanwhile is in use, or has begun another
    /// life; a chunk that was taken is in use, or has the nonce of who took it last. (Where that is the
    /// caller, its last search has not failed for this chunk.)
    fn follows(&self, earlier: &Self, nonces: &Range<u64>) -> bool {
        let untouched = |(now, then): (&Chunk, &Chunk)| now == then || now.given_back_by(nonces);
        self.lives == earlier.lives && self.chunks.iter().zip(&earlier.chunks).all(untouched)
    }
}

/// The entries of a table.
#[derive(Clone, Copy)]
pub(crate) struct Table<'a> {
    pub entries: &'a [AtomicU64],
}

impl Table<'_> {
    pub(crate) fn len(self) -> u32 {
        self.entries.len() as u32
    }

    /// The record at an index, or `None` before it is placed.
    #[inline]
    pub(crate) fn read(self, index: u32) -> Result<Option<Entry>, Error> {
        let Some(word) = self.entries.get(index as usize) else { return Ok(None) };
        // Acquire: pairs with the Release in `place`: the record is complete.
        match word.load(Ordering::Acquire) {
            0 => Ok(None),
            found if found & READY != 0 => {
                Ok(Some(Entry { block: found & BLOCK, generation: (found & !READY) >> GENERATION }))
            }
            found => Err(Error::Corrupt { what: "schema entry", index: index.into(), found }),
        }
    }

    /// Step *place*. `false`: another record was placed there.
    pub(crate) fn place(self, index: u32, entry: Entry) -> bool {
        // Release: pairs with the Acquire in `read`: whoever sees the entry sees the record. The Acquire
        // orders nothing here; a locked instruction has both.
        self.entries[index as usize]
            .compare_exchange(0, entry.ready(), Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    /// Goes through the records from `index` on, each of which `meet` looks at, and places `mine`, if there
    /// is one, after them. The caller has met all before `index`.
    pub(crate) fn settle<T>(
        self,
        mut index: u32,
        mine: Option<Entry>,
        mut meet: impl FnMut(u32, Entry) -> Result<Option<T>, Error>,
    ) -> Result<Settled<T>, Error> {
        while index < self.len() {
            match (self.read(index)?, mine) {
                (Some(other), _) => {
                    if let Some(answer) = meet(index, other)? {
                        return Ok(Settled::Met(answer));
                    }
                    index += 1;
                }
                (None, None) => return Ok(Settled::Vacant(index)),
                (None, Some(mine)) => {
                    if self.place(index, mine) {
                        return Ok(Settled::Placed(index));
                    }
                }
            }
        }
        Ok(Settled::Full)
    }

    /// The records that were placed. `None`: an entry is damaged, and names one of which nobody knows.
    pub(crate) fn placed(self) -> Option<HashSet<Entry>> {
        (0..self.len())
            .filter_map(|index| self.read(index).transpose())
            .collect::<Result<_, _>>()
            .ok()
    }

    /// A look at the pool, or `None` if somebody is moving there: one who `is` in the ring has taken a chunk,
    /// or claimed a block which no entry names.
    fn still(self, pool: Pool<'_>, is: &dyn Fn(u16) -> bool) -> Option<Still> {
        // Before the blocks: of one that is placed meanwhile it is said that it moves.
        let placed = self.placed()?;
        let at_rest = |chunk: &Chunk| match chunk.state() {
            State::Taken { owner, .. } => !is(owner),
            _ => true,
        };
        let chunks: Vec<_> = pool.words().collect();
        let mut lives = 0u64;
        for (block, word) in pool.blocks.iter().enumerate() {
            let (block, word) = (block as u64, word.load());
            let generation = word.generation();
            let at_rest = word.is_free() || placed.contains(&Entry { block, generation });
            if !at_rest && is(word.owner()) {
                return None;
            }
            lives = lives.wrapping_add(generation);
        }
        chunks.iter().all(at_rest).then_some(Still { chunks, lives })
    }

    /// Claims room for a record (rule 5): again and again, as long as others are moving and `pause` has
    /// patience. `claim` is given nonces, one for each claim of the pool, which `nonces` makes and nobody
    /// else has; `meet` looks whether the record stands in the table by now. Who `is` in the ring may move:
    /// a word that names nobody is damaged, and not waited for.
    pub(crate) fn room<C, T>(
        self,
        pool: Pool<'_>,
        is: &dyn Fn(u16) -> bool,
        mut nonces: impl FnMut() -> Range<u64>,
        mut claim: impl FnMut(Range<u64>) -> Result<C, NoBlock>,
        mut meet: impl FnMut() -> Result<Option<T>, Error>,
        mut pause: impl FnMut() -> bool,
    ) -> Result<Room<C, T>, Error> {
        // The first time without a look: there mostly is room.
        let mut before = None;
        loop {
            let nonces = nonces();
            let why = match claim(nonces.clone()) {
                Ok(claimed) => return Ok(Room::Claimed(claimed)),
                Err(why) => why,
            };
            let after = self.still(pool, is);
            if let Some(there) = meet()? {
                return Ok(Room::Met(there));
            }
            if let (Some(before), Some(after)) = (&before, after)
                && after.follows(before, &nonces)
            {
                return Ok(Room::None { why, adding: false });
            }
            if !pause() {
                return Ok(Room::None { why, adding: true });
            }
            before = self.still(pool, is);
        }
    }
}

#[cfg(all(test, not(slipring_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// P9: whatever stands in the entries, going through them ends, and an entry is read as it was
        /// placed.
        #[test]
        fn garbage_is_an_error(words in prop::collection::vec(any::<u64>(), 1..20), block: u64, generation: u64) {
            let mine = Entry { block: block & BLOCK, generation: generation >> 28 };
            let entries: Vec<_> = words.iter().map(|word| AtomicU64::new(*word)).collect();
            let table = Table { entries: &entries };
            let mut met = 0;
            let settled = table.settle(0, Some(mine), |_, _| {
                met += 1;
                Ok(None::<()>)
            });
            let damaged = words.iter().position(|word| *word != 0 && word & READY == 0);
            let vacant = words.iter().position(|word| *word == 0);
            match settled {
                Err(Error::Corrupt { index, .. }) => prop_assert_eq!(Some(index as usize), damaged),
                Ok(Settled::Placed(index)) => {
                    prop_assert_eq!(Some(index as usize), vacant);
                    prop_assert_eq!(table.read(index).unwrap(), Some(mine));
                }
                other => {
                    prop_assert!(matches!(other, Ok(Settled::Full)));
                    prop_assert_eq!(met, words.len());
                }
            }
            let placed = table.placed();
            prop_assert_eq!(placed.is_none(), damaged.is_some());
            prop_assert!(placed.is_none_or(|placed| placed.len() <= words.len()));
            prop_assert!(matches!(table.read(words.len() as u32), Ok(None)));
        }
    }
}
