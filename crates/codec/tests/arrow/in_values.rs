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
        let (table, memory) = read.get("frame").unwrap().to_table(Checks::Full).unwrap().unwrap();
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
