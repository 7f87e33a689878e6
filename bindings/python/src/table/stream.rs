//! Tables of any length, a frame for each piece: as many rows in memory as two pieces have.
//!
//! The first frame of a stream has the flag STREAM_FIRST, the last one STREAM_LAST; a table that was sent by itself has both, and
//! is a stream of one. All frames of a stream are of one producer and follow each other in its count, so that one that is missing
//! is noticed wherever it is.

use super::give::{self, Memory, Source};
use super::schema::Under;
use super::take::{self, Batches, Incoming};
use super::{Table, capsule, open, pandas, records, send, unfitting};
use crate::choices::{self, Why};
use crate::consumer::Consumer;
use crate::end::{End, Timeout};
use crate::error;
use crate::producer::UNDER;
use crate::value::fault::type_name;
use crate::watcher::coroutine;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use pyo3::types::{PyBytes, PyIterator, PyString};
use slipring::Producer;
use slipring_codec::Format;
use slipring_codec::evolution::{Unfit, Version, fit};
use slipring_codec::format::arrow::{self, Rows};
use slipring_codec::frame::flags::{STREAM_FIRST, STREAM_LAST};
use slipring_codec::select::Nature;
use slipring_frames::follows;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The batches of an object on their way, in frames of at most so many rows.
pub(crate) struct Pieces {
    /// Tables that are still to be opened, and how many were.
    tables: Option<(Py<PyIterator>, usize)>,
    /// The one whose batches come next.
    table: Option<Opened>,
    /// Columns of the first table, which those after it have too, where nothing was announced.
    columns: Option<arrow_schema::Schema>,
    rows: Option<usize>,
    under: Option<Under>,
    meta: Option<Vec<u8>>,
    /// The one that goes next, and the flags of its frame.
    next: Incoming,
    flags: Option<u16>,
    /// Those behind it.
    ahead: VecDeque<Incoming>,
    first: u16,
    ended: bool,
}

/// A table whose batches are taken one after the other.
enum Opened {
    Shown(Batches),
    Whole(Option<Incoming>),
}

impl Opened {
    fn of(object: &Bound<'_, PyAny>, under: Option<&Under>) -> PyResult<Self> {
        Ok(match take::shows(object)? {
            true => {
                let batches = Batches::of(object)?;
                pandas::warn_index(object)?;
                Self::Shown(batches)
            }
            false => Self::Whole(Some(match under {
                Some(under) => under.absorb(object)?,
                None => records::asked(object)?,
            })),
        })
    }
}

impl Pieces {
    /// Of a table, or of an iterable of tables.
    pub(crate) fn of(
        object: &Bound<'_, PyAny>,
        rows: Option<usize>,
        under: Option<Under>,
        meta: Option<Vec<u8>>,
    ) -> PyResult<Self> {
        let table = if take::shows(object)? || records::may_be(object)? {
            Some(Opened::of(object, under.as_ref())?)
        } else {
            None
        };
        let tables = match &table {
            Some(_) => None,
            None => {
                let no = |_| {
                    let kind = type_name(object);
                    let what = format!("an object of type {kind} is no table");
                    let hint = "give a data frame, a reader of batches, or an iterable of tables";
                    error::unsendable(object.py(), &what, "$", &kind, hint)
                };
                let text =
                    object.is_instance_of::<PyString>() || object.is_instance_of::<PyBytes>();
                let each = if text { Err(PyTypeError::new_err(())) } else { object.try_iter() };
                Some((each.map_err(no)?.unbind(), 0))
            }
        };
        let (columns, next, flags, ahead) = (None, Incoming::empty(), None, VecDeque::new());
        let (first, ended) = (STREAM_FIRST, false);
        Ok(Self { tables, table, columns, rows, under, meta, next, flags, ahead, first, ended })
    }

    /// The next piece, or several, of what comes next; `false` after the last one.
    fn pull(&mut self, py: Python<'_>) -> PyResult<bool> {
        let Some(table) = &mut self.table else {
            let Some((tables, number)) = &mut self.tables else { return Ok(false) };
            let Some(object) = tables.bind(py).clone().next() else { return Ok(false) };
            *number += 1;
            self.table = Some(Opened::of(&object?, self.under.as_ref())?);
            return Ok(true);
        };
        let taken = match table {
            Opened::Shown(batches) => {
                let schema = batches.schema.clone();
                // One without batches has columns all the same.
                let none = self.columns.is_none().then(Vec::new);
                let batches = batches.next(py)?.map(|rows| vec![rows]);
                let ended = batches.is_none();
                if ended {
                    self.table = None;
                }
                batches.or(none).map(|batches| Incoming { schema, batches, inferred: false })
            }
            Opened::Whole(whole) => {
                let whole = whole.take();
                self.table = None;
                whole
            }
        };
        if let Some(taken) = taken {
            let taken = self.alike(py, taken)?;
            cut(taken, self.rows, &mut self.ahead);
        }
        Ok(true)
    }

