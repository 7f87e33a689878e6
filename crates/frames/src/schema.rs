//! Schemas that tables are sent under and read as: announced by producers, expected by consumers. The rules are the codec's
//! (`docs/evolution.md`), the table of schemas is the segment's; here they meet, for Rust and for the bindings.

mod error;
mod expect;

pub use error::{SchemaError, SchemaErrorKind};
pub use expect::{Expectation, Expects, Migrated};

use crate::error::Error;
use crate::send::{Outgoing, Planned};
use crate::table::Table;
use arrow_array::RecordBatch;
use arrow_schema::{Schema, SchemaRef};
use slipring::{Producer, Schemas, Segment};
use slipring_codec::evolution::{
    Between, Unfit, Version, arrange, compatible, defaults, fit, null_rows,
};
use slipring_codec::format::arrow::{self, Parsed, Rows, SchemaPlace};
use slipring_codec::{EncodeError, Format};
use std::ops::RangeInclusive;
use std::sync::Arc;

/// The kind that schemas of tables have in a ring's table: the number of their format.
pub const KIND: u16 = Format::Arrow.code() as u16;

/// The columns of a schema that a ring has. They are read once for a mapping, and then known.
pub(crate) fn columns(stored: &slipring::Schema) -> Result<SchemaRef, Error> {
    Ok(SchemaRef::clone(stored.made(Parsed::of)?.schema()))
}

/// Schemas of tables by name and version, on a [`Segment`] or by way of a [`Producer`].
///
/// ```
/// # use slipring::{Segment, Wait};
/// # let ring = Segment::options().capacity(1 << 20).create_anonymous()?;
/// use arrow_array::{Float32Array, RecordBatch};
/// use arrow_schema::{DataType, Field, Schema};
/// use slipring_frames::{Announce, ReadTable, SendTyped};
/// use std::sync::Arc;
///
/// let schema = Schema::new(vec![Field::new("temp", DataType::Float32, false)]);
/// let weather = ring.announce("weather", &schema, 1)?;
/// let batch = RecordBatch::try_new(Arc::new(schema), vec![Arc::new(Float32Array::from(vec![0.5]))])?;
///
/// let (mut tx, mut rx) = (ring.producer()?, ring.consumer()?);
/// tx.send_typed(&weather.table(&batch)?, None, &Wait::no())?; // its frame has the schema's number, and not the schema
/// assert_eq!(rx.recv(&Wait::no())?.table()?.batches, [batch]);
///
/// // A version that those who know the other could not be given is not announced.
/// let texts = Schema::new(vec![Field::new("temp", DataType::Utf8, false)]);
/// let refused = tx.announce("weather", &texts, 2).unwrap_err();
/// assert!(refused.to_string().contains("column temp is Float32, and Utf8 is expected"));
/// assert_eq!(tx.wanted("weather")?, None); // no consumer has said what it reads
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Announce {
    /// The ring's table.
    fn table_of_schemas(&self) -> Schemas;

    /// Stores a version of a schema, from 1 on, in the ring, after a look at the one before it and the one after it. Announced again it
    /// must be the same. What is said of the table as a whole, and not of a column, is left out.
    ///
    /// # Errors
    ///
    /// [`Schema`](Error::Schema), those of [`slipring::Schemas::add`], and [`Encode`](Error::Encode) for types that no frame has.
    fn announce(&self, name: &str, schema: &Schema, version: u16) -> Result<Announced, Error> {
        Announced::announce(&self.table_of_schemas(), name, schema, version, false)
    }

    /// As [`announce`](Self::announce), whatever the versions before and after it are: only consumers with a migration get
    /// the new tables, and those that expect a version that they can still be read as.
    ///
    /// # Errors
    ///
    /// As [`announce`](Self::announce).
    fn announce_breaking(
        &self,
        name: &str,
        schema: &Schema,
        version: u16,
    ) -> Result<Announced, Error> {
        Announced::announce(&self.table_of_schemas(), name, schema, version, true)
    }

    /// The newest version that was announced, here or by another process.
    ///
    /// # Errors
    ///
    /// [`NoSchema`](Error::NoSchema), and those of [`slipring::Schemas::latest`].
    fn announced(&self, name: &str) -> Result<Announced, Error> {
        match self.table_of_schemas().latest(KIND, name)? {
            Some(stored) => Announced::of(stored),
            None => Err(Error::NoSchema { name: name.to_owned() }),
        }
    }

    /// The versions, from the oldest to the newest, that all consumers read which have said so ([`Expects::expect`]); empty where there is none.
    /// `None`: nobody has said so.
    ///
    /// # Errors
    ///
    /// Those of [`slipring::Schemas::readable`].
    fn wanted(&self, name: &str) -> Result<Option<RangeInclusive<u16>>, Error> {
        Ok(self.table_of_schemas().readable(KIND, name)?)
    }
}

