//! Dicts of columns as tables.

use super::pandas;
use super::records::{ASKED, Inside, Odd, exact_text, fill_quickly};
use super::take::{self, Incoming};
use crate::array::{self, Candidate, Role};
use crate::value::fault::type_name;
use arrow_buffer::{Buffer, MutableBuffer, NullBuffer};
use arrow_data::ArrayData;
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyRange, PyTuple};
use slipring_codec::format::arrow::Rows;
use slipring_codec::format::ndarray::{ByteOrder, Element, Kind, TimeUnit as Unit};
use slipring_codec::infer::{Misfit, Records};
use std::panic::AssertUnwindSafe;
use std::ptr::NonNull;
use std::sync::Arc;

/// A dict of columns as a table, those apart that `known` makes; the inner error says why it is none.
pub(super) fn of<'py>(
    columns: &Bound<'py, PyDict>,
    known: impl Fn(&str, &Bound<'py, PyAny>) -> PyResult<Option<(Field, ArrayData)>>,
) -> PyResult<Result<Incoming, Odd>> {
    let (mut fields, mut arrays) = (Vec::new(), Vec::<ArrayData>::new());
    for (name, column) in pairs(columns) {
        let Some(name) = exact_text(&name) else {
            let what = "a column has a name that is no text".to_owned();
            return Ok(Err(Odd { what, path: "$".to_owned() }));
        };
        let (field, data) = match known(name, &column)? {
            Some(made) => made,
            None => match one(name, &column)? {
                Ok(found) => found,
                Err(why) => return Ok(Err(why)),
            },
        };
        if arrays.first().is_some_and(|first| first.len() != data.len()) {
            let first = arrays.first().map_or(0, ArrayData::len);
            let what = format!("column {name:?} has {} elements, the first {first}", data.len());
            return Ok(Err(odd(name, what)));
        }
        fields.push(field);
        arrays.push(data);
    }
    let len = arrays.first().map_or(0, ArrayData::len);
    let batches = vec![Rows { len, columns: arrays }];
    Ok(Ok(Incoming { schema: Schema::new(fields), batches, inferred: true }))
}

/// The columns as they are now: code of others, which may change the dict, runs while they are taken in.
fn pairs<'py>(columns: &Bound<'py, PyDict>) -> Vec<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    columns.iter().collect()
}

/// Elements that are gone through only to see whether they are columns.
const FEW: usize = 1 << 12;

/// Whether an object is a dict of columns that make a table, or why they make none; `None` of what has no column. Of long ones that
/// are of one length it is not seen whether their elements come together in a type.
pub(crate) fn look(object: &Bound<'_, PyAny>) -> PyResult<Option<Result<(), Odd>>> {
    let Ok(columns) = object.cast::<PyDict>() else { return Ok(None) };
    let (mut len, mut alike) = (None, true);
    for (_, column) in pairs(columns) {
        let is_column =
            is_list(&column) || array::role(&column)? == Role::Array || take::shows(&column)?;
        match column.len() {
            Ok(found) if is_column => alike &= *len.get_or_insert(found) == found,
            _ => alike = false,
        }
    }
    match len {
        None => Ok(None),
        Some(len) if alike && len * columns.len() > FEW => Ok(Some(Ok(()))),
        Some(_) => Ok(Some(of(columns, |_, _| Ok(None))?.map(drop))),
    }
}

type One = Result<(Field, ArrayData), Odd>;

#[cold]
fn odd(name: &str, what: String) -> Odd {
    Odd { what, path: format!("$.{name}") }
}

#[cold]
fn dimensions(name: &str, count: usize) -> Odd {
    odd(name, format!("column {name:?} has {count} dimensions"))
}

pub(super) fn is_list(object: &Bound<'_, PyAny>) -> bool {
    object.is_instance_of::<PyList>()
        || object.is_instance_of::<PyTuple>()
        || object.is_instance_of::<PyRange>()
}

