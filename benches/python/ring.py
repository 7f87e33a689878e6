"""Measures one peer in one case, Python at both ends, and prints one line of JSON.

    python ring.py --peer zmq --case python/rtt/64B/spin --seconds 0.3

This process is the near end: it starts round trips and receives streams. The far end is a process
of its own on the other core. A peer is one class in `peers.py`.

What is done to a frame: the sender copies a bytes object of the frame's size into it, or writes
one byte in `touch` cases. In `copy` and 64-byte round trips the receiver takes the body out as a
bytes object, unless the peer gave it one; in streams and `touch` it reads one byte. In `bytes` and
`batch-bytes`, streams too, each body is a bytes object, which zmq and mp.Queue give in any case.
Nothing may be lost: the far end says how many frames it sent.
"""

import argparse
import ctypes
import json
import multiprocessing
import os
import signal
import sys
import time

import peers

UNITS = {"MiB": 1 << 20, "KiB": 1 << 10, "B": 1}
PATIENCE = 20.0


class Case:
    """`python/pattern/size/variant`."""

    def __init__(self, name):
        self.name = name
        _, self.pattern, size, self.variant = name.split("/")
        unit = next(unit for unit in UNITS if size.endswith(unit))
        self.size = int(size.removesuffix(unit)) * UNITS[unit]
        self.sleeps = self.variant == "block"
        self.batches = self.variant in ("batch", "batch-bytes")
        self.copies_out = self.pattern == "rtt" and self.variant != "touch"


class Control:
    """By which the ends agree on start and end. Shared memory; each field has one writer."""

    def __init__(self, context):
        self.far_ready = context.RawValue("b", 0)
        self.near_ready = context.RawValue("b", 0)
        self.stop = context.RawValue("b", 0)
        self.leave = context.RawValue("b", 0)
        self.sent = context.RawValue("q", -1)

    def meet(self, mine, other):
        mine.value = 1
        patient = Patience()
        while not other.value:
            patient.check()
            time.sleep(0.001)


class Patience:
    """Ends a run in which nothing happens any more."""

    def __init__(self):
        self.idle, self.since = 0, None

    def check(self):
        self.idle += 1
        if self.idle % 256 == 1:
            now = time.monotonic()
            self.since = self.since or now
            if now - self.since > PATIENCE:
                raise TimeoutError(f"nothing came or went for {PATIENCE} s: has the other end died?")

    def progress(self):
        self.idle, self.since = 0, None


def pin(index):
    cores = os.environ.get("SLIPRING_BENCH_CORES")
    if cores:
        os.sched_setaffinity(0, {int(cores.split(",")[index])})


def far(peer, case_name, link, control):
    # Dies with the near end, however that ends. 1 is PR_SET_PDEATHSIG.
    ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL)
    pin(1)
    case = Case(case_name)
    end = peers.ALL[peer](case, link, near=False)
    control.meet(control.far_ready, control.near_ready)
    if case.pattern == "rtt":
        answer(end, case, control)
    else:
        pour(end, case, control)
    # Frames may still be in this process's hands (a feeder thread, a loan).
    while not control.leave.value:
        time.sleep(0.001)
    end.close()


def answer(end, case, control):
    receive, send, copies = end.receive, end.send, case.copies_out
    while True:
        body = receive()
        if body is None:
            if control.stop.value:
                return
            continue
        take(body, copies)
        # Let go of the frame before its answer is on the way.
        body = None
        while not send() and not control.stop.value:
            pass


def pour(end, case, control):
    send = end.send_batch if case.batches else end.send
    sent = 0
    while not control.stop.value:
        sent += send()
    control.sent.value = sent


def take(body, copies):
    if copies and not isinstance(body, bytes):
        bytes(body)
    else:
        body[0]


def round_trips(end, case, seconds):
    now, receive, send, copies = time.perf_counter_ns, end.receive, end.send, case.copies_out
    trips, patient = [], Patience()
    begun = now()
    warm, last = begun + int(seconds / 3 * 1e9), begun
    until = warm + int(seconds * 1e9)
    while last < until or not trips:
        while not send():
            patient.check()
        while (body := receive()) is None:
            patient.check()
        patient.progress()
        take(body, copies)
        body = None
        stamp = now()
        if last >= warm:
            trips.append(stamp - last)
        last = stamp
    return quantiles(trips)


def quantiles(times):
    times.sort()
    at = lambda share: times[min(len(times) - 1, int(share * len(times)))]
    return {"median": at(0.5), "p99": at(0.99), "p999": at(0.999)}


def views(case, seconds):
    """Frames that wait, taken one by one as views: from the call to the first byte. slipring alone."""
    import slipring

    now, times = time.perf_counter_ns, []
    with slipring.create(f"bench-{os.getpid()}-view", populate=True) as ring:
        tx, rx = ring.producer(), ring.consumer()
        warm = now() + int(seconds / 3 * 1e9)
        until, last = warm + int(seconds * 1e9), 0
        while last < until:
            with tx.reserve(case.size) as body:
                body[0] = 1
            begun = now()
            view = rx.recv(0).view
            first = view[0]
            last = now()
            if (len(view), first) != (case.size, 1):
                sys.exit(f"a frame of {len(view)} bytes came, beginning with {first}")
            del view
            if last > warm:
                times.append(last - begun)
    return quantiles(times)


def stream(end, case, seconds, control):
    now = time.perf_counter_ns
    count, counted_from, begun, rate = 0, None, None, None
    warm = now() + int(seconds / 3 * 1e9)
    patient = Patience()
    batch = case.batches
    receive = end.receive_batch if batch else end.receive
    while control.sent.value != count:
        got = receive()
        if got is None:
            patient.check()
            continue
        patient.progress()
        if batch:
            for body in got:
                body[0]
            count += len(got)
        else:
            got[0]
            count += 1
        got = body = None
        if rate is not None or (not batch and case.size < 65536 and count & 15):
            continue
        stamp = now()
        if begun is None:
            if stamp >= warm:
                begun, counted_from = stamp, count
        elif stamp - begun >= seconds * 1e9:
            rate = (count - counted_from) * 1e9 / (stamp - begun)
            control.stop.value = 1
    return {"frames_per_s": rate}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--peer", required=True, choices=sorted(peers.ALL))
    parser.add_argument("--case", required=True)
    parser.add_argument("--seconds", type=float, required=True)
    options = parser.parse_args()
    case, peer = Case(options.case), peers.ALL[options.peer]
    if missing := peer.missing():
        print(json.dumps({"not_installed": missing}))
        return
    pin(0)
    if case.variant == "view":
        return print(json.dumps(views(case, options.seconds)))
    context = multiprocessing.get_context("spawn")
    control, link = Control(context), peer.link(context, case)
    other = context.Process(
        target=far, args=(options.peer, options.case, link, control), daemon=True
    )
    other.start()
    end = peer(case, link, near=True)
    control.meet(control.near_ready, control.far_ready)
    if case.pattern == "rtt":
        sample = round_trips(end, case, options.seconds)
    else:
        sample = stream(end, case, options.seconds, control)
    control.stop.value = 1
    control.leave.value = 1
    other.join(5)
    end.close()
    if other.exitcode != 0:
        sys.exit(f"the far end left with {other.exitcode}")
    print(json.dumps(sample))


if __name__ == "__main__":
    main()
