//! What can go wrong, as kinds that a program can tell apart.

use slipring_codec::{DecodeError, EncodeError, FORMAT_VERSION, Format};
use std::fmt;

/// Why something was not sent or read. What the ring and the codec say is passed on as it is.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The ring's word, ordinary outcomes such as [`Full`](slipring::Error::Full) included.
    Ring(slipring::Error),
    /// What was to be sent has no form in a frame.
    Encode(EncodeError),
    /// The frame's bytes are not what its header says.
    Decode(DecodeError),
    /// The frame is of another version of its format.
    #[non_exhaustive]
    Version {
        /// The frame's.
        found: u8,
    },
    /// The frame is well, and of another format than it was asked for as.
    #[non_exhaustive]
    OtherFormat {
        /// What was asked for.
        expected: &'static str,
        /// What it is.
        found: Format,
    },
    /// The array is well, and of another dtype than it was asked for as.
    #[non_exhaustive]
    OtherDtype {
        /// What was asked for.
        expected: String,
        /// What it is.
        found: String,
    },
    /// The data of an array to be sent has not as many elements as its shape.
    #[non_exhaustive]
    Shape {
        /// By the shape.
        expected: usize,
        /// There are.
        found: usize,
    },
    /// The frame's schema in the ring's table is not one of tables.
    #[non_exhaustive]
    OtherSchema {
        /// Its name.
        name: String,
        /// Its number.
        id: u32,
    },
    /// No schema of this name was announced on the ring.
    #[cfg(feature = "arrow")]
    #[non_exhaustive]
    NoSchema {
        /// The name.
        name: String,
    },
    /// The schema that a table is sent under is another ring's.
    #[cfg(feature = "arrow")]
    #[non_exhaustive]
    OtherRing {
        /// Its name.
        name: String,
        /// Its version.
        version: u16,
    },
    /// By its schema a table can't be sent, or not be read as what is expected; or the schema can't be announced.
    #[cfg(feature = "arrow")]
    Schema(Box<crate::SchemaError>),
    /// By its schema the table can be sent, or read as what is expected, and an element of it can't.
    #[cfg(feature = "arrow")]
    Apply(slipring_codec::evolution::ApplyError),
    /// A migration from a version that comes after all that are migrated, or from none.
    #[cfg(feature = "arrow")]
    #[non_exhaustive]
    Expectation {
        /// Of the schema.
        name: String,
        /// The version that the migration is from.
        from: u16,
        /// The version that is expected.
        version: u16,
    },
    /// arrow-rs refuses the columns: texts that are no UTF-8, nulls where the schema permits none.
    #[cfg(feature = "arrow")]
    Arrow(arrow_schema::ArrowError),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Ring(error) => error.fmt(f),
            Error::Encode(error) => error.fmt(f),
            Error::Decode(error) => error.fmt(f),
            Error::Version { found } => write!(
                f,
                "the frame is of version {found} of its format, this library reads \
                 {FORMAT_VERSION}; have both sides use one release"
            ),
            Error::OtherFormat { expected, found } => write!(
                f,
                "the frame is of format {found}, not {expected}; look at the format in its header \
                 before it is read"
            ),
            Error::OtherDtype { expected, found } => write!(
                f,
                "the array is of dtype {found}, not {expected}; ask for it as that, or for its \
                 descriptor and bytes"
            ),
            Error::Shape { expected, found } => {
                write!(f, "{found} elements, where the shape makes {expected}; reshape the array")
            }
            Error::OtherSchema { name, id } => write!(
                f,
                "the schema {name:?}, number {id}, is not of tables; the frame is damaged or was \
                 sent by a faulty program: send it again"
            ),
            #[cfg(feature = "arrow")]
            Error::NoSchema { name } => write!(
                f,
                "no schema {name:?} was announced on this ring: announce it, or wait for who does"
            ),
            #[cfg(feature = "arrow")]
            Error::OtherRing { name, version } => write!(
                f,
                "the schema {name:?}, version {version}, is not of this ring: announce it here"
            ),
            #[cfg(feature = "arrow")]
            Error::Schema(error) => error.fmt(f),
            #[cfg(feature = "arrow")]
            Error::Apply(error) => error.fmt(f),
            #[cfg(feature = "arrow")]
            Error::Expectation { name, from, version } => write!(
                f,
                "a migration of {name:?} from version {from}, where version {version} is expected; \
                 give one from a version before that, 1 at least"
            ),
            #[cfg(feature = "arrow")]
            Error::Arrow(error) => write!(f, "the columns can't be used: {error}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Ring(error) => Some(error),
            Error::Encode(error) => Some(error),
            Error::Decode(error) => Some(error),
            #[cfg(feature = "arrow")]
            Error::Schema(error) => Some(error),
            #[cfg(feature = "arrow")]
            Error::Apply(error) => Some(error),
            #[cfg(feature = "arrow")]
            Error::Arrow(error) => Some(error),
            _ => None,
        }
    }
}

impl From<slipring::Error> for Error {
    fn from(error: slipring::Error) -> Self {
        Error::Ring(error)
    }
}

impl From<EncodeError> for Error {
    fn from(error: EncodeError) -> Self {
        Error::Encode(error)
    }
}

impl From<DecodeError> for Error {
    fn from(error: DecodeError) -> Self {
        Error::Decode(error)
    }
}

#[cfg(feature = "arrow")]
impl From<arrow_schema::ArrowError> for Error {
    fn from(error: arrow_schema::ArrowError) -> Self {
        Error::Arrow(error)
    }
}

#[cfg(feature = "arrow")]
impl From<crate::SchemaError> for Error {
    fn from(error: crate::SchemaError) -> Self {
        Error::Schema(Box::new(error))
    }
}
