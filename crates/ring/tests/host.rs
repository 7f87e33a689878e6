//! Rings and the system under them: processes, descriptors, memory, sleep.

#![allow(clippy::disallowed_types, reason = "tests stand outside the facade")]

mod names;

use names::*;
use slipring::{Error, Header, Mode, Segment, Wait};
use std::time::{Duration, Instant};

/// P6: handles of the parent do nothing in a forked child, and say so.
#[test]
fn a_forked_child_is_told() {
    let name = name();
    let segment = small().create(name.0.as_str()).unwrap();
    let (mut tx, mut rx) = (segment.producer().unwrap(), segment.consumer().unwrap());
    tx.send(Header::raw(), b"mine", &Wait::no()).unwrap();
    let frame = rx.recv(&Wait::no()).unwrap();
    let mut handles = Some((frame, tx, rx, segment));
    let status = in_child(|| {
        let (frame, mut tx, mut rx, segment) = handles.take().unwrap();
        let told = matches!(tx.send(Header::raw(), b"", &Wait::no()), Err(Error::Forked { .. }))
            && matches!(rx.recv(&Wait::no()), Err(Error::Forked { .. }))
            && matches!(segment.producer(), Err(Error::Forked { .. }));
        drop((frame, tx, rx, segment));
        if told { 0 } else { 1 }
    });
    assert_eq!(status, 0);
    let (frame, mut tx, _rx, segment) = handles.unwrap();
    assert_eq!(segment.inspect().frames.held, 1, "the child released nothing");
    assert_eq!(&*frame, b"mine");
    tx.send(Header::raw(), b"on", &Wait::no()).unwrap();
}

/// P6: what a forked child tries leaves nothing in its parent's ring.
#[test]
fn a_forked_child_leaves_nothing() {
    for mode in [Mode::Spsc, Mode::Mpsc, Mode::Spmc, Mode::Mpmc] {
        let name = name();
        let segment = small().mode(mode).create(name.0.as_str()).unwrap();
        let mut tx = segment.producer().unwrap();
        let status = in_child(|| {
            let told = [8, 100_000].map(|len| tx.send(Header::raw(), &vec![0; len], &Wait::no()));
            told.iter().filter(|told| !matches!(told, Err(Error::Forked { .. }))).count() as i32
        });
        assert_eq!((status, segment.inspect().frames), (0, Default::default()), "{mode:?}");
    }
}

/// P6: a child that is born while a frame is filled, and fails there, takes nothing of its parent's back.
#[test]
fn a_child_born_in_the_filling_takes_nothing_back() {
    for mode in [Mode::Spsc, Mode::Mpmc] {
        let name = name();
        let segment = small().mode(mode).create(name.0.as_str()).unwrap();
        let mut tx = segment.producer().unwrap();
        let parent = std::process::id();
        let sent = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let fork = |body: &mut [u8]| {
                // SAFETY: the child unwinds to the end of this block and leaves by `_exit`; it is waited for.
                unsafe {
                    match libc::fork() {
                        0 => std::panic::resume_unwind(Box::new(())),
                        child => assert_eq!(libc::waitpid(child, &mut 0, 0), child),
                    }
                }
                let words = segment.inspect().frames;
                // Among many the cell is claimed while it is filled.
                assert_eq!(words.filling, u64::from(mode == Mode::Mpmc), "{mode:?}");
                body.fill(7);
            };
            tx.send_with(Header::raw(), 8, fork, &Wait::no())
        }));
        if std::process::id() != parent {
            // SAFETY: ends the child without running anything of the parent's.
            unsafe { libc::_exit(0) };
        }
        sent.unwrap().unwrap();
        let mut rx = segment.consumer().unwrap();
        assert_eq!(*rx.recv(&Wait::no()).unwrap(), [7; 8]);
        assert_eq!(segment.inspect().frames, Default::default(), "{mode:?}");
    }
}

/// A child that becomes the ring's consumer and then does `then`; the parent goes on once it is one.
fn consumer_in_a_child(name: &Name, segment: &Segment, then: impl FnOnce()) -> i32 {
    // SAFETY: the child opens the ring anew and leaves by `_exit` or `exec`.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let rx = Segment::open(name.0.as_str()).and_then(|segment| segment.consumer());
        then();
        drop(rx);
        // SAFETY: ends the child without running anything of the parent's.
        unsafe { libc::_exit(0) };
    }
    let start = Instant::now();
    while !segment.inspect().processes.iter().any(|process| process.consumes) {
        assert!(start.elapsed() < Duration::from_secs(10), "the child got nowhere");
        std::thread::sleep(Duration::from_millis(1));
    }
    pid
}

