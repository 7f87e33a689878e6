//! The public face: what a newcomer does, and what may never happen.

#![allow(clippy::disallowed_types, reason = "tests stand outside the facade")]

mod names;

use names::*;
use slipring::{Delivery, Error, Frame, Header, Mode, Segment, Wait};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

/// P1, P3, P4, P5: frames of all sizes cross, in order, in place.
#[test]
fn frames_of_all_sizes_cross_in_order() {
    let name = name();
    let segment = small().create(name.0.as_str()).unwrap();
    let mut tx = segment.producer().unwrap();
    let other = Segment::open(name.0.as_str()).unwrap();
    let mut rx = other.consumer().unwrap();
    let sizes =
        [0, 1, 63, 64, 191, 192, 193, 448, 449, 5000, 131_008, 131_009, 262_080, 262_081, 1 << 19];
    for (n, size) in sizes.into_iter().enumerate() {
        let body: Vec<u8> = (0..size).map(|i| (i * 7 + n) as u8).collect();
        tx.send(Header { correlation_id: n as u64, ..Header::raw() }, &body, &Wait::no()).unwrap();
        let frame = rx.recv(&Wait::no()).unwrap();
        assert!(*frame == *body, "{size}");
        let header = frame.header();
        assert_eq!((header.sequence, header.correlation_id), (n as u64, n as u64));
        assert_eq!(header.body_len, size as u64);
        assert!(header.created_ns > 1_600_000_000_000_000_000);
        let at = frame.as_ptr() as usize;
        assert!(other.mapped().contains(&at) && at.is_multiple_of(64));
    }
    assert!(matches!(rx.recv(&Wait::no()), Err(Error::Empty)));
}

/// P4: who has reserved more than it needs sends what it wrote.
#[test]
fn a_reservation_may_be_cut() {
    for mode in [Mode::Spsc, Mode::Mpmc] {
        let segment = Segment::options().mode(mode).create_anonymous().unwrap();
        let (mut tx, mut rx) = (segment.producer().unwrap(), segment.consumer().unwrap());
        for (room, len) in [(100, 3), (100_000, 5), (100_000, 0), (10, 20)] {
            let mut grant = tx.reserve(room, &Wait::no()).unwrap();
            grant.fill(7);
            grant.truncate(len);
            tx.commit(grant, Header::raw(), &Wait::no()).unwrap();
            let frame = rx.recv(&Wait::no()).unwrap();
            assert_eq!(
                (&*frame, frame.header().body_len),
                (&*vec![7; len.min(room)], len.min(room) as u64)
            );
        }
    }
}

/// P4, P5: a closure writes and reads in the segment itself; a panic in it sends nothing, keeps nothing.
#[test]
fn closures_work_in_place() {
    let name = name();
    let segment = small().create(name.0.as_str()).unwrap();
    let (mut tx, mut rx) = (segment.producer().unwrap(), segment.consumer().unwrap());
    for len in [0usize, 10, 5000] {
        let inside = |body: &[u8]| segment.mapped().contains(&(body.as_ptr() as usize));
        let write = |body: &mut [u8]| {
            assert!(inside(body));
            body.fill(3);
        };
        tx.send_with(Header::raw(), len, write, &Wait::no()).unwrap();
        rx.ready(&Wait::no()).unwrap();
        let read = |header: &Header, body: &[u8]| (header.body_len, inside(body), body.to_vec());
        assert_eq!(rx.recv_with(read, &Wait::no()).unwrap(), (len as u64, true, vec![3; len]));
        assert!(matches!(rx.ready(&Wait::no()), Err(Error::Empty)));
        let fails = std::panic::AssertUnwindSafe(|| {
            tx.send_with(Header::raw(), len, |_| panic!("on purpose"), &Wait::no())
        });
        assert!(std::panic::catch_unwind(fails).is_err());
        assert!(matches!(rx.recv(&Wait::no()), Err(Error::Empty)));
    }
    let seen = segment.inspect();
    assert_eq!((seen.waiting, seen.frames), (0, Default::default()));
}

