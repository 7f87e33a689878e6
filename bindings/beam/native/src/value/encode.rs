//! Terms to CBOR, straight into the memory that keeps it.
//!
//! 1. A walk looks at each term once and writes it. The first items of a list are gathered before, since CBOR
//!    says their number ahead of them.
//! 2. It stops with [`Stop::Large`] when it has done as much as its caller allows: a dirty scheduler
//!    begins anew.
//! 3. A struct that only Elixir knows is noted and passed over ([`Met`]). The whole of them is answered, Elixir
//!    prepares each, and the next walk finds what they became in the same order ([`Prepared`]).

mod keys;
mod moments;
mod structs;

use super::big::Big;
use super::names;
use super::terms::{self, Draft, Gathered, Kind, Pairs, Word};
use crate::atoms;
use crate::error::Fault;
use crate::table::arrays::Planned;
use keys::Odd;
use rustler::{Atom, Env};
use slipring_codec::Encoder;
use slipring_codec::error::{Path, Segment as Step};
use slipring_codec::format::value::BYTES_OUT_OF_LINE;
use slipring_codec::tag;
use slipring_codec::token::MAX_DEPTH;
use std::rc::Rc;

/// What a term takes of the work that a walk may do, beside a unit for each byte of a binary.
pub(crate) const TERM: usize = 16;
/// Buffers that a part table has room for, beside head and metadata.
const BUFFERS: usize = 65_533;

/// Binaries up to so many bytes are looked at in place.
const SHORT: usize = 64;
/// Items of a list that are gathered before its length is written: as many as a head of two bytes can say.
const AHEAD: usize = u8::MAX as usize;
/// The length that longer ones have at first: few have one whose head takes other bytes than this one's.
const LONG: usize = u16::MAX as usize;

/// Floats of a list that are read before they are written.
const ROW: usize = 32;

const UNSUPPORTED: &str = "send what it stands for: a name, a number, text";

/// The kind of a struct, until its module is told.
pub(crate) const STRUCT: &str = "struct";

/// Why a walk stopped.
pub(crate) enum Stop {
    /// There is more to do than it may.
    Large,
    Refused(Box<Refused>),
}

/// Why a term can't be sent.
pub(crate) struct Refused {
    /// Whether it is its type that has no form.
    unsupported: bool,
    what: String,
    kind: String,
    hint: String,
    path: Path,
}

impl Stop {
    #[cold]
    pub(crate) fn refused(what: impl Into<String>, kind: impl Into<String>, hint: &str) -> Self {
        let (what, kind, hint) = (what.into(), kind.into(), hint.to_owned());
        let (unsupported, path) = (false, Path::default());
        Stop::Refused(Box::new(Refused { unsupported, what, kind, hint, path }))
    }

    #[cold]
    pub(crate) fn unsupported(kind: &str, hint: &str) -> Self {
        let article = if kind.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
        let mut stop = Stop::refused(format!("{article} {kind} has no form"), kind, hint);
        if let Stop::Refused(refused) = &mut stop {
            refused.unsupported = true;
        }
        stop
    }

    /// Of a struct of this module, where it is not told of which.
    #[cold]
    pub(crate) fn of_struct(mut self, module: impl FnOnce() -> String) -> Self {
        if let Stop::Refused(refused) = &mut self
            && refused.kind == STRUCT
        {
            refused.kind = module();
        }
        self
    }

    #[cold]
    pub(crate) fn within(mut self, step: impl FnOnce() -> Step) -> Self {
        if let Stop::Refused(refused) = &mut self {
            refused.path.enclose(step());
        }
        self
    }
}

impl Refused {
    /// What is wrong, the kind of the term, what to do, and where from the term on.
    pub(crate) fn facts(self) -> (String, String, String, Path) {
        (self.what, self.kind, self.hint, self.path)
    }
}

impl From<Box<Refused>> for Fault {
    fn from(refused: Box<Refused>) -> Self {
        let Refused { unsupported, what, kind, hint, path } = *refused;
        Fault::unsendable_value(unsupported, &what, &path.to_string(), &kind, &hint)
    }
}

/// What Elixir has made of the structs that an earlier walk has noted: a list of `{:as, term, inner}`, with
/// the same of the structs within that term, and of `{:refuse, name, hint}`; in the order in which a walk meets
/// them.
#[derive(Clone, Copy)]
struct Prepared<'a> {
    rest: Word<'a>,
}

