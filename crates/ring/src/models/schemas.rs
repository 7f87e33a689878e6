//! The schema table: adders that race, lack what others hold, die after any step and are recovered; and what
//! processes want, whose id others take.

use super::joining::Members;
use super::*;
use crate::recovery::recover_records;
use crate::schemas::{self, Room, Settled, Table};
use std::ops::Range;

const DEAD: u16 = 7;
/// Deaths: with a block claimed, with the record written, with it offered, and after its place was taken,
/// by this one or by another.
const STEPS: std::ops::RangeInclusive<usize> = 1..=5;
const NEVER: usize = 5;

/// One chunk: a slab of four blocks.
static RECORDS: Measures = Measures::new(2048, 4);

struct Store {
    measures: &'static Measures,
    /// Of each record.
    len: u64,
    entries: Vec<AtomicU64>,
    chunks: Vec<AtomicU64>,
    blocks: Vec<Block>,
    bytes: Vec<UnsafeCell<u64>>,
}

/// Kind, name and version, and the bytes.
fn record(key: u64, bytes: u64) -> u64 {
    key << 8 | bytes
}

impl Store {
    /// With room for so many, and a slab for them.
    fn new(limit: usize) -> Arc<Self> {
        let store = Self {
            measures: &RECORDS,
            len: 64,
            entries: (0..limit).map(|_| AtomicU64::new(0)).collect(),
            chunks: vec![AtomicU64::new(0)],
            blocks: (0..4).map(|_| Block::new(Word::free(0))).collect(),
            bytes: (0..4).map(|_| UnsafeCell::new(0)).collect(),
        };
        let (place, word) = store.pool().claim(64, &by(9, 1), &mut fresh()).unwrap();
        store.pool().release(place, word);
        Arc::new(store)
    }

    /// With room for one record and no more: the last block of a slab, beside `before`, or a chunk that is to
    /// be taken for it.
    fn last(limit: usize, slab: bool) -> Arc<Self> {
        let len = if slab { 64 } else { 600 };
        let store = Self {
            measures: &MEASURES,
            len,
            entries: (0..limit).map(|_| AtomicU64::new(0)).collect(),
            chunks: vec![AtomicU64::new(0)],
            blocks: (0..2).map(|_| Block::new(Word::free(0))).collect(),
            bytes: (0..2).map(|_| UnsafeCell::new(0)).collect(),
        };
        if slab {
            assert_eq!(store.add(9, record(9, 9), NEVER), Some((0, record(9, 9))));
        }
        Arc::new(store)
    }

