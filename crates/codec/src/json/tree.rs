//! JSON from and to a [`Value`].

use super::{Close, Item, JsonFault, Options, Reader, Writer};
use crate::error::{DecodeError, EncodeError, EncodeErrorKind, Segment};
use crate::tag::{NEGATIVE_BIG, POSITIVE_BIG};
use crate::token::{MAX_DEPTH, Sink};
use crate::value::Value;

/// The value that a text says. Of a key that stands twice the last value stays. Integers beyond 128 bits become the tags
/// that CBOR has for them.
///
/// # Errors
///
/// Those of kind [`Json`](crate::DecodeErrorKind::Json), with path, line and column.
pub fn from_slice(text: &[u8]) -> Result<Value, DecodeError> {
    let mut reader = Reader::new(text, Options::default());
    let value = read(&mut reader, 0)?;
    reader.finish()?;
    Ok(value)
}

fn read(reader: &mut Reader<'_>, depth: usize) -> Result<Value, DecodeError> {
    let at = reader.offset();
    Ok(match reader.item(depth)? {
        Item::Null => Value::Null,
        Item::Bool(truth) => Value::Bool(truth),
        Item::Int(n) => Value::Int(n.into()),
        Item::Big(digits) => match big(digits) {
            Some(value) => value,
            None => return reader.wrong_at(JsonFault::Digits { limit: DIGITS }, at),
        },
        Item::Float(x) => Value::Float(x),
        // The options did not ask for it.
        Item::Decimal(text) => Value::Float(text.parse().unwrap_or(f64::NAN)),
        Item::Text(text) => Value::Text(owned(text)),
        Item::Array | Item::Object if depth >= MAX_DEPTH => {
            return reader.wrong_at(JsonFault::TooDeep { limit: MAX_DEPTH }, at);
        }
        Item::Array => {
            let mut items = Vec::new();
            let mut more = reader.first(Close::Array)?;
            while more {
                let item = read(reader, depth + 1);
                items.push(item.map_err(|e| e.within(Segment::Index(items.len())))?);
                more = reader.more(Close::Array)?;
            }
            Value::Array(items)
        }
        Item::Object => {
            let mut pairs: Vec<(Value, Value)> = Vec::new();
            let mut places = std::collections::HashMap::new();
            let mut more = reader.first(Close::Object)?;
            while more {
                let key = reader.key(pairs.len())?;
                let key = owned(key);
                let value = read(reader, depth + 1).map_err(|e| e.within(Segment::key(&key)))?;
                match places.get(&key) {
                    Some(&place) => {
                        let pair: &mut (Value, Value) = &mut pairs[place];
                        pair.1 = value;
                    }
                    None => {
                        places.insert(key.clone(), pairs.len());
                        pairs.push((Value::Text(key), value));
                    }
                }
                more = reader.more(Close::Object)?;
            }
            Value::Map(pairs)
        }
    })
}

