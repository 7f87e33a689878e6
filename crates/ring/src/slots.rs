//! The order of a ring: slot words, and where the next frame is taken and placed.
//!
//! A slot word says which frame was placed last at a place in the order. A position is
//! `lap * slots + index`; the head is the position of the next frame to be taken, the tail that of
//! the next one to be placed.
//!
//! ```text
//! bit  63    62     61......38    37......22       21...0
//! Ready 1    direct reference(24) generation(16)   lap(22)
//! Vacant 0   lap(63, compared modulo 2^22)
//! ```
//!
//! Rules:
//! 1. At position `p` of lap `L` a frame waits if the slot holds `Ready(L)` and `p` is not below the
//!    head. Before it is placed the slot holds `Ready(L-1)`, or in the first lap `Vacant(L)`. Slots
//!    are never cleared: what stands below the head is over.
//! 2. A frame is placed, complete, where `p` is less than a lap beyond the head. The head only grows,
//!    so a producer remembers it, and looks again when that is too old.
//! 3. A slot is never held: the head moves on when the consumer has recorded its lease in the
//!    block's word or has copied the frame out.
//!
//! So the consumers write no slots, and the producers fetch the line of the head once a lap. Who may
//! write what, and how, is the matter of `spsc` and `mpmc`. Any other value is corruption and is
//! answered with an error.

use crate::block::Block;
#[cfg(any(test, slipring_loom))]
use crate::block::Word;
use crate::error::Error;
use crate::layout::LINES;
use crate::sync::{AtomicU64, Ordering};

const READY: u64 = 1 << 63;
const DIRECT: u64 = 1 << 62;
const REFERENCE: u32 = 38;
const GENERATION: u32 = 22;
pub(crate) const LAPS: u64 = 1 << GENERATION;
const LAP: u64 = LAPS - 1;
/// Slots keep this many bits of a block's generation.
pub(crate) const GENERATION_MASK: u64 = 0xffff;
const REFERENCE_MASK: u64 = 0xff_ffff;

/// What stands at a place in the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Cells count first, then the blocks of the pool.
    pub reference: u32,
    /// The block's generation, its low 16 bits.
    pub generation: u64,
    /// Rule 2 of `spsc`.
    pub direct: bool,
}

impl Entry {
    #[inline(always)]
    pub(crate) fn ready(self, lap: u64) -> u64 {
        READY
            | if self.direct { DIRECT } else { 0 }
            | (u64::from(self.reference) << REFERENCE)
            | ((self.generation & GENERATION_MASK) << GENERATION)
            | lap
    }
}

const PAD: usize = LINES as usize / 8 - 1;

/// Where the ring stands, each word on a pair of cache lines of its own.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Cursors {
    /// Position of the next frame to be taken.
    pub head: AtomicU64,
    _head: [u64; PAD],
    /// Position of the next frame to be placed, or a little before it; in a ring for one and one the
    /// producer's announcement (rule 3 of `spsc`).
    pub tail: AtomicU64,
    _tail: [u64; PAD],
    /// Whether frames were given back: see `returned`.
    pub returned: AtomicU64,
    _returned: [u64; PAD],
}
pub(crate) const CURSORS: u64 = 3 * LINES;
#[cfg(not(slipring_loom))]
const _: () = assert!(size_of::<Cursors>() == CURSORS as usize);

impl Cursors {
    #[cfg(any(test, slipring_loom))]
    pub(crate) fn at(position: u64) -> Self {
        let (head, tail) = (AtomicU64::new(position), AtomicU64::new(position));
        let returned = AtomicU64::new(0);
        Self { head, _head: [0; PAD], tail, _tail: [0; PAD], returned, _returned: [0; PAD] }
    }
}

/// A place in the order, and the control word of the cell at home there: who sends or takes the one
/// fetches the other with it. On a line of its own, so that neighbours don't wait for each other.
#[repr(C, align(64))]
#[derive(Debug)]
pub(crate) struct Slot {
    pub word: AtomicU64,
    pub cell: Block,
}
pub(crate) const SLOT: u64 = 64;
#[cfg(not(slipring_loom))]
const _: () = assert!(size_of::<Slot>() == SLOT as usize);

impl Slot {
    #[cfg(any(test, slipring_loom))]
    pub(crate) fn new(word: u64) -> Self {
        Self { word: AtomicU64::new(word), cell: Block::new(Word::free(0)) }
    }
}

/// The slots of a ring, and its cursors.
#[derive(Clone, Copy)]
pub(crate) struct Slots<'a> {
    all: &'a [Slot],
    pub cursors: &'a Cursors,
    shift: u32,
}

