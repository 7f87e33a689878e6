//! What a consumer expects of tables: a version of each schema that it names. The rules are the codec's (`docs/evolution.md`).
//!
//! 1. A frame that is taken gets a [`Route`] if its schema has a name that is expected: what was announced between the version that was
//!    written and the one that is expected. So it can be read when its ring is gone, as any frame that was copied.
//! 2. Reading goes by the rules from step to step. Between them stand migrations, which are functions of Elixir's: there the
//!    table is handed over, and comes back.
//! 3. What is read of a schema is said in the ring until the consumer is closed. Taking that back may wait for another call that says
//!    something; so it is done by the thread that unmaps, unless the consumer is closed by a call.

use crate::attachment;
use crate::consumer::Receiver;
use crate::end::End;
use crate::error::{Fault, answer};
use crate::producer::Writer;
use crate::schema::{KIND, Kept, Known, READ_MOST, columns_of, types_of};
use crate::table::arrays::{Outgoing, Parsed};
use crate::table::{self, binary};
use crate::value::terms::{self, Word};
use crate::value::{Most, view_of};
use crate::{atoms, charge};
use arrow_schema::SchemaRef;
use rustler::env::SavedTerm;
use rustler::{Encoder, Env, OwnedEnv, Resource, ResourceArc, Term};
use slipring::{Frame, Schema, SchemaId, Want};
use slipring_codec::evolution::{
    self, ApplyErrorKind, Between, Incompatible, Projection, Version, defaults, fair, resolve,
};
use slipring_codec::format::arrow::{self, Checks, SchemaPlace};
use slipring_codec::{Body, Content, Format};
use slipring_frames::SchemaError;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, OnceLock};

/// The most bytes that one call makes of a table on a normal scheduler, and what one takes as bytes copied.
const MAKE_MOST: usize = 256 << 10;
const MAKE_COSTS: usize = 8;

/// As what tables of one name are read.
struct Expected {
    name: String,
    schema: SchemaRef,
    version: u16,
    oldest: u16,
    /// Versions from which there is a migration.
    from: BTreeSet<u16>,
    /// The functions, by version: a map of Elixir's.
    migrations: Mutex<(OwnedEnv, SavedTerm)>,
}

/// What a consumer expects, by name.
#[derive(Default)]
pub(crate) struct Expects {
    by_name: HashMap<String, Arc<Expected>>,
    /// For the schemas that frames had, by number: `None` for those that are not expected.
    routes: HashMap<u32, Option<ResourceArc<Route>>>,
    /// Schemas that the ring had when the routes were found.
    seen: u32,
    wants: Wants,
}

/// What the ring is told of it.
#[derive(Default)]
struct Wants(HashMap<String, Want>);

impl Drop for Wants {
    fn drop(&mut self) {
        if !self.0.is_empty() {
            attachment::later(std::mem::take(&mut self.0).into_values());
        }
    }
}

impl Expects {
    /// Whether the ring was told anything.
    pub(crate) fn wants(&self) -> bool {
        !self.wants.0.is_empty()
    }

    /// Takes back what the ring was told. For dirty schedulers.
    pub(crate) fn unwant(&mut self) {
        self.wants.0.clear();
    }

    /// How the frame's table is read, if it is of a name that is expected. What is wrong with its schema is found when it is read.
    pub(crate) fn route(&mut self, frame: &Frame, known: &Known) -> Option<ResourceArc<Route>> {
        let header = frame.header();
        if self.by_name.is_empty() || header.format != Format::Arrow.code() {
            return None;
        }
        let id = SchemaId::new(header.schema_id)?;
        let schemas = frame.schemas();
        // One that came since then may stand between two that are known.
        if SchemaId::new(self.seen + 1).is_some_and(|next| !matches!(schemas.get(next), Ok(None))) {
            self.routes.clear();
            self.seen = u32::try_from(schemas.iter().count()).unwrap_or(u32::MAX - 1);
        }
        if let Some(route) = self.routes.get(&id.get()) {
            return route.clone();
        }
        let written = known.of(frame).ok()??;
        let route = self.by_name.get(written.name()).map(|expected| {
            let of_name = |found: &Schema| found.kind() == KIND && *found.name() == *expected.name;
            let versions = written.version()..=expected.version;
            let found = schemas.iter().filter_map(Result::ok).filter(of_name);
            let found = found.filter(|found| versions.contains(&found.version()));
            let mut announced: Vec<_> = found.map(|found| known.keep(&found)).collect();
            announced.sort_by_key(|kept| kept.version());
            ResourceArc::new(Route {
                expected: Arc::clone(expected),
                written: written.version(),
                announced,
                first: OnceLock::new(),
            })
        });
        self.routes.insert(id.get(), route.clone());
        route
    }
}

/// From a version that was written to the one that is expected.
pub(crate) struct Route {
    expected: Arc<Expected>,
    written: u16,
    /// Both ends and what is between them, as far as it was announced, by version.
    announced: Vec<ResourceArc<Kept>>,
    /// How what was written is read, where no migration comes first.
    first: OnceLock<Arc<Projection>>,
}

