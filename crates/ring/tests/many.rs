//! Rings for many: who gets what, and what happens to frames that nobody acknowledges.

#![allow(clippy::disallowed_types, reason = "tests stand outside the facade")]

use proptest::prelude::*;
use slipring::{Delivery, Error, Frame, Header, Mode, Options, REDELIVERED, Segment, Wait};
use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// A ring whose name goes at the end of its test, whatever is left in it.
struct Ring(Segment);

impl std::ops::Deref for Ring {
    type Target = Segment;
    fn deref(&self) -> &Segment {
        &self.0
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        let _ = slipring::unlink(self.path());
    }
}

fn create(options: Options) -> Ring {
    Ring(named(options))
}

fn named(options: Options) -> Segment {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    options.create(format!("test-many-{}-{n}", std::process::id()).as_str()).unwrap()
}

fn small(mode: Mode) -> Options {
    Segment::options().mode(mode).slots(8).capacity(2 << 20)
}

const MODES: [Mode; 4] = [Mode::Spsc, Mode::Mpsc, Mode::Spmc, Mode::Mpmc];
const MANUAL: Delivery = Delivery::AtLeastOnce { limit: 64 };

fn body(number: u64, len: usize) -> Vec<u8> {
    let mut body = vec![number as u8; len.max(8)];
    body[..8].copy_from_slice(&number.to_le_bytes());
    body
}

fn number(frame: &[u8]) -> u64 {
    assert!(frame[8..].iter().all(|&byte| byte == frame[0]));
    u64::from_le_bytes(frame[..8].try_into().unwrap())
}

/// P2, P6, P7: each mode beside a naive queue, under any order of sends, takes, acknowledgements, frames
/// given back, consumers that go, and views that are held.
#[derive(Clone, Debug)]
enum Step {
    Send(usize),
    Reserve(usize),
    Commit(prop::sample::Index),
    Take,
    Copy,
    Small,
    Ack(prop::sample::Index),
    Nack(prop::sample::Index),
    Drop(prop::sample::Index),
    NewConsumer,
    NewProducer,
}

