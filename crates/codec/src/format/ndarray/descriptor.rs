//! Dtype, memory order and shape: what a head says of its array.

use std::ops::Deref;

use super::{Dtype, Order};
use crate::error::{DecodeError, DecodeErrorKind, EncodeError, EncodeErrorKind};
use crate::frame::Head;

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
    dtype: Dtype,
    order: Order,
    shape: Dims,
    byte_len: usize,
}

impl Descriptor {
    /// Describes an array. `shape` may be empty (one element) and may hold zeros (no element).
    ///
    /// # Errors
    ///
    /// [`TooManyDimensions`](EncodeErrorKind::TooManyDimensions) beyond [`MAX_NDIM`];
    /// [`ShapeOverflow`](EncodeErrorKind::ShapeOverflow) if its bytes, zeros left out, do not fit in memory.
    pub fn new(dtype: Dtype, order: Order, shape: &[u64]) -> Result<Self, EncodeError> {
        if shape.len() > MAX_NDIM {
            let kind = EncodeErrorKind::TooManyDimensions { found: shape.len(), limit: MAX_NDIM };
            return Err(EncodeError::new(kind));
        }
        let mut dims = Dims::zero(shape.len());
        dims.as_mut().copy_from_slice(shape);
        Descriptor::checked(dtype, order, dims)
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
        // A described dtype is one that only a later version knows, whatever its letters.
        let dtype = Dtype::from_fields(kind, byte_order, item_size).filter(|_| description == 0);
        let Some(dtype) = dtype else {
            return refuse(
                DecodeErrorKind::DtypeUnknown { kind, byte_order, item_size },
                "dtype",
                1,
            );
        };
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
        if rest.len() != ndim * 8 {
            let (expected, found) = ((FIXED_LEN + ndim * 8) as u64, head.len() as u64);
            return refuse(DecodeErrorKind::HeadLength { expected, found }, "shape", FIXED_LEN);
        }
        let mut shape = Dims::zero(ndim);
        for (length, bytes) in shape.as_mut().iter_mut().zip(rest.as_chunks().0) {
            *length = u64::from_le_bytes(*bytes);
        }
        match Descriptor::checked(dtype, order, shape) {
            Some(descriptor) => Ok(descriptor),
            None => refuse(DecodeErrorKind::ShapeOverflow, "shape", FIXED_LEN),
        }
    }

    fn checked(dtype: Dtype, order: Order, shape: Dims) -> Option<Self> {
        let mut factors = shape.iter().filter(|&&length| length != 0);
        let span = factors.try_fold(dtype.item_size() as u64, |n, &f| n.checked_mul(f))?;
        let span = isize::try_from(span).ok()? as usize;
        let byte_len = if shape.contains(&0) { 0 } else { span };
        Some(Descriptor { dtype, order, shape, byte_len })
    }

    /// The head, as it stands in an ndarray frame.
    pub fn to_head(&self) -> Vec<u8> {
        let mut head = vec![0; Head::len(self)];
        self.write(&mut head);
        head
    }

    /// What an element is.
    pub fn dtype(&self) -> Dtype {
        self.dtype
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
        let mut stride = self.dtype.item_size() as u64;
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
        self.byte_len / self.dtype.item_size()
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.byte_len == 0
    }

    /// Bytes of the elements.
    pub fn byte_len(&self) -> usize {
        self.byte_len
    }
}

impl Head for Descriptor {
    fn len(&self) -> usize {
        FIXED_LEN + self.shape.len() * 8
    }

    fn write(&self, out: &mut [u8]) {
        let (fixed, shape) = out.split_at_mut(FIXED_LEN);
        let order = match self.order {
            Order::C => b'C',
            Order::F => b'F',
        };
        fixed[..4].copy_from_slice(&[
            VERSION,
            self.dtype.kind() as u8,
            self.dtype.byte_order_letter(),
            order,
        ]);
        fixed[4..8].copy_from_slice(&(self.dtype.item_size() as u32).to_le_bytes());
        // The number of dimensions, and six bytes that are zero: no flags, no description.
        fixed[8..].copy_from_slice(&(self.shape.len() as u64).to_le_bytes());
        for (place, length) in shape.as_chunks_mut::<8>().0.iter_mut().zip(self.shape.iter()) {
            *place = length.to_le_bytes();
        }
    }
}
