//! Leases: the frames that Elixir holds, and the binaries that lie in them.
//!
//! 1. A frame is shared by its lease and by one pin for each binary that was made in it. Its block
//!    is free, or goes back to be delivered again, when the last of them is gone.
//! 2. A lease is held until it is released, given back, or, where its bytes were copied, acknowledged.
//!    Then its share goes: at once if there is no pin, else with the last one.
//! 3. What is not acknowledged is given back: when it is released, when it is garbage, and when its
//!    consumer is closed, which knows the leases that are open. The last does not wait for a garbage
//!    collection.
//! 4. Each frame of a batch has a lease of its own. One for all of them would save allocations, but a
//!    single binary that somebody keeps would hold the memory of the whole batch, and release would
//!    free none of it.
//! 5. Pins and leases are dropped by the garbage collector, on any scheduler: that is a step on a
//!    counter, and for the last one the frame's own release: atomics, and the wake of who waits for the
//!    space, for the frame, or for credit.

use crate::attachment::Hold;
use crate::credit::Credit;
use crate::error::{Fault, answer};
use crate::expect::Route;
use crate::frame::Taken;
use crate::value::terms::Word;
use crate::value::{self, Most};
use crate::{atoms, counts, frame, table};
use rustler::{Binary, Encoder, Env, Resource, ResourceArc, Term};
use slipring::Error;
use std::cell::OnceCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};

/// A frame that Elixir holds.
pub(crate) struct Lease {
    share: Arc<Share>,
    /// If its table is read as an expected one.
    route: Option<ResourceArc<Route>>,
    /// The frame was, or is about to be, copied: the lease is there for its acknowledgement only.
    copied: bool,
}

/// What a lease has of its frame.
struct Share(Mutex<State>);

enum State {
    Held(Arc<Leased>),
    /// Over, and never delivered again.
    Acknowledged,
    /// Over, and delivered again as soon as no pin is left.
    GivenBack,
}

struct Leased {
    // Dropped in this order. One that is not acknowledged goes back, and then there is credit for it: it
    // may be the very next that its consumer takes.
    frame: slipring::Frame,
    hold: Hold,
    /// Counted among the leases of the attachment.
    in_place: bool,
    /// What is to be told when it is acknowledged or given back.
    owed: Option<Owed>,
}

/// Settled when the frame is acknowledged or given back, at the latest when it is gone.
struct Owed {
    credit: Arc<Credit>,
    settled: AtomicBool,
}

impl Owed {
    fn settle(&self) {
        // Relaxed: one of several decides, and nothing else hangs on it.
        if !self.settled.swap(true, Ordering::Relaxed) {
            self.credit.settled();
        }
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        self.settle();
    }
}

/// A binary's share of a frame.
struct Pin(Arc<Leased>);

impl Resource for Lease {}
impl Resource for Pin {}

pub(crate) fn register(env: Env<'_>) -> bool {
    env.register::<Lease>().is_ok() && env.register::<Pin>().is_ok()
}

/// The leases that a consumer has handed out and that are not acknowledged. They are given back when
/// it is dropped.
pub(crate) struct Ledger {
    pub(crate) credit: Arc<Credit>,
    open: Vec<Weak<Share>>,
    /// At so many, those that are settled are forgotten.
    most: usize,
}

/// Entries of a ledger that are few enough to be kept for nothing.
const FEW: usize = 64;

impl Ledger {
    pub(crate) fn new(limit: u32) -> Self {
        Self { credit: Arc::new(Credit::new(limit)), open: Vec::new(), most: FEW }
    }

    fn note(&mut self, share: &Arc<Share>) {
        if self.open.len() >= self.most {
            self.open.retain(|share| share.upgrade().is_some_and(|share| share.is_open()));
            self.most = FEW.max(2 * self.open.len());
        }
        self.open.push(Arc::downgrade(share));
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        for share in self.open.iter().filter_map(Weak::upgrade) {
            // One that was acknowledged stays as it is.
            let _ = share.give_back();
        }
    }
}

