//! The format of a segment and of a frame header: every offset, size and bit, in one place.
//!
//! `docs/segment-format.md` says the same in pictures, and a test holds the two together. All
//! integers are little-endian. Nothing here touches shared memory: it turns options into a
//! [`Geometry`] and checked header bytes back into one.

use crate::error::{Error, Mismatch};
use crate::pool::Measures;
use crate::slots::{CURSORS, SLOT};
use bytemuck::{Pod, Zeroable};

/// The first eight bytes of every segment.
pub const MAGIC: [u8; 8] = *b"SLIPRING";
/// Format version; another major version is refused, a newer minor one may be attached.
pub const VERSION: (u16, u16) = (1, 0);

/// Length of the header page in bytes: fixed part, control part, reserve.
pub(crate) const HEADER_LEN: u64 = 4096;
/// Where the control part (roles, counters) begins.
pub(crate) const CONTROL_AT: u64 = 256;
/// Ids of participants: 1 to this. Id 0 is nobody.
pub const PARTICIPANTS: usize = 255;
pub(crate) const PARTICIPANT_LEN: u64 = 128;
/// What two sides write sits this far apart: a pair of cache lines.
pub(crate) const LINES: u64 = 128;
/// Every frame starts on a multiple of this, Arrow's alignment.
pub const FRAME_ALIGN: u64 = 64;
/// Feature bit: the segment keeps its name when the last process leaves it empty.
pub(crate) const FEATURE_KEEP: u32 = 1;
/// Feature bit: producers may drop the oldest frame to make room.
pub(crate) const FEATURE_DROP: u32 = 2;
const FEATURES: u32 = FEATURE_KEEP | FEATURE_DROP;
/// Size classes of the pool's slabs, at most.
pub(crate) const CLASSES: usize = 40;
const PAGE: u64 = 4096;
/// Chunks start on a multiple of this, so that huge pages can hold them.
const HUGE: u64 = 2 << 20;

const MAX_SLOTS: u64 = 1 << 20;
const BLOCKS_PER_CHUNK: u64 = 512;
const MIN_CHUNK: u64 = 256 << 10;
const MAX_CHUNKS: u64 = 1 << 14;

/// Who may stand at the two ends of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// One producer and one consumer at a time: the fastest.
    Spsc,
    /// Many producers, one consumer at a time.
    Mpsc,
    /// One producer at a time, many consumers. Each frame goes to one of them.
    Spmc,
    /// Many producers and many consumers. Each frame goes to one of them.
    Mpmc,
}

impl Mode {
    pub(crate) const ALL: [Self; 4] = [Self::Spsc, Self::Mpsc, Self::Spmc, Self::Mpmc];

    /// Whether there is one producer at a time.
    pub fn one_producer(self) -> bool {
        matches!(self, Self::Spsc | Self::Spmc)
    }

    /// Whether there is one consumer at a time.
    pub fn one_consumer(self) -> bool {
        matches!(self, Self::Spsc | Self::Mpsc)
    }

    /// Whether each side is alone, and writes its words by plain stores.
    pub(crate) fn alone(self) -> bool {
        self == Self::Spsc
    }

    /// Its short name: `"spsc"`, `"mpsc"`, `"spmc"` or `"mpmc"`.
    pub fn name(self) -> &'static str {
        ["spsc", "mpsc", "spmc", "mpmc"][self as usize]
    }
}

/// The header of a frame: 64 bytes before the body, in every cell and block.
///
/// `participant`, `producer`, `sequence` and `body_len` are filled in by the producer on sending;
/// `created_ns` too where it is 0.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Header {
    /// 0 raw, 1 value, 2 ndarray, 3 arrow, 4 pickle, 5 json.
    pub format: u8,
    /// Version of that format.
    pub format_version: u8,
    /// Low byte: the codec's flags; high byte: the ring's.
    pub flags: u16,
    /// What the format says of the type without its body being read; 0 for nothing.
    pub type_code: u16,
    /// Version of the schema `schema_id`.
    pub schema_version: u16,
    /// Schema of the body; 0 for none.
    pub schema_id: u32,
    /// CRC-32C of the body where the flags say so.
    pub checksum: u32,
    /// Length of the body in bytes.
    pub body_len: u64,
    /// Length of the body in bytes before compression.
    pub uncompressed_len: u64,
    /// Count of the frames of this producer handle before this one.
    pub sequence: u64,
    /// When it was sent: nanoseconds since the Unix epoch.
    pub created_ns: u64,
    /// The caller's own, to match answers with questions.
    pub correlation_id: u64,
    /// Id of the sending process within the segment.
    pub participant: u16,
    /// 0.
    pub reserved: u16,
    /// Number of the producer handle, unique in the life of the segment.
    pub producer: u32,
}

