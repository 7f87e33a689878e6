//! Values planned for a frame, and read from one without their bytes being copied.

use proptest::prelude::*;
use slipring_codec::format::ndarray::{Descriptor, Dtype, Element, Order};
use slipring_codec::format::value::{self, ARRAY_OUT_OF_LINE, BYTES_OUT_OF_LINE};
use slipring_codec::frame::Headed;
use slipring_codec::{Body, Content, DecodeErrorKind, EncodeErrorKind, Value, tag};

const META: &[u8] = b"\xa1\x64site\x04";

fn written(value: &Value, meta: Option<&[u8]>) -> (Vec<u8>, u16) {
    let plan = value::plan(value, meta).expect("a value that can be sent");
    let mut body = vec![0xEE; plan.body_len()];
    plan.write(&mut body).expect("as planned");
    (body, plan.flags())
}

fn opened<T>(body: &(Vec<u8>, u16), read: impl FnOnce(&Body<'_>, Headed<'_>) -> T) -> T {
    let body = Body::open(1, body.1, 0, &body.0).expect("a body");
    let Ok(Content::Value(headed)) = body.content() else { panic!("a value") };
    read(&body, headed)
}

/// Values whose bytes stand in every place, around the lengths from which they go out of line.
fn value() -> impl Strategy<Value = Value> {
    let len = prop_oneof![
        0usize..40,
        ARRAY_OUT_OF_LINE - 8..ARRAY_OUT_OF_LINE + 9,
        BYTES_OUT_OF_LINE - 1..BYTES_OUT_OF_LINE + 2,
    ];
    let bytes = (len, any::<u8>()).prop_map(|(len, of)| vec![of; len]);
    let arrays = (bytes.clone(), 0..4).prop_map(|(data, kind)| {
        let n = data.len() as u64;
        let of = |dtype: Element, shape: &[u64], order| {
            let array = Descriptor::new(dtype, order, shape).expect("a shape");
            Value::ndarray(&array, data[..array.byte_len()].to_vec())
        };
        match kind {
            0 => of(Dtype::I16.into(), &[n / 2], Order::C),
            1 => of(Dtype::F64.into(), &[2, n / 16], Order::F),
            2 => of(Dtype::BOOL.into(), &[n], Order::C),
            _ => of(Element::Bytes { len: 8 }, &[n / 8], Order::C),
        }
    });
    let leaf = prop_oneof![
        bytes.clone().prop_map(Value::Bytes),
        bytes.prop_map(|bytes| Value::Tag(tag::POSITIVE_BIG, Box::new(Value::Bytes(bytes)))),
        arrays,
        any::<i64>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 12, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            proptest::collection::vec(inner, 0..4).prop_map(|items| {
                let key = |(at, item)| (Value::from(at as u64), item);
                Value::Map(items.into_iter().enumerate().map(key).collect())
            }),
        ]
    })
}

