//! Tables, as arrow-rs has them: over the memory of the frame, which each column keeps.
//!
//! 1. A [`buffer`] over a frame owns the frame's lease, together with all that was cut from it. The block is free again when the last
//!    column, slice or buffer is gone; the frame, the consumer and the ring may be gone before.
//! 2. arrow-rs trusts its arrays, so what it builds them from is checked before, texts included: in the module `over`.

mod over;

use crate::error::Error;
use crate::receive::open;
use crate::schema::{Expects, KIND};
use crate::send::{Outgoing, Planned, What, header};
use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_schema::{ArrowError, Schema, SchemaRef};
use slipring::Frame;
use slipring_codec::evolution::{Made, Projection, Unfit, fair, laid_out};
use slipring_codec::format::arrow::{self, Checks, Parsed, Recent, Rows, SchemaPlace};
use slipring_codec::frame::flags::{STREAM_FIRST, STREAM_LAST};
use slipring_codec::{Content, EncodeError, Value};
use std::cell::RefCell;
use std::panic::AssertUnwindSafe;
use std::ptr::NonNull;
use std::sync::Arc;

/// The body of a frame as Arrow's memory. It keeps the frame's lease, and so does every slice of it.
pub fn buffer(frame: &Arc<Frame>) -> Buffer {
    let body: &[u8] = frame;
    if body.is_empty() {
        return Buffer::default();
    }
    let owner = Arc::new(AssertUnwindSafe(Arc::clone(frame)));
    // SAFETY: the body is the frame's, which is the owner: it is mapped, and no producer gets it, until the owner is dropped. Nobody
    // writes by it, since a buffer with an owner of its own is never given out for writing; bodies are immutable by contract
    // once placed.
    unsafe { Buffer::from_custom_allocation(NonNull::from(body).cast(), body.len(), owner) }
}

/// A table that was received.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Table {
    /// The fields of all batches.
    pub schema: SchemaRef,
    /// In order; there may be none.
    pub batches: Vec<RecordBatch>,
}

/// Reads a frame as a table.
pub trait ReadTable: Sized {
    /// The table of a frame of tables, over the segment. Take it from an `Arc<Frame>` to have the frame as well, for its metadata or
    /// to acknowledge it.
    ///
    /// Texts and offsets are gone through, and the bits of columns with nulls; numbers are not looked at, so that a table of them
    /// costs the same whatever its length.
    ///
    /// # Errors
    ///
    /// [`OtherFormat`](Error::OtherFormat), [`OtherSchema`](Error::OtherSchema), those of [`open`] and of
    /// [`arrow::read`], and [`Arrow`](Error::Arrow).
    fn table(self) -> Result<Table, Error>;

    /// The same over a copy of the frame, for where peers that can write to the segment are not to be trusted: what was checked
    /// can't change any more.
    ///
    /// # Errors
    ///
    /// As [`table`](Self::table).
    fn table_copied(self) -> Result<Table, Error>;

    /// The same [`table`](Self::table) as it is expected, whichever version of its schema it was sent under. One that was sent under none,
    /// or under one of a name that nothing is expected of, is as it was written.
    ///
    /// Columns that stay as they were lie in the frame, the others beside it, up to a limit that the frame's own size sets.
    ///
    /// # Errors
    ///
    /// As [`table`](Self::table), [`Schema`](Error::Schema), and [`Apply`](Error::Apply) where a value has no place in the type that is
    /// expected.
    fn table_as(self, expects: &Expects) -> Result<Table, Error>;

    /// The same over a copy of the frame, as [`table_copied`](Self::table_copied).
    ///
    /// # Errors
    ///
    /// As [`table_as`](Self::table_as).
    fn table_copied_as(self, expects: &Expects) -> Result<Table, Error>;
}

impl ReadTable for Frame {
    fn table(self) -> Result<Table, Error> {
        Arc::new(self).table()
    }

    fn table_copied(self) -> Result<Table, Error> {
        Arc::new(self).table_copied()
    }

    fn table_as(self, expects: &Expects) -> Result<Table, Error> {
        Arc::new(self).table_as(expects)
    }

    fn table_copied_as(self, expects: &Expects) -> Result<Table, Error> {
        Arc::new(self).table_copied_as(expects)
    }
}

impl ReadTable for Arc<Frame> {
    fn table(self) -> Result<Table, Error> {
        Found::of(&self, &buffer(&self))?.0.batches()
    }

    fn table_copied(self) -> Result<Table, Error> {
        Found::of(&self, &Buffer::from_slice_ref(&**self))?.0.batches()
    }

    fn table_as(self, expects: &Expects) -> Result<Table, Error> {
        expects.read(&self, &buffer(&self))
    }

    fn table_copied_as(self, expects: &Expects) -> Result<Table, Error> {
        expects.read(&self, &Buffer::from_slice_ref(&**self))
    }
}

/// A table that was checked, and the memory that it was read from.
pub(crate) struct Found {
    table: arrow::Table,
    memory: Buffer,
}

