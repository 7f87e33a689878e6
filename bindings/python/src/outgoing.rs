//! Objects on their way into a frame as values, JSON and pickles, which tell their size only when they are
//! written.
//!
//! A value, or JSON, is written straight into a reservation: of about the size of the last one, and, if that was too
//! small, once more into one of the right size. If it was far too large, what was written moves.

use crate::array::{self, Array, Candidate};
use crate::buffer::Buffer;
use crate::end::{End, Stop, Timeout};
use crate::pickle::{self, Pickled};
use crate::producer::commit;
use crate::table::take;
use crate::value::{self, Fault, Piece, Writer, warn_losses};
use crate::{costs, counts, error, json, size};
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyMemoryView};
use slipring::{Error, Grant, Producer};
use slipring_codec::Format;
use slipring_codec::frame::Layout;
use slipring_codec::token::Fixed;
use slipring_frames::header;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What the first value gets.
const FIRST: usize = 512;
/// From here on a piece that is far too large is not kept: frames that wait would fill the pool with nothing.
const LARGE: usize = 4096;
/// How often an object is written that is larger each time than the time before.
const ATTEMPTS: usize = 4;

/// What values have needed lately.
pub(crate) struct Guess {
    len: AtomicUsize,
    buffers: AtomicUsize,
}

impl Guess {
    pub(crate) fn new() -> Self {
        Self { len: AtomicUsize::new(FIRST), buffers: AtomicUsize::new(0) }
    }

    /// Room for the next one: somewhat more than the last one took, and less and less of what a large
    /// one before it took.
    fn learn(&self, len: usize, buffers: usize) {
        // Relaxed, here and below: it is a guess.
        let last = self.len.load(Ordering::Relaxed);
        let next = (len + len / 8 + 64).max(last - last / 4);
        self.len.store(next, Ordering::Relaxed);
        self.buffers.store(buffers, Ordering::Relaxed);
    }
}

/// The form that a caller asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Raw,
    Ndarray,
    Value,
    Arrow,
    Pickle,
    Json,
}

impl Form {
    pub(crate) fn format(self) -> Format {
        match self {
            Self::Raw => Format::Raw,
            Self::Ndarray => Format::Ndarray,
            Self::Value => Format::Value,
            Self::Arrow => Format::Arrow,
            Self::Pickle => Format::Pickle,
            Self::Json => Format::Json,
        }
    }
}

impl FromPyObject<'_, '_> for Form {
    type Error = PyErr;
    fn extract(name: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        let text = name.extract::<String>().unwrap_or_else(|_| name.to_string());
        Ok(match text.as_str() {
            "raw" => Self::Raw,
            "ndarray" => Self::Ndarray,
            "value" => Self::Value,
            "arrow" => Self::Arrow,
            "pickle" => Self::Pickle,
            "json" => Self::Json,
            other => {
                let expected = "raw, ndarray, value, arrow, pickle, json, or None for what fits";
                return Err(size::refused(name.py(), "format", other, expected));
            }
        })
    }
}

/// What an object goes as, where it is not told.
pub(crate) enum Kind<'py> {
    Bytes(Buffer),
    Array(Array<'py>),
    /// What shows itself as Arrow, or might.
    Table,
    Value,
    /// Text that is JSON already.
    Json,
    /// An array that has no form as one, with the reason: of objects, or masked.
    Odd(PyErr),
}

impl<'py> Kind<'py> {
    pub(crate) fn of(object: &Bound<'py, PyAny>) -> PyResult<Self> {
        let py = object.py();
        let bytes_like = object.is_instance_of::<PyMemoryView>()
            || object.is_instance_of::<PyByteArray>()
            || object.is_instance_of::<PyBytes>();
        if object.is_exact_instance_of::<json::Raw>() {
            return Ok(Self::Json);
        }
        if !bytes_like {
            if array::lost_type(object)?.is_some() && value::is_registered(object)? {
                return Ok(Self::Value);
            }
            match array::of_numpy(object) {
                Ok(Candidate::Array(array)) => return Ok(Self::Array(array)),
                Ok(Candidate::Scalar) => return Ok(Self::Value),
                Ok(Candidate::Other) => {}
                Err(refusal) if error::is_refusal(py, &refusal) => return Ok(Self::Odd(refusal)),
                Err(error) => return Err(error),
            }
            if !value::is_basic(object) && take::shows(object)? {
                return Ok(Self::Table);
            }
            if let Candidate::Array(array) = array::shown(object)? {
                return Ok(Self::Array(array));
            }
        }
        Ok(match Buffer::of(object)? {
            Some(buffer) if buffer.is_typed() => match array::shown(object)? {
                Candidate::Array(array) => Self::Array(array),
                _ => Self::Bytes(buffer),
            },
            Some(buffer) => Self::Bytes(buffer),
            None => Self::Value,
        })
    }
}

