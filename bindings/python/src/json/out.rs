//! Where JSON is written: the memory of a sink that lends it, or a small piece that is handed on when it is full.

use crate::value::sink::copy_short;
use slipring_codec::token::{Fixed, Sink};

/// A sink of the codec that may lend its memory, so that what is written is there at once.
///
/// # Safety
/// What [`lend`](Self::lend) gives can be written to until the sink is used again.
pub(crate) unsafe trait Lend: Sink {
    /// Room behind what was put, for at least `len` bytes: where it begins and how much there is.
    fn lend(&mut self, len: usize) -> Option<(*mut u8, usize)> {
        let _ = len;
        None
    }

    /// Takes what was written to the room that was lent.
    ///
    /// # Safety
    /// The first `len` bytes of it are written.
    unsafe fn take(&mut self, len: usize) {
        let _ = len;
    }
}

// SAFETY: what is lent is the slice's own, borrowed with the sink.
unsafe impl Lend for Fixed<'_> {
    fn lend(&mut self, len: usize) -> Option<(*mut u8, usize)> {
        let rest = self.rest();
        (rest.len() >= len).then_some((rest.as_mut_ptr(), rest.len()))
    }

    unsafe fn take(&mut self, len: usize) {
        self.advance(len);
    }
}

/// Bytes that are handed to a sink together which lends nothing.
const STAGE: usize = 4096;

/// Bytes that stand behind those for which there is room.
pub(super) const MARGIN: usize = 128;

/// 1. From `at` to `end` there is memory that only this writes to: lent by the sink, or of `stage`.
/// 2. From `start` to `at` it is written, and the sink has not got it yet.
/// 3. `limit` is [`MARGIN`] bytes before `end`, or 0.
pub(crate) struct Out<S: Lend> {
    sink: S,
    stage: Vec<u8>,
    staged: bool,
    start: *mut u8,
    at: *mut u8,
    end: *mut u8,
    limit: usize,
}

impl<S: Lend> Out<S> {
    pub(super) fn new(sink: S) -> Self {
        let nowhere = std::ptr::null_mut();
        let (start, at, end) = (nowhere, nowhere, nowhere);
        Self { sink, stage: Vec::new(), staged: false, start, at, end, limit: 0 }
    }

    /// Makes room for `len` bytes.
    #[inline(always)]
    pub(crate) fn reserve(&mut self, len: usize) {
        if (self.end as usize) - (self.at as usize) < len {
            self.refill(len);
        }
    }

    #[cold]
    fn refill(&mut self, len: usize) {
        self.hand_on();
        let (start, room) =
            self.sink.lend(len).inspect(|_| self.staged = false).unwrap_or_else(|| {
                self.staged = true;
                self.stage.resize(len.max(STAGE), 0);
                (self.stage.as_mut_ptr(), self.stage.len())
            });
        (self.start, self.at) = (start, start);
        // SAFETY: the end of the piece that begins there.
        self.end = unsafe { start.add(room) };
        self.limit = self.end.addr().saturating_sub(MARGIN);
    }

    /// The sink gets what is written; nothing is reserved any more.
    fn hand_on(&mut self) {
        let len = self.at as usize - self.start as usize;
        if self.staged {
            self.sink.put(&self.stage[..len]);
        } else if len > 0 {
            // SAFETY: rule 2.
            unsafe { self.sink.take(len) };
        }
        (self.start, self.end, self.limit) = (self.at, self.at, 0);
    }

    /// The sink, which has got everything.
    pub(crate) fn finish(mut self) -> S {
        self.hand_on();
        self.sink
    }

    /// Where the next byte goes.
    #[inline(always)]
    pub(crate) fn at(&self) -> *mut u8 {
        self.at
    }

    /// Goes on from there: all before is written.
    ///
    /// # Safety
    /// `at` is what [`at`](Self::at) or [`room`](Self::room) has given since the last other call, or lies behind it
    /// within what was reserved, and everything up to it is written.
    #[inline(always)]
    pub(crate) unsafe fn set(&mut self, at: *mut u8) {
        debug_assert!(self.at <= at && at <= self.end);
        self.at = at;
    }

    /// Whether `len` and [`MARGIN`] bytes can be written from `at` on.
    #[inline(always)]
    pub(super) fn has_room(&self, at: *mut u8, len: u64) -> bool {
        // No sum of an address and of six times the length of what is in memory is beyond 64 bits.
        at.addr() as u64 + len < self.limit as u64
    }

    /// As [`set`](Self::set), unless there is room at `at` already: from what it gives on `len` and [`MARGIN`] bytes are
    /// reserved.
    ///
    /// # Safety
    /// As for [`set`](Self::set).
    #[inline(always)]
    pub(super) unsafe fn room(&mut self, at: *mut u8, len: usize) -> *mut u8 {
        if self.has_room(at, len as u64) {
            return at;
        }
        // SAFETY: by the caller's word.
        unsafe { self.make_room(at, len) }
    }

    /// # Safety
    /// As for [`set`](Self::set).
    #[cold]
    #[inline(never)]
    unsafe fn make_room(&mut self, at: *mut u8, len: usize) -> *mut u8 {
        // SAFETY: by the caller's word.
        unsafe { self.set(at) };
        self.refill(len + MARGIN);
        self.at
    }

    #[inline(always)]
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        // SAFETY: so many bytes are reserved.
        unsafe {
            copy_short(bytes, self.at);
            self.set(self.at.add(bytes.len()));
        }
    }
}
