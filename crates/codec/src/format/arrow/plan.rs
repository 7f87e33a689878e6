//! Writing a table: where every byte goes, then the bytes.

use std::collections::HashMap;

use arrow_array::{Array, RecordBatch};
use arrow_buffer::{Buffer, NullBuffer};
use arrow_data::ArrayData;
use arrow_data::transform::MutableArrayData;
use arrow_ipc::{Buffer as Place, FieldNode};
use arrow_schema::{DataType, Schema, UnionMode};

use super::copy::{Copy, Places, View};
use super::message::{self, Described};
use super::{MAX_NESTING, schema};
use crate::error::{ArrowFault as Fault, EncodeError, EncodeErrorKind, Segment};
use crate::frame::{Format, Layout};

/// What the buffers of a body begin at multiples of.
const ALIGN: usize = 64;
/// Bytes of view data that are sent for nothing rather than looked at one by one.
const WASTE: usize = 4096;

/// The rows of a batch: columns of the same length.
#[derive(Debug, Clone)]
pub struct Rows {
    /// How many.
    pub len: usize,
    /// In the order of the schema's fields.
    pub columns: Vec<ArrayData>,
}

impl Rows {
    /// The fields of a struct as columns, as the C stream interface gives batches.
    ///
    /// # Errors
    ///
    /// [`TypeMismatch`](Fault::TypeMismatch) for what is no struct, [`NullRows`](Fault::NullRows), and [`Length`](Fault::Length).
    pub fn from_struct(data: &ArrayData) -> Result<Rows, EncodeError> {
        if !matches!(data.data_type(), DataType::Struct(_)) {
            return Err(fault(Fault::TypeMismatch));
        }
        if data.null_count() != 0 {
            return Err(fault(Fault::NullRows));
        }
        let (start, len) = (data.offset(), data.len());
        let column = |child: &ArrayData| {
            within(child, start, len)?;
            Ok(child.slice(start, len))
        };
        let columns: Result<_, EncodeError> = data.child_data().iter().map(column).collect();
        Ok(Rows { len, columns: columns? })
    }
}

impl From<&RecordBatch> for Rows {
    fn from(batch: &RecordBatch) -> Rows {
        let columns = batch.columns().iter().map(|column| column.to_data()).collect();
        Rows { len: batch.num_rows(), columns }
    }
}

/// Where the schema of a frame stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaPlace {
    /// In its head.
    Frame,
    /// In the segment's schema table, which has [`schema_message`](super::schema_message) of it; the frame header
    /// names it.
    Table,
}

/// How the body of a table will be laid out, and what goes where. Made by [`plan()`].
#[derive(Debug)]
pub struct Plan {
    head: Vec<u8>,
    layout: Layout,
    front: usize,
    bodies: Vec<Vec<(usize, Copy)>>,
}

/// Plans a frame that holds these batches, with `meta` bytes of metadata.
///
/// # Errors
///
/// Arrays that do not suit the schema, or that break Arrow's rules so that they can't be followed; types
/// [nested](MAX_NESTING) too deep; and those of [`Layout::new`].
pub fn plan(
    schema: &Schema,
    batches: &[Rows],
    place: SchemaPlace,
    meta_len: Option<usize>,
) -> Result<Plan, EncodeError> {
    schema.fields().iter().try_for_each(|field| {
        schema::check_type(field.data_type(), MAX_NESTING).map_err(|found| {
            fault(found).within(Segment::key(field.name())).within(Segment::key("columns"))
        })
    })?;
    let message = message::schema_message(schema);
    let ids = schema::own_dictionary_ids(&message);
    let mut messages = Messages { ids, ..Messages::default() };
    if place == SchemaPlace::Frame {
        messages.head = message;
    }
    for (number, rows) in batches.iter().enumerate() {
        messages.batch(schema, rows).map_err(|error| {
            error.within(Segment::Index(number)).within(Segment::key("batches"))
        })?;
    }
    let Messages { head, bodies, .. } = messages;
    let lens = bodies.iter().map(|body| body.len);
    let layout = Layout::new(Format::Arrow, head.len(), meta_len, lens)?;
    let front = Layout::front(bodies.len(), meta_len.is_some());
    let bodies = bodies.into_iter().map(|body| body.copies).collect();
    Ok(Plan { head, layout, front, bodies })
}

