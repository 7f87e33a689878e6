//! The schema table beside others: who adds just now, is stopped, has died, was forked, or has written
//! where nobody should.

#![allow(clippy::disallowed_types, reason = "tests stand outside the facade")]

mod names;

use names::*;
use slipring::{Error, Header, Mode, Schemas, Segment, Wait};
use std::os::unix::fs::FileExt;
use std::sync::Barrier;
use std::time::{Duration, Instant};

const TABLE: u16 = 3;
const VALUE: u16 = 1;

/// Where a part of the segment begins.
fn at(ring: &Segment, part: &str) -> u64 {
    ring.inspect().parts.iter().find(|(name, _)| *name == part).unwrap().1
}

fn write(name: &Name, at: u64, word: u64) {
    let raw = std::fs::OpenOptions::new().write(true).open(file(name)).unwrap();
    raw.write_at(&word.to_le_bytes(), at).unwrap();
}

fn read(name: &Name, at: u64) -> u64 {
    let mut word = [0; 8];
    std::fs::File::open(file(name)).unwrap().read_exact_at(&mut word, at).unwrap();
    u64::from_le_bytes(word)
}

/// A child that does something and is killed then.
fn killed(life: impl FnOnce()) {
    let status = in_child(|| {
        life();
        // SAFETY: ends this child at once, with its place in the segment.
        unsafe { libc::kill(libc::getpid(), libc::SIGKILL) }
    });
    assert_eq!(status, -libc::SIGKILL);
}

/// Each adds at once, from an attachment of its own.
fn herd<T: Send>(
    ring: &Segment,
    adders: usize,
    add: impl Fn(Schemas, usize) -> T + Sync,
) -> Vec<T> {
    let barrier = Barrier::new(adders);
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..adders)
            .map(|me| {
                let own = Segment::from_fd(ring.share().unwrap()).unwrap().schemas();
                let (barrier, add) = (&barrier, &add);
                scope.spawn(move || {
                    barrier.wait();
                    add(own, me)
                })
            })
            .collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    })
}

/// R2.4, P2: adders of the same record, for which there is room once, all get it.
#[test]
fn adders_of_the_same_share_its_room() {
    let shapes = [
        (2, 256, 800_000, 100_000),
        (2, 256, 0, 600_000),
        (12, 256, 0, 100_000),
        (4, 8, 0, 40_000),
    ];
    for (adders, limit, before, len) in shapes {
        for _ in 0..40 {
            let ring = Segment::options().schemas(limit).create_anonymous().unwrap();
            ring.schemas().add(TABLE, "before", 1, &vec![0; before]).unwrap();
            let bytes = vec![7; len];
            let ids = herd(&ring, adders, |own, _| own.add(TABLE, "same", 1, &bytes).unwrap().id());
            assert!(ids.iter().all(|id| id.get() == 2));
            assert_eq!(ring.inspect().schema_room[2], 2);
        }
    }
}

/// R2.4, P2: of those that want the same room for records of their own, in slabs and runs, one gets it, and
/// the others learn that there is none.
#[test]
fn one_of_many_gets_the_last_room() {
    for len in [600_000, 1_000_000, 560_000] {
        for _ in 0..40 {
            let ring = small().create_anonymous().unwrap();
            let all = herd(&ring, 3, |own, me| {
                own.add(TABLE, &format!("of {me}"), 1, &vec![1; len - me * 16_384]).map(|_| ())
            });
            let refused = |one: &Result<(), Error>| {
                matches!(one, Err(Error::NoRoomForSchema { adding: false, .. }))
            };
            let count =
                |is: &dyn Fn(&Result<(), Error>) -> bool| all.iter().filter(|one| is(one)).count();
            assert_eq!((count(&Result::is_ok), count(&refused)), (1, 2), "{all:?}");
        }
    }
}

