//! Lists of dicts as tables.

use super::take::Incoming;
use super::{columns, given, moments};
use crate::error;
use crate::value::encode::{compact_ascii, small_int};
use crate::value::fault::type_name;
use crate::value::pairs::{self, Pairs};
use crate::value::types::{Exact, Types};
use arrow_data::ArrayData;
use arrow_schema::{Field, Schema};
use pyo3::prelude::*;
use pyo3::sync::critical_section::with_critical_section;
use pyo3::types::{PyBytes, PyDateTime, PyDelta, PyDict, PyIterator, PyList, PyString, PyTuple};
use pyo3::{ffi, intern};
use slipring_codec::format::arrow::MAX_NESTING;
use slipring_codec::infer::{self, Column, Misfit, Records, Scalar, Unfit};

pub(crate) use slipring_codec::infer::WORTH;

/// What became of a look at records.
pub(crate) enum Look {
    Table(Incoming),
    /// They are none.
    Not(Odd),
    /// It is no list of so many dicts.
    Other,
}

/// The list as a table, if it holds `least` dicts or more that are alike.
pub(crate) fn of_list(object: &Bound<'_, PyAny>, least: usize) -> PyResult<Look> {
    of_records(object, least, false)
}

/// The same; where a table was `asked` for, dataclasses and NamedTuples inside of records go as their fields.
fn of_records(object: &Bound<'_, PyAny>, least: usize, asked: bool) -> PyResult<Look> {
    let Ok(list) = object.cast_exact::<PyList>() else { return Ok(Look::Other) };
    if list.len() < least
        || !list.get_item(0).is_ok_and(|first| first.is_exact_instance_of::<PyDict>())
    {
        return Ok(Look::Other);
    }
    let mut records = match asked {
        true => Records::for_table(list.len()),
        false => Records::with_capacity(list.len()),
    };
    // Those of the columns, which are mostly the same objects in each record.
    let mut keys = Vec::new();
    for (row, item) in list.iter().enumerate() {
        let Ok(dict) = item.cast_exact::<PyDict>() else {
            let what = format!("record {row} is of type {}", type_name(&item));
            return Ok(Look::Not(Odd { what, path: format!("$[{row}]") }));
        };
        let taken = with_critical_section(dict, || take_in(&mut records, &mut keys, dict, asked));
        if let Err(inside) = taken {
            return Ok(Look::Not(inside.told(row)));
        }
    }
    Ok(match records.finish() {
        Ok((schema, rows)) => Look::Table(Incoming { schema, batches: vec![rows], inferred: true }),
        Err(misfit) => Look::Not(misfit.into()),
    })
}

/// Whether an object is a list that begins with a dataclass or a NamedTuple.
pub(crate) fn are_objects(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = object.py();
    let first = object.cast_exact::<PyList>().ok().and_then(|list| list.get_item(0).ok());
    let Some(first) = first else { return Ok(false) };
    let is_tuple = first.is_instance_of::<PyTuple>();
    Ok(first.get_type().hasattr(intern!(py, "__dataclass_fields__"))?
        || (is_tuple && first.get_type().hasattr(intern!(py, "_fields"))?))
}

/// Why something is no table, and where that is.
pub(crate) struct Odd {
    pub(crate) what: String,
    pub(super) path: String,
}

impl From<Misfit> for Odd {
    #[cold]
    fn from(misfit: Misfit) -> Self {
        let (row, key) = misfit.place();
        let row = row.map(|row| format!("[{row}]")).or_else(|| key.map(|_| "[]".to_owned()));
        let key = key.map(|key| format!(".{key}"));
        let path = format!("${}{}", row.unwrap_or_default(), key.unwrap_or_default());
        Odd { what: misfit.to_string(), path }
    }
}

/// Why a record can't be taken in.
enum Taken {
    Key,
    /// What stands under this key is of a type that columns have not.
    Value(String, String),
    Misfit(Misfit),
}

impl Taken {
    #[cold]
    fn told(self, row: usize) -> Odd {
        match self {
            Taken::Key => Odd {
                what: format!("record {row} has a key that is no text"),
                path: format!("$[{row}]"),
            },
            Taken::Value(key, kind) => Odd {
                what: format!("record {row} has an object of type {kind} under {key:?}"),
                path: format!("$[{row}].{key}"),
            },
            Taken::Misfit(misfit) => misfit.into(),
        }
    }
}

