//! What can't be had, or is damaged, is refused with an error that says what is wrong.

#![allow(clippy::disallowed_types, reason = "tests stand outside the facade")]

mod names;

use names::*;
use slipring::{Delivery, Error, Header, Mode, Segment, Wait};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

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
        let parts = segment.inspect().parts;
        let pool = parts.iter().find(|(part, _)| *part == "chunks").unwrap().1;
        let raw = std::fs::OpenOptions::new().write(true).open(file(&name)).unwrap();
        for _ in 0..40 {
            // Everything between the fixed header and the pool's data, frame headers in cells too.
            let at = 256 + random() % (pool - 256);
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

/// P8, P9: cursors, event counts, slots and the pool's words are damaged, before and while both ends sleep on them: each wait
/// ends in time, with an outcome or an error.
#[test]
fn who_waits_on_garbage_is_answered_in_time() {
    use std::os::unix::fs::FileExt;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc;
    const LIMIT: Duration = Duration::from_millis(4);
    /// For a machine that has much else to do.
    const LATE: Duration = Duration::from_secs(4);
    fn wait() -> Wait<'static> {
        Wait::for_up_to(LIMIT).spin(Duration::ZERO)
    }
    fn told<T>(started: Instant, done: &'static str, outcome: Result<T, Error>) -> String {
        let took = started.elapsed();
        let told = match outcome {
            Ok(_) => done.to_owned(),
            Err(error) => format!("{error:?}").split(' ').next().unwrap_or_default().to_owned(),
        };
        assert!(took < LIMIT + LATE, "{told} after {took:?}");
        told
    }
    let mut outcomes = BTreeSet::new();
    for round in 0..120 {
        let mode = [Mode::Spsc, Mode::Mpsc, Mode::Spmc, Mode::Mpmc][round % 4];
        let delivery = [Delivery::AtMostOnce, Delivery::AtLeastOnce { limit: 9 }][round / 4 % 2];
        let name = name();
        let segment = small().mode(mode).share(100).create(name.0.as_str()).unwrap();
        let mut tx = segment.producer().unwrap();
        let mut rx = segment.consumer_with(delivery).unwrap();
        // Full, or empty.
        while round / 8 % 2 == 0 && tx.send(Header::raw(), &[7; 100], &Wait::no()).is_ok() {}
        let parts = segment.inspect().parts;
        let part = ["cursors", "waits", "slots", "chunk words", "block words"][round % 5];
        let at = parts.iter().position(|(name, _)| *name == part).unwrap();
        let (from, to) = (parts[at].1, parts[at + 1].1.min(parts[at].1 + 4096));
        let raw = std::fs::File::options().read(true).write(true).open(file(&name)).unwrap();
        let mut seed = 0x9e37_79b9_7f4a_7c15u64 ^ (round as u64) << 32;
        let mut damage = || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            let at = (from + seed % (to - from)) / 8 * 8;
            let mut was = [0; 8];
            raw.read_exact_at(&mut was, at).unwrap();
            // Anything, something small, or nearly what was there.
            let word = match seed >> 32 & 3 {
                0 => seed,
                1 => seed & 31,
                _ => u64::from_le_bytes(was) ^ 1 << (seed >> 40 & 63),
            };
            raw.write_all_at(&word.to_le_bytes(), at).unwrap();
        };
        (0..30).for_each(|_| damage());
        let (over, (done, ends)) = (AtomicBool::new(false), mpsc::channel());
        std::thread::scope(|scope| {
            let receiver = done.clone();
            scope.spawn(move || {
                for turn in 0..4 {
                    let started = Instant::now();
                    let outcome = match turn {
                        0 => told(started, "received", rx.recv(&wait())),
                        1 => told(started, "ready", rx.ready(&wait())),
                        2 => told(started, "shown", rx.recv_with(|_, body| body.len(), &wait())),
                        _ => told(started, "copied", rx.recv_into(&mut [0; 500], &wait())),
                    };
                    receiver.send(outcome).unwrap();
                }
            });
            scope.spawn(move || {
                for turn in 0..4 {
                    let started = Instant::now();
                    let batch = (0..9).map(|_| (Header::raw(), &[2u8; 20][..]));
                    let outcome = match turn {
                        0 => told(started, "sent", tx.send(Header::raw(), &[1; 10], &wait())),
                        1 => told(started, "sent", tx.send(Header::raw(), &[1; 5000], &wait())),
                        2 => told(started, "reserved", tx.reserve(9, &wait())),
                        _ => told(started, "a batch", tx.send_batch(batch, &wait())),
                    };
                    done.send(outcome).unwrap();
                }
            });
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    damage();
                    std::thread::sleep(Duration::from_micros(300));
                }
            });
            loop {
                match ends.recv_timeout(5 * LATE) {
                    Ok(outcome) => outcomes.insert(outcome),
                    Err(mpsc::RecvTimeoutError::Disconnected) => break,
                    Err(mpsc::RecvTimeoutError::Timeout) => {
                        // A thread that waits for ever can't be ended by a panic.
                        eprintln!("round {round}, {mode:?}, {part}: a wait does not end");
                        std::process::abort();
                    }
                };
            }
            over.store(true, Ordering::Relaxed);
        });
    }
    // Otherwise nothing was tried.
    for some in ["Timeout", "Corrupt", "sent", "received"] {
        assert!(outcomes.contains(some), "{outcomes:?}");
    }
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

/// P9: a frame whose header says that it is longer than its memory is refused, by name, and the next one
/// comes.
#[test]
fn a_frame_longer_than_its_memory_is_corrupt() {
    use std::os::unix::fs::FileExt;
    for mode in [Mode::Spsc, Mode::Mpmc] {
        for len in [16usize, 5000] {
            let name = name();
            let segment = small().mode(mode).create(name.0.as_str()).unwrap();
            let (mut tx, mut rx) = (segment.producer().unwrap(), segment.consumer().unwrap());
            tx.send(Header::raw(), &vec![7; len], &Wait::no()).unwrap();
            tx.send(Header::raw(), b"the next", &Wait::no()).unwrap();
            let part = if len < 192 { "cells" } else { "chunks" };
            let parts = segment.inspect().parts;
            let at = parts.iter().find(|(name, _)| *name == part).unwrap().1;
            let raw = std::fs::File::options().write(true).open(file(&name)).unwrap();
            raw.write_at(&u64::MAX.to_le_bytes(), at + 16).unwrap();
            let error = rx.recv(&Wait::no()).unwrap_err();
            assert!(error.to_string().contains("frame length"), "{error}");
            assert_eq!(&*rx.recv(&Wait::no()).unwrap(), b"the next");
            assert_eq!(segment.inspect().frames, Default::default());
        }
    }
}
