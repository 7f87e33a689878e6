//! How a segment is made.

use super::mapping::Mapping;
use super::{Address, Segment, os};
use crate::clock::realtime;
use crate::error::Error;
use crate::layout::{Fixed, Geometry, LINES, Mode, Rules};
use crate::participants::{boot_id, forks};
use crate::slots::SLOT;
use bytemuck::Zeroable;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
    schemas: u32,
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
            schemas: 256,
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
    /// 0 to 255 times, default 5. A dead letter keeps its memory, and the ring its name, until a consumer
    /// takes it ([`Consumer::recv_dead`](crate::Consumer::recv_dead)).
    pub fn max_deliveries(mut self, times: u8) -> Self {
        self.max_deliveries = times;
        self
    }

    /// The part of the pool, in percent, that one process may hold in frames that it writes, has sent and
    /// reads: with so much it sends no more by the pool ([`Error::Full`]), and with so much in frames that it reads
    /// it takes no more as views ([`Error::ShareHeld`]). Default: all for a ring with one producer, half where there may be many.
    pub fn share(mut self, percent: u8) -> Self {
        self.share = Some(percent);
        self
    }

    /// Schemas that the ring has room for, of 4 KiB on average, of which one may take it all; at most
    /// 4,096, default 256. Memory is used as schemas come. 0: no table, which processes of format version
    /// 1.0 can attach to.
    pub fn schemas(mut self, count: u32) -> Self {
        self.schemas = count;
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
            let mapping = Mapping::new(fd, path.clone(), geometry, fixed, true)?;
            self.take_memory(&mapping)?;
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
        let mapping = Mapping::new(fd, path, geometry, fixed, true)?;
        self.take_memory(&mapping)?;
        Ok(Segment { mapping: Arc::new(mapping.join()?) })
    }

    fn take_memory(&self, mapping: &Mapping) -> Result<(), Error> {
        let (pool, records) = (mapping.geometry.capacity, mapping.geometry.records());
        if self.populate
            && !(mapping.back(0, pool) && (records == 0 || mapping.back_records(0, records)))
        {
            return Err(Error::OutOfMemory { path: mapping.path.clone(), needed: pool + records });
        }
        Ok(())
    }

    fn rules(&self) -> Result<Rules, Error> {
        if self.drop_oldest && self.mode.alone() {
            return Err(Error::InvalidOption {
                option: "drop_oldest",
                value: "true".into(),
                expected: "false with mode spsc, whose producer takes nothing out: choose mpsc, spmc or mpmc",
            });
        }
        let share = self.share.unwrap_or(if self.mode.one_producer() { 100 } else { 50 });
        let (mode, keep, drop_oldest) = (self.mode, self.keep, self.drop_oldest);
        let (max_deliveries, schemas) = (self.max_deliveries, self.schemas);
        Ok(Rules { mode, keep, drop_oldest, max_deliveries, share, schemas })
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
