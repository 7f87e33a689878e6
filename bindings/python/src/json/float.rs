//! Floats, written where they are to stand. How is the codec's; on x86-64 what it finds is laid out here, by a shuffle.

use slipring_codec::json::float;
pub(super) use slipring_codec::json::float::ROOM;

/// Writes a number that is neither endless nor none, and gives the place behind.
///
/// # Safety
/// [`ROOM`] bytes can be written from `to` on.
#[inline(always)]
pub(super) unsafe fn write_float(x: f64, to: *mut u8) -> *mut u8 {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("ssse3") {
        // SAFETY: the processor has it; the rest is the caller's word.
        return unsafe { shuffled::write_float(x, to) };
    }
    // SAFETY: by the caller's word.
    unsafe { write_any(x, to) }
}

/// # Safety
/// As for [`write_float`].
#[inline(never)]
unsafe fn write_any(x: f64, to: *mut u8) -> *mut u8 {
    // SAFETY: by the caller's word; the length is one within the room.
    unsafe { to.add(float::write(x, room(to))) }
}

/// Writes a short one.
///
/// # Safety
/// As for [`write_float`].
pub(super) unsafe fn write_short_float(x: f32, to: *mut u8) -> *mut u8 {
    // SAFETY: as above.
    unsafe { to.add(float::write_short(x, room(to))) }
}

/// A number's text of its own.
pub(super) fn text(x: f64) -> String {
    let mut room = [0; ROOM];
    let len = float::write(x, &mut room);
    room[..len].iter().copied().map(char::from).collect()
}

/// The room at a place.
///
/// # Safety
/// As for [`write_float`], and nothing else uses these bytes as long as the room is there.
#[inline(always)]
unsafe fn room<'r>(to: *mut u8) -> &'r mut [u8; ROOM] {
    // SAFETY: by the caller's word; what is referred to is written.
    unsafe {
        to.cast::<[u8; ROOM]>().write([0; ROOM]);
        &mut *to.cast()
    }
}

#[cfg(target_arch = "x86_64")]
mod shuffled {
    use super::{ROOM, float, write_any};
    use slipring_codec::json::float::{FIXED, Shortest};
    use std::arch::x86_64::*;
    use std::hint::select_unpredictable;

    /// How a number is laid out whose first digit has some exponent. What is given twice is for 15 digits before the last
    /// one and for 16.
    #[derive(Clone, Copy)]
    #[repr(C, align(64))]
    struct Layout {
        /// Which of the sixteen digits, counted from the last, goes to which place behind the base.
        order: [[u8; 16]; 2],
        /// Where the last digit goes behind the base.
        last: [u8; 2],
        /// Where the digits begin, behind the sign: zeros and the point come before them.
        base: u8,
        point: u8,
        /// What the length is beyond the digits, and at least.
        more: u8,
        least: u8,
    }

    static LAYOUTS: [Layout; (*FIXED.end() - *FIXED.start() + 1) as usize] = {
        let none =
            Layout { order: [[0; 16]; 2], last: [0; 2], base: 0, point: 0, more: 0, least: 0 };
        let mut all = [none; (*FIXED.end() - *FIXED.start() + 1) as usize];
        let mut exponent = *FIXED.start();
        while exponent <= *FIXED.end() {
            let layout = &mut all[(exponent - *FIXED.start()) as usize];
            // How many digits stand between the base and the point.
            let before = if exponent < 0 { usize::MAX } else { exponent as usize + 1 };
            if exponent < 0 {
                layout.base = (1 - exponent) as u8;
                layout.point = 1;
                layout.more = layout.base;
            } else {
                layout.point = before as u8;
                layout.more = 1;
                layout.least = before as u8 + 2;
            }
            let mut is_long = 0;
            while is_long < 2 {
                let skipped = 1 - is_long;
                let mut place = 0;
                while place < 16 {
                    let digit = place + skipped - (place > before) as usize;
                    // Of what the point or the last digit takes, any.
                    layout.order[is_long][place] = if digit < 16 { 15 - digit as u8 } else { 0 };
                    place += 1;
                }
                let last = 16 - skipped;
                layout.last[is_long] = (last + (last >= before) as usize) as u8;
                assert!(layout.base + layout.last[is_long] + 1 + 4 <= ROOM as u8);
                is_long += 1;
            }
            exponent += 1;
        }
        all
    };

    /// # Safety
    /// As for the outer one.
    #[target_feature(enable = "ssse3")]
    pub(super) unsafe fn write_float(x: f64, to: *mut u8) -> *mut u8 {
        let Some(found) = float::shortest(x) else {
            // SAFETY: by the caller's word.
            return unsafe { write_any(x, to) };
        };
        // SAFETY: by the caller's word.
        unsafe {
            let Some(layout) = LAYOUTS.get((found.exponent() - *FIXED.start()) as usize) else {
                return with_exponent(found, x, to);
            };
            let (to, count) = lay_out(found, x, to, layout);
            let (len, least) = (count + usize::from(layout.more), usize::from(layout.least));
            to.add(select_unpredictable(len < least, least, len))
        }
    }

