//! Dataclasses to plain structures and JSON, and back: by a plan for each type, in one crossing.
//!
//! `slipring/dataclass` finds out what a type is; `plan` and `class` are what is kept of it; `dump` and `load` are the two
//! walks, `target` and `source` with `text` and `cbor` what they lead to and come from; `leaf` knows what is text outside;
//! `containers`, `sent`, `unions`, `scalars`, `checks`, `registered` and `untyped` are the walks' rarer steps.

mod cbor;
mod checks;
mod class;
mod columns;
mod containers;
mod dump;
mod fail;
mod inline;
mod leaf;
mod load;
pub(crate) mod made;
mod plan;
mod plans;
mod registered;
mod rows;
mod scalars;
mod sent;
mod source;
mod target;
mod text;
mod tries;
mod unions;
mod untyped;
mod walk;

use crate::choices::Why;
use crate::end::Timeout;
use crate::frame::{Encoded, Frame};
use crate::garbage::Pause;
use crate::outgoing::Written;
use crate::producer::Producer;
use crate::table::Table;
use crate::table::take::{self, Incoming};
use crate::value::fault::type_name;
use crate::value::sink::BytesSink;
use crate::value::{Fault, Writer};
use crate::{json, meta, options};
use cbor::{Cbor, Value};
use columns::Columns;
use dump::Dumper;
use fail::{Errors, Fail, Gathered, Message, Outcome};
use load::{Loader, Options};
use plan::{Node, Plan, Temporal};
use pyo3::exceptions::{PyException, PyOverflowError, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple, PyType};
use rows::Rows;
use slipring_codec::Format;
use slipring_codec::error::Segment;
use slipring_codec::select::Nature;
use slipring_codec::token::{Fixed, Sink};
use source::{Plain, Source};
use std::ptr::NonNull;
use target::{Json, Objects, Target};

/// Objects and containers that may stand inside each other, both ways.
const DEPTH: usize = 512;

/// What is said of a value that is not of a node's type.
fn message(node: &Node) -> &'static str {
    match node {
        Node::Bool => "Not a valid boolean.",
        Node::Int => "Not a valid integer.",
        Node::Float | Node::Decimal { .. } => "Not a valid number.",
        Node::Str => "Not a valid string.",
        Node::Bytes => "Not a valid base64 string.",
        Node::Uuid => "Not a valid UUID.",
        Node::Delta => "Not a valid period of time.",
        Node::Temporal { which, .. } => temporal_message(*which),
        Node::List(_) => "Not a valid list.",
        Node::Set(_) | Node::FrozenSet(_) => "Not a valid set.",
        Node::Tuple { .. } | Node::TupleOf(_) => "Not a valid tuple.",
        Node::Dict(..) => "Not a valid mapping type.",
        Node::Array { .. } => "Not a valid array.",
        Node::None => "Must be null.",
        _ => fail::REFUSED,
    }
}

fn temporal_message(which: Temporal) -> &'static str {
    match which {
        Temporal::DateTime => "Not a valid datetime.",
        Temporal::Date => "Not a valid date.",
        Temporal::Time => "Not a valid time.",
    }
}

/// An argument that may be left out; None is one.
struct Given<'py>(Option<Bound<'py, PyAny>>);

impl<'py> FromPyObject<'_, 'py> for Given<'py> {
    type Error = std::convert::Infallible;
    fn extract(given: Borrowed<'_, 'py, PyAny>) -> Result<Self, Self::Error> {
        Ok(Self(Some(given.to_owned())))
    }
}

/// The type and the object of a call with one or both.
fn both<'py>(
    first: Bound<'py, PyAny>,
    Given(second): Given<'py>,
) -> PyResult<(Bound<'py, Plan>, Bound<'py, PyAny>)> {
    if let Some(object) = second {
        return Ok((plans::of_type(&first)?, object));
    }
    match plans::of_object(&first)? {
        Some(plan) => Ok((plan, first)),
        None => Ok((plans::untyped(first.py())?.into_bound(first.py()), first)),
    }
}

