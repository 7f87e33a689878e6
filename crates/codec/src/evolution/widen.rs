//! Elements of fixed width in a type that holds more.

use arrow_buffer::i256;
use arrow_schema::{DataType, TimeUnit};

use crate::format::arrow::Half;

/// How elements become those of another type. Widths are in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Widening {
    /// Integers with a sign, times a factor.
    Signed { from: usize, to: usize, factor: i64 },
    /// Integers without one.
    Unsigned { from: usize, to: usize },
    /// Integers as floats.
    Int { from: usize, signed: bool, to: usize },
    /// Floats.
    Float { from: usize, to: usize },
    /// Decimals, with so many more digits after the point.
    Decimal { from: usize, to: usize, digits: u32 },
}

/// How elements of one type become those of another. `None`: not at all, not without loss, or not by elements. Types that
/// are the same are not asked for.
pub(super) fn widening(from: &DataType, to: &DataType) -> Option<Widening> {
    use DataType::*;
    let width = DataType::primitive_width;
    let (Some(narrow), Some(wide)) = (width(from), width(to)) else { return None };
    let is_float = |t: &DataType| matches!(t, Float16 | Float32 | Float64);
    if from.is_signed_integer() || from.is_unsigned_integer() {
        let signed = from.is_signed_integer();
        // What a float holds exactly: 24 and 53 bits.
        let exact = match to {
            Float32 => narrow <= 2,
            Float64 => narrow <= 4,
            _ => false,
        };
        if exact {
            return Some(Widening::Int { from: narrow, signed, to: wide });
        }
        if narrow >= wide {
            return None;
        }
        return match signed {
            true if to.is_signed_integer() => {
                Some(Widening::Signed { from: narrow, to: wide, factor: 1 })
            }
            false if to.is_signed_integer() || to.is_unsigned_integer() => {
                Some(Widening::Unsigned { from: narrow, to: wide })
            }
            _ => None,
        };
    }
    if is_float(from) && is_float(to) && narrow < wide {
        return Some(Widening::Float { from: narrow, to: wide });
    }
    if let (Some((_, before, after)), Some((_, wide_before, wide_after))) =
        (digits(from), digits(to))
    {
        let digits = u32::try_from(wide_after - after).ok()?;
        return (wide_before >= before).then_some(Widening::Decimal {
            from: narrow,
            to: wide,
            digits,
        });
    }
    let per_second = |unit: &TimeUnit| match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000i64,
    };
    let finer = |coarse: &TimeUnit, fine: &TimeUnit| {
        let factor = per_second(fine) / per_second(coarse);
        (factor > 1).then_some(Widening::Signed { from: narrow, to: wide, factor })
    };
    match (from, to) {
        (Date32, Date64) => Some(Widening::Signed { from: 4, to: 8, factor: 86_400_000 }),
        (Date32, Timestamp(unit, None)) => {
            Some(Widening::Signed { from: 4, to: 8, factor: 86_400 * per_second(unit) })
        }
        (Time32(coarse), Time32(fine) | Time64(fine)) | (Time64(coarse), Time64(fine)) => {
            finer(coarse, fine)
        }
        (Timestamp(coarse, zone), Timestamp(fine, other)) if zone == other => finer(coarse, fine),
        (Duration(coarse), Duration(fine)) => finer(coarse, fine),
        _ => None,
    }
}

/// Precision of a decimal, and its digits before and after the point.
pub(super) fn digits(data_type: &DataType) -> Option<(u8, i16, i16)> {
    use DataType::*;
    match *data_type {
        Decimal32(precision, scale)
        | Decimal64(precision, scale)
        | Decimal128(precision, scale)
        | Decimal256(precision, scale) => {
            Some((precision, i16::from(precision) - i16::from(scale), scale.into()))
        }
        _ => None,
    }
}

/// 10 to the power of so many digits: at most 76 + 128 of them, of which `i256` holds 76.
pub(super) fn power_of_ten(digits: u32) -> Option<i256> {
    i256::from_i128(10).checked_pow(digits)
}

/// An element that has no place in the type it is to be of: which one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OutOfRange {
    pub(super) row: usize,
}

