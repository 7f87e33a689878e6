//! Frames as terms: `Slipring.Frame`s where there are many and nothing is left to do, else
//! `{format, content, meta, sequence, timestamp, redeliveries, lease, stream}`, of which one is made. The last are the two low bits of a
//! number, 1 for the first frame of a stream, 2 for the last, 3 for its only one; the bits above are the producer's number.
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
use crate::value::shape::Known;
use crate::value::terms::Word;
use crate::{atoms, meta, schema, tensor};
use rustler::{Atom, Encoder, Env, NewBinary, ResourceArc, Term};
use slipring::Header;
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
    open_bytes(frame.header(), frame)
}

fn open_bytes<'b>(header: &Header, bytes: &'b [u8]) -> Result<Body<'b>, Fault> {
    if header.format_version != FORMAT_VERSION {
        return Err(Fault::other_version(header.format_version));
    }
    Ok(Body::open(header.format, header.flags, header.type_code, bytes)?)
}

/// The content, its bytes made a term by `data`. A value or a table is decoded when it is asked for: till then it is
/// the `whole` body, and what the header says of it.
pub(crate) fn content<'a, 'b>(
    env: Env<'a>,
    header: &Header,
    whole: &'b [u8],
    body: &Body<'b>,
    data: impl FnOnce(&'b [u8]) -> Term<'a>,
) -> Result<Term<'a>, Fault> {
    if matches!(body.format(), Format::Value | Format::Arrow | Format::Json) {
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
    let header = frame.header();
    if body.format() == Format::Arrow
        && let Some(under) = hold.schemas.of(frame)?
    {
        let under = schema::binary(env, &under);
        return Ok((header.flags, header.type_code, binary(env, frame), under, route).encode(env));
    }
    copied_bytes(env, header, frame, body, tally)
}

fn copied_bytes<'a>(
    env: Env<'a>,
    header: &Header,
    whole: &[u8],
    body: &Body<'_>,
    tally: &mut Tally,
) -> Result<Term<'a>, Fault> {
    let made = content(env, header, whole, body, |bytes| binary(env, bytes))?;
    count(whole.len(), body, tally);
    Ok(made)
}

fn binary<'a>(env: Env<'a>, bytes: &[u8]) -> Term<'a> {
    NewBinary::from_slice(env, bytes).into()
}

/// Counts a frame of so many bytes of which the content was made a term; a value is one only when it is decoded.
pub(crate) fn count(len: usize, body: &Body<'_>, tally: &mut Tally) {
    if !matches!(body.format(), Format::Value | Format::Arrow) {
        tally.decoded(body.format().code(), len);
    }
}

