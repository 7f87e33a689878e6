//! Errors as terms: `{reason, message, path, expected, got, hint, offset}`, of which `Slipring.Error` is
//! made. Of a text the offset is `{offset, line, column}`.

use crate::atoms;
use rustler::{Atom, Encoder, Env, Term};
use slipring::{Error, SchemaId};
use slipring_codec::evolution::ApplyError;
use slipring_codec::{DecodeError, EncodeError};
use slipring_frames::{Misfit, SchemaError, SchemaErrorKind};
use std::borrow::Cow;

mod reasons {
    rustler::atoms! {
        full, empty, timeout, closed, too_large, corrupt, invalid_name, invalid_option, not_found,
        exists, foreign, not_owner, role_taken, too_many_participants, out_of_memory, os, encode,
        decode, untrusted_pickle, released, unsupported_type, unacknowledged, share_held, acknowledged, given_back, detached, active, no_process, not_controlling, no_schemas, schemas_full, no_room_for_schema,
        schema_too_large, schema_conflict, schema, too_many_wanted, other,
    }
}

/// A fact about an error.
pub(crate) enum Fact {
    None,
    Number(u64),
    Text(String),
    Names(Vec<String>),
}

impl Encoder for Fact {
    fn encode<'a>(&self, env: Env<'a>) -> Term<'a> {
        match self {
            Self::None => atoms::nil().encode(env),
            Self::Number(number) => number.encode(env),
            Self::Text(text) => text.encode(env),
            Self::Names(names) => names.encode(env),
        }
    }
}

/// Why a function did not do what was asked.
pub(crate) struct Fault(Box<Facts>);

struct Facts {
    reason: Atom,
    message: String,
    /// Of a file, or within a value.
    path: Option<String>,
    expected: Fact,
    got: Fact,
    hint: Option<Cow<'static, str>>,
    /// Within what was decoded, in bytes.
    offset: Option<usize>,
    /// Line and column, of a text.
    place: Option<(usize, usize)>,
}

impl Fault {
    /// What was wrong and what to do, without the place: of a fault that is one part's of something larger.
    pub(crate) fn within_value(self) -> (String, String, String) {
        let Facts { message, path, hint, .. } = *self.0;
        let path = path.unwrap_or_default();
        let hint = hint.unwrap_or_default().into_owned();
        let end = format!(", at {path}; {hint}");
        let what = message.strip_suffix(&end).unwrap_or(&message).to_owned();
        (what, path, hint)
    }
}

impl Encoder for Fault {
    fn encode<'a>(&self, env: Env<'a>) -> Term<'a> {
        let Facts { reason, message, path, expected, got, hint, offset, place } = &*self.0;
        let offset = match place {
            Some((line, column)) => (offset, line, column).encode(env),
            None => offset.encode(env),
        };
        (reason, message, path, expected, got, hint.as_deref(), offset).encode(env)
    }
}

impl Fault {
    fn new(reason: Atom, message: impl Into<String>) -> Self {
        let (path, expected, got) = (None, Fact::None, Fact::None);
        let (message, hint, offset, place) = (message.into(), None, None, None);
        Self(Box::new(Facts { reason, message, path, expected, got, hint, offset, place }))
    }

    fn path(mut self, path: impl std::fmt::Display) -> Self {
        self.0.path = Some(path.to_string());
        self
    }

    fn facts(mut self, expected: Fact, got: Fact) -> Self {
        (self.0.expected, self.0.got) = (expected, got);
        self
    }

    fn hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    fn offset(mut self, offset: usize) -> Self {
        self.0.offset = Some(offset);
        self
    }

    /// Of a text, where in it.
    pub(crate) fn place(mut self, line: usize, column: usize) -> Self {
        self.0.place = Some((line, column));
        self
    }

    /// A handle that was closed, or whose owner is gone.
    pub(crate) fn detached() -> Self {
        Self::new(reasons::detached(), "this handle was closed, or its owner has ended")
            .hint("open the ring again; handles end with the process that made them")
    }

