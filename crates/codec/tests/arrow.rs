//! Tables: what is written is read as the same, slices are cut, and nothing a peer can write leads outside.
#![cfg(feature = "arrow")]

#[path = "arrow/hostile.rs"]
mod hostile;
#[path = "arrow/in_values.rs"]
mod in_values;

use std::sync::Arc;

use arrow_array::builder::{Int32Builder, ListViewBuilder};
use arrow_array::types::{Int8Type, Int16Type, Int32Type};
use arrow_array::*;
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer, i256};
use arrow_data::ArrayData;
use arrow_schema::{DataType, Field, Fields, Schema, TimeUnit, UnionFields};
use slipring_codec::format::arrow::{self, Checks, Rows, SchemaPlace, Table};
use slipring_codec::{
    ArrowFault, Body, Content, DecodeError, DecodeErrorKind, EncodeErrorKind, Format, Parts,
};

fn write(schema: &Schema, batches: &[RecordBatch], place: SchemaPlace) -> (u16, Vec<u8>) {
    let rows: Vec<Rows> = batches.iter().map(Rows::from).collect();
    let plan = arrow::plan(schema, &rows, place, None).unwrap();
    let mut body = vec![0xEE; plan.body_len()];
    plan.write(&mut body, None).unwrap();
    (plan.flags(), body)
}

fn open(
    flags: u16,
    body: &[u8],
    schema: Option<&[u8]>,
    checks: Checks,
) -> Result<Table, DecodeError> {
    let opened = Body::open(Format::Arrow.code(), flags, 0, body)?;
    let Content::Arrow(headed) = opened.content()? else { panic!("an arrow frame") };
    arrow::read(&headed, schema, checks)
}

fn round_trip(batches: &[RecordBatch]) -> (Vec<u8>, Table) {
    let schema = batches[0].schema();
    let (flags, body) = write(&schema, batches, SchemaPlace::Frame);
    let table = open(flags, &body, None, Checks::Full).unwrap();
    assert_eq!(table.schema, schema);
    let buffer = Buffer::from_slice_ref(&body);
    let read = table.record_batches(&buffer).unwrap();
    assert_eq!(read.len(), batches.len());
    for (read, sent) in read.iter().zip(batches) {
        for (read, sent) in read.columns().iter().zip(sent.columns()) {
            assert_eq!(read.null_count(), sent.null_count(), "{}", sent.data_type());
            let logical = |array: &ArrayRef| {
                array.logical_nulls().map_or(vec![], |n| n.iter().collect::<Vec<_>>())
            };
            assert!(
                logical(read) == logical(sent)
                    || sent.logical_null_count() + read.logical_null_count() == 0
            );
            assert_eq!(rows_of(read), rows_of(sent), "{}", sent.data_type());
        }
    }
    (body, table)
}

/// What an array says, element by element: a cut one has other children than the whole.
fn rows_of(array: &ArrayRef) -> String {
    let each =
        |row: &dyn Fn(usize) -> String| (0..array.len()).map(row).collect::<Vec<_>>().join("\n");
    if let Some(union) = array.as_any().downcast_ref::<UnionArray>() {
        return each(&|row| format!("{} {:?}", union.type_id(row), union.value(row)));
    }
    if let Some(runs) = array.as_any().downcast_ref::<RunArray<Int16Type>>() {
        return each(&|row| format!("{:?}", runs.values().slice(runs.get_physical_index(row), 1)));
    }
    format!("{array:?}")
}

