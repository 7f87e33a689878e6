//! Segments: made, opened, listed, looked into, left.

use crate::attachment::{self, Hold, Notice, Tally};
use crate::consumer::{Policy, Receiver, Taker};
use crate::end::{self, End};
use crate::error::{Fault, answer};
use crate::producer::Writer;
use crate::{atoms, waiter};
use rustler::{Atom, Binary, Encoder, Env, LocalPid, NifMap, Resource, ResourceArc, Term};
use slipring::{Address, Described, Error, Inspection, Mode, SchemaId, Segment};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Mutex;

/// A process's hold on a ring, until it is closed.
pub(crate) struct Ring(Mutex<Option<Hold>>);

impl Resource for Ring {}

pub(crate) fn register(env: Env<'_>) -> bool {
    env.register::<Ring>().is_ok()
}

impl Ring {
    fn made<'a>(env: Env<'a>, segment: Result<Segment, Error>) -> Result<Term<'a>, Fault> {
        let ring = Self(Mutex::new(Some(Hold::new(segment?))));
        Ok((atoms::ok(), ResourceArc::new(ring)).encode(env))
    }

    pub(crate) fn hold(&self) -> Result<Hold, Fault> {
        let hold = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        hold.clone().ok_or_else(Fault::detached)
    }
}

/// A name, or a path, which may be any bytes.
fn address(named: bool, bytes: Binary<'_>) -> Result<Address, Error> {
    if !named {
        return Ok(Address::Path(PathBuf::from(OsStr::from_bytes(&bytes))));
    }
    match std::str::from_utf8(&bytes) {
        Ok(name) => Ok(Address::Name(name.to_owned())),
        Err(_) => Err(Error::InvalidName {
            name: String::from_utf8_lossy(&bytes).into_owned(),
            reason: "it is no UTF-8; letters, digits, '.', '_' and '-' are allowed",
        }),
    }
}

/// As `Slipring` has checked them. Absent ones are the crate's own.
#[derive(NifMap)]
struct Options {
    mode: String,
    slots: Option<u64>,
    cell: Option<u64>,
    capacity: Option<u64>,
    populate: bool,
    keep: bool,
    drop_oldest: bool,
    max_deliveries: Option<u8>,
    share: Option<u8>,
    schemas: Option<u32>,
}

#[rustler::nif(schedule = "DirtyIo")]
fn create<'a>(env: Env<'a>, named: bool, text: Binary<'a>, options: Options) -> Term<'a> {
    let Some(mode) = Mode::named(&options.mode) else {
        let (option, expected) = ("mode", "spsc, mpsc, spmc or mpmc");
        let unknown = Error::InvalidOption { option, value: options.mode, expected };
        return answer(env, Err(unknown.into()));
    };
    let made = Segment::options().mode(mode).populate(options.populate).keep(options.keep);
    let mut made = made.drop_oldest(options.drop_oldest);
    if let Some(slots) = options.slots {
        made = made.slots(slots);
    }
    if let Some(cell) = options.cell {
        made = made.cell(cell);
    }
    if let Some(capacity) = options.capacity {
        made = made.capacity(capacity);
    }
    if let Some(times) = options.max_deliveries {
        made = made.max_deliveries(times);
    }
    if let Some(percent) = options.share {
        made = made.share(percent);
    }
    if let Some(count) = options.schemas {
        made = made.schemas(count);
    }
    answer(env, Ring::made(env, address(named, text).and_then(|at| made.create(at))))
}

#[rustler::nif(schedule = "DirtyIo")]
fn open<'a>(env: Env<'a>, named: bool, text: Binary<'a>) -> Term<'a> {
    answer(env, Ring::made(env, address(named, text).and_then(Segment::open)))
}

/// `{:ok, producer, limit}`, the longest body in bytes.
#[rustler::nif(schedule = "DirtyIo")]
fn producer<'a>(env: Env<'a>, ring: ResourceArc<Ring>, owner: LocalPid) -> Term<'a> {
    let made = || {
        let hold = ring.hold()?;
        let limit = hold.segment.max_body();
        let end = ResourceArc::new(End::new(Writer::new(hold.segment.producer()?), hold));
        end::own(env, &end, owner)?;
        Ok((atoms::ok(), end, limit).encode(env))
    };
    answer(env, made())
}

