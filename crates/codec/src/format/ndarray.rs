//! Arrays: elements of one dtype in one block of memory, as NumPy knows them.
//!
//! ```text
//! head
//!  0 u8  version       1
//!  1 u8  kind          'b' bool, 'i' signed, 'u' unsigned, 'f' float, 'c' complex, 'm' time span, 'M' time,
//!                      'S' bytes, 'U' text, 'V' bytes of unknown meaning or a struct, 'T' text of any length
//!  2 u8  byte order    '<' little, '>' big, '|' where an element has none
//!  3 u8  memory order  'C' last index fastest, 'F' first index fastest
//!  4 u32 item size     bytes per element; 0 for 'T'
//!  8 u16 ndim          0 to 64
//! 10 u16 zero
//! 12 u32 description   bytes of a description of the dtype after the shape; 0 for numeric dtypes
//! 16 u64 shape[ndim]
//!    u8  description   CBOR; see `description.rs` and `docs/frame-format.md`
//! ```
//!
//! All integers are little-endian. What must hold:
//!
//! 1. The head is as long as its fields say. There is one buffer, and it has exactly the bytes that
//!    shape and item size make; for texts of any length see [`Texts`].
//! 2. The item size times all lengths of the shape but zeros is at most 2^63 - 1 bytes (NumPy's own
//!    rule), so that no stride overflows. An item size of 0 counts as 1 there, for texts as 16.
//! 3. The type code of the frame header is [`Element::code`].

mod description;
mod descriptor;
mod dtype;
mod element;
mod name;
mod texts;

pub use descriptor::{Descriptor, Dims, MAX_NDIM};
pub use dtype::{ByteOrder, Dtype, Kind};
pub use element::{
    Element, Field, LongDouble, MAX_ITEM_SIZE, MAX_NESTING, Missing, MissingValue, Struct,
    Subarray, TimeUnit,
};
pub use texts::Texts;

use crate::error::{DecodeError, DecodeErrorKind, EncodeError};
use crate::frame::{Format, Part, Parts, Plan};

/// Memory order of an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Order {
    /// The last index runs fastest.
    C,
    /// The first index runs fastest, as in Fortran.
    F,
}

/// An array in a body.
#[derive(Debug, Clone)]
pub struct View<'a> {
    /// Dtype, memory order and shape.
    pub descriptor: Descriptor,
    /// The elements, or [`Texts`]; exactly [`Descriptor::byte_len`] bytes, at an offset that is a multiple
    /// of 64.
    pub data: Part<'a>,
}

/// Plans an array frame, with metadata (an encoded CBOR map with text keys) or without.
///
/// # Errors
///
/// [`MetaNotMap`](crate::EncodeErrorKind::MetaNotMap) and
/// [`BodyTooLarge`](crate::EncodeErrorKind::BodyTooLarge).
///
/// ```
/// use slipring_codec::format::ndarray::{self, Descriptor, Dtype, Order};
///
/// let array = Descriptor::new("<i2".parse::<Dtype>()?, Order::C, &[2, 2])?;
/// let plan = ndarray::plan(&array, None)?;
/// let mut body = vec![0; plan.body_len()];
/// plan.write(&mut body)?.copy_from_slice(&[1, 0, 2, 0, 3, 0, 4, 0]);
/// assert_eq!(body[plan.data_offset()..].len(), 8);
/// # Ok::<(), slipring_codec::EncodeError>(())
/// ```
pub fn plan<'a>(
    descriptor: &'a Descriptor,
    meta: Option<&'a [u8]>,
) -> Result<Plan<'a>, EncodeError> {
    let code = descriptor.element().code();
    Plan::with_parts(Format::Ndarray, code, Some(descriptor), meta, descriptor.byte_len())
}

/// The array of a body.
pub(crate) fn open<'a>(type_code: u16, parts: &Parts<'a>) -> Result<View<'a>, DecodeError> {
    let Some(head) = parts.head() else {
        let kind = DecodeErrorKind::HeadMissing { format: Format::Ndarray };
        return Err(DecodeError::new(kind, 0).within_field("head"));
    };
    let descriptor =
        Descriptor::parse(head.bytes).map_err(|e| e.within_field("head").shifted(head.offset))?;
    let code = descriptor.element().code();
    if type_code != code {
        let kind = DecodeErrorKind::TypeCodeMismatch { header: type_code, head: code };
        return Err(DecodeError::new(kind, head.offset).within_field("type_code"));
    }
    let data = parts.only_buffer()?;
    if !descriptor.takes(data.bytes.len()) {
        let (expected, found) = (descriptor.byte_len() as u64, data.bytes.len() as u64);
        let kind = DecodeErrorKind::DataLength { expected, found };
        return Err(DecodeError::new(kind, data.offset).within_field("data"));
    }
    Ok(View { descriptor: descriptor.of_data(data.bytes.len()), data })
}