impl Plan {
    /// Bytes of the body.
    pub fn body_len(&self) -> usize {
        self.layout.body_len()
    }

    /// The codec's [`flags`](crate::frame::flags), for the frame header.
    pub fn flags(&self) -> u16 {
        self.layout.flags()
    }

    /// The format, for the frame header.
    pub fn format(&self) -> Format {
        Format::Arrow
    }

    /// The type code, for the frame header.
    pub fn type_code(&self) -> u16 {
        self.layout.type_code()
    }

    /// The messages.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// The lengths of the messages' bodies, of those that have one.
    pub fn bodies(&self) -> impl ExactSizeIterator<Item = usize> {
        self.layout.buffers().iter().map(ExactSizeIterator::len)
    }

    /// Writes one of these bodies by itself, every byte of it.
    ///
    /// # Errors
    ///
    /// [`BodyLength`](EncodeErrorKind::BodyLength) if `body` has not its length.
    ///
    /// # Panics
    ///
    /// If there is none of this number.
    pub fn write_body(&self, number: usize, body: &mut [u8]) -> Result<(), EncodeError> {
        let (planned, found) = (self.layout.buffers()[number].len(), body.len());
        if planned != found {
            return Err(EncodeError::new(EncodeErrorKind::BodyLength { planned, found }));
        }
        write(&self.bodies[number], body);
        Ok(())
    }

    /// Writes the body, every byte of it.
    ///
    /// # Errors
    ///
    /// [`BodyLength`](EncodeErrorKind::BodyLength) if `body` has not [`body_len`](Self::body_len) bytes, and
    /// [`MetaNotMap`](EncodeErrorKind::MetaNotMap).
    ///
    /// # Panics
    ///
    /// If the metadata has another length than was planned.
    pub fn write(&self, body: &mut [u8], meta: Option<&[u8]>) -> Result<(), EncodeError> {
        let (planned, found) = (self.body_len(), body.len());
        if planned != found {
            return Err(EncodeError::new(EncodeErrorKind::BodyLength { planned, found }));
        }
        body[self.front..self.front + self.head.len()].copy_from_slice(&self.head);
        self.layout.write(body, self.front, meta)?;
        for (range, copies) in self.layout.buffers().iter().zip(&self.bodies) {
            write(copies, &mut body[range.clone()]);
        }
        Ok(())
    }
}

/// Writes the body of a message.
fn write(copies: &[(usize, Copy)], body: &mut [u8]) {
    let mut end = 0;
    for (at, copy) in copies {
        body[end..*at].fill(0);
        end = at + copy.len();
        copy.write(&mut body[*at..end]);
    }
    body[end..].fill(0);
}

/// The body of a message.
#[derive(Debug, Default)]
struct Body {
    copies: Vec<(usize, Copy)>,
    len: usize,
    described: Described,
}

impl Body {
    fn node(&mut self, len: usize, nulls: usize) {
        self.described.nodes.push(FieldNode::new(len as i64, nulls as i64));
    }

    fn buffer(&mut self, copy: Copy) -> Result<(), EncodeError> {
        let len = copy.len();
        self.described.buffers.push(Place::new(self.len as i64, len as i64));
        if len == 0 {
            return Ok(());
        }
        self.copies.push((self.len, copy));
        let end = self.len.checked_add(len).and_then(|end| end.checked_next_multiple_of(ALIGN));
        self.len = end.filter(|&end| isize::try_from(end).is_ok()).ok_or_else(too_large)?;
        Ok(())
    }
}

