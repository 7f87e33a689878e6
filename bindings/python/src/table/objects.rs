//! Elements of columns as Python's objects, without another package.
//!
//! The data was checked when the table was read, but a peer can have written to it since. So nothing is taken from it
//! that is not held against what is there.
//!
//! An array may claim elements that take no bytes, and lists may share theirs: what a reader makes is bounded by the
//! bytes there are.

use super::give::Memory;
use super::moments;
use crate::dataclass::made;
use crate::error;
use crate::garbage::Pause;
use crate::value::text::new_text;
use arrow_schema::{DataType, Field, Fields, IntervalUnit, TimeUnit, UnionMode};
use pyo3::exceptions::{PyKeyError, PyOverflowError, PyUnicodeDecodeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyInt, PyList, PyModule, PyString, PyTuple, PyTzInfo};
use pyo3::{IntoPyObjectExt, sync::PyOnceLock};
use slipring_codec::format::arrow::Column;
use slipring_codec::infer;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// Reads elements of the columns in one body.
pub(super) struct Reader<'a, 'py> {
    py: Python<'py>,
    memory: &'a Memory,
    /// Elements that may be made until signals are looked at again.
    room: Cell<usize>,
    /// Elements that may be made behind that.
    left: Cell<usize>,
    is_spent: Cell<bool>,
    /// The last zone that was met, by its offset.
    zone: RefCell<Option<(i16, Bound<'py, PyTzInfo>)>>,
    /// Names of fields, by where these are.
    names: RefCell<Vec<Names<'py>>>,
    /// Which of them were asked for last.
    last: Cell<usize>,
    _pause: Pause,
}

type Names<'py> = (*const (), Rc<[Bound<'py, PyString>]>);

/// Elements that may be made for each byte: eight for each bit, as the smallest elements are bits, and each stands in a
/// row or in structs.
const PER_BYTE: usize = 64;
/// Elements that may be made for none: of columns of nulls, and of few long runs.
const FREE: usize = 1 << 22;
/// So many elements are made between two looks at signals.
const STEP: usize = 1 << 12;
/// So many bytes of a text take as much as an element.
const BYTES_PER_ELEMENT: usize = 8;
/// What a dict, a list or a tuple takes, in elements.
pub(super) const CONTAINER: usize = 4;

/// Refuses fields that share a name: of a dict, which has each key once, one of them would be gone.
pub(super) fn one_of_each(fields: &Fields, what: &str, hint: &str) -> PyResult<()> {
    match twice(fields) {
        None => Ok(()),
        Some(name) => Err(PyValueError::new_err(format!(
            "{what} has several columns named {name:?}, and a dict has each key once: {hint}"
        ))),
    }
}

/// A name that several fields have.
pub(super) fn twice(fields: &Fields) -> Option<&str> {
    let mut names: Vec<&str> = fields.iter().map(|field| &**field.name()).collect();
    names.sort_unstable();
    names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}

#[cold]
fn changed() -> PyErr {
    PyValueError::new_err("the frame was changed while it was read")
}

impl<'a, 'py> Reader<'a, 'py> {
    pub(super) fn new(py: Python<'py>, memory: &'a Memory) -> Self {
        let most = memory.size().saturating_mul(PER_BYTE).saturating_add(FREE);
        let (room, left) = (Cell::new(STEP), Cell::new(most - STEP));
        Self {
            py,
            memory,
            room,
            left,
            is_spent: Cell::new(false),
            zone: RefCell::default(),
            names: RefCell::default(),
            last: Cell::new(0),
            _pause: Pause::new(),
        }
    }

