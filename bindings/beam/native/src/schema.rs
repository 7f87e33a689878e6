//! Schemas of tables that stand in the ring's table of schemas, and not in the frames.
//!
//! A frame names its schema by a number, under which the ring never has another. What stands there is copied once for an
//! attachment: so what is checked is what is used, whatever a peer writes meanwhile, and a frame that was copied can be
//! read when its ring is gone.

use crate::atoms;
use crate::end::End;
use crate::error::{Fault, answer};
use crate::producer::Writer;
use crate::ring::{self, Ring};
use crate::table::arrays::{self, Parsed};
use crate::value::Most;
use arrow_schema::{Schema as Arrow, SchemaRef};
use rustler::{Binary, Encoder, Env, Resource, ResourceArc, Term};
use slipring::{Described, Frame, Schema, SchemaId, Schemas};
use slipring_codec::Format;
use slipring_codec::evolution::{
    Between, Incompatible, Unfit, Version, arrange, compatible, defaults, fit,
};
use slipring_codec::format::arrow::{self, Rows, SchemaPlace};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

/// The kind of schemas of tables: the number of their format.
pub(crate) const KIND: u16 = Format::Arrow.code() as u16;

/// The longest schema that a call on a normal scheduler reads, in bytes.
pub(crate) const READ_MOST: usize = 64 << 10;

/// A schema of tables, in memory of its own.
pub(crate) struct Kept {
    name: Box<str>,
    version: u16,
    bytes: Box<[u8]>,
    schema: OnceLock<SchemaRef>,
}

impl Resource for Kept {}

pub(crate) fn register(env: Env<'_>) -> bool {
    env.register::<Kept>().is_ok()
}

impl Kept {
    fn new(found: &Schema) -> Self {
        let (name, version) = (found.name().into(), found.version());
        Self { name, version, bytes: found.bytes().into(), schema: OnceLock::new() }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn version(&self) -> u16 {
        self.version
    }

    /// Its columns.
    pub(crate) fn schema(&self) -> Result<SchemaRef, Fault> {
        match self.schema.get() {
            Some(schema) => Ok(schema.clone()),
            None => {
                let schema = arrow::read_schema(&self.bytes)?;
                Ok(self.schema.get_or_init(|| schema).clone())
            }
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// The bytes as a binary, which all frames of the schema share.
pub(crate) fn binary<'a>(env: Env<'a>, kept: &ResourceArc<Kept>) -> Term<'a> {
    let binary: Binary<'a> = kept.make_binary(env, |kept| &kept.bytes);
    binary.to_term(env)
}

/// The schemas of a ring that its frames have named, by their numbers: no more than the ring has.
#[derive(Default)]
pub(crate) struct Known(Mutex<HashMap<u32, ResourceArc<Kept>>>);

impl Known {
    fn lock(&self) -> MutexGuard<'_, HashMap<u32, ResourceArc<Kept>>> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The schema that a table's frame names. `None`: its schema stands in the frame.
    pub(crate) fn of(&self, frame: &Frame) -> Result<Option<ResourceArc<Kept>>, Fault> {
        let header = frame.header();
        let Some(id) = SchemaId::new(header.schema_id) else { return Ok(None) };
        let known = self.lock().get(&id.get()).cloned();
        let kept = match known {
            Some(kept) => kept,
            None => self.keep(&look_up(frame, id)?),
        };
        if kept.version != header.schema_version {
            let what = format!(
                "the frame names version {} of the schema with the number {id}, which is of version {}",
                header.schema_version, kept.version
            );
            return Err(Fault::wrong_schema(&what, id));
        }
        Ok(Some(kept))
    }

    /// A schema of the ring.
    pub(crate) fn keep(&self, found: &Schema) -> ResourceArc<Kept> {
        let id = found.id().get();
        let known = self.lock().get(&id).cloned();
        known.unwrap_or_else(|| {
            let kept = ResourceArc::new(Kept::new(found));
            self.lock().entry(id).or_insert(kept).clone()
        })
    }
}

fn look_up(frame: &Frame, id: SchemaId) -> Result<Schema, Fault> {
    let Some(found) = frame.schemas().get(id)? else {
        let what = format!("the ring has no schema with the number {id}");
        return Err(Fault::wrong_schema(&what, id));
    };
    if found.kind() != KIND {
        let what = format!("the schema {:?}, number {id}, is not of tables", found.name());
        return Err(Fault::wrong_schema(&what, id));
    }
    Ok(found)
}

/// The schema that the columns of a table have. What is said of the table as a whole is of that table alone.
pub(crate) fn columns_of<'a>(env: Env<'a>, table: Term<'a>) -> Result<Arrow, Fault> {
    let schema = Arrow::new(arrays::fields(env, table.into())?);
    // Whether its types can be sent at all.
    arrow::plan(&schema, &[], SchemaPlace::Frame, None)?;
    Ok(schema)
}

/// The columns that stand in the ring, of a copy: what is checked is what is used.
fn parsed(stored: &Schema) -> Result<SchemaRef, Fault> {
    let own = stored.bytes().to_vec();
    Ok(arrow::read_schema(&own)?)
}

/// What stands in the way, with what to do about it.
pub(crate) fn incompatible(found: &Incompatible, more: &str) -> Fault {
    let told = format!("{found}{more}");
    let hint = told.rsplit_once("; ").map_or("", |(_, hint)| hint).to_owned();
    let path = found.faults.first().map_or("", |fault| &fault.path).to_owned();
    Fault::schema(told, &path, (found.written, found.wanted), hint)
}

/// `{:ok, schema}`: the version of the schema, as `schemas` describes it, is in the ring.
#[rustler::nif(schedule = "DirtyIo")]
fn announce<'a>(
    env: Env<'a>,
    ring: ResourceArc<Ring>,
    name: &str,
    table: Term<'a>,
    version: u16,
    breaking: bool,
) -> Term<'a> {
    let announced = || {
        let schemas = ring.hold()?.segment.schemas();
        let described = announced(&schemas, name, &columns_of(env, table)?, version, breaking)?;
        Ok((atoms::ok(), ring::Schema::from(described)).encode(env))
    };
    answer(env, announced())
}