/// Flag of [`Header::flags`]: the frame was delivered before, and not acknowledged.
pub const REDELIVERED: u16 = 1 << 8;
/// Length of [`Header`] in bytes.
pub const FRAME_HEADER: usize = 64;

impl Header {
    /// A header for plain bytes.
    pub fn raw() -> Self {
        Self { format_version: 1, ..Self::default() }
    }
}

/// The fixed part of the segment header. Written once before the segment has a name.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub(crate) struct Fixed {
    pub magic: [u8; 8],
    pub major: u16,
    pub minor: u16,
    pub header_len: u32,
    pub total_len: u64,
    pub id: [u8; 16],
    pub boot_id: [u8; 16],
    pub created_ns: u64,
    pub creator_pid: u32,
    pub creator_uid: u32,
    pub mode: u32,
    pub features: u32,
    pub slots: u32,
    pub cell_len: u32,
    pub capacity: u64,
    pub chunk_len: u32,
    pub min_block: u32,
    pub first_lap: u64,
    pub participants_at: u64,
    pub cursors_at: u64,
    pub waits_at: u64,
    pub slots_at: u64,
    pub chunk_words_at: u64,
    pub block_words_at: u64,
    pub hints_at: u64,
    pub cells_at: u64,
    pub chunks_at: u64,
    pub max_deliveries: u32,
    pub share: u32,
    pub reserved: [u8; 56],
    pub checksum: u64,
}

impl Fixed {
    /// FNV-1a over everything before the checksum: any single changed byte changes it.
    pub(crate) fn sum(&self) -> u64 {
        let bytes = bytemuck::bytes_of(self);
        bytes[..bytes.len() - 8]
            .iter()
            .fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3))
    }
}

macro_rules! at {
    ($type:ty { $($field:ident = $offset:expr),+ $(,)? }) => {
        const _: () = { $(assert!(core::mem::offset_of!($type, $field) == $offset);)+ };
        #[cfg(test)]
        impl $type {
            pub(crate) const FIELDS: &'static [(&'static str, usize)] =
                &[$((stringify!($field), $offset)),+];
        }
    };
}
at!(Fixed {
    magic = 0, major = 8, minor = 10, header_len = 12, total_len = 16, id = 24, boot_id = 40,
    created_ns = 56, creator_pid = 64, creator_uid = 68, mode = 72, features = 76, slots = 80,
    cell_len = 84, capacity = 88, chunk_len = 96, min_block = 100, first_lap = 104,
    participants_at = 112, cursors_at = 120, waits_at = 128, slots_at = 136, chunk_words_at = 144,
    block_words_at = 152, hints_at = 160, cells_at = 168, chunks_at = 176, max_deliveries = 184,
    share = 188, reserved = 192, checksum = 248,
});
at!(Header {
    format = 0, format_version = 1, flags = 2, type_code = 4, schema_version = 6, schema_id = 8,
    checksum = 12, body_len = 16, uncompressed_len = 24, sequence = 32, created_ns = 40,
    correlation_id = 48, participant = 56, reserved = 58, producer = 60,
});
const _: () = assert!(size_of::<Fixed>() == CONTROL_AT as usize);
const _: () = assert!(size_of::<Header>() == FRAME_HEADER);

/// What was agreed on when a segment was made, beside its measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    pub mode: Mode,
    /// The name stays when the last process leaves.
    pub keep: bool,
    /// Producers may drop the oldest frame.
    pub drop_oldest: bool,
    /// A frame that is given back more often is a dead letter.
    pub max_deliveries: u8,
    /// The part of the pool that one process may hold, in percent.
    pub share: u8,
}

impl Rules {
    /// The features' word.
    fn features(self) -> u32 {
        (if self.keep { FEATURE_KEEP } else { 0 }) | if self.drop_oldest { FEATURE_DROP } else { 0 }
    }
}

/// The measures of a segment and where each of its parts lies. Only ever made of checked numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    pub rules: Rules,
    pub slots: u64,
    /// A cell with its frame header, in bytes.
    pub cell_len: u64,
    /// The pool in bytes, a multiple of `chunk_len`.
    pub capacity: u64,
    pub chunk_len: u64,
    pub min_block: u64,
    pub first_lap: u64,
    pub participants_at: u64,
    pub cursors_at: u64,
    pub waits_at: u64,
    pub slots_at: u64,
    pub chunk_words_at: u64,
    pub block_words_at: u64,
    pub hints_at: u64,
    pub cells_at: u64,
    pub chunks_at: u64,
    pub total_len: u64,
}

