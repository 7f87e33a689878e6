//! Data frames of pandas', by way of their arrays: `slipring._pandas` knows which kinds go so, and what pyarrow would make of them.

use super::column::Column;
use super::take::{self, Incoming};
use super::{Table, columns, loaded};
use crate::array::{self, Candidate};
use crate::value::types::warn_lossy;
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer};
use arrow_data::ArrayData;
use arrow_schema::{DataType, Field, Fields, Schema, TimeUnit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};
use slipring_codec::format::arrow::{Batch, Rows};

/// What pandas' metadata stands under.
const KEY: &str = "pandas";
/// Longer metadata, and longer dictionaries, are not kept.
const MOST: usize = 64 << 10;

fn module(py: Python<'_>) -> PyResult<Bound<'_, PyModule>> {
    py.import(intern!(py, "slipring._pandas"))
}

/// Whether it is a data frame of pandas', or has the name of one.
fn may_be(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    let kind = object.get_type();
    Ok(kind.name()? == "DataFrame" && kind.module()? == "pandas")
}

pub(super) fn is_series(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = object.py();
    match loaded(py, intern!(py, "pandas"), intern!(py, "Series"))? {
        Some(class) => object.is_instance(&class),
        None => Ok(false),
    }
}

/// The name of a series, where it is a text: the Arrow of a series has none.
pub(super) fn name(object: &Bound<'_, PyAny>) -> PyResult<Option<String>> {
    if !is_series(object)? {
        return Ok(None);
    }
    Ok(object.getattr(intern!(object.py(), "name"))?.extract().ok())
}

/// Says so where the index of a series is more than its rows' numbers: the Arrow of a series has none.
pub(super) fn warn_index(object: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = object.py();
    if !is_series(object)? {
        return Ok(());
    }
    let index = object.getattr(intern!(py, "index"))?;
    let is_range = match loaded(py, intern!(py, "pandas"), intern!(py, "RangeIndex"))? {
        Some(class) => index.is_instance(&class)?,
        None => false,
    };
    let is_default = is_range
        && index.getattr(intern!(py, "start"))?.eq(0)?
        && index.getattr(intern!(py, "step"))?.eq(1)?
        && index.getattr(intern!(py, "name"))?.is_none();
    if is_default {
        return Ok(());
    }
    warn_lossy(
        py,
        "the index of a pandas Series is not sent, only its values: send series.to_frame(), which keeps it",
    )
}

/// The table without the parts of its index that have no name, where they were not announced: `pyarrow.Table.from_pandas` leaves them
/// out, too, where a schema is given. That is said.
pub(super) fn without_index(
    py: Python<'_>,
    table: &Incoming,
    announced: &Schema,
) -> PyResult<Option<Incoming>> {
    let Some(metadata) = table.schema.metadata().get(KEY) else { return Ok(None) };
    // They stand in its list of columns that are the index, which comes first.
    let indices = metadata.split("\"column_indexes\"").next().unwrap_or("");
    let is_unnamed = |name: &str| {
        let number = name.strip_prefix("__index_level_").and_then(|rest| rest.strip_suffix("__"));
        number.is_some_and(|number| number.bytes().all(|digit| digit.is_ascii_digit()))
            && indices.contains(&format!("\"{name}\""))
    };
    let fields = table.schema.fields();
    let stays = |field: &Field| {
        !is_unnamed(field.name()) || announced.fields().find(field.name()).is_some()
    };
    let kept: Vec<usize> = (0..fields.len()).filter(|&at| stays(&fields[at])).collect();
    if kept.len() == fields.len() {
        return Ok(None);
    }
    warn_lossy(
        py,
        "the index of a pandas data frame is not sent, as the schema has no column for it: announce one, or send frame.reset_index(drop=True)",
    )?;
    let columns = |rows: &Rows| kept.iter().map(|&at| rows.columns[at].clone()).collect();
    let batches = table.batches.iter().map(|rows| Rows { len: rows.len, columns: columns(rows) });
    let schema = Schema::new(kept.iter().map(|&at| fields[at].clone()).collect::<Vec<_>>());
    Ok(Some(Incoming { schema, batches: batches.collect(), inferred: table.inferred }))
}

/// The schema of a kind of frames.
#[pyclass(frozen, module = "slipring._native")]
pub(crate) struct Shape(Schema);

/// A frame whose kind is known; `None` for any other object.
pub(super) fn shown(object: &Bound<'_, PyAny>) -> PyResult<Option<Incoming>> {
    let py = object.py();
    if !may_be(object)? {
        return Ok(None);
    }
    let given = module(py)?.call_method1(intern!(py, "shown"), (object, py.get_type::<Shape>()))?;
    if given.is_none() {
        return Ok(None);
    }
    let (shape, metadata, len, parts): (Bound<'_, Shape>, String, usize, Bound<'_, PyList>) =
        given.extract()?;
    let schema = &shape.get().0;
    if schema.fields().len() != parts.len() {
        return Ok(None);
    }
    let mut columns = Vec::with_capacity(parts.len());
    for (part, field) in parts.iter().zip(schema.fields()) {
        match column(&part, field)? {
            Some(column) if column.len() == len => columns.push(column),
            _ => return Ok(None),
        }
    }
    let metadata = [(KEY.to_owned(), metadata)];
    let schema = Schema::new_with_metadata(Fields::clone(schema.fields()), metadata);
    Ok(Some(Incoming { schema, batches: vec![Rows { len, columns }], inferred: false }))
}

#[pymethods]
impl Shape {
    #[new]
    fn new(schema: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(Self(take::schema(schema)?))
    }
}

/// A column of this field; `None` where it is of another.
fn column(part: &Bound<'_, PyAny>, field: &Field) -> PyResult<Option<ArrayData>> {
    if let Ok(both) = part.cast::<PyTuple>() {
        let (codes, dictionary): (Bound<'_, PyAny>, Bound<'_, PyAny>) = both.extract()?;
        return categories(&codes, &dictionary, field);
    }
    let Candidate::Array(array) = array::of_numpy(part)? else {
        let (found, data) = take::array(part)?;
        let same = found.data_type() == field.data_type() && found.metadata() == field.metadata();
        return Ok(same.then_some(data));
    };
    let Some((found, buffer)) = columns::primitive(part.py(), &array)?.ok() else {
        return Ok(None);
    };
    let len = array.descriptor.shape().first().copied().unwrap_or(0) as usize;
    // Times come as their integers.
    let wanted = match field.data_type() {
        DataType::Timestamp(..) | DataType::Duration(_) => &DataType::Int64,
        other => other,
    };
    if found != *wanted {
        return Ok(None);
    }
    let data_type = field.data_type();
    let nulls = part.py().detach(|| missing(data_type, &buffer));
    Ok(built(data_type, len, nulls, buffer, vec![]))
}

fn built(
    data_type: &DataType,
    len: usize,
    nulls: Option<NullBuffer>,
    buffer: Buffer,
    children: Vec<ArrayData>,
) -> Option<ArrayData> {
    let data = ArrayData::builder(data_type.clone()).len(len).nulls(nulls).add_buffer(buffer);
    // Only what somebody changes meanwhile is refused here.
    data.child_data(children).align_buffers(true).build().ok()
}

/// What stands for no value in pandas is null: NaN, and `NaT`.
pub(super) fn missing(data_type: &DataType, buffer: &Buffer) -> Option<NullBuffer> {
    fn none<const N: usize>(buffer: &Buffer, is: impl Fn([u8; N]) -> bool) -> Option<NullBuffer> {
        let (elements, _) = buffer.as_chunks::<N>();
        // Mostly there is none, which is seen faster without a branch for each.
        let any = elements.chunks(1024).any(|some| some.iter().fold(false, |any, &e| any | is(e)));
        any.then(|| elements.iter().map(|&element| !is(element)).collect::<BooleanBuffer>().into())
    }
    match data_type {
        DataType::Float16 => none(buffer, |e| u16::from_ne_bytes(e) & 0x7FFF > 0x7C00),
        DataType::Float32 => none(buffer, |e| f32::from_ne_bytes(e).is_nan()),
        DataType::Float64 => none(buffer, |e| f64::from_ne_bytes(e).is_nan()),
        DataType::Timestamp(..) | DataType::Duration(_) => {
            none(buffer, |e| i64::from_ne_bytes(e) == i64::MIN)
        }
        _ => None,
    }
}

/// A code below 0 stands for no value. Answers also the greatest code; `None` of what are no codes.
fn without_value(data_type: &DataType, codes: &Buffer) -> Option<(Option<NullBuffer>, i64)> {
    macro_rules! look {
        ($kind:ty) => {{
            let (codes, _) = codes.as_chunks::<{ size_of::<$kind>() }>();
            let codes = codes.iter().map(|&code| <$kind>::from_ne_bytes(code));
            let span = |(least, most): ($kind, $kind), code| (least.min(code), most.max(code));
            let (least, most) = codes.clone().fold((0, -1), span);
            let valid = || codes.map(|code| code >= 0).collect::<BooleanBuffer>();
            ((least < 0).then(|| valid().into()), i64::from(most))
        }};
    }
    Some(match data_type {
        DataType::Int8 => look!(i8),
        DataType::Int16 => look!(i16),
        DataType::Int32 => look!(i32),
        DataType::Int64 => look!(i64),
        _ => return None,
    })
}

/// Codes of a categorical, and the array of its categories.
fn categories(
    codes: &Bound<'_, PyAny>,
    dictionary: &Bound<'_, PyAny>,
    field: &Field,
) -> PyResult<Option<ArrayData>> {
    let py = codes.py();
    let DataType::Dictionary(index, values) = field.data_type() else { return Ok(None) };
    let Candidate::Array(array) = array::of_numpy(codes)? else { return Ok(None) };
    let Some((found, buffer)) = columns::primitive(py, &array)?.ok() else { return Ok(None) };
    let (values_field, dictionary) = take::array(dictionary)?;
    if found != **index || values_field.data_type() != &**values {
        return Ok(None);
    }
    let width = found.primitive_width().unwrap_or(1);
    let len = buffer.len() / width;
    let Some((nulls, most)) = py.detach(|| without_value(&found, &buffer)) else { return Ok(None) };
    if most >= dictionary.len() as i64 {
        return Ok(None);
    }
    Ok(built(field.data_type(), len, nulls, buffer, vec![dictionary]))
}

/// A table as a data frame, if its kind is known; else what it is to be known by.
pub(super) enum Made<'py> {
    Frame(Bound<'py, PyAny>),
    /// Pyarrow makes it, and [`learn`] sees what that is.
    Unknown(Known<'py>),
    Other,
}

/// What a table is known by.
pub(super) struct Known<'py> {
    key: Bound<'py, PyAny>,
    kinds: Bound<'py, PyTuple>,
}

/// Whether the options leave the frame as it is made here, and whether its columns are to be split; `None`: they don't.
fn split(options: Option<&Bound<'_, PyDict>>) -> PyResult<Option<bool>> {
    let Some(options) = options.filter(|options| !options.is_empty()) else {
        return Ok(Some(false));
    };
    let split = options.get_item(intern!(options.py(), "split_blocks"))?;
    match split {
        Some(split) if options.len() == 1 => Ok(split.extract().ok()),
        _ => Ok(None),
    }
}

pub(super) fn made<'py>(
    table: &Bound<'py, Table>,
    options: Option<&Bound<'py, PyDict>>,
) -> PyResult<Made<'py>> {
    let py = table.py();
    let (of, this) = (&table.get().table, table.get());
    let Some(split) = split(options)? else { return Ok(Made::Other) };
    let [batch] = &of.batches[..] else { return Ok(Made::Other) };
    let metadata = of.schema.metadata();
    let text = metadata.get(KEY);
    let odd = of.schema.fields().iter().any(|field| !field.metadata().is_empty());
    if odd
        || batch.len == 0
        || metadata.len() > usize::from(text.is_some())
        || text.is_some_and(|text| text.len() > MOST)
    {
        return Ok(Made::Other);
    }
    let mut kinds = Vec::with_capacity(2 * batch.columns.len());
    for field in of.schema.fields() {
        kinds.push(PyString::new(py, field.name()));
        kinds.push(PyString::new(py, &kind(field)));
    }
    let kinds = PyTuple::new(py, kinds)?;
    let module = module(py)?;
    let found = module.call_method1(intern!(py, "ways"), (text, &kinds, batch.len))?;
    if found.is_none() {
        return Ok(Made::Other);
    }
    let (plan, key, ways, index): (
        Bound<'py, PyAny>,
        Bound<'py, PyAny>,
        Vec<String>,
        Bound<'py, PyAny>,
    ) = found.extract()?;
    let unknown = Made::Unknown(Known { key, kinds });
    if plan.is_none() || ways.len() != batch.columns.len() {
        return Ok(unknown);
    }
    let parts = PyList::empty(py);
    for (number, way) in ways.iter().enumerate() {
        let column = || Column::new(this.memory.clone(), of.clone(), number);
        let part = match &**way {
            "array" => column().numbers(py)?,
            "codes" => codes(py, this, batch, number)?,
            _ => Some(Bound::new(py, column())?.into_any()),
        };
        let Some(part) = part else { return Ok(unknown) };
        parts.append(part)?;
    }
    let frame = module.call_method1(intern!(py, "made"), (plan, index, parts, split))?;
    Ok(if frame.is_none() { unknown } else { Made::Frame(frame) })
}

