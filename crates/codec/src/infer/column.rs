//! One column of records: what stands under a key, as elements of one type, and what stands within those.

use arrow_buffer::{BooleanBufferBuilder, Buffer, NullBuffer};
use arrow_data::ArrayData;
use arrow_schema::{DataType, Field, TimeUnit};
use std::collections::BTreeMap;
use std::sync::Arc;

use super::{MISSING, Scalar};

/// In the metadata of a field: the type of Arrow's that its elements really are.
pub const EXTENSION: &str = "ARROW:extension:name";
/// Such a type: 16 bytes that are a UUID.
pub const UUID: &str = "arrow.uuid";

const SECOND: i64 = 1_000_000;
/// The most digits of a decimal in a column.
const DIGITS: u32 = 38;

/// Why a value does not go into its column, and where in the value that is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit {
    pub(super) path: String,
    pub(super) why: Why,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// Another type than those ahead.
    Mixed(&'static str, &'static str),
    /// More bytes or items than offsets count.
    Large,
    /// Maps inside of records with other keys than those ahead, or with none.
    Keys,
}

impl Unfit {
    fn new(why: Why) -> Self {
        Unfit { path: String::new(), why }
    }

    /// It was under this key of a map.
    #[must_use]
    pub fn under(mut self, key: &str) -> Self {
        self.path.insert_str(0, &format!(".{key}"));
        self
    }

    /// It was an item of a list.
    #[must_use]
    pub fn in_list(mut self) -> Self {
        self.path.insert_str(0, "[]");
        self
    }
}

/// What is counted from 1970 or from midnight, and how finely: readers in Elixir tell a time of whole seconds from one with
/// microseconds that are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Steps {
    Time { fine: bool },
    Naive { fine: bool },
    Moment { fine: bool, east: i16 },
    Duration,
}

impl Steps {
    /// What these microseconds are, and their number of steps.
    fn of(scalar: &Scalar<'_>) -> Option<(Self, i64)> {
        let (steps, fine, micros) = match *scalar {
            Scalar::Duration(micros) => return Some((Steps::Duration, micros)),
            Scalar::Time(micros) => (Steps::Time { fine: true }, micros % SECOND != 0, micros),
            Scalar::Naive(micros) => (Steps::Naive { fine: true }, micros % SECOND != 0, micros),
            Scalar::Moment { micros, east } => {
                (Steps::Moment { fine: true, east }, micros % SECOND != 0, micros)
            }
            _ => return None,
        };
        Some(match (fine, steps) {
            (true, steps) => (steps, micros),
            (_, Steps::Time { .. }) => (Steps::Time { fine }, micros / SECOND),
            (_, Steps::Naive { .. }) => (Steps::Naive { fine }, micros / SECOND),
            (_, Steps::Moment { east, .. }) => (Steps::Moment { fine, east }, micros / SECOND),
            (_, Steps::Duration) => (steps, micros),
        })
    }

    /// These and one of another fineness, or at another offset, as what holds them all; `None` of what is no such time, or
    /// beyond the years that microseconds count.
    fn join(&mut self, found: Steps, counts: &mut Vec<i64>, count: i64) -> Option<()> {
        let is_fine = |steps| match steps {
            Steps::Time { fine } | Steps::Naive { fine } | Steps::Moment { fine, .. } => fine,
            Steps::Duration => true,
        };
        let fine = is_fine(*self) || is_fine(found);
        let joined = match (*self, found) {
            (Steps::Time { .. }, Steps::Time { .. }) => Steps::Time { fine },
            (Steps::Naive { .. }, Steps::Naive { .. }) => Steps::Naive { fine },
            (Steps::Moment { east, .. }, Steps::Moment { east: other, .. }) => {
                Steps::Moment { fine, east: if east == other { east } else { 0 } }
            }
            _ => return None,
        };
        let factor = |steps| if fine && !is_fine(steps) { SECOND } else { 1 };
        let count = count.checked_mul(factor(found))?;
        if factor(*self) != 1 {
            let all = counts.iter().map(|count| count.checked_mul(SECOND));
            *counts = all.collect::<Option<_>>()?;
        }
        counts.push(count);
        *self = joined;
        Some(())
    }