/// The messages so far.
#[derive(Debug, Default)]
struct Messages {
    head: Vec<u8>,
    bodies: Vec<Body>,
    /// The ids of the schema's dictionaries, outer before inner, in the order of the fields.
    ids: Vec<i64>,
    /// How many of them the walk through a batch has passed.
    passed: usize,
    /// What the dictionaries hold at this point of the stream.
    sent: HashMap<i64, ArrayData>,
}

impl Messages {
    fn batch(&mut self, schema: &Schema, rows: &Rows) -> Result<(), EncodeError> {
        if schema.fields().len() != rows.columns.len() {
            return Err(fault(Fault::Count));
        }
        self.passed = 0;
        let mut body = Body::default();
        for (field, column) in schema.fields().iter().zip(&rows.columns) {
            let place = |error: EncodeError| {
                error.within(Segment::key(field.name())).within(Segment::key("columns"))
            };
            if !column.data_type().equals_datatype(field.data_type()) {
                return Err(place(fault(Fault::TypeMismatch)));
            }
            if column.len() != rows.len {
                return Err(place(length(rows.len, column.len())));
            }
            self.array(&mut body, column, 0, rows.len).map_err(place)?;
        }
        self.finish(None, rows.len, body);
        Ok(())
    }

    fn finish(&mut self, dictionary: Option<i64>, rows: usize, body: Body) {
        message::append_batch(&mut self.head, dictionary, rows as i64, body.len, &body.described);
        if body.len != 0 {
            self.bodies.push(body);
        }
    }

    /// Takes in `len` elements of an array from `start` on, which counts from the array's own offset.
    fn array(
        &mut self,
        body: &mut Body,
        data: &ArrayData,
        start: usize,
        len: usize,
    ) -> Result<(), EncodeError> {
        use DataType::*;
        within(data, start, len)?;
        // Where the elements stand in the array's own buffers, and in children that it does not offset.
        let at = data.offset() + start;
        let nulls = match data.data_type() {
            Null | Union(..) | RunEndEncoded(..) => None,
            _ => data.nulls().map(|nulls| nulls.slice(start, len)).filter(|n| n.null_count() != 0),
        };
        let null_count = match data.data_type() {
            Null => len,
            _ => nulls.as_ref().map_or(0, NullBuffer::null_count),
        };
        body.node(len, null_count);
        if !matches!(data.data_type(), Null | Union(..) | RunEndEncoded(..)) {
            body.buffer(match &nulls {
                None => Copy::Zeros(0),
                Some(nulls) => {
                    Copy::Bits { bits: nulls.buffer().clone(), offset: nulls.offset(), len }
                }
            })?;
        }
        match data.data_type() {
            Null => Ok(()),
            Boolean => {
                let bits = buffer(data, 0)?;
                let needed = (at + len).div_ceil(8);
                enough(bits, needed)?;
                body.buffer(Copy::Bits { bits: bits.clone(), offset: at, len })
            }
            Utf8 | Binary => self.bytes::<4>(body, data, at, len),
            LargeUtf8 | LargeBinary => self.bytes::<8>(body, data, at, len),
            Utf8View | BinaryView => views(body, data, nulls, at, len),
            List(_) | Map(..) => self.list::<4>(body, data, at, len),
            LargeList(_) => self.list::<8>(body, data, at, len),
            ListView(_) => self.list_view::<4>(body, data, at, len),
            LargeListView(_) => self.list_view::<8>(body, data, at, len),
            FixedSizeList(_, size) => {
                let size = *size as usize;
                let (first, count) = (at.checked_mul(size), len.checked_mul(size));
                let (Some(first), Some(count)) = (first, count) else { return Err(too_large()) };
                self.child(body, data, 0, first, count)
            }
            Struct(fields) => {
                for (number, field) in fields.iter().enumerate() {
                    self.child(body, data, number, at, len)
                        .map_err(|error| error.within(Segment::key(field.name())))?;
                }
                Ok(())
            }
            Union(_, UnionMode::Sparse) => {
                body.buffer(Copy::Bytes(cut(buffer(data, 0)?, at, len, 1)?))?;
                (0..data.child_data().len())
                    .try_for_each(|number| self.child(body, data, number, at, len))
            }
            Union(fields, UnionMode::Dense) => {
                let ids: Vec<i8> = fields.iter().map(|(id, _)| id).collect();
                self.dense_union(body, data, &ids, at, len)
            }
            RunEndEncoded(ends, _) => {
                let width = ends.data_type().primitive_width().unwrap_or(8);
                self.runs(body, data, width, at, len)
            }
            Dictionary(key, _) => {
                let width = key.primitive_width().ok_or_else(|| fault(Fault::TypeUnknown))?;
                body.buffer(Copy::Bytes(cut(buffer(data, 0)?, at, len, width)?))?;
                self.dictionary(data)
            }
            FixedSizeBinary(width) => {
                body.buffer(Copy::Bytes(cut(buffer(data, 0)?, at, len, *width as usize)?))
            }
            fixed => {
                let width = fixed.primitive_width().ok_or_else(|| fault(Fault::TypeUnknown))?;
                body.buffer(Copy::Bytes(cut(buffer(data, 0)?, at, len, width)?))
            }
        }
    }

