//! Threads that wait for rings, and tell the processes that want to know.
//!
//! 1. A watch is told once, by a message `{tag, :ready}`, then it is over. It is told when a frame
//!    waits, when space was freed, or when a consumer may take frames again, whichever it is for; when
//!    the ring is finished; and when its end is closed. Who is told looks itself.
//! 2. Those who wait for the same news of an end share a place. A thread has as many places as one
//!    call of the kernel can wait for; for more there is another thread.
//! 3. Messages are sent under the lock. So a watch that can't be taken back has been told.
//! 4. A thread holds the rings that it sleeps on. Who unmaps them has it let go first.

use crate::atoms;
use crate::attachment::Hold;
use crate::credit::Credit;
use rustler::env::SavedTerm;
use rustler::{Atom, LocalPid, OwnedEnv, Term};
use slipring::{Bell, WATCHED_PER_THREAD, Watched, wait_any};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

/// How often watches of processes that have died are looked for.
const SWEEP: Duration = Duration::from_secs(5);

static WAITERS: Mutex<Vec<&'static Waiter>> = Mutex::new(Vec::new());
static IDS: AtomicU64 = AtomicU64::new(1);

/// What an end waits for: a consumer for frames, or for some of its own to be acknowledged; a producer
/// for room.
pub(crate) enum News {
    Frames,
    Room,
    Credit(Arc<Credit>),
}

/// How a thread sees them.
enum Source {
    Frames(Watched),
    Room(Watched),
    Credit(Arc<Credit>),
}

/// An end, and the watches for the same news of it.
struct Place {
    end: u64,
    // Dropped in this order: the mapping's last reference is never a place's.
    source: Source,
    _hold: Hold,
    closed: bool,
    watches: Vec<Watch>,
}

struct Watch {
    id: u64,
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

    /// Sends `{tag, news}`, from a thread that is no scheduler's.
    pub(crate) fn send(mut self, pid: &LocalPid, news: Atom) {
        let term = self.term;
        // A receiver that is gone needs no news.
        let _ = self.env.send_and_clear(pid, |env| (term.load(env), news));
    }
}

/// One thread, and what it waits for.
#[derive(Default)]
struct Waiter {
    bell: Bell,
    places: Mutex<Places>,
    let_go: Condvar,
}

#[derive(Default)]
struct Places {
    list: Vec<Place>,
    /// How often the thread has let go of what it slept on.
    rounds: u64,
}

/// Ids for watches and ends, none twice.
pub(crate) fn next_id() -> u64 {
    // Relaxed: only to be unlike the others.
    IDS.fetch_add(1, Ordering::Relaxed)
}

