//! Writing tokens, into a growing vector or a fixed slice.

use super::{
    ARRAY, BYTES, FALSE, FLOAT64, MAP, NEGATIVE, NULL, ONE_BYTE, TAG, TEXT, TRUE, UNSIGNED,
};
use crate::error::{EncodeError, EncodeErrorKind};

/// Where an [`Encoder`] writes: a `Vec<u8>` that grows, a [`Fixed`] slice, or what a binding has.
pub trait Sink {
    /// Appends bytes.
    fn put(&mut self, bytes: &[u8]);
    /// Appends the first `len` of these bytes, which may be faster than [`put`](Self::put).
    #[inline]
    fn put_first(&mut self, bytes: [u8; 16], len: usize) {
        self.put(&bytes[..len]);
    }
    /// How many bytes were put, those included that found no place.
    fn len(&self) -> usize;
    /// Whether nothing was put yet.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Sink for Vec<u8> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    #[inline]
    fn len(&self) -> usize {
        Vec::len(self)
    }
}

/// A slice being filled. Once it is full it only counts, so that the length needed is known.
#[derive(Debug)]
pub struct Fixed<'a> {
    out: &'a mut [u8],
    /// Grows past `out.len()` on overflow and never shrinks: no later, shorter piece may still
    /// find a place behind a gap.
    len: usize,
}

impl<'a> Fixed<'a> {
    /// Nothing is written yet.
    pub fn new(out: &'a mut [u8]) -> Self {
        Fixed { out, len: 0 }
    }

    /// The room that is left behind what was put; none once something found no place.
    pub fn rest(&mut self) -> &mut [u8] {
        self.out.get_mut(self.len..).unwrap_or_default()
    }

    /// Counts bytes that were written to the [`rest`](Self::rest).
    pub fn advance(&mut self, len: usize) {
        self.len += len;
    }
}

impl Sink for Fixed<'_> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        let end = self.len.saturating_add(bytes.len());
        if let Some(place) = self.out.get_mut(self.len..end) {
            place.copy_from_slice(bytes);
        }
        self.len = end;
    }

    #[inline]
    fn put_first(&mut self, bytes: [u8; 16], len: usize) {
        // All of them are written where there is room; what follows is written over the rest.
        // In two stores: one of 16 bytes would wait for what was just put together in two halves.
        let all = u128::from_le_bytes(bytes);
        match self.out.get_mut(self.len..).unwrap_or_default().as_chunks_mut::<8>().0 {
            [first, second, ..] => {
                *first = (all as u64).to_le_bytes();
                *second = ((all >> 64) as u64).to_le_bytes();
                self.len += len;
            }
            _ => self.put(&bytes[..len]),
        }
    }

    #[inline]
    fn len(&self) -> usize {
        self.len
    }
}

/// Writes CBOR tokens. Every call returns the encoder, so that calls chain.
///
/// The caller owes what it announces: after `array(n)` come n items, after `map(n)` n pairs of key
/// and value with no key twice, after `tag` one item. The encoder keeps no count of it.
///
/// ```
/// use slipring_codec::Encoder;
///
/// let mut meta = Encoder::new();
/// meta.map(2).text("site").int(4);
/// meta.text("tags").array(2).text("raw").null();
/// assert_eq!(meta.into_vec(), b"\xa2\x64site\x04\x64tags\x82\x63raw\xf6");
///
/// // Into memory that is there already:
/// let mut place = [0; 8];
/// let mut encoder = Encoder::over(&mut place);
/// encoder.float(1.5);
/// let error = encoder.finish().unwrap_err(); // nine bytes, eight are there
/// assert!(error.to_string().starts_with("the encoding takes 9 bytes, the slice has 8"));
/// ```
#[derive(Debug)]
pub struct Encoder<S> {
    sink: S,
}

impl Encoder<Vec<u8>> {
    /// An encoder over a vector of its own.
    pub fn new() -> Self {
        Encoder::append(Vec::new())
    }

    /// An encoder that goes on behind what `bytes` holds; a cleared vector is used again so.
    pub fn append(bytes: Vec<u8>) -> Self {
        Encoder { sink: bytes }
    }

    /// What was written.
    pub fn into_vec(self) -> Vec<u8> {
        self.sink
    }
}

impl Default for Encoder<Vec<u8>> {
    fn default() -> Self {
        Encoder::new()
    }
}

