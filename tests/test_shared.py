"""One ring for many, in both languages at once: who gets what, and what is acknowledged by whom."""

import collections
import threading
import time

import pytest
import slipring


@pytest.fixture(params=[64, 10_000], ids=["small", "large"])
def size(request):
    return request.param


@pytest.fixture
def ring(name):
    with slipring.create(name, mode="mpmc", capacity="8 MiB", slots=64) as ring:
        yield ring
        inspection = ring.inspect()
        left = "waiting", "filling", "offered", "held", "returned", "dead"
        assert {what: getattr(inspection, what) for what in left} == dict.fromkeys(left, 0)


def numbers(tx, those, size):
    for number in those:
        tx.send(number.to_bytes(8, "little") + bytes(size - 8), timeout=20)


def number(frame):
    return int.from_bytes(frame.view[:8], "little")


def printed(process):
    """What work.exs says it got: number and redeliveries, of whole lines."""
    return [tuple(map(int, line.split())) for line in process.end().split("\n")[:-1]]


def until(ring, done):
    deadline = time.monotonic() + 20
    while not done(ring.inspect()):
        assert time.monotonic() < deadline, str(ring.inspect())
        time.sleep(0.01)


def test_elixir_acknowledges_what_python_sends(name, ring, elixir, size):
    """P2, P6: three processes of a VM and a thread here share the frames; each comes once."""
    mine = []

    def take():
        for frame in ring.consumer(ack="manual"):
            mine.append(number(frame))
            frame.ack()
            del frame

    process = elixir("work.exs", name, "ack")
    until(ring, lambda seen: any(process.consumes for process in seen.processes))
    thread = threading.Thread(target=take)
    thread.start()
    numbers(ring.producer(), range(2000), size)
    ring.finish()
    thread.join(20)
    assert process.wait(20) == 0
    theirs = printed(process)
    assert {again for _, again in theirs} == {0}
    assert mine and theirs
    assert sorted([*mine, *(number for number, _ in theirs)]) == list(range(2000))


def test_what_elixir_gives_back_comes_again(name, ring, elixir, size):
    """P6: counted, to whoever asks next."""
    process = elixir("work.exs", name, "nack")
    numbers(ring.producer(), range(100), size)
    until(ring, lambda seen: seen.tail == 100 and not (seen.waiting + seen.held + seen.returned))
    ring.finish()
    assert process.wait(20) == 0
    got = collections.Counter(printed(process))
    assert got == {(number, again): 1 for number in range(100) for again in (0, 1)}


def test_a_killed_vm_leaves_its_frames_to_python(name, ring, elixir, size):
    """P6: all that it had taken and not acknowledged, marked."""
    process = elixir("work.exs", name, "hold")
    numbers(ring.producer(), range(50), size)
    until(ring, lambda seen: seen.held == 50)
    assert ring.consumer().try_recv() is None
    process.kill()
    process.wait()
    rx = ring.consumer(ack="manual")
    got = set()
    for _ in range(50):
        frame = rx.recv(timeout=20)
        got.add((number(frame), frame.redeliveries))
        frame.ack()
        del frame
    assert got == {(number, 1) for number in range(50)}


HOLD = """
import slipring, sys, time
rx = slipring.open(sys.argv[1]).consumer(ack="manual")
held = rx.recv_many(50)
time.sleep(60)
"""


def test_a_killed_python_leaves_its_frames_to_elixir(name, ring, elixir, python, size):
    """P6: the same the other way round; the VM is told while it sleeps."""
    numbers(ring.producer(), range(50), size)
    holder = python(HOLD, name)
    until(ring, lambda seen: seen.held == 50)
    process = elixir("work.exs", name, "ack")
    until(ring, lambda seen: sum(process.consumes for process in seen.processes) == 2)
    holder.kill()
    holder.wait()
    until(ring, lambda seen: not (seen.waiting + seen.held + seen.returned))
    ring.finish()
    assert process.wait(20) == 0
    assert sorted(printed(process)) == [(number, 1) for number in range(50)]


def test_elixir_and_python_send_into_one_ring(name, elixir, python, size):
    """P2: producers in both languages, each one's frames in its order."""
    with slipring.create(name, mode="mpsc", capacity="8 MiB", slots=64) as ring:
        senders = [elixir("pour.exs", name, first, size) for first in (0, 10**9)]
        tx, stop = ring.producer(), threading.Event()

        def pour():
            each = iter(range(2 * 10**9, 3 * 10**9))
            while not stop.is_set():
                numbers(tx, [next(each)], size)

        thread = threading.Thread(target=pour)
        thread.start()
        rx, got = ring.consumer(), collections.defaultdict(list)
        while len(got) < 3 or min(map(len, got.values())) < 200:
            frame = rx.recv(timeout=20)
            sender, count = divmod(number(frame), 10**9)
            got[sender].append(count)
            del frame
        for sender in senders:
            sender.end()
        stop.set()
        while thread.is_alive() or ring.inspect().waiting:
            while frame := rx.try_recv():
                sender, count = divmod(number(frame), 10**9)
                got[sender].append(count)
                del frame
        for counts in got.values():
            assert counts == list(range(len(counts)))
