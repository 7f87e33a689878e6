//! Values: one CBOR item, its large byte strings and arrays out of line.
//!
//! 1. The head is one item (RFC 8949), with the tags of [`tag`]. The type code is 0.
//! 2. Without metadata and buffers the body is the head and nothing else: no part table.
//! 3. Where a byte string may stand, tag [`BUFFER`](tag::BUFFER) with the number of a buffer may stand for it.
//!
//! What a token client needs for arrays and tables inside values is here: [`write_array`] and [`read_array`], [`write_table`] and
//! [`Tables`]. A tree goes by [`plan()`], and
//! what a frame has is read by [`Headed`].
//!
//! ```
//! use slipring_codec::format::ndarray::{Descriptor, Dtype, Order};
//! use slipring_codec::format::value;
//! use slipring_codec::{Body, Content, Value};
//!
//! let shape = Descriptor::new(Dtype::F64, Order::C, &[8, 8])?;
//! let sent = Value::Map(vec![("pixels".into(), Value::ndarray(&shape, vec![0; 512]))]);
//! let plan = value::plan(&sent, Some(b"\xa1\x64site\x04"))?;
//! let mut body = vec![0xAA; plan.body_len()];
//! plan.write(&mut body)?;
//!
//! let body = Body::open(plan.format().code(), plan.flags(), plan.type_code(), &body)?;
//! let Content::Value(headed) = body.content()? else { panic!("a value was sent") };
//! assert_eq!(headed.to_value()?, sent); // with copies of all bytes
//!
//! // Or without: what is out of line stays where it is.
//! let outline = headed.outline()?;
//! let pixels = headed.array(outline.get("pixels").unwrap())?.unwrap();
//! assert_eq!((pixels.descriptor, pixels.data.offset % 64), (shape, 0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod table;

#[cfg(feature = "arrow")]
pub use table::{Found as FoundTable, copied as copied_table};
pub use table::{Tables, write_table};

use crate::error::{DecodeError, DecodeErrorKind as Kind, EncodeError, EncodeErrorKind};
use crate::format::ndarray::{
    ByteOrder, Descriptor, Dtype, Kind as Element, MAX_NDIM, Order, View,
};
use crate::frame::{Format, Headed, Layout, MAX_BUFFERS, Part};
use crate::tag;
use crate::token::{Decoder, Encoder, Sink, Token};
use crate::value::{Outside, Value};

/// Byte strings of at least this many bytes go out of line, where there is a frame for them.
pub const BYTES_OUT_OF_LINE: usize = 64 << 10;
/// The same, for the data of arrays.
pub const ARRAY_OUT_OF_LINE: usize = 256;

/// The bytes of a byte string, or where they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bytes<'a> {
    /// In place.
    Inline(&'a [u8]),
    /// In the buffer of this number.
    Buffer(u64),
}

/// How the body of a value will be laid out. Made by [`plan()`].
#[derive(Debug)]
pub struct Plan<'v> {
    value: &'v Value,
    meta: Option<&'v [u8]>,
    layout: Layout,
}

/// Plans a frame of a value, with metadata (an encoded CBOR map with text keys) or without. The value is walked through for its
/// length, and once more when it is written: nothing stands between it and its place.
///
/// # Errors
///
/// Those of [`Value::write`], [`BufferUnknown`](EncodeErrorKind::BufferUnknown) for a [`tag::BUFFER`] in it,
/// [`MetaNotMap`](EncodeErrorKind::MetaNotMap), and [`BodyTooLarge`](EncodeErrorKind::BodyTooLarge).
pub fn plan<'v>(value: &'v Value, meta: Option<&'v [u8]>) -> Result<Plan<'v>, EncodeError> {
    crate::frame::check_meta(meta)?;
    let mut outside = outside();
    let mut encoder = Encoder::over(&mut []);
    value.write_head(&mut encoder, &mut outside)?;
    let lens = outside.pieces.iter().map(|piece| piece.len());
    let layout = Layout::new(Format::Value, encoder.len(), meta.map(<[u8]>::len), lens)?;
    Ok(Plan { value, meta, layout })
}

