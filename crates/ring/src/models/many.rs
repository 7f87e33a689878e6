//! Rings for many: whoever finds a step undone does it, and a death at any step stops nobody.

use super::*;
use crate::error::Error;
use crate::ledger::{Ledger, Settled};
use crate::mpmc::{Placer, Taker};

/// Where a process dies. `Never` is the last.
const STEPS: std::ops::RangeInclusive<usize> = 0..=4;
const NEVER: usize = 9;

impl Ring {
    /// Sends through a cell, dying after `steps` of: claim, write and offer, place, advance. Answers
    /// whether the frame was placed.
    pub(super) fn send_among(&self, value: u64, me: u16, steps: usize) -> bool {
        let slots = self.slots();
        let mut placer = Placer::new(slots);
        let claimed = (0..PLACES as u32).find_map(|cell| {
            let free = self.word(cell).load();
            let filling = free.with(Phase::Filling, me);
            (free.is_free() && self.word(cell).step(free, filling).is_ok())
                .then_some((cell, filling))
        });
        let Some((cell, filling)) = claimed else { return false };
        if steps < 1 {
            return false;
        }
        self.write(cell, value);
        if steps < 2 {
            return false;
        }
        let offered = filling.with(Phase::Offered, me);
        self.word(cell).set(offered);
        let generation = offered.generation() & GENERATION_MASK;
        let entry = Entry { reference: cell, generation, direct: false };
        loop {
            let Some(vacancy) = placer.vacancy(slots, |n| Some(self.word(n))).unwrap() else {
                self.word(cell).set(offered.freed());
                return false;
            };
            if steps < 3 {
                return false;
            }
            if steps < 4 {
                return vacancy.take(slots, entry);
            }
            if placer.place(slots, vacancy, entry) {
                return true;
            }
        }
    }

    /// Takes a frame, dying after `steps` of: find, take, advance, read. `None`: there is none, or it
    /// died without it.
    fn take_among(&self, me: u16, held: Phase, steps: usize) -> Option<(u32, Word)> {
        if let Some(seen) = returned::hint(&self.cursors) {
            match returned::adopt(self.words(), Phase::Orphan, me, held) {
                Some((cell, word)) => return Some((cell as u32, word)),
                None => returned::lower(&self.cursors, seen),
            }
        }
        self.take_new(&mut Taker::new(self.slots()), me, held, steps)
    }

    /// The same of what was not given back.
    fn take_new(
        &self,
        taker: &mut Taker,
        me: u16,
        held: Phase,
        steps: usize,
    ) -> Option<(u32, Word)> {
        loop {
            let front = taker.front(self.slots(), |n| Some(self.word(n))).unwrap()?;
            if steps < 1 {
                return None;
            }
            let word = front.word.with(held, me);
            if front.block.step(front.word, word).is_err() {
                continue;
            }
            if steps < 2 {
                return None;
            }
            taker.advance(self.slots());
            return (steps >= 3).then_some((front.entry.reference, word));
        }
    }

    /// The words of cells and blocks.
    fn words(&self) -> impl Iterator<Item = (u64, &Block)> {
        let blocks = self.pool().used_words().map(|(n, word)| (PLACES as u64 + n, word));
        self.slots().cells().chain(blocks)
    }

    /// Sends through a block of the pool. Answers whether there was room.
    fn send_block_among(&self, value: u64, me: u16, nonce: u64) -> bool {
        let slots = self.slots();
        let mut placer = Placer::new(slots);
        let Some((place, filling)) = self.claim(64, me, nonce) else { return false };
        let reference = PLACES as u32 + place.block as u32;
        self.write(reference, value);
        let offered = filling.with(Phase::Offered, me);
        self.word(reference).set(offered);
        let generation = offered.generation() & GENERATION_MASK;
        let entry = Entry { reference, generation, direct: false };
        while let Some(vacancy) = placer.vacancy(slots, |n| Some(self.word(n))).unwrap() {
            if placer.place(slots, vacancy, entry) {
                return true;
            }
        }
        self.pool().release(place, offered);
        false
    }

