//! The one door to atomics, fences, futexes and spin hints.
//!
//! Everything that two threads or processes share goes through these types; `clippy.toml` forbids
//! the originals elsewhere. Under `--cfg slipring_loom` the same names stand for loom's types, so
//! the algorithms that run in the models are the algorithms that ship. Loom's atomics differ in
//! size from the machine's, so models run on heap-built structures, never on mapped bytes.
#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "this is the facade")]

pub(crate) use std::sync::atomic::Ordering;

#[cfg(slipring_loom)]
use loom::sync::atomic as imp;
#[cfg(not(slipring_loom))]
use std::sync::atomic as imp;

/// A shared 64-bit word. Transparent over the machine's atomic, so it may lie in mapped memory.
#[cfg_attr(not(slipring_loom), repr(transparent))]
#[derive(Debug)]
pub(crate) struct AtomicU64(imp::AtomicU64, Readers);

/// A shared 32-bit word. Transparent over the machine's atomic, so it may lie in mapped memory.
#[cfg_attr(not(slipring_loom), repr(transparent))]
#[derive(Debug)]
pub(crate) struct AtomicU32(imp::AtomicU32, Readers);

#[cfg(not(slipring_loom))]
type Readers = ();
#[cfg(slipring_loom)]
use orders::Readers;

macro_rules! word {
    ($name:ident, $inner:ident, $value:ty) => {
        impl $name {
            #[allow(dead_code, reason = "one width is made by the models only")]
            pub(crate) fn new(value: $value) -> Self {
                Self(imp::$inner::new(value), Readers::default())
            }

            #[inline(always)]
            pub(crate) fn load(&self, order: Ordering) -> $value {
                #[cfg(slipring_loom)]
                self.1.read();
                self.0.load(order)
            }

            #[inline(always)]
            pub(crate) fn store(&self, value: $value, order: Ordering) {
                #[cfg(slipring_loom)]
                death::write();
                self.0.store(value, order);
            }

            #[inline(always)]
            pub(crate) fn compare_exchange(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                #[cfg(slipring_loom)]
                death::write();
                self.0.compare_exchange(current, new, success, failure)
            }
        }
    };
}
word!(AtomicU64, AtomicU64, u64);
word!(AtomicU32, AtomicU32, u32);

impl AtomicU64 {
    #[inline(always)]
    pub(crate) fn fetch_add(&self, value: u64, order: Ordering) -> u64 {
        #[cfg(slipring_loom)]
        death::write();
        self.0.fetch_add(value, order)
    }
}

impl AtomicU32 {
    #[cfg(not(slipring_loom))]
    pub(crate) const fn zero() -> Self {
        Self(imp::AtomicU32::new(0), ())
    }

    #[inline(always)]
    pub(crate) fn fetch_add(&self, value: u32, order: Ordering) -> u32 {
        #[cfg(slipring_loom)]
        death::write();
        self.0.fetch_add(value, order)
    }
}

/// Has loom look at every order of reads and writes. By itself it remembers only who touched a word last: where a thread reads
/// a word and then writes it, it forgets the one who had read it before, and may never try the write before that one's read.
/// So, where it is asked for, who reads a word also writes one beside it, and the order of reads counts, too.
#[cfg(slipring_loom)]
pub(crate) mod orders {
    use std::cell::Cell;
    use std::sync::atomic::Ordering::Relaxed;

    // A model runs on one thread of the machine.
    std::thread_local! {
        static ALL: Cell<bool> = const { Cell::new(false) };
    }

    /// Whether the models that this thread runs from now on look at all orders.
    pub(crate) fn all(all: bool) {
        ALL.set(all);
    }

    #[derive(Debug, Default)]
    pub(crate) struct Readers(loom::sync::atomic::AtomicU8);

    impl Readers {
        pub(super) fn read(&self) {
            if ALL.get() {
                // Relaxed: it says nothing.
                self.0.store(0, Relaxed);
            }
        }
    }
}

/// Deaths in the models, before any write to a shared word: one who is to die gets through so many of its writes to shared words, and no further. What it
/// does in between nobody else can tell.
#[cfg(slipring_loom)]
pub(crate) mod death {
    use std::cell::Cell;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    loom::thread_local! {
        static LEFT: Cell<Option<u32>> = Cell::new(None);
    }
    struct Died;

    pub(super) fn write() {
        let dies = LEFT.with(|left| {
            let now = left.get();
            left.set(now.map(|now| now.saturating_sub(1)));
            now == Some(0)
        });
        if dies {
            // Without the message of a panic.
            std::panic::resume_unwind(Box::new(Died));
        }
    }

    /// Who dies after so many writes.
    #[derive(Clone)]
    pub(crate) struct Victim {
        writes: u32,
        died: Arc<AtomicBool>,
    }

