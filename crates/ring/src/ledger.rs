//! What a consumer has taken and not acknowledged, and whether one frame of it is: matters of one process's threads.
//!
//! Rules:
//! 1. Of all who acknowledge a frame or give it back, on any thread, the first one decides, by one compare-and-swap.
//! 2. Where it is acknowledged, whoever is told so has said it in the frame's word before: all who acknowledge it do, with
//!    the same word. So a frame whose acknowledgement was answered for does not come again, wherever the process dies.
//! 3. Once its consumer is gone, it can only be given back.
//! 4. Whoever decides takes the frame off the count, or the last view of it if nobody has.

use crate::error::Error;
use crate::sync::{AtomicU32, Ordering};

const ACKED: u32 = 1;
const NACKED: u32 = 2;

/// What a consumer has taken and not acknowledged.
#[derive(Debug)]
pub(crate) struct Ledger {
    open: AtomicU32,
    limit: u32,
    /// Not 0 once the consumer is gone: what is open then goes back.
    gone: AtomicU32,
}

impl Ledger {
    pub(crate) fn new(limit: u32) -> Self {
        Self { open: AtomicU32::new(0), limit, gone: AtomicU32::new(0) }
    }

    /// Whether one more may be taken.
    pub(crate) fn room(&self) -> Result<(), Error> {
        // Relaxed: a count; the consumer alone adds to it.
        if self.open.load(Ordering::Relaxed) < self.limit {
            Ok(())
        } else {
            Err(Error::Unacknowledged { limit: self.limit })
        }
    }

    pub(crate) fn opened(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn settled(&self) {
        self.open.fetch_add(u32::MAX, Ordering::Relaxed);
    }

    /// The consumer goes.
    pub(crate) fn end(&self) {
        // Relaxed: the frames' own states decide; this only refuses what comes too late.
        self.gone.fetch_add(1, Ordering::Relaxed);
    }
}

/// Whether a frame was acknowledged (1), given back (2), or neither (0).
#[derive(Debug)]
pub(crate) struct Settled(AtomicU32);

impl Settled {
    #[inline(always)]
    pub(crate) fn not() -> Self {
        Self(AtomicU32::new(0))
    }

    /// Acknowledges the frame, unless it was given back; `say` does so in its word.
    pub(crate) fn ack(&self, ledger: &Ledger, say: impl FnOnce()) -> Result<(), Error> {
        // Relaxed: a late answer is as good as an early one.
        if ledger.gone.load(Ordering::Relaxed) != 0 {
            let _ = self.nack(ledger);
        }
        match self.decide(ACKED, ledger) {
            // Rule 2: who has decided may not have got to it yet.
            Ok(()) | Err(ACKED) => {
                say();
                Ok(())
            }
            Err(_) => Err(Error::GivenBack),
        }
    }

    /// Gives the frame back, once the last view of it goes, unless another one has decided.
    pub(crate) fn nack(&self, ledger: &Ledger) -> Result<(), Error> {
        match self.decide(NACKED, ledger) {
            Err(ACKED) => Err(Error::Acknowledged),
            _ => Ok(()),
        }
    }

    fn decide(&self, to: u32, ledger: &Ledger) -> Result<(), u32> {
        // AcqRel: one of several threads decides.
        self.0.compare_exchange(0, to, Ordering::AcqRel, Ordering::Acquire)?;
        ledger.settled();
        Ok(())
    }

    pub(crate) fn acked(&self) -> bool {
        self.0.load(Ordering::Acquire) == ACKED
    }

    /// The last view of the frame goes, and nobody decides any more. Answers whether it was acknowledged; else it is given
    /// back.
    pub(crate) fn at_last(&self, ledger: &Ledger) -> bool {
        let settled = self.0.load(Ordering::Acquire);
        if settled == 0 {
            ledger.settled();
        }
        settled == ACKED
    }
}
