//! The producing end.

use super::ahead::{ALONE, AMONG, Rush};
use super::{Lease, SPIN, Wait, wait_for};
use crate::block::Phase;
use crate::clock::Clock;
use crate::error::Error;
use crate::layout::{FRAME_HEADER, Header};
use crate::mpmc::{Placer, Taker, Vacancy};
use crate::pool::{self, Claimer, Cursors, NoBlock};
use crate::segment::{End, Mapping, Segment};
use crate::slots::{Entry, GENERATION_MASK};
use crate::spsc::Tail;
use crate::sync::{self, Ordering};
use std::cell::Cell;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The producing end of a ring. One thread uses it at a time; where there may be many producers, each
/// thread makes its own.
#[derive(Debug)]
pub struct Producer {
    mapping: Arc<Mapping>,
    order: Order,
    token: u64,
    sequence: u64,
    clock: Clock,
    rush: Rush,
    claims: u64,
    cursors: Cursors,
    /// Whether it was this process's share that kept a frame out, since this was last set back.
    at_share: bool,
    dropped: u64,
    /// Bytes that may still be given to the pool.
    backs: Cell<u64>,
    /// What stopped a batch after frames that it had sent.
    pending: Option<Error>,
}

/// How frames get their places.
#[derive(Debug)]
enum Order {
    /// By plain stores.
    Alone(Tail),
    /// In competition.
    Many(Placer),
}

impl Segment {
    /// A producing end. Where there is one at a time: [`Error::RoleTaken`] while another one lives.
    pub fn producer(&self) -> Result<Producer, Error> {
        let mapping = self.mapping.clone();
        mapping.own()?;
        let mode = mapping.geometry.rules.mode;
        let token = mapping.enter(End::Producer)?;
        let order = if mode.alone() {
            let tail = Tail::take_over(mapping.slots()).inspect_err(|_| {
                mapping.leave(End::Producer, token);
            })?;
            Order::Alone(tail)
        } else {
            Order::Many(Placer::new(mapping.slots()))
        };
        Ok(Producer {
            order,
            token,
            sequence: 0,
            clock: Clock::new(),
            rush: Rush::default(),
            claims: token << 12,
            cursors: pool::fresh(),
            at_share: false,
            dropped: 0,
            backs: Cell::new(u64::MAX),
            pending: None,
            mapping,
        })
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.mapping.leave(End::Producer, self.token);
    }
}

impl Producer {
    /// Sends a copy of `body`. What the caller leaves open in the header is filled in.
    ///
    /// `wait` says what to do about a full ring: [`Error::Full`] at once, or wait.
    #[inline]
    pub fn send(&mut self, header: Header, body: &[u8], wait: &Wait<'_>) -> Result<(), Error> {
        self.send_with(header, body.len(), |to| to.copy_from_slice(body), wait)
    }

    /// Sends a frame of `len` bytes that `fill` writes in the segment itself. The bytes hold what an
    /// earlier frame left. `fill` is called once there is room, at most once; until it returns
    /// nothing is sent, and if it panics nothing will be, nor if the ring is closed by then. Among many
    /// producers the last place may be gone: the frame waits for the next one, or is dropped when `wait` ends.
    #[inline]
    pub fn send_with(
        &mut self,
        header: Header,
        len: usize,
        fill: impl FnOnce(&mut [u8]),
        wait: &Wait<'_>,
    ) -> Result<(), Error> {
        self.permits(wait)?;
        let (header, created) = (header.words(), self.now());
        if let Some(fill) = self.send_direct(header, len, fill, created)? {
            let mut frame = Unsent { header, len, fill: Some(fill), grant: None };
            if !self.send_now(&mut frame, created)? {
                self.send_when_room(frame, created, *wait)?;
            }
        }
        self.mapping.data().wake();
        Ok(())
    }

