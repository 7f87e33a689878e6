//! Tables inside values.
//!
//! 1. After [`tag::TABLE`] stands an array of byte strings: the messages of an arrow frame's head, with the schema among them, then
//!    the body of each message that has one, in their order.
//! 2. In a frame the bodies lie in buffers, whatever their length, so that columns are read where they lie.
//! 3. Buffers have one owner: no table has one that another table has, and tables have theirs in order. A reader goes through
//!    what it is given, and nobody has it go through the same bytes many times.

use crate::error::DecodeError;
use crate::format::value::{Bytes, read_bytes};
use crate::tag;
use crate::token::{Decoder, Encoder, Sink, Token};

/// Writes what a table is, up to its bodies: after this come so many byte strings, each in place or [`tag::BUFFER`] and the
/// number of a buffer.
pub fn write_table<S: Sink>(encoder: &mut Encoder<S>, messages: &[u8], bodies: usize) {
    encoder.tag(tag::TABLE).array(1 + bodies).bytes(messages);
}

/// Reads the tables of one value, one after the other.
#[derive(Debug, Default)]
pub struct Tables {
    /// The first buffer that none has had.
    free: u64,
}

impl Tables {
    /// Reads a table after its tag: the messages, and the bodies. Nothing is looked into.
    ///
    /// # Errors
    ///
    /// [`TagContent`](crate::DecodeErrorKind::TagContent), also for a buffer that an earlier table has, or had left out.
    pub fn read<'a>(
        &mut self,
        decoder: &mut Decoder<'a>,
    ) -> Result<(Bytes<'a>, Vec<Bytes<'a>>), DecodeError> {
        let start = decoder.offset();
        let refused = || DecodeError::tag_content(tag::TABLE, start);
        let Token::Array(Some(len @ 1..)) = decoder.token()? else { return Err(refused()) };
        let mut next = || {
            let bytes = read_bytes(decoder).ok_or_else(refused)??;
            if let Bytes::Buffer(number) = bytes {
                if number < self.free {
                    return Err(refused());
                }
                self.free = number.saturating_add(1);
            }
            Ok(bytes)
        };
        let messages = next()?;
        // One at a time: each has cost the input a byte when there is room made for the next.
        let mut bodies = Vec::new();
        for _ in 1..len {
            bodies.push(next()?);
        }
        Ok((messages, bodies))
    }
}

#[cfg(feature = "arrow")]
mod tree {
    use super::*;
    use crate::error::EncodeError;
    use crate::format::arrow::{self, Checks, Plan, Table};
    use crate::frame::{Headed, Part};
    use crate::value::Value;
    use arrow_buffer::{Buffer, MutableBuffer};

    /// What bodies begin at multiples of.
    const ALIGN: usize = 64;

    /// A table, and the memory that it lies in where that is not the body of its frame.
    pub type Found = (Table, Option<Buffer>);

    impl Value {
        /// A table, with a copy of its columns. The plan has its schema in it: [`SchemaPlace::Frame`](arrow::SchemaPlace::Frame).
        ///
        /// # Errors
        ///
        /// None that is known of; those of [`Plan::write_body`].
        pub fn table(plan: &Plan) -> Result<Value, EncodeError> {
            let mut parts = vec![Value::from(plan.head())];
            for (number, len) in plan.bodies().enumerate() {
                let mut body = vec![0; len];
                plan.write_body(number, &mut body)?;
                parts.push(Value::Bytes(body));
            }
            Ok(Value::Tag(tag::TABLE, Box::new(Value::Array(parts))))
        }

