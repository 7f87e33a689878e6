//! Spoilt tables: nothing that a peer can write leads outside, and what is wrong is told by its path.

use super::*;

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
