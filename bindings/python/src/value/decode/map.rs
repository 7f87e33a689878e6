//! Maps: the keys that are expected, and any others.

use super::{_PyDict_NewPresized, KEYS, Made, Reader, Use, no_key, owned};
use crate::value::fault::Fault;
use crate::value::key::Hashes;
use crate::value::types::{Exact, warn_lossy};
use crate::value::{keys, shapes};
use pyo3::ffi;
use pyo3::prelude::*;
use slipring_codec::Value;
use slipring_codec::error::Segment;

impl<'py> Reader<'_, 'py> {
    pub(super) fn map(
        &mut self,
        start: usize,
        len: Option<usize>,
        depth: usize,
        owed: usize,
        used: Use,
    ) -> Made<'py> {
        let py = self.py;
        if used == Use::Key {
            let what = "a map is the key of a map, or a member of a set".to_owned();
            return Err(Fault::refused(what, "map".into(), KEYS));
        }
        let mut rest = self.decoder.open(start, len.map_or(1, |len| 2 * len), depth, owed)?;
        let mut learnt = None;
        let (dict, mut entry) = match self.shaped(len, depth, &mut rest, &mut learnt)? {
            Shaped::Whole(dict) => return Ok(dict),
            Shaped::Begun(dict, pairs) => (dict, pairs),
            // SAFETY: gives a new reference or raises.
            Shaped::No => unsafe {
                (self::owned(py, _PyDict_NewPresized(self.presized(len) as _))?, 0)
            },
        };
        let mut hashes = Hashes::default();
        while match len {
            Some(len) => entry < len,
            None => !self.decoder.take_break(),
        } {
            let below = |rest: &mut usize| {
                if len.is_some() {
                    *rest -= 1;
                }
                *rest
            };
            let key_owed = below(&mut rest);
            let key = self.key(depth + 1, key_owed, entry)?;
            let value_owed = below(&mut rest);
            let value =
                self.read_here(depth + 1, value_owed, Use::Value).map_err(|f| f.under(&key))?;
            hashes.note(key.as_borrowed()).map_err(|fault| fault.within(Segment::KeyOf(entry)))?;
            let (of, pair) = (dict.as_ptr(), [key.as_ptr(), value.as_ptr()]);
            let set = match Exact::of(key.as_borrowed()) {
                // SAFETY: a dict that is ours, and two objects; the dict takes references of its own.
                Exact::Str => unsafe { keys::set_item(of, pair[0], pair[1]) },
                // SAFETY: as above.
                _ => unsafe { ffi::PyDict_SetItem(of, pair[0], pair[1]) },
            };
            if set != 0 {
                return Err(no_key(PyErr::fetch(py), py).within(Segment::KeyOf(entry)));
            }
            entry += 1;
        }
        // SAFETY: a dict.
        if unsafe { ffi::PyDict_Size(dict.as_ptr()) } as usize != entry {
            self.repeated(start)?;
        } else if let Some(at) = learnt {
            self.shapes.learn(at, &dict)?;
        }
        Ok(dict)
    }

    /// A map whose keys are expected in their order. If they don't come so, what has come is in a dict, and the rest is to be read;
    /// `learnt` says then how it may be expected from now on.
    #[inline(always)]
    fn shaped(
        &mut self,
        len: Option<usize>,
        depth: usize,
        rest: &mut usize,
        learnt: &mut Option<shapes::At>,
    ) -> Result<Shaped<'py>, Box<Fault>> {
        let input = &self.decoder.input()[self.decoder.offset()..];
        let Some((at, shape)) = len.and_then(|len| self.shapes.find(input, len)) else {
            return Ok(Shaped::No);
        };
        let Some(shape) = shape else {
            *learnt = Some(at);
            return Ok(Shaped::No);
        };
        let Some(mut begun) = shape.begin(self.py)? else { return Ok(Shaped::No) };
        for (entry, key) in shape.keys.iter().enumerate() {
            if !self.decoder.take_padded(key) {
                return self.unlike(at, &begun, entry, shape.keys.len());
            }
            *rest -= 2;
            let value = self.read_here(depth + 1, *rest, Use::Value);
            // SAFETY: there are as many places as keys.
            unsafe {
                match value {
                    Ok(value) => begun.put(entry, value),
                    Err(fault) => return Err(fault.under(&begun.pair(entry).0)),
                }
            }
        }
        self.shapes.note(at, true);
        Ok(Shaped::Whole(begun.finish()))
    }

    /// The next key is another one, or it stands near the end.
    #[cold]
    fn unlike(
        &mut self,
        at: shapes::At,
        begun: &shapes::Begun<'py>,
        came: usize,
        len: usize,
    ) -> Result<Shaped<'py>, Box<Fault>> {
        self.shapes.note(at, false);
        // SAFETY: gives a new reference or raises.
        let dict = unsafe { self::owned(self.py, _PyDict_NewPresized(len as _))? };
        for entry in 0..came {
            // SAFETY: so many have come, of as many places.
            let (key, value) = unsafe { begun.pair(entry) };
            // SAFETY: a dict that is ours, a str and an object; the dict takes references of its own.
            if unsafe { keys::set_item(dict.as_ptr(), key.as_ptr(), value.as_ptr()) } != 0 {
                return Err(PyErr::fetch(self.py).into());
            }
        }
        Ok(Shaped::Begun(dict, came))
    }

    /// The places that a dict gets before it is known that its pairs are there: those are paid for that take about as much memory
    /// as the input has bytes left, a few times over.
    fn presized(&self, len: Option<usize>) -> usize {
        let len = len.unwrap_or(0);
        len.min(PRESIZED.max(self.decoder.remaining() / PAIR))
    }

    #[inline]
    pub(super) fn key(&mut self, depth: usize, owed: usize, entry: usize) -> Made<'py> {
        let start = self.decoder.offset();
        if let Some(text) = self.decoder.text_bytes() {
            let (input, end) = (self.decoder.input(), self.decoder.offset());
            let key = self.keys.get(self.py, input, end - text.len(), end);
            return key.ok_or_else(|| self.not_text(start).within(Segment::KeyOf(entry)));
        }
        self.read(depth, owed, Use::Key).map_err(|fault| fault.within(Segment::KeyOf(entry)))
    }

    /// Two keys were one to Python: the same twice, which is refused, or such as `1` and `1.0`.
    #[cold]
    fn repeated(&self, start: usize) -> Result<(), Box<Fault>> {
        Value::read(&mut self.decoder.from(start))?;
        let lost = "two keys of a map are one in Python (1 and 1.0 are): the last one stays; \
                    send keys of one type";
        Ok(warn_lossy(self.py, lost)?)
    }
}

/// Places that a dict gets before it is known that its pairs are there, and bytes of input that pay for one more, which
/// takes six to ten times as many.
const PRESIZED: usize = 1024;
const PAIR: usize = 6;

/// What came of a map that was expected to be like another one.
enum Shaped<'py> {
    Whole(Bound<'py, PyAny>),
    /// So many of its pairs.
    Begun(Bound<'py, PyAny>, usize),
    No,
}
