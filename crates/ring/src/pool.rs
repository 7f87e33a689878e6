//! The pool gives space: chunks, cut into slabs of equal blocks or joined into runs.
//!
//! ```text
//! chunk word: bit 63.61  60....53  52...47  46       45......24  23..........0
//!                 state  owner     class    backed   x           generation
//! ```
//!
//! Rules:
//! 1. A chunk is `Free`, `Taken(p)` (process p changes it), `Slab(class)`, `Run(length x)`, or
//!    `Part` of the run that starts at chunk x. One compare-and-swap takes it and names p.
//! 2. A block of a slab is claimed through its own word. The claimer then reads the chunk's word
//!    again: if the slab has been retired meanwhile, it gives the block back.
//! 3. A run's control word is block word 0 of its first chunk. Its parts carry the generation of
//!    that word: once it has moved on, they are as good as free, and whoever needs them takes them.
//! 4. A slab is retired by taking each of its blocks; if one is in use it becomes a slab again.
//!    `Taken` keeps the class as long as blocks may be in use, so a death goes back to `Slab`.
//! 5. Each claimer takes the free blocks of a class in turn, from the lowest one again after 4 MiB, or an eighth of a small
//!    pool, and makes slabs until there are so many. The lowest free one first would be the one that was just read: its lines are in
//!    another core's cache, which costs more than the cache gains (64 KiB: 0.42 of the speed).
//! 6. Private cursors say where to start looking. A wrong one costs a scan, never a block.
//!
//! *Backed* says that memory was given to the whole chunk, so that writing to it can't fail.

use crate::block::{Block, Phase, Word};
use crate::layout::CLASSES;
use crate::sync::{AtomicU64, Ordering};
use std::ops::Range;

const STATE: u32 = 61;
const OWNER: u32 = 53;
const CLASS: u32 = 47;
const BACKED: u64 = 1 << 46;
const X: u32 = 24;
const GENERATION: u64 = 0xff_ffff;
const NO_CLASS: u64 = 0x3f;
/// Rule 5, in bytes.
const TURN: u64 = 4 << 20;

/// How far a claimer has got, per class, and in runs.
pub(crate) type Cursors = [Turn; CLASSES + 1];

/// Of one who begins.
pub(crate) fn fresh() -> Cursors {
    [Turn::default(); CLASSES + 1]
}

/// A way through the blocks of a class, or the chunks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Turn {
    /// Where it goes on.
    next: u32,
    /// Bytes since the lowest.
    claimed: u64,
}

/// The value of a chunk word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chunk(pub(crate) u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Free,
    Taken { owner: u16, class: Option<usize> },
    Slab { class: usize },
    Run { chunks: u64 },
    Part { first: u64 },
    Corrupt,
}

impl Chunk {
    fn make(self, state: u64, owner: u16, class: u64, x: u64, generation: u64) -> Self {
        Self(
            state << STATE
                | u64::from(owner as u8) << OWNER
                | class << CLASS
                | self.0 & BACKED
                | x << X
                | generation & GENERATION,
        )
    }

    fn free(self) -> Self {
        self.make(0, 0, 0, 0, self.0)
    }

    fn taken(self, owner: u16, class: Option<usize>, nonce: u64) -> Self {
        self.make(1, owner, class.map_or(NO_CLASS, |c| c as u64), u64::from(owner >> 8), nonce)
    }

    fn slab(self, class: usize) -> Self {
        self.make(2, 0, class as u64, 0, self.0)
    }

    pub(crate) fn state(self) -> State {
        let class = (self.0 >> CLASS & 0x3f) as usize;
        let x = self.0 >> X & 0x3f_ffff;
        match self.0 >> STATE {
            0 => State::Free,
            1 => State::Taken {
                owner: (x as u16) << 8 | u16::from((self.0 >> OWNER) as u8),
                class: (class != NO_CLASS as usize).then_some(class),
            },
            2 if class < CLASSES => State::Slab { class },
            3 if x > 0 => State::Run { chunks: x },
            4 => State::Part { first: x },
            _ => State::Corrupt,
        }
    }