    /// The table with the columns of the first one, where nothing was announced.
    fn alike(&mut self, py: Python<'_>, given: Incoming) -> PyResult<Incoming> {
        let Some(first) = &self.columns else {
            self.columns = Some(given.schema.clone());
            return Ok(given);
        };
        if self.under.is_some() || given.schema.fields() == first.fields() {
            return Ok(given);
        }
        let other = |why: String| {
            let number = self.tables.as_ref().map_or(0, |(_, number)| number - 1);
            let what = format!(
                "the tables of a stream have the same columns, and this one has others than the first: {why}"
            );
            let hint = "send them as streams of their own, or under a schema";
            error::unsendable(py, &what, &format!("$[{number}]"), "arrow", hint)
        };
        let wanted = Version::new("", 1, first);
        let fitted = py.detach(|| fit(&given.schema, &given.batches, &wanted, given.inferred));
        let (_, batches) = fitted.map_err(|unfit| match unfit {
            Unfit::Schema(found) => {
                let faults = found.faults.iter().map(ToString::to_string);
                other(faults.collect::<Vec<_>>().join("; "))
            }
            unfit => unfitting(py, unfit),
        })?;
        let columns = batches.iter().flat_map(|rows| rows.columns.iter().zip(first.fields()));
        for (column, field) in columns {
            if !field.is_nullable() && column.null_count() != 0 {
                return Err(other(format!("column {} has nulls", field.name())));
            }
        }
        Ok(Incoming { schema: first.clone(), batches, inferred: given.inferred })
    }

    /// Sends the next frame, and says whether there is another one; `None` if there is none at all. One that was not sent is the
    /// next one again.
    pub(crate) fn send(
        &mut self,
        py: Python<'_>,
        end: &End<Producer>,
        timeout: Timeout,
    ) -> PyResult<Option<bool>> {
        let flags = match self.flags {
            Some(flags) => flags,
            None => {
                // One piece ahead: only then it is known which is the last.
                while self.ahead.len() < 2 && !self.ended {
                    self.ended = !self.pull(py)?;
                }
                let Some(next) = self.ahead.pop_front() else { return Ok(None) };
                self.next = next;
                let last = if self.ahead.is_empty() { STREAM_LAST } else { 0 };
                *self.flags.insert(self.first | last)
            }
        };
        // Metadata is the stream's, and goes with its first frame.
        let meta = self.meta.as_deref().filter(|_| self.first != 0);
        send::send(py, end, &self.next, self.under.as_ref(), meta, timeout, flags)?;
        let why = match self.under {
            Some(_) => UNDER,
            None => Why::Is(Nature::Table),
        };
        choices::note(end, None, Format::Arrow, why, 1);
        (self.first, self.flags) = (0, None);
        Ok(Some(flags & STREAM_LAST == 0))
    }
}

/// A stream that is sent as an event loop has time for it.
#[pyclass(frozen, module = "slipring._native")]
pub(crate) struct Sending {
    end: Arc<End<Producer>>,
    pieces: Mutex<Pieces>,
}

impl Sending {
    pub(crate) fn new(end: Arc<End<Producer>>, pieces: Pieces) -> Self {
        Self { end, pieces: Mutex::new(pieces) }
    }
}

#[pymethods]
impl Sending {
    /// Sends the next frame if there is room, and says whether there is another one.
    fn _send(&self, py: Python<'_>) -> PyResult<Option<bool>> {
        let pieces = self.pieces.lock_py_attached(py);
        let mut pieces = pieces.unwrap_or_else(PoisonError::into_inner);
        let sent = pieces.send(py, &self.end, Timeout::Now);
        drop(pieces);
        choices::told(py, sent)
    }
}

fn cut(table: Incoming, rows: Option<usize>, pieces: &mut VecDeque<Incoming>) {
    let most = rows.unwrap_or(usize::MAX);
    let Incoming { schema, batches, inferred } = table;
    if batches.is_empty() {
        return pieces.push_back(Incoming { schema, batches, inferred });
    }
    for batch in batches {
        // One without rows is a piece all the same.
        for start in (0..batch.len.max(1)).step_by(most) {
            let len = most.min(batch.len - start);
            let columns = batch.columns.iter().map(|column| column.slice(start, len)).collect();
            let batches = vec![Rows { len, columns }];
            pieces.push_back(Incoming { schema: schema.clone(), batches, inferred });
        }
    }
}

#[doc = doc!(TableReader)]
#[pyclass(frozen, module = "slipring")]
pub(crate) struct TableReader {
    state: Arc<Mutex<State>>,
}

