"""Sending many, and in place, with asyncio (P4, P8): who waits holds up no loop, and knows what went."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest

import slipring


@pytest.fixture
def ring(name):
    with slipring.create(name, mode="mpmc", slots=8, capacity="4 MiB", share=100) as ring:
        yield ring


def run(main):
    return asyncio.run(asyncio.wait_for(main, 30))


async def blocked(task, ring):
    """Lets `task` go on until it waits for room, while the loop is free."""
    while ring.inspect().waiting < 8:
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.02)
    assert not task.done()


def test_many_are_sent_while_a_consumer_drains(ring, ends):
    """P8: a full ring is waited for; all come, in order, each as it was."""
    tx, rx = ends
    sent = [bytes([n]) if n % 3 else np.full(n * 40, n) for n in range(256)]

    async def main():
        sending = asyncio.create_task(tx.send_many_async(iter(sent)))
        await blocked(sending, ring)
        for one in sent:
            value = (await rx.recv_async()).value
            assert bytes(value) == bytes(one) and isinstance(value, np.ndarray) != (type(one) is bytes)
        return await sending

    assert run(main()) == len(sent)
    assert run(nothing(tx)) == 0 and rx.try_recv() is None


async def nothing(tx):
    return await tx.send_many_async([])


@pytest.mark.parametrize("size", [1, 4 << 20], ids=["many small ones", "large ones"])
def test_sending_many_leaves_turns_to_others(name, size):
    """P8: also where there is always room."""
    beats = 0

    async def beat():
        nonlocal beats
        while True:
            beats += 1
            await asyncio.sleep(0)

    async def main():
        beating = asyncio.create_task(beat())
        with slipring.create(name, capacity="256 MiB") as ring:
            count = 1000 if size == 1 else 40
            assert await ring.producer().send_many_async([bytes(size)] * count) == count
            rx = ring.consumer()
            while rx.try_recv():
                pass
        beating.cancel()

    run(main())
    assert beats >= 10


def test_a_cancelled_batch_says_what_was_sent(ring, ends):
    """P8: by the error, whichever way it comes; the rest can be sent after it."""
    tx, rx = ends
    objects = [bytes([n]) for n in range(200)]

    async def main():
        sending = asyncio.create_task(tx.send_many_async(objects))
        await blocked(sending, ring)
        got = [rx.recv(0).value[0] for _ in range(3)]
        await asyncio.sleep(0.05)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError) as cancelled:
            await sending
        sent = cancelled.value.sent
        assert sent == 11 and cancelled.value.__notes__ == ["sent before this: 11"]

        with pytest.raises(TimeoutError) as late:
            async with asyncio.timeout(0.05):
                await tx.send_many_async(objects[sent:])
        assert late.value.__cause__.sent == 0

        sending = asyncio.create_task(tx.send_many_async(objects[sent:]))
        await asyncio.sleep(0)
        got += [(await rx.recv_async()).value[0] for _ in range(197)]
        assert await sending == 189
        assert got == list(range(200))

    run(main())


def test_what_goes_wrong_in_a_batch_says_what_was_sent(ring, ends):
    """R9.1: a bad object, the iterable's own error, an end: after what went before."""
    tx, rx = ends

    def failing():
        yield from [b"x"] * 70
        raise KeyError("of its own")

    async def drained(objects):
        async def drain():
            while True:
                await rx.recv_async()

        draining = asyncio.create_task(drain())
        try:
            return await tx.send_many_async(objects)
        finally:
            draining.cancel()
            while rx.try_recv():
                pass

    with pytest.raises(KeyError) as raised:
        run(drained(failing()))
    assert raised.value.sent == 70 and raised.value.__notes__ == ["sent before this: 70"]
    with pytest.raises(slipring.EncodeError, match="generator.*; sent before this: 66$") as refused:
        run(drained([b"x"] * 66 + [(x for x in [])] + [b"x"]))
    assert refused.value.sent == 66
    with pytest.raises(slipring.TooLarge) as too_large:
        run(drained([b"x", bytes(64 << 20)]))
    assert too_large.value.sent == 1
    with pytest.raises(slipring.EncodeError, match="iterable"):
        tx.send_many_async("text")
    with pytest.raises(TypeError, match="iterable"):
        tx.send_many_async(7)


@pytest.mark.parametrize(
    "end, error", [("finish", slipring.Closed), ("close", slipring.Detached)]
)
def test_an_end_ends_the_waits(ring, ends, end, error):
    """P8: of all that wait for room, at once and by an error."""
    tx, _ = ends

    async def main():
        many = asyncio.create_task(tx.send_many_async([b"x"] * 30))
        await blocked(many, ring)
        place = asyncio.create_task(place_of(tx.reserve_async(7 << 19)))
        held = await tx.reserve_async(1 << 20)
        late = asyncio.create_task(place_of(tx.reserve_async(1 << 20)))
        await asyncio.sleep(0.02)
        # A finished ring still has memory to reserve, and no place.
        assert late.done() is False and place.done() is False
        (ring.finish if end == "finish" else tx.close)()
        with pytest.raises(error, match="closed.*sent before this: 8$") as ended:
            await many
        assert ended.value.sent == 8
        for waiting in (place, late):
            with pytest.raises(error, match="closed"):
                await waiting
        with pytest.raises(error, match="closed"):
            with held:
                pass

    async def place_of(reserving):
        async with reserving as view:
            view[:1] = b"x"

    run(main())
    assert ring.inspect().filling == 0


