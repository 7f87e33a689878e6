//! Columns of terms: which type holds them, and their buffers.
//!
//! Lists of maps are mostly of plain terms, which are written as they are met ([`quick`]). Else the terms of a column are gathered
//! first, the fields of maps beside each other; then each is looked at twice, to find
//! the type and to write it. What is written stands in memory of its own, is a binary from then on, and is copied once more
//! when it is sent.

mod infer;
mod moments;
pub(crate) mod quick;

pub(crate) use infer::infer;

use super::column::{Parts, values_field};
use super::names as n;
use crate::atoms;
use crate::error::Fault;
use crate::value::big::Big;
use crate::value::encode::step;
use crate::value::terms::{self, Kind, Pairs, Word};
use arrow_schema::{DataType, Field, Fields};
use rustler::{Env, Resource, ResourceArc};
use slipring_codec::error::{Path, Segment as Step};
use slipring_codec::format::arrow::children_of;
use std::collections::HashMap;

/// Buffers of so many bytes become binaries as they are; shorter ones are copied.
const LONG: usize = 64 << 10;

/// A buffer that is a binary.
pub(crate) struct Kept(arrow_buffer::Buffer);

impl Resource for Kept {}

/// Why there is no column.
pub(crate) enum Stop {
    /// There is more to do than it may.
    Large,
    Unfit(Box<Unfit>),
}

/// What does not fit, and where: its row, and from that on.
pub(crate) struct Unfit {
    what: String,
    kind: String,
    row: usize,
    path: Path,
}

impl Unfit {
    /// As an error under the steps given, outermost first; between them and the rest stands the row.
    pub(crate) fn fault(mut self, row_first: bool, name: Option<&str>) -> Fault {
        let name = name.map(Step::key);
        let row = Step::Index(self.row);
        if row_first {
            name.into_iter().for_each(|name| self.path.enclose(name));
            self.path.enclose(row);
        } else {
            self.path.enclose(row);
            if let Some(name) = name {
                self.path.enclose(name);
                self.path.enclose(Step::key("columns"));
            }
        }
        Fault::unsendable_value(false, &self.what, &self.path.to_string(), &self.kind, HINT)
    }
}

const HINT: &str =
    "give the column elements of one type, say its type by :types, or send the terms as a value";

impl Stop {
    #[cold]
    pub(super) fn unfit(row: usize, what: impl Into<String>, kind: impl Into<String>) -> Self {
        let (what, kind, path) = (what.into(), kind.into(), Path::default());
        Stop::Unfit(Box::new(Unfit { what, kind, row, path }))
    }

    #[cold]
    fn of_list(mut self, starts: &[usize]) -> Self {
        if let Stop::Unfit(unfit) = &mut self {
            // The list that has the item: the last one that begins at it or before.
            let list = starts.partition_point(|&start| start <= unfit.row).saturating_sub(1);
            unfit.path.enclose(Step::Index(unfit.row - starts[list]));
            unfit.row = list;
        }
        self
    }

    #[cold]
    pub(crate) fn of_field(mut self, name: &str) -> Self {
        if let Stop::Unfit(unfit) = &mut self {
            unfit.path.enclose(Step::key(name));
        }
        self
    }
}

/// What a build may still do, in elements.
pub(crate) struct Work {
    pub(crate) left: usize,
}

impl Work {
    pub(super) fn spend(&mut self, items: usize) -> Result<(), Stop> {
        self.left = self.left.checked_sub(items).ok_or(Stop::Large)?;
        Ok(())
    }
}

/// A column that was built.
#[derive(Default)]
pub(crate) struct Made {
    len: usize,
    null_count: usize,
    validity: Option<Vec<u8>>,
    data: Vec<u8>,
    offsets: Option<Vec<u8>>,
    children: Vec<Made>,
    dictionary: Option<Box<Made>>,
}

