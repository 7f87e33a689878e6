//! Waiting for many rings at once on one thread, for frames or for room: for hosts with an event loop.

use crate::segment::{Mapping, Segment};
use crate::sync::{Futex, Ordering, announce_fence};
use crate::wait::{self, EventCount, Ticket};
use rustix::io::Errno;
use rustix::thread::futex::{self, WaitFlags, WaitPtr, WaitvFlags};
use rustix::time::{ClockId, Timespec};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What one [`wait_any`] watches without polling: a call of `futex_waitv` takes so many words beside
/// the bell's. Who watches more gives them to more threads.
pub const WATCHED_PER_THREAD: usize = 127;
/// How often rings are looked at that can't be slept on.
const SHORT: Duration = Duration::from_millis(2);
/// How long nothing but the bell is waited for.
const LONG: Duration = Duration::from_secs(3600);

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

/// A ring that is watched, for frames or for room.
#[derive(Clone, Debug)]
pub struct Watched {
    mapping: Arc<Mapping>,
    since: Instant,
    /// For room: what was announced. It stands for one piece of news and is ready once, for good.
    room: Option<Ticket>,
}

impl Segment {
    /// To be told when a frame waits here, or the ring is closed and no frame is on its way. For one
    /// that is on its way and does not come a watch waits 100 ms, from this call on: try to receive, and
    /// make another one.
    pub fn readable(&self) -> Watched {
        Watched { mapping: self.mapping.clone(), since: Instant::now(), room: None }
    }

    /// To be told once when space is freed here, or the ring is closed.
    ///
    /// Try to send once more after this call and before the wait: what was freed before the call is
    /// not told of. How much is freed is not said either; who needs more makes another one.
    pub fn writable(&self) -> Watched {
        let room = Some(self.mapping.space().announce());
        Watched { mapping: self.mapping.clone(), since: Instant::now(), room }
    }
}

impl Watched {
    /// Whether there is news.
    pub fn ready(&self) -> bool {
        let mapping = &self.mapping;
        // Who frees space or places the last frame may die or be stopped before it says so: after a
        // tick it is time to look.
        let overdue = || self.since.elapsed() >= wait::TICK;
        match self.room {
            None => mapping.readable() || mapping.closed() && (overdue() || !mapping.placing()),
            // Relaxed: only the change counts; who then tries again reads the head with Acquire.
            Some(ticket) => {
                mapping.space().futex.word.load(Ordering::Relaxed) != ticket.word
                    || mapping.closed()
                    || overdue()
            }
        }
    }

    fn event(&self) -> &EventCount {
        if self.room.is_some() { self.mapping.space() } else { self.mapping.data() }
    }

    /// The word to sleep on, and its value. Frames are looked for after each announcement; for room
    /// one stands, and whoever frees space changes the word.
    fn announced(&self) -> (&Futex, u32) {
        let word = self.room.map_or_else(|| self.event().announce_unfenced(), |room| room.word);
        (&self.event().futex, word)
    }
}

/// Announces, once for each word: a second announcement would end the sleep that the first is for.
fn announce(rings: &[Watched]) -> Vec<(&Futex, u32)> {
    let mut words = HashSet::new();
    let first = |ring: &&Watched| words.insert(std::ptr::from_ref(ring.event()));
    rings.iter().filter(first).map(Watched::announced).collect()
}

/// Waits until one of the rings is ready, the bell rings, or `limit` has passed. Answers the
/// indices of those that are ready; none if it was the bell or the limit.
///
/// `heard` is the count of the bell's rings that the caller knows of, 0 at first; it is brought up
/// to date. Peers that die while nobody else is awake are seen to every 100 ms. More than
/// [`WATCHED_PER_THREAD`] are polled.
pub fn wait_any(
    rings: &[Watched],
    bell: &Bell,
    heard: &mut u32,
    limit: Option<Duration>,
) -> Vec<usize> {
    let start = Instant::now();
    rings.iter().for_each(|ring| ring.mapping.before_sleep());
    loop {
        let words = announce(rings);
        let tick = match words.len() {
            0 => LONG,
            len => {
                let tick = wait::tick(announce_fence());
                // Beyond one call's reach: the rest are looked at on a short tick.
                if len > WATCHED_PER_THREAD { tick.min(SHORT) } else { tick }
            }
        };
        // Acquire: pairs with the Release in `Bell::ring`.
        let rung = bell.0.word.load(Ordering::Acquire);
        let ready: Vec<usize> = (0..rings.len()).filter(|&i| rings[i].ready()).collect();
        let left = limit.map(|limit| limit.saturating_sub(start.elapsed()));
        if !ready.is_empty() || rung != *heard || left == Some(Duration::ZERO) {
            *heard = rung;
            return ready;
        }
        sleep_any(&words, bell, rung, left.map_or(tick, |left| left.min(tick)));
        rings.iter().for_each(|ring| ring.mapping.look_around_now_and_then());
    }
}

fn sleep_any(announced: &[(&Futex, u32)], bell: &Bell, rung: u32, limit: Duration) {
    let word = |futex: &Futex, value: u32, flags| {
        let mut wait = futex::Wait::new();
        wait.val = u64::from(value);
        wait.uaddr = WaitPtr::new(std::ptr::from_ref(futex.raw()).cast_mut().cast());
        wait.flags = flags;
        wait
    };
    let mut words = vec![word(&bell.0, rung, WaitFlags::SIZE_U32)];
    words.extend(
        announced
            .iter()
            .take(WATCHED_PER_THREAD)
            .map(|(futex, value)| word(futex, *value, WaitFlags::SIZE_U32)),
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
        let limit = if announced.is_empty() { limit } else { limit.min(SHORT) };
        bell.0.wait(rung, limit);
    }
}
