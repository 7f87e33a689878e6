//! Frames as terms: `{format, content, meta, sequence, timestamp, redeliveries, lease, stream}`, of which
//! `Slipring.Frame` is made; the last is 1 for the first frame of a stream, 2 for the last, 3 for its only one.
//!
//! The content is a binary, a tensor as a tuple of five, a value, a table or JSON as `{flags, type_code, body}`, a table whose
//! schema stands in the ring as `{flags, type_code, body, schema, route}`, where the last is `nil` unless a version of it is expected, `{:error, fault}`
//! where it can't be decoded, or `nil` where a lease has it. The lease is `nil`, a resource, or what is left for a dirty scheduler:
//! `{:copy, resource}` (content and metadata, `copy_out`) or `{:meta, resource}` (metadata,
//! `read_meta`). A frame that is to be acknowledged has a lease in any case.

use crate::attachment::Hold;
use crate::counts::Tally;
use crate::error::Fault;
use crate::expect::Route;
use crate::lease::{Lease, Ledger};
use crate::{atoms, meta, schema, tensor};
use rustler::{Atom, Encoder, Env, NewBinary, ResourceArc, Term};
use slipring_codec::frame::flags;
use slipring_codec::{Body, Content, FORMAT_VERSION, Format};

/// The most that one call copies on a normal scheduler, and the most of metadata that it decodes, in
/// bytes. A list of small integers takes about 100 ns a byte to decode, so these are under 1 ms both.
const COPY_MOST: usize = 4 << 20;
const DECODE_MOST: usize = 8 << 10;
/// A byte of metadata takes about as long to decode as so many to copy.
const DECODE_COSTS: usize = 256;

/// What a call on a normal scheduler has done.
#[derive(Default)]
pub(crate) struct Done {
    copied: usize,
    decoded: usize,
}

impl Done {
    /// Whether the rest is for another call.
    pub(crate) fn enough(&self) -> bool {
        self.copied >= COPY_MOST || self.decoded >= DECODE_MOST
    }

    /// As bytes copied.
    pub(crate) fn cost(&self) -> usize {
        self.copied + self.decoded * DECODE_COSTS
    }
}

/// What Elixir calls a format; `None` is one that this version does not know.
pub(crate) fn format(format: Option<Format>) -> Atom {
    match format {
        Some(Format::Raw) => atoms::raw(),
        Some(Format::Ndarray) => atoms::ndarray(),
        Some(Format::Value) => atoms::value(),
        Some(Format::Arrow) => atoms::arrow(),
        Some(Format::Pickle) => atoms::pickle(),
        Some(Format::Json) => atoms::json(),
        _ => atoms::unknown(),
    }
}

/// The frame's body, its parts checked.
pub(crate) fn open(frame: &slipring::Frame) -> Result<Body<'_>, Fault> {
    let header = frame.header();
    if header.format_version != FORMAT_VERSION {
        return Err(Fault::other_version(header.format_version));
    }
    Ok(Body::open(header.format, header.flags, header.type_code, frame)?)
}

/// The content, its bytes made a term by `data`. A value or a table is decoded when it is asked for: till then it is
/// the `whole` body, and what the header says of it.
pub(crate) fn content<'a, 'b>(
    env: Env<'a>,
    whole: &'b slipring::Frame,
    body: &Body<'b>,
    data: impl FnOnce(&'b [u8]) -> Term<'a>,
) -> Result<Term<'a>, Fault> {
    if matches!(body.format(), Format::Value | Format::Arrow | Format::Json) {
        let header = whole.header();
        return Ok((header.flags, header.type_code, data(whole)).encode(env));
    }
    if body.format() == Format::Pickle {
        return Err(Fault::pickle());
    }
    match body.content()? {
        Content::Raw(part) => Ok(data(part.bytes)),
        Content::Ndarray(view) => tensor::term(env, &view.descriptor, data(view.data.bytes)),
        other => Err(Fault::unreadable(format!("content of another kind: {other:?}"), "$.format")),
    }
}

