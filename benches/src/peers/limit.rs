//! The simplest ring that could work: what a crash-safe, untrusting one is measured against.
//!
//! One producer and one consumer share two cursors, each on a pair of cache lines of its own and
//! each remembered by the other side until it runs dry; the consumer moves its own on in steps of an
//! eighth of the ring, or when it finds nothing. Records lie in the ring, one size for all:
//! a 64-byte header with the same fields filled as slipring's, and the body. Nobody may die,
//! nobody is refused, nothing is checked but the sequence.
//!
//! `limit` never looks for a sleeper. `limit+fence` does, after each publication, and so needs the
//! full fence between its store and that look; in block cases its consumer sleeps at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

use bytemuck::{Pod, Zeroable};
use rustix::io::Errno;
use rustix::thread::{Timespec, futex};

use crate::harness::case::{Case, Pattern, Variant};
use crate::harness::clock::Clock;
use crate::harness::failure::Failure;
use crate::harness::link::{BATCH, COLD_FRAMES, End, Link, Peer, Route};
use crate::harness::memory::Memory;

/// The fields of slipring's frame header, at the same places.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Header {
    format: u8,
    format_version: u8,
    flags: u16,
    type_code: u16,
    schema_version: u16,
    schema_id: u32,
    checksum: u32,
    body_len: u64,
    uncompressed_len: u64,
    sequence: u64,
    created_ns: u64,
    correlation_id: u64,
    participant: u16,
    reserved: u16,
    producer: u32,
}

const _: () = assert!(size_of::<Header>() == 64);

impl Header {
    /// As a raw frame's.
    #[inline(always)]
    pub(super) fn raw(len: usize, sequence: u64, created_ns: u64) -> Self {
        Self {
            format_version: 1,
            body_len: len as u64,
            uncompressed_len: len as u64,
            sequence,
            created_ns,
            participant: 1,
            producer: 1,
            ..Self::zeroed()
        }
    }
}

// Each ring's own part of the memory, from its base.
const HEAD: usize = 0;
const TAIL: usize = 128;
const WAITING: usize = 256;
const RECORDS: usize = 384;

/// Records in a ring: 4 MiB of them, so that they stay in cache; 4 at least, 1024 at most. Where
/// nobody looks at the bytes they need no cache, and few records would be a limit of their own.
fn slots(case: &Case) -> usize {
    match case.variant {
        Some(Variant::Cold) => COLD_FRAMES.next_power_of_two(),
        Some(Variant::Touch) => 128,
        _ => (4 * 1024 * 1024 / case.size).clamp(4, 1024).next_power_of_two(),
    }
}

/// From one record to the next.
fn stride(case: &Case) -> usize {
    size_of::<Header>() + case.size.next_multiple_of(64)
}

/// One ring, whole pages.
fn ring_len(case: &Case) -> usize {
    (RECORDS + slots(case) * stride(case)).next_multiple_of(4096)
}

/// Both directions of a link over two such rings.
pub struct Limit<const FENCE: bool> {
    out: Ring,
    into: Ring,
    clock: Clock,
    size: usize,
    sleep: bool,
}

/// One side's view of one ring.
struct Ring {
    memory: Arc<Memory>,
    base: usize,
    /// Address of the first of `mask + 1` records, `stride` bytes apart, all inside `memory`.
    records: *mut u8,
    stride: usize,
    mask: u64,
    /// This side's cursor, which nobody else writes.
    mine: u64,
    /// The other side's, as it was when last read.
    theirs: u64,
}

// SAFETY: `records` points into `memory`, which goes wherever the ring goes.
unsafe impl Send for Ring {}

impl Ring {
    fn new(route: &Route, base: usize) -> Self {
        let (slots, stride) = (slots(&route.case), stride(&route.case));
        let memory = route.memory.clone();
        let _whole = memory.at(base, ring_len(&route.case));
        // The page is aligned, so is this: 384 is a multiple of 64.
        let records = memory.at(base + RECORDS, 64);
        Self { memory, base, records, stride, mask: slots as u64 - 1, mine: 0, theirs: 0 }
    }

    #[inline(always)]
    fn cursor(&self, offset: usize) -> &AtomicU64 {
        self.memory.long(self.base + offset)
    }

    fn waiting(&self) -> &AtomicU32 {
        self.memory.word(self.base + WAITING)
    }

    #[inline(always)]
    fn record(&self, position: u64) -> *mut u8 {
        // SAFETY: the index is below `slots` by the mask, so this is one of the records.
        unsafe { self.records.add((position & self.mask) as usize * self.stride) }
    }

