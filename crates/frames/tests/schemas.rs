//! Schemas by name and version: announced, sent under, expected. As `bindings/python/tests/test_evolution.py` has it for Python.

mod spoilt;

use arrow_array::cast::AsArray;
use arrow_array::types::Int8Type;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{
    Array, ArrayRef, DictionaryArray, Float32Array, Float64Array, Int8Array, Int16Array,
    Int32Array, Int64Array, LargeStringArray, RecordBatch, StringArray, StringViewArray,
    StructArray, UInt8Array,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use slipring::{Consumer, Producer, Segment, Wait};
use slipring_codec::evolution::{ALIASES, ApplyErrorKind, DEFAULT};
use slipring_codec::format::arrow::Rows;
use slipring_frames::{
    Announce, Announced, Error, Expectation, Expects, ReadTable, SchemaError, SchemaErrorKind,
    SendTyped, Table,
};
use std::sync::{Arc, Mutex};

fn ring() -> Segment {
    Segment::options().capacity(8 << 20).create_anonymous().expect("a ring")
}

fn ends(ring: &Segment) -> (Producer, Consumer) {
    (ring.producer().expect("its one end"), ring.consumer().expect("its other end"))
}

fn schema(fields: impl IntoIterator<Item = Field>) -> SchemaRef {
    Arc::new(Schema::new(fields.into_iter().collect::<Vec<_>>()))
}

fn field(name: &str, data_type: DataType, nullable: bool) -> Field {
    Field::new(name, data_type, nullable)
}

fn with(field: Field, key: &str, value: &str) -> Field {
    field.with_metadata([(key.to_owned(), value.to_owned())])
}

fn batch(schema: &SchemaRef, columns: impl IntoIterator<Item = ArrayRef>) -> RecordBatch {
    RecordBatch::try_new(Arc::clone(schema), columns.into_iter().collect()).expect("columns")
}

fn send(tx: &mut Producer, under: &Announced, batch: &RecordBatch) {
    tx.send_typed(&under.table(batch).expect("it fits"), None, &Wait::no()).expect("room");
}

fn read(rx: &mut Consumer, expects: &Expects) -> Result<Table, Error> {
    rx.recv(&Wait::no()).expect("a frame").table_as(expects)
}

fn schema_error(error: Error) -> SchemaError {
    match error {
        Error::Schema(error) => *error,
        other => panic!("no error of a schema: {other}"),
    }
}

fn reasons(error: &SchemaError) -> Vec<(&str, &str)> {
    error.faults().iter().map(|fault| (&*fault.path, fault.reason.name())).collect()
}

/// A schema as it grew, with a row of each version.
fn readings() -> [(SchemaRef, RecordBatch); 3] {
    use DataType::{Float32, Float64, Int8, Int32, Int64, Utf8};
    let one = schema([field("id", Int32, false), field("temp", Float32, true)]);
    let two = schema([
        field("temp", Float32, true),
        field("id", Int32, false),
        field("note", Utf8, true),
    ]);
    let three = schema([
        with(field("number", Int64, false), ALIASES, "id"),
        field("temp", Float64, true),
        with(field("level", Int8, false), DEFAULT, "9"),
    ]);
    let (id, temp) =
        (|id| Arc::new(Int32Array::from(vec![id])), |t| Arc::new(Float32Array::from(vec![t])));
    let rows = [
        batch(&one, [id(1) as _, temp(0.5) as _]),
        batch(&two, [temp(1.5) as _, id(2) as _, Arc::new(StringArray::from(vec!["dry"])) as _]),
        batch(
            &three,
            [
                Arc::new(Int64Array::from(vec![3])) as _,
                Arc::new(Float64Array::from(vec![2.5])) as _,
                Arc::new(Int8Array::from(vec![4])) as _,
            ],
        ),
    ];
    let mut rows = rows.into_iter();
    [one, two, three].map(|of| (of, rows.next().expect("a row of each")))
}

/// R2.4, R5.2, R5.3: writer version x reader version.
#[test]
fn each_version_is_read_as_each() {
    let readings = readings();
    let id = |id| Arc::new(Int32Array::from(vec![id])) as ArrayRef;
    let temp = |temp| Arc::new(Float32Array::from(vec![temp])) as ArrayRef;
    let note = |note: Option<&str>| Arc::new(StringArray::from(vec![note])) as ArrayRef;
    let third = |number, temp, level| {
        [
            Arc::new(Int64Array::from(vec![number])) as ArrayRef,
            Arc::new(Float64Array::from(vec![temp])),
            Arc::new(Int8Array::from(vec![level])),
        ]
    };
    let matrix: [[Option<Vec<ArrayRef>>; 3]; 3] = [
        [
            Some(vec![id(1), temp(0.5)]),
            Some(vec![temp(0.5), id(1), note(None)]),
            Some(third(1, 0.5, 9).into()),
        ],
        [
            Some(vec![id(2), temp(1.5)]),
            Some(vec![temp(1.5), id(2), note(Some("dry"))]),
            Some(third(2, 1.5, 9).into()),
        ],
        [None, None, Some(third(3, 2.5, 4).into())],
    ];
    for (written, row) in (1u16..).zip(matrix) {
        for (wanted, expected) in (1u16..).zip(row) {
            let ring = ring();
            let announced: Vec<Announced> = (1..)
                .zip(&readings)
                .map(|(version, (of, _))| ring.announce("reading", of, version).expect("it suits"))
                .collect();
            let (mut tx, mut rx) = ends(&ring);
            let mut expects = Expects::of(&ring);
            let (wanted_schema, _) = &readings[wanted as usize - 1];
            expects.expect(Expectation::new("reading", Arc::clone(wanted_schema), wanted)).unwrap();
            let under = &announced[written as usize - 1];
            send(&mut tx, under, &readings[written as usize - 1].1);
            let frame = rx.recv(&Wait::no()).unwrap();
            let head = frame.header();
            assert_eq!((head.schema_id, head.schema_version), (under.stored().id().get(), written));
            match expected {
                Some(columns) => {
                    let table = frame.table_as(&expects).expect("by the rules");
                    assert_eq!(table.schema, *wanted_schema);
                    assert_eq!(table.batches, [batch(wanted_schema, columns)]);
                }
                None => {
                    let error = schema_error(frame.table_as(&expects).unwrap_err());
                    let versions = (u32::from(written), u32::from(wanted));
                    assert_eq!(
                        (&*error.name, (error.written, error.wanted)),
                        ("reading", versions)
                    );
                    assert_eq!(error.migration(), None);
                    assert!(reasons(&error).contains(&("id", "missing")), "{error}");
                    assert!(
                        error.to_string().ends_with("or have version 3 sent")
                            || wanted == 2
                            || error.to_string().contains("upgrade this side"),
                        "{error}"
                    );
                    // The ring goes on.
                    send(
                        &mut tx,
                        &announced[wanted as usize - 1],
                        &readings[wanted as usize - 1].1,
                    );
                    let table = read(&mut rx, &expects).expect("the same version");
                    assert_eq!(table.batches, [readings[wanted as usize - 1].1.clone()]);
                }
            }
        }
    }
}

/// R5.3, R5.5: all faults are told, with versions and the migration that is needed; nothing is stored.
#[test]
fn an_incompatible_version_is_not_announced() {
    use DataType::{Boolean, Float32, Int16, Int32, Utf8};
    let readings = readings();
    let cases: [(SchemaRef, &[(&str, &str)]); 4] = [
        (schema([field("id", Int32, false), field("temp", Int16, true)]), &[("temp", "type")]),
        (schema([field("id", Int32, false), field("x", Boolean, false)]), &[("x", "missing")]),
        (
            schema([field("id", Utf8, false), field("temp", Float32, false)]),
            &[("id", "type"), ("temp", "nullable")],
        ),
        (
            schema([field("id", Int32, false), with(field("key", Int32, false), ALIASES, "id")]),
            &[("key", "ambiguous")],
        ),
    ];
    for (new, faults) in cases {
        let ring = ring();
        ring.announce("reading", &readings[0].0, 1).unwrap();
        let error = schema_error(ring.announce("reading", &new, 2).unwrap_err());
        assert_eq!(reasons(&error), faults);
        assert_eq!((error.written, error.wanted, error.migration()), (1, 2, Some((1, 2))));
        assert_eq!(error.column(), Some(faults[0].0));
        let told = "register a migration of \"reading\" from version 1 to 2, and announce it with announce_breaking()";
        assert!(error.to_string().ends_with(told), "{error}");
        assert_eq!(ring.schemas().iter().count(), 1);
        let second = ring.announce_breaking("reading", &new, 2).expect("it was said");
        assert_eq!(second.stored().version(), 2);
    }
}

/// R2.4: a version between two others must suit both.
#[test]
fn versions_are_held_against_their_neighbours() {
    let (ring, readings) = (ring(), readings());
    ring.announce("reading", &readings[0].0, 10).unwrap();
    ring.announce("reading", &readings[2].0, 30).unwrap();
    let between =
        schema([field("id", DataType::Float64, false), field("temp", DataType::Float32, true)]);
    let error = schema_error(ring.announce("reading", &between, 20).unwrap_err());
    let told = "\"reading\" of version 20 can't be read as version 30: column number";
    assert!(error.to_string().starts_with(told), "{error}");
    assert_eq!(error.migration(), Some((20, 30)));
    ring.announce("reading", &readings[1].0, 20).expect("it suits both");
    assert_eq!(ring.announced("reading").unwrap().stored().version(), 30);
}

/// R2.4, R8.2: announced again it is the same one, or refused; so is a default of another type, a version 0, and a type nested too deep.
#[test]
fn a_version_is_one_schema() {
    let (ring, readings) = (ring(), readings());
    let first = ring.announce("reading", &readings[0].0, 1).unwrap();
    let marked =
        Schema::clone(&readings[0].0).with_metadata([("pandas".to_owned(), "x".to_owned())]);
    let again = ring.announce("reading", &marked, 1).unwrap();
    assert_eq!(again.stored().id(), first.stored().id());
    assert_eq!(again.columns(), &readings[0].0);
    let error = schema_error(ring.announce("reading", &readings[1].0, 1).unwrap_err());
    assert_eq!(
        error.to_string(),
        "the schema is not what was announced as \"reading\", version 1: column note (Utf8) was not announced; announce it as \
         version 2"
    );
    assert_eq!(error.migration(), None);
    let turned = schema(readings[0].0.fields().iter().rev().map(|field| Field::clone(field)));
    let error = schema_error(ring.announce("reading", &turned, 1).unwrap_err());
    assert!(matches!(error.kind, SchemaErrorKind::Rearranged));
    assert!(error.to_string().ends_with("metadata of its columns; announce this as version 2"));

    let wrong = schema([with(field("x", DataType::Int32, false), DEFAULT, "abc")]);
    let of = |error: Error| schema_error(error).to_string();
    let told = "\"d\" of version 1 has wrong defaults: the default \"abc\" of column x is no Int32; give a number, true, false, a \
                text or a date, as the type has it";
    assert_eq!(of(ring.announce("d", &wrong, 1).unwrap_err()), told);
    let mut expects = Expects::of(&ring);
    assert_eq!(of(expects.expect(Expectation::new("d", wrong, 1)).unwrap_err()), told);

    let (mut nested, any) = (DataType::Int8, schema([]));
    for _ in 0..70 {
        nested = DataType::Struct(vec![field("x", nested, true)].into());
    }
    let deep = schema([field("x", nested, true)]);
    assert!(matches!(ring.announce("deep", &deep, 1), Err(Error::Encode(_))));
    assert!(matches!(expects.expect(Expectation::new("deep", deep, 1)), Err(Error::Encode(_))));
    let invalid = |result: Result<(), Error>| {
        assert!(
            matches!(result, Err(Error::Ring(slipring::Error::InvalidOption { .. }))),
            "{result:?}"
        );
    };
    invalid(ring.announce("v", &any, 0).map(drop));
    invalid(expects.expect(Expectation::new("v", Arc::clone(&any), 0)));
    invalid(expects.expect(Expectation::new("v", Arc::clone(&any), 2).oldest(3)));
    invalid(expects.expect(Expectation::new("v", Arc::clone(&any), 2).oldest(0)));
    assert_eq!(ring.schemas().iter().count(), 1);
    for from in [0, 2, 3] {
        let asked = Expectation::new("v", Arc::clone(&any), 2).migration(from, Ok);
        let error = expects.expect(asked).unwrap_err();
        assert!(
            matches!(error, Error::Expectation { from: found, version: 2, .. } if found == from),
            "{error}"
        );
    }
}

/// R5.5, R8.1: names and types are held against the announced ones; order does not count, and what is exact is converted.
#[test]
fn what_is_sent_is_what_was_announced() {
    let ring = ring();
    let (mut tx, mut rx) = ends(&ring);
    let wanted = schema([field("t", DataType::Utf8, true), field("n", DataType::Float64, false)]);
    let weather = ring.announce("w", &wanted, 1).unwrap();
    let texts = vec![Some("a"), None];
    let numbers: ArrayRef = Arc::new(Float64Array::from(vec![1.0, 2.0]));
    let expected =
        batch(&wanted, [Arc::new(StringArray::from(texts.clone())) as _, Arc::clone(&numbers)]);
    let given: [[(&str, ArrayRef); 2]; 5] = [
        [("n", Arc::clone(&numbers)), ("t", Arc::new(StringArray::from(texts.clone())))],
        [
            ("t", Arc::new(LargeStringArray::from(texts.clone()))),
            ("n", Arc::new(Int32Array::from(vec![1, 2]))),
        ],
        [
            ("t", Arc::new(StringViewArray::from(texts.clone()))),
            ("n", Arc::new(Float32Array::from(vec![1.0, 2.0]))),
        ],
        [
            ("t", Arc::new(texts.iter().copied().collect::<DictionaryArray<Int8Type>>())),
            ("n", Arc::clone(&numbers)),
        ],
        [("n", Arc::new(UInt8Array::from(vec![1, 2]))), ("t", Arc::new(StringArray::from(texts)))],
    ];
    for columns in given {
        let given = RecordBatch::try_from_iter_with_nullable(
            columns.map(|(name, column)| (name, column, true)),
        )
        .unwrap();
        send(&mut tx, &weather, &given);
        // Also in pieces, of which one is empty.
        let pieces = vec![given.slice(1, 1), given.slice(0, 0), given.slice(0, 1)];
        let pieces = Table::new(given.schema(), pieces).unwrap();
        tx.send_typed(&weather.table(&pieces).unwrap(), None, &Wait::no()).unwrap();
        assert_eq!(
            rx.recv(&Wait::no()).unwrap().table().unwrap().batches,
            std::slice::from_ref(&expected)
        );
        let batches = rx.recv(&Wait::no()).unwrap().table().unwrap().batches;
        assert_eq!(batches, [expected.slice(1, 1), expected.slice(0, 0), expected.slice(0, 1)]);
    }
    // What lies the same way is taken as it lies, and arrives under the announced words.
    let list = |item: &str, digits| {
        let item = Arc::new(field(item, DataType::Decimal128(digits, 2), true));
        let values = arrow_array::Decimal128Array::from(vec![125, 250]);
        let values = values.with_precision_and_scale(digits, 2).unwrap();
        let offsets = arrow_buffer::OffsetBuffer::from_lengths([2]);
        Arc::new(arrow_array::ListArray::new(item, offsets, Arc::new(values), None)) as ArrayRef
    };
    let announced = schema([field("l", list("item", 9).data_type().clone(), true)]);
    let lists = ring.announce("l", &announced, 1).unwrap();
    let given = RecordBatch::try_from_iter([("l", list("element", 5))]).unwrap();
    send(&mut tx, &lists, &given);
    let expected = batch(&announced, [list("item", 9)]);
    assert_eq!(rx.recv(&Wait::no()).unwrap().table().unwrap().batches, [expected]);
    // Nothing is dropped, made up or cut.
    let pair = |names: &[&str]| {
        let fields: Vec<_> = names.iter().map(|name| field(name, DataType::Int64, true)).collect();
        let columns = names.iter().map(|_| Arc::new(Int64Array::from(vec![1])) as _).collect();
        let made = StructArray::try_new_with_length(fields.into(), columns, None, 1);
        Arc::new(made.expect("a struct")) as ArrayRef
    };
    let small = schema([
        field("i", DataType::Int8, false),
        field("s", pair(&["a"]).data_type().clone(), true),
    ]);
    let small = ring.announce("s", &small, 1).unwrap();
    let byte = |byte: Option<i8>| Arc::new(Int8Array::from(vec![byte])) as ArrayRef;
    let cases: [(Vec<(&str, ArrayRef)>, &str); 6] = [
        (vec![("i", byte(Some(1)))], "missing"),
        (vec![("i", byte(Some(1))), ("s", pair(&["a"])), ("x", byte(None))], "unknown"),
        (vec![("i", Arc::new(Int16Array::from(vec![1]))), ("s", pair(&["a"]))], "type"),
        (vec![("i", byte(Some(1))), ("s", pair(&["a", "b"]))], "type"),
        (vec![("i", byte(Some(1))), ("s", pair(&[]))], "type"),
        (vec![("i", Arc::new(StringArray::from(vec!["1"]))), ("s", pair(&["a"]))], "type"),
    ];
    for (columns, reason) in cases {
        let given = RecordBatch::try_from_iter_with_nullable(
            columns.into_iter().map(|(name, column)| (name, column, true)),
        );
        let error = schema_error(small.table(&given.unwrap()).unwrap_err());
        let told = "the table does not fit what was announced as \"s\", version 1: ";
        assert!(error.to_string().starts_with(told), "{error}");
        assert!(error.to_string().ends_with("or announce it as version 2"), "{error}");
        assert!(reasons(&error).iter().any(|(_, found)| *found == reason), "{reason}: {error}");
    }
    let nulls = [("s", pair(&["a"]), true), ("i", byte(None), true)];
    let nulls = RecordBatch::try_from_iter_with_nullable(nulls).unwrap();
    let error = schema_error(small.table(&nulls).unwrap_err());
    assert_eq!(
        error.to_string(),
        "\"s\" was announced as version 1 with no nulls in column i, and there are 1, the first in row 0; announce it as nullable, as version 2"
    );
    assert_eq!(error.column(), Some("i"));
    assert!(matches!(rx.recv(&Wait::no()), Err(slipring::Error::Empty)));
}

/// R8.1: elements without types of their own, as the bindings have them, go where each has a place.
#[test]
fn inferred_integers_go_where_they_have_a_place() {
    let ring = ring();
    let wanted = schema([field("i", DataType::Int8, false), field("note", DataType::Utf8, true)]);
    let announced = ring.announce("s", &wanted, 1).unwrap();
    let of = |numbers: Vec<Option<i64>>| {
        let column = Arc::new(Int64Array::from(numbers)) as ArrayRef;
        RecordBatch::try_from_iter_with_nullable([("i", column, true)]).unwrap()
    };
    let fit = |batch: &RecordBatch| announced.fit(batch.schema_ref(), &[Rows::from(batch)], true);
    let (fitted, rows) = fit(&of(vec![Some(-128), Some(127)])).unwrap().expect("converted");
    assert_eq!(fitted.fields(), wanted.fields());
    assert_eq!(Int8Array::from(rows[0].columns[0].clone()), Int8Array::from(vec![-128, 127]));
    assert_eq!(rows[0].columns[1].null_count(), 2);
    assert_eq!(reasons(&schema_error(fit(&of(vec![Some(128)])).unwrap_err())), [("i", "type")]);
    assert_eq!(reasons(&schema_error(fit(&of(vec![None])).unwrap_err())), [("i", "nullable")]);
    let (fitted, rows) = announced.fit(&Schema::empty(), &[], true).unwrap().expect("another");
    assert_eq!((fitted.fields(), rows.len()), (wanted.fields(), 0));
}

/// P9, R13.1: a schema is of its ring: another one refuses it, whatever its own has that number, and one that has announced the same takes it.
#[test]
fn a_schema_is_of_its_ring() {
    let (here, there, readings) = (ring(), ring(), readings());
    let (mut tx, mut rx) = ends(&there);
    let (of, row) = &readings[0];
    let mine = here.announce("reading", of, 1).unwrap();
    let refused = |tx: &mut Producer| {
        let error = tx.send_typed(&mine.table(row).unwrap(), None, &Wait::no()).unwrap_err();
        let told = "the schema \"reading\", version 1, is not of this ring: announce it here";
        assert!(matches!(error, Error::OtherRing { version: 1, .. }));
        assert_eq!(error.to_string(), told);
    };
    refused(&mut tx);
    there.announce("other", of, 1).unwrap();
    refused(&mut tx);
    assert!(matches!(rx.recv(&Wait::no()), Err(slipring::Error::Empty)));
    let same = ring();
    same.announce("reading", of, 1).unwrap();
    let (mut tx, mut rx) = ends(&same);
    tx.send_typed(&mine.table(row).unwrap(), None, &Wait::no()).expect("the same number and bytes");
    assert_eq!(rx.recv(&Wait::no()).unwrap().table().unwrap().batches, std::slice::from_ref(row));
    // The same name, version and number, and other columns.
    let other = ring();
    other.announce("reading", &readings[1].0, 1).unwrap();
    refused(&mut ends(&other).0);
    // The same name, number and columns, as another version.
    let other = ring();
    other.announce("reading", of, 2).unwrap();
    refused(&mut ends(&other).0);
    let none = here.announced("nothing").unwrap_err();
    assert!(
        none.to_string().starts_with("no schema \"nothing\" was announced on this ring"),
        "{none}"
    );
    let foreign = here.schemas().add(77, "foreign", 1, b"no table").unwrap();
    assert!(matches!(Announced::of(foreign), Err(Error::OtherSchema { .. })));
}

/// R13.1: what is expected was said of names; frames of another ring, where a number is another schema's, are read as that is.
#[test]
fn frames_of_two_rings_are_read_by_their_own_schemas() {
    let (one, two, readings) = (ring(), ring(), readings());
    let mut expects = Expects::of(&one);
    expects.expect(Expectation::new("reading", Arc::clone(&readings[2].0), 3)).unwrap();
    two.announce("other", &readings[0].0, 1).unwrap();
    for _ in 0..2 {
        for (ring, version) in [(&one, 1), (&two, 2)] {
            let (of, row) = &readings[version - 1];
            let announced = ring.announce("reading", of, version as u16).unwrap();
            assert_eq!(announced.stored().id().get(), 2, "the number is the same on both");
            let (mut tx, mut rx) = ends(ring);
            send(&mut tx, &announced, row);
            let table = read(&mut rx, &expects).unwrap();
            let number = table.batches[0].column(0).as_primitive::<Int64Type>().value(0);
            assert_eq!(number, version as i64);
        }
    }
}

/// R2.3: columns that stay lie in the frame, and keep it; those that are widened lie beside it.
#[test]
fn columns_that_stay_are_not_copied() {
    use DataType::{Float64, Int32, Int64, Utf8};
    let ring = ring();
    let old = schema([
        field("widen", Int32, false),
        field("keep", Float64, true),
        field("text", Utf8, true),
        field("drop", Utf8, true),
    ]);
    let new = schema([
        field("text", Utf8, true),
        field("keep", Float64, true),
        field("widen", Int64, false),
    ]);
    let announced = ring.announce("n", &old, 1).unwrap();
    let n = 1000;
    let text = || {
        Arc::new(
            (0..n).map(|row| (row % 3 > 0).then(|| format!("ä{row}"))).collect::<StringArray>(),
        ) as ArrayRef
    };
    let keep: Float64Array = (0..n).map(|row| (row % 7 > 0).then_some(f64::from(row))).collect();
    let written = batch(
        &old,
        [
            Arc::new(Int32Array::from_iter_values(0..n)) as _,
            Arc::new(keep.clone()) as _,
            text(),
            text(),
        ],
    );
    let (mut tx, mut rx) = ends(&ring);
    send(&mut tx, &announced, &written);
    let mut expects = Expects::of(&ring);
    expects.expect(Expectation::new("n", Arc::clone(&new), 2)).unwrap();
    let frame = Arc::new(rx.recv(&Wait::no()).unwrap());
    let body = frame.as_ptr_range();
    let inside = |column: &ArrayRef| {
        let data = column.to_data();
        let buffers = data.buffers().iter().chain(data.nulls().map(|nulls| nulls.buffer()));
        buffers.map(|buffer| body.contains(&buffer.as_ptr())).collect::<Vec<_>>()
    };
    let table = Arc::clone(&frame).table_as(&expects).unwrap();
    let columns = table.batches[0].columns();
    assert_eq!(
        columns.iter().map(inside).collect::<Vec<_>>(),
        [vec![true; 3], vec![true; 2], vec![false]]
    );
    let widened = Arc::new(Int64Array::from_iter_values(0..i64::from(n))) as ArrayRef;
    assert_eq!(table.batches, [batch(&new, [text(), Arc::new(keep), widened])]);
    let copied = Arc::clone(&frame).table_copied_as(&expects).unwrap();
    assert_eq!(copied, table);
    assert!(copied.batches[0].columns().iter().all(|column| !inside(column).contains(&true)));
    drop(copied);
    let kept = table.batches[0].column(1).slice(3, 4);
    let widened = Arc::clone(table.batches[0].column(2));
    drop((table, frame));
    assert_eq!(ring.inspect().frames.held, 1);
    drop(kept);
    assert_eq!(ring.inspect().frames.held, 0);
    assert_eq!(widened.as_primitive::<Int64Type>().value(999), 999);
    // By the schema that was expected first no more is read, and what is forgotten is as it was written.
    send(&mut tx, &announced, &written);
    expects.forget("n");
    assert_eq!(read(&mut rx, &expects).unwrap().batches, std::slice::from_ref(&written));
    tx.send_typed(&written, None, &Wait::no()).unwrap();
    expects.expect(Expectation::new("n", new, 2)).unwrap();
    assert_eq!(read(&mut rx, &expects).unwrap().batches, [written], "it was sent under no schema");
}

/// R5.2, R12.4: 1 -by function-> 2 -by the rules-> 3 -by function-> 4, unseen by the caller.
#[test]
fn migrations_are_chained() {
    use DataType::{Float32, Float64, LargeUtf8, Utf8};
    let ring = ring();
    let one = schema([field("name", Utf8, false), field("fahrenheit", Float64, false)]);
    let two = schema([field("name", Utf8, false), field("celsius", Float32, false)]);
    let three = schema([
        field("name", Utf8, false),
        field("celsius", Float64, false),
        field("note", Utf8, true),
    ]);
    let four = schema([field("name", LargeUtf8, false), field("kelvin", Float64, false)]);
    let announced: Vec<Announced> = (1..)
        .zip([&one, &two, &three, &four])
        .map(|(version, of)| ring.announce_breaking("temp", of, version).unwrap())
        .collect();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let note = |step| {
        let seen = Arc::clone(&seen);
        move |batch: &RecordBatch| {
            let columns = batch
                .schema()
                .fields()
                .iter()
                .map(|field| field.name().clone())
                .collect::<Vec<_>>();
            seen.lock().unwrap().push((step, columns.join(" ")));
        }
    };
    let (first, third) = (note(1), note(3));
    let asked = Expectation::new("temp", Arc::clone(&four), 4)
        .migration(1, move |batch| {
            first(&batch);
            let old = batch.column(1).as_primitive::<Float64Type>();
            let celsius: Float32Array = old.unary(|degrees| ((degrees - 32.0) / 1.8) as f32);
            let columns = [
                ("celsius", Arc::new(celsius) as ArrayRef, true),
                ("name", Arc::clone(batch.column(0)), true),
            ];
            Ok(RecordBatch::try_from_iter_with_nullable(columns)?)
        })
        .migration(3, move |batch| {
            third(&batch);
            let kelvin: Float64Array =
                batch.column(1).as_primitive::<Float64Type>().unary(|c| c + 273.15);
            Ok(RecordBatch::try_from_iter([
                ("kelvin", Arc::new(kelvin) as ArrayRef),
                ("name", Arc::clone(batch.column(0))),
            ])?)
        });
    let mut expects = Expects::of(&ring);
    expects.expect(asked).unwrap();
    let (mut tx, mut rx) = ends(&ring);
    let name = |name: &str| Arc::new(StringArray::from(vec![name])) as ArrayRef;
    let number = |number| Arc::new(Float64Array::from(vec![number])) as ArrayRef;
    let sent = [
        batch(&one, [name("a"), number(212.0)]),
        batch(&two, [name("b"), Arc::new(Float32Array::from(vec![0.0]))]),
        batch(&three, [name("c"), number(0.0), name("x")]),
        batch(&four, [Arc::new(LargeStringArray::from(vec!["d"])), number(1.0)]),
    ];
    for (under, batch) in announced.iter().zip(&sent) {
        send(&mut tx, under, batch);
    }
    for (name, kelvin) in [("a", 373.15), ("b", 273.15), ("c", 273.15), ("d", 1.0)] {
        let table = read(&mut rx, &expects).unwrap();
        assert_eq!(table.schema, four);
        let batch = &table.batches[0];
        assert_eq!(batch.schema(), four);
        assert_eq!(batch.column(0).as_string::<i64>().value(0), name);
        let found = batch.column(1).as_primitive::<Float64Type>().value(0);
        assert!((found - kelvin).abs() < 1e-4, "{found}");
    }
    let seen = seen.lock().unwrap().clone();
    let third = (3, "name celsius note".to_owned());
    assert_eq!(seen, [(1, "name fahrenheit".to_owned()), third.clone(), third.clone(), third]);

    // Batch by batch, and once for the columns where there is none.
    let all =
        Table::new(Arc::clone(&three), vec![sent[2].clone(), sent[2].slice(0, 0), sent[2].clone()])
            .unwrap();
    for (table, lens) in [(all, vec![1, 0, 1]), (Table::new(three, vec![]).unwrap(), vec![])] {
        tx.send_typed(&announced[2].table(&table).unwrap(), None, &Wait::no()).unwrap();
        let read = read(&mut rx, &expects).unwrap();
        assert_eq!(read.schema, four);
        assert_eq!(read.batches.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), lens);
    }
}

