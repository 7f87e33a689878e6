//! Errors of writing.

use std::fmt;

use super::{ArrowFault, DtypeFault, Path, Segment};

/// Something that can't be written: what, and on which path of the value.
///
/// ```
/// use slipring_codec::{EncodeErrorKind, Value};
///
/// let error = Value::Array(vec![Value::Null, Value::Int(1 << 64)]).to_vec().unwrap_err();
/// assert!(matches!(error.kind(), EncodeErrorKind::IntegerRange { value, .. } if value == 1 << 64));
/// assert_eq!(error.path().to_string(), "$[1]");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodeError(Box<Fault>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Fault {
    kind: EncodeErrorKind,
    path: Path,
}

/// What an [`EncodeError`] is about. Lengths are in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodeErrorKind {
    /// The slice is too small for what was encoded into it.
    #[non_exhaustive]
    NoSpace {
        /// Bytes that the encoding takes.
        needed: usize,
        /// Bytes that the slice has.
        available: usize,
    },
    /// The body to write into has another length than the plan.
    #[non_exhaustive]
    BodyLength {
        /// The length of the plan.
        planned: usize,
        /// The length of the body.
        found: usize,
    },
    /// A body that no memory could hold.
    BodyTooLarge,
    /// More out-of-line buffers than a part table can count.
    #[non_exhaustive]
    TooManyBuffers {
        /// The number given.
        found: usize,
        /// The most there may be.
        limit: usize,
    },
    /// Metadata that is no CBOR map, or has other keys than texts.
    MetaNotMap,
    /// An integer beyond -2^64 to 2^64 - 1.
    #[non_exhaustive]
    IntegerRange {
        /// The integer.
        value: i128,
    },
    /// Containers and tags nest deeper than the limit.
    #[non_exhaustive]
    TooDeep {
        /// The limit.
        limit: usize,
    },
    /// A map holds the same key twice.
    DuplicateKey,
    /// More dimensions than an array can have.
    #[non_exhaustive]
    TooManyDimensions {
        /// The number given.
        found: usize,
        /// The most there may be.
        limit: usize,
    },
    /// A shape whose size in bytes does not fit in memory.
    ShapeOverflow,
    /// A dtype that is none of the numeric ones.
    DtypeUnknown,
    /// A dtype that can't be described.
    #[non_exhaustive]
    DtypeDescription {
        /// What is wrong with it.
        fault: DtypeFault,
    },
    /// A table that can't be written.
    #[non_exhaustive]
    Arrow {
        /// What is wrong with it.
        fault: ArrowFault,
    },
    /// The number of a buffer, in a value whose frame has no such buffer yet.
    #[non_exhaustive]
    BufferUnknown {
        /// The number.
        number: i128,
    },
    /// What has no form in JSON.
    #[non_exhaustive]
    NoJson {
        /// What it is.
        what: &'static str,
    },
}

impl EncodeError {
    #[cold]
    pub(crate) fn new(kind: EncodeErrorKind) -> Self {
        EncodeError(Box::new(Fault { kind, path: Path::default() }))
    }

    /// What went wrong.
    pub fn kind(&self) -> EncodeErrorKind {
        self.0.kind
    }

    /// The way to the place in the value, from the root.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// What to do about it, in one sentence without a full stop.
    pub fn hint(&self) -> &'static str {
        use EncodeErrorKind::*;
        match self.0.kind {
            NoSpace { .. } => "give a slice of at least that length",
            BodyLength { .. } => "reserve exactly body_len() bytes of the plan",
            BodyTooLarge | ShapeOverflow | TooManyBuffers { .. } => "send it in pieces",
            MetaNotMap => "encode the metadata as one map with text keys",
            IntegerRange { .. } => "send it as text or as bytes",
            TooDeep { .. } => "flatten the value, or look for one that contains itself",
            DuplicateKey => "give each key once",
            TooManyDimensions { .. } => "reshape the array",
            DtypeDescription { fault } => fault.hint(),
            Arrow { fault } => fault.write_hint(),
            BufferUnknown { .. } => "put the bytes themselves in its place",
            NoJson { .. } => "send it as text or as a number, or the whole as a value",
            DtypeUnknown => {
                "use b1, i1 to i8, u1 to u8, f2, f4, f8, c8 or c16, with < or > for the byte order"
            }
        }
    }

    /// Puts the path under one more step. Called on the way out, innermost first.
    pub(crate) fn within(mut self, segment: Segment) -> Self {
        self.0.path.enclose(segment);
        self
    }
}

impl fmt::Display for EncodeErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use EncodeErrorKind::*;
        match *self {
            NoSpace { needed, available } => {
                write!(f, "the encoding takes {needed} bytes, the slice has {available}")
            }
            BodyLength { planned, found } => {
                write!(f, "{planned} bytes were planned, the body has {found}")
            }
            TooManyBuffers { found, limit } => {
                write!(f, "{found} buffers, at most {limit} are possible")
            }
            BodyTooLarge => f.write_str("the body is larger than any memory"),
            MetaNotMap => f.write_str("the metadata is not a map of texts"),
            IntegerRange { value } => {
                write!(f, "the integer {value} is not within -2^64 and 2^64 - 1")
            }
            TooDeep { limit } => write!(f, "more than {limit} containers inside each other"),
            DuplicateKey => f.write_str("a map holds this key twice"),
            TooManyDimensions { found, limit } => {
                write!(f, "{found} dimensions, at most {limit} are possible")
            }
            ShapeOverflow => f.write_str("the size of the shape in bytes overflows"),
            DtypeDescription { fault } => fault.fmt(f),
            Arrow { fault } => fault.fmt(f),
            BufferUnknown { number } => write!(f, "there is no buffer {number} yet"),
            NoJson { what } => write!(f, "{what} has no form in JSON"),
            DtypeUnknown => f.write_str("the dtype is not a numeric one"),
        }
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fault { kind, path } = &*self.0;
        write!(f, "{kind}, at {path}; {}", self.hint())
    }
}

impl std::error::Error for EncodeError {}
