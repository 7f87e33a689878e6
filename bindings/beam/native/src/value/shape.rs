//! Maps that have the keys of the map before, in the order of that one.
//!
//! The NIF interface compares the keys of each map that it makes, which is most of making one, and nothing in it makes a map
//! with the keys of another. So what stands here knows how the BEAM lays out small maps:
//!
//! ```text
//! header, number of pairs, tuple of keys, value, value, ...      in the order of the keys
//! ```
//!
//! A map with known keys begins as a tuple of as many words, made by the interface with the other map's tuple of keys in it. Its
//! first two words then become those of the other map. What comes of it is word for word what the interface makes,
//! but that both share the tuple of keys, as maps do where the BEAM changes a value.
//!
//! The layout is the BEAM's own affair, and another one was proposed (erlang/otp#10657). So:
//!
//! 1. It is used on [`RELEASES`], and after a map was made so, and looked at, when the library was loaded. Later
//!    releases get maps by the interface until somebody has read their source.
//! 2. Each map that others take their words from is looked at, word by word. One that is not as it should be ends it for good.
//!
//! Elsewhere keys are at least handed over in the order of terms, in which each is compared once.

use super::terms::{self, Word};
use rustler::Env;
use rustler::sys;
use std::ffi::CStr;
use std::mem::{MaybeUninit, size_of};
use std::sync::atomic::{AtomicBool, Ordering};

/// Releases of OTP that have this layout (`erl_map.h`, `erl_map.c`, `erl_term.h`, `erl_nif.c`, `erl_gc.h`).
const RELEASES: std::ops::RangeInclusive<u32> = 25..=28;
/// Pairs of a small map at most. In emulators that are built for debugging they are fewer.
const SMALL: usize = 32;
/// Words of a small map before its values.
const AHEAD: usize = 3;
/// What is added to a place to make it a term.
const BOXED: usize = 2;

static KNOWN: AtomicBool = AtomicBool::new(false);

/// The keys that maps had, and how the next one with the same ones is made. Of one call: words are of its environment.
#[derive(Default)]
pub(crate) struct Shape<'a> {
    /// Of the keys of the last map, to tell them from others.
    mark: usize,
    /// How many maps in a row had it.
    times: usize,
    /// Valid beyond [`OFTEN`] times.
    known: Option<Box<Known<'a>>>,
}

/// To look at a map costs about as much as making a few of them.
const OFTEN: usize = 2;