    /// Sends copies of several bodies, waking the consumer once, all with one creation time.
    /// Answers how many were sent: fewer than all if `wait` ran out on a full ring, or something went
    /// wrong, which the next batch tells.
    pub fn send_batch<'b>(
        &mut self,
        frames: impl IntoIterator<Item = (Header, &'b [u8])>,
        wait: &Wait<'_>,
    ) -> Result<usize, Error> {
        self.permits(wait)?;
        if let Some(error) = self.pending.take() {
            return Err(error);
        }
        let created = self.now();
        let mut sent = 0;
        for (header, body) in frames {
            let (header, len) = (header.words(), body.len());
            let fill = |to: &mut [u8]| to.copy_from_slice(body);
            let outcome = match self.send_direct(header, len, fill, created) {
                Ok(None) => Ok(()),
                Ok(Some(fill)) => {
                    let mut frame = Unsent { header, len, fill: Some(fill), grant: None };
                    match self.send_now(&mut frame, created) {
                        Ok(false) => {
                            self.mapping.data().wake();
                            self.send_when_room(frame, created, *wait)
                        }
                        other => other.map(|_| ()),
                    }
                }
                Err(error) => Err(error),
            };
            match outcome {
                Ok(()) => sent += 1,
                Err(Error::Full | Error::Timeout) => break,
                Err(error) if sent == 0 => return Err(error),
                Err(error) => {
                    // What was sent must be known now; the next call tells.
                    self.pending = Some(error);
                    break;
                }
            }
        }
        self.mapping.data().wake();
        Ok(sent)
    }

    /// Room for a body of `len` bytes in the segment itself, to be written and then committed.
    /// Reservations may be many and slow, and be committed in any order or dropped.
    pub fn reserve(&mut self, len: usize, wait: &Wait<'_>) -> Result<Grant, Error> {
        self.permits(wait)?;
        if let Some(grant) = self.reserve_now(len)? {
            return Ok(grant);
        }
        self.when_room(*wait, |this| this.reserve_now(len))
    }

    /// Sends a reserved frame. If the ring has no vacant slot in time, or is closed, the grant
    /// comes back.
    #[allow(clippy::result_large_err, reason = "the grant comes back by value")]
    pub fn commit(
        &mut self,
        grant: Grant,
        header: Header,
        wait: &Wait<'_>,
    ) -> Result<(), Rejected> {
        let mut grant = Some(grant);
        let (header, created) = (header.words(), self.now());
        let mut attempt = |this: &mut Self| this.commit_now(&mut grant, &header, created);
        let outcome = match attempt(self) {
            Ok(None) => self.when_room(*wait, attempt),
            other => other.map(|_| ()),
        };
        match outcome {
            Ok(()) => {
                self.mapping.data().wake();
                Ok(())
            }
            Err(error) => Err(Rejected { grant, error }),
        }
    }

    /// How much fresh memory, in bytes, sending may give to the pool from now on, which takes as long
    /// as the system needs to clear it. A frame that needs more is answered with [`Error::Unbacked`].
    /// Answers what was left; at first there is no bound.
    pub fn may_back(&mut self, bytes: u64) -> u64 {
        self.backs.replace(bytes)
    }

    /// The number of the next frame.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Frames that this handle has dropped from the ring to make room
    /// ([`Wait::drop_oldest`](super::Wait::drop_oldest)).
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Gives the memory of the pool that is in no use back to the system, in whole chunks. Answers how
    /// many bytes. Frames that need it again ask for it again.
    pub fn trim(&mut self) -> u64 {
        let mapping = &*self.mapping;
        if mapping.own().is_err() {
            return 0;
        }
        self.claims = self.claims.wrapping_add(1);
        let punch = |offset, len| mapping.punch(offset, len);
        mapping.pool().trim(mapping.tag(), self.claims, &punch)
    }

    /// The ring that it sends to.
    pub fn segment(&self) -> Segment {
        Segment { mapping: self.mapping.clone() }
    }

    #[inline(always)]
    fn now(&mut self) -> u64 {
        let (now, slow) = self.clock.now();
        if slow {
            self.beat();
        }
        now
    }

    /// Every few milliseconds of activity, a look at one of the others.
    #[cold]
    fn beat(&mut self) {
        if self.mapping.own().is_ok() {
            self.mapping.look_along();
        }
    }

