//! Errors of reading.

use std::fmt;

use super::{ArrowFault, DtypeFault, Path, Segment};
use crate::frame::Format;
use crate::json::JsonFault;

/// Bytes that could not be read: what was found, at which offset, on which path.
///
/// ```
/// use slipring_codec::{DecodeErrorKind, Value};
///
/// let error = Value::decode(&[0x81, 0x19, 0x01]).unwrap_err(); // [ a number cut short
/// assert!(matches!(error.kind(), DecodeErrorKind::Truncated { needed: 2, left: 1, .. }));
/// assert_eq!((error.offset(), error.path().to_string().as_str()), (2, "$[0]"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeError(Box<Fault>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Fault {
    kind: DecodeErrorKind,
    offset: usize,
    path: Path,
}

/// What a [`DecodeError`] is about. Offsets and lengths are in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// The input ends before what it announces.
    #[non_exhaustive]
    Truncated {
        /// Bytes that must follow at this place, at least.
        needed: u64,
        /// Bytes that do.
        left: u64,
    },
    /// Bytes follow after the one value that was expected.
    #[non_exhaustive]
    Trailing {
        /// How many.
        bytes: usize,
    },
    /// An initial byte that RFC 8949 keeps reserved (additional information 28 to 30), or an
    /// indefinite length where none is allowed.
    #[non_exhaustive]
    InitialByte {
        /// The byte.
        byte: u8,
    },
    /// A simple value below 32 written in two bytes, which RFC 8949 forbids.
    #[non_exhaustive]
    SimpleForm {
        /// The simple value.
        value: u8,
    },
    /// Text that is not UTF-8.
    Utf8,
    /// A piece of an indefinite string that is not a definite string of the same type.
    Chunk,
    /// A break where a value was expected.
    Break,
    /// Containers and tags nest deeper than the limit.
    #[non_exhaustive]
    TooDeep {
        /// The limit.
        limit: usize,
    },
    /// A map holds the same key twice.
    DuplicateKey,
    /// A simple value other than false, true and null: the tree has no place for it.
    #[non_exhaustive]
    SimpleValue {
        /// The simple value; 23 is `undefined`.
        value: u8,
    },
    /// A tag that encloses something else than it may.
    #[non_exhaustive]
    TagContent {
        /// The tag.
        tag: u64,
    },
    /// A reference to a buffer that the frame does not have.
    #[non_exhaustive]
    BufferUnknown {
        /// Its number, counted from 0.
        number: u64,
    },
    /// Metadata that is not a map.
    MetaNotMap,
    /// A key of the metadata that is not text.
    MetaKeyNotText,

    /// A format code that this version does not know.
    #[non_exhaustive]
    FormatUnknown {
        /// The code.
        code: u8,
    },
    /// Codec flags that this version does not know or can't undo.
    #[non_exhaustive]
    FlagsUnsupported {
        /// Those flags.
        flags: u16,
    },
    /// The flag META and the parts of the body disagree.
    #[non_exhaustive]
    MetaFlag {
        /// Whether the flag is set; the part is there exactly when it is not.
        flag: bool,
    },
    /// A field that must be zero is not.
    #[non_exhaustive]
    NotZero {
        /// What it holds.
        found: u32,
    },
    /// A part that reaches beyond the body.
    #[non_exhaustive]
    PartOutside {
        /// Its offset from the start of the body.
        offset: u64,
        /// Its length.
        length: u64,
        /// The length of the body.
        body_len: u64,
    },
    /// A part that begins before the one ahead of it in the table ends.
    #[non_exhaustive]
    PartOverlap {
        /// Its offset from the start of the body.
        offset: u64,
        /// The first offset that is free.
        free: u64,
    },
    /// A part whose offset is not a multiple of what its kind demands.
    #[non_exhaustive]
    PartMisaligned {
        /// Its offset from the start of the body.
        offset: u64,
        /// The alignment its kind demands.
        align: u64,
    },
    /// A second part of a kind that may stand once.
    PartRepeated,
    /// A format that needs a head has none.
    #[non_exhaustive]
    HeadMissing {
        /// The format.
        format: Format,
    },
    /// A format that has no head came with one.
    #[non_exhaustive]
    HeadUnexpected {
        /// The format.
        format: Format,
    },
    /// Another number of buffers than the format has.
    #[non_exhaustive]
    BufferCount {
        /// How many the format has.
        expected: usize,
        /// How many are there.
        found: usize,
    },
    /// A type code that the format does not know.
    #[non_exhaustive]
    TypeCodeUnknown {
        /// The format.
        format: Format,
        /// The code in the frame header.
        type_code: u16,
    },
    /// The frame header and the head say different types.
    #[non_exhaustive]
    TypeCodeMismatch {
        /// The code in the frame header.
        header: u16,
        /// The code that the head gives.
        head: u16,
    },

    /// A head of a version that this version does not know.
    #[non_exhaustive]
    HeadVersion {
        /// The version found.
        found: u8,
    },
    /// A head whose length does not fit what it says.
    #[non_exhaustive]
    HeadLength {
        /// The length that follows from its fields.
        expected: u64,
        /// Its length.
        found: u64,
    },
    /// A dtype that this version does not know.
    #[non_exhaustive]
    DtypeUnknown {
        /// The byte of its kind (`b`, `i`, `u`, `f`, `c`).
        kind: u8,
        /// The byte of its byte order (`<`, `>`, `|`).
        byte_order: u8,
        /// Bytes per element.
        item_size: u32,
    },
    /// A description of a dtype that can't be followed.
    #[non_exhaustive]
    DtypeDescription {
        /// What is wrong with it.
        fault: DtypeFault,
    },
    /// An offset of a text that is less than the one ahead of it or beyond the texts.
    #[non_exhaustive]
    TextOffset {
        /// The offset.
        found: u64,
        /// Bytes of all texts.
        text_len: u64,
    },
    /// A memory order other than `C` and `F`.
    #[non_exhaustive]
    OrderUnknown {
        /// The byte found.
        found: u8,
    },
    /// More dimensions than an array can have.
    #[non_exhaustive]
    TooManyDimensions {
        /// The number found.
        found: usize,
        /// The most there may be.
        limit: usize,
    },
    /// A shape whose size in bytes does not fit in memory.
    ShapeOverflow,
    /// A text that is no JSON.
    #[non_exhaustive]
    Json {
        /// What is wrong with it.
        fault: JsonFault,
        /// The line, from 1.
        line: usize,
        /// The character in the line, from 1.
        column: usize,
    },
    /// Data whose length is not what dtype and shape say.
    #[non_exhaustive]
    DataLength {
        /// The length that dtype and shape give.
        expected: u64,
        /// The length of the buffer.
        found: u64,
    },
    /// A table that can't be read.
    #[non_exhaustive]
    Arrow {
        /// What is wrong with it.
        fault: ArrowFault,
    },
}

