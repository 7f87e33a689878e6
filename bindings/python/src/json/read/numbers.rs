//! Numbers: ints of any size, doubles that are the nearest, exact Decimals.

use super::*;

impl<'a, 'py> Reader<'a, 'py> {
    /// Joins the digits from `at` on to a number, which is cut to 64 bits, and gives the place behind.
    #[inline(always)]
    fn digits(&self, mut at: usize, mut n: u64) -> (usize, u64) {
        while let Some(chunk) = self.input.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
            let chunk = u64::from_le_bytes(*chunk);
            let count = number::count_digits(chunk);
            // A branch of its own: what is foretold is not waited for.
            if count == 8 {
                let eight = number::join_digits(chunk, 8);
                n = n.wrapping_mul(number::POWERS[8]).wrapping_add(eight);
                at += 8;
                continue;
            }
            n = n.wrapping_mul(number::POWERS[count as usize]);
            n = n.wrapping_add(number::join_digits(chunk, count));
            return (at + count as usize, n);
        }
        while let digit @ b'0'..=b'9' = self.byte(at) {
            n = n.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
            at += 1;
        }
        (at, n)
    }

    #[inline(always)]
    pub(super) fn number(&mut self) -> Made {
        let start = self.at;
        let negative = self.byte(start) == b'-';
        let whole = start + usize::from(negative);
        let (mut at, mut n) = self.digits(whole, 0);
        let mut digits = at - whole;
        if digits == 0 || (digits > 1 && self.byte(whole) == b'0') {
            return self.no_number(whole, digits);
        }
        let (mut exponent, mut is_int) = (0, true);
        let mut next = self.byte(at);
        if next == b'.' {
            is_int = false;
            let fraction = at + 1;
            (at, n) = self.digits(fraction, n);
            let len = at - fraction;
            if len == 0 {
                self.at = at;
                return self.wrong("a digit is missing behind the point", "write 1.0 or 1");
            }
            digits += len;
            exponent = -(len as i64);
            next = self.byte(at);
        }
        self.at = at;
        if next | 0x20 == b'e' {
            is_int = false;
            exponent = exponent.saturating_add(self.exponent()?);
        }
        if is_int {
            if digits > 18 {
                return self.big(start);
            }
            let n = n as i64;
            // SAFETY: gives a new reference or null.
            let int = unsafe { ffi::PyLong_FromLongLong(if negative { -n } else { n }) };
            return self.made(int);
        }
        if self.options.decimals {
            return self.decimal(start, digits);
        }
        if (digits <= 19 || self.significant(start, digits) <= 19)
            && let Some(x) = number::nearest(n, exponent)
        {
            return self.float(if negative { -x } else { x });
        }
        self.long_float(start)
    }

    /// How many of the digits of the number from `start` on follow its leading zeros.
    #[inline(never)]
    fn significant(&self, start: usize, digits: usize) -> usize {
        let before = self.input[start..].iter().take_while(|byte| b"-0.".contains(byte));
        digits.saturating_sub(before.filter(|&&byte| byte == b'0').count())
    }

    #[inline(always)]
    pub(super) fn float(&mut self, x: f64) -> Made {
        // SAFETY: gives a new reference or null.
        let float = unsafe { ffi::PyFloat_FromDouble(x) };
        self.made(float)
    }

    /// The exponent from its letter on, cut to what fits.
    #[inline(never)]
    fn exponent(&mut self) -> Result<i64, Failed> {
        self.at += 1;
        let negative = self.peek() == b'-';
        self.at += usize::from(matches!(self.peek(), b'-' | b'+'));
        let (start, mut n) = (self.at, 0i64);
        while let digit @ b'0'..=b'9' = self.peek() {
            n = n.saturating_mul(10).saturating_add((digit - b'0').into());
            self.at += 1;
        }
        if self.at == start {
            return self.wrong("a digit is missing in the exponent", "write 1e5 or 1e-5");
        }
        Ok(if negative { -n } else { n })
    }

    #[cold]
    fn no_number(&mut self, whole: usize, digits: usize) -> Made {
        self.at = whole;
        if digits > 0 {
            return self.wrong("a number begins with 0", "leave leading zeros out");
        }
        if self.input[whole..].starts_with(b"Infinity") {
            if self.options.nan {
                self.at = whole + 8;
                return self.float(f64::NEG_INFINITY);
            }
            self.at -= 1;
            return self.wrong("-Infinity is no JSON", "give nan=True to read NaN and Infinity");
        }
        self.wrong("a digit is missing behind the minus", "a number begins with a digit or a minus")
    }

    /// The number from `start` on, whose bytes are checked.
    fn number_text(&self, start: usize) -> &'a str {
        std::str::from_utf8(&self.input[start..self.at]).unwrap_or_default()
    }

    /// Numbers for which the short ways don't do.
    #[cold]
    fn long_float(&mut self, start: usize) -> Made {
        let x: f64 = self.number_text(start).parse().unwrap_or(f64::NAN);
        if x.is_infinite() && !self.options.nan {
            self.at = start;
            let hint = "give floats=\"decimal\" to keep it, or nan=True to make it infinite";
            return self.wrong("a number is beyond what a float holds", hint);
        }
        self.float(x)
    }

    #[cold]
    fn check_digits(&mut self, start: usize, digits: usize) -> Result<(), Failed> {
        if digits <= self.options.max_digits {
            return Ok(());
        }
        self.at = start;
        let what = format!("a number has {digits} digits, more than {}", self.options.max_digits);
        self.wrong(&what, "raise max_digits")
    }

    #[cold]
    fn decimal(&mut self, start: usize, digits: usize) -> Made {
        self.check_digits(start, digits)?;
        let make = || Types::get(self.py)?.decimal.bind(self.py).call1((self.number_text(start),));
        match make() {
            Ok(decimal) => self.made(decimal.into_ptr()),
            Err(e) if e.is_instance_of::<PyArithmeticError>(self.py) => {
                self.at = start;
                self.wrong("a number is beyond what a Decimal holds", "send it as a string")
            }
            Err(error) => self.python(error),
        }
    }

    /// An integer of more than 18 digits.
    #[cold]
    fn big(&mut self, start: usize) -> Made {
        let text = self.number_text(start);
        let unsigned = text.trim_start_matches('-');
        self.check_digits(start, unsigned.len())?;
        match big_int(self.py, unsigned, unsigned.len() < text.len()) {
            Ok(int) => self.made(int.into_ptr()),
            Err(error) => self.python(error),
        }
    }
}