/// A struct that a walk has met.
pub(crate) enum Met<'a> {
    /// Elixir has to prepare it.
    New(Word<'a>),
    /// It was prepared, and these stand in what it became.
    Inside(Vec<Met<'a>>),
}

/// How terms are written.
#[derive(Clone, Copy)]
pub(crate) struct Rules<'a> {
    /// All binaries go as bytes.
    pub(crate) bytes: bool,
    /// `%{module => {name, version, {{key, text}, ...}}}`
    pub(crate) registry: Word<'a>,
    pub(crate) prepared: Word<'a>,
}

/// Data that stands out of line.
pub(crate) enum Piece<'a> {
    Bytes(&'a [u8]),
    /// One body of a table's messages: its number and its length.
    Table(Rc<Planned<'a>>, usize, usize),
}

impl Piece<'_> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Piece::Bytes(bytes) => bytes.len(),
            Piece::Table(.., len) => *len,
        }
    }

    /// Writes it to its place, which has its length.
    pub(crate) fn write(&self, place: &mut [u8]) -> Result<(), Fault> {
        match self {
            Piece::Bytes(bytes) => place.copy_from_slice(bytes),
            Piece::Table(planned, number, _) => planned.write(*number, place)?,
        }
        Ok(())
    }
}

/// Tables that were planned, by their terms.
pub(crate) type Tables<'a> = Vec<(Word<'a>, Rc<Planned<'a>>)>;

pub(crate) struct Walk<'a, S> {
    env: Env<'a>,
    out: Encoder<S>,
    rules: Rules<'a>,
    prepared: Prepared<'a>,
    met: Vec<Met<'a>>,
    needs: bool,
    /// Data that stands out of line, where there is a place for it.
    buffers: Option<Vec<Piece<'a>>>,
    /// Those so far, which are looked into once, however often they are written.
    tables: Tables<'a>,
    /// Items of the lists that are being written.
    items: Gathered<'a>,
    seen: [Seen; SEEN],
    left: usize,
}

/// What a walk has made.
pub(crate) struct Written<'a, S> {
    pub(crate) out: Encoder<S>,
    pub(crate) buffers: Vec<Piece<'a>>,
    /// For the next walk.
    pub(crate) tables: Tables<'a>,
    /// Not empty: Elixir has to prepare some.
    pub(crate) needs: Vec<Met<'a>>,
    /// Units of work that are left.
    pub(crate) left: usize,
}

/// What stood at the same place of another map: the maps of a list mostly have the same keys, as the very
/// same terms, and values of the same kinds. Terms don't move or end while the walk goes on, so a word tells
/// whether it is the same key.
#[derive(Clone, Copy)]
struct Seen {
    /// Of the key; 0 is no term.
    word: usize,
    /// The key as it was written: the first `len` bytes.
    bytes: [u8; 16],
    len: u8,
    /// Of the value.
    kind: Kind,
}

/// How many places are kept, in which those of nested maps have others.
const SEEN: usize = 32;
const NEVER: Seen = Seen { word: 0, bytes: [0; 16], len: 0, kind: Kind::Other };

/// A text that is short enough to be kept as it is written.
fn short_text(text: &[u8]) -> Option<([u8; 16], u8)> {
    if text.len() > 15 || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0; 16];
    // Major type 3, and a length below 24.
    bytes[0] = 0x60 | text.len() as u8;
    bytes[1..=text.len()].copy_from_slice(text);
    Some((bytes, 1 + text.len() as u8))
}

/// The same of an atom.
fn short_atom(text: &[u8]) -> Option<([u8; 16], u8)> {
    let (bytes, len) = short_text(text).filter(|&(_, len)| len <= 13)?;
    let [high, low] = (tag::ATOM as u16).to_be_bytes();
    // Major type 6 with an argument of two bytes.
    let mut tagged = [0; 16];
    tagged[..3].copy_from_slice(&[0xD9, high, low]);
    tagged[3..].copy_from_slice(&bytes[..13]);
    Some((tagged, 3 + len))
}

/// Writes `term`, which stands at `depth`. With `buffers`, which are the tables of an earlier walk, large data
/// goes out of line. About `most` units of work are done at
/// most: one for each byte of a binary, [`TERM`] for each term.
pub(crate) fn encode<'a, S: Draft>(
    env: Env<'a>,
    term: Word<'a>,
    rules: Rules<'a>,
    out: Encoder<S>,
    depth: usize,
    buffers: Option<Tables<'a>>,
    most: usize,
) -> Result<Written<'a, S>, Stop> {
    let mut walk = Walk {
        env,
        out,
        rules,
        prepared: Prepared { rest: rules.prepared },
        met: Vec::new(),
        needs: false,
        buffers: buffers.is_some().then(Vec::new),
        tables: buffers.unwrap_or_default(),
        items: Gathered::new(),
        seen: [NEVER; SEEN],
        left: most,
    };
    walk.term(term, depth)?;
    Ok(Written {
        out: walk.out,
        buffers: walk.buffers.unwrap_or_default(),
        tables: walk.tables,
        needs: if walk.needs { walk.met } else { Vec::new() },
        left: walk.left,
    })
}

