//! Dtypes that letters can't say: described, read back, named, and every way to describe one wrongly.

use proptest::prelude::*;
use slipring_codec::format::ndarray::{
    self, ByteOrder, Descriptor, Dtype, Element, Field, LongDouble, MAX_ITEM_SIZE, MAX_NDIM,
    MAX_NESTING, Missing, MissingValue, Order, Struct, Subarray, Texts, TimeUnit,
};
use slipring_codec::{
    Body, Content, DecodeError, DecodeErrorKind as Kind, DtypeFault as Fault, EncodeErrorKind,
    Parts, Value,
};

fn field(name: &str, offset: u32, element: impl Into<Element>) -> Field {
    Field { name: name.into(), title: None, offset, element: element.into() }
}

fn number(name: &str) -> Element {
    name.parse::<Dtype>().unwrap().into()
}

fn packed(fields: Vec<Element>) -> Element {
    let mut size = 0;
    let place = |(i, element): (usize, Element)| {
        let at = size;
        size += element.item_size() as u32;
        field(&format!("f{i}"), at, element)
    };
    let fields = fields.into_iter().enumerate().map(place).collect();
    Struct::new(fields, size, false).unwrap().into()
}

/// The head of an array of this element.
fn head(descriptor: &Descriptor) -> Vec<u8> {
    let plan = ndarray::plan(descriptor, None).unwrap();
    let mut body = vec![0; plan.body_len()];
    plan.write(&mut body).unwrap();
    Parts::parse(&body).unwrap().head().unwrap().bytes.to_vec()
}

/// A head with these letters, item size and description.
fn described(letters: &[u8; 2], item_size: u32, description: &[u8]) -> Vec<u8> {
    let mut head = vec![1, letters[0], letters[1], b'C'];
    head.extend(item_size.to_le_bytes());
    head.extend([0; 4]);
    head.extend((description.len() as u32).to_le_bytes());
    head.extend(description);
    head
}

fn elements() -> impl Strategy<Value = Element> {
    let order = prop_oneof![Just(ByteOrder::Little), Just(ByteOrder::Big)];
    let units = "Y M W D h m s ms us ns ps fs as generic".split(' ').collect::<Vec<_>>();
    let leaf = prop_oneof![
        proptest::sample::select(vec!["|b1", "<i8", ">u2", ">f4", "<c16"]).prop_map(number),
        (any::<bool>(), any::<bool>(), order.clone()).prop_map(|(x87, complex, byte_order)| {
            let format = if x87 { LongDouble::X87 } else { LongDouble::Binary128 };
            Element::LongDouble { format, complex, byte_order }
        }),
        (any::<bool>(), proptest::sample::select(units), 1..=i32::MAX as u32, order.clone())
            .prop_map(|(since_1970, unit, count, byte_order)| {
                let unit = TimeUnit::from_name(unit).unwrap();
                let count = if unit == TimeUnit::Generic { 1 } else { count };
                Element::Time { since_1970, unit, count, byte_order }
            }),
        (0u32..2000).prop_map(|len| Element::Bytes { len }),
        (0u32..2000).prop_map(|len| Element::Void { len }),
        (0u32..2000, order).prop_map(|(len, byte_order)| Element::Text { len, byte_order }),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        let fields = proptest::collection::btree_map(
            any::<String>(),
            (inner.clone(), any::<Option<u8>>(), 0u32..100),
            0..5,
        );
        prop_oneof![
            (inner, proptest::collection::vec(0u32..4, 1..4))
                .prop_map(|(of, shape)| Subarray::new(of, &shape).unwrap().into()),
            (fields, any::<bool>(), 0u32..9).prop_map(|(fields, aligned, rest)| {
                let fields: Vec<Field> = fields
                    .into_iter()
                    .map(|(name, (element, title, offset))| {
                        // Longer than the names are, so that it is none of them.
                        let title = title.map(|n| format!("title of {name:?} {n}").into());
                        Field { name: name.into(), title, offset, element }
                    })
                    .collect();
                let end = |f: &Field| f.offset + f.element.item_size() as u32;
                let size = fields.iter().map(end).max().unwrap_or(0) + rest;
                Struct::new(fields, size, aligned).unwrap().into()
            }),
        ]
    })
}