/// Columns of every layout, 40 rows each, with nulls where the type has them.
fn columns() -> Vec<(&'static str, ArrayRef)> {
    let n = 40usize;
    let some = |i: &usize| (i % 7 != 3).then_some(*i);
    let text = |i: usize| match i % 4 {
        0 => String::new(),
        1 => format!("é{i}"),
        _ => format!("a text that is longer than a view holds {i}"),
    };
    let texts: Vec<Option<String>> = (0..n).map(|i| some(&i).map(text)).collect();
    let ints: Int64Array = (0..n).map(|i| some(&i).map(|i| i as i64 - 20)).collect();
    let item = |t| Arc::new(Field::new("item", t, true));
    let lists: Vec<Option<Vec<Option<i32>>>> = (0..n)
        .map(|i| some(&i).map(|i| (0..i % 4).map(|j| (j != 1).then_some((i * j) as i32)).collect()))
        .collect();
    let mut list_view = ListViewBuilder::new(Int32Builder::new());
    for list in &lists {
        match list {
            None => list_view.append(false),
            Some(values) => {
                values.iter().for_each(|v| list_view.values().append_option(*v));
                list_view.append(true);
            }
        }
    }
    let fields = Fields::from(vec![
        Field::new("x", DataType::Int64, true),
        Field::new("s", DataType::Utf8, true),
    ]);
    let strings = Arc::new(StringArray::from(texts.clone()));
    let nulls: NullBuffer = (0..n).map(|i| i % 5 != 0).collect();
    let structs = StructArray::new(
        fields,
        vec![Arc::new(ints.clone()), strings.clone()],
        Some(nulls.clone()),
    );
    let entries = Fields::from(vec![
        Field::new("keys", DataType::Int64, false),
        Field::new("values", DataType::Utf8, true),
    ]);
    let keys: Int64Array = (0..n as i64).collect::<Vec<_>>().into();
    let offsets = OffsetBuffer::<i32>::from_lengths((0..n).map(|i| if i % 2 == 0 { 2 } else { 0 }));
    let map = MapArray::new(
        Arc::new(Field::new("entries", DataType::Struct(entries.clone()), false)),
        offsets,
        StructArray::new(entries, vec![Arc::new(keys), strings.clone()], None),
        Some(nulls.clone()),
        false,
    );
    let union_fields = || {
        UnionFields::try_new(
            [5, 7],
            [Field::new("i", DataType::Int64, true), Field::new("s", DataType::Utf8, true)],
        )
        .unwrap()
    };
    let types: ScalarBuffer<i8> = (0..n).map(|i| if i % 3 == 0 { 7 } else { 5 }).collect();
    let sparse = UnionArray::try_new(
        union_fields(),
        types.clone(),
        None,
        vec![Arc::new(ints.clone()), strings.clone()],
    )
    .unwrap();
    let mut next = [0i32; 2];
    let dense_offsets: ScalarBuffer<i32> = types
        .iter()
        .map(|&id| {
            let next = &mut next[usize::from(id == 7)];
            *next += 1;
            *next - 1
        })
        .collect();
    let dense = UnionArray::try_new(
        union_fields(),
        types,
        Some(dense_offsets),
        vec![Arc::new(ints.clone()), strings.clone()],
    )
    .unwrap();
    let runs = RunArray::<Int16Type>::try_new(
        &Int16Array::from(vec![3, 4, 17, 39, 40]),
        &StringArray::from(vec![Some("a"), None, Some("c"), Some("d"), Some("e")]),
    )
    .unwrap();
    let dictionary: DictionaryArray<Int8Type> =
        texts.iter().map(|t| t.as_deref().map(|t| &t[..t.len().min(3)])).collect();
    // A dictionary whose values are a list of a dictionary.
    let inner: DictionaryArray<Int32Type> = ["p", "q", "p", "r"].into_iter().collect();
    let inner = ListArray::new(
        Arc::new(Field::new("item", inner.data_type().clone(), true)),
        OffsetBuffer::from_lengths([1, 0, 3]),
        Arc::new(inner),
        None,
    );
    let nested = DictionaryArray::<Int16Type>::new(
        (0..n).map(|i| some(&i).map(|i| (i % 3) as i16)).collect(),
        Arc::new(inner),
    );
    let large = LargeListArray::new(
        item(DataType::Utf8View),
        OffsetBuffer::from_lengths((0..n).map(|i| i % 2)),
        Arc::new(StringViewArray::from_iter((0..n / 2).map(|i| some(&i).map(text)))),
        None,
    );
    vec![
        ("null", Arc::new(NullArray::new(n))),
        ("bool", Arc::new((0..n).map(|i| some(&i).map(|i| i % 3 == 0)).collect::<BooleanArray>())),
        ("i64", Arc::new(ints.clone())),
        (
            "f16",
            Arc::new((0..n).map(|i| Some(half::f16::from_f32(i as f32))).collect::<Float16Array>()),
        ),
        (
            "d32",
            Arc::new(
                Decimal32Array::from_iter((0..n).map(|i| some(&i).map(|i| i as i32)))
                    .with_precision_and_scale(7, 2)
                    .unwrap(),
            ),
        ),
        (
            "d256",
            Arc::new(
                (0..n)
                    .map(|i| some(&i).map(|i| i256::from_i128(i as i128)))
                    .collect::<Decimal256Array>(),
            ),
        ),
        (
            "time",
            Arc::new(
                TimestampNanosecondArray::from_iter((0..n).map(|i| some(&i).map(|i| i as i64)))
                    .with_timezone("Europe/Berlin"),
            ),
        ),
        (
            "interval",
            Arc::new(IntervalMonthDayNanoArray::from_iter((0..n).map(|i| {
                some(&i).map(|i| arrow_buffer::IntervalMonthDayNano::new(i as i32, 2, 3))
            }))),
        ),
        (
            "duration",
            Arc::new((0..n).map(|i| Some(i as i64)).collect::<DurationMicrosecondArray>()),
        ),
        (
            "fixed",
            Arc::new(
                FixedSizeBinaryArray::try_from_sparse_iter_with_size(
                    (0..n).map(|i| some(&i).map(|i| [i as u8; 3])),
                    3,
                )
                .unwrap(),
            ),
        ),
        ("utf8", strings.clone()),
        ("large", Arc::new(LargeStringArray::from(texts.clone()))),
        (
            "binary",
            Arc::new(BinaryArray::from_iter(
                texts.iter().map(|t| t.as_ref().map(|t| t.as_bytes())),
            )),
        ),
        ("view", Arc::new(StringViewArray::from_iter(texts.iter().map(Option::as_deref)))),
        ("list", Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(lists))),
        ("list_view", Arc::new(list_view.finish())),
        ("large_list", Arc::new(large)),
        (
            "fsl",
            Arc::new(FixedSizeListArray::new(
                item(DataType::Boolean),
                3,
                Arc::new((0..3 * n).map(|i| Some(i % 2 == 0)).collect::<BooleanArray>()),
                Some(nulls),
            )),
        ),
        ("struct", Arc::new(structs)),
        ("map", Arc::new(map)),
        ("sparse", Arc::new(sparse)),
        ("dense", Arc::new(dense)),
        ("runs", Arc::new(runs)),
        ("dictionary", Arc::new(dictionary)),
        ("nested", Arc::new(nested)),
    ]
}

