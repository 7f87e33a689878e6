//! Columns as arrow-rs has them: to be sent, and to be put together.

use super::build::binary;
use super::column::{self, Array, Bytes, Parts, Wrong, signed, values_field};
use super::names as n;
use crate::error::Fault;
use crate::value::terms::{self, Word};
use arrow_array::{ArrayRef, make_array};
use arrow_buffer::{BooleanBuffer, Buffer, MutableBuffer, NullBuffer};
use arrow_data::ArrayData;
use arrow_schema::{ArrowError, DataType, Field, Schema, UnionMode};
use rustler::Env;
use slipring_codec::EncodeError;
use slipring_codec::error::Segment as Step;
use slipring_codec::evolution::{Version, fit};
use slipring_codec::format::arrow::{self, Plan, Rows, SchemaPlace, children_of};
use slipring_frames::Announced;
use std::collections::HashMap;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::sync::Arc;

/// Arrays over the memory of terms, for as long as these are there.
pub(crate) struct Borrowed<'a, T>(T, PhantomData<&'a [u8]>);

/// A buffer over the bytes of a binary.
///
/// # Safety
///
/// It must be gone, with all that shares it, when the bytes are.
unsafe fn buffer(bytes: &[u8]) -> Buffer {
    match NonNull::new(bytes.as_ptr().cast_mut()) {
        // SAFETY: the bytes are there for as long as the buffer is, as the caller has promised. Nobody writes by it: it is
        // never the only one, having an owner that is not arrow-rs's.
        Some(place) if !bytes.is_empty() => unsafe {
            Buffer::from_custom_allocation(place, bytes.len(), Arc::new(()))
        },
        _ => Buffer::default(),
    }
}

/// The array, checked by arrow-rs: also what stands in its buffers, and texts.
///
/// # Safety
///
/// It must be gone when the terms are.
unsafe fn to_data(array: &Array<'_>) -> Result<ArrayData, ArrowError> {
    use DataType::*;
    let of = |bytes: &Bytes<'_>| {
        // SAFETY: as asked for.
        unsafe { buffer(bytes.bytes) }
    };
    // arrow-rs wants an offset also where there is nothing to count.
    let offsets = match array.offsets.bytes.is_empty() {
        true => Buffer::from_vec(vec![0u64]),
        false => of(&array.offsets),
    };
    let data = of(&array.data);
    let buffers = match &array.data_type {
        Null | Struct(_) | FixedSizeList(..) | RunEndEncoded(..) => vec![],
        Utf8 | Binary | LargeUtf8 | LargeBinary => vec![offsets, data],
        List(_) | LargeList(_) | Map(..) => vec![offsets],
        ListView(_) | LargeListView(_) => vec![of(&array.offsets), of(&array.sizes)],
        Union(_, UnionMode::Dense) => vec![data, of(&array.offsets)],
        Utf8View | BinaryView => {
            let more = array.buffers.iter().map(of);
            [data].into_iter().chain(more).collect()
        }
        _ => vec![data],
    };
    let nulls = array
        .validity
        .as_ref()
        .map(|bits| NullBuffer::new(BooleanBuffer::new(of(bits), 0, array.len)));
    let children = array.children.iter().chain(array.dictionary.as_deref());
    // SAFETY: as asked for.
    let children: Result<Vec<_>, _> = children.map(|child| unsafe { to_data(child) }).collect();
    ArrayData::builder(array.data_type.clone())
        .len(array.len)
        .nulls(nulls)
        .buffers(buffers)
        .child_data(children?)
        .align_buffers(true)
        .build()
}

/// Refuses what there is no memory for: arrow-rs, which would ask for it, ends the process.
fn room(bytes: usize, path: &str) -> Result<(), Fault> {
    let mut room: Vec<u8> = Vec::new();
    room.try_reserve_exact(bytes).map_err(|_| {
        Fault::no_column(&format!("{bytes} bytes to be made, more than there is memory"), path)
    })
}

/// What `of` counts of an array and of all within it.
fn total(array: &Array<'_>, of: &impl Fn(&Array<'_>) -> usize) -> usize {
    let within = array.children.iter().chain(array.dictionary.as_deref());
    within.fold(of(array), |sum, child| sum.saturating_add(total(child, of)))
}

/// Bytes of what a check makes: where lists of one length have nulls, their items are asked for as many bits.
fn checked_by(array: &Array<'_>) -> usize {
    match &array.data_type {
        DataType::FixedSizeList(field, size) if !field.is_nullable() => match array.validity {
            Some(_) => array.len.saturating_mul(*size as usize) / 8,
            None => 0,
        },
        _ => 0,
    }
}

