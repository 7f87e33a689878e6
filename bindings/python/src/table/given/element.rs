//! Elements as the bytes that a type has for them, where nothing of them is lost.

use super::Why;
use super::column::Values;
use crate::table::moments::{self, Moment};
use crate::value::types::{Types, own_text};
use arrow_array::ArrowNativeTypeOp;
use arrow_buffer::i256;
use arrow_data::decimal::{MAX_DECIMAL128_FOR_EACH_PRECISION, MAX_DECIMAL256_FOR_EACH_PRECISION};
use arrow_schema::{DECIMAL256_MAX_PRECISION, DataType, IntervalUnit, TimeUnit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyInt, PyString, PyTuple};
use slipring_codec::format::arrow::{Half, to_half};
use slipring_codec::infer::Scalar;

/// Puts an element behind the others.
#[inline]
pub(super) fn put(
    values: &mut Values<'_>,
    wants: &DataType,
    scalar: Scalar<'_>,
) -> Result<(), Why> {
    use DataType::{Binary, BinaryView, LargeBinary, LargeUtf8, Utf8, Utf8View};
    match (values, wants, scalar) {
        (Values::Bool(bits), _, Scalar::Bool(truth)) => bits.append(truth),
        (Values::Bytes(ends, bytes, most), Utf8 | LargeUtf8 | Utf8View, Scalar::Text(text)) => {
            return append(ends, bytes, *most, text.as_bytes());
        }
        (
            Values::Bytes(ends, bytes, most),
            Binary | LargeBinary | BinaryView,
            Scalar::Bytes(some),
        ) => {
            return append(ends, bytes, *most, some);
        }
        (Values::Fixed(bytes, width), DataType::FixedSizeBinary(_), Scalar::Bytes(some)) => {
            if some.len() != *width {
                return Err(Why::Range);
            }
            bytes.extend_from_slice(some);
        }
        (Values::Fixed(bytes, 16), DataType::FixedSizeBinary(_), Scalar::Uuid(uuid)) => {
            bytes.extend_from_slice(&uuid);
        }
        (Values::Fixed(bytes, _), wants, scalar) => return element(bytes, wants, scalar),
        _ => return Err(Why::Type),
    }
    Ok(())
}

pub(super) fn append(
    ends: &mut Vec<i64>,
    bytes: &mut Vec<u8>,
    most: usize,
    some: &[u8],
) -> Result<(), Why> {
    if bytes.len() + some.len() > most {
        return Err(Why::Large);
    }
    bytes.extend_from_slice(some);
    ends.push(bytes.len() as i64);
    Ok(())
}

/// Appends an element of fixed width.
#[inline]
fn element(out: &mut Vec<u8>, wants: &DataType, scalar: Scalar<'_>) -> Result<(), Why> {
    use DataType::*;
    macro_rules! int {
        ($kind:ty) => {
            match scalar {
                Scalar::Int(int) => out.extend_from_slice(
                    &<$kind>::try_from(int).map_err(|_| Why::Range)?.to_le_bytes(),
                ),
                Scalar::Unsigned(int) => out.extend_from_slice(
                    &<$kind>::try_from(int).map_err(|_| Why::Range)?.to_le_bytes(),
                ),
                _ => return Err(Why::Type),
            }
        };
    }
    match wants {
        Int8 => int!(i8),
        Int16 => int!(i16),
        Int32 | Interval(IntervalUnit::YearMonth) => int!(i32),
        Int64 => int!(i64),
        UInt8 => int!(u8),
        UInt16 => int!(u16),
        UInt32 => int!(u32),
        UInt64 => int!(u64),
        Float64 => out.extend_from_slice(&float(scalar, 53)?.to_le_bytes()),
        Float32 => {
            let wide = float(scalar, 24)?;
            out.extend_from_slice(&held(wide, wide as f32, f32::is_finite)?.to_le_bytes());
        }
        Float16 => {
            let wide = float(scalar, 11)?;
            out.extend_from_slice(&held(wide, to_half(wide), Half::is_finite)?.to_le_bytes());
        }
        Decimal32(precision, scale)
        | Decimal64(precision, scale)
        | Decimal128(precision, scale) => {
            let (number, after) = exact(scalar).ok_or(Why::Type)?;
            let nines = &MAX_DECIMAL128_FOR_EACH_PRECISION;
            let digits = decimal(number, after, (*precision, *scale), nines).ok_or(Why::Range)?;
            let width = wants.primitive_width().unwrap_or(16);
            out.extend_from_slice(&digits.to_le_bytes()[..width]);
        }
        Decimal256(precision, scale) => {
            let (number, after) = exact(scalar).ok_or(Why::Type)?;
            let (number, nines) = (i256::from_i128(number), &MAX_DECIMAL256_FOR_EACH_PRECISION);
            let digits = decimal(number, after, (*precision, *scale), nines).ok_or(Why::Range)?;
            out.extend_from_slice(&digits.to_le_bytes());
        }
        _ => {
            let count = count(wants, scalar)?;
            match wants.primitive_width() {
                Some(4) => {
                    out.extend_from_slice(
                        &i32::try_from(count).map_err(|_| Why::Range)?.to_le_bytes(),
                    );
                }
                _ => out.extend_from_slice(&count.to_le_bytes()),
            }
        }
    }
    Ok(())
}

