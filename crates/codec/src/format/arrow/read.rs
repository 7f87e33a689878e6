//! Reading a table: its messages from a copy of the head, its columns as places in the body.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use arrow_ipc::{Buffer, FieldNode, MessageHeader, RecordBatch};
use arrow_schema::{DataType, Field, SchemaRef, UnionMode};

use super::{check, schema};
use crate::error::{ArrowFault as Fault, DecodeError, DecodeErrorKind, Segment};
use crate::frame::{Headed, Part};

/// Elements that an array can claim without paying for them in bytes: no sum or product of a consumer
/// overflows below.
const MOST: u64 = 1 << 48;

/// What of the data is looked at before a table is handed out.
///
/// In either case every buffer lies inside the frame and is long enough for the elements of its array.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Checks {
    /// What a consumer follows without asking: offsets, views, indices of dictionaries, ends of runs, type ids
    /// of unions, and counts of nulls. Whatever the bytes are, nobody is led outside of the frame.
    #[default]
    Safe,
    /// Also that texts are UTF-8 and that views have the first bytes of what they point to.
    Full,
}

/// A table in the body of a frame.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Table {
    /// The fields of all batches, with the metadata that came with them.
    pub schema: SchemaRef,
    /// In order; there may be none.
    pub batches: Vec<Batch>,
}

/// Some rows of a table.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Batch {
    /// How many.
    pub len: usize,
    /// In the order of the schema's fields.
    pub columns: Vec<Column>,
}

/// An array: where its buffers lie in the body. Nothing is sliced; its first element is the first of its buffers.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Column {
    /// Its type.
    pub data_type: DataType,
    /// Its elements.
    pub len: usize,
    /// Those that are null.
    pub null_count: usize,
    /// A bitmap, zeros for the null elements; `None` where none is null or the type has no bitmap.
    pub validity: Option<Range<usize>>,
    /// Its other buffers, in the order of Arrow's columnar format, views before their data. An empty array may have an
    /// empty buffer of offsets.
    pub buffers: Vec<Range<usize>>,
    /// The arrays within it.
    pub children: Vec<Column>,
    /// The values that its elements are indices of.
    pub dictionary: Option<Arc<Column>>,
}

/// Reads a table, given the schema message that the segment's schema table has under the frame's schema
/// id, or `None` where that id is 0.
///
/// # Errors
///
/// [`Arrow`](DecodeErrorKind::Arrow), with what is wrong and a path such as `$.batches[0].columns.name.offsets`.
pub fn read(
    headed: &Headed<'_>,
    schema: Option<&[u8]>,
    checks: Checks,
) -> Result<Table, DecodeError> {
    read_recalling(headed, schema, checks, &mut Recent::default())
}

/// As [`read()`], given the schema message as it was read once: of one that is shared by many frames.
///
/// # Errors
///
/// As [`read()`].
pub fn read_as(headed: &Headed<'_>, schema: &Parsed, checks: Checks) -> Result<Table, DecodeError> {
    read_parts(headed, Some(schema), checks, &mut Recent::default(), &mut Budget::none())
}

/// As [`read()`], if no more than `most` bytes are to be looked at: for who must not take long. Answers also how many that were;
/// `None` where there are more. Numbers are not looked at, so that many tables take as long as one of no rows.
///
/// # Errors
///
/// As [`read()`].
pub fn read_within(
    headed: &Headed<'_>,
    schema: Option<&[u8]>,
    checks: Checks,
    most: usize,
) -> Result<Option<(Table, usize)>, DecodeError> {
    let messages = headed.head.bytes.len() + schema.map_or(0, <[u8]>::len);
    let Some(left) = most.checked_sub(messages) else { return Ok(None) };
    let parsed = schema.map(Parsed::of).transpose()?;
    let mut budget = Budget { left, ran_out: false };
    match read_parts(headed, parsed.as_ref(), checks, &mut Recent::default(), &mut budget) {
        Err(_) if budget.ran_out => Ok(None),
        read => read.map(|table| Some((table, most - budget.left))),
    }
}

