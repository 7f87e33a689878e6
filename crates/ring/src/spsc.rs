//! A ring's order with one producer and one consumer at a time: each writes its own words alone.
//!
//! Rules, beyond those of `slots`:
//! 1. Only the producer writes slots, and only the consumer the head, by plain stores. The tail is
//!    the producer's own knowledge.
//! 2. *Direct* means that the frame lies in the slot's own cell and that the cell's word was left
//!    `Free`: the slot word and the head do its work. The cell's word is `Free` before and after.
//! 3. The shared tail is the producer's announcement: before it is seen to whether the ring is closed
//!    it is set beyond the place that a direct frame is about to take. (Others have a word that says
//!    `Offered`.) So who finds the ring closed can tell whether a frame is on its way.
//! 4. A new consumer starts at the head. A new producer starts at the first place from the head on
//!    where no frame waits.

use crate::error::Error;
use crate::slots::{Entry, Slots};
use crate::sync::Ordering;

/// The producer's side.
#[derive(Debug)]
pub(crate) struct Tail {
    pub(crate) position: u64,
    /// The head, as last looked at.
    head: u64,
}

impl Tail {
    /// Rule 4.
    pub(crate) fn find(slots: Slots<'_>) -> Result<Self, Error> {
        let position = slots.tail()?;
        Ok(Self { position, head: slots.head() })
    }

    /// For the ring's producer: nothing that the last one announced is to come.
    pub(crate) fn take_over(slots: Slots<'_>) -> Result<Self, Error> {
        let tail = Self::find(slots)?;
        slots.cursors.tail.store(tail.position, Ordering::Relaxed);
        Ok(tail)
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

    /// How many places from the tail on are vacant, at least.
    pub(crate) fn vacancies(&self, slots: Slots<'_>) -> u64 {
        slots.len().saturating_sub(self.position.wrapping_sub(self.head))
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

    /// Step *announce*: a frame is about to be placed, unless that is [withdrawn](Self::withdraw).
    #[inline(always)]
    pub(crate) fn announce(&self, slots: Slots<'_>) {
        // Relaxed: the caller's fence orders it before the look whether the ring is closed.
        slots.cursors.tail.store(self.position.wrapping_add(1), Ordering::Relaxed);
    }

    #[cold]
    pub(crate) fn withdraw(&self, slots: Slots<'_>) {
        slots.cursors.tail.store(self.position, Ordering::Relaxed);
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
    /// Rule 4.
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
        slots.cursors.head.store(self.position, Ordering::Release);
    }
}

#[cfg(all(test, not(slipring_loom)))]
mod tests {
    use super::*;
    use crate::slots::{Cursors, GENERATION_MASK, LAPS, Slot};
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
            let all: Vec<_> = (0..8).map(|_| Slot::new(first_lap)).collect();
            let front = Cursors::at(first_lap << 3);
            // SAFETY: a power of two.
            let slots = unsafe { Slots::new(&all, &front) };
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
            let all: Vec<_> = words.into_iter().map(Slot::new).collect();
            let front = Cursors::at(front);
            // SAFETY: a power of two.
            let slots = unsafe { Slots::new(&all, &front) };
            let _ = (Tail::find(slots).is_ok(), Head::find(slots).is_ok(), slots.entries().count());
            let (mut tail, head) = (Tail { position, head: position }, Head { position });
            let _ = (tail.vacant(slots), tail.look(slots), head.peek(slots));
        }
    }

    /// P9: a head that no consumer has written is noticed by whoever starts from it.
    #[test]
    fn a_head_beside_the_frames_is_corrupt() {
        let all: Vec<_> = (0..8).map(|_| Slot::new(0)).collect();
        let front = Cursors::at(0);
        // SAFETY: a power of two.
        let slots = unsafe { Slots::new(&all, &front) };
        let mut tail = Tail::find(slots).unwrap();
        for n in 0..5 {
            tail.place(slots, entry(n));
        }
        for wrong in [6, 9, 100, u64::MAX] {
            front.head.store(wrong, Ordering::Relaxed);
            assert!(Head::find(slots).is_err(), "{wrong}");
            assert!(Tail::find(slots).is_err(), "{wrong}");
            // The living producer only sees that it has been overtaken.
            assert_eq!(tail.look(slots).is_err(), wrong != u64::MAX, "{wrong}");
        }
    }
}
