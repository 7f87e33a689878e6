//! A segment: a file in memory, mapped, with a checked header, that lends its parts as typed
//! references.
//!
//! It is built without a name and linked under it when complete. Whoever attaches reads the header
//! into a copy of its own, checks that, and never reads the measures from shared memory again.

mod inspect;
mod os;

pub use inspect::{Inspection, Pending, Process};
pub use os::list;

use crate::block::{Block, Phase, Word};
use crate::clock::realtime;
use crate::error::{Error, Mismatch};
use crate::layout::{CLASSES, CONTROL_AT, Fixed, Geometry, LINES, Mode, PARTICIPANTS, Rules, at};
use crate::mpmc::Taker;
use crate::participants::{Entry, Me, Participant, Participants, boot_id, forks};
use crate::pool::{Measures, Pool};
use crate::recovery::{self, Ends};
use crate::returned;
use crate::slots::{Cursors, SLOT, Slots};
use crate::sync::{AtomicU32, AtomicU64, Ordering};
use crate::wait::{EventCount, TICK};
use bytemuck::Zeroable;
use memmap2::{MmapOptions, MmapRaw};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Where a segment is: a name in shared memory, or the path of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Address {
    /// Letters, digits, `.`, `_`, `-`; 1 to 200 bytes.
    Name(String),
    /// A file on a local file system.
    Path(PathBuf),
}

impl From<&str> for Address {
    fn from(name: &str) -> Self {
        Self::Name(name.to_owned())
    }
}
impl From<&Path> for Address {
    fn from(path: &Path) -> Self {
        Self::Path(path.to_owned())
    }
}
impl From<PathBuf> for Address {
    fn from(path: PathBuf) -> Self {
        Self::Path(path)
    }
}

impl Address {
    fn path(&self) -> Result<PathBuf, Error> {
        match self {
            Self::Name(name) => os::named(name),
            Self::Path(path) if path.file_name().is_none() => Err(Error::InvalidOption {
                option: "path",
                value: format!("{:?}", path.display().to_string()),
                expected: "the path of a file",
            }),
            Self::Path(path) => Ok(path.clone()),
        }
    }
}

/// How a segment is made. The defaults suit most rings.
#[derive(Clone, Debug)]
#[must_use]
pub struct Options {
    mode: Mode,
    slots: u64,
    cell: u64,
    capacity: u64,
    populate: bool,
    keep: bool,
    drop_oldest: bool,
    max_deliveries: u8,
    share: Option<u8>,
    first_lap: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            mode: Mode::Spsc,
            slots: 1024,
            cell: 192,
            capacity: 64 << 20,
            populate: false,
            keep: false,
            drop_oldest: false,
            max_deliveries: 5,
            share: None,
            first_lap: 0,
        }
    }
}

impl Options {
    /// How many producers and consumers there may be. Default [`Mode::Spsc`].
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Frames that can wait in the ring: a power of two from 8 to 1,048,576. Default 1,024.
    pub fn slots(mut self, slots: u64) -> Self {
        self.slots = slots;
        self
    }

    /// Longest body in bytes that travels in a slot's own cell, without the pool. Default 192.
    pub fn cell(mut self, bytes: u64) -> Self {
        self.cell = bytes;
        self
    }

    /// The pool for larger frames in bytes, rounded up to whole chunks. Default 64 MiB. Memory is
    /// used as frames need it, not at once; a file's room on its disk is taken at once.
    pub fn capacity(mut self, bytes: u64) -> Self {
        self.capacity = bytes;
        self
    }

    /// Take all memory now, rather than chunk by chunk when first used. [`Error::TooLittleMemory`]
    /// where there is not so much.
    pub fn populate(mut self, now: bool) -> Self {
        self.populate = now;
        self
    }

    /// Keep the segment's name when the last process leaves the empty ring. Default: remove it.
    pub fn keep(mut self, keep: bool) -> Self {
        self.keep = keep;
        self
    }

    /// Let a producer that finds the ring full drop the oldest frame instead of waiting, if it says so
    /// on sending ([`Wait::drop_oldest`](crate::Wait::drop_oldest)). Not with [`Mode::Spsc`], whose
    /// producer takes nothing out. Default: no.
    pub fn drop_oldest(mut self, may: bool) -> Self {
        self.drop_oldest = may;
        self
    }

