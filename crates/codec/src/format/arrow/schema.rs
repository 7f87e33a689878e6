//! Schemas out of messages, and what a type must keep so that its arrays can be followed.

use std::sync::Arc;

use arrow_ipc::convert::try_fb_to_schema;
use arrow_ipc::{Endianness, Field as FieldTable, Message, MetadataVersion, Type};
use arrow_schema::{DataType, Schema, SchemaRef};
use flatbuffers::VerifierOptions;

use super::MAX_NESTING;
use super::message::CONTINUATION;
use crate::error::ArrowFault as Fault;

/// Cuts the first message off the bytes and verifies it, `None` where the bytes or the stream end. Returns its
/// flatbuffer and what follows.
pub(super) fn next_message(bytes: &[u8]) -> Result<Option<(Message<'_>, &[u8])>, Fault> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let (marker, rest) = bytes.split_first_chunk::<4>().ok_or(Fault::Message)?;
    let (len, rest) = rest.split_first_chunk::<4>().ok_or(Fault::Message)?;
    let len = u32::from_le_bytes(*len) as usize;
    if *marker != CONTINUATION || !len.is_multiple_of(8) {
        return Err(Fault::Message);
    }
    if len == 0 {
        return Ok(None);
    }
    let (flatbuffer, rest) = rest.split_at_checked(len).ok_or(Fault::Message)?;
    // A flatbuffer can name the same table many times over. Honest ones hardly do: what it would be
    // if written out is held in proportion to what it is.
    let options = VerifierOptions {
        max_depth: 4 * MAX_NESTING,
        max_tables: len,
        max_apparent_size: 16 * len + 1024,
        ..VerifierOptions::default()
    };
    let message = arrow_ipc::root_as_message_with_opts(&options, flatbuffer);
    let message = message.map_err(|_| Fault::Message)?;
    if message.version() != MetadataVersion::V5 {
        return Err(Fault::MetadataVersion { found: message.version().0 });
    }
    Ok(Some((message, rest)))
}

/// The schema of a message, and the ids of its dictionaries, outer before inner, in the order of the fields.
pub(super) fn parse(message: &Message<'_>) -> Result<(SchemaRef, Vec<i64>), Fault> {
    let table = message.header_as_schema().ok_or(Fault::MessageKind)?;
    if table.endianness() != Endianness::Little {
        return Err(Fault::BigEndian);
    }
    let mut ids = Vec::new();
    for field in table.fields().into_iter().flatten() {
        look_at(&field, MAX_NESTING, &mut ids)?;
    }
    let schema: Schema = try_fb_to_schema(table).map_err(|_| Fault::TypeUnknown)?;
    for field in schema.fields() {
        check_type(field.data_type(), MAX_NESTING)?;
    }
    let counted: usize = schema.fields().iter().map(|field| dictionaries(field.data_type())).sum();
    if counted != ids.len() {
        return Err(Fault::TypeUnknown);
    }
    Ok((Arc::new(schema), ids))
}

/// The ids in a message that this crate has written.
pub(super) fn own_dictionary_ids(message: &[u8]) -> Vec<i64> {
    let mut ids = Vec::new();
    if let Ok(Some((message, _))) = next_message(message)
        && let Some(schema) = message.header_as_schema()
    {
        for field in schema.fields().into_iter().flatten() {
            let _ = look_at(&field, MAX_NESTING, &mut ids);
        }
    }
    ids
}

/// Gathers the ids of dictionaries, and refuses what the conversion to arrow-rs's types would choke on.
fn look_at(field: &FieldTable<'_>, depth: usize, ids: &mut Vec<i64>) -> Result<(), Fault> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(Fault::TooDeep { limit: MAX_NESTING });
    };
    ids.extend(field.dictionary().map(|dictionary| dictionary.id()));
    let children = field.children();
    let count = children.map_or(0, |children| children.len());
    if field.type_type() == Type::Union {
        let ids = field.type_as_union().ok_or(Fault::TypeUnknown)?.type_ids_len(count);
        if ids != count || count > 127 {
            return Err(Fault::TypeUnknown);
        }
    }
    children.into_iter().flatten().try_for_each(|child| look_at(&child, depth, ids))
}

trait TypeIds {
    /// How many type ids a union has, which are as many as its children where it names none.
    fn type_ids_len(&self, children: usize) -> usize;
}

impl TypeIds for arrow_ipc::Union<'_> {
    fn type_ids_len(&self, children: usize) -> usize {
        match self.typeIds() {
            None => children,
            // An id that needs more than a byte must not come out as another.
            Some(ids) if ids.iter().any(|id| !(0..128).contains(&id)) => usize::MAX,
            Some(ids) => ids.len(),
        }
    }
}

/// How many dictionaries arrays of this type have.
pub(super) fn dictionaries(data_type: &DataType) -> usize {
    use DataType::*;
    match data_type {
        Dictionary(_, values) => 1 + dictionaries(values),
        List(field)
        | LargeList(field)
        | ListView(field)
        | LargeListView(field)
        | FixedSizeList(field, _)
        | Map(field, _) => dictionaries(field.data_type()),
        Struct(fields) => fields.iter().map(|field| dictionaries(field.data_type())).sum(),
        Union(fields, _) => fields.iter().map(|(_, field)| dictionaries(field.data_type())).sum(),
        RunEndEncoded(ends, values) => {
            dictionaries(ends.data_type()) + dictionaries(values.data_type())
        }
        _ => 0,
    }
}

/// What must hold of a type so that buffers can be found and consumers don't trip over it.
pub(super) fn check_type(data_type: &DataType, depth: usize) -> Result<(), Fault> {
    use DataType::*;
    let Some(depth) = depth.checked_sub(1) else {
        return Err(Fault::TooDeep { limit: MAX_NESTING });
    };
    let unknown = |bad: bool| if bad { Err(Fault::TypeUnknown) } else { Ok(()) };
    let decimal = |precision: u8, most: u8| unknown(precision == 0 || precision > most);
    match data_type {
        Decimal32(precision, _) => decimal(*precision, 9),
        Decimal64(precision, _) => decimal(*precision, 18),
        Decimal128(precision, _) => decimal(*precision, 38),
        Decimal256(precision, _) => decimal(*precision, 76),
        FixedSizeBinary(width) => unknown(*width < 0),
        FixedSizeList(field, size) => {
            unknown(*size < 0)?;
            check_type(field.data_type(), depth)
        }
        List(field) | LargeList(field) | ListView(field) | LargeListView(field) => {
            check_type(field.data_type(), depth)
        }
        Map(field, _) => {
            unknown(!matches!(field.data_type(), Struct(fields) if fields.len() == 2))?;
            check_type(field.data_type(), depth)
        }
        Struct(fields) => fields.iter().try_for_each(|field| check_type(field.data_type(), depth)),
        Union(fields, _) => {
            fields.iter().try_for_each(|(_, field)| check_type(field.data_type(), depth))
        }
        Dictionary(key, values) => {
            if matches!(**values, Dictionary(..)) {
                return Err(Fault::DictionaryOfDictionary);
            }
            unknown(!key.is_dictionary_key_type())?;
            check_type(values, depth)
        }
        RunEndEncoded(ends, values) => {
            unknown(!ends.data_type().is_run_ends_type())?;
            check_type(values.data_type(), depth)
        }
        _ => Ok(()),
    }
}
