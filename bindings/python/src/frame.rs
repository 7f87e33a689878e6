//! A received frame, and the lease that its views share.
//!
//! 1. The lease owns the frame in the segment. A view (array or memoryview) has the lease as its
//!    base and nothing else; the block is free when the last of them is gone.
//! 2. A frame holds its lease, and its value once decoded, until it is released. No view refers to
//!    the frame, so that there is no cycle and freeing waits for no garbage collector.

use crate::export::Layout;
use crate::producer::{DETACH, copy};
use crate::table::schema::Expects;
use crate::value::{self, Place, Reader};
use crate::{array, counts, error, export, foreign, fork, json, meta, pickle, table};
use pyo3::exceptions::{PyAttributeError, PyBufferError, PyTypeError};
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use pyo3::types::{PyBytes, PyDict, PyString, PyTuple};
use pyo3::{ffi, intern};
use slipring::Error;
use slipring_codec::format::arrow::Checks;
use slipring_codec::format::ndarray::Descriptor;
use slipring_codec::frame::flags;
use slipring_codec::json::kind;
use slipring_codec::{Body, Content, DecodeError, FORMAT_VERSION, Format, Part};
use std::ffi::c_int;
use std::ops::{Deref, Range};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

#[doc = doc!(Header)]
#[pyclass(frozen, get_all, module = "slipring")]
#[derive(Clone)]
pub(crate) struct Header {
    format: u8,
    format_version: u8,
    flags: u16,
    type_code: u16,
    schema_version: u16,
    schema_id: u32,
    checksum: u32,
    body_len: u64,
    uncompressed_len: u64,
    sequence: u64,
    created_ns: u64,
    correlation_id: u64,
    participant: u16,
    producer: u32,
}

#[pymethods]
impl Header {
    fn __repr__(&self) -> String {
        format!(
            "Header(format={}, format_version={}, flags={:#06x}, type_code={:#06x}, \
             schema_version={}, schema_id={}, checksum={:#010x}, body_len={}, \
             uncompressed_len={}, sequence={}, created_ns={}, correlation_id={}, participant={}, \
             producer={})",
            self.format,
            self.format_version,
            self.flags,
            self.type_code,
            self.schema_version,
            self.schema_id,
            self.checksum,
            self.body_len,
            self.uncompressed_len,
            self.sequence,
            self.created_ns,
            self.correlation_id,
            self.participant,
            self.producer
        )
    }
}

/// Owns a frame in the segment and lends its data, read-only.
#[pyclass(frozen, freelist = 256, module = "slipring._native")]
pub(crate) struct Lease {
    frame: Held,
    content: Result<Found, DecodeError>,
}

/// The frame of a lease. That of a table is shared with what libraries hold of it, which outlives the lease and may be
/// let go of by threads that are attached to no interpreter.
enum Held {
    Alone(slipring::Frame),
    Shared(Arc<slipring::Frame>),
}

impl Deref for Held {
    type Target = slipring::Frame;
    #[inline]
    fn deref(&self) -> &slipring::Frame {
        match self {
            Held::Alone(frame) => frame,
            Held::Shared(frame) => frame,
        }
    }
}

/// What was found in a frame, once. Small frames are many, and each byte of what holds them is moved several times: what
/// few have stands elsewhere.
struct Found {
    /// Where in the body the data lies.
    data: Range<usize>,
    more: Option<Box<More>>,
}

/// What is found in arrays, and in frames with buffers.
#[derive(Default)]
struct More {
    array: Option<Descriptor>,
    /// The array, for those who ask for a buffer.
    layout: OnceLock<Layout>,
    /// What the data refers to, where it is a head.
    buffers: Vec<Range<usize>>,
}

