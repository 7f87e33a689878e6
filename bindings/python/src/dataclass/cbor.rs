//! CBOR as what a dump becomes, and as what is loaded from: the values of frames, with nothing in between.
//!
//! 1. Written is what `value::encode` writes of the same parts; a map or an array says first how many it has.
//! 2. Read is straight what has a form of its own, which is nearly all. What has a tag is made by `value::decode`, and goes
//!    on as an object.

use super::class::{Class, Field, Object};
use super::fail::{Fail, Outcome};
use super::leaf::{self, Short};
use super::plan::{Node, Temporal};
use super::sent::{self, Sent};
use super::source::{Kind, Opens, Source};
use super::target::{Objects, Target};
use crate::value::encode::{small_int, text};
use crate::value::text::with_own;
use crate::value::types::Types;
use crate::value::{Fault, Reader, Writer, registry};
use pyo3::prelude::*;
use pyo3::types::{PyDate, PyString};
use slipring_codec::error::Segment;
use slipring_codec::token::{MAX_DEPTH, Sink};
use slipring_codec::{DecodeError, DecodeErrorKind, Decoder, Token, tag};
use std::ptr::NonNull;

type Any<'a, 'py> = Borrowed<'a, 'py, PyAny>;

/// Tags and what they enclose that a part may be which is no container of its plan.
const WITHIN: usize = 4;

/// CBOR of objects, which a frame's value is.
pub(super) struct Cbor<'py, S> {
    pub(super) writer: Writer<'py, S>,
}

impl<'py, S: Sink> Target<'py> for Cbor<'py, S> {
    type Value = ();
    type Seq = ();
    type Map = ();
    type Record = ();
    const IS_TEXT: bool = false;
    const DEPTH: usize = MAX_DEPTH - WITHIN;
    const COUNTS: bool = true;

    #[inline(always)]
    fn scalar(&mut self, object: Any<'_, 'py>) -> Outcome<()> {
        Ok(self.writer.write(object, 0)?)
    }

    #[inline(always)]
    fn int(&mut self, object: Any<'_, 'py>) -> Outcome<()> {
        match small_int(object) {
            Some(n) => {
                self.writer.encoder.int(n);
                Ok(())
            }
            None => self.scalar(object),
        }
    }

    #[inline(always)]
    fn float(&mut self, _object: Any<'_, 'py>, x: f64) -> Outcome<()> {
        self.writer.encoder.float(x);
        Ok(())
    }

    fn plain_text(&mut self, object: Any<'_, 'py>, _text: &[u8]) -> Outcome<()> {
        self.scalar(object)
    }

    fn ascii(&mut self, text: &[u8]) -> Outcome<()> {
        self.writer.encoder.text(&String::from_utf8_lossy(text));
        Ok(())
    }

    fn keep(&mut self, object: Any<'_, 'py>) -> Outcome<()> {
        let py = object.py();
        if object.get_type_ptr().cast() == Types::get(py)?.uuid.as_ptr() {
            let n = leaf::uuid_number(object)?;
            self.writer.encoder.tag(tag::UUID).bytes(&n.to_be_bytes());
            return Ok(());
        }
        if leaf::is_day(object) {
            let mut text = Short::new();
            leaf::date_text(&mut text, &*object.cast::<PyDate>().map_err(PyErr::from)?);
            self.tagged(tag::DATE, text.as_bytes());
            return Ok(());
        }
        if let Some((text, is_aware)) = leaf::plain_moment(object)? {
            let tag = if is_aware { tag::DATETIME } else { tag::NAIVE_DATETIME };
            self.tagged(tag, text.as_bytes());
            return Ok(());
        }
        Ok(self.writer.leaf(object)?)
    }

    fn keep_decimal(&mut self, object: Any<'_, 'py>, text: &[u8]) -> Outcome<()> {
        let is_exact = object.get_type_ptr().cast() == Types::get(object.py())?.decimal.as_ptr();
        match leaf::parts_of_decimal(text).filter(|_| is_exact) {
            Some((mantissa, exponent)) => {
                self.writer.encoder.tag(tag::DECIMAL).array(2).int(exponent).int(mantissa);
                Ok(())
            }
            None => Ok(self.writer.leaf(object)?),
        }
    }

    fn array(&mut self, object: Any<'_, 'py>, depth: usize) -> Outcome<()> {
        self.foreign(object, depth)
    }

    fn structure(&mut self, object: Bound<'py, PyAny>, depth: usize) -> Outcome<()> {
        Ok(self.writer.write(object.as_borrowed(), depth)?)
    }

    fn keeps(&self) -> bool {
        true
    }

    fn foreign(&mut self, object: Any<'_, 'py>, depth: usize) -> Outcome<()> {
        Ok(self.writer.write(object, depth)?)
    }

    fn objects(&self, py: Python<'py>) -> Objects<'py> {
        Objects::keeping(py)
    }

    #[inline(always)]
    fn seq(&mut self, len: usize) {
        self.writer.encoder.array(len);
    }

    #[inline(always)]
    fn item(&mut self, (): &mut ()) {}

    #[inline(always)]
    fn add(&mut self, (): &mut (), (): ()) {}

    #[inline(always)]
    fn end(&mut self, (): ()) -> Outcome<()> {
        Ok(())
    }

    #[inline(always)]
    fn map(&mut self, len: usize) -> Outcome<()> {
        self.writer.encoder.map(len);
        Ok(())
    }

    #[inline(always)]
    fn record(&mut self, _class: &Class, len: usize) -> Outcome<()> {
        self.map(len)
    }

    #[inline(always)]
    fn field(&mut self, (): &mut (), field: &Field) {
        self.writer.encoder.sink_mut().put(&field.cbor_key);
    }

    #[inline(always)]
    fn put_field(&mut self, (): &mut (), _field: &Field, (): ()) -> Outcome<()> {
        Ok(())
    }

    #[inline(always)]
    fn end_record(&mut self, (): ()) -> Outcome<()> {
        Ok(())
    }

    #[inline(always)]
    fn key(&mut self, (): &mut (), key: Any<'_, 'py>) -> Outcome<()> {
        self.scalar(key)
    }

    #[inline(always)]
    fn put(&mut self, (): &mut (), _key: Any<'_, 'py>, (): ()) -> Outcome<()> {
        Ok(())
    }

    #[inline(always)]
    fn end_map(&mut self, (): ()) -> Outcome<()> {
        Ok(())
    }
}

