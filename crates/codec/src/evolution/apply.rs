//! Tables as they are expected: what stays is not touched, the rest is made.
//!
//! A peer can write to a frame after it was checked. So nothing that is read here is trusted to be what it was: an index
//! or an offset is held against what is there before it is followed.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow_buffer::MutableBuffer;
use arrow_schema::{DataType, Field, UnionMode};

use super::constant::Constant;
use super::made::{Bytes, Maker, Projected};
use super::resolve::{Projection, Source, Step};
use super::widen::{OutOfRange, Widening};
use crate::format::arrow::{Batch, Column, Table, View, children_of};

/// A table that could not be read as what is expected, though its schema can.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ApplyError {
    /// What is wrong.
    pub kind: ApplyErrorKind,
    /// In which column, as in [`Fault`](super::Fault); empty where it is none of them.
    pub path: String,
}

/// What is wrong with a table.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ApplyErrorKind {
    /// An element has no place in the type that is expected.
    #[non_exhaustive]
    OutOfRange {
        /// Which row of the array.
        row: usize,
        /// The type.
        wants: DataType,
    },
    /// All texts together are more than offsets of 4 bytes reach.
    #[non_exhaustive]
    TooLong {
        /// The type.
        wants: DataType,
    },
    /// More would have to be made than is allowed: the frame claims more rows than it could have paid for, or its
    /// dictionaries stand for too much.
    #[non_exhaustive]
    TooMuch {
        /// Bytes so far, with those that were asked for last.
        needed: usize,
        /// Bytes that are allowed.
        limit: usize,
    },
    /// The table has other columns than the projection is of.
    OtherTable,
    /// The frame was changed after it was checked.
    Changed,
}

impl ApplyErrorKind {
    /// What to do.
    pub fn hint(&self) -> &'static str {
        match self {
            ApplyErrorKind::OutOfRange { .. } => {
                "expect a coarser type, or register a migration that says what becomes of such values"
            }
            ApplyErrorKind::TooLong { .. } => "expect a type with large offsets",
            ApplyErrorKind::TooMuch { .. } => {
                "send smaller tables, or expect dictionaries as dictionaries"
            }
            ApplyErrorKind::OtherTable => "resolve the schema that the table has",
            ApplyErrorKind::Changed => "the sender writes to frames that it has sent: upgrade it",
        }
    }
}

impl fmt::Display for ApplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "column {}: ", self.path)?;
        }
        match &self.kind {
            ApplyErrorKind::OutOfRange { row, wants } => {
                write!(f, "element {row} is beyond what {wants} can hold")?;
            }
            ApplyErrorKind::TooLong { wants } => {
                write!(f, "all of it together is longer than {wants} can be")?;
            }
            ApplyErrorKind::TooMuch { needed, limit } => {
                write!(f, "{needed} bytes would have to be made, and {limit} are allowed")?;
            }
            ApplyErrorKind::OtherTable => {
                f.write_str("the table has other columns than were resolved")?;
            }
            ApplyErrorKind::Changed => f.write_str("the frame was changed while it was read")?,
        }
        write!(f, "; {}", self.kind.hint())
    }
}

impl std::error::Error for ApplyError {}

impl From<ApplyErrorKind> for ApplyError {
    fn from(kind: ApplyErrorKind) -> Self {
        ApplyError { kind, path: String::new() }
    }
}

impl ApplyError {
    /// `between` stands before what is further down, unless that is an item.
    fn within(mut self, name: &str) -> Self {
        let dot = if self.path.is_empty() || self.path.starts_with(['[', '{']) { "" } else { "." };
        self.path = format!("{name}{dot}{}", self.path);
        self
    }
}

type Made<T> = Result<T, ApplyError>;