impl Resource for Route {}

pub(crate) fn register(env: Env<'_>) -> bool {
    env.register::<Route>().is_ok()
}

/// A table on its way: where it lies, and what makes binaries of its pieces.
pub(crate) struct Found<'a, 'b, 'v> {
    pub(crate) table: arrow::Table,
    pub(crate) whole: &'b [u8],
    pub(crate) view: &'v dyn Fn(&'b [u8]) -> Word<'a>,
}

impl Route {
    /// The version that was announced.
    fn announced(&self, version: u16) -> Result<Option<SchemaRef>, Fault> {
        let place = self.announced.binary_search_by_key(&version, |kept| kept.version());
        place.ok().map(|place| self.announced[place].schema()).transpose()
    }

    /// Goes as far as the rules lead: the table as it is expected, or `{:migrate, {route, from}, table}` where a function comes next;
    /// `None` where that is more than one call may do.
    pub(crate) fn read<'a>(
        route: &ResourceArc<Self>,
        env: Env<'a>,
        found: Found<'a, '_, '_>,
        at: Option<u16>,
        most: Most,
    ) -> Result<Option<Term<'a>>, Fault> {
        let expected = &*route.expected;
        let version = at.unwrap_or(route.written);
        if at.is_none() && version < expected.oldest {
            let versions = (version.into(), expected.version.into());
            return Err(SchemaError::too_old(&expected.name, versions, expected.oldest).into());
        }
        let next = expected.from.range(version..).next().copied();
        let projected = match next {
            Some(from) if from == version => Some(table::parts(env, &found, None)),
            Some(from) => match route.announced(from)? {
                Some(wanted) => route.project(env, &found, at, (from, &wanted), most)?,
                None => Some(table::parts(env, &found, None)),
            },
            None => {
                let wanted = (expected.version, &expected.schema);
                route.project(env, &found, at, wanted, most)?
            }
        };
        Ok(projected.map(|table| match next {
            Some(from) => (atoms::migrate(), (route, from), table).encode(env),
            None => table,
        }))
    }

    /// Reads a table by the rules; `None` where that is more than one call may do.
    fn project<'a>(
        &self,
        env: Env<'a>,
        found: &Found<'a, '_, '_>,
        at: Option<u16>,
        (to, wanted): (u16, &SchemaRef),
        most: Most,
    ) -> Result<Option<Term<'a>>, Fault> {
        let known = self.first.get().filter(|_| at.is_none()).cloned();
        let projection = match known {
            Some(known) => known,
            None => {
                let long = self.announced.iter().any(|kept| kept.bytes().len() > READ_MOST);
                if most == Most::Normal && long {
                    return Ok(None);
                }
                let name = &*self.expected.name;
                let version = at.unwrap_or(self.written);
                let written = Version::new(name, version.into(), &found.table.schema);
                let wanted = Version::new(name, to.into(), wanted);
                let resolved = resolve(&written, &wanted).map_err(|refused| match at {
                    // What is there is of a migration.
                    Some(at) => {
                        let from = u32::from(at).saturating_sub(1);
                        SchemaError::from(refused.between(Between::Migrated { from }))
                    }
                    None => self.refusal(refused),
                })?;
                let resolved = Arc::new(resolved);
                if at.is_none() {
                    // Another call may have been faster, with the same.
                    let _ = self.first.set(Arc::clone(&resolved));
                }
                resolved
            }
        };
        let most_made = fair(found.whole.len());
        let limit = if most == Most::Normal { most_made.min(MAKE_MOST) } else { most_made };
        let projected = match projection.apply(&found.table, found.whole, limit) {
            Ok(projected) => projected,
            Err(refused) => {
                return match refused.kind {
                    ApplyErrorKind::TooMuch { .. } if limit < most_made => Ok(None),
                    _ => Err(Fault::beyond(&refused)),
                };
            }
        };
        if most == Most::Normal {
            charge(env, 0, projected.made.len() * MAKE_COSTS);
        }
        let found = Found { table: projected.table, ..*found };
        Ok(Some(table::parts(env, &found, Some(projected.made))))
    }

    /// What a migration made of records or columns, with the types of its version.
    fn fitting<'a>(&self, made: Outgoing<'a>, at: u16) -> Result<Outgoing<'a>, Fault> {
        if !made.is_inferred() {
            return Ok(made);
        }
        let expected = &*self.expected;
        let known = match self.known(at)? {
            None if made.elements() == 0 => Some(Arc::clone(&expected.schema)),
            known => known,
        };
        Ok(match known {
            Some(known) => made.fitting(&Version::new(&expected.name, at.into(), &known)),
            None => made,
        })
    }

    /// The columns of a version, if somebody has said them.
    fn known(&self, at: u16) -> Result<Option<SchemaRef>, Fault> {
        let expected = &*self.expected;
        let announced = self.announced(at)?;
        Ok(announced.or_else(|| (at == expected.version).then(|| Arc::clone(&expected.schema))))
    }

    /// The refusal, with the first step between announced versions that the rules don't allow.
    fn refusal(&self, refused: Incompatible) -> SchemaError {
        SchemaError::refusing(refused, |version| self.announced(version).ok()?)
    }
}