impl<S: Sink> Cbor<'_, S> {
    /// A tag around text that is ASCII.
    #[inline(always)]
    fn tagged(&mut self, tag: u64, text: &[u8]) {
        if let Ok(text) = std::str::from_utf8(text) {
            self.writer.encoder.tag(tag).text(text);
        }
    }
}

/// A value's bytes, read from where its item begins.
pub(super) struct Value<'a, 'py> {
    py: Python<'py>,
    pub(super) reader: Reader<'a, 'py>,
    /// Containers around the item at hand.
    depth: usize,
    /// Items that these still expect.
    owed: usize,
}

impl<'a, 'py> Value<'a, 'py> {
    pub(super) fn new(py: Python<'py>, reader: Reader<'a, 'py>) -> Self {
        Self { py, reader, depth: 0, owed: 0 }
    }

    fn open(
        &mut self,
        len: Option<usize>,
        each: usize,
        start: usize,
        depth: usize,
    ) -> Outcome<Walk<'py>> {
        let items = len.map_or(Some(1), |len| len.checked_mul(each)).unwrap_or(usize::MAX);
        self.reader.decoder.open(start, items, depth, self.owed).map_err(said)?;
        let walk = Walk { left: len, each, depth: self.depth, owed: self.owed, key: Key::None };
        self.depth = depth + 1;
        Ok(walk)
    }

    /// Whether another item follows, or a key with its item.
    #[inline(always)]
    fn more(&mut self, walk: &mut Walk<'py>) -> bool {
        let left = match &mut walk.left {
            Some(0) => None,
            Some(left) => {
                *left -= 1;
                Some(*left * walk.each)
            }
            None if self.reader.decoder.take_break() => None,
            None => Some(1),
        };
        // No more are owed than there are bytes: `open` has seen to it.
        (self.owed, self.depth) = match left {
            Some(left) => (walk.owed + left, self.depth),
            None => (walk.owed, walk.depth),
        };
        left.is_some()
    }
}

