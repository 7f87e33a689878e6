//! The producing end.

use super::{Lease, Wait, wait_for};
use crate::block::Phase;
use crate::clock::Clock;
use crate::error::Error;
use crate::layout::{CLASSES, FRAME_HEADER, Header};
use crate::pool::{Cursors, NoBlock};
use crate::segment::{Mapping, Segment};
use crate::spsc::{Entry, GENERATION_MASK, Tail};
use std::cell::Cell;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

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
    /// Bytes that may still be given to the pool.
    backs: Cell<u64>,
}

impl Segment {
    /// The producing end. [`Error::RoleTaken`] while another one lives.
    pub fn producer(&self) -> Result<Producer, Error> {
        let mapping = self.mapping.clone();
        mapping.own()?;
        let token = mapping.take_role(&mapping.control().producer, "producer")?;
        let tail = Tail::find(mapping.slots()).inspect_err(|_| {
            mapping.leave_role(&mapping.control().producer, token);
        })?;
        Ok(Producer {
            tail,
            token,
            sequence: 0,
            clock: Clock::new(),
            beats: 0,
            looked_at: 0,
            claims: token << 12,
            cursors: [0; CLASSES],
            backs: Cell::new(u64::MAX),
            mapping,
        })
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
        self.send_with(header, body.len(), |to| to.copy_from_slice(body), wait)
    }

    /// Sends a frame of `len` bytes that `fill` writes in the segment itself. The bytes hold what an
    /// earlier frame left. `fill` is called once there is room, at most once; until it returns
    /// nothing is sent, and if it panics nothing will be.
    #[inline]
    pub fn send_with(
        &mut self,
        header: Header,
        len: usize,
        fill: impl FnOnce(&mut [u8]),
        wait: &Wait<'_>,
    ) -> Result<(), Error> {
        let created = self.now();
        let mut fill = Some(fill);
        if !self.send_now(&header, created, len, &mut fill)? {
            self.when_room(wait, |this| {
                this.send_now(&header, created, len, &mut fill).map(|sent| sent.then_some(()))
            })?;
        }
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
            let (len, mut fill) = (body.len(), Some(|to: &mut [u8]| to.copy_from_slice(body)));
            let outcome = match self.send_now(&header, created, len, &mut fill) {
                Ok(false) => {
                    self.mapping.data().wake();
                    self.when_room(wait, |this| {
                        this.send_now(&header, created, len, &mut fill)
                            .map(|sent| sent.then_some(()))
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
        if wait.polls() {
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

    /// A body that can never fit is refused, whether the ring is full or not.
    fn fits(&self, len: usize) -> Result<(), Error> {
        let (len, limit) = (len as u64, self.mapping.geometry.max_body());
        if len > limit { Err(Error::TooLarge { len, limit }) } else { Ok(()) }
    }

    /// `false`: no room, and `fill` was not called. Small bodies go straight into the cell at home at
    /// the tail (rule 4 of `spsc`), the others through a reservation.
    #[inline(always)]
    fn send_now(
        &mut self,
        header: &Header,
        created: u64,
        len: usize,
        fill: &mut Option<impl FnOnce(&mut [u8])>,
    ) -> Result<bool, Error> {
        self.check()?;
        let mapping = &*self.mapping;
        let slots = mapping.slots();
        if !self.tail.vacant(slots)? {
            return self.fits(len).map(|()| false);
        }
        let home = slots.home(self.tail.position);
        let (pointer, room) = mapping.cell(home);
        if (len + FRAME_HEADER) as u64 <= room && mapping.cells()[home as usize].load().is_free() {
            // SAFETY: the slot is vacant and its cell free, so until the place is taken the cell is
            // the one producer's alone; it is `room` bytes, aligned to 64, and the body fits.
            let body = unsafe { std::slice::from_raw_parts_mut(pointer.add(FRAME_HEADER), len) };
            if let Some(fill) = fill.take() {
                fill(body);
            }
            // SAFETY: as above; the header is before the body.
            unsafe { self.write_header(pointer, header, created, len) };
            self.place(Entry { reference: home, generation: 0, direct: true });
            return Ok(true);
        }
        let Some(mut grant) = self.reserve_now(len)? else { return Ok(false) };
        if let Some(fill) = fill.take() {
            fill(&mut grant);
        }
        // The place is still vacant: only this producer takes it.
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
    }

    fn reserve_now(&mut self, len: usize) -> Result<Option<Grant>, Error> {
        self.check()?;
        self.fits(len)?;
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
        let (backs, unwanted) = (&self.backs, Cell::new(false));
        let back = |offset, len| {
            let left = backs.get().checked_sub(len);
            unwanted.set(left.is_none());
            left.is_some_and(|left| {
                backs.set(left);
                mapping.back(offset, len)
            })
        };
        match mapping.pool().claim(need, mapping.tag(), self.claims, &mut self.cursors, &back) {
            Ok((place, word)) => {
                let reference = (mapping.geometry.slots + place.block) as u32;
                let lease = Lease { reference, place: Some(place), word };
                Ok(Some(Grant::new(self.mapping.clone(), lease, len)))
            }
            Err(NoBlock::Exhausted) => Ok(None),
            Err(NoBlock::Unbacked) if unwanted.get() => Err(Error::Unbacked),
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
