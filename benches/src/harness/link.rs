//! What a peer has to offer: a way to send frames and a way to receive them.
//!
//! 1. The harness opens both ends at about the same time, each in its process, and starts when
//!    both are open. So `open` may wait for the other end, or try again until it is there.
//! 2. `send` gives the body to `fill` and `receive` gives it to `read`, in place where the peer
//!    can do that. `fill` is called only for a frame that will be sent.
//! 3. A link that is full or empty says so by `false`; the harness decides what then.
//! 4. No frame may be lost or change its place. The harness numbers them and checks.

use std::sync::Arc;

use super::case::Case;
use super::failure::Failure;
use super::memory::Memory;

/// Which end of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The measuring one: it starts round trips and receives streams.
    Near,
    /// The other: it answers round trips and sends streams.
    Far,
}

/// What both ends of a link are told.
#[derive(Clone)]
pub struct Route {
    /// What is measured.
    pub case: Case,
    /// A name that no other run uses; letters, digits and dashes.
    pub name: String,
    /// As many bytes as [`Peer::memory`] asked for, shared by both ends, from `offset`.
    pub memory: Arc<Memory>,
    /// Where the peer's part of the memory starts; a multiple of 4096.
    pub offset: usize,
}

/// The most frames handed over by one call of the batch functions.
pub const BATCH: usize = 64;

/// Frames sent before the first is taken, in the cold case.
pub const COLD_FRAMES: usize = 32;

/// One end of a connection that carries frames both ways.
pub trait Link {
    /// Sends one frame of the case's size, written by `fill`. False: full, try again.
    fn send(&mut self, fill: impl FnOnce(&mut [u8])) -> Result<bool, Failure>;

    /// Receives one frame, if there is one, and shows its body to `read`.
    fn receive(&mut self, read: impl FnOnce(&[u8])) -> Result<bool, Failure>;

    /// Sends up to [`BATCH`] frames at a time; how many. For peers that take part in batch cases.
    fn send_batch(&mut self, mut fill: impl FnMut(&mut [u8])) -> Result<usize, Failure> {
        self.send(&mut fill).map(usize::from)
    }

    /// Receives up to [`BATCH`] frames at a time; how many.
    fn receive_batch(&mut self, mut read: impl FnMut(&[u8])) -> Result<usize, Failure> {
        self.receive(&mut read).map(usize::from)
    }

    /// Called when nothing came. In a block case: sleeps until something may have come, 10 ms at
    /// most. Otherwise whatever suits the peer best; polling unless it says so.
    fn wait(&mut self) -> Result<(), Failure> {
        std::hint::spin_loop();
        Ok(())
    }
}

/// A peer whose ends are two processes.
pub trait Peer: Link + Sized {
    /// Its name in the results.
    const NAME: &'static str;

    /// Which of the Rust cases it takes part in.
    fn takes(case: &Case) -> bool;

    /// Bytes of shared memory that the harness shall lay out for it.
    fn memory(_case: &Case) -> usize {
        0
    }

    /// Opens one end.
    fn open(route: &Route, end: End) -> Result<Self, Failure>;
}

/// A peer whose ends are two threads of one process.
pub trait InProcess: Link + Send + Sized {
    /// Its name in the results.
    const NAME: &'static str;

    /// Which of the Rust cases it takes part in.
    fn takes(case: &Case) -> bool;

    /// Both ends, near and far.
    fn pair(case: &Case) -> (Self, Self);
}
