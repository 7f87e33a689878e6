//! Records as a table: many maps with the same keys, and under each key values of one type.
//!
//! A binding gives the records one after the other; here they are put into columns, until one does not fit. Then
//! they go as a value, which holds anything, and [`Misfit`] says why. What is given up is the columns so far; most records
//! that are no table show it in the first two.
//!
//! What comes back must be what was sent, key by key and value by value. So an integer never becomes a float,
//! a key that is missing never one that holds null, and the order of the keys stays. Lists and maps may stand under a key, too:
//! maps that all have the same keys, as a table can't tell there what is missing.
//!
//! Where a table was asked for it is made of all that loses nothing but that ([`Records::for_table`]).

mod column;

pub use column::{Column, EXTENSION, Entries, Items, UUID, Unfit};

use std::fmt;
use std::sync::Arc;

use arrow_schema::Schema;

use crate::format::arrow::Rows;
use column::Why;

/// In the metadata of a schema: the rows were records, and what reads them makes records of them again.
pub const RECORDS: &str = "slipring.records";
/// In the metadata of a field: where it is null, the record had no such key.
pub const MISSING: &str = "slipring.missing";

/// Records that are worth a table: with fewer, the schema takes more bytes than the columns save.
pub const WORTH: usize = 128;

/// What stands under a key.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Scalar<'a> {
    /// Nothing.
    Null,
    /// A truth value.
    Bool(bool),
    /// An integer below 2^63.
    Int(i64),
    /// An integer from 2^63 on.
    Unsigned(u64),
    /// A float.
    Float(f64),
    /// A text.
    Text(&'a str),
    /// Bytes.
    Bytes(&'a [u8]),
    /// A date: days from 1970-01-01.
    Date(i32),
    /// A time of day: microseconds from midnight.
    Time(i64),
    /// A date and time without a zone: microseconds from 1970.
    Naive(i64),
    /// A point in time.
    Moment {
        /// Microseconds from 1970 in UTC.
        micros: i64,
        /// The offset from UTC that it is told with: minutes east, less than a day.
        east: i16,
    },
    /// A length of time: microseconds.
    Duration(i64),
    /// A decimal: [`Scalar::decimal`] makes one.
    #[non_exhaustive]
    Decimal {
        /// Of its digits, the upper half.
        high: i64,
        /// The lower half.
        low: u64,
        /// Digits after the point; less than 0 where it ends in zeros that are not among its digits.
        scale: i8,
    },
    /// A UUID.
    Uuid([u8; 16]),
}

impl Scalar<'_> {
    /// The decimal `digits` / 10^`scale`; `None` where it has more than 38 digits before or after the point.
    pub fn decimal(digits: i128, scale: i64) -> Option<Self> {
        let places = digits.unsigned_abs().checked_ilog10().map_or(1, |log| log + 1);
        let scale = i8::try_from(scale).ok().filter(|scale| scale.unsigned_abs() <= 38)?;
        let (high, low) = ((digits >> 64) as i64, digits as u64);
        (places <= 38).then_some(Scalar::Decimal { high, low, scale })
    }
}

/// Why records are no table.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Misfit {
    /// Values of two types under one key.
    #[non_exhaustive]
    Mixed {
        /// The record, counted from 0.
        row: usize,
        /// The key.
        key: String,
        /// The type so far.
        was: &'static str,
        /// The type found.
        found: &'static str,
    },
    /// A key is missing in one record and holds null in another: a table can't tell them apart.
    #[non_exhaustive]
    Missing {
        /// The key.
        key: String,
    },
    /// A record has its keys in another order, or one of them twice.
    #[non_exhaustive]
    Order {
        /// The record, counted from 0.
        row: usize,
    },
    /// More keys than a table should have columns.
    #[non_exhaustive]
    Keys {
        /// The most there may be.
        limit: usize,
    },
    /// Records without a value: as a table they would have any number of rows in no bytes, and readers make nothing that no
    /// bytes have paid for.
    Nothing,
    /// Records of which a table has so few bytes that readers would not make them.
    Thin,
    /// Maps under one key that don't have the same keys in the same order, or have none.
    #[non_exhaustive]
    Keyed {
        /// The record, counted from 0.
        row: usize,
        /// The key.
        key: String,
    },
    /// More than 2^31 - 1 bytes or items under one key.
    #[non_exhaustive]
    Large {
        /// The key.
        key: String,
    },
}

