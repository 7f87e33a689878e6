//! Tables as what was announced, before they are sent; and the defaults of what is announced.
#![cfg(feature = "arrow")]

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_array::builder::{Int32Builder, ListBuilder, MapBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Int8Type, UInt32Type};
use arrow_array::*;
use arrow_schema::{DataType, Field, Schema, TimeUnit, UnionFields};
use slipring_codec::evolution::{
    ALIASES, ApplyErrorKind, Constant, DEFAULT, Incompatible, Projected, Unfit, Version,
    default_of, defaults, fit, laid_out, null_rows, slice, tightened,
};
use slipring_codec::format::arrow::Rows;

fn with(field: Field, key: &str, value: &str) -> Field {
    field.with_metadata([(key.to_owned(), value.to_owned())])
}

fn field(name: &str, data_type: DataType, nullable: bool) -> Field {
    Field::new(name, data_type, nullable)
}

/// The tables under `announced`, version 2 of "reading", each as a batch again.
fn sent(
    batches: &[RecordBatch],
    announced: &Schema,
    inferred: bool,
) -> Result<Vec<RecordBatch>, Unfit> {
    let rows: Vec<Rows> = batches.iter().map(Rows::from).collect();
    let wanted = Version::new("reading", 2, announced);
    let (schema, rows) = fit(&batches[0].schema(), &rows, &wanted, inferred)?;
    let names = |schema: &Schema| -> Vec<String> {
        schema.fields().iter().map(|field| field.name().clone()).collect()
    };
    assert_eq!(names(&schema), names(announced));
    // Of the very types, or of such as lie the same way, and mean the same under the announced ones.
    let fields = schema.fields().iter().map(|field| Field::clone(field).with_nullable(true));
    let fields = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let batch = |rows: &Rows| {
        let columns = rows.columns.iter().map(|data| make_array(data.clone())).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len));
        RecordBatch::try_new_with_options(Arc::clone(&fields), columns, &options)
    };
    Ok(rows.iter().map(|rows| batch(rows).expect("arrow-rs takes it")).collect())
}

fn refused(unfit: Unfit) -> Incompatible {
    match unfit {
        Unfit::Schema(found) => found,
        other => panic!("{other:?}"),
    }
}

fn reasons(found: &Incompatible) -> Vec<(&str, &str)> {
    found.faults.iter().map(|fault| (&*fault.path, fault.reason.name())).collect()
}

fn table(columns: impl IntoIterator<Item = (&'static str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, column)| (name, column, true)),
    )
    .expect("columns of one length")
}

/// The types of the document's table of widening, with what each may be expected as.
fn documented() -> (BTreeSet<String>, BTreeSet<(String, String)>) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/evolution.md");
    let document = std::fs::read_to_string(path).expect("the document");
    let (_, section) = document.split_once("### Widening\n").expect("its section");
    let rows = section.lines().skip_while(|line| !line.starts_with("| `"));
    let (mut types, mut pairs) = (BTreeSet::new(), BTreeSet::new());
    for row in rows.take_while(|line| line.starts_with('|')) {
        let mut names = row.split('`').skip(1).step_by(2).map(str::to_owned);
        let from = names.next().expect("what was written");
        for to in names {
            types.extend([from.clone(), to.clone()]);
            pairs.insert((from.clone(), to));
        }
    }
    (types, pairs)
}

fn by_name(name: &str) -> DataType {
    use DataType::*;
    let item = Arc::new(field("item", Int32, true));
    let (head, unit) = name.split_once('[').unwrap_or((name, ""));
    let unit = match unit {
        "s]" => TimeUnit::Second,
        "ms]" => TimeUnit::Millisecond,
        "us]" => TimeUnit::Microsecond,
        _ => TimeUnit::Nanosecond,
    };
    match head {
        "int8" => Int8,
        "int16" => Int16,
        "int32" => Int32,
        "int64" => Int64,
        "uint8" => UInt8,
        "uint16" => UInt16,
        "uint32" => UInt32,
        "uint64" => UInt64,
        "float16" => Float16,
        "float32" => Float32,
        "float64" => Float64,
        "date32" => Date32,
        "date64" => Date64,
        "time32" => Time32(unit),
        "time64" => Time64(unit),
        "timestamp" => Timestamp(unit, None),
        "duration" => Duration(unit),
        "utf8" => Utf8,
        "large_utf8" => LargeUtf8,
        "utf8_view" => Utf8View,
        "binary" => Binary,
        "large_binary" => LargeBinary,
        "binary_view" => BinaryView,
        "list" => List(item),
        "large_list" => LargeList(item),
        "list_view" => ListView(item),
        "large_list_view" => LargeListView(item),
        other => panic!("{other} is no type that this test knows"),
    }
}

