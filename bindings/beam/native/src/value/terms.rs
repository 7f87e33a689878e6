//! The calls of the NIF API that a walk over terms makes for each of them, as they are.
//!
//! rustler's own forms allocate, or look twice. Here a [`Word`] is a term of the environment whose
//! lifetime it carries, and nothing else makes one: that is what each call below relies on.

use rustler::sys::{self, ErlNifTerm, ErlNifTermType};
use rustler::{Atom, Env, Term};
use slipring_codec::token::Sink;
use std::cell::Cell;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut, Range};

/// A term of the environment `'a`, in one machine word. As in rustler's `Env`, the lifetime is invariant.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Word<'a>(ErlNifTerm, PhantomData<fn(&'a ()) -> &'a ()>);

/// Two words that are equal are one term. Two that are not may still be equal terms.
impl PartialEq for Word<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<'a> From<Term<'a>> for Word<'a> {
    fn from(term: Term<'a>) -> Self {
        Word(term.as_c_arg(), PhantomData)
    }
}

/// Atoms belong to every environment.
impl From<Atom> for Word<'_> {
    fn from(atom: Atom) -> Self {
        Word(atom.as_c_arg(), PhantomData)
    }
}

impl<'a> Word<'a> {
    pub(crate) fn term(self, env: Env<'a>) -> Term<'a> {
        // SAFETY: a word is a term of the environment of its lifetime.
        unsafe { Term::new(env, self.0) }
    }

    /// The word itself, by which one term can be told from others during one call.
    pub(crate) fn bits(self) -> usize {
        // SAFETY: the type is a transparent word.
        unsafe { std::mem::transmute::<ErlNifTerm, usize>(self.0) }
    }
}

/// What a term is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Atom,
    Bits,
    Float,
    Function,
    Integer,
    List,
    Map,
    Pid,
    Port,
    Reference,
    Tuple,
    Other,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Atom => "atom",
            Kind::Bits => "bitstring",
            Kind::Float => "float",
            Kind::Function => "function",
            Kind::Integer => "integer",
            Kind::List => "list",
            Kind::Map => "map",
            Kind::Pid => "pid",
            Kind::Port => "port",
            Kind::Reference => "reference",
            Kind::Tuple => "tuple",
            Kind::Other => "term",
        }
    }
}

#[inline]
pub(crate) fn kind(env: Env<'_>, word: Word<'_>) -> Kind {
    // SAFETY: a term of a live environment, as in all calls below. What the API may answer beside the
    // numbers listed is read as an integer, so that it need not be a value of the enum.
    let kind = unsafe {
        let ask: unsafe extern "C" fn(*mut sys::ErlNifEnv, ErlNifTerm) -> ErlNifTermType =
            sys::enif_term_type;
        let ask: unsafe extern "C" fn(*mut sys::ErlNifEnv, ErlNifTerm) -> i32 =
            std::mem::transmute(ask);
        ask(env.as_c_arg(), word.0)
    };
    match kind {
        1 => Kind::Atom,
        2 => Kind::Bits,
        3 => Kind::Float,
        4 => Kind::Function,
        5 => Kind::Integer,
        6 => Kind::List,
        7 => Kind::Map,
        8 => Kind::Pid,
        9 => Kind::Port,
        10 => Kind::Reference,
        11 => Kind::Tuple,
        _ => Kind::Other,
    }
}

