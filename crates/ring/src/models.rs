//! The algorithms under loom: every interleaving within a bound on preemptions, and a death after
//! every named step. `docs/concurrency.md` lists what each model covers.
//!
//! The frame's bytes are loom cells, so a reader and a writer that meet are a failure, as is a
//! frame lost, doubled or out of order, a word left in use, and a sleeper that nobody wakes.

use crate::block::{Block, Phase, Word};
use crate::pool::{Claimer, Measures, Pool, fresh};
use crate::recovery::{Ends, recover};
use crate::returned;
use crate::slots::{Cursors, Entry, GENERATION_MASK, Slot, Slots};
use crate::spsc::{Head, Tail};
use crate::sync::{self, AtomicU32, AtomicU64, Ordering};
use crate::wait::EventCount;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use std::time::Duration;

mod joining;
mod many;
mod schemas;

const PRODUCER: u16 = 1;
const CONSUMER: u16 = 2;
const SECOND: u16 = 3;

/// A claimer where memory never fails.
fn by(owner: u16, nonce: u64) -> Claimer<'static> {
    Claimer { owner, nonce, back: Some(&|_, _| true) }
}

fn model(check: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(3));
    builder.check(check);
}

/// A ring of two places, with one block beside the two home cells, and its bytes.
struct Ring {
    slots: Vec<Slot>,
    cursors: Cursors,
    chunks: Vec<AtomicU64>,
    blocks: Vec<Block>,
    bytes: Vec<UnsafeCell<u64>>,
    data: EventCount,
}

const PLACES: usize = 2;
/// One chunk: a slab of two blocks, or one run.
static MEASURES: Measures = Measures::new(1024, 2);

impl Ring {
    fn new(lap: u64) -> Arc<Self> {
        Arc::new(Self {
            slots: (0..PLACES).map(|_| Slot::new(lap)).collect(),
            cursors: Cursors::at(lap * PLACES as u64),
            chunks: vec![AtomicU64::new(0)],
            blocks: (0..2).map(|_| Block::new(Word::free(0))).collect(),
            bytes: (0..PLACES + 2).map(|_| UnsafeCell::new(0)).collect(),
            data: EventCount::new(),
        })
    }

