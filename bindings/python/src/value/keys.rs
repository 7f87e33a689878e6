//! Keys of maps, which come again and again: each thread keeps the last ones as str objects, whose
//! hashes are known.

use super::text::new_text;
use pyo3::ffi;
use pyo3::prelude::*;
use std::cell::Cell;
use std::ffi::c_int;

/// Longer keys are made anew.
const LONGEST: usize = 32;
/// A power of two.
const PLACES: usize = 2048;

type Words = [u64; LONGEST / 8];

/// How many others a key outlasts that are asked for in its place, and not it: keys that come once are many, and would
/// drive out those that come again.
const PATIENCE: u32 = 8;

/// A key that was seen: all its bytes, padded with zeros, its length and its str.
struct Key {
    words: Words,
    len: u32,
    patience: u32,
    object: Option<Py<PyAny>>,
}

/// None until one is asked for, and while they are taken.
type Keys = Option<Box<[Key; PLACES]>>;

thread_local! {
    static KEYS: Cell<Keys> = const { Cell::new(None) };
}

/// The thread's keys, taken with the first one that is asked for. Whoever asks meanwhile begins anew.
pub(crate) struct Borrowed(Keys);

impl Borrowed {
    pub(crate) fn new() -> Self {
        Self(None)
    }

    /// The str of a part of an input; `None` with an exception set if it is not UTF-8, or there is no memory.
    #[inline(always)]
    pub(crate) fn get<'py>(
        &mut self,
        py: Python<'py>,
        input: &[u8],
        start: usize,
        end: usize,
    ) -> Option<Bound<'py, PyAny>> {
        let len = end - start;
        match input.get(start..).and_then(|rest| rest.first_chunk::<LONGEST>()) {
            // Without a branch for each length.
            Some(whole) if len <= LONGEST => find(&mut self.0, py, len, cut(whole, len)),
            _ => self.get_other(py, &input[start..end]),
        }
    }

    /// A long one, or one that stands near the end.
    #[cold]
    #[inline(never)]
    fn get_other<'py>(&mut self, py: Python<'py>, text: &[u8]) -> Option<Bound<'py, PyAny>> {
        if text.len() > LONGEST {
            return new_text(py, text);
        }
        find(&mut self.0, py, text.len(), words(text))
    }
}

#[cfg(not(Py_3_13))]
unsafe extern "C" {
    /// Not among PyO3's declarations. As `PyDict_SetItem`, for a key whose hash is known.
    pub(crate) fn _PyDict_SetItem_KnownHash(
        dict: *mut ffi::PyObject,
        key: *mut ffi::PyObject,
        value: *mut ffi::PyObject,
        hash: ffi::Py_hash_t,
    ) -> c_int;
}

/// `PyDict_SetItem` of a key that is an exact str, whose hash is mostly known.
///
/// # Safety
/// A dict, a str and an object, which are alive; attached.
#[inline(always)]
pub(crate) unsafe fn set_item(
    dict: *mut ffi::PyObject,
    key: *mut ffi::PyObject,
    value: *mut ffi::PyObject,
) -> c_int {
    #[cfg(not(Py_3_13))]
    // SAFETY: by the caller's word; a str keeps its hash, or -1.
    unsafe {
        let hash = (*key.cast::<ffi::PyASCIIObject>()).hash;
        if hash != -1 {
            return _PyDict_SetItem_KnownHash(dict, key, value, hash);
        }
    }
    // SAFETY: by the caller's word.
    unsafe { ffi::PyDict_SetItem(dict, key, value) }
}

/// The first `len` bytes, padded with zeros.
#[inline(always)]
fn cut(whole: &[u8; LONGEST], len: usize) -> Words {
    static KEEP: [Words; LONGEST + 1] = {
        let mut keep = [[0; LONGEST / 8]; LONGEST + 1];
        let mut len = 1;
        while len <= LONGEST {
            keep[len] = keep[len - 1];
            keep[len][(len - 1) / 8] |= 0xff << (8 * ((len - 1) % 8));
            len += 1;
        }
        keep
    };
    let (chunks, _) = whole.as_chunks::<8>();
    std::array::from_fn(|index| u64::from_le_bytes(chunks[index]) & KEEP[len][index])
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        let Some(keys) = self.0.take() else { return };
        // At a thread's end there is nowhere to put them.
        let _ = KEYS.try_with(|kept| kept.set(Some(keys)));
    }
}

/// The str of a text of at most [`LONGEST`] bytes, which are `words`. It is made of those: the bytes themselves
/// may be others by now, and the key is kept for frames of others.
#[inline(always)]
fn find<'py>(
    keys: &mut Keys,
    py: Python<'py>,
    len: usize,
    words: Words,
) -> Option<Bound<'py, PyAny>> {
    // Odd numbers without a pattern, so that each byte has a say in the upper bits.
    const ODD: [u64; 2] = [0x9e37_79b9_7f4a_7c15, 0xbf58_476d_1ce4_e5b9];
    let [first, second, third, fourth] = words;
    let mixed = (first ^ third.rotate_left(27))
        .wrapping_mul(ODD[0])
        .wrapping_add((second ^ fourth.rotate_left(27)).wrapping_mul(ODD[1]))
        .wrapping_add((len as u64) << (64 - PLACES.ilog2()));
    let place = (mixed >> (64 - PLACES.ilog2())) as usize;
    let keys = match keys {
        Some(keys) => keys,
        None => keys.insert(taken()),
    };
    let key = &mut keys[place % PLACES];
    // In registers, without a call.
    let differ = key
        .words
        .iter()
        .zip(words)
        .fold(key.len ^ len as u32, |differ, (a, b)| differ | u32::from(a ^ b != 0));
    if differ == 0
        && let Some(object) = &key.object
    {
        key.patience = PATIENCE;
        return Some(object.bind(py).clone());
    }
    learn(key, py, len, words)
}

/// Makes the str, which may take the place of another one.
#[inline(never)]
fn learn<'py>(
    key: &mut Key,
    py: Python<'py>,
    len: usize,
    words: Words,
) -> Option<Bound<'py, PyAny>> {
    let bytes = words.map(u64::to_le_bytes);
    let new = new_text(py, &bytes.as_flattened()[..len])?;
    if key.object.is_some() && key.patience > 0 {
        key.patience -= 1;
        return Some(new);
    }
    // Computes the hash, which the object keeps.
    new.hash().ok()?;
    let object = Some(new.clone().unbind());
    let former = std::mem::replace(key, Key { words, len: len as u32, patience: PATIENCE, object });
    // A str runs no code of others when it goes.
    drop(former.object.map(|object| object.into_bound(py)));
    Some(new)
}

#[cold]
#[inline(never)]
fn taken() -> Box<[Key; PLACES]> {
    if let Ok(Some(keys)) = KEYS.try_with(Cell::take) {
        return keys;
    }
    let none = || Key { words: [0; LONGEST / 8], len: 0, patience: 0, object: None };
    let keys: Vec<Key> = std::iter::repeat_with(none).take(PLACES).collect();
    match keys.try_into() {
        Ok(keys) => keys,
        Err(_) => unreachable!("as many as there are places"),
    }
}

/// The bytes, padded with zeros.
#[inline(always)]
fn words(text: &[u8]) -> Words {
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
