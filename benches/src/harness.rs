//! How things are measured. Knows no peer.
//!
//! `case` names what is measured; `link` is what a peer has to offer; `drive` moves frames over a
//! link and takes the time; `crowd` does both for many producers and consumers; `process` gives the far end a process (or a thread) of its own on its
//! own core; `script` does the same for peers in other languages; `schedule` interleaves the peers; `sample` is what one run gives, and `report`
//! writes what all of them gave.

pub mod args;
pub mod case;
pub mod clock;
pub(crate) mod control;
pub mod crowd;
pub(crate) mod drive;
pub mod failure;
pub mod histogram;
pub mod link;
pub mod memory;
pub mod process;
pub mod report;
pub mod sample;
pub mod schedule;
pub mod script;
