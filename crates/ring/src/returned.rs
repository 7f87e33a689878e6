//! Frames that were taken, not acknowledged, and given back: by their consumer, or by its death.
//!
//! Rules:
//! 1. Such a frame waits in its block as `Orphan`, without a place in the order, and goes to the next
//!    consumer that looks, before new frames. One compare-and-swap from `Orphan` to held decides.
//! 2. Its word counts how often it was given back. Beyond the ring's limit it becomes `Dead`, for a
//!    consumer that asks for dead letters.
//! 3. The hint tells whether to look: a version, and a bit. Whoever has made a word `Orphan` raises it
//!    after that: a new version, the bit set. Whoever has looked through all words and found none
//!    lowers the bit, if the hint is still what it was before.
//! 4. One that dies before it has raised the hint is a dead participant, and whoever recovers one
//!    raises it before the entry is free. So a frame is never forgotten, at worst looked for in vain.

use crate::block::{Block, Phase, Word};
use crate::slots::Cursors;
use crate::sync::Ordering;

const LOOK: u64 = 1;
const VERSION: u64 = 2;

/// The hint, if it says that frames may wait.
#[inline(always)]
pub(crate) fn hint(cursors: &Cursors) -> Option<u64> {
    // Acquire: pairs with the Release in `raise`: the words made `Orphan` before it are seen.
    let hint = cursors.returned.load(Ordering::Acquire);
    (hint & LOOK != 0).then_some(hint)
}

/// Step *raise*: there may be something to look for.
pub(crate) fn raise(cursors: &Cursors) {
    let mut seen = cursors.returned.load(Ordering::Relaxed);
    loop {
        let next = seen.wrapping_add(VERSION) | LOOK;
        // AcqRel: the Release pairs with the Acquire in `hint`; the Acquire keeps the chain of versions
        // whole, so that whoever sees a later one sees the words behind the earlier ones.
        match cursors.returned.compare_exchange(seen, next, Ordering::AcqRel, Ordering::Relaxed) {
            Ok(_) => return,
            Err(found) => seen = found,
        }
    }
}

/// Step *lower*: all words were looked through since the hint was `seen`.
pub(crate) fn lower(cursors: &Cursors, seen: u64) {
    // AcqRel: as in `raise`.
    let _ =
        cursors.returned.compare_exchange(seen, seen & !LOOK, Ordering::AcqRel, Ordering::Relaxed);
}

/// Step *adopt*: takes the first of `words` that is in `phase`, for `owner`. Answers its number and
/// what it says now.
pub(crate) fn adopt<'a>(
    words: impl Iterator<Item = (u64, &'a Block)>,
    phase: Phase,
    owner: u16,
    held: Phase,
) -> Option<(u64, Word)> {
    words.into_iter().find_map(|(number, block)| {
        let found = block.load();
        let taken = found.with(held, owner);
        let mine = found.phase() == Some(phase) && block.step(found, taken).is_ok();
        mine.then_some((number, taken))
    })
}
