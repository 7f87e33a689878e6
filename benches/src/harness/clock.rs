//! The harness's clock: the processor's time-stamp counter where there is one.
//!
//! A reading costs a few nanoseconds, where the kernel's clock costs some tens; a round trip
//! between two cores takes about a hundred. `machine/clock` says what it costs on this machine.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A calibrated counter. Counts of one clock mean nothing to another.
#[derive(Clone, Debug)]
pub struct Clock {
    /// The counter when the clock was made.
    origin: u64,
    /// Nanoseconds since the Unix epoch at that moment.
    epoch: u64,
    /// Nanoseconds per count, as a fraction of 2^32.
    rate: u64,
}

impl Clock {
    /// Calibrates against the kernel's monotonic clock for 10 ms.
    pub fn new() -> Self {
        let epoch = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_nanos() as u64);
        let (origin, start) = (counter(), Instant::now());
        while start.elapsed() < Duration::from_millis(10) {
            std::hint::spin_loop();
        }
        let (counts, nanos) = (counter() - origin, start.elapsed().as_nanos());
        Self { origin, epoch, rate: ((nanos << 32) / u128::from(counts.max(1))) as u64 }
    }

    /// The counter now.
    #[inline(always)]
    pub fn counts(&self) -> u64 {
        counter()
    }

    /// Nanoseconds in so many counts.
    #[inline(always)]
    pub fn nanos(&self, counts: u64) -> u64 {
        ((u128::from(counts) * u128::from(self.rate)) >> 32) as u64
    }

    /// Counts in so much time.
    pub fn counts_in(&self, time: Duration) -> u64 {
        ((time.as_nanos() << 32) / u128::from(self.rate.max(1))) as u64
    }

    /// Nanoseconds since the Unix epoch, as they stand in a frame's header.
    #[inline(always)]
    pub fn now(&self) -> u64 {
        self.epoch + self.nanos(counter().wrapping_sub(self.origin))
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn counter() -> u64 {
    // SAFETY: every x86-64 processor has the instruction; it only reads a counter.
    unsafe { std::arch::x86_64::_rdtsc() }
}

#[cfg(not(target_arch = "x86_64"))]
fn counter() -> u64 {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R7.5: a figure in nanoseconds is in nanoseconds.
    #[test]
    fn it_agrees_with_the_kernel() {
        let clock = Clock::new();
        let (counts, start) = (clock.counts(), Instant::now());
        while start.elapsed() < Duration::from_millis(50) {}
        let (counts, kernel) = (clock.counts() - counts, start.elapsed().as_nanos() as u64);
        let error = clock.nanos(counts).abs_diff(kernel);
        assert!(error < kernel / 20, "{error} ns off in {kernel} ns");
        let there = clock.counts_in(Duration::from_millis(7));
        assert!(clock.nanos(there).abs_diff(7_000_000) < 100);
    }
}
