//! Who is attached to a segment, and who of them still lives.
//!
//! Rules:
//! 1. A process takes the byte lock of an entry's id first, on a file description of its own, and
//!    then the entry itself, by one compare-and-swap that names its pid.
//! 2. The kernel drops the lock at death and at `exec`. A forked child inherits the description, and
//!    with it the lock; within one pid namespace that has its own `/proc`, pid and start time tell that
//!    its parent is gone. Who is not known to be gone, and whose lock is held, lives.
//! 3. A dead entry is freed only after all words that name it have been recovered. Words name the id
//!    and eight bits of the incarnation, so a late recoverer does not touch the id's next owner.

use crate::error::Error;
use crate::layout::{PARTICIPANT_LEN, PARTICIPANTS, at};
use crate::sync::{AtomicU64, Ordering};
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

const FREE: u64 = 0;
const JOINING: u64 = 1;
const ACTIVE: u64 = 2;

/// One process's entry.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Participant {
    /// `incarnation(30) | state(2) | pid(32)`
    state: AtomicU64,
    start: AtomicU64,
    namespaces: AtomicU64,
    joined_ns: AtomicU64,
    /// How many handles the process has at each end.
    pub producers: AtomicU64,
    pub consumers: AtomicU64,
    reserved: [AtomicU64; 10],
}
at!(Participant {
    state = 0, start = 8, namespaces = 16, joined_ns = 24, producers = 32, consumers = 40,
    reserved = 48,
});
const _: () = assert!(size_of::<Participant>() == PARTICIPANT_LEN as usize);

/// What an entry's state word says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry(pub(crate) u64);

impl Entry {
    fn new(incarnation: u64, state: u64, pid: u32) -> Self {
        Self(incarnation << 34 | state << 32 | u64::from(pid))
    }
    /// What names this life of the id in words: the id and eight bits of the incarnation.
    pub(crate) fn tag(self, id: u8) -> u16 {
        (self.incarnation() as u16) << 8 | u16::from(id)
    }
    pub(crate) fn incarnation(self) -> u64 {
        self.0 >> 34
    }
    fn state(self) -> u64 {
        self.0 >> 32 & 3
    }
    pub(crate) fn pid(self) -> u32 {
        self.0 as u32
    }
    pub(crate) fn is_free(self) -> bool {
        self.state() == FREE
    }
    /// Of one who only looks.
    pub(crate) fn nobody() -> Self {
        Self(0)
    }
    fn freed(self) -> Self {
        Self::new(self.incarnation(), FREE, 0)
    }
}

/// This process, as others see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Me {
    pid: u32,
    start: u64,
    namespaces: u64,
}

impl Me {
    pub(crate) fn new() -> Self {
        let pid = std::process::id();
        let start = if let Seen::Runs(start) = process(pid) { start } else { 0 };
        Self { pid, start, namespaces: if proc_is_ours(pid) { namespaces() } else { 0 } }
    }
}

/// Whether `/proc` tells of the pids of our own namespace. Who was put into a new one alone still sees the
/// old one's, in which our peers' pids are others' or nobody's.
fn proc_is_ours(pid: u32) -> bool {
    let status = std::fs::read("/proc/self/status").unwrap_or_default();
    let line = |name: &[u8]| status.split(|&b| b == b'\n').find_map(|line| line.strip_prefix(name));
    // One pid for each namespace from that of `/proc` on down to ours; before Linux 4.1, the first.
    let Some(pids) = line(b"NSpid:").or_else(|| line(b"Pid:")) else { return false };
    str::from_utf8(pids).is_ok_and(|pids| pids.trim() == pid.to_string())
}

/// The inodes of our pid and time namespaces in one word; 0 where they can't be known. Start times
/// are told in the reader's time namespace, so they compare only within one.
fn namespaces() -> u64 {
    use std::os::unix::fs::MetadataExt;
    let inode = |kind| std::fs::metadata(format!("/proc/self/ns/{kind}")).map(|meta| meta.ino());
    match inode("pid") {
        Ok(pid) => pid << 32 | inode("time").unwrap_or(0) & 0xffff_ffff,
        Err(_) => 0,
    }
}

/// What the kernel says of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    /// It runs since then (clock ticks since boot).
    Runs(u64),
    /// There is none, or nothing of it runs any more.
    Gone,
    /// It can't be told: no descriptor left, no `/proc`.
    Unknown,
}

