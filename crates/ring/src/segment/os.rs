//! What a segment asks of the operating system: files, names, memory.

use crate::error::Error;
use rustix::fs::{self, FallocateFlags, MemfdFlags, Mode as Bits, OFlags, SealFlags};
use rustix::io::Errno;
use rustix::mm::{Advice, MlockFlags, madvise, mlock_with};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where named segments live, and what their files' names begin with.
const DIRECTORY: &str = "/dev/shm";
const PREFIX: &str = "slipring.";

/// File systems whose pages are not shared between the machines that mount them: the first 32 bits
/// that `statfs` tells of each.
const NETWORK: [u32; 9] = [
    0x6969,      // NFS
    0x517b,      // SMB
    0xff53_4d42, // CIFS
    0xfe53_4d42, // SMB2
    0x0102_1997, // 9P
    0x5346_414f, // AFS
    0x7375_7245, // Coda
    0x00c3_6400, // Ceph
    0x0bd0_0bd0, // Lustre
];

/// File systems that lie in memory: tmpfs, ramfs.
const IN_MEMORY: [i64; 2] = [0x0102_1994, 0x8584_58f6];

/// The file of a named ring.
pub(super) fn named(name: &str) -> Result<PathBuf, Error> {
    let invalid = |reason| Err(Error::InvalidName { name: name.to_owned(), reason });
    if name.is_empty() || name.len() > 200 {
        return invalid("a name has 1 to 200 bytes");
    }
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)) {
        return invalid(
            "a name has letters, digits, '.', '_' and '-' only; pass a path to use a file",
        );
    }
    if [".", ".."].contains(&name) {
        return invalid("'.' and '..' are folders everywhere else");
    }
    Ok(Path::new(DIRECTORY).join(format!("{PREFIX}{name}")))
}

/// The names of all rings of this user, in order.
pub fn list() -> Vec<String> {
    use std::os::unix::fs::MetadataExt;
    let user = rustix::process::geteuid().as_raw();
    let mut names: Vec<String> = std::fs::read_dir(DIRECTORY)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.metadata().is_ok_and(|meta| meta.is_file() && meta.uid() == user))
        .filter_map(|entry| entry.file_name().to_str()?.strip_prefix(PREFIX).map(str::to_owned))
        .collect();
    names.sort();
    names
}

/// A file that has no name yet, beside where `path` will be. Answers the temporary name too where
/// the file system needs one.
pub(super) fn create_unnamed(path: &Path) -> Result<(OwnedFd, Option<PathBuf>), Error> {
    let directory = match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => Path::new("/"),
    };
    let bits = Bits::RUSR | Bits::WUSR;
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    match fs::open(directory, flags | OFlags::TMPFILE, bits) {
        Ok(fd) => Ok((fd, None)),
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => {
            let mut name = path.file_name().unwrap_or_default().to_owned();
            name.push(format!(".{}.new", std::process::id()));
            let temporary = directory.join(name);
            let fd = fs::open(&temporary, flags | OFlags::CREATE | OFlags::EXCL, bits)
                .map_err(|e| Error::os("create", &temporary, e))?;
            Ok((fd, Some(temporary)))
        }
        Err(e) => Err(Error::os("create a file in", directory, e)),
    }
}

/// A file that has no name and never gets one.
pub(super) fn create_anonymous(path: &Path) -> Result<OwnedFd, Error> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    fs::memfd_create("slipring", flags).map_err(|e| Error::os("create", path, e))
}

/// The file keeps its length for good: nobody can make an access to it a signal.
pub(super) fn seal(fd: &OwnedFd, path: &Path) -> Result<(), Error> {
    let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    fs::fcntl_add_seals(fd, seals).map_err(|e| Error::os("seal", path, e))
}