impl Projection {
    /// Reads a table as what is expected. `body` is the one that the table was read from, and [`fair`](super::fair) a `limit`
    /// for the bytes that are made.
    ///
    /// # Errors
    ///
    /// [`ApplyError`].
    pub fn apply(&self, table: &Table, body: &[u8], limit: usize) -> Result<Projected, ApplyError> {
        if table.schema.fields() != self.written.fields() {
            return Err(ApplyErrorKind::OtherTable.into());
        }
        let mut apply = Apply { maker: Maker::new(body, limit), dictionaries: HashMap::new() };
        let mut batches = Vec::with_capacity(table.batches.len());
        for batch in &table.batches {
            let columns = self.wanted.fields().iter().zip(&self.columns);
            let columns = columns
                .map(|(field, source)| apply.source(source, &batch.columns, batch.len, field));
            batches.push(Batch { len: batch.len, columns: columns.collect::<Made<_>>()? });
        }
        let table = Table { schema: Arc::clone(&self.wanted), batches };
        Ok(Projected { table, made: apply.maker.finish() })
    }
}

struct Apply<'b> {
    maker: Maker<'b>,
    /// Dictionaries that were made: batches share them. By the dictionary and the step, which outlive this.
    dictionaries: HashMap<(*const Column, *const Step), Arc<Column>>,
}

fn bit(bits: &[u8], at: usize) -> bool {
    bits.get(at / 8).is_some_and(|byte| byte >> (at % 8) & 1 == 1)
}

fn set_bit(bits: &mut [u8], at: usize) {
    bits[at / 8] |= 1 << (at % 8);
}

/// An offset of 4 or 8 bytes.
fn offset(bytes: &[u8], at: usize, width: usize) -> Made<usize> {
    let number = match width {
        4 => bytes.as_chunks().0.get(at).map(|&b| i64::from(i32::from_le_bytes(b))),
        _ => bytes.as_chunks().0.get(at).map(|&b| i64::from_le_bytes(b)),
    };
    let number = number.and_then(|number| usize::try_from(number).ok());
    number.ok_or_else(|| ApplyErrorKind::Changed.into())
}

fn has_bitmap(data_type: &DataType) -> bool {
    !matches!(data_type, DataType::Null | DataType::Union(..) | DataType::RunEndEncoded(..))
}

/// The same array, of a type that lies alike.
fn retyped(mut column: Column, to: &DataType) -> Column {
    if column.data_type == *to {
        return column;
    }
    let children = std::mem::take(&mut column.children).into_iter().zip(children_of(to));
    column.children = children.map(|(child, to)| retyped(child, to.data_type())).collect();
    if let (DataType::Dictionary(_, values), Some(dictionary)) = (to, &mut column.dictionary)
        && dictionary.data_type != **values
    {
        *dictionary = Arc::new(retyped((**dictionary).clone(), values));
    }
    column.data_type = to.clone();
    column
}

impl<'b> Apply<'b> {
    fn source(
        &mut self,
        source: &Source,
        written: &[Column],
        len: usize,
        to: &Field,
    ) -> Made<Column> {
        let made = match source {
            Source::Written { column, step } => match written.get(*column) {
                Some(column) => self.array(step, column, to.data_type()),
                None => Err(ApplyErrorKind::OtherTable.into()),
            },
            Source::Nulls => self.nulls(to.data_type(), len, to.is_nullable()),
            Source::Default(constant) => self.constant(constant, to.data_type(), len),
        };
        made.map_err(|error| error.within(to.name()))
    }