struct State {
    consumer: Py<Consumer>,
    timeout: Timeout,
    /// What was read ahead for the schema.
    ahead: Option<(Memory, Arc<arrow::Table>)>,
    schema: Option<arrow_schema::SchemaRef>,
    /// Producer and sequence of the last frame.
    last: Option<(u32, u64)>,
    ended: bool,
    held: Held,
    /// What broke the stream. None goes on after that: what is missing would not be missed.
    broken: Option<String>,
}

/// Frames of the stream that tables lie in: a library that takes all of it keeps each, and the ring would be full of them.
#[derive(Default)]
struct Held {
    frames: VecDeque<(Weak<slipring::Frame>, u64)>,
    /// How many these have, some of which may be gone.
    bytes: u64,
}

/// Of these so many for each one that comes.
const LOOKED_AT: usize = 8;

impl Held {
    /// Whether a frame is to be copied, so that what is held leaves half of the ring to the producer.
    fn is_too_much(&mut self, frame: &Arc<slipring::Frame>) -> bool {
        let len = frame.header().body_len;
        let most = frame.segment().max_body() / 2;
        // Some, in turn: as many go as come, and each frame takes as long however many are held.
        for _ in 0..self.frames.len().min(LOOKED_AT) {
            let Some((frame, len)) = self.frames.pop_front() else { break };
            match frame.strong_count() {
                0 => self.bytes -= len,
                _ => self.frames.push_back((frame, len)),
            }
        }
        if self.bytes + len > most {
            return true;
        }
        self.bytes += len;
        self.frames.push_back((Arc::downgrade(frame), len));
        false
    }
}

impl State {
    /// The next table of the stream.
    fn next(&mut self, py: Python<'_>) -> PyResult<Option<(Memory, Arc<arrow::Table>)>> {
        self.next_in(py, self.timeout)
    }

    fn next_in(
        &mut self,
        py: Python<'_>,
        timeout: Timeout,
    ) -> PyResult<Option<(Memory, Arc<arrow::Table>)>> {
        if let Some(ahead) = self.ahead.take() {
            return Ok(Some(ahead));
        }
        if let Some(what) = &self.broken {
            let told = format!("the stream broke before, and is read no further: {what}");
            return Err(error::stream(py, &told));
        }
        if self.ended {
            return Ok(None);
        }
        let frame = self.consumer.get().receive(py, timeout)?;
        match self.take(py, frame) {
            Ok(found) => Ok(Some(found)),
            Err(error) => {
                self.broken = Some(error.value(py).to_string());
                Err(error)
            }
        }
    }

    /// The table of the next frame, if it is of this stream.
    fn take(
        &mut self,
        py: Python<'_>,
        frame: slipring::Frame,
    ) -> PyResult<(Memory, Arc<arrow::Table>)> {
        let (consumer, header) = (self.consumer.get(), *frame.header());
        match follows(&header, self.last) {
            Ok(ended) => self.ended = ended,
            Err(misfit) => {
                if misfit.keep {
                    consumer.keep(py, frame);
                }
                return Err(error::stream(py, &misfit.what));
            }
        }
        self.last = Some((header.producer, header.sequence));
        let frame = Arc::new(frame);
        let mut taking = consumer.taking();
        taking.copy = taking.copy || self.held.is_too_much(&frame);
        let (memory, table) = open(py, Arc::clone(&frame), &taking)?;
        // One that can't be read is left for who can.
        if frame.acknowledged() == Some(false) {
            frame.ack().map_err(|error| error::raise(py, error))?;
        }
        match &self.schema {
            // What is said of a table as a whole may be of each by itself.
            Some(schema) if schema.fields() != table.schema.fields() => {
                return Err(error::stream(py, "a frame has another schema than the stream"));
            }
            Some(_) => {}
            None => self.schema = Some(Arc::clone(&table.schema)),
        }
        Ok((memory, table))
    }

    /// The schema, for which the first frame is waited for.
    fn schema(&mut self, py: Python<'_>) -> PyResult<arrow_schema::SchemaRef> {
        if self.schema.is_none() {
            self.ahead = self.next(py)?;
        }
        self.schema.clone().ok_or_else(|| error::stream(py, "the stream has no frame"))
    }
}

