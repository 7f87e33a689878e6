//! Floats, written where they are to stand. How is the codec's; the digits are made here, sixteen at once.

use slipring_codec::json::float;
pub(super) use slipring_codec::json::float::ROOM;

/// Writes a number that is neither endless nor none, and gives the place behind.
///
/// # Safety
/// [`ROOM`] bytes can be written from `to` on.
#[inline(never)]
pub(super) unsafe fn write_float(x: f64, to: *mut u8) -> *mut u8 {
    // SAFETY: by the caller's word; the length is one within the room.
    unsafe { to.add(float::write(x, room(to), sixteen)) }
}

/// The same of a short one.
///
/// # Safety
/// As for [`write_float`].
pub(super) unsafe fn write_short_float(x: f32, to: *mut u8) -> *mut u8 {
    // SAFETY: as there.
    unsafe { to.add(float::write_short(x, room(to), sixteen)) }
}

/// A number's text of its own.
pub(super) fn text(x: f64) -> String {
    let mut room = [0; ROOM];
    let len = float::write(x, &mut room, sixteen);
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
        to.cast::<[u8; ROOM]>().write([b'0'; ROOM]);
        &mut *to.cast()
    }
}

#[cfg(not(target_arch = "x86_64"))]
use float::sixteen;

/// As [`float::sixteen`], which says how parts are divided, with all parts of a step side by side.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn sixteen(n: u64) -> float::Sixteen {
    use std::arch::x86_64::*;
    let (high, low) = (n / 100_000_000, n % 100_000_000);
    // SAFETY: SSE2, which every x86-64 has.
    #[allow(unused_unsafe, reason = "newer compilers know that these are safe")]
    unsafe {
        let n = _mm_set_epi64x(high as i64, low as i64);
        let quotient = _mm_srli_epi64(_mm_mul_epu32(n, _mm_set1_epi64x(109_951_163)), 40);
        let above = _mm_set1_epi64x((1 << 32) - 10_000);
        let fours = _mm_add_epi64(n, _mm_mul_epu32(quotient, above));
        // Here `part + (2^16 - 100) * quotient` is made of halves: the product of these sizes comes with SSE4.
        let quotient = _mm_srli_epi16(_mm_mulhi_epu16(fours, _mm_set1_epi16(5243)), 3);
        let hundreds = _mm_mullo_epi16(quotient, _mm_set1_epi32(100));
        let pairs = _mm_sub_epi16(_mm_or_si128(fours, _mm_slli_epi32(quotient, 16)), hundreds);
        let quotient = _mm_mulhi_epu16(pairs, _mm_set1_epi16(6554));
        let ones = _mm_add_epi16(pairs, _mm_mullo_epi16(quotient, _mm_set1_epi16(256 - 10)));
        let not_zero = _mm_movemask_epi8(_mm_cmpgt_epi8(ones, _mm_setzero_si128()));
        let text = _mm_or_si128(ones, _mm_set1_epi8(b'0' as i8));
        let high = _mm_cvtsi128_si64(_mm_unpackhi_epi64(text, text)) as u64;
        let low = _mm_cvtsi128_si64(text) as u64;
        // With a bit that says what is known, so that the count takes one instruction.
        let zeros = (not_zero | 1 << 15).trailing_zeros();
        float::Sixteen { high: high.swap_bytes(), low: low.swap_bytes(), zeros }
    }
}