impl Leased {
    fn settle(&self) {
        if let Some(owed) = &self.owed {
            owed.settle();
        }
    }

    fn is_open(&self) -> bool {
        self.owed.as_ref().is_some_and(|owed| !owed.settled.load(Ordering::Relaxed))
    }

    fn ack(&self) -> Result<(), Error> {
        let acked = self.frame.ack();
        self.settle();
        acked
    }

    /// Drops a share. Answers whether it was the last.
    fn let_go(self: Arc<Self>) -> bool {
        let last = Arc::strong_count(&self) == 1;
        if !last {
            self.settle();
        }
        last
    }
}

impl Drop for Leased {
    fn drop(&mut self) {
        if self.in_place {
            self.hold.leases.fetch_sub(1, Ordering::Relaxed);
            self.hold.leased.fetch_sub(self.frame.len() as u64, Ordering::Relaxed);
        }
    }
}

impl Share {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn is_open(&self) -> bool {
        matches!(&*self.lock(), State::Held(leased) if leased.is_open())
    }

    /// The frame, if the lease is held.
    fn leased(&self) -> Result<Arc<Leased>, Fault> {
        match &*self.lock() {
            State::Held(leased) => Ok(leased.clone()),
            State::Acknowledged => Err(Fault::released()),
            State::GivenBack => Err(Fault::given_back()),
        }
    }

    /// Ends the lease. Answers its share of the frame, to be dropped outside the lock.
    fn end(state: &mut State, how: State) -> Option<Arc<Leased>> {
        match std::mem::replace(state, how) {
            State::Held(leased) => Some(leased),
            State::Acknowledged | State::GivenBack => None,
        }
    }

    fn ack(&self, copied: bool) -> Result<(), Error> {
        let mut state = self.lock();
        let (acked, ended) = match &*state {
            State::Acknowledged => (Ok(()), None),
            State::GivenBack => (Err(Error::GivenBack), None),
            State::Held(leased) => match leased.ack() {
                Ok(()) if copied => (Ok(()), Self::end(&mut state, State::Acknowledged)),
                Err(Error::GivenBack) => {
                    (Err(Error::GivenBack), Self::end(&mut state, State::GivenBack))
                }
                acked => (acked, None),
            },
        };
        drop(state);
        ended.map(Leased::let_go);
        acked
    }

    fn give_back(&self) -> Result<(), Error> {
        let mut state = self.lock();
        let (given, ended) = match &*state {
            State::Acknowledged => (Err(Error::Acknowledged), None),
            State::GivenBack => (Ok(()), None),
            State::Held(leased) => match leased.frame.nack() {
                Ok(()) => (Ok(()), Self::end(&mut state, State::GivenBack)),
                refused => (refused, None),
            },
        };
        drop(state);
        ended.map(Leased::let_go);
        given
    }

    /// Answers whether the frame is free, if the lease was held.
    fn release(&self) -> Option<bool> {
        let mut state = self.lock();
        let State::Held(leased) = &*state else { return None };
        let how = match leased.is_open() && leased.frame.nack().is_ok() {
            true => State::GivenBack,
            false => State::Acknowledged,
        };
        let ended = Self::end(&mut state, how);
        drop(state);
        ended.map(Leased::let_go)
    }
}

impl Lease {
    /// With a ledger, the frame is to be acknowledged.
    pub(crate) fn new(
        Taken { frame, leased: in_place, route }: Taken,
        hold: Hold,
        copied: bool,
        ledger: Option<&mut Ledger>,
    ) -> Self {
        if in_place {
            hold.leases.fetch_add(1, Ordering::Relaxed);
            hold.leased.fetch_add(frame.len() as u64, Ordering::Relaxed);
        }
        let owed = ledger.as_ref().map(|ledger| {
            ledger.credit.taken();
            Owed { credit: ledger.credit.clone(), settled: AtomicBool::new(false) }
        });
        let leased = Arc::new(Leased { frame, hold, in_place, owed });
        let share = Arc::new(Share(Mutex::new(State::Held(leased))));
        if let Some(ledger) = ledger {
            ledger.note(&share);
        }
        Self { share, route, copied }
    }
}