fn kill(pid: i32) {
    // SAFETY: our own child.
    unsafe {
        libc::kill(pid, libc::SIGKILL);
        libc::waitpid(pid, std::ptr::null_mut(), 0);
    }
}

/// P6: a process lives whatever its name is made of, and whether or not we have a descriptor left.
#[test]
fn the_living_are_not_taken_for_dead() {
    let name = name();
    let segment = small().create(name.0.as_str()).unwrap();
    let pid = consumer_in_a_child(&name, &segment, || {
        // SAFETY: sets this child's own name, to bytes that are no text.
        unsafe { libc::prctl(libc::PR_SET_NAME, c"\xff) Z \xfe".as_ptr()) };
        std::thread::sleep(Duration::from_secs(60));
    });
    std::thread::sleep(Duration::from_millis(50));
    let refused = |error| matches!(error, Err(Error::RoleTaken { pid: p, .. }) if p == pid as u32);
    assert!(refused(segment.consumer().map(drop)));
    let mut none_left = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        none_left.push(file);
    }
    assert!(refused(segment.consumer().map(drop)));
    drop(none_left);
    kill(pid);
    segment.consumer().unwrap();
}

/// P6: who becomes another program has left the ring, though its pid and start time stay.
#[test]
fn another_program_is_not_a_participant() {
    let name = name();
    let segment = small().create(name.0.as_str()).unwrap();
    let pid = consumer_in_a_child(&name, &segment, || {
        std::thread::sleep(Duration::from_millis(50));
        let words = [c"sleep".as_ptr(), c"60".as_ptr(), std::ptr::null()];
        // SAFETY: a list of strings with a null at its end.
        unsafe { libc::execvp(words[0], words.as_ptr()) };
    });
    let start = Instant::now();
    while let Err(error) = segment.consumer() {
        assert!(matches!(error, Error::RoleTaken { .. }), "{error}");
        assert!(start.elapsed() < Duration::from_secs(10), "still taken for the consumer");
        std::thread::sleep(Duration::from_millis(5));
    }
    // SAFETY: asks whether our own child still runs.
    assert_eq!(unsafe { libc::kill(pid, 0) }, 0);
    kill(pid);
}

/// P6: two that leave at once leave no name behind; a forked child does not keep the ring locked.
#[test]
fn the_last_to_leave_takes_the_name_away() {
    for _ in 0..30 {
        let name = name();
        let one = small().create(name.0.as_str()).unwrap();
        let two = Segment::open(name.0.as_str()).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(move || drop(one));
            scope.spawn(move || drop(two));
        });
        assert!(!file(&name).exists());
    }
    let name = name();
    let segment = small().keep(true).create(name.0.as_str()).unwrap();
    // SAFETY: the child only sleeps until it is killed.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        std::thread::sleep(Duration::from_secs(60));
        // SAFETY: ends the child.
        unsafe { libc::_exit(0) };
    }
    drop(segment);
    Segment::open(name.0.as_str()).unwrap();
    kill(pid);
}

/// P1, P9: a segment without a name, handed to a child, sealed, and gone with the last handle.
#[test]
fn an_anonymous_segment_is_handed_to_a_child() {
    let segment = small().create_anonymous().unwrap();
    let (mut tx, shared) = (segment.producer().unwrap(), segment.share().unwrap());
    use std::os::fd::AsRawFd;
    // SAFETY: asks the system to cut the file short, or not to close it in another program.
    let (cut, kept) = unsafe {
        (libc::ftruncate(shared.as_raw_fd(), 0), libc::fcntl(shared.as_raw_fd(), libc::F_GETFD))
    };
    assert_eq!((cut, kept), (-1, 0), "sealed, and inherited");
    tx.send(Header::raw(), b"for my child", &Wait::no()).unwrap();
    let child = in_child(move || {
        let segment = Segment::from_fd(shared).unwrap();
        let frame = segment.consumer().unwrap().recv(&Wait::no()).unwrap();
        i32::from(&*frame != b"for my child" || segment.inspect().processes.len() != 2)
    });
    assert_eq!(child, 0);
    let (reader, _writer) = std::io::pipe().unwrap();
    let refused = Segment::from_fd(reader.into()).unwrap_err();
    assert!(refused.to_string().contains("not a regular file"), "{refused}");
}