/// The elements of a list, or of what has them as one: a tuple, a range, an array of NumPy's.
pub(super) fn sequence<'py>(object: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
    if object.is_instance_of::<PyList>() {
        return Some(object.clone());
    }
    if is_list(object) {
        let list = object.try_iter().ok()?.collect::<PyResult<Vec<_>>>().ok()?;
        return PyList::new(object.py(), list).ok().map(Bound::into_any);
    }
    if array::role(object).ok()? != Role::Array {
        return None;
    }
    let list = object.call_method0(intern!(object.py(), "tolist")).ok()?;
    list.is_instance_of::<PyList>().then_some(list)
}

/// The elements of a column that is of none of a library's types, if it has them one by one: times of NumPy's are counts, and its numbers
/// may be of the type that is wanted.
pub(super) fn elements_for<'py>(
    column: &Bound<'py, PyAny>,
    wants: &DataType,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = column.py();
    if is_list(column) {
        return Ok(Some(column.clone()));
    }
    if take::shows(column)? || array::role(column)? != Role::Array {
        return Ok(None);
    }
    let kind: char =
        column.getattr(intern!(py, "dtype"))?.getattr(intern!(py, "kind"))?.extract()?;
    let is_same =
        || Ok::<_, PyErr>(one("", column)?.is_ok_and(|(found, _)| found.data_type() == wants));
    match kind {
        'b' | 'i' | 'u' | 'f' if !is_same()? => {}
        'U' | 'S' | 'T' | 'O' => {}
        _ => return Ok(None),
    }
    column.call_method0(intern!(py, "tolist")).map(Some)
}

/// A column: of a library's, an array, or anything that has its elements in order.
fn one(name: &str, column: &Bound<'_, PyAny>) -> PyResult<One> {
    if take::shows(column)? {
        let Incoming { schema, mut batches, .. } = take::whole(column)?;
        let marked = schema.metadata().get(take::COLUMN).is_some();
        return Ok(match (batches.len(), marked) {
            (1, true) => {
                let field = schema.field(0).clone().with_name(name);
                Ok((field, batches.remove(0).columns.remove(0)))
            }
            (_, true) => {
                let what = format!("column {name:?} is in several pieces: put them together first");
                Err(odd(name, what))
            }
            _ => Err(odd(name, format!("column {name:?} is a table of its own"))),
        });
    }
    if array::role(column)? == Role::Array {
        return of_numpy(name, column);
    }
    if let Candidate::Array(array) = array::look(column)? {
        return numbers(name, column, &array);
    }
    match sequence(column) {
        Some(items) => elements(name, &items),
        None => Ok(Err(odd(name, format!("column {name:?} is of type {}", type_name(column))))),
    }
}

/// A column of these elements, of the type that holds them all.
fn elements(name: &str, items: &Bound<'_, PyAny>) -> PyResult<One> {
    let items = items.cast::<PyList>()?;
    let len = items.len();
    let mut records = Records::for_table(len);
    for (row, item) in items.iter().enumerate() {
        records.begin();
        let filled = match records.place(name) {
            Ok(place) => fill_quickly(place, &item, true, ASKED),
            Err(misfit) => return Ok(Err(of_row(name, &misfit))),
        };
        let why = match filled {
            Ok(()) => continue,
            Err(Inside::Unfit(unfit)) => return Ok(Err(of_row(name, &records.misfit(unfit)))),
            Err(Inside::Key) => "a key that is no text".to_owned(),
            Err(Inside::Value(_, kind)) => format!("an object of type {kind}"),
        };
        let what = format!("row {row} of column {name:?} has {why}");
        return Ok(Err(Odd { what, path: format!("$.{name}[{row}]") }));
    }
    // None at all, or nothing else: however many, in no bytes.
    if items.iter().all(|item| item.is_none()) {
        let nulls = ArrayData::new_null(&DataType::Null, len);
        return Ok(Ok((Field::new(name, DataType::Null, true), nulls)));
    }
    Ok(match records.finish() {
        Ok((schema, mut rows)) => Ok((schema.field(0).clone(), rows.columns.remove(0))),
        Err(misfit) => Err(of_row(name, &misfit)),
    })
}

