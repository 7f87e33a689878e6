//! Reading, piece by piece: the caller keeps the containers, since it knows what they become.

use super::fault::JsonFault as Fault;
use super::{DEPTH, number, position, scan};
use crate::error::{DecodeError, DecodeErrorKind as Kind, Segment};

/// How numbers are read.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Those with a point or an exponent are [`Item::Decimal`] and not [`Item::Float`].
    pub decimals: bool,
    /// `NaN`, `Infinity` and `-Infinity`, which are no JSON, are [`Item::Float`], and numbers beyond a double infinite.
    pub constants: bool,
}

/// A value, or the beginning of one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Item<'r> {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// An integer of at most 18 digits.
    Int(i64),
    /// A longer one: a minus if there is one, and its digits.
    Big(&'r str),
    /// The nearest double; finite, unless [`constants`](Options::constants) are read.
    Float(f64),
    /// A number with a point or an exponent, as it stands there.
    Decimal(&'r str),
    /// UTF-8, that was checked.
    Text(&'r [u8]),
    /// An array begins: [`Reader::first`] comes next.
    Array,
    /// An object begins: [`Reader::first`] comes next, and a [`key`](Reader::key) ahead of each value.
    Object,
}

/// What a container ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Close {
    /// An array.
    Array,
    /// An object.
    Object,
}

impl Close {
    fn byte(self) -> u8 {
        if self == Close::Array { b']' } else { b'}' }
    }
}

/// Goes through a text.
///
/// ```
/// use slipring_codec::json::{Close, Item, Options, Reader};
///
/// let mut reader = Reader::new(b"[1, \"two\"]", Options::default());
/// assert_eq!(reader.item(0)?, Item::Array);
/// assert!(reader.first(Close::Array)?);
/// assert_eq!(reader.item(1)?, Item::Int(1));
/// assert!(reader.more(Close::Array)?);
/// assert_eq!(reader.item(1)?, Item::Text(b"two"));
/// assert!(!reader.more(Close::Array)?);
/// reader.finish()?;
/// # Ok::<(), slipring_codec::DecodeError>(())
/// ```
#[derive(Debug)]
pub struct Reader<'a> {
    input: &'a [u8],
    at: usize,
    /// A string without its escapes.
    plain: Vec<u8>,
    options: Options,
}

type Outcome<T> = Result<T, DecodeError>;

impl<'a> Reader<'a> {
    /// At the start of a text.
    pub fn new(input: &'a [u8], options: Options) -> Self {
        let mut reader = Reader { input, at: 0, plain: Vec::new(), options };
        reader.skip_space();
        reader
    }

    /// Bytes that were read.
    pub fn offset(&self) -> usize {
        self.at
    }

    /// All was read.
    ///
    /// # Errors
    ///
    /// [`Trailing`](Fault::Trailing).
    pub fn finish(mut self) -> Outcome<()> {
        self.skip_space();
        if self.at < self.input.len() { self.wrong(Fault::Trailing) } else { Ok(()) }
    }

    /// The byte at a place; 0, which is no JSON, at the end.
    #[inline(always)]
    fn byte(&self, at: usize) -> u8 {
        self.input.get(at).copied().unwrap_or(0)
    }

    #[inline(always)]
    fn peek(&self) -> u8 {
        self.byte(self.at)
    }

    #[inline(always)]
    fn skip_space(&mut self) {
        if self.peek() <= b' ' {
            self.skip_more();
        }
    }

    fn skip_more(&mut self) {
        loop {
            match self.peek() {
                b' ' | b'\t' | b'\r' => self.at += 1,
                b'\n' => {
                    self.at += 1;
                    // An indented line.
                    self.at = scan::spaces(self.input, self.at);
                }
                _ => return,
            }
        }
    }

    #[cold]
    fn wrong<T>(&self, fault: Fault) -> Outcome<T> {
        self.wrong_at(fault, self.at)
    }

    /// What is wrong at a place. For clients, too, that find what the reader does not look for.
    ///
    /// # Errors
    ///
    /// Always.
    #[cold]
    pub fn wrong_at<T>(&self, fault: Fault, at: usize) -> Outcome<T> {
        let (line, column) = position(self.input, at);
        Err(DecodeError::new(Kind::Json { fault, line, column }, at))
    }

