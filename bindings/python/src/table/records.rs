//! Lists of dicts, and dicts of columns, as tables.

use super::moments;
use super::take::{self, Incoming};
use crate::array::{self, Candidate};
use crate::error;
use crate::value::encode::{compact_ascii, small_int};
use crate::value::fault::type_name;
use crate::value::types::{Exact, Types};
use arrow_buffer::{Buffer, MutableBuffer};
use arrow_data::ArrayData;
use arrow_schema::{DataType, Field, Schema};
use pyo3::prelude::*;
use pyo3::sync::critical_section::with_critical_section;
use pyo3::types::{PyBytes, PyDict, PyList, PyString};
use pyo3::{ffi, intern};
use slipring_codec::format::arrow::Rows;
use slipring_codec::format::ndarray::{ByteOrder, Kind};
use slipring_codec::infer::{self, Column, Misfit, Records, Scalar, Unfit};
use std::panic::AssertUnwindSafe;
use std::ptr::NonNull;
use std::sync::Arc;

pub(crate) use slipring_codec::infer::WORTH;

/// What became of a look at records.
pub(crate) enum Look {
    Table(Incoming),
    /// They are none, and why.
    Not(String),
    /// It is no list of so many dicts.
    Other,
}

/// The list as a table, if it holds `least` dicts or more that are alike.
pub(crate) fn of_list(object: &Bound<'_, PyAny>, least: usize) -> PyResult<Look> {
    of_records(object, least, false)
}

/// The same; where a table was `asked` for, dataclasses inside of records go as their fields.
fn of_records(object: &Bound<'_, PyAny>, least: usize, asked: bool) -> PyResult<Look> {
    let Ok(list) = object.cast_exact::<PyList>() else { return Ok(Look::Other) };
    if list.len() < least
        || !list.get_item(0).is_ok_and(|first| first.is_exact_instance_of::<PyDict>())
    {
        return Ok(Look::Other);
    }
    let mut records = Records::with_capacity(list.len());
    // Those of the columns, which are mostly the same objects in each record.
    let mut keys = Vec::new();
    for (row, item) in list.iter().enumerate() {
        let Ok(dict) = item.cast_exact::<PyDict>() else {
            return Ok(Look::Not(format!("record {row} is of type {}", type_name(&item))));
        };
        let taken = with_critical_section(dict, || take_in(&mut records, &mut keys, dict, asked));
        if let Err(why) = taken {
            return Ok(Look::Not(why.told(row)));
        }
    }
    Ok(match records.finish() {
        Ok((schema, rows)) => Look::Table(Incoming { schema, batches: vec![rows], inferred: true }),
        Err(misfit) => Look::Not(misfit.to_string()),
    })
}

/// Whether an object is a list that begins with a dataclass.
pub(crate) fn are_dataclasses(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    let first = object.cast_exact::<PyList>().ok().and_then(|list| list.get_item(0).ok());
    first.map_or(Ok(false), |first| {
        first.get_type().hasattr(intern!(object.py(), "__dataclass_fields__"))
    })
}

/// Why a record can't be taken in.
enum Odd {
    Key,
    /// What stands under this key is of a type that columns have not.
    Value(String, String),
    Misfit(Misfit),
}

impl Odd {
    #[cold]
    fn told(self, row: usize) -> String {
        match self {
            Odd::Key => format!("record {row} has a key that is no text"),
            Odd::Value(key, kind) => {
                format!("record {row} has an object of type {kind} under {key:?}")
            }
            Odd::Misfit(misfit) => misfit.to_string(),
        }
    }
}

