//! Many producers and many consumers on one queue, each frame to one of them.
//!
//! Who measures takes no part: it starts the ends, sleeps, and reads the consumers' counts at the
//! beginning and at the end of the time. Then the producers stop, the rest is drained, and as many
//! frames must have come as were sent. Each body of 8 bytes and more starts with its producer and a
//! number, which grows from frame to frame in each consumer's hands (P2's order per producer).

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::case::Case;
use super::clock::Clock;
use super::control::{CONTROL_LEN, Control, Watch};
use super::drive::{Load, pause};
use super::failure::Failure;
use super::link::{End, Route};
use super::memory::Memory;
use super::process::{Contestant, FarCall, pin_among, with_far_processes};
use super::sample::Sample;

/// A queue for many, held by one of its processes.
pub trait Crowd: Sized {
    /// Its name in the results.
    const NAME: &'static str;
    /// What sends.
    type Source: Source;
    /// What receives.
    type Sink: Sink;

    /// Which cases it takes part in.
    fn takes(case: &Case) -> bool;

    /// Makes the queue.
    fn make(route: &Route) -> Result<Self, Failure>;

    /// One more producer.
    fn source(&self) -> Result<Self::Source, Failure>;

    /// One more consumer.
    fn sink(&self) -> Result<Self::Sink, Failure>;
}

/// A queue that other processes can join.
pub trait Joined: Crowd {
    /// Joins the queue that was made, or is about to be.
    fn join(route: &Route) -> Result<Self, Failure>;

    /// All have joined; whatever becomes of them, no name may be left behind.
    fn all_joined(&self, route: &Route) -> Result<(), Failure>;
}

/// A producer among many.
pub trait Source {
    /// Sends one frame of the case's size, written by `fill`. False: full. `fill` may have been called
    /// for nothing then.
    fn send(&mut self, fill: impl FnOnce(&mut [u8])) -> Result<bool, Failure>;
}

/// A consumer among many.
pub trait Sink {
    /// Receives one frame, if there is one, and shows its body to `read`.
    fn receive(&mut self, read: impl FnOnce(&[u8])) -> Result<bool, Failure>;
}

impl Contestant {
    /// A queue whose ends are processes.
    pub fn crowd_of_processes<P: Joined + 'static>() -> Self {
        Self {
            name: P::NAME,
            takes: Box::new(P::takes),
            run: Box::new(|case, time| {
                let (seats, extra) = (seats(case), Tally::len(case));
                with_far_processes(P::NAME, case, seats, extra, |route, control| {
                    let queue = P::make(route)?;
                    let tally = Tally::new(route);
                    tally.all_there(control)?;
                    queue.all_joined(route)?;
                    control.start();
                    count(&tally, time, control)
                })
            }),
            far: Some(|call: &FarCall| {
                let (route, control) = call.answer(Tally::len(&call.case))?;
                let joined = P::join(&route);
                said(
                    joined.and_then(|queue| end(&queue, &Tally::new(&route), call.seat, &control)),
                    &control,
                )
            }),
        }
    }

    /// A queue whose ends are threads.
    pub fn crowd_of_threads<P: Crowd + Sync + 'static>() -> Self {
        Self {
            name: P::NAME,
            takes: Box::new(P::takes),
            run: Box::new(|case, time| {
                let memory = Arc::new(Memory::new(CONTROL_LEN + Tally::len(case), true)?);
                let route = Route { case: *case, name: String::new(), memory, offset: CONTROL_LEN };
                let (queue, tally) = (P::make(&route)?, Tally::new(&route));
                let control = Control::new(route.memory.clone());
                let (queue, tally, control) = (&queue, &tally, &control);
                thread::scope(|scope| {
                    let ends: Vec<_> = (0..seats(case))
                        .map(|seat| {
                            scope.spawn(move || said(end(queue, tally, seat, control), control))
                        })
                        .collect();
                    let rate = tally.all_there(control).and_then(|()| {
                        control.start();
                        count(tally, time, control)
                    });
                    // Nobody must wait for others who have given up.
                    control.stop();
                    control.leave();
                    let ended: Result<(), Failure> =
                        ends.into_iter().try_for_each(|end| end.join().expect("no end panics"));
                    // What an end saw explains a silence here.
                    match (rate, ended) {
                        (Err(Failure::Silent { .. }) | Ok(_), Err(failure)) => Err(failure),
                        (rate, _) => rate,
                    }
                })
            }),
            far: None,
        }
    }
}

