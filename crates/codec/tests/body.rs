//! Bodies: round trips, goldens, and every way to damage one.

use proptest::prelude::*;
use slipring_codec::format::ndarray::{
    self, ByteOrder, Descriptor, Dtype, Element, Field, LongDouble, MAX_NDIM, Missing,
    MissingValue, Order, Struct, Subarray, Texts, TimeUnit,
};
use slipring_codec::format::{arrow, raw};
use slipring_codec::frame::{Layout, flags};
use slipring_codec::{
    Body, Content, DecodeError, DecodeErrorKind as Kind, EncodeErrorKind, Format, Plan, Value,
};

const META: &[u8] = b"\xa2\x64site\x04\x64cell\xfb\x40\x3e\x80\x00\x00\x00\x00\x00";

fn dtypes() -> impl Iterator<Item = Dtype> {
    let numeric = "b1 i1 i2 i4 i8 u1 u2 u4 u8 f2 f4 f8 c8 c16".split(' ');
    numeric.flat_map(|name| ["<", ">"].map(|order| format!("{order}{name}").parse().unwrap()))
}

fn write(plan: &Plan<'_>, data: &[u8]) -> Vec<u8> {
    // What was there before must not show through.
    let mut body = vec![0xEE; plan.body_len()];
    plan.write(&mut body).unwrap().copy_from_slice(data);
    assert_eq!(&body[plan.data_offset()..], data);
    body
}

fn open<'a>(plan: &Plan<'_>, body: &'a [u8]) -> Result<(Body<'a>, Content<'a>), DecodeError> {
    let body = Body::open(plan.format().code(), plan.flags(), plan.type_code(), body)?;
    let content = body.content()?;
    body.meta()?;
    Ok((body, content))
}

fn array(dtype: &str, order: Order, shape: &[u64]) -> Descriptor {
    Descriptor::new(dtype.parse::<Dtype>().unwrap(), order, shape).unwrap()
}

/// R4.1, R4.3, R4.5: dtype, byte order, memory order and shape survive, and the header's type code says
/// the dtype without the body.
#[test]
fn arrays_of_every_dtype_come_back() {
    let shapes: [&[u64]; 6] = [&[], &[0], &[5], &[2, 3], &[3, 0, 2], &[1, 2, 1, 2, 1, 2, 1, 2]];
    for dtype in dtypes() {
        for (order, shape) in [Order::C, Order::F].into_iter().flat_map(|o| shapes.map(|s| (o, s)))
        {
            let descriptor = Descriptor::new(dtype, order, shape).unwrap();
            let data: Vec<u8> = (0..descriptor.byte_len()).map(|i| i as u8).collect();
            for meta in [None, Some(META)] {
                let plan = ndarray::plan(&descriptor, meta).unwrap();
                let bytes = write(&plan, &data);
                let (body, content) = open(&plan, &bytes).unwrap();
                let Content::Ndarray(view) = content else { panic!("{content:?}") };
                assert_eq!((&view.descriptor, view.data.bytes), (&descriptor, &data[..]));
                assert_eq!(view.data.offset % 64, 0);
                assert_eq!(view.data.offset, plan.data_offset());
                assert_eq!(body.meta_part().map(|part| part.bytes), meta);
            }
        }
        assert_eq!(Dtype::from_code(dtype.code()), Some(dtype));
        assert_eq!(dtype.to_string().parse(), Ok(dtype));
    }
}

/// R4.1: strides are those of NumPy, zeros and single rows included.
#[test]
fn strides_follow_the_memory_order() {
    let cases: [(&[u64], &[u64], &[u64]); 4] = [
        (&[], &[], &[]),
        (&[2, 3, 4], &[96, 32, 8], &[8, 16, 48]),
        (&[2, 0, 4], &[32, 32, 8], &[8, 16, 16]),
        (&[1, 1, 1, 1, 1, 1, 3], &[24, 24, 24, 24, 24, 24, 8], &[8; 7]),
    ];
    for (shape, c, f) in cases {
        assert_eq!(*array("<f8", Order::C, shape).strides(), *c);
        assert_eq!(*array("<f8", Order::F, shape).strides(), *f);
    }
}

