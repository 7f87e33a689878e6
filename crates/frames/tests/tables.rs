//! Record batches through a ring: in place, and kept by whoever holds a column.

mod spoilt;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int8Type, Int64Type};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Decimal128Array, DictionaryArray, Float64Array,
    Int64Array, LargeStringArray, RecordBatch, StringArray, StringViewArray,
};
use arrow_schema::{DataType, Field, Schema};
use slipring::{Delivery, Frame, Segment, Wait};
use slipring_codec::{Format, Value};
use slipring_frames::{Error, ReadTable, ReadTyped, SendTyped, Table, buffer, header};
use std::sync::Arc;

fn ring() -> Segment {
    Segment::options().capacity(8 << 20).create_anonymous().expect("a ring")
}

fn batch(rows: i64) -> RecordBatch {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
    let half: ArrayRef = Arc::new(Float64Array::from_iter(
        (0..rows).map(|row| (row % 7 != 0).then_some(row as f64 / 2.0)),
    ));
    let names: ArrayRef =
        Arc::new(StringArray::from_iter_values((0..rows).map(|row| format!("Zeile {row} ä"))));
    let schema = Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("half", DataType::Float64, true),
        Field::new("name", DataType::Utf8, true),
    ]);
    RecordBatch::try_new(Arc::new(schema), vec![ids, half, names]).expect("columns")
}

fn sent(ring: &Segment, batch: &RecordBatch) -> Frame {
    ring.producer().unwrap().send_typed(batch, None, &Wait::no()).expect("room");
    ring.consumer().unwrap().recv(&Wait::no()).expect("the frame")
}

fn held(ring: &Segment) -> u64 {
    ring.inspect().frames.held
}

/// Every buffer of an array, its children's included.
fn places(array: &dyn Array) -> Vec<(usize, usize)> {
    fn gather(data: &arrow_data::ArrayData, out: &mut Vec<(usize, usize)>) {
        let buffers = data.buffers().iter().chain(data.nulls().map(|nulls| nulls.buffer()));
        out.extend(buffers.map(|buffer| (buffer.as_ptr() as usize, buffer.len())));
        data.child_data().iter().for_each(|child| gather(child, out));
    }
    let mut out = Vec::new();
    gather(&array.to_data(), &mut out);
    out
}

/// R2.3, R14.2: every buffer of every column lies within the frame, aligned to 64 bytes; a copy lies elsewhere.
#[test]
fn columns_lie_in_the_frame() {
    let (ring, rows) = (ring(), batch(10_000));
    let frame = Arc::new(sent(&ring, &rows));
    let body = frame.as_ptr_range();
    let within = |table: &Table| {
        let all = table.batches[0].columns().iter().flat_map(|column| places(column));
        all.map(|(at, len)| {
            assert_eq!(at % 64, 0);
            body.start as usize <= at && at + len <= body.end as usize
        })
        .collect::<Vec<bool>>()
    };
    let table = Arc::clone(&frame).table().expect("a table");
    assert_eq!(table.batches[0], rows);
    assert_eq!(within(&table), [true; 6 - 1]);
    let copied = Arc::clone(&frame).table_copied().expect("a table");
    assert_eq!(copied, table);
    assert!(!within(&copied).contains(&true));
    drop((frame, table));
    assert_eq!(held(&ring), 0, "a copy holds nothing");
}

/// P5, R14.2: a column held alone keeps its block, whatever becomes of frame, table and ring; the last piece of it gives it back.
#[test]
fn a_column_keeps_the_block() {
    let name = format!("test-frames-{}", std::process::id());
    let ring = Segment::options().capacity(8 << 20).create(&*name).unwrap();
    let other = Segment::open(&*name).unwrap();
    slipring::unlink(&*name).unwrap();
    let rows = batch(5_000);
    let ids = sent(&ring, &rows).table().unwrap().batches[0].column(0).clone();
    assert_eq!(held(&ring), 1);
    let piece = ids.slice(4_000, 10);
    drop(ids);
    drop(ring);
    // What others send does not touch it.
    let mut tx = other.producer().unwrap();
    let mut rx = other.consumer().unwrap();
    for _ in 0..200 {
        tx.send_typed(&vec![0xAAu8; 100_000][..], None, &Wait::no()).unwrap();
        rx.recv(&Wait::no()).unwrap();
    }
    assert_eq!(held(&other), 1);
    assert_eq!(piece.as_primitive::<Int64Type>().values()[..], (4_000..4_010).collect::<Vec<_>>());
    std::thread::spawn(move || drop(piece)).join().unwrap();
    assert_eq!(held(&other), 0);
}

