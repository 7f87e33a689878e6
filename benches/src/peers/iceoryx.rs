//! iceoryx2: publish and subscribe in place, one service per direction.
//!
//! Safe overflow is off and the publisher retries, so that nothing is lost. The subscriber's buffer
//! holds what 64 MiB hold, 64 frames at least and 1024 at most. An end is open once both subscribers
//! have met their publisher: a publisher drops what comes after a full buffer, strategy or not, as
//! long as the subscriber has not looked at it once. In block cases each frame is
//! followed by a notification, and the receiver sleeps in a listener; otherwise it polls.

use std::time::{Duration, Instant};

use iceoryx2::port::listener::Listener;
use iceoryx2::port::notifier::Notifier;
use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::subscriber::Subscriber;
use iceoryx2::port::update_connections::UpdateConnections;
use iceoryx2::prelude::*;

use crate::harness::case::{Case, Variant};
use crate::harness::failure::Failure;
use crate::harness::link::{End, Link, Peer, Route};

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// One end: what it publishes and what it has subscribed to.
pub struct Iceoryx {
    publisher: Publisher<ipc::Service, [u8], ()>,
    subscriber: Subscriber<ipc::Service, [u8], ()>,
    /// How it wakes the other end, and is woken, in block cases.
    events: Option<(Notifier<ipc::Service>, Listener<ipc::Service>)>,
    size: usize,
    // After the ports: they close before their node does.
    _node: Node<ipc::Service>,
}

impl Peer for Iceoryx {
    const NAME: &'static str = "iceoryx2";

    fn takes(case: &Case) -> bool {
        !case.is(Variant::Batch)
    }

    fn open(route: &Route, end: End) -> Result<Self, Failure> {
        set_log_level(LogLevel::Fatal);
        let start = Instant::now();
        loop {
            match open(route, end) {
                Ok(link) => return Ok(link),
                // Both ends create the same services, and one may meet the other halfway.
                Err(_) if start.elapsed() < Duration::from_secs(2) => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(error) => return Err(Failure::call("open the iceoryx2 services")(error)),
            }
        }
    }
}

fn open(route: &Route, end: End) -> Result<Iceoryx, Cause> {
    let size = route.case.size;
    let node = NodeBuilder::new()
        .signal_handling_mode(SignalHandlingMode::Disabled)
        .create::<ipc::Service>()?;
    let (out, into) = if end == End::Near { ("near", "far") } else { ("far", "near") };
    let service = |from: &str, kind: &str| {
        ServiceName::new(&format!("slipring-bench/{}/{from}/{kind}", route.name))
    };
    let depth = (64 * 1024 * 1024 / size).clamp(64, 1024);
    let frames = |from| {
        let name = service(from, "frames")?;
        let builder = node.service_builder(&name).publish_subscribe::<[u8]>();
        let service = builder
            .max_publishers(1)
            .max_subscribers(1)
            .history_size(0)
            .enable_safe_overflow(false)
            .subscriber_max_buffer_size(depth)
            .open_or_create()?;
        Ok::<_, Cause>(service)
    };
    let (out_frames, into_frames) = (frames(out)?, frames(into)?);
    let publisher = out_frames
        .publisher_builder()
        .initial_max_slice_len(size)
        .backpressure_strategy(BackpressureStrategy::RetryUntilDelivered)
        .create()?;
    let subscriber = into_frames.subscriber_builder().buffer_size(depth).create()?;
    let events = if route.case.is(Variant::Block) {
        let (out, into) = (service(out, "events")?, service(into, "events")?);
        let notifier = node.service_builder(&out).event().open_or_create()?;
        let listener = node.service_builder(&into).event().open_or_create()?;
        Some((notifier.notifier_builder().create()?, listener.listener_builder().create()?))
    } else {
        None
    };
    let start = Instant::now();
    let ports = || {
        let (out, into) = (out_frames.dynamic_config(), into_frames.dynamic_config());
        [out, into].map(|service| [service.number_of_publishers(), service.number_of_subscribers()])
    };
    while ports() != [[1, 1], [1, 1]] {
        if start.elapsed() > Duration::from_secs(10) {
            return Err("the other end did not come within 10 s".into());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    publisher.update_connections()?;
    subscriber.update_connections()?;
    Ok(Iceoryx { publisher, subscriber, events, size, _node: node })
}

impl Link for Iceoryx {
    fn send(&mut self, fill: impl FnOnce(&mut [u8])) -> Result<bool, Failure> {
        let mut sample = self
            .publisher
            .loan_slice_uninit(self.size)
            .map_err(Failure::call("loan a sample of iceoryx2"))?;
        let body: *mut [std::mem::MaybeUninit<u8>] = sample.payload_mut();
        // SAFETY: the loan is exclusive for as long as `sample` is, and its bytes lie in shared
        // memory that the kernel has initialised.
        fill(unsafe { &mut *(body as *mut [u8]) });
        // SAFETY: as above, every byte is initialised.
        let sample = unsafe { sample.assume_init() };
        sample.send().map_err(Failure::call("send through iceoryx2"))?;
        if let Some((notifier, _)) = &self.events {
            notifier.notify().map_err(Failure::call("notify through iceoryx2"))?;
        }
        Ok(true)
    }

    fn receive(&mut self, read: impl FnOnce(&[u8])) -> Result<bool, Failure> {
        let sample = self.subscriber.receive().map_err(Failure::call("receive from iceoryx2"))?;
        let Some(sample) = sample else { return Ok(false) };
        read(sample.payload());
        Ok(true)
    }

    fn wait(&mut self) -> Result<(), Failure> {
        let Some((_, listener)) = &self.events else {
            std::hint::spin_loop();
            return Ok(());
        };
        listener
            .timed_wait(|_| {}, Duration::from_millis(10))
            .map(|_| ())
            .map_err(Failure::call("listen to iceoryx2"))
    }
}
