//! Tables: Arrow record batches as terms, columns as views on binaries, and both ways between columns and the terms
//! that stand in them.
//!
//! 1. A table is read by the codec: it checks the messages and what Elixir will follow. Columns are structs over
//!    binaries that lie in the frame, see [`column`].
//! 2. Whatever is done with a column begins with the struct: its buffers are looked at anew, and what stands in them
//!    again where it is used.
//! 3. What takes long by its size is answered `:large`, and done on a dirty scheduler.

pub(crate) mod arrays;
mod build;
mod column;
mod decode;
pub(crate) mod records;
mod slice;
mod sum;
pub(crate) mod types;

use crate::error::{Fault, answer};
use crate::expect::{Found, Route};
use crate::value::decode::Options;
use crate::value::shape::Shape;
use crate::value::terms::{self, Word};
use crate::value::{self, Most, view_of};
use crate::{atoms, charge, counts};
use arrow_schema::Field;
pub(crate) use build::binary;
use build::{Transposed, Work};
use column::Array;
use decode::{Stop, Walk};
use rustler::{Binary, Decoder, Encoder, Env, NifResult, Resource, ResourceArc, Term};
use slipring_codec::error::Segment as Step;
use slipring_codec::evolution::Made;
use slipring_codec::format::arrow::{self, Checks};
use slipring_codec::infer::WORTH;
use slipring_codec::{Body, Content, Format};

/// Elements that one call makes terms of, or columns, on a normal scheduler, and what one takes as bytes copied.
const ITEMS_MOST: usize = 32 << 10;
const ITEM_COSTS: usize = 100;
/// Bytes of messages and columns that are checked in one call on a normal scheduler: some 200 us.
const CHECK_MOST: usize = 4 << 20;
/// Bytes of a column that one call goes through on a normal scheduler.
const BYTES_MOST: usize = 1 << 20;

/// The fields of the structs, and the words of types.
pub(crate) mod names {
    rustler::atoms! {
        true_ = "true", false_ = "false",
        column_module = "Elixir.Slipring.Column",
        date_module = "Elixir.Date", time_module = "Elixir.Time", naive_module = "Elixir.NaiveDateTime",
        datetime_module = "Elixir.DateTime", duration_module = "Elixir.Slipring.Duration",
        iso = "Elixir.Calendar.ISO",
        // fields
        name, rows, type_ = "type", nullable, ordered, metadata, length, null_count, validity, data, offsets, sizes,
        buffers, children, fields, batches, bytes, sign, coef, exp,
        calendar, year, month, day, hour, minute, second, microsecond, utc_offset, std_offset, time_zone,
        zone_abbr, seconds, microseconds, months, days, milliseconds, nanoseconds,
        // types
        null, boolean, decimal, string, large_string, string_view, binary, large_binary, binary_view,
        fixed_binary, date, time, naive_datetime, datetime, duration, interval, day_time, month_day_nano,
        millisecond, nanosecond, list, large_list, list_view, large_list_view, fixed_list,
        struct_ = "struct", map, union, sparse, dense, dictionary, run_end_encoded,
        // what is done with columns
        sum, min, max, no, other,
    }
}

pub(crate) fn register(env: Env<'_>) -> bool {
    env.register::<build::Kept>().is_ok() && env.register::<Beside>().is_ok()
}

