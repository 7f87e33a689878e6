//! Columns whose elements are of several types.

use super::column::Column;
use super::{Misplaced, Why, element, scalar_of};
use crate::table::records;
use arrow_buffer::Buffer;
use arrow_data::ArrayData;
use arrow_schema::{Field, UnionFields, UnionMode};
use pyo3::prelude::*;
use std::sync::Arc;

/// Members with their type ids, and which of them each element is of.
pub(super) struct Union<'py> {
    ids: Vec<i8>,
    /// Where in its member each element stands, if the union is dense.
    offsets: Option<Vec<i32>>,
    members: Vec<(i8, Column<'py>)>,
}

impl<'py> Union<'py> {
    pub(super) fn of(
        py: Python<'py>,
        members: &UnionFields,
        mode: UnionMode,
        is_nullable: bool,
    ) -> Self {
        let member = |(id, field): (i8, &Arc<Field>)| {
            let nullable = is_nullable && field.is_nullable();
            (id, Column::of(py, &Arc::new(Field::clone(field).with_nullable(nullable))))
        };
        let offsets = (mode == UnionMode::Dense).then(Vec::new);
        Self { ids: Vec::new(), offsets, members: members.iter().map(member).collect() }
    }

    pub(super) fn may_be_null(&self) -> bool {
        self.members.iter().any(|(_, member)| member.may_be_null())
    }

    /// Pushes a value as the first member that takes it as it is, or else the first that takes it at all: an integer goes to the
    /// integers, although floats stand first. Where none does, what is told
    /// is what went furthest into the value, which is what was meant, most likely.
    pub(super) fn push(&mut self, value: &Bound<'py, PyAny>) -> Result<Result<(), Why>, Misplaced> {
        let is_plain = records::exactly(value, |_| ()).is_some();
        let plain = if is_plain { None } else { scalar_of(value) };
        let plain = plain.as_ref().unwrap_or(value);
        let mut deepest: Option<Misplaced> = None;
        for as_it_is in [true, false] {
            for number in 0..self.members.len() {
                let (_, member) = &mut self.members[number];
                let wants = member.field.data_type();
                let stays = records::exactly(plain, |scalar| element::stays(scalar, wants));
                if stays.unwrap_or(true) != as_it_is {
                    continue;
                }
                let before = member.len;
                match member.push(value) {
                    Ok(()) => return Ok(self.took(number)),
                    Err(misplaced) => {
                        member.truncate(before);
                        if misplaced.path.len() > deepest.as_ref().map_or(0, |d| d.path.len()) {
                            deepest = Some(misplaced);
                        }
                    }
                }
            }
        }
        deepest.map_or(Ok(Err(Why::Type)), Err)
    }

    /// The member with this number has the last element.
    fn took(&mut self, number: usize) -> Result<(), Why> {
        let (id, member) = &self.members[number];
        self.ids.push(*id);
        if let Some(offsets) = &mut self.offsets {
            offsets.push(i32::try_from(member.len - 1).map_err(|_| Why::Large)?);
            return Ok(());
        }
        let others = self.members.iter_mut().enumerate().filter(|(other, _)| *other != number);
        others.map(|(_, (_, member))| member).try_for_each(Column::nothing)
    }

    pub(super) fn nothing(&mut self) -> Result<(), Why> {
        let nullable = self.members.iter().position(|(_, member)| member.may_be_null());
        let number = nullable.unwrap_or(0);
        match self.members.get_mut(number) {
            Some((_, member)) => {
                member.nothing()?;
                self.took(number)
            }
            None => Err(Why::Type),
        }
    }

    /// The member that an element is of, and where it stands there.
    fn place(&self, at: usize) -> (&Column<'py>, usize) {
        let is_its = |(id, _): &&(i8, Column<'py>)| *id == self.ids[at];
        let (_, member) = self.members.iter().find(is_its).unwrap_or_else(|| unreachable!());
        (member, self.offsets.as_ref().map_or(at, |offsets| offsets[at] as usize))
    }

    pub(super) fn key(&self, at: usize, out: &mut Vec<u8>) {
        out.push(self.ids[at] as u8);
        let (member, at) = self.place(at);
        member.key(at, out);
    }

    pub(super) fn truncate(&mut self, len: usize) {
        let gone = self.ids.split_off(len.min(self.ids.len()));
        match &mut self.offsets {
            None => self.members.iter_mut().for_each(|(_, member)| member.truncate(len)),
            Some(offsets) => {
                for (id, offset) in
                    gone.into_iter().zip(offsets.split_off(len.min(offsets.len()))).rev()
                {
                    let member = self.members.iter_mut().find(|(known, _)| *known == id);
                    member.into_iter().for_each(|(_, member)| member.truncate(offset as usize));
                }
            }
        }
    }

    pub(super) fn finish(self) -> (Vec<Buffer>, Vec<ArrayData>) {
        let offsets = self.offsets.map(Buffer::from_vec);
        let buffers = [Buffer::from_vec(self.ids)].into_iter().chain(offsets);
        (buffers.collect(), self.members.into_iter().map(|(_, member)| member.finish()).collect())
    }
}
