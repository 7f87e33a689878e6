//! The body of a frame: part table, head, buffers, metadata.
//!
//! ```text
//! body = [ part table ][ head ][ metadata ][ buffer 0 ][ buffer 1 ] ...
//!
//! part table          entry, 24 bytes
//!  0 u16 count         0 u32 kind     1 head, 2 buffer, 3 metadata
//!  2 u16 zero          4 u32 zero
//!  4 u32 zero          8 u64 offset   from the start of the body
//!  8 entries          16 u64 length
//! ```
//!
//! All integers are little-endian. What must hold:
//!
//! 1. The table is there exactly when the flag [`PARTS`](flags::PARTS) is set. Without it the whole
//!    body is buffer 0.
//! 2. Parts stand in the body in the order of the table, do not overlap, and lie inside the body.
//! 3. Head and metadata are 8-byte aligned, buffers 64-byte aligned, counted from the start of the
//!    body, which the frame aligns to 64 bytes.
//! 4. There is at most one head and at most one metadata part; the latter is there exactly when the
//!    flag [`META`](flags::META) is set.
//! 5. A part of unknown kind must keep rule 2 and is passed over.
//! 6. Bytes that no part claims are written as zero and never read.

mod layout;
mod plan;

use std::fmt;

pub use layout::Layout;
pub(crate) use plan::Head;
pub use plan::Plan;
pub(crate) use plan::check_meta;

use crate::error::{DecodeError, DecodeErrorKind as Kind, Segment};
use crate::format::{json, ndarray, pickle, raw};
use crate::value::Value;

/// The version of the formats that this crate writes and reads, for the frame header. A frame of
/// another version must not be opened.
pub const FORMAT_VERSION: u8 = 1;

/// The codec's flags: the low byte of the flags of a frame header.
pub mod flags {
    /// The body begins with a part table.
    pub const PARTS: u16 = 0x01;
    /// The body has a metadata part.
    pub const META: u16 = 0x02;
    /// The body is compressed.
    pub const COMPRESSED: u16 = 0x04;
    /// The frame header holds a checksum of the body.
    pub const CHECKSUM: u16 = 0x08;
    /// The frame is the first one of a stream.
    pub const STREAM_FIRST: u16 = 0x10;
    /// The frame is the last one of a stream.
    pub const STREAM_LAST: u16 = 0x20;

    /// The bits that are the codec's. The others are the ring's and not looked at.
    pub const CODEC: u16 = 0x00FF;
    /// The flags with which a body can be opened as it lies there. CHECKSUM is for the holder of
    /// the frame header, who compares before opening; the stream's flags say nothing of the body.
    pub(super) const OPENED: u16 = PARTS | META | CHECKSUM | STREAM_FIRST | STREAM_LAST;
}

/// Kinds of parts, as in the part table.
pub mod part {
    /// What the format says of its buffers.
    pub const HEAD: u32 = 1;
    /// Data.
    pub const BUFFER: u32 = 2;
    /// The user's metadata: a CBOR map with text keys.
    pub const META: u32 = 3;
}

/// Bytes of the part table before its entries.
const TABLE_LEN: usize = 8;
/// Bytes of an entry of the part table.
const ENTRY_LEN: usize = 24;
/// Entries that a part table can count.
const MAX_PARTS: usize = u16::MAX as usize;
/// Buffers beside a head and metadata.
pub(crate) const MAX_BUFFERS: usize = MAX_PARTS - 2;
/// What the offsets of head and metadata are multiples of.
const PART_ALIGN: usize = 8;
/// What the offsets of buffers are multiples of: Arrow's alignment.
const BUFFER_ALIGN: usize = 64;

/// What stands in a body. The code is the `format` field of the frame header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Format {
    /// Bytes, as they are.
    Raw = 0,
    /// A CBOR value.
    Value = 1,
    /// An array of elements of one dtype.
    Ndarray = 2,
    /// A table: Arrow record batches of one schema.
    Arrow = 3,
    /// A pickle of protocol 5.
    Pickle = 4,
    /// A JSON text.
    Json = 5,
}

impl Format {
    /// The code in the frame header.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The format with this code.
    pub const fn from_code(code: u8) -> Option<Format> {
        Some(match code {
            0 => Format::Raw,
            1 => Format::Value,
            2 => Format::Ndarray,
            3 => Format::Arrow,
            4 => Format::Pickle,
            5 => Format::Json,
            _ => return None,
        })
    }