    /// Whether the ring permits what `wait` asks.
    #[inline(always)]
    fn permits(&self, wait: &Wait<'_>) -> Result<(), Error> {
        if wait.drops() && !self.mapping.geometry.rules.drop_oldest {
            return Err(Error::InvalidOption {
                option: "drop_oldest",
                value: "true".into(),
                expected: "false on a ring that was not created with it",
            });
        }
        Ok(())
    }

    #[cold]
    fn when_room<T>(
        &mut self,
        mut wait: Wait<'_>,
        mut attempt: impl FnMut(&mut Self) -> Result<Option<T>, Error>,
    ) -> Result<T, Error> {
        if wait.drops() {
            return self.by_dropping(attempt);
        }
        if wait.polls() {
            return Err(Error::Full);
        }
        self.stand_back(&mut wait);
        let mapping = self.mapping.clone();
        wait_for(&mapping, mapping.space(), &wait, || true, || attempt(self))
    }

    /// In a full ring whose consumer is at work, lets it get some way. Who takes each place as soon as it is left
    /// takes the lines that the consumer is writing, and finds the cell behind it still held. The time is the wait's.
    fn stand_back(&self, wait: &mut Wait<'_>) {
        let slots = self.mapping.slots();
        // A small one would be empty meanwhile.
        if slots.len() < ENOUGH / 2 {
            return;
        }
        let position = match &self.order {
            Order::Alone(tail) => tail.position,
            Order::Many(placer) => placer.position,
        };
        // Among many the head may be beyond where this one was.
        let waiting = || (position.wrapping_sub(slots.head()) as i64).max(0) as u64;
        let vacant = || slots.len().saturating_sub(waiting());
        if vacant() > 0 {
            return;
        }
        let adapts = wait.spin.is_none();
        let (patience, enough) =
            (wait.spins(&self.mapping, LONG).min(LONG), (slots.len() / 4).min(ENOUGH));
        let (start, mut left) = (Instant::now(), 0);
        while start.elapsed() < patience {
            let next = start.elapsed() + REST;
            while start.elapsed() < next {
                sync::spin();
            }
            left = vacant();
            if left >= enough || left == 0 && next > SPIN {
                break;
            }
        }
        wait.limit = wait.limit.map(|limit| limit.saturating_sub(start.elapsed()));
        if left == 0 && !patience.is_zero() {
            // It has looked long enough: now it sleeps.
            wait.spin = Some(Duration::ZERO);
        }
        if adapts && !patience.is_zero() {
            self.mapping.spinning.ended(left > 0);
        }
    }

    #[cold]
    fn send_when_room(
        &mut self,
        mut frame: Unsent<impl FnOnce(&mut [u8])>,
        created: u64,
        wait: Wait<'_>,
    ) -> Result<(), Error> {
        self.when_room(wait, |this| {
            if let Some(fill) = frame.fill.take() {
                frame.fill = this.send_direct(frame.header, frame.len, fill, created)?;
                if frame.fill.is_none() {
                    return Ok(Some(()));
                }
            }
            this.send_now(&mut frame, created).map(|sent| sent.then_some(()))
        })
    }

    /// Makes room by taking out what waits longest, frame by frame.
    fn by_dropping<T>(
        &mut self,
        mut attempt: impl FnMut(&mut Self) -> Result<Option<T>, Error>,
    ) -> Result<T, Error> {
        let mut oldest = Taker::new(self.mapping.slots());
        loop {
            self.at_share = false;
            if let Some(done) = attempt(self)? {
                return Ok(done);
            }
            // What others have sent is no help to who holds too much itself.
            if self.at_share {
                let (mapping, slots) = (&self.mapping, self.mapping.slots());
                let front = oldest.front(slots, |reference| mapping.word(reference))?;
                if front.is_none_or(|front| front.word.owner() != mapping.tag()) {
                    return Err(Error::Full);
                }
            }
            // What is left when nothing waits are reservations and views, which nobody can drop.
            let Some(lease) = super::take_among(&mut oldest, &self.mapping, Phase::Acked)? else {
                return attempt(self)?.ok_or(Error::Full);
            };
            // Relaxed: counters.
            self.mapping.control().dropped.fetch_add(1, Ordering::Relaxed);
            self.dropped += 1;
            lease.release(&self.mapping);
        }
    }

