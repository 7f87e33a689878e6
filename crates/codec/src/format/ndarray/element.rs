//! What one element of an array is, of any dtype that NumPy has, objects apart.

use std::sync::Arc;

use super::{ByteOrder, Dtype, MAX_NDIM};
use crate::error::{DtypeFault, EncodeError, EncodeErrorKind, Segment};

/// The most bytes of an element, as in NumPy.
pub const MAX_ITEM_SIZE: u64 = i32::MAX as u64;
/// How many structs and subarrays may stand inside each other.
pub const MAX_NESTING: usize = 32;

/// What one element of an array is. The numeric ones are a [`Dtype`]; the others are described here.
///
/// ```
/// use slipring_codec::format::ndarray::{Descriptor, Dtype, Element, Field, Order, Struct};
///
/// let of = |name: &str, offset, element| Field { name: name.into(), title: None, offset, element };
/// let fields = vec![of("id", 0, Dtype::U32.into()), of("name", 4, Element::Bytes { len: 8 })];
/// let element = Element::from(Struct::new(fields, 16, false)?);
/// assert_eq!(element.item_size(), 16);
/// let array = Descriptor::new(element, Order::C, &[3])?;
/// assert_eq!((array.byte_len(), array.dtype()), (48, None));
/// # Ok::<(), slipring_codec::EncodeError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Element {
    /// A number or a bool.
    Numeric(Dtype),
    /// C's `long double`, in 16 bytes, or two of them: real and imaginary part.
    LongDouble {
        /// What the bytes mean, which is the platform's.
        format: LongDouble,
        /// Whether it is two of them.
        complex: bool,
        /// The byte order of each.
        byte_order: ByteOrder,
    },
    /// A signed integer of 64 bits that counts time; its least value says that there is none.
    Time {
        /// Whether it counts from 1970-01-01 in UTC without leap seconds, or from nothing.
        since_1970: bool,
        /// In what it counts.
        unit: TimeUnit,
        /// In how many of them: 25 for steps of 25 units. From 1 to 2^31 - 1; 1 where there is no unit.
        count: u32,
        /// The byte order.
        byte_order: ByteOrder,
    },
    /// A byte string, filled up with zeros.
    Bytes {
        /// Bytes.
        len: u32,
    },
    /// A text of Unicode's code points, four bytes each, filled up with zeros.
    Text {
        /// Code points.
        len: u32,
        /// The byte order of each.
        byte_order: ByteOrder,
    },
    /// Bytes of which nothing is known.
    Void {
        /// Bytes.
        len: u32,
    },
    /// Named fields.
    Struct(Arc<Struct>),
    /// Several elements of one dtype, in C order. Only a field is one; an array has dimensions.
    Subarray(Arc<Subarray>),
    /// A text of any length: see [`Texts`](super::Texts). No field is one.
    String(Arc<Missing>),
}

/// What the bytes of a `long double` mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LongDouble {
    /// The 80 bits of an x87 and 48 that mean nothing.
    X87,
    /// IEEE 754 binary128.
    Binary128,
}

impl LongDouble {
    pub(super) const ALL: [LongDouble; 2] = [LongDouble::X87, LongDouble::Binary128];

    /// What it is called in a description.
    pub const fn name(self) -> &'static str {
        match self {
            LongDouble::X87 => "x87",
            LongDouble::Binary128 => "binary128",
        }
    }

    /// That of this machine, if it has one of 16 bytes that is known here.
    pub const fn native() -> Option<Self> {
        if cfg!(all(target_arch = "x86_64", not(windows))) {
            Some(LongDouble::X87)
        } else if cfg!(all(
            any(target_arch = "aarch64", target_arch = "riscv64"),
            target_os = "linux"
        )) {
            Some(LongDouble::Binary128)
        } else {
            None
        }
    }
}

/// In what time is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TimeUnit {
    /// Of the calendar.
    Year,
    /// Of the calendar.
    Month,
    /// Seven days.
    Week,
    /// 24 hours.
    Day,
    /// 60 minutes.
    Hour,
    /// 60 seconds.
    Minute,
    /// A second.
    Second,
    /// 10^-3 s
    Milli,
    /// 10^-6 s
    Micro,
    /// 10^-9 s
    Nano,
    /// 10^-12 s
    Pico,
    /// 10^-15 s
    Femto,
    /// 10^-18 s
    Atto,
    /// None: numbers that have not been given one.
    Generic,
}

impl TimeUnit {
    pub(super) const ALL: [TimeUnit; 14] = [
        TimeUnit::Year,
        TimeUnit::Month,
        TimeUnit::Week,
        TimeUnit::Day,
        TimeUnit::Hour,
        TimeUnit::Minute,
        TimeUnit::Second,
        TimeUnit::Milli,
        TimeUnit::Micro,
        TimeUnit::Nano,
        TimeUnit::Pico,
        TimeUnit::Femto,
        TimeUnit::Atto,
        TimeUnit::Generic,
    ];

