//! Elements of fixed width: numbers, decimals, and what is counted in steps.

use super::{Column, Made, Stop, is_nil, moments};
use crate::atoms;
use crate::table::names as n;
use crate::value::big::Big;
use crate::value::terms::{self, Kind, Word};
use arrow_buffer::i256;
use arrow_schema::DataType;
use rustler::Env;
use slipring_codec::format::arrow::{self, to_half};

/// A number that a column of its own type has.
trait Number: Copy + Default {
    fn read<'a>(env: Env<'a>, word: Word<'a>) -> Option<Self>;
    fn append(self, data: &mut Vec<u8>);
}

macro_rules! number {
    ($($type:ty = $read:expr;)*) => {$(
        impl Number for $type {
            #[inline]
            fn read<'a>(env: Env<'a>, word: Word<'a>) -> Option<Self> {
                $read(env, word)
            }

            #[inline]
            fn append(self, data: &mut Vec<u8>) {
                data.extend_from_slice(&self.to_le_bytes());
            }
        }
    )*};
}

number! {
    i8 = int; i16 = int; i32 = int; i64 = terms::int;
    u8 = int; u16 = int; u32 = int; u64 = terms::uint;
    f32 = |env, word| float(env, word, |value| value as f32, f64::from);
    f64 = |env, word| float(env, word, |value| value, |value| value);
}

/// A float of 16 bits.
#[derive(Clone, Copy, Default)]
struct Half(arrow::Half);

impl Number for Half {
    fn read<'a>(env: Env<'a>, word: Word<'a>) -> Option<Self> {
        float(env, word, |value| Half(to_half(value)), |half| half.0.to_f64())
    }

    fn append(self, data: &mut Vec<u8>) {
        data.extend_from_slice(&self.0.to_le_bytes());
    }
}

fn int<'a, T: TryFrom<i64>>(env: Env<'a>, word: Word<'a>) -> Option<T> {
    T::try_from(terms::int(env, word)?).ok()
}

/// The float nearest to a float, unless it became an infinity; an integer, where it holds that exactly; or what is no number.
fn float<'a, T: Copy>(
    env: Env<'a>,
    word: Word<'a>,
    nearest: impl Fn(f64) -> T,
    wide: impl Fn(T) -> f64,
) -> Option<T> {
    if let Some(value) = terms::float(env, word) {
        return Some(nearest(value)).filter(|&near| wide(near).is_finite());
    }
    let int = terms::int(env, word).map(i128::from);
    if let Some(value) = int.or_else(|| terms::uint(env, word).map(i128::from)) {
        return Some(nearest(value as f64)).filter(|&near| wide(near) as i128 == value);
    }
    [
        (atoms::nan(), f64::NAN),
        (atoms::infinity(), f64::INFINITY),
        (atoms::neg_infinity(), -f64::INFINITY),
    ]
    .into_iter()
    .find(|&(atom, _)| word == atom.into())
    .map(|(_, value)| nearest(value))
}

/// Whether a float has just this value.
pub(super) fn is_exact(value: i64) -> bool {
    (value as f64) as i128 == i128::from(value)
}

/// Does something with the type of numbers that a type is of; `None` where it is of none.
macro_rules! of_numbers {
    ($data_type:expr, $type:ident => $do:expr) => {{
        macro_rules! with {
            ($number:ty) => {{
                type $type = $number;
                Some($do)
            }};
        }
        match $data_type {
            DataType::Int8 => with!(i8),
            DataType::Int16 => with!(i16),
            DataType::Int32 => with!(i32),
            DataType::Int64 => with!(i64),
            DataType::UInt8 => with!(u8),
            DataType::UInt16 => with!(u16),
            DataType::UInt32 => with!(u32),
            DataType::UInt64 => with!(u64),
            DataType::Float16 => with!(Half),
            DataType::Float32 => with!(f32),
            DataType::Float64 => with!(f64),
            _ => None,
        }
    }};
}

