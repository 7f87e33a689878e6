"""Rings for many: modes, acknowledgement, dead letters, dropping the oldest (P2, P6, P7)."""

import asyncio
import contextlib
import errno
import gc
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import slipring


@pytest.fixture
def ring(name):
    with slipring.create(name, mode="mpmc", slots=8, capacity="4 MiB") as ring:
        yield ring
        rest = ring.consumer()
        with contextlib.suppress(slipring.Closed):
            while rest.try_recv():
                pass


def test_modes_say_who_may_be_there_twice(name):
    """P2: ends for one are refused a second time, ends for many are not."""
    for mode in ("spsc", "mpsc", "spmc", "mpmc"):
        with slipring.create(name, mode=mode) as ring:
            assert ring.mode == ring.inspect().mode == mode
            ends = [ring.producer(), ring.consumer()]
            for make, letter in ((ring.producer, mode[0]), (ring.consumer, mode[2])):
                if letter == "m":
                    ends.append(make())
                else:
                    with pytest.raises(slipring.RoleTaken):
                        make()
            del ends
    with pytest.raises(slipring.InvalidOption, match="spsc, mpsc, spmc or mpmc"):
        slipring.create(name, mode="many")


def test_each_frame_goes_to_one_of_many_threads(ring):
    """P2: many threads on both sides, each frame once."""
    each, got = 500, [[], []]

    def consume(mine):
        for frame in ring.consumer():
            mine.append(int(np.asarray(frame)[0]))

    def produce(first):
        tx = ring.producer()
        for n in range(each):
            tx.send(np.array([first + n]))

    consumers = [threading.Thread(target=consume, args=(mine,)) for mine in got]
    producers = [threading.Thread(target=produce, args=(n * each,)) for n in range(3)]
    for thread in consumers + producers:
        thread.start()
    for thread in producers:
        thread.join()
    ring.finish()
    for thread in consumers:
        thread.join()
    assert sorted(got[0] + got[1]) == list(range(3 * each))
    for mine in got:
        for first in range(0, 3 * each, each):
            of_one = [n for n in mine if first <= n < first + each]
            assert of_one == sorted(of_one)


def test_what_is_not_acknowledged_comes_again(ring):
    """P6: acknowledged frames are gone; the others come again, counted, to whichever consumer."""
    tx = ring.producer()
    rx = ring.consumer(ack="manual")
    tx.send(b"one")
    tx.send(np.arange(5000))
    one, two = rx.recv(0), rx.recv(0)
    one.ack()
    with pytest.raises(slipring.Acknowledged):
        one.nack()
    assert (one.redeliveries, two.redeliveries) == (0, 0)
    del one, two
    gc.collect()
    again = ring.consumer(ack="manual").recv(0)
    assert (again.redeliveries, again.value.sum()) == (1, 12497500)
    # Its view is still there: it waits.
    view = again.value
    again.nack()
    with pytest.raises(slipring.GivenBack):
        again.ack()
    assert rx.try_recv() is None
    del view
    last = rx.recv(0)
    assert last.redeliveries == 2
    last.ack()
    last.release()
    assert rx.try_recv() is None


def test_what_was_given_back_comes_at_once(ring):
    """P6: the name that a loop keeps for its frame is in nobody's way."""
    ring.producer().send(b"job")
    seen = []
    for frame in ring.consumer(ack="manual"):
        seen.append(frame.redeliveries)
        if frame.redeliveries < 2:
            frame.nack()
            frame.nack()
            with pytest.raises(slipring.GivenBack):
                frame.ack()
            continue
        frame.ack()
        frame.release()
        frame.ack()
        with pytest.raises(slipring.Acknowledged):
            frame.nack()
        break
    assert seen == [0, 1, 2]


def test_a_with_block_that_fails_gives_the_frame_back(ring):
    """P6: leaving without an acknowledgement is one to come again."""
    ring.producer().send(b"work")
    rx = ring.consumer(ack="manual")
    with pytest.raises(ValueError), rx.recv(0):
        raise ValueError("no luck")
    with rx.recv(0) as frame:
        assert (bytes(frame.value), frame.redeliveries) == (b"work", 1)
        frame.ack()
    assert rx.try_recv() is None


def test_a_consumer_that_goes_gives_back(ring):
    """P6: what is open when the consumer is closed can't be acknowledged any more."""
    ring.producer().send(b"work")
    with ring.consumer(ack="manual") as rx:
        frame = rx.recv(0)
    with pytest.raises(slipring.GivenBack):
        frame.ack()
    frame.release()
    assert ring.consumer().recv(0).redeliveries == 1


