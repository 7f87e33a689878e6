//! One end of a ring, as threads share it and time limits it.
//!
//! 1. The handle is used by one thread at a time. What is ready at once is done while attached to
//!    the interpreter; every wait, for the handle or for the ring, is done detached.
//! 2. Each wait looks at signals and at `closing`, every 100 ms at the latest.
//! 3. In a forked child nothing here waits: the lock may be held by a thread that is not there.

use crate::{error, fork, watcher};
use parking_lot::Mutex;
use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use slipring::{Error, Segment, Wait, Want};
use std::cell::Cell;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Between two looks at signals while waiting for the handle.
const TICK: Duration = Duration::from_millis(100);
/// What a call that must not wait grants another thread to finish its own call.
const COURTESY: Duration = Duration::from_millis(5);
/// Looks at a ring that is not ready before the interpreter is left to wait: about 2 us.
const TURNS: u32 = 40;
/// Beyond this a time limit is as good as none, and clocks need not fear for their range.
const FOREVER: f64 = 1e9;

/// How long a call may take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Timeout {
    Never,
    Now,
    /// Not at all: the oldest frames are dropped to make room.
    Drop,
    For(Duration),
    Until(Instant),
}

impl Timeout {
    /// `None` waits for ever, 0 not at all, anything else is seconds.
    pub(crate) fn parse(timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        timeout.map_or(Ok(Self::Never), |timeout| Self::seconds(timeout, "timeout", "None"))
    }

    /// How a call to send waits.
    pub(crate) fn sending(timeout: Option<&Bound<'_, PyAny>>, drop_oldest: bool) -> PyResult<Self> {
        match (timeout, drop_oldest) {
            (timeout, false) => Self::parse(timeout),
            (None, true) => Ok(Self::Drop),
            (Some(_), true) => Err(PyTypeError::new_err(
                "give either timeout=... or drop_oldest=True, which waits for nobody",
            )),
        }
    }

    /// Whether the call is to end at once.
    fn hurries(self) -> bool {
        matches!(self, Self::Now | Self::Drop)
    }

    /// At most so many seconds. `name` is the argument's, `ever` its value for no limit.
    pub(crate) fn seconds(value: &Bound<'_, PyAny>, name: &str, ever: &str) -> PyResult<Self> {
        let seconds: f64 =
            match value.extract() {
                Ok(seconds) => seconds,
                // An integer beyond all floats.
                Err(error) if error.is_instance_of::<PyOverflowError>(value.py()) => {
                    if value.lt(0)? { f64::NEG_INFINITY } else { f64::INFINITY }
                }
                Err(_) => {
                    let found = value.get_type().name()?;
                    return Err(PyTypeError::new_err(format!(
                        "{name} is seconds as a number, or {ever} to wait for ever, not {found}"
                    )));
                }
            };
        if seconds.is_nan() || seconds < 0.0 {
            return Err(PyValueError::new_err(format!(
                "{name} is {seconds}: give seconds, 0 not to wait, or {ever} to wait for ever"
            )));
        }
        Ok(if seconds == 0.0 {
            Self::Now
        } else if seconds >= FOREVER {
            Self::Never
        } else {
            Self::For(Duration::from_secs_f64(seconds))
        })
    }

    /// The same, counted from now, for calls of several steps.
    pub(crate) fn begin(self) -> Self {
        match self {
            Self::For(limit) => Self::Until(Instant::now() + limit),
            other => other,
        }
    }

    fn left(self) -> Option<Duration> {
        match self {
            Self::Never => None,
            Self::Now | Self::Drop => Some(Duration::ZERO),
            Self::For(limit) => Some(limit),
            Self::Until(at) => Some(at.saturating_duration_since(Instant::now())),
        }
    }
}

/// Why a call ended without what was asked.
pub(crate) enum Stop {
    Ring(Error),
    Python(PyErr),
    Detached,
    /// Another thread waits with the handle, and this call must not.
    Busy,
}

impl Stop {
    /// Whether it only says that the ring was not ready in time.
    pub(crate) fn is_outcome(&self) -> bool {
        matches!(self, Self::Busy | Self::Ring(Error::Full | Error::Empty | Error::Timeout))
    }
}