fn waiters() -> MutexGuard<'static, Vec<&'static Waiter>> {
    WAITERS.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Starts the first thread.
pub(crate) fn start() -> bool {
    add(&mut waiters())
}

fn add(waiters: &mut Vec<&'static Waiter>) -> bool {
    let waiter: &'static Waiter = Box::leak(Box::default());
    let thread = std::thread::Builder::new().name("slipring-wait".into());
    let started = thread.spawn(|| waiter.run()).is_ok();
    if started {
        waiters.push(waiter);
    }
    started
}

/// Has `pid` told of news. Answers the id to take the watch back by.
///
/// Who waits for room tries once more after this call: what was freed before it is not told of.
pub(crate) fn watch(end: u64, news: News, hold: Hold, pid: LocalPid, tag: Tag) -> u64 {
    let watch = Watch { id: next_id(), pid, tag };
    let id = watch.id;
    let mut waiters = waiters();
    for waiter in waiters.iter() {
        let same = |place: &&mut Place| {
            let same = match (&place.source, &news) {
                // Another announcement for room would look like news to those who wait already.
                (Source::Room(ring), News::Room) => !ring.ready(),
                (Source::Frames(_), News::Frames) | (Source::Credit(_), News::Credit(_)) => true,
                _ => false,
            };
            same && place.end == end
        };
        if let Some(place) = waiter.places().list.iter_mut().find(same) {
            place.watches.push(watch);
            return id;
        }
    }
    let source = match news {
        News::Frames => Source::Frames(hold.segment.readable()),
        News::Room => Source::Room(hold.segment.writable()),
        News::Credit(credit) => Source::Credit(credit),
    };
    let vacant = |waiter: &&&'static Waiter| waiter.places().list.len() < WATCHED_PER_THREAD;
    if !waiters.iter().any(|waiter| vacant(&waiter)) {
        // If there can't be another thread, the last one polls.
        add(&mut waiters);
    }
    if let Some(waiter) = waiters.iter().find(vacant).or(waiters.last()) {
        let place = Place { end, source, _hold: hold, closed: false, watches: vec![watch] };
        waiter.places().list.push(place);
        waiter.bell.ring();
    }
    id
}

/// Takes a watch back; `false` if it has been told.
pub(crate) fn unwatch(id: u64) -> bool {
    waiters().iter().any(|waiter| {
        let list = &mut waiter.places().list;
        let found = list.iter_mut().enumerate().find_map(|(at, place)| {
            let watch = place.watches.iter().position(|watch| watch.id == id)?;
            drop(place.watches.swap_remove(watch));
            Some((at, place.watches.is_empty()))
        });
        if let Some((at, true)) = found {
            drop(list.swap_remove(at));
        }
        found.is_some()
    })
}

/// Has the threads tell all who wait for an end, which is closed.
pub(crate) fn dismiss(end: u64) {
    for waiter in waiters().iter() {
        let mut any = false;
        for place in waiter.places().list.iter_mut().filter(|place| place.end == end) {
            place.closed = true;
            any = true;
        }
        if any {
            waiter.bell.ring();
        }
    }
}

/// Waits until no thread sleeps on a ring that had no place when this was called.
pub(crate) fn let_go() {
    let waiters = waiters().clone();
    for waiter in waiters {
        let places = waiter.places();
        let before = places.rounds;
        waiter.bell.ring();
        drop(waiter.let_go.wait_while(places, |places| places.rounds == before));
    }
}

impl Source {
    fn ring(&self) -> Option<&Watched> {
        match self {
            Self::Frames(ring) | Self::Room(ring) => Some(ring),
            Self::Credit(_) => None,
        }
    }
}

impl Place {
    /// Whether there is news. If not, `bell` is rung for what is no ring's.
    fn ready(&self, bell: &'static Bell) -> bool {
        self.closed
            || match &self.source {
                Source::Frames(ring) | Source::Room(ring) => ring.ready(),
                Source::Credit(credit) => credit.left_or_ring(bell),
            }
    }

    /// Forgets who has died; `false` if nobody is left.
    fn sweep(&mut self) -> bool {
        self.watches.retain(|watch| watch.tag.env.run(|env| watch.pid.is_alive(env)));
        !self.watches.is_empty()
    }
}

impl Waiter {
    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn run(&'static self) {
        let mut heard = 0;
        loop {
            let (rings, any) = {
                let list = &self.places().list;
                let rings = list.iter().filter_map(|place| place.source.ring().cloned());
                (rings.collect::<Vec<_>>(), !list.is_empty())
            };
            let limit = any.then_some(SWEEP);
            let ready = wait_any(&rings, &self.bell, &mut heard, limit);
            drop(rings);
            let mut places = self.places();
            // Asked again: what was ready may have been taken back, and others have come.
            let ready_now = |place: &mut Place| place.ready(&self.bell);
            for place in places.list.extract_if(.., ready_now) {
                for watch in place.watches {
                    watch.tag.send(&watch.pid, atoms::ready());
                }
            }
            if ready.is_empty() {
                places.list.retain_mut(Place::sweep);
            }
            places.rounds += 1;
            drop(places);
            self.let_go.notify_all();
        }
    }
}
