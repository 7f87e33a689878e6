//! A ring's order with many producers or many consumers: whoever finds a step undone does it.
//!
//! Rules, beyond those of `slots`:
//! 1. *Place*: one compare-and-swap of the slot at the tail takes the place and publishes the frame,
//!    which is complete and whose control word says `Offered`.
//! 2. *Take*: one compare-and-swap of the control word of the frame at the head, from `Offered` to
//!    held. It alone decides who has the frame.
//! 3. Each producer and consumer goes by a cursor of its own: a place before which all are placed, or all
//!    taken. It steps over what others have placed or taken, so nobody waits for another one's step.
//! 4. The shared tail and head are such cursors too, a little behind: every few steps whoever has got
//!    further moves them on, and a producer that finds the ring full looks what was taken. No frame is
//!    placed a lap beyond the shared head; so it is at most a lap behind anything. Each search begins
//!    no earlier than there: laps and generations wrap, and a cursor that was left alone for long would
//!    take what stands there for something else.
//! 5. A process that dies or stops between any two steps leaves nothing that others wait for. A step that
//!    fails does so because another one has got on.

use crate::block::{Block, Phase, Word};
use crate::error::Error;
use crate::slots::{Entry, GENERATION_MASK, Slots};
use crate::sync::{self, AtomicU64, Ordering};

/// A search ends after so many turns. Each turn that finds nothing means that another process has got
/// on, or that one writes garbage; the caller sees to its patience and comes again.
pub(crate) const TURNS: u32 = 1 << 12;
/// The shared cursors follow in steps of so many places, or of a quarter of a small ring.
const STRIDE: u64 = 16;

/// A place in the order that nobody has taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vacancy {
    pub position: u64,
    word: u64,
}

/// The frame at the head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Front<'a> {
    pub entry: Entry,
    pub block: &'a Block,
    /// What its control word says: `Offered`.
    pub word: Word,
}

/// Whether `one` is further than `other`; positions wrap.
#[inline(always)]
fn beyond(one: u64, other: u64) -> bool {
    one.wrapping_sub(other) as i64 > 0
}

/// Moves a shared cursor on to `position`, if it is not there yet.
fn follow(cursor: &AtomicU64, position: u64) {
    let mut seen = cursor.load(Ordering::Relaxed);
    while beyond(position, seen) {
        // Release: pairs with the Acquire of who starts from it: what was placed or taken before is
        // seen, as the one who moved it saw it.
        match cursor.compare_exchange(seen, position, Ordering::AcqRel, Ordering::Relaxed) {
            Ok(_) => return,
            Err(found) => seen = found,
        }
    }
}

/// Whether a cursor that has got to `position` is to be followed.
#[inline(always)]
fn milestone(slots: Slots<'_>, position: u64) -> bool {
    position & ((slots.len() / 4).clamp(1, STRIDE) - 1) == 0
}

/// Whether the frame that an entry names still waits, by its control word. `None`: no step writes that.
#[inline(always)]
pub(crate) fn waits(entry: Entry, word: Word) -> Option<bool> {
    if word.generation() & GENERATION_MASK != entry.generation {
        return Some(false);
    }
    match word.phase()? {
        Phase::Offered => Some(true),
        Phase::Acked | Phase::Unacked | Phase::Orphan | Phase::Dead => Some(false),
        Phase::Free | Phase::Filling => None,
    }
}

/// A consumer's side.
#[derive(Debug)]
pub(crate) struct Taker {
    /// Rule 3.
    pub(crate) position: u64,
}

impl Taker {
    pub(crate) fn new(slots: Slots<'_>) -> Self {
        Self { position: slots.head() }
    }

    /// The cell at home at the head.
    #[inline(always)]
    pub(crate) fn home(&self, slots: Slots<'_>) -> u32 {
        slots.home(self.position)
    }

