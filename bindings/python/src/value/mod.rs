//! Values: Python's objects as CBOR, straight from and to the interpreter.
//!
//! `docs/types.md` says which object stands how.

pub(crate) mod decode;
mod describe;
pub(crate) mod encode;
pub(crate) mod fault;
mod key;
pub(crate) mod keys;
pub(crate) mod pairs;
pub(crate) mod registry;
mod shapes;
pub(crate) mod sink;
pub(crate) mod stack;
pub(crate) mod temporal;
pub(crate) mod text;
pub(crate) mod types;

pub(crate) use decode::{Place, Reader};
pub(crate) use describe::describe;
pub(crate) use encode::{Piece, Writer, check_ints};
pub(crate) use fault::Fault;
pub(crate) use key::Hashes;
pub(crate) use sink::{as_pickle, encode_or_pickle, written};

use pyo3::prelude::*;
use pyo3::types::PyType;
use types::Exact;

/// Says which types went as what they derive from.
pub(crate) fn warn_losses(py: Python<'_>, losses: &[Bound<'_, PyAny>]) -> PyResult<()> {
    losses.iter().try_for_each(|kind| {
        // With its module: two classes of one name are told apart, by Python's memory of what it has said as well.
        let full = kind.cast::<PyType>()?.fully_qualified_name()?;
        let name = kind.getattr("__qualname__")?;
        types::warn_lossy(
            py,
            &format!(
                "objects of type {full} go as the standard type that they derive from: \
                 slipring.register({name}) or format=\"pickle\" keeps the type"
            ),
        )
    })
}

/// Whether somebody has registered the object's type.
pub(crate) fn is_registered(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    registry::is_registered(object)
}

/// Whether an object is of one of the basic types that have a form as a value only.
pub(crate) fn is_basic(object: &Bound<'_, PyAny>) -> bool {
    !matches!(Exact::of(object.as_borrowed()), Exact::Bytes | Exact::Other)
}

/// The object that these bytes encode.
pub(crate) fn decode_bytes<'py>(
    py: Python<'py>,
    bytes: &[u8],
    trusted: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let read = Reader::new(py, bytes, Place::Passing, trusted).read_all();
    read.map_err(|fault| fault.decoding(py))
}