/// The same file, by a description of its own: locks belong to descriptions.
pub(super) fn reopen(fd: &OwnedFd, close_on_exec: bool) -> Result<OwnedFd, Errno> {
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let flags = if close_on_exec { OFlags::CLOEXEC } else { OFlags::empty() };
    fs::open(path, OFlags::RDWR | flags, Bits::empty())
}

/// A descriptor that another process gave, opened anew and looked at as one that was opened by name.
pub(super) fn adopt(fd: OwnedFd, path: &Path) -> Result<(OwnedFd, fs::Stat), Error> {
    let fd = reopen(&fd, true).map_err(|e| Error::os("open anew", path, e))?;
    let stat = examine(&fd, path)?;
    Ok((fd, stat))
}

/// Gives the complete file its name.
pub(super) fn link(fd: &OwnedFd, temporary: Option<PathBuf>, path: &Path) -> Result<(), Error> {
    let linked = match &temporary {
        None => {
            let own = format!("/proc/self/fd/{}", fd.as_raw_fd());
            fs::linkat(fs::CWD, own, fs::CWD, path, fs::AtFlags::SYMLINK_FOLLOW)
        }
        Some(temporary) => fs::link(temporary, path),
    };
    if let Some(temporary) = temporary {
        let _ = fs::unlink(temporary);
    }
    match linked {
        Ok(()) => Ok(()),
        Err(Errno::EXIST) => Err(Error::Exists { path: path.to_owned() }),
        Err(e) => Err(Error::os("give a name to", path, e)),
    }
}

/// Opens an existing file of this user, never through a link.
pub(super) fn open(path: &Path, writable: bool) -> Result<(OwnedFd, fs::Stat), Error> {
    let flags = if writable { OFlags::RDWR } else { OFlags::RDONLY };
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let user = rustix::process::geteuid().as_raw();
    let fd = match fs::open(path, flags, Bits::empty()) {
        Ok(fd) => fd,
        Err(Errno::NOENT) => {
            return Err(Error::NotFound {
                path: path.to_owned(),
                rings: list(),
                waited: Duration::ZERO,
            });
        }
        // Others' rings can't be opened at all, by their mode; that they are others' can be seen.
        Err(e @ Errno::ACCESS) => {
            return Err(match fs::lstat(path) {
                Ok(stat) if stat.st_uid != user => {
                    Error::NotOwner { path: path.to_owned(), owner: stat.st_uid, user }
                }
                _ => Error::os("open", path, e),
            });
        }
        Err(e) => return Err(Error::os("open", path, e)),
    };
    let stat = examine(&fd, path)?;
    Ok((fd, stat))
}

/// Refuses files of others, what is no file, and file systems of other machines.
fn examine(fd: &OwnedFd, path: &Path) -> Result<fs::Stat, Error> {
    let user = rustix::process::geteuid().as_raw();
    let stat = fs::fstat(fd).map_err(|e| Error::os("look at", path, e))?;
    if stat.st_uid != user {
        return Err(Error::NotOwner { path: path.to_owned(), owner: stat.st_uid, user });
    }
    if fs::FileType::from_raw_mode(stat.st_mode) != fs::FileType::RegularFile {
        let error = std::io::Error::other("it is not a regular file");
        return Err(Error::os("open", path, error));
    }
    local(fd, path)?;
    Ok(stat)
}

/// Refuses file systems that other machines write to.
pub(super) fn local(fd: &OwnedFd, path: &Path) -> Result<(), Error> {
    let kind = fs::fstatfs(fd).map_err(|e| Error::os("look at", path, e))?.f_type;
    if is_network(kind as i64) {
        let what = "a network file system does not share memory: put the ring on a local one";
        return Err(Error::os("use", path, std::io::Error::other(what)));
    }
    Ok(())
}

fn is_network(kind: i64) -> bool {
    // Some kernels extend the sign.
    NETWORK.contains(&(kind as u32))
}

