//! How many elements of a column are null, whatever says so: the column, or what its elements stand in.

use std::ops::Range;

use arrow_buffer::Buffer;
use arrow_data::ArrayData;
use arrow_schema::{ArrowError, DataType, UnionMode};

use crate::format::arrow::Column;

/// Whether an element is null, as [`null_rows`] says it, of a column that was read; `part` gives the bytes of a place.
pub fn has_nulls<'a>(column: &Column, part: impl Fn(&Range<usize>) -> Option<&'a [u8]>) -> bool {
    if column.null_count != 0 || !may_be_within(column) {
        return column.null_count != 0;
    }
    let copy = |place: &Range<usize>| {
        let elsewhere = || ArrowError::InvalidArgumentError("the body is another one".to_owned());
        part(place).map(Buffer::from).ok_or_else(elsewhere)
    };
    // What can't be read is refused by who reads it.
    column.data_of(&copy).is_ok_and(|data| null_rows(&data).next().is_some())
}

fn may_be_within(column: &Column) -> bool {
    let may_be = |child: &Column| child.null_count != 0 || may_be_within(child);
    is_shared(&column.data_type)
        && column.children.iter().chain(column.dictionary.as_deref()).any(may_be)
}

/// Whether an array within says what is null.
fn is_shared(data_type: &DataType) -> bool {
    use DataType::{Dictionary, RunEndEncoded, Union};
    matches!(data_type, Dictionary(..) | RunEndEncoded(..) | Union(..))
}

/// The rows that are null: also of unions and runs, which have no nulls themselves, and of dictionaries with a null among their values.
pub fn null_rows(data: &ArrayData) -> impl Iterator<Item = usize> + '_ {
    let may_be = is_said_within(data) || data.null_count() != 0;
    let rows = if may_be { data.len() } else { 0 };
    (0..rows).filter(|&row| is_null(data, row))
}

/// Whether another array than the column's own says what is null.
fn is_said_within(data: &ArrayData) -> bool {
    let may_be = |child: &ArrayData| child.null_count() != 0 || is_said_within(child);
    is_shared(data.data_type()) && data.child_data().iter().any(may_be)
}

/// What leads nowhere is not null here, and refused by those that follow it.
fn is_null(data: &ArrayData, row: usize) -> bool {
    use DataType::{Dictionary, RunEndEncoded, Union};
    if row >= data.len() {
        return false;
    }
    if data.nulls().is_some_and(|nulls| nulls.is_null(row)) {
        return true;
    }
    let at = data.offset() + row;
    let children = data.child_data();
    let within = match data.data_type() {
        Dictionary(key, _) => {
            children.first().zip(number(data, 0, key.primitive_width().unwrap_or(8), at))
        }
        RunEndEncoded(..) => children.first().zip(children.get(1)).and_then(|(ends, values)| {
            let width = ends.data_type().primitive_width().unwrap_or(8);
            let (mut low, mut high) = (0, ends.len());
            while low < high {
                let middle = low.midpoint(high);
                match number(ends, 0, width, ends.offset() + middle)? > at {
                    true => high = middle,
                    false => low = middle + 1,
                }
            }
            Some((values, low))
        }),
        Union(members, mode) => number(data, 0, 1, at).and_then(|id| {
            let child = members.iter().position(|(known, _)| usize::try_from(known) == Ok(id))?;
            let at = if *mode == UnionMode::Dense { number(data, 1, 4, at)? } else { at };
            Some((children.get(child)?, at))
        }),
        _ => None,
    };
    within.is_some_and(|(child, row)| is_null(child, row))
}

/// A count of so many bytes in a buffer.
fn number(data: &ArrayData, buffer: usize, width: usize, at: usize) -> Option<usize> {
    let start = at.checked_mul(width)?;
    let bytes = data.buffers().get(buffer)?.get(start..start.checked_add(width)?)?;
    let mut wide = [0; 8];
    wide.get_mut(..width)?.copy_from_slice(bytes);
    usize::try_from(u64::from_le_bytes(wide)).ok()
}