/// A producer or consumer, until it is closed.
pub(crate) struct End<T> {
    handle: Mutex<Option<T>>,
    /// For watchers, which must not wait for the handle.
    segment: Mutex<Option<Segment>>,
    /// What was said of the versions that are read, by the names of schemas. Each holds the segment, too.
    wants: Mutex<Vec<(String, Want)>>,
    closing: AtomicBool,
    forks: u32,
    /// `"producer"` or `"consumer"`.
    role: &'static str,
}

impl<T: Send> End<T> {
    pub(crate) fn new(handle: T, segment: Segment, role: &'static str) -> Self {
        Self {
            handle: Mutex::new(Some(handle)),
            segment: Mutex::new(Some(segment)),
            wants: Mutex::new(Vec::new()),
            closing: AtomicBool::new(false),
            forks: fork::count(),
            role,
        }
    }

    /// Does `step` with the handle, again and again until it is not told to wait.
    #[inline]
    pub(crate) fn run<R: Send>(
        &self,
        py: Python<'_>,
        timeout: Timeout,
        step: impl FnMut(&mut T, &Wait<'_>) -> Result<R, Error> + Send,
    ) -> PyResult<R> {
        self.attempt(py, timeout, step).map_err(|stop| self.raise(py, stop))
    }

    /// As [`run`](Self::run), without an exception for what is told by value.
    #[inline]
    pub(crate) fn attempt<R: Send>(
        &self,
        py: Python<'_>,
        timeout: Timeout,
        mut step: impl FnMut(&mut T, &Wait<'_>) -> Result<R, Error> + Send,
    ) -> Result<R, Stop> {
        let at_once = self.handle.try_lock().map(|mut guard| match guard.as_mut() {
            Some(handle) if timeout == Timeout::Drop => {
                step(handle, &Wait::drop_oldest()).map_err(Stop::Ring)
            }
            Some(handle) => {
                let mut outcome = step(handle, &Wait::no());
                // A busy peer is done before the interpreter could be left and entered again.
                let mut turns = if timeout == Timeout::Now { 0 } else { TURNS };
                // Not in a full ring: its consumer is let alone for a while.
                while turns > 0 && matches!(outcome, Err(Error::Empty)) {
                    turns -= 1;
                    outcome = step(handle, &Wait::no());
                }
                outcome.map_err(Stop::Ring)
            }
            None => Err(Stop::Detached),
        });
        match at_once {
            Some(Ok(done)) => return Ok(done),
            Some(Err(Stop::Ring(Error::Full | Error::Empty))) if !timeout.hurries() => {}
            Some(Err(stop)) => return Err(stop),
            None => {}
        }
        py.detach(|| self.wait(timeout, step))
    }

    fn wait<R>(
        &self,
        timeout: Timeout,
        mut step: impl FnMut(&mut T, &Wait<'_>) -> Result<R, Error>,
    ) -> Result<R, Stop> {
        let timeout = timeout.begin();
        let raised = Cell::new(None);
        let check = || {
            if self.closing.load(Ordering::Acquire) {
                return true;
            }
            let signal = Python::try_attach(|py| py.check_signals());
            let Some(Err(error)) = signal else { return false };
            raised.set(Some(error));
            true
        };
        let stopped = || raised.take().map_or(Stop::Detached, Stop::Python);
        let mut guard = loop {
            if self.forks != fork::count() {
                return Err(Stop::Ring(Error::Forked { pid: std::process::id() }));
            }
            let left = if timeout.hurries() { Some(COURTESY) } else { timeout.left() };
            let patience = left.map_or(TICK, |left| left.min(TICK));
            if let Some(guard) = self.handle.try_lock_for(patience) {
                break guard;
            }
            if check() {
                return Err(stopped());
            }
            if timeout.hurries() {
                return Err(Stop::Busy);
            }
            if timeout.left() == Some(Duration::ZERO) {
                return Err(Stop::Ring(Error::Timeout));
            }
        };
        let handle = guard.as_mut().ok_or(Stop::Detached)?;
        let wait = match timeout.left() {
            None => Wait::forever(),
            Some(_) if timeout == Timeout::Drop => Wait::drop_oldest(),
            Some(_) if timeout == Timeout::Now => Wait::no(),
            // A deadline that has just passed is still a timeout, and not a refusal to wait.
            Some(left) => Wait::for_up_to(left.max(Duration::from_nanos(1))),
        };
        match step(handle, &wait.interrupted_by(&check)) {
            Err(Error::Interrupted) => Err(stopped()),
            other => other.map_err(Stop::Ring),
        }
    }

    /// What watches of this end are known by.
    pub(crate) fn address(&self) -> usize {
        std::ptr::from_ref(self) as usize
    }

    /// The segment, unless closed.
    pub(crate) fn segment(&self, py: Python<'_>) -> PyResult<Segment> {
        let segment = self.segment.lock().clone();
        segment.ok_or_else(|| self.raise(py, Stop::Detached))
    }

    /// Says until this end is closed which versions of a schema are read, in place of what was said before.
    pub(crate) fn want(&self, py: Python<'_>, name: &str, want: Want) -> PyResult<()> {
        let segment = self.segment.lock();
        if segment.is_none() {
            return Err(self.raise(py, Stop::Detached));
        }
        let mut wants = self.wants.lock();
        wants.retain(|(of, _)| of != name);
        wants.push((name.to_owned(), want));
        Ok(())
    }

    /// The ring's name, or the path of its file.
    #[cold]
    pub(crate) fn ring(&self) -> String {
        let segment = self.segment.try_lock().and_then(|segment| segment.clone());
        segment.map_or_else(|| "a closed ring".into(), |segment| name_of(segment.path()))
    }

    /// For people: the class, the ring, and what state the handle is in. Waits for nobody.
    pub(crate) fn describe(&self, class: &str, state: impl FnOnce(&T) -> String) -> String {
        let state = if self.forks != fork::count() {
            "of the parent process".into()
        } else {
            match self.handle.try_lock() {
                Some(handle) => handle.as_ref().map_or("closed".into(), state),
                None => "in use by a thread".into(),
            }
        };
        let segment = self.segment.try_lock().and_then(|segment| segment.clone());
        match segment {
            Some(segment) => format!("<slipring.{class} of {}, {state}>", segment.path().display()),
            None => format!("<slipring.{class}, {state}>"),
        }
    }

    #[cold]
    pub(crate) fn raise(&self, py: Python<'_>, stop: Stop) -> PyErr {
        let sends = self.role == "producer";
        let segment = self.segment.try_lock().and_then(|segment| segment.clone());
        match (stop, segment) {
            (Stop::Ring(error @ (Error::Full | Error::Empty | Error::Timeout)), Some(segment)) => {
                error::outcome(py, error, &segment, sends)
            }
            (Stop::Ring(error), _) => error::raise(py, error),
            (Stop::Python(error), _) => error,
            (Stop::Detached, _) => error::detached(py, self.role),
            (Stop::Busy, _) => error::busy(py, sends),
        }
    }
}

/// A ring as people name it: that of a file is its path.
fn name_of(path: &Path) -> String {
    let named = path.strip_prefix("/dev/shm").ok().and_then(Path::to_str);
    let named = named.and_then(|file| file.strip_prefix("slipring."));
    named.map_or_else(|| path.display().to_string(), str::to_owned)
}

/// What a ring can do with its ends, whichever they are.
pub(crate) trait Close: Send + Sync {
    /// Gives the role back. Whoever waits with this handle gets an error.
    fn close(&self, py: Python<'_>);
}

impl<T: Send> Close for End<T> {
    fn close(&self, py: Python<'_>) {
        // Release: pairs with the Acquire in `wait`.
        self.closing.store(true, Ordering::Release);
        if self.forks != fork::count() {
            return;
        }
        let handle = match self.handle.try_lock() {
            Some(mut guard) => guard.take(),
            None => py.detach(|| self.handle.lock().take()),
        };
        let segment = self.segment.lock().take();
        let wants = std::mem::take(&mut *self.wants.lock());
        drop((handle, wants, segment));
        // Tasks that wait for this end learn that it is closed.
        watcher::dismiss(py, self.address());
    }
}
