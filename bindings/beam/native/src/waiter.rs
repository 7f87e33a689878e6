//! One thread for all rings that processes wait for, and for what schedulers must not do.
//!
//! 1. A watch is told once, by a message `{tag, :ready}`, then it is over. It is told when a frame
//!    waits or the ring is closed for sending, and when its end is closed; who is told looks itself.
//! 2. Messages are sent under the lock. So a watch that can't be taken back has been told.
//! 3. The thread unmaps what nobody holds any more.

use crate::atoms;
use crate::attachment::{self, Hold};
use rustler::env::SavedTerm;
use rustler::{Atom, LocalPid, OwnedEnv, Term};
use slipring::{Bell, Readable, wait_any};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard};
use std::time::Duration;

/// How often watches of processes that have died are looked for.
const SWEEP: Duration = Duration::from_secs(5);

static BELL: LazyLock<Bell> = LazyLock::new(Bell::default);
static WATCHES: Mutex<Vec<Watch>> = Mutex::new(Vec::new());
static IDS: AtomicU64 = AtomicU64::new(1);

struct Watch {
    id: u64,
    /// The id of the end that is waited for.
    end: u64,
    // Dropped in this order: the mapping's last reference is never a watch's.
    ring: Readable,
    _hold: Hold,
    pid: LocalPid,
    tag: Tag,
}

/// A term of the caller's, to be sent back to it.
pub(crate) struct Tag {
    env: OwnedEnv,
    term: SavedTerm,
}

impl Tag {
    pub(crate) fn new(term: Term<'_>) -> Self {
        let env = OwnedEnv::new();
        let term = env.save(term);
        Self { env, term }
    }

    /// Sends `{tag, news}`, from the waiter's thread.
    pub(crate) fn send(mut self, pid: &LocalPid, news: Atom) {
        let term = self.term;
        // A receiver that is gone needs no news.
        let _ = self.env.send_and_clear(pid, |env| (term.load(env), news));
    }
}

fn watches() -> MutexGuard<'static, Vec<Watch>> {
    WATCHES.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Ids for watches and ends, none twice.
pub(crate) fn next_id() -> u64 {
    // Relaxed: only to be unlike the others.
    IDS.fetch_add(1, Ordering::Relaxed)
}

/// Starts the thread.
pub(crate) fn start() -> bool {
    std::thread::Builder::new().name("slipring-wait".into()).spawn(run).is_ok()
}

/// Makes the thread look at everything anew.
pub(crate) fn ring() {
    BELL.ring();
}

/// Has `pid` told when the ring is ready. Answers the id to take it back by.
pub(crate) fn watch(end: u64, hold: Hold, pid: LocalPid, tag: Tag) -> u64 {
    let id = next_id();
    let ring = hold.segment.readable();
    watches().push(Watch { id, end, ring, _hold: hold, pid, tag });
    BELL.ring();
    id
}

/// Takes a watch back; `false` if it has been told.
pub(crate) fn unwatch(id: u64) -> bool {
    let mut watches = watches();
    let taken = watches.iter().position(|watch| watch.id == id);
    taken.map(|at| watches.swap_remove(at)).is_some()
}

/// Marks all watches of an end that is closed as ready. The thread tells them.
pub(crate) fn dismiss(end: u64) {
    let mut any = false;
    for watch in watches().iter_mut().filter(|watch| watch.end == end) {
        watch.end = 0;
        any = true;
    }
    if any {
        BELL.ring();
    }
}

fn run() {
    let mut heard = 0;
    loop {
        attachment::reap();
        let (ids, rings): (Vec<u64>, Vec<Readable>) =
            watches().iter().map(|watch| (watch.id, watch.ring.clone())).unzip();
        let limit = (!ids.is_empty()).then_some(SWEEP);
        let ready = wait_any(&rings, &BELL, &mut heard, limit);
        drop(rings);
        let mut watches = watches();
        let told = watches
            .extract_if(.., |watch| watch.end == 0 || ready.iter().any(|&at| ids[at] == watch.id));
        told.for_each(|watch| watch.tag.send(&watch.pid, atoms::ready()));
        if ready.is_empty() {
            watches.retain(|watch| watch.tag.env.run(|env| watch.pid.is_alive(env)));
        }
    }
}
