//! The two ends of a ring: reserve, commit, send; receive, view, release.
//!
//! Here the parts meet: the order of `spsc`, the words of `block`, the space of `pool`, the event
//! counts of `wait`. A frame is complete before it is placed, and its lease is on record before the
//! head moves on, so a death between any two steps is one that `recovery` can tell.

mod ahead;
mod consumer;
mod producer;

pub use consumer::{Consumer, Delivery, Frame};
pub use producer::{Grant, Producer, Rejected};

use crate::block::{Block, Phase, Word};
use crate::error::Error;
use crate::mpmc::{self, Taker};
use crate::pool::Place;
use crate::returned;
use crate::segment::Mapping;
use crate::sync::{self, Answer};
use crate::wait::{EventCount, TICK};
use std::time::{Duration, Instant};

/// How long to wait for a frame or for room.
#[derive(Clone, Copy)]
#[must_use]
pub struct Wait<'a> {
    limit: Option<Duration>,
    drop_oldest: bool,
    /// `None`: as long as it pays.
    spin: Option<Duration>,
    interrupt: Option<&'a dyn Fn() -> bool>,
}

/// How long a wait looks again and again before it sleeps, where that has paid of late.
const SPIN: Duration = Duration::from_micros(20);

/// Spinning can pay where the other side can run meanwhile. Not asked is where this process may run: who
/// is pinned to one of several processors has its peer on another.
fn several_processors() -> bool {
    static SEVERAL: Answer = Answer::unknown();
    // SAFETY: asks for a number.
    SEVERAL.get(|| unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) > 1 })
}

impl<'a> Wait<'a> {
    fn new(limit: Option<Duration>) -> Self {
        Self { limit, drop_oldest: false, spin: None, interrupt: None }
    }

    /// Not at all.
    #[inline(always)]
    pub const fn no() -> Self {
        Self {
            limit: Some(Duration::ZERO),
            drop_oldest: false,
            spin: Some(Duration::ZERO),
            interrupt: None,
        }
    }

    /// Not at all: a producer that finds the ring full drops the frame that waits longest, and the next
    /// ones, until there is room. On rings that were created for it
    /// ([`Options::drop_oldest`](crate::Options::drop_oldest)). Consumers see the gap in the producers'
    /// sequences, and the count in [`Segment::dropped`](crate::Segment::dropped).
    pub fn drop_oldest() -> Self {
        Self { drop_oldest: true, ..Self::no() }
    }

    /// Until the ring is ready or closed.
    pub fn forever() -> Self {
        Self::new(None)
    }

    /// At most this long.
    pub fn for_up_to(limit: Duration) -> Self {
        Self::new(Some(limit))
    }

    /// Look again and again for this long before sleeping. The default is 20 us as long as that pays: not
    /// on a machine with one processor, and not, but for a trial now and then, where it has been in vain.
    pub fn spin(mut self, spin: Duration) -> Self {
        self.spin = Some(spin);
        self
    }

    /// How long it looks again and again before it sleeps, if nothing else is said `usual`.
    fn spins(&self, mapping: &Mapping, usual: Duration) -> Duration {
        let spin = self.spin.unwrap_or_else(|| {
            if several_processors() && mapping.spinning.pays() { usual } else { Duration::ZERO }
        });
        self.limit.map_or(spin, |limit| spin.min(limit))
    }

    #[inline(always)]
    fn polls(&self) -> bool {
        self.limit == Some(Duration::ZERO)
    }

    #[inline(always)]
    fn drops(&self) -> bool {
        self.drop_oldest
    }

    /// Asks `check` after each signal and every 100 ms; `true` ends the wait with
    /// [`Error::Interrupted`].
    pub fn interrupted_by(mut self, check: &'a dyn Fn() -> bool) -> Self {
        self.interrupt = Some(check);
        self
    }
}

/// Turns of a spin loop that only look; from then on each one rests a little.
const EAGER: u32 = 256;

