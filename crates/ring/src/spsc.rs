//! The order of a ring with one producer and one consumer: slot words and a head.
//!
//! A slot word says which frame was placed last at a place in the order. A position is
//! `lap * slots + index`; the head is the position of the next frame to be taken.
//!
//! ```text
//! bit  63    62     61......38    37......22       21...0
//! Ready 1    direct reference(24) generation(16)   lap(22)
//! Vacant 0   lap(63, compared modulo 2^22)
//! ```
//!
//! Rules:
//! 1. Only the producer writes slots, and only the consumer the head. At position `p` of lap `L` a
//!    frame waits if the slot holds `Ready(L)` and `p` is not below the head; before it is placed
//!    the slot holds `Ready(L-1)`, or in the first lap `Vacant(L)`.
//! 2. The producer places a frame, complete, where `p` is less than a lap beyond the head. It
//!    remembers the head, which only grows, and looks again when that is too old.
//! 3. A slot is never held: the head moves on when the consumer has recorded its lease in the
//!    block's word or has copied the frame out.
//! 4. *Direct* means that the frame lies in the slot's own cell and that the cell's word was left
//!    `Free`: the slot word and the head do its work. The cell's word is `Free` before and after.
//! 5. A new consumer starts at the head. A new producer starts at the first place from the head on
//!    where no frame waits.
//!
//! So each line is written by one side alone, and the other fetches a line of the head once a lap.
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

impl Entry {
    #[inline(always)]
    fn ready(self, lap: u64) -> u64 {
        READY
            | if self.direct { DIRECT } else { 0 }
            | (u64::from(self.reference) << REFERENCE)
            | ((self.generation & GENERATION_MASK) << GENERATION)
            | lap
    }
}

/// The slot words of a ring, and its head.
#[derive(Clone, Copy)]
pub(crate) struct Slots<'a> {
    words: &'a [AtomicU64],
    head: &'a AtomicU64,
    shift: u32,
}

impl<'a> Slots<'a> {
    /// `words.len()` is a power of two, at least 8.
    #[inline(always)]
    pub(crate) fn new(words: &'a [AtomicU64], head: &'a AtomicU64) -> Self {
        Self { words, head, shift: words.len().trailing_zeros() }
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

    /// As slots keep it.
    #[inline(always)]
    fn lap(self, position: u64) -> u64 {
        (position >> self.shift) % LAPS
    }

    #[inline(always)]
    fn word(self, position: u64) -> &'a AtomicU64 {
        &self.words[self.home(position) as usize]
    }

    /// The frame that was placed at a position, or `None` before it is.
    #[inline(always)]
    fn placed(self, position: u64) -> Result<Option<Entry>, Error> {
        // Acquire: pairs with the Release in `Tail::place`: the frame is complete.
        let word = self.word(position).load(Ordering::Acquire);
        let lap = self.lap(position);
        if word & (READY | LAP) == READY | lap {
            return Ok(Some(Entry {
                reference: (word >> REFERENCE & REFERENCE_MASK) as u32,
                generation: word >> GENERATION & GENERATION_MASK,
                direct: word & DIRECT != 0,
            }));
        }
        let before = READY | (lap.wrapping_sub(1) % LAPS);
        if word & (READY | LAP) == before || word & (READY | LAP) == lap {
            Ok(None)
        } else {
            Err(Error::Corrupt { what: "slot", index: u64::from(self.home(position)), found: word })
        }
    }

    /// Whether a frame waits at a position that is not below the head.
    #[inline(always)]
    pub(crate) fn ready(self, position: u64) -> bool {
        matches!(self.placed(position), Ok(Some(_)))
    }

    /// Where the next frame is taken.
    #[inline(always)]
    pub(crate) fn head(self) -> u64 {
        // Acquire: pairs with the Release in `Head::advance`: the consumer has read the cells below,
        // or its leases are on record.
        self.head.load(Ordering::Acquire)
    }

    /// Every frame that waits, exact while no more than one side is at work.
    pub(crate) fn entries(self) -> impl Iterator<Item = Entry> + 'a {
        self.entries_from(self.head())
    }

    /// As [`entries`](Self::entries), seen from a head.
    pub(crate) fn entries_from(self, head: u64) -> impl Iterator<Item = Entry> + 'a {
        (0..self.len()).filter_map(move |n| self.placed(head.wrapping_add(n)).ok().flatten())
    }

    /// Rule 5: where the next frame is placed. Exact while a consumer takes frames beside it: what
    /// it has taken still stands in the slots.
    pub(crate) fn tail(self) -> Result<u64, Error> {
        let head = self.head();
        let (mut tail, mut ended) = (head, false);
        for position in (0..self.len()).map(|n| head.wrapping_add(n)) {
            match self.placed(position)? {
                Some(_) if ended => return Err(self.bad_head(head)),
                Some(_) => tail = position.wrapping_add(1),
                None => ended = true,
            }
        }
        Ok(tail)
    }

    #[cold]
    fn bad_head(self, head: u64) -> Error {
        Error::Corrupt {
            what: "head of the ring at slot",
            index: self.home(head).into(),
            found: head,
        }
    }
}