fn batch(columns: impl IntoIterator<Item = (&'static str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, array)| (name, array, true)),
    )
    .unwrap()
}

/// R2.1, R2.2: every layout comes back, whole and cut at places that no byte boundary helps.
#[test]
fn every_layout_comes_back_whole_and_cut() {
    let all = batch(columns());
    let whole = round_trip(std::slice::from_ref(&all)).0.len();
    for (start, len) in [(0, 0), (0, 1), (1, 39), (3, 10), (8, 16), (13, 1), (39, 1), (40, 0)] {
        let (body, _) = round_trip(&[all.slice(start, len)]);
        assert!(body.len() <= whole, "{start} {len}");
    }
    // Each alone, so that a fault of one names it.
    for (name, array) in columns() {
        for (start, len) in [(0, 40), (5, 30), (17, 4)] {
            round_trip(&[batch([(name, array.slice(start, len))])]);
        }
    }
    round_trip(&[all.slice(0, 13), all.slice(13, 0), all.slice(13, 20), all.slice(33, 7)]);
}

/// R14.1: what lies outside of a slice is not sent.
#[test]
fn a_slice_takes_what_it_needs() {
    let long: StringArray = (0..100_000).map(|i| Some(format!("text number {i:020}"))).collect();
    let view: StringViewArray = long.iter().collect();
    let ints: Int64Array = (0..100_000).collect::<Vec<_>>().into();
    let mut lists = ListViewBuilder::new(Int32Builder::new());
    for i in 0..100_000 {
        lists.values().append_value(i);
        lists.append(true);
    }
    let lists = lists.finish();
    let rows = |array: &dyn Array| vec![array.slice(0, 1), array.slice(99_999, 1)];
    for array in [&long as &dyn Array, &view, &ints, &lists] {
        for array in rows(array) {
            let (body, _) = round_trip(&[batch([("c", array)])]);
            assert!(body.len() < 2048 + 4096, "{}", body.len());
        }
    }
    // Two lists at the ends of their values: what lies between is left out.
    let (field, offsets, sizes, values, _) = lists.into_parts();
    let ends = ListViewArray::new(
        field,
        vec![offsets[0], offsets[99_999]].into(),
        vec![sizes[0]; 2].into(),
        values,
        None,
    );
    let (body, _) = round_trip(&[batch([("c", Arc::new(ends) as ArrayRef)])]);
    assert!(body.len() < 2048, "{}", body.len());
}