    fn table(&self) -> Table<'_> {
        Table { entries: &self.entries }
    }

    fn pool(&self) -> Pool<'_> {
        let (chunks, blocks) = (&self.chunks, &self.blocks);
        Pool { measures: self.measures, alone: false, chunks, blocks }
    }

    fn read(&self, entry: schemas::Entry) -> u64 {
        let word = self.blocks[entry.block as usize].load();
        assert_eq!((word.phase(), word.generation()), (Some(Phase::Offered), entry.generation));
        // SAFETY: loom checks that nobody writes.
        self.bytes[entry.block as usize].with(|bytes| unsafe { *bytes })
    }

    /// Adds a record, dying after `steps` steps. Where it stands and what does, or `None`: died, or no room.
    fn add(&self, me: u16, mine: u64, steps: usize) -> Option<(u32, u64)> {
        let meet = |index, entry| {
            let there = self.read(entry);
            Ok((there >> 8 == mine >> 8).then_some((index, there)))
        };
        let mut vacant = 0;
        let mut look = || match self.table().settle(vacant, None, meet)? {
            Settled::Met(found) => Ok(Some(Some(found))),
            Settled::Vacant(index) => {
                vacant = index;
                Ok(None)
            }
            _ => Ok(Some(None)),
        };
        if let Some(found) = look().unwrap() {
            return found;
        }
        let mut count = u64::from(me) * 16;
        let nonces = || {
            count += 1;
            count..count + 1
        };
        let claim =
            |nonces: Range<u64>| self.pool().claim(self.len, &by(me, nonces.start), &mut fresh());
        let pause = || {
            thread::yield_now();
            true
        };
        let room = self.table().room(self.pool(), &|_| true, nonces, claim, look, pause);
        let (place, word) = match room.unwrap() {
            Room::Claimed(claimed) => claimed,
            Room::Met(found) => return found,
            Room::None { adding, .. } => {
                assert!(!adding, "patience has no end here");
                return None;
            }
        };
        if steps < 2 {
            return None;
        }
        // SAFETY: loom checks that nobody else is there.
        self.bytes[place.block as usize].with_mut(|bytes| unsafe { *bytes = mine });
        if steps < 3 {
            return None;
        }
        self.blocks[place.block as usize].set(word.with(Phase::Offered, me));
        let entry = schemas::Entry { block: place.block, generation: word.generation() };
        if steps < 4 {
            return None;
        }
        let settled = self.table().settle(vacant, Some(entry), meet).unwrap();
        let answer = match settled {
            Settled::Placed(index) => return (steps > 4).then_some((index, mine)),
            Settled::Met(found) => Some(found),
            _ => None,
        };
        if steps > 4 {
            self.pool().release(place, word);
        }
        answer.filter(|_| steps > 4)
    }

    fn recover(&self, dead: u16) {
        recover_records(dead, self.table(), self.pool(), &|| true);
    }

    /// The records, after a check that no two have the same key and that nothing else is in use.
    fn settled(&self) -> Vec<u64> {
        let placed = (0..self.table().len()).filter_map(|index| self.table().read(index).unwrap());
        let all: Vec<u64> = placed.map(|entry| self.read(entry)).collect();
        let mut keys: Vec<u64> = all.iter().map(|record| record >> 8).collect();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), all.len(), "one key twice");
        let used = self.blocks.iter().filter(|word| !word.load().is_free()).count();
        assert_eq!(used, all.len(), "a block is neither a record's nor free");
        all
    }
}

/// P2, P11, C24: room for one record, and two who add the same: each learns where it stands, though one of them
/// lacks what the other one has claimed, or takes and gives back.
#[test]
fn adders_of_the_same_share_the_last_room() {
    for slab in [true, false] {
        model(move || {
            let store = Store::last(2, slab);
            let other = store.clone();
            let theirs = thread::spawn(move || other.add(SECOND, record(1, 1), NEVER));
            let mine = store.add(PRODUCER, record(1, 1), NEVER);
            let stands = Some((u32::from(slab), record(1, 1)));
            assert_eq!((mine, theirs.join().unwrap()), (stands, stands));
            assert_eq!(store.settled().len(), 1 + usize::from(slab));
        });
    }
}

/// P2, P11, C24: the same with a record each: one gets the room, and only the other one is told that there is
/// none.
#[test]
fn one_of_two_gets_the_last_room() {
    for slab in [true, false] {
        model(move || {
            let store = Store::last(3, slab);
            let other = store.clone();
            let theirs = thread::spawn(move || other.add(SECOND, record(2, 2), NEVER));
            let mine = store.add(PRODUCER, record(1, 1), NEVER);
            assert!(mine.is_some() != theirs.join().unwrap().is_some());
            assert_eq!(store.settled().len(), 1 + usize::from(slab));
        });
    }
}

/// P6, P11, C24: one dies with the last room, after any step. Who adds the same record waits until it is recovered,
/// and gets the id, also beside another one who claims as soon as that is done.
#[test]
fn the_last_room_of_a_dead_one_is_waited_for() {
    for (steps, slab) in STEPS.flat_map(|steps| [(steps, true), (steps, false)]) {
        model(move || {
            let store = Store::last(2, slab);
            store.add(DEAD, record(1, 1), steps);
            let other = store.clone();
            let theirs = thread::spawn(move || {
                other.recover(DEAD);
                other.add(SECOND, record(1, 1), NEVER)
            });
            let mine = store.add(PRODUCER, record(1, 1), NEVER);
            let stands = Some((u32::from(slab), record(1, 1)));
            assert_eq!((mine, theirs.join().unwrap()), (stands, stands), "died after {steps}");
            assert_eq!(store.settled().len(), 1 + usize::from(slab));
        });
    }
}

