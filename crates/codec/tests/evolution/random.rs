//! Any two schemas, and any data: what can be resolved comes out whole, and nothing panics.

use super::*;
use proptest::prelude::*;

fn leaf() -> impl Strategy<Value = DataType> {
    let types: Vec<DataType> = types()
        .into_values()
        .chain([
            DataType::Null,
            DataType::Timestamp(TimeUnit::Second, Some("UTC".into())),
            DataType::Decimal32(5, 2),
            DataType::Decimal128(12, -3),
            DataType::Decimal128(20, 4),
            DataType::Decimal256(50, 9),
            DataType::FixedSizeBinary(0),
        ])
        .collect();
    proptest::sample::select(types)
}

fn field(inner: impl Strategy<Value = DataType>) -> impl Strategy<Value = Field> {
    let name = proptest::sample::select(vec!["a", "b", "c", "a.b", ""]);
    let default = proptest::sample::select(vec![
        None,
        None,
        Some("1"),
        Some("true"),
        Some("2024-02-29"),
        Some("x"),
    ]);
    let alias = proptest::sample::select(vec![None, None, Some("a"), Some("b, c"), Some(",")]);
    (name, inner, any::<bool>(), default, alias).prop_map(
        |(name, data_type, nullable, default, alias)| {
            let metadata = [(DEFAULT, default), (ALIASES, alias)];
            let metadata = metadata
                .into_iter()
                .filter_map(|(key, value)| Some((key.to_owned(), value?.to_owned())));
            let nullable = nullable || data_type == DataType::Null;
            Field::new(name, data_type, nullable)
                .with_metadata(metadata.collect::<std::collections::HashMap<_, _>>())
        },
    )
}

fn data_type() -> impl Strategy<Value = DataType> {
    leaf().prop_recursive(3, 12, 3, |inner| {
        let key = proptest::sample::select(vec![DataType::Int8, DataType::UInt8, DataType::Int64, DataType::UInt16]);
        prop_oneof![
            4 => field(inner.clone()).prop_map(|f| DataType::List(Arc::new(f))),
            1 => field(inner.clone()).prop_map(|f| DataType::LargeList(Arc::new(f))),
            1 => field(inner.clone()).prop_map(|f| DataType::ListView(Arc::new(f))),
            1 => field(inner.clone()).prop_map(|f| DataType::FixedSizeList(Arc::new(f), 3)),
            4 => proptest::collection::vec(field(inner.clone()), 0..3).prop_map(|f| DataType::Struct(f.into())),
            // Arrow's messages have no form for a dictionary whose values are one themselves.
            2 => (key, inner.clone()).prop_map(|(k, v)| match v {
                DataType::Dictionary(..) => v,
                v => DataType::Dictionary(Box::new(k), Box::new(v)),
            }),
            1 => inner.prop_map(|v| {
                let ends = Arc::new(Field::new("run_ends", DataType::Int32, false));
                DataType::RunEndEncoded(ends, Arc::new(Field::new("values", v, true)))
            }),
        ]
    })
}

fn schema() -> impl Strategy<Value = Schema> {
    proptest::collection::vec(field(data_type()), 0..5).prop_map(Schema::new)
}

/// A schema and one that is made of it by small changes, so that many pairs can be resolved.
fn pair() -> impl Strategy<Value = (Schema, Schema)> {
    (
        schema(),
        proptest::collection::vec((0..6usize, any::<proptest::sample::Index>(), leaf()), 0..4),
    )
        .prop_map(|(schema, changes)| {
            let mut fields: Vec<Field> = schema.fields().iter().map(|f| (**f).clone()).collect();
            for (change, at, data_type) in changes {
                if fields.is_empty() {
                    fields.push(Field::new("added", data_type, true));
                    continue;
                }
                let at = at.index(fields.len());
                let field = &fields[at];
                match change {
                    0 => drop(fields.remove(at)),
                    1 => fields.swap(0, at),
                    2 => fields[at] = field.clone().with_nullable(true),
                    3 => {
                        let alias = field.name().clone();
                        let named =
                            field.clone().with_name(format!("new {alias}")).with_nullable(true);
                        fields[at] = with(named, ALIASES, &alias);
                    }
                    4 => fields[at] = field.clone().with_data_type(data_type).with_nullable(true),
                    _ => fields.insert(at, Field::new("added", data_type, true)),
                }
            }
            (schema, Schema::new(fields))
        })
}