/// P4, R14.2: the frame is at hand beside its table, and is acknowledged while columns live.
#[test]
fn a_table_can_be_acknowledged() {
    let ring = ring();
    let mut tx = ring.producer().unwrap();
    let site = Value::Map(vec![("site".into(), Value::from(4i64))]);
    tx.send_typed(&batch(3), Some(&site), &Wait::no()).unwrap();
    tx.send_typed(&batch(4), None, &Wait::no()).unwrap();
    let mut rx = ring.consumer_with(Delivery::AtLeastOnce { limit: 8 }).unwrap();
    let frame = Arc::new(rx.recv(&Wait::no()).unwrap());
    assert_eq!(frame.meta().unwrap(), Some(site));
    let table = Arc::clone(&frame).table().unwrap();
    frame.ack().unwrap();
    drop(frame);
    assert_eq!(table.batches, [batch(3)]);
    drop(table);
    // One that is not acknowledged comes again once its last column is gone, and not before.
    let column = rx.recv(&Wait::no()).unwrap().table().unwrap().batches[0].column(1).clone();
    assert!(matches!(rx.recv(&Wait::no()), Err(slipring::Error::Empty)));
    drop(column);
    let again = rx.recv(&Wait::no()).unwrap();
    assert_eq!(again.redeliveries(), 1);
    again.ack().unwrap();
    assert_eq!(again.table().unwrap().batches, [batch(4)]);
}

/// R14.1, R14.2: many batches, none, no rows, no columns, slices.
#[test]
fn tables_of_all_shapes_come_back() {
    let ring = ring();
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    let schema = batch(0).schema();
    let none = RecordBatch::try_new_with_options(
        Arc::new(Schema::empty()),
        vec![],
        &arrow_array::RecordBatchOptions::new().with_row_count(Some(7)),
    );
    let tables = [
        Table::new(Arc::clone(&schema), vec![]).unwrap(),
        Table::new(Arc::clone(&schema), vec![batch(0), batch(9), batch(1)]).unwrap(),
        Table::new(Arc::clone(&schema), vec![batch(100).slice(13, 50)]).unwrap(),
        Table::new(Arc::new(Schema::empty()), vec![none.unwrap()]).unwrap(),
    ];
    for table in tables {
        tx.send_typed(&table, None, &Wait::no()).unwrap();
        assert_eq!(rx.recv(&Wait::no()).unwrap().table().unwrap(), table);
    }
    assert!(matches!(Table::new(Arc::new(Schema::empty()), vec![batch(1)]), Err(Error::Arrow(_))));
}

/// P9: what is no table, has a foreign schema, or breaks what arrow-rs trusts in is an error, and the block comes back.
#[test]
fn what_is_no_table_is_refused() {
    let ring = ring();
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    let unsent = tx.send_typed(&batch(1), Some(&Value::Null), &Wait::no());
    assert!(matches!(unsent, Err(Error::Encode(_))));
    tx.send_typed(&Value::Null, None, &Wait::no()).unwrap();
    let error = rx.recv(&Wait::no()).unwrap().table().unwrap_err();
    assert!(matches!(error, Error::OtherFormat { found: Format::Value, .. }), "{error}");

    let mut body = vec![0; 4096];
    let good = sent_body(&batch(5));
    body.truncate(good.len());
    body.copy_from_slice(&good);
    let table = header(Format::Arrow, slipring_codec::frame::flags::PARTS, 0);
    let at = body.windows(5).position(|bytes| bytes == b"Zeile").unwrap();
    body[at] = 0xFF;
    tx.send(table, &body, &Wait::no()).unwrap();
    let error = rx.recv(&Wait::no()).unwrap().table().unwrap_err();
    assert!(matches!(error, Error::Arrow(_)), "{error}");

    let other = ring.schemas().add(77, "other", 1, b"no table").unwrap();
    tx.send(table.with_schema(&other), &good, &Wait::no()).unwrap();
    let error = rx.recv(&Wait::no()).unwrap().table().unwrap_err();
    assert!(error.to_string().contains("\"other\", number 1, is not of tables"), "{error}");

    for cut in [0, 1, 8, good.len() / 2, good.len() - 1] {
        tx.send(table, &good[..cut], &Wait::no()).unwrap();
        let frame = Arc::new(rx.recv(&Wait::no()).unwrap());
        assert_eq!(buffer(&frame).as_slice(), &good[..cut]);
        assert!(matches!(frame.table(), Err(Error::Decode(_))), "{cut} bytes");
    }
    assert_eq!(held(&ring), 0);
}

