//! Typed frames between processes on one machine, through shared memory.
//!
//! A [`Segment`] is a file in memory that processes attach to by name or path. It carries a ring:
//! a [`Producer`] writes frames into it, a [`Consumer`] takes them out as views, without a copy.
//! Either may be killed at any instruction; another takes its place.
//!
//! ```
//! use slipring::{Header, Segment, Wait};
//!
//! # let name = format!("doc-{}", std::process::id());
//! # let name = name.as_str();
//! let segment = Segment::options().capacity(1 << 20).create(name)?;
//! let mut tx = segment.producer()?;
//! tx.send(Header::raw(), b"hello", &Wait::no())?;
//!
//! let mut grant = tx.reserve(1 << 16, &Wait::forever())?; // &mut [u8] in the segment
//! grant.fill(7);
//! tx.commit(grant, Header::raw(), &Wait::forever())?;
//!
//! let mut rx = Segment::open(name)?.consumer()?;
//! assert_eq!(&*rx.recv(&Wait::no())?, b"hello");
//! let frame = rx.recv(&Wait::no())?; // a view; its space is free again when it is dropped
//! assert_eq!((frame.len(), frame[0]), (1 << 16, 7));
//! # Ok::<(), slipring::Error>(())
//! ```
//!
//! The crate knows bytes, frames and processes. What the bytes mean is the codec's business.
#![cfg_attr(slipring_loom, allow(dead_code, reason = "the models run the algorithms alone"))]

mod block;
mod ledger;
#[cfg(all(test, slipring_loom))]
mod models;
mod mpmc;
mod participants;
mod pool;
mod recovery;
mod returned;
mod schemas;
mod slots;
mod spsc;
mod sync;
mod wait;

// What touches mapped memory and processes; the models run without it.
#[cfg(not(slipring_loom))]
mod clock;
mod error;
mod layout;
#[cfg(not(slipring_loom))]
mod ring;
#[cfg(not(slipring_loom))]
mod segment;
#[cfg(not(slipring_loom))]
mod watch;
#[cfg(all(test, not(slipring_loom)))]
#[path = "../tests/without/mod.rs"]
mod without;

pub use error::{Conflict, Error, Mismatch};
pub use layout::{
    FRAME_ALIGN, FRAME_HEADER, Header, MAGIC, Mode, PARTICIPANTS, REDELIVERED, VERSION,
};
#[cfg(not(slipring_loom))]
pub use ring::{Consumer, Delivery, Frame, Grant, Producer, Rejected, Wait};
#[cfg(not(slipring_loom))]
pub use segment::{
    Address, Described, Inspection, Options, Pending, Process, Schema, SchemaId, Schemas, Segment,
    Want, Wanted, inspect, list, unlink,
};
#[cfg(not(slipring_loom))]
pub use watch::{Bell, WATCHED_PER_THREAD, Watched, wait_any};
