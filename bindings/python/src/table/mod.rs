//! Tables: frames of Arrow record batches, in place.
//!
//! Any library's tables come in by Arrow's capsules and go out by them; no library is imported for it.

mod capsule;
mod column;
pub(crate) mod columns;
mod give;
mod given;
pub(crate) mod moments;
mod objects;
mod pandas;
mod polars;
pub(crate) mod records;
pub(crate) mod schema;
pub(crate) mod send;
pub(crate) mod shape;
pub(crate) mod stream;
pub(crate) mod take;

pub(crate) use column::Column;
pub(crate) use give::Memory;

use crate::array::imported;
use crate::frame::{Taking, other_version};
use crate::{error, size};
use arrow_buffer::Buffer;
use give::Received;
use pandas::Made;
use pyo3::exceptions::{PyAttributeError, PyImportError, PyKeyError, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};
use slipring_codec::evolution::{self, Unfit, laid_out};
use slipring_codec::format::arrow::{self, Batch, Parsed, Recent};
use slipring_codec::{Body, Content, DecodeError, FORMAT_VERSION};
use std::cell::RefCell;
use std::sync::Arc;
use take::Incoming;

#[doc = doc!(Table)]
#[pyclass(frozen, module = "slipring")]
pub(crate) struct Table {
    memory: Memory,
    table: Arc<arrow::Table>,
}

thread_local! {
    /// The schema that this thread has read last: mostly that of the next frame, which costs no more than a comparison then.
    static RECENT: RefCell<Recent> = RefCell::default();
}

/// The table of a frame, over the segment or over a copy, which no peer can change while it is checked.
pub(crate) fn open(
    py: Python<'_>,
    frame: impl Into<Arc<slipring::Frame>>,
    taking: &Taking,
) -> PyResult<(Memory, Arc<arrow::Table>)> {
    let frame = frame.into();
    let header = frame.header();
    if header.format_version != FORMAT_VERSION {
        return Err(other_version(py, header));
    }
    let schema = frame.schema().map_err(|e| error::raise(py, e))?;
    schema.as_ref().map_or(Ok(()), |schema| schema::check_kind(py, schema))?;
    let read = py.detach(|| {
        let memory = match taking.copy {
            false => Memory::Frame(Arc::clone(&frame)),
            true => Memory::Copy(Buffer::from_slice_ref(&**frame)),
        };
        let body = Body::open(header.format, header.flags, header.type_code, memory.bytes())?;
        let Content::Arrow(headed) = body.content()? else {
            unreachable!("the frame header says that it is a table")
        };
        let table = match &schema {
            None => RECENT.with_borrow_mut(|recent| {
                arrow::read_recalling(&headed, None, taking.checks, recent)
            })?,
            Some(schema) => arrow::read_as(&headed, &*schema.made(Parsed::of)?, taking.checks)?,
        };
        Ok((memory.clone(), Arc::new(table)))
    });
    let found: (Memory, Arc<arrow::Table>) =
        read.map_err(|found: DecodeError| error::decode(py, &found, "arrow"))?;
    match (schema, &taking.expects) {
        (Some(schema), Some(expects)) => expects.read(py, &frame, &schema, found),
        _ => Ok(found),
    }
}

/// What is no fault of its columns' types, as it is raised: of what can't be sent, or was changed meanwhile.
#[cold]
fn unfitting(py: Python<'_>, unfit: Unfit) -> PyErr {
    match unfit {
        Unfit::Encode(refused) => error::encode(py, &refused, "arrow"),
        Unfit::Decode(found) => error::decode(py, &found, "arrow"),
        Unfit::Value(refused) => schema::beyond(py, &refused),
        Unfit::Schema(found) => error::schema(py, &found.into()),
        _ => unreachable!("the codec has no other"),
    }
}

/// A column as a list, and its name.
pub(crate) type Named<'py> = (String, Bound<'py, PyList>);

impl Table {
    pub(crate) fn new(memory: Memory, table: Arc<arrow::Table>) -> Self {
        Self { memory, table }
    }

    /// A table in memory of its own, as it would lie in a frame.
    pub(crate) fn of(py: Python<'_>, table: &Incoming) -> PyResult<Self> {
        match py.detach(|| laid_out(&table.schema, &table.batches)) {
            Ok((memory, table)) => Ok(Self::new(Memory::Copy(memory), Arc::new(table))),
            Err(unfit) => Err(unfitting(py, unfit)),
        }
    }

    /// Its memory, and where in it the columns lie.
    fn parts(&self) -> (Memory, Arc<arrow::Table>) {
        (self.memory.clone(), Arc::clone(&self.table))
    }