impl Geometry {
    /// The layout for a ring of `slots` places, cells of `cell_body` bytes and a pool of `capacity`
    /// bytes (rounded up to whole chunks).
    pub(crate) fn new(
        rules: Rules,
        slots: u64,
        cell_body: u64,
        capacity: u64,
        first_lap: u64,
    ) -> Result<Self, Error> {
        let invalid = |option, value: u64, expected| Error::InvalidOption {
            option,
            value: value.to_string(),
            expected,
        };
        if !slots.is_power_of_two() || !(8..=MAX_SLOTS).contains(&slots) {
            return Err(invalid("slots", slots, "a power of two from 8 to 1048576"));
        }
        if cell_body > 65_536 - FRAME_HEADER as u64 {
            return Err(invalid("cell", cell_body, "at most 65472 bytes"));
        }
        if !(1..=1 << 40).contains(&capacity) {
            return Err(invalid("capacity", capacity, "1 byte to 1 TiB"));
        }
        if !(1..=100).contains(&rules.share) {
            return Err(invalid("share", rules.share.into(), "1 to 100 percent"));
        }
        let cell_len = (cell_body + FRAME_HEADER as u64).next_multiple_of(FRAME_ALIGN);
        let chunk_len = capacity.div_ceil(MAX_CHUNKS).next_power_of_two().max(MIN_CHUNK);
        let capacity = capacity.next_multiple_of(chunk_len);
        Ok(Self::derive(rules, slots, cell_len, capacity, chunk_len, first_lap))
    }

    fn derive(
        rules: Rules,
        slots: u64,
        cell_len: u64,
        capacity: u64,
        chunk_len: u64,
        first_lap: u64,
    ) -> Self {
        let mut end = HEADER_LEN;
        let mut part = |len: u64, align: u64| {
            let at = end.next_multiple_of(align);
            end = at + len;
            at
        };
        let chunks = capacity / chunk_len;
        let participants_at = part((PARTICIPANTS as u64 + 1) * PARTICIPANT_LEN, LINES);
        let cursors_at = part(CURSORS, LINES);
        let waits_at = part(2 * LINES, LINES);
        let slots_at = part(slots * SLOT, LINES);
        let chunk_words_at = part(chunks * 8, LINES);
        let block_words_at = part(chunks * BLOCKS_PER_CHUNK * 8, LINES);
        let hints_at = part(CLASSES as u64 * LINES, LINES);
        let cells_at = part(slots * cell_len, PAGE);
        let chunks_at = part(capacity, if capacity >= HUGE { HUGE } else { PAGE });
        Self {
            rules,
            slots,
            cell_len,
            capacity,
            chunk_len,
            min_block: chunk_len / BLOCKS_PER_CHUNK,
            first_lap,
            participants_at,
            cursors_at,
            waits_at,
            slots_at,
            chunk_words_at,
            block_words_at,
            hints_at,
            cells_at,
            chunks_at,
            total_len: end.next_multiple_of(PAGE),
        }
    }

    pub(crate) fn chunks(&self) -> u64 {
        self.capacity / self.chunk_len
    }

    pub(crate) fn block_words(&self) -> u64 {
        self.chunks() * BLOCKS_PER_CHUNK
    }

    pub(crate) fn measures(&self) -> Measures {
        Measures::new(self.chunk_len, BLOCKS_PER_CHUNK)
    }

    /// What one process may hold of the pool, in bytes: whole chunks, one at least.
    pub(crate) fn share(&self) -> u64 {
        let chunks = self.chunks() * u64::from(self.rules.share) / 100;
        chunks.max(1) * self.chunk_len
    }

    /// The longest body that the ring can ever carry, in bytes.
    pub(crate) fn max_body(&self) -> u64 {
        self.share().max(self.cell_len) - FRAME_HEADER as u64
    }

    /// Writes itself into a fixed part.
    pub(crate) fn fill(&self, fixed: &mut Fixed) {
        fixed.magic = MAGIC;
        (fixed.major, fixed.minor) = VERSION;
        fixed.header_len = HEADER_LEN as u32;
        fixed.total_len = self.total_len;
        fixed.mode = self.rules.mode as u32;
        fixed.features = self.rules.features();
        fixed.max_deliveries = self.rules.max_deliveries.into();
        fixed.share = self.rules.share.into();
        fixed.slots = self.slots as u32;
        fixed.cell_len = self.cell_len as u32;
        fixed.capacity = self.capacity;
        fixed.chunk_len = self.chunk_len as u32;
        fixed.min_block = self.min_block as u32;
        fixed.first_lap = self.first_lap;
        fixed.participants_at = self.participants_at;
        fixed.cursors_at = self.cursors_at;
        fixed.waits_at = self.waits_at;
        fixed.slots_at = self.slots_at;
        fixed.chunk_words_at = self.chunk_words_at;
        fixed.block_words_at = self.block_words_at;
        fixed.hints_at = self.hints_at;
        fixed.cells_at = self.cells_at;
        fixed.chunks_at = self.chunks_at;
    }