/// R5.5, R8.1: what is sent is converted as what is read is, for each pair of types; and to nothing else.
#[test]
fn types_are_converted_as_the_document_says() {
    let (types, pairs) = documented();
    assert_eq!((types.len(), pairs.len()), (35, 69));
    for given in &types {
        for announced in &types {
            let (from, to) = (by_name(given), by_name(announced));
            let null = table([("x", new_null_array(&from, 2))]);
            let result = sent(&[null], &Schema::new(vec![field("x", to, true)]), false);
            let may = given == announced || pairs.contains(&(given.clone(), announced.clone()));
            match result {
                Ok(batches) => {
                    assert!(may, "{given} as {announced}");
                    assert_eq!(batches[0].column(0).logical_null_count(), 2);
                }
                Err(unfit) => {
                    assert!(!may, "{given} as {announced}: {unfit:?}");
                    assert_eq!(reasons(&refused(unfit)), [("x", "type")], "{given} as {announced}");
                }
            }
        }
    }
}

/// R2.4, R5.5: each version of a table under each announced version, with types of its own and with types that were only inferred.
#[test]
fn each_version_is_sent_under_each() {
    use DataType::{Float32, Float64, Int8, Int32, Int64, Utf8};
    let ids = || Arc::new(Int32Array::from(vec![7, 8])) as ArrayRef;
    let wide_ids = || Arc::new(Int64Array::from(vec![7, 8])) as ArrayRef;
    let temp = || Arc::new(Float32Array::from(vec![Some(0.5), None])) as ArrayRef;
    let wide_temp = || Arc::new(Float64Array::from(vec![Some(0.5), None])) as ArrayRef;
    let note = || Arc::new(StringArray::from(vec![None, Some("dry")])) as ArrayRef;
    let level = || Arc::new(Int8Array::from(vec![1, 2])) as ArrayRef;
    let versions = [
        (
            vec![field("id", Int32, false), field("temp", Float32, true)],
            table([("id", ids()), ("temp", temp())]),
        ),
        // In another order, and wider.
        (
            vec![field("temp", Float64, true), field("id", Int64, false)],
            table([("temp", wide_temp()), ("id", wide_ids())]),
        ),
        // With one that may be missing.
        (
            vec![
                field("temp", Float64, true),
                field("id", Int64, false),
                field("note", Utf8, true),
            ],
            table([("temp", wide_temp()), ("id", wide_ids()), ("note", note())]),
        ),
        // Renamed, and with a default.
        (
            vec![
                with(field("number", Int64, false), ALIASES, "id"),
                field("temp", Float64, true),
                with(field("level", Int8, false), DEFAULT, "9"),
            ],
            table([("number", wide_ids()), ("temp", wide_temp()), ("level", level())]),
        ),
    ];
    const SAME: &[(&str, &str)] = &[];
    let narrow: &[(&str, &str)] = &[("id", "type"), ("temp", "type")];
    // By the given version, then by the announced one.
    let given_types: [[&[(&str, &str)]; 4]; 4] = [
        [
            SAME,
            SAME,
            // What would be converted is not among what stands in the way.
            &[("note", "missing")],
            &[("number", "missing"), ("level", "missing"), ("id", "unknown")],
        ],
        [
            narrow,
            SAME,
            &[("note", "missing")],
            &[("number", "missing"), ("level", "missing"), ("id", "unknown")],
        ],
        [
            &[("id", "type"), ("temp", "type"), ("note", "unknown")],
            &[("note", "unknown")],
            SAME,
            &[("number", "missing"), ("level", "missing"), ("id", "unknown"), ("note", "unknown")],
        ],
        [
            &[("id", "missing"), ("temp", "type"), ("number", "unknown"), ("level", "unknown")],
            &[("id", "missing"), ("number", "unknown"), ("level", "unknown")],
            &[("id", "missing"), ("note", "missing"), ("number", "unknown"), ("level", "unknown")],
            SAME,
        ],
    ];
    for (given, (_, batch)) in versions.iter().enumerate() {
        for (announced, (fields, own)) in versions.iter().enumerate() {
            let wanted = Schema::new(fields.clone());
            let case = format!("{} under {}", given + 1, announced + 1);
            let pieces = [batch.clone(), batch.slice(1, 1), batch.slice(0, 0)];
            let expected = given_types[given][announced];
            match sent(&pieces, &wanted, false) {
                Ok(batches) => {
                    assert!(expected.is_empty(), "{case}");
                    for (piece, range) in batches.iter().zip([(0, 2), (1, 1), (0, 0)]) {
                        let own = own.slice(range.0, range.1);
                        for (column, field) in piece.columns().iter().zip(piece.schema().fields()) {
                            assert_eq!(
                                column,
                                own.column_by_name(field.name()).expect("it is its own"),
                                "{case}"
                            );
                        }
                    }
                }
                Err(unfit) => {
                    let found = refused(unfit);
                    assert_eq!(reasons(&found), expected, "{case}");
                    assert_eq!((found.written, found.wanted), (2, 2));
                    let told = found.to_string();
                    assert!(told.starts_with("the table does not fit what was announced as \"reading\", version 2: column "), "{told}");
                    assert!(
                        told.ends_with("; send what was announced, or announce it as version 3"),
                        "{told}"
                    );
                }
            }
        }
    }
    // Of types that were only inferred columns that may be null may be missing, and integers go where they have a place.
    let fourth = Schema::new(versions[3].0.clone());
    let third = Schema::new(versions[2].0.clone());
    let got = sent(&[versions[1].1.clone()], &third, true).expect("the note is missing");
    assert_eq!(got[0].column(2).null_count(), 2);
    let got = sent(&[versions[1].1.clone()], &Schema::new(versions[0].0.clone()), true);
    assert_eq!(reasons(&refused(got.unwrap_err())), [("temp", "type")], "a float is cut nowhere");
    let got = sent(&[table([("number", wide_ids())])], &fourth, true)
        .expect("both others may be missing");
    assert_eq!(got[0].column(1).null_count(), 2);
    assert_eq!(got[0].column(2).as_ref(), &Int8Array::from(vec![9, 9]) as &dyn Array);
    // What it may not be is found by its own name only.
    assert_eq!(
        reasons(&refused(sent(&[versions[1].1.clone()], &fourth, true).unwrap_err())).last(),
        Some(&("id", "unknown"))
    );
    let none = RecordBatch::new_empty(Arc::new(Schema::empty()));
    assert_eq!(sent(&[none], &fourth, true).expect("no records at all").len(), 0);
    let none = RecordBatch::new_empty(Arc::new(Schema::empty()));
    assert!(sent(&[none], &fourth, false).is_err());
}

