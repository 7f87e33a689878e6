//! Schemas that tables are sent under and read as: announced by producers, expected by consumers. The rules are the codec's
//! (`docs/evolution.md`), the table of schemas is the segment's; here they meet.

use super::give::Memory;
use super::take::{self, Incoming};
use super::{Table, columns, given, pandas, records};
use crate::{error, inspection, size};
use arrow_schema::{Field, SchemaRef};
use parking_lot::Mutex;
use pyo3::exceptions::{PyException, PyTypeError, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use slipring::{Described, Frame, Schema, SchemaId, Schemas};
use slipring_codec::evolution::{
    self, ApplyError, Between, Incompatible, Projection, Version, defaults, fair, fit, resolve,
};
use slipring_codec::format::arrow::{self, Parsed, SchemaPlace};
pub(crate) use slipring_frames::KIND;
use slipring_frames::{Announced, SchemaError};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

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

/// Stores a version of a schema in the segment's table, after a look at those before and after it.
pub(crate) fn announce(
    py: Python<'_>,
    schemas: &Schemas,
    name: &str,
    shown: &Bound<'_, PyAny>,
    version: u16,
    breaking: bool,
) -> PyResult<Described> {
    let schema = take::schema(shown)?;
    let announced = py.detach(|| Announced::announce(schemas, name, &schema, version, breaking));
    let id = announced.map_err(|e| error::typed(py, e))?.stored().id().get();
    let described = py.detach(|| schemas.describe()).into_iter().find(|found| found.id == id);
    described.ok_or_else(|| PyValueError::new_err("the ring's table of schemas is damaged"))
}

/// A schema that tables are sent under.
pub(crate) struct Under(Announced);

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
            return Self::of(py, stored);
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
        Self::of(py, stored)
    }

    fn of(py: Python<'_>, stored: Schema) -> PyResult<Self> {
        Announced::of(stored).map(Self).map_err(|e| error::typed(py, e))
    }

    /// What the ring has of it.
    pub(crate) fn stored(&self) -> &Schema {
        self.0.stored()
    }

    /// What shows itself as no table, as one of this schema: records and the elements of columns are written as its columns.
    pub(crate) fn absorb(&self, object: &Bound<'_, PyAny>) -> PyResult<Incoming> {
        // Under a schema it is known which columns are empty.
        if records::is_nothing(object) {
            return Ok(Incoming::empty());
        }
        let (py, fields) = (object.py(), self.0.columns().fields());
        if let Ok(columns) = object.cast::<PyDict>() {
            return records::columns(columns, |name, column| {
                let Some((_, field)) = fields.find(name) else { return Ok(None) };
                let elements = columns::elements_for(column, field.data_type())?;
                let made = elements.map(|elements| given::column(field, &elements)).transpose();
                let made = made.map_err(|found| self.misplaced(py, &found))?;
                Ok(made.map(|made| (Field::clone(field), made)))
            });
        }
        let Some(list) = records::listed(object)? else { return records::asked(object) };
        let rows = given::rows(&list, fields);
        let rows = rows.map_err(|found| self.misplaced(py, &found))?;
        let schema = arrow_schema::Schema::new(fields.clone());
        Ok(Incoming { schema, batches: vec![rows], inferred: false })
    }

    #[cold]
    fn misplaced(&self, py: Python<'_>, found: &given::Misplaced) -> PyErr {
        let (name, version) = (self.stored().name(), u32::from(self.stored().version()));
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
        let Under(announced) = self;
        let without = pandas::without_index(py, table, announced.columns())?;
        let table = without.as_ref().unwrap_or(table);
        let suits = announced.suits(&table.schema, &table.batches);
        if suits.map_err(|e| error::typed(py, e))? {
            return Ok(without);
        }
        let fitted = py.detach(|| announced.fit(&table.schema, &table.batches, table.inferred));
        let fitted = fitted.map_err(|refused| match refused {
            slipring_frames::Error::Apply(refused) => beyond(py, &refused),
            refused => error::typed(py, refused),
        })?;
        let inferred = table.inferred;
        Ok(fitted.map(|(schema, batches)| Incoming { schema, batches, inferred }).or(without))
    }
}

/// An element has no place in the type that its column is to be of.
pub(super) fn beyond(py: Python<'_>, refused: &ApplyError) -> PyErr {
    let path = format!("$.columns.{}", refused.path);
    let hint = "announce a type that holds it, or send other values";
    let told = refused.to_string();
    // The hint is for who reads.
    let told = told.rsplit_once("; ").map_or(&*told, |(told, _)| told);
    error::unsendable(py, told, &path, "arrow", hint)
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
            .map_err(|found| error::schema(py, &found.into()))?;
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
            let versions = (written.into(), expected.version.into());
            return Err(error::schema(py, &SchemaError::too_old(name, versions, oldest)));
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
                        let refused = match from {
                            Some(from) => refused.between(Between::Migrated { from }).into(),
                            None => self.refusal(py, refused),
                        };
                        return Err(error::schema(py, &refused));
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
    fn refusal(&self, py: Python<'_>, refused: Incompatible) -> SchemaError {
        let announced = |version| self.announced(py, u16::try_from(version).ok()?).ok()?;
        let is_older = refused.written < refused.wanted;
        let migration = is_older.then(|| refused.broken(announced));
        SchemaError::needing(refused, migration)
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
            let said = cause.value(py).to_string();
            let refused = SchemaError::migrating(&self.expected.name, from, said);
            let raised = error::schema(py, &refused);
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
    Ok(tightened(Table::of(py, table)?.parts()))
}

/// Most libraries say of each column that it may have nulls. Here is the data, which has some or not.
fn tightened((memory, table): Found) -> Found {
    let has_nulls = |number: usize| {
        let column = |batch: &arrow::Batch| {
            evolution::has_nulls(&batch.columns[number], |place| memory.get(place))
        };
        table.batches.iter().any(column)
    };
    let schema = evolution::tightened(&table.schema, has_nulls);
    let mut table = arrow::Table::clone(&table);
    table.schema = Arc::new(schema);
    (memory, Arc::new(table))
}
