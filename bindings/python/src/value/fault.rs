//! Why an object can't go as a value, or a value can't become an object.

use super::stack;
use super::types::{Types, warn_lossy};
use crate::{error, pickle};
use pyo3::exceptions::{PyException, PyUnicodeEncodeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyString;
use slipring_codec::DecodeError;
use slipring_codec::error::{Path, Segment};
use slipring_codec::token::MAX_DEPTH;

/// What went wrong, and the way to it, gathered on the way out.
pub(crate) struct Fault {
    what: What,
    path: Path,
    /// The registered type whose fields it is in.
    registered: Option<String>,
}

enum What {
    Python(PyErr),
    /// An object that has no form: what is wrong with it, its type, and what to do.
    Refused {
        what: String,
        kind: String,
        hint: String,
        /// No other format is to be tried.
        by_all: bool,
        /// What raised.
        cause: Option<PyErr>,
        /// A registered type's decoder did.
        by_decoder: bool,
    },
    Codec(DecodeError),
    /// A pickle where none is loaded, and its begin.
    Untrusted(Vec<u8>),
}

const REGISTER: &str = "register its type with slipring.register";
const OR_PICKLE: &str = ", or send it with format=\"pickle\"";

pub(crate) type Outcome = Result<(), Box<Fault>>;

impl From<PyErr> for Box<Fault> {
    #[cold]
    fn from(error: PyErr) -> Self {
        Box::new(Fault { what: What::Python(error), path: Path::default(), registered: None })
    }
}

impl From<DecodeError> for Box<Fault> {
    #[cold]
    fn from(error: DecodeError) -> Self {
        Box::new(Fault { what: What::Codec(error), path: Path::default(), registered: None })
    }
}

pub(crate) fn type_name(object: &Bound<'_, PyAny>) -> String {
    let name = object.get_type().fully_qualified_name();
    name.map_or_else(|_| "unknown".into(), |name| name.to_string())
}

impl Fault {
    #[cold]
    pub(crate) fn refused(what: String, kind: String, hint: &str) -> Box<Self> {
        Self::refusing(what, kind, hint, false)
    }

    fn refusing(what: String, kind: String, hint: &str, by_all: bool) -> Box<Self> {
        let hint = hint.into();
        let what = What::Refused { what, kind, hint, by_all, cause: None, by_decoder: false };
        Box::new(Self { what, path: Path::default(), registered: None })
    }

    /// An exception, as a refusal where it says that an object can't be written.
    #[cold]
    pub(crate) fn refusal(py: Python<'_>, raised: PyErr) -> Box<Self> {
        let told = |name: &str| raised.value(py).getattr(name)?.extract::<String>();
        match (error::is_refusal(py, &raised), told("what"), told("type"), told("hint")) {
            (true, Ok(what), Ok(kind), Ok(hint)) => Self::refused(what, kind, &hint),
            _ => raised.into(),
        }
    }

    #[cold]
    pub(crate) fn unsupported(object: &Bound<'_, PyAny>) -> Box<Self> {
        let kind = type_name(object);
        let what = format!("an object of type {kind} has no form as a value");
        let types = Types::get(object.py());
        let is_member = types.is_ok_and(|types| {
            object.is_instance(types.enumeration.bind(object.py())).unwrap_or(false)
        });
        let member = if is_member { "send its .value, " } else { "" };
        Self::refused(what, kind, &format!("{member}{REGISTER}{OR_PICKLE}"))
    }

    #[cold]
    pub(crate) fn too_deep(object: &Bound<'_, PyAny>) -> Box<Self> {
        let what = format!("more than {MAX_DEPTH} containers inside each other");
        let hint = "flatten it, or look for one that contains itself";
        Self::refused(what, type_name(object), hint)
    }

    #[cold]
    pub(crate) fn changed(object: &Bound<'_, PyAny>) -> Box<Self> {
        let what = "a container changed while it was sent".to_owned();
        Self::by_all(what, type_name(object), "send a copy of what others change meanwhile")
    }

    /// Too deep for the thread's stack, of which other formats take as much.
    #[cold]
    pub(crate) fn short_of_stack(kind: String) -> Box<Self> {
        Self::by_all(stack::WHAT.to_owned(), kind, stack::HINT)
    }

    fn by_all(what: String, kind: String, hint: &str) -> Box<Self> {
        Self::refusing(what, kind, hint, true)
    }

    #[cold]
    pub(crate) fn untrusted(begin: Vec<u8>) -> Box<Self> {
        Box::new(Fault { what: What::Untrusted(begin), path: Path::default(), registered: None })
    }

    /// The exception that a text without UTF-8 has raised gives way to one with a path.
    #[cold]
    pub(crate) fn not_unicode(object: &Borrowed<'_, '_, PyAny>) -> Box<Self> {
        let py = object.py();
        match PyErr::take(py) {
            Some(raised) if !raised.is_instance_of::<PyUnicodeEncodeError>(py) => raised.into(),
            _ => {
                let what = "a lone surrogate is no Unicode text".to_owned();
                Self::refused(what, type_name(object), "send os.fsencode(it), or bytes")
            }
        }
    }

    /// What a decoder of others has raised. What is no mistake of its own, such as an interrupt, and what says itself that a frame
    /// can't be read stay as they are.
    #[cold]
    pub(crate) fn of_type(py: Python<'_>, raised: PyErr, name: &str, version: u64) -> Box<Self> {
        if error::is_decode_error(py, &raised) {
            return raised.into();
        }
        let who = format!("the decoder of {name} raised, given version {version}");
        let hint = "make the decode= that it was registered with read that version";
        let mut fault = Self::of_others(py, raised, &who, name, hint);
        if let What::Refused { by_decoder, .. } = &mut fault.what {
            *by_decoder = true;
        }
        fault
    }

    /// What a registered type's decoder has raised and what is said of that, or what one of its migrations has; with the way
    /// there, the nearest last. `None` of what is wrong with the bytes.
    #[cold]
    pub(crate) fn raised_by_type(&self, py: Python<'_>) -> Option<(&PyErr, String, Vec<Segment>)> {
        let (error, said) = match &self.what {
            What::Refused { by_decoder: true, cause: Some(cause), what, .. } => {
                (cause, what.clone())
            }
            What::Python(error) if error::is_failed_migration(py, error) => {
                (error, error.value(py).to_string())
            }
            _ => return None,
        };
        Some((error, said, self.path.segments().cloned().collect()))
    }

    /// What code of others has raised; an interrupt stays as it is.
    #[cold]
    pub(crate) fn of_others(
        py: Python<'_>,
        raised: PyErr,
        who: &str,
        kind: &str,
        hint: &str,
    ) -> Box<Self> {
        if !raised.is_instance_of::<PyException>(py) {
            return raised.into();
        }
        Self::refused_for(format!("{who}: {raised}"), kind, hint, raised)
    }

    #[cold]
    pub(crate) fn refused_for(what: String, kind: &str, hint: &str, raised: PyErr) -> Box<Self> {
        let mut fault = Self::refused(what, kind.to_owned(), hint);
        if let What::Refused { cause, .. } = &mut fault.what {
            *cause = Some(raised);
        }
        fault
    }

    /// The same, and another thing to do.
    #[cold]
    pub(crate) fn hinting(mut self: Box<Self>, other: &str) -> Box<Self> {
        if let What::Refused { hint, .. } = &mut self.what {
            *hint = other.into();
        }
        self
    }

    #[cold]
    pub(crate) fn within(mut self: Box<Self>, segment: Segment) -> Box<Self> {
        self.path.enclose(segment);
        self
    }

    /// Within what stands under this key of a dict.
    #[cold]
    pub(crate) fn under(self: Box<Self>, key: &Bound<'_, PyAny>) -> Box<Self> {
        let segment = match key.cast::<PyString>().map(|text| text.to_string_lossy().into_owned()) {
            Ok(text) => Segment::key(&text),
            Err(_) => {
                let short = key.repr().map_or_else(|_| "key".into(), |repr| repr.to_string());
                Segment::OtherKey(short.chars().take(48).collect::<String>().into())
            }
        };
        self.within(segment)
    }

    /// Within what the encoder of this object's type has made.
    #[cold]
    pub(crate) fn of_registered(mut self: Box<Self>, object: &Bound<'_, PyAny>) -> Box<Self> {
        self.registered.get_or_insert_with(|| type_name(object));
        self
    }

    /// Says that it goes as a pickle: to whoever logs `slipring` at DEBUG, where `warns` also by a warning.
    pub(crate) fn tell_pickled(&self, py: Python<'_>, warns: bool) -> PyResult<()> {
        self.warn_registered(py)?;
        if let What::Refused { what, kind, hint, .. } = &self.what {
            let warns = warns && self.registered.is_none();
            pickle::tell_chosen(py, kind, what, &self.path.to_string(), hint, warns)?;
        }
        Ok(())
    }

    /// Says so where a registered type goes in a pickle, without its name and version.
    fn warn_registered(&self, py: Python<'_>) -> PyResult<()> {
        let Some(kind) = &self.registered else { return Ok(()) };
        let what = format!(
            "what is registered for {kind} has no form as a value ({self}): it goes in a pickle, which \
             knows no name and no version; make its encode= give what has a form"
        );
        warn_lossy(py, &what)
    }

    /// Whether another format may hold what this one can't.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self.what, What::Refused { by_all: false, .. })
    }

    /// The same where there are no pickles, so that no hint tells of them.
    #[cold]
    pub(crate) fn without_pickles(mut self: Box<Self>) -> Box<Self> {
        if let What::Refused { hint, .. } = &mut self.what
            && hint.ends_with(OR_PICKLE)
        {
            hint.truncate(hint.len() - OR_PICKLE.len());
        }
        self
    }

    /// The same for who can't send it as a pickle: because that refused it, too, which `tried` says, or may not be.
    #[cold]
    pub(crate) fn unpickled(mut self: Box<Self>, py: Python<'_>, tried: Option<PyErr>) -> PyErr {
        let told = matches!(&self.what, What::Refused { hint, .. } if hint.ends_with(OR_PICKLE));
        self = self.without_pickles();
        if let What::Refused { what, hint, .. } = &mut self.what {
            match &tried {
                Some(_) => what.push_str(", and pickle can't hold it either"),
                None if told => hint.push_str("; this producer sends no pickles"),
                None => {}
            }
        }
        let error = self.encoding(py);
        error.set_cause(py, tried);
        error
    }

    /// As the exception of a value that can't be written.
    #[cold]
    pub(crate) fn encoding(self, py: Python<'_>) -> PyErr {
        let path = self.path.to_string();
        match self.what {
            What::Python(error) => error,
            What::Refused { what, kind, hint, .. } => {
                error::unsendable(py, &what, &path, &kind, &hint)
            }
            What::Codec(error) => error::decode(py, &error, "value"),
            What::Untrusted(begin) => pickle::untrusted(py, &path, &begin),
        }
    }

    /// As the exception of one that can't be read.
    #[cold]
    pub(crate) fn decoding(self, py: Python<'_>) -> PyErr {
        let Self { what, path, .. } = self;
        match what {
            What::Python(error) => error,
            What::Refused { what, kind, hint, cause, .. } => {
                let class = intern!(py, "DecodeError");
                let error = error::undecodable(py, class, &what, &path.to_string(), &kind, &hint);
                error.set_cause(py, cause);
                error
            }
            What::Codec(error) => {
                let mut outer: Vec<_> = path.segments().cloned().collect();
                outer.reverse();
                let error = outer.into_iter().fold(error, DecodeError::within);
                error::decode(py, &error, "value")
            }
            What::Untrusted(begin) => pickle::untrusted(py, &path.to_string(), &begin),
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.what {
            What::Python(error) => write!(f, "{error}, at {}", self.path),
            What::Refused { what, .. } => write!(f, "{what}, at {}", self.path),
            What::Codec(error) => write!(f, "{error}"),
            What::Untrusted(_) => write!(f, "a pickle, at {}", self.path),
        }
    }
}
