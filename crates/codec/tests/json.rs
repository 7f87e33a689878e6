//! JSON: the texts that all languages share, and any others.

use std::collections::BTreeMap;
use std::path::PathBuf;

use proptest::prelude::*;
use slipring_codec::json::{self, Close, Item, JsonFault, Options, Reader, number};
use slipring_codec::token::MAX_DEPTH;
use slipring_codec::{DecodeErrorKind as Kind, EncodeErrorKind, Value};

fn rows() -> Vec<Value> {
    let path = format!("{}/../../tests/golden/json.json", env!("CARGO_MANIFEST_DIR"));
    let file = std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let Value::Array(rows) = json::from_slice(&file).unwrap() else { panic!("a list") };
    rows
}

fn text<'v>(row: &'v Value, key: &str) -> Option<&'v str> {
    match row.get(key)? {
        Value::Text(text) => Some(text),
        other => panic!("{other:?}"),
    }
}

fn unhex(digits: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("two hex digits");
    (0..digits.len()).step_by(2).map(byte).collect()
}

/// J1, R9.1: the golden texts have the values that they have in all languages, and their errors the same places.
#[test]
fn golden_texts_are_read() {
    for row in rows() {
        let name = text(&row, "name").unwrap();
        let data = match text(&row, "hex") {
            Some(digits) => unhex(digits),
            None => text(&row, "text").unwrap().into(),
        };
        match (json::from_slice(&data), row.get("error")) {
            (Ok(value), None) => {
                assert_eq!(value.to_vec().unwrap(), unhex(text(&row, "cbor").unwrap()), "{name}");
                let written = json::to_vec(&value).unwrap();
                assert_eq!(json::from_slice(&written).unwrap(), value, "{name}");
            }
            (Err(found), Some(error)) => {
                let Kind::Json { fault, line, column, .. } = found.kind() else {
                    panic!("{name}: {found}")
                };
                assert_eq!(fault.to_string(), text(error, "what").unwrap(), "{name}");
                assert_eq!(found.path().to_string(), text(error, "path").unwrap(), "{name}");
                let place = [("line", line), ("column", column), ("offset", found.offset())];
                for (key, found) in place {
                    assert_eq!(error.get(key), Some(&Value::Int(found as i128)), "{name}: {key}");
                }
            }
            (got, error) => panic!("{name}: {got:?}, {error:?}"),
        }
    }
}

/// The documents of JSONTestSuite by their names, and what is decided of those that may be judged either way.
fn suite() -> (BTreeMap<String, Vec<u8>>, Vec<Value>) {
    let home = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/json_test_suite");
    let read = |path: PathBuf| std::fs::read(&path).unwrap_or_else(|e| panic!("{path:?}: {e}"));
    let folder = format!("{home}/test_parsing");
    let files = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{folder}: {e}"));
    let documents = files.map(|file| {
        let path = file.unwrap().path();
        (path.file_stem().unwrap().to_str().unwrap().to_owned(), read(path))
    });
    let rows = json::from_slice(&read(format!("{home}/decisions.json").into())).unwrap();
    let Value::Array(rows) = rows else { panic!("a list") };
    (documents.collect(), rows)
}

/// What is wrong with a text, and the path to it; that line, column and offset say the same is checked.
fn refused(name: &str, data: &[u8]) -> (JsonFault, String) {
    let error = json::from_slice(data).expect_err(name);
    let Kind::Json { fault, line, column, .. } = error.kind() else { panic!("{name}: {error}") };
    let head = std::str::from_utf8(&data[..error.offset()]).expect("it is good up to there");
    let last = head.rsplit('\n').next().unwrap_or_default();
    let place = (head.matches('\n').count() + 1, last.chars().count() + 1);
    assert_eq!((line, column), place, "{name}: {error}");
    (fault, error.path().to_string())
}

/// How deep the first of all items is, by the reader that has no tree.
fn depth(data: &[u8]) -> usize {
    let mut reader = Reader::new(data, Options::default());
    let mut depth = 0;
    while reader.item(depth).unwrap() == Item::Array {
        depth += 1;
        if !reader.first(Close::Array).unwrap() {
            break;
        }
    }
    (1..depth).for_each(|_| assert!(!reader.more(Close::Array).unwrap()));
    reader.finish().unwrap();
    depth
}