impl Announce for Segment {
    fn table_of_schemas(&self) -> Schemas {
        self.schemas()
    }
}

impl Announce for Producer {
    fn table_of_schemas(&self) -> Schemas {
        self.segment().schemas()
    }
}

/// A version of a schema that a ring has, for tables to be sent under. Clones are cheap.
#[derive(Debug, Clone)]
pub struct Announced {
    stored: slipring::Schema,
    columns: SchemaRef,
}

impl Announced {
    /// A schema of tables that was found in a ring.
    ///
    /// # Errors
    ///
    /// [`OtherSchema`](Error::OtherSchema), and [`Decode`](Error::Decode) if it is damaged.
    pub fn of(stored: slipring::Schema) -> Result<Self, Error> {
        match stored.kind() {
            KIND => Ok(Announced { columns: columns(&stored)?, stored }),
            _ => Err(Error::OtherSchema { name: stored.name().to_owned(), id: stored.id().get() }),
        }
    }

    /// As [`Announce::announce`], or, `breaking`, as [`Announce::announce_breaking`].
    ///
    /// # Errors
    ///
    /// As these.
    pub fn announce(
        schemas: &Schemas,
        name: &str,
        schema: &Schema,
        version: u16,
        breaking: bool,
    ) -> Result<Self, Error> {
        // What a library says of the whole table, such as its index, is of that table alone.
        let schema = Schema::new(schema.fields().clone());
        // Whether its types can be sent at all.
        arrow::plan(&schema, &[], SchemaPlace::Frame, None)?;
        let new = Version::new(name, version.into(), &schema);
        defaults(&new).map_err(SchemaError::from)?;
        let mut all = schemas.versions(KIND, name)?;
        all.sort_by_key(slipring::Schema::version);
        let stored = match all.iter().find(|there| there.version() == version) {
            Some(stored) => stored.clone(),
            None => {
                let at = all.partition_point(|there| there.version() < version);
                let older = at.checked_sub(1).map(|at| (&all[at], true));
                let newer = all.get(at).map(|newer| (newer, false));
                for (there, is_older) in older.into_iter().chain(newer).filter(|_| !breaking) {
                    let columns = columns(there)?;
                    let there = Version::new(name, there.version().into(), &columns);
                    let (old, new) = if is_older { (&there, &new) } else { (&new, &there) };
                    compatible(old, new).map_err(|found| {
                        let versions = (found.written, found.wanted);
                        SchemaError::new(name, versions, SchemaErrorKind::Breaking { found })
                    })?;
                }
                match schemas.add(KIND, name, version, &arrow::schema_message(&schema)) {
                    // Somebody was faster: it may be the same one, said in other bytes.
                    Err(conflict @ slipring::Error::SchemaConflict(_)) => {
                        schemas.find(KIND, name, version)?.ok_or(conflict)?
                    }
                    added => added?,
                }
            }
        };
        let announced = Announced::of(stored)?;
        if announced.columns.fields() == schema.fields() {
            return Ok(announced);
        }
        Err(match arrange(&schema, &announced.version()) {
            Err(found) => SchemaError::from(found.between(Between::Announced)),
            Ok(_) => {
                let versions = (version.into(), version.into());
                SchemaError::new(name, versions, SchemaErrorKind::Rearranged)
            }
        }
        .into())
    }

    /// Its columns.
    pub fn columns(&self) -> &SchemaRef {
        &self.columns
    }

    /// What the ring has of it: its number, name and version.
    pub fn stored(&self) -> &slipring::Schema {
        &self.stored
    }

