//! Any bytes as the body of a table are refused, or give arrays whose every place lies within them; what passes all checks of
//! arrow-rs is written again as the same.

#![no_main]

use arrow_buffer::Buffer;
use libfuzzer_sys::fuzz_target;
use slipring_codec::format::arrow::{self, Checks, Column, Rows, SchemaPlace};
use slipring_codec::{Body, Content, Format};

fn check_within(body: &[u8], column: &Column) {
    for place in column.validity.iter().chain(&column.buffers) {
        assert!(body.get(place.clone()).is_some());
    }
    column.children.iter().chain(column.dictionary.as_deref()).for_each(|c| check_within(body, c));
}

fuzz_target!(|input: &[u8]| {
    let Some((&flags, body)) = input.split_first() else { return };
    let Ok(opened) = Body::open(Format::Arrow.code(), flags.into(), 0, body) else { return };
    let Ok(Content::Arrow(headed)) = opened.content() else { return };
    let full = arrow::read(&headed, None, Checks::Full);
    let Ok(table) = arrow::read(&headed, None, Checks::Safe) else {
        assert!(full.is_err(), "what is not safe is not whole");
        return;
    };
    table.batches.iter().flat_map(|batch| &batch.columns).for_each(|c| check_within(body, c));
    // Elements that cost no bytes may be more than any memory holds.
    if table.batches.iter().any(|batch| batch.len > 1 << 16) {
        return;
    }
    let memory = Buffer::from_slice_ref(body);
    let Ok(batches) = table.record_batches(&memory) else { return };
    let rows: Vec<Rows> = batches.iter().map(Rows::from).collect();
    let Ok(plan) = arrow::plan(&table.schema, &rows, SchemaPlace::Frame, None) else { return };
    let mut again = vec![0xEE; plan.body_len()];
    plan.write(&mut again, None).expect("the length is the plan's");
    let opened = Body::open(Format::Arrow.code(), plan.flags(), 0, &again).expect("a good body");
    let Ok(Content::Arrow(headed)) = opened.content() else { panic!("a table") };
    let read = arrow::read(&headed, None, Checks::Safe).expect("what was written is read");
    assert_eq!(read.batches.len(), batches.len());
});