/// What is wrong with a row of the column.
#[cold]
fn of_row(name: &str, misfit: &Misfit) -> Odd {
    let (row, key) = misfit.place();
    let row = row.map_or_else(String::new, |row| format!("[{row}]"));
    let within = key.and_then(|key| key.strip_prefix(name)).unwrap_or("");
    Odd { what: misfit.to_string(), path: format!("$.{name}{row}{within}") }
}

/// An array of NumPy's: numbers in place, times by their counts, all else by its elements.
fn of_numpy(name: &str, column: &Bound<'_, PyAny>) -> PyResult<One> {
    let py = column.py();
    let dimension: usize = column.getattr(intern!(py, "ndim"))?.extract()?;
    if dimension != 1 {
        return Ok(Err(dimensions(name, dimension)));
    }
    let dtype = column.getattr(intern!(py, "dtype"))?;
    let kind: char = dtype.getattr(intern!(py, "kind"))?.extract()?;
    // What is masked is null there.
    if column.hasattr(intern!(py, "mask"))? || matches!(kind, 'U' | 'S' | 'T' | 'O') {
        return elements(name, &column.call_method0(intern!(py, "tolist"))?);
    }
    let native = dtype.call_method1(intern!(py, "newbyteorder"), ("=",))?;
    let is_native: bool = dtype.getattr(intern!(py, "isnative"))?.extract()?;
    let column = match is_native {
        true => column.clone(),
        false => column.call_method1(intern!(py, "astype"), (&native,))?,
    };
    let Candidate::Array(array) = array::of_numpy(&column)? else {
        return Ok(Err(odd(name, format!("column {name:?} is an array of {dtype}"))));
    };
    let &Element::Time { since_1970, unit, count, .. } = array.descriptor.element() else {
        return numbers(name, &column, &array);
    };
    let data_type = match (since_1970, unit, time_unit(unit)) {
        _ if count != 1 => return Ok(Err(steps_of(name, &dtype))),
        (true, Unit::Day, _) => DataType::Date32,
        (true, _, Some(unit)) => DataType::Timestamp(unit, None),
        (false, _, Some(unit)) => DataType::Duration(unit),
        (_, _, None) => return Ok(Err(steps_of(name, &dtype))),
    };
    let counts = column.call_method1(intern!(py, "view"), ("i8",))?;
    let Candidate::Array(counts) = array::of_numpy(&counts)? else {
        return Ok(Err(steps_of(name, &dtype)));
    };
    let Ok((_, buffer)) = primitive(py, &counts)? else { return Ok(Err(steps_of(name, &dtype))) };
    let len = buffer.len() / size_of::<i64>();
    Ok(py.detach(|| {
        let nulls = pandas::missing(&DataType::Timestamp(TimeUnit::Second, None), &buffer);
        if data_type != DataType::Date32 {
            return built(name, data_type, len, nulls, buffer);
        }
        let (days, _) = buffer.as_chunks::<8>();
        let mut short = Vec::with_capacity(len);
        for (row, &day) in days.iter().enumerate() {
            let day = match i64::from_ne_bytes(day) {
                i64::MIN => Ok(0),
                day => i32::try_from(day),
            };
            let Ok(day) = day else {
                let what = format!("row {row} of column {name:?} is beyond the days of date32");
                return Err(Odd { what, path: format!("$.{name}[{row}]") });
            };
            short.push(day);
        }
        built(name, data_type, len, nulls, Buffer::from_vec(short))
    }))
}

fn time_unit(unit: Unit) -> Option<TimeUnit> {
    Some(match unit {
        Unit::Second => TimeUnit::Second,
        Unit::Milli => TimeUnit::Millisecond,
        Unit::Micro => TimeUnit::Microsecond,
        Unit::Nano => TimeUnit::Nanosecond,
        _ => return None,
    })
}