/// Makes a function of a call that answers 0, or not 0 and a value.
macro_rules! getter {
    ($(#[$doc:meta])* $name:ident $type:ty = $call:ident) => {
        $(#[$doc])*
        #[inline]
        pub(crate) fn $name(env: Env<'_>, word: Word<'_>) -> Option<$type> {
            let mut value = Default::default();
            // SAFETY: as in `kind`; the place is valid for the one value.
            let got = unsafe { sys::$call(env.as_c_arg(), word.0, &mut value) };
            (got != 0).then_some(value)
        }
    };
}

getter!(int i64 = enif_get_int64);
getter!(uint u64 = enif_get_uint64);
getter!(float f64 = enif_get_double);

/// Head and tail of a list that is not empty.
#[inline]
pub(crate) fn cell<'a>(env: Env<'a>, list: Word<'a>) -> Option<(Word<'a>, Word<'a>)> {
    let (mut head, mut tail) = (MaybeUninit::uninit(), MaybeUninit::uninit());
    // SAFETY: as in `kind`; both places are filled where the answer is not 0.
    unsafe {
        let got =
            sys::enif_get_list_cell(env.as_c_arg(), list.0, head.as_mut_ptr(), tail.as_mut_ptr());
        (got != 0)
            .then(|| (Word(head.assume_init(), PhantomData), Word(tail.assume_init(), PhantomData)))
    }
}

#[inline]
pub(crate) fn is_nil_list(env: Env<'_>, word: Word<'_>) -> bool {
    // SAFETY: as in `kind`.
    unsafe { sys::enif_is_empty_list(env.as_c_arg(), word.0) != 0 }
}

/// The items of a proper list; 0 for anything else.
#[inline]
pub(crate) fn list_len(env: Env<'_>, list: Word<'_>) -> usize {
    let mut len = 0;
    // SAFETY: as in `kind`; the place is valid for the one value.
    let got = unsafe { sys::enif_get_list_length(env.as_c_arg(), list.0, &mut len) };
    if got != 0 { len as usize } else { 0 }
}

/// The bytes of a binary, for as long as its environment lives; `None` for a bitstring of odd bits.
#[inline]
pub(crate) fn bytes<'a>(env: Env<'a>, word: Word<'a>) -> Option<&'a [u8]> {
    let mut binary = MaybeUninit::uninit();
    // SAFETY: as in `kind`; the binary is filled where the answer is not 0. Its bytes stay where they
    // are until the call into this library ends, and nobody writes to a binary.
    unsafe {
        let got = sys::enif_inspect_binary(env.as_c_arg(), word.0, binary.as_mut_ptr());
        (got != 0).then(|| {
            let binary = binary.assume_init();
            std::slice::from_raw_parts(binary.data, binary.size)
        })
    }
}

/// The elements of a tuple.
#[inline]
pub(crate) fn tuple<'a>(env: Env<'a>, word: Word<'a>) -> Option<&'a [Word<'a>]> {
    let (mut arity, mut elements) = (0, std::ptr::null());
    // SAFETY: as in `kind`. The elements are terms of the same environment, which don't move, and a
    // word has the layout of a term. A tuple of none may come without a place.
    unsafe {
        let got = sys::enif_get_tuple(env.as_c_arg(), word.0, &mut arity, &mut elements);
        (got != 0).then(|| match arity {
            0 => &[][..],
            _ => std::slice::from_raw_parts(elements.cast::<Word<'a>>(), arity as usize),
        })
    }
}

#[inline]
pub(crate) fn map_size(env: Env<'_>, map: Word<'_>) -> usize {
    let mut size = 0;
    // SAFETY: as in `kind`.
    unsafe { sys::enif_get_map_size(env.as_c_arg(), map.0, &mut size) };
    size
}

#[inline]
pub(crate) fn get<'a>(env: Env<'a>, map: Word<'a>, key: Word<'a>) -> Option<Word<'a>> {
    let mut value = MaybeUninit::uninit();
    // SAFETY: as in `kind`; the value is filled where the answer is not 0.
    unsafe {
        let got = sys::enif_get_map_value(env.as_c_arg(), map.0, key.0, value.as_mut_ptr());
        (got != 0).then(|| Word(value.assume_init(), PhantomData))
    }
}

/// The pairs of a map, in its own order.
pub(crate) struct Pairs<'a> {
    env: Env<'a>,
    /// At a pair, or behind the last one. Initialised.
    iterator: MaybeUninit<sys::ErlNifMapIterator>,
}

impl<'a> Pairs<'a> {
    /// `None` if it is no map.
    #[inline]
    pub(crate) fn new(env: Env<'a>, map: Word<'a>) -> Option<Self> {
        let mut iterator = MaybeUninit::uninit();
        let head = sys::ErlNifMapIteratorEntry::ERL_NIF_MAP_ITERATOR_HEAD;
        // SAFETY: as in `kind`; the place is filled where the answer is not 0.
        let made = unsafe {
            sys::enif_map_iterator_create(env.as_c_arg(), map.0, iterator.as_mut_ptr(), head)
        };
        // Not made where it would not be initialised: dropping it ends the iterator.
        (made != 0).then(|| Pairs { env, iterator })
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (Word<'a>, Word<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (mut key, mut value) = (MaybeUninit::uninit(), MaybeUninit::uninit());
        let iterator = self.iterator.as_mut_ptr();
        // SAFETY: the iterator is initialised and its map lives in the environment; both places are
        // filled where the answer is not 0.
        unsafe {
            let env = self.env.as_c_arg();
            let got = sys::enif_map_iterator_get_pair(
                env,
                iterator,
                key.as_mut_ptr(),
                value.as_mut_ptr(),
            );
            if got == 0 {
                return None;
            }
            sys::enif_map_iterator_next(env, iterator);
            Some((Word(key.assume_init(), PhantomData), Word(value.assume_init(), PhantomData)))
        }
    }
}

impl Drop for Pairs<'_> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: it was initialised, and is destroyed once.
        unsafe {
            sys::enif_map_iterator_destroy(self.env.as_c_arg(), self.iterator.as_mut_ptr());
        }
    }
}

