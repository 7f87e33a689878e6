//! Sending.
//!
//! A binary goes as it is, a tensor as an array, a table as one, every other term as a value ([`payload`]). A value is written
//! straight into the segment ([`value`]).

mod payload;
mod value;

use crate::attachment::Hold;
use crate::counts::Tally;
use crate::end::{self, End, Live};
use crate::error::{Fault, answer};
use crate::meta::Meta;
use crate::value::encode::Rules;
use crate::value::{ENCODE_MOST, UNIT_COSTS};
use crate::waiter::{self, News};
use crate::{atoms, charge, meta, ring, select};
pub(crate) use payload::needs;
use payload::{How, Payload, Sent};
use rustler::{Encoder, Env, LocalPid, Resource, ResourceArc, Term};
use slipring::{Error, Grant, Header, Inspection, Producer, Rejected};
use slipring_frames::Announced;
use std::sync::Mutex;
use value::Room;

type Sender = ResourceArc<End<Writer>>;

/// The most bytes that one call copies on a normal scheduler, and the most of metadata that it writes.
const COPY_MOST: usize = 4 << 20;
const META_MOST: usize = 128 << 10;
/// The most fresh memory that one call has the system clear on a normal scheduler, and what that
/// takes, as bytes copied.
const BACK_MOST: u64 = 1 << 20;
const BACK_COSTS: u64 = 2;
/// A table's bytes are looked at, checked and copied, and an entry of records is put into a column and copied: what that takes,
/// as bytes copied.
const TABLE_COSTS: usize = 4;
const ENTRY_COSTS: usize = 128;
/// The most entries of records that one call puts into columns on a normal scheduler.
const RECORDS_MOST: usize = 16 << 10;
/// The most frames that one call sends, or looks at.
const BATCH: usize = 256;

/// A producer, what its values took of late, and what it has sent.
pub(crate) struct Writer {
    producer: Producer,
    room: Room,
    tally: Tally,
    /// Frames that it was given, of which some are timed.
    given: u64,
    /// The schema that the last table was sent under, if any was.
    pub(crate) under: Option<Announced>,
}

impl Writer {
    pub(crate) fn new(producer: Producer) -> Self {
        let limit = usize::try_from(producer.segment().max_body()).unwrap_or(usize::MAX);
        select::exchange(&producer.segment());
        Self { producer, room: Room::new(limit), tally: Tally::new(), given: 0, under: None }
    }
}

/// A value that is written and waits for a slot.
pub(crate) struct Pending {
    // Dropped in this order.
    grant: Mutex<Option<(Grant, Header)>>,
    _hold: Hold,
}

impl Resource for Pending {}

pub(crate) fn register(env: Env<'_>) -> bool {
    env.register::<Pending>().is_ok()
}

/// The entries of records that work left for a call is enough for.
fn entries(most: usize) -> usize {
    if most > ENCODE_MOST { usize::MAX } else { most / (ENCODE_MOST / RECORDS_MOST) }
}

/// `:ok`, `:told` where the log is to say so, `:full`, `{:full, pending}` for `commit`, `:busy`, `{:need, met}`, `{:error, fault}`, or `:large`: it is
/// for `send_large`.
#[rustler::nif]
fn send<'a>(
    env: Env<'a>,
    tx: Sender,
    payload: Term<'a>,
    metadata: Term<'a>,
    how: u32,
    registry: Term<'a>,
    prepared: Term<'a>,
) -> Term<'a> {
    let large = || atoms::large().encode(env);
    let how = How(how);
    let rules = rules(how, registry, prepared);
    let (payload, metadata) = match read(env, payload, metadata, how, rules, META_MOST) {
        Ok((_, Meta::Long)) => {
            charge(env, 0, META_MOST * meta::COSTS);
            return large();
        }
        Ok((payload, _)) if payload.len() > COPY_MOST => return large(),
        Ok(read) => read,
        Err(fault) => return answer(env, Err(fault)),
    };
    charge(env, 0, payload.len() + metadata.cost());
    tx.answer(env, |Live { handle, hold }| {
        handle.producer.may_back(BACK_MOST);
        let mut most = ENCODE_MOST;
        let sent = payload.send(env, handle, metadata.bytes(), how, &mut most);
        charge(env, 0, (ENCODE_MOST - most) * UNIT_COSTS);
        charge_backed(env, handle);
        Ok(sent?.term(env, hold))
    })
}

