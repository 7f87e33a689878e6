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
//!    one from the other by the block and generation in the table.
//!
//! The pool is the records' own for three reasons. Any process may add a record, while the ring's pool
//! belongs to one claimer where there is one producer. A record stays for ever, and would cut in two
//! what the longest frames need whole. And no word of a record can be taken for a frame's.

use crate::error::Error;
use crate::sync::{AtomicU64, Ordering};

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

    /// The records that were placed; damaged entries are left out.
    pub(crate) fn placed(self) -> impl Iterator<Item = Entry> {
        (0..self.len()).filter_map(move |index| self.read(index).ok().flatten())
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
            prop_assert!(table.placed().count() <= words.len());
            prop_assert!(matches!(table.read(words.len() as u32), Ok(None)));
        }
    }
}
