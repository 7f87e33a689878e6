//! The consuming end.

use super::ahead::Behind;
use super::{Lease, Wait, lease, take_among, wait_for};
use crate::block::{Block, Phase, Word};
use crate::error::Error;
use crate::layout::{FRAME_HEADER, Header, REDELIVERED};
use crate::ledger::{Ledger, Settled};
use crate::mpmc::Taker;
use crate::returned;
use crate::segment::{End, Mapping, Schema, SchemaId, Schemas, Segment};
use crate::slots::{Entry, GENERATION_MASK};
use crate::spsc::Head;
use crate::sync;
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What happens to a frame whose consumer does not get on with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Delivery {
    /// It is acknowledged as it is taken, and delivered once at most.
    AtMostOnce,
    /// It is delivered again, marked and counted, until somebody acknowledges it ([`Frame::ack`]).
    AtLeastOnce {
        /// Frames that a consumer may have taken and not acknowledged: with so many there are no more
        /// ([`Error::Unacknowledged`]).
        limit: u32,
    },
}

/// The consuming end of a ring. One thread uses it at a time; where there may be many consumers, each
/// thread makes its own. Each frame goes to one of them.
#[derive(Debug)]
pub struct Consumer {
    mapping: Arc<Mapping>,
    order: Order,
    behind: Behind,
    ledger: Option<Arc<Ledger>>,
    token: u64,
    looks: u32,
    /// What a batch met after frames that it had taken.
    pending: Option<Error>,
    /// Since when a frame is on its way in the closed ring.
    awaiting: Option<Instant>,
}

/// How long a consumer of a closed ring waits for a frame that is on its way.
const PATIENCE: Duration = Duration::from_secs(5);

/// How frames are taken.
#[derive(Debug)]
enum Order {
    /// By plain stores.
    Alone(Head),
    /// In competition.
    Many(Taker),
}

impl Segment {
    /// A consuming end, [`Delivery::AtMostOnce`]. Where there is one at a time: [`Error::RoleTaken`]
    /// while another one lives.
    pub fn consumer(&self) -> Result<Consumer, Error> {
        self.consumer_with(Delivery::AtMostOnce)
    }

    /// As [`consumer`](Self::consumer), with the delivery that is asked for.
    pub fn consumer_with(&self, delivery: Delivery) -> Result<Consumer, Error> {
        let mapping = self.mapping.clone();
        mapping.own()?;
        let ledger = match delivery {
            Delivery::AtMostOnce => None,
            Delivery::AtLeastOnce { limit: 0 } => {
                return Err(Error::InvalidOption {
                    option: "limit",
                    value: "0".into(),
                    expected: "one frame at least",
                });
            }
            Delivery::AtLeastOnce { limit } => Some(Arc::new(Ledger::new(limit))),
        };
        let mode = mapping.geometry.rules.mode;
        let token = mapping.enter(End::Consumer)?;
        let order = if mode.alone() {
            Order::Alone(Head::find(mapping.slots()).inspect_err(|_| {
                mapping.leave(End::Consumer, token);
            })?)
        } else {
            Order::Many(Taker::new(mapping.slots()))
        };
        Ok(Consumer {
            order,
            behind: Behind::default(),
            ledger,
            token,
            looks: 0,
            pending: None,
            awaiting: None,
            mapping,
        })
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        if let Some(ledger) = &self.ledger {
            ledger.end();
        }
        self.mapping.leave(End::Consumer, self.token);
    }
}