/// R5.5, R8.1: columns within columns, dictionaries, nulls alone: nothing is dropped, made up or cut.
#[test]
fn columns_within_columns_are_whole() {
    use DataType::{Int32, Int64, Utf8};
    let pair = |names: &[&str], of: DataType| {
        let fields: Vec<Field> = names.iter().map(|name| field(name, of.clone(), true)).collect();
        DataType::Struct(fields.into())
    };
    let structs = |names: &[&str]| {
        let columns = names.iter().zip(1..).map(|(name, number)| {
            (
                Arc::new(field(name, Int32, true)),
                Arc::new(Int32Array::from(vec![number, number])) as ArrayRef,
            )
        });
        Arc::new(StructArray::from(columns.collect::<Vec<_>>())) as ArrayRef
    };
    let mut lists = ListBuilder::new(Int32Builder::new());
    lists.append_value([Some(1), None]);
    lists.append_null();
    let lists = Arc::new(lists.finish()) as ArrayRef;
    let mut maps = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
    maps.keys().append_value("a");
    maps.values().append_value(1);
    maps.append(true).expect("a key for each value");
    maps.append(true).expect("none");
    let maps = Arc::new(maps.finish()) as ArrayRef;
    let DataType::Map(entries, _) = maps.data_type() else { panic!("a map") };
    let DataType::Struct(entry) = entries.data_type() else { panic!("of entries") };
    let wide = [Arc::clone(&entry[0]), Arc::new(Field::clone(&entry[1]).with_data_type(Int64))];
    let wide_map = DataType::Map(
        Arc::new(Field::clone(entries).with_data_type(DataType::Struct(wide.to_vec().into()))),
        false,
    );
    let words: DictionaryArray<Int8Type> = [Some("a"), None].into_iter().collect();
    let words = Arc::new(words) as ArrayRef;
    let dictionary = |index, of| DataType::Dictionary(Box::new(index), Box::new(of));
    let item = |of| Arc::new(field("item", of, true));
    let cases: Vec<(&str, ArrayRef, DataType, Result<&str, &str>)> = vec![
        ("struct, widened", structs(&["a", "b"]), pair(&["a", "b"], Int64), Ok("{a: 1, b: 2}")),
        (
            "struct, another order",
            structs(&["a", "b"]),
            pair(&["b", "a"], Int32),
            Ok("{b: 2, a: 1}"),
        ),
        ("struct, one dropped", structs(&["a", "b"]), pair(&["a"], Int32), Err("type")),
        ("struct, one made up", structs(&["a"]), pair(&["a", "b"], Int32), Err("type")),
        ("list, widened", Arc::clone(&lists), DataType::List(item(Int64)), Ok("[1, ]")),
        ("list, larger", Arc::clone(&lists), DataType::LargeList(item(Int32)), Ok("[1, ]")),
        ("list of others", Arc::clone(&lists), DataType::List(item(Utf8)), Err("type")),
        ("map, widened", Arc::clone(&maps), wide_map, Ok("{a: 1}")),
        ("map, as a list", Arc::clone(&maps), DataType::List(item(Int32)), Err("type")),
        ("dictionary, its values", Arc::clone(&words), Utf8, Ok("a")),
        ("dictionary, larger", Arc::clone(&words), DataType::LargeUtf8, Ok("a")),
        (
            "dictionary, wider",
            Arc::clone(&words),
            dictionary(DataType::Int16, DataType::LargeUtf8),
            Ok("a"),
        ),
        (
            "texts, as a dictionary",
            Arc::new(StringArray::from(vec!["a", "b"])),
            dictionary(DataType::Int8, Utf8),
            Ok("a"),
        ),
        ("nulls alone", Arc::new(NullArray::new(2)), pair(&["a"], Int32), Ok("")),
        ("nulls alone, as texts", Arc::new(NullArray::new(2)), Utf8, Ok("")),
    ];
    for (case, column, announced, expected) in cases {
        // With a second column that is as it was announced.
        let given =
            table([("keep", Arc::new(Int8Array::from(vec![5, 6])) as ArrayRef), ("x", column)]);
        let announced =
            Schema::new(vec![field("x", announced, true), field("keep", DataType::Int8, false)]);
        match (sent(&[given], &announced, false), expected) {
            (Ok(batches), Ok(expected)) => {
                let batch = &batches[0];
                assert_eq!(shown(batch.column(0)), expected, "{case}");
                assert_eq!(
                    batch.column(1).as_ref(),
                    &Int8Array::from(vec![5, 6]) as &dyn Array,
                    "{case}"
                );
            }
            (Err(unfit), Err(reason)) => {
                let found = refused(unfit);
                let (path, found) = reasons(&found)[0];
                assert!(path.starts_with('x') && found == reason, "{case}: {path} {found}");
            }
            (found, _) => panic!("{case}: {found:?}"),
        }
    }
}