/// Bytes that may still be looked at.
struct Budget {
    left: usize,
    /// The error that ends the reading is no fault of the frame.
    ran_out: bool,
}

impl Budget {
    fn none() -> Self {
        Budget { left: usize::MAX, ran_out: false }
    }
}

/// As [`read()`], for who reads one table after the other.
///
/// # Errors
///
/// As [`read()`].
pub fn read_recalling(
    headed: &Headed<'_>,
    schema: Option<&[u8]>,
    checks: Checks,
    recent: &mut Recent,
) -> Result<Table, DecodeError> {
    let budget = &mut Budget::none();
    let Some(message) = schema else { return read_parts(headed, None, checks, recent, budget) };
    let parsed = match recent.recall(message) {
        Some(known) => known,
        None => {
            let message = message.to_vec();
            let parsed = Parsed::of(&message)?;
            recent.keep(&message, &parsed);
            parsed
        }
    };
    read_parts(headed, Some(&parsed), checks, recent, budget)
}

/// The message of a schema, read.
#[derive(Debug, Clone)]
pub struct Parsed {
    schema: SchemaRef,
    /// Of its dictionaries, in the order of the fields.
    ids: Arc<[i64]>,
}

impl Parsed {
    /// Reads the message.
    ///
    /// # Errors
    ///
    /// [`Arrow`](DecodeErrorKind::Arrow).
    pub fn of(message: &[u8]) -> Result<Self, DecodeError> {
        // As for the head: the schema table is a peer's to write, too.
        let message = message.to_vec();
        let parsed = schema::next_message(&message).and_then(|found| match found {
            Some((message, _)) => schema::parse(&message),
            None => Err(Fault::SchemaMissing),
        });
        let (schema, ids) =
            parsed.map_err(|found| fault(found, 0).within(Segment::key("schema")))?;
        Ok(Parsed { schema, ids: ids.into() })
    }

    /// The fields.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }
}

/// The schema that was read last. That of the next table is often the same: it is known by its bytes then, and shared.
#[derive(Debug, Default)]
pub struct Recent {
    message: Vec<u8>,
    read: Option<Parsed>,
}

impl Recent {
    /// Longer messages are not kept.
    const MOST: usize = 64 << 10;

    fn recall(&self, bytes: &[u8]) -> Option<Parsed> {
        self.read.clone().filter(|_| bytes == self.message)
    }

    fn keep(&mut self, message: &[u8], parsed: &Parsed) {
        self.read = (message.len() <= Self::MOST).then(|| {
            self.message.clear();
            self.message.extend_from_slice(message);
            parsed.clone()
        });
    }
}

