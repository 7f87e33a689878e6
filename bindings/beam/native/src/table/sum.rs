//! Sums and extremes of columns of numbers. Nulls are passed over.

use super::column::Array;
use super::names as n;
use crate::atoms;
use crate::value::array::half;
use crate::value::big::Big;
use crate::value::terms::{self, Word};
use arrow_schema::DataType;
use rustler::{Atom, Env};

/// What is to be found.
#[derive(Clone, Copy)]
enum What {
    Sum,
    Least,
    Most,
}

/// `None` for a column that is not of numbers, or what there is not to be found.
pub(crate) fn reduce<'a>(env: Env<'a>, array: &Array<'a>, what: Atom) -> Option<Word<'a>> {
    use DataType::*;
    let what = match what {
        what if what == n::sum() => What::Sum,
        what if what == n::min() => What::Least,
        what if what == n::max() => What::Most,
        _ => return None,
    };
    macro_rules! of_ints {
        ($type:ty) => {
            integer(env, ints(array, what, |bytes| <$type>::from_le_bytes(bytes).into()))
        };
    }
    Some(match &array.data_type {
        Int8 => of_ints!(i8),
        Int16 => of_ints!(i16),
        Int32 => of_ints!(i32),
        Int64 => of_ints!(i64),
        UInt8 => of_ints!(u8),
        UInt16 => of_ints!(u16),
        UInt32 => of_ints!(u32),
        UInt64 => of_ints!(u64),
        Float16 => float(env, floats(array, what, |bytes| half(u16::from_le_bytes(bytes)))),
        Float32 => float(env, floats(array, what, |bytes| f32::from_le_bytes(bytes).into())),
        Float64 => float(env, floats(array, what, f64::from_le_bytes)),
        _ => return None,
    })
}

fn integer(env: Env<'_>, found: Option<i128>) -> Word<'_> {
    // One of 128 bits is far from the largest that the BEAM has.
    let term = found.and_then(|value| Big::from(value).term(env));
    term.unwrap_or(atoms::nil().into())
}

fn float(env: Env<'_>, found: Option<f64>) -> Word<'_> {
    match found {
        None => atoms::nil().into(),
        Some(value) if value.is_finite() => terms::make_float(env, value),
        Some(value) if value.is_nan() => atoms::nan().into(),
        Some(value) if value > 0.0 => atoms::infinity().into(),
        Some(_) => atoms::neg_infinity().into(),
    }
}

/// Adds each element that is not null to what there is so far.
#[inline(always)]
fn fold<const N: usize, T>(array: &Array<'_>, from: T, mut add: impl FnMut(T, [u8; N]) -> T) -> T {
    let elements = &array.data.bytes.as_chunks::<N>().0[..array.len];
    match &array.validity {
        None => elements.iter().fold(from, |so_far, &bytes| add(so_far, bytes)),
        Some(_) => {
            let there = elements.iter().enumerate().filter(|&(row, _)| array.is_valid(row));
            there.fold(from, |so_far, (_, &bytes)| add(so_far, bytes))
        }
    }
}

fn ints<const N: usize>(
    array: &Array<'_>,
    what: What,
    read: impl Fn([u8; N]) -> i128,
) -> Option<i128> {
    match what {
        // So many elements of 64 bits are far from 128.
        What::Sum => Some(fold(array, 0, |sum, bytes| sum + read(bytes))),
        What::Least => fold(array, None, |least: Option<i128>, bytes| {
            let next = read(bytes);
            Some(least.map_or(next, |least| least.min(next)))
        }),
        What::Most => fold(array, None, |most: Option<i128>, bytes| {
            let next = read(bytes);
            Some(most.map_or(next, |most| most.max(next)))
        }),
    }
}

fn floats<const N: usize>(
    array: &Array<'_>,
    what: What,
    read: impl Fn([u8; N]) -> f64,
) -> Option<f64> {
    match what {
        What::Sum => Some(fold(array, 0.0, |sum, bytes| sum + read(bytes))),
        // Of a number and none the number stays.
        What::Least => fold(array, None, |least: Option<f64>, bytes| {
            let next = read(bytes);
            Some(least.map_or(next, |least| least.min(next)))
        }),
        What::Most => fold(array, None, |most: Option<f64>, bytes| {
            let next = read(bytes);
            Some(most.map_or(next, |most| most.max(next)))
        }),
    }
}