/// Writes elements of fixed width, zero where they are null.
pub(super) fn write(made: &mut Made, column: &Column<'_, '_>) -> Result<(), Stop> {
    if let Some(written) = of_numbers!(column.data_type, T => each::<T>(made, column)) {
        return written;
    }
    let width = column.data_type.primitive_width().unwrap_or(0);
    for (row, &word) in column.words.iter().enumerate() {
        let element = match is_nil(word) {
            true => [0; 32],
            false => element(column.env, word, column.data_type).ok_or_else(|| column.no(row))?,
        };
        made.data.extend_from_slice(&element[..width]);
    }
    Ok(())
}

fn each<T: Number>(made: &mut Made, column: &Column<'_, '_>) -> Result<(), Stop> {
    made.data.reserve(size_of::<T>() * column.words.len());
    for (row, &word) in column.words.iter().enumerate() {
        let value = match is_nil(word) {
            true => T::default(),
            false => T::read(column.env, word).ok_or_else(|| column.no(row))?,
        };
        value.append(&mut made.data);
    }
    Ok(())
}

/// Whether a term is an element of a type of fixed width.
pub(super) fn is_one<'a>(env: Env<'a>, word: Word<'a>, data_type: &DataType) -> bool {
    let number = of_numbers!(data_type, T => T::read(env, word).is_some());
    number.unwrap_or_else(|| element(env, word, data_type).is_some())
}

/// The bytes of an element that is no plain number, the lowest first; its type has the first of them.
fn element<'a>(env: Env<'a>, word: Word<'a>, data_type: &DataType) -> Option<[u8; 32]> {
    use DataType::*;
    Some(match data_type {
        Decimal32(precision, scale)
        | Decimal64(precision, scale)
        | Decimal128(precision, scale)
        | Decimal256(precision, scale) => {
            // As many digits as the bits have for certain.
            let most = match data_type {
                Decimal32(..) => 9,
                Decimal64(..) => 18,
                Decimal128(..) => 38,
                _ => 76,
            };
            decimal(env, word, (*precision).min(most), *scale)?.to_le_bytes()
        }
        Interval(unit) => i256::from_i128(moments::interval(env, word, *unit)?).to_le_bytes(),
        _ => i256::from_i128(moments::count(env, word, data_type)?.into()).to_le_bytes(),
    })
}

/// The digits and the exponent of a decimal or an integer.
pub(super) fn digits<'a>(env: Env<'a>, word: Word<'a>) -> Option<(i256, i64)> {
    let whole = |word| {
        let is_whole = terms::kind(env, word) == Kind::Integer;
        is_whole.then(|| Big::read(env, word)?.to_i256())?
    };
    if terms::kind(env, word) == Kind::Integer {
        return Some((whole(word)?, 0));
    }
    let get = |name: rustler::Atom| terms::get(env, word, name.into());
    let digits = whole(get(n::coef())?)?;
    let sign = terms::int(env, get(n::sign())?)?;
    let exponent = terms::int(env, get(n::exp())?)?;
    Some((if sign < 0 { digits.checked_neg()? } else { digits }, exponent))
}

/// A decimal in steps of its scale, if they are exact and no more than the precision has.
fn decimal<'a>(env: Env<'a>, word: Word<'a>, precision: u8, scale: i8) -> Option<i256> {
    let ten = i256::from_i128(10);
    let (mut value, exponent) = digits(env, word)?;
    if value == i256::ZERO {
        return Some(value);
    }
    let mut shift = exponent.checked_add(scale.into())?;
    while shift < 0 && value % ten == i256::ZERO {
        (value, shift) = (value / ten, shift + 1);
    }
    // 10^77 is beyond 256 bits.
    let shift = u32::try_from(shift).ok().filter(|&shift| shift <= 76)?;
    value = value.checked_mul(ten.checked_pow(shift)?)?;
    let limit = ten.checked_pow(precision.into())?;
    (value < limit && value > limit.wrapping_neg()).then_some(value)
}