    fn array(&mut self, step: &Step, column: &Column, to: &DataType) -> Made<Column> {
        use DataType::*;
        // What is not replaced below stays.
        let mut made = match step {
            Step::Keep => return Ok(retyped(column.clone(), to)),
            Step::Nulls => return self.nulls(to, column.len, true),
            _ => Column { data_type: to.clone(), ..column.clone() },
        };
        let wrong = || ApplyError::from(ApplyErrorKind::OtherTable);
        match (step, to) {
            (Step::Elements(widening), _) => {
                made.buffers = vec![self.widened(*widening, column, to)?];
            }
            (Step::Offsets { from, to: width }, _) => {
                let limit = column.buffers[1].len();
                made.buffers[0] = self.offsets(column, limit, (*from, *width), to)?;
            }
            (Step::Views { from }, _) => made.buffers[0] = self.views(column, *from, to)?,
            (Step::Gathered { to: width }, _) => {
                made.buffers = self.gathered(column, *width, to)?
            }
            (Step::Values(step), _) => {
                let values = self.dictionary(step, column, to)?;
                return self.picked(column, &values, to);
            }
            (Step::Dictionary { indices, values }, Dictionary(_, wants)) => {
                if let Some(widening) = indices {
                    made.buffers = vec![self.widened(*widening, column, to)?];
                }
                made.dictionary = Some(self.dictionary(values, column, wants)?);
            }
            (
                Step::List { offsets, item },
                List(field)
                | LargeList(field)
                | ListView(field)
                | LargeListView(field)
                | FixedSizeList(field, _),
            ) => {
                let child = column.children.first().ok_or_else(wrong)?;
                let child = self.array(item, child, field.data_type());
                made.children = vec![child.map_err(|error| error.within("[]"))?];
                match (offsets, to) {
                    (None, _) => {}
                    (Some(widths), LargeList(_) | List(_)) => {
                        made.buffers[0] =
                            self.offsets(column, made.children[0].len, *widths, to)?;
                    }
                    (Some(_), _) => {
                        let widening = Widening::Signed { from: 4, to: 8, factor: 1 };
                        made.buffers[0] = self.elements(widening, column, 0, to)?;
                        made.buffers[1] = self.elements(widening, column, 1, to)?;
                    }
                }
            }
            (Step::Entries { key, value }, Map(entries, _)) => {
                let Struct(fields) = entries.data_type() else { return Err(wrong()) };
                let mut inner = column.children.first().ok_or_else(wrong)?.clone();
                let of = inner.children.iter().zip([key, value]).zip(fields);
                let children = of.map(|((child, step), field)| {
                    self.array(step, child, field.data_type()).map_err(|error| error.within("{}"))
                });
                let children = children.collect::<Made<_>>()?;
                inner.children = children;
                inner.data_type = entries.data_type().clone();
                made.children = vec![inner];
            }
            (Step::Struct { fields: sources, .. }, Struct(fields)) => {
                let of = sources.iter().zip(fields);
                let children = of.map(|(source, field)| {
                    self.source(source, &column.children, column.len, field)
                });
                made.children = children.collect::<Made<_>>()?;
            }
            _ => return Err(wrong()),
        }
        Ok(made)
    }

    fn widened(
        &mut self,
        widening: Widening,
        column: &Column,
        to: &DataType,
    ) -> Made<Range<usize>> {
        self.elements(widening, column, 0, to)
    }

    /// Elements of one of the buffers, widened.
    fn elements(
        &mut self,
        widening: Widening,
        column: &Column,
        buffer: usize,
        to: &DataType,
    ) -> Made<Range<usize>> {
        let from = self.maker.bytes(&column.buffers[buffer])?;
        let validity = self.validity(column)?;
        let from = column.len.checked_mul(widening.narrow()).and_then(|len| from.get(..len));
        let from = from.ok_or(ApplyErrorKind::Changed)?;
        let mut into = self.maker.room(column.len, widening.width())?;
        let is_valid = |row| validity.as_ref().is_none_or(|bits| bit(bits, row));
        widening
            .run(from, into.as_slice_mut(), &is_valid)
            .map_err(|OutOfRange { row }| ApplyErrorKind::OutOfRange { row, wants: to.clone() })?;
        Ok(self.maker.add(into))
    }

