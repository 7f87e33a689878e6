//! Sums and extremes of columns of numbers. Nulls are passed over.

use super::column::Array;
use super::names as n;
use crate::atoms;
use crate::value::array::half;
use crate::value::big::Big;
use crate::value::terms::{self, Word};
use arrow_schema::DataType;
use rustler::{Atom, Env};

/// A number of a column: integers are summed exactly.
enum Sum {
    Int(i128),
    Float(f64),
}

/// `None` for a column that is not of numbers, or an operation that there is not.
pub(crate) fn reduce<'a>(env: Env<'a>, array: &Array<'a>, how: Atom) -> Option<Word<'a>> {
    use DataType::*;
    macro_rules! ints {
        ($type:ty) => {
            of(array, how, Sum::Int(0), |bytes| Sum::Int(<$type>::from_le_bytes(bytes).into()))
        };
    }
    let found = match &array.data_type {
        Int8 => ints!(i8),
        Int16 => ints!(i16),
        Int32 => ints!(i32),
        Int64 => ints!(i64),
        UInt8 => ints!(u8),
        UInt16 => ints!(u16),
        UInt32 => ints!(u32),
        UInt64 => ints!(u64),
        Float16 => of(array, how, Sum::Float(0.0), |b| Sum::Float(half(u16::from_le_bytes(b)))),
        Float32 => of(array, how, Sum::Float(0.0), |b| Sum::Float(f32::from_le_bytes(b).into())),
        Float64 => of(array, how, Sum::Float(0.0), |b| Sum::Float(f64::from_le_bytes(b))),
        _ => return None,
    };
    Some(match found? {
        None => atoms::nil().into(),
        Some(Sum::Int(value)) => Big::from(value).term(env)?,
        Some(Sum::Float(value)) if value.is_finite() => terms::make_float(env, value),
        Some(Sum::Float(value)) if value.is_nan() => atoms::nan().into(),
        Some(Sum::Float(value)) if value > 0.0 => atoms::infinity().into(),
        Some(Sum::Float(_)) => atoms::neg_infinity().into(),
    })
}

/// What is found, if the operation is known: nothing where there is no element to take it of.
fn of<const N: usize>(
    array: &Array<'_>,
    how: Atom,
    zero: Sum,
    read: impl Fn([u8; N]) -> Sum,
) -> Option<Option<Sum>> {
    let elements = &array.data.bytes.as_chunks::<N>().0[..array.len];
    let valid = |row: &usize| array.is_valid(*row);
    let mut found = None;
    let keeps: fn(&Sum, &Sum) -> Sum = if how == n::sum() {
        found = Some(zero);
        |sum, next| match (sum, next) {
            // So many elements of 64 bits are far from 128.
            (Sum::Int(sum), Sum::Int(next)) => Sum::Int(sum + next),
            (Sum::Float(sum), Sum::Float(next)) => Sum::Float(sum + next),
            _ => Sum::Float(f64::NAN),
        }
    } else if how == n::min() {
        |least, next| match (least, next) {
            (Sum::Int(least), Sum::Int(next)) => Sum::Int(*least.min(next)),
            // Of a number and none the number stays.
            (Sum::Float(least), Sum::Float(next)) => Sum::Float(least.min(*next)),
            _ => Sum::Float(f64::NAN),
        }
    } else if how == n::max() {
        |most, next| match (most, next) {
            (Sum::Int(most), Sum::Int(next)) => Sum::Int(*most.max(next)),
            (Sum::Float(most), Sum::Float(next)) => Sum::Float(most.max(*next)),
            _ => Sum::Float(f64::NAN),
        }
    } else {
        return None;
    };
    for row in (0..array.len).filter(valid) {
        let next = read(elements[row]);
        found = Some(match &found {
            None => next,
            Some(so_far) => keeps(so_far, &next),
        });
    }
    Some(found)
}
