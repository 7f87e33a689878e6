//! Arrays of Rust's own numbers, without a copy on the way in or out.

use crate::error::Error;
use crate::send::{Outgoing, Planned, header};
use bytemuck::Pod;
use slipring::{Grant, Header, Producer, Rejected, Wait};
use slipring_codec::format::ndarray::{self, Descriptor, Dtype, Order};
use slipring_codec::{EncodeError, Value};
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut, Range};

/// A number that arrays are made of.
pub trait Element: Pod + sealed::Sealed {
    /// What it is called in a frame.
    const DTYPE: Dtype;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! elements {
    ($($number:ty: $dtype:ident),*) => {$(
        impl sealed::Sealed for $number {}
        impl Element for $number {
            const DTYPE: Dtype = Dtype::$dtype;
        }
    )*};
}
elements!(i8: I8, i16: I16, i32: I32, i64: I64, u8: U8, u16: U16, u32: U32, u64: U64, f32: F32, f64: F64);

/// An array to be sent: its elements, the last index running fastest, and its shape.
#[derive(Debug, Clone)]
pub struct Array<'a, T> {
    descriptor: Descriptor,
    elements: &'a [T],
}

impl<'a, T: Element> Array<'a, T> {
    /// An array of these elements.
    ///
    /// # Errors
    ///
    /// [`Shape`](Error::Shape) if the shape makes another number of them, and those of [`Descriptor::new`].
    pub fn new(elements: &'a [T], shape: &[u64]) -> Result<Self, Error> {
        let descriptor = Descriptor::new(T::DTYPE, Order::C, shape)?;
        if descriptor.len() != elements.len() {
            return Err(Error::Shape { expected: descriptor.len(), found: elements.len() });
        }
        Ok(Array { descriptor, elements })
    }
}

impl<T: Element> Outgoing for Array<'_, T> {
    fn plan<'a>(&'a self, meta: Option<&'a [u8]>) -> Result<Planned<'a>, EncodeError> {
        let plan = ndarray::plan(&self.descriptor, meta)?;
        Planned::data(plan, bytemuck::cast_slice(self.elements))
    }
}

/// An array in a frame, for as long as that is borrowed.
#[derive(Debug, Clone)]
pub struct ArrayView<'a, T> {
    descriptor: Descriptor,
    elements: &'a [T],
}

impl<'a, T: Element> ArrayView<'a, T> {
    pub(crate) fn new(view: ndarray::View<'a>) -> Result<Self, Error> {
        let ndarray::View { descriptor, data } = view;
        if descriptor.dtype() != Some(T::DTYPE) {
            let found = descriptor.dtype().map(|dtype| dtype.to_string());
            let found = found.unwrap_or_else(|| format!("{:?}", descriptor.element()));
            return Err(Error::OtherDtype { expected: T::DTYPE.to_string(), found });
        }
        // The body begins at a multiple of 64 bytes, and so does its data; its length is that of the shape.
        let elements = bytemuck::cast_slice(data.bytes);
        Ok(ArrayView { descriptor, elements })
    }

    /// Lengths, one for each dimension.
    pub fn shape(&self) -> &[u64] {
        self.descriptor.shape()
    }

    /// Dtype, memory order, shape and strides.
    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// The elements as they lie in memory, in the order of the [`descriptor`](Self::descriptor).
    pub fn elements(&self) -> &'a [T] {
        self.elements
    }
}

/// Room for an array in the segment itself: derefs to its elements, which hold what an earlier frame left.
#[derive(Debug)]
pub struct ArrayGrant<T> {
    grant: Grant,
    header: Header,
    data: Range<usize>,
    of: PhantomData<T>,
}

impl<T: Element> ArrayGrant<T> {
    /// Reserves room for an array of this shape, the last index running fastest.
    ///
    /// ```
    /// # use slipring::{Segment, Wait};
    /// # let ring = Segment::options().capacity(1 << 20).create_anonymous()?;
    /// # let (mut tx, mut rx) = (ring.producer()?, ring.consumer()?);
    /// use slipring_frames::{ArrayGrant, ReadTyped};
    ///
    /// let mut image = ArrayGrant::<u8>::reserve(&mut tx, &[4, 4], None, &Wait::no())?;
    /// image.fill(7); // a camera writes here
    /// image.commit(&mut tx, &Wait::no()).map_err(|rejected| rejected.error)?;
    /// assert_eq!(rx.recv(&Wait::no())?.array::<u8>()?.elements(), [7; 16]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`Producer::reserve`] and [`Descriptor::new`], and metadata that is no map.
    pub fn reserve(
        tx: &mut Producer,
        shape: &[u64],
        meta: Option<&Value>,
        wait: &Wait<'_>,
    ) -> Result<Self, Error> {
        let descriptor = Descriptor::new(T::DTYPE, Order::C, shape)?;
        let meta = meta.map(Value::to_meta).transpose()?;
        let plan = ndarray::plan(&descriptor, meta.as_deref())?;
        let mut grant = tx.reserve(plan.body_len(), wait)?;
        plan.write(&mut grant)?;
        let header = header(plan.format(), plan.flags(), plan.type_code());
        Ok(ArrayGrant { grant, header, data: plan.data_offset()..plan.body_len(), of: PhantomData })
    }

    /// Sends it.
    ///
    /// # Errors
    ///
    /// As [`Producer::commit`]: the grant comes back, and is committed or dropped as one of bytes.
    #[allow(clippy::result_large_err, reason = "the grant comes back by value")]
    pub fn commit(self, tx: &mut Producer, wait: &Wait<'_>) -> Result<(), Rejected> {
        tx.commit(self.grant, self.header, wait)
    }
}

impl<T: Element> Deref for ArrayGrant<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        bytemuck::cast_slice(&self.grant[self.data.clone()])
    }
}

impl<T: Element> DerefMut for ArrayGrant<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        bytemuck::cast_slice_mut(&mut self.grant[self.data.clone()])
    }
}
