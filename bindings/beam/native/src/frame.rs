//! Frames as terms: `{format, content, meta, sequence, timestamp, lease}`, of which
//! `Slipring.Frame` is made.
//!
//! The content is a binary, a tensor as a tuple, `{:error, fault}` where it can't be decoded, or
//! `nil` where a lease has it. The lease is `nil`, a resource, or `{:copy, resource}` where the
//! copying is left to `copy_out`.

use crate::attachment::Hold;
use crate::error::Fault;
use crate::lease::Lease;
use crate::{atoms, meta, tensor};
use rustler::{Atom, Encoder, Env, NewBinary, ResourceArc, Term};
use slipring_codec::{Body, Content, FORMAT_VERSION, Format};

/// What becomes of a frame's body.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Delivery {
    Copy,
    CopyLater,
    Lease,
}

fn format(code: u8) -> Atom {
    match Format::from_code(code) {
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
    if header.format == Format::Pickle.code() {
        return Err(Fault::pickle());
    }
    Ok(Body::open(header.format, header.flags, header.type_code, frame)?)
}

/// The content, its bytes made a term by `data`.
pub(crate) fn content<'a, 'b>(
    env: Env<'a>,
    body: &Body<'b>,
    data: impl FnOnce(&'b [u8]) -> Term<'a>,
) -> Result<Term<'a>, Fault> {
    match body.content()? {
        Content::Raw(part) => Ok(data(part.bytes)),
        Content::Ndarray(view) => tensor::term(env, &view.descriptor, data(view.data.bytes)),
        other => Err(Fault::unreadable(format!("content of another kind: {other:?}"), "$.format")),
    }
}

/// The content with its bytes copied.
pub(crate) fn copied<'a>(env: Env<'a>, body: &Body<'_>) -> Result<Term<'a>, Fault> {
    content(env, body, |bytes| NewBinary::from_slice(env, bytes).into())
}

/// The frame as a term.
pub(crate) fn term<'a>(
    env: Env<'a>,
    frame: slipring::Frame,
    delivery: Delivery,
    hold: &Hold,
) -> Term<'a> {
    let header = *frame.header();
    let nil = atoms::nil().encode(env);
    let read = || {
        let body = open(&frame)?;
        let meta = match body.meta()? {
            None => nil,
            Some(value) => meta::term(env, &value)?,
        };
        let content = if delivery == Delivery::Copy { copied(env, &body)? } else { nil };
        Ok((content, meta))
    };
    let outcome: Result<_, Fault> = read();
    let readable = outcome.is_ok();
    let (content, meta) =
        outcome.unwrap_or_else(|fault| ((atoms::error(), fault).encode(env), nil));
    let lease = || ResourceArc::new(Lease::new(frame, hold.clone()));
    let lease = match delivery {
        Delivery::Lease if readable => lease().encode(env),
        Delivery::CopyLater if readable => (atoms::copy(), lease()).encode(env),
        _ => nil,
    };
    let format = format(header.format);
    (format, content, meta, header.sequence, header.created_ns, lease).encode(env)
}
