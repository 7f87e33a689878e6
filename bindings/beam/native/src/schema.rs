//! Schemas of tables that stand in the ring's table of schemas, and not in the frames.
//!
//! A frame names its schema by a number, under which the ring never has another. What stands there is copied once for an
//! attachment: so what is checked is what is used, whatever a peer writes meanwhile, and a frame that was copied can be
//! read when its ring is gone.

use crate::error::Fault;
use rustler::{Binary, Env, Resource, ResourceArc, Term};
use slipring::{Frame, SchemaId};
use slipring_codec::Format;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

/// The kind of schemas of tables: the number of their format.
pub(crate) const KIND: u16 = Format::Arrow.code() as u16;

/// A schema of tables, in memory of its own.
pub(crate) struct Kept {
    version: u16,
    bytes: Box<[u8]>,
}

impl Resource for Kept {}

pub(crate) fn register(env: Env<'_>) -> bool {
    env.register::<Kept>().is_ok()
}

impl Kept {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// The bytes as a binary, which all frames of the schema share.
pub(crate) fn binary<'a>(env: Env<'a>, kept: &ResourceArc<Kept>) -> Term<'a> {
    let binary: Binary<'a> = kept.make_binary(env, |kept| &kept.bytes);
    binary.to_term(env)
}

/// The schemas of a ring that its frames have named, by their numbers: no more than the ring has.
#[derive(Default)]
pub(crate) struct Known(Mutex<HashMap<u32, ResourceArc<Kept>>>);

impl Known {
    fn lock(&self) -> MutexGuard<'_, HashMap<u32, ResourceArc<Kept>>> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The schema that a table's frame names. `None`: its schema stands in the frame.
    pub(crate) fn of(&self, frame: &Frame) -> Result<Option<ResourceArc<Kept>>, Fault> {
        let header = frame.header();
        let Some(id) = SchemaId::new(header.schema_id) else { return Ok(None) };
        let known = self.lock().get(&id.get()).cloned();
        let kept = match known {
            Some(kept) => kept,
            None => {
                let kept = ResourceArc::new(look_up(frame, id)?);
                self.lock().entry(id.get()).or_insert(kept).clone()
            }
        };
        if kept.version != header.schema_version {
            let what = format!(
                "the frame names version {} of the schema with the number {id}, which is of version {}",
                header.schema_version, kept.version
            );
            return Err(Fault::wrong_schema(&what, id));
        }
        Ok(Some(kept))
    }
}

fn look_up(frame: &Frame, id: SchemaId) -> Result<Kept, Fault> {
    let Some(found) = frame.schemas().get(id)? else {
        let what = format!("the ring has no schema with the number {id}");
        return Err(Fault::wrong_schema(&what, id));
    };
    if found.kind() != KIND {
        let what = format!("the schema {:?}, number {id}, is not of tables", found.name());
        return Err(Fault::wrong_schema(&what, id));
    }
    Ok(Kept { version: found.version(), bytes: found.bytes().into() })
}