/// A float, or an integer that one of so many bits holds exactly.
fn float(scalar: Scalar<'_>, bits: u32) -> Result<f64, Why> {
    match scalar {
        Scalar::Float(float) => Ok(float),
        Scalar::Int(int) if digits_of(int.unsigned_abs()) <= bits => Ok(int as f64),
        Scalar::Unsigned(int) if digits_of(int) <= bits => Ok(int as f64),
        Scalar::Int(_) | Scalar::Unsigned(_) => Err(Why::Range),
        _ => Err(Why::Type),
    }
}

/// The bits from the first that is set to the last.
fn digits_of(int: u64) -> u32 {
    if int == 0 { 0 } else { 64 - int.leading_zeros() - int.trailing_zeros() }
}

/// The nearest float, unless a number became infinite.
fn held<T: Copy>(wide: f64, nearest: T, is_finite: impl Fn(T) -> bool) -> Result<T, Why> {
    if wide.is_finite() && !is_finite(nearest) { Err(Why::Range) } else { Ok(nearest) }
}

/// The digits of a number, and how many stand behind its point.
fn exact(scalar: Scalar<'_>) -> Option<(i128, i64)> {
    match scalar {
        Scalar::Int(int) => Some((int.into(), 0)),
        Scalar::Unsigned(int) => Some((int.into(), 0)),
        Scalar::Decimal { high, low, scale, .. } => {
            Some(((i128::from(high) << 64) | i128::from(low), scale.into()))
        }
        _ => None,
    }
}

/// A number of so many digits after its point as a decimal has it: no more digits than its precision, and none lost. `nines` are
/// numbers of so many.
fn decimal<T: ArrowNativeTypeOp>(
    number: T,
    after: i64,
    (precision, scale): (u8, i8),
    nines: &[T],
) -> Option<T> {
    let more = i64::from(scale).saturating_sub(after);
    let power = usize::try_from(more.unsigned_abs()).ok().and_then(|digits| nines.get(digits));
    let digits = match power.map(|nines| nines.add_wrapping(T::ONE)) {
        _ if more == 0 || number.is_zero() => number,
        Some(power) if more > 0 => number.mul_checked(power).ok()?,
        Some(power) if number.mod_wrapping(power).is_zero() => number.div_wrapping(power),
        _ => return None,
    };
    let most = *nines.get(usize::from(precision))?;
    (digits <= most && digits >= most.neg_wrapping()).then_some(digits)
}

