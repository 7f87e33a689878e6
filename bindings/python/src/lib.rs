//! slipring for Python: the module `slipring._native`, joined by what is written in Python beside it.
//!
//! The Rust crates do the work. Here Python's objects, exceptions, threads and references meet them;
//! `_native.pyi` is what users read of it.
#![allow(clippy::disallowed_types, reason = "no model runs here, and forks are counted")]

// `doc!(Class.method)`: what `_native.pyi` says of it.
include!(concat!(env!("OUT_DIR"), "/doc.rs"));

mod array;
mod buffer;
mod choices;
mod consumer;
mod costs;
mod counts;
mod dataclass;
mod dtype;
mod encoded;
mod end;
mod error;
mod explain;
mod export;
mod foreign;
mod fork;
mod frame;
mod garbage;
mod inspection;
mod json;
mod meta;
mod options;
mod outgoing;
mod pickle;
mod producer;
mod reservation;
mod ring;
mod size;
mod table;
mod texts;
mod value;
mod watcher;

/// The module, for a program that has it built in and not as a library of its own.
pub fn built_in(py: pyo3::Python<'_>) -> pyo3::Py<pyo3::types::PyModule> {
    pyo3::wrap_pymodule!(_native)(py)
}

/// The module.
#[pyo3::pymodule(gil_used = false)]
mod _native {
    use crate::buffer::Buffer;
    use crate::end::Timeout;
    use crate::outgoing::Form;
    use crate::{counts, encoded, error, explain, fork, options, size, value};
    use pyo3::exceptions::{PyBaseException, PyTypeError};
    use pyo3::prelude::*;
    use pyo3::types::{PyBytes, PyDict};
    use slipring::{Address, Error, Mode, Segment};
    use std::os::fd::BorrowedFd;
    use std::path::PathBuf;
    use std::time::{Duration, Instant};

    #[pymodule_export]
    use crate::consumer::Consumer;
    #[pymodule_export]
    use crate::dataclass::_dataclass;
    #[pymodule_export]
    use crate::frame::{Frame, Header};
    #[pymodule_export]
    use crate::inspection::{Inspection, Process, Schema};
    #[pymodule_export]
    use crate::json::_json;
    #[pymodule_export]
    use crate::producer::Producer;
    #[pymodule_export]
    use crate::reservation::Reservation;
    #[pymodule_export]
    use crate::ring::Ring;
    #[pymodule_export]
    use crate::table::shape::TableSchema;
    #[pymodule_export]
    use crate::table::stream::TableReader;
    #[pymodule_export]
    use crate::table::{Column, Table};