    fn child(
        &mut self,
        body: &mut Body,
        data: &ArrayData,
        number: usize,
        start: usize,
        len: usize,
    ) -> Result<(), EncodeError> {
        let child = data.child_data().get(number).ok_or_else(|| fault(Fault::Count))?;
        self.array(body, child, start, len)
    }

    /// Offsets of `WIDTH` bytes and the bytes between the first and the last.
    fn bytes<const WIDTH: usize>(
        &mut self,
        body: &mut Body,
        data: &ArrayData,
        at: usize,
        len: usize,
    ) -> Result<(), EncodeError> {
        let values = buffer(data, 1)?;
        let (first, count) = offsets::<WIDTH>(body, data, at, len, values.len())?;
        body.buffer(Copy::Bytes(values.slice_with_length(first, count)))
    }

    fn list<const WIDTH: usize>(
        &mut self,
        body: &mut Body,
        data: &ArrayData,
        at: usize,
        len: usize,
    ) -> Result<(), EncodeError> {
        let limit = data.child_data().first().map_or(0, ArrayData::len);
        let (first, count) = offsets::<WIDTH>(body, data, at, len, limit)?;
        self.child(body, data, 0, first, count)
    }

    fn list_view<const WIDTH: usize>(
        &mut self,
        body: &mut Body,
        data: &ArrayData,
        at: usize,
        len: usize,
    ) -> Result<(), EncodeError> {
        let child = data.child_data().first().ok_or_else(|| fault(Fault::Count))?;
        let offsets = cut(buffer(data, 0)?, at, len, WIDTH)?;
        let sizes = cut(buffer(data, 1)?, at, len, WIDTH)?;
        let limit = child.len();
        let (mut low, mut high, mut used) = (limit, 0usize, 0usize);
        for row in 0..len {
            let (offset, size) = (number::<WIDTH>(&offsets, row), number::<WIDTH>(&sizes, row));
            let range = usize::try_from(offset).ok().zip(usize::try_from(size).ok());
            let end = range.and_then(|(offset, size)| Some((offset, offset.checked_add(size)?)));
            let Some((start, end)) = end.filter(|&(_, end)| end <= limit) else {
                return Err(bad_offset(row, offset, limit));
            };
            if end > start {
                (low, high) = (low.min(start), high.max(end));
                used = used.saturating_add(end - start);
            }
        }
        let (low, spanned) = if high == 0 { (0, 0) } else { (low, high - low) };
        if spanned / 2 > used.max(WASTE / WIDTH) {
            return self.gathered_lists::<WIDTH>(body, child, &offsets, sizes, len);
        }
        // Offsets of empty lists may lie anywhere: they are moved along, and put right only where that ends outside.
        let mut moved = Vec::with_capacity(offsets.len());
        for row in 0..len {
            let size = number::<WIDTH>(&sizes, row);
            let offset = if size == 0 { 0 } else { number::<WIDTH>(&offsets, row) - low as i64 };
            moved.extend_from_slice(&offset.to_le_bytes()[..WIDTH]);
        }
        body.buffer(Copy::Bytes(Buffer::from_vec(moved)))?;
        body.buffer(Copy::Bytes(sizes))?;
        self.array(body, child, low, spanned)
    }

