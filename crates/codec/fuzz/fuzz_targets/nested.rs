//! Any bytes as a value in which tables are, in line and in buffers: each is refused, or its every place lies within its memory.

#![no_main]

use libfuzzer_sys::fuzz_target;
use slipring_codec::format::arrow::{Checks, Column};
use slipring_codec::frame::Headed;
use slipring_codec::format::value::Tables;
use slipring_codec::{Decoder, Part, Token, Value, tag};

fn check_within(memory: &[u8], column: &Column) {
    for place in column.validity.iter().chain(&column.buffers) {
        assert!(memory.get(place.clone()).is_some());
    }
    column.children.iter().chain(column.dictionary.as_deref()).for_each(|c| check_within(memory, c));
}

/// The tables of a tree.
fn tables<'v>(value: &'v Value, found: &mut Vec<&'v Value>) {
    match value {
        Value::Tag(tag::TABLE, _) => found.push(value),
        Value::Tag(_, inner) => tables(inner, found),
        Value::Array(items) => items.iter().for_each(|item| tables(item, found)),
        Value::Map(pairs) => pairs.iter().for_each(|(_, value)| tables(value, found)),
        _ => {}
    }
}

fuzz_target!(|input: &[u8]| {
    // The first byte says how much of the rest is the head; behind it stand two buffers of one length.
    let Some((&cut, body)) = input.split_first() else { return };
    let (head, rest) = body.split_at(body.len() * usize::from(cut) / 255);
    let start = head.len().next_multiple_of(64).min(body.len());
    let half = (body.len() - start) / 2 / 64 * 64;
    let part = |offset: usize, len: usize| Part { offset, bytes: &body[offset..offset + len] };
    let buffers = if rest.is_empty() { vec![] } else { vec![part(start, half), part(start + half, half)] };
    let headed = Headed { head: part(0, head.len()), buffers };

    let mut decoder = Decoder::new(head);
    let mut read = Tables::default();
    while let Ok(token) = decoder.token() {
        if token == Token::Tag(tag::TABLE) && read.read(&mut decoder).is_err() {
            break;
        }
    }
    let Ok(outline) = headed.outline() else { return };
    let mut found = Vec::new();
    tables(&outline, &mut found);
    for item in found.into_iter().take(8) {
        if let Ok(Some((table, copy))) = headed.table(item, Checks::Safe) {
            let memory = copy.as_deref().unwrap_or(body);
            table.batches.iter().flat_map(|batch| &batch.columns).for_each(|c| check_within(memory, c));
        }
        if let Ok(Some((table, memory))) = item.to_table(Checks::Full) {
            table.batches.iter().flat_map(|batch| &batch.columns).for_each(|c| check_within(&memory, c));
        }
    }
});