/// The first element as text; a null is nothing.
fn shown(array: &ArrayRef) -> String {
    let of = |array: &ArrayRef| match array.len() {
        0 => String::new(),
        _ => shown(&array.slice(0, 1)),
    };
    if array.logical_nulls().is_some_and(|nulls| nulls.is_null(0)) {
        return String::new();
    }
    match array.data_type() {
        DataType::Int32 => array.as_primitive::<types::Int32Type>().value(0).to_string(),
        DataType::Int64 => array.as_primitive::<types::Int64Type>().value(0).to_string(),
        DataType::Utf8 => array.as_string::<i32>().value(0).to_owned(),
        DataType::LargeUtf8 => array.as_string::<i64>().value(0).to_owned(),
        DataType::Utf8View => array.as_string_view().value(0).to_owned(),
        DataType::Dictionary(..) => {
            let words = array.as_any_dictionary();
            shown(&words.values().slice(words.normalized_keys()[0], 1))
        }
        DataType::List(_) | DataType::LargeList(_) => {
            let items = match array.data_type() {
                DataType::List(_) => array.as_list::<i32>().value(0),
                _ => array.as_list::<i64>().value(0),
            };
            let items: Vec<String> = (0..items.len()).map(|at| of(&items.slice(at, 1))).collect();
            format!("[{}]", items.join(", "))
        }
        DataType::Map(..) => {
            let entry = array.as_map().value(0);
            format!("{{{}: {}}}", of(entry.column(0)), of(entry.column(1)))
        }
        DataType::Struct(fields) => {
            let columns = fields.iter().zip(array.as_struct().columns());
            let columns =
                columns.map(|(field, column)| format!("{}: {}", field.name(), of(column)));
            format!("{{{}}}", columns.collect::<Vec<_>>().join(", "))
        }
        other => panic!("{other}"),
    }
}

/// R8.1: integers that have no types of their own go into any type of numbers, if each has a place there, to the last one.
#[test]
fn inferred_integers_go_where_each_has_a_place() {
    use DataType::*;
    let most = |bits: u32| i64::MAX >> (63 - bits);
    let cases: [(DataType, i64, i64); 15] = [
        (Int8, -128, 127),
        (Int16, -32_768, 32_767),
        (Int32, i64::from(i32::MIN), i64::from(i32::MAX)),
        (Int64, i64::MIN, i64::MAX),
        (UInt8, 0, 255),
        (UInt16, 0, 65_535),
        (UInt32, 0, most(32)),
        (UInt64, 0, i64::MAX),
        (Float16, -(1 << 11), 1 << 11),
        (Float32, -(1 << 24), 1 << 24),
        (Float64, -(1 << 53), 1 << 53),
        (Decimal32(4, 1), -999, 999),
        (Decimal64(10, 0), -9_999_999_999, 9_999_999_999),
        (Decimal128(12, 1), -99_999_999_999, 99_999_999_999),
        (Decimal256(70, 60), -9_999_999_999, 9_999_999_999),
    ];
    let of =
        |numbers: Vec<Option<i64>>| table([("x", Arc::new(Int64Array::from(numbers)) as ArrayRef)]);
    for (announced, least, most) in cases {
        let wanted = Schema::new(vec![field("x", announced.clone(), true)]);
        let given = [of(vec![Some(least), None]), of(vec![Some(most)])];
        let got =
            sent(&given, &wanted, true).unwrap_or_else(|unfit| panic!("{announced}: {unfit:?}"));
        let back = |batch: &RecordBatch| {
            let shown = format!("{:?}", batch.column(0).slice(0, 1));
            let line =
                shown.lines().nth(2).expect("an element").trim().trim_end_matches(',').to_owned();
            line.split('.').next().expect("an integer").to_owned()
        };
        // Of decimals their digits are shown.
        let places = match announced {
            Decimal32(_, places) | Decimal128(_, places) | Decimal256(_, places) => places,
            _ => 0,
        };
        let zeros = "0".repeat(places as usize);
        assert_eq!(
            (back(&got[0]), back(&got[1])),
            (format!("{least}{zeros}"), format!("{most}{zeros}")),
            "{announced}"
        );
        assert_eq!((got[0].num_rows(), got[0].column(0).null_count()), (2, 1));
        for beyond in [least.checked_sub(1), most.checked_add(1)].into_iter().flatten() {
            // One in the last batch is enough.
            let given = [of(vec![Some(least)]), of(vec![None, Some(beyond)])];
            let unfit = refused(sent(&given, &wanted, true).unwrap_err());
            assert_eq!(reasons(&unfit), [("x", "type")], "{beyond} as {announced}");
        }
        if announced != Int64 {
            let told = sent(&[of(vec![Some(0)])], &wanted, false);
            assert_eq!(
                reasons(&refused(told.unwrap_err())),
                [("x", "type")],
                "it has a type of its own"
            );
        }
    }
}

