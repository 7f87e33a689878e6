//! Sending.

use crate::end::{self, End, Live};
use crate::error::{Fault, answer};
use crate::tensor::Tensor;
use crate::{atoms, charge, meta, ring};
use rustler::{Binary, Encoder, Env, LocalPid, ResourceArc, Term};
use slipring::{Error, Header, Producer, Wait};
use slipring_codec::format::{ndarray, raw};
use slipring_codec::{FORMAT_VERSION, Plan};

type Sender = ResourceArc<End<Producer>>;

/// The most bytes that one call copies on a normal scheduler.
const COPY_MOST: usize = 4 << 20;
/// The most frames that one call sends.
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

    fn send(&self, tx: &mut Producer, meta: Option<&[u8]>) -> Result<bool, Fault> {
        let sent = match self {
            Self::Bytes(bytes) if meta.is_none() => {
                tx.send(Header::raw(), bytes.as_slice(), &Wait::no())
            }
            Self::Bytes(bytes) => place(tx, &raw::plan(bytes.len(), meta)?, bytes),
            Self::Tensor(tensor) => {
                place(tx, &ndarray::plan(&tensor.descriptor, meta)?, &tensor.data)
            }
        };
        match sent {
            Ok(()) => Ok(true),
            Err(Error::Full) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// Writes a planned body in the segment and sends it.
fn place(tx: &mut Producer, plan: &Plan<'_>, data: &[u8]) -> Result<(), Error> {
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
    tx.send_with(header, plan.body_len(), fill, &Wait::no())
}

fn send_one<'a>(env: Env<'a>, tx: &Sender, payload: Term<'a>, metadata: Term<'a>) -> Term<'a> {
    let parsed = || Ok((Payload::parse(payload)?, meta::encode(metadata)?));
    let (payload, metadata) = match parsed() {
        Ok(parsed) => parsed,
        Err(fault) => return answer(env, Err(fault)),
    };
    tx.answer(env, |live| {
        let sent = payload.send(&mut live.handle, metadata.as_deref())?;
        charge(env, 0, payload.len());
        Ok(if sent { atoms::ok() } else { atoms::full() }.encode(env))
    })
}

/// `:ok`, `:full`, `:busy` or `{:error, fault}`.
#[rustler::nif]
fn send<'a>(env: Env<'a>, tx: Sender, payload: Term<'a>, metadata: Term<'a>) -> Term<'a> {
    send_one(env, &tx, payload, metadata)
}

/// The same for more bytes than a normal scheduler should copy.
#[rustler::nif(schedule = "DirtyCpu")]
fn send_large<'a>(env: Env<'a>, tx: Sender, payload: Term<'a>, metadata: Term<'a>) -> Term<'a> {
    send_one(env, &tx, payload, metadata)
}

/// Sends from the front of a list: `{sent, rest, why}`, where `why` it stopped is `:ok` (enough for
/// one call), `:full`, `:busy`, `:large` (the next one is for `send_large`) or `{:error, fault}`.
#[rustler::nif]
fn send_many<'a>(env: Env<'a>, tx: Sender, list: Term<'a>) -> Term<'a> {
    let (mut sent, mut bytes, mut rest) = (0usize, 0usize, list);
    let why = tx.answer(env, |Live { handle, .. }| {
        while sent < BATCH && bytes < COPY_MOST {
            let Ok((front, behind)) = rest.list_get_cell() else { break };
            let payload = Payload::parse(front)?;
            if payload.len() > COPY_MOST {
                return Ok(atoms::large().encode(env));
            }
            if !payload.send(handle, None)? {
                return Ok(atoms::full().encode(env));
            }
            (sent, bytes, rest) = (sent + 1, bytes + payload.len(), behind);
        }
        Ok(atoms::ok().encode(env))
    });
    charge(env, sent, bytes);
    (sent, rest, why).encode(env)
}

#[rustler::nif]
fn close_producer<'a>(env: Env<'a>, tx: Sender, tag: Term<'a>) -> Term<'a> {
    ring::left(tx.close_and_tell(env.pid(), tag)).encode(env)
}

#[rustler::nif]
fn hand_over_producer<'a>(env: Env<'a>, tx: Sender, pid: LocalPid) -> Term<'a> {
    answer(env, end::hand_over(env, &tx, pid).map(|()| atoms::ok().encode(env)))
}