impl Found {
    /// The table of a frame over `memory`, which has its body, and the schema that it was sent under.
    pub(crate) fn of(
        frame: &Frame,
        memory: &Buffer,
    ) -> Result<(Self, Option<slipring::Schema>), Error> {
        let body = open(frame.header(), memory)?;
        let Content::Arrow(headed) = body.content()? else {
            return Err(Error::OtherFormat { expected: "arrow", found: body.format() });
        };
        let schema = frame.schema()?;
        if let Some(other) = schema.as_ref().filter(|schema| schema.kind() != KIND) {
            return Err(Error::OtherSchema { name: other.name().to_owned(), id: other.id().get() });
        }
        let table = match &schema {
            Some(schema) => arrow::read_as(&headed, &*schema.made(Parsed::of)?, Checks::Safe),
            None => {
                let read = |recent: &mut Recent| {
                    arrow::read_recalling(&headed, None, Checks::Safe, recent)
                };
                // A thread that ends has forgotten.
                let recalled = RECENT.try_with(|recent| read(&mut recent.borrow_mut()));
                recalled.unwrap_or_else(|_| read(&mut Recent::default()))
            }
        };
        Ok((Found { table: table?, memory: memory.clone() }, schema))
    }

    /// Rows that lie anywhere, in memory of their own.
    pub(crate) fn laid_out(schema: &Schema, rows: &[Rows]) -> Result<Self, Error> {
        match laid_out(schema, rows) {
            Ok((memory, table)) => Ok(Found { table, memory }),
            Err(Unfit::Encode(refused)) => Err(refused.into()),
            Err(Unfit::Decode(refused)) => Err(refused.into()),
            Err(_) => unreachable!("the codec has no other for what is laid out"),
        }
    }

    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.table.schema
    }

    /// The table with the columns that a projection makes of it.
    pub(crate) fn project(&self, resolved: &Projection) -> Result<Table, Error> {
        let limit = fair(self.memory.len());
        let projected = resolved.apply(&self.table, &self.memory, limit).map_err(Error::Apply)?;
        self.over(&projected.table, Some(&projected.made))
    }

    pub(crate) fn batches(&self) -> Result<Table, Error> {
        self.over(&self.table, None)
    }

    fn over(&self, table: &arrow::Table, made: Option<&Made>) -> Result<Table, Error> {
        // SAFETY: the table was read, with these checks, from the memory that it is to lie over, or is a projection of it, with what
        // that has made.
        let table = unsafe { over::table(table, &self.memory, made) };
        Ok(table?)
    }
}

thread_local! {
    /// One frame's schema is mostly that of the next one.
    static RECENT: RefCell<Recent> = RefCell::default();
}

impl Outgoing for RecordBatch {
    fn plan<'a>(&'a self, meta: Option<&'a [u8]>) -> Result<Planned<'a>, EncodeError> {
        let plan = arrow::plan(
            self.schema_ref(),
            &[self.into()],
            SchemaPlace::Frame,
            meta.map(<[u8]>::len),
        );
        Ok(Planned::table(plan?, meta, None))
    }
}

impl Outgoing for Table {
    fn plan<'a>(&'a self, meta: Option<&'a [u8]>) -> Result<Planned<'a>, EncodeError> {
        let rows: Vec<Rows> = self.batches.iter().map(Rows::from).collect();
        let plan = arrow::plan(&self.schema, &rows, SchemaPlace::Frame, meta.map(<[u8]>::len))?;
        Ok(Planned::table(plan, meta, None))
    }
}

impl Table {
    /// The table that an item of a value's [outline](slipring_codec::frame::Headed::outline) is, over the segment; `None` if it is none.
    ///
    /// # Errors
    ///
    /// Those of [`ReadTable::table`], and of [`Headed::table`](slipring_codec::frame::Headed::table).
    pub fn within(frame: &Arc<Frame>, item: &Value) -> Result<Option<Table>, Error> {
        let memory = buffer(frame);
        let body = open(frame.header(), &memory)?;
        let Content::Value(headed) = body.content()? else {
            return Err(Error::OtherFormat { expected: "value", found: body.format() });
        };
        let Some((read, copy)) = headed.table(item, Checks::Safe)? else { return Ok(None) };
        // SAFETY: it was read, with these checks, from the memory that it is to lie over.
        let table = unsafe { over::table(&read, copy.as_ref().unwrap_or(&memory), None) };
        Ok(Some(table?))
    }

    /// The table as a part of a value, with a copy of its columns.
    ///
    /// # Errors
    ///
    /// Those of [`arrow::plan()`].
    pub fn to_value(&self) -> Result<Value, Error> {
        let rows: Vec<Rows> = self.batches.iter().map(Rows::from).collect();
        let plan = arrow::plan(&self.schema, &rows, SchemaPlace::Frame, None)?;
        Ok(Value::table(&plan)?)
    }

    /// A table of these batches.
    ///
    /// # Errors
    ///
    /// [`Arrow`](Error::Arrow) if one of them has other fields.
    pub fn new(schema: SchemaRef, batches: Vec<RecordBatch>) -> Result<Table, Error> {
        match batches.iter().all(|batch| batch.schema_ref().fields() == schema.fields()) {
            true => Ok(Table { schema, batches }),
            false => {
                let what = "the batches have not all the fields of the schema";
                Err(ArrowError::SchemaError(what.to_owned()).into())
            }
        }
    }
}

impl<'a> Planned<'a> {
    /// Of a table, under a schema of the ring or with its own.
    pub(crate) fn table(
        plan: arrow::Plan,
        meta: Option<&'a [u8]>,
        under: Option<&'a slipring::Schema>,
    ) -> Self {
        // Sent by itself it is a stream of one, and no piece of a longer one.
        let flags = plan.flags() | STREAM_FIRST | STREAM_LAST;
        let plain = header(plan.format(), flags, plan.type_code());
        let header = under.map_or(plain, |stored| plain.with_schema(stored));
        Planned { header, what: What::Table { plan, meta, under } }
    }
}
