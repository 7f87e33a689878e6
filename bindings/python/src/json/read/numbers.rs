//! Numbers: ints of any size, doubles that are the nearest, exact Decimals.

use super::*;

impl<'a, 'py> Reader<'a, 'py> {
    #[inline(always)]
    pub(super) fn number(&mut self) -> Made {
        let start = self.at;
        let Some(scanned) = number::scan(self.input, start) else { return self.no_number() };
        self.at = scanned.end;
        if scanned.is_int {
            if scanned.digits > 18 {
                return self.big(start);
            }
            let n = scanned.mantissa as i64;
            // SAFETY: gives a new reference or null.
            let int = unsafe { ffi::PyLong_FromLongLong(if scanned.negative { -n } else { n }) };
            return self.made(int);
        }
        if self.options.decimals {
            return self.decimal(start, scanned.digits);
        }
        match scanned.nearest(self.input, start) {
            Some(x) => self.float(x),
            None => self.long_float(start),
        }
    }

    #[inline(always)]
    pub(super) fn float(&mut self, x: f64) -> Made {
        // SAFETY: gives a new reference or null.
        let float = unsafe { ffi::PyFloat_FromDouble(x) };
        self.made(float)
    }

    #[cold]
    fn no_number(&mut self) -> Made {
        let fault;
        (fault, self.at) = number::fault(self.input, self.at);
        match fault {
            JsonFault::Infinity { .. } if self.options.nan => {
                self.at += b"-Infinity".len();
                self.float(f64::NEG_INFINITY)
            }
            JsonFault::Infinity { .. } => self.wrong_or(fault, NAN_HINT),
            _ => self.wrong(fault),
        }
    }

    /// The number from `start` on, as nobody changes it any more.
    fn number_text(&self, start: usize) -> String {
        String::from_utf8(self.input[start..self.at].to_vec()).unwrap_or_default()
    }

    /// Numbers for which the short ways don't do.
    #[cold]
    fn long_float(&mut self, start: usize) -> Made {
        let x: f64 = self.number_text(start).parse().unwrap_or(f64::NAN);
        if x.is_infinite() && !self.options.nan && !self.passes {
            (self.at, self.is_range) = (start, true);
            let hint = "give floats=\"decimal\" to keep it, or nan=True to make it infinite";
            return self.wrong_or(JsonFault::FloatRange, hint);
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
        self.wrong_with(what, "raise max_digits")
    }

    #[cold]
    fn decimal(&mut self, start: usize, digits: usize) -> Made {
        self.check_digits(start, digits)?;
        let text = self.number_text(start);
        let make = || Types::get(self.py)?.decimal.bind(self.py).call1((text,));
        match make() {
            Ok(decimal) => self.made(decimal.into_ptr()),
            Err(e) if e.is_instance_of::<PyArithmeticError>(self.py) => {
                (self.at, self.is_range) = (start, true);
                self.wrong_with("a number is beyond what a Decimal holds", "send it as a string")
            }
            Err(error) => self.python(error),
        }
    }

    /// An integer of more than 18 digits.
    #[cold]
    fn big(&mut self, start: usize) -> Made {
        if self.passes {
            return self.float(0.0);
        }
        let text = self.number_text(start);
        let unsigned = text.trim_start_matches('-');
        self.check_digits(start, unsigned.len())?;
        if !unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
            self.at = start;
            return self.wrong_with(
                "a number was changed while it was read",
                "write to nothing that was sent",
            );
        }
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
