//! JSON: a text (RFC 8259) that any language reads.
//!
//! 1. The head is the text, UTF-8 without a byte order mark. There are no buffers; the type code is 0.
//! 2. Without metadata the body is the text and nothing else: no part table.
//! 3. Opening a body does not look into the text. Whoever reads it does ([`json`](crate::json)), and refuses
//!    what is none.

use crate::error::{DecodeError, DecodeErrorKind as Kind, EncodeError, EncodeErrorKind};
use crate::frame::{Format, Headed, Layout, Part, check_meta};
use crate::json::{Writer, write_value};
use crate::token::Fixed;
use crate::value::Value;

/// How the body of a JSON text will be laid out. Made by [`plan()`].
#[derive(Debug)]
pub struct Plan<'v> {
    value: &'v Value,
    meta: Option<&'v [u8]>,
    layout: Layout,
}

/// Plans a frame of a value as JSON, with metadata (an encoded CBOR map with text keys) or without. The text is written twice: once
/// for its length, and then into its place.
///
/// # Errors
///
/// [`NoJson`](EncodeErrorKind::NoJson), [`MetaNotMap`](EncodeErrorKind::MetaNotMap), and
/// [`BodyTooLarge`](EncodeErrorKind::BodyTooLarge).
///
/// ```
/// use slipring_codec::{Value, format::json};
///
/// let value = Value::Array(vec![Value::Null, "a\nb".into()]);
/// let plan = json::plan(&value, None)?;
/// let mut body = vec![0; plan.body_len()];
/// plan.write(&mut body)?;
/// assert_eq!(body, br#"[null,"a\nb"]"#);
/// # Ok::<(), slipring_codec::EncodeError>(())
/// ```
pub fn plan<'v>(value: &'v Value, meta: Option<&'v [u8]>) -> Result<Plan<'v>, EncodeError> {
    check_meta(meta)?;
    let mut out = Writer::new(Fixed::new(&mut []));
    write_value(&mut out, value)?;
    let layout = Layout::new(Format::Json, out.len(), meta.map(<[u8]>::len), [])?;
    Ok(Plan { value, meta, layout })
}

impl Plan<'_> {
    /// Bytes of the body.
    pub fn body_len(&self) -> usize {
        self.layout.body_len()
    }

    /// The codec's [`flags`](crate::frame::flags), for the frame header.
    pub fn flags(&self) -> u16 {
        self.layout.flags()
    }

    /// The format, for the frame header.
    pub fn format(&self) -> Format {
        Format::Json
    }

    /// The type code, for the frame header.
    pub fn type_code(&self) -> u16 {
        self.layout.type_code()
    }

    /// Writes the body, every byte of it.
    ///
    /// # Errors
    ///
    /// [`BodyLength`](EncodeErrorKind::BodyLength) if `body` has not [`body_len`](Self::body_len) bytes.
    pub fn write(&self, body: &mut [u8]) -> Result<(), EncodeError> {
        let (planned, found) = (self.body_len(), body.len());
        if planned != found {
            return Err(EncodeError::new(EncodeErrorKind::BodyLength { planned, found }));
        }
        let front = Layout::front(0, self.meta.is_some());
        write_value(&mut Writer::new(Fixed::new(&mut body[front..])), self.value)?;
        self.layout.write(body, front, self.meta)
    }
}

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