    fn slots(&self) -> Slots<'_> {
        // SAFETY: a power of two.
        unsafe { Slots::new(&self.slots, &self.cursors) }
    }

    fn pool(&self) -> Pool<'_> {
        Pool { measures: &MEASURES, alone: false, chunks: &self.chunks, blocks: &self.blocks }
    }

    fn word(&self, reference: u32) -> &Block {
        let at = reference as usize;
        if at < PLACES { &self.slots[at].cell } else { &self.blocks[at - PLACES] }
    }

    fn write(&self, reference: u32, value: u64) {
        // SAFETY: loom checks that nobody else is there.
        self.bytes[reference as usize].with_mut(|byte| unsafe { *byte = value });
    }

    fn read(&self, reference: u32) -> u64 {
        // SAFETY: loom checks that nobody writes.
        self.bytes[reference as usize].with(|byte| unsafe { *byte })
    }

    /// Sends through the home cell without its word, if both are vacant.
    fn send_direct(&self, tail: &mut Tail, value: u64) -> bool {
        if !tail.vacant(self.slots()).unwrap() {
            return false;
        }
        let home = self.slots().home(tail.position);
        if !self.word(home).load().is_free() {
            return false;
        }
        self.write(home, value);
        tail.place(self.slots(), Entry { reference: home, generation: 0, direct: true });
        true
    }

    /// Sends through a block of the pool, dying after `steps` steps. Answers whether it got through.
    fn send_block(&self, tail: &mut Tail, value: u64, steps: usize) -> bool {
        if !tail.vacant(self.slots()).unwrap() {
            return false;
        }
        let pool = Pool { alone: true, ..self.pool() };
        let Ok((place, mut word)) = pool.claim(600, &by(PRODUCER, 1), &mut fresh()) else {
            return false;
        };
        let reference = PLACES as u32 + place.block as u32;
        if steps < 1 {
            return true;
        }
        self.write(reference, value);
        if steps < 2 {
            return true;
        }
        let offered = word.with(Phase::Offered, PRODUCER);
        self.word(reference).set(offered);
        word = offered;
        if steps < 3 {
            return true;
        }
        let generation = word.generation() & GENERATION_MASK;
        tail.place(self.slots(), Entry { reference, generation, direct: false });
        true
    }

    /// Takes a frame, dying after `steps` steps. `Some(None)`: died without having it.
    fn receive(&self, head: &mut Head, me: u16, steps: usize) -> Option<Option<u64>> {
        self.receive_as(head, me, Phase::Acked, steps)
    }

    fn receive_as(
        &self,
        head: &mut Head,
        me: u16,
        held: Phase,
        steps: usize,
    ) -> Option<Option<u64>> {
        loop {
            let entry = head.peek(self.slots()).unwrap()?;
            let word = self.word(entry.reference).load();
            if entry.direct {
                assert!(word.is_free());
            } else if word.phase() != Some(Phase::Offered)
                || word.generation() & GENERATION_MASK != entry.generation
            {
                head.advance(self.slots());
                continue;
            }
            if steps < 1 {
                return Some(None);
            }
            let held = word.with(held, me);
            self.word(entry.reference).set(held);
            if steps < 2 {
                return Some(None);
            }
            head.advance(self.slots());
            if steps < 3 {
                return Some(None);
            }
            let value = self.read(entry.reference);
            if steps >= 4 {
                self.word(entry.reference).set(held.freed());
            }
            return Some(Some(value));
        }
    }

    /// Copies a direct frame out.
    fn copy(&self, head: &mut Head) -> Option<u64> {
        let entry = head.peek(self.slots()).unwrap()?;
        let value = self.read(entry.reference);
        head.advance(self.slots());
        Some(value)
    }

    fn recover(&self, dead: u16) {
        let ends = Ends { alone: true, max_deliveries: 5 };
        recover(dead, ends, self.slots(), self.pool(), &|| true);
    }

    fn assert_nothing_left(&self) {
        assert_eq!(self.slots().entries().count(), 0);
        let cells = self.slots().cells().map(|(_, word)| word);
        assert!(cells.chain(&self.blocks).all(|word| word.load().is_free()));
    }
}

/// What a positions' search finds beside a living other side, near the wrap of laps.
const WRAP: u64 = (1 << 22) - 1;

/// P11: order, no loss, no race on the bytes, through home cells that are copied out.
#[test]
fn spsc_copies_in_order() {
    model(|| {
        let ring = Ring::new(WRAP);
        let other = ring.clone();
        let consumer = thread::spawn(move || {
            let mut head = Head::find(other.slots()).unwrap();
            for expected in 1..=3 {
                loop {
                    match other.copy(&mut head) {
                        Some(value) => break assert_eq!(value, expected),
                        None => thread::yield_now(),
                    }
                }
            }
        });
        let mut tail = Tail::find(ring.slots()).unwrap();
        for value in 1..=3 {
            while !ring.send_direct(&mut tail, value) {
                thread::yield_now();
            }
        }
        consumer.join().unwrap();
        ring.assert_nothing_left();
    });
}

/// P11: the same with leases: the slot is vacant again while the cell is still read.
#[test]
fn spsc_leases_keep_their_cells() {
    model(|| {
        let ring = Ring::new(0);
        let other = ring.clone();
        let consumer = thread::spawn(move || {
            let mut head = Head { position: 0 };
            for expected in 1..=3 {
                loop {
                    match other.receive(&mut head, CONSUMER, 4) {
                        Some(value) => break assert_eq!(value, Some(expected)),
                        None => thread::yield_now(),
                    }
                }
            }
        });
        let mut tail = Tail::find(ring.slots()).unwrap();
        for value in 1..=3 {
            while !ring.send_direct(&mut tail, value) {
                thread::yield_now();
            }
        }
        consumer.join().unwrap();
        ring.assert_nothing_left();
    });
}

