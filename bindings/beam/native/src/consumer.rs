//! Receiving.

use crate::attachment::Hold;
use crate::counts::Tally;
use crate::end::{self, End, Live, Owned};
use crate::error::{Fault, answer};
use crate::expect::Expects;
use crate::frame::{self, Done, Frames, Taken, Told};
use crate::lease::Ledger;
use crate::waiter::{self, News};
use crate::{atoms, charge, ring};
use rustler::{
    Atom, Decoder, Encoder, Env, LocalPid, Monitor, NifResult, Resource, ResourceArc, Term,
};
use slipring::{Consumer, Delivery, Error, Inspection, Segment, Wait};
use slipring_frames::follows;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

/// Bodies up to this length are copied out, where the consumer leaves the choice.
const COPY_UP_TO: usize = 64 << 10;
/// Leases beyond which bodies are copied, where the consumer leaves the choice.
const LEASES: usize = 8;
/// The most frames that one call takes, and the bytes at which it takes no more.
const BATCH: usize = 64;
const BATCH_BYTES: u64 = 1 << 20;

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

/// A consumer, and what it has handed out.
pub(crate) struct Taker {
    /// How its tables are read.
    pub(crate) expects: Expects,
    /// A frame that a reader of tables has met and that is not its own: whoever takes one next has it first.
    kept: Option<slipring::Frame>,
    // Dropped in this order: from then on nothing can be acknowledged, and what is open goes back.
    consumer: Consumer,
    /// Where frames are to be acknowledged.
    ledger: Option<Ledger>,
    tally: Tally,
    /// Length of the last body, if it was one to be leased where the consumer leaves the choice; else 0.
    large: usize,
    /// It was said that there is no room for such a lease.
    crowded: bool,
}

impl Taker {
    /// With a limit, frames are to be acknowledged, and so many may be open.
    pub(crate) fn new(segment: &Segment, limit: Option<u32>) -> Result<Self, Error> {
        let delivery = limit.map_or(Delivery::AtMostOnce, |limit| Delivery::AtLeastOnce { limit });
        let consumer = segment.consumer_with(delivery)?;
        let (expects, ledger) = (Expects::default(), limit.map(Ledger::new));
        let (tally, large, crowded) = (Tally::new(), 0, false);
        Ok(Self { expects, kept: None, consumer, ledger, tally, large, crowded })
    }

    /// Whether the next body, if it is as large as the last, would be copied for want of room.
    fn is_crowded(&self, hold: &Hold) -> bool {
        self.large > 0 && !may_lease(hold, self.large)
    }

    /// The same of one that is there, said once: who asks again has done what he could, and goes on.
    fn tells_crowded(&mut self, hold: &Hold) -> bool {
        self.crowded =
            !self.crowded && self.is_crowded(hold) && self.consumer.ready(&Wait::no()).is_ok();
        self.crowded
    }
}

/// Whether there is room for one more lease that nobody has asked for.
fn may_lease(hold: &Hold, len: usize) -> bool {
    // Relaxed: a bound that is a little off does no harm.
    hold.leases.load(Ordering::Relaxed) < LEASES
        && hold.leased.load(Ordering::Relaxed) + len as u64 <= hold.room
}

/// Who asks for many frames.
#[derive(Clone, Copy, PartialEq)]
enum Caller {
    /// For the first of a list.
    First,
    /// For more of the same list.
    Rest,
    Feeder,
}

impl<'a> Decoder<'a> for Caller {
    fn decode(term: Term<'a>) -> NifResult<Self> {
        match Atom::from_term(term)? {
            caller if caller == atoms::first() => Ok(Self::First),
            caller if caller == atoms::rest() => Ok(Self::Rest),
            caller if caller == atoms::feeder() => Ok(Self::Feeder),
            _ => Err(rustler::Error::BadArg),
        }
    }
}

/// The consuming end, as a resource.
pub(crate) struct Receiver {
    end: End<Taker>,
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
    pub(crate) fn new(end: End<Taker>, policy: Policy) -> Self {
        let (active, feeder, pending) =
            (AtomicBool::new(false), Mutex::new(None), Mutex::new(None));
        Self { end, policy, active, feeder, pending }
    }

