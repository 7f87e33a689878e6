//! The consuming end.

use crate::end::{Close, End, Timeout};
use crate::error;
use crate::frame::{self, Frame, Taking};
use crate::size;
use crate::table::schema::{self, Expects};
use crate::table::stream::TableReader;
use crate::watcher::{self, Watch, coroutine};
use parking_lot::Mutex;
use pyo3::exceptions::PyStopIteration;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};
use pyo3::{Py, intern};
use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

/// The most frames that one call reserves room for before it has seen them.
const ROOM: usize = 1024;

#[doc = doc!(Consumer)]
#[pyclass(frozen, module = "slipring")]
pub(crate) struct Consumer {
    end: Arc<End<slipring::Consumer>>,
    taking: Taking,
    expects: OnceLock<Arc<Expects>>,
    /// Frames that a reader of tables has met and that are not its own: whoever takes one next has them first.
    kept: OnceLock<Mutex<VecDeque<slipring::Frame>>>,
}

impl Consumer {
    pub(crate) fn new(end: Arc<End<slipring::Consumer>>, taking: Taking) -> Self {
        Self { end, taking, expects: OnceLock::new(), kept: OnceLock::new() }
    }

    #[inline]
    fn frame(&self, py: Python<'_>, frame: slipring::Frame) -> PyResult<Frame> {
        Frame::new(py, frame, self.taking())
    }

    /// A frame as the ring has it.
    pub(crate) fn receive(&self, py: Python<'_>, timeout: Timeout) -> PyResult<slipring::Frame> {
        if let Some(kept) = self.kept() {
            return Ok(kept);
        }
        self.end.run(py, timeout, |rx, wait| rx.recv(wait))
    }

    /// Up to `n` frames, one at least.
    fn receive_many(
        &self,
        py: Python<'_>,
        n: &Bound<'_, PyAny>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Vec<slipring::Frame>> {
        let n = size::count(n, "n", "a whole number from 1 on")? as usize;
        if n == 0 {
            return Err(size::refused(py, "n", "0", "a whole number from 1 on"));
        }
        let timeout = Timeout::parse(timeout)?;
        if let Some(kept) = self.kept() {
            return Ok(vec![kept]);
        }
        let mut frames = Vec::with_capacity(n.min(ROOM));
        self.end.run(py, timeout, |rx, wait| rx.recv_batch(n, &mut frames, wait))?;
        Ok(frames)
    }

    /// A frame's bytes; it is acknowledged by that.
    #[inline]
    fn bytes<'py>(
        &self,
        py: Python<'py>,
        taken: &slipring::Frame,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = frame::bytes(py, taken)?;
        taken.ack().map_err(|e| error::raise(py, e))?;
        Ok(bytes)
    }

    /// What was said of what it takes.
    #[inline]
    pub(crate) fn taking(&self) -> Taking {
        Taking { expects: self.expects.get().cloned(), ..self.taking }
    }

    #[inline]
    fn take(&self, py: Python<'_>, timeout: Timeout) -> PyResult<Frame> {
        self.receive(py, timeout).and_then(|frame| self.frame(py, frame))
    }

    /// Keeps a frame for whoever takes one next. One of a consumer that was closed meanwhile goes as all it has not given out.
    pub(crate) fn keep(&self, py: Python<'_>, frame: slipring::Frame) {
        if self.end.segment(py).is_err() {
            return;
        }
        let mut kept = self.kept.get_or_init(Mutex::default).lock();
        // Threads that took one each, be it from here, may bring them in any order: each goes ahead of those that were sent after it.
        let later = |other: &slipring::Frame| {
            let (one, other) = (frame.header(), other.header());
            match one.producer == other.producer {
                true => other.sequence > one.sequence,
                false => other.created_ns > one.created_ns,
            }
        };
        let at = kept.iter().position(later).unwrap_or(kept.len());
        kept.insert(at, frame);
    }

    #[inline]
    fn kept(&self) -> Option<slipring::Frame> {
        self.kept.get()?.lock().pop_front()
    }
}

#[pymethods]
impl Consumer {
    #[doc = doc!(Consumer.tables)]
    #[pyo3(signature = (*, timeout=None))]
    fn tables(slf: Bound<'_, Self>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<TableReader> {
        Ok(TableReader::new(slf.unbind(), Timeout::parse(timeout)?))
    }

