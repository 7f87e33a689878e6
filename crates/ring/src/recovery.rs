//! Undoing what a dead participant left half done, from the words that name it.
//!
//! Rules:
//! 1. The one it is for is dead: no word comes to name it any more, and no frame of it is placed.
//! 2. `Filling` becomes `Free`. `Offered` becomes `Free` unless a slot holds just this reference
//!    and generation: then it was placed and waits like any other frame.
//! 3. `Acked` becomes `Free`, `Unacked` is given back (`returned`). With one producer and one consumer,
//!    where the head has not passed the frame, its consumer died before it got it: it is offered
//!    again. (Among many, others may be about to move the head on from it.)
//! 4. Each is one compare-and-swap from the value read. Several may do it at once, and may die.
//!    A record of the schema table likewise: `Filling` becomes `Free`, and `Offered` unless an entry of the
//!    table holds just this block and generation. Where an entry is damaged it may be the one, and living
//!    processes read the record: then all that are `Offered` stay.
//! 5. Chunks come after blocks: a chunk is given back only when none of its blocks names the dead.
//! 6. Words name an id and eight bits of its incarnation, which come again. So who recovers looks, after
//!    it has read a word and before it changes it, whether the dead one's entry still stands: an id has
//!    no next owner before that is freed, and the exact value of the word does not come back.

use crate::block::Phase;
use crate::participants::{Kernel, Me, Participants};
use crate::pool::Pool;
use crate::returned;
use crate::schemas::{self, Table};
use crate::slots::{GENERATION_MASK, Slots};
use std::collections::HashSet;

/// What recovery needs to know of the ring's rules.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    /// One producer and one consumer (`spsc`): nobody else moves the head.
    pub alone: bool,
    pub max_deliveries: u8,
}

/// Recovers the participant `id` and frees its entry, if it is dead. Answers whether it was.
pub(crate) fn see_to(
    id: u8,
    me: Me,
    participants: Participants<'_, impl Kernel>,
    ends: Ends,
    slots: Slots<'_>,
    pool: Pool<'_>,
    records: Option<(Table<'_>, Pool<'_>)>,
) -> bool {
    let entry = participants.entry(id);
    if entry.is_free() || participants.alive(id, entry, me) {
        return false;
    }
    let stands = || participants.entry(id) == entry;
    recover(entry.tag(id), ends, slots, pool, &stands);
    if let Some((table, pool)) = records {
        recover_records(entry.tag(id), table, pool, &stands);
    }
    participants.free(id, entry);
    true
}

/// Recovers every word that names `dead`, as long as `stands` says that its entry does.
pub(crate) fn recover(
    dead: u16,
    ends: Ends,
    slots: Slots<'_>,
    pool: Pool<'_>,
    stands: &dyn Fn() -> bool,
) {
    // Where each side is alone, frames wait in their cells without a word about it.
    let (direct, offered): (Vec<_>, Vec<_>) = slots.entries().partition(|entry| entry.direct);
    let direct: HashSet<u64> = direct.iter().map(|entry| entry.reference.into()).collect();
    let placed: HashSet<(u64, u64)> =
        offered.iter().map(|entry| (entry.reference.into(), entry.generation)).collect();
    // All of them: a claimer may have died with a block in hand that is in no use any more (rule 2 of
    // `pool`).
    let block_words =
        pool.blocks.iter().enumerate().map(|(block, word)| (slots.len() + block as u64, word));
    for (reference, word) in slots.cells().chain(block_words) {
        let found = word.load();
        if found.is_free() || found.owner() != dead {
            continue;
        }
        let waits = placed.contains(&(reference, found.generation() & GENERATION_MASK));
        let to = match found.phase() {
            Some(Phase::Filling) => found.freed(),
            Some(Phase::Offered) if waits => continue,
            Some(Phase::Acked | Phase::Unacked) if waits && ends.alone => {
                found.with(Phase::Offered, dead)
            }
            // Its slot still says that it waits, and says all.
            Some(Phase::Acked | Phase::Unacked) if direct.contains(&reference) => found.freed(),
            Some(Phase::Unacked) => found.given_back(ends.max_deliveries),
            Some(Phase::Offered | Phase::Acked) => found.freed(),
            Some(Phase::Free | Phase::Orphan | Phase::Dead) | None => continue,
        };
        // Rule 6: the word was read before, so it is the dead one's.
        if !stands() {
            return;
        }
        let _ = word.step(found, to);
    }
    pool.recover(dead, stands);
    // The dead one may have given frames back and not said so; so may one that recovered it and died.
    returned::raise(slots.cursors);
}

/// Recovers the records that `dead` was adding, likewise.
pub(crate) fn recover_records(
    dead: u16,
    table: Table<'_>,
    pool: Pool<'_>,
    stands: &dyn Fn() -> bool,
) {
    let mut placed = None;
    for (block, word) in pool.blocks.iter().enumerate() {
        let (block, found) = (block as u64, word.load());
        let undone = match found.phase() {
            _ if found.is_free() || found.owner() != dead => continue,
            Some(Phase::Filling) => true,
            // Looked up after its death, so that nothing is missing.
            Some(Phase::Offered) => {
                let placed = placed.get_or_insert_with(|| table.placed());
                let entry = schemas::Entry { block, generation: found.generation() };
                placed.as_ref().is_some_and(|placed| !placed.contains(&entry))
            }
            _ => false,
        };
        if !undone {
            continue;
        }
        if !stands() {
            return;
        }
        let _ = word.step(found, found.freed());
    }
    pool.recover(dead, stands);
}
