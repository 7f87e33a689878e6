//! Terms to CBOR, straight into the memory that keeps it.
//!
//! 1. A walk looks at each term once and writes it. The items of a list are gathered first, since CBOR
//!    says their number ahead of them.
//! 2. It stops with [`Stop::Large`] when it has done as much as its caller allows: a dirty scheduler
//!    begins anew.
//! 3. A struct that only Elixir knows is noted and passed over. The whole of them is answered, Elixir
//!    prepares each, and the next walk finds what they became in the same order ([`Prepared`]).

use super::big::Big;
use super::calendar::{self, Date, Offset, Time};
use super::path::{Path, Step};
use super::terms::{self, Kind, Pairs, Word};
use super::{OBJECT_PARTS, names};
use crate::atoms;
use crate::error::Fault;
use crate::tensor::Tensor;
use rustler::{Atom, Env};
use slipring_codec::Encoder;
use slipring_codec::format::ndarray::Order;
use slipring_codec::format::value::{ARRAY_OUT_OF_LINE, BYTES_OUT_OF_LINE};
use slipring_codec::tag;
use slipring_codec::token::{MAX_DEPTH, Sink};

/// What a term takes of the work that a walk may do, beside a unit for each byte of a binary.
const TERM: usize = 2;
/// Buffers that a part table has room for, beside head and metadata.
const BUFFERS: usize = 65_533;

const UNSUPPORTED: &str = "send what it stands for: a name, a number, text";

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
    fn refused(what: impl Into<String>, kind: impl Into<String>, hint: &str) -> Self {
        let (what, kind, hint) = (what.into(), kind.into(), hint.to_owned());
        let (unsupported, path) = (false, Path::default());
        Stop::Refused(Box::new(Refused { unsupported, what, kind, hint, path }))
    }

    #[cold]
    fn unsupported(kind: &str, hint: &str) -> Self {
        let article = if kind.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
        let mut stop = Stop::refused(format!("{article} {kind} has no form"), kind, hint);
        if let Stop::Refused(refused) = &mut stop {
            refused.unsupported = true;
        }
        stop
    }

    #[cold]
    fn within(mut self, step: impl FnOnce() -> Step) -> Self {
        if let Stop::Refused(refused) = &mut self {
            refused.path.enclose(step());
        }
        self
    }
}

impl From<Box<Refused>> for Fault {
    fn from(refused: Box<Refused>) -> Self {
        let Refused { unsupported, what, kind, hint, path } = *refused;
        Fault::unsendable_value(unsupported, &what, &path.to_string(), &kind, &hint)
    }
}

/// What Elixir has made of the structs that an earlier walk has noted: a list of `{:as, term}` and
/// `{:refuse, name, hint}`, in the order in which a walk meets them.
#[derive(Clone, Copy)]
pub(crate) struct Prepared<'a> {
    rest: Word<'a>,
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

/// What a walk has met, in its order: `None` for what was prepared, and the structs that are not.
pub(crate) type Met<'a> = Vec<Option<Word<'a>>>;

pub(crate) struct Walk<'a, S> {
    env: Env<'a>,
    out: Encoder<S>,
    rules: Rules<'a>,
    prepared: Prepared<'a>,
    met: Met<'a>,
    needs: bool,
    /// Data that stands out of line, where there is a place for it.
    buffers: Option<Vec<&'a [u8]>>,
    /// Items of the lists that are being written.
    items: Vec<Word<'a>>,
    keys: Keys<'a>,
    left: usize,
}

/// What a walk has made.
pub(crate) struct Written<'a, S> {
    pub(crate) out: Encoder<S>,
    pub(crate) buffers: Vec<&'a [u8]>,
    /// Not empty: Elixir has to prepare some.
    pub(crate) needs: Met<'a>,
    /// Units of work that are left.
    pub(crate) left: usize,
}

/// Binaries that were keys of late and are text. The keys of maps that were made in one place are often
/// the same terms, and terms don't move or end while the walk goes on: so the word tells which.
struct Keys<'a>([Option<(Word<'a>, &'a str)>; KEYS]);

const KEYS: usize = 16;
/// Longer keys take longer to write than to look at again.
const KEY_MOST: usize = 64;

