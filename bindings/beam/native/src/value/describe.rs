//! What a value is, by its first items and without decoding the rest.

use super::decode::{self, Forms, Input, Options};
use super::terms::{self, Word};
use super::{array, names};
use crate::atoms;
use rustler::{Atom, Env};
use slipring_codec::format::value::{is_array, read_array};
use slipring_codec::token::MAX_DEPTH;
use slipring_codec::{DecodeError, Decoder, Part, Token, tag};

/// Keys of a map that are told.
const KEYS: usize = 64;
/// Items that a key may have to be told.
const KEY_ITEMS: usize = 64;

/// A map of `:kind` and what else there is to say.
pub(crate) struct Description<'a> {
    keys: Vec<Word<'a>>,
    values: Vec<Word<'a>>,
}

impl<'a> Description<'a> {
    pub(crate) fn new() -> Self {
        Description { keys: Vec::new(), values: Vec::new() }
    }

    pub(crate) fn say(&mut self, key: Atom, value: Word<'a>) {
        self.keys.push(key.into());
        self.values.push(value);
    }

    fn count(&mut self, env: Env<'a>, key: Atom, count: usize) {
        self.say(key, terms::make_uint(env, count as u64));
    }

    pub(crate) fn term(&self, env: Env<'a>) -> Word<'a> {
        // No key is said twice.
        terms::make_map(env, &self.keys, &self.values).unwrap_or(atoms::nil().into())
    }
}

/// Says what stands in the head.
pub(crate) fn describe<'a, 'b>(
    env: Env<'a>,
    head: Part<'b>,
    buffers: &[Part<'b>],
    forms: Forms<'a>,
    into: &mut Description<'a>,
) -> Result<(), DecodeError> {
    let mut look = Look { env, head, buffers, forms, into };
    look.item(&mut Decoder::new(head.bytes))
}

struct Look<'a, 'b, 'c> {
    env: Env<'a>,
    head: Part<'b>,
    buffers: &'c [Part<'b>],
    forms: Forms<'a>,
    into: &'c mut Description<'a>,
}