/// Keys, and how a map of them is made.
pub(crate) struct Known<'a> {
    count: usize,
    /// As they came.
    keys: [Word<'a>; SMALL],
    /// Where the keys came, in the order in which the map has them.
    places: [u8; SMALL],
    /// The tuple of keys twice, the first one in the place of a number, and room for the values.
    row: [Word<'a>; 2 + SMALL],
    header: Option<usize>,
    /// In the order of terms, where there is no header.
    sorted: [Word<'a>; SMALL],
}

/// The shapes of the last maps at each depth within others. The outermost one is alone.
#[derive(Default)]
pub(crate) struct Shapes<'a> {
    /// Of the last map at each depth; most are followed by none.
    marks: [usize; DEPTHS],
    shapes: Vec<Shape<'a>>,
}

const DEPTHS: usize = 8;

impl<'a> Shapes<'a> {
    /// As [`terms::make_map`].
    #[inline]
    pub(crate) fn map(
        &mut self,
        depth: usize,
        env: Env<'a>,
        keys: &[Word<'a>],
        values: &[Word<'a>],
    ) -> Option<Word<'a>> {
        match depth {
            1..=DEPTHS => self.within(depth - 1, env, keys, values),
            _ => terms::make_map(env, keys, values),
        }
    }

    #[inline(never)]
    fn within(
        &mut self,
        depth: usize,
        env: Env<'a>,
        keys: &[Word<'a>],
        values: &[Word<'a>],
    ) -> Option<Word<'a>> {
        let mark = mark(keys);
        if self.marks[depth] != mark {
            self.marks[depth] = mark;
            return terms::make_map(env, keys, values);
        }
        if self.shapes.len() <= depth {
            self.shapes.resize_with(depth + 1, Shape::default);
        }
        self.shapes[depth].map(env, keys, values)
    }
}

/// Mostly another one for other keys.
#[inline]
fn mark(keys: &[Word<'_>]) -> usize {
    let ([first, .., last] | [first @ last]) = keys else { return 0 };
    first.bits() ^ last.bits().rotate_left(32) ^ keys.len()
}

impl<'a> Shape<'a> {
    /// As [`terms::make_map`].
    #[inline]
    pub(crate) fn map(
        &mut self,
        env: Env<'a>,
        keys: &[Word<'a>],
        values: &[Word<'a>],
    ) -> Option<Word<'a>> {
        let mark = mark(keys);
        if mark != self.mark || !(1..=SMALL).contains(&keys.len()) || values.len() != keys.len() {
            (self.mark, self.times) = (mark, 0);
        }
        self.times += 1;
        match &mut self.known {
            _ if self.times < OFTEN => {}
            // Equal words are one term, since nothing is collected during a call.
            Some(known) if self.times > OFTEN && known.keys[..known.count] == *keys => {
                return known.map(env, values);
            }
            _ if self.times == OFTEN => {
                let map = terms::make_map(env, keys, values)?;
                self.known = Some(Known::of(env, map, keys, values));
                return Some(map);
            }
            _ => self.times = 0,
        }
        terms::make_map(env, keys, values)
    }
}

impl<'a> Known<'a> {
    /// Looks at a map of one pair or more that was made of these keys and values, by this call or for it.
    #[inline(never)]
    pub(crate) fn of(
        env: Env<'a>,
        map: Word<'a>,
        keys: &[Word<'a>],
        values: &[Word<'a>],
    ) -> Box<Self> {
        let count = keys.len();
        let mut known = Box::new(Known {
            count,
            keys: [map; SMALL],
            places: [0; SMALL],
            row: [map; 2 + SMALL],
            header: None,
            sorted: [map; SMALL],
        });
        known.keys[..count].copy_from_slice(keys);
        if KNOWN.load(Ordering::Relaxed) {
            known.header = known.look(env, map, values);
            if known.header.is_some() {
                return known;
            }
            KNOWN.store(false, Ordering::Relaxed);
        }
        for (at, place) in known.places.iter_mut().enumerate() {
            *place = at as u8;
        }
        known.places[..count]
            .sort_by(|&a, &b| terms::compare(keys[usize::from(a)], keys[usize::from(b)]));
        for (sorted, &place) in known.sorted[..count].iter_mut().zip(&known.places) {
            *sorted = keys[usize::from(place)];
        }
        known
    }

    /// Takes the tuple of keys and the places from the map, and answers its header, if it is laid out as is said above.
    fn look(&mut self, env: Env<'a>, map: Word<'a>, values: &[Word<'a>]) -> Option<usize> {
        let start = place(map).filter(|_| terms::map_size(env, map) == self.count)?;
        // SAFETY: a map of one pair or more is on the heap of this environment, where it stays until the call ends. In
        // the releases that `KNOWN` stands for it begins where its term says and has three words at least: header, number
        // and keys, or those of a large map, which are header, number and the first of its nodes.
        let [header, count] = unsafe { start.cast::<[usize; 2]>().read() };
        if count != self.count {
            return None;
        }
        // SAFETY: as above. In either case the third word is a term.
        let tuple = unsafe { start.add(2).cast::<Word<'a>>().read() };
        let keys = terms::tuple(env, tuple).filter(|keys| keys.len() == count)?;
        for (place, key) in self.places.iter_mut().zip(keys) {
            *place = self.keys[..count].iter().position(|known| known == key)? as u8;
        }
        // SAFETY: as above. Nodes of a large map hold pairs and other nodes, and none holds keys: it is a small one,
        // with as many values as it has pairs.
        let found = unsafe { std::slice::from_raw_parts(start.add(AHEAD).cast(), count) };
        let mut pairs = self.places.iter().zip(found);
        self.row[..2].fill(tuple);
        pairs.all(|(&place, found)| values[usize::from(place)] == *found).then_some(header)
    }

    /// The map of its keys, as they came, and these values.
    #[inline]
    pub(crate) fn map(&mut self, env: Env<'a>, values: &[Word<'a>]) -> Option<Word<'a>> {
        let row = &mut self.row[..2 + self.count];
        for (value, &place) in row[2..].iter_mut().zip(&self.places) {
            *value = values[usize::from(place)];
        }
        match self.header {
            Some(header) => Some(alike(env, header, row)),
            None => terms::make_map(env, &self.sorted[..self.count], &row[2..]),
        }
    }
}

/// Where the words of a term on the heap begin; `None` for other terms and for literals.
#[inline]
fn place(term: Word<'_>) -> Option<*mut usize> {
    let bits = term.bits();
    let start = || std::ptr::with_exposed_provenance_mut(bits - BOXED);
    (bits % size_of::<usize>() == BOXED).then(start)
}

/// The map of a row, with what [`Known::look`] has found in another one with these keys.
#[inline]
fn alike<'a>(env: Env<'a>, header: usize, row: &[Word<'a>]) -> Word<'a> {
    let term = terms::make_tuple(env, row);
    debug_assert!(place(term).is_some());
    let start = std::ptr::with_exposed_provenance_mut::<[usize; 2]>(term.bits() - BOXED);
    // SAFETY: the tuple was made this moment, on the heap of this environment: a header and `row.len()` terms, which are as many
    // words as the map has that it becomes. Its term says where it begins as a map's does, which `check` has seen.
    // Nobody else knows of it: the collector works between calls, other threads do not look at heaps, and what walks over
    // a heap from its start, as when it is moved, does so later. It then finds what the BEAM might have made:
    // header and number are those of a map with as many pairs. The third word is that map's tuple of keys, each of them once
    // and in its order; nobody writes to it, it is older, as collecting wants it, and on the same heap, since one
    // environment has the lifetime. The values are terms of that, in the order of the keys.
    unsafe { start.write([header, row.len() - 2]) };
    term
}

/// Looks once whether maps are as is said above.
pub(crate) fn check(env: Env<'_>) {
    let known = release().is_some_and(|release| RELEASES.contains(&release));
    KNOWN.store(known, Ordering::Relaxed);
    KNOWN.store(known && holds(env) == Some(true), Ordering::Relaxed);
}

fn release() -> Option<u32> {
    let mut info = MaybeUninit::<sys::ErlNifSysInfo>::uninit();
    // SAFETY: the place has the size that is said, and is filled; the text stays, and ends with a zero.
    let release = unsafe {
        sys::enif_system_info(info.as_mut_ptr(), size_of::<sys::ErlNifSysInfo>());
        CStr::from_ptr(info.assume_init().otp_release)
    };
    release.to_str().ok()?.parse().ok()
}

/// Whether a map that is made so is the one that the BEAM makes. Maps of three are small ones in all emulators.
fn holds(env: Env<'_>) -> Option<bool> {
    let keys = ["c", "a", "b"].map(|key| terms::make_binary(env, key.as_bytes()));
    let values = |from| [from, from + 1, from + 2].map(|number| terms::make_int(env, number));
    let first = terms::make_map(env, &keys, &values(0))?;
    let mut known = Known::of(env, first, &keys, &values(0));
    known.header?;
    // Tuples begin where their terms say: one that a map has, and one that the interface makes.
    for tuple in [known.row[0], terms::make_tuple(env, &known.row)] {
        let elements = terms::tuple(env, tuple)?.as_ptr().cast();
        if place(tuple)?.wrapping_add(1).cast_const() != elements {
            return None;
        }
    }
    let (ours, theirs) = (known.map(env, &values(3))?, terms::make_map(env, &keys, &values(3))?);
    Some(terms::map_size(env, ours) == keys.len() && terms::identical(ours, theirs))
}