    fn validity(&self, column: &Column) -> Made<Option<Bytes<'b>>> {
        Ok(column.validity.as_ref().map(|place| self.maker.bytes(place)).transpose()?)
    }

    /// Offsets of so many bytes, none beyond the limit, as ones of so many.
    fn offsets(
        &mut self,
        column: &Column,
        limit: usize,
        (narrow, wide): (usize, usize),
        to: &DataType,
    ) -> Made<Range<usize>> {
        let len = column.len;
        if len == 0 {
            return Ok(0..0);
        }
        let from = self.maker.bytes(&column.buffers[0])?;
        let last = offset(&from, len, narrow)?;
        if wide == 4 && last > i32::MAX as usize {
            return Err(ApplyErrorKind::TooLong { wants: to.clone() }.into());
        }
        let (mut ahead, last) = (0, last.min(limit));
        let mut into = self.maker.room(len + 1, wide)?;
        for (at, into) in into.as_slice_mut().chunks_exact_mut(wide).enumerate() {
            let offset = offset(&from, at, narrow)?;
            if offset < ahead || offset > last {
                return Err(ApplyErrorKind::Changed.into());
            }
            ahead = offset;
            into.copy_from_slice(&(offset as u64).to_le_bytes()[..wide]);
        }
        Ok(self.maker.add(into))
    }

    /// Views of texts or bytes that have offsets. They stay where they are.
    fn views(&mut self, column: &Column, from: usize, to: &DataType) -> Made<Range<usize>> {
        let (offsets, values) =
            (self.maker.bytes(&column.buffers[0])?, self.maker.bytes(&column.buffers[1])?);
        // Views count in 31 bits where in their buffer they begin.
        if values.len() > i32::MAX as usize {
            return Err(ApplyErrorKind::TooLong { wants: to.clone() }.into());
        }
        let mut views = self.maker.room(column.len, 16)?;
        for (row, view) in views.as_slice_mut().as_chunks_mut::<16>().0.iter_mut().enumerate() {
            let (start, end) = (offset(&offsets, row, from)?, offset(&offsets, row + 1, from)?);
            let value = values.get(start..end).ok_or(ApplyErrorKind::Changed)?;
            *view = view_of(value, 0, start);
        }
        Ok(self.maker.add(views))
    }

    /// The values of views, end to end; nothing for the null ones.
    fn gathered(
        &mut self,
        column: &Column,
        width: usize,
        to: &DataType,
    ) -> Made<Vec<Range<usize>>> {
        let views = self.maker.bytes(&column.buffers[0])?;
        let data = column.buffers[1..].iter().map(|place| self.maker.bytes(place));
        let data = data.collect::<Result<Vec<_>, _>>()?;
        let validity = self.validity(column)?;
        let views = views.as_chunks::<16>().0.get(..column.len).ok_or(ApplyErrorKind::Changed)?;
        let value = |(row, bytes)| {
            if validity.as_ref().is_some_and(|bits| !bit(bits, row)) {
                return Ok(&[][..]);
            }
            let view = View::parse(bytes);
            let found = match view.is_long() {
                false => bytes.get(4..4 + view.len),
                true => data
                    .get(view.buffer)
                    .and_then(|data| data.get(view.offset..view.offset.checked_add(view.len)?)),
            };
            found.ok_or(ApplyErrorKind::Changed)
        };
        let values = views.iter().enumerate().map(value).collect::<Result<Vec<_>, _>>()?;
        self.long(&values, width, to)
    }

    /// Offsets of so many bytes, and these values end to end.
    fn long<V: AsRef<[u8]>>(
        &mut self,
        values: &[V],
        width: usize,
        to: &DataType,
    ) -> Made<Vec<Range<usize>>> {
        let total =
            values.iter().try_fold(0usize, |sum, value| sum.checked_add(value.as_ref().len()));
        let most = if width == 4 { i32::MAX as usize } else { usize::MAX };
        let Some(total) = total.filter(|&total| total <= most) else {
            return Err(ApplyErrorKind::TooLong { wants: to.clone() }.into());
        };
        if values.is_empty() {
            return Ok(vec![0..0, 0..0]);
        }
        let mut offsets = self.maker.room(values.len() + 1, width)?;
        let mut bytes = self.maker.room(total, 1)?;
        let mut end = 0;
        for (value, offset) in
            values.iter().zip(offsets.as_slice_mut().chunks_exact_mut(width).skip(1))
        {
            let value = value.as_ref();
            bytes.as_slice_mut()[end..end + value.len()].copy_from_slice(value);
            end += value.len();
            offset.copy_from_slice(&(end as u64).to_le_bytes()[..width]);
        }
        Ok(vec![self.maker.add(offsets), self.maker.add(bytes)])
    }

    /// The values of a dictionary, after a step.
    fn dictionary(&mut self, step: &Step, column: &Column, to: &DataType) -> Made<Arc<Column>> {
        let values = column.dictionary.as_ref().ok_or(ApplyErrorKind::OtherTable)?;
        if step.stays() && values.data_type == *to {
            return Ok(Arc::clone(values));
        }
        let key = (Arc::as_ptr(values), std::ptr::from_ref(step));
        if let Some(made) = self.dictionaries.get(&key) {
            return Ok(Arc::clone(made));
        }
        let made = Arc::new(self.array(step, values, to)?);
        self.dictionaries.insert(key, Arc::clone(&made));
        Ok(made)
    }

    /// For each index of a dictionary the number of its value; `None` where either is null.
    fn indices(&self, column: &Column, values: &Column) -> Made<Vec<Option<usize>>> {
        use DataType::*;
        let Dictionary(key, _) = &column.data_type else {
            return Err(ApplyErrorKind::OtherTable.into());
        };
        let bytes = self.maker.bytes(&column.buffers[0])?;
        let (validity, of_values) = (self.validity(column)?, self.validity(values)?);
        let number = |row: usize| {
            macro_rules! read {
                ($kind:ty) => {
                    usize::try_from(<$kind>::from_le_bytes(*bytes.as_chunks().0.get(row)?)).ok()
                };
            }
            match **key {
                Int8 => read!(i8),
                Int16 => read!(i16),
                Int32 => read!(i32),
                UInt8 => read!(u8),
                UInt16 => read!(u16),
                UInt32 => read!(u32),
                UInt64 => read!(u64),
                _ => read!(i64),
            }
        };
        let index = |row: usize| {
            if validity.as_ref().is_some_and(|bits| !bit(bits, row)) {
                return Ok(None);
            }
            match number(row) {
                Some(index) if index < values.len => {
                    Ok(of_values.as_ref().is_none_or(|bits| bit(bits, index)).then_some(index))
                }
                _ => Err(ApplyErrorKind::Changed.into()),
            }
        };
        // There are as many bytes as rows at least.
        (0..column.len).map(index).collect()
    }

    /// The values that a dictionary's indices are of, one by one.
    fn picked(&mut self, column: &Column, values: &Column, to: &DataType) -> Made<Column> {
        use DataType::*;
        let indices = self.indices(column, values)?;
        let len = column.len;
        let null_count = indices.iter().filter(|index| index.is_none()).count();
        let validity = match null_count {
            0 => None,
            _ => {
                let mut bits = self.maker.room(len.div_ceil(8), 1)?;
                let valid = indices.iter().enumerate().filter(|(_, index)| index.is_some());
                valid.for_each(|(row, _)| set_bit(bits.as_slice_mut(), row));
                Some(self.maker.add(bits))
            }
        };
        let changed = || ApplyError::from(ApplyErrorKind::Changed);
        let buffers = match to {
            Boolean => {
                let from = self.maker.bytes(&values.buffers[0])?;
                let mut bits = self.maker.room(len.div_ceil(8), 1)?;
                for (row, index) in indices.iter().enumerate() {
                    if index.is_some_and(|index| bit(&from, index)) {
                        set_bit(bits.as_slice_mut(), row);
                    }
                }
                vec![self.maker.add(bits)]
            }
            Utf8 | Binary | LargeUtf8 | LargeBinary => {
                let width = if matches!(to, Utf8 | Binary) { 4 } else { 8 };
                let (offsets, bytes) =
                    (self.maker.bytes(&values.buffers[0])?, self.maker.bytes(&values.buffers[1])?);
                let value = |index: &Option<usize>| {
                    let Some(index) = *index else { return Ok(&[][..]) };
                    let range =
                        offset(&offsets, index, width)?..offset(&offsets, index + 1, width)?;
                    bytes.get(range).ok_or_else(changed)
                };
                let values = indices.iter().map(value).collect::<Made<Vec<_>>>()?;
                self.long(&values, width, to)?
            }
            other => {
                let views = matches!(other, Utf8View | BinaryView);
                let width = match other {
                    FixedSizeBinary(width) => usize::try_from(*width).unwrap_or(0),
                    _ if views => 16,
                    other => other.primitive_width().ok_or(ApplyErrorKind::OtherTable)?,
                };
                let from = self.maker.bytes(&values.buffers[0])?;
                let mut into = self.maker.room(len, width)?;
                for (row, index) in indices.iter().enumerate() {
                    let Some(index) = index else { continue };
                    let value = from.get(index * width..).and_then(|from| from.get(..width));
                    into.as_slice_mut()[row * width..][..width]
                        .copy_from_slice(value.ok_or_else(changed)?);
                }
                let data = if views { &values.buffers[1..] } else { &[] };
                [&[self.maker.add(into)], data].concat()
            }
        };
        let (data_type, children, dictionary) = (to.clone(), Vec::new(), None);
        Ok(Column { data_type, len, null_count, validity, buffers, children, dictionary })
    }

    /// An array of so many nulls; of zeros where it may have no nulls, within something that is null.
    fn nulls(&mut self, to: &DataType, len: usize, nullable: bool) -> Made<Column> {
        use DataType::*;
        let mut column = Column {
            data_type: to.clone(),
            len,
            null_count: 0,
            validity: None,
            buffers: Vec::new(),
            children: Vec::new(),
            dictionary: None,
        };
        if nullable && has_bitmap(to) && len > 0 {
            column.validity = Some(self.maker.zeros(len.div_ceil(8), 1)?);
            column.null_count = len;
        }
        let offsets = |width: usize| if len == 0 { (0, 0) } else { (len + 1, width) };
        let sizes: &[(usize, usize)] = match to {
            Null | Struct(_) | FixedSizeList(..) | RunEndEncoded(..) => &[],
            Boolean => &[(len.div_ceil(8), 1)],
            Utf8 | Binary => &[offsets(4), (0, 0)],
            LargeUtf8 | LargeBinary => &[offsets(8), (0, 0)],
            Utf8View | BinaryView => &[(len, 16)],
            List(_) | Map(..) => &[offsets(4)],
            LargeList(_) => &[offsets(8)],
            ListView(_) => &[(len, 4), (len, 4)],
            LargeListView(_) => &[(len, 8), (len, 8)],
            // What ids and offsets there are is seen to below.
            Union(..) => &[],
            FixedSizeBinary(width) => &[(len, usize::try_from(*width).unwrap_or(0))],
            Dictionary(key, _) => &[(len, key.primitive_width().unwrap_or(8))],
            other => &[(len, other.primitive_width().ok_or(ApplyErrorKind::OtherTable)?)],
        };
        for (count, width) in sizes {
            column.buffers.push(self.maker.zeros(*count, *width)?);
        }
        match to {
            Null => column.null_count = len,
            List(field)
            | LargeList(field)
            | ListView(field)
            | LargeListView(field)
            | Map(field, _) => column.children.push(self.nulls(field.data_type(), 0, false)?),
            FixedSizeList(field, size) => {
                let count = usize::try_from(*size).ok().and_then(|size| len.checked_mul(size));
                let count = count.ok_or(ApplyErrorKind::OtherTable)?;
                column.children.push(self.nulls(field.data_type(), count, field.is_nullable())?);
            }
            Struct(fields) => {
                for field in fields {
                    column.children.push(self.nulls(
                        field.data_type(),
                        len,
                        field.is_nullable(),
                    )?);
                }
            }
            Dictionary(_, values) => {
                // An index that is not null must be of something.
                let count = usize::from(!nullable && len > 0);
                column.dictionary = Some(Arc::new(self.nulls(values, count, false)?));
            }
            Union(fields, mode) => {
                let mut ids = self.maker.room(len, 1)?;
                let first = fields.iter().next().map_or(0, |(id, _)| id);
                ids.as_slice_mut().fill(first as u8);
                column.buffers.push(self.maker.add(ids));
                if *mode == UnionMode::Dense {
                    column.buffers.push(self.maker.zeros(len, 4)?);
                }
                for (number, (_, field)) in fields.iter().enumerate() {
                    let count = match mode {
                        UnionMode::Sparse => len,
                        UnionMode::Dense => usize::from(number == 0 && len > 0),
                    };
                    column.children.push(self.nulls(
                        field.data_type(),
                        count,
                        field.is_nullable(),
                    )?);
                }
            }
            RunEndEncoded(ends, values) => {
                let runs = usize::from(len > 0);
                let width = ends.data_type().primitive_width().unwrap_or(8);
                let mut end = self.nulls(ends.data_type(), runs, false)?;
                if runs > 0 {
                    let fits = match width {
                        2 => i16::try_from(len).is_ok(),
                        4 => i32::try_from(len).is_ok(),
                        _ => true,
                    };
                    if !fits {
                        return Err(ApplyErrorKind::TooLong { wants: to.clone() }.into());
                    }
                    let mut bytes = self.maker.room(1, width)?;
                    bytes.as_slice_mut().copy_from_slice(&(len as u64).to_le_bytes()[..width]);
                    end.buffers = vec![self.maker.add(bytes)];
                }
                column.children.push(end);
                column.children.push(self.nulls(values.data_type(), runs, values.is_nullable())?);
            }
            _ => {}
        }
        Ok(column)
    }

    /// The same value so many times.
    fn constant(&mut self, constant: &Constant, to: &DataType, len: usize) -> Made<Column> {
        use DataType::*;
        let mut dictionary = None;
        let buffers = match (constant, to) {
            (Constant::Bool(value), _) => {
                let mut bits = self.maker.room(len.div_ceil(8), 1)?;
                bits.as_slice_mut().fill(if *value { 0xFF } else { 0 });
                vec![self.maker.add(bits)]
            }
            (Constant::Fixed(element), _) => {
                let filled = self.filled(element, len)?;
                vec![self.maker.add(filled)]
            }
            (Constant::Text(text), Utf8View) => {
                let views = self.filled(&view_of(text.as_bytes(), 0, 0), len)?;
                let mut buffers = vec![self.maker.add(views)];
                if text.len() > 12 {
                    let data = self.filled(text.as_bytes(), 1)?;
                    buffers.push(self.maker.add(data));
                }
                buffers
            }
            (Constant::Text(text), _) => {
                let width = if matches!(to, Utf8) { 4 } else { 8 };
                let total = text.len().checked_mul(len);
                let fits = |total: &usize| width == 8 || *total <= i32::MAX as usize;
                if total.filter(fits).is_none() {
                    return Err(ApplyErrorKind::TooLong { wants: to.clone() }.into());
                }
                let bytes = self.filled(text.as_bytes(), len)?;
                let mut offsets = self.maker.room(if len == 0 { 0 } else { len + 1 }, width)?;
                for (row, offset) in offsets.as_slice_mut().chunks_exact_mut(width).enumerate() {
                    offset.copy_from_slice(&((row * text.len()) as u64).to_le_bytes()[..width]);
                }
                vec![self.maker.add(offsets), self.maker.add(bytes)]
            }
            (Constant::Dictionary(value), Dictionary(key, values)) => {
                dictionary = Some(Arc::new(self.constant(value, values, 1)?));
                vec![self.maker.zeros(len, key.primitive_width().unwrap_or(8))?]
            }
            _ => return Err(ApplyErrorKind::OtherTable.into()),
        };
        let (validity, children) = (None, Vec::new());
        Ok(Column {
            data_type: to.clone(),
            len,
            null_count: 0,
            validity,
            buffers,
            children,
            dictionary,
        })
    }

    fn filled(&mut self, element: &[u8], count: usize) -> Made<MutableBuffer> {
        let mut filled = self.maker.room(count, element.len())?;
        if !element.is_empty() {
            let each = filled.as_slice_mut().chunks_exact_mut(element.len());
            each.for_each(|into| into.copy_from_slice(element));
        }
        Ok(filled)
    }
}

/// The view of a value, which lies at `offset` of the buffer with this number.
fn view_of(value: &[u8], buffer: u32, offset: usize) -> [u8; 16] {
    let mut view = [0; 16];
    view[..4].copy_from_slice(&(value.len() as u32).to_le_bytes());
    if value.len() <= 12 {
        view[4..4 + value.len()].copy_from_slice(value);
    } else {
        view[4..8].copy_from_slice(&value[..4]);
        view[8..12].copy_from_slice(&buffer.to_le_bytes());
        view[12..].copy_from_slice(&(offset as u32).to_le_bytes());
    }
    view
}