    /// Sends through a cell, dropping what waits longest where there is no room.
    fn send_dropping(&self, value: u64, me: u16, dropped: &mut usize) {
        let mut oldest = Taker::new(self.slots());
        while !self.send_among(value, me, NEVER) {
            match self.take_new(&mut oldest, me, Phase::Acked, NEVER) {
                Some((cell, word)) => {
                    self.word(cell).set(word.freed());
                    *dropped += 1;
                }
                None => thread::yield_now(),
            }
        }
    }

    /// Takes a frame, reads it, and lets it go.
    fn receive_among(&self, me: u16) -> Option<u64> {
        let (cell, word) = self.take_among(me, Phase::Acked, NEVER)?;
        if let Some(block) = u64::from(cell).checked_sub(PLACES as u64) {
            assert!(self.pool().place(block).is_some(), "taken, and not to be found");
        }
        let value = self.read(cell);
        self.word(cell).set(word.freed());
        Some(value)
    }

    /// Receives all that there is.
    fn receive_into(&self, me: u16, got: &mut Vec<u64>) {
        while let Some(value) = self.receive_among(me) {
            got.push(value);
        }
    }

    fn give_back(&self, (cell, word): (u32, Word)) {
        self.word(cell).set(word.given_back(5));
        returned::raise(&self.cursors);
    }

    pub(super) fn drain(&self, me: u16) -> Vec<u64> {
        std::iter::from_fn(|| self.receive_among(me)).collect()
    }

    pub(super) fn recover_among(&self, dead: u16) {
        let ends = Ends { alone: false, max_deliveries: 5 };
        recover(dead, ends, self.slots(), self.pool(), &|| true);
    }
}

/// P2, P11: two producers and a consumer, over the wrap of laps. Each frame once, each producer's in
/// order, and no reader meets a writer.
#[test]
fn many_producers_place_each_frame_once() {
    model(|| {
        let ring = Ring::new(WRAP);
        let other = ring.clone();
        let second = thread::spawn(move || other.send_among(10, SECOND, NEVER));
        let first = (1..=2).filter(|value| ring.send_among(*value, PRODUCER, NEVER)).count();
        let mut got = ring.drain(CONSUMER);
        let second = second.join().unwrap();
        got.extend(ring.drain(CONSUMER));
        let mine: Vec<u64> = got.iter().copied().filter(|value| *value < 10).collect();
        assert!(mine.is_sorted());
        assert_eq!((mine.len(), got.len()), (first, first + usize::from(second)));
        ring.assert_nothing_left();
    });
}

/// P2, P11: two consumers and a producer that reuses what they free. Each frame goes to one of them.
#[test]
fn many_consumers_take_each_frame_once() {
    model(|| {
        let ring = Ring::new(WRAP);
        assert!(ring.send_among(1, PRODUCER, NEVER));
        let other = ring.clone();
        let second = thread::spawn(move || other.drain(SECOND));
        let sent = (2..=3).filter(|value| ring.send_among(*value, PRODUCER, NEVER)).count();
        let mine = ring.drain(CONSUMER);
        let theirs = second.join().unwrap();
        let last = ring.drain(CONSUMER);
        assert!(mine.is_sorted() && theirs.is_sorted());
        let mut all = [mine, theirs, last].concat();
        all.sort();
        assert_eq!(all.len(), 1 + sent);
        all.dedup();
        assert_eq!(all.len(), 1 + sent);
        ring.assert_nothing_left();
    });
}

