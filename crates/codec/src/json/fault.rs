//! What may be wrong with a text.

use std::fmt;

/// Why a text is no JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum JsonFault {
    /// Something follows the value.
    Trailing,
    /// The text ends where a value should begin.
    ValueMissing,
    /// No value begins with this byte.
    NoValue(u8),
    /// `NaN`.
    NaN,
    /// `Infinity` or `-Infinity`.
    Infinity {
        /// The latter.
        negative: bool,
    },
    /// A byte order mark.
    ByteOrderMark,
    /// More containers inside each other than the reader follows.
    TooDeep {
        /// How many it follows.
        limit: usize,
    },
    /// A string without its end.
    StringUnfinished,
    /// A control character in a string.
    Control(u8),
    /// Bytes of a string that are not UTF-8.
    NotUtf8,
    /// Half of a surrogate pair.
    LoneSurrogate,
    /// A backslash and something else than an escape has.
    Escape,
    /// `\u` and something else than four hexadecimal digits.
    EscapeDigits,
    /// A number that begins with a zero and goes on.
    LeadingZero,
    /// A minus without a digit.
    MinusDigit,
    /// A point without a digit.
    PointDigit,
    /// An exponent without a digit.
    ExponentDigit,
    /// A number beyond all doubles.
    FloatRange,
    /// A number whose exponent nothing here can hold.
    ExponentRange,
    /// An integer or a decimal with more digits than its reader takes.
    Digits {
        /// How many it takes.
        limit: usize,
    },
    /// An array without its end.
    ArrayUnfinished,
    /// An object without its end.
    ObjectUnfinished,
    /// Neither a comma nor the end follows an item of an array.
    ArrayComma,
    /// Neither a comma nor the end follows an item of an object.
    ObjectComma,
    /// No colon follows a key.
    Colon,
    /// This byte stands where a key should.
    NoKey(u8),
}

impl JsonFault {
    /// What to do about it, in one sentence without a full stop.
    pub fn hint(self) -> &'static str {
        use JsonFault::*;
        match self {
            Trailing => "send one value only",
            ValueMissing | StringUnfinished | ArrayUnfinished | ObjectUnfinished => "send it whole",
            NoValue(b'\'') => "strings have double quotes",
            NoValue(b']' | b'}') | NoKey(b'}') => "no comma stands before the end",
            NoValue(b'+' | b'.') | MinusDigit => "a number begins with a digit or a minus",
            NoValue(b'N' | b'T' | b'F') => "JSON says null, true and false",
            NoValue(b'/' | b'#') => "JSON has no comments",
            NoValue(_) => "a value is a string, a number, an object, an array, true, false or null",
            NaN | Infinity { .. } => "send null, or a text",
            ByteOrderMark => "leave it out",
            TooDeep { .. } => "flatten it",
            Control(_) => "write it as an escape, such as \\n",
            NotUtf8 => "encode it as UTF-8",
            LoneSurrogate => "escape the other half as well",
            Escape => "an escape is one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\uXXXX",
            EscapeDigits => "write it as \\u0041",
            LeadingZero => "leave leading zeros out",
            PointDigit => "write 1.0 or 1",
            ExponentDigit => "write 1e5 or 1e-5",
            FloatRange => "read floats as decimals, or send it as a string",
            ExponentRange | Digits { .. } => "send it as a string",
            ArrayComma | ObjectComma => "items stand apart by commas",
            Colon => "a colon stands between key and value",
            NoKey(_) => "keys are strings in double quotes",
        }
    }
}

impl fmt::Display for JsonFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use JsonFault::*;
        f.write_str(match *self {
            Trailing => "something follows the value",
            ValueMissing => "a value is missing: it ends here",
            NoValue(_) => "this begins no value",
            NaN => "NaN is no JSON",
            Infinity { negative: false } => "Infinity is no JSON",
            Infinity { negative: true } => "-Infinity is no JSON",
            ByteOrderMark => "a byte order mark is no JSON",
            TooDeep { limit } => {
                return write!(f, "more than {limit} arrays and objects inside each other");
            }
            StringUnfinished => "a string does not end",
            Control(byte) => {
                return write!(f, "a string holds the control character 0x{byte:02x}");
            }
            NotUtf8 => "a string is not UTF-8",
            LoneSurrogate => "a lone surrogate is no Unicode text",
            Escape => "this is no escape",
            EscapeDigits => "\\u has no four hexadecimal digits",
            LeadingZero => "a number begins with 0",
            MinusDigit => "a digit is missing behind the minus",
            PointDigit => "a digit is missing behind the point",
            ExponentDigit => "a digit is missing in the exponent",
            FloatRange => "a number is beyond what a float holds",
            ExponentRange => "a number is beyond what a decimal holds",
            Digits { limit } => return write!(f, "a number has more than {limit} digits"),
            ArrayUnfinished => "an array does not end",
            ObjectUnfinished => "an object does not end",
            ArrayComma => "neither a comma nor ] follows an item of an array",
            ObjectComma => "neither a comma nor } follows an item of an object",
            Colon => "no colon follows a key",
            NoKey(_) => "a key is missing",
        })
    }
}
