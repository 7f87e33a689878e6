//! Strings, and the escapes in them.

use super::*;
use crate::value::text::with_own;

impl<'a, 'py> Reader<'a, 'py> {
    /// The string that begins here, up to its end; `None` if it has escapes.
    #[inline(always)]
    pub(crate) fn span(&mut self) -> Result<Option<Span>, Failed> {
        let start = self.at + 1;
        let (mut at, mut beyond) = (start, 0);
        while let Some(pair) = scan::pair(self.input, at) {
            let ends = scan::ends_of_pair(pair);
            let bits = scan::beyond_ascii_of_pair(pair);
            if ends != 0 {
                let run = ends.trailing_zeros();
                beyond |= bits & !(u32::MAX << run);
                return self.span_to(start, at + run as usize, beyond == 0);
            }
            beyond |= bits;
            at += 2 * scan::BLOCK;
        }
        self.last_span(start, at, beyond == 0)
    }

    /// What is found at `end` ends the string, or is an escape, or may not stand there.
    #[inline(always)]
    fn span_to(
        &mut self,
        start: usize,
        end: usize,
        is_ascii: bool,
    ) -> Result<Option<Span>, Failed> {
        match self.byte(end) {
            b'"' => {
                self.at = end + 1;
                Ok(Some(Span { start, end, is_ascii }))
            }
            b'\\' => Ok(None),
            _ => {
                self.at = end;
                self.control()
            }
        }
    }

    /// A string that ends near the input's end, or never; up to `at` it is gone over.
    #[inline(never)]
    fn last_span(
        &mut self,
        start: usize,
        mut at: usize,
        mut is_ascii: bool,
    ) -> Result<Option<Span>, Failed> {
        loop {
            let (block, len) = self.some(at);
            let run = (scan::ends(block) | 1 << len).trailing_zeros();
            is_ascii &= scan::beyond_ascii(block) & ((1 << run) - 1) == 0;
            at += run as usize;
            if (run as usize) < len {
                return self.span_to(start, at, is_ascii);
            }
            if len < scan::BLOCK {
                self.at = at;
                return self.unfinished();
            }
        }
    }

    /// A block of the input, or what is left of it, and how much that is.
    #[inline(always)]
    fn some(&self, at: usize) -> (scan::Block, usize) {
        match scan::block(self.input, at) {
            Some(block) => (block, scan::BLOCK),
            None => {
                let rest = self.input.get(at..).unwrap_or(&[]);
                (scan::part(rest), rest.len())
            }
        }
    }

    #[cold]
    fn unfinished<T>(&mut self) -> Result<T, Failed> {
        self.wrong(JsonFault::StringUnfinished)
    }

    #[cold]
    fn control<T>(&mut self) -> Result<T, Failed> {
        self.wrong(JsonFault::Control(self.peek()))
    }

    #[inline(always)]
    pub(crate) fn string(&mut self) -> Made {
        let begin = self.at;
        let Some(span) = self.span()? else { return self.escaped_string() };
        let bytes = &self.input[span.start..span.end];
        if span.is_ascii {
            let made = make_ascii(bytes);
            if !self.is_shared || is_ascii(made) {
                return self.made(made);
            }
            // SAFETY: a reference of ours, of a str that nobody else has seen.
            unsafe { ffi::Py_DECREF(made) };
        }
        self.other_string(begin, span)
    }

    /// A string that is not ASCII, or is not any more.
    fn other_string(&mut self, begin: usize, Span { start, end, .. }: Span) -> Made {
        let keep = self.options.keep_surrogates;
        let bytes = &self.input[start..end];
        let made = match self.is_shared {
            true => with_own(bytes, |own| make_text(self.py, own, keep)),
            false => make_text(self.py, bytes, keep),
        };
        match made {
            Ok(object) => self.made(object),
            Err(offset) => {
                self.at = start + offset;
                self.not_utf8(begin)
            }
        }
    }