impl Found {
    /// What is in a frame.
    fn of(frame: &slipring::Frame) -> Result<Self, DecodeError> {
        let range = |part: Part<'_>| part.offset..part.offset + part.bytes.len();
        let plain = |part| Found { data: range(part), more: None };
        let with = |head, buffers: Vec<Part<'_>>| {
            let buffers: Vec<_> = buffers.into_iter().map(range).collect();
            let more = (!buffers.is_empty()).then(|| Box::new(More { buffers, ..More::default() }));
            Found { more, ..plain(head) }
        };
        match open(frame)?.content()? {
            Content::Raw(part) | Content::Json(part) => Ok(plain(part)),
            Content::Ndarray(view) => {
                let more = More { array: Some(view.descriptor), ..More::default() };
                Ok(Found { more: Some(Box::new(more)), ..plain(view.data) })
            }
            Content::Value(view) | Content::Pickle(view) => Ok(with(view.head, view.buffers)),
            Content::Arrow(view) => Ok(with(view.head, view.buffers)),
            _ => Ok(plain(Part { offset: 0, bytes: frame })),
        }
    }

    fn array(&self) -> Option<&Descriptor> {
        self.more.as_ref()?.array.as_ref()
    }

    fn buffers(&self) -> &[Range<usize>] {
        self.more.as_ref().map_or(&[], |more| &more.buffers)
    }
}

#[pymethods]
impl Lease {
    /// # Safety
    /// As the buffer protocol says: `view` is null or a structure to be filled.
    unsafe fn __getbuffer__(
        slf: Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        let data = slf.get().data(slf.py())?;
        // SAFETY: the data lives as long as the lease, to which the view takes a reference; a wish
        // to write is refused by the flag 1.
        let filled = unsafe {
            ffi::PyBuffer_FillInfo(
                view,
                slf.as_ptr(),
                data.as_ptr().cast_mut().cast(),
                data.len() as _,
                1,
                flags,
            )
        };
        if filled == 0 { Ok(()) } else { Err(PyErr::fetch(slf.py())) }
    }
}

impl Lease {
    fn new(frame: slipring::Frame) -> Self {
        let content = Found::of(&frame);
        // There may be a table among the buffers of a value.
        let shared = match Format::from_code(frame.header().format) {
            Some(Format::Arrow) => true,
            Some(Format::Value) => content.as_ref().is_ok_and(|found| found.more.is_some()),
            _ => false,
        };
        let frame = match shared {
            true => Held::Shared(Arc::new(frame)),
            false => Held::Alone(frame),
        };
        Self { frame, content }
    }

    /// The schema that its header names.
    pub(crate) fn schema(&self, py: Python<'_>) -> PyResult<Option<slipring::Schema>> {
        self.frame.schema().map_err(|e| error::raise(py, e))
    }

    fn found(&self, py: Python<'_>) -> PyResult<&Found> {
        if self.frame.header().format_version != FORMAT_VERSION {
            return Err(other_version(py, self.frame.header()));
        }
        self.content.as_ref().map_err(|error| raise(py, &self.frame, error))
    }

    /// The frame, where tables may lie in it.
    pub(crate) fn shared(&self) -> Option<Arc<slipring::Frame>> {
        match &self.frame {
            Held::Alone(_) => None,
            Held::Shared(frame) => Some(Arc::clone(frame)),
        }
    }

    /// All of the frame but its header.
    pub(crate) fn body(&self) -> &[u8] {
        &self.frame
    }

    fn data(&self, py: Python<'_>) -> PyResult<&[u8]> {
        Ok(&self.frame[self.found(py)?.data.clone()])
    }
}

/// A piece of a frame, read-only, that shares its lease.
#[pyclass(frozen, module = "slipring._native")]
pub(crate) struct Window {
    lease: Py<Lease>,
    /// Where in the body it lies.
    range: Range<usize>,
}

#[pymethods]
impl Window {
    /// # Safety
    /// As the buffer protocol says: `view` is null or a structure to be filled.
    unsafe fn __getbuffer__(
        slf: Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        let window = slf.get();
        let data = &window.lease.get().body()[window.range.clone()];
        // SAFETY: the data lives as long as the lease, to which the window refers, and the view to the
        // window; a wish to write is refused by the flag 1.
        let filled = unsafe {
            let pointer = data.as_ptr().cast_mut().cast();
            ffi::PyBuffer_FillInfo(view, slf.as_ptr(), pointer, data.len() as _, 1, flags)
        };
        if filled == 0 { Ok(()) } else { Err(PyErr::fetch(slf.py())) }
    }
}

impl Window {
    /// `range` lies within the body of the lease.
    pub(crate) fn new(lease: Py<Lease>, range: Range<usize>) -> Self {
        Self { lease, range }
    }

    fn view<'py>(lease: &Bound<'py, Lease>, range: &Range<usize>) -> PyResult<Bound<'py, PyAny>> {
        let window = Self::new(lease.clone().unbind(), range.clone());
        memoryview(Bound::new(lease.py(), window)?.as_any())
    }
}

