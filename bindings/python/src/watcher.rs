//! One thread per process that waits for all rings that event loops wait for.
//!
//! 1. A watch is told once, then it is over. It is told when a frame waits or space is
//!    freed, when the ring is finished, and when its end is closed; whoever is told looks for itself.
//! 2. The thread holds the rings that it sleeps on. Who takes a watch back waits for the thread to
//!    let go, so that a closed ring leaves nothing behind.
//! 3. A forked child has no such thread: it forgets its parent's and makes one when it needs one.
//! 4. The thread is gone before the interpreter ends ([`stop`]): one that waits for an interpreter that ends is unwound by it, which
//!    threads of Rust don't survive.

use pyo3::call::PyCallArgs;
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use slipring::{Bell, Watched, wait_any};
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

/// How long taking a watch back waits for the thread, which answers within microseconds unless the
/// machine is overloaded; later it lets go all the same.
const PATIENCE: Duration = Duration::from_secs(1);

struct Entry {
    id: u64,
    owner: usize,
    ring: Watched,
    callback: Py<PyAny>,
}

struct Watcher {
    entries: Mutex<Entries>,
    let_go: Condvar,
    bell: Bell,
}

#[derive(Default)]
struct Entries {
    list: Vec<Entry>,
    /// How often the thread has let go of what it slept on.
    rounds: u64,
    state: State,
}

#[derive(Default, PartialEq)]
enum State {
    #[default]
    Runs,
    /// The thread is to end.
    Stops,
    Ended,
}

static WATCHER: AtomicPtr<Watcher> = AtomicPtr::new(ptr::null_mut());
static IDS: AtomicU64 = AtomicU64::new(0);

/// In a forked child: the parent's thread is not here.
pub(crate) fn forget_parents() {
    // Leaked: its lock may be held for ever. Relaxed: the child has one thread.
    WATCHER.store(ptr::null_mut(), Ordering::Relaxed);
}

fn existing() -> Option<&'static Watcher> {
    // SAFETY: null or leaked below. Acquire: pairs with the AcqRel there.
    unsafe { WATCHER.load(Ordering::Acquire).as_ref() }
}

fn get() -> std::io::Result<&'static Watcher> {
    if let Some(watcher) = existing() {
        return Ok(watcher);
    }
    let new: &'static mut Watcher = Box::leak(Box::new(Watcher {
        entries: Mutex::default(),
        let_go: Condvar::new(),
        bell: Bell::default(),
    }));
    let new: *mut Watcher = new;
    let placed =
        WATCHER.compare_exchange(ptr::null_mut(), new, Ordering::AcqRel, Ordering::Acquire);
    if let Err(other) = placed {
        // SAFETY: ours was seen by nobody; the other one is leaked.
        unsafe {
            drop(Box::from_raw(new));
            return Ok(&*other);
        }
    }
    // SAFETY: leaked just now, and never freed once placed.
    let watcher: &'static Watcher = unsafe { &*new };
    let thread = std::thread::Builder::new().name("slipring-watch".into());
    if let Err(error) = thread.spawn(|| watcher.run()) {
        // Leaked, for another thread may have it already; the next call tries anew.
        WATCHER.store(ptr::null_mut(), Ordering::Release);
        return Err(error);
    }
    Ok(watcher)
}

impl Watcher {
    /// Never held across a call into Python.
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn run(&self) {
        let mut heard = 0;
        while self.entries().state == State::Runs {
            let (ids, rings): (Vec<u64>, Vec<Watched>) =
                self.entries().list.iter().map(|entry| (entry.id, entry.ring.clone())).unzip();
            let ready = wait_any(&rings, &self.bell, &mut heard, None);
            drop(rings);
            let told: Vec<Entry> = {
                let mut entries = self.entries();
                entries.rounds += 1;
                let told = |entry: &mut Entry| ready.iter().any(|&i| ids[i] == entry.id);
                entries.list.extract_if(.., told).collect()
            };
            self.let_go.notify_all();
            if !told.is_empty() && !tell(told) {
                return;
            }
        }
        self.entries().state = State::Ended;
        self.let_go.notify_all();
    }

