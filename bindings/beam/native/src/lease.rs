//! Leases, and the binaries that lie in them.
//!
//! 1. The frame is shared by its lease and by one pin for each binary that was made in it. Its block
//!    is free when the last of them is gone.
//! 2. Releasing takes the lease's share away: at once if there is no pin, else with the last one.
//! 3. Each frame of a batch has a lease of its own. One for all of them would save allocations, but a
//!    single binary that somebody keeps would hold the memory of the whole batch, and release would
//!    free none of it.
//! 4. Pins and leases are dropped by the garbage collector, on any scheduler: that is a step on a
//!    counter, and for the last one the frame's own release, atomics both.

use crate::attachment::Hold;
use crate::error::{Fault, answer};
use crate::{atoms, frame};
use rustler::{Binary, Encoder, Env, Resource, ResourceArc, Term};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard};

/// A frame that Elixir holds.
pub(crate) struct Lease(Mutex<Option<Arc<Leased>>>);

struct Leased {
    // Dropped in this order.
    frame: slipring::Frame,
    hold: Hold,
}

/// A binary's share of a frame.
struct Pin(Arc<Leased>);

impl Resource for Lease {}
impl Resource for Pin {}

pub(crate) fn register(env: Env<'_>) -> bool {
    env.register::<Lease>().is_ok() && env.register::<Pin>().is_ok()
}

impl Drop for Leased {
    fn drop(&mut self) {
        self.hold.leases.fetch_sub(1, Ordering::Relaxed);
        self.hold.leased.fetch_sub(self.frame.len() as u64, Ordering::Relaxed);
    }
}

impl Lease {
    pub(crate) fn new(frame: slipring::Frame, hold: Hold) -> Self {
        hold.leases.fetch_add(1, Ordering::Relaxed);
        hold.leased.fetch_add(frame.len() as u64, Ordering::Relaxed);
        Self(Mutex::new(Some(Arc::new(Leased { frame, hold }))))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Leased>>> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn leased(&self) -> Result<Arc<Leased>, Fault> {
        self.lock().clone().ok_or_else(Fault::released)
    }
}

/// The content as a view on the segment.
#[rustler::nif]
fn content<'a>(env: Env<'a>, lease: ResourceArc<Lease>) -> Term<'a> {
    let view = || {
        let leased = lease.leased()?;
        let body = frame::open(&leased.frame)?;
        frame::content(env, &body, |bytes| {
            // Where in the frame: the pin finds the same bytes in its own share of it.
            let start = bytes.as_ptr() as usize - leased.frame.as_ptr() as usize;
            let pin = ResourceArc::new(Pin(leased.clone()));
            pin.make_binary(env, |pin| &pin.0.frame[start..start + bytes.len()]).to_term(env)
        })
    };
    answer(env, view())
}

/// `{content, meta}`, the content copied; the frame is released.
#[rustler::nif(schedule = "DirtyCpu")]
fn copy_out<'a>(env: Env<'a>, lease: ResourceArc<Lease>) -> Term<'a> {
    let copied = || {
        let leased = lease.leased()?;
        let body = frame::open(&leased.frame)?;
        Ok((frame::copied(env, &body)?, frame::metadata(env, &body)?))
    };
    let copied: Result<_, Fault> = copied();
    drop(lease.lock().take());
    let nil = atoms::nil().encode(env);
    copied.unwrap_or_else(|fault| ((atoms::error(), fault).encode(env), nil)).encode(env)
}

/// `{:ok, meta}` or `{:error, fault}`.
#[rustler::nif(schedule = "DirtyCpu")]
fn read_meta<'a>(env: Env<'a>, lease: ResourceArc<Lease>) -> Term<'a> {
    let meta = || {
        let leased = lease.leased()?;
        let meta = frame::metadata(env, &frame::open(&leased.frame)?)?;
        Ok((atoms::ok(), meta).encode(env))
    };
    answer(env, meta())
}

/// `:ok`, `:deferred` while binaries lie in the frame, or `{:error, fault}` the second time.
#[rustler::nif]
fn release<'a>(env: Env<'a>, lease: ResourceArc<Lease>) -> Term<'a> {
    let released = lease.lock().take().ok_or_else(Fault::released);
    let outcome = |leased: Arc<Leased>| {
        let last = Arc::strong_count(&leased) == 1;
        if last { atoms::ok() } else { atoms::deferred() }.encode(env)
    };
    answer(env, released.map(outcome))
}

/// Whether the bytes lie in the segment that the frame came through.
#[rustler::nif]
fn in_place<'a>(env: Env<'a>, lease: ResourceArc<Lease>, bytes: Binary<'a>) -> Term<'a> {
    let mapped = lease.leased().map(|leased| leased.hold.segment.mapped());
    let inside = |mapped: std::ops::Range<usize>| {
        let start = bytes.as_slice().as_ptr() as usize;
        mapped.start <= start && start + bytes.len() <= mapped.end
    };
    answer(env, mapped.map(|mapped| inside(mapped).encode(env)))
}