    /// A body that can never fit is refused, whether the ring is full or not.
    fn fits(&self, len: usize) -> Result<(), Error> {
        let (len, limit) = (len as u64, self.mapping.geometry.max_body());
        if len > limit { Err(Error::TooLarge { len, limit }) } else { Ok(()) }
    }

    /// Sends a small body straight into the cell at home at the tail, without a word about it, where the
    /// producer is alone (rule 2 of `spsc`). What fills it comes back where that is not the way now.
    ///
    /// Nothing here goes through memory but the frame: what is in flight to the cache of another core is
    /// bounded by stores, and a load from what was just stored in other pieces waits for all of them.
    #[inline(always)]
    fn send_direct<F: FnOnce(&mut [u8])>(
        &mut self,
        header: Words,
        len: usize,
        fill: F,
        created: u64,
    ) -> Result<Option<F>, Error> {
        let mapping = &*self.mapping;
        mapping.own()?;
        let Order::Alone(tail) = &mut self.order else { return Ok(Some(fill)) };
        let slots = mapping.slots();
        let home = slots.home(tail.position);
        let fits = (len + FRAME_HEADER) as u64 <= mapping.geometry.cell_len;
        if !fits || !tail.vacant(slots)? || !slots.cell(home).load().is_free() {
            return Ok(Some(fill));
        }
        self.rush.sends::<ALONE>(mapping, created, tail.position, tail.vacancies(slots));
        let (pointer, _) = mapping.cell(home);
        // SAFETY: the slot is vacant and its cell free, so until the place is taken the cell is the one
        // producer's alone; it is aligned to 64, and the body fits.
        fill(unsafe { std::slice::from_raw_parts_mut(pointer.add(FRAME_HEADER), len) });
        // The filling may have forked, and this be the child.
        mapping.own()?;
        // A consumer that finds the ring closed waits for frames that are announced: if this does not see
        // the closing, that one sees the tail.
        tail.announce(slots);
        sync::publish_fence();
        if mapping.closed() {
            tail.withdraw(slots);
            return Err(Error::Closed);
        }
        let by = u64::from(mapping.id) | (self.token << 32);
        // SAFETY: as above; the header is before the body.
        unsafe { write_header(pointer, &header, self.sequence, created, len, by) };
        self.sequence += 1;
        tail.place(slots, Entry { reference: home, generation: 0, direct: true });
        Ok(None)
    }

    /// What can't go directly, after [`send_direct`](Self::send_direct). `false`: no room yet.
    #[inline(always)]
    fn send_now(
        &mut self,
        frame: &mut Unsent<impl FnOnce(&mut [u8])>,
        created: u64,
    ) -> Result<bool, Error> {
        if let Order::Many(_) = self.order {
            check(&self.mapping)?;
            let fits = (frame.len + FRAME_HEADER) as u64 <= self.mapping.geometry.cell_len;
            if fits && frame.grant.is_none() {
                return self.send_cell(frame, created);
            }
        }
        self.send_among(frame, created)
    }