/// The metadata. What has tags is a value that Elixir reads, by `{:cbor, bytes}`: what structs are made of is
/// not at hand here.
pub(crate) fn metadata<'a>(env: Env<'a>, body: &Body<'_>) -> Result<Term<'a>, Fault> {
    match body.meta()? {
        None => Ok(atoms::nil().encode(env)),
        Some(value) => meta::term(env, &value).or_else(|_| {
            let bytes = body.meta_part().map_or(&[][..], |part| part.bytes);
            Ok((atoms::cbor(), binary(env, bytes)).encode(env))
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

/// What is told of a frame.
pub(crate) struct Told<'a> {
    format: Atom,
    content: Term<'a>,
    meta: Term<'a>,
    lease: Term<'a>,
    header: Header,
    redeliveries: u8,
    /// Nothing is left for another call, or for Elixir to read.
    whole: bool,
}

/// Frames of one call.
pub(crate) struct Frames<'a>(Box<Known<'a>>);

impl<'a> Frames<'a> {
    /// Like one that tells nothing but its `sequence`, and was made by this call's caller.
    pub(crate) fn like(env: Env<'a>, blank: Term<'a>, sequence: Term<'a>) -> Self {
        let (nil, none) = (atoms::nil().into(), 0u8.encode(env).into());
        let name = atoms::frame().into();
        let values = [name, nil, nil, nil, nil, nil, nil, none, sequence.into(), nil];
        let keys = [
            atoms::struct_(),
            atoms::format(),
            atoms::content(),
            atoms::meta(),
            atoms::lease(),
            atoms::producer(),
            atoms::stream(),
            atoms::redeliveries(),
            atoms::sequence(),
            atoms::timestamp(),
        ];
        Self(Known::of(env, blank.into(), &keys.map(Word::from), &values))
    }
}

impl<'a> Told<'a> {
    fn new(
        env: Env<'a>,
        header: Header,
        redeliveries: u8,
        outcome: Result<(Term<'a>, Term<'a>), Fault>,
        lease: Term<'a>,
        later: Option<Atom>,
    ) -> Self {
        let format = format(Format::from_code(header.format));
        let nil = atoms::nil().encode(env);
        let (content, meta) =
            outcome.unwrap_or_else(|fault| ((atoms::error(), fault).encode(env), nil));
        let whole = later.is_none() && !meta.is_tuple();
        Self { format, content, meta, lease, header, redeliveries, whole }
    }

    pub(crate) fn body_len(&self) -> u64 {
        self.header.body_len
    }

    /// As the tuple that is said above.
    pub(crate) fn tuple(&self, env: Env<'a>) -> Term<'a> {
        let header = &self.header;
        // What is told of a frame by itself, so that most have nothing to tell.
        let stream = u64::from(header.producer) << 2 | u64::from(self.stream());
        let told = [
            self.format.encode(env),
            self.content,
            self.meta,
            header.sequence.encode(env),
            header.created_ns.encode(env),
            self.redeliveries.encode(env),
            self.lease,
            stream.encode(env),
        ];
        rustler::types::tuple::make_tuple(env, &told)
    }

    /// As a `Slipring.Frame`, unless something is left to do.
    pub(crate) fn frame(&self, env: Env<'a>, frames: &mut Frames<'a>) -> Option<Term<'a>> {
        if !self.whole {
            return None;
        }
        let header = &self.header;
        let stream = match self.stream() {
            0 => atoms::nil(),
            1 => atoms::first(),
            2 => atoms::last(),
            _ => atoms::only(),
        };
        let values = [
            atoms::frame().into(),
            self.format.into(),
            self.content.into(),
            self.meta.into(),
            self.lease.into(),
            header.producer.encode(env).into(),
            stream.into(),
            self.redeliveries.encode(env).into(),
            header.sequence.encode(env).into(),
            header.created_ns.encode(env).into(),
        ];
        frames.0.map(env, &values).map(|frame| frame.term(env))
    }

    fn stream(&self) -> u16 {
        (self.header.flags & (flags::STREAM_FIRST | flags::STREAM_LAST)) >> 4
    }
}

/// The frame, leased or copied. What would be too much for one call is left for later.
pub(crate) fn tell<'a>(
    env: Env<'a>,
    Taken { frame, leased, route }: Taken,
    hold: &Hold,
    ledger: Option<&mut Ledger>,
    tally: &mut Tally,
    done: &mut Done,
) -> Told<'a> {
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
            false => {
                let content = copied(env, &frame, &body, hold, route.as_ref(), tally);
                or_told(env, &body, content)?
            }
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
    let outcome = read();
    let readable = outcome.is_ok();
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
    Told::new(env, header, redeliveries, outcome, lease, later)
}

/// Bodies up to this length are small.
const SMALL: usize = 1 << 10;

/// Whether a frame is for [`tell_small`].
pub(crate) fn is_small(header: &Header) -> bool {
    header.body_len <= SMALL as u64 && header.format != Format::Arrow.code()
}

/// A frame that is shown where it lies and was not taken before, copied.
pub(crate) fn tell_small<'a>(
    env: Env<'a>,
    header: &Header,
    whole: &[u8],
    tally: &mut Tally,
    done: &mut Done,
) -> Told<'a> {
    let mut read = || {
        let body = open_bytes(header, whole)?;
        let content = or_told(env, &body, copied_bytes(env, header, whole, &body, tally))?;
        done.copied += whole.len();
        done.decoded += body.meta_part().map_or(0, |part| part.bytes.len());
        Ok((content, metadata(env, &body)?))
    };
    Told::new(env, *header, 0, read(), atoms::nil().encode(env), None)
}

/// Whatever the content of a pickle or a table is, its metadata can be read.
fn or_told<'a>(
    env: Env<'a>,
    body: &Body<'_>,
    content: Result<Term<'a>, Fault>,
) -> Result<Term<'a>, Fault> {
    match content {
        Err(fault) if matches!(body.format(), Format::Pickle | Format::Arrow) => {
            Ok((atoms::error(), fault).encode(env))
        }
        other => other,
    }
}
