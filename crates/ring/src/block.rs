//! The control word of a piece of frame memory (a cell or a pool block): who owns it, in which life.
//!
//! ```text
//! bit  63..............28 27......20 19....4 3....0
//!      generation (36)    deliveries owner   phase
//! ```
//!
//! Rules:
//! 1. Whoever owns the word owns the memory. Owner 0 is nobody; the others are
//!    a participant's id and eight bits of its incarnation.
//! 2. `Free -> Filling(p)` by a producer's process, `Filling(p) -> Offered(p)` when the frame is
//!    complete, `Offered -> Acked(c)` or `Unacked(c)` by the consumer's process that takes it, `-> Free`
//!    with the next generation by the owner. A frame that is given up goes `Filling(p) -> Free`, one that
//!    is given back `Unacked(c) -> Orphan`, or `Dead` after too many times.
//! 3. Where several may change a word, a transition is one compare-and-swap from the exact value
//!    read, so a late one, from an earlier life or an earlier owner, fails. Its owner alone stores.
//! 4. Only recovery changes a word that names another process, and only once that one is dead.

use crate::sync::{AtomicU64, Ordering};

const OWNER: u32 = 4;
const DELIVERIES: u32 = 20;
const GENERATION: u32 = 28;

/// Generations compare modulo this.
pub(crate) const GENERATIONS: u64 = 1 << (64 - GENERATION);

/// Where a piece of frame memory is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nobody's.
    Free = 0,
    /// The owner writes a frame.
    Filling = 1,
    /// The frame is complete and waits, or will in a moment, at a slot.
    Offered = 2,
    /// The owner reads it and has acknowledged it: it is free once the last view is gone.
    Acked = 3,
    /// The owner reads it and has not acknowledged it: it is delivered again if the owner dies.
    Unacked = 4,
    /// Taken by one who died before the acknowledgement; waits for another consumer.
    Orphan = 5,
    /// Delivered too often; waits for a consumer that asks for dead letters.
    Dead = 6,
}

/// The value of a control word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Word(pub(crate) u64);

impl Word {
    /// Free, in the given life.
    pub(crate) fn free(generation: u64) -> Self {
        Self(generation << GENERATION)
    }

    /// The phase, or `None` for a value that no step writes.
    #[inline(always)]
    pub(crate) fn phase(self) -> Option<Phase> {
        Some(match self.0 & 0xf {
            0 => Phase::Free,
            1 => Phase::Filling,
            2 => Phase::Offered,
            3 => Phase::Acked,
            4 => Phase::Unacked,
            5 => Phase::Orphan,
            6 => Phase::Dead,
            _ => return None,
        })
    }

    #[inline(always)]
    pub(crate) fn is_free(self) -> bool {
        self.0 & 0xf == Phase::Free as u64
    }

    #[inline(always)]
    pub(crate) fn owner(self) -> u16 {
        (self.0 >> OWNER) as u16
    }

    #[inline(always)]
    pub(crate) fn generation(self) -> u64 {
        self.0 >> GENERATION
    }

    /// How often the frame was given back.
    pub(crate) fn deliveries(self) -> u8 {
        (self.0 >> DELIVERIES) as u8
    }

    /// Given back once more: an orphan, or, after `limit` times, a dead letter.
    pub(crate) fn given_back(self, limit: u8) -> Self {
        let times = self.deliveries().saturating_add(1);
        let phase = if self.deliveries() >= limit { Phase::Dead } else { Phase::Orphan };
        let counted = Self(self.0 & !(0xff << DELIVERIES) | u64::from(times) << DELIVERIES);
        counted.with(phase, 0)
    }

    /// The same life, now in `phase` and owned by `owner`.
    #[inline(always)]
    pub(crate) fn with(self, phase: Phase, owner: u16) -> Self {
        Self((self.0 & !0xf_ffff) | u64::from(owner) << OWNER | phase as u64)
    }

    /// Free again, in the next life.
    #[inline(always)]
    pub(crate) fn freed(self) -> Self {
        Self::free((self.generation() + 1) % GENERATIONS)
    }
}

impl std::fmt::Debug for Word {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.phase() {
            Some(phase) => write!(f, "{phase:?}")?,
            None => write!(f, "phase {}", self.0 & 0xf)?,
        }
        write!(f, "(owner {}, generation {})", self.owner(), self.generation())
    }
}

/// The control word itself, shared between processes.
#[repr(transparent)]
#[derive(Debug)]
pub(crate) struct Block(AtomicU64);

impl Block {
    #[cfg(any(test, slipring_loom))]
    pub(crate) fn new(word: Word) -> Self {
        Self(AtomicU64::new(word.0))
    }

    /// Acquire: pairs with the Release of every transition, so whoever sees a state sees the bytes
    /// that were written, or is behind the last read, before it.
    #[inline(always)]
    pub(crate) fn load(&self) -> Word {
        Word(self.0.load(Ordering::Acquire))
    }

    /// One step by the only one who can change the word now: its owner, or the one producer of a ring
    /// for a free one. A plain store: a locked instruction would wait until all bytes of the frame
    /// have left the store buffer.
    ///
    /// Release: as in [`Block::step`].
    #[inline(always)]
    pub(crate) fn set(&self, to: Word) {
        self.0.store(to.0, Ordering::Release);
    }

    /// One step of the life of a block, from the exact value read. `Err` is what was there instead.
    ///
    /// AcqRel: the Release hands over the bytes (pairs with the Acquire of [`Block::load`] and of
    /// the next owner's transition), the Acquire orders this owner's accesses after the last one's.
    #[inline(always)]
    pub(crate) fn step(&self, from: Word, to: Word) -> Result<(), Word> {
        match self.0.compare_exchange(from.0, to.0, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Ok(()),
            Err(found) => Err(Word(found)),
        }
    }
}

#[cfg(all(test, not(slipring_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_life_ends_with_the_next_generation_and_wraps() {
        let last = Word::free(GENERATIONS - 1);
        let filling = last.with(Phase::Filling, 7);
        assert_eq!((filling.phase(), filling.owner()), (Some(Phase::Filling), 7));
        assert_eq!(filling.generation(), GENERATIONS - 1);
        assert_eq!(filling.freed(), Word::free(0));
        assert!(Word(0).is_free());
    }

    /// P6: deliveries are counted, and end.
    #[test]
    fn a_frame_that_is_given_back_too_often_dies() {
        let mut word = Word::free(9).with(Phase::Unacked, 300);
        for times in 1..=3 {
            word = word.given_back(2);
            assert_eq!((word.deliveries(), word.owner(), word.generation()), (times, 0, 9));
            assert_eq!(word.phase(), Some(if times > 2 { Phase::Dead } else { Phase::Orphan }));
            word = word.with(Phase::Unacked, 7);
        }
        assert_eq!((word.freed(), word.freed().deliveries()), (Word::free(10), 0));
        let worn = (0..300).fold(word, |word, _| word.given_back(255));
        assert_eq!((worn.deliveries(), worn.phase()), (255, Some(Phase::Dead)));
    }

    #[test]
    fn a_step_from_a_stale_value_fails_and_shows_what_is_there() {
        let block = Block::new(Word::free(3));
        let stale = Word::free(2);
        assert_eq!(block.step(stale, stale.with(Phase::Filling, 1)), Err(Word::free(3)));
        assert_eq!(block.step(Word::free(3), Word::free(3).with(Phase::Filling, 1)), Ok(()));
        assert_eq!(Word(0xf).phase(), None);
    }
}
