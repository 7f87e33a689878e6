//! Numbers and truth values that come in rows: a list's truth values, an array's items.

use super::*;

/// An item of an array.
#[derive(Clone, Copy)]
pub(in crate::json) enum Number {
    Int(i64),
    /// One that may be beyond those.
    Unsigned(u64),
    Float(f64),
    Short(f32),
    Bool(bool),
}

/// Writes a truth value and a comma, and gives the place behind the comma.
///
/// # Safety
/// Eight bytes can be written at `at`.
#[inline(always)]
pub(super) unsafe fn truth_value(at: *mut u8, truth: bool) -> *mut u8 {
    // Both are at hand, without a branch and without a look at memory.
    let name = if truth { *b"true,\0\0\0" } else { *b"false,\0\0" };
    // SAFETY: by the caller's word.
    unsafe { at.cast::<[u8; 8]>().write(name) };
    // SAFETY: within these eight bytes.
    unsafe { at.add(6 - usize::from(truth)) }
}

/// By its type: a branch on which of the two it is would be foretold wrongly each second time.
///
/// # Safety
/// An object that is alive, or null, as what stands in a list that somebody is still making.
#[inline(always)]
unsafe fn is_truth_value(object: *mut ffi::PyObject) -> bool {
    // SAFETY: by the caller's word; of the type only the address is taken.
    !object.is_null() && unsafe { ffi::Py_TYPE(object) == &raw mut ffi::PyBool_Type }
}

impl<'py, S: Lend, const PLAIN: bool> Writer<'py, '_, S, PLAIN> {
    /// The truth values that a list begins with, each with its comma: the place behind the last comma, and how many they
    /// are. No code of others runs.
    ///
    /// # Safety
    /// As for [`quick`](Self::quick), and each object as [`is_truth_value`] wants it.
    #[inline(always)]
    pub(super) unsafe fn truth_values(
        &mut self,
        at: *mut u8,
        objects: &[*mut ffi::PyObject],
    ) -> (*mut u8, usize) {
        match objects.first() {
            // SAFETY: by the caller's word.
            Some(&first) if unsafe { is_truth_value(first) } => {
                // SAFETY: by the caller's word.
                unsafe { self.many_truth_values(at, objects) }
            }
            _ => (at, 0),
        }
    }

    /// # Safety
    /// As for [`truth_values`](Self::truth_values).
    #[inline(never)]
    unsafe fn many_truth_values(
        &mut self,
        mut at: *mut u8,
        objects: &[*mut ffi::PyObject],
    ) -> (*mut u8, usize) {
        for (index, &object) in objects.iter().enumerate() {
            // SAFETY: by the caller's word. `room` reserves more than eight bytes, and all before is written.
            unsafe {
                if !is_truth_value(object) {
                    return (at, index);
                }
                at = truth_value(self.out.room(at, 0), object == ffi::Py_True());
            }
        }
        (at, objects.len())
    }

    /// Items that are no objects: `write` gives the place behind what it has written at the one that it gets.
    ///
    /// # Safety
    /// As for [`quick`](Self::quick), which `write` can rely on as well; it leaves two bytes reserved, and of all that it
    /// has written `self.out` need not have been told.
    #[inline(always)]
    pub(in crate::json) unsafe fn each<T>(
        &mut self,
        mut at: *mut u8,
        items: impl Iterator<Item = T>,
        depth: usize,
        mut write: impl FnMut(&mut Self, *mut u8, T) -> Place,
    ) -> Place {
        // SAFETY: each gets the place that the one before gave, behind which there is room for a mark, and `before`
        // makes more.
        unsafe {
            at.write(b'[');
            at = at.add(1);
            let mut count = 0;
            for item in items {
                at = self.before(at, depth + 1);
                at = write(self, at, item).map_err(|fault| fault.within(Segment::Index(count)))?;
                at = self.comma(at);
                count += 1;
            }
            Ok(self.end(at, b']', count == 0, depth))
        }
    }

    /// One that stands by itself.
    pub(in crate::json) fn one_number(&mut self, number: Number) -> Outcome {
        // SAFETY: `number_at` gets a place with room, and gives the one behind the number.
        unsafe { self.placed(|writer, at| writer.number_at(at, number)) }
    }

    /// Writes a number, and gives the place behind, from which on [`LITTLE`] bytes are reserved.
    ///
    /// # Safety
    /// As for [`quick`](Self::quick).
    #[inline(always)]
    pub(in crate::json) unsafe fn number_at(&mut self, at: *mut u8, number: Number) -> Place {
        // SAFETY: the caller has reserved more than any of these takes.
        unsafe {
            Ok(match number {
                Number::Int(n) => at.add(number::write_int(n, at)),
                Number::Unsigned(n) => at.add(number::write_uint(n, at)),
                Number::Float(x) if x.is_finite() => write_float(x, at),
                Number::Short(x) if x.is_finite() => float::write_short_float(x, at),
                Number::Float(x) => return self.not_finite_at(at, x),
                Number::Short(x) => return self.not_finite_at(at, x.into()),
                Number::Bool(truth) => truth_value(at, truth).sub(1),
            })
        }
    }

    /// As [`number_at`](Self::number_at), of one that is none, or endless.
    ///
    /// # Safety
    /// As for [`quick`](Self::quick).
    #[cold]
    unsafe fn not_finite_at(&mut self, at: *mut u8, x: f64) -> Place {
        // SAFETY: by the caller's word.
        unsafe { self.out.set(at) };
        self.not_finite(x)?;
        // SAFETY: the place is that of `self.out`.
        Ok(unsafe { self.out.room(self.out.at(), 0) })
    }
}
