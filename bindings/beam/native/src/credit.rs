//! How many frames a consumer may still take before it acknowledges some, and who waits for that.
//!
//! The crate keeps the count that decides. This one follows it, a step behind: what is settled here is
//! settled there. While a frame is being taken it may say too little, and who was told so asks in vain,
//! and again.

use slipring::Bell;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard};

pub(crate) struct Credit {
    pub(crate) limit: u32,
    open: AtomicU32,
    /// Rung once when a frame is settled.
    bell: Mutex<Option<&'static Bell>>,
}

impl Credit {
    pub(crate) fn new(limit: u32) -> Self {
        Self { limit, open: AtomicU32::new(0), bell: Mutex::new(None) }
    }

    fn bell(&self) -> MutexGuard<'_, Option<&'static Bell>> {
        self.bell.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(crate) fn taken(&self) {
        // Relaxed: the consumer alone adds.
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn settled(&self) {
        // Relaxed: the lock orders it with `left_or_ring`, which either sees this or is rung for.
        self.open.fetch_sub(1, Ordering::Relaxed);
        if let Some(bell) = self.bell().take() {
            bell.ring();
        }
    }

    pub(crate) fn left(&self) -> bool {
        // Relaxed: who must not miss the change asks `left_or_ring`.
        self.open.load(Ordering::Relaxed) < self.limit
    }

    /// Whether there is some; if not, `bell` is rung when there may be.
    pub(crate) fn left_or_ring(&self, bell: &'static Bell) -> bool {
        *self.bell() = Some(bell);
        self.left()
    }
}
