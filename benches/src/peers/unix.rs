//! A Unix stream socket: four bytes of length, then the body. In spin cases both ends poll it.

use std::io::Write;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use crate::harness::case::{Case, Variant};
use crate::harness::failure::Failure;
use crate::harness::link::{BATCH, End, Link, Peer, Route};

/// One end of the socket.
pub struct Unix {
    stream: UnixStream,
    spin: bool,
    /// Length and body of one frame; of up to [`BATCH`] frames in batch cases.
    out: Vec<u8>,
    frame: usize,
    /// What has come and was not read yet: `into[start..end]`.
    into: Vec<u8>,
    start: usize,
    end: usize,
}

/// Bytes asked for at a time, at least.
const CHUNK: usize = 256 * 1024;

impl Peer for Unix {
    const NAME: &'static str = "unix";

    fn takes(case: &Case) -> bool {
        !case.is(Variant::Touch) && !case.is(Variant::Cold)
    }

    fn open(route: &Route, end: End) -> Result<Self, Failure> {
        // An abstract name: no file is left behind, whoever dies.
        let address = SocketAddr::from_abstract_name(format!("slipring-bench-{}", route.name))
            .map_err(Failure::call("name the socket"))?;
        let stream = match end {
            End::Near => {
                let listener =
                    UnixListener::bind_addr(&address).map_err(Failure::call("bind the socket"))?;
                listener.accept().map_err(Failure::call("accept the far end"))?.0
            }
            End::Far => connect(&address)?,
        };
        let frame = 4 + route.case.size;
        let batch = if route.case.is(Variant::Batch) { BATCH } else { 1 };
        let length = (route.case.size as u32).to_be_bytes();
        let mut out = vec![0; frame * batch];
        out.chunks_exact_mut(frame).for_each(|frame| frame[..4].copy_from_slice(&length));
        let into = vec![0; CHUNK.max(2 * frame)];
        let spin = route.case.is(Variant::Spin);
        Ok(Self { stream, spin, out, frame, into, start: 0, end: 0 })
    }
}

/// Tries until the other end has bound its name.
fn connect(address: &SocketAddr) -> Result<UnixStream, Failure> {
    let start = Instant::now();
    loop {
        match UnixStream::connect_addr(address) {
            Ok(stream) => return Ok(stream),
            Err(_) if start.elapsed() < Duration::from_secs(5) => {
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(error) => return Err(Failure::call("connect to the near end")(error)),
        }
    }
}

impl Unix {
    fn buffered(&self) -> bool {
        self.end - self.start >= self.frame
    }

    fn take(&mut self, read: impl FnOnce(&[u8])) -> Result<(), Failure> {
        let (length, body) = self.into[self.start..][..self.frame].split_at(4);
        let found = length.try_into().map_or(0, u32::from_be_bytes) as usize;
        if found != body.len() {
            return Err(Failure::Length { expected: body.len(), found });
        }
        read(body);
        self.start += self.frame;
        Ok(())
    }

    /// Asks the kernel once for more; whether a whole frame is there then.
    fn refill(&mut self) -> Result<bool, Failure> {
        self.into.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        match recv(&self.stream, &mut self.into[self.end..], RecvFlags::DONTWAIT) {
            // The other end has closed: the run is over, or the harness will notice the silence.
            Ok((0, _)) => Ok(false),
            Ok((count, _)) => {
                self.end += count;
                Ok(self.buffered())
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(false),
            Err(error) => Err(Failure::call("receive from the socket")(error)),
        }
    }
}

impl Link for Unix {
    fn send(&mut self, fill: impl FnOnce(&mut [u8])) -> Result<bool, Failure> {
        fill(&mut self.out[4..self.frame]);
        self.stream
            .write_all(&self.out[..self.frame])
            .map_err(Failure::call("write to the socket"))?;
        Ok(true)
    }

    fn receive(&mut self, read: impl FnOnce(&[u8])) -> Result<bool, Failure> {
        if !self.buffered() && !self.refill()? {
            return Ok(false);
        }
        self.take(read)?;
        Ok(true)
    }

    fn send_batch(&mut self, mut fill: impl FnMut(&mut [u8])) -> Result<usize, Failure> {
        self.out.chunks_exact_mut(self.frame).for_each(|frame| fill(&mut frame[4..]));
        self.stream.write_all(&self.out).map_err(Failure::call("write to the socket"))?;
        Ok(BATCH)
    }

    fn receive_batch(&mut self, mut read: impl FnMut(&[u8])) -> Result<usize, Failure> {
        if !self.buffered() && !self.refill()? {
            return Ok(0);
        }
        let mut count = 0;
        while self.buffered() && count < BATCH {
            self.take(&mut read)?;
            count += 1;
        }
        Ok(count)
    }

    fn wait(&mut self) -> Result<(), Failure> {
        if self.spin {
            std::hint::spin_loop();
            return Ok(());
        }
        let mut fds = [PollFd::new(&self.stream, PollFlags::IN)];
        let tick = rustix::event::Timespec { tv_sec: 0, tv_nsec: 10_000_000 };
        match poll(&mut fds, Some(&tick)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(Failure::call("poll the socket")(error)),
        }
    }
}
