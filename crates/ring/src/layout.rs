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
pub const VERSION: (u16, u16) = (1, 1);

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
/// Feature bit: there is a schema table. Who does not know it would derive other offsets, and would not
/// recover a dead process's records.
pub(crate) const FEATURE_SCHEMAS: u32 = 4;
const FEATURES: u32 = FEATURE_KEEP | FEATURE_DROP | FEATURE_SCHEMAS;
/// Size classes of the pool's slabs, at most.
pub(crate) const CLASSES: usize = 40;
const PAGE: u64 = 4096;
/// Chunks start on a multiple of this, so that huge pages can hold them.
const HUGE: u64 = 2 << 20;

/// Linux gives no larger process id.
const PIDS: u32 = 1 << 22;
const MAX_SLOTS: u64 = 1 << 20;
const BLOCKS_PER_CHUNK: u64 = 512;
const MIN_CHUNK: u64 = 256 << 10;
const MAX_CHUNKS: u64 = 1 << 14;

/// Schemas that a table has room for, at most.
const MAX_SCHEMAS: u64 = 4096;
/// The pool of records: so many bytes for each schema that the table has room for, and no less than this.
const RECORD_ROOM: u64 = 4096;
const MIN_RECORDS: u64 = 128 << 10;
/// Its chunks are small: each size of blocks takes some for itself.
pub(crate) const RECORD_CHUNK: u64 = 16 << 10;
const RECORDS_PER_CHUNK: u64 = 32;
/// Its measures.
pub(crate) static RECORDS: Measures = Measures::new(RECORD_CHUNK, RECORDS_PER_CHUNK);
/// Longest name of a schema in bytes.
pub(crate) const MAX_NAME: usize = 1024;

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

    /// The mode of a short name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.name() == name)
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

    /// What [`words`](Self::words) makes of it.
    #[inline(always)]
    pub(crate) fn of(words: [u64; FRAME_HEADER / 8]) -> Self {
        bytemuck::cast(words.map(u64::to_le))
    }

    /// As it lies in memory, in words: in registers where the caller has just made it.
    ///
    /// A header that was stored field by field, or zeroed in pieces that are not its words, makes the
    /// processor wait, when it is copied, until those stores have left for the cache, and all before them.
    #[inline(always)]
    pub(crate) fn words(&self) -> [u64; FRAME_HEADER / 8] {
        [
            u64::from(self.format)
                | u64::from(self.format_version) << 8
                | u64::from(self.flags) << 16
                | u64::from(self.type_code) << 32
                | u64::from(self.schema_version) << 48,
            u64::from(self.schema_id) | u64::from(self.checksum) << 32,
            self.body_len,
            self.uncompressed_len,
            self.sequence,
            self.created_ns,
            self.correlation_id,
            u64::from(self.participant)
                | u64::from(self.reserved) << 16
                | u64::from(self.producer) << 32,
        ]
    }
}

/// The header of a schema's record. Its name follows at once, and its body at the next multiple of 64.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub(crate) struct Record {
    pub body_len: u64,
    pub name_len: u32,
    pub kind: u16,
    pub version: u16,
    pub created_ns: u64,
    pub reserved: [u8; 8],
}
/// Length of [`Record`] in bytes.
pub(crate) const RECORD_HEADER: usize = size_of::<Record>();