impl<'a, 'b> Look<'a, 'b, '_> {
    fn kind(&mut self, kind: Atom) {
        self.into.say(names::kind(), kind.into());
    }

    fn item(&mut self, input: &mut Decoder<'b>) -> Result<(), DecodeError> {
        match input.token()? {
            Token::Null => self.kind(atoms::nil()),
            Token::Bool(_) => self.kind(names::boolean()),
            Token::Unsigned(_) | Token::Negative(_) => self.kind(names::integer()),
            Token::Float(_) => self.kind(names::float()),
            Token::Text(text) => {
                self.kind(names::text());
                self.into.count(self.env, names::length(), text.len());
            }
            Token::TextPieces => self.kind(names::text()),
            Token::Bytes(bytes) => {
                self.kind(names::bytes());
                self.into.count(self.env, names::length(), bytes.len());
            }
            Token::BytesPieces => self.kind(names::bytes()),
            Token::Array(len) => {
                self.kind(names::list());
                self.length(input, len)?;
            }
            Token::Map(len) => {
                self.kind(names::map());
                self.map(input, len)?;
            }
            Token::Tag(number) => self.tag(input, number)?,
            _ => self.kind(atoms::unknown()),
        }
        Ok(())
    }

    fn length(&mut self, input: &mut Decoder<'b>, len: Option<usize>) -> Result<(), DecodeError> {
        let mut count = len.unwrap_or(0);
        if len.is_none() {
            while !input.take_break() {
                input.skip()?;
                count += 1;
            }
        }
        self.into.count(self.env, names::length(), count);
        Ok(())
    }

    /// The number of pairs, and the first keys.
    fn map(&mut self, input: &mut Decoder<'b>, len: Option<usize>) -> Result<(), DecodeError> {
        let (mut count, mut keys) = (0, Vec::new());
        while match len {
            Some(len) => count < len && keys.len() < KEYS,
            None => !input.take_break(),
        } {
            let start = input.offset();
            input.skip()?;
            let key = &self.head.bytes[start..input.offset()];
            input.skip()?;
            count += 1;
            if keys.len() < KEYS
                && let Some(key) = self.key(key)
            {
                keys.push(key);
            }
        }
        self.into.count(self.env, names::length(), len.unwrap_or(count));
        let keys = terms::make_list(self.env, &keys);
        self.into.say(names::keys(), keys);
        Ok(())
    }

    fn key(&self, bytes: &'b [u8]) -> Option<Word<'a>> {
        let env = self.env;
        // A key that is large enough to be a view is copied: there may be no memory that outlives this.
        let view = |bytes: &'b [u8]| terms::make_binary(env, bytes);
        let head = Part { offset: 0, bytes };
        let input = Input { head, buffers: &[], whole: bytes, view: &view };
        decode::decode(env, &input, Options(0), self.forms, KEY_ITEMS).ok().map(|read| read.term)
    }

    fn tag(&mut self, input: &mut Decoder<'b>, number: u64) -> Result<(), DecodeError> {
        let kind = match number {
            tag::BUFFER => names::bytes(),
            tag::ATOM => names::atom(),
            tag::POSITIVE_BIG | tag::NEGATIVE_BIG => names::integer(),
            tag::RANGE => names::range(),
            tag::DATE | tag::EPOCH_DATE => names::date(),
            tag::TIME => names::time(),
            tag::NAIVE_DATETIME => names::naive_datetime(),
            tag::DATETIME | tag::EPOCH | tag::ZONED_DATETIME => names::datetime(),
            tag::DURATION => names::duration(),
            tag::DECIMAL | tag::DECIMAL_TEXT => names::decimal(),
            tag::UUID => names::uuid(),
            tag::PICKLE => names::pickle(),
            tag::TABLE => names::table(),
            tag::ELEMENT => names::element(),
            tag::TUPLE => return self.items(input, names::tuple()),
            tag::SET => return self.items(input, names::set()),
            tag::FROZEN_SET => {
                // The set that it encloses.
                let _ = input.token()?;
                return self.items(input, names::set());
            }
            tag::OBJECT => return self.object(input),
            tag::SELF_DESCRIBED => {
                // As often as it stands there.
                let mut depth = 0;
                let mut ahead = input.clone();
                while depth < MAX_DEPTH && ahead.token()? == Token::Tag(tag::SELF_DESCRIBED) {
                    *input = ahead.clone();
                    depth += 1;
                }
                return if depth < MAX_DEPTH { self.item(input) } else { Ok(()) };
            }
            number if is_array(number) => return self.array(input, number),
            number => {
                let number = terms::make_uint(self.env, number);
                self.into.say(names::number(), number);
                names::tag()
            }
        };
        self.kind(kind);
        Ok(())
    }

    fn items(&mut self, input: &mut Decoder<'b>, kind: Atom) -> Result<(), DecodeError> {
        self.kind(kind);
        match input.token()? {
            Token::Array(len) => self.length(input, len),
            _ => Ok(()),
        }
    }

    fn object(&mut self, input: &mut Decoder<'b>) -> Result<(), DecodeError> {
        self.kind(names::object());
        let (_, name, version) = (input.token()?, input.token()?, input.token()?);
        if let (Token::Text(name), Token::Unsigned(version)) = (name, version) {
            self.into.say(names::name(), terms::make_binary(self.env, name.as_bytes()));
            self.into.say(names::version(), terms::make_uint(self.env, version));
        }
        match input.token()? {
            Token::Map(len) => self.map(input, len),
            _ => Ok(()),
        }
    }

    /// Type, shape and order of an array.
    fn array(&mut self, input: &mut Decoder<'b>, number: u64) -> Result<(), DecodeError> {
        self.kind(names::tensor());
        let len = |number| {
            let number = usize::try_from(number).ok()?;
            self.buffers.get(number).map(|part| part.bytes.len())
        };
        let (array, _) = read_array(input, number, len)?;
        for (name, fact) in
            array::FIELDS.into_iter().zip(array::facts(self.env, &array).into_iter().flatten())
        {
            self.into.say(name(), fact);
        }
        Ok(())
    }
}