impl Made {
    /// The struct.
    pub(crate) fn column<'a>(self, env: Env<'a>, field: &Field) -> Word<'a> {
        let mut parts = Parts::new();
        (parts.len, parts.null_count) = (self.len, self.null_count);
        if let Some(bits) = self.validity {
            parts.validity = binary(env, bits);
        }
        parts.data = binary(env, self.data);
        if let Some(offsets) = self.offsets {
            parts.offsets = binary(env, offsets);
        }
        let fields = children_of(field.data_type());
        let children = self.children.into_iter().zip(fields);
        parts.children = children.map(|(child, field)| child.column(env, field)).collect();
        if let (Some(values), DataType::Dictionary(_, of)) = (self.dictionary, field.data_type()) {
            parts.dictionary = values.column(env, &values_field(of));
        }
        parts.column(env, field)
    }
}

/// A buffer as a binary.
pub(crate) fn binary(env: Env<'_>, bytes: impl Into<arrow_buffer::Buffer>) -> Word<'_> {
    let bytes = bytes.into();
    if bytes.len() < LONG {
        return terms::make_binary(env, &bytes);
    }
    ResourceArc::new(Kept(bytes)).make_binary(env, |kept| &kept.0).to_term(env).into()
}

/// The elements of a list; `None` for what is none.
pub(crate) fn items<'a>(env: Env<'a>, list: Word<'a>) -> Option<Vec<Word<'a>>> {
    let (mut items, mut rest) = (Vec::new(), list);
    while let Some((head, tail)) = terms::cell(env, rest) {
        items.push(head);
        rest = tail;
    }
    terms::is_nil_list(env, rest).then_some(items)
}

pub(super) fn is_nil(word: Word<'_>) -> bool {
    word == atoms::nil().into()
}

/// What a term is called in errors.
pub(super) fn kind_of<'a>(env: Env<'a>, word: Word<'a>) -> String {
    match terms::kind(env, word) {
        Kind::Map => match terms::get(env, word, atoms::struct_().into()) {
            Some(module) => crate::value::encode::module_name(env, module),
            None => "map".into(),
        },
        Kind::Bits if terms::bytes(env, word).is_some() => "binary".into(),
        other => other.name().into(),
    }
}

/// The maps of some rows, field by field.
pub(crate) struct Transposed<'a> {
    pub(crate) names: Vec<String>,
    keys: Vec<Word<'a>>,
    places: HashMap<String, usize>,
    pub(crate) columns: Vec<Vec<Word<'a>>>,
}