/// Dates, times and lengths of time in the steps of the column, with none lost.
fn count(wants: &DataType, scalar: Scalar<'_>) -> Result<i64, Why> {
    use DataType::*;
    let (unit, micros) = match (wants, scalar) {
        (Date32, Scalar::Date(days)) => return Ok(days.into()),
        (Date64, Scalar::Date(days)) => return Ok(i64::from(days) * 86_400_000),
        (Time32(unit) | Time64(unit), Scalar::Time(micros)) => (unit, micros),
        (Timestamp(unit, None), Scalar::Naive(micros)) => (unit, micros),
        (Timestamp(unit, Some(_)), Scalar::Moment { micros, .. }) => (unit, micros),
        (Duration(unit), Scalar::Duration(micros)) => (unit, micros),
        _ => return Err(Why::Type),
    };
    let whole = |steps: i64| (micros % steps == 0).then_some(micros / steps);
    let count = match unit {
        TimeUnit::Second => whole(1_000_000),
        TimeUnit::Millisecond => whole(1_000),
        TimeUnit::Microsecond => Some(micros),
        TimeUnit::Nanosecond => micros.checked_mul(1_000),
    };
    count.ok_or(Why::Range)
}

/// Whether an element is no other as this type: no integer among floats or decimals, and no float that a narrower one is near.
pub(super) fn stays(scalar: Scalar<'_>, wants: &DataType) -> bool {
    use DataType::*;
    match (scalar, wants) {
        (Scalar::Int(_) | Scalar::Unsigned(_), Float16 | Float32 | Float64) => false,
        (
            Scalar::Int(_) | Scalar::Unsigned(_),
            Decimal32(..) | Decimal64(..) | Decimal128(..) | Decimal256(..),
        ) => false,
        (Scalar::Float(float), Float32) => f64::from(float as f32) == float || float.is_nan(),
        (Scalar::Float(float), Float16) => to_half(float).to_f64() == float || float.is_nan(),
        _ => true,
    }
}

/// Appends an element that has a type of its own in Python, or more in it than [`Scalar`] has room for: a decimal of many digits, a time in
/// nanoseconds or of many years, an interval. `None`: it is none of these, or the column is of others.
#[cold]
pub(super) fn rare(
    out: &mut Vec<u8>,
    wants: &DataType,
    value: &Bound<'_, PyAny>,
) -> Option<Result<(), Why>> {
    use DataType::*;
    match wants {
        Decimal32(precision, scale)
        | Decimal64(precision, scale)
        | Decimal128(precision, scale)
        | Decimal256(precision, scale) => {
            let of = (*precision, *scale);
            let width = wants.primitive_width().unwrap_or(32);
            let digits = digits(&numeral(value)?).and_then(|(number, after)| {
                decimal(number, after, of, &MAX_DECIMAL256_FOR_EACH_PRECISION)
            });
            let put = |digits: i256| out.extend_from_slice(&digits.to_le_bytes()[..width]);
            Some(digits.map(put).ok_or(Why::Range))
        }
        Timestamp(unit, zone) => {
            let moment = moments::fine(value)?;
            let is_its = match &moment {
                Moment::Naive(_) => zone.is_none(),
                Moment::InUtc(_) => zone.is_some(),
                Moment::Span(_) => false,
            };
            Some(if is_its { steps(out, moment.nanos(), *unit) } else { Err(Why::Type) })
        }
        Duration(unit) => match moments::fine(value)? {
            Moment::Span(nanos) => Some(steps(out, nanos, *unit)),
            _ => Some(Err(Why::Type)),
        },
        Interval(unit) => interval(out, *unit, value),
        _ => None,
    }
}

/// A count of nanoseconds in the steps of a unit, with none lost.
fn steps(out: &mut Vec<u8>, nanos: i128, unit: TimeUnit) -> Result<(), Why> {
    let step = match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => 1,
    };
    let count = i64::try_from(nanos / step).ok().filter(|_| nanos % step == 0);
    out.extend_from_slice(&count.ok_or(Why::Range)?.to_le_bytes());
    Ok(())
}