fn announced(
    schemas: &Schemas,
    name: &str,
    schema: &Arrow,
    version: u16,
    breaking: bool,
) -> Result<Described, Fault> {
    let new = Version::new(name, version.into(), schema);
    defaults(&new).map_err(|found| incompatible(&found, ""))?;
    let mut all = schemas.versions(KIND, name)?;
    all.sort_by_key(Schema::version);
    let stored = match all.iter().find(|there| there.version() == version) {
        Some(stored) => stored.clone(),
        None => {
            let at = all.partition_point(|there| there.version() < version);
            let older = at.checked_sub(1).map(|at| (&all[at], true));
            let newer = all.get(at).map(|newer| (newer, false));
            for (neighbour, is_older) in older.into_iter().chain(newer).filter(|_| !breaking) {
                let there = parsed(neighbour)?;
                let there = Version::new(name, neighbour.version().into(), &there);
                let (old, new) = if is_older { (&there, &new) } else { (&new, &there) };
                compatible(old, new)
                    .map_err(|found| incompatible(&found, ", and say breaking: true"))?;
            }
            match schemas.add(KIND, name, version, &arrow::schema_message(schema)) {
                // Somebody was faster: it may be the same one, said in other bytes.
                Err(conflict @ slipring::Error::SchemaConflict(_)) => {
                    schemas.find(KIND, name, version)?.ok_or(conflict)?
                }
                added => added?,
            }
        }
    };
    let there = parsed(&stored)?;
    if there.fields() != schema.fields() {
        let there = Version::new(name, version.into(), &there);
        return Err(match arrange(schema, &there) {
            Err(found) => incompatible(&found.between(Between::Announced), ""),
            Ok(_) => {
                let hint = format!("announce this as version {}", u32::from(version) + 1);
                let told = format!(
                    "{name:?} was announced as version {version} with another order, nullability or metadata of its \
                     columns; {hint}"
                );
                Fault::schema(told, "", (version.into(), version.into()), hint)
            }
        });
    }
    let id = stored.id().get();
    let described = schemas.describe().into_iter().find(|found| found.id == id);
    described.ok_or_else(|| {
        let (what, index) = ("schema", id.into());
        slipring::Error::Corrupt { what, index, found: 0 }.into()
    })
}

/// What Elixir says of the schema that a table is sent under: number, name and version as `announce` has told them, or the name
/// alone, for the newest version.
pub(crate) struct Asked {
    id: Option<u32>,
    name: String,
    version: u16,
}

impl Asked {
    pub(crate) fn parse(term: Term<'_>) -> Option<Self> {
        if let Ok(name) = term.decode() {
            return Some(Self { id: None, name, version: 0 });
        }
        let (id, name, version) = term.decode().ok()?;
        Some(Self { id: Some(id), name, version })
    }