fn large(env: Env<'_>) -> Term<'_> {
    atoms::large().encode(env)
}

// Reading ------------------------------------------------------------------------------------------

/// The table of a body: `{fields, metadata, rows, batches}`, or `:large`. Its schema is the one that it is sent `under`, if it is
/// not in the frame, and it is read by the `route` to what is expected, if anything is. `view` makes a binary of a piece of the body.
pub(crate) fn read_body<'a, 'b>(
    env: Env<'a>,
    body: &Body<'b>,
    whole: &'b [u8],
    (under, route): (Option<&[u8]>, Option<&ResourceArc<Route>>),
    view: &dyn Fn(&'b [u8]) -> Word<'a>,
    most: Most,
) -> Result<Term<'a>, Fault> {
    let Content::Arrow(headed) = body.content()? else {
        return Err(Fault::unreadable("content of another kind".into(), "$.format"));
    };
    let bytes = if most == Most::Normal { CHECK_MOST } else { usize::MAX };
    let Some((table, looked_at)) = arrow::read_within(&headed, under, Checks::Safe, bytes)? else {
        return Ok(large(env));
    };
    let found = Found { table, whole, view };
    let read = match route {
        Some(route) => match Route::read(route, env, found, None, most)? {
            Some(read) => read,
            None => return Ok(large(env)),
        },
        None => parts(env, &found, None),
    };
    if most == Most::Normal {
        charge(env, 0, looked_at);
    }
    counts::here(|tally| tally.decoded(Format::Arrow.code(), whole.len()));
    Ok(read)
}

/// What was made of a table beside its frame, as long as there are binaries over it.
struct Beside(Made);

impl Resource for Beside {}

/// `{fields, metadata, rows, batches}` of a table, of which some may have been `made`.
pub(crate) fn parts<'a>(env: Env<'a>, found: &Found<'a, '_, '_>, made: Option<Made>) -> Term<'a> {
    let (fields, metadata, rows, batches) = fields_of(env, found, made);
    (fields, metadata, rows, batches).encode(env)
}

/// The fields of a `Slipring.Table`, by their names.
pub(crate) fn named_parts<'a>(
    env: Env<'a>,
    found: &Found<'a, '_, '_>,
) -> [(rustler::Atom, Word<'a>); 4] {
    let (fields, metadata, rows, batches) = fields_of(env, found, None);
    [
        (names::fields(), fields.into()),
        (names::metadata(), metadata.into()),
        (names::rows(), rows.into()),
        (names::batches(), batches.into()),
    ]
}

fn fields_of<'a>(
    env: Env<'a>,
    found: &Found<'a, '_, '_>,
    made: Option<Made>,
) -> (Term<'a>, Term<'a>, Term<'a>, Term<'a>) {
    let Found { table, whole, view } = found;
    let beside = made.filter(|made| !made.is_empty()).map(|made| ResourceArc::new(Beside(made)));
    let place = |place: std::ops::Range<usize>| match (whole.get(place.clone()), &beside) {
        (Some(part), _) => view(part),
        (None, Some(beside)) => {
            let made =
                beside.make_binary(env, |beside| beside.0.get(&[], &place).unwrap_or_default());
            made.to_term(env).into()
        }
        (None, None) => terms::make_binary(env, b""),
    };
    let fields = table.schema.fields();
    let batches: Vec<Term<'_>> = table
        .batches
        .iter()
        .map(|batch| {
            let columns: Vec<Word<'_>> = batch
                .columns
                .iter()
                .zip(fields)
                .map(|(of, field)| column::of_frame(env, field, of, &place))
                .collect();
            (batch.len, terms::make_list(env, &columns).term(env)).encode(env)
        })
        .collect();
    let rows: usize = table.batches.iter().map(|batch| batch.len).sum();
    let fields: Vec<Word<'_>> = fields.iter().map(|field| column::empty(env, field)).collect();
    let metadata: std::collections::HashMap<&str, &str> =
        table.schema.metadata().iter().map(|(key, value)| (&**key, &**value)).collect();
    let fields = terms::make_list(env, &fields).term(env);
    (fields, metadata.encode(env), rows.encode(env), batches.encode(env))
}

/// A frame that was copied, as `frame` has made it.
struct Copied<'a> {
    flags: u16,
    type_code: u16,
    body: Term<'a>,
    /// Where that is not in the frame.
    schema: Option<Binary<'a>>,
    /// Where something is expected.
    route: Option<ResourceArc<Route>>,
}

impl<'a> Decoder<'a> for Copied<'a> {
    fn decode(term: Term<'a>) -> NifResult<Self> {
        if let Ok((flags, type_code, body)) = term.decode() {
            return Ok(Self { flags, type_code, body, schema: None, route: None });
        }
        let (flags, type_code, body, schema, route) = term.decode()?;
        Ok(Self { flags, type_code, body, schema: Some(schema), route })
    }
}

