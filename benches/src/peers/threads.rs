//! Queues for the threads of one process: no names, no mapping, nobody who could die alone.
//!
//! Their element is slipring's smallest record, 128 bytes with the same header filled.

use std::sync::Arc;

use crossbeam_queue::ArrayQueue;

use super::limit::Header;
use crate::harness::case::{Case, Pattern, Variant};
use crate::harness::clock::Clock;
use crate::harness::crowd::{Crowd, Sink, Source};
use crate::harness::failure::Failure;
use crate::harness::link::{BATCH, InProcess, Link, Route};

/// Records in each queue, as in `limit`.
const SLOTS: usize = 1024;

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Record {
    header: Header,
    body: [u8; 64],
}

/// What both queues need beside themselves.
struct Records {
    clock: Clock,
    sent: u64,
    received: u64,
}

impl Records {
    fn new() -> Self {
        Self { clock: Clock::new(), sent: 0, received: 0 }
    }

    #[inline(always)]
    fn make(&mut self, now: u64, fill: impl FnOnce(&mut [u8])) -> Record {
        let mut body = [0; 64];
        fill(&mut body);
        let header = Header::raw(64, self.sent, now);
        self.sent += 1;
        Record { header, body }
    }

    #[inline(always)]
    fn check(&mut self, record: &Record) -> Result<(), Failure> {
        let found = bytemuck::bytes_of(&record.header);
        let found = found[32..40].try_into().map_or(u64::MAX, u64::from_le_bytes);
        if found != self.received {
            return Err(Failure::Lost { expected: self.received, found });
        }
        self.received += 1;
        Ok(())
    }
}

/// rtrb, one producer and one consumer.
pub struct Rtrb {
    out: rtrb::Producer<Record>,
    into: rtrb::Consumer<Record>,
    records: Records,
}

impl InProcess for Rtrb {
    const NAME: &'static str = "rtrb";

    fn takes(case: &Case) -> bool {
        case.size == 64 && !case.is(Variant::Block)
    }

    fn pair(_: &Case) -> (Self, Self) {
        let (near_out, far_into) = rtrb::RingBuffer::new(SLOTS);
        let (far_out, near_into) = rtrb::RingBuffer::new(SLOTS);
        let end = |out, into| Self { out, into, records: Records::new() };
        (end(near_out, near_into), end(far_out, far_into))
    }
}

impl Link for Rtrb {
    #[inline(always)]
    fn send(&mut self, fill: impl FnOnce(&mut [u8])) -> Result<bool, Failure> {
        if self.out.is_full() {
            return Ok(false);
        }
        let now = self.records.clock.now();
        Ok(self.out.push(self.records.make(now, fill)).is_ok())
    }

    #[inline(always)]
    fn receive(&mut self, read: impl FnOnce(&[u8])) -> Result<bool, Failure> {
        let Ok(record) = self.into.pop() else { return Ok(false) };
        self.records.check(&record)?;
        read(&record.body);
        Ok(true)
    }

    fn send_batch(&mut self, mut fill: impl FnMut(&mut [u8])) -> Result<usize, Failure> {
        let count = self.out.slots().min(BATCH);
        let Ok(chunk) = self.out.write_chunk_uninit(count) else { return Ok(0) };
        let now = self.records.clock.now();
        Ok(chunk.fill_from_iter((0..count).map(|_| self.records.make(now, &mut fill))))
    }

    fn receive_batch(&mut self, mut read: impl FnMut(&[u8])) -> Result<usize, Failure> {
        let count = self.into.slots().min(BATCH);
        let Ok(chunk) = self.into.read_chunk(count) else { return Ok(0) };
        let (first, second) = chunk.as_slices();
        for record in first.iter().chain(second) {
            self.records.check(record)?;
            read(&record.body);
        }
        chunk.commit_all();
        Ok(count)
    }
}

/// crossbeam's `ArrayQueue`, made for many of both.
pub struct Queue {
    out: Arc<ArrayQueue<Record>>,
    into: Arc<ArrayQueue<Record>>,
    records: Records,
}

impl InProcess for Queue {
    const NAME: &'static str = "arrayqueue";

    fn takes(case: &Case) -> bool {
        Rtrb::takes(case) && (case.pattern == Pattern::Rtt || case.is(Variant::Copy))
    }

    fn pair(_: &Case) -> (Self, Self) {
        let (one, other) = (Arc::new(ArrayQueue::new(SLOTS)), Arc::new(ArrayQueue::new(SLOTS)));
        let end = |out: &Arc<_>, into: &Arc<_>| Self {
            out: Arc::clone(out),
            into: Arc::clone(into),
            records: Records::new(),
        };
        (end(&one, &other), end(&other, &one))
    }
}

impl Link for Queue {
    #[inline(always)]
    fn send(&mut self, fill: impl FnOnce(&mut [u8])) -> Result<bool, Failure> {
        if self.out.is_full() {
            return Ok(false);
        }
        let now = self.records.clock.now();
        Ok(self.out.push(self.records.make(now, fill)).is_ok())
    }

    #[inline(always)]
    fn receive(&mut self, read: impl FnOnce(&[u8])) -> Result<bool, Failure> {
        let Some(record) = self.into.pop() else { return Ok(false) };
        self.records.check(&record)?;
        read(&record.body);
        Ok(true)
    }
}

/// The same queue with many of both.
pub struct Many(Arc<ArrayQueue<Record>>);

/// One of its ends.
pub struct End {
    queue: Arc<ArrayQueue<Record>>,
    records: Records,
}

impl Crowd for Many {
    const NAME: &'static str = Queue::NAME;
    type Source = End;
    type Sink = End;

    fn takes(case: &Case) -> bool {
        case.size == 64 && matches!(case.variant, Some(Variant::Ends { .. }))
    }

    fn make(_: &Route) -> Result<Self, Failure> {
        Ok(Self(Arc::new(ArrayQueue::new(SLOTS))))
    }

    fn source(&self) -> Result<End, Failure> {
        Ok(End { queue: self.0.clone(), records: Records::new() })
    }

    fn sink(&self) -> Result<End, Failure> {
        self.source()
    }
}

impl Source for End {
    #[inline(always)]
    fn send(&mut self, fill: impl FnOnce(&mut [u8])) -> Result<bool, Failure> {
        if self.queue.is_full() {
            return Ok(false);
        }
        let now = self.records.clock.now();
        let mut record = self.records.make(now, fill);
        // Another one may have been faster; the frame keeps its number and waits.
        while let Err(back) = self.queue.push(record) {
            record = back;
            std::thread::yield_now();
        }
        Ok(true)
    }
}

impl Sink for End {
    #[inline(always)]
    fn receive(&mut self, read: impl FnOnce(&[u8])) -> Result<bool, Failure> {
        let Some(record) = self.queue.pop() else { return Ok(false) };
        read(&record.body);
        Ok(true)
    }
}