    /// The type code of the formats that have but one; arrays have that of their dtype.
    pub const fn type_code(self) -> u16 {
        match self {
            Format::Pickle => pickle::PROTOCOL,
            _ => 0,
        }
    }

    /// Its name, in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Format::Raw => "raw",
            Format::Value => "value",
            Format::Ndarray => "ndarray",
            Format::Arrow => "arrow",
            Format::Pickle => "pickle",
            Format::Json => "json",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A piece of a body, and where in the body it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part<'a> {
    /// Bytes from the start of the body.
    pub offset: usize,
    /// The piece.
    pub bytes: &'a [u8],
}

/// The parts of a body, checked.
///
/// ```
/// use slipring_codec::{Parts, format::raw};
///
/// let plan = raw::plan(3, Some(b"\xa1\x64site\x04"))?;
/// let mut body = vec![0; plan.body_len()];
/// plan.write(&mut body)?.copy_from_slice(b"abc");
///
/// let parts = Parts::parse(&body)?;
/// assert_eq!(parts.meta().unwrap().bytes, b"\xa1\x64site\x04");
/// let buffer = parts.buffers().next().unwrap();
/// assert_eq!((buffer.offset, buffer.bytes), (64, b"abc".as_slice()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Parts<'a> {
    head: Option<Part<'a>>,
    meta: Option<Part<'a>>,
    first_buffer: Option<Part<'a>>,
    /// Apart from the first, so that bodies with one buffer allocate nothing.
    more_buffers: Vec<Part<'a>>,
    bare: bool,
}

impl<'a> Parts<'a> {
    /// Reads the part table of a body and checks it.
    ///
    /// # Errors
    ///
    /// Those that say which rule of the [module](self) is broken, with the path `$.parts[i]`.
    pub fn parse(body: &'a [u8]) -> Result<Self, DecodeError> {
        let entries = entries(body).map_err(|e| e.within_field("parts"))?;
        let none = Part { offset: 0, bytes: &[] };
        let mut parts = Parts { first_buffer: None, bare: false, ..Parts::bare(none) };
        let mut free = TABLE_LEN + entries.len() * ENTRY_LEN;
        for (index, entry) in entries.iter().enumerate() {
            let offset = TABLE_LEN + index * ENTRY_LEN;
            free = parts.add(entry, body, free).map_err(|kind| {
                DecodeError::new(kind, offset).within(Segment::Index(index)).within_field("parts")
            })?;
        }
        Ok(parts)
    }

    /// A body without a part table, which is one buffer.
    fn bare(body: Part<'a>) -> Self {
        let more_buffers = Vec::new();
        Parts { head: None, meta: None, first_buffer: Some(body), more_buffers, bare: true }
    }