/// The same where it may take its time.
#[rustler::nif(schedule = "DirtyCpu")]
fn send_large<'a>(
    env: Env<'a>,
    tx: Sender,
    payload: Term<'a>,
    metadata: Term<'a>,
    how: u32,
    registry: Term<'a>,
    prepared: Term<'a>,
) -> Term<'a> {
    let how = How(how);
    let rules = rules(how, registry, prepared);
    let (payload, metadata) = match read(env, payload, metadata, how, rules, usize::MAX) {
        Ok(read) => read,
        Err(fault) => return answer(env, Err(fault)),
    };
    tx.answer(env, |Live { handle, hold }| {
        handle.producer.may_back(u64::MAX);
        let mut most = usize::MAX;
        Ok(payload.send(env, handle, metadata.bytes(), how, &mut most)?.term(env, hold))
    })
}

fn rules<'a>(how: How, registry: Term<'a>, prepared: Term<'a>) -> Rules<'a> {
    Rules { bytes: how.bytes(), registry: registry.into(), prepared: prepared.into() }
}

fn read<'a>(
    env: Env<'a>,
    payload: Term<'a>,
    metadata: Term<'a>,
    how: How,
    rules: Rules<'a>,
    most: usize,
) -> Result<(Payload<'a>, Meta), Fault> {
    let entries = if most == usize::MAX { usize::MAX } else { RECORDS_MOST };
    Ok((Payload::parse(env, payload, how, rules, entries)?, meta::encode(metadata, most)?))
}

/// Sends what `send` has written: `:ok`, `:told`, `:full`, `:busy` or `{:error, fault}`.
#[rustler::nif]
fn commit<'a>(env: Env<'a>, tx: Sender, pending: ResourceArc<Pending>, how: u32) -> Term<'a> {
    tx.answer(env, |Live { handle, .. }| {
        let mut place = pending.grant.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let Some((grant, header)) = place.take() else { return Ok(select::sent().encode(env)) };
        let len = grant.len();
        let sent = handle.producer.commit(grant, header, &How(how).wait());
        match handle.tally.sent(header.format, len, sent) {
            Ok(()) => Ok(select::sent().encode(env)),
            Err(Rejected { grant: Some(grant), error: Error::Full, .. }) => {
                *place = Some((grant, header));
                Ok(atoms::full().encode(env))
            }
            Err(rejected) => Err(rejected.error.into()),
        }
    })
}

/// Sends from the front of a list: `{sent, rest, why}`, where `why` it stopped is `:ok` or `:told` (enough for
/// one call) or what `send` answers of the next one.
#[rustler::nif]
fn send_many<'a>(
    env: Env<'a>,
    tx: Sender,
    list: Term<'a>,
    how: u32,
    registry: Term<'a>,
) -> Term<'a> {
    let how = How(how);
    let rules = rules(how, registry, Term::list_new_empty(env));
    let (mut sent, mut bytes, mut rest, mut most) = (0usize, 0usize, list, ENCODE_MOST);
    let why = tx.answer(env, |Live { handle, hold }| {
        handle.producer.may_back(BACK_MOST);
        let mut send = || {
            while sent < BATCH && bytes < COPY_MOST {
                let Ok((front, behind)) = rest.list_get_cell() else { break };
                let payload = Payload::parse(env, front, how, rules, entries(most))?;
                if payload.len() > COPY_MOST {
                    return Ok(Sent::Done(atoms::large()));
                }
                let left = most;
                match payload.send(env, handle, None, how, &mut most)? {
                    Sent::Done(done) if done == atoms::ok() => {}
                    // What was done before leaves it less than a call of its own would have.
                    Sent::Done(done) if done == atoms::large() && left < ENCODE_MOST => break,
                    stopped => return Ok(stopped),
                }
                (sent, bytes, rest) = (sent + 1, bytes + payload.len(), behind);
            }
            Ok(Sent::Done(atoms::ok()))
        };
        let outcome: Result<_, Fault> = send();
        charge_backed(env, handle);
        outcome.map(|outcome| outcome.term(env, hold))
    });
    charge(env, sent, bytes + (ENCODE_MOST - most) * UNIT_COSTS);
    (sent, rest, why).encode(env)
}

fn charge_backed(env: Env<'_>, handle: &mut Writer) {
    let backed = BACK_MOST.saturating_sub(handle.producer.may_back(0));
    charge(env, 0, (backed * BACK_COSTS) as usize);
}