/// Why an object was not sent as a value.
pub(crate) enum Unsent {
    /// It has no form as one.
    Refused(Box<Fault>),
    Raised(PyErr),
}

impl From<PyErr> for Unsent {
    fn from(error: PyErr) -> Self {
        Self::Raised(error)
    }
}

/// A head that was written, and what goes out of line.
pub(crate) struct Written<'py> {
    pub(crate) len: usize,
    pub(crate) pieces: Vec<Piece<'py>>,
    /// Types that went as what they derive from.
    pub(crate) losses: Vec<Bound<'py, PyAny>>,
}

/// Sends an object as a value.
pub(crate) fn send_value(
    end: &End<Producer>,
    guess: &Guess,
    object: &Bound<'_, PyAny>,
    meta: Option<&[u8]>,
    timeout: Timeout,
) -> Result<(), Unsent> {
    let py = object.py();
    let mut tables = Vec::new();
    send_written(end, Format::Value, guess, object, meta, timeout, |out| {
        let mut writer = Writer::new(py, Fixed::new(out), true);
        writer.tables = std::mem::take(&mut tables);
        if let Err(fault) = writer.write(object.as_borrowed(), 0) {
            return Err(match fault.is_refusal() {
                true => Unsent::Refused(fault),
                false => Unsent::Raised(fault.encoding(py)),
            });
        }
        let pieces = writer.pieces.take().unwrap_or_default();
        tables = std::mem::take(&mut writer.tables);
        Ok(Written {
            len: writer.encoder.len(),
            pieces,
            losses: std::mem::take(&mut writer.losses),
        })
    })
}

/// Sends an object as JSON.
pub(crate) fn send_json(
    end: &End<Producer>,
    guess: &Guess,
    object: &Bound<'_, PyAny>,
    meta: Option<&[u8]>,
    timeout: Timeout,
) -> PyResult<()> {
    let py = object.py();
    let sent = send_written(end, Format::Json, guess, object, meta, timeout, |out| {
        let len = json::write_into(object, out);
        let len = len.map_err(|fault| Unsent::Raised(fault.encoding(py)))?;
        Ok(Written { len, pieces: Vec::new(), losses: Vec::new() })
    });
    sent.map_err(|unsent| match unsent {
        Unsent::Refused(fault) => fault.encoding(py),
        Unsent::Raised(error) => error,
    })
}

/// Sends what somebody else writes of an object, as a value or as JSON; it may be written more than once.
pub(crate) fn send_by<'py>(
    end: &End<Producer>,
    format: Format,
    guess: &Guess,
    object: &Bound<'py, PyAny>,
    meta: Option<&[u8]>,
    timeout: Timeout,
    mut write: impl FnMut(&mut [u8]) -> PyResult<Written<'py>>,
) -> PyResult<()> {
    let write = |out: &mut [u8]| write(out).map_err(Unsent::Raised);
    send_written(end, format, guess, object, meta, timeout, write).map_err(|unsent| match unsent {
        Unsent::Refused(fault) => fault.encoding(object.py()),
        Unsent::Raised(error) => error,
    })
}