    /// A consumer that sends messages is asked for frames.
    pub(crate) fn active() -> Self {
        Self::new(reasons::active(), "this consumer is active: its frames come as messages")
            .hint("call Slipring.active(consumer, false) first")
    }

    /// A frame that was released is read.
    pub(crate) fn released() -> Self {
        Self::new(reasons::released(), "this frame was released")
            .hint("take what you need of it before Slipring.Frame.release/1")
    }

    /// A frame that waits to be delivered again is read.
    pub(crate) fn given_back() -> Self {
        Self::new(
            reasons::given_back(),
            "this frame was given back, by nack/1, by release/1 without ack/1, or with its consumer",
        )
        .hint("take what you need of it before")
    }

    pub(crate) fn no_process() -> Self {
        Self::new(reasons::no_process(), "the process that is to own the handle does not live")
    }

    pub(crate) fn not_controlling() -> Self {
        Self::new(reasons::not_controlling(), "the caller does not own this handle")
            .hint("let the owner call it")
    }

    /// A term that can't be sent: where, what it is, what to do.
    pub(crate) fn unsendable(what: &str, path: &str, kind: &str, hint: &'static str) -> Self {
        Self::new(reasons::encode(), format!("{what}, at {path}; {hint}"))
            .path(path)
            .facts(Fact::None, Fact::Text(kind.into()))
            .hint(hint)
    }

    /// A value of which a part can't be sent, by its type or for another reason.
    pub(crate) fn unsendable_value(
        unsupported: bool,
        what: &str,
        path: &str,
        kind: &str,
        hint: &str,
    ) -> Self {
        let reason = if unsupported { reasons::unsupported_type() } else { reasons::encode() };
        Self::new(reason, format!("{what}, at {path}; {hint}"))
            .path(path)
            .facts(Fact::None, Fact::Text(kind.into()))
            .hint(hint.to_owned())
    }

    /// A struct that is no column or table: what, and where.
    pub(crate) fn no_column(what: &str, path: &str) -> Self {
        let hint = "make columns and tables by the functions of their modules";
        Self::new(reasons::encode(), format!("{what}, at {path}; {hint}")).path(path).hint(hint)
    }

    /// An element of a column that can't be read.
    pub(crate) fn table(what: &str, path: &str, hint: &'static str) -> Self {
        Self::new(reasons::decode(), format!("{what}, at {path}; {hint}")).path(path).hint(hint)
    }

    /// Bytes that are no value.
    pub(crate) fn undecodable(what: &str, path: &str, offset: usize, hint: &'static str) -> Self {
        Self::new(reasons::decode(), format!("{what}, at {path} (offset {offset}); {hint}"))
            .path(path)
            .offset(offset)
            .hint(hint)
    }

    /// The Elixir part gives what this part does not take.
    pub(crate) fn other_library() -> Self {
        Self::new(reasons::other(), "the library's two parts are of different versions")
            .hint("build it again")
    }

    pub(crate) fn no_binary() -> Self {
        Self::new(reasons::decode(), "what is to be decoded is no binary").path("$")
    }

    /// A frame that is no part of the stream of tables that is read.
    pub(crate) fn stream(misfit: &Misfit) -> Self {
        Self::new(reasons::decode(), misfit.to_string()).hint(Misfit::HINT)
    }

    pub(crate) fn other_version(version: u8) -> Self {
        let hint = "the sender may be newer or older: bring both to one version";
        Self::new(reasons::decode(), format!("the frame is of format version {version}; {hint}"))
            .path("$.format_version")
            .facts(
                Fact::Number(slipring_codec::FORMAT_VERSION.into()),
                Fact::Number(version.into()),
            )
            .hint(hint)
    }

    /// A frame of a table names a schema that can't be its.
    pub(crate) fn wrong_schema(what: &str, id: SchemaId) -> Self {
        let hint = "the frame is damaged or was sent by a faulty program: send it again";
        Self::new(reasons::decode(), format!("{what}, at $.schema_id; {hint}"))
            .path("$.schema_id")
            .facts(Fact::None, Fact::Number(id.get().into()))
            .hint(hint)
    }