/// The table of a frame that was copied.
fn read_copied<'a>(env: Env<'a>, content: Copied<'a>, most: Most) -> Term<'a> {
    let Copied { flags, type_code, body, schema, route } = content;
    let whole = Word::from(body);
    let read = || {
        let bytes = terms::bytes(env, whole).ok_or_else(Fault::no_binary)?;
        let body = Body::open(Format::Arrow.code(), flags, type_code, bytes)?;
        let view = |part: &[u8]| view_of(env, whole, bytes, part);
        read_body(env, &body, bytes, (schema.as_deref(), route.as_ref()), &view, most)
    };
    answer(env, read())
}

#[rustler::nif]
fn table<'a>(env: Env<'a>, content: Copied<'a>) -> Term<'a> {
    read_copied(env, content, Most::Normal)
}

#[rustler::nif(schedule = "DirtyCpu")]
fn table_large<'a>(env: Env<'a>, content: Copied<'a>) -> Term<'a> {
    read_copied(env, content, Most::All)
}

// Elements -----------------------------------------------------------------------------------------

fn parse<'a>(env: Env<'a>, column: Term<'a>) -> Result<(Field, Array<'a>), Fault> {
    let name = || -> Step {
        let name = column.map_get(names::name()).and_then(|name| name.decode::<String>());
        Step::key(&name.unwrap_or_default())
    };
    let parsed = Array::parse(env, column.into());
    parsed.map_err(|wrong| wrong.within(name()).within(Step::key("columns")).into())
}

/// Makes terms of rows by a walk: `{list, notes, elements}`, or `:large`. So many elements are `spent` by other walks.
fn walked<'a>(
    env: Env<'a>,
    options: u32,
    forms: Term<'a>,
    most: Most,
    spent: u64,
    walk: impl FnOnce(&mut Walk<'a>, &mut Vec<Word<'a>>) -> Result<(), Stop>,
    fault: impl FnOnce(Box<decode::Refused>) -> Fault,
) -> Result<Term<'a>, Fault> {
    let forms = value::forms(env, forms).ok_or_else(Fault::other_library)?;
    let left = decode::MOST.saturating_sub(usize::try_from(spent).unwrap_or(usize::MAX));
    let items = if most == Most::Normal { left.min(ITEMS_MOST) } else { left };
    let mut walker = Walk::new(env, Options(options), forms, items);
    let mut out = Vec::new();
    let walked = walk(&mut walker, &mut out);
    if most == Most::Normal {
        let left = if walked.is_ok() { walker.left } else { 0 };
        charge(env, 0, (items - left) * ITEM_COSTS);
    }
    match walked {
        Ok(()) => {
            Ok((terms::make_list(env, &out).term(env), walker.notes, items - walker.left)
                .encode(env))
        }
        Err(Stop::Large) if most == Most::Normal => Ok(large(env)),
        Err(Stop::Large) => {
            let what = format!("more than {} elements", decode::MOST);
            Err(Fault::table(&what, "$.columns", "take them by slices"))
        }
        Err(Stop::Refused(refused)) => Err(fault(refused)),
    }
}

/// Rows as Elixir asks for them: the first, and how many.
type Asked = (i64, i64);

fn rows_of(len: usize, (from, count): Asked) -> Result<std::ops::Range<usize>, Fault> {
    let rows = usize::try_from(from).ok().zip(usize::try_from(count).ok());
    let rows = rows.and_then(|(from, count)| Some(from..from.checked_add(count)?));
    rows.filter(|rows| rows.end <= len).ok_or_else(|| {
        let what = format!("rows {from} and {count} more of a column of {len}");
        Fault::table(&what, "$", "ask for rows that are there")
    })
}

fn elements<'a>(
    env: Env<'a>,
    column: Term<'a>,
    asked: Asked,
    options: u32,
    forms: Term<'a>,
    most: Most,
) -> Term<'a> {
    let made = || {
        let (field, array) = parse(env, column)?;
        let rows = rows_of(array.len, asked)?;
        walked(
            env,
            options,
            forms,
            most,
            0,
            |walk, out| walk.values(&array, rows, out),
            |refused| refused.fault(Some(field.name())),
        )
    };
    answer(env, made())
}