    fn feeder(&self) -> MutexGuard<'_, Option<LocalPid>> {
        lock(&self.feeder)
    }

    /// The next frame, or what the last batch met.
    fn take(&self, handle: &mut Taker) -> Result<slipring::Frame, Error> {
        match lock(&self.pending).take() {
            Some(error) => Err(error),
            None => match handle.kept.take() {
                Some(kept) => Ok(kept),
                None => handle.consumer.recv(&Wait::no()),
            },
        }
    }

    /// What `step` makes of the next frame, `:empty`, `:busy`, `{:error, fault}`, or `{:crowded, bytes}`: it would be copied if it
    /// is like the last, of so many bytes, and what keeps others in place may be garbage.
    fn recv<'a>(
        &self,
        env: Env<'a>,
        step: impl FnOnce(slipring::Frame, &mut Live<Taker>) -> Result<Term<'a>, Fault>,
    ) -> Term<'a> {
        // Relaxed: a call that races with the change may go either way.
        if self.active.load(Ordering::Relaxed) {
            return answer(env, Err(Fault::active()));
        }
        self.end.answer(env, |live| {
            if live.handle.tells_crowded(&live.hold) {
                return Ok((atoms::crowded(), live.handle.large).encode(env));
            }
            match self.take(&mut live.handle) {
                Ok(frame) => step(frame, live),
                Err(Error::Empty) => Ok(atoms::empty().encode(env)),
                Err(error) => Err(error.into()),
            }
        })
    }

    /// A frame that is the only one of a call.
    fn only<'a>(
        &self,
        env: Env<'a>,
        frame: slipring::Frame,
        live: &mut Live<Taker>,
    ) -> Result<Term<'a>, Fault> {
        let mut done = Done::default();
        let told = self.tell(env, frame, live, &mut done);
        charge(env, 0, done.cost());
        Ok(told.tuple(env))
    }

    /// A frame that was taken.
    fn tell<'a>(
        &self,
        env: Env<'a>,
        frame: slipring::Frame,
        live: &mut Live<Taker>,
        done: &mut Done,
    ) -> Told<'a> {
        let leased = self.leased(live, frame.len());
        let Taker { ledger, tally, expects, .. } = &mut live.handle;
        let route = expects.route(&frame, &live.hold.schemas);
        let taken = Taken { frame, leased, route };
        frame::tell(env, taken, &live.hold, ledger.as_mut(), tally, done)
    }

    /// The next frame of a call that has taken others.
    fn next<'a>(
        &self,
        env: Env<'a>,
        live: &mut Live<Taker>,
        done: &mut Done,
    ) -> Result<Told<'a>, Error> {
        let Taker { consumer, ledger, tally, large, .. } = &mut live.handle;
        if self.policy != Policy::Always && ledger.is_none() {
            let told = consumer.recv_small(frame::is_small, |header, bytes| {
                frame::tell_small(env, header, bytes, tally, done)
            })?;
            if let Some(told) = told {
                *large = 0;
                return Ok(told);
            }
        }
        let frame = consumer.recv(&Wait::no())?;
        Ok(self.tell(env, frame, live, done))
    }

    /// Does `step` with the handle, as a term.
    pub(crate) fn answer<'a>(
        &self,
        env: Env<'a>,
        step: impl FnOnce(&mut Live<Taker>) -> Result<Term<'a>, Fault>,
    ) -> Term<'a> {
        self.end.answer(env, step)
    }

    /// Whether a body of `len` bytes is leased; else it is copied.
    fn leased(&self, live: &mut Live<Taker>, len: usize) -> bool {
        live.handle.large = 0;
        match self.policy {
            Policy::Always => true,
            Policy::Never => false,
            Policy::Auto if len <= COPY_UP_TO => false,
            Policy::Auto => {
                live.handle.large = len;
                let room = may_lease(&live.hold, len);
                if !room {
                    // Relaxed: a count.
                    live.hold.copied.fetch_add(1, Ordering::Relaxed);
                }
                room
            }
        }
    }
}

impl Owned for Receiver {
    type Handle = Taker;
    fn end(&self) -> &End<Taker> {
        &self.end
    }
}

