//! CBOR to terms, in one pass.
//!
//! 1. Nothing is made on credit: items are gathered as they are read, each costs the input a byte at
//!    least, and what containers announce together may not exceed what is left of it.
//! 2. Large byte strings and the data of arrays are views on the memory that the input lies in.
//! 3. Atoms are looked up, never made.
//! 4. A tag of `docs/types.md` encloses what stands there, or is refused. Other tags are kept.
//! 5. What the BEAM can't hold as it came is noted ([`notes`]), for a warning.

use super::array::{self, Number};
use super::big::Big;
use super::calendar::{self, Date, Offset, Time};
use super::encode::{offset_zone, step};
use super::terms::{self, Gathered, Word};
use super::{OBJECT_PARTS, names};
use crate::atoms;
use crate::error::Fault;
use rustler::{Atom, Env};
use slipring_codec::error::{Path, Segment as Step};
use slipring_codec::format::ndarray::{Descriptor, Order};
use slipring_codec::format::value::{
    ARRAY_OUT_OF_LINE, BYTES_OUT_OF_LINE, Bytes, is_array, read_array,
};
use slipring_codec::token::check_depth;
use slipring_codec::{DecodeError, Decoder, Part, Token, tag};
use std::collections::HashSet;

/// What was lost, as bits. `Slipring.Lossy` has the words for them, in this order.
pub(crate) mod notes {
    /// An atom that does not exist became a string.
    pub(crate) const ATOM: u32 = 1;
    /// A float that the BEAM can't hold became an atom.
    pub(crate) const FLOAT: u32 = 2;
    /// Digits of a second beyond the sixth were cut.
    pub(crate) const SECOND: u32 = 4;
    /// A frozen set became a set.
    pub(crate) const FROZEN: u32 = 8;
    /// An element of an array became a number.
    pub(crate) const ELEMENT: u32 = 16;
    /// What a decimal's NaN says, or that it signals, was dropped.
    pub(crate) const DECIMAL: u32 = 32;
    /// Fields that a struct does not have were dropped.
    pub(crate) const FIELD: u32 = 64;
    /// An object of a version that its struct does not read.
    pub(crate) const VERSION: u32 = 128;
    /// No loss: an object's name is not registered.
    pub(crate) const UNKNOWN: u32 = 1 << 16;
    /// No loss: an object is for Elixir to load.
    pub(crate) const LOAD: u32 = 1 << 17;
}

/// How values are read, by the bits that `Slipring.Value` gives.
#[derive(Clone, Copy)]
pub(crate) struct Options(pub(crate) u32);

impl Options {
    fn atom_keys(self) -> bool {
        self.0 & 1 != 0
    }
    fn nan_is_error(self) -> bool {
        self.0 & 2 != 0
    }
    fn uuid_text(self) -> bool {
        self.0 & 4 != 0
    }
    fn no_structs(self) -> bool {
        self.0 & 8 != 0
    }
}

/// What Elixir gives to make structs of.
#[derive(Clone, Copy)]
pub(crate) struct Forms<'a> {
    /// A struct of each kind, in the order of [`form`].
    pub(crate) templates: &'a [Word<'a>],
    /// `%{name => {template, version, loads?}}`
    pub(crate) registry: Word<'a>,
}

/// The places of the templates.
pub(crate) mod form {
    pub(crate) const SET: usize = 0;
    pub(crate) const RANGE: usize = 1;
    pub(crate) const DATE: usize = 2;
    pub(crate) const TIME: usize = 3;
    pub(crate) const NAIVE: usize = 4;
    pub(crate) const DATETIME: usize = 5;
    pub(crate) const DECIMAL: usize = 6;
    pub(crate) const DURATION: usize = 7;
    pub(crate) const UUID: usize = 8;
    pub(crate) const TENSOR: usize = 9;
    pub(crate) const TAG: usize = 10;
    pub(crate) const OBJECT: usize = 11;
    pub(crate) const COUNT: usize = 12;
}

/// The input, and how a piece of it becomes a binary in place.
pub(crate) struct Input<'a, 'b, 'c> {
    /// The value.
    pub(crate) head: Part<'b>,
    pub(crate) buffers: &'c [Part<'b>],
    /// A binary that lies in place, of a piece of the input.
    pub(crate) view: &'c dyn Fn(&'b [u8]) -> Word<'a>,
}

/// Why reading stopped.
pub(crate) enum Stop {
    /// There is more to do than it may.
    Large,
    Refused(Box<Refused>),
}

/// Why an input can't be read.
pub(crate) struct Refused {
    what: String,
    hint: &'static str,
    offset: usize,
    path: Path,
}

impl Stop {
    #[cold]
    fn refused(what: impl Into<String>, hint: &'static str, offset: usize) -> Self {
        let (what, path) = (what.into(), Path::default());
        Stop::Refused(Box::new(Refused { what, hint, offset, path }))
    }

    #[cold]
    fn within(mut self, step: impl FnOnce() -> Step) -> Self {
        if let Stop::Refused(refused) = &mut self {
            refused.path.enclose(step());
        }
        self
    }
}

impl From<DecodeError> for Stop {
    #[cold]
    fn from(error: DecodeError) -> Self {
        Stop::refused(error.kind().to_string(), error.hint(), error.offset())
    }
}

