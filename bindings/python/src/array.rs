//! NumPy arrays from and to frames, over NumPy's C interface.
//!
//! NumPy is looked for only when an array is at hand: an object can be one only if NumPy has been
//! imported, and a frame is made one only on request.

use crate::producer::copy;
use crate::{dtype, error, foreign, texts};
use numpy::npyffi::{
    NPY_ARRAY_ALIGNED, NPY_ARRAY_C_CONTIGUOUS, NPY_ARRAY_F_CONTIGUOUS, NPY_ARRAY_WRITEABLE,
    NPY_TYPES, NpyTypes, PY_ARRAY_API, PyArray_Check, PyArray_CheckExact, PyArray_Descr,
    PyArrayObject, PyDataType_ELSIZE, PyDataType_NAMES, get_type_object, npy_intp,
};
use pyo3::exceptions::{PyImportError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyString, PyType};
use pyo3::{ffi, intern};
use slipring_codec::format::ndarray::{
    ByteOrder, Descriptor, Dtype, Element, Kind, MAX_NDIM, Order,
};
use std::borrow::Cow;
use std::ptr;

/// What an object that may be an array is.
pub(crate) enum Candidate<'py> {
    Array(Array<'py>),
    /// A scalar of NumPy's, which has a buffer and is no bytes.
    Scalar,
    Other,
}

/// An array that can be sent.
pub(crate) struct Array<'py> {
    object: Bound<'py, PyAny>,
    pub(crate) descriptor: Descriptor,
    /// Its elements lie in one piece, in the descriptor's order.
    whole: bool,
    /// Those of an array whose elements lie elsewhere.
    texts: Option<Vec<u8>>,
}

/// A package that somebody has imported; nothing is imported for it.
pub(crate) fn imported<'py>(
    py: Python<'py>,
    package: &Bound<'py, PyString>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    // SAFETY: a str that is alive; the call gives a new reference, or null, with an exception or without.
    let found = unsafe {
        let found = ffi::PyImport_GetModule(package.as_ptr());
        Bound::from_owned_ptr_or_opt(py, found)
    };
    match found {
        // `None` stands there where its import is forbidden.
        Some(module) => Ok((!module.is_none()).then_some(module)),
        None => PyErr::take(py).map_or(Ok(None), Err),
    }
}

/// Whether NumPy has been imported by anybody.
fn numpy_is_there(py: Python<'_>) -> PyResult<bool> {
    static THERE: PyOnceLock<()> = PyOnceLock::new();
    if THERE.get(py).is_some() {
        return Ok(true);
    }
    let there = imported(py, intern!(py, "numpy"))?.is_some();
    if there {
        need_numpy(py)?;
        let _ = THERE.set(py, ());
    }
    Ok(there)
}

/// Imports NumPy and looks for its C interface, which without this would panic where it is missing.
pub(crate) fn need_numpy(py: Python<'_>) -> PyResult<()> {
    static FOUND: PyOnceLock<()> = PyOnceLock::new();
    FOUND
        .get_or_try_init(py, || {
            let numpy = py.import(intern!(py, "numpy"));
            numpy.and_then(|numpy| numpy.getattr("ndarray")).map(|_| ()).map_err(|cause| {
                let error = PyImportError::new_err(
                    "arrays need NumPy 2: install numpy, or read the bytes by frame.view",
                );
                error.set_cause(py, Some(cause));
                error
            })
        })
        .copied()
}

/// Looks what `object` is, or shows itself as. An array that can't be sent is an error.
pub(crate) fn look<'py>(object: &Bound<'py, PyAny>) -> PyResult<Candidate<'py>> {
    match of_numpy(object)? {
        Candidate::Other => shown(object),
        found => Ok(found),
    }
}