    #[doc = doc!(Consumer.expect)]
    #[pyo3(signature = (name, schema, *, version, oldest=None, migrations=None),
           text_signature = "(name, schema, *, version, oldest=1, migrations=None)")]
    #[allow(clippy::too_many_arguments, reason = "they are Python's keywords")]
    fn expect(
        &self,
        py: Python<'_>,
        name: &str,
        schema: &Bound<'_, PyAny>,
        version: &Bound<'_, PyAny>,
        oldest: Option<&Bound<'_, PyAny>>,
        migrations: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let version = schema::version(version, "version")?;
        let oldest = oldest.map_or(Ok(1), |oldest| schema::version(oldest, "oldest"))?;
        let expected = schema::Expected::new(name, schema, version, oldest, migrations)?;
        let schemas = self.end.segment(py)?.schemas();
        let want = schemas.want(schema::KIND, name, oldest..=version);
        self.end.want(py, name, want.map_err(|e| error::raise(py, e))?)?;
        self.expects.get_or_init(Arc::default).add(expected);
        Ok(())
    }

    #[doc = doc!(Consumer.recv)]
    #[pyo3(signature = (timeout=None))]
    fn recv(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Frame> {
        self.take(py, Timeout::parse(timeout)?)
    }

    #[doc = doc!(Consumer.try_recv)]
    fn try_recv(&self, py: Python<'_>) -> PyResult<Option<Frame>> {
        if let Some(kept) = self.kept() {
            return self.frame(py, kept).map(Some);
        }
        // Said by value, so that polling makes no exception.
        match self.end.attempt(py, Timeout::Now, |rx, wait| rx.recv(wait)) {
            Ok(frame) => self.frame(py, frame).map(Some),
            Err(stop) if stop.is_outcome() => Ok(None),
            Err(stop) => Err(self.end.raise(py, stop)),
        }
    }

    #[doc = doc!(Consumer.recv_many)]
    #[pyo3(signature = (n, timeout=None))]
    fn recv_many<'py>(
        &self,
        py: Python<'py>,
        n: &Bound<'py, PyAny>,
        timeout: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyList>> {
        let frames = self.receive_many(py, n, timeout)?;
        let frames: PyResult<Vec<Py<Frame>>> =
            frames.into_iter().map(|frame| Py::new(py, self.frame(py, frame)?)).collect();
        PyList::new(py, frames?)
    }

    #[doc = doc!(Consumer.recv_bytes)]
    #[pyo3(signature = (timeout=None))]
    fn recv_bytes<'py>(
        &self,
        py: Python<'py>,
        timeout: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        self.bytes(py, &self.receive(py, Timeout::parse(timeout)?)?)
    }

    #[doc = doc!(Consumer.recv_many_bytes)]
    #[pyo3(signature = (n, timeout=None))]
    fn recv_many_bytes<'py>(
        &self,
        py: Python<'py>,
        n: &Bound<'py, PyAny>,
        timeout: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyList>> {
        let mut frames = self.receive_many(py, n, timeout)?.into_iter();
        let mut taken = Vec::with_capacity(frames.len());
        while let Some(frame) = frames.next() {
            match self.bytes(py, &frame) {
                Ok(bytes) => taken.push(bytes),
                Err(error) => {
                    // Those before it are given, and the next call tells of it; those behind it are not lost either.
                    let first = taken.is_empty();
                    let rest = (!first).then_some(frame).into_iter().chain(frames);
                    rest.for_each(|frame| self.keep(py, frame));
                    if first {
                        return Err(error);
                    }
                    break;
                }
            }
        }
        PyList::new(py, taken)
    }

    #[doc = doc!(Consumer.recv_dead)]
    fn recv_dead(&self, py: Python<'_>) -> PyResult<Option<Frame>> {
        let letter = self.end.run(py, Timeout::Now, |rx, _| rx.recv_dead())?;
        letter.map(|frame| self.frame(py, frame)).transpose()
    }

    #[doc = doc!(Consumer.recv_async)]
    fn recv_async(slf: Bound<'_, Self>) -> PyResult<Bound<'_, PyAny>> {
        coroutine(slf.py(), "recv", (slf,))
    }

    #[doc = doc!(Consumer.recv_many_async)]
    fn recv_many_async(slf: Bound<'_, Self>, n: usize) -> PyResult<Bound<'_, PyAny>> {
        coroutine(slf.py(), "recv_many", (slf, n))
    }

    /// Calls `callback` once, from a thread of the package's own, when a frame waits or the ring or
    /// this end is closed.
    fn _watch(&self, py: Python<'_>, callback: Py<PyAny>) -> PyResult<Watch> {
        let segment = self.end.segment(py)?;
        watcher::watch(py, self.end.address(), segment.readable(), callback)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.expects.get().map_or(Ok(()), |expects| expects.traverse(&visit))
    }

    fn __clear__(&self) {
        if let Some(expects) = self.expects.get() {
            expects.clear();
        }
    }

    #[doc = doc!(Consumer.close)]
    fn close(&self, py: Python<'_>) {
        self.end.close(py);
        if let Some(kept) = self.kept.get() {
            let kept = std::mem::take(&mut *kept.lock());
            drop(kept);
        }
    }

    fn __repr__(&self) -> String {
        self.end.describe("Consumer", |rx| {
            if rx.segment().readable().ready() { "ready".into() } else { "no frame waits".into() }
        })
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Frame> {
        self.take(py, Timeout::Never).map_err(|error| {
            if error::is(py, &error, intern!(py, "Closed")) {
                PyStopIteration::new_err(())
            } else {
                error
            }
        })
    }

    fn __aiter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __anext__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, PyAny>> {
        coroutine(slf.py(), "following", (slf,))
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
        self.close(py);
    }
}