/// It counts steps that Arrow has not.
#[cold]
fn steps_of(name: &str, dtype: &Bound<'_, PyAny>) -> Odd {
    let what = format!(
        "column {name:?} is an array of {dtype}: cast it to steps of s, ms, us or ns, or dates to D"
    );
    odd(name, what)
}

/// An array of numbers with one dimension, as a column.
fn numbers(name: &str, object: &Bound<'_, PyAny>, array: &array::Array<'_>) -> PyResult<One> {
    let (data_type, buffer) = match primitive(object.py(), array)? {
        Ok(found) => found,
        Err(Unlike::Dimensions(count)) => return Ok(Err(dimensions(name, count))),
        Err(Unlike::Element) => {
            let element = array.descriptor.element();
            return Ok(Err(odd(name, format!("column {name:?} is an array of {element}"))));
        }
    };
    let len = array.descriptor.shape()[0] as usize;
    Ok(built(name, data_type, len, None, buffer))
}

fn built(
    name: &str,
    data_type: DataType,
    len: usize,
    nulls: Option<NullBuffer>,
    buffer: Buffer,
) -> One {
    let field = Field::new(name, data_type.clone(), nulls.is_some());
    let data = ArrayData::builder(data_type).len(len).nulls(nulls).add_buffer(buffer);
    let data = data.align_buffers(true).build();
    data.map(|data| (field, data)).map_err(|error| odd(name, error.to_string()))
}

/// Why an array is no column.
pub(super) enum Unlike {
    Dimensions(usize),
    Element,
}

/// The elements of an array of numbers with one dimension, over NumPy's memory where they lie in one piece.
pub(super) fn primitive(
    py: Python<'_>,
    array: &array::Array<'_>,
) -> PyResult<Result<(DataType, Buffer), Unlike>> {
    if array.descriptor.shape().len() != 1 {
        return Ok(Err(Unlike::Dimensions(array.descriptor.shape().len())));
    }
    let Some(dtype) = array.descriptor.element().dtype() else { return Ok(Err(Unlike::Element)) };
    let data_type = match (dtype.kind(), dtype.item_size()) {
        (Kind::Int, 1) => DataType::Int8,
        (Kind::Int, 2) => DataType::Int16,
        (Kind::Int, 4) => DataType::Int32,
        (Kind::Int, 8) => DataType::Int64,
        (Kind::Uint, 1) => DataType::UInt8,
        (Kind::Uint, 2) => DataType::UInt16,
        (Kind::Uint, 4) => DataType::UInt32,
        (Kind::Uint, 8) => DataType::UInt64,
        (Kind::Float, 2) => DataType::Float16,
        (Kind::Float, 4) => DataType::Float32,
        (Kind::Float, 8) => DataType::Float64,
        (Kind::Bool, _) => DataType::Boolean,
        _ => return Ok(Err(Unlike::Element)),
    };
    if dtype.byte_order() == ByteOrder::Big {
        return Ok(Err(Unlike::Element));
    }
    let whole = match array.bytes() {
        Some(bytes) if !bytes.is_empty() => {
            // Not the object, which may have made the array for us alone.
            let owner = Arc::new(AssertUnwindSafe(array.object().clone().unbind()));
            // SAFETY: the bytes are the array's, which is the owner; that nobody writes to them while they
            // are sent is the caller's affair, as for every array that is sent.
            unsafe { Buffer::from_custom_allocation(NonNull::from(&bytes[0]), bytes.len(), owner) }
        }
        _ => {
            let mut bytes = MutableBuffer::from_len_zeroed(array.descriptor.byte_len());
            array.copy_to(py, &mut bytes)?;
            bytes.into()
        }
    };
    let buffer = match data_type {
        DataType::Boolean => whole.iter().map(|&byte| byte != 0).collect(),
        _ => whole,
    };
    Ok(Ok((data_type, buffer)))
}
