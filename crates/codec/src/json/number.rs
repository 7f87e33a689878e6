//! Numbers as JSON writes them: digits joined, and the double nearest to a decimal number.

use super::JsonFault;
use super::powers::{FIVES, SMALLEST};

/// A number's parts, as they are written.
#[derive(Debug, Clone, Copy)]
pub struct Scanned {
    /// Whether a minus stands before it.
    pub negative: bool,
    /// How many digits there are before the exponent, leading zeros among them.
    pub digits: usize,
    /// The digits as one number, cut to 64 bits: right for up to 19 of them.
    pub mantissa: u64,
    /// The power of ten that the mantissa is multiplied by, cut to what fits.
    pub exponent: i64,
    /// Whether it has neither a point nor an exponent.
    pub is_int: bool,
    /// The place behind it.
    pub end: usize,
}

/// Reads the number that begins at `start`; `None` where there is none, which [`fault`] tells more of.
#[inline(always)]
pub fn scan(input: &[u8], start: usize) -> Option<Scanned> {
    let negative = byte(input, start) == b'-';
    let whole = start + usize::from(negative);
    let (mut end, mut mantissa) = join(input, whole, 0);
    let mut digits = end - whole;
    if digits == 0 || (digits > 1 && byte(input, whole) == b'0') {
        return None;
    }
    let mut next = byte(input, end);
    if next != b'.' && next | 0x20 != b'e' {
        return Some(Scanned { negative, digits, mantissa, exponent: 0, is_int: true, end });
    }
    let mut exponent = 0;
    if next == b'.' {
        let fraction = end + 1;
        (end, mantissa) = join(input, fraction, mantissa);
        if end == fraction {
            return None;
        }
        digits += end - fraction;
        exponent = -((end - fraction) as i64);
        next = byte(input, end);
    }
    if next | 0x20 == b'e' {
        let power;
        (end, power) = scan_exponent(input, end + 1)?;
        exponent = exponent.saturating_add(power);
    }
    Some(Scanned { negative, digits, mantissa, exponent, is_int: false, end })
}

impl Scanned {
    /// The double nearest to it; `None` where that takes more than is done here.
    #[inline(always)]
    pub fn nearest(self, input: &[u8], start: usize) -> Option<f64> {
        if self.digits > 19 && significant(input, start, self.digits) > 19 {
            return None;
        }
        let x = nearest(self.mantissa, self.exponent)?;
        Some(if self.negative { -x } else { x })
    }
}

/// How many of the digits of the number from `start` on follow its leading zeros.
#[inline(never)]
fn significant(input: &[u8], start: usize, digits: usize) -> usize {
    let before = input[start..].iter().take_while(|byte| b"-0.".contains(byte));
    digits.saturating_sub(before.filter(|&&byte| byte == b'0').count())
}

/// The byte at a place; 0, which is of no number, at the end.
#[inline(always)]
fn byte(input: &[u8], at: usize) -> u8 {
    input.get(at).copied().unwrap_or(0)
}

/// Joins the digits from `at` on to a number, which is cut to 64 bits; the place behind them.
#[inline(always)]
fn join(input: &[u8], mut at: usize, mut n: u64) -> (usize, u64) {
    while let Some(chunk) = input.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let chunk = u64::from_le_bytes(*chunk);
        let count = count_digits(chunk);
        // A branch of its own: what is foretold is not waited for.
        if count == 8 {
            n = n.wrapping_mul(POWERS[8]).wrapping_add(join_digits(chunk, 8));
            at += 8;
            continue;
        }
        n = n.wrapping_mul(POWERS[count as usize]).wrapping_add(join_digits(chunk, count));
        return (at + count as usize, n);
    }
    while let digit @ b'0'..=b'9' = byte(input, at) {
        n = n.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
        at += 1;
    }
    (at, n)
}

/// The exponent from behind its letter on, and where it ends.
#[inline(never)]
fn scan_exponent(input: &[u8], mut at: usize) -> Option<(usize, i64)> {
    let negative = byte(input, at) == b'-';
    at += usize::from(matches!(byte(input, at), b'-' | b'+'));
    let (start, mut n) = (at, 0i64);
    while let digit @ b'0'..=b'9' = byte(input, at) {
        n = n.saturating_mul(10).saturating_add((digit - b'0').into());
        at += 1;
    }
    (at > start).then_some((at, if negative { -n } else { n }))
}