/// R2.1: every buffer begins at a multiple of 64 bytes, and what no buffer claims is zero.
#[test]
fn buffers_are_aligned_and_gaps_are_zero() {
    let (body, table) = round_trip(&[batch(columns())]);
    let mut claimed = vec![false; body.len()];
    fn walk(column: &arrow::Column, claimed: &mut [bool]) {
        for place in column.validity.iter().chain(&column.buffers) {
            assert!(place.is_empty() || place.start % 64 == 0, "{place:?} {}", column.data_type);
            claimed[place.clone()].fill(true);
        }
        column.children.iter().chain(column.dictionary.as_deref()).for_each(|c| walk(c, claimed));
    }
    table.batches[0].columns.iter().for_each(|column| walk(column, &mut claimed));
    let first = claimed.iter().position(|&claimed| claimed).unwrap();
    for (at, (&byte, claimed)) in body.iter().zip(claimed).enumerate().skip(first) {
        assert!(claimed || byte == 0, "{at}");
    }
}

/// R2.5: who must not take long says how much may be looked at. Numbers are not, offsets and bitmaps are.
#[test]
fn reading_can_be_bounded() {
    let rows = 10_000;
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
    let nulls: ArrayRef =
        Arc::new((0..rows).map(|n| (n % 3 > 0).then_some(n)).collect::<Int64Array>());
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values((0..rows).map(|n| n.to_string())));
    let keys = Int32Array::from_iter_values((0..rows).map(|n| (n % 2) as i32));
    let coded = DictionaryArray::new(keys, Arc::new(StringArray::from(vec!["a", "b"])));
    let rows = rows as usize;
    for (column, expected) in [
        (numbers, 0),
        (nulls, rows / 8),
        (texts, 4 * (rows + 1)),
        (Arc::new(coded) as ArrayRef, 4 * (rows + 3)),
    ] {
        let all = RecordBatch::try_from_iter([("c", column)]).unwrap();
        let message = arrow::schema_message(&all.schema());
        let (flags, body) = write(&all.schema(), std::slice::from_ref(&all), SchemaPlace::Table);
        let found = Body::open(Format::Arrow.code(), flags, 0, &body).unwrap();
        let Content::Arrow(headed) = found.content().unwrap() else { panic!("a table") };
        let within =
            |most| arrow::read_within(&headed, Some(&message), Checks::Safe, most).unwrap();
        let enough = headed.head.bytes.len() + message.len() + expected;
        let (table, looked_at) = within(enough).unwrap();
        assert_eq!(looked_at, enough, "{:?}", all.schema());
        let whole = arrow::read(&headed, Some(&message), Checks::Safe).unwrap();
        assert_eq!(format!("{table:?}"), format!("{whole:?}"));
        assert!(within(enough - 1).is_none() && within(0).is_none());
        // What is wrong is an error, and not a want of time.
        let cut = &message[..message.len() - 8];
        assert!(arrow::read_within(&headed, Some(cut), Checks::Safe, enough).is_err());
    }
}

