//! Records under a schema: each value goes straight into the column that was announced for it, and nothing is inferred.
//!
//! What is taken is what `pyarrow.Table.from_pylist` takes for a schema, where nothing of it is lost: an integer among floats if a
//! float holds it exactly, and a float in the nearest of the floats that were announced, as long as it is finite there. A bool is no
//! number, a float no integer, and a key that was not announced is refused.

use super::moments;
use super::records;
use crate::value::fault::type_name;
use crate::value::pairs;
use arrow_array::types::{ArrowPrimitiveType, Float16Type};
use arrow_buffer::{BooleanBufferBuilder, Buffer, NullBuffer};
use arrow_data::ArrayData;
use arrow_schema::{DataType, Field, Fields, TimeUnit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::critical_section::with_critical_section;
use pyo3::types::{PyDateTime, PyDict, PyList, PyString, PyTimeAccess, PyTuple, PyTzInfoAccess};
use slipring_codec::evolution::{Constant, default_of};
use slipring_codec::format::arrow::Rows;
use slipring_codec::infer::Scalar;

type Half = <Float16Type as ArrowPrimitiveType>::Native;

/// Why a value has no place in its column.
pub(super) struct Misplaced {
    /// From the record on.
    pub(super) path: String,
    /// What is there, and what was announced; neither of a key that is missing.
    pub(super) was: Option<String>,
    pub(super) wants: Option<String>,
    pub(super) why: Why,
}

#[derive(Clone, Copy)]
pub(super) enum Why {
    Missing,
    Null,
    Type,
    /// It is of that type, and beyond what the column holds.
    Range,
    Unknown,
    Large,
}

impl Why {
    /// As faults of schemas are named.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Why::Missing => "missing",
            Why::Null => "nullable",
            Why::Type | Why::Range | Why::Large => "type",
            Why::Unknown => "unknown",
        }
    }
}

impl Misplaced {
    fn under(mut self, key: &str) -> Self {
        self.path.insert_str(0, &format!(".{key}"));
        self
    }

    fn at(mut self, number: usize) -> Self {
        self.path.insert_str(0, &format!("[{number}]"));
        self
    }

    /// What is wrong, but where.
    pub(super) fn what(&self) -> String {
        let (was, wants) = (self.was.as_deref().unwrap_or(""), self.wants.as_deref().unwrap_or(""));
        match self.why {
            Why::Missing => format!("a key is missing whose column, {wants}, may not be null"),
            Why::Null => format!("None stands where {wants} that may not be null was announced"),
            Why::Type => format!("a value of type {was} stands where {wants} was announced"),
            Why::Range => format!("{was} is no {wants}"),
            Why::Unknown => "the key was not announced".to_owned(),
            Why::Large => format!("there is more than {wants} can count"),
        }
    }

    pub(super) fn hint(&self) -> &'static str {
        match self.why {
            Why::Missing => "give the key, or announce a column that may be null or has a default",
            Why::Null => "give a value, or announce a column that may be null",
            Why::Type | Why::Range => "give what was announced, or announce another type",
            Why::Unknown => "leave the key away, or announce a column of that name",
            Why::Large => "announce a large type, or send the records in several frames",
        }
    }
}

/// Whether elements can be written as this column; those of other types are inferred first.
pub(super) fn may_be(field: &Field) -> bool {
    use DataType::*;
    match field.data_type() {
        Null | Boolean | Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32 | UInt64 => true,
        Float16 | Float32 | Float64 | Date32 | Date64 | Time32(_) | Time64(_) => true,
        Timestamp(..) | Duration(_) | Decimal32(..) | Decimal64(..) | Decimal128(..) => true,
        Utf8 | LargeUtf8 | Binary | LargeBinary | FixedSizeBinary(_) => true,
        List(item) | LargeList(item) => may_be(item),
        Struct(fields) => !fields.is_empty() && fields.iter().all(|field| may_be(field)),
        _ => false,
    }
}