    /// How often a frame that was not acknowledged is delivered again before it is a dead letter:
    /// 0 to 255 times, default 5.
    pub fn max_deliveries(mut self, times: u8) -> Self {
        self.max_deliveries = times;
        self
    }

    /// The part of the pool, in percent, that one process may hold in frames that it writes, has sent and
    /// reads: with so much it sends no more by the pool. Taking is not limited. Default: all for a ring with one producer, half where there may be many.
    pub fn share(mut self, percent: u8) -> Self {
        self.share = Some(percent);
        self
    }

    /// The lap that the ring starts with, for tests near the wrap.
    #[doc(hidden)]
    pub fn first_lap(mut self, lap: u64) -> Self {
        self.first_lap = lap;
        self
    }

    /// Makes the segment and attaches to it.
    pub fn create(&self, address: impl Into<Address>) -> Result<Segment, Error> {
        forks::watch();
        let address = address.into();
        let path = address.path()?;
        let geometry =
            Geometry::new(self.rules()?, self.slots, self.cell, self.capacity, self.first_lap)?;
        if std::fs::symlink_metadata(&path).is_ok() {
            return Err(Error::Exists { path });
        }
        let (fd, temporary) = os::create_unnamed(&path)?;
        let made = self.build(&fd, &path, &address, &geometry).and_then(|fixed| {
            let mapping = Mapping::new(fd, path.clone(), geometry, fixed)?;
            if self.populate && !mapping.back(0, geometry.capacity) {
                return Err(Error::OutOfMemory { path: path.clone(), needed: geometry.capacity });
            }
            let mapping = mapping.join()?;
            os::link(&mapping.fd, temporary.clone(), &path)?;
            Ok(mapping)
        });
        if let (Err(_), Some(temporary)) = (&made, &temporary) {
            let _ = std::fs::remove_file(temporary);
        }
        Ok(Segment { mapping: Arc::new(made?) })
    }

    /// Makes a segment without a name, sealed against being cut short or grown, and attaches to it. Others
    /// attach by a descriptor ([`Segment::share`], [`Segment::from_fd`]).
    pub fn create_anonymous(&self) -> Result<Segment, Error> {
        forks::watch();
        let geometry =
            Geometry::new(self.rules()?, self.slots, self.cell, self.capacity, self.first_lap)?;
        let path = PathBuf::from("memfd:slipring");
        let fd = os::create_anonymous(&path)?;
        let solid = Address::Name(String::new());
        let fixed = self.build(&fd, &path, &solid, &geometry)?;
        os::seal(&fd, &path)?;
        let mapping = Mapping::new(fd, path.clone(), geometry, fixed)?;
        if self.populate && !mapping.back(0, geometry.capacity) {
            return Err(Error::OutOfMemory { path, needed: geometry.capacity });
        }
        Ok(Segment { mapping: Arc::new(mapping.join()?) })
    }

    fn rules(&self) -> Result<Rules, Error> {
        if self.drop_oldest && self.mode.alone() {
            return Err(Error::InvalidOption {
                option: "drop_oldest",
                value: "true".into(),
                expected: "a ring of another mode than SPSC",
            });
        }
        let share = self.share.unwrap_or(if self.mode.one_producer() { 100 } else { 50 });
        let (mode, keep, drop_oldest) = (self.mode, self.keep, self.drop_oldest);
        Ok(Rules { mode, keep, drop_oldest, max_deliveries: self.max_deliveries, share })
    }

    fn build(
        &self,
        fd: &OwnedFd,
        path: &Path,
        address: &Address,
        geometry: &Geometry,
    ) -> Result<Fixed, Error> {
        os::local(fd, path)?;
        if self.populate {
            os::affordable(fd, path, geometry.total_len)?;
        }
        let solid = match address {
            Address::Name(_) => geometry.cells_at + geometry.slots * geometry.cell_len,
            // A disk that fills up later would be a signal, not an error.
            Address::Path(_) => geometry.total_len,
        };
        os::allocate(fd, path, geometry.total_len, solid)?;
        let mut fixed = Fixed::zeroed();
        geometry.fill(&mut fixed);
        fixed.boot_id = boot_id();
        fixed.created_ns = realtime();
        fixed.creator_pid = std::process::id();
        fixed.creator_uid = rustix::process::geteuid().as_raw();
        rustix::rand::getrandom(&mut fixed.id, rustix::rand::GetRandomFlags::empty())
            .map_err(|e| Error::os("draw an id for", path, e))?;
        fixed.checksum = fixed.sum();
        let write = |bytes: &[u8], at| {
            rustix::io::pwrite(fd, bytes, at).map_err(|e| Error::os("write", path, e)).map(|_| ())
        };
        if self.first_lap != 0 {
            for slot in 0..geometry.slots {
                write(&self.first_lap.to_le_bytes(), geometry.slots_at + slot * SLOT)?;
            }
            let head = self.first_lap.wrapping_mul(geometry.slots);
            write(&head.to_le_bytes(), geometry.cursors_at)?;
            write(&head.to_le_bytes(), geometry.cursors_at + LINES)?;
        }
        write(bytemuck::bytes_of(&fixed), 0)?;
        Ok(fixed)
    }
}

