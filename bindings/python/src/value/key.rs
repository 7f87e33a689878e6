//! Keys of a dict that Python tells apart and a map does not: texts of a type with an equality of its own, NaNs. And keys that it
//! hardly tells apart: those of one hash.
//!
//! 1. A map that holds a key twice is refused by every reader, so none is written.
//! 2. To find a key takes as many comparisons as there are keys of its hash, and who sends numbers can choose them so that all have
//!    one. A reader refuses that.

use super::encode::{Writer, small_int};
use super::fault::{Fault, Outcome, type_name};
use super::types::Exact;
use pyo3::ffi;
use pyo3::prelude::*;
use slipring_codec::error::Segment;
use std::collections::HashMap;

/// Whether no other plain key of the same dict can be written as this one is.
pub(super) fn is_plain(key: Borrowed<'_, '_, PyAny>) -> bool {
    is_plain_within(key, LEVELS)
}

/// Tuples inside each other that are looked into; the depth of others is checked when they are written.
const LEVELS: usize = 8;

fn is_plain_within(key: Borrowed<'_, '_, PyAny>, levels: usize) -> bool {
    match Exact::of(key) {
        Exact::Str | Exact::Int | Exact::Bool | Exact::None | Exact::Bytes => true,
        // SAFETY: an exact float.
        Exact::Float => !unsafe { ffi::PyFloat_AS_DOUBLE(key.as_ptr()) }.is_nan(),
        Exact::Tuple if levels > 0 => {
            // SAFETY: a tuple.
            let len = unsafe { ffi::PyTuple_GET_SIZE(key.as_ptr()) };
            (0..len).all(|index| {
                // SAFETY: the tuple has so many items, and holds them.
                let item = unsafe {
                    Borrowed::from_ptr(key.py(), ffi::PyTuple_GET_ITEM(key.as_ptr(), index))
                };
                is_plain_within(item, levels - 1)
            })
        }
        _ => false,
    }
}

/// Keys that may have one hash, and keys that are not looked at before any is.
const ALIKE: usize = 64;

/// The hashes of the keys of one dict, or of the members of a set: of those that a sender can choose, and of no others.
#[derive(Default)]
pub(crate) struct Hashes {
    looked_at: usize,
    /// None until there are many: to make it takes as long as a small dict's pair.
    found: Option<HashMap<ffi::Py_hash_t, usize>>,
}

impl Hashes {
    /// Takes in another key, before it is one.
    #[inline(always)]
    pub(crate) fn note(&mut self, key: Borrowed<'_, '_, PyAny>) -> Outcome {
        match Exact::of(key) {
            // Texts and bytes are hashed with a secret; of 64 bits there are but few numbers to a hash.
            Exact::Str | Exact::Bytes | Exact::Float | Exact::Bool | Exact::None => Ok(()),
            Exact::Int if is_short(key) => Ok(()),
            _ => self.look(key),
        }
    }

    #[cold]
    fn look(&mut self, key: Borrowed<'_, '_, PyAny>) -> Outcome {
        self.looked_at += 1;
        if self.looked_at <= ALIKE {
            return Ok(());
        }
        // What has no hash is told by who uses it.
        let Ok(hash) = key.hash() else { return Ok(()) };
        let alike = self.found.get_or_insert_default().entry(hash as _).or_default();
        *alike += 1;
        if *alike <= ALIKE {
            return Ok(());
        }
        let what = format!("more than {ALIKE} keys have one hash, which nobody's have by chance");
        Err(Fault::refused(
            what,
            "key".into(),
            "the bytes are made to take time: ask who sent them",
        ))
    }
}

/// Whether an int has 64 bits at most.
fn is_short(int: Borrowed<'_, '_, PyAny>) -> bool {
    if small_int(int).is_some() {
        return true;
    }
    let mut overflow = 0;
    // SAFETY: an exact int, for which the call does not fail.
    unsafe { ffi::PyLong_AsLongLongAndOverflow(int.as_ptr(), &mut overflow) };
    overflow == 0
}

/// Refuses a dict in which a key is written like another one; `odd` are the keys that are not plain, each with its place
/// and as it was written.
#[cold]
pub(super) fn check_distinct(dict: &Bound<'_, PyAny>, odd: &[(usize, Vec<u8>)]) -> Outcome {
    let py = dict.py();
    let mut written = HashMap::with_capacity(odd.len());
    for (entry, bytes) in odd {
        if written.insert(&bytes[..], *entry).is_some() {
            return Err(twice(dict, *entry));
        }
    }
    let (mut at, mut entry) = (0, 0);
    let mut key = std::ptr::null_mut();
    let mut plain = Writer::new(py, Vec::new(), false);
    // SAFETY: a dict, which the caller holds; what the call gives is alive until code of others runs, and none
    // does for a plain key.
    while unsafe { ffi::PyDict_Next(dict.as_ptr(), &mut at, &mut key, std::ptr::null_mut()) } != 0 {
        // SAFETY: as above.
        let key = unsafe { Borrowed::from_ptr(py, key) };
        if is_plain(key) {
            plain.encoder.sink_mut().clear();
            plain.write(key, 0)?;
            if let Some(&other) = written.get(&plain.encoder.sink_mut()[..]) {
                return Err(twice(dict, other.max(entry)));
            }
        }
        entry += 1;
    }
    Ok(())
}

#[cold]
fn twice(dict: &Bound<'_, PyAny>, entry: usize) -> Box<Fault> {
    let what = "two keys are written alike: a map holds this key twice".to_owned();
    let fault = Fault::refused(what, type_name(dict), "give each key once");
    fault.within(Segment::KeyOf(entry))
}
