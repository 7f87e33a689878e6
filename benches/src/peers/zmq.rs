//! ZeroMQ over its `ipc` transport: a pair of sockets. It batches by itself, in threads of its own
//! that share the cores of the two ends.

use zmq::{Context, DONTWAIT, Message, POLLIN, Socket, SocketType};

use crate::harness::case::{Case, Variant};
use crate::harness::failure::Failure;
use crate::harness::link::{End, Link, Peer, Route};

/// One end of the pair.
pub struct Zmq {
    socket: Socket,
    size: usize,
    spin: bool,
    // After the socket: it closes before its context does.
    _context: Context,
}

impl Peer for Zmq {
    const NAME: &'static str = "zmq";

    fn takes(case: &Case) -> bool {
        !matches!(case.variant, Some(Variant::Touch | Variant::Cold | Variant::Batch))
    }

    fn open(route: &Route, end: End) -> Result<Self, Failure> {
        let open = || {
            let context = Context::new();
            let socket = context.socket(SocketType::PAIR)?;
            // What is still queued when a run ends is of no interest.
            socket.set_linger(0)?;
            // A far end that died must not hold the near one for ever.
            socket.set_sndtimeo(20_000)?;
            let address = format!("ipc://@slipring-bench-{}", route.name);
            match end {
                End::Near => socket.bind(&address)?,
                End::Far => socket.connect(&address)?,
            }
            let spin = route.case.is(Variant::Spin);
            Ok(Self { socket, size: route.case.size, spin, _context: context })
        };
        open().map_err(Failure::call::<zmq::Error>("open the ZeroMQ socket"))
    }
}

impl Link for Zmq {
    fn send(&mut self, fill: impl FnOnce(&mut [u8])) -> Result<bool, Failure> {
        let mut message = Message::with_size(self.size);
        fill(&mut message);
        self.socket.send(message, 0).map_err(Failure::call("send through ZeroMQ"))?;
        Ok(true)
    }

    fn receive(&mut self, read: impl FnOnce(&[u8])) -> Result<bool, Failure> {
        match self.socket.recv_msg(DONTWAIT) {
            Ok(message) => {
                read(&message);
                Ok(true)
            }
            Err(zmq::Error::EAGAIN | zmq::Error::EINTR) => Ok(false),
            Err(error) => Err(Failure::call("receive through ZeroMQ")(error)),
        }
    }

    fn wait(&mut self) -> Result<(), Failure> {
        if self.spin {
            std::hint::spin_loop();
            return Ok(());
        }
        match self.socket.poll(POLLIN, 10) {
            Ok(_) | Err(zmq::Error::EINTR) => Ok(()),
            Err(error) => Err(Failure::call("poll the ZeroMQ socket")(error)),
        }
    }
}
