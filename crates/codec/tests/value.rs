//! Token layer and tree: round trips, limits, hostile input.

use proptest::prelude::*;
use slipring_codec::extension::{Extension, Migration};
use slipring_codec::token::MAX_DEPTH;
use slipring_codec::{DecodeErrorKind, Decoder, EncodeErrorKind, Encoder, Token, Value, tag};

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<u64>().prop_map(|n| Value::Int(-1 - i128::from(n))),
        // Powers of two and their neighbours: where the width of an integer changes.
        (0u32..=64, -1i128..=1)
            .prop_map(|(bits, by)| { Value::Int(((1i128 << bits) + by).min(u64::MAX.into())) }),
        any::<f64>().prop_map(Value::Float),
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(Value::Bytes),
        any::<String>().prop_map(Value::Text),
    ]
}

fn tree() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(6, 200, 30, |inner| {
        let pairs = proptest::collection::vec((inner.clone(), inner.clone()), 0..30);
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..30).prop_map(Value::Array),
            pairs.prop_map(Value::Map),
            (any::<u64>(), inner).prop_map(|(tag, value)| Value::Tag(tag, Box::new(value))),
        ]
    })
}

/// Keys of a map of this tree that stand twice, found the plain way: by their encodings.
fn repeats_a_key(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(repeats_a_key),
        Value::Tag(_, inner) => repeats_a_key(inner),
        Value::Map(pairs) => {
            let mut seen = std::collections::HashSet::new();
            pairs.iter().any(|(key, value)| {
                repeats_a_key(key)
                    || repeats_a_key(value)
                    || key.to_vec().is_ok_and(|encoding| !seen.insert(encoding))
            })
        }
        _ => false,
    }
}

proptest! {
    /// M1: what is written is read back, by its bits, and fills a slice of the measured length.
    #[test]
    fn a_tree_comes_back(value in tree()) {
        if repeats_a_key(&value) {
            let error = value.to_vec().expect_err("a key stands twice");
            prop_assert_eq!(error.kind(), EncodeErrorKind::DuplicateKey);
            return Ok(());
        }
        let bytes = value.to_vec().unwrap();
        let decoded = Value::decode(&bytes).unwrap();
        // Encoded again it must be the same bytes: this tells NaNs and zeros apart, equality doesn't.
        prop_assert_eq!(decoded.to_vec().unwrap(), &bytes[..]);

        let mut measure = Encoder::over(&mut []);
        value.write(&mut measure).unwrap();
        prop_assert_eq!(measure.len(), bytes.len());
        let mut place = vec![0; bytes.len()];
        let mut encoder = Encoder::over(&mut place);
        value.write(&mut encoder).unwrap();
        prop_assert_eq!(encoder.finish().unwrap(), &bytes[..]);
    }

    /// P9: every truncation of a value is refused as such; R14.1: so is every slice too short for it.
    #[test]
    fn no_truncation_passes(value in tree()) {
        let Ok(bytes) = value.to_vec() else { return Ok(()) };
        for end in 0..bytes.len() {
            let error = Value::decode(&bytes[..end]).unwrap_err();
            let truncated = matches!(error.kind(), DecodeErrorKind::Truncated { .. });
            prop_assert!(truncated, "{} of {}: {}", end, bytes.len(), error);

            let mut place = vec![0; end];
            let mut encoder = Encoder::over(&mut place);
            value.write(&mut encoder).unwrap();
            let error = encoder.finish().unwrap_err();
            let EncodeErrorKind::NoSpace { needed, available, .. } = error.kind() else {
                panic!("{error}")
            };
            prop_assert_eq!((needed, available), (bytes.len(), end));
        }
    }

    /// P9: any bytes give a value or an error within them; a value that is read can be written
    /// and is then read as the same. Skipping agrees wherever the tree accepts.
    #[test]
    fn any_bytes_end_well(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let mut decoder = Decoder::new(&bytes);
        match Value::decode(&bytes) {
            Ok(value) => {
                decoder.skip().unwrap();
                decoder.finish().unwrap();
                let again = value.to_vec().unwrap();
                prop_assert_eq!(Value::decode(&again).unwrap().to_vec().unwrap(), again);
            }
            Err(error) => {
                prop_assert!(error.offset() <= bytes.len());
                if decoder.skip().is_err() {
                    prop_assert_eq!(decoder.offset(), 0);
                }
            }
        }
    }
}

