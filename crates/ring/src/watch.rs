//! Waiting for frames in many rings at once, on one thread: for hosts with an event loop.

use crate::segment::{Mapping, Segment};
use crate::sync::{Futex, Ordering, announce_fence};
use crate::wait;
use rustix::io::Errno;
use rustix::thread::futex::{self, WaitFlags, WaitPtr, WaitvFlags};
use rustix::time::{ClockId, Timespec};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Rings that one `futex_waitv` call can watch beside the bell.
const PER_CALL: usize = 127;
/// How often rings are looked at that can't be slept on.
const SHORT: Duration = Duration::from_millis(2);

/// Ends a [`wait_any`] from another thread of the process.
#[derive(Debug)]
pub struct Bell(Futex);

impl Default for Bell {
    fn default() -> Self {
        Self(Futex::new())
    }
}

impl Bell {
    /// Makes the watch, the present one or the next, return.
    pub fn ring(&self) {
        // Release: pairs with the Acquire in `wait_any`.
        self.0.word.fetch_add(1, Ordering::Release);
        self.0.wake_all();
    }
}

/// A ring to be watched for frames.
#[derive(Clone, Debug)]
pub struct Readable(Arc<Mapping>);

impl Segment {
    /// To be told when a frame waits here.
    pub fn readable(&self) -> Readable {
        Readable(self.mapping.clone())
    }
}

impl Readable {
    /// Whether a frame waits for this ring's consumer, or the ring is closed.
    pub fn ready(&self) -> bool {
        self.0.readable() || self.0.closed()
    }
}

/// Waits until one of the rings is ready, the bell rings, or `limit` has passed. Answers the
/// indices of those that are ready; none if it was the bell or the limit.
///
/// `heard` is the count of the bell's rings that the caller knows of, 0 at first; it is brought up
/// to date. Peers that die while nobody else is awake are seen to every 100 ms.
pub fn wait_any(
    rings: &[Readable],
    bell: &Bell,
    heard: &mut u32,
    limit: Option<Duration>,
) -> Vec<usize> {
    let start = Instant::now();
    loop {
        let words: Vec<u32> = rings.iter().map(|ring| ring.0.data().announce_unfenced()).collect();
        let fenced = announce_fence();
        // Acquire: pairs with the Release in `Bell::ring`.
        let rung = bell.0.word.load(Ordering::Acquire);
        let ready: Vec<usize> = (0..rings.len()).filter(|&i| rings[i].ready()).collect();
        let left = limit.map(|limit| limit.saturating_sub(start.elapsed()));
        if !ready.is_empty() || rung != *heard || left == Some(Duration::ZERO) {
            *heard = rung;
            return ready;
        }
        let mut tick = wait::tick(fenced);
        if rings.len() > PER_CALL {
            // Beyond one call's reach: the rest are looked at on a short tick.
            tick = tick.min(SHORT);
        }
        sleep_any(rings, &words, bell, rung, left.map_or(tick, |left| left.min(tick)));
        rings.iter().for_each(|ring| ring.0.look_around_now_and_then());
    }
}

fn sleep_any(rings: &[Readable], values: &[u32], bell: &Bell, rung: u32, limit: Duration) {
    let word = |futex: &Futex, value: u32, flags| {
        let mut wait = futex::Wait::new();
        wait.val = u64::from(value);
        wait.uaddr = WaitPtr::new(std::ptr::from_ref(futex.raw()).cast_mut().cast());
        wait.flags = flags;
        wait
    };
    let mut words = vec![word(&bell.0, rung, WaitFlags::SIZE_U32)];
    words.extend(
        rings
            .iter()
            .zip(values)
            .take(PER_CALL)
            .map(|(ring, value)| word(&ring.0.data().futex, *value, WaitFlags::SIZE_U32)),
    );
    // SAFETY: an all-zero `timespec` is a valid one, and the call fills it.
    let now = unsafe {
        let mut now: libc::timespec = std::mem::zeroed();
        libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now);
        now
    };
    let nanos = now.tv_nsec + i64::from(limit.subsec_nanos());
    let deadline = Timespec {
        tv_sec: now.tv_sec + limit.as_secs() as i64 + nanos / 1_000_000_000,
        tv_nsec: nanos % 1_000_000_000,
    };
    let slept = futex::waitv(&words, WaitvFlags::empty(), Some(&deadline), ClockId::Monotonic);
    if let Err(error) = slept
        && ![Errno::AGAIN, Errno::TIMEDOUT, Errno::INTR].contains(&error)
    {
        // Before Linux 5.16, or forbidden: one word can be slept on; the others are looked at on a
        // short tick.
        bell.0.wait(rung, limit.min(SHORT));
    }
}