/// Producers and consumers.
fn seats(case: &Case) -> usize {
    let (producers, consumers) = case.ends();
    producers + consumers
}

/// What each end says, on cache lines of its own. Producers have the first seats.
struct Tally<'a> {
    route: &'a Route,
    producers: usize,
    seats: usize,
}

/// Bytes of one seat.
const SEAT: usize = 128;

impl<'a> Tally<'a> {
    fn len(case: &Case) -> usize {
        (SEAT * seats(case)).next_multiple_of(4096)
    }

    fn new(route: &'a Route) -> Self {
        Self { route, producers: route.case.ends().0, seats: seats(&route.case) }
    }

    /// Whether this end is there.
    fn there(&self, seat: usize) -> &AtomicU32 {
        self.route.memory.word(self.route.offset + SEAT * seat)
    }

    /// Whether this producer sends no more.
    fn done(&self, seat: usize) -> &AtomicU32 {
        self.route.memory.word(self.route.offset + SEAT * seat + 4)
    }

    /// Frames that this end has sent or received.
    fn frames(&self, seat: usize) -> &AtomicU64 {
        self.route.memory.long(self.route.offset + SEAT * seat + 8)
    }

    /// Waits until all ends are there.
    fn all_there(&self, control: &Control) -> Result<(), Failure> {
        wait_until(control, || {
            (0..self.seats).all(|seat| self.there(seat).load(Ordering::Acquire) == 1)
        })
    }

    fn received(&self) -> u64 {
        // Relaxed: counters; the last look comes after `done`.
        (self.producers..self.seats).map(|seat| self.frames(seat).load(Ordering::Relaxed)).sum()
    }

    /// How many were sent in all, once the last producer has stopped.
    fn sent(&self) -> Option<u64> {
        let mut producers = 0..self.producers;
        // Acquire: pairs with the Release of the producer's last word.
        let done = producers.clone().all(|seat| self.done(seat).load(Ordering::Acquire) == 1);
        done.then(|| producers.by_ref().map(|seat| self.frames(seat).load(Ordering::Relaxed)).sum())
    }
}

/// Looks now and then, and leaves the core to the ends.
fn wait_until(control: &Control, ready: impl Fn() -> bool) -> Result<(), Failure> {
    let start = Instant::now();
    while !ready() {
        control.patience(start)?;
        thread::sleep(Duration::from_micros(200));
    }
    Ok(())
}

fn count(tally: &Tally, time: Duration, control: &Control) -> Result<Sample, Failure> {
    let clock = Clock::new();
    // A busy machine may let no end run for as long as that.
    let some_beyond = |before| wait_until(control, || tally.received() > before);
    thread::sleep(time / 3);
    some_beyond(0)?;
    let (begun, before) = (clock.counts(), tally.received());
    thread::sleep(time);
    some_beyond(before)?;
    let (ended, after) = (clock.counts(), tally.received());
    control.stop();
    wait_until(control, || tally.sent().is_some())?;
    let sent = tally.sent().unwrap_or(0);
    let drained = wait_until(control, || tally.received() >= sent);
    control.leave();
    let received = tally.received();
    if received != sent {
        return Err(Failure::Short { sent, received });
    }
    drained?;
    let seconds = clock.nanos(ended - begun) as f64 / 1e9;
    Ok(Sample::FramesPerSecond((after - before) as f64 / seconds))
}

/// Lets the others know that this end has failed. One that ends for the failure of another one has
/// nothing to say.
fn said(outcome: Result<(), Failure>, control: &Control) -> Result<(), Failure> {
    match outcome {
        Err(Failure::Silent { .. }) if control.failed() => Ok(()),
        outcome => outcome.inspect_err(|_| control.fail()),
    }
}

/// One producer or consumer, from first to last.
fn end<P: Crowd>(queue: &P, tally: &Tally, seat: usize, control: &Control) -> Result<(), Failure> {
    let there = || {
        // Release: pairs with the Acquire in `all_there`.
        tally.there(seat).store(1, Ordering::Release);
        wait_until(control, || control.started())
    };
    match seat.checked_sub(tally.producers) {
        None => {
            pin_among(End::Far, seat)?;
            let mut source = queue.source()?;
            there()?;
            produce(&mut source, tally, seat, control)?;
            control.await_leave();
            Ok(())
        }
        Some(consumer) => {
            pin_among(End::Near, consumer)?;
            let mut sink = queue.sink()?;
            there()?;
            consume(&mut sink, tally, seat, control)
        }
    }
}

