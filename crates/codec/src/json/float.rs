//! Floats as JSON writes them: of the digits that give a float back the fewest, of these the nearest to it, with a
//! point or with an exponent.
//!
//! The conversion is Schubfach's (Raffaello Giulietti, "The Schubfach way to render doubles", 2020) with one product
//! instead of three, as Xiang JunBo's xjb and Victor Zverovich's zmij have it. A float is `c * 2^q`; half of the way to its
//! neighbours is `h = 2^(q-1)`. With `k` such that `10^k <= 2h < 10^(k+1)` the interval of all that is read as the float
//! holds at most one multiple of `10^(k+1)`. If it does, no other number of it has fewer digits; if it does not,
//! the multiple of `10^k` nearest to the float lies in it, and none has fewer.
//!
//! What is computed is `c * 2^q / 10^(k+1)`: its whole part, and of its fraction 64 bits. The power of ten is cut to 128
//! bits, which changes the quotient by less than 2^-74, so that the fraction is the true one cut, or one less in the last
//! place; half of the way is the same. So only a fraction within three of these units from a place where the
//! decision changes can be judged wrongly. Which floats have one can be computed: the tests of the Python package do,
//! for each exponent and each such place, and try all of them.
//!
//! Nothing but a choice between point and exponent branches by what the number is: where numbers differ a branch is foretold
//! wrongly.

use super::powers::{FIVES, SMALLEST};
use std::hint::{black_box, select_unpredictable};
use std::ops::RangeInclusive;

/// Bytes that a float is written into; none takes more than 24.
pub const ROOM: usize = 32;

/// What has a point, by the exponent of its first digit.
pub const FIXED: RangeInclusive<i32> = -5..=15;
const FIXED_SHORT: RangeInclusive<i32> = -6..=12;

/// Bits of the quotient between its whole part and the upper half of the product.
const EXTRA: u8 = 6;

/// A float's digits, without its sign: `10 * tens + one` with as many zeros, or places behind a point, as the exponent says.
#[derive(Debug, Clone, Copy)]
pub struct Shortest {
    /// All digits but one: 15 or 16.
    pub tens: u64,
    /// The last digit.
    pub one: u64,
    /// The exponent of the last digit.
    power: i32,
}

impl Shortest {
    /// Whether there are 16 digits before the last one, and not 15.
    #[inline(always)]
    pub fn is_long(self) -> bool {
        self.tens >= 1_000_000_000_000_000
    }

    /// The exponent of the first digit.
    #[inline(always)]
    pub fn exponent(self) -> i32 {
        self.power + 15 + i32::from(self.is_long())
    }
}

/// Sixteen digits as text.
struct Sixteen {
    /// The first eight; the first of all is the lowest byte.
    high: u64,
    /// The other eight.
    low: u64,
    /// How many zeros there are at the end; not 16.
    zeros: u32,
}

/// The digits of a number below 10^16 that is not 0, with zeros before them.
#[inline(always)]
fn sixteen(n: u64) -> Sixteen {
    let (high, low) = (eight(n / 100_000_000), eight(n % 100_000_000));
    let (zeros, lowest) = select_unpredictable(low == 0, (8, high), (0, low));
    Sixteen {
        high: (high | ZEROS).swap_bytes(),
        low: (low | ZEROS).swap_bytes(),
        zeros: zeros + lowest.trailing_zeros() / 8,
    }
}

/// The digits of a number below 10^8, a byte each, the last one lowest.
///
/// Each step divides all parts at once, and `part + (2^n - d) * (part / d)` has the quotient above the rest:
/// `x * 109951163 >> 40` is `x / 10000` up to 99999999, `x * 5243 >> 19` is `x / 100` up to 9999, `x * 103 >> 10` is
/// `x / 10` up to 99.
#[inline(always)]
fn eight(n: u64) -> u64 {
    let fours = n + ((1 << 32) - 10_000) * ((n * 109_951_163) >> 40);
    let pairs = fours + ((1 << 16) - 100) * (((fours * 5243) >> 19) & 0x0000_007f_0000_007f);
    pairs + ((1 << 8) - 10) * (((pairs * 103) >> 10) & 0x000f_000f_000f_000f)
}

/// Eight digits `0`.
const ZEROS: u64 = 0x3030_3030_3030_3030;

/// Writes a float, which is neither endless nor none, and gives the length. What is behind it in the room is left
/// anyhow.
pub fn write(x: f64, room: &mut [u8; ROOM]) -> usize {
    debug_assert!(x.is_finite());
    let sign = usize::from(x.is_sign_negative());
    let found = match shortest(x) {
        Some(found) => found,
        None if x == 0.0 => return zero(sign, room),
        None => rarely_shortest(x),
    };
    lay_out(found, sign, FIXED, room)
}

/// The digits of a float of the common kind: `None` for zero, powers of two and subnormals, which only [`write()`] knows.
#[inline(always)]
pub fn shortest(x: f64) -> Option<Shortest> {
    let bits = x.to_bits();
    let (exponent, fraction) = ((bits >> 52) as usize & 0x7ff, bits & ((1 << 52) - 1));
    (fraction != 0 && exponent != 0).then(|| regular(fraction | 1 << 52, exponent))
}