impl<'a> Transposed<'a> {
    /// The fields of maps; of `fields` alone, where they are given. A row that is nil has none.
    pub(crate) fn of(
        env: Env<'a>,
        rows: &[Word<'a>],
        fields: Option<&Fields>,
        work: &mut Work,
    ) -> Result<Self, Stop> {
        let mut all = Transposed {
            names: Vec::new(),
            keys: Vec::new(),
            places: HashMap::new(),
            columns: Vec::new(),
        };
        for field in fields.into_iter().flatten() {
            all.add(field.name().clone(), atoms::nil().into(), 0);
        }
        for (row, &map) in rows.iter().enumerate() {
            let pairs = match terms::get(env, map, atoms::struct_().into()) {
                Some(_) => None,
                None => Pairs::new(env, map),
            };
            match pairs {
                Some(pairs) => all.row(env, row, pairs, fields.is_none(), work)?,
                None if is_nil(map) => {}
                None => return Err(Stop::unfit(row, "no map", kind_of(env, map))),
            }
            for column in &mut all.columns {
                if column.len() <= row {
                    column.push(atoms::nil().into());
                }
            }
            work.spend(all.columns.len())?;
        }
        Ok(all)
    }

    fn add(&mut self, name: String, key: Word<'a>, rows: usize) {
        self.places.insert(name.clone(), self.names.len());
        self.names.push(name);
        self.keys.push(key);
        self.columns.push(vec![atoms::nil().into(); rows]);
    }

    fn row(
        &mut self,
        env: Env<'a>,
        row: usize,
        pairs: Pairs<'a>,
        may_add: bool,
        work: &mut Work,
    ) -> Result<(), Stop> {
        for (entry, (key, value)) in pairs.enumerate() {
            // Rows mostly have the same keys, in the same order.
            let place = match self.keys.get(entry) {
                Some(&known) if known == key => entry,
                _ => self.place(env, row, key, may_add, work)?,
            };
            let column = &mut self.columns[place];
            if column.len() > row {
                let name = &self.names[place];
                let what = format!("the key {name:?} stands there as an atom and as a binary");
                return Err(Stop::unfit(row, what, "map"));
            }
            column.push(value);
        }
        Ok(())
    }

    fn place(
        &mut self,
        env: Env<'a>,
        row: usize,
        key: Word<'a>,
        may_add: bool,
        work: &mut Work,
    ) -> Result<usize, Stop> {
        let name = match terms::kind(env, key) {
            Kind::Atom if !is_nil(key) => Some(terms::with_atom(env, key, str::to_owned)),
            Kind::Bits => {
                let text = terms::bytes(env, key).map(std::str::from_utf8);
                text.and_then(Result::ok).map(str::to_owned)
            }
            _ => None,
        };
        let name = name.ok_or_else(|| {
            let mut stop = Stop::unfit(row, "a key that is no name", kind_of(env, key));
            if let Stop::Unfit(unfit) = &mut stop {
                unfit.path.enclose(step(env, key));
            }
            stop
        })?;
        if let Some(&place) = self.places.get(&name) {
            self.keys[place] = key;
            return Ok(place);
        }
        if !may_add {
            return Err(Stop::unfit(row, format!("a field {name:?} that the type lacks"), "map"));
        }
        // The rows before have none of it.
        work.spend(row)?;
        self.add(name, key, row);
        Ok(self.names.len() - 1)
    }
}

/// Writes terms as elements of a type.
pub(crate) fn build<'a>(
    env: Env<'a>,
    words: &[Word<'a>],
    data_type: &DataType,
    work: &mut Work,
) -> Result<Made, Stop> {
    use DataType::*;
    work.spend(words.len())?;
    let mut made = Made { len: words.len(), ..Made::default() };
    let nulls = words.iter().filter(|&&word| is_nil(word)).count();
    if nulls != 0 && *data_type != Null {
        let mut bits = vec![0u8; words.len().div_ceil(8)];
        for (row, _) in words.iter().enumerate().filter(|(_, word)| !is_nil(**word)) {
            bits[row / 8] |= 1 << (row % 8);
        }
        made.validity = Some(bits);
    }
    made.null_count = nulls;
    let no = |row: usize| {
        let what = format!("no element of the type {data_type}");
        Stop::unfit(row, what, kind_of(env, words[row]))
    };
    /// Numbers of a type, zero where there is none.
    macro_rules! numbers {
        ($type:ty, $read:expr) => {{
            let mut data = Vec::with_capacity(size_of::<$type>() * words.len());
            for (row, &word) in words.iter().enumerate() {
                let value: $type = match is_nil(word) {
                    true => <$type>::default(),
                    false => $read(row, word)?,
                };
                data.extend_from_slice(&value.to_le_bytes());
            }
            made.data = data;
        }};
    }
    macro_rules! integers {
        ($type:ty) => {
            numbers!($type, |row, word| {
                let value = terms::int(env, word).and_then(|value| <$type>::try_from(value).ok());
                value.ok_or_else(|| no(row))
            })
        };
    }
    match data_type {
        Null => {
            if let Some(row) = words.iter().position(|&word| !is_nil(word)) {
                return Err(no(row));
            }
        }
        Boolean => {
            made.data = vec![0u8; words.len().div_ceil(8)];
            for (row, &word) in words.iter().enumerate() {
                if word == n::true_().into() {
                    made.data[row / 8] |= 1 << (row % 8);
                } else if word != n::false_().into() && !is_nil(word) {
                    return Err(no(row));
                }
            }
        }
        Int8 => integers!(i8),
        Int16 => integers!(i16),
        Int32 => integers!(i32),
        Int64 => integers!(i64),
        UInt8 => integers!(u8),
        UInt16 => integers!(u16),
        UInt32 => integers!(u32),
        UInt64 => numbers!(u64, |row, word| terms::uint(env, word).ok_or_else(|| no(row))),
        Float32 => numbers!(f32, |row, word| {
            let value = float(env, word).ok_or_else(|| no(row))?;
            let narrow = value as f32;
            // One that is too large must not become an infinity.
            if narrow.is_infinite() && value.is_finite() { Err(no(row)) } else { Ok(narrow) }
        }),
        Float64 => numbers!(f64, |row, word| float(env, word).ok_or_else(|| no(row))),
        Decimal32(precision, scale)
        | Decimal64(precision, scale)
        | Decimal128(precision, scale)
        | Decimal256(precision, scale) => {
            let width = data_type.primitive_width().unwrap_or(16);
            for (row, &word) in words.iter().enumerate() {
                let value = match is_nil(word) {
                    true => 0,
                    false => decimal(env, word, *precision, *scale).ok_or_else(|| no(row))?,
                };
                let bytes = value.to_le_bytes();
                made.data.extend_from_slice(&bytes[..width.min(16)]);
                let sign = if value < 0 { 0xFF } else { 0 };
                made.data.resize(made.data.len() + width.saturating_sub(16), sign);
            }
        }
        Utf8 | Binary => made.texts::<4>(env, words, data_type, work, no)?,
        LargeUtf8 | LargeBinary => made.texts::<8>(env, words, data_type, work, no)?,
        FixedSizeBinary(width) => {
            for (row, &word) in words.iter().enumerate() {
                let end = made.data.len() + *width as usize;
                if !is_nil(word) {
                    let bytes = match terms::get(env, word, n::bytes().into()) {
                        Some(bytes) => terms::bytes(env, bytes),
                        None => terms::bytes(env, word),
                    };
                    let bytes = bytes.filter(|bytes| bytes.len() == *width as usize);
                    made.data.extend_from_slice(bytes.ok_or_else(|| no(row))?);
                }
                made.data.resize(end, 0);
            }
        }
        Date32 | Date64 | Time32(_) | Time64(_) | Timestamp(..) | Duration(_) => {
            let width = data_type.primitive_width().unwrap_or(8);
            for (row, &word) in words.iter().enumerate() {
                let value = match is_nil(word) {
                    true => 0,
                    false => moments::count(env, word, data_type).ok_or_else(|| no(row))?,
                };
                made.data.extend_from_slice(&value.to_le_bytes()[..width]);
            }
        }
        List(field) => made.lists::<4>(env, words, field.data_type(), work, no)?,
        LargeList(field) => made.lists::<8>(env, words, field.data_type(), work, no)?,
        FixedSizeList(field, size) => {
            let size = *size as usize;
            let mut all = Vec::with_capacity(words.len().saturating_mul(size).min(1 << 20));
            let starts: Vec<usize> = (0..words.len()).map(|row| row * size).collect();
            for (row, &word) in words.iter().enumerate() {
                if is_nil(word) {
                    work.spend(size)?;
                    all.resize(all.len() + size, atoms::nil().into());
                } else {
                    let items = items(env, word).filter(|items| items.len() == size);
                    all.extend(items.ok_or_else(|| no(row))?);
                }
            }
            let child = build(env, &all, field.data_type(), work);
            made.children.push(child.map_err(|stop| stop.of_list(&starts))?);
        }
        Struct(fields) => {
            let rows = Transposed::of(env, words, Some(fields), work)?;
            made.children = built(env, &rows, fields, work)?;
        }
        Map(entries, _) => made.maps(env, words, entries, work, no)?,
        Dictionary(key, of) => made.dictionary(env, words, key, of, work, no)?,
        _ => {
            let what = format!("no columns of the type {data_type} are made of terms");
            return Err(Stop::unfit(0, what, "list"));
        }
    }
    Ok(made)
}

/// Writes the fields of maps.
pub(crate) fn built<'a>(
    env: Env<'a>,
    rows: &Transposed<'a>,
    fields: &Fields,
    work: &mut Work,
) -> Result<Vec<Made>, Stop> {
    let one = |(column, field): (&Vec<Word<'a>>, &arrow_schema::FieldRef)| {
        build(env, column, field.data_type(), work).map_err(|stop| stop.of_field(field.name()))
    };
    rows.columns.iter().zip(fields).map(one).collect()
}