    /// Reads bytes that anybody may have written: every field is checked, and every derived offset
    /// is derived again and compared.
    pub(crate) fn check(fixed: &Fixed, file_len: u64, boot_id: [u8; 16]) -> Result<Self, Mismatch> {
        let wrong = |field, offset, expected: String, found: String, hint| {
            Err(Mismatch { field, offset, expected, found, hint })
        };
        macro_rules! same {
            ($field:ident, $expected:expr, $hint:expr) => {
                let expected = $expected;
                if fixed.$field != expected {
                    return wrong(
                        stringify!($field),
                        core::mem::offset_of!(Fixed, $field) as u64,
                        format!("{expected:?}"),
                        format!("{:?}", fixed.$field),
                        $hint,
                    );
                }
            };
        }
        const DAMAGED: &str = "the header is damaged: unlink the segment and create it anew";
        same!(magic, MAGIC, "this file is not a slipring segment");
        same!(
            major,
            VERSION.0,
            "it was made by another slipring: use the same major version on both sides"
        );
        same!(header_len, HEADER_LEN as u32, DAMAGED);
        if fixed.features & !FEATURES != 0 {
            let found = format!("{:#x}", fixed.features);
            let hint = "it uses features that this version does not know: upgrade this side";
            return wrong("features", 76, format!("at most {FEATURES:#x}"), found, hint);
        }
        same!(checksum, fixed.sum(), DAMAGED);
        let Some(mode) = Mode::ALL.get(fixed.mode as usize).copied() else {
            let expected = "0 (SPSC) to 3 (MPMC)".into();
            return wrong("mode", 72, expected, fixed.mode.to_string(), "upgrade this side");
        };
        let Ok(max_deliveries) = u8::try_from(fixed.max_deliveries) else {
            let found = fixed.max_deliveries.to_string();
            return wrong("max_deliveries", 184, "at most 255".into(), found, DAMAGED);
        };
        if !(1..=100).contains(&fixed.share) {
            let expected = "1 to 100 percent".into();
            return wrong("share", 188, expected, fixed.share.to_string(), DAMAGED);
        }
        let rules = Rules {
            mode,
            keep: fixed.features & FEATURE_KEEP != 0,
            drop_oldest: fixed.features & FEATURE_DROP != 0,
            max_deliveries,
            share: fixed.share as u8,
        };
        let slots = u64::from(fixed.slots);
        let (cell_len, chunk_len) = (u64::from(fixed.cell_len), u64::from(fixed.chunk_len));
        if !slots.is_power_of_two() || !(8..=MAX_SLOTS).contains(&slots) {
            return wrong("slots", 80, "a power of two".into(), slots.to_string(), DAMAGED);
        }
        if cell_len % FRAME_ALIGN != 0 || !(64..=65_536).contains(&cell_len) {
            return wrong("cell_len", 84, "a multiple of 64".into(), cell_len.to_string(), DAMAGED);
        }
        if !chunk_len.is_power_of_two() || chunk_len < MIN_CHUNK {
            return wrong("chunk_len", 96, "a power of two".into(), chunk_len.to_string(), DAMAGED);
        }
        if fixed.capacity == 0
            || !fixed.capacity.is_multiple_of(chunk_len)
            || fixed.capacity / chunk_len > MAX_CHUNKS
        {
            let found = fixed.capacity.to_string();
            return wrong("capacity", 88, "1 to 16384 whole chunks".into(), found, DAMAGED);
        }
        let it = Self::derive(rules, slots, cell_len, fixed.capacity, chunk_len, fixed.first_lap);
        same!(min_block, it.min_block as u32, DAMAGED);
        same!(participants_at, it.participants_at, DAMAGED);
        same!(cursors_at, it.cursors_at, DAMAGED);
        same!(waits_at, it.waits_at, DAMAGED);
        same!(slots_at, it.slots_at, DAMAGED);
        same!(chunk_words_at, it.chunk_words_at, DAMAGED);
        same!(block_words_at, it.block_words_at, DAMAGED);
        same!(hints_at, it.hints_at, DAMAGED);
        same!(cells_at, it.cells_at, DAMAGED);
        same!(chunks_at, it.chunks_at, DAMAGED);
        same!(total_len, it.total_len, DAMAGED);
        if file_len != it.total_len {
            return wrong(
                "file length",
                0,
                format!("{} bytes", it.total_len),
                format!("{file_len} bytes"),
                "the file was cut short or grown after it was made: unlink it and create it anew",
            );
        }
        if boot_id != [0; 16] && fixed.boot_id != [0; 16] {
            same!(
                boot_id,
                boot_id,
                "it outlived a restart of the machine: unlink it and create it anew"
            );
        }
        Ok(it)
    }
}