    /// The head.
    pub fn head(&self) -> Option<Part<'a>> {
        self.head
    }

    /// The metadata, a CBOR map.
    pub fn meta(&self) -> Option<Part<'a>> {
        self.meta
    }

    /// The buffers, in order.
    pub fn buffers(&self) -> impl Iterator<Item = Part<'a>> + '_ {
        self.first_buffer.iter().chain(&self.more_buffers).copied()
    }

    /// The buffer of a format that has exactly one.
    pub(crate) fn only_buffer(&self) -> Result<Part<'a>, DecodeError> {
        match (self.first_buffer, self.more_buffers.len()) {
            (Some(buffer), 0) => Ok(buffer),
            (first, more) => {
                let kind =
                    Kind::BufferCount { expected: 1, found: usize::from(first.is_some()) + more };
                Err(DecodeError::new(kind, 0).within_field("parts"))
            }
        }
    }

    /// The head and the buffers of a format that leaves the part table out where there is nothing
    /// but a head.
    fn headed(self, format: Format, type_code: u16) -> Result<Headed<'a>, DecodeError> {
        if type_code != format.type_code() {
            let kind = Kind::TypeCodeUnknown { format, type_code };
            return Err(DecodeError::new(kind, 0).within_field("type_code"));
        }
        if self.bare {
            return Ok(Headed { head: self.only_buffer()?, buffers: Vec::new() });
        }
        let Some(head) = self.head else {
            return Err(DecodeError::new(Kind::HeadMissing { format }, 0).within_field("head"));
        };
        Ok(Headed { head, buffers: self.buffers().collect() })
    }

    /// Checks one entry and takes its part in. `free` is where the part ahead ended; returns where
    /// this one does.
    fn add(&mut self, entry: &[u8; ENTRY_LEN], body: &'a [u8], free: usize) -> Result<usize, Kind> {
        // Each field is read here and nowhere else.
        let kind = u32_at(entry, 0);
        let zero = u32_at(entry, 4);
        let offset = u64_at(entry, 8);
        let length = u64_at(entry, 16);
        if zero != 0 {
            return Err(Kind::NotZero { found: zero });
        }
        if offset < free as u64 {
            return Err(Kind::PartOverlap { offset, free: free as u64 });
        }
        let outside = Kind::PartOutside { offset, length, body_len: body.len() as u64 };
        let end = offset.checked_add(length).filter(|&end| end <= body.len() as u64);
        let end = end.ok_or(outside)? as usize;
        let offset = offset as usize;
        let aligned = |align: usize| match offset % align {
            0 => Ok(Part { offset, bytes: &body[offset..end] }),
            _ => Err(Kind::PartMisaligned { offset: offset as u64, align: align as u64 }),
        };
        let single = match kind {
            part::HEAD => &mut self.head,
            part::META => &mut self.meta,
            part::BUFFER if self.first_buffer.is_none() => {
                self.first_buffer = Some(aligned(BUFFER_ALIGN)?);
                return Ok(end);
            }
            part::BUFFER => {
                self.more_buffers.push(aligned(BUFFER_ALIGN)?);
                return Ok(end);
            }
            _ => return Ok(end),
        };
        if single.is_some() {
            return Err(Kind::PartRepeated);
        }
        *single = Some(aligned(PART_ALIGN)?);
        Ok(end)
    }
}

/// The entries of the part table of a body.
fn entries(body: &[u8]) -> Result<&[[u8; ENTRY_LEN]], DecodeError> {
    let truncated = |needed: usize| {
        let kind = Kind::Truncated { needed: needed as u64, left: body.len() as u64 };
        DecodeError::new(kind, 0)
    };
    let (table, rest) =
        body.split_first_chunk::<TABLE_LEN>().ok_or_else(|| truncated(TABLE_LEN))?;
    let count = usize::from(u16::from_le_bytes([table[0], table[1]]));
    let zeros = [u32::from(u16::from_le_bytes([table[2], table[3]])), u32_at(table, 4)];
    if let Some(&found) = zeros.iter().find(|&&zero| zero != 0) {
        return Err(DecodeError::new(Kind::NotZero { found }, 2));
    }
    let (entries, _) = rest.as_chunks::<ENTRY_LEN>();
    entries.get(..count).ok_or_else(|| truncated(TABLE_LEN + count * ENTRY_LEN))
}

fn u32_at<const N: usize>(bytes: &[u8; N], at: usize) -> u32 {
    let mut field = [0; 4];
    field.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(field)
}

fn u64_at<const N: usize>(bytes: &[u8; N], at: usize) -> u64 {
    let mut field = [0; 8];
    field.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(field)
}

/// A body, opened: its parts are checked, its content is decoded when asked for.
///
/// Metadata and parts of a body can be read even where its format can't be decoded.
#[derive(Debug, Clone)]
pub struct Body<'a> {
    format: Format,
    type_code: u16,
    parts: Parts<'a>,
}

