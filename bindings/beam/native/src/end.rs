//! One end of a ring, as processes share it.
//!
//! 1. A call uses the handle, or finds it in use and says `:busy`; nobody waits for it.
//! 2. The end belongs to a process. When that ends, or says so, the end is closed: the role is free
//!    for others, and who waits for the end is told.
//! 3. An end that is closed while a call uses it is closed by that call, on its way out.

use crate::attachment::{Hold, Notice};
use crate::error::Fault;
use crate::producer::Writer;
use crate::{atoms, waiter};
use rustler::{Encoder, Env, LocalPid, Monitor, Resource, ResourceArc, Term};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, TryLockError};

/// A producer or consumer with what keeps its segment.
pub(crate) struct Live<T> {
    // Dropped in this order.
    pub(crate) handle: T,
    pub(crate) hold: Hold,
}

/// A producer or consumer, until it is closed.
pub(crate) struct End<T> {
    pub(crate) id: u64,
    live: Mutex<Option<Live<T>>>,
    closed: AtomicBool,
    owner: Mutex<Option<(LocalPid, Monitor)>>,
}

pub(crate) fn register(env: Env<'_>) -> bool {
    env.register::<End<Writer>>().is_ok() && env.register::<crate::consumer::Receiver>().is_ok()
}

/// Why a handle was not used.
pub(crate) enum Unused {
    Busy,
    Closed,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl<T> End<T> {
    pub(crate) fn new(handle: T, hold: Hold) -> Self {
        Self {
            id: waiter::next_id(),
            live: Mutex::new(Some(Live { handle, hold })),
            closed: AtomicBool::new(false),
            owner: Mutex::new(None),
        }
    }

    pub(crate) fn owner(&self) -> Option<LocalPid> {
        lock(&self.owner).map(|(owner, _)| owner)
    }

    /// Does `step` with the handle.
    pub(crate) fn with<R>(&self, step: impl FnOnce(&mut Live<T>) -> R) -> Result<R, Unused> {
        let outcome = match self.live.try_lock() {
            Ok(mut live) => live.as_mut().map(step).ok_or(Unused::Closed),
            Err(TryLockError::Poisoned(poisoned)) => {
                poisoned.into_inner().as_mut().map(step).ok_or(Unused::Closed)
            }
            Err(TryLockError::WouldBlock) => Err(Unused::Busy),
        };
        if self.see_to_closing().is_some() {
            // What this call has registered came after the closing had told the others.
            waiter::dismiss(self.id);
        }
        outcome
    }

    /// As [`with`](Self::with), as a term.
    pub(crate) fn answer<'a>(
        &self,
        env: Env<'a>,
        step: impl FnOnce(&mut Live<T>) -> Result<Term<'a>, Fault>,
    ) -> Term<'a> {
        match self.with(step) {
            Ok(outcome) => crate::error::answer(env, outcome),
            Err(Unused::Busy) => atoms::busy().encode(env),
            Err(Unused::Closed) => crate::error::answer(env, Err(Fault::detached())),
        }
    }

    /// What keeps the segment. Waits as [`waiting`](Self::waiting) does.
    pub(crate) fn hold(&self) -> Result<Hold, Fault> {
        self.waiting(|live| live.hold.clone()).ok_or_else(Fault::detached)
    }

    /// What `look` sees, unless the end is closed. Waits for a call that uses the handle: for dirty schedulers.
    pub(crate) fn waiting<R>(&self, look: impl FnOnce(&Live<T>) -> R) -> Option<R> {
        let seen = lock(&self.live).as_ref().map(look);
        if self.see_to_closing().is_some() {
            waiter::dismiss(self.id);
        }
        seen
    }

    /// Takes out the handle of a closed end, unless a call uses it, which will then do so.
    fn see_to_closing(&self) -> Option<Live<T>> {
        // AcqRel: pairs with itself in `close`. Both change the mark, so one comes after the other:
        // either this sees the mark, or `close` sees the lock as this call has left it.
        if !self.closed.fetch_or(false, Ordering::AcqRel) {
            return None;
        }
        match self.live.try_lock() {
            Ok(mut live) => live.take(),
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner().take(),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Gives the role back. Answers what kept the segment.
    pub(crate) fn close(&self) -> Option<Hold> {
        // AcqRel: pairs with itself in `see_to_closing`.
        self.closed.fetch_or(true, Ordering::AcqRel);
        let live = self.see_to_closing();
        waiter::dismiss(self.id);
        live.map(|Live { handle, hold }| {
            drop(handle);
            hold
        })
    }

    /// Answers whether this was the last hold on the segment, so that `tag` comes back.
    pub(crate) fn close_and_tell(&self, pid: LocalPid, tag: Term<'_>) -> bool {
        let hold = self.close();
        hold.is_some_and(|hold| hold.give_up(Notice { pid, tag: waiter::Tag::new(tag) }))
    }
}

/// An end that lives in a resource and has an owner.
pub(crate) trait Owned: Resource {
    type Handle;
    fn end(&self) -> &End<Self::Handle>;
}

impl<T: Send + 'static> Owned for End<T>
where
    Self: Resource,
{
    type Handle = T;
    fn end(&self) -> &Self {
        self
    }
}

impl Resource for End<Writer> {
    const IMPLEMENTS_DOWN: bool = true;
    fn down<'a>(&'a self, _env: Env<'a>, _pid: LocalPid, _monitor: Monitor) {
        self.close();
    }
}

/// Makes `pid` the owner.
pub(crate) fn own<R: Owned>(
    env: Env<'_>,
    resource: &ResourceArc<R>,
    pid: LocalPid,
) -> Result<(), Fault> {
    let mut owner = lock(&resource.end().owner);
    let monitor = env.monitor(resource, &pid).ok_or_else(Fault::no_process)?;
    if let Some((_, old)) = owner.replace((pid, monitor)) {
        env.demonitor(resource, &old);
    }
    Ok(())
}

/// Hands the end from the caller, who must own it, to `pid`.
pub(crate) fn hand_over<R: Owned>(
    env: Env<'_>,
    resource: &ResourceArc<R>,
    pid: LocalPid,
) -> Result<(), Fault> {
    let owner = resource.end().owner();
    if owner.is_none_or(|owner| owner != env.pid()) {
        return Err(Fault::not_controlling());
    }
    own(env, resource, pid)
}
