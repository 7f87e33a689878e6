//! Sending.

use crate::end::{self, End, Live};
use crate::error::{Fault, answer};
use crate::meta::Meta;
use crate::tensor::Tensor;
use crate::waiter::{self, News};
use crate::{atoms, charge, meta, ring};
use rustler::{Atom, Binary, Encoder, Env, LocalPid, ResourceArc, Term};
use slipring::{Error, Header, Inspection, Producer, Wait};
use slipring_codec::format::{ndarray, raw};
use slipring_codec::{FORMAT_VERSION, Plan};

type Sender = ResourceArc<End<Producer>>;

/// The most bytes that one call copies on a normal scheduler, and the most of metadata that it writes.
const COPY_MOST: usize = 4 << 20;
const ENCODE_MOST: usize = 128 << 10;
/// The most fresh memory that one call has the system clear on a normal scheduler, and what that
/// takes, as bytes copied.
const BACK_MOST: u64 = 1 << 20;
const BACK_COSTS: u64 = 2;
/// The most frames that one call sends, or looks at.
const BATCH: usize = 256;

/// What is sent: `binary`, or a tensor as a tuple.
enum Payload<'a> {
    Bytes(Binary<'a>),
    Tensor(Tensor<'a>),
}

impl<'a> Payload<'a> {
    fn parse(term: Term<'a>) -> Result<Self, Fault> {
        match Binary::from_term(term) {
            Ok(bytes) => Ok(Self::Bytes(bytes)),
            Err(_) => Tensor::parse(term).map(Self::Tensor),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Tensor(tensor) => tensor.data.len(),
        }
    }

    /// `:ok`, `:full`, or `:large` where a normal scheduler would have to clear fresh memory.
    fn send(&self, tx: &mut Producer, meta: Option<&[u8]>, drop: bool) -> Result<Atom, Fault> {
        let wait = if drop { Wait::drop_oldest() } else { Wait::no() };
        let sent = match self {
            Self::Bytes(bytes) if meta.is_none() => tx.send(Header::raw(), bytes.as_slice(), &wait),
            Self::Bytes(bytes) => place(tx, &raw::plan(bytes.len(), meta)?, bytes, &wait),
            Self::Tensor(tensor) => {
                place(tx, &ndarray::plan(&tensor.descriptor, meta)?, &tensor.data, &wait)
            }
        };
        match sent {
            Ok(()) => Ok(atoms::ok()),
            Err(Error::Full) => Ok(atoms::full()),
            Err(Error::Unbacked) => Ok(atoms::large()),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether a ring that carries bodies up to `limit` bytes can carry it.
    fn check(&self, limit: u64) -> Result<(), Fault> {
        let len = match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Tensor(tensor) => ndarray::plan(&tensor.descriptor, None)?.body_len(),
        } as u64;
        if len > limit { Err(Error::TooLarge { len, limit }.into()) } else { Ok(()) }
    }
}

/// Writes a planned body in the segment and sends it.
fn place(tx: &mut Producer, plan: &Plan<'_>, data: &[u8], wait: &Wait<'_>) -> Result<(), Error> {
    let header = Header {
        format: plan.format().code(),
        format_version: FORMAT_VERSION,
        flags: plan.flags(),
        type_code: plan.type_code(),
        ..Header::default()
    };
    let fill = |body: &mut [u8]| match plan.write(body) {
        Ok(place) => place.copy_from_slice(data),
        Err(_) => unreachable!("the body has the planned length"),
    };
    tx.send_with(header, plan.body_len(), fill, wait)
}

/// `:ok`, `:full`, `:busy`, `{:error, fault}`, or `:large`: it is for `send_large`. With `drop`, what
/// waits longest makes room.
#[rustler::nif]
fn send<'a>(
    env: Env<'a>,
    tx: Sender,
    payload: Term<'a>,
    metadata: Term<'a>,
    drop: bool,
) -> Term<'a> {
    let large = || atoms::large().encode(env);
    let (payload, metadata) = match read(payload, metadata, ENCODE_MOST) {
        Ok((_, Meta::Long)) => {
            charge(env, 0, ENCODE_MOST * meta::COSTS);
            return large();
        }
        Ok((payload, _)) if payload.len() > COPY_MOST => return large(),
        Ok(read) => read,
        Err(fault) => return answer(env, Err(fault)),
    };
    charge(env, 0, payload.len() + metadata.cost());
    tx.answer(env, |Live { handle, .. }| {
        handle.may_back(BACK_MOST);
        let sent = payload.send(handle, metadata.bytes(), drop);
        charge_backed(env, handle);
        Ok(sent?.encode(env))
    })
}