#[cold]
#[inline(never)]
fn rarely_shortest(x: f64) -> Shortest {
    let bits = x.to_bits();
    match ((bits >> 52) as usize & 0x7ff, bits & ((1 << 52) - 1)) {
        (0, fraction) => regular(fraction, 1).filled(),
        // The one below the smallest power is as far as the one above.
        (1, _) => regular(1 << 52, 1),
        (exponent, _) => irregular(1 << 52, exponent),
    }
}

/// As [`write()`], in the digits that a shorter float takes.
pub fn write_short(x: f32, room: &mut [u8; ROOM]) -> usize {
    debug_assert!(x.is_finite());
    let bits = x.to_bits();
    let (sign, exponent) = ((bits >> 31) as usize, (bits >> 23) as usize & 0xff);
    let fraction = u64::from(bits & ((1 << 23) - 1));
    // Where a double with this exponent in the last place has its own.
    let same = exponent.max(1) + 1075 - 150;
    let found = match (fraction, exponent) {
        (0, 0) => return zero(sign, room),
        (_, 0) => regular(fraction, same),
        (0, 2..) => irregular(1 << 23, same),
        _ => regular(fraction | 1 << 23, same),
    };
    lay_out(found.filled(), sign, FIXED_SHORT, room)
}

fn zero(sign: usize, room: &mut [u8; ROOM]) -> usize {
    room[0] = b'-';
    put(room, sign & 1, ZEROS);
    room[sign + 1] = b'.';
    sign + 3
}

/// By which power of ten `c * 2^q` is divided, less one, for the `q` of a double's exponent: the whole part of
/// `q * log10(2)`, or with a third of 2^q less, of which `315653 / 2^20` and `131072 / 2^20` are close enough.
const fn power_of(exponent: i32, is_regular: bool) -> i32 {
    ((exponent - 1075) * 315_653 - if is_regular { 0 } else { 131_072 }) >> 20
}

/// By how much `c` is shifted so that the product with the power has its point where it is wanted: `217707 / 2^16` is
/// log2(10), close enough.
const fn shift_of(exponent: i32, power: i32) -> u8 {
    (exponent - 1075 + ((-(power + 1) * 217_707) >> 16) + 1 + EXTRA as i32) as u8
}

/// [`shift_of`] each exponent of a double.
static SHIFTS: [u8; 2048] = {
    let mut all = [0; 2048];
    let mut exponent = 0;
    while exponent < 2048 {
        all[exponent as usize] = shift_of(exponent, power_of(exponent, true));
        exponent += 1;
    }
    all
};

/// `c * 2^q / 10^(k+1)`, and half of the way to the next one above.
struct Quotient {
    whole: u64,
    /// 64 bits behind the point.
    part: u64,
    half: u64,
}

#[inline(always)]
fn divide(c: u64, power: i32, shift: u8) -> Quotient {
    // The compiler shall not see where the address comes from: it would leave the sum to both of the loads, and a load
    // from a sum waits on some processors (seen on AMD's Zen 3) until all places that are written before are known.
    let five = *black_box(&FIVES[(-power - 1 - SMALLEST) as usize]);
    let (high, low) = ((five >> 64) as u64, five as u64);
    let c = c << (shift & 63);
    let product = u128::from(high) * u128::from(c) + ((u128::from(low) * u128::from(c)) >> 64);
    Quotient {
        whole: (product >> 64) as u64 >> EXTRA,
        part: (product >> EXTRA) as u64,
        half: high >> ((EXTRA + 1).wrapping_sub(shift) & 63),
    }
}

/// `c * 2^q` of an exponent that has neighbours in the same distance on both sides.
#[inline(always)]
fn regular(c: u64, exponent: usize) -> Shortest {
    let power = power_of(exponent as i32, true);
    let Quotient { whole, part, half } = divide(c, power, SHIFTS[exponent & 2047]);
    // The ends of the interval belong to it if `c` is even.
    let half = half + (!c & 1);
    let (_, is_up) = part.overflowing_add(half);
    let is_down = half > part;
    // Rounded; 2.5, the one half that there is with an even digit below, becomes 2. Six: see the test of hard cases.
    let one = ((u128::from(part) * 10 + ((1 << 63) + 6)) >> 64) as u64;
    let one = if part == 1 << 62 { 2 } else { one };
    Shortest { tens: whole + u64::from(is_up), one: if is_up | is_down { 0 } else { one }, power }
}