/// P9: whatever stands in the body, a table that is handed out keeps all that arrow-rs promises: columns that are not checked by it are
/// held against its own full validation.
#[test]
fn what_is_handed_out_is_valid() {
    let n = 300;
    let words = |row: i64| ["ein", "zwei", "drei", "äöü vier"][row as usize % 4];
    let columns: [(&str, ArrayRef); 9] = [
        ("i", Arc::new((0..n).map(|row| (row % 5 > 0).then_some(row)).collect::<Int64Array>())),
        ("b", Arc::new((0..n).map(|row| Some(row % 3 == 0)).collect::<BooleanArray>())),
        ("a", Arc::new(StringArray::from_iter_values((0..n).map(|row| format!("row {row}"))))),
        ("u", Arc::new((0..n).map(|r| (r % 4 > 0).then(|| words(r))).collect::<StringArray>())),
        ("l", Arc::new((0..n).map(|row| Some(words(row))).collect::<LargeStringArray>())),
        ("y", Arc::new(BinaryArray::from_iter_values((0..n).map(|row| words(row).as_bytes())))),
        ("d", Arc::new((0..n).map(words).collect::<DictionaryArray<Int8Type>>())),
        ("f", Arc::new(Decimal128Array::from_iter_values((0..n).map(i128::from)))),
        ("v", Arc::new((0..n).map(|row| Some(words(row))).collect::<StringViewArray>())),
    ];
    let good = sent_body(&RecordBatch::try_from_iter(columns).unwrap());
    let ring = ring();
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    let head = header(Format::Arrow, slipring_codec::frame::flags::PARTS, 0);
    let (mut taken, mut refused) = (0, 0);
    for body in spoilt::bodies(&good).take(6000) {
        tx.send(head, &body, &Wait::no()).unwrap();
        match rx.recv(&Wait::no()).unwrap().table() {
            Err(_) => refused += 1,
            Ok(table) => {
                taken += 1;
                spoilt::check(&table.batches);
            }
        }
    }
    assert!(taken > 1000 && refused > 1000, "{taken} and {refused}: neither is rare");
}

fn sent_body(batch: &RecordBatch) -> Vec<u8> {
    sent(&ring(), batch).to_vec()
}

/// R13.2: a frame whose schema stands in the ring's table.
#[test]
fn a_schema_of_the_ring_is_found() {
    use slipring_codec::format::arrow::{self, Rows, SchemaPlace};
    let (ring, rows) = (ring(), batch(5));
    let message = arrow::schema_message(&rows.schema());
    let schema = ring.schemas().add(Format::Arrow.code().into(), "rows", 1, &message).unwrap();
    let plan =
        arrow::plan(rows.schema_ref(), &[Rows::from(&rows)], SchemaPlace::Table, None).unwrap();
    let head = header(plan.format(), plan.flags(), plan.type_code()).with_schema(&schema);
    let write = |body: &mut [u8]| plan.write(body, None).unwrap();
    ring.producer().unwrap().send_with(head, plan.body_len(), write, &Wait::no()).unwrap();
    let table = ring.consumer().unwrap().recv(&Wait::no()).unwrap().table().unwrap();
    assert_eq!(table.batches, [rows]);
    let halves = table.batches[0].column(1).as_primitive::<Float64Type>();
    assert_eq!((halves.is_null(0), halves.value(1)), (true, 0.5));
    assert_eq!(table.schema.field(2), &Field::new("name", DataType::Utf8, true));
}

/// P9, R2.2: a table by itself says that it is all, so that no piece of a stream passes for one.
#[test]
fn a_table_by_itself_is_a_stream_of_one() {
    use slipring_codec::frame::flags::{STREAM_FIRST, STREAM_LAST};
    let (ring, rows) = (ring(), batch(3));
    let both = STREAM_FIRST | STREAM_LAST;
    assert_eq!(sent(&ring, &rows).header().flags & both, both);
    let table = Table::new(rows.schema(), vec![rows.clone(), rows]).unwrap();
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    tx.send_typed(&table, None, &Wait::no()).unwrap();
    assert_eq!(rx.recv(&Wait::no()).unwrap().header().flags & both, both);
    tx.send_typed(&Value::from(1i64), None, &Wait::no()).unwrap();
    assert_eq!(rx.recv(&Wait::no()).unwrap().header().flags & both, 0);
}

/// R4.1, R14.2: a table within a value lies in the frame, too, and its columns keep the block.
#[test]
fn a_table_within_a_value_lies_in_the_frame() {
    let (ring, rows) = (ring(), batch(10_000));
    let table = Table::new(rows.schema(), vec![rows.clone(), rows.slice(0, 3)]).unwrap();
    let value =
        Value::Map(vec![("id".into(), 7i64.into()), ("frame".into(), table.to_value().unwrap())]);
    ring.producer().unwrap().send_typed(&value, None, &Wait::no()).expect("room");
    let frame = Arc::new(ring.consumer().unwrap().recv(&Wait::no()).expect("the frame"));
    assert_eq!(frame.value().unwrap(), value);
    let body = frame.as_ptr_range();
    let outline = match frame.body().unwrap().content().unwrap() {
        slipring_codec::Content::Value(headed) => headed.outline().unwrap(),
        other => panic!("{other:?}"),
    };
    let found = Table::within(&frame, outline.get("frame").unwrap()).unwrap().expect("a table");
    assert_eq!(found, table);
    for (at, len) in found.batches[0].columns().iter().flat_map(|column| places(column)) {
        assert!(at % 64 == 0 && body.start as usize <= at && at + len <= body.end as usize);
    }
    assert!(Table::within(&frame, outline.get("id").unwrap()).unwrap().is_none());
    drop(frame);
    assert_eq!(held(&ring), 1);
    drop(found);
    assert_eq!(held(&ring), 0);
    // Another frame is no value.
    let frame = Arc::new(sent(&ring, &rows));
    let refused = Table::within(&frame, &Value::Null);
    assert!(matches!(refused, Err(Error::OtherFormat { expected: "value", .. })));
}