/// M1: every float of 16 bits is read exactly, by the RFC's own arithmetic (appendix D).
#[test]
fn half_floats_are_exact() {
    for bits in 0..=u16::MAX {
        let [a, b] = bits.to_be_bytes();
        let input = [0xF9, a, b];
        let token = Decoder::new(&input).token().unwrap();
        let Token::Float(found) = token else { panic!("{bits:#x}: {token:?}") };
        let (exponent, fraction) = (i32::from(bits >> 10 & 0x1F), f64::from(bits & 0x3FF));
        let magnitude = match exponent {
            0 => fraction * 2f64.powi(-24),
            31 if fraction == 0.0 => f64::INFINITY,
            31 => f64::NAN,
            _ => (fraction + 1024.0) * 2f64.powi(exponent - 25),
        };
        assert!(found.is_nan() && magnitude.is_nan() || found.abs() == magnitude, "{bits:#x}");
        assert_eq!(found.is_sign_negative(), bits >> 15 == 1, "{bits:#x}");
    }
}

/// M1: every integer is written in the shortest form, up to both ends.
#[test]
fn integers_take_the_shortest_form() {
    let widths = [(23, 1), (24, 2), (255, 2), (256, 3), (65_535, 3), (65_536, 5)];
    let wide = [(u32::MAX.into(), 5), (u64::from(u32::MAX) + 1, 9), (u64::MAX, 9)];
    for (n, width) in widths.into_iter().chain(wide) {
        let mut encoder = Encoder::new();
        assert_eq!((encoder.uint(n).len(), n), (width, n));
        assert_eq!((encoder.negative(n).len(), n), (2 * width, n));
    }
    let mut encoder = Encoder::new();
    encoder.int(i64::MIN).int(-1).int(0).int(i64::MAX);
    let bytes = encoder.into_vec();
    let mut decoder = Decoder::new(&bytes);
    for n in [i64::MIN, -1, 0, i64::MAX] {
        assert_eq!(decoder.token().unwrap().as_integer(), Some(n.into()));
    }
    for n in [1 << 64, -(1 << 64) - 1, i128::MIN, i128::MAX] {
        let error = Value::Int(n).to_vec().unwrap_err();
        assert!(matches!(error.kind(), EncodeErrorKind::IntegerRange { .. }), "{n}");
    }
}

/// M1, P9: exactly [`MAX_DEPTH`] containers or tags may enclose each other, both ways, tree and skip.
#[test]
fn depth_has_an_end() {
    type Wrap = fn(Value) -> Value;
    let wraps: [(&str, Wrap); 3] = [
        ("[0]", |v| Value::Array(vec![v])),
        (".{1}", |v| Value::Map(vec![(Value::from(1i64), v)])),
        (".<tag 7>", |v| Value::Tag(7, Box::new(v))),
    ];
    for (step, wrap) in wraps {
        let full = (0..MAX_DEPTH).fold(Value::Null, |value, _| wrap(value));
        let bytes = full.to_vec().unwrap();
        assert_eq!(Value::decode(&bytes), Ok(full.clone()));
        Decoder::new(&bytes).skip().unwrap();

        let error = wrap(full).to_vec().unwrap_err();
        assert_eq!(
            error.kind().to_string(),
            format!("more than {MAX_DEPTH} containers inside each other")
        );
        let ten = step.repeat(10);
        assert_eq!(error.path().to_string(), format!("${ten}...{ten}"), "the middle is cut");
        let mut deeper = bytes.clone();
        let opening = &bytes[..bytes.len() / MAX_DEPTH];
        deeper.splice(0..0, opening.iter().copied());
        for error in
            [Value::decode(&deeper).unwrap_err(), Decoder::new(&deeper).skip().unwrap_err()]
        {
            assert!(matches!(error.kind(), DecodeErrorKind::TooDeep { .. }), "{error}");
        }
    }
    // No stack is used up by a megabyte of openings.
    for opening in [0x81, 0x9F, 0xBF, 0xC1] {
        assert!(Value::decode(&vec![opening; 1 << 20]).is_err());
        assert!(Decoder::new(&vec![opening; 1 << 20]).skip().is_err());
    }
}

