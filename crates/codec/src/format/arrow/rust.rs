//! Tables as arrow-rs has them, over the memory of the frame.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchOptions, make_array};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer};
use arrow_data::ArrayData;
use arrow_schema::{ArrowError, DataType};

use super::{Column, Table};

fn cut(body: &Buffer, place: &Range<usize>) -> Result<Buffer, ArrowError> {
    match place.end <= body.len() {
        true => Ok(body.slice_with_length(place.start, place.len())),
        false => Err(ArrowError::InvalidArgumentError("the body is another one".to_owned())),
    }
}

impl Table {
    /// The batches over `body`, the memory of the frame's body, without a copy of their data. Types of Rust promise more than
    /// [`Checks::Safe`](super::Checks::Safe) looks at, so arrow-rs checks everything here, texts included.
    ///
    /// # Errors
    ///
    /// Those of arrow-rs; also where `body` is shorter than the one the table was read from.
    pub fn record_batches(&self, body: &Buffer) -> Result<Vec<RecordBatch>, ArrowError> {
        self.record_batches_of(&|place| cut(body, place))
    }

    /// The batches over memory that gives a buffer for each place.
    pub(crate) fn record_batches_of(
        &self,
        memory: &dyn Fn(&Range<usize>) -> Result<Buffer, ArrowError>,
    ) -> Result<Vec<RecordBatch>, ArrowError> {
        let batch = |batch: &super::Batch| {
            let columns = batch.columns.iter().map(|column| column.data_of(memory).map(make_array));
            let columns: Result<Vec<_>, ArrowError> = columns.collect();
            let options = RecordBatchOptions::new().with_row_count(Some(batch.len));
            RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns?, &options)
        };
        self.batches.iter().map(batch).collect()
    }
}

impl Column {
    /// The array over `body`, the memory of the frame's body, checked by arrow-rs.
    ///
    /// # Errors
    ///
    /// Those of arrow-rs; also where `body` is shorter than the one the table was read from.
    pub fn to_data(&self, body: &Buffer) -> Result<ArrayData, ArrowError> {
        self.data_of(&|place| cut(body, place))
    }

    /// The array over memory that gives a buffer for each place.
    pub(crate) fn data_of(
        &self,
        memory: &dyn Fn(&Range<usize>) -> Result<Buffer, ArrowError>,
    ) -> Result<ArrayData, ArrowError> {
        let nulls = match &self.validity {
            Some(place) => Some(NullBuffer::new(BooleanBuffer::new(memory(place)?, 0, self.len))),
            None => None,
        };
        let buffers: Result<Vec<_>, ArrowError> = self.buffers.iter().map(memory).collect();
        let children = self.children.iter().chain(self.dictionary.as_deref());
        let children: Result<Vec<_>, ArrowError> =
            children.map(|child| child.data_of(memory)).collect();
        let mut buffers = buffers?;
        // arrow-rs wants an offset also where there is nothing to count.
        use DataType::{Binary, LargeBinary, LargeList, LargeUtf8, List, Map, Utf8};
        let counts = matches!(
            self.data_type,
            Utf8 | LargeUtf8 | Binary | LargeBinary | List(_) | LargeList(_) | Map(..)
        );
        if counts && self.len == 0 && self.buffers[0].is_empty() {
            buffers[0] = Buffer::from_vec(vec![0u64]);
        }
        ArrayData::builder(self.data_type.clone())
            .len(self.len)
            .nulls(nulls)
            .buffers(buffers)
            .child_data(children?)
            .align_buffers(true)
            .build()
    }
}
