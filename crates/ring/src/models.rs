//! The algorithms under loom: every interleaving within a bound on preemptions, and a death after
//! every named step. `docs/concurrency.md` lists what each model covers.
//!
//! The frame's bytes are loom cells, so a reader and a writer that meet are a failure, as is a
//! frame lost, doubled or out of order, a word left in use, and a sleeper that nobody wakes.

use crate::block::{Block, Phase, Word};
use crate::pool::{Claimer, Measures, Place, Pool, fresh};
use crate::recovery::{Ends, recover};
use crate::returned;
use crate::slots::{Cursors, Entry, GENERATION_MASK, Slot, Slots};
use crate::spsc::{Head, Tail};
use crate::sync::death::{Victim, after_each_write};
use crate::sync::{self, AtomicU32, AtomicU64, Ordering};
use crate::wait::EventCount;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use std::time::Duration;

mod joining;
mod many;
mod pool;
mod schemas;

const PRODUCER: u16 = 1;
const CONSUMER: u16 = 2;
const SECOND: u16 = 3;

/// A claimer where memory never fails.
fn by(owner: u16, nonce: u64) -> Claimer<'static> {
    Claimer { owner, nonce, back: Some(&|_, _| true) }
}

/// A model of one who dies, for each write after which it may.
fn model_deaths(check: impl Fn(&Victim) + Clone + Sync + Send + 'static) {
    after_each_write(|victim| {
        let check = check.clone();
        model(move || check(&victim));
    });
}

/// Every interleaving with so many preemptions that loom tells apart, and, with fewer, all orders of reads, too.
fn model(check: impl Fn() + Sync + Send + 'static) {
    let asked = |name: &str| std::env::var(name).ok().and_then(|bound| bound.parse().ok());
    let check = std::sync::Arc::new(check);
    for (all, variable, bound) in
        [(false, "LOOM_MAX_PREEMPTIONS", 3), (true, "SLIPRING_LOOM_ORDERS", 1)]
    {
        let (mut builder, check) = (loom::model::Builder::new(), check.clone());
        builder.preemption_bound = asked(variable).or(Some(bound));
        sync::orders::all(all);
        builder.check(move || check());
    }
}

/// A ring of two places, with a pool beside the two home cells, and its bytes.
struct Ring {
    slots: Vec<Slot>,
    cursors: Cursors,
    chunks: Vec<AtomicU64>,
    blocks: Vec<Block>,
    bytes: Vec<UnsafeCell<u64>>,
    /// Whether a chunk has memory.
    backed: Vec<UnsafeCell<bool>>,
    data: EventCount,
}

const PLACES: usize = 2;
/// A chunk is a slab of two blocks, or one, or belongs to a run.
static MEASURES: Measures = Measures::new(1024, 2);

impl Ring {
    fn new(lap: u64) -> Arc<Self> {
        Self::with_chunks(lap, 1)
    }

    fn with_chunks(lap: u64, chunks: usize) -> Arc<Self> {
        Arc::new(Self {
            slots: (0..PLACES).map(|_| Slot::new(lap)).collect(),
            cursors: Cursors::at(lap * PLACES as u64),
            chunks: (0..chunks).map(|_| AtomicU64::new(0)).collect(),
            blocks: (0..2 * chunks).map(|_| Block::new(Word::free(0))).collect(),
            bytes: (0..PLACES + 2 * chunks).map(|_| UnsafeCell::new(0)).collect(),
            backed: (0..chunks).map(|_| UnsafeCell::new(false)).collect(),
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

    /// Claims a piece of the pool, and gives it memory.
    fn claim(&self, len: u64, owner: u16, nonce: u64) -> Option<(Place, Word)> {
        let back = |offset, _| {
            self.chunk_is(offset, true);
            true
        };
        let by = Claimer { owner, nonce, back: Some(&back) };
        self.pool().claim(len, &by, &mut fresh()).ok()
    }

    /// The chunk there has memory, or none.
    fn chunk_is(&self, offset: u64, backed: bool) {
        let chunk = (offset / MEASURES.chunk_len) as usize;
        // SAFETY: loom checks that nobody else is there.
        self.backed[chunk].with_mut(|is| unsafe { *is = backed });
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

/// P6, P11, C12: the next producer finds its place while the consumer takes what waits, and the next consumer then finds
/// its own while that producer sends.
#[test]
fn spsc_positions_are_found_beside_the_other_side() {
    for waiting in 0..=2 {
        model(move || {
            let ring = Ring::new(WRAP);
            let mut last = Tail::find(ring.slots()).unwrap();
            (1..=waiting).for_each(|value| assert!(ring.send_direct(&mut last, value)));
            let other = ring.clone();
            let consumer = thread::spawn(move || {
                let taken = |mut head| other.copy(&mut head);
                // Each takes one.
                let heads = (0..2).filter_map(|_| Head::find(other.slots()).map(taken).unwrap());
                heads.collect::<Vec<u64>>()
            });
            let mut tail = Tail::find(ring.slots()).unwrap();
            let sent = ring.send_direct(&mut tail, 9);
            let mut got = consumer.join().unwrap();
            let mut head = Head::find(ring.slots()).unwrap();
            got.extend(std::iter::from_fn(|| ring.copy(&mut head)));
            let expected: Vec<u64> = (1..=waiting).chain(sent.then_some(9)).collect();
            assert_eq!(got, expected);
            ring.assert_nothing_left();
        });
    }
}

/// P6, P11: a producer dies after any step of a send, while the consumer is at work and two recover
/// it, one of whom may die at that. What was placed arrives once; nothing is left in use.
#[test]
fn spsc_producer_dies_at_any_step() {
    for steps in 0..=3 {
        model_deaths(move |victim| {
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
            let (other, dying) = (ring.clone(), victim.clone());
            let racing = thread::spawn(move || dying.does(|| other.recover(PRODUCER)));
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
/// recovering, of whom the producer may die at the one or the other. A frame that the head had not passed is delivered to the next one, once; one that it had is
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
            model_deaths(move |victim| {
                let ring = Ring::new(0);
                let mut tail = Tail::find(ring.slots()).unwrap();
                let first = if block {
                    ring.send_block(&mut tail, 1, 3)
                } else {
                    ring.send_direct(&mut tail, 1)
                };
                assert!(first);
                ring.receive_as(&mut Head { position: 0 }, CONSUMER, held, steps);
                let (other, dying) = (ring.clone(), victim.clone());
                let producer = thread::spawn(move || {
                    let sent = dying.does(|| {
                        other.recover(CONSUMER);
                        other.send_direct(&mut tail, 2)
                    });
                    sent.unwrap_or(false)
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

/// A thread reads a word and then writes it: the models look also at what another one reads before both.
#[test]
fn models_try_a_write_before_every_read() {
    let seen = std::sync::Arc::new(std::sync::Mutex::new([false; 2]));
    let all = seen.clone();
    model(move || {
        let word = Arc::new(AtomicU64::new(0));
        let other = word.clone();
        let writer = thread::spawn(move || {
            other.load(Ordering::Relaxed);
            other.store(1, Ordering::Relaxed);
        });
        all.lock().unwrap()[word.load(Ordering::Relaxed) as usize] = true;
        writer.join().unwrap();
    });
    assert_eq!(*seen.lock().unwrap(), [true; 2]);
}
