//! Schemas that tables are sent under and read as: announced by producers, expected by consumers. The rules are the codec's
//! (`docs/evolution.md`), the table of schemas is the segment's; here they meet.

use super::give::Memory;
use super::take::{self, Incoming};
use super::{Table, given, records, send};
use crate::{error, inspection, size};
use arrow_buffer::MutableBuffer;
use arrow_schema::SchemaRef;
use parking_lot::Mutex;
use pyo3::exceptions::{PyException, PyTypeError, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use slipring::{Described, Frame, Header, Schema, SchemaId, Schemas};
use slipring_codec::evolution::{
    Between, Incompatible, Projection, Unfit, Version, arrange, compatible, defaults, fair, fit,
    resolve,
};
use slipring_codec::format::arrow::{self, Checks, Parsed, Rows, SchemaPlace};
use slipring_codec::{Body, Content, Format};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// The kind of schemas of tables: the number of their format.
pub(crate) const KIND: u16 = Format::Arrow.code() as u16;

/// A version that a caller has given.
pub(crate) fn version(given: &Bound<'_, PyAny>, name: &'static str) -> PyResult<u16> {
    const VERSIONS: &str = "a version: a whole number from 1 to 65535";
    let number = size::count(given, name, VERSIONS)?;
    match u16::try_from(number) {
        Ok(version) if version > 0 => Ok(version),
        _ => Err(size::refused(given.py(), name, &number.to_string(), VERSIONS)),
    }
}

/// A frame's header may name any schema of the segment.
pub(super) fn check_kind(py: Python<'_>, schema: &Schema) -> PyResult<()> {
    if schema.kind() == KIND {
        return Ok(());
    }
    let what = format!("the schema {:?}, number {}, is not of tables", schema.name(), schema.id());
    let class = intern!(py, "DecodeError");
    let hint = "the frame is damaged or was sent by a faulty program: send it again";
    Err(error::undecodable(py, class, &what, "$.schema_id", "arrow", hint))
}

/// The fields of a schema that the segment has.
pub(super) fn parsed(py: Python<'_>, schema: &Schema) -> PyResult<SchemaRef> {
    let parsed = schema.made(Parsed::of).map_err(|e| error::decode(py, &e, "arrow"))?;
    Ok(SchemaRef::clone(parsed.schema()))
}

fn raised(py: Python<'_>, error: slipring::Error) -> PyErr {
    error::raise(py, error)
}

#[cold]
fn incompatible(
    py: Python<'_>,
    found: &Incompatible,
    message: String,
    step: Option<(u32, u32)>,
) -> PyErr {
    error::schema(py, message, (&found.name, found.written, found.wanted), &found.faults, step)
}

/// Stores a version of a schema in the segment's table, after a look at those before and after it.
pub(crate) fn announce(
    py: Python<'_>,
    schemas: &Schemas,
    name: &str,
    shown: &Bound<'_, PyAny>,
    version: u16,
    breaking: bool,
) -> PyResult<Described> {
    // What a library says of the whole table, such as its index, is of that table alone.
    let schema = arrow_schema::Schema::new(take::schema(shown)?.fields);
    // Whether its types can be sent at all.
    arrow::plan(&schema, &[], SchemaPlace::Frame, None)
        .map_err(|e| error::encode(py, &e, "arrow"))?;
    let new = Version::new(name, version.into(), &schema);
    defaults(&new).map_err(|found| incompatible(py, &found, found.to_string(), None))?;
    let mut all = py.detach(|| schemas.versions(KIND, name)).map_err(|e| raised(py, e))?;
    all.sort_by_key(Schema::version);
    let mut stored = all.iter().find(|there| there.version() == version).cloned();
    if stored.is_none() {
        let at = all.partition_point(|there| there.version() < version);
        let older = at.checked_sub(1).map(|at| &all[at]);
        let pairs = [(older, true), (all.get(at), false)];
        for (neighbour, is_older) in pairs.into_iter().filter(|_| !breaking) {
            let Some(neighbour) = neighbour else { continue };
            let there = parsed(py, neighbour)?;
            let there = Version::new(name, neighbour.version().into(), &there);
            let (old, new) = if is_older { (&there, &new) } else { (&new, &there) };
            compatible(old, new).map_err(|found| {
                let told = format!("{found}, and say breaking=True");
                incompatible(py, &found, told, Some((found.written, found.wanted)))
            })?;
        }
        let message = arrow::schema_message(&schema);
        stored = match py.detach(|| schemas.add(KIND, name, version, &message)) {
            Ok(schema) => Some(schema),
            // Somebody was faster: it may be the same one, said in other bytes.
            Err(slipring::Error::SchemaConflict(_)) => {
                py.detach(|| schemas.find(KIND, name, version)).map_err(|e| raised(py, e))?
            }
            Err(error) => return Err(raised(py, error)),
        };
    }
    let Some(stored) = stored else {
        return Err(PyValueError::new_err("the ring's table of schemas was changed meanwhile"));
    };
    let there = parsed(py, &stored)?;
    if there.fields() != schema.fields() {
        let there = Version::new(name, version.into(), &there);
        return Err(match arrange(&schema, &there) {
            Err(found) => {
                let found = found.between(Between::Announced);
                incompatible(py, &found, found.to_string(), None)
            }
            Ok(_) => {
                let told = format!(
                    "{name:?} was announced as version {version} with another order, nullability or metadata of its \
                     columns; announce this as version {}",
                    version.saturating_add(1)
                );
                error::schema(py, told, (name, version.into(), version.into()), &[], None)
            }
        });
    }
    let id = stored.id().get();
    let described = py.detach(|| schemas.describe()).into_iter().find(|found| found.id == id);
    described.ok_or_else(|| PyValueError::new_err("the ring's table of schemas is damaged"))
}

/// A schema that tables are sent under.
pub(crate) struct Under {
    stored: Schema,
    fields: SchemaRef,
}

impl Under {
    /// The schema that a ring was asked to keep, or the newest of a name. That of another ring is refused.
    pub(crate) fn find(
        py: Python<'_>,
        schemas: &Schemas,
        asked: &Bound<'_, PyAny>,
    ) -> PyResult<Self> {
        if let Ok(name) = asked.cast::<PyString>() {
            let name = name.to_str()?;
            let found = py.detach(|| schemas.latest(KIND, name)).map_err(|e| raised(py, e))?;
            let Some(stored) = found else {
                let told = format!(
                    "no schema {name:?} was announced on this ring: give what ring.announce() has returned"
                );
                return Err(PyValueError::new_err(told));
            };
            return Ok(Self { fields: parsed(py, &stored)?, stored });
        }
        let Ok(announced) = asked.cast::<inspection::Schema>() else {
            let found = asked.get_type().fully_qualified_name()?;
            return Err(PyTypeError::new_err(format!(
                "schema is what a table is sent under: give what ring.announce() has returned, or its name, not {found}"
            )));
        };
        let announced = announced.get();
        let found = SchemaId::new(announced.id).map(|id| schemas.get(id)).transpose();
        let found = found.map_err(|e| raised(py, e))?.flatten();
        let same = |found: &Schema| {
            let told = (found.kind(), found.name(), found.version());
            told == (KIND, &*announced.name, announced.version)
        };
        let Some(stored) = found.filter(same) else {
            let told = "the schema is not of this ring: give what its announce() has returned";
            return Err(PyValueError::new_err(told));
        };
        Ok(Self { fields: parsed(py, &stored)?, stored })
    }

    pub(crate) fn header(&self) -> Header {
        Header::default().with_schema(&self.stored)
    }

    /// What shows itself as no table, as one of this schema: records are written as its columns; of what else there is the types
    /// are found first.
    pub(crate) fn absorb(&self, object: &Bound<'_, PyAny>) -> PyResult<Incoming> {
        // Under a schema it is known which columns are empty.
        if records::is_nothing(object) {
            return Ok(Incoming::empty());
        }
        let fields = self.fields.fields();
        let list = if given::may_be(fields) { records::listed(object)? } else { None };
        let Some(list) = list else { return records::asked(object) };
        let rows = given::rows(&list, fields).map_err(|found| self.misplaced(list.py(), &found))?;
        let schema = arrow_schema::Schema::new(fields.clone());
        Ok(Incoming { schema, batches: vec![rows], inferred: false })
    }

    #[cold]
    fn misplaced(&self, py: Python<'_>, found: &given::Misplaced) -> PyErr {
        let (name, version) = (self.stored.name(), u32::from(self.stored.version()));
        let (path, hint) = (format!("${}", found.path), found.hint());
        let told = format!(
            "the table does not fit what was announced as {name:?}, version {version}: {}, at {path}; {hint}, or announce it \
             as version {}",
            found.what(),
            version + 1
        );
        let fault = (&*path, found.was.as_deref(), found.wants.as_deref(), found.why.reason());
        error::misplaced(py, told, (name, version), fault, hint)
    }

    /// The table with its columns as they were announced, converted where that is exact; `None`, if that is what they are.
    pub(crate) fn arrange(&self, py: Python<'_>, table: &Incoming) -> PyResult<Option<Incoming>> {
        if table.schema.fields() == self.fields.fields() {
            table.batches.iter().try_for_each(|rows| self.check_nulls(py, rows))?;
            return Ok(None);
        }
        let (name, version) = (self.stored.name(), self.stored.version().into());
        let announced = Version::new(name, version, &self.fields);
        let fitted = py.detach(|| fit(&table.schema, &table.batches, &announced, table.inferred));
        let (schema, batches) = fitted.map_err(|unfit| match unfit {
            Unfit::Schema(found) => incompatible(py, &found, found.to_string(), None),
            Unfit::Value(refused) => {
                let path = format!("$.columns.{}", refused.path);
                let hint = "announce a type that holds it, or send other values";
                let told = refused.to_string();
                // The hint is for who reads.
                let told = told.rsplit_once("; ").map_or(&*told, |(told, _)| told);
                error::unsendable(py, told, &path, "arrow", hint)
            }
            Unfit::Encode(refused) => error::encode(py, &refused, "arrow"),
            Unfit::Decode(refused) => error::decode(py, &refused, "arrow"),
            other => PyValueError::new_err(format!("the table can't be sent: {other:?}")),
        })?;
        batches.iter().try_for_each(|rows| self.check_nulls(py, rows))?;
        Ok(Some(Incoming { schema, batches, inferred: table.inferred }))
    }

    fn check_nulls(&self, py: Python<'_>, rows: &Rows) -> PyResult<()> {
        for (column, field) in rows.columns.iter().zip(self.fields.fields()) {
            if !field.is_nullable() && column.null_count() != 0 {
                let (name, version) = (self.stored.name(), self.stored.version().into());
                let column_name = field.name();
                let told = format!(
                    "{name:?} was announced as version {version} with no nulls in column {column_name}, and there are \
                     {}; announce it as nullable, as version {}",
                    column.null_count(),
                    version + 1
                );
                return Err(error::schema(py, told, (name, version, version), &[], None));
            }
        }
        Ok(())
    }
}

/// As what a consumer reads tables of one name.
pub(crate) struct Expected {
    name: String,
    schema: SchemaRef,
    version: u16,
    oldest: u16,
    migrations: BTreeMap<u16, Py<PyAny>>,
    /// How to read what has the schema with this number, where the rules do.
    projections: Mutex<HashMap<u32, Arc<Projection>>>,
}

impl Expected {
    pub(crate) fn new(
        name: &str,
        shown: &Bound<'_, PyAny>,
        version: u16,
        oldest: u16,
        migrations: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let py = shown.py();
        let schema = Arc::new(take::schema(shown)?);
        arrow::plan(&schema, &[], SchemaPlace::Frame, None)
            .map_err(|e| error::encode(py, &e, "arrow"))?;
        defaults(&Version::new(name, version.into(), &schema))
            .map_err(|found| incompatible(py, &found, found.to_string(), None))?;
        if oldest > version {
            let expected = "at most the version that is expected";
            return Err(size::refused(py, "oldest", &oldest.to_string(), expected));
        }
        let mut all = BTreeMap::new();
        if let Some(migrations) = migrations {
            let migrations = migrations.cast::<PyDict>().map_err(|_| {
                PyTypeError::new_err("migrations is a dict: {1: function from version 1 to 2, ...}")
            })?;
            for (from, migrate) in migrations {
                let from = self::version(&from, "migrations")?;
                if from >= version || !migrate.is_callable() {
                    return Err(PyValueError::new_err(format!(
                        "the migration from version {from} must be a function, and from a version before {version}"
                    )));
                }
                all.insert(from, migrate.unbind());
            }
        }
        let (name, projections) = (name.to_owned(), Mutex::default());
        Ok(Self { name, schema, version, oldest, migrations: all, projections })
    }
}

/// What a consumer expects, by name.
#[derive(Default)]
pub(crate) struct Expects {
    by_name: Mutex<HashMap<String, Arc<Expected>>>,
}

type Found = (Memory, Arc<arrow::Table>);

impl Expects {
    /// Shows migrations to the garbage collector, if nobody refers to them by another way: each reference counts once.
    pub(crate) fn traverse(self: &Arc<Self>, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        let Some(by_name) = self.by_name.try_lock().filter(|_| Arc::strong_count(self) == 1) else {
            return Ok(());
        };
        let alone = by_name.values().filter(|expected| Arc::strong_count(expected) == 1);
        alone.flat_map(|expected| expected.migrations.values()).try_for_each(|f| visit.call(f))
    }

    /// Forgets all.
    pub(crate) fn clear(&self) {
        let all = std::mem::take(&mut *self.by_name.lock());
        drop(all);
    }

    pub(crate) fn add(&self, expected: Expected) {
        self.by_name.lock().insert(expected.name.clone(), Arc::new(expected));
    }

    /// The table as it is expected, if its name is.
    pub(crate) fn read(
        &self,
        py: Python<'_>,
        frame: &Frame,
        stored: &Schema,
        found: Found,
    ) -> PyResult<Found> {
        let expected = self.by_name.lock().get(stored.name()).cloned();
        match expected {
            Some(expected) => {
                let (schemas, written) = (frame.schemas(), stored.version());
                Reading { expected: &expected, schemas, written }.read(py, stored, found)
            }
            None => Ok(found),
        }
    }
}

/// A table on its way to the schema that is expected.
struct Reading<'e> {
    expected: &'e Expected,
    schemas: Schemas,
    /// The version that was sent.
    written: u16,
}

