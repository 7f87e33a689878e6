//! Errors as exceptions. The classes are Python's, in `slipring/errors.py`; here is what fills them.

use crate::inspection::Inspection;
use pyo3::exceptions::{PyBaseException, PyBufferError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyModule, PyString};
use pyo3::{Py, intern};
use slipring::{Error, Segment};
use slipring_codec::evolution::Fault;
use slipring_codec::{DecodeError, EncodeError};
use slipring_frames::{Misfit, SchemaError, SchemaErrorKind};

/// A class of `slipring.errors`.
fn class<'py>(py: Python<'py>, name: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
    static MODULE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let module = MODULE.get_or_try_init(py, || py.import("slipring.errors").map(Bound::unbind))?;
    module.bind(py).getattr(name)
}

/// An exception of `slipring.errors` with attributes beside its message.
fn make(
    py: Python<'_>,
    name: &Bound<'_, PyString>,
    message: String,
    fill: impl FnOnce(&Bound<'_, PyAny>) -> PyResult<()>,
) -> PyErr {
    let made = class(py, name)
        .and_then(|class| class.call1((message,)))
        .and_then(|exception| fill(&exception).map(|()| exception));
    made.map_or_else(|error| error, PyErr::from_value)
}

/// Whether an exception is the one of this name.
pub(crate) fn is(py: Python<'_>, error: &PyErr, name: &Bound<'_, PyString>) -> bool {
    class(py, name).is_ok_and(|class| error.is_instance(py, &class))
}

/// Whether an exception only says that the ring was not ready in time.
pub(crate) fn is_outcome(py: Python<'_>, error: &PyErr) -> bool {
    [intern!(py, "Full"), intern!(py, "Empty"), intern!(py, "Timeout")]
        .into_iter()
        .any(|name| is(py, error, name))
}

/// Whether an exception says that an object has no form in the format that was tried.
pub(crate) fn is_refusal(py: Python<'_>, error: &PyErr) -> bool {
    is(py, error, intern!(py, "EncodeError"))
}

/// Whether an exception says itself that bytes can't be read, or not as this version.
pub(crate) fn is_decode_error(py: Python<'_>, error: &PyErr) -> bool {
    is(py, error, intern!(py, "DecodeError")) || is(py, error, intern!(py, "SchemaError"))
}

/// Whether a migration has raised, other than one that is missing.
pub(crate) fn is_failed_migration(py: Python<'_>, error: &PyErr) -> bool {
    is(py, error, intern!(py, "SchemaError")) && error.cause(py).is_some()
}

/// An error after a part of the frames was sent: says how many, in its message and as `sent`.
#[cold]
pub(crate) fn after(py: Python<'_>, error: PyErr, sent: usize) -> PyErr {
    tell_sent(error.value(py), sent);
    error
}

/// The same of an exception that is under way in Python.
pub(crate) fn tell_sent(exception: &Bound<'_, PyBaseException>, sent: usize) {
    let py = exception.py();
    let told = format!("sent before this: {sent}");
    let tell = || {
        exception.setattr(intern!(py, "sent"), sent)?;
        if exception.is_instance(&class(py, intern!(py, "Error"))?)? {
            let message = format!("{}; {told}", exception.str()?);
            exception.setattr(intern!(py, "args"), (message,))
        } else {
            // Somebody else's exception: of the iterable, or a cancellation.
            exception.call_method1(intern!(py, "add_note"), (told,)).map(|_| ())
        }
    };
    // An exception that takes no attributes is told as it is.
    let _: PyResult<()> = tell();
}

/// That a ring was full, or no frame came in time: in which ring, why, and what to do.
#[cold]
pub(crate) fn outcome(py: Python<'_>, error: Error, segment: &Segment, sends: bool) -> PyErr {
    let path = segment.path().display();
    if matches!(error, Error::Empty) {
        return make(py, intern!(py, "Empty"), format!("no frame waits in {path}"), |_| Ok(()));
    }
    let seen = py.detach(|| segment.inspect());
    let late = matches!(error, Error::Timeout);
    let message = match (sends, late) {
        (true, late) => {
            let (begin, hint) = if late {
                ("the time ran out: ", "take frames faster, let go of views")
            } else {
                ("", "wait with a timeout, take frames faster, let go of views")
            };
            let why = seen.why_full();
            format!("{begin}{path} is full: {why}; {hint}, or create it larger")
        }
        (false, _) => format!("no frame came to {path} in time: {}", seen.why_empty()),
    };
    let class = if late { intern!(py, "Timeout") } else { intern!(py, "Full") };
    make(py, class, message, |e| e.setattr("inspection", Inspection(seen)))
}

/// Another thread waits with a handle, and this one was not to wait for it.
#[cold]
pub(crate) fn busy(py: Python<'_>, sends: bool) -> PyErr {
    let (class, role) =
        if sends { (intern!(py, "Full"), "producer") } else { (intern!(py, "Empty"), "consumer") };
    let message =
        format!("another thread is waiting with this {role}: give a timeout to wait for it");
    make(py, class, message, |_| Ok(()))
}

/// The ring's error as an exception.
#[cold]
pub(crate) fn raise(py: Python<'_>, error: Error) -> PyErr {
    let message = error.to_string();
    let plain = |class| make(py, class, message.clone(), |_| Ok(()));
    match error {
        Error::Full => plain(intern!(py, "Full")),
        Error::Empty => plain(intern!(py, "Empty")),
        Error::Timeout => plain(intern!(py, "Timeout")),
        Error::Closed => plain(intern!(py, "Closed")),
        Error::Interrupted => plain(intern!(py, "Error")),
        Error::TooLarge { len, limit } => make(py, intern!(py, "TooLarge"), message, |e| {
            e.setattr("len", len)?;
            e.setattr("limit", limit)
        }),
        Error::Unacknowledged { limit } => {
            make(py, intern!(py, "Unacknowledged"), message, |e| e.setattr("limit", limit))
        }
        Error::ShareHeld { held, limit } => make(py, intern!(py, "ShareHeld"), message, |e| {
            e.setattr("held", held)?;
            e.setattr("limit", limit)
        }),
        Error::Acknowledged => plain(intern!(py, "Acknowledged")),
        Error::GivenBack => plain(intern!(py, "GivenBack")),
        Error::Forked { pid } => {
            make(py, intern!(py, "Forked"), message, |e| e.setattr("pid", pid))
        }
        Error::Corrupt { what, index, found } => make(py, intern!(py, "Corrupt"), message, |e| {
            e.setattr("what", what)?;
            e.setattr("index", index)?;
            e.setattr("found", found)
        }),
        Error::InvalidName { name, reason } => make(py, intern!(py, "InvalidName"), message, |e| {
            e.setattr("name", name)?;
            e.setattr("reason", reason)
        }),
        Error::InvalidOption { option, value, expected } => {
            make(py, intern!(py, "InvalidOption"), message, |e| {
                e.setattr("option", option)?;
                e.setattr("value", value)?;
                e.setattr("expected", expected)
            })
        }
        Error::NotFound { path, rings, .. } => make(py, intern!(py, "NotFound"), message, |e| {
            e.setattr("path", path.as_os_str())?;
            e.setattr("rings", rings)
        }),
        Error::Exists { path } => {
            make(py, intern!(py, "Exists"), message, |e| e.setattr("path", path.as_os_str()))
        }
        Error::Foreign { path, mismatch } => make(py, intern!(py, "Foreign"), message, |e| {
            e.setattr("path", path.as_os_str())?;
            e.setattr("field", mismatch.field)?;
            e.setattr("offset", mismatch.offset)?;
            e.setattr("expected", &mismatch.expected)?;
            e.setattr("found", &mismatch.found)?;
            e.setattr("hint", mismatch.hint)
        }),
        Error::NotOwner { path, owner, user } => make(py, intern!(py, "NotOwner"), message, |e| {
            e.setattr("path", path.as_os_str())?;
            e.setattr("owner", owner)?;
            e.setattr("user", user)
        }),
        Error::RoleTaken { role, pid } => make(py, intern!(py, "RoleTaken"), message, |e| {
            e.setattr("role", role)?;
            e.setattr("pid", pid)
        }),
        Error::TooManyParticipants { path } => {
            make(py, intern!(py, "TooManyParticipants"), message, |e| {
                e.setattr("path", path.as_os_str())
            })
        }
        Error::OutOfMemory { path, needed } => make(py, intern!(py, "OutOfMemory"), message, |e| {
            e.setattr("path", path.as_os_str())?;
            e.setattr("needed", needed)?;
            e.setattr("available", py.None())
        }),
        Error::TooLittleMemory { path, needed, available } => {
            make(py, intern!(py, "OutOfMemory"), message, |e| {
                e.setattr("path", path.as_os_str())?;
                e.setattr("needed", needed)?;
                e.setattr("available", available)
            })
        }
        Error::NoSchemas => plain(intern!(py, "NoSchemas")),
        Error::SchemasFull { limit } => {
            make(py, intern!(py, "SchemasFull"), message, |e| e.setattr("limit", limit))
        }
        Error::NoRoomForSchema { len, limit, .. } => {
            make(py, intern!(py, "NoRoomForSchema"), message, |e| {
                e.setattr("len", len)?;
                e.setattr("limit", limit)
            })
        }
        Error::SchemaTooLarge { len, limit } => {
            make(py, intern!(py, "SchemaTooLarge"), message, |e| {
                e.setattr("len", len)?;
                e.setattr("limit", limit)
            })
        }
        Error::SchemaConflict(conflict) => make(py, intern!(py, "SchemaConflict"), message, |e| {
            e.setattr("kind", conflict.kind)?;
            e.setattr("name", &conflict.name)?;
            e.setattr("version", conflict.version)?;
            e.setattr("id", conflict.id)
        }),
        Error::TooManyWanted { limit } => {
            make(py, intern!(py, "TooManyWanted"), message, |e| e.setattr("limit", limit))
        }
        Error::Os { operation, path, source } => make(py, intern!(py, "Refused"), message, |e| {
            e.setattr("operation", operation)?;
            e.setattr("path", path.as_os_str())?;
            e.setattr("errno", source.raw_os_error())
        }),
        // A kind that this binding is older than: its message says it all.
        _ => plain(intern!(py, "Error")),
    }
}

/// An object that can't be sent: where in it, what it is, what to do.
#[cold]
pub(crate) fn unsendable(py: Python<'_>, what: &str, path: &str, kind: &str, hint: &str) -> PyErr {
    let message = format!("{what}, at {path}; {hint}");
    make(py, intern!(py, "EncodeError"), message, |e| {
        e.setattr("what", what)?;
        e.setattr("path", path)?;
        e.setattr("type", kind)?;
        e.setattr("hint", hint)
    })
}

/// The codec's error of writing. `kind` is the type of what was written.
#[cold]
pub(crate) fn encode(py: Python<'_>, error: &EncodeError, kind: &str) -> PyErr {
    unsendable(py, &error.kind().to_string(), &error.path().to_string(), kind, error.hint())
}

/// The codec's error of reading. `kind` is the format of the frame.
#[cold]
pub(crate) fn decode(py: Python<'_>, error: &DecodeError, kind: &str) -> PyErr {
    make(py, intern!(py, "DecodeError"), error.to_string(), |e| {
        e.setattr("path", error.path().to_string())?;
        e.setattr("offset", error.offset())?;
        e.setattr("type", kind)?;
        e.setattr("hint", error.hint())
    })
}

/// What keeps a table from its schema, in Python's words.
#[cold]
pub(crate) fn schema(py: Python<'_>, error: &SchemaError) -> PyErr {
    let SchemaError { name, written, wanted, kind, .. } = error;
    let message = match kind {
        SchemaErrorKind::Breaking { found, .. } => format!("{found}, and say breaking=True"),
        SchemaErrorKind::TooOld { oldest, .. } => format!(
            "{name:?} of version {written} came, and {oldest} is the oldest that is read here; expect it with \
             oldest={written}, or have a newer version sent"
        ),
        _ => error.to_string(),
    };
    make(py, intern!(py, "SchemaError"), message, |e| {
        let fault = class(py, intern!(py, "SchemaFault"))?;
        let shown = |of: &Option<arrow_schema::DataType>| of.as_ref().map(ToString::to_string);
        let told = |found: &Fault| {
            fault.call1((&found.path, shown(&found.was), shown(&found.wants), found.reason.name()))
        };
        e.setattr("name", name)?;
        e.setattr("written", written)?;
        e.setattr("wanted", wanted)?;
        e.setattr("faults", error.faults().iter().map(told).collect::<PyResult<Vec<_>>>()?)?;
        e.setattr("migration", error.migration())
    })
}

/// A record that is not what was announced: where, what is there, what was announced, and the reason, as in faults.
#[cold]
pub(crate) fn misplaced(
    py: Python<'_>,
    message: String,
    (name, version): (&str, u32),
    (path, was, wants, reason): (&str, Option<&str>, Option<&str>, &str),
    hint: &str,
) -> PyErr {
    make(py, intern!(py, "SchemaError"), message, |e| {
        let fault = class(py, intern!(py, "SchemaFault"))?.call1((path, was, wants, reason))?;
        e.setattr("name", name)?;
        e.setattr("written", version)?;
        e.setattr("wanted", version)?;
        e.setattr("faults", [fault])?;
        e.setattr("migration", py.None())?;
        e.setattr("path", path)?;
        e.setattr("type", was)?;
        e.setattr("hint", hint)
    })
}

/// What was refused of a table, or of its schema.
#[cold]
pub(crate) fn typed(py: Python<'_>, error: slipring_frames::Error) -> PyErr {
    match error {
        slipring_frames::Error::Ring(error) => raise(py, error),
        slipring_frames::Error::Encode(error) => encode(py, &error, "arrow"),
        slipring_frames::Error::Decode(error) => decode(py, &error, "arrow"),
        slipring_frames::Error::Schema(error) => schema(py, &error),
        other => PyValueError::new_err(other.to_string()),
    }
}

/// Bytes that the codec read and Python can't hold.
#[cold]
pub(crate) fn undecodable(
    py: Python<'_>,
    class: &Bound<'_, PyString>,
    what: &str,
    path: &str,
    kind: &str,
    hint: &str,
) -> PyErr {
    make(py, class, format!("{what}, at {path}; {hint}"), |e| {
        e.setattr("path", path)?;
        e.setattr("type", kind)?;
        e.setattr("hint", hint)
    })
}

/// Frames that are no stream of tables: the consumer met others, or not all of them.
#[cold]
pub(crate) fn stream(py: Python<'_>, what: &str) -> PyErr {
    let hint = Misfit::HINT;
    make(py, intern!(py, "DecodeError"), format!("{what}; {hint}"), |e| {
        e.setattr("path", "$")?;
        e.setattr("type", "arrow")?;
        e.setattr("hint", hint)
    })
}

/// A place in a text: the line and the character in it, counted from 1, and the offset of all.
pub(crate) struct Place {
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) offset: usize,
}