/// R3.1: a raw body without metadata is its bytes, with metadata a view on them.
#[test]
fn raw_bytes_come_back() {
    for len in [0usize, 1, 63, 64, 65, 4096] {
        let data: Vec<u8> = (0..len).map(|i| i as u8).collect();
        let plan = raw::plan(len, None).unwrap();
        assert_eq!((plan.flags(), plan.body_len()), (0, len));
        let bytes = write(&plan, &data);
        let (body, content) = open(&plan, &bytes).unwrap();
        let Content::Raw(part) = content else { panic!("{content:?}") };
        assert_eq!((part.offset, part.bytes, body.meta_part()), (0, &data[..], None));

        let plan = raw::plan(len, Some(META)).unwrap();
        assert_eq!(plan.flags(), flags::PARTS | flags::META);
        let bytes = write(&plan, &data);
        let (body, content) = open(&plan, &bytes).unwrap();
        let Content::Raw(part) = content else { panic!("{content:?}") };
        assert_eq!((part.offset, part.bytes), (plan.data_offset(), &data[..]));
        assert_eq!(body.meta().unwrap().unwrap().get("cell"), Some(&Value::Float(30.5)));
    }
}

/// A golden body: file, array, metadata, data.
type Golden = (&'static str, Descriptor, Option<&'static [u8]>, Vec<u8>);

fn goldens() -> Vec<Golden> {
    let f8 = [1.0f64, -2.5, 0.0, f64::MAX, f64::INFINITY, 6.5];
    let i2 = [1i16, 2, 3, -4];
    let texts = Texts::pack([Some("a"), Some(""), Some("é"), None]);
    let missing = Missing { value: MissingValue::Null, coerce: true };
    let strings = of(Element::String(missing.into()), Order::C, &[2, 2]);
    let strings = strings.with_data_len(texts.len()).unwrap();
    vec![
        (
            "ndarray-f8-c-meta.hex",
            array("<f8", Order::C, &[2, 3]),
            Some(META),
            f8.iter().flat_map(|x| x.to_le_bytes()).collect(),
        ),
        (
            "ndarray-i2-big-f.hex",
            array(">i2", Order::F, &[2, 2]),
            None,
            i2.iter().flat_map(|x| x.to_be_bytes()).collect(),
        ),
        ("ndarray-u1-0d.hex", array("|u1", Order::C, &[]), None, vec![7]),
        ("ndarray-c16-empty.hex", array("<c16", Order::C, &[0, 5]), None, vec![]),
        ("ndarray-S0.hex", of(Element::Bytes { len: 0 }, Order::C, &[2, 3]), None, vec![]),
        (
            "ndarray-M8-25s.hex",
            of(time(true, TimeUnit::Second, 25, ByteOrder::Little), Order::C, &[3]),
            None,
            [1, -2, i64::MIN].iter().flat_map(|n| n.to_le_bytes()).collect(),
        ),
        (
            "ndarray-m8-big.hex",
            of(time(false, TimeUnit::Generic, 1, ByteOrder::Big), Order::C, &[]),
            None,
            7i64.to_be_bytes().into(),
        ),
        (
            "ndarray-U2-big-f.hex",
            of(Element::Text { len: 2, byte_order: ByteOrder::Big }, Order::F, &[2, 1]),
            None,
            ['h', 'é', '𝄞', '\0'].iter().flat_map(|&c| u32::from(c).to_be_bytes()).collect(),
        ),
        (
            "ndarray-c32-x87.hex",
            of(
                Element::LongDouble {
                    format: LongDouble::X87,
                    complex: true,
                    byte_order: ByteOrder::Little,
                },
                Order::C,
                &[1],
            ),
            None,
            [[0, 0, 0, 0, 0, 0, 0, 0x80, 0xFF, 0x3F], [0, 0, 0, 0, 0, 0, 0, 0x80, 0x00, 0xC0]]
                .iter()
                .flat_map(|x87| x87.iter().copied().chain([0; 6]))
                .collect(),
        ),
        (
            "ndarray-struct.hex",
            of(structured(), Order::C, &[1]),
            None,
            b"\x02\x01\0\0\x3F\xC0\0\0\xBF\x80\0\0ab\0\0".into(),
        ),
        ("ndarray-T-missing.hex", strings, None, texts),
    ]
}

