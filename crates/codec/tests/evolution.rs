//! Schemas that change: the rules of `docs/evolution.md`, and what comes out where they hold.
#![cfg(feature = "arrow")]

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::builder::{Int32Builder, ListBuilder, MapBuilder, StringBuilder};
use arrow_array::types::{Int8Type, Int32Type};
use arrow_array::*;
use arrow_buffer::{Buffer, NullBuffer, i256};
use arrow_schema::{DataType, Field, Fields, Schema, TimeUnit};
use half::f16;
use slipring_codec::evolution::{
    ALIASES, ApplyErrorKind, DEFAULT, Incompatible, Projected, Reason, Version, arrange,
    compatible, fair, resolve,
};
use slipring_codec::format::arrow::{self, Checks, Rows, SchemaPlace, Table};
use slipring_codec::{Body, Content, Format};

#[path = "evolution/random.rs"]
mod random;

fn sent(batches: &[RecordBatch]) -> (Vec<u8>, Table) {
    let rows: Vec<Rows> = batches.iter().map(Rows::from).collect();
    let plan = arrow::plan(&batches[0].schema(), &rows, SchemaPlace::Frame, None).unwrap();
    let mut body = vec![0xEE; plan.body_len()];
    plan.write(&mut body, None).unwrap();
    let opened = Body::open(Format::Arrow.code(), plan.flags(), 0, &body).unwrap();
    let Content::Arrow(headed) = opened.content().unwrap() else { panic!("an arrow frame") };
    let table = arrow::read(&headed, None, Checks::Full).unwrap();
    (body, table)
}

fn named<'a>(version: u32, schema: &'a Schema) -> Version<'a> {
    Version::new("reading", version, schema)
}

/// Sends a batch and reads it by the other schema; what comes out was checked by arrow-rs from top to bottom.
fn read_as(batch: &RecordBatch, wanted: &Schema) -> (RecordBatch, Table, Projected) {
    let (body, table) = sent(std::slice::from_ref(batch));
    let projection = resolve(&named(1, &table.schema), &named(2, wanted)).unwrap();
    let projected = projection.apply(&table, &body, fair(body.len())).unwrap();
    let read = projected.record_batches(&Buffer::from_slice_ref(&body)).unwrap();
    assert_eq!(read.len(), 1);
    (read[0].clone(), table, projected)
}

fn one(name: &str, array: ArrayRef) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable([(name, array, true)]).unwrap()
}

fn refused(written: &Schema, wanted: &Schema) -> Incompatible {
    compatible(&named(1, written), &named(2, wanted)).unwrap_err()
}

fn with(field: Field, key: &str, value: &str) -> Field {
    field.with_metadata([(key.to_owned(), value.to_owned())])
}

/// The types that the document names, without those that have parameters of other kinds.
fn types() -> BTreeMap<String, DataType> {
    use DataType::*;
    let item = || Arc::new(Field::new("item", Int32, true));
    let mut all = BTreeMap::from(
        [
            ("bool", Boolean),
            ("int8", Int8),
            ("int16", Int16),
            ("int32", Int32),
            ("int64", Int64),
            ("uint8", UInt8),
            ("uint16", UInt16),
            ("uint32", UInt32),
            ("uint64", UInt64),
            ("float16", Float16),
            ("float32", Float32),
            ("float64", Float64),
            ("date32", Date32),
            ("date64", Date64),
            ("utf8", Utf8),
            ("large_utf8", LargeUtf8),
            ("utf8_view", Utf8View),
            ("binary", Binary),
            ("large_binary", LargeBinary),
            ("binary_view", BinaryView),
            ("fixed_size_binary", FixedSizeBinary(8)),
            ("list", List(item())),
            ("large_list", LargeList(item())),
            ("list_view", ListView(item())),
            ("large_list_view", LargeListView(item())),
            ("fixed_size_list", FixedSizeList(item(), 2)),
            ("interval", Interval(arrow_schema::IntervalUnit::MonthDayNano)),
        ]
        .map(|(name, data_type)| (name.to_owned(), data_type)),
    );
    let units = [
        ("s", TimeUnit::Second),
        ("ms", TimeUnit::Millisecond),
        ("us", TimeUnit::Microsecond),
        ("ns", TimeUnit::Nanosecond),
    ];
    for (number, (name, unit)) in units.into_iter().enumerate() {
        let time = if number < 2 { ("time32", Time32(unit)) } else { ("time64", Time64(unit)) };
        all.insert(format!("{}[{name}]", time.0), time.1);
        all.insert(format!("timestamp[{name}]"), Timestamp(unit, None));
        all.insert(format!("duration[{name}]"), Duration(unit));
    }
    all
}