    fn name(self) -> &'static str {
        match self {
            Steps::Time { fine: false } => "a time of whole seconds",
            Steps::Time { fine: true } => "a time with microseconds",
            Steps::Naive { fine: false } => "a date and time of whole seconds",
            Steps::Naive { fine: true } => "a date and time with microseconds",
            Steps::Moment { fine: false, .. } => "a point in time of whole seconds",
            Steps::Moment { fine: true, .. } => "a point in time with microseconds",
            Steps::Duration => "a duration",
        }
    }

    fn data_type(self) -> DataType {
        let unit = |fine| if fine { TimeUnit::Microsecond } else { TimeUnit::Second };
        match self {
            Steps::Time { fine: false } => DataType::Time32(TimeUnit::Second),
            Steps::Time { fine: true } => DataType::Time64(TimeUnit::Microsecond),
            Steps::Naive { fine } => DataType::Timestamp(unit(fine), None),
            Steps::Moment { fine, east: 0 } => DataType::Timestamp(unit(fine), Some("UTC".into())),
            Steps::Moment { fine, east } => {
                let (sign, minutes) = if east < 0 { ('-', -east) } else { ('+', east) };
                let zone = format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60);
                DataType::Timestamp(unit(fine), Some(zone.into()))
            }
            Steps::Duration => DataType::Duration(TimeUnit::Microsecond),
        }
    }
}

/// What stands where no float of 64 bits holds an integer.
const INEXACT: &str = "an integer that no float holds exactly";

/// The float that an integer is, as all up to there are.
fn exact(value: i64) -> Option<f64> {
    (value.unsigned_abs() <= 1 << 53).then_some(value as f64)
}

/// Decimals and one more with as many digits after the point as any of them has; `None` where they are too many.
fn joined(places: &mut i8, values: &mut Vec<i128>, digits: i128, scale: i8) -> Option<()> {
    let most = scale.max(*places);
    let widened = |digits: i128, scale: i8| {
        let more = u32::from(most.abs_diff(scale));
        let widened =
            if digits == 0 { 0 } else { digits.checked_mul(10i128.checked_pow(more)?)? };
        (widened.unsigned_abs() < 10u128.pow(DIGITS)).then_some(widened)
    };
    let digits = widened(digits, scale)?;
    if most != *places {
        let all = values.iter().map(|&digits| widened(digits, *places));
        *values = all.collect::<Option<_>>()?;
    }
    values.push(digits);
    *places = most;
    Some(())
}

#[derive(Debug)]
enum Values {
    /// Only nulls so far.
    Unknown,
    Bool(BooleanBufferBuilder),
    Int(Vec<i64>),
    Unsigned(Vec<u64>),
    Float(Vec<f64>),
    Text(Vec<i32>, Vec<u8>),
    Bytes(Vec<i32>, Vec<u8>),
    Days(Vec<i32>),
    Steps(Steps, Vec<i64>),
    /// Digits after the point, and all digits.
    Decimal(i8, Vec<i128>),
    Uuid(Vec<[u8; 16]>),
    List(Vec<i32>, Box<Column>),
    Map(Vec<(String, Column)>),
}

impl Values {
    fn name(&self) -> &'static str {
        match self {
            Values::Unknown => "null",
            Values::Bool(_) => "a bool",
            Values::Int(_) => "an integer",
            Values::Unsigned(_) => "an integer from 2^63 on",
            Values::Float(_) => "a float",
            Values::Text(..) => "a text",
            Values::Bytes(..) => "bytes",
            Values::Days(_) => "a date",
            Values::Steps(steps, _) => steps.name(),
            Values::Decimal(..) => "a decimal",
            Values::Uuid(_) => "a UUID",
            Values::List(..) => "a list",
            Values::Map(_) => "a map",
        }
    }
}