/// P4: small frames are taken in a quicker way if they are wanted; all others stay where they are, for the other calls.
#[test]
fn small_frames_are_shown_if_they_are_wanted() {
    let segment = small().create_anonymous().unwrap();
    let (mut tx, mut rx) = (segment.producer().unwrap(), segment.consumer().unwrap());
    let show = |_: &Header, body: &[u8]| body.to_vec();
    assert_eq!(rx.recv_small(|_| true, show).unwrap(), None);
    for (len, fits) in [(10usize, true), (192, true), (193, false)] {
        tx.send(Header::raw(), &vec![1; len], &Wait::no()).unwrap();
        assert_eq!(rx.recv_small(|header| header.body_len != len as u64, show).unwrap(), None);
        let shown = rx.recv_small(|_| true, show).unwrap();
        assert_eq!(shown, fits.then(|| vec![1; len]), "{len}");
        assert_eq!(rx.recv(&Wait::no()).is_err(), fits);
    }
    // Reading that fails takes the frame, and its space is free.
    tx.send(Header::raw(), b"last", &Wait::no()).unwrap();
    let fails =
        std::panic::AssertUnwindSafe(|| rx.recv_small(|_| true, |_, _| panic!("on purpose")));
    assert!(std::panic::catch_unwind(fails).is_err());
    let seen = segment.inspect();
    assert_eq!((seen.waiting, seen.frames), (0, Default::default()));
    for mode in [Mode::Mpmc, Mode::Spsc] {
        let segment = small().mode(mode).create_anonymous().unwrap();
        let manual = Delivery::AtLeastOnce { limit: 8 };
        let (mut tx, mut rx) =
            (segment.producer().unwrap(), segment.consumer_with(manual).unwrap());
        tx.send(Header::raw(), b"to be acknowledged", &Wait::no()).unwrap();
        assert_eq!(rx.recv_small(|_| true, show).unwrap(), None, "{mode:?}");
        rx.recv(&Wait::no()).unwrap().nack().unwrap();
        drop(rx);
        let mut rx = segment.consumer().unwrap();
        assert_eq!(rx.recv_small(|_| true, show).unwrap(), None, "given back, {mode:?}");
        assert_eq!(rx.recv(&Wait::no()).unwrap().redeliveries(), 1);
    }
}

/// P4: reservations are many, committed in another order, some dropped.
#[test]
fn reservations_commit_in_any_order() {
    let name = name();
    let segment = small().create(name.0.as_str()).unwrap();
    let (mut tx, mut rx) = (segment.producer().unwrap(), segment.consumer().unwrap());
    for _ in 0..50 {
        let mut grants: Vec<_> = [10usize, 20, 1000, 300_000, 30]
            .map(|n| Some(tx.reserve(n, &Wait::no()).unwrap()))
            .into();
        for grant in grants.iter_mut().flatten() {
            let n = grant.len() as u8;
            grant.fill(n);
        }
        drop(grants[1].take());
        for index in [3, 0, 4, 2] {
            tx.commit(grants[index].take().unwrap(), Header::raw(), &Wait::no()).unwrap();
        }
        for len in [300_000usize, 10, 30, 1000] {
            let frame = rx.recv(&Wait::no()).unwrap();
            assert!(frame.len() == len && frame.iter().all(|&b| b == len as u8));
        }
    }
    let inspection = segment.inspect();
    assert_eq!((inspection.frames, inspection.waiting), Default::default());
}

/// P5: one view held for ever costs its own block and nothing else.
#[test]
fn a_held_view_stops_nobody() {
    let name = name();
    let segment = small().create(name.0.as_str()).unwrap();
    let (mut tx, mut rx) = (segment.producer().unwrap(), segment.consumer().unwrap());
    let held: Vec<Frame> = [100usize, 1000, 300_000]
        .into_iter()
        .map(|len| {
            tx.send(Header::raw(), &vec![42; len], &Wait::no()).unwrap();
            rx.recv(&Wait::no()).unwrap()
        })
        .collect();
    let body = [1u8; 2000];
    for n in 0..100_000usize {
        tx.send(Header::raw(), &body[..n % 2000], &Wait::no()).unwrap();
        assert_eq!(rx.recv(&Wait::no()).unwrap().len(), n % 2000);
    }
    assert_eq!(segment.inspect().frames.held, 3);
    assert!(held.iter().all(|frame| frame.iter().all(|&b| b == 42)));
    drop((rx, tx, segment));
    assert!(held[2].iter().all(|&b| b == 42), "the mapping lives as long as the last view");
    drop(held);
    assert!(!slipring::list().contains(&name.0), "the last one out takes the name away");
}

