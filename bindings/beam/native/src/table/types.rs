//! Arrow's types as terms, both ways. `Slipring.Column` lists them.
//!
//! What a type's field is beyond its type (its name where that is not the usual one, that it has no nulls, its
//! metadata) is kept: a table that is sent on has the schema that it came with.

use super::names as n;
use crate::atoms::{f, nil, s, u};
use rustler::types::tuple::{get_tuple, make_tuple};
use rustler::{Atom, Encoder, Env, Term};
use slipring_codec::format::arrow::MAX_NESTING;
use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, IntervalUnit, TimeUnit, UnionFields, UnionMode};

/// The usual names of the fields within lists, maps and runs.
const ITEM: &str = "item";
const ENTRIES: &str = "entries";
const KEY: &str = "key";
const VALUE: &str = "value";
const RUN_ENDS: &str = "run_ends";
const VALUES: &str = "values";

pub(crate) fn unit(unit: TimeUnit) -> Atom {
    match unit {
        TimeUnit::Second => n::second(),
        TimeUnit::Millisecond => n::millisecond(),
        TimeUnit::Microsecond => n::microsecond(),
        TimeUnit::Nanosecond => n::nanosecond(),
    }
}

fn unit_of(term: Term<'_>) -> Option<TimeUnit> {
    let atom = Atom::from_term(term).ok()?;
    let units =
        [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond];
    units.into_iter().find(|&known| unit(known) == atom)
}

/// A type as a term.
pub(crate) fn term<'a>(env: Env<'a>, data_type: &DataType) -> Term<'a> {
    use DataType::*;
    let word = |atom: Atom| atom.encode(env);
    let number = |kind: Atom, bits: u32| (kind, bits).encode(env);
    let decimal = |bits: u32, precision: u8, scale: i8| {
        (n::decimal(), bits, u32::from(precision), i32::from(scale)).encode(env)
    };
    let item = |kind: Atom, field: &Field| (kind, short(env, field, ITEM)).encode(env);
    match data_type {
        Null => word(n::null()),
        Boolean => word(n::boolean()),
        Int8 => number(s(), 8),
        Int16 => number(s(), 16),
        Int32 => number(s(), 32),
        Int64 => number(s(), 64),
        UInt8 => number(u(), 8),
        UInt16 => number(u(), 16),
        UInt32 => number(u(), 32),
        UInt64 => number(u(), 64),
        Float16 => number(f(), 16),
        Float32 => number(f(), 32),
        Float64 => number(f(), 64),
        Decimal32(precision, scale) => decimal(32, *precision, *scale),
        Decimal64(precision, scale) => decimal(64, *precision, *scale),
        Decimal128(precision, scale) => decimal(128, *precision, *scale),
        Decimal256(precision, scale) => decimal(256, *precision, *scale),
        Utf8 => word(n::string()),
        LargeUtf8 => word(n::large_string()),
        Utf8View => word(n::string_view()),
        Binary => word(n::binary()),
        LargeBinary => word(n::large_binary()),
        BinaryView => word(n::binary_view()),
        FixedSizeBinary(width) => (n::fixed_binary(), *width).encode(env),
        Date32 => (n::date(), n::day()).encode(env),
        Date64 => (n::date(), n::millisecond()).encode(env),
        Time32(of) | Time64(of) => (n::time(), unit(*of)).encode(env),
        Timestamp(of, None) => (n::naive_datetime(), unit(*of)).encode(env),
        Timestamp(of, Some(zone)) => (n::datetime(), unit(*of), &**zone).encode(env),
        Duration(of) => (n::duration(), unit(*of)).encode(env),
        Interval(IntervalUnit::YearMonth) => (n::interval(), n::month()).encode(env),
        Interval(IntervalUnit::DayTime) => (n::interval(), n::day_time()).encode(env),
        Interval(IntervalUnit::MonthDayNano) => (n::interval(), n::month_day_nano()).encode(env),
        List(field) => item(n::list(), field),
        LargeList(field) => item(n::large_list(), field),
        ListView(field) => item(n::list_view(), field),
        LargeListView(field) => item(n::large_list_view(), field),
        FixedSizeList(field, size) => (n::fixed_list(), *size, short(env, field, ITEM)).encode(env),
        Struct(fields) => (n::struct_(), self::fields(env, fields)).encode(env),
        Map(entries, sorted) => match entries.data_type() {
            Struct(pair) if is_usual(entries, *sorted) => {
                let (key, value) = (&pair[0], &pair[1]);
                (n::map(), term(env, key.data_type()), short(env, value, VALUE)).encode(env)
            }
            _ => (n::map(), field(env, entries), *sorted).encode(env),
        },
        Union(fields, mode) => {
            let mode = if *mode == UnionMode::Sparse { n::sparse() } else { n::dense() };
            let fields: Vec<Term<'_>> =
                fields.iter().map(|(id, of)| (id, field(env, of)).encode(env)).collect();
            (n::union(), mode, fields).encode(env)
        }
        Dictionary(key, values) => (n::dictionary(), term(env, key), term(env, values)).encode(env),
        RunEndEncoded(ends, values) => {
            let ends = term(env, ends.data_type());
            (n::run_end_encoded(), ends, short(env, values, VALUES)).encode(env)
        }
    }
}