fn step() -> impl Strategy<Value = Step> {
    let len = prop_oneof![8usize..200, 200usize..5000, Just(150_000)];
    prop_oneof![
        4 => len.clone().prop_map(Step::Send),
        1 => len.prop_map(Step::Reserve),
        1 => any::<prop::sample::Index>().prop_map(Step::Commit),
        4 => Just(Step::Take),
        1 => Just(Step::Copy),
        2 => Just(Step::Small),
        2 => any::<prop::sample::Index>().prop_map(Step::Ack),
        1 => any::<prop::sample::Index>().prop_map(Step::Nack),
        2 => any::<prop::sample::Index>().prop_map(Step::Drop),
        1 => Just(Step::NewConsumer),
        1 => Just(Step::NewProducer),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    #[test]
    fn it_is_a_queue(
        mode in prop::sample::select(MODES.to_vec()),
        manual: bool,
        first_lap in prop::sample::select(vec![0, (1 << 22) - 1, (1 << 60) + 5]),
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let segment = create(small(mode).first_lap(first_lap).max_deliveries(255));
        let delivery = if manual { MANUAL } else { Delivery::AtMostOnce };
        let mut tx = segment.producer().unwrap();
        let mut rx = segment.consumer_with(delivery).unwrap();
        let mut waiting: VecDeque<u64> = VecDeque::new();
        // Given back, in no order; with how often.
        let mut back: HashMap<u64, u8> = HashMap::new();
        let mut held: Vec<(u64, Frame, bool)> = Vec::new();
        let mut grants = Vec::new();
        let (mut next, mut large) = (0, false);
        let give_back = |back: &mut HashMap<u64, u8>, number, frame: &Frame| {
            back.insert(number, frame.redeliveries() + 1);
        };
        for step in steps {
            match step {
                Step::Send(len) => {
                    large |= len > 192;
                    match tx.send(Header::raw(), &body(next, len), &Wait::no()) {
                        Ok(()) => { waiting.push_back(next); next += 1; }
                        // All places are taken, or the pool's space is: nothing else is full.
                        Err(Error::Full) => prop_assert!(
                            waiting.len() == 8
                                || large
                                || !(held.is_empty() && grants.is_empty() && back.is_empty())
                        ),
                        Err(error) => panic!("{error}"),
                    }
                }
                Step::Reserve(len) => {
                    large |= len > 192;
                    if let Ok(mut grant) = tx.reserve(len.max(8), &Wait::no()) {
                        grant.copy_from_slice(&body(next, len));
                        grants.push((next, grant));
                        next += 1;
                    }
                }
                Step::Commit(pick) if !grants.is_empty() => {
                    let (number, grant) = grants.swap_remove(pick.index(grants.len()));
                    match tx.commit(grant, Header::raw(), &Wait::no()) {
                        Ok(()) => waiting.push_back(number),
                        Err(rejected) => prop_assert_eq!(waiting.len(), 8, "{}", rejected.error),
                    }
                }
                Step::Take | Step::Copy => {
                    let mut buffer = vec![0; 150_000];
                    let found = if let Step::Copy = step {
                        rx.recv_into(&mut buffer, &Wait::no()).map(|header| {
                            buffer.truncate(header.body_len as usize);
                            (number(&buffer), header, None)
                        })
                    } else {
                        rx.recv(&Wait::no()).map(|frame| (number(&frame), *frame.header(), Some(frame)))
                    };
                    match found {
                        Ok((number, header, frame)) => {
                            let times = frame.as_ref().map_or(0, Frame::redeliveries);
                            if header.flags & REDELIVERED != 0 {
                                let counted = back.remove(&number);
                                prop_assert!(counted.is_some());
                                prop_assert!(frame.is_none() || counted == Some(times));
                            } else {
                                prop_assert_eq!(Some(number), waiting.pop_front());
                                prop_assert!(back.is_empty() && times == 0);
                            }
                            held.extend(frame.map(|frame| (number, frame, false)));
                        }
                        Err(Error::Empty) => prop_assert!(waiting.is_empty() && back.is_empty()),
                        Err(Error::Unacknowledged { limit: 64 }) => prop_assert!(held.len() >= 64),
                        // A block is less than twice what is in it.
                        Err(Error::ShareHeld { held: bytes, limit }) => {
                            let bodies: usize = held.iter().map(|(_, frame, _)| frame.len()).sum();
                            prop_assert!(bytes >= limit && bodies as u64 > limit / 2);
                        }
                        Err(error) => panic!("{error}"),
                    }
                }
                Step::Small => {
                    let found = rx.recv_small(|_| true, |_, body| number(body)).unwrap();
                    if found.is_some() {
                        prop_assert!(mode == Mode::Spsc && !manual && back.is_empty());
                        prop_assert_eq!(found, waiting.pop_front());
                    }
                }
                Step::Ack(pick) if !held.is_empty() => {
                    let at = pick.index(held.len());
                    let acked = held[at].1.ack();
                    prop_assert!(acked.is_ok() || manual);
                    held[at].2 |= acked.is_ok();
                }
                Step::Nack(pick) if !held.is_empty() => {
                    let (number, frame, acked) = held.swap_remove(pick.index(held.len()));
                    match frame.nack() {
                        Ok(()) => { prop_assert!(manual && !acked); give_back(&mut back, number, &frame); }
                        Err(Error::Acknowledged) => prop_assert!(!manual || acked),
                        Err(error) => panic!("{error}"),
                    }
                }
                Step::Drop(pick) if !held.is_empty() => {
                    let (number, frame, acked) = held.swap_remove(pick.index(held.len()));
                    if manual && !acked { give_back(&mut back, number, &frame); }
                }
                Step::NewConsumer => {
                    drop(rx);
                    rx = segment.consumer_with(delivery).unwrap();
                }
                Step::NewProducer => {
                    drop(tx);
                    tx = segment.producer().unwrap();
                }
                Step::Commit(_) | Step::Ack(_) | Step::Nack(_) | Step::Drop(_) => {}
            }
        }
        drop((held, grants));
        while let Ok(frame) = rx.recv(&Wait::no()) {
            frame.ack().unwrap();
        }
        let left = segment.inspect();
        prop_assert_eq!((left.waiting, left.frames), (0, Default::default()), "{}", left);
    }
}

/// P2, P6: threads of one process on both sides. Each frame comes once, those of one producer in order as
/// each consumer sees them.
#[test]
fn many_threads_lose_and_double_nothing() {
    const EACH: u64 = 20_000;
    for (mode, producers, consumers) in
        [(Mode::Mpmc, 2, 2), (Mode::Mpmc, 3, 1), (Mode::Mpsc, 3, 1), (Mode::Spmc, 1, 3)]
    {
        let segment = create(small(mode));
        let (taken, sum) = (AtomicU64::new(0), AtomicU64::new(0));
        let total = producers * EACH;
        std::thread::scope(|scope| {
            for producer in 0..producers {
                let mut tx = segment.producer().unwrap();
                scope.spawn(move || {
                    for n in 0..EACH {
                        let len = if n % 50 == 0 { 3000 } else { 16 };
                        let body = body(producer << 32 | n, len);
                        tx.send(Header::raw(), &body, &Wait::forever()).unwrap();
                    }
                });
            }
            for _ in 0..consumers {
                let mut rx = segment.consumer().unwrap();
                let (taken, sum, segment) = (&taken, &sum, &*segment);
                scope.spawn(move || {
                    let mut next = HashMap::new();
                    loop {
                        match rx.recv(&Wait::forever()) {
                            Ok(frame) => {
                                let number = number(&frame);
                                let at = next.entry(number >> 32).or_insert(0);
                                assert!(number & 0xffff_ffff >= *at);
                                *at = (number & 0xffff_ffff) + 1;
                                sum.fetch_add(number & 0xffff_ffff, Ordering::Relaxed);
                                if taken.fetch_add(1, Ordering::Relaxed) + 1 == total {
                                    segment.close();
                                }
                            }
                            Err(Error::Closed) => break,
                            Err(error) => panic!("{error}"),
                        }
                    }
                });
            }
        });
        assert_eq!(taken.into_inner(), total, "{mode:?}");
        assert_eq!(sum.into_inner(), producers * (EACH * (EACH - 1) / 2), "{mode:?}");
        let left = segment.inspect();
        assert_eq!((left.waiting, left.frames), (0, Default::default()), "{left}");
    }
}

/// P2: an end that is for one is refused a second time, and one for many is not.
#[test]
fn ends_for_one_and_ends_for_many() {
    for mode in MODES {
        let segment = create(small(mode));
        let (_tx, _rx) = (segment.producer().unwrap(), segment.consumer().unwrap());
        let (tx, rx) = (segment.producer(), segment.consumer());
        assert_eq!(matches!(tx, Err(Error::RoleTaken { .. })), mode.one_producer(), "{mode:?}");
        assert_eq!(matches!(rx, Err(Error::RoleTaken { .. })), mode.one_consumer(), "{mode:?}");
    }
}

/// P6: what a consumer had not acknowledged when it went is delivered again, marked and counted, before
/// new frames; in the end it is a dead letter.
#[test]
fn unacknowledged_frames_come_again_and_end_as_dead_letters() {
    for mode in MODES {
        let segment = create(small(mode).max_deliveries(2));
        let mut tx = segment.producer().unwrap();
        tx.send(Header::raw(), &body(1, 16), &Wait::no()).unwrap();
        tx.send(Header::raw(), &body(2, 4000), &Wait::no()).unwrap();
        for times in 0..=2 {
            let mut rx = segment.consumer_with(MANUAL).unwrap();
            let frames = [rx.recv(&Wait::no()).unwrap(), rx.recv(&Wait::no()).unwrap()];
            for frame in &frames {
                assert_eq!(frame.redeliveries(), times, "{mode:?}");
                assert_eq!(frame.header().flags & REDELIVERED != 0, times > 0);
            }
            assert!(rx.recv_dead().unwrap().is_none());
        }
        tx.send(Header::raw(), &body(3, 16), &Wait::no()).unwrap();
        let mut rx = segment.consumer_with(MANUAL).unwrap();
        let third = rx.recv(&Wait::no()).unwrap();
        assert_eq!(number(&third), 3, "dead letters go round no more");
        third.ack().unwrap();
        let letters: Vec<_> = std::iter::from_fn(|| rx.recv_dead().unwrap()).collect();
        let mut numbers: Vec<_> = letters.iter().map(|frame| number(frame)).collect();
        numbers.sort();
        assert_eq!(numbers, [1, 2], "{mode:?}");
        letters.iter().for_each(|frame| frame.ack().unwrap());
        drop((third, letters));
        assert_eq!(segment.inspect().frames, Default::default());
    }
}

/// P5, P6: acknowledging and letting go of the view are two facts.
#[test]
fn ack_and_view_are_two_facts() {
    let segment = create(small(Mode::Mpmc));
    let mut tx = segment.producer().unwrap();
    let mut rx = segment.consumer_with(Delivery::AtLeastOnce { limit: 2 }).unwrap();
    let mut send = |number| tx.send(Header::raw(), &body(number, 16), &Wait::no()).unwrap();
    (0..4).for_each(&mut send);
    let (first, second) = (rx.recv(&Wait::no()).unwrap(), rx.recv(&Wait::no()).unwrap());
    let refused = rx.recv(&Wait::no()).unwrap_err();
    assert!(matches!(refused, Error::Unacknowledged { limit: 2 }), "{refused}");
    first.ack().unwrap();
    first.ack().unwrap();
    assert!(matches!(first.nack(), Err(Error::Acknowledged)));
    let third = rx.recv(&Wait::no()).unwrap();
    assert_eq!((number(&first), number(&second), number(&third)), (0, 1, 2));
    second.nack().unwrap();
    assert!(matches!(second.ack(), Err(Error::GivenBack)));
    // Its view is still there: nobody else gets it yet.
    assert_eq!(number(&rx.recv(&Wait::no()).unwrap()), 3);
    drop(second);
    // The view of the fourth has gone unacknowledged, too.
    let mut again: Vec<_> = (0..1).map(|_| number(&rx.recv(&Wait::no()).unwrap())).collect();
    again.sort();
    assert!(again == [1] || again == [3]);
    drop(rx);
    assert!(matches!(third.ack(), Err(Error::GivenBack)), "its consumer is gone");
    drop((first, third));
    let mut rx = segment.consumer().unwrap();
    let mut rest: Vec<_> =
        std::iter::from_fn(|| rx.recv(&Wait::no()).ok().map(|frame| number(&frame))).collect();
    rest.sort();
    assert_eq!(rest, [1, 2, 3]);
}

/// P7: the oldest is dropped where the ring was created for it, and both sides can tell.
#[test]
fn the_oldest_is_dropped_where_asked() {
    let segment = create(small(Mode::Mpmc).drop_oldest(true));
    let (mut tx, mut rx) = (segment.producer().unwrap(), segment.consumer().unwrap());
    for n in 0..20 {
        tx.send(Header::raw(), &body(n, 16), &Wait::drop_oldest()).unwrap();
    }
    assert_eq!((tx.dropped(), segment.dropped()), (12, 12));
    for n in 12..20 {
        let frame = rx.recv(&Wait::no()).unwrap();
        assert_eq!((number(&frame), frame.header().sequence), (n, n));
    }
    // The pool's space too, as far as nobody holds it.
    for n in 0..10 {
        tx.send(Header::raw(), &body(n, 900_000), &Wait::drop_oldest()).unwrap();
    }
    let held = rx.recv(&Wait::no()).unwrap();
    assert_eq!(number(&held), 9);
    let refused = tx.send(Header::raw(), &body(0, 900_000), &Wait::drop_oldest());
    assert!(matches!(refused, Err(Error::Full)), "nothing waits that could be dropped");
    drop(held);
    tx.send(Header::raw(), &body(0, 900_000), &Wait::drop_oldest()).unwrap();
    let plain = create(small(Mode::Mpmc));
    let mut tx = plain.producer().unwrap();
    let fill = |tx: &mut slipring::Producer| tx.send(Header::raw(), b"x", &Wait::drop_oldest());
    // At once, and not when it is full for the first time.
    assert!(matches!(fill(&mut tx), Err(Error::InvalidOption { option: "drop_oldest", .. })));
    let spsc = small(Mode::Spsc).drop_oldest(true).create("never-made");
    assert!(matches!(spsc, Err(Error::InvalidOption { option: "drop_oldest", .. })));
}

/// P7: one process can't take the whole pool where there may be others.
#[test]
fn a_process_has_its_share_of_the_pool() {
    let segment = create(small(Mode::Mpmc).slots(64).share(50));
    assert_eq!(segment.max_body(), (1 << 20) - 64);
    let mut tx = segment.producer().unwrap();
    let mut sent = 0u64;
    while tx.send(Header::raw(), &body(sent, 60_000), &Wait::no()).is_ok() {
        sent += 1;
    }
    assert!((15..=17).contains(&sent), "{sent} frames of about 64 KiB in a share of 1 MiB");
    let too_large = tx.send(Header::raw(), &body(0, 1 << 20), &Wait::no()).unwrap_err();
    assert!(matches!(too_large, Error::TooLarge { .. }));
    // Small frames need no pool.
    tx.send(Header::raw(), &body(sent, 16), &Wait::no()).unwrap();
    let mut rx = segment.consumer().unwrap();
    rx.recv(&Wait::no()).unwrap();
    tx.send(Header::raw(), &body(0, 60_000), &Wait::no()).unwrap();
}

/// P7: nor by keeping what it has received; others still get their frames.
#[test]
fn a_process_keeps_its_share_of_the_pool_in_views() {
    let ring = create(small(Mode::Mpmc).slots(64).share(50));
    let [sending, keeping, other] = [(); 3].map(|()| Segment::open(ring.path()).unwrap());
    let (mut tx, mut rx) = (sending.producer().unwrap(), keeping.consumer().unwrap());
    let mut kept = Vec::new();
    let refused = loop {
        while tx.send(Header::raw(), &body(0, 60_000), &Wait::no()).is_ok() {}
        match rx.recv_batch(3, &mut kept, &Wait::no()) {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    let Error::ShareHeld { held, limit } = refused else { panic!("{refused}") };
    assert_eq!(limit, 1 << 20);
    assert!((limit..limit + 65_536).contains(&held), "{held}");
    assert!((15..=17).contains(&kept.len()), "{}", kept.len());
    // What is not there is not withheld.
    assert!(rx.recv_dead().unwrap().is_none());
    while rx.recv_with(|_, _| (), &Wait::no()).is_ok() {}
    assert!(matches!(rx.recv(&Wait::no()), Err(Error::Empty)));
    let limit = Wait::for_up_to(Duration::from_millis(5));
    assert!(matches!(rx.recv(&limit), Err(Error::Timeout)));
    while tx.send(Header::raw(), &body(0, 60_000), &Wait::no()).is_ok() {}
    // What is read and not kept is no question, and others are not kept from anything.
    rx.recv_with(|_, read| assert_eq!(read.len(), 60_000), &Wait::no()).unwrap();
    other.consumer().unwrap().recv(&Wait::no()).unwrap();
    tx.send(Header::raw(), &body(0, 60_000), &Wait::no()).unwrap();
    // Frames in cells take nothing of the pool, and wait behind those that do.
    kept.pop();
    kept.extend(rx.recv(&Wait::no()));
    assert!(matches!(rx.recv(&Wait::no()), Err(Error::ShareHeld { .. })));
    kept.clear();
    assert_eq!(rx.recv_batch(64, &mut kept, &Wait::no()).unwrap(), kept.len());
    // One who may have all of it keeps all of it.
    drop((tx, rx, ring));
    let ring = create(small(Mode::Mpmc).slots(64).share(100));
    let [sending, keeping] = [(); 2].map(|()| Segment::open(ring.path()).unwrap());
    let (mut tx, mut rx) = (sending.producer().unwrap(), keeping.consumer().unwrap());
    kept.clear();
    while tx.send(Header::raw(), &body(0, 60_000), &Wait::no()).is_ok() {
        rx.recv_batch(3, &mut kept, &Wait::no()).unwrap();
    }
    assert!(kept.len() >= 31, "{}", kept.len());
}

/// P5: one view held for ever costs its own block, and nothing else, over millions of frames.
#[test]
fn two_million_frames_pass_a_held_view() {
    millions_pass_a_held_view(Mode::Mpmc);
}

/// P5: also where one produces and one consumes, which go by other ways.
#[test]
fn two_million_frames_of_one_producer_pass_a_held_view() {
    millions_pass_a_held_view(Mode::Spsc);
}

fn millions_pass_a_held_view(mode: Mode) {
    let segment = create(small(mode));
    let (mut tx, mut rx) = (segment.producer().unwrap(), segment.consumer().unwrap());
    tx.send(Header::raw(), &body(7, 16), &Wait::no()).unwrap();
    tx.send(Header::raw(), &body(8, 5000), &Wait::no()).unwrap();
    let held = [rx.recv(&Wait::no()).unwrap(), rx.recv(&Wait::no()).unwrap()];
    for n in 0..2_000_000u64 {
        let len = if n % 64 == 0 { 5000 } else { 16 };
        tx.send_with(
            Header::raw(),
            len,
            |to| to[..8].copy_from_slice(&n.to_le_bytes()),
            &Wait::no(),
        )
        .unwrap();
        rx.recv_with(|_, body| assert_eq!(body[..8], n.to_le_bytes()), &Wait::no()).unwrap();
    }
    assert_eq!((number(&held[0]), number(&held[1])), (7, 8));
    assert_eq!(segment.inspect().frames.held, 2);
}

/// P6: closing loses nothing that a send has answered for.
#[test]
fn closing_waits_for_frames_on_their_way() {
    for round in 0..400 {
        let mode = [Mode::Mpmc, Mode::Spsc][round % 2];
        let segment = create(small(mode));
        let sent = AtomicU64::new(0);
        let got = Mutex::new(0);
        std::thread::scope(|scope| {
            for _ in 0..if mode.one_producer() { 1 } else { 2 } {
                let (mut tx, sent) = (segment.producer().unwrap(), &sent);
                scope.spawn(move || {
                    while tx.send(Header::raw(), b"frame", &Wait::forever()).is_ok() {
                        sent.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
            let mut rx = segment.consumer().unwrap();
            let got = &got;
            scope.spawn(move || {
                loop {
                    match rx.recv(&Wait::forever()) {
                        Ok(_) => *got.lock().unwrap() += 1,
                        Err(Error::Closed) => break,
                        Err(error) => panic!("{error}"),
                    }
                }
            });
            std::thread::sleep(Duration::from_micros(300));
            segment.close();
        });
        assert_eq!(sent.into_inner(), got.into_inner().unwrap());
    }
}

/// Runs in a child made by `fork`, which is killed when it has said that it is ready.
fn killed_in(life: impl FnOnce(&dyn Fn())) {
    // What the crate does once in a process is done before.
    assert!(Segment::open("no-such-ring").is_err());
    let (mut reader, writer) = std::io::pipe().unwrap();
    // SAFETY: the child runs `life` on its one thread and is killed.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        life(&|| {
            use std::io::Write;
            (&writer).write_all(&[1]).unwrap();
            // SAFETY: waits to be killed.
            unsafe { libc::pause() };
        });
        // SAFETY: ends the child.
        unsafe { libc::_exit(1) };
    }
    drop(writer);
    let mut ready = [0];
    std::io::Read::read_exact(&mut reader, &mut ready).unwrap();
    // SAFETY: our own child.
    unsafe {
        libc::kill(pid, libc::SIGKILL);
        assert_eq!(libc::waitpid(pid, std::ptr::null_mut(), 0), pid);
    }
}

fn path(segment: &Segment) -> std::path::PathBuf {
    segment.path().to_owned()
}

/// P6: the name of an empty ring goes with the last handle, and the name of one with frames stays: also
/// with those that a dead consumer had not acknowledged.
#[test]
fn names_go_when_nothing_is_left() {
    for mode in MODES {
        let segment = named(small(mode));
        let path = path(&segment);
        let (mut tx, mut rx) = (segment.producer().unwrap(), segment.consumer().unwrap());
        for n in 0..3 {
            tx.send(Header::raw(), &body(n, 16), &Wait::no()).unwrap();
            rx.recv(&Wait::no()).unwrap();
        }
        drop((tx, rx, segment));
        assert!(!path.exists(), "{mode:?}");
    }
    for mode in MODES {
        let segment = named(small(mode));
        let path = path(&segment);
        segment.producer().unwrap().send(Header::raw(), &body(7, 16), &Wait::no()).unwrap();
        killed_in(|ready| {
            let segment = Segment::open(path.as_path()).unwrap();
            let mut rx = segment.consumer_with(MANUAL).unwrap();
            let _frame = rx.recv(&Wait::no()).unwrap();
            ready();
        });
        drop(segment);
        let segment = Segment::open(path.as_path()).unwrap();
        let frame = segment.consumer().unwrap().recv(&Wait::no()).unwrap();
        assert_eq!((number(&frame), frame.redeliveries()), (7, 1), "{mode:?}");
    }
}

/// P6: a producer that dies while it fills a frame does not keep its successors' consumers from the end.
#[test]
fn what_the_dead_had_begun_is_not_waited_for() {
    for mode in MODES {
        let segment = create(small(mode));
        killed_in(|ready| {
            let segment = Segment::open(segment.path()).unwrap();
            let mut tx = segment.producer().unwrap();
            let _ = tx.send_with(Header::raw(), 16, |_| ready(), &Wait::no());
        });
        let _next = segment.producer().unwrap();
        segment.close();
        let start = std::time::Instant::now();
        let closed = segment.consumer().unwrap().recv(&Wait::for_up_to(Duration::from_secs(3)));
        assert!(matches!(closed, Err(Error::Closed)), "{mode:?}: {closed:?}");
        assert!(start.elapsed() < Duration::from_secs(1));
    }
}

/// P5: views that are held, and a pool that is full of them, don't fill a ring in which nothing waits.
#[test]
fn held_views_leave_the_other_cells() {
    for mode in MODES {
        let segment = create(small(mode).slots(64).capacity(256 << 10).share(100));
        let (mut tx, mut rx) = (segment.producer().unwrap(), segment.consumer().unwrap());
        let mut held = Vec::new();
        for len in [8, 8, 8, 8, 8, 200_000] {
            tx.send(Header::raw(), &body(1, len), &Wait::no()).unwrap();
            held.push(rx.recv(&Wait::no()).unwrap());
        }
        for n in 0..200 {
            tx.send(Header::raw(), &body(n, 16), &Wait::no()).unwrap();
            assert_eq!(number(&rx.recv(&Wait::no()).unwrap()), n, "{mode:?}");
        }
        assert!(held.iter().all(|frame| number(frame) == 1));
    }
}

/// P7: the share is the process's, whatever its handles; and who has used it up drops what is its own, not
/// what others have sent.
#[test]
fn a_share_is_a_process_s() {
    let options = small(Mode::Mpmc).slots(64).capacity(4 << 20).share(50).drop_oldest(true);
    let segment = create(options);
    let mut handles: Vec<_> = (0..3).map(|_| segment.producer().unwrap()).collect();
    let sent = (0..90)
        .filter(|n| handles[n % 3].send(Header::raw(), &[0; 60_000], &Wait::no()).is_ok())
        .count();
    assert!((31..=34).contains(&sent), "{sent} frames of 64 KiB in a share of 2 MiB");
    let dropping = handles[0].send(Header::raw(), &[1; 60_000], &Wait::drop_oldest());
    assert!(dropping.is_ok() && segment.dropped() > 0);
    let mut rx = segment.consumer().unwrap();
    let views: Vec<_> = std::iter::from_fn(|| rx.recv(&Wait::no()).ok()).collect();
    assert!(views.len() >= sent - 2);
    // All that this process may have it has in views; another one's frame is not its to drop.
    let path = path(&segment);
    killed_in(|ready| {
        let mut tx = Segment::open(path.as_path()).unwrap().producer().unwrap();
        tx.send(Header::raw(), &[7; 60_000], &Wait::no()).unwrap();
        ready();
    });
    let before = segment.dropped();
    let refused = handles[0].send(Header::raw(), &[1; 60_000], &Wait::drop_oldest());
    assert!(matches!(refused, Err(Error::Full)), "{refused:?}");
    assert_eq!(segment.dropped(), before);
    assert_eq!(rx.recv_with(|_, body| body[0], &Wait::no()).unwrap(), 7);
}

/// P7: who was once refused for its share is not refused for it where slots are what is missing.
#[test]
fn an_old_share_is_no_reason() {
    let segment = create(small(Mode::Mpmc).share(25).drop_oldest(true));
    let (mut tx, mut rx) = (segment.producer().unwrap(), segment.consumer().unwrap());
    tx.send(Header::raw(), &[0; 400_000], &Wait::no()).unwrap();
    let _view = rx.recv(&Wait::no()).unwrap();
    let beyond = tx.send(Header::raw(), &[0; 400_000], &Wait::drop_oldest());
    assert!(matches!(beyond, Err(Error::Full)), "{beyond:?}");
    let path = path(&segment);
    killed_in(|ready| {
        let mut tx = Segment::open(path.as_path()).unwrap().producer().unwrap();
        while tx.send(Header::raw(), &body(1, 16), &Wait::no()).is_ok() {}
        ready();
    });
    tx.send(Header::raw(), &body(2, 16), &Wait::drop_oldest()).unwrap();
    assert_eq!(segment.dropped(), 1);
}

/// P6: who finds a full ring closed, or waits for room in one that is then closed, is told so, and drops
/// nothing.
#[test]
fn a_full_ring_says_that_it_is_closed() {
    for mode in MODES {
        let segment = create(small(mode).drop_oldest(mode != Mode::Spsc));
        let mut tx = segment.producer().unwrap();
        while tx.send(Header::raw(), &body(1, 16), &Wait::no()).is_ok() {}
        let waited = std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                tx.send(Header::raw(), &body(2, 16), &Wait::for_up_to(Duration::from_secs(10)))
            });
            std::thread::sleep(Duration::from_millis(30));
            segment.close();
            waiter.join().unwrap()
        });
        assert!(matches!(waited, Err(Error::Closed)), "{mode:?}: {waited:?}");
        let mut waits = vec![Wait::no()];
        waits.extend((mode != Mode::Spsc).then(Wait::drop_oldest));
        for wait in waits {
            for len in [16, 100_000] {
                let told = tx.send(Header::raw(), &body(2, len), &wait);
                assert!(matches!(told, Err(Error::Closed)), "{mode:?}: {told:?}");
            }
        }
        let mut rx = segment.consumer().unwrap();
        let waiting = std::iter::from_fn(|| rx.recv(&Wait::no()).ok()).count();
        assert_eq!((segment.dropped(), waiting), (0, 8), "{mode:?}");
    }
}