/// R5.3, R8.4, R9.1: of a chain the step that is missing; a migration's own error; what it gives that does not fit.
#[test]
fn what_is_wrong_with_migrations_is_told() {
    let ring = ring();
    let of = |data_type| schema([field("x", data_type, false)]);
    let (one, three) = (of(DataType::Int32), of(DataType::Utf8));
    let first = ring.announce("n", &one, 1).unwrap();
    ring.announce("n", &of(DataType::Int64), 2).unwrap();
    ring.announce_breaking("n", &three, 3).unwrap();
    let (mut tx, mut rx) = ends(&ring);
    let row = batch(&one, [Arc::new(Int32Array::from(vec![1])) as _]);
    let mut expects = Expects::of(&ring);
    let mut tell = |asked: Expectation| {
        expects.expect(asked).unwrap();
        send(&mut tx, &first, &row);
        schema_error(read(&mut rx, &expects).unwrap_err())
    };
    let error = tell(Expectation::new("n", Arc::clone(&three), 3));
    assert_eq!(
        error.to_string(),
        "\"n\" of version 1 can't be read as version 3: column x is Int32, and Utf8 is expected, which can't hold it exactly; \
         register a migration of \"n\" from version 2 to 3"
    );
    assert_eq!((error.migration(), reasons(&error)), (Some((2, 3)), vec![("x", "type")]));

    let error = tell(
        Expectation::new("n", Arc::clone(&three), 3).migration(2, |_| Err("no text of it".into())),
    );
    assert_eq!(
        error.to_string(),
        "the migration of \"n\" from version 2 to 3 failed: no text of it; correct it"
    );
    assert_eq!((error.written, error.wanted, error.migration()), (2, 3, Some((2, 3))));
    let cause = std::error::Error::source(&error).map(ToString::to_string);
    assert_eq!(cause.as_deref(), Some("no text of it"));

    let error = tell(Expectation::new("n", Arc::clone(&three), 3).migration(2, Ok));
    let told = error.to_string();
    assert!(told.starts_with("what the migration of \"n\" from version 2 to 3 gave can't be read as version 3: column x is Int64"), "{told}");
    assert!(told.ends_with("; correct the migration from version 2 to 3"), "{told}");
    assert_eq!(error.migration(), Some((2, 3)));
    let texts =
        |_| Ok(RecordBatch::try_from_iter([("x", Arc::new(StringArray::from(vec!["a"])) as _)])?);
    let error = tell(Expectation::new("n", of(DataType::Boolean), 3).migration(1, texts));
    let told = error.to_string();
    assert!(
        told.ends_with("; correct it, or register a migration of \"n\" from version 2 to 3"),
        "{told}"
    );

    // One batch of texts and one of numbers are no table.
    let mixed = |batch: RecordBatch| match batch.num_rows() {
        1 => Ok(batch),
        _ => Ok(RecordBatch::try_from_iter([("y", Arc::new(Int8Array::from(vec![1, 2])) as _)])?),
    };
    expects.expect(Expectation::new("n", one, 2).migration(1, mixed)).unwrap();
    let two = batch(row.schema_ref(), [Arc::new(Int32Array::from(vec![1, 2])) as _]);
    let both = Table::new(row.schema(), vec![row.clone(), two]).unwrap();
    tx.send_typed(&first.table(&both).unwrap(), None, &Wait::no()).unwrap();
    let error = schema_error(read(&mut rx, &expects).unwrap_err());
    assert!(
        error.to_string().contains("failed: its batches have not all the same columns"),
        "{error}"
    );
}