    /// Writes all but what may follow: the zero behind a point or an exponent. Gives the place behind the sign, and how many
    /// digits count.
    ///
    /// # Safety
    /// As for the outer function.
    #[target_feature(enable = "ssse3")]
    #[inline]
    unsafe fn lay_out(found: Shortest, x: f64, to: *mut u8, layout: &Layout) -> (*mut u8, usize) {
        let (text, zeros) = sixteen(found.tens);
        let is_long = usize::from(found.is_long());
        let count = select_unpredictable(found.one != 0, 16, 15 - zeros) + is_long;
        let shuffled = _mm_shuffle_epi8(text, order(&layout.order[is_long]));
        // Behind the last digit may come the point and a zero.
        let last = found.one as u32 | u32::from_le_bytes(*b"0.00");
        // SAFETY: by the caller's word. Behind the sign at most a base of 6 and 16 bytes, four more behind them, four
        // from the last digit on, as was asserted for each layout, or a point, at most at 16.
        unsafe {
            to.write(b'-');
            let to = to.add(usize::from(x.is_sign_negative()));
            to.cast::<[u8; 8]>().write([b'0'; 8]);
            let base = to.add(layout.base.into());
            _mm_storeu_si128(base.cast(), shuffled);
            // Of these the first one may count: the sixteenth digit, which the point has moved out.
            base.add(16).cast::<i32>().write_unaligned(_mm_cvtsi128_si32(text));
            to.add(layout.point.into()).write(b'.');
            base.add(layout.last[is_long].into()).cast::<[u8; 4]>().write(last.to_le_bytes());
            (to, count)
        }
    }

    /// # Safety
    /// As for the outer function.
    #[target_feature(enable = "ssse3")]
    #[inline(never)]
    unsafe fn with_exponent(found: Shortest, x: f64, to: *mut u8) -> *mut u8 {
        let exponent = found.exponent();
        let n = exponent.unsigned_abs();
        // SAFETY: by the caller's word: a sign, 17 digits and a point, and at most five bytes.
        unsafe {
            let (to, count) = lay_out(found, x, to, &LAYOUTS[-*FIXED.start() as usize]);
            // Of one digit no point follows.
            let mut at = to.add(count + usize::from(count > 1));
            at.write(b'e');
            at.add(1).write(if exponent < 0 { b'-' } else { b'+' });
            at = at.add(2);
            if n >= 100 {
                at.write(b'0' + (n / 100) as u8);
                at = at.add(1);
            }
            if n >= 10 {
                at.write(b'0' + (n / 10 % 10) as u8);
                at = at.add(1);
            }
            at.write(b'0' + (n % 10) as u8);
            at.add(1)
        }
    }

    #[target_feature(enable = "sse2")]
    #[inline]
    fn order(bytes: &[u8; 16]) -> __m128i {
        // SAFETY: as many bytes as are loaded, wherever they lie.
        unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
    }

    /// The digits of a number below 10^16 that is not 0, the last one first, and how many zeros begin these.
    ///
    /// Each step divides all parts at once, and `part + (2^n - d) * (part / d)` has the quotient above the rest:
    /// `x * 109951163 >> 40` is `x / 10000` up to 99999999, `x * 5243 >> 19` is `x / 100` up to 9999, `x * 6554 >> 16` is
    /// `x / 10` up to 99.
    #[target_feature(enable = "sse2")]
    #[inline]
    fn sixteen(n: u64) -> (__m128i, usize) {
        let n = _mm_set_epi64x((n / 100_000_000) as i64, (n % 100_000_000) as i64);
        let quotient = _mm_srli_epi64(_mm_mul_epu32(n, _mm_set1_epi64x(109_951_163)), 40);
        let above = _mm_set1_epi64x((1 << 32) - 10_000);
        let fours = _mm_add_epi64(n, _mm_mul_epu32(quotient, above));
        // Here the product is put together: that of numbers of this size comes with SSE4.
        let quotient = _mm_srli_epi16(_mm_mulhi_epu16(fours, _mm_set1_epi16(5243)), 3);
        let hundreds = _mm_mullo_epi16(quotient, _mm_set1_epi16(100));
        let pairs = _mm_sub_epi16(_mm_or_si128(fours, _mm_slli_epi32(quotient, 16)), hundreds);
        let quotient = _mm_mulhi_epu16(pairs, _mm_set1_epi16(6554));
        let ones = _mm_add_epi16(pairs, _mm_mullo_epi16(quotient, _mm_set1_epi16(256 - 10)));
        // With a bit that says what is known, so that the count takes one instruction.
        let is_set = _mm_movemask_epi8(_mm_cmpgt_epi8(ones, _mm_setzero_si128())) | 1 << 15;
        let text = _mm_or_si128(ones, _mm_set1_epi8(b'0' as i8));
        (text, is_set.trailing_zeros() as usize)
    }
}