impl<'a> Encoder<Fixed<'a>> {
    /// An encoder over memory that is there already. Over an empty slice it measures: see [`len`](Self::len).
    pub fn over(out: &'a mut [u8]) -> Self {
        Encoder { sink: Fixed::new(out) }
    }

    /// The bytes written.
    ///
    /// # Errors
    ///
    /// [`NoSpace`](EncodeErrorKind::NoSpace) with the length needed, if they did not all fit.
    pub fn finish(self) -> Result<&'a mut [u8], EncodeError> {
        let Fixed { out, len } = self.sink;
        let available = out.len();
        out.get_mut(..len)
            .ok_or_else(|| EncodeError::new(EncodeErrorKind::NoSpace { needed: len, available }))
    }
}

impl<S: Sink> Encoder<S> {
    /// An encoder into a sink of one's own.
    pub fn into_sink(sink: S) -> Self {
        Encoder { sink }
    }

    /// The sink back.
    pub fn sink(self) -> S {
        self.sink
    }

    /// The sink, for tokens that were encoded before.
    pub fn sink_mut(&mut self) -> &mut S {
        &mut self.sink
    }

    /// Bytes in the sink, those included that found no place in a fixed one.
    #[inline]
    pub fn len(&self) -> usize {
        self.sink.len()
    }

    /// Whether nothing was written yet.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.sink.is_empty()
    }

    /// `null`
    #[inline]
    pub fn null(&mut self) -> &mut Self {
        self.put(&[NULL])
    }

    /// `false` or `true`
    #[inline]
    pub fn bool(&mut self, value: bool) -> &mut Self {
        self.put(&[if value { TRUE } else { FALSE }])
    }

    /// A signed integer.
    #[inline]
    pub fn int(&mut self, value: i64) -> &mut Self {
        // -1 - n is the complement of n, and the sign bit is all that tells them apart.
        let magnitude = (value ^ (value >> 63)) as u64;
        self.head(if value < 0 { NEGATIVE } else { UNSIGNED }, magnitude)
    }

    /// An unsigned integer.
    #[inline]
    pub fn uint(&mut self, value: u64) -> &mut Self {
        self.head(UNSIGNED, value)
    }

    /// The negative integer -1 - n, so any down to -2^64.
    #[inline]
    pub fn negative(&mut self, n: u64) -> &mut Self {
        self.head(NEGATIVE, n)
    }

    /// A float, as 64 bits; the bits of a NaN are kept.
    #[inline]
    pub fn float(&mut self, value: f64) -> &mut Self {
        let head = u128::from(FLOAT64) << 120 | u128::from(value.to_bits()) << 56;
        self.sink.put_first(head.to_be_bytes(), 9);
        self
    }

    /// A byte string.
    #[inline]
    pub fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.head(BYTES, value.len() as u64).put(value)
    }

    /// A text string.
    #[inline]
    pub fn text(&mut self, value: &str) -> &mut Self {
        self.head(TEXT, value.len() as u64).put(value.as_bytes())
    }

    /// The beginning of an array of `len` items.
    #[inline]
    pub fn array(&mut self, len: usize) -> &mut Self {
        self.head(ARRAY, len as u64)
    }

    /// The beginning of a map of `len` pairs.
    #[inline]
    pub fn map(&mut self, len: usize) -> &mut Self {
        self.head(MAP, len as u64)
    }

    /// A tag for the item that follows.
    #[inline]
    pub fn tag(&mut self, tag: u64) -> &mut Self {
        self.head(TAG, tag)
    }

    #[inline]
    fn put(&mut self, bytes: &[u8]) -> &mut Self {
        self.sink.put(bytes);
        self
    }

    /// An initial byte and its argument, in the shortest form.
    #[inline(always)]
    fn head(&mut self, major: u8, argument: u64) -> &mut Self {
        let major = major << 5;
        if argument < u64::from(ONE_BYTE) {
            return self.put(&[major | argument as u8]);
        }
        // Bytes that the argument takes: 1, 2, 4 or 8, as a power of two; without a branch, since neighbours
        // differ.
        let power = u8::from(argument > 0xff)
            + u8::from(argument > 0xffff)
            + u8::from(argument > 0xffff_ffff);
        let width = 1 << power;
        let shifted = argument << (64 - 8 * width);
        let initial = u128::from(major | (ONE_BYTE + power)) << 120;
        let head = initial | u128::from(shifted) << 56;
        self.sink.put_first(head.to_be_bytes(), 1 + width);
        self
    }
}