    /// Between two looks at signals while a ring is waited for.
    const TICK: Duration = Duration::from_millis(50);

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        fork::watch();
        value::check_ints(module.py())?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }

    /// How long to wait for a ring: seconds, and no `None`, which means for ever elsewhere.
    struct Patience(Timeout);

    impl FromPyObject<'_, '_> for Patience {
        type Error = PyErr;
        fn extract(wait: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
            Timeout::seconds(&wait, "wait", "math.inf").map(Self)
        }
    }

    fn address(name: Option<String>, path: Option<PathBuf>) -> PyResult<Address> {
        match (name, path) {
            (Some(name), None) => Ok(Address::from(name.as_str())),
            (None, Some(path)) => Ok(Address::from(path)),
            _ => Err(PyTypeError::new_err(
                "give either a name (in shared memory) or path=... (of a file)",
            )),
        }
    }

    #[doc = doc!(create)]
    #[pyfunction]
    #[pyo3(signature = (name=None, *, path=None, anonymous=false, mode="spsc", capacity=None, slots=None, cell=None,
                        populate=false, keep=false, drop_oldest=false, max_deliveries=None,
                        share=None, schemas=None, replace=false),
           text_signature = "(name=None, *, path=None, anonymous=False, mode='spsc', capacity=None, slots=1024, \
                             cell=192, populate=False, keep=False, drop_oldest=False, \
                             max_deliveries=5, share=None, schemas=256, replace=False)")]
    #[allow(clippy::too_many_arguments, reason = "they are Python's keywords")]
    fn create(
        py: Python<'_>,
        #[pyo3(from_py_with = options::name)] name: Option<String>,
        path: Option<PathBuf>,
        #[pyo3(from_py_with = options::anonymous)] anonymous: bool,
        #[pyo3(from_py_with = options::mode)] mode: &str,
        capacity: Option<&Bound<'_, PyAny>>,
        slots: Option<&Bound<'_, PyAny>>,
        cell: Option<&Bound<'_, PyAny>>,
        #[pyo3(from_py_with = options::populate)] populate: bool,
        #[pyo3(from_py_with = options::keep)] keep: bool,
        #[pyo3(from_py_with = options::drop_oldest)] drop_oldest: bool,
        max_deliveries: Option<&Bound<'_, PyAny>>,
        share: Option<&Bound<'_, PyAny>>,
        schemas: Option<&Bound<'_, PyAny>>,
        #[pyo3(from_py_with = options::replace)] replace: bool,
    ) -> PyResult<Ring> {
        let address = match (anonymous, &name, &path) {
            (false, ..) => Some(address(name, path)?),
            (true, None, None) => None,
            (true, ..) => {
                return Err(PyTypeError::new_err("an anonymous ring has no name and no path"));
            }
        };
        let Some(mode) = Mode::named(mode) else {
            return Err(size::refused(py, "mode", mode, "spsc, mpsc, spmc or mpmc"));
        };
        let options = Segment::options().mode(mode).populate(populate).keep(keep);
        let mut options = options.drop_oldest(drop_oldest);
        if let Some(times) = max_deliveries {
            options = options.max_deliveries(size::byte(times, "max_deliveries", "0 to 255")?);
        }
        if let Some(percent) = share {
            options = options.share(size::byte(percent, "share", "1 to 100 percent")?);
        }
        if let Some(slots) = slots {
            let expected = "a power of two from 8 to 1048576";
            options = options.slots(size::count(slots, "slots", expected)?);
        }
        if let Some(cell) = cell {
            options = options.cell(size::count(cell, "cell", "0 to 65472 bytes")?);
        }
        if let Some(capacity) = capacity {
            options = options.capacity(size::parse(capacity)?);
        }
        if let Some(schemas) = schemas {
            let expected = "0 to 4096 schemas";
            let count = size::count(schemas, "schemas", expected)?;
            let count = u32::try_from(count)
                .map_err(|_| size::refused(py, "schemas", &count.to_string(), expected))?;
            options = options.schemas(count);
        }
        let segment = py.detach(|| match address {
            Some(address) if replace => loop {
                match options.clone().create(address.clone()) {
                    // Another one may be faster, either way.
                    Err(Error::Exists { .. }) => match slipring::unlink(address.clone()) {
                        Ok(()) | Err(Error::NotFound { .. }) => {}
                        Err(error) => break Err(error),
                    },
                    made => break made,
                }
            },
            Some(address) => options.create(address),
            None => options.create_anonymous(),
        });
        segment.map(Ring::new).map_err(|e| error::raise(py, e))
    }

    #[doc = doc!(open)]
    #[pyfunction]
    #[pyo3(signature = (name=None, *, path=None, fd=None, wait=Patience(Timeout::Now)),
           text_signature = "(name=None, *, path=None, fd=None, wait=0.0)")]
    fn open(
        py: Python<'_>,
        #[pyo3(from_py_with = options::name)] name: Option<String>,
        path: Option<PathBuf>,
        fd: Option<i32>,
        wait: Patience,
    ) -> PyResult<Ring> {
        if let Some(fd) = fd {
            if name.is_some() || path.is_some() || fd < 0 {
                return Err(PyTypeError::new_err("fd is an open descriptor, and stands alone"));
            }
            // SAFETY: only borrowed for the call, which duplicates it or says that it is not open.
            let shared = unsafe { BorrowedFd::borrow_raw(fd) }.try_clone_to_owned();
            let shared = shared.map_err(|source| {
                let operation = "use a descriptor (was it handed on, as by pass_fds=[fd]?)";
                let path = PathBuf::from(format!("/proc/self/fd/{fd}"));
                error::raise(py, Error::Os { operation, path, source })
            })?;
            let segment = py.detach(|| Segment::from_fd(shared));
            return segment.map(Ring::new).map_err(|e| error::raise(py, e));
        }
        let address = address(name, path)?;
        let patience = match wait.0 {
            Timeout::Now | Timeout::Drop => Some(Duration::ZERO),
            Timeout::For(limit) => Some(limit),
            Timeout::Never | Timeout::Until(_) => None,
        };
        let start = Instant::now();
        loop {
            let left = patience.map(|p| p.saturating_sub(start.elapsed()));
            let slice = left.map_or(TICK, |left| left.min(TICK));
            match py.detach(|| Segment::open_within(address.clone(), slice)) {
                Ok(segment) => return Ok(Ring::new(segment)),
                Err(Error::NotFound { .. }) if left != Some(Duration::ZERO) => {
                    py.check_signals()?;
                }
                Err(Error::NotFound { path, rings, .. }) => {
                    let waited = patience.unwrap_or(Duration::MAX);
                    return Err(error::raise(py, Error::NotFound { path, rings, waited }));
                }
                Err(e) => return Err(error::raise(py, e)),
            }
        }
    }

    #[doc = doc!(unlink)]
    #[pyfunction]
    #[pyo3(signature = (name=None, *, path=None))]
    fn unlink(
        py: Python<'_>,
        #[pyo3(from_py_with = options::name)] name: Option<String>,
        path: Option<PathBuf>,
    ) -> PyResult<()> {
        slipring::unlink(address(name, path)?).map_err(|e| error::raise(py, e))
    }

    #[doc = doc!(inspect)]
    #[pyfunction]
    #[pyo3(signature = (name=None, *, path=None))]
    fn inspect(
        py: Python<'_>,
        #[pyo3(from_py_with = options::name)] name: Option<String>,
        path: Option<PathBuf>,
    ) -> PyResult<Inspection> {
        let address = address(name, path)?;
        let inspection = py.detach(|| slipring::inspect(address));
        inspection.map(Inspection).map_err(|e| error::raise(py, e))
    }

    #[doc = doc!(list)]
    #[pyfunction]
    fn list() -> Vec<String> {
        slipring::list()
    }

    #[pyfunction]
    fn _explain(obj: &Bound<'_, PyAny>) -> PyResult<Vec<explain::Row>> {
        explain::explain(obj)
    }

    #[pyfunction]
    fn _costs() -> Vec<(&'static str, &'static str, u64, f64)> {
        crate::costs::told()
    }

    /// While it is set each send is timed.
    #[pyfunction]
    fn _time_all(all: bool) {
        crate::costs::time_all(all);
    }

    #[doc = doc!(stats)]
    #[pyfunction]
    fn stats(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
        counts::told(py)
    }

    #[doc = doc!(log_choices)]
    #[pyfunction]
    #[pyo3(signature = (on=true), text_signature = "(on=True)")]
    fn log_choices(#[pyo3(from_py_with = options::on)] on: bool) {
        crate::choices::ask(on);
    }

    #[doc = doc!(encode)]
    #[pyfunction]
    #[pyo3(signature = (obj, /, *, format=None))]
    fn encode<'py>(obj: &Bound<'py, PyAny>, format: Option<Form>) -> PyResult<Bound<'py, PyBytes>> {
        match format {
            None => value::encode_or_pickle(obj),
            Some(form) => encoded::encode_as(form, obj),
        }
    }

    #[doc = doc!(decode)]
    #[pyfunction]
    #[pyo3(signature = (data, /, *, pickle=false))]
    fn decode<'py>(
        data: &Bound<'py, PyAny>,
        #[pyo3(from_py_with = options::pickle)] pickle: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        if let Ok(bytes) = data.cast::<PyBytes>() {
            return value::decode_bytes(data.py(), bytes.as_bytes(), pickle);
        }
        let Some(buffer) = Buffer::of(data)? else {
            let kind = data.get_type().name()?;
            return Err(PyTypeError::new_err(format!("decode takes bytes, not {kind}")));
        };
        match buffer.bytes() {
            Some(bytes) => value::decode_bytes(data.py(), bytes, pickle),
            None => Err(PyTypeError::new_err("decode takes bytes that lie in one piece")),
        }
    }

    /// For the asyncio side: called before the interpreter ends.
    #[pyfunction]
    fn _stop_watching(py: Python<'_>) {
        crate::watcher::stop(py);
    }

    /// For the asyncio side: an exception learns how many frames were sent before it.
    #[pyfunction]
    fn _after(error: &Bound<'_, PyBaseException>, sent: usize) {
        error::tell_sent(error, sent);
    }
}