/// Sends an object that is written straight into its place, as often as it takes to find out how large that is. Made into
/// one function with its caller: what is written is then handed over by no copy.
#[inline(always)]
fn send_written<'py>(
    end: &End<Producer>,
    format: Format,
    guess: &Guess,
    object: &Bound<'py, PyAny>,
    meta: Option<&[u8]>,
    timeout: Timeout,
    mut write: impl FnMut(&mut [u8]) -> Result<Written<'py>, Unsent>,
) -> Result<(), Unsent> {
    let py = object.py();
    let name = format.name();
    let timeout = timeout.begin();
    let front = Layout::front(guess.buffers.load(Ordering::Relaxed), meta.is_some());
    let mut room = guess.len.load(Ordering::Relaxed).max(front + FIRST);
    let mut guessed = true;
    for _ in 0..ATTEMPTS {
        let reserved = end.attempt(py, timeout, |tx, wait| tx.reserve(room, wait));
        let mut grant = match reserved {
            Ok(grant) => grant,
            Err(Stop::Ring(Error::TooLarge { .. })) if guessed && room > front + FIRST => {
                room = front + FIRST;
                continue;
            }
            Err(stop) => return Err(end.raise(py, stop).into()),
        };
        // Without what was waited for room.
        let sample = costs::sample(format);
        let Written { len: head_len, pieces, losses } = write(&mut grant[front..])?;
        let lens = pieces.iter().map(Piece::len);
        let layout = Layout::new(format, head_len, meta.map(<[u8]>::len), lens)
            .map_err(|e| error::encode(py, &e, name))?;
        let needed = layout.body_len().max(front + head_len);
        if needed > grant.len() {
            (room, guessed) = (needed, false);
            continue;
        }
        warn_losses(py, &losses)?;
        guess.learn(needed, pieces.len());
        // It has its place already: no more than a try to find a better one.
        if grant.len() > LARGE
            && needed < grant.len() / 2
            && let Ok(mut fitting) =
                end.attempt(py, Timeout::Now, |tx, wait| tx.reserve(needed, wait))
        {
            fitting[front..front + head_len].copy_from_slice(&grant[front..front + head_len]);
            grant = fitting;
        }
        layout.write(&mut grant, front, meta).map_err(|e| error::encode(py, &e, name))?;
        for (piece, range) in pieces.iter().zip(layout.buffers()) {
            piece.copy_to(py, &mut grant[range.clone()])?;
        }
        if let Some(began) = sample {
            costs::record(py, end, began, format, costs::class(object), needed);
        }
        return Ok(send(py, end, grant, &layout, timeout)?);
    }
    Err(Unsent::Raised(Fault::changed(object).encoding(py)))
}

/// Says that an array or a table goes as a pickle, since it has no form as one.
pub(crate) fn tell_odd(py: Python<'_>, refusal: &PyErr, warns: bool) -> PyResult<()> {
    let told = |name: &str| refusal.value(py).getattr(name)?.extract::<String>();
    let (kind, hint) = (told("type").unwrap_or_default(), told("hint").unwrap_or_default());
    pickle::tell_chosen(py, &kind, &told("what")?, &told("path")?, &hint, warns)
}

/// Sends an object as a pickle, once that is made and told. The stream is made by Python and copied; what it takes out of
/// band is copied once, into its place.
pub(crate) fn send_pickle(
    end: &End<Producer>,
    object: &Bound<'_, PyAny>,
    meta: Option<&[u8]>,
    timeout: Timeout,
    tell: impl FnOnce() -> PyResult<()>,
) -> PyResult<()> {
    let py = object.py();
    let timeout = timeout.begin();
    let sample = costs::sample(Format::Pickle);
    let Pickled { stream, buffers } = pickle::dump(object)?;
    if let Some(began) = sample {
        // Copying what it made takes little beside.
        let len = stream.as_bytes().len() + buffers.iter().map(Buffer::len).sum::<usize>();
        costs::record(py, end, began, Format::Pickle, costs::class(object), len);
    }
    tell()?;
    let lens = buffers.iter().map(Buffer::len);
    let layout = Layout::new(Format::Pickle, stream.as_bytes().len(), meta.map(<[u8]>::len), lens)
        .map_err(|e| error::encode(py, &e, "pickle"))?;
    let len = layout.body_len();
    let mut grant = end.run(py, timeout, |tx, wait| tx.reserve(len, wait))?;
    let front = Layout::front(buffers.len(), meta.is_some());
    grant[front..front + stream.as_bytes().len()].copy_from_slice(stream.as_bytes());
    layout.write(&mut grant, front, meta).map_err(|e| error::encode(py, &e, "pickle"))?;
    for (buffer, range) in buffers.iter().zip(layout.buffers()) {
        buffer.copy_to(py, &mut grant[range.clone()])?;
    }
    send(py, end, grant, &layout, timeout)
}

fn send(
    py: Python<'_>,
    end: &End<Producer>,
    mut grant: Grant,
    layout: &Layout,
    timeout: Timeout,
) -> PyResult<()> {
    let len = layout.body_len();
    grant.truncate(len);
    let header = header(layout.format(), layout.flags(), layout.type_code());
    commit(py, end, grant, header, timeout)?;
    counts::sent(layout.format(), len);
    Ok(())
}