/// R8.4: memory that is idle goes back to the system, and frames come as before.
#[test]
fn idle_memory_goes_back_to_the_system() {
    let name = name();
    let segment = Segment::options().capacity(8 << 20).create(name.0.as_str()).unwrap();
    let (mut tx, mut rx) = (segment.producer().unwrap(), segment.consumer().unwrap());
    let taken = || {
        use std::os::unix::fs::MetadataExt;
        std::fs::metadata(file(&name)).unwrap().blocks() * 512
    };
    let before = taken();
    tx.send(Header::raw(), &vec![1; 5 << 20], &Wait::no()).unwrap();
    tx.send(Header::raw(), &vec![2; 100_000], &Wait::no()).unwrap();
    assert!(taken() >= before + (5 << 20));
    assert_eq!(tx.trim(), 0, "all is in use");
    drop(rx.recv(&Wait::no()).unwrap());
    assert!(tx.trim() >= 5 << 20);
    assert!(taken() < before + (1 << 20));
    assert!(rx.recv(&Wait::no()).unwrap().iter().all(|&byte| byte == 2));
    tx.send(Header::raw(), &vec![3; 5 << 20], &Wait::no()).unwrap();
    assert!(rx.recv(&Wait::no()).unwrap().iter().all(|&byte| byte == 3));
}

/// Memory can be kept from swapping, as far as the user's limit goes.
#[test]
fn memory_is_locked_where_the_limit_permits() {
    let name = name();
    let segment = small().create(name.0.as_str()).unwrap();
    assert!(!mapped_with(&name, "lo"));
    match segment.lock_memory() {
        Ok(()) => assert!(mapped_with(&name, "lo")),
        Err(Error::Os { operation: "lock", source, .. }) => {
            let refusals = [libc::ENOMEM, libc::EPERM, libc::EAGAIN, libc::ENOSYS].map(Some);
            assert!(refusals.contains(&source.raw_os_error()), "{source}");
            assert!(!mapped_with(&name, "lo"));
        }
        Err(error) => panic!("{error}"),
    }
}

/// Beyond the limit the answer is an error that says what was tried, where, and why not.
#[test]
fn memory_beyond_the_limit_is_not_locked() {
    let name = name();
    let segment = small().create(name.0.as_str()).unwrap();
    let told = in_child(|| {
        let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: sets this child's own limit; who may lock without one is nobody special from here on.
        unsafe {
            assert_eq!(libc::setrlimit(libc::RLIMIT_MEMLOCK, &none), 0);
            assert!(libc::geteuid() != 0 || libc::setresuid(1, 1, 1) == 0);
        }
        let refused = segment.lock_memory().unwrap_err().to_string();
        i32::from(!refused.starts_with(&format!("lock {}: ", file(&name).display())))
    });
    assert_eq!(told, 0);
}

/// Huge pages can be asked for, but of a kernel without them.
#[test]
fn huge_pages_are_asked_for() {
    let name = name();
    let segment = small().create(name.0.as_str()).unwrap();
    let there = std::path::Path::new("/sys/kernel/mm/transparent_hugepage").exists();
    assert!(!there || !mapped_with(&name, "hg"));
    match segment.use_huge_pages() {
        Ok(()) => assert!(there && mapped_with(&name, "hg")),
        Err(Error::Os { operation: "use huge pages for", source, .. }) => {
            assert_eq!((source.raw_os_error(), there), (Some(libc::EINVAL), false), "{source}");
        }
        Err(error) => panic!("{error}"),
    }
}

/// P1: a name is removed only by who holds the membership lock of the file that it names, so never
/// another one's that has taken it meanwhile.
#[test]
fn unlinking_waits_for_who_joins_or_leaves() {
    use std::os::fd::AsRawFd;
    let name = name();
    let _ring = small().create(name.0.as_str()).unwrap();
    let joining = std::fs::File::options().read(true).write(true).open(file(&name)).unwrap();
    // SAFETY: a range of zeroes is a valid one, and the descriptor is open.
    unsafe {
        let mut range: libc::flock = std::mem::zeroed();
        (range.l_type, range.l_whence) = (libc::F_RDLCK as i16, libc::SEEK_SET as i16);
        (range.l_start, range.l_len) = (joining.metadata().unwrap().len() as i64, 1);
        assert_eq!(libc::fcntl(joining.as_raw_fd(), libc::F_OFD_SETLK, &range), 0);
    }
    std::thread::scope(|scope| {
        let unlinking = scope.spawn(|| slipring::unlink(name.0.as_str()));
        std::thread::sleep(Duration::from_millis(50));
        assert!(!unlinking.is_finished() && file(&name).exists());
        drop(joining);
        unlinking.join().unwrap().unwrap();
        assert!(!file(&name).exists());
    });
}

