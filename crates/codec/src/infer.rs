//! Records as a table: many maps with the same keys, and under each key values of one type.
//!
//! A binding gives the records one after the other; here they are put into columns, until one does not fit. Then
//! they go as a value, which holds anything, and [`Misfit`] says why. What is given up is the columns so far; most records
//! that are no table show it in the first two.
//!
//! What comes back must be what was sent, key by key and value by value. So an integer never becomes a float,
//! a key that is missing never one that holds null, and the order of the keys stays.

use std::fmt;
use std::sync::Arc;

use arrow_buffer::{BooleanBufferBuilder, Buffer, NullBuffer};
use arrow_data::ArrayData;
use arrow_schema::{DataType, Field, Schema};

use crate::format::arrow::Rows;

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
    /// More than 2^31 - 1 bytes under one key.
    #[non_exhaustive]
    Large {
        /// The key.
        key: String,
    },
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
            Misfit::Large { key } => write!(f, "more than 2 GiB under {key:?}"),
        }
    }
}

/// Keys that records may have.
pub const MAX_KEYS: usize = 1024;

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
        }
    }
}

#[derive(Debug)]
struct Column {
    values: Values,
    len: usize,
    /// Made with the first null.
    validity: Option<BooleanBufferBuilder>,
    missing: bool,
    null: bool,
}

impl Column {
    fn new() -> Self {
        Column { values: Values::Unknown, len: 0, validity: None, missing: false, null: false }
    }

    /// Fills up what has no value: the element, and a zero for it.
    fn nulls(&mut self, count: usize) {
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
            Values::Int(values) => values.resize(len + count, 0),
            Values::Unsigned(values) => values.resize(len + count, 0),
            Values::Float(values) => values.resize(len + count, 0.0),
            Values::Text(ends, bytes) | Values::Bytes(ends, bytes) => {
                ends.resize(len + count, bytes.len() as i32);
            }
        }
        self.len += count;
    }

    /// Takes a value in; `Err` names its type where it is another, `None` where it is too large.
    fn push(&mut self, scalar: Scalar<'_>) -> Result<(), Option<&'static str>> {
        if let Scalar::Null = scalar {
            self.null = true;
            self.nulls(1);
            return Ok(());
        }
        if let Values::Unknown = self.values {
            let len = self.len;
            self.values = match scalar {
                Scalar::Bool(_) => {
                    let mut bits = BooleanBufferBuilder::new(len + 64);
                    bits.append_n(len, false);
                    Values::Bool(bits)
                }
                Scalar::Int(_) | Scalar::Null => Values::Int(vec![0; len]),
                Scalar::Unsigned(_) => Values::Unsigned(vec![0; len]),
                Scalar::Float(_) => Values::Float(vec![0.0; len]),
                Scalar::Text(_) => Values::Text(vec![0; len], Vec::new()),
                Scalar::Bytes(_) => Values::Bytes(vec![0; len], Vec::new()),
            };
        }
        let append = |ends: &mut Vec<i32>,
                      bytes: &mut Vec<u8>,
                      value: &[u8]|
         -> Result<(), Option<&'static str>> {
            let end = i32::try_from(bytes.len() + value.len()).map_err(|_| None)?;
            bytes.extend_from_slice(value);
            ends.push(end);
            Ok(())
        };
        match (&mut self.values, scalar) {
            (Values::Bool(bits), Scalar::Bool(value)) => bits.append(value),
            (Values::Int(values), Scalar::Int(value)) => values.push(value),
            (Values::Float(values), Scalar::Float(value)) => values.push(value),
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
            (Values::Text(ends, bytes), Scalar::Text(value)) => {
                append(ends, bytes, value.as_bytes())?;
            }
            (Values::Bytes(ends, bytes), Scalar::Bytes(value)) => append(ends, bytes, value)?,
            (_, scalar) => {
                return Err(Some(match scalar {
                    Scalar::Null => "null",
                    Scalar::Bool(_) => "a bool",
                    Scalar::Int(_) => "an integer",
                    Scalar::Unsigned(_) => "an integer from 2^63 on",
                    Scalar::Float(_) => "a float",
                    Scalar::Text(_) => "a text",
                    Scalar::Bytes(_) => "bytes",
                }));
            }
        }
        self.len += 1;
        if let Some(validity) = &mut self.validity {
            validity.append(true);
        }
        Ok(())
    }

    fn finish(mut self, name: String) -> (Field, Result<ArrayData, arrow_schema::ArrowError>) {
        let offsets = |ends: Vec<i32>| {
            let mut offsets = Vec::with_capacity(ends.len() + 1);
            offsets.push(0);
            offsets.extend(ends);
            Buffer::from_vec(offsets)
        };
        let (data_type, buffers) = match self.values {
            Values::Unknown => (DataType::Null, vec![]),
            Values::Bool(mut bits) => (DataType::Boolean, vec![bits.finish().into_inner()]),
            Values::Int(values) => (DataType::Int64, vec![Buffer::from_vec(values)]),
            Values::Unsigned(values) => (DataType::UInt64, vec![Buffer::from_vec(values)]),
            Values::Float(values) => (DataType::Float64, vec![Buffer::from_vec(values)]),
            Values::Text(ends, bytes) => {
                (DataType::Utf8, vec![offsets(ends), Buffer::from_vec(bytes)])
            }
            Values::Bytes(ends, bytes) => {
                (DataType::Binary, vec![offsets(ends), Buffer::from_vec(bytes)])
            }
        };
        let nulls = self.validity.as_mut().map(|bits| NullBuffer::new(bits.finish()));
        let nulls = nulls.filter(|_| data_type != DataType::Null);
        let mut field = Field::new(name, data_type.clone(), self.missing || self.null);
        if self.missing {
            field = field.with_metadata([(MISSING.to_owned(), "1".to_owned())]);
        }
        let data = ArrayData::builder(data_type).len(self.len).nulls(nulls).buffers(buffers);
        (field, data.build())
    }
}

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
}

