//! What this process has sent and taken, by format.

use pyo3::prelude::*;
use pyo3::types::PyDict;
use slipring_codec::Format;
use std::sync::atomic::{AtomicU64, Ordering};

/// Codes of formats that are told apart; any other one is counted with the last.
const FORMATS: usize = 8;

struct Way {
    frames: [AtomicU64; FORMATS],
    bytes: [AtomicU64; FORMATS],
}

impl Way {
    const fn new() -> Self {
        Self {
            frames: [const { AtomicU64::new(0) }; FORMATS],
            bytes: [const { AtomicU64::new(0) }; FORMATS],
        }
    }

    fn count(&self, format: u8, bytes: u64) {
        let index = usize::from(format).min(FORMATS - 1);
        // Relaxed: counts for those who look.
        self.frames[index].fetch_add(1, Ordering::Relaxed);
        self.bytes[index].fetch_add(bytes, Ordering::Relaxed);
    }

    fn told<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let told = PyDict::new(py);
        for (code, (frames, bytes)) in self.frames.iter().zip(&self.bytes).enumerate() {
            let frames = frames.load(Ordering::Relaxed);
            if frames > 0 {
                let counts = PyDict::new(py);
                counts.set_item("frames", frames)?;
                counts.set_item("bytes", bytes.load(Ordering::Relaxed))?;
                told.set_item(
                    Format::from_code(code as u8).map_or("unknown", Format::name),
                    counts,
                )?;
            }
        }
        Ok(told)
    }
}

static SENT: Way = Way::new();
static DECODED: Way = Way::new();

/// How many frames of this format were sent.
#[inline(always)]
pub(crate) fn frames(format: Format) -> u64 {
    // Relaxed: a count.
    SENT.frames[usize::from(format.code()).min(FORMATS - 1)].load(Ordering::Relaxed)
}

/// Counts a frame that was sent.
pub(crate) fn sent(format: Format, bytes: usize) {
    SENT.count(format.code(), bytes as u64);
}

/// Counts a frame whose value was asked for.
pub(crate) fn decoded(format: u8, bytes: u64) {
    DECODED.count(format, bytes);
}

/// Both, as dicts by format.
pub(crate) fn told(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let all = PyDict::new(py);
    all.set_item("sent", SENT.told(py)?)?;
    all.set_item("decoded", DECODED.told(py)?)?;
    Ok(all)
}