/// Tables of this name are read as this schema from now on: `:ok`, `:busy` or `{:error, fault}`. `migrations` is a map of functions, by
/// the versions `from`.
#[rustler::nif(schedule = "DirtyIo")]
#[allow(clippy::too_many_arguments, reason = "they are Elixir's")]
fn expect<'a>(
    env: Env<'a>,
    rx: ResourceArc<Receiver>,
    name: &str,
    table: Term<'a>,
    version: u16,
    oldest: u16,
    from: Vec<u16>,
    migrations: Term<'a>,
) -> Term<'a> {
    let schema = match columns_of(env, table) {
        Ok(schema) => Arc::new(schema),
        Err(fault) => return answer(env, Err(fault)),
    };
    rx.answer(env, |live| {
        // Whether its types can be sent at all.
        arrow::plan(&schema, &[], SchemaPlace::Frame, None)?;
        defaults(&Version::new(name, version.into(), &schema)).map_err(SchemaError::from)?;
        let want = live.hold.segment.schemas().want(KIND, name, oldest..=version)?;
        let functions = OwnedEnv::new();
        let saved = functions.save(migrations);
        let expected = Expected {
            name: name.to_owned(),
            schema,
            version,
            oldest,
            from: from.into_iter().collect(),
            migrations: Mutex::new((functions, saved)),
        };
        let expects = &mut live.handle.expects;
        expects.routes.clear();
        expects.by_name.insert(name.to_owned(), Arc::new(expected));
        // The one before it ends when this one is said.
        expects.wants.0.insert(name.to_owned(), want);
        Ok(atoms::ok().encode(env))
    })
}

/// `{:ok, {oldest, newest}}`: the versions that all consumers read which have said so, `{:ok, nil}`, or `{:error, fault}`.
#[rustler::nif(schedule = "DirtyIo")]
fn wanted<'a>(env: Env<'a>, tx: ResourceArc<End<Writer>>, name: &str) -> Term<'a> {
    let wanted = || {
        let wanted = tx.hold()?.segment.schemas().readable(KIND, name)?;
        Ok((atoms::ok(), wanted.map(|versions| versions.into_inner())).encode(env))
    };
    answer(env, wanted())
}

/// The function that leads on from a version: `{function, name, types}`, these of the columns of the next version by their names, as
/// far as they are known. What it has closed over is copied.
#[rustler::nif(schedule = "DirtyCpu")]
fn migration<'a>(env: Env<'a>, route: ResourceArc<Route>, from: u16) -> Term<'a> {
    let expected = &*route.expected;
    let kept = expected.migrations.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let (functions, saved) = &*kept;
    let function = functions.run(|own| {
        let function = saved.load(own).map_get(from);
        function.map(|function| function.in_env(env))
    });
    let nil = || atoms::nil().encode(env);
    // What can't be read is told when what it makes is.
    let known = route.known(from + 1).ok().flatten();
    let types = known.map_or_else(|| Term::map_new(env), |known| types_of(env, &known));
    (function.unwrap_or_else(|_| nil()), &*expected.name, types).encode(env)
}

/// What a migration has made, a table of version `at`, goes on to what is expected: as `table` answers.
#[rustler::nif(schedule = "DirtyCpu")]
fn table_migrated<'a>(
    env: Env<'a>,
    route: ResourceArc<Route>,
    at: u16,
    table: Term<'a>,
) -> Term<'a> {
    let read = || {
        let made = route.fitting(Parsed::of(env, table.into())?.outgoing()?, at)?;
        let (flags, type_code, body) = made.body()?;
        let whole = binary(env, body);
        let bytes = terms::bytes(env, whole).ok_or_else(Fault::no_binary)?;
        let body = Body::open(Format::Arrow.code(), flags, type_code, bytes)?;
        let Content::Arrow(headed) = body.content()? else {
            return Err(Fault::other_library());
        };
        let table = tightened(arrow::read(&headed, None, Checks::Safe)?, bytes);
        let view = |part: &[u8]| view_of(env, whole, bytes, part);
        let found = Found { table, whole: bytes, view: &view };
        let read = Route::read(&route, env, found, Some(at), Most::All)?;
        Ok(read.unwrap_or_else(|| atoms::large().encode(env)))
    };
    answer(env, read())
}

/// Columns may have nulls unless somebody says that they don't. Here is the data, which has some or not.
fn tightened(mut table: arrow::Table, body: &[u8]) -> arrow::Table {
    let has_nulls = |number: usize| {
        let column = |batch: &arrow::Batch| {
            evolution::has_nulls(&batch.columns[number], |place| body.get(place.clone()))
        };
        table.batches.iter().any(column)
    };
    table.schema = Arc::new(evolution::tightened(&table.schema, has_nulls));
    table
}