/// J1: each document of JSONTestSuite is read where it must be, refused where it must not, and what is decided otherwise.
#[test]
fn the_test_suite_is_judged_right() {
    let (documents, rows) = suite();
    let (must, must_not) = (95, 188);
    let mut count = [0; 2];
    for (name, data) in &documents {
        match name.split_once('_').unwrap().0 {
            "y" => {
                let value = json::from_slice(data).unwrap_or_else(|e| panic!("{name}: {e}"));
                let written = json::to_vec(&value).unwrap();
                assert_eq!(json::from_slice(&written).unwrap(), value, "{name}");
                count[0] += 1;
            }
            "n" => {
                refused(name, data);
                count[1] += 1;
            }
            _ => {}
        }
    }
    assert_eq!(count, [must, must_not]);
    let mut decided = 0;
    for row in &rows {
        let Some(Value::Array(names)) = row.get("documents") else { panic!("{row:?}") };
        for name in names {
            let Value::Text(name) = name else { panic!("{name:?}") };
            let data = &documents[name];
            if let Some(error) = text(row, "error") {
                let (fault, path) = refused(name, data);
                assert_eq!(
                    (&*fault.to_string(), &*path),
                    (error, text(row, "path").unwrap()),
                    "{name}"
                );
            } else if let Some(&Value::Int(levels)) = row.get("depth") {
                assert_eq!(depth(data) as i128, levels, "{name}");
                // A `Value` has fewer levels.
                assert_eq!(refused(name, data).0, JsonFault::TooDeep { limit: MAX_DEPTH });
            } else {
                let value = json::from_slice(data).unwrap_or_else(|e| panic!("{name}: {e}"));
                assert_eq!(value.to_vec().unwrap(), unhex(text(row, "cbor").unwrap()), "{name}");
            }
            decided += 1;
        }
    }
    assert_eq!(decided, documents.len() - must - must_not);
}

/// J1: what has no form in JSON is named with its path; depth has a limit both ways.
#[test]
fn what_json_has_not_is_refused() {
    let value =
        Value::Map(vec![("a".into(), Value::Array(vec![Value::Null, Value::Bytes(vec![])]))]);
    let error = json::to_vec(&value).unwrap_err();
    assert!(matches!(error.kind(), EncodeErrorKind::NoJson { what: "a byte string", .. }));
    assert_eq!(error.path().to_string(), "$.a[1]");
    for value in [Value::Float(f64::NAN), Value::Tag(9, Box::new(Value::Null))] {
        assert!(json::to_vec(&value).is_err());
    }
    let deep = |levels| [b"[".repeat(levels), b"]".repeat(levels)].concat();
    let value = json::from_slice(&deep(MAX_DEPTH)).unwrap();
    assert_eq!(json::to_vec(&value).unwrap(), deep(MAX_DEPTH));
    assert!(json::to_vec(&Value::Array(vec![value])).is_err());
    let error = json::from_slice(&deep(MAX_DEPTH + 1)).unwrap_err();
    assert!(
        matches!(error.kind(), Kind::Json { fault: JsonFault::TooDeep { limit: MAX_DEPTH }, .. }),
        "{error}"
    );
}

/// J1: the reader itself goes deeper, as far as the bindings do.
#[test]
fn depth_has_a_limit() {
    let text = b"[".repeat(json::DEPTH + 1);
    let mut reader = Reader::new(&text, Options::default());
    for depth in 0..json::DEPTH {
        assert_eq!(reader.item(depth).unwrap(), Item::Array);
        assert!(reader.first(Close::Array).unwrap());
    }
    let error = reader.item(json::DEPTH).unwrap_err();
    let Kind::Json { fault: JsonFault::TooDeep { limit }, .. } = error.kind() else {
        panic!("{error}")
    };
    assert_eq!((limit, error.offset()), (json::DEPTH, json::DEPTH));
}