/// An int of any length. Up to 640 digits Python reads them whatever its limit; longer ones are joined of parts, so
/// that the time is that of multiplying two halves.
fn big_int<'py>(py: Python<'py>, digits: &str, negative: bool) -> PyResult<Bound<'py, PyAny>> {
    const PART: usize = 512;
    let int = py.get_type::<PyInt>();
    let (head, rest) = digits.split_at(digits.len() % PART);
    let mut parts = vec![int.call1((if head.is_empty() { "0" } else { head },))?];
    for at in (0..rest.len()).step_by(PART) {
        parts.push(int.call1((&rest[at..at + PART],))?);
    }
    let mut base = 10i32.into_bound_py_any(py)?.pow(PART, py.None())?;
    while parts.len() > 1 {
        let mut joined = Vec::with_capacity(parts.len().div_ceil(2));
        // The last parts are whole ones.
        let odd = parts.len() % 2;
        joined.extend(parts.iter().take(odd).cloned());
        for pair in parts[odd..].chunks_exact(2) {
            joined.push(pair[0].mul(&base)?.add(&pair[1])?);
        }
        parts = joined;
        if parts.len() > 1 {
            base = base.mul(&base)?;
        }
    }
    let n = parts.swap_remove(0);
    if negative { n.neg() } else { Ok(n) }
}