/// R2.4, R5.4: of all pairs of types those can be widened that the document says, and no other.
#[test]
fn types_are_widened_as_the_document_says() {
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/evolution.md");
    let document = std::fs::read_to_string(document).unwrap();
    let (_, section) = document.split_once("### Widening\n").unwrap();
    let rows = section
        .lines()
        .skip_while(|line| !line.starts_with("| `"))
        .take_while(|line| line.starts_with('|'));
    let mut documented = BTreeMap::new();
    for row in rows {
        let names: Vec<&str> = row.split('`').skip(1).step_by(2).collect();
        documented.insert(names[0].to_owned(), names[1..].to_vec());
    }
    assert_eq!(documented.len(), 27);
    let types = types();
    for (name, to) in &documented {
        assert!(types.contains_key(name), "{name}");
        to.iter().for_each(|to| assert!(types.contains_key(*to), "{to}"));
    }
    for (from, was) in &types {
        for (to, wants) in &types {
            let schema =
                |data_type: &DataType| Schema::new(vec![Field::new("x", data_type.clone(), true)]);
            let found = compatible(&named(1, &schema(was)), &named(2, &schema(wants)));
            let expected =
                from == to || documented.get(from).is_some_and(|all| all.contains(&to.as_str()));
            assert_eq!(found.is_ok(), expected, "{from} to {to}");
            if let Err(refused) = found {
                let fault = &refused.faults[0];
                assert_eq!((&fault.was, &fault.wants), (&Some(was.clone()), &Some(wants.clone())));
                assert_eq!((fault.path.as_str(), &fault.reason), ("x", &Reason::Type));
            }
        }
    }
}

/// R2.4: each row of the document's table of changes, with what an old table then has.
#[test]
fn changes_are_allowed_as_the_document_says() {
    use DataType::{Float64, Int32, Int64, Utf8};
    let old = RecordBatch::try_from_iter_with_nullable([
        ("id", Arc::new(Int32Array::from(vec![1, 2])) as ArrayRef, false),
        ("temp", Arc::new(Float32Array::from(vec![Some(0.5), None])) as ArrayRef, true),
    ])
    .unwrap();
    let id = || Field::new("id", Int32, false);
    let temp = || Field::new("temp", DataType::Float32, true);
    let station = |nullable| Field::new("station", Utf8, nullable);
    // The change, the new columns, and what they are in the second row; or path and reason of the faults.
    type Expected = Result<&'static [&'static str], &'static [(&'static str, &'static str)]>;
    let changes: Vec<(&str, Vec<Field>, Expected)> = vec![
        ("none", vec![id(), temp()], Ok(&["2", ""])),
        ("add, nullable", vec![id(), temp(), station(true)], Ok(&["2", "", ""])),
        (
            "add, default",
            vec![id(), with(station(false), DEFAULT, "north"), temp()],
            Ok(&["2", "north", ""]),
        ),
        ("add, nullable with default", vec![with(station(true), DEFAULT, "north")], Ok(&["north"])),
        ("add, neither", vec![id(), temp(), station(false)], Err(&[("station", "missing")])),
        ("drop", vec![temp()], Ok(&[""])),
        ("drop all", vec![], Ok(&[])),
        ("reorder", vec![temp(), id()], Ok(&["", "2"])),
        (
            "rename, alias",
            vec![with(Field::new("nr", Int32, false), ALIASES, "number, id")],
            Ok(&["2"]),
        ),
        ("rename, none", vec![Field::new("nr", Int32, false)], Err(&[("nr", "missing")])),
        ("rename, nullable", vec![Field::new("nr", Int32, true)], Ok(&[""])),
        (
            "rename and widen",
            vec![with(Field::new("nr", Int64, false), ALIASES, "id"), temp()],
            Ok(&["2", ""]),
        ),
        ("widen", vec![Field::new("id", Float64, false)], Ok(&["2.0"])),
        ("narrow", vec![Field::new("temp", DataType::Float16, true)], Err(&[("temp", "type")])),
        ("other type", vec![Field::new("id", Utf8, false)], Err(&[("id", "type")])),
        ("let null", vec![Field::new("id", Int32, true)], Ok(&["2"])),
        (
            "forbid null",
            vec![Field::new("temp", DataType::Float32, false)],
            Err(&[("temp", "nullable")]),
        ),
        ("metadata", vec![with(id(), "unit", "none"), temp()], Ok(&["2", ""])),
        (
            "one column twice",
            vec![id(), with(Field::new("nr", Int32, false), ALIASES, "id")],
            Err(&[("nr", "ambiguous")]),
        ),
        (
            "no such default",
            vec![with(Field::new("n", Int32, true), DEFAULT, "many")],
            Err(&[("n", "default")]),
        ),
        (
            "everything at once",
            vec![Field::new("id", Utf8, false), station(false), Field::new("temp", Float64, false)],
            Err(&[("id", "type"), ("station", "missing"), ("temp", "nullable")]),
        ),
    ];
    for (change, fields, expected) in changes {
        let wanted = Schema::new(fields);
        match expected {
            Ok(row) => {
                let (read, ..) = read_as(&old, &wanted);
                assert_eq!(read.schema_ref().as_ref(), &wanted, "{change}");
                assert_eq!(read.num_rows(), 2, "{change}");
                let found: Vec<String> = read.columns().iter().map(|c| shown(c, 1)).collect();
                assert_eq!(found, row, "{change}");
            }
            Err(expected) => {
                let refused = refused(&old.schema(), &wanted);
                let found = refused.faults.iter().map(|f| (f.path.as_str(), f.reason.name()));
                assert_eq!(found.collect::<Vec<_>>(), expected, "{change}");
                for (path, _) in expected {
                    assert!(refused.to_string().contains(path), "{change}: {refused}");
                }
                let needed = "register a migration of \"reading\" from version 1 to 2";
                assert!(refused.to_string().ends_with(needed), "{change}: {refused}");
            }
        }
    }
}

