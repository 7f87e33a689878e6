//! Holds `docs/segment-format.md` against the code: every table, every word.

use super::*;
use crate::block::{Phase, Word};
use crate::participants::{Entry, Participant};
use crate::pool::{Chunk, State};
use crate::schemas;
use crate::segment::{Control, next_round, role_token, want_word};
use crate::slots::{self, Cursors, Slot, Slots};
use crate::spsc::Tail;
use crate::sync::Ordering;
use crate::wait::EventCount;

const TEXT: &str = include_str!("../../../../docs/segment-format.md");

/// From a heading to the next one.
fn section(title: &str) -> impl Iterator<Item = &'static str> {
    let (_, rest) = TEXT.split_once(title).expect(title);
    rest.lines().take_while(|line| !line.starts_with("## "))
}

/// Bytes of a type as the document writes it.
fn size(kind: &str) -> usize {
    let scalar = |kind: &str| kind.trim_start_matches('u').parse::<usize>().expect(kind) / 8;
    match kind.trim_matches(['[', ']']).split_once("; ") {
        Some((kind, count)) => scalar(kind) * count.parse::<usize>().unwrap(),
        None => scalar(kind),
    }
}

/// The rows of a table of fields: name, offset, size.
fn table(title: &str) -> Vec<(String, usize, usize)> {
    section(title)
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| ")?.split(" | ").map(str::trim);
            let offset = cells.next()?.parse().ok()?;
            let size = size(cells.next()?);
            Some((cells.next()?.trim_matches('`').to_owned(), offset, size))
        })
        .collect()
}

/// The fields of a word, from the highest bit down: name and bits.
fn word(title: &str, name: &str) -> Vec<(String, u32)> {
    let line = section(title).find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(' '));
    let line = line.unwrap_or_else(|| panic!("no word {name}"));
    line.split(" | ")
        .filter_map(|field| {
            let (name, bits) = field.trim().split_once('(')?;
            Some((name.to_owned(), bits.split_once(')')?.0.parse().unwrap()))
        })
        .collect()
}

/// The word in which each of these fields has its value and the others are 0.
fn compose(fields: &[(String, u32)], values: &[(&str, u64)]) -> u64 {
    values.iter().fold(0, |word, &(name, value)| {
        let place = fields.iter().position(|field| field.0 == name).expect(name);
        let below: u32 = fields[place + 1..].iter().map(|field| field.1).sum();
        assert!(value >> fields[place].1 == 0, "{name} has {} bits", fields[place].1);
        word | value << below
    })
}