/// M1: keys are of any kind and their order is kept; R9.3: one that stands twice is named.
#[test]
fn keys_are_told_apart_by_value() {
    let apart = [
        Value::Null,
        Value::Bool(false),
        Value::Int(1),
        Value::Float(1.0),
        Value::Float(0.0),
        Value::Float(-0.0),
        Value::from("1"),
        Value::from(b"1".as_slice()),
        Value::Array(vec![Value::Int(1)]),
        Value::Array(vec![]),
        Value::Map(vec![]),
        Value::Tag(1, Box::new(Value::Int(1))),
    ];
    let map = Value::Map(apart.iter().map(|key| (key.clone(), Value::Null)).collect());
    assert_eq!(Value::decode(&map.to_vec().unwrap()), Ok(map));

    // A key written in one byte and in nine, in a small map and in a large one.
    for others in [0u8, 100] {
        let mut encoder = Encoder::new();
        encoder.map(1).text("site").map(usize::from(others) + 2).uint(200).null();
        for key in 0..others {
            encoder.uint(key.into()).null();
        }
        let mut bytes = encoder.into_vec();
        bytes.extend([0x1B, 0, 0, 0, 0, 0, 0, 0, 200, 0xF6]);
        let error = Value::decode(&bytes).unwrap_err();
        assert_eq!(error.kind(), DecodeErrorKind::DuplicateKey);
        assert_eq!(error.path().to_string(), "$.site.{200}");
    }
}

/// R6.5, R9.1: an error deep inside names the way to it and its offset.
#[test]
fn errors_have_a_path() {
    let bytes = b"\xa1\x66camera\x82\x01\xa2\x04\x05\x64lens\x61\xff";
    let error = Value::decode(bytes).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a text is not UTF-8, at $.camera[1].lens (offset 19); the bytes are not CBOR (RFC 8949): \
         look for damage, or for another format"
    );
    let value = Value::Map(vec![(
        Value::from("a b"),
        Value::Array(vec![Value::Null, Value::Int(i128::MAX)]),
    )]);
    assert_eq!(value.to_vec().unwrap_err().path().to_string(), r#"$["a b"][1]"#);
}

/// P9: lengths are held against what is left before anything is made of them.
#[test]
fn announced_lengths_are_held_against_the_input() {
    for initial in [0x5B, 0x7B, 0x9B, 0xBB] {
        for len in [9u64, 1 << 32, u64::MAX / 2 + 1, u64::MAX] {
            let mut bytes = vec![initial];
            bytes.extend(len.to_be_bytes());
            bytes.extend([0; 8]);
            let error = Decoder::new(&bytes).token().unwrap_err();
            let DecodeErrorKind::Truncated { needed, left, .. } = error.kind() else {
                panic!("{error}")
            };
            assert!(needed >= len && left == 8, "{error}");
        }
    }
    // Eight bytes can be four pairs, not five.
    assert_eq!(Decoder::new(&[0xA4, 0, 0, 1, 0, 2, 0, 3, 0]).token(), Ok(Token::Map(Some(4))));
    assert!(Decoder::new(&[0xA5, 0, 0, 1, 0, 2, 0, 3, 0]).token().is_err());
}

