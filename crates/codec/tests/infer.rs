//! Records as columns: what goes into them, nested and of every type, and what is said of what does not.

use arrow_schema::{DataType, TimeUnit};
use slipring_codec::infer::{Column, EXTENSION, Misfit, Records, Scalar, UUID, Unfit};

/// So many records of one key, whose value a function puts into its place.
fn records(
    rows: usize,
    mut fill: impl FnMut(usize, &mut Column) -> Result<(), Unfit>,
) -> Result<(DataType, usize), Misfit> {
    let mut records = Records::new();
    for row in 0..rows {
        records.begin();
        let filled = fill(row, records.place("k")?);
        filled.map_err(|unfit| records.misfit(unfit))?;
    }
    let (schema, rows) = records.finish()?;
    rows.columns[0].validate_full().unwrap();
    Ok((schema.field(0).data_type().clone(), rows.columns[0].null_count()))
}

/// R2.2: each scalar has its type, and nulls ahead of the first one and behind it are nulls.
#[test]
fn scalars_have_fitting_types() {
    let seconds = |zone: Option<&str>| DataType::Timestamp(TimeUnit::Second, zone.map(Into::into));
    let moment = |micros, east| Scalar::Moment { micros, east };
    let decimal = |digits, scale| Scalar::decimal(digits, scale).unwrap();
    for (scalar, expected) in [
        (Scalar::Date(-1), DataType::Date32),
        (Scalar::Time(3_000_000), DataType::Time32(TimeUnit::Second)),
        (Scalar::Time(3_000_001), DataType::Time64(TimeUnit::Microsecond)),
        (Scalar::Naive(-1_000_000), seconds(None)),
        (Scalar::Naive(-1), DataType::Timestamp(TimeUnit::Microsecond, None)),
        (moment(0, 0), seconds(Some("UTC"))),
        (moment(0, -90), seconds(Some("-01:30"))),
        (moment(0, 845), seconds(Some("+14:05"))),
        (Scalar::Duration(i64::MIN), DataType::Duration(TimeUnit::Microsecond)),
        (decimal(-1250, 2), DataType::Decimal128(4, 2)),
        (decimal(0, 5), DataType::Decimal128(5, 5)),
        (decimal(7, -3), DataType::Decimal128(1, -3)),
        (Scalar::Uuid([7; 16]), DataType::FixedSizeBinary(16)),
    ] {
        let found = records(6, |row, place| place.push([Scalar::Null, scalar][row % 2])).unwrap();
        assert_eq!(found, (expected, 3), "{scalar:?}");
    }
    assert!(Scalar::decimal(10i128.pow(38), 0).is_none() && Scalar::decimal(1, 39).is_none());
    assert!(Scalar::decimal(1, -39).is_none());
    let mut records = Records::new();
    records.begin();
    records.entry("id", Scalar::Uuid([1; 16])).unwrap();
    let (schema, _) = records.finish().unwrap();
    assert_eq!(schema.field(0).metadata().get(EXTENSION).map(|name| &**name), Some(UUID));
}

/// R2.2, R2.5: lists and maps stand inside of each other; what is null around them is null within.
#[test]
fn lists_and_maps_nest() {
    let (found, nulls) = records(9, |row, place| {
        if row % 3 == 0 {
            return place.push(Scalar::Null);
        }
        let mut map = place.map()?;
        let mut list = map.entry("l")?.list()?;
        for n in 0..row {
            list.item().push(Scalar::Int(n as i64))?;
        }
        list.finish()?;
        map.entry("t")?.push(if row == 4 { Scalar::Null } else { Scalar::Text("x") })?;
        map.finish()
    })
    .unwrap();
    let DataType::Struct(fields) = found else { panic!("{found}") };
    assert_eq!((fields[0].name().as_str(), fields[1].data_type()), ("l", &DataType::Utf8));
    assert!(
        matches!(fields[0].data_type(), DataType::List(item) if *item.data_type() == DataType::Int64)
    );
    assert!(nulls == 3 && fields[0].is_nullable());
}

