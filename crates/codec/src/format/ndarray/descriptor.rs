//! Dtype, memory order and shape: what a head says of its array.

use std::ops::Deref;

use super::{Dtype, Element, Order, description, texts};
use crate::error::{DecodeError, DecodeErrorKind, DtypeFault, EncodeError, EncodeErrorKind};
use crate::frame::Head;
use crate::token::Encoder;

/// The most dimensions an array can have, as in NumPy 2.
pub const MAX_NDIM: usize = 64;

/// Version of the head.
const VERSION: u8 = 1;
/// Bytes of a head before the shape.
const FIXED_LEN: usize = 16;

/// Lengths or strides of an array, one per dimension; a `[u64]`. Up to six lie in place.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Dims(Repr);

/// Dimensions beyond `len` are zero, so that equality and hash may look at all of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Repr {
    Inline { len: u8, dims: [u64; INLINE] },
    Heap(Box<[u64]>),
}

const INLINE: usize = 6;

impl Dims {
    /// `len` dimensions, all zero. `len` is at most [`MAX_NDIM`].
    fn zero(len: usize) -> Self {
        match len {
            0..=INLINE => Dims(Repr::Inline { len: len as u8, dims: [0; INLINE] }),
            _ => Dims(Repr::Heap(vec![0; len].into())),
        }
    }

    fn as_mut(&mut self) -> &mut [u64] {
        match &mut self.0 {
            Repr::Inline { len, dims } => &mut dims[..usize::from(*len)],
            Repr::Heap(dims) => dims,
        }
    }
}

impl Deref for Dims {
    type Target = [u64];

    fn deref(&self) -> &[u64] {
        match &self.0 {
            Repr::Inline { len, dims } => &dims[..usize::from(*len)],
            Repr::Heap(dims) => dims,
        }
    }
}

/// Dtype, memory order and shape of an array. Its size in bytes is known to fit in memory.
///
/// ```
/// use slipring_codec::format::ndarray::{Descriptor, Dtype, Order};
///
/// let array = Descriptor::new(Dtype::F64, Order::F, &[2, 3])?;
/// assert_eq!((array.len(), array.byte_len()), (6, 48));
/// assert_eq!(*array.strides(), [8, 16]);
/// # Ok::<(), slipring_codec::EncodeError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Descriptor {
    element: Element,
    order: Order,
    shape: Dims,
    len: usize,
    byte_len: usize,
}

impl Descriptor {
    /// Describes an array. `shape` may be empty (one element) and may hold zeros (no element).
    ///
    /// # Errors
    ///
    /// [`TooManyDimensions`](EncodeErrorKind::TooManyDimensions) beyond [`MAX_NDIM`];
    /// [`ShapeOverflow`](EncodeErrorKind::ShapeOverflow) if its bytes, zeros left out, do not fit in memory;
    /// [`DtypeDescription`](EncodeErrorKind::DtypeDescription) for an element that an array can't have.
    pub fn new(
        element: impl Into<Element>,
        order: Order,
        shape: &[u64],
    ) -> Result<Self, EncodeError> {
        let element = element.into();
        let fault = match element {
            Element::Subarray(_) => Err(DtypeFault::Place),
            _ => element.check(),
        };
        if let Err(fault) = fault {
            return Err(EncodeError::new(EncodeErrorKind::DtypeDescription { fault }));
        }
        if shape.len() > MAX_NDIM {
            let kind = EncodeErrorKind::TooManyDimensions { found: shape.len(), limit: MAX_NDIM };
            return Err(EncodeError::new(kind));
        }
        let mut dims = Dims::zero(shape.len());
        dims.as_mut().copy_from_slice(shape);
        Descriptor::checked(element, order, dims)
            .ok_or_else(|| EncodeError::new(EncodeErrorKind::ShapeOverflow))
    }