/// Repeats `attempt` until it has an answer: spinning for as long as `ready` says no, then asleep on
/// `event`.
#[cold]
fn wait_for<T>(
    mapping: &Mapping,
    event: &EventCount,
    wait: &Wait<'_>,
    ready: impl Fn() -> bool,
    mut attempt: impl FnMut() -> Result<Option<T>, Error>,
) -> Result<T, Error> {
    let start = Instant::now();
    let left = |limit: Duration| limit.saturating_sub(start.elapsed());
    let adapts = wait.spin.is_none();
    let spin = wait.spins(mapping, SPIN);
    let mut turns = 0u32;
    loop {
        if ready()
            && let Some(done) = attempt()?
        {
            if adapts && turns > 0 {
                mapping.spinning.ended(true);
            }
            return Ok(done);
        }
        turns = turns.wrapping_add(1);
        if (turns.is_multiple_of(32) || spin.is_zero()) && start.elapsed() >= spin {
            break;
        }
        if turns > EAGER {
            sync::spin();
        }
    }
    if adapts {
        mapping.spinning.ended(false);
    }
    let mut asked = start;
    mapping.before_sleep();
    loop {
        let ticket = event.announce();
        if let Some(done) = attempt()? {
            return Ok(done);
        }
        let limit = wait.limit.map_or(TICK, left);
        if limit.is_zero() {
            return Err(Error::Timeout);
        }
        let signal = event.sleep(ticket, limit);
        if let Some(check) = wait.interrupt
            && (signal || asked.elapsed() >= TICK)
        {
            asked = Instant::now();
            if check() {
                return Err(Error::Interrupted);
            }
        }
        mapping.look_around_now_and_then();
    }
}

/// Takes the frame at the head among many.
#[inline(always)]
fn take_among(taker: &mut Taker, mapping: &Mapping, held: Phase) -> Result<Option<Lease>, Error> {
    let slots = mapping.slots();
    for _ in 0..mpmc::TURNS {
        let Some(front) = taker.front(slots, |reference| mapping.word(reference))? else {
            return Ok(None);
        };
        if u64::from(front.entry.reference) < mapping.geometry.slots {
            // A locked instruction is next, and later loads wait for it. By the place, and not by what the
            // slot says: most frames of cells lie at home, and the slot's line is still on its way.
            sync::fetch(mapping.cell(taker.home(slots)).0);
        }
        let word = front.word.with(held, mapping.tag());
        if front.block.step(front.word, word).is_ok() {
            taker.advance(slots);
            return lease(mapping, front.entry.reference, word).map(Some);
        }
    }
    Ok(None)
}

/// The lease on a piece of memory whose control word is this process's.
#[inline(always)]
fn lease(mapping: &Mapping, reference: u32, word: Word) -> Result<Lease, Error> {
    let place = match u64::from(reference).checked_sub(mapping.geometry.slots) {
        None => None,
        Some(block) => match mapping.pool().place(block) {
            Some(place) => Some(place),
            None => {
                return Err(Error::Corrupt {
                    what: "block",
                    index: reference.into(),
                    found: word.0,
                });
            }
        },
    };
    Ok(Lease { reference, place, word })
}

/// Where a frame lies and what its control word says.
#[derive(Clone, Copy, Debug)]
struct Lease {
    /// Cells count first, then blocks.
    reference: u32,
    /// In the pool, or `None` for a cell.
    place: Option<Place>,
    word: Word,
}

impl Lease {
    /// The frame's memory, header first, and its length.
    #[inline(always)]
    fn memory(&self, mapping: &Mapping) -> (*mut u8, u64) {
        match self.place {
            None => mapping.cell(self.reference),
            Some(place) => (mapping.piece(place.offset), place.len),
        }
    }