/// `{content, meta, lease}` as read by `read`. Without content in place, the lease is `nil` unless the
/// frame is to be acknowledged.
fn read_later<'a>(
    env: Env<'a>,
    lease: &ResourceArc<Lease>,
    read: impl FnOnce(&Leased) -> Result<(Term<'a>, Term<'a>), Fault>,
) -> Term<'a> {
    let nil = atoms::nil().encode(env);
    let leased = lease.share.leased();
    let owed = leased.as_ref().is_ok_and(|leased| leased.owed.is_some());
    let outcome = leased.and_then(|leased| read(&leased));
    let keep = owed || (outcome.is_ok() && !lease.copied);
    if !keep {
        lease.share.release();
    }
    let (content, meta) =
        outcome.unwrap_or_else(|fault| ((atoms::error(), fault).encode(env), nil));
    (content, meta, keep.then_some(lease)).encode(env)
}

/// `{content, meta, lease}`, the content copied.
#[rustler::nif(schedule = "DirtyCpu")]
fn copy_out<'a>(env: Env<'a>, lease: ResourceArc<Lease>) -> Term<'a> {
    read_later(env, &lease, |leased| {
        let body = frame::open(&leased.frame)?;
        let content = counts::here(|tally| {
            frame::copied(env, &leased.frame, &body, &leased.hold, lease.route.as_ref(), tally)
        })?;
        Ok((content, frame::metadata(env, &body)?))
    })
}

/// `{nil, meta, lease}`, the content left in place.
#[rustler::nif(schedule = "DirtyCpu")]
fn read_meta<'a>(env: Env<'a>, lease: ResourceArc<Lease>) -> Term<'a> {
    read_later(env, &lease, |leased| {
        Ok((atoms::nil().encode(env), frame::metadata(env, &frame::open(&leased.frame)?)?))
    })
}

/// A binary of bytes of the frame, in the segment.
fn pinned<'a>(env: Env<'a>, leased: &Arc<Leased>, bytes: &[u8]) -> Term<'a> {
    // Where in the frame: the pin finds the same bytes in its own share of it.
    let start = bytes.as_ptr() as usize - leased.frame.as_ptr() as usize;
    let pin = ResourceArc::new(Pin(leased.clone()));
    pin.make_binary(env, |pin| &pin.0.frame[start..start + bytes.len()]).to_term(env)
}

/// The content as a view on the segment; counted where it was `asked` for.
#[rustler::nif]
fn content<'a>(env: Env<'a>, lease: ResourceArc<Lease>, asked: bool) -> Term<'a> {
    let view = || {
        let leased = lease.share.leased()?;
        let body = frame::open(&leased.frame)?;
        let (header, whole) = (leased.frame.header(), &leased.frame);
        let made = frame::content(env, header, whole, &body, |bytes| pinned(env, &leased, bytes))?;
        if asked {
            counts::here(|tally| frame::count(leased.frame.len(), &body, tally));
        }
        Ok(made)
    };
    answer(env, view())
}

/// The value: `{term, notes}`, `:large` for `decode_lease_large`, or `{:error, fault}`. Nothing of it lies in
/// the segment but what is large.
#[rustler::nif]
fn decode_lease<'a>(
    env: Env<'a>,
    lease: ResourceArc<Lease>,
    options: u32,
    forms: Term<'a>,
) -> Term<'a> {
    decoded(env, &lease, options, forms, Most::Normal)
}

#[rustler::nif(schedule = "DirtyCpu")]
fn decode_lease_large<'a>(
    env: Env<'a>,
    lease: ResourceArc<Lease>,
    options: u32,
    forms: Term<'a>,
) -> Term<'a> {
    decoded(env, &lease, options, forms, Most::All)
}