    /// Lists that use less than half of what lies between the first and the last element: put together anew.
    fn gathered_lists<const WIDTH: usize>(
        &mut self,
        body: &mut Body,
        child: &ArrayData,
        offsets: &Buffer,
        sizes: Buffer,
        len: usize,
    ) -> Result<(), EncodeError> {
        let mut gathered = MutableArrayData::new(vec![child], false, 0);
        let mut moved = Vec::with_capacity(offsets.len());
        for row in 0..len {
            let (offset, size) = (number::<WIDTH>(offsets, row), number::<WIDTH>(&sizes, row));
            moved.extend_from_slice(&(gathered.len() as i64).to_le_bytes()[..WIDTH]);
            let (start, end) = (offset as usize, (offset + size) as usize);
            gathered.try_extend(0, start, end).map_err(|_| too_large())?;
        }
        let gathered = gathered.freeze();
        body.buffer(Copy::Bytes(Buffer::from_vec(moved)))?;
        body.buffer(Copy::Bytes(sizes))?;
        self.array(body, &gathered, 0, gathered.len())
    }

    fn dense_union(
        &mut self,
        body: &mut Body,
        data: &ArrayData,
        ids: &[i8],
        at: usize,
        len: usize,
    ) -> Result<(), EncodeError> {
        let types = cut(buffer(data, 0)?, at, len, 1)?;
        let offsets = cut(buffer(data, 1)?, at, len, 4)?;
        let mut ranges = [(i64::MAX, 0i64); 128];
        for (row, &id) in types.iter().enumerate() {
            let id = id as i8;
            let child = ids.iter().position(|&known| known == id);
            let child = child.and_then(|number| data.child_data().get(number));
            let Some(child) = child else {
                return Err(fault(Fault::TypeId { index: row as u64, found: id }));
            };
            let offset = number::<4>(&offsets, row);
            if offset < 0 || offset as usize >= child.len() {
                return Err(bad_offset(row, offset, child.len()));
            }
            let (low, end) = &mut ranges[id as usize];
            (*low, *end) = ((*low).min(offset), (*end).max(offset + 1));
        }
        let mut by = Box::new([0; 128]);
        for (by, (low, _)) in by.iter_mut().zip(&ranges) {
            *by = i32::try_from(*low).unwrap_or(0);
        }
        body.buffer(Copy::Bytes(types.clone()))?;
        body.buffer(Copy::Union { types, offsets, by })?;
        for (number, &id) in ids.iter().enumerate() {
            let (low, end) = ranges[id as usize];
            let (low, count) = if end == 0 { (0, 0) } else { (low, end - low) };
            self.child(body, data, number, low as usize, count as usize)?;
        }
        Ok(())
    }