    /// NumPy's name for it.
    pub const fn name(self) -> &'static str {
        match self {
            TimeUnit::Year => "Y",
            TimeUnit::Month => "M",
            TimeUnit::Week => "W",
            TimeUnit::Day => "D",
            TimeUnit::Hour => "h",
            TimeUnit::Minute => "m",
            TimeUnit::Second => "s",
            TimeUnit::Milli => "ms",
            TimeUnit::Micro => "us",
            TimeUnit::Nano => "ns",
            TimeUnit::Pico => "ps",
            TimeUnit::Femto => "fs",
            TimeUnit::Atto => "as",
            TimeUnit::Generic => "generic",
        }
    }

    /// The unit of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|unit| unit.name() == name)
    }
}

/// A field of a [`Struct`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Field {
    /// Its name, which no other name or title of the struct is.
    pub name: Box<str>,
    /// A second name of which the same holds.
    pub title: Option<Box<str>>,
    /// Where it begins, in bytes from the start of the struct.
    pub offset: u32,
    /// What it is.
    pub element: Element,
}

/// Named fields in an element. They may stand in any order, over each other, and with gaps.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Struct {
    fields: Box<[Field]>,
    item_size: u32,
    aligned: bool,
    nesting: usize,
}

impl Struct {
    /// A struct of `item_size` bytes. `aligned` says that C would lay its fields out so.
    ///
    /// # Errors
    ///
    /// [`DtypeDescription`](EncodeErrorKind::DtypeDescription) with the path of a field that reaches beyond the
    /// struct, has the name of another or is of a dtype that no field can be.
    pub fn new(fields: Vec<Field>, item_size: u32, aligned: bool) -> Result<Self, EncodeError> {
        Self::checked(fields, item_size, aligned).map_err(|(fault, field)| {
            let error = EncodeError::new(EncodeErrorKind::DtypeDescription { fault });
            match field {
                Some(i) => error.within(Segment::Index(i)).within(Segment::key("fields")),
                None => error,
            }
        })
    }

    /// The fault, and the number of the field that has it.
    pub(super) fn checked(
        fields: Vec<Field>,
        item_size: u32,
        aligned: bool,
    ) -> Result<Self, (DtypeFault, Option<usize>)> {
        if u64::from(item_size) > MAX_ITEM_SIZE {
            return Err((DtypeFault::ItemSize, None));
        }
        let mut nesting = 1;
        for (i, field) in fields.iter().enumerate() {
            field.element.check().map_err(|fault| (fault, Some(i)))?;
            if matches!(field.element, Element::String(_)) {
                return Err((DtypeFault::Place, Some(i)));
            }
            if u64::from(field.offset) + field.element.item_size() as u64 > item_size.into() {
                return Err((DtypeFault::FieldOutside, Some(i)));
            }
            nesting = nesting.max(field.element.nesting() + 1);
        }
        if nesting > MAX_NESTING {
            return Err((DtypeFault::Nesting, None));
        }
        if let Some(i) = repeated(&fields) {
            return Err((DtypeFault::NameRepeated, Some(i)));
        }
        Ok(Self { fields: fields.into(), item_size, aligned, nesting })
    }

    /// The fields, in their order.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Bytes.
    pub fn item_size(&self) -> usize {
        self.item_size as usize
    }

    /// Whether C would lay the fields out so.
    pub fn is_aligned(&self) -> bool {
        self.aligned
    }

    /// Whether each field begins where the one ahead of it ends, and the last ends the struct.
    pub fn is_packed(&self) -> bool {
        let end = self.fields.iter().try_fold(0, |end, field| {
            (field.offset as usize == end).then(|| end + field.element.item_size())
        });
        end == Some(self.item_size())
    }
}

/// The number of a field that has a name or title which has been there.
fn repeated(fields: &[Field]) -> Option<usize> {
    let names = |(i, field): (usize, &Field)| {
        let title = field.title.as_deref().map(|title| (title.to_owned(), i));
        [Some((String::from(&*field.name), i)), title]
    };
    let mut names: Vec<_> = fields.iter().enumerate().flat_map(names).flatten().collect();
    names.sort_unstable();
    names.windows(2).find(|pair| pair[0].0 == pair[1].0).map(|pair| pair[1].1)
}

/// Several elements of one dtype within a struct.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Subarray {
    element: Element,
    shape: Box<[u32]>,
    item_size: u32,
    nesting: usize,
}

impl Subarray {
    /// Elements in C order.
    ///
    /// # Errors
    ///
    /// [`DtypeDescription`](EncodeErrorKind::DtypeDescription) without a dimension, with more than
    /// [`MAX_NDIM`], and beyond [`MAX_ITEM_SIZE`].
    pub fn new(element: Element, shape: &[u32]) -> Result<Self, EncodeError> {
        Self::checked(element, shape)
            .map_err(|fault| EncodeError::new(EncodeErrorKind::DtypeDescription { fault }))
    }