    /// Searches for the frame at the head. `block` finds the control word of a reference. A corrupt
    /// frame is told once.
    #[inline(always)]
    pub(crate) fn front<'a>(
        &mut self,
        slots: Slots<'a>,
        block: impl Fn(u32) -> Option<&'a Block>,
    ) -> Result<Option<Front<'a>>, Error> {
        let head = slots.head();
        if beyond(head, self.position) {
            self.position = head;
        }
        for _ in 0..TURNS {
            let entry = match slots.placed(self.position) {
                Ok(Some(entry)) => entry,
                Ok(None) => {
                    // There is time: the next one starts here.
                    follow(&slots.cursors.head, self.position);
                    return Ok(None);
                }
                Err(error) => {
                    // Rule 4: it is a lap behind, or the slot is corrupt.
                    let head = slots.head();
                    if !beyond(head, self.position) {
                        return Err(error);
                    }
                    self.position = head;
                    continue;
                }
            };
            let found = block(entry.reference).filter(|_| !entry.direct);
            match found.map(|block| (block, block.load())) {
                Some((block, word)) if waits(entry, word) == Some(true) => {
                    return Ok(Some(Front { entry, block, word }));
                }
                Some((_, word)) if waits(entry, word) == Some(false) => self.advance(slots),
                corrupt => {
                    // The slot may be in its next lap, and its frame's block in another use.
                    if !matches!(slots.placed(self.position), Ok(Some(now)) if now == entry) {
                        continue;
                    }
                    self.advance(slots);
                    let found = corrupt.map_or(entry.reference.into(), |(_, word)| word.0);
                    let index = entry.reference.into();
                    return Err(Error::Corrupt { what: "block word", index, found });
                }
            }
        }
        Ok(None)
    }

    /// Step *advance*: the frame at the head is taken, by whomever.
    #[inline(always)]
    pub(crate) fn advance(&mut self, slots: Slots<'_>) {
        self.position = self.position.wrapping_add(1);
        if milestone(slots, self.position) {
            follow(&slots.cursors.head, self.position);
        }
    }
}

/// A producer's side.
#[derive(Debug)]
pub(crate) struct Placer {
    /// Rule 3.
    pub(crate) position: u64,
    /// The shared head, as last looked at.
    head: u64,
}

impl Placer {
    pub(crate) fn new(slots: Slots<'_>) -> Self {
        let head = slots.head();
        Self { position: head, head }
    }

    /// How many places from the tail on are vacant, at least.
    #[inline(always)]
    pub(crate) fn vacancies(&self, slots: Slots<'_>) -> u64 {
        slots.len().saturating_sub(self.position.wrapping_sub(self.head))
    }

    /// Searches for the place at the tail; `None` if the ring is full.
    #[inline(always)]
    pub(crate) fn vacancy<'a>(
        &mut self,
        slots: Slots<'a>,
        block: impl Fn(u32) -> Option<&'a Block>,
    ) -> Result<Option<Vacancy>, Error> {
        // Its home cell's word is about to be claimed, and then the place.
        sync::fetch_to_write(slots.word(self.position));
        self.step(self.position, slots);
        for _ in 0..TURNS {
            // Acquire: whoever sees a frame placed sees what was done before it.
            let word = slots.word(self.position).load(Ordering::Acquire);
            match slots.read(self.position, word) {
                Ok(None) => {
                    let room = self.position.wrapping_sub(self.head) < slots.len();
                    if !room && !self.room(slots, block)? {
                        return Ok(None);
                    }
                    return Ok(Some(Vacancy { position: self.position, word }));
                }
                // Another one has placed a frame here, and perhaps more.
                Ok(Some(_)) => self.step(self.position.wrapping_add(1), slots),
                Err(error) => {
                    // Rule 4: it is a lap behind, or the slot is corrupt.
                    let head = slots.head();
                    if !beyond(head, self.position) {
                        return Err(error);
                    }
                    self.step(head, slots);
                }
            }
        }
        Ok(None)
    }

    /// Moves on to `position`, or to the shared tail if that is further.
    #[inline(always)]
    fn step(&mut self, position: u64, slots: Slots<'_>) {
        self.position = position;
        // Acquire: pairs with the Release in `follow`.
        let tail = slots.cursors.tail.load(Ordering::Acquire);
        // A tail that nobody wrote is no place to go to.
        if beyond(tail, position) && tail.wrapping_sub(slots.head()) <= slots.len() {
            self.position = tail;
        }
    }

    /// Whether there is room at the position after all, by what was taken meanwhile.
    #[cold]
    fn room<'a>(
        &mut self,
        slots: Slots<'a>,
        block: impl Fn(u32) -> Option<&'a Block>,
    ) -> Result<bool, Error> {
        let full = |head: u64| self.position.wrapping_sub(head) >= slots.len();
        let mut head = slots.head();
        if full(head) {
            // Takers follow a little late, or have died: look for them. A corrupt frame is a consumer's
            // to meet.
            let mut taker = Taker { position: head };
            let _ = taker.front(slots, block);
            follow(&slots.cursors.head, taker.position);
            head = slots.head();
        }
        self.head = head;
        if beyond(self.position.wrapping_sub(slots.len()), head) {
            return Err(slots.bad_head(head));
        }
        Ok(!full(head))
    }

    /// Step *place*, and *follow*. `false`: another frame was placed there.
    #[inline(always)]
    pub(crate) fn place(&mut self, slots: Slots<'_>, at: Vacancy, entry: Entry) -> bool {
        let placed = at.take(slots, entry);
        if placed {
            self.position = at.position.wrapping_add(1);
            if milestone(slots, self.position) {
                follow(&slots.cursors.tail, self.position);
            }
        }
        placed
    }
}

