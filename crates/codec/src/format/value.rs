//! Values: one CBOR item, its large byte strings and arrays out of line.
//!
//! 1. The head is one item (RFC 8949), with the tags of [`tag`](crate::tag). The type code is 0.
//! 2. Without metadata and buffers the body is the head and nothing else: no part table.
//! 3. Where a byte string may stand, tag [`BUFFER`](crate::tag::BUFFER) with the number of a buffer may stand for it.

/// Byte strings of at least this many bytes go out of line, where there is a frame for them.
pub const BYTES_OUT_OF_LINE: usize = 64 << 10;
/// The same, for the data of arrays.
pub const ARRAY_OUT_OF_LINE: usize = 256;