/// A text that is no JSON.
#[cold]
pub(crate) fn malformed(py: Python<'_>, what: &str, path: &str, at: Place, hint: &str) -> PyErr {
    let Place { line, column, offset } = at;
    let message = format!("{what}: line {line}, column {column}, at {path}; {hint}");
    make(py, intern!(py, "DecodeError"), message, |e| {
        e.setattr("path", path)?;
        e.setattr("line", line)?;
        e.setattr("column", column)?;
        e.setattr("offset", offset)?;
        e.setattr("type", "json")?;
        e.setattr("hint", hint)
    })
}

/// Data that are not valid for a type; `messages` say what is wrong where.
#[cold]
pub(crate) fn validation(
    py: Python<'_>,
    messages: Bound<'_, PyAny>,
    target: &Bound<'_, PyAny>,
) -> PyErr {
    let made = class(py, intern!(py, "ValidationError"))
        .and_then(|class| class.call_method1(intern!(py, "_of"), (messages, target)));
    made.map_or_else(|error| error, PyErr::from_value)
}

/// A handle that was closed is used.
#[cold]
pub(crate) fn detached(py: Python<'_>, what: &str) -> PyErr {
    let message = format!("this {what} was closed: open the ring again to go on");
    make(py, intern!(py, "Detached"), message, |_| Ok(()))
}

/// A frame that was released is read.
#[cold]
pub(crate) fn released(py: Python<'_>) -> PyErr {
    let message = "this frame was released: read it, or take a view of it, before release()";
    make(py, intern!(py, "Released"), message.to_owned(), |_| Ok(()))
}

/// Something still refers to a reservation that is over.
#[cold]
pub(crate) fn escaped(what: &str) -> PyErr {
    PyBufferError::new_err(format!(
        "{what} still refers to the reservation, so that nothing was sent: \
         delete what was made from it (slices, views, further names) before leaving the with block"
    ))
}