/// R2.5, R1.2: what does not fit is said, with the record and the path.
#[test]
fn what_does_not_fit_is_said() {
    let told = |fill: fn(usize, &mut Column) -> Result<(), Unfit>| {
        records(200, fill).unwrap_err().to_string()
    };
    let mixed = told(|row, place| {
        let mut list = place.list()?;
        let mut map = list.item().map()?;
        let scalar = if row == 7 { Scalar::Text("x") } else { Scalar::Int(1) };
        let pushed = map.entry("x")?.push(scalar).map_err(|unfit| unfit.under("x").in_list());
        pushed.and_then(|()| map.finish()).and_then(|()| list.finish())
    });
    assert_eq!(mixed, "record 7 has a text under \"k[].x\", where there was an integer before");
    let keys = told(|row, place| {
        let mut map = place.map()?;
        map.entry(if row == 3 { "b" } else { "a" })?.push(Scalar::Int(1))?;
        map.finish()
    });
    assert!(keys.starts_with("record 3 has a map under \"k\" whose keys"), "{keys}");
    assert!(told(|_, place| place.map()?.finish()).contains("record 0 has a map"));
    let finer = told(|row, place| place.push(Scalar::Naive([1_000_000, 5][row / 9 % 2])));
    assert!(finer.contains("record 9 has a date and time with microseconds"), "{finer}");
    let offset = told(|row, place| place.push(Scalar::Moment { micros: 0, east: row as i16 }));
    assert!(offset.contains("another offset"), "{offset}");
    let scale = told(|row, place| place.push(Scalar::decimal(1, row as i64).unwrap()));
    assert!(scale.contains("more or fewer digits"), "{scale}");
    let thin = told(|_, place| {
        let mut list = place.list()?;
        (0..20_000).try_for_each(|_| list.item().push(Scalar::Null))?;
        list.finish()
    });
    assert!(thin.contains("too few bytes"), "{thin}");
    assert_eq!(told(|_, place| place.push(Scalar::Null)), Misfit::Nothing.to_string());
}

