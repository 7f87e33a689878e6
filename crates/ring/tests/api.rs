//! The public face: what a newcomer does, what goes wrong for one, and what may never happen.

#![allow(clippy::disallowed_types, reason = "tests stand outside the facade")]

use slipring::{Delivery, Error, Frame, Header, Mode, Options, Segment, Wait};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// A name that no other test uses, removed at the end.
struct Name(String);

fn name() -> Name {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    Name(format!("test-api-{}-{n}", std::process::id()))
}

impl Drop for Name {
    fn drop(&mut self) {
        let _ = slipring::unlink(self.0.as_str());
    }
}

fn small() -> Options {
    Segment::options().slots(8).capacity(1 << 20)
}

fn file(name: &Name) -> PathBuf {
    PathBuf::from(format!("/dev/shm/slipring.{}", name.0))
}

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

/// P10, P9: names that are none, rings that are not there, files that are no segments.
#[test]
fn wrong_names_and_files_are_clear_errors() {
    for wrong in ["", ".", "..", "a/b", "../x", "a b", "nul\0", &"x".repeat(201)] {
        assert!(matches!(Segment::open(wrong), Err(Error::InvalidName { .. })), "{wrong:?}");
    }
    let name = name();
    let _segment = small().create(name.0.as_str()).unwrap();
    assert!(matches!(small().create(name.0.as_str()), Err(Error::Exists { .. })));
    let error = Segment::open("no-such-ring").unwrap_err();
    assert!(matches!(&error, Error::NotFound { rings, .. } if rings.contains(&name.0)));
    let told = error.to_string();
    assert!(
        told.contains("; there are: ") && told.ends_with("create it, or wait for it"),
        "{told}"
    );
    use std::os::unix::fs::{MetadataExt, symlink};
    assert_eq!(std::fs::metadata(file(&name)).unwrap().mode() & 0o777, 0o600);

    let directory = std::env::temp_dir().join(&name.0);
    std::fs::create_dir(&directory).unwrap();
    let foreign = directory.join("foreign");
    for (content, field) in
        [(vec![], "file length"), (vec![7; 10], "file length"), (vec![7; 9000], "magic")]
    {
        std::fs::write(&foreign, content).unwrap();
        let error = Segment::open(foreign.as_path()).unwrap_err();
        assert!(matches!(&error, Error::Foreign { mismatch, .. } if mismatch.field == field));
    }
    let link = directory.join("link");
    symlink(file(&name), &link).unwrap();
    assert!(matches!(Segment::open(link.as_path()), Err(Error::Os { .. })));
    assert!(matches!(Segment::open(directory.as_path()), Err(Error::Os { .. })));
    std::fs::remove_dir_all(directory).unwrap();
    for options in [small().slots(7), small().slots(4), small().cell(1 << 20), small().capacity(0)]
    {
        assert!(matches!(options.create("never-made"), Err(Error::InvalidOption { .. })));
    }
}

/// The fields of the segment header, as its document says: name, offset, length.
fn header_fields() -> Vec<(&'static str, usize, usize)> {
    let text = include_str!("../../../docs/segment-format.md");
    let (_, table) = text.split_once("## The fixed part").unwrap();
    let rows = table.lines().take_while(|line| !line.starts_with("## "));
    let starts: Vec<(&str, usize)> = rows
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| ")?.split(" | ");
            let at = cells.next()?.parse().ok()?;
            Some((cells.nth(1)?.trim_matches('`'), at))
        })
        .collect();
    let ends = starts.iter().skip(1).map(|start| start.1).chain([256]);
    starts.iter().zip(ends).map(|(&(name, at), end)| (name, at, end - at)).collect()
}

/// Changes a segment's header. With `sum` its checksum is made right again.
fn rewrite(path: &std::path::Path, sum: bool, change: impl FnOnce(&mut [u8])) {
    use std::os::unix::fs::FileExt;
    let file = std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut header = [0; 256];
    file.read_exact_at(&mut header, 0).unwrap();
    change(&mut header);
    if sum {
        let fold = |h: u64, b: &u8| (h ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3);
        let sum = header[..248].iter().fold(0xcbf2_9ce4_8422_2325, fold);
        header[248..].copy_from_slice(&sum.to_le_bytes());
    }
    file.write_all_at(&header, 0).unwrap();
}