/// P6, P11: a producer dies after any step of a send, while the consumer is at work and two recover
/// it. What was placed arrives once; nothing is left in use.
#[test]
fn spsc_producer_dies_at_any_step() {
    for steps in 0..=3 {
        model(move || {
            let ring = Ring::new(0);
            let mut tail = Tail::find(ring.slots()).unwrap();
            assert!(ring.send_direct(&mut tail, 1));
            let other = ring.clone();
            let survivor = thread::spawn(move || {
                let mut head = Head { position: 0 };
                let mut got = Vec::new();
                other.recover(PRODUCER);
                while let Some(value) = other.receive(&mut head, CONSUMER, 4) {
                    got.extend(value);
                }
                (head.position, got)
            });
            // The dead one's last steps happened before anybody could know of its death; here they
            // are the main thread's, before it recovers too.
            let second = {
                let ring = ring.clone();
                thread::spawn(move || ring.recover(CONSUMER))
            };
            second.join().unwrap();
            let (position, mut got) = survivor.join().unwrap();
            assert!(ring.send_block(&mut tail, 2, steps));
            let other = ring.clone();
            let racing = thread::spawn(move || other.recover(PRODUCER));
            let mut head = Head { position };
            while let Some(value) = ring.receive(&mut head, CONSUMER, 4) {
                got.extend(value);
            }
            ring.recover(PRODUCER);
            racing.join().unwrap();
            while let Some(value) = ring.receive(&mut head, CONSUMER, 4) {
                got.extend(value);
            }
            assert_eq!(got, if steps == 3 { vec![1, 2] } else { vec![1] });
            ring.assert_nothing_left();
        });
    }
}

/// P6, P11: a consumer dies after any step of a take, with the producer still sending and two
/// recovering. A frame that the head had not passed is delivered to the next one, once; one that it had is
/// gone or, where it was not acknowledged, given back.
#[test]
fn spsc_consumer_dies_at_any_step() {
    for (block, held) in [
        (false, Phase::Acked),
        (true, Phase::Acked),
        (false, Phase::Unacked),
        (true, Phase::Unacked),
    ] {
        for steps in 0..=3 {
            model(move || {
                let ring = Ring::new(0);
                let mut tail = Tail::find(ring.slots()).unwrap();
                let first = if block {
                    ring.send_block(&mut tail, 1, 3)
                } else {
                    ring.send_direct(&mut tail, 1)
                };
                assert!(first);
                ring.receive_as(&mut Head { position: 0 }, CONSUMER, held, steps);
                let other = ring.clone();
                let producer = thread::spawn(move || {
                    other.recover(CONSUMER);
                    other.send_direct(&mut tail, 2)
                });
                ring.recover(CONSUMER);
                let mut head = Head::find(ring.slots()).unwrap();
                let mut got = Vec::new();
                while let Some(value) = ring.receive(&mut head, SECOND, 4) {
                    got.extend(value);
                }
                let sent = producer.join().unwrap();
                while let Some(value) = ring.receive(&mut head, SECOND, 4) {
                    got.extend(value);
                }
                let mut expected = if steps < 2 { vec![1] } else { vec![] };
                expected.extend(sent.then_some(2));
                assert_eq!(got, expected, "died after {steps}");
                let words = (0..PLACES as u32 + 2).map(|n| (n.into(), ring.word(n)));
                let back = returned::adopt(words, Phase::Orphan, SECOND, Phase::Acked);
                assert_eq!(back.is_some(), steps >= 2 && held == Phase::Unacked);
                if let Some((reference, word)) = back {
                    assert_eq!((ring.read(reference as u32), word.deliveries()), (1, 1));
                    ring.word(reference as u32).set(word.freed());
                }
                ring.assert_nothing_left();
            });
        }
    }
}

