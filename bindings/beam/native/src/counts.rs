//! What this VM has sent and decoded, by format.
//!
//! Each end counts for itself, and so does each thread for what is decoded without one: none waits for another's
//! line of memory, and who asks adds up. A place in which was counted is kept and used again.

use crate::frame;
use rustler::{Encoder, Env, Term};
use slipring_codec::Format;
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

/// Codes of formats that are told apart; any other one is counted with the last.
const FORMATS: usize = 8;

#[derive(Default)]
struct Count {
    frames: AtomicU64,
    bytes: AtomicU64,
}

impl Count {
    /// Only ever called by who has the tally.
    fn add(&self, bytes: usize) {
        // Relaxed, and no read-modify-write: there is one writer, and counts are for those who look.
        let grow = |count: &AtomicU64, by| {
            count.store(count.load(Ordering::Relaxed).wrapping_add(by), Ordering::Relaxed);
        };
        grow(&self.frames, 1);
        grow(&self.bytes, bytes as u64);
    }
}

/// The counts of one tally, on lines of their own.
#[derive(Default)]
#[repr(align(128))]
struct Counts {
    sent: [Count; FORMATS],
    decoded: [Count; FORMATS],
}

/// All places, and those that nobody counts in.
struct Places {
    all: Vec<&'static Counts>,
    free: Vec<&'static Counts>,
}

static PLACES: Mutex<Places> = Mutex::new(Places { all: Vec::new(), free: Vec::new() });

fn places() -> MutexGuard<'static, Places> {
    PLACES.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Who counts. Its place is its own until it is dropped.
pub(crate) struct Tally(&'static Counts);

impl Tally {
    pub(crate) fn new() -> Self {
        let mut places = places();
        let free = places.free.pop();
        Self(free.unwrap_or_else(|| {
            let counts: &'static Counts = Box::leak(Box::default());
            places.all.push(counts);
            counts
        }))
    }

    /// Counts a frame if it was sent.
    #[inline]
    pub(crate) fn sent<E>(
        &mut self,
        code: u8,
        bytes: usize,
        outcome: Result<(), E>,
    ) -> Result<(), E> {
        if outcome.is_ok() {
            self.0.sent[index(code)].add(bytes);
        }
        outcome
    }

    /// Counts a frame of which the content was made a term.
    #[inline]
    pub(crate) fn decoded(&mut self, code: u8, bytes: usize) {
        self.0.decoded[index(code)].add(bytes);
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        places().free.push(self.0);
    }
}

/// Does `count` with the tally of this thread.
pub(crate) fn here<R>(count: impl FnOnce(&mut Tally) -> R) -> R {
    thread_local!(static MINE: RefCell<Tally> = RefCell::new(Tally::new()));
    MINE.with_borrow_mut(count)
}

fn index(code: u8) -> usize {
    usize::from(code).min(FORMATS - 1)
}

/// `{sent, decoded}`, each `%{format => {frames, bytes}}`.
#[rustler::nif]
fn stats(env: Env<'_>) -> Term<'_> {
    let places = places();
    let told = |way: fn(&Counts) -> &[Count; FORMATS]| {
        let mut told = HashMap::new();
        for code in 0..FORMATS {
            let (mut frames, mut bytes) = (0u64, 0u64);
            for count in places.all.iter().map(|counts| &way(counts)[code]) {
                frames = frames.wrapping_add(count.frames.load(Ordering::Relaxed));
                bytes = bytes.wrapping_add(count.bytes.load(Ordering::Relaxed));
            }
            if frames > 0 {
                told.insert(frame::format(Format::from_code(code as u8)), (frames, bytes));
            }
        }
        told
    };
    (told(|counts| &counts.sent), told(|counts| &counts.decoded)).encode(env)
}
