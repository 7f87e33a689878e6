//! The examples of RFC 8949, appendix A and appendix F, against token layer and tree.

use slipring_codec::{DecodeErrorKind as Kind, Decoder, Value};

/// What a well-formed example is to the tree.
enum Is {
    /// This value, and encoded again these very bytes.
    Same(Value),
    /// This value, which we write in another form.
    Other(Value),
    /// A float: compared by its bits, or as any NaN.
    Float(f64),
    /// Well-formed, and refused: a simple value without a meaning here.
    Refused(u8),
}
use Is::{Float, Other, Refused, Same};

fn int(n: i128) -> Value {
    Value::Int(n)
}

fn text(s: &str) -> Value {
    Value::from(s)
}

fn bytes(hex: &str) -> Value {
    Value::Bytes(unhex(hex))
}

fn array<const N: usize>(items: [Value; N]) -> Value {
    Value::Array(items.into())
}

fn map<const N: usize>(pairs: [(Value, Value); N]) -> Value {
    Value::Map(pairs.into())
}

fn tag(number: u64, value: Value) -> Value {
    Value::Tag(number, Box::new(value))
}

fn unhex(hex: &str) -> Vec<u8> {
    assert!(hex.len().is_multiple_of(2), "{hex}");
    let digits = |i| u8::from_str_radix(&hex[i..i + 2], 16).expect("hex digits");
    (0..hex.len()).step_by(2).map(digits).collect()
}

fn one_to_25() -> Value {
    Value::Array((1..=25).map(int).collect())
}

fn nested() -> Value {
    array([int(1), array([int(2), int(3)]), array([int(4), int(5)])])
}

fn letters() -> Value {
    map([("a", "A"), ("b", "B"), ("c", "C"), ("d", "D"), ("e", "E")]
        .map(|(k, v)| (text(k), text(v))))
}

