//! Gives the far end a process or a thread of its own, on its own core.

use std::env;
use std::io::Read;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustix::process::{Signal, set_parent_process_death_signal};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::case::{Case, Variant};
use super::control::{CONTROL_LEN, Control};
use super::drive;
use super::failure::Failure;
use super::link::{End, InProcess, Peer, Route};
use super::memory::Memory;
use super::sample::Sample;

/// The first argument of a process that is a far end. The user does not type it.
pub const FAR: &str = "--far-end";

/// Whoever can be measured: how, and in which cases.
pub struct Contestant {
    /// Its name in the results.
    pub name: &'static str,
    /// Which cases it takes part in.
    pub takes: Box<dyn Fn(&Case) -> bool>,
    /// One run; the time to measure for, warm-up apart.
    #[allow(clippy::type_complexity, reason = "a name for it would say less")]
    pub run: Box<dyn Fn(&Case, Duration) -> Result<Sample, Failure>>,
    /// The far end of a run, in the process that was started for it.
    #[allow(clippy::type_complexity, reason = "as above")]
    pub far: Option<fn(&FarCall) -> Result<(), Failure>>,
}

/// What a far end is told on its command line.
pub struct FarCall {
    pub(crate) case: Case,
    /// Which of several far ends it is, from 0.
    pub(crate) seat: usize,
    name: String,
    address: String,
}

impl Contestant {
    /// Someone who needs no far end.
    pub fn alone(
        name: &'static str,
        takes: impl Fn(&Case) -> bool + 'static,
        run: impl Fn(&Case, Duration) -> Result<Sample, Failure> + 'static,
    ) -> Self {
        Self { name, takes: Box::new(takes), run: Box::new(run), far: None }
    }

    /// A peer whose ends are two processes.
    pub fn processes<P: Peer>() -> Self {
        Self {
            name: P::NAME,
            takes: Box::new(|case| case.in_rust() && P::takes(case)),
            run: Box::new(|case, time| {
                with_far_processes(P::NAME, case, 1, P::memory(case), |route, control| {
                    drive::near(&mut P::open(route, End::Near)?, case, time, control)
                })
            }),
            far: Some(|call| {
                let (route, control) = call.answer(P::memory(&call.case))?;
                P::open(&route, End::Far)
                    .and_then(|mut link| drive::far(&mut link, &call.case, &control))
                    .inspect_err(|_| control.fail())
            }),
        }
    }

    /// A peer whose ends are two threads.
    pub fn threads<P: InProcess>() -> Self {
        Self {
            name: P::NAME,
            takes: Box::new(|case| case.in_rust() && P::takes(case)),
            run: Box::new(|case, time| {
                let control = Control::new(Arc::new(Memory::new(CONTROL_LEN, true)?));
                let (mut near, mut far) = P::pair(case);
                let (case, control) = (*case, &control);
                std::thread::scope(|scope| {
                    let other = scope.spawn(move || {
                        pin(End::Far)?;
                        drive::far(&mut far, &case, control).inspect_err(|_| control.fail())
                    });
                    pin(End::Near)?;
                    let sample = drive::near(&mut near, &case, time, control);
                    // The far end must not wait for a near end that has given up.
                    control.stop();
                    control.leave();
                    let other = other.join().expect("the far end does not panic");
                    sample.and_then(|sample| other.map(|()| sample))
                })
            }),
            far: None,
        }
    }
}

/// Starts so many far ends of `peer`, each in a process of its own, and runs `near` beside them, with
/// `extra` bytes of memory shared by all.
pub(crate) fn with_far_processes(
    peer: &str,
    case: &Case,
    seats: usize,
    extra: usize,
    near: impl FnOnce(&Route, &Control) -> Result<Sample, Failure>,
) -> Result<Sample, Failure> {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    let name = format!("{}-{}", std::process::id(), RUNS.fetch_add(1, Ordering::Relaxed));
    let memory = Arc::new(Memory::new(CONTROL_LEN + extra, !case.is(Variant::Cold))?);
    let program = env::current_exe().map_err(Failure::call("find this program"))?;
    pin(End::Near)?;
    let mut children = Vec::new();
    for seat in 0..seats {
        let child = Command::new(&program)
            .args([FAR, peer, &case.to_string(), &name, &memory.address(), &seat.to_string()])
            .env(CORES, told_cores()?)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(Failure::call("start the far end's process"))?;
        children.push(Far(child));
    }
    let route = Route { case: *case, name, memory: memory.clone(), offset: CONTROL_LEN };
    let sample = near(&route, &Control::new(memory));
    if sample.is_err() {
        for child in &mut children {
            // It may wait for frames that will not come.
            let _ = child.0.kill();
        }
    }
    let reports = children.iter_mut().map(Far::report).collect::<Result<Vec<_>, _>>()?;
    let report = reports.into_iter().find(|report| !report.is_empty());
    match (sample, report) {
        // What a far end saw explains a silence at the near one.
        (Err(Failure::Silent { .. }) | Ok(_), Some(report)) => Err(Failure::Far { report }),
        (sample, _) => sample,
    }
}