fn of(element: impl Into<Element>, order: Order, shape: &[u64]) -> Descriptor {
    Descriptor::new(element, order, shape).unwrap()
}

fn time(since_1970: bool, unit: TimeUnit, count: u32, byte_order: ByteOrder) -> Element {
    Element::Time { since_1970, unit, count, byte_order }
}

fn structured() -> Struct {
    let field = |name: &str, offset, element| Field {
        name: name.into(),
        title: (name == "id").then(|| "number".into()),
        offset,
        element,
    };
    let inner = Struct::new(vec![field("s", 0, Element::Bytes { len: 2 })], 2, false).unwrap();
    let xy = Subarray::new(">f4".parse::<Dtype>().unwrap().into(), &[2]).unwrap();
    let id = "<u2".parse::<Dtype>().unwrap();
    let fields =
        vec![field("id", 0, id.into()), field("xy", 4, xy.into()), field("in", 12, inner.into())];
    Struct::new(fields, 16, true).unwrap()
}

fn golden(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    let file = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let digits = file.lines().flat_map(|line| {
        line.split('#').next().unwrap_or_default().split_whitespace().map(str::to_owned)
    });
    digits.map(|byte| u8::from_str_radix(&byte, 16).expect("two hex digits")).collect()
}

/// R5.1: bodies are what they were in version 1, byte by byte. The files were laid out by another
/// program, from the document.
#[test]
fn bodies_match_the_goldens() {
    for (name, descriptor, meta, data) in goldens() {
        let plan = ndarray::plan(&descriptor, meta).unwrap();
        let golden = golden(name);
        assert_eq!(write(&plan, &data), golden, "{name}");
        let (_, content) = open(&plan, &golden).unwrap();
        let Content::Ndarray(view) = content else { panic!("{name}") };
        assert_eq!((view.descriptor, view.data.bytes), (descriptor, &data[..]), "{name}");
    }
    let plan = raw::plan(5, Some(META)).unwrap();
    assert_eq!(write(&plan, b"hello"), golden("raw-meta.hex"));
    let (layout, body) = headed(Format::Json, JSON, Some(META), &[], 0);
    assert_eq!(body, golden("json-meta.hex"));
    let opened = Body::open(5, layout.flags(), 0, &body).unwrap();
    let Content::Json(text) = opened.content().unwrap() else { panic!("{opened:?}") };
    assert_eq!((text.offset, text.bytes), (56, JSON));
    let bare = Body::open(5, 0, 0, JSON).unwrap().content().unwrap();
    assert!(matches!(bare, Content::Json(text) if text.bytes == JSON && text.offset == 0));
}

const JSON: &[u8] = br#"{"id":7,"name":"\u00fc"}"#;

/// All bodies that the tests of damage begin with.
fn bodies() -> Vec<(Format, u16, u16, Vec<u8>)> {
    let mut bodies: Vec<_> = goldens()
        .into_iter()
        .map(|(_, descriptor, meta, data)| {
            let plan = ndarray::plan(&descriptor, meta).unwrap();
            (plan.format(), plan.flags(), plan.type_code(), write(&plan, &data))
        })
        .collect();
    let plan = raw::plan(5, Some(META)).unwrap();
    bodies.push((plan.format(), plan.flags(), plan.type_code(), write(&plan, b"hello")));
    for (meta, lens) in [(Some(META), &[3, 200][..]), (None, &[64]), (Some(META), &[])] {
        let (layout, body) = headed(Format::Value, b"\x82\x01\x02", meta, lens, 0);
        bodies.push((layout.format(), layout.flags(), layout.type_code(), body));
    }
    let (layout, body) = headed(Format::Json, JSON, Some(META), &[], 0);
    bodies.push((layout.format(), layout.flags(), layout.type_code(), body));
    bodies
}