fn outside<'v>() -> Outside<'v> {
    Outside::of(MAX_BUFFERS, BYTES_OUT_OF_LINE, ARRAY_OUT_OF_LINE)
}

impl Plan<'_> {
    /// Bytes of the body.
    pub fn body_len(&self) -> usize {
        self.layout.body_len()
    }

    /// The codec's [`flags`](crate::frame::flags), for the frame header.
    pub fn flags(&self) -> u16 {
        self.layout.flags()
    }

    /// The format, for the frame header.
    pub fn format(&self) -> Format {
        Format::Value
    }

    /// The type code, for the frame header.
    pub fn type_code(&self) -> u16 {
        self.layout.type_code()
    }

    /// Writes the body, every byte of it.
    ///
    /// # Errors
    ///
    /// [`BodyLength`](EncodeErrorKind::BodyLength) if `body` has not [`body_len`](Self::body_len) bytes.
    pub fn write(&self, body: &mut [u8]) -> Result<(), EncodeError> {
        let (planned, found) = (self.body_len(), body.len());
        if planned != found {
            return Err(EncodeError::new(EncodeErrorKind::BodyLength { planned, found }));
        }
        let front = Layout::front(self.layout.buffers().len(), self.meta.is_some());
        let mut outside = outside();
        let mut encoder = Encoder::over(&mut body[front..]);
        self.value.write_head(&mut encoder, &mut outside)?;
        self.layout.write(body, front, self.meta)?;
        for (piece, place) in outside.pieces.iter().zip(self.layout.buffers()) {
            body[place.clone()].copy_from_slice(piece);
        }
        Ok(())
    }
}

impl<'a> Headed<'a> {
    /// The value whose head this is, as a tree in which [`tag::BUFFER`] and a number stand where bytes are out of line.
    /// [`bytes`](Self::bytes) and [`array`](Self::array) find them.
    ///
    /// # Errors
    ///
    /// Those of [`Value::decode`].
    pub fn outline(&self) -> Result<Value, DecodeError> {
        Value::decode(self.head.bytes).map_err(|error| error.shifted(self.head.offset))
    }

    /// The bytes that an item of the outline is, or stands for; `None` if it is no byte string.
    ///
    /// # Errors
    ///
    /// [`BufferUnknown`](Kind::BufferUnknown) and [`TagContent`](Kind::TagContent).
    pub fn bytes<'v>(&self, item: &'v Value) -> Result<Option<&'v [u8]>, DecodeError>
    where
        'a: 'v,
    {
        Ok(match item {
            Value::Bytes(bytes) => Some(bytes),
            Value::Tag(tag::BUFFER, number) => Some(self.buffer(number)?.bytes),
            _ => None,
        })
    }

    /// The array that an item of the outline is; `None` if it is none. One that is in line has its data in the tree, and the
    /// offset 0.
    ///
    /// # Errors
    ///
    /// Those of [`read_array`].
    pub fn array<'v>(&self, item: &'v Value) -> Result<Option<View<'v>>, DecodeError>
    where
        'a: 'v,
    {
        let Value::Tag(tag, _) = item else { return Ok(None) };
        if !is_array(*tag) {
            return Ok(None);
        }
        // What the array is, without its data if that is here.
        let mut outside = Outside { framed: false, ..Outside::of(1, usize::MAX, 0) };
        let mut head = Encoder::new();
        let refused = || DecodeError::tag_content(*tag, 0);
        item.write_head(&mut head, &mut outside).map_err(|_| refused())?;
        let here = outside.pieces.pop();
        let head = head.into_vec();
        let mut decoder = Decoder::new(&head);
        decoder.token()?;
        let (descriptor, bytes) = read_array(&mut decoder, *tag, |number| match here {
            Some(here) => (number == 0).then_some(here.len()),
            None => Some(self.buffers.get(usize::try_from(number).ok()?)?.bytes.len()),
        })?;
        let data = match (here, bytes) {
            (Some(bytes), _) => Part { offset: 0, bytes },
            (None, Bytes::Buffer(number)) => self.buffer(&Value::from(number))?,
            (None, Bytes::Inline(_)) => return Err(refused()),
        };
        Ok(Some(View { descriptor, data }))
    }

    fn buffer(&self, number: &Value) -> Result<Part<'a>, DecodeError> {
        let Value::Int(number) = *number else {
            return Err(DecodeError::tag_content(tag::BUFFER, 0));
        };
        let found = usize::try_from(number).ok().and_then(|number| self.buffers.get(number));
        let number = u64::try_from(number).unwrap_or(u64::MAX);
        found.copied().ok_or_else(|| DecodeError::buffer_unknown(number, 0))
    }
}