/// `{list, notes, elements}` of these rows of a column, `:large` for `column_values_large`, or `{:error, fault}`.
#[rustler::nif]
fn column_values<'a>(
    env: Env<'a>,
    column: Term<'a>,
    rows: Asked,
    options: u32,
    forms: Term<'a>,
) -> Term<'a> {
    elements(env, column, rows, options, forms, Most::Normal)
}

#[rustler::nif(schedule = "DirtyCpu")]
fn column_values_large<'a>(
    env: Env<'a>,
    column: Term<'a>,
    rows: Asked,
    options: u32,
    forms: Term<'a>,
) -> Term<'a> {
    elements(env, column, rows, options, forms, Most::All)
}

fn maps<'a>(
    env: Env<'a>,
    columns: Vec<Term<'a>>,
    asked: Asked,
    options: u32,
    forms: Term<'a>,
    spent: u64,
    most: Most,
) -> Term<'a> {
    let made = || {
        let mut arrays = Vec::with_capacity(columns.len());
        for column in columns {
            let (field, array) = parse(env, column)?;
            rows_of(array.len, asked)?;
            arrays.push((field, array));
        }
        // Without columns there are as many as are said.
        let rows = rows_of(usize::MAX, asked)?;
        // The column that an error is in.
        let failed = std::cell::Cell::new(None);
        walked(
            env,
            options,
            forms,
            most,
            spent,
            |walk, out| {
                let keys = arrays.iter().map(|(field, _)| walk.key(field.name())).collect();
                let named = arrays.iter().map(|(field, array)| {
                    failed.set(Some(field.name()));
                    (array, &**field.name())
                });
                let missing: Vec<bool> =
                    arrays.iter().map(|(field, _)| records::is_missing(field)).collect();
                let done = walk.maps_of(
                    &mut (keys, Shape::default()),
                    named,
                    rows,
                    Some(&missing),
                    |_| true,
                    out,
                );
                // What is wrong with a row as a whole is in no column.
                failed.set(failed.get().filter(|_| walk.in_column));
                done
            },
            |refused| refused.fault(failed.get().map(String::as_str)),
        )
    };
    answer(env, made())
}

/// `{maps, notes, elements}` of these rows of columns, `:large` for `table_rows_large`, or `{:error, fault}`. So many
/// elements of the most are `spent` on other batches.
#[rustler::nif]
fn table_rows<'a>(
    env: Env<'a>,
    columns: Vec<Term<'a>>,
    rows: Asked,
    options: u32,
    forms: Term<'a>,
    spent: u64,
) -> Term<'a> {
    maps(env, columns, rows, options, forms, spent, Most::Normal)
}

#[rustler::nif(schedule = "DirtyCpu")]
fn table_rows_large<'a>(
    env: Env<'a>,
    columns: Vec<Term<'a>>,
    rows: Asked,
    options: u32,
    forms: Term<'a>,
    spent: u64,
) -> Term<'a> {
    maps(env, columns, rows, options, forms, spent, Most::All)
}

/// Whether a list is worth a table, unasked: `{:ok, bytes}`, `{:no, why}`, or `:other` for what is no list of maps.
#[rustler::nif(schedule = "DirtyCpu")]
fn records<'a>(env: Env<'a>, list: Term<'a>) -> Term<'a> {
    let no = |why: String| (names::no(), why).encode(env);
    match records::look(env, list.into(), false, 1, usize::MAX) {
        records::Look::Table(_, rows) if rows.len < WORTH => {
            no(format!("{} records: a table is worth it from {WORTH} on", rows.len))
        }
        records::Look::Table(schema, rows) => {
            match arrow::plan(&schema, &[rows], arrow::SchemaPlace::Frame, None) {
                Ok(plan) => (atoms::ok(), plan.body_len()).encode(env),
                Err(error) => no(error.to_string()),
            }
        }
        records::Look::Not(why) => no(why),
        records::Look::Other | records::Look::Large => names::other().encode(env),
    }
}

/// The bytes of a table's frame, or `{:error, fault}`.
#[rustler::nif(schedule = "DirtyCpu")]
fn table_size<'a>(env: Env<'a>, table: Term<'a>) -> Term<'a> {
    let size = || {
        let parsed = arrays::Parsed::of(env, table.into())?;
        Ok(parsed.outgoing()?.planned(None, arrow::Plan::body_len)?.encode(env))
    };
    answer(env, size())
}