def test_too_many_open_frames_are_an_error_of_their_own(ring):
    """P6: the cap on unacknowledged frames, and what one does about it."""
    tx, rx = ring.producer(), ring.consumer(ack="manual", limit=2)
    for n in range(3):
        tx.send(bytes([n]))
    held = [rx.recv(0), rx.recv(0)]
    with pytest.raises(slipring.Unacknowledged, match="acknowledge or give back") as caught:
        rx.recv(0)
    assert caught.value.limit == 2
    held[0].ack()
    held.append(rx.recv(0))
    for frame in held[1:]:
        frame.ack()
    for wrong in (0, -1, 2**40):
        with pytest.raises(slipring.InvalidOption, match="limit"):
            ring.consumer(ack="manual", limit=wrong)
    with pytest.raises(slipring.InvalidOption, match="limit"):
        ring.consumer(limit=3)
    with pytest.raises(slipring.InvalidOption, match="auto or manual"):
        ring.consumer(ack="always")


def test_dead_letters_go_to_who_asks(name):
    """P6: after ``max_deliveries`` a frame goes round no more."""
    with slipring.create(name, mode="mpmc", max_deliveries=1) as ring:
        ring.producer().send(b"poison")
        rx = ring.consumer(ack="manual")
        for times in (0, 1):
            assert rx.recv(0).redeliveries == times
        assert rx.try_recv() is None
        assert ring.inspect().dead == 1
        with rx.recv_dead() as letter:
            assert bytes(letter.value) == b"poison"
            letter.ack()
        assert rx.recv_dead() is None
        assert ring.inspect().dead == 0


def test_the_oldest_is_dropped_where_asked(name):
    """P7: on a ring created for it, counted, and seen in the sequence."""
    with slipring.create(name, mode="mpmc", slots=8, drop_oldest=True) as ring:
        tx, rx = ring.producer(), ring.consumer()
        for n in range(20):
            tx.send(bytes([n]), drop_oldest=True)
        assert ring.dropped == ring.inspect().dropped == 12
        assert [frame.sequence for frame in rx.recv_many(20, 0)] == list(range(12, 20))
        assert tx.send_many([b"x"] * 10, drop_oldest=True) == 10
        with pytest.raises(TypeError, match="either timeout"):
            tx.send(b"x", timeout=1, drop_oldest=True)
        while rx.try_recv():
            pass
    with slipring.create(name, mode="mpmc", slots=8) as ring:
        tx = ring.producer()
        tx.send_many([b"x"] * 8)
        with pytest.raises(slipring.InvalidOption, match="not created with it"):
            tx.send(b"x", drop_oldest=True)
        ring.consumer().recv_many(8)
        with pytest.raises(slipring.InvalidOption, match="not created with it"):
            tx.send(b"x", drop_oldest=True)


def test_tasks_share_a_ring(ring):
    """P6, P8: asyncio consumers of one ring; a cancelled task gives back what it had."""

    async def main():
        tx = ring.producer()
        stuck = ring.consumer(ack="manual")

        async def hang():
            frame = await stuck.recv_async()
            await asyncio.sleep(60)
            frame.ack()

        task = asyncio.create_task(hang())
        tx.send(b"job")
        while not ring.inspect().held:
            await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        del task
        gc.collect()
        rx = ring.consumer(ack="manual")
        async with asyncio.timeout(10):
            frame = await rx.recv_async()
        assert (bytes(frame.value), frame.redeliveries) == (b"job", 1)
        frame.ack()

    asyncio.run(main())


def test_a_task_waits_for_room(name):
    """P8: sending with asyncio waits while the loop goes on, and ends with the ring or the task."""

    async def main():
        with slipring.create(name, mode="mpmc", slots=8) as ring:
            tx, rx = ring.producer(), ring.consumer()

            async def produce():
                for n in range(200):
                    await tx.send_async(bytes([n]), meta={"n": n})

            sending = asyncio.create_task(produce())
            await asyncio.sleep(0.05)
            assert not sending.done() and ring.inspect().waiting == 8
            got = [(await rx.recv_async()).meta["n"] for _ in range(200)]
            await sending
            assert got == list(range(200))
            tx.send_many([b"x"] * 6)
            assert len(await rx.recv_many_async(4)) == 4 and len(await rx.recv_many_async(9)) == 2
            assert await rx.recv_many_async(0) == []
            tx.send_many([b"one", b"other"])
            # What is refused takes nothing.
            with pytest.raises(OverflowError):
                await rx.recv_many_async(-1)
            for body in (b"one", b"other"):
                assert [frame.value for frame in await rx.recv_many_async(1)] == [body]
            tx.send_many([b"x"] * 8)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await tx.send_async(b"x")
            waiting = asyncio.create_task(tx.send_async(b"x"))
            await asyncio.sleep(0.02)
            tx.close()
            with pytest.raises(slipring.Detached, match="closed"):
                await asyncio.wait_for(waiting, 5)
            rx.recv_many(8)
            with pytest.raises(slipring.TooLarge):
                await ring.producer().send_async(bytes(200 << 20))

    asyncio.run(main())


