//! Floats as JSON writes them, against the standard library's digits; `SLIPRING_ROUNDS` millions of random ones.
//!
//! Doubles whose digits are hardest to judge are computed and tried by the Python package's tests.

use slipring_codec::json::float::{self, ROOM};

fn written(x: f64) -> String {
    let mut room = [b'#'; ROOM];
    let len = float::write(x, &mut room);
    String::from_utf8(room[..len].to_vec()).unwrap()
}

fn written_short(x: f32) -> String {
    let mut room = [b'#'; ROOM];
    let len = float::write_short(x, &mut room);
    String::from_utf8(room[..len].to_vec()).unwrap()
}

/// The digits of the standard library, such as `-1.25e-7`; but what is half-way between two of the shortest goes to the
/// even one if that is read as the same, as in Python, and not up. `exactly` gives more digits than the shortest have.
fn nearest(
    shortest: String,
    exactly: impl Fn(usize) -> String,
    is_same: impl Fn(&str) -> bool,
) -> String {
    let (mantissa, exponent) = shortest.split_once('e').unwrap();
    let last = mantissa.bytes().last().unwrap();
    if last % 2 == 0 {
        return shortest;
    }
    let down = format!("{}{}", &mantissa[..mantissa.len() - 1], char::from(last - 1));
    let behind = mantissa.split_once('.').map_or(0, |(_, behind)| behind.len());
    let point = if behind == 0 { "." } else { "" };
    let half = format!("{down}{point}5{}e{exponent}", "0".repeat(25));
    let even = format!("{down}e{exponent}");
    if exactly(behind + 26) == half && is_same(&even) { even } else { shortest }
}

/// Digits such as `-1.25e-7` laid out as JSON has them: with a point from the first exponent to the last, both of them
/// among these.
fn laid_out(scientific: &str, first: i32, last: i32) -> String {
    let (sign, rest) = match scientific.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", scientific),
    };
    let (mantissa, exponent) = rest.split_once('e').unwrap();
    let (digits, exponent) = (mantissa.replace('.', ""), exponent.parse::<i32>().unwrap());
    let body = if !(first..=last).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{mantissa}e{sign}{}", exponent.abs())
    } else if exponent < 0 {
        format!("0.{}{digits}", "0".repeat(-exponent as usize - 1))
    } else {
        let whole = exponent as usize + 1;
        let digits = format!("{digits:0<width$}", width = whole + 1);
        format!("{}.{}", &digits[..whole], &digits[whole..])
    };
    format!("{sign}{body}")
}

#[track_caller]
fn check(x: f64) {
    if x.is_finite() {
        let digits =
            nearest(format!("{x:e}"), |n| format!("{x:.n$e}"), |text| text.parse() == Ok(x));
        assert_eq!(written(x), laid_out(&digits, -5, 15), "{:#x}", x.to_bits());
    }
}

#[track_caller]
fn check_short(x: f32) {
    if x.is_finite() {
        let digits =
            nearest(format!("{x:e}"), |n| format!("{x:.n$e}"), |text| text.parse() == Ok(x));
        assert_eq!(written_short(x), laid_out(&digits, -6, 12), "{:#x}", x.to_bits());
    }
}

/// Itself, its negative, and the nearest ones on both sides.
fn check_around(x: f64) {
    for bits in x.to_bits().saturating_sub(2)..=x.to_bits() + 2 {
        check(f64::from_bits(bits));
        check(-f64::from_bits(bits));
    }
}

/// Random bits (xorshift64*): the same ones each time, unless `SLIPRING_RANDOM` is set.
struct Draw(u64);

