//! Reading tokens from bytes that nobody vouches for.

use super::{
    ARRAY, BREAK, BYTES, EIGHT_BYTES, FALSE, FLOAT64, FOUR_BYTES, INDEFINITE, MAP, MAX_DEPTH,
    NEGATIVE, NULL, ONE_BYTE, Padded, TAG, TEXT, TRUE, TWO_BYTES, Token, UNDEFINED, UNSIGNED,
};
use crate::error::{DecodeError, DecodeErrorKind as Kind};

/// Pulls CBOR tokens out of a slice.
///
/// A call that fails leaves the decoder where it was. Strings are views on the input: after a
/// `Bytes` or `Text` token they end at [`offset`](Self::offset), which is what a view in place needs.
///
/// ```
/// use slipring_codec::{Decoder, Token};
///
/// let mut decoder = Decoder::new(b"\xa1\x64site\x18\x2a");
/// assert_eq!(decoder.token()?, Token::Map(Some(1)));
/// assert_eq!((decoder.offset(), decoder.token()?), (1, Token::Text("site")));
/// assert_eq!((decoder.offset(), decoder.token()?), (6, Token::Unsigned(42)));
/// decoder.finish()?;
/// # Ok::<(), slipring_codec::DecodeError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Decoder<'a> {
    input: &'a [u8],
    /// Never beyond the end of `input`.
    at: usize,
}

impl<'a> Decoder<'a> {
    /// A decoder at the beginning of `input`.
    pub fn new(input: &'a [u8]) -> Self {
        Decoder { input, at: 0 }
    }

    /// Where the next token begins, in bytes from the beginning of the input.
    #[inline]
    pub fn offset(&self) -> usize {
        self.at
    }

    /// Bytes that are left.
    #[inline]
    pub fn remaining(&self) -> usize {
        self.input.len() - self.at
    }