    fn find(&self, schemas: &Schemas) -> Result<Schema, Fault> {
        let name = &*self.name;
        let Some(id) = self.id else {
            return schemas.latest(KIND, name)?.ok_or_else(|| {
                Fault::no_schema(name, format!("no schema {name:?} was announced on this ring"))
            });
        };
        let found = SchemaId::new(id).map(|id| schemas.get(id)).transpose()?.flatten();
        let same = |found: &Schema| {
            (found.kind(), found.name(), found.version()) == (KIND, name, self.version)
        };
        found.filter(same).ok_or_else(|| {
            let told =
                format!("the schema {name:?}, version {}, is not of this ring", self.version);
            Fault::no_schema(name, told)
        })
    }
}

/// `{:ok, {id, name, version}}` of the schema that is asked for, which all these tables suit, and whose frames the ring can carry;
/// `{:error, fault}`, or `{:error, index, fault}` of one that does not.
#[rustler::nif(schedule = "DirtyCpu")]
fn suits<'a>(
    env: Env<'a>,
    tx: ResourceArc<End<Writer>>,
    asked: Term<'a>,
    tables: Vec<Term<'a>>,
) -> Term<'a> {
    let found = || {
        let asked = Asked::parse(asked).ok_or_else(Fault::other_library)?;
        let hold = tx.hold()?;
        let under = Under::find(&asked, &hold.segment.schemas(), &mut None, Most::All)?;
        Ok((under.ok_or_else(Fault::other_library)?, hold.segment.max_body()))
    };
    let (under, limit) = match found() {
        Ok(found) => found,
        Err(fault) => return answer(env, Err(fault)),
    };
    for (index, table) in tables.into_iter().enumerate() {
        let suits = || {
            let table = Parsed::of(env, table.into())?.outgoing()?.arranged(&under)?;
            let len = table.planned(None, arrow::Plan::body_len)? as u64;
            match len > limit {
                true => Err(Fault::from(slipring::Error::TooLarge { len, limit })),
                false => Ok(()),
            }
        };
        if let Err(fault) = suits() {
            return (atoms::error(), index, fault).encode(env);
        }
    }
    (atoms::ok(), (under.id, &under.name, under.version)).encode(env)
}

/// A schema that tables are sent under.
pub(crate) struct Under {
    pub(crate) id: u32,
    pub(crate) version: u16,
    name: String,
    fields: SchemaRef,
}

impl Under {
    /// The schema that was asked for, by way of the one that was used last. `None`: reading it is for a dirty scheduler.
    pub(crate) fn find(
        asked: &Asked,
        schemas: &Schemas,
        last: &mut Option<Arc<Under>>,
        most: Most,
    ) -> Result<Option<Arc<Under>>, Fault> {
        let stored = asked.find(schemas)?;
        let id = stored.id().get();
        if let Some(last) = last.as_ref().filter(|last| last.id == id) {
            return Ok(Some(last.clone()));
        }
        if most == Most::Normal && stored.len() > READ_MOST {
            return Ok(None);
        }
        let (name, version) = (stored.name().to_owned(), stored.version());
        let under = Arc::new(Self { id, version, name, fields: parsed(&stored)? });
        *last = Some(under.clone());
        Ok(Some(under))
    }

    /// The columns as they were announced, converted where that is exact.
    pub(crate) fn fitted(
        &self,
        given: &Arrow,
        batches: &[Rows],
        inferred: bool,
    ) -> Result<(Arrow, Vec<Rows>), Fault> {
        let announced = Version::new(&self.name, self.version.into(), &self.fields);
        let (schema, batches) =
            fit(given, batches, &announced, inferred).map_err(|unfit| match unfit {
                Unfit::Schema(found) => incompatible(&found, ""),
                Unfit::Value(refused) => Fault::beyond(&refused),
                Unfit::Encode(refused) => refused.into(),
                Unfit::Decode(refused) => refused.into(),
                _ => Fault::other_library(),
            })?;
        for rows in &batches {
            for (number, column) in rows.columns.iter().enumerate() {
                self.check_nulls(number, column.null_count())?;
            }
        }
        Ok((schema, batches))
    }

    /// Whether an arranged column may have so many nulls.
    fn check_nulls(&self, number: usize, nulls: usize) -> Result<(), Fault> {
        let field = self.fields.field(number);
        if field.is_nullable() || nulls == 0 {
            return Ok(());
        }
        let (name, version, column) = (&self.name, u32::from(self.version), field.name());
        let hint = format!("announce it as nullable, as version {}", version + 1);
        let told = format!(
            "{name:?} was announced as version {version} with no nulls in column {column}, and there are {nulls}; {hint}"
        );
        Err(Fault::schema(told, column, (version, version), hint))
    }
}
