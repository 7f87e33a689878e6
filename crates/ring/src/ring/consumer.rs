//! The consuming end.

use super::{Lease, Wait, wait_for};
use crate::block::Phase;
use crate::error::Error;
use crate::layout::{FRAME_HEADER, Header};
use crate::segment::{Mapping, Segment};
use crate::spsc::{Entry, GENERATION_MASK, Head};
use std::ops::Deref;
use std::sync::Arc;

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

impl Segment {
    /// The consuming end. [`Error::RoleTaken`] while another one lives.
    pub fn consumer(&self) -> Result<Consumer, Error> {
        let mapping = self.mapping.clone();
        mapping.own()?;
        let token = mapping.take_role(&mapping.control().consumer, "consumer")?;
        let head = Head::find(mapping.slots()).inspect_err(|_| {
            mapping.leave_role(&mapping.control().consumer, token);
        })?;
        Ok(Consumer { head, token, looks: 0, looked_at: 0, pending: None, mapping })
    }
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
            None if wait.polls() && !self.mapping.closed() => return Err(Error::Empty),
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

    /// Takes the next frame, shows it to `read` in the segment, and frees its space.
    #[inline]
    pub fn recv_with<R>(
        &mut self,
        read: impl FnOnce(&Header, &[u8]) -> R,
        wait: &Wait<'_>,
    ) -> Result<R, Error> {
        let (lease, header) = match self.taken()? {
            Some(taken) => taken,
            None if wait.polls() && !self.mapping.closed() => return Err(Error::Empty),
            None => self.when_data(wait, Self::taken)?,
        };
        /// Released when `read` panics, too.
        struct Held<'a>(Lease, &'a Mapping);
        impl Drop for Held<'_> {
            fn drop(&mut self) {
                self.0.release(self.1);
            }
        }
        let held = Held(lease, &self.mapping);
        let body = held.0.memory(held.1).0.wrapping_add(FRAME_HEADER);
        // SAFETY: as in `Frame::deref`; the lease lasts until `held` goes.
        let body = unsafe { std::slice::from_raw_parts(body, header.body_len as usize) };
        Ok(read(&header, body))
    }

    /// Waits until a frame is there, and leaves it there.
    pub fn ready(&mut self, wait: &Wait<'_>) -> Result<(), Error> {
        let mapping = self.mapping.clone();
        self.when_data(wait, |this| {
            this.mapping.own()?;
            Ok(mapping.readable().then_some(()))
        })
    }

    /// Copies the next frame's body into `buffer` and frees its space at once. The length is in the
    /// header. A body that is longer than the buffer stays in the ring ([`Error::TooLarge`]).
    #[inline]
    pub fn recv_into(&mut self, buffer: &mut [u8], wait: &Wait<'_>) -> Result<Header, Error> {
        let header = match self.copy(buffer)? {
            Some(header) => header,
            None if wait.polls() && !self.mapping.closed() => return Err(Error::Empty),
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
        if wait.polls() {
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
        if self.pending.is_some() { self.tell() } else { Ok(()) }
    }

    #[cold]
    fn tell(&mut self) -> Result<(), Error> {
        self.pending.take().map_or(Ok(()), Err)
    }

    /// A frame that turned out to be corrupt: the head moves on, so that it is told once.
    #[cold]
    fn skip(&mut self, error: Error) -> Error {
        self.head.advance(self.mapping.slots());
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
        // SAFETY: the piece is mapped, aligned to 64 and at least 64 bytes. What is checked is what is
        // used, even if a peer still writes.
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
        let Some((lease, header)) = self.taken()? else { return Ok(None) };
        let mapping = self.mapping.clone();
        let body = lease.memory(&mapping).0.wrapping_add(FRAME_HEADER);
        Ok(Some(Frame { mapping, lease, header, body }))
    }

    /// The lease on the next frame, and its header, checked.
    #[inline(always)]
    fn taken(&mut self) -> Result<Option<(Lease, Header)>, Error> {
        let Some((mut lease, _)) = self.front()? else { return Ok(None) };
        // The lease is on record before the head moves on.
        lease.step(&self.mapping, Phase::Acked);
        match self.header(&lease) {
            Ok(header) => {
                self.head.advance(self.mapping.slots());
                Ok(Some((lease, header)))
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
        self.head.advance(self.mapping.slots());
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