/// Bytes of the bits that an array without nulls has when it is put to one with nulls. Its elements may take no memory.
fn bits_of(array: &Array<'_>) -> usize {
    match &array.data_type {
        DataType::Null => 0,
        _ => array.len / 8,
    }
}

/// Whether the elements of a union, and of those within an array, may share values: putting them together makes each anew.
fn shares(array: &Array<'_>) -> bool {
    let within = || array.children.iter().chain(array.dictionary.as_deref()).any(shares);
    let DataType::Union(_, UnionMode::Dense) = &array.data_type else { return within() };
    let place = |row| (array.data.bytes[row], signed(array.offsets.bytes, 4, row));
    let mut places: Vec<_> = (0..array.len).map(place).collect();
    places.sort_unstable();
    places.windows(2).any(|pair| pair[0] == pair[1]) || within()
}

fn borrowed<'a>(array: &Array<'a>, name: &str) -> Result<Borrowed<'a, ArrayData>, Fault> {
    room(total(array, &checked_by), &format!("$.columns.{name}"))?;
    // SAFETY: what is made keeps the lifetime of the terms, and hands no array out.
    let data = unsafe { to_data(array) };
    let data =
        data.map_err(|error| Fault::no_column(&error.to_string(), &format!("$.columns.{name}")))?;
    Ok(Borrowed(data, PhantomData))
}

fn wrong(field: &str, what: &str) -> Fault {
    Fault::no_column(what, &format!("$.{field}"))
}

fn get<'a>(
    env: Env<'a>,
    table: Word<'a>,
    name: rustler::Atom,
    field: &str,
) -> Result<Word<'a>, Fault> {
    let word = terms::get(env, table, name.into());
    word.ok_or_else(|| wrong(field, "no Slipring.Table: this field is missing"))
}

fn items<'a>(env: Env<'a>, list: Word<'a>, field: &str) -> Result<Vec<Word<'a>>, Fault> {
    super::build::items(env, list).ok_or_else(|| wrong(field, "no list"))
}

/// The fields of a `Slipring.Table`.
pub(crate) fn fields<'a>(env: Env<'a>, table: Word<'a>) -> Result<Vec<Field>, Fault> {
    let mut fields = Vec::new();
    for word in items(env, get(env, table, n::fields(), "fields")?, "fields")? {
        fields.push(column::field(env, word).map_err(|wrong| wrong.within(Step::key("fields")))?);
    }
    Ok(fields)
}

/// In the metadata of a table that `Slipring.Schemas` has made of records or columns. It is never sent.
const INFERRED: &str = "slipring.inferred";

/// A table to be sent.
pub(crate) struct Outgoing<'a> {
    schema: Schema,
    place: SchemaPlace,
    batches: Borrowed<'a, Vec<Rows>>,
}

/// A table that was read and not looked into.
pub(crate) struct Parsed<'a> {
    schema: Schema,
    batches: Vec<(usize, Vec<Array<'a>>)>,
    size: usize,
}

impl<'a> Parsed<'a> {
    /// Reads a `Slipring.Table`.
    pub(crate) fn of(env: Env<'a>, table: Word<'a>) -> Result<Self, Fault> {
        let get = |name: rustler::Atom, field: &str| get(env, table, name, field);
        let columns = |list: Word<'a>, field: &str| items(env, list, field);
        let fields = fields(env, table)?;
        let metadata: HashMap<String, String> = get(n::metadata(), "metadata")?
            .term(env)
            .decode()
            .map_err(|_| wrong("metadata", "no map of texts"))?;
        let mut schema = Schema::new(fields);
        if !metadata.is_empty() {
            schema = schema.with_metadata(metadata);
        }
        let (mut batches, mut size) = (Vec::new(), 0usize);
        for (number, batch) in
            columns(get(n::batches(), "batches")?, "batches")?.into_iter().enumerate()
        {
            let place = format!("batches[{number}]");
            let no_batch = || wrong(&place, "no {rows, columns}");
            let Some(&[rows, list]) = terms::tuple(env, batch) else { return Err(no_batch()) };
            let rows = terms::uint(env, rows).ok_or_else(no_batch)? as usize;
            let words = columns(list, &place)?;
            if words.len() != schema.fields().len() {
                let what = format!(
                    "{} columns, where the table has {}",
                    words.len(),
                    schema.fields().len()
                );
                return Err(wrong(&place, &what));
            }
            let mut arrays = Vec::with_capacity(words.len());
            for (word, of) in words.into_iter().zip(schema.fields()) {
                let place =
                    |wrong: Wrong| wrong.within(Step::key(of.name())).within(Step::key("columns"));
                let (field, array) = Array::parse(env, word).map_err(place)?;
                let path = format!("columns.{}", of.name());
                if field.data_type() != of.data_type() {
                    let what = format!(
                        "a column of the type {}, where the table has {}",
                        field.data_type(),
                        of.data_type()
                    );
                    return Err(wrong(&path, &what));
                }
                if array.len != rows {
                    return Err(wrong(
                        &path,
                        &format!("{} elements, where the batch has {rows}", array.len),
                    ));
                }
                size = size.saturating_add(array.size());
                arrays.push(array);
            }
            batches.push((rows, arrays));
        }
        Ok(Parsed { schema, batches, size })
    }