/// An interval as `to_pylist` has it, a tuple of its parts, or a length of time.
fn interval(
    out: &mut Vec<u8>,
    unit: IntervalUnit,
    value: &Bound<'_, PyAny>,
) -> Option<Result<(), Why>> {
    const DAY: i128 = 86_400_000_000_000;
    let tuple = value.cast::<PyTuple>().ok();
    let parts: Option<Vec<i128>> = match (tuple, moments::fine(value)) {
        // Days of 24 hours each, as Python's own.
        (None, Some(Moment::Span(nanos))) => {
            let (days, rest) = (nanos.div_euclid(DAY), nanos.rem_euclid(DAY));
            match unit {
                IntervalUnit::MonthDayNano => Some(vec![0, days, rest]),
                IntervalUnit::DayTime if rest % 1_000_000 == 0 => {
                    Some(vec![days, rest / 1_000_000])
                }
                IntervalUnit::DayTime => return Some(Err(Why::Range)),
                IntervalUnit::YearMonth => None,
            }
        }
        (tuple, _) => tuple?.extract().ok(),
    };
    let narrow = |part: i128| i32::try_from(part).map(i32::to_le_bytes).map_err(|_| Why::Range);
    let made = match (unit, parts?.as_slice()) {
        (IntervalUnit::DayTime, &[days, millis]) => {
            narrow(days).and_then(|days| Ok([days, narrow(millis)?].concat()))
        }
        (IntervalUnit::MonthDayNano, &[months, days, nanos]) => narrow(months).and_then(|months| {
            let nanos = i64::try_from(nanos).map_err(|_| Why::Range)?;
            Ok([&months[..], &narrow(days)?, &nanos.to_le_bytes()].concat())
        }),
        _ => return None,
    };
    Some(made.map(|made| out.extend_from_slice(&made)))
}

/// Whether it is of the type that is wanted, and has no form at all: an integer beyond 64 bits, a text with half of a pair.
#[cold]
pub(super) fn is_beyond(value: &Bound<'_, PyAny>, wants: &DataType) -> bool {
    use DataType::{LargeUtf8, Utf8, Utf8View};
    if let Ok(text) = value.cast::<PyString>() {
        return matches!(wants, Utf8 | LargeUtf8 | Utf8View) && text.to_str().is_err();
    }
    let is_number = wants.is_integer() || wants.is_floating();
    is_number && value.is_instance_of::<PyInt>() && !value.is_instance_of::<PyBool>()
}

/// A Decimal or an integer, as its own class writes it.
fn numeral(value: &Bound<'_, PyAny>) -> Option<String> {
    let types = Types::get(value.py()).ok()?;
    let decimal = types.decimal.bind(value.py());
    let text = match value.is_instance(decimal).ok()? {
        true => own_text(value.as_borrowed(), decimal).ok()?,
        // Without a limit on its digits, which are told apart here.
        false if value.is_instance_of::<PyInt>() && !value.is_instance_of::<PyBool>() => value
            .py()
            .get_type::<PyInt>()
            .call_method1(intern!(value.py(), "__repr__"), (value,))
            .ok()?,
        false => return None,
    };
    text.extract().ok()
}

/// A number that is written out, without its point, and how many digits stand behind that. There is no -0 in columns, and none has so
/// many digits.
fn digits(text: &str) -> Option<(i256, i64)> {
    let (number, exponent) = text.split_once(['E', 'e']).unwrap_or((text, "0"));
    let (sign, number) = match number.strip_prefix('-') {
        Some(number) => ("-", number),
        None => ("", number),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let all = format!("{whole}{fraction}");
    if all.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let kept = all.trim_end_matches('0');
    let after = i64::try_from(fraction.len()).ok()?.checked_sub((all.len() - kept.len()) as i64)?;
    let after = after.checked_sub(exponent.parse().ok()?)?;
    match kept.trim_start_matches('0') {
        "" => sign.is_empty().then_some((i256::ZERO, 0)),
        kept if kept.len() > usize::from(DECIMAL256_MAX_PRECISION) => None,
        kept => Some((i256::from_string(&format!("{sign}{kept}"))?, after)),
    }
}