/// Appendix A, in its order.
fn examples() -> Vec<(&'static str, Is)> {
    let b = text("b");
    let c = text("c");
    vec![
        ("00", Same(int(0))),
        ("01", Same(int(1))),
        ("0a", Same(int(10))),
        ("17", Same(int(23))),
        ("1818", Same(int(24))),
        ("1819", Same(int(25))),
        ("1864", Same(int(100))),
        ("1903e8", Same(int(1000))),
        ("1a000f4240", Same(int(1_000_000))),
        ("1b000000e8d4a51000", Same(int(1_000_000_000_000))),
        ("1bffffffffffffffff", Same(int(18_446_744_073_709_551_615))),
        ("c249010000000000000000", Same(tag(2, bytes("010000000000000000")))),
        ("3bffffffffffffffff", Same(int(-18_446_744_073_709_551_616))),
        ("c349010000000000000000", Same(tag(3, bytes("010000000000000000")))),
        ("20", Same(int(-1))),
        ("29", Same(int(-10))),
        ("3863", Same(int(-100))),
        ("3903e7", Same(int(-1000))),
        ("f90000", Float(0.0)),
        ("f98000", Float(-0.0)),
        ("f93c00", Float(1.0)),
        ("fb3ff199999999999a", Float(1.1)),
        ("f93e00", Float(1.5)),
        ("f97bff", Float(65504.0)),
        ("fa47c35000", Float(100_000.0)),
        ("fa7f7fffff", Float(3.402_823_466_385_288_6e38)),
        ("fb7e37e43c8800759c", Float(1.0e300)),
        ("f90001", Float(5.960_464_477_539_063e-8)),
        ("f90400", Float(0.000_061_035_156_25)),
        ("f9c400", Float(-4.0)),
        ("fbc010666666666666", Float(-4.1)),
        ("f97c00", Float(f64::INFINITY)),
        ("f97e00", Float(f64::NAN)),
        ("f9fc00", Float(f64::NEG_INFINITY)),
        ("fa7f800000", Float(f64::INFINITY)),
        ("fa7fc00000", Float(f64::NAN)),
        ("faff800000", Float(f64::NEG_INFINITY)),
        ("fb7ff0000000000000", Float(f64::INFINITY)),
        ("fb7ff8000000000000", Float(f64::NAN)),
        ("fbfff0000000000000", Float(f64::NEG_INFINITY)),
        ("f4", Same(Value::Bool(false))),
        ("f5", Same(Value::Bool(true))),
        ("f6", Same(Value::Null)),
        ("f7", Refused(23)),
        ("f0", Refused(16)),
        ("f8ff", Refused(255)),
        (
            "c074323031332d30332d32315432303a30343a30305a",
            Same(tag(0, text("2013-03-21T20:04:00Z"))),
        ),
        ("c11a514b67b0", Same(tag(1, int(1_363_896_240)))),
        ("c1fb41d452d9ec200000", Same(tag(1, Value::Float(1_363_896_240.5)))),
        ("d74401020304", Same(tag(23, bytes("01020304")))),
        ("d818456449455446", Same(tag(24, bytes("6449455446")))),
        (
            "d82076687474703a2f2f7777772e6578616d706c652e636f6d",
            Same(tag(32, text("http://www.example.com"))),
        ),
        ("40", Same(bytes(""))),
        ("4401020304", Same(bytes("01020304"))),
        ("60", Same(text(""))),
        ("6161", Same(text("a"))),
        ("6449455446", Same(text("IETF"))),
        ("62225c", Same(text("\"\\"))),
        ("62c3bc", Same(text("\u{fc}"))),
        ("63e6b0b4", Same(text("\u{6c34}"))),
        ("64f0908591", Same(text("\u{10151}"))),
        ("80", Same(array([]))),
        ("83010203", Same(array([int(1), int(2), int(3)]))),
        ("8301820203820405", Same(nested())),
        ("98190102030405060708090a0b0c0d0e0f101112131415161718181819", Same(one_to_25())),
        ("a0", Same(map([]))),
        ("a201020304", Same(map([(int(1), int(2)), (int(3), int(4))]))),
        (
            "a26161016162820203",
            Same(map([(text("a"), int(1)), (text("b"), array([int(2), int(3)]))])),
        ),
        ("826161a161626163", Same(array([text("a"), map([(b.clone(), c.clone())])]))),
        ("a56161614161626142616361436164614461656145", Same(letters())),
        ("5f42010243030405ff", Other(bytes("0102030405"))),
        ("7f657374726561646d696e67ff", Other(text("streaming"))),
        ("9fff", Other(array([]))),
        ("9f018202039f0405ffff", Other(nested())),
        ("9f01820203820405ff", Other(nested())),
        ("83018202039f0405ff", Other(nested())),
        ("83019f0203ff820405", Other(nested())),
        ("9f0102030405060708090a0b0c0d0e0f101112131415161718181819ff", Other(one_to_25())),
        (
            "bf61610161629f0203ffff",
            Other(map([(text("a"), int(1)), (text("b"), array([int(2), int(3)]))])),
        ),
        ("826161bf61626163ff", Other(array([text("a"), map([(b, c)])]))),
        (
            "bf6346756ef563416d7421ff",
            Other(map([(text("Fun"), Value::Bool(true)), (text("Amt"), int(-2))])),
        ),
    ]
}

/// M1: all of appendix A is read as what it says, and written back as it stands where our form is
/// the RFC's.
#[test]
fn appendix_a_decodes() {
    let examples = examples();
    assert_eq!(examples.len(), 81, "appendix A has 81 examples");
    for (hex, is) in examples {
        let bytes = unhex(hex);
        let mut decoder = Decoder::new(&bytes);
        decoder.skip().and_then(|()| decoder.finish()).unwrap_or_else(|e| panic!("{hex}: {e}"));

        let decoded = Value::decode(&bytes);
        match is {
            Same(value) => {
                assert_eq!(value.to_vec().as_deref(), Ok(bytes.as_slice()), "{hex}");
                assert_eq!(decoded, Ok(value), "{hex}");
            }
            Other(value) => assert_eq!(decoded, Ok(value), "{hex}"),
            Float(expected) => {
                let Ok(Value::Float(found)) = decoded else { panic!("{hex}: {decoded:?}") };
                let both_nan = expected.is_nan() && found.is_nan();
                assert!(both_nan || expected.to_bits() == found.to_bits(), "{hex}: {found}");
            }
            Refused(simple) => {
                let error = decoded.expect_err(hex);
                let Kind::SimpleValue { value, .. } = error.kind() else {
                    panic!("{hex}: {error}")
                };
                assert_eq!(value, simple, "{hex}");
            }
        }
    }
}

