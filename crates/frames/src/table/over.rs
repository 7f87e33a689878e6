//! Arrays over the memory of a frame, checked once.
//!
//! The codec has checked what anybody who follows offsets and indices must know. What Rust's types promise beyond that is checked
//! here, and only that: texts. Other arrays than those of numbers, bits, bytes, texts, and dictionaries of them, and what was made
//! beside the frame, are left to arrow-rs, which checks everything (again).

use super::Table;
use arrow_array::{RecordBatch, RecordBatchOptions, make_array};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer};
use arrow_data::ArrayData;
use arrow_schema::{ArrowError, DataType};
use slipring_codec::evolution::Made;
use slipring_codec::format::arrow::{self, Column};
use std::ops::Range;
use std::sync::Arc;

/// The batches of a table over `memory` and what was `made` beside it.
///
/// # Safety
///
/// The table was read from this memory with [`Checks`](arrow::Checks) of any kind, or is a [`Projection`] of one that was; nobody
/// changes it, and so nobody has since.
///
/// [`Projection`]: slipring_codec::evolution::Projection
pub(super) unsafe fn table(
    read: &arrow::Table,
    memory: &Buffer,
    made: Option<&Made>,
) -> Result<Table, ArrowError> {
    let mut batches = Vec::with_capacity(read.batches.len());
    for batch in &read.batches {
        let mut columns = Vec::with_capacity(batch.columns.len());
        for column in &batch.columns {
            // SAFETY: a column of the table, for which the caller vouches.
            columns.push(make_array(unsafe { array(column, memory, made) }?));
        }
        let options = RecordBatchOptions::new().with_row_count(Some(batch.len));
        let schema = Arc::clone(&read.schema);
        batches.push(RecordBatch::try_new_with_options(schema, columns, &options)?);
    }
    Ok(Table { schema: Arc::clone(&read.schema), batches })
}

/// # Safety
///
/// As [`table`] asks, of a column or of a dictionary's values.
unsafe fn array(
    column: &Column,
    memory: &Buffer,
    made: Option<&Made>,
) -> Result<ArrayData, ArrowError> {
    let mut values = None;
    let plain = match &column.data_type {
        DataType::Utf8 | DataType::Binary => bytes::<4>(column, memory),
        DataType::LargeUtf8 | DataType::LargeBinary => bytes::<8>(column, memory),
        DataType::Dictionary(_, _) => match column.dictionary.as_deref() {
            Some(of) => {
                // SAFETY: as asked of the whole.
                values = Some(unsafe { array(of, memory, made) }?);
                true
            }
            None => false,
        },
        DataType::Boolean | DataType::FixedSizeBinary(_) => true,
        other => other.is_primitive(),
    };
    // Some writers begin at other multiples of 8 than ours, and 128 bits may want 16.
    let whole = |place: &Range<usize>| {
        place.end <= memory.len() && memory[place.clone()].as_ptr().align_offset(16) == 0
    };
    // What was made lies beyond the body.
    let inside = column.validity.as_ref().is_none_or(|place| place.end <= memory.len());
    if !plain || !inside || !column.buffers.iter().all(whole) {
        return match made {
            Some(made) => made.to_data(column, memory),
            None => column.to_data(memory),
        };
    }
    let cut = |place: &Range<usize>| memory.slice_with_length(place.start, place.len());
    let nulls = column.validity.as_ref().map(|place| {
        let bits = BooleanBuffer::new(cut(place), 0, column.len);
        // SAFETY: the codec has counted them.
        unsafe { NullBuffer::new_unchecked(bits, column.null_count) }
    });
    let builder = ArrayData::builder(column.data_type.clone())
        .len(column.len)
        .nulls(nulls)
        .buffers(column.buffers.iter().map(cut).collect())
        .child_data(values.into_iter().collect());
    // SAFETY: what `ArrayData::validate_full` would look at, and who has:
    // - as many buffers as the type has, each long enough for its elements, aligned: the codec, and `whole`;
    // - the bits of nulls, as many as there are elements, counted right: the codec;
    // - offsets that do not fall, the first not below 0, the last within the values; and there is one more of them than elements, also
    //   where there are none: the codec, and `bytes`;
    // - texts: `bytes`;
    // - an index of a dictionary is of a value where the element is not null, and the values are an array of that type: the codec.
    Ok(unsafe { builder.build_unchecked() })
}

/// Whether arrow-rs can have texts and bytes as they are: there is an offset to start from, and the text of every element, be it
/// null, is UTF-8, since there it can be asked for.
fn bytes<const WIDTH: usize>(column: &Column, memory: &Buffer) -> bool {
    let [offsets, values] = &column.buffers[..] else { return false };
    let (Some(offsets), Some(values)) = (memory.get(offsets.clone()), memory.get(values.clone()))
    else {
        return false;
    };
    let offsets = offsets.as_chunks::<WIDTH>().0;
    if offsets.len() <= column.len {
        return false;
    }
    if matches!(column.data_type, DataType::Binary | DataType::LargeBinary) {
        return true;
    }
    let offset = |bytes: &[u8; WIDTH]| {
        let mut wide = [0; 8];
        wide[..WIDTH].copy_from_slice(bytes);
        u64::from_le_bytes(wide) as usize
    };
    let (first, last) = (offset(&offsets[0]), offset(&offsets[column.len]));
    let Some(texts) = values.get(first..last) else { return false };
    texts.is_ascii()
        || str::from_utf8(texts).is_ok_and(|texts| {
            offsets[..=column.len].iter().all(|at| {
                offset(at).checked_sub(first).is_some_and(|at| texts.is_char_boundary(at))
            })
        })
}
