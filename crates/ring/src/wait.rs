//! Sleeping until the other side has done something: an event count over one futex word.
//!
//! ```text
//! bit  31.......1   0
//!      count        somebody waits
//! ```
//!
//! Rules:
//! 1. A waiter *announces*: it adds to the count and sets the bit, in one step; then fences; then
//!    looks for data once more; then sleeps while the word is what it wrote or has seen after.
//! 2. A waker publishes, fences, and looks at the bit. If it is set it *bumps* the count, so that
//!    whoever is between its last look and its sleep does not fall asleep; wakes all; and clears
//!    the bit only if the word is still just what it wrote.
//! 3. So an announcement that comes in between keeps its bit, and a waker that dies or is stopped
//!    at any of its steps leaves the bit for the next waker.
//! 4. A side with nobody waiting makes no system call and writes nothing.

use crate::sync::{self, AtomicU64, Futex, Ordering};
use std::time::Duration;

const WAITING: u32 = 1;
const ONE: u32 = 2;

/// The longest sleep: then life and news are looked at again.
pub(crate) const TICK: Duration = Duration::from_millis(100);
/// The longest sleep where the kernel offers no membarrier to make up for a publisher's missing fence.
const SHORT_TICK: Duration = Duration::from_millis(1);

/// Whether waits are short enough for spinning, by how the last ones have ended.
#[derive(Debug)]
pub(crate) struct Spinning {
    /// Waits in a row that had to sleep.
    slept: AtomicU64,
}

impl Spinning {
    pub(crate) fn new() -> Self {
        Self { slept: AtomicU64::new(0) }
    }

    /// After some waits in vain it is tried now and then.
    pub(crate) fn pays(&self) -> bool {
        // Relaxed: a guess, here and below.
        let slept = self.slept.load(Ordering::Relaxed);
        slept < 8 || slept.is_multiple_of(64)
    }

    /// How a wait ended that was not over at once: before it slept, or not.
    pub(crate) fn ended(&self, in_time: bool) {
        let slept = self.slept.load(Ordering::Relaxed).wrapping_add(1);
        self.slept.store(if in_time { 0 } else { slept }, Ordering::Relaxed);
    }
}

/// One direction's event count. Zeroed memory is one that nobody waits for.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct EventCount {
    pub(crate) futex: Futex,
}

/// What a waiter has announced.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket {
    pub(crate) word: u32,
    /// Whether everybody's publication is fenced against this announcement.
    fenced: bool,
}

/// How long a sleep may be.
pub(crate) fn tick(fenced: bool) -> Duration {
    if fenced { TICK } else { SHORT_TICK }
}

impl EventCount {
    #[cfg(slipring_loom)]
    pub(crate) fn new() -> Self {
        Self { futex: Futex::new() }
    }

    /// Step *announce*. The caller looks for data after it and before it sleeps.
    pub(crate) fn announce(&self) -> Ticket {
        let word = self.announce_unfenced();
        Ticket { word, fenced: sync::announce_fence() }
    }

    /// Announces; the caller calls `announce_fence` before it looks, once for many announcements.
    pub(crate) fn announce_unfenced(&self) -> u32 {
        let word = &self.futex.word;
        let mut seen = word.load(Ordering::Relaxed);
        loop {
            let next = seen.wrapping_add(ONE) | WAITING;
            // Relaxed: the fence that follows orders it; there are no data behind the word.
            match word.compare_exchange(seen, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return next,
                Err(found) => seen = found,
            }
        }
    }

    /// Step *sleep*: until a wake, a bump, or the timeout. Answers whether a signal came.
    pub(crate) fn sleep(&self, ticket: Ticket, timeout: Duration) -> bool {
        self.futex.wait(ticket.word, timeout.min(tick(ticket.fenced)))
    }

    /// Wakes whoever waits for what the caller has just published.
    #[inline(always)]
    pub(crate) fn wake(&self) {
        sync::publish_fence();
        // Relaxed: ordered by the fence, which pairs with the one in `announce`.
        let seen = self.futex.word.load(Ordering::Relaxed);
        if seen & WAITING != 0 {
            self.wake_slow(seen);
        }
    }

    #[cold]
    fn wake_slow(&self, seen: u32) {
        if let Some(bumped) = self.bump(seen) {
            self.futex.wake_all();
            self.clear(bumped);
        }
    }

    /// Step *bump*: nobody who announced before it falls asleep after it. `None`: nobody waits.
    pub(crate) fn bump(&self, mut seen: u32) -> Option<u32> {
        while seen & WAITING != 0 {
            let bumped = seen.wrapping_add(ONE);
            // Relaxed: the futex call orders the sleepers' side.
            let word = &self.futex.word;
            match word.compare_exchange(seen, bumped, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Some(bumped),
                Err(found) => seen = found,
            }
        }
        None
    }

    /// Step *clear*: nobody waits any more, unless somebody has announced since the bump.
    pub(crate) fn clear(&self, bumped: u32) {
        let (word, clear) = (&self.futex.word, bumped & !WAITING);
        let _ = word.compare_exchange(bumped, clear, Ordering::Relaxed, Ordering::Relaxed);
    }
}

#[cfg(all(test, not(slipring_loom)))]
mod tests {
    use super::*;

    /// P8: spinning stops where it is in vain, is tried again now and then, and is back when it pays.
    #[test]
    fn spinning_adapts() {
        let spinning = Spinning::new();
        let spun_of = |waits: u32| {
            let spun = |_: &u32| {
                let pays = spinning.pays();
                spinning.ended(false);
                pays
            };
            (0..waits).filter(spun).count()
        };
        assert_eq!(spun_of(640), 8 + 9);
        assert!(spinning.pays(), "the trial");
        spinning.ended(true);
        assert_eq!(spun_of(20), 8);
    }
}
