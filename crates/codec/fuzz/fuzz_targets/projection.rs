//! A table with any of its bytes changed, read as any schema that its own can become: refused, or made within the bounds and
//! whole wherever it was whole before.

#![no_main]

use arrow_array::types::{Int8Type, Int32Type};
use arrow_array::*;
use arrow_buffer::Buffer;
use arrow_schema::{DataType, Field, Fields, Schema, TimeUnit};
use libfuzzer_sys::fuzz_target;
use slipring_codec::evolution::{ALIASES, DEFAULT, Made, Version, resolve};
use slipring_codec::format::arrow::{self, Checks, Column, Rows, SchemaPlace};
use slipring_codec::{Body, Content, Format};
use std::sync::{Arc, LazyLock};

/// What may be made of a body.
const LIMIT: usize = 1 << 20;

static BODY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let some = |row: i64| (row != 2).then_some(row);
    let texts = ["", "a", "a text that no view holds in itself", "ä"];
    let text = |row: i64| (row != 3).then(|| texts[row as usize % 4]);
    let rows = || 0..9i64;
    let lists = rows().map(|row| some(row).map(|row| vec![Some(row as i32), None]));
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>(lists);
    let inner: ArrayRef = Arc::new(rows().map(|row| some(row).map(|row| row as f32)).collect::<Float32Array>());
    let field = Arc::new(Field::new("x", DataType::Float32, true));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("i8", Arc::new(rows().map(|row| some(row).map(|row| row as i8)).collect::<Int8Array>())),
        ("u16", Arc::new(rows().map(|row| Some(row as u16)).collect::<UInt16Array>())),
        ("i64", Arc::new(rows().map(some).collect::<Int64Array>())),
        ("bool", Arc::new(rows().map(|row| some(row).map(|row| row > 4)).collect::<BooleanArray>())),
        ("day", Arc::new(rows().map(|row| some(row).map(|row| row as i32)).collect::<Date32Array>())),
        ("at", Arc::new(rows().map(some).collect::<TimestampSecondArray>())),
        ("money", Arc::new(rows().map(|row| some(row).map(i128::from)).collect::<Decimal128Array>())),
        ("text", Arc::new(rows().map(text).collect::<StringArray>())),
        ("view", Arc::new(rows().map(text).collect::<StringViewArray>())),
        ("word", Arc::new(rows().map(text).collect::<DictionaryArray<Int8Type>>())),
        ("list", Arc::new(list)),
        ("struct", Arc::new(StructArray::from(vec![(field, inner)]))),
    ];
    let batch = RecordBatch::try_from_iter(columns).expect("columns");
    let rows = [Rows::from(&batch), Rows::from(&batch.slice(1, 3))];
    let plan = arrow::plan(&batch.schema(), &rows, SchemaPlace::Frame, None).expect("a table");
    let mut body = vec![0; plan.body_len()];
    plan.write(&mut body, None).expect("as planned");
    body
});

/// Types that others may become, or not.
fn types() -> Vec<DataType> {
    use DataType::*;
    let item = |of| Arc::new(Field::new("item", of, true));
    let fields = |all: Vec<(&str, DataType)>| {
        all.into_iter().map(|(name, of)| Field::new(name, of, true)).collect::<Fields>()
    };
    vec![
        Boolean, Int8, Int16, Int32, Int64, UInt8, UInt32, UInt64, Float32, Float64, Date32, Date64,
        Utf8, LargeUtf8, Utf8View, Binary, LargeBinary, BinaryView, Null,
        Timestamp(TimeUnit::Millisecond, None), Timestamp(TimeUnit::Nanosecond, None),
        Timestamp(TimeUnit::Second, Some("UTC".into())),
        Decimal128(38, 10), Decimal128(38, 12), Decimal256(60, 12),
        List(item(Int64)), LargeList(item(Int32)), LargeList(item(Float64)), ListView(item(Int32)),
        Dictionary(Box::new(Int32), Box::new(Utf8)), Dictionary(Box::new(Int8), Box::new(LargeUtf8)),
        Struct(fields(vec![("x", Float64)])), Struct(fields(vec![("y", Int8), ("x", Float32)])),
        Struct(fields(vec![])),
    ]
}

/// The schema that is wanted, two bytes for each change.
fn changed(written: &Schema, changes: &[[u8; 2]]) -> Schema {
    let types = types();
    let mut fields: Vec<Field> = written.fields().iter().map(|field| (**field).clone()).collect();
    for (number, &[change, how]) in changes.iter().enumerate() {
        let at = usize::from(change >> 3) % fields.len().max(1);
        let of = types[usize::from(how) % types.len()].clone();
        let Some(field) = fields.get_mut(at) else { break };
        match change % 8 {
            0 => drop(fields.remove(at)),
            1 | 2 => *field = field.clone().with_data_type(of),
            3 => {
                let alias = [(ALIASES.to_owned(), field.name().clone())];
                *field = field.clone().with_name(format!("new {number}")).with_metadata(alias);
            }
            4 => *field = field.clone().with_nullable(how % 2 == 0),
            5 => {
                let field = fields.remove(at);
                fields.push(field);
            }
            6 => fields.push(Field::new(format!("added {number}"), of, true)),
            _ => {
                let value = ["1", "true", "x", "2024-02-29", "-1.5"][usize::from(how) % 5];
                let default = [(DEFAULT.to_owned(), value.to_owned())];
                let of = types[usize::from(how >> 2) % types.len()].clone();
                fields.push(Field::new(format!("given {number}"), of, false).with_metadata(default));
            }
        }
    }
    Schema::new(fields)
}

/// Every place is of the body or of what was made.
fn check_within(body: &[u8], made: &Made, column: &Column) {
    for place in column.validity.iter().chain(&column.buffers) {
        assert!(made.get(body, place).is_some(), "{place:?} of {}", column.data_type);
    }
    let inner = column.children.iter().chain(column.dictionary.as_deref());
    inner.for_each(|column| check_within(body, made, column));
}

fuzz_target!(|input: &[u8]| {
    let Some((&count, rest)) = input.split_first() else { return };
    let (spoilt, changes) = rest.split_at((usize::from(count) % 8 * 3).min(rest.len()));
    let mut body = BODY.clone();
    for &[low, high, by] in spoilt.as_chunks::<3>().0 {
        let at = usize::from(u16::from_le_bytes([low, high])) % body.len();
        body[at] ^= by;
    }
    let Ok(opened) = Body::open(Format::Arrow.code(), 1, 0, &body) else { return };
    let Ok(Content::Arrow(headed)) = opened.content() else { return };
    let Ok(table) = arrow::read(&headed, None, Checks::Safe) else { return };
    if table.batches.iter().any(|batch| batch.len > 1 << 16) {
        return;
    }
    let wanted = changed(&table.schema, changes.as_chunks().0);
    let (old, new) = (Version::new("t", 1, &table.schema), Version::new("t", 2, &wanted));
    let Ok(projection) = resolve(&old, &new) else { return };
    let Ok(projected) = projection.apply(&table, &body, LIMIT) else { return };
    assert!(projected.made.len() <= LIMIT);
    assert_eq!(projected.table.schema.fields(), wanted.fields());
    for (batch, from) in projected.table.batches.iter().zip(&table.batches) {
        assert_eq!(batch.len, from.len);
        batch.columns.iter().for_each(|column| check_within(&body, &projected.made, column));
    }
    let memory = Buffer::from_slice_ref(&body);
    if table.record_batches(&memory).is_ok() {
        let batches = projected.record_batches(&memory).expect("what was whole stays whole");
        assert_eq!(batches.len(), table.batches.len());
    }
});