impl TableReader {
    pub(crate) fn new(consumer: Py<Consumer>, timeout: Timeout) -> Self {
        let (ahead, schema, last, ended, broken) = (None, None, None, false, None);
        let held = Held::default();
        let state = State { consumer, timeout, ahead, schema, last, ended, held, broken };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// A turn with the state, waited for detached: the one who has it may wait for a frame.
    fn with<T>(
        &self,
        py: Python<'_>,
        turn: impl FnOnce(Python<'_>, &mut State) -> PyResult<T>,
    ) -> PyResult<T> {
        let state = self.state.lock_py_attached(py);
        turn(py, &mut state.unwrap_or_else(PoisonError::into_inner))
    }
}

/// The reader as a stream of Arrow's.
struct FromRing {
    /// Until it is dropped.
    state: Option<Arc<Mutex<State>>>,
    /// Batches of a frame that has several.
    waiting: Option<(Memory, Arc<arrow::Table>, usize)>,
}

impl FromRing {
    fn turn<T>(
        &self,
        turn: impl FnOnce(Python<'_>, &mut State) -> PyResult<T>,
    ) -> Result<T, String> {
        let attached = Python::try_attach(|py| {
            let _attached = Attached::really(py);
            let state = self.state.as_ref()?.lock_py_attached(py);
            let mut state = state.unwrap_or_else(PoisonError::into_inner);
            Some(turn(py, &mut state).map_err(|error| error.to_string()))
        });
        attached.flatten().unwrap_or_else(|| Err("the interpreter is gone".to_owned()))
    }
}

impl Drop for FromRing {
    /// The consumer is an object, which must not go while a library has the thread detached.
    fn drop(&mut self) {
        let Some(state) = self.state.take() else { return };
        let mut state = Some(state);
        Python::try_attach(|py| {
            let _attached = Attached::really(py);
            drop(state.take());
        });
        // Without an interpreter nothing can be done for it.
        std::mem::forget(state);
    }
}

/// A library calls a stream detached. Where it was itself called by code of this package's, as by a migration, PyO3 takes the
/// thread for attached, since nobody has told it; so the interpreter is asked.
struct Attached(Option<ffi::PyGILState_STATE>);

impl Attached {
    /// Sees to it that a thread is attached which PyO3 says is.
    fn really(_py: Python<'_>) -> Self {
        // SAFETY: of any thread, attached or not.
        if unsafe { ffi::PyGILState_Check() } == 1 {
            return Self(None);
        }
        // SAFETY: the interpreter runs, since code that it called is further up the stack; given back on drop.
        Self(Some(unsafe { ffi::PyGILState_Ensure() }))
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        if let Some(former) = self.0.take() {
            // SAFETY: what the call on this thread has returned, and the last one that is given back.
            unsafe { ffi::PyGILState_Release(former) }
        }
    }
}

impl Source for FromRing {
    fn schema(&mut self) -> Result<capsule::Schema, String> {
        let schema = self.turn(|py, state| state.schema(py))?;
        capsule::Schema::try_from(&*schema).map_err(|error| error.to_string())
    }

    fn next(&mut self) -> Result<Option<capsule::Array>, String> {
        loop {
            if let Some((memory, table, number)) = &mut self.waiting {
                if let Some(batch) = table.batches.get(*number) {
                    *number += 1;
                    return Ok(Some(give::batch(memory, batch)));
                }
                self.waiting = None;
            }
            match self.turn(|py, state| state.next(py))? {
                None => return Ok(None),
                Some((memory, table)) => self.waiting = Some((memory, table, 0)),
            }
        }
    }
}

#[pymethods]
impl TableReader {
    #[doc = doc!(TableReader.schema)]
    #[getter]
    fn schema(&self, py: Python<'_>) -> PyResult<String> {
        self.with(py, |py, state| state.schema(py)).map(|schema| super::told(&schema))
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Table>> {
        let next = self.with(py, |py, state| state.next(py))?;
        Ok(next.map(|(memory, table)| Table::new(memory, table)))
    }

    fn __aiter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __anext__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, PyAny>> {
        coroutine(slf.py(), "next_table", (slf,))
    }

    /// The next table if its frame is there; `None` after the last one.
    fn _try_next(&self, py: Python<'_>) -> PyResult<Option<Table>> {
        let next = self.with(py, |py, state| state.next_in(py, Timeout::Now))?;
        Ok(next.map(|(memory, table)| Table::new(memory, table)))
    }

    /// Whom frames come from.
    #[getter]
    fn _consumer(&self, py: Python<'_>) -> PyResult<Py<Consumer>> {
        self.with(py, |py, state| Ok(state.consumer.clone_ref(py)))
    }

    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let _ = requested_schema;
        let source = FromRing { state: Some(Arc::clone(&self.state)), waiting: None };
        capsule::capsule(py, give::stream(Box::new(source)), capsule::STREAM)
    }

    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let schema = self.with(py, |py, state| state.schema(py))?;
        let schema = capsule::Schema::try_from(&*schema);
        let schema = schema.map_err(|error| PyValueError::new_err(error.to_string()))?;
        capsule::capsule(py, schema, capsule::SCHEMA)
    }

    fn __repr__(&self) -> String {
        "<slipring.TableReader>".to_owned()
    }
}