fn is(word: Word<'_>, atom: Atom) -> bool {
    word == Word::from(atom)
}

/// A module's name as Elixir writes it.
pub(crate) fn module_name(env: Env<'_>, module: Word<'_>) -> String {
    terms::with_atom(env, module, |name| name.strip_prefix("Elixir.").unwrap_or(name).to_owned())
}

impl<'a, S: Draft> Walk<'a, S> {
    #[inline]
    fn spend(&mut self, units: usize) -> Result<(), Stop> {
        self.left = self.left.checked_sub(units).ok_or(Stop::Large)?;
        Ok(())
    }

    #[inline]
    fn enter(&self, depth: usize, kind: Kind) -> Result<(), Stop> {
        if depth < MAX_DEPTH { Ok(()) } else { Err(too_deep(kind)) }
    }

    /// Writes a term. What there is most of is written here, in place; the rest is called.
    #[inline(always)]
    fn term(&mut self, term: Word<'a>, depth: usize) -> Result<(), Stop> {
        self.spend(TERM)?;
        self.of_kind(term, terms::kind(self.env, term), depth)
    }

    #[inline(always)]
    fn of_kind(&mut self, term: Word<'a>, kind: Kind, depth: usize) -> Result<(), Stop> {
        match kind {
            Kind::Bits => self.binary(term, depth),
            Kind::Integer => match terms::int(self.env, term) {
                Some(value) => {
                    self.out.int(value);
                    Ok(())
                }
                None => self.integer(term, depth),
            },
            Kind::Float => {
                // A float is what it was just said to be.
                self.out.float(terms::float(self.env, term).unwrap_or_default());
                Ok(())
            }
            other => self.other(term, other, depth),
        }
    }

    #[inline(never)]
    fn other(&mut self, term: Word<'a>, kind: Kind, depth: usize) -> Result<(), Stop> {
        match kind {
            Kind::Atom => self.atom(term, depth),
            Kind::List => self.list(term, depth),
            Kind::Map => self.map(term, depth),
            Kind::Tuple => self.tuple(term, depth),
            other => Err(Stop::unsupported(other.name(), UNSUPPORTED)),
        }
    }

    /// An integer beyond the signed ones of 64 bits.
    #[inline(never)]
    fn integer(&mut self, term: Word<'a>, depth: usize) -> Result<(), Stop> {
        if let Some(value) = terms::uint(self.env, term) {
            self.out.uint(value);
        } else if let Some(big) = Big::read(self.env, term) {
            self.enter(depth, Kind::Integer)?;
            self.spend(big.len())?;
            big.write(&mut self.out);
        }
        Ok(())
    }

    #[inline(always)]
    fn binary(&mut self, term: Word<'a>, depth: usize) -> Result<(), Stop> {
        match terms::bytes(self.env, term) {
            Some(bytes) => self.bits(bytes, depth),
            None => Err(Stop::unsupported("bitstring", "pad it to whole bytes")),
        }
    }

    #[inline(always)]
    fn bits(&mut self, bytes: &'a [u8], depth: usize) -> Result<(), Stop> {
        if bytes.len() <= SHORT && bytes.is_ascii() && !self.rules.bytes {
            self.spend(bytes.len())?;
            self.out.text(std::str::from_utf8(bytes).unwrap_or_default());
            return Ok(());
        }
        self.long(bytes, depth)
    }

    #[inline(never)]
    fn long(&mut self, bytes: &'a [u8], depth: usize) -> Result<(), Stop> {
        self.spend(bytes.len())?;
        if !self.rules.bytes
            && let Ok(text) = std::str::from_utf8(bytes)
        {
            self.out.text(text);
            return Ok(());
        }
        self.bytes(bytes, BYTES_OUT_OF_LINE, depth);
        Ok(())
    }

    /// A byte string, out of line if it has at least so many bytes and there is a place for it.
    fn bytes(&mut self, bytes: &'a [u8], out_of_line: usize, depth: usize) {
        match &mut self.buffers {
            Some(buffers)
                if bytes.len() >= out_of_line && buffers.len() < BUFFERS && depth < MAX_DEPTH =>
            {
                self.out.tag(tag::BUFFER).uint(buffers.len() as u64);
                buffers.push(Piece::Bytes(bytes));
            }
            _ => {
                self.out.bytes(bytes);
            }
        }
    }