    impl Victim {
        /// Does `act`. `None`: it died at that. `act` owns nothing that is to be dropped, as nothing of a dead process is.
        pub(crate) fn does<R>(&self, act: impl FnOnce() -> R) -> Option<R> {
            LEFT.with(|left| left.set(Some(self.writes)));
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(act));
            LEFT.with(|left| left.set(None));
            match done {
                Ok(done) => Some(done),
                Err(died) if died.is::<Died>() => {
                    // Relaxed: read when the model is over.
                    self.died.store(true, Ordering::Relaxed);
                    None
                }
                Err(failure) => std::panic::resume_unwind(failure),
            }
        }
    }

    /// Checks with one who dies after no write, after one, and so on, up to one who lives in every interleaving.
    pub(crate) fn after_each_write(check: impl Fn(Victim)) {
        for writes in 0.. {
            let died = Arc::new(AtomicBool::new(false));
            check(Victim { writes, died: died.clone() });
            if !died.load(Ordering::Relaxed) {
                return;
            }
        }
    }
}

/// One turn of a spin loop.
#[inline(always)]
pub(crate) fn spin() {
    #[cfg(not(slipring_loom))]
    std::hint::spin_loop();
    #[cfg(slipring_loom)]
    loom::thread::yield_now();
}

/// Has the lines of a frame's header and of what follows it fetched meanwhile. Any address will do: a hint
/// faults never and changes nothing.
#[inline(always)]
pub(crate) fn fetch(frame: *const u8) {
    #[cfg(all(target_arch = "x86_64", not(slipring_loom)))]
    for line in [frame, frame.wrapping_add(64)] {
        // SAFETY: a hint, as above.
        unsafe { std::arch::x86_64::_mm_prefetch::<3>(line.cast()) };
    }
    #[cfg(not(all(target_arch = "x86_64", not(slipring_loom))))]
    let _ = frame;
}

/// Has a line fetched for writing: where it is read first and written soon, one way and not two. As above, any address will do.
#[inline(always)]
pub(crate) fn fetch_to_write<T>(at: *const T) {
    #[cfg(all(target_arch = "x86_64", not(slipring_loom)))]
    // SAFETY: a hint, which x86-64 processors that don't know it pass over.
    unsafe {
        std::arch::asm!("prefetchw [{}]", in(reg) at, options(nostack, preserves_flags));
    }
    #[cfg(not(all(target_arch = "x86_64", not(slipring_loom))))]
    let _ = at;
}

/// Orders a publication before the look for waiters that follows it (store before load).
///
/// Pairs with [`announce_fence`] on the waiter's side: of "publish, look for waiters" and
/// "announce, look for data" at least one sees the other. Where this process is registered for
/// expedited membarriers the waiter's call does the work of both and this is a compiler fence
/// only; elsewhere, and under loom, it is a full fence.
#[inline(always)]
pub(crate) fn publish_fence() {
    #[cfg(slipring_loom)]
    loom::sync::atomic::fence(Ordering::SeqCst);
    #[cfg(not(slipring_loom))]
    if membarrier::registered() {
        std::sync::atomic::compiler_fence(Ordering::SeqCst);
    } else {
        std::sync::atomic::fence(Ordering::SeqCst);
    }
}

/// Orders a waiter's announcement before its last look for data; pairs with [`publish_fence`].
///
/// Answers whether the fence reaches publishers that use no fence of their own. Where it does not
/// (no membarrier in this kernel or sandbox), the waiter must keep its sleep short.
pub(crate) fn announce_fence() -> bool {
    #[cfg(slipring_loom)]
    {
        loom::sync::atomic::fence(Ordering::SeqCst);
        true
    }
    #[cfg(not(slipring_loom))]
    {
        std::sync::atomic::fence(Ordering::SeqCst);
        membarrier::barrier()
    }
}

/// What a process asks once and then knows. Threads that ask at the same time each find out for themselves: none ever waits for
/// another, which a child that is forked just then has not.
#[cfg(not(slipring_loom))]
pub(crate) struct Answer(AtomicU32);

#[cfg(not(slipring_loom))]
impl Answer {
    pub(crate) const fn unknown() -> Self {
        Self(AtomicU32::zero())
    }

    pub(crate) fn get(&self, ask: impl FnOnce() -> bool) -> bool {
        // Relaxed: it says nothing of other memory.
        match self.0.load(Ordering::Relaxed) {
            0 => {
                let answer = ask();
                self.0.store(1 + u32::from(answer), Ordering::Relaxed);
                answer
            }
            known => known == 2,
        }
    }
}

/// The asymmetric fence: waiters pay with a system call, publishers pay nothing.
#[cfg(not(slipring_loom))]
pub(crate) mod membarrier {
    use rustix::thread::{MembarrierCommand, membarrier};
    use std::sync::atomic::{AtomicBool, Ordering};

    static REGISTERED: AtomicBool = AtomicBool::new(false);

    /// Whether this process takes part in global expedited membarriers.
    #[inline(always)]
    pub(crate) fn registered() -> bool {
        // Relaxed: a stale `false` costs a full fence, never correctness. A `true` can only be
        // read after the registration, because it is stored after that system call returned.
        REGISTERED.load(Ordering::Relaxed)
    }