    /// What was sent: the table itself, the column that was sent alone, or records.
    pub(crate) fn into_object(self, py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        // Records are made unasked. Some of their columns may take no bytes, but never all: one has a bit at least for each
        // row. A peer that claims more rows than that, or more elements than a reader makes, gets no list made.
        let paid = self.memory.size().saturating_mul(8);
        let fields = self.table.schema.fields();
        if records::is_records(&self.table.schema)
            && self.rows() <= paid
            && objects::twice(fields).is_none()
        {
            let reader = objects::Reader::new(py, &self.memory);
            match self.rows_by(&reader) {
                Err(_) if reader.is_spent() => {}
                made => return made.map(Bound::into_any),
            }
        }
        self.shown(py)
    }

    /// The table itself, or the column that was sent alone.
    pub(crate) fn shown(self, py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        if self.table.schema.metadata().get(take::COLUMN).is_some()
            && self.table.schema.fields().len() == 1
        {
            let column = Column::new(self.memory, self.table, 0);
            return Ok(Bound::new(py, column)?.into_any());
        }
        Ok(Bound::new(py, self)?.into_any())
    }

    fn number_of(&self, key: &Bound<'_, PyAny>) -> PyResult<usize> {
        let fields = self.table.schema.fields();
        if let Ok(name) = key.extract::<String>() {
            let mut named = (0..fields.len()).filter(|&number| *fields[number].name() == name);
            return match (named.next(), named.next()) {
                (Some(number), None) => Ok(number),
                (None, _) => Err(PyKeyError::new_err(name)),
                _ => Err(PyValueError::new_err(format!(
                    "several columns are named {name:?}: give a number"
                ))),
            };
        }
        let number: isize = key.extract().map_err(|_| {
            PyTypeError::new_err("a column is named by its text, or counted from 0")
        })?;
        let counted = if number < 0 { number + fields.len() as isize } else { number };
        match usize::try_from(counted) {
            Ok(counted) if counted < fields.len() => Ok(counted),
            _ => Err(pyo3::exceptions::PyIndexError::new_err(format!(
                "column {number} of {}",
                fields.len()
            ))),
        }
    }

    /// Refuses a table that has no form as a dict.
    fn one_of_each(&self) -> PyResult<()> {
        let hint = "take each by its number, or to_pyarrow()";
        objects::one_of_each(self.table.schema.fields(), "the table", hint)
    }

    fn columns(&self) -> impl Iterator<Item = Column> + '_ {
        (0..self.table.schema.fields().len())
            .map(|number| Column::new(self.memory.clone(), Arc::clone(&self.table), number))
    }

    /// The first place whose element Python has no room for: its row, its column's name, and what is raised.
    #[cold]
    pub(crate) fn without_room(&self, py: Python<'_>) -> Option<(usize, String, PyErr)> {
        let reader = objects::Reader::new(py, &self.memory);
        let mut before = 0;
        for batch in &self.table.batches {
            for row in 0..batch.len {
                for (field, column) in self.table.schema.fields().iter().zip(&batch.columns) {
                    if let Err(error) = reader.field(field, column, row) {
                        return Some((before + row, field.name().clone(), error));
                    }
                }
            }
            before += batch.len;
        }
        None
    }

    /// Each row as a dict, by a reader of its memory.
    fn rows_by<'py>(&self, reader: &objects::Reader<'_, 'py>) -> PyResult<Bound<'py, PyList>> {
        let py = reader.py();
        let records = records::is_records(&self.table.schema);
        let fields = self.table.schema.fields().iter();
        let names = fields.map(|field| {
            let name = pyo3::types::PyString::new(py, field.name());
            (name, field, records && records::is_missing(field))
        });
        let names: Vec<_> = names.collect();
        let rows = PyList::empty(py);
        for batch in &self.table.batches {
            for row in 0..batch.len {
                reader.spend(objects::CONTAINER)?;
                let dict = PyDict::new(py);
                for ((name, field, may_be_missing), column) in names.iter().zip(&batch.columns) {
                    if !may_be_missing || reader.is_valid(column, row) {
                        let made = reader.field(field, column, row);
                        let made = made.map_err(|error| reader.placed(error, field, rows.len()));
                        dict.set_item(name, made?)?;
                    } else {
                        reader.spend(1)?;
                    }
                }
                rows.append(dict)?;
            }
        }
        Ok(rows)
    }

    /// The elements of those columns whose names are wanted, each column as a list; `None` where rows say more than columns do:
    /// that a name stands twice, or that a key was missing.
    pub(crate) fn lists<'py>(
        &self,
        py: Python<'py>,
        wanted: impl Fn(&str) -> bool,
    ) -> PyResult<Option<Vec<Named<'py>>>> {
        let fields = self.table.schema.fields();
        if objects::twice(fields).is_some() || fields.iter().any(|field| records::is_missing(field))
        {
            return Ok(None);
        }
        let reader = objects::Reader::new(py, &self.memory);
        let found = fields.iter().zip(self.columns()).filter(|(field, _)| wanted(field.name()));
        let lists =
            found.map(|(field, column)| Ok((field.name().clone(), column.list_by(&reader)?)));
        lists.collect::<PyResult<Vec<_>>>().map(Some)
    }

    pub(crate) fn rows(&self) -> usize {
        self.table.batches.iter().map(|batch| batch.len).sum()
    }
}