/// The records as these columns, of each of which [`may_be`] is true.
pub(super) fn rows(list: &Bound<'_, PyList>, fields: &Fields) -> Result<Rows, Misplaced> {
    let mut columns = Columns::of(list.py(), fields);
    for (number, record) in list.iter().enumerate() {
        columns.push(&record).map_err(|misplaced| misplaced.at(number))?;
    }
    let columns = columns.columns.into_iter().map(Column::finish).collect();
    Ok(Rows { len: list.len(), columns })
}

/// The columns of records, or of the maps under a key.
struct Columns<'f, 'py> {
    columns: Vec<Column<'f, 'py>>,
}

struct Column<'f, 'py> {
    field: &'f Field,
    name: Bound<'py, PyString>,
    default: Option<Constant>,
    len: usize,
    /// Made with the first null.
    validity: Option<BooleanBufferBuilder>,
    values: Values<'f, 'py>,
}

enum Values<'f, 'py> {
    Null,
    Bool(BooleanBufferBuilder),
    /// Elements of so many bytes.
    Fixed(Vec<u8>, usize),
    /// Where each ends, the bytes, and the most of them.
    Bytes(Vec<i64>, Vec<u8>, usize),
    List(Vec<i64>, Box<Column<'f, 'py>>, usize),
    Struct(Columns<'f, 'py>),
}

impl<'f, 'py> Columns<'f, 'py> {
    fn of(py: Python<'py>, fields: &'f Fields) -> Self {
        Self { columns: fields.iter().map(|field| Column::of(py, field)).collect() }
    }

    fn push(&mut self, record: &Bound<'py, PyAny>) -> Result<(), Misplaced> {
        let fields;
        let dict = match record.cast::<PyDict>() {
            Ok(dict) => dict,
            Err(_) => match records::fields(record) {
                Some(found) => {
                    fields = found;
                    &fields
                }
                None => return Err(odd(record, "a dict", Why::Type)),
            },
        };
        let mut found = with_critical_section(dict, || self.push_ahead(dict))?;
        for column in &mut self.columns[found..] {
            let pushed = match dict.get_item(&column.name) {
                Ok(Some(value)) => {
                    found += 1;
                    column.push(&value)
                }
                // What can't be compared is no such key.
                _ => column.missing(),
            };
            pushed.map_err(|misplaced| misplaced.under(column.field.name()))?;
        }
        if found == dict.len() {
            return Ok(());
        }
        let unknown = dict.keys().iter().find(|key| {
            let known = |column: &Column<'_, '_>| key.eq(&column.name).unwrap_or(false);
            !self.columns.iter().any(known)
        });
        let Some(unknown) = unknown else { return Ok(()) };
        let name = unknown.str().map_or_else(|_| type_name(&unknown), |name| name.to_string());
        let none = Misplaced { path: String::new(), was: None, wants: None, why: Why::Unknown };
        Err(none.under(&name))
    }

    /// Pushes the values of the first columns, as long as the keys are those in that order, which costs no look-up; answers how many.
    fn push_ahead(&mut self, dict: &Bound<'py, PyDict>) -> Result<usize, Misplaced> {
        let (mut ahead, mut at) = (0, 0);
        // SAFETY: a dict, which we hold.
        while let Some((key, value)) = unsafe { pairs::next(dict.as_ptr(), &mut at) } {
            let py = dict.py();
            // SAFETY: what the call gives is alive until code of others runs.
            let (key, value) =
                unsafe { (Borrowed::from_ptr(py, key), Borrowed::from_ptr(py, value)) };
            let Some(column) = self.columns.get_mut(ahead) else { break };
            if !key.is(&column.name) {
                // The same text may be another object, which is then mostly that of the next records, too.
                match key.cast_exact::<PyString>() {
                    Ok(text) if text.to_str().is_ok_and(|text| text == column.field.name()) => {
                        column.name = text.to_owned();
                    }
                    _ => break,
                }
            }
            match records::quick(&value).and_then(|scalar| column.push_quick(scalar)) {
                Some(()) => {}
                // Such code may run from here on.
                None => {
                    let pushed = column.push(&value.to_owned());
                    pushed.map_err(|misplaced| misplaced.under(column.field.name()))?;
                }
            }
            ahead += 1;
        }
        Ok(ahead)
    }