/// P9: whichever field of a segment's header is flipped, attaching and looking say which.
#[test]
fn every_flipped_header_field_is_refused() {
    let name = name();
    let segment = small().create(name.0.as_str()).unwrap();
    let fields = header_fields();
    assert_eq!(fields.iter().map(|field| field.2).sum::<usize>(), 256);
    for (field, at, len) in fields {
        let flip =
            |header: &mut [u8]| header[at..at + len].iter_mut().for_each(|byte| *byte = !*byte);
        rewrite(&file(&name), false, flip);
        // No right value is known of these: it can only be said that something changed.
        let told = if ["id", "created_ns"].contains(&field) { "checksum" } else { field };
        let outcomes = [
            Segment::open(name.0.as_str()).map(drop),
            slipring::inspect(name.0.as_str()).map(drop),
        ];
        for outcome in outcomes {
            let error = outcome.unwrap_err();
            assert!(
                matches!(&error, Error::Foreign { mismatch, .. } if mismatch.field == told),
                "{field}: {error}"
            );
            let text = error.to_string();
            let plain =
                if told == "magic" { "is not a slipring segment" } else { "create it anew" };
            assert!(text.contains(plain) && text.contains(&name.0), "{text}");
        }
        rewrite(&file(&name), false, flip);
    }
    Segment::open(name.0.as_str()).unwrap();
    drop(segment);
}

