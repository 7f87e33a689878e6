//! A ring's order with many producers or many consumers: whoever finds a step undone does it.
//!
//! Rules, beyond those of `slots`:
//! 1. *Place*: one compare-and-swap of the slot at the tail takes the place and publishes the frame,
//!    which is complete and whose control word says `Offered`.
//! 2. *Take*: one compare-and-swap of the control word of the frame at the head, from `Offered` to
//!    held. It alone decides who has the frame.
//! 3. The tail moves on from a slot where a frame was placed, the head from a frame that was taken:
//!    by one step, by one compare-and-swap, by anyone. The tail may be behind the head by what
//!    producers that died or were stopped have placed and not stepped over.
//! 4. So a process that dies or stops between any two steps leaves nothing that others wait for. A
//!    step that fails does so because another one has got on.
//! 5. What a control word says is about the frame at the head only if the head is still there when
//!    the word has been read.

use crate::block::{Block, Phase, Word};
use crate::error::Error;
use crate::slots::{Entry, GENERATION_MASK, Slots};
use crate::sync::Ordering;

/// A search ends after so many turns. Each turn that finds nothing means that another process has got
/// on, or that one writes garbage; the caller sees to its patience and comes again.
pub(crate) const TURNS: u32 = 1 << 12;

/// A place in the order that nobody has taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vacancy {
    position: u64,
    word: u64,
}

/// The frame at the head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Front<'a> {
    pub position: u64,
    pub entry: Entry,
    pub block: &'a Block,
    /// What its control word says: `Offered`.
    pub word: Word,
}

/// Whether the frame that an entry names still waits, by its control word.
#[inline(always)]
fn waits(entry: Entry, word: Word) -> Option<bool> {
    if word.generation() & GENERATION_MASK != entry.generation {
        return Some(false);
    }
    match word.phase()? {
        Phase::Offered => Some(true),
        Phase::Acked | Phase::Unacked | Phase::Orphan | Phase::Dead => Some(false),
        Phase::Free | Phase::Filling => None,
    }
}

/// Searches for the frame at the head, and moves the head on from those that were taken. `block` finds
/// the control word of a reference. A corrupt one is told; the caller moves the head on from it if the
/// telling is its business.
#[inline(always)]
pub(crate) fn front<'a>(
    slots: Slots<'a>,
    block: impl Fn(u32) -> Option<&'a Block>,
) -> Result<Option<Front<'a>>, Error> {
    for _ in 0..TURNS {
        let position = slots.head();
        let entry = match slots.placed(position) {
            Ok(Some(entry)) => entry,
            // Rule 5, here and below.
            other if slots.head() == position => return other.map(|_| None),
            _ => continue,
        };
        let found = block(entry.reference).filter(|_| !entry.direct);
        let word = found.map(Block::load);
        if slots.head() != position {
            continue;
        }
        match found.zip(word).map(|(block, word)| (block, word, waits(entry, word))) {
            Some((block, word, Some(true))) => {
                return Ok(Some(Front { position, entry, block, word }));
            }
            Some((_, _, Some(false))) => advance_head(slots, position),
            corrupt => {
                let found = corrupt.map_or(u64::from(entry.reference), |(_, word, _)| word.0);
                let index = entry.reference.into();
                return Err(Error::Corrupt { what: "block word", index, found });
            }
        }
    }
    Ok(None)
}

/// Step *advance*: the head moves on from a frame that was taken.
#[inline(always)]
pub(crate) fn advance_head(slots: Slots<'_>, position: u64) {
    // Release: pairs with the Acquire in `Slots::head`: whoever sees the new head sees the word of
    // the frame below it taken.
    let next = position.wrapping_add(1);
    let _ =
        slots.cursors.head.compare_exchange(position, next, Ordering::AcqRel, Ordering::Relaxed);
}

/// Searches for the place at the tail; `None` if the ring is full. `head` is the head as this producer
/// has last seen it.
#[inline(always)]
pub(crate) fn vacancy<'a>(
    slots: Slots<'a>,
    head: &mut u64,
    block: impl Fn(u32) -> Option<&'a Block>,
) -> Result<Option<Vacancy>, Error> {
    // Acquire: pairs with the Release in `advance_tail`.
    let tail = || slots.cursors.tail.load(Ordering::Acquire);
    for _ in 0..TURNS {
        let position = tail();
        // Acquire: a frame placed here by another one is stepped over, and its slot seen.
        let word = slots.word(position).load(Ordering::Acquire);
        match slots.read(position, word) {
            Ok(Some(_)) => advance_tail(slots, position),
            Ok(None) => {
                // The head may be beyond the tail (rule 3).
                let waiting = |head: u64| position.wrapping_sub(head) as i64;
                let room = |waiting: i64| waiting < slots.len() as i64;
                if !room(waiting(*head)) {
                    *head = slots.head();
                    if !room(waiting(*head)) {
                        // A corrupt frame is a consumer's to meet.
                        let _ = front(slots, &block);
                        *head = slots.head();
                    }
                    if waiting(*head) > slots.len() as i64 && tail() == position {
                        return Err(slots.bad_head(*head));
                    }
                    if !room(waiting(*head)) {
                        return Ok(None);
                    }
                }
                return Ok(Some(Vacancy { position, word }));
            }
            Err(error) if tail() == position => return Err(error),
            Err(_) => {}
        }
    }
    Ok(None)
}

/// Step *place*. `false`: another frame was placed there.
#[inline(always)]
pub(crate) fn place(slots: Slots<'_>, at: Vacancy, entry: Entry) -> bool {
    let ready = entry.ready(slots.lap(at.position));
    // Release: pairs with the Acquire in `Slots::placed`: whoever sees the entry sees the frame. The
    // Acquire orders nothing here; a locked instruction has both.
    slots
        .word(at.position)
        .compare_exchange(at.word, ready, Ordering::AcqRel, Ordering::Relaxed)
        .is_ok()
}

/// Step *advance*: the tail moves on from a place that was taken.
#[inline(always)]
pub(crate) fn advance_tail(slots: Slots<'_>, position: u64) {
    let next = position.wrapping_add(1);
    // Release: pairs with the Acquire in `vacancy`.
    let _ =
        slots.cursors.tail.compare_exchange(position, next, Ordering::AcqRel, Ordering::Relaxed);
}

impl Vacancy {
    #[inline(always)]
    pub(crate) fn position(&self) -> u64 {
        self.position
    }
}