/// Appendix F.1: what is not well-formed, by subkind. The last column is the name of the kind of error expected.
const MALFORMED: &[(&str, &[&str], &str)] = &[
    (
        "end of input in a head",
        &[
            "18",
            "19",
            "1a",
            "1b",
            "1901",
            "1a0102",
            "1b01020304050607",
            "38",
            "58",
            "78",
            "98",
            "9a01ff00",
            "b8",
            "d8",
            "f8",
            "f900",
            "fa0000",
            "fb000000",
        ],
        "Truncated",
    ),
    (
        "definite strings with short data",
        &[
            "41",
            "61",
            "5affffffff00",
            "5bffffffffffffffff010203",
            "7affffffff00",
            "7b7fffffffffffffff010203",
        ],
        "Truncated",
    ),
    (
        "definite containers not closed with enough items",
        &[
            "81",
            "818181818181818181",
            "8200",
            "a1",
            "a20102",
            "a100",
            "a2000000",
            "c0",
            "a1ff",
            "a20000ff",
        ],
        "Truncated",
    ),
    (
        "indefinite items not closed by a break",
        &[
            "5f4100",
            "7f6100",
            "9f",
            "9f0102",
            "bf",
            "bf01020102",
            "819f",
            "9f8000",
            "9f9f9f9f9fffffffff",
            "9f819f819f9fffffff",
        ],
        "Truncated",
    ),
    (
        "reserved additional information",
        &[
            "1c", "1d", "1e", "3c", "3d", "3e", "5c", "5d", "5e", "7c", "7d", "7e", "9c", "9d",
            "9e", "bc", "bd", "be", "dc", "dd", "de", "fc", "fd", "fe",
        ],
        "InitialByte",
    ),
    ("indefinite length for 0, 1, 6", &["1f", "3f", "df"], "InitialByte"),
    ("two-byte simple values below 32", &["f800", "f801", "f818", "f81f"], "SimpleForm"),
    (
        "pieces of another type, or indefinite themselves",
        &[
            "5f00ff",
            "5f21ff",
            "5f6100ff",
            "5f80ff",
            "5fa0ff",
            "5fc000ff",
            "5fe0ff",
            "7f4100ff",
            "5f5f4100ffff",
            "7f7f6100ffff",
        ],
        "Chunk",
    ),
    (
        "a break where none may stand",
        &[
            "ff",
            "81ff",
            "8200ff",
            "a1ff00",
            "a100ff",
            "9f81ff",
            "9f829f819f9fffffffff",
            "c0ff",
            "bf00ff",
            "bf000000ff",
        ],
        "Break",
    ),
    ("text that is not UTF-8", &["61ff", "62c328", "63eda080", "7f61c361bcff"], "Utf8"),
    ("bytes after the value", &["0000", "f600", "80ff", "9fff00"], "Trailing"),
];

fn name(kind: Kind) -> String {
    let debug = format!("{kind:?}");
    debug.split([' ', '{']).next().unwrap_or_default().to_owned()
}