def test_a_place_is_reserved_when_there_is_room(ring, ends):
    """P4, P8: in the segment, after memory was waited for; the loop goes on."""
    tx, rx = ends
    tx.send(np.zeros(3 << 20, "u1"))
    holding = rx.recv(0)

    async def write():
        async with tx.reserve_async((2, 1 << 20), "u1", order="F", meta={"k": 1}) as array:
            assert array.ctypes.data in ring.mapped and array.flags.f_contiguous
            await asyncio.sleep(0)
            array[:] = 7
        assert array.size == 0

    async def main():
        nonlocal holding
        writing = asyncio.create_task(write())
        await asyncio.sleep(0.05)
        assert not writing.done() and ring.inspect().filling == 0
        holding = None
        frame = await rx.recv_async()
        await writing
        assert (frame.value == 7).all() and frame.value.shape == (2, 1 << 20)
        assert frame.meta == {"k": 1}

    run(main())


def test_a_reservation_that_was_awaited_has_its_room(ring, ends):
    """P4: for `with`, later; what has no place then is told, and its room is free again."""
    tx, rx = ends

    async def main():
        first, second = await tx.reserve_async(5), await tx.reserve_async((2,), "<i2")
        assert ring.inspect().filling == 2
        with second as array:
            array[:] = [1, 2]
        with first as view:
            view[:] = b"later"
        assert rx.recv(0).value.tolist() == [1, 2] and bytes(rx.recv(0).value) == b"later"
        third = await tx.reserve_async(1)
        tx.send_many([b"x"] * 8)
        with pytest.raises(slipring.Full):
            with third:
                pass
        assert ring.inspect().filling == 0
        await tx.reserve_async(9)
        assert ring.inspect().filling == 0, "dropped unused"

    run(main())


def test_leaving_waits_for_a_place(ring, ends):
    """P4, P8: without holding the loop; a wait that is cancelled sends nothing."""
    tx, rx = ends

    async def write(value):
        async with tx.reserve_async(1) as view:
            view[0] = value
            while ring.inspect().waiting < 8:
                tx.send(b"\0", timeout=0)

    async def main():
        writing = asyncio.create_task(write(7))
        await blocked(writing, ring)
        assert ring.inspect().filling == 1
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        assert ring.inspect().filling == 0
        rx.recv_many(8, 0)
        writing = asyncio.create_task(write(9))
        await blocked(writing, ring)
        assert [(await rx.recv_async()).value[0] for _ in range(9)] == [0] * 8 + [9]
        await writing
        assert rx.try_recv() is None

    run(main())


def test_a_wait_for_a_place_can_be_cancelled(ring, ends):
    """P8: it keeps no room; neither does one that is never awaited."""
    tx, rx = ends
    tx.send(np.zeros(3 << 20, "u1"))

    async def main():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await tx.reserve_async(2 << 20)
        tx.reserve_async(10)
        rx.recv(0)
        await asyncio.sleep(0.15)
        assert ring.inspect().filling == 0
        with pytest.raises(slipring.TooLarge):
            await tx.reserve_async(1 << 30)
        with pytest.raises(slipring.EncodeError, match="object"):
            tx.reserve_async((1,), "O")

    run(main())


def test_what_goes_wrong_inside_drops_the_frame(ring, ends):
    """P4, P5: an exception passes, and what escapes keeps its memory, as without asyncio."""
    tx, rx = ends

    async def main():
        with pytest.raises(ZeroDivisionError):
            async with tx.reserve_async(4) as view:
                view[0] = 1 // 0
        del view
        assert ring.inspect().filling == 0
        with pytest.raises(BufferError, match="nothing was sent"):
            async with tx.reserve_async((4,), "u1") as array:
                escaped = array[1:]
        assert ring.inspect().filling == 1
        del escaped, array
        assert ring.inspect().filling == 0 and rx.try_recv() is None

    run(main())


def test_a_thread_that_has_the_end_is_waited_for(ring, ends):
    """P5, P8: tasks and threads share a producer; each frame goes once."""
    tx, rx = ends
    thread = threading.Thread(target=lambda: tx.send_many([b"t"] * 100))

    async def main():
        thread.start()
        sending = asyncio.create_task(tx.send_many_async([b"a"] * 100))
        got = [bytes((await rx.recv_async()).value) for _ in range(200)]
        assert await sending == 100
        assert got.count(b"a") == got.count(b"t") == 100

    run(main())
    thread.join(10)
    assert not thread.is_alive()


def test_a_program_that_has_waited_ends_well(name, python):
    """R8.2, P8: whatever the watching thread is about when the interpreter ends, which takes a while after large imports."""
    code = """
        import asyncio, sys
        import numpy, pandas
        import slipring

        ring = slipring.create(sys.argv[1])
        tx, rx = ring.producer(), ring.consumer()

        async def main():
            task = asyncio.create_task(rx.recv_async())
            await asyncio.sleep(0.02)
            tx.send(b"x")
            await task

        asyncio.run(main())
        print("ends")
        """
    for _ in range(4):
        process = python(code, name)
        said, errors = process.communicate(timeout=60)
        assert (process.returncode, said.strip()) == (0, "ends"), errors
        # As after any end that was none of its own.
        if name in slipring.list():
            slipring.unlink(name)
