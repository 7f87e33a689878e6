//! Who is attached to a segment, and who of them still lives.
//!
//! Rules:
//! 1. A process *takes* the byte lock of an entry's id first, on a file description of its own, and
//!    then the entry itself, by one compare-and-swap that names its pid and counts the lives of the
//!    id. Then it *publishes* who it is. Who leaves frees the entry first and then the lock.
//! 2. The kernel drops the lock at death and at `exec`. A forked child inherits the description, and
//!    with it the lock; within one pid namespace that has its own `/proc`, pid and start time tell that
//!    its parent is gone. Who is not known to be gone, and whose lock is held, lives.
//! 3. A dead entry is freed only after all words that name it have been recovered. Words name the id
//!    and eight bits of the incarnation, so a late recoverer does not touch the id's next owner.
//! 4. What a process wants (`wants`) stands in its entry and is its own to write, so it ends with the entry,
//!    without a step of recovery. Who joins clears the words before it is active; who reads them looks
//!    before and after whether the entry is the same.

use crate::error::Error;
use crate::sync::{AtomicU64, Ordering};

#[cfg(not(slipring_loom))]
mod host;
#[cfg(not(slipring_loom))]
pub(crate) use host::{Locks, boot_id, forks};

const FREE: u64 = 0;
const JOINING: u64 = 1;
const ACTIVE: u64 = 2;

/// One process's entry.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Participant {
    /// `incarnation(30) | state(2) | pid(32)`
    state: AtomicU64,
    start: AtomicU64,
    namespaces: AtomicU64,
    joined_ns: AtomicU64,
    /// How many handles the process has at each end.
    pub producers: AtomicU64,
    pub consumers: AtomicU64,
    /// Versions of schemas that the process reads: `schema id(32) | newest(16) | oldest(16)`, or 0. Its
    /// own to write.
    wants: [AtomicU64; WANTS],
}
/// Names of schemas of which one process can say what it reads.
pub(crate) const WANTS: usize = if cfg!(slipring_loom) { 2 } else { 10 };

#[cfg(not(slipring_loom))]
crate::layout::at!(Participant {
    state = 0, start = 8, namespaces = 16, joined_ns = 24, producers = 32, consumers = 40,
    wants = 48,
});
#[cfg(not(slipring_loom))]
const _: () = assert!(size_of::<Participant>() == crate::layout::PARTICIPANT_LEN as usize);

#[cfg(slipring_loom)]
impl Participant {
    /// As in a fresh segment.
    pub(crate) fn new() -> Self {
        let [state, start, namespaces, joined_ns, producers, consumers] =
            std::array::from_fn(|_| AtomicU64::new(0));
        let wants = std::array::from_fn(|_| AtomicU64::new(0));
        Self { state, start, namespaces, joined_ns, producers, consumers, wants }
    }

    /// As if so many had joined and left since it became free.
    pub(crate) fn pass(&self, lives: u64) {
        let free = Entry(self.state.load(Ordering::Acquire));
        assert!(free.is_free());
        let later = Entry::new(free.incarnation() + lives, FREE, 0);
        let passed =
            self.state.compare_exchange(free.0, later.0, Ordering::AcqRel, Ordering::Relaxed);
        passed.unwrap();
    }
}

/// What an entry's state word says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry(pub(crate) u64);

impl Entry {
    fn new(incarnation: u64, state: u64, pid: u32) -> Self {
        Self(incarnation << 34 | state << 32 | u64::from(pid))
    }
    /// What names this life of the id in words: the id and eight bits of the incarnation.
    pub(crate) fn tag(self, id: u8) -> u16 {
        (self.incarnation() as u16) << 8 | u16::from(id)
    }
    pub(crate) fn incarnation(self) -> u64 {
        self.0 >> 34
    }
    fn state(self) -> u64 {
        self.0 >> 32 & 3
    }
    pub(crate) fn pid(self) -> u32 {
        self.0 as u32
    }
    pub(crate) fn is_free(self) -> bool {
        self.state() == FREE
    }
    /// Of one who only looks.
    pub(crate) fn nobody() -> Self {
        Self(0)
    }
    fn freed(self) -> Self {
        Self::new(self.incarnation(), FREE, 0)
    }
    /// The next life of the id.
    fn joining(self, pid: u32) -> Self {
        Self::new((self.incarnation() + 1) & 0x3fff_ffff, JOINING, pid)
    }
    fn active(self) -> Self {
        Self::new(self.incarnation(), ACTIVE, self.pid())
    }
}

/// This process, as others see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Me {
    pub(crate) pid: u32,
    pub(crate) start: u64,
    pub(crate) namespaces: u64,
}

/// What the kernel says of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// It runs since then (clock ticks since boot).
    Runs(u64),
    /// There is none, or nothing of it runs any more.
    Gone,
    /// It can't be told: no descriptor left, no `/proc`.
    Unknown,
}

/// What the kernel keeps and tells, for all processes of the machine.
pub(crate) trait Kernel {
    /// Takes an id's lock for the caller's description; `false` where another has it.
    fn try_lock(&self, id: u8) -> Result<bool, Error>;
    fn unlock(&self, id: u8) -> Result<(), Error>;
    /// Whether another description holds the lock. If in doubt it does.
    fn locked(&self, id: u8) -> bool;
    fn process(&self, pid: u32) -> Seen;
}