proptest! {
    /// R4.3, R4.5: any dtype comes back with all that was said of it, and the type code says its kind.
    #[test]
    fn any_dtype_comes_back(
        element in elements(),
        f in any::<bool>(),
        shape in proptest::collection::vec(0u64..3, 0..4),
    ) {
        let order = if f { Order::F } else { Order::C };
        // A subarray is an element of no array.
        let element = match element {
            Element::Subarray(_) => packed(vec![element]),
            element => element,
        };
        let descriptor = Descriptor::new(element.clone(), order, &shape).unwrap();
        let n: u64 = shape.iter().product();
        prop_assert_eq!(descriptor.len() as u64, n);
        prop_assert_eq!(descriptor.byte_len(), n as usize * element.item_size());
        let plan = ndarray::plan(&descriptor, None).unwrap();
        let mut body = vec![0xEE; plan.body_len()];
        plan.write(&mut body).unwrap().fill(7);
        let opened = Body::open(2, plan.flags(), plan.type_code(), &body).unwrap();
        let Content::Ndarray(view) = opened.content().unwrap() else { panic!("an array was sent") };
        prop_assert_eq!(&view.descriptor, &descriptor);
        prop_assert_eq!(view.descriptor.element(), &element);
        let letter = opened.parts().head().unwrap().bytes[1];
        prop_assert_eq!(plan.type_code() >> 8 & 0x7F, u16::from(letter));
        // One line, whatever the names hold.
        prop_assert!(!element.to_string().contains(char::is_control));
    }

    /// P9, R9.2: any description under any letters is a dtype or refused; what is read is written as it was
    /// read, and no field lies outside.
    #[test]
    fn any_description_ends_well(
        letters in proptest::sample::select(vec![b"V|", b"M<", b"m>", b"T|", b"f<", b"c>", b"U<", b"S|", b"i<", b"x|"]),
        size in prop_oneof![Just(0u32), Just(8), Just(16), Just(32), any::<u32>()],
        description in proptest::collection::vec(any::<u8>(), 0..60),
    ) {
        check(&described(letters, size, &description));
    }

    /// P9, R9.2: the same, of descriptions that are damaged in a few places and not noise.
    #[test]
    fn any_damaged_description_ends_well(
        element in elements(),
        damages in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let descriptor = Descriptor::new(packed(vec![element]), Order::C, &[]).unwrap();
        let mut head = head(&descriptor);
        for (at, to) in damages {
            let at = at.index(head.len());
            head[at] = to;
        }
        check(&head);
    }

    /// P9, R9.2: any bytes are texts within them, or refused.
    #[test]
    fn any_texts_end_well(data in proptest::collection::vec(0u8..3, 0..80), len in 0usize..12) {
        if let Ok(texts) = Texts::open(&data, len) {
            let read: Vec<_> = texts.collect();
            prop_assert!(read.len() <= len);
            let ended = read.last().is_none_or(Result::is_ok);
            prop_assert!(!ended || read.len() == len);
        }
    }

    /// R4.3: texts of any length and missing ones come back.
    #[test]
    fn any_texts_come_back(texts in proptest::collection::vec(any::<Option<String>>(), 0..20)) {
        let data = Texts::pack(texts.iter().map(Option::as_deref));
        let read: Result<Vec<_>, _> = Texts::open(&data, texts.len()).unwrap().collect();
        let sent: Vec<_> = texts.iter().map(Option::as_deref).collect();
        prop_assert_eq!(read.unwrap(), sent);
    }
}

fn within(element: &Element) {
    match element {
        Element::Struct(of) => of.fields().iter().for_each(|field| {
            assert!(field.offset as usize + field.element.item_size() <= of.item_size());
            within(&field.element);
        }),
        Element::Subarray(of) => {
            let n: usize = of.shape().iter().map(|&length| length as usize).product();
            assert_eq!(n * of.element().item_size(), of.item_size());
            within(of.element());
        }
        _ => {}
    }
}