/// Takes in one record. `keys` are those of the columns so far, as objects.
fn take_in<'py>(
    records: &mut Records,
    keys: &mut Vec<Bound<'py, PyAny>>,
    dict: &Bound<'py, PyDict>,
    asked: bool,
) -> Result<(), Taken> {
    records.begin();
    // SAFETY: a dict, which we hold.
    let mut pairs = unsafe { Pairs::of(dict.as_ptr()) };
    // SAFETY: where code of others may have run, the walk was told.
    while let Some((key, value)) = unsafe { pairs.next() } {
        // SAFETY: what the walk gives is alive until code of others runs.
        let (key, value) =
            unsafe { (Borrowed::from_ptr(dict.py(), key), Borrowed::from_ptr(dict.py(), value)) };
        let known = keys.get(records.position()).is_some_and(|known| known.is(key));
        if known && let Some(scalar) = quick(&value) {
            records.expected_entry(scalar).map_err(Taken::Misfit)?;
            continue;
        }
        // Such code may run from here on: an exception that is made and dropped may set off the garbage collector.
        let (key, value) = (key.to_owned(), value.to_owned());
        let text = exact_text(&key).ok_or(Taken::Key)?;
        let place = records.place(text).map_err(Taken::Misfit)?;
        fill(place, &value, asked, if asked { ASKED } else { DEPTH }).map_err(
            |inside| match inside {
                Inside::Key => Taken::Key,
                Inside::Value(path, kind) => Taken::Value(format!("{text}{path}"), kind),
                Inside::Unfit(unfit) => Taken::Misfit(records.misfit(unfit)),
            },
        )?;
        // A new column moves those behind it.
        let column = records.position() - 1;
        keys.truncate(column);
        if keys.len() == column {
            keys.push(key);
        }
        drop(value);
        // SAFETY: as above.
        unsafe { pairs.look_again() };
    }
    Ok(())
}

/// Lists and dicts that may stand inside each other under a key, unasked, and where a table was asked for: with the element in them they
/// are the most types that a table has inside each other.
const DEPTH: usize = 32;
pub(super) const ASKED: usize = MAX_NESTING - 1;

