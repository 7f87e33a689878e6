//! JSON (RFC 8259), strict: read and written piece by piece, so that bindings go from and to their own objects, and
//! as a [`Value`](crate::Value) for Rust.
//!
//! 1. What is read is UTF-8, one value, and nothing behind it. Numbers keep all that they say: an integer has as many
//!    digits as stand there, a float is the nearest double, and one beyond all doubles is refused.
//! 2. Reading relies on nothing that it saw before. Still, whoever shares the bytes with others copies them first: what was
//!    UTF-8 at one look is not at the next.
//! 3. What is written has no white space, the fewest digits, and escapes only where they must be.
//!
//! ```
//! use slipring_codec::{Value, json};
//!
//! let value = json::from_slice(br#"{"id": 12345678901234567890, "at": [1.5, null]}"#)?;
//! assert_eq!(value.get("id"), Some(&Value::Int(12345678901234567890)));
//! assert_eq!(json::to_vec(&value)?, br#"{"id":12345678901234567890,"at":[1.5,null]}"#);
//!
//! let error = json::from_slice(b"{\"users\": [{\"photo\": nul}]}").unwrap_err();
//! assert_eq!((error.path().to_string().as_str(), error.offset()), ("$.users[0].photo", 21));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod fault;
pub mod float;
pub mod number;
mod powers;
mod reader;
mod scan;
mod tree;
mod writer;

pub use fault::JsonFault;
pub use reader::{Close, Item, Options, Reader};
pub use tree::{from_slice, to_vec, write_value};
pub use writer::{ESCAPES, Writer};

/// Containers that may stand inside each other: more than documents have, and less than a thread's stack holds.
pub const DEPTH: usize = 1024;

/// Line and column of a byte, both from 1; columns count characters.
pub fn position(text: &[u8], at: usize) -> (usize, usize) {
    let before = &text[..at.min(text.len())];
    let line_at = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
    let column = 1 + before[line_at..].iter().filter(|&&byte| byte & 0xc0 != 0x80).count();
    (line, column)
}

/// What a text begins with, without a look at the rest: `object`, `array`, `string`, `number`, `boolean` or
/// `null`; `None` if it begins no value.
pub fn kind(text: &[u8]) -> Option<&'static str> {
    Some(match text.iter().find(|byte| !b" \t\r\n".contains(byte))? {
        b'{' => "object",
        b'[' => "array",
        b'"' => "string",
        b'-' | b'0'..=b'9' => "number",
        b't' | b'f' => "boolean",
        b'n' => "null",
        _ => return None,
    })
}
