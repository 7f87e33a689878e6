//! Sending.
//!
//! A binary goes as it is, a tensor as an array, a table as one, every other term as a value. A value is written straight
//! into the segment, and how much of it that takes is known only afterwards:
//!
//! 1. Room is reserved by what earlier values of the same producer took. What does not fit is counted to
//!    its end, and written again where there is just so much room.
//! 2. A value that left most of its room unused is moved to a piece of its own size: a frame holds its
//!    whole piece of the pool until it is read.
//! 3. While values are small they are written on the stack first. Their place in the segment is a cell,
//!    which is taken at the moment of sending and by its length.
//! 4. A written value for which the ring has no slot yet is kept ([`Pending`]) and not written again.

use crate::attachment::Hold;
use crate::counts::Tally;
use crate::end::{self, End, Live};
use crate::error::{Fault, answer};
use crate::meta::Meta;
use crate::schema::{Asked, Under};
use crate::table::arrays::{self, Outgoing, Parsed};
use crate::table::records::{self, Look};
use crate::tensor::Tensor;
use crate::value::encode::{self, Met, Rules, Stop};
use crate::value::terms::{self, Place, Word};
use crate::value::{ENCODE_MOST, Most, UNIT_COSTS, names};
use crate::waiter::{self, News};
use crate::{atoms, charge, json, meta, ring, select};
use rustler::{Atom, Binary, Encoder, Env, LocalPid, Resource, ResourceArc, Term};
use slipring::{Error, Grant, Header, Inspection, Producer, Rejected, Wait};
use slipring_codec::cost::{Class, EVERY};
use slipring_codec::format::arrow::Plan as TablePlan;
use slipring_codec::format::{ndarray, raw};
use slipring_codec::frame::{Layout, flags};
use slipring_codec::infer::WORTH;
use slipring_codec::json::Writer as Json;
use slipring_codec::{FORMAT_VERSION, Format, Plan};
use std::sync::{Arc, Mutex};
use std::time::Instant;

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

/// Values up to so many bytes are written on the stack.
const SMALL: usize = 256;
/// Room that a value may leave unused without being moved, beside as much as it takes itself.
const WASTE: usize = 4096;

/// A producer, what its values took of late, and what it has sent.
pub(crate) struct Writer {
    producer: Producer,
    room: Room,
    tally: Tally,
    /// Frames that it was given, of which some are timed.
    given: u64,
    /// The schema that the last table was sent under, if any was.
    under: Option<Arc<Under>>,
}

impl Writer {
    pub(crate) fn new(producer: Producer) -> Self {
        let limit = usize::try_from(producer.segment().max_body()).unwrap_or(usize::MAX);
        select::adopt(&producer.segment());
        let room = Room { limit, bytes: 0, buffers: 0, took: 0, large: false };
        Self { producer, room, tally: Tally::new(), given: 0, under: None }
    }
}

/// What the next value may take, by those before it.
struct Room {
    /// The longest body.
    limit: usize,
    bytes: usize,
    buffers: usize,
    /// What the last one took.
    took: usize,
    /// The last one was for a dirty scheduler.
    large: bool,
}