fn check(bytes: &[u8]) {
    match Descriptor::parse(bytes) {
        Ok(descriptor) => {
            within(descriptor.element());
            // Read again it is the same, however it was encoded first.
            let again = Descriptor::new(
                descriptor.element().clone(),
                descriptor.order(),
                descriptor.shape(),
            );
            let again = again.unwrap();
            assert_eq!(again, descriptor);
            if ndarray::plan(&again, None).is_ok_and(|plan| plan.body_len() < 1 << 20) {
                assert_eq!(Descriptor::parse(&head(&again)).unwrap(), descriptor);
            }
        }
        Err(error) => {
            assert!(error.offset() <= bytes.len(), "{error}");
            assert!(error.to_string().contains(", at $"), "{error}");
        }
    }
}

/// R4.3: names are NumPy's own; these were printed by it.
#[test]
fn dtypes_are_called_what_numpy_calls_them() {
    let little = ByteOrder::Little;
    let time = |since_1970, unit, count| Element::Time {
        since_1970,
        unit: TimeUnit::from_name(unit).unwrap(),
        count,
        byte_order: little,
    };
    let sub = |of: Element, shape: &[u32]| Element::from(Subarray::new(of, shape).unwrap());
    let titled = Field { title: Some("t".into()), ..field("a", 0, number("|u1")) };
    let gap = vec![field("b", 8, number(">f8")), field("a", 0, Element::Void { len: 3 })];
    let cases = [
        (time(true, "s", 25), "<M8[25s]"),
        (time(false, "ns", 1), "<m8[ns]"),
        (time(true, "generic", 1), "<M8"),
        (Element::Bytes { len: 5 }, "|S5"),
        (Element::Text { len: 3, byte_order: ByteOrder::Big }, ">U3"),
        (Element::Void { len: 0 }, "|V0"),
        (
            Element::LongDouble { format: LongDouble::X87, complex: true, byte_order: little },
            "<c32",
        ),
        (packed(vec![]), "[]"),
        (
            packed(vec![number("<i4"), sub(number("<f8"), &[2, 3]), sub(number("|b1"), &[1])]),
            "[('f0', '<i4'), ('f1', '<f8', (2, 3)), ('f2', '?', (1,))]",
        ),
        (
            packed(vec![packed(vec![Element::Bytes { len: 2 }]), number("<i2")]),
            "[('f0', [('f0', 'S2')]), ('f1', '<i2')]",
        ),
        (Struct::new(vec![titled], 1, false).unwrap().into(), "[(('t', 'a'), 'u1')]"),
        (
            Struct::new(gap, 16, true).unwrap().into(),
            "{'names': ['b', 'a'], 'formats': ['>f8', 'V3'], 'offsets': [8, 0], 'itemsize': 16, \
             'aligned': True}",
        ),
    ];
    for (element, name) in cases {
        assert_eq!(element.to_string(), name);
    }
}