/// A number, where a float holds it exactly; or what is none.
fn float<'a>(env: Env<'a>, word: Word<'a>) -> Option<f64> {
    if let Some(value) = terms::float(env, word) {
        return Some(value);
    }
    if let Some(value) = terms::int(env, word) {
        return is_exact(value).then_some(value as f64);
    }
    [
        (atoms::nan(), f64::NAN),
        (atoms::infinity(), f64::INFINITY),
        (atoms::neg_infinity(), -f64::INFINITY),
    ]
    .into_iter()
    .find(|&(atom, _)| word == atom.into())
    .map(|(_, value)| value)
}

/// Whether a float has just this value.
pub(super) fn is_exact(value: i64) -> bool {
    (value as f64) as i128 == i128::from(value)
}

/// The digits and the exponent of a decimal or an integer.
pub(super) fn digits<'a>(env: Env<'a>, word: Word<'a>) -> Option<(i128, i64)> {
    if terms::kind(env, word) == Kind::Integer {
        return Some((Big::read(env, word)?.to_i128()?, 0));
    }
    let get = |name: rustler::Atom| terms::get(env, word, name.into());
    let digits = Big::read(env, get(n::coef())?)
        .filter(|_| terms::kind(env, get(n::coef()).unwrap_or(word)) == Kind::Integer)?
        .to_i128()?;
    let sign = terms::int(env, get(n::sign())?)?;
    Some((if sign < 0 { -digits } else { digits }, terms::int(env, get(n::exp())?)?))
}

