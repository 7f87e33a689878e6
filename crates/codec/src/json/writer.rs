//! Writing, piece by piece.

use super::{float, scan};
use crate::token::Sink;

/// How a byte of ASCII is written in a string, and in how many bytes; 0 for those that stand for themselves.
pub static ESCAPES: [([u8; 8], u8); 128] = {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut all = [([0; 8], 0); 128];
    let mut byte = 0;
    while byte < 128 {
        let letter = match byte as u8 {
            b'"' => b'"',
            b'\\' => b'\\',
            0x08 => b'b',
            0x09 => b't',
            0x0a => b'n',
            0x0c => b'f',
            0x0d => b'r',
            _ => 0,
        };
        if letter != 0 {
            all[byte] = ([b'\\', letter, 0, 0, 0, 0, 0, 0], 2);
        } else if byte < 0x20 {
            let (high, low) = (HEX[byte >> 4], HEX[byte & 15]);
            all[byte] = ([b'\\', b'u', b'0', b'0', high, low, 0, 0], 6);
        }
        byte += 1;
    }
    all
};

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

/// Writes scalars, and whatever stands between them as it is given: the caller owes brackets, commas and colons.
///
/// ```
/// use slipring_codec::json::Writer;
///
/// let mut out = Writer::new(Vec::new());
/// out.put(b"[");
/// out.int(-7);
/// out.put(b",");
/// out.text("a\nb");
/// out.put(b"]");
/// assert_eq!(out.into_sink(), br#"[-7,"a\nb"]"#);
/// ```
#[derive(Debug)]
pub struct Writer<S> {
    sink: S,
}

impl<S: Sink> Writer<S> {
    /// What is written goes to the sink.
    pub fn new(sink: S) -> Self {
        Writer { sink }
    }

    /// The sink.
    pub fn into_sink(self) -> S {
        self.sink
    }

    /// Bytes that were written.
    pub fn len(&self) -> usize {
        self.sink.len()
    }

    /// Whether none were.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// JSON, or a piece of it, as it is.
    #[inline(always)]
    pub fn put(&mut self, bytes: &[u8]) {
        self.sink.put(bytes);
    }

    /// `null`
    pub fn null(&mut self) {
        self.put(b"null");
    }

    /// `true`, `false`
    pub fn bool(&mut self, truth: bool) {
        self.put(if truth { b"true" } else { b"false" });
    }

    /// An integer.
    #[inline]
    pub fn int(&mut self, n: i64) {
        self.digits(n < 0, n.unsigned_abs());
    }

    /// An integer from 0 on.
    #[inline]
    pub fn uint(&mut self, n: u64) {
        self.digits(false, n);
    }

    #[inline]
    fn digits(&mut self, negative: bool, mut n: u64) {
        let mut digits = [0; 24];
        let mut at = digits.len();
        while n >= 100 {
            at -= 2;
            digits[at..at + 2].copy_from_slice(&PAIRS[(n % 100) as usize]);
            n /= 100;
        }
        if n >= 10 {
            at -= 2;
            digits[at..at + 2].copy_from_slice(&PAIRS[n as usize]);
        } else {
            at -= 1;
            digits[at] = b'0' + n as u8;
        }
        if negative {
            at -= 1;
            digits[at] = b'-';
        }
        self.sink.put(&digits[at..]);
    }

    /// A float, in the fewest digits that give it back; `false`, and nothing is written, where it is no number.
    #[inline]
    #[must_use]
    pub fn float(&mut self, x: f64) -> bool {
        if !x.is_finite() {
            return false;
        }
        let mut room = [0; float::ROOM];
        let len = float::write(x, &mut room);
        self.sink.put(&room[..len]);
        true
    }

    /// A text between quotes.
    pub fn text(&mut self, text: &str) {
        self.utf8(text.as_bytes());
    }

    /// The same of bytes that were found to be UTF-8.
    #[inline]
    pub fn utf8(&mut self, text: &[u8]) {
        self.put(b"\"");
        let mut start = 0;
        loop {
            let (at, _) = scan::run(text, start);
            self.put(&text[start..at]);
            let Some(&byte) = text.get(at) else { break };
            let (escape, len) = ESCAPES[usize::from(byte & 0x7f)];
            self.put(&escape[..usize::from(len)]);
            start = at + 1;
        }
        self.put(b"\"");
    }
}