/// The content with its bytes copied. Beside a table's is its schema, if that stands in the ring.
pub(crate) fn copied<'a>(
    env: Env<'a>,
    frame: &slipring::Frame,
    body: &Body<'_>,
    hold: &Hold,
    route: Option<&ResourceArc<Route>>,
    tally: &mut Tally,
) -> Result<Term<'a>, Fault> {
    let data = |bytes: &[u8]| Term::from(NewBinary::from_slice(env, bytes));
    if body.format() == Format::Arrow
        && let Some(under) = hold.schemas.of(frame)?
    {
        let header = frame.header();
        let under = schema::binary(env, &under);
        return Ok((header.flags, header.type_code, data(frame), under, route).encode(env));
    }
    let made = content(env, frame, body, data)?;
    count(frame, body, tally);
    Ok(made)
}

/// Counts a frame of which the content was made a term; a value is one only when it is decoded.
pub(crate) fn count(frame: &slipring::Frame, body: &Body<'_>, tally: &mut Tally) {
    if !matches!(body.format(), Format::Value | Format::Arrow) {
        tally.decoded(body.format().code(), frame.len());
    }
}

/// The metadata. What has tags is a value that Elixir reads, by `{:cbor, bytes}`: what structs are made of is
/// not at hand here.
pub(crate) fn metadata<'a>(env: Env<'a>, body: &Body<'_>) -> Result<Term<'a>, Fault> {
    match body.meta()? {
        None => Ok(atoms::nil().encode(env)),
        Some(value) => meta::term(env, &value).or_else(|_| {
            let bytes = body.meta_part().map_or(&[][..], |part| part.bytes);
            Ok((atoms::cbor(), Term::from(NewBinary::from_slice(env, bytes))).encode(env))
        }),
    }
}

/// A frame that was taken.
pub(crate) struct Taken {
    pub(crate) frame: slipring::Frame,
    pub(crate) leased: bool,
    /// If its table is read as an expected one.
    pub(crate) route: Option<ResourceArc<Route>>,
}

/// The frame as a term, leased or copied. What would be too much for one call is left for later.
pub(crate) fn term<'a>(
    env: Env<'a>,
    Taken { frame, leased, route }: Taken,
    hold: &Hold,
    ledger: Option<&mut Ledger>,
    tally: &mut Tally,
    done: &mut Done,
) -> Term<'a> {
    let redeliveries = frame.redeliveries();
    let header = *frame.header();
    let nil = atoms::nil().encode(env);
    let mut later = None;
    let mut read = || {
        let body = open(&frame)?;
        let meta_len = body.meta_part().map_or(0, |part| part.bytes.len());
        let long = meta_len > DECODE_MOST;
        if !leased && (long || frame.len() > COPY_MOST) {
            later = Some(atoms::copy());
            return Ok((nil, nil));
        }
        let content = match leased {
            true => nil,
            // Whatever it is, its metadata can be read.
            false => match copied(env, &frame, &body, hold, route.as_ref(), tally) {
                Err(fault) if matches!(body.format(), Format::Pickle | Format::Arrow) => {
                    (atoms::error(), fault).encode(env)
                }
                other => other?,
            },
        };
        if !leased {
            done.copied += frame.len();
        }
        if long {
            later = Some(atoms::meta());
            return Ok((content, nil));
        }
        done.decoded += meta_len;
        Ok((content, metadata(env, &body)?))
    };
    let outcome: Result<_, Fault> = read();
    let readable = outcome.is_ok();
    let (content, meta) =
        outcome.unwrap_or_else(|fault| ((atoms::error(), fault).encode(env), nil));
    let copied_out = !leased;
    let lease = if ledger.is_some() || readable && (leased || later.is_some()) {
        let leased = readable && leased;
        let taken = Taken { frame, leased, route };
        let lease = Lease::new(taken, hold.clone(), copied_out, ledger);
        let lease = ResourceArc::new(lease);
        later.map_or_else(|| lease.encode(env), |later| (later, &lease).encode(env))
    } else {
        nil
    };
    let format = format(Format::from_code(header.format));
    // What is told of a frame by itself, so that most have nothing to tell.
    let stream = (header.flags & (flags::STREAM_FIRST | flags::STREAM_LAST)) >> 4;
    let stream = u64::from(header.producer) << 2 | u64::from(stream);
    let told = [
        format.encode(env),
        content,
        meta,
        header.sequence.encode(env),
        header.created_ns.encode(env),
        redeliveries.encode(env),
        lease,
        stream.encode(env),
    ];
    rustler::types::tuple::make_tuple(env, &told)
}