impl From<Box<Refused>> for Fault {
    fn from(refused: Box<Refused>) -> Self {
        let Refused { what, hint, offset, path } = *refused;
        Fault::undecodable(&what, &path.to_string(), offset, hint)
    }
}

const FAULTY: &str = "the sender's encoder is faulty, or the bytes are damaged";
const NOT_CBOR: &str = "the bytes are not CBOR (RFC 8949): look for damage, or for another format";

/// A term that was read.
pub(crate) struct Read<'a> {
    pub(crate) term: Word<'a>,
    /// See [`notes`].
    pub(crate) notes: u32,
    /// Items that might still have been read.
    pub(crate) left: usize,
}

struct Reader<'a, 'b, 'c> {
    env: Env<'a>,
    input: Decoder<'b>,
    buffers: &'c [Part<'b>],
    view: &'c dyn Fn(&'b [u8]) -> Word<'a>,
    options: Options,
    forms: Forms<'a>,
    /// Items of the containers that are being read: of maps the values, their keys beside them.
    items: Gathered<'a>,
    keys: Gathered<'a>,
    /// Items that the open containers still expect.
    owed: usize,
    left: usize,
    notes: u32,
    /// The keys that stood at these places of other maps, and their terms.
    known: [Option<(&'b [u8], Word<'a>)>; KEYS],
}

/// How many keys are known by their places, in which those of nested maps have others: the maps of a list
/// mostly have the same ones, which so take their memory once.
const KEYS: usize = 32;
const KEY_MOST: usize = 64;
/// Texts up to so many bytes are looked at in place.
const SHORT: usize = 64;

/// Reads the value, which must be all of the input's head, in about `most` items at most.
pub(crate) fn decode<'a>(
    env: Env<'a>,
    input: &Input<'a, '_, '_>,
    options: Options,
    forms: Forms<'a>,
    most: usize,
) -> Result<Read<'a>, Stop> {
    let shift = input.head.offset;
    let mut reader = Reader {
        env,
        input: Decoder::new(input.head.bytes),
        buffers: input.buffers,
        view: input.view,
        options,
        forms,
        items: Gathered::new(),
        keys: Gathered::new(),
        owed: 0,
        left: most,
        notes: 0,
        known: [None; KEYS],
    };
    let read = reader.item(0).and_then(|term| {
        reader.input.finish()?;
        Ok(Read { term, notes: reader.notes, left: reader.left })
    });
    read.map_err(|mut stop| {
        if let Stop::Refused(refused) = &mut stop {
            refused.offset += shift;
        }
        stop
    })
}

