//! Tables inside values: checked as those of a frame of their own, their columns views on what the value lies in.

use super::{Reader, Stop, form};
use crate::expect::Found;
use crate::table;
use crate::value::ITEM_COSTS;
use crate::value::terms::Word;
use slipring_codec::format::arrow::{self, Checks};
use slipring_codec::format::value::Bytes;
use slipring_codec::frame::Headed;
use slipring_codec::{DecodeError, Part};

impl<'a, 'b> Reader<'a, 'b, '_> {
    pub(super) fn table(&mut self, start: usize) -> Result<Word<'a>, Stop> {
        let (messages, bodies) = self.tables.read(&mut self.input)?;
        let head = self.part(messages, start)?;
        let buffers: Result<Vec<Part<'b>>, Stop> =
            bodies.into_iter().map(|body| self.part(body, start)).collect();
        let headed = Headed { head, buffers: buffers? };
        // As much as items might still be read, in bytes that take as long.
        let most = self.left.saturating_mul(ITEM_COSTS);
        let read = arrow::read_within(&headed, None, Checks::Safe, most).map_err(|error| {
            // Where in the table: its own error says that by itself.
            let what = match error.path().to_string() {
                path if path == "$" => error.kind().to_string(),
                path => format!("{}, at {path} of the table", error.kind()),
            };
            Stop::refused(what, error.hint(), start)
        });
        let Some((table, looked_at)) = read? else { return Err(Stop::Large) };
        self.spend(looked_at / ITEM_COSTS)?;
        let found = Found { table, whole: self.whole, view: self.view };
        self.form(form::TABLE, &table::named_parts(self.env, &found))
    }

    /// A byte string of a table, by its place.
    fn part(&self, bytes: Bytes<'b>, start: usize) -> Result<Part<'b>, Stop> {
        match bytes {
            Bytes::Inline(bytes) => {
                let offset = bytes.as_ptr() as usize - self.whole.as_ptr() as usize;
                Ok(Part { offset, bytes })
            }
            Bytes::Buffer(number) => {
                let part = usize::try_from(number).ok().and_then(|n| self.buffers.get(n));
                part.copied().ok_or_else(|| DecodeError::buffer_unknown(number, start).into())
            }
        }
    }
}
