//! slipring, through its public face: two rings, one each way; for single views one ring in one process.

mod killed;
mod many;

pub use killed::contestant as killed;
pub use many::Many;

use std::time::Duration;

use slipring::{Consumer, Error, Header, Producer, Segment, Wait};

use crate::harness::case::{Case, Host, Variant};
use crate::harness::clock::Clock;
use crate::harness::failure::Failure;
use crate::harness::link::{BATCH, End, Link, Peer, Route};
use crate::harness::process::{Contestant, pin};
use crate::harness::sample::{Sample, Trips};

/// One end.
pub struct Slipring {
    out: Producer,
    into: Consumer,
    block: bool,
    /// Bodies of one batch, and how many of them are sent.
    bodies: Vec<u8>,
    sent: usize,
    len: usize,
}

impl Peer for Slipring {
    const NAME: &'static str = "slipring";

    fn takes(_case: &Case) -> bool {
        true
    }

    fn open(route: &Route, end: End) -> Result<Self, Failure> {
        let name = |way: &str| format!("bench-{}-{way}", route.name);
        let attach = |way: &str, create: bool| {
            let name = name(way);
            if create {
                let warm = !route.case.is(Variant::Cold);
                Segment::options().populate(warm).create(name.as_str())
            } else {
                Segment::open_within(name.as_str(), Duration::from_secs(5))
            }
        };
        let near = end == End::Near;
        let there = attach("there", near).map_err(Failure::call("attach"))?;
        let back = attach("back", near).map_err(Failure::call("attach"))?;
        if !near {
            // Both are attached: whatever becomes of them, no name is left behind.
            for way in ["there", "back"] {
                slipring::unlink(name(way).as_str()).map_err(Failure::call("unlink"))?;
            }
        }
        let (out, into) = if near { (there, back) } else { (back, there) };
        Ok(Self {
            out: out.producer().map_err(Failure::call("become the producer"))?,
            into: into.consumer().map_err(Failure::call("become the consumer"))?,
            block: route.case.is(Variant::Block),
            bodies: vec![0; BATCH * route.case.size.max(1)],
            sent: BATCH,
            len: route.case.size,
        })
    }
}

/// Full and empty are for the harness to deal with.
fn unless<T>(outcome: Result<T, Error>) -> Result<Option<T>, Failure> {
    match outcome {
        Ok(done) => Ok(Some(done)),
        Err(Error::Full | Error::Empty | Error::Timeout) => Ok(None),
        Err(error) => Err(Failure::call("use the ring")(error)),
    }
}

impl Link for Slipring {
    #[inline]
    fn send(&mut self, fill: impl FnOnce(&mut [u8])) -> Result<bool, Failure> {
        let sent = self.out.send_with(Header::raw(), self.len, fill, &Wait::no());
        Ok(unless(sent)?.is_some())
    }

    #[inline]
    fn receive(&mut self, read: impl FnOnce(&[u8])) -> Result<bool, Failure> {
        let taken = self.into.recv_with(|_, body| read(body), &Wait::no());
        Ok(unless(taken)?.is_some())
    }

    fn send_batch(&mut self, fill: impl FnMut(&mut [u8])) -> Result<usize, Failure> {
        if self.sent == BATCH {
            self.bodies.chunks_exact_mut(self.len).for_each(fill);
            self.sent = 0;
        }
        let bodies = self.bodies.chunks_exact(self.len).skip(self.sent);
        let frames = bodies.map(|body| (Header::raw(), body));
        let sent = unless(self.out.send_batch(frames, &Wait::no()))?.unwrap_or(0);
        self.sent += sent;
        Ok(sent)
    }

    fn receive_batch(&mut self, mut read: impl FnMut(&[u8])) -> Result<usize, Failure> {
        // Frame by frame in place costs less than a vector of leases does.
        let mut count = 0;
        while count < BATCH && self.receive(&mut read)? {
            count += 1;
        }
        Ok(count)
    }

    fn wait(&mut self) -> Result<(), Failure> {
        if self.block {
            let tick = Wait::for_up_to(Duration::from_millis(10)).spin(Duration::ZERO);
            unless(self.into.ready(&tick)).map(drop)
        } else {
            std::hint::spin_loop();
            Ok(())
        }
    }
}

/// Its receiving of single frames.
pub fn views() -> Contestant {
    let takes = |case: &Case| case.host == Host::Rust && case.is(Variant::View);
    Contestant::alone(Slipring::NAME, takes, view)
}

/// From the call to the first byte of the body; its release is not timed.
fn view(case: &Case, time: Duration) -> Result<Sample, Failure> {
    pin(End::Near)?;
    let name = format!("bench-{}-view", std::process::id());
    let ring = Segment::options().populate(true).create(name.as_str());
    let ring = ring.map_err(Failure::call("create a ring"))?;
    let mut tx = ring.producer().map_err(Failure::call("become the producer"))?;
    let mut rx = ring.consumer().map_err(Failure::call("become the consumer"))?;
    let (clock, mut trips) = (Clock::new(), Trips::default());
    let warm = clock.counts() + clock.counts_in(time / 3);
    let end = warm + clock.counts_in(time);
    let mut last = clock.counts();
    while last < end || trips.sample().is_none() {
        let touch = |body: &mut [u8]| body[0] = 1;
        tx.send_with(Header::raw(), case.size, touch, &Wait::no())
            .map_err(Failure::call("send"))?;
        let begun = clock.counts();
        let frame = rx.recv(&Wait::no()).map_err(Failure::call("receive"))?;
        std::hint::black_box(frame[0]);
        last = clock.counts();
        if frame.len() != case.size {
            return Err(Failure::Length { expected: case.size, found: frame.len() });
        }
        if last > warm {
            trips.record(clock.nanos(last - begun));
        }
    }
    Ok(trips.sample().expect("the loop ran until there was one"))
}