    /// Bytes of its binaries.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// With its arrays checked.
    pub(crate) fn outgoing(&self) -> Result<Outgoing<'a>, Fault> {
        let mut batches = Vec::with_capacity(self.batches.len());
        for (len, arrays) in &self.batches {
            let mut columns = Vec::with_capacity(arrays.len());
            for (array, field) in arrays.iter().zip(self.schema.fields()) {
                columns.push(borrowed(array, field.name())?.0);
            }
            batches.push(Rows { len: *len, columns });
        }
        let batches = Borrowed(batches, PhantomData);
        Ok(Outgoing { schema: self.schema.clone(), place: SchemaPlace::Frame, batches })
    }
}

impl Outgoing<'_> {
    /// Of arrays that have memory of their own.
    pub(crate) fn owned(schema: Schema, rows: Rows) -> Self {
        let batches = Borrowed(vec![rows], PhantomData);
        Outgoing { schema, place: SchemaPlace::Frame, batches }
    }

    /// Its columns as they were announced.
    pub(crate) fn arranged(mut self, under: &Announced) -> Result<Self, Fault> {
        let inferred = self.is_inferred();
        if let Some(fitted) = under.fit(&self.schema, &self.batches.0, inferred)? {
            (self.schema, self.batches.0) = fitted;
        }
        self.place = SchemaPlace::Table;
        Ok(self)
    }

    /// Whether its types are those that were found for elements, and nobody said so.
    pub(crate) fn is_inferred(&self) -> bool {
        self.schema.metadata().contains_key(INFERRED)
    }

    /// Its columns as those of a version, if they can be.
    pub(crate) fn fitting(mut self, wanted: &Version<'_>) -> Self {
        // What stands in the way is told when it is read as that version.
        if let Ok(fitted) = fit(&self.schema, &self.batches.0, wanted, true) {
            (self.schema, self.batches.0) = fitted;
        }
        self
    }

    /// In all columns.
    pub(crate) fn elements(&self) -> usize {
        self.batches.0.iter().map(|rows| rows.len.saturating_mul(rows.columns.len())).sum()
    }

    /// Plans its frame and does something with the plan, which shares the arrays and is gone with them.
    pub(crate) fn planned<R>(
        &self,
        meta_len: Option<usize>,
        then: impl FnOnce(&Plan) -> R,
    ) -> Result<R, EncodeError> {
        let plan = arrow::plan(&self.schema, &self.batches.0, self.place, meta_len)?;
        Ok(then(&plan))
    }
}

/// The plan of a table, for as long as the terms are there that its arrays lie in.
pub(crate) struct Planned<'a>(Plan, PhantomData<&'a [u8]>);

impl<'a> Outgoing<'a> {
    /// Plans it as a part of a value.
    pub(crate) fn part(&self) -> Result<Planned<'a>, EncodeError> {
        let plan = arrow::plan(&self.schema, &self.batches.0, SchemaPlace::Frame, None)?;
        Ok(Planned(plan, PhantomData))
    }
}

impl Planned<'_> {
    /// The messages.
    pub(crate) fn messages(&self) -> &[u8] {
        self.0.head()
    }

    /// The lengths of their bodies.
    pub(crate) fn bodies(&self) -> impl ExactSizeIterator<Item = usize> {
        self.0.bodies()
    }

    /// Writes one of these, which may be found to have changed as with [`write`].
    pub(crate) fn write(&self, number: usize, body: &mut [u8]) -> Result<(), Fault> {
        let written = catch_unwind(AssertUnwindSafe(|| self.0.write_body(number, body)));
        written.map_err(|_| changed())??;
        Ok(())
    }

    /// One of these, in memory of its own.
    pub(crate) fn body(&self, number: usize, len: usize) -> Result<Vec<u8>, Fault> {
        room(len, "$.columns")?;
        let mut body = vec![0; len];
        self.write(number, &mut body)?;
        Ok(body)
    }
}