fn load_options(strict: bool, unknown: Option<&str>, py: Python<'_>) -> PyResult<Options> {
    let unknown_is_error = match unknown {
        None => None,
        Some(given) => {
            let all = [("ignore", false), ("raise", true)];
            Some(json::choose(py, "unknown", given, "ignore or raise", &all)?)
        }
    };
    Ok(Options { coerce: !strict, unknown_is_error, ..Options::default() })
}

fn finished<T>(
    made: Outcome<T>,
    target: &Bound<'_, PyAny>,
    dumps: bool,
    malformed: impl FnOnce() -> PyErr,
) -> PyResult<T> {
    let py = target.py();
    made.map_err(|failed| match *failed {
        Fail::Invalid(errors) => errors.raise(target),
        Fail::Fault(fault) if dumps => fault.encoding(py),
        Fail::Fault(fault) => fault.decoding(py),
        Fail::Malformed => malformed(),
    })
}

/// To what is said of a text that is no such object, but looks like one in JSON.
#[cold]
fn note_json(data: &Bound<'_, PyAny>, error: &PyErr) {
    let py = data.py();
    let bytes = match (data.cast::<PyString>(), data.cast::<PyBytes>()) {
        (Ok(text), _) => text.to_str().unwrap_or_default().as_bytes(),
        (_, Ok(bytes)) => bytes.as_bytes(),
        _ => return,
    };
    if error.is_instance_of::<PyException>(py)
        && matches!(bytes.trim_ascii_start().first(), Some(b'{' | b'['))
        && let Ok(kind) = data.get_type().name()
    {
        let note = format!("a {kind} was given that looks like JSON: load_from_bytes reads it");
        // Without it the error is the same.
        let _ = error.value(py).call_method1(intern!(py, "add_note"), (note,));
    }
}

/// How an object goes into a frame.
#[derive(Clone, Copy)]
enum Into {
    Value,
    Json,
}

/// An object by its plan into what a target makes of it.
fn written<'py, T: Target<'py>>(plan: &Plan, object: &Bound<'py, PyAny>, target: T) -> PyResult<T> {
    let mut dumper = Dumper::new(object.py(), target, !T::IS_TEXT);
    let made = dumper.node(plan, plan.root, object.as_borrowed(), 0);
    finished(made, plan.target.bind(object.py()), true, no_json)?;
    Ok(dumper.target)
}

/// An object of an item that a source begins with.
fn read<'py, S: Source<'py>>(
    plan: &Plan,
    loader: &mut Loader<'py, S>,
    item: S::Item,
) -> Outcome<Bound<'py, PyAny>> {
    let _pause = (plan.is_quiet && loader.source.is_quiet()?).then(Pause::new);
    Ok(class::owned(loader.py, loader.node(plan, plan.root, item, 0)?))
}

/// What was read, or what is wrong behind it: that there is more is worse than what is not valid.
fn ended<T>(read: Outcome<T>, end: impl FnOnce() -> Outcome<()>) -> Outcome<T> {
    match read {
        Err(failed) if !matches!(*failed, Fail::Invalid(_)) => Err(failed),
        read => end().and(read),
    }
}

fn no_json() -> PyErr {
    PyTypeError::new_err("no JSON was read")
}

/// A type as it is written.
#[cold]
fn titled(target: &Bound<'_, PyAny>) -> PyResult<String> {
    let py = target.py();
    let errors = py.import(intern!(py, "slipring.errors"))?;
    errors.getattr(intern!(py, "_titled"))?.call1((target,))?.extract()
}

/// Refuses a type that no row is.
#[cold]
fn check_row(plan: &Plan, given: &Bound<'_, PyAny>) -> PyResult<()> {
    let Node::List(row) = plan.node(plan.root) else { return Ok(()) };
    let is_one = matches!(
        plan.bare(*row),
        Node::Class(_)
            | Node::Dict(..)
            | Node::Any
            | Node::Union(_)
            | Node::Optional(_)
            | Node::Registered { .. }
            | Node::Tuple { class: Some(_), .. }
    );
    if is_one {
        return Ok(());
    }
    let title = titled(given)?;
    let told = format!(
        "from_arrow makes a list, of an object for each row: give the type of one row, a class with fields, not {title}"
    );
    Err(PyTypeError::new_err(told))
}