/// Takes in one record. `keys` are those of the columns so far, as objects.
fn take_in<'py>(
    records: &mut Records,
    keys: &mut Vec<Bound<'py, PyAny>>,
    dict: &Bound<'py, PyDict>,
    asked: bool,
) -> Result<(), Odd> {
    records.begin();
    let mut at = 0;
    let (mut key, mut value) = (std::ptr::null_mut(), std::ptr::null_mut());
    // SAFETY: a dict, which we hold; the call checks the position whatever became of it.
    while unsafe { ffi::PyDict_Next(dict.as_ptr(), &mut at, &mut key, &mut value) } != 0 {
        // SAFETY: what the call gives is alive until code of others runs.
        let (key, value) =
            unsafe { (Borrowed::from_ptr(dict.py(), key), Borrowed::from_ptr(dict.py(), value)) };
        let known = keys.get(records.position()).is_some_and(|known| known.is(key));
        if known && let Some(scalar) = quick(&value) {
            records.expected_entry(scalar).map_err(Odd::Misfit)?;
            continue;
        }
        // Such code may run from here on: an exception that is made and dropped may set off the garbage collector.
        let (key, value) = (key.to_owned(), value.to_owned());
        let text = exact_text(&key).ok_or(Odd::Key)?;
        let place = records.place(text).map_err(Odd::Misfit)?;
        fill(place, &value, asked, DEPTH).map_err(|inside| match inside {
            Inside::Key => Odd::Key,
            Inside::Value(path, kind) => Odd::Value(format!("{text}{path}"), kind),
            Inside::Unfit(unfit) => Odd::Misfit(records.misfit(unfit)),
        })?;
        // A new column moves those behind it.
        let column = records.position() - 1;
        keys.truncate(column);
        if keys.len() == column {
            keys.push(key);
        }
    }
    Ok(())
}

/// Lists and dicts that may stand inside each other under a key.
const DEPTH: usize = 32;

/// Why a value can't be taken in.
enum Inside {
    Key,
    /// Where it is of a type that columns have not, and which that is.
    Value(String, String),
    Unfit(Unfit),
}

impl From<Unfit> for Inside {
    fn from(unfit: Unfit) -> Self {
        Inside::Unfit(unfit)
    }
}

impl Inside {
    #[cold]
    fn within(self, key: Option<&str>) -> Self {
        match (self, key) {
            (Inside::Value(path, kind), None) => Inside::Value(format!("[]{path}"), kind),
            (Inside::Value(path, kind), Some(key)) => Inside::Value(format!(".{key}{path}"), kind),
            (Inside::Unfit(unfit), None) => Inside::Unfit(unfit.in_list()),
            (Inside::Unfit(unfit), Some(key)) => Inside::Unfit(unfit.under(key)),
            (Inside::Key, _) => Inside::Key,
        }
    }
}

/// Takes in what stands under a key.
fn fill(
    place: &mut Column,
    value: &Bound<'_, PyAny>,
    asked: bool,
    depth: usize,
) -> Result<(), Inside> {
    if let Some(scalar) = scalar(value) {
        return Ok(place.push(scalar)?);
    }
    let odd = || Inside::Value(String::new(), type_name(value));
    let depth = depth.checked_sub(1).ok_or_else(odd)?;
    if let Ok(list) = value.cast_exact::<PyList>() {
        let mut items = place.list()?;
        for item in list.iter() {
            let taken = fill_quickly(items.item(), &item, asked, depth);
            taken.map_err(|inside| inside.within(None))?;
        }
        return Ok(items.finish()?);
    }
    if let Ok(dict) = value.cast_exact::<PyDict>() {
        return with_critical_section(dict, || fill_map(place, dict, asked, depth));
    }
    // Its fields are all that comes back: only where that was asked for.
    match asked.then(|| fields(value)).flatten() {
        Some(dict) => fill_map(place, &dict, asked, depth),
        None => Err(odd()),
    }
}

/// The same of what is mostly a scalar.
#[inline]
fn fill_quickly(
    place: &mut Column,
    value: &Bound<'_, PyAny>,
    asked: bool,
    depth: usize,
) -> Result<(), Inside> {
    match quick(&value.as_borrowed()) {
        Some(scalar) => Ok(place.push(scalar)?),
        None => fill(place, value, asked, depth),
    }
}