/// Name and type of each column, a line each.
fn told(schema: &arrow_schema::Schema) -> String {
    let line = |field: &arrow_schema::FieldRef| {
        let nulls = if field.is_nullable() { "" } else { " not null" };
        format!("{}: {}{nulls}", field.name(), field.data_type())
    };
    schema.fields().iter().map(line).collect::<Vec<_>>().join("\n")
}

fn metadata<'py>(py: Python<'py>, schema: &arrow_schema::Schema) -> PyResult<Bound<'py, PyDict>> {
    let told = PyDict::new(py);
    for (key, value) in schema.metadata().iter() {
        told.set_item(key, value)?;
    }
    Ok(told)
}

/// The body of a frame.
fn opened(frame: &slipring::Frame) -> Result<Body<'_>, DecodeError> {
    let header = frame.header();
    Body::open(header.format, header.flags, header.type_code, frame)
}

/// A stream of Arrow's, as a capsule.
fn stream_capsule<'py>(
    py: Python<'py>,
    memory: &Memory,
    table: &Arc<arrow::Table>,
    column: Option<usize>,
) -> PyResult<Bound<'py, PyAny>> {
    let source = Received { memory: memory.clone(), table: Arc::clone(table), column, next: 0 };
    capsule::capsule(py, give::stream(Box::new(source)), capsule::STREAM)
}

fn schema_capsule<'py>(
    py: Python<'py>,
    table: &arrow::Table,
    column: Option<usize>,
) -> PyResult<Bound<'py, PyAny>> {
    let schema = give::schema_of(table, column).map_err(PyValueError::new_err)?;
    capsule::capsule(py, schema, capsule::SCHEMA)
}

/// A class of a package that somebody has imported; nothing is imported for it.
fn loaded<'py>(
    py: Python<'py>,
    package: &Bound<'py, PyString>,
    class: &Bound<'py, PyString>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let Some(package) = imported(py, package)? else { return Ok(None) };
    // One that is just being imported may not have it yet.
    package.getattr_opt(class)
}

/// What the one batch of a table is, for the interface of a single array.
fn only_batch(table: &arrow::Table) -> PyResult<&Batch> {
    match &table.batches[..] {
        [only] => Ok(only),
        batches => Err(PyAttributeError::new_err(format!(
            "it is {} batches and not one array: take __arrow_c_stream__, or each of batches()",
            batches.len()
        ))),
    }
}

/// A package for a conversion, which the caller must have installed.
fn package<'py>(py: Python<'py>, name: &str, method: &str) -> PyResult<Bound<'py, PyModule>> {
    py.import(name).map_err(|cause| {
        let error = PyImportError::new_err(format!(
            "{method} needs the package {name}: pip install {name}"
        ));
        error.set_cause(py, Some(cause));
        error
    })
}

#[pymethods]
impl Table {
    #[getter]
    fn num_rows(&self) -> usize {
        self.rows()
    }

    #[getter]
    fn num_columns(&self) -> usize {
        self.table.schema.fields().len()
    }

    #[doc = doc!(Table.num_batches)]
    #[getter]
    fn num_batches(&self) -> usize {
        self.table.batches.len()
    }

    #[getter]
    fn column_names(&self) -> Vec<String> {
        self.table.schema.fields().iter().map(|field| field.name().clone()).collect()
    }

    #[doc = doc!(Table.schema)]
    #[getter]
    fn schema(&self) -> String {
        told(&self.table.schema)
    }