/// R2.4: the schema stands in the frame or in the segment's table, never in both and never in none.
#[test]
fn the_schema_may_stand_elsewhere() {
    let all = batch(columns());
    let message = arrow::schema_message(&all.schema());
    let (flags, body) = write(&all.schema(), std::slice::from_ref(&all), SchemaPlace::Table);
    let table = open(flags, &body, Some(&message), Checks::Full).unwrap();
    assert_eq!(table.schema, all.schema());
    assert_eq!(table.record_batches(&Buffer::from_slice_ref(&body)).unwrap().len(), 1);
    assert_eq!(arrow::read_schema(&message).unwrap(), all.schema());
    // Read once, and used for each frame.
    let parsed = arrow::Parsed::of(&message).unwrap();
    assert_eq!(*parsed.schema(), all.schema());
    let found = Body::open(Format::Arrow.code(), flags, 0, &body).unwrap();
    let Content::Arrow(headed) = found.content().unwrap() else { panic!("a table") };
    let again = arrow::read_as(&headed, &parsed, Checks::Full).unwrap();
    assert_eq!(format!("{again:?}"), format!("{table:?}"));
    assert!(arrow::Parsed::of(&message[..message.len() - 8]).is_err());
    let kind = |result: Result<Table, DecodeError>| match result.unwrap_err().kind() {
        DecodeErrorKind::Arrow { fault, .. } => fault,
        other => panic!("{other:?}"),
    };
    assert_eq!(kind(open(flags, &body, None, Checks::Safe)), ArrowFault::SchemaMissing);
    let (flags, body) = write(&all.schema(), std::slice::from_ref(&all), SchemaPlace::Frame);
    assert_eq!(kind(open(flags, &body, Some(&message), Checks::Safe)), ArrowFault::SchemaTwice);
}

/// R2.1: tables without rows, without columns, without batches.
#[test]
fn empty_tables_come_back() {
    let options = RecordBatchOptions::new().with_row_count(Some(7));
    let bare =
        RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options).unwrap();
    let (_, table) = round_trip(&[bare]);
    assert_eq!(table.batches[0].len, 7);
    let schema = Schema::new_with_metadata(
        vec![Field::new("t", DataType::Timestamp(TimeUnit::Second, None), false)],
        [("k".to_owned(), "v".to_owned())],
    );
    let (flags, body) = write(&schema, &[], SchemaPlace::Frame);
    let table = open(flags, &body, None, Checks::Full).unwrap();
    assert_eq!((table.batches.len(), &*table.schema), (0, &schema));
}

/// R2.3: a dictionary that chunks share is sent once, one that changes is sent again.
#[test]
fn dictionaries_are_sent_once() {
    let values: Vec<String> = (0..1000).map(|i| format!("value {i}")).collect();
    let values: ArrayRef = Arc::new(StringArray::from(values));
    let keys = |from: i32| Int32Array::from(vec![from; 4]);
    let array = |from, values: &ArrayRef| {
        batch([("d", Arc::new(DictionaryArray::new(keys(from), values.clone())) as ArrayRef)])
    };
    let one = round_trip(&[array(0, &values)]).0.len();
    let two = round_trip(&[array(0, &values), array(999, &values)]).0.len();
    assert!(two < one + 512, "{one} {two}");
    let other: ArrayRef = Arc::new(StringArray::from(vec!["other"]));
    round_trip(&[array(5, &values), array(0, &other), array(5, &values)]);
}

