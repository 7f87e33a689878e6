//! Moves frames over a link and takes the time.
//!
//! Round trips: one reading of the clock per trip, taken when the answer is there, ends one trip
//! and starts the next. It is put into the histogram while the next frame is on its way.
//! Streams: the consumer counts, after a warm-up of a third of the time; then the far end stops,
//! the rest is drained, and both totals must agree. An end of a stream that finds nothing, or no
//! room, pauses before it looks again: each look takes a cache line from the other end's hands.

use std::hint::{black_box, spin_loop};
use std::time::Duration;

use super::case::{Case, Pattern, Variant};
use super::clock::Clock;
use super::control::{Control, Watch};
use super::failure::Failure;
use super::link::{COLD_FRAMES, End, Link};
use super::sample::{Sample, Trips};

/// The near end of one run.
pub(crate) fn near<L: Link>(
    link: &mut L,
    case: &Case,
    time: Duration,
    control: &Control,
) -> Result<Sample, Failure> {
    let mut load = Load::new(case);
    let clock = Clock::new();
    control.meet(End::Near)?;
    let sample = match case.pattern {
        Pattern::Rtt => round_trips(link, &mut load, &clock, time, control),
        _ if case.is(Variant::Cold) => cold(link, &mut load, &clock, control),
        _ => stream(link, &mut load, case, &clock, time, control),
    };
    control.leave();
    // A frame that was lost explains a silence, so this comes first.
    load.check()?;
    match (sample, control.all_sent()) {
        (Err(Failure::Silent { .. }), Some(sent)) if load.seen < sent => {
            Err(Failure::Short { sent, received: load.seen })
        }
        (sample, _) => sample,
    }
}

/// The far end of one run.
pub(crate) fn far<L: Link>(link: &mut L, case: &Case, control: &Control) -> Result<(), Failure> {
    let mut load = Load::new(case);
    control.meet(End::Far)?;
    match case.pattern {
        Pattern::Rtt => answer(link, &mut load, control)?,
        _ => pour(link, &mut load, case, control)?,
    }
    load.check()?;
    control.await_leave();
    Ok(())
}

fn round_trips<L: Link>(
    link: &mut L,
    load: &mut Load,
    clock: &Clock,
    time: Duration,
    control: &Control,
) -> Result<Sample, Failure> {
    let mut trips = Trips::default();
    let mut watch = Watch::new();
    let warm = clock.counts() + clock.counts_in(time / 3);
    let end = warm + clock.counts_in(time);
    let (mut last, mut trip) = (clock.counts(), None);
    while last < end || trips.sample().is_none() {
        while !link.send(|body| load.fill(body))? {
            watch.idle(control)?;
            spin_loop();
        }
        if let Some(counts) = trip {
            trips.record(clock.nanos(counts));
        }
        while !link.receive(|body| load.read(body))? {
            watch.idle(control)?;
            link.wait()?;
        }
        watch.progress();
        let now = clock.counts();
        trip = (now > warm).then_some(now - last);
        last = now;
    }
    control.stop();
    Ok(trips.sample().expect("the loop ran until there was one"))
}

fn answer<L: Link>(link: &mut L, load: &mut Load, control: &Control) -> Result<(), Failure> {
    let mut watch = Watch::new();
    loop {
        while !link.receive(|body| load.read(body))? {
            if control.stopped() {
                return Ok(());
            }
            watch.idle(control)?;
            link.wait()?;
        }
        watch.progress();
        while !link.send(|body| load.fill(body))? {
            watch.idle(control)?;
            spin_loop();
        }
    }
}

fn stream<L: Link>(
    link: &mut L,
    load: &mut Load,
    case: &Case,
    clock: &Clock,
    time: Duration,
    control: &Control,
) -> Result<Sample, Failure> {
    let batch = case.is(Variant::Batch);
    let take = |link: &mut L, load: &mut Load| match batch {
        true => link.receive_batch(|body| load.read(body)).map(|n| n as u64),
        false => link.receive(|body| load.read(body)).map(u64::from),
    };
    // Reading the clock per frame would weigh on small ones.
    let stride = (16 * 1024 / case.size).clamp(1, 256) as u64;
    let mut watch = Watch::new();
    let (mut count, mut look) = (0, stride);
    let warm = clock.counts() + clock.counts_in(time / 3);
    let mut start = None;
    let rate = loop {
        let taken = take(link, load)?;
        if taken == 0 {
            watch.idle(control)?;
            pause();
            link.wait()?;
            continue;
        }
        watch.progress();
        count += taken;
        if count < look {
            continue;
        }
        look = count + stride;
        let now = clock.counts();
        match start {
            None if now >= warm => start = Some((now, count)),
            Some((begun, before)) if now - begun >= clock.counts_in(time) => {
                let seconds = clock.nanos(now - begun) as f64 / 1e9;
                break (count - before) as f64 / seconds;
            }
            _ => {}
        }
    };
    control.stop();
    while control.all_sent() != Some(count) {
        match take(link, load)? {
            0 => {
                watch.idle(control)?;
                pause();
                link.wait()?;
            }
            taken => {
                watch.progress();
                count += taken;
            }
        }
    }
    Ok(Sample::FramesPerSecond(rate))
}