/// What a consumer has said of what it takes.
#[derive(Clone, Default)]
pub(crate) struct Taking {
    /// Pickles are loaded.
    pub(crate) pickle: bool,
    /// Values refer to nothing in the segment.
    pub(crate) copy: bool,
    /// What of a table is looked at.
    pub(crate) checks: Checks,
    /// As what tables of some names are read.
    pub(crate) expects: Option<Arc<Expects>>,
}

#[cold]
pub(crate) fn other_version(py: Python<'_>, header: &slipring::Header) -> PyErr {
    let what = format!("the frame is of format version {}", header.format_version);
    let hint = "the sender may be newer or older: bring both to one version";
    let class = intern!(py, "DecodeError");
    error::undecodable(py, class, &what, "$.format_version", name(header), hint)
}

fn open(frame: &slipring::Frame) -> Result<Body<'_>, DecodeError> {
    let header = frame.header();
    Body::open(header.format, header.flags, header.type_code, frame)
}

fn name(header: &slipring::Header) -> &'static str {
    Format::from_code(header.format).map_or("unknown", Format::name)
}

#[cold]
fn raise(py: Python<'_>, frame: &slipring::Frame, error: &DecodeError) -> PyErr {
    error::decode(py, error, name(frame.header()))
}

/// What encodes an object.
pub(crate) enum Encoded<'a, 'py> {
    Value(Reader<'a, 'py>),
    Json(json::Input<'a>),
}

enum State {
    Leased {
        lease: Py<Lease>,
        value: Option<Py<PyAny>>,
    },
    /// With what `ack` and `nack` say from then on.
    Released(Settled),
}

/// What became of a frame that was let go of.
#[derive(Clone, Copy)]
enum Settled {
    /// Nothing was asked.
    Automatic,
    Acknowledged,
    GivenBack,
}

impl Settled {
    fn of(frame: &slipring::Frame) -> Self {
        match frame.acknowledged() {
            None => Self::Automatic,
            Some(true) => Self::Acknowledged,
            Some(false) => Self::GivenBack,
        }
    }
}

impl State {
    fn settled(&self) -> Settled {
        match self {
            Self::Leased { lease, .. } => Settled::of(&lease.get().frame),
            Self::Released(settled) => *settled,
        }
    }
}

#[doc = doc!(Frame)]
#[pyclass(frozen, freelist = 256, module = "slipring")]
pub(crate) struct Frame {
    header: slipring::Header,
    redeliveries: u8,
    forks: u32,
    taking: Taking,
    state: Mutex<State>,
}

impl Frame {
    #[inline]
    pub(crate) fn new(py: Python<'_>, frame: slipring::Frame, taking: Taking) -> PyResult<Self> {
        let (header, redeliveries, forks) = (*frame.header(), frame.redeliveries(), fork::count());
        let lease = Py::new(py, Lease::new(frame))?;
        let state = Mutex::new(State::Leased { lease, value: None });
        Ok(Self { header, taking, redeliveries, forks, state })
    }

    /// The lease, and the value if it was decoded already.
    fn lease(&self, py: Python<'_>) -> PyResult<(Py<Lease>, Option<Py<PyAny>>)> {
        if self.forks != fork::count() {
            return Err(error::raise(py, Error::Forked { pid: std::process::id() }));
        }
        match &*self.lock(py) {
            State::Leased { lease, value } => {
                Ok((lease.clone_ref(py), value.as_ref().map(|value| value.clone_ref(py))))
            }
            State::Released(_) => Err(error::released(py)),
        }
    }

    /// What encodes its object, for who makes the object by himself; `None` where it is of another format.
    pub(crate) fn read<'py, T>(
        &self,
        py: Python<'py>,
        read: impl FnOnce(Encoded<'_, 'py>) -> PyResult<T>,
    ) -> PyResult<Option<T>> {
        let lease = self.lease(py)?.0;
        let (lease, copy) = (lease.bind(py), self.taking.copy);
        let found = lease.get().found(py)?;
        let shared = lease.get().data(py)?;
        let made = match Format::from_code(self.header.format) {
            Some(Format::Value) => {
                let own = copy.then(|| shared.to_vec());
                let head = own.as_deref().unwrap_or(shared);
                let (buffers, checks) = (found.buffers(), self.taking.checks);
                let place = Place::Frame { lease, buffers, copy, checks };
                read(Encoded::Value(Reader::new(py, head, place, self.taking.pickle)))?
            }
            Some(Format::Json) => read(Encoded::Json(json::Input::shared(shared)))?,
            _ => return Ok(None),
        };
        counts::decoded(self.header.format, self.header.body_len);
        Ok(Some(made))
    }