    #[inline(always)]
    fn block<'a>(&self, mapping: &'a Mapping) -> &'a Block {
        match self.place {
            None => mapping.slots().cell(self.reference),
            Some(place) => &mapping.pool().blocks[place.block as usize],
        }
    }

    /// A step that only this process can take: the word is free and this the one producer, or
    /// offered and this the one consumer, or already its own.
    #[inline(always)]
    fn step(&mut self, mapping: &Mapping, phase: Phase) {
        self.word = self.word.with(phase, mapping.tag());
        self.block(mapping).set(self.word);
    }

    #[inline(always)]
    fn release(&self, mapping: &Mapping) {
        match self.place {
            None => self.block(mapping).set(self.word.freed()),
            Some(place) => mapping.pool().release(place, self.word),
        }
        mapping.space().wake();
    }

    /// To be delivered again, and counted.
    #[cold]
    fn give_back(&self, mapping: &Mapping) {
        self.leave(mapping, self.word.given_back(mapping.geometry.rules.max_deliveries));
    }

    /// To be delivered again, and not counted: it did not fit its taker's buffer.
    #[cold]
    fn put_back(&self, mapping: &Mapping) {
        self.leave(mapping, self.word.with(Phase::Orphan, 0));
    }

    fn leave(&self, mapping: &Mapping, word: Word) {
        self.block(mapping).set(word);
        returned::raise(mapping.cursors());
        mapping.data().wake();
    }
}

/// P10: what is an error elsewhere is none of Rust's programs. This one is:
///
/// ```no_run
/// # use slipring::{Error, Frame, Grant, Header, Producer, Segment, Wait};
/// # fn ends(mut tx: Producer, grant: Grant, frame: Frame) -> Result<usize, Error> {
/// tx.commit(grant, Header::raw(), &Wait::no())?;
/// let (body, len) = (&frame[..], frame.len());
/// assert_eq!(body.len(), len);
/// drop(frame);
/// drop(tx);
/// # Ok(len)
/// # }
/// ```
///
/// A frame is released once, and not read after that, nor through what was borrowed from it:
///
/// ```compile_fail,E0382
/// # fn twice(frame: slipring::Frame) {
/// drop(frame);
/// drop(frame);
/// # }
/// ```
/// ```compile_fail,E0382
/// # fn after(frame: slipring::Frame) -> usize {
/// drop(frame);
/// frame.len()
/// # }
/// ```
/// ```compile_fail,E0505
/// # fn beyond(frame: slipring::Frame) -> usize {
/// let body = &frame[..];
/// drop(frame);
/// body.len()
/// # }
/// ```
///
/// A reservation is committed once, not written after that, and not committed through an end that was closed:
///
/// ```compile_fail,E0382
/// # use slipring::{Grant, Header, Producer, Wait};
/// # fn twice(mut tx: Producer, grant: Grant) {
/// let _ = tx.commit(grant, Header::raw(), &Wait::no());
/// let _ = tx.commit(grant, Header::raw(), &Wait::no());
/// # }
/// ```
/// ```compile_fail,E0382
/// # use slipring::{Grant, Header, Producer, Wait};
/// # fn after(mut tx: Producer, mut grant: Grant) {
/// let _ = tx.commit(grant, Header::raw(), &Wait::no());
/// grant[0] = 1;
/// # }
/// ```
/// ```compile_fail,E0382
/// # use slipring::{Grant, Header, Producer, Wait};
/// # fn closed(mut tx: Producer, grant: Grant) {
/// drop(tx);
/// let _ = tx.commit(grant, Header::raw(), &Wait::no());
/// # }
/// ```
///
/// Nor is a body that was sent in place, or shown, kept:
///
/// ```compile_fail,E0521
/// # use slipring::{Consumer, Wait};
/// # fn kept(mut rx: Consumer) {
/// let mut kept: &[u8] = &[];
/// let _ = rx.recv_with(|_, body| kept = body, &Wait::no());
/// # }
/// ```
#[cfg(doctest)]
struct Misuse;