/// R9.1: a dtype that none can be is refused before it is written, with the field's path.
#[test]
fn dtypes_are_checked() {
    let fault = |result: Result<Struct, _>| {
        let error: slipring_codec::EncodeError = result.unwrap_err();
        let EncodeErrorKind::DtypeDescription { fault, .. } = error.kind() else {
            panic!("{error}")
        };
        (fault, error.path().to_string())
    };
    let f8 = || number("<f8");
    let found = fault(Struct::new(vec![field("a", 0, f8()), field("b", 9, f8())], 16, false));
    assert_eq!(found, (Fault::FieldOutside, "$.fields[1]".into()));
    let found = fault(Struct::new(vec![field("a", u32::MAX, f8())], 16, false));
    assert_eq!(found.0, Fault::FieldOutside);
    let found = fault(Struct::new(vec![field("a", 0, f8()), field("a", 8, f8())], 16, false));
    assert_eq!(found, (Fault::NameRepeated, "$.fields[1]".into()));
    let titled = Field { title: Some("a".into()), ..field("b", 0, f8()) };
    let found = fault(Struct::new(vec![titled, field("a", 8, f8())], 16, false));
    assert_eq!(found, (Fault::NameRepeated, "$.fields[1]".into()));
    let missing = Missing { value: MissingValue::No, coerce: true };
    let found = fault(Struct::new(vec![field("a", 0, Element::String(missing.into()))], 16, false));
    assert_eq!(found, (Fault::Place, "$.fields[0]".into()));
    assert_eq!(fault(Struct::new(vec![], u32::MAX, false)).0, Fault::ItemSize);
    let huge = Element::Text { len: i32::MAX as u32 / 4 + 1, byte_order: ByteOrder::Big };
    assert_eq!(fault(Struct::new(vec![field("a", 0, huge.clone())], 16, false)).0, Fault::ItemSize);

    let sub = |of, shape: &[u32]| Subarray::new(of, shape).unwrap_err().kind();
    let is = |kind, wanted| matches!(kind, EncodeErrorKind::DtypeDescription { fault, .. } if fault == wanted);
    assert!(is(sub(f8(), &[]), Fault::Subarray));
    assert!(is(sub(f8(), &[1; MAX_NDIM + 1]), Fault::Subarray));
    assert!(is(sub(f8(), &[0, MAX_ITEM_SIZE as u32]), Fault::ItemSize));
    let array = |of: Element| Descriptor::new(of, Order::C, &[]).unwrap_err().kind();
    assert!(is(array(huge), Fault::ItemSize));
    assert!(is(array(Subarray::new(f8(), &[2]).unwrap().into()), Fault::Place));
    let (unit, byte_order) = (TimeUnit::Second, ByteOrder::Big);
    for count in [0, 1 << 31] {
        let time = Element::Time { since_1970: true, unit, count, byte_order };
        assert!(is(array(time), Fault::Unit));
    }

    let mut deep = f8();
    for _ in 0..MAX_NESTING {
        deep = Struct::new(vec![field("f", 0, deep)], 8, false).unwrap().into();
    }
    let deepest = Descriptor::new(deep.clone(), Order::F, &[1]).unwrap();
    assert_eq!(Descriptor::parse(&head(&deepest)).unwrap(), deepest);
    let found = fault(Struct::new(vec![field("f", 0, deep.clone())], 8, false));
    assert_eq!(found.0, Fault::Nesting);
    assert!(is(sub(deep, &[1]), Fault::Nesting));
}

/// R4.3: elements of no bytes are counted, and their number is bounded.
#[test]
fn elements_of_no_bytes_are_counted() {
    let of = |shape: &[u64]| Descriptor::new(Element::Bytes { len: 0 }, Order::C, shape);
    let array = of(&[2, 3]).unwrap();
    assert_eq!((array.len(), array.byte_len(), array.is_empty()), (6, 0, false));
    assert_eq!(*array.strides(), [0, 0]);
    assert!(of(&[2, 0]).unwrap().is_empty());
    assert_eq!(of(&[1 << 62, 2]).unwrap_err().kind(), EncodeErrorKind::ShapeOverflow);
}

fn refused(letters: &[u8; 2], item_size: u32, description: &Value) -> (Fault, String) {
    let head = described(letters, item_size, &description.to_vec().unwrap());
    let error = Descriptor::parse(&head).expect_err("a wrong description");
    let Kind::DtypeDescription { fault, .. } = error.kind() else { panic!("{error}") };
    (fault, error.path().to_string())
}

fn list<const N: usize>(items: [Value; N]) -> Value {
    Value::Array(items.into())
}

fn map<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::Map(entries.into_iter().map(|(key, value)| (key.into(), value)).collect())
}

fn int(n: i64) -> Value {
    Value::from(n)
}