    /// Records that may be written, as far as the producer knows; it looks when it knows of none.
    #[inline(always)]
    fn room(&mut self) -> u64 {
        let slots = self.mask + 1;
        if self.mine - self.theirs == slots {
            // Acquire: pairs with the Release in `consumed`.
            self.theirs = self.cursor(HEAD).load(Ordering::Acquire);
        }
        slots - (self.mine - self.theirs)
    }

    /// Records that may be read, as far as the consumer knows; it looks when it knows of none.
    #[inline(always)]
    fn ready(&mut self) -> u64 {
        if self.mine == self.theirs {
            // Acquire: pairs with the Release in `published`.
            self.theirs = self.cursor(TAIL).load(Ordering::Acquire);
        }
        self.theirs - self.mine
    }

    #[inline(always)]
    fn write(&mut self, size: usize, created_ns: u64, fill: impl FnOnce(&mut [u8])) {
        let record = self.record(self.mine);
        // SAFETY: `room` said that the consumer is through with this record; it is 64-byte aligned
        // (records and stride are) and a header long.
        unsafe { record.cast::<Header>().write(Header::raw(size, self.mine, created_ns)) };
        // SAFETY: the record has `size` bytes after its header, initialised by the kernel at least,
        // and nobody else touches them until the cursor moves on.
        fill(unsafe { std::slice::from_raw_parts_mut(record.add(64), size) });
        self.mine += 1;
    }

    #[inline(always)]
    fn read(&mut self, size: usize, read: impl FnOnce(&[u8])) -> Result<(), Failure> {
        let record = self.record(self.mine);
        // SAFETY: `ready` said that the producer has published this record and left it; it is
        // aligned as in `write`, and any bytes make a header.
        let header = unsafe { &*record.cast::<Header>() };
        if header.sequence != self.mine {
            return Err(Failure::Lost { expected: self.mine, found: header.sequence });
        }
        // SAFETY: as above, for the `size` bytes after the header.
        read(unsafe { std::slice::from_raw_parts(record.add(64), size) });
        self.mine += 1;
        Ok(())
    }

    #[inline(always)]
    fn consumed(&self) {
        self.cursor(HEAD).store(self.mine, Ordering::Release);
    }

    #[inline(always)]
    fn published<const FENCE: bool>(&self) -> Result<(), Failure> {
        self.cursor(TAIL).store(self.mine, Ordering::Release);
        if FENCE {
            // Pairs with the fence in `sleep`: either this sees the sleeper or it sees the frame.
            fence(Ordering::SeqCst);
            if self.waiting().load(Ordering::Relaxed) != 0 {
                self.waiting().store(0, Ordering::Relaxed);
                futex::wake(self.waiting(), futex::Flags::empty(), 1)
                    .map_err(Failure::call("wake the consumer"))?;
            }
        }
        Ok(())
    }

    fn sleep(&mut self) -> Result<(), Failure> {
        self.waiting().store(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if self.ready() == 0 {
            sleep_while(self.waiting(), 1)?;
        }
        self.waiting().store(0, Ordering::Relaxed);
        Ok(())
    }
}

/// Sleeps until it is woken, 10 ms at most; not at all unless `word` is `value`.
pub(super) fn sleep_while(word: &AtomicU32, value: u32) -> Result<(), Failure> {
    let tick = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };
    match futex::wait(word, futex::Flags::empty(), value, Some(&tick)) {
        Ok(()) | Err(Errno::AGAIN | Errno::INTR | Errno::TIMEDOUT) => Ok(()),
        Err(error) => Err(Failure::call("wait for the other end")(error)),
    }
}

impl<const FENCE: bool> Peer for Limit<FENCE> {
    const NAME: &'static str = if FENCE { "limit+fence" } else { "limit" };

    fn takes(case: &Case) -> bool {
        match case.pattern {
            // Without the fence a sleeper is not woken; at these sizes a fence is nothing.
            Pattern::Rtt => FENCE == case.is(Variant::Block) || case.is(Variant::Spin),
            _ => !FENCE || case.size == 64,
        }
    }

    fn memory(case: &Case) -> usize {
        2 * ring_len(case)
    }

    fn open(route: &Route, end: End) -> Result<Self, Failure> {
        let first = Ring::new(route, route.offset);
        let second = Ring::new(route, route.offset + ring_len(&route.case));
        let (out, into) = if end == End::Near { (first, second) } else { (second, first) };
        let sleep = route.case.is(Variant::Block);
        Ok(Self { out, into, clock: Clock::new(), size: route.case.size, sleep })
    }
}