    /// Reads a head. Dtype and shape can so be told without the data.
    ///
    /// # Errors
    ///
    /// Those that say which field does not hold what it may, with its path.
    pub fn parse(head: &[u8]) -> Result<Self, DecodeError> {
        let refuse =
            |kind, field: &str, offset| Err(DecodeError::new(kind, offset).within_field(field));
        let Some((fixed, rest)) = head.split_first_chunk::<FIXED_LEN>() else {
            let kind =
                DecodeErrorKind::Truncated { needed: FIXED_LEN as u64, left: head.len() as u64 };
            return Err(DecodeError::new(kind, 0));
        };
        let &[version, kind, byte_order, order, s0, s1, s2, s3, n0, n1, z0, z1, d0, d1, d2, d3] =
            fixed;
        let item_size = u32::from_le_bytes([s0, s1, s2, s3]);
        let ndim = usize::from(u16::from_le_bytes([n0, n1]));
        let zero = u16::from_le_bytes([z0, z1]);
        let description = u32::from_le_bytes([d0, d1, d2, d3]);
        if version != VERSION {
            return refuse(DecodeErrorKind::HeadVersion { found: version }, "version", 0);
        }
        let numeric = Dtype::from_fields(kind, byte_order, item_size);
        if numeric.is_some() && description != 0 {
            // A version to come may say more of a number.
            let kind = DecodeErrorKind::DtypeUnknown { kind, byte_order, item_size };
            return refuse(kind, "dtype", 12);
        }
        let order = match order {
            b'C' => Order::C,
            b'F' => Order::F,
            found => return refuse(DecodeErrorKind::OrderUnknown { found }, "order", 3),
        };
        if ndim > MAX_NDIM {
            let kind = DecodeErrorKind::TooManyDimensions { found: ndim, limit: MAX_NDIM };
            return refuse(kind, "ndim", 8);
        }
        if zero != 0 {
            return refuse(DecodeErrorKind::NotZero { found: zero.into() }, "zero", 10);
        }
        let described = match rest.split_at_checked(ndim * 8) {
            Some((shape, described)) if described.len() as u64 == description.into() => {
                Some((shape, described))
            }
            _ => None,
        };
        let Some((lengths, described)) = described else {
            let expected = (FIXED_LEN + ndim * 8) as u64 + u64::from(description);
            let kind = DecodeErrorKind::HeadLength { expected, found: head.len() as u64 };
            return refuse(kind, "shape", FIXED_LEN);
        };
        let element = match numeric {
            Some(dtype) => Element::Numeric(dtype),
            None => {
                let some = (description != 0).then_some(described);
                let at = if description == 0 { 1 } else { FIXED_LEN + ndim * 8 };
                description::read(kind, byte_order, item_size, some)
                    .map_err(|error| error.within_field("dtype").shifted(at))?
            }
        };
        let mut shape = Dims::zero(ndim);
        for (length, bytes) in shape.as_mut().iter_mut().zip(lengths.as_chunks().0) {
            *length = u64::from_le_bytes(*bytes);
        }
        match Descriptor::checked(element, order, shape) {
            Some(descriptor) => Ok(descriptor),
            None => refuse(DecodeErrorKind::ShapeOverflow, "shape", FIXED_LEN),
        }
    }

    fn checked(element: Element, order: Order, shape: Dims) -> Option<Self> {
        let each = match element {
            // An offset, a bit and a text: the sum of what stands ahead of the texts does not overflow.
            Element::String(_) => 16,
            // Elements of no bytes are counted all the same.
            _ => element.item_size().max(1),
        };
        let mut factors = shape.iter().filter(|&&length| length != 0);
        let span = factors.try_fold(each as u64, |n, &f| n.checked_mul(f))?;
        let span = isize::try_from(span).ok()? as usize;
        let len = if shape.contains(&0) { 0 } else { span / each };
        let byte_len = match element {
            Element::String(_) => usize::try_from(texts::front_len(len as u64)?).ok()?,
            _ => len * element.item_size(),
        };
        Some(Descriptor { element, order, shape, len, byte_len })
    }