impl Outgoing<'_> {
    /// Flags, type code and bytes of its frame, in memory of their own.
    pub(crate) fn body(&self) -> Result<(u16, u16, MutableBuffer), Fault> {
        self.planned(None, |plan| {
            room(plan.body_len(), "$.columns")?;
            let mut body = MutableBuffer::from_len_zeroed(plan.body_len());
            write(plan, &mut body, None)?;
            Ok((plan.flags(), plan.type_code(), body))
        })?
    }
}

/// Writes a table that was planned. Columns may lie in memory that their sender still writes to: what was planned may not be what is
/// there, which ends in a panic at a bound.
pub(crate) fn write(plan: &Plan, body: &mut [u8], meta: Option<&[u8]>) -> Result<(), Fault> {
    let written = catch_unwind(AssertUnwindSafe(|| plan.write(body, meta)));
    written.map_err(|_| changed())??;
    Ok(())
}

#[cold]
fn changed() -> Fault {
    let hint = "the process that sent its columns is faulty, or wrote to them: copy them before";
    Fault::unsendable("a table that changed while it was sent", "$.columns", "table", hint)
}

/// Columns of one type, one after the other.
pub(crate) fn concat<'a>(
    env: Env<'a>,
    field: &Field,
    columns: &[Array<'a>],
) -> Result<Word<'a>, Fault> {
    let path = format!("$.columns.{}", field.name());
    // Buffers may be counted many times, as in a frame many may lie at one place: each is copied.
    let bytes = columns.iter().fold(0usize, |sum, column| {
        sum.saturating_add(column.size()).saturating_add(total(column, &bits_of))
    });
    room(bytes, &path)?;
    if columns.iter().any(shares) {
        let what = "a union whose elements share values can't be put together";
        return Err(Fault::unsendable(what, &path, "column", "take its batches one by one"));
    }
    let mut arrays: Vec<ArrayRef> = Vec::with_capacity(columns.len());
    for column in columns {
        arrays.push(make_array(borrowed(column, field.name())?.0));
    }
    let arrays: Vec<&dyn arrow_array::Array> = arrays.iter().map(|array| &**array).collect();
    let joined = arrow_select::concat::concat(&arrays)
        .map_err(|error| Fault::no_column(&error.to_string(), &path))?;
    let data = joined.to_data();
    // What it shares with its pieces has to be its own before they go: views keep their data as it is.
    own(env, field, &data)
}

/// A column whose buffers are its own.
fn own<'a>(env: Env<'a>, field: &Field, data: &ArrayData) -> Result<Word<'a>, Fault> {
    use DataType::*;
    let copied = |buffer: &Buffer| binary(env, Buffer::from_slice_ref(buffer.as_slice()));
    let mut parts = Parts::new();
    let buffers = data.buffers();
    (parts.len, parts.null_count) = (data.len(), data.null_count());
    if let Some(nulls) = data.nulls().filter(|nulls| nulls.null_count() > 0) {
        parts.validity = copied(&nulls.inner().sliced());
    }
    if data.offset() != 0 {
        return Err(Fault::no_column("columns that can't be put together", "$.columns"));
    }
    match data.data_type() {
        Utf8 | Binary | LargeUtf8 | LargeBinary => {
            (parts.offsets, parts.data) = (copied(&buffers[0]), copied(&buffers[1]));
        }
        List(_) | LargeList(_) | Map(..) => parts.offsets = copied(&buffers[0]),
        ListView(_) | LargeListView(_) => {
            (parts.offsets, parts.sizes) = (copied(&buffers[0]), copied(&buffers[1]));
        }
        Union(..) => {
            parts.data = copied(&buffers[0]);
            if let Some(offsets) = buffers.get(1) {
                parts.offsets = copied(offsets);
            }
        }
        _ => {
            if let Some((first, more)) = buffers.split_first() {
                parts.data = copied(first);
                parts.buffers = more.iter().map(copied).collect();
            }
        }
    }
    if let Null = data.data_type() {
        parts.null_count = data.len();
    }
    if let Dictionary(_, of) = data.data_type() {
        parts.dictionary = own(env, &values_field(of), &data.child_data()[0])?;
    } else {
        let children = data.child_data().iter().zip(children_of(field.data_type()));
        let children: Result<_, _> =
            children.map(|(child, field)| own(env, field, child)).collect();
        parts.children = children?;
    }
    Ok(parts.column(env, field))
}