    /// Whether its format is that of an array.
    pub(crate) fn is_array(&self) -> bool {
        self.header.format == Format::Ndarray.code()
    }

    /// Whether its format is that of a table.
    pub(crate) fn is_table(&self) -> bool {
        self.header.format == Format::Arrow.code()
    }

    /// What encodes an object is no array of bytes to anybody who asks for one.
    fn refuse_encoded(&self) -> PyResult<()> {
        match Format::from_code(self.header.format) {
            Some(format @ (Format::Value | Format::Pickle)) => {
                let what = format!(
                    "a frame of format {format} holds an object and no array: frame.value is the \
                     object, frame.view the bytes that encode it"
                );
                Err(PyBufferError::new_err(what))
            }
            _ => Ok(()),
        }
    }

    /// The name of its dtype, where that is no number.
    pub(crate) fn unlike_number(&self, py: Python<'_>) -> PyResult<Option<String>> {
        let lease = self.lease(py)?.0;
        let array = lease.get().found(py)?.array();
        let element = array.map(Descriptor::element).filter(|of| of.dtype().is_none());
        Ok(element.map(ToString::to_string))
    }

    /// The frame as it lies there, and the header of one that says the same.
    pub(crate) fn to_send_on(&self, py: Python<'_>) -> PyResult<(Py<Lease>, slipring::Header)> {
        let h = &self.header;
        let header = slipring::Header {
            format: h.format,
            format_version: h.format_version,
            flags: h.flags & flags::CODEC,
            type_code: h.type_code,
            schema_id: h.schema_id,
            schema_version: h.schema_version,
            uncompressed_len: h.uncompressed_len,
            checksum: h.checksum,
            correlation_id: h.correlation_id,
            ..slipring::Header::default()
        };
        Ok((self.lease(py)?.0, header))
    }

    /// A method of its table.
    fn of_table<'py>(
        &self,
        py: Python<'py>,
        name: &Bound<'py, PyString>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if !self.is_table() {
            let format = self::name(&self.header);
            let what = format!("a frame of format {format} has no {name}");
            return Err(PyAttributeError::new_err(what));
        }
        Bound::new(py, self.table(py)?)?.getattr(name)
    }

    fn settle(
        &self,
        py: Python<'_>,
        how: impl FnOnce(&slipring::Frame) -> Result<(), Error>,
        acks: bool,
    ) -> PyResult<()> {
        if self.forks != fork::count() {
            return Err(error::raise(py, Error::Forked { pid: std::process::id() }));
        }
        let settled = match &*self.lock(py) {
            State::Leased { lease, .. } => how(&lease.get().frame),
            State::Released(Settled::Automatic | Settled::Acknowledged) if acks => Ok(()),
            State::Released(Settled::GivenBack) if acks => Err(Error::GivenBack),
            State::Released(Settled::GivenBack) => Ok(()),
            State::Released(_) => Err(Error::Acknowledged),
        };
        settled.map_err(|e| error::raise(py, e))
    }

    #[inline]
    fn lock(&self, py: Python<'_>) -> MutexGuard<'_, State> {
        // Detaching costs more than the lock, which is hardly ever taken.
        if let Ok(guard) = self.state.try_lock() {
            return guard;
        }
        // Nothing in here panics half-way; a poisoned lock still guards a whole state.
        self.state.lock_py_attached(py).unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

fn decode<'py>(lease: &Bound<'py, Lease>, taking: &Taking) -> PyResult<Bound<'py, PyAny>> {
    let py = lease.py();
    let found = lease.get().found(py)?;
    match Format::from_code(lease.get().frame.header().format) {
        Some(Format::Value) => {
            let shared = lease.get().data(py)?;
            // Who asks for a copy gets what no peer can change between a look and the next.
            let own = taking.copy.then(|| shared.to_vec());
            let head = own.as_deref().unwrap_or(shared);
            let &Taking { copy, checks, .. } = taking;
            let place = Place::Frame { lease, buffers: found.buffers(), copy, checks };
            let read = Reader::new(py, head, place, taking.pickle).read_all();
            return read.map_err(|fault| fault.decoding(py));
        }
        Some(Format::Json) => {
            return json::read_frame(py, json::Input::shared(lease.get().data(py)?));
        }
        Some(Format::Pickle) => {
            let parts = [&found.data].into_iter().chain(found.buffers());
            let part = |range: &Range<usize>| match taking.copy {
                true => Ok(PyBytes::new(py, &lease.get().body()[range.clone()]).into_any()),
                false => Window::view(lease, range),
            };
            let parts: PyResult<_> = parts.map(part).collect();
            return pickle::load(py, parts?, taking.pickle);
        }
        Some(Format::Arrow) => return decode_table(py, lease.get(), taking)?.into_object(py),
        _ => {}
    }
    if taking.copy {
        return copied(lease, found);
    }
    let Some(descriptor) = found.array() else { return memoryview(lease.as_any()) };
    array::received(descriptor, lease.get().data(py)?, lease.clone().into_any())
}

