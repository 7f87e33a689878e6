//! Attributes of plain objects, where CPython 3.11 keeps them: in an array before the object, at places that all
//! objects of a class share. For other versions there is no such way here, and the interpreter is asked.

#[cfg(all(not(Py_3_12), not(Py_LIMITED_API), target_pointer_width = "64"))]
mod inner {
    use pyo3::ffi;

    /// As pycore_dict.h has it.
    #[repr(C)]
    struct Keys {
        references: ffi::Py_ssize_t,
        log2_size: u8,
        log2_index_bytes: u8,
        kind: u8,
        version: u32,
        usable: ffi::Py_ssize_t,
        entries: ffi::Py_ssize_t,
    }

    /// `DICT_KEYS_SPLIT`.
    const SPLIT: u8 = 2;
    /// `Py_TPFLAGS_MANAGED_DICT`: the array and the dict are at fixed places before the object.
    const MANAGED: std::ffi::c_ulong = 1 << 4;

    type Values = *mut *mut ffi::PyObject;

    /// The object's array of attributes and the place of one in it, if it is the one that stands there by its name.
    ///
    /// # Safety
    /// An object that is alive, of a heap type, and an interned str; attached.
    #[inline(always)]
    unsafe fn find(
        object: *mut ffi::PyObject,
        place: usize,
        name: *mut ffi::PyObject,
    ) -> Option<(Values, Values)> {
        // SAFETY: by the caller's word. A type with the flag has the pointers before its objects, and keys; behind the head
        // of the keys stands their index, as long as it says, and then the places, of two words each, of which
        // `entries` are in use. The array has room for as many.
        unsafe {
            let kind = ffi::Py_TYPE(object);
            if (*kind).tp_flags & MANAGED == 0 {
                return None;
            }
            let values = *object.cast::<Values>().sub(4);
            let keys = (*kind.cast::<ffi::PyHeapTypeObject>()).ht_cached_keys.cast::<Keys>();
            if values.is_null() || keys.is_null() || (*keys).kind != SPLIT {
                return None;
            }
            if place >= (*keys).entries as usize {
                return None;
            }
            let entries = keys.add(1).cast::<u8>().add(1 << (*keys).log2_index_bytes);
            if *entries.cast::<*mut ffi::PyObject>().add(2 * place) != name {
                return None;
            }
            Some((values, values.add(place)))
        }
    }

    /// Lets the processor fetch what the first attributes refer to: each is looked at soon, and where there are many objects
    /// none of it is at hand.
    ///
    /// # Safety
    /// An object that is alive, of a heap type; attached.
    #[inline(always)]
    pub(in super::super) unsafe fn prefetch(object: *mut ffi::PyObject, count: usize) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: by the caller's word, as in `find`: the array has room for as many as there are keys. What is fetched is
        // not looked at, and may be anything.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            let kind = ffi::Py_TYPE(object);
            if (*kind).tp_flags & MANAGED == 0 {
                return;
            }
            let values = *object.cast::<Values>().sub(4);
            let keys = (*kind.cast::<ffi::PyHeapTypeObject>()).ht_cached_keys.cast::<Keys>();
            if values.is_null() || keys.is_null() {
                return;
            }
            for at in 0..count.min((*keys).entries as usize) {
                _mm_prefetch::<_MM_HINT_T0>((*values.add(at)).cast());
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = (object, count);
    }

    /// The attribute, borrowed; `None` where it is not so found.
    ///
    /// # Safety
    /// As for [`find`].
    #[inline(always)]
    pub(in super::super) unsafe fn get(
        object: *mut ffi::PyObject,
        place: usize,
        name: *mut ffi::PyObject,
    ) -> Option<*mut ffi::PyObject> {
        // SAFETY: by the caller's word; the place is within the array.
        let value = unsafe { *find(object, place, name)?.1 };
        (!value.is_null()).then_some(value)
    }

    /// Sets an attribute that has no value yet, which takes the reference over; whether that was possible.
    ///
    /// # Safety
    /// As for [`find`]; nobody else has seen the object.
    #[inline(always)]
    pub(in super::super) unsafe fn put(
        object: *mut ffi::PyObject,
        place: usize,
        name: *mut ffi::PyObject,
        value: *mut ffi::PyObject,
    ) -> bool {
        // SAFETY: by the caller's word. Before the array stand, from its end, the room of what is before it, the number of
        // attributes that are set, and their places in the order in which they were set, for which there is room as
        // long as none is set twice.
        unsafe {
            let Some((values, slot)) = find(object, place, name) else { return false };
            if !(*slot).is_null() {
                return false;
            }
            let count = values.cast::<u8>().sub(2);
            let next = *count + 1;
            count.sub(usize::from(next)).write(place as u8);
            *count = next;
            *slot = value;
            true
        }
    }
}

#[cfg(not(all(not(Py_3_12), not(Py_LIMITED_API), target_pointer_width = "64")))]
mod inner {
    use pyo3::ffi;

    /// # Safety
    /// None.
    #[inline(always)]
    pub(in super::super) unsafe fn prefetch(_object: *mut ffi::PyObject, _count: usize) {}

    /// # Safety
    /// None.
    #[inline(always)]
    pub(in super::super) unsafe fn get(
        _object: *mut ffi::PyObject,
        _place: usize,
        _name: *mut ffi::PyObject,
    ) -> Option<*mut ffi::PyObject> {
        None
    }

    /// # Safety
    /// None.
    #[inline(always)]
    pub(in super::super) unsafe fn put(
        _object: *mut ffi::PyObject,
        _place: usize,
        _name: *mut ffi::PyObject,
        _value: *mut ffi::PyObject,
    ) -> bool {
        false
    }
}

pub(super) use inner::{get, prefetch, put};