    #[inline(never)]
    fn atom(&mut self, term: Word<'a>, depth: usize) -> Result<(), Stop> {
        if is(term, atoms::nil()) {
            self.out.null();
        } else if is(term, names::true_()) {
            self.out.bool(true);
        } else if is(term, names::false_()) {
            self.out.bool(false);
        } else {
            self.enter(depth, Kind::Atom)?;
            let out = &mut self.out;
            terms::with_atom(self.env, term, |text| {
                out.tag(tag::ATOM).text(text);
            });
        }
        Ok(())
    }

    /// The length stands ahead of the items, and is known behind them: of a long list it is written anew then, so that its cells
    /// are waited for while items are written.
    #[inline(never)]
    fn list(&mut self, list: Word<'a>, depth: usize) -> Result<(), Stop> {
        self.enter(depth, Kind::List)?;
        let first = self.items.len();
        let mut rest = list;
        while self.items.len() - first < AHEAD
            && let Some((head, tail)) = terms::cell(self.env, rest)
        {
            self.items.push(head);
            rest = tail;
        }
        let ahead = self.items.len() - first;
        let mut next = terms::cell(self.env, rest).filter(|_| ahead == AHEAD);
        self.spend(TERM * ahead)?;
        let start = self.out.len();
        self.out.array(if next.is_some() { LONG } else { ahead });
        let behind = self.out.len();
        // Most items are of the kind of the one before.
        let mut before = Kind::Other;
        for index in 0..ahead {
            let item = self.items[first + index];
            let kind = self.like(item, before, depth + 1);
            before = kind.map_err(|stop| stop.within(|| Step::Index(index)))?;
        }
        self.items.truncate(first);
        let mut len = ahead;
        while let Some((item, tail)) = next {
            if before == Kind::Float
                && let Some((count, behind)) = self.floats(item, tail)?
            {
                (len, rest, before) = (len + count, behind, Kind::Other);
                next = terms::cell(self.env, rest);
                continue;
            }
            self.spend(TERM)?;
            let kind = self.like(item, before, depth + 1);
            before = kind.map_err(|stop| stop.within(|| Step::Index(len)))?;
            (len, rest) = (len + 1, tail);
            next = terms::cell(self.env, tail);
        }
        if !terms::is_nil_list(self.env, rest) {
            let hint = "give a list that ends with [], or a tuple";
            return Err(Stop::refused("an improper list has no form", "improper list", hint));
        }
        if len > ahead {
            let head = Encoder::new().array(len).sink_mut().clone();
            self.out.sink_mut().replace(start..behind, &head);
        }
        Ok(())
    }

    /// The floats that stand in a row, from the item of a cell on: some are read, and then written. `None` if there is none, else how
    /// many, and what is behind them.
    #[inline(never)]
    fn floats(
        &mut self,
        item: Word<'a>,
        tail: Word<'a>,
    ) -> Result<Option<(usize, Word<'a>)>, Stop> {
        let (mut row, mut len, mut behind) = ([0.0; ROW], 0, None);
        let mut next = Some((item, tail));
        loop {
            let mut come = 0;
            while come < ROW
                && let Some((item, tail)) = next
                && let Some(value) = terms::float(self.env, item)
            {
                row[come] = value;
                come += 1;
                behind = Some(tail);
                next = terms::cell(self.env, tail);
            }
            self.spend(TERM * come)?;
            for &value in &row[..come] {
                self.out.float(value);
            }
            len += come;
            if come < ROW {
                return Ok(behind.map(|behind| (len, behind)));
            }
        }
    }

    #[inline(never)]
    fn tuple(&mut self, tuple: Word<'a>, depth: usize) -> Result<(), Stop> {
        self.enter(depth + 1, Kind::Tuple)?;
        let elements = terms::tuple(self.env, tuple).unwrap_or_default();
        self.out.tag(tag::TUPLE).array(elements.len());
        self.each(elements, depth + 2)
    }

