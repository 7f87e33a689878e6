//! What a consumer expects of tables, and how it gets that of what was written.

use super::{KIND, SchemaError, columns};
use crate::error::Error;
use crate::table::{Found, Table};
use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_buffer::Buffer;
use arrow_schema::{FieldRef, Schema, SchemaRef};
use slipring::{Frame, Schemas, Segment, Want};
use slipring_codec::evolution::{
    Between, Incompatible, Projection, Version, defaults, null_rows, resolve, tightened,
};
use slipring_codec::format::arrow::{self, Rows, SchemaPlace};
use std::collections::{BTreeMap, HashMap};
use std::error::Error as StdError;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// What a migration gives: the rows as the next version has them, or its own error.
pub type Migrated = Result<RecordBatch, Box<dyn StdError + Send + Sync>>;

type Migrate = Box<dyn Fn(RecordBatch) -> Migrated + Send + Sync>;

/// A schema as which tables of its name are to be read. Given to [`Expects::expect`].
pub struct Expectation {
    name: String,
    schema: SchemaRef,
    version: u16,
    oldest: u16,
    migrations: BTreeMap<u16, Migrate>,
}

impl Expectation {
    /// Tables of this name, as this version, which has these columns.
    pub fn new(name: &str, schema: impl Into<SchemaRef>, version: u16) -> Self {
        let (name, schema, migrations) = (name.to_owned(), schema.into(), BTreeMap::new());
        Expectation { name, schema, version, oldest: 1, migrations }
    }

    /// The oldest version that is read, 1 otherwise: older tables are refused, also where there would be a migration.
    pub fn oldest(self, oldest: u16) -> Self {
        Expectation { oldest, ..self }
    }

    /// What makes of rows of version `from` those of the next version. It runs wherever such a table is read, also where the rules would
    /// do, for each batch by itself; of a table without any it is given one without rows, for its columns.
    ///
    /// A column that it gives without a null is one that has none, whatever its schema says.
    pub fn migration(
        mut self,
        from: u16,
        migrate: impl Fn(RecordBatch) -> Migrated + Send + Sync + 'static,
    ) -> Self {
        self.migrations.insert(from, Box::new(migrate));
        self
    }
}

impl fmt::Debug for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Expectation")
            .field("name", &self.name)
            .field("version", &self.version)
            .field("oldest", &self.oldest)
            .field("migrations", &self.migrations.keys())
            .finish_non_exhaustive()
    }
}

/// What a consumer expects, by name. As long as this is there, producers see which versions it reads
/// ([`Announce::wanted`](super::Announce::wanted)).
///
/// ```
/// # use slipring::{Segment, Wait};
/// # let ring = Segment::options().capacity(1 << 20).create_anonymous()?;
/// # use arrow_array::{Float32Array, Float64Array, RecordBatch, cast::AsArray, types::{Float32Type, Float64Type}};
/// # use arrow_schema::{DataType, Field, Schema};
/// # use std::sync::Arc;
/// use slipring_frames::{Announce, Expectation, Expects, ReadTable, SendTyped};
///
/// # let column = |name: &str, of: DataType| Schema::new(vec![Field::new(name, of, false)]);
/// let old = column("fahrenheit", DataType::Float32);
/// let new = column("celsius", DataType::Float64);
/// let weather = ring.announce("weather", &old, 1)?;
///
/// let (mut tx, mut rx) = (ring.producer()?, ring.consumer()?);
/// let mut expects = Expects::of(&ring);
/// expects.expect(Expectation::new("weather", new, 2).migration(1, |old| {
///     let old = old.column(0).as_primitive::<Float32Type>();
///     let celsius: Float64Array = old.unary(|degrees| f64::from(degrees - 32.0) / 1.8);
///     Ok(RecordBatch::try_from_iter([("celsius", Arc::new(celsius) as _)])?)
/// }))?;
/// assert_eq!(tx.wanted("weather")?, Some(1..=2));
///
/// let written = RecordBatch::try_new(Arc::new(old), vec![Arc::new(Float32Array::from(vec![212.0]))])?;
/// tx.send_typed(&weather.table(&written)?, None, &Wait::no())?;
/// let table = rx.recv(&Wait::no())?.table_as(&expects)?;
/// assert_eq!(table.batches[0].column(0).as_primitive::<Float64Type>().values(), &[100.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Expects {
    schemas: Schemas,
    by_name: HashMap<String, Expected>,
}

