//! Tables into frames: planned, reserved, and written in place, detached from the interpreter.

use super::take::Incoming;
use crate::end::{End, Timeout};
use crate::producer::commit;
use crate::{counts, error};
use pyo3::prelude::*;
use slipring::{Header, Producer};
use slipring_codec::format::arrow::{Plan, SchemaPlace, plan};
use slipring_codec::{EncodeError, FORMAT_VERSION, Format};

/// Plans a frame of the table.
pub(crate) fn planned(py: Python<'_>, table: &Incoming, meta_len: Option<usize>) -> PyResult<Plan> {
    // The schema stands in the frame: nobody keeps schemas for the segment.
    let plan = py.detach(|| plan(&table.schema, &table.batches, SchemaPlace::Frame, meta_len));
    plan.map_err(|refused| error::encode(py, &refused, "arrow"))
}

/// Sends a table as one frame. `flags` say of which part of a stream.
pub(crate) fn send(
    py: Python<'_>,
    end: &End<Producer>,
    table: &Incoming,
    meta: Option<&[u8]>,
    timeout: Timeout,
    flags: u16,
) -> PyResult<()> {
    let timeout = timeout.begin();
    let plan = planned(py, table, meta.map(<[u8]>::len))?;
    let len = plan.body_len();
    let mut grant = end.run(py, timeout, |tx, wait| tx.reserve(len, wait))?;
    let written: Result<(), EncodeError> = py.detach(|| plan.write(&mut grant, meta));
    written.map_err(|refused| error::encode(py, &refused, "arrow"))?;
    let header = Header {
        format: Format::Arrow.code(),
        format_version: FORMAT_VERSION,
        flags: plan.flags() | flags,
        type_code: plan.type_code(),
        ..Header::default()
    };
    commit(py, end, grant, header, timeout)?;
    counts::sent(Format::Arrow, len);
    Ok(())
}
