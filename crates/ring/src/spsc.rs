//! The order of a ring with one producer and one consumer: slot words and two private positions.
//!
//! A slot word says which frame stands at a place in the order. A position is `lap * slots + index`.
//!
//! ```text
//! bit  63    62     61......38    37......22       21...0
//! Ready 1    direct reference(24) generation(16)   lap(22)
//! Vacant 0   lap(63, compared modulo 2^22)
//! ```
//!
//! Rules:
//! 1. At its position `p` of lap `L` the producer finds `Vacant(L)`, and only it writes `Ready`.
//! 2. At its position the consumer finds `Ready(L)` or `Vacant(L)`, and only it writes `Vacant(L+1)`.
//! 3. A slot is never held: `Ready` is written when the frame is complete, `Vacant` when the
//!    consumer has recorded its lease in the block's word or has copied the frame out.
//! 4. *Direct* means that the frame lies in the slot's own cell and that the cell's word was left
//!    `Free`: the slot word does the work of both. The cell's word is `Free` before and after.
//! 5. Positions are private. A new producer or consumer finds its own by reading all slots.
//!
//! Any other value is corruption and is answered with an error.

use crate::error::Error;
use crate::sync::{AtomicU64, Ordering};

const READY: u64 = 1 << 63;
const DIRECT: u64 = 1 << 62;
const REFERENCE: u32 = 38;
const GENERATION: u32 = 22;
const LAPS: u64 = 1 << GENERATION;
const LAP: u64 = LAPS - 1;
/// Slots keep this many bits of a block's generation.
pub(crate) const GENERATION_MASK: u64 = 0xffff;
const REFERENCE_MASK: u64 = 0xff_ffff;

/// What stands at a place in the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Cells count first, then the blocks of the pool.
    pub reference: u32,
    /// The block's generation, its low 16 bits.
    pub generation: u64,
    /// Rule 4.
    pub direct: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    Vacant { lap: u64 },
    Ready { lap: u64, entry: Entry },
}

impl Slot {
    #[inline(always)]
    fn pack(self) -> u64 {
        match self {
            Self::Vacant { lap } => lap,
            Self::Ready { lap, entry } => {
                READY
                    | if entry.direct { DIRECT } else { 0 }
                    | (u64::from(entry.reference) << REFERENCE)
                    | ((entry.generation & GENERATION_MASK) << GENERATION)
                    | (lap % LAPS)
            }
        }
    }

    #[inline(always)]
    fn unpack(word: u64) -> Self {
        if word & READY == 0 {
            return Self::Vacant { lap: word };
        }
        let entry = Entry {
            reference: (word >> REFERENCE & REFERENCE_MASK) as u32,
            generation: word >> GENERATION & GENERATION_MASK,
            direct: word & DIRECT != 0,
        };
        Self::Ready { lap: word % LAPS, entry }
    }
}

/// The slot words of a ring.
#[derive(Clone, Copy)]
pub(crate) struct Slots<'a> {
    words: &'a [AtomicU64],
    shift: u32,
}

impl<'a> Slots<'a> {
    /// `words.len()` is a power of two, at least 8.
    #[inline(always)]
    pub(crate) fn new(words: &'a [AtomicU64]) -> Self {
        Self { words, shift: words.len().trailing_zeros() }
    }

    #[inline(always)]
    pub(crate) fn len(self) -> u64 {
        1 << self.shift
    }

    /// The cell at home at a position.
    #[inline(always)]
    pub(crate) fn home(self, position: u64) -> u32 {
        (position & (self.len() - 1)) as u32
    }

    #[inline(always)]
    fn lap(self, position: u64) -> u64 {
        position >> self.shift
    }

    /// Neighbours in the order lie on different cache lines: eight words share a line, and two
    /// sides that follow each other closely would write the same one (measured: 11 against 20 M
    /// frames/s where a fence follows each publication, level without).
    #[inline(always)]
    fn word(self, position: u64) -> &'a AtomicU64 {
        let index = self.home(position) as usize;
        // The models' rings are smaller than a line.
        #[cfg(slipring_loom)]
        return &self.words[index];
        #[cfg(not(slipring_loom))]
        &self.words[(index << 3 | index >> (self.shift - 3)) & (self.words.len() - 1)]
    }

    #[inline(always)]
    fn load(self, position: u64) -> u64 {
        // Acquire: pairs with the Release stores of `Tail::place` (the frame is complete) and
        // `Head::clear` (the consumer has read the cell, or its lease is on record).
        self.word(position).load(Ordering::Acquire)
    }

    #[cold]
    fn corrupt(self, position: u64) -> Error {
        Error::Corrupt {
            what: "slot",
            index: u64::from(self.home(position)),
            found: self.word(position).load(Ordering::Relaxed),
        }
    }

    /// Every frame that stands in the ring, with its position's home.
    pub(crate) fn entries(self) -> impl Iterator<Item = Entry> + 'a {
        (0..self.len()).filter_map(move |index| match Slot::unpack(self.load(index)) {
            Slot::Ready { entry, .. } => Some(entry),
            Slot::Vacant { .. } => None,
        })
    }

    /// Rule 5: where the next frame is placed. Exact while a consumer takes frames beside it: what
    /// a slot says of its next place does not change when it is cleared.
    pub(crate) fn tail(self) -> Result<u64, Error> {
        self.edge(1)
    }

    /// Rule 5: where the next frame is taken. Exact while a producer places frames beside it.
    pub(crate) fn head(self) -> Result<u64, Error> {
        self.edge(0)
    }

    /// The lowest of the `len` neighbouring positions that the slots speak of. Laps compare modulo,
    /// so a position found so may differ from a lost one by whole cycles of laps.
    fn edge(self, ready_ahead: u64) -> Result<u64, Error> {
        let lap_of = |index| match Slot::unpack(self.load(index)) {
            Slot::Vacant { lap } => (lap % LAPS, 0),
            Slot::Ready { lap, .. } => (lap, ready_ahead),
        };
        let base = lap_of(0).0;
        let (mut lowest, mut highest) = (u64::MAX, 0);
        for index in 0..self.len() {
            let (lap, ahead) = lap_of(index);
            let apart = (lap.wrapping_sub(base).wrapping_add(1)) % LAPS;
            if apart > 2 {
                return Err(self.corrupt(index));
            }
            let position = ((base + LAPS + apart - 1 + ahead) << self.shift) | index;
            (lowest, highest) = (lowest.min(position), highest.max(position));
        }
        if highest - lowest >= self.len() {
            return Err(self.corrupt(lowest));
        }
        Ok(lowest)
    }

    /// Whether a frame waits at a position.
    pub(crate) fn ready(self, position: u64) -> bool {
        self.load(position) & (READY | LAP) == READY | (self.lap(position) % LAPS)
    }
}