/// What a scalar is called.
fn name_of(scalar: &Scalar<'_>) -> &'static str {
    match scalar {
        Scalar::Null => "null",
        Scalar::Bool(_) => "a bool",
        Scalar::Int(_) => "an integer",
        Scalar::Unsigned(_) => "an integer from 2^63 on",
        Scalar::Float(_) => "a float",
        Scalar::Text(_) => "a text",
        Scalar::Bytes(_) => "bytes",
        Scalar::Date(_) => "a date",
        Scalar::Decimal { .. } => "a decimal",
        Scalar::Uuid(_) => "a UUID",
        other => Steps::of(other).map_or("", |(steps, _)| steps.name()),
    }
}

/// The elements under one key, or of lists under it.
#[derive(Debug)]
pub struct Column {
    values: Values,
    pub(super) len: usize,
    /// Made with the first null.
    validity: Option<BooleanBufferBuilder>,
    pub(super) missing: bool,
    pub(super) null: bool,
    /// Elements that are likely to come.
    room: usize,
    /// What is here comes together in one type, whatever comes back of it: [`super::Records::for_table`].
    asked: bool,
}

impl Column {
    /// A column of so many elements, more or less.
    pub(super) fn with_room(room: usize, asked: bool) -> Self {
        let (values, validity) = (Values::Unknown, None);
        Column { values, len: 0, validity, missing: false, null: false, room, asked }
    }

    /// Fills up what has no value: the element, and a zero for it.
    pub(super) fn nulls(&mut self, count: usize) {
        if count == 0 {
            return;
        }
        let len = self.len;
        let validity = self.validity.get_or_insert_with(|| {
            let mut validity = BooleanBufferBuilder::new(len + count);
            validity.append_n(len, true);
            validity
        });
        validity.append_n(count, false);
        match &mut self.values {
            Values::Unknown => {}
            Values::Bool(bits) => bits.append_n(count, false),
            Values::Int(values) | Values::Steps(_, values) => values.resize(len + count, 0),
            Values::Unsigned(values) => values.resize(len + count, 0),
            Values::Float(values) => values.resize(len + count, 0.0),
            Values::Text(ends, bytes) | Values::Bytes(ends, bytes) => {
                ends.resize(len + count, bytes.len() as i32);
            }
            Values::Days(values) => values.resize(len + count, 0),
            Values::Decimal(_, values) => values.resize(len + count, 0),
            Values::Uuid(values) => values.resize(len + count, [0; 16]),
            Values::List(ends, items) => ends.resize(len + count, items.len as i32),
            Values::Map(columns) => columns.iter_mut().for_each(|(_, column)| column.nulls(count)),
        }
        self.len += count;
    }

    /// What the elements are from the first one on, with a zero for each null ahead of it.
    #[cold]
    fn begin(&mut self, scalar: &Scalar<'_>) {
        fn zeros<T: Clone>(column: &Column, zero: T) -> Vec<T> {
            let mut all = Vec::with_capacity(column.room.max(column.len + 1));
            all.resize(column.len, zero);
            all
        }
        let len = self.len;
        self.values = match scalar {
            Scalar::Bool(_) => {
                let mut bits = BooleanBufferBuilder::new(len + 64);
                bits.append_n(len, false);
                Values::Bool(bits)
            }
            Scalar::Int(_) | Scalar::Null => Values::Int(zeros(self, 0)),
            Scalar::Unsigned(_) => Values::Unsigned(zeros(self, 0)),
            Scalar::Float(_) => Values::Float(zeros(self, 0.0)),
            Scalar::Text(_) => Values::Text(zeros(self, 0), Vec::new()),
            Scalar::Bytes(_) => Values::Bytes(zeros(self, 0), Vec::new()),
            Scalar::Date(_) => Values::Days(zeros(self, 0)),
            Scalar::Decimal { scale, .. } => Values::Decimal(*scale, zeros(self, 0)),
            Scalar::Uuid(_) => Values::Uuid(zeros(self, [0; 16])),
            Scalar::Time(_) | Scalar::Naive(_) | Scalar::Moment { .. } | Scalar::Duration(_) => {
                let Some((steps, _)) = Steps::of(scalar) else { return };
                Values::Steps(steps, zeros(self, 0))
            }
        };
    }

    /// Takes a value in.
    ///
    /// # Errors
    ///
    /// Where it is of another type than those ahead, or one too many.
    #[inline]
    pub fn push(&mut self, scalar: Scalar<'_>) -> Result<(), Unfit> {
        if let Scalar::Null = scalar {
            self.null = true;
            self.nulls(1);
            return Ok(());
        }
        if let Values::Unknown = self.values {
            self.begin(&scalar);
        }
        let append = |ends: &mut Vec<i32>, bytes: &mut Vec<u8>, value: &[u8]| {
            let end = i32::try_from(bytes.len() + value.len());
            let end = end.map_err(|_| Unfit::new(Why::Large))?;
            bytes.extend_from_slice(value);
            ends.push(end);
            Ok(())
        };
        match (&mut self.values, scalar) {
            (Values::Bool(bits), Scalar::Bool(value)) => bits.append(value),
            (Values::Int(values), Scalar::Int(value)) => values.push(value),
            (Values::Float(values), Scalar::Float(value)) => values.push(value),
            (Values::Text(ends, bytes), Scalar::Text(value)) => {
                append(ends, bytes, value.as_bytes())?;
            }
            (Values::Bytes(ends, bytes), Scalar::Bytes(value)) => append(ends, bytes, value)?,
            (_, scalar) => self.push_other(scalar)?,
        }
        self.count();
        Ok(())
    }

    /// The same of what is less frequent.
    fn push_other(&mut self, scalar: Scalar<'_>) -> Result<(), Unfit> {
        match (&mut self.values, scalar) {
            (Values::Unsigned(values), Scalar::Unsigned(value)) => values.push(value),
            (Values::Unsigned(values), Scalar::Int(value)) if value >= 0 => {
                values.push(value as u64);
            }
            // Integers widen: all so far are none below 0.
            (Values::Int(values), Scalar::Unsigned(value))
                if values.iter().all(|&one| one >= 0) =>
            {
                let mut wider: Vec<u64> = values.iter().map(|&one| one as u64).collect();
                wider.push(value);
                self.values = Values::Unsigned(wider);
            }
            (Values::Days(values), Scalar::Date(value)) => values.push(value),
            (Values::Uuid(values), Scalar::Uuid(value)) => values.push(value),
            (Values::Decimal(places, values), Scalar::Decimal { high, low, scale }) => {
                let digits = (i128::from(high) << 64) | i128::from(low);
                if *places == scale {
                    values.push(digits);
                } else if !self.asked || joined(places, values, digits, scale).is_none() {
                    let found = "one with more or fewer digits after the point";
                    return Err(Unfit::new(Why::Mixed("a decimal", found)));
                }
            }
            (Values::Float(values), Scalar::Int(value)) if self.asked => {
                let float = exact(value).ok_or(Unfit::new(Why::Mixed("a float", INEXACT)))?;
                values.push(float);
            }
            (Values::Int(values), Scalar::Float(value)) if self.asked => {
                let wider: Option<Vec<f64>> = values.iter().map(|&one| exact(one)).collect();
                let mut wider = wider.ok_or(Unfit::new(Why::Mixed(INEXACT, "a float")))?;
                wider.push(value);
                self.values = Values::Float(wider);
            }
            (values, scalar) => {
                let mixed = Unfit::new(Why::Mixed(values.name(), name_of(&scalar)));
                let (Values::Steps(steps, counts), Some((found, count))) =
                    (values, Steps::of(&scalar))
                else {
                    return Err(mixed);
                };
                match (*steps, found) {
                    (steps, found) if steps == found => counts.push(count),
                    (_, found) if self.asked && steps.join(found, counts, count).is_some() => {}
                    (Steps::Moment { east, .. }, Steps::Moment { east: other, .. })
                        if east != other =>
                    {
                        let found = "one at another offset from UTC";
                        return Err(Unfit::new(Why::Mixed("a point in time", found)));
                    }
                    _ => return Err(mixed),
                }
            }
        }
        Ok(())
    }

    /// One element more that is none of null.
    #[inline]
    fn count(&mut self) {
        self.len += 1;
        if let Some(validity) = &mut self.validity {
            validity.append(true);
        }
    }

    /// Takes a list in, whose items follow.
    ///
    /// # Errors
    ///
    /// As for [`push`](Self::push).
    pub fn list(&mut self) -> Result<Items<'_>, Unfit> {
        if let Values::Unknown = self.values {
            let items = Column::with_room(0, self.asked);
            self.values = Values::List(vec![0; self.len], Box::new(items));
        }
        self.count();
        match &mut self.values {
            Values::List(ends, items) => Ok(Items { ends, items }),
            other => Err(Unfit::new(Why::Mixed(other.name(), "a list"))),
        }
    }

    /// Takes a map in, whose entries follow: they have the same keys in each, in the same order, unless a table was asked for.
    ///
    /// # Errors
    ///
    /// As for [`push`](Self::push).
    pub fn map(&mut self) -> Result<Entries<'_>, Unfit> {
        let (ahead, is_first) = (self.len, matches!(self.values, Values::Unknown));
        if is_first {
            self.values = Values::Map(Vec::new());
        }
        self.count();
        match &mut self.values {
            Values::Map(columns) => {
                Ok(Entries { columns, next: 0, ahead, is_first, asked: self.asked })
            }
            other => Err(Unfit::new(Why::Mixed(other.name(), "a map"))),
        }
    }

    /// What readers make of it, in elements, and the bits that it takes: what they make is bounded by that.
    pub(super) fn weight(&self) -> (usize, usize) {
        // Those of nulls alone are not written.
        let has_bits = self.validity.is_some() && !matches!(self.values, Values::Unknown);
        let bits = if has_bits { self.len } else { 0 };
        let (within, more) = match &self.values {
            Values::Unknown => (0, 0),
            Values::Bool(_) => (0, self.len),
            Values::Int(_) | Values::Unsigned(_) | Values::Float(_) => (0, 64 * self.len),
            Values::Text(_, bytes) | Values::Bytes(_, bytes) => {
                (0, 32 * self.len + 8 * bytes.len())
            }
            Values::Days(_) => (0, 32 * self.len),
            Values::Steps(steps, _) => {
                (0, if steps.data_type().primitive_width() == Some(4) { 32 } else { 64 } * self.len)
            }
            Values::Decimal(..) | Values::Uuid(_) => (0, 128 * self.len),
            Values::List(_, items) => {
                let (elements, bits) = items.weight();
                (elements + super::CONTAINER * self.len, bits + 32 * self.len)
            }
            Values::Map(columns) => {
                let all = columns.iter().map(|(_, column)| column.weight());
                all.fold((super::CONTAINER * self.len, 0), |sum, one| {
                    (sum.0 + one.0, sum.1 + one.1)
                })
            }
        };
        (within + self.len, bits + more)
    }

    /// Whether it takes no bytes, whatever its length.
    pub(super) fn is_nothing(&self) -> bool {
        match &self.values {
            Values::Unknown => true,
            Values::Map(columns) => columns.iter().all(|(_, column)| column.is_nothing()),
            _ => false,
        }
    }

    /// The column as an array, and its field.
    pub(super) fn finish(mut self, name: String) -> (Field, ArrayData) {
        let mut metadata = BTreeMap::new();
        if self.missing {
            metadata.insert(MISSING.to_owned(), "1".to_owned());
        }
        let (data_type, buffers, children) = match self.values {
            Values::Unknown => (DataType::Null, vec![], vec![]),
            Values::Bool(mut bits) => (DataType::Boolean, vec![bits.finish().into_inner()], vec![]),
            Values::Int(values) => (DataType::Int64, vec![Buffer::from_vec(values)], vec![]),
            Values::Unsigned(values) => (DataType::UInt64, vec![Buffer::from_vec(values)], vec![]),
            Values::Float(values) => (DataType::Float64, vec![Buffer::from_vec(values)], vec![]),
            Values::Text(ends, bytes) => {
                (DataType::Utf8, vec![offsets(ends), Buffer::from_vec(bytes)], vec![])
            }
            Values::Bytes(ends, bytes) => {
                (DataType::Binary, vec![offsets(ends), Buffer::from_vec(bytes)], vec![])
            }
            Values::Days(values) => (DataType::Date32, vec![Buffer::from_vec(values)], vec![]),
            Values::Steps(steps, values) => {
                let data_type = steps.data_type();
                let buffer = match data_type.primitive_width() {
                    // Seconds of a day.
                    Some(4) => Buffer::from_iter(values.iter().map(|&count| count as i32)),
                    _ => Buffer::from_vec(values),
                };
                (data_type, vec![buffer], vec![])
            }
            Values::Decimal(scale, values) => {
                let most = values.iter().map(|value| value.unsigned_abs()).max().unwrap_or(0);
                let digits = most.checked_ilog10().map_or(1, |log| log + 1);
                let precision = digits.max(scale.max(0) as u32).min(DIGITS) as u8;
                let data_type = DataType::Decimal128(precision, scale);
                (data_type, vec![Buffer::from_vec(values)], vec![])
            }
            Values::Uuid(values) => {
                metadata.insert(EXTENSION.to_owned(), UUID.to_owned());
                let buffer = Buffer::from(values.into_flattened());
                (DataType::FixedSizeBinary(16), vec![buffer], vec![])
            }
            Values::List(ends, items) => {
                let (field, items) = items.finish("item".to_owned());
                (DataType::List(Arc::new(field)), vec![offsets(ends)], vec![items])
            }
            Values::Map(columns) => {
                let all = columns.into_iter().map(|(name, column)| column.finish(name));
                let (fields, arrays): (Vec<Field>, Vec<ArrayData>) = all.unzip();
                (DataType::Struct(fields.into()), vec![], arrays)
            }
        };
        let nulls = self.validity.as_mut().map(|bits| NullBuffer::new(bits.finish()));
        let nulls = nulls.filter(|_| data_type != DataType::Null);
        // What is null since the map around it is may be null, too.
        let nullable = self.missing || self.null || nulls.is_some() || data_type == DataType::Null;
        let field = Field::new(name, data_type.clone(), nullable);
        let field = field.with_metadata(metadata);
        let data = ArrayData::builder(data_type).len(self.len).nulls(nulls).buffers(buffers);
        // The buffers are of this module's making.
        let data = data.child_data(children).build();
        (field, data.unwrap_or_else(|error| unreachable!("{error}")))
    }
}