fn owned(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

/// Digits that an integer may have: to take more apart would take long.
const DIGITS: usize = 4096;

/// An integer of any size, or `None` if it is too long.
fn big(digits: &str) -> Option<Value> {
    const INLINE: std::ops::RangeInclusive<i128> = -(1 << 64)..=(1 << 64) - 1;
    if let Ok(n) = digits.parse()
        && INLINE.contains(&n)
    {
        return Some(Value::Int(n));
    }
    let magnitude = digits.trim_start_matches('-');
    if magnitude.len() > DIGITS {
        return None;
    }
    let mut bytes: Vec<u8> = Vec::new();
    for digit in magnitude.bytes() {
        let mut carry = u32::from(digit - b'0');
        for byte in &mut bytes {
            carry += u32::from(*byte) * 10;
            *byte = carry as u8;
            carry >>= 8;
        }
        if carry > 0 {
            bytes.push(carry as u8);
        }
    }
    let negative = magnitude.len() < digits.len();
    if negative {
        // The tag has -1 - n.
        for byte in &mut bytes {
            let borrow;
            (*byte, borrow) = byte.overflowing_sub(1);
            if !borrow {
                break;
            }
        }
    }
    bytes.reverse();
    let first = bytes.iter().position(|&byte| byte != 0).unwrap_or(0);
    let tag = if negative { NEGATIVE_BIG } else { POSITIVE_BIG };
    Some(Value::Tag(tag, Box::new(Value::Bytes(bytes.split_off(first)))))
}

/// The digits of an integer, of which a tag has the bytes; `None` if it is too long.
fn digits(negative: bool, bytes: &[u8]) -> Option<String> {
    if bytes.len() * 12 / 5 > DIGITS {
        return None;
    }
    // The lowest first.
    let mut digits = vec![0u8];
    let mut shift_in = |by: u32, plus: u32| {
        let mut carry = plus;
        for digit in &mut digits {
            carry += u32::from(*digit) * by;
            *digit = (carry % 10) as u8;
            carry /= 10;
        }
        while carry > 0 {
            digits.push((carry % 10) as u8);
            carry /= 10;
        }
    };
    bytes.iter().for_each(|&byte| shift_in(256, byte.into()));
    // Of a negative one the tag has -1 - n.
    shift_in(1, negative.into());
    let sign = if negative { "-" } else { "" };
    let digits = digits.iter().rev().map(|&digit| char::from(b'0' + digit));
    Some(sign.chars().chain(digits).collect())
}

/// A value as JSON: null, booleans, integers, finite floats, texts, arrays, and maps whose keys are texts.
///
/// # Errors
///
/// [`NoJson`](EncodeErrorKind::NoJson) with the path, for anything else.
pub fn to_vec(value: &Value) -> Result<Vec<u8>, EncodeError> {
    let mut out = Writer::new(Vec::new());
    write_value(&mut out, value)?;
    Ok(out.into_sink())
}

/// Writes a value as JSON.
///
/// # Errors
///
/// As [`to_vec`]; a part of it is written then.
pub fn write_value<S: Sink>(out: &mut Writer<S>, value: &Value) -> Result<(), EncodeError> {
    write(out, value, 0)
}

fn write<S: Sink>(out: &mut Writer<S>, value: &Value, depth: usize) -> Result<(), EncodeError> {
    let refused = |what| Err(EncodeError::new(EncodeErrorKind::NoJson { what }));
    if depth >= MAX_DEPTH && matches!(value, Value::Array(_) | Value::Map(_)) {
        return refused("so deep a value");
    }
    match value {
        Value::Null => out.null(),
        Value::Bool(truth) => out.bool(*truth),
        Value::Int(n) => match i64::try_from(*n) {
            Ok(n) => out.int(n),
            Err(_) => out.put(n.to_string().as_bytes()),
        },
        Value::Float(x) => {
            if !out.float(*x) {
                return refused("a float that is no number");
            }
        }
        Value::Text(text) => out.text(text),
        Value::Array(items) => {
            out.put(b"[");
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.put(b",");
                }
                write(out, item, depth + 1).map_err(|e| e.within(Segment::Index(index)))?;
            }
            out.put(b"]");
        }
        Value::Map(pairs) => {
            out.put(b"{");
            for (index, (key, value)) in pairs.iter().enumerate() {
                let Value::Text(key) = key else {
                    return refused("a key that is no text")
                        .map_err(|e| e.within(Segment::KeyOf(index)));
                };
                if index > 0 {
                    out.put(b",");
                }
                out.text(key);
                out.put(b":");
                write(out, value, depth + 1).map_err(|e| e.within(Segment::key(key)))?;
            }
            out.put(b"}");
        }
        Value::Bytes(_) => return refused("a byte string"),
        Value::Tag(tag @ (POSITIVE_BIG | NEGATIVE_BIG), content) => match &**content {
            Value::Bytes(bytes) => match digits(*tag == NEGATIVE_BIG, bytes) {
                Some(digits) => out.put(digits.as_bytes()),
                None => return refused("so long an integer"),
            },
            _ => return refused("a tag"),
        },
        Value::Tag(..) => return refused("a tag"),
    }
    Ok(())
}