/// The producer's side.
#[derive(Debug)]
pub(crate) struct Tail {
    pub(crate) position: u64,
}

impl Tail {
    /// Whether the place at the tail is vacant; its home cell has been left by the consumer then,
    /// unless the cell's word says otherwise.
    #[inline(always)]
    pub(crate) fn vacant(&self, slots: Slots<'_>) -> Result<bool, Error> {
        let word = slots.load(self.position);
        let lap = slots.lap(self.position) % LAPS;
        if word & (READY | LAP) == lap {
            return Ok(true);
        }
        match Slot::unpack(word) {
            Slot::Ready { lap: before, .. } if (before + 1) % LAPS == lap => Ok(false),
            _ => Err(slots.corrupt(self.position)),
        }
    }

    /// Step *place*: the complete frame takes its place and is published. The slot is vacant.
    #[inline(always)]
    pub(crate) fn place(&mut self, slots: Slots<'_>, entry: Entry) {
        let ready = Slot::Ready { lap: slots.lap(self.position), entry };
        // Release: pairs with the Acquire in `Slots::load` by the consumer, which then sees the frame.
        slots.word(self.position).store(ready.pack(), Ordering::Release);
        self.position += 1;
    }
}

/// The consumer's side.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) position: u64,
}

impl Head {
    /// What stands at the head, if anything does.
    #[inline(always)]
    pub(crate) fn peek(&self, slots: Slots<'_>) -> Result<Option<Entry>, Error> {
        let word = slots.load(self.position);
        let lap = slots.lap(self.position) % LAPS;
        if word & (READY | LAP) == lap {
            return Ok(None);
        }
        match Slot::unpack(word) {
            Slot::Ready { lap: found, entry } if found == lap => Ok(Some(entry)),
            _ => Err(slots.corrupt(self.position)),
        }
    }

    /// Step *clear*: the frame at the head is taken, its place is vacant for the next lap.
    #[inline(always)]
    pub(crate) fn clear(&mut self, slots: Slots<'_>) {
        let vacant = Slot::Vacant { lap: slots.lap(self.position) + 1 };
        // Release: pairs with the Acquire in `Slots::load` by the producer, which then may write
        // where this consumer has read.
        slots.word(self.position).store(vacant.pack(), Ordering::Release);
        self.position += 1;
    }
}

#[cfg(all(test, not(slipring_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    fn slots(len: u64, first_lap: u64) -> Vec<AtomicU64> {
        (0..len).map(|_| AtomicU64::new(first_lap)).collect()
    }

    fn entry(n: u32) -> Entry {
        Entry {
            reference: n & 0xff_ffff,
            generation: u64::from(n) & GENERATION_MASK,
            direct: n.is_multiple_of(3),
        }
    }

    proptest! {
        /// A naive queue beside the real order, with both sides replaced at any moment and laps
        /// that wrap.
        #[test]
        fn it_is_a_queue_whoever_joins(
            steps in prop::collection::vec(0u8..4, 1..400),
            first_lap in prop::sample::select(vec![0, 1, LAPS - 2, LAPS - 1, LAPS, 3 * LAPS - 1]),
        ) {
            let words = slots(8, first_lap);
            let slots = Slots::new(&words);
            let mut tail = Tail { position: slots.tail().unwrap() };
            let mut head = Head { position: slots.head().unwrap() };
            let mut oracle = VecDeque::new();
            for (n, step) in steps.into_iter().enumerate() {
                match step {
                    0 => {
                        let vacant = tail.vacant(slots).unwrap();
                        prop_assert_eq!(vacant, oracle.len() < 8);
                        if vacant {
                            tail.place(slots, entry(n as u32));
                            oracle.push_back(entry(n as u32));
                        }
                    }
                    1 => {
                        prop_assert_eq!(slots.ready(head.position), !oracle.is_empty());
                        let found = head.peek(slots).unwrap();
                        prop_assert_eq!(found, oracle.pop_front());
                        if found.is_some() {
                            head.clear(slots);
                        }
                    }
                    2 => tail.position = slots.tail().unwrap(),
                    _ => head.position = slots.head().unwrap(),
                }
            }
        }

        /// P9: whatever stands in the words, reading them ends, with an answer or `Corrupt`.
        #[test]
        fn garbage_is_an_error(words in prop::collection::vec(any::<u64>(), 8), position: u64) {
            let words: Vec<_> = words.into_iter().map(AtomicU64::new).collect();
            let slots = Slots::new(&words);
            let _ = (slots.tail(), slots.head(), slots.entries().count());
            let _ = (Tail { position }.vacant(slots), Head { position }.peek(slots));
        }
    }
}