    /// A schema that another one can't follow, or that a table does not suit: the column, and the versions that were
    /// written and wanted.
    pub(crate) fn schema(
        told: String,
        column: &str,
        (written, wanted): (u32, u32),
        hint: String,
    ) -> Self {
        let dot = if column.is_empty() { "" } else { "." };
        Self::new(reasons::schema(), told)
            .path(format_args!("$.columns{dot}{column}"))
            .facts(Fact::Number(wanted.into()), Fact::Number(written.into()))
            .hint(hint)
    }

    /// What keeps a table from its schema, in Elixir's words.
    pub(crate) fn of_schema(error: &SchemaError) -> Self {
        let written = error.written;
        let told = match &error.kind {
            SchemaErrorKind::Breaking { found, .. } => format!("{found}, and say breaking: true"),
            SchemaErrorKind::TooOld { oldest, .. } => format!(
                "{:?} of version {written} came, and {oldest} is the oldest that is read here; \
                 expect it with oldest: {written}, or have a newer version sent",
                error.name
            ),
            _ => error.to_string(),
        };
        let hint = told.rsplit_once("; ").map_or("", |(_, hint)| hint).to_owned();
        let versions = (written, error.wanted);
        Self::schema(told, error.column().unwrap_or_default(), versions, hint)
    }

    /// A table that can't be read as what is expected, though its schema can.
    pub(crate) fn beyond(refused: &ApplyError) -> Self {
        let dot = if refused.path.is_empty() { "" } else { "." };
        Self::new(reasons::decode(), refused.to_string())
            .path(format_args!("$.columns{dot}{}", refused.path))
            .hint(refused.kind.hint())
    }

    /// A table is to be sent under a schema that the ring has not.
    pub(crate) fn no_schema(name: &str, told: String) -> Self {
        let hint = "give what Slipring.announce/4 on this ring has answered";
        Self::new(reasons::schema(), format!("{told}; {hint}")).path(name).hint(hint)
    }

    pub(crate) fn pickle() -> Self {
        let hint = "a pickle is code of Python's: have the sender say format=\"value\", which names what is no value";
        Self::new(reasons::untrusted_pickle(), format!("a pickle arrived; {hint}"))
            .path("$.format")
            .hint(hint)
    }

    /// A value that arrived and has no term.
    pub(crate) fn unreadable(what: String, path: &str) -> Self {
        let hint = "the sender may be newer: send plain values, or upgrade this side";
        Self::new(reasons::decode(), format!("{what}, at {path}; {hint}")).path(path).hint(hint)
    }
}

impl From<slipring_frames::Error> for Fault {
    fn from(error: slipring_frames::Error) -> Self {
        match error {
            slipring_frames::Error::Ring(error) => error.into(),
            slipring_frames::Error::Encode(error) => error.into(),
            slipring_frames::Error::Decode(error) => error.into(),
            slipring_frames::Error::Schema(error) => Self::of_schema(&error),
            slipring_frames::Error::Apply(error) => Self::beyond(&error),
            other => Self::new(reasons::other(), other.to_string()),
        }
    }
}

impl From<SchemaError> for Fault {
    fn from(error: SchemaError) -> Self {
        Self::of_schema(&error)
    }
}

impl From<EncodeError> for Fault {
    fn from(error: EncodeError) -> Self {
        Self::new(reasons::encode(), error.to_string()).path(error.path()).hint(error.hint())
    }
}

impl Fault {
    /// What is no JSON, with what to do about it in Elixir.
    pub(crate) fn no_json(error: DecodeError, hint: &'static str) -> Self {
        let told = error.to_string().replace(error.hint(), hint);
        let mut fault = Self::from(error).hint(hint);
        fault.0.message = told;
        fault
    }
}

