//! A column of a table, in the memory of its frame.

use super::give::{self, Memory};
use super::{capsule, objects, only_batch, package, schema_capsule, stream_capsule};
use crate::array;
use crate::export::Layout;
use arrow_schema::{DataType, TimeUnit};
use pyo3::exceptions::{PyBufferError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};
use pyo3::{ffi, intern};
use slipring_codec::format::arrow;
use slipring_codec::format::ndarray::{
    ByteOrder, Descriptor, Dtype, Element, Order, TimeUnit as Unit,
};
use std::ffi::c_int;
use std::sync::{Arc, OnceLock};

#[doc = doc!(Column)]
#[pyclass(frozen, module = "slipring")]
pub(crate) struct Column {
    memory: Memory,
    table: Arc<arrow::Table>,
    number: usize,
    /// For those who ask for a buffer.
    layout: OnceLock<Layout>,
}

/// A piece of memory with its owner, as the base of an array.
#[pyclass(frozen, module = "slipring._native")]
pub(crate) struct Owner {
    #[allow(dead_code, reason = "it is held, not read")]
    memory: Memory,
}

impl Column {
    /// `number` is that of a column of the table.
    pub(super) fn new(memory: Memory, table: Arc<arrow::Table>, number: usize) -> Self {
        Self { memory, table, number, layout: OnceLock::new() }
    }

    fn field(&self) -> &arrow_schema::Field {
        self.table.schema.field(self.number)
    }

    fn chunks(&self) -> impl Iterator<Item = &arrow::Column> {
        self.table.batches.iter().map(|batch| &batch.columns[self.number])
    }

    fn count(&self) -> usize {
        self.chunks().map(|chunk| chunk.len).sum()
    }

    /// Its elements, by a reader of its memory.
    pub(super) fn list_by<'py>(
        &self,
        reader: &objects::Reader<'_, 'py>,
    ) -> PyResult<Bound<'py, PyList>> {
        let list = PyList::empty(reader.py());
        let field = self.field();
        for chunk in self.chunks() {
            for row in 0..chunk.len {
                let made = reader.field(field, chunk, row);
                list.append(made.map_err(|error| reader.placed(error, field, list.len()))?)?;
            }
        }
        Ok(list)
    }

    /// The NumPy element of its numbers and times, where they lie as NumPy has them.
    fn element(&self) -> Option<Element> {
        element(self.field().data_type())
    }

    /// Its numbers, times, bools, or the indices of its dictionary, as pandas has them: in place, or with NaN, `NaT` and -1
    /// for nulls; `None` where there is no such array.
    pub(super) fn numbers<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        use DataType::*;
        let chunks: Vec<_> = self.chunks().collect();
        let [chunk] = chunks[..] else { return Ok(None) };
        let data_type = match self.field().data_type() {
            Dictionary(index, _) => index,
            other => other,
        };
        let Some(start) = chunk.buffers.first().map(|buffer| buffer.start) else { return Ok(None) };
        if let Boolean = data_type {
            let Some(bits) = self.memory.get(&(start..start + chunk.len.div_ceil(8))) else {
                return Ok(None);
            };
            let bit = |at: usize| bits[at / 8] >> (at % 8) & 1;
            let Ok(dtype) = "|b1".parse::<Dtype>() else { return Ok(None) };
            let fill = |out: &mut [u8]| (0..).zip(out).for_each(|(at, out)| *out = bit(at));
            let made = (chunk.null_count == 0)
                .then(|| array::made(py, &Element::from(dtype), chunk.len, fill));
            return made.transpose();
        }
        let Some(element) = element(data_type) else { return Ok(None) };
        if chunk.null_count == 0 {
            return self.array_of(py, chunk, &element).map(Some);
        }
        let null: &[u8] = match (self.field().data_type(), data_type) {
            (Dictionary(..), Int8 | Int16 | Int32 | Int64) => &[0xFF; 8],
            (_, Float16) => &0x7E00u16.to_le_bytes(),
            (_, Float32) => &f32::NAN.to_le_bytes(),
            (_, Float64) => &f64::NAN.to_le_bytes(),
            (_, Timestamp(..) | Duration(_)) => &i64::MIN.to_le_bytes(),
            _ => return Ok(None),
        };
        let width = element.item_size();
        let (Some(data), Some(valid)) = (
            self.memory.get(&(start..start + chunk.len * width)),
            chunk.validity.as_ref().and_then(|bits| self.memory.get(bits)),
        ) else {
            return Ok(None);
        };
        let fill = |out: &mut [u8]| {
            out.copy_from_slice(data);
            for (at, out) in out.chunks_exact_mut(width).enumerate() {
                // What is checked of a bitmap is its length; a peer may change its bits.
                if valid.get(at / 8).is_some_and(|bits| bits >> (at % 8) & 1 == 0) {
                    out.copy_from_slice(&null[..width]);
                }
            }
        };
        array::made(py, &element, chunk.len, fill).map(Some)
    }

    /// Why its elements have no array in place: its type, or nulls.
    fn no_array(&self) -> PyErr {
        let (name, kind) = (self.field().name(), self.field().data_type());
        match self.chunks().map(|chunk| chunk.null_count).sum::<usize>() {
            0 => PyTypeError::new_err(format!(
                "column {name:?} of type {kind} has no NumPy array in place: take to_pylist(), or pyarrow's"
            )),
            nulls => PyValueError::new_err(format!(
                "column {name:?} has {nulls} nulls, which NumPy has no place for: take to_pylist(), or pandas'"
            )),
        }
    }

    /// One chunk of it as an array over its memory.
    fn array_of<'py>(
        &self,
        py: Python<'py>,
        chunk: &arrow::Column,
        element: &Element,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (len, width) = (chunk.len, element.item_size());
        let descriptor = Descriptor::new(element.clone(), Order::C, &[len as u64])
            .map_err(|refused| crate::error::encode(py, &refused, "ndarray"))?;
        let start = chunk.buffers[0].start;
        let data = self.memory.get(&(start..start + len * width)).ok_or_else(|| self.no_array())?;
        let owner = Bound::new(py, Owner { memory: self.memory.clone() })?;
        array::received(&descriptor, data, owner.into_any())
    }
}

