//! Names for the rings of tests, and children made by `fork`.

#![allow(dead_code, clippy::disallowed_types, reason = "each test binary uses some")]

use slipring::{Options, Segment};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// A name that no other test uses, removed at the end.
pub struct Name(pub String);

pub fn name() -> Name {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    Name(format!("test-api-{}-{n}", std::process::id()))
}

impl Drop for Name {
    fn drop(&mut self) {
        let _ = slipring::unlink(self.0.as_str());
    }
}

pub fn small() -> Options {
    Segment::options().slots(8).capacity(1 << 20)
}

pub fn file(name: &Name) -> PathBuf {
    PathBuf::from(format!("/dev/shm/slipring.{}", name.0))
}

/// Whether the system says so (`man 5 proc_pid_smaps`, `VmFlags`) of this process's mapping of the ring. The
/// mapping has no name: the ring had none when it was mapped.
pub fn mapped_with(name: &Name, flag: &str) -> bool {
    use std::os::unix::fs::MetadataExt;
    let inode = std::fs::metadata(file(name)).unwrap().ino().to_string();
    let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let another = |line: &&str| line.split_whitespace().nth(4) != Some(&inode);
    let mut lines = maps.lines().skip_while(another);
    let flags = lines.find_map(|line| line.strip_prefix("VmFlags:")).unwrap();
    flags.split_whitespace().any(|set| set == flag)
}

/// Runs in a forked child and answers its exit status.
pub fn in_child(life: impl FnOnce() -> i32) -> i32 {
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
