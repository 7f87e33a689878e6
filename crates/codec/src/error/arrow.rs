//! What can be wrong with a table, written or read.

use std::fmt;

/// What is wrong with a table. Lengths are in bytes, indices count elements from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ArrowFault {
    /// No encapsulated message stands where one should, or its flatbuffer is not one.
    Message,
    /// A message of a kind that can't stand there.
    MessageKind,
    /// Metadata of another version than 5.
    #[non_exhaustive]
    MetadataVersion {
        /// The version found, as Arrow counts them: 0 is version 1.
        found: i16,
    },
    /// There is no schema, neither in the frame nor given.
    SchemaMissing,
    /// There is a schema in the frame, where its id names one of the segment's.
    SchemaTwice,
    /// A schema whose buffers are big-endian.
    BigEndian,
    /// A type that this version does not know, or that contradicts itself.
    TypeUnknown,
    /// A column of another type than the schema says.
    TypeMismatch,
    /// Types nest deeper than the limit.
    #[non_exhaustive]
    TooDeep {
        /// The limit.
        limit: usize,
    },
    /// The buffers of a batch are compressed.
    Compressed,
    /// A dictionary that adds to the one before.
    DictionaryDelta,
    /// A dictionary that no message holds.
    #[non_exhaustive]
    DictionaryMissing {
        /// Its id.
        id: i64,
    },
    /// A dictionary's values are of another type than the field that names it has.
    #[non_exhaustive]
    DictionaryType {
        /// Its id.
        id: i64,
    },
    /// A batch has more or fewer arrays, buffers or columns than its schema asks for.
    Count,
    /// The body of a message has another length than the message says, or is not there.
    #[non_exhaustive]
    BodyLength {
        /// What the message says.
        expected: u64,
        /// Its length; 0 where there is none.
        found: u64,
    },
    /// A buffer that reaches beyond the body of its message.
    #[non_exhaustive]
    BufferOutside {
        /// Where the message says that it begins.
        offset: i64,
        /// How long the message says that it is.
        length: i64,
        /// The length of the body.
        body_len: u64,
    },
    /// A buffer whose offset is not a multiple of 8.
    #[non_exhaustive]
    BufferMisaligned {
        /// Its offset in the body of the message.
        offset: i64,
    },
    /// A buffer that is too short for the elements of its array.
    #[non_exhaustive]
    BufferLength {
        /// Bytes that they take.
        needed: u64,
        /// Bytes that there are.
        found: u64,
    },
    /// An array with another number of elements than the one around it asks for.
    #[non_exhaustive]
    Length {
        /// What is asked for.
        expected: u64,
        /// What the array has.
        found: i64,
    },
    /// A count of nulls that is not that of the validity bitmap.
    #[non_exhaustive]
    NullCount {
        /// The count that is claimed.
        claimed: i64,
        /// The zeros of the bitmap.
        found: u64,
    },
    /// An offset or size that is less than the one ahead of it, or reaches beyond what it points to.
    #[non_exhaustive]
    Offset {
        /// Which one.
        index: u64,
        /// What it says.
        found: i64,
        /// How far it may reach.
        limit: u64,
    },
    /// An index of a dictionary that has no such value.
    #[non_exhaustive]
    DictionaryIndex {
        /// Which one.
        index: u64,
        /// What it says.
        found: i128,
        /// Values of the dictionary.
        limit: u64,
    },
    /// A run that does not end after the one ahead, or the last one that ends early.
    #[non_exhaustive]
    RunEnd {
        /// Which one.
        index: u64,
        /// Where it ends.
        found: i64,
    },
    /// An element of a union whose type is none of the union's.
    #[non_exhaustive]
    TypeId {
        /// Which one.
        index: u64,
        /// The type id found.
        found: i8,
    },
    /// A view of bytes that are not there, or whose prefix is not theirs.
    #[non_exhaustive]
    View {
        /// Which one.
        index: u64,
    },
    /// Text that is not UTF-8.
    #[non_exhaustive]
    Utf8 {
        /// Which element, or the first of those among which it is.
        index: u64,
    },
    /// The rows of a batch themselves are null.
    NullRows,
    /// A dictionary whose values are a dictionary: a field of Arrow's messages names one dictionary.
    DictionaryOfDictionary,
}