impl<'a, 'b> Reader<'a, 'b, '_> {
    #[inline]
    fn enter(&self, depth: usize, offset: usize) -> Result<(), Stop> {
        Ok(check_depth(depth, offset)?)
    }

    /// Enters a container of so many items. Answers how many those around it still expect.
    #[inline]
    fn announce(&mut self, items: usize, depth: usize, offset: usize) -> Result<usize, Stop> {
        self.spend(1 + items)?;
        self.input.open(offset, items, depth, self.owed)?;
        Ok(self.owed)
    }

    #[inline]
    fn spend(&mut self, items: usize) -> Result<(), Stop> {
        self.left = self.left.checked_sub(items).ok_or(Stop::Large)?;
        Ok(())
    }

    /// Reads an item. What there is most of is made here, in place; the rest is called.
    #[inline(always)]
    fn item(&mut self, depth: usize) -> Result<Word<'a>, Stop> {
        let (start, env) = (self.input.offset(), self.env);
        if let Some(n) = self.input.unsigned() {
            return Ok(match i64::try_from(n) {
                Ok(n) => terms::make_int(env, n),
                Err(_) => terms::make_uint(env, n),
            });
        }
        if let Some(text) = self.input.text_bytes() {
            return self.text_term(text);
        }
        if let Some(value) = self.input.float64() {
            return self.float(value, start);
        }
        Ok(match self.input.token()? {
            Token::Negative(n) if n <= i64::MAX as u64 => terms::make_int(env, -1 - n as i64),
            token => return self.made(token, start, depth),
        })
    }

    #[inline(always)]
    fn text_term(&mut self, text: &'b [u8]) -> Result<Word<'a>, Stop> {
        if text.len() <= SHORT && text.is_ascii() {
            return Ok(terms::make_binary(self.env, text));
        }
        self.long_text(text)
    }

    #[inline(never)]
    fn long_text(&mut self, text: &'b [u8]) -> Result<Word<'a>, Stop> {
        match std::str::from_utf8(text) {
            Ok(_) => Ok(self.binary(text)),
            Err(error) => {
                // It ends where the decoder is.
                let offset = self.input.offset() - text.len() + error.valid_up_to();
                Err(Stop::refused("a text is not UTF-8", NOT_CBOR, offset))
            }
        }
    }

    /// The term that begins with a token.
    #[inline(never)]
    fn made(&mut self, token: Token<'b>, start: usize, depth: usize) -> Result<Word<'a>, Stop> {
        let env = self.env;
        Ok(match token {
            Token::Unsigned(value) => match i64::try_from(value) {
                Ok(value) => terms::make_int(env, value),
                Err(_) => terms::make_uint(env, value),
            },
            Token::Negative(n) => self.big(&Big::from(-1 - i128::from(n)), start)?,
            Token::Float(value) => self.float(value, start)?,
            Token::Text(text) => self.long_text(text.as_bytes())?,
            Token::Bytes(bytes) => self.binary(bytes),
            Token::TextPieces => terms::make_binary(env, self.input.join_text()?.as_bytes()),
            Token::BytesPieces => terms::make_binary(env, &self.input.join_bytes()?),
            Token::Null => atoms::nil().into(),
            Token::Bool(true) => names::true_().into(),
            Token::Bool(false) => names::false_().into(),
            Token::Array(len) => self.list(len, depth, start)?,
            Token::Map(len) => self.map(len, depth, start)?,
            Token::Tag(number) => {
                self.tag(number, start, depth).map_err(|stop| stop.within(|| Step::Tag(number)))?
            }
            token => return Err(self.input.unfit(&token, start).into()),
        })
    }

    #[inline(never)]
    fn list(&mut self, len: Option<usize>, depth: usize, start: usize) -> Result<Word<'a>, Stop> {
        let first = self.array(len, depth, start)?;
        let list = terms::make_list(self.env, &self.items[first..]);
        self.items.truncate(first);
        Ok(list)
    }

    fn binary(&mut self, bytes: &'b [u8]) -> Word<'a> {
        if bytes.len() >= BYTES_OUT_OF_LINE {
            return (self.view)(bytes);
        }
        terms::make_binary(self.env, bytes)
    }

    fn big(&mut self, big: &Big, start: usize) -> Result<Word<'a>, Stop> {
        let hint = "send it as text or as bytes";
        big.term(self.env)
            .ok_or_else(|| Stop::refused("an integer larger than the BEAM can hold", hint, start))
    }

    #[inline(always)]
    fn float(&mut self, value: f64, start: usize) -> Result<Word<'a>, Stop> {
        if value.is_finite() {
            return Ok(terms::make_float(self.env, value));
        }
        self.no_number(value, start)
    }

    #[cold]
    fn no_number(&mut self, value: f64, start: usize) -> Result<Word<'a>, Stop> {
        if self.options.nan_is_error() {
            let hint = "decode it with nan: :atoms, or send floats as an array";
            return Err(Stop::refused(format!("a float that is {value}"), hint, start));
        }
        self.notes |= notes::FLOAT;
        let atom = match value {
            f64::INFINITY => atoms::infinity(),
            f64::NEG_INFINITY => atoms::neg_infinity(),
            _ => atoms::nan(),
        };
        Ok(atom.into())
    }

    /// Gathers the items of an array. Answers where among the gathered they begin.
    fn array(&mut self, len: Option<usize>, depth: usize, start: usize) -> Result<usize, Stop> {
        let outer = self.announce(len.unwrap_or(0), depth, start)?;
        let first = self.items.len();
        // Paid for by the input: an item is a byte of it at least.
        self.items.reserve(len.unwrap_or(0));
        let mut index = 0;
        while match len {
            Some(len) => index < len,
            None => !self.input.take_break(),
        } {
            match len {
                Some(len) => self.owed = outer + (len - index - 1),
                None => self.spend(1)?,
            }
            let item = self.item(depth + 1);
            let item = item.map_err(|stop| stop.within(|| Step::Index(index)))?;
            self.items.push(item);
            index += 1;
        }
        Ok(first)
    }

    fn map(&mut self, len: Option<usize>, depth: usize, start: usize) -> Result<Word<'a>, Stop> {
        let outer = self.announce(len.map_or(0, |len| 2 * len), depth, start)?;
        let (first_key, first) = (self.keys.len(), self.items.len());
        let mut entry = 0;
        while match len {
            Some(len) => entry < len,
            None => !self.input.take_break(),
        } {
            match len {
                Some(len) => self.owed = outer + 2 * (len - entry - 1),
                None => self.spend(2)?,
            }
            let key = self.key((entry + 7 * depth) % KEYS, depth + 1);
            let key = key.map_err(|stop| stop.within(|| Step::KeyOf(entry)))?;
            self.keys.push(key);
            let env = self.env;
            let value = self.item(depth + 1).map_err(|stop| stop.within(|| step(env, key)))?;
            self.items.push(value);
            entry += 1;
        }
        let (keys, values) = (&self.keys[first_key..], &self.items[first..]);
        let Some(map) = terms::make_map(self.env, keys, values) else {
            return Err(self.repeated(first_key, start));
        };
        self.keys.truncate(first_key);
        self.items.truncate(first);
        Ok(map)
    }

    /// Which of the keys from `first` on stands twice.
    #[cold]
    fn repeated(&self, first: usize, start: usize) -> Stop {
        let mut keys = self.keys[first..].to_vec();
        keys.sort_unstable_by(|a, b| terms::compare(*a, *b));
        let twice = keys.windows(2).find(|pair| terms::identical(pair[0], pair[1]));
        let hint = "send each key of a map once; text and bytes of the same octets are one key here, \
                    and so are an atom that does not exist and its text";
        let stop = Stop::refused("a map holds this key twice", hint, start);
        match twice {
            Some(pair) => stop.within(|| step(self.env, pair[0])),
            None => stop,
        }
    }

    #[inline(always)]
    fn key(&mut self, place: usize, depth: usize) -> Result<Word<'a>, Stop> {
        let start = self.input.offset();
        let Some(text) = self.input.text_bytes() else {
            let key = self.item(depth)?;
            return match terms::identical(key, atoms::struct_().into()) {
                true => Err(Stop::refused(
                    "a map would be a struct",
                    "send a struct by Slipring.Encodable, or a map without the key :__struct__",
                    start,
                )),
                false => Ok(key),
            };
        };
        if let Some((known, term)) = self.known[place]
            && terms::same(known, text)
        {
            return Ok(term);
        }
        self.new_key(text, place)
    }

    #[inline(never)]
    fn new_key(&mut self, text: &'b [u8], place: usize) -> Result<Word<'a>, Stop> {
        let atom = match std::str::from_utf8(text) {
            // A map must not become a struct by what somebody sent.
            Ok(text) if self.options.atom_keys() && text != "__struct__" => {
                terms::existing_atom(self.env, text)
            }
            _ => None,
        };
        let term = match atom {
            Some(atom) => atom,
            // Which says where it is not UTF-8.
            None => self.long_text(text)?,
        };
        if text.len() <= KEY_MOST {
            self.known[place] = Some((text, term));
        }
        Ok(term)
    }

    /// What a tag encloses, at `depth`, which is one deeper than the tag.
    fn tag(&mut self, number: u64, start: usize, depth: usize) -> Result<Word<'a>, Stop> {
        self.spend(1)?;
        self.enter(depth, start)?;
        // A tag owes its item, which costs a byte.
        let depth = depth + 1;
        match number {
            tag::ATOM => self.atom(number, start),
            tag::TUPLE => {
                let len = self.expect_array(number, start)?;
                let first = self.array(len, depth, start)?;
                let tuple = terms::make_tuple(self.env, &self.items[first..]);
                self.items.truncate(first);
                Ok(tuple)
            }
            tag::BUFFER => {
                let bytes = self.buffer(start)?;
                Ok((self.view)(bytes))
            }
            tag::POSITIVE_BIG | tag::NEGATIVE_BIG => {
                let bytes = self.bytes(number, start, depth)?;
                self.big(&Big::from_bytes(number == tag::NEGATIVE_BIG, &bytes), start)
            }
            tag::SET => self.set(start, depth),
            tag::FROZEN_SET => {
                self.notes |= notes::FROZEN;
                match self.input.token()? {
                    Token::Tag(tag::SET) => {
                        self.enter(depth, start)?;
                        self.set(start, depth + 1)
                    }
                    _ => Err(unfit(number, start)),
                }
            }
            tag::RANGE => self.range(start, depth),
            tag::DATE => {
                let date = calendar::date(self.text(number, start)?);
                self.date(date.ok_or_else(|| unfit(number, start))?, form::DATE)
            }
            tag::EPOCH_DATE => {
                let days = self.integer(number, start)?;
                let date = Date::from_days(days).ok_or_else(|| unfit(number, start))?;
                self.date(date, form::DATE)
            }
            tag::TIME => self.time(start),
            tag::NAIVE_DATETIME => {
                let text = self.text(number, start)?;
                let moment = calendar::moment(text)
                    .filter(|moment| moment.offset == Offset::None && moment.zone.is_none())
                    .ok_or_else(|| unfit(number, start))?;
                self.note(moment.cut, notes::SECOND);
                let date = self.date(moment.date, form::NAIVE)?;
                self.with_time(date, &moment.time)
            }
            tag::DATETIME => {
                let text = self.text(number, start)?;
                let moment = calendar::moment(text).filter(|moment| moment.zone.is_none());
                let moment = moment.ok_or_else(|| unfit(number, start))?;
                self.note(moment.cut, notes::SECOND);
                let date = self.date(moment.date, form::DATETIME)?;
                let term = self.with_time(date, &moment.time)?;
                match &moment.offset {
                    Offset::None => Err(unfit(number, start)),
                    Offset::Utc | Offset::Seconds(0, _) => Ok(term),
                    offset => {
                        let (seconds, name) = offset_zone(offset).unwrap_or_default();
                        self.zoned(term, seconds, 0, &name, &name)
                    }
                }
            }
            tag::EPOCH => self.epoch(start),
            tag::ZONED_DATETIME => self.zoned_datetime(start, depth),
            tag::DURATION => self.duration(start, depth),
            tag::DECIMAL => self.decimal(start, depth),
            tag::DECIMAL_TEXT => self.decimal_text(start),
            tag::UUID => self.uuid(start, depth),
            tag::OBJECT => self.object(start, depth),
            tag::ELEMENT => self.element(start, depth),
            tag::SELF_DESCRIBED => self.item(depth),
            number if is_array(number) => {
                let (array, data) = self.read_array(number)?;
                self.tensor(&array, data, start)
            }
            number => self.other(number, depth),
        }
    }

    /// A tag that is kept.
    fn other(&mut self, number: u64, depth: usize) -> Result<Word<'a>, Stop> {
        let value = self.item(depth)?;
        let number = terms::make_uint(self.env, number);
        self.form(form::TAG, &[(names::number(), number), (names::value(), value)])
    }

    fn note(&mut self, lost: bool, note: u32) {
        self.notes |= if lost { note } else { 0 };
    }

    /// A struct of one kind with these fields.
    fn form(&self, form: usize, fields: &[(Atom, Word<'a>)]) -> Result<Word<'a>, Stop> {
        let template = self.forms.templates.get(form);
        let missing = || Stop::refused("a struct that this Elixir makes otherwise", FAULTY, 0);
        let mut term = *template.ok_or_else(missing)?;
        for &(name, value) in fields {
            term = terms::update(self.env, term, name.into(), value).ok_or_else(missing)?;
        }
        Ok(term)
    }

    fn int(&self, value: impl Into<i64>) -> Word<'a> {
        terms::make_int(self.env, value.into())
    }

    // What a tag must enclose.

    fn text(&mut self, number: u64, start: usize) -> Result<&'b str, Stop> {
        match self.input.token()? {
            Token::Text(text) => Ok(text),
            _ => Err(unfit(number, start)),
        }
    }

    fn integer(&mut self, number: u64, start: usize) -> Result<i64, Stop> {
        let integer = self.input.token()?.as_integer();
        integer.and_then(|n| i64::try_from(n).ok()).ok_or_else(|| unfit(number, start))
    }

    fn unsigned(&mut self, number: u64, start: usize) -> Result<u64, Stop> {
        match self.input.token()? {
            Token::Unsigned(n) => Ok(n),
            _ => Err(unfit(number, start)),
        }
    }

    /// An integer of any size.
    fn any_integer(&mut self, number: u64, start: usize, depth: usize) -> Result<Big, Stop> {
        match self.input.token()? {
            Token::Tag(big @ (tag::POSITIVE_BIG | tag::NEGATIVE_BIG)) => {
                self.enter(depth, start)?;
                let bytes = self.bytes(number, start, depth + 1)?;
                Ok(Big::from_bytes(big == tag::NEGATIVE_BIG, &bytes))
            }
            token => token.as_integer().map(Big::from).ok_or_else(|| unfit(number, start)),
        }
    }

    fn expect_array(&mut self, number: u64, start: usize) -> Result<Option<usize>, Stop> {
        match self.input.token()? {
            Token::Array(len) => Ok(len),
            _ => Err(unfit(number, start)),
        }
    }

    /// An array of so many items, at `depth`.
    fn expect_items(
        &mut self,
        items: usize,
        number: u64,
        start: usize,
        depth: usize,
    ) -> Result<Ending, Stop> {
        self.enter(depth, start)?;
        match self.expect_array(number, start)? {
            None => Ok(Ending(true)),
            Some(len) if len == items => Ok(Ending(false)),
            Some(_) => Err(unfit(number, start)),
        }
    }

    fn end(&mut self, ending: Ending, number: u64, start: usize) -> Result<(), Stop> {
        if ending.0 && !self.input.take_break() { Err(unfit(number, start)) } else { Ok(()) }
    }

    /// A byte string: here, in pieces, or out of line.
    fn bytes(&mut self, number: u64, start: usize, depth: usize) -> Result<Data<'b>, Stop> {
        match self.input.token()? {
            Token::Bytes(bytes) => Ok(bytes.into()),
            Token::BytesPieces => Ok(self.input.join_bytes()?.into()),
            Token::Tag(tag::BUFFER) => {
                self.enter(depth, start)?;
                Ok(self.buffer(start)?.into())
            }
            _ => Err(unfit(number, start)),
        }
    }

    /// The buffer of which the number follows.
    fn buffer(&mut self, start: usize) -> Result<&'b [u8], Stop> {
        let number = self.unsigned(tag::BUFFER, start)?;
        let buffer = usize::try_from(number).ok().and_then(|number| self.buffers.get(number));
        buffer
            .map(|part| part.bytes)
            .ok_or_else(|| DecodeError::buffer_unknown(number, start).into())
    }

    // What the tags make.

    fn atom(&mut self, number: u64, start: usize) -> Result<Word<'a>, Stop> {
        let text = self.text(number, start)?;
        Ok(terms::existing_atom(self.env, text).unwrap_or_else(|| {
            self.notes |= notes::ATOM;
            terms::make_binary(self.env, text.as_bytes())
        }))
    }

    fn set(&mut self, start: usize, depth: usize) -> Result<Word<'a>, Stop> {
        let len = self.expect_array(tag::SET, start)?;
        let first = self.array(len, depth, start)?;
        let empty = terms::make_list(self.env, &[]);
        let elements = &self.items[first..];
        let values = vec![empty; elements.len()];
        let Some(map) = terms::make_map(self.env, elements, &values) else {
            return Err(Stop::refused("a set holds an element twice", FAULTY, start));
        };
        self.items.truncate(first);
        self.form(form::SET, &[(names::map(), map)])
    }

    fn range(&mut self, start: usize, depth: usize) -> Result<Word<'a>, Stop> {
        let ending = self.expect_items(3, tag::RANGE, start, depth)?;
        let first = self.any_integer(tag::RANGE, start, depth + 1)?;
        let stop = self.any_integer(tag::RANGE, start, depth + 1)?;
        let step = self.integer(tag::RANGE, start)?;
        self.end(ending, tag::RANGE, start)?;
        if step == 0 {
            return Err(unfit(tag::RANGE, start));
        }
        let last = stop.plus(if step < 0 { 1 } else { -1 });
        let (first, last) = (self.big(&first, start)?, self.big(&last, start)?);
        let step = self.int(step);
        self.form(
            form::RANGE,
            &[(names::first(), first), (names::last(), last), (names::step(), step)],
        )
    }

    fn date(&mut self, date: Date, form: usize) -> Result<Word<'a>, Stop> {
        self.form(
            form,
            &[
                (names::year(), self.int(date.year)),
                (names::month(), self.int(date.month)),
                (names::day(), self.int(date.day)),
            ],
        )
    }

    /// A struct with its time of day.
    fn with_time(&mut self, term: Word<'a>, time: &Time) -> Result<Word<'a>, Stop> {
        let microsecond = [self.int(time.microsecond), self.int(time.precision)];
        let fields = [
            (names::hour(), self.int(time.hour)),
            (names::minute(), self.int(time.minute)),
            (names::second(), self.int(time.second)),
            (names::microsecond(), terms::make_tuple(self.env, &microsecond)),
        ];
        self.updated(term, &fields)
    }

    fn updated(&self, term: Word<'a>, fields: &[(Atom, Word<'a>)]) -> Result<Word<'a>, Stop> {
        fields.iter().try_fold(term, |term, &(name, value)| {
            terms::update(self.env, term, name.into(), value)
                .ok_or_else(|| Stop::refused("a struct without its fields", FAULTY, 0))
        })
    }

    fn time(&mut self, start: usize) -> Result<Word<'a>, Stop> {
        let text = self.text(tag::TIME, start)?;
        let (time, offset, cut) = calendar::time(text).ok_or_else(|| unfit(tag::TIME, start))?;
        if offset != Offset::None {
            // Elixir's have none: it is kept as it came.
            let number = terms::make_uint(self.env, tag::TIME);
            let text = terms::make_binary(self.env, text.as_bytes());
            return self.form(form::TAG, &[(names::number(), number), (names::value(), text)]);
        }
        self.note(cut, notes::SECOND);
        let template = self.form(form::TIME, &[])?;
        self.with_time(template, &time)
    }

    fn zoned(
        &mut self,
        term: Word<'a>,
        standard: i32,
        saving: i32,
        zone: &str,
        abbreviation: &str,
    ) -> Result<Word<'a>, Stop> {
        let fields = [
            (names::utc_offset(), self.int(standard)),
            (names::std_offset(), self.int(saving)),
            (names::time_zone(), terms::make_binary(self.env, zone.as_bytes())),
            (names::zone_abbr(), terms::make_binary(self.env, abbreviation.as_bytes())),
        ];
        self.updated(term, &fields)
    }

    fn zoned_datetime(&mut self, start: usize, depth: usize) -> Result<Word<'a>, Stop> {
        const NUMBER: u64 = tag::ZONED_DATETIME;
        let ending = self.expect_items(3, NUMBER, start, depth)?;
        let text = self.text(NUMBER, start)?;
        let abbreviation = self.text(NUMBER, start)?;
        let saving = self.integer(NUMBER, start)?;
        self.end(ending, NUMBER, start)?;
        let moment = calendar::moment(text).ok_or_else(|| unfit(NUMBER, start))?;
        let offset = match moment.offset {
            Offset::Seconds(seconds, _) => seconds,
            Offset::Utc => 0,
            Offset::None => return Err(unfit(NUMBER, start)),
        };
        let zone = moment.zone.ok_or_else(|| unfit(NUMBER, start))?;
        let saving = i32::try_from(saving).ok().filter(|saving| saving.abs() <= 86_400);
        let saving = saving.ok_or_else(|| unfit(NUMBER, start))?;
        self.note(moment.cut, notes::SECOND);
        let date = self.date(moment.date, form::DATETIME)?;
        let term = self.with_time(date, &moment.time)?;
        self.zoned(term, offset - saving, saving, zone, abbreviation)
    }

    fn epoch(&mut self, start: usize) -> Result<Word<'a>, Stop> {
        let (microseconds, precision) = match self.input.token()? {
            Token::Float(seconds) if seconds.abs() < 1e12 => {
                ((seconds * 1e6).round_ties_even() as i128, 6)
            }
            token => {
                let seconds = token.as_integer().ok_or_else(|| unfit(tag::EPOCH, start))?;
                (seconds * 1_000_000, 0)
            }
        };
        let (date, time) = calendar::from_epoch(microseconds, precision)
            .ok_or_else(|| unfit(tag::EPOCH, start))?;
        let date = self.date(date, form::DATETIME)?;
        self.with_time(date, &time)
    }

    fn duration(&mut self, start: usize, depth: usize) -> Result<Word<'a>, Stop> {
        self.enter(depth, start)?;
        let Token::Map(len) = self.input.token()? else {
            return Err(unfit(tag::DURATION, start));
        };
        let (mut seconds, mut microseconds, mut entry) = (None, None, 0);
        while match len {
            Some(len) => entry < len,
            None => !self.input.take_break(),
        } {
            let place = match self.integer(tag::DURATION, start)? {
                1 => &mut seconds,
                -6 => &mut microseconds,
                _ => return Err(unfit(tag::DURATION, start)),
            };
            let twice = place.is_some();
            *place = Some(match self.input.token()?.as_integer().map(i64::try_from) {
                Some(Ok(value)) if !twice => value,
                _ => return Err(unfit(tag::DURATION, start)),
            });
            entry += 1;
        }
        self.form(
            form::DURATION,
            &[
                (names::seconds(), self.int(seconds.unwrap_or(0))),
                (names::microseconds(), self.int(microseconds.unwrap_or(0))),
            ],
        )
    }

    fn decimal_form(
        &mut self,
        negative: bool,
        coefficient: Word<'a>,
        exponent: i64,
    ) -> Result<Word<'a>, Stop> {
        self.form(
            form::DECIMAL,
            &[
                (names::sign(), self.int(if negative { -1 } else { 1 })),
                (names::coef(), coefficient),
                (names::exp(), self.int(exponent)),
            ],
        )
    }

    fn decimal(&mut self, start: usize, depth: usize) -> Result<Word<'a>, Stop> {
        let ending = self.expect_items(2, tag::DECIMAL, start, depth)?;
        let exponent = self.integer(tag::DECIMAL, start)?;
        let mantissa = self.any_integer(tag::DECIMAL, start, depth + 1)?;
        self.end(ending, tag::DECIMAL, start)?;
        let negative = mantissa.is_negative();
        let mantissa = if negative { mantissa.negated() } else { mantissa };
        let coefficient = self.big(&mantissa, start)?;
        self.decimal_form(negative, coefficient, exponent)
    }

    /// NaN, which may signal and say something, an infinity, or -0 in any of its spellings.
    fn decimal_text(&mut self, start: usize) -> Result<Word<'a>, Stop> {
        let text = self.text(tag::DECIMAL_TEXT, start)?;
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        if matches!(rest, "Infinity" | "Inf") {
            return self.decimal_form(negative, names::inf().into(), 0);
        }
        if let Some(says) = rest.strip_prefix("NaN").or_else(|| rest.strip_prefix("sNaN"))
            && says.bytes().all(|byte| byte.is_ascii_digit())
        {
            self.note(rest != "NaN", notes::DECIMAL);
            return self.decimal_form(negative, names::not_a_number().into(), 0);
        }
        let (digits, exponent) = rest.split_once(['E', 'e']).unwrap_or((rest, "0"));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let zero =
            !whole.is_empty() && [whole, fraction].iter().all(|d| d.bytes().all(|b| b == b'0'));
        let exponent: Option<i64> = exponent.parse().ok();
        match exponent.and_then(|exponent| exponent.checked_sub(fraction.len() as i64)) {
            Some(exponent) if zero => {
                let coefficient = self.int(0);
                self.decimal_form(negative, coefficient, exponent)
            }
            _ => Err(unfit(tag::DECIMAL_TEXT, start)),
        }
    }

    fn uuid(&mut self, start: usize, depth: usize) -> Result<Word<'a>, Stop> {
        let bytes = self.bytes(tag::UUID, start, depth)?;
        let Ok(bytes) = <[u8; 16]>::try_from(&*bytes) else {
            return Err(unfit(tag::UUID, start));
        };
        if !self.options.uuid_text() {
            let bytes = terms::make_binary(self.env, &bytes);
            return self.form(form::UUID, &[(names::bytes(), bytes)]);
        }
        let mut text = [b'-'; 36];
        let mut places = (0..36).filter(|place| ![8, 13, 18, 23].contains(place));
        for byte in bytes {
            for digit in [byte >> 4, byte & 15] {
                if let Some(place) = places.next() {
                    text[place] = b"0123456789abcdef"[usize::from(digit)];
                }
            }
        }
        Ok(terms::make_binary(self.env, &text))
    }

    fn object(&mut self, start: usize, depth: usize) -> Result<Word<'a>, Stop> {
        let ending = self.expect_items(3, tag::OBJECT, start, depth)?;
        let name = self.text(tag::OBJECT, start)?;
        let version = self.unsigned(tag::OBJECT, start)?;
        let name_term = terms::make_binary(self.env, name.as_bytes());
        let fields_depth = depth + OBJECT_PARTS - 1;
        if !self.options.no_structs() {
            match self.registered(name_term) {
                // What was dropped or added since, the version does not say: names decide.
                Some((template, own, loads)) if version == own || (!loads && version < own) => {
                    let (at, owed) = (self.input.clone(), self.owed);
                    if let Token::Map(len) = self.input.token()? {
                        let made = self.registered_fields(template, len, fields_depth, start)?;
                        self.end(ending, tag::OBJECT, start)?;
                        return Ok(made);
                    }
                    (self.input, self.owed) = (at, owed);
                    self.notes |= notes::VERSION;
                }
                Some((_, _, true)) => self.notes |= notes::LOAD,
                Some(_) => self.notes |= notes::VERSION,
                None => self.notes |= notes::UNKNOWN,
            }
        }
        let fields = self.item(fields_depth)?;
        self.end(ending, tag::OBJECT, start)?;
        let version = terms::make_uint(self.env, version);
        self.form(
            form::OBJECT,
            &[(names::name(), name_term), (names::version(), version), (names::fields(), fields)],
        )
    }

    /// Template, version, and whether other versions are for Elixir to load.
    fn registered(&self, name: Word<'a>) -> Option<(Word<'a>, u64, bool)> {
        let entry = terms::get(self.env, self.forms.registry, name)?;
        match *terms::tuple(self.env, entry)? {
            [template, version, loads] => {
                Some((template, terms::uint(self.env, version)?, loads == names::true_().into()))
            }
            _ => None,
        }
    }

    fn registered_fields(
        &mut self,
        template: Word<'a>,
        len: Option<usize>,
        depth: usize,
        start: usize,
    ) -> Result<Word<'a>, Stop> {
        let outer = self.announce(len.map_or(0, |len| 2 * len), depth, start)?;
        let (mut term, mut entry) = (template, 0);
        // Which fields were given, for none may be twice.
        let (first, mut others) = (self.keys.len(), HashSet::new());
        while match len {
            Some(len) => entry < len,
            None => !self.input.take_break(),
        } {
            match len {
                Some(len) => self.owed = outer + 2 * (len - entry - 1),
                None => self.spend(2)?,
            }
            let at = self.input.offset();
            let Token::Text(name) = self.input.token()? else {
                return Err(unfit(tag::OBJECT, start).within(|| Step::KeyOf(entry)));
            };
            let value = self.item(depth + 1).map_err(|stop| stop.within(|| Step::key(name)))?;
            // Which struct it is, the name has said.
            let key = match name.starts_with("__") {
                true => None,
                false => terms::existing_atom(self.env, name),
            };
            let twice = match key {
                Some(key) if self.keys[first..].contains(&key) => true,
                _ => match key
                    .and_then(|key| Some((key, terms::update(self.env, term, key, value)?)))
                {
                    Some((key, updated)) => {
                        self.keys.push(key);
                        term = updated;
                        false
                    }
                    None => {
                        self.notes |= notes::FIELD;
                        !others.insert(name)
                    }
                },
            };
            if twice {
                let stop = Stop::refused("a map holds this key twice", FAULTY, at);
                return Err(stop.within(|| Step::key(name)));
            }
            entry += 1;
        }
        self.keys.truncate(first);
        Ok(term)
    }

    // Arrays.

    /// An array after its tag, and its data.
    fn read_array(&mut self, number: u64) -> Result<(Descriptor, &'b [u8]), Stop> {
        let buffers = self.buffers;
        let buffer = |number| usize::try_from(number).ok().and_then(|number| buffers.get(number));
        let len = |number| buffer(number).map(|part| part.bytes.len());
        let (array, data) = read_array(&mut self.input, number, len)?;
        let data = match data {
            Bytes::Inline(data) => data,
            // That it is there was asked for above.
            Bytes::Buffer(number) => buffer(number).map_or(&[][..], |part| part.bytes),
        };
        Ok((array, data))
    }

    fn tensor(
        &mut self,
        array: &Descriptor,
        data: &'b [u8],
        start: usize,
    ) -> Result<Word<'a>, Stop> {
        let data = match data.len() {
            ARRAY_OUT_OF_LINE.. => (self.view)(data),
            _ => terms::make_binary(self.env, data),
        };
        let facts = array::facts(self.env, array)
            .map_err(|_| Stop::refused("an array of a dtype that no tensor has", FAULTY, start))?;
        let mut term = self.form(form::TENSOR, &[(names::data(), data)])?;
        for (name, fact) in array::FIELDS.into_iter().zip(facts) {
            term = terms::update(self.env, term, name().into(), fact)
                .ok_or_else(|| Stop::refused("a tensor without its fields", FAULTY, start))?;
        }
        Ok(term)
    }

    /// One element of an array: a number, or the tensor of it.
    fn element(&mut self, start: usize, depth: usize) -> Result<Word<'a>, Stop> {
        self.enter(depth, start)?;
        let (array, data) = match self.input.token()? {
            Token::Tag(number) if is_array(number) => self.read_array(number)?,
            _ => return Err(unfit(tag::ELEMENT, start)),
        };
        if array.len() != 1 {
            return Err(unfit(tag::ELEMENT, start));
        }
        let element = array.dtype().and_then(|dtype| array::element(dtype, data));
        self.note(element.is_some(), notes::ELEMENT);
        match element {
            Some(Number::Bool(value)) => {
                Ok(if value { names::true_() } else { names::false_() }.into())
            }
            Some(Number::Int(value)) => Ok(self.int(value)),
            Some(Number::Uint(value)) => Ok(terms::make_uint(self.env, value)),
            Some(Number::Float(value)) => self.float(value, start),
            None => {
                let single = array.dtype().map(|dtype| Descriptor::new(dtype, Order::C, &[]));
                let single = single.and_then(Result::ok).unwrap_or(array);
                self.tensor(&single, data, start)
            }
        }
    }
}

/// A byte string, in the input or joined of pieces.
type Data<'b> = std::borrow::Cow<'b, [u8]>;

/// Whether a break ends an array.
struct Ending(bool);

/// A tag that does not enclose what it says.
#[cold]
fn unfit(number: u64, offset: usize) -> Stop {
    DecodeError::tag_content(number, offset).into()
}