/// P6, P11: a producer dies after any step, beside another one and a consumer, with two recoveries racing, one of
/// which ends by a death, too. What was placed arrives once, what was not never does, and nothing stays in use.
#[test]
fn many_go_on_when_a_producer_dies_at_any_step() {
    for steps in STEPS {
        model_deaths(move |victim| {
            let ring = Ring::new(WRAP);
            let placed = ring.send_among(1, PRODUCER, steps);
            assert_eq!(placed, steps >= 3);
            let (other, dying) = (ring.clone(), victim.clone());
            let living = thread::spawn(move || {
                let sent = other.send_among(2, SECOND, NEVER);
                dying.does(|| other.recover_among(PRODUCER));
                assert!(sent, "there is a place and a cell");
            });
            let mut got = ring.drain(CONSUMER);
            ring.recover_among(PRODUCER);
            living.join().unwrap();
            got.extend(ring.drain(CONSUMER));
            let expected: Vec<u64> = placed.then_some(1).into_iter().chain([2]).collect();
            assert_eq!(got, expected, "died after {steps}");
            ring.assert_nothing_left();
        });
    }
}

/// P6, P11: a consumer dies after any step, beside another one and a producer, with two recoveries racing, one of
/// which ends by a death, too. Unacknowledged frames come again, acknowledged ones are gone, and nothing stays in use.
#[test]
fn many_go_on_when_a_consumer_dies_at_any_step() {
    for held in [Phase::Acked, Phase::Unacked] {
        for steps in STEPS {
            model_deaths(move |victim| {
                let ring = Ring::new(WRAP);
                assert!(ring.send_among(1, PRODUCER, NEVER));
                let _ = ring.take_among(CONSUMER, held, steps);
                let (other, dying) = (ring.clone(), victim.clone());
                let living = thread::spawn(move || {
                    let got = other.drain(SECOND);
                    dying.does(|| other.recover_among(CONSUMER));
                    got
                });
                let sent = ring.send_among(2, PRODUCER, NEVER);
                ring.recover_among(CONSUMER);
                let mut got = living.join().unwrap();
                got.extend(ring.drain(SECOND));
                got.sort();
                let first = (steps < 1 || held == Phase::Unacked).then_some(1);
                let expected: Vec<u64> = first.into_iter().chain(sent.then_some(2)).collect();
                assert_eq!(got, expected, "died after {steps}");
                ring.assert_nothing_left();
            });
        }
    }
}

/// P6, P11: frames that are given back while others look for them are never forgotten.
#[test]
fn frames_given_back_are_found() {
    model(|| {
        let ring = Ring::new(0);
        assert!(ring.send_among(1, PRODUCER, NEVER) && ring.send_among(2, PRODUCER, NEVER));
        let first = ring.take_among(CONSUMER, Phase::Unacked, NEVER).unwrap();
        let second = ring.take_among(CONSUMER, Phase::Unacked, NEVER).unwrap();
        let other = ring.clone();
        let looking = thread::spawn(move || other.drain(SECOND));
        ring.give_back(first);
        ring.give_back(second);
        let mut got = looking.join().unwrap();
        got.extend(ring.drain(SECOND));
        got.sort();
        assert_eq!(got, [1, 2]);
        ring.assert_nothing_left();
    });
}

/// P6, P11: one who looks for frames given back dies with the hint lowered or not, and one who gives back
/// dies before it has said so.
#[test]
fn frames_given_back_outlive_deaths() {
    model(|| {
        let ring = Ring::new(0);
        assert!(ring.send_among(1, PRODUCER, NEVER));
        let (cell, word) = ring.take_among(CONSUMER, Phase::Unacked, NEVER).unwrap();
        // Died without having raised the hint.
        ring.word(cell).set(word.given_back(5));
        let other = ring.clone();
        let looking = thread::spawn(move || other.drain(SECOND));
        ring.recover_among(CONSUMER);
        let mut got = looking.join().unwrap();
        got.extend(ring.drain(SECOND));
        assert_eq!(got, [1]);
        ring.assert_nothing_left();
    });
}

