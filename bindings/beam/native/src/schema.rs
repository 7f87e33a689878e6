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
use crate::table::types;
use crate::value::Most;
use arrow_schema::{Schema as Arrow, SchemaRef};
use rustler::{Binary, Encoder, Env, Resource, ResourceArc, Term};
use slipring::{Frame, Schema, SchemaId, Schemas};
use slipring_codec::format::arrow;
use slipring_frames::Announced;
pub(crate) use slipring_frames::KIND;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, OnceLock};

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
    Ok(Arrow::new(arrays::fields(env, table.into())?))
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
        let columns = columns_of(env, table)?;
        let announced = Announced::announce(&schemas, name, &columns, version, breaking)?;
        let id = announced.stored().id().get();
        let described = schemas.describe().into_iter().find(|found| found.id == id);
        let described = described.ok_or_else(|| {
            let (what, index) = ("schema", id.into());
            slipring::Error::Corrupt { what, index, found: 0 }
        })?;
        Ok((atoms::ok(), ring::Schema::from(described)).encode(env))
    };
    answer(env, announced())
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

    /// What was announced, by way of what was asked for last. `None`: reading it is for a dirty scheduler.
    pub(crate) fn announced(
        &self,
        schemas: &Schemas,
        last: &mut Option<Announced>,
        most: Most,
    ) -> Result<Option<Announced>, Fault> {
        let stored = self.find(schemas)?;
        if let Some(last) = last.as_ref().filter(|last| last.stored().id() == stored.id()) {
            return Ok(Some(last.clone()));
        }
        if most == Most::Normal && stored.len() > READ_MOST {
            return Ok(None);
        }
        let announced = Announced::of(stored)?;
        *last = Some(announced.clone());
        Ok(Some(announced))
    }
}

/// The types of columns, by their names.
pub(crate) fn types_of<'a>(env: Env<'a>, columns: &Arrow) -> Term<'a> {
    let fields = columns.fields().iter();
    let types = fields.map(|field| (&**field.name(), types::term(env, field.data_type())));
    types.collect::<HashMap<&str, Term<'_>>>().encode(env)
}

/// `{:ok, {id, name, version}, types}` of the schema that is asked for, with the types of its columns by their names; `:large` for
/// `under_large`, `:busy`, or `{:error, fault}`.
#[rustler::nif]
fn under<'a>(env: Env<'a>, tx: ResourceArc<End<Writer>>, asked: Term<'a>) -> Term<'a> {
    types_under(env, &tx, asked, Most::Normal)
}

#[rustler::nif(schedule = "DirtyCpu")]
fn under_large<'a>(env: Env<'a>, tx: ResourceArc<End<Writer>>, asked: Term<'a>) -> Term<'a> {
    types_under(env, &tx, asked, Most::All)
}

fn types_under<'a>(env: Env<'a>, tx: &End<Writer>, asked: Term<'a>, most: Most) -> Term<'a> {
    tx.answer(env, |live| {
        let asked = Asked::parse(asked).ok_or_else(Fault::other_library)?;
        let schemas = live.hold.segment.schemas();
        let Some(under) = asked.announced(&schemas, &mut live.handle.under, most)? else {
            return Ok(atoms::large().encode(env));
        };
        let found = under.stored();
        let types = types_of(env, under.columns());
        let found = (found.id().get(), found.name(), found.version());
        Ok((atoms::ok(), found, types).encode(env))
    })
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
        let under = asked.announced(&hold.segment.schemas(), &mut None, Most::All)?;
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
    let found = under.stored();
    (atoms::ok(), (found.id().get(), found.name(), found.version())).encode(env)
}