/// P7: a full ring is an outcome, at once or after the deadline, and takes frames again later.
#[test]
fn full_is_as_asked_and_passes() {
    let name = name();
    let segment = small().create(name.0.as_str()).unwrap();
    let (mut tx, mut rx) = (segment.producer().unwrap(), segment.consumer().unwrap());
    for _ in 0..8 {
        tx.send(Header::raw(), b"x", &Wait::no()).unwrap();
    }
    assert!(matches!(tx.send(Header::raw(), b"x", &Wait::no()), Err(Error::Full)));
    let (why, pid) = (segment.inspect().why_full(), std::process::id());
    assert_eq!(
        why,
        format!("all 8 slots hold frames that wait; its consumer is this process, {pid}")
    );
    let start = Instant::now();
    let limit = Duration::from_millis(30);
    let late = tx.send(Header::raw(), b"x", &Wait::for_up_to(limit));
    assert!(matches!(late, Err(Error::Timeout)) && start.elapsed() >= limit);
    let grant = tx.reserve(5, &Wait::no()).unwrap();
    let rejected = tx.commit(grant, Header::raw(), &Wait::no()).unwrap_err();
    assert!(matches!(rejected.error, Error::Full));
    assert_eq!(tx.send_batch([(Header::raw(), &b"y"[..])], &Wait::no()).unwrap(), 0);
    rx.recv(&Wait::no()).unwrap();
    tx.commit(rejected.grant.unwrap(), Header::raw(), &Wait::no()).unwrap();
    // The pool can be full too.
    rx.recv(&Wait::no()).unwrap();
    let all = tx.reserve(700_000, &Wait::no()).unwrap();
    assert!(matches!(tx.reserve(1000, &Wait::no()), Err(Error::Full)));
    let why = segment.inspect().why_full();
    assert!(why.contains("pool of 1048576 bytes") && why.contains("1 being filled"), "{why}");
    drop(all);
    tx.reserve(1000, &Wait::no()).unwrap();
    let large = segment.max_body() + 1;
    let error = tx.reserve(large as usize, &Wait::forever()).unwrap_err();
    assert!(matches!(error, Error::TooLarge { len, limit } if len == large && limit == large - 1));
    let mut short = [0u8; 0];
    assert!(matches!(rx.recv_into(&mut short, &Wait::no()), Err(Error::TooLarge { len: 1, .. })));
    assert_eq!(rx.recv(&Wait::no()).unwrap().len(), 1, "it stayed in the ring");
}

/// P8: waiting ends by a frame, by room, by closing, by the caller's own check.
#[test]
fn waits_end_by_news() {
    let name = name();
    let segment = small().create(name.0.as_str()).unwrap();
    let (mut tx, mut rx) = (segment.producer().unwrap(), segment.consumer().unwrap());
    let asleep = Wait::forever().spin(Duration::ZERO);
    assert!(matches!(rx.recv(&asleep.interrupted_by(&|| true)), Err(Error::Interrupted)));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let asleep = Wait::forever().spin(Duration::ZERO);
            for n in 0..20_000u64 {
                let frame = rx.recv(&asleep).unwrap();
                assert_eq!(frame.header().sequence, n);
            }
            assert!(matches!(rx.recv(&asleep), Err(Error::Closed)));
        });
        for n in 0..20_000usize {
            tx.send(Header::raw(), &vec![0; n % 700], &asleep).unwrap();
        }
        std::thread::sleep(Duration::from_millis(20));
        segment.close();
    });
    assert!(matches!(tx.send(Header::raw(), b"", &Wait::no()), Err(Error::Closed)));
}

/// P8: an idle waiter uses no processor time.
#[test]
fn waiting_costs_no_cpu() {
    let name = name();
    let segment = small().create(name.0.as_str()).unwrap();
    let mut rx = segment.consumer().unwrap();
    let cpu = || rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let before = cpu();
    assert!(rx.recv(&Wait::for_up_to(Duration::from_millis(500))).is_err());
    let after = cpu();
    let nanos = (after.tv_sec - before.tv_sec) * 1_000_000_000 + after.tv_nsec - before.tv_nsec;
    assert!(nanos < 25_000_000, "{nanos} ns of 500 ms");
}

/// P2: one of each; the refusal names the process that is there.
#[test]
fn a_second_producer_is_refused_while_the_first_lives() {
    let name = name();
    let segment = small().create(name.0.as_str()).unwrap();
    let tx = segment.producer().unwrap();
    let other = Segment::open(name.0.as_str()).unwrap();
    let pid = std::process::id();
    assert!(matches!(
        other.producer(),
        Err(Error::RoleTaken { role: "producer", pid: p }) if p == pid
    ));
    let told = other.producer().unwrap_err().to_string();
    assert!(told.contains("in this very process") && told.contains(&pid.to_string()), "{told}");
    drop(tx);
    other.producer().unwrap();
}