/// A body whose head was written where one of `expected` buffers has it; buffers hold their number.
fn headed(
    format: Format,
    head: &[u8],
    meta: Option<&[u8]>,
    lens: &[usize],
    expected: usize,
) -> (Layout, Vec<u8>) {
    let layout =
        Layout::new(format, head.len(), meta.map(<[u8]>::len), lens.iter().copied()).unwrap();
    let at = Layout::front(expected, meta.is_some());
    let mut body = vec![0xAA; layout.body_len().max(at + head.len())];
    body[at..at + head.len()].copy_from_slice(head);
    layout.write(&mut body, at, meta).unwrap();
    body.truncate(layout.body_len());
    for (number, place) in layout.buffers().iter().enumerate() {
        body[place.clone()].fill(number as u8);
    }
    (layout, body)
}

/// R14.1, R14.2: a head that was written in place comes back with its buffers, wherever it was written.
#[test]
fn heads_find_their_place() {
    for format in [Format::Value, Format::Pickle] {
        for (meta, lens) in
            [(None, &[][..]), (Some(META), &[]), (None, &[70, 0, 1]), (Some(META), &[1])]
        {
            let (layout, straight) = headed(format, b"head", meta, lens, lens.len());
            assert_eq!(layout.flags() == 0, lens.is_empty() && meta.is_none());
            for expected in 0..6 {
                assert_eq!(headed(format, b"head", meta, lens, expected).1, straight);
            }
            let code = layout.type_code();
            let body = Body::open(format.code(), layout.flags(), code, &straight).unwrap();
            let (Content::Value(found) | Content::Pickle(found)) = body.content().unwrap() else {
                panic!("{format}")
            };
            assert_eq!((found.head.bytes, found.buffers.len()), (b"head".as_slice(), lens.len()));
            for (number, (part, &len)) in found.buffers.iter().zip(lens).enumerate() {
                assert_eq!(part.bytes, vec![number as u8; len]);
            }
            assert_eq!(body.meta().unwrap().is_some(), meta.is_some());
        }
    }
    let kind = |lens| Layout::new(Format::Value, 1, None, lens).unwrap_err().kind();
    assert!(matches!(kind(vec![0; 65_534]), EncodeErrorKind::TooManyBuffers { .. }));
    assert_eq!(kind(vec![usize::MAX / 2, 64]), EncodeErrorKind::BodyTooLarge);
    let layout = Layout::new(Format::Value, 4, None, [100]).unwrap();
    let error = layout.write(&mut [0; 64], 0, None).unwrap_err();
    assert!(matches!(error.kind(), EncodeErrorKind::NoSpace { available: 64, .. }));
}

fn open_all(format: u8, flags: u16, type_code: u16, bytes: &[u8]) -> Result<(), DecodeError> {
    let within = |offset: usize, part: &[u8]| {
        assert_eq!(part.as_ptr(), bytes[offset..].as_ptr(), "the offset is that of the view");
        assert!(offset + part.len() <= bytes.len());
    };
    let body = Body::open(format, flags, type_code, bytes)?;
    body.parts().buffers().for_each(|part| within(part.offset, part.bytes));
    let content = body.content()?;
    match content {
        Content::Raw(part) => within(part.offset, part.bytes),
        Content::Ndarray(view) => {
            within(view.data.offset, view.data.bytes);
            assert_eq!(view.data.bytes.len(), view.descriptor.byte_len());
            assert_eq!(view.descriptor.strides().len(), view.descriptor.shape().len());
            if matches!(view.descriptor.element(), Element::String(_)) {
                let texts = Texts::open(view.data.bytes, view.descriptor.len())?;
                texts.collect::<Result<Vec<_>, _>>()?;
            }
        }
        Content::Arrow(found) => drop(arrow::read(&found, None, arrow::Checks::Full)?),
        Content::Value(found) | Content::Pickle(found) => {
            within(found.head.offset, found.head.bytes);
            found.buffers.iter().for_each(|part| within(part.offset, part.bytes));
        }
        Content::Json(text) => {
            within(text.offset, text.bytes);
            // Any bytes end well; what is no JSON is for those who read it.
            let _ = slipring_codec::json::from_slice(text.bytes);
        }
        other => panic!("{other:?}"),
    }
    body.meta().map(drop)
}

