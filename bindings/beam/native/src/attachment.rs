//! What keeps a segment mapped, and who unmaps it.
//!
//! Unmapping takes locks and system calls, and the garbage collector may be the last to let go. So:
//!
//! 1. Each attachment is on the list here, which holds its segment. Whatever uses it has a [`Hold`].
//! 2. Dropping a hold is a step on a counter. Who counts to zero says so and rings a bell.
//! 3. A thread of its own takes the attachment off the list, has the waiters let go of the ring, and
//!    drops the segment. Until then no other drop of anything that refers to the mapping can be the
//!    last one; and no news wait for an unmapping.
//! 4. What consumers have said in a ring is taken back by the same thread, before it unmaps: that waits for whoever says
//!    something there at the moment.

use crate::{atoms, schema, waiter};
use rustler::LocalPid;
use slipring::{Bell, Inspection, Segment, Want, wait_any};
use std::ops::Deref;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};
use std::time::Duration;

static LIST: Mutex<Vec<Arc<Attachment>>> = Mutex::new(Vec::new());
/// What is said in rings, to be taken back.
static LATER: Mutex<Vec<Want>> = Mutex::new(Vec::new());
/// Rung when an attachment was left, or something is to be taken back.
static LEFT: LazyLock<Bell> = LazyLock::new(Bell::default);

/// A segment that this VM is attached to.
pub(crate) struct Attachment {
    pub(crate) segment: Segment,
    /// Bytes of its pool that may be leased without being asked for.
    pub(crate) room: u64,
    /// Leases that Elixir holds, and their bytes.
    pub(crate) leases: AtomicUsize,
    pub(crate) leased: AtomicU64,
    /// Frames that were copied because too much was leased.
    pub(crate) copied: AtomicU64,
    /// Of its tables.
    pub(crate) schemas: schema::Known,
    holds: AtomicUsize,
    /// Nobody holds it, and `notice` is what it will be.
    left: AtomicBool,
    notice: Mutex<Option<Notice>>,
}

/// Who wants to be told when the segment is unmapped.
pub(crate) struct Notice {
    pub(crate) pid: LocalPid,
    pub(crate) tag: waiter::Tag,
}

/// Keeps an attachment for as long as it lives.
pub(crate) struct Hold {
    attachment: Arc<Attachment>,
    given_up: bool,
}

/// Has the thread take back what was said in a ring: that takes a lock, and a garbage collector may ask for it.
pub(crate) fn later(wants: impl Iterator<Item = Want>) {
    LATER.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).extend(wants);
    LEFT.ring();
}

fn list() -> MutexGuard<'static, Vec<Arc<Attachment>>> {
    LIST.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// A quarter of the pool, or half of what one process may hold: blocks may be nearly twice what is in them.
fn room(seen: &Inspection) -> u64 {
    (seen.capacity / 4).min(seen.capacity * u64::from(seen.share) / 200)
}

impl Hold {
    pub(crate) fn new(segment: Segment) -> Self {
        let attachment = Arc::new(Attachment {
            room: room(&segment.inspect()),
            segment,
            leases: AtomicUsize::new(0),
            leased: AtomicU64::new(0),
            copied: AtomicU64::new(0),
            schemas: schema::Known::default(),
            holds: AtomicUsize::new(1),
            left: AtomicBool::new(false),
            notice: Mutex::new(None),
        });
        list().push(attachment.clone());
        Self { attachment, given_up: false }
    }

    /// Gives it up. Answers whether it was the last; then `notice` is given once the segment is
    /// unmapped, and not otherwise.
    pub(crate) fn give_up(mut self, notice: Notice) -> bool {
        self.given_up = true;
        let last = self.step_down();
        if last {
            *self.notice.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(notice);
            self.leave();
        }
        last
    }

    fn step_down(&self) -> bool {
        // AcqRel: all that other holders did comes before the unmapping.
        self.holds.fetch_sub(1, Ordering::AcqRel) == 1
    }

    fn leave(&self) {
        // Release: pairs with the Acquire in `reap`.
        self.left.store(true, Ordering::Release);
        LEFT.ring();
    }
}

impl Clone for Hold {
    fn clone(&self) -> Self {
        // Relaxed: there is a hold already, so that nobody acts on the count.
        self.holds.fetch_add(1, Ordering::Relaxed);
        Self { attachment: self.attachment.clone(), given_up: false }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if !self.given_up && self.step_down() {
            self.leave();
        }
    }
}

impl Deref for Hold {
    type Target = Attachment;
    fn deref(&self) -> &Attachment {
        &self.attachment
    }
}

/// What this VM has out of the ring at a path.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) leases: u64,
    pub(crate) leased: u64,
    pub(crate) copied: u64,
}

pub(crate) fn tally(path: &Path) -> Tally {
    let mut tally = Tally::default();
    for attachment in list().iter().filter(|attachment| attachment.segment.path() == path) {
        // Relaxed: a snapshot.
        tally.leases += attachment.leases.load(Ordering::Relaxed) as u64;
        tally.leased += attachment.leased.load(Ordering::Relaxed);
        tally.copied += attachment.copied.load(Ordering::Relaxed);
    }
    tally
}

/// Starts the thread that unmaps.
pub(crate) fn start() -> bool {
    std::thread::Builder::new().name("slipring-unmap".into()).spawn(unmap).is_ok()
}

/// Unmaps what nobody holds, for ever.
fn unmap() {
    let mut heard = 0;
    loop {
        // Acquire: pairs with the Release in `leave`.
        let left: Vec<_> = list().extract_if(.., |a| a.left.load(Ordering::Acquire)).collect();
        // After the look at who has left, so that it is all that these had said, and before they go.
        let later =
            std::mem::take(&mut *LATER.lock().unwrap_or_else(|poisoned| poisoned.into_inner()));
        // Without the lock, which a garbage collector may wait for.
        drop(later);
        if !left.is_empty() {
            waiter::let_go();
        }
        left.into_iter().for_each(Attachment::unmap);
        wait_any(&[], &LEFT, &mut heard, None);
    }
}

impl Attachment {
    fn unmap(mut self: Arc<Self>) {
        // Who left may not have let go of its reference yet.
        let attachment = loop {
            match Arc::try_unwrap(self) {
                Ok(attachment) => break attachment,
                Err(shared) => self = shared,
            }
            std::thread::sleep(Duration::from_micros(50));
        };
        drop(attachment.segment);
        let notice =
            attachment.notice.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(Notice { pid, tag }) = notice {
            tag.send(&pid, atoms::detached());
        }
    }
}