    fn nothing(&mut self) {
        self.columns.iter_mut().for_each(Column::nothing);
    }
}

impl<'f, 'py> Column<'f, 'py> {
    fn of(py: Python<'py>, field: &'f Field) -> Self {
        use DataType::*;
        const SMALL: usize = i32::MAX as usize;
        const LARGE: usize = i64::MAX as usize;
        let values = match field.data_type() {
            Null => Values::Null,
            Boolean => Values::Bool(BooleanBufferBuilder::new(1024)),
            Utf8 | Binary => Values::Bytes(vec![0], Vec::new(), SMALL),
            LargeUtf8 | LargeBinary => Values::Bytes(vec![0], Vec::new(), LARGE),
            List(item) => Values::List(vec![0], Box::new(Column::of(py, item)), SMALL),
            LargeList(item) => Values::List(vec![0], Box::new(Column::of(py, item)), LARGE),
            Struct(fields) => Values::Struct(Columns::of(py, fields)),
            FixedSizeBinary(width) => Values::Fixed(Vec::new(), (*width).max(0) as usize),
            other => Values::Fixed(Vec::new(), other.primitive_width().unwrap_or(0)),
        };
        let (name, default) = (PyString::new(py, field.name()), default_of(field));
        Self { field, name, default, len: 0, validity: None, values }
    }

    /// Pushes what is frequent, if it fits.
    #[inline]
    fn push_quick(&mut self, scalar: Scalar<'_>) -> Option<()> {
        put(&mut self.values, self.field.data_type(), scalar).ok()?;
        self.count();
        Some(())
    }

    fn push(&mut self, value: &Bound<'py, PyAny>) -> Result<(), Misplaced> {
        if value.is_none() {
            if !self.field.is_nullable() {
                return Err(odd(value, &self.field.data_type().to_string(), Why::Null));
            }
            self.nothing();
            return Ok(());
        }
        let wants = self.field.data_type();
        let refused = |why| Err(odd(value, &wants.to_string(), why));
        match &mut self.values {
            Values::Null => return refused(Why::Type),
            Values::Struct(columns) => columns.push(value)?,
            Values::List(ends, items, most) => {
                let list = value.cast::<PyList>().ok().map(|list| list.as_any().clone());
                let list =
                    list.or_else(|| value.cast::<PyTuple>().ok().map(|t| t.as_any().clone()));
                let list = list.or_else(|| {
                    let array = value.getattr(intern!(value.py(), "tolist")).ok()?;
                    array.call0().ok().filter(|made| made.is_instance_of::<PyList>())
                });
                let Some(list) = list else { return refused(Why::Type) };
                let Ok(each) = list.try_iter() else { return refused(Why::Type) };
                for (number, item) in each.enumerate() {
                    let Ok(item) = item else { return refused(Why::Type) };
                    items.push(&item).map_err(|misplaced| misplaced.at(number))?;
                }
                if items.len > *most {
                    return refused(Why::Large);
                }
                ends.push(items.len as i64);
            }
            values => {
                let mut pushed = records::exactly(value, |scalar| put(values, wants, scalar));
                if pushed.is_none() {
                    // A moment of a named zone, a subclass, an element of an array.
                    let Some(plain) = plain(value) else { return refused(Why::Type) };
                    // NaT, of NumPy's or of pandas'.
                    if plain.is_none() {
                        return self.push(&plain);
                    }
                    pushed = records::exactly(&plain, |scalar| put(values, wants, scalar));
                }
                if let Err(why) = pushed.unwrap_or(Err(Why::Type)) {
                    return refused(why);
                }
            }
        }
        self.count();
        Ok(())
    }

    fn count(&mut self) {
        self.len += 1;
        if let Some(validity) = &mut self.validity {
            validity.append(true);
        }
    }