/// The table of a frame.
fn decode_table(py: Python<'_>, lease: &Lease, taking: &Taking) -> PyResult<table::Table> {
    lease.found(py)?;
    let is_table = lease.frame.header().format == Format::Arrow.code();
    let Some(frame) = lease.shared().filter(|_| is_table) else {
        let what = format!("a frame of format {} is no table", name(lease.frame.header()));
        return Err(PyTypeError::new_err(what));
    };
    let (memory, table) = table::open(py, frame, taking)?;
    Ok(table::Table::new(memory, table))
}

/// Bytes or an array of one's own.
fn copied<'py>(lease: &Bound<'py, Lease>, found: &Found) -> PyResult<Bound<'py, PyAny>> {
    let py = lease.py();
    let data = lease.get().data(py)?;
    match found.array() {
        Some(descriptor) => array::copied(py, descriptor, data),
        None => Ok(PyBytes::new(py, data).into_any()),
    }
}

/// The bytes that a frame's view would show, as an object of their own.
#[inline]
pub(crate) fn bytes<'py>(
    py: Python<'py>,
    frame: &slipring::Frame,
) -> PyResult<Bound<'py, PyBytes>> {
    if frame.header().format_version != FORMAT_VERSION {
        return Err(other_version(py, frame.header()));
    }
    let found = Found::of(frame).map_err(|error| raise(py, frame, &error))?;
    let data = &frame[found.data];
    match data.len() < DETACH {
        // Not `PyBytes::new`, which panics where there is no memory.
        true => {
            let (from, len) = (data.as_ptr().cast(), data.len() as ffi::Py_ssize_t);
            // SAFETY: copies so many bytes of the frame; gives a new reference to bytes or raises.
            let bytes = unsafe {
                Bound::from_owned_ptr_or_err(py, ffi::PyBytes_FromStringAndSize(from, len))?
            };
            Ok(bytes.cast_into()?)
        }
        false => PyBytes::new_with(py, data.len(), |to| copy(py, data, to)),
    }
}

/// A memoryview over an object with a buffer.
pub(crate) fn memoryview<'py>(object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: the object is alive; the call gives a new reference or raises.
    unsafe {
        let view = ffi::PyMemoryView_FromObject(object.as_ptr());
        Bound::from_owned_ptr_or_err(object.py(), view)
    }
}