// Columns ------------------------------------------------------------------------------------------

/// These rows of a column, or `{:error, fault}`.
#[rustler::nif]
fn column_slice<'a>(env: Env<'a>, column: Term<'a>, from: i64, count: i64) -> Term<'a> {
    let made = || {
        let (_, array) = parse(env, column)?;
        let rows = rows_of(array.len, (from, count))?;
        // What is not a view is bits, and the ends of runs.
        charge(env, 0, rows.len() / 8);
        Ok(slice::slice(env, &array, rows.start, rows.len()).term(env))
    };
    answer(env, made())
}

/// Columns of one type, one after the other, or `{:error, fault}`.
#[rustler::nif(schedule = "DirtyCpu")]
fn column_concat<'a>(env: Env<'a>, columns: Vec<Term<'a>>) -> Term<'a> {
    let made = || {
        let mut parsed = Vec::with_capacity(columns.len());
        for column in columns {
            parsed.push(parse(env, column)?);
        }
        let (fields, arrays): (Vec<Field>, Vec<Array<'a>>) = parsed.into_iter().unzip();
        let field = fields.first().ok_or_else(Fault::other_library)?;
        if let Some(other) = fields.iter().find(|other| other.data_type() != field.data_type()) {
            let what = format!(
                "a column of the type {} after one of {}",
                other.data_type(),
                field.data_type()
            );
            return Err(Fault::no_column(&what, &format!("$.columns.{}", field.name())));
        }
        Ok(arrays::concat(env, field, &arrays)?.term(env))
    };
    answer(env, made())
}

/// `:ok` if the column's buffers are long enough for its elements, or `{:error, fault}`.
#[rustler::nif]
fn column_check<'a>(env: Env<'a>, column: Term<'a>) -> Term<'a> {
    answer(env, parse(env, column).map(|_| atoms::ok().encode(env)))
}

/// The sum, the least or the largest number, `nil` where there is none; `:error` for a column of something else, `:large`
/// for `column_sum_large`, or `{:error, fault}`.
#[rustler::nif]
fn column_sum<'a>(env: Env<'a>, column: Term<'a>, how: rustler::Atom) -> Term<'a> {
    summed(env, column, how, Most::Normal)
}

#[rustler::nif(schedule = "DirtyCpu")]
fn column_sum_large<'a>(env: Env<'a>, column: Term<'a>, how: rustler::Atom) -> Term<'a> {
    summed(env, column, how, Most::All)
}

fn summed<'a>(env: Env<'a>, column: Term<'a>, how: rustler::Atom, most: Most) -> Term<'a> {
    let made = || {
        let (_, array) = parse(env, column)?;
        if most == Most::Normal {
            if array.size() > BYTES_MOST {
                return Ok(large(env));
            }
            charge(env, 0, array.size());
        }
        let sum = sum::reduce(env, &array, how);
        Ok(sum.map_or(atoms::error().encode(env), |sum| sum.term(env)))
    };
    answer(env, made())
}

/// The type, as it is written here, or `:error`.
#[rustler::nif]
fn column_type<'a>(env: Env<'a>, of: Term<'a>) -> Term<'a> {
    types::parse(of).map_or(atoms::error().encode(env), |of| types::term(env, &of))
}

// Building -----------------------------------------------------------------------------------------

/// Does `build` with as much work as there may be: what it makes, or `:large`.
fn building<'a>(
    env: Env<'a>,
    most: Most,
    build: impl FnOnce(&mut Work) -> Result<Term<'a>, build::Stop>,
    fault: impl FnOnce(Box<build::Unfit>) -> Fault,
) -> Term<'a> {
    let items = if most == Most::Normal { ITEMS_MOST } else { usize::MAX };
    let mut work = Work { left: items };
    let built = build(&mut work);
    if most == Most::Normal {
        let left = if built.is_ok() { work.left } else { 0 };
        charge(env, 0, (items - left) * ITEM_COSTS);
    }
    match built {
        Ok(made) => made,
        Err(build::Stop::Large) => large(env),
        Err(build::Stop::Unfit(unfit)) => answer(env, Err(fault(unfit))),
    }
}

