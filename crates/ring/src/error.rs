//! What can go wrong, as kinds that a program can tell apart.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Why an operation did not do what was asked.
///
/// [`Error::Full`], [`Error::Empty`], [`Error::Timeout`], [`Error::Closed`] and
/// [`Error::Interrupted`] are ordinary outcomes; the others tell of a mistake or a fault.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The ring has no vacant slot, or the pool no room for the frame; nothing was sent.
    /// [`Inspection::why_full`](crate::Inspection::why_full) says which, and whose turn it is.
    Full,
    /// No frame waits.
    Empty,
    /// The deadline passed first; nothing was sent or taken.
    Timeout,
    /// The ring was closed; for a consumer: and everything in it has been taken.
    Closed,
    /// The caller's own check asked to stop waiting.
    Interrupted,
    /// The frame can never fit, or the buffer offered for it is too small.
    TooLarge {
        /// Bytes of the body.
        len: u64,
        /// Bytes that would fit.
        limit: u64,
    },
    /// The consumer has taken so many frames and not acknowledged them; it gets no more until it does.
    Unacknowledged {
        /// How many.
        limit: u32,
    },
    /// This process holds its share of the pool in frames that it has taken; it gets no more until it lets go of some.
    ShareHeld {
        /// Bytes that it holds.
        held: u64,
        /// Bytes that it may hold.
        limit: u64,
    },
    /// The frame was acknowledged, and can't be given back.
    Acknowledged,
    /// The frame was given back, and can't be acknowledged: another consumer may have it.
    GivenBack,
    /// The frame needs memory that the pool has not been given yet, and the caller has said that
    /// this is not the time for it ([`Producer::may_back`](crate::Producer::may_back)).
    Unbacked,
    /// A handle was used in a child made by `fork`.
    Forked {
        /// The child.
        pid: u32,
    },
    /// A control word or descriptor in the segment holds what no participant writes.
    Corrupt {
        /// The kind of word.
        what: &'static str,
        /// Which one.
        index: u64,
        /// Its value.
        found: u64,
    },
    /// A ring's name is not one.
    InvalidName {
        /// As it was given.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// An option has a value that it can't have.
    InvalidOption {
        /// Its name.
        option: &'static str,
        /// As it was given.
        value: String,
        /// What it may be.
        expected: &'static str,
    },
    /// There is no such ring.
    NotFound {
        /// Where it was looked for.
        path: PathBuf,
        /// The names of the rings that there are.
        rings: Vec<String>,
        /// How long it was waited for.
        waited: Duration,
    },
    /// There is a ring of this name already.
    Exists {
        /// Where.
        path: PathBuf,
    },
    /// The file is not a segment that this version can use.
    Foreign {
        /// The file.
        path: PathBuf,
        /// The first thing about it that is wrong.
        mismatch: Box<Mismatch>,
    },
    /// The file belongs to another user.
    NotOwner {
        /// The file.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Who we are.
        user: u32,
    },
    /// The ring has its one producer or consumer already.
    RoleTaken {
        /// `"producer"` or `"consumer"`.
        role: &'static str,
        /// The process that has it.
        pid: u32,
    },
    /// All 255 places for processes are taken.
    TooManyParticipants {
        /// The segment.
        path: PathBuf,
    },
    /// The shared-memory file system or the disk has no room.
    OutOfMemory {
        /// The segment.
        path: PathBuf,
        /// Bytes that were asked for.
        needed: u64,
    },
    /// All the memory was asked for at once, and there is not so much.
    TooLittleMemory {
        /// The segment.
        path: PathBuf,
        /// Bytes that were asked for.
        needed: u64,
        /// Bytes that there are, in the machine or in the file system.
        available: u64,
    },
    /// The ring was made without a schema table, by an option or by an earlier version.
    NoSchemas,
    /// The schema table has no entry left.
    SchemasFull {
        /// Schemas that it holds.
        limit: u32,
    },
    /// There is no room left for a schema of this size.
    NoRoomForSchema {
        /// Bytes that it takes, with its name.
        len: u64,
        /// Bytes for all schemas of the ring.
        limit: u64,
        /// Others were adding schemas all the while, or are stopped at it: there may be room once they are
        /// done, or dead.
        adding: bool,
    },
    /// A schema of this size never fits.
    SchemaTooLarge {
        /// Bytes that it takes, with its name.
        len: u64,
        /// Bytes for all schemas of the ring.
        limit: u64,
    },
    /// There is another schema of this kind, name and version.
    SchemaConflict(Box<Conflict>),
    /// One process can say of so many names of schemas which versions it reads.
    TooManyWanted {
        /// How many.
        limit: u32,
    },
    /// The operating system refused.
    Os {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Its answer.
        source: std::io::Error,
    },
}

