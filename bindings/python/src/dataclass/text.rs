//! JSON as what is loaded from: its reader stands where the item begins.

use super::class::{Class, Object};
use super::fail::{self, Fail, Gathered, Outcome};
use super::message;
use super::plan::Node;
use super::source::{Kind, Source};
use crate::json::{Failed, Reader, Span};
use crate::value::encode::text;
use crate::value::text::with_own;
use pyo3::prelude::*;
use pyo3::types::PyString;
use slipring_codec::error::Segment;

impl From<Failed> for Box<Fail> {
    #[cold]
    fn from(_: Failed) -> Self {
        Box::new(Fail::Malformed)
    }
}

/// Containers inside each other that messages go into: whoever shows them does so by recursion.
const TOLD: usize = 64;

/// An array or an object that is gone through.
pub(super) struct Walk<'py> {
    is_first: bool,
    key: Key<'py>,
}

/// The key at hand.
enum Key<'py> {
    None,
    /// From its quote on.
    At(usize),
    Object(Bound<'py, PyAny>),
}

impl<'py> Reader<'_, 'py> {
    /// Whether another item or key follows.
    #[inline(always)]
    fn more(&mut self, walk: &mut Walk<'py>, end: u8) -> Outcome<bool> {
        if std::mem::replace(&mut walk.is_first, false) {
            self.at += 1;
            self.skip_space();
            if self.peek() != end {
                return Ok(true);
            }
            self.at += 1;
            return Ok(false);
        }
        match self.comma_or(end) {
            Some(more) => Ok(more),
            None => {
                self.no_comma(end)?;
                Ok(false)
            }
        }
    }

    #[inline(always)]
    fn colon(&mut self) -> Outcome<()> {
        self.skip_space();
        if self.peek() != b':' {
            self.no_colon()?;
        }
        self.at += 1;
        self.skip_space();
        Ok(())
    }

    /// The bytes between a string's quotes, as nobody changes them.
    #[inline(always)]
    fn with_span<R>(&self, span: Span, use_it: impl FnOnce(&[u8]) -> R) -> R {
        let bytes = &self.input[span.start..span.end];
        match self.is_shared {
            true => with_own(bytes, use_it),
            false => use_it(bytes),
        }
    }

    /// What is wrong with the value from `begin` on, where reading it ended: with its numbers, if they are beyond a double.
    #[cold]
    #[inline(never)]
    fn out_of_range<T>(&mut self, begin: usize) -> Outcome<T> {
        if !self.forgive_range() {
            return Err(Box::new(Fail::Malformed));
        }
        self.at = begin;
        self.ranges(0)?;
        // It has changed since it was read.
        fail::invalid(message(&Node::Float))
    }

    /// Goes past a value, and says of which of its numbers there is no double; of a container that is too deep inside, as a whole.
    fn ranges(&mut self, depth: usize) -> Outcome<()> {
        let begin = self.at;
        let mut errors = Gathered::default();
        match self.peek() {
            b'[' if depth < TOLD => {
                let (mut list, mut index) = (self.list((), depth)?, 0);
                while self.next_item(&mut list)?.is_some() {
                    if let Err(failed) = self.ranges(depth + 1) {
                        let segment = || Segment::Index(index);
                        self.note(segment);
                        errors.take(failed, || fail::index_name(self.py, index), segment)?;
                    }
                    index += 1;
                }
            }
            b'{' if depth < TOLD => {
                let mut map = self.map((), depth)?;
                while let Some((name, ())) = self.next_pair(&mut map)? {
                    if let Err(failed) = self.ranges(depth + 1) {
                        let segment = || Segment::key(&name.to_string());
                        self.note(segment);
                        let mut of_pair = Gathered::default();
                        let part = PyString::new(self.py, "value").into_any().unbind();
                        of_pair.take(failed, || Ok(part), segment)?;
                        if let Err(failed) = of_pair.fail::<()>() {
                            errors.take(failed, || fail::told(&name), segment)?;
                        }
                    }
                }
            }
            _ => match self.value_at(depth) {
                Ok(made) => drop(self.owned(made)),
                Err(Failed) if self.forgive_range() => {
                    self.at = begin;
                    self.pass_value(depth)?;
                    return fail::invalid(message(&Node::Float));
                }
                Err(failed) => return Err(failed.into()),
            },
        }
        if errors.is_empty() { Ok(()) } else { errors.fail() }
    }

    fn owned(&self, object: Object) -> Bound<'py, PyAny> {
        super::class::owned(self.py, object)
    }
}

/// Whether the number that begins there has a point or an exponent.
#[inline(always)]
fn kind_of_number(input: &[u8], at: usize) -> Kind {
    let rest = &input[at + 1..];
    let len = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    match rest.get(len) {
        Some(b'.' | b'e' | b'E') => Kind::Float,
        _ => Kind::Int,
    }
}

impl<'py> Source<'py> for Reader<'_, 'py> {
    type Item = ();
    type List = Walk<'py>;
    type Map = Walk<'py>;

    #[inline(always)]
    fn kind(&mut self, (): ()) -> Kind {
        match self.peek() {
            b'"' => Kind::Str,
            b'0'..=b'9' | b'-' => kind_of_number(self.input, self.at),
            b'{' => Kind::Map,
            b'[' => Kind::List,
            b't' | b'f' => Kind::Bool,
            b'n' => Kind::Null,
            _ => Kind::Other,
        }
    }

