//! Integers as JSON writes them. How numbers are read is the codec's.

/// Bytes that [`write_int`] may write to, and that no number of fixed size exceeds.
pub(super) const LONGEST: usize = 24;

/// The eight digits of a number below 10^8, a byte each, the first one lowest.
///
/// Each step divides all its parts at once by a multiplication, in lanes wide enough for the product:
/// `x * 10486 >> 20` is `x / 100` up to 9999, `x * 103 >> 10` is `x / 10` up to 99.
#[inline(always)]
fn digits(n: u32) -> u64 {
    let halves = u64::from(n / 10_000) | u64::from(n % 10_000) << 32;
    let upper = ((halves * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let pairs = upper | (halves - 100 * upper) << 16;
    let tens = ((pairs * 103) >> 10) & 0x000f_000f_000f_000f;
    tens | (pairs - 10 * tens) << 8
}

/// `00` to `99`.
static PAIRS: [[u8; 2]; 100] = {
    let mut all = [[0; 2]; 100];
    let mut n = 0;
    while n < 100 {
        all[n] = [b'0' + (n / 10) as u8, b'0' + (n % 10) as u8];
        n += 1;
    }
    all
};

const ZEROS: u64 = 0x3030_3030_3030_3030;

/// Writes an integer and gives its length.
///
/// # Safety
/// [`LONGEST`] bytes can be written at `to`.
#[inline(always)]
pub(super) unsafe fn write_int(n: i64, to: *mut u8) -> usize {
    let sign = usize::from(n < 0);
    // SAFETY: one byte, of which the next ones take the place where there is no sign.
    unsafe { to.write(b'-') };
    // SAFETY: at most 20 digits follow the sign, and `write_uint` writes no more than 8 bytes beyond 16.
    sign + unsafe { write_uint(n.unsigned_abs(), to.add(sign)) }
}

/// The same for one without sign.
///
/// # Safety
/// [`LONGEST`] bytes, less the sign, can be written at `to`.
#[inline(always)]
pub(super) unsafe fn write_uint(n: u64, to: *mut u8) -> usize {
    const E8: u64 = 100_000_000;
    const E16: u64 = E8 * E8;
    // The first part, below 10^8, without its leading zeros; the last digit stays if all are.
    let head = |n: u64, to: *mut u8| {
        if n < 10_000 {
            // Most numbers are small, or begin so: for them a table is faster.
            let (high, low) = (PAIRS[n as usize / 100], PAIRS[n as usize % 100]);
            let all = u32::from_le_bytes([high[0], high[1], low[0], low[1]]);
            let zeros = usize::from(n < 10) + usize::from(n < 100) + usize::from(n < 1000);
            // SAFETY: 4 bytes, where the caller of the outer function has left room for them.
            unsafe { to.cast::<[u8; 4]>().write((all >> (8 * zeros)).to_le_bytes()) };
            return 4 - zeros;
        }
        let all = digits(n as u32);
        let zeros = all.trailing_zeros() / 8;
        let shown = (all + ZEROS) >> (8 * zeros);
        // SAFETY: 8 bytes, as above.
        unsafe { to.cast::<[u8; 8]>().write(shown.to_le_bytes()) };
        8 - zeros as usize
    };
    let whole = |n: u64, to: *mut u8| {
        // SAFETY: as above: at most 4 digits and one whole part stand before.
        unsafe { to.cast::<[u8; 8]>().write((digits(n as u32) + ZEROS).to_le_bytes()) };
    };
    // SAFETY: a number of 64 bits has at most 4 digits before two parts of 8, so that each part begins within
    // the first 12 bytes and the sign is the only one before.
    unsafe {
        if n < E8 {
            head(n, to)
        } else if n < E16 {
            let len = head(n / E8, to);
            whole(n % E8, to.add(len));
            len + 8
        } else {
            let len = head(n / E16, to);
            whole(n / E8 % E8, to.add(len));
            whole(n % E8, to.add(len + 8));
            len + 16
        }
    }
}
