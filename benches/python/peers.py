"""The peers of the Python cases, one class each.

A class has

- `missing()`: what is not installed, or None;
- `link(context, case)`: what both ends need to find each other; it is pickled for the far end;
- `__init__(case, link, near)`: opens one end;
- `send()`: sends one frame of the case's size and gives 1, or 0 where there was no room;
  `send_batch()` sends `BATCH` at a time, for peers in batch cases;
- `receive()`: a frame's body (bytes, or a view in place), or None where none came; it waits a
  little if the case lets it sleep. `receive_batch()` gives a list of them, or None;
- `close()`.
"""

import importlib.util
import os
import queue
import time

BATCH = 64


class Queue:
    """multiprocessing.Queue: pickles, a feeder thread, a pipe. A batch is a list of 64 bodies."""

    @staticmethod
    def missing():
        return None

    @staticmethod
    def link(context, case):
        # Without a bound the feeder's buffer would take all the memory there is.
        frames = BATCH if case.batches else 1
        depth = min(max((64 << 20) // (case.size * frames), 1), 1024)
        return context.Queue(depth), context.Queue(depth)

    def __init__(self, case, link, near):
        self.out, self.into = link if near else link[::-1]
        self.source = bytes(case.size)
        # Distinct objects, as real frames are: pickle would send one object only once.
        self.sources = [bytes(bytearray(case.size)) for _ in range(BATCH)]

    def send(self):
        return self._put(self.source, 1)

    def send_batch(self):
        return self._put(self.sources, BATCH)

    def _put(self, body, count):
        try:
            self.out.put(body, timeout=0.01)
        except queue.Full:
            return 0
        return count

    def receive(self):
        try:
            return self.into.get(timeout=0.01)
        except queue.Empty:
            return None

    receive_batch = receive

    def close(self):
        for end in (self.out, self.into):
            end.close()
            end.cancel_join_thread()


class ZeroMQ:
    """pyzmq over ipc, a pair of sockets. A batch is a message of 64 parts."""

    @staticmethod
    def missing():
        return None if importlib.util.find_spec("zmq") else "pyzmq; pip install pyzmq"

    @staticmethod
    def link(context, case):
        return f"ipc://@slipring-bench-{os.getpid()}"

    def __init__(self, case, link, near):
        import zmq

        self.zmq = zmq
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.PAIR)
        self.socket.linger = 0
        self.socket.sndtimeo = 10
        (self.socket.bind if near else self.socket.connect)(link)
        self.source = bytes(case.size)
        self.sources = [self.source] * BATCH
        self.spins = case.variant == "spin"

    def send(self):
        # Copies for itself: the caller may use its buffer again.
        return self._hand_over(self.socket.send, self.source, 1)

    def send_batch(self):
        return self._hand_over(self.socket.send_multipart, self.sources, BATCH)

    def _hand_over(self, send, what, count):
        try:
            send(what)
        except self.zmq.Again:
            return 0
        return count

    def receive(self):
        return self._next(self.socket.recv)

    def receive_batch(self):
        return self._next(self.socket.recv_multipart)

    def _next(self, receive):
        try:
            return receive(self.zmq.NOBLOCK)
        except self.zmq.Again:
            if not self.spins:
                self.socket.poll(10)
            return None

    def close(self):
        self.socket.close()
        self.context.term()


class Iceoryx:
    """iceoryx2: publish and subscribe in place; in block cases with a notification per frame.

    It has no batches.
    """

    @staticmethod
    def missing():
        return None if importlib.util.find_spec("iceoryx2") else "iceoryx2; pip install iceoryx2"

    @staticmethod
    def link(context, case):
        return f"slipring-bench/{os.getpid()}"

    def __init__(self, case, link, near):
        import ctypes

        import iceoryx2 as iox

        iox.set_log_level(iox.LogLevel.Fatal)
        self.iox, self.size, self.touch = iox, case.size, case.variant == "touch"
        self.source = (ctypes.c_uint8 * case.size)()
        self.memmove = ctypes.memmove
        self.node = retried(lambda: iox.NodeBuilder.new().create(iox.ServiceType.Ipc))
        out, into = ("near", "far") if near else ("far", "near")
        depth = min(max((64 << 20) // case.size, 64), 1024)
        octets = iox.Slice[ctypes.c_uint8]

        def frames(name):
            builder = self.node.service_builder(iox.ServiceName.new(f"{link}/{name}/frames"))
            return (
                builder.publish_subscribe(octets)
                .max_publishers(1)
                .max_subscribers(1)
                .history_size(0)
                .enable_safe_overflow(False)
                .subscriber_max_buffer_size(depth)
                .open_or_create()
            )

        def events(name):
            builder = self.node.service_builder(iox.ServiceName.new(f"{link}/{name}/events"))
            return builder.event().open_or_create()

        out_frames, into_frames = retried(lambda: frames(out)), retried(lambda: frames(into))
        self.publisher = (
            out_frames.publisher_builder()
            .initial_max_slice_len(case.size)
            .backpressure_strategy(iox.BackpressureStrategy.RetryUntilDelivered)
            .create()
        )
        self.subscriber = into_frames.subscriber_builder().buffer_size(depth).create()
        self.notifier = self.listener = None
        if case.sleeps:
            self.notifier = retried(lambda: events(out)).notifier_builder().create()
            self.listener = retried(lambda: events(into)).listener_builder().create()
            self.tick = iox.Duration.from_millis(10)
        # A publisher drops what comes after a full buffer as long as the subscriber has not looked
        # at it once, so each end waits for the other's ports and then looks.
        until = time.monotonic() + 10
        while not (met(out_frames) and met(into_frames)):
            if time.monotonic() > until:
                raise TimeoutError("the other end did not come within 10 s")
            time.sleep(0.001)
        self.publisher.update_connections()
        self.subscriber.has_samples()

    def send(self):
        sample = self.publisher.loan_slice_uninit(self.size)
        if self.touch:
            sample.payload()[0] = 1
        else:
            self.memmove(sample.payload_ptr, self.source, self.size)
        sample.assume_init().send()
        if self.notifier:
            self.notifier.notify()
        return 1

    def receive(self):
        sample = self.subscriber.receive()
        if sample is not None:
            return View(sample)
        if self.listener:
            self.listener.timed_wait(self.tick)
        return None

    def close(self):
        self.publisher = self.subscriber = self.notifier = self.listener = self.node = None


class View:
    """A sample's payload, and the sample, whose memory it is."""

    def __init__(self, sample):
        self.sample, self.payload = sample, sample.payload()

    def __getitem__(self, index):
        return self.payload[index]

    def __bytes__(self):
        return bytes(self.payload.as_memory_view())


def met(service):
    config = service.dynamic_config
    return config.number_of_publishers == 1 and config.number_of_subscribers == 1


def retried(make):
    """Both ends create the same services, and one may meet the other halfway."""
    for _ in range(200):
        try:
            return make()
        except Exception as error:  # the wheel's errors share no narrower base
            last = error
            time.sleep(0.01)
    raise last


class Slipring:
    """slipring: two rings; bodies are views in place, or bytes in the cases of that name."""

    @staticmethod
    def missing():
        return None if importlib.util.find_spec("slipring") else "slipring; run make setup"

    @staticmethod
    def link(context, case):
        return f"bench-{os.getpid()}"

    def __init__(self, case, link, near):
        import slipring

        self.slipring, self.size = slipring, case.size
        self.names = [f"{link}-near", f"{link}-far"]
        attach = slipring.create if near else lambda name: slipring.open(name, wait=20)
        self.rings = [attach(name) for name in self.names]
        out, into = self.rings if near else self.rings[::-1]
        self.tx, self.rx = out.producer(), into.consumer()
        self.source = bytes(case.size)
        self.sources = [self.source] * BATCH
        if case.variant == "touch":
            self.send = self._touch
        if not case.sleeps:
            self.receive = self._look
        if case.variant.endswith("bytes"):
            self.receive, self.receive_batch = self._bytes, self._many_bytes

    def send(self):
        try:
            self.tx.send(self.source, timeout=0.01)
        except self.slipring.Timeout:
            return 0
        return 1

    def _touch(self):
        with self.tx.reserve(self.size, timeout=0.01) as body:
            body[0] = 1
        return 1

    def send_batch(self):
        return self.tx.send_many(self.sources, timeout=0.01)

    def receive(self):
        try:
            return self.rx.recv(timeout=0.01).view
        except self.slipring.Timeout:
            return None

    def _look(self):
        frame = self.rx.try_recv()
        return None if frame is None else frame.view

    def receive_batch(self):
        try:
            return [frame.view for frame in self.rx.recv_many(BATCH, timeout=0.01)]
        except self.slipring.Timeout:
            return None

    def _bytes(self):
        try:
            return self.rx.recv_bytes(timeout=0.01)
        except self.slipring.Timeout:
            return None

    def _many_bytes(self):
        try:
            return self.rx.recv_many_bytes(BATCH, timeout=0.01)
        except self.slipring.Timeout:
            return None

    def close(self):
        for ring, name in zip(self.rings, self.names):
            ring.close()
            # Frames that nobody took keep the name.
            if name in self.slipring.list():
                self.slipring.unlink(name)


ALL = {"slipring": Slipring, "mp.Queue": Queue, "zmq": ZeroMQ, "iceoryx2": Iceoryx}