/// A process's hold on a segment. Clones share it.
#[derive(Clone, Debug)]
pub struct Segment {
    pub(crate) mapping: Arc<Mapping>,
}

impl Segment {
    /// The defaults, to be changed before [`Options::create`].
    pub fn options() -> Options {
        Options::default()
    }

    /// Attaches to a segment that is there.
    pub fn open(address: impl Into<Address>) -> Result<Self, Error> {
        forks::watch();
        let path = address.into().path()?;
        loop {
            let (fd, stat) = os::open(&path, true)?;
            let (geometry, fixed) = read_header(&fd, &path, stat.st_size as u64)?;
            let mapping = Mapping::new(fd, path.clone(), geometry, fixed)?.join()?;
            // It may have been unlinked, and another made, while we joined.
            if os::is_named(&path, &mapping.fd) {
                return Ok(Self { mapping: Arc::new(mapping) });
            }
        }
    }

    /// Attaches as soon as the segment is there, within `patience`.
    pub fn open_within(address: impl Into<Address>, patience: Duration) -> Result<Self, Error> {
        let address = address.into();
        let start = Instant::now();
        loop {
            match Self::open(address.clone()) {
                Err(Error::NotFound { .. }) if start.elapsed() < patience => {
                    std::thread::sleep(Duration::from_millis(5).min(patience));
                }
                other => return other,
            }
        }
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.mapping.path
    }

    /// The longest body that a frame can have, in bytes.
    pub fn max_body(&self) -> u64 {
        self.mapping.geometry.max_body()
    }

    /// The addresses in this process at which the segment is mapped.
    pub fn mapped(&self) -> std::ops::Range<usize> {
        let start = self.mapping.map.as_ptr() as usize;
        start..start + self.mapping.map.len()
    }

    /// Closes the ring for sending: producers get [`Error::Closed`] from now on, consumers once
    /// they have taken what is there, and what is being sent just now. In a forked child it does
    /// nothing.
    pub fn close(&self) {
        if self.mapping.own().is_err() {
            return;
        }
        // Release: pairs with the Acquire in `Mapping::closed`.
        self.mapping.control().closed.store(1, Ordering::Release);
        self.mapping.data().wake();
        self.mapping.space().wake();
    }

    /// Keeps what is in use of the segment in memory from now on, as far as this process goes, so that
    /// no access waits for the disk or for swap. [`Error::Os`] where the limit on locked memory forbids
    /// it (`ulimit -l`).
    pub fn lock_memory(&self) -> Result<(), Error> {
        let map = &self.mapping.map;
        os::lock(map.as_mut_ptr(), map.len()).map_err(|e| Error::os("lock", self.path(), e))
    }

    /// Asks the system to map the segment by huge pages in this process, where it can: shared memory
    /// needs `advise` or more in `/sys/kernel/mm/transparent_hugepage/shmem_enabled`. Chunks begin on a
    /// multiple of 2 MiB where the pool is that large.
    pub fn use_huge_pages(&self) -> Result<(), Error> {
        let map = &self.mapping.map;
        os::huge(map.as_mut_ptr(), map.len())
            .map_err(|e| Error::os("use huge pages for", self.path(), e))
    }

    /// A descriptor of the segment for a child process, which attaches by [`Segment::from_fd`]. It is
    /// inherited, and a hold of its own, so that the death of either process is seen.
    pub fn share(&self) -> Result<OwnedFd, Error> {
        self.mapping.own()?;
        os::reopen(&self.mapping.fd, false).map_err(|e| Error::os("open anew", self.path(), e))
    }