/// A decimal in steps of its scale, if they are exact and no more than the precision has.
fn decimal<'a>(env: Env<'a>, word: Word<'a>, precision: u8, scale: i8) -> Option<i128> {
    let (mut value, exponent) = digits(env, word)?;
    let mut shift = exponent.checked_add(scale.into())?;
    while shift < 0 && value % 10 == 0 && value != 0 {
        (value, shift) = (value / 10, shift + 1);
    }
    if value != 0 {
        let power = 10i128.checked_pow(u32::try_from(shift).ok()?)?;
        value = value.checked_mul(power)?;
    }
    // As many digits as 128 bits have for certain.
    let limit = 10u128.pow(precision.min(38).into());
    (value.unsigned_abs() < limit).then_some(value)
}

/// The bytes of a text: of a binary, or an atom's name.
pub(super) fn with_text<'a, R>(
    env: Env<'a>,
    word: Word<'a>,
    take: impl FnOnce(&[u8]) -> R,
) -> Option<R> {
    match terms::bytes(env, word) {
        Some(bytes) => Some(take(bytes)),
        None if terms::kind(env, word) == Kind::Atom => {
            Some(terms::with_atom(env, word, |name| take(name.as_bytes())))
        }
        None => None,
    }
}

impl Made {
    fn texts<'a, const WIDTH: usize>(
        &mut self,
        env: Env<'a>,
        words: &[Word<'a>],
        data_type: &DataType,
        work: &mut Work,
        no: impl Fn(usize) -> Stop,
    ) -> Result<(), Stop> {
        let is_text = matches!(data_type, DataType::Utf8 | DataType::LargeUtf8);
        let mut offsets = Vec::with_capacity((words.len() + 1) * WIDTH);
        offsets.extend_from_slice(&[0; WIDTH]);
        for (row, &word) in words.iter().enumerate() {
            if !is_nil(word) {
                let fits = match is_text {
                    true => with_text(env, word, |bytes| {
                        let fits = bytes.is_ascii() || std::str::from_utf8(bytes).is_ok();
                        self.data.extend_from_slice(bytes);
                        fits
                    }),
                    false => terms::bytes(env, word).map(|bytes| {
                        self.data.extend_from_slice(bytes);
                        true
                    }),
                };
                if fits != Some(true) {
                    return Err(no(row));
                }
            }
            let end = self.data.len();
            if WIDTH == 4 && i32::try_from(end).is_err() {
                return Err(Stop::unfit(row, "more than 2 GiB of text in a column", "binary"));
            }
            offsets.extend_from_slice(&(end as u64).to_le_bytes()[..WIDTH]);
        }
        work.spend(self.data.len() / 256)?;
        self.offsets = Some(offsets);
        Ok(())
    }