fn fill_map(
    place: &mut Column,
    dict: &Bound<'_, PyDict>,
    asked: bool,
    depth: usize,
) -> Result<(), Inside> {
    let mut entries = place.map()?;
    let mut at = 0;
    let (mut key, mut value) = (std::ptr::null_mut(), std::ptr::null_mut());
    // SAFETY: a dict, which we hold; the call checks the position whatever became of it.
    while unsafe { ffi::PyDict_Next(dict.as_ptr(), &mut at, &mut key, &mut value) } != 0 {
        // SAFETY: what the call gives is alive until code of others runs, and none has.
        let (key, value) =
            unsafe { (Borrowed::from_ptr(dict.py(), key), Borrowed::from_ptr(dict.py(), value)) };
        let (key, value) = (key.to_owned(), value.to_owned());
        let text = exact_text(&key).ok_or(Inside::Key)?;
        let taken = fill_quickly(entries.entry(text)?, &value, asked, depth);
        taken.map_err(|inside| inside.within(Some(text)))?;
    }
    Ok(entries.finish()?)
}

/// A dataclass's fields.
pub(super) fn fields<'py>(object: &Bound<'py, PyAny>) -> Option<Bound<'py, PyDict>> {
    let py = object.py();
    let module = py.import(intern!(py, "slipring._arrow")).ok()?;
    module.call_method1(intern!(py, "fields"), (object,)).ok()?.cast_into().ok()
}

fn exact_text<'a>(object: &'a Bound<'_, PyAny>) -> Option<&'a str> {
    // A lone surrogate is no text: the value says so better.
    object.cast_exact::<PyString>().ok()?.to_str().ok()
}

/// What goes into a column and comes back as the same: of these types, and of none derived from them.
fn scalar<'a>(object: &'a Bound<'_, PyAny>) -> Option<Scalar<'a>> {
    Some(match Exact::of(object.as_borrowed()) {
        Exact::Str => Scalar::Text(exact_text(object)?),
        Exact::Int => match object.extract::<i64>() {
            Ok(int) => Scalar::Int(int),
            Err(_) => Scalar::Unsigned(object.extract().ok()?),
        },
        Exact::Float => Scalar::Float(object.extract().ok()?),
        Exact::Bool => Scalar::Bool(object.is_truthy().ok()?),
        Exact::None => Scalar::Null,
        Exact::Bytes => Scalar::Bytes(object.cast_exact::<PyBytes>().ok()?.as_bytes()),
        Exact::Other => return other(object),
        _ => return None,
    })
}

/// Whether an object was an element by itself.
pub(super) enum Exactly {
    Scalar,
    Other,
}

/// Gives the element that an object is, if it is of one of the types that columns have and of none derived from them.
#[inline]
pub(super) fn exactly(object: &Bound<'_, PyAny>, give: impl FnOnce(Scalar<'_>)) -> Exactly {
    let known = object.as_borrowed();
    match quick(&known).or_else(|| scalar(object)) {
        Some(scalar) => give(scalar),
        None => return Exactly::Other,
    }
    Exactly::Scalar
}

/// The same of types of the standard library.
fn other(object: &Bound<'_, PyAny>) -> Option<Scalar<'static>> {
    let (py, types) = (object.py(), Types::get(object.py()).ok()?);
    let kind = object.get_type();
    if kind.is(types.decimal.bind(py)) {
        return decimal(object.str().ok()?.to_str().ok()?);
    }
    if kind.is(types.uuid.bind(py)) {
        let bytes = object.getattr(intern!(py, "bytes")).ok()?;
        return Some(Scalar::Uuid(bytes.extract().ok()?));
    }
    moments::scalar(object)
}

/// A decimal, from its text: sign, digits with a point among them, exponent.
fn decimal(text: &str) -> Option<Scalar<'static>> {
    let (number, exponent) = text.split_once('E').unwrap_or((text, "0"));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let mut digits = 0i128;
    for digit in whole.trim_start_matches('-').bytes().chain(fraction.bytes()) {
        let digit = digit.is_ascii_digit().then(|| i128::from(digit - b'0'))?;
        digits = digits.checked_mul(10)?.checked_add(digit)?;
    }
    let scale = i64::try_from(fraction.len()).ok()?.checked_sub(exponent.parse().ok()?)?;
    match whole.starts_with('-') {
        // There is no -0 in columns.
        true if digits == 0 => None,
        true => Scalar::decimal(-digits, scale),
        false => Scalar::decimal(digits, scale),
    }
}