#[derive(Debug)]
struct Expected {
    asked: Expectation,
    /// How to read what has the schema with this number, where no migration comes first; with the schema that it is of.
    projections: Mutex<HashMap<u32, (SchemaRef, Arc<Projection>)>>,
    /// Ends with this.
    _want: Want,
}

impl Expects {
    /// Nothing yet, of what comes through this ring.
    pub fn of(ring: &Segment) -> Self {
        Expects { schemas: ring.schemas(), by_name: HashMap::new() }
    }

    /// Tables of that name are read so from now on, whatever was expected of them before; producers are told.
    ///
    /// # Errors
    ///
    /// [`Expectation`](Error::Expectation) for versions that can't be, [`Schema`](Error::Schema) for defaults that are none of their
    /// columns' types, [`Encode`](Error::Encode) for types that no frame has, and those of [`slipring::Schemas::want`].
    pub fn expect(&mut self, asked: Expectation) -> Result<(), Error> {
        let Expectation { name, schema, version, oldest, migrations } = &asked;
        arrow::plan(schema, &[], SchemaPlace::Frame, None)?;
        defaults(&Version::new(name, (*version).into(), schema)).map_err(SchemaError::from)?;
        let out_of_place = |from: &&u16| !(1..*version).contains(*from);
        if let Some(&from) = migrations.keys().find(out_of_place) {
            return Err(Error::Expectation { name: name.clone(), from, version: *version });
        }
        let want = self.schemas.want(KIND, name, *oldest..=*version)?;
        let expected = Expected { projections: Mutex::default(), _want: want, asked };
        // What was said before ends when this is said.
        self.by_name.insert(expected.asked.name.clone(), expected);
        Ok(())
    }

    /// Nothing is expected any more of tables of this name: they are read as they were written.
    pub fn forget(&mut self, name: &str) {
        self.by_name.remove(name);
    }

    pub(crate) fn read(&self, frame: &Frame, memory: &Buffer) -> Result<Table, Error> {
        let (found, stored) = Found::of(frame, memory)?;
        let Some(stored) = stored else { return found.batches() };
        match self.by_name.get(stored.name()) {
            None => found.batches(),
            Some(expected) => {
                let (schemas, written) = (&frame.schemas(), stored.version());
                Reading { expected, schemas, written }.read(&stored, &found)
            }
        }
    }
}

/// A table on its way to the schema that is expected.
struct Reading<'e> {
    expected: &'e Expected,
    schemas: &'e Schemas,
    /// The version that was sent.
    written: u16,
}