/// Of what a frame holds that is no object of a class: what it is, and what reads it.
#[cold]
fn no_object(plan: &Plan, format: &str, target: &Bound<'_, PyAny>) -> PyResult<()> {
    if !matches!(plan.bare(plan.root), Node::Class(_)) {
        return Ok(());
    }
    let title = titled(target)?;
    let told = match format {
        "arrow" => {
            format!("A table arrived, which is many rows: from_frame(list[{title}], frame).")
        }
        "raw" => format!(
            "Bytes arrived, and no object; if they are JSON: load_from_bytes({title}, frame.view)."
        ),
        "ndarray" => "An array arrived, and no object: frame.value is it.".to_owned(),
        _ => return Ok(()),
    };
    let said = Errors::Invalid(Message::Owned(told.into()));
    finished(fail::of(Errors::Schema(Box::new(said))), target, false, no_json)
}

/// What can't be columns.
#[cold]
fn unsuited(what: &str) -> Box<Fail> {
    let hint = "give such fields one type each, or send the objects as values";
    Fault::refused(what.to_owned(), "column".to_owned(), hint).into()
}

/// The plan of a table's first row.
fn of_row<'py>(row: &Bound<'py, PyAny>) -> PyResult<Bound<'py, Plan>> {
    let py = row.py();
    let class = row.get_type();
    if row.is_instance_of::<PyTuple>() && class.hasattr(intern!(py, "_fields"))? {
        return plans::of_type(class.as_any());
    }
    match plans::of_object(row)? {
        Some(plan) => Ok(plan),
        None => {
            let fault = Fault::refused(
                format!("rows are objects of a class with fields, not of {}", class.name()?),
                type_name(row),
                "give the class first, to_arrow(cls, objects), or send dicts with format=\"arrow\"",
            );
            Err(fault.within(Segment::Index(0)).encoding(py))
        }
    }
}

/// What is iterable as a list of objects; what is one itself, or a text, is none.
fn several<'py>(objects: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyList>> {
    let is_one = objects.is_instance_of::<PyType>()
        || objects.is_instance_of::<PyString>()
        || objects.is_instance_of::<PyBytes>()
        || objects.is_instance_of::<PyDict>();
    match objects.try_iter() {
        Ok(items) if !is_one => PyList::new(objects.py(), items.collect::<PyResult<Vec<_>>>()?),
        _ => {
            let what = match objects.is_instance_of::<PyType>() {
                true => "a class: to_arrow(cls, objects)".to_owned(),
                false => type_name(objects),
            };
            let told = format!(
                "to_arrow takes a list of objects of one class, or an iterator, not {what}"
            );
            Err(PyTypeError::new_err(told))
        }
    }
}

/// Objects as the rows of a table.
fn table<'py>(plan: &Plan, objects: &Bound<'py, PyList>) -> Outcome<Incoming> {
    let py = objects.py();
    let rows = Rows { columns: Columns::of(plan, objects)?, current: 0 };
    let mut dumper = Dumper::new(py, rows, true);
    let mut errors = Gathered::default();
    let mut index = 0;
    while let Some(object) = walk::item_of(&objects.as_any().as_borrowed(), index) {
        dumper.target.current = 0;
        if let Err(failed) = dumper.node(plan, plan.root, object.as_borrowed(), 0) {
            errors.take(failed, || fail::index_name(py, index), || Segment::Index(index))?;
        }
        index += 1;
    }
    if !errors.is_empty() {
        return errors.fail();
    }
    let (fields, len, columns) = dumper.target.columns.finish()?;
    let batches = vec![slipring_codec::format::arrow::Rows { len, columns }];
    Ok(Incoming { schema: arrow_schema::Schema::new(fields), batches, inferred: true })
}