/// P9: another major version is refused, with the side to upgrade; another minor one is attached,
/// and inspection shows the segment's own version.
#[test]
fn versions_older_and_newer() {
    let name = name();
    let segment = small().create(name.0.as_str()).unwrap();
    let write = |(major, minor): (u16, u16)| {
        rewrite(&file(&name), true, |header| {
            header[8..10].copy_from_slice(&major.to_le_bytes());
            header[10..12].copy_from_slice(&minor.to_le_bytes());
        });
    };
    let (major, minor) = slipring::VERSION;
    for (found, hint) in [(major - 1, "an older slipring"), (major + 1, "a newer slipring")] {
        write((found, minor));
        let error = Segment::open(name.0.as_str()).unwrap_err();
        let Error::Foreign { mismatch, .. } = &error else { panic!("{error}") };
        assert_eq!((mismatch.field, &mismatch.found), ("major", &found.to_string()));
        assert!(mismatch.hint.starts_with(hint), "{}", mismatch.hint);
    }
    for found in [0, minor + 1, u16::MAX] {
        write((major, found));
        let seen = Segment::open(name.0.as_str()).unwrap().inspect();
        assert_eq!(seen.version, (major, found));
        let text = slipring::inspect(name.0.as_str()).unwrap().to_string();
        assert!(text.contains(&format!("format    {major}.{found},")), "{text}");
    }
    drop(segment);
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

/// P9: memory that is asked for all at once and is not there is refused, with both numbers; the same
/// ring is made where memory is taken as it is needed. Paths that name no file are none.
#[test]
fn what_can_not_be_had_is_refused() {
    let name = name();
    let huge = || Segment::options().capacity(900 << 30);
    let path = std::env::temp_dir().join(&name.0);
    for address in [slipring::Address::from(name.0.as_str()), path.clone().into()] {
        let error = huge().populate(true).create(address).unwrap_err();
        let Error::TooLittleMemory { needed, available, .. } = &error else { panic!("{error}") };
        assert!(*needed > 900 << 30 && needed > available);
        let told = error.to_string();
        assert!(
            told.contains(&needed.to_string()) && told.contains(&available.to_string()),
            "{told}"
        );
    }
    assert!(!path.exists() && !file(&name).exists());
    huge().create(name.0.as_str()).unwrap();
    for none in ["", "/", "..", "/tmp/.."] {
        let error = small().create(PathBuf::from(none)).unwrap_err();
        assert!(matches!(error, Error::InvalidOption { option: "path", .. }), "{error}");
    }
}

/// P9: shared memory that runs out is an error, at creation or when it is needed, not a signal.
#[test]
fn a_file_system_without_room_is_an_error() {
    // A child whose files must stay small.
    let path = std::env::temp_dir().join(name().0.as_str());
    let status = in_child(|| {
        let limit = libc::rlimit { rlim_cur: 1 << 20, rlim_max: 1 << 20 };
        // SAFETY: changes this child's own limit, and what it does about the signal of it.
        unsafe {
            libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
            libc::setrlimit(libc::RLIMIT_FSIZE, &limit);
        }
        let made = Segment::options().create(path.as_path()).map(drop);
        let told = matches!(made, Err(Error::OutOfMemory { needed, .. }) if needed > 64 << 20);
        if told && !path.exists() { 0 } else { 1 }
    });
    assert_eq!(status, 0);
    // A child with a small /dev/shm of its own.
    let status = in_child(|| {
        let root = rustix::process::geteuid().is_root();
        let spaces = libc::CLONE_NEWNS | if root { 0 } else { libc::CLONE_NEWUSER };
        let text = |text: &std::ffi::CStr| text.as_ptr();
        let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
        // SAFETY: gives this child spaces of its own.
        if unsafe { libc::unshare(spaces) } != 0 {
            return 2;
        }
        // Files in a mount of one's own need an owner that is known there.
        let own = root
            || std::fs::write("/proc/self/uid_map", format!("{0} {0} 1", user.as_raw())).is_ok()
                && std::fs::write("/proc/self/setgroups", "deny").is_ok()
                && std::fs::write("/proc/self/gid_map", format!("{0} {0} 1", group.as_raw()))
                    .is_ok();
        // SAFETY: changes the mounts of this child only.
        unsafe {
            let private = libc::MS_REC | libc::MS_PRIVATE;
            let none = std::ptr::null();
            if !own
                || libc::mount(text(c"none"), text(c"/"), none, private, none.cast()) != 0
                || libc::mount(
                    text(c"none"),
                    text(c"/dev/shm"),
                    text(c"tmpfs"),
                    0,
                    c"size=4m".as_ptr().cast(),
                ) != 0
            {
                return 2;
            }
        }
        let full = |outcome| matches!(outcome, Err(Error::OutOfMemory { .. }));
        let all = Segment::options().populate(true).create("none").map(drop);
        if !matches!(all, Err(Error::TooLittleMemory { available, .. }) if available <= 4 << 20)
            || !full(Segment::options().create(std::path::Path::new("/dev/shm/file")).map(drop))
        {
            return 3;
        }
        let segment = Segment::options().slots(64).capacity(16 << 20).create("some").unwrap();
        let (mut tx, mut rx) = (segment.producer().unwrap(), segment.consumer().unwrap());
        let mut sent = 0;
        let outcome = loop {
            match tx.send(Header::raw(), &[1; 500_000], &Wait::no()) {
                Ok(()) => sent += 1,
                other => break other,
            }
        };
        if !full(outcome) || sent == 0 {
            return 4;
        }
        // What was sent is there, and its space serves again.
        for _ in 0..100 {
            assert_eq!(*rx.recv(&Wait::no()).unwrap(), [1; 500_000]);
            tx.send(Header::raw(), &[1; 500_000], &Wait::no()).unwrap();
        }
        0
    });
    if status == 2 {
        eprintln!("NOT RUN: no mounts of one's own here, so only files without room were tried");
        return;
    }
    assert_eq!(status, 0, "see the child");
}

/// P9: another user's ring is refused, whatever its mode, with both users; nobody lists or removes it.
#[test]
fn a_segment_of_another_user_is_refused() {
    use std::os::unix::fs::{PermissionsExt, chown};
    let refused = |outcome: Result<(), Error>, expected: (u32, u32)| match outcome {
        Err(error @ Error::NotOwner { .. }) => {
            let told = error.to_string();
            assert!(told.contains(&format!("belongs to user {}", expected.0)), "{told}");
            assert!(told.contains(&format!("runs as {}", expected.1)), "{told}");
        }
        other => panic!("{other:?}"),
    };
    let user = rustix::process::geteuid().as_raw();
    if user != 0 {
        // Who can't change users still meets files of others.
        return refused(Segment::open(std::path::Path::new("/etc/passwd")).map(drop), (0, user));
    }
    let (name, nobody) = (name(), 65_534);
    let segment = small().create(name.0.as_str()).unwrap();
    chown(file(&name), Some(nobody), None).unwrap();
    refused(Segment::open(name.0.as_str()).map(drop), (nobody, 0));
    chown(file(&name), Some(0), None).unwrap();
    for mode in [0o600, 0o666] {
        std::fs::set_permissions(file(&name), PermissionsExt::from_mode(mode)).unwrap();
        let status = in_child(|| {
            // SAFETY: changes the user of this child, which has one thread.
            assert_eq!(unsafe { libc::setuid(nobody) }, 0);
            refused(Segment::open(name.0.as_str()).map(drop), (0, nobody));
            refused(slipring::inspect(name.0.as_str()).map(drop), (0, nobody));
            refused(slipring::unlink(name.0.as_str()), (0, nobody));
            i32::from(slipring::list().contains(&name.0))
        });
        assert_eq!(status, 0, "mode {mode:o}");
    }
    drop(segment);
}

/// Runs in a forked child and answers its exit status.
fn in_child(life: impl FnOnce() -> i32) -> i32 {
    // What the crate does once in a process is done before the fork, and not half done in the child.
    assert!(Segment::open("no-such-ring").is_err());
    // SAFETY: the child runs `life` on its one thread and leaves by `_exit`.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let status = std::panic::catch_unwind(std::panic::AssertUnwindSafe(life)).unwrap_or(101);
        // SAFETY: ends the child without running anything of the parent's.
        unsafe { libc::_exit(status) };
    }
    let mut status = 0;
    // SAFETY: waits for our own child.
    unsafe { libc::waitpid(pid, &mut status, 0) };
    if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { -status }
}

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