/// P6: a batch ends at the limit of unacknowledged frames, and the next call is judged anew.
#[test]
fn a_batch_ends_at_the_limit() {
    let segment = create(small(Mode::Mpmc));
    let mut tx = segment.producer().unwrap();
    let mut rx = segment.consumer_with(Delivery::AtLeastOnce { limit: 3 }).unwrap();
    (0..5).for_each(|n| tx.send(Header::raw(), &body(n, 16), &Wait::no()).unwrap());
    let mut frames = Vec::new();
    assert_eq!(rx.recv_batch(8, &mut frames, &Wait::no()).unwrap(), 3);
    assert!(matches!(rx.recv(&Wait::no()), Err(Error::Unacknowledged { limit: 3 })));
    frames.drain(..).for_each(|frame| frame.ack().unwrap());
    assert_eq!(rx.recv_batch(8, &mut frames, &Wait::no()).unwrap(), 2);
    frames.drain(..).for_each(|frame| frame.ack().unwrap());
}

/// Sends the frame 7, to a process that is killed before it has acknowledged it.
fn die_with_a_frame(segment: &Segment, tx: &mut slipring::Producer) {
    tx.send(Header::raw(), &body(7, 16), &Wait::no()).unwrap();
    killed_in(|ready| {
        let segment = Segment::open(segment.path()).unwrap();
        let mut rx = segment.consumer_with(MANUAL).unwrap();
        let _frame = rx.recv(&Wait::no()).unwrap();
        ready();
    });
}