/// The type of these values under one key, where a table was asked for, and how many of them are null.
fn asked(scalars: &[Scalar<'_>]) -> Result<(DataType, usize), Misfit> {
    let mut records = Records::for_table(scalars.len());
    for &scalar in scalars {
        records.begin();
        records.entry("k", scalar)?;
    }
    let (schema, rows) = records.finish()?;
    rows.columns[0].validate_full().unwrap();
    Ok((schema.field(0).data_type().clone(), rows.columns[0].null_count()))
}

/// R2.2: of records that are asked to be a table what holds all without loss is the type.
#[test]
fn values_of_several_kinds_come_together_where_a_table_was_asked_for() {
    use Scalar::{Float, Int, Moment, Naive, Null, Time, Unsigned};
    let decimal = |digits, scale| Scalar::decimal(digits, scale).unwrap();
    let micros =
        |zone: Option<&str>| DataType::Timestamp(TimeUnit::Microsecond, zone.map(Into::into));
    assert_eq!(asked(&[Null, Null]).unwrap(), (DataType::Null, 0), "nulls without a mask");
    assert_eq!(Records::for_table(1).finish().unwrap_err(), Misfit::Nothing);
    let most = 1 << 53;
    for (scalars, expected) in [
        (vec![Int(1), Null, Float(0.5), Int(-most)], DataType::Float64),
        (vec![Null, Float(0.5), Int(most)], DataType::Float64),
        (vec![decimal(5, 1), Null, decimal(125, 2), decimal(3, -1)], DataType::Decimal128(4, 2)),
        (vec![decimal(0, 30), decimal(12, 0)], DataType::Decimal128(32, 30)),
        (vec![Naive(1_000_000), Null, Naive(5)], micros(None)),
        (vec![Naive(5), Naive(-1_000_000)], micros(None)),
        (vec![Time(0), Time(1)], DataType::Time64(TimeUnit::Microsecond)),
        (
            vec![Moment { micros: 0, east: 60 }, Moment { micros: 1, east: 60 }],
            micros(Some("+01:00")),
        ),
        (vec![Moment { micros: 0, east: 60 }, Moment { micros: 1, east: -5 }], micros(Some("UTC"))),
    ] {
        let nulls = scalars.iter().filter(|scalar| matches!(scalar, Null)).count();
        assert_eq!(asked(&scalars), Ok((expected, nulls)), "{scalars:?}");
    }
    for (scalars, said) in [
        (
            vec![Float(0.5), Null, Int(most + 1)],
            "record 2 has an integer that no float holds exactly",
        ),
        (
            vec![Int(-most - 1), Float(0.5)],
            "where there was an integer that no float holds exactly",
        ),
        (vec![Float(0.5), Unsigned(u64::MAX)], "record 1 has an integer from 2^63 on"),
        (vec![Int(-1), Unsigned(u64::MAX)], "record 1 has an integer from 2^63 on"),
        (vec![Int(1), Scalar::Text("1")], "record 1 has a text"),
        (vec![Scalar::Bool(true), Int(1)], "record 1 has an integer"),
        (vec![decimal(10i128.pow(37), 0), decimal(1, 5)], "more or fewer digits"),
        (vec![Naive(0), Moment { micros: 0, east: 0 }], "record 1 has a point in time"),
    ] {
        let told = asked(&scalars).unwrap_err();
        assert!(told.to_string().contains(said), "{told}");
    }
    assert_eq!(asked(&[Int(1), Scalar::Text("1")]).unwrap_err().place(), (Some(1), Some("k")));
}

/// R2.2, R2.5: where a table was asked for keys stand in any order, and what is missing is null, within maps, too.
#[test]
fn keys_come_as_they_come_where_a_table_was_asked_for() {
    let mut records = Records::for_table(4);
    let rows: [&[(&str, Option<i64>)]; 5] = [
        &[("a", Some(1)), ("b", Some(2))],
        &[("b", Some(3)), ("c", None), ("a", Some(4))],
        &[],
        &[("c", Some(5))],
        &[("b", None)],
    ];
    for row in rows {
        records.begin();
        let scalar = |value: Option<i64>| value.map_or(Scalar::Null, Scalar::Int);
        row.iter().for_each(|&(key, value)| records.entry(key, scalar(value)).unwrap());
        let mut map = records.place("m").unwrap().map().unwrap();
        row.iter().for_each(|&(key, value)| map.entry(key).unwrap().push(scalar(value)).unwrap());
        map.finish().unwrap();
    }
    let (schema, rows) = records.finish().unwrap();
    let names: Vec<&str> = schema.fields().iter().map(|field| &**field.name()).collect();
    assert_eq!(names, ["a", "b", "c", "m"]);
    let int = |data: &arrow_data::ArrayData| -> Vec<Option<i64>> {
        arrow_array::Int64Array::from(data.clone()).iter().collect()
    };
    let expected = [
        vec![Some(1), Some(4), None, None, None],
        vec![Some(2), Some(3), None, None, None],
        vec![None, None, None, Some(5), None],
    ];
    for (number, expected) in expected.iter().enumerate() {
        assert_eq!(int(&rows.columns[number]), *expected);
        assert_eq!(int(&rows.columns[3].child_data()[number]), *expected);
    }
    rows.columns[3].validate_full().unwrap();
    let fields = schema.fields();
    let missing = |at: usize| fields[at].metadata().contains_key(slipring_codec::infer::MISSING);
    assert!(missing(0) && !missing(2), "null and missing are the same there");
    // A key that stands twice is none of a table, whoever asks.
    let mut records = Records::for_table(1);
    records.begin();
    records.entry("a", Scalar::Int(1)).unwrap();
    assert_eq!(records.entry("a", Scalar::Int(1)).unwrap_err().place(), (Some(0), None));
    let mut map = records.place("m").unwrap().map().unwrap();
    map.entry("a").unwrap().push(Scalar::Int(1)).unwrap();
    assert!(map.entry("a").is_err());
}

/// R2.2: a key that stands twice in a record is refused, wherever the records before had it.
#[test]
fn a_key_that_comes_again_in_another_place_is_refused() {
    for again in ["a", "b"] {
        let mut records = Records::for_table(2);
        let mut one = |keys: &[&str]| {
            records.begin();
            keys.iter().try_for_each(|key| records.entry(key, Scalar::Int(1)))
        };
        one(&["a", "b"]).unwrap();
        let told = one(&["b", "a", again]).unwrap_err();
        assert!(matches!(told, Misfit::Order { row: 1, .. }), "{again}: {told}");
    }
    // By who knows that it is the expected one, too.
    let mut records = Records::for_table(2);
    for keys in [["a", "b"], ["b", "a"]] {
        records.begin();
        keys.iter().for_each(|key| records.entry(key, Scalar::Int(1)).unwrap());
    }
    assert_eq!(records.expected(), Some("b"));
    let told = records.expected_entry(Scalar::Int(1)).unwrap_err();
    assert!(matches!(told, Misfit::Order { row: 1, .. }), "{told}");
}
