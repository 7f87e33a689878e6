//! The producing end.

use crate::array::{self, Candidate};
use crate::buffer::Buffer;
use crate::choices::{self, Why};
use crate::end::{Close, End, Stop, Timeout};
use crate::frame::Frame;
use crate::outgoing::{self, Form, Guess, Kind, Unsent, Written};
use crate::reservation::{Reservation, Shape};
use crate::table::records::{self, Look};
use crate::table::schema::{KIND, Under};
use crate::table::send::ALONE;
use crate::table::stream::{Pieces, Sending};
use crate::watcher::{self, Watch, coroutine};
use crate::{costs, counts, error, meta, options, size, table, value};
use pyo3::exceptions::{PyBaseException, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyIterator, PyString};
use slipring::{Error, Grant, Header, Wait};
use slipring_codec::cost::Class;
use slipring_codec::format::ndarray::{self, Descriptor, Order};
use slipring_codec::format::raw;
use slipring_codec::select::Nature;
use slipring_codec::{Format, Plan};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Copies of at least this many bytes are made detached from the interpreter.
pub(crate) const DETACH: usize = 64 << 10;
/// What a reservation's lengths may be.
const LENGTHS: &str = "of whole numbers from 0 to 2^63 - 1";
/// Objects that `send_many` takes from its iterable at a time.
const BATCH: usize = 64;
/// How long one call from an event loop sends, but for the object that it is at.
const TURN: Duration = Duration::from_millis(1);

/// What the plan says, as a frame's header.
pub(crate) fn header(plan: &Plan<'_>) -> Header {
    slipring_frames::header(plan.format(), plan.flags(), plan.type_code())
}

/// Sends a reserved frame.
pub(crate) fn commit(
    py: Python<'_>,
    end: &End<slipring::Producer>,
    grant: Grant,
    header: Header,
    timeout: Timeout,
) -> PyResult<()> {
    try_commit(py, end, &mut Some(grant), header, timeout).map_err(|stop| end.raise(py, stop))
}

/// The same, keeping the grant where there was no place for it.
pub(crate) fn try_commit(
    py: Python<'_>,
    end: &End<slipring::Producer>,
    grant: &mut Option<Grant>,
    header: Header,
    timeout: Timeout,
) -> Result<(), Stop> {
    end.attempt(py, timeout, |tx, wait| {
        // A refusal for want of room gives the grant back; none other is tried again.
        let Some(taken) = grant.take() else { return Err(Error::Interrupted) };
        tx.commit(taken, header, wait).map_err(|rejected| {
            *grant = rejected.grant;
            rejected.error
        })
    })
}

const BYTES: Why = Why::Is(Nature::Bytes);
pub(crate) const UNDER: Why = Why::Told("it was asked for by schema=...");

/// The schema that many tables are sent under, found once.
#[pyclass(frozen, module = "slipring._native")]
pub(crate) struct Chosen(Under);

#[doc = doc!(Producer)]
#[pyclass(frozen, module = "slipring")]
pub(crate) struct Producer {
    end: Arc<End<slipring::Producer>>,
    guess: Guess,
    /// The same of JSON, which has another size.
    json: Guess,
    /// Whether what has no other form may go as a pickle; with a warning where nobody has said so.
    pickles: Option<bool>,
}

impl Producer {
    pub(crate) fn new(end: Arc<End<slipring::Producer>>, pickles: Option<bool>) -> Self {
        Self { end, guess: Guess::new(), json: Guess::new(), pickles }
    }