fn process(pid: u32) -> Seen {
    // One read, into more bytes than the fields that are asked for can take.
    let mut line = [0; 1024];
    let read = std::fs::File::open(format!("/proc/{pid}/stat")).and_then(|mut f| f.read(&mut line));
    // Bytes: a command's name need not be UTF-8, and is cut after 15 of them.
    let stat = match read {
        Ok(len) => &line[..len],
        Err(error) => {
            // ESRCH: it ended between opening and reading.
            let gone = matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESRCH));
            return if gone { Seen::Gone } else { Seen::Unknown };
        }
    };
    // The second field is the command in parentheses and may hold anything.
    let Some(end) = stat.iter().rposition(|&b| b == b')') else { return Seen::Unknown };
    let mut fields = stat[end + 1..].split(|&b| b == b' ').filter(|field| !field.is_empty());
    let number = |field| str::from_utf8(field).ok()?.parse().ok();
    let (Some(state), Some(start)) = (fields.next(), fields.nth(18).and_then(number)) else {
        return Seen::Unknown;
    };
    if !matches!(state, b"Z" | b"X" | b"x") {
        return Seen::Runs(start);
    }
    // The leader of a process may have ended while its other threads run on.
    match std::fs::read_dir(format!("/proc/{pid}/task")) {
        Ok(tasks) => {
            if tasks.count() > 1 {
                Seen::Runs(start)
            } else {
                Seen::Gone
            }
        }
        Err(_) => Seen::Unknown,
    }
}

/// The table of entries, and the file that carries the locks.
#[derive(Clone, Copy)]
pub(crate) struct Participants<'a> {
    pub entries: &'a [Participant],
    pub fd: &'a OwnedFd,
    /// Where the lock bytes begin: behind the end of the file.
    pub locks_at: u64,
}

impl Participants<'_> {
    pub(crate) fn entry(&self, id: u8) -> Entry {
        // Acquire: pairs with the Release of `join`, so an active entry's fields are seen.
        Entry(self.entries[id as usize].state.load(Ordering::Acquire))
    }

    /// Takes a free entry. `None`: there is none.
    pub(crate) fn join(&self, me: Me, path: &Path, now: u64) -> Result<Option<(u8, Entry)>, Error> {
        for id in 1..=PARTICIPANTS as u8 {
            let entry = self.entry(id);
            if !entry.is_free() || !self.lock(id, libc::F_WRLCK, path)? {
                continue;
            }
            let slot = &self.entries[id as usize];
            let incarnation = (entry.incarnation() + 1) & 0x3fff_ffff;
            let joining = Entry::new(incarnation, JOINING, me.pid);
            // AcqRel: after whoever left, before whoever reads the fields.
            let took = slot.state.compare_exchange(
                entry.0,
                joining.0,
                Ordering::AcqRel,
                Ordering::Relaxed,
            );
            if took.is_err() {
                self.lock(id, libc::F_UNLCK, path)?;
                continue;
            }
            slot.start.store(me.start, Ordering::Relaxed);
            slot.namespaces.store(me.namespaces, Ordering::Relaxed);
            slot.joined_ns.store(now, Ordering::Relaxed);
            slot.producers.store(0, Ordering::Relaxed);
            slot.consumers.store(0, Ordering::Relaxed);
            // Release: publishes the fields.
            let active = Entry::new(incarnation, ACTIVE, me.pid);
            slot.state.store(active.0, Ordering::Release);
            return Ok(Some((id, active)));
        }
        Ok(None)
    }

    /// Frees the entry of one who leaves, or who is dead and recovered, if it is still that one's.
    pub(crate) fn free(&self, id: u8, entry: Entry) {
        let state = &self.entries[id as usize].state;
        // AcqRel: all that was recovered comes before the next owner of the id.
        let _ =
            state.compare_exchange(entry.0, entry.freed().0, Ordering::AcqRel, Ordering::Relaxed);
    }

    /// Whether the process behind an entry lives. The caller asks about others only.
    pub(crate) fn alive(&self, id: u8, entry: Entry, me: Me) -> bool {
        let slot = &self.entries[id as usize];
        let namespaces = slot.namespaces.load(Ordering::Relaxed);
        let known = entry.state() == ACTIVE && me.namespaces != 0 && namespaces == me.namespaces;
        if known && me.start != 0 {
            let start = slot.start.load(Ordering::Relaxed);
            let gone = match process(entry.pid()) {
                Seen::Runs(now) => start != 0 && now != start,
                Seen::Gone => true,
                Seen::Unknown => false,
            };
            if gone {
                return false;
            }
        }
        // One that has become another program by `exec` keeps pid and start time, not its lock.
        self.locked(id)
    }

    fn range(&self, id: u8, kind: i32) -> libc::flock {
        // SAFETY: an all-zero `flock` is a valid one.
        let mut range: libc::flock = unsafe { std::mem::zeroed() };
        range.l_type = kind as i16;
        range.l_whence = libc::SEEK_SET as i16;
        range.l_start = (self.locks_at + u64::from(id)) as i64;
        range.l_len = 1;
        range
    }

    /// Takes the membership lock, which nobody keeps for long.
    pub(crate) fn lock_patiently(&self, kind: i32, path: &Path) -> Result<(), Error> {
        let start = Instant::now();
        while !self.lock(0, kind, path)? {
            if start.elapsed() > Duration::from_secs(5) {
                let error = std::io::Error::other("another process has kept its lock for 5 s");
                return Err(Error::os("join or unlink", path, error));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Takes or drops a byte lock without waiting; `false` where another has it. Byte 0 is the
    /// membership lock, the others are the ids'.
    pub(crate) fn lock(&self, id: u8, kind: i32, path: &Path) -> Result<bool, Error> {
        let range = self.range(id, kind);
        // SAFETY: the descriptor is open for as long as `self` is borrowed, the pointer is valid.
        if unsafe { libc::fcntl(self.fd.as_raw_fd(), libc::F_OFD_SETLK, &range) } == 0 {
            return Ok(true);
        }
        let error = std::io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EAGAIN | libc::EACCES) => Ok(false),
            _ => Err(Error::os("lock a byte of", path, error)),
        }
    }

    /// Whether another description holds the lock. If in doubt it does.
    fn locked(&self, id: u8) -> bool {
        let mut range = self.range(id, libc::F_WRLCK);
        // SAFETY: as in `lock`; the kernel writes into `range`, which is ours.
        let asked = unsafe { libc::fcntl(self.fd.as_raw_fd(), libc::F_OFD_GETLK, &mut range) };
        asked != 0 || i32::from(range.l_type) != libc::F_UNLCK
    }
}

