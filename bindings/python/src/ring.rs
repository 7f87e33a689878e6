//! A process's hold on a ring.

use crate::consumer::Consumer;
use crate::end::{Close, End};
use crate::frame::Taking;
use crate::inspection::{Inspection, Schema};
use crate::producer::Producer;
use crate::table::schema;
use crate::{costs, error, fork, options, size};
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use pyo3::types::PyBytes;
use slipring::{Delivery, Error, SchemaId, Segment};
use slipring_codec::format::arrow::Checks;
use std::os::fd::IntoRawFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, Weak};

/// What is left of a ring until it is closed.
struct Hold {
    segment: Segment,
    producers: Vec<Weak<End<slipring::Producer>>>,
    consumers: Vec<Weak<End<slipring::Consumer>>>,
}

#[doc = doc!(Ring)]
#[pyclass(frozen, module = "slipring")]
pub(crate) struct Ring {
    hold: Mutex<Option<Hold>>,
    path: PathBuf,
    max_body: u64,
    mapped: (usize, usize),
    forks: u32,
}

impl Ring {
    pub(crate) fn new(segment: Segment) -> Self {
        let mapped = segment.mapped();
        Self {
            path: segment.path().to_owned(),
            max_body: segment.max_body(),
            mapped: (mapped.start, mapped.end),
            hold: Mutex::new(Some(Hold { segment, producers: vec![], consumers: vec![] })),
            forks: fork::count(),
        }
    }