    #[cold]
    fn not_utf8<T>(&mut self, begin: usize) -> Result<T, Failed> {
        let surrogate = matches!(self.input.get(self.at..), Some([0xed, 0xa0..=0xbf, ..]));
        if surrogate {
            let hint = "give surrogates=\"keep\" to read half a pair";
            return self.wrong_or(JsonFault::LoneSurrogate, hint);
        }
        debug_assert!(begin < self.at);
        self.wrong(JsonFault::NotUtf8)
    }

    #[inline(always)]
    pub(crate) fn key(&mut self) -> Made {
        let begin = self.at;
        let Some(span) = self.span()? else { return self.escaped_string() };
        if span.is_ascii {
            if let Some(key) = self.keys.get(self.py, self.input, span.start, span.end) {
                return self.made(key.into_ptr());
            }
            // It was changed, or there is no memory: who tries again finds both.
            drop(PyErr::take(self.py));
        }
        self.other_string(begin, span)
    }

    /// A string with escapes, from its first quote on.
    #[inline(never)]
    fn escaped_string(&mut self) -> Made {
        let begin = self.at;
        self.at += 1;
        self.plain.clear();
        let mut lone = false;
        loop {
            let (block, len) = self.some(self.at);
            let run = (scan::ends(block) | 1 << len).trailing_zeros() as usize;
            self.plain.extend_from_slice(&block[..run]);
            self.at += run;
            if run == len {
                match len {
                    16 => continue,
                    _ => return self.unfinished(),
                }
            }
            match self.peek() {
                b'"' => {
                    self.at += 1;
                    break;
                }
                b'\\' => lone |= self.escape()?,
                _ => return self.control(),
            }
        }
        if self.plain.is_ascii() {
            let made = make_ascii(&self.plain);
            return self.made(made);
        }
        match make_text(self.py, &self.plain, lone || self.options.keep_surrogates) {
            Ok(object) => self.made(object),
            Err(_) => self.bad_bytes(begin),
        }
    }

    /// Where the bytes are that are not UTF-8, among escapes.
    #[cold]
    fn bad_bytes(&mut self, begin: usize) -> Made {
        let whole = &self.input[begin..self.at];
        let valid = std::str::from_utf8(whole).map_or_else(|e| e.valid_up_to(), str::len);
        self.at = begin + valid;
        self.not_utf8(begin)
    }

    /// An escape, from its backslash on; whether it is half a pair, and stays.
    #[inline(always)]
    fn escape(&mut self) -> Result<bool, Failed> {
        let letter = self.input.get(self.at + 1).copied().unwrap_or(0);
        let byte = match letter {
            b'"' | b'\\' | b'/' => letter,
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => return self.unicode_escape(),
            _ => return self.wrong(JsonFault::Escape),
        };
        self.plain.push(byte);
        self.at += 2;
        Ok(false)
    }

    /// The four digits of an escape at `at`.
    fn unit(&self, at: usize) -> Option<u32> {
        let [b'\\', b'u', digits @ ..] = self.input.get(at..at + 6)? else { return None };
        digits.iter().try_fold(0, |unit, &digit| Some(unit << 4 | char::from(digit).to_digit(16)?))
    }

    fn unicode_escape(&mut self) -> Result<bool, Failed> {
        let Some(unit) = self.unit(self.at) else {
            return self.wrong(JsonFault::EscapeDigits);
        };
        let mut len = 6;
        let mut code_point = unit;
        if let (0xd800..0xdc00, Some(low @ 0xdc00..0xe000)) = (unit, self.unit(self.at + 6)) {
            code_point = 0x1_0000 + ((unit - 0xd800) << 10 | (low - 0xdc00));
            len = 12;
        }
        match char::from_u32(code_point) {
            Some(char) => self.plain.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
            None if self.options.keep_surrogates => {
                let [high, low] = [code_point >> 6 & 0x3f | 0x80, code_point & 0x3f | 0x80];
                self.plain.extend_from_slice(&[0xed, high as u8, low as u8]);
            }
            None => {
                let hint = "escape the other half as well, or give surrogates=\"keep\"";
                return self.wrong_or(JsonFault::LoneSurrogate, hint);
            }
        }
        self.at += len;
        Ok(len == 6 && (0xd800..0xe000).contains(&unit))
    }
}