/// What pyarrow has made of the table, for the next of its kind.
pub(super) fn learn(
    table: &Bound<'_, Table>,
    known: Known<'_>,
    frame: &Bound<'_, PyAny>,
) -> PyResult<()> {
    let (py, of) = (table.py(), &table.get().table);
    let [batch] = &of.batches[..] else { return Ok(()) };
    let nulls: Vec<usize> = batch.columns.iter().map(|column| column.null_count).collect();
    let by = PyList::empty(py);
    for number in 0..batch.columns.len() {
        by.append(dictionary(py, table.get(), batch, number))?;
    }
    module(py)?.call_method1(intern!(py, "learn"), (known.key, known.kinds, frame, nulls, by))?;
    Ok(())
}

/// A type, and all that pyarrow makes something else of.
fn kind(field: &Field) -> String {
    let unit = |unit: &TimeUnit| match unit {
        TimeUnit::Second => "s",
        TimeUnit::Millisecond => "ms",
        TimeUnit::Microsecond => "us",
        TimeUnit::Nanosecond => "ns",
    };
    match field.data_type() {
        DataType::Timestamp(steps, None) => format!("Timestamp({})", unit(steps)),
        DataType::Duration(steps) => format!("Duration({})", unit(steps)),
        DataType::Dictionary(..) if field.dict_is_ordered() == Some(true) => {
            format!("{}, ordered", field.data_type())
        }
        other => other.to_string(),
    }
}