impl Misfit {
    /// The record that does not fit, and what of it: a key, and the way from there, such as `a.b[]`.
    pub fn place(&self) -> (Option<usize>, Option<&str>) {
        match self {
            Misfit::Mixed { row, key, .. } | Misfit::Keyed { row, key } => (Some(*row), Some(key)),
            Misfit::Order { row } => (Some(*row), None),
            Misfit::Missing { key } | Misfit::Large { key } => (None, Some(key)),
            Misfit::Keys { .. } | Misfit::Nothing | Misfit::Thin => (None, None),
        }
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Misfit::Mixed { row, key, was, found } => {
                write!(f, "record {row} has {found} under {key:?}, where there was {was} before")
            }
            Misfit::Missing { key } => {
                write!(
                    f,
                    "the key {key:?} is missing here and null there, which a table can't tell apart"
                )
            }
            Misfit::Order { row } => write!(f, "record {row} has its keys in another order"),
            Misfit::Keys { limit } => write!(f, "more than {limit} different keys"),
            Misfit::Nothing => f.write_str("no record has a value"),
            Misfit::Thin => {
                f.write_str("as columns they take too few bytes to be made again of them")
            }
            Misfit::Keyed { row, key } => {
                write!(
                    f,
                    "record {row} has a map under {key:?} whose keys are none, or not those of the first one"
                )
            }
            Misfit::Large { key } => write!(f, "more than 2 GiB under {key:?}"),
        }
    }
}

/// Keys that records may have.
pub const MAX_KEYS: usize = 1024;

/// What readers make of a dict, a map or a list, in elements; and what they make of any frame, and for each bit of it.
const CONTAINER: usize = 5;
const FREE: usize = 1 << 21;
const PER_BIT: usize = 4;

/// Puts records into columns.
///
/// ```
/// use slipring_codec::infer::{Records, Scalar};
///
/// let mut records = Records::new();
/// for n in 0..3 {
///     records.begin();
///     records.entry("n", Scalar::Int(n)).unwrap();
///     records.entry("half", Scalar::Float(n as f64 / 2.0)).unwrap();
/// }
/// let (schema, rows) = records.finish().unwrap();
/// assert_eq!((schema.fields().len(), rows.len), (2, 3));
///
/// let mut records = Records::new();
/// records.begin();
/// records.entry("n", Scalar::Int(1)).unwrap();
/// records.begin();
/// let misfit = records.entry("n", Scalar::Text("1")).unwrap_err();
/// assert_eq!(misfit.to_string(), "record 1 has a text under \"n\", where there was an integer before");
/// ```
#[derive(Debug, Default)]
pub struct Records {
    columns: Vec<(String, Column)>,
    rows: usize,
    /// The column that the next key of the record has, if the records are alike.
    next: usize,
    /// Records that are likely to come.
    room: usize,
    asked: bool,
}

impl Records {
    /// None yet.
    pub fn new() -> Self {
        Records::default()
    }

    /// None yet, and so many to come.
    pub fn with_capacity(records: usize) -> Self {
        // Of more it is not known that they are alike, and what is given up is to be cheap.
        Records { room: records.min(1 << 14), ..Records::default() }
    }

    /// None yet, and so many to come, of which a table was asked for, whatever comes back of it. Their keys, and those of maps
    /// under them, may stand in any order and be missing anywhere, which is null. Integers go among floats that hold each of them
    /// exactly, decimals with few digits among those with more, times of whole seconds among finer ones, and points in time at
    /// several offsets as UTC.
    pub fn for_table(records: usize) -> Self {
        Records { asked: true, ..Records::with_capacity(records) }
    }

    /// Records so far.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Begins a record; its entries follow, in their order.
    pub fn begin(&mut self) {
        self.rows += 1;
        self.next = 0;
    }

    /// The key that the next entry has if this record is like the ones ahead.
    pub fn expected(&self) -> Option<&str> {
        self.columns.get(self.next).map(|(name, _)| name.as_str())
    }

    /// The number of the column that the next entry has if the record is like the ones ahead: one more than
    /// that of the last entry.
    pub fn position(&self) -> usize {
        self.next
    }

    /// An entry of the record that was begun.
    ///
    /// # Errors
    ///
    /// Why the records are no table. Nothing can be done with these columns then.
    #[inline]
    pub fn entry(&mut self, key: &str, scalar: Scalar<'_>) -> Result<(), Misfit> {
        if self.expected() != Some(key) {
            self.next = self.find(key)?;
        }
        self.expected_entry(scalar)
    }

