//! Aeron over its IPC channel: one stream per direction, an exclusive publication each.
//!
//! The near end runs the media driver in a thread of its own, which may use every core. Frames up to
//! the MTU, set to the longest there is, are claimed and written in place; longer ones are copied in
//! by `offer` and put together again by the receiver's assembler, as Aeron does with them. Its logs
//! have the default length, and are touched beforehand as slipring's pool is.

use std::time::{Duration, Instant};

use rusteron_client::{
    AeronCError, AeronContext, AeronExclusivePublication, AeronFragmentClosureAssembler,
    AeronOfferError, AeronSubscription, Handlers, IntoCString,
};
use rusteron_media_driver::bindings::aeron_threading_mode_enum;
use rusteron_media_driver::testing::EmbeddedDriver;

use crate::harness::case::{Case, Variant};
use crate::harness::failure::Failure;
use crate::harness::link::{BATCH, End, Link, Peer, Route};
use crate::harness::process::{pin, unpin};

const CHANNEL: &std::ffi::CStr = c"aeron:ipc?mtu=65504";

/// How long an end waits for the other, and for the driver.
const PATIENCE: Duration = Duration::from_secs(10);

/// One end.
pub struct Aeron {
    out: AeronExclusivePublication,
    into: AeronSubscription,
    assembler: AeronFragmentClosureAssembler,
    /// Longest frame that is written in place.
    in_place: usize,
    size: usize,
    /// A longer one, and whether it waits to be offered again.
    message: Vec<u8>,
    waits: bool,
    // After what uses them: the client, then its driver.
    _client: rusteron_client::Aeron,
    _driver: Option<EmbeddedDriver>,
}

impl Peer for Aeron {
    const NAME: &'static str = "aeron";

    fn takes(case: &Case) -> bool {
        !case.is(Variant::Block)
    }

    fn open(route: &Route, end: End) -> Result<Self, Failure> {
        let dir = format!("/dev/shm/slipring-bench-aeron-{}", route.name);
        let warm = !route.case.is(Variant::Cold);
        let driver = if end == End::Near { Some(drive(&dir, warm)?) } else { None };
        let client = connect(&dir, warm).map_err(Failure::call("connect to Aeron's driver"))?;
        let (out, into) = if end == End::Near { (1, 2) } else { (2, 1) };
        let out = client
            .async_add_exclusive_publication(CHANNEL, out)
            .and_then(|adding| adding.poll_blocking(PATIENCE))
            .map_err(Failure::call("add a publication"))?;
        let into = client
            .async_add_subscription(CHANNEL, into, Handlers::NONE, Handlers::NONE)
            .and_then(|adding| adding.poll_blocking(PATIENCE))
            .map_err(Failure::call("add a subscription"))?;
        let start = Instant::now();
        while !(out.is_connected() && into.is_connected()) {
            if start.elapsed() > PATIENCE {
                return Err(Failure::Silent { waited: start.elapsed() });
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let limits =
            out.get_constants().map_err(Failure::call("ask for the publication's limits"))?;
        Ok(Self {
            out,
            into,
            assembler: AeronFragmentClosureAssembler::new()
                .map_err(Failure::call("make an assembler"))?,
            in_place: limits.max_payload_length(),
            size: route.case.size,
            message: vec![0; route.case.size],
            waits: false,
            _client: client,
            _driver: driver,
        })
    }
}

fn connect(dir: &str, warm: bool) -> Result<rusteron_client::Aeron, AeronCError> {
    let context = AeronContext::new()?;
    context.set_dir(&dir.into_c_string())?;
    context.set_pre_touch_mapped_memory(warm)?;
    // Without a handler of ours Aeron's own ends the process.
    context.set_error_handler(Some(|code: i32, words: &str| {
        eprintln!("ring: Aeron says {code}: {words}");
    }))?;
    let client = rusteron_client::Aeron::new(&context)?;
    client.start()?;
    Ok(client)
}

fn drive(dir: &str, warm: bool) -> Result<EmbeddedDriver, Failure> {
    unpin()?;
    let driver = EmbeddedDriver::launch_with(|context| {
        context.set_dir(&dir.into_c_string())?;
        context.set_term_buffer_sparse_file(!warm)?;
        // There are two cores, and the driver has nothing to do with frames over shared memory.
        context.set_threading_mode(aeron_threading_mode_enum::AERON_THREADING_MODE_SHARED)?;
        Ok(())
    });
    pin(End::Near)?;
    driver.map_err(Failure::call("launch Aeron's driver"))
}

/// Full is for the harness to deal with.
fn sent<T>(outcome: Result<T, AeronOfferError>) -> Result<Option<T>, Failure> {
    match outcome {
        Ok(done) => Ok(Some(done)),
        Err(error) if error.is_retryable() => Ok(None),
        Err(error) => Err(Failure::call("send through Aeron")(error)),
    }
}

impl Link for Aeron {
    #[inline]
    fn send(&mut self, fill: impl FnOnce(&mut [u8])) -> Result<bool, Failure> {
        if self.size <= self.in_place {
            let Some(mut claim) = sent(self.out.try_claim_owned(self.size))? else {
                return Ok(false);
            };
            fill(claim.data());
            claim.commit().map_err(Failure::call("commit a claim"))?;
            return Ok(true);
        }
        if !self.waits {
            fill(&mut self.message);
        }
        self.waits = sent(self.out.offer(&self.message))?.is_none();
        Ok(!self.waits)
    }

    #[inline]
    fn receive(&mut self, read: impl FnOnce(&[u8])) -> Result<bool, Failure> {
        if self.size <= self.in_place {
            let mut read = Some(read);
            let take = |body: &[u8], _| read.take().into_iter().for_each(|read| read(body));
            let taken = self.into.poll_fn(take, 1).map_err(Failure::call("poll Aeron"))?;
            return Ok(taken == 1);
        }
        let mut read = Some(read);
        // Until a message is whole, or nothing more is there.
        while read.is_some() {
            let taken = self.assembler.poll(
                &self.into,
                &mut read,
                |read, body, _| read.take().into_iter().for_each(|read| read(body)),
                1,
            );
            if taken.map_err(Failure::call("poll Aeron"))? == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn receive_batch(&mut self, mut read: impl FnMut(&[u8])) -> Result<usize, Failure> {
        let taken = self.into.poll_fn(|body, _| read(body), BATCH);
        Ok(taken.map_err(Failure::call("poll Aeron"))? as usize)
    }
}
