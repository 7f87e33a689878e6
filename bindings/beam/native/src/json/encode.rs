//! Terms to JSON, straight into the memory that keeps it, without recursion: a scheduler's stack is small.
//!
//! What structs become, and when a walk stops, is as for values (`value::encode`).

use crate::atoms;
use crate::value::big::Big;
use crate::value::encode::{self as values, Met, Rules, STRUCT, Stop, TERM, module_name, step};
use crate::value::names;
use crate::value::terms::{self, Gathered, Kind, Pairs, Word};
use rustler::{Atom, Env};
use slipring_codec::error::Segment as Step;
use slipring_codec::json::{DEPTH, Writer};
use slipring_codec::token::Sink;
use slipring_codec::{Decoder, Encoder, Token, tag};

/// Bytes of an integer's magnitude at most, and on a normal scheduler: as for reading.
const BIG: usize = 415_000;
const BIG_AT_ONCE: usize = 1 << 11;

/// A container that is being written.
enum Open<'a> {
    List {
        rest: Word<'a>,
        index: usize,
    },
    /// Pairs from `first` of the gathered on, of which `entry` are written.
    Pairs {
        first: usize,
        entry: usize,
    },
    /// What a struct was prepared as is being written. What follows it in what was prepared, and what was met before.
    As {
        rest: Word<'a>,
        outer: Vec<Met<'a>>,
    },
}

/// What a walk has made.
pub(crate) struct Written<'a, S> {
    pub(crate) out: Writer<S>,
    /// Not empty: Elixir has to prepare some.
    pub(crate) needs: Vec<Met<'a>>,
    /// Units of work that are left.
    pub(crate) left: usize,
}

struct Walk<'a, S> {
    env: Env<'a>,
    out: Writer<S>,
    rules: Rules<'a>,
    prepared: Word<'a>,
    met: Vec<Met<'a>>,
    needs: bool,
    open: Vec<Open<'a>>,
    /// Containers among the open.
    depth: usize,
    keys: Gathered<'a>,
    values: Gathered<'a>,
    left: usize,
    most: usize,
    nan: NotFinite,
}

/// What the atoms become that stand for NaN and the infinities, which are no JSON.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum NotFinite {
    /// Text, as all other atoms.
    Text,
    Null,
    /// `NaN`, `Infinity` and `-Infinity`, as many readers and writers take them.
    Constants,
    Refused,
}

impl NotFinite {
    /// By the number that Elixir gives.
    pub(crate) fn of(number: u8) -> Self {
        match number {
            1 => Self::Null,
            2 => Self::Constants,
            3 => Self::Refused,
            _ => Self::Text,
        }
    }
}

/// Writes a term. About `most` units of work are done at most.
pub(crate) fn encode<'a, S: Sink>(
    env: Env<'a>,
    term: Word<'a>,
    rules: Rules<'a>,
    out: Writer<S>,
    most: usize,
    nan: NotFinite,
) -> Result<Written<'a, S>, Stop> {
    let mut walk = Walk {
        env,
        out,
        rules,
        prepared: rules.prepared,
        met: Vec::new(),
        needs: false,
        open: Vec::new(),
        depth: 0,
        keys: Gathered::new(),
        values: Gathered::new(),
        left: most,
        most,
        nan,
    };
    match walk.all(term) {
        Ok(()) => {
            let needs = if walk.needs { walk.met } else { Vec::new() };
            Ok(Written { out: walk.out, needs, left: walk.left })
        }
        Err(stop) => Err(walk.with_path(stop)),
    }
}

fn is(word: Word<'_>, atom: Atom) -> bool {
    word == Word::from(atom)
}