/// Where a producer's number ends and its frames' numbers begin.
const PRODUCER: u32 = 48;

fn produce(
    source: &mut impl Source,
    tally: &Tally,
    seat: usize,
    control: &Control,
) -> Result<(), Failure> {
    let mut load = Load::counting_from(&tally.route.case, (seat as u64) << PRODUCER);
    let (mut idle, mut sent) = (Idle::new(), 0);
    while !control.stopped() {
        if source.send(|body| load.fill(body))? {
            sent += 1;
            idle.over();
        } else {
            idle.turn(control)?;
        }
    }
    tally.frames(seat).store(sent, Ordering::Relaxed);
    // Release: pairs with the Acquire in `sent`.
    tally.done(seat).store(1, Ordering::Release);
    Ok(())
}

fn consume(
    sink: &mut impl Sink,
    tally: &Tally,
    seat: usize,
    control: &Control,
) -> Result<(), Failure> {
    let load = Load::counting_from(&tally.route.case, 0);
    let (mut idle, mut received) = (Idle::new(), 0);
    let mut order = Order { next: vec![0; tally.producers], size: tally.route.case.size };
    loop {
        let mut fine = Ok(());
        let got = sink.receive(|body| {
            fine = order.check(body);
            load.look(body);
        })?;
        fine?;
        if got {
            received += 1;
            // Relaxed: a counter.
            tally.frames(seat).store(received, Ordering::Relaxed);
            idle.over();
        } else if control.left() {
            return Ok(());
        } else {
            idle.turn(control)?;
        }
    }
}

/// What one consumer has seen of each producer.
struct Order {
    next: Vec<u64>,
    size: usize,
}

impl Order {
    #[inline(always)]
    fn check(&mut self, body: &[u8]) -> Result<(), Failure> {
        if body.len() != self.size {
            return Err(Failure::Length { expected: self.size, found: body.len() });
        }
        let Some(word) = body.first_chunk() else { return Ok(()) };
        let word = u64::from_le_bytes(*word);
        let (producer, number) = ((word >> PRODUCER) as usize, word & ((1 << PRODUCER) - 1));
        match self.next.get_mut(producer) {
            Some(next) if number >= *next => {
                *next = number + 1;
                Ok(())
            }
            next => Err(Failure::Lost { expected: next.map_or(0, |next| *next), found: number }),
        }
    }
}

/// An end that finds nothing to do pauses; now and then it lets others run on its core.
struct Idle {
    turns: u32,
    watch: Watch,
}

impl Idle {
    fn new() -> Self {
        Self { turns: 0, watch: Watch::new() }
    }

    #[inline(always)]
    fn over(&mut self) {
        self.turns = 0;
        self.watch.progress();
    }

    fn turn(&mut self, control: &Control) -> Result<(), Failure> {
        self.turns = self.turns.wrapping_add(1);
        if self.turns.is_multiple_of(16) {
            thread::yield_now();
        } else {
            pause();
        }
        self.watch.idle(control)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(producer: u64, number: u64) -> [u8; 64] {
        let mut body = [0; 64];
        body[..8].copy_from_slice(&(producer << PRODUCER | number).to_le_bytes());
        body
    }

    /// R7.5: frames that overtake each other, come twice or are cut short give no figure; gaps are
    /// the other consumers' frames.
    #[test]
    fn each_producers_frames_come_in_order() {
        let mut order = Order { next: vec![0; 2], size: 64 };
        for (producer, number) in [(0, 0), (1, 5), (0, 7), (1, 6)] {
            order.check(&body(producer, number)).unwrap();
        }
        let twice = order.check(&body(0, 7));
        assert!(matches!(twice, Err(Failure::Lost { expected: 8, found: 7 })));
        let nobody = order.check(&body(2, 0));
        assert!(matches!(nobody, Err(Failure::Lost { expected: 0, found: 0 })));
        let short = order.check(&body(0, 9)[..32]);
        assert!(matches!(short, Err(Failure::Length { expected: 64, found: 32 })));
    }
}