impl<const FENCE: bool> Link for Limit<FENCE> {
    #[inline(always)]
    fn send(&mut self, fill: impl FnOnce(&mut [u8])) -> Result<bool, Failure> {
        if self.out.room() == 0 {
            return Ok(false);
        }
        self.out.write(self.size, self.clock.now(), fill);
        self.out.published::<FENCE>()?;
        Ok(true)
    }

    #[inline(always)]
    fn receive(&mut self, read: impl FnOnce(&[u8])) -> Result<bool, Failure> {
        if self.into.ready() == 0 {
            self.into.consumed();
            return Ok(false);
        }
        self.into.read(self.size, read)?;
        // Each of these takes a line from the producer: an eighth of the ring at a time will do.
        if self.into.mine & (self.into.mask >> 3) == 0 {
            self.into.consumed();
        }
        Ok(true)
    }

    fn send_batch(&mut self, mut fill: impl FnMut(&mut [u8])) -> Result<usize, Failure> {
        let count = self.out.room().min(BATCH as u64);
        if count > 0 {
            let now = self.clock.now();
            for _ in 0..count {
                self.out.write(self.size, now, &mut fill);
            }
            self.out.published::<FENCE>()?;
        }
        Ok(count as usize)
    }

    fn receive_batch(&mut self, mut read: impl FnMut(&[u8])) -> Result<usize, Failure> {
        let count = self.into.ready().min(BATCH as u64);
        for _ in 0..count {
            self.into.read(self.size, &mut read)?;
        }
        if count > 0 {
            self.into.consumed();
        }
        Ok(count as usize)
    }

    fn wait(&mut self) -> Result<(), Failure> {
        if self.sleep {
            return self.into.sleep();
        }
        std::hint::spin_loop();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(case: &str) -> (Limit<true>, Limit<true>) {
        let case = Case::named(case).unwrap();
        let memory = Arc::new(Memory::new(Limit::<true>::memory(&case), false).unwrap());
        let route = Route { case, name: "test".into(), memory, offset: 0 };
        let end = |end| Limit::open(&route, end).unwrap();
        (end(End::Near), end(End::Far))
    }

    fn send(link: &mut Limit<true>, byte: u8) -> bool {
        link.send(|body| body.fill(byte)).unwrap()
    }

    /// P7: a full ring says so, and every record in it comes out in order, many times around.
    #[test]
    fn it_fills_and_empties_in_order() {
        let (mut near, mut far) = pair("rust/stream/64KiB/copy");
        for lap in 0..5u8 {
            let sent = (0..=255).take_while(|byte| send(&mut far, *byte ^ lap)).count();
            assert_eq!(sent, 64);
            for byte in 0..sent as u8 {
                let good = |body: &[u8]| {
                    assert!(body.len() == 65536 && body.iter().all(|b| *b == byte ^ lap))
                };
                assert!(near.receive(good).unwrap());
            }
            // Only this look tells the producer of the last ones.
            assert!(!near.receive(|_| panic!("nothing was sent")).unwrap());
        }
    }

    /// P7: batches stop at what there is and at what fits.
    #[test]
    fn batches_stop_where_the_ring_does() {
        let (mut near, mut far) = pair("rust/stream/64B/batch");
        let (mut written, mut seen) = (0u8, 0u8);
        let mut fill = |body: &mut [u8]| {
            body.fill(written);
            written = written.wrapping_add(1);
        };
        let sent: usize = (0..17).map(|_| far.send_batch(&mut fill).unwrap()).sum();
        assert_eq!(sent, 1024, "the 17th finds no room");
        let mut read = |body: &[u8]| {
            assert!(body.iter().all(|byte| *byte == seen));
            seen = seen.wrapping_add(1);
        };
        let taken: usize = (0..17).map(|_| near.receive_batch(&mut read).unwrap()).sum();
        assert_eq!(taken, 1024);
    }

    /// P8: a publication takes the sleeper's word back, and nobody sleeps where a frame is.
    #[test]
    fn a_publication_wakes_the_sleeper() {
        let (mut near, mut far) = pair("rust/rtt/64B/block");
        near.into.waiting().store(1, Ordering::Relaxed);
        assert!(send(&mut far, 7));
        assert_eq!(far.out.waiting().load(Ordering::Relaxed), 0);
        let start = std::time::Instant::now();
        (0..1000).for_each(|_| near.wait().unwrap());
        assert!(start.elapsed().as_secs() < 5, "a thousand ticks are ten seconds");
        assert!(near.receive(|body| assert_eq!(body[0], 7)).unwrap());
    }
}
