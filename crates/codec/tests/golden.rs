//! R5.1: every body that a version has laid down is read for as long as that version is promised to be.

use std::collections::BTreeSet;

use slipring_codec::frame::flags::{META, PARTS};
use slipring_codec::{Body, Content, FORMAT_VERSION, Format};

/// The golden bodies of each format version: file, format, flags, type code, and bytes of the data or head.
///
/// A new version gets an entry of its own, and none is taken out before it may be.
type Golden = (&'static str, Format, u16, u16, usize);
#[rustfmt::skip]
const VERSIONS: &[(u8, &[Golden])] = &[(1, &[
    ("arrow-mixed.hex", Format::Arrow, PARTS, 0, 0x470),
    ("json-meta.hex", Format::Json, PARTS | META, 0, 24),
    ("ndarray-M8-25s.hex", Format::Ndarray, PARTS, 0x4D08, 24),
    ("ndarray-S0.hex", Format::Ndarray, PARTS, 0x5300, 0),
    ("ndarray-T-missing.hex", Format::Ndarray, PARTS, 0x5400, 44),
    ("ndarray-U2-big-f.hex", Format::Ndarray, PARTS, 0xD500, 16),
    ("ndarray-c16-empty.hex", Format::Ndarray, PARTS, 0x6310, 0),
    ("ndarray-c32-x87.hex", Format::Ndarray, PARTS, 0x6320, 32),
    ("ndarray-f8-c-meta.hex", Format::Ndarray, PARTS | META, 0x6608, 48),
    ("ndarray-i2-big-f.hex", Format::Ndarray, PARTS, 0xE902, 8),
    ("ndarray-m8-big.hex", Format::Ndarray, PARTS, 0xED08, 8),
    ("ndarray-struct.hex", Format::Ndarray, PARTS, 0x5600, 16),
    ("ndarray-u1-0d.hex", Format::Ndarray, PARTS, 0x7501, 1),
    ("pickle-buffer.hex", Format::Pickle, PARTS, 5, 5),
    ("raw-meta.hex", Format::Raw, PARTS | META, 0, 5),
    ("value-alone.hex", Format::Value, 0, 0, 6),
    ("value-buffer.hex", Format::Value, PARTS, 0, 15),
    ("value-table.hex", Format::Value, PARTS, 0, 0x48A),
])];

fn folder() -> std::path::PathBuf {
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden").into()
}

fn bytes(file: &str) -> Vec<u8> {
    let text =
        std::fs::read_to_string(folder().join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
    let digits = text.lines().flat_map(|line| line.split('#').next().unwrap_or_default().chars());
    let digits: Vec<u8> = digits.filter_map(|c| Some(c.to_digit(16)? as u8)).collect();
    digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// R5.1: each file is read as what it says, and none is on no list.
#[test]
fn every_golden_body_is_read() {
    let mut listed = BTreeSet::new();
    for (file, format, flags, type_code, len) in VERSIONS.iter().flat_map(|(_, files)| *files) {
        assert!(listed.insert((*file).to_owned()), "{file} is listed twice");
        let body = bytes(file);
        let opened = Body::open(format.code(), *flags, *type_code, &body);
        let opened = opened.unwrap_or_else(|e| panic!("{file}: {e}"));
        assert_eq!(opened.meta().unwrap().is_some(), flags & META != 0, "{file}");
        let found = match opened.content().unwrap_or_else(|e| panic!("{file}: {e}")) {
            Content::Raw(data) | Content::Json(data) => data.bytes.len(),
            Content::Ndarray(view) => view.data.bytes.len(),
            #[cfg(feature = "arrow")]
            Content::Value(view) if *file == "value-table.hex" => {
                use slipring_codec::format::arrow::Checks;
                let outline = view.outline().unwrap();
                let (table, copy) =
                    view.table(outline.get("frame").unwrap(), Checks::Full).unwrap().unwrap();
                assert_eq!((table.batches[0].len, copy.is_none()), (3, true), "{file}");
                view.head.bytes.len()
            }
            Content::Value(view) | Content::Pickle(view) => view.head.bytes.len(),
            #[cfg(feature = "arrow")]
            Content::Arrow(view) => {
                use slipring_codec::format::arrow::{Checks, read};
                assert!(!read(&view, None, Checks::Full).unwrap().batches.is_empty(), "{file}");
                view.head.bytes.len()
            }
            other => panic!("{file}: {other:?}"),
        };
        assert_eq!(found, *len, "{file}");
    }
    let there = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let there: BTreeSet<String> = there.filter(|file| file.ends_with(".hex")).collect();
    assert_eq!(listed, there);
}

/// R5.1: this version and the two before it, as far as there were any, each have a body of each format that they decode. The
/// document has the same versions.
#[test]
fn versions_that_are_promised_have_goldens() {
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/frame-format.md");
    let document = std::fs::read_to_string(document).unwrap();
    let rows = |heading: &str| {
        let (_, section) = document.split_once(&format!("# {heading}\n")).expect("a heading");
        let rows = section.lines().skip_while(|line| !line.starts_with('|'));
        let rows = rows.take_while(|line| line.starts_with('|')).skip(2);
        let cells =
            |row: &str| row.trim_matches('|').split('|').map(|c| c.trim().to_owned()).collect();
        rows.map(cells).collect::<Vec<Vec<String>>>()
    };
    let documented: Vec<u8> = rows("Versions").iter().map(|row| row[0].parse().unwrap()).collect();
    assert_eq!(documented, (1..=FORMAT_VERSION).collect::<Vec<_>>());
    for version in FORMAT_VERSION.saturating_sub(2).max(1)..=FORMAT_VERSION {
        let files =
            VERSIONS.iter().find(|(of, _)| *of == version).map_or(&[][..], |(_, files)| *files);
        for row in rows("Formats") {
            // Decoded since this version, or one before it.
            let Ok(since) = row[3].parse::<u8>() else { continue };
            let format = Format::from_code(row[0].parse().unwrap()).unwrap();
            let has = files.iter().any(|(_, of, ..)| *of == format);
            assert!(
                has || since > version,
                "version {version} has no golden body of {}",
                format.name()
            );
        }
    }
}