/// R8.1: integers from 2^63 on have a place, too; a decimal that ends in zeros takes what ends in as many.
#[test]
fn inferred_integers_of_any_size_go_into_decimals() {
    use DataType::*;
    let goes = |given: ArrayRef, announced: DataType| {
        let wanted = Schema::new(vec![field("x", announced, true)]);
        sent(&[table([("x", given)])], &wanted, true).map(|got| format!("{:?}", got[0].column(0)))
    };
    let large = || Arc::new(UInt64Array::from(vec![Some(u64::MAX), None])) as ArrayRef;
    for announced in [Decimal128(20, 0), Decimal256(40, 20)] {
        let got = goes(large(), announced.clone()).expect("it holds 20 digits");
        assert!(got.contains("18446744073709551615"), "{announced}: {got}");
    }
    for announced in [Decimal128(20, 1), Decimal128(38, 19), Int64, Float64, Decimal256(76, 60)] {
        assert!(goes(large(), announced.clone()).is_err(), "{announced}");
    }
    let of = |number| Arc::new(Int64Array::from(vec![number])) as ArrayRef;
    for announced in [Decimal32(3, -2), Decimal256(3, -2)] {
        assert!(goes(of(-99_900), announced.clone()).is_ok(), "{announced}");
        assert!(goes(of(100_000), announced.clone()).is_err(), "{announced}: four digits");
        assert!(goes(of(150), announced.clone()).is_err(), "{announced}: 50 would be lost");
    }
}

/// R14.1: where only numbers are converted the other columns are the very memory that was given.
#[test]
fn what_stands_beside_inferred_numbers_is_not_copied() {
    let given = table([
        ("n", Arc::new(Int64Array::from(vec![1; 100])) as ArrayRef),
        ("x", Arc::new(Float64Array::from(vec![0.5; 100]))),
    ]);
    let announced =
        Schema::new(vec![field("x", DataType::Float64, true), field("n", DataType::Int8, true)]);
    let rows = [Rows::from(&given)];
    let (schema, fitted) =
        fit(&given.schema(), &rows, &Version::new("reading", 2, &announced), true).unwrap();
    assert_eq!(schema.field(1).data_type(), &DataType::Int8);
    let address = |rows: &Rows, column: usize| rows.columns[column].buffers()[0].as_ptr();
    assert_eq!(address(&fitted[0], 0), address(&rows[0], 1));
}