impl Value {
    /// An array: its data has the length that the descriptor says.
    ///
    /// # Panics
    ///
    /// If it has another one.
    pub fn ndarray(array: &Descriptor, data: Vec<u8>) -> Value {
        assert_eq!(array.byte_len(), data.len(), "the data of {array:?}");
        let data = Value::Bytes(data);
        let Some(typed) = array.dtype().and_then(typed_array) else {
            let parts = vec![Value::Bytes(array.to_head()), data];
            return Value::Tag(tag::NDARRAY, Box::new(Value::Array(parts)));
        };
        let flat = Value::Tag(typed, Box::new(data));
        if array.shape().len() == 1 {
            return flat;
        }
        let order = if array.order() == Order::F { tag::ARRAY_F } else { tag::ARRAY_C };
        let shape = array.shape().iter().map(|&length| Value::from(length)).collect();
        Value::Tag(order, Box::new(Value::Array(vec![Value::Array(shape), flat])))
    }
}

/// Writes what an array is, up to its data: after this comes one byte string, or [`tag::BUFFER`] and
/// the number of a buffer.
pub fn write_array<S: Sink>(encoder: &mut Encoder<S>, array: &Descriptor) {
    let Some(tag) = array.dtype().and_then(typed_array) else {
        encoder.tag(tag::NDARRAY).array(2).bytes(&array.to_head());
        return;
    };
    if array.shape().len() != 1 {
        let order = if array.order() == Order::F { tag::ARRAY_F } else { tag::ARRAY_C };
        encoder.tag(order).array(2).array(array.shape().len());
        array.shape().iter().for_each(|&length| {
            encoder.uint(length);
        });
    }
    encoder.tag(tag);
}

/// Whether an array follows this tag.
pub fn is_array(tag: u64) -> bool {
    matches!(tag, tag::ARRAY_C | tag::ARRAY_F | tag::NDARRAY) || typed_dtype(tag).is_some()
}

