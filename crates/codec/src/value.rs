//! CBOR as a tree: one client of the token layer, for Rust.
//!
//! 1. An array, map or tag may have at most [`MAX_DEPTH`] others around it, counted itself.
//! 2. No key stands twice in a map, read or written. Keys are equal when their values are, however
//!    they were written: `1` in one byte and in nine is one key, `1` and `1.0` are two. Of maps that
//!    are keys themselves the order of pairs counts, so that comparing takes one pass.
//! 3. Of simple values there are null, false and true; others are refused.

use std::cmp::Ordering;

use crate::error::{DecodeError, DecodeErrorKind, EncodeError, EncodeErrorKind, Segment};
use crate::format::value::is_array;
use crate::tag;
use crate::token::{Decoder, Encoder, MAX_DEPTH, Sink, Token, check_depth};

/// Items that a container reserves room for before it has seen them: what an input can make us
/// allocate on credit is this times the depth. Beyond it the room grows with what arrives.
const ROOM: usize = 16;

/// A CBOR value.
///
/// ```
/// use slipring_codec::Value;
///
/// let value = Value::Map(vec![
///     (Value::from("site"), Value::from(4i64)),
///     (Value::from("cell"), Value::from(30.5)),
/// ]);
/// let bytes = value.to_vec()?;
/// assert_eq!(Value::decode(&bytes)?, value);
/// assert_eq!(value.get("site"), Some(&Value::Int(4)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// `null`
    Null,
    /// `false` or `true`
    Bool(bool),
    /// An integer; only -2^64 to 2^64 - 1 can be encoded.
    Int(i128),
    /// A float; always encoded with 64 bits.
    Float(f64),
    /// A byte string.
    Bytes(Vec<u8>),
    /// A text string.
    Text(String),
    /// A sequence of values.
    Array(Vec<Value>),
    /// Pairs of key and value, in the order in which they were given or read.
    Map(Vec<(Value, Value)>),
    /// A value with a tag, which is kept and not interpreted.
    Tag(u64, Box<Value>),
}

impl Value {
    /// Reads one value, which must be all of `bytes`.
    ///
    /// # Errors
    ///
    /// Bytes that are not well-formed, bytes that follow, a depth beyond [`MAX_DEPTH`], a key that stands twice,
    /// or a simple value other than null, false and true; with offset and path.
    pub fn decode(bytes: &[u8]) -> Result<Value, DecodeError> {
        let mut decoder = Decoder::new(bytes);
        let value = Value::read(&mut decoder)?;
        decoder.finish()?;
        Ok(value)
    }

    /// Reads the next value of a decoder.
    ///
    /// # Errors
    ///
    /// As [`decode`](Self::decode), and bytes may follow.
    pub fn read(decoder: &mut Decoder<'_>) -> Result<Value, DecodeError> {
        read(decoder, 0)
    }

