//! The time of day in nanoseconds, for a few nanoseconds.
//!
//! Where the processor's time-stamp counter runs evenly, the kernel's clock is read once a
//! millisecond and the counter bridges the gap; elsewhere the kernel's clock is read each time.

#[cfg(target_arch = "x86_64")]
use crate::sync::Answer;
use std::time::{SystemTime, UNIX_EPOCH};

/// The kernel's clock: nanoseconds since the Unix epoch.
pub(crate) fn realtime() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64)
}

/// A clock of one handle. Never runs backwards within it.
#[derive(Debug)]
pub(crate) struct Clock {
    /// Counter and time at the last look at the kernel's clock.
    base: (u64, u64),
    /// Nanoseconds per count, as a fraction of 2^32; 0 until it is known.
    rate: u64,
    /// Counts from the base after which the kernel's clock is read again.
    span: u64,
    last: u64,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { base: (counter(), realtime()), rate: 0, span: 0, last: 0 }
    }

    /// Now, and whether about a millisecond or more has passed since this was last true.
    #[inline(always)]
    pub(crate) fn now(&mut self) -> (u64, bool) {
        let elapsed = counter().wrapping_sub(self.base.0);
        if elapsed >= self.span {
            return (self.refresh(), true);
        }
        // The span is below 2^31 counts and the rate below 2^33: the product fits.
        self.last = self.last.max(self.base.1 + (elapsed.wrapping_mul(self.rate) >> 32));
        (self.last, false)
    }

    #[cold]
    fn refresh(&mut self) -> u64 {
        let (count, time) = (counter(), realtime());
        let (counts, nanos) = (count.wrapping_sub(self.base.0), time.wrapping_sub(self.base.1));
        // Learn the rate from a stretch of 100 us to 10 s, the clock not having been set in it.
        if even() && (100_000..10_000_000_000).contains(&nanos) && counts > 1000 {
            let rate = (u128::from(nanos) << 32) / u128::from(counts);
            if rate < 1 << 33 {
                self.rate = rate as u64;
                self.span = (counts * 1_000_000 / nanos).min(1 << 30);
            }
            self.base = (count, time);
        } else if self.rate != 0 || nanos >= 10_000_000_000 {
            self.base = (count, time);
        }
        self.last = self.last.max(time);
        self.last
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn counter() -> u64 {
    // SAFETY: every x86-64 processor has the instruction; it only reads a counter.
    unsafe { std::arch::x86_64::_rdtsc() }
}

/// Milliseconds on a clock that is never set.
pub(crate) fn monotonic_ms() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1000 + now.tv_nsec as u64 / 1_000_000
}

/// Whether the counter runs at one rate whatever the processor's clock does.
#[cfg(target_arch = "x86_64")]
fn even() -> bool {
    use std::arch::x86_64::__cpuid;
    static EVEN: Answer = Answer::unknown();
    EVEN.get(|| __cpuid(0x8000_0000).eax >= 0x8000_0007 && __cpuid(0x8000_0007).edx & 1 << 8 != 0)
}

#[cfg(not(target_arch = "x86_64"))]
fn counter() -> u64 {
    0
}

#[cfg(not(target_arch = "x86_64"))]
fn even() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_the_kernel_clock_and_never_runs_backwards() {
        let mut clock = Clock::new();
        let mut last = 0;
        let start = std::time::Instant::now();
        let mut fast = 0u32;
        while start.elapsed().as_millis() < 50 {
            let before = realtime();
            let (now, slow) = clock.now();
            let after = realtime();
            assert!(now >= last);
            assert!(now + 1_000_000 > before && now < after + 1_000_000);
            last = now;
            fast += u32::from(!slow);
        }
        assert!(fast > 0 || !even());
    }
}