impl Reading<'_> {
    fn read(&self, py: Python<'_>, stored: &Schema, mut found: Found) -> PyResult<Found> {
        let (expected, written) = (self.expected, stored.version());
        let (name, oldest) = (&*expected.name, expected.oldest);
        if written < oldest {
            let told = format!(
                "{name:?} of version {written} came, and {oldest} is the oldest that is read here; expect it with \
                 oldest={written}, or have a newer version sent"
            );
            let versions = (name, written.into(), expected.version.into());
            return Err(error::schema(py, told, versions, &[], None));
        }
        let mut at = written;
        let migrations = expected.migrations.iter().filter(|(from, _)| **from >= written);
        for (&from, migrate) in migrations {
            if at < from
                && let Some(between) = self.announced(py, from)?
            {
                found = self.project(py, &found, at, (from, &between), None)?;
            }
            found = self.migrate(py, found, from, migrate.bind(py))?;
            at = from + 1;
        }
        let id = (at == written).then(|| stored.id().get());
        self.project(py, &found, at, (expected.version, &expected.schema), id)
    }

    /// The version that somebody has announced.
    fn announced(&self, py: Python<'_>, version: u16) -> PyResult<Option<SchemaRef>> {
        let found = py.detach(|| self.schemas.find(KIND, &self.expected.name, version));
        found.map_err(|e| raised(py, e))?.map(|schema| parsed(py, &schema)).transpose()
    }

    /// Reads a table by the rules. That of a schema with a number is resolved once.
    fn project(
        &self,
        py: Python<'_>,
        found: &Found,
        at: u16,
        (to, wanted): (u16, &SchemaRef),
        id: Option<u32>,
    ) -> PyResult<Found> {
        let (memory, table) = found;
        let projections = &self.expected.projections;
        let known = id.and_then(|id| projections.lock().get(&id).cloned());
        let projection = match known {
            Some(known) => known,
            None => {
                let name = &self.expected.name;
                let written = Version::new(name, at.into(), &table.schema);
                let resolved = resolve(&written, &Version::new(name, to.into(), wanted));
                let resolved = match resolved {
                    Ok(resolved) => Arc::new(resolved),
                    // What is there is of a migration, where it is not of the version that was written.
                    Err(refused) => {
                        let from = (id.is_none() && at > self.written).then(|| u32::from(at) - 1);
                        return Err(match from {
                            Some(from) => {
                                let refused = refused.between(Between::Migrated { from });
                                let step = Some((from, at.into()));
                                incompatible(py, &refused, refused.to_string(), step)
                            }
                            None => self.refusal(py, &refused),
                        });
                    }
                };
                if let Some(id) = id {
                    projections.lock().insert(id, Arc::clone(&resolved));
                }
                resolved
            }
        };
        let body = memory.bytes();
        let projected = py.detach(|| projection.apply(table, body, fair(body.len())));
        let projected = projected.map_err(|refused| {
            let (what, path) = (refused.to_string(), format!("$.columns.{}", refused.path));
            error::undecodable(
                py,
                intern!(py, "DecodeError"),
                &what,
                &path,
                "arrow",
                refused.kind.hint(),
            )
        })?;
        let memory = match projected.made.is_empty() {
            true => memory.clone(),
            false => Memory::Made(Arc::new((memory.clone(), projected.made))),
        };
        Ok((memory, Arc::new(projected.table)))
    }

    /// The refusal, with the first step between announced versions that the rules don't allow.
    fn refusal(&self, py: Python<'_>, refused: &Incompatible) -> PyErr {
        let (written, wanted) = (refused.written, refused.wanted);
        if written > wanted {
            return incompatible(py, refused, refused.to_string(), None);
        }
        let broken = (written..wanted).find(|&step| {
            let schema = |version: u32| self.announced(py, u16::try_from(version).ok()?).ok()?;
            let (Some(old), Some(new)) = (schema(step), schema(step + 1)) else { return false };
            let name = &self.expected.name;
            compatible(&Version::new(name, step, &old), &Version::new(name, step + 1, &new))
                .is_err()
        });
        let message = refused.to_string();
        match broken.filter(|_| wanted - written > 1) {
            Some(step) => {
                let told = message.rsplit_once("; ").map_or(&*message, |(told, _)| told);
                let (name, next) = (&refused.name, step + 1);
                let told = format!(
                    "{told}; register a migration of {name:?} from version {step} to {next}"
                );
                incompatible(py, refused, told, Some((step, next)))
            }
            None => incompatible(py, refused, message, Some((written, wanted))),
        }
    }

    /// The table that a migration makes of one.
    fn migrate(
        &self,
        py: Python<'_>,
        found: Found,
        from: u16,
        migrate: &Bound<'_, PyAny>,
    ) -> PyResult<Found> {
        let (memory, table) = found;
        let given = Bound::new(py, Table::new(memory, table))?;
        let to = from + 1;
        let absorbed = migrate.call1((given,)).and_then(|made| self.absorb(&made, to));
        absorbed.map_err(|cause| {
            if !cause.is_instance_of::<PyException>(py) {
                return cause;
            }
            let (name, to) = (&*self.expected.name, u32::from(from) + 1);
            let told = format!(
                "the migration of {name:?} from version {from} to {to} failed: {}; correct it",
                cause.value(py)
            );
            let raised =
                error::schema(py, told, (name, from.into(), to), &[], Some((from.into(), to)));
            raised.set_cause(py, Some(cause));
            raised
        })
    }
}