    /// Sends what `write` writes of an object.
    pub(crate) fn send_written<'py>(
        &self,
        format: Format,
        object: &Bound<'py, PyAny>,
        meta: Option<&[u8]>,
        timeout: Timeout,
        write: impl FnMut(&mut [u8]) -> PyResult<Written<'py>>,
    ) -> PyResult<()> {
        let guess = if format == Format::Json { &self.json } else { &self.guess };
        outgoing::send_by(&self.end, format, guess, object, meta, timeout, write)
    }

    /// Says that what was sent by `send_written` was, if it was.
    pub(crate) fn tell_written(
        &self,
        object: &Bound<'_, PyAny>,
        format: Format,
        why: Why,
        sent: PyResult<()>,
    ) -> PyResult<()> {
        if sent.is_ok() {
            choices::note(&self.end, Some(object), format, why, 1);
        }
        choices::told(object.py(), sent)
    }

    fn send_raw(
        &self,
        py: Python<'_>,
        bytes: &[u8],
        meta: Option<&[u8]>,
        timeout: Timeout,
    ) -> PyResult<()> {
        if meta.is_none() && bytes.len() < DETACH {
            self.end.run(py, timeout, |tx, wait| tx.send(Header::raw(), bytes, wait))?;
            counts::sent(Format::Raw, bytes.len());
            return Ok(());
        }
        let plan = raw::plan(bytes.len(), meta).map_err(|e| error::encode(py, &e, "raw"))?;
        self.place(py, &plan, timeout, |data| copy(py, bytes, data))
    }

    /// Reserves, has the data filled in, and sends.
    fn place(
        &self,
        py: Python<'_>,
        plan: &Plan<'_>,
        timeout: Timeout,
        fill: impl FnOnce(&mut [u8]) -> PyResult<()>,
    ) -> PyResult<()> {
        let timeout = timeout.begin();
        let len = plan.body_len();
        let mut grant = self.end.run(py, timeout, |tx, wait| tx.reserve(len, wait))?;
        let sample = costs::sample(plan.format());
        fill(plan.write(&mut grant).map_err(|e| error::encode(py, &e, plan.format().name()))?)?;
        if let Some(began) = sample {
            let class = if plan.format() == Format::Raw { Class::Bytes } else { Class::Arrays };
            costs::record(py, &self.end, began, plan.format(), class, len);
        }
        commit(py, &self.end, grant, header(plan), timeout)?;
        counts::sent(plan.format(), len);
        Ok(())
    }

    /// What `send` does.
    #[inline(always)]
    fn send_one(
        &self,
        obj: &Bound<'_, PyAny>,
        format: Option<Form>,
        schema: Option<&Bound<'_, PyAny>>,
        meta: Option<&[u8]>,
        timeout: Timeout,
    ) -> PyResult<()> {
        if let Some(schema) = schema {
            if !matches!(format, None | Some(Form::Arrow)) {
                return Err(PyTypeError::new_err(
                    "what is sent under a schema is a table: leave format away",
                ));
            }
            let under = self.under(schema)?;
            return self.send_under(obj, &under, meta, timeout);
        }
        if let Some(form) = format {
            self.send_as(form, obj, meta, timeout)?;
            choices::note(&self.end, Some(obj), form.format(), Why::Asked, 1);
            return Ok(());
        }
        match obj.cast::<PyBytes>() {
            Ok(bytes) => {
                self.send_raw(obj.py(), bytes.as_bytes(), meta, timeout)?;
                choices::note(&self.end, Some(obj), Format::Raw, BYTES, 1);
                Ok(())
            }
            Err(_) => self.send_other(obj, meta, timeout),
        }
    }

    /// A table, under a schema of this ring.
    fn send_under(
        &self,
        object: &Bound<'_, PyAny>,
        under: &Under,
        meta: Option<&[u8]>,
        timeout: Timeout,
    ) -> PyResult<()> {
        self.send_table(object, Some(under), meta, timeout)?;
        choices::note(&self.end, Some(object), Format::Arrow, UNDER, 1);
        Ok(())
    }

    /// All that is not simply bytes.
    fn send_other(
        &self,
        object: &Bound<'_, PyAny>,
        meta: Option<&[u8]>,
        timeout: Timeout,
    ) -> PyResult<()> {
        let py = object.py();
        let note = |format, nature| {
            choices::note(&self.end, Some(object), format, Why::Is(nature), 1);
        };
        if value::is_basic(object) {
            if let Look::Table(table) = records::of_list(object, records::WORTH)? {
                table::send::send(py, &self.end, &table, None, meta, timeout, ALONE)?;
                note(Format::Arrow, Nature::Records);
                return Ok(());
            }
            return self.send_value(object, meta, timeout);
        }
        if let Ok(frame) = object.cast::<Frame>()
            && meta.is_none()
        {
            return self.send_on(frame, timeout);
        }
        match Kind::of(object)? {
            Kind::Bytes(buffer) => {
                self.send_buffer(py, &buffer, meta, timeout)?;
                note(Format::Raw, Nature::Bytes);
            }
            Kind::Array(array) => {
                if let Some(kind) = array::lost_type(object)? {
                    value::warn_losses(py, &[kind.into_any()])?;
                }
                self.send_array(py, &array, meta, timeout)?;
                note(Format::Ndarray, Nature::Array);
            }
            Kind::Value => return self.send_value(object, meta, timeout),
            Kind::Json => {
                outgoing::send_json(&self.end, &self.json, object, meta, timeout)?;
                note(Format::Json, Nature::Json);
            }
            Kind::Odd(refusal) => return self.send_odd(object, refusal, meta, timeout),
            // A table that does not come as Arrow may still be a pickle.
            Kind::Table => match self.send_table(object, None, meta, timeout) {
                Err(refusal) if error::is_refusal(py, &refusal) => {
                    return self.send_odd(object, refusal, meta, timeout);
                }
                sent => {
                    sent?;
                    note(Format::Arrow, Nature::Table);
                }
            },
        }
        Ok(())
    }

    /// As a pickle, since the form that it should have refused it.
    fn send_odd(
        &self,
        object: &Bound<'_, PyAny>,
        refusal: PyErr,
        meta: Option<&[u8]>,
        timeout: Timeout,
    ) -> PyResult<()> {
        let py = object.py();
        if self.pickles == Some(false) {
            return Err(refusal);
        }
        let tell = || outgoing::tell_odd(py, &refusal, self.pickles.is_none());
        let tried = outgoing::send_pickle(&self.end, object, meta, timeout, tell);
        tried.map_err(|e| if error::is_refusal(py, &e) { refusal } else { e })?;
        choices::note(&self.end, Some(object), Format::Pickle, Why::Is(Nature::Opaque), 1);
        Ok(())
    }

    /// Sends a frame on as what it is, its metadata included, without a look into it.
    fn send_on(&self, frame: &Bound<'_, Frame>, timeout: Timeout) -> PyResult<()> {
        let py = frame.py();
        let timeout = timeout.begin();
        let (lease, mut header) = frame.get().to_send_on(py)?;
        let body = lease.get().body();
        // A schema has another number in another ring.
        if let Some(schema) = lease.get().schema(py)? {
            let schemas = self.end.segment(py)?.schemas();
            let (kind, name, version) = (schema.kind(), schema.name(), schema.version());
            let there = py.detach(|| schemas.add(kind, name, version, &schema));
            header = header.with_schema(&there.map_err(|e| error::raise(py, e))?);
        }
        let mut grant = self.end.run(py, timeout, |tx, wait| tx.reserve(body.len(), wait))?;
        copy(py, body, &mut grant)?;
        commit(py, &self.end, grant, header, timeout)?;
        let format = Format::from_code(header.format).unwrap_or(Format::Raw);
        counts::sent(format, body.len());
        let why = Why::Told("a frame is sent on as what it is");
        choices::note(&self.end, Some(frame), format, why, 1);
        Ok(())
    }

    fn send_array(
        &self,
        py: Python<'_>,
        array: &array::Array<'_>,
        meta: Option<&[u8]>,
        timeout: Timeout,
    ) -> PyResult<()> {
        let plan =
            ndarray::plan(&array.descriptor, meta).map_err(|e| error::encode(py, &e, "ndarray"))?;
        self.place(py, &plan, timeout, |data| array.copy_to(py, data))
    }

    /// As a table, which it shows, or not at all.
    fn send_table(
        &self,
        object: &Bound<'_, PyAny>,
        under: Option<&Under>,
        meta: Option<&[u8]>,
        timeout: Timeout,
    ) -> PyResult<()> {
        let table = match table::take::shows(object)? {
            true => table::take::whole(object)?,
            false => under.map_or_else(|| records::asked(object), |under| under.absorb(object))?,
        };
        table::send::send(object.py(), &self.end, &table, under, meta, timeout, ALONE)
    }

    /// A table of any length, to be sent in pieces.
    fn pieces(
        &self,
        source: &Bound<'_, PyAny>,
        rows: Option<&Bound<'_, PyAny>>,
        schema: Option<&Bound<'_, PyAny>>,
        meta: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Pieces> {
        let meta = meta.map(meta::encode).transpose()?;
        const ROWS: &str = "a number of rows from 1 on";
        let rows = rows.map(|rows| match size::count(rows, "rows", ROWS)? {
            0 => Err(size::refused(rows.py(), "rows", "0", ROWS)),
            rows => Ok(rows as usize),
        });
        let rows = rows.transpose()?;
        let under = schema.map(|schema| self.under(schema)).transpose()?;
        Pieces::of(source, rows, under, meta)
    }

    /// A schema of this ring, to send tables under.
    fn under(&self, schema: &Bound<'_, PyAny>) -> PyResult<Under> {
        let py = schema.py();
        let schemas = self.end.segment(py)?.schemas();
        Under::find(py, &schemas, schema)
    }

    fn send_buffer(
        &self,
        py: Python<'_>,
        buffer: &Buffer,
        meta: Option<&[u8]>,
        timeout: Timeout,
    ) -> PyResult<()> {
        match buffer.bytes() {
            Some(bytes) => self.send_raw(py, bytes, meta, timeout),
            None => {
                let plan =
                    raw::plan(buffer.len(), meta).map_err(|e| error::encode(py, &e, "raw"))?;
                self.place(py, &plan, timeout, |data| buffer.copy_to(py, data))
            }
        }
    }

    /// In the form that was asked for, or not at all.
    fn send_as(
        &self,
        form: Form,
        object: &Bound<'_, PyAny>,
        meta: Option<&[u8]>,
        timeout: Timeout,
    ) -> PyResult<()> {
        let py = object.py();
        match form {
            // The bytes of a frame, whatever they encode.
            Form::Raw if object.is_exact_instance_of::<Frame>() => {
                let view = object.getattr(intern!(py, "view"))?;
                self.send_as(form, &view, meta, timeout)
            }
            Form::Raw => match Buffer::of(object)? {
                Some(buffer) => self.send_buffer(py, &buffer, meta, timeout),
                None => Err(unsupported(object, "give an object with a buffer, such as bytes")),
            },
            Form::Ndarray => match array::look(object)? {
                Candidate::Array(array) => self.send_array(py, &array, meta, timeout),
                _ => Err(unsupported(object, "give a NumPy array: np.asarray(it) makes one")),
            },
            Form::Value => {
                let sent = outgoing::send_value(&self.end, &self.guess, object, meta, timeout);
                sent.map_err(|unsent| match unsent {
                    Unsent::Refused(fault) => fault.encoding(py),
                    Unsent::Raised(error) => error,
                })
            }
            Form::Arrow => self.send_table(object, None, meta, timeout),
            Form::Pickle if self.pickles == Some(false) => {
                Err(unsupported(object, "this producer sends no pickles: make it with pickle=True"))
            }
            Form::Pickle => outgoing::send_pickle(&self.end, object, meta, timeout, || Ok(())),
            Form::Json => outgoing::send_json(&self.end, &self.json, object, meta, timeout),
        }
    }

    /// As a value, or as a pickle where it has no form as one.
    fn send_value(
        &self,
        object: &Bound<'_, PyAny>,
        meta: Option<&[u8]>,
        timeout: Timeout,
    ) -> PyResult<()> {
        let py = object.py();
        match outgoing::send_value(&self.end, &self.guess, object, meta, timeout) {
            Ok(()) => {
                choices::note(&self.end, Some(object), Format::Value, Why::Is(Nature::Value), 1);
                Ok(())
            }
            Err(Unsent::Raised(error)) => Err(error),
            Err(Unsent::Refused(fault)) if self.pickles == Some(false) => {
                Err(fault.unpickled(py, None))
            }
            Err(Unsent::Refused(fault)) => {
                let tell = || fault.tell_pickled(py, self.pickles.is_none());
                let tried = outgoing::send_pickle(&self.end, object, meta, timeout, tell);
                tried.map_err(|error| match error::is_refusal(py, &error) {
                    true => fault.unpickled(py, Some(error)),
                    false => error,
                })?;
                choices::note(&self.end, Some(object), Format::Pickle, Why::Is(Nature::Opaque), 1);
                Ok(())
            }
        }
    }

    /// Sends what was gathered; `false` if time ran out before the last of it. `sent` counts also
    /// what goes before an error.
    fn send_batch(
        &self,
        py: Python<'_>,
        batch: &[Bound<'_, PyAny>],
        timeout: Timeout,
        sent: &mut usize,
    ) -> PyResult<bool> {
        for run in runs(batch) {
            if !self.send_run(py, run, timeout, sent)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The same for one object, or for several small ones.
    fn send_run(
        &self,
        py: Python<'_>,
        run: &[Bound<'_, PyAny>],
        timeout: Timeout,
        sent: &mut usize,
    ) -> PyResult<bool> {
        match run {
            [one] if !is_small(one) => match self.send_other(one, None, timeout) {
                Err(error) if error::is_outcome(py, &error) => Ok(false),
                outcome => outcome.map(|()| *sent += 1).map(|()| true),
            },
            run => self.send_bodies(py, run, timeout, sent),
        }
    }

    /// What `_send_some` does, on the event loop's time.
    fn send_some(
        &self,
        py: Python<'_>,
        objects: &[Bound<'_, PyAny>],
        under: Option<&Bound<'_, Chosen>>,
    ) -> (usize, bool, Option<PyErr>) {
        let (start, mut sent) = (Instant::now(), 0);
        if let Some(under) = under {
            for object in objects {
                match self.send_under(object, &under.get().0, None, Timeout::Now) {
                    Ok(()) => sent += 1,
                    Err(error) if error::is_outcome(py, &error) => return (sent, true, None),
                    Err(error) => return (sent, false, Some(error)),
                }
                if start.elapsed() >= TURN {
                    break;
                }
            }
            return (sent, false, None);
        }
        for run in runs(objects) {
            match self.send_run(py, run, Timeout::Now, &mut sent) {
                Ok(true) if start.elapsed() < TURN => {}
                Ok(whole) => return (sent, !whole, None),
                Err(error) => return (sent, false, Some(error)),
            }
        }
        (sent, false, None)
    }

    /// The same for small bodies.
    fn send_bodies(
        &self,
        py: Python<'_>,
        run: &[Bound<'_, PyAny>],
        timeout: Timeout,
        sent: &mut usize,
    ) -> PyResult<bool> {
        let bodies: Vec<&[u8]> = run
            .iter()
            .filter_map(|object| object.cast::<PyBytes>().ok())
            .map(|bytes| bytes.as_bytes())
            .collect();
        let mut rest = &bodies[..];
        let outcome = self.end.attempt(py, timeout, |tx, wait| {
            // What stopped the first is told by the second: a signal, or that the time is over.
            for wait in [wait, &Wait::no()] {
                let n = tx.send_batch(rest.iter().map(|&body| (Header::raw(), body)), wait)?;
                rest = &rest[n..];
                if rest.is_empty() {
                    return Ok(());
                }
            }
            Err(Error::Full)
        });
        let done = bodies.len() - rest.len();
        bodies[..done].iter().for_each(|body| counts::sent(Format::Raw, body.len()));
        *sent += done;
        choices::note(&self.end, run.first(), Format::Raw, BYTES, done);
        match outcome {
            Ok(()) => Ok(true),
            Err(stop) if stop.is_outcome() => Ok(false),
            Err(stop) => Err(self.end.raise(py, stop)),
        }
    }
}

/// What an argument of `send_many` holds.
fn each<'py>(objects: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyIterator>> {
    if objects.is_instance_of::<PyString>() {
        return Err(unsupported(objects, "give an iterable of objects to send"));
    }
    objects.try_iter()
}

/// Small bodies are sent together, each other object alone.
fn runs<'a, 'py>(batch: &'a [Bound<'py, PyAny>]) -> impl Iterator<Item = &'a [Bound<'py, PyAny>]> {
    batch.chunk_by(|a, b| is_small(a) && is_small(b))
}

fn is_small(object: &Bound<'_, PyAny>) -> bool {
    object.cast::<PyBytes>().is_ok_and(|bytes| bytes.as_bytes().len() < DETACH)
}

pub(crate) fn copy(py: Python<'_>, from: &[u8], to: &mut [u8]) -> PyResult<()> {
    if from.len() < DETACH {
        to.copy_from_slice(from);
    } else {
        py.detach(|| to.copy_from_slice(from));
    }
    Ok(())
}

/// What the arguments of `reserve` ask for.
fn planned(
    py: Python<'_>,
    shape: &Bound<'_, PyAny>,
    dtype: Option<&Bound<'_, PyAny>>,
    order: &str,
) -> PyResult<Shape> {
    let order = match order {
        "C" => Order::C,
        "F" => Order::F,
        other => {
            return Err(PyValueError::new_err(format!("order is {other:?}, but must be C or F")));
        }
    };
    let Some(dtype) = dtype else {
        if shape.extract::<Vec<Bound<'_, PyAny>>>().is_ok() {
            return Err(PyTypeError::new_err(
                "reserve(bytes) takes a number of bytes, reserve(shape, dtype) a shape",
            ));
        }
        return Ok(Shape::Bytes(size::count(shape, "shape", LENGTHS)? as usize));
    };
    let lengths = match shape.extract::<Vec<Bound<'_, PyAny>>>() {
        Ok(lengths) => lengths,
        Err(_) => vec![shape.clone()],
    };
    let lengths: PyResult<Vec<u64>> =
        lengths.iter().map(|len| size::count(len, "shape", LENGTHS)).collect();
    let descriptor = Descriptor::new(array::parse_dtype(dtype)?, order, &lengths?)
        .map_err(|e| error::encode(py, &e, "ndarray"))?;
    Ok(Shape::Array(descriptor))
}

#[cold]
pub(crate) fn unsupported(object: &Bound<'_, PyAny>, hint: &str) -> PyErr {
    let py = object.py();
    let kind = object.get_type().fully_qualified_name().map(|name| name.to_string());
    let kind = kind.unwrap_or_else(|_| "unknown".into());
    error::unsendable(py, &format!("an object of type {kind} can't be sent so"), "$", &kind, hint)
}

#[pymethods]
impl Producer {
    #[doc = doc!(Producer.send)]
    #[pyo3(signature = (obj, *, format=None, schema=None, meta=None, timeout=None, drop_oldest=false))]
    fn send(
        &self,
        obj: &Bound<'_, PyAny>,
        format: Option<Form>,
        schema: Option<&Bound<'_, PyAny>>,
        meta: Option<&Bound<'_, PyAny>>,
        timeout: Option<&Bound<'_, PyAny>>,
        #[pyo3(from_py_with = options::drop_oldest)] drop_oldest: bool,
    ) -> PyResult<()> {
        let timeout = Timeout::sending(timeout, drop_oldest)?;
        let meta = meta.map(meta::encode).transpose()?;
        let sent = self.send_one(obj, format, schema, meta.as_deref(), timeout);
        choices::told(obj.py(), sent)
    }

    #[doc = doc!(Producer.send_many)]
    #[pyo3(signature = (objects, *, schema=None, timeout=None, drop_oldest=false))]
    fn send_many(
        &self,
        py: Python<'_>,
        objects: &Bound<'_, PyAny>,
        schema: Option<&Bound<'_, PyAny>>,
        timeout: Option<&Bound<'_, PyAny>>,
        #[pyo3(from_py_with = options::drop_oldest)] drop_oldest: bool,
    ) -> PyResult<usize> {
        let timeout = Timeout::sending(timeout, drop_oldest)?.begin();
        let mut objects = each(objects)?;
        let under = schema.map(|schema| self.under(schema)).transpose()?;
        let mut sent = 0;
        let mut send = || {
            if let Some(under) = &under {
                for object in objects.by_ref() {
                    match self.send_under(&object?, under, None, timeout) {
                        Err(error) if error::is_outcome(py, &error) => return Ok(()),
                        outcome => outcome?,
                    }
                    sent += 1;
                }
                return Ok(());
            }
            let mut more = true;
            while more {
                let mut batch = Vec::with_capacity(BATCH);
                let mut fault = None;
                while batch.len() < BATCH && fault.is_none() {
                    match objects.next() {
                        Some(Ok(object)) => batch.push(object),
                        Some(Err(error)) => fault = Some(error),
                        None => break,
                    }
                }
                more = batch.len() == BATCH;
                more &= self.send_batch(py, &batch, timeout, &mut sent)?;
                fault.map_or(Ok(()), Err)?;
            }
            Ok(())
        };
        match choices::told(py, send()) {
            Ok(()) => Ok(sent),
            Err(error) => Err(error::after(py, error, sent)),
        }
    }

    #[doc = doc!(Producer.send_batches)]
    #[pyo3(signature = (source, *, rows=None, schema=None, meta=None, timeout=None))]
    fn send_batches(
        &self,
        source: &Bound<'_, PyAny>,
        rows: Option<&Bound<'_, PyAny>>,
        schema: Option<&Bound<'_, PyAny>>,
        meta: Option<&Bound<'_, PyAny>>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<usize> {
        let (py, timeout) = (source.py(), Timeout::parse(timeout)?);
        let mut pieces = self.pieces(source, rows, schema, meta)?;
        let mut sent = 0;
        let mut send = || {
            while let Some(more) = pieces.send(py, &self.end, timeout)? {
                sent += 1;
                if !more {
                    break;
                }
            }
            Ok(())
        };
        match choices::told(py, send()) {
            Ok(()) => Ok(sent),
            Err(error) => Err(error::after(py, error, sent)),
        }
    }

    #[doc = doc!(Producer.reserve)]
    #[pyo3(signature = (shape, dtype=None, *, order="C", meta=None, timeout=None,
                        drop_oldest=false))]
    #[allow(clippy::too_many_arguments, reason = "they are Python's keywords")]
    fn reserve(
        &self,
        py: Python<'_>,
        shape: &Bound<'_, PyAny>,
        dtype: Option<&Bound<'_, PyAny>>,
        order: &str,
        meta: Option<&Bound<'_, PyAny>>,
        timeout: Option<&Bound<'_, PyAny>>,
        #[pyo3(from_py_with = options::drop_oldest)] drop_oldest: bool,
    ) -> PyResult<Reservation> {
        let timeout = Timeout::sending(timeout, drop_oldest)?;
        let meta = meta.map(meta::encode).transpose()?;
        Reservation::new(py, self.end.clone(), planned(py, shape, dtype, order)?, meta, timeout)
    }

    #[doc = doc!(Producer.send_async)]
    #[pyo3(signature = (obj, *, format=None, schema=None, meta=None))]
    fn send_async<'py>(
        slf: Bound<'py, Self>,
        obj: Bound<'py, PyAny>,
        format: Option<Bound<'py, PyAny>>,
        schema: Option<Bound<'py, PyAny>>,
        meta: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        coroutine(slf.py(), "send", (slf, obj, format, schema, meta))
    }

    #[doc = doc!(Producer.send_many_async)]
    #[pyo3(signature = (objects, *, schema=None))]
    fn send_many_async<'py>(
        slf: Bound<'py, Self>,
        objects: &Bound<'py, PyAny>,
        schema: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let under = schema.map(|schema| Bound::new(py, Chosen(slf.get().under(schema)?)));
        coroutine(py, "send_many", (slf, each(objects)?, under.transpose()?))
    }

    #[doc = doc!(Producer.send_batches_async)]
    #[pyo3(signature = (source, *, rows=None, schema=None, meta=None))]
    fn send_batches_async<'py>(
        slf: Bound<'py, Self>,
        source: &Bound<'py, PyAny>,
        rows: Option<&Bound<'py, PyAny>>,
        schema: Option<&Bound<'py, PyAny>>,
        meta: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (py, this) = (slf.py(), slf.get());
        let pieces = this.pieces(source, rows, schema, meta)?;
        let sending = Bound::new(py, Sending::new(Arc::clone(&this.end), pieces))?;
        coroutine(py, "send_batches", (slf, sending))
    }

    #[doc = doc!(Producer.reserve_async)]
    #[pyo3(signature = (shape, dtype=None, *, order="C", meta=None))]
    fn reserve_async<'py>(
        slf: Bound<'py, Self>,
        shape: &Bound<'py, PyAny>,
        dtype: Option<&Bound<'py, PyAny>>,
        order: &str,
        meta: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let meta = meta.map(meta::encode).transpose()?;
        let (end, shape) = (slf.get().end.clone(), planned(py, shape, dtype, order)?);
        let reservation = Reservation::new(py, end, shape, meta, Timeout::Now)?;
        coroutine(py, "Reserving", (slf, reservation))
    }

    /// Sends what there is room for, for at most a turn of an event loop: how many were sent, whether the ring
    /// is full, and what went wrong after them.
    #[pyo3(signature = (objects, under=None))]
    fn _send_some(
        &self,
        py: Python<'_>,
        objects: Vec<Bound<'_, PyAny>>,
        under: Option<&Bound<'_, Chosen>>,
    ) -> (usize, bool, Option<Py<PyBaseException>>) {
        let (sent, full, failed) = self.send_some(py, &objects, under);
        match choices::told(py, failed.map_or(Ok(()), Err)) {
            Ok(()) => (sent, full, None),
            Err(error) => (sent, full, Some(error.into_value(py))),
        }
    }

    /// Calls `callback` once, from a thread of the package's own, when space is freed or the ring or this
    /// end is closed.
    fn _watch(&self, py: Python<'_>, callback: Py<PyAny>) -> PyResult<Watch> {
        let segment = self.end.segment(py)?;
        watcher::watch(py, self.end.address(), segment.writable(), callback)
    }

    #[doc = doc!(Producer.wanted)]
    fn wanted(&self, py: Python<'_>, name: &str) -> PyResult<Option<(u16, u16)>> {
        let schemas = self.end.segment(py)?.schemas();
        let range = py.detach(|| schemas.readable(KIND, name));
        let range = range.map_err(|e| self.end.raise(py, Stop::Ring(e)))?;
        Ok(range.map(|range| (*range.start(), *range.end())))
    }

    #[doc = doc!(Producer.dropped)]
    #[getter]
    fn dropped(&self, py: Python<'_>) -> PyResult<u64> {
        self.end.run(py, Timeout::Now, |tx, _| Ok(tx.dropped()))
    }

    #[doc = doc!(Producer.trim)]
    fn trim(&self, py: Python<'_>) -> PyResult<u64> {
        self.end.run(py, Timeout::Now, |tx, _| Ok(tx.trim()))
    }

    #[doc = doc!(Producer.close)]
    fn close(&self, py: Python<'_>) {
        self.end.close(py);
    }

    fn __repr__(&self) -> String {
        self.end.describe("Producer", |tx| format!("{} sent", tx.sequence()))
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