    /// The descriptor of texts whose data has so many bytes; see [`Texts`](super::Texts).
    ///
    /// # Errors
    ///
    /// [`DtypeDescription`](EncodeErrorKind::DtypeDescription) if the elements are no texts of any length, or
    /// there are fewer bytes than their offsets take.
    pub fn with_data_len(self, byte_len: usize) -> Result<Self, EncodeError> {
        match self.takes(byte_len) {
            true => Ok(self.of_data(byte_len)),
            false => {
                let fault = DtypeFault::ItemSize;
                Err(EncodeError::new(EncodeErrorKind::DtypeDescription { fault }))
            }
        }
    }

    /// The same with the length of its data, which it [`takes`](Self::takes).
    pub(crate) fn of_data(self, byte_len: usize) -> Self {
        Descriptor { byte_len, ..self }
    }

    /// Whether data of this length can be the array's.
    pub(crate) fn takes(&self, byte_len: usize) -> bool {
        match self.element {
            Element::String(_) => texts::front_len(self.len as u64) <= Some(byte_len as u64),
            _ => self.byte_len == byte_len,
        }
    }

    /// The head, as it stands in an ndarray frame.
    pub fn to_head(&self) -> Vec<u8> {
        let mut head = vec![0; Head::len(self)];
        self.write(&mut head);
        head
    }

    /// What an element is.
    pub fn element(&self) -> &Element {
        &self.element
    }

    /// The dtype of an array of numbers.
    pub fn dtype(&self) -> Option<Dtype> {
        self.element.dtype()
    }

    /// Bytes of an element; may be 0, and is for texts of any length.
    pub fn item_size(&self) -> usize {
        self.element.item_size()
    }

    /// The memory order.
    pub fn order(&self) -> Order {
        self.order
    }

    /// Lengths, one per dimension, in elements.
    pub fn shape(&self) -> &[u64] {
        &self.shape
    }

    /// Strides, one per dimension, in bytes: how far apart neighbours along it lie.
    pub fn strides(&self) -> Dims {
        let mut strides = Dims::zero(self.shape.len());
        let mut stride = self.item_size() as u64;
        let mut step = |(place, &length): (&mut u64, &u64)| {
            *place = stride;
            stride *= length.max(1);
        };
        let each = strides.as_mut().iter_mut().zip(self.shape.iter());
        match self.order {
            Order::C => each.rev().for_each(&mut step),
            Order::F => each.for_each(&mut step),
        }
        strides
    }

    /// Elements.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of the data: of all elements or, where only the head of an array of texts was read, of all but
    /// their text.
    pub fn byte_len(&self) -> usize {
        self.byte_len
    }
}

impl Head for Descriptor {
    fn len(&self) -> usize {
        FIXED_LEN + self.shape.len() * 8 + self.described(&mut [])
    }

    fn write(&self, out: &mut [u8]) {
        let (fixed, rest) = out.split_at_mut(FIXED_LEN);
        let (shape, described) = rest.split_at_mut(self.shape.len() * 8);
        let order = match self.order {
            Order::C => b'C',
            Order::F => b'F',
        };
        let (kind, byte_order) = self.element.letters();
        fixed[..4].copy_from_slice(&[VERSION, kind, byte_order, order]);
        fixed[4..8].copy_from_slice(&(self.item_size() as u32).to_le_bytes());
        // The number of dimensions, and two bytes that are zero.
        fixed[8..12].copy_from_slice(&(self.shape.len() as u32).to_le_bytes());
        fixed[12..].copy_from_slice(&(self.described(described) as u32).to_le_bytes());
        for (place, length) in shape.as_chunks_mut::<8>().0.iter_mut().zip(self.shape.iter()) {
            *place = length.to_le_bytes();
        }
    }
}

impl Descriptor {
    /// Writes the description of the element, as far as there is room. How long it is.
    fn described(&self, out: &mut [u8]) -> usize {
        if matches!(self.element, Element::Numeric(_)) {
            return 0;
        }
        let mut encoder = Encoder::over(out);
        description::write(&self.element, &mut encoder);
        encoder.len()
    }
}
