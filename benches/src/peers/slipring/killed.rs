//! A process is killed with all in its hands that another one needs: from the signal until that one
//! has sent or received a frame.
//!
//! The survivor is a thread of the measuring process. It polls, or it sleeps in the call; then the
//! kills are spread over its ticks. The victim is not waited for before the survivor goes on, so it
//! may be a zombie for all that time.

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use slipring::{Delivery, Error, Header, Mode, Segment, Wait};

use super::Slipring;
use crate::harness::case::{Case, Hold, Pattern, Variant};
use crate::harness::control::Control;
use crate::harness::failure::Failure;
use crate::harness::link::{End, Peer, Route};
use crate::harness::process::{Contestant, FarCall, with_far_processes};
use crate::harness::sample::Sample;

/// Processes killed in one run.
const KILLS: u32 = 8;

/// A frame of a pool of sixteen times as much.
const LEN: usize = 1 << 20;

/// How long a survivor tries.
const LIMIT: Duration = Duration::from_secs(5);

/// What happens when a process dies.
pub fn contestant() -> Contestant {
    let takes = |case: &Case| case.pattern == Pattern::Killed;
    Contestant { far: Some(victim), ..Contestant::alone(Slipring::NAME, takes, run) }
}

fn run(case: &Case, _: Duration) -> Result<Sample, Failure> {
    let mut times = Vec::new();
    for kill in 0..KILLS {
        let sample = with_far_processes(Slipring::NAME, case, 1, 4096, |route, control| {
            one(route, control, kill).map(Sample::Cost)
        })?;
        let Sample::Cost(time) = sample else { unreachable!("it is what the closure gave") };
        times.push(time);
    }
    Ok(Sample::of_few(&mut times).expect("there was a kill"))
}

/// What is held, and whether the others sleep.
fn scene(case: &Case) -> (Hold, bool) {
    match case.variant {
        Some(Variant::Victim { hold, asleep }) => (hold, asleep),
        _ => unreachable!("`takes` asks for the pattern, all of whose cases have a victim"),
    }
}

fn name(route: &Route) -> String {
    format!("bench-{}-killed", route.name)
}

/// The victim's pid, once it has taken all.
fn pid(route: &Route) -> &AtomicU32 {
    route.memory.word(route.offset)
}

/// Whether the ring is there, and full of what the victim is to take.
fn filled(route: &Route) -> &AtomicU32 {
    route.memory.word(route.offset + 128)
}

fn attached<T>(outcome: Result<T, Error>) -> Result<T, Failure> {
    outcome.map_err(Failure::call("attach to the ring"))
}

/// Kills one victim; the nanoseconds until the survivor went on.
fn one(route: &Route, control: &Control, kill: u32) -> Result<f64, Failure> {
    let (hold, asleep) = scene(&route.case);
    let options = Segment::options().mode(Mode::Mpmc).capacity(16 * LEN as u64).share(100);
    let ring = attached(options.create(name(route).as_str()))?;
    let mut tx = attached(ring.producer())?;
    let mut rx = attached(ring.consumer_with(Delivery::AtLeastOnce { limit: 64 }))?;
    if hold != Hold::Reservations {
        while send(&mut tx, &Wait::no())? {}
    }
    filled(route).store(1, Ordering::Release);
    control.meet(End::Near)?;
    slipring::unlink(name(route).as_str()).map_err(Failure::call("unlink"))?;
    let mut go_on = |wait: &Wait| match hold {
        Hold::Frames => match rx.recv(wait) {
            Ok(frame) => frame.ack().map(|()| true).map_err(Failure::call("acknowledge")),
            Err(Error::Empty | Error::Timeout) => Ok(false),
            Err(error) => Err(Failure::call("receive")(error)),
        },
        Hold::Reservations | Hold::Views => send(&mut tx, wait),
    };
    if go_on(&Wait::no())? {
        let report = "the victim has left something over".into();
        return Err(Failure::Far { report });
    }
    let victim = pid(route).load(Ordering::Acquire);
    let victim = Pid::from_raw(victim as i32).ok_or(Failure::Silent { waited: Duration::ZERO })?;
    thread::scope(|scope| {
        let survivor = scope.spawn(move || {
            let start = Instant::now();
            let on = if asleep {
                go_on(&Wait::for_up_to(LIMIT))?
            } else {
                loop {
                    let on = go_on(&Wait::no())?;
                    if on || start.elapsed() > LIMIT {
                        break on;
                    }
                    std::hint::spin_loop();
                }
            };
            if on { Ok(Instant::now()) } else { Err(Failure::Silent { waited: LIMIT }) }
        });
        // Anywhere between two ticks, which are 100 ms apart.
        thread::sleep(Duration::from_millis(if asleep {
            20 + 37 * u64::from(kill) % 100
        } else {
            20
        }));
        let killed = Instant::now();
        kill_process(victim, Signal::KILL).map_err(Failure::call("kill the victim"))?;
        let on = survivor.join().expect("the survivor does not panic")?;
        Ok(on.saturating_duration_since(killed).as_nanos() as f64)
    })
}

fn send(tx: &mut slipring::Producer, wait: &Wait) -> Result<bool, Failure> {
    match tx.send_with(Header::raw(), LEN, |body| body[0] = 1, wait) {
        Ok(()) => Ok(true),
        Err(Error::Full | Error::Timeout) => Ok(false),
        Err(error) => Err(Failure::call("send")(error)),
    }
}

/// Takes everything, says so, and waits for its death.
fn victim(call: &FarCall) -> Result<(), Failure> {
    let (route, control) = call.answer(4096)?;
    let taken = take_all(&route).inspect_err(|_| control.fail());
    let _held = taken?;
    pid(&route).store(std::process::id(), Ordering::Release);
    control.meet(End::Far)?;
    control.await_leave();
    Ok(())
}

/// Whatever keeps hold of it.
fn take_all(route: &Route) -> Result<Box<dyn std::any::Any>, Failure> {
    let start = Instant::now();
    while filled(route).load(Ordering::Acquire) == 0 && start.elapsed() < LIMIT {
        thread::yield_now();
    }
    let ring = attached(Segment::open(name(route).as_str()))?;
    let (hold, _) = scene(&route.case);
    if hold == Hold::Reservations {
        let mut tx = attached(ring.producer())?;
        let mut grants = Vec::new();
        loop {
            match tx.reserve(LEN, &Wait::no()) {
                Ok(grant) => grants.push(grant),
                Err(Error::Full) => return Ok(Box::new((tx, grants))),
                Err(error) => return Err(Failure::call("reserve")(error)),
            }
        }
    }
    let delivery = match hold {
        Hold::Frames => Delivery::AtLeastOnce { limit: 64 },
        _ => Delivery::AtMostOnce,
    };
    let mut rx = attached(ring.consumer_with(delivery))?;
    let mut frames = Vec::new();
    loop {
        match rx.recv(&Wait::no()) {
            Ok(frame) => frames.push(frame),
            Err(Error::Empty) => return Ok(Box::new((rx, frames))),
            Err(error) => return Err(Failure::call("receive")(error)),
        }
    }
}