impl Draw {
    fn new(seed: u64) -> Draw {
        let time = || std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64 | 1;
        Draw(if std::env::var_os("SLIPRING_RANDOM").is_some() { time() } else { seed })
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

fn rounds(few: u64) -> u64 {
    match std::env::var("SLIPRING_ROUNDS") {
        Ok(millions) => 1_000_000 * millions.parse::<u64>().expect("SLIPRING_ROUNDS"),
        Err(_) => few,
    }
}

/// J1, J2: where the form changes, zeros, and what has one digit or all seventeen.
#[test]
fn forms_are_those_of_json() {
    for (x, text) in [
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (1.0, "1.0"),
        (-1.5, "-1.5"),
        (100.0, "100.0"),
        (0.1, "0.1"),
        (-0.00001, "-0.00001"),
        (0.000012345678901234568, "0.000012345678901234568"),
        (-0.000012345678901234568, "-0.000012345678901234568"),
        (0.00000999, "9.99e-6"),
        (1e-6, "1e-6"),
        (123456789012345.69, "123456789012345.69"),
        (999999999999999.9, "999999999999999.9"),
        (1234567890123450.0, "1234567890123450.0"),
        (1e15, "1000000000000000.0"),
        (-9007199254740993.0, "-9007199254740992.0"),
        (9999999999999998.0, "9999999999999998.0"),
        (1e16, "1e+16"),
        (1.25e17, "1.25e+17"),
        (-1e100, "-1e+100"),
        (5e-324, "5e-324"),
        (-2.2250738585072014e-308, "-2.2250738585072014e-308"),
        (-1.7976931348623157e308, "-1.7976931348623157e+308"),
    ] {
        assert_eq!(written(x), text);
    }
    for (x, text) in [
        (0.1, "0.1"),
        (1e-6, "0.000001"),
        (9e-7, "9e-7"),
        (1e12, "1000000000000.0"),
        (1e13, "1e+13"),
    ] {
        assert_eq!(written_short(x), text);
    }
}

/// J1, J2: each power of two and of ten, each exponent, and what is beside them.
#[test]
fn each_exponent_has_the_standard_digits() {
    let mut draw = Draw::new(1);
    for exponent in 0..2047u64 {
        check_around(f64::from_bits(exponent << 52));
        for _ in 0..200 {
            check(f64::from_bits(exponent << 52 | draw.next() >> 12));
        }
    }
    for exponent in -324..=308 {
        for first in 1..100 {
            check_around(format!("{first}e{exponent}").parse().unwrap());
        }
    }
}

/// J1, J2: the smallest ones have one digit or a few.
#[test]
fn subnormals_have_the_standard_digits() {
    let mut draw = Draw::new(2);
    for bits in 1..20_000 {
        check(f64::from_bits(bits));
    }
    for bits in 0..52 {
        check_around(f64::from_bits(1 << bits));
        for _ in 0..500 {
            check(f64::from_bits(draw.next() >> (12 + bits)));
        }
    }
}

/// J1, J2: integers up to 2^53 and beyond, where not each one is a double, and decimals of a few digits.
#[test]
fn integers_and_short_decimals_have_the_standard_digits() {
    let mut draw = Draw::new(3);
    for n in 0..100_000 {
        check(n as f64);
        check(n as f64 / 100.0);
    }
    for bits in 1..64 {
        check_around((1u64 << bits) as f64);
        for _ in 0..1_000 {
            check((draw.next() >> (64 - bits)) as f64);
        }
    }
    for _ in 0..100_000 {
        let digits = 1 + draw.next() % 17;
        let n = draw.next() % 10u64.pow(digits as u32);
        let exponent = (draw.next() % 40) as i32 - 25;
        check(format!("{n}e{exponent}").parse().unwrap());
    }
}

/// J1, J2: any others.
#[test]
fn random_doubles_have_the_standard_digits() {
    let mut draw = Draw::new(4);
    for _ in 0..rounds(300_000) {
        check(f64::from_bits(draw.next()));
        check((draw.next() >> 11) as f64 / 2f64.powi((draw.next() % 80) as i32));
    }
}

/// J1, J2: short floats; of those of a long run every one, if it is long enough.
#[test]
fn short_floats_have_the_standard_digits() {
    let count = rounds(1_000_000).min(1 << 32);
    let step = (1u64 << 32) / count;
    for at in 0..count {
        check_short(f32::from_bits((at * step) as u32 ^ (at % step) as u32));
    }
    for exponent in 0..255 {
        for near in 0..5 {
            check_short(f32::from_bits((exponent << 23 | near) - if exponent > 0 { 2 } else { 0 }));
        }
    }
    for exponent in -45..=38 {
        for first in 1..100 {
            let x: f32 = format!("{first}e{exponent}").parse().unwrap();
            for bits in x.to_bits().saturating_sub(2)..=x.to_bits() + 2 {
                check_short(f32::from_bits(bits));
                check_short(-f32::from_bits(bits));
            }
        }
    }
}