    fn lock(&self, py: Python<'_>) -> PyResult<MutexGuard<'_, Option<Hold>>> {
        if self.forks != fork::count() {
            return Err(error::raise(py, Error::Forked { pid: std::process::id() }));
        }
        let hold = self.hold.lock_py_attached(py);
        Ok(hold.unwrap_or_else(|poisoned| poisoned.into_inner()))
    }

    fn with<R>(
        &self,
        py: Python<'_>,
        f: impl FnOnce(&mut Hold) -> Result<R, Error>,
    ) -> PyResult<R> {
        let outcome = self.lock(py)?.as_mut().map(f);
        match outcome {
            Some(outcome) => outcome.map_err(|e| error::raise(py, e)),
            None => Err(error::detached(py, "ring")),
        }
    }
}

#[pymethods]
impl Ring {
    #[doc = doc!(Ring.producer)]
    #[pyo3(signature = (*, pickle=None), text_signature = "(*, pickle=None)")]
    fn producer(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = options::pickles)] pickle: Option<bool>,
    ) -> PyResult<Producer> {
        self.with(py, |hold| {
            let handle = hold.segment.producer()?;
            costs::exchange(&hold.segment);
            let end = End::new(handle, hold.segment.clone(), "producer");
            let end = Arc::new(end);
            hold.producers.retain(|end| end.strong_count() > 0);
            hold.producers.push(Arc::downgrade(&end));
            Ok(Producer::new(end, pickle))
        })
    }

    #[doc = doc!(Ring.consumer)]
    #[pyo3(signature = (*, ack="auto", limit=None, pickle=false, copy=false, checks="safe"),
           text_signature = "(*, ack='auto', limit=1024, pickle=False, copy=False, checks='safe')")]
    #[allow(clippy::too_many_arguments, reason = "they are Python's keywords")]
    fn consumer(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = options::ack)] ack: &str,
        limit: Option<&Bound<'_, PyAny>>,
        #[pyo3(from_py_with = options::pickle)] pickle: bool,
        #[pyo3(from_py_with = options::copy)] copy: bool,
        #[pyo3(from_py_with = options::checks)] checks: &str,
    ) -> PyResult<Consumer> {
        const LIMIT: &str = "a number of frames from 1 to 4294967295, with ack=\"manual\"";
        let limit = limit.map(|limit| size::count(limit, "limit", LIMIT)).transpose()?;
        let delivery = match (ack, limit) {
            ("auto", None) => Delivery::AtMostOnce,
            ("manual", limit) if limit.unwrap_or(1) <= u32::MAX.into() => {
                Delivery::AtLeastOnce { limit: limit.map_or(1024, |limit| limit as u32) }
            }
            ("auto" | "manual", limit) => {
                let limit = limit.unwrap_or_default().to_string();
                return Err(size::refused(py, "limit", &limit, LIMIT));
            }
            _ => return Err(size::refused(py, "ack", ack, "auto or manual")),
        };
        let checks = match checks {
            "safe" => Checks::Safe,
            "full" => Checks::Full,
            other => return Err(size::refused(py, "checks", other, "safe or full")),
        };
        self.with(py, |hold| {
            let handle = hold.segment.consumer_with(delivery)?;
            let end = End::new(handle, hold.segment.clone(), "consumer");
            let end = Arc::new(end);
            hold.consumers.retain(|end| end.strong_count() > 0);
            hold.consumers.push(Arc::downgrade(&end));
            Ok(Consumer::new(end, Taking { pickle, copy, checks, expects: None }))
        })
    }

    #[doc = doc!(Ring.finish)]
    fn finish(&self, py: Python<'_>) -> PyResult<()> {
        self.with(py, |hold| {
            hold.segment.close();
            Ok(())
        })
    }

    #[doc = doc!(Ring.share)]
    fn share(&self, py: Python<'_>) -> PyResult<i32> {
        self.with(py, |hold| hold.segment.share()).map(IntoRawFd::into_raw_fd)
    }

    #[doc = doc!(Ring.lock_memory)]
    fn lock_memory(&self, py: Python<'_>) -> PyResult<()> {
        self.with(py, |hold| hold.segment.lock_memory())
    }

    #[doc = doc!(Ring.use_huge_pages)]
    fn use_huge_pages(&self, py: Python<'_>) -> PyResult<()> {
        self.with(py, |hold| hold.segment.use_huge_pages())
    }

    #[doc = doc!(Ring.mode)]
    #[getter]
    fn mode(&self, py: Python<'_>) -> PyResult<&'static str> {
        self.with(py, |hold| Ok(hold.segment.mode().name()))
    }

    #[doc = doc!(Ring.dropped)]
    #[getter]
    fn dropped(&self, py: Python<'_>) -> PyResult<u64> {
        self.with(py, |hold| Ok(hold.segment.dropped()))
    }

    #[getter]
    fn finished(&self, py: Python<'_>) -> PyResult<bool> {
        self.with(py, |hold| Ok(hold.segment.is_closed()))
    }

    fn inspect(&self, py: Python<'_>) -> PyResult<Inspection> {
        let segment = self.with(py, |hold| Ok(hold.segment.clone()))?;
        Ok(Inspection(py.detach(|| segment.inspect())))
    }

    #[doc = doc!(Ring.schemas)]
    fn schemas(&self, py: Python<'_>) -> PyResult<Vec<Schema>> {
        let found = self.with(py, |hold| Ok(hold.segment.schemas()))?;
        Ok(py.detach(|| found.describe()).into_iter().map(Schema::from).collect())
    }

    #[doc = doc!(Ring.announce)]
    #[pyo3(signature = (name, schema, *, version, breaking=false))]
    fn announce(
        &self,
        py: Python<'_>,
        name: &str,
        schema: &Bound<'_, PyAny>,
        version: &Bound<'_, PyAny>,
        #[pyo3(from_py_with = options::breaking)] breaking: bool,
    ) -> PyResult<Schema> {
        let version = schema::version(version, "version")?;
        let schemas = self.with(py, |hold| Ok(hold.segment.schemas()))?;
        schema::announce(py, &schemas, name, schema, version, breaking).map(Schema::from)
    }

    /// For the package itself and its tests: the id of a schema that is added, or there.
    fn _add_schema(
        &self,
        py: Python<'_>,
        kind: u16,
        name: &str,
        version: u16,
        data: &[u8],
    ) -> PyResult<u32> {
        let schemas = self.with(py, |hold| Ok(hold.segment.schemas()))?;
        let added = py.detach(|| schemas.add(kind, name, version, data));
        added.map(|schema| schema.id().get()).map_err(|e| error::raise(py, e))
    }

    /// The bytes of the schema of an id, or `None`.
    fn _schema<'py>(&self, py: Python<'py>, id: u32) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let found = self.with(py, |hold| match SchemaId::new(id) {
            Some(id) => hold.segment.schemas().get(id),
            None => Ok(None),
        })?;
        Ok(found.map(|schema| PyBytes::new(py, &schema)))
    }

    #[doc = doc!(Ring.close)]
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        if self.forks != fork::count() {
            return Ok(());
        }
        let hold = self.lock(py)?.take();
        if let Some(hold) = hold {
            let producers = hold.producers.iter().filter_map(Weak::upgrade);
            producers.for_each(|end| end.close(py));
            let consumers = hold.consumers.iter().filter_map(Weak::upgrade);
            consumers.for_each(|end| end.close(py));
        }
        Ok(())
    }

    #[doc = doc!(Ring.closed)]
    #[getter]
    fn closed(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.lock(py)?.is_none())
    }

    /// As text: a `Path` costs an import that few need.
    #[getter]
    fn path(&self) -> &std::ffi::OsStr {
        self.path.as_os_str()
    }

    #[doc = doc!(Ring.max_body)]
    #[getter]
    fn max_body(&self) -> u64 {
        self.max_body
    }

    #[doc = doc!(Ring.mapped)]
    #[getter]
    fn mapped<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        py.import("builtins")?.getattr("range")?.call1(self.mapped)
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
    ) -> PyResult<()> {
        self.close(py)
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let state = match self.lock(py) {
            Err(_) => "of the parent process".into(),
            Ok(hold) => match &*hold {
                None => "closed".into(),
                Some(hold) => {
                    let seen = hold.segment.inspect();
                    let finished = if seen.closed { ", finished" } else { "" };
                    format!("{} of {} slots taken{finished}", seen.waiting, seen.slots)
                }
            },
        };
        format!("<slipring.Ring at {}, {state}>", self.path.display())
    }
}
