//! How often this process was forked off, so that what belongs to its parent can be told.

use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

static FORKS: AtomicU32 = AtomicU32::new(0);

/// Begins to count. Called once when the module is made.
pub(crate) fn watch() {
    static WATCH: Once = Once::new();
    extern "C" fn in_child() {
        // Relaxed: the child has one thread.
        FORKS.fetch_add(1, Ordering::Relaxed);
        crate::watcher::forget_parents();
    }
    WATCH.call_once(|| {
        // SAFETY: the handler touches atomics only, which is allowed in a child at this moment.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    });
}

/// Forks between this process and the one that loaded the module first.
#[inline(always)]
pub(crate) fn count() -> u32 {
    FORKS.load(Ordering::Relaxed)
}
