//! CBOR (RFC 8949), one token at a time.
//!
//! The layer that bindings drive: an [`Encoder`] they call from a walk over their own objects, a
//! [`Decoder`] they pull from while they build them. Nothing stands in between, no tree is made.
//!
//! 1. The encoder writes integers and lengths in their shortest form and floats as 64 bits.
//! 2. The decoder takes all well-formed CBOR: any width, indefinite lengths, any tag.
//! 3. A token is checked by itself: its bytes are there, its text is UTF-8, and as many bytes are
//!    left as it announces items. How tokens nest is the client's to check; [`Decoder::skip`] and
//!    [`Value`](crate::Value) do, to a depth of [`MAX_DEPTH`].

mod decoder;
mod encoder;
mod padded;

pub use decoder::{Decoder, check_depth};
pub use encoder::{Encoder, Fixed, Sink};
pub use padded::Padded;

/// How many arrays, maps and tags may stand inside each other.
pub const MAX_DEPTH: usize = 256;

/// Major types: the upper three bits of an initial byte.
const UNSIGNED: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const TAG: u8 = 6;

/// Initial bytes of major type 7 that stand for themselves.
const FALSE: u8 = 0xF4;
const TRUE: u8 = 0xF5;
const NULL: u8 = 0xF6;
const UNDEFINED: u8 = 0xF7;
const FLOAT64: u8 = 0xFB;
const BREAK: u8 = 0xFF;

/// Additional information: the lower five bits of an initial byte.
const ONE_BYTE: u8 = 24;
const TWO_BYTES: u8 = 25;
const FOUR_BYTES: u8 = 26;
const EIGHT_BYTES: u8 = 27;
const INDEFINITE: u8 = 31;

/// What a [`Decoder`] yields: one item, or the beginning or end of one.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Token<'a> {
    /// `null`
    Null,
    /// `undefined`
    Undefined,
    /// `false` or `true`
    Bool(bool),
    /// An integer from 0 to 2^64 - 1.
    Unsigned(u64),
    /// The integer -1 - n, so from -1 down to -2^64.
    Negative(u64),
    /// A float; 16 and 32 bits are widened, which is exact.
    Float(f64),
    /// A byte string, in place.
    Bytes(&'a [u8]),
    /// A text string, in place.
    Text(&'a str),
    /// A byte string in pieces follows: `Bytes` tokens up to a `Break`. [`Decoder::join_bytes`] joins them.
    BytesPieces,
    /// A text string in pieces follows: `Text` tokens up to a `Break`. [`Decoder::join_text`] joins them.
    TextPieces,
    /// That many items follow, or with `None` items up to a `Break`.
    Array(Option<usize>),
    /// That many pairs of key and value follow, or with `None` pairs up to a `Break`.
    Map(Option<usize>),
    /// A tag; the item that it encloses follows.
    Tag(u64),
    /// A simple value without a meaning of its own: 0 to 19, 32 to 255.
    Simple(u8),
    /// The end of an item of indefinite length.
    Break,
}

impl Token<'_> {
    /// The integer that the token holds, if it holds one.
    #[inline]
    pub fn as_integer(&self) -> Option<i128> {
        match *self {
            Token::Unsigned(n) => Some(i128::from(n)),
            Token::Negative(n) => Some(-1 - i128::from(n)),
            _ => None,
        }
    }
}