    /// Attaches to a segment by a descriptor that another process has given.
    pub fn from_fd(fd: OwnedFd) -> Result<Self, Error> {
        forks::watch();
        let path = PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()));
        let (fd, stat) = os::adopt(fd, &path)?;
        let (geometry, fixed) = read_header(&fd, &path, stat.st_size as u64)?;
        let mapping = Mapping::new(fd, path, geometry, fixed)?.join()?;
        Ok(Self { mapping: Arc::new(mapping) })
    }

    /// How many producers and consumers there may be.
    pub fn mode(&self) -> Mode {
        self.mapping.geometry.rules.mode
    }

    /// Frames that producers have dropped to make room, since the segment was made.
    pub fn dropped(&self) -> u64 {
        // Relaxed: a counter.
        self.mapping.control().dropped.load(Ordering::Relaxed)
    }

    /// Whether it has been closed.
    pub fn is_closed(&self) -> bool {
        self.mapping.closed()
    }

    /// What is in it now.
    pub fn inspect(&self) -> Inspection {
        Inspection::of(&self.mapping)
    }
}

/// Looks into a segment without joining it or changing anything.
pub fn inspect(address: impl Into<Address>) -> Result<Inspection, Error> {
    let path = address.into().path()?;
    let (fd, stat) = os::open(&path, false)?;
    let (geometry, fixed) = read_header(&fd, &path, stat.st_size as u64)?;
    let map = MmapOptions::new()
        .len(geometry.total_len as usize)
        .map_raw_read_only(&fd)
        .map_err(|e| Error::os("map", &path, e))?;
    let measures = geometry.measures();
    let me = Me::new();
    let (allowance, looked) = (AtomicU64::new(0), AtomicU64::new(0));
    let (id, entry, forks) = (0, Entry::nobody(), 0);
    let mapping = Mapping {
        map,
        fd,
        path,
        geometry,
        fixed,
        measures,
        me,
        id,
        entry,
        forks,
        allowance,
        looked,
    };
    Ok(Inspection::of(&mapping))
}

/// Removes the name of a segment. Processes that are attached keep it until they leave.
pub fn unlink(address: impl Into<Address>) -> Result<(), Error> {
    let path = address.into().path()?;
    let (fd, stat) = os::open(&path, true)?;
    // Who removes a name holds the membership lock of the file that it names, so it is still this
    // file's when it goes, and not another one's that has taken it meanwhile. The lock is as far as the
    // file is long; a damaged one has none that others would take.
    let members = Participants { entries: &[], fd: &fd, locks_at: stat.st_size as u64 };
    members.lock_patiently(libc::F_WRLCK, &path)?;
    if os::is_named(&path, &fd) {
        std::fs::remove_file(&path).map_err(|e| Error::os("unlink", &path, e))?;
    }
    Ok(())
}

/// The checked measures of a file that anybody may have written.
fn read_header(fd: &OwnedFd, path: &Path, file_len: u64) -> Result<(Geometry, Fixed), Error> {
    let mut fixed = Fixed::zeroed();
    let bytes = bytemuck::bytes_of_mut(&mut fixed);
    let mut read = 0;
    while read < bytes.len() {
        match rustix::io::pread(fd, &mut bytes[read..], read as u64) {
            Ok(0) => break,
            Ok(n) => read += n,
            Err(e) => return Err(Error::os("read", path, e)),
        }
    }
    let foreign = |mismatch| Error::Foreign { path: path.to_owned(), mismatch: Box::new(mismatch) };
    if read < size_of::<Fixed>() {
        return Err(foreign(Mismatch {
            field: "file length",
            offset: 0,
            expected: "a segment header".into(),
            found: format!("{read} bytes"),
            hint: "this file is not a slipring segment, or it was cut short",
        }));
    }
    let user = rustix::process::geteuid().as_raw();
    match Geometry::check(&fixed, file_len, boot_id(), user) {
        Ok(geometry) => Ok((geometry, fixed)),
        Err(mismatch) => Err(foreign(mismatch)),
    }
}