    fn backed(self) -> bool {
        self.0 & BACKED != 0
    }

    /// Whether it is free, and a claim of one of these nonces was the last one to take it.
    pub(crate) fn given_back_by(self, nonces: &Range<u64>) -> bool {
        let after = self.0.wrapping_sub(nonces.start) & GENERATION;
        self.state() == State::Free && after < nonces.end - nonces.start
    }
}

/// A piece of the pool in its present use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Index of its control word among the block words.
    pub block: u64,
    /// Where it lies, in bytes from the first chunk.
    pub offset: u64,
    /// Its length in bytes.
    pub len: u64,
}

/// The measures of the pool, all derived from the checked geometry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measures {
    pub chunk_len: u64,
    /// Block words of a chunk, as a power of two.
    per_chunk: u32,
    min_block: u64,
    /// Bytes of a block, and blocks in a slab, of each class; four classes per doubling.
    sizes: [u64; CLASSES],
    counts: [u64; CLASSES],
}

impl Measures {
    /// `chunk_len` and `per_chunk` are powers of two; the smallest block is their quotient.
    pub(crate) const fn new(chunk_len: u64, per_chunk: u64) -> Self {
        let min_block = chunk_len / per_chunk;
        let (mut sizes, mut counts) = ([0; CLASSES], [0; CLASSES]);
        let mut class = 0;
        while class < CLASSES {
            sizes[class] = ((4 + class as u64 % 4) * (min_block / 4)) << (class / 4);
            counts[class] = chunk_len / sizes[class];
            class += 1;
        }
        Self { chunk_len, per_chunk: per_chunk.trailing_zeros(), min_block, sizes, counts }
    }

    fn size(&self, class: usize) -> u64 {
        self.sizes[class]
    }

    fn count(&self, class: usize) -> u64 {
        self.counts[class]
    }

    fn per_chunk(&self) -> u64 {
        1 << self.per_chunk
    }

    /// What a claim of `len` bytes takes of the pool.
    pub(crate) fn piece(&self, len: u64) -> u64 {
        match self.class(len) {
            Some(class) => self.size(class),
            None => len.next_multiple_of(self.chunk_len),
        }
    }

    /// The smallest class that holds `len` bytes, or `None` where a run must.
    fn class(&self, len: u64) -> Option<usize> {
        if len > self.chunk_len / 2 {
            return None;
        }
        let mut class = 0;
        let doublings = (len / self.min_block).checked_ilog2().unwrap_or(0) as usize;
        class += doublings * 4;
        while self.size(class) < len {
            class += 1;
        }
        Some(class)
    }
}

/// The shared words of the pool, as a claimer and releaser sees them.
#[derive(Clone, Copy)]
pub(crate) struct Pool<'a> {
    pub measures: &'a Measures,
    /// Only one process claims: its steps need no compare-and-swap.
    pub alone: bool,
    pub chunks: &'a [AtomicU64],
    pub blocks: &'a [Block],
}

/// Who claims, and how memory is given to what it claims.
#[derive(Clone, Copy)]
pub(crate) struct Claimer<'a> {
    pub owner: u16,
    /// Differs from claim to claim of all processes, as far as 24 bits can.
    pub nonce: u64,
    /// Gives memory to a range of the pool (offset and length in bytes) or answers `false`. `None`:
    /// chunks that have none are left alone.
    pub back: Option<&'a dyn Fn(u64, u64) -> bool>,
}

/// Why there is no block.
#[derive(Debug)]
pub(crate) enum NoBlock {
    /// Nothing free now.
    Exhausted,
    /// The operating system had no memory for a chunk.
    Unbacked,
}

impl<'a> Pool<'a> {
    #[inline]
    fn chunk(&self, index: u64) -> Chunk {
        // Acquire: pairs with the Release of `set` and `swap`, so that a slab's or run's words are
        // seen in the life that the chunk's word announces.
        Chunk(self.chunks[index as usize].load(Ordering::Acquire))
    }