/// R2.4: producers see what all consumers read, and older tables are refused.
#[test]
fn the_oldest_is_agreed_on() {
    let ring = ring();
    let of = schema([field("x", DataType::Int32, true)]);
    let first = ring.announce("n", &of, 1).unwrap();
    let (mut tx, mut rx) = ends(&ring);
    assert_eq!(tx.wanted("n").unwrap(), None);
    assert_eq!(tx.wanted("nobody knows it").unwrap(), None);
    let expect = |version, oldest| Expectation::new("n", Arc::clone(&of), version).oldest(oldest);
    let mut expects = Expects::of(&ring);
    expects.expect(expect(4, 2)).unwrap();
    assert_eq!(tx.wanted("n").unwrap(), Some(2..=4));
    expects.expect(expect(3, 2)).unwrap();
    assert_eq!(tx.wanted("n").unwrap(), Some(2..=3));
    let mut other = Expects::of(&ring);
    other.expect(expect(1, 1)).unwrap();
    assert!(tx.wanted("n").unwrap().expect("both have said it").is_empty());
    drop(other);
    send(&mut tx, &first, &batch(&of, [Arc::new(Int32Array::from(vec![1])) as _]));
    let error = schema_error(read(&mut rx, &expects).unwrap_err());
    assert!(matches!(error.kind, SchemaErrorKind::TooOld { oldest: 2, .. }));
    assert_eq!(
        error.to_string(),
        "\"n\" of version 1 came, and 2 is the oldest that is read here; expect it with oldest(1), or have a newer version sent"
    );
    drop(expects);
    assert_eq!(ring.wanted("n").unwrap(), None);
}

