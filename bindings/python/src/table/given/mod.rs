//! Records under a schema: each value goes straight into the column that was announced for it, and nothing is inferred.
//!
//! What is taken is what `pyarrow.Table.from_pylist` takes for a schema, where nothing of it is lost: an integer among floats if a
//! float holds it exactly, and a float in the nearest of the floats that were announced, as long as it is finite there. A bool is no
//! number, a float no integer, and a key that was not announced is refused.

mod column;
mod element;
mod packed;
mod union;

use super::moments;
use super::records;
use crate::value::fault::type_name;
use crate::value::pairs;
use crate::value::types::Exact;
use arrow_data::ArrayData;
use arrow_schema::{FieldRef, Fields};
use column::Column;
use pyo3::buffer::PyBuffer;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::critical_section::with_critical_section;
use pyo3::types::{
    PyByteArray, PyBytes, PyDateTime, PyDict, PyList, PyMemoryView, PyString, PyTimeAccess, PyType,
    PyTzInfoAccess,
};
use slipring_codec::format::arrow::Rows;
use std::collections::HashSet;

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
    /// Several columns have its name.
    Ambiguous,
    Large,
    /// A key that a map has already.
    Twice,
}

impl Why {
    /// As faults of schemas are named.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Why::Missing => "missing",
            Why::Null => "nullable",
            Why::Type | Why::Range | Why::Large | Why::Twice => "type",
            Why::Unknown => "unknown",
            Why::Ambiguous => "ambiguous",
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
            Why::Twice => format!("the key {was} stands twice in one map"),
            Why::Unknown => "the key was not announced".to_owned(),
            Why::Ambiguous => "several columns of this name were announced".to_owned(),
            Why::Large => format!("there is more than {wants} can count"),
        }
    }

    pub(super) fn hint(&self) -> &'static str {
        match self.why {
            Why::Missing => "give the key, or announce a column that may be null or has a default",
            Why::Null => "give a value, or announce a column that may be null",
            Why::Type | Why::Range => "give what was announced, or announce another type",
            Why::Unknown => "leave the key away, or announce a column of that name",
            Why::Ambiguous => "send a table, or announce columns with names of their own",
            Why::Large => "announce a larger type, or send the records in several frames",
            Why::Twice => "give each key once, or announce a list of structs",
        }
    }
}

/// The records as these columns.
pub(super) fn rows(list: &Bound<'_, PyList>, fields: &Fields) -> Result<Rows, Misplaced> {
    let mut columns = Columns::of(list.py(), fields);
    for (number, record) in list.iter().enumerate() {
        columns.push(&record).map_err(|misplaced| misplaced.at(number))?;
    }
    let columns = columns.columns.into_iter().map(Column::finish).collect();
    Ok(Rows { len: list.len(), columns })
}

/// What stands in a sequence, as this column.
pub(super) fn column<'py>(
    field: &FieldRef,
    elements: &Bound<'py, PyAny>,
) -> Result<ArrayData, Misplaced> {
    let mut column = Column::of(elements.py(), field);
    match column.push_all(elements).map_err(|misplaced| misplaced.under(field.name()))? {
        Some(_) => Ok(column.finish()),
        None => Err(odd(elements, &field.data_type().to_string(), Why::Type).under(field.name())),
    }
}

/// The columns of records, or of the maps under a key.
struct Columns<'py> {
    /// A name that several have, of which a record says one.
    twice: Option<String>,
    columns: Vec<Column<'py>>,
}

impl<'py> Columns<'py> {
    fn of(py: Python<'py>, fields: &Fields) -> Self {
        let mut names = HashSet::new();
        let twice = fields.iter().find(|field| !names.insert(field.name()));
        let twice = twice.map(|field| field.name().clone());
        Self { twice, columns: fields.iter().map(|field| Column::of(py, field)).collect() }
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
        if let Some(name) = &self.twice {
            let none =
                Misplaced { path: String::new(), was: None, wants: None, why: Why::Ambiguous };
            return Err(none.under(name));
        }
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
            let known = |column: &Column<'_>| key.eq(&column.name).unwrap_or(false);
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

    fn nothing(&mut self) -> Result<(), Why> {
        self.columns.iter_mut().try_for_each(Column::nothing)
    }
}

/// Of a value so many characters are told.
const SHOWN: usize = 60;

#[cold]
fn odd(value: &Bound<'_, PyAny>, wants: &str, why: Why) -> Misplaced {
    let was = match why {
        Why::Range | Why::Twice => value.repr().map_or_else(
            |_| type_name(value),
            |told| match told.to_string_lossy() {
                told if told.len() > SHOWN => {
                    told.chars().take(SHOWN).chain("...".chars()).collect()
                }
                told => told.into_owned(),
            },
        ),
        _ => type_name(value),
    };
    Misplaced { path: String::new(), was: Some(was), wants: Some(wants.to_owned()), why }
}

/// Whether it is pandas' NA.
fn is_na(value: &Bound<'_, PyAny>) -> bool {
    let is_pandas = |kind: &Bound<'_, PyType>| {
        let module = kind.module().ok()?;
        Some(module.to_str().ok()?.starts_with("pandas."))
    };
    let kind = value.get_type();
    Exact::of(value.as_borrowed()) == Exact::Other
        && kind.name().is_ok_and(|name| name == "NAType")
        && is_pandas(&kind).unwrap_or(false)
}

/// The bytes of what shows nothing but bytes, in one dimension.
fn bytes_of<'py>(value: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
    let is_view = || PyBuffer::<u8>::get(value).is_ok_and(|bytes| bytes.dimensions() == 1);
    let is_bytes = value.is_instance_of::<PyByteArray>()
        || value.is_instance_of::<PyMemoryView>() && is_view();
    is_bytes.then(|| value.py().get_type::<PyBytes>().call1((value,)).ok()).flatten()
}

/// What is no element itself as one that is: a moment in UTC, the text, number, bytes or time of a subclass, NumPy's elements as Python's,
/// pandas' NA as None.
fn plain<'py>(value: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
    if is_na(value) {
        return Some(value.py().None().into_bound(value.py()));
    }
    if let Some(bytes) = bytes_of(value) {
        return Some(bytes);
    }
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