/// P9, R9.1: each way to describe a dtype wrongly is named, with its path.
#[test]
fn wrong_descriptions_are_named() {
    let one = |field| map([("fields", list([field])), ("aligned", Value::Bool(false))]);
    let plain = |name: &str, at, size| {
        list([name.into(), int(at), list(["i".into(), "<".into(), int(size)])])
    };
    let cases = [
        (b"M<", 8, list(["s".into()]), Fault::Form, ""),
        (b"M<", 8, list(["S".into(), int(1)]), Fault::Unit, ""),
        (b"m>", 8, list(["s".into(), int(0)]), Fault::Unit, ""),
        (b"m>", 8, list(["generic".into(), int(2)]), Fault::Unit, ""),
        (b"m>", 8, list(["s".into(), int(-1)]), Fault::Unit, ""),
        (b"m>", 8, list(["s".into(), int(1 << 31)]), Fault::Unit, ""),
        (b"f<", 16, "x86".into(), Fault::Form, ""),
        (b"c<", 32, int(1), Fault::Form, ""),
        (b"T|", 0, map([("coerce", int(1))]), Fault::Form, ""),
        (b"T|", 0, map([("coerce", Value::Bool(true)), ("missing", int(1))]), Fault::Form, ""),
        (b"T|", 0, map([("coerce", Value::Bool(true)), ("more", int(1))]), Fault::Form, ""),
        (b"V|", 8, int(1), Fault::Form, ""),
        (b"V|", 8, map([("fields", list([]))]), Fault::Form, ""),
        (b"V|", 8, map([("fields", int(1)), ("aligned", Value::Bool(true))]), Fault::Form, ""),
        (b"V|", 8, one(int(1)), Fault::Form, ".fields[0]"),
        (b"V|", 8, one(plain("a", 5, 4)), Fault::FieldOutside, ".fields[0]"),
        (b"V|", 8, one(plain("a", -1, 4)), Fault::FieldOutside, ".fields[0]"),
        (b"V|", 8, one(plain("a", 1 << 40, 4)), Fault::FieldOutside, ".fields[0]"),
        (b"V|", 8, one(plain("a", 0, 1 << 40)), Fault::ItemSize, ".fields[0]"),
        (
            b"V|",
            8,
            map([("shape", list([int(2)])), ("element", list(["i".into(), "<".into(), int(4)]))]),
            Fault::Place,
            "",
        ),
        (
            b"V|",
            9,
            map([("shape", list([int(2)])), ("element", list(["i".into(), "<".into(), int(4)]))]),
            Fault::ItemSize,
            "",
        ),
        (
            b"V|",
            0,
            map([("shape", list([])), ("element", list(["i".into(), "<".into(), int(4)]))]),
            Fault::Subarray,
            "",
        ),
        (
            b"V|",
            0,
            map([("shape", list([int(0)])), ("element", list(["i".into(), int(4)]))]),
            Fault::Form,
            ".element",
        ),
        (
            b"V|",
            u32::MAX,
            map([("fields", list([])), ("aligned", Value::Bool(true))]),
            Fault::ItemSize,
            "",
        ),
    ];
    for (letters, size, description, fault, path) in cases {
        let found = refused(letters, size, &description);
        assert_eq!(found, (fault, format!("$.dtype{path}")), "{description:?}");
    }
    let kind = |head: &[u8]| -> DecodeError { Descriptor::parse(head).unwrap_err() };
    // Letters that must have a description and have none, that must not have one, and that are unknown.
    for (letters, size) in [(b"M<", 8), (b"f<", 16), (b"c>", 32), (b"T|", 0)] {
        let error = kind(&described(letters, size, b""));
        assert!(
            matches!(error.kind(), Kind::DtypeDescription { fault: Fault::Form, .. }),
            "{error}"
        );
    }
    let some = Value::from("x").to_vec().unwrap();
    for (letters, size) in [(b"S|", 4), (b"U<", 4), (b"i<", 4), (b"x|", 4), (b"f<", 12)] {
        let error = kind(&described(letters, size, &some));
        assert!(matches!(error.kind(), Kind::DtypeUnknown { .. }), "{error}");
        assert_eq!(error.path().to_string(), "$.dtype");
    }
    for (letters, size) in [(b"S<", 4), (b"U|", 4), (b"U<", 5), (b"V<", 4), (b"O|", 8)] {
        let error = kind(&described(letters, size, b""));
        assert!(matches!(error.kind(), Kind::DtypeUnknown { .. }), "{error}");
    }
    let repeated = map([
        ("fields", list([plain("a", 0, 4), plain("a", 4, 4)])),
        ("aligned", Value::Bool(false)),
    ]);
    assert_eq!(refused(b"V|", 8, &repeated), (Fault::NameRepeated, "$.dtype.fields[1]".into()));
    // A text that is not UTF-8, with its offset in the head.
    let text = described(b"M<", 8, b"\x82\x61\xFF\x01");
    assert_eq!((kind(&text).kind(), kind(&text).offset()), (Kind::Utf8, 18));
    // A description that is longer than the head.
    let mut long = described(b"M<", 8, b"\x82\x61s\x01");
    long.pop();
    assert!(matches!(kind(&long).kind(), Kind::HeadLength { expected: 20, found: 19, .. }));
    // Structs inside each other, one more than may be.
    let mut value = list(["i".into(), "<".into(), int(4)]);
    for _ in 0..MAX_NESTING + 1 {
        let of = one(list(["f".into(), int(0), value]));
        value = list(["V".into(), "|".into(), int(4), of]);
    }
    let Value::Array(items) = value else { panic!("a list") };
    let (fault, path) = refused(b"V|", 4, &items[3]);
    assert_eq!(fault, Fault::Nesting, "{path}");
}