/// An element as text; a null is nothing.
fn shown(array: &ArrayRef, row: usize) -> String {
    if array.is_null(row) {
        return String::new();
    }
    let debug = format!("{:?}", array.slice(row, 1));
    let line = debug.lines().nth(2).unwrap_or_default();
    line.trim().trim_end_matches(',').trim_matches('"').to_owned()
}

/// R2.4, R5.2: four versions of a schema; each reader gets the rows of each writer that is not newer than itself.
#[test]
fn each_version_reads_all_before_it() {
    let ids = || Arc::new(Int32Array::from(vec![7])) as ArrayRef;
    let wide_ids = || Arc::new(Int64Array::from(vec![7])) as ArrayRef;
    let text = |t: &str| Arc::new(StringArray::from(vec![t])) as ArrayRef;
    let id = |t| Field::new("id", t, false);
    let place = |name: &str| Field::new(name, DataType::Utf8, false);
    let moved = || with(place("location"), ALIASES, "place");
    let versions = [
        Schema::new(vec![id(DataType::Int32), place("place")]),
        Schema::new(vec![
            place("place"),
            id(DataType::Int32),
            Field::new("note", DataType::Utf8, true),
        ]),
        Schema::new(vec![moved(), id(DataType::Int64), Field::new("note", DataType::Utf8, true)]),
        Schema::new(vec![
            id(DataType::Int64),
            moved(),
            with(Field::new("level", DataType::Int8, false), DEFAULT, "3"),
        ]),
    ];
    let data: [Vec<ArrayRef>; 4] = [
        vec![ids(), text("hill")],
        vec![text("hill"), ids(), text("dry")],
        vec![text("hill"), wide_ids(), text("dry")],
        vec![wide_ids(), text("hill"), Arc::new(Int8Array::from(vec![9]))],
    ];
    let expected = [
        ["7 hill", "hill 7 ", "hill 7 ", "7 hill 3"],
        // A reader that is older gets what the rules give, or is refused.
        ["7 hill", "hill 7 dry", "hill 7 dry", "7 hill 3"],
        ["place missing", "place missing", "hill 7 dry", "7 hill 3"],
        ["place missing", "place missing", "hill 7 ", "7 hill 9"],
    ];
    for (writer, (schema, columns)) in versions.iter().zip(data).enumerate() {
        let batch = RecordBatch::try_new(Arc::new(schema.clone()), columns).unwrap();
        for (reader, wanted) in versions.iter().enumerate() {
            let expected = expected[writer][reader];
            let (from, to) = (writer as u32 + 1, reader as u32 + 1);
            let resolved = resolve(&named(from, schema), &named(to, wanted));
            let Some(column) = expected.strip_suffix(" missing") else {
                assert!(resolved.is_ok(), "{from} to {to}");
                let (read, ..) = read_as(&batch, wanted);
                let row: Vec<String> = read.columns().iter().map(|c| shown(c, 0)).collect();
                assert_eq!(row.join(" "), expected, "{from} to {to}");
                continue;
            };
            let refused = resolved.unwrap_err();
            assert!(writer > reader);
            let missing =
                refused.faults.iter().any(|f| f.path == column && f.reason == Reason::Missing);
            assert!(missing, "{refused}");
            assert!(refused.to_string().contains(&format!("version {to}, or have")), "{refused}");
        }
    }
}

