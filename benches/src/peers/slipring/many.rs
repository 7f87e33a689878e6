//! One ring with many producers and consumers; where the case says so, most of its pool in views.

use std::time::Duration;

use slipring::{Consumer, Error, Frame, Header, Mode, Producer, Segment, Wait};

use super::{Slipring, unless};
use crate::harness::case::{Case, Pattern, Variant};
use crate::harness::crowd::{Crowd, Joined, Sink, Source};
use crate::harness::failure::Failure;
use crate::harness::link::{Peer, Route};

/// One process's hold on it.
pub struct Many {
    segment: Segment,
    len: usize,
    /// Views that nobody gives back before the end.
    _held: Vec<Frame>,
}

/// A producer, and the length of its frames.
pub struct Sender(Producer, usize);

impl Crowd for Many {
    const NAME: &'static str = Slipring::NAME;
    type Source = Sender;
    type Sink = Consumer;

    fn takes(case: &Case) -> bool {
        case.pattern == Pattern::Many
    }

    fn make(route: &Route) -> Result<Self, Failure> {
        let len = route.case.size;
        let options = Segment::options()
            .mode(Mode::Mpmc)
            .capacity((8 * len as u64).max(64 << 20))
            // One process holds the views, and nobody else is in want of room.
            .share(if matches!(route.case.variant, Some(Variant::Held(_))) { 100 } else { 50 })
            .populate(true);
        let segment = options.create(name(route).as_str()).map_err(Failure::call("make a ring"))?;
        let _held = match route.case.variant {
            Some(Variant::Held(percent)) => hold(&segment, len, percent)?,
            _ => Vec::new(),
        };
        Ok(Self { segment, len, _held })
    }

    fn source(&self) -> Result<Sender, Failure> {
        let producer = self.segment.producer().map_err(Failure::call("become a producer"))?;
        Ok(Sender(producer, self.len))
    }

    fn sink(&self) -> Result<Consumer, Failure> {
        self.segment.consumer().map_err(Failure::call("become a consumer"))
    }
}

impl Joined for Many {
    fn join(route: &Route) -> Result<Self, Failure> {
        let segment = Segment::open_within(name(route).as_str(), Duration::from_secs(10))
            .map_err(Failure::call("join the ring"))?;
        Ok(Self { segment, len: route.case.size, _held: Vec::new() })
    }

    fn all_joined(&self, route: &Route) -> Result<(), Failure> {
        slipring::unlink(name(route).as_str()).map_err(Failure::call("unlink"))
    }
}

fn name(route: &Route) -> String {
    format!("bench-{}-many", route.name)
}

/// Fills the pool with frames of this length and keeps views of so many percent of them, evenly
/// spread, so that what is free lies scattered.
fn hold(segment: &Segment, len: usize, percent: u8) -> Result<Vec<Frame>, Failure> {
    let mut tx = segment.producer().map_err(Failure::call("become a producer"))?;
    let mut rx = segment.consumer().map_err(Failure::call("become a consumer"))?;
    let mut frames = Vec::new();
    loop {
        match tx.send_with(Header::raw(), len, |_| {}, &Wait::no()) {
            Ok(()) => frames.push(rx.recv(&Wait::no()).map_err(Failure::call("hold a view"))?),
            Err(Error::Full) => break,
            Err(error) => return Err(Failure::call("fill the pool")(error)),
        }
    }
    let mut due = 0;
    frames.retain(|_| {
        due += usize::from(percent);
        let keep = due >= 100;
        due %= 100;
        keep
    });
    Ok(frames)
}

impl Source for Sender {
    #[inline]
    fn send(&mut self, fill: impl FnOnce(&mut [u8])) -> Result<bool, Failure> {
        Ok(unless(self.0.send_with(Header::raw(), self.1, fill, &Wait::no()))?.is_some())
    }
}

impl Sink for Consumer {
    #[inline]
    fn receive(&mut self, read: impl FnOnce(&[u8])) -> Result<bool, Failure> {
        Ok(unless(self.recv_with(|_, body| read(body), &Wait::no()))?.is_some())
    }
}
