//! The schema table: added once, found by everybody, in place; what does not fit; what consumers want.

#![allow(clippy::disallowed_types, reason = "tests stand outside the facade")]

mod names;

use names::*;
use slipring::{Error, Header, Mode, Schema, SchemaId, Schemas, Segment, Wait};
use std::collections::HashMap;
use std::time::{Duration, Instant};

const TABLE: u16 = 3;
const VALUE: u16 = 1;

/// A golden segment as a file. Its fixed part names no boot.
fn golden(text: &str) -> std::path::PathBuf {
    use std::os::unix::fs::FileExt;
    let path = std::env::temp_dir().join(&name().0);
    let mut lines = text.lines().filter(|line| !line.starts_with('#'));
    let number = |text| u64::from_str_radix(text, 16).unwrap();
    let file = std::fs::File::create(&path).unwrap();
    file.set_len(number(lines.next().unwrap())).unwrap();
    for (at, bytes) in lines.map(|line| line.split_once(' ').unwrap()) {
        let byte = |n| u8::from_str_radix(&bytes[n..n + 2], 16).unwrap();
        let bytes: Vec<u8> = (0..bytes.len()).step_by(2).map(byte).collect();
        file.write_all_at(&bytes, number(at)).unwrap();
    }
    path
}

fn key(schema: &Schema) -> (u16, String, u16, Vec<u8>) {
    (schema.kind(), schema.name().into(), schema.version(), schema.to_vec())
}

/// R5.4, P9: segments of each format version are read, with what their processes have left in them.
#[test]
fn segments_of_each_version_are_read() {
    let old = include_str!("golden/segment-1.0.hex");
    let new = include_str!("golden/segment-1.1.hex");
    for (text, version) in [(old, (1, 0)), (new, (1, 1))] {
        let path = golden(text);
        let ring = Segment::open(path.as_path()).unwrap();
        assert_eq!(ring.inspect().version, version);
        let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
        let first = rx.recv(&Wait::no()).unwrap();
        assert_eq!((&*first, first.header().correlation_id), (&b"in a cell"[..], 7));
        assert_eq!(*rx.recv(&Wait::no()).unwrap(), [7; 300]);
        tx.send(Header::raw(), &[1; 5000], &Wait::no()).unwrap();
        assert_eq!(*rx.recv(&Wait::no()).unwrap(), [1; 5000]);
        let schemas = ring.schemas();
        let found: Vec<_> = schemas.iter().map(|schema| key(&schema.unwrap())).collect();
        if version == (1, 0) {
            assert!(found.is_empty() && schemas.limit() == 0);
            let refused = schemas.add(TABLE, "weather", 1, b"").unwrap_err();
            assert!(matches!(refused, Error::NoSchemas), "{refused}");
            assert!(matches!(schemas.want(TABLE, "weather", 1..=2), Err(Error::NoSchemas)));
            assert!(schemas.get(SchemaId::new(1).unwrap()).unwrap().is_none());
        } else {
            let weather =
                |version, bytes: &[u8]| (TABLE, "weather".into(), version, bytes.to_vec());
            let point = (VALUE, "point".into(), 0, vec![]);
            let first = weather(1, b"the first version");
            assert_eq!(found, [first, weather(2, &[9; 600]), point]);
            assert_eq!(schemas.readable(VALUE, "point").unwrap(), None, "who wanted it is gone");
            assert_eq!(schemas.add(TABLE, "weather", 2, &[9; 600]).unwrap().id().get(), 2);
            assert_eq!(schemas.add(VALUE, "point", 1, b"new").unwrap().id().get(), 4);
        }
        std::fs::remove_file(path).unwrap();
    }
}

