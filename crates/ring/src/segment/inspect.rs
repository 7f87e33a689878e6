//! What is in a segment, for people who look at it.

use super::{Described, Mapping};
use crate::block::{Block, Phase};
use crate::clock::realtime;
use crate::layout::{Hex, Mode, PARTICIPANTS};
use crate::mpmc::waits;
use crate::pool::State;
use crate::slots::Entry;
use crate::sync::{AtomicU64, Ordering};
use std::fmt;
use std::path::PathBuf;

/// A snapshot of a living segment: consistent in each number, not between them.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Inspection {
    /// Where it lies.
    pub path: PathBuf,
    /// Length of the file in bytes.
    pub len: u64,
    /// Version of its format, major and minor.
    pub version: (u16, u16),
    /// Drawn at random when it was made.
    pub id: [u8; 16],
    /// Of the machine's boot in which it was made; zeros where that is not known.
    pub boot_id: [u8; 16],
    /// When it was made: nanoseconds since the Unix epoch.
    pub created_ns: u64,
    /// The process that made it, in its own pid namespace.
    pub creator_pid: u32,
    /// The user that made it.
    pub creator_uid: u32,
    /// Whether its name stays when the last process leaves.
    pub keep: bool,
    /// How many producers and consumers there may be.
    pub mode: Mode,
    /// Whether producers may drop the oldest frame.
    pub drop_oldest: bool,
    /// A frame that is given back more often is a dead letter.
    pub max_deliveries: u8,
    /// The part of the pool, in percent, that one process may hold and still send by it.
    pub share: u8,
    /// Frames that producers have dropped to make room.
    pub dropped: u64,
    /// Where each part begins in the file, in bytes.
    pub parts: Vec<(&'static str, u64)>,
    /// Places in the order.
    pub slots: u64,
    /// Longest body in a cell, in bytes.
    pub cell: u64,
    /// The pool in bytes.
    pub capacity: u64,
    /// Length of a chunk of the pool in bytes.
    pub chunk: u64,
    /// Whether it is closed for sending.
    pub closed: bool,
    /// Position of the next frame to be taken.
    pub head: u64,
    /// Position of the next frame to be placed.
    pub tail: u64,
    /// Frames that wait in slots.
    pub waiting: u64,
    /// Chunks of the pool that are in no use, in slabs, and in runs.
    pub chunks: [u64; 3],
    /// Cells and blocks that are filled now, offered, and held as leases.
    pub frames: Pending,
    /// The processes that are attached.
    pub processes: Vec<Process>,
    /// The schemas that can be read.
    pub schemas: Vec<Described>,
    /// Schemas that there is room for; 0: there is no table.
    pub schema_limit: u32,
    /// Memory for all of them in bytes, what of it they and those being added take, and in how many pieces.
    pub schema_room: [u64; 3],
}

/// Cells and blocks in use, by what is done with them. Frames that pass through their slot's own
/// cell without a lease are counted as waiting only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pending {
    /// Reserved and not committed.
    pub filling: u64,
    /// Committed and not taken.
    pub offered: u64,
    /// Taken, with a view alive or not acknowledged.
    pub held: u64,
    /// Given back, to be delivered again.
    pub returned: u64,
    /// Given back too often.
    pub dead: u64,
}

/// A process attached to a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Process {
    /// Its id in the segment.
    pub id: u8,
    /// Its pid, in its own pid namespace.
    pub pid: u32,
    /// Whether it lives.
    pub alive: bool,
    /// Whether it has a producer.
    pub produces: bool,
    /// Whether it has a consumer.
    pub consumes: bool,
}