/// A table's rows; of one that Python has no room for it is said which.
fn rows_of<'py>(py: Python<'py>, table: &Table) -> PyResult<Bound<'py, PyList>> {
    table.to_pylist(py).map_err(|error| {
        let no_room =
            error.is_instance_of::<PyValueError>(py) || error.is_instance_of::<PyOverflowError>(py);
        match no_room.then(|| table.without_room(py)).flatten() {
            Some((row, name, error)) => {
                let hint = "cast the column to microseconds, or take it with pyarrow";
                let fault = Fault::refused(error.value(py).to_string(), "column".into(), hint);
                fault.within(Segment::key(&name)).within(Segment::Index(row)).decoding(py)
            }
            None => error,
        }
    })
}

/// The objects of a table's rows, straight from its columns; `None` where that can't be, or where something is wrong: what it
/// is, and in which row, is told by [`load_rows`].
fn load_columns<'py>(
    plan: &Plan,
    table: &Table,
    py: Python<'py>,
    options: Options,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    // Who validates is called once for each value, whatever comes of it.
    let Node::List(inner) = plan.node(plan.root) else { return Ok(None) };
    let Node::Class(class) = plan.node(*inner) else { return Ok(None) };
    if !plan.is_quiet
        || class.is_dict()
        || options.unknown_is_error.unwrap_or(class.unknown_is_error)
    {
        return Ok(None);
    }
    let lists = match table.lists(py, |name| class.find(name.as_bytes(), 0).is_some()) {
        Ok(Some(lists)) => lists,
        Err(error) if !error.is_instance_of::<PyException>(py) => return Err(error),
        Ok(None) | Err(_) => return Ok(None),
    };
    let place = |(name, list): (String, _)| Some((class.find(name.as_bytes(), 0)?, list));
    let columns: Vec<_> = lists.into_iter().filter_map(place).collect();
    let options = Options { pairs: true, not_finite: true, ..options };
    let _pause = Pause::new();
    match Loader::new(py, Plain { py }, options).of_columns(plan, class, &columns, table.rows()) {
        Ok(list) => Ok(Some(list.into_any())),
        Err(_) => Ok(None),
    }
}

/// The objects of a table, in whichever way.
fn from_table<'py>(
    plan: &Plan,
    table: &Table,
    py: Python<'py>,
    options: Options,
) -> PyResult<Bound<'py, PyAny>> {
    match load_columns(plan, table, py, options)? {
        Some(made) => Ok(made),
        None => load_rows(plan, &rows_of(py, table)?, options),
    }
}

/// The objects of a table's rows.
fn load_rows<'py>(
    plan: &Plan,
    rows: &Bound<'py, PyList>,
    options: Options,
) -> PyResult<Bound<'py, PyAny>> {
    let py = rows.py();
    let mut loader =
        Loader::new(py, Plain { py }, Options { pairs: true, not_finite: true, ..options });
    // SAFETY: a reference is never null.
    let item = unsafe { NonNull::new_unchecked(rows.as_ptr()) };
    let made = read(plan, &mut loader, item);
    finished(made, plan.target.bind(py), false, no_json)
}

fn load_json<'py>(
    py: Python<'py>,
    plan: &Plan,
    input: json::Input<'_>,
    options: Options,
) -> PyResult<Bound<'py, PyAny>> {
    let reader = json::reader(py, input, options.unique_keys, options.max_digits);
    let mut loader = Loader::new(py, reader, options);
    loader.source.skip_space();
    let made = ended(read(plan, &mut loader, ()), || Ok(loader.source.expect_end()?));
    let malformed = || loader.source.raise();
    finished(made, plan.target.bind(py), false, malformed)
}

/// `slipring.dataclass` is its public name.
#[pymodule(submodule)]
pub(crate) mod _dataclass {
    use super::*;

    /// The plan of a type from its description, for ``slipring/dataclass/_analyse.py``.
    #[pyfunction]
    fn compile(
        target: &Bound<'_, PyAny>,
        nodes: &Bound<'_, PyTuple>,
        root: u32,
        is_ordered: bool,
    ) -> PyResult<Plan> {
        Plan::compile(target, nodes, root, is_ordered)
    }