fn is_usual(entries: &Field, sorted: bool) -> bool {
    let plain = |field: &Field, name: &str| {
        field.name() == name && !field.is_nullable() && options(field).is_none()
    };
    match entries.data_type() {
        DataType::Struct(pair) if pair.len() == 2 => {
            !sorted && plain(entries, ENTRIES) && plain(&pair[0], KEY)
        }
        _ => false,
    }
}

/// Whether a field says more than its name, its type and whether it has nulls.
fn options(field: &Field) -> Option<()> {
    let ordered = field.dict_is_ordered() == Some(true);
    (ordered || !field.metadata().is_empty()).then_some(())
}

/// The type alone where the field is the usual one.
fn short<'a>(env: Env<'a>, of: &Field, name: &str) -> Term<'a> {
    if of.name() == name && of.is_nullable() && options(of).is_none() {
        return term(env, of.data_type());
    }
    field(env, of)
}

fn fields<'a>(env: Env<'a>, fields: &Fields) -> Vec<Term<'a>> {
    fields.iter().map(|of| field(env, of)).collect()
}

/// `{name, type}`, or `{name, type, options}`.
fn field<'a>(env: Env<'a>, field: &Field) -> Term<'a> {
    let (name, of) = (&**field.name(), term(env, field.data_type()));
    if field.is_nullable() && options(field).is_none() {
        return (name, of).encode(env);
    }
    let mut said = Vec::new();
    if !field.is_nullable() {
        said.push((n::nullable().encode(env), false.encode(env)));
    }
    if field.dict_is_ordered() == Some(true) {
        said.push((n::ordered().encode(env), true.encode(env)));
    }
    if !field.metadata().is_empty() {
        said.push((n::metadata().encode(env), metadata(env, field)));
    }
    let said = Term::map_from_pairs(env, &said);
    make_tuple(env, &[name.encode(env), of, said.unwrap_or_else(|_| nil().encode(env))])
}

pub(crate) fn metadata<'a>(env: Env<'a>, field: &Field) -> Term<'a> {
    let pairs: HashMap<&str, &str> =
        field.metadata().iter().map(|(key, value)| (&**key, &**value)).collect();
    pairs.encode(env)
}

/// The type of a term; `None` for what is none.
pub(crate) fn parse(of: Term<'_>) -> Option<DataType> {
    at(of, MAX_NESTING)
}