/// R13.1, R13.2: a schema is stored once, has one id for everybody, is found by who comes later and by inspection,
/// and is read in place; frames carry it; in all modes, named, in a file, and without a name.
#[test]
fn a_schema_is_stored_once_and_found_by_everybody() {
    for (n, mode) in [Mode::Spsc, Mode::Mpsc, Mode::Spmc, Mode::Mpmc].into_iter().enumerate() {
        let name = name();
        let path = std::env::temp_dir().join(&name.0);
        let options = small().mode(mode);
        let (first, second) = match n {
            0 => {
                let first = options.create(path.as_path()).unwrap();
                (first, Segment::open(path.as_path()).unwrap())
            }
            1 => {
                let first = options.create_anonymous().unwrap();
                let fd = first.share().unwrap();
                (first, Segment::from_fd(fd).unwrap())
            }
            _ => {
                let first = options.create(name.0.as_str()).unwrap();
                (first, Segment::open(name.0.as_str()).unwrap())
            }
        };
        // Either side adds, whoever produces.
        let (mut tx, mut rx) = (first.producer().unwrap(), second.consumer().unwrap());
        let large = vec![5; 60_000];
        let one = second.schemas().add(TABLE, "weather", 1, b"one").unwrap();
        let two = first.schemas().add(TABLE, "weather", 2, &large).unwrap();
        let other = second.schemas().add(VALUE, "weather", 1, b"").unwrap();
        let again = first.schemas().add(TABLE, "weather", 1, b"one").unwrap();
        let ids = [&one, &two, &other, &again].map(|schema| schema.id().get());
        assert_eq!(ids, [1, 2, 3, 1]);
        for header in [Header::raw().with_schema(&two), Header::raw()] {
            tx.send(header, b"a table", &Wait::no()).unwrap();
        }
        drop((one, two, other, again));
        // The one that joins now.
        let late = match n {
            0 => Segment::open(path.as_path()).unwrap(),
            1 => Segment::from_fd(first.share().unwrap()).unwrap(),
            _ => Segment::open(name.0.as_str()).unwrap(),
        };
        let schemas = late.schemas();
        let (frame, plain) = (rx.recv(&Wait::no()).unwrap(), rx.recv(&Wait::no()).unwrap());
        assert_eq!(SchemaId::new(plain.header().schema_id), None);
        let id = SchemaId::new(frame.header().schema_id).unwrap();
        let named = schemas.get(id).unwrap().unwrap();
        assert_eq!(key(&named), (TABLE, "weather".into(), 2, large.clone()));
        assert_eq!(frame.header().schema_version, named.version());
        let at = named.as_ptr() as usize;
        assert!(late.mapped().contains(&at) && at.is_multiple_of(64));
        assert!(named.created_ns() > 1_600_000_000_000_000_000);
        assert_eq!(schemas.latest(TABLE, "weather").unwrap().unwrap().id(), id);
        assert_eq!(schemas.find(TABLE, "weather", 1).unwrap().unwrap().bytes(), b"one");
        assert!(schemas.find(TABLE, "weather", 3).unwrap().is_none());
        assert_eq!(schemas.versions(VALUE, "weather").unwrap().len(), 1);
        assert!(schemas.get(SchemaId::new(4).unwrap()).unwrap().is_none());
        assert!(schemas.get(SchemaId::new(u32::MAX).unwrap()).unwrap().is_none());
        let seen = late.inspect();
        let told: Vec<_> =
            seen.schemas.iter().map(|s| (s.id, s.kind, &*s.name, s.version, s.size)).collect();
        let weather = "weather";
        assert_eq!(
            told,
            [(1, TABLE, weather, 1, 3), (2, TABLE, weather, 2, 60_000), (3, VALUE, weather, 1, 0)]
        );
        let text = seen.to_string();
        assert!(
            text.contains("schema    2 is \"weather\" version 2, kind 3, 60000 bytes"),
            "{text}"
        );
        assert_eq!(seen.schema_room, [1 << 20, 512 + 65536 + 512, 3]);
        drop((first, second, late, frame, plain, tx, rx));
        assert_eq!(named.bytes(), large, "a view keeps the mapping");
        if n == 0 {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// R13.2, P6: what was added stays, whoever leaves, dies or looks; it takes nothing of the pool, not of its whole
/// and of nobody's share, and is no frame.
#[test]
fn schemas_stay_and_take_nothing_of_the_pool() {
    for mode in [Mode::Spsc, Mode::Mpmc] {
        let name = name();
        let ring = small().mode(mode).share(100).create(name.0.as_str()).unwrap();
        let add = |version| {
            let schemas = Segment::open(name.0.as_str()).unwrap().schemas();
            schemas.add(TABLE, "stays", version, &[version as u8; 3000]).unwrap();
        };
        add(1);
        let killed = in_child(|| {
            add(2);
            // SAFETY: ends this child at once, with its place in the segment.
            unsafe { libc::kill(libc::getpid(), libc::SIGKILL) }
        });
        assert_eq!(killed, -libc::SIGKILL);
        // More lives than a tag tells apart, so that the dead one's comes again, and dies.
        for _ in 0..600 {
            drop(Segment::open(name.0.as_str()).unwrap());
        }
        let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
        let whole = vec![3; ring.max_body() as usize];
        assert_eq!(whole.len() as u64, ring.inspect().capacity - 64);
        tx.send(Header::raw(), &whole, &Wait::no()).unwrap();
        assert!(*rx.recv(&Wait::no()).unwrap() == whole);
        assert_eq!(tx.trim(), ring.inspect().capacity);
        let seen = ring.inspect();
        assert_eq!((seen.frames, seen.processes.len()), (Default::default(), 1));
        assert_eq!(seen.schema_room[1..], [8192, 2]);
        let late = Segment::open(name.0.as_str()).unwrap();
        for version in [1, 2] {
            let schema = late.schemas().find(TABLE, "stays", version).unwrap().unwrap();
            assert_eq!(*schema, [version as u8; 3000]);
        }
        ring.close();
        let start = Instant::now();
        assert!(matches!(rx.recv(&Wait::forever()), Err(Error::Closed)));
        assert!(start.elapsed() < Duration::from_secs(2), "nobody waits for a schema");
        drop((ring, late, tx, rx));
        assert!(!file(&name).exists(), "a ring without frames is empty");
    }
}

/// R2.4: other bytes under the same name and version are refused, and the error names both.
#[test]
fn another_schema_of_the_same_version_is_refused() {
    let schemas = small().create_anonymous().unwrap().schemas();
    schemas.add(TABLE, "first", 1, b"").unwrap();
    let there = schemas.add(TABLE, "weather", 7, b"temperature: f64").unwrap();
    let error = schemas.add(TABLE, "weather", 7, b"temperature: f32, wind").unwrap_err();
    let Error::SchemaConflict(conflict) = &error else { panic!("{error}") };
    assert_eq!((conflict.id, conflict.there, conflict.given), (2, 16, 22));
    assert_eq!((conflict.differs_at, conflict.version), (14, 7));
    let told = error.to_string();
    for part in ["version 7 of schema \"weather\"", "as schema 2", "16 bytes", "22", "new version"]
    {
        assert!(told.contains(part), "{told}");
    }
    assert!(schemas.add(TABLE, "weather", 7, b"temperature: f6").is_err(), "a beginning");
    assert_eq!(schemas.add(TABLE, "weather", 7, b"temperature: f64").unwrap().id(), there.id());
    assert_eq!(schemas.iter().count(), 2);
}

/// R2.4: a full table, no room, too much, no name: each is its own error, and takes nothing.
#[test]
fn what_does_not_fit_is_refused() {
    for (name, version) in [("", 1), (&*"x".repeat(1025), 1), ("right", 0)] {
        let schemas = small().create_anonymous().unwrap().schemas();
        let refused = schemas.add(TABLE, name, version, b"").unwrap_err();
        assert!(matches!(refused, Error::InvalidOption { .. }), "{refused}");
    }
    let ring = small().schemas(8).create_anonymous().unwrap();
    let schemas = ring.schemas();
    let room = ring.inspect().schema_room[0];
    assert_eq!((schemas.limit(), room), (8, 128 << 10));
    schemas.add(TABLE, &"x".repeat(1024), 65535, b"").unwrap();
    let add = |version, len| schemas.add(TABLE, "name", version, &vec![1; len]);
    let error = add(1, room as usize).unwrap_err();
    assert!(
        matches!(error, Error::SchemaTooLarge { limit, .. } if limit == room)
            && error.to_string().contains("131072 bytes are for all"),
        "{error}"
    );
    let error = add(1, room as usize - 64).unwrap_err();
    assert!(matches!(error, Error::NoRoomForSchema { .. }), "{error}");
    add(1, 7 * (16 << 10) - 64).unwrap();
    assert!(matches!(add(2, 2048), Err(Error::NoRoomForSchema { .. })));
    for version in 2..=7 {
        add(version, 1984).unwrap();
    }
    let error = add(8, 10).unwrap_err();
    assert!(matches!(error, Error::SchemasFull { limit: 8 }), "{error}");
    assert!(matches!(schemas.want(VALUE, "new", 1..=1), Err(Error::SchemasFull { .. })));
    // What is there is found, and another version of it is still told from it.
    assert_eq!(add(3, 1984).unwrap().id().get(), 4);
    assert!(matches!(add(3, 1983), Err(Error::SchemaConflict(_))));
    let whole = small().schemas(1).create_anonymous().unwrap();
    whole.schemas().add(TABLE, "all", 1, &vec![1; room as usize - 64]).unwrap();
    assert_eq!(whole.inspect().schema_room, [room, room, 1]);
    let none = small().schemas(0).create_anonymous().unwrap();
    assert!(matches!(none.schemas().add(TABLE, "name", 1, b""), Err(Error::NoSchemas)));
    assert!(matches!(small().schemas(4097).create_anonymous(), Err(Error::InvalidOption { .. })));
}

/// R2.4, P2: whoever races, by threads and processes: one id for what is the same, another one for what is not,
/// one winner where they contradict each other; and nothing is left of the losers.
#[test]
fn many_add_at_once() {
    for round in 0..20 {
        let name = name();
        let ring = small().create(name.0.as_str()).unwrap();
        let work = |own: &Schemas, me: u8| {
            (1..=20u16)
                .map(|version| {
                    let len = usize::from(version) * 37 + round;
                    let same = own.add(TABLE, "same", version, &vec![version as u8; len]).unwrap();
                    let mine = own.add(TABLE, &format!("of {me}"), version, &[me]).unwrap();
                    let contradicts = own.add(VALUE, "one", version, &[me]).is_ok();
                    (same.id(), mine.id(), contradicts)
                })
                .collect::<Vec<_>>()
        };
        let (all, killed) = std::thread::scope(|scope| {
            let child = scope.spawn(|| {
                in_child(|| {
                    let own = Segment::open(name.0.as_str()).unwrap().schemas();
                    work(&own, 9);
                    0
                })
            });
            let workers: Vec<_> = (0..3)
                .map(|me| {
                    let own = if me == 0 {
                        ring.clone()
                    } else {
                        Segment::open(name.0.as_str()).unwrap()
                    };
                    scope.spawn(move || work(&own.schemas(), me))
                })
                .collect();
            let all: Vec<_> = workers.into_iter().map(|worker| worker.join().unwrap()).collect();
            (all, child.join().unwrap())
        });
        assert_eq!(killed, 0);
        for version in 0..20 {
            assert!(all.iter().all(|one| one[version].0 == all[0][version].0));
        }
        assert!((0..20).all(|n| all.iter().filter(|one| one[n].2).count() <= 1));
        let mut keys = HashMap::new();
        for schema in ring.schemas().iter() {
            let (kind, name, version, bytes) = key(&schema.unwrap());
            assert_eq!(keys.insert((kind, name, version), bytes), None, "twice");
        }
        assert_eq!(keys.len(), 20 + 4 * 20 + 20);
        assert_eq!(ring.inspect().schema_room[2], keys.len() as u64);
    }
}

/// R2.4: consumers say which versions they read, producers see what all of them do; either side may come
/// first, and what one has said ends with its handle, or with its process.
#[test]
fn producers_see_what_consumers_want() {
    let name = name();
    let ring = small().mode(Mode::Mpmc).create(name.0.as_str()).unwrap();
    let (schemas, other) = (ring.schemas(), Segment::open(name.0.as_str()).unwrap());
    let readable = || schemas.readable(TABLE, "weather").unwrap();
    assert_eq!(readable(), None);
    // Before there is a version.
    let first = other.schemas().want(TABLE, "weather", 1..=3).unwrap();
    assert_eq!(readable(), Some(1..=3));
    assert!(schemas.versions(TABLE, "weather").unwrap().is_empty());
    for version in 1..=5 {
        schemas.add(TABLE, "weather", version, &[version as u8]).unwrap();
    }
    assert_eq!(readable(), Some(1..=3));
    let second = other.schemas().want(TABLE, "weather", 2..=u16::MAX).unwrap();
    let elsewhere = other.schemas().want(VALUE, "weather", 9..=9).unwrap();
    let mine = schemas.want(TABLE, "weather", 2..=5).unwrap();
    assert_eq!(readable(), Some(2..=3));
    assert_eq!(schemas.readable(VALUE, "weather").unwrap(), Some(9..=9));
    let wanted = schemas.wanted(TABLE, "weather").unwrap();
    let said: Vec<_> = wanted.iter().map(|one| (one.pid, one.oldest, one.newest)).collect();
    let pid = std::process::id();
    assert_eq!(said, [(pid, 2, 5), (pid, 2, 3)], "one word for each process");
    let text = ring.inspect().to_string();
    assert!(text.contains("read in versions 2 to 3"), "{text}");
    drop(first);
    assert_eq!(readable(), Some(2..=5));
    let third = other.schemas().want(TABLE, "weather", 6..=6).unwrap();
    assert!(readable().unwrap().is_empty(), "they have no version in common");
    drop((third, mine));
    assert_eq!(readable(), Some(2..=u16::MAX));
    // A forked child has no part in it, and its own ends with it.
    let mut second = Some(second);
    let killed = in_child(|| {
        drop(second.take());
        let own = Segment::open(name.0.as_str()).unwrap().schemas();
        let _theirs = own.want(TABLE, "weather", 3..=4).unwrap();
        assert_eq!(own.readable(TABLE, "weather").unwrap(), Some(3..=4));
        // SAFETY: ends this child at once, with its place in the segment.
        unsafe { libc::kill(libc::getpid(), libc::SIGKILL) }
    });
    assert_eq!(killed, -libc::SIGKILL);
    drop(Segment::open(name.0.as_str()).unwrap());
    drop(elsewhere);
    drop(other);
    let of_value = schemas.readable(VALUE, "weather").unwrap();
    assert_eq!((readable(), of_value), (Some(2..=u16::MAX), None));
}

/// R2.4: a process can speak of ten names, and of an eleventh once it has let go of one.
#[test]
fn what_one_process_wants_is_limited() {
    let ring = small().create_anonymous().unwrap();
    let schemas = ring.schemas();
    let want = |n: u16| schemas.want(TABLE, &format!("name {n}"), 1..=n + 1);
    let mut wants: Vec<_> = (0..10).map(|n| want(n).unwrap()).collect();
    let error = want(10).unwrap_err();
    assert!(matches!(error, Error::TooManyWanted { limit: 10 }), "{error}");
    let again = want(3).unwrap();
    drop(wants.remove(0));
    wants.push(want(10).unwrap());
    for n in 1..=10 {
        assert_eq!(schemas.readable(TABLE, &format!("name {n}")).unwrap(), Some(1..=n + 1));
    }
    drop((wants, again));
    let readable = |n| schemas.readable(TABLE, &format!("name {n}")).unwrap();
    assert!((0..=10).all(|n| readable(n).is_none()));
    #[expect(clippy::reversed_empty_ranges, reason = "on purpose")]
    for wrong in [0..=3, 4..=3] {
        assert!(matches!(schemas.want(TABLE, "x", wrong), Err(Error::InvalidOption { .. })));
    }
}

/// P9: whatever stands in the table, its pool's words and the records, each call ends, with an answer or an
/// error, and nothing is read outside.
#[test]
fn garbage_in_the_schema_table_ends_in_an_error() {
    use std::os::unix::fs::FileExt;
    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let (mut corrupt, mut right) = (0, 0);
    for round in 0..300 {
        let name = name();
        let ring = small().schemas(16).create(name.0.as_str()).unwrap();
        let _want = ring.schemas().want(VALUE, "point", 1..=2).unwrap();
        for n in 1..=8u16 {
            ring.schemas().add(TABLE, "weather", n, &vec![1; 4 << n]).unwrap();
        }
        let parts = ring.inspect().parts;
        let at = |part| parts.iter().find(|(name, _)| *name == part).unwrap().1;
        let (table, records) = (at("schemas"), at("records"));
        let raw = std::fs::OpenOptions::new().write(true).open(file(&name)).unwrap();
        for _ in 0..1 + round % 6 {
            let noise = if round % 2 == 0 { random() } else { random() % 4096 };
            let at = match random() % 4 {
                0 => table + random() % 16 * 8,
                1 => table + 128 + random() % 60 * 8,
                // The words of each record's header, at the smallest blocks' distance.
                2 => records + random() % 32 * 512 + random() % 4 * 8,
                _ => 4096 + 128 + 48 + random() % 10 * 8,
            };
            raw.write_at(&noise.to_le_bytes(), at).unwrap();
        }
        let late = Segment::open(name.0.as_str()).unwrap();
        for schema in late.schemas().iter() {
            match schema {
                Ok(schema) => {
                    let range = schema.as_ptr_range();
                    let inside = late.mapped();
                    assert!(inside.contains(&(range.start as usize)));
                    assert!(range.end as usize <= inside.end);
                    std::hint::black_box(schema.iter().fold(0u8, |sum, byte| sum ^ byte));
                    right += 1;
                }
                Err(error) => {
                    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
                    corrupt += 1;
                }
            }
        }
        let schemas = late.schemas();
        let _ =
            (schemas.add(TABLE, "weather", 9, &[1; 5000]), schemas.add(TABLE, "x", 1, &[1; 70000]));
        let _ = (schemas.latest(TABLE, "weather"), schemas.wanted(VALUE, "point"));
        let _ = (schemas.find(TABLE, "weather", 8), schemas.readable(VALUE, "point"));
        let _ = (schemas.want(VALUE, "other", 1..=3), late.inspect().to_string());
    }
    assert!(corrupt > 50 && right > 500, "{corrupt} corrupt, {right} right");
}

/// R13.2, R14.3: a frame leads to the schema that its header names, also when its consumer is gone.
#[test]
fn a_frame_leads_to_its_schema() {
    let segment = Segment::options().capacity(1 << 20).create_anonymous().unwrap();
    let schema = segment.schemas().add(3, "reading", 7, b"fields").unwrap();
    let mut tx = segment.producer().unwrap();
    let mut rx = segment.consumer().unwrap();
    tx.send(Header::raw().with_schema(&schema), b"rows", &Wait::no()).unwrap();
    tx.send(Header::raw(), b"rows", &Wait::no()).unwrap();
    let unknown = Header { schema_id: 900, schema_version: 1, ..Header::raw() };
    tx.send(unknown, b"rows", &Wait::no()).unwrap();
    let other = Header { schema_version: 8, ..Header::raw().with_schema(&schema) };
    tx.send(other, b"rows", &Wait::no()).unwrap();
    let frames: Vec<_> = (0..4).map(|_| rx.recv(&Wait::no()).unwrap()).collect();
    drop((tx, rx, segment));
    let found = frames[0].schema().unwrap().unwrap();
    assert_eq!((found.name(), found.version(), &*found), ("reading", 7, &b"fields"[..]));
    // What is made of it is made once, and shared by all who ask for the same.
    let mut made = 0;
    let mut len = |bytes: &[u8]| {
        made += 1;
        if made == 1 { Err("not yet") } else { Ok(bytes.len()) }
    };
    assert_eq!(found.made(&mut len), Err("not yet"));
    let again = frames[0].schema().unwrap().unwrap();
    assert_eq!((*found.made(&mut len).unwrap(), *again.made(&mut len).unwrap()), (6, 6));
    let other = found.made(|bytes| Ok::<_, ()>(bytes.to_vec())).unwrap();
    assert_eq!((other.len(), made), (6, 2));
    assert!(frames[1].schema().unwrap().is_none());
    for (frame, says) in [(&frames[2], 0), (&frames[3], 7)] {
        let error = frame.schema().unwrap_err();
        let Error::Corrupt { what, found, .. } = error else { panic!("{error}") };
        assert_eq!((what, found), ("version of the schema of a frame", says));
    }
}