    fn swap(&self, index: u64, from: Chunk, to: Chunk) -> bool {
        // AcqRel: as the load above; the Acquire orders this owner after the last one.
        self.chunks[index as usize]
            .compare_exchange(from.0, to.0, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    /// A step of a claimer, from the word it has just read.
    #[inline(always)]
    pub(crate) fn step(&self, block: &Block, from: Word, to: Word) -> bool {
        if self.alone {
            block.set(to);
            return true;
        }
        block.step(from, to).is_ok()
    }

    fn block(&self, chunk: u64, index: u64) -> &'a Block {
        &self.blocks[((chunk << self.measures.per_chunk) + index) as usize]
    }

    /// Claims the lowest free piece for `len` bytes (frame header included): `Free -> Filling(p)`.
    ///
    /// Inlined, as what it calls: the compiler did so by itself while frames were all that claimed.
    #[inline(always)]
    pub(crate) fn claim(
        &self,
        len: u64,
        by: &Claimer<'_>,
        cursors: &mut Cursors,
    ) -> Result<(Place, Word), NoBlock> {
        let Some(class) = self.measures.class(len) else {
            let chunks = len.div_ceil(self.measures.chunk_len);
            return self.claim_run(chunks, by, &mut cursors[CLASSES]);
        };
        if let Some(found) = self.claim_in_slab(class, by, cursors) {
            return Ok(found);
        }
        let missing = match self.new_slab(class, by, true) {
            Err(missing) => missing,
            Ok(found) => {
                self.turn(&mut cursors[class], found.0.block + 1, found.0.len);
                return Ok(found);
            }
        };
        if let (NoBlock::Unbacked, Some(_)) = (&missing, by.back) {
            return Err(missing);
        }
        // No chunk for a slab of its own: a larger block will do.
        let largest = self.measures.class(self.measures.chunk_len / 2).unwrap_or(class);
        (class + 1..=largest)
            .find_map(|class| self.claim_in_slab(class, by, cursors))
            .ok_or(missing)
    }

    /// Claims a block of the class, in turn (rule 5).
    #[inline(always)]
    fn claim_in_slab(
        &self,
        class: usize,
        by: &Claimer<'_>,
        cursors: &mut Cursors,
    ) -> Option<(Place, Word)> {
        let turn = &mut cursors[class];
        let (start, blocks) = (u64::from(turn.next), self.blocks.len() as u64);
        let found = self.scan(class, by.owner, start, blocks).or_else(|| {
            // A turn that is over begins anew; one that ends here goes on in a new slab.
            let slab = || self.new_slab(class, by, false).ok();
            let more = if start > 0 { slab() } else { None };
            more.or_else(|| {
                *turn = Turn::default();
                self.scan(class, by.owner, 0, start)
            })
        })?;
        self.turn(turn, found.0.block + 1, found.0.len);
        Some(found)
    }

    /// So much was claimed, and `next` is behind it.
    #[inline(always)]
    fn turn(&self, turn: &mut Turn, next: u64, len: u64) {
        let enough = (self.chunks.len() as u64 * self.measures.chunk_len / 8).min(TURN);
        let claimed = turn.claimed + len;
        *turn =
            if claimed < enough { Turn { next: next as u32, claimed } } else { Turn::default() };
    }

    #[inline(always)]
    fn scan(&self, class: usize, owner: u16, from: u64, to: u64) -> Option<(Place, Word)> {
        let per_chunk = self.measures.per_chunk();
        let count = self.measures.count(class);
        for chunk in from >> self.measures.per_chunk..to.div_ceil(per_chunk) {
            let word = self.chunk(chunk);
            if word.state() != (State::Slab { class }) {
                continue;
            }
            let first = from.saturating_sub(chunk * per_chunk).min(count);
            for index in first..count {
                let block = self.block(chunk, index);
                let free = block.load();
                if !free.is_free() {
                    continue;
                }
                let filling = free.with(Phase::Filling, owner);
                if !self.step(block, free, filling) {
                    continue;
                }
                // Rule 2.
                if self.chunk(chunk) != word {
                    block.set(filling.freed());
                    break;
                }
                return Some((self.slab_place(chunk, index, class), filling));
            }
        }
        None
    }

    fn slab_place(&self, chunk: u64, index: u64, class: usize) -> Place {
        let len = self.measures.size(class);
        Place {
            block: (chunk << self.measures.per_chunk) + index,
            offset: chunk * self.measures.chunk_len + index * len,
            len,
        }
    }

    /// Makes the lowest free chunk a slab, its first block already claimed; if there is none and it may retire one, that.
    fn new_slab(
        &self,
        class: usize,
        by: &Claimer<'_>,
        may_retire: bool,
    ) -> Result<(Place, Word), NoBlock> {
        for retire in [false, true].into_iter().take(1 + usize::from(may_retire)) {
            for chunk in 0..self.chunks.len() as u64 {
                let Some(taken) = self.take_chunk(chunk, by, retire) else { continue };
                let Some(taken) = self.back(chunk, taken, by) else {
                    self.set(chunk, taken.free());
                    return Err(NoBlock::Unbacked);
                };
                let block = self.block(chunk, 0);
                let free = block.load();
                let filling = free.with(Phase::Filling, by.owner);
                if !free.is_free() || !self.step(block, free, filling) {
                    // A claimer of the slab that this was, about to give it back (rule 2).
                    self.set(chunk, taken.free());
                    continue;
                }
                self.set(chunk, taken.slab(class));
                return Ok((self.slab_place(chunk, 0, class), filling));
            }
        }
        Err(NoBlock::Exhausted)
    }

    /// A chunk word whose owner is this process: nobody else changes it.
    fn set(&self, chunk: u64, word: Chunk) {
        // Release: pairs with the Acquire in `chunk`.
        self.chunks[chunk as usize].store(word.0, Ordering::Release);
    }

    fn back(&self, chunk: u64, taken: Chunk, by: &Claimer<'_>) -> Option<Chunk> {
        let len = self.measures.chunk_len;
        let backed = taken.backed() || by.back.is_some_and(|back| back(chunk * len, len));
        backed.then_some(Chunk(taken.0 | BACKED))
    }

    /// Steps *take*: a chunk in which nothing is in use becomes `Taken(owner)`; slabs too if asked.
    pub(crate) fn take_chunk(&self, chunk: u64, by: &Claimer<'_>, retire: bool) -> Option<Chunk> {
        let (owner, nonce) = (by.owner, by.nonce);
        let word = self.chunk(chunk);
        let usable = match word.state() {
            _ if by.back.is_none() && !word.backed() => false,
            State::Free => true,
            State::Run { .. } => self.block(chunk, 0).load().is_free(),
            State::Part { first } => !self.part_in_use(chunk, first, word.0 & GENERATION),
            State::Slab { class } => {
                return if retire { self.retire(chunk, word, class, owner, nonce) } else { None };
            }
            State::Taken { .. } | State::Corrupt => false,
        };
        let taken = word.taken(owner, None, nonce);
        (usable && self.swap(chunk, word, taken)).then_some(taken)
    }

    /// Rule 3. A run in use can become free, never the reverse: a `false` stays true.
    fn part_in_use(&self, chunk: u64, first: u64, generation: u64) -> bool {
        if first >= chunk {
            return false;
        }
        let head = self.chunk(first);
        let control = self.block(first, 0).load();
        matches!(head.state(), State::Run { chunks } if first + chunks > chunk)
            && head.0 & GENERATION == generation
            && control.generation() & GENERATION == generation
            && !control.is_free()
    }

    /// Rule 4.
    fn retire(
        &self,
        chunk: u64,
        word: Chunk,
        class: usize,
        owner: u16,
        nonce: u64,
    ) -> Option<Chunk> {
        let count = self.measures.count(class);
        let free = |index| self.block(chunk, index).load().is_free();
        if !(0..count).all(free) {
            return None;
        }
        let retiring = word.taken(owner, Some(class), nonce);
        if !self.swap(chunk, word, retiring) {
            return None;
        }
        let mut mine = 0;
        while mine < count {
            let block = self.block(chunk, mine);
            let found = block.load();
            if !found.is_free() || block.step(found, found.with(Phase::Filling, owner)).is_err() {
                break;
            }
            mine += 1;
        }
        let all = mine == count;
        let taken = retiring.taken(owner, None, nonce);
        if all {
            self.set(chunk, taken);
        }
        for index in 0..mine {
            let block = self.block(chunk, index);
            let found = block.load();
            let _ = block.step(found, found.freed());
        }
        if !all {
            self.set(chunk, retiring.slab(class));
            return None;
        }
        Some(taken)
    }

    fn claim_run(
        &self,
        chunks: u64,
        by: &Claimer<'_>,
        turn: &mut Turn,
    ) -> Result<(Place, Word), NoBlock> {
        let total = self.chunks.len() as u64;
        let again = usize::from(turn.next == 0);
        let searches = [(turn.next.into(), false), (0, false), (0, true)];
        for (start, retire) in searches.into_iter().skip(again) {
            // The chunks taken so far: from `first` up to where the search stands.
            let (mut first, mut at) = (start, start);
            while first + chunks <= total {
                if self.take_chunk(at, by, retire).is_none() {
                    self.give_back(first, at);
                    (first, at) = (at + 1, at + 1);
                    continue;
                }
                at += 1;
                if at - first == chunks {
                    match self.form_run(first, chunks, by) {
                        Err(NoBlock::Exhausted) => (first, at) = (at, at),
                        Ok(formed) => {
                            self.turn(turn, at, formed.0.len);
                            return Ok(formed);
                        }
                        missing => return missing,
                    }
                }
            }
            self.give_back(first, at);
        }
        Err(NoBlock::Exhausted)
    }

    fn give_back(&self, from: u64, to: u64) {
        for chunk in from..to {
            self.set(chunk, self.chunk(chunk).free());
        }
    }

    fn form_run(
        &self,
        first: u64,
        chunks: u64,
        by: &Claimer<'_>,
    ) -> Result<(Place, Word), NoBlock> {
        for chunk in first..first + chunks {
            match self.back(chunk, self.chunk(chunk), by) {
                Some(word) => self.set(chunk, word),
                None => {
                    self.give_back(first, first + chunks);
                    return Err(NoBlock::Unbacked);
                }
            }
        }
        let block = self.block(first, 0);
        let free = block.load();
        let filling = free.with(Phase::Filling, by.owner);
        if !free.is_free() || !self.step(block, free, filling) {
            // As in `new_slab`.
            self.give_back(first, first + chunks);
            return Err(NoBlock::Exhausted);
        }
        // The head first: a part whose head is not yet a run would pass for free.
        let generation = filling.generation();
        let head = self.chunk(first);
        self.set(first, head.make(3, 0, 0, chunks, generation));
        for chunk in first + 1..first + chunks {
            let word = self.chunk(chunk);
            self.set(chunk, word.make(4, 0, 0, first, generation));
        }
        let chunk_len = self.measures.chunk_len;
        let place = Place {
            block: first << self.measures.per_chunk,
            offset: first * chunk_len,
            len: chunks * chunk_len,
        };
        Ok((place, filling))
    }

    /// Where the block lies that a slot or a lease names; `None` where no block can be.
    #[inline(always)]
    pub(crate) fn place(&self, block: u64) -> Option<Place> {
        let chunk = block >> self.measures.per_chunk;
        let index = block & (self.measures.per_chunk() - 1);
        if chunk >= self.chunks.len() as u64 {
            return None;
        }
        match self.chunk(chunk).state() {
            // One that somebody is about to retire, and won't, since this block is in use.
            State::Slab { class } | State::Taken { class: Some(class), .. }
                if class < CLASSES && index < self.measures.count(class) =>
            {
                Some(self.slab_place(chunk, index, class))
            }
            State::Run { chunks } if index == 0 && chunk + chunks <= self.chunks.len() as u64 => {
                let chunk_len = self.measures.chunk_len;
                Some(Place { block, offset: chunk * chunk_len, len: chunks * chunk_len })
            }
            _ => None,
        }
    }

    /// Gives a piece back that this process owns, from the word it knows.
    #[inline(always)]
    pub(crate) fn release(&self, place: Place, word: Word) {
        self.blocks[place.block as usize].set(word.freed());
    }

    /// Undoes what the dead `owner` was changing, once its blocks have been seen to.
    pub(crate) fn recover(&self, owner: u16, stands: &dyn Fn() -> bool) {
        for chunk in 0..self.chunks.len() as u64 {
            let word = self.chunk(chunk);
            if let State::Taken { owner: by, class } = word.state()
                && by == owner
            {
                if !stands() {
                    return;
                }
                let class = class.filter(|class| *class < CLASSES);
                let to = class.map_or(word.free(), |class| word.slab(class));
                self.swap(chunk, word, to);
            }
        }
    }

    /// Block words that can be in use now, with their index.
    pub(crate) fn used_words(&self) -> impl Iterator<Item = (u64, &'a Block)> + use<'a> {
        let (pool, per_chunk) = (*self, self.measures.per_chunk());
        (0..self.chunks.len() as u64).flat_map(move |chunk| {
            let count = match pool.chunk(chunk).state() {
                State::Slab { class } => pool.measures.count(class),
                State::Taken { class: Some(class), .. } if class < CLASSES => {
                    pool.measures.count(class)
                }
                State::Taken { .. } | State::Corrupt => per_chunk,
                State::Run { .. } | State::Free | State::Part { .. } => 1,
            };
            (0..count.min(per_chunk)).map(move |i| (chunk * per_chunk + i, pool.block(chunk, i)))
        })
    }

    /// Gives the memory of idle chunks back with `punch` (offset and length in bytes). Answers how much.
    /// For claimers only: where one is alone, its steps on blocks don't compare.
    pub(crate) fn trim(&self, owner: u16, nonce: u64, punch: &dyn Fn(u64, u64) -> bool) -> u64 {
        let by = Claimer { owner, nonce, back: None };
        let mut given = 0;
        for chunk in 0..self.chunks.len() as u64 {
            let Some(taken) = self.take_chunk(chunk, &by, true) else { continue };
            // First the word: a death between the two leaves memory that is asked for once more.
            let bare = Chunk(taken.0 & !BACKED);
            self.set(chunk, bare);
            let len = self.measures.chunk_len;
            if punch(chunk * len, len) {
                given += len;
            }
            self.set(chunk, bare.free());
        }
        given
    }

    /// Bytes of the pool whose control words name a process.
    pub(crate) fn held_by(&self, owner: u16) -> u64 {
        self.used_words()
            .filter(|(_, word)| word.load().owner() == owner)
            .filter_map(|(block, _)| self.place(block))
            .map(|place| place.len)
            .sum()
    }

    pub(crate) fn words(&self) -> impl Iterator<Item = Chunk> + '_ {
        (0..self.chunks.len() as u64).map(|chunk| self.chunk(chunk))
    }

    pub(crate) fn states(&self) -> impl Iterator<Item = State> + '_ {
        self.words().map(Chunk::state)
    }
}