/// P9, R9.2: a body cut short anywhere is refused: its data ends with it.
#[test]
fn every_truncation_is_refused() {
    for (format, flags, type_code, body) in bodies() {
        open_all(format.code(), flags, type_code, &body).unwrap();
        for end in 0..body.len() {
            let error = open_all(format.code(), flags, type_code, &body[..end]).unwrap_err();
            assert!(
                matches!(error.kind(), Kind::Truncated { .. } | Kind::PartOutside { .. }),
                "{end}: {error}"
            );
        }
    }
}

/// P9, R9.2: a body with any byte changed to anything gives a view within it or an error within
/// it, that has a path.
#[test]
fn every_changed_byte_is_survived() {
    for (format, flags, type_code, body) in bodies() {
        for at in 0..body.len() {
            let mut damaged = body.clone();
            for flip in 1..=255u8 {
                damaged[at] = body[at] ^ flip;
                if let Err(error) = open_all(format.code(), flags, type_code, &damaged) {
                    assert!(error.offset() <= body.len(), "{error}");
                    assert!(error.to_string().contains(", at $"), "{error}");
                }
            }
        }
    }
}

/// P9: a body under a header that belongs to another is refused or read within its bounds.
#[test]
fn every_wrong_header_is_survived() {
    for (format, flags, type_code, body) in bodies() {
        for other in 0..=255u8 {
            let result = open_all(other, flags, type_code, &body);
            // A head without buffers may be of either: only what is in it differs.
            let alike = [Format::Value, Format::Json];
            let alike = alike.contains(&format)
                && alike.map(Format::code).contains(&other)
                && slipring_codec::Parts::parse(&body)
                    .is_ok_and(|parts| parts.buffers().count() == 0);
            assert_eq!(result.is_ok(), other == format.code() || alike, "{other} for {format}");
        }
        for other in 0..=255u16 {
            let _ = open_all(format.code(), other, type_code, &body);
        }
        for other in 0..=u16::MAX {
            let result = open_all(format.code(), flags, other, &body);
            assert_eq!(result.is_ok(), other == type_code, "{other:#x} for {format}");
        }
        // The ring's flags are not the codec's business.
        open_all(format.code(), flags | 0xFF00, type_code, &body).unwrap();
    }
}

/// One field of a good body changed: offset, new bytes, and the kind of error with its path.
struct Damage {
    at: usize,
    to: &'static [u8],
    kind: &'static str,
    path: &'static str,
}