    /// An entry whose key is known to be the expected one.
    ///
    /// # Errors
    ///
    /// As for [`entry`](Self::entry).
    ///
    /// # Panics
    ///
    /// If none is expected.
    #[inline]
    pub fn expected_entry(&mut self, scalar: Scalar<'_>) -> Result<(), Misfit> {
        self.expected_place()?.push(scalar).map_err(|unfit| self.misfit(unfit))
    }

    /// Where the value under a key goes, be it a scalar, a list or a map: it takes one.
    ///
    /// # Errors
    ///
    /// As for [`entry`](Self::entry), of the key alone. [`misfit`](Self::misfit) says what is wrong with the value.
    pub fn place(&mut self, key: &str) -> Result<&mut Column, Misfit> {
        if self.expected() != Some(key) {
            self.next = self.find(key)?;
        }
        self.expected_place()
    }

    #[inline]
    fn expected_place(&mut self) -> Result<&mut Column, Misfit> {
        let row = self.rows - 1;
        let (_, column) = &mut self.columns[self.next];
        if column.len != row {
            // After a key from further ahead one comes here that the record has had already.
            if column.len > row {
                return Err(Misfit::Order { row });
            }
            column.missing = true;
            column.nulls(row - column.len);
        }
        self.next += 1;
        Ok(column)
    }

    /// Why records are no table of which the last entry's value did not go into its place.
    #[cold]
    pub fn misfit(&self, unfit: Unfit) -> Misfit {
        let row = self.rows.saturating_sub(1);
        let last = self.next.checked_sub(1).and_then(|last| self.columns.get(last));
        let key = format!("{}{}", last.map_or("", |(name, _)| name), unfit.path);
        match unfit.why {
            Why::Mixed(was, found) => Misfit::Mixed { row, key, was, found },
            Why::Large => Misfit::Large { key },
            Why::Keys => Misfit::Keyed { row, key },
        }
    }

    /// The column of a key that is not the expected one: a later one, or a new one.
    #[cold]
    fn find(&mut self, key: &str) -> Result<usize, Misfit> {
        let later = self.columns[self.next..].iter().position(|(name, _)| name == key);
        if let Some(later) = later {
            return Ok(self.next + later);
        }
        let row = self.rows - 1;
        if let Some(before) = self.columns[..self.next].iter().position(|(name, _)| name == key) {
            // One that this record has had already stands in it twice.
            return match self.asked && self.columns[before].1.len == row {
                true => Ok(before),
                false => Err(Misfit::Order { row }),
            };
        }
        if self.columns.len() == MAX_KEYS {
            return Err(Misfit::Keys { limit: MAX_KEYS });
        }
        // It goes in front of the columns that this record has not had yet: should it have one of them
        // after it, the order stays; should an earlier record have had this key after them, it would be there.
        let column = Column::with_room(self.room, self.asked);
        self.columns.insert(self.next, (key.to_owned(), column));
        Ok(self.next)
    }

    /// The columns, with the [`RECORDS`] mark.
    ///
    /// # Errors
    ///
    /// [`Misfit::Missing`], [`Misfit::Nothing`] and [`Misfit::Thin`].
    pub fn finish(mut self) -> Result<(Schema, Rows), Misfit> {
        let len = self.rows;
        for (key, column) in &mut self.columns {
            if column.len < len {
                column.missing = true;
                column.nulls(len - column.len);
            }
            if column.missing && column.null {
                if !self.asked {
                    return Err(Misfit::Missing { key: key.clone() });
                }
                // All that is missing is null.
                column.missing = false;
            }
        }
        // A table that was asked for may have nothing but nulls; one that nobody asked for would gain nothing.
        let may_be_null = self.asked && !self.columns.is_empty();
        if !may_be_null && self.columns.iter().all(|(_, column)| column.is_nothing()) {
            return Err(Misfit::Nothing);
        }
        let (mut elements, mut bits) = (CONTAINER * len, 0);
        for (_, column) in &self.columns {
            let (more, paid) = column.weight();
            (elements, bits) = (elements + more, bits + paid);
        }
        if elements > bits.saturating_mul(PER_BIT) + FREE {
            return Err(Misfit::Thin);
        }
        let (mut fields, mut columns) = (Vec::new(), Vec::new());
        for (name, column) in self.columns {
            let (field, data) = column.finish(name);
            fields.push(Arc::new(field));
            columns.push(data);
        }
        let mark = [(RECORDS.to_owned(), "1".to_owned())];
        Ok((Schema::new_with_metadata(fields, mark), Rows { len, columns }))
    }
}