/// P6: a process that got a dead one's pid is not taken for it: start times differ.
#[test]
fn a_reused_pid_is_another_process() {
    use std::os::unix::fs::FileExt;
    let name = name();
    let segment = small().create(name.0.as_str()).unwrap();
    let other = Segment::open(name.0.as_str()).unwrap();
    assert_eq!(segment.inspect().processes.len(), 2);
    // This process's own second entry, as if one had made it that died before this one got its pid.
    let parts = segment.inspect().parts;
    let entries = parts.iter().find(|(part, _)| *part == "participants").unwrap().1;
    let raw = std::fs::File::options().read(true).write(true).open(file(&name)).unwrap();
    raw.write_at(&1u64.to_le_bytes(), entries + 2 * 128 + 8).unwrap();
    let seen = segment.inspect().processes;
    assert_eq!(seen.iter().filter(|process| process.alive).count(), 1, "{seen:?}");
    drop(Segment::open(name.0.as_str()).unwrap());
    assert_eq!(segment.inspect().processes.len(), 1, "the dead entry was freed");
    std::mem::forget(other);
}

/// P2: 255 handles, and a clear refusal of the next.
#[test]
fn all_places_can_be_taken() {
    let name = name();
    let mut all = vec![small().create(name.0.as_str()).unwrap()];
    all.extend((1..255).map(|_| Segment::open(name.0.as_str()).unwrap()));
    let refused = Segment::open(name.0.as_str()).unwrap_err();
    assert!(matches!(refused, Error::TooManyParticipants { .. }), "{refused}");
    assert!(refused.to_string().contains("let one leave"), "{refused}");
    all.pop();
    Segment::open(name.0.as_str()).unwrap();
}

/// P2, P6: 255 processes at once, each of which gets a frame through; a clear refusal of the next, here and in
/// a process of its own; and a place that is free as soon as one is killed.
#[test]
fn as_many_processes_as_there_are_places() {
    use std::io::{Read, Write};
    let name = name();
    let ring = Segment::options().slots(256).mode(Mode::Mpmc).create(name.0.as_str()).unwrap();
    let (mut told, tell) = std::io::pipe().unwrap();
    let send = || {
        let attached = Segment::open(name.0.as_str())?;
        attached.producer()?.send(Header::raw(), &std::process::id().to_le_bytes(), &Wait::no())?;
        Ok::<_, Error>(attached)
    };
    let fork = |_| {
        // SAFETY: the child opens the ring anew, and pauses until it is killed, if need be with this thread.
        let child = unsafe { libc::fork() };
        assert!(child >= 0, "{}", std::io::Error::last_os_error());
        if child == 0 {
            // SAFETY: as above.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
            let attached = send();
            let _ = (&tell).write_all(&[u8::from(attached.is_ok())]);
            // SAFETY: as above; `_exit` runs nothing of the parent's.
            unsafe {
                libc::pause();
                libc::_exit(0);
            }
        }
        child
    };
    let mut children: Vec<i32> = (1..255).map(fork).collect();
    let mut answers = [0; 254];
    told.read_exact(&mut answers).unwrap();
    assert_eq!(answers, [1; 254]);
    assert_eq!(ring.inspect().processes.iter().filter(|process| process.alive).count(), 255);

    let refused = Segment::open(name.0.as_str()).unwrap_err();
    assert!(matches!(refused, Error::TooManyParticipants { .. }), "{refused}");
    let elsewhere = in_child(|| match Segment::open(name.0.as_str()) {
        Err(Error::TooManyParticipants { .. }) => 0,
        _ => 1,
    });
    assert_eq!(elsewhere, 0, "a process of its own was let in, or told something else");
    kill(children[0]);
    drop(Segment::open(name.0.as_str()).unwrap());

    children[1..].iter().for_each(|&child| kill(child));
    let mut rx = ring.consumer().unwrap();
    let sender = |_| i32::from_le_bytes(rx.recv(&Wait::no()).unwrap()[..].try_into().unwrap());
    let mut senders: Vec<i32> = (1..255).map(sender).collect();
    senders.sort_unstable();
    children.sort_unstable();
    assert_eq!(senders, children);
    drop(Segment::open(name.0.as_str()).unwrap());
    assert_eq!(ring.inspect().processes.len(), 1, "all places of the dead are free");
}