fn offsets(ends: Vec<i32>) -> Buffer {
    let mut offsets = Vec::with_capacity(ends.len() + 1);
    offsets.push(0);
    offsets.extend(ends);
    Buffer::from_vec(offsets)
}

/// The items of a list.
#[derive(Debug)]
pub struct Items<'a> {
    ends: &'a mut Vec<i32>,
    items: &'a mut Column,
}

impl Items<'_> {
    /// Where the next item goes: it takes one.
    pub fn item(&mut self) -> &mut Column {
        self.items
    }

    /// Those were all.
    ///
    /// # Errors
    ///
    /// Where all lists of the column have more than 2^31 - 1 items together.
    pub fn finish(self) -> Result<(), Unfit> {
        let end = i32::try_from(self.items.len).map_err(|_| Unfit::new(Why::Large))?;
        self.ends.push(end);
        Ok(())
    }
}

/// The entries of a map inside of a record.
#[derive(Debug)]
pub struct Entries<'a> {
    columns: &'a mut Vec<(String, Column)>,
    next: usize,
    /// Elements of the column ahead of it.
    ahead: usize,
    /// It says which keys there are: all elements ahead are null.
    is_first: bool,
    asked: bool,
}

impl Entries<'_> {
    /// Where the value under this key goes: it takes one.
    ///
    /// # Errors
    ///
    /// Where the maps ahead have another key in this place.
    pub fn entry(&mut self, key: &str) -> Result<&mut Column, Unfit> {
        let expected = self.columns.get(self.next).is_some_and(|(name, _)| name == key);
        if !expected && (self.is_first || self.asked) {
            self.next = self.find(key)?;
        }
        self.next += 1;
        match self.columns.get_mut(self.next - 1) {
            Some((name, column)) if name == key && column.len == self.ahead => Ok(column),
            _ => Err(Unfit::new(Why::Keys)),
        }
    }

    /// The column of a key that is not the expected one, which may be a new one.
    #[cold]
    fn find(&mut self, key: &str) -> Result<usize, Unfit> {
        if let Some(found) = self.columns.iter().position(|(name, _)| name == key) {
            return Ok(found);
        }
        if self.columns.len() == super::MAX_KEYS {
            return Err(Unfit::new(Why::Keys));
        }
        let mut column = Column::with_room(0, self.asked);
        column.nulls(self.ahead);
        self.columns.insert(self.next, (key.to_owned(), column));
        Ok(self.next)
    }

    /// Those were all.
    ///
    /// # Errors
    ///
    /// Where the maps ahead have more keys, or where there is none.
    pub fn finish(self) -> Result<(), Unfit> {
        if self.asked {
            let missing = self.columns.iter_mut().filter(|(_, column)| column.len == self.ahead);
            missing.for_each(|(_, column)| column.nulls(1));
            return Ok(());
        }
        match self.next == self.columns.len() && self.next > 0 {
            true => Ok(()),
            false => Err(Unfit::new(Why::Keys)),
        }
    }
}