/// As [`regular`], where the one below is half as far as the one above.
fn irregular(c: u64, exponent: usize) -> Shortest {
    let power = power_of(exponent as i32, false);
    let Quotient { whole, part, half } = divide(c, power, shift_of(exponent as i32, power));
    let is_up = half > u64::MAX - part;
    let is_down = half / 2 > part;
    let nearest = ((u128::from(part) * 10 + ((1 << 63) - 1)) >> 64) as u64;
    // The nearest may be below the interval.
    let lowest = part.saturating_sub(half / 2);
    let lowest = ((u128::from(lowest) * 10 + u128::from(u64::MAX)) >> 64) as u64;
    let one = if is_up | is_down { 0 } else { nearest.max(lowest) };
    Shortest { tens: whole + u64::from(is_up), one, power }
}

impl Shortest {
    /// With as many digits as are wanted, where there are fewer.
    fn filled(mut self) -> Self {
        while self.tens < 100_000_000_000_000 {
            self.tens = 10 * self.tens + self.one;
            self.one = 0;
            self.power -= 1;
        }
        self
    }
}

/// How a number with a point is laid out, whose first digit has some exponent.
///
/// Seventeen digits are written one place behind where they begin. Then the word in which the point comes to stand is
/// written again, and of it only what is behind the point keeps its place. All but the lengths is in bytes of a word.
#[derive(Clone, Copy)]
struct Layout {
    /// Of that word, what stands before the point.
    before: u64,
    /// Zeros before the digits, with the point, less one.
    base: u8,
    /// Where the word begins: 0 or 8.
    word: u8,
    /// Where the point is, less one.
    point: u8,
    /// The length that there is at least, for a zero behind the point.
    least: u8,
}

const LOWEST: i32 = *FIXED_SHORT.start();

static LAYOUTS: [Layout; (*FIXED.end() - LOWEST + 1) as usize] = {
    let mut all = [Layout { before: 0, base: 0, word: 0, point: 0, least: 0 };
        (*FIXED.end() - LOWEST + 1) as usize];
    let mut exponent = LOWEST;
    while exponent <= *FIXED.end() {
        let layout = &mut all[(exponent - LOWEST) as usize];
        if exponent < 0 {
            layout.base = -exponent as u8;
        } else {
            let digits = exponent as u8 + 1;
            layout.word = if digits > 8 { 8 } else { 0 };
            layout.before = u64::MAX >> (64 - 8 * (digits - layout.word));
            layout.point = digits - 1;
            layout.least = digits + 2;
        }
        exponent += 1;
    }
    all
};

/// Masks of what is in a table say what the compiler can't know: so no place is compared with the room's end.
#[inline(always)]
fn lay_out(
    found: Shortest,
    sign: usize,
    fixed: RangeInclusive<i32>,
    room: &mut [u8; ROOM],
) -> usize {
    let sign = sign & 1;
    room[0] = b'-';
    let (is_long, exponent) = (found.is_long(), found.exponent());
    // The last digit is ready later than the others, and is put in where they are text. It is the 16th or the 17th.
    let Sixteen { high, low, zeros } =
        sixteen(select_unpredictable(is_long, found.tens, 10 * found.tens));
    let low = low | select_unpredictable(is_long, 0, found.one << 56);
    let last = b'0' | select_unpredictable(is_long, found.one, 0) as u8;
    let count = 16 - zeros as usize;
    let count = select_unpredictable(found.one != 0, 16 + usize::from(is_long), count);
    if !fixed.contains(&exponent) {
        return with_exponent(high, low, last, count, exponent, sign, room);
    }
    let layout = &LAYOUTS[(exponent - LOWEST) as usize];
    put(room, sign, ZEROS);
    let base = sign + usize::from(layout.base & 7);
    put(room, base + 1, high);
    put(room, base + 9, low);
    room[base + 17] = last;
    put(room, base, high);
    let word = select_unpredictable(layout.word != 0, low, high);
    let behind = word << 8 | u64::from(b'0');
    put(room, base + usize::from(layout.word & 8), behind ^ ((word ^ behind) & layout.before));
    room[sign + 1 + usize::from(layout.point & 15)] = b'.';
    let (len, least) = (count + 1 + usize::from(layout.base), usize::from(layout.least));
    sign + select_unpredictable(len < least, least, len)
}

#[inline(never)]
fn with_exponent(
    high: u64,
    low: u64,
    last: u8,
    count: usize,
    exponent: i32,
    sign: usize,
    room: &mut [u8; ROOM],
) -> usize {
    put(room, sign + 1, high);
    put(room, sign + 9, low);
    room[sign + 17] = last;
    room[sign] = high as u8;
    room[sign + 1] = b'.';
    let mut len = sign + count + usize::from(count > 1);
    let mut push = |byte| {
        room[len] = byte;
        len += 1;
    };
    push(b'e');
    push(if exponent < 0 { b'-' } else { b'+' });
    let n = exponent.unsigned_abs();
    if n >= 100 {
        push(b'0' + (n / 100) as u8);
    }
    if n >= 10 {
        push(b'0' + (n / 10 % 10) as u8);
    }
    push(b'0' + (n % 10) as u8);
    len
}

#[inline(always)]
fn put(room: &mut [u8; ROOM], at: usize, word: u64) {
    room[at..at + 8].copy_from_slice(&word.to_le_bytes());
}