impl ArrowFault {
    /// What to do where it was read.
    pub(super) const fn read_hint(self) -> &'static str {
        match self {
            ArrowFault::SchemaMissing => "give the schema that the frame's schema id names",
            ArrowFault::SchemaTwice => "read it without a schema of the segment",
            ArrowFault::Compressed => "send the buffers uncompressed",
            ArrowFault::DictionaryDelta => "send whole dictionaries",
            ArrowFault::BigEndian => "send it little-endian",
            ArrowFault::MetadataVersion { .. } => "write it with Arrow 1.0 or newer",
            ArrowFault::TypeUnknown => {
                "the sender may be newer: upgrade this side, or send types that both know"
            }
            ArrowFault::TooDeep { .. } => "flatten the columns on the side that sends them",
            _ => "the frame is damaged or was written by a faulty encoder: send it again",
        }
    }

    /// What to do where it was to be written.
    pub(super) const fn write_hint(self) -> &'static str {
        match self {
            ArrowFault::TooDeep { .. } => "flatten the columns",
            ArrowFault::TypeMismatch | ArrowFault::Count => {
                "give each batch the columns of the schema"
            }
            ArrowFault::TypeUnknown => "cast the column to a type of Arrow's columnar format",
            ArrowFault::DictionaryOfDictionary => {
                "cast the column to a dictionary of plain values, or to the values themselves"
            }
            ArrowFault::NullRows => "send the columns, or put the struct into a column of its own",
            _ => "the library that made the array broke Arrow's rules: let it validate the array",
        }
    }
}

impl fmt::Display for ArrowFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use ArrowFault::*;
        match *self {
            Message => f.write_str("no Arrow message stands here"),
            MessageKind => f.write_str("an Arrow message of a kind that can't stand here"),
            MetadataVersion { found } => {
                write!(
                    f,
                    "Arrow metadata of version {}, where only 5 is read",
                    i32::from(found) + 1
                )
            }
            SchemaMissing => f.write_str("there is no schema"),
            SchemaTwice => f.write_str("the frame has a schema, and its id names another"),
            BigEndian => f.write_str("the buffers are big-endian"),
            TypeUnknown => f.write_str("the type is unknown or contradicts itself"),
            TypeMismatch => f.write_str("the column is of another type than the schema says"),
            TooDeep { limit } => write!(f, "more than {limit} types inside each other"),
            Compressed => f.write_str("the buffers are compressed, and could not be read in place"),
            DictionaryDelta => f.write_str("a dictionary adds to the one before"),
            DictionaryMissing { id } => write!(f, "there is no dictionary {id}"),
            DictionaryType { id } => {
                write!(f, "the values of dictionary {id} are of another type than the field's")
            }
            Count => f.write_str("a batch has other arrays or buffers than its schema asks for"),
            BodyLength { expected, found } => {
                write!(f, "a message has a body of {expected} bytes, and {found} are there")
            }
            BufferOutside { offset, length, body_len } => write!(
                f,
                "a buffer of {length} bytes at {offset} reaches beyond the body of {body_len} bytes"
            ),
            BufferMisaligned { offset } => {
                write!(f, "a buffer begins at {offset}, which is not a multiple of 8")
            }
            BufferLength { needed, found } => {
                write!(f, "the elements take {needed} bytes, the buffer has {found}")
            }
            Length { expected, found } => {
                write!(f, "{expected} elements are asked for, the array has {found}")
            }
            NullCount { claimed, found } => {
                write!(f, "{claimed} nulls are claimed, the bitmap has {found}")
            }
            Offset { index, found, limit } => {
                write!(f, "offset {index} is {found}, out of order or beyond {limit}")
            }
            DictionaryIndex { index, found, limit } => {
                write!(f, "element {index} is value {found} of a dictionary that has {limit}")
            }
            RunEnd { index, found } => {
                write!(f, "run {index} ends at {found}, not after the one ahead or too early")
            }
            TypeId { index, found } => {
                write!(f, "element {index} has the type id {found}, which the union has not")
            }
            View { index } => write!(f, "view {index} is of bytes that are not there"),
            Utf8 { index } => write!(f, "text {index}, or one after it, is not UTF-8"),
            DictionaryOfDictionary => {
                f.write_str("the values of a dictionary are a dictionary, for which Arrow's messages have no form")
            }
            NullRows => f.write_str("rows of the batch are null as a whole"),
        }
    }
}