/// Reads an array after its tag, for which [`is_array`] holds. `buffer_len` says how long a buffer is,
/// where there is one of that number.
///
/// # Errors
///
/// [`TagContent`](Kind::TagContent), [`BufferUnknown`](Kind::BufferUnknown), [`DataLength`](Kind::DataLength), and those of the head.
pub fn read_array<'a>(
    decoder: &mut Decoder<'a>,
    tag: u64,
    buffer_len: impl Fn(u64) -> Option<usize>,
) -> Result<(Descriptor, Bytes<'a>), DecodeError> {
    let start = decoder.offset();
    let refused = || DecodeError::tag_content(tag, start);
    let shape_error = |_: EncodeError| DecodeError::new(Kind::ShapeOverflow, start);
    let pair = |decoder: &mut Decoder<'a>| match decoder.token()? {
        Token::Array(Some(2)) => Ok(()),
        _ => Err(refused()),
    };
    let mut described = None;
    let mut shape = None;
    let mut order = Order::C;
    let mut element = tag;
    match tag {
        tag::NDARRAY => {
            pair(decoder)?;
            let Token::Bytes(head) = decoder.token()? else { return Err(refused()) };
            described = Some(
                Descriptor::parse(head).map_err(|e| e.shifted(decoder.offset() - head.len()))?,
            );
        }
        tag::ARRAY_C | tag::ARRAY_F => {
            if tag == tag::ARRAY_F {
                order = Order::F;
            }
            pair(decoder)?;
            let Token::Array(Some(ndim @ 0..=MAX_NDIM)) = decoder.token()? else {
                return Err(refused());
            };
            let mut lengths = [0; MAX_NDIM];
            for length in &mut lengths[..ndim] {
                let Token::Unsigned(n) = decoder.token()? else { return Err(refused()) };
                *length = n;
            }
            shape = Some((lengths, ndim));
            let Token::Tag(inner) = decoder.token()? else { return Err(refused()) };
            element = inner;
        }
        _ => {}
    }
    let dtype = typed_dtype(element);
    if described.is_none() && dtype.is_none() {
        return Err(refused());
    }
    let at = decoder.offset();
    let bytes = read_bytes(decoder).ok_or_else(refused)??;
    let found = match bytes {
        Bytes::Inline(bytes) => bytes.len(),
        Bytes::Buffer(number) => {
            buffer_len(number).ok_or_else(|| DecodeError::buffer_unknown(number, at))?
        }
    };
    let descriptor = match (described, dtype, shape) {
        // Its data may be of any length, where the elements are.
        (Some(described), ..) if described.takes(found) => described.of_data(found),
        (Some(described), ..) => described,
        (None, Some(dtype), Some((lengths, ndim))) => {
            Descriptor::new(dtype, order, &lengths[..ndim]).map_err(shape_error)?
        }
        (None, Some(dtype), None) => {
            Descriptor::new(dtype, order, &[(found / dtype.item_size()) as u64])
                .map_err(shape_error)?
        }
        (None, None, _) => return Err(refused()),
    };
    if found != descriptor.byte_len() {
        let (expected, found) = (descriptor.byte_len() as u64, found as u64);
        return Err(DecodeError::new(Kind::DataLength { expected, found }, at));
    }
    Ok((descriptor, bytes))
}

/// The byte string that follows, in place or by number; `None` if something else follows.
fn read_bytes<'a>(decoder: &mut Decoder<'a>) -> Option<Result<Bytes<'a>, DecodeError>> {
    let start = decoder.offset();
    match decoder.token() {
        Ok(Token::Bytes(bytes)) => Some(Ok(Bytes::Inline(bytes))),
        Ok(Token::Tag(tag::BUFFER)) => match decoder.token() {
            Ok(Token::Unsigned(number)) => Some(Ok(Bytes::Buffer(number))),
            Ok(_) => Some(Err(DecodeError::tag_content(tag::BUFFER, start))),
            Err(error) => Some(Err(error)),
        },
        Ok(_) => None,
        Err(error) => Some(Err(error)),
    }
}

/// The tag of RFC 8746 for arrays of this dtype: 0b010, float, signed or little-endian float, little
/// endian, width.
fn typed_array(dtype: Dtype) -> Option<u64> {
    let width = dtype.item_size().trailing_zeros() as u64;
    let little = u64::from(dtype.byte_order() == ByteOrder::Little && width > 0) << 2;
    Some(match dtype.kind() {
        Element::Uint => tag::TYPED_ARRAYS | little | width,
        Element::Int => tag::TYPED_ARRAYS | 8 | little | width,
        Element::Float => tag::TYPED_ARRAYS | 16 | little | (width - 1),
        _ => return None,
    })
}

