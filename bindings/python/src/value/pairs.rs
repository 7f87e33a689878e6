//! Going through a dict.

use pyo3::ffi;

/// The next pair of a dict, borrowed; `at` is 0 at first.
///
/// # Safety
/// A dict that is alive, attached. What it gives is alive until the dict changes.
#[inline(always)]
pub(crate) unsafe fn next(
    dict: *mut ffi::PyObject,
    at: &mut ffi::Py_ssize_t,
) -> Option<(*mut ffi::PyObject, *mut ffi::PyObject)> {
    #[cfg(all(not(Py_3_12), not(Py_LIMITED_API), target_pointer_width = "64"))]
    // SAFETY: as the caller says.
    if let Some(entries) = unsafe { entries(dict) } {
        while let Some(entry) = entries.get(*at as usize) {
            *at += 1;
            if !entry.value.is_null() {
                return Some((entry.key, entry.value));
            }
        }
        return None;
    }
    let (mut key, mut value) = (std::ptr::null_mut(), std::ptr::null_mut());
    // SAFETY: as the caller says.
    match unsafe { ffi::PyDict_Next(dict, at, &mut key, &mut value) } {
        0 => None,
        _ => Some((key, value)),
    }
}

/// A walk through a dict that does not ask for each pair where its places are.
pub(crate) struct Pairs {
    dict: *mut ffi::PyObject,
    at: ffi::Py_ssize_t,
    /// The place of `at`, where that is known, and the end of those that were used; else null.
    next: *const Entry,
    end: *const Entry,
}

impl Pairs {
    /// # Safety
    /// A dict that is alive, attached, for as long as this is used.
    #[inline(always)]
    pub(crate) unsafe fn of(dict: *mut ffi::PyObject) -> Self {
        let (next, end) = (std::ptr::null(), std::ptr::null());
        let mut pairs = Self { dict, at: 0, next, end };
        // SAFETY: by the caller's word.
        unsafe { pairs.look_again() };
        pairs
    }

    /// The dict may have changed.
    ///
    /// # Safety
    /// As for [`of`](Self::of).
    #[inline(always)]
    pub(crate) unsafe fn look_again(&mut self) {
        #[cfg(all(not(Py_3_12), not(Py_LIMITED_API), target_pointer_width = "64"))]
        // SAFETY: by the caller's word.
        match unsafe { entries(self.dict) } {
            Some(entries) => {
                let rest = entries.get(self.at as usize..).unwrap_or(&[]).as_ptr_range();
                (self.next, self.end) = (rest.start, rest.end);
            }
            None => (self.next, self.end) = (std::ptr::null(), std::ptr::null()),
        }
    }

    /// The next pair, borrowed.
    ///
    /// # Safety
    /// The dict has not changed since this [looked](Self::look_again). What it gives is alive until the dict changes.
    #[inline(always)]
    pub(crate) unsafe fn next(&mut self) -> Option<(*mut ffi::PyObject, *mut ffi::PyObject)> {
        if self.end.is_null() {
            // SAFETY: by the caller's word.
            return unsafe { next(self.dict, &mut self.at) };
        }
        while self.next != self.end {
            // SAFETY: one of the places that the dict has; behind it is another one, or their end.
            let entry = unsafe { &*self.next };
            // SAFETY: as above.
            self.next = unsafe { self.next.add(1) };
            self.at += 1;
            if !entry.value.is_null() {
                return Some((entry.key, entry.value));
            }
        }
        None
    }
}

/// A place of a dict.
#[repr(C)]
pub(crate) struct Entry {
    pub(crate) key: *mut ffi::PyObject,
    pub(crate) value: *mut ffi::PyObject,
}

/// Whether the places of dicts are known here.
pub(crate) const HAVE_PLACES: bool =
    cfg!(all(not(Py_3_12), not(Py_LIMITED_API), target_pointer_width = "64"));

/// The first of a dict's places, if they are known: in the order of its keys, none of which was ever removed.
///
/// # Safety
/// A dict that is alive, attached.
#[inline(always)]
pub(crate) unsafe fn places(dict: *mut ffi::PyObject) -> Option<*mut Entry> {
    #[cfg(all(not(Py_3_12), not(Py_LIMITED_API), target_pointer_width = "64"))]
    // SAFETY: as the caller says.
    return unsafe { entries(dict) }.map(|entries| entries.as_ptr().cast_mut());
    #[cfg(not(all(not(Py_3_12), not(Py_LIMITED_API), target_pointer_width = "64")))]
    {
        let _ = dict;
        None
    }
}

/// The head of the keys of dicts, or of a type's objects, as CPython's pycore_dict.h has it in 3.11. Behind it stand an index and
/// the places in order, of which `entries` were used.
#[cfg(all(not(Py_3_12), not(Py_LIMITED_API), target_pointer_width = "64"))]
#[repr(C)]
pub(crate) struct Keys {
    references: ffi::Py_ssize_t,
    log2_size: u8,
    log2_index_bytes: u8,
    pub(crate) kind: u8,
    version: u32,
    usable: ffi::Py_ssize_t,
    pub(crate) entries: ffi::Py_ssize_t,
}

#[cfg(all(not(Py_3_12), not(Py_LIMITED_API), target_pointer_width = "64"))]
impl Keys {
    /// `DICT_KEYS_UNICODE`: all str, in places of two words.
    const STR: u8 = 1;
    /// `DICT_KEYS_SPLIT`: the same, and whoever shares them has values of his own.
    pub(crate) const SPLIT: u8 = 2;

    /// The first place.
    ///
    /// # Safety
    /// The head of keys that are alive, of one of the kinds above, with room for a place: what all empty dicts share has
    /// none; attached.
    #[inline(always)]
    pub(crate) unsafe fn first(keys: *mut Self) -> *mut Entry {
        // SAFETY: by the caller's word. The index is as long as the head says.
        unsafe { keys.add(1).cast::<u8>().add(1 << (*keys).log2_index_bytes).cast() }
    }
}

/// The places of a dict whose keys are all str and which owns its values; one whose value is null is free. Their number is that
/// of the places `PyDict_Next` counts, so that both go on at the same position.
///
/// # Safety
/// As for [`next`].
#[cfg(all(not(Py_3_12), not(Py_LIMITED_API), target_pointer_width = "64"))]
#[inline(always)]
unsafe fn entries<'a>(dict: *mut ffi::PyObject) -> Option<&'a [Entry]> {
    // SAFETY: a dict has keys, and behind them as many places as were used.
    unsafe {
        let dict = dict.cast::<ffi::PyDictObject>();
        let keys = (*dict).ma_keys.cast::<Keys>();
        if (*keys).kind != Keys::STR || !(*dict).ma_values.is_null() {
            return None;
        }
        if (*keys).entries == 0 {
            return Some(&[]);
        }
        Some(std::slice::from_raw_parts(Keys::first(keys), (*keys).entries as usize))
    }
}