    pub(super) fn py(&self) -> Python<'py> {
        self.py
    }

    /// What Python has no room for, or no zone, told with the place where it stands.
    #[cold]
    pub(super) fn placed(&self, error: PyErr, field: &Field, row: usize) -> PyErr {
        let (py, path) = (self.py, format!("$.columns.{}[{row}]", field.name()));
        let is = |class| error.matches(py, class).unwrap_or(false);
        let told = is(py.get_type::<PyValueError>())
            || is(py.get_type::<PyOverflowError>())
            || is(py.get_type::<PyKeyError>());
        if !told || error::is(py, &error, intern!(py, "Error")) {
            return error;
        }
        // Of a KeyError, which a zone that is not known is, the text is what Python would write.
        let args = error.value(py).getattr(intern!(py, "args")).and_then(|args| args.get_item(0));
        let what = args.map_or_else(|_| error.value(py).to_string(), |what| what.to_string());
        let hint = "take to_pyarrow(), to_pandas() or to_polars(), or look at the column's type";
        let class = intern!(py, "DecodeError");
        let kind = field.data_type().to_string();
        let raised = error::undecodable(py, class, &what, &path, &kind, hint);
        raised.set_cause(py, Some(error));
        raised
    }

    /// Whether it has stopped since it may make no more.
    pub(super) fn is_spent(&self) -> bool {
        self.is_spent.get()
    }

    /// Pays for so many elements.
    #[inline]
    pub(super) fn spend(&self, elements: usize) -> PyResult<()> {
        match self.room.get().checked_sub(elements) {
            Some(room) => {
                self.room.set(room);
                Ok(())
            }
            None => self.refill(elements),
        }
    }

    #[cold]
    fn refill(&self, elements: usize) -> PyResult<()> {
        self.py.check_signals()?;
        let Some(left) = (self.room.get() + self.left.get()).checked_sub(elements) else {
            self.is_spent.set(true);
            let bytes = self.memory.size();
            let what = format!(
                "more elements than are made of {bytes} bytes: {PER_BYTE} for each and {FREE} more"
            );
            let hint = "take to_pyarrow(), which makes none, and slices of that";
            let class = intern!(self.py, "DecodeError");
            return Err(error::undecodable(self.py, class, &what, "$.columns", "arrow", hint));
        };
        self.room.set(left.min(STEP));
        self.left.set(left - left.min(STEP));
        Ok(())
    }

    /// Bytes of an element, paid for: several may share them.
    fn paid(&self, bytes: &'a [u8]) -> PyResult<&'a [u8]> {
        self.spend(bytes.len() / BYTES_PER_ELEMENT)?;
        Ok(bytes)
    }

    /// `N` bytes of a buffer, those with this number.
    fn fixed<const N: usize>(
        &self,
        column: &Column,
        buffer: usize,
        row: usize,
    ) -> PyResult<[u8; N]> {
        let bytes = column.buffers.get(buffer).and_then(|place| self.memory.get(place));
        let bytes = bytes.and_then(|bytes| bytes.get(row * N..)?.first_chunk::<N>());
        bytes.copied().ok_or_else(changed)
    }

    /// An offset or index of this many bytes, as a place.
    fn place(&self, column: &Column, buffer: usize, row: usize, wide: bool) -> PyResult<usize> {
        let place = match wide {
            true => i64::from_le_bytes(self.fixed(column, buffer, row)?),
            false => i32::from_le_bytes(self.fixed(column, buffer, row)?).into(),
        };
        usize::try_from(place).map_err(|_| changed())
    }

    /// The bytes of one element of texts or bytes.
    fn bytes(&self, column: &Column, row: usize, wide: bool) -> PyResult<&'a [u8]> {
        let (start, end) =
            (self.place(column, 0, row, wide)?, self.place(column, 0, row + 1, wide)?);
        let values = self.memory.get(&column.buffers[1]).ok_or_else(changed)?;
        self.paid(values.get(start..end).ok_or_else(changed)?)
    }

    fn viewed(&self, column: &Column, row: usize) -> PyResult<&'a [u8]> {
        let view: [u8; 16] = self.fixed(column, 0, row)?;
        let word =
            |at: usize| i32::from_le_bytes([view[at], view[at + 1], view[at + 2], view[at + 3]]);
        let (len, buffer, offset) = (word(0), word(8), word(12));
        let part = |n: i32| usize::try_from(n).map_err(|_| changed());
        let len = part(len)?;
        let (range, offset) = match len {
            0..=12 => (column.buffers[0].clone(), row * 16 + 4),
            _ => {
                let range = column.buffers.get(1 + part(buffer)?).ok_or_else(changed)?;
                (range.clone(), part(offset)?)
            }
        };
        let values = self.memory.get(&range).ok_or_else(changed)?;
        let found = values.get(offset..).and_then(|values| values.get(..len));
        self.paid(found.ok_or_else(changed)?)
    }

    #[inline]
    fn text(&self, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
        new_text(self.py, bytes).ok_or_else(|| {
            let raised = PyErr::fetch(self.py);
            match raised.is_instance_of::<PyUnicodeDecodeError>(self.py) {
                true => PyValueError::new_err("a text of the table is not UTF-8"),
                false => raised,
            }
        })
    }

    fn list(
        &self,
        field: &Field,
        child: &Column,
        start: usize,
        len: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        if start.checked_add(len).is_none_or(|end| end > child.len) {
            return Err(changed());
        }
        self.spend(CONTAINER)?;
        let list = PyList::empty(self.py);
        for row in start..start + len {
            list.append(self.field(field, child, row)?)?;
        }
        Ok(list.into_any())
    }

    /// A function of `slipring._arrow`.
    fn helper(&self, name: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
        static MODULE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
        let module = MODULE
            .get_or_try_init(self.py, || self.py.import("slipring._arrow").map(Bound::unbind))?;
        module.bind(self.py).getattr(name)
    }

    fn small_decimal(&self, digits: i128, scale: i8) -> PyResult<Bound<'py, PyAny>> {
        match made::small_decimal(self.py, digits, -i128::from(scale))? {
            Some(made) => Ok(made),
            None => self.decimal(digits.into_bound_py_any(self.py)?, scale),
        }
    }

    fn decimal(&self, digits: Bound<'py, PyAny>, scale: i8) -> PyResult<Bound<'py, PyAny>> {
        self.helper(intern!(self.py, "number"))?.call1((digits, scale))
    }

    // What Python has no room for is its own to say.

    fn date(&self, days: i64) -> PyResult<Bound<'py, PyAny>> {
        moments::date(self.py, days)
            .unwrap_or_else(|| self.helper(intern!(self.py, "date"))?.call1((days,)))
    }

    fn time(&self, count: i64, unit: TimeUnit) -> PyResult<Bound<'py, PyAny>> {
        moments::time(self.py, count, unit).unwrap_or_else(|| {
            self.helper(intern!(self.py, "time"))?.call1((count, unit_name(unit)))
        })
    }

    fn timestamp(
        &self,
        count: i64,
        unit: TimeUnit,
        zone: Option<&str>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let made = match zone.map(|name| (name, moments::named(name))) {
            None => moments::timestamp(self.py, count, unit, None),
            Some((_, Some(east))) => {
                let mut last = self.zone.borrow_mut();
                let (_, zone) = match &mut *last {
                    Some(known) if known.0 == east => known,
                    last => last.insert((east, moments::zone(self.py, east)?)),
                };
                moments::timestamp(self.py, count, unit, Some((east, zone)))
            }
            Some((_, None)) => None,
        };
        made.unwrap_or_else(|| {
            self.helper(intern!(self.py, "timestamp"))?.call1((count, unit_name(unit), zone))
        })
    }

    /// The names of the fields of a struct, as objects.
    fn names(&self, fields: &Fields) -> PyResult<Rc<[Bound<'py, PyString>]>> {
        // The table keeps its fields, which no others can have the place of.
        let place: *const () = std::ptr::from_ref(&**fields).cast();
        let mut all = self.names.borrow_mut();
        // Structs come in the same order in each row, or many of one in a list.
        let last = self.last.get();
        let is_at = |at: &usize| all.get(*at).is_some_and(|(known, _)| *known == place);
        let at = [last, last + 1, 0].into_iter().find(is_at);
        let at = at.or_else(|| all.iter().position(|(known, _)| *known == place));
        let at = match at {
            Some(at) => at,
            None => {
                one_of_each(fields, "a struct", "take to_pyarrow()")?;
                let names = fields.iter().map(|field| PyString::new(self.py, field.name()));
                all.push((place, names.collect()));
                all.len() - 1
            }
        };
        self.last.set(at);
        Ok(Rc::clone(&all[at].1))
    }

    /// An element of a column of this field, which may say more of it than its type.
    pub(super) fn field(
        &self,
        field: &Field,
        column: &Column,
        row: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        if let DataType::FixedSizeBinary(16) = column.data_type
            && is_uuid(field)
            && self.is_valid(column, row)
        {
            self.spend(1)?;
            return made::uuid(self.py, self.fixed(column, 0, row)?);
        }
        self.element(column, row)
    }

    pub(super) fn is_valid(&self, column: &Column, row: usize) -> bool {
        column.validity.as_ref().is_none_or(|place| {
            let byte = self.memory.get(place).and_then(|bits| bits.get(row / 8));
            byte.is_none_or(|byte| byte >> (row % 8) & 1 == 1)
        })
    }

    /// The element of a column with this number.
    pub(super) fn element(&self, column: &Column, row: usize) -> PyResult<Bound<'py, PyAny>> {
        use DataType::*;
        let py = self.py;
        self.spend(1)?;
        if !self.is_valid(column, row) {
            return Ok(py.None().into_bound(py));
        }
        macro_rules! number {
            ($kind:ty) => {
                <$kind>::from_le_bytes(self.fixed(column, 0, row)?).into_bound_py_any(py)
            };
        }
        let int = |wide: bool| -> PyResult<i64> {
            Ok(match wide {
                true => i64::from_le_bytes(self.fixed(column, 0, row)?),
                false => i32::from_le_bytes(self.fixed(column, 0, row)?).into(),
            })
        };
        match &column.data_type {
            Null => Ok(py.None().into_bound(py)),
            Boolean => {
                let byte = self.fixed::<1>(column, 0, row / 8)?[0];
                (byte >> (row % 8) & 1 == 1).into_bound_py_any(py)
            }
            Int8 => number!(i8),
            Int16 => number!(i16),
            Int32 => number!(i32),
            Int64 => number!(i64),
            UInt8 => number!(u8),
            UInt16 => number!(u16),
            UInt32 => number!(u32),
            UInt64 => number!(u64),
            Float16 => half(u16::from_le_bytes(self.fixed(column, 0, row)?)).into_bound_py_any(py),
            Float32 => number!(f32),
            Float64 => number!(f64),
            Utf8 => self.text(self.bytes(column, row, false)?),
            LargeUtf8 => self.text(self.bytes(column, row, true)?),
            Utf8View => self.text(self.viewed(column, row)?),
            Binary => Ok(PyBytes::new(py, self.bytes(column, row, false)?).into_any()),
            LargeBinary => Ok(PyBytes::new(py, self.bytes(column, row, true)?).into_any()),
            BinaryView => Ok(PyBytes::new(py, self.viewed(column, row)?).into_any()),
            FixedSizeBinary(width) => {
                let width = *width as usize;
                let values = self.memory.get(&column.buffers[0]).ok_or_else(changed)?;
                let bytes = values.get(row * width..(row + 1) * width).ok_or_else(changed)?;
                Ok(PyBytes::new(py, self.paid(bytes)?).into_any())
            }
            Date32 => self.date(int(false)?),
            Date64 => self.date(int(true)?.div_euclid(86_400_000)),
            Time32(unit) => self.time(int(false)?, *unit),
            Time64(unit) => self.time(int(true)?, *unit),
            Timestamp(unit, zone) => self.timestamp(int(true)?, *unit, zone.as_deref()),
            Duration(unit) => {
                let count = int(true)?;
                moments::duration(py, count, *unit).unwrap_or_else(|| {
                    self.helper(intern!(py, "duration"))?.call1((count, unit_name(*unit)))
                })
            }
            Decimal32(_, scale) => {
                let digits = i32::from_le_bytes(self.fixed(column, 0, row)?);
                self.small_decimal(digits.into(), *scale)
            }
            Decimal64(_, scale) => {
                let digits = i64::from_le_bytes(self.fixed(column, 0, row)?);
                self.small_decimal(digits.into(), *scale)
            }
            Decimal128(_, scale) => {
                let digits = i128::from_le_bytes(self.fixed(column, 0, row)?);
                self.small_decimal(digits, *scale)
            }
            Decimal256(_, scale) => {
                let bytes = PyBytes::new(py, &self.fixed::<32>(column, 0, row)?);
                let signed = PyDict::new(py);
                signed.set_item(intern!(py, "signed"), true)?;
                let digits = py.get_type::<PyInt>().call_method(
                    intern!(py, "from_bytes"),
                    (bytes, intern!(py, "little")),
                    Some(&signed),
                )?;
                self.decimal(digits, *scale)
            }
            Interval(IntervalUnit::YearMonth) => int(false)?.into_bound_py_any(py),
            Interval(IntervalUnit::DayTime) => {
                let parts: [u8; 8] = self.fixed(column, 0, row)?;
                let [a, b, c, d, e, f, g, h] = parts;
                let parts = [i32::from_le_bytes([a, b, c, d]), i32::from_le_bytes([e, f, g, h])];
                Ok(PyTuple::new(py, parts)?.into_any())
            }
            Interval(IntervalUnit::MonthDayNano) => {
                let months: [u8; 4] = self.fixed(column, 0, row * 4)?;
                let days: [u8; 4] = self.fixed(column, 0, row * 4 + 1)?;
                let nanos: [u8; 8] = self.fixed(column, 0, row * 2 + 1)?;
                let (months, days) = (i32::from_le_bytes(months), i32::from_le_bytes(days));
                (months, days, i64::from_le_bytes(nanos)).into_bound_py_any(py)
            }
            List(item) | LargeList(item) => {
                let wide = matches!(column.data_type, LargeList(_));
                let start = self.place(column, 0, row, wide)?;
                let end = self.place(column, 0, row + 1, wide)?;
                let len = end.checked_sub(start).ok_or_else(changed)?;
                self.list(item, &column.children[0], start, len)
            }
            ListView(item) | LargeListView(item) => {
                let wide = matches!(column.data_type, LargeListView(_));
                let start = self.place(column, 0, row, wide)?;
                self.list(item, &column.children[0], start, self.place(column, 1, row, wide)?)
            }
            FixedSizeList(item, size) => {
                let size = *size as usize;
                self.list(item, &column.children[0], row * size, size)
            }
            Map(..) => {
                let (start, end) =
                    (self.place(column, 0, row, false)?, self.place(column, 0, row + 1, false)?);
                let entries = &column.children[0];
                if end > entries.len || entries.children.len() != 2 {
                    return Err(changed());
                }
                self.spend(CONTAINER)?;
                let pairs = PyList::empty(py);
                for at in start..end {
                    self.spend(CONTAINER)?;
                    let key = self.element(&entries.children[0], at)?;
                    pairs.append((key, self.element(&entries.children[1], at)?))?;
                }
                Ok(pairs.into_any())
            }
            Struct(fields) => {
                self.spend(CONTAINER)?;
                let dict = PyDict::new(py);
                let names = self.names(fields)?;
                for ((name, field), child) in names.iter().zip(fields).zip(&column.children) {
                    dict.set_item(name, self.field(field, child, row)?)?;
                }
                Ok(dict.into_any())
            }
            Union(fields, mode) => {
                let id = i8::from_le_bytes(self.fixed(column, 0, row)?);
                let number = fields.iter().position(|(known, _)| known == id);
                let child = number.and_then(|number| column.children.get(number));
                let at = match mode {
                    UnionMode::Sparse => row,
                    UnionMode::Dense => self.place(column, 1, row, false)?,
                };
                let child = child.filter(|child| at < child.len).ok_or_else(changed)?;
                self.element(child, at)
            }
            Dictionary(key, _) => {
                let index = match **key {
                    Int8 => i64::from(i8::from_le_bytes(self.fixed(column, 0, row)?)),
                    UInt8 => i64::from(u8::from_le_bytes(self.fixed(column, 0, row)?)),
                    Int16 => i64::from(i16::from_le_bytes(self.fixed(column, 0, row)?)),
                    UInt16 => i64::from(u16::from_le_bytes(self.fixed(column, 0, row)?)),
                    Int32 => i64::from(i32::from_le_bytes(self.fixed(column, 0, row)?)),
                    UInt32 => i64::from(u32::from_le_bytes(self.fixed(column, 0, row)?)),
                    _ => i64::from_le_bytes(self.fixed(column, 0, row)?),
                };
                let values = column.dictionary.as_deref().ok_or_else(changed)?;
                let index = usize::try_from(index).ok().filter(|&index| index < values.len);
                self.element(values, index.ok_or_else(changed)?)
            }
            RunEndEncoded(ends, _) => {
                let [runs, values] = &column.children[..] else { return Err(changed()) };
                let end = |run: usize| -> PyResult<i64> {
                    Ok(match ends.data_type() {
                        Int16 => i16::from_le_bytes(self.fixed(runs, 0, run)?).into(),
                        Int32 => i32::from_le_bytes(self.fixed(runs, 0, run)?).into(),
                        _ => i64::from_le_bytes(self.fixed(runs, 0, run)?),
                    })
                };
                let (mut low, mut high) = (0, runs.len);
                while low < high {
                    let middle = low.midpoint(high);
                    if end(middle)? > row as i64 { high = middle } else { low = middle + 1 }
                }
                if low >= values.len {
                    return Err(changed());
                }
                self.element(values, low)
            }
        }
    }
}

/// Whether a field says that its 16 bytes are a UUID.
fn is_uuid(field: &Field) -> bool {
    field.metadata().get(infer::EXTENSION).is_some_and(|name| name == infer::UUID)
}

fn unit_name(unit: TimeUnit) -> &'static str {
    match unit {
        TimeUnit::Second => "s",
        TimeUnit::Millisecond => "ms",
        TimeUnit::Microsecond => "us",
        TimeUnit::Nanosecond => "ns",
    }
}

/// IEEE 754's binary16.
fn half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1F), f64::from(bits & 0x3FF));
    match exponent {
        0 => sign * fraction * 2f64.powi(-24),
        0x1F if fraction == 0.0 => sign * f64::INFINITY,
        0x1F => f64::NAN,
        _ => sign * (1.0 + fraction / 1024.0) * 2f64.powi(exponent - 15),
    }
}