#[cfg(all(test, not(slipring_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Memory {
        chunks: Vec<AtomicU64>,
        blocks: Vec<Block>,
    }

    impl Pool<'_> {
        /// As a producer does it.
        fn take(
            &self,
            len: u64,
            nonce: u64,
            cursors: &mut Cursors,
            back: &dyn Fn(u64, u64) -> bool,
        ) -> Result<(Place, Word), NoBlock> {
            let by = Claimer { owner: 1, nonce, back: Some(back) };
            match self.claim(len, &by, cursors) {
                Err(NoBlock::Unbacked) => self
                    .claim(len, &Claimer { back: None, ..by }, cursors)
                    .map_err(|_| NoBlock::Unbacked),
                claimed => claimed,
            }
        }
    }

    const MEASURES: Measures = Measures::new(16 << 10, 32);

    impl Memory {
        fn new(chunks: usize, generation: u64) -> Self {
            Self {
                chunks: (0..chunks).map(|_| AtomicU64::new(0)).collect(),
                blocks: (0..chunks * 32).map(|_| Block::new(Word::free(generation))).collect(),
            }
        }
        fn pool(&self) -> Pool<'_> {
            Pool { measures: &MEASURES, alone: true, chunks: &self.chunks, blocks: &self.blocks }
        }
    }

    #[test]
    fn a_class_holds_its_length_and_wastes_at_most_a_quarter() {
        for len in 64..=8192 {
            let class = MEASURES.class(len).unwrap();
            let size = MEASURES.size(class);
            assert!(size >= len && size.is_multiple_of(64));
            assert!(len <= 512 || size * 4 <= len * 5 + 4 * 64, "{len} in {size}");
        }
        assert_eq!(MEASURES.class(8193), None);
    }

    #[test]
    fn a_chunk_without_memory_is_an_answer_and_leaves_the_chunk_free() {
        let memory = Memory::new(4, 0);
        let none = |_, _| false;
        for len in [600, 20_000] {
            let claim = memory.pool().take(len, 1, &mut fresh(), &none);
            assert!(matches!(claim, Err(NoBlock::Unbacked)));
            assert!(memory.pool().states().all(|state| state == State::Free));
        }
    }

    /// P9, P6: where the system has no memory left, what the pool has is used, in whatever sizes it
    /// was cut; only then is that the answer.
    #[test]
    fn idle_memory_is_cut_anew_before_none_is_left() {
        let memory = Memory::new(4, 0);
        let pool = memory.pool();
        let given = std::cell::Cell::new(0);
        let back = |_, _| given.replace(given.get() + 1) < 2;
        let claim = |len| pool.take(len, given.get(), &mut fresh(), &back);
        let chunk = MEASURES.chunk_len;
        let small: Vec<_> = (0..=chunk / 512).map(|_| claim(512).unwrap()).collect();
        assert_eq!(given.get(), 2, "two chunks, all that the system has");
        assert!(matches!(claim(2 * chunk), Err(NoBlock::Unbacked)));
        // A larger block will do, and the error is told when there is none.
        let (last, rest) = small.split_last().unwrap();
        assert!(claim(400).unwrap().0.len >= 512);
        assert!(matches!(claim(4096), Err(NoBlock::Unbacked)));
        pool.release(last.0, last.1);
        // One chunk's blocks are all idle: they become one block, both chunks one run.
        for (place, word) in rest {
            pool.release(*place, *word);
        }
        let (place, word) = claim(4096).unwrap();
        pool.release(place, word);
        let held: Vec<_> = pool.blocks.iter().filter(|word| !word.load().is_free()).collect();
        assert_eq!(held.len(), 1, "the one of 400 bytes");
        held[0].set(held[0].load().freed());
        assert_eq!(claim(2 * chunk).unwrap().0.len, 2 * chunk);
    }

    /// R8.4: idle memory goes back, what is in use stays, and is asked for anew when it is needed.
    #[test]
    fn idle_memory_goes_back() {
        let memory = Memory::new(4, 0);
        let pool = memory.pool();
        let mut cursors = fresh();
        let mut claim = |len| pool.take(len, 1, &mut cursors, &|_, _| true).unwrap();
        let chunk = MEASURES.chunk_len;
        let kept = claim(512);
        let (slab, run) = (claim(4096), claim(2 * chunk));
        pool.release(slab.0, slab.1);
        pool.release(run.0, run.1);
        let punched = std::cell::RefCell::new(Vec::new());
        let punch = |offset, len| {
            punched.borrow_mut().push((offset, len));
            true
        };
        assert_eq!(pool.trim(1, 9, &punch), 3 * chunk);
        assert_eq!(*punched.borrow(), [(chunk, chunk), (2 * chunk, chunk), (3 * chunk, chunk)]);
        assert_eq!(pool.trim(1, 10, &punch), 0, "nothing is left to give");
        assert!(!kept.1.is_free() && pool.place(kept.0.block) == Some(kept.0));
        let asked = std::cell::Cell::new(0);
        pool.take(2 * chunk, 11, &mut fresh(), &|_, len| {
            asked.set(asked.get() + len);
            true
        })
        .unwrap();
        assert_eq!(asked.get(), 2 * chunk);
        // Who dies in the middle leaves chunks that are free and not backed.
        let by = Claimer { owner: 7, nonce: 1, back: Some(&|_, _| true) };
        let taken = pool.take_chunk(3, &by, true).unwrap();
        pool.set(3, Chunk(taken.0 & !BACKED));
        pool.recover(7, &|| true);
        assert_eq!((pool.chunk(3).state(), pool.chunk(3).backed()), (State::Free, false));
    }

    /// P7: each piece is another one until an eighth of the pool has been used, and then they are the same again.
    #[test]
    fn pieces_are_claimed_in_turn() {
        let memory = Memory::new(64, 0);
        let (pool, mut cursors, chunk) = (memory.pool(), fresh(), MEASURES.chunk_len);
        for len in [1024, chunk / 4, chunk, 2 * chunk] {
            let mut nonce = 0;
            let mut claim = || {
                nonce += 1;
                let (place, word) = pool.take(len, nonce, &mut cursors, &|_, _| true).unwrap();
                pool.release(place, word);
                place.offset
            };
            let turn = 64 / 8 * chunk / len;
            let first: Vec<_> = (0..turn).map(|_| claim()).collect();
            let distinct = first.iter().collect::<std::collections::HashSet<_>>().len();
            assert_eq!(distinct, first.len(), "of {len}");
            assert_eq!((0..turn).map(|_| claim()).collect::<Vec<_>>(), first, "of {len}");
        }
    }

    proptest! {
        /// P4, P6: under any claims and releases no two pieces overlap, each is long enough, and
        /// after all are back the whole pool can be had in one piece again.
        #[test]
        fn pieces_never_overlap_and_all_come_back(
            steps in prop::collection::vec((any::<bool>(), 64u64..70_000, any::<prop::sample::Index>()), 1..200),
            generation in prop::sample::select(vec![0, crate::block::GENERATIONS - 2]),
        ) {
            let memory = Memory::new(8, generation);
            let pool = memory.pool();
            let mut held: Vec<(Place, Word)> = Vec::new();
            let mut cursors = fresh();
            for (nonce, (claim, len, pick)) in steps.into_iter().enumerate() {
                if claim {
                    if let Ok((place, word)) = pool.take(len, nonce as u64, &mut cursors, &|_, _| true) {
                        prop_assert!(place.len >= len);
                        prop_assert!(place.offset + place.len <= 8 * MEASURES.chunk_len);
                        prop_assert_eq!(pool.place(place.block), Some(place));
                        for (other, _) in &held {
                            prop_assert!(
                                place.offset + place.len <= other.offset
                                    || other.offset + other.len <= place.offset
                            );
                        }
                        held.push((place, word));
                    }
                } else if !held.is_empty() {
                    let (place, word) = held.swap_remove(pick.index(held.len()));
                    pool.release(place, word);
                }
            }
            for (place, word) in held {
                pool.release(place, word);
            }
            let whole = 8 * MEASURES.chunk_len;
            prop_assert_eq!(pool.take(whole, 0, &mut cursors, &|_, _| true).unwrap().0.len, whole);
        }
    }
}