fn column_of<'a>(env: Env<'a>, name: &str, list: Term<'a>, of: Term<'a>, most: Most) -> Term<'a> {
    let path = format!("$.columns.{name}");
    let no_list = || Fault::unsendable("no list", &path, "term", "give a list of the elements");
    let Some(words) = build::items(env, list.into()) else { return answer(env, Err(no_list())) };
    let data_type = match of == atoms::nil().encode(env) {
        true => None,
        false => match types::parse(of) {
            Some(data_type) => Some(data_type),
            None => {
                let hint = "give a type that Slipring.Column lists";
                return answer(
                    env,
                    Err(Fault::unsendable("no type of a column", &path, "type", hint)),
                );
            }
        },
    };
    building(
        env,
        most,
        |work| {
            let data_type = match data_type {
                Some(data_type) => data_type,
                None => build::infer(env, &words, 0, work)?,
            };
            let field = Field::new(name, data_type, true);
            // A schema may have a type that no term is of, such as a struct with two fields of one name.
            if words.is_empty() {
                return Ok(column::empty(env, &field).term(env));
            }
            let made = build::build(env, &words, field.data_type(), work)?;
            Ok(made.column(env, &field).term(env))
        },
        |unfit| unfit.fault(false, Some(name)),
    )
}

/// A column of a list's elements, of a type or, for `nil`, of the one that holds them; `:large` for `column_build_large`, or
/// `{:error, fault}`.
#[rustler::nif]
fn column_build<'a>(env: Env<'a>, name: &str, list: Term<'a>, of: Term<'a>) -> Term<'a> {
    column_of(env, name, list, of, Most::Normal)
}

#[rustler::nif(schedule = "DirtyCpu")]
fn column_build_large<'a>(env: Env<'a>, name: &str, list: Term<'a>, of: Term<'a>) -> Term<'a> {
    column_of(env, name, list, of, Most::All)
}

fn columns_of<'a>(env: Env<'a>, maps: Term<'a>, types: Term<'a>, most: Most) -> Term<'a> {
    let unfit = |unfit: Box<build::Unfit>| unfit.fault(true, None);
    let mut given_up = false;
    let quick = |work: &mut Work| {
        let columns = build::quick::columns(env, maps.into(), types, work)?;
        given_up = columns.is_none();
        Ok(columns.unwrap_or(atoms::nil().into()).term(env))
    };
    let made = building(env, most, quick, unfit);
    if !given_up {
        return made;
    }
    let Some(rows) = build::items(env, maps.into()) else {
        let hint = "give a list of maps";
        return answer(env, Err(Fault::unsendable("no list", "$", "term", hint)));
    };
    building(
        env,
        most,
        |work| {
            if let Some(row) = rows.iter().position(|&row| build::is_nil(row)) {
                return Err(build::Stop::no_row(row));
            }
            let rows = Transposed::of(env, &rows, None, work)?;
            let mut columns = Vec::with_capacity(rows.names.len());
            for (name, words) in rows.names.iter().zip(&rows.columns) {
                let given = types.map_get(name).ok().and_then(types::parse);
                let data_type = match given {
                    Some(data_type) => Ok(data_type),
                    None => build::infer(env, words, 0, work),
                };
                let built = data_type.and_then(|data_type| {
                    let made = build::build(env, words, &data_type, work)?;
                    Ok(made.column(env, &Field::new(name, data_type, true)))
                });
                columns.push(built.map_err(|stop| stop.of_field(name))?);
            }
            Ok(terms::make_list(env, &columns).term(env))
        },
        unfit,
    )
}

/// The columns of a list of maps, of the types that `types` has by their names, else of those that hold them; `:large` for
/// `table_build_large`, or `{:error, fault}`.
#[rustler::nif]
fn table_build<'a>(env: Env<'a>, maps: Term<'a>, types: Term<'a>) -> Term<'a> {
    columns_of(env, maps, types, Most::Normal)
}

#[rustler::nif(schedule = "DirtyCpu")]
fn table_build_large<'a>(env: Env<'a>, maps: Term<'a>, types: Term<'a>) -> Term<'a> {
    columns_of(env, maps, types, Most::All)
}
