//! What one element of an array is.

use std::fmt;
use std::str::FromStr;

use crate::error::{EncodeError, EncodeErrorKind};

/// What an element means. The discriminant is NumPy's letter for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Kind {
    /// False or true, as 0 or 1.
    Bool = b'b',
    /// Signed integer.
    Int = b'i',
    /// Unsigned integer.
    Uint = b'u',
    /// Float of IEEE 754.
    Float = b'f',
    /// Two floats: real and imaginary part.
    Complex = b'c',
}

/// Which end of an element comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ByteOrder {
    /// The least significant byte first.
    Little,
    /// The most significant byte first.
    Big,
}

/// A numeric dtype: `b1`, `i1` to `i8`, `u1` to `u8`, `f2` to `f8`, `c8`, `c16`, of either byte
/// order. Read from and shown as NumPy's `dtype.str`.
///
/// ```
/// use slipring_codec::format::ndarray::Dtype;
///
/// let dtype: Dtype = ">f4".parse()?;
/// assert_eq!((dtype.item_size(), dtype.to_string().as_str()), (4, ">f4"));
/// assert_eq!("f8".parse::<Dtype>()?, Dtype::F64); // of this machine's byte order, as in NumPy
/// assert!("<U8".parse::<Dtype>().is_err());
/// # Ok::<(), slipring_codec::EncodeError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Dtype {
    kind: Kind,
    item_size: u8,
    /// `Little` where an element is one byte.
    byte_order: ByteOrder,
}

/// Set in a dtype code for big-endian elements.
const BIG_ENDIAN: u16 = 0x8000;

macro_rules! native {
    ($($name:ident $kind:ident $size:literal $text:literal,)*) => {
        $(
            #[doc = concat!("`", $text, "`, in this machine's byte order.")]
            pub const $name: Dtype = Dtype::native(Kind::$kind, $size);
        )*
    };
}

impl Dtype {
    native! {
        BOOL Bool 1 "b1",
        I8 Int 1 "i1", I16 Int 2 "i2", I32 Int 4 "i4", I64 Int 8 "i8",
        U8 Uint 1 "u1", U16 Uint 2 "u2", U32 Uint 4 "u4", U64 Uint 8 "u8",
        F16 Float 2 "f2", F32 Float 4 "f4", F64 Float 8 "f8",
        C64 Complex 8 "c8", C128 Complex 16 "c16",
    }

    const fn native(kind: Kind, item_size: u8) -> Self {
        let big = cfg!(target_endian = "big") && item_size > 1;
        let byte_order = if big { ByteOrder::Big } else { ByteOrder::Little };
        Dtype { kind, item_size, byte_order }
    }

    /// The dtype of these letters and this size, if there is one. `byte_order` is `<`, `>`, or `|`
    /// for elements of one byte and only for them.
    pub(super) fn from_fields(kind: u8, byte_order: u8, item_size: u32) -> Option<Self> {
        let (kind, sizes): (_, &[u8]) = match kind {
            b'b' => (Kind::Bool, &[1]),
            b'i' => (Kind::Int, &[1, 2, 4, 8]),
            b'u' => (Kind::Uint, &[1, 2, 4, 8]),
            b'f' => (Kind::Float, &[2, 4, 8]),
            b'c' => (Kind::Complex, &[8, 16]),
            _ => return None,
        };
        let item_size = sizes.iter().copied().find(|&size| u32::from(size) == item_size)?;
        let byte_order = match (byte_order, item_size) {
            (b'|', 1) => ByteOrder::Little,
            (b'<', 2..) => ByteOrder::Little,
            (b'>', 2..) => ByteOrder::Big,
            _ => return None,
        };
        Some(Dtype { kind, item_size, byte_order })
    }

    /// What an element means.
    pub const fn kind(self) -> Kind {
        self.kind
    }

    /// Bytes per element: 1 to 16.
    pub const fn item_size(self) -> usize {
        self.item_size as usize
    }

    /// The byte order; `Little` where an element is one byte.
    pub const fn byte_order(self) -> ByteOrder {
        self.byte_order
    }

    /// The same dtype in another byte order; itself where an element is one byte.
    pub const fn with_byte_order(self, byte_order: ByteOrder) -> Self {
        match self.item_size {
            1 => self,
            _ => Dtype { byte_order, ..self },
        }
    }

    /// The type code of the frame header: item size, plus the letter of the kind times 256, plus
    /// 0x8000 where elements are big-endian. `<f8` is 0x6608, `>f8` is 0xE608.
    pub const fn code(self) -> u16 {
        let big = match self.byte_order {
            ByteOrder::Little => 0,
            ByteOrder::Big => BIG_ENDIAN,
        };
        big | (self.kind as u16) << 8 | self.item_size as u16
    }

    /// The dtype with this type code, if there is one: what an array is can be said without a look
    /// into its body.
    pub fn from_code(code: u16) -> Option<Self> {
        let [item_size, kind] = (code & !BIG_ENDIAN).to_le_bytes();
        let byte_order = match (code & BIG_ENDIAN, item_size) {
            (0, 1) => b'|',
            (0, _) => b'<',
            _ => b'>',
        };
        Dtype::from_fields(kind, byte_order, item_size.into())
    }

    /// NumPy's letter for the byte order.
    pub(super) const fn byte_order_letter(self) -> u8 {
        match (self.item_size, self.byte_order) {
            (1, _) => b'|',
            (_, ByteOrder::Little) => b'<',
            (_, ByteOrder::Big) => b'>',
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (order, kind) = (self.byte_order_letter() as char, self.kind as u8 as char);
        write!(f, "{order}{kind}{}", self.item_size)
    }
}

/// Reads NumPy's `dtype.str`. Without a letter for the byte order, or with `=`, it is this
/// machine's.
impl FromStr for Dtype {
    type Err = EncodeError;

    fn from_str(text: &str) -> Result<Self, EncodeError> {
        let (order, rest) = match text.as_bytes() {
            [order @ (b'<' | b'>' | b'|' | b'='), rest @ ..] => (*order, rest),
            rest => (b'=', rest),
        };
        let item_size = match rest {
            [_, size @ b'1'..=b'9'] => size - b'0',
            [_, b'1', b'6'] => 16,
            _ => return Err(EncodeError::new(EncodeErrorKind::DtypeUnknown)),
        };
        let native = if cfg!(target_endian = "big") { b'>' } else { b'<' };
        let order = match (order, item_size) {
            // NumPy drops a byte order that has no meaning.
            (_, 1) => b'|',
            (b'=', _) => native,
            (order, _) => order,
        };
        Dtype::from_fields(rest[0], order, item_size.into())
            .ok_or_else(|| EncodeError::new(EncodeErrorKind::DtypeUnknown))
    }
}
