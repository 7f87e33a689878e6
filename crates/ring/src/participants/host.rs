//! What the kernel tells of processes, and the locks that it keeps for them.

use super::{Kernel, Me, Seen};
use crate::error::Error;
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

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

/// The file that carries the locks.
#[derive(Clone, Copy)]
pub(crate) struct Locks<'a> {
    pub fd: &'a OwnedFd,
    /// Where the lock bytes begin: behind the end of the file.
    pub locks_at: u64,
    pub path: &'a Path,
}

impl Locks<'_> {
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
    pub(crate) fn lock_patiently(&self, kind: i32) -> Result<(), Error> {
        let start = Instant::now();
        while !self.lock(0, kind)? {
            if start.elapsed() > Duration::from_secs(5) {
                let error = std::io::Error::other("another process has kept its lock for 5 s");
                return Err(Error::os("join or unlink", self.path, error));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Takes or drops a byte lock without waiting; `false` where another has it. Byte 0 is the
    /// membership lock, the others are the ids'.
    pub(crate) fn lock(&self, id: u8, kind: i32) -> Result<bool, Error> {
        let range = self.range(id, kind);
        // SAFETY: the descriptor is open for as long as `self` is borrowed, the pointer is valid.
        if unsafe { libc::fcntl(self.fd.as_raw_fd(), libc::F_OFD_SETLK, &range) } == 0 {
            return Ok(true);
        }
        let error = std::io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EAGAIN | libc::EACCES) => Ok(false),
            _ => Err(Error::os("lock a byte of", self.path, error)),
        }
    }
}

impl Kernel for Locks<'_> {
    fn try_lock(&self, id: u8) -> Result<bool, Error> {
        self.lock(id, libc::F_WRLCK)
    }

    fn unlock(&self, id: u8) -> Result<(), Error> {
        self.lock(id, libc::F_UNLCK).map(drop)
    }

    fn locked(&self, id: u8) -> bool {
        let mut range = self.range(id, libc::F_WRLCK);
        // SAFETY: as in `lock`; the kernel writes into `range`, which is ours.
        let asked = unsafe { libc::fcntl(self.fd.as_raw_fd(), libc::F_OFD_GETLK, &mut range) };
        asked != 0 || i32::from(range.l_type) != libc::F_UNLCK
    }

    fn process(&self, pid: u32) -> Seen {
        process(pid)
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
    use crate::sync::{Answer, AtomicU32, Ordering, membarrier};

    static FORKS: AtomicU32 = AtomicU32::zero();

    /// Called before the first handle of a process is made. Threads that come at the same time register twice, and forks are
    /// counted twice: what counts is that the number changes.
    pub(crate) fn watch() {
        if !membarrier::registered() {
            membarrier::register();
        }
        static WATCHED: Answer = Answer::unknown();
        WATCHED.get(|| {
            // SAFETY: the handler is async-signal-safe: it adds to a word and makes one system call.
            unsafe { libc::pthread_atfork(None, None, Some(in_child)) == 0 }
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
}