impl Widening {
    /// Bytes of a widened element.
    pub(super) fn width(self) -> usize {
        match self {
            Widening::Signed { to, .. }
            | Widening::Unsigned { to, .. }
            | Widening::Int { to, .. }
            | Widening::Float { to, .. }
            | Widening::Decimal { to, .. } => to,
        }
    }

    /// Bytes of an element that was written.
    pub(super) fn narrow(self) -> usize {
        match self {
            Widening::Signed { from, .. }
            | Widening::Unsigned { from, .. }
            | Widening::Int { from, .. }
            | Widening::Float { from, .. }
            | Widening::Decimal { from, .. } => from,
        }
    }

    /// Widens all elements of `from` into `into`, which has room for as many. One that is null may be anything: it
    /// becomes 0 where it does not fit.
    pub(super) fn run(
        self,
        from: &[u8],
        into: &mut [u8],
        is_valid: &dyn Fn(usize) -> bool,
    ) -> Result<(), OutOfRange> {
        let run = Run { from, into, is_valid };
        match self {
            Widening::Signed { from: 1, to: 2, factor: 1 } => {
                run.all(|b: [u8; 1]| i16::from(b[0] as i8).to_le_bytes())
            }
            Widening::Signed { from: 1, to: 4, factor: 1 } => {
                run.all(|b: [u8; 1]| i32::from(b[0] as i8).to_le_bytes())
            }
            Widening::Signed { from: 1, factor: 1, .. } => {
                run.all(|b: [u8; 1]| i64::from(b[0] as i8).to_le_bytes())
            }
            Widening::Signed { from: 2, to: 4, factor: 1 } => {
                run.all(|b| i32::from(i16::from_le_bytes(b)).to_le_bytes())
            }
            Widening::Signed { from: 2, factor: 1, .. } => {
                run.all(|b| i64::from(i16::from_le_bytes(b)).to_le_bytes())
            }
            Widening::Signed { from: 4, factor: 1, .. } => {
                run.all(|b| i64::from(i32::from_le_bytes(b)).to_le_bytes())
            }
            Widening::Signed { from: 4, to: 4, factor } => run.each(|b| {
                let product = i64::from(i32::from_le_bytes(b)).checked_mul(factor)?;
                Some(i32::try_from(product).ok()?.to_le_bytes())
            }),
            Widening::Signed { from: 4, factor, .. } => run.each(|b| {
                Some(i64::from(i32::from_le_bytes(b)).checked_mul(factor)?.to_le_bytes())
            }),
            Widening::Signed { factor, .. } => {
                run.each(|b| Some(i64::from_le_bytes(b).checked_mul(factor)?.to_le_bytes()))
            }
            Widening::Unsigned { from: 1, to: 2 } => {
                run.all(|b: [u8; 1]| u16::from(b[0]).to_le_bytes())
            }
            Widening::Unsigned { from: 1, to: 4 } => {
                run.all(|b: [u8; 1]| u32::from(b[0]).to_le_bytes())
            }
            Widening::Unsigned { from: 1, .. } => {
                run.all(|b: [u8; 1]| u64::from(b[0]).to_le_bytes())
            }
            Widening::Unsigned { from: 2, to: 4 } => {
                run.all(|b| u32::from(u16::from_le_bytes(b)).to_le_bytes())
            }
            Widening::Unsigned { from: 2, .. } => {
                run.all(|b| u64::from(u16::from_le_bytes(b)).to_le_bytes())
            }
            Widening::Unsigned { .. } => {
                run.all(|b| u64::from(u32::from_le_bytes(b)).to_le_bytes())
            }
            Widening::Int { from: 1, signed: true, to: 4 } => {
                run.all(|b: [u8; 1]| f32::from(b[0] as i8).to_le_bytes())
            }
            Widening::Int { from: 1, signed: true, .. } => {
                run.all(|b: [u8; 1]| f64::from(b[0] as i8).to_le_bytes())
            }
            Widening::Int { from: 2, signed: true, to: 4 } => {
                run.all(|b| f32::from(i16::from_le_bytes(b)).to_le_bytes())
            }
            Widening::Int { from: 2, signed: true, .. } => {
                run.all(|b| f64::from(i16::from_le_bytes(b)).to_le_bytes())
            }
            Widening::Int { signed: true, .. } => {
                run.all(|b| f64::from(i32::from_le_bytes(b)).to_le_bytes())
            }
            Widening::Int { from: 1, to: 4, .. } => {
                run.all(|b: [u8; 1]| f32::from(b[0]).to_le_bytes())
            }
            Widening::Int { from: 1, .. } => run.all(|b: [u8; 1]| f64::from(b[0]).to_le_bytes()),
            Widening::Int { from: 2, to: 4, .. } => {
                run.all(|b| f32::from(u16::from_le_bytes(b)).to_le_bytes())
            }
            Widening::Int { from: 2, .. } => {
                run.all(|b| f64::from(u16::from_le_bytes(b)).to_le_bytes())
            }
            Widening::Int { .. } => run.all(|b| f64::from(u32::from_le_bytes(b)).to_le_bytes()),
            Widening::Float { from: 2, to: 4 } => {
                run.all(|b| Half::from_le_bytes(b).to_f32().to_le_bytes())
            }
            Widening::Float { from: 2, .. } => {
                run.all(|b| Half::from_le_bytes(b).to_f64().to_le_bytes())
            }
            Widening::Float { .. } => run.all(|b| f64::from(f32::from_le_bytes(b)).to_le_bytes()),
            Widening::Decimal { from, to, digits } => match from {
                4 => run.decimals(
                    |b: [u8; 4]| i256::from_i128(i32::from_le_bytes(b).into()),
                    to,
                    digits,
                ),
                8 => run.decimals(
                    |b: [u8; 8]| i256::from_i128(i64::from_le_bytes(b).into()),
                    to,
                    digits,
                ),
                16 => {
                    run.decimals(|b: [u8; 16]| i256::from_i128(i128::from_le_bytes(b)), to, digits)
                }
                _ => run.decimals(i256::from_le_bytes, to, digits),
            },
        }
    }
}