/// The producer's side.
#[derive(Debug)]
pub(crate) struct Tail {
    pub(crate) position: u64,
    /// The head, as last looked at.
    head: u64,
}

impl Tail {
    /// Rule 5.
    pub(crate) fn find(slots: Slots<'_>) -> Result<Self, Error> {
        let position = slots.tail()?;
        Ok(Self { position, head: slots.head() })
    }

    /// Whether there is room for a frame at the tail. Its home cell has been left by the consumer
    /// then, unless the cell's word says otherwise.
    #[inline(always)]
    pub(crate) fn vacant(&mut self, slots: Slots<'_>) -> Result<bool, Error> {
        if self.position.wrapping_sub(self.head) < slots.len() {
            return Ok(true);
        }
        self.look(slots)
    }

    #[cold]
    fn look(&mut self, slots: Slots<'_>) -> Result<bool, Error> {
        let head = slots.head();
        let waiting = self.position.wrapping_sub(head);
        if waiting > slots.len() {
            return Err(slots.bad_head(head));
        }
        self.head = head;
        Ok(waiting < slots.len())
    }

    /// Step *place*: the complete frame takes its place and is published. The place is vacant.
    #[inline(always)]
    pub(crate) fn place(&mut self, slots: Slots<'_>, entry: Entry) {
        let word = entry.ready(slots.lap(self.position));
        // Release: pairs with the Acquire in `Slots::placed` by the consumer, which then sees the frame.
        slots.word(self.position).store(word, Ordering::Release);
        self.position = self.position.wrapping_add(1);
    }
}

/// The consumer's side.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) position: u64,
}

impl Head {
    /// Rule 5.
    pub(crate) fn find(slots: Slots<'_>) -> Result<Self, Error> {
        let position = slots.head();
        // A producer may be placing meanwhile: each slot is looked at for itself.
        (0..slots.len()).try_for_each(|n| slots.placed(position.wrapping_add(n)).map(|_| ()))?;
        Ok(Self { position })
    }

    /// What stands at the head, if anything does.
    #[inline(always)]
    pub(crate) fn peek(&self, slots: Slots<'_>) -> Result<Option<Entry>, Error> {
        slots.placed(self.position)
    }

    /// Step *advance*: the frame at the head is taken, its place is vacant for the next lap.
    #[inline(always)]
    pub(crate) fn advance(&mut self, slots: Slots<'_>) {
        self.position = self.position.wrapping_add(1);
        // Release: pairs with the Acquire in `Slots::head` by the producer, which then may write
        // where this consumer has read.
        slots.head.store(self.position, Ordering::Release);
    }
}

#[cfg(all(test, not(slipring_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

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
            first_lap in prop::sample::select(vec![
                0, 1, LAPS - 2, LAPS - 1, LAPS, 3 * LAPS - 1, (1 << 61) - 1,
            ]),
        ) {
            let words: Vec<_> = (0..8).map(|_| AtomicU64::new(first_lap)).collect();
            let front = AtomicU64::new(first_lap << 3);
            let slots = Slots::new(&words, &front);
            let mut tail = Tail::find(slots).unwrap();
            let mut head = Head::find(slots).unwrap();
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
                            head.advance(slots);
                        }
                    }
                    2 => tail = Tail::find(slots).unwrap(),
                    _ => head = Head::find(slots).unwrap(),
                }
                prop_assert!(slots.entries().eq(oracle.iter().copied()));
            }
        }

        /// P9: whatever stands in the words, reading them ends, with an answer or `Corrupt`.
        #[test]
        fn garbage_is_an_error(
            words in prop::collection::vec(any::<u64>(), 8), front: u64, position: u64,
        ) {
            let words: Vec<_> = words.into_iter().map(AtomicU64::new).collect();
            let front = AtomicU64::new(front);
            let slots = Slots::new(&words, &front);
            let _ = (Tail::find(slots).is_ok(), Head::find(slots).is_ok(), slots.entries().count());
            let (mut tail, head) = (Tail { position, head: position }, Head { position });
            let _ = (tail.vacant(slots), tail.look(slots), head.peek(slots));
        }
    }

    /// P9: a head that no consumer has written is noticed by whoever starts from it.
    #[test]
    fn a_head_beside_the_frames_is_corrupt() {
        let words: Vec<_> = (0..8).map(|_| AtomicU64::new(0)).collect();
        let front = AtomicU64::new(0);
        let slots = Slots::new(&words, &front);
        let mut tail = Tail::find(slots).unwrap();
        for n in 0..5 {
            tail.place(slots, entry(n));
        }
        for wrong in [6, 9, 100, u64::MAX] {
            front.store(wrong, Ordering::Relaxed);
            assert!(Head::find(slots).is_err(), "{wrong}");
            assert!(Tail::find(slots).is_err(), "{wrong}");
            // The living producer only sees that it has been overtaken.
            assert_eq!(tail.look(slots).is_err(), wrong != u64::MAX, "{wrong}");
        }
    }
}
