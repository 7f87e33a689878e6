//! Raw: the bytes themselves.
//!
//! 1. There is no head, and the type code is 0.
//! 2. Without metadata the body is the bytes and nothing else: no part table, flags 0.
//! 3. With metadata the body has a part table, a META part and one BUFFER.

use crate::error::{DecodeError, DecodeErrorKind as Kind, EncodeError};
use crate::frame::{Format, Part, Parts, Plan};

/// Plans a raw frame of `len` bytes, with metadata (an encoded CBOR map with text keys) or without.
///
/// # Errors
///
/// [`MetaNotMap`](crate::EncodeErrorKind::MetaNotMap) and
/// [`BodyTooLarge`](crate::EncodeErrorKind::BodyTooLarge).
///
/// ```
/// use slipring_codec::format::raw;
///
/// let plan = raw::plan(5, None)?;
/// let mut body = vec![0; plan.body_len()];
/// plan.write(&mut body)?.copy_from_slice(b"hello");
/// assert_eq!((body.as_slice(), plan.flags()), (b"hello".as_slice(), 0));
/// # Ok::<(), slipring_codec::EncodeError>(())
/// ```
pub fn plan(len: usize, meta: Option<&[u8]>) -> Result<Plan<'_>, EncodeError> {
    match meta {
        None => Plan::bare(Format::Raw, 0, len),
        Some(_) => Plan::with_parts(Format::Raw, 0, None, meta, len),
    }
}

/// The one buffer of a raw body.
pub(crate) fn open<'a>(type_code: u16, parts: &Parts<'a>) -> Result<Part<'a>, DecodeError> {
    if type_code != 0 {
        let kind = Kind::TypeCodeUnknown { format: Format::Raw, type_code };
        return Err(DecodeError::new(kind, 0).within_field("type_code"));
    }
    if let Some(head) = parts.head() {
        let kind = Kind::HeadUnexpected { format: Format::Raw };
        return Err(DecodeError::new(kind, head.offset).within_field("head"));
    }
    parts.only_buffer()
}