#[pymethods]
impl Frame {
    #[doc = doc!(Frame.value)]
    #[getter]
    fn value<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let (lease, value) = self.lease(py)?;
        if let Some(value) = value {
            return Ok(value.into_bound(py));
        }
        let decoded = decode(lease.bind(py), &self.taking)?;
        counts::decoded(self.header.format, self.header.body_len);
        let mut state = self.lock(py);
        if let State::Leased { value, .. } = &mut *state {
            // Another thread may have been first: all get the same object.
            let value = value.get_or_insert_with(|| decoded.unbind());
            return Ok(value.clone_ref(py).into_bound(py));
        }
        drop(state);
        Err(error::released(py))
    }

    #[doc = doc!(Frame.table)]
    #[getter]
    fn table(&self, py: Python<'_>) -> PyResult<table::Table> {
        decode_table(py, self.lease(py)?.0.get(), &self.taking)
    }

    #[doc = doc!(Frame.schema)]
    #[getter]
    fn schema(&self, py: Python<'_>) -> PyResult<Option<table::shape::TableSchema>> {
        let lease = self.lease(py)?.0;
        lease.get().found(py)?;
        self.is_table().then(|| table::shape::of(py, &lease.get().frame)).transpose()
    }

    #[doc = doc!(Frame.__arrow_c_stream__)]
    #[getter]
    fn __arrow_c_stream__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.of_table(py, intern!(py, "__arrow_c_stream__"))
    }

    #[getter]
    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.of_table(py, intern!(py, "__arrow_c_schema__"))
    }

    #[doc = doc!(Frame.view)]
    #[getter]
    fn view<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        memoryview(self.lease(py)?.0.bind(py))
    }

    /// An array as such, with its shape; anything else as bytes.
    ///
    /// # Safety
    /// As the buffer protocol says: `view` is null or a structure to be filled.
    unsafe fn __getbuffer__(
        slf: Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        let lease = slf.get().lease(slf.py())?.0.into_bound(slf.py());
        let found = lease.get().found(slf.py())?;
        slf.get().refuse_encoded()?;
        let more = found.more.as_ref().filter(|_| !view.is_null());
        let Some((more, descriptor)) = more.and_then(|more| Some((more, more.array.as_ref()?)))
        else {
            // SAFETY: handed on to the lease, which is then what the view refers to.
            return unsafe { Lease::__getbuffer__(lease, view, flags) };
        };
        let Some(dtype) = descriptor.dtype() else {
            let array = slf.getattr(intern!(slf.py(), "value"))?;
            // SAFETY: the array is what the view refers to; it has the lease as its base.
            return unsafe { export::fill_from(&array, descriptor.element(), view, flags) };
        };
        let layout = more.layout.get_or_init(|| Layout::new(descriptor, dtype));
        let data = lease.get().data(slf.py())?;
        // SAFETY: the view refers to the lease, which owns the data and the layout and does not
        // change; the data was checked against the descriptor.
        unsafe { layout.fill(lease.clone().into_any(), data, view, flags) }
    }

    /// For NumPy where it does not ask for a buffer: the value, as an array.
    #[pyo3(signature = (dtype=None, copy=None))]
    pub(crate) fn __array__<'py>(
        slf: &Bound<'py, Self>,
        dtype: Option<Bound<'py, PyAny>>,
        copy: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let array = match slf.get().is_array() {
            true => slf.getattr(intern!(slf.py(), "value"))?,
            false => {
                slf.get().refuse_encoded()?;
                memoryview(slf.as_any())?
            }
        };
        array::of(&array, dtype, copy)
    }

    #[doc = doc!(Frame.__dlpack__)]
    #[pyo3(signature = (*, stream=None, max_version=None, dl_device=None, copy=None))]
    fn __dlpack__<'py>(
        slf: &Bound<'py, Self>,
        stream: Option<Bound<'py, PyAny>>,
        max_version: Option<Bound<'py, PyAny>>,
        dl_device: Option<Bound<'py, PyAny>>,
        copy: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        foreign::dlpack(slf, stream, max_version, dl_device, copy)
    }

    fn __dlpack_device__(&self) -> (i32, i32) {
        foreign::CPU
    }

    #[doc = doc!(Frame.__array_interface__)]
    #[getter]
    fn __array_interface__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        foreign::interface(slf)
    }

    #[doc = doc!(Frame.format)]
    #[getter]
    pub(crate) fn format(&self, py: Python<'_>) -> Py<PyAny> {
        let name = match Format::from_code(self.header.format) {
            Some(Format::Raw) => intern!(py, "raw"),
            Some(Format::Value) => intern!(py, "value"),
            Some(Format::Ndarray) => intern!(py, "ndarray"),
            Some(Format::Json) => intern!(py, "json"),
            _ => return pyo3::types::PyString::new(py, name(&self.header)).into_any().unbind(),
        };
        name.clone().into_any().unbind()
    }

    #[getter]
    fn meta<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let lease = self.lease(py)?.0;
        let frame = &lease.get().frame;
        if self.header.format_version != FORMAT_VERSION {
            return Err(other_version(py, &self.header));
        }
        let part = open(frame).map(|body| body.meta_part());
        let part = part.map_err(|error| raise(py, frame, &error))?;
        part.map(|part| meta::decode(py, part.bytes)).transpose()
    }

    #[doc = doc!(Frame.describe)]
    fn describe<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let lease = self.lease(py)?.0;
        let found = lease.get().found(py)?;
        let told = PyDict::new(py);
        told.set_item(intern!(py, "format"), self.format(py))?;
        if let Some(array) = found.array() {
            told.set_item(intern!(py, "dtype"), array.element().to_string())?;
            told.set_item(intern!(py, "shape"), PyTuple::new(py, array.shape())?)?;
            told.set_item(intern!(py, "order"), format!("{:?}", array.order()))?;
        } else if self.header.format == Format::Value.code() {
            value::describe(lease.get().data(py)?, &told)?;
        } else if self.header.format == Format::Json.code() {
            let text = lease.get().data(py)?;
            told.set_item(intern!(py, "kind"), kind(text))?;
            told.set_item(intern!(py, "len"), text.len())?;
        }
        if self.is_table() {
            let columns = table::shape::of(py, &lease.get().frame)?;
            told.set_item(intern!(py, "columns"), columns.columns())?;
        }
        if !found.buffers().is_empty() {
            let lens: Vec<usize> = found.buffers().iter().map(ExactSizeIterator::len).collect();
            told.set_item(intern!(py, "buffers"), lens)?;
        }
        Ok(told)
    }

    #[doc = doc!(Frame.sequence)]
    #[getter]
    fn sequence(&self) -> u64 {
        self.header.sequence
    }

    #[doc = doc!(Frame.timestamp)]
    #[getter]
    fn timestamp(&self) -> u64 {
        self.header.created_ns
    }

    #[getter]
    fn header(&self) -> Header {
        let h = &self.header;
        Header {
            format: h.format,
            format_version: h.format_version,
            flags: h.flags,
            type_code: h.type_code,
            schema_version: h.schema_version,
            schema_id: h.schema_id,
            checksum: h.checksum,
            body_len: h.body_len,
            uncompressed_len: h.uncompressed_len,
            sequence: h.sequence,
            created_ns: h.created_ns,
            correlation_id: h.correlation_id,
            participant: h.participant,
            producer: h.producer,
        }
    }

    #[doc = doc!(Frame.address)]
    #[getter]
    fn address(&self, py: Python<'_>) -> PyResult<usize> {
        let lease = self.lease(py)?.0;
        lease.get().data(py).map(|data| data.as_ptr() as usize)
    }

    #[doc = doc!(Frame.in_place)]
    #[getter]
    fn in_place(&self, py: Python<'_>) -> PyResult<bool> {
        let lease = self.lease(py)?.0;
        let lease = lease.get();
        let data = lease.data(py)?.as_ptr_range();
        let mapped = lease.frame.segment().mapped();
        Ok(mapped.start <= data.start as usize && data.end as usize <= mapped.end)
    }

    #[doc = doc!(Frame.ack)]
    fn ack(&self, py: Python<'_>) -> PyResult<()> {
        self.settle(py, slipring::Frame::ack, true)
    }

    #[doc = doc!(Frame.nack)]
    fn nack(&self, py: Python<'_>) -> PyResult<()> {
        self.settle(py, slipring::Frame::nack, false)?;
        // Only views keep it from the next one now.
        self.release(py);
        Ok(())
    }

    #[doc = doc!(Frame.redeliveries)]
    #[getter]
    fn redeliveries(&self) -> u8 {
        self.redeliveries
    }

    #[doc = doc!(Frame.release)]
    fn release(&self, py: Python<'_>) {
        let state = {
            let mut state = self.lock(py);
            let released = State::Released(state.settled());
            std::mem::replace(&mut *state, released)
        };
        // After the lock: what is dropped here may run code of others.
        drop(state);
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __exit__(
        &self,
        py: Python<'_>,
        _kind: &Bound<'_, PyAny>,
        _error: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) {
        self.release(py);
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let (h, state) = (&self.header, self.lock(py));
        let released = if matches!(*state, State::Released(_)) { ", released" } else { "" };
        format!("<slipring.Frame {} {}, {} bytes{released}>", h.sequence, name(h), h.body_len)
    }
}