struct Run<'a> {
    from: &'a [u8],
    into: &'a mut [u8],
    is_valid: &'a dyn Fn(usize) -> bool,
}

impl Run<'_> {
    /// Elements of which each has its place.
    fn all<const N: usize, const M: usize>(
        self,
        widen: impl Fn([u8; N]) -> [u8; M],
    ) -> Result<(), OutOfRange> {
        let (from, into) = (self.from.as_chunks().0, self.into.as_chunks_mut().0);
        for (from, into) in from.iter().zip(into) {
            *into = widen(*from);
        }
        Ok(())
    }

    fn each<const N: usize, const M: usize>(
        self,
        widen: impl Fn([u8; N]) -> Option<[u8; M]>,
    ) -> Result<(), OutOfRange> {
        let (from, into) = (self.from.as_chunks().0, self.into.as_chunks_mut().0);
        for (row, (from, into)) in from.iter().zip(into).enumerate() {
            *into = match widen(*from) {
                Some(wide) => wide,
                None if (self.is_valid)(row) => return Err(OutOfRange { row }),
                None => [0; M],
            };
        }
        Ok(())
    }

    fn decimals<const N: usize>(
        self,
        number: impl Fn([u8; N]) -> i256,
        to: usize,
        digits: u32,
    ) -> Result<(), OutOfRange> {
        let factor = power_of_ten(digits);
        // Where the factor itself has no place, only zeros have one.
        let scaled = |b| match (number(b), factor) {
            (number, Some(factor)) => number.checked_mul(factor),
            (i256::ZERO, None) => Some(i256::ZERO),
            _ => None,
        };
        match to {
            4 => self.each(|b| Some(i32::try_from(scaled(b)?.to_i128()?).ok()?.to_le_bytes())),
            8 => self.each(|b| Some(i64::try_from(scaled(b)?.to_i128()?).ok()?.to_le_bytes())),
            16 => self.each(|b| Some(scaled(b)?.to_i128()?.to_le_bytes())),
            _ => self.each(|b| Some(scaled(b)?.to_le_bytes())),
        }
    }
}
