//! Values on their way: how much of the segment one takes is known only when it is written.
//!
//! 1. Room is reserved by what earlier values of the same producer took. What does not fit is counted to
//!    its end, and written again where there is just so much room.
//! 2. A value that left most of its room unused is moved to a piece of its own size: a frame holds its
//!    whole piece of the pool until it is read.
//! 3. While values are small they are written on the stack first. Their place in the segment is a cell,
//!    which is taken at the moment of sending and by its length.
//! 4. A written value for which the ring has no slot yet is kept ([`Pending`](super::Pending)) and not written again.

use super::payload::Sent;
use super::{COPY_MOST, Writer};
use crate::error::Fault;
use crate::json::encode::NotFinite;
use crate::value::ENCODE_MOST;
use crate::value::encode::{self, Piece, Rules, Stop, Tables};
use crate::value::terms::{Place, Word};
use crate::{atoms, json};
use rustler::Env;
use slipring::{Error, Header, Rejected, Wait};
use slipring_codec::Format;
use slipring_codec::frame::Layout;
use slipring_codec::json::Writer as Json;
use slipring_frames::header;
use std::cell::Cell;

/// Values up to so many bytes are written on the stack.
const SMALL: usize = 256;
/// Room that a value may leave unused without being moved, beside as much as it takes itself.
const WASTE: usize = 4096;

/// What the next value may take, by those before it.
pub(super) struct Room {
    /// The longest body.
    limit: usize,
    bytes: usize,
    buffers: usize,
    /// What the last one took.
    pub(super) took: usize,
    /// The last one was for a dirty scheduler.
    large: bool,
}

impl Room {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, bytes: 0, buffers: 0, took: 0, large: false }
    }

    fn learn(&mut self, layout: &Layout) {
        let (took, guess) = (layout.body_len(), &mut self.bytes);
        *guess = match took > *guess {
            true => took.saturating_add(took / 8).min(self.limit),
            false => *guess - (*guess - took) / 4,
        };
        self.buffers = layout.buffers().len();
        self.took = took;
    }
}

/// A value to be sent, or what is to be sent as JSON.
pub(super) struct Value<'a, 'm> {
    pub(super) env: Env<'a>,
    pub(super) term: Word<'a>,
    pub(super) rules: Rules<'a>,
    pub(super) format: Format,
    pub(super) meta: Option<&'m [u8]>,
    /// Those that a walk has met.
    pub(super) tables: Cell<Tables<'a>>,
}

/// What a walk has made of a value.
pub(super) struct Written<'a> {
    pub(super) layout: Layout,
    /// Bytes of the head, and whether all of them found a place.
    head_len: usize,
    fitted: bool,
    buffers: Vec<Piece<'a>>,
}

