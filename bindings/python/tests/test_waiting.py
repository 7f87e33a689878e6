"""Waiting: threads, signals, forks, event loops and other processes."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
import warnings

import numpy as np
import pytest

import slipring


def test_a_wait_lets_other_threads_run(ends):
    """P8: the GIL is released, and the frame is had as soon as it comes."""
    tx, rx = ends
    got = []
    thread = threading.Thread(target=lambda: got.append(rx.recv(10)))
    thread.start()
    time.sleep(0.05)
    tx.send(np.arange(3))
    thread.join(10)
    assert got[0].value.tolist() == [0, 1, 2]


def test_threads_share_a_consumer(ends):
    """P5: each frame is delivered once; a frame may be used and dropped by any thread."""
    tx, rx = ends
    got, count = [], 4000

    def take():
        while (value := int(rx.recv(10).value[0])) >= 0:
            got.append(value)

    threads = [threading.Thread(target=take) for _ in range(3)]
    for thread in threads:
        thread.start()
    for i in [*range(count), -1, -1, -1]:
        tx.send(np.array([i]), timeout=10)
    for thread in threads:
        thread.join(20)
    assert sorted(got) == list(range(count))


def test_a_call_that_must_not_wait_does_not(ends):
    """P7: though another thread waits with the same handle."""
    tx, rx = ends
    thread = threading.Thread(target=lambda: rx.recv(10))
    thread.start()
    time.sleep(0.05)
    start = time.monotonic()
    assert rx.try_recv() is None
    with pytest.raises(slipring.Empty):
        rx.recv(0)
    with pytest.raises(slipring.Timeout):
        rx.recv(0.05)
    assert time.monotonic() - start < 2
    tx.send(b"")
    thread.join(10)
    assert not thread.is_alive()


@pytest.mark.parametrize("close", ["end", "ring"])
def test_closing_ends_a_wait(ring, ends, close):
    """P8: in another thread, with an error that says so."""
    caught = []

    def wait():
        try:
            ends[1].recv()
        except slipring.Detached as error:
            caught.append(str(error))

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.05)
    (ends[1] if close == "end" else ring).close()
    thread.join(10)
    assert caught == ["this consumer was closed: open the ring again to go on"]


@pytest.mark.parametrize(
    "wait",
    [
        "ring.consumer().recv()",
        "next(ring.consumer())",
        "[tx.send(b'') for tx in [ring.producer()] for _ in range(9999)]",
        "slipring.open('no-such-ring', wait=1e9)",
    ],
    ids=["recv", "iteration", "send", "open"],
)
def test_ctrl_c_ends_a_wait(python, name, wait):
    """P8: KeyboardInterrupt, soon, and nothing is left behind."""
    process = python(
        f"""
        import signal, slipring, sys
        # Whoever runs the tests in the background may have SIGINT ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            with slipring.create(sys.argv[1]) as ring:
                print("waiting", flush=True)
                {wait}
        except KeyboardInterrupt:
            print("interrupted")
        """,
        name,
    )
    assert process.stdout.readline() == "waiting\n"
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    assert (out, err) == ("interrupted\n", "")


def test_ctrl_c_ends_a_batch_that_has_begun(python, name):
    """P8: what was sent is told with the interrupt."""
    process = python(
        """
        import signal, slipring, sys
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with slipring.create(sys.argv[1], slots=8) as ring:
            try:
                print("waiting", flush=True)
                ring.producer().send_many([b"x"] * 60)
            except KeyboardInterrupt as interrupt:
                print("interrupted", interrupt.sent)
        """,
        name,
    )
    assert process.stdout.readline() == "waiting\n"
    time.sleep(0.3)
    with slipring.open(name) as ring:
        assert len(ring.consumer().recv_many(3, 5)) == 3
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)
    assert (out, err) == ("interrupted 11\n", "")
    slipring.unlink(name)


async def awaited(awaitable):
    return await awaitable


def test_a_forked_child_is_told(ring, ends):
    """P2: handles and frames of the parent say so, and are let go without harm."""
    tx, rx = ends
    tx.send(np.arange(1000))
    tx.send(b"after")
    frame = rx.recv(0)
    room = asyncio.run(awaited(tx.reserve_async(8)))
    calls = [
        lambda: tx.send(b""), lambda: rx.recv(1), rx.try_recv, ring.producer, ring.inspect,
        lambda: frame.value, lambda: frame.meta, frame.ack, frame.nack, lambda: frame.view,
        lambda: tx.reserve(8).__enter__(), rx.recv_dead, ring.finish, lambda: rx.recv_many(1),
        lambda: tx.send_many([b""]), ring.share, room.__enter__,
        lambda: asyncio.run(tx.send_many_async([b""])), lambda: asyncio.run(awaited(tx.reserve_async(8))),
    ]  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Newer Pythons warn of threads.
        child = os.fork()
    if child == 0:
        told = 0
        try:
            for call in calls:
                try:
                    call()
                except slipring.Forked as error:
                    told += error.pid == os.getpid()
            frame.release()
            tx.close(), rx.close(), ring.close()
        finally:
            os._exit(told)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == len(calls)
    assert frame.value.sum() == 499500 and ring.inspect().held == 1
    assert rx.recv(0).value == b"after"


def test_asyncio(ring, ends):
    """P8: a task waits without holding up its loop; async for ends with the ring."""
    tx, rx = ends

    async def main():
        beats = 0

        async def beat():
            nonlocal beats
            while True:
                await asyncio.sleep(0.005)
                beats += 1

        beating = asyncio.create_task(beat())
        waiting = asyncio.create_task(rx.recv_async())
        await asyncio.sleep(0.1)
        assert not waiting.done() and beats > 2
        tx.send(b"first")
        assert bytes((await waiting).value) == b"first"

        def produce():
            for i in range(500):
                tx.send(bytes([i % 256]), timeout=10)
                if i % 100 == 0:
                    time.sleep(0.01)
            ring.finish()

        thread = threading.Thread(target=produce)
        thread.start()
        got = [frame.value[0] async for frame in rx]
        thread.join()
        beating.cancel()
        return got

    assert asyncio.run(asyncio.wait_for(main(), 30)) == [i % 256 for i in range(500)]


def test_asyncio_tasks_share_a_consumer_and_can_be_cancelled(name):
    """P8: each frame goes to one task; a cancelled wait takes none and keeps nothing."""

    async def main():
        with slipring.create(name) as ring:
            tx, rx = ring.producer(), ring.consumer()
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(rx.recv_async(), 0.05)
            tasks = [asyncio.create_task(rx.recv_async()) for _ in range(4)]
            await asyncio.sleep(0.02)
            tasks.pop().cancel()
            await asyncio.sleep(0)
            tx.send_many([b"1", b"2", b"3"])
            frames = await asyncio.gather(*tasks)
            assert sorted(bytes(frame.value) for frame in frames) == [b"1", b"2", b"3"]
            del frames, tasks
            left = asyncio.create_task(rx.recv_async())
            await asyncio.sleep(0.02)
        with pytest.raises(slipring.Error, match="consumer was closed"):
            await left

    asyncio.run(asyncio.wait_for(main(), 30))
    assert name not in slipring.list()


ECHO = """
import slipring, sys, numpy as np
there, back = sys.argv[1:]
with slipring.open(there, wait=10) as a, slipring.create(back, capacity="4 MiB") as b:
    tx = b.producer()
    for frame in a.consumer():
        tx.send(frame.value, meta=frame.meta, timeout=10)
    b.finish()
    print("done", flush=True)
    sys.stdin.read()