impl Value<'_, '_> {
    /// Why an item that begins at `start` was not made; where only what a registered type has raised is in the way, it is gone past.
    #[cold]
    #[inline(never)]
    fn not_made(&mut self, start: usize, fault: Box<Fault>) -> Box<Fail> {
        let failed = sent::said_by_type(self.py, fault);
        if matches!(*failed, Fail::Invalid(_)) {
            self.reader.decoder = self.reader.decoder.from(start);
            if let Err(failed) = self.pass(()) {
                return failed;
            }
        }
        failed
    }
}

/// Goes to the fields of an object that was sent under a name, as senders write it.
fn open_sent(decoder: &mut Decoder<'_>) -> Option<Sent> {
    let (Token::Tag(tag::OBJECT), Token::Array(Some(3))) =
        (decoder.token().ok()?, decoder.token().ok()?)
    else {
        return None;
    };
    let name = String::from_utf8(decoder.text_bytes()?.to_vec()).ok()?;
    let Token::Unsigned(version) = decoder.token().ok()? else { return None };
    Some(Sent { name, version })
}

#[cold]
fn said(error: DecodeError) -> Box<super::fail::Fail> {
    Box::<crate::value::Fault>::from(error).into()
}

/// An array or a map that is gone through.
pub(super) struct Walk<'py> {
    /// Items or pairs that are to come; `None` where a break ends them.
    left: Option<usize>,
    /// 2 for pairs.
    each: usize,
    /// What is around it.
    depth: usize,
    owed: usize,
    key: Key<'py>,
}

/// The key at hand.
enum Key<'py> {
    None,
    At(usize),
    Object(Bound<'py, PyAny>),
}

impl<'py> Source<'py> for Value<'_, 'py> {
    type Item = ();
    type List = Walk<'py>;
    type Map = Walk<'py>;
    const MAKES: bool = true;

    #[inline(always)]
    fn kind(&mut self, (): ()) -> Kind {
        match self.reader.decoder.peek().unwrap_or(0xff) {
            // Whole numbers, and tags 2 and 3, which make large ones.
            0x00..=0x3b | 0xc2 | 0xc3 => Kind::Int,
            0x60..=0x7b | 0x7f => Kind::Str,
            0x80..=0x9b | 0x9f => Kind::List,
            0xa0..=0xbb | 0xbf => Kind::Map,
            0xf4 | 0xf5 => Kind::Bool,
            0xf6 => Kind::Null,
            0xf9..=0xfb => Kind::Float,
            _ => Kind::Other,
        }
    }

    #[inline(always)]
    fn take(&mut self, (): ()) -> Outcome<Object> {
        let start = self.reader.decoder.offset();
        match self.reader.item(self.depth, self.owed) {
            // SAFETY: a reference is never null.
            Ok(made) => Ok(unsafe { NonNull::new_unchecked(made.into_ptr()) }),
            Err(fault) => Err(self.not_made(start, fault)),
        }
    }

    #[cold]
    fn pass(&mut self, (): ()) -> Outcome<()> {
        self.reader.decoder.skip().map_err(said)
    }

    #[inline(always)]
    fn text<R>(&mut self, (): (), use_it: impl FnOnce(&[u8]) -> R) -> Outcome<R> {
        if let Some(text) = self.reader.decoder.text_bytes() {
            return Ok(with_own(text, use_it));
        }
        let start = self.reader.decoder.offset();
        match self.reader.decoder.token().map_err(said)? {
            Token::Text(text) => Ok(with_own(text.as_bytes(), use_it)),
            Token::TextPieces => {
                let text = self.reader.decoder.join_text().map_err(said)?;
                Ok(use_it(text.as_bytes()))
            }
            // It has changed since it was looked at.
            token => Err(said(self.reader.decoder.unfit(&token, start))),
        }
    }

