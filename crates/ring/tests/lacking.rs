//! Rings on hosts that lack what newer kernels have: everything works, if slower.

mod names;
mod without;

use names::*;
use slipring::{Bell, Delivery, Error, Header, Mode, Segment, Wait, wait_any};
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};
use without::*;

const OLD: [Lack; 2] = [Lack::Membarrier, Lack::Populate];
const NO_FUTEX: [Lack; 2] = [Lack::Futex, Lack::FutexWaitv];

/// Of this size a frame takes memory from the pool, every third one fresh.
fn len(n: u8) -> usize {
    if n.is_multiple_of(3) { 1000 + usize::from(n) * 1000 } else { usize::from(n) }
}

fn patient() -> Wait<'static> {
    Wait::for_up_to(Duration::from_secs(30)).spin(Duration::ZERO)
}

/// How often this thread has gone to sleep.
fn sleeps() -> i64 {
    // SAFETY: an all-zero `rusage` is a valid one, and the call fills it.
    unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        assert_eq!(libc::getrusage(libc::RUSAGE_THREAD, &mut usage), 0);
        usage.ru_nvcsw
    }
}

/// Sends back what comes from `there`.
fn echo(there: &Segment, back: &Segment, count: u8) {
    let (mut rx, mut tx) = (there.consumer().unwrap(), back.producer().unwrap());
    for _ in 0..count {
        let frame = rx.recv(&patient()).unwrap();
        tx.send(Header::raw(), &frame, &patient()).unwrap();
    }
}

/// P8: where calls are missing or forbidden on one side, waiting is shorter sleeps or looking again and
/// again, and works with a side that has them.
#[test]
fn hosts_of_two_kinds_share_a_ring() {
    for lacking in [NO_FUTEX, OLD] {
        let (name, back) = (name(), name());
        let there = small().create(name.0.as_str()).unwrap();
        let here = small().create(back.0.as_str()).unwrap();
        let (mut tx, mut rx) = (there.producer().unwrap(), here.consumer().unwrap());
        let sending = std::thread::spawn(move || {
            for n in 0..40 {
                tx.send(Header::raw(), &vec![n; len(n)], &Wait::forever()).unwrap();
                std::thread::sleep(Duration::from_millis(u64::from(n % 3)));
            }
        });
        let receiving = std::thread::spawn(move || {
            // The child finds its ring full before this looks.
            std::thread::sleep(Duration::from_millis(100));
            for n in 0..40 {
                assert_eq!(*rx.recv(&Wait::forever()).unwrap(), vec![n; len(n)]);
            }
        });
        let child = on_a_host_without(&lacking, || {
            let there = Segment::open(name.0.as_str()).unwrap();
            let back = Segment::open(back.0.as_str()).unwrap();
            let start = Instant::now();
            echo(&there, &back, 40);
            sleeps_are_short(&there, &mut there.consumer().unwrap());
            i32::from(start.elapsed() > Duration::from_secs(20))
        });
        assert_eq!(child, 0, "{lacking:?}");
        sending.join().unwrap();
        receiving.join().unwrap();
    }
}

/// P6, P8, P9: without `membarrier` and `MADV_POPULATE_WRITE` on either side frames go there and back, waits
/// end, memory is given before it is lent, and the dead are recovered.
#[test]
fn an_old_host_has_all_of_a_ring() {
    // What the crate does once in a process is done before the fork, and not half done in the child.
    assert!(Segment::open("no-such-ring").is_err());
    for mode in [Mode::Spsc, Mode::Mpmc] {
        let (name, back) = (name(), name());
        let all = || {
            let there = small().mode(mode).create(name.0.as_str()).unwrap();
            let here = small().mode(mode).create(back.0.as_str()).unwrap();
            let echoing = spawn(|| {
                let there = Segment::open(name.0.as_str()).unwrap();
                echo(&there, &Segment::open(back.0.as_str()).unwrap(), 200);
                0
            });
            let (mut tx, mut rx) = (there.producer().unwrap(), here.consumer().unwrap());
            for n in 0..200 {
                tx.send(Header::raw(), &vec![n; len(n)], &patient()).unwrap();
                assert_eq!(*rx.recv(&patient()).unwrap(), vec![n; len(n)]);
            }
            assert_eq!(wait(echoing), 0);
            sleeps_are_short(&here, &mut rx);
            memory_comes_before_it_is_lent(&there, &name, &mut tx);
            the_dead_are_recovered(&there, &name, &mut tx);
            0
        };
        assert_eq!(on_a_host_without(&OLD, all), 0, "{mode:?}");
    }
}

/// Nobody wakes who sleeps without a futex; and a publisher that is not made to fence may not have seen who
/// announced a sleep.
fn sleeps_are_short(here: &Segment, rx: &mut slipring::Consumer) {
    let before = sleeps();
    let short = Wait::for_up_to(Duration::from_millis(300)).spin(Duration::ZERO);
    assert!(matches!(rx.recv(&short), Err(Error::Timeout)));
    let slept = sleeps() - before;
    assert!(slept >= 20, "{slept} sleeps in 300 ms, of 1 ms at most, in {here:?}");
}

/// What a process can't touch by a page fault that might end in a signal, it is not given.
fn memory_comes_before_it_is_lent(there: &Segment, name: &Name, tx: &mut slipring::Producer) {
    let taken = || std::fs::metadata(file(name)).unwrap().blocks() * 512;
    assert!(tx.trim() > 0);
    let before = taken();
    let grant = tx.reserve(400_000, &Wait::no()).unwrap();
    assert!(taken() >= before + 400_000, "{} and then {}", before, taken());
    drop(grant);
    assert_eq!(there.inspect().frames, Default::default());
}