    /// Registers this process; harmless to repeat, and repeated in a forked child.
    pub(crate) fn register() {
        if membarrier(MembarrierCommand::RegisterGlobalExpedited).is_ok() {
            REGISTERED.store(true, Ordering::Release);
        } else {
            REGISTERED.store(false, Ordering::Release);
        }
    }

    /// A full fence on every thread now running in a registered process.
    pub(super) fn barrier() -> bool {
        membarrier(MembarrierCommand::GlobalExpedited).is_ok()
    }
}

/// How long a sleep is where nobody can end it.
#[cfg(not(slipring_loom))]
const POLL: std::time::Duration = std::time::Duration::from_micros(500);

/// A futex word in shared memory: sleep while it holds a value, wake all sleepers.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Futex {
    pub(crate) word: AtomicU32,
    #[cfg(slipring_loom)]
    sleepers: (loom::sync::Mutex<()>, loom::sync::Condvar),
}

impl Futex {
    pub(crate) fn new() -> Self {
        Self {
            #[cfg(not(slipring_loom))]
            word: AtomicU32::zero(),
            #[cfg(slipring_loom)]
            word: AtomicU32::new(0),
            #[cfg(slipring_loom)]
            sleepers: (loom::sync::Mutex::new(()), loom::sync::Condvar::new()),
        }
    }

    /// Sleeps while the word is `expected`, at most for `timeout`. Answers whether a signal cut the
    /// sleep short. Spurious returns are allowed: the caller looks again.
    #[cfg(not(slipring_loom))]
    pub(crate) fn wait(&self, expected: u32, timeout: std::time::Duration) -> bool {
        use rustix::io::Errno;
        use rustix::thread::futex;
        let limit = rustix::time::Timespec {
            tv_sec: timeout.as_secs().min(i64::MAX as u64) as i64,
            tv_nsec: i64::from(timeout.subsec_nanos()),
        };
        // Not PRIVATE: the word is shared between processes.
        match futex::wait(&self.word.0, futex::Flags::empty(), expected, Some(&limit)) {
            Err(Errno::INTR) => true,
            Err(Errno::NOSYS | Errno::PERM | Errno::ACCESS) => {
                // A host without the call, or a sandbox that forbids it: look again and again.
                std::thread::sleep(timeout.min(POLL));
                false
            }
            _ => false,
        }
    }

    /// Under loom there is no clock: a sleep ends by a wake or the model reports a deadlock.
    #[cfg(slipring_loom)]
    pub(crate) fn wait(&self, expected: u32, _timeout: std::time::Duration) -> bool {
        let guard = self.sleepers.0.lock().unwrap();
        if self.word.load(Ordering::SeqCst) == expected {
            drop(self.sleepers.1.wait(guard).unwrap());
        }
        false
    }

    /// Wakes everybody who sleeps on the word.
    pub(crate) fn wake_all(&self) {
        #[cfg(not(slipring_loom))]
        {
            use rustix::thread::futex;
            // The only failure is a bad address, which a reference is not.
            let _ = futex::wake(&self.word.0, futex::Flags::empty(), i32::MAX as u32);
        }
        #[cfg(slipring_loom)]
        {
            let _guard = self.sleepers.0.lock().unwrap();
            self.sleepers.1.notify_all();
        }
    }

    /// The word itself, for a call that waits on several at once.
    #[cfg(not(slipring_loom))]
    pub(crate) fn raw(&self) -> &std::sync::atomic::AtomicU32 {
        &self.word.0
    }
}

#[cfg(all(test, not(slipring_loom)))]
mod tests {
    use super::{Answer, membarrier};
    use crate::without::{Lack, on_a_host_without};

    /// P8: a process that the system would not register fences by itself, though its parent is registered.
    #[test]
    fn who_is_not_registered_fences() {
        crate::participants::forks::watch();
        let knows = || i32::from(membarrier::registered()) + 2 * i32::from(membarrier::barrier());
        assert_eq!(on_a_host_without(&[Lack::Membarrier], knows), 0);
        assert_eq!(on_a_host_without(&[], knows), knows());
    }

    /// P2: a child that is forked while another thread of its parent asks does not wait for that thread.
    #[test]
    fn a_forked_child_asks_for_itself() {
        use std::sync::mpsc::channel;
        static SLOW: Answer = Answer::unknown();
        let (asking, asks) = channel();
        let (go_on, goes_on) = channel::<()>();
        let parent = std::thread::spawn(move || {
            SLOW.get(|| {
                asking.send(()).unwrap();
                goes_on.recv().is_ok()
            })
        });
        asks.recv().unwrap();
        // SAFETY: the child makes no allocation and leaves by `_exit`.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            // SAFETY: a child that waits for ever is ended by the alarm.
            unsafe { libc::alarm(5) };
            let answer = SLOW.get(|| true) && SLOW.get(|| false);
            // SAFETY: ends the child without running anything of the parent's.
            unsafe { libc::_exit(i32::from(answer)) };
        }
        let mut status = 0;
        // SAFETY: waits for our own child.
        unsafe { libc::waitpid(pid, &mut status, 0) };
        go_on.send(()).unwrap();
        assert!(parent.join().unwrap());
        assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 1, "{status}");
    }
}