/// What is wrong with the number from `start` on that [`scan`] did not read, and where.
#[cold]
#[inline(never)]
pub fn fault(input: &[u8], start: usize) -> (JsonFault, usize) {
    let rest = &input[start.min(input.len())..];
    if rest.starts_with(b"-Infinity") {
        return (JsonFault::Infinity { negative: true }, start);
    }
    let digits = |at: usize| input[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let whole = start + usize::from(rest.starts_with(b"-"));
    let mut at = whole + digits(whole);
    if at == whole {
        return (JsonFault::MinusDigit, whole);
    }
    if at > whole + 1 && input[whole] == b'0' {
        return (JsonFault::LeadingZero, whole);
    }
    if byte(input, at) == b'.' {
        at += 1;
        if digits(at) == 0 {
            return (JsonFault::PointDigit, at);
        }
        at += digits(at);
    }
    at += usize::from(matches!(byte(input, at), b'e' | b'E'));
    at += usize::from(matches!(byte(input, at), b'-' | b'+'));
    (JsonFault::ExponentDigit, at)
}

/// Eight digits `0`.
const ZEROS: u64 = 0x3030_3030_3030_3030;

/// How many of these eight bytes, from the lowest on, are digits.
#[inline(always)]
fn count_digits(chunk: u64) -> u32 {
    // A digit becomes 0 to 9. What is more sets the upper bit of its byte; a carry touches only bytes above.
    let values = chunk ^ ZEROS;
    ((values.wrapping_add(0x7676_7676_7676_7676) | values) & 0x8080_8080_8080_8080).trailing_zeros()
        / 8
}

/// The number that the first `count` of these bytes show, all of them digits; the lowest comes first.
#[inline(always)]
fn join_digits(chunk: u64, count: u32) -> u64 {
    if count == 0 {
        return 0;
    }
    // What is shifted in are leading zeros; then pairs, fours and all eight are joined.
    let ones = (chunk ^ ZEROS) << (64 - 8 * count);
    let pairs = ones.wrapping_mul(10).wrapping_add(ones >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = pairs.wrapping_mul(100).wrapping_add(pairs >> 16) & 0x0000_ffff_0000_ffff;
    fours.wrapping_mul(10_000).wrapping_add(fours >> 32) & 0xffff_ffff
}

/// Powers of ten, as many as digits are joined at once.
const POWERS: [u64; 9] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];

/// Powers of ten that a double holds exactly.
const EXACT: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

/// The double nearest to `mantissa` times ten to the `exponent`, ties to even; `None` where that takes more
/// than is done here.
#[inline(always)]
pub fn nearest(mantissa: u64, exponent: i64) -> Option<f64> {
    // Two exact operands make a result that is rounded once.
    if mantissa <= 1 << 53 && (-22..=22).contains(&exponent) {
        let n = mantissa as f64;
        let power = EXACT[exponent.unsigned_abs() as usize];
        return Some(if exponent < 0 { n / power } else { n * power });
    }
    eisel_lemire(mantissa, exponent)
}

/// Of exponents the largest that is no infinity; [`FIVES`] begins with the smallest that is no zero.
const LARGEST: i64 = 308;

/// The algorithm of Eisel and Lemire ("Number parsing at a gigabyte per second", 2021, with the proof of Mushtak and
/// Lemire that its fallback is not needed within the table): the upper 128 bits of the product of mantissa and
/// power of five decide unless the lower ones are all ones. It wants a power that does not end cut, and one more in the
/// last place from -27 to -1. Subnormal and infinite results are left to others.
fn eisel_lemire(mantissa: u64, exponent: i64) -> Option<f64> {
    if mantissa == 0 {
        return Some(0.0);
    }
    if !(SMALLEST.into()..=LARGEST).contains(&exponent) {
        return None;
    }
    let zeros = mantissa.leading_zeros();
    let mantissa = mantissa << zeros;
    let five = FIVES[(exponent - i64::from(SMALLEST)) as usize];
    let first = u128::from(mantissa) * (five >> 64);
    let (mut upper, mut lower) = ((first >> 64) as u64, first as u64);
    // Of the 64 bits 55 are used: where the others are all ones, the lower half of the power can carry into them.
    if upper & 0x1ff == 0x1ff {
        let half = five as u64 + u64::from((-27..0).contains(&exponent));
        let second = ((u128::from(mantissa) * u128::from(half)) >> 64) as u64;
        let carry;
        (lower, carry) = lower.overflowing_add(second);
        upper += u64::from(carry);
    }
    if lower == u64::MAX && !(-27..=55).contains(&exponent) {
        return None;
    }
    let top = upper >> 63;
    let shift = top + 64 - 52 - 3;
    let mut bits = upper >> shift;
    // The binary exponent of ten to the power: 217706 / 2^16 is log2(10).
    let power = ((217_706 * exponent) >> 16) + 63 + top as i64 - i64::from(zeros) + 1023;
    if power <= 0 {
        return None;
    }
    // Half-way between two: only then is the last bit not rounded up.
    if lower <= 1 && (-4..=23).contains(&exponent) && bits & 3 == 1 && bits << shift == upper {
        bits &= !1;
    }
    bits = (bits + (bits & 1)) >> 1;
    let (bits, power) = if bits >> 53 != 0 { (1 << 52, power + 1) } else { (bits, power) };
    if power >= 0x7ff {
        return None;
    }
    Some(f64::from_bits(bits & !(1 << 52) | (power as u64) << 52))
}