/// A child that does not outlive its run.
struct Far(Child);

impl Far {
    /// Waits for its end and gives what it printed: nothing if all went well.
    fn report(&mut self) -> Result<String, Failure> {
        let mut report = String::new();
        if let Some(stdout) = self.0.stdout.as_mut() {
            stdout
                .read_to_string(&mut report)
                .map_err(Failure::call("read the far end's words"))?;
        }
        self.0.wait().map_err(Failure::call("wait for the far end's process"))?;
        Ok(report.trim().to_owned())
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        // Both fail only when it has already ended and been waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// If this process was started as a far end: does its work and says how to leave.
pub fn far_end(contestants: &[Contestant]) -> Option<ExitCode> {
    let mut args = env::args().skip(1);
    if args.next().as_deref() != Some(FAR) {
        return None;
    }
    let args: Vec<String> = args.collect();
    let done = match &args[..] {
        [peer, case, name, address, seat] => {
            let found = Case::named(case).and_then(|case| {
                let named = contestants.iter().filter(|one| one.name == peer);
                let far = named.filter(|one| (one.takes)(&case)).find_map(|one| one.far)?;
                let (name, address) = (name.clone(), address.clone());
                Some((far, FarCall { case, seat: seat.parse().ok()?, name, address }))
            });
            match found {
                Some((far, call)) => far(&call),
                None => {
                    let report = format!("no far end {seat} of {peer} in {case}");
                    Err(Failure::Far { report })
                }
            }
        }
        _ => Err(Failure::Far { report: format!("{FAR} is for the harness alone") }),
    };
    Some(match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            println!("{failure}");
            ExitCode::FAILURE
        }
    })
}

impl FarCall {
    /// Attaches to what the near end laid out, on this end's core.
    pub(crate) fn answer(&self, extra: usize) -> Result<(Route, Control), Failure> {
        set_parent_process_death_signal(Some(Signal::KILL))
            .map_err(Failure::call("tie this process to the near end"))?;
        pin(End::Far)?;
        // Fails if the near end has died before it could take this process with it.
        let memory = Arc::new(Memory::attach(&self.address, !self.case.is(Variant::Cold))?);
        let _ = memory.at(CONTROL_LEN, extra);
        let control = Control::new(memory.clone());
        let (case, name) = (self.case, self.name.clone());
        Ok((Route { case, name, memory, offset: CONTROL_LEN }, control))
    }
}

/// The cores that this process may use, in their order.
fn allowed() -> Result<&'static [usize], Failure> {
    static FOUND: OnceLock<Vec<usize>> = OnceLock::new();
    if let Some(cores) = FOUND.get() {
        return Ok(cores);
    }
    // Once the near end is pinned the kernel names one core only; children are told.
    let told = env::var(CORES).ok().and_then(|text| {
        text.split(',').map(|core| core.parse().ok()).collect::<Option<Vec<usize>>>()
    });
    let cores = match told {
        Some(cores) => cores,
        None => {
            let set = sched_getaffinity(None).map_err(Failure::call("ask for the cores"))?;
            (0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect()
        }
    };
    Ok(FOUND.get_or_init(|| cores))
}

/// The cores that two ends run on: the first two that this process may use, or the only one.
pub fn cores() -> Result<[usize; 2], Failure> {
    let allowed = allowed()?;
    let near = allowed.first().copied().unwrap_or(0);
    Ok([near, allowed.get(1).copied().unwrap_or(near)])
}

/// The variable by which a child learns the cores: `near,far`, and the others where there are more.
pub const CORES: &str = "SLIPRING_BENCH_CORES";

/// What that variable is to say.
pub fn told_cores() -> Result<String, Failure> {
    let [near, far] = cores()?;
    let others = allowed()?.iter().skip(2);
    Ok(others.fold(format!("{near},{far}"), |told, core| format!("{told},{core}")))
}

/// Binds this thread, and the children it starts, to the core of that end.
pub fn pin(end: End) -> Result<(), Failure> {
    let [near, far] = cores()?;
    bind(&[if end == End::Near { near } else { far }])
}

/// Binds this thread to the core of the producer or consumer of this index among many. Producers and
/// consumers take the cores in turn, so that on two cores each have one of their own.
pub(crate) fn pin_among(end: End, index: usize) -> Result<(), Failure> {
    let allowed = allowed()?;
    let turn = 2 * index + usize::from(end == End::Far);
    bind(&[allowed.get(turn % allowed.len().max(1)).copied().unwrap_or(0)])
}

/// Lets this thread, and those that it starts, run on every core.
#[cfg(feature = "aeron")]
pub(crate) fn unpin() -> Result<(), Failure> {
    bind(allowed()?)
}

fn bind(cores: &[usize]) -> Result<(), Failure> {
    let mut set = CpuSet::new();
    cores.iter().for_each(|core| set.set(*core));
    sched_setaffinity(None, &set).map_err(Failure::call("bind to a core"))
}