fn decoded<'a>(env: Env<'a>, lease: &Lease, options: u32, forms: Term<'a>, most: Most) -> Term<'a> {
    let read = || {
        let leased = lease.share.leased()?;
        let body = frame::open(&leased.frame)?;
        // One pin for all views, and none where there is no view.
        let pin = OnceCell::new();
        let view = |bytes: &[u8]| {
            let whole = *pin.get_or_init(|| Word::from(pinned(env, &leased, &leased.frame)));
            value::view_of(env, whole, &leased.frame, bytes)
        };
        let whole = &leased.frame;
        value::read_body(env, &body, whole, &view, options, value::forms(env, forms), most)
    };
    answer(env, read())
}

/// The table, its columns views on the segment, as it is expected or as it was written: as `table` gives it, `:large` for `table_lease_large`, or
/// `{:error, fault}`.
#[rustler::nif]
fn table_lease<'a>(env: Env<'a>, lease: ResourceArc<Lease>, as_written: bool) -> Term<'a> {
    tabled(env, &lease, as_written, Most::Normal)
}

#[rustler::nif(schedule = "DirtyCpu")]
fn table_lease_large<'a>(env: Env<'a>, lease: ResourceArc<Lease>, as_written: bool) -> Term<'a> {
    tabled(env, &lease, as_written, Most::All)
}

fn tabled<'a>(env: Env<'a>, lease: &Lease, as_written: bool, most: Most) -> Term<'a> {
    let read = || {
        let leased = lease.share.leased()?;
        let body = frame::open(&leased.frame)?;
        // One pin for all columns.
        let pin = OnceCell::new();
        let view = |bytes: &[u8]| {
            let whole = *pin.get_or_init(|| Word::from(pinned(env, &leased, &leased.frame)));
            value::view_of(env, whole, &leased.frame, bytes)
        };
        let under = leased.hold.schemas.of(&leased.frame)?;
        let under = under.as_ref().map(|under| under.bytes());
        let route = lease.route.as_ref().filter(|_| !as_written);
        table::read_body(env, &body, &leased.frame, (under, route), &view, most)
    };
    answer(env, read())
}

/// What the frame holds, as a map.
#[rustler::nif(schedule = "DirtyCpu")]
fn describe_lease<'a>(env: Env<'a>, lease: ResourceArc<Lease>, forms: Term<'a>) -> Term<'a> {
    let described = || {
        let leased = lease.share.leased()?;
        value::described(env, &frame::open(&leased.frame)?, forms)
    };
    answer(env, described())
}

/// `:ok`, `:deferred` while binaries lie in the frame, or `{:error, fault}` the second time.
#[rustler::nif]
fn release<'a>(env: Env<'a>, lease: ResourceArc<Lease>) -> Term<'a> {
    let outcome = match lease.share.release() {
        Some(false) => Ok(atoms::deferred()),
        None if !lease.copied => Err(Fault::released()),
        _ => Ok(atoms::ok()),
    };
    answer(env, outcome.map(|outcome| outcome.encode(env)))
}

/// `:ok` or `{:error, fault}`.
#[rustler::nif]
fn ack<'a>(env: Env<'a>, lease: ResourceArc<Lease>) -> Term<'a> {
    settled(env, lease.share.ack(lease.copied))
}

/// `:ok` or `{:error, fault}`.
#[rustler::nif]
fn nack<'a>(env: Env<'a>, lease: ResourceArc<Lease>) -> Term<'a> {
    settled(env, lease.share.give_back())
}

fn settled(env: Env<'_>, outcome: Result<(), Error>) -> Term<'_> {
    answer(env, outcome.map(|()| atoms::ok().encode(env)).map_err(Fault::from))
}

/// Whether the bytes lie in the segment that the frame came through.
#[rustler::nif]
fn in_place<'a>(env: Env<'a>, lease: ResourceArc<Lease>, bytes: Binary<'a>) -> Term<'a> {
    let mapped = lease.share.leased().map(|leased| leased.hold.segment.mapped());
    let inside = |mapped: std::ops::Range<usize>| {
        let start = bytes.as_slice().as_ptr() as usize;
        mapped.start <= start && start + bytes.len() <= mapped.end
    };
    answer(env, mapped.map(|mapped| inside(mapped).encode(env)))
}