/// The same of the most frequent ones, without a call of Python's.
#[inline(always)]
pub(super) fn quick<'a>(object: &'a Borrowed<'_, '_, PyAny>) -> Option<Scalar<'a>> {
    Some(match Exact::of(*object) {
        // SAFETY: ASCII.
        Exact::Str => unsafe { Scalar::Text(str::from_utf8_unchecked(compact_ascii(object)?)) },
        Exact::Int => Scalar::Int(small_int(*object)?),
        // SAFETY: an exact float.
        Exact::Float => Scalar::Float(unsafe { ffi::PyFloat_AS_DOUBLE(object.as_ptr()) }),
        // SAFETY: the call gives a borrowed reference to an object that is always there.
        Exact::Bool => Scalar::Bool(object.as_ptr() == unsafe { ffi::Py_True() }),
        Exact::None => Scalar::Null,
        _ => return None,
    })
}

/// Whether an object is a list of no records.
pub(crate) fn is_nothing(object: &Bound<'_, PyAny>) -> bool {
    object.cast::<PyList>().is_ok_and(|list| list.is_empty())
}

/// Whether an object is a dict of columns, or a list of records.
pub(crate) fn may_be(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    if object.is_instance_of::<PyDict>() {
        return Ok(true);
    }
    let first = object.cast::<PyList>().ok().and_then(|list| list.get_item(0).ok());
    Ok(first.is_some_and(|first| first.is_instance_of::<PyDict>()) || are_dataclasses(object)?)
}

/// A list of records, dataclasses as dicts; `None` for what is none.
pub(super) fn listed<'py>(object: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyList>>> {
    let Ok(list) = object.cast::<PyList>() else { return Ok(None) };
    let Ok(first) = list.get_item(0) else { return Ok(None) };
    if first.is_instance_of::<PyDict>() {
        return Ok(Some(list.clone()));
    }
    if !are_dataclasses(object)? {
        return Ok(None);
    }
    let module = object.py().import(intern!(object.py(), "slipring._arrow"))?;
    let records = module.call_method1(intern!(object.py(), "records"), (list,))?;
    Ok(records.cast_into().ok())
}

/// What was asked to go as a table and shows itself as none: records, dataclasses, or a dict of columns.
pub(crate) fn asked(object: &Bound<'_, PyAny>) -> PyResult<Incoming> {
    let py = object.py();
    let refused = |what: String| {
        let hint = "give a data frame, a list of dicts with values of one type under each key, or a dict \
                    of columns of one length; format=\"value\" takes any of them as they are";
        error::unsendable(py, &what, "$", &type_name(object), hint)
    };
    if let Ok(columns) = object.cast::<PyDict>() {
        return of_columns(columns)?.map_err(refused);
    }
    let object = match object.cast::<PyList>() {
        Ok(list) => py
            .import(intern!(py, "slipring._arrow"))?
            .call_method1(intern!(py, "records"), (list,))?,
        Err(_) => object.clone(),
    };
    match of_records(&object, 1, true)? {
        Look::Table(table) => Ok(table),
        Look::Not(why) => Err(refused(why)),
        Look::Other => {
            Err(refused(format!("an object of type {} is no table", type_name(&object))))
        }
    }
}

