//! Texts as the dictionary that was announced.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowDictionaryKeyType, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_array::{
    Array, ArrayRef, DictionaryArray, LargeStringArray, PrimitiveArray, StringArray,
    StringViewArray, make_array,
};
use arrow_buffer::ArrowNativeType;
use arrow_data::ArrayData;
use arrow_schema::DataType;

/// Texts, plain or in another dictionary, as one dictionary that all pieces share, and in which each stands once. `None`: they are no
/// texts, or there are more than the indices count.
pub(super) fn packed(
    pieces: &[&ArrayData],
    was: &DataType,
    index: &DataType,
    values: &DataType,
) -> Option<Vec<ArrayData>> {
    use DataType::*;
    let plain = match was {
        Dictionary(_, values) => values,
        plain => plain,
    };
    if !is_text(plain) || !is_text(values) {
        return None;
    }
    // Whatever library has made them.
    pieces.iter().try_for_each(|piece| piece.validate_full()).ok()?;
    let pieces: Vec<ArrayRef> = pieces.iter().map(|&piece| make_array(piece.clone())).collect();
    let (mut known, mut once) = (HashMap::new(), Vec::new());
    let mut number = |text| {
        *known.entry(text).or_insert_with(|| {
            once.push(text);
            once.len() - 1
        })
    };
    let numbers: Vec<Vec<Option<usize>>> = pieces
        .iter()
        .map(|piece| texts(piece).map(|text| text.map(&mut number)).collect())
        .collect();
    let values: ArrayRef = match values {
        Utf8 => {
            i32::try_from(once.iter().map(|text| text.len()).sum::<usize>()).ok()?;
            Arc::new(StringArray::from_iter_values(once))
        }
        LargeUtf8 => Arc::new(LargeStringArray::from_iter_values(once)),
        _ => Arc::new(StringViewArray::from_iter_values(once)),
    };
    match index {
        Int8 => indexed::<Int8Type>(numbers, &values),
        Int16 => indexed::<Int16Type>(numbers, &values),
        Int32 => indexed::<Int32Type>(numbers, &values),
        Int64 => indexed::<Int64Type>(numbers, &values),
        UInt8 => indexed::<UInt8Type>(numbers, &values),
        UInt16 => indexed::<UInt16Type>(numbers, &values),
        UInt32 => indexed::<UInt32Type>(numbers, &values),
        _ => indexed::<UInt64Type>(numbers, &values),
    }
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// The texts of a column that has such.
fn texts(column: &ArrayRef) -> Box<dyn Iterator<Item = Option<&str>> + '_> {
    match column.data_type() {
        DataType::Utf8 => Box::new(column.as_string::<i32>().iter()),
        DataType::LargeUtf8 => Box::new(column.as_string::<i64>().iter()),
        DataType::Utf8View => Box::new(column.as_string_view().iter()),
        _ => {
            let dictionary = column.as_any_dictionary();
            let values: Vec<_> = texts(dictionary.values()).collect();
            // Without values it has no keys but nulls.
            let keys = if values.is_empty() { vec![] } else { dictionary.normalized_keys() };
            Box::new(
                (0..column.len())
                    .map(move |row| if dictionary.is_null(row) { None } else { values[keys[row]] }),
            )
        }
    }
}

fn indexed<K: ArrowDictionaryKeyType>(
    numbers: Vec<Vec<Option<usize>>>,
    values: &ArrayRef,
) -> Option<Vec<ArrayData>> {
    let key =
        |number: Option<usize>| number.map_or(Some(None), |n| K::Native::from_usize(n).map(Some));
    let one = |numbers: Vec<Option<usize>>| {
        let keys: Option<PrimitiveArray<K>> = numbers.into_iter().map(key).collect();
        Some(DictionaryArray::try_new(keys?, Arc::clone(values)).ok()?.into_data())
    };
    numbers.into_iter().map(one).collect()
}