fn read(data: &[u8], len: usize) -> Result<Vec<Option<&str>>, DecodeError> {
    Texts::open(data, len)?.collect()
}

/// P9, R9.1: offsets of texts that lead astray are named by their number.
#[test]
fn wrong_texts_are_named() {
    let good = Texts::pack([Some("ab"), Some("é"), None]);
    let text_at = good.len() - 4;
    assert_eq!(read(&good, 3).unwrap(), [Some("ab"), Some("é"), None]);
    let damaged = |at: usize, to: u8| {
        let mut data = good.clone();
        data[at] = to;
        let error = read(&data, 3).unwrap_err();
        (error.kind(), error.path().to_string())
    };
    for (at, to, path) in
        [(0, 1, "$[0]"), (8, 5, "$[0]"), (16, 1, "$[1]"), (24, 3, "$[2]"), (31, 0x80, "$[2]")]
    {
        let found = damaged(at, to);
        assert!(matches!(found.0, Kind::TextOffset { text_len: 4, .. }), "{at}: {found:?}");
        assert_eq!(found.1, path, "{at}");
    }
    assert_eq!(damaged(8, 3), (Kind::Utf8, "$[0]".into()));
    assert_eq!(damaged(text_at + 2, 0xFF), (Kind::Utf8, "$[1]".into()));
    assert!(matches!(
        read(&good[..32], 3).unwrap_err().kind(),
        Kind::DataLength { expected: 33, .. }
    ));
    assert!(matches!(read(&good, usize::MAX).unwrap_err().kind(), Kind::DataLength { .. }));
    assert!(matches!(read(&[0; 9], 0).unwrap_err().kind(), Kind::TextOffset { .. }));
    assert_eq!(read(&[0; 8], 0).unwrap(), []);
    let missing = Missing { value: MissingValue::Nan, coerce: false };
    let strings = Descriptor::new(Element::String(missing.into()), Order::C, &[3]).unwrap();
    assert_eq!(strings.byte_len(), 33);
    assert!(strings.clone().with_data_len(32).is_err());
    assert_eq!(strings.with_data_len(40).unwrap().byte_len(), 40);
    let numbers = Descriptor::new(Dtype::U8, Order::C, &[3]).unwrap();
    assert!(numbers.with_data_len(4).is_err());
}