fn read_parts(
    headed: &Headed<'_>,
    known: Option<&Parsed>,
    checks: Checks,
    recent: &mut Recent,
    budget: &mut Budget,
) -> Result<Table, DecodeError> {
    // A peer can write to the head while it is read: what was verified must be what is used.
    let head = headed.head.bytes.to_vec();
    let in_head = |found: Fault, left: &[u8]| {
        let at = headed.head.offset + head.len() - left.len();
        fault(found, at).within(Segment::key("head"))
    };
    let mut rest = &head[..];
    let Parsed { schema, ids } = match known {
        Some(known) => known.clone(),
        None => {
            let parsed;
            (parsed, rest) = first(rest, recent).map_err(|found| in_head(found, &head))?;
            parsed
        }
    };
    let fields = Fields::new(&schema, &ids);
    let mut bodies = headed.buffers.iter();
    let mut dictionaries = HashMap::new();
    let mut batches = Vec::new();
    while let Some((message, after)) =
        schema::next_message(rest).map_err(|found| in_head(found, rest))?
    {
        let here = rest;
        rest = after;
        let dictionary = message.header_as_dictionary_batch();
        let batch = match (message.header_type(), &dictionary) {
            (MessageHeader::Schema, _) => return Err(in_head(Fault::SchemaTwice, here)),
            (_, Some(dictionary)) => dictionary.data(),
            _ => message.header_as_record_batch(),
        };
        let batch = batch.ok_or_else(|| in_head(Fault::MessageKind, here))?;
        let body =
            body_of(message.bodyLength(), &mut bodies).map_err(|found| in_head(found, here))?;
        if batch.compression().is_some() {
            return Err(in_head(Fault::Compressed, here));
        }
        let walk = Walk::new(&batch, body, checks, budget);
        match dictionary {
            None => {
                let place = |error: DecodeError| {
                    error.within(Segment::Index(batches.len())).within(Segment::key("batches"))
                };
                batches.push(walk.batch(&schema, &fields, &dictionaries).map_err(place)?);
            }
            Some(dictionary) => {
                if dictionary.isDelta() {
                    return Err(in_head(Fault::DictionaryDelta, here));
                }
                let id = dictionary.id();
                let place = |error: DecodeError| {
                    let segment = Segment::OtherKey(id.to_string().into());
                    error.within(segment).within(Segment::key("dictionaries"))
                };
                // A dictionary that no field has is nobody's, and passed over.
                if let Some((values, at)) = fields.dictionary(id) {
                    let values = walk.values(values, at, &fields, &dictionaries).map_err(place)?;
                    dictionaries.insert(id, Arc::new(values));
                }
            }
        }
    }
    if bodies.next().is_some() {
        return Err(in_head(Fault::Count, rest));
    }
    Ok(Table { schema, batches })
}

/// The schema that a head begins with, and what follows it.
fn first<'h>(head: &'h [u8], recent: &mut Recent) -> Result<(Parsed, &'h [u8]), Fault> {
    if let Some((start, rest)) = head.split_at_checked(recent.message.len())
        && let Some(known) = recent.recall(start)
    {
        return Ok((known, rest));
    }
    let (message, rest) = schema::next_message(head)?.ok_or(Fault::SchemaMissing)?;
    if message.header_type() != MessageHeader::Schema {
        return Err(Fault::SchemaMissing);
    }
    let (schema, ids) = schema::parse(&message)?;
    let parsed = Parsed { schema, ids: ids.into() };
    recent.keep(&head[..head.len() - rest.len()], &parsed);
    Ok((parsed, rest))
}

/// Reads the message of a schema.
///
/// # Errors
///
/// [`Arrow`](DecodeErrorKind::Arrow).
pub fn read_schema(message: &[u8]) -> Result<SchemaRef, DecodeError> {
    Parsed::of(message).map(|parsed| parsed.schema)
}

/// The body of a message of that length.
fn body_of<'b>(
    claimed: i64,
    bodies: &mut impl Iterator<Item = &'b Part<'b>>,
) -> Result<Part<'b>, Fault> {
    if claimed == 0 {
        return Ok(Part { offset: 0, bytes: &[] });
    }
    let expected = claimed as u64;
    match bodies.next() {
        Some(body) if body.bytes.len() as u64 == expected => Ok(*body),
        body => {
            let found = body.map_or(0, |body| body.bytes.len() as u64);
            Err(Fault::BodyLength { expected, found })
        }
    }
}

/// The dictionaries of a schema, in the order in which a walk through its fields meets them.
struct Fields<'s> {
    ids: &'s [i64],
    /// The type of each one's values.
    values: Vec<&'s DataType>,
}

impl<'s> Fields<'s> {
    fn new(schema: &'s arrow_schema::Schema, ids: &'s [i64]) -> Self {
        let mut values = Vec::with_capacity(ids.len());
        schema.fields().iter().for_each(|field| gather(field.data_type(), &mut values));
        Fields { ids, values }
    }

    /// The type of a dictionary's values, and the number of the first dictionary within them.
    fn dictionary(&self, id: i64) -> Option<(&'s DataType, usize)> {
        let at = self.ids.iter().position(|&known| known == id)?;
        Some((self.values[at], at + 1))
    }
}