/// P6: a consumer that only polls notices a death, too.
#[test]
fn who_polls_sees_to_the_dead() {
    let segment = create(small(Mode::Mpmc));
    let mut tx = segment.producer().unwrap();
    die_with_a_frame(&segment, &mut tx);
    let mut rx = segment.consumer().unwrap();
    let start = std::time::Instant::now();
    let frame = loop {
        match rx.recv(&Wait::no()) {
            Ok(frame) => break frame,
            Err(Error::Empty) => std::thread::sleep(Duration::from_micros(500)),
            Err(error) => panic!("{error}"),
        }
        assert!(start.elapsed() < Duration::from_secs(5));
    };
    assert_eq!(number(&frame), 7);
}

/// P6: a producer that takes its time to fill a frame learns that the ring was closed meanwhile; and a
/// reservation that comes too late is given back to its owner.
#[test]
fn a_frame_filled_too_late_is_not_sent() {
    for mode in MODES {
        let segment = create(small(mode));
        let mut tx = segment.producer().unwrap();
        let grant = tx.reserve(16, &Wait::no()).unwrap();
        let late = tx.send_with(Header::raw(), 16, |_| segment.close(), &Wait::no());
        assert!(matches!(late, Err(Error::Closed)), "{mode:?}: {late:?}");
        let rejected = tx.commit(grant, Header::raw(), &Wait::no()).unwrap_err();
        assert!(matches!(rejected.error, Error::Closed) && rejected.grant.is_some());
        drop(rejected);
        assert!(matches!(segment.consumer().unwrap().recv(&Wait::no()), Err(Error::Closed)));
        assert_eq!(segment.inspect().frames, Default::default());
    }
}