/// Why a value can't be taken in.
pub(super) enum Inside {
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

/// The type of a value that can't be taken in; where columns have that type, with what is not in them of it.
#[cold]
fn shown(value: &Bound<'_, PyAny>, asked: bool) -> String {
    let kind = type_name(value);
    let more = match (Exact::of(value.as_borrowed()), kind.as_str()) {
        (Exact::Int, _) => " beyond 64 bits",
        (Exact::Str, _) => " with a lone surrogate",
        (_, "decimal.Decimal") => " that is -0, no number or beyond 38 digits",
        (_, "datetime.datetime" | "datetime.time") => {
            " with a fold or a zone that is no mere offset"
        }
        (_, "datetime.timedelta") => " beyond 64 bits of microseconds",
        // Unasked it is none for its class.
        _ if asked
            && (value.is_instance_of::<PyDateTime>() || value.is_instance_of::<PyDelta>()) =>
        {
            " finer than microseconds"
        }
        _ => "",
    };
    kind + more
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
    let odd = || Inside::Value(String::new(), shown(value, asked));
    let Some(depth) = depth.checked_sub(1) else {
        let most = if asked { ASKED } else { DEPTH };
        let what = format!("{} inside of {most} others", type_name(value));
        return Err(Inside::Value(String::new(), what));
    };
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
    if !asked {
        return Err(odd());
    }
    // Its fields are all that comes back, as of an array its elements, and of a number's subclass the number.
    if let Some(dict) = fields(value) {
        return fill_map(place, &dict, asked, depth);
    }
    if let Some(items) = columns::sequence(value) {
        return fill(place, &items, asked, depth);
    }
    let plain = given::scalar_of(value).ok_or_else(odd)?;
    Ok(place.push(scalar(&plain).ok_or_else(odd)?)?)
}

/// The same of what is mostly a scalar.
#[inline]
pub(super) fn fill_quickly(
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
    // SAFETY: a dict, which we hold.
    while let Some((key, value)) = unsafe { pairs::next(dict.as_ptr(), &mut at) } {
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

/// The fields of a dataclass or a NamedTuple.
pub(super) fn fields<'py>(object: &Bound<'py, PyAny>) -> Option<Bound<'py, PyDict>> {
    let py = object.py();
    let module = py.import(intern!(py, "slipring._arrow")).ok()?;
    module.call_method1(intern!(py, "fields"), (object,)).ok()?.cast_into().ok()
}

pub(super) fn exact_text<'a>(object: &'a Bound<'_, PyAny>) -> Option<&'a str> {
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

/// What is made of the element that an object is; `None` if it is of none of the types that columns have, or of one derived from them.
#[inline]
pub(super) fn exactly<R>(
    object: &Bound<'_, PyAny>,
    make: impl FnOnce(Scalar<'_>) -> R,
) -> Option<R> {
    let known = object.as_borrowed();
    quick(&known).or_else(|| scalar(object)).map(make)
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
    Ok(first.is_some_and(|first| first.is_instance_of::<PyDict>()) || are_objects(object)?)
}

/// A list or a tuple of records, dataclasses and NamedTuples as dicts; `None` for what is none.
pub(super) fn listed<'py>(object: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyList>>> {
    let list = match object.cast::<PyTuple>() {
        Ok(tuple) => tuple.to_list(),
        Err(_) => match object.cast::<PyList>() {
            Ok(list) => list.clone(),
            Err(_) => return Ok(None),
        },
    };
    let Ok(first) = list.get_item(0) else { return Ok(None) };
    if first.is_instance_of::<PyDict>() {
        return Ok(Some(list));
    }
    if !are_objects(&list)? {
        return Ok(None);
    }
    let module = object.py().import(intern!(object.py(), "slipring._arrow"))?;
    let records = module.call_method1(intern!(object.py(), "records"), (list,))?;
    Ok(records.cast_into().ok())
}

#[cold]
fn refused(object: &Bound<'_, PyAny>, Odd { what, path }: Odd) -> PyErr {
    let hint = match object.cast::<PyIterator>() {
        Ok(_) => {
            "give a list of records; send_batches takes tables, and lists of records, one by one"
        }
        Err(_) => {
            "give a data frame, a list of dicts with values of one type under each key, or a dict of columns of one length; \
             format=\"value\" takes any of them as they are"
        }
    };
    error::unsendable(object.py(), &what, &path, &type_name(object), hint)
}

/// A dict of columns that was asked to go as a table, those apart that `known` makes.
pub(super) fn columns<'py>(
    object: &Bound<'py, PyDict>,
    known: impl Fn(&str, &Bound<'py, PyAny>) -> PyResult<Option<(Field, ArrayData)>>,
) -> PyResult<Incoming> {
    columns::of(object, known)?.map_err(|why| refused(object, why))
}

/// What was asked to go as a table and shows itself as none: records, dataclasses, or a dict of columns.
pub(crate) fn asked(object: &Bound<'_, PyAny>) -> PyResult<Incoming> {
    let py = object.py();
    if let Ok(columns) = object.cast::<PyDict>() {
        return self::columns(columns, |_, _| Ok(None));
    }
    let kind = type_name(object);
    let list = match object.cast::<PyTuple>() {
        Ok(tuple) => tuple.to_list().into_any(),
        Err(_) => object.clone(),
    };
    let list = match list.cast::<PyList>() {
        Ok(list) => py
            .import(intern!(py, "slipring._arrow"))?
            .call_method1(intern!(py, "records"), (list,))?,
        Err(_) => list,
    };
    match of_records(&list, 1, true)? {
        Look::Table(table) => Ok(table),
        Look::Not(why) => Err(refused(object, why)),
        Look::Other => {
            let what = match list.cast::<PyList>().map(|list| list.get_item(0)) {
                Ok(Ok(first)) => format!("a {kind} of {} is no table", type_name(&first)),
                Ok(Err(_)) => format!("an empty {kind} is no table"),
                Err(_) => format!("an object of type {kind} is no table"),
            };
            Err(refused(object, Odd { what, path: "$".to_owned() }))
        }
    }
}

/// Whether a table was made of records.
pub(super) fn is_records(schema: &Schema) -> bool {
    schema.metadata().get(infer::RECORDS).is_some()
}

/// Whether nulls of a field stand for keys that are missing.
pub(super) fn is_missing(field: &Field) -> bool {
    field.metadata().get(infer::MISSING).is_some()
}
