//! A segment: a file in memory, mapped, with a checked header.
//!
//! It is built without a name and linked under it when complete (`options`). Whoever attaches reads the
//! header into a copy of its own, checks that, and never reads the measures from shared memory again.
//! `mapping` then lends the parts.

mod inspect;
mod mapping;
mod options;
mod os;
mod schemas;

pub use inspect::{Inspection, Pending, Process};
#[cfg(test)]
pub(crate) use mapping::{Control, next_round, role_token};
pub(crate) use mapping::{End, Mapping};
pub use options::Options;
pub use os::list;
#[cfg(test)]
pub(crate) use schemas::want_word;
pub use schemas::{Described, Schema, SchemaId, Schemas, Want, Wanted};

use crate::error::{Error, Mismatch};
use crate::layout::{Fixed, Geometry, Mode};
use crate::participants::{Locks, boot_id, forks};
use crate::sync::Ordering;
use bytemuck::Zeroable;
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
            let mapping = Mapping::new(fd, path.clone(), geometry, fixed, true)?.join()?;
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
                Err(Error::NotFound { path, rings, .. }) => {
                    return Err(Error::NotFound { path, rings, waited: patience });
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
    /// they have taken what is there, and what is being sent just now. For that they wait 5 s: a producer
    /// that is stopped for longer between its look whether the ring is closed and the placing of its
    /// frame places it in vain. In a forked child it does nothing.
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
    /// it (`ulimit -l`), and before Linux 4.4, which can only lock all of the pool at once.
    pub fn lock_memory(&self) -> Result<(), Error> {
        let map = &self.mapping.map;
        os::lock(map.as_mut_ptr(), map.len()).map_err(|e| Error::os("lock", self.path(), e))
    }

    /// Asks the system to map the segment by huge pages in this process, where it can: shared memory
    /// needs `advise` or more in `/sys/kernel/mm/transparent_hugepage/shmem_enabled`. Chunks begin on a
    /// multiple of 2 MiB where the pool is that large. [`Error::Os`] where the kernel was built without them.
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
        let mapping = Mapping::new(fd, path, geometry, fixed, true)?.join()?;
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

    /// One of 768 words in which those who write frames keep what they have measured, for whoever comes after them; 0
    /// where nothing is, or there is no such word. Hints: any participant may have written anything.
    pub fn figure(&self, index: usize) -> u32 {
        // Relaxed, here and below: each word is whole by itself, and nothing hangs on it.
        let figures = &self.mapping.control().figures;
        figures.get(index).map_or(0, |word| word.load(Ordering::Relaxed))
    }

    /// Sets it. An index beyond them does nothing.
    pub fn set_figure(&self, index: usize, figure: u32) {
        if let Some(word) = self.mapping.control().figures.get(index) {
            word.store(figure, Ordering::Relaxed);
        }
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
    let mapping = Mapping::new(fd, path, geometry, fixed, false)?;
    Ok(Inspection::of(&mapping))
}

/// Removes the name of a segment. Processes that are attached keep it until they leave.
pub fn unlink(address: impl Into<Address>) -> Result<(), Error> {
    let path = address.into().path()?;
    let (fd, stat) = os::open(&path, true)?;
    // Who removes a name holds the membership lock of the file that it names, so it is still this
    // file's when it goes, and not another one's that has taken it meanwhile. The lock is as far as the
    // file is long; a damaged one has none that others would take.
    let members = Locks { fd: &fd, locks_at: stat.st_size as u64, path: &path };
    members.lock_patiently(libc::F_WRLCK)?;
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