/// The array that an object of another package shows.
pub(crate) fn shown<'py>(object: &Bound<'py, PyAny>) -> PyResult<Candidate<'py>> {
    match foreign::view(object)? {
        Some(shown) => array(shown).map(Candidate::Array),
        None => Ok(Candidate::Other),
    }
}

/// What of NumPy's an object is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Array,
    Scalar,
    Other,
}

/// Looks whether `object` is one of NumPy's, and no further.
pub(crate) fn role(object: &Bound<'_, PyAny>) -> PyResult<Role> {
    let py = object.py();
    if !numpy_is_there(py)? {
        return Ok(Role::Other);
    }
    // SAFETY: NumPy is imported, and the object is alive.
    if unsafe { PyArray_Check(py, object.as_ptr()) } != 0 {
        return Ok(Role::Array);
    }
    // SAFETY: as above.
    let scalar = unsafe {
        let generic = get_type_object(py, NpyTypes::PyGenericArrType_Type);
        ffi::PyObject_TypeCheck(object.as_ptr(), generic) != 0
    };
    Ok(if scalar { Role::Scalar } else { Role::Other })
}

/// The type of an array that arrives as a plain one. A memory map loses nothing but where it lay.
pub(crate) fn lost_type<'py>(object: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyType>>> {
    let py = object.py();
    if role(object)? != Role::Array {
        return Ok(None);
    }
    // SAFETY: NumPy is imported, or it would be no array; the object is alive.
    if unsafe { PyArray_CheckExact(py, object.as_ptr()) } != 0 {
        return Ok(None);
    }
    let kind = object.get_type();
    let mapped = kind.fully_qualified_name()? == "numpy.memmap";
    Ok((!mapped).then_some(kind))
}

/// Looks whether `object` is one of NumPy's.
pub(crate) fn of_numpy<'py>(object: &Bound<'py, PyAny>) -> PyResult<Candidate<'py>> {
    match role(object)? {
        Role::Array => array(object.clone()).map(Candidate::Array),
        Role::Scalar => Ok(Candidate::Scalar),
        Role::Other => Ok(Candidate::Other),
    }
}

/// What is sent of an array, which `object` is.
fn array<'py>(object: Bound<'py, PyAny>) -> PyResult<Array<'py>> {
    let py = object.py();
    // SAFETY: NumPy is imported, and the object is alive.
    let exact = unsafe { PyArray_CheckExact(py, object.as_ptr()) } != 0;
    // Of the type: a record array has its fields as attributes, and one may be called so.
    if !exact && object.get_type().hasattr(intern!(py, "mask"))? {
        let hint = "send .filled() and .mask each by itself";
        let what = "a masked array can't be sent";
        return Err(error::unsendable(py, what, "$", "MaskedArray", hint));
    }
    let array: *const PyArrayObject = object.as_ptr().cast();
    // SAFETY: it is an array, so that these fields are there; `nd` lengths stand in `dimensions`.
    let (descr, flags, dims) = unsafe {
        let fields = &(*array).fields;
        let dims: &[npy_intp] = match fields.nd {
            0 => &[],
            nd => std::slice::from_raw_parts(fields.dimensions, nd as usize),
        };
        (fields.descr, fields.flags, dims)
    };
    let element = match dtype_of(py, descr) {
        Some(dtype) => dtype.into(),
        None => dtype::describe(&dtype_at(py, descr))?,
    };
    let fortran = flags & NPY_ARRAY_C_CONTIGUOUS == 0 && flags & NPY_ARRAY_F_CONTIGUOUS != 0;
    let order = if fortran { Order::F } else { Order::C };
    let mut shape = [0u64; MAX_NDIM];
    shape.iter_mut().zip(dims).for_each(|(to, &from)| *to = from as u64);
    let mut descriptor = Descriptor::new(element, order, &shape[..dims.len()])
        .map_err(|e| error::encode(py, &e, "ndarray"))?;
    let whole = flags & (NPY_ARRAY_C_CONTIGUOUS | NPY_ARRAY_F_CONTIGUOUS) != 0;
    let texts = match descriptor.element() {
        Element::String(missing) => Some(texts::pack(&object, missing, order)?),
        _ => None,
    };
    if let Some(texts) = &texts {
        let known = descriptor.with_data_len(texts.len());
        descriptor = known.map_err(|e| error::encode(py, &e, "ndarray"))?;
    }
    Ok(Array { object, descriptor, whole, texts })
}