    fn version(&self) -> Version<'_> {
        Version::new(self.stored.name(), self.stored.version().into(), &self.columns)
    }

    /// The table as it was announced, to be [sent](crate::SendTyped::send_typed): its columns in that order, and of another type where
    /// that is exact. What need not be converted is not copied.
    ///
    /// # Errors
    ///
    /// [`Schema`](Error::Schema) if it has other columns or types, or nulls where none were announced, and [`Apply`](Error::Apply) if
    /// an element has no place in the announced type.
    pub fn table(&self, table: &impl Batches) -> Result<Under<'_>, Error> {
        let rows = table.rows();
        let fitted = self.fit(table.columns(), &rows, false)?;
        let (columns, rows) = match fitted {
            Some((columns, rows)) => (Arc::new(columns), rows),
            None => (Arc::clone(&self.columns), rows),
        };
        Ok(Under { stored: &self.stored, columns, rows })
    }

    /// Rows of columns `given` as they were announced, as [`evolution::fit`](slipring_codec::evolution::fit) has them, and held against
    /// the nulls that were. `None`: as they are.
    ///
    /// # Errors
    ///
    /// As [`table`](Self::table).
    pub fn fit(
        &self,
        given: &Schema,
        rows: &[Rows],
        inferred: bool,
    ) -> Result<Option<(Schema, Vec<Rows>)>, Error> {
        if self.suits(given, rows)? {
            return Ok(None);
        }
        let fitted = fit(given, rows, &self.version(), inferred).map_err(|unfit| match unfit {
            Unfit::Schema(found) => Error::from(SchemaError::from(found)),
            Unfit::Value(beyond) => Error::Apply(beyond),
            Unfit::Encode(refused) => refused.into(),
            Unfit::Decode(refused) => refused.into(),
            _ => unreachable!("the codec has no other"),
        })?;
        self.check_nulls(&fitted.1)?;
        Ok(Some(fitted))
    }

    /// Whether rows of columns `given` are as they were announced to the last word, so that [`fit`](Self::fit) has nothing to do.
    ///
    /// # Errors
    ///
    /// [`Schema`](Error::Schema) for nulls where none were announced.
    pub fn suits(&self, given: &Schema, rows: &[Rows]) -> Result<bool, Error> {
        let same = given.fields() == self.columns.fields();
        if same {
            self.check_nulls(rows)?;
        }
        Ok(same)
    }

    fn check_nulls(&self, batches: &[Rows]) -> Result<(), Error> {
        let mut before = 0;
        for rows in batches {
            for (column, field) in rows.columns.iter().zip(self.columns.fields()) {
                if field.is_nullable() {
                    continue;
                }
                let mut nulls = null_rows(column);
                if let Some(row) = nulls.next() {
                    let Version { name, version, .. } = self.version();
                    let (column, count, row) =
                        (field.name().clone(), 1 + nulls.count(), before + row);
                    let nulls = SchemaErrorKind::Nulls { column, count, row };
                    return Err(SchemaError::new(name, (version, version), nulls).into());
                }
            }
            before += rows.len;
        }
        Ok(())
    }
}

/// What has columns and rows: a [`RecordBatch`] or a [`Table`].
pub trait Batches {
    /// The columns.
    fn columns(&self) -> &Schema;
    /// The rows of its batches.
    fn rows(&self) -> Vec<Rows>;
}

impl Batches for RecordBatch {
    fn columns(&self) -> &Schema {
        self.schema_ref()
    }

    fn rows(&self) -> Vec<Rows> {
        vec![self.into()]
    }
}

impl Batches for Table {
    fn columns(&self) -> &Schema {
        &self.schema
    }

    fn rows(&self) -> Vec<Rows> {
        self.batches.iter().map(Rows::from).collect()
    }
}

/// A table as a schema that was announced. It is for that ring: sent to another one it is [refused](Error::OtherRing). Who
/// [plans](Outgoing::plan) and commits it by hand sees to that.
#[derive(Debug, Clone)]
pub struct Under<'a> {
    stored: &'a slipring::Schema,
    /// As they are: of the announced types, or of such as lie the same way.
    columns: SchemaRef,
    rows: Vec<Rows>,
}

impl Outgoing for Under<'_> {
    fn plan<'a>(&'a self, meta: Option<&'a [u8]>) -> Result<Planned<'a>, EncodeError> {
        let Under { stored, columns, rows } = self;
        let plan = arrow::plan(columns, rows, SchemaPlace::Table, meta.map(<[u8]>::len))?;
        Ok(Planned::table(plan, meta, Some(stored)))
    }
}
