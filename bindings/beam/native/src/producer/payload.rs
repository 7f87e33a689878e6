//! What is sent: which form a term has, and a frame made of it.

use super::value::Value;
use super::{COPY_MOST, ENTRY_COSTS, Pending, TABLE_COSTS, Writer};
use crate::attachment::Hold;
use crate::counts::Tally;
use crate::error::Fault;
use crate::schema::Asked;
use crate::table::arrays::{self, Outgoing, Parsed};
use crate::table::records::{self, Look};
use crate::tensor::Tensor;
use crate::value::encode::{Met, Rules};
use crate::value::terms::{self, Word};
use crate::value::{ENCODE_MOST, Most, names};
use crate::{atoms, select};
use rustler::{Atom, Binary, Encoder, Env, ResourceArc, Term};
use slipring::{Error, Grant, Header, Producer, Rejected, Wait};
use slipring_codec::cost::{Class, EVERY};
use slipring_codec::format::arrow::Plan as TablePlan;
use slipring_codec::format::{ndarray, raw};
use slipring_codec::frame::flags;
use slipring_codec::infer::WORTH;
use slipring_codec::{Format, Plan};
use slipring_frames::{Announced, header};
use std::cell::Cell;
use std::sync::Mutex;
use std::time::Instant;

/// How a term is sent, by the bits that `Slipring.Sending` gives.
#[derive(Clone, Copy)]
pub(super) struct How(pub(super) u32);

impl How {
    /// What waits longest makes room.
    pub(super) fn drop(self) -> bool {
        self.0 & 1 != 0
    }
    /// As a value, whatever it is.
    pub(super) fn value(self) -> bool {
        self.0 & 2 != 0
    }
    /// All binaries within a value as bytes.
    pub(super) fn bytes(self) -> bool {
        self.0 & 4 != 0
    }
    /// As JSON.
    pub(super) fn json(self) -> bool {
        self.0 & 8 != 0
    }
    /// What the header says of a stream of tables that the frame is a part of. A table by itself is a stream of one.
    pub(super) fn stream(self) -> u16 {
        let not_first = if self.0 & 16 != 0 { flags::STREAM_FIRST } else { 0 };
        let not_last = if self.0 & 32 != 0 { flags::STREAM_LAST } else { 0 };
        (flags::STREAM_FIRST | flags::STREAM_LAST) & !(not_first | not_last)
    }
    pub(super) fn wait<'w>(self) -> Wait<'w> {
        if self.drop() { Wait::drop_oldest() } else { Wait::no() }
    }
}

/// What is sent.
pub(super) enum Payload<'a> {
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
pub(super) enum Sent<'a> {
    /// `:ok`, `:full`, or `:large`.
    Done(Atom),
    /// It is written, and there is no slot.
    Pending(Grant, Header),
    /// Structs that Elixir has to prepare.
    Needs(Vec<Met<'a>>),
}

impl<'a> Sent<'a> {
    pub(super) fn of(sent: Result<(), Error>) -> Result<Self, Fault> {
        match sent {
            Ok(()) => Ok(Self::Done(atoms::ok())),
            Err(error) => Self::not(error),
        }
    }

    pub(super) fn not(error: Error) -> Result<Self, Fault> {
        match error {
            Error::Full => Ok(Self::Done(atoms::full())),
            Error::Unbacked => Ok(Self::Done(atoms::large())),
            error => Err(error.into()),
        }
    }

    pub(super) fn term(self, env: Env<'a>, hold: &Hold) -> Term<'a> {
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
    pub(super) fn parse(
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
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Tensor(tensor) => tensor.data.len(),
            Self::Table(table) | Self::Under(table, _) => table.size().saturating_mul(TABLE_COSTS),
            Self::Records(records) => records.elements().saturating_mul(ENTRY_COSTS),
            Self::Value(..) | Self::Large => 0,
        }
    }

    /// Sends it with at most so much work, of which what was done is counted off.
    pub(super) fn send(
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
                let Some(under) = asked.announced(&tx.segment().schemas(), under, all)? else {
                    return Ok(Sent::Done(atoms::large()));
                };
                let table = table.outgoing()?.arranged(&under)?;
                return send_table(tx, tally, &table, Some(&under), meta, how);
            }
            Self::Records(records) => return send_table(tx, tally, records, None, meta, how),
            Self::Large => return Ok(Sent::Done(atoms::large())),
            &Self::Value(term, rules, format) => {
                return Value { env, term, rules, format, meta, tables: Cell::default() }
                    .send(writer, &wait, most);
            }
        })
    }

    /// Whether a ring that carries bodies up to `limit` bytes can carry it: `:ok`, `:large` where that
    /// takes more work, or what Elixir has to prepare first.
    pub(super) fn check(
        &self,
        env: Env<'a>,
        limit: u64,
        most: &mut usize,
    ) -> Result<Sent<'a>, Fault> {
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
                let tables = Cell::default();
                let value = Value { env, term, rules, format, meta: None, tables };
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

/// Writes a planned body in the segment and sends it.
fn place(
    tx: &mut Producer,
    tally: &mut Tally,
    plan: &Plan<'_>,
    data: &[u8],
    wait: &Wait<'_>,
) -> Result<(), Error> {
    let header = header(plan.format(), plan.flags(), plan.type_code());
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
    under: Option<&Announced>,
    meta: Option<&[u8]>,
    how: How,
) -> Result<Sent<'a>, Fault> {
    let wait = how.wait();
    table.planned(meta.map(<[u8]>::len), |plan| {
        let plain = header(plan.format(), plan.flags() | how.stream(), plan.type_code());
        let header = under.map_or(plain, |under| plain.with_schema(under.stored()));
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