    /// A record has no such key.
    fn missing(&mut self) -> Result<(), Misplaced> {
        match (&self.default, &mut self.values) {
            (Some(Constant::Bool(truth)), Values::Bool(bits)) => bits.append(*truth),
            (Some(Constant::Fixed(element)), Values::Fixed(bytes, _)) => {
                bytes.extend_from_slice(element);
            }
            (Some(Constant::Text(text)), Values::Bytes(ends, bytes, _)) => {
                bytes.extend_from_slice(text.as_bytes());
                ends.push(bytes.len() as i64);
            }
            _ if self.field.is_nullable() => {
                self.nothing();
                return Ok(());
            }
            _ => {
                let wants = Some(self.field.data_type().to_string());
                return Err(Misplaced { path: String::new(), was: None, wants, why: Why::Missing });
            }
        }
        self.count();
        Ok(())
    }

    /// A null, and zeros for it.
    fn nothing(&mut self) {
        let len = self.len;
        let validity = self.validity.get_or_insert_with(|| {
            let mut validity = BooleanBufferBuilder::new(len + 1);
            validity.append_n(len, true);
            validity
        });
        validity.append(false);
        match &mut self.values {
            Values::Null => {}
            Values::Bool(bits) => bits.append(false),
            Values::Fixed(bytes, width) => bytes.resize(bytes.len() + *width, 0),
            Values::Bytes(ends, bytes, _) => ends.push(bytes.len() as i64),
            Values::List(ends, items, _) => ends.push(items.len as i64),
            Values::Struct(columns) => columns.nothing(),
        }
        self.len += 1;
    }

    fn finish(mut self) -> ArrayData {
        let data_type = self.field.data_type().clone();
        let offsets = |ends: Vec<i64>, most: usize| match i32::try_from(most) {
            Ok(_) => ends.iter().map(|&end| end as i32).collect(),
            Err(_) => Buffer::from_vec(ends),
        };
        let (buffers, children) = match self.values {
            Values::Null => (vec![], vec![]),
            Values::Bool(mut bits) => (vec![bits.finish().into_inner()], vec![]),
            Values::Fixed(bytes, _) => (vec![Buffer::from_vec(bytes)], vec![]),
            Values::Bytes(ends, bytes, most) => {
                (vec![offsets(ends, most), Buffer::from_vec(bytes)], vec![])
            }
            Values::List(ends, items, most) => (vec![offsets(ends, most)], vec![items.finish()]),
            Values::Struct(columns) => {
                (vec![], columns.columns.into_iter().map(Column::finish).collect())
            }
        };
        let nulls = self.validity.as_mut().map(|bits| NullBuffer::new(bits.finish()));
        let nulls = nulls.filter(|_| data_type != DataType::Null);
        let data = ArrayData::builder(data_type).len(self.len).nulls(nulls).buffers(buffers);
        // The buffers are of this module's making; those of bytes are aligned for no element yet.
        let data = data.child_data(children).align_buffers(true).build();
        data.unwrap_or_else(|error| unreachable!("{error}"))
    }
}

#[cold]
fn odd(value: &Bound<'_, PyAny>, wants: &str, why: Why) -> Misplaced {
    let was = match why {
        Why::Range => value.repr().map_or_else(
            |_| type_name(value),
            |told| told.to_string_lossy().chars().take(60).collect(),
        ),
        _ => type_name(value),
    };
    Misplaced { path: String::new(), was: Some(was), wants: Some(wants.to_owned()), why }
}

/// What is no element itself as one that is: a moment in UTC, the text, number, bytes or time of a subclass, NumPy's elements as Python's.
fn plain<'py>(value: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
    if let Some(plain) = moments::plain(value) {
        return Some(plain);
    }
    let plain = scalar_of(value)?;
    let told = plain.cast_exact::<PyDateTime>();
    match told.is_ok_and(|moment| moment.get_tzinfo().is_some() || moment.get_fold()) {
        true => moments::plain(&plain),
        false => Some(plain),
    }
}

