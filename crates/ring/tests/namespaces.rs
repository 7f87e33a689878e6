//! Peers in another pid namespace, as in another container that shares the file: their pids say nothing here,
//! and ours nothing there.

mod names;
mod without;

use names::*;
use slipring::{Delivery, Error, Header, Mode, Process, Segment, Wait};
use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};
use without::{aloud, spawn, wait};

const AGAIN: Delivery = Delivery::AtLeastOnce { limit: 8 };

fn patient() -> Wait<'static> {
    Wait::for_up_to(Duration::from_secs(20))
}

/// A pid that this `/proc` knows nothing of.
fn unknown(pid: u32) -> bool {
    !Path::new(&format!("/proc/{pid}")).exists()
}

/// Has this process's children born in a pid namespace of their own. The error, if it is refused.
fn enter_namespace() -> Result<(), i32> {
    // SAFETY: concerns this single-threaded process alone.
    let (refused, user) = unsafe { (libc::unshare(libc::CLONE_NEWPID) != 0, libc::geteuid()) };
    if refused {
        // Who is not root may make one only with a user namespace, in which it stays who it is.
        let both = libc::CLONE_NEWUSER | libc::CLONE_NEWPID;
        // SAFETY: as above.
        if unsafe { libc::unshare(both) } != 0 {
            return Err(std::io::Error::last_os_error().raw_os_error().unwrap());
        }
        std::fs::write("/proc/self/uid_map", format!("{user} {user} 1")).unwrap();
    }
    Ok(())
}

/// The next word of a process, or what became of it.
fn hear(from: &mut PipeReader) -> i32 {
    let mut word = [0; 4];
    from.read_exact(&mut word).map_or(-1, |()| i32::from_le_bytes(word))
}

fn say(to: &mut PipeWriter, word: i32) {
    to.write_all(&word.to_le_bytes()).unwrap();
}

fn others(segment: &Segment) -> Vec<Process> {
    // Who joins looks at everybody, and recovers who seems dead.
    drop(Segment::open(segment.path()).unwrap());
    segment.inspect().processes.into_iter().filter(|p| p.pid != std::process::id()).collect()
}