/// P6, C6: the id of a dead consumer is reused while somebody is still recovering the dead one. Words
/// name the life of the id, so the new one keeps what it takes.
#[test]
fn a_late_recovery_leaves_the_next_life_alone() {
    const NEXT: u16 = 1 << 8 | CONSUMER;
    model(|| {
        let ring = Ring::new(0);
        let mut tail = Tail::find(ring.slots()).unwrap();
        assert!(ring.send_block(&mut tail, 1, 3));
        ring.receive(&mut Head { position: 0 }, CONSUMER, 1);
        let other = ring.clone();
        let late = thread::spawn(move || other.recover(CONSUMER));
        ring.recover(CONSUMER);
        let mut head = Head::find(ring.slots()).unwrap();
        // Keeps its lease: dies, as it were, after having read.
        let taken = ring.receive(&mut head, NEXT, 3);
        assert_eq!(taken, Some(Some(1)));
        late.join().unwrap();
        let word = ring.blocks[0].load();
        assert_eq!((word.phase(), word.owner()), (Some(Phase::Acked), NEXT));
        ring.recover(NEXT);
        ring.assert_nothing_left();
    });
}

/// Rules 2 and 4 of `pool`: who claims a block and who retires its slab never both have it.
#[test]
fn pool_claims_and_retirement_exclude_each_other() {
    model(|| {
        let ring = Ring::new(0);
        let (place, word) = ring.pool().claim(64, &by(PRODUCER, 1), &mut fresh()).unwrap();
        ring.pool().release(place, word);
        let other = ring.clone();
        let whole = thread::spawn(move || {
            let Ok((place, word)) = other.pool().claim(1024, &by(CONSUMER, 2), &mut fresh()) else {
                return;
            };
            assert_eq!(place.len, 1024);
            other.write(PLACES as u32, 1);
            other.write(PLACES as u32 + 1, 1);
            other.pool().release(place, word);
        });
        if let Ok((place, word)) = ring.pool().claim(64, &by(PRODUCER, 3), &mut fresh()) {
            // By where the block lies, not by its word: a run and a block may share memory.
            let at = PLACES as u64 + place.offset / 512;
            ring.write(at as u32, 2);
            if place.len > 512 {
                ring.write(at as u32 + 1, 2);
            }
            ring.pool().release(place, word);
        }
        whole.join().unwrap();
        ring.assert_nothing_left();
    });
}

/// P6, P9: whoever has a frame in a slab finds its place, also while another one tries to retire the slab.
#[test]
fn pool_places_are_found_beside_a_retirement() {
    model(|| {
        let ring = Ring::new(0);
        let claim = |ring: &Ring, len, owner, nonce| {
            ring.pool().claim(len, &by(owner, nonce), &mut fresh())
        };
        let (place, word) = claim(&ring, 64, PRODUCER, 1).unwrap();
        ring.pool().release(place, word);
        let other = ring.clone();
        let whole = thread::spawn(move || {
            if let Ok((place, word)) = claim(&other, 1024, CONSUMER, 2) {
                other.pool().release(place, word);
            }
        });
        if let Ok((place, word)) = claim(&ring, 64, PRODUCER, 3) {
            // What a consumer does that has taken the frame.
            assert_eq!(ring.pool().place(place.block).unwrap().offset, place.offset);
            ring.pool().release(place, word);
        }
        whole.join().unwrap();
    });
}

/// P6: who changes the pool dies with a chunk taken, or with a block claimed, beside a living
/// claimer and two who recover.
#[test]
fn pool_recovery_races_with_a_claimer() {
    for claimed in [false, true] {
        model(move || {
            let ring = Ring::new(0);
            if claimed {
                ring.pool().claim(64, &by(PRODUCER, 1), &mut fresh()).unwrap();
            } else {
                ring.pool().take_chunk(0, &by(PRODUCER, 1), false).unwrap();
            }
            let other = ring.clone();
            let second = thread::spawn(move || other.recover(PRODUCER));
            ring.recover(PRODUCER);
            let claimed = ring.pool().claim(1024, &by(CONSUMER, 2), &mut fresh());
            second.join().unwrap();
            if let Ok((place, word)) = claimed {
                ring.pool().release(place, word);
            }
            ring.assert_nothing_left();
            ring.pool().claim(1024, &by(CONSUMER, 3), &mut fresh()).unwrap();
        });
    }
}