/// An array of any values; of nulls, too, where there may be some.
fn array(
    data_type: &DataType,
    len: usize,
    nullable: bool,
    bits: &mut impl FnMut() -> u64,
) -> ArrayRef {
    use arrow_data::ArrayDataBuilder;
    let nulls = (nullable && !bits().is_multiple_of(3))
        .then(|| (0..len).map(|_| !bits().is_multiple_of(4)).collect::<NullBuffer>());
    let mut builder = ArrayDataBuilder::new(data_type.clone()).len(len);
    let has_bitmap = !matches!(data_type, DataType::Null | DataType::RunEndEncoded(..));
    if has_bitmap {
        builder = builder.nulls(nulls.clone());
    }
    let lens: Vec<usize> = (0..len).map(|_| (bits() % 4) as usize).collect();
    let total: usize = lens.iter().sum();
    let offsets = || {
        std::iter::once(0).chain(lens.iter().scan(0, |end, len| {
            *end += len;
            Some(*end)
        }))
    };
    let short = || Buffer::from_vec(offsets().map(|end| end as i32).collect::<Vec<_>>());
    let long = || Buffer::from_vec(offsets().map(|end| end as i64).collect::<Vec<_>>());
    let mut child =
        |field: &Field, len| array(field.data_type(), len, field.is_nullable(), bits).to_data();
    builder = match data_type {
        DataType::Null => builder,
        DataType::Boolean => {
            builder.add_buffer((0..len.div_ceil(8)).map(|_| bits() as u8).collect())
        }
        DataType::Utf8 | DataType::Binary => {
            builder.add_buffer(short()).add_buffer(vec![b'x'; total].into())
        }
        DataType::LargeUtf8 | DataType::LargeBinary => {
            builder.add_buffer(long()).add_buffer(vec![b'x'; total].into())
        }
        DataType::Utf8View => {
            let texts = (0..len).map(|i| {
                (!bits().is_multiple_of(5) || !nullable).then(|| "long enough".repeat(i % 3))
            });
            return Arc::new(texts.collect::<StringViewArray>());
        }
        DataType::BinaryView => {
            let texts = (0..len).map(|i| {
                (!bits().is_multiple_of(5) || !nullable).then(|| "long enough".repeat(i % 3))
            });
            return Arc::new(texts.collect::<BinaryViewArray>());
        }
        DataType::List(field) => builder.add_buffer(short()).add_child_data(child(field, total)),
        DataType::LargeList(field) => {
            builder.add_buffer(long()).add_child_data(child(field, total))
        }
        DataType::ListView(field) => {
            let sizes = Buffer::from_vec(lens.iter().map(|&len| len as i32).collect::<Vec<_>>());
            let starts =
                Buffer::from_vec(offsets().take(len).map(|at| at as i32).collect::<Vec<_>>());
            builder.add_buffer(starts).add_buffer(sizes).add_child_data(child(field, total))
        }
        DataType::LargeListView(field) => {
            let sizes = Buffer::from_vec(lens.iter().map(|&len| len as i64).collect::<Vec<_>>());
            let starts =
                Buffer::from_vec(offsets().take(len).map(|at| at as i64).collect::<Vec<_>>());
            builder.add_buffer(starts).add_buffer(sizes).add_child_data(child(field, total))
        }
        DataType::FixedSizeList(field, size) => {
            builder.add_child_data(child(field, len * *size as usize))
        }
        DataType::Struct(fields) => {
            let children = fields.iter().map(|field| child(field, len)).collect();
            builder.child_data(children)
        }
        DataType::Dictionary(key, values) => {
            let values = array(values, 3, true, bits).to_data();
            let width = key.primitive_width().unwrap();
            let indices = (0..len).flat_map(|_| (bits() % 3).to_le_bytes().into_iter().take(width));
            builder.add_buffer(indices.collect()).add_child_data(values)
        }
        DataType::RunEndEncoded(_, values) => {
            let ends = Int32Array::from(if len == 0 { vec![] } else { vec![len as i32] });
            let values = child(values, usize::from(len > 0));
            builder.add_child_data(ends.to_data()).add_child_data(values)
        }
        fixed => {
            let width = match fixed {
                DataType::FixedSizeBinary(width) => *width as usize,
                fixed => fixed.primitive_width().unwrap(),
            };
            // Small numbers mostly, so that not everything is out of range.
            let bytes = (0..len).flat_map(|_| {
                let number = bits() as i64 >> (bits() % 60);
                let sign = if number < 0 { 0xFF } else { 0 };
                number
                    .to_le_bytes()
                    .into_iter()
                    .chain(std::iter::repeat(sign))
                    .take(width)
                    .collect::<Vec<_>>()
            });
            builder.add_buffer(bytes.collect())
        }
    };
    make_array(builder.align_buffers(true).build().unwrap())
}

fn check(written: &Schema, wanted: &Schema, len: usize, seed: u64) -> Result<bool, TestCaseError> {
    let mut state = seed;
    let mut bits = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 17
    };
    let columns =
        written.fields().iter().map(|f| array(f.data_type(), len, f.is_nullable(), &mut bits));
    let options = RecordBatchOptions::new().with_row_count(Some(len));
    let batch =
        RecordBatch::try_new_with_options(Arc::new(written.clone()), columns.collect(), &options)
            .unwrap();
    let (body, table) = sent(&[batch.clone(), batch]);
    let projection = match resolve(&named(1, &table.schema), &named(2, wanted)) {
        Ok(projection) => projection,
        Err(refused) => {
            prop_assert!(!refused.faults.is_empty());
            prop_assert!(refused.to_string().len() < 100_000);
            return Ok(false);
        }
    };
    match projection.apply(&table, &body, fair(body.len())) {
        Ok(projected) => {
            // All of it is checked by arrow-rs, with nulls and types against the schema.
            let read = projected.record_batches(&Buffer::from_slice_ref(&body));
            prop_assert!(read.is_ok(), "{:?} as {wanted:?}: {:?}", table.schema, read.err());
            let read = read.unwrap();
            prop_assert!(read.iter().all(|batch| batch.num_rows() == len));
            // Who reads the new version as itself gets it as it is.
            prop_assert!(resolve(&named(2, wanted), &named(2, wanted)).unwrap().is_identity());
        }
        Err(error) => {
            let beyond = matches!(error.kind, ApplyErrorKind::OutOfRange { .. });
            prop_assert!(beyond, "{error}");
        }
    }
    Ok(true)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    /// R9.2: any two schemas and any data end in a table or an error.
    #[test]
    fn any_pair_of_schemas_ends_well(written in schema(), wanted in schema(), len in 0..20usize, seed: u64) {
        check(&written, &wanted, len, seed)?;
    }

    /// R2.4: the same of schemas that have something in common.
    #[test]
    fn a_changed_schema_ends_well((written, wanted) in pair(), len in 0..20usize, seed: u64) {
        check(&written, &wanted, len, seed)?;
    }
}
