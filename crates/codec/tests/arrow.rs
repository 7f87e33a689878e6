//! Tables: what is written is read as the same, slices are cut, and nothing a peer can write leads outside.
#![cfg(feature = "arrow")]

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

/// Walks a table as a consumer would that trusts what was checked: every place, offset, view and index. The address
/// sanitizer, or a panic of an index, tells where that leads outside.
fn walk(body: &[u8], column: &arrow::Column) {
    let at = |number: usize| &body[column.buffers[number].clone()];
    let signed = |bytes: &[u8], wide: bool, row: usize| -> usize {
        match wide {
            true => i64::from_le_bytes(bytes[row * 8..][..8].try_into().unwrap()) as usize,
            false => i32::from_le_bytes(bytes[row * 4..][..4].try_into().unwrap()) as usize,
        }
    };
    let valid = |row: usize| {
        column
            .validity
            .as_ref()
            .is_none_or(|place| body[place.clone()][row / 8] >> (row % 8) & 1 == 1)
    };
    let rows = if column.buffers.is_empty() && column.validity.is_none() { 0 } else { column.len };
    use DataType::*;
    let mut nulls = 0;
    for row in 0..rows {
        nulls += usize::from(!valid(row));
        match &column.data_type {
            Utf8 | Binary | List(_) | Map(..) | LargeUtf8 | LargeBinary | LargeList(_) => {
                let wide = matches!(column.data_type, LargeUtf8 | LargeBinary | LargeList(_));
                let (start, end) = (signed(at(0), wide, row), signed(at(0), wide, row + 1));
                match column.children.first() {
                    Some(child) => assert!(start <= end && end <= child.len),
                    None => drop(at(1)[start..end].to_vec()),
                }
            }
            ListView(_) | LargeListView(_) => {
                let wide = matches!(column.data_type, LargeListView(_));
                let end = signed(at(0), wide, row) + signed(at(1), wide, row);
                assert!(end <= column.children[0].len);
            }
            Utf8View | BinaryView if valid(row) => {
                let len = signed(&at(0)[row * 16..], false, 0);
                if len > 12 {
                    let (buffer, offset) = (
                        signed(&at(0)[row * 16..], false, 2),
                        signed(&at(0)[row * 16..], false, 3),
                    );
                    drop(at(1 + buffer)[offset..][..len].to_vec());
                }
            }
            Dictionary(key, _) if valid(row) => {
                let width = key.primitive_width().unwrap();
                let mut index = [0; 8];
                index[..width].copy_from_slice(&at(0)[row * width..][..width]);
                assert!(u64::from_le_bytes(index) < column.dictionary.as_ref().unwrap().len as u64);
            }
            Union(fields, mode) => {
                let id = at(0)[row] as i8;
                let child = fields.iter().position(|(known, _)| known == id).unwrap();
                let place = match mode {
                    arrow_schema::UnionMode::Dense => signed(at(1), false, row),
                    arrow_schema::UnionMode::Sparse => row,
                };
                assert!(place < column.children[child].len);
            }
            other => {
                if let Some(width) = other.primitive_width() {
                    drop(at(0)[row * width..][..width].to_vec());
                }
            }
        }
    }
    assert!(rows == 0 || nulls == column.null_count);
    column.children.iter().chain(column.dictionary.as_deref()).for_each(|child| walk(body, child));
}

/// P9: a body with any four bytes changed is refused with a path, or every place in it can be followed; arrow-rs,
/// which checks all by itself, never panics over it either.
#[test]
fn mutations_of_good_bodies_end_well() {
    let bodies =
        [write(&batch(columns()).schema(), &[batch(columns())], SchemaPlace::Frame).1, golden()];
    let (mut refused, mut read) = (0, 0);
    for good in bodies {
        let head_end = Parts::parse(&good).unwrap().buffers().next().unwrap().offset;
        // Every word of the head, some of the data.
        for at in (0..head_end).step_by(4).chain((head_end..good.len()).step_by(28)) {
            // One more than there is: of lengths it leaves a piece of an element.
            let more = good
                .get(at..at + 4)
                .map_or(1, |word| u32::from_le_bytes(word.try_into().unwrap()).wrapping_add(1));
            for to in [0u32, 1, more, 0xFF, 0x1_0000, i32::MAX as u32, u32::MAX] {
                let mut body = good.clone();
                let end = (at + 4).min(body.len());
                body[at..end].copy_from_slice(&to.to_le_bytes()[..end - at]);
                match open(1, &body, None, Checks::Safe) {
                    Err(error) => {
                        assert!(error.to_string().contains("$"), "{error}");
                        refused += 1;
                    }
                    Ok(table) => {
                        table.batches.iter().flat_map(|b| &b.columns).for_each(|c| walk(&body, c));
                        read += 1;
                        if table.batches.iter().all(|batch| batch.len < 1 << 16) {
                            let _ = table.record_batches(&Buffer::from_slice_ref(&body));
                        }
                    }
                }
                let _ = open(1, &body, None, Checks::Full);
            }
        }
    }
    assert!(refused > 1000 && read > 1000, "{refused} {read}");
}

