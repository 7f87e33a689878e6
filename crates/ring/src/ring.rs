//! The two ends of a ring: reserve, commit, send; receive, view, release.
//!
//! Here the parts meet: the order of `spsc`, the words of `block`, the space of `pool`, the event
//! counts of `wait`. A frame is complete before it is placed, and its lease is on record before its
//! place is cleared, so a death between any two steps is one that `recovery` can tell.

use crate::block::{Block, Phase, Word};
use crate::clock::Clock;
use crate::error::Error;
use crate::layout::{CLASSES, FRAME_HEADER, Header};
use crate::pool::{Cursors, NoBlock, Place};
use crate::segment::{Mapping, Segment};
use crate::spsc::{Entry, GENERATION_MASK, Head, Tail};
use crate::sync::{self, Ordering};
use crate::wait::{EventCount, TICK};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long to wait for a frame or for room.
#[derive(Clone, Copy)]
#[must_use]
pub struct Wait<'a> {
    limit: Option<Duration>,
    spin: Duration,
    interrupt: Option<&'a dyn Fn() -> bool>,
}

/// Spinning pays where the other side can run meanwhile.
fn default_spin() -> Duration {
    static SPIN: std::sync::OnceLock<Duration> = std::sync::OnceLock::new();
    *SPIN.get_or_init(|| {
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        if cores > 1 { Duration::from_micros(20) } else { Duration::ZERO }
    })
}

impl<'a> Wait<'a> {
    fn new(limit: Option<Duration>) -> Self {
        Self { limit, spin: default_spin(), interrupt: None }
    }

    /// Not at all.
    pub fn no() -> Self {
        Self::new(Some(Duration::ZERO))
    }

    /// Until the ring is ready or closed.
    pub fn forever() -> Self {
        Self::new(None)
    }

    /// At most this long.
    pub fn for_up_to(limit: Duration) -> Self {
        Self::new(Some(limit))
    }

    /// Look again and again for this long before sleeping. The default is 20 us, and nothing on a
    /// machine with one core.
    pub fn spin(mut self, spin: Duration) -> Self {
        self.spin = spin;
        self
    }

    /// Asks `check` after each signal and every 100 ms; `true` ends the wait with
    /// [`Error::Interrupted`].
    pub fn interrupted_by(mut self, check: &'a dyn Fn() -> bool) -> Self {
        self.interrupt = Some(check);
        self
    }
}

/// Turns of a spin loop that only look; from then on each one rests a little.
const EAGER: u32 = 256;

/// Repeats `attempt` until it has an answer: spinning for as long as `ready` says no, then asleep on
/// `event`.
#[cold]
fn wait_for<T>(
    mapping: &Mapping,
    event: &EventCount,
    wait: &Wait<'_>,
    ready: impl Fn() -> bool,
    mut attempt: impl FnMut() -> Result<Option<T>, Error>,
) -> Result<T, Error> {
    let start = Instant::now();
    let left = |limit: Duration| limit.saturating_sub(start.elapsed());
    let spin = wait.limit.map_or(wait.spin, |limit| wait.spin.min(limit));
    let mut turns = 0u32;
    loop {
        if ready()
            && let Some(done) = attempt()?
        {
            return Ok(done);
        }
        turns = turns.wrapping_add(1);
        if (turns.is_multiple_of(32) || spin.is_zero()) && start.elapsed() >= spin {
            break;
        }
        if turns > EAGER {
            sync::spin();
        }
    }
    let mut asked = start;
    loop {
        let ticket = event.announce();
        if let Some(done) = attempt()? {
            return Ok(done);
        }
        let limit = wait.limit.map_or(TICK, left);
        if limit.is_zero() {
            return Err(Error::Timeout);
        }
        let signal = event.sleep(ticket, limit);
        if let Some(check) = wait.interrupt
            && (signal || asked.elapsed() >= TICK)
        {
            asked = Instant::now();
            if check() {
                return Err(Error::Interrupted);
            }
        }
        mapping.look_around_now_and_then();
    }
}

/// Where a frame lies and what its control word says.
#[derive(Clone, Copy, Debug)]
struct Lease {
    /// Cells count first, then blocks.
    reference: u32,
    /// In the pool, or `None` for a cell.
    place: Option<Place>,
    word: Word,
}