/// The number that an atom stands for, if it is one that the BEAM can't hold.
fn constant(term: Word<'_>) -> Option<&'static str> {
    let all = [
        (atoms::nan(), "NaN"),
        (atoms::infinity(), "Infinity"),
        (atoms::neg_infinity(), "-Infinity"),
    ];
    all.into_iter().find(|&(atom, _)| is(term, atom)).map(|(_, constant)| constant)
}

const TEXTS: &str = "send a text: Base.encode64/1 makes one of any bytes";

impl<'a, S: Sink> Walk<'a, S> {
    #[inline]
    fn spend(&mut self, units: usize) -> Result<(), Stop> {
        self.left = self.left.checked_sub(units).ok_or(Stop::Large)?;
        Ok(())
    }

    fn all(&mut self, term: Word<'a>) -> Result<(), Stop> {
        let mut next = Some(term);
        loop {
            if let Some(term) = next.take() {
                self.spend(TERM)?;
                next = self.term(term)?;
                if next.is_some() {
                    continue;
                }
            }
            // The innermost container goes on, or is over.
            match self.open.last_mut() {
                None => return Ok(()),
                Some(Open::List { rest, index }) => match terms::cell(self.env, *rest) {
                    Some((head, tail)) => {
                        *rest = tail;
                        *index += 1;
                        if *index > 1 {
                            self.out.put(b",");
                        }
                        next = Some(head);
                    }
                    None if terms::is_nil_list(self.env, *rest) => self.close(b"]"),
                    None => {
                        let hint = "give a list that ends with []";
                        let what = "an improper list has no form in JSON";
                        self.leave();
                        return Err(Stop::refused(what, "improper list", hint));
                    }
                },
                Some(Open::Pairs { first, entry }) => {
                    let at = *first + *entry;
                    let Some(&value) = self.values.get(at) else {
                        let first = *first;
                        self.keys.truncate(first);
                        self.values.truncate(first);
                        self.close(b"}");
                        continue;
                    };
                    *entry += 1;
                    if *entry > 1 {
                        self.out.put(b",");
                    }
                    let key = self.keys[at];
                    self.key(key)?;
                    self.out.put(b":");
                    next = Some(value);
                }
                Some(Open::As { .. }) => {
                    if let Some(Open::As { rest, outer }) = self.open.pop() {
                        let inside = std::mem::replace(&mut self.met, outer);
                        self.met.push(Met::Inside(inside));
                        self.prepared = rest;
                    }
                }
            }
        }
    }

    fn close(&mut self, end: &[u8]) {
        self.out.put(end);
        self.leave();
    }

    fn leave(&mut self) {
        self.open.pop();
        self.depth -= 1;
    }

    fn enter(&mut self, open: Open<'a>, kind: Kind) -> Result<(), Stop> {
        if self.depth >= DEPTH {
            let what = format!("more than {DEPTH} lists and maps inside each other");
            return Err(Stop::refused(what, kind.name(), "flatten it"));
        }
        self.depth += 1;
        self.open.push(open);
        Ok(())
    }

    /// Writes a term, or begins it. Gives what is to be written in its place, if there is such.
    #[inline(always)]
    fn term(&mut self, term: Word<'a>) -> Result<Option<Word<'a>>, Stop> {
        let env = self.env;
        match terms::kind(env, term) {
            Kind::Bits => {
                let bytes = terms::bytes(env, term);
                self.text(bytes.ok_or_else(|| refused("bitstring", TEXTS))?)?;
            }
            Kind::Integer => match terms::int(env, term) {
                Some(n) => self.out.int(n),
                None => self.integer(term)?,
            },
            Kind::Float => {
                // The BEAM has no others.
                let _ = self.out.float(terms::float(env, term).unwrap_or_default());
            }
            Kind::Atom => self.atom(term)?,
            Kind::List => {
                self.enter(Open::List { rest: term, index: 0 }, Kind::List)?;
                self.out.put(b"[");
            }
            Kind::Map => return self.map(term),
            Kind::Tuple => return Err(refused("tuple", "send a list: Tuple.to_list/1")),
            other => {
                return Err(refused(
                    other.name(),
                    "send what it stands for: a name, a number, text",
                ));
            }
        }
        Ok(None)
    }

    #[inline(always)]
    fn text(&mut self, bytes: &'a [u8]) -> Result<(), Stop> {
        self.spend(bytes.len())?;
        if !bytes.is_ascii() && std::str::from_utf8(bytes).is_err() {
            let what = "a binary that is not UTF-8 has no form in JSON";
            return Err(Stop::refused(what, "binary", TEXTS));
        }
        self.out.utf8(bytes);
        Ok(())
    }

    #[inline(never)]
    fn integer(&mut self, term: Word<'a>) -> Result<(), Stop> {
        let Some(big) = Big::read(self.env, term) else { return Ok(()) };
        let digits = self.digits(&big)?;
        self.out.put(digits.as_bytes());
        Ok(())
    }

    fn digits(&mut self, big: &Big) -> Result<String, Stop> {
        if big.len() > BIG {
            let what = "an integer of more than a million digits";
            return Err(Stop::refused(what, "integer", "send it as a value"));
        }
        if big.len() > BIG_AT_ONCE && self.most != usize::MAX {
            return Err(Stop::Large);
        }
        self.spend(big.len())?;
        Ok(big.digits())
    }

    fn atom(&mut self, term: Word<'a>) -> Result<(), Stop> {
        if is(term, atoms::nil()) {
            self.out.null();
        } else if is(term, names::true_()) {
            self.out.bool(true);
        } else if is(term, names::false_()) {
            self.out.bool(false);
        } else if self.nan != NotFinite::Text
            && let Some(constant) = constant(term)
        {
            match self.nan {
                NotFinite::Null => self.out.null(),
                NotFinite::Constants => self.out.put(constant.as_bytes()),
                _ => {
                    let what = format!("{constant} is no number in JSON");
                    let hint = "give nan: :null, or nan: :constants for NaN and Infinity, which are no JSON";
                    return Err(Stop::refused(what, "atom", hint));
                }
            }
        } else {
            let out = &mut self.out;
            terms::with_atom(self.env, term, |text| out.text(text));
        }
        Ok(())
    }

    fn key(&mut self, key: Word<'a>) -> Result<(), Stop> {
        match terms::kind(self.env, key) {
            Kind::Atom => {
                let out = &mut self.out;
                terms::with_atom(self.env, key, |text| out.text(text));
                Ok(())
            }
            Kind::Bits if terms::bytes(self.env, key).is_some() => {
                self.text(terms::bytes(self.env, key).unwrap_or_default())
            }
            other => {
                let what = format!("a key that is of type {} has no form in JSON", other.name());
                let hint = "give keys that are binaries or atoms: to_string/1 makes one";
                Err(Stop::refused(what, other.name(), hint))
            }
        }
    }

    #[inline(never)]
    fn map(&mut self, map: Word<'a>) -> Result<Option<Word<'a>>, Stop> {
        let module = terms::get(self.env, map, atoms::struct_().into());
        if let Some(module) = module.filter(|&m| terms::kind(self.env, m) == Kind::Atom) {
            let written = self.structure(map, module);
            return written.map_err(|stop| stop.of_struct(|| module_name(self.env, module)));
        }
        let first = self.values.len();
        self.enter(Open::Pairs { first, entry: 0 }, Kind::Map)?;
        self.spend(TERM * terms::map_size(self.env, map))?;
        let (mut atoms, mut others) = (false, false);
        for (key, value) in Pairs::new(self.env, map).into_iter().flatten() {
            match terms::kind(self.env, key) {
                Kind::Atom => atoms = true,
                _ => others = true,
            }
            self.keys.push(key);
            self.values.push(value);
        }
        self.out.put(b"{");
        if atoms && others {
            self.check_names(map, first)?;
        }
        Ok(None)
    }

    /// No atom of a map's keys says what a text of them says.
    #[cold]
    fn check_names(&mut self, map: Word<'a>, first: usize) -> Result<(), Stop> {
        let env = self.env;
        for entry in 0..self.keys.len() - first {
            let key = self.keys[first + entry];
            if terms::kind(env, key) != Kind::Atom {
                continue;
            }
            let name = terms::with_atom(env, key, |text| terms::make_binary(env, text.as_bytes()));
            if terms::get(env, map, name).is_some() {
                if let Some(Open::Pairs { entry: at, .. }) = self.open.last_mut() {
                    *at = entry + 1;
                }
                let what = "a map holds this key twice, as an atom and as a binary";
                return Err(Stop::refused(what, "map", "give each key once"));
            }
        }
        Ok(())
    }

    fn structure(&mut self, map: Word<'a>, module: Word<'a>) -> Result<Option<Word<'a>>, Stop> {
        let n = names::all();
        let env = self.env;
        let module_is = |atom: Atom| is(module, atom);
        if [n.date, n.time, n.naive, n.datetime, n.uuid].into_iter().any(module_is) {
            return self.standard(map).map(|()| None);
        }
        if module_is(n.decimal) || module_is(n.own_decimal) {
            return self.decimal(map).map(|()| None);
        }
        if module_is(n.text) || module_is(n.json_raw) {
            let data = terms::get(env, map, names::data().into());
            let Some(data) = data.and_then(|data| terms::bytes(env, data)) else {
                return Err(damaged("data"));
            };
            if module_is(n.text) {
                return self.text(data).map(|()| None);
            }
            self.spend(data.len())?;
            if std::str::from_utf8(data).is_err() {
                let what = "JSON that is not UTF-8";
                return Err(Stop::refused(what, "Slipring.JSON.Raw", "encode it as UTF-8"));
            }
            self.out.put(data);
            return Ok(None);
        }
        if module_is(n.object) {
            let fields = terms::get(env, map, names::fields().into());
            return fields.map(Some).ok_or_else(|| damaged("fields"));
        }
        if let Some(entry) = terms::get(env, self.rules.registry, module) {
            return self.registered(map, entry).map(|()| None);
        }
        let hint = match () {
            () if module_is(n.map_set) => "send a list: MapSet.to_list/1",
            () if module_is(n.range) => "send a list: Enum.to_list/1",
            () if module_is(n.tensor) => "send a list: Slipring.Tensor.to_list/1",
            () if module_is(n.table) => "send a list: Slipring.Table.to_maps/1",
            () if module_is(n.bytes) => TEXTS,
            () if module_is(n.tag) => "send what it encloses",
            () if module_is(n.duration) || module_is(n.own_duration) => "send a number of seconds",
            () => return self.foreign(map, module),
        };
        Err(refused(&module_name(env, module), hint))
    }

    /// What values have as a text of a standard form: dates, times and UUIDs. They are written as such first.
    fn standard(&mut self, map: Word<'a>) -> Result<(), Stop> {
        let out = Encoder::new();
        let written = values::encode(self.env, map, self.rules, out, 0, None, self.left)?;
        self.left = written.left;
        let bytes = written.out.into_vec();
        let mut decoder = Decoder::new(&bytes);
        let mut next = || decoder.token().unwrap_or(Token::Null);
        let text = match (next(), next()) {
            (Token::Tag(tag::EPOCH_DATE), _) => {
                let what = "a date whose year has not four digits has no form in JSON";
                return Err(Stop::refused(what, "Date", "send it as a value"));
            }
            (Token::Tag(tag::UUID), Token::Bytes(id)) => uuid(id),
            (Token::Tag(tag::ZONED_DATETIME), _) => match next() {
                // The name of the zone is no part of RFC 3339.
                Token::Text(text) => text.split('[').next().unwrap_or_default().to_owned(),
                _ => String::new(),
            },
            (Token::Tag(_), Token::Text(text)) => text.to_owned(),
            _ => String::new(),
        };
        self.out.text(&text);
        Ok(())
    }

    fn decimal(&mut self, map: Word<'a>) -> Result<(), Stop> {
        let env = self.env;
        let field = |name: Atom| terms::get(env, map, name.into());
        let coefficient = field(names::coef()).ok_or_else(|| damaged("coef"))?;
        if is(coefficient, names::inf()) || is(coefficient, names::not_a_number()) {
            let what = "a decimal that is no number has no form in JSON";
            return Err(Stop::refused(what, "Decimal", "send nil, or a text"));
        }
        let sign = field(names::sign()).and_then(|sign| terms::int(env, sign));
        let sign = sign.ok_or_else(|| damaged("sign"))?;
        let exponent = field(names::exp()).and_then(|exponent| terms::int(env, exponent));
        let exponent = exponent.ok_or_else(|| damaged("exp"))?;
        let coefficient = Big::read(env, coefficient).filter(|big| !big.is_negative());
        let digits = self.digits(&coefficient.ok_or_else(|| damaged("coef"))?)?;
        let minus = if sign < 0 { "-" } else { "" };
        // As long as it is short it is written out; else with an exponent. All digits stay.
        let point = digits.len() as i64 + exponent.clamp(-64, 64);
        let text = match exponent {
            0 => digits,
            -64..0 if point > 0 => {
                let (whole, fraction) = digits.split_at(point as usize);
                format!("{whole}.{fraction}")
            }
            -64..0 if point > -6 => format!("0.{}{digits}", "0".repeat(-point as usize)),
            exponent => format!("{digits}e{exponent}"),
        };
        self.out.put(minus.as_bytes());
        self.out.put(text.as_bytes());
        Ok(())
    }

    fn registered(&mut self, map: Word<'a>, entry: Word<'a>) -> Result<(), Stop> {
        let env = self.env;
        let fields = match terms::tuple(env, entry) {
            Some(&[_, _, fields]) => terms::tuple(env, fields).unwrap_or_default(),
            _ => return Err(damaged("fields")),
        };
        let first = self.values.len();
        self.enter(Open::Pairs { first, entry: 0 }, Kind::Map)?;
        self.spend(TERM * fields.len())?;
        for &field in fields {
            let Some(&[key, name]) = terms::tuple(env, field) else {
                return Err(damaged("fields"));
            };
            self.keys.push(name);
            // A struct that was made by hand may lack it.
            self.values.push(terms::get(env, map, key).unwrap_or(atoms::nil().into()));
        }
        self.out.put(b"{");
        Ok(())
    }

    /// What only Elixir knows: taken from what it has prepared, or noted.
    fn foreign(&mut self, map: Word<'a>, module: Word<'a>) -> Result<Option<Word<'a>>, Stop> {
        let Some((next, rest)) = terms::cell(self.env, self.prepared) else {
            self.needs = true;
            self.met.push(Met::New(map));
            self.out.null();
            return Ok(None);
        };
        match terms::tuple(self.env, next) {
            Some(&[how, term, inner]) if is(how, names::as_()) => {
                // What becomes itself comes to an end.
                if self.open.len() >= 2 * DEPTH {
                    let name = module_name(self.env, module);
                    let what = format!("{name} becomes other structs without an end");
                    return Err(Stop::refused(what, name, "let it become a map"));
                }
                self.prepared = inner;
                let outer = std::mem::take(&mut self.met);
                self.open.push(Open::As { rest, outer });
                Ok(Some(term))
            }
            Some(&[how, kind, hint]) if is(how, names::refuse()) => {
                let text = |word| {
                    terms::bytes(self.env, word).map(String::from_utf8_lossy).unwrap_or_default()
                };
                Err(refused(&text(kind), &text(hint)))
            }
            _ => {
                let name = module_name(self.env, module);
                Err(Stop::refused("a struct that was not prepared", name, "call it again"))
            }
        }
    }

    /// The error with the way to where the walk is.
    #[cold]
    fn with_path(&self, stop: Stop) -> Stop {
        self.open.iter().rev().fold(stop, |stop, open| match *open {
            Open::List { index: 0, .. } | Open::Pairs { entry: 0, .. } | Open::As { .. } => stop,
            Open::List { index, .. } => stop.within(|| Step::Index(index - 1)),
            Open::Pairs { first, entry } => {
                stop.within(|| step(self.env, self.keys[first + entry - 1]))
            }
        })
    }
}

#[cold]
fn refused(kind: &str, hint: &str) -> Stop {
    Stop::unsupported(kind, hint)
}

#[cold]
fn damaged(field: &str) -> Stop {
    let what = format!("a struct whose field {field} does not hold what it should");
    let hint = "make it by the functions of its module";
    Stop::refused(what, STRUCT, hint).within(|| Step::key(field))
}

/// 8-4-4-4-12.
fn uuid(id: &[u8]) -> String {
    let mut text = String::new();
    for (index, byte) in id.iter().enumerate() {
        if [4, 6, 8, 10].contains(&index) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}