/// R2.3, R14.2: what stays is not copied, and what is not expected not even looked at.
#[test]
fn what_stays_lies_in_the_frame() {
    let batch = RecordBatch::try_from_iter([
        ("a", Arc::new(Int64Array::from_iter_values(0..100)) as ArrayRef),
        ("b", Arc::new(Int32Array::from_iter_values(0..100)) as ArrayRef),
        ("c", Arc::new(StringArray::from_iter_values((0..100).map(|i| i.to_string()))) as ArrayRef),
    ])
    .unwrap();
    let field = |name: &str, t| Field::new(name, t, false);
    let wanted = Schema::new(vec![
        field("c", DataType::Utf8),
        field("b", DataType::Float64),
        with(field("x", DataType::Int64), ALIASES, "a"),
    ]);
    let (_, table, projected) = read_as(&batch, &wanted);
    let (was, now) = (&table.batches[0].columns, &projected.table.batches[0].columns);
    assert_eq!(now[0].buffers, was[2].buffers);
    assert_eq!(now[2].buffers, was[0].buffers);
    assert_eq!(projected.made.len(), 100 * 8, "of b alone");
    let resolved = resolve(&named(1, &table.schema), &named(2, &wanted)).unwrap();
    assert_eq!(resolved.made().collect::<Vec<_>>(), ["b"]);
    assert!(!resolved.is_identity());
    assert!(resolve(&named(1, &table.schema), &named(1, &table.schema)).unwrap().is_identity());
}

fn same<A: Array + 'static>(from: ArrayRef, to: &A) {
    let wanted = Schema::new(vec![Field::new("x", to.data_type().clone(), true)]);
    let (read, ..) = read_as(&one("x", from.clone()), &wanted);
    assert_eq!(
        read.column(0).to_data(),
        to.to_data(),
        "{} to {}",
        from.data_type(),
        to.data_type()
    );
    // An empty one, too.
    let (read, ..) = read_as(&one("x", from.slice(0, 0)), &wanted);
    assert_eq!(read.column(0).len(), 0);
}