    pub(super) fn checked(element: Element, shape: &[u32]) -> Result<Self, DtypeFault> {
        element.check()?;
        if matches!(element, Element::String(_)) {
            return Err(DtypeFault::Place);
        }
        if shape.is_empty() || shape.len() > MAX_NDIM {
            return Err(DtypeFault::Subarray);
        }
        let nesting = element.nesting() + 1;
        if nesting > MAX_NESTING {
            return Err(DtypeFault::Nesting);
        }
        // As of an array: zeros are left out, so that no stride is too large either.
        let span = shape
            .iter()
            .filter(|&&length| length != 0)
            .try_fold(element.item_size().max(1) as u64, |n, &length| {
                n.checked_mul(length.into()).filter(|&n| n <= MAX_ITEM_SIZE)
            });
        let Some(span) = span else { return Err(DtypeFault::ItemSize) };
        let empty = shape.contains(&0) || element.item_size() == 0;
        let item_size = if empty { 0 } else { span as u32 };
        Ok(Self { element, shape: shape.into(), item_size, nesting })
    }

    /// What each of them is.
    pub fn element(&self) -> &Element {
        &self.element
    }

    /// Lengths, one per dimension; at least one.
    pub fn shape(&self) -> &[u32] {
        &self.shape
    }

    /// Bytes of all of them.
    pub fn item_size(&self) -> usize {
        self.item_size as usize
    }
}

/// What stands for a text that is missing, and how texts are made.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Missing {
    /// What stands for it.
    pub value: MissingValue,
    /// Whether what is no text is made one when it is assigned.
    pub coerce: bool,
}

/// What stands for a text that is missing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum MissingValue {
    /// No text is missing.
    No,
    /// None, or nil.
    Null,
    /// A float that is no number.
    Nan,
    /// This text.
    Text(Box<str>),
}

impl Element {
    /// Bytes of an element; may be 0. A [`String`](Element::String) has no size of its own, and 0 here.
    pub fn item_size(&self) -> usize {
        match self {
            Element::Numeric(dtype) => dtype.item_size(),
            Element::LongDouble { complex: false, .. } => 16,
            Element::LongDouble { complex: true, .. } => 32,
            Element::Time { .. } => 8,
            Element::Bytes { len } | Element::Void { len } => *len as usize,
            Element::Text { len, .. } => *len as usize * 4,
            Element::Struct(of) => of.item_size(),
            Element::Subarray(of) => of.item_size(),
            Element::String(_) => 0,
        }
    }

    /// The dtype, of a number or a bool.
    pub fn dtype(&self) -> Option<Dtype> {
        match self {
            Element::Numeric(dtype) => Some(*dtype),
            _ => None,
        }
    }

    /// The letters of kind and byte order, as NumPy has them.
    pub(super) fn letters(&self) -> (u8, u8) {
        let order = |order: ByteOrder| match order {
            ByteOrder::Little => b'<',
            ByteOrder::Big => b'>',
        };
        match self {
            Element::Numeric(dtype) => (dtype.kind() as u8, dtype.byte_order_letter()),
            Element::LongDouble { complex, byte_order, .. } => {
                (if *complex { b'c' } else { b'f' }, order(*byte_order))
            }
            Element::Time { since_1970, byte_order, .. } => {
                (if *since_1970 { b'M' } else { b'm' }, order(*byte_order))
            }
            Element::Bytes { .. } => (b'S', b'|'),
            Element::Text { byte_order, .. } => (b'U', order(*byte_order)),
            Element::Void { .. } | Element::Struct(_) | Element::Subarray(_) => (b'V', b'|'),
            Element::String(_) => (b'T', b'|'),
        }
    }

    /// The type code of the frame header: for numbers [`Dtype::code`], for the others the same, with 0 for
    /// the item size where the kind has not one.
    pub fn code(&self) -> u16 {
        if let Element::Numeric(dtype) = self {
            return dtype.code();
        }
        let (kind, order) = self.letters();
        let size = match self {
            Element::LongDouble { .. } | Element::Time { .. } => self.item_size() as u16,
            _ => 0,
        };
        u16::from(order == b'>') << 15 | u16::from(kind) << 8 | size
    }

    /// Structs and subarrays inside each other.
    fn nesting(&self) -> usize {
        match self {
            Element::Struct(of) => of.nesting,
            Element::Subarray(of) => of.nesting,
            _ => 0,
        }
    }

    /// What its public fields could say and must not.
    pub(super) fn check(&self) -> Result<(), DtypeFault> {
        match self {
            Element::Time { count, .. } if !(1..=i32::MAX as u32).contains(count) => {
                Err(DtypeFault::Unit)
            }
            Element::Time { unit: TimeUnit::Generic, count: 2.., .. } => Err(DtypeFault::Unit),
            _ if self.item_size() as u64 > MAX_ITEM_SIZE => Err(DtypeFault::ItemSize),
            _ => Ok(()),
        }
    }
}

impl From<Dtype> for Element {
    fn from(dtype: Dtype) -> Self {
        Element::Numeric(dtype)
    }
}

impl From<Struct> for Element {
    fn from(of: Struct) -> Self {
        Element::Struct(of.into())
    }
}

impl From<Subarray> for Element {
    fn from(of: Subarray) -> Self {
        Element::Subarray(of.into())
    }
}