/// The damages to `ndarray-f8-c-meta`: table 0 to 80, head 80 to 112, metadata 112 to 133, data 192.
const DAMAGES: &[Damage] = &[
    Damage { at: 0, to: &[0xFF, 0xFF], kind: "Truncated", path: "$.parts" },
    Damage { at: 0, to: &[2], kind: "BufferCount", path: "$.parts" },
    Damage { at: 2, to: &[1], kind: "NotZero", path: "$.parts" },
    Damage { at: 7, to: &[1], kind: "NotZero", path: "$.parts" },
    Damage { at: 8, to: &[9], kind: "HeadMissing", path: "$.head" },
    Damage { at: 8, to: &[2], kind: "PartMisaligned", path: "$.parts[0]" },
    Damage { at: 32, to: &[1], kind: "PartRepeated", path: "$.parts[1]" },
    Damage { at: 32, to: &[9], kind: "MetaFlag", path: "$.flags" },
    Damage { at: 12, to: &[1], kind: "NotZero", path: "$.parts[0]" },
    Damage { at: 16, to: &[72], kind: "PartOverlap", path: "$.parts[0]" },
    Damage { at: 16, to: &[84], kind: "PartMisaligned", path: "$.parts[0]" },
    Damage { at: 16, to: &[0xFF; 8], kind: "PartOutside", path: "$.parts[0]" },
    Damage { at: 24, to: &[0xFF; 8], kind: "PartOutside", path: "$.parts[0]" },
    Damage { at: 24, to: &[33], kind: "PartOverlap", path: "$.parts[1]" },
    Damage { at: 24, to: &[8], kind: "Truncated", path: "$.head" },
    Damage { at: 24, to: &[24], kind: "HeadLength", path: "$.head.shape" },
    Damage { at: 64, to: &[184], kind: "PartMisaligned", path: "$.parts[2]" },
    Damage { at: 72, to: &[49], kind: "PartOutside", path: "$.parts[2]" },
    Damage { at: 72, to: &[47], kind: "DataLength", path: "$.data" },
    Damage { at: 80, to: &[2], kind: "HeadVersion", path: "$.head.version" },
    Damage { at: 81, to: b"V", kind: "DtypeUnknown", path: "$.head.dtype" },
    Damage { at: 81, to: b"i", kind: "TypeCodeMismatch", path: "$.type_code" },
    Damage { at: 82, to: b"|", kind: "DtypeUnknown", path: "$.head.dtype" },
    Damage { at: 82, to: b">", kind: "TypeCodeMismatch", path: "$.type_code" },
    Damage { at: 83, to: b"A", kind: "OrderUnknown", path: "$.head.order" },
    Damage { at: 84, to: &[3], kind: "DtypeUnknown", path: "$.head.dtype" },
    Damage { at: 85, to: &[1], kind: "DtypeUnknown", path: "$.head.dtype" },
    Damage { at: 88, to: &[65], kind: "TooManyDimensions", path: "$.head.ndim" },
    Damage { at: 88, to: &[3], kind: "HeadLength", path: "$.head.shape" },
    Damage { at: 90, to: &[1], kind: "NotZero", path: "$.head.zero" },
    Damage { at: 92, to: &[8], kind: "DtypeUnknown", path: "$.head.dtype" },
    Damage { at: 103, to: &[0x80], kind: "ShapeOverflow", path: "$.head.shape" },
    Damage { at: 96, to: &[0xFF; 16], kind: "ShapeOverflow", path: "$.head.shape" },
    Damage { at: 96, to: &[3], kind: "DataLength", path: "$.data" },
    Damage { at: 96, to: &[0], kind: "DataLength", path: "$.data" },
    Damage { at: 112, to: &[0x81], kind: "Trailing", path: "$.meta" },
    Damage { at: 112, to: &[0x54], kind: "MetaNotMap", path: "$.meta" },
    Damage { at: 113, to: &[0x44], kind: "MetaKeyNotText", path: "$.meta.<key 0>" },
    Damage { at: 119, to: &[0xFF], kind: "Break", path: "$.meta.<key 1>" },
    Damage { at: 118, to: &[0x1C], kind: "InitialByte", path: "$.meta.site" },
    Damage { at: 124, to: &[0xF7], kind: "SimpleValue", path: "$.meta.cell" },
];

/// P9, R9.1, R5.5: each damaged field is named, by kind and path.
#[test]
fn every_damaged_field_is_named() {
    let (format, flags, type_code, body) = bodies().swap_remove(0);
    assert_eq!((body[80], &body[112..118]), (1, b"\xa2\x64site".as_slice()));
    for Damage { at, to, kind, path } in DAMAGES {
        let mut damaged = body.clone();
        damaged[*at..at + to.len()].copy_from_slice(to);
        let error = open_all(format.code(), flags, type_code, &damaged).expect_err(kind);
        let found = format!("{:?}", error.kind());
        assert!(found.starts_with(kind), "{at} to {to:x?}: {kind} expected: {error}");
        assert_eq!(error.path().to_string(), *path, "{at} to {to:x?}: {error}");
    }
}