/// The dtype of a typed array with this tag.
fn typed_dtype(tag: u64) -> Option<Dtype> {
    // The two that have no byte order: u1, where the bit for little means clamped, and i1.
    let (letter, size) = match tag {
        64..=71 => ('u', 1 << (tag & 3)),
        72..=75 | 77..=79 => ('i', 1 << (tag & 3)),
        80..=82 | 84..=86 => ('f', 2 << (tag & 3)),
        _ => return None,
    };
    let order = if tag & 4 == 0 { '>' } else { '<' };
    format!("{order}{letter}{size}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R4.5: the tags are those of RFC 8746, table 1 and 2.
    #[test]
    fn typed_arrays_have_their_registered_tags() {
        let registered = [
            ("u1", 64),
            (">u2", 65),
            (">u4", 66),
            (">u8", 67),
            ("<u2", 69),
            ("<u4", 70),
            ("<u8", 71),
            ("i1", 72),
            (">i2", 73),
            (">i4", 74),
            (">i8", 75),
            ("<i2", 77),
            ("<i4", 78),
            ("<i8", 79),
            (">f2", 80),
            (">f4", 81),
            (">f8", 82),
            ("<f2", 84),
            ("<f4", 85),
            ("<f8", 86),
        ];
        for (name, tag) in registered {
            let dtype: Dtype = name.parse().unwrap();
            assert_eq!((typed_array(dtype), typed_dtype(tag)), (Some(tag), Some(dtype)), "{name}");
        }
        // 68 is u1 that clamps; 76 is reserved; 83 and 87 are floats of 128 bits.
        assert_eq!(typed_dtype(68), Some(Dtype::U8));
        for other in [0, 63, 76, 83, 87, 88] {
            assert_eq!(typed_dtype(other), None);
        }
        assert_eq!((typed_array(Dtype::BOOL), typed_array(Dtype::C128)), (None, None));
    }

    /// R4.1: an array comes back from among other values, in place or from a buffer; lengths that do
    /// not fit are refused.
    #[test]
    fn arrays_in_values_come_back() {
        for (dtype, order, shape) in [
            ("<f8", Order::C, &[2, 3][..]),
            (">i2", Order::F, &[2, 0, 3]),
            ("u1", Order::C, &[5]),
            ("c8", Order::C, &[]),
            ("b1", Order::C, &[3]),
        ] {
            let array = Descriptor::new(dtype.parse::<Dtype>().unwrap(), order, shape).unwrap();
            let data: Vec<u8> = (0..array.byte_len() as u8).collect();
            let mut encoder = Encoder::new();
            write_array(&mut encoder, &array);
            let front = encoder.len();
            encoder.bytes(&data);
            let inline = encoder.into_vec();
            let mut encoder = Encoder::append(inline[..front].to_vec());
            encoder.tag(tag::BUFFER).uint(3);
            let outside = encoder.into_vec();
            for (bytes, expected) in [(&inline, Bytes::Inline(&data)), (&outside, Bytes::Buffer(3))]
            {
                let read = |len| {
                    let mut decoder = Decoder::new(bytes);
                    let Token::Tag(tag) = decoder.token().unwrap() else { panic!("{bytes:?}") };
                    assert!(is_array(tag));
                    let read =
                        read_array(&mut decoder, tag, |number| (number == 3).then_some(len))?;
                    decoder.finish()?;
                    Ok::<_, DecodeError>(read)
                };
                assert_eq!(read(data.len()).unwrap(), (array.clone(), expected));
                if expected == Bytes::Buffer(3) && (shape.len() != 1 || dtype == "b1") {
                    assert!(matches!(
                        read(data.len() + 1).unwrap_err().kind(),
                        Kind::DataLength { .. }
                    ));
                }
                Value::decode(bytes).unwrap();
                for end in 0..bytes.len() {
                    let mut decoder = Decoder::new(&bytes[..end]);
                    if let Ok(Token::Tag(tag)) = decoder.token() {
                        assert!(read_array(&mut decoder, tag, |_| None).is_err());
                    }
                }
            }
        }
    }
}