/// The field of a name, a type, and what else there is to say of it.
pub(crate) fn parse_field(
    name: &str,
    of: DataType,
    nullable: Term<'_>,
    ordered: bool,
    metadata: Term<'_>,
) -> Option<Field> {
    let pairs: HashMap<String, String> = metadata.decode().ok()?;
    let field = Field::new(name, of, nullable.decode().ok()?);
    let field = if ordered { field.with_dict_is_ordered(true) } else { field };
    Some(if pairs.is_empty() { field } else { field.with_metadata(pairs) })
}

fn at(of: Term<'_>, depth: usize) -> Option<DataType> {
    use DataType::*;
    let depth = depth.checked_sub(1)?;
    if let Ok(word) = Atom::from_term(of) {
        let plain = [
            (n::null(), Null),
            (n::boolean(), Boolean),
            (n::string(), Utf8),
            (n::large_string(), LargeUtf8),
            (n::string_view(), Utf8View),
            (n::binary(), Binary),
            (n::large_binary(), LargeBinary),
            (n::binary_view(), BinaryView),
        ];
        return plain.into_iter().find(|(known, _)| *known == word).map(|(_, plain)| plain);
    }
    let parts = get_tuple(of).ok()?;
    let (kind, said) = parts.split_first()?;
    let kind = Atom::from_term(*kind).ok()?;
    let is = |known: Atom| kind == known;
    let one = || if said.len() == 1 { Some(said[0]) } else { None };
    let item = |term: Term<'_>| short_at(term, ITEM, depth).map(Arc::new);
    Some(if is(s()) || is(u()) || is(f()) {
        number(kind, one()?.decode().ok()?)?
    } else if is(n::decimal()) {
        let [bits, precision, scale] = said else { return None };
        let (precision, scale): (u8, i8) = (precision.decode().ok()?, scale.decode().ok()?);
        match (bits.decode().ok()?, precision) {
            (32, 1..=9) => Decimal32(precision, scale),
            (64, 1..=18) => Decimal64(precision, scale),
            (128, 1..=38) => Decimal128(precision, scale),
            (256, 1..=76) => Decimal256(precision, scale),
            _ => return None,
        }
    } else if is(n::fixed_binary()) {
        FixedSizeBinary(one()?.decode().ok().filter(|&width| width >= 0)?)
    } else if is(n::date()) {
        match Atom::from_term(one()?).ok()? {
            unit if unit == n::day() => Date32,
            unit if unit == n::millisecond() => Date64,
            _ => return None,
        }
    } else if is(n::time()) {
        match unit_of(one()?)? {
            unit @ (TimeUnit::Second | TimeUnit::Millisecond) => Time32(unit),
            unit => Time64(unit),
        }
    } else if is(n::naive_datetime()) {
        Timestamp(unit_of(one()?)?, None)
    } else if is(n::datetime()) {
        let [unit, zone] = said else { return None };
        let zone: String = zone.decode().ok()?;
        Timestamp(unit_of(*unit)?, Some(zone.into()))
    } else if is(n::duration()) {
        Duration(unit_of(one()?)?)
    } else if is(n::interval()) {
        Interval(match Atom::from_term(one()?).ok()? {
            unit if unit == n::month() => IntervalUnit::YearMonth,
            unit if unit == n::day_time() => IntervalUnit::DayTime,
            unit if unit == n::month_day_nano() => IntervalUnit::MonthDayNano,
            _ => return None,
        })
    } else if is(n::list()) {
        List(item(one()?)?)
    } else if is(n::large_list()) {
        LargeList(item(one()?)?)
    } else if is(n::list_view()) {
        ListView(item(one()?)?)
    } else if is(n::large_list_view()) {
        LargeListView(item(one()?)?)
    } else if is(n::fixed_list()) {
        let [size, of] = said else { return None };
        FixedSizeList(item(*of)?, size.decode().ok().filter(|&size| size >= 0)?)
    } else if is(n::struct_()) {
        let fields: Vec<Term<'_>> = one()?.decode().ok()?;
        Struct(fields.into_iter().map(|of| field_at(of, depth)).collect::<Option<_>>()?)
    } else if is(n::map()) {
        let &[first, second] = said else { return None };
        if let Ok(sorted) = second.decode::<bool>() {
            Map(Arc::new(field_at(first, depth)?), sorted)
        } else {
            let depth = depth.checked_sub(1)?;
            let key = Field::new(KEY, at(first, depth)?, false);
            let value = short_at(second, VALUE, depth)?;
            let pair = Struct(vec![key, value].into());
            Map(Arc::new(Field::new(ENTRIES, pair, false)), false)
        }
    } else if is(n::union()) {
        let [mode, fields] = said else { return None };
        let mode = match Atom::from_term(*mode).ok()? {
            mode if mode == n::sparse() => UnionMode::Sparse,
            mode if mode == n::dense() => UnionMode::Dense,
            _ => return None,
        };
        let fields: Vec<(i8, Term<'_>)> = fields.decode().ok()?;
        let fields: Option<Vec<_>> =
            fields.into_iter().map(|(id, of)| Some((id, field_at(of, depth)?))).collect();
        let (ids, fields): (Vec<i8>, Vec<Field>) = fields?.into_iter().unzip();
        Union(UnionFields::try_new(ids, fields).ok()?, mode)
    } else if is(n::dictionary()) {
        let [key, values] = said else { return None };
        let key = at(*key, depth).filter(DataType::is_dictionary_key_type)?;
        Dictionary(Box::new(key), Box::new(at(*values, depth)?))
    } else if is(n::run_end_encoded()) {
        let [ends, values] = said else { return None };
        let ends = at(*ends, depth).filter(DataType::is_run_ends_type)?;
        let values = short_at(*values, VALUES, depth)?;
        RunEndEncoded(Arc::new(Field::new(RUN_ENDS, ends, false)), Arc::new(values))
    } else {
        return None;
    })
}

fn number(kind: Atom, bits: u32) -> Option<DataType> {
    use DataType::*;
    Some(match (kind, bits) {
        (kind, 8) if kind == s() => Int8,
        (kind, 16) if kind == s() => Int16,
        (kind, 32) if kind == s() => Int32,
        (kind, 64) if kind == s() => Int64,
        (kind, 8) if kind == u() => UInt8,
        (kind, 16) if kind == u() => UInt16,
        (kind, 32) if kind == u() => UInt32,
        (kind, 64) if kind == u() => UInt64,
        (kind, 16) if kind == f() => Float16,
        (kind, 32) if kind == f() => Float32,
        (kind, 64) if kind == f() => Float64,
        _ => return None,
    })
}

/// A field, or its type where it is the usual one.
fn short_at(of: Term<'_>, name: &str, depth: usize) -> Option<Field> {
    match get_tuple(of) {
        Ok(parts) if parts.first().is_some_and(|first| first.is_binary()) => field_at(of, depth),
        _ => Some(Field::new(name, at(of, depth)?, true)),
    }
}

/// `{name, type}` or `{name, type, options}`, the name a binary or an atom.
fn field_at(of: Term<'_>, depth: usize) -> Option<Field> {
    let parts = get_tuple(of).ok()?;
    let (name, of) = (*parts.first()?, *parts.get(1)?);
    let name = match name.atom_to_string() {
        Ok(name) => name,
        Err(_) => name.decode().ok()?,
    };
    let of = at(of, depth)?;
    let Some(said) = parts.get(2) else { return Some(Field::new(name, of, true)) };
    if parts.len() > 3 || !said.is_map() {
        return None;
    }
    let env = said.get_env();
    let get = |key: Atom, other: Term<'_>| said.map_get(key).unwrap_or(other.in_env(env));
    let ordered = get(n::ordered(), false.encode(env)).decode().ok()?;
    let nullable = get(n::nullable(), true.encode(env));
    parse_field(&name, of, nullable, ordered, get(n::metadata(), Term::map_new(env)))
}