def test_a_share_of_the_pool(name):
    """P7: one process can't take the whole pool."""
    with slipring.create(name, mode="mpmc", slots=64, capacity="4 MiB", share=25) as ring:
        assert ring.max_body < 1 << 20
        tx = ring.producer()
        sent = 0
        with pytest.raises(slipring.Full):
            while True:
                tx.send(bytes(60_000), timeout=0)
                sent += 1
        assert 15 <= sent <= 17
        rx = ring.consumer()
        kept = rx.recv_many(64)
        tx.send(b"small")  # which takes nothing of the pool
        with pytest.raises(slipring.ShareHeld, match="let go") as caught:
            rx.recv(5)
        assert caught.value.held >= caught.value.limit == 1 << 20
        del kept[0]
        assert rx.recv(5).value == b"small"
    for wrong in (0, 101, -3, 1000):
        with pytest.raises(slipring.InvalidOption, match="share"):
            slipring.create(name, share=wrong)


def test_an_anonymous_ring_is_inherited():
    """P1: no name, one descriptor, sealed."""
    child = """
import slipring, sys
with slipring.open(fd=int(sys.argv[1])) as ring:
    frame = ring.consumer().recv(20)
    sys.exit(0 if bytes(frame.value) == b"for my child" else 3)
"""
    with slipring.create(anonymous=True, capacity="1 MiB") as ring:
        fd = ring.share()
        try:
            with pytest.raises(OSError):
                os.ftruncate(fd, 0)
            process = subprocess.Popen([sys.executable, "-c", child, str(fd)], pass_fds=[fd])
            ring.producer().send(b"for my child")
            assert process.wait(30) == 0
        finally:
            os.close(fd)
    with pytest.raises(TypeError, match="no name"):
        slipring.create("named", anonymous=True)
    with pytest.raises(slipring.Refused, match="pass_fds"):
        slipring.open(fd=987)


def test_memory_can_be_given_back_and_locked(name):
    """R8.4: idle memory goes back to the system."""
    with slipring.create(name, capacity="8 MiB") as ring:
        tx, rx = ring.producer(), ring.consumer()
        tx.send(bytes(5 << 20))
        assert tx.trim() == 0
        rx.recv(0).release()
        assert tx.trim() >= 5 << 20


def mapped_with(ring):
    """What the system says of this process's mapping of the ring (``VmFlags`` in ``man 5 proc_pid_smaps``)."""
    # It has no name: the ring had none when it was mapped.
    inode = str(os.stat(ring.path).st_ino)
    lines = map(str.split, Path("/proc/self/smaps").read_text().splitlines())
    assert any(line[4:5] == [inode] for line in lines), ring.path
    return next(line for line in lines if line[0] == "VmFlags:")


def test_memory_can_be_locked(name):
    with slipring.create(name, capacity="1 MiB") as ring:
        assert "lo" not in mapped_with(ring)
        try:
            ring.lock_memory()
        except slipring.Refused as refused:
            assert refused.errno in (errno.ENOMEM, errno.EPERM, errno.EAGAIN, errno.ENOSYS), refused
            assert "lo" not in mapped_with(ring)
        else:
            assert "lo" in mapped_with(ring)


def test_huge_pages_can_be_asked_for(name):
    there = Path("/sys/kernel/mm/transparent_hugepage").exists()
    with slipring.create(name, capacity="4 MiB") as ring:
        assert "hg" not in mapped_with(ring)
        if there:
            ring.use_huge_pages()
        else:
            with pytest.raises(slipring.Refused, match="huge pages") as refused:
                ring.use_huge_pages()
            assert refused.value.errno == errno.EINVAL
        assert ("hg" in mapped_with(ring)) == there