/// R5.4: a part of a kind that this version does not know is passed over, not misread.
#[test]
fn unknown_parts_are_passed_over() {
    let (format, flags, type_code, body) = bodies().swap_remove(0);
    let mut later = body.clone();
    // A fourth part, of kind 4, behind the data; the front moves by one entry, the data stays.
    later[0] = 4;
    later.copy_within(80..133, 104);
    later[104 + 53..192].fill(0);
    later[80..104].fill(0);
    let end = later.len() as u64;
    for (at, field) in [(16, 104u64), (40, 136), (80, 4), (88, end), (96, 3)] {
        later[at..at + 8].copy_from_slice(&field.to_le_bytes());
    }
    later.extend(b"new");
    open_all(format.code(), flags, type_code, &later).unwrap();
}

/// P9: what the header may not say: unknown formats and flags, PARTS and META that the body belies.
#[test]
fn headers_are_checked() {
    let kind = |format, flags, type_code, body| {
        let error = open_all(format, flags, type_code, body).unwrap_err();
        (error.kind(), error.path().to_string())
    };
    let found = kind(6, 0, 0, b"");
    assert!(matches!(found.0, Kind::FormatUnknown { code: 6, .. }), "{found:?}");
    let found = kind(Format::Json.code(), 0, 1, b"[]");
    assert!(matches!(found.0, Kind::TypeCodeUnknown { type_code: 1, .. }), "{found:?}");
    let (layout, body) = headed(Format::Json, b"[]", None, &[3], 1);
    let found = kind(Format::Json.code(), layout.flags(), 0, &body);
    assert!(matches!(found.0, Kind::BufferCount { expected: 0, found: 1, .. }), "{found:?}");
    for bits in [flags::COMPRESSED, 0x40, 0x80] {
        let found = kind(0, bits | flags::PARTS, 0, b"");
        let Kind::FlagsUnsupported { flags, .. } = found.0 else { panic!("{found:?}") };
        assert_eq!((flags, found.1.as_str()), (bits, "$.flags"));
    }
    let found = kind(0, flags::META, 0, b"abc");
    assert!(matches!(found.0, Kind::MetaFlag { flag: true, .. }), "{found:?}");
    let found = kind(0, 0, 1, b"abc");
    assert!(matches!(found.0, Kind::TypeCodeUnknown { type_code: 1, .. }), "{found:?}");
    let found = kind(2, 0, Dtype::U8.code(), b"abc");
    assert!(matches!(found.0, Kind::HeadMissing { .. }), "{found:?}");
    let (_, flags, type_code, body) = bodies().swap_remove(2);
    let found = kind(0, flags, 0, &body);
    assert!(matches!(found.0, Kind::HeadUnexpected { .. }), "{found:?} {type_code}");
}

/// R9.1: what can't be described or planned is refused before a byte is written.
#[test]
fn plans_are_checked() {
    let kind = |shape: &[u64]| Descriptor::new(Dtype::F64, Order::C, shape).unwrap_err().kind();
    for shape in [&[u64::MAX][..], &[1 << 60], &[1 << 32, 1 << 32], &[0, u64::MAX]] {
        assert_eq!(kind(shape), EncodeErrorKind::ShapeOverflow, "{shape:?}");
    }
    assert!(matches!(kind(&[1; MAX_NDIM + 1]), EncodeErrorKind::TooManyDimensions { .. }));
    let most = Descriptor::new(Dtype::U8, Order::F, &[1; MAX_NDIM]).unwrap();
    let plan = ndarray::plan(&most, None).unwrap();
    open(&plan, &write(&plan, &[1])).unwrap();

    // Data that fits in memory alone, not with what stands before it.
    let huge = Descriptor::new(Dtype::U8, Order::C, &[isize::MAX as u64]).unwrap();
    let error = ndarray::plan(&huge, None).unwrap_err();
    assert_eq!(error.kind(), EncodeErrorKind::BodyTooLarge);
    for len in [usize::MAX, isize::MAX as usize + 1] {
        assert_eq!(raw::plan(len, None).unwrap_err().kind(), EncodeErrorKind::BodyTooLarge);
        assert_eq!(raw::plan(len, Some(META)).unwrap_err().kind(), EncodeErrorKind::BodyTooLarge);
    }
    for meta in [b"".as_slice(), b"\x80", b"\x64site"] {
        assert_eq!(raw::plan(1, Some(meta)).unwrap_err().kind(), EncodeErrorKind::MetaNotMap);
    }
    for len in [0, 127, 129] {
        let plan = raw::plan(0, Some(META)).unwrap();
        let error = plan.write(&mut vec![0; len]).unwrap_err();
        assert!(matches!(error.kind(), EncodeErrorKind::BodyLength { planned: 128, .. }));
    }
}

