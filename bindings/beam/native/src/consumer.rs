//! Receiving.

use crate::attachment::Hold;
use crate::end::{self, End, Live, Owned};
use crate::error::{Fault, answer};
use crate::frame::{self, Done};
use crate::waiter::{self, News};
use crate::{atoms, charge, ring};
use rustler::{
    Atom, Decoder, Encoder, Env, LocalPid, Monitor, NifResult, Resource, ResourceArc, Term,
};
use slipring::{Consumer, Error, Wait};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

/// Bodies up to this length are copied out, where the consumer leaves the choice.
const COPY_UP_TO: usize = 64 << 10;
/// Leases beyond which bodies are copied, where the consumer leaves the choice.
const LEASES: usize = 8;
/// The most frames that one call takes, and the bytes at which it takes no more.
const BATCH: usize = 64;
const BATCH_BYTES: usize = 1 << 20;

/// Whether frames are copied out or leased.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Policy {
    Auto,
    Always,
    Never,
}

impl<'a> Decoder<'a> for Policy {
    fn decode(term: Term<'a>) -> NifResult<Self> {
        match Atom::from_term(term)? {
            policy if policy == atoms::auto() => Ok(Self::Auto),
            policy if policy == atoms::always() => Ok(Self::Always),
            policy if policy == atoms::never() => Ok(Self::Never),
            _ => Err(rustler::Error::BadArg),
        }
    }
}

/// The consuming end, as a resource.
pub(crate) struct Receiver {
    end: End<Consumer>,
    policy: Policy,
    /// Frames go to the owner as messages, through the process `feeder`.
    active: AtomicBool,
    feeder: Mutex<Option<LocalPid>>,
    /// What a batch met after frames that it had taken.
    pending: Mutex<Option<Error>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Receiver {
    pub(crate) fn new(end: End<Consumer>, policy: Policy) -> Self {
        let (active, feeder, pending) =
            (AtomicBool::new(false), Mutex::new(None), Mutex::new(None));
        Self { end, policy, active, feeder, pending }
    }

    fn feeder(&self) -> MutexGuard<'_, Option<LocalPid>> {
        lock(&self.feeder)
    }

    /// The next frame, or what the last batch met.
    fn take(&self, handle: &mut Consumer) -> Result<slipring::Frame, Error> {
        match lock(&self.pending).take() {
            Some(error) => Err(error),
            None => handle.recv(&Wait::no()),
        }
    }

    /// Whether a body of `len` bytes is leased; else it is copied.
    fn leased(&self, hold: &Hold, len: usize) -> bool {
        match self.policy {
            Policy::Always => true,
            Policy::Never => false,
            Policy::Auto if len <= COPY_UP_TO => false,
            Policy::Auto => {
                // Relaxed: a bound that is a little off does no harm.
                let room = hold.leases.load(Ordering::Relaxed) < LEASES
                    && hold.leased.load(Ordering::Relaxed) + len as u64 <= hold.capacity / 4;
                if !room {
                    hold.copied.fetch_add(1, Ordering::Relaxed);
                }
                room
            }
        }
    }
}

impl Owned for Receiver {
    type Handle = Consumer;
    fn end(&self) -> &End<Consumer> {
        &self.end
    }
}

impl Resource for Receiver {
    const IMPLEMENTS_DOWN: bool = true;
    fn down<'a>(&'a self, _env: Env<'a>, _pid: LocalPid, _monitor: Monitor) {
        self.end.close();
    }
}

/// The frame, `:empty`, `:busy` or `{:error, fault}`.
#[rustler::nif]
fn recv<'a>(env: Env<'a>, rx: ResourceArc<Receiver>) -> Term<'a> {
    // Relaxed: a call that races with the change may go either way.
    if rx.active.load(Ordering::Relaxed) {
        return answer(env, Err(Fault::active()));
    }
    rx.end.answer(env, |Live { handle, hold }| match rx.take(handle) {
        Ok(frame) => {
            let (leased, mut done) = (rx.leased(hold, frame.len()), Done::default());
            let term = frame::term(env, frame, leased, hold, &mut done);
            charge(env, 0, done.cost());
            Ok(term)
        }
        Err(Error::Empty) => Ok(atoms::empty().encode(env)),
        Err(error) => Err(error.into()),
    })
}