    fn runs(
        &mut self,
        body: &mut Body,
        data: &ArrayData,
        width: usize,
        at: usize,
        len: usize,
    ) -> Result<(), EncodeError> {
        let runs = data.child_data().first().ok_or_else(|| fault(Fault::Count))?;
        let ends = cut(buffer(runs, 0)?, runs.offset(), runs.len(), width)?;
        let end = |run: usize| match width {
            2 => number::<2>(&ends, run),
            4 => number::<4>(&ends, run),
            _ => number::<8>(&ends, run),
        };
        let after = |position: i64| {
            let (mut low, mut high) = (0, runs.len());
            while low < high {
                let middle = low.midpoint(high);
                if end(middle) > position { high = middle } else { low = middle + 1 }
            }
            low
        };
        let (first, count) = match len {
            0 => (0, 0),
            _ => {
                let (first, last) = (after(at as i64), after((at + len - 1) as i64));
                if last >= runs.len() {
                    let found = runs.len().checked_sub(1).map_or(0, end);
                    return Err(fault(Fault::RunEnd { index: runs.len() as u64, found }));
                }
                (first, last - first + 1)
            }
        };
        body.node(count, 0);
        body.buffer(Copy::Zeros(0))?;
        let ends = ends.slice_with_length(first * width, count * width);
        body.buffer(Copy::RunEnds { ends, width, by: at as i64, len: len as i64 })?;
        self.child(body, data, 1, first, count)
    }

    /// The values of a dictionary as a message ahead of the batch, unless they were sent before.
    fn dictionary(&mut self, data: &ArrayData) -> Result<(), EncodeError> {
        let values = data.child_data().first().ok_or_else(|| fault(Fault::Count))?;
        let id = *self.ids.get(self.passed).ok_or_else(|| fault(Fault::TypeMismatch))?;
        self.passed += 1;
        if self.sent.get(&id).is_some_and(|sent| same(sent, values)) {
            self.passed += schema::dictionaries(values.data_type());
            return Ok(());
        }
        let mut body = Body::default();
        self.array(&mut body, values, 0, values.len())
            .map_err(|error| error.within(Segment::key("dictionary")))?;
        self.finish(Some(id), values.len(), body);
        self.sent.insert(id, values.clone());
        Ok(())
    }
}

/// Whether two dictionaries are one. Chunks of a column often bring the same values in other memory.
fn same(sent: &ArrayData, values: &ArrayData) -> bool {
    use DataType::*;
    let plain = matches!(values.data_type(), Utf8 | LargeUtf8 | Utf8View | Binary | LargeBinary)
        || values.data_type().is_primitive();
    sent.ptr_eq(values) || plain && sent.len() == values.len() && sent == values
}

/// Takes in offsets, so that the first is 0; returns what they point to: the first, and how many.
fn offsets<const WIDTH: usize>(
    body: &mut Body,
    data: &ArrayData,
    at: usize,
    len: usize,
    limit: usize,
) -> Result<(usize, usize), EncodeError> {
    if len == 0 {
        body.buffer(Copy::Zeros(WIDTH))?;
        return Ok((0, 0));
    }
    let offsets = cut(buffer(data, 0)?, at, len + 1, WIDTH)?;
    let (first, last) = (number::<WIDTH>(&offsets, 0), number::<WIDTH>(&offsets, len));
    if first < 0 || first as usize > limit {
        return Err(bad_offset(0, first, limit));
    }
    if last < first || last as usize > limit {
        return Err(bad_offset(len, last, limit));
    }
    body.buffer(match (first, WIDTH) {
        (0, _) => Copy::Bytes(offsets),
        (_, 4) => Copy::Rebased32 { offsets, by: first as i32 },
        _ => Copy::Rebased64 { offsets, by: first },
    })?;
    Ok((first as usize, (last - first) as usize))
}