/// P9: arrays that break Arrow's rules are refused when they are written, where they could not be followed.
#[test]
fn broken_arrays_are_not_written() {
    let good = StringArray::from(vec!["abc", "de"]).to_data();
    let refused = |rows: Rows, schema: &Schema| {
        arrow::plan(schema, &[rows], SchemaPlace::Frame, None).unwrap_err().to_string()
    };
    let schema = Schema::new(vec![Field::new("t", DataType::Utf8, true)]);
    let columns = |columns: Vec<ArrayData>, len| Rows { len, columns };
    assert!(refused(columns(vec![], 0), &schema).contains("$.batches[0]"));
    assert!(refused(columns(vec![good.clone()], 3), &schema).contains("$.batches[0].columns.t"));
    let ints = Schema::new(vec![Field::new("t", DataType::Int8, true)]);
    assert!(refused(columns(vec![good], 2), &ints).contains("another type"));
    let mut deep = DataType::Int8;
    for _ in 0..arrow::MAX_NESTING {
        deep = DataType::List(Arc::new(Field::new("item", deep, true)));
    }
    let empty = ArrayData::new_empty(&deep);
    let schema = Schema::new(vec![Field::new("t", deep, true)]);
    assert!(refused(columns(vec![empty], 0), &schema).contains("64 types"));
}

/// A golden body, which pyarrow wrote: see `golden/arrow.py`.
fn golden() -> Vec<u8> {
    let path = format!("{}/tests/golden/arrow-mixed.hex", env!("CARGO_MANIFEST_DIR"));
    let file = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let digits: String = file
        .lines()
        .flat_map(|line| line.split('#').next().unwrap_or_default().split_whitespace())
        .collect();
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

/// R6.3: each float of 16 bits is itself; the middle of two is the even one, and what lies beside it the nearer one.
#[test]
fn floats_of_16_bits_are_the_nearest() {
    let bits = |value| arrow::to_half(value).to_bits();
    // Finite ones, to the infinity, which stands where the next one would.
    for low in 0..0x7C00u16 {
        let wide = |bits| match bits {
            0x7C00 => 65_536.0,
            bits => arrow::Half::from_bits(bits).to_f64(),
        };
        let middle = (wide(low) + wide(low + 1)) / 2.0;
        let even = low + low % 2;
        for (value, nearest) in [
            (wide(low), low),
            (middle.next_down(), low),
            (middle, even),
            (middle.next_up(), low + 1),
        ] {
            assert_eq!((bits(value), bits(-value)), (nearest, nearest | 0x8000), "{value}");
        }
    }
    for (value, nearest) in [
        (f64::MIN_POSITIVE, 0),
        (5e-324, 0),
        (1e300, 0x7C00),
        (f64::from(f32::MAX).next_up(), 0x7C00),
        (f64::INFINITY, 0x7C00),
    ] {
        assert_eq!((bits(value), bits(-value)), (nearest, nearest | 0x8000), "{value}");
    }
    assert!(arrow::to_half(f64::NAN).is_nan());
}

/// P3: what another writer of Arrow's messages has laid out is read, buffers at multiples of 8 included.
#[test]
fn the_golden_body_is_read() {
    let body = golden();
    let table = open(1, &body, None, Checks::Full).unwrap();
    let [batch] = &table.record_batches(&Buffer::from_slice_ref(&body)).unwrap()[..] else {
        panic!("one batch")
    };
    let names: Vec<&str> =
        table.schema.fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["id", "name", "tags", "kind", "at", "view"]);
    let ids = batch.column(0).as_any().downcast_ref::<Int64Array>().unwrap();
    assert_eq!(ids.iter().collect::<Vec<_>>(), [Some(1), None, Some(-3)]);
    let text = batch.column(1).as_any().downcast_ref::<StringArray>().unwrap();
    assert_eq!(text.iter().collect::<Vec<_>>(), [Some("a"), None, Some("éé")]);
    let view = batch.column(5).as_any().downcast_ref::<StringViewArray>().unwrap();
    let expected = [Some("short"), Some("longer than twelve bytes"), None];
    assert_eq!(view.iter().collect::<Vec<_>>(), expected);
    // Written again and read again it is the same.
    round_trip(std::slice::from_ref(batch));
}