/// A descriptor of NumPy's as an object. That of an array is asked for at its field: a subclass may answer
/// to its name what it likes.
fn dtype_at(py: Python<'_>, descr: *mut PyArray_Descr) -> Bound<'_, PyAny> {
    // SAFETY: it belongs to a living array, and the call takes a reference of its own.
    unsafe { Bound::from_borrowed_ptr(py, descr.cast()) }
}

/// The dtype that a descriptor of NumPy's stands for, if it is a numeric one and no more than that.
fn dtype_of(py: Python<'_>, descr: *const PyArray_Descr) -> Option<Dtype> {
    // SAFETY: the descriptor belongs to a living array or was just made; these fields are in every
    // version of NumPy at the same place, and the accessors know where the others are.
    let (kind, byte_order, number, size, names) = unsafe {
        let fields = &(*descr).fields;
        let (size, names) = (PyDataType_ELSIZE(py, descr), PyDataType_NAMES(py, descr));
        (fields.kind as u8, fields.byteorder as u8, fields.type_num, size, names)
    };
    // What another package has made may have any letters, and a number of NumPy's may have fields.
    if !(0..=NPY_TYPES::NPY_HALF as _).contains(&number) || !names.is_null() {
        return None;
    }
    let size = u8::try_from(size).ok()?;
    let big = match byte_order {
        b'>' => size > 1,
        b'<' | b'|' => false,
        _ => cfg!(target_endian = "big") && size > 1,
    };
    Dtype::from_code(u16::from(big) << 15 | u16::from(kind) << 8 | u16::from(size))
}

impl<'py> Array<'py> {
    /// The NumPy array, which keeps the elements.
    pub(crate) fn object(&self) -> &Bound<'py, PyAny> {
        &self.object
    }

    /// The data of the frame, where it lies in one piece in the descriptor's order.
    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        if let Some(texts) = &self.texts {
            return Some(texts);
        }
        let array: *const PyArrayObject = self.object.as_ptr().cast();
        if self.descriptor.byte_len() == 0 {
            return Some(&[]);
        }
        // SAFETY: it is an array that we hold, whose elements lie in one piece of this length.
        self.whole.then(|| unsafe {
            let data = (*array).fields.data.cast::<u8>();
            std::slice::from_raw_parts(data, self.descriptor.byte_len())
        })
    }

    /// The same, copied where the elements don't lie so.
    pub(crate) fn in_one_piece(&self, py: Python<'_>) -> PyResult<Cow<'_, [u8]>> {
        if let Some(bytes) = self.bytes() {
            return Ok(bytes.into());
        }
        let mut out = vec![0; self.descriptor.byte_len()];
        self.copy_to(py, &mut out)?;
        Ok(out.into())
    }

    /// Copies the elements, in the descriptor's order. NumPy releases the GIL where it pays.
    pub(crate) fn copy_to(&self, py: Python<'_>, out: &mut [u8]) -> PyResult<()> {
        assert_eq!(out.len(), self.descriptor.byte_len());
        if let Some(bytes) = self.bytes() {
            return copy(py, bytes, out);
        }
        if matches!(self.descriptor.element(), Element::Struct(_)) {
            // What NumPy leaves out between the fields must not show what an earlier frame left.
            out.fill(0);
        }
        let array: *const PyArrayObject = self.object.as_ptr().cast();
        // SAFETY: it is an array that we hold.
        let dtype = dtype_at(py, unsafe { (*array).fields.descr });
        let over = over_as(py, &self.descriptor, dtype, out.as_mut_ptr(), true, None)?;
        // SAFETY: both are arrays of one shape; the target has no owner, is not seen by anybody
        // else, and is gone before `out` is.
        let copied = unsafe {
            let (to, from) = (over.as_ptr().cast(), self.object.as_ptr().cast());
            PY_ARRAY_API.PyArray_CopyInto(py, to, from)
        };
        if copied == 0 { Ok(()) } else { Err(PyErr::fetch(py)) }
    }
}