/// What a body holds, as views on it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Content<'a> {
    /// [`raw`]: the bytes.
    Raw(Part<'a>),
    /// [`ndarray`]: the array.
    Ndarray(ndarray::View<'a>),
    /// [`value`](crate::format::value): the encoded value and its buffers.
    Value(Headed<'a>),
    /// `arrow`: the messages and their bodies, for `format::arrow::read` (with the feature `arrow`).
    Arrow(Headed<'a>),
    /// [`pickle`]: the stream and its out-of-band buffers.
    Pickle(Headed<'a>),
    /// [`json`]: the text.
    Json(Part<'a>),
}

impl Headed<'_> {
    /// The value whose head this is, as a tree that has copies of the buffers in their places.
    ///
    /// # Errors
    ///
    /// Those of [`Value::decode`], and [`BufferUnknown`](Kind::BufferUnknown).
    pub fn to_value(&self) -> Result<Value, DecodeError> {
        let value = Value::decode(self.head.bytes);
        let value = value.map_err(|error| error.shifted(self.head.offset))?;
        value.with_buffers(&|number| {
            let buffer = self.buffers.get(usize::try_from(number).ok()?)?;
            Some(buffer.bytes)
        })
    }
}

/// A head and the buffers that it refers to by number.
#[derive(Debug, Clone)]
pub struct Headed<'a> {
    /// Not looked into.
    pub head: Part<'a>,
    /// In order; each begins at a multiple of 64 bytes.
    pub buffers: Vec<Part<'a>>,
}

impl<'a> Body<'a> {
    /// Opens a body, given what the frame header says of it.
    ///
    /// # Errors
    ///
    /// [`FormatUnknown`](Kind::FormatUnknown), [`FlagsUnsupported`](Kind::FlagsUnsupported), [`MetaFlag`](Kind::MetaFlag), and
    /// those of [`Parts::parse`].
    pub fn open(
        format: u8,
        flags: u16,
        type_code: u16,
        body: &'a [u8],
    ) -> Result<Self, DecodeError> {
        let Some(format) = Format::from_code(format) else {
            let kind = Kind::FormatUnknown { code: format };
            return Err(DecodeError::new(kind, 0).within_field("format"));
        };
        let flags = flags & flags::CODEC;
        let unsupported = flags & !flags::OPENED;
        if unsupported != 0 {
            let kind = Kind::FlagsUnsupported { flags: unsupported };
            return Err(DecodeError::new(kind, 0).within_field("flags"));
        }
        let parts = match flags & flags::PARTS {
            0 => Parts::bare(Part { offset: 0, bytes: body }),
            _ => Parts::parse(body)?,
        };
        let flag = flags & flags::META != 0;
        if flag != parts.meta.is_some() {
            return Err(DecodeError::new(Kind::MetaFlag { flag }, 0).within_field("flags"));
        }
        Ok(Body { format, type_code, parts })
    }

    /// The format of the content.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The parts.
    pub fn parts(&self) -> &Parts<'a> {
        &self.parts
    }

    /// The metadata as it lies there: a CBOR map, if the sender kept the rules. For token layers.
    pub fn meta_part(&self) -> Option<Part<'a>> {
        self.parts.meta
    }

    /// The metadata, decoded: a [`Value::Map`] with text keys; `None` if there is none.
    ///
    /// # Errors
    ///
    /// Those of [`Value::decode`], [`MetaNotMap`](Kind::MetaNotMap) and [`MetaKeyNotText`](Kind::MetaKeyNotText).
    pub fn meta(&self) -> Result<Option<Value>, DecodeError> {
        let Some(meta) = self.parts.meta else { return Ok(None) };
        let value =
            Value::decode(meta.bytes).map_err(|e| e.within_field("meta").shifted(meta.offset))?;
        let refused = match &value {
            Value::Map(pairs) => pairs
                .iter()
                .position(|(key, _)| !matches!(key, Value::Text(_)))
                .map(|entry| (Kind::MetaKeyNotText, Some(Segment::KeyOf(entry)))),
            _ => Some((Kind::MetaNotMap, None)),
        };
        match refused {
            None => Ok(Some(value)),
            Some((kind, segment)) => {
                let error = DecodeError::new(kind, meta.offset);
                let error = segment.into_iter().fold(error, DecodeError::within);
                Err(error.within_field("meta"))
            }
        }
    }

    /// Decodes the content, as views on the body.
    ///
    /// # Errors
    ///
    /// A type code or parts that do not suit the format, and those of the format's head.
    pub fn content(&self) -> Result<Content<'a>, DecodeError> {
        let headed = || self.parts.clone().headed(self.format, self.type_code);
        match self.format {
            Format::Raw => raw::open(self.type_code, &self.parts).map(Content::Raw),
            Format::Ndarray => ndarray::open(self.type_code, &self.parts).map(Content::Ndarray),
            Format::Value => headed().map(Content::Value),
            Format::Pickle => headed().map(Content::Pickle),
            Format::Arrow => headed().map(Content::Arrow),
            Format::Json => json::open(headed()?).map(Content::Json),
        }
    }
}