/// The first field of a segment's header that is not as it must be.
#[derive(Debug)]
pub struct Mismatch {
    /// Its name in `docs/segment-format.md`.
    pub field: &'static str,
    /// Its offset in the file, in bytes.
    pub offset: u64,
    /// What it must be.
    pub expected: String,
    /// What it is.
    pub found: String,
    /// What to do.
    pub hint: &'static str,
}

/// Two schemas of one kind, name and version.
#[derive(Debug)]
pub struct Conflict {
    /// What kind of schema they are.
    pub kind: u16,
    /// Their name.
    pub name: String,
    /// Their version.
    pub version: u16,
    /// Id of the one that is there.
    pub id: u32,
    /// Its length in bytes.
    pub there: u64,
    /// The length of the one that was to be added.
    pub given: u64,
    /// From which byte on they differ.
    pub differs_at: u64,
}

impl Error {
    pub(crate) fn os(
        operation: &'static str,
        path: impl Into<PathBuf>,
        source: impl Into<std::io::Error>,
    ) -> Self {
        Self::Os { operation, path: path.into(), source: source.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str(
                "the ring is full: wait with a deadline, take frames faster, or create it larger",
            ),
            Self::Empty => f.write_str("no frame waits in the ring"),
            Self::Timeout => f.write_str("the deadline passed before the ring was ready"),
            Self::Closed => f.write_str("the ring is closed"),
            Self::Interrupted => f.write_str("the wait was interrupted"),
            Self::TooLarge { len, limit } => write!(
                f,
                "a frame of {len} bytes does not fit, the limit is {limit} bytes: \
                 create the ring with a larger capacity or share, or send it in parts"
            ),
            Self::Unacknowledged { limit } => write!(
                f,
                "{limit} frames were taken and not acknowledged, which is this consumer's limit: \
                 acknowledge or give back some, or raise the limit"
            ),
            Self::ShareHeld { held, limit } => write!(
                f,
                "this process holds {held} bytes of the pool in frames that it has received, and may hold {limit}: \
                 acknowledge them, let go of them and of views into them, copy what is to be kept, or create the ring with a \
                 larger capacity or share"
            ),
            Self::Acknowledged => f.write_str(
                "the frame was acknowledged, maybe as it was taken, and can't be given back: give back before, as a consumer \
                 that acknowledges by hand",
            ),
            Self::GivenBack => f.write_str(
                "the frame was given back, by nack, by letting go of it, or because its consumer was closed: \
                 it is delivered again once it and its views are gone; acknowledge before, and keep \
                 the consumer as long as its frames",
            ),
            Self::Unbacked => f.write_str(
                "the frame needs fresh memory for the pool: send it where that may take its time",
            ),
            Self::Forked { pid } => write!(
                f,
                "process {pid} was forked and uses its parent's handle: open the ring anew in the child"
            ),
            Self::Corrupt { what, index, found } => write!(
                f,
                "{what} {index} of the segment holds {found:#x}, which no participant writes: \
                 a process wrote where it should not; unlink the ring and create it anew"
            ),
            Self::InvalidName { name, reason } => {
                write!(f, "{name:?} is no name for a ring: {reason}")
            }
            Self::InvalidOption { option, value, expected } => {
                write!(f, "option {option} is {value}, but must be {expected}")
            }
            Self::NotFound { path, rings, waited } => {
                write!(f, "no ring at {}", path.display())?;
                if !waited.is_zero() {
                    write!(f, " after {} s", waited.as_secs_f64())?;
                }
                match &rings[..] {
                    [] => f.write_str(": there are no rings yet; create it")?,
                    _ => {
                        let rings = rings.join(", ");
                        write!(f, "; there are: {rings}; open one of these, create it")?;
                    }
                }
                f.write_str(if waited.is_zero() { ", or wait for it" } else { ", or wait longer" })
            }
            Self::Exists { path } => {
                write!(f, "{} exists already: open it, or unlink it first", path.display())
            }
            Self::Foreign { path, mismatch: m } if m.field == "magic" => write!(
                f,
                "{}: {} (it begins with \"{}\", not with \"{}\")",
                path.display(),
                m.hint,
                m.found,
                m.expected
            ),
            Self::Foreign { path, mismatch: m } => write!(
                f,
                "{}: {} at offset {} is {}, expected {}: {}",
                path.display(),
                m.field,
                m.offset,
                m.found,
                m.expected,
                m.hint
            ),
            Self::NotOwner { path, owner, user } => write!(
                f,
                "{} belongs to user {owner}, this process runs as {user}: use a ring of your own",
                path.display()
            ),
            Self::RoleTaken { role, pid } if *pid == std::process::id() => {
                write!(
                    f,
                    "the ring's one {role} is in this very process, {pid}: close that one first, or create the \
                     ring in a mode for many, such as mpmc"
                )
            }
            Self::RoleTaken { role, pid } => write!(
                f,
                "the ring's one {role} is process {pid}, which lives: let it close its {role} or end, or create \
                 the ring in a mode for many, such as mpmc"
            ),
            Self::TooManyParticipants { path } => {
                write!(
                    f,
                    "{} has its 255 processes already: let one leave, or share a handle",
                    path.display()
                )
            }
            Self::OutOfMemory { path, needed } => write!(
                f,
                "no room for {needed} more bytes of {}: free some, or create a smaller ring",
                path.display()
            ),
            Self::TooLittleMemory { path, needed, available } => write!(
                f,
                "{} with all its memory at once takes {needed} bytes, and {available} are available: \
                 create it without populate, or smaller",
                path.display()
            ),
            Self::NoSchemas => f.write_str(
                "the ring has no schema table: it was created with schemas 0, or by an earlier version; \
                 create it anew",
            ),
            Self::SchemasFull { limit } => write!(
                f,
                "the ring's table holds {limit} schemas and has no entry left: schemas stay as long as \
                 the ring; create it with more (schemas), or send without a schema"
            ),
            Self::NoRoomForSchema { len, adding: true, .. } => write!(
                f,
                "no room for a schema of {len} bytes while other processes add theirs, which they are doing \
                 just now: try again; if one of them is stopped, let it go on or end it"
            ),
            Self::NoRoomForSchema { len, limit, .. } => write!(
                f,
                "no room for a schema of {len} bytes beside those that there are, {limit} bytes are \
                 theirs in all: create the ring with more (schemas), or send without a schema"
            ),
            Self::SchemaTooLarge { len, limit } => write!(
                f,
                "a schema of {len} bytes does not fit, {limit} bytes are for all schemas of the ring: \
                 create it with more (schemas), or send without a schema"
            ),
            Self::SchemaConflict(c) => write!(
                f,
                "version {} of schema {:?} (kind {}) is in the ring as schema {}, and is another one: it \
                 has {} bytes, this one {}, and they differ from byte {} on; give what changed a new version",
                c.version, c.name, c.kind, c.id, c.there, c.given, c.differs_at
            ),
            Self::TooManyWanted { limit } => write!(
                f,
                "this process has said of {limit} schemas which versions it reads, and can say it of no \
                 more: let go of one"
            ),
            Self::Os { operation, path, source } => {
                write!(f, "{operation} {}: {source}", path.display())
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Os { source, .. } => Some(source),
            _ => None,
        }
    }
}