impl Reading<'_> {
    fn read(&self, stored: &slipring::Schema, found: &Found) -> Result<Table, Error> {
        let (asked, written) = (&self.expected.asked, self.written);
        if written < asked.oldest {
            let versions = (written.into(), asked.version.into());
            return Err(SchemaError::too_old(&asked.name, versions, asked.oldest).into());
        }
        let (mut at, mut table) = (written, None);
        for (&from, migrate) in asked.migrations.range(written..) {
            let between = if at < from { self.announced(from)? } else { None };
            let given = match (table, between) {
                (None, None) => found.batches()?,
                (None, Some(wanted)) => {
                    let resolved = self.resolve(found.schema(), at, (from, &wanted))?;
                    found.project(&resolved)?
                }
                (Some(table), None) => table,
                (Some(table), Some(wanted)) => self.go_on(table, at, (from, &wanted))?,
            };
            table = Some(self.migrate(given, from, migrate)?);
            at = from + 1;
        }
        let wanted = (asked.version, &asked.schema);
        match table {
            Some(table) => self.go_on(table, at, wanted),
            None => {
                let resolved = self.resolve_once(stored, found.schema(), wanted)?;
                found.project(&resolved)
            }
        }
    }

    /// The version that somebody has announced.
    fn announced(&self, version: u16) -> Result<Option<SchemaRef>, Error> {
        let found = self.schemas.find(KIND, &self.expected.asked.name, version)?;
        found.map(|stored| columns(&stored)).transpose()
    }

    /// As [`resolve`](Self::resolve), once for each schema of the ring.
    fn resolve_once(
        &self,
        stored: &slipring::Schema,
        written: &SchemaRef,
        wanted: (u16, &SchemaRef),
    ) -> Result<Arc<Projection>, Error> {
        let id = stored.id().get();
        let lock = || self.expected.projections.lock().unwrap_or_else(PoisonError::into_inner);
        // A frame may be of another ring, where the number is another schema's.
        if let Some((of, known)) = lock().get(&id)
            && (Arc::ptr_eq(of, written) || of == written)
        {
            return Ok(Arc::clone(known));
        }
        let resolved = Arc::new(self.resolve(written, self.written, wanted)?);
        lock().insert(id, (Arc::clone(written), Arc::clone(&resolved)));
        Ok(resolved)
    }

    fn resolve(
        &self,
        written: &Schema,
        at: u16,
        (to, wanted): (u16, &SchemaRef),
    ) -> Result<Projection, Error> {
        let name = &*self.expected.asked.name;
        let written = Version::new(name, at.into(), written);
        resolve(&written, &Version::new(name, to.into(), wanted)).map_err(|found| {
            // What is there is of a migration, where it is not of the version that was written.
            match at == self.written {
                true => self.refusal(found),
                false => {
                    let from = u32::from(at) - 1;
                    let found = found.between(Between::Migrated { from });
                    SchemaError::from(found)
                }
            }
            .into()
        })
    }

    /// The refusal, with the first step between announced versions that the rules don't allow.
    fn refusal(&self, found: Incompatible) -> SchemaError {
        SchemaError::refusing(found, |version| self.announced(version).ok()?)
    }

    /// What a migration gave, read on by the rules.
    fn go_on(
        &self,
        table: Table,
        at: u16,
        (to, wanted): (u16, &SchemaRef),
    ) -> Result<Table, Error> {
        let Table { schema, batches } = table;
        let nulls = |column: usize| {
            batches.iter().any(|batch| null_rows(&batch.column(column).to_data()).next().is_some())
        };
        let schema = tightened(&schema, nulls);
        let resolved = self.resolve(&schema, at, (to, wanted))?;
        let same = |(a, b): (&FieldRef, &FieldRef)| a.data_type() == b.data_type();
        if resolved.is_identity() && schema.fields().iter().zip(wanted.fields()).all(same) {
            let as_wanted = |batch: &RecordBatch| {
                let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
                let (wanted, columns) = (Arc::clone(wanted), batch.columns().to_vec());
                RecordBatch::try_new_with_options(wanted, columns, &rows)
            };
            let batches = batches.iter().map(as_wanted).collect::<Result<_, _>>()?;
            return Ok(Table { schema: Arc::clone(wanted), batches });
        }
        let rows: Vec<Rows> = batches.iter().map(Rows::from).collect();
        Found::laid_out(&schema, &rows)?.project(&resolved)
    }

    /// The table that a migration makes of one.
    fn migrate(&self, given: Table, from: u16, migrate: &Migrate) -> Result<Table, Error> {
        let name = &*self.expected.asked.name;
        let failed = |source: Box<dyn StdError + Send + Sync>| {
            Error::from(SchemaError::migrating(name, from, source))
        };
        let Table { schema, batches } = given;
        if batches.is_empty() {
            let made = migrate(RecordBatch::new_empty(schema)).map_err(failed)?;
            return Ok(Table { schema: made.schema(), batches: Vec::new() });
        }
        let batches: Vec<_> =
            batches.into_iter().map(migrate).collect::<Result<_, _>>().map_err(failed)?;
        let schema = batches[0].schema();
        if batches.iter().any(|batch| batch.schema_ref().fields() != schema.fields()) {
            return Err(failed("its batches have not all the same columns".into()));
        }
        Ok(Table { schema, batches })
    }
}