/// The mutable part of the header page.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Control {
    pub closed: AtomicU32,
    _own_lines: [u32; 31],
    /// Who produces and who consumes, for rings of one each: `id(8) | incarnation(24) | number(32)`.
    pub producer: AtomicU64,
    pub consumer: AtomicU64,
    /// Producer and consumer handles ever made.
    pub handles: AtomicU32,
    reserved: u32,
    /// Frames that producers have dropped to make room.
    pub dropped: AtomicU64,
}
at!(Control {
    closed = 0, producer = 128, consumer = 136, handles = 144, reserved = 148, dropped = 152,
});

/// What stands in a role's word while the participant's handle of this number has it.
pub(crate) fn role_token(id: u8, entry: Entry, number: u32) -> u64 {
    u64::from(id) << 56 | (entry.incarnation() & 0xff_ffff) << 32 | u64::from(number)
}

/// The mapped segment of one participant.
#[derive(Debug)]
pub(crate) struct Mapping {
    map: MmapRaw,
    pub fd: OwnedFd,
    pub path: PathBuf,
    pub geometry: Geometry,
    /// The header as it was checked, or written.
    fixed: Fixed,
    measures: Measures,
    me: Me,
    /// This process in the segment; 0 for one who only looks.
    pub id: u8,
    /// Its entry as it joined.
    entry: Entry,
    /// Fork count of the process that made it.
    forks: u32,
    /// Bytes of the pool that this process may still claim before it is counted what it holds.
    allowance: AtomicU64,
    /// When this process last looked at the others, in milliseconds of its own clock.
    looked: AtomicU64,
}