/// Looks at the front of a list, for a ring that carries bodies up to `limit` bytes: `{seen, rest,
/// why}`, where `why` is `:ok` (enough for one call), or what the next one is: `{:need, met}`, `{:error, fault}`,
/// or `:large`, for `check_large`.
#[rustler::nif]
fn check_many<'a>(
    env: Env<'a>,
    list: Term<'a>,
    limit: u64,
    how: u32,
    registry: Term<'a>,
) -> Term<'a> {
    let mut most = ENCODE_MOST;
    let (seen, rest, why) = check(env, list, limit, (How(how), registry), BATCH, &mut most);
    charge(env, seen, (ENCODE_MOST - most) * UNIT_COSTS);
    (seen, rest, why).encode(env)
}

/// The same of one that takes its time.
#[rustler::nif(schedule = "DirtyCpu")]
fn check_large<'a>(
    env: Env<'a>,
    list: Term<'a>,
    limit: u64,
    how: u32,
    registry: Term<'a>,
) -> Term<'a> {
    let mut most = usize::MAX;
    check(env, list, limit, (How(how), registry), 1, &mut most).encode(env)
}

fn check<'a>(
    env: Env<'a>,
    list: Term<'a>,
    limit: u64,
    (how, registry): (How, Term<'a>),
    batch: usize,
    most: &mut usize,
) -> (usize, Term<'a>, Term<'a>) {
    let rules = rules(how, registry, Term::list_new_empty(env));
    let (mut seen, mut rest, all) = (0usize, list, *most);
    let mut check = || {
        while seen < batch {
            let Ok((front, behind)) = rest.list_get_cell() else { break };
            let left = *most;
            match Payload::parse(env, front, how, rules, entries(*most))?.check(env, limit, most)? {
                Sent::Done(done) if done == atoms::ok() => {}
                Sent::Done(done) if done == atoms::large() && left < all => break,
                Sent::Needs(met) => return Ok(needs(env, &met)),
                _ => return Ok(atoms::large().encode(env)),
            }
            (seen, rest) = (seen + 1, behind);
        }
        Ok(atoms::ok().encode(env))
    };
    let why = answer(env, check());
    (seen, rest, why)
}

/// Has the caller told `{tag, :ready}` when space is freed from now on; an id, `:busy` or an error.
#[rustler::nif]
fn watch_room<'a>(env: Env<'a>, tx: Sender, tag: Term<'a>) -> Term<'a> {
    tx.answer(env, |live| {
        let (hold, tag) = (live.hold.clone(), waiter::Tag::new(tag));
        Ok(waiter::watch(tx.id, News::Room, hold, env.pid(), tag).encode(env))
    })
}

/// `{:ok, path, why}`: which ring is full, why, and who is to make room; or `{:error, fault}`.
#[rustler::nif(schedule = "DirtyCpu")]
fn why_full<'a>(env: Env<'a>, tx: Sender) -> Term<'a> {
    answer(env, tx.hold().map(|hold| ring::told(env, &hold, Inspection::why_full)))
}

/// `{:ok, bytes}` of idle memory given back to the system.
#[rustler::nif(schedule = "DirtyIo")]
fn trim<'a>(env: Env<'a>, tx: Sender) -> Term<'a> {
    tx.answer(env, |live| Ok((atoms::ok(), live.handle.producer.trim()).encode(env)))
}

/// `{:ok, count}`: frames that this producer has dropped to make room; or `{:error, fault}`. Waits for a call that uses it.
#[rustler::nif(schedule = "DirtyIo")]
fn dropped(env: Env<'_>, tx: Sender) -> Term<'_> {
    let dropped = tx.waiting(|live| live.handle.producer.dropped()).ok_or_else(Fault::detached);
    answer(env, dropped.map(|count| (atoms::ok(), count).encode(env)))
}

#[rustler::nif]
fn close_producer<'a>(env: Env<'a>, tx: Sender, tag: Term<'a>) -> Term<'a> {
    ring::left(tx.close_and_tell(env.pid(), tag)).encode(env)
}

#[rustler::nif]
fn hand_over_producer<'a>(env: Env<'a>, tx: Sender, pid: LocalPid) -> Term<'a> {
    answer(env, end::hand_over(env, &tx, pid).map(|()| atoms::ok().encode(env)))
}
