//! What went wrong, where, and what to do.
//!
//! An error has a kind that code can match on, a place, and a path. For a [`DecodeError`] the place
//! is the byte offset in what was decoded: a body, or the bytes given to a [`Decoder`](crate::Decoder). The path
//! (`$.meta.site[3]`) is built on the way out, so a success pays nothing for it.

mod arrow;
mod decode;
mod dtype;
mod encode;
mod path;

pub use arrow::ArrowFault;
pub use decode::{DecodeError, DecodeErrorKind};
pub use dtype::DtypeFault;
pub use encode::{EncodeError, EncodeErrorKind};
pub use path::{Path, Segment};