impl Consumer {
    /// Takes the next frame as a view on the segment.
    ///
    /// Without waiting, [`Error::Empty`] says that there is none; [`Error::Closed`] that there will
    /// be none; [`Error::ShareHeld`] that this process holds as much of the pool in frames as it may.
    #[inline]
    pub fn recv(&mut self, wait: &Wait<'_>) -> Result<Frame, Error> {
        let frame = match self.take()? {
            Some(frame) => frame,
            None if wait.polls() && !self.mapping.closed() => return Err(self.empty()),
            None => self.when_data(*wait, Self::take)?,
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
            match self.next() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                // The next call meets it by itself, if it is still so.
                Err(Error::Unacknowledged { .. } | Error::ShareHeld { .. }) => break,
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

    /// Takes a dead letter, if there is one: a frame that was given back more often than the ring
    /// permits. It is this consumer's like any other.
    pub fn recv_dead(&mut self) -> Result<Option<Frame>, Error> {
        self.look()?;
        if let Err(error) = self.mapping.may_hold() {
            let dead = |(_, word): (u64, &Block)| word.load().phase() == Some(Phase::Dead);
            return if self.mapping.words().any(dead) { Err(error) } else { Ok(None) };
        }
        self.adopt(Phase::Dead).map(|found| found.map(|(lease, header)| self.frame(lease, header)))
    }

    /// Takes the next frame, shows it to `read` in the segment, and frees its space. It is acknowledged
    /// by that, unless `read` panics.
    #[inline]
    pub fn recv_with<R>(
        &mut self,
        read: impl FnOnce(&Header, &[u8]) -> R,
        wait: &Wait<'_>,
    ) -> Result<R, Error> {
        self.look()?;
        if let Some((lease, header)) = self.taken_direct() {
            return Ok(show(&self.mapping, lease, &header, None, read));
        }
        let (lease, header) = match self.taken_now()? {
            Some(taken) => taken,
            None if wait.polls() && !self.mapping.closed() => return Err(self.empty()),
            None => self.when_data(*wait, Self::taken)?,
        };
        Ok(show(&self.mapping, lease, &header, self.ledger.as_deref(), read))
    }

    /// As [`recv_with`](Self::recv_with), for who has a quicker way with small frames. Takes the next one only if it lies in
    /// the cell of its place, which a ring for one and one knows beforehand, and `wanted` says so by its header. `None`: no such
    /// frame is next; the other calls tell what is.
    #[inline]
    pub fn recv_small<R>(
        &mut self,
        wanted: impl FnOnce(&Header) -> bool,
        read: impl FnOnce(&Header, &[u8]) -> R,
    ) -> Result<Option<R>, Error> {
        self.look()?;
        let Some((mut lease, header)) = self.direct() else { return Ok(None) };
        if !wanted(&header) {
            return Ok(None);
        }
        // As in `taken_direct`.
        lease.step(&self.mapping, Phase::Acked);
        self.advance();
        Ok(Some(show(&self.mapping, lease, &header, None, read)))
    }

    /// Waits until a frame is there, and leaves it there.
    pub fn ready(&mut self, wait: &Wait<'_>) -> Result<(), Error> {
        let mapping = self.mapping.clone();
        self.when_data(*wait, |this| {
            this.mapping.own()?;
            Ok(mapping.readable().then_some(()))
        })
    }

    /// Copies the next frame's body into `buffer` and frees its space at once. The length is in the
    /// header. A body that is longer than the buffer stays in the ring ([`Error::TooLarge`]); among many
    /// consumers it goes back, to be the next that one of them gets. It is acknowledged by being copied.
    #[inline]
    pub fn recv_into(&mut self, buffer: &mut [u8], wait: &Wait<'_>) -> Result<Header, Error> {
        let header = match self.copy(buffer)? {
            Some(header) => header,
            None if wait.polls() && !self.mapping.closed() => return Err(self.empty()),
            None => self.when_data(*wait, |this| this.copy(buffer))?,
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
        wait: Wait<'_>,
        mut attempt: impl FnMut(&mut Self) -> Result<Option<T>, Error>,
    ) -> Result<T, Error> {
        let mapping = self.mapping.clone();
        let found = |found| Ok(Some(found));
        let mut attempt = || {
            if let Some(found) = attempt(self)? {
                return Ok(Some(found));
            }
            if !mapping.closed() {
                return Ok(None);
            }
            // What was placed before the closing was seen is still delivered, and what is being placed.
            let reached = sync::announce_fence();
            if !reached {
                std::thread::sleep(Duration::from_millis(1));
            }
            match attempt(self)? {
                None if !self.awaits_last() => attempt(self)?.map_or(Err(Error::Closed), found),
                other => Ok(other),
            }
        };
        if wait.polls() {
            return attempt()?.ok_or(Error::Empty);
        }
        let ready = || mapping.readable() || mapping.closed();
        wait_for(&mapping, mapping.data(), &wait, ready, attempt)
    }

    /// Whether a frame is on its way in a ring that is closed and empty. One that is stopped at that is
    /// waited for, and not for ever: so would be one that only garbage speaks of.
    #[cold]
    fn awaits_last(&mut self) -> bool {
        let placing = self.mapping.placing();
        placing && self.awaiting.get_or_insert_with(Instant::now).elapsed() < PATIENCE
    }

    /// There is nothing. Who polls looks after the others, too.
    #[cold]
    fn empty(&mut self) -> Error {
        self.looks = self.looks.wrapping_add(1);
        if self.looks.is_multiple_of(16) {
            self.mapping.look_along();
        }
        Error::Empty
    }

    /// Now and then in a busy consumer's life, a look at one of the others.
    #[inline(always)]
    fn look(&mut self) -> Result<(), Error> {
        self.mapping.own()?;
        self.looks = self.looks.wrapping_add(1);
        if self.looks.is_multiple_of(64) {
            self.mapping.look_along();
        }
        if self.pending.is_some() { self.tell() } else { Ok(()) }
    }

    #[cold]
    fn tell(&mut self) -> Result<(), Error> {
        self.pending.take().map_or(Ok(()), Err)
    }

    /// A frame that turned out to be corrupt: the head moves on, so that it is told once.
    #[cold]
    fn skip(&mut self, error: Error) -> Error {
        self.advance();
        self.mapping.space().wake();
        error
    }

    /// The next frame and its header, if it is a direct one, at the head of a ring for one, and nothing else is to be seen to:
    /// what [`front`](Self::front) and [`header`](Self::header) find, by fewer steps. Not yet taken.
    #[inline(always)]
    fn direct(&mut self) -> Option<(Lease, Header)> {
        let Order::Alone(head) = &self.order else { return None };
        let mapping = &*self.mapping;
        if self.ledger.is_some() || returned::hint(mapping.cursors()).is_some() {
            return None;
        }
        let (slots, home) = (mapping.slots(), mapping.slots().home(head.position));
        if !slots.placed_direct(head.position) {
            return None;
        }
        // After the slot: before, it may have been of an earlier life.
        let word = slots.cell(home).load();
        if !word.is_free() {
            return None;
        }
        self.behind.found(mapping, head.position);
        let lease = Lease { reference: home, place: None, word };
        Some((lease, self.header(&lease).ok()?))
    }

    /// Takes it.
    #[inline(always)]
    fn taken_direct(&mut self) -> Option<(Lease, Header)> {
        let (mut lease, header) = self.direct()?;
        // The lease is on record before the head moves on.
        lease.step(&self.mapping, Phase::Acked);
        self.advance();
        Some((lease, header))
    }

    /// The head of a ring for one moves on.
    #[inline(always)]
    fn advance(&mut self) {
        if let Order::Alone(head) = &mut self.order {
            head.advance(self.mapping.slots());
        }
    }

    /// The frame at the head of a ring for one, not yet taken, and whether it is direct.
    #[inline(always)]
    fn front(&mut self) -> Result<Option<(Lease, bool)>, Error> {
        let Order::Alone(head) = &mut self.order else { return Ok(None) };
        let slots = self.mapping.slots();
        let Some(entry) = head.peek(slots)? else {
            self.behind.caught_up();
            return Ok(None);
        };
        let home = slots.home(head.position);
        self.behind.found(&self.mapping, head.position);
        match self.lease(entry, home) {
            Ok(lease) => Ok(Some((lease, entry.direct))),
            Err(error) => Err(self.skip(error)),
        }
    }

    /// The lease that an entry stands for.
    #[inline(always)]
    fn lease(&self, entry: Entry, home: u32) -> Result<Lease, Error> {
        let mapping = &*self.mapping;
        if entry.direct && entry.reference == home {
            // Found by its place and not by what the slot says: so the frame's lines are under way while
            // the slot's still is.
            let word = mapping.slots().cell(home).load();
            if word.is_free() {
                return Ok(Lease { reference: home, place: None, word });
            }
        }
        let word = mapping.word(entry.reference).map(Block::load);
        let lease = lease(mapping, entry.reference, word.unwrap_or(Word(0)))?;
        let right = lease.word.phase() == Some(Phase::Offered)
            && lease.word.generation() & GENERATION_MASK == entry.generation;
        if entry.direct || !right {
            let index = entry.reference.into();
            return Err(Error::Corrupt { what: "block word", index, found: lease.word.0 });
        }
        Ok(lease)
    }

    /// Reads the header of a frame that is this consumer's to read, once, and checks it.
    #[inline(always)]
    fn header(&self, lease: &Lease) -> Result<Header, Error> {
        let (pointer, len) = lease.memory(&self.mapping);
        // In words, as it was written: what is stored in small pieces is slow to be copied in larger ones.
        let words = std::array::from_fn(|n| {
            // SAFETY: the piece is mapped, aligned to 64 and at least 64 bytes, eight words. What is checked
            // is what is used, even if a peer still writes.
            u64::from_le(unsafe { pointer.cast::<u64>().add(n).read_volatile() })
        });
        let header = Header::of(words);
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
        self.look()?;
        self.next()
    }

    /// As `take`, without a look around.
    #[inline(always)]
    fn next(&mut self) -> Result<Option<Frame>, Error> {
        if let Err(error) = self.mapping.may_hold() {
            return self.withheld(error);
        }
        if let Some((lease, header)) = self.taken_direct() {
            return Ok(Some(self.frame(lease, header)));
        }
        let Some((lease, header)) = self.taken_now()? else { return Ok(None) };
        Ok(Some(self.frame(lease, header)))
    }

    /// What is not there is not withheld: that the ring is empty or closed is said as ever.
    #[cold]
    fn withheld(&self, error: Error) -> Result<Option<Frame>, Error> {
        if self.mapping.readable() { Err(error) } else { Ok(None) }
    }

    #[inline(always)]
    fn frame(&self, lease: Lease, header: Header) -> Frame {
        let mapping = self.mapping.clone();
        if let Some(place) = lease.place {
            mapping.hold(place.len);
        }
        let body = lease.memory(&mapping).0.wrapping_add(FRAME_HEADER);
        let (ledger, settled) = (self.ledger.clone(), Settled::not());
        Frame { mapping, lease, header, body, ledger, settled }
    }

    /// How a frame is on record once it is taken.
    #[inline(always)]
    fn phase(&self) -> Phase {
        if self.ledger.is_some() { Phase::Unacked } else { Phase::Acked }
    }

    /// The lease on the next frame, and its header, checked.
    #[inline(always)]
    fn taken(&mut self) -> Result<Option<(Lease, Header)>, Error> {
        self.look()?;
        self.taken_now()
    }

    #[inline(always)]
    fn taken_now(&mut self) -> Result<Option<(Lease, Header)>, Error> {
        if let Some(ledger) = &self.ledger {
            ledger.room()?;
        }
        if returned::hint(self.mapping.cursors()).is_some()
            && let Some(found) = self.adopt(Phase::Orphan)?
        {
            return Ok(Some(found));
        }
        let held = self.phase();
        let lease = if let Order::Many(taker) = &mut self.order {
            let Some(lease) = take_among(taker, &self.mapping, held)? else {
                self.behind.caught_up();
                return Ok(None);
            };
            self.behind.found(&self.mapping, taker.position);
            lease
        } else {
            let Some((mut lease, _)) = self.front()? else { return Ok(None) };
            // The lease is on record before the head moves on.
            lease.step(&self.mapping, held);
            lease
        };
        let header = self.header(&lease);
        self.advance();
        match header {
            Ok(header) => {
                if let Some(ledger) = &self.ledger {
                    ledger.opened();
                }
                Ok(Some((lease, header)))
            }
            Err(error) => {
                lease.release(&self.mapping);
                Err(error)
            }
        }
    }

    /// Takes a frame that was given back, or is a dead letter.
    #[cold]
    fn adopt(&mut self, phase: Phase) -> Result<Option<(Lease, Header)>, Error> {
        if let Some(ledger) = &self.ledger {
            ledger.room()?;
        }
        let mapping = &*self.mapping;
        let seen = returned::hint(mapping.cursors());
        let adopted = returned::adopt(mapping.words(), phase, mapping.tag(), self.phase());
        let Some((reference, word)) = adopted else {
            if let Some(seen) = seen.filter(|_| phase == Phase::Orphan) {
                returned::lower(mapping.cursors(), seen);
            }
            return Ok(None);
        };
        let lease = lease(mapping, reference as u32, word)?;
        match self.header(&lease) {
            Ok(mut header) => {
                header.flags |= REDELIVERED;
                if let Some(ledger) = &self.ledger {
                    ledger.opened();
                }
                Ok(Some((lease, header)))
            }
            Err(error) => {
                lease.release(mapping);
                Err(error)
            }
        }
    }

    /// Copies the next frame out, if there is one.
    #[inline(always)]
    fn copy(&mut self, buffer: &mut [u8]) -> Result<Option<Header>, Error> {
        if self.ledger.is_some()
            || matches!(self.order, Order::Many(_))
            || returned::hint(self.mapping.cursors()).is_some()
        {
            return self.copy_taken(buffer);
        }
        self.look()?;
        let Some((mut lease, direct)) = self.front()? else { return Ok(None) };
        let header = self.header(&lease);
        if let Ok(header) = &header {
            // SAFETY: the lease is this consumer's.
            unsafe { copy_out(&lease, &self.mapping, header, buffer)? };
        }
        if !direct {
            lease.step(&self.mapping, Phase::Acked);
        }
        self.advance();
        if !direct {
            lease.release(&self.mapping);
        }
        header.map(Some)
    }

    /// As `copy`, by a frame that is taken first.
    fn copy_taken(&mut self, buffer: &mut [u8]) -> Result<Option<Header>, Error> {
        let Some((lease, header)) = self.taken()? else { return Ok(None) };
        if let Some(ledger) = &self.ledger {
            ledger.settled();
        }
        // SAFETY: the lease is this consumer's.
        match unsafe { copy_out(&lease, &self.mapping, &header, buffer) } {
            Ok(()) => {
                lease.release(&self.mapping);
                Ok(Some(header))
            }
            Err(error) => {
                lease.put_back(&self.mapping);
                Err(error)
            }
        }
    }
}

/// Shows a frame that was taken to `read`, and frees its space.
#[inline(always)]
fn show<R>(
    mapping: &Mapping,
    lease: Lease,
    header: &Header,
    ledger: Option<&Ledger>,
    read: impl FnOnce(&Header, &[u8]) -> R,
) -> R {
    /// When `read` panics it is released, or given back.
    struct Held<'a>(Lease, &'a Mapping, Option<&'a Ledger>);
    impl Drop for Held<'_> {
        #[inline(always)]
        fn drop(&mut self) {
            let_go_unread(self.0, self.1, self.2);
        }
    }
    let held = Held(lease, mapping, ledger);
    let body = lease.memory(mapping).0.wrapping_add(FRAME_HEADER);
    // SAFETY: as in `Frame::deref`; the lease lasts until `held` goes.
    let body = unsafe { std::slice::from_raw_parts(body, header.body_len as usize) };
    let answer = read(header, body);
    std::mem::forget(held);
    // The reading may have forked, and this be the child.
    if mapping.own().is_ok() {
        ledger.inspect(|ledger| ledger.settled());
        lease.release(mapping);
    }
    answer
}

/// By value: what is only reached by a panic must not lie in memory without one.
#[cold]
fn let_go_unread(lease: Lease, mapping: &Mapping, ledger: Option<&Ledger>) {
    if mapping.own().is_err() {
        return;
    }
    match ledger {
        None => lease.release(mapping),
        Some(ledger) => {
            ledger.settled();
            lease.give_back(mapping);
        }
    }
}

/// Copies a frame's body out.
///
/// # Safety
/// The lease is the caller's, and the header the one that was checked.
#[inline(always)]
unsafe fn copy_out(
    lease: &Lease,
    mapping: &Mapping,
    header: &Header,
    buffer: &mut [u8],
) -> Result<(), Error> {
    let (len, limit) = (header.body_len, buffer.len() as u64);
    if len > limit {
        return Err(Error::TooLarge { len, limit });
    }
    let body = lease.memory(mapping).0.wrapping_add(FRAME_HEADER);
    // SAFETY: `len` bytes lie in the piece, by the check of the header, and in the buffer by ours.
    unsafe { std::ptr::copy_nonoverlapping(body, buffer.as_mut_ptr(), len as usize) };
    Ok(())
}

/// A frame that was taken: derefs to its body, in the segment, read-only. It may be kept for as
/// long as it is needed, sent to other threads, and dropped in any order; only its own space waits.
#[derive(Debug)]
pub struct Frame {
    mapping: Arc<Mapping>,
    lease: Lease,
    header: Header,
    body: *const u8,
    /// Where it is on record as not acknowledged, under [`Delivery::AtLeastOnce`].
    ledger: Option<Arc<Ledger>>,
    settled: Settled,
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

    /// The schemas of the ring that the frame is of.
    pub fn schemas(&self) -> Schemas {
        Schemas::of(self.mapping.clone())
    }

    /// The schema that its header names. `None`: it names none.
    ///
    /// [`Error::Corrupt`] if it names one that is not there.
    pub fn schema(&self) -> Result<Option<Schema>, Error> {
        let Header { schema_id, schema_version, .. } = self.header;
        let Some(id) = SchemaId::new(schema_id) else { return Ok(None) };
        match self.schemas().get(id)? {
            Some(schema) if schema.version() == schema_version => Ok(Some(schema)),
            found => {
                let (what, index) = ("version of the schema of a frame", schema_id.into());
                let found = found.map_or(0, |schema| schema.version().into());
                Err(Error::Corrupt { what, index, found })
            }
        }
    }

    /// Acknowledges the frame: it is not delivered again. Its view stays. Nothing happens where frames
    /// are delivered [at most once](Delivery::AtMostOnce), or the second time.
    /// [`Error::GivenBack`] after [`nack`](Self::nack) or when its consumer is gone.
    pub fn ack(&self) -> Result<(), Error> {
        self.mapping.own()?;
        let Some(ledger) = &self.ledger else { return Ok(()) };
        self.settled.ack(ledger, || {
            let acked = self.lease.word.with(Phase::Acked, self.mapping.tag());
            self.lease.block(&self.mapping).set(acked);
        })
    }

    /// Gives the frame back, to be delivered again as soon as its view is gone. Nothing happens the
    /// second time. [`Error::Acknowledged`] after [`ack`](Self::ack), or where frames are delivered
    /// [at most once](Delivery::AtMostOnce). A frame that is dropped unacknowledged is given back too.
    pub fn nack(&self) -> Result<(), Error> {
        self.mapping.own()?;
        self.ledger.as_ref().map_or(Err(Error::Acknowledged), |ledger| self.settled.nack(ledger))
    }

    /// Whether it was acknowledged; `None` where that is no question ([`Delivery::AtMostOnce`]).
    pub fn acknowledged(&self) -> Option<bool> {
        self.ledger.as_ref().map(|_| self.settled.acked())
    }

    /// How often it was delivered before, and not acknowledged.
    pub fn redeliveries(&self) -> u8 {
        self.lease.word.deliveries()
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
        if self.mapping.own().is_err() {
            return;
        }
        if let Some(place) = self.lease.place {
            self.mapping.let_go(place.len);
        }
        if let Some(ledger) = &self.ledger
            && !self.settled.at_last(ledger)
        {
            return self.lease.give_back(&self.mapping);
        }
        self.lease.release(&self.mapping);
    }
}