    #[doc = doc!(Table.metadata)]
    #[getter]
    fn metadata<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self::metadata(py, &self.table.schema)
    }

    fn column(&self, name: &Bound<'_, PyAny>) -> PyResult<Column> {
        let number = self.number_of(name)?;
        Ok(Column::new(self.memory.clone(), Arc::clone(&self.table), number))
    }

    fn __getitem__(&self, name: &Bound<'_, PyAny>) -> PyResult<Column> {
        self.column(name)
    }

    #[doc = doc!(Table.batches)]
    fn batches(&self) -> Vec<Table> {
        let one = |batch: &Batch| {
            let mut table = (*self.table).clone();
            table.batches = vec![batch.clone()];
            Table { memory: self.memory.clone(), table: Arc::new(table) }
        };
        self.table.batches.iter().map(one).collect()
    }

    #[doc = doc!(Table.slice)]
    #[pyo3(signature = (offset=None, length=None), text_signature = "(offset=0, length=None)")]
    fn slice(
        &self,
        py: Python<'_>,
        offset: Option<&Bound<'_, PyAny>>,
        length: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Table> {
        const ROWS: &str = "a whole number of rows from 0 on";
        let count = |given: Option<&Bound<'_, PyAny>>, name, default| match given {
            Some(given) => {
                size::count(given, name, ROWS).map(|rows| usize::try_from(rows).unwrap_or(default))
            }
            None => Ok(default),
        };
        let from = count(offset, "offset", 0)?;
        let rows = from..from.saturating_add(count(length, "length", usize::MAX)?);
        let (memory, made) = match &self.memory {
            Memory::Made(both) => (&both.0, Some(&both.1)),
            memory => (memory, None),
        };
        let cut = py.detach(|| evolution::slice(&self.table, memory.bytes(), made, rows));
        let Some(cut) = cut else {
            return Err(PyValueError::new_err("the frame was changed while it was read"));
        };
        let memory = match cut.made.is_empty() {
            true => memory.clone(),
            false => Memory::Made(Arc::new((memory.clone(), cut.made))),
        };
        Ok(Table::new(memory, Arc::new(cut.table)))
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let batches = PyList::new(py, self.batches())?;
        Ok(batches.try_iter()?.into_any())
    }

    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        // The interface lets a producer give what it has.
        let _ = requested_schema;
        stream_capsule(py, &self.memory, &self.table, None)
    }

    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        schema_capsule(py, &self.table, None)
    }

    #[doc = doc!(Table.__arrow_c_array__)]
    #[getter]
    fn __arrow_c_array__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        // Libraries ask first whether there is one, and prefer it to the stream.
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
        let array = give::batch(&self.memory, only_batch(&self.table)?);
        let schema = schema_capsule(py, &self.table, None)?;
        let array = capsule::capsule(py, array, capsule::ARRAY)?;
        PyTuple::new(py, [schema, array])
    }

    #[doc = doc!(Table.to_pylist)]
    pub(crate) fn to_pylist<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        self.one_of_each()?;
        self.rows_by(&objects::Reader::new(py, &self.memory))
    }

    #[doc = doc!(Table.to_pydict)]
    fn to_pydict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.one_of_each()?;
        let columns = PyDict::new(py);
        let reader = objects::Reader::new(py, &self.memory);
        for (field, column) in self.table.schema.fields().iter().zip(self.columns()) {
            columns.set_item(field.name(), column.list_by(&reader)?)?;
        }
        Ok(columns)
    }

    #[doc = doc!(Table.to_pyarrow)]
    fn to_pyarrow<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        package(slf.py(), "pyarrow", "to_pyarrow")?.call_method1(intern!(slf.py(), "table"), (slf,))
    }

    #[doc = doc!(Table.to_polars)]
    fn to_polars<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        package(slf.py(), "polars", "to_polars")?
            .getattr(intern!(slf.py(), "DataFrame"))?
            .call1((slf,))
    }

    #[doc = doc!(Table.to_pandas)]
    #[pyo3(signature = (**options))]
    fn to_pandas<'py>(
        slf: &Bound<'py, Self>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        package(slf.py(), "pandas", "to_pandas")?;
        let known = match pandas::made(slf, options)? {
            Made::Frame(frame) => return Ok(frame),
            Made::Unknown(known) => Some(known),
            Made::Other => None,
        };
        let table = Self::to_pyarrow(slf)?;
        let frame = table.call_method(intern!(slf.py(), "to_pandas"), (), options)?;
        if let Some(known) = known {
            pandas::learn(slf, known, &frame)?;
        }
        Ok(frame)
    }

    #[doc = doc!(Table.to_numpy)]
    fn to_numpy<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyDict>> {
        let (py, table) = (slf.py(), slf.get());
        table.one_of_each()?;
        let columns = PyDict::new(py);
        for (field, column) in table.table.schema.fields().iter().zip(table.columns()) {
            columns
                .set_item(field.name(), Column::__array__(&Bound::new(py, column)?, None, None)?)?;
        }
        Ok(columns)
    }

    #[doc = doc!(Table.__len__)]
    fn __len__(&self) -> usize {
        self.rows()
    }

    fn __bool__(&self) -> bool {
        self.rows() != 0
    }

    fn __repr__(&self) -> String {
        let (rows, columns) = (self.rows(), self.table.schema.fields().len());
        let fields = self.table.schema.fields().iter().take(8);
        let mut names: Vec<String> =
            fields.map(|field| format!("{}: {}", field.name(), field.data_type())).collect();
        if columns > names.len() {
            names.push("...".to_owned());
        }
        let names: String = names.join(", ").chars().take(400).collect();
        format!("<slipring.Table {rows} rows x {columns} columns: {names}>")
    }
}