// SAFETY: the mapping is memory like any other; all that is shared in it is reached through atomics
// or through words that hand over ownership.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    fn new(fd: OwnedFd, path: PathBuf, geometry: Geometry, fixed: Fixed) -> Result<Self, Error> {
        let map = MmapOptions::new()
            .len(geometry.total_len as usize)
            .map_raw(&fd)
            .map_err(|e| Error::os("map", &path, e))?;
        let measures = geometry.measures();
        let (me, forks) = (Me::new(), forks::count());
        let (id, entry) = (0, Entry::nobody());
        let (allowance, looked) = (AtomicU64::new(0), AtomicU64::new(0));
        Ok(Self {
            map,
            fd,
            path,
            geometry,
            fixed,
            measures,
            me,
            id,
            entry,
            forks,
            allowance,
            looked,
        })
    }

    /// Becomes a participant, after seeing to the dead ones. Joiners share the membership lock; it
    /// keeps out the one who leaves last and takes the name away.
    fn join(mut self) -> Result<Self, Error> {
        self.look_around();
        self.participants().lock_patiently(libc::F_RDLCK, &self.path)?;
        let joined = self.participants().join(self.me, &self.path, realtime());
        self.participants().lock(0, libc::F_UNLCK, &self.path)?;
        match joined? {
            Some((id, entry)) => (self.id, self.entry) = (id, entry),
            None => return Err(Error::TooManyParticipants { path: self.path.clone() }),
        }
        Ok(self)
    }

    /// What names this process in words.
    #[inline(always)]
    pub(crate) fn tag(&self) -> u16 {
        self.entry.tag(self.id)
    }

    /// A step of a claimer on a free word: a compare-and-swap unless it claims alone.
    #[inline(always)]
    pub(crate) fn pool_step(&self, block: &Block, from: Word, to: Word) -> bool {
        self.pool().step(block, from, to)
    }

    /// Whether this process may claim so many bytes more of the pool. What it holds is counted when the
    /// last count has been used up; a little beyond the share is let through, so that counting stays rare.
    #[inline(always)]
    pub(crate) fn may_claim(&self, need: u64) -> bool {
        if self.geometry.rules.share == 100 {
            return true;
        }
        let need = self.measures.piece(need);
        self.use_allowance(need) || self.count_share(need)
    }

    fn use_allowance(&self, need: u64) -> bool {
        let allowance = &self.allowance;
        let mut left = allowance.load(Ordering::Relaxed);
        while need <= left {
            // Relaxed: a count.
            let rest = left - need;
            match allowance.compare_exchange(left, rest, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(found) => left = found,
            }
        }
        false
    }

    #[cold]
    fn count_share(&self, need: u64) -> bool {
        let share = self.geometry.share();
        let left = share.saturating_sub(self.pool().held_by(self.tag()));
        if need > left {
            return false;
        }
        self.allowance.store(left.max(share / 64) - need.min(left), Ordering::Relaxed);
        true
    }

    /// Gives memory to a range of the pool.
    pub(crate) fn back(&self, offset: u64, len: u64) -> bool {
        let at = self.geometry.chunks_at + offset;
        assert!(offset + len <= self.geometry.capacity);
        // SAFETY: the range is in the pool by the assertion, and the map covers the whole file.
        unsafe { os::back(&self.fd, at, self.map.as_mut_ptr().add(at as usize), len as usize) }
    }

    /// Takes the memory of a range of the pool back, which nobody uses.
    pub(crate) fn punch(&self, offset: u64, len: u64) -> bool {
        assert!(offset + len <= self.geometry.capacity);
        os::punch(&self.fd, self.geometry.chunks_at + offset, len)
    }

    /// The part at `offset` as `count` values of `T`.
    ///
    /// # Safety
    /// `T` is made of atomics and plain integers only, and the geometry has `count` of it there.
    unsafe fn part<T>(&self, offset: u64, count: u64) -> &[T] {
        debug_assert!(offset + count * size_of::<T>() as u64 <= self.map.len() as u64);
        let pointer = self.map.as_ptr().wrapping_add(offset as usize).cast::<T>();
        // SAFETY: in bounds and aligned, because the geometry was derived or checked; any bytes are
        // a valid `T`; shared changes go through atomics.
        unsafe { std::slice::from_raw_parts(pointer, count as usize) }
    }

    #[inline(always)]
    pub(crate) fn control(&self) -> &Control {
        // SAFETY: `Control` is atomics and integers and lies within the header page.
        unsafe { &self.part::<Control>(CONTROL_AT, 1)[0] }
    }

    #[inline(always)]
    pub(crate) fn cursors(&self) -> &Cursors {
        // SAFETY: atomics and integers; the geometry has three line pairs there.
        unsafe { &self.part::<Cursors>(self.geometry.cursors_at, 1)[0] }
    }

    /// Consumers wait here for frames.
    #[inline(always)]
    pub(crate) fn data(&self) -> &EventCount {
        // SAFETY: one atomic; the geometry has two line pairs there.
        unsafe { &self.part::<EventCount>(self.geometry.waits_at, 1)[0] }
    }

    /// Producers wait here for vacant slots and free memory.
    #[inline(always)]
    pub(crate) fn space(&self) -> &EventCount {
        // SAFETY: as in `data`, on the second pair.
        unsafe { &self.part::<EventCount>(self.geometry.waits_at + LINES, 1)[0] }
    }

    #[inline(always)]
    pub(crate) fn slots(&self) -> Slots<'_> {
        // SAFETY: atomics; the geometry has `slots` of them there.
        let all = unsafe { self.part(self.geometry.slots_at, self.geometry.slots) };
        Slots::new(all, self.cursors())
    }

    pub(crate) fn pool(&self) -> Pool<'_> {
        let geometry = &self.geometry;
        Pool {
            measures: &self.measures,
            alone: geometry.rules.mode.one_producer(),
            // SAFETY: atomics; one word per chunk.
            chunks: unsafe { self.part(geometry.chunk_words_at, geometry.chunks()) },
            // SAFETY: transparent over atomics; the geometry counts them.
            blocks: unsafe { self.part(geometry.block_words_at, geometry.block_words()) },
            hints: self.hints(),
        }
    }

    /// The control word of a cell, or of a block: cells count first.
    #[inline(always)]
    pub(crate) fn word(&self, reference: u32) -> Option<&Block> {
        match u64::from(reference).checked_sub(self.geometry.slots) {
            None => Some(self.slots().cell(reference)),
            Some(block) => self.pool().blocks.get(block as usize),
        }
    }

    /// The control words that can be in use, with their references.
    pub(crate) fn words(&self) -> impl Iterator<Item = (u64, &Block)> {
        let first = self.geometry.slots;
        self.slots()
            .cells()
            .chain(self.pool().used_words().map(move |(block, word)| (first + block, word)))
    }

    /// Hints of all classes; in the file they lie a pair of lines apart, and only every sixteenth
    /// word is used.
    fn hints(&self) -> &[AtomicU64] {
        // SAFETY: atomics; the geometry has `CLASSES` line pairs there.
        unsafe { self.part(self.geometry.hints_at, CLASSES as u64 * LINES / 8) }
    }

    pub(crate) fn participants(&self) -> Participants<'_> {
        let count = PARTICIPANTS as u64 + 1;
        Participants {
            // SAFETY: atomics; the geometry has 256 entries there.
            entries: unsafe { self.part::<Participant>(self.geometry.participants_at, count) },
            fd: &self.fd,
            locks_at: self.geometry.total_len,
        }
    }

    /// The memory of a cell, frame header first.
    #[inline(always)]
    pub(crate) fn cell(&self, index: u32) -> (*mut u8, u64) {
        let len = self.geometry.cell_len;
        let offset = self.geometry.cells_at + u64::from(index) * len;
        (self.map.as_mut_ptr().wrapping_add(offset as usize), len)
    }

    /// The memory of a piece of the pool, whose place was checked.
    #[inline(always)]
    pub(crate) fn piece(&self, offset: u64) -> *mut u8 {
        self.map.as_mut_ptr().wrapping_add((self.geometry.chunks_at + offset) as usize)
    }

    #[inline(always)]
    pub(crate) fn closed(&self) -> bool {
        // Acquire: pairs with the Release in `Segment::close`.
        self.control().closed.load(Ordering::Acquire) != 0
    }

    /// An error in a forked child, whose parent's handle this is.
    #[inline(always)]
    pub(crate) fn own(&self) -> Result<(), Error> {
        if forks::count() == self.forks {
            Ok(())
        } else {
            Err(Error::Forked { pid: std::process::id() })
        }
    }

    /// Whether a frame waits in its place.
    fn waiting(&self) -> bool {
        let slots = self.slots();
        if self.geometry.rules.mode.alone() {
            return slots.ready(slots.head());
        }
        // A corrupt one is to be told.
        !matches!(Taker::new(slots).front(slots, |reference| self.word(reference)), Ok(None))
    }

    /// Whether a frame waits, or may have been given back.
    pub(crate) fn readable(&self) -> bool {
        self.waiting() || returned::hint(self.cursors()).is_some()
    }

    /// Whether a living producer is about to place a frame, seen from a ring that is closed and empty.
    pub(crate) fn placing(&self) -> bool {
        self.look_around();
        let slots = self.slots();
        // Acquire: the frame that was announced may have been placed and taken meanwhile.
        let announced = slots.cursors.tail.load(Ordering::Acquire);
        if self.geometry.rules.mode.alone()
            && announced.wrapping_sub(slots.head()) as i64 > 0
            && self.has(End::Producer).is_some()
        {
            return true;
        }
        let participants = self.participants();
        self.words().map(|(_, word)| word.load()).any(|word| {
            let (owner, id) = (word.owner(), word.owner() as u8);
            let entry = participants.entry(id);
            word.phase() == Some(Phase::Offered) && !entry.is_free() && entry.tag(id) == owner
        })
    }

    /// Recovers a participant if it is dead.
    pub(crate) fn look_at(&self, id: u8) {
        let participants = self.participants();
        let entry = participants.entry(id);
        if id == self.id || entry.is_free() || participants.alive(id, entry, self.me) {
            return;
        }
        let rules = self.geometry.rules;
        let ends = Ends { alone: rules.mode.alone(), max_deliveries: rules.max_deliveries };
        let stands = || participants.entry(id) == entry;
        recovery::recover(entry.tag(id), ends, self.slots(), self.pool(), &stands);
        participants.free(id, entry);
        self.data().wake();
        self.space().wake();
    }

    /// Looks at the next other participant after `id`, and answers which that was.
    pub(crate) fn look_at_next(&self, id: u8) -> u8 {
        let after = (id..=u8::MAX).skip(1).chain(1..=id);
        let next = after
            .filter(|id| *id != self.id && usize::from(*id) <= PARTICIPANTS)
            .find(|id| !self.participants().entry(*id).is_free());
        next.inspect(|id| self.look_at(*id)).unwrap_or(0)
    }

    /// Looks at every other participant, if this process has not done so for a tick.
    pub(crate) fn look_around_now_and_then(&self) {
        static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        let now = START.get_or_init(Instant::now).elapsed().as_millis() as u64;
        let last = self.looked.load(Ordering::Relaxed);
        let due = now.saturating_sub(last) >= TICK.as_millis() as u64;
        // Relaxed: two threads that look at once do no harm.
        if due
            && self.looked.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            self.look_around();
        }
    }

    /// Looks at every other participant.
    fn look_around(&self) {
        for id in 1..=PARTICIPANTS as u8 {
            self.look_at(id);
        }
    }

    /// The token of a new handle at an end. Where the end is for one only it is taken from nobody or
    /// from the dead.
    pub(crate) fn enter(&self, end: End) -> Result<u64, Error> {
        let number = self.control().handles.fetch_add(1, Ordering::Relaxed);
        let mine = role_token(self.id, self.entry, number);
        if end.one(self.geometry.rules.mode) {
            self.take_role(end, mine)?;
        }
        // Relaxed: a count for those who look.
        end.count(self).fetch_add(1, Ordering::Relaxed);
        Ok(mine)
    }

    /// The living process that has the role of an end that is for one.
    fn has(&self, end: End) -> Option<Entry> {
        let held = end.role(self.control()).load(Ordering::Acquire);
        let id = (held >> 56) as u8;
        if id == 0 {
            return None;
        }
        self.look_at(id);
        let entry = self.participants().entry(id);
        (!entry.is_free() && held == role_token(id, entry, held as u32)).then_some(entry)
    }

    fn take_role(&self, end: End, mine: u64) -> Result<(), Error> {
        let role = end.role(self.control());
        loop {
            let held = role.load(Ordering::Acquire);
            if let Some(entry) = self.has(end) {
                return Err(Error::RoleTaken { role: end.name(), pid: entry.pid() });
            }
            // AcqRel: after all that the last one did in this role.
            if role.compare_exchange(held, mine, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                return Ok(());
            }
        }
    }

    /// A handle goes.
    pub(crate) fn leave(&self, end: End, token: u64) {
        if self.own().is_ok() {
            end.count(self).fetch_add(u64::MAX, Ordering::Relaxed);
            // AcqRel: all that this one did comes before the next one's first step. Among many the word
            // names nobody.
            let role = end.role(self.control());
            let _ = role.compare_exchange(token, 0, Ordering::AcqRel, Ordering::Relaxed);
        }
    }
}

