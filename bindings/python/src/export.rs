//! An array frame as a buffer with dtype, shape and strides, so that NumPy and others take the frame
//! itself for the array. Of numbers it needs no NumPy; of other dtypes it is NumPy's.

use crate::frame::memoryview;
use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;
use slipring_codec::format::ndarray::{ByteOrder, Descriptor, Dtype, Element, Kind, Order};
use std::ffi::{CString, c_int};

/// What a `Py_buffer` of an array points to, for as long as its owner lives.
pub(crate) struct Layout {
    format: CString,
    shape: Vec<ffi::Py_ssize_t>,
    strides: Vec<ffi::Py_ssize_t>,
    item_size: usize,
    /// Whether the elements lie in C order, and whether in Fortran order.
    c: bool,
    f: bool,
}

impl Layout {
    /// Of an array of numbers.
    pub(crate) fn new(descriptor: &Descriptor, dtype: Dtype) -> Self {
        let lengths = |dims: &[u64]| dims.iter().map(|&len| len as ffi::Py_ssize_t).collect();
        let shape = descriptor.shape();
        // With one dimension that counts the two orders are one.
        let both = shape.contains(&0) || shape.iter().filter(|&&len| len > 1).count() < 2;
        Self {
            format: format(dtype),
            shape: lengths(shape),
            strides: lengths(&descriptor.strides()),
            item_size: dtype.item_size(),
            c: both || descriptor.order() == Order::C,
            f: both || descriptor.order() == Order::F,
        }
    }

    /// Fills `view` with the array of `data`, read-only, as far as `flags` ask for it.
    ///
    /// # Safety
    /// As the buffer protocol says of `view`. `owner` keeps `data` and `self` alive, and `data` is
    /// what the descriptor describes.
    pub(crate) unsafe fn fill(
        &self,
        owner: Bound<'_, PyAny>,
        data: &[u8],
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        let asks = |flag| flags & flag == flag;
        let refused = |what| Err(PyBufferError::new_err(what));
        if asks(ffi::PyBUF_WRITABLE) {
            return refused("a received frame is read-only: copy it to write");
        }
        if !self.c && (asks(ffi::PyBUF_C_CONTIGUOUS) || !asks(ffi::PyBUF_STRIDES)) {
            return refused(
                "the array lies in Fortran order: take frame.view for its bytes as they lie",
            );
        }
        if asks(ffi::PyBUF_F_CONTIGUOUS) && !self.f {
            return refused("the array lies in C order");
        }
        if !asks(ffi::PyBUF_ND) {
            // Bytes without a shape, for those who can do with nothing else.
            let (start, len) = (data.as_ptr().cast_mut().cast(), data.len() as _);
            // SAFETY: as below; the call takes a reference of its own, or raises.
            let filled =
                unsafe { ffi::PyBuffer_FillInfo(view, owner.as_ptr(), start, len, 1, flags) };
            return if filled == 0 { Ok(()) } else { Err(PyErr::fetch(owner.py())) };
        }
        // Consumers only read what is lent to them.
        let lend = |list: &Vec<ffi::Py_ssize_t>, flag| {
            if asks(flag) && !list.is_empty() {
                list.as_ptr().cast_mut()
            } else {
                std::ptr::null_mut()
            }
        };
        let format = if asks(ffi::PyBUF_FORMAT) {
            self.format.as_ptr().cast_mut()
        } else {
            std::ptr::null_mut()
        };
        // SAFETY: `view` is a structure to be filled, by the function's contract.
        unsafe {
            *view = ffi::Py_buffer {
                buf: data.as_ptr().cast_mut().cast(),
                obj: owner.into_ptr(),
                len: data.len() as _,
                itemsize: self.item_size as _,
                readonly: 1,
                ndim: self.shape.len() as _,
                format,
                shape: lend(&self.shape, ffi::PyBUF_ND),
                strides: lend(&self.strides, ffi::PyBUF_STRIDES),
                ..ffi::Py_buffer::new()
            };
        }
        Ok(())
    }
}

/// Fills `view` with the buffer that NumPy gives of `array`, whose dtype is no number. Where it has none,
/// or one that leaves something out of the dtype, that is a `BufferError`.
///
/// # Safety
/// As the buffer protocol says of `view`.
pub(crate) unsafe fn fill_from(
    array: &Bound<'_, PyAny>,
    element: &Element,
    view: *mut ffi::Py_buffer,
    flags: c_int,
) -> PyResult<()> {
    let py = array.py();
    let refused = |why: String| {
        PyBufferError::new_err(format!(
            "an array of dtype {element} has no buffer: {why}; take frame.value, or frame.view for the bytes"
        ))
    };
    if matches!(element, Element::String(_)) {
        return Err(refused("its texts have any length".into()));
    }
    // Titles, fields over each other, bytes of unknown meaning: what NumPy itself does not read back from
    // its buffer would be lost on the way, and `numpy.asarray` of the frame asks for the buffer first.
    let exact = memoryview(array).and_then(|view| {
        let again = py.import("numpy")?.call_method1("asarray", (view,))?;
        again.getattr("dtype")?.eq(array.getattr("dtype")?)
    });
    match exact {
        Ok(true) => {}
        Ok(false) => return Err(refused("a part of the dtype would be lost".into())),
        Err(cause) => return Err(caused(py, refused(cause.value(py).to_string()), cause)),
    }
    // SAFETY: handed on to NumPy, which then is whom the view refers to.
    if unsafe { ffi::PyObject_GetBuffer(array.as_ptr(), view, flags) } == 0 {
        return Ok(());
    }
    let cause = PyErr::fetch(py);
    Err(caused(py, refused(cause.value(py).to_string()), cause))
}

fn caused(py: Python<'_>, error: PyErr, cause: PyErr) -> PyErr {
    error.set_cause(py, Some(cause));
    error
}

/// A dtype in the letters of the `struct` module; complex ones as NumPy writes them.
fn format(dtype: Dtype) -> CString {
    let native = if cfg!(target_endian = "big") { ByteOrder::Big } else { ByteOrder::Little };
    let long = size_of::<std::ffi::c_long>() == 8;
    let other = dtype.item_size() > 1 && dtype.byte_order() != native;
    let order = match dtype.byte_order() {
        _ if !other => "",
        ByteOrder::Big => ">",
        _ => "<",
    };
    let letters = match (dtype.kind(), dtype.item_size()) {
        (Kind::Bool, _) => "?",
        (Kind::Int, 1) => "b",
        (Kind::Int, 2) => "h",
        (Kind::Int, 4) => "i",
        (Kind::Int, _) if long && !other => "l",
        (Kind::Int, _) => "q",
        (Kind::Uint, 1) => "B",
        (Kind::Uint, 2) => "H",
        (Kind::Uint, 4) => "I",
        (Kind::Uint, _) if long && !other => "L",
        (Kind::Uint, _) => "Q",
        (Kind::Float, 2) => "e",
        (Kind::Float, 4) => "f",
        (Kind::Float, _) => "d",
        (Kind::Complex, 8) => "Zf",
        _ => "Zd",
    };
    CString::new(format!("{order}{letters}")).unwrap_or_default()
}