    /// Encodes the value into a vector.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub fn to_vec(&self) -> Result<Vec<u8>, EncodeError> {
        let mut encoder = Encoder::new();
        self.write(&mut encoder)?;
        Ok(encoder.into_vec())
    }

    /// Encodes the value as metadata, which is a map with texts for keys.
    ///
    /// # Errors
    ///
    /// [`MetaNotMap`](EncodeErrorKind::MetaNotMap) for what is none, and as [`write`](Self::write).
    pub fn to_meta(&self) -> Result<Vec<u8>, EncodeError> {
        match self {
            Value::Map(pairs) if pairs.iter().all(|(key, _)| matches!(key, Value::Text(_))) => {
                self.to_vec()
            }
            _ => Err(EncodeError::new(EncodeErrorKind::MetaNotMap)),
        }
    }

    /// Encodes the value.
    ///
    /// # Errors
    ///
    /// [`IntegerRange`](EncodeErrorKind::IntegerRange), [`TooDeep`](EncodeErrorKind::TooDeep) and
    /// [`DuplicateKey`](EncodeErrorKind::DuplicateKey), with the path; the encoder then holds a part of the value.
    pub fn write<S: Sink>(&self, encoder: &mut Encoder<S>) -> Result<(), EncodeError> {
        write(self, encoder, 0, &mut Outside::nothing())
    }

    /// Encodes the value, and leaves out what goes `outside`.
    pub(crate) fn write_head<'v, S: Sink>(
        &'v self,
        encoder: &mut Encoder<S>,
        outside: &mut Outside<'v>,
    ) -> Result<(), EncodeError> {
        write(self, encoder, 0, outside)
    }

    /// The value under a text key, if this is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Value> {
        let Value::Map(pairs) = self else { return None };
        pairs.iter().find_map(|(k, value)| match k {
            Value::Text(text) if text == key => Some(value),
            _ => None,
        })
    }

    /// The value with the bytes of buffers in place of the numbers that stand for them.
    pub(crate) fn with_buffers<'b>(
        self,
        buffer: &dyn Fn(i128) -> Option<&'b [u8]>,
    ) -> Result<Value, DecodeError> {
        Ok(match self {
            Value::Array(items) => Value::Array(
                items.into_iter().map(|v| v.with_buffers(buffer)).collect::<Result<_, _>>()?,
            ),
            Value::Map(pairs) => {
                let pair =
                    |(k, v): (Value, Value)| Ok((k.with_buffers(buffer)?, v.with_buffers(buffer)?));
                Value::Map(pairs.into_iter().map(pair).collect::<Result<_, DecodeError>>()?)
            }
            Value::Tag(tag::BUFFER, inner) => match *inner {
                Value::Int(number) => match buffer(number) {
                    Some(bytes) => Value::Bytes(bytes.to_vec()),
                    None => {
                        let number = u64::try_from(number).unwrap_or(u64::MAX);
                        return Err(DecodeError::buffer_unknown(number, 0));
                    }
                },
                _ => return Err(DecodeError::tag_content(tag::BUFFER, 0)),
            },
            Value::Tag(tag, inner) => Value::Tag(tag, Box::new(inner.with_buffers(buffer)?)),
            plain => plain,
        })
    }

    /// What kind of value it is, in a word.
    fn name(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(false) => "false",
            Value::Bool(true) => "true",
            Value::Int(_) => "int",
            Value::Float(_) => "float",
            Value::Bytes(_) => "bytes",
            Value::Text(_) => "text",
            Value::Array(_) => "array",
            Value::Map(_) => "map",
            Value::Tag(..) => "tag",
        }
    }

    /// The step of a path to what stands under this key.
    fn as_segment(&self) -> Segment {
        match self {
            Value::Text(text) => Segment::key(text),
            Value::Int(n) => Segment::OtherKey(n.to_string().into()),
            Value::Float(x) => Segment::OtherKey(format!("{x:?}").into()),
            other => Segment::OtherKey(other.name().into()),
        }
    }
}

fn read(decoder: &mut Decoder<'_>, depth: usize) -> Result<Value, DecodeError> {
    let start = decoder.offset();
    let token = decoder.token()?;
    Ok(match token {
        Token::Null => Value::Null,
        Token::Bool(value) => Value::Bool(value),
        Token::Unsigned(n) => Value::Int(n.into()),
        Token::Negative(n) => Value::Int(-1 - i128::from(n)),
        Token::Float(value) => Value::Float(value),
        Token::Bytes(bytes) => Value::Bytes(bytes.to_vec()),
        Token::Text(text) => Value::Text(text.to_owned()),
        Token::BytesPieces => Value::Bytes(decoder.join_bytes()?),
        Token::TextPieces => Value::Text(decoder.join_text()?),
        Token::Array(len) => {
            check_depth(depth, start)?;
            Value::Array(read_items(decoder, len, |decoder, index| {
                read(decoder, depth + 1).map_err(|e| e.within(Segment::Index(index)))
            })?)
        }
        Token::Map(len) => {
            check_depth(depth, start)?;
            let pairs = read_items(decoder, len, |decoder, entry| {
                let key = read(decoder, depth + 1).map_err(|e| e.within(Segment::KeyOf(entry)))?;
                let value = read(decoder, depth + 1).map_err(|e| e.within(key.as_segment()))?;
                Ok((key, value))
            })?;
            if let Some(key) = repeated_key(&pairs) {
                let kind = DecodeErrorKind::DuplicateKey;
                return Err(DecodeError::new(kind, start).within(key.as_segment()));
            }
            Value::Map(pairs)
        }
        Token::Tag(tag) => {
            check_depth(depth, start)?;
            let inner = read(decoder, depth + 1).map_err(|e| e.within(Segment::Tag(tag)))?;
            Value::Tag(tag, Box::new(inner))
        }
        token @ (Token::Undefined | Token::Simple(_) | Token::Break) => {
            return Err(decoder.unfit(&token, start));
        }
    })
}