/// The two ends of a ring.
#[derive(Clone, Copy)]
pub(crate) enum End {
    Producer,
    Consumer,
}

impl End {
    fn name(self) -> &'static str {
        match self {
            Self::Producer => "producer",
            Self::Consumer => "consumer",
        }
    }

    fn one(self, mode: Mode) -> bool {
        match self {
            Self::Producer => mode.one_producer(),
            Self::Consumer => mode.one_consumer(),
        }
    }

    fn role(self, control: &Control) -> &AtomicU64 {
        match self {
            Self::Producer => &control.producer,
            Self::Consumer => &control.consumer,
        }
    }

    /// How many handles of this process are at this end.
    fn count(self, mapping: &Mapping) -> &AtomicU64 {
        let mine = &mapping.participants().entries[mapping.id as usize];
        match self {
            Self::Producer => &mine.producers,
            Self::Consumer => &mine.consumers,
        }
    }
}

impl Drop for Mapping {
    /// Leaves the segment; the last one to leave an empty ring takes its name away.
    fn drop(&mut self) {
        if self.id == 0 || self.own().is_err() {
            return;
        }
        let participants = self.participants();
        // Two may leave at once; if somebody is joining this is not the last one that leaves.
        let alone = (0..50).any(|turn| {
            if turn > 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
            participants.lock(0, libc::F_WRLCK, &self.path).unwrap_or(false)
        });
        participants.free(self.id, self.entry);
        if alone {
            // What the dead had taken and not acknowledged is given back first.
            self.look_around();
            let given_back = |(_, word): (u64, &Block)| {
                matches!(word.load().phase(), Some(Phase::Orphan | Phase::Dead))
            };
            let empty = !self.waiting() && !self.words().any(given_back);
            let last = (1..=PARTICIPANTS as u8).all(|id| {
                let entry = participants.entry(id);
                entry.is_free() || !participants.alive(id, entry, self.me)
            });
            if empty && last && !self.geometry.rules.keep && os::is_named(&self.path, &self.fd) {
                let _ = std::fs::remove_file(&self.path);
            }
        }
        // A forked child may keep the description, and the locks with it, beyond this process.
        for id in [self.id, 0] {
            let _ = participants.lock(id, libc::F_UNLCK, &self.path);
        }
    }
}