impl Vacancy {
    /// Step *place* alone.
    #[inline(always)]
    pub(crate) fn take(self, slots: Slots<'_>, entry: Entry) -> bool {
        let ready = entry.ready(slots.lap(self.position));
        let word = slots.word(self.position);
        // Release: pairs with the Acquire in `Slots::placed`: whoever sees the entry sees the frame. The
        // Acquire orders nothing here; a locked instruction has both.
        word.compare_exchange(self.word, ready, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }
}

#[cfg(all(test, not(slipring_loom)))]
mod tests {
    use super::*;
    use crate::slots::{Cursors, LAPS, Slot};
    use proptest::prelude::*;
    use std::collections::VecDeque;

    const SLOTS: usize = 8;
    const CELLS: u32 = 8;

    struct Ring {
        all: Vec<Slot>,
        cursors: Cursors,
    }

    impl Ring {
        fn new(first_lap: u64) -> Self {
            let all = (0..SLOTS).map(|_| Slot::new(first_lap)).collect();
            Self { all, cursors: Cursors::at(first_lap.wrapping_mul(SLOTS as u64)) }
        }

        fn slots(&self) -> Slots<'_> {
            // SAFETY: a power of two.
            unsafe { Slots::new(&self.all, &self.cursors) }
        }

        fn word(&self, reference: u32) -> Option<&Block> {
            self.all.get(reference as usize).map(|slot| &slot.cell)
        }

        /// Claims a cell and offers it.
        fn offer(&self) -> Option<Entry> {
            (0..CELLS).find_map(|reference| {
                let (block, word) = (self.word(reference)?, self.word(reference)?.load());
                let generation = word.generation() & GENERATION_MASK;
                word.is_free().then(|| {
                    block.set(word.with(Phase::Offered, 1));
                    Entry { reference, generation, direct: false }
                })
            })
        }
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        /// By the producer of this number; before the tail follows, it may die.
        Place(usize, bool),
        /// By the consumer of this number; before the head follows, it may die.
        Take(usize, bool),
        NewPlacer(usize),
        NewTaker(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            8 => (0..3usize, any::<bool>()).prop_map(|(n, dies)| Step::Place(n, dies)),
            8 => (0..3usize, any::<bool>()).prop_map(|(n, dies)| Step::Take(n, dies)),
            1 => (0..3usize).prop_map(Step::NewPlacer),
            1 => (0..3usize).prop_map(Step::NewTaker),
        ]
    }