/// R4.3: NumPy's names for dtypes, and what is not one of them.
#[test]
fn dtypes_have_numpys_names() {
    let big = Dtype::F32.with_byte_order(ByteOrder::Big);
    assert_eq!((">f4".parse(), big.code()), (Ok(big), 0xE604));
    assert_eq!(Dtype::F64.code(), 0x6608);
    for name in ["|u1", "u1", "<u1", ">u1", "=u1"] {
        assert_eq!((name.parse(), name), (Ok(Dtype::U8), name));
    }
    assert_eq!(Dtype::U8.with_byte_order(ByteOrder::Big), Dtype::U8);
    for name in
        ["", "<", "f", "f8 ", "<f16", "|f8", "<i3", "O", "|O8", "<U4", "f999", "<M8[s]", "é"]
    {
        let error = name.parse::<Dtype>().expect_err(name);
        assert_eq!(error.kind(), EncodeErrorKind::DtypeUnknown);
    }
    assert_eq!((0..=u16::MAX).filter_map(Dtype::from_code).count(), 25);
}

proptest! {
    /// P9: any bytes under any header give a view within them or an error.
    #[test]
    fn any_bytes_end_well(
        format in 0u8..5,
        flags in 0u16..4,
        code in prop_oneof![Just(0u16), Just(Dtype::U8.code()), any::<u16>()],
        body in proptest::collection::vec(prop_oneof![4 => Just(0u8), 1 => any::<u8>()], 0..400),
    ) {
        let _ = open_all(format, flags, code, &body);
    }

    /// R4.1, R13.3: any shape and any metadata come back.
    #[test]
    fn any_array_comes_back(
        dtype in proptest::sample::select(dtypes().collect::<Vec<_>>()),
        f in any::<bool>(),
        shape in proptest::collection::vec(0u64..5, 0..7),
        tags in proptest::collection::btree_map(any::<String>(), any::<u64>(), 0..40),
    ) {
        let order = if f { Order::F } else { Order::C };
        let descriptor = Descriptor::new(dtype, order, &shape).unwrap();
        let tags = tags.into_iter().map(|(k, n)| (Value::Text(k), Value::from(n))).collect();
        let meta = Value::Map(tags);
        let encoded = meta.to_vec().unwrap();
        let plan = ndarray::plan(&descriptor, Some(&encoded)).unwrap();
        let data = vec![0x5A; descriptor.byte_len()];
        let bytes = write(&plan, &data);
        let (body, content) = open(&plan, &bytes).unwrap();
        let Content::Ndarray(view) = content else { panic!("{content:?}") };
        prop_assert_eq!(&view.descriptor, &descriptor);
        prop_assert_eq!(view.data.bytes, &data[..]);
        prop_assert_eq!(body.meta().unwrap(), Some(meta));
        // What no part claims is zero, whatever was there.
        let meta_end = body.meta_part().map(|part| part.offset + part.bytes.len()).unwrap();
        prop_assert!(bytes[meta_end..plan.data_offset()].iter().all(|&byte| byte == 0));
    }
}
