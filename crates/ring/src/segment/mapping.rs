//! One participant's mapping of a segment: it lends the parts as typed references, and keeps the
//! participant's place among the others.

use super::os;
use super::schemas::{Asks, Names, Seen};
use crate::block::{Block, Phase};
use crate::clock::{self, realtime};
use crate::error::Error;
use crate::layout::{
    CONTROL_AT, Fixed, Geometry, HEADER_LEN, LINES, Mode, PARTICIPANTS, RECORDS, at,
};
use crate::mpmc::Taker;
use crate::participants::{Entry, Locks, Me, Participant, Participants, forks};
use crate::pool::{Measures, Pool};
use crate::recovery::{self, Ends};
use crate::returned;
use crate::schemas::Table;
use crate::slots::{Cursors, Slots};
use crate::sync::{AtomicU32, AtomicU64, Ordering};
use crate::wait::{EventCount, Spinning, TICK};
use memmap2::{MmapOptions, MmapRaw};
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

/// How often one who is at work looks at another one: a dead one is seen within a few of these.
const STEP: Duration = Duration::from_millis(2);

/// Words for figures.
pub(crate) const FIGURES: usize = 768;

/// The mutable part of the header page.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Control {
    pub closed: AtomicU32,
    _own_lines: [u32; 31],
    /// Who produces and who consumes, for rings of one each: `id(8) | incarnation(24) | number(32)`.
    pub producer: AtomicU64,
    pub consumer: AtomicU64,
    /// Producer and consumer handles ever made.
    pub handles: AtomicU32,
    /// The last look at all participants: `count(24) | id(8)` of who began it. Who waits meanwhile
    /// leaves the others to that one, and looks at that one alone.
    pub round: AtomicU32,
    /// Frames that producers have dropped to make room.
    pub dropped: AtomicU64,
    _reserved: [u32; 24],
    /// What those who write frames have measured, in words of their own: 0 is none.
    pub figures: [AtomicU32; FIGURES],
}
at!(Control {
    closed = 0, producer = 128, consumer = 136, handles = 144, round = 148, dropped = 152,
    figures = 256,
});
const _: () = assert!(CONTROL_AT as usize + size_of::<Control>() <= HEADER_LEN as usize);

/// What stands in a role's word while the participant's handle of this number has it.
pub(crate) fn role_token(id: u8, entry: Entry, number: u32) -> u64 {
    u64::from(id) << 56 | (entry.incarnation() & 0xff_ffff) << 32 | u64::from(number)
}

/// What stands in the control part when the participant begins the round after `round`.
pub(crate) fn next_round(round: u32, id: u8) -> u32 {
    (round & !0xff).wrapping_add(0x100) | u32::from(id)
}

/// The mapped segment of one participant.
#[derive(Debug)]
pub(crate) struct Mapping {
    pub(super) map: MmapRaw,
    pub fd: OwnedFd,
    pub path: PathBuf,
    pub geometry: Geometry,
    /// The header as it was checked, or written.
    pub(super) fixed: Fixed,
    measures: Measures,
    pub(super) me: Me,
    /// This process in the segment; 0 for one who only looks.
    pub id: u8,
    /// Its entry as it joined.
    entry: Entry,
    /// Fork count of the process that made it.
    forks: u32,
    /// Bytes of the pool that this process may still claim before it is counted what it holds.
    allowance: AtomicU64,
    /// Bytes of the pool in frames that this process has taken and not let go of, and with how many it takes no more;
    /// [`u64::MAX`]: it may have all, and nothing is counted.
    held: AtomicU64,
    may_hold: u64,
    /// When this process last looked at all others, and at one of them, in milliseconds of its own
    /// clock; and which one that was.
    looked: AtomicU64,
    /// The round that was the last one when this process began to wait, or looked.
    round: AtomicU32,
    looked_along: AtomicU64,
    looked_at: AtomicU64,
    /// How this process's waits here have ended.
    pub spinning: Spinning,
    /// The schemas that this process has looked at.
    pub(super) seen: Seen,
    /// Which schema stands for a name, as far as this process has looked.
    pub(super) names: Mutex<Names>,
    /// What this process's handles want of schemas.
    pub(super) asks: Mutex<Asks>,
    /// Claims of room for a schema that this process has begun.
    claims: AtomicU64,
}