#[cfg(all(test, not(slipring_loom)))]
mod tests {
    use super::*;

    fn fixed() -> (Fixed, u64) {
        let mode = Mode::Spsc;
        let rules = Rules { mode, keep: false, drop_oldest: false, max_deliveries: 5, share: 100 };
        let geometry = Geometry::new(rules, 64, 192, 1 << 20, 0).unwrap();
        let mut fixed = Fixed::zeroed();
        geometry.fill(&mut fixed);
        fixed.checksum = fixed.sum();
        (fixed, geometry.total_len)
    }

    /// P9: one flipped bit in any byte of the fixed part is refused with the field's name.
    #[test]
    fn every_flipped_bit_is_refused() {
        let (good, len) = fixed();
        assert!(Geometry::check(&good, len, [0; 16]).is_ok());
        for bit in 0..size_of::<Fixed>() * 8 {
            let mut bytes: [u8; 256] = bytemuck::cast(good);
            bytes[bit / 8] ^= 1 << (bit % 8);
            let error = Geometry::check(&bytemuck::cast(bytes), len, [0; 16]).unwrap_err();
            assert!(!error.field.is_empty() && !error.hint.is_empty(), "bit {bit}");
        }
    }

    /// P9: nor does a right checksum help a wrong geometry.
    #[test]
    fn hostile_geometry_with_a_right_checksum_is_refused() {
        let (good, len) = fixed();
        for (_, offset) in Fixed::FIELDS.iter().filter(|(_, at)| (72..192).contains(at)) {
            for value in [0u64, 1, 3, 0x7fff_ffff, u64::MAX] {
                let mut bytes: [u8; 256] = bytemuck::cast(good);
                bytes[*offset..*offset + 4].copy_from_slice(&(value as u32).to_le_bytes());
                let mut hostile: Fixed = bytemuck::cast(bytes);
                hostile.checksum = hostile.sum();
                let rule =
                    *offset == 184 && value < 256 || *offset == 188 && (1..=100).contains(&value);
                let features = *offset == 76 && hostile.features & !FEATURES == 0;
                let mode = *offset == 72 && hostile.mode < 4;
                let known = *offset == 104 || rule || features || mode;
                if hostile != good && !known {
                    assert!(Geometry::check(&hostile, len, [0; 16]).is_err(), "offset {offset}");
                }
            }
        }
    }

    /// P9: files that were cut or grown, and those of another boot.
    #[test]
    fn a_wrong_length_or_boot_is_refused() {
        let (mut good, len) = fixed();
        assert_eq!(Geometry::check(&good, len - 1, [0; 16]).unwrap_err().field, "file length");
        assert_eq!(Geometry::check(&good, len + 1, [0; 16]).unwrap_err().field, "file length");
        good.boot_id = [1; 16];
        good.checksum = good.sum();
        assert_eq!(Geometry::check(&good, len, [2; 16]).unwrap_err().field, "boot_id");
    }

    /// The document's tables and the code's offsets are one.
    #[test]
    fn the_document_says_the_same() {
        let text = include_str!("../../../docs/segment-format.md");
        for (title, fields) in
            [("## The fixed part", Fixed::FIELDS), ("## The frame header", Header::FIELDS)]
        {
            let (_, rest) = text.split_once(title).expect(title);
            let table: Vec<(String, usize)> = rest
                .lines()
                .take_while(|line| !line.starts_with("## "))
                .filter_map(|line| {
                    let mut cells = line.strip_prefix("| ")?.split(" | ");
                    let offset = cells.next()?.trim().parse().ok()?;
                    let _type = cells.next()?;
                    Some((cells.next()?.trim().trim_matches('`').to_owned(), offset))
                })
                .collect();
            let code: Vec<_> = fields.iter().map(|(name, at)| (name.to_string(), *at)).collect();
            assert_eq!(table, code, "{title}");
        }
    }
}