/// R2.4, P6: one that is stopped while it gives memory to the chunks that it has taken: others wait for it a
/// while, and are told.
#[test]
fn who_is_stopped_while_adding_is_waited_for() {
    let name = name();
    let ring = small().schemas(8).create(name.0.as_str()).unwrap();
    let stopped = Segment::open(name.0.as_str()).unwrap();
    let tag = stopped.inspect().processes.iter().map(|process| process.id).max().unwrap();
    let words = at(&ring, "schemas") + 128;
    // Taken, of no class, in the first life of its id.
    let taken = 1 << 61 | u64::from(tag) << 53 | 0x3f << 47 | 1 << 24 | 77;
    let all = |word| (0..8).for_each(|chunk| write(&name, words + chunk * 8, word));
    all(taken);
    let start = Instant::now();
    let error = ring.schemas().add(TABLE, "small", 1, b"x").unwrap_err();
    let waited = start.elapsed();
    assert!(matches!(error, Error::NoRoomForSchema { adding: true, .. }), "{error}");
    assert!(error.to_string().contains("while other processes add theirs"), "{error}");
    assert!((Duration::from_millis(90)..Duration::from_secs(2)).contains(&waited), "{waited:?}");
    assert_eq!(read(&name, words), taken, "it lives, so it keeps them");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(20));
            all(0);
        });
        ring.schemas().add(TABLE, "small", 1, b"x").unwrap();
    });
    // Who holds a block and no entry is moving, too; what stands in the table is not.
    ring.schemas().add(TABLE, "large", 1, &vec![1; 7 * 16_384 - 64]).unwrap();
    let start = Instant::now();
    let error = ring.schemas().add(TABLE, "more", 1, &[1; 9000]).unwrap_err();
    assert!(matches!(error, Error::NoRoomForSchema { adding: false, .. }), "{error}");
    assert!(start.elapsed() < Duration::from_millis(90), "nobody is there to wait for");
    let block = words + 128 + 31 * 8;
    write(&name, block, 1 << 12 | u64::from(tag) << 4 | 1);
    let error = ring.schemas().add(TABLE, "more", 1, &[1; 9000]).unwrap_err();
    assert!(matches!(error, Error::NoRoomForSchema { adding: true, .. }), "{error}");
    drop(stopped);
}

/// P6: a child that was forked while another thread looked at the schemas for the first time is told so, by
/// every call, and hangs in none.
#[test]
fn a_forked_child_hangs_nowhere() {
    for round in 0..150 {
        let ring = Segment::options().schemas(4096).create_anonymous().unwrap();
        for n in 0..10 {
            ring.schemas().add(TABLE, &format!("name {n}"), 1, b"x").unwrap();
        }
        let late = Segment::from_fd(ring.share().unwrap()).unwrap();
        let barrier = Barrier::new(2);
        let status = std::thread::scope(|scope| {
            scope.spawn(|| {
                barrier.wait();
                assert_eq!(late.schemas().iter().count(), 10);
                assert_eq!(late.schemas().readable(TABLE, "name 9").unwrap(), None);
            });
            barrier.wait();
            in_child(|| {
                // SAFETY: ends this child should it hang.
                unsafe { libc::alarm(5) };
                let (schemas, id) = (late.schemas(), slipring::SchemaId::new(1).unwrap());
                let forked =
                    |error: Option<Error>| assert!(matches!(error, Some(Error::Forked { .. })));
                forked(schemas.get(id).err());
                forked(schemas.iter().next().and_then(Result::err));
                forked(schemas.find(TABLE, "name 1", 1).err());
                forked(schemas.latest(TABLE, "name 1").err());
                forked(schemas.versions(TABLE, "name 1").err());
                forked(schemas.readable(TABLE, "name 1").err());
                forked(schemas.wanted(TABLE, "name 1").err());
                forked(schemas.add(TABLE, "name 1", 1, b"x").err());
                forked(schemas.want(TABLE, "name 1", 1..=1).err());
                // For people who look.
                assert_eq!((schemas.describe().len(), late.inspect().schemas.len()), (10, 10));
                0
            })
        });
        assert_eq!(status, 0, "in round {round}");
    }
}

/// R2.4: what is refused adds no name to the table, and takes no word.
#[test]
fn refused_wants_leave_nothing() {
    let ring = small().schemas(16).create_anonymous().unwrap();
    let schemas = ring.schemas();
    let want = |n: u16| schemas.want(TABLE, &format!("name {n}"), 1..=1);
    let wants: Vec<_> = (0..10).map(|n| want(n).unwrap()).collect();
    for n in 10..100 {
        assert!(matches!(want(n), Err(Error::TooManyWanted { limit: 10 })));
    }
    assert_eq!(schemas.iter().count(), 10);
    let _again = want(3).unwrap();
    drop(wants);
    let _next = want(10).unwrap();
    assert_eq!(schemas.iter().count(), 11);
}

