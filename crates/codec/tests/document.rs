//! `docs/frame-format.md` and `docs/types.md` say what the code does: their tables are held against
//! the constants.

use slipring_codec::format::ndarray::{
    ByteOrder, Descriptor, Dtype, Element, LongDouble, MAX_NDIM, MAX_NESTING, Missing,
    MissingValue, Order, Struct, TimeUnit,
};
use slipring_codec::frame::{flags, part};
use slipring_codec::token::MAX_DEPTH;
use slipring_codec::{FORMAT_VERSION, Format, Parts};
use std::collections::BTreeSet;

fn document() -> String {
    read("frame-format.md")
}

fn read(name: &str) -> String {
    let path = format!("{}/../../docs/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The rows of the table that stands under this heading, cell by cell, without its two top lines.
fn table(document: &str, heading: &str) -> Vec<Vec<String>> {
    let (_, section) = document.split_once(&format!("# {heading}\n")).expect(heading);
    let rows = section.lines().skip_while(|line| !line.starts_with('|'));
    let cells = |row: &str| {
        row.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect()
    };
    rows.take_while(|line| line.starts_with('|')).skip(2).map(cells).collect()
}

fn number(cell: &str) -> u64 {
    let parsed = match cell.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => cell.parse(),
    };
    parsed.unwrap_or_else(|e| panic!("{cell}: {e}"))
}

/// The first two cells of each row: a number and a name.
fn numbered(document: &str, heading: &str) -> Vec<(u64, String)> {
    table(document, heading).into_iter().map(|row| (number(&row[0]), row[1].clone())).collect()
}

/// P3, R5.4: the codes of formats, flags and parts.
#[test]
fn codes_are_those_of_the_document() {
    let document = document();
    let formats = numbered(&document, "Formats");
    assert_eq!(formats.len(), 6);
    for (code, name) in formats {
        let format = Format::from_code(code as u8).expect("a format with this code");
        assert_eq!((format.name(), u64::from(format.code())), (name.as_str(), code));
    }
    assert_eq!(Format::from_code(6), None);

    let all = [
        (flags::PARTS, "PARTS"),
        (flags::META, "META"),
        (flags::COMPRESSED, "COMPRESSED"),
        (flags::CHECKSUM, "CHECKSUM"),
        (flags::STREAM_FIRST, "STREAM_FIRST"),
        (flags::STREAM_LAST, "STREAM_LAST"),
    ];
    assert_eq!(numbered(&document, "Flags"), all.map(|(bit, name)| (bit.into(), name.to_owned())));

    let kinds = [(part::HEAD, "HEAD"), (part::BUFFER, "BUFFER"), (part::META, "META")];
    assert_eq!(
        numbered(&document, "Kinds of parts"),
        kinds.map(|(kind, name)| (kind.into(), name.to_owned()))
    );
    assert!(document.contains(&format!("format_version {FORMAT_VERSION}")));
    assert!(document.contains(&format!("At most {MAX_DEPTH} arrays, maps and tags")));
}

/// R4.5: the dtypes and their codes, all of them and no other.
#[test]
fn dtypes_are_those_of_the_document() {
    let rows = table(&document(), "Dtypes");
    let mut documented = 0;
    for row in rows {
        let [name, little, big] = &row[..] else { panic!("{row:?}") };
        let pairs = [("<", little), (">", big)];
        for (order, code) in pairs.into_iter().filter(|(_, code)| *code != "-") {
            let dtype: Dtype = format!("{order}{name}").parse().expect("a dtype");
            assert_eq!(u64::from(dtype.code()), number(code), "{dtype}");
            documented += 1;
        }
    }
    assert_eq!((0..=u16::MAX).filter_map(Dtype::from_code).count(), documented);
}

/// R4.3, R4.5: the kinds of the other dtypes with their codes, and which have a description.
#[test]
fn other_dtypes_are_those_of_the_document() {
    let all = |byte_order| {
        let format = LongDouble::X87;
        let time = |since_1970| {
            let unit = TimeUnit::Second;
            Element::Time { since_1970, unit, count: 1, byte_order }
        };
        let missing = Missing { value: MissingValue::No, coerce: true };
        [
            Element::LongDouble { format, complex: false, byte_order },
            Element::LongDouble { format, complex: true, byte_order },
            time(false),
            time(true),
            Element::Bytes { len: 7 },
            Element::Text { len: 7, byte_order },
            Element::Void { len: 7 },
            Struct::new(vec![], 7, false).expect("a struct").into(),
            Element::String(missing.into()),
        ]
    };
    let (little, big) = (all(ByteOrder::Little), all(ByteOrder::Big));
    let rows = table(&document(), "Other dtypes");
    assert_eq!(rows.len(), little.len());
    for ((row, little), big) in rows.iter().zip(little).zip(big) {
        let [kind, size, code, big_code, described, ..] = &row[..] else { panic!("{row:?}") };
        assert_eq!(u64::from(little.code()), number(code), "{row:?}");
        assert_eq!(big == little, big_code == "-", "{row:?}");
        if big_code != "-" {
            assert_eq!(u64::from(big.code()), number(big_code), "{row:?}");
        }
        if let Ok(size) = size.parse::<usize>() {
            assert_eq!(size, little.item_size(), "{row:?}");
        }
        assert_eq!(little.code() >> 8, kind.as_bytes()[0].into(), "{row:?}");
        let array = Descriptor::new(little, Order::C, &[]).expect("a small array");
        let plan = slipring_codec::format::ndarray::plan(&array, None).expect("a small body");
        let mut body = vec![0; plan.body_len()];
        plan.write(&mut body).expect("the length is the plan's");
        let head = Parts::parse(&body).expect("a good body").head().expect("a head").bytes;
        assert_eq!(head[1..2], *kind.as_bytes(), "{row:?}");
        assert_eq!(head.len() > 16, described == "yes", "{row:?}");
    }
    let document = document();
    let units = "Y M W D h m s ms us ns ps fs as generic".split(' ');
    for unit in units {
        assert_eq!(TimeUnit::from_name(unit).map(TimeUnit::name), Some(unit));
        assert!(document.contains(&format!("`{unit}`")), "{unit}");
    }
    assert!(document.contains(&format!("nest at most {MAX_NESTING} deep")));
}

/// R4.5: each field of an ndarray head stands where the document has it. A good head is spoilt at
/// that place, and the error must name that field.
#[test]
fn head_fields_stand_where_the_document_has_them() {
    let descriptor = Descriptor::new(Dtype::F64, Order::C, &[3]).expect("a small array");
    let plan = slipring_codec::format::ndarray::plan(&descriptor, None).expect("a small body");
    let mut body = vec![0; plan.body_len()];
    plan.write(&mut body).expect("the length is the plan's");
    let head = Parts::parse(&body).expect("a good body").head().expect("a head").bytes.to_vec();
    assert!(Descriptor::parse(&head).is_ok());

    let rows = table(&document(), "The ndarray head");
    let mut next = 0;
    for row in rows {
        let [offset, width, field, error] = &row[..4] else { panic!("{row:?}") };
        let at = number(offset) as usize;
        assert_eq!(at, next, "{field} follows at once");
        let width = match width.as_str() {
            "u8" => 1,
            "u16" => 2,
            "u32" => 4,
            "u64 x ndim" => 8,
            other => panic!("{other}"),
        };
        next = at + width;
        let mut spoilt = head.clone();
        spoilt[at..next].fill(0xFF);
        let path = Descriptor::parse(&spoilt).expect_err(field).path().to_string();
        assert_eq!(path, *error, "{field}");
    }
    assert_eq!(next, head.len());
    assert!(document().contains(&format!("0 to {MAX_NDIM}")));
}

/// R6.1: every tag that `types.md` names is one of the code's, and the other way round.
#[test]
fn tags_are_those_of_the_document() {
    let value = |line: &str| {
        line.strip_prefix("pub const ")?.split_once(" = ")?.1.strip_suffix(';')?.parse().ok()
    };
    let code: BTreeSet<u64> = include_str!("../src/tag.rs").lines().filter_map(value).collect();
    let wire: String =
        table(&read("types.md"), "Values").into_iter().map(|row| row[1].clone() + "|").collect();
    let documented: BTreeSet<u64> =
        wire.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok()).collect();
    // These two are not in the table's words: one is read over, one is the first of 24.
    let named = code.difference(&BTreeSet::from([55799, 64])).copied().collect::<BTreeSet<_>>();
    assert_eq!(named.difference(&documented).collect::<Vec<_>>(), [&0; 0]);
    let own = |tags: &BTreeSet<u64>| {
        tags.iter().copied().filter(|&tag| (47600..47700).contains(&tag)).collect::<Vec<_>>()
    };
    assert_eq!(own(&code), own(&documented));
}