"""


def test_two_processes(python, name):
    """P1, P3: both directions, small and large, until the ring is finished."""
    with slipring.create(name, capacity="4 MiB") as ring:
        process = python(ECHO, name, name + "-back")
        tx = ring.producer()
        with slipring.open(name + "-back", wait=10) as back:
            rx = back.consumer()
            for i in range(300):
                sent = np.full((i % 7, 1 + i * 11 % 500), i, "<u2")
                tx.send(sent, meta={"i": i}, timeout=10)
                frame = rx.recv(10)
                assert (frame.meta, frame.sequence) == ({"i": i}, i)
                assert np.array_equal(frame.value, sent) and frame.in_place
            tx.send(b"bytes")
            assert bytes(rx.recv(10).value) == b"bytes"
            ring.finish()
            assert list(rx) == []
            del frame
            assert process.communicate(timeout=10) == ("done\n", "")
    assert process.returncode == 0
    assert name + "-back" not in slipring.list()


def test_a_second_producer_names_the_other_process(python, ring, name):
    """P2, R9.1: and takes its place when it is killed."""
    process = python(
        """
        import slipring, sys
        tx = slipring.open(sys.argv[1]).producer()
        tx.send(b"from there")
        print("sent", flush=True)
        sys.stdin.read()
        """,
        name,
    )
    assert process.stdout.readline() == "sent\n"
    with pytest.raises(slipring.RoleTaken, match=str(process.pid)) as caught:
        ring.producer()
    assert caught.value.pid == process.pid
    process.kill()
    process.wait(10)
    ring.producer().send(b"from here")
    rx = ring.consumer()
    assert [bytes(f.value) for f in rx.recv_many(2)] == [b"from there", b"from here"]


def test_an_idle_wait_uses_no_cpu(python, name):
    """P8: blocking or in an event loop, a second of waiting costs almost nothing."""
    with slipring.create(name):
        for wait in ("rx.recv(1)", "asyncio.run(asyncio.wait_for(rx.recv_async(), 1))"):
            process = python(
                f"""
                import asyncio, slipring, sys, time
                rx = slipring.open(sys.argv[1]).consumer()
                start = time.process_time()
                try:
                    {wait}
                except (TimeoutError, asyncio.TimeoutError):
                    print(time.process_time() - start)
                """,
                name,
            )
            out, err = process.communicate(timeout=20)
            assert err == "" and float(out) < 0.1