impl<'a> Value<'a, '_> {
    /// Writes the head into `body` at `at`, as far as there is room for it.
    pub(super) fn write(
        &self,
        body: &mut [u8],
        at: usize,
        most: &mut usize,
    ) -> Result<Result<Written<'a>, Sent<'a>>, Fault> {
        let place = body.get_mut(at..).unwrap_or_default();
        if self.format == Format::Json {
            return self.write_json(Place::new(place), most);
        }
        let out = slipring_codec::Encoder::into_sink(Place::new(place));
        let (env, tables) = (self.env, Some(self.tables.take()));
        let written = match encode::encode(env, self.term, self.rules, out, 0, tables, *most) {
            Ok(written) => written,
            Err(Stop::Large) => {
                *most = 0;
                return Ok(Err(Sent::Done(atoms::large())));
            }
            Err(Stop::Refused(refused)) => return Err(refused.into()),
        };
        *most = written.left;
        self.tables.set(written.tables);
        if !written.needs.is_empty() {
            return Ok(Err(Sent::Needs(written.needs)));
        }
        let lens = written.buffers.iter().map(Piece::len);
        let layout =
            Layout::new(Format::Value, written.out.len(), self.meta.map(<[u8]>::len), lens)?;
        let (head_len, buffers) = (written.out.len(), written.buffers);
        let fitted = written.out.sink().fitted();
        Ok(Ok(Written { layout, head_len, fitted, buffers }))
    }

    fn write_json(
        &self,
        place: Place<'_>,
        most: &mut usize,
    ) -> Result<Result<Written<'a>, Sent<'a>>, Fault> {
        let written = json::encode::encode(
            self.env,
            self.term,
            self.rules,
            Json::new(place),
            *most,
            NotFinite::Text,
        );
        let written = match written {
            Ok(written) => written,
            Err(Stop::Large) => {
                *most = 0;
                return Ok(Err(Sent::Done(atoms::large())));
            }
            Err(Stop::Refused(refused)) => return Err(refused.into()),
        };
        *most = written.left;
        if !written.needs.is_empty() {
            return Ok(Err(Sent::Needs(written.needs)));
        }
        let head_len = written.out.len();
        let layout = Layout::new(Format::Json, head_len, self.meta.map(<[u8]>::len), [])?;
        let fitted = written.out.into_sink().fitted();
        Ok(Ok(Written { layout, head_len, fitted, buffers: Vec::new() }))
    }

    /// Writes the rest around the head at `at`, and all that is out of line.
    fn complete(
        &self,
        body: &mut [u8],
        at: usize,
        Written { layout, buffers, .. }: &Written<'a>,
    ) -> Result<Header, Fault> {
        layout.write(body, at, self.meta)?;
        for (place, buffer) in layout.buffers().iter().zip(buffers) {
            buffer.write(&mut body[place.clone()])?;
        }
        Ok(header(layout.format(), layout.flags(), layout.type_code()))
    }

    pub(super) fn send(
        &self,
        writer: &mut Writer,
        wait: &Wait<'_>,
        most: &mut usize,
    ) -> Result<Sent<'a>, Fault> {
        let dirty = *most > ENCODE_MOST;
        if writer.room.large && !dirty {
            return Ok(Sent::Done(atoms::large()));
        }
        let before = *most;
        let sent = self.send_by(writer, wait, most)?;
        writer.room.large = match &sent {
            Sent::Done(done) if *done == atoms::large() && !dirty => true,
            // Half of what would have been too much is no more large.
            _ => writer.room.large && before - *most > ENCODE_MOST / 2,
        };
        Ok(sent)
    }

    fn send_by(
        &self,
        Writer { producer: tx, room, tally, .. }: &mut Writer,
        wait: &Wait<'_>,
        most: &mut usize,
    ) -> Result<Sent<'a>, Fault> {
        let dirty = *most > ENCODE_MOST;
        // What it takes, once that is known.
        let mut exact = None;
        if room.bytes <= SMALL {
            let (mut body, at) = ([0; SMALL], Layout::front(0, self.meta.is_some()));
            let written = match self.write(&mut body, at, most)? {
                Ok(written) => written,
                Err(stopped) => return Ok(stopped),
            };
            room.learn(&written.layout);
            let len = written.layout.body_len();
            if written.fitted && len <= SMALL {
                let header = self.complete(&mut body, at, &written)?;
                let sent = tx.send(header, &body[..len], wait);
                return Sent::of(tally.sent(header.format, len, sent));
            }
            exact = Some(written.layout);
        }
        loop {
            let buffers = exact.as_ref().map_or(room.buffers, |layout| layout.buffers().len());
            let at = Layout::front(buffers, self.meta.is_some());
            // A guess is kept within what the ring can carry; what is known to be longer is refused.
            let guess = room.bytes.max(at + SMALL).min(room.limit);
            let len = exact.as_ref().map_or(guess, Layout::body_len);
            // Beside the head all of it is copied.
            if !dirty && len > COPY_MOST {
                return Ok(Sent::Done(atoms::large()));
            }
            let mut grant = match tx.reserve(len, wait) {
                Ok(grant) => grant,
                // There may be room for just what it takes.
                Err(Error::Full) if exact.is_none() => {
                    match self.write(&mut [], 0, most)? {
                        Ok(written) => exact = Some(written.layout),
                        Err(stopped) => return Ok(stopped),
                    }
                    continue;
                }
                Err(error) => return Sent::not(error),
            };
            let written = match self.write(&mut grant, at, most)? {
                Ok(written) => written,
                Err(stopped) => return Ok(stopped),
            };
            room.learn(&written.layout);
            let took = written.layout.body_len();
            let head_end = at + written.head_len;
            if !written.fitted || took.max(head_end) > grant.len() {
                // Terms don't change: what it took it will take again.
                assert!(exact.is_none(), "a value took {took} bytes, and {len} before");
                exact = Some(written.layout);
                continue;
            }
            let header = self.complete(&mut grant, at, &written)?;
            if grant.len() > 2 * took + WASTE {
                let sent = tx.send(header, &grant[..took], wait);
                return Sent::of(tally.sent(header.format, took, sent));
            }
            grant.truncate(took);
            return match tally.sent(header.format, took, tx.commit(grant, header, wait)) {
                Ok(()) => Ok(Sent::Done(atoms::ok())),
                Err(Rejected { grant: Some(grant), error: Error::Full, .. }) => {
                    Ok(Sent::Pending(grant, header))
                }
                Err(rejected) => Sent::not(rejected.error),
            };
        }
    }
}
