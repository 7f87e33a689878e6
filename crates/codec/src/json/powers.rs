//! Powers of five, which those of ten are but for a shift: numbers are read and written with them.

/// The smallest exponent and the largest one: what is read needs -342 to 308, what is written -293 to 323.
pub(super) const SMALLEST: i32 = -342;
const LARGEST: i32 = 323;

type All = [u128; (LARGEST - SMALLEST + 1) as usize];

/// Of each power of five the upper 128 bits, the highest of them set; the others are cut.
pub(super) static FIVES: All = powers();

const fn powers() -> All {
    let mut all = [0; (LARGEST - SMALLEST + 1) as usize];
    // 5^323 has 750 bits; 2^1100 over 5^342, which has 795, still has more than 128.
    let mut number = [0u64; 18];
    number[0] = 1;
    let mut exponent = 0;
    while exponent <= LARGEST {
        all[(exponent - SMALLEST) as usize] = upper(&number);
        let (mut carry, mut limb) = (0u128, 0);
        while limb < number.len() {
            carry += number[limb] as u128 * 5;
            number[limb] = carry as u64;
            carry >>= 64;
            limb += 1;
        }
        exponent += 1;
    }
    let mut number = [0u64; 18];
    number[17] = 1 << 12;
    let mut exponent = -1;
    while exponent >= SMALLEST {
        // Cutting the quotient each time cuts the same as cutting it at the end.
        let (mut rest, mut limb) = (0u128, number.len());
        while limb > 0 {
            limb -= 1;
            let part = rest << 64 | number[limb] as u128;
            number[limb] = (part / 5) as u64;
            rest = part % 5;
        }
        all[(exponent - SMALLEST) as usize] = upper(&number);
        exponent -= 1;
    }
    all
}

/// The upper 128 bits from the highest that is set.
const fn upper(number: &[u64; 18]) -> u128 {
    let mut top = number.len() - 1;
    while number[top] == 0 {
        top -= 1;
    }
    let a = number[top] as u128;
    let b = if top >= 1 { number[top - 1] as u128 } else { 0 };
    let c = if top >= 2 { number[top - 2] } else { 0 };
    let zeros = number[top].leading_zeros();
    let both = a << 64 | b;
    if zeros == 0 { both } else { both << zeros | (c >> (64 - zeros)) as u128 }
}
