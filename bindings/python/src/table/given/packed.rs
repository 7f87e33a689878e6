//! Columns that have a value once, however often it stands in them.

use super::column::{Column, built, narrow};
use super::{Misplaced, Why};
use arrow_buffer::Buffer;
use arrow_data::ArrayData;
use arrow_schema::{DataType, Field, FieldRef};
use pyo3::prelude::*;
use std::collections::HashMap;
use std::sync::Arc;

/// Indices, and the values that they are of.
pub(super) struct Dictionary<'py> {
    index: DataType,
    pub(super) indices: Vec<i64>,
    pub(super) values: Column<'py>,
    known: HashMap<Box<[u8]>, i64>,
    key: Vec<u8>,
}

impl<'py> Dictionary<'py> {
    pub(super) fn of(
        py: Python<'py>,
        index: &DataType,
        values: &DataType,
        is_nullable: bool,
    ) -> Self {
        let field = Arc::new(Field::new("", values.clone(), is_nullable));
        let values = Column::of(py, &field);
        let (known, key) = (HashMap::new(), Vec::new());
        Self { index: index.clone(), indices: Vec::new(), values, known, key }
    }

    /// Pushes a value; `false`: it is null.
    pub(super) fn push(
        &mut self,
        value: &Bound<'py, PyAny>,
    ) -> Result<Result<bool, Why>, Misplaced> {
        self.values.push(value)?;
        let last = self.values.len - 1;
        if self.values.is_null(last) {
            self.values.truncate(last);
            return Ok(Ok(false));
        }
        Ok(self.join().map(|()| true))
    }

    /// Makes an index of the last value, which is not kept if it was there before.
    pub(super) fn join(&mut self) -> Result<(), Why> {
        let last = self.values.len - 1;
        self.key.clear();
        self.values.key(last, &mut self.key);
        if let Some(&known) = self.known.get(&*self.key) {
            self.values.truncate(last);
            self.indices.push(known);
            return Ok(());
        }
        let most = match self.index {
            DataType::Int8 => i8::MAX.into(),
            DataType::UInt8 => u8::MAX.into(),
            DataType::Int16 => i16::MAX.into(),
            DataType::UInt16 => u16::MAX.into(),
            DataType::Int32 => i32::MAX.into(),
            DataType::UInt32 => u32::MAX.into(),
            _ => i64::MAX,
        };
        if last as i64 > most {
            return Err(Why::Large);
        }
        self.known.insert(self.key.as_slice().into(), last as i64);
        self.indices.push(last as i64);
        Ok(())
    }

    pub(super) fn nothing(&mut self, is_nullable: bool) -> Result<(), Why> {
        if is_nullable {
            self.indices.push(0);
            return Ok(());
        }
        self.values.nothing()?;
        self.join()
    }

    pub(super) fn truncate(&mut self, len: usize) {
        self.indices.truncate(len);
        // Of a value that failed there may be a part, which would be taken for the next one's.
        self.values.truncate(self.known.len());
    }

    pub(super) fn finish(self) -> (Vec<Buffer>, Vec<ArrayData>) {
        let indices = match self.index {
            DataType::Int8 => narrow::<i8>(&self.indices),
            DataType::UInt8 => narrow::<u8>(&self.indices),
            DataType::Int16 => narrow::<i16>(&self.indices),
            DataType::UInt16 => narrow::<u16>(&self.indices),
            DataType::Int32 => narrow::<i32>(&self.indices),
            DataType::UInt32 => narrow::<u32>(&self.indices),
            _ => Buffer::from_vec(self.indices),
        };
        (vec![indices], vec![self.values.finish()])
    }
}

/// Values, and where the run of each ends.
pub(super) struct Runs<'py> {
    ends: Vec<i64>,
    pub(super) values: Column<'py>,
    most: i64,
    /// The key of the last value.
    last: Vec<u8>,
    key: Vec<u8>,
}

impl<'py> Runs<'py> {
    pub(super) fn of(
        py: Python<'py>,
        ends: &FieldRef,
        values: &FieldRef,
        is_nullable: bool,
    ) -> Self {
        let nullable = is_nullable && values.is_nullable();
        let field = Arc::new(Field::clone(values).with_nullable(nullable));
        let values = Column::of(py, &field);
        let most = match ends.data_type() {
            DataType::Int16 => i16::MAX.into(),
            DataType::Int32 => i32::MAX.into(),
            _ => i64::MAX,
        };
        Self { ends: Vec::new(), values, most, last: Vec::new(), key: Vec::new() }
    }

    fn len(&self) -> i64 {
        self.ends.last().copied().unwrap_or(0)
    }

    /// One element more: the last value, which joins the run before if it is the same.
    pub(super) fn join(&mut self) -> Result<(), Why> {
        let end = self.len() + 1;
        if end > self.most {
            return Err(Why::Large);
        }
        let last = self.values.len - 1;
        self.key.clear();
        self.values.key(last, &mut self.key);
        match self.ends.last_mut() {
            Some(run) if self.key == self.last => {
                *run = end;
                self.values.truncate(last);
            }
            _ => {
                self.ends.push(end);
                std::mem::swap(&mut self.key, &mut self.last);
            }
        }
        Ok(())
    }

    fn run(&self, at: usize) -> usize {
        self.ends.partition_point(|&end| end <= at as i64)
    }

    pub(super) fn key(&self, at: usize, out: &mut Vec<u8>) {
        self.values.key(self.run(at), out);
    }

    pub(super) fn truncate(&mut self, len: usize) {
        // A run more than there are may have been begun.
        let runs = if len == 0 { 0 } else { self.run(len - 1) + 1 };
        self.ends.truncate(runs);
        self.values.truncate(runs);
        self.last.clear();
        if let Some(end) = self.ends.last_mut() {
            *end = len as i64;
            self.values.key(runs - 1, &mut self.last);
        }
    }

    pub(super) fn finish(self, data_type: &DataType) -> Vec<ArrayData> {
        let DataType::RunEndEncoded(ends, _) = data_type else { unreachable!("it has runs") };
        let len = self.ends.len();
        let buffer = match ends.data_type() {
            DataType::Int16 => narrow::<i16>(&self.ends),
            DataType::Int32 => narrow::<i32>(&self.ends),
            _ => Buffer::from_vec(self.ends),
        };
        let ends = ArrayData::builder(ends.data_type().clone()).len(len).add_buffer(buffer);
        vec![built(ends), self.values.finish()]
    }
}