    /// As `send_now`, through a cell, among many.
    #[inline(always)]
    fn send_cell(
        &mut self,
        frame: &mut Unsent<impl FnOnce(&mut [u8])>,
        created: u64,
    ) -> Result<bool, Error> {
        /// Free again when `fill` panics, too.
        struct Claimed<'a>(Lease, &'a Mapping);
        impl Drop for Claimed<'_> {
            #[inline(always)]
            fn drop(&mut self) {
                if self.1.own().is_ok() {
                    self.0.release(self.1);
                }
            }
        }
        let Some((place, home)) = self.vacancy()? else { return Ok(false) };
        if let Order::Many(placer) = &self.order {
            let vacant = placer.vacancies(self.mapping.slots());
            self.rush.sends::<AMONG>(&self.mapping, created, placer.position, vacant);
        }
        let Some(lease) = self.claim_cell(home, CELLS_TRIED) else {
            return self.send_among(frame, created);
        };
        let claimed = Claimed(lease, &self.mapping);
        let body = lease.memory(&self.mapping).0.wrapping_add(FRAME_HEADER);
        // SAFETY: the cell is this claim's, aligned to 64, and the body fits.
        let body = unsafe { std::slice::from_raw_parts_mut(body, frame.len) };
        if let Some(fill) = frame.fill.take() {
            fill(body);
        }
        std::mem::forget(claimed);
        let (header, len) = (frame.header, frame.len);
        let mut lease = lease;
        match self.offer(&mut lease, place, &header, created, len) {
            Ok(true) => Ok(true),
            unplaced => {
                // Filled, and without a place: the next attempt, if there is one, goes on from here.
                frame.grant = Some(Grant::new(self.mapping.clone(), lease, len));
                unplaced
            }
        }
    }

    /// As `send_now`, through a reservation.
    fn send_among(
        &mut self,
        frame: &mut Unsent<impl FnOnce(&mut [u8])>,
        created: u64,
    ) -> Result<bool, Error> {
        if frame.grant.is_none() {
            if self.vacancy()?.is_none() {
                open(&self.mapping)?;
                return self.fits(frame.len).map(|()| false);
            }
            let Some(mut grant) = self.reserve_now(frame.len)? else { return Ok(false) };
            if let Some(fill) = frame.fill.take() {
                fill(&mut grant);
            }
            frame.grant = Some(grant);
        }
        Ok(self.commit_now(&mut frame.grant, &frame.header, created)?.is_some())
    }

    /// The place of the next frame, if there is one, and its home.
    #[inline(always)]
    fn vacancy(&mut self) -> Result<Option<(Place, u32)>, Error> {
        let mapping = &*self.mapping;
        let slots = mapping.slots();
        Ok(match &mut self.order {
            Order::Alone(tail) => {
                tail.vacant(slots)?.then(|| (Place::Alone, slots.home(tail.position)))
            }
            Order::Many(placer) => placer
                .vacancy(slots, |reference| mapping.word(reference))?
                .map(|vacancy| (Place::Among(vacancy), slots.home(vacancy.position))),
        })
    }

    /// Finishes a frame whose body is there: header, word, place. `false`: the last place has gone to
    /// another producer.
    #[inline(always)]
    fn offer(
        &mut self,
        lease: &mut Lease,
        place: Place,
        header: &Words,
        created: u64,
        len: usize,
    ) -> Result<bool, Error> {
        // The filling may have forked, and this be the child.
        self.mapping.own()?;
        let (pointer, _) = lease.memory(&self.mapping);
        let by = u64::from(self.mapping.id) | (self.token << 32);
        // SAFETY: the caller owns the piece, whose first 64 bytes, aligned, are the header's.
        unsafe { write_header(pointer, header, self.sequence, created, len, by) };
        lease.step(&self.mapping, Phase::Offered);
        // A consumer that finds the ring closed waits for frames that are offered and not placed: if
        // this does not see the closing, that one sees the word.
        sync::publish_fence();
        match check(&self.mapping).and_then(|()| self.place(place, lease)) {
            Ok(true) => {
                self.sequence += 1;
                Ok(true)
            }
            unplaced => {
                lease.step(&self.mapping, Phase::Filling);
                unplaced
            }
        }
    }

    /// Takes the place, or the next one that nobody takes first.
    #[inline(always)]
    fn place(&mut self, mut place: Place, lease: &Lease) -> Result<bool, Error> {
        let entry = Entry {
            reference: lease.reference,
            generation: lease.word.generation() & GENERATION_MASK,
            direct: false,
        };
        loop {
            let slots = self.mapping.slots();
            let placed = match (place, &mut self.order) {
                (Place::Alone, Order::Alone(tail)) => {
                    tail.place(slots, entry);
                    true
                }
                (Place::Among(vacancy), Order::Many(placer)) => placer.place(slots, vacancy, entry),
                _ => false,
            };
            if placed {
                return Ok(true);
            }
            let Some((next, _)) = self.vacancy()? else { return Ok(false) };
            place = next;
        }
    }

    fn reserve_now(&mut self, len: usize) -> Result<Option<Grant>, Error> {
        check(&self.mapping)?;
        self.fits(len)?;
        let need = (len + FRAME_HEADER) as u64;
        if need <= self.mapping.geometry.cell_len
            && let Some((_, home)) = self.vacancy()?
            && let Some(lease) = self.claim_cell(home, self.cells_tried())
        {
            return Ok(Some(Grant::new(self.mapping.clone(), lease, len)));
        }
        self.at_share = !self.mapping.may_claim(need);
        if self.at_share {
            return Ok(self.any_cell(need, len));
        }
        let mapping = &*self.mapping;
        self.claims = self.claims.wrapping_add(1);
        let (backs, unwanted) = (&self.backs, Cell::new(false));
        let back = |offset, len| {
            let left = backs.get().checked_sub(len);
            unwanted.set(left.is_none());
            left.is_some_and(|left| {
                backs.set(left);
                mapping.back(offset, len)
            })
        };
        let by = Claimer { owner: mapping.tag(), nonce: self.claims, back: Some(&back) };
        let claimed = match mapping.pool().claim(need, &by, &mut self.cursors) {
            // Where the system has no more memory, what the pool has must do.
            Err(NoBlock::Unbacked) if !unwanted.get() => mapping
                .pool()
                .claim(need, &Claimer { back: None, ..by }, &mut self.cursors)
                .map_err(|_| NoBlock::Unbacked),
            claimed => claimed,
        };
        match claimed {
            Ok((place, word)) => {
                let reference = (mapping.geometry.slots + place.block) as u32;
                let lease = Lease { reference, place: Some(place), word };
                Ok(Some(Grant::new(self.mapping.clone(), lease, len)))
            }
            Err(NoBlock::Exhausted) => Ok(self.any_cell(need, len)),
            Err(NoBlock::Unbacked) if unwanted.get() => Err(Error::Unbacked),
            Err(NoBlock::Unbacked) => {
                Err(Error::OutOfMemory { path: mapping.path.clone(), needed: need })
            }
        }
    }

    /// Cells that are tried before the pool is.
    #[inline(always)]
    fn cells_tried(&self) -> u32 {
        if let Order::Alone(_) = self.order { 1 } else { CELLS_TRIED }
    }

    /// A free cell among so many, from the one at home at the tail on: others fill some too.
    #[inline(always)]
    fn claim_cell(&self, home: u32, tried: u32) -> Option<Lease> {
        let mapping = &*self.mapping;
        let slots = mapping.slots();
        (0..tried).find_map(|further| {
            let reference = slots.home(u64::from(home + further));
            let block = slots.cell(reference);
            let word = block.load();
            let lease =
                Lease { reference, place: None, word: word.with(Phase::Filling, mapping.tag()) };
            (word.is_free() && mapping.pool().step(block, word, lease.word)).then_some(lease)
        })
    }

    /// Where the pool has no room a small frame may still lie in any free cell: views that are held must
    /// not fill a ring in which nothing waits.
    #[cold]
    fn any_cell(&self, need: u64, len: usize) -> Option<Grant> {
        if need > self.mapping.geometry.cell_len {
            return None;
        }
        let slots = self.mapping.slots();
        let lease = match &self.order {
            // Others hold frames without a word about it (rule 2 of `spsc`).
            Order::Alone(tail) => {
                self.claim_cell(slots.home(tail.position), tail.vacancies(slots) as u32)
            }
            Order::Many(_) => self.claim_cell(0, slots.len() as u32),
        };
        Some(Grant::new(self.mapping.clone(), lease?, len))
    }

    /// Takes the grant only if its frame is placed.
    #[inline]
    fn commit_now(
        &mut self,
        grant: &mut Option<Grant>,
        header: &Words,
        created: u64,
    ) -> Result<Option<()>, Error> {
        check(&self.mapping)?;
        let Some((place, _)) = self.vacancy()? else { return Ok(None) };
        let Some(taken) = grant else { return Ok(None) };
        if !Arc::ptr_eq(&taken.mapping, &self.mapping) {
            return Err(Error::InvalidOption {
                option: "grant",
                value: "a reservation in another ring".into(),
                expected: "one of the producer that commits it",
            });
        }
        if !self.offer(&mut taken.lease, place, header, created, taken.len)? {
            return Ok(None);
        }
        if let Some(mut taken) = grant.take() {
            taken.placed = true;
        }
        Ok(Some(()))
    }
}