/// The table of entries, and what tells who of them lives.
#[derive(Clone, Copy)]
pub(crate) struct Participants<'a, K> {
    pub entries: &'a [Participant],
    pub kernel: K,
}

impl<K: Kernel> Participants<'_, K> {
    pub(crate) fn entry(&self, id: u8) -> Entry {
        // Acquire: pairs with the Release of `publish`, so an active entry's fields are seen.
        Entry(self.entries[id as usize].state.load(Ordering::Acquire))
    }

    /// Takes a free entry. `None`: there is none.
    pub(crate) fn join(&self, me: Me, now: u64) -> Result<Option<(u8, Entry)>, Error> {
        for id in (1..self.entries.len()).map(|id| id as u8) {
            if let Some(joining) = self.take(id, me)? {
                return Ok(Some((id, self.publish(id, joining, me, now))));
            }
        }
        Ok(None)
    }

    /// Step *take*: the lock, and then the entry.
    pub(crate) fn take(&self, id: u8, me: Me) -> Result<Option<Entry>, Error> {
        let entry = self.entry(id);
        if !entry.is_free() || !self.kernel.try_lock(id)? {
            return Ok(None);
        }
        let joining = entry.joining(me.pid);
        // AcqRel: after whoever left, before whoever reads the fields.
        let state = &self.entries[id as usize].state;
        let took = state.compare_exchange(entry.0, joining.0, Ordering::AcqRel, Ordering::Relaxed);
        if took.is_err() {
            self.kernel.unlock(id)?;
            return Ok(None);
        }
        Ok(Some(joining))
    }

    /// Step *publish*: who it is.
    pub(crate) fn publish(&self, id: u8, joining: Entry, me: Me, now: u64) -> Entry {
        let slot = &self.entries[id as usize];
        slot.start.store(me.start, Ordering::Relaxed);
        slot.namespaces.store(me.namespaces, Ordering::Relaxed);
        slot.joined_ns.store(now, Ordering::Relaxed);
        slot.producers.store(0, Ordering::Relaxed);
        slot.consumers.store(0, Ordering::Relaxed);
        // Release: pairs with the Acquire in `wants`: who reads this sees that the last life is over.
        slot.wants.iter().for_each(|word| word.store(0, Ordering::Release));
        // Release: publishes the fields.
        let active = joining.active();
        slot.state.store(active.0, Ordering::Release);
        active
    }

    /// What the process behind an entry wants, and who that is. `None`: nobody who is there.
    pub(crate) fn wants(&self, id: u8) -> Option<(Entry, [u64; WANTS])> {
        let entry = self.entry(id);
        if entry.state() != ACTIVE {
            return None;
        }
        // Acquire: pairs with the Release of `publish` and `want`: if a word is of a later life, so is the
        // entry that is read after it.
        let wants = self.entries[id as usize].wants.each_ref();
        let words = wants.map(|word| word.load(Ordering::Acquire));
        (self.entry(id) == entry).then_some((entry, words))
    }

    /// Says one of the things that the caller, whose id this is, wants.
    pub(crate) fn want(&self, id: u8, n: usize, word: u64) {
        // Release: pairs with the Acquire in `wants`.
        self.entries[id as usize].wants[n].store(word, Ordering::Release);
    }

    /// Gives the caller's own entry back. The unlocking is only for a forked child's sake, which may keep
    /// the description, and the lock with it, beyond this process.
    pub(crate) fn leave(&self, id: u8, entry: Entry) {
        self.free(id, entry);
        let _ = self.kernel.unlock(id);
    }

    /// Frees the entry of one who leaves, or who is dead and recovered, if it is still that one's.
    pub(crate) fn free(&self, id: u8, entry: Entry) {
        let state = &self.entries[id as usize].state;
        // AcqRel: all that was recovered comes before the next owner of the id.
        let _ =
            state.compare_exchange(entry.0, entry.freed().0, Ordering::AcqRel, Ordering::Relaxed);
    }

    /// Whether the process behind an entry lives. The caller asks about others only.
    pub(crate) fn alive(&self, id: u8, entry: Entry, me: Me) -> bool {
        let slot = &self.entries[id as usize];
        let namespaces = slot.namespaces.load(Ordering::Relaxed);
        let known = entry.state() == ACTIVE && me.namespaces != 0 && namespaces == me.namespaces;
        if known && me.start != 0 {
            let start = slot.start.load(Ordering::Relaxed);
            let gone = match self.kernel.process(entry.pid()) {
                Seen::Runs(now) => start != 0 && now != start,
                Seen::Gone => true,
                Seen::Unknown => false,
            };
            if gone {
                return false;
            }
        }
        // One that has become another program by `exec` keeps pid and start time, not its lock.
        self.kernel.locked(id)
    }
}

#[cfg(all(test, not(slipring_loom)))]
mod tests {
    use super::*;

    /// Recovery of a life of an id leaves the next one alone.
    #[test]
    fn a_tag_tells_the_lives_of_an_id_apart() {
        let (old, new) = (Entry::new(4, ACTIVE, 10), Entry::new(5, ACTIVE, 11));
        assert_ne!(old.tag(2), new.tag(2));
        assert_ne!(old.tag(2), old.tag(3));
    }
}
