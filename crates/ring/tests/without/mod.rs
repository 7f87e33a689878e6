//! Hosts that lack system calls: processes whose calls a seccomp filter answers as an older kernel would.

#![allow(dead_code, reason = "each test binary uses some")]

use std::io::Error;

/// What a host may not have.
#[derive(Clone, Copy, Debug)]
pub enum Lack {
    /// `futex`, as in a sandbox that forbids it.
    Futex,
    /// `futex_waitv`, before Linux 5.16.
    FutexWaitv,
    /// `membarrier`, before Linux 4.3 or in a sandbox.
    Membarrier,
    /// `madvise(MADV_POPULATE_WRITE)`, before Linux 5.14.
    Populate,
    /// `mlock2`, before Linux 4.4.
    Mlock2,
    /// `madvise(MADV_HUGEPAGE)`, in kernels without transparent huge pages.
    HugePages,
}

impl Lack {
    /// The call, the advice that it is about, and the answer.
    fn rule(self) -> (i64, Option<i32>, i32) {
        match self {
            Self::Futex => (libc::SYS_futex, None, libc::ENOSYS),
            Self::FutexWaitv => (libc::SYS_futex_waitv, None, libc::ENOSYS),
            Self::Membarrier => (libc::SYS_membarrier, None, libc::ENOSYS),
            Self::Populate => (libc::SYS_madvise, Some(libc::MADV_POPULATE_WRITE), libc::EINVAL),
            Self::Mlock2 => (libc::SYS_mlock2, None, libc::ENOSYS),
            Self::HugePages => (libc::SYS_madvise, Some(libc::MADV_HUGEPAGE), libc::EINVAL),
        }
    }

    /// Fails unless the system answers so.
    fn check(self) {
        let (call, advice, answer) = self.rule();
        // SAFETY: harmless where it is answered: a query, no memory, or nothing to wait for.
        let told = unsafe { libc::syscall(call, 0, 0, advice.unwrap_or(0), 0, 0) };
        let error = Error::last_os_error().raw_os_error();
        assert_eq!((told, error), (-1, Some(answer)), "{self:?}");
    }
}

/// Has the system answer, in this thread and what comes of it, that it does not know these.
pub fn without(lacking: &[Lack]) {
    let statement = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    let load = |offset| statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, offset);
    let unless =
        |k, skipped| statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, skipped, k as u32);
    let answer = |answer| statement(libc::BPF_RET | libc::BPF_K, 0, 0, answer);
    let mut filter = Vec::new();
    for (call, advice, error) in lacking.iter().map(|lack| lack.rule()) {
        // The number of the call is the first word of what a filter sees; the third argument's lower half
        // is the ninth.
        filter.extend([load(0), unless(call, if advice.is_some() { 3 } else { 1 })]);
        if let Some(advice) = advice {
            filter.extend([load(32), unless(i64::from(advice), 1)]);
        }
        filter.push(answer(libc::SECCOMP_RET_ERRNO | error as u32));
    }
    filter.push(answer(libc::SECCOMP_RET_ALLOW));
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: the program is valid while the call copies it, and concerns this thread's calls alone.
    let refused = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
            | libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program)
    };
    assert_eq!(refused, 0, "{}", Error::last_os_error());
    lacking.iter().for_each(|lack| lack.check());
}

/// Says it past the harness, which keeps what a passing test says to itself.
pub fn aloud(said: &str) {
    // SAFETY: writes bytes that live as long as the call.
    unsafe { libc::write(2, said.as_ptr().cast(), said.len()) };
}

/// Runs in a forked child and answers its exit status.
pub fn fork(life: impl FnOnce() -> i32) -> i32 {
    wait(spawn(life))
}

/// The same, not waited for.
pub fn spawn(life: impl FnOnce() -> i32) -> i32 {
    // SAFETY: the child runs `life` on its one thread and leaves by `_exit`.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "{}", Error::last_os_error());
    if pid == 0 {
        let lived = std::panic::catch_unwind(std::panic::AssertUnwindSafe(life));
        let status = lived.unwrap_or_else(|panic| {
            // What the test's harness catches of a child's words is lost with the child.
            let said = panic.downcast_ref::<String>().map(String::as_str);
            let said = said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("panicked");
            aloud(&format!("in the child: {said}\n"));
            101
        });
        // SAFETY: ends the child without running anything of the parent's.
        unsafe { libc::_exit(status) };
    }
    pid
}

/// The exit status of a child, or the signal that ended it, below zero.
pub fn wait(pid: i32) -> i32 {
    let mut status = 0;
    // SAFETY: waits for our own child.
    assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
    if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { -libc::WTERMSIG(status) }
}

/// Runs in a process that was born on such a host, so that also what a process registers for as it begins
/// is refused.
pub fn on_a_host_without(lacking: &[Lack], life: impl FnOnce() -> i32) -> i32 {
    fork(|| {
        without(lacking);
        fork(life)
    })
}