/// The dtype that `object` names, in any of NumPy's ways; one whose elements lie in place.
pub(crate) fn parse_dtype(object: &Bound<'_, PyAny>) -> PyResult<Element> {
    let py = object.py();
    need_numpy(py)?;
    let mut descr: *mut PyArray_Descr = ptr::null_mut();
    // SAFETY: the call fills `descr` with a new reference or raises.
    if unsafe { PY_ARRAY_API.PyArray_DescrConverter(py, object.as_ptr(), &mut descr) } == 0 {
        return Err(PyErr::fetch(py));
    }
    // SAFETY: a new reference to a dtype, owned from here on.
    let owned = unsafe { Bound::from_owned_ptr(py, descr.cast()) };
    if let Some(dtype) = dtype_of(py, descr) {
        return Ok(dtype.into());
    }
    let hint = match dtype::describe(&owned)? {
        Element::String(_) => "its texts don't lie in the array: send one that is filled",
        Element::Subarray(_) => "give the subarray's lengths with the shape",
        element => return Ok(element),
    };
    let name = owned.str()?.to_string();
    let what = format!("an array of dtype {name} can't be reserved");
    Err(error::unsendable(py, &what, "$", &name, hint))
}

fn type_number(dtype: Dtype) -> NPY_TYPES {
    match (dtype.kind(), dtype.item_size()) {
        (Kind::Bool, _) => NPY_TYPES::NPY_BOOL,
        (Kind::Int, 1) => NPY_TYPES::NPY_BYTE,
        (Kind::Int, 2) => NPY_TYPES::NPY_SHORT,
        (Kind::Int, 4) => NPY_TYPES::NPY_INT,
        (Kind::Int, _) if size_of::<std::ffi::c_long>() == 8 => NPY_TYPES::NPY_LONG,
        (Kind::Int, _) => NPY_TYPES::NPY_LONGLONG,
        (Kind::Uint, 1) => NPY_TYPES::NPY_UBYTE,
        (Kind::Uint, 2) => NPY_TYPES::NPY_USHORT,
        (Kind::Uint, 4) => NPY_TYPES::NPY_UINT,
        (Kind::Uint, _) if size_of::<std::ffi::c_long>() == 8 => NPY_TYPES::NPY_ULONG,
        (Kind::Uint, _) => NPY_TYPES::NPY_ULONGLONG,
        (Kind::Float, 2) => NPY_TYPES::NPY_HALF,
        (Kind::Float, 4) => NPY_TYPES::NPY_FLOAT,
        (Kind::Float, _) => NPY_TYPES::NPY_DOUBLE,
        (Kind::Complex, 8) => NPY_TYPES::NPY_CFLOAT,
        (Kind::Complex, _) => NPY_TYPES::NPY_CDOUBLE,
        // A kind that this binding is older than has no view here.
        _ => NPY_TYPES::NPY_NOTYPE,
    }
}

