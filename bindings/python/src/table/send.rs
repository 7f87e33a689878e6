//! Tables into frames: planned, reserved, and written in place, detached from the interpreter.

use super::schema::Under;
use super::take::Incoming;
use crate::end::{End, Timeout};
use crate::producer::commit;
use crate::{counts, error};
use pyo3::prelude::*;
use slipring::Producer;
use slipring_codec::format::arrow::{Plan, SchemaPlace, plan};
use slipring_codec::frame::flags::{STREAM_FIRST, STREAM_LAST};
use slipring_codec::{EncodeError, Format};
use slipring_frames::header;

/// Of a table that is sent by itself: first and last.
pub(crate) const ALONE: u16 = STREAM_FIRST | STREAM_LAST;

/// Plans a frame of the table, with its schema in it.
pub(crate) fn planned(py: Python<'_>, table: &Incoming, meta_len: Option<usize>) -> PyResult<Plan> {
    placed(py, table, SchemaPlace::Frame, meta_len)
}

fn placed(
    py: Python<'_>,
    table: &Incoming,
    place: SchemaPlace,
    meta_len: Option<usize>,
) -> PyResult<Plan> {
    let plan = py.detach(|| plan(&table.schema, &table.batches, place, meta_len));
    plan.map_err(|refused| error::encode(py, &refused, "arrow"))
}

/// Sends a table as one frame, `under` a schema that the segment has. `flags` say which part of a stream, or [`ALONE`].
pub(crate) fn send(
    py: Python<'_>,
    end: &End<Producer>,
    table: &Incoming,
    under: Option<&Under>,
    meta: Option<&[u8]>,
    timeout: Timeout,
    flags: u16,
) -> PyResult<()> {
    let timeout = timeout.begin();
    let meta_len = meta.map(<[u8]>::len);
    let plan = match under {
        None => planned(py, table, meta_len)?,
        Some(under) => {
            let arranged = under.arrange(py, table)?;
            placed(py, arranged.as_ref().unwrap_or(table), SchemaPlace::Table, meta_len)?
        }
    };
    let len = plan.body_len();
    let mut grant = end.run(py, timeout, |tx, wait| tx.reserve(len, wait))?;
    let written: Result<(), EncodeError> = py.detach(|| plan.write(&mut grant, meta));
    written.map_err(|refused| error::encode(py, &refused, "arrow"))?;
    let header = header(plan.format(), plan.flags() | flags, plan.type_code());
    let header = under.map_or(header, |under| header.with_schema(under.stored()));
    commit(py, end, grant, header, timeout)?;
    counts::sent(Format::Arrow, len);
    Ok(())
}