impl Lease {
    /// The frame's memory, header first, and its length.
    #[inline(always)]
    fn memory(&self, mapping: &Mapping) -> (*mut u8, u64) {
        match self.place {
            None => mapping.cell(self.reference),
            Some(place) => (mapping.piece(place.offset), place.len),
        }
    }

    #[inline(always)]
    fn block<'a>(&self, mapping: &'a Mapping) -> &'a Block {
        match self.place {
            None => &mapping.cells()[self.reference as usize],
            Some(place) => &mapping.pool().blocks[place.block as usize],
        }
    }

    /// A step that only this process can take: the word is free and this the one producer, or
    /// offered and this the one consumer, or already its own.
    #[inline(always)]
    fn step(&mut self, mapping: &Mapping, phase: Phase) {
        self.word = self.word.with(phase, mapping.tag());
        self.block(mapping).set(self.word);
    }

    #[inline(always)]
    fn release(&self, mapping: &Mapping) {
        match self.place {
            None => self.block(mapping).set(self.word.freed()),
            Some(place) => mapping.pool().release(place, self.word),
        }
        mapping.space().wake();
    }
}

/// The producing end of a ring.
#[derive(Debug)]
pub struct Producer {
    mapping: Arc<Mapping>,
    tail: Tail,
    token: u64,
    sequence: u64,
    clock: Clock,
    /// Milliseconds of activity, to look at the others now and then.
    beats: u32,
    looked_at: u8,
    claims: u64,
    cursors: Cursors,
}

impl Segment {
    /// The producing end. [`Error::RoleTaken`] while another one lives.
    pub fn producer(&self) -> Result<Producer, Error> {
        let mapping = self.mapping.clone();
        mapping.own()?;
        let token = mapping.take_role(&mapping.control().producer, "producer")?;
        let position = mapping.slots().tail().inspect_err(|_| {
            mapping.leave_role(&mapping.control().producer, token);
        })?;
        mapping.cursors().tail.store(position, Ordering::Relaxed);
        Ok(Producer {
            tail: Tail { position },
            token,
            sequence: 0,
            clock: Clock::new(),
            beats: 0,
            looked_at: 0,
            claims: token << 12,
            cursors: [0; CLASSES],
            mapping,
        })
    }

    /// The consuming end. [`Error::RoleTaken`] while another one lives.
    pub fn consumer(&self) -> Result<Consumer, Error> {
        let mapping = self.mapping.clone();
        mapping.own()?;
        let token = mapping.take_role(&mapping.control().consumer, "consumer")?;
        let position = mapping.slots().head().inspect_err(|_| {
            mapping.leave_role(&mapping.control().consumer, token);
        })?;
        mapping.cursors().head.store(position, Ordering::Relaxed);
        let head = Head { position };
        Ok(Consumer { head, token, looks: 0, looked_at: 0, pending: None, mapping })
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.mapping.leave_role(&self.mapping.control().producer, self.token);
    }
}

impl Producer {
    /// Sends a copy of `body`. What the caller leaves open in the header is filled in.
    ///
    /// `wait` says what to do about a full ring: [`Error::Full`] at once, or wait.
    #[inline]
    pub fn send(&mut self, header: Header, body: &[u8], wait: &Wait<'_>) -> Result<(), Error> {
        let created = self.now();
        if self.send_now(&header, created, body)? {
            self.mapping.data().wake();
            return Ok(());
        }
        self.when_room(wait, |this| {
            this.send_now(&header, created, body).map(|sent| sent.then_some(()))
        })?;
        self.mapping.data().wake();
        Ok(())
    }