fn gather<'s>(data_type: &'s DataType, values: &mut Vec<&'s DataType>) {
    use DataType::*;
    match data_type {
        Dictionary(_, inner) => {
            values.push(inner);
            gather(inner, values);
        }
        List(field)
        | LargeList(field)
        | ListView(field)
        | LargeListView(field)
        | FixedSizeList(field, _)
        | Map(field, _) => gather(field.data_type(), values),
        Struct(fields) => fields.iter().for_each(|field| gather(field.data_type(), values)),
        Union(fields, _) => fields.iter().for_each(|(_, field)| gather(field.data_type(), values)),
        RunEndEncoded(ends, of) => {
            gather(ends.data_type(), values);
            gather(of.data_type(), values);
        }
        _ => {}
    }
}

type Dictionaries = HashMap<i64, Arc<Column>>;

/// A walk through one batch: nodes and buffers are taken in order.
struct Walk<'m, 'w> {
    len: i64,
    nodes: flatbuffers::VectorIter<'m, FieldNode>,
    buffers: flatbuffers::VectorIter<'m, Buffer>,
    variadic: Option<flatbuffers::VectorIter<'m, i64>>,
    body: Part<'m>,
    checks: Checks,
    budget: &'w mut Budget,
    /// How many dictionaries were met.
    met: usize,
}

impl<'m, 'w> Walk<'m, 'w> {
    fn new(
        batch: &RecordBatch<'m>,
        body: Part<'m>,
        checks: Checks,
        budget: &'w mut Budget,
    ) -> Self {
        Walk {
            len: batch.length(),
            nodes: batch.nodes().unwrap_or_default().iter(),
            buffers: batch.buffers().unwrap_or_default().iter(),
            variadic: batch.variadicBufferCounts().map(|counts| counts.iter()),
            body,
            checks,
            budget,
            met: 0,
        }
    }

    fn batch(
        mut self,
        schema: &SchemaRef,
        fields: &Fields<'_>,
        dictionaries: &Dictionaries,
    ) -> Result<Batch, DecodeError> {
        let len = self.rows()?;
        let mut columns = Vec::with_capacity(schema.fields().len().min(self.nodes.len()));
        for field in schema.fields() {
            let column = self
                .sized(field, len, fields, dictionaries)
                .map_err(|error| error.within(Segment::key("columns")))?;
            if column.len != len {
                let found = Fault::Length { expected: len as u64, found: column.len as i64 };
                let error = self.fault(found).within(Segment::key(field.name()));
                return Err(error.within(Segment::key("columns")));
            }
            columns.push(column);
        }
        self.exhausted()?;
        Ok(Batch { len, columns })
    }

    /// The values of a dictionary.
    fn values(
        mut self,
        data_type: &DataType,
        met: usize,
        fields: &Fields<'_>,
        dictionaries: &Dictionaries,
    ) -> Result<Column, DecodeError> {
        let len = self.rows()?;
        self.met = met;
        let column = self.column(data_type, fields, dictionaries)?;
        if column.len != len {
            let found = Fault::Length { expected: len as u64, found: column.len as i64 };
            return Err(self.fault(found));
        }
        self.exhausted()?;
        Ok(column)
    }

    fn rows(&self) -> Result<usize, DecodeError> {
        match u64::try_from(self.len) {
            Ok(len) if len <= MOST => Ok(len as usize),
            _ => Err(self.fault(Fault::Length { expected: 0, found: self.len })),
        }
    }

    fn exhausted(&mut self) -> Result<(), DecodeError> {
        let left = self.variadic.as_ref().map_or(0, ExactSizeIterator::len);
        match self.nodes.len() + self.buffers.len() + left {
            0 => Ok(()),
            _ => Err(self.fault(Fault::Count)),
        }
    }