impl Record {
    /// Where the body of a record begins whose name is so long. `None`: no name is.
    pub(crate) fn body_at(name_len: u64) -> Option<u64> {
        let names = 1..=MAX_NAME as u64;
        names
            .contains(&name_len)
            .then(|| (RECORD_HEADER as u64 + name_len).next_multiple_of(FRAME_ALIGN))
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
    pub schemas: u32,
    pub record_chunk: u32,
    pub schemas_at: u64,
    pub records_at: u64,
    pub reserved: [u8; 32],
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

    /// Whether nothing has changed since the checksum was made.
    fn sound(&self) -> bool {
        self.checksum == self.sum()
    }
}

/// Asserts the offsets of a type's fields, and keeps them with the fields' sizes for the test that
/// compares them with the document.
macro_rules! at {
    ($type:ty { $($field:ident = $offset:expr),+ $(,)? }) => {
        const _: () = { $(assert!(core::mem::offset_of!($type, $field) == $offset);)+ };
        #[cfg(all(test, not(slipring_loom)))]
        impl $type {
            /// Name, offset, size.
            pub(crate) const FIELDS: &'static [(&'static str, usize, usize)] = {
                const fn size<T, F>(_: fn(&T) -> &F) -> usize {
                    size_of::<F>()
                }
                &[$((stringify!($field), $offset, size(|it: &Self| &it.$field))),+]
            };
        }
    };
}
#[cfg(not(slipring_loom))]
pub(crate) use at;
at!(Fixed {
    magic = 0, major = 8, minor = 10, header_len = 12, total_len = 16, id = 24, boot_id = 40,
    created_ns = 56, creator_pid = 64, creator_uid = 68, mode = 72, features = 76, slots = 80,
    cell_len = 84, capacity = 88, chunk_len = 96, min_block = 100, first_lap = 104,
    participants_at = 112, cursors_at = 120, waits_at = 128, slots_at = 136, chunk_words_at = 144,
    block_words_at = 152, hints_at = 160, cells_at = 168, chunks_at = 176, max_deliveries = 184,
    share = 188, schemas = 192, record_chunk = 196, schemas_at = 200, records_at = 208,
    reserved = 216, checksum = 248,
});
at!(Header {
    format = 0, format_version = 1, flags = 2, type_code = 4, schema_version = 6, schema_id = 8,
    checksum = 12, body_len = 16, uncompressed_len = 24, sequence = 32, created_ns = 40,
    correlation_id = 48, participant = 56, reserved = 58, producer = 60,
});
at!(Record {
    body_len = 0, name_len = 8, kind = 12, version = 14, created_ns = 16, reserved = 24,
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
    /// Schemas that the table has room for; 0: there is no table.
    pub schemas: u32,
}

impl Rules {
    /// The features' word.
    fn features(self) -> u32 {
        let bit = |set: bool, bit| if set { bit } else { 0 };
        bit(self.keep, FEATURE_KEEP)
            | bit(self.drop_oldest, FEATURE_DROP)
            | bit(self.schemas > 0, FEATURE_SCHEMAS)
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
    /// The schema table; 0 where there is none, as below.
    pub schemas_at: u64,
    pub cells_at: u64,
    /// The memory of the schemas' records.
    pub records_at: u64,
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
        if u64::from(rules.schemas) > MAX_SCHEMAS {
            return Err(invalid("schemas", rules.schemas.into(), "at most 4096"));
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
        let records = records(rules.schemas);
        let schemas_at = match rules.schemas {
            0 => 0,
            _ => part(TableParts::new(rules.schemas).len, LINES),
        };
        let cells_at = part(slots * cell_len, PAGE);
        let records_at = if records > 0 { part(records, PAGE) } else { 0 };
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
            schemas_at,
            cells_at,
            records_at,
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

    /// The memory for schemas' records in bytes, whole chunks.
    pub(crate) fn records(&self) -> u64 {
        records(self.rules.schemas)
    }

    /// Where the words of the schema table lie within it.
    pub(crate) fn table(&self) -> TableParts {
        TableParts::new(self.rules.schemas)
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
        fixed.schemas = self.rules.schemas;
        fixed.record_chunk = if self.rules.schemas > 0 { RECORD_CHUNK as u32 } else { 0 };
        fixed.schemas_at = self.schemas_at;
        fixed.records_at = self.records_at;
        fixed.cells_at = self.cells_at;
        fixed.chunks_at = self.chunks_at;
    }

    /// Reads bytes that anybody may have written: every field is checked, and every derived offset
    /// is derived again and compared. The error names the field that is wrong; the checksum is left
    /// for what can't be told by itself.
    pub(crate) fn check(
        fixed: &Fixed,
        file_len: u64,
        boot_id: [u8; 16],
        user: u32,
    ) -> Result<Self, Mismatch> {
        const DAMAGED: &str = "the header is damaged: unlink the segment and create it anew";
        let sound = fixed.sound();
        macro_rules! wrong {
            ($field:ident, $expected:expr, $found:expr, $hint:expr) => {
                return Err(Mismatch {
                    field: stringify!($field),
                    offset: core::mem::offset_of!(Fixed, $field) as u64,
                    expected: $expected.to_string(),
                    found: $found.to_string(),
                    hint: $hint,
                })
            };
        }
        // Whether a field's right value would mend the checksum: then this field alone changed.
        macro_rules! mended {
            ($field:ident, $right:expr) => {
                !sound && Fixed { $field: $right, ..*fixed }.sound()
            };
        }
        macro_rules! must {
            ($field:ident, $holds:expr, $expected:expr) => {
                if !$holds {
                    wrong!($field, $expected, fixed.$field, DAMAGED);
                }
            };
        }
        if fixed.magic != MAGIC {
            let hint = "it is not a slipring segment: give the path of a ring";
            wrong!(magic, MAGIC.escape_ascii(), fixed.magic.escape_ascii(), hint);
        }
        if fixed.major != VERSION.0 {
            let hint = if mended!(major, VERSION.0) {
                DAMAGED
            } else if fixed.major > VERSION.0 {
                "a newer slipring made it: upgrade this side"
            } else {
                "an older slipring made it: use that one, or unlink the segment and create it anew"
            };
            wrong!(major, VERSION.0, fixed.major, hint);
        }
        must!(header_len, u64::from(fixed.header_len) == HEADER_LEN, HEADER_LEN);
        let damaged = (0..=FEATURES).any(|known| mended!(features, known));
        if damaged || fixed.features & !FEATURES != 0 {
            let newer = "it uses features that this version does not know: upgrade this side";
            let (hint, found) = (if damaged { DAMAGED } else { newer }, fixed.features);
            let expected = format_args!("at most {FEATURES:#x}");
            wrong!(features, expected, format_args!("{found:#x}"), hint);
        }
        let known = |mode: u32| Mode::ALL.get(mode as usize).copied();
        let damaged = (0..Mode::ALL.len() as u32).any(|known| mended!(mode, known));
        let Some(mode) = known(fixed.mode).filter(|_| !damaged) else {
            let hint = if damaged { DAMAGED } else { "upgrade this side" };
            wrong!(mode, "0 (SPSC) to 3 (MPMC)", fixed.mode, hint);
        };
        must!(max_deliveries, fixed.max_deliveries <= 255, "at most 255");
        must!(share, (1..=100).contains(&fixed.share), "1 to 100 percent");
        let table = fixed.features & FEATURE_SCHEMAS != 0;
        let (least, most) = if table { (1, MAX_SCHEMAS as u32) } else { (0, 0) };
        let expected = if table { "1 to 4096, by its features" } else { "0, by its features" };
        must!(schemas, (least..=most).contains(&fixed.schemas), expected);
        let chunk = if table { RECORD_CHUNK as u32 } else { 0 };
        must!(record_chunk, fixed.record_chunk == chunk, chunk);
        let rules = Rules {
            mode,
            keep: fixed.features & FEATURE_KEEP != 0,
            drop_oldest: fixed.features & FEATURE_DROP != 0,
            max_deliveries: fixed.max_deliveries as u8,
            share: fixed.share as u8,
            schemas: fixed.schemas,
        };
        let slots = u64::from(fixed.slots);
        let (cell_len, chunk_len) = (u64::from(fixed.cell_len), u64::from(fixed.chunk_len));
        let few = (8..=MAX_SLOTS).contains(&slots);
        must!(slots, few && slots.is_power_of_two(), "a power of two from 8 to 1048576");
        let cell = (64..=65_536).contains(&cell_len) && cell_len % FRAME_ALIGN == 0;
        must!(cell_len, cell, "a multiple of 64 up to 65536");
        let chunk = chunk_len >= MIN_CHUNK && chunk_len.is_power_of_two();
        must!(chunk_len, chunk, "a power of two from 262144 on");
        let whole = fixed.capacity.is_multiple_of(chunk_len);
        let chunks = whole && (1..=MAX_CHUNKS).contains(&(fixed.capacity / chunk_len));
        must!(capacity, chunks, "1 to 16384 whole chunks");
        must!(creator_pid, (1..=PIDS).contains(&fixed.creator_pid), "a process id");
        must!(first_lap, fixed.first_lap < 1 << 63, "less than 2^63");
        // A newer minor version may have found a use for it.
        if fixed.minor <= VERSION.1 && fixed.reserved != [0; 32] {
            wrong!(reserved, "zeros", "other bytes", DAMAGED);
        }
        let it = Self::derive(rules, slots, cell_len, fixed.capacity, chunk_len, fixed.first_lap);
        macro_rules! derived {
            ($($field:ident),+) => {
                $(if u64::from(fixed.$field) != it.$field
                    && (sound || mended!($field, it.$field as _)) {
                    wrong!($field, it.$field, fixed.$field, DAMAGED);
                })+
            };
        }
        derived!(
            min_block,
            participants_at,
            cursors_at,
            waits_at,
            slots_at,
            chunk_words_at,
            block_words_at,
            hints_at,
            schemas_at,
            cells_at,
            records_at,
            chunks_at,
            total_len
        );
        if mended!(minor, VERSION.1) {
            wrong!(minor, VERSION.1, fixed.minor, DAMAGED);
        }
        if mended!(creator_uid, user) {
            wrong!(creator_uid, user, fixed.creator_uid, DAMAGED);
        }
        let comparable = boot_id != [0; 16] && fixed.boot_id != [0; 16];
        let damaged = mended!(boot_id, boot_id);
        if damaged || sound && comparable && fixed.boot_id != boot_id {
            let restart = "it outlived a restart of the machine: unlink it and create it anew";
            let hint = if damaged { DAMAGED } else { restart };
            wrong!(boot_id, Hex(boot_id), Hex(fixed.boot_id), hint);
        }
        if !sound {
            let (sum, found) = (format_args!("{:#x}", fixed.sum()), fixed.checksum);
            let hint = "a field of the header changed: unlink the segment and create it anew";
            wrong!(checksum, sum, format_args!("{found:#x}"), hint);
        }
        if file_len != it.total_len {
            return Err(Mismatch {
                field: "file length",
                offset: 0,
                expected: format!("{} bytes", it.total_len),
                found: format!("{file_len} bytes"),
                hint: "the file was cut short or grown after it was made: unlink it and create it anew",
            });
        }
        Ok(it)
    }

    /// Where each part begins, in bytes, by its name in the document.
    pub(crate) fn parts(&self) -> Vec<(&'static str, u64)> {
        let mut parts = vec![
            ("participants", self.participants_at),
            ("cursors", self.cursors_at),
            ("waits", self.waits_at),
            ("slots", self.slots_at),
            ("chunk words", self.chunk_words_at),
            ("block words", self.block_words_at),
            ("hints", self.hints_at),
            ("schemas", self.schemas_at),
            ("cells", self.cells_at),
            ("records", self.records_at),
            ("chunks", self.chunks_at),
        ];
        parts.retain(|(_, at)| *at > 0);
        parts
    }
}

/// Bytes of the records' pool for so many schemas, whole chunks.
fn records(schemas: u32) -> u64 {
    match schemas {
        0 => 0,
        _ => (u64::from(schemas) * RECORD_ROOM).next_multiple_of(RECORD_CHUNK).max(MIN_RECORDS),
    }
}

/// Where the words of a schema table lie, in bytes from its beginning.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TableParts {
    pub chunk_words: u64,
    pub block_words: u64,
    pub len: u64,
    pub chunks: u64,
    pub blocks: u64,
}

impl TableParts {
    fn new(schemas: u32) -> Self {
        let chunks = records(schemas) / RECORD_CHUNK;
        let blocks = chunks * RECORDS_PER_CHUNK;
        let chunk_words = (u64::from(schemas) * 8).next_multiple_of(LINES);
        let block_words = (chunk_words + chunks * 8).next_multiple_of(LINES);
        let hints = (block_words + blocks * 8).next_multiple_of(LINES);
        let len = hints + CLASSES as u64 * LINES;
        Self { chunk_words, block_words, len, chunks, blocks }
    }
}

/// An id, for people.
pub(crate) struct Hex(pub [u8; 16]);

impl std::fmt::Display for Hex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

#[cfg(all(test, not(slipring_loom)))]
mod document;

#[cfg(all(test, not(slipring_loom)))]
mod tests {
    use super::*;

    const BOOT: [u8; 16] = [7; 16];

    fn fixed() -> (Fixed, u64) {
        fixed_with(16)
    }

    fn fixed_with(schemas: u32) -> (Fixed, u64) {
        let (mode, keep, drop_oldest) = (Mode::Spsc, false, false);
        let rules = Rules { mode, keep, drop_oldest, max_deliveries: 5, share: 100, schemas };
        let geometry = Geometry::new(rules, 64, 192, 1 << 20, 0).unwrap();
        let mut fixed = Fixed::zeroed();
        geometry.fill(&mut fixed);
        (fixed.id, fixed.boot_id, fixed.created_ns, fixed.creator_pid) = ([9; 16], BOOT, 1, 1);
        fixed.checksum = fixed.sum();
        (fixed, geometry.total_len)
    }

    fn check(fixed: Fixed, len: u64) -> Result<Geometry, Mismatch> {
        Geometry::check(&fixed, len, BOOT, 0)
    }

    /// P9: each field that changes is refused; by its name where it can be told that it was this one.
    #[test]
    fn every_flipped_field_is_refused_by_its_name() {
        let (good, len) = fixed();
        check(good, len).unwrap();
        for &(field, at, size) in Fixed::FIELDS {
            let mut bytes: [u8; 256] = bytemuck::cast(good);
            bytes[at..at + size].iter_mut().for_each(|byte| *byte ^= 0xff);
            let error = check(bytemuck::cast(bytes), len).unwrap_err();
            // Any id, time and number of a process may be meant.
            let untold = ["id", "created_ns"].contains(&field);
            assert_eq!(error.field, if untold { "checksum" } else { field });
            assert_eq!(error.offset, if untold { 248 } else { at as u64 });
            let hint = error.hint;
            assert!(hint.contains("create it anew") || field == "magic", "{field}: {hint}");
        }
    }

    /// P9: one flipped bit anywhere is refused, and never on another field's account.
    #[test]
    fn every_flipped_bit_is_refused() {
        let (good, len) = fixed();
        for &(field, at, size) in Fixed::FIELDS {
            for bit in at * 8..(at + size) * 8 {
                let mut bytes: [u8; 256] = bytemuck::cast(good);
                bytes[bit / 8] ^= 1 << (bit % 8);
                let error = check(bytemuck::cast(bytes), len).unwrap_err();
                assert!([field, "checksum"].contains(&error.field), "bit {bit}: {}", error.field);
            }
        }
    }

    /// P9: nor does a right checksum help a wrong geometry.
    #[test]
    fn hostile_geometry_with_a_right_checksum_is_refused() {
        let (good, len) = fixed();
        let hostile = |at: usize, bytes: &[u8]| {
            let mut all: [u8; 256] = bytemuck::cast(good);
            all[at..at + bytes.len()].copy_from_slice(bytes);
            let mut hostile: Fixed = bytemuck::cast(all);
            hostile.checksum = hostile.sum();
            hostile
        };
        for &(field, at, _) in Fixed::FIELDS.iter().filter(|field| (72..216).contains(&field.1)) {
            for value in [0u32, 1, 3, 0x7fff_ffff, u32::MAX] {
                let hostile = hostile(at, &value.to_le_bytes());
                // Any first lap will do, and the known features and modes.
                let right = match field {
                    "first_lap" => true,
                    "features" => value & !3 == FEATURE_SCHEMAS,
                    "mode" => value <= 3,
                    "max_deliveries" => value <= 255,
                    "share" => (1..=100).contains(&value),
                    // So many share a line pair.
                    "schemas" => (1..=16).contains(&value),
                    _ => false,
                };
                assert_eq!(
                    check(hostile, len).is_ok(),
                    hostile == good || right,
                    "{field} {value}"
                );
            }
        }
    }

    /// P9: another minor version may be attached, whatever it keeps in the reserve; another major
    /// one is refused, with the side that is to be upgraded.
    #[test]
    fn other_versions() {
        let (good, len) = fixed();
        let of = |major, minor| {
            let mut fixed = Fixed { major, minor, ..good };
            if minor > VERSION.1 {
                fixed.reserved[0] = 1;
            }
            fixed.checksum = fixed.sum();
            check(fixed, len)
        };
        for minor in [0, VERSION.1, VERSION.1 + 1, u16::MAX] {
            of(VERSION.0, minor).unwrap();
        }
        for (major, hint) in [(VERSION.0 - 1, "an older slipring"), (VERSION.0 + 1, "a newer")] {
            let error = of(major, 0).unwrap_err();
            assert_eq!((error.field, error.found), ("major", major.to_string()));
            assert!(error.hint.starts_with(hint), "{}", error.hint);
        }
    }

    /// P9: files that were cut or grown, and those of another boot.
    #[test]
    fn a_wrong_length_or_boot_is_refused() {
        let (good, len) = fixed();
        assert_eq!(check(good, len - 1).unwrap_err().field, "file length");
        assert_eq!(check(good, len + 1).unwrap_err().field, "file length");
        let error = Geometry::check(&good, len, [2; 16], 0).unwrap_err();
        assert_eq!(error.field, "boot_id");
        assert!(error.hint.contains("restart"), "{}", error.hint);
        Geometry::check(&good, len, [0; 16], 0).unwrap();
    }
}