/// The dtype of the elements.
fn dtype_for<'py>(py: Python<'py>, element: &Element) -> PyResult<Bound<'py, PyAny>> {
    let Some(dtype) = element.dtype() else { return dtype::build(py, element) };
    let number = type_number(dtype);
    if matches!(number, NPY_TYPES::NPY_NOTYPE) {
        return Err(PyValueError::new_err(format!("dtype {dtype} has no array in this version")));
    }
    let native = if cfg!(target_endian = "big") { ByteOrder::Big } else { ByteOrder::Little };
    let swapped = dtype.item_size() > 1 && dtype.byte_order() != native;
    // SAFETY: each call gives a new reference or raises, and takes none.
    unsafe {
        let descr = PY_ARRAY_API.PyArray_DescrFromType(py, number as _);
        let descr = Bound::from_owned_ptr_or_err(py, descr.cast())?;
        if !swapped {
            return Ok(descr);
        }
        let swapped = PY_ARRAY_API.PyArray_DescrNewByteorder(py, descr.as_ptr().cast(), b's' as _);
        Bound::from_owned_ptr_or_err(py, swapped.cast())
    }
}

/// What a frame holds, as an array: over its memory at `data`, which `base` keeps alive, or copied where
/// the elements can't be read in place.
pub(crate) fn received<'py>(
    descriptor: &Descriptor,
    data: &[u8],
    base: Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = base.py();
    if let Element::String(missing) = descriptor.element() {
        need_numpy(py)?;
        return texts::unpack(py, descriptor, missing, data);
    }
    over(py, descriptor, data.as_ptr().cast_mut(), false, Some(base))
}

/// An array over memory at `data`, which `base` keeps alive and of the descriptor's length.
///
/// Without a base the caller answers for the memory, and nobody else may see the array.
pub(crate) fn over<'py>(
    py: Python<'py>,
    descriptor: &Descriptor,
    data: *mut u8,
    writable: bool,
    base: Option<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    need_numpy(py)?;
    let dtype = dtype_for(py, descriptor.element())?;
    over_as(py, descriptor, dtype, data, writable, base)
}

/// The same, with the dtype at hand: that of the descriptor's element.
fn over_as<'py>(
    py: Python<'py>,
    descriptor: &Descriptor,
    dtype: Bound<'py, PyAny>,
    data: *mut u8,
    writable: bool,
    base: Option<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let mut dims = [0 as npy_intp; MAX_NDIM];
    dims.iter_mut().zip(descriptor.shape()).for_each(|(to, &from)| *to = from as npy_intp);
    let order = match descriptor.order() {
        Order::C => NPY_ARRAY_C_CONTIGUOUS,
        Order::F => NPY_ARRAY_F_CONTIGUOUS,
    };
    let flags = order | NPY_ARRAY_ALIGNED | if writable { NPY_ARRAY_WRITEABLE } else { 0 };
    // SAFETY: each call takes or gives the references that NumPy's manual says: a descriptor is
    // stolen by the array, a base by `SetBaseObject`. The memory is as long as shape and item size
    // make, by the caller's word, and aligned to 64 bytes.
    unsafe {
        let array = PY_ARRAY_API.PyArray_NewFromDescr(
            py,
            get_type_object(py, NpyTypes::PyArray_Type),
            dtype.into_ptr().cast(),
            descriptor.shape().len() as _,
            dims.as_mut_ptr(),
            ptr::null_mut(),
            data.cast(),
            flags,
            ptr::null_mut(),
        );
        let array = Bound::from_owned_ptr_or_err(py, array)?;
        if let Some(base) = base
            && PY_ARRAY_API.PyArray_SetBaseObject(py, array.as_ptr().cast(), base.into_ptr()) != 0
        {
            return Err(PyErr::fetch(py));
        }
        Ok(array)
    }
}

/// An array of its own memory, read-only as one in a frame is, with these bytes.
pub(crate) fn copied<'py>(
    py: Python<'py>,
    descriptor: &Descriptor,
    bytes: &[u8],
) -> PyResult<Bound<'py, PyAny>> {
    // NumPy refers to the bytes object. Its bytes are aligned to 16, as every element needs: they follow 32
    // bytes of its own, in memory that CPython aligns so.
    let base = PyBytes::new(py, bytes);
    received(descriptor, base.as_bytes(), base.clone().into_any())
}