impl DecodeError {
    /// For clients of the token layer, which find what it does not look for.
    #[cold]
    pub fn new(kind: DecodeErrorKind, offset: usize) -> Self {
        DecodeError(Box::new(Fault { kind, offset, path: Path::default() }))
    }

    /// What a tag encloses is not what it may enclose.
    #[cold]
    pub fn tag_content(tag: u64, offset: usize) -> Self {
        DecodeError::new(DecodeErrorKind::TagContent { tag }, offset)
    }

    /// A buffer that is not there is referred to.
    #[cold]
    pub fn buffer_unknown(number: u64, offset: usize) -> Self {
        DecodeError::new(DecodeErrorKind::BufferUnknown { number }, offset)
    }

    /// A text is no JSON.
    #[cold]
    pub fn json(fault: JsonFault, line: usize, column: usize, offset: usize) -> Self {
        DecodeError::new(DecodeErrorKind::Json { fault, line, column }, offset)
    }

    /// What went wrong.
    pub fn kind(&self) -> DecodeErrorKind {
        self.0.kind
    }

    /// Where: bytes from the start of what was decoded.
    pub fn offset(&self) -> usize {
        self.0.offset
    }

    /// The way to the place, from the root.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// What to do about it, in one sentence without a full stop.
    pub fn hint(&self) -> &'static str {
        use DecodeErrorKind::*;
        match self.0.kind {
            Truncated { .. } | Trailing { .. } => {
                "pass exactly the bytes that were encoded, body_len of them for a body"
            }
            InitialByte { .. } | SimpleForm { .. } | Utf8 | Chunk | Break => {
                "the bytes are not CBOR (RFC 8949): look for damage, or for another format"
            }
            Json { fault, .. } => fault.hint(),
            TooDeep { .. } => "flatten the value on the side that sends it",
            DuplicateKey => "send each key of a map once",
            TagContent { .. } => {
                "look for a fault in the encoder: docs/types.md says what may stand there"
            }
            SimpleValue { .. } => "send null, false or true instead, or read it by tokens",
            MetaNotMap | MetaKeyNotText => "send metadata as one map with text keys",
            FormatUnknown { .. }
            | FlagsUnsupported { .. }
            | HeadVersion { .. }
            | TypeCodeUnknown { .. }
            | DtypeUnknown { .. } => {
                "the sender may be newer: upgrade this side, or send a format that both know"
            }
            Arrow { fault } => fault.read_hint(),
            MetaFlag { .. }
            | NotZero { .. }
            | PartOutside { .. }
            | PartOverlap { .. }
            | PartMisaligned { .. }
            | PartRepeated
            | HeadMissing { .. }
            | HeadUnexpected { .. }
            | BufferCount { .. }
            | BufferUnknown { .. }
            | TypeCodeMismatch { .. }
            | HeadLength { .. }
            | DtypeDescription { .. }
            | TextOffset { .. }
            | OrderUnknown { .. }
            | TooManyDimensions { .. }
            | ShapeOverflow
            | DataLength { .. } => {
                "the frame is damaged or was written by a faulty encoder: send it again"
            }
        }
    }

    /// Puts the path under one more step. Called on the way out, innermost first.
    pub fn within(mut self, segment: Segment) -> Self {
        self.0.path.enclose(segment);
        self
    }

    /// [`within`](Self::within) a field of the body.
    pub(crate) fn within_field(self, name: &str) -> Self {
        self.within(Segment::key(name))
    }

    /// Moves the place by the offset of the part in which it was counted.
    pub fn shifted(mut self, by: usize) -> Self {
        self.0.offset += by;
        self
    }
}

