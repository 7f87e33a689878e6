//! Arrow's encapsulated messages: `FF FF FF FF`, the length, a flatbuffer filled up to a multiple of 8.

use arrow_ipc::convert::IpcSchemaEncoder;
use arrow_ipc::writer::DictionaryTracker;
use arrow_ipc::{
    Buffer, DictionaryBatch, DictionaryBatchArgs, FieldNode, MessageBuilder, MessageHeader,
    MetadataVersion, RecordBatch, RecordBatchArgs,
};
use arrow_schema::Schema;
use flatbuffers::{FlatBufferBuilder, UnionWIPOffset, WIPOffset};

/// What stands before a message's length.
pub(super) const CONTINUATION: [u8; 4] = [0xFF; 4];

/// The message of a schema, as it stands in a frame's head or in the segment's schema table.
pub fn schema_message(schema: &Schema) -> Vec<u8> {
    let mut out = Vec::new();
    append(&mut out, MessageHeader::Schema, 0, |builder| {
        let mut ids = DictionaryTracker::new(false);
        let mut encoder = IpcSchemaEncoder::new().with_dictionary_tracker(&mut ids);
        encoder.schema_to_fb_offset(builder, schema).as_union_value()
    });
    out
}

/// What a message says of the body of a batch.
#[derive(Debug, Default)]
pub(super) struct Described {
    pub(super) nodes: Vec<FieldNode>,
    pub(super) buffers: Vec<Buffer>,
    pub(super) variadic: Vec<i64>,
}

/// Appends the message of a batch; with `dictionary`, of the values of the dictionary with that id.
pub(super) fn append_batch(
    out: &mut Vec<u8>,
    dictionary: Option<i64>,
    rows: i64,
    body_len: usize,
    described: &Described,
) {
    let header_type = match dictionary {
        None => MessageHeader::RecordBatch,
        Some(_) => MessageHeader::DictionaryBatch,
    };
    append(out, header_type, body_len, |builder| {
        let nodes = builder.create_vector(&described.nodes);
        let buffers = builder.create_vector(&described.buffers);
        let variadic =
            (!described.variadic.is_empty()).then(|| builder.create_vector(&described.variadic));
        let args = RecordBatchArgs {
            length: rows,
            nodes: Some(nodes),
            buffers: Some(buffers),
            compression: None,
            variadicBufferCounts: variadic,
        };
        let batch = RecordBatch::create(builder, &args);
        match dictionary {
            None => batch.as_union_value(),
            Some(id) => {
                let args = DictionaryBatchArgs { id, data: Some(batch), isDelta: false };
                DictionaryBatch::create(builder, &args).as_union_value()
            }
        }
    });
}

fn append(
    out: &mut Vec<u8>,
    header_type: MessageHeader,
    body_len: usize,
    header: impl FnOnce(&mut FlatBufferBuilder<'_>) -> WIPOffset<UnionWIPOffset>,
) {
    let mut builder = FlatBufferBuilder::new();
    let header = header(&mut builder);
    let mut message = MessageBuilder::new(&mut builder);
    message.add_version(MetadataVersion::V5);
    message.add_header_type(header_type);
    message.add_header(header);
    message.add_bodyLength(body_len as i64);
    let root = message.finish();
    builder.finish(root, None);
    let bytes = builder.finished_data();
    let padded = bytes.len().next_multiple_of(8);
    out.extend_from_slice(&CONTINUATION);
    out.extend_from_slice(&(padded as u32).to_le_bytes());
    out.extend_from_slice(bytes);
    out.resize(out.len() + padded - bytes.len(), 0);
}