/// `{:ok, consumer}`. With a limit, frames are to be acknowledged, and so many may be open.
#[rustler::nif(schedule = "DirtyIo")]
fn consumer<'a>(
    env: Env<'a>,
    ring: ResourceArc<Ring>,
    owner: LocalPid,
    policy: Policy,
    limit: Option<u32>,
) -> Term<'a> {
    let made = || {
        let hold = ring.hold()?;
        let end = End::new(Taker::new(&hold.segment, limit)?, hold);
        let receiver = ResourceArc::new(Receiver::new(end, policy));
        end::own(env, &receiver, owner)?;
        Ok((atoms::ok(), receiver).encode(env))
    };
    answer(env, made())
}

/// Ends the sending, for everybody.
#[rustler::nif]
fn finish<'a>(env: Env<'a>, ring: ResourceArc<Ring>) -> Term<'a> {
    let finished = ring.hold().map(|hold| {
        hold.segment.close();
        atoms::ok().encode(env)
    });
    answer(env, finished)
}

/// Keeps what is in use of the ring in memory.
#[rustler::nif(schedule = "DirtyIo")]
fn lock_memory<'a>(env: Env<'a>, ring: ResourceArc<Ring>) -> Term<'a> {
    let locked = ring.hold().and_then(|hold| Ok(hold.segment.lock_memory()?));
    answer(env, locked.map(|()| atoms::ok().encode(env)))
}

/// Asks for huge pages.
#[rustler::nif(schedule = "DirtyIo")]
fn use_huge_pages<'a>(env: Env<'a>, ring: ResourceArc<Ring>) -> Term<'a> {
    let asked = ring.hold().and_then(|hold| Ok(hold.segment.use_huge_pages()?));
    answer(env, asked.map(|()| atoms::ok().encode(env)))
}

/// Leaves the ring; `:last` if nothing else holds it, and then `{tag, :detached}` comes.
#[rustler::nif]
fn close_ring<'a>(env: Env<'a>, ring: ResourceArc<Ring>, tag: Term<'a>) -> Term<'a> {
    let hold = ring.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
    let notice = || Notice { pid: env.pid(), tag: waiter::Tag::new(tag) };
    let last = hold.is_some_and(|hold| hold.give_up(notice()));
    left(last).encode(env)
}

/// What closing answers.
pub(crate) fn left(last: bool) -> rustler::Atom {
    if last { atoms::last() } else { atoms::ok() }
}

#[rustler::nif(schedule = "DirtyIo")]
fn list() -> Vec<String> {
    slipring::list()
}

#[rustler::nif(schedule = "DirtyIo")]
fn unlink<'a>(env: Env<'a>, named: bool, text: Binary<'a>) -> Term<'a> {
    let unlinked = address(named, text).and_then(slipring::unlink);
    answer(env, unlinked.map(|()| atoms::ok().encode(env)).map_err(Fault::from))
}

/// What is in a segment, as `Slipring.info/1` gives it.
#[derive(NifMap)]
struct Info {
    path: String,
    mode: Atom,
    size: u64,
    slots: u64,
    cell: u64,
    capacity: u64,
    chunk: u64,
    finished: bool,
    head: u64,
    tail: u64,
    waiting: u64,
    free_chunks: u64,
    slab_chunks: u64,
    run_chunks: u64,
    filling: u64,
    offered: u64,
    held: u64,
    returned: u64,
    dead: u64,
    dropped: u64,
    leases: u64,
    leased: u64,
    copied: u64,
    processes: Vec<Process>,
    schemas: Vec<Schema>,
}

#[derive(NifMap)]
struct Process {
    id: u8,
    pid: u32,
    alive: bool,
    produces: bool,
    consumes: bool,
}

#[derive(NifMap)]
pub(crate) struct Schema {
    id: u32,
    kind: u16,
    name: String,
    version: u16,
    size: u64,
    created_ns: u64,
    wanted: Option<(u16, u16)>,
}

impl From<Described> for Schema {
    fn from(found: Described) -> Self {
        let Described { id, kind, name, version, size, created_ns, wanted, .. } = found;
        Self { id, kind, name, version, size, created_ns, wanted }
    }
}