    /// P2, P6: a cursor that was left alone while laps and generations went round stands for nothing: who
    /// has it goes by the shared ones.
    #[test]
    fn a_cursor_from_before_the_wrap_is_not_believed() {
        let old = Ring::new(0);
        let (mut placer, mut taker) = (Placer::new(old.slots()), Taker::new(old.slots()));
        // The same laps modulo 2^22, and three frames on the way.
        let ring = Ring::new(LAPS);
        let (slots, word) = (ring.slots(), |reference| ring.word(reference));
        let mut now = Placer::new(slots);
        for _ in 0..3 {
            let vacancy = now.vacancy(slots, word).unwrap().unwrap();
            assert!(now.place(slots, vacancy, ring.offer().unwrap()));
        }
        let vacancy = placer.vacancy(slots, word).unwrap().unwrap();
        assert_eq!(vacancy.position, LAPS * SLOTS as u64 + 3);
        assert_eq!(taker.front(slots, word).unwrap().unwrap().entry.reference, 0);
        assert_eq!(taker.position, LAPS * SLOTS as u64);
        // One that is thousands of places behind steps over them at once.
        let far = (TURNS + 5) as u64 * SLOTS as u64;
        let ring = Ring::new(far / SLOTS as u64);
        let (slots, word) = (ring.slots(), |reference| ring.word(reference));
        let mut now = Placer::new(slots);
        let vacancy = now.vacancy(slots, word).unwrap().unwrap();
        assert!(now.place(slots, vacancy, ring.offer().unwrap()));
        let mut late = Taker { position: 0 };
        assert!(late.front(slots, word).unwrap().is_some());
    }

    proptest! {
        /// P2, P6: a naive queue beside the real order, by three on each side, some far behind, who die
        /// before the shared cursors follow, with laps that wrap. It is full and empty just when the
        /// queue is.
        #[test]
        fn it_is_a_queue_whoever_lags_or_dies(
            steps in prop::collection::vec(step(), 1..600),
            first_lap in prop::sample::select(vec![0, 1, LAPS - 1, LAPS, 3 * LAPS - 1, (1 << 61) - 1]),
        ) {
            let ring = Ring::new(first_lap);
            let slots = ring.slots();
            let word = |reference| ring.word(reference);
            let mut placers: Vec<_> = (0..3).map(|_| Placer::new(slots)).collect();
            let mut takers: Vec<_> = (0..3).map(|_| Taker::new(slots)).collect();
            let mut oracle = VecDeque::new();
            for step in steps {
                match step {
                    Step::Place(n, dies) => {
                        let Some(vacancy) = placers[n].vacancy(slots, word).unwrap() else {
                            prop_assert_eq!(oracle.len(), SLOTS);
                            continue;
                        };
                        prop_assert!(oracle.len() < SLOTS);
                        let entry = ring.offer().expect("a cell for each place");
                        if dies {
                            prop_assert!(vacancy.take(slots, entry));
                            placers[n] = Placer::new(slots);
                        } else {
                            prop_assert!(placers[n].place(slots, vacancy, entry));
                        }
                        oracle.push_back(entry);
                    }
                    Step::Take(n, dies) => {
                        let front = takers[n].front(slots, word).unwrap();
                        prop_assert_eq!(front.map(|front| front.entry), oracle.pop_front());
                        let Some(front) = front else { continue };
                        // Taken, read and freed.
                        front.block.step(front.word, front.word.freed()).unwrap();
                        if dies {
                            takers[n] = Taker::new(slots);
                        } else {
                            takers[n].advance(slots);
                        }
                    }
                    Step::NewPlacer(n) => placers[n] = Placer::new(slots),
                    Step::NewTaker(n) => takers[n] = Taker::new(slots),
                }
            }
        }

        /// P9: whatever stands in the words, searching ends, with an answer or `Corrupt`.
        #[test]
        fn garbage_is_an_error(
            words in prop::collection::vec(any::<(u64, u64)>(), SLOTS),
            head: u64, tail: u64, near in 0..20u64, laps in prop::bool::ANY,
        ) {
            let ring = Ring::new(0);
            for (slot, (word, cell)) in ring.all.iter().zip(words) {
                // Half of the time something that could have been written.
                let word = if laps { word & !(LAPS - 1) | (near / 8) } else { word };
                slot.word.store(word, Ordering::Relaxed);
                slot.cell.set(Word(cell));
            }
            ring.cursors.head.store(if laps { near } else { head }, Ordering::Relaxed);
            ring.cursors.tail.store(tail, Ordering::Relaxed);
            let slots = ring.slots();
            let word = |reference| ring.word(reference);
            let (mut taker, mut placer) = (Taker::new(slots), Placer::new(slots));
            for _ in 0..2 * SLOTS {
                let _ = (taker.front(slots, word).is_ok(), placer.vacancy(slots, word).is_ok());
            }
        }
    }
}