    /// The object as dicts, lists, str, numbers, True, False and None.
    ///
    /// It goes by ``cls``, or by its own class. ``native`` leaves Decimal, UUID, dates, timedelta and bytes as they are, and
    /// lets NaN and infinities through.
    /// ``ValidationError`` says which of its fields are not of their types, ``EncodeError`` the path of what has no form.
    #[pyfunction]
    #[pyo3(signature = (cls, obj=Given(None), /, *, native=false), text_signature = "(cls, obj=..., /, *, native=False)")]
    fn dump<'py>(
        cls: Bound<'py, PyAny>,
        obj: Given<'py>,
        #[pyo3(from_py_with = options::native)] native: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = cls.py();
        let (plan, object) = both(cls, obj)?;
        let mut dumper = Dumper::new(py, Objects::new(py), native);
        let plan = plan.get();
        let pause = plan.is_quiet.then(Pause::new);
        let made = dumper.node(plan, plan.root, object.as_borrowed(), 0);
        drop(pause);
        finished(made, plan.target.bind(py), true, no_json)
    }

    /// The object as JSON, UTF-8, with nothing in between. Errors as those of ``dump``.
    #[pyfunction]
    #[pyo3(signature = (cls, obj=Given(None), /), text_signature = "(cls, obj=..., /)")]
    fn dump_to_bytes<'py>(cls: Bound<'py, PyAny>, obj: Given<'py>) -> PyResult<Bound<'py, PyAny>> {
        let py = cls.py();
        let (plan, object) = both(cls, obj)?;
        let options = json::plain_options();
        let plan = plan.get();
        let writer = json::writer(py, BytesSink::new(plan.room()), &options);
        let bytes = written(plan, &object, Json { writer })?.writer.out.finish().finish(py)?;
        plan.wrote(bytes.as_bytes().len());
        Ok(bytes.into_any())
    }

    /// The object of type ``cls`` that a plain structure says.
    ///
    /// With ``strict=False`` text may be numbers and booleans, whole floats ints, numbers text. Fields that are ``unknown``
    /// are ignored or refused, whatever their class says. ``ValidationError`` has all that is wrong, each where it is.
    /// Where an object of the very class stands it is taken as it is.
    #[pyfunction]
    #[pyo3(signature = (cls, data, /, *, strict=true, unknown=None))]
    fn load<'py>(
        cls: &Bound<'py, PyAny>,
        data: &Bound<'py, PyAny>,
        #[pyo3(from_py_with = options::strict)] strict: bool,
        #[pyo3(from_py_with = options::unknown)] unknown: Option<&str>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = cls.py();
        let plan = plans::of_type(cls)?;
        let mut loader = Loader::new(py, Plain { py }, load_options(strict, unknown, py)?);
        let plan = plan.get();
        let pause = plan.is_quiet.then(Pause::new);
        // SAFETY: a reference is never null.
        let item = unsafe { NonNull::new_unchecked(data.as_ptr()) };
        let made = loader.node(plan, plan.root, item, 0);
        drop(pause);
        let made = finished(made, plan.target.bind(py), false, no_json);
        Ok(class::owned(py, made.inspect_err(|error| note_json(data, error))?))
    }

    /// The object of type ``cls`` that JSON says, with nothing in between; from str or anything that has bytes, such as a
    /// frame's view.
    ///
    /// As ``load``. Of ``duplicates`` of a key the last one stays, or they are an error. ``max_digits`` limits what a number
    /// may have. ``DecodeError`` says where JSON is none.
    #[pyfunction]
    #[pyo3(signature = (cls, data, /, *, strict=true, unknown=None, duplicates="last", max_digits=None))]
    fn load_from_bytes<'py>(
        cls: &Bound<'py, PyAny>,
        data: &Bound<'py, PyAny>,
        #[pyo3(from_py_with = options::strict)] strict: bool,
        #[pyo3(from_py_with = options::unknown)] unknown: Option<&str>,
        #[pyo3(from_py_with = options::duplicates)] duplicates: &str,
        max_digits: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = cls.py();
        let plan = plans::of_type(cls)?;
        let mut options = load_options(strict, unknown, py)?;
        let of_duplicates = [("last", false), ("error", true)];
        options.unique_keys =
            json::choose(py, "duplicates", duplicates, "last or error", &of_duplicates)?;
        options.max_digits = json::digits(max_digits)?;
        let plan = plan.get();
        json::with_input(data, "load_from_bytes", |input| load_json(py, plan, input, options))
    }

    /// Sends an object through a producer with nothing in between: as a value, a map of its fields by their names outside,
    /// or with ``format="json"`` as JSON.
    ///
    /// It goes by ``cls``, or by its own class. In a value Decimals, UUIDs, dates, timedelta and bytes stay what they are,
    /// and every language reads them as such; arrays and large bytes lie out of line. ``meta``, ``timeout`` and
    /// ``drop_oldest`` are those of ``send``.
    #[pyfunction]
    #[pyo3(signature = (tx, obj, cls=None, /, *, format="value", meta=None, timeout=None, drop_oldest=false))]
    fn to_frame<'py>(
        tx: &Bound<'py, PyAny>,
        obj: &Bound<'py, PyAny>,
        cls: Option<Bound<'py, PyAny>>,
        #[pyo3(from_py_with = options::format)] format: &str,
        meta: Option<&Bound<'py, PyAny>>,
        timeout: Option<&Bound<'py, PyAny>>,
        #[pyo3(from_py_with = options::drop_oldest)] drop_oldest: bool,
    ) -> PyResult<()> {
        let py = obj.py();
        let tx = tx.cast::<Producer>().map_err(|_| {
            let what = type_name(tx);
            PyTypeError::new_err(format!("to_frame takes a producer, then the object, not {what}"))
        })?;
        let formats = [("value", Into::Value), ("json", Into::Json)];
        let into = json::choose(py, "format", format, "value or json", &formats)?;
        let (plan, object) = match cls {
            Some(cls) => both(cls, Given(Some(obj.clone())))?,
            None => both(obj.clone(), Given(None))?,
        };
        let plan = plan.get();
        let timeout = Timeout::sending(timeout, drop_oldest)?;
        let meta = meta.map(meta::encode).transpose()?;
        let tx = tx.get();
        let mut tables = Vec::new();
        let sent = match into {
            Into::Value => tx.send_written(Format::Value, obj, meta.as_deref(), timeout, |out| {
                let mut writer = Writer::new(py, Fixed::new(out), true);
                writer.tables = std::mem::take(&mut tables);
                let mut written = written(plan, &object, Cbor { writer })?.writer;
                tables = std::mem::take(&mut written.tables);
                Ok(Written {
                    len: written.encoder.len(),
                    pieces: written.pieces.take().unwrap_or_default(),
                    losses: std::mem::take(&mut written.losses),
                })
            }),
            Into::Json => {
                let options = json::plain_options();
                tx.send_written(Format::Json, obj, meta.as_deref(), timeout, |out| {
                    let writer = json::writer(py, Fixed::new(out), &options);
                    let written = written(plan, &object, Json { writer })?.writer;
                    let len = written.out.finish().len();
                    Ok(Written { len, pieces: Vec::new(), losses: Vec::new() })
                })
            }
        };
        let (format, why) = match into {
            Into::Value => (Format::Value, Why::Is(Nature::Value)),
            Into::Json => (Format::Json, Why::Asked),
        };
        tx.tell_written(obj, format, why, sent)
    }

    /// Objects as a ``slipring.Table``, whose schema is that of their class: which can be sent, and which every library takes
    /// that knows Arrow.
    ///
    /// They go by ``cls``, or by the class of the first one. ``ValidationError`` says which fields are not of their types,
    /// ``EncodeError`` the path of what can't be a column.
    #[pyfunction]
    #[pyo3(signature = (cls, objects=Given(None), /), text_signature = "(cls, objects=..., /)")]
    fn to_arrow<'py>(cls: Bound<'py, PyAny>, objects: Given<'py>) -> PyResult<Table> {
        let py = cls.py();
        let (target, objects) = match objects {
            Given(Some(objects)) => (Some(cls), objects),
            Given(None) => (None, cls),
        };
        let objects = match objects.cast_into_exact::<PyList>() {
            Ok(list) => list,
            Err(other) => several(&other.into_inner())?,
        };
        let plan = match (target, objects.len()) {
            (Some(target), _) => plans::of_type(&target)?,
            (None, 0) => {
                let what = "of no objects the class is not known: to_arrow(cls, objects)";
                return Err(PyValueError::new_err(what));
            }
            (None, _) => of_row(&objects.get_item(0)?)?,
        };
        let plan = plan.get();
        let made = super::table(plan, &objects);
        let made = finished(made, plan.target.bind(py), true, no_json)?;
        Table::of(py, &made)
    }

    /// The objects of type ``cls`` that the rows of a table are: of slipring's, or of any library's that shows itself as Arrow.
    /// Errors as those of ``load``.
    #[pyfunction]
    #[pyo3(signature = (cls, table, /, *, strict=true, unknown=None))]
    fn from_arrow<'py>(
        cls: &Bound<'py, PyAny>,
        table: &Bound<'py, PyAny>,
        #[pyo3(from_py_with = options::strict)] strict: bool,
        #[pyo3(from_py_with = options::unknown)] unknown: Option<&str>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = cls.py();
        if !take::shows(table)? {
            let (what, hint) = match table.cast::<Frame>() {
                Ok(frame) => {
                    let format = frame.get().format(py);
                    (format!("a frame of format {format}"), "from_frame takes any frame")
                }
                Err(_) => (type_name(table), "load takes lists of dicts"),
            };
            return Err(PyTypeError::new_err(format!(
                "from_arrow takes a table, slipring's or of a library that shows it as Arrow, not {what}; {hint}"
            )));
        }
        let list = py.get_type::<PyList>().as_any().get_item(cls)?;
        let plan = plans::of_type(&list)?;
        let options = load_options(strict, unknown, py)?;
        let plan = plan.get();
        check_row(plan, cls)?;
        // One of ours is read where it lies.
        match table.cast::<Table>() {
            Ok(table) => from_table(plan, table.get(), py, options),
            Err(_) => from_table(plan, &Table::of(py, &take::whole(table)?)?, py, options),
        }
    }

    /// The object of type ``cls`` that a frame holds, whoever sent it: of values and JSON with nothing in between, of a table
    /// the list of its rows, of other formats from the frame's value. Errors as those of ``load``.
    ///
    /// Arrays are views of the frame, as those of ``frame.value`` are.
    #[pyfunction]
    #[pyo3(signature = (cls, frame, /, *, strict=true, unknown=None))]
    fn from_frame<'py>(
        cls: &Bound<'py, PyAny>,
        frame: &Bound<'py, PyAny>,
        #[pyo3(from_py_with = options::strict)] strict: bool,
        #[pyo3(from_py_with = options::unknown)] unknown: Option<&str>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = cls.py();
        let Ok(frame) = frame.cast::<Frame>() else {
            let hint = match take::shows(frame)? {
                true => "from_arrow takes tables",
                false => "load takes what a frame has held",
            };
            let what = type_name(frame);
            return Err(PyTypeError::new_err(format!(
                "from_frame takes a frame, as recv() gives it, not {what}; {hint}"
            )));
        };
        let plan = plans::of_type(cls)?;
        let plan = plan.get();
        let options = load_options(strict, unknown, py)?;
        let read = frame.get().read(py, |encoded| match encoded {
            Encoded::Value(reader) => {
                let options =
                    Options { unique_keys: true, not_finite: true, looks_again: true, ..options };
                let mut loader = Loader::new(py, Value::new(py, reader), options);
                let made = ended(read(plan, &mut loader, ()), || {
                    Ok(loader.source.reader.decoder.finish().map_err(Box::<Fault>::from)?)
                });
                finished(made, plan.target.bind(py), false, no_json)
            }
            Encoded::Json(input) => load_json(py, plan, input, options),
        })?;
        if let Some(made) = read {
            return Ok(made);
        }
        no_object(plan, &frame.get().format(py).bind(py).to_string(), plan.target.bind(py))?;
        let value = frame.getattr(intern!(py, "value"))?;
        match value.cast::<Table>() {
            Ok(table) => from_table(plan, table.get(), py, options),
            Err(_) => load(cls, &value, strict, unknown),
        }
    }
}