impl Info {
    fn new(env: Env<'_>, found: Inspection) -> Self {
        let process = |p: &slipring::Process| Process {
            id: p.id,
            pid: p.pid,
            alive: p.alive,
            produces: p.produces,
            consumes: p.consumes,
        };
        let Tally { leases, leased, copied } = attachment::tally(&found.path);
        Self {
            path: found.path.display().to_string(),
            mode: Atom::from_str(env, found.mode.name()).unwrap_or(atoms::unknown()),
            size: found.len,
            slots: found.slots,
            cell: found.cell,
            capacity: found.capacity,
            chunk: found.chunk,
            finished: found.closed,
            head: found.head,
            tail: found.tail,
            waiting: found.waiting,
            free_chunks: found.chunks[0],
            slab_chunks: found.chunks[1],
            run_chunks: found.chunks[2],
            filling: found.frames.filling,
            offered: found.frames.offered,
            held: found.frames.held,
            returned: found.frames.returned,
            dead: found.frames.dead,
            dropped: found.dropped,
            leases,
            leased,
            copied,
            processes: found.processes.iter().map(process).collect(),
            schemas: found.schemas.into_iter().map(Schema::from).collect(),
        }
    }
}

/// `{:ok, path, why}`, as a look into the ring tells.
pub(crate) fn told<'a>(
    env: Env<'a>,
    hold: &Hold,
    why: impl FnOnce(&Inspection) -> String,
) -> Term<'a> {
    let found = hold.segment.inspect();
    (atoms::ok(), found.path.display().to_string(), why(&found)).encode(env)
}

/// Of a ring that this VM is attached to.
#[rustler::nif(schedule = "DirtyIo")]
fn info<'a>(env: Env<'a>, ring: ResourceArc<Ring>) -> Term<'a> {
    let found = ring.hold().map(|hold| Info::new(env, hold.segment.inspect()));
    answer(env, found.map(|info| (atoms::ok(), info).encode(env)))
}

/// `{:ok, schemas}`, which frames name.
#[rustler::nif(schedule = "DirtyIo")]
fn schemas<'a>(env: Env<'a>, ring: ResourceArc<Ring>) -> Term<'a> {
    let found = ring.hold().map(|hold| hold.segment.schemas().describe());
    let found = found.map(|all| all.into_iter().map(Schema::from).collect::<Vec<_>>());
    answer(env, found.map(|all| (atoms::ok(), all).encode(env)))
}

/// `{:ok, id}` of a schema that is added, or there. For the library itself and its tests.
#[rustler::nif(schedule = "DirtyIo")]
fn add_schema<'a>(
    env: Env<'a>,
    ring: ResourceArc<Ring>,
    kind: u16,
    name: &str,
    version: u16,
    data: Binary<'a>,
) -> Term<'a> {
    let added = || Ok(ring.hold()?.segment.schemas().add(kind, name, version, &data)?.id().get());
    answer(env, added().map(|id| (atoms::ok(), id).encode(env)))
}

/// `{:ok, bytes}` of the schema of an id, or `{:ok, nil}`. On a dirty scheduler: they may be mebibytes to copy.
#[rustler::nif(schedule = "DirtyCpu")]
fn schema<'a>(env: Env<'a>, ring: ResourceArc<Ring>, id: u32) -> Term<'a> {
    let found = || match SchemaId::new(id) {
        Some(id) => Ok(ring.hold()?.segment.schemas().get(id)?),
        None => Ok(None),
    };
    let bytes = |schema: slipring::Schema| {
        let mut bytes = rustler::NewBinary::new(env, schema.len());
        bytes.as_mut_slice().copy_from_slice(&schema);
        Binary::from(bytes)
    };
    answer(env, found().map(|found| (atoms::ok(), found.map(bytes)).encode(env)))
}

/// Of any ring, without joining it.
#[rustler::nif(schedule = "DirtyIo")]
fn inspect<'a>(env: Env<'a>, named: bool, text: Binary<'a>) -> Term<'a> {
    let found = address(named, text).and_then(slipring::inspect);
    let found = found.map(|found| Info::new(env, found)).map_err(Fault::from);
    answer(env, found.map(|info| (atoms::ok(), info).encode(env)))
}