// SAFETY: the mapping is memory like any other; all that is shared in it is reached through atomics
// or through words that hand over ownership.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Of one who is about to join, or who only looks: then writing to it is a fault.
    pub(super) fn new(
        fd: OwnedFd,
        path: PathBuf,
        geometry: Geometry,
        fixed: Fixed,
        writable: bool,
    ) -> Result<Self, Error> {
        let mut options = MmapOptions::new();
        options.len(geometry.total_len as usize);
        let map = if writable { options.map_raw(&fd) } else { options.map_raw_read_only(&fd) }
            .map_err(|e| Error::os("map", &path, e))?;
        let measures = geometry.measures();
        let (me, forks) = (Me::new(), forks::count());
        let (id, entry) = (0, Entry::nobody());
        let [allowance, held, looked_at] = [0; 3].map(AtomicU64::new);
        let may_hold = if geometry.rules.share == 100 { u64::MAX } else { geometry.share() };
        let [looked, looked_along] = [clock::monotonic_ms(); 2].map(AtomicU64::new);
        Ok(Self {
            map,
            fd,
            path,
            geometry,
            fixed,
            measures,
            me,
            id,
            entry,
            forks,
            allowance,
            held,
            may_hold,
            looked,
            round: AtomicU32::new(0),
            looked_along,
            looked_at,
            spinning: Spinning::new(),
            seen: Seen::new(),
            names: Mutex::default(),
            asks: Mutex::default(),
            claims: AtomicU64::new(0),
        })
    }

    /// Becomes a participant, after seeing to the dead ones. Joiners share the membership lock; it
    /// keeps out the one who leaves last and takes the name away.
    pub(super) fn join(mut self) -> Result<Self, Error> {
        self.look_around();
        self.locks().lock_patiently(libc::F_RDLCK)?;
        let joined = self.participants().join(self.me, realtime());
        self.locks().lock(0, libc::F_UNLCK)?;
        match joined? {
            Some((id, entry)) => (self.id, self.entry) = (id, entry),
            None => return Err(Error::TooManyParticipants { path: self.path.clone() }),
        }
        Ok(self)
    }

    /// What names this process in words.
    #[inline(always)]
    pub(crate) fn tag(&self) -> u16 {
        self.entry.tag(self.id)
    }

    /// Nonces for so many claims of room for a schema. Each life of each id counts from a number of its own,
    /// so that it is not the last one's words that come back.
    pub(super) fn nonces(&self, count: u64) -> Range<u64> {
        let life = self.entry.incarnation() << 8 | u64::from(self.id);
        let first = life.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        // Relaxed: a count.
        let first = first + self.claims.fetch_add(count, Ordering::Relaxed);
        first..first + count
    }

    /// Whether this process may claim so many bytes more of the pool. What it holds is counted when the
    /// last count has been used up; a little beyond the share is let through, so that counting stays rare.
    #[inline(always)]
    pub(crate) fn may_claim(&self, need: u64) -> bool {
        if self.geometry.rules.share == 100 {
            return true;
        }
        let need = self.measures.piece(need);
        self.use_allowance(need) || self.count_share(need)
    }

    fn use_allowance(&self, need: u64) -> bool {
        let allowance = &self.allowance;
        let mut left = allowance.load(Ordering::Relaxed);
        while need <= left {
            // Relaxed: a count.
            let rest = left - need;
            match allowance.compare_exchange(left, rest, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(found) => left = found,
            }
        }
        false
    }

    #[cold]
    fn count_share(&self, need: u64) -> bool {
        let share = self.geometry.share();
        let left = share.saturating_sub(self.pool().held_by(self.tag()));
        if need > left {
            return false;
        }
        self.allowance.store(left.max(share / 64) - need.min(left), Ordering::Relaxed);
        true
    }

    /// Whether this process may hold one more frame of the pool: what it holds it keeps from all. A little beyond the
    /// share is let through, so that one frame can always be taken.
    #[inline(always)]
    pub(crate) fn may_hold(&self) -> Result<(), Error> {
        // Relaxed: a count.
        let (held, limit) = (self.held.load(Ordering::Relaxed), self.may_hold);
        if held < limit { Ok(()) } else { Err(Error::ShareHeld { held, limit }) }
    }

    /// Counts a piece of the pool that a frame holds.
    #[inline(always)]
    pub(crate) fn hold(&self, len: u64) {
        if self.may_hold != u64::MAX {
            self.held.fetch_add(len, Ordering::Relaxed);
        }
    }

    /// And one that is let go of.
    #[inline(always)]
    pub(crate) fn let_go(&self, len: u64) {
        if self.may_hold != u64::MAX {
            self.held.fetch_add(len.wrapping_neg(), Ordering::Relaxed);
        }
    }

    /// Gives memory to a range of the pool.
    pub(crate) fn back(&self, offset: u64, len: u64) -> bool {
        let at = self.geometry.chunks_at + offset;
        assert!(offset + len <= self.geometry.capacity);
        // SAFETY: the range is in the pool by the assertion, and the map covers the whole file.
        unsafe { os::back(&self.fd, at, self.map.as_mut_ptr().add(at as usize), len as usize) }
    }

    /// Gives memory to a range of the records' pool.
    pub(crate) fn back_records(&self, offset: u64, len: u64) -> bool {
        let at = self.geometry.records_at + offset;
        assert!(offset + len <= self.geometry.records());
        // SAFETY: the range is the records' by the assertion, and the map covers the whole file.
        unsafe { os::back(&self.fd, at, self.map.as_mut_ptr().add(at as usize), len as usize) }
    }

    /// Takes the memory of a range of the pool back, which nobody uses.
    pub(crate) fn punch(&self, offset: u64, len: u64) -> bool {
        assert!(offset + len <= self.geometry.capacity);
        os::punch(&self.fd, self.geometry.chunks_at + offset, len)
    }

    /// The part at `offset` as `count` values of `T`.
    ///
    /// # Safety
    /// `T` is made of atomics and plain integers only, and the geometry has `count` of it there.
    unsafe fn part<T>(&self, offset: u64, count: u64) -> &[T] {
        debug_assert!(offset + count * size_of::<T>() as u64 <= self.map.len() as u64);
        let pointer = self.map.as_ptr().wrapping_add(offset as usize).cast::<T>();
        // SAFETY: in bounds and aligned, because the geometry was derived or checked; any bytes are
        // a valid `T`; shared changes go through atomics.
        unsafe { std::slice::from_raw_parts(pointer, count as usize) }
    }

    #[inline(always)]
    pub(crate) fn control(&self) -> &Control {
        // SAFETY: `Control` is atomics and integers and lies within the header page.
        unsafe { &self.part::<Control>(CONTROL_AT, 1)[0] }
    }

    #[inline(always)]
    pub(crate) fn cursors(&self) -> &Cursors {
        // SAFETY: atomics and integers; the geometry has three line pairs there.
        unsafe { &self.part::<Cursors>(self.geometry.cursors_at, 1)[0] }
    }

    /// Consumers wait here for frames.
    #[inline(always)]
    pub(crate) fn data(&self) -> &EventCount {
        // SAFETY: one atomic; the geometry has two line pairs there.
        unsafe { &self.part::<EventCount>(self.geometry.waits_at, 1)[0] }
    }

    /// Producers wait here for vacant slots and free memory.
    #[inline(always)]
    pub(crate) fn space(&self) -> &EventCount {
        // SAFETY: as in `data`, on the second pair.
        unsafe { &self.part::<EventCount>(self.geometry.waits_at + LINES, 1)[0] }
    }

    #[inline(always)]
    pub(crate) fn slots(&self) -> Slots<'_> {
        // SAFETY: atomics; the geometry has `slots` of them there.
        let all = unsafe { self.part(self.geometry.slots_at, self.geometry.slots) };
        // SAFETY: the geometry's slots are a power of two, derived or checked.
        unsafe { Slots::new(all, self.cursors()) }
    }

    pub(crate) fn pool(&self) -> Pool<'_> {
        let geometry = &self.geometry;
        Pool {
            measures: &self.measures,
            alone: geometry.rules.mode.one_producer(),
            // SAFETY: atomics; one word per chunk.
            chunks: unsafe { self.part(geometry.chunk_words_at, geometry.chunks()) },
            // SAFETY: transparent over atomics; the geometry counts them.
            blocks: unsafe { self.part(geometry.block_words_at, geometry.block_words()) },
        }
    }

    /// The schema table and the pool of its records, if there is one.
    pub(crate) fn schemas(&self) -> Option<(Table<'_>, Pool<'_>)> {
        let (count, at) = (self.geometry.rules.schemas, self.geometry.schemas_at);
        if count == 0 {
            return None;
        }
        let parts = self.geometry.table();
        // SAFETY: atomics; the geometry has so many entries there.
        let entries = unsafe { self.part(at, count.into()) };
        let pool = Pool {
            measures: &RECORDS,
            // Whoever is attached adds records.
            alone: false,
            // SAFETY: atomics; one word per chunk.
            chunks: unsafe { self.part(at + parts.chunk_words, parts.chunks) },
            // SAFETY: transparent over atomics; the geometry counts them.
            blocks: unsafe { self.part(at + parts.block_words, parts.blocks) },
        };
        Some((Table { entries }, pool))
    }

    /// The control word of a cell, or of a block: cells count first.
    #[inline(always)]
    pub(crate) fn word(&self, reference: u32) -> Option<&Block> {
        match u64::from(reference).checked_sub(self.geometry.slots) {
            None => Some(self.slots().cell(reference)),
            Some(block) => self.pool().blocks.get(block as usize),
        }
    }

    /// The control words that can be in use, with their references.
    pub(crate) fn words(&self) -> impl Iterator<Item = (u64, &Block)> {
        let first = self.geometry.slots;
        self.slots()
            .cells()
            .chain(self.pool().used_words().map(move |(block, word)| (first + block, word)))
    }

    fn locks(&self) -> Locks<'_> {
        Locks { fd: &self.fd, locks_at: self.geometry.total_len, path: &self.path }
    }

    pub(crate) fn participants(&self) -> Participants<'_, Locks<'_>> {
        let count = PARTICIPANTS as u64 + 1;
        Participants {
            // SAFETY: atomics; the geometry has 256 entries there.
            entries: unsafe { self.part::<Participant>(self.geometry.participants_at, count) },
            kernel: self.locks(),
        }
    }

    /// The memory of a cell, frame header first.
    #[inline(always)]
    pub(crate) fn cell(&self, index: u32) -> (*mut u8, u64) {
        let len = self.geometry.cell_len;
        let offset = self.geometry.cells_at + u64::from(index) * len;
        (self.map.as_mut_ptr().wrapping_add(offset as usize), len)
    }

    /// The memory of a piece of the pool, whose place was checked.
    #[inline(always)]
    pub(crate) fn piece(&self, offset: u64) -> *mut u8 {
        self.map.as_mut_ptr().wrapping_add((self.geometry.chunks_at + offset) as usize)
    }

    /// The memory of a record, whose place in the records' pool was checked.
    pub(crate) fn record(&self, offset: u64) -> *mut u8 {
        self.map.as_mut_ptr().wrapping_add((self.geometry.records_at + offset) as usize)
    }

    #[inline(always)]
    pub(crate) fn closed(&self) -> bool {
        // Acquire: pairs with the Release in `Segment::close`.
        self.control().closed.load(Ordering::Acquire) != 0
    }

    /// An error in a forked child, whose parent's handle this is.
    #[inline(always)]
    pub(crate) fn own(&self) -> Result<(), Error> {
        if forks::count() == self.forks {
            Ok(())
        } else {
            Err(Error::Forked { pid: std::process::id() })
        }
    }

    /// Whether a frame waits in its place.
    fn waiting(&self) -> bool {
        let slots = self.slots();
        if self.geometry.rules.mode.alone() {
            return slots.ready(slots.head());
        }
        // A corrupt one is to be told.
        !matches!(Taker::new(slots).front(slots, |reference| self.word(reference)), Ok(None))
    }

    /// Whether a frame waits, or may have been given back.
    pub(crate) fn readable(&self) -> bool {
        self.waiting() || returned::hint(self.cursors()).is_some()
    }

    /// Whether a living producer is about to place a frame, seen from a ring that is closed and empty.
    pub(crate) fn placing(&self) -> bool {
        self.look_around();
        let slots = self.slots();
        // Acquire: the frame that was announced may have been placed and taken meanwhile.
        let announced = slots.cursors.tail.load(Ordering::Acquire);
        if self.geometry.rules.mode.alone()
            && announced.wrapping_sub(slots.head()) as i64 > 0
            && self.holder(self.control().producer.load(Ordering::Acquire)).is_some()
        {
            return true;
        }
        let participants = self.participants();
        self.words()
            .map(|(_, word)| word.load())
            .any(|word| word.phase() == Some(Phase::Offered) && participants.has(word.owner()))
    }

    /// Recovers a participant if it is dead.
    pub(crate) fn look_at(&self, id: u8) {
        let participants = self.participants();
        if id == self.id || participants.entry(id).is_free() {
            return;
        }
        let rules = self.geometry.rules;
        let ends = Ends { alone: rules.mode.alone(), max_deliveries: rules.max_deliveries };
        if recovery::see_to(
            id,
            self.me,
            participants,
            ends,
            self.slots(),
            self.pool(),
            self.schemas(),
        ) {
            self.data().wake();
            self.space().wake();
        }
    }

    /// Looks at the next other participant after `id`, and answers which that was.
    pub(crate) fn look_at_next(&self, id: u8) -> u8 {
        let after = (id..=u8::MAX).skip(1).chain(1..=id);
        let next = after
            .filter(|id| *id != self.id && usize::from(*id) <= PARTICIPANTS)
            .find(|id| !self.participants().entry(*id).is_free());
        next.inspect(|id| self.look_at(*id)).unwrap_or(0)
    }

    /// Notes, before a wait, which look at all participants was the last one.
    pub(crate) fn before_sleep(&self) {
        // Relaxed, here and below: a round missed is one done twice, or a tick later.
        self.round.store(self.control().round.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Sees to the dead once per tick: looks at every other participant, or only at the one who has
    /// begun to do so meanwhile. Among many who wait that is one look each, and not one at each other.
    pub(crate) fn look_around_now_and_then(&self) {
        if !self.due(&self.looked, TICK) {
            return;
        }
        let round = self.control().round.load(Ordering::Relaxed);
        let mine = next_round(round, self.id);
        let begun = if round == self.round.load(Ordering::Relaxed) {
            let word = &self.control().round;
            word.compare_exchange(round, mine, Ordering::Relaxed, Ordering::Relaxed).err()
        } else {
            Some(round)
        };
        self.round.store(begun.unwrap_or(mine), Ordering::Relaxed);
        match begun {
            None => self.look_around(),
            Some(round) => self.look_at(round as u8),
        }
    }

    /// Sees to the dead once per tick, for who asks what the living want and does not wait: it knows of no
    /// round that another one may have begun for it.
    pub(crate) fn look_around_at_times(&self) {
        if self.due(&self.looked, TICK) {
            self.look_around();
        }
    }

    /// Looks at one other participant after the other, every few milliseconds: for who is at work.
    #[cold]
    pub(crate) fn look_along(&self) {
        if self.due(&self.looked_along, STEP) {
            // Relaxed: two threads that look at once do no harm.
            let last = self.looked_at.load(Ordering::Relaxed) as u8;
            self.looked_at.store(self.look_at_next(last).into(), Ordering::Relaxed);
        }
    }

    /// Whether so much time has passed since this was last true, by the clock of this process.
    fn due(&self, since: &AtomicU64, pause: Duration) -> bool {
        let now = clock::monotonic_ms();
        let last = since.load(Ordering::Relaxed);
        // Relaxed: as above.
        now.saturating_sub(last) >= pause.as_millis() as u64
            && since.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Looks at every other participant.
    pub(crate) fn look_around(&self) {
        for id in 1..=PARTICIPANTS as u8 {
            self.look_at(id);
        }
    }

    /// The token of a new handle at an end. Where the end is for one only it is taken from nobody or
    /// from the dead.
    pub(crate) fn enter(&self, end: End) -> Result<u64, Error> {
        let number = self.control().handles.fetch_add(1, Ordering::Relaxed);
        let mine = role_token(self.id, self.entry, number);
        if end.one(self.geometry.rules.mode) {
            self.take_role(end, mine)?;
        }
        // Relaxed: a count for those who look.
        end.count(self).fetch_add(1, Ordering::Relaxed);
        Ok(mine)
    }

    /// The living process that a role's word names.
    fn holder(&self, held: u64) -> Option<Entry> {
        let id = (held >> 56) as u8;
        if id == 0 {
            return None;
        }
        self.look_at(id);
        let entry = self.participants().entry(id);
        (!entry.is_free() && held == role_token(id, entry, held as u32)).then_some(entry)
    }

    fn take_role(&self, end: End, mine: u64) -> Result<(), Error> {
        let role = end.role(self.control());
        loop {
            let held = role.load(Ordering::Acquire);
            if let Some(entry) = self.holder(held) {
                return Err(Error::RoleTaken { role: end.name(), pid: entry.pid() });
            }
            // AcqRel: after all that the last one did in this role.
            if role.compare_exchange(held, mine, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                return Ok(());
            }
        }
    }

    /// A handle goes.
    pub(crate) fn leave(&self, end: End, token: u64) {
        if self.own().is_ok() {
            end.count(self).fetch_add(u64::MAX, Ordering::Relaxed);
            // AcqRel: all that this one did comes before the next one's first step. Among many the word
            // names nobody.
            let role = end.role(self.control());
            let _ = role.compare_exchange(token, 0, Ordering::AcqRel, Ordering::Relaxed);
        }
    }
}

/// The two ends of a ring.
#[derive(Clone, Copy)]
pub(crate) enum End {
    Producer,
    Consumer,
}

impl End {
    fn name(self) -> &'static str {
        match self {
            Self::Producer => "producer",
            Self::Consumer => "consumer",
        }
    }

    fn one(self, mode: Mode) -> bool {
        match self {
            Self::Producer => mode.one_producer(),
            Self::Consumer => mode.one_consumer(),
        }
    }

    fn role(self, control: &Control) -> &AtomicU64 {
        match self {
            Self::Producer => &control.producer,
            Self::Consumer => &control.consumer,
        }
    }

    /// How many handles of this process are at this end.
    fn count(self, mapping: &Mapping) -> &AtomicU64 {
        let mine = &mapping.participants().entries[mapping.id as usize];
        match self {
            Self::Producer => &mine.producers,
            Self::Consumer => &mine.consumers,
        }
    }
}

impl Drop for Mapping {
    /// Leaves the segment; the last one to leave an empty ring takes its name away.
    fn drop(&mut self) {
        if self.id == 0 || self.own().is_err() {
            return;
        }
        let participants = self.participants();
        // Two may leave at once; if somebody is joining this is not the last one that leaves.
        let alone = (0..50).any(|turn| {
            if turn > 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
            self.locks().lock(0, libc::F_WRLCK).unwrap_or(false)
        });
        participants.leave(self.id, self.entry);
        if alone {
            // What the dead had taken and not acknowledged is given back first.
            self.look_around();
            let given_back = |(_, word): (u64, &Block)| {
                matches!(word.load().phase(), Some(Phase::Orphan | Phase::Dead))
            };
            let empty = !self.waiting() && !self.words().any(given_back);
            let last = (1..=PARTICIPANTS as u8).all(|id| {
                let entry = participants.entry(id);
                entry.is_free() || !participants.alive(id, entry, self.me)
            });
            if empty && last && !self.geometry.rules.keep && os::is_named(&self.path, &self.fd) {
                let _ = std::fs::remove_file(&self.path);
            }
        }
        let _ = self.locks().lock(0, libc::F_UNLCK);
    }
}

#[cfg(test)]
mod tests {
    use crate::{Error, Segment, Wait};
    use std::time::Duration;

    /// P8: of many who wait, one at a time looks at all the others.
    #[test]
    fn who_waits_shares_the_looking() {
        let name = format!("shared-looking-{}", std::process::id());
        let first = Segment::options().mode(crate::Mode::Mpmc).create(&*name).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let mut rx = Segment::open(&*name).unwrap().consumer().unwrap();
                    let nothing = rx.recv(&Wait::for_up_to(Duration::from_secs(1)));
                    assert!(matches!(nothing, Err(Error::Timeout)));
                });
            }
        });
        let rounds = first.mapping.control().round.load(super::Ordering::Relaxed) >> 8;
        // Ten ticks: one round each, a few more where two begin at once; 80 were each to do its own.
        assert!((5..=20).contains(&rounds), "{rounds} rounds");
    }
}