/// The same where it may take its time.
#[rustler::nif(schedule = "DirtyCpu")]
fn send_large<'a>(
    env: Env<'a>,
    tx: Sender,
    payload: Term<'a>,
    metadata: Term<'a>,
    drop: bool,
) -> Term<'a> {
    let (payload, metadata) = match read(payload, metadata, usize::MAX) {
        Ok(read) => read,
        Err(fault) => return answer(env, Err(fault)),
    };
    tx.answer(env, |Live { handle, .. }| {
        handle.may_back(u64::MAX);
        Ok(payload.send(handle, metadata.bytes(), drop)?.encode(env))
    })
}

fn read<'a>(
    payload: Term<'a>,
    metadata: Term<'a>,
    most: usize,
) -> Result<(Payload<'a>, Meta), Fault> {
    Ok((Payload::parse(payload)?, meta::encode(metadata, most)?))
}

/// Sends from the front of a list: `{sent, rest, why}`, where `why` it stopped is `:ok` (enough for
/// one call), `:full`, `:busy`, `:large` (the next one is for `send_large`) or `{:error, fault}`.
#[rustler::nif]
fn send_many<'a>(env: Env<'a>, tx: Sender, list: Term<'a>, drop: bool) -> Term<'a> {
    let (mut sent, mut bytes, mut rest) = (0usize, 0usize, list);
    let why = tx.answer(env, |Live { handle, .. }| {
        handle.may_back(BACK_MOST);
        let mut send = || {
            while sent < BATCH && bytes < COPY_MOST {
                let Ok((front, behind)) = rest.list_get_cell() else { break };
                let payload = Payload::parse(front)?;
                if payload.len() > COPY_MOST {
                    return Ok(atoms::large());
                }
                let outcome = payload.send(handle, None, drop)?;
                if outcome != atoms::ok() {
                    return Ok(outcome);
                }
                (sent, bytes, rest) = (sent + 1, bytes + payload.len(), behind);
            }
            Ok(atoms::ok())
        };
        let outcome: Result<_, Fault> = send();
        charge_backed(env, handle);
        outcome.map(|outcome| outcome.encode(env))
    });
    charge(env, sent, bytes);
    (sent, rest, why).encode(env)
}

fn charge_backed(env: Env<'_>, handle: &mut Producer) {
    let backed = BACK_MOST.saturating_sub(handle.may_back(0));
    charge(env, 0, (backed * BACK_COSTS) as usize);
}

/// Looks at the front of a list, for a ring that carries bodies up to `limit` bytes: `{seen, rest,
/// why}`, where `why` is `:ok` (enough for one call) or `{:error, fault}`, what the next one is.
#[rustler::nif]
fn check_many<'a>(env: Env<'a>, list: Term<'a>, limit: u64) -> Term<'a> {
    let (mut seen, mut rest) = (0usize, list);
    let mut check = || {
        while seen < BATCH {
            let Ok((front, behind)) = rest.list_get_cell() else { break };
            Payload::parse(front)?.check(limit)?;
            (seen, rest) = (seen + 1, behind);
        }
        Ok(atoms::ok().encode(env))
    };
    let why = answer(env, check());
    charge(env, seen, 0);
    (seen, rest, why).encode(env)
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
    tx.answer(env, |live| Ok((atoms::ok(), live.handle.trim()).encode(env)))
}

#[rustler::nif]
fn close_producer<'a>(env: Env<'a>, tx: Sender, tag: Term<'a>) -> Term<'a> {
    ring::left(tx.close_and_tell(env.pid(), tag)).encode(env)
}

#[rustler::nif]
fn hand_over_producer<'a>(env: Env<'a>, tx: Sender, pid: LocalPid) -> Term<'a> {
    answer(env, end::hand_over(env, &tx, pid).map(|()| atoms::ok().encode(env)))
}