/// P11, C24: one holds the last room again and again and keeps nothing of it, as who meets its record after the claim,
/// or lacks a chunk for its run; another one gets it.
#[test]
fn what_is_held_for_a_moment_is_not_missed() {
    for (slab, whole) in [(true, true), (false, true), (false, false)] {
        model(move || {
            let store = Store::last(2, slab);
            let other = store.clone();
            let passing = thread::spawn(move || {
                for nonce in 1..=2 {
                    let (pool, by) = (other.pool(), by(SECOND, nonce));
                    if !whole {
                        pool.take_chunk(0, &by, true);
                        // Gives back what it has taken, as `claim_run`.
                        pool.recover(SECOND, &|| true);
                    } else if let Ok((place, word)) = pool.claim(other.len, &by, &mut fresh()) {
                        pool.release(place, word);
                    }
                }
            });
            let stands = Some((u32::from(slab), record(1, 1)));
            assert_eq!(store.add(PRODUCER, record(1, 1), NEVER), stands);
            passing.join().unwrap();
            assert_eq!(store.settled().len(), 1 + usize::from(slab));
        });
    }
}

/// P6, P9, C22: an entry is damaged. What is offered may be what it named, and stays; what is being written is freed.
#[test]
fn a_damaged_entry_frees_only_what_is_written() {
    for steps in STEPS {
        model(move || {
            let store = Store::new(2);
            store.add(DEAD, record(1, 1), steps);
            store.add(DEAD, record(2, 2), NEVER);
            let entry = &store.entries[0];
            let placed = entry.load(Ordering::Acquire);
            entry.compare_exchange(placed, 5, Ordering::AcqRel, Ordering::Relaxed).unwrap();
            let other = store.clone();
            let racing = thread::spawn(move || other.recover(DEAD));
            store.recover(DEAD);
            racing.join().unwrap();
            let used = store.blocks.iter().filter(|word| !word.load().is_free()).count();
            assert_eq!(used, if steps > 2 { 2 } else { 1 }, "died after {steps}");
        });
    }
}

/// P2, P11, C21: two add the same record, another version, or other bytes of the same version: each learns what
/// stands where, and both the same.
#[test]
fn schemas_are_added_once() {
    for (first, second) in
        [(record(1, 1), record(1, 1)), (record(1, 1), record(2, 1)), (record(1, 1), record(1, 2))]
    {
        model(move || {
            let store = Store::new(2);
            let other = store.clone();
            let theirs = thread::spawn(move || other.add(SECOND, second, NEVER));
            let mine = store.add(PRODUCER, first, NEVER).unwrap();
            let theirs = theirs.join().unwrap().unwrap();
            let all = store.settled();
            assert!([mine, theirs].iter().all(|(index, there)| all[*index as usize] == *there));
            assert_eq!((mine.1 >> 8, theirs.1 >> 8), (first >> 8, second >> 8));
            assert_eq!(all.len(), if first >> 8 == second >> 8 { 1 } else { 2 });
        });
    }
}

/// P11, C21: of two that want the last entry one gets it, and nothing of the other one stays.
#[test]
fn a_full_table_takes_no_more() {
    model(|| {
        let store = Store::new(1);
        let other = store.clone();
        let theirs = thread::spawn(move || other.add(SECOND, record(2, 2), NEVER));
        let mine = store.add(PRODUCER, record(1, 1), NEVER);
        let theirs = theirs.join().unwrap();
        assert!(mine.is_some() != theirs.is_some());
        assert_eq!(store.settled(), [mine.or(theirs).unwrap().1]);
    });
}