/// The text, number, bytes or time of a subclass, and NumPy's elements as Python's.
pub(super) fn scalar_of<'py>(value: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
    let py = value.py();
    if let Some(time) = moments::standard(value) {
        return Some(time);
    }
    if let Ok(text) = value.cast::<PyString>() {
        return Some(PyString::new(py, text.to_str().ok()?).into_any());
    }
    if let Ok(item) = value.getattr(intern!(py, "item"))
        && let Ok(item) = item.call0()
        && !item.is(value)
    {
        // A time that Python has no type for comes as its count.
        let is_count = item.is_exact_instance_of::<pyo3::types::PyInt>() && is_time(value);
        return (!is_count).then_some(item);
    }
    if value.is_instance_of::<pyo3::types::PyFloat>() {
        return Some(value.extract::<f64>().ok()?.into_pyobject(py).ok()?.into_any());
    }
    if value.is_instance_of::<pyo3::types::PyInt>()
        && !value.is_instance_of::<pyo3::types::PyBool>()
    {
        return match value.extract::<i64>() {
            Ok(int) => Some(int.into_pyobject(py).ok()?.into_any()),
            Err(_) => Some(value.extract::<u64>().ok()?.into_pyobject(py).ok()?.into_any()),
        };
    }
    None
}

/// Whether it is a time or a length of time of NumPy's.
fn is_time(value: &Bound<'_, PyAny>) -> bool {
    let kind = value
        .getattr(intern!(value.py(), "dtype"))
        .and_then(|dtype| dtype.getattr(intern!(value.py(), "kind"))?.extract::<char>());
    kind.is_ok_and(|kind| matches!(kind, 'm' | 'M'))
}

/// Puts an element behind the others.
#[inline]
fn put(values: &mut Values<'_, '_>, wants: &DataType, scalar: Scalar<'_>) -> Result<(), Why> {
    use DataType::{Binary, LargeBinary, LargeUtf8, Utf8};
    match (values, wants, scalar) {
        (Values::Bool(bits), _, Scalar::Bool(truth)) => bits.append(truth),
        (Values::Bytes(ends, bytes, most), Utf8 | LargeUtf8, Scalar::Text(text)) => {
            return append(ends, bytes, *most, text.as_bytes());
        }
        (Values::Bytes(ends, bytes, most), Binary | LargeBinary, Scalar::Bytes(some)) => {
            return append(ends, bytes, *most, some);
        }
        (Values::Fixed(bytes, width), DataType::FixedSizeBinary(_), Scalar::Bytes(some)) => {
            if some.len() != *width {
                return Err(Why::Range);
            }
            bytes.extend_from_slice(some);
        }
        (Values::Fixed(bytes, 16), DataType::FixedSizeBinary(_), Scalar::Uuid(uuid)) => {
            bytes.extend_from_slice(&uuid);
        }
        (Values::Fixed(bytes, _), wants, scalar) => return element(bytes, wants, scalar),
        _ => return Err(Why::Type),
    }
    Ok(())
}

fn append(ends: &mut Vec<i64>, bytes: &mut Vec<u8>, most: usize, some: &[u8]) -> Result<(), Why> {
    if bytes.len() + some.len() > most {
        return Err(Why::Large);
    }
    bytes.extend_from_slice(some);
    ends.push(bytes.len() as i64);
    Ok(())
}

/// Appends an element of fixed width.
#[inline]
fn element(out: &mut Vec<u8>, wants: &DataType, scalar: Scalar<'_>) -> Result<(), Why> {
    use DataType::*;
    macro_rules! int {
        ($kind:ty) => {
            match scalar {
                Scalar::Int(int) => out.extend_from_slice(
                    &<$kind>::try_from(int).map_err(|_| Why::Range)?.to_le_bytes(),
                ),
                Scalar::Unsigned(int) => out.extend_from_slice(
                    &<$kind>::try_from(int).map_err(|_| Why::Range)?.to_le_bytes(),
                ),
                _ => return Err(Why::Type),
            }
        };
    }
    match wants {
        Int8 => int!(i8),
        Int16 => int!(i16),
        Int32 => int!(i32),
        Int64 => int!(i64),
        UInt8 => int!(u8),
        UInt16 => int!(u16),
        UInt32 => int!(u32),
        UInt64 => int!(u64),
        Float64 => out.extend_from_slice(&float(scalar, 53)?.to_le_bytes()),
        Float32 => {
            let wide = float(scalar, 24)?;
            out.extend_from_slice(&held(wide, wide as f32, f32::is_finite)?.to_le_bytes());
        }
        Float16 => {
            let wide = float(scalar, 11)?;
            out.extend_from_slice(
                &held(wide, Half::from_f64(wide), Half::is_finite)?.to_le_bytes(),
            );
        }
        Decimal32(..) | Decimal64(..) | Decimal128(..) => {
            let digits = decimal(wants, scalar)?;
            let width = wants.primitive_width().unwrap_or(16);
            out.extend_from_slice(&digits.to_le_bytes()[..width]);
        }
        _ => {
            let count = count(wants, scalar)?;
            match wants.primitive_width() {
                Some(4) => {
                    out.extend_from_slice(
                        &i32::try_from(count).map_err(|_| Why::Range)?.to_le_bytes(),
                    );
                }
                _ => out.extend_from_slice(&count.to_le_bytes()),
            }
        }
    }
    Ok(())
}

