//! Keys of maps, which come again and again: each thread keeps the last ones as str objects, whose
//! hashes are known.

use super::decode::new_text;
use pyo3::prelude::*;
use std::cell::RefCell;

/// Longer keys are made anew.
const LONGEST: usize = 32;
/// A power of two.
const PLACES: usize = 2048;

/// A key that was seen: all its bytes, padded with zeros, its length and its str.
struct Key {
    words: [u64; LONGEST / 8],
    len: usize,
    object: Option<Py<PyAny>>,
}

thread_local! {
    static KEYS: RefCell<Vec<Key>> = const { RefCell::new(Vec::new()) };
}

/// The str of these bytes; `None` with an exception set if they are not UTF-8, or there is no memory.
#[inline]
pub(super) fn get<'py>(py: Python<'py>, text: &[u8]) -> Option<Bound<'py, PyAny>> {
    if text.len() > LONGEST {
        return new_text(py, text);
    }
    KEYS.with_borrow_mut(|keys| find(keys, py, text))
}

/// The thread's keys, for one who asks for many. Whoever asks meanwhile begins anew.
pub(crate) struct Borrowed(Vec<Key>);

impl Borrowed {
    pub(crate) fn new() -> Self {
        Self(KEYS.with_borrow_mut(std::mem::take))
    }

    /// As [`get`].
    #[inline(always)]
    pub(crate) fn get<'py>(&mut self, py: Python<'py>, text: &[u8]) -> Option<Bound<'py, PyAny>> {
        if text.len() > LONGEST { new_text(py, text) } else { find(&mut self.0, py, text) }
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        // At a thread's end there is nowhere to put them.
        let _ = KEYS.try_with(|keys| keys.replace(std::mem::take(&mut self.0)));
    }
}

#[inline(always)]
fn find<'py>(keys: &mut Vec<Key>, py: Python<'py>, text: &[u8]) -> Option<Bound<'py, PyAny>> {
    let words = words(text);
    let mixed = words.iter().fold(text.len() as u64, |hash, &word| {
        (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
    });
    if keys.is_empty() {
        keys.resize_with(PLACES, || Key { words: [0; LONGEST / 8], len: 0, object: None });
    }
    let key = &mut keys[mixed as usize % PLACES];
    if key.words == words
        && key.len == text.len()
        && let Some(object) = &key.object
    {
        return Some(object.bind(py).clone());
    }
    let new = new_text(py, text)?;
    // Computes the hash, which the object keeps.
    new.hash().ok()?;
    // The former goes: a str runs no code of others when it does.
    *key = Key { words, len: text.len(), object: Some(new.clone().unbind()) };
    Some(new)
}

/// The bytes, padded with zeros.
#[inline(always)]
fn words(text: &[u8]) -> [u64; LONGEST / 8] {
    let mut words = [0; LONGEST / 8];
    let (whole, rest) = text.as_chunks::<8>();
    for (word, chunk) in words.iter_mut().zip(whole) {
        *word = u64::from_le_bytes(*chunk);
    }
    if !rest.is_empty() {
        let last = match text.last_chunk::<8>() {
            // The bytes before these stand in the word before.
            Some(last) => u64::from_le_bytes(*last) >> (8 * (8 - rest.len())),
            None => rest.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte)),
        };
        words[whole.len()] = last;
    }
    words
}
