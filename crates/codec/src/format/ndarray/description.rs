//! What letters can't say of a dtype, as CBOR.
//!
//! ```text
//! element       [kind, byte order, item size] or [kind, byte order, item size, description]
//! description
//!   f16, c32    "x87" or "binary128"
//!   m, M        [unit, count]
//!   V           {"fields": [field ...], "aligned": bool} of a struct
//!               {"shape": [length ...], "element": element} of a subarray, only within a struct
//!   T           {"coerce": bool} or {"coerce": bool, "missing": null, NaN or a text}
//! field         [name, offset, element] or [name, offset, element, title]
//! ```
//!
//! 1. Kind, byte order and item size are those of the head, the letters as texts of one character. The
//!    head has the description of its element behind its shape.
//! 2. Kinds that are not in the list have none. `V` without one is bytes of which nothing is known.
//! 3. The item size is what the description makes; that of a struct is its own, and no field reaches
//!    beyond it.

use super::element::{
    Element, Field, LongDouble, Missing, MissingValue, Struct, Subarray, TimeUnit,
};
use super::{ByteOrder, Dtype};
use crate::error::{DecodeError, DecodeErrorKind, DtypeFault, Segment};
use crate::token::{Encoder, Sink};
use crate::value::Value;

/// Whether an element has a description.
pub(super) fn is_described(element: &Element) -> bool {
    match element {
        Element::Numeric(_) | Element::Bytes { .. } | Element::Text { .. } => false,
        Element::Void { .. } => false,
        Element::LongDouble { .. } | Element::Time { .. } | Element::Struct(_) => true,
        Element::Subarray(_) | Element::String(_) => true,
    }
}

/// Writes the description of an element that has one.
pub(super) fn write<S: Sink>(element: &Element, out: &mut Encoder<S>) {
    match element {
        Element::Numeric(_) | Element::Bytes { .. } | Element::Text { .. } => {}
        Element::Void { .. } => {}
        Element::LongDouble { format, .. } => {
            out.text(format.name());
        }
        Element::Time { unit, count, .. } => {
            out.array(2).text(unit.name()).uint((*count).into());
        }
        Element::Struct(of) => {
            out.map(2).text("fields").array(of.fields().len());
            for Field { name, title, offset, element } in of.fields() {
                out.array(3 + usize::from(title.is_some())).text(name).uint((*offset).into());
                write_element(element, out);
                title.as_deref().map(|title| out.text(title));
            }
            out.text("aligned").bool(of.is_aligned());
        }
        Element::Subarray(of) => {
            out.map(2).text("shape").array(of.shape().len());
            of.shape().iter().for_each(|&length| {
                out.uint(length.into());
            });
            write_element(of.element(), out.text("element"));
        }
        Element::String(of) => {
            let some = usize::from(of.value != MissingValue::No);
            out.map(1 + some).text("coerce").bool(of.coerce);
            match &of.value {
                MissingValue::No => out,
                MissingValue::Null => out.text("missing").null(),
                MissingValue::Nan => out.text("missing").float(f64::NAN),
                MissingValue::Text(text) => out.text("missing").text(text),
            };
        }
    }
}

fn write_element<S: Sink>(element: &Element, out: &mut Encoder<S>) {
    let (kind, order) = element.letters();
    out.array(3 + usize::from(is_described(element)));
    out.text(&char::from(kind).to_string()).text(&char::from(order).to_string());
    write(element, out.uint(element.item_size() as u64));
}

#[cold]
fn fault(fault: DtypeFault) -> DecodeError {
    DecodeError::new(DecodeErrorKind::DtypeDescription { fault }, 0)
}

/// The element of these fields of a head. Offsets of errors count from the description.
pub(super) fn read(
    kind: u8,
    byte_order: u8,
    item_size: u32,
    description: Option<&[u8]>,
) -> Result<Element, DecodeError> {
    let description = description.map(Value::decode).transpose()?;
    let element = parse(kind, byte_order, item_size, description.as_ref())?;
    match element {
        Element::Subarray(_) => Err(fault(DtypeFault::Place)),
        element => Ok(element),
    }
}