    /// Sends copies of several bodies, waking the consumer once, all with one creation time.
    /// Answers how many were sent: fewer than all if `wait` ran out on a full ring, or something went
    /// wrong, which the next call tells.
    pub fn send_batch<'b>(
        &mut self,
        frames: impl IntoIterator<Item = (Header, &'b [u8])>,
        wait: &Wait<'_>,
    ) -> Result<usize, Error> {
        let created = self.now();
        let mut sent = 0;
        for (header, body) in frames {
            let outcome = match self.send_now(&header, created, body) {
                Ok(false) => {
                    self.mapping.data().wake();
                    self.when_room(wait, |this| {
                        this.send_now(&header, created, body).map(|sent| sent.then_some(()))
                    })
                }
                other => other.map(|_| ()),
            };
            match outcome {
                Ok(()) => sent += 1,
                Err(Error::Full | Error::Timeout) => break,
                Err(error) if sent == 0 => return Err(error),
                // The next call meets it again; what was sent must be known now.
                Err(_) => break,
            }
        }
        self.mapping.data().wake();
        Ok(sent)
    }

    /// Room for a body of `len` bytes in the segment itself, to be written and then committed.
    /// Reservations may be many and slow, and be committed in any order or dropped.
    pub fn reserve(&mut self, len: usize, wait: &Wait<'_>) -> Result<Grant, Error> {
        if let Some(grant) = self.reserve_now(len)? {
            return Ok(grant);
        }
        self.when_room(wait, |this| this.reserve_now(len))
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
        let created = self.now();
        let mut attempt = |this: &mut Self| this.commit_now(&mut grant, &header, created);
        let outcome = match attempt(self) {
            Ok(None) => self.when_room(wait, attempt),
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

    /// The number of the next frame.
    pub fn sequence(&self) -> u64 {
        self.sequence
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
        self.beats = self.beats.wrapping_add(1);
        if self.beats.is_multiple_of(4) && self.mapping.own().is_ok() {
            self.looked_at = self.mapping.look_at_next(self.looked_at);
        }
    }

    #[cold]
    fn when_room<T>(
        &mut self,
        wait: &Wait<'_>,
        mut attempt: impl FnMut(&mut Self) -> Result<Option<T>, Error>,
    ) -> Result<T, Error> {
        if wait.limit == Some(Duration::ZERO) {
            return Err(Error::Full);
        }
        let mapping = self.mapping.clone();
        wait_for(&mapping, mapping.space(), wait, || true, || attempt(self))
    }

    #[inline(always)]
    fn check(&self) -> Result<(), Error> {
        self.mapping.own()?;
        if self.mapping.closed() { Err(Error::Closed) } else { Ok(()) }
    }

    /// `false`: no room. Small bodies go straight into the cell at home at the tail (rule 4 of
    /// `spsc`), the others through a reservation.
    #[inline(always)]
    fn send_now(&mut self, header: &Header, created: u64, body: &[u8]) -> Result<bool, Error> {
        self.check()?;
        let mapping = &*self.mapping;
        let slots = mapping.slots();
        if !self.tail.vacant(slots)? {
            return Ok(false);
        }
        let home = slots.home(self.tail.position);
        let (pointer, len) = mapping.cell(home);
        if (body.len() + FRAME_HEADER) as u64 <= len
            && mapping.cells()[home as usize].load().is_free()
        {
            // SAFETY: the slot is vacant and its cell free, so until the place is taken the cell is
            // the one producer's alone; it is `len` bytes, aligned to 64, and the body fits.
            unsafe {
                self.write_header(pointer, header, created, body.len());
                let to = pointer.add(FRAME_HEADER);
                std::ptr::copy_nonoverlapping(body.as_ptr(), to, body.len());
            }
            self.place(Entry { reference: home, generation: 0, direct: true });
            return Ok(true);
        }
        let Some(mut grant) = self.reserve_now(body.len())? else { return Ok(false) };
        grant.copy_from_slice(body);
        Ok(self.commit_now(&mut Some(grant), header, created)?.is_some())
    }

    /// Writes the caller's header with what the producer knows.
    ///
    /// Word by word: copying a struct whose fields were just stored one by one makes the processor
    /// wait for each of those stores.
    ///
    /// # Safety
    /// `to` is aligned to 64, and its first 64 bytes are the caller's to write.
    #[inline(always)]
    unsafe fn write_header(&mut self, to: *mut u8, header: &Header, created: u64, len: usize) {
        let words = [
            u64::from(header.format)
                | (u64::from(header.format_version) << 8)
                | (u64::from(header.flags) << 16)
                | (u64::from(header.type_code) << 32)
                | (u64::from(header.schema_version) << 48),
            u64::from(header.schema_id) | (u64::from(header.checksum) << 32),
            len as u64,
            header.uncompressed_len,
            self.sequence,
            if header.created_ns == 0 { created } else { header.created_ns },
            header.correlation_id,
            u64::from(self.mapping.id) | (self.token << 32),
        ];
        for (n, word) in words.into_iter().enumerate() {
            // SAFETY: within the 64 bytes, by the function's contract.
            unsafe { to.cast::<u64>().add(n).write(word.to_le()) };
        }
        self.sequence += 1;
    }

    #[inline(always)]
    fn place(&mut self, entry: Entry) {
        self.tail.place(self.mapping.slots(), entry);
        // Relaxed: for those who look from outside.
        self.mapping.cursors().tail.store(self.tail.position, Ordering::Relaxed);
    }

    fn reserve_now(&mut self, len: usize) -> Result<Option<Grant>, Error> {
        self.check()?;
        let limit = self.mapping.geometry.max_body();
        if len as u64 > limit {
            return Err(Error::TooLarge { len: len as u64, limit });
        }
        let mapping = &*self.mapping;
        let need = (len + FRAME_HEADER) as u64;
        let slots = mapping.slots();
        if need <= mapping.geometry.cell_len && self.tail.vacant(slots)? {
            let home = slots.home(self.tail.position);
            let word = mapping.cells()[home as usize].load();
            let mut lease = Lease { reference: home, place: None, word };
            if word.is_free() {
                lease.step(mapping, Phase::Filling);
                return Ok(Some(Grant::new(self.mapping.clone(), lease, len)));
            }
        }
        self.claims = self.claims.wrapping_add(1);
        let back = |offset, len| mapping.back(offset, len);
        match mapping.pool().claim(need, mapping.tag(), self.claims, &mut self.cursors, &back) {
            Ok((place, word)) => {
                let reference = (mapping.geometry.slots + place.block) as u32;
                let lease = Lease { reference, place: Some(place), word };
                Ok(Some(Grant::new(self.mapping.clone(), lease, len)))
            }
            Err(NoBlock::Exhausted) => Ok(None),
            Err(NoBlock::Unbacked) => {
                Err(Error::OutOfMemory { path: mapping.path.clone(), needed: need })
            }
        }
    }

    /// Takes the grant only if its frame is placed.
    #[inline]
    fn commit_now(
        &mut self,
        grant: &mut Option<Grant>,
        header: &Header,
        created: u64,
    ) -> Result<Option<()>, Error> {
        self.check()?;
        let slots = self.mapping.slots();
        if !self.tail.vacant(slots)? {
            return Ok(None);
        }
        let Some(mut taken) = grant.take() else { return Ok(None) };
        if !Arc::ptr_eq(&taken.mapping, &self.mapping) {
            *grant = Some(taken);
            return Err(Error::InvalidOption {
                option: "grant",
                value: "a reservation in another ring".into(),
                expected: "one of the producer that commits it",
            });
        }
        let (pointer, _) = taken.lease.memory(&self.mapping);
        // SAFETY: the grant owns the piece, whose first 64 bytes, aligned, are the header's.
        unsafe { self.write_header(pointer, header, created, taken.len) };
        taken.lease.step(&self.mapping, Phase::Offered);
        let lease = taken.lease;
        taken.placed = true;
        drop(taken);
        self.place(Entry {
            reference: lease.reference,
            generation: lease.word.generation() & GENERATION_MASK,
            direct: false,
        });
        Ok(Some(()))
    }
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

/// The consuming end of a ring. Each frame is delivered once at most.
#[derive(Debug)]
pub struct Consumer {
    mapping: Arc<Mapping>,
    head: Head,
    token: u64,
    looks: u32,
    looked_at: u8,
    /// What a batch met after frames that it had taken.
    pending: Option<Error>,
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.mapping.leave_role(&self.mapping.control().consumer, self.token);
    }
}

impl Consumer {
    /// Takes the next frame as a view on the segment.
    ///
    /// Without waiting, [`Error::Empty`] says that there is none; [`Error::Closed`] that there will
    /// be none.
    #[inline]
    pub fn recv(&mut self, wait: &Wait<'_>) -> Result<Frame, Error> {
        let frame = match self.take()? {
            Some(frame) => frame,
            None => self.when_data(wait, Self::take)?,
        };
        self.mapping.space().wake();
        Ok(frame)
    }

    /// Waits for a frame, then takes what is there, up to `most`, onto the end of `frames`.
    /// Answers how many.
    pub fn recv_batch(
        &mut self,
        most: usize,
        frames: &mut Vec<Frame>,
        wait: &Wait<'_>,
    ) -> Result<usize, Error> {
        if most == 0 {
            return Ok(0);
        }
        frames.push(self.recv(wait)?);
        let mut taken = 1;
        while taken < most {
            match self.take() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => {
                    // What was taken is not lost to it; the next call tells.
                    self.pending = Some(error);
                    break;
                }
            }
            taken += 1;
        }
        self.mapping.space().wake();
        Ok(taken)
    }

    /// Copies the next frame's body into `buffer` and frees its space at once. The length is in the
    /// header. A body that is longer than the buffer stays in the ring ([`Error::TooLarge`]).
    #[inline]
    pub fn recv_into(&mut self, buffer: &mut [u8], wait: &Wait<'_>) -> Result<Header, Error> {
        let header = match self.copy(buffer)? {
            Some(header) => header,
            None => self.when_data(wait, |this| this.copy(buffer))?,
        };
        self.mapping.space().wake();
        Ok(header)
    }

    /// The ring that it reads.
    pub fn segment(&self) -> Segment {
        Segment { mapping: self.mapping.clone() }
    }

    #[cold]
    fn when_data<T>(
        &mut self,
        wait: &Wait<'_>,
        mut attempt: impl FnMut(&mut Self) -> Result<Option<T>, Error>,
    ) -> Result<T, Error> {
        let mapping = self.mapping.clone();
        let mut attempt = || {
            if let Some(found) = attempt(self)? {
                return Ok(Some(found));
            }
            if !mapping.closed() {
                return Ok(None);
            }
            // What was placed before the closing was seen is still delivered.
            attempt(self)?.map_or(Err(Error::Closed), |found| Ok(Some(found)))
        };
        if wait.limit == Some(Duration::ZERO) {
            return attempt()?.ok_or(Error::Empty);
        }
        let ready = || mapping.readable() || mapping.closed();
        wait_for(&mapping, mapping.data(), wait, ready, attempt)
    }

    /// Now and then in a busy consumer's life, a look at one of the others.
    #[inline(always)]
    fn look(&mut self) -> Result<(), Error> {
        self.mapping.own()?;
        self.looks = self.looks.wrapping_add(1);
        if self.looks.is_multiple_of(1 << 14) {
            self.looked_at = self.mapping.look_at_next(self.looked_at);
        }
        match self.pending.take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    #[inline(always)]
    fn clear(&mut self) {
        self.head.clear(self.mapping.slots());
        // Relaxed: for those who look from outside, and for this process's own watchers.
        self.mapping.cursors().head.store(self.head.position, Ordering::Relaxed);
    }

    /// A frame that turned out to be corrupt: its place is cleared, so that it is told once.
    #[cold]
    fn skip(&mut self, error: Error) -> Error {
        self.clear();
        self.mapping.space().wake();
        error
    }

    /// The frame at the head, not yet taken, and whether it is direct.
    #[inline(always)]
    fn front(&mut self) -> Result<Option<(Lease, bool)>, Error> {
        self.look()?;
        let Some(entry) = self.head.peek(self.mapping.slots())? else { return Ok(None) };
        match self.lease(entry) {
            Ok(lease) => Ok(Some((lease, entry.direct))),
            Err(error) => Err(self.skip(error)),
        }
    }

    /// The lease that an entry stands for.
    #[inline(always)]
    fn lease(&self, entry: Entry) -> Result<Lease, Error> {
        let mapping = &*self.mapping;
        let corrupt = |what, found| Error::Corrupt { what, index: entry.reference.into(), found };
        let cells = mapping.geometry.slots;
        let (word, place) = match u64::from(entry.reference).checked_sub(cells) {
            None => (mapping.cells()[entry.reference as usize].load(), None),
            Some(block) => {
                let pool = mapping.pool();
                let place = pool.place(block).ok_or_else(|| corrupt("block", block))?;
                (pool.blocks[block as usize].load(), Some(place))
            }
        };
        let right = if entry.direct {
            let home = mapping.slots().home(self.head.position);
            entry.reference == home && word.is_free()
        } else {
            word.phase() == Some(Phase::Offered)
                && word.generation() & GENERATION_MASK == entry.generation
        };
        if !right {
            return Err(corrupt("block word", word.0));
        }
        Ok(Lease { reference: entry.reference, place, word })
    }

    /// Reads the header of a frame that is this consumer's to read, once, and checks it.
    #[inline(always)]
    fn header(&self, lease: &Lease) -> Result<Header, Error> {
        let (pointer, len) = lease.memory(&self.mapping);
        // SAFETY: the piece is mapped, aligned to 64 and at least 64 bytes; any bytes are a valid
        // header. Volatile, so that what is checked is what is used even if a peer still writes.
        let header = unsafe { pointer.cast::<Header>().read_volatile() };
        if header.body_len > len - FRAME_HEADER as u64 {
            return Err(Error::Corrupt {
                what: "frame length of block",
                index: u64::from(lease.reference),
                found: header.body_len,
            });
        }
        Ok(header)
    }

    /// Takes the next frame, if there is one.
    #[inline(always)]
    fn take(&mut self) -> Result<Option<Frame>, Error> {
        let Some((mut lease, _)) = self.front()? else { return Ok(None) };
        // The lease is on record before the place is cleared.
        lease.step(&self.mapping, Phase::Acked);
        match self.header(&lease) {
            Ok(header) => {
                self.clear();
                let mapping = self.mapping.clone();
                let body = lease.memory(&mapping).0.wrapping_add(FRAME_HEADER);
                Ok(Some(Frame { mapping, lease, header, body }))
            }
            Err(error) => {
                let error = self.skip(error);
                lease.release(&self.mapping);
                Err(error)
            }
        }
    }

    /// Copies the next frame out, if there is one.
    #[inline(always)]
    fn copy(&mut self, buffer: &mut [u8]) -> Result<Option<Header>, Error> {
        let Some((mut lease, direct)) = self.front()? else { return Ok(None) };
        let header = self.header(&lease);
        if let Ok(header) = &header {
            let (len, limit) = (header.body_len, buffer.len() as u64);
            if len > limit {
                return Err(Error::TooLarge { len, limit });
            }
            let body = lease.memory(&self.mapping).0.wrapping_add(FRAME_HEADER);
            // SAFETY: `len` bytes lie in the piece by `header`'s check and in the buffer by ours.
            unsafe { std::ptr::copy_nonoverlapping(body, buffer.as_mut_ptr(), len as usize) };
        }
        if !direct {
            lease.step(&self.mapping, Phase::Acked);
        }
        self.clear();
        if !direct {
            lease.release(&self.mapping);
        }
        header.map(Some)
    }
}

/// A frame that was taken: derefs to its body, in the segment, read-only. It may be kept for as
/// long as it is needed, sent to other threads, and dropped in any order; only its own space waits.
#[derive(Debug)]
pub struct Frame {
    mapping: Arc<Mapping>,
    lease: Lease,
    header: Header,
    body: *const u8,
}

// SAFETY: the lease belongs to the frame, and its bytes are only read.
unsafe impl Send for Frame {}
// SAFETY: as above.
unsafe impl Sync for Frame {}

impl Frame {
    /// The frame's header, as it was when the frame was taken.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The ring that it came through.
    pub fn segment(&self) -> Segment {
        Segment { mapping: self.mapping.clone() }
    }
}

impl Deref for Frame {
    type Target = [u8];
    /// Empty in a forked child, which has no part in the lease.
    fn deref(&self) -> &[u8] {
        if self.mapping.own().is_err() {
            return &[];
        }
        // SAFETY: the length was checked against the piece when the frame was taken, and the lease
        // keeps every producer off it. Bodies are immutable by contract once placed.
        unsafe { std::slice::from_raw_parts(self.body, self.header.body_len as usize) }
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        if self.mapping.own().is_ok() {
            self.lease.release(&self.mapping);
        }
    }
}