impl fmt::Display for DecodeErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use DecodeErrorKind::*;
        match *self {
            Truncated { needed, left } => {
                write!(f, "the input ends early: {needed} bytes needed, {left} left")
            }
            Trailing { bytes } => write!(f, "{bytes} bytes follow after the value"),
            InitialByte { byte } => write!(f, "no CBOR item begins with the byte {byte:#04x}"),
            SimpleForm { value } => write!(f, "the simple value {value} is written in two bytes"),
            Utf8 => f.write_str("a text is not UTF-8"),
            Chunk => f.write_str("a piece of an indefinite string is not a string of its type"),
            Break => f.write_str("a break stands where a value should"),
            TooDeep { limit } => write!(f, "more than {limit} containers inside each other"),
            DuplicateKey => f.write_str("a map holds this key twice"),
            SimpleValue { value: 23 } => f.write_str("the simple value undefined has no meaning"),
            SimpleValue { value } => write!(f, "the simple value {value} has no meaning"),
            TagContent { tag } => write!(f, "the tag {tag} encloses something else than it may"),
            BufferUnknown { number } => write!(f, "there is no buffer {number}"),
            MetaNotMap => f.write_str("the metadata is not a map"),
            MetaKeyNotText => f.write_str("a key of the metadata is not text"),
            FormatUnknown { code } => write!(f, "the format code {code} is unknown"),
            FlagsUnsupported { flags } => {
                write!(f, "the flags {flags:#06x} are not handled by this version")
            }
            MetaFlag { flag: true } => {
                f.write_str("the flag META is set and there is no metadata part")
            }
            MetaFlag { flag: false } => {
                f.write_str("there is a metadata part and the flag META is not set")
            }
            NotZero { found } => write!(f, "a field that must be zero holds {found:#x}"),
            PartOutside { offset, length, body_len } => write!(
                f,
                "a part of {length} bytes at {offset} reaches beyond the body of {body_len} bytes"
            ),
            PartOverlap { offset, free } => {
                write!(f, "a part begins at {offset}, before {free} where the one ahead ends")
            }
            PartMisaligned { offset, align } => {
                write!(f, "a part begins at {offset}, which is not a multiple of {align}")
            }
            PartRepeated => f.write_str("a second part of a kind that may stand once"),
            HeadMissing { format } => write!(f, "the format {format} needs a head"),
            HeadUnexpected { format } => write!(f, "the format {format} has no head"),
            BufferCount { expected, found } => {
                write!(f, "{expected} buffers expected, {found} found")
            }
            TypeCodeUnknown { format, type_code } => {
                write!(f, "the type code {type_code:#06x} is unknown to the format {format}")
            }
            TypeCodeMismatch { header, head } => {
                write!(f, "the frame header says type {header:#06x}, the head {head:#06x}")
            }
            HeadVersion { found } => write!(f, "a head of version {found} is unknown"),
            HeadLength { expected, found } => {
                write!(f, "a head of {found} bytes, where its fields make {expected}")
            }
            DtypeUnknown { kind, byte_order, item_size } => write!(
                f,
                "the dtype of kind '{}', byte order '{}' and {item_size} bytes is unknown",
                kind.escape_ascii(),
                byte_order.escape_ascii()
            ),
            DtypeDescription { fault } => fault.fmt(f),
            Arrow { fault } => fault.fmt(f),
            TextOffset { found, text_len } => {
                write!(f, "a text ends at {found}, out of order or beyond {text_len} bytes of text")
            }
            OrderUnknown { found } => {
                write!(f, "the memory order '{}' is neither C nor F", found.escape_ascii())
            }
            TooManyDimensions { found, limit } => {
                write!(f, "{found} dimensions, at most {limit} are possible")
            }
            ShapeOverflow => f.write_str("the size of the shape in bytes overflows"),
            Json { fault, line, column } => write!(f, "{fault}: line {line}, column {column}"),
            DataLength { expected, found } => {
                write!(f, "the data has {found} bytes, dtype and shape make {expected}")
            }
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fault { kind, offset, path } = &*self.0;
        write!(f, "{kind}, at {path} (offset {offset}); {}", self.hint())
    }
}

impl std::error::Error for DecodeError {}
