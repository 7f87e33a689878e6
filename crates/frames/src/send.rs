//! Sending: planned first, then written into the place that the frame keeps.

use crate::error::Error;
use slipring::{Header, Producer, Wait};
use slipring_codec::format::{json, raw, value};
use slipring_codec::{EncodeError, FORMAT_VERSION, Format, Plan, Value};

/// The header of a frame of this format, with the codec's flags.
#[inline]
pub fn header(format: Format, flags: u16, type_code: u16) -> Header {
    Header {
        format: format.code(),
        format_version: FORMAT_VERSION,
        flags,
        type_code,
        ..Header::default()
    }
}

/// What has a form in a frame: bytes, a [`Value`], [`Json`], an [`Array`](crate::Array), and with the feature `arrow` a
/// `RecordBatch` or a [`Table`](crate::Table) of many.
pub trait Outgoing {
    /// Plans its frame, with metadata (an encoded CBOR map with text keys) or without.
    ///
    /// # Errors
    ///
    /// What has no form, with the place in it.
    fn plan<'a>(&'a self, meta: Option<&'a [u8]>) -> Result<Planned<'a>, EncodeError>;
}

/// A frame that is planned: its header, its length, and what will be written.
#[derive(Debug)]
pub struct Planned<'a> {
    pub(crate) header: Header,
    pub(crate) what: What<'a>,
}

#[derive(Debug)]
pub(crate) enum What<'a> {
    /// A front, and the data after it.
    Data(Plan<'a>, &'a [u8]),
    Value(value::Plan<'a>),
    Json(json::Plan<'a>),
    #[cfg(feature = "arrow")]
    Table {
        plan: slipring_codec::format::arrow::Plan,
        meta: Option<&'a [u8]>,
        /// What it was announced as, on one ring.
        under: Option<&'a slipring::Schema>,
    },
}

impl Planned<'_> {
    /// The header, for [`Producer::commit`].
    pub fn header(&self) -> Header {
        self.header
    }

    /// Bytes to be reserved.
    pub fn body_len(&self) -> usize {
        match &self.what {
            What::Data(plan, _) => plan.body_len(),
            What::Value(plan) => plan.body_len(),
            What::Json(plan) => plan.body_len(),
            #[cfg(feature = "arrow")]
            What::Table { plan, .. } => plan.body_len(),
        }
    }

    /// Writes the body, every byte of it, such as into a [`Grant`](slipring::Grant) of [`body_len`](Self::body_len) bytes.
    ///
    /// # Errors
    ///
    /// If it has another length.
    pub fn write(&self, body: &mut [u8]) -> Result<(), EncodeError> {
        match &self.what {
            What::Data(plan, data) => plan.write(body).map(|place| place.copy_from_slice(data)),
            What::Value(plan) => plan.write(body),
            What::Json(plan) => plan.write(body),
            #[cfg(feature = "arrow")]
            What::Table { plan, meta, .. } => plan.write(body, *meta),
        }
    }
}

/// Sends what has a form.
pub trait SendTyped {
    /// Sends `what` as one frame, with metadata, a map of texts, or without. It is written straight into the segment, in one copy.
    ///
    /// For what takes long to write, or is to be sent in another order, plan it, reserve, write and commit:
    ///
    /// ```
    /// # use slipring::{Segment, Wait};
    /// # let ring = Segment::options().capacity(1 << 20).create_anonymous()?;
    /// # let mut tx = ring.producer()?;
    /// use slipring_frames::{Array, Outgoing};
    ///
    /// let row = Array::new(&[1u16, 2, 3], &[3])?;
    /// let planned = row.plan(None)?;
    /// let mut grant = tx.reserve(planned.body_len(), &Wait::no())?;
    /// planned.write(&mut grant)?;
    /// tx.commit(grant, planned.header(), &Wait::no()).map_err(|rejected| rejected.error)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Encode`](Error::Encode) and those of [`Producer::send_with`].
    fn send_typed(
        &mut self,
        what: &(impl Outgoing + ?Sized),
        meta: Option<&Value>,
        wait: &Wait<'_>,
    ) -> Result<(), Error>;
}

impl SendTyped for Producer {
    fn send_typed(
        &mut self,
        what: &(impl Outgoing + ?Sized),
        meta: Option<&Value>,
        wait: &Wait<'_>,
    ) -> Result<(), Error> {
        let meta = meta.map(Value::to_meta).transpose()?;
        let planned = what.plan(meta.as_deref())?;
        #[cfg(feature = "arrow")]
        if let What::Table { under: Some(announced), .. } = &planned.what {
            let there = self.segment().schemas().get(announced.id())?;
            let told = |of: &slipring::Schema| (of.kind(), of.version());
            let same = |there: &slipring::Schema| {
                told(there) == told(announced)
                    && there.name() == announced.name()
                    && there.bytes() == announced.bytes()
            };
            if !there.as_ref().is_some_and(same) {
                let (name, version) = (announced.name().to_owned(), announced.version());
                return Err(Error::OtherRing { name, version });
            }
        }
        let fill = |body: &mut [u8]| {
            planned
                .write(body)
                .expect("a body of the planned length, and metadata that was checked");
        };
        Ok(self.send_with(planned.header, planned.body_len(), fill, wait)?)
    }
}

impl Outgoing for [u8] {
    fn plan<'a>(&'a self, meta: Option<&'a [u8]>) -> Result<Planned<'a>, EncodeError> {
        Planned::data(raw::plan(self.len(), meta)?, self)
    }
}

impl<const N: usize> Outgoing for [u8; N] {
    fn plan<'a>(&'a self, meta: Option<&'a [u8]>) -> Result<Planned<'a>, EncodeError> {
        self[..].plan(meta)
    }
}

impl<'a> Planned<'a> {
    pub(crate) fn data(plan: Plan<'a>, data: &'a [u8]) -> Result<Self, EncodeError> {
        let header = header(plan.format(), plan.flags(), plan.type_code());
        Ok(Planned { header, what: What::Data(plan, data) })
    }
}

impl Outgoing for Value {
    fn plan<'a>(&'a self, meta: Option<&'a [u8]>) -> Result<Planned<'a>, EncodeError> {
        let plan = value::plan(self, meta)?;
        let header = header(plan.format(), plan.flags(), plan.type_code());
        Ok(Planned { header, what: What::Value(plan) })
    }
}

/// A value that is sent as a JSON text, if it has that form.
#[derive(Debug, Clone, Copy)]
pub struct Json<'v>(pub &'v Value);

impl Outgoing for Json<'_> {
    fn plan<'a>(&'a self, meta: Option<&'a [u8]>) -> Result<Planned<'a>, EncodeError> {
        let plan = json::plan(self.0, meta)?;
        let header = header(plan.format(), plan.flags(), plan.type_code());
        Ok(Planned { header, what: What::Json(plan) })
    }
}