/// P9: a key that costs much to compare does not make a small input slow to refuse or accept.
#[test]
fn hostile_keys_take_no_time() {
    let long = "k".repeat(2_000);
    let mut encoder = Encoder::new();
    encoder.map(20_000);
    for n in 0..20_000u64 {
        encoder.text(&format!("{long}{n}")).null();
    }
    let before = std::time::Instant::now();
    Value::decode(&encoder.into_vec()).unwrap();
    // Pair by pair this would be 400 GB of comparisons: minutes, not seconds.
    assert!(before.elapsed().as_secs() < 20, "{:?}", before.elapsed());
}

/// R14.1: one vector serves one frame after another; what stands in it is kept.
#[test]
fn an_encoder_goes_on_behind_what_is_there() {
    let mut encoder = Encoder::append(b"head".to_vec());
    assert_eq!(encoder.bool(true).len(), 5);
    assert_eq!(encoder.into_vec(), b"head\xf5");
    assert!(Encoder::new().is_empty());
}

/// R5.1: the golden bytes of values, which all languages read, are written as they are from the tree.
#[test]
fn golden_values_come_back() {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/values.json");
    let golden = std::fs::read_to_string(golden).unwrap();
    let mut read = 0;
    for hex in golden.lines().filter_map(|line| line.trim().strip_prefix("\"hex\": \"")) {
        let digits: Vec<char> = hex.chars().take_while(char::is_ascii_hexdigit).collect();
        let byte =
            |pair: &[char]| pair.iter().fold(0, |n, c| n * 16 + c.to_digit(16).unwrap() as u8);
        let bytes: Vec<u8> = digits.chunks(2).map(byte).collect();
        assert_eq!(Value::decode(&bytes).unwrap().to_vec().unwrap(), bytes, "{hex}");
        read += 1;
    }
    assert!(read > 50, "{read}");
}

/// R5.2, R5.3, R12.4: fields of older versions go through the migrations, and one that is missing is named.
#[test]
fn objects_of_older_versions_are_migrated() {
    #[derive(Debug, PartialEq)]
    struct Price(i128);
    impl Extension for Price {
        const NAME: &'static str = "shop.price";
        const VERSION: u64 = 4;
        const MIGRATIONS: &'static [(u64, Migration)] = &[
            (2, |fields| match fields {
                Value::Int(euros) => Ok(Value::Int(euros * 100)),
                other => Err(format!("{other:?} is no integer")),
            }),
            (3, |cents| Ok(Value::Map(vec![("cents".into(), cents)]))),
        ];
        fn to_fields(&self) -> Value {
            Value::Map(vec![("cents".into(), Value::Int(self.0))])
        }
        fn from_fields(version: u64, fields: &Value) -> Result<Self, String> {
            match (version, fields.get("cents")) {
                (4, Some(Value::Int(cents))) => Ok(Price(*cents)),
                other => Err(format!("{other:?}")),
            }
        }
    }
    let object = |version: u64, fields| {
        let parts = vec![Price::NAME.into(), version.into(), fields];
        Value::Tag(tag::OBJECT, Box::new(Value::Array(parts))).to_object::<Price>()
    };
    assert_eq!(Value::object(&Price(7)).to_object(), Ok(Price(7)));
    assert_eq!(object(3, Value::Int(500)), Ok(Price(500)));
    assert_eq!(object(2, Value::Int(5)), Ok(Price(500)));
    let missing = object(1, Value::Null).unwrap_err().to_string();
    let needed = "register a migration of \"shop.price\" from version 1 to 2";
    assert!(missing.ends_with(needed), "{missing}");
    let wrong = object(2, Value::Null).unwrap_err().to_string();
    assert!(
        wrong.contains("\"shop.price\", version 2, can't be used: Null is no integer"),
        "{wrong}"
    );
    // A newer one goes to the type as it is. No chain is so long that a claimed version would fill memory.
    assert!(object(5, Value::Null).unwrap_err().to_string().contains("version 5"));
    assert!(object(0, Value::Null).is_err());
}