impl Resource for Receiver {
    const IMPLEMENTS_DOWN: bool = true;
    fn down<'a>(&'a self, _env: Env<'a>, _pid: LocalPid, _monitor: Monitor) {
        self.end.close();
    }
}

/// The frame, or as [`Receiver::recv`].
#[rustler::nif]
fn recv<'a>(env: Env<'a>, rx: ResourceArc<Receiver>) -> Term<'a> {
    rx.recv(env, |frame, live| rx.only(env, frame, live))
}

/// The same, if the frame is the next one of a stream of tables; `last` is `{producer, sequence}` of the one before, or `nil`. What
/// another call can read is there for it.
#[rustler::nif]
fn recv_table<'a>(env: Env<'a>, rx: ResourceArc<Receiver>, last: Option<(u32, u64)>) -> Term<'a> {
    rx.recv(env, |frame, live| match follows(frame.header(), last) {
        Ok(_) => rx.only(env, frame, live),
        Err(misfit) => {
            if misfit.keep {
                live.handle.kept = Some(frame);
            }
            Err(Fault::stream(&misfit))
        }
    })
}

/// A dead letter, `:empty`, `:busy` or `{:error, fault}`. All words of the pool may be looked at.
#[rustler::nif(schedule = "DirtyCpu")]
fn recv_dead<'a>(env: Env<'a>, rx: ResourceArc<Receiver>) -> Term<'a> {
    rx.end.answer(env, |live| {
        Ok(match live.handle.consumer.recv_dead()? {
            Some(frame) => rx.tell(env, frame, live, &mut Done::default()).tuple(env),
            None => atoms::empty().encode(env),
        })
    })
}

/// A list of 1 to `most` frames, `{:unfinished, list}` where some of them are tuples of which frames are to be made, `:empty`, `:busy`,
/// `{:crowded, bytes}` as in `recv`, `{:error, fault}`, or, to the feeder, `:spent`: it is to wait until frames are acknowledged. `blank`
/// is a `Slipring.Frame` that the caller has just made, and whose sequence is `most`.
#[rustler::nif]
fn recv_many<'a>(
    env: Env<'a>,
    rx: ResourceArc<Receiver>,
    most: Term<'a>,
    caller: Caller,
    blank: Term<'a>,
) -> NifResult<Term<'a>> {
    let count: usize = most.decode()?;
    let feeder = caller == Caller::Feeder;
    // Relaxed: as in `recv`.
    if !feeder && rx.active.load(Ordering::Relaxed) {
        return Ok(answer(env, Err(Fault::active())));
    }
    Ok(rx.end.answer(env, |live| {
        // More of a list are no reason to copy: the caller has the others still.
        if match caller {
            Caller::Rest => live.handle.is_crowded(&live.hold),
            Caller::First | Caller::Feeder => live.handle.tells_crowded(&live.hold),
        } {
            return Ok((atoms::crowded(), live.handle.large).encode(env));
        }
        let (mut bytes, mut done) = (0, Done::default());
        let mut told = match rx.take(&mut live.handle) {
            Ok(frame) => rx.tell(env, frame, live, &mut done),
            Err(Error::Empty) => return Ok(atoms::empty().encode(env)),
            Err(Error::Unacknowledged { .. }) if feeder => return Ok(atoms::spent().encode(env)),
            Err(Error::ShareHeld { .. }) if feeder => return Ok(atoms::held().encode(env)),
            Err(error) => return Err(error.into()),
        };
        let (mut terms, mut unfinished) = (Vec::with_capacity(count.min(BATCH)), false);
        let mut frames = Frames::like(env, blank, most);
        loop {
            bytes += told.body_len();
            terms.push(told.frame(env, &mut frames).unwrap_or_else(|| {
                unfinished = true;
                told.tuple(env)
            }));
            // Bounded in bytes too: what is taken and not yet copied is room that the producer misses.
            if terms.len() >= count.min(BATCH)
                || bytes >= BATCH_BYTES
                || done.enough()
                || live.handle.is_crowded(&live.hold)
            {
                break;
            }
            told = match rx.next(env, live, &mut done) {
                Ok(told) => told,
                Err(Error::Empty | Error::Unacknowledged { .. } | Error::ShareHeld { .. }) => break,
                Err(error) => {
                    // What was taken is not lost to it; the next call tells.
                    *lock(&rx.pending) = Some(error);
                    break;
                }
            };
        }
        charge(env, terms.len(), done.cost());
        Ok(match unfinished {
            true => (atoms::unfinished(), terms).encode(env),
            false => terms.encode(env),
        })
    }))
}