    /// Takes out what `which` says and waits until the thread has let go of it.
    fn take(&self, py: Python<'_>, which: impl Fn(&Entry) -> bool) -> Vec<Entry> {
        let (taken, rounds) = {
            let mut entries = self.entries();
            let taken: Vec<Entry> = entries.list.extract_if(.., |entry| which(entry)).collect();
            (taken, entries.rounds)
        };
        if !taken.is_empty() {
            self.bell.ring();
            py.detach(|| {
                let entries = self.entries();
                let still = |entries: &mut Entries| entries.rounds == rounds;
                drop(self.let_go.wait_timeout_while(entries, PATIENCE, still));
            });
        }
        taken
    }
}

/// Ends the thread, before the interpreter ends. What it has not told it will not tell.
pub(crate) fn stop(py: Python<'_>) {
    let Some(watcher) = existing() else { return };
    // Release, as in `get`. Who watches from now on makes another thread.
    WATCHER.store(ptr::null_mut(), Ordering::Release);
    let left = {
        let mut entries = watcher.entries();
        entries.state = State::Stops;
        std::mem::take(&mut entries.list)
    };
    watcher.bell.ring();
    py.detach(|| {
        let entries = watcher.entries();
        let runs = |entries: &mut Entries| entries.state != State::Ended;
        drop(watcher.let_go.wait_timeout_while(entries, PATIENCE, runs));
    });
    drop(left);
}

/// Calls back. `false` if the interpreter is ending and nobody is there to be told.
fn tell(told: Vec<Entry>) -> bool {
    let mut told = Some(told);
    Python::try_attach(|py| told.take().into_iter().flatten().for_each(|entry| call(py, entry)));
    // What needs the interpreter to be dropped is left to the end of the process.
    let ended = told.is_some();
    std::mem::forget(told);
    !ended
}

fn call(py: Python<'_>, entry: Entry) {
    if let Err(error) = entry.callback.call0(py) {
        error.write_unraisable(py, Some(entry.callback.bind(py)));
    }
}

/// A watch that can be taken back.
#[pyclass(frozen, module = "slipring._native")]
pub(crate) struct Watch {
    id: u64,
}

#[pymethods]
impl Watch {
    /// Does nothing if it was told already.
    fn cancel(&self, py: Python<'_>) {
        if let Some(watcher) = existing() {
            watcher.take(py, |entry| entry.id == self.id);
        }
    }
}

/// Has `callback` called once when `ring` is ready.
pub(crate) fn watch(
    py: Python<'_>,
    owner: usize,
    ring: Watched,
    callback: Py<PyAny>,
) -> PyResult<Watch> {
    let watcher = get().map_err(|error| {
        PyOSError::new_err(format!("no thread to wait for rings can be made: {error}"))
    })?;
    // Relaxed: only to be unlike the others.
    let id = IDS.fetch_add(1, Ordering::Relaxed);
    py.detach(|| watcher.entries().list.push(Entry { id, owner, ring, callback }));
    watcher.bell.ring();
    Ok(Watch { id })
}

/// Tells and ends all watches of an end that is closed.
pub(crate) fn dismiss(py: Python<'_>, owner: usize) {
    if let Some(watcher) = existing() {
        watcher.take(py, |entry| entry.owner == owner).into_iter().for_each(|e| call(py, e));
    }
}

/// A coroutine of the asyncio side, which is written in Python.
pub(crate) fn coroutine<'py>(
    py: Python<'py>,
    name: &str,
    arguments: impl PyCallArgs<'py>,
) -> PyResult<Bound<'py, PyAny>> {
    static MODULE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let module =
        MODULE.get_or_try_init(py, || py.import("slipring._asyncio").map(Bound::unbind))?;
    module.bind(py).getattr(name)?.call1(arguments)
}
