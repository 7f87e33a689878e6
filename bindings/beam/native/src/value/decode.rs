//! CBOR to terms, in one pass.
//!
//! 1. Nothing is made on credit: items are gathered as they are read, each costs the input a byte at
//!    least, and what containers announce together may not exceed what is left of it.
//! 2. Large byte strings and the data of arrays are views on the memory that the input lies in.
//! 3. Atoms are looked up, never made.
//! 4. A tag of `docs/types.md` encloses what stands there, or is refused. Other tags are kept.
//! 5. What the BEAM can't hold as it came is noted ([`notes`]), for a warning.

mod moments;
mod object;
mod tables;
mod tagged;

pub(crate) use tagged::uuid_text;

use super::big::Big;
use super::encode::step;
use super::names;
use super::shape::Shapes;
use super::terms::{self, Gathered, Word};
use crate::atoms;
use crate::error::Fault;
use rustler::{Atom, Env};
use slipring_codec::error::{Path, Segment as Step};
use slipring_codec::format::value::{BYTES_OUT_OF_LINE, Tables};
use slipring_codec::token::check_depth;
use slipring_codec::{DecodeError, Decoder, Part, Token};

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
    pub(crate) fn atom_keys(self) -> bool {
        self.0 & 1 != 0
    }
    pub(crate) fn nan_is_error(self) -> bool {
        self.0 & 2 != 0
    }
    pub(crate) fn uuid_text(self) -> bool {
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
    pub(crate) const TABLE: usize = 12;
    pub(crate) const COUNT: usize = 13;
}

/// The input, and how a piece of it becomes a binary in place.
pub(crate) struct Input<'a, 'b, 'c> {
    /// The value.
    pub(crate) head: Part<'b>,
    pub(crate) buffers: &'c [Part<'b>],
    /// What the places of both are counted in.
    pub(crate) whole: &'b [u8],
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
/// Of keys and members.
const ONCE: &str = "send each key of a map and each member of a set once; text and bytes of the same octets are one here, and \
                    so are an atom that does not exist and its text";
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
    whole: &'b [u8],
    tables: Tables,
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
    shapes: Shapes<'a>,
}

/// The first byte of a float of 64 bits.
const FLOAT64: u8 = 0xFB;
/// Floats of an array that are read before their terms are made.
const ROW: usize = 32;

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
        whole: input.whole,
        tables: Tables::default(),
        view: input.view,
        options,
        forms,
        items: Gathered::new(),
        keys: Gathered::new(),
        owed: 0,
        left: most,
        notes: 0,
        known: [None; KEYS],
        shapes: Shapes::default(),
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
        Ok(not_finite(value).into())
    }

    /// Gathers the items of an array. Answers where among the gathered they begin.
    fn array(&mut self, len: Option<usize>, depth: usize, start: usize) -> Result<usize, Stop> {
        let outer = self.announce(len.unwrap_or(0), depth, start)?;
        let first = self.items.len();
        // Paid for by the input: an item is a byte of it at least.
        self.items.reserve(len.unwrap_or(0));
        // What begins with a float mostly goes on with them.
        let mut index = match (len, self.input.peek()) {
            (Some(len), Some(FLOAT64)) => self.floats(len)?,
            _ => 0,
        };
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

    /// Gathers the floats that an array begins with, `most` at most. They are read before the terms are made.
    #[inline(never)]
    fn floats(&mut self, most: usize) -> Result<usize, Stop> {
        let (mut row, mut made) = ([0.0; ROW], 0);
        loop {
            let start = self.input.offset();
            let read = self.input.floats(&mut row[..ROW.min(most - made)]);
            for (at, &value) in row[..read].iter().enumerate() {
                let term = self.float(value, start + 9 * at);
                let term = term.map_err(|stop| stop.within(|| Step::Index(made + at)))?;
                self.items.push(term);
            }
            made += read;
            if read < ROW {
                return Ok(made);
            }
        }
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
        let keys = &self.keys[first_key..];
        let map = self.shapes.map(depth, self.env, keys, &self.items[first..]);
        let Some(map) = map else { return Err(self.repeated(first_key, start)) };
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
        let stop = Stop::refused("a map holds this key twice", ONCE, start);
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
}

/// What stands for a float that the BEAM can't hold.
pub(crate) fn not_finite(value: f64) -> Atom {
    match value {
        f64::INFINITY => atoms::infinity(),
        f64::NEG_INFINITY => atoms::neg_infinity(),
        _ => atoms::nan(),
    }
}

/// A tag that does not enclose what it says.
#[cold]
fn unfit(number: u64, offset: usize) -> Stop {
    DecodeError::tag_content(number, offset).into()
}