impl Inspection {
    pub(super) fn of(mapping: &Mapping) -> Self {
        let (geometry, pool) = (&mapping.geometry, mapping.pool());
        let participants = mapping.participants();
        let some = |count: &AtomicU64| count.load(Ordering::Relaxed) != 0;
        let processes = (1..=PARTICIPANTS as u8)
            .map(|id| (id, participants.entry(id)))
            .filter(|(_, entry)| !entry.is_free())
            .map(|(id, entry)| Process {
                id,
                pid: entry.pid(),
                alive: id == mapping.id || participants.alive(id, entry, mapping.me),
                produces: some(&participants.entries[id as usize].producers),
                consumes: some(&participants.entries[id as usize].consumers),
            })
            .collect();
        let head = mapping.slots().head();
        // The head may be a little behind among many: what was taken stands in the slots still.
        let waits = |entry: Entry| {
            let word = mapping.word(entry.reference).map(Block::load);
            geometry.rules.mode.alone() || word.and_then(|word| waits(entry, word)) == Some(true)
        };
        let placed = mapping.slots().entries_from(head);
        let (tail, waiting) = placed.fold((head, 0), |(tail, waiting), entry| {
            (tail.wrapping_add(1), waiting + u64::from(waits(entry)))
        });
        let mut frames = Pending::default();
        for (_, word) in mapping.words() {
            match word.load().phase() {
                Some(Phase::Filling) => frames.filling += 1,
                Some(Phase::Offered) => frames.offered += 1,
                Some(Phase::Acked | Phase::Unacked) => frames.held += 1,
                Some(Phase::Orphan) => frames.returned += 1,
                Some(Phase::Dead) => frames.dead += 1,
                Some(Phase::Free) | None => {}
            }
        }
        let mut chunks = [0; 3];
        for state in pool.states() {
            match state {
                State::Slab { .. } | State::Taken { .. } | State::Corrupt => chunks[1] += 1,
                State::Run { .. } | State::Part { .. } => chunks[2] += 1,
                State::Free => chunks[0] += 1,
            }
        }
        let mut schema_room = [geometry.records(), 0, 0];
        if let Some((_, pool)) = mapping.schemas() {
            for (block, _) in pool.used_words().filter(|(_, word)| !word.load().is_free()) {
                schema_room[1] += pool.place(block).map_or(0, |place| place.len);
                schema_room[2] += 1;
            }
        }
        let fixed = &mapping.fixed;
        Self {
            path: mapping.path.clone(),
            len: geometry.total_len,
            version: (fixed.major, fixed.minor),
            id: fixed.id,
            boot_id: fixed.boot_id,
            created_ns: fixed.created_ns,
            creator_pid: fixed.creator_pid,
            creator_uid: fixed.creator_uid,
            keep: geometry.rules.keep,
            mode: geometry.rules.mode,
            drop_oldest: geometry.rules.drop_oldest,
            max_deliveries: geometry.rules.max_deliveries,
            share: geometry.rules.share,
            dropped: mapping.control().dropped.load(Ordering::Relaxed),
            parts: geometry.parts(),
            slots: geometry.slots,
            cell: geometry.cell_len - crate::layout::FRAME_HEADER as u64,
            capacity: geometry.capacity,
            chunk: geometry.chunk_len,
            closed: mapping.closed(),
            head,
            tail,
            waiting,
            chunks,
            frames,
            processes,
            schemas: mapping.described(),
            schema_limit: geometry.rules.schemas,
            schema_room,
        }
    }
}

impl Inspection {
    /// What kept a frame out, for a message after [`Error::Full`](crate::Error::Full): the slots or
    /// the pool, who has them, and who is to make room.
    pub fn why_full(&self) -> String {
        let consumer = self.peer("consumer", |process| process.consumes);
        let Pending { filling, offered, held, returned, dead } = self.frames;
        let mut what = if self.waiting >= self.slots {
            format!("all {} slots hold frames that wait", self.slots)
        } else {
            let [free, slabs, runs] = self.chunks;
            format!(
                "the pool of {} bytes has no room for it ({free} of {} chunks free; {held} views held, \
                 {offered} frames waiting, {filling} being filled)",
                self.capacity,
                free + slabs + runs
            )
        };
        if self.share < 100 && self.waiting < self.slots {
            what += &format!(
                "; one process may hold {} % of it in what it writes, has sent and reads (share)",
                self.share
            );
        }
        if returned > 0 {
            what += &format!("; {returned} frames were given back and wait for a consumer");
        }
        if dead > 0 {
            what += &format!(
                "; {dead} dead letters keep their memory until they are taken (recv_dead)"
            );
        }
        format!("{what}; {consumer}")
    }