/// J1: decimals are given as they stand there, and the reader is where it says.
#[test]
fn decimals_are_exact() {
    let mut reader =
        Reader::new(b" [1.10, 1e-400]", Options { decimals: true, ..Options::default() });
    assert_eq!(reader.item(0).unwrap(), Item::Array);
    assert!(reader.first(Close::Array).unwrap());
    assert_eq!(reader.item(1).unwrap(), Item::Decimal("1.10"));
    assert_eq!(reader.offset(), 6);
    assert!(reader.more(Close::Array).unwrap());
    assert_eq!(reader.item(1).unwrap(), Item::Decimal("1e-400"));
    assert!(!reader.more(Close::Array).unwrap());
    reader.finish().unwrap();
}

/// R13.2: what a text is can be told by its first character.
#[test]
fn kinds_are_told_by_the_first_character() {
    for (text, kind) in
        [("{", "object"), (" [", "array"), ("\n\"", "string"), ("-", "number"), ("7", "number")]
            .into_iter()
            .chain([("true", "boolean"), ("false", "boolean"), ("null", "null")])
    {
        assert_eq!(json::kind(text.as_bytes()), Some(kind));
    }
    assert_eq!((json::kind(b""), json::kind(b" x")), (None, None));
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(|n| Value::Int(n.into())),
        (-(1i128 << 64)..1i128 << 64).prop_map(Value::Int),
        any::<f64>().prop_filter("finite", |x| x.is_finite()).prop_map(Value::Float),
        any::<String>().prop_map(Value::Text),
        "[\\x00-\\x7f\"]{0,40}".prop_map(Value::Text),
    ];
    leaf.prop_recursive(4, 64, 8, |inner| {
        let pairs = prop::collection::btree_map(any::<String>(), inner.clone(), 0..6);
        prop_oneof![
            prop::collection::vec(inner, 0..6).prop_map(Value::Array),
            pairs.prop_map(|m| Value::Map(
                m.into_iter().map(|(k, v)| (Value::Text(k), v)).collect()
            )),
        ]
    })
}

proptest! {
    /// J1: what is written is read as the same, floats to the last bit.
    #[test]
    fn values_come_back(value in value()) {
        let text = json::to_vec(&value).unwrap();
        prop_assert_eq!(json::from_slice(&text).unwrap().to_vec().unwrap(), value.to_vec().unwrap());
        // Every end of it is an error or a value.
        for end in 0..text.len().min(64) {
            let _ = json::from_slice(&text[..end]);
        }
    }

    /// P9: any bytes end well.
    #[test]
    fn any_bytes_end_well(bytes: Vec<u8>, letters in "[\\[\\]{}:,\"\\\\u0-9aeE.+-]{0,24}") {
        let _ = json::from_slice(&bytes);
        let _ = json::from_slice(letters.as_bytes());
    }

    /// J1: doubles are the nearest ones.
    #[test]
    fn doubles_are_nearest(mantissa: u64, exponent in -345i64..312) {
        if let Some(x) = number::nearest(mantissa, exponent) {
            let expected: f64 = format!("{mantissa}e{exponent}").parse().unwrap();
            prop_assert_eq!(x.to_bits(), expected.to_bits());
        }
    }
}

/// R6.3: what is no JSON is read where that is asked for, and nothing else is.
#[test]
fn constants_are_read_where_they_are_asked_for() {
    let read = |text: &'static [u8]| {
        let mut reader = Reader::new(text, Options { constants: true, ..Options::default() });
        match reader.item(0) {
            Ok(Item::Float(x)) => reader.finish().ok().map(|()| x),
            _ => None,
        }
    };
    assert!(read(b" NaN ").is_some_and(f64::is_nan));
    for (text, x) in [
        (&b"Infinity"[..], f64::INFINITY),
        (b"-Infinity", -f64::INFINITY),
        (b"-1e400", -f64::INFINITY),
    ] {
        assert_eq!(read(text), Some(x));
        let mut strict = Reader::new(text, Options::default());
        assert!(strict.item(0).is_err(), "{text:?}");
    }
    for text in [&b"nan"[..], b"-NaN", b"NaN1", b"Inf", b"--Infinity", b"-", b"-1e"] {
        assert_eq!(read(text), None, "{text:?}");
    }
    assert!(Reader::new(b"NaN", Options::default()).item(0).is_err());
}