/// R9.1: an element that is beyond the announced type is named, and is not the schema's fault.
#[test]
fn an_element_beyond_the_type_is_named() {
    let far = table([(
        "day",
        Arc::new(Date32Array::from(vec![Some(0), None, Some(110_000)])) as ArrayRef,
    )]);
    let announced = DataType::Timestamp(TimeUnit::Nanosecond, None);
    let announced = Schema::new(vec![field("day", announced, true)]);
    match sent(std::slice::from_ref(&far), &announced, false).unwrap_err() {
        Unfit::Value(beyond) => {
            assert!(matches!(beyond.kind, ApplyErrorKind::OutOfRange { row: 2, .. }), "{beyond:?}");
            assert_eq!(beyond.path, "day");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(sent(&[far.slice(0, 2)], &announced, false).expect("it is within").len(), 1);
    let cut = table([(
        "x",
        Arc::new(Decimal128Array::from(vec![12_345]).with_precision_and_scale(5, 2).unwrap())
            as ArrayRef,
    )]);
    for (precision, scale, fits) in
        [(5, 2, true), (7, 3, true), (38, 2, true), (5, 1, false), (4, 2, false), (5, 3, false)]
    {
        let announced = Schema::new(vec![field("x", DataType::Decimal128(precision, scale), true)]);
        assert_eq!(
            sent(std::slice::from_ref(&cut), &announced, false).is_ok(),
            fits,
            "({precision}, {scale})"
        );
    }
}

/// R2.3, R14.1: what need not be converted is the very memory that was given.
#[test]
fn what_is_only_arranged_is_not_copied() {
    let given = table([
        ("a", Arc::new(Int32Array::from_iter_values(0..100)) as ArrayRef),
        ("b", Arc::new(Int8Array::from(vec![1; 100]))),
    ]);
    let announced =
        Schema::new(vec![field("b", DataType::Int8, false), field("a", DataType::Int32, true)]);
    let announced = Version::new("reading", 2, &announced);
    let rows = [Rows::from(&given)];
    let (_, fitted) = fit(&given.schema(), &rows, &announced, false).unwrap();
    for (new, old) in [(0, 1), (1, 0)] {
        assert_eq!(
            fitted[0].columns[new].buffers()[0].as_ptr(),
            rows[0].columns[old].buffers()[0].as_ptr()
        );
    }
    // Nulls where none are announced are for the caller to see.
    let nulls = table([
        ("a", Arc::new(Int32Array::from(vec![1])) as ArrayRef),
        ("b", Arc::new(Int8Array::from(vec![None]))),
    ]);
    let (_, fitted) = fit(&nulls.schema(), &[Rows::from(&nulls)], &announced, false).unwrap();
    assert_eq!(fitted[0].columns[0].null_count(), 1);
    // Where another column is converted they are seen.
    let wide =
        Schema::new(vec![field("b", DataType::Int8, false), field("a", DataType::Int64, true)]);
    let found = refused(sent(&[nulls], &wide, false).unwrap_err());
    assert_eq!(reasons(&found), [("b", "nullable")]);
    // Columns that share a name go by their order.
    let twice =
        |first, second| Schema::new(vec![field("x", first, true), field("x", second, true)]);
    let columns = || {
        vec![
            Arc::new(Int8Array::from(vec![1])) as ArrayRef,
            Arc::new(Int32Array::from(vec![2])) as ArrayRef,
        ]
    };
    let given =
        RecordBatch::try_new(Arc::new(twice(DataType::Int8, DataType::Int32)), columns()).unwrap();
    let got =
        sent(std::slice::from_ref(&given), &twice(DataType::Int8, DataType::Int32), false).unwrap();
    assert_eq!(got[0].columns(), columns());
    let once = Schema::new(vec![field("x", DataType::Int8, true)]);
    assert_eq!(reasons(&refused(sent(&[given], &once, false).unwrap_err())), [("x", "ambiguous")]);
}

/// R14.1: rows in memory of their own say the same, and what no frame can hold is refused.
#[test]
fn rows_are_laid_out_as_in_a_frame() {
    let given = table([("a", Arc::new(Int32Array::from_iter_values(0..100)) as ArrayRef)]);
    let pieces = [given.slice(90, 10), given.slice(0, 0), given.slice(3, 1)];
    let rows: Vec<Rows> = pieces.iter().map(Rows::from).collect();
    let (memory, read) = laid_out(&given.schema(), &rows).unwrap();
    assert_eq!(read.record_batches(&memory).unwrap(), pieces);
    assert_eq!(memory.as_ptr().align_offset(64), 0);
    let other = Schema::new(vec![field("a", DataType::Utf8, true)]);
    assert!(matches!(laid_out(&other, &rows), Err(Unfit::Encode(_))));
    let marked = Schema::new_with_metadata(
        vec![
            field("a", DataType::Int8, true),
            field("b", DataType::Int8, true),
            field("c", DataType::Int8, false),
        ],
        [("pandas".to_owned(), "index".to_owned())],
    );
    let tight = tightened(&marked, |column| column != 0);
    assert_eq!(
        tight.fields().iter().map(|f| f.is_nullable()).collect::<Vec<_>>(),
        [false, true, false]
    );
    assert!(tight.metadata().is_empty());
}

fn of_default(data_type: DataType, text: &str) -> Result<(), Incompatible> {
    let schema = Schema::new(vec![with(field("x", data_type, false), DEFAULT, text)]);
    defaults(&Version::new("d", 7, &schema))
}

/// R8.2: what each type takes as its default, and what not.
#[test]
fn defaults_are_of_their_columns_types() {
    use DataType::*;
    let dictionary = |of| Dictionary(Box::new(Int8), Box::new(of));
    let cases: Vec<(DataType, &[&str], &[&str])> = vec![
        (Boolean, &["true", "false"], &["True", "1", "", " true"]),
        (Int8, &["-128", "127", "0"], &["128", "-129", "1.0", "", "a"]),
        (Int64, &["-9223372036854775808"], &["9223372036854775808"]),
        (UInt8, &["0", "255"], &["-1", "256"]),
        (UInt64, &["18446744073709551615"], &["18446744073709551616"]),
        (Float16, &["0.5", "1e4"], &["one", ""]),
        (Float32, &["0.5", "-inf", "NaN", "7"], &["0,5", "0x1"]),
        (Float64, &["1e308"], &["1e", ""]),
        (Utf8, &["", "any text, with commas"], &[]),
        (LargeUtf8, &["x"], &[]),
        (Utf8View, &["longer than twelve bytes"], &[]),
        (Date32, &["2024-02-29", "0001-01-01"], &["2023-02-29", "2024-2-1", "29.2.2024", ""]),
        (Date64, &["1969-12-31"], &["1969-12-32"]),
        (Decimal32(5, 2), &["1.25", "-999.99"], &["1000", "0.001", "1e2"]),
        (Decimal256(76, 0), &["1"], &["0.5"]),
        (dictionary(Utf8), &["x"], &[]),
        (dictionary(Int16), &["5"], &["x"]),
        // These have none.
        (Binary, &[], &["", "x"]),
        (Null, &[], &["", "null"]),
        (Time64(TimeUnit::Nanosecond), &[], &["12:00:00", "0"]),
        (Timestamp(TimeUnit::Second, None), &[], &["2024-02-29", "0"]),
        (Duration(TimeUnit::Second), &[], &["0"]),
        (FixedSizeBinary(2), &[], &["ab"]),
        (Struct(vec![field("a", Int8, true)].into()), &[], &["1", ""]),
        (List(Arc::new(field("item", Int8, true))), &[], &["1", "[]"]),
    ];
    for (data_type, good, bad) in cases {
        for text in good {
            assert_eq!(of_default(data_type.clone(), text), Ok(()), "{text} as {data_type}");
        }
        for text in bad {
            let refused = of_default(data_type.clone(), text).unwrap_err();
            assert_eq!(reasons(&refused), [("x", "default")], "{text} as {data_type}");
            assert_eq!((refused.written, refused.wanted), (7, 7));
            assert_eq!(
                refused.to_string(),
                format!(
                    "\"d\" of version 7 has wrong defaults: the default {text:?} of column x is no {data_type}; give a number, \
                     true, false, a text or a date, as the type has it"
                )
            );
        }
    }
}

/// R5.5, R8.1: texts of whatever library go into the dictionary that was announced, in which each stands once for all batches.
#[test]
fn texts_go_into_a_dictionary() {
    use DataType::*;
    let texts = [Some("a"), None, Some("longer than twelve bytes"), Some("a"), Some("")];
    let forms: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(texts.to_vec())),
        Arc::new(LargeStringArray::from(texts.to_vec())),
        Arc::new(StringViewArray::from(texts.to_vec())),
        Arc::new(texts.into_iter().collect::<DictionaryArray<UInt32Type>>()),
    ];
    let indices = [Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64];
    for (index, values) in indices.iter().flat_map(|i| [Utf8, LargeUtf8, Utf8View].map(|v| (i, v)))
    {
        let kind = Dictionary(Box::new(index.clone()), Box::new(values.clone()));
        let announced = Schema::new(vec![field("x", kind.clone(), true)]);
        for form in &forms {
            let pieces =
                [(0, 3), (3, 0), (3, 2)].map(|(at, len)| table([("x", form.slice(at, len))]));
            let batches = sent(&pieces, &announced, false).unwrap();
            let mut came = Vec::new();
            for batch in &batches {
                let column = batch.column(0);
                assert_eq!(column.data_type(), &kind);
                assert_eq!(column.as_any_dictionary().values().len(), 3);
                let text = |row| (!column.is_null(row)).then(|| shown(&column.slice(row, 1)));
                came.extend((0..column.len()).map(text));
            }
            assert_eq!(
                came,
                texts.map(|text| text.map(str::to_owned)),
                "{} as {kind}",
                form.data_type()
            );
        }
    }
}