impl Records {
    /// None yet.
    pub fn new() -> Self {
        Records::default()
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
        let row = self.rows - 1;
        let (name, column) = &mut self.columns[self.next];
        if column.len < row {
            column.missing = true;
            column.nulls(row - column.len);
        }
        if let Err(found) = column.push(scalar) {
            let (key, was) = (name.clone(), column.values.name());
            return Err(match found {
                Some(found) => Misfit::Mixed { row, key, was, found },
                None => Misfit::Large { key },
            });
        }
        self.next += 1;
        Ok(())
    }

    /// The column of a key that is not the expected one: a later one, or a new one.
    #[cold]
    fn find(&mut self, key: &str) -> Result<usize, Misfit> {
        let later = self.columns[self.next..].iter().position(|(name, _)| name == key);
        if let Some(later) = later {
            return Ok(self.next + later);
        }
        let row = self.rows - 1;
        if self.columns[..self.next].iter().any(|(name, _)| name == key) {
            return Err(Misfit::Order { row });
        }
        if self.columns.len() == MAX_KEYS {
            return Err(Misfit::Keys { limit: MAX_KEYS });
        }
        // It goes in front of the columns that this record has not had yet: should it have one of them
        // after it, the order stays; should an earlier record have had this key after them, it would be there.
        self.columns.insert(self.next, (key.to_owned(), Column::new()));
        Ok(self.next)
    }

    /// The columns, with the [`RECORDS`] mark.
    ///
    /// # Errors
    ///
    /// [`Misfit::Missing`] and [`Misfit::Nothing`].
    pub fn finish(self) -> Result<(Schema, Rows), Misfit> {
        let len = self.rows;
        let mut fields = Vec::with_capacity(self.columns.len());
        let mut columns = Vec::with_capacity(self.columns.len());
        for (name, mut column) in self.columns {
            if column.len < len {
                column.missing = true;
                column.nulls(len - column.len);
            }
            if column.missing && column.null {
                return Err(Misfit::Missing { key: name });
            }
            let (field, data) = column.finish(name);
            // The buffers are of this module's making.
            columns.push(data.unwrap_or_else(|error| unreachable!("{error}")));
            fields.push(Arc::new(field));
        }
        let mark = [(RECORDS.to_owned(), "1".to_owned())];
        if fields.iter().all(|field: &Arc<Field>| *field.data_type() == DataType::Null) {
            return Err(Misfit::Nothing);
        }
        Ok((Schema::new_with_metadata(fields, mark), Rows { len, columns }))
    }
}
