//! The tags of values: what an item means beyond its bare form. `docs/types.md` says it in words,
//! and a test holds the two together.
//!
//! Registered tags are used wherever there is one (RFC 8949, 8746, 8943, 9581 and IANA's registry).
//! Our own stand in a block that nobody has registered; a reader that does not know them still
//! reads what they enclose.

/// A point in time with its offset from UTC, as text (RFC 3339): `2026-11-21T10:46:28.5+01:00`.
pub const DATETIME: u64 = 0;
/// A point in time, in seconds since 1970 in UTC. Read, not written.
pub const EPOCH: u64 = 1;
/// A positive big integer: its bytes, the most significant first.
pub const POSITIVE_BIG: u64 = 2;
/// The negative big integer -1 - n, n as for [`POSITIVE_BIG`].
pub const NEGATIVE_BIG: u64 = 3;
/// A decimal fraction: `[exponent, mantissa]`.
pub const DECIMAL: u64 = 4;
/// A ratio: `[numerator, denominator]`.
pub const RATIONAL: u64 = 30;
/// A UUID: 16 bytes.
pub const UUID: u64 = 37;
/// An array of more than one dimension, the last index fastest: `[[lengths], typed array]` (RFC 8746).
pub const ARRAY_C: u64 = 40;
/// The same, the first index fastest.
pub const ARRAY_F: u64 = 1040;
/// The typed arrays of RFC 8746 are the tags from here to 87; `docs/types.md` lists them.
pub const TYPED_ARRAYS: u64 = 64;
/// Days since 1970-01-01 (RFC 8943): a date whose year has not four digits.
pub const EPOCH_DATE: u64 = 100;
/// A set: an array in which nothing stands twice.
pub const SET: u64 = 258;
/// A date, as text: `2026-11-21` (RFC 8943).
pub const DATE: u64 = 1004;
/// A duration: a map of `1` seconds and, where there are any, `-6` microseconds (RFC 9581).
pub const DURATION: u64 = 1002;
/// A complex number: `[real part, imaginary part]`.
pub const COMPLEX: u64 = 43000;
/// What follows is CBOR. Read over.
pub const SELF_DESCRIBED: u64 = 55799;

/// A byte string that lies in a buffer of the frame: the buffer's number, from 0.
pub const BUFFER: u64 = 47600;
/// A tuple: an array.
pub const TUPLE: u64 = 47601;
/// An atom: text.
pub const ATOM: u64 = 47602;
/// An object of a named type: `[name, version, fields]`. The name is text, the version an unsigned
/// integer; the fields are a map of texts, or whatever the type's own encoder made.
pub const OBJECT: u64 = 47603;
/// A range: `[start, stop, step]`, the stop not a part of it.
pub const RANGE: u64 = 47604;
/// A set that can't change: a [`SET`].
pub const FROZEN_SET: u64 = 47605;
/// A date and a time without an offset, as text: `2026-11-21T10:46:28.5`.
pub const NAIVE_DATETIME: u64 = 47606;
/// A point in time in a named zone: `[text, abbreviation, seconds of daylight saving]`, the text as
/// in RFC 9557: `2026-07-01T12:00:00+02:00[Europe/Berlin]`.
pub const ZONED_DATETIME: u64 = 47607;
/// A time of day, as text, with an offset or without: `10:46:28.5`.
pub const TIME: u64 = 47608;
/// A decimal that is no fraction: `NaN`, `-Infinity`, `-0E-2`, as text.
pub const DECIMAL_TEXT: u64 = 47609;
/// An array that the tags of RFC 8746 have no word for: `[head, data]`, the head as in an ndarray
/// frame, the data a byte string.
pub const NDARRAY: u64 = 47610;
/// One element of an array, which is no array: a typed array or an [`NDARRAY`] of one element.
pub const ELEMENT: u64 = 47611;
/// A pickle of protocol 5: `[stream, out-of-band buffers...]`, each a byte string. It is code: nobody
/// loads it unasked.
pub const PICKLE: u64 = 47612;
/// A table: `[messages, bodies...]`, each a byte string: the head of an arrow frame with its schema, and the buffers.
pub const TABLE: u64 = 47613;