/// P9: garbage in any control word or descriptor is an error or an empty ring, never a crash.
#[test]
fn garbage_in_the_segment_ends_in_an_error() {
    use std::os::unix::fs::FileExt;
    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    for round in 0..400 {
        let name = name();
        let mode = [Mode::Spsc, Mode::Mpsc, Mode::Spmc, Mode::Mpmc][round % 4];
        let options = small().mode(mode).share(100).drop_oldest(mode != Mode::Spsc);
        let segment = options.create(name.0.as_str()).unwrap();
        let delivery = [Delivery::AtMostOnce, Delivery::AtLeastOnce { limit: 9 }][round / 4 % 2];
        let mut tx = segment.producer().unwrap();
        let mut rx = segment.consumer_with(delivery).unwrap();
        for len in [10, 5000, 300_000] {
            tx.send(Header::raw(), &vec![0; len], &Wait::no()).unwrap();
        }
        let raw = std::fs::OpenOptions::new().write(true).open(file(&name)).unwrap();
        for _ in 0..40 {
            // Everything between the fixed header and the pool's data.
            let at = 256 + random() % (60_000 - 256);
            raw.write_at(&random().to_le_bytes(), at / 8 * 8).unwrap();
        }
        for len in [10usize, 5000] {
            let _ = tx.send(Header::raw(), &vec![1; len], &Wait::no());
            let _ = tx.send(Header::raw(), &vec![1; len], &Wait::drop_oldest());
        }
        for _ in 0..20 {
            if let Ok(frame) = rx.recv(&Wait::no()) {
                assert!(segment.mapped().contains(&(frame.as_ptr_range().end as usize - 1)));
                std::hint::black_box(frame.iter().fold(0u8, |sum, byte| sum ^ byte));
            }
        }
        let _ = (rx.recv_dead(), tx.trim(), segment.inspect().to_string());
        let _ = Segment::open(name.0.as_str()).and_then(|s| s.producer().map(drop));
    }
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
    assert_eq!((seen.parts.len(), seen.parts[0]), (9, ("participants", 4096)));
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

/// P7: what can never fit is refused at once, full or not; what needs fresh memory, where that is
/// not wanted, and only then.
#[test]
fn refusals_that_waiting_would_not_change_come_at_once() {
    let name = name();
    let ring = small().slots(8).create(name.0.as_str()).unwrap();
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    assert_eq!(tx.may_back(300_000), u64::MAX);
    let large = vec![1; 300_000];
    assert!(matches!(tx.send(Header::raw(), &large, &Wait::forever()), Err(Error::Unbacked)));
    tx.send(Header::raw(), b"in a cell", &Wait::no()).unwrap();
    tx.may_back(1 << 20);
    tx.send(Header::raw(), &large, &Wait::no()).unwrap();
    (0..2).for_each(|_| drop(rx.recv(&Wait::no()).unwrap()));
    assert_eq!(tx.may_back(0), 768 << 10);
    tx.send(Header::raw(), &large, &Wait::no()).unwrap();
    while tx.send(Header::raw(), b"full", &Wait::no()).is_ok() {}
    let never = vec![0; ring.max_body() as usize + 1];
    let refused = tx.send(Header::raw(), &never, &Wait::forever());
    assert!(matches!(refused, Err(Error::TooLarge { limit, .. }) if limit == ring.max_body()));
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

/// P8: where the futex call is missing or forbidden, waiting is looking again and again, and works.
#[test]
fn a_host_without_futexes_polls() {
    let (name, back) = (name(), name());
    let there = small().create(name.0.as_str()).unwrap();
    let here = small().create(back.0.as_str()).unwrap();
    let (mut tx, mut rx) = (there.producer().unwrap(), here.consumer().unwrap());
    let sending = std::thread::spawn(move || {
        for n in 0..40u8 {
            tx.send(Header::raw(), &[n; 1000], &Wait::forever()).unwrap();
            std::thread::sleep(Duration::from_millis(u64::from(n % 3)));
        }
    });
    let receiving = std::thread::spawn(move || {
        // The child finds its ring full before this looks.
        std::thread::sleep(Duration::from_millis(100));
        let got: Vec<u8> = (0..40).map(|_| rx.recv(&Wait::forever()).unwrap()[0]).collect();
        assert!(got.iter().copied().eq(0..40));
    });
    let patient = Wait::for_up_to(Duration::from_secs(30)).spin(Duration::ZERO);
    let child = in_child(|| {
        without_futexes();
        let mut rx = Segment::open(name.0.as_str()).unwrap().consumer().unwrap();
        let mut tx = Segment::open(back.0.as_str()).unwrap().producer().unwrap();
        let start = Instant::now();
        for _ in 0..40 {
            let frame = rx.recv(&patient).unwrap();
            tx.send(Header::raw(), &frame, &patient).unwrap();
        }
        let short = Wait::for_up_to(Duration::from_millis(30)).spin(Duration::ZERO);
        assert!(matches!(rx.recv(&short), Err(Error::Timeout)));
        i32::from(start.elapsed() > Duration::from_secs(20))
    });
    assert_eq!(child, 0);
    sending.join().unwrap();
    receiving.join().unwrap();
}

/// Has the system answer, in this thread, that it knows no futexes.
fn without_futexes() {
    let statement = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    let (load, equal, answer) = (
        libc::BPF_LD | libc::BPF_W | libc::BPF_ABS,
        libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
        libc::BPF_RET | libc::BPF_K,
    );
    let mut filter = [
        statement(load, 0, 0, 0),
        statement(equal, 1, 0, libc::SYS_futex as u32),
        statement(equal, 0, 1, libc::SYS_futex_waitv as u32),
        statement(answer, 0, 0, libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32),
        statement(answer, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: the program is valid while the call copies it, and concerns this thread's calls alone.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program), 0);
        assert_eq!(libc::syscall(libc::SYS_futex, 0, 0, 0), -1);
    }
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

/// Memory can be kept from swapping, as far as the user's limit goes; huge pages can be asked for.
#[test]
fn memory_is_locked_where_the_limit_permits() {
    let name = name();
    let segment = small().create(name.0.as_str()).unwrap();
    match segment.lock_memory() {
        Ok(()) => {
            let status = std::fs::read_to_string("/proc/self/status").unwrap();
            let line = status.lines().find_map(|line| line.strip_prefix("VmLck:")).unwrap();
            let locked: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
            assert!(locked * 1024 >= segment.mapped().len() as u64);
        }
        Err(error) => assert!(matches!(error, Error::Os { operation: "lock", .. }), "{error}"),
    }
    if let Err(error) = segment.use_huge_pages() {
        assert!(error.to_string().contains("huge pages"), "{error}");
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