impl Reading<'_> {
    /// What a migration to version `at` gave: all that goes as a table where one is asked for.
    fn absorb(&self, made: &Bound<'_, PyAny>, at: u16) -> PyResult<Found> {
        let py = made.py();
        if let Ok(table) = made.cast::<Table>() {
            return Ok(tightened(table.get().parts()));
        }
        if take::shows(made)? {
            return absorbed(py, &take::whole(made)?);
        }
        let table = match records::is_nothing(made) {
            true => Incoming::empty(),
            false => records::asked(made)?,
        };
        // Its types are what was found for the elements. If they are not those of the version, that is told when it is read.
        let known = match self.announced(py, at)? {
            None if at == self.expected.version || table.batches.is_empty() => {
                Some(Arc::clone(&self.expected.schema))
            }
            known => known,
        };
        let fitted = known.and_then(|known| {
            let wanted = Version::new(&self.expected.name, at.into(), &known);
            py.detach(|| fit(&table.schema, &table.batches, &wanted, true)).ok()
        });
        match fitted {
            Some((schema, batches)) => absorbed(py, &Incoming { schema, batches, inferred: true }),
            None => absorbed(py, &table),
        }
    }
}

/// A table that is anybody's, in memory of its own.
fn absorbed(py: Python<'_>, table: &Incoming) -> PyResult<Found> {
    let plan = send::planned(py, table, None)?;
    py.detach(|| {
        let mut body = MutableBuffer::from_len_zeroed(plan.body_len());
        plan.write(body.as_slice_mut(), None).map_err(|e| e.to_string())?;
        let body = arrow_buffer::Buffer::from(body);
        let opened = Body::open(Format::Arrow.code(), plan.flags(), plan.type_code(), &body);
        let opened = opened.map_err(|e| e.to_string())?;
        let Ok(Content::Arrow(headed)) = opened.content() else {
            return Err("its table can't be read".to_owned());
        };
        let read = arrow::read(&headed, None, Checks::Safe).map_err(|e| e.to_string())?;
        Ok(tightened((Memory::Copy(body.clone()), Arc::new(read))))
    })
    .map_err(PyValueError::new_err)
}

/// Most libraries say of each column that it may have nulls. Here is the data, which has some or not.
fn tightened((memory, table): Found) -> Found {
    let has_nulls =
        |number: usize| table.batches.iter().any(|batch| batch.columns[number].null_count != 0);
    let fields = table.schema.fields().iter().enumerate().map(|(number, field)| {
        let nullable = field.is_nullable() && has_nulls(number);
        Arc::new(arrow_schema::Field::clone(field).with_nullable(nullable))
    });
    let schema = arrow_schema::Schema::new(fields.collect::<Vec<_>>());
    let mut table = arrow::Table::clone(&table);
    table.schema = Arc::new(schema);
    (memory, Arc::new(table))
}
