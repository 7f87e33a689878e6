//! The page by which the two ends agree on start and end, apart from what is measured.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::failure::Failure;
use super::link::End;
use super::memory::Memory;

/// Bytes at the start of the memory that belong to the control page.
pub(crate) const CONTROL_LEN: usize = 4096;

/// How long an end waits for a sign of the other.
const PATIENCE: Duration = Duration::from_secs(20);

/// Each word on a pair of cache lines of its own: 0 until it is said.
#[derive(Clone)]
pub(crate) struct Control {
    memory: Arc<Memory>,
}

impl Control {
    pub(crate) fn new(memory: Arc<Memory>) -> Self {
        Self { memory }
    }

    fn ready(&self, end: End) -> &AtomicU32 {
        self.memory.word(if end == End::Near { 0 } else { 128 })
    }

    /// Says that this end is open, and waits until the other is.
    pub(crate) fn meet(&self, end: End) -> Result<(), Failure> {
        self.ready(end).store(1, Ordering::Release);
        let other = if end == End::Near { End::Far } else { End::Near };
        let mut watch = Watch::new();
        // Release above and Acquire here pair up across the two ends.
        while self.ready(other).load(Ordering::Acquire) == 0 {
            watch.idle(self)?;
            std::hint::spin_loop();
        }
        Ok(())
    }

    /// Where there are many ends: all are open.
    pub(crate) fn start(&self) {
        self.ready(End::Near).store(1, Ordering::Release);
    }

    pub(crate) fn started(&self) -> bool {
        self.ready(End::Near).load(Ordering::Acquire) != 0
    }

    /// The near end has seen enough.
    pub(crate) fn stop(&self) {
        self.memory.word(256).store(1, Ordering::Release);
    }

    #[inline(always)]
    pub(crate) fn stopped(&self) -> bool {
        self.memory.word(256).load(Ordering::Relaxed) != 0
    }

    fn total(&self) -> &AtomicU64 {
        self.memory.long(384)
    }

    /// The far end has sent so many frames and sends no more.
    pub(crate) fn sent(&self, frames: u64) {
        // Release: pairs with the Acquire in `all_sent`.
        self.total().store(frames + 1, Ordering::Release);
    }

    /// How many frames the far end has sent in all, once it has ended.
    pub(crate) fn all_sent(&self) -> Option<u64> {
        self.total().load(Ordering::Acquire).checked_sub(1)
    }

    /// The near end is through; the far end may close.
    pub(crate) fn leave(&self) {
        self.memory.word(512).store(1, Ordering::Release);
    }

    pub(crate) fn left(&self) -> bool {
        self.memory.word(512).load(Ordering::Acquire) != 0
    }

    /// Waits for that. The kernel ends this process when the near one dies, so there is no limit.
    pub(crate) fn await_leave(&self) {
        while !self.left() {
            std::thread::sleep(Duration::from_micros(100));
        }
    }

    /// The far end has failed; what it has to say it prints.
    pub(crate) fn fail(&self) {
        self.memory.word(640).store(1, Ordering::Release);
    }

    pub(crate) fn failed(&self) -> bool {
        self.memory.word(640).load(Ordering::Acquire) != 0
    }

    /// Whether it is worth waiting on, since then.
    pub(crate) fn patience(&self, since: Instant) -> Result<(), Failure> {
        let waited = since.elapsed();
        let gone = self.failed() || waited >= PATIENCE;
        if gone { Err(Failure::Silent { waited }) } else { Ok(()) }
    }
}

/// Notices when nothing happens any more, at next to no cost while something does.
pub(crate) struct Watch {
    idle: u32,
    since: Option<Instant>,
}

impl Watch {
    pub(crate) fn new() -> Self {
        Self { idle: 0, since: None }
    }

    #[inline(always)]
    pub(crate) fn progress(&mut self) {
        self.idle = 0;
    }

    /// Nothing came or went.
    #[inline(always)]
    pub(crate) fn idle(&mut self, control: &Control) -> Result<(), Failure> {
        self.idle += 1;
        if self.idle & 0xff != 0 { Ok(()) } else { self.look(control) }
    }

    #[cold]
    fn look(&mut self, control: &Control) -> Result<(), Failure> {
        if self.idle == 0x100 {
            self.since = None;
        }
        // The count may wrap; the start of the silence is kept apart from it.
        self.idle = 0x200;
        let since = *self.since.get_or_insert_with(Instant::now);
        control.patience(since)
    }
}