/// P6, P11, C22: one dies after any step of adding, beside another one that adds the same or another record,
/// and two recoveries race with it and with each other, one of which ends by a death, too. What was placed stays, once; nothing else does.
#[test]
fn a_schemas_adder_dies_at_any_step() {
    for second in [record(1, 1), record(2, 2)] {
        for steps in STEPS {
            model_deaths(move |victim| {
                let store = Store::new(2);
                let other = store.clone();
                let living = thread::spawn(move || other.add(SECOND, second, NEVER));
                store.add(DEAD, record(1, 1), steps);
                let (other, dying) = (store.clone(), victim.clone());
                let racing = thread::spawn(move || dying.does(|| other.recover(DEAD)));
                store.recover(DEAD);
                racing.join().unwrap();
                let (index, there) = living.join().unwrap().unwrap();
                let all = store.settled();
                assert_eq!((all[index as usize], there), (second, second));
                let first = steps > 3 || second == record(1, 1);
                assert_eq!(all.contains(&record(1, 1)), first, "died after {steps}");
                assert_eq!(all.len(), if first && second != record(1, 1) { 2 } else { 1 });
            });
        }
    }
}

/// P6, C22: the tag of a dead one comes again while somebody is still recovering it: who has it now keeps what
/// it adds, placed or not.
#[test]
fn a_late_recovery_leaves_the_next_lifes_records_alone() {
    for steps in [1, 3] {
        model(move || {
            let store = Store::new(2);
            let lives = Arc::new(AtomicU64::new(0));
            store.add(DEAD, record(1, 1), steps);
            let (other, seen) = (store.clone(), lives.clone());
            let late = thread::spawn(move || {
                let stands = || seen.load(Ordering::Acquire) == 0;
                recover_records(DEAD, other.table(), other.pool(), &stands);
            });
            store.recover(DEAD);
            // The entry is freed, and taken anew.
            lives.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Relaxed).unwrap();
            assert_eq!(store.add(DEAD, record(2, 2), NEVER), Some((0, record(2, 2))));
            late.join().unwrap();
            assert_eq!(store.settled(), [record(2, 2)]);
        });
    }
}

/// P6, P11, C22: frames pass beside it. One has placed a frame and offered a record when it dies; whoever
/// recovers it does both.
#[test]
fn frames_and_schemas_of_the_dead_are_told_apart() {
    model(|| {
        let (ring, store) = (Ring::new(0), Store::new(2));
        assert!(ring.send_among(1, DEAD, 9));
        store.add(DEAD, record(1, 1), 3);
        let (others, their_store) = (ring.clone(), store.clone());
        let other = thread::spawn(move || {
            their_store.recover(DEAD);
            others.recover_among(DEAD);
        });
        assert!(store.add(PRODUCER, record(2, 2), NEVER).is_some());
        let mut got = ring.drain(CONSUMER);
        other.join().unwrap();
        got.extend(ring.drain(CONSUMER));
        assert_eq!((got, store.settled()), (vec![1], vec![record(2, 2)]));
        ring.assert_nothing_left();
    });
}

/// P6, C23: one that wants something leaves, and the next one to have its id wants something else, while a
/// producer looks: it sees what the one wants that it takes it for.
#[test]
fn what_is_wanted_ends_with_who_wants_it() {
    model(|| {
        let members = Members::new(1);
        let (id, entry) = members.join(1, 1).unwrap();
        members.by(1).want(id, 0, 11);
        members.by(1).want(id, 1, 12);
        let other = members.clone();
        let looking = thread::spawn(move || {
            if let Some((entry, words)) = other.by(3).wants(1) {
                // Each word speaks for itself.
                let own = if entry.pid() == 1 { [[11, 11], [12, 12]] } else { [[0, 22], [0, 23]] };
                let right = words.iter().zip(own).all(|(word, own)| own.contains(word));
                assert!(right, "{} wants {words:?}", entry.pid());
            }
        });
        members.sit(id, 0);
        members.by(1).leave(id, entry);
        let (id, _) = members.join(2, 2).unwrap();
        members.by(2).want(id, 0, 22);
        members.by(2).want(id, 1, 23);
        looking.join().unwrap();
    });
}