/// R2.4: every widening, at the ends of what the type holds, with nulls.
#[test]
fn widened_values_are_the_same() {
    macro_rules! number {
        ($from:ty, $of:ty => $($to:ty, $as:ty);+) => {$(
            let values = [Some(<$of>::MIN), None, Some(<$of>::MAX), Some(0 as $of), Some(1 as $of)];
            let from: $from = values.iter().copied().collect();
            let to: $to = values.iter().map(|v| v.map(|v| v as $as)).collect();
            same(Arc::new(from), &to);
        )+};
    }
    number!(Int8Array, i8 => Int16Array, i16; Int32Array, i32; Int64Array, i64; Float32Array, f32; Float64Array, f64);
    number!(Int16Array, i16 => Int32Array, i32; Int64Array, i64; Float32Array, f32; Float64Array, f64);
    number!(Int32Array, i32 => Int64Array, i64; Float64Array, f64);
    number!(UInt8Array, u8 => UInt16Array, u16; UInt32Array, u32; UInt64Array, u64; Int16Array, i16; Int32Array, i32;
        Int64Array, i64; Float32Array, f32; Float64Array, f64);
    number!(UInt16Array, u16 => UInt32Array, u32; UInt64Array, u64; Int32Array, i32; Int64Array, i64; Float32Array, f32;
        Float64Array, f64);
    number!(UInt32Array, u32 => UInt64Array, u64; Int64Array, i64; Float64Array, f64);
    number!(Float32Array, f32 => Float64Array, f64);

    let halves = [f16::MAX, f16::MIN, f16::MIN_POSITIVE_SUBNORMAL, f16::INFINITY, f16::NEG_ZERO];
    let from = Float16Array::from_iter_values(halves);
    same(Arc::new(from.clone()), &Float32Array::from_iter_values(halves.map(f16::to_f32)));
    same(Arc::new(from), &Float64Array::from_iter_values(halves.map(f16::to_f64)));

    let days = Arc::new(Date32Array::from(vec![Some(-1), None, Some(19_000)]));
    same(days.clone(), &Date64Array::from(vec![Some(-86_400_000), None, Some(1_641_600_000_000)]));
    same(days.clone(), &TimestampSecondArray::from(vec![Some(-86_400), None, Some(1_641_600_000)]));
    same(
        days,
        &TimestampNanosecondArray::from(vec![
            Some(-86_400_000_000_000),
            None,
            Some(1_641_600_000_000_000_000),
        ]),
    );
    let seconds = Arc::new(Time32SecondArray::from(vec![Some(86_399), None]));
    same(seconds.clone(), &Time32MillisecondArray::from(vec![Some(86_399_000), None]));
    same(seconds, &Time64NanosecondArray::from(vec![Some(86_399_000_000_000), None]));
    let zoned =
        TimestampMillisecondArray::from(vec![Some(-5), None]).with_timezone("Europe/Berlin");
    let finer =
        TimestampMicrosecondArray::from(vec![Some(-5_000), None]).with_timezone("Europe/Berlin");
    same(Arc::new(zoned), &finer);
    same(
        Arc::new(DurationMicrosecondArray::from(vec![-7])),
        &DurationNanosecondArray::from(vec![-7_000]),
    );

    let digits = |v: i128, p, s| {
        Decimal128Array::from(vec![Some(v), None]).with_precision_and_scale(p, s).unwrap()
    };
    same(Arc::new(digits(12_345, 5, 2)), &digits(12_345, 9, 2));
    same(Arc::new(digits(-12_345, 5, 2)), &digits(-12_345_000, 9, 5));
    let wide = Decimal256Array::from(vec![Some(i256::from_i128(-12_345_000)), None]);
    same(Arc::new(digits(-12_345, 5, 2)), &wide.with_precision_and_scale(40, 5).unwrap());
    let narrow =
        Decimal32Array::from(vec![Some(-123), None]).with_precision_and_scale(4, 1).unwrap();
    let wide =
        Decimal64Array::from(vec![Some(-1_230), None]).with_precision_and_scale(12, 2).unwrap();
    same(Arc::new(narrow), &wide);

    let texts = || {
        vec![
            Some("a text that is longer than a view holds"),
            None,
            Some(""),
            Some("short"),
            Some("twelve bytes"),
        ]
    };
    same(Arc::new(StringArray::from(texts())), &LargeStringArray::from(texts()));
    same(Arc::new(StringArray::from(texts())), &StringViewArray::from(texts()));
    same(Arc::new(StringViewArray::from(texts())), &LargeStringArray::from(texts()));
    same(Arc::new(LargeStringArray::from(texts())), &StringArray::from(texts()));
    same(Arc::new(LargeStringArray::from(texts())), &StringViewArray::from(texts()));
    same(Arc::new(StringViewArray::from(texts())), &StringArray::from(texts()));
    let bytes = || texts().into_iter().map(|t| t.map(str::as_bytes)).collect::<Vec<_>>();
    same(Arc::new(BinaryArray::from(bytes())), &LargeBinaryArray::from(bytes()));
    same(Arc::new(BinaryArray::from(bytes())), &BinaryViewArray::from(bytes()));
    same(Arc::new(BinaryViewArray::from(bytes())), &LargeBinaryArray::from(bytes()));

    same(Arc::new(NullArray::new(3)), &StringArray::from(vec![None::<&str>; 3]));
    let dictionary: DictionaryArray<Int8Type> = texts().into_iter().collect();
    same(Arc::new(dictionary.clone()), &StringArray::from(texts()));
    same(Arc::new(dictionary.clone()), &StringViewArray::from(texts()));
    same(Arc::new(dictionary.clone()), &LargeStringArray::from(texts()));
    let wider: DictionaryArray<Int32Type> = texts().into_iter().collect();
    same(Arc::new(dictionary), &wider);
    // A dictionary with a null among its values, and of numbers.
    let keys = Int8Array::from(vec![Some(0), Some(1), None, Some(2)]);
    let values = Arc::new(Int16Array::from(vec![Some(5), None, Some(-5)]));
    let of_numbers = Arc::new(DictionaryArray::new(keys.clone(), values));
    same(of_numbers.clone(), &Int16Array::from(vec![Some(5), None, None, Some(-5)]));
    same(of_numbers, &Float64Array::from(vec![Some(5.0), None, None, Some(-5.0)]));
    let truths = Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)]));
    let truths = Arc::new(DictionaryArray::new(keys, truths));
    same(truths, &BooleanArray::from(vec![Some(true), None, None, Some(false)]));

    let lists = vec![Some(vec![Some(1), None]), None, Some(vec![]), Some(vec![Some(-3)])];
    let from = ListArray::from_iter_primitive::<Int32Type, _, _>(lists.clone());
    same(
        Arc::new(from.clone()),
        &LargeListArray::from_iter_primitive::<Int32Type, _, _>(lists.clone()),
    );
    let large = LargeListArray::from_iter_primitive::<Int32Type, _, _>(lists.clone());
    same(Arc::new(large), &from);
    let wide = lists
        .iter()
        .map(|l| l.as_ref().map(|l| l.iter().map(|i| i.map(i64::from)).collect::<Vec<_>>()));
    same(
        Arc::new(from),
        &LargeListArray::from_iter_primitive::<arrow_array::types::Int64Type, _, _>(wide),
    );
    let fixed = |t: ArrayRef| {
        let item = Arc::new(Field::new("item", t.data_type().clone(), true));
        FixedSizeListArray::new(item, 2, t, Some(NullBuffer::from(vec![true, false])))
    };
    same(
        Arc::new(fixed(Arc::new(UInt8Array::from(vec![1, 2, 3, 4])))),
        &fixed(Arc::new(UInt16Array::from(vec![1, 2, 3, 4]))),
    );
}

