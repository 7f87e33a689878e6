//! Tables on their way out: arrays over the memory of a frame, as Arrow's C interfaces have them.
//!
//! Each array owns a share of the memory: the frame's block is free when the last array is released, by whichever
//! thread, attached to an interpreter or not.

use super::capsule::{Array, Schema, Stream, Structure};
use arrow_buffer::Buffer;
use slipring_codec::evolution::Made;
use slipring_codec::format::arrow::{Batch, Column, Table};
use std::ffi::{CString, c_char, c_int, c_void};
use std::ops::Range;
use std::sync::Arc;

/// The memory that a table lies in.
#[derive(Clone)]
pub(crate) enum Memory {
    /// The segment's.
    Frame(Arc<slipring::Frame>),
    /// A copy of one's own, aligned as a frame is.
    Copy(Buffer),
    /// One of these, and what was made beside it.
    Made(Arc<(Memory, Made)>),
}

impl Memory {
    /// The body of the frame.
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Memory::Frame(frame) => frame,
            Memory::Copy(buffer) => buffer,
            Memory::Made(both) => both.0.bytes(),
        }
    }

    /// How many bytes there are, with those that were made.
    pub(crate) fn size(&self) -> usize {
        match self {
            Memory::Frame(_) | Memory::Copy(_) => self.bytes().len(),
            Memory::Made(both) => both.0.size().saturating_add(both.1.len()),
        }
    }

    /// The bytes at a place of a column.
    #[inline]
    pub(crate) fn get(&self, place: &Range<usize>) -> Option<&[u8]> {
        match self {
            Memory::Frame(_) | Memory::Copy(_) => self.bytes().get(place.clone()),
            Memory::Made(both) => both.1.get(both.0.bytes(), place),
        }
    }
}

/// What buffers without bytes point to: consumers may look at the first offset of an empty array.
#[repr(align(64))]
struct Zeros([u8; 64]);
static ZEROS: Zeros = Zeros([0; 64]);

/// What an array points to. Nobody but `release` writes to it.
struct Owned {
    #[allow(dead_code, reason = "it is held, not read")]
    memory: Memory,
    buffers: Vec<*const c_void>,
    children: Vec<*mut Array>,
    dictionary: *mut Array,
    #[allow(dead_code, reason = "the last buffer points to it")]
    /// Lengths of the buffers that views point into.
    lengths: Vec<i64>,
}

/// # Safety
/// As the interface says: `array` is one that [`array`] has made, not yet released.
unsafe extern "C" fn release_array(array: *mut Array) {
    // SAFETY: by the contract; nobody else uses it meanwhile.
    let array = unsafe { &mut *array };
    // SAFETY: the box that `finish` has put there.
    let owned = unsafe { Box::from_raw(array.private_data.cast::<Owned>()) };
    for &child in
        owned.children.iter().chain((!owned.dictionary.is_null()).then_some(&owned.dictionary))
    {
        // SAFETY: a box of ours. A child that a consumer has moved out is marked released; dropping then does nothing.
        drop(unsafe { Box::from_raw(child) });
    }
    array.release = None;
    array.private_data = std::ptr::null_mut();
}

fn boxed(array: Array) -> *mut Array {
    Box::into_raw(Box::new(array))
}

fn finish(mut owned: Box<Owned>, len: usize, null_count: usize) -> Array {
    let mut array = Array::released();
    array.length = len as i64;
    array.null_count = null_count as i64;
    array.n_buffers = owned.buffers.len() as i64;
    array.n_children = owned.children.len() as i64;
    array.buffers = owned.buffers.as_mut_ptr();
    array.children = owned.children.as_mut_ptr();
    array.dictionary = owned.dictionary;
    array.private_data = Box::into_raw(owned).cast();
    array.release = Some(release_array);
    array
}

/// A column over its memory, which is that of the body it was read from.
pub(super) fn array(memory: &Memory, column: &Column) -> Array {
    use arrow_schema::DataType::{BinaryView, Null, RunEndEncoded, Union, Utf8View};
    let place = |range: &Range<usize>| match memory.get(range) {
        Some(bytes) if !bytes.is_empty() => bytes.as_ptr().cast(),
        // Of a column of this memory, none but those without bytes.
        _ => ZEROS.0.as_ptr().cast(),
    };
    let mut buffers = Vec::with_capacity(column.buffers.len() + 2);
    if !matches!(column.data_type, Null | Union(..) | RunEndEncoded(..)) {
        buffers.push(column.validity.as_ref().map_or(std::ptr::null(), place));
    }
    buffers.extend(column.buffers.iter().map(place));
    let mut lengths = Vec::new();
    if matches!(column.data_type, Utf8View | BinaryView) {
        lengths.extend(column.buffers.iter().skip(1).map(|range| range.len() as i64));
        // An empty list has no address that may be read.
        lengths.reserve(1);
        buffers.push(lengths.as_ptr().cast());
    }
    let children = column.children.iter().map(|child| boxed(array(memory, child))).collect();
    let dictionary = column.dictionary.as_deref();
    let dictionary = dictionary.map_or(std::ptr::null_mut(), |values| boxed(array(memory, values)));
    let owned = Owned { memory: memory.clone(), buffers, children, dictionary, lengths };
    finish(Box::new(owned), column.len, column.null_count)
}