/// A list of 1 to `most` frames, `:empty`, `:busy` or `{:error, fault}`.
#[rustler::nif]
fn recv_many<'a>(env: Env<'a>, rx: ResourceArc<Receiver>, most: usize, feeder: bool) -> Term<'a> {
    // Relaxed: as in `recv`.
    if !feeder && rx.active.load(Ordering::Relaxed) {
        return answer(env, Err(Fault::active()));
    }
    rx.end.answer(env, |Live { handle, hold }| {
        let (mut terms, mut bytes) = (Vec::with_capacity(most.min(BATCH)), 0);
        let mut done = Done::default();
        // Bounded in bytes too: what is taken and not yet copied is room that the producer misses.
        while terms.len() < most.min(BATCH) && bytes < BATCH_BYTES && !done.enough() {
            match rx.take(handle) {
                Ok(frame) => {
                    let leased = rx.leased(hold, frame.len());
                    bytes += frame.len();
                    terms.push(frame::term(env, frame, leased, hold, &mut done));
                }
                Err(error) if terms.is_empty() => {
                    return match error {
                        Error::Empty => Ok(atoms::empty().encode(env)),
                        error => Err(error.into()),
                    };
                }
                Err(error) => {
                    // What was taken is not lost to it; the next call tells.
                    if !matches!(error, Error::Empty) {
                        *lock(&rx.pending) = Some(error);
                    }
                    break;
                }
            }
        }
        charge(env, terms.len(), done.cost());
        Ok(terms.encode(env))
    })
}

/// Has the caller told `{tag, :ready}` when there is something to receive; an id, or an error.
#[rustler::nif]
fn watch<'a>(env: Env<'a>, rx: ResourceArc<Receiver>, tag: Term<'a>) -> Term<'a> {
    rx.end.answer(env, |live| {
        let (hold, tag) = (live.hold.clone(), waiter::Tag::new(tag));
        Ok(waiter::watch(rx.end.id, News::Frames, hold, env.pid(), tag).encode(env))
    })
}

/// `:ready` if a frame waits, `:empty`, `:busy` or `{:error, fault}`. Takes nothing.
#[rustler::nif]
fn readable<'a>(env: Env<'a>, rx: ResourceArc<Receiver>) -> Term<'a> {
    rx.end.answer(env, |Live { handle, .. }| match handle.ready(&Wait::no()) {
        Ok(()) => Ok(atoms::ready().encode(env)),
        Err(Error::Empty) => Ok(atoms::empty().encode(env)),
        Err(error) => Err(error.into()),
    })
}

/// `false` if it was told already.
#[rustler::nif]
fn unwatch(id: u64) -> bool {
    waiter::unwatch(id)
}

/// The process that feeds the owner, if one was made, and the owner.
#[rustler::nif]
fn feeder(rx: ResourceArc<Receiver>) -> (Option<LocalPid>, Option<LocalPid>) {
    (*rx.feeder(), rx.end.owner())
}

/// Enters `feeder` if `expected` is the present one. Answers which it is then.
#[rustler::nif]
fn set_feeder(
    rx: ResourceArc<Receiver>,
    expected: Option<LocalPid>,
    feeder: Option<LocalPid>,
) -> Option<LocalPid> {
    let mut present = rx.feeder();
    if *present == expected {
        *present = feeder;
    }
    *present
}

#[rustler::nif]
fn set_active(rx: ResourceArc<Receiver>, active: bool) -> Atom {
    rx.active.store(active, Ordering::Relaxed);
    atoms::ok()
}

#[rustler::nif]
fn close_consumer<'a>(env: Env<'a>, rx: ResourceArc<Receiver>, tag: Term<'a>) -> Term<'a> {
    ring::left(rx.end.close_and_tell(env.pid(), tag)).encode(env)
}

#[rustler::nif]
fn hand_over_consumer<'a>(env: Env<'a>, rx: ResourceArc<Receiver>, pid: LocalPid) -> Term<'a> {
    answer(env, end::hand_over(env, &rx, pid).map(|()| atoms::ok().encode(env)))
}