/// A float, or an integer that one of so many bits holds exactly, as all up to there.
fn float(scalar: Scalar<'_>, bits: u32) -> Result<f64, Why> {
    match scalar {
        Scalar::Float(float) => Ok(float),
        Scalar::Int(int) if int.unsigned_abs() <= 1 << bits => Ok(int as f64),
        Scalar::Int(_) | Scalar::Unsigned(_) => Err(Why::Range),
        _ => Err(Why::Type),
    }
}

/// The nearest float, unless a number became infinite.
fn held<T: Copy>(wide: f64, nearest: T, is_finite: impl Fn(T) -> bool) -> Result<T, Why> {
    if wide.is_finite() && !is_finite(nearest) { Err(Why::Range) } else { Ok(nearest) }
}

/// The digits of a decimal as the column has them, with no digit lost.
fn decimal(wants: &DataType, scalar: Scalar<'_>) -> Result<i128, Why> {
    use DataType::{Decimal32, Decimal64, Decimal128};
    let (Decimal32(precision, places)
    | Decimal64(precision, places)
    | Decimal128(precision, places)) = *wants
    else {
        return Err(Why::Type);
    };
    let (digits, scale) = match scalar {
        Scalar::Int(int) => (i128::from(int), 0),
        Scalar::Unsigned(int) => (i128::from(int), 0),
        Scalar::Decimal { high, low, scale, .. } => {
            ((i128::from(high) << 64) | i128::from(low), scale)
        }
        _ => return Err(Why::Type),
    };
    let more = i32::from(places) - i32::from(scale);
    let factor = 10i128.checked_pow(more.unsigned_abs());
    let digits = match factor {
        _ if digits == 0 => Some(0),
        Some(factor) if more >= 0 => digits.checked_mul(factor),
        Some(factor) if digits % factor == 0 => Some(digits / factor),
        _ => None,
    };
    let most = 10u128.checked_pow(precision.into()).unwrap_or(u128::MAX);
    digits.filter(|digits| digits.unsigned_abs() < most).ok_or(Why::Range)
}

/// Dates, times and lengths of time in the steps of the column, with none lost.
fn count(wants: &DataType, scalar: Scalar<'_>) -> Result<i64, Why> {
    use DataType::*;
    let (unit, micros) = match (wants, scalar) {
        (Date32, Scalar::Date(days)) => return Ok(days.into()),
        (Date64, Scalar::Date(days)) => return Ok(i64::from(days) * 86_400_000),
        (Time32(unit) | Time64(unit), Scalar::Time(micros)) => (unit, micros),
        (Timestamp(unit, None), Scalar::Naive(micros)) => (unit, micros),
        (Timestamp(unit, Some(_)), Scalar::Moment { micros, .. }) => (unit, micros),
        (Duration(unit), Scalar::Duration(micros)) => (unit, micros),
        _ => return Err(Why::Type),
    };
    let whole = |steps: i64| (micros % steps == 0).then_some(micros / steps);
    let count = match unit {
        TimeUnit::Second => whole(1_000_000),
        TimeUnit::Millisecond => whole(1_000),
        TimeUnit::Microsecond => Some(micros),
        TimeUnit::Nanosecond => micros.checked_mul(1_000),
    };
    count.ok_or(Why::Range)
}