impl Room {
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

/// How a term is sent, by the bits that `Slipring.Sending` gives.
#[derive(Clone, Copy)]
struct How(u32);

impl How {
    /// What waits longest makes room.
    fn drop(self) -> bool {
        self.0 & 1 != 0
    }
    /// As a value, whatever it is.
    fn value(self) -> bool {
        self.0 & 2 != 0
    }
    /// All binaries within a value as bytes.
    fn bytes(self) -> bool {
        self.0 & 4 != 0
    }
    /// As JSON.
    fn json(self) -> bool {
        self.0 & 8 != 0
    }
    /// What the header says of a stream that the frame is a part of.
    fn stream(self) -> u16 {
        let first = if self.0 & 16 != 0 { flags::STREAM_FIRST } else { 0 };
        first | if self.0 & 32 != 0 { flags::STREAM_LAST } else { 0 }
    }
    fn wait<'w>(self) -> Wait<'w> {
        if self.drop() { Wait::drop_oldest() } else { Wait::no() }
    }
}

/// What is sent.
enum Payload<'a> {
    Bytes(Binary<'a>),
    Tensor(Tensor<'a>),
    Table(Parsed<'a>),
    /// A table under a schema that the ring has.
    Under(Parsed<'a>, Asked),
    Records(Outgoing<'a>),
    /// For a dirty scheduler, as was seen when it was looked at.
    Large,
    Value(Word<'a>, Rules<'a>, Format),
}

/// What became of it.
enum Sent<'a> {
    /// `:ok`, `:full`, or `:large`.
    Done(Atom),
    /// It is written, and there is no slot.
    Pending(Grant, Header),
    /// Structs that Elixir has to prepare.
    Needs(Vec<Met<'a>>),
}

impl<'a> Sent<'a> {
    fn of(sent: Result<(), Error>) -> Result<Self, Fault> {
        match sent {
            Ok(()) => Ok(Self::Done(atoms::ok())),
            Err(error) => Self::not(error),
        }
    }

    fn not(error: Error) -> Result<Self, Fault> {
        match error {
            Error::Full => Ok(Self::Done(atoms::full())),
            Error::Unbacked => Ok(Self::Done(atoms::large())),
            error => Err(error.into()),
        }
    }

    fn term(self, env: Env<'a>, hold: &Hold) -> Term<'a> {
        match self {
            Self::Done(atom) if atom == atoms::ok() => select::sent().encode(env),
            Self::Done(atom) => atom.encode(env),
            Self::Pending(grant, header) => {
                let grant = Mutex::new(Some((grant, header)));
                let pending = ResourceArc::new(Pending { grant, _hold: hold.clone() });
                (atoms::full(), pending).encode(env)
            }
            Self::Needs(met) => needs(env, &met),
        }
    }
}

/// `{:need, met}`, where a struct stands for itself, and a list for what is within one that was prepared.
pub(crate) fn needs<'a>(env: Env<'a>, met: &[Met<'a>]) -> Term<'a> {
    (names::need(), met_term(env, met).term(env)).encode(env)
}

fn met_term<'a>(env: Env<'a>, met: &[Met<'a>]) -> Word<'a> {
    let met: Vec<Word<'a>> = met
        .iter()
        .map(|met| match met {
            Met::New(word) => *word,
            Met::Inside(inside) => met_term(env, inside),
        })
        .collect();
    terms::make_list(env, &met)
}

impl<'a> Payload<'a> {
    /// Looks at what is sent; at so many entries of records at `most`.
    fn parse(
        env: Env<'a>,
        term: Term<'a>,
        how: How,
        rules: Rules<'a>,
        most: usize,
    ) -> Result<Self, Fault> {
        let plain = !how.value() && !how.json();
        if plain && let Ok(bytes) = Binary::from_term(term) {
            return Ok(Self::Bytes(bytes));
        }
        let word = Word::from(term);
        if plain && term.is_list() {
            return Ok(match records::look(env, word, how.bytes(), WORTH, most) {
                Look::Table(schema, rows) => Self::Records(Outgoing::owned(schema, rows)),
                Look::Large => Self::Large,
                Look::Not(_) | Look::Other => Self::Value(word, rules, Format::Value),
            });
        }
        let module = terms::get(env, word, atoms::struct_().into());
        let is = |atom: Atom| module == Some(atom.into());
        if plain && is(names::all().tensor) {
            return Tensor::parse(env, word).map(Self::Tensor);
        }
        if is(names::all().table) {
            return Parsed::of(env, word).map(Self::Table);
        }
        if is(names::all().under) {
            let field = |name: Atom| terms::get(env, word, name.into()).unwrap_or(word);
            let asked = Asked::parse(field(names::schema()).term(env));
            let asked = asked.ok_or_else(Fault::other_library)?;
            return Ok(Self::Under(Parsed::of(env, field(names::table()))?, asked));
        }
        let json = how.json() || plain && is(names::all().json_raw);
        let format = if json { Format::Json } else { Format::Value };
        if is(names::all().prepared) {
            let field = |name: Atom| terms::get(env, word, name.into()).unwrap_or(word);
            let prepared = field(names::prepared());
            return Ok(Self::Value(field(names::value()), Rules { prepared, ..rules }, format));
        }
        Ok(Self::Value(word, rules, format))
    }

    /// What is known to be done for it, as bytes copied.
    fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Tensor(tensor) => tensor.data.len(),
            Self::Table(table) | Self::Under(table, _) => table.size().saturating_mul(TABLE_COSTS),
            Self::Records(records) => records.elements().saturating_mul(ENTRY_COSTS),
            Self::Value(..) | Self::Large => 0,
        }
    }

    /// Sends it with at most so much work, of which what was done is counted off.
    fn send(
        &self,
        env: Env<'a>,
        writer: &mut Writer,
        meta: Option<&[u8]>,
        how: How,
        most: &mut usize,
    ) -> Result<Sent<'a>, Fault> {
        writer.given += 1;
        let began = writer.given.is_multiple_of(EVERY).then(Instant::now);
        let sent = self.send_now(env, writer, meta, how, most)?;
        // What waits, or is done anew elsewhere, says nothing of the format.
        if let (Some(began), Sent::Done(done)) = (began, &sent)
            && *done == atoms::ok()
        {
            let (format, class) = self.kind(env);
            let bytes = match self {
                Self::Value(..) => writer.room.took,
                Self::Table(table) | Self::Under(table, _) => table.size(),
                // About.
                Self::Records(records) => 8 * records.elements(),
                _ => self.len(),
            };
            select::record(&writer.producer.segment(), began, format, class, bytes);
        }
        Ok(sent)
    }

    fn kind(&self, env: Env<'a>) -> (Format, Class) {
        match *self {
            Self::Bytes(_) => (Format::Raw, Class::Bytes),
            Self::Tensor(_) => (Format::Ndarray, Class::Arrays),
            Self::Table(_) | Self::Under(..) => (Format::Arrow, Class::Arrays),
            Self::Records(_) => (Format::Arrow, Class::Records),
            Self::Value(term, _, format) => (format, select::class(env, term)),
            // It is sent elsewhere.
            Self::Large => (Format::Value, Class::Scalar),
        }
    }

    fn send_now(
        &self,
        env: Env<'a>,
        writer: &mut Writer,
        meta: Option<&[u8]>,
        how: How,
        most: &mut usize,
    ) -> Result<Sent<'a>, Fault> {
        let wait = how.wait();
        let Writer { producer: tx, tally, under, .. } = &mut *writer;
        Sent::of(match self {
            Self::Bytes(bytes) if meta.is_none() => {
                let sent = tx.send(Header::raw(), bytes.as_slice(), &wait);
                tally.sent(Format::Raw.code(), bytes.len(), sent)
            }
            Self::Bytes(bytes) => place(tx, tally, &raw::plan(bytes.len(), meta)?, bytes, &wait),
            Self::Tensor(tensor) => {
                place(tx, tally, &ndarray::plan(&tensor.descriptor, meta)?, &tensor.data, &wait)
            }
            Self::Table(table) => {
                return send_table(tx, tally, &table.outgoing()?, None, meta, how);
            }
            Self::Under(table, asked) => {
                let all = if *most <= ENCODE_MOST { Most::Normal } else { Most::All };
                let Some(under) = Under::find(asked, &tx.segment().schemas(), under, all)? else {
                    return Ok(Sent::Done(atoms::large()));
                };
                let table = table.outgoing()?.arranged(&under)?;
                return send_table(tx, tally, &table, Some(&under), meta, how);
            }
            Self::Records(records) => return send_table(tx, tally, records, None, meta, how),
            Self::Large => return Ok(Sent::Done(atoms::large())),
            &Self::Value(term, rules, format) => {
                return Value { env, term, rules, format, meta }.send(writer, &wait, most);
            }
        })
    }

    /// Whether a ring that carries bodies up to `limit` bytes can carry it: `:ok`, `:large` where that
    /// takes more work, or what Elixir has to prepare first.
    fn check(&self, env: Env<'a>, limit: u64, most: &mut usize) -> Result<Sent<'a>, Fault> {
        let len = match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Tensor(tensor) => ndarray::plan(&tensor.descriptor, None)?.body_len(),
            Self::Table(_) if self.len() > COPY_MOST && *most <= ENCODE_MOST => {
                return Ok(Sent::Done(atoms::large()));
            }
            Self::Table(table) => table.outgoing()?.planned(None, TablePlan::body_len)?,
            // Looked at by `suits`.
            Self::Under(..) => 0,
            Self::Records(records) => records.planned(None, TablePlan::body_len)?,
            Self::Large => return Ok(Sent::Done(atoms::large())),
            &Self::Value(term, rules, format) => {
                let value = Value { env, term, rules, format, meta: None };
                match value.write(&mut [], 0, most)? {
                    Ok(written) => written.layout.body_len(),
                    Err(stopped) => return Ok(stopped),
                }
            }
        } as u64;
        if len > limit {
            Err(Error::TooLarge { len, limit }.into())
        } else {
            Ok(Sent::Done(atoms::ok()))
        }
    }
}

/// A value to be sent, or what is to be sent as JSON.
struct Value<'a, 'm> {
    env: Env<'a>,
    term: Word<'a>,
    rules: Rules<'a>,
    format: Format,
    meta: Option<&'m [u8]>,
}

/// What a walk has made of a value.
struct Written<'a> {
    layout: Layout,
    /// Bytes of the head, and whether all of them found a place.
    head_len: usize,
    fitted: bool,
    buffers: Vec<&'a [u8]>,
}

impl<'a> Value<'a, '_> {
    /// Writes the head into `body` at `at`, as far as there is room for it.
    fn write(
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
        let written = match encode::encode(self.env, self.term, self.rules, out, 0, true, *most) {
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
        let lens = written.buffers.iter().map(|buffer| buffer.len());
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
        let written =
            json::encode::encode(self.env, self.term, self.rules, Json::new(place), *most);
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
            body[place.clone()].copy_from_slice(buffer);
        }
        Ok(Header {
            format: layout.format().code(),
            format_version: FORMAT_VERSION,
            flags: layout.flags(),
            type_code: layout.type_code(),
            ..Header::default()
        })
    }

    fn send(
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

/// Writes a planned body in the segment and sends it.
fn place(
    tx: &mut Producer,
    tally: &mut Tally,
    plan: &Plan<'_>,
    data: &[u8],
    wait: &Wait<'_>,
) -> Result<(), Error> {
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
    let sent = tx.send_with(header, plan.body_len(), fill, wait);
    tally.sent(header.format, plan.body_len(), sent)
}

/// Writes a table straight into the segment. One that waits for a slot is not written again.
fn send_table<'a>(
    tx: &mut Producer,
    tally: &mut Tally,
    table: &Outgoing<'a>,
    under: Option<&Under>,
    meta: Option<&[u8]>,
    how: How,
) -> Result<Sent<'a>, Fault> {
    let wait = how.wait();
    table.planned(meta.map(<[u8]>::len), |plan| {
        let header = Header {
            format: plan.format().code(),
            format_version: FORMAT_VERSION,
            flags: plan.flags() | how.stream(),
            type_code: plan.type_code(),
            schema_id: under.map_or(0, |under| under.id),
            schema_version: under.map_or(0, |under| under.version),
            ..Header::default()
        };
        let mut grant = match tx.reserve(plan.body_len(), &wait) {
            Ok(grant) => grant,
            Err(error) => return Sent::not(error),
        };
        // Where that is refused the grant is given back.
        arrays::write(plan, &mut grant, meta)?;
        match tally.sent(header.format, plan.body_len(), tx.commit(grant, header, &wait)) {
            Ok(()) => Ok(Sent::Done(atoms::ok())),
            Err(Rejected { grant: Some(grant), error: Error::Full, .. }) => {
                Ok(Sent::Pending(grant, header))
            }
            Err(rejected) => Sent::not(rejected.error),
        }
    })?
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

#[rustler::nif]
fn close_producer<'a>(env: Env<'a>, tx: Sender, tag: Term<'a>) -> Term<'a> {
    ring::left(tx.close_and_tell(env.pid(), tag)).encode(env)
}

#[rustler::nif]
fn hand_over_producer<'a>(env: Env<'a>, tx: Sender, pid: LocalPid) -> Term<'a> {
    answer(env, end::hand_over(env, &tx, pid).map(|()| atoms::ok().encode(env)))
}