    /// The array of a field, which has at least `len` elements.
    fn sized(
        &mut self,
        field: &Field,
        len: usize,
        fields: &Fields<'_>,
        dictionaries: &Dictionaries,
    ) -> Result<Column, DecodeError> {
        let column = self.column(field.data_type(), fields, dictionaries).and_then(|column| {
            if column.len < len {
                let found = Fault::Length { expected: len as u64, found: column.len as i64 };
                return Err(self.fault(found));
            }
            Ok(column)
        });
        column.map_err(|error| error.within(Segment::key(field.name())))
    }

    fn column(
        &mut self,
        data_type: &DataType,
        fields: &Fields<'_>,
        dictionaries: &Dictionaries,
    ) -> Result<Column, DecodeError> {
        use DataType::*;
        let node = self.nodes.next().ok_or_else(|| self.fault(Fault::Count))?;
        let (claimed, nulls) = (node.length(), node.null_count());
        let len = match u64::try_from(claimed) {
            Ok(len) if len <= MOST => len as usize,
            _ => return Err(self.fault(Fault::Length { expected: 0, found: claimed })),
        };
        if nulls < 0 || nulls > claimed {
            return Err(self.fault(Fault::NullCount { claimed: nulls, found: 0 }));
        }
        let mut column = Column {
            data_type: data_type.clone(),
            len,
            null_count: nulls as usize,
            validity: None,
            buffers: Vec::new(),
            children: Vec::new(),
            dictionary: None,
        };
        match data_type {
            Null => column.null_count = len,
            Union(..) | RunEndEncoded(..) => column.null_count = 0,
            _ => {
                let needed = if nulls == 0 { 0 } else { (len as u64).div_ceil(8) };
                let bitmap = self.buffer("validity", needed, needed)?;
                column.validity = (nulls != 0).then_some(bitmap);
            }
        }
        let mut fixed = |walk: &mut Self, name, width: u64| {
            // `len` is at most 2^48, a width less than 2^31.
            let needed = (len as u64).saturating_mul(width);
            column.buffers.push(walk.buffer(name, needed, needed)?);
            Ok::<_, DecodeError>(())
        };
        let offsets = |walk: &mut Self, width: u64| {
            let most = (len as u64 + 1) * width;
            walk.buffer("offsets", if len == 0 { 0 } else { most }, most)
        };
        match data_type {
            Null | Struct(_) | FixedSizeList(..) | RunEndEncoded(..) => {}
            Boolean => {
                let bits =
                    self.buffer("values", (len as u64).div_ceil(8), (len as u64).div_ceil(8))?;
                column.buffers.push(bits);
            }
            Utf8 | Binary | LargeUtf8 | LargeBinary => {
                let width = if matches!(data_type, Utf8 | Binary) { 4 } else { 8 };
                column.buffers.push(offsets(self, width)?);
                column.buffers.push(self.buffer("values", 0, u64::MAX)?);
            }
            List(_) | Map(..) => column.buffers.push(offsets(self, 4)?),
            LargeList(_) => column.buffers.push(offsets(self, 8)?),
            ListView(_) | LargeListView(_) => {
                let width = if matches!(data_type, ListView(_)) { 4 } else { 8 };
                fixed(self, "offsets", width)?;
                fixed(self, "sizes", width)?;
            }
            Utf8View | BinaryView => {
                fixed(self, "views", 16)?;
                let count = self.variadic.as_mut().and_then(Iterator::next);
                let count = count.ok_or_else(|| self.fault(Fault::Count))?;
                if count < 0 || count as u64 > self.buffers.len() as u64 {
                    return Err(self.fault(Fault::Count));
                }
                for _ in 0..count {
                    column.buffers.push(self.buffer("values", 0, u64::MAX)?);
                }
            }
            Union(_, mode) => {
                fixed(self, "types", 1)?;
                if *mode == UnionMode::Dense {
                    fixed(self, "offsets", 4)?;
                }
            }
            FixedSizeBinary(width) => fixed(self, "values", *width as u64)?,
            Dictionary(key, _) => {
                let width = key.primitive_width().unwrap_or(8);
                fixed(self, "indices", width as u64)?;
            }
            other => {
                let width =
                    other.primitive_width().ok_or_else(|| self.fault(Fault::TypeUnknown))?;
                fixed(self, "values", width as u64)?;
            }
        }
        let mut child = |walk: &mut Self, field: &Field, len: usize| {
            column.children.push(walk.sized(field, len, fields, dictionaries)?);
            Ok::<_, DecodeError>(())
        };
        match data_type {
            List(field)
            | Map(field, _)
            | LargeList(field)
            | ListView(field)
            | LargeListView(field) => child(self, field, 0)?,
            FixedSizeList(field, size) => {
                let needed = (len as u64).saturating_mul(*size as u64);
                if needed > MOST {
                    return Err(self.fault(Fault::Length { expected: needed, found: claimed }));
                }
                child(self, field, needed as usize)?;
            }
            Struct(fields) => fields.iter().try_for_each(|field| child(self, field, len))?,
            Union(fields, mode) => {
                let len = if *mode == UnionMode::Sparse { len } else { 0 };
                fields.iter().try_for_each(|(_, field)| child(self, field, len))?;
            }
            RunEndEncoded(ends, values) => {
                child(self, ends, 0)?;
                child(self, values, 0)?;
            }
            Dictionary(_, of) => {
                let at = self.met;
                self.met += 1 + schema::dictionaries(of);
                let id = fields.ids.get(at).copied().unwrap_or_default();
                let values = dictionaries.get(&id);
                let values = values.ok_or_else(|| self.fault(Fault::DictionaryMissing { id }))?;
                // Another field may share the id, and be of other values.
                if values.data_type != **of {
                    return Err(self.fault(Fault::DictionaryType { id }));
                }
                column.dictionary = Some(Arc::clone(values));
            }
            _ => {}
        }
        match self.budget.left.checked_sub(check::looked_at(&column, self.checks)) {
            Some(left) => self.budget.left = left,
            None => {
                self.budget.ran_out = true;
                return Err(self.fault(Fault::Count));
            }
        }
        check::column(&column, &self.body, self.checks)?;
        Ok(column)
    }