/// Views with the buffers that they have, or with one that has only what they use, where that is less than half.
fn views(
    body: &mut Body,
    data: &ArrayData,
    nulls: Option<NullBuffer>,
    at: usize,
    len: usize,
) -> Result<(), EncodeError> {
    let views = cut(buffer(data, 0)?, at, len, 16)?;
    let buffers = data.buffers().get(1..).unwrap_or_default();
    let mut used = 0usize;
    // The first view of each buffer that they would be gathered in, and its length.
    let mut gathered = vec![(0, 0)];
    let mut places = Places::default();
    for (row, view) in views.as_chunks::<16>().0.iter().enumerate() {
        let view = View::parse(view);
        if !view.is_long() || nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            continue;
        }
        let held = buffers.get(view.buffer).map_or(0, Buffer::len);
        if view.offset.checked_add(view.len).is_none_or(|end| end > held) {
            return Err(fault(Fault::View { index: row as u64 }));
        }
        used = used.saturating_add(view.len);
        if let (_, _, true) = places.take(view.len) {
            gathered.push((row, 0));
        }
        if let Some((_, filled)) = gathered.last_mut() {
            *filled = places.filled;
        }
    }
    let held = buffers.iter().fold(0usize, |sum, buffer| sum.saturating_add(buffer.len()));
    if held / 2 <= used.max(WASTE / 2) {
        body.buffer(match nulls {
            None => Copy::Bytes(views),
            nulls => Copy::Views { views, nulls, gather: false },
        })?;
        body.described.variadic.push(buffers.len() as i64);
        return buffers.iter().try_for_each(|buffer| body.buffer(Copy::Bytes(buffer.clone())));
    }
    if used == 0 {
        gathered.clear();
    }
    body.buffer(Copy::Views { views: views.clone(), nulls: nulls.clone(), gather: true })?;
    body.described.variadic.push(gathered.len() as i64);
    gathered.into_iter().try_for_each(|(first, len)| {
        let (views, nulls, data) = (views.clone(), nulls.clone(), buffers.into());
        body.buffer(Copy::Gathered { views, nulls, data, first, len })
    })
}

/// The number with this index, of `WIDTH` bytes; the buffer has it.
fn number<const WIDTH: usize>(bytes: &[u8], index: usize) -> i64 {
    let mut number = [0; 8];
    number[..WIDTH].copy_from_slice(&bytes[index * WIDTH..][..WIDTH]);
    let unused = 64 - 8 * WIDTH;
    i64::from_le_bytes(number) << unused >> unused
}

fn buffer(data: &ArrayData, number: usize) -> Result<&Buffer, EncodeError> {
    data.buffers().get(number).ok_or_else(|| fault(Fault::Count))
}

/// `len` elements of `width` bytes, from the one with the number `at` on.
fn cut(from: &Buffer, at: usize, len: usize, width: usize) -> Result<Buffer, EncodeError> {
    if len == 0 {
        return Ok(Buffer::default());
    }
    let needed =
        at.checked_add(len).and_then(|end| end.checked_mul(width)).ok_or_else(too_large)?;
    enough(from, needed)?;
    Ok(from.slice_with_length(at * width, len * width))
}

fn enough(buffer: &Buffer, needed: usize) -> Result<(), EncodeError> {
    if buffer.len() < needed {
        let (needed, found) = (needed as u64, buffer.len() as u64);
        return Err(fault(Fault::BufferLength { needed, found }));
    }
    Ok(())
}

fn within(data: &ArrayData, start: usize, len: usize) -> Result<(), EncodeError> {
    match start.checked_add(len) {
        Some(end) if end <= data.len() && data.offset().checked_add(end).is_some() => Ok(()),
        end => Err(length(end.unwrap_or(usize::MAX), data.len())),
    }
}

#[cold]
fn fault(fault: Fault) -> EncodeError {
    EncodeError::new(EncodeErrorKind::Arrow { fault })
}

#[cold]
fn too_large() -> EncodeError {
    EncodeError::new(EncodeErrorKind::BodyTooLarge)
}

#[cold]
fn length(expected: usize, found: usize) -> EncodeError {
    fault(Fault::Length { expected: expected as u64, found: found as i64 })
}

#[cold]
fn bad_offset(index: usize, found: i64, limit: usize) -> EncodeError {
    fault(Fault::Offset { index: index as u64, found, limit: limit as u64 })
}