/// Vacant places that are worth going on for, in a ring that was full,
const ENOUGH: u64 = 256;
/// and how long it looks how many there are before it makes do with fewer,
const LONG: Duration = Duration::from_micros(100);
/// with such rests, since each look takes the head's line from the consumer.
const REST: Duration = Duration::from_micros(2);

/// Cells that a producer among many tries before it goes to the pool.
const CELLS_TRIED: u32 = 4;

#[inline(always)]
fn open(mapping: &Mapping) -> Result<(), Error> {
    if mapping.closed() { Err(Error::Closed) } else { Ok(()) }
}

#[inline(always)]
fn check(mapping: &Mapping) -> Result<(), Error> {
    mapping.own()?;
    open(mapping)
}

/// A place for the next frame.
#[derive(Clone, Copy)]
enum Place {
    /// At this producer's own tail.
    Alone,
    /// Unless another producer is faster.
    Among(Vacancy),
}

/// The caller's header.
type Words = [u64; FRAME_HEADER / 8];

/// Writes the caller's header with what the producer knows; `by`: who it is.
///
/// # Safety
/// `to` is aligned to 64, and its first 64 bytes are the caller's to write.
#[inline(always)]
unsafe fn write_header(
    to: *mut u8,
    header: &Words,
    sequence: u64,
    created: u64,
    len: usize,
    by: u64,
) {
    let [kinds, schema, _, uncompressed, _, created_before, correlation, _] = *header;
    let created = if created_before == 0 { created } else { created_before };
    let words = [kinds, schema, len as u64, uncompressed, sequence, created, correlation, by];
    for (n, word) in words.into_iter().enumerate() {
        // SAFETY: within the 64 bytes, by the function's contract.
        unsafe { to.cast::<u64>().add(n).write(word.to_le()) };
    }
}

