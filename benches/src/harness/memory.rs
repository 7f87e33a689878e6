//! Shared memory without a name: gone when the last process that maps it is gone.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64};

use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use super::failure::Failure;

/// A mapping that two processes share.
///
/// Invariants: `base` is page-aligned and maps `len` bytes, readable and writable, for as long as
/// this lives. All of its bytes are initialised, by the kernel if by nobody else.
pub struct Memory {
    base: NonNull<u8>,
    len: usize,
    file: OwnedFd,
}

// SAFETY: it is an address range; what is done with it is up to the unsafe calls on it.
unsafe impl Send for Memory {}
// SAFETY: as above; the safe calls give out atomics only.
unsafe impl Sync for Memory {}

impl Memory {
    /// Makes zeroed memory; with `populate`, its pages are there from the start.
    pub fn new(len: usize, populate: bool) -> Result<Self, Failure> {
        let file = memfd_create("slipring-bench", MemfdFlags::CLOEXEC)
            .map_err(Failure::call("create shared memory"))?;
        ftruncate(&file, len as u64).map_err(Failure::call("size shared memory"))?;
        Self::map(file, len, populate)
    }

    /// Maps the memory that another process has described by [`Memory::address`].
    pub fn attach(address: &str, populate: bool) -> Result<Self, Failure> {
        let file = File::options()
            .read(true)
            .write(true)
            .open(address)
            .map_err(Failure::call("open the near end's shared memory"))?;
        let len = file.metadata().map_err(Failure::call("measure shared memory"))?.len() as usize;
        Self::map(file.into(), len, populate)
    }

    /// Where another process of the same user finds this memory while this process lives.
    pub fn address(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd())
    }

    fn map(file: OwnedFd, len: usize, populate: bool) -> Result<Self, Failure> {
        let flags = if populate { MapFlags::POPULATE } else { MapFlags::empty() };
        // SAFETY: a new mapping at an address of the kernel's choice touches no existing memory.
        let base = unsafe {
            mmap(
                std::ptr::null_mut(),
                len,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED | flags,
                file.as_fd(),
                0,
            )
        }
        .map_err(Failure::call("map shared memory"))?;
        let base = NonNull::new(base.cast()).expect("the kernel maps nothing at address 0 unasked");
        Ok(Self { base, len, file })
    }

    /// The 32-bit word at `offset`. Panics unless it lies inside and is aligned.
    pub fn word(&self, offset: usize) -> &AtomicU32 {
        // SAFETY: `at` has checked range and alignment; the mapping outlives the borrow; the layouts
        // in this crate use these bytes as an atomic of this width and no other way.
        unsafe { AtomicU32::from_ptr(self.at(offset, 4).cast()) }
    }

    /// The 64-bit word at `offset`. Panics unless it lies inside and is aligned.
    pub fn long(&self, offset: usize) -> &AtomicU64 {
        // SAFETY: as in `word`.
        unsafe { AtomicU64::from_ptr(self.at(offset, 8).cast()) }
    }

    /// The address of `len` bytes at `offset`. Panics unless they lie inside and `offset` is a
    /// multiple of a power of two `len`. What may be done with them is the caller's agreement with
    /// the other process.
    pub fn at(&self, offset: usize, len: usize) -> *mut u8 {
        assert!(offset.checked_add(len).is_some_and(|end| end <= self.len), "outside the memory");
        assert!(!len.is_power_of_two() || offset.is_multiple_of(len), "not aligned");
        // SAFETY: inside the mapping, as just checked.
        unsafe { self.base.as_ptr().add(offset) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: this range was mapped by `map` and every borrow of it has ended.
        // An error could only mean that it is no mapping; there is nothing left to undo.
        let _ = unsafe { munmap(self.base.as_ptr().cast(), self.len) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    /// P1: a second mapping sees what the first wrote.
    #[test]
    fn two_mappings_share_their_bytes() {
        let first = Memory::new(8192, true).unwrap();
        let second = Memory::attach(&first.address(), false).unwrap();
        first.long(4096).store(7, Ordering::Relaxed);
        assert_eq!(second.long(4096).load(Ordering::Relaxed), 7);
        assert_eq!(second.word(4096).load(Ordering::Relaxed), 7);
    }

    /// P9: nothing outside is ever handed out.
    #[test]
    #[should_panic(expected = "outside the memory")]
    fn words_outside_are_refused() {
        Memory::new(4096, false).unwrap().long(4096);
    }
}