    /// The next buffer, which has at least `needed` bytes, as a place in the body of the frame. Of what it has beyond `most`
    /// nothing is taken, and nothing at all where it has fewer than a whole element more than needed: libraries look at
    /// buffers as so many elements.
    fn buffer(&mut self, name: &str, needed: u64, most: u64) -> Result<Range<usize>, DecodeError> {
        let place = |error: DecodeError| error.within(Segment::key(name));
        let Some(buffer) = self.buffers.next() else {
            return Err(place(self.fault(Fault::Count)));
        };
        let (offset, length) = (buffer.offset(), buffer.length());
        let body_len = self.body.bytes.len() as u64;
        let range = u64::try_from(offset).ok().zip(u64::try_from(length).ok());
        let end = range.and_then(|(offset, length)| offset.checked_add(length));
        if end.is_none_or(|end| end > body_len) {
            return Err(place(self.fault(Fault::BufferOutside { offset, length, body_len })));
        }
        if offset % 8 != 0 {
            return Err(place(self.fault(Fault::BufferMisaligned { offset })));
        }
        if (length as u64) < needed {
            let found = Fault::BufferLength { needed, found: length as u64 };
            return Err(place(self.fault(found)));
        }
        let start = self.body.offset + offset as usize;
        let taken = match length as u64 {
            length if length >= most => most,
            _ if most != u64::MAX => needed,
            length => length,
        };
        Ok(start..start + taken as usize)
    }

    fn fault(&self, found: Fault) -> DecodeError {
        fault(found, self.body.offset)
    }
}

#[cold]
pub(super) fn fault(fault: Fault, offset: usize) -> DecodeError {
    DecodeError::new(DecodeErrorKind::Arrow { fault }, offset)
}