/// R9.1: a value that is beyond the type that is expected is not the schema's fault.
#[test]
fn a_value_beyond_the_type_is_named() {
    let ring = ring();
    let (old, new) =
        (DataType::Date32, DataType::Timestamp(arrow_schema::TimeUnit::Nanosecond, None));
    let old = schema([field("day", old, false)]);
    let announced = ring.announce("n", &old, 1).unwrap();
    let (mut tx, mut rx) = ends(&ring);
    let mut expects = Expects::of(&ring);
    expects.expect(Expectation::new("n", schema([field("day", new, false)]), 2)).unwrap();
    let days = Arc::new(arrow_array::Date32Array::from(vec![0, 110_000])) as _;
    send(&mut tx, &announced, &batch(&old, [days]));
    match read(&mut rx, &expects).unwrap_err() {
        Error::Apply(beyond) => {
            assert!(matches!(beyond.kind, ApplyErrorKind::OutOfRange { row: 1, .. }));
            assert_eq!(beyond.path, "day");
        }
        other => panic!("{other}"),
    }
}

/// P9: whatever stands in the body, a table that is handed out as what is expected keeps all that arrow-rs promises.
#[test]
fn what_is_handed_out_is_valid() {
    use DataType::{
        Binary, FixedSizeBinary, Float64, Int8, Int32, Int64, LargeUtf8, Utf8, Utf8View,
    };
    let words = |row: i32| ["ein", "zwei", "drei", "äöü vier"][row as usize % 4];
    let dictionary = |of| DataType::Dictionary(Box::new(Int8), Box::new(of));
    let old = schema([
        field("wide", Int32, true),
        field("keep", Int64, true),
        field("large", Utf8, true),
        field("view", Utf8, true),
        field("text", Utf8, true),
        field("dict", dictionary(Utf8), true),
        field("undict", dictionary(Utf8), true),
    ]);
    let new = schema([
        field("undict", Utf8, true),
        field("dict", dictionary(LargeUtf8), true),
        field("text", Utf8, true),
        field("view", Utf8View, true),
        field("large", LargeUtf8, true),
        field("keep", Int64, true),
        field("wide", Float64, true),
        with(field("filled", Utf8, false), DEFAULT, "nichts"),
        field("none", Binary, true),
        // Of which only the bits for nulls are made.
        field("nothing", FixedSizeBinary(0), true),
    ]);
    let n = 200;
    let texts = || {
        Arc::new((0..n).map(|row| (row % 4 > 0).then(|| words(row))).collect::<StringArray>())
            as ArrayRef
    };
    let dictionary = || {
        Arc::new(
            (0..n)
                .map(|row| (row % 5 > 0).then(|| words(row)))
                .collect::<DictionaryArray<Int8Type>>(),
        ) as ArrayRef
    };
    let written = batch(
        &old,
        [
            Arc::new((0..n).map(|row| (row % 3 > 0).then_some(row)).collect::<Int32Array>())
                as ArrayRef,
            Arc::new(
                (0..n).map(|row| (row % 3 > 0).then_some(i64::from(row))).collect::<Int64Array>(),
            ),
            texts(),
            texts(),
            texts(),
            dictionary(),
            dictionary(),
        ],
    );
    let ring = ring();
    let announced = ring.announce("n", &old, 1).unwrap();
    let mut expects = Expects::of(&ring);
    expects.expect(Expectation::new("n", Arc::clone(&new), 2)).unwrap();
    let (mut tx, mut rx) = ends(&ring);
    send(&mut tx, &announced, &written);
    let frame = rx.recv(&Wait::no()).unwrap();
    let good = frame.to_vec();
    let head = slipring::Header {
        schema_id: 1,
        schema_version: 1,
        ..slipring_frames::header(
            slipring_codec::Format::Arrow,
            slipring_codec::frame::flags::PARTS,
            0,
        )
    };
    assert_eq!(frame.table_as(&expects).unwrap().batches[0].num_rows(), 200);
    let (mut taken, mut refused) = (0, 0);
    for body in spoilt::bodies(&good).take(4000) {
        tx.send(head, &body, &Wait::no()).unwrap();
        match read(&mut rx, &expects) {
            Err(_) => refused += 1,
            Ok(table) => {
                taken += 1;
                assert_eq!(table.schema, new);
                spoilt::check(&table.batches);
            }
        }
    }
    assert!(taken > 500 && refused > 500, "{taken} and {refused}: neither is rare");
    assert_eq!(ring.inspect().frames.held, 0);
}

/// R4.1: what is expected may be asked by several threads.
#[test]
fn threads_may_share_what_is_expected() {
    fn shared<T: Send + Sync>() {}
    shared::<Expects>();
    shared::<Announced>();
    shared::<Error>();
}