/// P9, R9.1: each malformed example is refused by tree and token layer, for the same reason, and
/// the message has offset and path.
#[test]
fn appendix_f_is_refused() {
    for (subkind, examples, expected) in MALFORMED {
        for hex in *examples {
            let bytes = unhex(hex);
            let error = Value::decode(&bytes).expect_err(hex);
            assert_eq!(name(error.kind()), *expected, "{subkind}: {hex}: {error}");
            assert!(error.offset() <= bytes.len(), "{hex}: {error}");
            assert!(error.to_string().contains(", at $"), "{hex}: {error}");

            let mut decoder = Decoder::new(&bytes);
            let skipped = decoder.skip().and_then(|()| decoder.finish()).expect_err(hex);
            assert_eq!(
                (skipped.kind(), skipped.offset()),
                (error.kind(), error.offset()),
                "{subkind}: {hex}"
            );
        }
    }
}

/// The short ways to an integer, a float and a truth value take what the token is, or leave it where it is.
#[test]
fn short_ways_take_what_the_token_is() {
    use slipring_codec::{Encoder, Token};
    let mut firsts: Vec<Vec<u8>> = (0..=255).map(|initial| vec![initial]).collect();
    for n in [0, 23, 24, 255, 256, 65_535, 65_536, u64::from(u32::MAX), 1 << 32, u64::MAX] {
        let mut encoder = Encoder::new();
        encoder.uint(n);
        firsts.push(encoder.into_vec());
    }
    for n in [-1, -24, -25, -256, -257, -65_536, -65_537, -1 << 32, i64::MAX, i64::MIN] {
        let mut encoder = Encoder::new();
        encoder.int(n);
        firsts.push(encoder.into_vec());
    }
    // Beyond 64 bits with their sign.
    firsts.extend([vec![0x3b, 0x80, 0, 0, 0, 0, 0, 0, 0], vec![0x3b; 9]]);
    // Longer than they must be.
    firsts.extend([vec![0x18, 5], vec![0x38, 5], vec![0x3b, 0, 0, 0, 0, 0, 0, 0, 1]]);
    for x in [0.0, -0.0, 1.5, f64::INFINITY, f64::MIN_POSITIVE] {
        let mut encoder = Encoder::new();
        encoder.float(x);
        firsts.push(encoder.into_vec());
    }
    for first in firsts {
        for behind in 0..12 {
            let mut input = first.clone();
            input.extend((0..behind).map(|n| n * 7));
            let (mut whole, mut unsigned) = (Decoder::new(&input), Decoder::new(&input));
            let mut float = Decoder::new(&input);
            let token = whole.token();
            match unsigned.unsigned() {
                Some(n) => {
                    assert_eq!(token, Ok(Token::Unsigned(n)), "{input:02x?}");
                    assert_eq!(unsigned.offset(), whole.offset());
                }
                None => {
                    assert_eq!(unsigned.offset(), 0);
                    assert!(input.len() < 9 || !matches!(token, Ok(Token::Unsigned(_))));
                }
            }
            let mut integer = Decoder::new(&input);
            let expected = token.as_ref().ok().and_then(Token::as_integer);
            let expected = expected.and_then(|n| i64::try_from(n).ok());
            match integer.integer() {
                Some(n) => {
                    assert_eq!((Some(n), integer.offset()), (expected, whole.offset()));
                }
                None => assert_eq!(
                    (integer.offset(), input.len() >= 9 && expected.is_some()),
                    (0, false)
                ),
            }
            let mut truth = Decoder::new(&input);
            match (truth.truth(), &token) {
                (Some(found), Ok(Token::Bool(told))) => {
                    assert_eq!((found, truth.offset()), (*told, whole.offset()));
                }
                (found, told) => {
                    assert!(found.is_none() && !matches!(told, Ok(Token::Bool(_))), "{input:02x?}");
                    assert_eq!(truth.offset(), 0);
                }
            }
            match float.float64() {
                Some(x) => {
                    let Ok(Token::Float(y)) = token else { panic!("{input:02x?}") };
                    assert_eq!((x.to_bits(), float.offset()), (y.to_bits(), whole.offset()));
                }
                None => {
                    assert_eq!((float.offset(), first[0] == 0xFB && input.len() >= 9), (0, false))
                }
            }
        }
    }
}
