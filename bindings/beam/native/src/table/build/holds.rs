//! Which member of a union a term is of, where it does not say so.

use super::bytes::{fixed, is_text, with_element};
use super::within::pairs;
use super::{is_nil, items, moments, numbers};
use crate::atoms;
use crate::table::names as n;
use crate::value::terms::{self, Kind, Pairs, Word};
use arrow_schema::{DataType, Field, Fields, UnionFields};
use rustler::Env;

/// Whether terms are elements of types.
#[derive(Clone, Copy)]
struct Holds<'a> {
    env: Env<'a>,
    /// Only if they would come back as what they are: an integer is no float, an atom no text.
    alike: bool,
}

/// The number of the first member that gives a term back as it is, or else of the first that holds it. Nil is of the first that may be null.
pub(super) fn member<'a>(env: Env<'a>, word: Word<'a>, members: &UnionFields) -> Option<usize> {
    let of = |alike| members.iter().position(|(_, field)| Holds { env, alike }.field(word, field));
    of(true).or_else(|| of(false))
}

/// The member that a term names which says so, by `{name, term}` or `{number, term}`; `None` for one that does not.
pub(super) fn tagged<'a>(
    env: Env<'a>,
    word: Word<'a>,
    members: &UnionFields,
) -> Option<(Option<usize>, Word<'a>)> {
    let &[tag, word] = terms::tuple(env, word)? else { return None };
    let number = match terms::int(env, tag) {
        Some(number) => members.iter().position(|(id, _)| i64::from(id) == number),
        None => super::bytes::with_text(env, tag, |name| {
            members.iter().position(|(_, field)| field.name().as_bytes() == name)
        })?,
    };
    Some((number, word))
}

impl<'a> Holds<'a> {
    fn field(self, word: Word<'a>, field: &Field) -> bool {
        match is_nil(word) {
            true => field.is_nullable(),
            false => self.term(word, field.data_type()),
        }
    }

    fn term(self, word: Word<'a>, data_type: &DataType) -> bool {
        use DataType::*;
        let (env, alike) = (self.env, self.alike);
        let is = |kind: Kind| terms::kind(env, word) == kind;
        match data_type {
            Null => is_nil(word),
            Boolean => word == n::true_().into() || word == n::false_().into(),
            Utf8 | LargeUtf8 | Utf8View | Binary | LargeBinary | BinaryView => {
                let unlike = alike && is_text(data_type) && is(Kind::Atom);
                !unlike && with_element(env, word, data_type, |_| ()).is_some()
            }
            FixedSizeBinary(width) => fixed(env, word, *width as usize).is_some(),
            List(item) | LargeList(item) | ListView(item) | LargeListView(item) => {
                self.list(word, item, None)
            }
            FixedSizeList(item, size) => self.list(word, item, Some(*size as usize)),
            Struct(fields) => self.map(word, fields),
            Map(entries, _) => match entries.data_type() {
                Struct(fields) if fields.len() == 2 => {
                    let pair = |(key, value)| {
                        !is_nil(key) && self.field(key, &fields[0]) && self.field(value, &fields[1])
                    };
                    pairs(env, word).is_some_and(|pairs| pairs.into_iter().all(pair))
                }
                _ => false,
            },
            Union(members, _) => match tagged(env, word, members) {
                Some((number, word)) => {
                    let field = number.and_then(|number| members.iter().nth(number));
                    field.is_some_and(|(_, field)| self.field(word, field))
                }
                None => members.iter().any(|(_, field)| self.field(word, field)),
            },
            Dictionary(_, of) => self.term(word, of),
            RunEndEncoded(_, values) => self.field(word, values),
            Float16 | Float32 | Float64 | Decimal32(..) | Decimal64(..) | Decimal128(..)
            | Decimal256(..)
                if alike && is(Kind::Integer) =>
            {
                false
            }
            Timestamp(..) if alike && moments::is_date(env, word) => false,
            _ => numbers::is_one(env, word, data_type),
        }
    }

    fn list(self, word: Word<'a>, item: &Field, size: Option<usize>) -> bool {
        let items = items(self.env, word);
        let items = items.filter(|items| size.is_none_or(|size| items.len() == size));
        items.is_some_and(|items| items.into_iter().all(|word| self.field(word, item)))
    }

    /// A map of fields; where it is to come back as it is, of all of them.
    fn map(self, word: Word<'a>, fields: &Fields) -> bool {
        let env = self.env;
        if terms::get(env, word, atoms::struct_().into()).is_some() {
            return false;
        }
        let Some(pairs) = Pairs::new(env, word) else { return false };
        let (mut known, mut count) = (true, 0);
        for (key, value) in pairs {
            let field = super::bytes::with_text(env, key, |name| {
                fields.iter().find(|field| field.name().as_bytes() == name)
            });
            known &= field.flatten().is_some_and(|field| self.field(value, field));
            count += 1;
        }
        known && (count == fields.len() || !self.alike)
    }
}