    fn lists<'a, const WIDTH: usize>(
        &mut self,
        env: Env<'a>,
        words: &[Word<'a>],
        of: &DataType,
        work: &mut Work,
        no: impl Fn(usize) -> Stop,
    ) -> Result<(), Stop> {
        let mut all = Vec::new();
        let mut starts = Vec::with_capacity(words.len() + 1);
        for (row, &word) in words.iter().enumerate() {
            starts.push(all.len());
            if !is_nil(word) {
                all.extend(items(env, word).ok_or_else(|| no(row))?);
            }
        }
        self.offsets::<WIDTH>(&starts, all.len())?;
        let child = build(env, &all, of, work).map_err(|stop| stop.of_list(&starts))?;
        self.children.push(child);
        Ok(())
    }

    fn offsets<const WIDTH: usize>(&mut self, starts: &[usize], end: usize) -> Result<(), Stop> {
        if WIDTH == 4 && i32::try_from(end).is_err() {
            return Err(Stop::unfit(0, "more than 2^31 items in the lists of a column", "list"));
        }
        let ends = starts.iter().chain([&end]);
        self.offsets = Some(
            ends.flat_map(|&end| (end as u64).to_le_bytes().into_iter().take(WIDTH)).collect(),
        );
        Ok(())
    }

    /// Arrow's maps, of maps or of lists of pairs.
    fn maps<'a>(
        &mut self,
        env: Env<'a>,
        words: &[Word<'a>],
        entries: &Field,
        work: &mut Work,
        no: impl Fn(usize) -> Stop,
    ) -> Result<(), Stop> {
        let DataType::Struct(fields) = entries.data_type() else { return Err(no(0)) };
        let (mut keys, mut values, mut starts) = (Vec::new(), Vec::new(), Vec::new());
        for (row, &word) in words.iter().enumerate() {
            starts.push(keys.len());
            if is_nil(word) {
                continue;
            }
            if let Some(pairs) = Pairs::new(env, word) {
                for (key, value) in pairs {
                    keys.push(key);
                    values.push(value);
                }
                continue;
            }
            for pair in items(env, word).ok_or_else(|| no(row))? {
                let Some(&[key, value]) = terms::tuple(env, pair) else { return Err(no(row)) };
                keys.push(key);
                values.push(value);
            }
        }
        if let Some(at) = keys.iter().position(|&key| is_nil(key)) {
            return Err(Stop::unfit(at, "a key that is nil", "nil").of_list(&starts));
        }
        self.offsets::<4>(&starts, keys.len())?;
        let mut child = Made { len: keys.len(), ..Made::default() };
        for (field, column) in fields.iter().zip([keys, values]) {
            let made = build(env, &column, field.data_type(), work);
            let made = made.map_err(|stop| stop.of_field(field.name()).of_list(&starts))?;
            child.children.push(made);
        }
        self.children.push(child);
        Ok(())
    }

    /// Indices of the different elements, which are texts or bytes.
    fn dictionary<'a>(
        &mut self,
        env: Env<'a>,
        words: &[Word<'a>],
        key: &DataType,
        of: &DataType,
        work: &mut Work,
        no: impl Fn(usize) -> Stop,
    ) -> Result<(), Stop> {
        let (mut known, mut values) = (HashMap::new(), Vec::new());
        let width = key.primitive_width().unwrap_or(8);
        let signed =
            matches!(key, DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64);
        // The bits of an index, one less where there is a sign.
        let most = 1u128 << (8 * width as u32 - u32::from(signed));
        for (row, &word) in words.iter().enumerate() {
            let mut index = 0;
            if !is_nil(word) {
                let text = with_text(env, word, <[u8]>::to_vec).ok_or_else(|| no(row))?;
                index = *known.entry(text).or_insert_with(|| {
                    values.push(word);
                    values.len() - 1
                });
            }
            if index as u128 >= most {
                return Err(Stop::unfit(
                    row,
                    format!("more different elements than {key} counts"),
                    "list",
                ));
            }
            self.data.extend_from_slice(&(index as u64).to_le_bytes()[..width]);
        }
        self.dictionary = Some(Box::new(build(env, &values, of, work)?));
        Ok(())
    }
}