/// P9: what is wrong with one buffer is told by its path, by default where a consumer would follow it, in full where it
/// would trip over it.
#[test]
fn faults_name_their_buffer() {
    let (body, table) = round_trip(&[batch(columns())]);
    let names: Vec<String> = table.schema.fields().iter().map(|f| f.name().clone()).collect();
    let column = |name: &str| {
        &table.batches[0].columns[names.iter().position(|found| found == name).unwrap()]
    };
    let place = |name: &str, number: usize| column(name).buffers[number].start;
    let big = i32::MAX.to_le_bytes();
    let cases: &[(&str, usize, &[u8], Checks, &str)] = &[
        ("utf8", place("utf8", 0) + 8, &big, Checks::Safe, "offsets"),
        ("utf8", place("utf8", 0) + 4 * 40, &[0; 4], Checks::Safe, "offsets"),
        ("large", place("large", 0), &[0xFF; 8], Checks::Safe, "offsets"),
        ("list", place("list", 0) + 16, &big, Checks::Safe, "offsets"),
        ("map", place("map", 0) + 16, &big, Checks::Safe, "offsets"),
        ("list_view", place("list_view", 1) + 4 * 5, &big, Checks::Safe, "offsets"),
        ("view", place("view", 0) + 16 * 2 + 8, &big, Checks::Safe, "views"),
        ("dictionary", place("dictionary", 0), &[0x70], Checks::Safe, "indices"),
        ("dictionary", place("dictionary", 0), &[0xFF], Checks::Safe, "indices"),
        ("sparse", place("sparse", 0) + 1, &[6], Checks::Safe, "types"),
        ("dense", place("dense", 1) + 4, &big, Checks::Safe, "offsets"),
        (
            "runs",
            column("runs").children[0].buffers[0].start + 2,
            &[1, 0],
            Checks::Safe,
            "run_ends",
        ),
        ("i64", column("i64").validity.clone().unwrap().start, &[0], Checks::Safe, "validity"),
        ("utf8", place("utf8", 1) + 4, &[0xFF], Checks::Full, "values"),
        ("view", place("view", 0) + 16 * 2 + 4, &[0xFF], Checks::Full, "views"),
    ];
    for (name, at, to, checks, what) in cases {
        let mut spoilt = body.clone();
        spoilt[*at..at + to.len()].copy_from_slice(to);
        let error = open(1, &spoilt, None, *checks).expect_err(name);
        assert_eq!(
            error.path().to_string(),
            format!("$.batches[0].columns.{name}.{what}"),
            "{error}"
        );
        assert!(error.offset() >= 64 && error.offset() < body.len(), "{error}");
        if *checks == Checks::Full {
            assert!(open(1, &spoilt, None, Checks::Safe).is_ok(), "{name}");
        }
    }
}

/// R2.5: what Arrow's messages have no form for says so, where it is, and what to do; in lists and structs, too.
#[test]
fn a_dictionary_of_dictionaries_is_refused() {
    let inner: DictionaryArray<Int32Type> = ["p", "q"].into_iter().collect();
    let double = DictionaryArray::<Int8Type>::new(Int8Array::from(vec![1, 0]), Arc::new(inner));
    let double: ArrayRef = Arc::new(double);
    let field = Arc::new(Field::new("x", double.data_type().clone(), true));
    let within: ArrayRef = Arc::new(StructArray::from(vec![(field, Arc::clone(&double))]));
    for (column, sent) in [("d", double), ("s", within)] {
        let sent = RecordBatch::try_from_iter([(column, sent)]).unwrap();
        let rows = [Rows::from(&sent)];
        let error = arrow::plan(&sent.schema(), &rows, SchemaPlace::Frame, None).unwrap_err();
        let fault = ArrowFault::DictionaryOfDictionary;
        assert!(
            matches!(error.kind(), EncodeErrorKind::Arrow { fault: found, .. } if found == fault)
        );
        assert_eq!(error.path().to_string(), format!("$.columns.{column}"));
        assert!(error.hint().contains("dictionary of plain values"), "{error}");
    }
}

