//! Streams of tables: which frame is the next one of a stream (`docs/frame-format.md`).

use slipring::Header;
use slipring_codec::Format;
use slipring_codec::frame::flags::{STREAM_FIRST, STREAM_LAST};
use std::fmt;

/// A frame that is not the next one of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Misfit {
    /// What is wrong.
    pub what: String,
    /// Whether another reader can make something of it. Else it is a piece whose beginning is gone, and is not to stand in the way
    /// of the next stream.
    pub keep: bool,
}

impl Misfit {
    /// What to do.
    pub const HINT: &str = "let one producer send the stream, and one consumer take it";
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, Misfit::HINT)
    }
}

impl std::error::Error for Misfit {}

/// Whether a frame with this header is the next one of a stream of tables, of which `last` was the frame before it (its
/// [`producer`](Header::producer) and [`sequence`](Header::sequence); `None` where the stream begins). Answers whether it ends the stream.
///
/// ```
/// use slipring::Header;
/// use slipring_codec::Format;
/// use slipring_codec::frame::flags::{STREAM_FIRST, STREAM_LAST};
/// use slipring_frames::{follows, header};
///
/// let of = |flags, sequence| Header { producer: 7, sequence, ..header(Format::Arrow, flags, 0) };
/// assert_eq!(follows(&of(STREAM_FIRST, 4), None), Ok(false));
/// assert_eq!(follows(&of(STREAM_LAST, 5), Some((7, 4))), Ok(true));
/// assert!(follows(&of(STREAM_LAST, 6), Some((7, 4))).is_err_and(|misfit| misfit.keep)); // one is missing
/// ```
///
/// # Errors
///
/// What is wrong with it, and whether it is to be kept for others.
pub fn follows(header: &Header, last: Option<(u32, u64)>) -> Result<bool, Misfit> {
    let other = |what: String| Err(Misfit { what, keep: true });
    if header.format != Format::Arrow.code() {
        let found = Format::from_code(header.format).map_or("unknown", Format::name);
        return other(format!("a frame of format {found} came where a table should"));
    }
    let is_first = header.flags & STREAM_FIRST != 0;
    let ends = header.flags & STREAM_LAST != 0;
    match last {
        None if is_first => Ok(ends),
        // Older writers gave a table by itself no flag, as one within a stream. The first that a producer sends is never within one.
        None if !ends && header.sequence == 0 => Ok(true),
        None => {
            Err(Misfit { what: "the first frames of the stream are missing".into(), keep: false })
        }
        Some(_) if is_first => other("another stream began before this one ended".into()),
        Some((producer, _)) if header.producer != producer => {
            other("a frame of another producer came into the stream".into())
        }
        Some((_, last)) if header.sequence != last.wrapping_add(1) => other(format!(
            "frames of the stream are missing: number {} of its producer came after number {last}",
            header.sequence
        )),
        Some(_) => Ok(ends),
    }
}