fn until_left(segment: &Segment, count: usize) {
    let start = Instant::now();
    while others(segment).len() > count {
        assert!(start.elapsed() < Duration::from_secs(10), "a dead one is taken for living");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// P6: peers in a pid namespace of their own live as long as they do, whatever runs here under their pids,
/// also for each other where `/proc` is not their own; and are noticed when they die.
#[test]
fn a_peer_in_another_pid_namespace_is_told_by_its_lock() {
    let name = name();
    let segment = small().mode(Mode::Spmc).create(name.0.as_str()).unwrap();
    let bodies = [vec![1; 100_000], vec![2; 100_000]];
    let mut tx = segment.producer().unwrap();
    bodies.iter().for_each(|body| tx.send(Header::raw(), body, &Wait::no()).unwrap());
    drop(tx);

    let ((mut told, mut tell), (mut until, mut end)) = (pipe().unwrap(), pipe().unwrap());
    let father = spawn(|| {
        if let Err(refused) = enter_namespace() {
            say(&mut tell, -refused);
            return 0;
        }
        let first = spawn(|| first_in_namespace(&name, &mut tell, &mut until));
        say(&mut tell, first);
        wait(first);
        0
    });
    let first = hear(&mut told);
    if first < 0 {
        assert_eq!(wait(father), 0);
        // Where it is refused, that is why, and not a mistake of this test's.
        let refusals = [libc::EPERM, libc::EACCES, libc::ENOSPC, libc::EUSERS, libc::ENOSYS];
        assert!(refusals.contains(&-first), "unshare: {}", -first);
        aloud(
            "\nNOT TESTED: this system refuses pid namespaces; only an entry of another namespace that \
             was made by hand is\n",
        );
        return;
    }
    assert_eq!(hear(&mut told), 0, "what the first one in the namespace found");

    // Both hold a frame; one pid is another process's here, one is nobody's.
    let mut pids: Vec<u32> = others(&segment).iter().map(|p| p.pid).collect();
    pids.sort_unstable();
    assert!(pids.len() == 2 && pids[0] == 1 && unknown(pids[1]), "{pids:?}");
    for _ in 0..20 {
        assert!(others(&segment).iter().all(|process| process.alive));
        assert_eq!(segment.inspect().frames.held, 2);
        let taken = segment.producer().unwrap_err();
        assert!(matches!(taken, Error::RoleTaken { pid: 1, .. }), "{taken}");
    }

    // The second dies by its own hand, at a word; the first by ours, and its namespace with it.
    say(&mut end, 0);
    until_left(&segment, 1);
    assert_eq!((others(&segment)[0].pid, segment.inspect().frames.held), (1, 1));
    let mut rx = segment.consumer_with(AGAIN).unwrap();
    let frame = rx.recv(&Wait::no()).unwrap();
    assert_eq!((&*frame, frame.redeliveries()), (&bodies[1][..], 1));
    frame.ack().unwrap();
    assert!(matches!(rx.recv(&Wait::no()), Err(Error::Empty)), "the first one still holds its own");
    // SAFETY: our own grandchild, whom its father has not waited for.
    assert_eq!(unsafe { libc::kill(first, libc::SIGKILL) }, 0);
    until_left(&segment, 0);
    assert!(!unknown(1), "a process of that pid still runs here");
    let frame = rx.recv(&patient()).unwrap();
    assert_eq!((&*frame, frame.redeliveries()), (&bodies[0][..], 1));
    frame.ack().unwrap();
    segment.producer().unwrap();
    assert_eq!(wait(father), 0);
}

/// Takes a frame, has a second one take another, and looks at everybody.
fn first_in_namespace(name: &Name, tell: &mut PipeWriter, until: &mut PipeReader) -> i32 {
    assert_eq!(std::process::id(), 1);
    let segment = Segment::open(name.0.as_str()).unwrap();
    let _tx = segment.producer().unwrap();
    let _held = segment.consumer_with(AGAIN).unwrap().recv(&patient()).unwrap();
    // A pid that is nobody's outside, where the `/proc` is from that we see.
    loop {
        let pid = spawn(|| {
            if !unknown(std::process::id()) {
                return 3;
            }
            let segment = Segment::open(name.0.as_str()).unwrap();
            let mut rx = segment.consumer_with(AGAIN).unwrap();
            let _held = rx.recv(&patient()).unwrap();
            hear(until);
            // SAFETY: this process's own end.
            unsafe { libc::raise(libc::SIGKILL) }
        });
        if !unknown(pid as u32) {
            assert_eq!(wait(pid), 3);
            continue;
        }
        let start = Instant::now();
        while segment.inspect().frames.held < 2 && start.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(Segment::open(name.0.as_str()).unwrap());
        let seen = segment.inspect();
        let live = seen.processes.iter().filter(|process| process.alive).count();
        say(tell, i32::from((live, seen.frames.held) != (3, 2)));
        std::thread::sleep(Duration::from_secs(60));
        return 1;
    }
}

/// P6: the same by an entry made by hand, for systems without namespaces: of another namespace, under a pid
/// that is nobody's here.
#[test]
fn an_entry_of_another_namespace_is_told_by_its_lock() {
    let name = name();
    let segment = small().create(name.0.as_str()).unwrap();
    let (mut told, mut tell) = pipe().unwrap();
    let child = spawn(|| {
        let segment = Segment::open(name.0.as_str()).unwrap();
        let _rx = segment.consumer().unwrap();
        say(&mut tell, 0);
        std::thread::sleep(Duration::from_secs(60));
        1
    });
    assert_eq!(hear(&mut told), 0);
    let parts = segment.inspect().parts;
    let entries = parts.iter().find(|(part, _)| *part == "participants").unwrap().1;
    let raw = std::fs::File::options().read(true).write(true).open(file(&name)).unwrap();
    let nobody = (1..1 << 22).rev().find(|pid| unknown(*pid)).unwrap();
    raw.write_at(&u32::to_le_bytes(nobody), entries + 2 * 128).unwrap();
    raw.write_at(&1u64.to_le_bytes(), entries + 2 * 128 + 16).unwrap();
    for _ in 0..20 {
        assert!(
            matches!(others(&segment)[..], [Process { alive: true, pid, .. }] if pid == nobody)
        );
        assert!(matches!(segment.consumer(), Err(Error::RoleTaken { pid, .. }) if pid == nobody));
    }
    // SAFETY: our own child.
    assert_eq!(unsafe { libc::kill(child, libc::SIGKILL) }, 0);
    assert_eq!(wait(child), -libc::SIGKILL);
    until_left(&segment, 0);
    segment.consumer().unwrap();
}
