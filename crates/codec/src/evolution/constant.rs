//! Defaults: what stands in each row of a column that was not written.

use arrow_buffer::i256;
use arrow_schema::{DataType, Field};

use super::DEFAULT;
use super::widen::{digits, power_of_ten};
use crate::format::arrow::to_half;

/// One value, as the metadata of a field has it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Constant {
    /// A truth value.
    Bool(bool),
    /// The bytes of an element of fixed width.
    Fixed(Vec<u8>),
    /// A text.
    Text(String),
    /// The one value of a dictionary.
    Dictionary(Box<Constant>),
}

/// What stands for the column where it was not written; `None` where that is null, or nothing that the type has.
pub fn default_of(field: &Field) -> Option<Constant> {
    Constant::parse(field.data_type(), field.metadata().get(DEFAULT)?)
}

impl Constant {
    /// The value of this type that a text says. `None`: the text is none of it, or the type has no defaults.
    pub(super) fn parse(data_type: &DataType, text: &str) -> Option<Constant> {
        use DataType::*;
        macro_rules! number {
            ($kind:ty) => {
                text.parse::<$kind>().ok()?.to_le_bytes().to_vec()
            };
        }
        Some(Constant::Fixed(match data_type {
            Boolean => return text.parse().ok().map(Constant::Bool),
            Utf8 | LargeUtf8 | Utf8View => return Some(Constant::Text(text.to_owned())),
            Dictionary(_, values) if !matches!(**values, Dictionary(..)) => {
                return Some(Constant::Dictionary(Box::new(Constant::parse(values, text)?)));
            }
            Int8 => number!(i8),
            Int16 => number!(i16),
            Int32 => number!(i32),
            Int64 => number!(i64),
            UInt8 => number!(u8),
            UInt16 => number!(u16),
            UInt32 => number!(u32),
            UInt64 => number!(u64),
            Float16 => to_half(text.parse().ok()?).to_le_bytes().to_vec(),
            Float32 => number!(f32),
            Float64 => number!(f64),
            Date32 => i32::try_from(days(text)?).ok()?.to_le_bytes().to_vec(),
            Date64 => days(text)?.checked_mul(86_400_000)?.to_le_bytes().to_vec(),
            Decimal32(..) | Decimal64(..) | Decimal128(..) | Decimal256(..) => {
                let number = decimal(data_type, text)?;
                let width = data_type.primitive_width()?;
                number.to_le_bytes()[..width].to_vec()
            }
            _ => return None,
        }))
    }
}

/// The digits of a decimal, without its point, if it has no more of them than the type.
fn decimal(data_type: &DataType, text: &str) -> Option<i256> {
    let (precision, _, scale) = digits(data_type)?;
    let (sign, number) = match text.strip_prefix('-') {
        Some(number) => ("-", number),
        None => ("", text),
    };
    let (before, after) = number.split_once('.').unwrap_or((number, ""));
    let after = after.trim_end_matches('0');
    let all = format!("{before}{after}");
    if before.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let missing = i16::try_from(after.len()).ok()?.checked_neg()?.checked_add(scale)?;
    let number = i256::from_string(&format!("{sign}{}", all.trim_start_matches('0')));
    let number = if all.bytes().all(|byte| byte == b'0') { i256::ZERO } else { number? };
    let factor = power_of_ten(missing.unsigned_abs().into());
    let number = match (number, factor) {
        (i256::ZERO, _) => i256::ZERO,
        (number, Some(factor)) if missing >= 0 => number.checked_mul(factor)?,
        // The last digits are before the point, and must be zeros.
        (number, Some(factor)) if number.checked_rem(factor)? == i256::ZERO => {
            number.checked_div(factor)?
        }
        _ => return None,
    };
    let limit = power_of_ten(precision.into())?;
    (number < limit && number > limit.checked_neg()?).then_some(number)
}

/// Days from 1970-01-01 to a date as `2024-02-29`, by the Gregorian calendar.
fn days(text: &str) -> Option<i64> {
    let digits = |range: std::ops::Range<usize>| {
        let digits = text.get(range)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<i64>().ok())?
    };
    if text.len() != 10 || &text.as_bytes()[4..5] != b"-" || &text.as_bytes()[7..8] != b"-" {
        return None;
    }
    let (year, month, day) = (digits(0..4)?, digits(5..7)?, digits(8..10)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let lengths = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let ahead = usize::try_from(month).ok()?.checked_sub(1)?;
    if day < 1 || day > *lengths.get(ahead)? {
        return None;
    }
    let years = year + 399;
    // Whole years before this one, from a year that is divisible by 400 on; 1970 is the 2,369th of them.
    let before = |years: i64| years * 365 + years / 4 - years / 100 + years / 400;
    let in_year = lengths[..ahead].iter().sum::<i64>() + day - 1;
    Some(before(years) + in_year - before(1970 + 399))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_counted_from_1970() {
        let known = [
            ("1970-01-01", 0),
            ("1969-12-31", -1),
            ("2000-02-29", 11_016),
            ("2024-02-29", 19_782),
            ("0000-03-01", -719_468),
            ("9999-12-31", 2_932_896),
            ("1900-03-01", -25_508),
        ];
        for (text, expected) in known {
            assert_eq!(days(text), Some(expected), "{text}");
        }
        for none in [
            "1900-02-29",
            "2023-13-01",
            "2023-00-10",
            "2023-01-00",
            "23-01-01",
            "2023-1-001",
            "+023-01-01",
            "2023/01/01",
            "éé-01-01",
        ] {
            assert_eq!(days(none), None, "{none}");
        }
    }

    #[test]
    fn decimals_keep_every_digit_or_are_refused() {
        let is = |precision, scale, text| {
            decimal(&DataType::Decimal128(precision, scale), text).map(|n| n.to_i128().unwrap())
        };
        assert_eq!(is(5, 2, "12.5"), Some(1250));
        assert_eq!(is(5, 2, "-0.010"), Some(-1));
        assert_eq!(is(5, 2, "0"), Some(0));
        assert_eq!(is(5, 2, "0.00"), Some(0));
        assert_eq!(is(5, -2, "12300"), Some(123));
        assert_eq!(is(5, -2, "12310"), None);
        assert_eq!(is(5, 2, "12.345"), None);
        assert_eq!(is(5, 2, "1000"), None);
        assert_eq!(is(38, -128, "7"), None);
        for none in ["", "-", ".", ".5", "1e3", "--1", "+1", "1.2.3", "nan"] {
            assert_eq!(is(5, 2, none), None, "{none}");
        }
    }
}