/// Reads the items of a container, of which there are `len` or as many as stand before the break.
fn read_items<'a, T>(
    decoder: &mut Decoder<'a>,
    len: Option<usize>,
    mut item: impl FnMut(&mut Decoder<'a>, usize) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let mut items = Vec::with_capacity(len.unwrap_or(0).min(ROOM));
    while match len {
        Some(len) => items.len() < len,
        None => !decoder.take_break(),
    } {
        items.push(item(decoder, items.len())?);
    }
    Ok(items)
}

/// Byte strings that go out of line: the head has the numbers of their buffers.
#[derive(Debug)]
pub(crate) struct Outside<'v> {
    /// In the order of their numbers.
    pub(crate) pieces: Vec<&'v [u8]>,
    /// How many there may be.
    pub(crate) most: usize,
    /// From how many bytes on a byte string goes, the data of an array, and the body of a table's message.
    pub(crate) least: [usize; 3],
    /// Whether numbers of buffers mean those of a frame, which the value can't know.
    pub(crate) framed: bool,
}

/// What a byte string is.
#[derive(Clone, Copy)]
enum Sort {
    Bytes,
    Array,
    Table,
}

impl<'v> Outside<'v> {
    /// Everything stays in line.
    pub(crate) fn nothing() -> Self {
        Outside { pieces: Vec::new(), most: 0, least: [usize::MAX; 3], framed: false }
    }

    /// At most so many, byte strings and arrays of these lengths and more, and all bodies of tables.
    pub(crate) fn of(most: usize, bytes: usize, arrays: usize) -> Self {
        Outside { pieces: Vec::new(), most, least: [bytes, arrays, 0], framed: true }
    }

    fn bytes<S: Sink>(
        &mut self,
        bytes: &'v [u8],
        sort: Sort,
        encoder: &mut Encoder<S>,
        depth: usize,
    ) {
        // What stands for them is a tag.
        if bytes.len() < self.least[sort as usize]
            || self.pieces.len() >= self.most
            || depth >= MAX_DEPTH
        {
            encoder.bytes(bytes);
            return;
        }
        encoder.tag(tag::BUFFER).uint(self.pieces.len() as u64);
        self.pieces.push(bytes);
    }
}

fn write<'v, S: Sink>(
    value: &'v Value,
    encoder: &mut Encoder<S>,
    depth: usize,
    outside: &mut Outside<'v>,
) -> Result<(), EncodeError> {
    if depth >= MAX_DEPTH && matches!(value, Value::Array(_) | Value::Map(_) | Value::Tag(..)) {
        return Err(EncodeError::new(EncodeErrorKind::TooDeep { limit: MAX_DEPTH }));
    }
    match value {
        Value::Null => encoder.null(),
        Value::Bool(value) => encoder.bool(*value),
        Value::Int(value) => write_int(*value, encoder)?,
        Value::Float(value) => encoder.float(*value),
        Value::Bytes(bytes) => {
            outside.bytes(bytes, Sort::Bytes, encoder, depth);
            encoder
        }
        Value::Text(text) => encoder.text(text),
        Value::Array(items) => {
            encoder.array(items.len());
            for (index, item) in items.iter().enumerate() {
                write(item, encoder, depth + 1, outside)
                    .map_err(|e| e.within(Segment::Index(index)))?;
            }
            encoder
        }
        Value::Map(pairs) => {
            encoder.map(pairs.len());
            for (entry, (key, value)) in pairs.iter().enumerate() {
                // Keys are looked up, so they stay where they are.
                let mut stays = Outside { framed: outside.framed, ..Outside::nothing() };
                write(key, encoder, depth + 1, &mut stays)
                    .map_err(|e| e.within(Segment::KeyOf(entry)))?;
                write(value, encoder, depth + 1, outside)
                    .map_err(|e| e.within(key.as_segment()))?;
            }
            // Only now: the keys are known to be of bounded depth, so comparing them is too.
            if let Some(key) = repeated_key(pairs) {
                let error = EncodeError::new(EncodeErrorKind::DuplicateKey);
                return Err(error.within(key.as_segment()));
            }
            encoder
        }
        Value::Tag(tag, inner) => {
            tagged(*tag, inner, encoder.tag(*tag), depth + 1, outside)
                .map_err(|e| e.within(Segment::Tag(*tag)))?;
            encoder
        }
    };
    Ok(())
}