/// P9: a view under a null is looked at as any other: libraries follow it.
#[test]
fn null_views_are_of_bytes_that_are_there() {
    let texts = [Some("a text that no view holds in itself"), None, Some("short"), None];
    for columns in [
        Arc::new(texts.into_iter().collect::<StringViewArray>()) as ArrayRef,
        Arc::new(
            texts.map(|text| text.map(str::as_bytes)).into_iter().collect::<BinaryViewArray>(),
        ),
    ] {
        let sent = RecordBatch::try_from_iter([("v", columns)]).unwrap();
        let (body, table) = round_trip(&[sent]);
        let views = table.batches[0].columns[0].buffers[0].start;
        for (row, len, buffer, offset, good) in [
            (1, 13, 0, 0x7000_0000, false),
            (1, 13, 1, 0, false),
            (3, 36, 0, 0, false),
            (3, -1, 0, 0, false),
            (3, 13, 0, -1, false),
            (3, 13, -1, 0, false),
            (3, 35, 0, 0, true),
            (1, 12, 77, -5, true),
        ] {
            let mut spoilt = body.clone();
            for (at, word) in [(0, len), (8, buffer), (12, offset)] {
                spoilt[views + 16 * row + at..][..4].copy_from_slice(&i32::to_le_bytes(word));
            }
            for checks in [Checks::Safe, Checks::Full] {
                let read = open(1, &spoilt, None, checks);
                assert_eq!(read.is_ok(), good, "{row} {len} {buffer} {offset}");
            }
        }
    }
}

/// P9: an index is of a value, whatever its width and sign and however many values there are; under a null it may be anything.
#[test]
fn indices_of_every_width_are_bounded() {
    use DataType::{Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64};
    let (mut good, mut bad) = (0, 0);
    for (key, width, signed) in [
        (Int8, 1, true),
        (UInt8, 1, false),
        (Int16, 2, true),
        (UInt16, 2, false),
        (Int32, 4, true),
        (UInt32, 4, false),
        (Int64, 8, true),
        (UInt64, 8, false),
    ] {
        for values in [0usize, 1, 127, 128, 129, 255, 256, 257, 32768, 40000, 65536, 70000] {
            let data_type = DataType::Dictionary(Box::new(key.clone()), Box::new(Int8));
            let indices = Buffer::from_vec(vec![0u8; 70 * width]);
            // The first two elements are null.
            let nulls = NullBuffer::from_iter((0..70).map(|row| row > 1 && values > 0));
            let child = Int8Array::from(vec![0; values]).into_data();
            let data = ArrayData::builder(data_type.clone()).len(70).nulls(Some(nulls));
            let data = data.add_buffer(indices).add_child_data(child).build().unwrap();
            let schema = Schema::new(vec![Field::new("d", data_type, true)]);
            let rows = Rows { len: 70, columns: vec![data] };
            let plan = arrow::plan(&schema, &[rows], SchemaPlace::Frame, None).unwrap();
            let mut body = vec![0; plan.body_len()];
            plan.write(&mut body, None).unwrap();
            let table = open(plan.flags(), &body, None, Checks::Safe).unwrap();
            let place = table.batches[0].columns[0].buffers[0].clone();
            let near = values as i128;
            for index in
                [near - 1, near, near + 1, -1, 1 << (8 * width - 1), (1 << (8 * width)) - 1]
            {
                for row in [0, 1, 2, 33, 69] {
                    let mut spoilt = body.clone();
                    let at = place.start + row * width;
                    let bytes = index.to_le_bytes();
                    spoilt[at..at + width].copy_from_slice(&bytes[..width]);
                    // As the key has it, without what is beyond its width.
                    let unused = 128 - 8 * width as u32;
                    let kept = match signed {
                        true => (index << unused) >> unused,
                        false => ((index as u128) << unused >> unused) as i128,
                    };
                    let fits = row < 2 || values == 0 || (0..near).contains(&kept);
                    let read = open(plan.flags(), &spoilt, None, Checks::Safe);
                    assert_eq!(read.is_ok(), fits, "{key} {index} of {values}, row {row}");
                    (good, bad) = (good + usize::from(fits), bad + usize::from(!fits));
                }
            }
        }
    }
    assert!(good > 500 && bad > 500, "{good} {bad}");
}