/// Both that died with a frame in hand, and that died in its sending.
fn the_dead_are_recovered(there: &Segment, name: &Name, tx: &mut slipring::Producer) {
    let body = vec![7; 200_000];
    tx.send(Header::raw(), &body, &patient()).unwrap();
    let dying = spawn(|| {
        let there = Segment::open(name.0.as_str()).unwrap();
        let delivery = Delivery::AtLeastOnce { limit: 8 };
        let frame = there.consumer_with(delivery).unwrap().recv(&patient()).unwrap();
        assert_eq!((frame.len(), frame.redeliveries()), (200_000, 0));
        // SAFETY: this child's own end.
        unsafe { libc::raise(libc::SIGKILL) }
    });
    assert_eq!(wait(dying), -libc::SIGKILL);
    let delivery = Delivery::AtLeastOnce { limit: 8 };
    let mut rx = there.consumer_with(delivery).unwrap();
    let again = rx.recv(&patient()).unwrap();
    assert_eq!((&*again, again.redeliveries()), (&body[..], 1));
    again.ack().unwrap();
    drop((again, rx));
    if !there.mode().one_producer() {
        let dying = spawn(|| {
            let there = Segment::open(name.0.as_str()).unwrap();
            std::mem::forget(there.producer().unwrap().reserve(300_000, &patient()).unwrap());
            // SAFETY: this child's own end.
            unsafe { libc::raise(libc::SIGKILL) }
        });
        assert_eq!(wait(dying), -libc::SIGKILL);
        assert_eq!(there.inspect().frames.filling, 1);
    }
    drop(Segment::open(name.0.as_str()).unwrap());
    assert_eq!((there.inspect().frames, there.inspect().processes.len()), (Default::default(), 1));
}

/// P8: without `futex_waitv` many rings are watched by looking at them every 2 ms, for frames and for room;
/// the bell is slept on.
#[test]
fn a_host_without_waitv_watches_many_rings() {
    let names = [name(), name()];
    let [first, second] = [0, 1].map(|n: usize| small().create(names[n].0.as_str()).unwrap());
    let (mut tx, mut rx) = (first.producer().unwrap(), second.consumer().unwrap());
    let mut filling = second.producer().unwrap();
    while filling.send(Header::raw(), b"x", &Wait::no()).is_ok() {}
    drop(filling);
    let sending = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        tx.send(Header::raw(), b"frame", &Wait::no()).unwrap();
        std::thread::sleep(Duration::from_millis(300));
        while rx.recv(&Wait::no()).is_ok() {}
    });
    let child = on_a_host_without(&[Lack::FutexWaitv], || {
        let [first, second] = [0, 1].map(|n: usize| Segment::open(names[n].0.as_str()).unwrap());
        let (bell, mut heard) = (Bell::default(), 0);
        let long = Some(Duration::from_secs(20));
        let (before, begun) = (sleeps(), Instant::now());
        let ready = wait_any(&[second.writable(), first.readable()], &bell, &mut heard, long);
        // Either is news: after a tick room is to be looked for.
        assert!(!ready.is_empty() && begun.elapsed() < Duration::from_secs(10));
        let ready = wait_any(&[first.readable()], &bell, &mut heard, long);
        assert_eq!(ready, [0]);
        let slept = sleeps() - before;
        assert!(slept >= 20, "{slept} sleeps, of 2 ms each");
        first.consumer().unwrap().recv(&Wait::no()).unwrap();
        let mut tx = second.producer().unwrap();
        while tx.send(Header::raw(), b"y", &Wait::no()).is_err() {
            assert_eq!(wait_any(&[second.writable()], &bell, &mut heard, long), [0]);
        }
        let nothing = Some(Duration::from_millis(50));
        assert!(wait_any(&[first.readable()], &bell, &mut heard, nothing).is_empty());
        // The bell, beside a ring and alone.
        for rings in [vec![first.readable()], vec![]] {
            let begun = Instant::now();
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    std::thread::sleep(Duration::from_millis(50));
                    bell.ring();
                });
                let before = sleeps();
                assert!(wait_any(&rings, &bell, &mut heard, long).is_empty());
                // Nothing is looked at where there is nothing but the bell.
                assert!(!rings.is_empty() || sleeps() - before < 10);
            });
            assert!(begun.elapsed() < Duration::from_secs(10));
        }
        0
    });
    assert_eq!(child, 0);
    sending.join().unwrap();
}

/// P9: where memory can't be locked as it comes into use, none is, nor is the pool's taken for it; and where there
/// are no huge pages, that is said. The ring works on.
#[test]
fn what_an_old_host_can_not_lock_or_map_is_said() {
    let name = name();
    let child = on_a_host_without(&[Lack::Mlock2, Lack::HugePages], || {
        let segment = Segment::options().capacity(8 << 20).create(name.0.as_str()).unwrap();
        let taken = || std::fs::metadata(file(&name)).unwrap().blocks();
        let before = taken();
        for (refused, what, why) in [
            (segment.lock_memory(), "lock", "not implemented"),
            (segment.use_huge_pages(), "use huge pages for", "Invalid argument"),
        ] {
            let told = refused.unwrap_err().to_string();
            let begin = format!("{what} {}: ", file(&name).display());
            assert!(told.starts_with(&begin) && told.contains(why), "{told}");
        }
        assert!(!mapped_with(&name, "lo") && !mapped_with(&name, "hg"));
        assert_eq!(taken(), before);
        segment.producer().unwrap().send(Header::raw(), &[7; 100_000], &Wait::no()).unwrap();
        i32::from(*segment.consumer().unwrap().recv(&Wait::no()).unwrap() != [7; 100_000])
    });
    assert_eq!(child, 0);
}