impl<'a> Keys<'a> {
    #[inline]
    fn slot(&mut self, key: Word<'a>) -> &mut Option<(Word<'a>, &'a str)> {
        // The lowest bits of a word say its kind.
        let bits = key.bits() >> 3;
        &mut self.0[(bits ^ bits >> 4) % KEYS]
    }
}

/// Writes `term`. With `buffers`, large data goes out of line. About `most` units of work are done at
/// most: one for each byte of a binary, [`TERM`] for each term.
pub(crate) fn encode<'a, S: Sink>(
    env: Env<'a>,
    term: Word<'a>,
    rules: Rules<'a>,
    out: Encoder<S>,
    buffers: bool,
    most: usize,
) -> Result<Written<'a, S>, Stop> {
    let mut walk = Walk {
        env,
        out,
        rules,
        prepared: Prepared { rest: rules.prepared },
        met: Vec::new(),
        needs: false,
        buffers: buffers.then(Vec::new),
        items: Vec::new(),
        keys: Keys([None; KEYS]),
        left: most,
    };
    walk.term(term, 0)?;
    Ok(Written {
        out: walk.out,
        buffers: walk.buffers.unwrap_or_default(),
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

impl<'a, S: Sink> Walk<'a, S> {
    #[inline]
    fn spend(&mut self, units: usize) -> Result<(), Stop> {
        self.left = self.left.checked_sub(units).ok_or(Stop::Large)?;
        Ok(())
    }

    #[inline]
    fn enter(&self, depth: usize, kind: Kind) -> Result<(), Stop> {
        if depth < MAX_DEPTH { Ok(()) } else { Err(too_deep(kind)) }
    }

    fn term(&mut self, term: Word<'a>, depth: usize) -> Result<(), Stop> {
        self.spend(TERM)?;
        match terms::kind(self.env, term) {
            Kind::Bits => self.binary(term, depth),
            Kind::Integer => self.integer(term, depth),
            Kind::Float => {
                // A float is what it was just said to be.
                self.out.float(terms::float(self.env, term).unwrap_or_default());
                Ok(())
            }
            Kind::Atom => self.atom(term, depth),
            Kind::List => self.list(term, depth),
            Kind::Map => self.map(term, depth),
            Kind::Tuple => self.tuple(term, depth),
            other => Err(Stop::unsupported(other.name(), UNSUPPORTED)),
        }
    }

    #[inline]
    fn integer(&mut self, term: Word<'a>, depth: usize) -> Result<(), Stop> {
        if let Some(value) = terms::int(self.env, term) {
            self.out.int(value);
        } else if let Some(value) = terms::uint(self.env, term) {
            self.out.uint(value);
        } else if let Some(big) = Big::read(self.env, term) {
            self.enter(depth, Kind::Integer)?;
            self.spend(big.len())?;
            big.write(&mut self.out);
        }
        Ok(())
    }

    #[inline]
    fn binary(&mut self, term: Word<'a>, depth: usize) -> Result<(), Stop> {
        let Some(bytes) = terms::bytes(self.env, term) else {
            let hint = "pad it to whole bytes";
            return Err(Stop::unsupported("bitstring", hint));
        };
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
                buffers.push(bytes);
            }
            _ => {
                self.out.bytes(bytes);
            }
        }
    }

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

    fn list(&mut self, list: Word<'a>, depth: usize) -> Result<(), Stop> {
        self.enter(depth, Kind::List)?;
        let first = self.items.len();
        let most = self.left / TERM;
        let mut rest = list;
        while let Some((head, tail)) = terms::cell(self.env, rest) {
            if self.items.len() - first == most {
                return Err(Stop::Large);
            }
            self.items.push(head);
            rest = tail;
        }
        let len = self.items.len() - first;
        if !terms::is_nil_list(self.env, rest) {
            let hint = "give a list that ends with [], or a tuple";
            return Err(Stop::refused("an improper list has no form", "improper list", hint));
        }
        self.out.array(len);
        for index in 0..len {
            let item = self.items[first + index];
            self.term(item, depth + 1).map_err(|stop| stop.within(|| Step::Index(index)))?;
        }
        self.items.truncate(first);
        Ok(())
    }

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

    fn map(&mut self, map: Word<'a>, depth: usize) -> Result<(), Stop> {
        let module = terms::get(self.env, map, atoms::struct_().into());
        if let Some(module) = module.filter(|&m| terms::kind(self.env, m) == Kind::Atom) {
            return self.structure(map, module, depth);
        }
        self.enter(depth, Kind::Map)?;
        let size = terms::map_size(self.env, map);
        self.out.map(size);
        let Some(pairs) = Pairs::new(self.env, map) else { return Ok(()) };
        for (entry, (key, value)) in pairs.enumerate() {
            self.key(key, depth + 1).map_err(|stop| stop.within(|| Step::KeyOf(entry)))?;
            let env = self.env;
            self.term(value, depth + 1).map_err(|stop| stop.within(|| step(env, key)))?;
        }
        Ok(())
    }

    #[inline]
    fn key(&mut self, key: Word<'a>, depth: usize) -> Result<(), Stop> {
        if self.rules.bytes {
            return self.term(key, depth);
        }
        if let Some((known, text)) = *self.keys.slot(key)
            && known == key
        {
            self.spend(TERM + text.len())?;
            self.out.text(text);
            return Ok(());
        }
        self.new_key(key, depth)
    }

    fn new_key(&mut self, key: Word<'a>, depth: usize) -> Result<(), Stop> {
        if terms::kind(self.env, key) == Kind::Bits
            && let Some(bytes) = terms::bytes(self.env, key).filter(|bytes| bytes.len() <= KEY_MOST)
            && let Ok(text) = std::str::from_utf8(bytes)
        {
            *self.keys.slot(key) = Some((key, text));
        }
        self.term(key, depth)
    }

    /// A field of a struct, which every one of its kind has that was not tampered with.
    fn field(&self, map: Word<'a>, name: Atom) -> Result<Word<'a>, Stop> {
        terms::get(self.env, map, name.into()).ok_or_else(|| {
            let name = terms::with_atom(self.env, name.into(), str::to_owned);
            let hint = "make it by the functions of its module";
            Stop::refused(format!("a struct without its field {name}"), "struct", hint)
        })
    }

    fn int_field(&self, map: Word<'a>, name: Atom) -> Result<i64, Stop> {
        let value = self.field(map, name)?;
        terms::int(self.env, value).ok_or_else(|| self.damaged(name))
    }

    fn bytes_field(&self, map: Word<'a>, name: Atom) -> Result<&'a [u8], Stop> {
        let value = self.field(map, name)?;
        terms::bytes(self.env, value).ok_or_else(|| self.damaged(name))
    }

    fn text_field(&self, map: Word<'a>, name: Atom) -> Result<&'a str, Stop> {
        std::str::from_utf8(self.bytes_field(map, name)?).map_err(|_| self.damaged(name))
    }

    #[cold]
    fn damaged(&self, name: Atom) -> Stop {
        let name = terms::with_atom(self.env, name.into(), str::to_owned);
        let hint = "make it by the functions of its module";
        let what = format!("a struct whose field {name} does not hold what it should");
        Stop::refused(what, "struct", hint).within(|| Step::key(&name))
    }

    fn structure(&mut self, map: Word<'a>, module: Word<'a>, depth: usize) -> Result<(), Stop> {
        // None of them takes more than a tag, an array and what stands in that.
        let n = names::all();
        let module_is = |atom: Atom| is(module, atom);
        if module_is(n.map_set) {
            self.set(map, depth)
        } else if module_is(n.range) {
            self.range(map, depth)
        } else if module_is(n.date) {
            self.date(map, depth)
        } else if module_is(n.time) {
            self.enter(depth, Kind::Map)?;
            let text = self.time_of(map)?.to_string();
            self.out.tag(tag::TIME).text(&text);
            Ok(())
        } else if module_is(n.naive) {
            self.enter(depth, Kind::Map)?;
            let text = format!("{}T{}", self.date_of(map)?, self.time_of(map)?);
            self.out.tag(tag::NAIVE_DATETIME).text(&text);
            Ok(())
        } else if module_is(n.datetime) {
            self.datetime(map, depth)
        } else if module_is(n.decimal) || module_is(n.own_decimal) {
            self.decimal(map, depth)
        } else if module_is(n.own_duration) {
            let seconds = self.field(map, names::seconds())?;
            let microseconds = self.int_field(map, names::microseconds())?;
            self.duration(seconds, microseconds, depth)
        } else if module_is(n.duration) {
            self.elixir_duration(map, depth)
        } else if module_is(n.uuid) {
            self.uuid(map, depth)
        } else if module_is(n.tensor) {
            self.tensor(map, depth)
        } else if module_is(n.tag) {
            self.tag(map, depth)
        } else if module_is(n.object) {
            self.object(map, depth)
        } else if module_is(n.text) {
            let bytes = self.bytes_field(map, names::data())?;
            self.spend(bytes.len())?;
            let Ok(text) = std::str::from_utf8(bytes) else {
                let hint = "send it as %Slipring.Bytes{}, or as it is";
                return Err(Stop::refused("a text that is not UTF-8", "Slipring.Text", hint));
            };
            self.out.text(text);
            Ok(())
        } else if module_is(n.bytes) {
            let bytes = self.bytes_field(map, names::data())?;
            self.spend(bytes.len())?;
            self.bytes(bytes, BYTES_OUT_OF_LINE, depth);
            Ok(())
        } else if let Some(entry) = terms::get(self.env, self.rules.registry, module) {
            self.registered(map, entry, depth)
        } else {
            self.foreign(map, module, depth)
        }
    }

    /// What only Elixir knows: taken from what it has prepared, or noted.
    fn foreign(&mut self, map: Word<'a>, module: Word<'a>, depth: usize) -> Result<(), Stop> {
        // What it becomes counts as one level more, so that one which becomes itself comes to an end.
        self.enter(depth, Kind::Map)?;
        let Some((next, rest)) = terms::cell(self.env, self.prepared.rest) else {
            self.needs = true;
            self.met.push(Some(map));
            self.out.null();
            return Ok(());
        };
        self.prepared.rest = rest;
        self.met.push(None);
        match terms::tuple(self.env, next) {
            Some(&[how, term]) if is(how, names::as_()) => self.term(term, depth + 1),
            Some(&[how, kind, hint]) if is(how, names::refuse()) => {
                let text = |word| {
                    terms::bytes(self.env, word).map(String::from_utf8_lossy).unwrap_or_default()
                };
                Err(Stop::unsupported(&text(kind), &text(hint)))
            }
            _ => {
                let name = module_name(self.env, module);
                Err(Stop::refused("a struct that was not prepared", name, "call it again"))
            }
        }
    }

    fn registered(&mut self, map: Word<'a>, entry: Word<'a>, depth: usize) -> Result<(), Stop> {
        self.enter(depth + OBJECT_PARTS, Kind::Map)?;
        let Some(&[name, version, fields]) = terms::tuple(self.env, entry) else {
            return Err(Stop::refused(
                "a type that is registered wrongly",
                "struct",
                "register it",
            ));
        };
        let env = self.env;
        let text = |word| terms::bytes(env, word).and_then(|b| std::str::from_utf8(b).ok());
        let fields = terms::tuple(self.env, fields).unwrap_or_default();
        self.out.tag(tag::OBJECT).array(3).text(text(name).unwrap_or_default());
        self.out.uint(terms::uint(self.env, version).unwrap_or_default());
        self.out.map(fields.len());
        for &field in fields {
            let (key, name) = match terms::tuple(self.env, field) {
                Some(&[key, name]) => (key, text(name).unwrap_or_default()),
                _ => return Err(Stop::refused("a field that is no pair", "struct", "register it")),
            };
            self.out.text(name);
            // A struct that was made by hand may lack it.
            let value = terms::get(self.env, map, key).unwrap_or(atoms::nil().into());
            self.term(value, depth + OBJECT_PARTS + 1)
                .map_err(|stop| stop.within(|| Step::key(name)))?;
        }
        Ok(())
    }

    fn object(&mut self, map: Word<'a>, depth: usize) -> Result<(), Stop> {
        self.enter(depth + 1, Kind::Map)?;
        let name = self.text_field(map, names::name())?;
        let version = self.field(map, names::version())?;
        let version =
            terms::uint(self.env, version).ok_or_else(|| self.damaged(names::version()))?;
        let fields = self.field(map, names::fields())?;
        self.out.tag(tag::OBJECT).array(3).text(name).uint(version);
        // Fields are named by text, whatever the keys of the map are.
        match terms::kind(self.env, fields) {
            Kind::Map if terms::get(self.env, fields, atoms::struct_().into()).is_none() => {
                self.fields(fields, depth + OBJECT_PARTS)
            }
            _ => self.term(fields, depth + OBJECT_PARTS),
        }
    }

    fn fields(&mut self, fields: Word<'a>, depth: usize) -> Result<(), Stop> {
        self.enter(depth, Kind::Map)?;
        let env = self.env;
        self.out.map(terms::map_size(env, fields));
        let Some(pairs) = Pairs::new(env, fields) else { return Ok(()) };
        let mut named_by_atoms = None;
        for (key, value) in pairs {
            let atom = terms::kind(env, key) == Kind::Atom;
            if *named_by_atoms.get_or_insert(atom) != atom {
                let hint = "give the fields' names as atoms all, or as binaries all";
                return Err(Stop::refused("fields with names of two kinds", "map", hint));
            }
            if atom {
                let out = &mut self.out;
                terms::with_atom(env, key, |text| {
                    out.text(text);
                });
            } else {
                self.key(key, depth + 1)?;
            }
            self.term(value, depth + 1).map_err(|stop| stop.within(|| step(env, key)))?;
        }
        Ok(())
    }

    fn set(&mut self, map: Word<'a>, depth: usize) -> Result<(), Stop> {
        self.enter(depth + 1, Kind::Map)?;
        let elements = self.field(map, names::map())?;
        let Some(pairs) = Pairs::new(self.env, elements) else {
            return Err(self.damaged(names::map()));
        };
        self.out.tag(tag::SET).array(terms::map_size(self.env, elements));
        for (index, (element, _)) in pairs.enumerate() {
            self.term(element, depth + 2).map_err(|stop| stop.within(|| Step::Index(index)))?;
        }
        Ok(())
    }

    fn range(&mut self, map: Word<'a>, depth: usize) -> Result<(), Stop> {
        self.enter(depth + 2, Kind::Map)?;
        let big = |name| {
            let value = self.field(map, name)?;
            Big::read(self.env, value).ok_or_else(|| self.damaged(name))
        };
        let (first, last) = (big(names::first())?, big(names::last())?);
        let step = self.int_field(map, names::step())?;
        self.out.tag(tag::RANGE).array(3);
        first.write(&mut self.out);
        // Elixir's last is a part of the range, where the step meets it.
        last.plus(if step < 0 { -1 } else { 1 }).write(&mut self.out);
        self.out.int(step);
        Ok(())
    }

    fn calendar(&self, map: Word<'a>) -> Result<(), Stop> {
        if is(self.field(map, names::calendar())?, names::all().iso) {
            return Ok(());
        }
        let hint = "convert it to Calendar.ISO, by convert/2 of its module";
        Err(Stop::refused("a date or time of another calendar", "struct", hint))
    }

    fn date_of(&self, map: Word<'a>) -> Result<Date, Stop> {
        self.calendar(map)?;
        let year = self.int_field(map, names::year())?;
        let month = self.int_field(map, names::month())?;
        let day = self.int_field(map, names::day())?;
        Date::new(year, month, day).ok_or_else(|| self.damaged(names::day()))
    }

    fn time_of(&self, map: Word<'a>) -> Result<Time, Stop> {
        self.calendar(map)?;
        let hour = self.int_field(map, names::hour())?;
        let minute = self.int_field(map, names::minute())?;
        let second = self.int_field(map, names::second())?;
        let (microsecond, precision) = self.microsecond(map)?;
        Time::new(hour, minute, second, microsecond, precision)
            .ok_or_else(|| self.damaged(names::second()))
    }

    /// Microseconds, and how many digits of them are meant.
    fn microsecond(&self, map: Word<'a>) -> Result<(i64, i64), Stop> {
        let pair = self.field(map, names::microsecond())?;
        let read = |word| terms::int(self.env, word);
        match terms::tuple(self.env, pair) {
            Some(&[value, precision]) => read(value).zip(read(precision)),
            _ => None,
        }
        .ok_or_else(|| self.damaged(names::microsecond()))
    }

    fn date(&mut self, map: Word<'a>, depth: usize) -> Result<(), Stop> {
        self.enter(depth, Kind::Map)?;
        let date = self.date_of(map)?;
        if date.is_plain() {
            self.out.tag(tag::DATE).text(&date.to_string());
        } else {
            self.out.tag(tag::EPOCH_DATE).int(date.to_days());
        }
        Ok(())
    }

    fn datetime(&mut self, map: Word<'a>, depth: usize) -> Result<(), Stop> {
        self.enter(depth + 1, Kind::Map)?;
        let mut text = format!("{}T{}", self.date_of(map)?, self.time_of(map)?);
        let zone = self.text_field(map, names::time_zone())?;
        let abbreviation = self.text_field(map, names::zone_abbr())?;
        let standard = self.int_field(map, names::utc_offset())?;
        let saving = self.int_field(map, names::std_offset())?;
        let offset = standard.checked_add(saving).and_then(|sum| i32::try_from(sum).ok());
        let offset = offset.filter(|sum| sum.abs() < 86_400);
        let offset = offset.ok_or_else(|| self.damaged(names::utc_offset()))?;
        if zone == "Etc/UTC" && (standard, saving, abbreviation) == (0, 0, "UTC") {
            text.push('Z');
            self.out.tag(tag::DATETIME).text(&text);
            return Ok(());
        }
        let start = text.len();
        calendar::write_offset(&mut text, offset);
        // A zone that is its offset and nothing more, as this side makes them of what has no name.
        if zone == &text[start..] && abbreviation == zone && saving == 0 {
            self.out.tag(tag::DATETIME).text(&text);
            return Ok(());
        }
        if !calendar::is_zone(zone) {
            return Err(self.damaged(names::time_zone()));
        }
        text.push('[');
        text.push_str(zone);
        text.push(']');
        self.out.tag(tag::ZONED_DATETIME).array(3).text(&text).text(abbreviation).int(saving);
        Ok(())
    }

    fn decimal(&mut self, map: Word<'a>, depth: usize) -> Result<(), Stop> {
        self.enter(depth + 2, Kind::Map)?;
        let sign = self.int_field(map, names::sign())?;
        let exponent = self.field(map, names::exp())?;
        let coefficient = self.field(map, names::coef())?;
        let minus = if sign < 0 { "-" } else { "" };
        if is(coefficient, names::not_a_number()) {
            self.out.tag(tag::DECIMAL_TEXT).text("NaN");
            return Ok(());
        }
        if is(coefficient, names::inf()) {
            self.out.tag(tag::DECIMAL_TEXT).text(&format!("{minus}Infinity"));
            return Ok(());
        }
        let exponent = terms::int(self.env, exponent).ok_or_else(|| self.damaged(names::exp()))?;
        let mantissa = Big::read(self.env, coefficient)
            .filter(|mantissa| !mantissa.is_negative())
            .ok_or_else(|| self.damaged(names::coef()))?;
        self.spend(mantissa.len())?;
        if sign < 0 && mantissa.len() == 0 {
            let text = if exponent == 0 { "-0".to_owned() } else { format!("-0E{exponent}") };
            self.out.tag(tag::DECIMAL_TEXT).text(&text);
            return Ok(());
        }
        self.out.tag(tag::DECIMAL).array(2).int(exponent);
        let mantissa = if sign < 0 { mantissa.negated() } else { mantissa };
        mantissa.write(&mut self.out);
        Ok(())
    }

    fn duration(&mut self, seconds: Word<'a>, microseconds: i64, depth: usize) -> Result<(), Stop> {
        self.enter(depth + 1, Kind::Map)?;
        let seconds =
            terms::int(self.env, seconds).ok_or_else(|| self.damaged(names::seconds()))?;
        self.write_duration(seconds, microseconds);
        Ok(())
    }

    fn write_duration(&mut self, seconds: i64, microseconds: i64) {
        let parts = if microseconds == 0 { 1 } else { 2 };
        self.out.tag(tag::DURATION).map(parts).int(1).int(seconds);
        if microseconds != 0 {
            self.out.int(-6).int(microseconds);
        }
    }

    /// Elixir's own, from 1.17 on.
    fn elixir_duration(&mut self, map: Word<'a>, depth: usize) -> Result<(), Stop> {
        self.enter(depth + 1, Kind::Map)?;
        if self.int_field(map, names::year())? != 0 || self.int_field(map, names::month())? != 0 {
            let hint = "years and months have no fixed length: send them as numbers of their own";
            return Err(Stop::refused("a duration of years or months", "Duration", hint));
        }
        let mut seconds = 0i64;
        for (name, length) in [
            (names::week(), 604_800),
            (names::day(), 86_400),
            (names::hour(), 3_600),
            (names::minute(), 60),
            (names::second(), 1),
        ] {
            let sum = self.int_field(map, name)?.checked_mul(length);
            let sum = sum.and_then(|sum| seconds.checked_add(sum));
            seconds = sum.ok_or_else(|| self.damaged(name))?;
        }
        let (microseconds, _) = self.microsecond(map)?;
        self.write_duration(seconds, microseconds);
        Ok(())
    }

    fn uuid(&mut self, map: Word<'a>, depth: usize) -> Result<(), Stop> {
        self.enter(depth, Kind::Map)?;
        let bytes = self.bytes_field(map, names::bytes())?;
        if bytes.len() != 16 {
            return Err(self.damaged(names::bytes()));
        }
        self.out.tag(tag::UUID).bytes(bytes);
        Ok(())
    }

    fn tensor(&mut self, map: Word<'a>, depth: usize) -> Result<(), Stop> {
        let tensor = Tensor::of_struct(self.env, map).map_err(|(field, what, hint)| {
            let stop = Stop::refused(what, "Slipring.Tensor", hint);
            match field {
                Some(field) => stop.within(|| Step::key(field)),
                None => stop,
            }
        })?;
        let array = &tensor.descriptor;
        let data = tensor.data.as_slice();
        let out_of_line = self.buffers.is_some() && data.len() >= ARRAY_OUT_OF_LINE;
        self.spend(if out_of_line { TERM } else { data.len() })?;
        // A tag around an array, a tag, and the tag of a buffer.
        self.enter(depth + 3, Kind::Map)?;
        match super::array::tag_of(array.dtype()) {
            Some(typed) => {
                if array.shape().len() != 1 {
                    let c = array.order() == Order::C;
                    self.out.tag(if c { tag::ARRAY_C } else { tag::ARRAY_F });
                    self.out.array(2).array(array.shape().len());
                    for &length in array.shape() {
                        self.out.uint(length);
                    }
                }
                self.out.tag(typed);
            }
            None => {
                self.out.tag(tag::NDARRAY).array(2).bytes(&super::array::head(array));
            }
        }
        self.bytes(data, ARRAY_OUT_OF_LINE, depth + 3);
        Ok(())
    }

    fn tag(&mut self, map: Word<'a>, depth: usize) -> Result<(), Stop> {
        self.enter(depth, Kind::Map)?;
        let number = self.field(map, names::number())?;
        let number = terms::uint(self.env, number).ok_or_else(|| self.damaged(names::number()))?;
        if number == tag::BUFFER {
            let hint = "send the bytes: those that are large go out of line by themselves";
            return Err(Stop::refused("the tag of buffers", "Slipring.Tag", hint));
        }
        let value = self.field(map, names::value())?;
        self.out.tag(number);
        self.term(value, depth + 1).map_err(|stop| stop.within(|| Step::Tag(number)))
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
        Kind::Integer => Step::OtherKey(match terms::int(env, key) {
            Some(value) => value.to_string(),
            None => "integer".into(),
        }),
        Kind::Float => {
            Step::OtherKey(terms::float(env, key).map_or("float".into(), |x| format!("{x:?}")))
        }
        other => Step::OtherKey(other.name().into()),
    }
}

/// Whether a zone's name is an offset and nothing more.
pub(crate) fn offset_zone(offset: &Offset<'_>) -> Option<(i32, String)> {
    let Offset::Seconds(seconds, _) = offset else { return None };
    let mut name = String::new();
    calendar::write_offset(&mut name, *seconds);
    Some((*seconds, name))
}