    /// Why no frame comes, for a message after [`Error::Timeout`](crate::Error::Timeout): who is to
    /// send one.
    pub fn why_empty(&self) -> String {
        self.peer("producer", |process| process.produces)
    }

    fn peer(&self, role: &str, has: impl Fn(&Process) -> bool) -> String {
        let who: Vec<String> = self
            .processes
            .iter()
            .filter(|process| has(process))
            .map(|process| match (process.pid == std::process::id(), process.alive) {
                (true, _) => format!("this process, {}", process.pid),
                (false, true) => format!("process {}, alive", process.pid),
                (false, false) => format!("process {}, dead", process.pid),
            })
            .collect();
        match &who[..] {
            [] => format!("it has no {role}"),
            [one] => format!("its {role} is {one}"),
            [most @ .., last] => {
                format!("its {role}s are {} and {last}", most.join("; "))
            }
        }
    }
}

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.closed { "closed" } else { "open" };
        writeln!(f, "segment   {} ({} bytes, {state})", self.path.display(), self.len)?;
        let (major, minor) = self.version;
        writeln!(f, "format    {major}.{minor}, {}", self.mode.name())?;
        let age = realtime().saturating_sub(self.created_ns) / 1_000_000_000;
        let (pid, uid) = (self.creator_pid, self.creator_uid);
        writeln!(
            f,
            "made      {age} s ago ({} ns) by process {pid} of user {uid}",
            self.created_ns
        )?;
        writeln!(f, "id        {}, boot {}", Hex(self.id), Hex(self.boot_id))?;
        let features = match (self.keep, self.drop_oldest) {
            (true, true) => "keep: the name stays when the last one leaves; drop_oldest",
            (true, false) => "keep: the name stays when the last one leaves",
            (false, true) => "drop_oldest",
            (false, false) => "none",
        };
        writeln!(f, "features  {features}")?;
        f.write_str("offsets  ")?;
        for (n, (part, at)) in self.parts.iter().enumerate() {
            write!(f, "{} {part} {at}", if n > 0 { "," } else { "" })?;
        }
        writeln!(f)?;
        writeln!(f, "slots     {} with cells of {} bytes", self.slots, self.cell)?;
        writeln!(f, "cursors   head {}, tail {}, waiting {}", self.head, self.tail, self.waiting)?;
        writeln!(f, "pool      {} bytes in chunks of {}", self.capacity, self.chunk)?;
        let [free, slabs, runs] = self.chunks;
        writeln!(f, "chunks    {free} free, {slabs} in slabs, {runs} in runs")?;
        let Pending { filling, offered, held, returned, dead } = self.frames;
        writeln!(
            f,
            "frames    {filling} filling, {offered} offered, {held} held, {returned} given back, \
             {dead} dead, {} dropped",
            self.dropped
        )?;
        for process in &self.processes {
            let alive = if process.alive { "alive" } else { "dead" };
            let role = match (process.produces, process.consumes) {
                (true, true) => ", producer and consumer",
                (true, false) => ", producer",
                (false, true) => ", consumer",
                (false, false) => "",
            };
            writeln!(f, "process   {} has pid {}, {alive}{role}", process.id, process.pid)?;
        }
        let [room, used, _] = self.schema_room;
        let count = self.schemas.len();
        writeln!(f, "schemas   {count} of {}, {used} of {room} bytes", self.schema_limit)?;
        for schema in &self.schemas {
            let Described { id, kind, name, version, size, .. } = schema;
            let wanted = match schema.wanted {
                None => String::new(),
                Some((oldest, newest)) if oldest > newest => {
                    ", its readers have no version in common".into()
                }
                Some((oldest, u16::MAX)) => format!(", read from version {oldest} on"),
                Some((oldest, newest)) => format!(", read in versions {oldest} to {newest}"),
            };
            writeln!(
                f,
                "schema    {id} is {name:?} version {version}, kind {kind}, {size} bytes{wanted}"
            )?;
        }
        Ok(())
    }
}
