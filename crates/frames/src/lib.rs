//! Values, arrays and tables through slipring's rings, for Rust.
//!
//! [`slipring`] moves frames and does not look into them, [`slipring_codec`] knows what stands in a frame and not where it lies.
//! Here the two meet: [`SendTyped`] writes what it is given straight into the segment, and [`ReadTyped`] reads a frame where it
//! lies. Python and Elixir send and read the same frames.
//!
//! ```
//! use slipring::{Segment, Wait};
//! use slipring_codec::Value;
//! use slipring_frames::{Array, ReadTyped, SendTyped};
//!
//! # let name = format!("doc-frames-{}", std::process::id());
//! # let name = name.as_str();
//! let ring = Segment::options().capacity(1 << 20).create(name)?;
//! let mut tx = ring.producer()?;
//! let site = Value::Map(vec![("site".into(), Value::from(4i64))]);
//! tx.send_typed(&Value::from("hello"), None, &Wait::no())?;
//! tx.send_typed(&Array::new(&[1.0, 2.0, 3.0, 4.0], &[2, 2])?, Some(&site), &Wait::no())?;
//!
//! let mut rx = Segment::open(name)?.consumer()?;
//! assert_eq!(rx.recv(&Wait::no())?.value()?, Value::from("hello"));
//! let frame = rx.recv(&Wait::no())?;
//! let pixels = frame.array::<f64>()?; // a view of the segment, for as long as the frame is kept
//! assert_eq!((pixels.shape(), pixels.elements()), (&[2, 2][..], &[1.0, 2.0, 3.0, 4.0][..]));
//! assert_eq!(frame.meta()?, Some(site));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! With the feature `arrow`, which is on unless it is turned off, a `RecordBatch` is sent like that, and comes back over the
//! segment; each of its columns keeps the frame's memory for as long as it is there, whatever becomes of the frame and the ring:
//!
#![cfg_attr(feature = "arrow", doc = "```")]
#![cfg_attr(not(feature = "arrow"), doc = "```ignore")]
//! use arrow_array::{Array, Int64Array, RecordBatch, cast::AsArray, types::Int64Type};
//! use slipring::{Segment, Wait};
//! use slipring_frames::{ReadTable, SendTyped};
//! use std::sync::Arc;
//!
//! # let name = format!("doc-tables-{}", std::process::id());
//! # let name = name.as_str();
//! let ring = Segment::options().capacity(1 << 20).create(name)?;
//! let ids = Arc::new(Int64Array::from(vec![1, 2, 3])) as _;
//! let batch = RecordBatch::try_from_iter([("id", ids)])?;
//! ring.producer()?.send_typed(&batch, None, &Wait::no())?;
//!
//! let table = ring.consumer()?.recv(&Wait::no())?.table()?;
//! let ids = table.batches[0].column(0).as_primitive::<Int64Type>().clone();
//! drop((table, ring));
//! assert_eq!(ids.values(), &[1, 2, 3]); // still in the segment
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Tables whose columns change while programs of different ages share a ring are sent under a schema that was [announced](Announce), and
//! read as what is [expected](Expects).

mod array;
mod error;
mod receive;
#[cfg(feature = "arrow")]
mod schema;
mod send;
mod stream;
#[cfg(feature = "arrow")]
mod table;

pub use array::{Array, ArrayGrant, ArrayView, Element};
pub use error::Error;
pub use receive::{ReadTyped, open};
#[cfg(feature = "arrow")]
pub use schema::{
    Announce, Announced, Batches, Expectation, Expects, KIND, Migrated, SchemaError,
    SchemaErrorKind, Under,
};
pub use send::{Json, Outgoing, Planned, SendTyped, header};
pub use stream::{Misfit, follows};
#[cfg(feature = "arrow")]
pub use table::{ReadTable, Table, buffer};