        /// The table that this is, in memory of its own; `None` if it is none.
        ///
        /// ```
        /// # use std::sync::Arc;
        /// use arrow_array::{Int64Array, RecordBatch};
        /// use slipring_codec::Value;
        /// use slipring_codec::format::arrow::{Checks, Rows, SchemaPlace, plan};
        ///
        /// let id = Arc::new(Int64Array::from(vec![1, 2, 3])) as _;
        /// let batch = RecordBatch::try_from_iter([("id", id)])?;
        /// let plan = plan(&batch.schema(), &[Rows::from(&batch)], SchemaPlace::Frame, None)?;
        /// let sent = Value::Map(vec![("frame".into(), Value::table(&plan)?)]).to_vec()?;
        ///
        /// let read = Value::decode(&sent)?;
        /// let (table, memory) = read.get("frame").unwrap().to_table(Checks::Safe)?.unwrap();
        /// assert_eq!(table.record_batches(&memory)?, [batch]);
        /// # Ok::<(), Box<dyn std::error::Error>>(())
        /// ```
        ///
        /// # Errors
        ///
        /// [`TagContent`](crate::DecodeErrorKind::TagContent), and those of [`arrow::read`].
        pub fn to_table(&self, checks: Checks) -> Result<Option<(Table, Buffer)>, DecodeError> {
            let Value::Tag(tag::TABLE, inner) = self else { return Ok(None) };
            let Value::Array(parts) = &**inner else { return Err(unfit()) };
            let parts: Option<Vec<&[u8]>> = parts
                .iter()
                .map(|part| match part {
                    Value::Bytes(bytes) => Some(&bytes[..]),
                    _ => None,
                })
                .collect();
            let parts = parts.ok_or_else(unfit)?;
            let (messages, bodies) = parts.split_first().ok_or_else(unfit)?;
            copied(messages, bodies, checks).map(Some)
        }
    }

    impl Headed<'_> {
        /// The table that an item of the outline is, whose columns lie in the frame; `None` if it is none. One that is in line
        /// is copied.
        ///
        /// # Errors
        ///
        /// [`TagContent`](crate::DecodeErrorKind::TagContent), [`BufferUnknown`](crate::DecodeErrorKind::BufferUnknown), and
        /// those of [`arrow::read`].
        pub fn table(&self, item: &Value, checks: Checks) -> Result<Option<Found>, DecodeError> {
            let Value::Tag(tag::TABLE, inner) = item else { return Ok(None) };
            let Value::Array(parts) = &**inner else { return Err(unfit()) };
            let (messages, bodies) = parts.split_first().ok_or_else(unfit)?;
            let messages = self.bytes(messages)?.ok_or_else(unfit)?;
            let buffer = |part: &Value| match part {
                Value::Tag(tag::BUFFER, number) => self.buffer(number).map(Some),
                _ => Ok(None),
            };
            let buffers: Option<Vec<Part<'_>>> =
                bodies.iter().map(buffer).collect::<Result<_, DecodeError>>()?;
            if let Some(buffers) = buffers {
                let head = Part { offset: 0, bytes: messages };
                let table = arrow::read(&Headed { head, buffers }, None, checks)?;
                return Ok(Some((table, None)));
            }
            let bodies: Option<Vec<&[u8]>> =
                bodies.iter().map(|part| self.bytes(part)).collect::<Result<_, DecodeError>>()?;
            let (table, memory) = copied(messages, &bodies.ok_or_else(unfit)?, checks)?;
            Ok(Some((table, Some(memory))))
        }
    }

    fn unfit() -> DecodeError {
        DecodeError::tag_content(tag::TABLE, 0)
    }

    /// Reads a table out of a copy of its bodies.
    ///
    /// # Errors
    ///
    /// Those of [`arrow::read`].
    pub fn copied(
        messages: &[u8],
        bodies: &[&[u8]],
        checks: Checks,
    ) -> Result<(Table, Buffer), DecodeError> {
        let lens = bodies.iter().map(|body| body.len().next_multiple_of(ALIGN));
        let mut memory = MutableBuffer::new(lens.sum());
        let mut places = Vec::with_capacity(bodies.len());
        for body in bodies {
            places.push(memory.len()..memory.len() + body.len());
            memory.extend_from_slice(body);
            memory.resize(memory.len().next_multiple_of(ALIGN), 0);
        }
        let memory = Buffer::from(memory);
        let part = |place: std::ops::Range<usize>| Part {
            offset: place.start,
            bytes: &memory.as_slice()[place],
        };
        let buffers = places.into_iter().map(part).collect();
        let headed = Headed { head: Part { offset: 0, bytes: messages }, buffers };
        let table = arrow::read(&headed, None, checks)?;
        Ok((table, memory))
    }
}

#[cfg(feature = "arrow")]
pub use tree::{Found, copied};