/// An array of its own memory with `len` elements that `fill` writes: all of their bytes, which are zeros before. It has
/// numbers or times.
pub(crate) fn made<'py>(
    py: Python<'py>,
    element: &Element,
    len: usize,
    fill: impl FnOnce(&mut [u8]),
) -> PyResult<Bound<'py, PyAny>> {
    need_numpy(py)?;
    let numpy = py.import(intern!(py, "numpy"))?;
    let array = numpy.call_method1(intern!(py, "zeros"), (len, dtype_for(py, element)?))?;
    let of: *const PyArrayObject = array.as_ptr().cast();
    // SAFETY: it is an array that we hold.
    let data = unsafe { (*of).fields.data.cast::<u8>() };
    // SAFETY: as many elements of that size, in one piece; nobody else has seen the array.
    fill(unsafe { std::slice::from_raw_parts_mut(data, len * element.item_size()) });
    Ok(array)
}

/// A scalar of NumPy's as an array of one element.
pub(crate) fn element<'py>(scalar: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = scalar.py();
    need_numpy(py)?;
    py.import(intern!(py, "numpy"))?.call_method1(intern!(py, "atleast_1d"), (scalar,))
}

/// Copies the elements of an array, in the order in which it is described.
pub(crate) fn copy_out(object: &Bound<'_, PyAny>, out: &mut [u8]) -> PyResult<()> {
    let py = object.py();
    match look(object)? {
        Candidate::Array(array) if array.descriptor.byte_len() == out.len() => {
            array.copy_to(py, out)
        }
        _ => Err(PyValueError::new_err("the array changed while it was sent")),
    }
}

/// The array over a buffer, or a copy of it, as `numpy.array` says.
pub(crate) fn of<'py>(
    buffer: &Bound<'py, PyAny>,
    dtype: Option<Bound<'py, PyAny>>,
    copy: Option<bool>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = buffer.py();
    need_numpy(py)?;
    let options = PyDict::new(py);
    options.set_item(intern!(py, "dtype"), dtype)?;
    options.set_item(intern!(py, "copy"), copy)?;
    py.import(intern!(py, "numpy"))?.call_method(intern!(py, "array"), (buffer,), Some(&options))
}

/// Points an array away from its memory: it is empty and read-only from now on.
///
/// # Safety
/// `array` is one that [`over`] made, and nothing else has its data pointer.
pub(crate) unsafe fn empty(array: &Bound<'_, PyAny>, descriptor: &Descriptor) {
    /// As large as the largest number, for arrays without dimensions, which stay one element.
    static NOTHING: u128 = 0;
    let py = array.py();
    // A larger element needs a place of its own, which the array then has for its base.
    let one = descriptor.shape().is_empty() && descriptor.item_size() > size_of_val(&NOTHING);
    let place = one.then(|| PyBytes::new(py, &vec![0; descriptor.item_size()]));
    let data = match &place {
        Some(place) => place.as_bytes().as_ptr(),
        None => ptr::from_ref(&NOTHING).cast(),
    };
    let array: *mut PyArrayObject = array.as_ptr().cast();
    // SAFETY: an array by the caller's word, and while we are attached and nobody else refers to it
    // but by name nobody reads its fields. Zero lengths in place need no memory. The base is the array's
    // own reference, and is exchanged for one to what the data pointer points into.
    let base = unsafe {
        let fields = &mut (*array).fields;
        fields.data = data.cast_mut().cast();
        fields.flags &= !NPY_ARRAY_WRITEABLE;
        for axis in 0..fields.nd as usize {
            *fields.dimensions.add(axis) = 0;
        }
        place.map(|place| std::mem::replace(&mut fields.base, place.into_ptr()))
    };
    // SAFETY: the reference that the array had.
    let _ = base.and_then(|base| unsafe { Bound::from_owned_ptr_or_opt(py, base) });
}
