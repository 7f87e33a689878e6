//! Integers of any size. The NIF API knows none beyond 64 bits, so they go through the external
//! format, which has their digits as they are (SMALL_BIG_EXT, 110, and LARGE_BIG_EXT, 111).

use super::terms::{self, Word};
use arrow_buffer::i256;
use rustler::Env;
use slipring_codec::Encoder;
use slipring_codec::tag;
use slipring_codec::token::Sink;

/// An integer: its sign, and the bytes of its magnitude, the least significant first, the last not 0.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Big {
    negative: bool,
    magnitude: Vec<u8>,
}

/// Decimal digits that 64 bits hold.
const DIGITS: usize = 19;

impl Big {
    pub(crate) fn read(env: Env<'_>, word: Word<'_>) -> Option<Self> {
        if let Some(small) = terms::int(env, word) {
            return Some(Big::from(i128::from(small)));
        }
        terms::external(env, word, |bytes| {
            let (sign, digits) = match bytes {
                [131, 110, _, sign, digits @ ..] => (sign, digits),
                [131, 111, _, _, _, _, sign, digits @ ..] => (sign, digits),
                _ => return None,
            };
            Some(Big::new(*sign != 0, digits.to_vec()))
        })
    }

    pub(crate) fn new(negative: bool, mut magnitude: Vec<u8>) -> Self {
        let len = magnitude.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        magnitude.truncate(len);
        Big { negative: negative && len > 0, magnitude }
    }

    /// What the tags [`POSITIVE_BIG`](tag::POSITIVE_BIG) and [`NEGATIVE_BIG`](tag::NEGATIVE_BIG) enclose.
    pub(crate) fn from_bytes(negative: bool, big_endian: &[u8]) -> Self {
        let magnitude = big_endian.iter().rev().copied().collect();
        let big = Big::new(false, magnitude);
        // -1 - n is -(n + 1).
        if negative { Big::new(true, big.plus(1).magnitude) } else { big }
    }

    pub(crate) fn from_magnitude(magnitude: u128) -> Self {
        Big::new(false, magnitude.to_le_bytes().to_vec())
    }

    /// `None` if it takes more bits.
    pub(crate) fn to_i256(&self) -> Option<i256> {
        let mut bytes = [0; 32];
        bytes.get_mut(..self.magnitude.len())?.copy_from_slice(&self.magnitude);
        let magnitude = i256::from_le_bytes(bytes);
        let signed = if self.negative { magnitude.wrapping_neg() } else { magnitude };
        (magnitude >= i256::ZERO).then_some(signed)
    }

    /// Of a minus, if there is one, and decimal digits, in time that grows with the square.
    pub(crate) fn from_digits(text: &str) -> Self {
        let digits = text.trim_start_matches('-');
        // The lowest first.
        let mut limbs: Vec<u64> = Vec::new();
        let mut shift_in = |part: &str| {
            let mut carry = u128::from(part.parse::<u64>().unwrap_or(0));
            let power = 10u64.pow(part.len() as u32);
            for limb in &mut limbs {
                carry += u128::from(*limb) * u128::from(power);
                *limb = carry as u64;
                carry >>= 64;
            }
            if carry > 0 {
                limbs.push(carry as u64);
            }
        };
        let (head, rest) = digits.split_at(digits.len() % DIGITS);
        shift_in(head);
        (0..rest.len()).step_by(DIGITS).for_each(|at| shift_in(&rest[at..at + DIGITS]));
        let magnitude = limbs.iter().flat_map(|limb| limb.to_le_bytes()).collect();
        Big::new(digits.len() < text.len(), magnitude)
    }

    /// The decimal digits, with a minus if it is negative, in time that grows with the square.
    pub(crate) fn digits(&self) -> String {
        let mut limbs: Vec<u64> = (self.magnitude.chunks(8))
            .map(|chunk| chunk.iter().rev().fold(0, |limb, &byte| limb << 8 | u64::from(byte)))
            .collect();
        let power = u128::from(10u64.pow(DIGITS as u32));
        // The lowest first.
        let mut parts = Vec::new();
        while limbs.iter().any(|&limb| limb != 0) {
            let mut rest = 0u128;
            for limb in limbs.iter_mut().rev() {
                rest = rest << 64 | u128::from(*limb);
                *limb = (rest / power) as u64;
                rest %= power;
            }
            parts.push(rest as u64);
            while limbs.last() == Some(&0) {
                limbs.pop();
            }
        }
        let mut text = String::from(if self.negative { "-" } else { "" });
        text.push_str(&parts.pop().unwrap_or(0).to_string());
        parts.iter().rev().for_each(|part| text.push_str(&format!("{part:0DIGITS$}")));
        text
    }

    /// Bytes of the magnitude.
    pub(crate) fn len(&self) -> usize {
        self.magnitude.len()
    }

    pub(crate) fn is_negative(&self) -> bool {
        self.negative
    }

    pub(crate) fn negated(self) -> Self {
        Big::new(!self.negative, self.magnitude)
    }

    /// With 1 or -1 added.
    pub(crate) fn plus(&self, one: i8) -> Self {
        let mut magnitude = self.magnitude.clone();
        let negative = if magnitude.is_empty() { one < 0 } else { self.negative };
        if negative == (one < 0) {
            magnitude.push(0);
            for byte in &mut magnitude {
                let (sum, carry) = byte.overflowing_add(1);
                *byte = sum;
                if !carry {
                    break;
                }
            }
        } else {
            for byte in &mut magnitude {
                let (difference, borrow) = byte.overflowing_sub(1);
                *byte = difference;
                if !borrow {
                    break;
                }
            }
        }
        Big::new(negative, magnitude)
    }

    pub(crate) fn write<S: Sink>(&self, out: &mut Encoder<S>) {
        // Of a negative number CBOR has -1 - n.
        let lowered = self.negative.then(|| self.plus(1));
        let digits = lowered.as_ref().map_or(&self.magnitude, |big| &big.magnitude);
        let mut low = [0; 8];
        match low.get_mut(..digits.len()) {
            Some(place) => {
                place.copy_from_slice(digits);
                let n = u64::from_le_bytes(low);
                if self.negative {
                    out.negative(n)
                } else {
                    out.uint(n)
                };
            }
            None => {
                let bytes: Vec<u8> = digits.iter().rev().copied().collect();
                out.tag(if self.negative { tag::NEGATIVE_BIG } else { tag::POSITIVE_BIG });
                out.bytes(&bytes);
            }
        }
    }

    /// `None` if it is larger than the BEAM can hold.
    pub(crate) fn term<'a>(&self, env: Env<'a>) -> Option<Word<'a>> {
        let mut low = [0; 16];
        if let Some(place) = low.get_mut(..self.magnitude.len()) {
            place.copy_from_slice(&self.magnitude);
            let magnitude = u128::from_le_bytes(low);
            if let Ok(value) = i64::try_from(magnitude) {
                return Some(terms::make_int(env, if self.negative { -value } else { value }));
            }
        }
        let mut form = vec![131, 111];
        form.extend_from_slice(&u32::try_from(self.magnitude.len()).ok()?.to_be_bytes());
        form.push(u8::from(self.negative));
        form.extend_from_slice(&self.magnitude);
        env.binary_to_term(&form).map(|(term, _)| term.into())
    }
}

impl From<i128> for Big {
    fn from(value: i128) -> Self {
        Big::new(value < 0, value.unsigned_abs().to_le_bytes().to_vec())
    }
}