    /// The value that begins here, which `depth` containers enclose.
    ///
    /// # Errors
    ///
    /// Those of kind [`Json`](Kind::Json).
    #[inline(always)]
    pub fn item(&mut self, depth: usize) -> Outcome<Item<'_>> {
        match self.peek() {
            b'"' => self.string().map(Item::Text),
            b'-' | b'0'..=b'9' => self.number(),
            first @ (b'{' | b'[') => {
                if depth >= DEPTH {
                    return self.wrong(Fault::TooDeep { limit: DEPTH });
                }
                self.at += 1;
                Ok(if first == b'[' { Item::Array } else { Item::Object })
            }
            b't' => self.name(b"true", Item::Bool(true)),
            b'f' => self.name(b"false", Item::Bool(false)),
            b'n' => self.name(b"null", Item::Null),
            _ => self.no_value(),
        }
    }

    #[inline(always)]
    fn name(&mut self, name: &[u8], item: Item<'static>) -> Outcome<Item<'_>> {
        if !self.input[self.at..].starts_with(name) {
            return self.no_value();
        }
        self.at += name.len();
        Ok(item)
    }

    fn constant(&mut self, len: usize, x: f64) -> Outcome<Item<'_>> {
        self.at += len;
        Ok(Item::Float(x))
    }

    #[cold]
    fn no_value(&mut self) -> Outcome<Item<'_>> {
        let rest = self.input.get(self.at..).unwrap_or_default();
        self.wrong(match rest {
            [] => Fault::ValueMissing,
            [b'N', b'a', b'N', ..] if self.options.constants => return self.constant(3, f64::NAN),
            [b'N', b'a', b'N', ..] => Fault::NaN,
            [b'I', b'n', b'f', b'i', b'n', b'i', b't', b'y', ..] => {
                if self.options.constants {
                    return self.constant(8, f64::INFINITY);
                }
                Fault::Infinity { negative: false }
            }
            [0xef, 0xbb, 0xbf, ..] => Fault::ByteOrderMark,
            [first, ..] => Fault::NoValue(*first),
        })
    }

    /// Whether a container that has begun holds anything: then its first value or key comes next. Else it is over.
    ///
    /// # Errors
    ///
    /// None so far.
    #[inline(always)]
    pub fn first(&mut self, close: Close) -> Outcome<bool> {
        self.skip_space();
        let ends = self.peek() == close.byte();
        self.at += usize::from(ends);
        Ok(!ends)
    }

    /// Whether another item follows the one that was read; else the container is over.
    ///
    /// # Errors
    ///
    /// Neither a comma nor the end is there.
    #[inline(always)]
    pub fn more(&mut self, close: Close) -> Outcome<bool> {
        self.skip_space();
        let found = self.peek();
        if found == b',' {
            self.at += 1;
            self.skip_space();
            return Ok(true);
        }
        if found == close.byte() {
            self.at += 1;
            return Ok(false);
        }
        self.wrong(match (close, self.at >= self.input.len()) {
            (Close::Array, true) => Fault::ArrayUnfinished,
            (Close::Array, false) => Fault::ArrayComma,
            (Close::Object, true) => Fault::ObjectUnfinished,
            (Close::Object, false) => Fault::ObjectComma,
        })
    }

    /// A key, UTF-8, and its colon; the value comes next. `entry` counts the object's keys, for the path.
    ///
    /// # Errors
    ///
    /// As [`item`](Self::item).
    #[inline(always)]
    pub fn key(&mut self, entry: usize) -> Outcome<&[u8]> {
        if self.peek() != b'"' {
            return self.wrong(match self.at >= self.input.len() {
                true => Fault::ObjectUnfinished,
                false => Fault::NoKey(self.peek()),
            });
        }
        let span = self.string_span().map_err(|e| e.within(Segment::KeyOf(entry)))?;
        self.skip_space();
        if self.peek() != b':' {
            return self.wrong(Fault::Colon);
        }
        self.at += 1;
        self.skip_space();
        Ok(self.text(span))
    }

    // --- strings ---

    #[inline(always)]
    fn string(&mut self) -> Outcome<&[u8]> {
        let span = self.string_span()?;
        Ok(self.text(span))
    }

    #[inline(always)]
    fn text(&self, span: Option<(usize, usize)>) -> &[u8] {
        match span {
            Some((start, end)) => &self.input[start..end],
            None => &self.plain,
        }
    }

    /// Goes over a string: where it stands, or `None` if it is in `plain`, its escapes undone.
    #[inline(always)]
    fn string_span(&mut self) -> Outcome<Option<(usize, usize)>> {
        let start = self.at + 1;
        let (at, beyond) = scan::run(self.input, start);
        if at >= self.input.len() {
            return self.wrong_at(Fault::StringUnfinished, at);
        }
        match self.byte(at) {
            b'"' => {}
            b'\\' => return self.escaped_string(start).map(|()| None),
            byte => return self.wrong_at(Fault::Control(byte), at),
        }
        if beyond {
            self.check_utf8(start, at)?;
        }
        self.at = at + 1;
        Ok(Some((start, at)))
    }

    fn check_utf8(&self, start: usize, end: usize) -> Outcome<()> {
        let Err(error) = std::str::from_utf8(&self.input[start..end]) else { return Ok(()) };
        let at = start + error.valid_up_to();
        let surrogate = matches!(self.input.get(at..), Some([0xed, 0xa0..=0xbf, ..]));
        self.wrong_at(if surrogate { Fault::LoneSurrogate } else { Fault::NotUtf8 }, at)
    }

    /// A string with escapes, from behind its first quote on.
    #[inline(never)]
    fn escaped_string(&mut self, start: usize) -> Outcome<()> {
        self.plain.clear();
        let mut at = start;
        loop {
            let (end, _) = scan::run(self.input, at);
            self.plain.extend_from_slice(&self.input[at..end]);
            at = end;
            if at >= self.input.len() {
                return self.wrong_at(Fault::StringUnfinished, at);
            }
            match self.byte(at) {
                b'"' => break,
                b'\\' => at = self.escape(at)?,
                byte => return self.wrong_at(Fault::Control(byte), at),
            }
        }
        // What the escapes say is Unicode.
        if !self.plain.is_ascii() {
            self.check_utf8(start, at)?;
        }
        self.at = at + 1;
        Ok(())
    }

    /// An escape from its backslash on; where it ends.
    #[inline(always)]
    fn escape(&mut self, at: usize) -> Outcome<usize> {
        let letter = self.byte(at + 1);
        let byte = match letter {
            b'"' | b'\\' | b'/' => letter,
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => return self.unicode_escape(at),
            _ => return self.wrong_at(Fault::Escape, at),
        };
        self.plain.push(byte);
        Ok(at + 2)
    }

    /// The four digits of an escape.
    fn unit(&self, at: usize) -> Option<u32> {
        let [b'\\', b'u', digits @ ..] = self.input.get(at..at + 6)? else { return None };
        digits.iter().try_fold(0, |unit, &digit| Some(unit << 4 | char::from(digit).to_digit(16)?))
    }

    fn unicode_escape(&mut self, at: usize) -> Outcome<usize> {
        let Some(unit) = self.unit(at) else { return self.wrong_at(Fault::EscapeDigits, at) };
        let (mut code_point, mut end) = (unit, at + 6);
        if let (0xd800..0xdc00, Some(low @ 0xdc00..0xe000)) = (unit, self.unit(end)) {
            code_point = 0x1_0000 + ((unit - 0xd800) << 10 | (low - 0xdc00));
            end += 6;
        }
        let Some(char) = char::from_u32(code_point) else {
            return self.wrong_at(Fault::LoneSurrogate, at);
        };
        self.plain.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
        Ok(end)
    }

    // --- numbers ---

    #[inline(always)]
    fn number(&mut self) -> Outcome<Item<'_>> {
        let start = self.at;
        let Some(scanned) = number::scan(self.input, start) else {
            let (fault, at) = number::fault(self.input, start);
            if self.options.constants && matches!(fault, Fault::Infinity { .. }) {
                return self.constant(9, f64::NEG_INFINITY);
            }
            return self.wrong_at(fault, at);
        };
        self.at = scanned.end;
        if scanned.is_int {
            let n = scanned.mantissa as i64;
            return Ok(match scanned.digits {
                ..=18 => Item::Int(if scanned.negative { -n } else { n }),
                _ => Item::Big(self.number_text(start)),
            });
        }
        if self.options.decimals {
            return Ok(Item::Decimal(self.number_text(start)));
        }
        if let Some(x) = scanned.nearest(self.input, start) {
            return Ok(Item::Float(x));
        }
        // Numbers for which the short way does not do.
        match self.number_text(start).parse::<f64>() {
            Ok(x) if x.is_finite() || self.options.constants => Ok(Item::Float(x)),
            _ => self.wrong_at(Fault::FloatRange, start),
        }
    }

    /// The number from `start` on, which is of ASCII.
    fn number_text(&self, start: usize) -> &str {
        std::str::from_utf8(&self.input[start..self.at]).unwrap_or_default()
    }
}