/// R2.4: what holds for columns holds within structs, lists and maps.
#[test]
fn columns_within_columns_evolve_too() {
    let inner = Fields::from(vec![
        Field::new("x", DataType::Int16, false),
        Field::new("old", DataType::Utf8, true),
        Field::new("gone", DataType::Boolean, true),
    ]);
    let points = StructArray::new(
        inner,
        vec![
            Arc::new(Int16Array::from(vec![1, 2, 3])),
            Arc::new(StringArray::from(vec![Some("a"), None, Some("c")])),
            Arc::new(BooleanArray::from(vec![true, true, false])),
        ],
        Some(NullBuffer::from(vec![true, true, false])),
    );
    let item = Arc::new(Field::new("item", points.data_type().clone(), true));
    let offsets = arrow_buffer::OffsetBuffer::from_lengths([2, 0, 1]);
    let lists = ListArray::new(item, offsets, Arc::new(points), None);
    let wanted = Fields::from(vec![
        with(Field::new("new", DataType::LargeUtf8, true), ALIASES, "old"),
        Field::new("x", DataType::Float64, false),
        with(Field::new("level", DataType::UInt8, false), DEFAULT, "255"),
        Field::new(
            "deep",
            DataType::Struct(Fields::from(vec![Field::new("n", DataType::Int8, false)])),
            true,
        ),
    ]);
    let element = |name: &str| Arc::new(Field::new(name, DataType::Struct(wanted.clone()), true));
    let schema =
        Schema::new(vec![Field::new("lists", DataType::LargeList(element("element")), true)]);
    let (read, ..) = read_as(&one("lists", Arc::new(lists.clone())), &schema);
    let read = read.column(0).as_any().downcast_ref::<LargeListArray>().unwrap().values().clone();
    let read = read.as_any().downcast_ref::<StructArray>().unwrap();
    assert_eq!(read.nulls().unwrap().iter().collect::<Vec<_>>(), [true, true, false]);
    assert_eq!(
        read.column(0).to_data(),
        LargeStringArray::from(vec![Some("a"), None, Some("c")]).to_data()
    );
    assert_eq!(read.column(1).to_data(), Float64Array::from(vec![1.0, 2.0, 3.0]).to_data());
    assert_eq!(read.column(2).to_data(), UInt8Array::from(vec![255; 3]).to_data());
    assert_eq!(read.column(3).null_count(), 3);

    let mut fields = wanted.to_vec();
    fields[1] = Arc::new(Field::new("x", DataType::Int8, false));
    let worse = Arc::new(Field::new("item", DataType::Struct(fields.into()), false));
    let refused = refused(
        &Schema::new(vec![Field::new("lists", lists.data_type().clone(), true)]),
        &Schema::new(vec![Field::new("lists", DataType::List(worse), true)]),
    );
    let found: Vec<_> = refused.faults.iter().map(|f| (f.path.as_str(), f.reason.name())).collect();
    assert_eq!(found, [("lists[]", "nullable"), ("lists[].x", "type")]);

    let mut maps = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
    maps.keys().append_value("k");
    maps.values().append_value(4);
    maps.append(true).unwrap();
    maps.append(false).unwrap();
    let maps = maps.finish();
    let entries = |value| {
        let fields =
            vec![Field::new("key", DataType::LargeUtf8, false), Field::new("value", value, true)];
        let entries = Field::new("entries", DataType::Struct(fields.into()), false);
        Schema::new(vec![Field::new("m", DataType::Map(Arc::new(entries), false), true)])
    };
    let (read, ..) = read_as(&one("m", Arc::new(maps.clone())), &entries(DataType::Int64));
    let read = read.column(0).as_any().downcast_ref::<MapArray>().unwrap();
    assert_eq!(read.values().to_data(), Int64Array::from(vec![4]).to_data());
    assert_eq!(read.keys().to_data(), LargeStringArray::from(vec!["k"]).to_data());
    let written = Schema::new(vec![Field::new("m", maps.data_type().clone(), true)]);
    let refused = self::refused(&written, &entries(DataType::Int8));
    assert_eq!(refused.faults[0].path, "m{}");
}