/// A frame on its way: not yet filled, or filled and without a place.
struct Unsent<F> {
    header: Words,
    len: usize,
    fill: Option<F>,
    grant: Option<Grant>,
}

/// A frame that is being written: derefs to its body's bytes, in the segment. Dropping it without
/// [`Producer::commit`] gives the space back. Fresh bytes hold what an earlier frame left. In a
/// forked child it is empty.
#[derive(Debug)]
pub struct Grant {
    mapping: Arc<Mapping>,
    lease: Lease,
    body: *mut u8,
    len: usize,
    placed: bool,
}

// SAFETY: the piece belongs to the grant alone, from whichever thread.
unsafe impl Send for Grant {}
// SAFETY: shared access only reads.
unsafe impl Sync for Grant {}

impl Grant {
    fn new(mapping: Arc<Mapping>, lease: Lease, len: usize) -> Self {
        let body = lease.memory(&mapping).0.wrapping_add(FRAME_HEADER);
        Self { mapping, lease, body, len, placed: false }
    }

    /// Makes the body shorter; one that is as short already stays as it is.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }
}

impl Deref for Grant {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        if self.mapping.own().is_err() {
            return &[];
        }
        // SAFETY: `len` bytes after the header lie within the piece, which this grant owns; memory
        // that is mapped is always initialised.
        unsafe { std::slice::from_raw_parts(self.body, self.len) }
    }
}

impl DerefMut for Grant {
    fn deref_mut(&mut self) -> &mut [u8] {
        if self.mapping.own().is_err() {
            return &mut [];
        }
        // SAFETY: as in `deref`, and the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.body, self.len) }
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        if !self.placed && self.mapping.own().is_ok() {
            self.lease.release(&self.mapping);
        }
    }
}

/// A commit that did not happen.
#[derive(Debug)]
#[non_exhaustive]
pub struct Rejected {
    /// The reservation, to try again, unless it was lost to corruption.
    pub grant: Option<Grant>,
    /// Why.
    pub error: Error,
}

impl From<Rejected> for Error {
    fn from(rejected: Rejected) -> Self {
        rejected.error
    }
}