fn sleep_until_sent(ring: &Ring, head: &mut Head) -> u64 {
    loop {
        let ticket = ring.data.announce();
        if let Some(value) = ring.copy(head) {
            return value;
        }
        ring.data.sleep(ticket, Duration::MAX);
    }
}

/// P8, P11: no wake is lost between publishing, announcing and falling asleep.
#[test]
fn wait_wakes_who_announced() {
    model(|| {
        let ring = Ring::new(0);
        let other = ring.clone();
        let consumer = thread::spawn(move || {
            let mut head = Head { position: 0 };
            assert_eq!(sleep_until_sent(&other, &mut head), 1);
            assert_eq!(sleep_until_sent(&other, &mut head), 2);
        });
        let mut tail = Tail::find(ring.slots()).unwrap();
        for value in 1..=2 {
            assert!(ring.send_direct(&mut tail, value));
            ring.data.wake();
        }
        consumer.join().unwrap();
    });
}

/// P8, P11: a waker that dies after any of its steps leaves the sleeper to the next waker.
#[test]
fn wait_survives_a_waker_that_dies_at_any_step() {
    for steps in 0..=2 {
        model(move || {
            let ring = Ring::new(0);
            let other = ring.clone();
            let consumer = thread::spawn(move || {
                let mut head = Head { position: 0 };
                assert_eq!(sleep_until_sent(&other, &mut head), 1);
            });
            let other = ring.clone();
            let dying = thread::spawn(move || {
                let mut tail = Tail::find(other.slots()).unwrap();
                assert!(other.send_direct(&mut tail, 1));
                crate::sync::publish_fence();
                let seen = other.data.futex.word.load(Ordering::Relaxed);
                if steps >= 1
                    && let Some(_bumped) = other.data.bump(seen)
                    && steps >= 2
                {
                    other.data.futex.wake_all();
                }
            });
            dying.join().unwrap();
            ring.data.wake();
            consumer.join().unwrap();
        });
    }
}

/// Two sleepers on one event: the clearing of one wake never hides the other's announcement.
#[test]
fn wait_serves_two_sleepers() {
    model(|| {
        let ring = Ring::new(0);
        let flag = Arc::new(AtomicU64::new(0));
        let sleepers: Vec<_> = (0..2)
            .map(|_| {
                let (ring, flag) = (ring.clone(), flag.clone());
                thread::spawn(move || {
                    loop {
                        let ticket = ring.data.announce();
                        if flag.load(Ordering::Acquire) == 1 {
                            break;
                        }
                        ring.data.sleep(ticket, Duration::MAX);
                    }
                })
            })
            .collect();
        flag.store(1, Ordering::Release);
        ring.data.wake();
        for sleeper in sleepers {
            sleeper.join().unwrap();
        }
    });
}

/// P6, P11: where each side is alone, too: a direct frame that a send has answered for is seen by whoever
/// finds the ring closed and empty, in its place or announced.
#[test]
fn closing_sees_an_announced_frame() {
    model(|| {
        let ring = Ring::new(0);
        let closed = Arc::new(AtomicU32::new(0));
        let (other, seen) = (ring.clone(), closed.clone());
        let producer = thread::spawn(move || {
            let slots = other.slots();
            let mut tail = Tail::find(slots).unwrap();
            tail.announce(slots);
            sync::publish_fence();
            if seen.load(Ordering::Acquire) != 0 {
                tail.withdraw(slots);
                return false;
            }
            other.write(0, 1);
            tail.place(slots, Entry { reference: 0, generation: 0, direct: true });
            true
        });
        closed.store(1, Ordering::Release);
        let mut head = Head { position: 0 };
        let got = loop {
            assert!(sync::announce_fence());
            if let Some(value) = ring.copy(&mut head) {
                break Some(value);
            }
            if ring.cursors.tail.load(Ordering::Acquire) == ring.slots().head() {
                break ring.copy(&mut head);
            }
            thread::yield_now();
        };
        let sent = producer.join().unwrap();
        assert_eq!(got.is_some(), sent);
    });
}