/// Refuses to take more memory at once than there is: the kernel would not refuse, but kill.
pub(super) fn affordable(fd: &OwnedFd, path: &Path, needed: u64) -> Result<(), Error> {
    let system = fs::fstatfs(fd).map_err(|e| Error::os("look at", path, e))?;
    let free = (system.f_bavail as u64).saturating_mul(system.f_bsize as u64);
    let available = match memory() {
        // Files elsewhere lie on a disk, and memory is but their cache.
        Some(memory) if IN_MEMORY.contains(&(system.f_type as i64)) => memory.min(free),
        _ => free,
    };
    if needed > available {
        return Err(Error::TooLittleMemory { path: path.to_owned(), needed, available });
    }
    Ok(())
}

/// Bytes of memory that can be had without swapping, where the kernel says.
fn memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Makes the file `len` bytes long and gives memory to its first `solid` bytes.
pub(super) fn allocate(fd: &OwnedFd, path: &Path, len: u64, solid: u64) -> Result<(), Error> {
    let refused = |operation, needed, error| match error {
        Errno::NOSPC | Errno::DQUOT | Errno::NOMEM | Errno::FBIG => {
            Error::OutOfMemory { path: path.to_owned(), needed }
        }
        error => Error::os(operation, path, error),
    };
    fs::ftruncate(fd, len).map_err(|error| refused("set the length of", len, error))?;
    fs::fallocate(fd, FallocateFlags::empty(), 0, solid)
        .map_err(|error| refused("allocate memory for", solid, error))
}

/// Gives memory to a range of a mapping, and maps it, with an answer instead of a signal.
///
/// # Safety
/// The range lies in one shared, writable mapping of `fd` that starts at file offset
/// `offset - (pointer - start of the mapping)`; only its page tables change.
pub(super) unsafe fn back(fd: &OwnedFd, offset: u64, pointer: *mut u8, len: usize) -> bool {
    // SAFETY: by the function's contract; populating does not change what the memory holds.
    match unsafe { madvise(pointer.cast(), len, Advice::LinuxPopulateWrite) } {
        Ok(()) => true,
        // Before Linux 5.14: memory by the file, pages one by one later.
        Err(Errno::INVAL) => fs::fallocate(fd, FallocateFlags::empty(), offset, len as u64).is_ok(),
        Err(_) => false,
    }
}

/// Takes the memory of a range of a file back.
pub(super) fn punch(fd: &OwnedFd, offset: u64, len: u64) -> bool {
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    fs::fallocate(fd, flags, offset, len).is_ok()
}

/// Keeps pages in memory once they are there. Before Linux 4.4 there is only `mlock`, which would bring all of
/// them there, and so take the memory of the whole pool: `ENOSYS`, then.
pub(super) fn lock(pointer: *mut u8, len: usize) -> Result<(), Errno> {
    // SAFETY: the range is a whole mapping; locking changes nothing in it.
    unsafe { mlock_with(pointer.cast(), len, MlockFlags::ONFAULT) }
}

/// Asks for huge pages.
pub(super) fn huge(pointer: *mut u8, len: usize) -> Result<(), Errno> {
    // SAFETY: the range is a whole mapping; the advice changes nothing in it.
    unsafe { madvise(pointer.cast(), len, Advice::LinuxHugepage) }
}

/// Whether the path names just this file.
pub(super) fn is_named(path: &Path, fd: &OwnedFd) -> bool {
    match (fs::lstat(path), fs::fstat(fd)) {
        (Ok(name), Ok(file)) => (name.st_dev, name.st_ino) == (file.st_dev, file.st_ino),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// P9: of what `statfs` tells, in either sign, the file systems of other machines are refused, and
    /// those of this one are not.
    #[test]
    fn network_file_systems_are_known() {
        for network in NETWORK {
            assert!(is_network(i64::from(network)) && is_network(i64::from(network as i32)));
        }
        let local = [0xef53, 0x5846_5342, 0x9123_683e, 0x794c_7630];
        assert!(!local.into_iter().chain(IN_MEMORY).any(is_network));
    }
}