/// An atom's text, if it is of Latin-1: then as its bytes in that.
#[inline]
fn latin1<'b>(env: Env<'_>, word: Word<'_>, buffer: &'b mut [u8; 256]) -> Option<&'b [u8]> {
    // SAFETY: as in `kind`; the buffer has the length given, and holds what was written and a zero.
    let written = unsafe {
        sys::enif_get_atom(
            env.as_c_arg(),
            word.0,
            buffer.as_mut_ptr().cast(),
            256,
            sys::ErlNifCharEncoding::ERL_NIF_LATIN1,
        )
    };
    (written > 0).then(|| &buffer[..written as usize - 1])
}

/// Hands an atom's text to `take`.
pub(crate) fn with_atom<R>(env: Env<'_>, word: Word<'_>, take: impl FnOnce(&str) -> R) -> R {
    let mut buffer = [0; 256];
    match latin1(env, word, &mut buffer) {
        Some(text) if text.is_ascii() => take(std::str::from_utf8(text).unwrap_or_default()),
        Some(text) => take(&text.iter().map(|&byte| char::from(byte)).collect::<String>()),
        // Before OTP 26 there is no other way to a text beyond Latin-1: version, tag, length of two bytes
        // (ATOM_UTF8_EXT, 118) or of one (SMALL_ATOM_UTF8_EXT, 119), text.
        None => external(env, word, |bytes| {
            let text = match bytes {
                [131, 118, _, _, text @ ..] | [131, 119, _, text @ ..] => text,
                _ => &[],
            };
            take(std::str::from_utf8(text).unwrap_or_default())
        }),
    }
}

/// The atom of this text, if it exists.
pub(crate) fn existing_atom<'a>(env: Env<'a>, text: &str) -> Option<Word<'a>> {
    let mut atom = MaybeUninit::uninit();
    let mut find = |latin1: &[u8]| {
        // SAFETY: as in `kind`; the text is as long as it says, and the atom filled where the answer is
        // not 0.
        unsafe {
            let found = sys::enif_make_existing_atom_len(
                env.as_c_arg(),
                latin1.as_ptr().cast(),
                latin1.len(),
                atom.as_mut_ptr(),
                sys::ErlNifCharEncoding::ERL_NIF_LATIN1,
            );
            (found != 0).then(|| Word(atom.assume_init(), PhantomData))
        }
    };
    if text.is_ascii() {
        return if text.len() <= 255 { find(text.as_bytes()) } else { None };
    }
    let count = text.chars().count();
    if count > 255 {
        return None;
    }
    let latin1: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
    match latin1 {
        Some(latin1) => find(&latin1),
        None => {
            // The form that `with_atom` reads; the BEAM is told to make no atom of it.
            let mut form = vec![131, 118];
            form.extend_from_slice(&(text.len() as u16).to_be_bytes());
            form.extend_from_slice(text.as_bytes());
            env.binary_to_term(&form).map(|(term, _)| term.into())
        }
    }
}

/// Hands the term in the external format to `take`.
pub(crate) fn external<R>(env: Env<'_>, word: Word<'_>, take: impl FnOnce(&[u8]) -> R) -> R {
    let mut binary = MaybeUninit::uninit();
    // SAFETY: as in `kind`; where the answer is not 0 the binary is filled and this call's own, and is
    // given back once after its last use.
    unsafe {
        if sys::enif_term_to_binary(env.as_c_arg(), word.0, binary.as_mut_ptr()) == 0 {
            return take(&[]);
        }
        let mut binary = binary.assume_init();
        let taken = take(std::slice::from_raw_parts(binary.data, binary.size));
        sys::enif_release_binary(&mut binary);
        taken
    }
}