/// R9.1: dead letters that fill the pool are named as what fills it.
#[test]
fn a_pool_full_of_dead_letters_says_so() {
    let segment = create(small(Mode::Mpmc).capacity(256 << 10).share(100).max_deliveries(0));
    let mut tx = segment.producer().unwrap();
    let mut rx = segment.consumer_with(MANUAL).unwrap();
    tx.send(Header::raw(), &[1; 200_000], &Wait::no()).unwrap();
    rx.recv(&Wait::no()).unwrap().nack().unwrap();
    assert!(matches!(tx.send(Header::raw(), &[2; 200_000], &Wait::no()), Err(Error::Full)));
    let why = segment.inspect().why_full();
    assert!(why.contains("1 dead letters keep their memory"), "{why}");
    drop(rx.recv_dead().unwrap());
}

/// P6: who is busy sees to the dead, too.
#[test]
fn who_is_busy_sees_to_the_dead() {
    let segment = create(small(Mode::Mpmc));
    let mut tx = segment.producer().unwrap();
    die_with_a_frame(&segment, &mut tx);
    let mut rx = segment.consumer().unwrap();
    let start = std::time::Instant::now();
    let came = (0..).find_map(|_| {
        tx.send(Header::raw(), &body(1, 16), &Wait::no()).unwrap();
        let frame = rx.recv(&Wait::no()).unwrap();
        assert!(start.elapsed() < Duration::from_secs(5), "not seen to");
        (number(&frame) == 7).then_some(frame.redeliveries())
    });
    assert_eq!(came, Some(1));
    let _ = rx.recv(&Wait::no());
}
