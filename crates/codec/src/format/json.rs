//! JSON: a text (RFC 8259) that any language reads.
//!
//! 1. The head is the text, UTF-8 without a byte order mark. There are no buffers; the type code is 0.
//! 2. Without metadata the body is the text and nothing else: no part table.
//! 3. Opening a body does not look into the text. Whoever reads it does ([`json`](crate::json)), and refuses
//!    what is none.

use crate::error::{DecodeError, DecodeErrorKind as Kind};
use crate::frame::{Headed, Part};

/// The text of a body.
pub(crate) fn open(Headed { head, buffers }: Headed<'_>) -> Result<Part<'_>, DecodeError> {
    match buffers.len() {
        0 => Ok(head),
        found => {
            let kind = Kind::BufferCount { expected: 0, found };
            Err(DecodeError::new(kind, 0).within_field("parts"))
        }
    }
}