/// What a column's dictionary is known by: the bytes of its buffers, where it has some alone and few.
fn dictionary<'py>(
    py: Python<'py>,
    table: &Table,
    batch: &Batch,
    number: usize,
) -> Option<Bound<'py, PyBytes>> {
    let values = batch.columns[number].dictionary.as_deref()?;
    let is_flat = values.children.is_empty() && values.dictionary.is_none();
    let size: usize = values.buffers.iter().map(ExactSizeIterator::len).sum();
    if !is_flat || values.null_count != 0 || size > MOST {
        return None;
    }
    let mut bytes = values.len.to_ne_bytes().to_vec();
    for buffer in &values.buffers {
        bytes.extend_from_slice(&buffer.len().to_ne_bytes());
        bytes.extend_from_slice(table.memory.get(buffer)?);
    }
    Some(PyBytes::new(py, &bytes))
}

/// Indices as the codes of a categorical, and what their dictionary is known by.
fn codes<'py>(
    py: Python<'py>,
    table: &Table,
    batch: &Batch,
    number: usize,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let column = Column::new(table.memory.clone(), table.table.clone(), number);
    let Some(known_by) = dictionary(py, table, batch, number) else { return Ok(None) };
    let Some(codes) = column.numbers(py)? else { return Ok(None) };
    Ok(Some(PyTuple::new(py, [codes, known_by.into_any()])?.into_any()))
}