/// R6.5: more texts than the indices count, what is no text, and indices that are too narrow are told with the type of the column.
#[test]
fn what_has_no_place_in_a_dictionary_is_told_as_a_whole() {
    use DataType::*;
    let of = |index, values| Dictionary(Box::new(index), Box::new(values));
    let announced = |kind: &DataType| Schema::new(vec![field("x", kind.clone(), true)]);
    let texts = |count| (0..count).map(|n: i32| Some(n.to_string())).collect::<Vec<_>>();
    let plain = |count| table([("x", Arc::new(StringArray::from(texts(count))) as ArrayRef)]);
    let bytes = of(Int8, Utf8);
    assert_eq!(sent(&[plain(128)], &announced(&bytes), false).unwrap()[0].num_rows(), 128);
    let wide = texts(129);
    let wide: DictionaryArray<UInt32Type> = wide.iter().map(Option::as_deref).collect();
    let numbers: DictionaryArray<UInt32Type> =
        DictionaryArray::new(vec![0u32].into(), Arc::new(Int8Array::from(vec![7])));
    let cases: [(RecordBatch, DataType); 4] = [
        (plain(129), bytes.clone()),
        (table([("x", Arc::new(wide) as ArrayRef)]), bytes.clone()),
        (table([("x", Arc::new(numbers) as ArrayRef)]), of(Int8, Int8)),
        (table([("x", Arc::new(Int8Array::from(vec![7])) as ArrayRef)]), bytes),
    ];
    for (given, kind) in cases {
        let was = given.column(0).data_type().clone();
        let refused = refused(sent(&[given], &announced(&kind), false).unwrap_err());
        let [fault] = &refused.faults[..] else { panic!("{refused}") };
        assert_eq!((fault.was.as_ref(), fault.wants.as_ref()), (Some(&was), Some(&kind)));
    }
}

/// R6.3: a default of 16 bits is rounded once.
#[test]
fn a_default_of_16_bits_is_the_nearest() {
    let default =
        |text| default_of(&with(field("x", DataType::Float16, false), DEFAULT, text)).unwrap();
    let half = |bits: u16| Constant::Fixed(bits.to_le_bytes().to_vec());
    assert_eq!(default("1.00048828125"), half(0x3C00));
    // 2^-40 above the middle of two.
    assert_eq!(default("1.0004882812509095"), half(0x3C01));
}

