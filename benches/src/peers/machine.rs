//! The machine's own limits: its clock, one cache line between two cores, one futex, memory.

use std::hint::{black_box, spin_loop};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::thread::futex;

use crate::harness::case::{Case, Host, Pattern};
use crate::harness::clock::Clock;
use crate::harness::control::{Control, Watch};
use crate::harness::failure::Failure;
use crate::harness::link::{End, Route};
use crate::harness::process::{Contestant, FarCall, pin, with_far_processes};
use crate::harness::sample::{Sample, Trips};

use super::limit::sleep_while;

const NAME: &str = "machine";

/// Bytes of shared memory for the word.
const PAGE: usize = 4096;

/// Rides along with the others; its cases have nobody else in them.
pub fn contestant() -> Contestant {
    Contestant { far: Some(far), ..Contestant::alone(NAME, |case| case.host == Host::Machine, run) }
}

fn run(case: &Case, time: Duration) -> Result<Sample, Failure> {
    match case.pattern {
        Pattern::Clock => clock(time),
        Pattern::Memcpy => memcpy(case.size, time),
        _ => with_far_processes(NAME, case, 1, PAGE, |route, control| {
            let word = Word::new(route, control);
            let clock = Clock::new();
            control.meet(End::Near)?;
            let sample = round_trips(&word, &clock, time)?;
            control.leave();
            Ok(sample)
        }),
    }
}

fn far(call: &FarCall) -> Result<(), Failure> {
    let (route, control) = call.answer(PAGE)?;
    let word = Word::new(&route, &control);
    control.meet(End::Far)?;
    answer(&word).inspect_err(|_| control.fail())?;
    control.await_leave();
    Ok(())
}

/// The word that is passed to and fro: odd when it is the far end's turn, even when it is the near
/// end's, never twice the same; [`END`] ends the game.
struct Word<'a> {
    word: &'a AtomicU32,
    sleep: bool,
    control: &'a Control,
}

const END: u32 = u32::MAX;

fn round_trips(word: &Word, clock: &Clock, time: Duration) -> Result<Sample, Failure> {
    let mut trips = Trips::default();
    let (mut turn, mut trip) = (1, None);
    let warm = clock.counts() + clock.counts_in(time / 3);
    let end = warm + clock.counts_in(time);
    let mut last = clock.counts();
    while last < end || trips.sample().is_none() {
        word.pass(turn)?;
        if let Some(counts) = trip {
            trips.record(clock.nanos(counts));
        }
        turn = word.next(turn)? + 1;
        let now = clock.counts();
        trip = (now > warm).then_some(now - last);
        last = now;
    }
    word.pass(END)?;
    Ok(trips.sample().expect("the loop ran until there was one"))
}

fn answer(word: &Word) -> Result<(), Failure> {
    let mut seen = 0;
    loop {
        match word.next(seen)? {
            END => return Ok(()),
            turn => seen = turn + 1,
        }
        word.pass(seen)?;
    }
}

impl<'a> Word<'a> {
    fn new(route: &'a Route, control: &'a Control) -> Self {
        let word = route.memory.word(route.offset);
        Self { word, sleep: route.case.pattern == Pattern::Futex, control }
    }

    #[inline(always)]
    fn pass(&self, turn: u32) -> Result<(), Failure> {
        // Release: pairs with the Acquire in `next`.
        self.word.store(turn, Ordering::Release);
        if self.sleep {
            futex::wake(self.word, futex::Flags::empty(), 1)
                .map_err(Failure::call("wake the other end"))?;
        }
        Ok(())
    }

    /// The value that comes after `last`.
    #[inline(always)]
    fn next(&self, last: u32) -> Result<u32, Failure> {
        let mut watch = Watch::new();
        loop {
            let now = self.word.load(Ordering::Acquire);
            if now != last {
                return Ok(now);
            }
            watch.idle(self.control)?;
            if self.sleep {
                sleep_while(self.word, last)?;
            } else {
                spin_loop();
            }
        }
    }
}

fn clock(time: Duration) -> Result<Sample, Failure> {
    pin(End::Near)?;
    let clock = Clock::new();
    let (start, mut readings) = (clock.counts(), 0u64);
    let end = start + clock.counts_in(time);
    let mut now = start;
    while now < end {
        for _ in 0..100 {
            now = black_box(clock.counts());
        }
        readings += 100;
    }
    Ok(Sample::Cost(clock.nanos(now - start) as f64 / readings as f64))
}

fn memcpy(size: usize, time: Duration) -> Result<Sample, Failure> {
    pin(End::Near)?;
    let clock = Clock::new();
    let (from, mut to) = (vec![1u8; size], vec![0u8; size]);
    let rounds = (4 * 1024 * 1024 / size).max(1);
    let warm = clock.counts() + clock.counts_in(time / 3);
    let (mut start, mut copied) = (None, 0u64);
    loop {
        for _ in 0..rounds {
            black_box(&mut to).copy_from_slice(black_box(&from));
        }
        let now = clock.counts();
        match start {
            None if now >= warm => start = Some(now),
            None => {}
            Some(begun) => {
                copied += (rounds * size) as u64;
                if now - begun >= clock.counts_in(time) {
                    let seconds = clock.nanos(now - begun) as f64 / 1e9;
                    return Ok(Sample::BytesPerSecond(copied as f64 / seconds));
                }
            }
        }
    }
}
