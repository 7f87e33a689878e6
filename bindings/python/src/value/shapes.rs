//! Maps whose keys come again and again in the same order: each thread keeps a dict with the keys of each of the last ones. A copy
//! of it is made faster than a dict to which each key is added, and each key that is expected is told by its bytes.
//!
//! 1. A dict that is kept holds plain strs, each as the input had it, and None; its copies have their places in the
//!    order of the keys.
//! 2. What is kept is bounded, whatever comes: so many maps of so many keys of so many bytes.

use super::pairs;
use super::types::Exact;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use slipring_codec::{Encoder, Padded};
use std::cell::Cell;
use std::ops::RangeInclusive;
use std::rc::Rc;

/// How many keys a map has that is looked at.
const KEYS: RangeInclusive<usize> = 2..=64;
/// Places that a map may have, and how many pairs of them there are: a power of two.
const WAYS: usize = 2;
const SETS: usize = 64;
/// What a map that came is trusted with when it is learnt, and at most. Each that comes as expected adds one, each that
/// does not takes some off; others that are asked for in its place take one off.
const LEARNT: u32 = 4;
const MOST: u32 = 16;
const LOSS: u32 = 3;

/// A map that may come.
pub(super) struct Shape {
    pub(super) keys: Box<[Padded]>,
    template: Py<PyDict>,
}

/// What is known of the maps of a place.
enum Known {
    /// One has come: the next one is learnt.
    Seen,
    /// It can't be kept.
    Other,
    Shape(Rc<Shape>),
}

/// A map, by the first bytes of its first key and its length.
struct Place {
    first: u64,
    len: usize,
    trust: u32,
    known: Known,
}

type Sets = Box<[[Place; WAYS]; SETS]>;

thread_local! {
    static SHAPES: Cell<Option<Sets>> = const { Cell::new(None) };
}

/// The thread's maps, taken with the first one that is asked for. Whoever asks meanwhile begins anew.
pub(super) struct Borrowed(Option<Sets>);

/// Where a map stands that may be learnt, and what tells it.
#[derive(Clone, Copy)]
pub(super) struct At {
    set: usize,
    first: u64,
    len: usize,
}

/// A copy of a dict that is kept: nobody else has seen it.
pub(super) struct Begun<'py> {
    pub(super) dict: Bound<'py, PyAny>,
    places: *mut pairs::Entry,
    /// Whether a value is one that the garbage collector looks into.
    encloses: bool,
}

impl Borrowed {
    pub(super) fn new() -> Self {
        Self(None)
    }

    /// What is expected of a map of so many pairs that goes on with `input`: its place, if it is one that is looked at, and
    /// the map if it is known.
    #[inline(always)]
    pub(super) fn find(&mut self, input: &[u8], len: usize) -> Option<(At, Option<Rc<Shape>>)> {
        if !pairs::HAVE_PLACES || !KEYS.contains(&len) {
            return None;
        }
        let first = first(input.first_chunk()?)?;
        let mixed = (first ^ (len as u64) << 56).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let at = At { set: (mixed >> (64 - SETS.ilog2())) as usize, first, len };
        let sets = match &mut self.0 {
            Some(sets) => sets,
            none => none.insert(taken()),
        };
        let shape = sets[at.set % SETS].iter().find_map(|place| match &place.known {
            Known::Shape(shape) if place.is_of(at) => Some(shape.clone()),
            _ => None,
        });
        Some((at, shape))
    }

    /// Its place, which another one may have taken meanwhile.
    #[inline(always)]
    fn place(&mut self, at: At) -> Option<&mut Place> {
        self.0.as_mut()?[at.set % SETS].iter_mut().find(|place| place.is_of(at))
    }

    /// It came as expected, or did not.
    #[inline(always)]
    pub(super) fn note(&mut self, at: At, came: bool) {
        let Some(place) = self.place(at) else { return };
        match came {
            true => place.trust = (place.trust + 1).min(MOST),
            false => place.trust = place.trust.saturating_sub(LOSS),
        }
        if place.trust == 0 {
            place.known = Known::Seen;
        }
    }

    /// A dict that has come where none was expected.
    #[inline(never)]
    pub(super) fn learn(&mut self, at: At, dict: &Bound<'_, PyAny>) -> PyResult<()> {
        match self.place(at) {
            Some(Place { known: Known::Seen, .. }) => {
                let shape = Shape::of(dict, at.first)?;
                // The call has run no code of others.
                let Some(place) = self.place(at) else { return Ok(()) };
                place.known = shape.map_or(Known::Other, |shape| Known::Shape(Rc::new(shape)));
                place.trust = LEARNT;
            }
            Some(_) => {}
            None => {
                let Some(sets) = &mut self.0 else { return Ok(()) };
                let set = &mut sets[at.set % SETS];
                let Some(place) = set.iter_mut().min_by_key(|place| place.trust) else {
                    return Ok(());
                };
                place.trust = place.trust.saturating_sub(1);
                if place.trust == 0 {
                    let (At { first, len, .. }, trust) = (at, 1);
                    *place = Place { first, len, trust, known: Known::Seen };
                }
            }
        }
        Ok(())
    }
}

