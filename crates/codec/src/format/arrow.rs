//! Tables: Arrow record batches of one schema.
//!
//! 1. The head is Arrow's own encapsulated messages, one after the other: the schema, then dictionaries and
//!    record batches in the order in which a stream of Arrow's would have them. The type code is 0.
//! 2. A message with a body has it in the next buffer of the frame. Inside, writers begin every buffer of an
//!    array at a multiple of 64 bytes; readers take multiples of 8, as Arrow asks.
//! 3. Where the frame header has a schema id, the schema is left out: the segment's schema table has
//!    that message, and the caller gives it to [`read()`].
//! 4. Buffers are not compressed and dictionaries are whole.
//!
//! Writing goes in two passes: [`plan()`] walks the arrays and knows every byte's place, [`Plan::write`] copies
//! each buffer once, into its place. Slices are cut: what lies outside of one is not sent.
//!
//! Reading copies the head, and no data: a [`Column`] says where in the body the buffers of an array lie, in the order
//! of Arrow's C data interface. What of the data is looked at before says [`Checks`].
//!
//! ```
//! use arrow_array::{Int64Array, RecordBatch, StringArray};
//! use slipring_codec::format::arrow::{self, Checks, Rows};
//! use slipring_codec::{Body, Content, Format};
//! use std::sync::Arc;
//!
//! let id = Arc::new(Int64Array::from(vec![1, 2, 3])) as _;
//! let name = Arc::new(StringArray::from(vec![Some("a"), None, Some("c")])) as _;
//! let batch = RecordBatch::try_from_iter([("id", id), ("name", name)]).unwrap();
//!
//! // Plan, then write in place.
//! let plan = arrow::plan(&batch.schema(), &[Rows::from(&batch)], arrow::SchemaPlace::Frame, None)?;
//! let mut body = vec![0xAA; plan.body_len()];
//! plan.write(&mut body, None)?;
//!
//! // Read: where in the body the columns lie.
//! let opened = Body::open(Format::Arrow.code(), plan.flags(), 0, &body)?;
//! let Content::Arrow(headed) = opened.content()? else { panic!("a table was sent") };
//! let table = arrow::read(&headed, None, Checks::Safe)?;
//! assert_eq!(table.batches[0].len, 3);
//! let id = &table.batches[0].columns[0];
//! assert_eq!((id.buffers[0].start % 64, &body[id.buffers[0].clone()][..8]), (0, &1i64.to_le_bytes()[..]));
//!
//! // Or as arrow-rs has them, over the same memory.
//! let buffer = arrow_buffer::Buffer::from_vec(body.clone());
//! assert_eq!(table.record_batches(&buffer).unwrap(), [batch]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod check;
mod copy;
mod message;
mod plan;
mod read;
mod rust;
mod schema;

use arrow_array::types::{ArrowPrimitiveType, Float16Type};
use arrow_schema::{DataType, Field};

pub(crate) use copy::View;
pub use message::schema_message;
pub use plan::{Plan, Rows, SchemaPlace, plan};
pub use read::{
    Batch, Checks, Column, Parsed, Recent, Table, read, read_as, read_recalling, read_schema,
    read_within,
};

/// A float of 16 bits.
pub type Half = <Float16Type as ArrowPrimitiveType>::Native;

/// The float of 16 bits that is nearest, of two the even one: rounded once, where [`Half::from_f64`] rounds twice.
pub fn to_half(value: f64) -> Half {
    let near = value as f32;
    let bits = near.to_bits();
    // Rounded twice, what lies beside the middle of two could become the middle. So what was cut makes the last bit odd, which is
    // below all that 16 bits have.
    let wide = f64::from(near);
    let odd = match wide.abs().partial_cmp(&value.abs()) {
        Some(std::cmp::Ordering::Less) => bits | 1,
        Some(std::cmp::Ordering::Greater) if bits & 1 == 0 => bits - 1,
        _ => bits,
    };
    Half::from_f32(f32::from_bits(odd))
}

/// The fields of the arrays within an array of this type, in their order. The values of a dictionary are no field.
pub fn children_of(data_type: &DataType) -> Vec<&Field> {
    use DataType::*;
    match data_type {
        List(field)
        | LargeList(field)
        | ListView(field)
        | LargeListView(field)
        | FixedSizeList(field, _)
        | Map(field, _) => vec![field],
        Struct(fields) => fields.iter().map(|field| &**field).collect(),
        Union(fields, _) => fields.iter().map(|(_, field)| &**field).collect(),
        RunEndEncoded(ends, values) => vec![ends, values],
        _ => Vec::new(),
    }
}

/// Types that may enclose each other.
pub const MAX_NESTING: usize = 64;