/// Has the caller told `{tag, :ready}` when there is something to receive; an id, `:busy` where something was kept since it has looked, or
/// an error.
#[rustler::nif]
fn watch<'a>(env: Env<'a>, rx: ResourceArc<Receiver>, tag: Term<'a>) -> Term<'a> {
    rx.end.answer(env, |live| {
        // The ring would not tell.
        if live.handle.kept.is_some() {
            return Ok(atoms::busy().encode(env));
        }
        let (hold, tag) = (live.hold.clone(), waiter::Tag::new(tag));
        Ok(waiter::watch(rx.end.id, News::Frames, hold, env.pid(), tag).encode(env))
    })
}

/// The same when frames that are open are acknowledged or given back.
#[rustler::nif]
fn watch_credit<'a>(env: Env<'a>, rx: ResourceArc<Receiver>, tag: Term<'a>) -> Term<'a> {
    rx.end.answer(env, |live| {
        let credit = live.handle.ledger.as_ref().map(|ledger| ledger.credit.clone());
        let news = credit.map_or(News::Frames, News::Credit);
        let (hold, tag) = (live.hold.clone(), waiter::Tag::new(tag));
        Ok(waiter::watch(rx.end.id, news, hold, env.pid(), tag).encode(env))
    })
}

/// `:ready` if a frame waits, `:empty`, `:spent`, `:busy` or `{:error, fault}`. Takes nothing.
#[rustler::nif]
fn readable<'a>(env: Env<'a>, rx: ResourceArc<Receiver>) -> Term<'a> {
    rx.end.answer(env, |live| {
        if live.handle.ledger.as_ref().is_some_and(|ledger| !ledger.credit.left()) {
            return Ok(atoms::spent().encode(env));
        }
        if live.handle.kept.is_some() {
            return Ok(atoms::ready().encode(env));
        }
        match live.handle.consumer.ready(&Wait::no()) {
            Ok(()) => Ok(atoms::ready().encode(env)),
            Err(Error::Empty) => Ok(atoms::empty().encode(env)),
            Err(error) => Err(error.into()),
        }
    })
}

/// `{:ok, path, why}`: where no frame comes from, and who is to send one; or `{:error, fault}`.
#[rustler::nif(schedule = "DirtyCpu")]
fn why_empty<'a>(env: Env<'a>, rx: ResourceArc<Receiver>) -> Term<'a> {
    let why = rx.end.hold().map(|hold| ring::told(env, &hold, Inspection::why_empty));
    answer(env, why)
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

/// As `close_producer`, or `:large`: it is for `close_consumer_large`.
#[rustler::nif]
fn close_consumer<'a>(env: Env<'a>, rx: ResourceArc<Receiver>, tag: Term<'a>) -> Term<'a> {
    if let Ok(true) = rx.end.with(|live| live.handle.expects.wants()) {
        return atoms::large().encode(env);
    }
    ring::left(rx.end.close_and_tell(env.pid(), tag)).encode(env)
}

/// The same, where something is to be taken back before.
#[rustler::nif(schedule = "DirtyIo")]
fn close_consumer_large<'a>(env: Env<'a>, rx: ResourceArc<Receiver>, tag: Term<'a>) -> Term<'a> {
    // A call that uses the handle leaves it to the thread.
    let _ = rx.end.with(|live| live.handle.expects.unwant());
    ring::left(rx.end.close_and_tell(env.pid(), tag)).encode(env)
}

#[rustler::nif]
fn hand_over_consumer<'a>(env: Env<'a>, rx: ResourceArc<Receiver>, pid: LocalPid) -> Term<'a> {
    answer(env, end::hand_over(env, &rx, pid).map(|()| atoms::ok().encode(env)))
}