/// R5.5, R9.1: a value that the finer type has no place for is an error that says which, unless it is under a null.
#[test]
fn a_value_beyond_the_type_is_named() {
    let far = i64::MAX / 1_000 + 1;
    let wanted = |t| Schema::new(vec![Field::new("at", t, true)]);
    let nanos = wanted(DataType::Timestamp(TimeUnit::Nanosecond, None));
    let apply = |array: ArrayRef, wanted: &Schema| {
        let (body, table) = sent(&[one("at", array)]);
        let projection = resolve(&named(1, &table.schema), &named(2, wanted)).unwrap();
        projection.apply(&table, &body, fair(body.len()))
    };
    let error = apply(Arc::new(TimestampMicrosecondArray::from(vec![0, far])), &nanos).unwrap_err();
    assert_eq!(error.path, "at");
    assert!(matches!(error.kind, ApplyErrorKind::OutOfRange { row: 1, .. }), "{error}");
    let under_null = TimestampMicrosecondArray::new(
        vec![0, far].into(),
        Some(NullBuffer::from(vec![true, false])),
    );
    let projected = apply(Arc::new(under_null), &nanos).unwrap();
    assert_eq!(projected.table.batches[0].columns[0].null_count, 1);

    // Nobody checks that decimals keep their precision: this one does not.
    let digits = Decimal128Array::from(vec![i128::MAX]).with_data_type(DataType::Decimal128(5, 0));
    let error = apply(Arc::new(digits), &wanted(DataType::Decimal128(9, 2))).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("column at: element 0 is beyond what Decimal128(9, 2) can hold"),
        "{error}"
    );
}

/// R9.2: what a frame claims and has not paid for is not made.
#[test]
fn rows_that_nobody_paid_for_are_not_made() {
    let (body, table) = sent(&[one("nothing", Arc::new(NullArray::new(1 << 40)))]);
    let number = Field::new("nothing", DataType::Int64, true);
    let many = DataType::FixedSizeList(Arc::new(number.clone()), i32::MAX);
    let default = with(Field::new("n", DataType::Int64, false), DEFAULT, "1");
    let text = with(Field::new("t", DataType::LargeUtf8, false), DEFAULT, "text");
    for field in [number, Field::new("x", many, true), default, text] {
        let wanted = Schema::new(vec![field]);
        let projection = resolve(&named(1, &table.schema), &named(2, &wanted)).unwrap();
        let error = projection.apply(&table, &body, fair(body.len())).unwrap_err();
        assert!(matches!(error.kind, ApplyErrorKind::TooMuch { .. }), "{error}");
    }
    // A dictionary that stands for a hundred thousand times its size.
    let long = "x".repeat(100_000);
    let values = Arc::new(StringArray::from(vec![long.as_str()]));
    let dictionary = DictionaryArray::new(Int8Array::from(vec![0; 100_000]), values);
    let (body, table) = sent(&[one("d", Arc::new(dictionary))]);
    let wanted = Schema::new(vec![Field::new("d", DataType::LargeUtf8, true)]);
    let projection = resolve(&named(1, &table.schema), &named(2, &wanted)).unwrap();
    let error = projection.apply(&table, &body, fair(body.len())).unwrap_err();
    assert!(matches!(error.kind, ApplyErrorKind::TooMuch { .. }), "{error}");
    let views = Schema::new(vec![Field::new("d", DataType::Utf8View, true)]);
    let projection = resolve(&named(1, &table.schema), &named(2, &views)).unwrap();
    let projected = projection.apply(&table, &body, fair(body.len())).unwrap();
    assert!(projected.made.len() < 2_000_000, "views of one text");
}

/// A table is projected by the projection of its own schema only.
#[test]
fn another_table_is_refused() {
    let (body, table) = sent(&[one("x", Arc::new(Int32Array::from(vec![1])))]);
    let other = Schema::new(vec![Field::new("x", DataType::Utf8, true)]);
    let projection = resolve(&named(1, &other), &named(2, &other)).unwrap();
    let error = projection.apply(&table, &body, 1 << 20).unwrap_err();
    assert_eq!(error.kind, ApplyErrorKind::OtherTable);
}

/// A batch that shares a dictionary with others makes its values once.
#[test]
fn shared_dictionaries_are_made_once() {
    let values: ArrayRef =
        Arc::new(StringArray::from_iter_values((0..1000).map(|i| format!("value {i}"))));
    let batch = || {
        let keys = Int32Array::from_iter_values([1, 2, 3]);
        one("d", Arc::new(DictionaryArray::new(keys, values.clone())))
    };
    let (body, table) = sent(&[batch(), batch(), batch()]);
    let wanted = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::LargeUtf8));
    let wanted = Schema::new(vec![Field::new("d", wanted, true)]);
    let projection = resolve(&named(1, &table.schema), &named(2, &wanted)).unwrap();
    let projected = projection.apply(&table, &body, fair(body.len())).unwrap();
    assert_eq!(projected.made.len(), 1001 * 8);
    assert_eq!(projected.record_batches(&Buffer::from_slice_ref(&body)).unwrap().len(), 3);
}