/// P6, P11: a frame that a send has answered for is seen by whoever finds the ring closed and empty, in
/// its place or on its way.
#[test]
fn closing_sees_frames_on_their_way() {
    model(|| {
        let ring = Ring::new(0);
        let closed = Arc::new(AtomicU32::new(0));
        let (other, seen) = (ring.clone(), closed.clone());
        let producer = thread::spawn(move || {
            let free = other.word(0).load();
            let filling = free.with(Phase::Filling, PRODUCER);
            other.word(0).step(free, filling).unwrap();
            other.write(0, 1);
            other.word(0).set(filling.with(Phase::Offered, PRODUCER));
            sync::publish_fence();
            if seen.load(Ordering::Acquire) != 0 {
                other.word(0).set(filling.freed());
                return false;
            }
            let mut placer = Placer::new(other.slots());
            let vacancy = placer.vacancy(other.slots(), |n| Some(other.word(n))).unwrap().unwrap();
            let entry = Entry { reference: 0, generation: 0, direct: false };
            placer.place(other.slots(), vacancy, entry)
        });
        closed.store(1, Ordering::Release);
        let mut got = ring.drain(CONSUMER);
        let done = loop {
            assert!(sync::announce_fence());
            got.extend(ring.drain(CONSUMER));
            let placing = |(_, word): (u64, &Block)| word.load().phase() == Some(Phase::Offered);
            if !ring.slots().cells().any(placing) {
                got.extend(ring.drain(CONSUMER));
                break got;
            }
            thread::yield_now();
        };
        let sent = producer.join().unwrap();
        assert_eq!(done.len(), usize::from(sent));
    });
}

/// P6, P7, P11, C25: in a full ring a producer drops what waits longest, beside a consumer, and one of both dies at that,
/// after any write. Each frame is dropped or received, once and in order.
#[test]
fn a_frame_is_dropped_or_received_whoever_dies() {
    for dropper_dies in [false, true] {
        model_deaths(move |victim| {
            let ring = Ring::new(WRAP);
            assert!(ring.send_among(1, PRODUCER, NEVER) && ring.send_among(2, PRODUCER, NEVER));
            let (other, dying) = (ring.clone(), victim.clone());
            let receiving = thread::spawn(move || {
                let mut got = Vec::new();
                let mut receive = || other.receive_into(CONSUMER, &mut got);
                let done = if dropper_dies { Some(receive()) } else { dying.does(receive) };
                if done.is_none() {
                    other.recover_among(CONSUMER);
                }
                (got, done.is_some())
            });
            let mut dropped = 0;
            let mut send = || ring.send_dropping(3, SECOND, &mut dropped);
            let sent = if dropper_dies { victim.does(send) } else { Some(send()) };
            if sent.is_none() {
                ring.recover_among(SECOND);
            }
            let (mut got, consumer_lives) = receiving.join().unwrap();
            ring.receive_into(CONSUMER, &mut got);
            assert!(got.is_sorted_by(|one, next| one < next), "{got:?}");
            let frames = 2 + usize::from(sent.is_some() || got.contains(&3));
            // Who dies may have had one in hand.
            let most = dropped + usize::from(sent.is_none() || !consumer_lives);
            let missing = frames - got.len();
            assert!((dropped..=most).contains(&missing), "{got:?}, and {dropped} dropped");
            ring.assert_nothing_left();
        });
    }
}

/// P6, P11, C9, C13, C14: frames in blocks of the pool, by two producers of whom one dies after any write, and a consumer.
#[test]
fn blocks_are_sent_whoever_dies() {
    model_deaths(|victim| {
        let ring = Ring::new(WRAP);
        let (other, victim) = (ring.clone(), victim.clone());
        let dying = thread::spawn(move || {
            let sent = victim.does(|| other.send_block_among(1, PRODUCER, 1));
            if sent.is_none() {
                other.recover_among(PRODUCER);
            }
            sent
        });
        let second = ring.send_block_among(2, SECOND, 2);
        let mut got = ring.drain(CONSUMER);
        let first = dying.join().unwrap();
        got.extend(ring.drain(CONSUMER));
        got.sort();
        let first = first.unwrap_or(got.contains(&1)).then_some(1);
        let expected: Vec<u64> = first.into_iter().chain(second.then_some(2)).collect();
        assert_eq!(got, expected);
        ring.assert_whole();
    });
}