    fn each(&mut self, elements: &[Word<'a>], depth: usize) -> Result<(), Stop> {
        for (index, &element) in elements.iter().enumerate() {
            self.term(element, depth).map_err(|stop| stop.within(|| Step::Index(index)))?;
        }
        Ok(())
    }

    #[inline(never)]
    fn map(&mut self, map: Word<'a>, depth: usize) -> Result<(), Stop> {
        let module = terms::get(self.env, map, atoms::struct_().into());
        if let Some(module) = module.filter(|&m| terms::kind(self.env, m) == Kind::Atom) {
            let written = self.structure(map, module, depth);
            return written.map_err(|stop| stop.of_struct(|| module_name(self.env, module)));
        }
        self.enter(depth, Kind::Map)?;
        let env = self.env;
        let size = terms::map_size(env, map);
        self.spend(2 * TERM * size)?;
        self.out.map(size);
        let Some(pairs) = Pairs::new(env, map) else { return Ok(()) };
        let mut odd = Vec::new();
        for (entry, (key, value)) in pairs.enumerate() {
            let place = (entry + 7 * depth) % SEEN;
            let seen = self.seen[place];
            // At the last depth a key that has a tag is refused, by `key`.
            if seen.word == key.bits() && depth + 1 < MAX_DEPTH {
                self.out.sink_mut().put_first(seen.bytes, seen.len.into());
            } else {
                self.key(key, place, entry, depth + 1, &mut odd)
                    .map_err(|stop| stop.within(|| Step::KeyOf(entry)))?;
            }
            let kind = self.like(value, seen.kind, depth + 1);
            let kind = kind.map_err(|stop| stop.within(|| step(env, key)))?;
            self.seen[place].kind = kind;
        }
        if odd.is_empty() { Ok(()) } else { self.check_distinct(map, &odd, depth + 1) }
    }

    /// Writes a term that is paid for and likely of a kind, so that a look at its kind is saved. Answers which
    /// it was of.
    #[inline(always)]
    fn like(&mut self, term: Word<'a>, likely: Kind, depth: usize) -> Result<Kind, Stop> {
        match likely {
            Kind::Integer => {
                if let Some(value) = terms::int(self.env, term) {
                    self.out.int(value);
                    return Ok(likely);
                }
            }
            Kind::Float => {
                if let Some(value) = terms::float(self.env, term) {
                    self.out.float(value);
                    return Ok(likely);
                }
            }
            Kind::Bits => {
                if let Some(bytes) = terms::bytes(self.env, term) {
                    self.bits(bytes, depth)?;
                    return Ok(likely);
                }
            }
            _ => {}
        }
        let kind = terms::kind(self.env, term);
        self.of_kind(term, kind, depth)?;
        Ok(kind)
    }

    #[inline(never)]
    fn key(
        &mut self,
        key: Word<'a>,
        place: usize,
        entry: usize,
        depth: usize,
        odd: &mut Vec<Odd>,
    ) -> Result<(), Stop> {
        if !self.rules.bytes
            && let Some(text) = terms::bytes(self.env, key)
            && let Some((bytes, len)) = short_text(text)
        {
            self.seen[place] = Seen { word: key.bits(), bytes, len, ..self.seen[place] };
            self.out.sink_mut().put_first(bytes, len.into());
            return Ok(());
        }
        let plain = [atoms::nil(), names::true_(), names::false_()];
        if terms::kind(self.env, key) == Kind::Atom
            && !plain.iter().any(|&atom| is(key, atom))
            && let Some((bytes, len)) =
                terms::with_atom(self.env, key, |text| short_atom(text.as_bytes()))
        {
            self.enter(depth, Kind::Atom)?;
            self.seen[place] = Seen { word: key.bits(), bytes, len, ..self.seen[place] };
            self.out.sink_mut().put_first(bytes, len.into());
            return Ok(());
        }
        if !keys::is_plain(self.env, key) {
            return self.odd_key(key, entry, depth, odd);
        }
        self.of_kind(key, terms::kind(self.env, key), depth)
    }
}

#[cold]
fn too_deep(kind: Kind) -> Stop {
    let what = format!("more than {MAX_DEPTH} lists, maps and tags inside each other");
    Stop::refused(what, kind.name(), "flatten it, or send it in pieces")
}

/// The step to what stands under a key.
pub(crate) fn step<'a>(env: Env<'a>, key: Word<'a>) -> Step {
    match terms::kind(env, key) {
        Kind::Atom => terms::with_atom(env, key, Step::key),
        Kind::Bits => match terms::bytes(env, key).map(std::str::from_utf8) {
            Some(Ok(text)) => Step::key(text),
            _ => Step::OtherKey("bytes".into()),
        },
        Kind::Integer => match terms::int(env, key) {
            Some(value) => Step::OtherKey(value.to_string().into()),
            None => Step::OtherKey("integer".into()),
        },
        Kind::Float => match terms::float(env, key) {
            Some(value) => Step::OtherKey(format!("{value:?}").into()),
            None => Step::OtherKey("float".into()),
        },
        other => Step::OtherKey(other.name().into()),
    }
}