    fn exact(&mut self, (): ()) -> Outcome<Option<Object>> {
        Ok(None)
    }

    /// As senders write them; other ways to write the same are left to who knows all.
    #[inline(always)]
    fn leaf(&mut self, node: &Node) -> Outcome<Option<Object>> {
        let mut ahead = self.reader.decoder.clone();
        let Ok(Token::Tag(tag)) = ahead.token() else { return Ok(None) };
        let py = self.py;
        let made = match (node, tag) {
            (Node::Uuid, tag::UUID) => match ahead.token() {
                Ok(Token::Bytes(bytes)) => match bytes.try_into() {
                    Ok(bytes) => Some(leaf::make_uuid(py, u128::from_be_bytes(bytes))?),
                    Err(_) => None,
                },
                _ => None,
            },
            (Node::Decimal { step: None, .. }, tag::DECIMAL) => {
                match (ahead.token(), ahead.token(), ahead.token()) {
                    (Ok(Token::Array(Some(2))), Ok(exponent), Ok(mantissa)) => {
                        leaf::decimal_of_parts(py, mantissa.as_integer(), exponent.as_integer())?
                    }
                    _ => None,
                }
            }
            (Node::Temporal { which: Temporal::Date, format: None, .. }, tag::DATE) => {
                let text = ahead.text_bytes().filter(|text| text.len() == 10);
                text.map_or(Ok(None), |text| with_own(text, |text| leaf::date(py, text)))?
            }
            (
                Node::Temporal { which: Temporal::DateTime, format: None, .. },
                tag::DATETIME | tag::NAIVE_DATETIME,
            ) => {
                let len = if tag == tag::DATETIME { [20, 27] } else { [19, 26] };
                let text = ahead.text_bytes().filter(|text| len.contains(&text.len()));
                text.map_or(Ok(None), |text| {
                    with_own(text, |text| {
                        let is_zulu = text.last() == Some(&b'Z');
                        let has_t = text.get(10) == Some(&b'T');
                        // Hours of an offset take as much room as a fraction's digits, but not with a sign.
                        let is_plain = !text[11..].iter().any(|byte| b"+-".contains(byte));
                        match has_t && is_plain && is_zulu == (tag == tag::DATETIME) {
                            true => leaf::datetime(py, text),
                            false => Ok(None),
                        }
                    })
                })?
            }
            _ => None,
        };
        if made.is_some() {
            self.reader.decoder = ahead;
        }
        Ok(made)
    }

    fn sent(&mut self, (): ()) -> Outcome<Option<Sent>> {
        Ok(open_sent(&mut self.reader.decoder.clone()))
    }

    fn fields_of(&mut self, (): ()) -> Outcome<()> {
        let start = self.reader.decoder.offset();
        match open_sent(&mut self.reader.decoder) {
            Some(_) => Ok(()),
            // It has changed since it was looked at.
            None => Err(said(DecodeError::tag_content(tag::OBJECT, start))),
        }
    }

    fn open_list(&mut self, what: Opens, depth: usize) -> Option<(u64, usize)> {
        let mut ahead = self.reader.decoder.clone();
        let Ok(Token::Tag(tag)) = ahead.token() else { return None };
        let mut depth = depth + 1;
        match (what, tag) {
            (Opens::Tuple | Opens::Set, tag::TUPLE) | (Opens::Set, tag::SET) => {}
            (Opens::Set, tag::FROZEN_SET) if matches!(ahead.token(), Ok(Token::Tag(tag::SET))) => {
                depth += 1;
            }
            _ => return None,
        }
        if !matches!(ahead.peek(), Some(0x80..=0x9b | 0x9f)) {
            return None;
        }
        self.reader.decoder = ahead;
        Some((tag, depth))
    }

    fn is_quiet(&self) -> PyResult<bool> {
        Ok(!self.reader.is_trusted() && registry::is_quiet(self.py)?)
    }