    #[inline(always)]
    fn take(&mut self, (): ()) -> Outcome<Object> {
        let begin = self.at;
        match self.value_at(0) {
            Ok(made) => Ok(made),
            Err(Failed) => self.out_of_range(begin),
        }
    }

    #[cold]
    fn pass(&mut self, (): ()) -> Outcome<()> {
        Ok(self.pass_value(0)?)
    }

    #[inline(always)]
    fn text<R>(&mut self, (): (), use_it: impl FnOnce(&[u8]) -> R) -> Outcome<R> {
        let begin = self.at;
        if let Some(span) = self.span()?
            && span.is_ascii
        {
            return Ok(self.with_span(span, use_it));
        }
        self.at = begin;
        let object = self.string()?;
        let object = self.owned(object);
        Ok(use_it(text(&object.as_borrowed())?.as_bytes()))
    }

    fn exact(&mut self, (): ()) -> Outcome<Option<Object>> {
        let begin = self.at;
        match self.exact_number() {
            Ok(made) => Ok(Some(made)),
            Err(Failed) if self.forgive_range() => {
                self.at = begin;
                self.pass_value(0)?;
                fail::invalid(message(&Node::Float))
            }
            Err(failed) => Err(failed.into()),
        }
    }

    fn is_minus_zero(&self, (): ()) -> bool {
        self.input[self.at..].starts_with(b"-0")
    }

    fn as_object(&self, (): ()) -> Option<Borrowed<'_, 'py, PyAny>> {
        None
    }

    #[inline(always)]
    fn list(&mut self, (): (), _depth: usize) -> Outcome<Walk<'py>> {
        Ok(Walk { is_first: true, key: Key::None })
    }

    #[inline(always)]
    fn next_item(&mut self, walk: &mut Walk<'py>) -> Outcome<Option<()>> {
        Ok(self.more(walk, b']')?.then_some(()))
    }

    #[inline(always)]
    fn map(&mut self, (): (), _depth: usize) -> Outcome<Walk<'py>> {
        Ok(Walk { is_first: true, key: Key::None })
    }

    #[inline(always)]
    fn next_field(
        &mut self,
        walk: &mut Walk<'py>,
        class: &Class,
        hint: usize,
    ) -> Outcome<Option<(Option<usize>, ())>> {
        if !self.more(walk, b'}')? {
            return Ok(None);
        }
        // The key that is foretold, with its quotes and its colon.
        if let Some(field) = class.fields.get(hint)
            && self.input[self.at..].starts_with(&field.json_key[1..])
        {
            walk.key = Key::At(self.at);
            self.at += field.json_key.len() - 1;
            self.skip_space();
            return Ok(Some((Some(hint), ())));
        }
        if self.peek() != b'"' {
            self.no_key()?;
        }
        let begin = self.at;
        walk.key = Key::At(begin);
        let found = match self.span()? {
            Some(span) if span.is_ascii => class.find(&self.input[span.start..span.end], hint),
            _ => {
                self.at = begin;
                let key = self.string()?;
                let key = self.owned(key);
                let name = key.as_borrowed();
                let found = text(&name).ok().and_then(|text| class.search(text.as_bytes()));
                walk.key = Key::Object(key);
                found
            }
        };
        self.colon()?;
        Ok(Some((found, ())))
    }

    fn next_pair(&mut self, walk: &mut Walk<'py>) -> Outcome<Option<(Bound<'py, PyAny>, ())>> {
        if !self.more(walk, b'}')? {
            return Ok(None);
        }
        if self.peek() != b'"' {
            self.no_key()?;
        }
        let key = self.key()?;
        let key = self.owned(key);
        self.colon()?;
        Ok(Some((key, ())))
    }

    fn key_name(&mut self, walk: &Walk<'py>) -> PyResult<Bound<'py, PyAny>> {
        match &walk.key {
            Key::Object(key) => Ok(key.clone()),
            Key::At(begin) => {
                let at = std::mem::replace(&mut self.at, *begin);
                let key = self.key();
                self.at = at;
                match key {
                    Ok(key) => Ok(self.owned(key)),
                    // It has changed since it was read.
                    Err(Failed) => Ok(self.py.None().into_bound(self.py)),
                }
            }
            Key::None => Ok(self.py.None().into_bound(self.py)),
        }
    }

    /// Only where the key is the first one, as it is where it was dumped.
    fn tag_text<R>(
        &mut self,
        (): (),
        _key: Borrowed<'_, 'py, PyAny>,
        key_text: &[u8],
        use_it: impl FnOnce(&[u8]) -> R,
    ) -> Outcome<Option<R>> {
        let begin = self.at;
        self.at += 1;
        self.skip_space();
        let mut found = None;
        if self.peek() == b'"'
            && let Some(key) = self.span()?
            && self.input[key.start..key.end] == *key_text
        {
            self.colon()?;
            if self.peek() == b'"'
                && let Some(value) = self.span()?
                && value.is_ascii
            {
                found = Some(self.with_span(value, use_it));
            }
        }
        self.at = begin;
        Ok(found)
    }

    fn note(&mut self, segment: impl FnOnce() -> Segment) {
        self.enclose(segment);
    }
}