#[inline]
pub(crate) fn make_int(env: Env<'_>, value: i64) -> Word<'_> {
    // SAFETY: as in `kind`.
    Word(unsafe { sys::enif_make_int64(env.as_c_arg(), value) }, PhantomData)
}

#[inline]
pub(crate) fn make_uint(env: Env<'_>, value: u64) -> Word<'_> {
    // SAFETY: as in `kind`.
    Word(unsafe { sys::enif_make_uint64(env.as_c_arg(), value) }, PhantomData)
}

/// Of a number: NaN and the infinities are no terms.
#[inline]
pub(crate) fn make_float(env: Env<'_>, value: f64) -> Word<'_> {
    debug_assert!(value.is_finite());
    // SAFETY: as in `kind`.
    Word(unsafe { sys::enif_make_double(env.as_c_arg(), value) }, PhantomData)
}

#[inline]
pub(crate) fn make_binary<'a>(env: Env<'a>, bytes: &[u8]) -> Word<'a> {
    let mut term = MaybeUninit::uninit();
    // SAFETY: as in `kind`; the place has so many bytes, is new, and is written before anybody reads.
    unsafe {
        let place = sys::enif_make_new_binary(env.as_c_arg(), bytes.len(), term.as_mut_ptr());
        copy(bytes, place);
        Word(term.assume_init(), PhantomData)
    }
}

/// A part of a binary, in place. The caller has checked that it lies inside.
#[inline]
pub(crate) fn make_view<'a>(env: Env<'a>, whole: Word<'a>, start: usize, len: usize) -> Word<'a> {
    debug_assert!(bytes(env, whole).is_some_and(|whole| start + len <= whole.len()));
    // SAFETY: as in `kind`.
    Word(unsafe { sys::enif_make_sub_binary(env.as_c_arg(), whole.0, start, len) }, PhantomData)
}

#[inline]
pub(crate) fn make_list<'a>(env: Env<'a>, items: &[Word<'a>]) -> Word<'a> {
    // No input is so long that a list of it has 2^32 items.
    let Ok(len) = u32::try_from(items.len()) else { return rustler::types::atom::nil().into() };
    // SAFETY: as in `kind`; a word has the layout of a term.
    Word(
        unsafe { sys::enif_make_list_from_array(env.as_c_arg(), items.as_ptr().cast(), len) },
        PhantomData,
    )
}

#[inline]
pub(crate) fn make_tuple<'a>(env: Env<'a>, items: &[Word<'a>]) -> Word<'a> {
    let Ok(len) = u32::try_from(items.len()) else { return rustler::types::atom::nil().into() };
    // SAFETY: as in `make_list`.
    Word(
        unsafe { sys::enif_make_tuple_from_array(env.as_c_arg(), items.as_ptr().cast(), len) },
        PhantomData,
    )
}

/// `None` if a key stands twice.
#[inline]
pub(crate) fn make_map<'a>(
    env: Env<'a>,
    keys: &[Word<'a>],
    values: &[Word<'a>],
) -> Option<Word<'a>> {
    let len = keys.len().min(values.len());
    let mut map = MaybeUninit::uninit();
    // SAFETY: as in `make_list`; both arrays have so many terms, and the map is filled where the answer
    // is not 0.
    unsafe {
        let made = sys::enif_make_map_from_arrays(
            env.as_c_arg(),
            keys.as_ptr().cast(),
            values.as_ptr().cast(),
            len,
            map.as_mut_ptr(),
        );
        // Of large maps the call lets a key stand twice, and takes one of them.
        let map = (made != 0).then(|| Word(map.assume_init(), PhantomData));
        map.filter(|&map| len <= 32 || map_size(env, map) == len)
    }
}

/// The map with another value under a key that it has; `None` if it has it not.
#[inline]
pub(crate) fn update<'a>(
    env: Env<'a>,
    map: Word<'a>,
    key: Word<'a>,
    value: Word<'a>,
) -> Option<Word<'a>> {
    let mut updated = MaybeUninit::uninit();
    // SAFETY: as in `kind`; the map is filled where the answer is not 0.
    unsafe {
        let done =
            sys::enif_make_map_update(env.as_c_arg(), map.0, key.0, value.0, updated.as_mut_ptr());
        (done != 0).then(|| Word(updated.assume_init(), PhantomData))
    }
}

/// The order of terms, in which equal keys stand side by side.
pub(crate) fn compare(a: Word<'_>, b: Word<'_>) -> std::cmp::Ordering {
    // SAFETY: two terms of live environments.
    unsafe { sys::enif_compare(a.0, b.0) }.cmp(&0)
}

pub(crate) fn identical(a: Word<'_>, b: Word<'_>) -> bool {
    // SAFETY: as in `compare`.
    unsafe { sys::enif_is_identical(a.0, b.0) != 0 }
}

/// Copies bytes, of which there are mostly few, without a call where there are.
///
/// # Safety
///
/// `to` has room for them, and is no part of them.
#[inline(always)]
unsafe fn copy(from: &[u8], to: *mut u8) {
    let (len, from) = (from.len(), from.as_ptr());
    // SAFETY: both pieces of a pair lie within the length, and may overlap each other.
    unsafe {
        match len {
            8..=16 => {
                let head = from.cast::<u64>().read_unaligned();
                let tail = from.add(len - 8).cast::<u64>().read_unaligned();
                to.cast::<u64>().write_unaligned(head);
                to.add(len - 8).cast::<u64>().write_unaligned(tail);
            }
            4..=7 => {
                let head = from.cast::<u32>().read_unaligned();
                let tail = from.add(len - 4).cast::<u32>().read_unaligned();
                to.cast::<u32>().write_unaligned(head);
                to.add(len - 4).cast::<u32>().write_unaligned(tail);
            }
            0..=3 => (0..len).for_each(|i| *to.add(i) = *from.add(i)),
            _ => std::ptr::copy_nonoverlapping(from, to, len),
        }
    }
}

/// Writes 16 bytes by halves: as a whole they would be put together in memory first, and waited for there.
///
/// # Safety
///
/// There are 16 bytes from `to` on.
#[inline(always)]
unsafe fn write_16(bytes: [u8; 16], to: *mut u8) {
    let all = u128::from_le_bytes(bytes);
    let halves = [(all as u64).to_le_bytes(), ((all >> 64) as u64).to_le_bytes()];
    // SAFETY: as asked for.
    unsafe {
        to.cast::<[u8; 8]>().write_unaligned(halves[0]);
        to.add(8).cast::<[u8; 8]>().write_unaligned(halves[1]);
    }
}

/// A sink in which what was put can still be changed.
pub(crate) trait Draft: Sink {
    /// Puts others in the place of these bytes, no fewer; what follows moves.
    fn replace(&mut self, these: Range<usize>, with: &[u8]);
}

/// Of memory whose last bytes, as many as `with` has more, are free.
fn replace(memory: &mut [u8], these: Range<usize>, with: &[u8]) {
    let more = with.len() - these.len();
    if more > 0 {
        let end = memory.len() - more;
        memory.copy_within(these.end..end, these.end + more);
    }
    memory[these.start..][..with.len()].copy_from_slice(with);
}

impl Draft for Vec<u8> {
    fn replace(&mut self, these: Range<usize>, with: &[u8]) {
        self.resize(self.len() + with.len() - these.len(), 0);
        replace(self, these, with);
    }
}

/// Memory that a value is written into. Once it is full it only counts.
///
/// 1. From `data` on there are `capacity` bytes, borrowed for the lifetime.
/// 2. `len` grows past the capacity on overflow and never shrinks: no later, shorter piece may still find
///    a place behind a gap.
pub(crate) struct Place<'p> {
    data: *mut u8,
    capacity: usize,
    len: usize,
    memory: PhantomData<&'p mut [u8]>,
}