/// The NumPy element of numbers and times.
fn element(data_type: &DataType) -> Option<Element> {
    use DataType::*;
    let named = match data_type {
        Int8 => "|i1",
        Int16 => "<i2",
        Int32 => "<i4",
        Int64 => "<i8",
        UInt8 => "|u1",
        UInt16 => "<u2",
        UInt32 => "<u4",
        UInt64 => "<u8",
        Float16 => "<f2",
        Float32 => "<f4",
        Float64 => "<f8",
        Timestamp(unit, _) => return Some(time(*unit, true)),
        Duration(unit) => return Some(time(*unit, false)),
        _ => return None,
    };
    named.parse::<Dtype>().ok().map(Element::from)
}

fn time(unit: TimeUnit, since_1970: bool) -> Element {
    let unit = match unit {
        TimeUnit::Second => Unit::Second,
        TimeUnit::Millisecond => Unit::Milli,
        TimeUnit::Microsecond => Unit::Micro,
        TimeUnit::Nanosecond => Unit::Nano,
    };
    Element::Time { since_1970, unit, count: 1, byte_order: ByteOrder::Little }
}

#[pymethods]
impl Column {
    #[getter]
    fn name(&self) -> &str {
        self.field().name()
    }

    /// Its type, as text.
    #[getter]
    fn r#type(&self) -> String {
        self.field().data_type().to_string()
    }

    #[getter]
    fn null_count(&self) -> usize {
        self.chunks().map(|chunk| chunk.null_count).sum()
    }

    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let _ = requested_schema;
        stream_capsule(py, &self.memory, &self.table, Some(self.number))
    }

    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        schema_capsule(py, &self.table, Some(self.number))
    }

    #[doc = doc!(Column.__arrow_c_array__)]
    #[getter]
    fn __arrow_c_array__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        only_batch(&slf.get().table)?;
        slf.getattr(intern!(slf.py(), "_array"))
    }

    #[pyo3(signature = (requested_schema=None))]
    fn _array<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let _ = requested_schema;
        let chunk = &only_batch(&self.table)?.columns[self.number];
        let schema = schema_capsule(py, &self.table, Some(self.number))?;
        let array = give::array(&self.memory, chunk);
        PyTuple::new(py, [schema, capsule::capsule(py, array, capsule::ARRAY)?])
    }

    /// Numbers and times without nulls, in place where they are of one batch.
    #[pyo3(signature = (dtype=None, copy=None))]
    pub(super) fn __array__<'py>(
        slf: &Bound<'py, Self>,
        dtype: Option<Bound<'py, PyAny>>,
        copy: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (py, column) = (slf.py(), slf.get());
        if column.null_count() != 0 {
            return Err(column.no_array());
        }
        let element = column.element().ok_or_else(|| column.no_array())?;
        let chunks: Vec<_> = column.chunks().collect();
        let array = match &chunks[..] {
            [only] => column.array_of(py, only, &element)?,
            [] => {
                let empty = [];
                let descriptor = Descriptor::new(element, Order::C, &[0])
                    .map_err(|refused| crate::error::encode(py, &refused, "ndarray"))?;
                array::copied(py, &descriptor, &empty)?
            }
            chunks if copy == Some(false) => {
                return Err(PyValueError::new_err(format!(
                    "the column lies in {} batches: an array of all is a copy",
                    chunks.len()
                )));
            }
            chunks => {
                let each: PyResult<Vec<_>> =
                    chunks.iter().map(|chunk| column.array_of(py, chunk, &element)).collect();
                package(py, "numpy", "__array__")?
                    .call_method1(intern!(py, "concatenate"), (each?,))?
            }
        };
        array::of(&array, dtype, copy)
    }

    /// # Safety
    /// As the buffer protocol says: `view` is null or a structure to be filled.
    unsafe fn __getbuffer__(
        slf: Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        let column = slf.get();
        let chunks: Vec<_> = column.chunks().collect();
        let dtype = column.element().and_then(|element| element.dtype());
        let ([chunk], 0, Some(dtype)) = (&chunks[..], column.null_count(), dtype) else {
            return Err(PyBufferError::new_err(
                "only a column of numbers without nulls, of one batch, has a buffer",
            ));
        };
        let len = chunk.len * dtype.item_size();
        let start = chunk.buffers[0].start;
        let data = column.memory.get(&(start..start + len));
        let data = data.ok_or_else(|| PyBufferError::new_err("the column is damaged"))?;
        let descriptor = Descriptor::new(dtype, Order::C, &[chunk.len as u64])
            .map_err(|refused| PyBufferError::new_err(refused.to_string()))?;
        let layout = column.layout.get_or_init(|| Layout::new(&descriptor, dtype));
        // SAFETY: the column owns the memory and the layout, and the view refers to it.
        unsafe { layout.fill(slf.clone().into_any(), data, view, flags) }
    }

    /// Its elements. Needs no other package.
    fn to_pylist<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        self.list_by(&objects::Reader::new(py, &self.memory))
    }

    #[doc = doc!(Column.to_pyarrow)]
    fn to_pyarrow<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let pyarrow = package(slf.py(), "pyarrow", "to_pyarrow")?;
        pyarrow.call_method1(intern!(slf.py(), "chunked_array"), (slf,))
    }

    #[doc = doc!(Column.to_polars)]
    fn to_polars<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let (py, name) = (slf.py(), slf.get().field().name());
        package(py, "polars", "to_polars")?.getattr(intern!(py, "Series"))?.call1((name, slf))
    }

    #[doc = doc!(Column.to_numpy)]
    #[pyo3(signature = (*, zero_copy_only=true))]
    fn to_numpy<'py>(slf: &Bound<'py, Self>, zero_copy_only: bool) -> PyResult<Bound<'py, PyAny>> {
        let (py, column) = (slf.py(), slf.get());
        if zero_copy_only || (column.null_count() == 0 && column.element().is_some()) {
            return Self::__array__(slf, None, zero_copy_only.then_some(false));
        }
        let whole = Self::to_pyarrow(slf)?;
        whole.call_method0(intern!(py, "to_numpy"))
    }

    #[doc = doc!(Column.to_pandas)]
    #[pyo3(signature = (**options))]
    fn to_pandas<'py>(
        slf: &Bound<'py, Self>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        package(slf.py(), "pandas", "to_pandas")?;
        let whole = Self::to_pyarrow(slf)?;
        let series = whole.call_method(intern!(slf.py(), "to_pandas"), (), options)?;
        series.setattr(intern!(slf.py(), "name"), slf.get().field().name())?;
        Ok(series)
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(self.to_pylist(py)?.try_iter()?.into_any())
    }

    fn __len__(&self) -> usize {
        self.count()
    }

    fn __repr__(&self) -> String {
        let (name, kind): (String, String) = (
            self.field().name().chars().take(80).collect(),
            self.field().data_type().to_string().chars().take(200).collect(),
        );
        format!("<slipring.Column {name:?} of {} x {kind}>", self.count())
    }
}