/// P6, P11, C9, C14, C16: the same by two consumers, of whom one dies, beside one who then retires the slab.
#[test]
fn blocks_are_taken_whoever_dies() {
    for held in [Phase::Acked, Phase::Unacked] {
        model_deaths(move |victim| {
            let ring = Ring::new(WRAP);
            assert!(ring.send_block_among(1, PRODUCER, 1));
            let (other, victim) = (ring.clone(), victim.clone());
            let dying = thread::spawn(move || {
                let mut read = None;
                let done = victim.does(|| {
                    let Some((block, word)) = other.take_among(CONSUMER, held, NEVER) else {
                        return;
                    };
                    let value = other.read(block);
                    other.word(block).set(word.with(Phase::Acked, CONSUMER));
                    read = Some(value);
                    other.word(block).set(word.freed());
                });
                if done.is_none() {
                    other.recover_among(CONSUMER);
                }
                (read, done.is_some())
            });
            let mut got = ring.drain(SECOND);
            ring.claims(1024, PRODUCER, 3);
            let (read, lives) = dying.join().unwrap();
            got.extend(ring.drain(SECOND));
            got.extend(read);
            got.sort();
            if lives || held == Phase::Unacked {
                assert_eq!(got, [1]);
            } else {
                // It may have been acknowledged as it was taken.
                assert!(got.is_empty() || got == [1], "{got:?}");
            }
            ring.assert_whole();
        });
    }
}

/// P6, P11, C16, C27: a frame is acknowledged on one thread, acknowledged or given back on another, on which its consumer may
/// end before, and the process dies at that. What was answered for holds, the first one decides, and the count is right.
#[test]
fn an_acknowledgement_that_was_answered_for_holds() {
    for (acks, ends) in [(true, false), (true, true), (false, false), (false, true)] {
        model_deaths(move |victim| {
            let ring = Ring::new(0);
            assert!(ring.send_among(1, PRODUCER, NEVER));
            let (cell, word) = ring.take_among(CONSUMER, Phase::Unacked, NEVER).unwrap();
            let (ledger, settled) = (Arc::new(Ledger::new(1)), Arc::new(Settled::not()));
            ledger.opened();
            assert!(ledger.room().is_err());
            let ack = move |ring: &Ring, ledger: &Ledger, settled: &Settled| {
                settled.ack(ledger, || ring.word(cell).set(word.with(Phase::Acked, CONSUMER)))
            };
            let first = {
                let (ring, ledger, settled) = (ring.clone(), ledger.clone(), settled.clone());
                let victim = victim.clone();
                thread::spawn(move || victim.does(|| ack(&ring, &ledger, &settled)))
            };
            if ends {
                ledger.end();
            }
            let second = if acks { ack(&ring, &ledger, &settled) } else { settled.nack(&ledger) };
            let first = first.join().unwrap();
            match &first {
                None => ring.recover_among(CONSUMER),
                Some(_) if settled.at_last(&ledger) => ring.word(cell).set(word.freed()),
                Some(_) => ring.give_back((cell, word)),
            }
            let got = ring.drain(SECOND);
            let acked = first.as_ref().is_some_and(Result::is_ok) || acks && second.is_ok();
            let nacked = !acks && second.is_ok() || matches!(first, Some(Err(Error::GivenBack)));
            assert!(!(acked && nacked), "{first:?}, {second:?}");
            if acked || nacked {
                assert_eq!(got, if acked { vec![] } else { vec![1] }, "{first:?}, {second:?}");
            }
            assert!(first.is_none() || (acked || nacked) && ledger.room().is_ok());
            ring.assert_nothing_left();
        });
    }
}
