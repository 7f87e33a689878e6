//! Some rows of a column, as a column: views on the same binaries, but for bits that begin within a byte and the ends
//! of runs, which are written anew.

use super::build::binary;
use super::column::{Array, Bytes, bit, offset_width};
use super::decode::{first_run, run_end};
use super::names as n;
use crate::atoms;
use crate::value::terms::{self, Word};
use arrow_schema::{DataType, UnionMode};
use rustler::{Atom, Env};

/// The rows of an array, which it has.
pub(crate) fn slice<'a>(env: Env<'a>, array: &Array<'a>, from: usize, count: usize) -> Word<'a> {
    use DataType::*;
    debug_assert!(from + count <= array.len);
    let uint = |value: usize| terms::make_uint(env, value as u64);
    let part = |of: &Bytes<'a>, width: usize, count: usize| {
        terms::make_view(env, of.word, from * width, count * width)
    };
    let mut fields: Vec<(Atom, Word<'a>)> = vec![(n::length(), uint(count))];
    if let Some(validity) = &array.validity {
        let nulls = (from..from + count).filter(|&row| !bit(validity.bytes, row)).count();
        fields.push((n::null_count(), uint(nulls)));
        fields.push((
            n::validity(),
            if nulls == 0 { atoms::nil().into() } else { bits(env, validity, from, count) },
        ));
    }
    let children = |make: &dyn Fn(&Array<'a>) -> Word<'a>| {
        let made: Vec<Word<'a>> = array.children.iter().map(make).collect();
        terms::make_list(env, &made)
    };
    let wide = offset_width(&array.data_type);
    match &array.data_type {
        Null => fields.push((n::null_count(), uint(count))),
        Boolean => fields.push((n::data(), bits(env, &array.data, from, count))),
        Utf8 | Binary | LargeUtf8 | LargeBinary | List(_) | LargeList(_) | Map(..) => {
            // An array without elements may have no offset at all.
            if array.len > 0 {
                fields.push((n::offsets(), part(&array.offsets, wide, count + 1)));
            }
        }
        ListView(_) | LargeListView(_) => {
            fields.push((n::offsets(), part(&array.offsets, wide, count)));
            fields.push((n::sizes(), part(&array.sizes, wide, count)));
        }
        FixedSizeList(_, size) => {
            let size = *size as usize;
            let child = |child: &Array<'a>| slice(env, child, from * size, count * size);
            fields.push((n::children(), children(&child)));
        }
        Struct(_) => {
            fields.push((n::children(), children(&|child| slice(env, child, from, count))));
        }
        Union(_, UnionMode::Sparse) => {
            fields.push((n::data(), part(&array.data, 1, count)));
            fields.push((n::children(), children(&|child| slice(env, child, from, count))));
        }
        Union(_, UnionMode::Dense) => {
            fields.push((n::data(), part(&array.data, 1, count)));
            fields.push((n::offsets(), part(&array.offsets, 4, count)));
        }
        RunEndEncoded(..) => {
            fields.push((n::children(), runs(env, array, from, count)));
        }
        other => {
            let width = match other {
                FixedSizeBinary(width) => *width as usize,
                Utf8View | BinaryView => 16,
                Dictionary(key, _) => key.primitive_width().unwrap_or(8),
                other => other.primitive_width().unwrap_or(0),
            };
            fields.push((n::data(), part(&array.data, width, count)));
        }
    }
    fields.into_iter().fold(array.word, |column, (name, value)| {
        // It has all fields, as was seen when it was read.
        terms::update(env, column, name.into(), value).unwrap_or(column)
    })
}

/// Bits from one on, moved to the start where that is not the first of a byte.
fn bits<'a>(env: Env<'a>, of: &Bytes<'a>, from: usize, count: usize) -> Word<'a> {
    let (start, len) = (from / 8, count.div_ceil(8));
    if from.is_multiple_of(8) {
        return terms::make_view(env, of.word, start, len);
    }
    let shift = from % 8;
    let byte = |at: usize| of.bytes.get(at).copied().unwrap_or(0);
    let moved: Vec<u8> =
        (start..start + len).map(|at| byte(at) >> shift | byte(at + 1) << (8 - shift)).collect();
    binary(env, moved)
}

/// The ends and values of the runs of some rows.
fn runs<'a>(env: Env<'a>, array: &Array<'a>, from: usize, count: usize) -> Word<'a> {
    let [ends, values] = &array.children[..] else { return array.word };
    let first = first_run(ends, from);
    let last = if count == 0 { first } else { first_run(ends, from + count - 1) + 1 };
    // Runs that don't rise may lead anywhere: then there are fewer than rows, which is found when they are read.
    let last = last.clamp(first, ends.len.max(first)).min(values.len);
    let first = first.min(last);
    let width = ends.data_type.primitive_width().unwrap_or(8);
    let mut cut = Vec::with_capacity((last - first) * width);
    for run in first..last {
        let end = run_end(ends, run).saturating_sub(from as i64).min(count as i64);
        cut.extend_from_slice(&end.to_le_bytes()[..width]);
    }
    let set = |column, name: Atom, value| {
        terms::update(env, column, Word::from(name), value).unwrap_or(column)
    };
    let ends = set(ends.word, n::data(), binary(env, cut));
    let ends = set(ends, n::length(), terms::make_uint(env, (last - first) as u64));
    terms::make_list(env, &[ends, slice(env, values, first, last - first)])
}