/// P9, R2.4: an entry is damaged; what was said of a schema is not taken for silence, and the others are found.
#[test]
fn a_damaged_entry_hides_no_other() {
    let name = name();
    let ring = small().create(name.0.as_str()).unwrap();
    let schemas = ring.schemas();
    schemas.add(TABLE, "before", 1, b"x").unwrap();
    for version in 1..=3 {
        schemas.add(TABLE, "weather", version, &[version as u8]).unwrap();
    }
    schemas.add(TABLE, "behind", 1, b"x").unwrap();
    let _want = schemas.want(TABLE, "weather", 1..=2).unwrap();
    assert_eq!(schemas.readable(TABLE, "weather").unwrap(), Some(1..=2));
    let damage = |index: u64| {
        let at = at(&ring, "schemas") + index * 8;
        let healthy = read(&name, at);
        write(&name, at, 5);
        (at, healthy)
    };
    let fresh = || Segment::open(name.0.as_str()).unwrap().schemas();
    let corrupt = |error: &Error| matches!(error, Error::Corrupt { what: "schema entry", .. });
    for index in [0, 4] {
        let (at, healthy) = damage(index);
        let late = fresh();
        assert_eq!(late.find(TABLE, "weather", 2).unwrap().unwrap().bytes(), [2]);
        assert_eq!(late.latest(TABLE, "weather").unwrap().unwrap().version(), 3);
        // What may be it, is not taken for it, nor for nothing.
        assert!(late.find(TABLE, "weather", 4).is_err_and(|error| corrupt(&error)));
        assert!(late.latest(TABLE, "other").is_err_and(|error| corrupt(&error)));
        assert!(late.versions(TABLE, "weather").is_err_and(|error| corrupt(&error)));
        // The first of the name may be the damaged one, if that comes before.
        match late.readable(TABLE, "weather") {
            Err(error) if index == 0 => assert!(corrupt(&error), "{error}"),
            said => assert_eq!((index, said.unwrap()), (4, Some(1..=2))),
        }
        assert_eq!(schemas.readable(TABLE, "weather").unwrap(), Some(1..=2), "it is known here");
        write(&name, at, healthy);
        assert_eq!(late.readable(TABLE, "weather").unwrap(), Some(1..=2));
    }
}

/// P6, P9: the entry of a record is damaged, and whoever placed it is dead: who reads it keeps its bytes.
#[test]
fn a_damaged_entry_frees_no_record() {
    let name = name();
    let ring = small().schemas(8).create(name.0.as_str()).unwrap();
    killed(|| {
        let own = Segment::open(name.0.as_str()).unwrap().schemas();
        own.add(TABLE, "weather", 1, &[7; 3000]).unwrap();
        // It dies, and does not leave.
        std::mem::forget(own);
    });
    assert_eq!(ring.inspect().processes.len(), 2);
    let schema = ring.schemas().find(TABLE, "weather", 1).unwrap().unwrap();
    let entry = at(&ring, "schemas");
    let healthy = read(&name, entry);
    write(&name, entry, 5);
    drop(Segment::open(name.0.as_str()).unwrap());
    assert_eq!(ring.inspect().processes.len(), 1, "it was recovered");
    assert_eq!(ring.inspect().schema_room[2], 1);
    assert_eq!(*schema, [7; 3000]);
    write(&name, entry, healthy);
    let late = Segment::open(name.0.as_str()).unwrap().schemas();
    assert_eq!(*late.find(TABLE, "weather", 1).unwrap().unwrap(), [7; 3000]);
}

/// R2.4, P6: what a dead one wanted does not count for the first batch after a pause, whoever waits for
/// frames beside.
#[test]
fn what_the_dead_wanted_ends_with_a_pause() {
    let name = name();
    let ring = small().mode(Mode::Mpmc).create(name.0.as_str()).unwrap();
    let schemas = ring.schemas();
    // Who waits looks around for all who wait.
    let mut waiting = Segment::open(name.0.as_str()).unwrap().consumer().unwrap();
    let nothing = waiting.recv(&Wait::for_up_to(Duration::from_millis(250)));
    assert!(matches!(nothing, Err(Error::Timeout)));
    for asks in [true, false] {
        let _living = schemas.want(TABLE, "weather", 1..=9).unwrap();
        killed(|| {
            let own = Segment::open(name.0.as_str()).unwrap().schemas();
            std::mem::forget(own.want(TABLE, "weather", 2..=3).unwrap());
        });
        let readable = || schemas.readable(TABLE, "weather").unwrap();
        let wanted = || schemas.wanted(TABLE, "weather").unwrap().len();
        std::thread::sleep(Duration::from_millis(120));
        if asks {
            assert_eq!(readable(), Some(1..=9));
        } else {
            assert_eq!(wanted(), 1);
        }
    }
}

/// R2.4: producers' numbers go on by one, whatever was added or refused between.
#[test]
fn schemas_take_no_producers_numbers() {
    let ring = small().schemas(8).mode(Mode::Mpmc).create_anonymous().unwrap();
    let mut rx = ring.consumer().unwrap();
    let mut number = || {
        ring.producer().unwrap().send(Header::raw(), b"x", &Wait::no()).unwrap();
        rx.recv(&Wait::no()).unwrap().header().producer
    };
    let first = number();
    ring.schemas().add(TABLE, "all", 1, &vec![1; (128 << 10) - 64]).unwrap();
    for _ in 0..5 {
        let refused = ring.schemas().add(VALUE, "more", 1, &[1; 4000]);
        assert!(matches!(refused, Err(Error::NoRoomForSchema { .. })));
    }
    assert_eq!(number(), first + 1);
}