/// A dict of columns as a table; the inner error says why it is none.
fn of_columns(columns: &Bound<'_, PyDict>) -> PyResult<Result<Incoming, String>> {
    let (mut fields, mut arrays) = (Vec::new(), Vec::<ArrayData>::new());
    for (name, column) in columns.iter() {
        let Some(name) = exact_text(&name) else {
            return Ok(Err("a column has a name that is no text".to_owned()));
        };
        let (field, data) = match one_column(name, &column)? {
            Ok(found) => found,
            Err(why) => return Ok(Err(why)),
        };
        if arrays.first().is_some_and(|first| first.len() != data.len()) {
            let first = arrays.first().map_or(0, ArrayData::len);
            return Ok(Err(format!(
                "column {name:?} has {} elements, the first {first}",
                data.len()
            )));
        }
        fields.push(field);
        arrays.push(data);
    }
    let len = arrays.first().map_or(0, ArrayData::len);
    let batches = vec![Rows { len, columns: arrays }];
    Ok(Ok(Incoming { schema: Schema::new(fields), batches, inferred: true }))
}

type One = Result<(Field, ArrayData), String>;

fn one_column(name: &str, column: &Bound<'_, PyAny>) -> PyResult<One> {
    if take::shows(column)? {
        let Incoming { schema, mut batches, .. } = take::whole(column)?;
        let marked = schema.metadata().get(take::COLUMN).is_some();
        return Ok(match (batches.len(), marked) {
            (1, true) => {
                let field = schema.field(0).clone().with_name(name);
                Ok((field, batches.remove(0).columns.remove(0)))
            }
            (_, true) => {
                Err(format!("column {name:?} is in several pieces: put them together first"))
            }
            _ => Err(format!("column {name:?} is a table of its own")),
        });
    }
    if let Candidate::Array(array) = array::look(column)? {
        return numbers(name, column, &array);
    }
    let Ok(items) = column.cast::<PyList>() else {
        return Ok(Err(format!("column {name:?} is of type {}", type_name(column))));
    };
    let mut records = Records::with_capacity(items.len());
    for item in items.iter() {
        records.begin();
        let taken = match records.place(name) {
            Ok(place) => fill(place, &item, true, DEPTH),
            Err(misfit) => return Ok(Err(misfit.to_string())),
        };
        match taken {
            Ok(()) => {}
            Err(Inside::Unfit(unfit)) => return Ok(Err(records.misfit(unfit).to_string())),
            Err(Inside::Key) => {
                return Ok(Err(format!("column {name:?} has a key that is no text")));
            }
            Err(Inside::Value(_, kind)) => {
                return Ok(Err(format!("column {name:?} has an object of type {kind}")));
            }
        }
    }
    if items.is_empty() {
        return Ok(Ok((
            Field::new(name, DataType::Null, true),
            ArrayData::new_empty(&DataType::Null),
        )));
    }
    Ok(match records.finish() {
        Ok((schema, mut rows)) => Ok((schema.field(0).clone(), rows.columns.remove(0))),
        Err(misfit) => Err(misfit.to_string()),
    })
}

/// An array of numbers with one dimension, as a column.
fn numbers(name: &str, object: &Bound<'_, PyAny>, array: &array::Array<'_>) -> PyResult<One> {
    let (data_type, buffer) = match primitive(object.py(), array)? {
        Ok(found) => found,
        Err(Unlike::Dimensions(count)) => {
            return Ok(Err(format!("column {name:?} has {count} dimensions")));
        }
        Err(Unlike::Element) => {
            let element = array.descriptor.element();
            return Ok(Err(format!("column {name:?} is an array of {element}")));
        }
    };
    let len = array.descriptor.shape()[0] as usize;
    let data = ArrayData::builder(data_type.clone()).len(len).add_buffer(buffer);
    let data = data.align_buffers(true).build();
    Ok(data
        .map(|data| (Field::new(name, data_type, false), data))
        .map_err(|error| error.to_string()))
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

/// Whether a table was made of records.
pub(super) fn is_records(schema: &Schema) -> bool {
    schema.metadata().get(infer::RECORDS).is_some()
}

/// Whether nulls of a field stand for keys that are missing.
pub(super) fn is_missing(field: &Field) -> bool {
    field.metadata().get(infer::MISSING).is_some()
}