/// What stands under a tag. The data of an array goes outside, and the bodies of a table; other byte strings there are what the tag says, such as
/// integers, and stay.
fn tagged<'v, S: Sink>(
    tag: u64,
    inner: &'v Value,
    encoder: &mut Encoder<S>,
    depth: usize,
    outside: &mut Outside<'v>,
) -> Result<(), EncodeError> {
    match (tag, inner) {
        (tag::BUFFER, Value::Int(number)) if outside.framed => {
            Err(EncodeError::new(EncodeErrorKind::BufferUnknown { number: *number }))
        }
        (_, Value::Bytes(bytes)) if is_array(tag) => {
            outside.bytes(bytes, Sort::Array, encoder, depth);
            Ok(())
        }
        (tag::NDARRAY, Value::Array(parts)) if depth < MAX_DEPTH => match &parts[..] {
            [Value::Bytes(head), Value::Bytes(data)] => {
                encoder.array(2).bytes(head);
                outside.bytes(data, Sort::Array, encoder, depth + 1);
                Ok(())
            }
            _ => write(inner, encoder, depth, outside),
        },
        (tag::TABLE, Value::Array(parts)) if depth < MAX_DEPTH => {
            encoder.array(parts.len());
            for (index, part) in parts.iter().enumerate() {
                match part {
                    Value::Bytes(body) if index > 0 => {
                        outside.bytes(body, Sort::Table, encoder, depth + 1);
                    }
                    Value::Bytes(messages) => {
                        encoder.bytes(messages);
                    }
                    other => write(other, encoder, depth + 1, outside)
                        .map_err(|e| e.within(Segment::Index(index)))?,
                }
            }
            Ok(())
        }
        (_, Value::Bytes(bytes)) => {
            encoder.bytes(bytes);
            Ok(())
        }
        _ => write(inner, encoder, depth, outside),
    }
}

fn write_int<S: Sink>(
    value: i128,
    encoder: &mut Encoder<S>,
) -> Result<&mut Encoder<S>, EncodeError> {
    if let Ok(n) = u64::try_from(value) {
        Ok(encoder.uint(n))
    } else if let Ok(n) = u64::try_from(-1 - value) {
        Ok(encoder.negative(n))
    } else {
        Err(EncodeError::new(EncodeErrorKind::IntegerRange { value }))
    }
}

/// A key that stands twice, if there is one. Small maps are compared pair by pair, large ones
/// sorted, so that no choice of keys makes it slow.
fn repeated_key(pairs: &[(Value, Value)]) -> Option<&Value> {
    if pairs.len() <= ROOM {
        let earlier = |i: usize| pairs[..i].iter().any(|(k, _)| same(k, &pairs[i].0));
        return (1..pairs.len()).find(|&i| earlier(i)).map(|i| &pairs[i].0);
    }
    let mut keys: Vec<&Value> = pairs.iter().map(|(key, _)| key).collect();
    keys.sort_unstable_by(|a, b| compare(a, b));
    keys.windows(2).find(|pair| same(pair[0], pair[1])).map(|pair| pair[0])
}

fn same(a: &Value, b: &Value) -> bool {
    compare(a, b) == Ordering::Equal
}

/// A total order of values. Floats are told apart by their bits, so 0.0 and -0.0 are two keys and
/// a NaN is equal to itself.
fn compare(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Int(a), Value::Int(b)) => a.cmp(b),
        (Value::Float(a), Value::Float(b)) => a.total_cmp(b),
        (Value::Bytes(a), Value::Bytes(b)) => a.cmp(b),
        (Value::Text(a), Value::Text(b)) => a.cmp(b),
        (Value::Array(a), Value::Array(b)) => compare_each(a, b, compare),
        (Value::Map(a), Value::Map(b)) => {
            compare_each(a, b, |(ka, va), (kb, vb)| compare(ka, kb).then_with(|| compare(va, vb)))
        }
        (Value::Tag(a, x), Value::Tag(b, y)) => a.cmp(b).then_with(|| compare(x, y)),
        _ => rank(a).cmp(&rank(b)),
    }
}

fn compare_each<T>(a: &[T], b: &[T], compare: impl Fn(&T, &T) -> Ordering) -> Ordering {
    let unlike = a.iter().zip(b).map(|(a, b)| compare(a, b)).find(|o| o.is_ne());
    unlike.unwrap_or_else(|| a.len().cmp(&b.len()))
}

fn rank(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Int(_) => 2,
        Value::Float(_) => 3,
        Value::Bytes(_) => 4,
        Value::Text(_) => 5,
        Value::Array(_) => 6,
        Value::Map(_) => 7,
        Value::Tag(..) => 8,
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Value::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Value::Int(value.into())
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Value::Int(value.into())
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Value::Float(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Value::Text(value.to_owned())
    }
}

impl From<&[u8]> for Value {
    fn from(value: &[u8]) -> Self {
        Value::Bytes(value.to_owned())
    }
}