/// A batch as a struct of its columns.
pub(super) fn batch(memory: &Memory, batch: &Batch) -> Array {
    let owned = Owned {
        memory: memory.clone(),
        buffers: vec![std::ptr::null()],
        children: batch.columns.iter().map(|column| boxed(array(memory, column))).collect(),
        dictionary: std::ptr::null_mut(),
        lengths: Vec::new(),
    };
    finish(Box::new(owned), batch.len, 0)
}

/// What a stream gives: a schema, then arrays until there are none, or an error.
pub(super) trait Source: Send {
    fn schema(&mut self) -> Result<Schema, String>;
    fn next(&mut self) -> Result<Option<Array>, String>;
}

/// The batches of a table that was received, or one column of each.
pub(super) struct Received {
    pub(super) memory: Memory,
    pub(super) table: Arc<Table>,
    pub(super) column: Option<usize>,
    pub(super) next: usize,
}

impl Source for Received {
    fn schema(&mut self) -> Result<Schema, String> {
        schema_of(&self.table, self.column)
    }

    fn next(&mut self) -> Result<Option<Array>, String> {
        let Some(found) = self.table.batches.get(self.next) else { return Ok(None) };
        self.next += 1;
        Ok(Some(match self.column {
            None => batch(&self.memory, found),
            Some(number) => array(&self.memory, &found.columns[number]),
        }))
    }
}

/// The schema of a table, or of one of its columns.
pub(super) fn schema_of(table: &Table, column: Option<usize>) -> Result<Schema, String> {
    let made = match column {
        None => Schema::try_from(&*table.schema),
        Some(number) => Schema::try_from(table.schema.field(number)),
    };
    made.map_err(|error| error.to_string())
}

/// A stream and what it said last.
struct Giving {
    source: Box<dyn Source>,
    error: Option<CString>,
}

/// `EIO`: what the interface asks for is any number of `errno`.
const FAILED: c_int = 5;

impl Giving {
    fn fail(&mut self, error: String) -> c_int {
        self.error = CString::new(error.replace('\0', " ")).ok();
        FAILED
    }
}

pub(super) fn stream(source: Box<dyn Source>) -> Stream {
    Stream {
        get_schema: Some(get_schema),
        get_next: Some(get_next),
        get_last_error: Some(get_last_error),
        release: Some(release_stream),
        private_data: Box::into_raw(Box::new(Giving { source, error: None })).cast(),
    }
}

/// # Safety
/// `stream` is one that [`stream`] has made, not released, and used by nobody else meanwhile.
unsafe fn giving<'a>(stream: *mut Stream) -> &'a mut Giving {
    // SAFETY: by the contract.
    unsafe { &mut *(*stream).private_data.cast::<Giving>() }
}

/// # Safety
/// As the interface says: a stream of ours, and a place for a schema.
unsafe extern "C" fn get_schema(stream: *mut Stream, out: *mut Schema) -> c_int {
    // SAFETY: by the contract.
    let giving = unsafe { giving(stream) };
    match giving.source.schema() {
        Ok(schema) => {
            // SAFETY: a place that holds nothing yet.
            unsafe { out.write(schema) };
            0
        }
        Err(error) => giving.fail(error),
    }
}

/// # Safety
/// As the interface says: a stream of ours, and a place for an array.
unsafe extern "C" fn get_next(stream: *mut Stream, out: *mut Array) -> c_int {
    // SAFETY: by the contract.
    let giving = unsafe { giving(stream) };
    match giving.source.next() {
        Ok(array) => {
            // SAFETY: a place that holds nothing yet; a released array ends the stream.
            unsafe { out.write(array.unwrap_or_else(Array::released)) };
            0
        }
        Err(error) => giving.fail(error),
    }
}

/// # Safety
/// As the interface says: a stream of ours. The text lives until the next call.
unsafe extern "C" fn get_last_error(stream: *mut Stream) -> *const c_char {
    // SAFETY: by the contract.
    let giving = unsafe { giving(stream) };
    giving.error.as_ref().map_or(std::ptr::null(), |error| error.as_ptr())
}

/// # Safety
/// As the interface says: a stream of ours, not yet released.
unsafe extern "C" fn release_stream(stream: *mut Stream) {
    // SAFETY: by the contract; nobody else uses it meanwhile.
    let stream = unsafe { &mut *stream };
    // SAFETY: the box that `stream` has put there.
    drop(unsafe { Box::from_raw(stream.private_data.cast::<Giving>()) });
    stream.release = None;
    stream.private_data = std::ptr::null_mut();
}