impl<'p> Place<'p> {
    pub(crate) fn new(memory: &'p mut [u8]) -> Self {
        let (data, capacity) = (memory.as_mut_ptr(), memory.len());
        Place { data, capacity, len: 0, memory: PhantomData }
    }

    /// Whether all that was put has found a place.
    pub(crate) fn fitted(&self) -> bool {
        self.len <= self.capacity
    }
}

impl Sink for Place<'_> {
    #[inline(always)]
    fn put(&mut self, bytes: &[u8]) {
        let end = self.len.saturating_add(bytes.len());
        if end <= self.capacity {
            // SAFETY: rule 1, and the bytes end within the capacity. They are not part of it, being
            // borrowed beside it.
            unsafe { copy(bytes, self.data.add(self.len)) };
        }
        self.len = end;
    }

    #[inline(always)]
    fn put_first(&mut self, bytes: [u8; 16], len: usize) {
        if self.len.saturating_add(16) > self.capacity {
            return self.put(&bytes[..len]);
        }
        // SAFETY: rule 1, and 16 bytes end within the capacity. What follows is written over those
        // behind the first `len`.
        unsafe { write_16(bytes, self.data.add(self.len)) };
        self.len += len;
    }

    #[inline]
    fn len(&self) -> usize {
        self.len
    }
}