    fn as_object(&self, (): ()) -> Option<Borrowed<'_, 'py, PyAny>> {
        None
    }

    #[inline(always)]
    fn list(&mut self, (): (), depth: usize) -> Outcome<Walk<'py>> {
        let start = self.reader.decoder.offset();
        match self.reader.decoder.token().map_err(said)? {
            Token::Array(len) => self.open(len, 1, start, depth),
            token => Err(said(self.reader.decoder.unfit(&token, start))),
        }
    }

    #[inline(always)]
    fn next_item(&mut self, walk: &mut Walk<'py>) -> Outcome<Option<()>> {
        Ok(self.more(walk).then_some(()))
    }

    #[inline(always)]
    fn map(&mut self, (): (), depth: usize) -> Outcome<Walk<'py>> {
        let start = self.reader.decoder.offset();
        match self.reader.decoder.token().map_err(said)? {
            Token::Map(len) => self.open(len, 2, start, depth),
            token => Err(said(self.reader.decoder.unfit(&token, start))),
        }
    }

    #[inline(always)]
    fn next_field(
        &mut self,
        walk: &mut Walk<'py>,
        class: &Class,
        hint: usize,
    ) -> Outcome<Option<(Option<usize>, ())>> {
        if !self.more(walk) {
            return Ok(None);
        }
        let start = self.reader.decoder.offset();
        walk.key = Key::At(start);
        // The key that is foretold, as it is written mostly.
        if let Some(field) = class.fields.get(hint)
            && self.reader.decoder.take_exact(&field.cbor_key)
        {
            return Ok(Some((Some(hint), ())));
        }
        if let Some(text) = self.reader.decoder.text_bytes() {
            let found = with_own(text, |key| match class.find(key, hint) {
                None if std::str::from_utf8(key).is_err() => Err(()),
                found => Ok(found),
            });
            let not_text = |()| said(DecodeError::new(DecodeErrorKind::Utf8, start));
            return Ok(Some((found.map_err(not_text)?, ())));
        }
        let key = self.reader.key_at(self.depth, self.owed)?;
        // An atom of Elixir's is a str, too.
        let name = key.as_borrowed();
        let found = match name.is_instance_of::<PyString>() {
            true => text(&name).ok().and_then(|text| class.search(text.as_bytes())),
            false => None,
        };
        walk.key = Key::Object(key);
        Ok(Some((found, ())))
    }

    fn next_pair(&mut self, walk: &mut Walk<'py>) -> Outcome<Option<(Bound<'py, PyAny>, ())>> {
        if !self.more(walk) {
            return Ok(None);
        }
        Ok(Some((self.reader.key_at(self.depth, self.owed)?, ())))
    }

    fn key_name(&mut self, walk: &Walk<'py>) -> PyResult<Bound<'py, PyAny>> {
        let key = match &walk.key {
            Key::Object(key) => key.clone(),
            Key::At(at) => match self.reader.decoder.from(*at).text_bytes() {
                Some(text) => PyString::new(self.py, &String::from_utf8_lossy(text)).into_any(),
                // It has changed since it was read.
                None => self.py.None().into_bound(self.py),
            },
            Key::None => self.py.None().into_bound(self.py),
        };
        Ok(if key.is_instance_of::<PyString>() { key } else { key.repr()?.into_any() })
    }

    /// Only where the key is the first one, as it is where it was dumped.
    fn tag_text<R>(
        &mut self,
        (): (),
        _key: Borrowed<'_, 'py, PyAny>,
        key_text: &[u8],
        use_it: impl FnOnce(&[u8]) -> R,
    ) -> Outcome<Option<R>> {
        let mut ahead = self.reader.decoder.clone();
        if let Ok(Token::Map(_)) = ahead.token()
            && let Some(key) = ahead.text_bytes()
            && key == key_text
            && let Some(value) = ahead.text_bytes()
        {
            return Ok(Some(with_own(value, use_it)));
        }
        Ok(None)
    }

    /// A fault of CBOR learns its path on the way out.
    fn note(&mut self, _segment: impl FnOnce() -> Segment) {}
}