/// What the first key is told by: its head and as much of its text as there is place for.
#[inline(always)]
fn first(bytes: &[u8; 8]) -> Option<u64> {
    let head = u64::from_le_bytes(*bytes);
    match bytes[0] {
        short @ 0x60..0x67 => Some(head & ((1 << (8 * (short - 0x60 + 1))) - 1)),
        0x67..0x79 => Some(head),
        _ => None,
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        let Some(sets) = self.0.take() else { return };
        // At a thread's end there is nowhere to put them.
        let _ = SHAPES.try_with(|kept| kept.set(Some(sets)));
    }
}

#[cold]
#[inline(never)]
fn taken() -> Sets {
    SHAPES.try_with(Cell::take).ok().flatten().unwrap_or_else(|| {
        const NONE: Place = Place { first: 0, len: 0, trust: 0, known: Known::Seen };
        Box::new([const { [NONE; WAYS] }; SETS])
    })
}

impl Place {
    #[inline(always)]
    fn is_of(&self, at: At) -> bool {
        (self.first, self.len) == (at.first, at.len)
    }
}

impl Shape {
    /// Of a dict's keys, `None` if one is no short str, or if the first one is told otherwise: its length stands
    /// in more bytes than it takes.
    fn of(dict: &Bound<'_, PyAny>, told: u64) -> PyResult<Option<Self>> {
        let py = dict.py();
        let dict = dict.cast::<PyDict>()?;
        // One that gets its size at once has places for keys of any kind.
        let template = PyDict::new(py);
        let mut keys = Vec::with_capacity(dict.len());
        for key in dict.keys() {
            if Exact::of(key.as_borrowed()) != Exact::Str {
                return Ok(None);
            }
            let mut written = Encoder::new();
            written.text(key.cast::<PyString>()?.to_str()?);
            let Some(padded) = Padded::new(written.sink_mut()) else { return Ok(None) };
            if keys.is_empty() {
                written.sink_mut().resize(8, 0);
                if written.sink_mut().first_chunk().and_then(first) != Some(told) {
                    return Ok(None);
                }
            }
            keys.push(padded);
            template.set_item(key, py.None())?;
        }
        // What a dict becomes by being copied, its copies become as well.
        let template = template.copy()?;
        // SAFETY: a dict that is alive.
        let is_plain = unsafe { pairs::places(template.as_ptr()) }.is_some();
        Ok(is_plain.then(|| Self { keys: keys.into(), template: template.unbind() }))
    }

    /// A dict of these keys, without values yet.
    #[inline(always)]
    pub(super) fn begin<'py>(&self, py: Python<'py>) -> PyResult<Option<Begun<'py>>> {
        // SAFETY: a dict; a new one, or null with an exception set.
        let dict =
            unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyDict_Copy(self.template.as_ptr()))? };
        // SAFETY: a dict that is alive.
        let places = unsafe { pairs::places(dict.as_ptr()) };
        Ok(places.map(|places| Begun { dict, places, encloses: false }))
    }
}

impl<'py> Begun<'py> {
    /// The key of a place, and the value if it was put.
    ///
    /// # Safety
    /// There are more keys than `at`.
    pub(super) unsafe fn pair(&self, at: usize) -> (Bound<'py, PyAny>, Bound<'py, PyAny>) {
        let py = self.dict.py();
        // SAFETY: by the caller's word; the dict holds both.
        unsafe {
            let pairs::Entry { key, value } = *self.places.add(at);
            (Bound::from_borrowed_ptr(py, key), Bound::from_borrowed_ptr(py, value))
        }
    }

    /// Puts a value into its place, in which there is none yet.
    ///
    /// # Safety
    /// There are more keys than `at`.
    #[inline(always)]
    pub(super) unsafe fn put(&mut self, at: usize, value: Bound<'py, PyAny>) {
        // SAFETY: by the caller's word; the place takes the reference, for that of None.
        unsafe {
            let kind = ffi::Py_TYPE(value.as_ptr());
            self.encloses |= (*kind).tp_flags & ffi::Py_TPFLAGS_HAVE_GC != 0;
            let none = std::mem::replace(&mut (*self.places.add(at)).value, value.into_ptr());
            ffi::Py_DECREF(none);
        }
    }

    /// The dict, all of whose values were put.
    #[inline(always)]
    pub(super) fn finish(self) -> Bound<'py, PyAny> {
        if self.encloses {
            // SAFETY: a dict that is whole. As it was copied from one that encloses nothing, it is hidden so far.
            unsafe {
                if ffi::PyObject_GC_IsTracked(self.dict.as_ptr()) == 0 {
                    ffi::PyObject_GC_Track(self.dict.as_ptr().cast());
                }
            }
        }
        self.dict
    }
}