impl Draft for Place<'_> {
    fn replace(&mut self, these: Range<usize>, with: &[u8]) {
        self.len = self.len.saturating_add(with.len() - these.len());
        // What did not fit is written again as a whole.
        if self.fitted() {
            // SAFETY: rule 1, and no more than the capacity.
            let written = unsafe { std::slice::from_raw_parts_mut(self.data, self.len) };
            replace(written, these, with);
        }
    }
}

/// Memory of its own that a value is written into, and that grows.
#[derive(Default)]
pub(crate) struct Growing {
    /// All of it may be written to; the first `len` bytes are, and `len` is never more than it has.
    memory: Vec<u8>,
    len: usize,
}

impl Growing {
    /// Begins again.
    pub(crate) fn reset(&mut self) {
        self.len = 0;
    }

    pub(crate) fn capacity(&self) -> usize {
        self.memory.len()
    }

    pub(crate) fn written(&self) -> &[u8] {
        &self.memory[..self.len]
    }

    /// In registers until then, which else were written to memory each time.
    #[cold]
    #[inline(never)]
    fn put_last(&mut self, bytes: u128, len: usize) {
        self.put(&bytes.to_le_bytes()[..len]);
    }

    #[cold]
    fn grow(&mut self, needed: usize) {
        self.memory.resize(needed.saturating_mul(2).max(4096), 0);
    }
}

impl Sink for Growing {
    #[inline(always)]
    fn put(&mut self, bytes: &[u8]) {
        let end = self.len.saturating_add(bytes.len());
        if end > self.memory.len() {
            self.grow(end);
        }
        // SAFETY: the bytes end within the memory, as was seen to; nobody else has borrowed it.
        unsafe { copy(bytes, self.memory.as_mut_ptr().add(self.len)) };
        self.len = end;
    }

    #[inline(always)]
    fn put_first(&mut self, bytes: [u8; 16], len: usize) {
        let end = self.len + 16;
        if end > self.memory.len() {
            return self.put_last(u128::from_le_bytes(bytes), len);
        }
        // SAFETY: as in `put`. What follows is written over those behind the first `len`.
        unsafe { write_16(bytes, self.memory.as_mut_ptr().add(self.len)) };
        self.len += len;
    }

    #[inline]
    fn len(&self) -> usize {
        self.len
    }
}

impl Draft for Growing {
    fn replace(&mut self, these: Range<usize>, with: &[u8]) {
        self.len += with.len() - these.len();
        if self.len > self.memory.len() {
            self.grow(self.len);
        }
        replace(&mut self.memory[..self.len], these, with);
    }
}

/// Terms that are gathered during a call. The memory is kept for the next call on this scheduler.
pub(crate) struct Gathered<'a>(Vec<Word<'a>>);

/// Terms that a scheduler keeps memory for.
const KEPT: usize = 64 << 10;

thread_local!(static KEPT_TERMS: Cell<[Vec<Word<'static>>; 2]> = const { Cell::new([Vec::new(), Vec::new()]) });

impl<'a> Gathered<'a> {
    pub(crate) fn new() -> Self {
        let mut kept = KEPT_TERMS.take();
        let used = usize::from(kept[0].capacity() == 0);
        let words = std::mem::take(&mut kept[used]);
        KEPT_TERMS.set(kept);
        debug_assert!(words.is_empty());
        // SAFETY: only the lifetime of the words differs, and there are none.
        Gathered(unsafe { std::mem::transmute::<Vec<Word<'static>>, Vec<Word<'a>>>(words) })
    }
}

impl Drop for Gathered<'_> {
    fn drop(&mut self) {
        let mut words = std::mem::take(&mut self.0);
        words.clear();
        if words.capacity() > KEPT {
            return;
        }
        // SAFETY: as in `new`.
        let words = unsafe { std::mem::transmute::<Vec<Word<'_>>, Vec<Word<'static>>>(words) };
        let mut kept = KEPT_TERMS.take();
        if let Some(place) = kept.iter_mut().find(|kept| kept.capacity() == 0) {
            *place = words;
        }
        KEPT_TERMS.set(kept);
    }
}

impl<'a> Deref for Gathered<'a> {
    type Target = Vec<Word<'a>>;
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Gathered<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

/// Whether short pieces are the same, without a call.
#[inline(always)]
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    match a.len() {
        8..=16 => a.first_chunk::<8>() == b.first_chunk() && a.last_chunk::<8>() == b.last_chunk(),
        4..=7 => a.first_chunk::<4>() == b.first_chunk() && a.last_chunk::<4>() == b.last_chunk(),
        0..=3 => a.iter().zip(b).all(|(a, b)| a == b),
        _ => a == b,
    }
}