/// P9: the tables and the types have the same fields at the same places, of the same size.
#[test]
fn tables_are_the_types() {
    let shifted = |fields: &[(&'static str, usize, usize)], by: u64| -> Vec<_> {
        fields.iter().map(|&(name, at, size)| (name.to_owned(), at + by as usize, size)).collect()
    };
    assert_eq!(table("## The fixed part"), shifted(Fixed::FIELDS, 0));
    assert_eq!(table("## The control part"), shifted(Control::FIELDS, CONTROL_AT));
    assert_eq!(table("## Participants"), shifted(Participant::FIELDS, 0));
    assert_eq!(table("## The schema table"), shifted(Record::FIELDS, 0));
    assert_eq!(table("## The frame header"), shifted(Header::FIELDS, 0));
    let pair = LINES as usize;
    assert_eq!(std::mem::offset_of!(Cursors, head), 0, "the first word of the cursors");
    assert_eq!(std::mem::offset_of!(Cursors, tail), pair);
    assert_eq!(std::mem::offset_of!(Cursors, returned), 2 * pair);
    assert_eq!((std::mem::offset_of!(Slot, word), std::mem::offset_of!(Slot, cell)), (0, 8));
}

/// P9: the code reads the words that the document composes, and composes what it reads.
#[test]
fn words_are_the_code() {
    let entry = word("## Words", "entry");
    assert_eq!(entry.iter().map(|field| field.1).sum::<u32>(), 64);
    let mine = Entry(compose(&entry, &[("incarnation", 0x3765_4321), ("state", 2), ("pid", 77)]));
    assert_eq!((mine.incarnation(), mine.pid(), mine.is_free()), (0x3765_4321, 77, false));
    let role = word("## Words", "role");
    let fields = [("id", 9), ("incarnation", 0x65_4321), ("handle", 0x1234_5678)];
    assert_eq!(role_token(9, mine, 0x1234_5678), compose(&role, &fields));
    let round = word("## Words", "round");
    assert_eq!(
        u64::from(next_round(0x1234_5607, 9)),
        compose(&round, &[("count", 0x12_3457), ("id", 9)])
    );

    let block = word("## Words", "block");
    assert_eq!(block.iter().map(|field| field.1).sum::<u32>(), 64);
    let (incarnation, id) = (0xab_u64, 0xcd_u64);
    for phase in 0..=6 {
        let composed = Word(
            compose(
                &block,
                &[("generation", 0x9_8765_4321), ("incarnation", incarnation), ("id", id)],
            ) | phase,
        );
        let owner = (incarnation << 8 | id) as u16;
        assert_eq!((composed.generation(), composed.owner()), (0x9_8765_4321, owner));
        let read = composed.phase().unwrap();
        assert!(TEXT.contains(&format!("{phase} {read:?}")), "{phase} is {read:?}");
        assert_eq!(composed.with(read, owner).0, composed.0);
    }
    assert_eq!(Word(7).phase(), None::<Phase>);

    let chunk = word("## Words", "chunk");
    assert_eq!(chunk.iter().map(|field| field.1).sum::<u32>(), 64);
    for (state, name, expected) in [
        (0, "0 Free", State::Free),
        (1, "1 Taken", State::Taken { owner: 0x1234, class: Some(5) }),
        (2, "2 Slab", State::Slab { class: 5 }),
        (3, "3 Run", State::Run { chunks: 0x12 }),
        (4, "4 Part", State::Part { first: 0x12 }),
        (5, "", State::Corrupt),
    ] {
        let fields = [("state", state), ("owner", 0x34), ("class", 5), ("backed", 1), ("x", 0x12)];
        assert_eq!(Chunk(compose(&chunk, &fields)).state(), expected);
        assert!(TEXT.contains(name), "{name}");
    }

    let ready = word("## Words", "slot    Ready 1 |");
    assert_eq!(1 + ready.iter().map(|field| field.1).sum::<u32>(), 64);
    let all: [Slot; 8] = std::array::from_fn(|_| Slot::new(5));
    let cursors = Cursors::at(5 * 8);
    // SAFETY: a power of two.
    let slots = unsafe { Slots::new(&all, &cursors) };
    let entry = slots::Entry { reference: 0xab_cdef, generation: 0x1234, direct: true };
    Tail::find(slots).unwrap().place(slots, entry);
    let fields = [("direct", 1), ("reference", 0xab_cdef), ("generation", 0x1234), ("lap", 5)];
    assert_eq!(all[0].word.load(Ordering::Relaxed), 1 << 63 | compose(&ready, &fields));

    let hint = word("## Words", "hint");
    assert_eq!(hint.iter().map(|field| field.1).sum::<u32>(), 64);
    crate::returned::raise(&cursors);
    let raised = cursors.returned.load(Ordering::Relaxed);
    assert_eq!(raised, compose(&hint, &[("version", 1), ("look for frames given back", 1)]));

    let schema = word("## Words", "schema  Ready 1 |");
    assert_eq!(1 + schema.iter().map(|field| field.1).sum::<u32>(), 64);
    let placed = schemas::Entry { generation: 0x9_8765_4321, block: 0x765_4321 };
    let fields = [("generation", placed.generation), ("block", placed.block)];
    assert_eq!(placed.ready(), 1 << 63 | compose(&schema, &fields));
    let entries = [crate::sync::AtomicU64::new(placed.ready())];
    assert_eq!(schemas::Table { entries: &entries }.read(0).unwrap(), Some(placed));
    let want = word("## Words", "want");
    assert_eq!(want.iter().map(|field| field.1).sum::<u32>(), 64);
    let fields = [("schema", 0x8765_4321), ("newest", 0xfedc), ("oldest", 0x1234)];
    assert_eq!(want_word(0x8765_4321, (0x1234, 0xfedc)), compose(&want, &fields));

    let wait = word("## Words", "wait");
    assert_eq!(wait, [("count".to_owned(), 31), ("somebody waits".to_owned(), 1)]);
    let event = EventCount { futex: crate::sync::Futex::new() };
    assert_eq!(
        u64::from(event.announce_unfenced()),
        compose(&wait, &[("count", 1), ("somebody waits", 1)])
    );
}

/// P9: the numbers that the tables mention.
#[test]
fn numbers_are_the_constants() {
    let meaning = |field: &str| {
        let row =
            section("## The fixed part").find(|line| line.contains(&format!("| `{field}` |")));
        row.expect(field).rsplit_once(" | ").unwrap().1.trim_end_matches(" |").to_owned()
    };
    for (field, number) in [
        ("magic", String::from_utf8(MAGIC.into()).unwrap()),
        ("header_len", HEADER_LEN.to_string()),
        ("features", format!("{FEATURE_KEEP}: keep the name")),
        ("features", format!("{FEATURE_DROP}: producers may drop")),
        ("mode", "0 SPSC, 1 MPSC, 2 SPMC, 3 MPMC".into()),
        ("slots_at", format!("slots of {SLOT} bytes")),
        ("slots", format!("8 to 2^{}", MAX_SLOTS.ilog2())),
        ("chunk_len", format!("at least {} KiB", MIN_CHUNK >> 10)),
        ("min_block", format!("`chunk_len / {BLOCKS_PER_CHUNK}`")),
        ("participants_at", format!("{} entries of {PARTICIPANT_LEN} bytes", PARTICIPANTS + 1)),
        ("block_words_at", format!("{BLOCKS_PER_CHUNK} per chunk")),
        ("hints_at", format!("{CLASSES} pairs of lines")),
        ("chunks_at", format!("{} MiB-aligned", HUGE >> 20)),
        ("features", format!("{FEATURE_SCHEMAS}: there is a schema table")),
        ("schemas", format!("at most {MAX_SCHEMAS}")),
        ("record_chunk", RECORD_CHUNK.to_string()),
        ("records_at", format!("{RECORD_ROOM} bytes for each entry")),
        ("records_at", format!("at least {MIN_RECORDS}")),
    ] {
        assert!(meaning(field).contains(&number), "{field}: {number}");
    }
    let told: Vec<&str> = section("## The schema table").collect();
    for number in [
        format!("with {RECORDS_PER_CHUNK} blocks"),
        format!("the {CLASSES} pairs"),
        format!("1 to {MAX_NAME}"),
        format!("next multiple of {FRAME_ALIGN}:"),
    ] {
        assert!(told.iter().any(|line| line.contains(&number)), "{number}");
    }
    assert!(TEXT.contains(&format!("Version {}.{}.", VERSION.0, VERSION.1)));
}