fn parse(
    kind: u8,
    order: u8,
    item_size: u32,
    description: Option<&Value>,
) -> Result<Element, DecodeError> {
    let unknown = || {
        let kind = DecodeErrorKind::DtypeUnknown { kind, byte_order: order, item_size };
        Err(DecodeError::new(kind, 0))
    };
    let byte_order = match order {
        b'<' => Some(ByteOrder::Little),
        b'>' => Some(ByteOrder::Big),
        _ => None,
    };
    let element = match (kind, byte_order, item_size, description) {
        (b'f', Some(byte_order), 16, Some(of)) | (b'c', Some(byte_order), 32, Some(of)) => {
            let format = LongDouble::ALL.into_iter().find(|format| is_text(of, format.name()));
            let format = format.ok_or_else(|| fault(DtypeFault::Form))?;
            Element::LongDouble { format, complex: kind == b'c', byte_order }
        }
        (b'm' | b'M', Some(byte_order), 8, Some(Value::Array(of))) => {
            let [Value::Text(unit), count] = &of[..] else { return Err(fault(DtypeFault::Form)) };
            let unit = TimeUnit::from_name(unit).ok_or_else(|| fault(DtypeFault::Unit))?;
            let count = small(count).ok_or_else(|| fault(DtypeFault::Unit))?;
            Element::Time { since_1970: kind == b'M', unit, count, byte_order }
        }
        (b'S', None, len, None) if order == b'|' => Element::Bytes { len },
        (b'U', Some(byte_order), size, None) if size.is_multiple_of(4) => {
            Element::Text { len: size / 4, byte_order }
        }
        (b'V', None, len, None) if order == b'|' => Element::Void { len },
        (b'V', None, _, Some(of)) if order == b'|' => match (of.get("fields"), of) {
            (Some(fields), Value::Map(entries)) if entries.len() == 2 => {
                parse_struct(fields, of, item_size)?
            }
            (None, Value::Map(entries)) if entries.len() == 2 => parse_subarray(of, item_size)?,
            _ => return Err(fault(DtypeFault::Form)),
        },
        (b'T', None, 0, Some(of)) if order == b'|' => parse_string(of)?,
        // The letters are known, and the description is missing or of another form.
        (b'm' | b'M', Some(_), 8, _) => return Err(fault(DtypeFault::Form)),
        (b'f', Some(_), 16, None) | (b'c', Some(_), 32, None) => {
            return Err(fault(DtypeFault::Form));
        }
        (b'T', None, 0, None) if order == b'|' => return Err(fault(DtypeFault::Form)),
        (_, _, _, None) => match Dtype::from_fields(kind, order, item_size) {
            Some(dtype) => Element::Numeric(dtype),
            None => return unknown(),
        },
        _ => return unknown(),
    };
    element.check().map_err(fault)?;
    Ok(element)
}

fn parse_struct(fields: &Value, of: &Value, item_size: u32) -> Result<Element, DecodeError> {
    let (Value::Array(fields), Some(&Value::Bool(aligned))) = (fields, of.get("aligned")) else {
        return Err(fault(DtypeFault::Form));
    };
    let within = |error: DecodeError, i| error.within(Segment::Index(i)).within_field("fields");
    let fields: Result<Vec<_>, _> = (fields.iter().enumerate())
        .map(|(i, field)| parse_field(field).map_err(|error| within(error, i)))
        .collect();
    match Struct::checked(fields?, item_size, aligned) {
        Ok(of) => Ok(of.into()),
        Err((kind, Some(i))) => Err(within(fault(kind), i)),
        Err((kind, None)) => Err(fault(kind)),
    }
}

fn parse_field(field: &Value) -> Result<Field, DecodeError> {
    let form = || fault(DtypeFault::Form);
    let Value::Array(items) = field else { return Err(form()) };
    let (name, offset, element, title) = match &items[..] {
        [Value::Text(name), offset, element] => (name, offset, element, None),
        [Value::Text(name), offset, element, Value::Text(title)] => {
            (name, offset, element, Some(title.as_str().into()))
        }
        _ => return Err(form()),
    };
    let offset = small(offset).ok_or_else(|| fault(DtypeFault::FieldOutside))?;
    Ok(Field { name: name.as_str().into(), title, offset, element: parse_element(element)? })
}

fn parse_subarray(of: &Value, item_size: u32) -> Result<Element, DecodeError> {
    let (Some(Value::Array(shape)), Some(element)) = (of.get("shape"), of.get("element")) else {
        return Err(fault(DtypeFault::Form));
    };
    let shape: Option<Vec<u32>> = shape.iter().map(small).collect();
    let shape = shape.ok_or_else(|| fault(DtypeFault::Subarray))?;
    let element = parse_element(element).map_err(|error| error.within_field("element"))?;
    let of = Subarray::checked(element, &shape).map_err(fault)?;
    match of.item_size() == item_size as usize {
        true => Ok(of.into()),
        false => Err(fault(DtypeFault::ItemSize)),
    }
}

fn parse_string(of: &Value) -> Result<Element, DecodeError> {
    let form = || fault(DtypeFault::Form);
    let (Value::Map(entries), Some(&Value::Bool(coerce))) = (of, of.get("coerce")) else {
        return Err(form());
    };
    let missing = of.get("missing");
    if entries.len() != 1 + usize::from(missing.is_some()) {
        return Err(form());
    }
    let value = match missing {
        None => MissingValue::No,
        Some(Value::Null) => MissingValue::Null,
        Some(Value::Float(x)) if x.is_nan() => MissingValue::Nan,
        Some(Value::Text(text)) => MissingValue::Text(text.as_str().into()),
        Some(_) => return Err(form()),
    };
    Ok(Element::String(Missing { value, coerce }.into()))
}

/// An element within a description.
fn parse_element(value: &Value) -> Result<Element, DecodeError> {
    let form = || fault(DtypeFault::Form);
    let Value::Array(items) = value else { return Err(form()) };
    let [Value::Text(kind), Value::Text(order), size, rest @ ..] = &items[..] else {
        return Err(form());
    };
    let (&[kind], &[order]) = (kind.as_bytes(), order.as_bytes()) else { return Err(form()) };
    let size = small(size).ok_or_else(|| fault(DtypeFault::ItemSize))?;
    match rest {
        [] => parse(kind, order, size, None),
        [description] => parse(kind, order, size, Some(description)),
        _ => Err(form()),
    }
}

fn is_text(value: &Value, wanted: &str) -> bool {
    matches!(value, Value::Text(text) if text == wanted)
}

fn small(value: &Value) -> Option<u32> {
    match value {
        Value::Int(n) => u32::try_from(*n).ok(),
        _ => None,
    }
}
