//! Tensors made of arrays, and numbers of single elements.

use super::names;
use super::terms::{self, Word};
use crate::error::Fault;
use crate::{atoms, dtype};
use rustler::{Atom, Env};
use slipring_codec::format::ndarray::{ByteOrder, Descriptor, Dtype, Kind, Order};

/// Shape, type, order and byte order of a tensor, as its struct has them.
pub(crate) fn facts<'a>(env: Env<'a>, array: &Descriptor) -> Result<[Word<'a>; 4], Fault> {
    let (of, byte_order) = dtype::term(env, array.element())?;
    let lengths: Vec<Word<'_>> =
        array.shape().iter().map(|&length| terms::make_uint(env, length)).collect();
    let order = if array.order() == Order::F { atoms::fortran() } else { atoms::c() };
    Ok([terms::make_tuple(env, &lengths), of.into(), order.into(), byte_order.into()])
}

/// A number that was one element.
pub(crate) enum Number {
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
}

/// The number that the bytes of one element are; `None` for a complex one.
pub(crate) fn element(dtype: Dtype, bytes: &[u8]) -> Option<Number> {
    let mut low = [0; 8];
    let place = low.get_mut(..bytes.len()).filter(|place| place.len() == dtype.item_size())?;
    place.copy_from_slice(bytes);
    if dtype.byte_order() == ByteOrder::Big {
        place.reverse();
    }
    let bits = u64::from_le_bytes(low);
    Some(match (dtype.kind(), dtype.item_size()) {
        (Kind::Bool, _) => Number::Bool(bits != 0),
        (Kind::Uint, _) => Number::Uint(bits),
        (Kind::Int, size) => {
            let unused = 64 - 8 * size as u32;
            Number::Int((bits << unused) as i64 >> unused)
        }
        (Kind::Float, 2) => Number::Float(half(bits as u16)),
        (Kind::Float, 4) => Number::Float(f32::from_bits(bits as u32).into()),
        (Kind::Float, _) => Number::Float(f64::from_bits(bits)),
        _ => return None,
    })
}

/// A float of 16 bits, which CBOR has as well.
pub(crate) fn half(bits: u16) -> f64 {
    let [high, low] = bits.to_be_bytes();
    match slipring_codec::Decoder::new(&[0xF9, high, low]).token() {
        Ok(slipring_codec::Token::Float(value)) => value,
        _ => f64::NAN,
    }
}

/// The bytes of an element that is filled up with zeros.
pub(crate) fn filled(bytes: &[u8]) -> &[u8] {
    let len = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    &bytes[..len]
}

/// The text of such an element; `None` where it holds what is no character.
pub(crate) fn text(byte_order: ByteOrder, bytes: &[u8]) -> Option<String> {
    let point = |bytes: &[u8; 4]| match byte_order {
        ByteOrder::Big => u32::from_be_bytes(*bytes),
        _ => u32::from_le_bytes(*bytes),
    };
    let (points, rest) = bytes.as_chunks::<4>();
    let len = points.iter().rposition(|bytes| *bytes != [0; 4]).map_or(0, |last| last + 1);
    let text = points[..len].iter().map(|bytes| char::from_u32(point(bytes))).collect();
    rest.is_empty().then_some(text)?
}

/// The names of the four [`facts`], in their order.
pub(crate) const FIELDS: [fn() -> Atom; 4] =
    [names::shape, names::type_, names::order, names::byte_order];