/// R8.2, R9.2: they are found wherever a reader may need them, and all of them are told.
#[test]
fn defaults_within_columns_are_found() {
    use DataType::*;
    let wrong = |name: &str| with(field(name, Int32, true), DEFAULT, "abc");
    let inner = || Struct(vec![field("ok", Utf8, true), wrong("x")].into());
    let list = |of| List(Arc::new(field("item", of, true)));
    let entries = Struct(vec![field("key", Utf8, false), field("value", inner(), true)].into());
    let cases = [
        (wrong("x"), "x"),
        (field("s", inner(), true), "s.x"),
        (field("s", Struct(vec![field("t", inner(), true)].into()), true), "s.t.x"),
        (field("l", list(inner()), true), "l[].x"),
        (field("l", list(list(inner())), true), "l[][].x"),
        (field("l", LargeList(Arc::new(field("item", inner(), true))), true), "l[].x"),
        (field("l", FixedSizeList(Arc::new(field("item", inner(), true)), 3), true), "l[].x"),
        (field("d", Dictionary(Box::new(Int8), Box::new(inner())), true), "d.x"),
        (field("m", Map(Arc::new(field("entries", entries, false)), false), true), "m{}.x"),
    ];
    for (field, path) in &cases {
        let schema = Schema::new(vec![field.clone()]);
        let refused = defaults(&Version::new("d", 1, &schema)).unwrap_err();
        assert_eq!(reasons(&refused), [(*path, "default")], "{field}");
    }
    let all = Schema::new(vec![wrong("a"), field("s", inner(), true), wrong("b")]);
    let refused = defaults(&Version::new("d", 1, &all)).unwrap_err();
    assert_eq!(reasons(&refused), [("a", "default"), ("s.x", "default"), ("b", "default")]);
    assert_eq!(defaults(&Version::new("d", 1, &Schema::empty())), Ok(()));
}

/// R2.3: who goes through a table by slices of slices has made no more than what the last one needs.
#[test]
fn slices_of_slices_hold_nothing_of_those_before() {
    let truths = || (0..4000).map(|row| row % 3 == 0).collect::<BooleanArray>();
    let words = StringArray::from(vec![Some("a"), None]);
    let picks = (0..4000).map(|row| (row % 5 != 0).then_some((row % 2) as i8)).collect();
    let picks = DictionaryArray::<Int8Type>::new(picks, Arc::new(words));
    let within = StructArray::from(vec![(
        Arc::new(field("truth", DataType::Boolean, false)),
        Arc::new(truths()) as ArrayRef,
    )]);
    let given = table([
        ("truth", Arc::new(truths()) as ArrayRef),
        ("picks", Arc::new(picks)),
        ("within", Arc::new(within)),
    ]);
    let (body, read) = laid_out(&given.schema(), &[Rows::from(&given)]).unwrap();
    let mut part: Option<Projected> = None;
    for step in 1..100usize {
        let (table, made) =
            part.as_ref().map_or((&read, None), |part| (&part.table, Some(&part.made)));
        let next = slice(table, &body, made, 1..4000).unwrap();
        let bits = (4000 - step).div_ceil(8);
        let most = if step % 8 == 0 { 3 * (bits + 1) } else { 3 * bits };
        assert!(next.made.len() <= most, "{step}: {} bytes", next.made.len());
        let batches = next.record_batches(&body).unwrap();
        assert_eq!(batches, [given.slice(step, 4000 - step)], "{step}");
        part = Some(next);
    }
    let part = part.expect("there were some");
    assert!(slice(&part.table, &body, Some(&part.made), 5..5).unwrap().made.is_empty());
}

/// R5.5: the rows that are null, wherever that stands: in the values of a dictionary or of runs, in a member of a union; in slices as well.
#[test]
fn nulls_are_found_where_a_column_says_nothing_of_them() {
    let rows = |array: &dyn Array| null_rows(&array.to_data()).collect::<Vec<_>>();
    let plain = Int32Array::from(vec![Some(1), None, Some(2)]);
    assert_eq!(rows(&plain), [1]);
    assert_eq!(rows(&plain.slice(1, 2)), [0]);

    let values: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None]));
    let packed =
        DictionaryArray::new(Int8Array::from(vec![Some(0), Some(1), None, Some(1)]), values);
    assert_eq!(rows(&packed), [1, 2, 3]);
    assert_eq!(rows(&packed.slice(3, 1)), [0]);

    let ends = Int16Array::from(vec![2, 3, 5]);
    let runs = RunArray::try_new(&ends, &plain).unwrap();
    assert_eq!(runs.null_count(), 0);
    assert_eq!(rows(&runs), [2]);
    assert_eq!(rows(&runs.slice(1, 3)), [1]);

    let fields =
        [(0, field("i", DataType::Int32, true)), (5, field("r", runs.data_type().clone(), true))];
    let fields: UnionFields = fields.into_iter().map(|(id, field)| (id, Arc::new(field))).collect();
    let (ids, offsets) = (vec![0, 5, 5, 0], vec![1, 2, 0, 0]);
    let children: Vec<ArrayRef> = vec![Arc::new(plain.clone()), Arc::new(runs.clone())];
    let dense =
        UnionArray::try_new(fields.clone(), ids.clone().into(), Some(offsets.into()), children)
            .unwrap();
    assert_eq!(rows(&dense), [0, 1]);
    assert_eq!(rows(&dense.slice(1, 3)), [0]);
    let wide: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), None, None, None]));
    let sparse =
        UnionArray::try_new(fields, ids.into(), None, vec![wide, Arc::new(runs.slice(0, 4))])
            .unwrap();
    assert_eq!(rows(&sparse), [2, 3]);
    assert_eq!(rows(&sparse.slice(2, 1)), [0]);
    assert_eq!(rows(&NullArray::new(0)), [0; 0]);
}