impl From<DecodeError> for Fault {
    fn from(error: DecodeError) -> Self {
        Self::new(reasons::decode(), error.to_string())
            .path(error.path())
            .offset(error.offset())
            .hint(error.hint())
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        let fault = |reason| Self::new(reason, message);
        match error {
            Error::Full => fault(reasons::full()),
            Error::Empty => fault(reasons::empty()),
            Error::Timeout => fault(reasons::timeout()),
            Error::Closed => fault(reasons::closed()),
            Error::TooLarge { len, limit } => {
                fault(reasons::too_large()).facts(Fact::Number(limit), Fact::Number(len))
            }
            Error::Unacknowledged { limit } => {
                fault(reasons::unacknowledged()).facts(Fact::Number(limit.into()), Fact::None)
            }
            Error::ShareHeld { held, limit } => {
                fault(reasons::share_held()).facts(Fact::Number(limit), Fact::Number(held))
            }
            Error::Acknowledged => fault(reasons::acknowledged()),
            Error::GivenBack => fault(reasons::given_back()),
            Error::Corrupt { what, index, found } => fault(reasons::corrupt())
                .path(format_args!("{what} {index}"))
                .facts(Fact::None, Fact::Number(found)),
            Error::InvalidName { name, reason } => {
                fault(reasons::invalid_name()).facts(Fact::Text(reason.into()), Fact::Text(name))
            }
            Error::InvalidOption { option, value, expected } => fault(reasons::invalid_option())
                .path(option)
                .facts(Fact::Text(expected.into()), Fact::Text(value)),
            Error::NotFound { path, rings, .. } => fault(reasons::not_found())
                .path(path.display())
                .facts(Fact::Names(rings), Fact::None),
            Error::Exists { path } => fault(reasons::exists()).path(path.display()),
            Error::Foreign { path, mismatch } => fault(reasons::foreign())
                .path(path.display())
                .facts(Fact::Text(mismatch.expected), Fact::Text(mismatch.found))
                .hint(mismatch.hint),
            Error::NotOwner { path, owner, user } => fault(reasons::not_owner())
                .path(path.display())
                .facts(Fact::Number(user.into()), Fact::Number(owner.into())),
            Error::RoleTaken { pid, .. } => {
                fault(reasons::role_taken()).facts(Fact::None, Fact::Number(pid.into()))
            }
            Error::TooManyParticipants { path } => {
                fault(reasons::too_many_participants()).path(path.display())
            }
            Error::OutOfMemory { path, needed } => fault(reasons::out_of_memory())
                .path(path.display())
                .facts(Fact::Number(needed), Fact::None),
            Error::TooLittleMemory { path, needed, available } => fault(reasons::out_of_memory())
                .path(path.display())
                .facts(Fact::Number(available), Fact::Number(needed)),
            Error::NoSchemas => fault(reasons::no_schemas()),
            Error::SchemasFull { limit } => {
                fault(reasons::schemas_full()).facts(Fact::Number(limit.into()), Fact::None)
            }
            Error::NoRoomForSchema { len, limit, .. } => {
                fault(reasons::no_room_for_schema()).facts(Fact::Number(limit), Fact::Number(len))
            }
            Error::SchemaTooLarge { len, limit } => {
                fault(reasons::schema_too_large()).facts(Fact::Number(limit), Fact::Number(len))
            }
            Error::SchemaConflict(conflict) => {
                fault(reasons::schema_conflict()).path(&conflict.name)
            }
            Error::TooManyWanted { limit } => {
                fault(reasons::too_many_wanted()).facts(Fact::Number(limit.into()), Fact::None)
            }
            Error::Os { path, .. } => fault(reasons::os()).path(path.display()),
            // Kinds that this binding is older than, or that the BEAM can't meet.
            _ => fault(reasons::other()),
        }
    }
}

/// `{:error, fault}`, or the term.
pub(crate) fn answer<'a>(env: Env<'a>, outcome: Result<Term<'a>, Fault>) -> Term<'a> {
    outcome.unwrap_or_else(|fault| (atoms::error(), fault).encode(env))
}