/// P1, P9: a ring in a file; cut short or grown, it is refused.
#[test]
fn a_ring_in_a_file() {
    let path = std::env::temp_dir().join(name().0.as_str());
    let segment = small().keep(true).create(path.as_path()).unwrap();
    segment.producer().unwrap().send(Header::raw(), &[9; 4000], &Wait::no()).unwrap();
    drop(segment);
    let segment = Segment::open(path.as_path()).unwrap();
    assert_eq!(*segment.consumer().unwrap().recv(&Wait::no()).unwrap(), [9; 4000]);
    drop(segment);
    let len = std::fs::metadata(&path).unwrap().len();
    for wrong in [len - 4096, len + 4096, 100] {
        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(wrong).unwrap();
        assert!(matches!(Segment::open(path.as_path()), Err(Error::Foreign { .. })));
    }
    slipring::unlink(path.as_path()).unwrap();
    assert!(!path.exists());
}

/// The wrap of laps is as good as any other moment.
#[test]
fn laps_wrap() {
    for lap in [(1 << 22) - 2, (1 << 22) - 1, (1 << 44) - 1] {
        let name = name();
        let segment = small().first_lap(lap).create(name.0.as_str()).unwrap();
        for round in 0..6u8 {
            // A fresh pair each time, to find its place in the order anew.
            let (mut tx, mut rx) = (segment.producer().unwrap(), segment.consumer().unwrap());
            for n in 0..7u8 {
                tx.send(Header::raw(), &[round, n], &Wait::no()).unwrap();
            }
            for n in 0..7 {
                assert_eq!(*rx.recv(&Wait::no()).unwrap(), [round, n]);
            }
        }
    }
}

/// Inspection changes nothing and joins nothing.
#[test]
fn inspection_shows_what_is_there() {
    let name = name();
    let segment = small().create(name.0.as_str()).unwrap();
    let (mut tx, mut rx) = (segment.producer().unwrap(), segment.consumer().unwrap());
    for _ in 0..3 {
        tx.send(Header::raw(), &[0; 1000], &Wait::no()).unwrap();
    }
    let frame = rx.recv(&Wait::no()).unwrap();
    let seen = slipring::inspect(name.0.as_str()).unwrap();
    assert_eq!((seen.waiting, seen.frames.held, seen.frames.offered), (2, 1, 2));
    assert_eq!((seen.processes.len(), seen.processes[0].pid), (1, std::process::id()));
    assert!(seen.processes[0].alive && seen.processes[0].produces);
    let text = seen.to_string();
    assert!(text.contains("waiting 2") && text.contains("1 in slabs"), "{text}");
    // What the header says of its origin, and where the parts lie.
    assert_eq!(seen.creator_pid, std::process::id());
    assert_eq!(
        (seen.id, seen.boot_id, seen.keep),
        (segment.inspect().id, segment.inspect().boot_id, false)
    );
    assert_eq!((seen.parts.len(), seen.parts[0]), (11, ("participants", 4096)));
    assert!(text.contains(&format!("by process {} of user", std::process::id())), "{text}");
    assert!(
        text.contains("participants 4096, cursors") && text.contains("features  none"),
        "{text}"
    );
    drop(frame);
}

/// P8: one thread waits for many rings; frames, closing and the bell end its sleep.
#[test]
fn one_watch_waits_for_many_rings() {
    let names: Vec<Name> = (0..3).map(|_| name()).collect();
    let rings: Vec<Segment> =
        names.iter().map(|name| small().create(name.0.as_str()).unwrap()).collect();
    let watched: Vec<_> = rings.iter().map(Segment::readable).collect();
    let (bell, mut heard) = (slipring::Bell::default(), 0);
    let soon = Some(Duration::from_millis(20));
    assert!(slipring::wait_any(&watched, &bell, &mut heard, soon).is_empty());
    let (mut tx, mut rx) = (rings[1].producer().unwrap(), rings[1].consumer().unwrap());
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let ready = slipring::wait_any(&watched, &bell, &mut heard, None);
            assert_eq!(ready, [1]);
            rx.recv(&Wait::no()).unwrap();
            // Nothing is ready now: this one ends by the bell.
            assert!(slipring::wait_any(&watched, &bell, &mut heard, None).is_empty());
            slipring::wait_any(&watched, &bell, &mut heard, None)
        });
        std::thread::sleep(Duration::from_millis(30));
        tx.send(Header::raw(), b"news", &Wait::no()).unwrap();
        std::thread::sleep(Duration::from_millis(30));
        bell.ring();
        std::thread::sleep(Duration::from_millis(30));
        rings[2].close();
        assert_eq!(watch.join().unwrap(), [2]);
    });
}