/// P9: what can't be read in place is refused by name: compressed buffers, another version, schemas that nest too deep.
#[test]
fn what_can_not_be_read_is_named() {
    let fault = |body: &[u8]| match open(1, body, None, Checks::Safe).unwrap_err().kind() {
        DecodeErrorKind::Arrow { fault, .. } => fault,
        other => panic!("{other:?}"),
    };
    let framed = |head: &[u8]| {
        let layout =
            slipring_codec::frame::Layout::new(Format::Arrow, head.len(), None, [64]).unwrap();
        let mut body = vec![0; layout.body_len()];
        let at = slipring_codec::frame::Layout::front(1, false);
        body[at..at + head.len()].copy_from_slice(head);
        layout.write(&mut body, at, None).unwrap();
        body
    };
    assert_eq!(fault(&framed(b"")), ArrowFault::SchemaMissing);
    assert_eq!(fault(&framed(&[0xFF; 32])), ArrowFault::Message);
    let schema = Schema::new(vec![Field::new("a", DataType::Int8, true)]);
    let message = arrow::schema_message(&schema);
    // A body that no message asks for.
    assert_eq!(fault(&framed(&message)), ArrowFault::Count);
    let mut deep = DataType::Int8;
    for _ in 0..100 {
        deep = DataType::List(Arc::new(Field::new("item", deep, true)));
    }
    let message = arrow::schema_message(&Schema::new(vec![Field::new("a", deep, true)]));
    assert!(matches!(
        fault(&framed(&message)),
        ArrowFault::TooDeep { limit: arrow::MAX_NESTING, .. } | ArrowFault::Message
    ));
}

/// P9: two fields may name one dictionary, and its values are of one type.
#[test]
fn a_dictionary_is_of_its_fields_type() {
    let keys = Int8Array::from(vec![0, 1]);
    let narrow: ArrayRef = Arc::new(Int8Array::from_iter_values(0..100));
    let wide: ArrayRef = Arc::new(Int64Array::from_iter_values(0..100));
    let of = |values| Arc::new(DictionaryArray::<Int8Type>::new(keys.clone(), values)) as ArrayRef;
    let batch = RecordBatch::try_from_iter([("a", of(narrow)), ("b", of(wide))]).unwrap();
    let (flags, body) = write(&batch.schema(), std::slice::from_ref(&batch), SchemaPlace::Frame);
    let mut refused = 0;
    // Each number that may be the second field's id becomes the first one's.
    for at in (0..body.len() - 8).step_by(4) {
        if body[at..at + 8] != 1u64.to_le_bytes() {
            continue;
        }
        let mut bent = body.clone();
        bent[at] = 0;
        match open(flags, &bent, None, Checks::Safe) {
            Err(error) => {
                let DecodeErrorKind::Arrow { fault, .. } = error.kind() else { continue };
                refused += usize::from(matches!(fault, ArrowFault::DictionaryType { .. }));
            }
            Ok(table) => {
                for (field, column) in table.schema.fields().iter().zip(&table.batches[0].columns) {
                    let DataType::Dictionary(_, of) = field.data_type() else { panic!() };
                    assert_eq!(column.dictionary.as_ref().unwrap().data_type, **of);
                }
            }
        }
    }
    assert!(refused > 0);
}

mod in_values {
    //! Tables as parts of values.

    use super::*;
    use slipring_codec::format::value::{self, Tables, write_table};
    use slipring_codec::{Decoder, Encoder, Token, Value, tag};

    fn planned(rows: i64) -> (RecordBatch, arrow::Plan) {
        let id = Arc::new(Int64Array::from_iter_values(0..rows)) as ArrayRef;
        let name = (0..rows).map(|n| (n % 3 != 0).then(|| format!("name {n}")));
        let name = Arc::new(name.collect::<StringViewArray>()) as ArrayRef;
        let batch = RecordBatch::try_from_iter([("id", id), ("name", name)]).unwrap();
        let plan =
            arrow::plan(&batch.schema(), &[Rows::from(&batch)], SchemaPlace::Frame, None).unwrap();
        (batch, plan)
    }