impl<'a> Slots<'a> {
    /// # Safety
    /// `all.len()` is a power of two.
    #[inline(always)]
    pub(crate) unsafe fn new(all: &'a [Slot], cursors: &'a Cursors) -> Self {
        debug_assert!(all.len().is_power_of_two());
        Self { all, cursors, shift: all.len().trailing_zeros() }
    }

    #[inline(always)]
    pub(crate) fn len(self) -> u64 {
        self.all.len() as u64
    }

    /// The cell at home at a position.
    #[inline(always)]
    pub(crate) fn home(self, position: u64) -> u32 {
        (position & (self.len() - 1)) as u32
    }

    /// The control words of the cells.
    pub(crate) fn cells(self) -> impl Iterator<Item = (u64, &'a Block)> {
        self.all.iter().enumerate().map(|(index, slot)| (index as u64, &slot.cell))
    }

    /// The control word of a cell.
    #[inline(always)]
    pub(crate) fn cell(self, index: u32) -> &'a Block {
        &self.at(index.into()).cell
    }

    /// The slot of a position, or of an index.
    #[inline(always)]
    fn at(self, position: u64) -> &'a Slot {
        let index = (position & (self.len() - 1)) as usize;
        // SAFETY: the length is a power of two by the contract of `new`, so what is masked with one less
        // is below it.
        unsafe { self.all.get_unchecked(index) }
    }

    /// As slots keep it.
    #[inline(always)]
    pub(crate) fn lap(self, position: u64) -> u64 {
        (position >> self.shift) % LAPS
    }

    #[inline(always)]
    pub(crate) fn word(self, position: u64) -> &'a AtomicU64 {
        &self.at(position).word
    }

    /// The frame that was placed at a position, or `None` before it is.
    #[inline(always)]
    pub(crate) fn placed(self, position: u64) -> Result<Option<Entry>, Error> {
        // Acquire: pairs with the Release of whoever placed the frame: it is complete.
        self.read(position, self.word(position).load(Ordering::Acquire))
    }

    /// Whether a direct frame (rule 2 of `spsc`) was placed at a position: all that its slot can say then.
    #[inline(always)]
    pub(crate) fn placed_direct(self, position: u64) -> bool {
        let entry = Entry { reference: self.home(position), generation: 0, direct: true };
        // Acquire: as in `placed`.
        self.word(position).load(Ordering::Acquire) == entry.ready(self.lap(position))
    }

    /// What a slot's word says of a position.
    #[inline(always)]
    pub(crate) fn read(self, position: u64, word: u64) -> Result<Option<Entry>, Error> {
        let lap = self.lap(position);
        if word & (READY | LAP) == READY | lap {
            return Ok(Some(Entry {
                reference: (word >> REFERENCE & REFERENCE_MASK) as u32,
                generation: word >> GENERATION & GENERATION_MASK,
                direct: word & DIRECT != 0,
            }));
        }
        let before = READY | (lap.wrapping_sub(1) % LAPS);
        if word & (READY | LAP) == before || word & (READY | LAP) == lap {
            Ok(None)
        } else {
            Err(Error::Corrupt { what: "slot", index: u64::from(self.home(position)), found: word })
        }
    }

    /// Whether a frame waits at a position that is not below the head.
    #[inline(always)]
    pub(crate) fn ready(self, position: u64) -> bool {
        matches!(self.placed(position), Ok(Some(_)))
    }

    /// Where the next frame is taken.
    #[inline(always)]
    pub(crate) fn head(self) -> u64 {
        // Acquire: pairs with the Release of whoever moved it: what stands below has been read, or the
        // leases on it are on record.
        self.cursors.head.load(Ordering::Acquire)
    }

    /// Every frame that waits, exact while no more than one side is at work.
    pub(crate) fn entries(self) -> impl Iterator<Item = Entry> + 'a {
        self.entries_from(self.head())
    }

    /// As [`entries`](Self::entries), seen from a head.
    pub(crate) fn entries_from(self, head: u64) -> impl Iterator<Item = Entry> + 'a {
        (0..self.len()).filter_map(move |n| self.placed(head.wrapping_add(n)).ok().flatten())
    }

    /// Where the next frame is placed, from the slots. Exact while a consumer takes frames beside it: what
    /// it has taken still stands in the slots.
    pub(crate) fn tail(self) -> Result<u64, Error> {
        let head = self.head();
        let (mut tail, mut ended) = (head, false);
        for position in (0..self.len()).map(|n| head.wrapping_add(n)) {
            match self.placed(position)? {
                Some(_) if ended => return Err(self.bad_head(head)),
                Some(_) => tail = position.wrapping_add(1),
                None => ended = true,
            }
        }
        Ok(tail)
    }

    #[cold]
    pub(crate) fn bad_head(self, head: u64) -> Error {
        Error::Corrupt {
            what: "head of the ring at slot",
            index: self.home(head).into(),
            found: head,
        }
    }
}