fn pour<L: Link>(
    link: &mut L,
    load: &mut Load,
    case: &Case,
    control: &Control,
) -> Result<(), Failure> {
    let batch = case.is(Variant::Batch);
    let limit = if case.is(Variant::Cold) { COLD_FRAMES as u64 } else { u64::MAX };
    let (mut watch, mut sent, mut turn) = (Watch::new(), 0, 0u32);
    while sent < limit {
        let n = match batch {
            true => link.send_batch(|body| load.fill(body))?,
            false => usize::from(link.send(|body| load.fill(body))?),
        };
        sent += n as u64;
        turn = turn.wrapping_add(1);
        if (n == 0 || turn & 0x3f == 0) && control.stopped() {
            break;
        }
        if n == 0 {
            watch.idle(control)?;
            pause();
        } else {
            watch.progress();
        }
    }
    control.sent(sent);
    Ok(())
}

/// About a microsecond.
pub(super) fn pause() {
    (0..64).for_each(|_| spin_loop());
}

/// All frames are sent before the first is taken, so that each needs memory of its own.
fn cold<L: Link>(
    link: &mut L,
    load: &mut Load,
    clock: &Clock,
    control: &Control,
) -> Result<Sample, Failure> {
    let mut watch = Watch::new();
    let begun = clock.counts();
    while control.all_sent().is_none() {
        watch.idle(control)?;
        spin_loop();
    }
    for _ in 0..COLD_FRAMES {
        while !link.receive(|body| load.read(body))? {
            watch.idle(control)?;
            link.wait()?;
        }
        watch.progress();
    }
    let seconds = clock.nanos(clock.counts() - begun) as f64 / 1e9;
    Ok(Sample::FramesPerSecond(COLD_FRAMES as f64 / seconds))
}

/// Writes and reads bodies as the case says. The first word of each body is its sequence.
pub(super) struct Load {
    size: usize,
    touch: bool,
    /// What the producer copies into each frame.
    source: Vec<u8>,
    small: [u8; 64],
    filled: u64,
    seen: u64,
    wrong: Option<Failure>,
}

impl Load {
    fn new(case: &Case) -> Self {
        Self::counting_from(case, 0)
    }

    /// The first body has this sequence.
    pub(super) fn counting_from(case: &Case, filled: u64) -> Self {
        Self {
            size: case.size,
            touch: case.is(Variant::Touch),
            source: (0..case.size).map(|index| index as u8).collect(),
            small: [0x5a; 64],
            filled,
            seen: 0,
            wrong: None,
        }
    }

    #[inline(always)]
    pub(super) fn fill(&mut self, body: &mut [u8]) {
        let sequence = self.filled.to_le_bytes();
        self.filled += 1;
        if let Ok(body) = <&mut [u8; 64]>::try_from(&mut *body) {
            *body = self.small;
        } else if !self.touch {
            body.copy_from_slice(&self.source);
        }
        if let Some(word) = body.first_chunk_mut() {
            *word = sequence;
        }
    }

    #[inline(always)]
    fn read(&mut self, body: &[u8]) {
        let sequence = body.first_chunk().map_or(u64::MAX, |word| u64::from_le_bytes(*word));
        if sequence != self.seen || body.len() != self.size {
            self.refuse(sequence, body.len());
        }
        self.seen += 1;
        self.look(body);
    }

    /// Reads what the case says is read.
    #[inline(always)]
    pub(super) fn look(&self, body: &[u8]) {
        if let Ok(body) = <[u8; 64]>::try_from(body) {
            black_box(body);
        } else if !self.touch {
            black_box(body.iter().step_by(64).fold(0u8, |sum, byte| sum.wrapping_add(*byte)));
        }
    }

    /// Keeps the first thing that was wrong; the run goes on to its end and is then thrown away.
    #[cold]
    fn refuse(&mut self, sequence: u64, len: usize) {
        let (expected, size) = (self.seen, self.size);
        self.wrong.get_or_insert(if len == size {
            Failure::Lost { expected, found: sequence }
        } else {
            Failure::Length { expected: size, found: len }
        });
    }

    fn check(&mut self) -> Result<(), Failure> {
        self.wrong.take().map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R7.5: a peer that loses or swaps frames gets no figure.
    #[test]
    fn a_frame_out_of_turn_or_cut_short_fails_the_run() {
        let case = Case::named("rust/stream/1KiB/copy").unwrap();
        let (mut load, mut body) = (Load::new(&case), vec![0; 1024]);
        load.fill(&mut body);
        load.read(&body);
        load.check().unwrap();
        load.fill(&mut body);
        load.fill(&mut body);
        load.read(&body);
        assert!(matches!(load.check(), Err(Failure::Lost { expected: 1, found: 2 })));
        load.read(&body);
        load.read(&body[..512]);
        assert!(matches!(load.check(), Err(Failure::Length { expected: 1024, found: 512 })));
    }
}