    /// R4.1, R1.4: in a frame its columns lie in buffers, however short; without one it is read from a copy.
    #[test]
    fn a_table_comes_back_from_a_value() {
        for rows in [0, 1, 3, 5000] {
            let (batch, plan) = planned(rows);
            let sent = Value::Map(vec![
                ("n".into(), 7i64.into()),
                ("frame".into(), Value::table(&plan).unwrap()),
                ("all".into(), Value::Array(vec![Value::table(&plan).unwrap(), Value::Null])),
            ]);
            let plan = value::plan(&sent, None).unwrap();
            let mut body = vec![0xEE; plan.body_len()];
            plan.write(&mut body).unwrap();
            let opened = Body::open(Format::Value.code(), plan.flags(), 0, &body).unwrap();
            let Content::Value(headed) = opened.content().unwrap() else { panic!("a value") };
            assert_eq!(headed.to_value().unwrap(), sent);
            assert_eq!(headed.buffers.len(), if rows == 0 { 0 } else { 2 });
            assert!(headed.buffers.iter().all(|buffer| buffer.offset % 64 == 0));

            let outline = headed.outline().unwrap();
            let Some(Value::Array(all)) = outline.get("all") else { panic!("a list") };
            for item in [outline.get("frame").unwrap(), &all[0]] {
                let (table, copy) = headed.table(item, Checks::Full).unwrap().unwrap();
                assert!(copy.is_none());
                let memory = Buffer::from_slice_ref(&body);
                assert_eq!(table.record_batches(&memory).unwrap(), std::slice::from_ref(&batch));
            }
            assert!(headed.table(&all[1], Checks::Full).unwrap().is_none());

            let read = Value::decode(&sent.to_vec().unwrap()).unwrap();
            assert_eq!(read, sent);
            let (table, memory) =
                read.get("frame").unwrap().to_table(Checks::Full).unwrap().unwrap();
            assert_eq!(table.record_batches(&memory).unwrap(), std::slice::from_ref(&batch));
            assert!(read.to_table(Checks::Safe).unwrap().is_none());
        }
    }

    /// P9: a table is what it should be or refused, and none has a buffer that another has.
    #[test]
    fn what_is_no_table_in_a_value_is_refused() {
        let bytes = |bytes: &[u8]| Value::Bytes(bytes.to_vec());
        let buffer = |number: i64| Value::Tag(tag::BUFFER, Box::new(number.into()));
        let unfit = [
            Value::Null,
            bytes(b""),
            Value::Array(vec![]),
            Value::Array(vec![Value::Null]),
            Value::Array(vec![bytes(b""), "text".into()]),
            Value::Array(vec![bytes(b""), buffer(3)]),
        ];
        for inner in unfit {
            let table = Value::Tag(tag::TABLE, Box::new(inner));
            let refused =
                |error: &DecodeError| matches!(error.kind(), DecodeErrorKind::TagContent { .. });
            assert!(refused(&table.to_table(Checks::Safe).unwrap_err()), "{table:?}");
            let encoded = table.to_vec().unwrap();
            let mut decoder = Decoder::new(&encoded);
            assert_eq!(decoder.token().unwrap(), Token::Tag(tag::TABLE));
            match Tables::default().read(&mut decoder) {
                Err(error) => assert!(refused(&error), "{table:?}"),
                // That there is no such buffer is for who has buffers.
                Ok((_, bodies)) => assert_eq!(bodies, [value::Bytes::Buffer(3)]),
            }
        }
        let mut encoder = Encoder::new();
        for number in [2, 5, 5, 4] {
            write_table(&mut encoder, b"", 1);
            encoder.tag(tag::BUFFER).uint(number);
        }
        let encoded = encoder.into_vec();
        let (mut decoder, mut tables) = (Decoder::new(&encoded), Tables::default());
        let mut read = || {
            assert_eq!(decoder.token().unwrap(), Token::Tag(tag::TABLE));
            tables.read(&mut decoder).map(|_| ())
        };
        assert!(read().is_ok() && read().is_ok());
        assert!(read().is_err(), "the one before has it");
        assert!(read().is_err(), "it was left out");
    }

    /// P9: whatever a word of it becomes, a table in a value is checked as one of a frame.
    #[test]
    fn any_word_changed_is_refused_or_harmless() {
        let (_, plan) = planned(40);
        let whole = Value::table(&plan).unwrap().to_vec().unwrap();
        let (mut refused, mut read) = (0, 0);
        for at in 0..whole.len() - 4 {
            for word in [0u32, 1, 0xFF, 0x7FFF_FFFF, 0xFFFF_FFFF] {
                let mut spoilt = whole.clone();
                spoilt[at..at + 4].copy_from_slice(&word.to_le_bytes());
                let Ok(value) = Value::decode(&spoilt) else { continue };
                match value.to_table(Checks::Safe) {
                    Err(_) | Ok(None) => refused += 1,
                    Ok(Some((table, memory))) => {
                        read += 1;
                        let _ = table.record_batches(&memory);
                    }
                }
            }
        }
        assert!(refused > 100 && read > 100, "{refused} and {read}");
    }
}