/// Columns that share a name are told apart by their order, as long as there are as many of them.
#[test]
fn columns_of_one_name_keep_their_order() {
    let twice = |second| {
        Schema::new(vec![Field::new("x", DataType::Int32, true), Field::new("x", second, true)])
    };
    let columns: Vec<ArrayRef> =
        vec![Arc::new(Int32Array::from(vec![1])), Arc::new(Int8Array::from(vec![2]))];
    let batch = RecordBatch::try_new(Arc::new(twice(DataType::Int8)), columns).unwrap();
    let (read, ..) = read_as(&batch, &twice(DataType::Int16));
    assert_eq!((shown(read.column(0), 0), shown(read.column(1), 0)), ("1".into(), "2".into()));
    let once = Schema::new(vec![Field::new("x", DataType::Int32, true)]);
    assert_eq!(refused(&batch.schema(), &once).faults[0].reason.name(), "ambiguous");
}

/// R5.5: a table that is sent is held against what was announced: names and types, in any order.
#[test]
fn what_is_sent_must_be_what_was_announced() {
    let pair = |a: &str, b: &str| {
        let fields = [a, b].map(|name| Field::new(name, DataType::Int32, true));
        DataType::Struct(fields.to_vec().into())
    };
    let announced = Schema::new(vec![
        Field::new("id", DataType::Int32, false),
        Field::new("at", pair("lat", "lon"), true),
    ]);
    let announced = Version::new("place", 3, &announced);
    let given = Schema::new(vec![
        Field::new("at", pair("lat", "lon"), true),
        with(Field::new("id", DataType::Int32, true), "unit", "none"),
    ]);
    assert_eq!(arrange(&given, &announced).unwrap(), [1, 0]);
    // A struct's fields of the same types in another order are another struct.
    let given = Schema::new(vec![
        Field::new("at", pair("lon", "lat"), true),
        Field::new("id", DataType::Int64, false),
        Field::new("more", DataType::Int8, false),
    ]);
    let refused = arrange(&given, &announced).unwrap_err();
    let found: Vec<_> = refused.faults.iter().map(|f| (f.path.as_str(), f.reason.name())).collect();
    assert_eq!(found, [("id", "type"), ("at", "type"), ("more", "unknown")]);
    assert!(
        refused.to_string().ends_with("send what was announced, or announce it as version 4"),
        "{refused}"
    );
}

/// R9.2: a frame that is changed after it was checked gives an error or other values, and leads nowhere.
#[test]
fn a_changed_frame_leads_nowhere() {
    let texts: Vec<Option<String>> = (0..50).map(|i| (i % 7 != 0).then(|| "é".repeat(i))).collect();
    let mut lists = ListBuilder::new(Int32Builder::new());
    (0..50).for_each(|i| lists.append_value((0..i % 5).map(Some)));
    let dictionary: DictionaryArray<Int8Type> =
        texts.iter().map(|t| t.as_deref().map(|t| &t[..t.len().min(8)])).collect();
    let wide = |t: DataType| Arc::new(Field::new("item", t, true));
    let cases: Vec<(ArrayRef, DataType)> = vec![
        (Arc::new(StringArray::from(texts.clone())), DataType::LargeUtf8),
        (Arc::new(StringArray::from(texts.clone())), DataType::Utf8View),
        (Arc::new(LargeStringArray::from(texts.clone())), DataType::Utf8),
        (
            Arc::new(texts.iter().map(Option::as_deref).collect::<StringViewArray>()),
            DataType::LargeUtf8,
        ),
        (Arc::new(lists.finish()), DataType::LargeList(wide(DataType::Int64))),
        (Arc::new(dictionary.clone()), DataType::Utf8),
        (Arc::new(dictionary.clone()), DataType::Utf8View),
        (
            Arc::new(dictionary),
            DataType::Dictionary(Box::new(DataType::Int64), Box::new(DataType::LargeUtf8)),
        ),
    ];
    let mut changed = 0;
    for (array, wants) in cases {
        let (body, table) = sent(&[one("x", array)]);
        let wanted = Schema::new(vec![Field::new("x", wants, true)]);
        let projection = resolve(&named(1, &table.schema), &named(2, &wanted)).unwrap();
        for at in 0..body.len() {
            let mut body = body.clone();
            for byte in [0x7F, 0x80, 0xFF] {
                body[at] = byte;
                changed += usize::from(projection.apply(&table, &body, fair(body.len())).is_err());
            }
        }
        // A body that is cut is another one.
        assert!(projection.apply(&table, &body[..64], 1 << 20).is_err());
    }
    assert!(changed > 500, "{changed} were noticed");
}