/// The same value, and every byte string and array of it by way of the outline.
fn same(headed: &Headed<'_>, sent: &Value, outline: &Value) {
    if let Some(view) = headed.array(sent).expect("an array as it was sent") {
        let found = headed.array(outline).expect("an array").expect("as was sent");
        assert_eq!((&found.descriptor, found.data.bytes), (&view.descriptor, view.data.bytes));
        let out = found.data.bytes.len() >= ARRAY_OUT_OF_LINE;
        assert_eq!(out, found.data.offset != 0, "{} bytes", found.data.bytes.len());
        assert_eq!(found.data.offset % 64, 0);
        return;
    }
    assert!(headed.array(outline).expect("no array").is_none());
    match (sent, outline) {
        (Value::Array(a), Value::Array(b)) => {
            assert_eq!(a.len(), b.len());
            a.iter().zip(b).for_each(|(a, b)| same(headed, a, b));
        }
        (Value::Map(a), Value::Map(b)) => {
            assert_eq!(a.len(), b.len());
            a.iter().zip(b).for_each(|(a, b)| same(headed, &a.1, &b.1));
        }
        (Value::Bytes(bytes), of) => {
            assert_eq!(headed.bytes(of).expect("bytes"), Some(&bytes[..]));
            let out = bytes.len() >= BYTES_OUT_OF_LINE;
            assert_eq!(out, matches!(of, Value::Tag(tag::BUFFER, _)), "{} bytes", bytes.len());
        }
        (sent, found) => assert_eq!(sent, found),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// M1, R4.1, R14.1, R14.2: with metadata and without, in line and out of it; nothing is left unwritten.
    #[test]
    fn a_value_comes_back_from_a_frame(sent in value(), with_meta in any::<bool>()) {
        let meta = with_meta.then_some(META);
        let body = written(&sent, meta);
        opened(&body, |opened, headed| {
            assert_eq!(headed.to_value().expect("a value"), sent);
            assert_eq!(opened.meta_part().map(|part| part.bytes), meta);
            same(&headed, &sent, &headed.outline().expect("an outline"));
        });
        // Written twice over different memory it is the same, so no byte is what was there before.
        let plan = value::plan(&sent, meta).expect("as before");
        let mut again = vec![0x11; plan.body_len()];
        plan.write(&mut again).expect("as planned");
        prop_assert!(again == body.0);
    }
}

/// R14.1: a small value without metadata is its encoding and nothing else.
#[test]
fn a_plain_value_is_its_encoding() {
    let sent = Value::Map(vec![("a".into(), Value::from(1i64)), ("b".into(), Value::Null)]);
    assert_eq!(written(&sent, None), (sent.to_vec().unwrap(), 0));
}

/// R6.3: what would be somebody else's bytes, too short a place, and metadata that is none are refused, each with its place.
#[test]
fn what_can_not_be_planned_is_refused() {
    let number = Value::Tag(tag::BUFFER, Box::new(Value::from(0i64)));
    for (sent, path) in [
        (Value::Array(vec![Value::Null, number.clone()]), "$[1]"),
        (Value::Map(vec![(number, Value::Null)]), "$.<key 0>"),
    ] {
        let error = value::plan(&sent, None).unwrap_err();
        assert!(matches!(error.kind(), EncodeErrorKind::BufferUnknown { number: 0, .. }));
        assert!(error.path().to_string().starts_with(path), "{error}");
        // By itself it is a tag as any other.
        sent.to_vec().unwrap();
    }
    let refused = value::plan(&Value::Null, Some(b"\x80")).unwrap_err();
    assert_eq!(refused.kind(), EncodeErrorKind::MetaNotMap);
    let plan = value::plan(&Value::Null, None).unwrap();
    let refused = plan.write(&mut [0; 2]).unwrap_err();
    assert!(matches!(refused.kind(), EncodeErrorKind::BodyLength { planned: 1, found: 2, .. }));
}

/// P9: outlines whose numbers and arrays are of nothing that the frame has.
#[test]
fn what_an_outline_does_not_have_is_refused() {
    let empty = (vec![0xf6], 0);
    opened(&empty, |_, headed| {
        let buffer = |number: i64| Value::Tag(tag::BUFFER, Box::new(Value::from(number)));
        for number in [0, 1, i64::MAX, -1] {
            let error = headed.bytes(&buffer(number)).unwrap_err();
            assert!(matches!(error.kind(), DecodeErrorKind::BufferUnknown { .. }), "{error}");
            let array = Value::Tag(tag::TYPED_ARRAYS, Box::new(buffer(number)));
            assert!(headed.array(&array).is_err());
        }
        let text = Value::Tag(tag::BUFFER, Box::new("0".into()));
        assert!(headed.bytes(&text).is_err());
        for inner in [Value::Null, Value::Array(vec![]), Value::Bytes(vec![0; 3]), text] {
            for tag in [tag::ARRAY_C, tag::ARRAY_F, tag::NDARRAY, 70] {
                let array = Value::Tag(tag, Box::new(inner.clone()));
                let found = headed.array(&array);
                // Three bytes are not even one element of four.
                assert!(found.is_err() || found.unwrap().unwrap().data.bytes.is_empty());
            }
        }
        assert!(headed.array(&Value::Null).unwrap().is_none());
        assert_eq!(headed.bytes(&Value::Null).unwrap(), None);
    });
}
