//! What the tags of values make.

use super::{FAULTY, ONCE, Reader, Stop, form, notes, unfit};
use crate::value::array::{self, Number};
use crate::value::big::Big;
use crate::value::calendar::{self, Date};
use crate::value::names;
use crate::value::terms::{self, Word};
use rustler::{Atom, Env};
use slipring_codec::format::ndarray::{Descriptor, Element, Order};
use slipring_codec::format::value::{ARRAY_OUT_OF_LINE, Bytes, is_array, read_array};
use slipring_codec::{DecodeError, Token, tag};

impl<'a, 'b> Reader<'a, 'b, '_> {
    /// What a tag encloses, at `depth`, which is one deeper than the tag.
    pub(super) fn tag(
        &mut self,
        number: u64,
        start: usize,
        depth: usize,
    ) -> Result<Word<'a>, Stop> {
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
            tag::NAIVE_DATETIME => self.naive(start),
            tag::DATETIME => self.datetime(start),
            tag::EPOCH => self.epoch(start),
            tag::ZONED_DATETIME => self.zoned_datetime(start, depth),
            tag::DURATION => self.duration(start, depth),
            tag::DECIMAL => self.decimal(start, depth),
            tag::DECIMAL_TEXT => self.decimal_text(start),
            tag::UUID => self.uuid(start, depth),
            tag::OBJECT => self.object(start, depth),
            tag::ELEMENT => self.element(start, depth),
            tag::TABLE => self.table(start),
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

    pub(super) fn note(&mut self, lost: bool, note: u32) {
        self.notes |= if lost { note } else { 0 };
    }

    /// A struct of one kind with these fields.
    pub(super) fn form(&self, form: usize, fields: &[(Atom, Word<'a>)]) -> Result<Word<'a>, Stop> {
        let template = self.forms.templates.get(form);
        let missing = || Stop::refused("a struct that this Elixir makes otherwise", FAULTY, 0);
        let mut term = *template.ok_or_else(missing)?;
        for &(name, value) in fields {
            term = terms::update(self.env, term, name.into(), value).ok_or_else(missing)?;
        }
        Ok(term)
    }

    pub(super) fn int(&self, value: impl Into<i64>) -> Word<'a> {
        terms::make_int(self.env, value.into())
    }

    // What a tag must enclose.

    pub(super) fn text(&mut self, number: u64, start: usize) -> Result<&'b str, Stop> {
        match self.input.token()? {
            Token::Text(text) => Ok(text),
            _ => Err(unfit(number, start)),
        }
    }

    pub(super) fn integer(&mut self, number: u64, start: usize) -> Result<i64, Stop> {
        let integer = self.input.token()?.as_integer();
        integer.and_then(|n| i64::try_from(n).ok()).ok_or_else(|| unfit(number, start))
    }

    pub(super) fn unsigned(&mut self, number: u64, start: usize) -> Result<u64, Stop> {
        match self.input.token()? {
            Token::Unsigned(n) => Ok(n),
            _ => Err(unfit(number, start)),
        }
    }

    /// An integer of any size.
    pub(super) fn any_integer(
        &mut self,
        number: u64,
        start: usize,
        depth: usize,
    ) -> Result<Big, Stop> {
        match self.input.token()? {
            Token::Tag(big @ (tag::POSITIVE_BIG | tag::NEGATIVE_BIG)) => {
                self.enter(depth, start)?;
                let bytes = self.bytes(number, start, depth + 1)?;
                Ok(Big::from_bytes(big == tag::NEGATIVE_BIG, &bytes))
            }
            token => token.as_integer().map(Big::from).ok_or_else(|| unfit(number, start)),
        }
    }

    pub(super) fn expect_array(
        &mut self,
        number: u64,
        start: usize,
    ) -> Result<Option<usize>, Stop> {
        match self.input.token()? {
            Token::Array(len) => Ok(len),
            _ => Err(unfit(number, start)),
        }
    }

    /// An array of so many items, at `depth`.
    pub(super) fn expect_items(
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

    pub(super) fn end(&mut self, ending: Ending, number: u64, start: usize) -> Result<(), Stop> {
        if ending.0 && !self.input.take_break() { Err(unfit(number, start)) } else { Ok(()) }
    }

    /// A byte string: here, in pieces, or out of line.
    pub(super) fn bytes(
        &mut self,
        number: u64,
        start: usize,
        depth: usize,
    ) -> Result<Data<'b>, Stop> {
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
    pub(super) fn buffer(&mut self, start: usize) -> Result<&'b [u8], Stop> {
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
            return Err(Stop::refused("a set holds an element twice", ONCE, start));
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
        if self.options.uuid_text() {
            return Ok(uuid_text(self.env, bytes));
        }
        let bytes = terms::make_binary(self.env, &bytes);
        self.form(form::UUID, &[(names::bytes(), bytes)])
    }

    // Arrays.

    /// An array after its tag, and its data.
    pub(super) fn read_array(&mut self, number: u64) -> Result<(Descriptor, &'b [u8]), Stop> {
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

    pub(super) fn tensor(
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

    /// One element of an array: a number, a text or bytes, else the tensor of it.
    fn element(&mut self, start: usize, depth: usize) -> Result<Word<'a>, Stop> {
        self.enter(depth, start)?;
        let (array, data) = match self.input.token()? {
            Token::Tag(number) if is_array(number) => self.read_array(number)?,
            _ => return Err(unfit(tag::ELEMENT, start)),
        };
        if array.len() != 1 {
            return Err(unfit(tag::ELEMENT, start));
        }
        let text = match *array.element() {
            Element::Bytes { .. } => Some(self.binary(array::filled(data))),
            Element::Text { byte_order, .. } => array::text(byte_order, data)
                .map(|text| terms::make_binary(self.env, text.as_bytes())),
            _ => None,
        };
        if let Some(text) = text {
            self.notes |= notes::ELEMENT;
            return Ok(text);
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
pub(super) type Data<'b> = std::borrow::Cow<'b, [u8]>;

/// Whether a break ends an array.
pub(super) struct Ending(bool);

/// A UUID as text.
pub(crate) fn uuid_text<'a>(env: Env<'a>, bytes: [u8; 16]) -> Word<'a> {
    let mut text = [b'-'; 36];
    let mut places = (0..36).filter(|place| ![8, 13, 18, 23].contains(place));
    for byte in bytes {
        for digit in [byte >> 4, byte & 15] {
            if let Some(place) = places.next() {
                text[place] = b"0123456789abcdef"[usize::from(digit)];
            }
        }
    }
    terms::make_binary(env, &text)
}
