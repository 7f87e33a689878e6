//! Pickles: Python's own form of any object, of protocol 5.
//!
//! 1. The head is the stream, the buffers are those that it takes out of band, in its order. The type code is
//!    the [`PROTOCOL`].
//! 2. Without metadata and buffers the body is the stream and nothing else: no part table.
//! 3. A pickle is code. Nothing here looks into one.

/// The protocol that is written and read.
pub const PROTOCOL: u16 = 5;
