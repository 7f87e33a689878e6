//! Attributes of plain objects, where CPython 3.11 keeps them: in an array before the object, or in the same array of its
//! `__dict__` once somebody has asked for that, at places that all objects of a class share. For other versions there is no such way here, and the interpreter is asked.

#[cfg(all(not(Py_3_12), not(Py_LIMITED_API), target_pointer_width = "64"))]
mod inner {
    use crate::value::pairs::Keys;
    use pyo3::ffi;

    /// `Py_TPFLAGS_MANAGED_DICT`: the array and the dict are at fixed places before the object.
    const MANAGED: std::ffi::c_ulong = 1 << 4;

    type Values = *mut *mut ffi::PyObject;

    /// Whether the objects of a type have these attributes at the first places of their arrays. Once they have, they will:
    /// names are only ever added.
    ///
    /// # Safety
    /// A heap type that is alive, and interned names; attached.
    pub(in super::super) unsafe fn has(
        kind: *mut ffi::PyTypeObject,
        mut names: impl Iterator<Item = *mut ffi::PyObject>,
    ) -> bool {
        // SAFETY: by the caller's word. A type with the flag has keys, with room for places, of which `entries` are in use.
        unsafe {
            if (*kind).tp_flags & MANAGED == 0 {
                return false;
            }
            let keys = (*kind.cast::<ffi::PyHeapTypeObject>()).ht_cached_keys.cast::<Keys>();
            if keys.is_null() || (*keys).kind != Keys::SPLIT {
                return false;
            }
            let first = Keys::first(keys);
            let mut places = 0..(*keys).entries as usize;
            names.all(|name| places.next().is_some_and(|place| (*first.add(place)).key == name))
        }
    }

    /// The array of an object's attributes, or null: its own, or that of its dict, if this still has it and the places of the
    /// type's objects.
    ///
    /// # Safety
    /// An object that is alive, of a type with the flag [`MANAGED`]; attached.
    #[inline(always)]
    unsafe fn values_of(object: *mut ffi::PyObject) -> Values {
        // SAFETY: by the caller's word both pointers stand there, the dict's is null or a dict, and the type a heap type.
        unsafe {
            let values = *object.cast::<Values>().sub(4);
            if !values.is_null() {
                return values;
            }
            let dict = *object.cast::<*mut ffi::PyDictObject>().sub(3);
            if dict.is_null() {
                return std::ptr::null_mut();
            }
            let kind = ffi::Py_TYPE(object).cast::<ffi::PyHeapTypeObject>();
            match (*dict).ma_keys.cast() == (*kind).ht_cached_keys {
                true => (*dict).ma_values.cast(),
                false => std::ptr::null_mut(),
            }
        }
    }

    /// Lets the processor fetch what the first attributes refer to: each is looked at soon, and where there are many objects
    /// none of it is at hand.
    ///
    /// # Safety
    /// An object that is alive, of a type that [`has`] so many; attached.
    #[inline(always)]
    pub(in super::super) unsafe fn prefetch(object: *mut ffi::PyObject, count: usize) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as the caller says; the array, where there is one, has room for all that its type has. What is fetched is not
        // looked at, and may be anything.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            let values = values_of(object);
            if !values.is_null() {
                for at in 0..count {
                    _mm_prefetch::<_MM_HINT_T0>((*values.add(at)).cast());
                }
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = (object, count);
    }

    /// The attribute at a place, borrowed; `None` where it is not set, or the object has a dict instead.
    ///
    /// # Safety
    /// An object that is alive, of a type that [`has`] more than `place` names; attached.
    #[inline(always)]
    pub(in super::super) unsafe fn get(
        object: *mut ffi::PyObject,
        place: usize,
    ) -> Option<*mut ffi::PyObject> {
        // SAFETY: by the caller's word; the array has room for all that its type has.
        unsafe {
            let values = values_of(object);
            if values.is_null() {
                return None;
            }
            let value = *values.add(place);
            (!value.is_null()).then_some(value)
        }
    }

    /// Sets an attribute that has no value yet, which takes the reference over; whether that was possible.
    ///
    /// # Safety
    /// As for [`get`]; nobody else has seen the object.
    #[inline(always)]
    pub(in super::super) unsafe fn put(
        object: *mut ffi::PyObject,
        place: usize,
        value: *mut ffi::PyObject,
    ) -> bool {
        // SAFETY: by the caller's word. Before the array stand, from its end, the room of what is before it, the number of
        // attributes that are set, and their places in the order in which they were set, for which there is room as
        // long as none is set twice.
        unsafe {
            let values = *object.cast::<Values>().sub(4);
            if values.is_null() || !(*values.add(place)).is_null() {
                return false;
            }
            let count = values.cast::<u8>().sub(2);
            let next = *count + 1;
            count.sub(usize::from(next)).write(place as u8);
            *count = next;
            *values.add(place) = value;
            true
        }
    }
}

#[cfg(not(all(not(Py_3_12), not(Py_LIMITED_API), target_pointer_width = "64")))]
mod inner {
    use pyo3::ffi;

    /// # Safety
    /// None.
    pub(in super::super) unsafe fn has(
        _kind: *mut ffi::PyTypeObject,
        _names: impl Iterator<Item = *mut ffi::PyObject>,
    ) -> bool {
        false
    }

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
    ) -> Option<*mut ffi::PyObject> {
        None
    }

    /// # Safety
    /// None.
    #[inline(always)]
    pub(in super::super) unsafe fn put(
        _object: *mut ffi::PyObject,
        _place: usize,
        _value: *mut ffi::PyObject,
    ) -> bool {
        false
    }
}

pub(super) use inner::{get, has, prefetch, put};
