//! Python's garbage collection, while much is made at once.

use pyo3::ffi;

/// No garbage is looked for meanwhile: all that is made is in use, and going through it again and again
/// takes as long as making it.
pub(crate) struct Pause {
    was_enabled: bool,
}

impl Pause {
    pub(crate) fn new() -> Self {
        // Where there is no lock others would see it.
        // SAFETY: attached, as the Reader's token says.
        let was_enabled = !cfg!(Py_GIL_DISABLED) && unsafe { ffi::PyGC_Disable() } != 0;
        Self { was_enabled }
    }
}

impl Drop for Pause {
    fn drop(&mut self) {
        if self.was_enabled {
            // SAFETY: attached, as when it was made.
            unsafe { ffi::PyGC_Enable() };
        }
    }
}