    /// The next token.
    ///
    /// # Errors
    ///
    /// [`Truncated`](Kind::Truncated) if the input ends within it, or if fewer bytes are left than it
    /// announces items; [`InitialByte`](Kind::InitialByte), [`SimpleForm`](Kind::SimpleForm) and
    /// [`Utf8`](Kind::Utf8) if it is not CBOR.
    #[inline(always)]
    pub fn token(&mut self) -> Result<Token<'a>, DecodeError> {
        let Some((&initial, rest)) = self.input[self.at..].split_first() else {
            return Err(self.truncated(self.at, 1));
        };
        let (major, info) = (initial >> 5, initial & 31);
        match major {
            0..=TAG if info == INDEFINITE => {
                let token = match major {
                    BYTES => Token::BytesPieces,
                    TEXT => Token::TextPieces,
                    ARRAY => Token::Array(None),
                    MAP => Token::Map(None),
                    _ => return Err(self.bad_initial(initial)),
                };
                self.at += 1;
                Ok(token)
            }
            0..=TAG => {
                let (argument, width) = self.argument(initial, rest)?;
                self.counted(major, argument, self.at + 1 + width)
            }
            _ => self.simple_or_float(initial, rest),
        }
    }

    /// Steps over a break if one stands here, which ends an item of indefinite length.
    ///
    /// ```
    /// # use slipring_codec::{Decoder, Token};
    /// let mut decoder = Decoder::new(b"\x9f\x01\x02\xff");
    /// assert_eq!(decoder.token()?, Token::Array(None));
    /// let mut sum = 0;
    /// while !decoder.take_break() {
    ///     sum += decoder.token()?.as_integer().unwrap();
    /// }
    /// assert_eq!(sum, 3);
    /// # Ok::<(), slipring_codec::DecodeError>(())
    /// ```
    #[inline]
    pub fn take_break(&mut self) -> bool {
        let there = self.input.get(self.at) == Some(&BREAK);
        self.at += usize::from(there);
        there
    }

    /// If a text of definite length is next, takes it as bytes of which nobody knows yet whether they are
    /// UTF-8: for clients that check it while they copy it. Otherwise stays where it is.
    #[inline(always)]
    pub fn text_bytes(&mut self) -> Option<&'a [u8]> {
        let (&initial, rest) = self.input[self.at..].split_first()?;
        let (len, width): (usize, usize) = match initial.wrapping_sub(TEXT << 5) {
            // Which of both it is, nothing foretells: without a branch.
            len @ 0..=ONE_BYTE if !rest.is_empty() => {
                let long = len == ONE_BYTE;
                (usize::from(if long { rest[0] } else { len }), usize::from(long))
            }
            // A text without characters that ends the input.
            0 => (0, 0),
            TWO_BYTES => (usize::from(u16::from_be_bytes(*rest.first_chunk()?)), 2),
            FOUR_BYTES => (u32::from_be_bytes(*rest.first_chunk()?) as usize, 4),
            _ => return None,
        };
        let bytes = rest.get(width..width.checked_add(len)?)?;
        self.at += 1 + width + len;
        Some(bytes)
    }

    /// If an unsigned integer is next and not among the last nine bytes, takes it. Otherwise stays where it
    /// is. Of whatever width, it costs the same: for clients that expect one.
    #[inline(always)]
    pub fn unsigned(&mut self) -> Option<u64> {
        let &[initial, ref argument @ ..] = self.input[self.at..].first_chunk::<9>()?;
        if initial < ONE_BYTE {
            self.at += 1;
            return Some(initial.into());
        }
        if initial > EIGHT_BYTES {
            return None;
        }
        let width = 1 << (initial - ONE_BYTE);
        self.at += 1 + width;
        Some(u64::from_be_bytes(*argument) >> (64 - 8 * width))
    }

    /// The same for an integer of either sign that 64 bits hold, sign included.
    #[inline(always)]
    pub fn integer(&mut self) -> Option<i64> {
        let &[initial, ref argument @ ..] = self.input[self.at..].first_chunk::<9>()?;
        // -1 for a negative one, of which the argument says all bits turned round.
        let sign = -i64::from(initial >> 5);
        let info = initial & 31;
        if initial >> 5 > NEGATIVE || info > EIGHT_BYTES {
            return None;
        }
        if info < ONE_BYTE {
            self.at += 1;
            return Some(i64::from(info) ^ sign);
        }
        let width = 1 << (info - ONE_BYTE);
        let n = i64::try_from(u64::from_be_bytes(*argument) >> (64 - 8 * width)).ok()?;
        self.at += 1 + width;
        Some(n ^ sign)
    }

    /// The same for a float of 64 bits.
    #[inline(always)]
    pub fn float64(&mut self) -> Option<f64> {
        let &[FLOAT64, ref bits @ ..] = self.input[self.at..].first_chunk::<9>()? else {
            return None;
        };
        self.at += 9;
        Some(f64::from_be_bytes(*bits))
    }

    /// Takes floats of 64 bits that stand in a row, as many as there is room for at most, and answers how many: the last
    /// nine bytes are left to [`float64`](Self::float64), too.
    ///
    /// ```
    /// # use slipring_codec::{Decoder, Encoder};
    /// let mut encoder = Encoder::new();
    /// encoder.array(3).float(1.5).float(-2.0).int(7);
    /// let bytes = encoder.into_vec();
    /// let mut decoder = Decoder::new(&bytes);
    /// decoder.token()?;
    /// let mut row = [0.0; 8];
    /// assert_eq!((decoder.floats(&mut row), &row[..2]), (2, &[1.5, -2.0][..]));
    /// # Ok::<(), slipring_codec::DecodeError>(())
    /// ```
    #[inline(always)]
    pub fn floats(&mut self, row: &mut [f64]) -> usize {
        let (chunks, _) = self.input[self.at..].as_chunks::<9>();
        let mut taken = 0;
        for (place, &[initial, ref bits @ ..]) in row.iter_mut().zip(chunks) {
            if initial != FLOAT64 {
                break;
            }
            *place = f64::from_be_bytes(*bits);
            taken += 1;
        }
        self.at += 9 * taken;
        taken
    }

    /// If a truth value is next, takes it, which one ever. Otherwise stays where it is.
    #[inline(always)]
    pub fn truth(&mut self) -> Option<bool> {
        let initial = self.peek()?;
        if initial & !1 != FALSE {
            return None;
        }
        self.at += 1;
        Some(initial == TRUE)
    }

    /// The whole input.
    #[inline(always)]
    pub fn input(&self) -> &'a [u8] {
        self.input
    }

    /// The first byte of the next token, left where it is.
    #[inline(always)]
    pub fn peek(&self) -> Option<u8> {
        self.input.get(self.at).copied()
    }

    /// If these very bytes come next, steps over them: for clients that expect a token, and know how it is written
    /// mostly. Otherwise stays where it is.
    ///
    /// ```
    /// # use slipring_codec::{Decoder, Token};
    /// let mut decoder = Decoder::new(b"\x64site\x04");
    /// assert!(!decoder.take_exact(b"\x64size"));
    /// assert!(decoder.take_exact(b"\x64site"));
    /// assert_eq!(decoder.token()?, Token::Unsigned(4));
    /// # Ok::<(), slipring_codec::DecodeError>(())
    /// ```
    #[inline(always)]
    pub fn take_exact(&mut self, bytes: &[u8]) -> bool {
        let there = self.input[self.at..].starts_with(bytes);
        self.at += if there { bytes.len() } else { 0 };
        there
    }

    /// The same without a branch for each length.
    ///
    /// ```
    /// # use slipring_codec::{Decoder, Padded, Token};
    /// let site = Padded::new(b"\x64site").unwrap();
    /// let mut decoder = Decoder::new(b"\x64site\x04");
    /// assert!(!decoder.take_padded(&Padded::new(b"\x64size").unwrap()));
    /// assert!(decoder.take_padded(&site));
    /// assert_eq!(decoder.token()?, Token::Unsigned(4));
    /// # Ok::<(), slipring_codec::DecodeError>(())
    /// ```
    #[inline(always)]
    pub fn take_padded(&mut self, padded: &Padded) -> bool {
        let rest = &self.input[self.at..];
        let there = match rest.first_chunk() {
            Some(next) => padded.begin(next),
            None => padded.begin_short(rest),
        };
        self.at += if there { padded.len() } else { 0 };
        there
    }

    /// The same input from another place on, which must be one where a token begins.
    pub fn from(&self, offset: usize) -> Self {
        Decoder { input: self.input, at: offset.min(self.input.len()) }
    }

    /// Holds what a container announces against the rest of the input, in which an item is a byte at
    /// least: its `items`, beside the `owed` that the containers around it still expect. Answers both
    /// together. Who allocates for a container only after this allocates no more than the input has paid
    /// for, however containers nest.
    ///
    /// # Errors
    ///
    /// [`TooDeep`](Kind::TooDeep) if `depth` containers enclose it and that is the limit, and [`Truncated`](Kind::Truncated).
    #[inline]
    pub fn open(
        &self,
        start: usize,
        items: usize,
        depth: usize,
        owed: usize,
    ) -> Result<usize, DecodeError> {
        check_depth(depth, start)?;
        match owed.checked_add(items).filter(|&all| all <= self.remaining()) {
            Some(all) => Ok(all),
            None => Err(self.truncated(self.at, (owed as u64).saturating_add(items as u64))),
        }
    }

    /// The error of a token that stands for no value: undefined, an unassigned simple value, a break.
    #[cold]
    pub fn unfit(&self, token: &Token<'_>, start: usize) -> DecodeError {
        let kind = match *token {
            Token::Undefined => Kind::SimpleValue { value: 23 },
            Token::Simple(value) => Kind::SimpleValue { value },
            _ => Kind::Break,
        };
        DecodeError::new(kind, start)
    }

    /// Joins the pieces after [`Token::BytesPieces`], up to and with the break.
    ///
    /// # Errors
    ///
    /// As [`token`](Self::token), and [`Chunk`](Kind::Chunk) for a piece that is not a definite byte string.
    pub fn join_bytes(&mut self) -> Result<Vec<u8>, DecodeError> {
        let mut joined = Vec::new();
        self.pieces(|piece| match piece {
            Token::Bytes(bytes) => {
                joined.extend_from_slice(bytes);
                true
            }
            _ => false,
        })?;
        Ok(joined)
    }

    /// Joins the pieces after [`Token::TextPieces`], up to and with the break.
    ///
    /// # Errors
    ///
    /// As [`token`](Self::token), and [`Chunk`](Kind::Chunk) for a piece that is not a definite text string.
    pub fn join_text(&mut self) -> Result<String, DecodeError> {
        let mut joined = String::new();
        self.pieces(|piece| match piece {
            Token::Text(text) => {
                joined.push_str(text);
                true
            }
            _ => false,
        })?;
        Ok(joined)
    }

    /// Steps over one whole item and checks that it is well-formed.
    ///
    /// # Errors
    ///
    /// As [`token`](Self::token), [`Chunk`](Kind::Chunk), [`Break`](Kind::Break) for one that stands where an item
    /// should, and [`TooDeep`](Kind::TooDeep) beyond [`MAX_DEPTH`].
    pub fn skip(&mut self) -> Result<(), DecodeError> {
        let before = self.at;
        self.skip_nested(0).inspect_err(|_| self.at = before)
    }

    /// Checks that the input ends here.
    ///
    /// # Errors
    ///
    /// [`Trailing`](Kind::Trailing) otherwise.
    pub fn finish(&self) -> Result<(), DecodeError> {
        match self.remaining() {
            0 => Ok(()),
            bytes => Err(DecodeError::new(Kind::Trailing { bytes }, self.at)),
        }
    }

    fn skip_nested(&mut self, depth: usize) -> Result<(), DecodeError> {
        let start = self.at;
        let (len, each) = match self.token()? {
            Token::Array(len) => (len, 1),
            Token::Map(len) => (len, 2),
            Token::Tag(_) => (Some(1), 1),
            Token::BytesPieces => return self.pieces(|piece| matches!(piece, Token::Bytes(_))),
            Token::TextPieces => return self.pieces(|piece| matches!(piece, Token::Text(_))),
            Token::Break => return Err(DecodeError::new(Kind::Break, start)),
            _ => return Ok(()),
        };
        check_depth(depth, start)?;
        let mut skipped = 0;
        while match len {
            Some(len) => skipped < len,
            None => !self.take_break(),
        } {
            (0..each).try_for_each(|_| self.skip_nested(depth + 1))?;
            skipped += 1;
        }
        Ok(())
    }

    /// Hands the pieces of an indefinite string to `take`, which says whether it is one.
    fn pieces(&mut self, mut take: impl FnMut(Token<'a>) -> bool) -> Result<(), DecodeError> {
        let before = self.at;
        while !self.take_break() {
            let start = self.at;
            let taken = self.token().and_then(|piece| match take(piece) {
                true => Ok(()),
                false => Err(DecodeError::new(Kind::Chunk, start)),
            });
            if let Err(error) = taken {
                self.at = before;
                return Err(error);
            }
        }
        Ok(())
    }

    /// The argument of an initial byte, and how many bytes of `rest` it takes.
    #[inline(always)]
    fn argument(&self, initial: u8, rest: &[u8]) -> Result<(u64, usize), DecodeError> {
        let missing = |needed| self.truncated(self.at + 1, needed);
        match initial & 31 {
            info @ 0..ONE_BYTE => Ok((u64::from(info), 0)),
            ONE_BYTE => match rest.first() {
                Some(&n) => Ok((u64::from(n), 1)),
                None => Err(missing(1)),
            },
            TWO_BYTES => match rest.first_chunk() {
                Some(&n) => Ok((u64::from(u16::from_be_bytes(n)), 2)),
                None => Err(missing(2)),
            },
            FOUR_BYTES => match rest.first_chunk() {
                Some(&n) => Ok((u64::from(u32::from_be_bytes(n)), 4)),
                None => Err(missing(4)),
            },
            EIGHT_BYTES => match rest.first_chunk() {
                Some(&n) => Ok((u64::from_be_bytes(n), 8)),
                None => Err(missing(8)),
            },
            _ => Err(self.bad_initial(initial)),
        }
    }

    /// The token of a major type below 7 whose argument ends at `at`, where its payload begins.
    #[inline(always)]
    fn counted(&mut self, major: u8, argument: u64, at: usize) -> Result<Token<'a>, DecodeError> {
        let rest = &self.input[at..];
        // What the argument counts must still be there, at a byte each at least.
        let within = |each: u64| match usize::try_from(argument) {
            Ok(n) if argument <= rest.len() as u64 / each => Ok(n),
            _ => Err(self.truncated(at, argument.saturating_mul(each))),
        };
        let (token, payload) = match major {
            UNSIGNED => (Token::Unsigned(argument), 0),
            NEGATIVE => (Token::Negative(argument), 0),
            BYTES => {
                let len = within(1)?;
                (Token::Bytes(&rest[..len]), len)
            }
            TEXT => {
                let len = within(1)?;
                let text = std::str::from_utf8(&rest[..len])
                    .map_err(|e| DecodeError::new(Kind::Utf8, at + e.valid_up_to()))?;
                (Token::Text(text), len)
            }
            ARRAY => (Token::Array(Some(within(1)?)), 0),
            MAP => (Token::Map(Some(within(2)?)), 0),
            _ => (Token::Tag(argument), 0),
        };
        self.at = at + payload;
        Ok(token)
    }

    /// The token of major type 7.
    #[inline(always)]
    fn simple_or_float(&mut self, initial: u8, rest: &[u8]) -> Result<Token<'a>, DecodeError> {
        let (argument, width) = match initial {
            BREAK => (0, 0),
            _ => self.argument(initial, rest)?,
        };
        let token = match initial {
            FALSE => Token::Bool(false),
            TRUE => Token::Bool(true),
            NULL => Token::Null,
            UNDEFINED => Token::Undefined,
            BREAK => Token::Break,
            FLOAT64 => Token::Float(f64::from_bits(argument)),
            _ => match (width, argument) {
                // The width bounds the argument: no cast here drops a bit.
                (4, bits) => Token::Float(f64::from(f32::from_bits(bits as u32))),
                (2, bits) => Token::Float(half(bits as u16)),
                (1, value @ 0..32) => {
                    return Err(DecodeError::new(Kind::SimpleForm { value: value as u8 }, self.at));
                }
                (_, value) => Token::Simple(value as u8),
            },
        };
        self.at += 1 + width;
        Ok(token)
    }

    #[cold]
    fn truncated(&self, at: usize, needed: u64) -> DecodeError {
        let left = (self.input.len() - at) as u64;
        DecodeError::new(Kind::Truncated { needed, left }, at)
    }

    #[cold]
    fn bad_initial(&self, byte: u8) -> DecodeError {
        DecodeError::new(Kind::InitialByte { byte }, self.at)
    }
}

/// Refuses a container or tag that `depth` others enclose, when that is the limit.
///
/// # Errors
///
/// [`TooDeep`](Kind::TooDeep).
#[inline]
pub fn check_depth(depth: usize, offset: usize) -> Result<(), DecodeError> {
    match depth < MAX_DEPTH {
        true => Ok(()),
        false => Err(DecodeError::new(Kind::TooDeep { limit: MAX_DEPTH }, offset)),
    }
}

/// A float of 16 bits (IEEE 754 binary16), widened. The payload of a NaN moves to the top bits.
fn half(bits: u16) -> f64 {
    let sign = u64::from(bits >> 15) << 63;
    let exponent = u64::from(bits >> 10 & 0x1F);
    let fraction = u64::from(bits & 0x3FF);
    let magnitude = match exponent {
        // Subnormal: the fraction counts in units of 2^-24.
        0 => (fraction as f64 / f64::from(1u32 << 24)).to_bits(),
        31 => 0x7FF << 52 | fraction << 42,
        // The biases differ by 1023 - 15.
        _ => (exponent + 1008) << 52 | fraction << 42,
    };
    f64::from_bits(sign | magnitude)
}