/// This boot of the machine; zeros where the kernel does not say.
pub(crate) fn boot_id() -> [u8; 16] {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits: Vec<u8> =
        text.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
    let mut id = [0; 16];
    if digits.len() == 32 {
        for (byte, pair) in id.iter_mut().zip(digits.chunks(2)) {
            *byte = pair[0] << 4 | pair[1];
        }
    }
    id
}

/// Counts the forks that led to this process, so that a handle knows its own process.
pub(crate) mod forks {
    use crate::sync::{AtomicU32, Ordering, membarrier};

    static FORKS: AtomicU32 = AtomicU32::zero();

    /// Called once per process, before the first handle.
    pub(crate) fn watch() {
        // Not under the lock below: it may take milliseconds, and a child that is forked meanwhile would
        // wait for ever. Harmless to repeat.
        if !membarrier::registered() {
            membarrier::register();
        }
        static ONCE: std::sync::Once = std::sync::Once::new();
        ONCE.call_once(|| {
            // SAFETY: the handler is async-signal-safe: it adds to a word and makes one system call.
            unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
        });
    }

    extern "C" fn in_child() {
        FORKS.fetch_add(1, Ordering::Relaxed);
        membarrier::register();
    }

    /// Differs between a process and its forked child.
    #[inline(always)]
    pub(crate) fn count() -> u32 {
        // Relaxed: it changes only while the child has one thread.
        FORKS.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_pid_and_start_time() {
        let me = Me::new();
        assert!(me.start > 0 && me.namespaces != 0);
        assert_eq!(process(me.pid), Seen::Runs(me.start));
        assert_eq!(process(u32::MAX - 1), Seen::Gone);
    }

    #[test]
    fn a_zombie_does_not_live() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while process(pid) != Seen::Gone {
            assert!(std::time::Instant::now() < deadline, "still counted as running");
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        assert!(std::path::Path::new(&format!("/proc/{pid}/stat")).exists(), "not waited for yet");
        child.wait().unwrap();
    }

    /// Recovery of a life of an id leaves the next one alone.
    #[test]
    fn a_tag_tells_the_lives_of_an_id_apart() {
        let (old, new) = (Entry::new(4, ACTIVE, 10), Entry::new(5, ACTIVE, 11));
        assert_ne!(old.tag(2), new.tag(2));
        assert_ne!(old.tag(2), old.tag(3));
    }
}