/// P8: a ring that is watched twice is slept on, not looked at again and again.
#[test]
fn one_ring_may_be_watched_twice() {
    let name = name();
    let ring = small().create(name.0.as_str()).unwrap();
    let watched = vec![ring.readable(); 8];
    let (bell, mut heard) = (slipring::Bell::default(), 0);
    let usage = || {
        let mut used = std::mem::MaybeUninit::<libc::timespec>::uninit();
        // SAFETY: the call fills what it is given.
        let used = unsafe {
            assert_eq!(libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, used.as_mut_ptr()), 0);
            used.assume_init()
        };
        Duration::new(used.tv_sec as u64, used.tv_nsec as u32)
    };
    let before = usage();
    let limit = Some(Duration::from_millis(500));
    assert!(slipring::wait_any(&watched, &bell, &mut heard, limit).is_empty());
    assert!(usage() - before < Duration::from_millis(50));
    ring.close();
    assert_eq!(slipring::wait_any(&watched, &bell, &mut heard, None).len(), 8);
}

/// P7: who waits for room is told when a place or a block is freed, once, and when the ring is
/// closed; what is freed before it says that it waits, it finds by trying once more.
#[test]
fn one_watch_waits_for_room() {
    let name = name();
    let ring = small().slots(8).create(name.0.as_str()).unwrap();
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    let (bell, mut heard) = (slipring::Bell::default(), 0);
    let mut wait = |watched: slipring::Watched, millis| {
        let limit = Some(Duration::from_millis(millis));
        slipring::wait_any(&[watched], &bell, &mut heard, limit) == [0]
    };
    while tx.send(Header::raw(), b"full", &Wait::no()).is_ok() {}
    let watched = ring.writable();
    assert!(!wait(watched.clone(), 20));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(30));
            rx.recv(&Wait::no()).unwrap();
        });
        let start = Instant::now();
        assert!(wait(watched.clone(), 10_000));
        assert!(start.elapsed() < Duration::from_millis(5_000));
    });
    assert!(watched.ready() && !ring.writable().ready());
    tx.send(Header::raw(), b"full again", &Wait::no()).unwrap();

    // A view that is let go of is room for a frame of its size.
    while rx.recv(&Wait::no()).is_ok() {}
    let large = vec![0; 200_000];
    let mut views = Vec::new();
    while tx.send(Header::raw(), &large, &Wait::no()).is_ok() {
        views.push(rx.recv(&Wait::no()).unwrap());
    }
    let watched = ring.writable();
    assert!(!watched.ready());
    drop(views.pop());
    assert!(wait(watched, 10_000));
    tx.send(Header::raw(), &large, &Wait::no()).unwrap();
    let watched = ring.writable();
    ring.close();
    assert!(wait(watched, 10_000));
}

/// P6, P8: at the end of a ring a watch waits, like a consumer, for the frame that is on its way; and not
/// for ever, so that it may be looked after.
#[test]
fn a_watch_waits_for_the_last_frame() {
    let name = name();
    let ring = small().create(name.0.as_str()).unwrap();
    let _tx = ring.producer().unwrap();
    let parts = ring.inspect().parts;
    let cursors = parts.iter().find(|(name, _)| *name == "cursors").unwrap().1;
    let raw = std::fs::File::options().write(true).open(file(&name)).unwrap();
    // As a producer leaves it that is stopped before it places what it has announced.
    let tail = |position: u64| raw.write_at(&position.to_le_bytes(), cursors + 128).unwrap();
    tail(1);
    ring.close();
    let (bell, mut heard, start) = (slipring::Bell::default(), 0, Instant::now());
    let watched = [ring.readable()];
    assert!(!watched[0].ready());
    let limit = Some(Duration::from_secs(10));
    assert_eq!(slipring::wait_any(&watched, &bell, &mut heard, limit), [0]);
    assert!((Duration::from_millis(50)..Duration::from_secs(5)).contains(&start.elapsed()));
    tail(0);
    assert!(ring.readable().ready(), "nothing is to come");
}
