"""Raw frames, metadata, and sending and receiving several at once."""

from __future__ import annotations

import array
import time

import numpy as np
import pytest

import slipring

SIZES = [0, 1, 63, 64, 191, 192, 193, 4096, (1 << 16) - 1, 1 << 16, 1 << 20]


@pytest.mark.parametrize("size", SIZES)
def test_bytes_survive_in_place(ends, size):
    """R3.1, R3.3: in the cell and in the pool, as a read-only view."""
    tx, rx = ends
    body = bytes(i % 251 for i in range(size))
    for sent in (body, bytearray(body), memoryview(body), array.array("B", body)):
        tx.send(sent)
        frame = rx.recv(0)
        assert frame.value == body and frame.value.readonly
        assert frame.format == "raw" and frame.meta is None and frame.in_place
        assert bytes(frame.view) == bytes(memoryview(frame)) == body


def test_any_buffer_is_bytes(ends):
    """R3.1: strided and, where that is asked for, typed buffers arrive as their bytes in C order."""
    tx, rx = ends
    tx.send(memoryview(b"0123456789")[::-3])
    tx.send(array.array("d", [1.5, -2.0]), format="raw")
    tx.send(memoryview(np.arange(6, dtype="<i2").reshape(2, 3).T), format="raw")
    assert bytes(rx.recv(0).value) == b"9630"
    assert array.array("d", bytes(rx.recv(0).value)).tolist() == [1.5, -2.0]
    assert np.frombuffer(rx.recv(0).value, "<i2").tolist() == [0, 3, 1, 4, 2, 5]


def test_metadata_survives(ends):
    """R3.5, R13.3: nested, and all numbers that the wire holds."""
    tx, rx = ends
    meta = {
        "none": None, "yes": True, "no": False, "float": -0.5, "inf": float("inf"),
        "ints": [0, -1, 2**63, -(2**63), 2**64 - 1, -(2**64)],
        "text": "häß\0\U0001f600", "bytes": b"\x00\xff", "": {"deep": [[], {}, [{"x": 1}]]},
    }  # fmt: skip
    for body in (b"", b"x" * 1000, b"x" * (1 << 17)):
        tx.send(body, meta=meta)
        frame = rx.recv(0)
        assert (frame.meta, bytes(frame.value)) == (meta, body)
    tx.send(b"", meta={"tuple": (1, 2), "numpy": np.int16(5), "bytearray": bytearray(b"b")})
    assert rx.recv(0).meta == {"tuple": (1, 2), "numpy": 5, "bytearray": b"b"}
    tx.send(b"", meta={})
    assert rx.recv(0).meta == {}


def test_metadata_that_can_not_be_sent_is_named(ends):
    """R6.5: the path to it, its type, what to do."""
    tx, rx = ends
    endless: list = []
    endless.append(endless)
    for meta, path, kind in [
        ([1], "$.meta", "list"),
        ({1: 2}, "$.meta", "int"),
        ({"a": [0, {"b": object()}]}, "$.meta.a[1].b", "object"),
        ({"e": endless}, "$.meta.e" + "[0]" * 8 + "..." + "[0]" * 10, "list"),
    ]:
        with pytest.raises(slipring.EncodeError) as caught:
            tx.send(b"", meta=meta)
        assert (caught.value.path, caught.value.type) == (path, kind)
    assert rx.try_recv() is None


@pytest.mark.parametrize("sent", [{"a": 1}, [b"x"], "text", 5, None, object()], ids=str)
def test_what_has_no_frame_is_named(ends, sent):
    """R6.5, R9.1."""
    tx, _ = ends
    with pytest.raises(slipring.EncodeError) as caught:
        tx.send(sent, format="raw")
    assert caught.value.type == type(sent).__name__
    assert "buffer" in caught.value.hint


def test_the_header_tells(ends):
    """P3, R13.1: sequence, time and format of each frame, after its release too."""
    tx, rx = ends
    before = time.time_ns()
    tx.send(b"abc")
    tx.send(np.zeros(3, ">f4"))
    first, second = rx.recv(0), rx.recv(0)
    first.release()
    with pytest.raises(slipring.Released, match="before release"):
        first.value  # noqa: B018
    assert (first.sequence, second.sequence) == (0, 1)
    # The frame's clock is bridged between looks at the system's: within a millisecond.
    assert before - 10**6 <= first.timestamp <= second.timestamp <= time.time_ns() + 10**6
    header = second.header
    assert (first.header.format, first.header.body_len, header.format) == (0, 3, 2)
    assert header.type_code == 0x8000 | ord("f") << 8 | 4
    assert (header.sequence, header.created_ns) == (second.sequence, second.timestamp)
    assert "type_code=0xe604" in repr(header) and "ndarray" in repr(second)


@pytest.mark.parametrize("size", SIZES)
def test_bytes_of_a_frame_without_the_frame(ends, size):
    """R3.1, P5: one by one and many at a time, as objects of their own."""
    tx, rx = ends
    body = bytes(i % 251 for i in range(size))
    tx.send_many([body, b"x" + body, body], timeout=0)
    assert rx.recv_bytes(0) == body
    both = rx.recv_many_bytes(9, 0)
    assert both == [b"x" + body, body] and {type(each) for each in both} == {bytes}
    assert rx.try_recv() is None


def test_bytes_are_those_of_the_view(ends):
    """R3.3: whatever the frame is, and without its metadata."""
    tx, rx = ends
    objects = [{"a": [1, "x"]}, np.arange(12.0).reshape(3, 4).T, 2**70, [{"n": 1}] * 100, b"raw"]
    views = []
    for sent in objects:
        tx.send(sent, meta={"site": 4})
        views.append(bytes(rx.recv(0).view))
        tx.send(sent, meta={"site": 4})
        assert rx.recv_bytes(0) == views[-1]
    for sent in objects:
        tx.send(sent, meta={"site": 4})
    assert rx.recv_many_bytes(9, 0) == views


def test_bytes_leave_nothing_held():
    """R8.4: more goes through than the pool holds, while all that came is kept."""
    with slipring.create(anonymous=True, capacity="1 MiB", slots=8) as ring:
        tx, rx = ring.producer(), ring.consumer()
        kept = []
        for n in range(64):
            assert tx.send_many([bytes([n]) * (100 << 10)] * 2, timeout=0) == 2
            kept += [rx.recv_bytes(0), *rx.recv_many_bytes(4, 0)]
        assert [len(body) == 100 << 10 and body[0] for body in kept] == [n // 2 for n in range(128)]


def test_bytes_that_do_not_come(ends):
    """P7, P8, R9.1: as with the calls for frames."""
    tx, rx = ends
    for call in (rx.recv_bytes, lambda timeout: rx.recv_many_bytes(3, timeout)):
        with pytest.raises(slipring.Empty):
            call(0)
        with pytest.raises(slipring.Timeout):
            call(0.01)
        with pytest.raises(ValueError, match="timeout is -1"):
            call(-1)
    for bad in (0, -1, 2**64):
        with pytest.raises(ValueError, match=f"option n is {bad}, but must be a whole number from 1"):
            rx.recv_many_bytes(bad)
    tx.send(b"last")
    tx.close()
    rx.close()
    for call in (rx.recv_bytes, lambda timeout: rx.recv_many_bytes(3, timeout)):
        with pytest.raises(slipring.Detached):
            call(0)


def test_bytes_are_acknowledged_as_they_are_taken(ring, forge):
    """P6: they don't come again; a frame that was not copied does, and what goes wrong is told once for each delivery."""
    tx = ring.producer()
    with ring.consumer(ack="manual", limit=2) as rx:
        for n in range(6):
            tx.send(bytes([n]))
        assert [rx.recv_bytes(0) for _ in range(3)] == [b"\0", b"\1", b"\2"]
        # The limit is that of what is open at a time.
        assert [*rx.recv_many_bytes(9, 0), *rx.recv_many_bytes(9, 0)] == [b"\3", b"\4", b"\5"]
        forge(tx, 99, 0, b"of no format", flags=0)
        with pytest.raises(slipring.DecodeError, match="format"):
            rx.recv_bytes(0)
        frame = rx.recv(0)
        assert frame.redeliveries == 1
        frame.ack()
    with ring.consumer() as rx:
        assert rx.try_recv() is None


def test_bytes_after_which_something_is_wrong(ends, forge):
    """R9.2: what was sent before and behind a frame that can't be read comes, in order, and the error by itself."""
    tx, rx = ends
    tx.send_many([b"a", b"b"])
    forge(tx, 99, 0, b"of no format", flags=0)
    tx.send_many([b"c", b"d"])
    assert rx.recv_many_bytes(9, 0) == [b"a", b"b"]
    with pytest.raises(slipring.DecodeError, match="format"):
        rx.recv_many_bytes(9, 0)
    assert rx.recv_many_bytes(9, 0) + rx.recv_many_bytes(9, 0) == [b"c", b"d"]
    # A frame that a reader of tables has left is the next one here, too.
    tx.send({"a": 1})
    with pytest.raises(slipring.DecodeError, match="format value"):
        next(rx.tables(timeout=0))
    tx.send(b"e")
    assert len(rx.recv_bytes(0)) > 1 and rx.recv_bytes(0) == b"e"


def test_several_at_once(ends):
    """P7: any objects, in order; lists and generators; nothing is nothing."""
    tx, rx = ends
    objects = [b"a", b"b" * 500, np.arange(3), b"c" * (1 << 17), bytearray(b"d"), b"e"]
    assert tx.send_many(objects) == 6
    assert tx.send_many([]) == 0
    frames = rx.recv_many(4)
    assert [frame.sequence for frame in frames] == [0, 1, 2, 3]
    assert [bytes(frame.view[:1]) for frame in rx.recv_many(100)] == [b"d", b"e"]
    with pytest.raises(slipring.Empty):
        rx.recv_many(9, timeout=0)
    with pytest.raises(slipring.Timeout):
        rx.recv_many(9, 0.01)
    for bad in (0, -1, 2**64):
        with pytest.raises(ValueError, match=f"option n is {bad}, but must be a whole number from 1"):
            rx.recv_many(bad)
    assert tx.send_many(bytes([i]) for i in range(60)) == 60
    assert [frame.value[0] for frame in rx.recv_many(64)] == list(range(60))
    with pytest.raises(slipring.EncodeError, match="; sent before this: 1") as caught:
        tx.send_many([b"sent", (x for x in "no form")])
    assert caught.value.sent == 1 and caught.value.type == "generator"
    assert bytes(rx.recv(0).value) == b"sent"
    with pytest.raises(slipring.EncodeError, match="iterable"):
        tx.send_many("text")


def test_an_error_among_several_says_how_many_went(ring, ends):
    """P7, R9.1: of the iterable's own making, and when the ring ends; what went is there."""
    tx, rx = ends

    def three():
        yield from (b"1", np.arange(2), b"3")
        raise KeyError("no more")

    with pytest.raises(KeyError) as caught:
        tx.send_many(three())
    assert caught.value.sent == 3 and len(rx.recv_many(9)) == 3
    assert getattr(caught.value, "__notes__", []) == ["sent before this: 3"]

    def until_finished():
        yield from [b"x"] * 64
        ring.finish()
        yield b"y"

    with pytest.raises(slipring.Closed, match="sent before this: 64") as caught:
        tx.send_many(until_finished())
    assert caught.value.sent == len(rx.recv_many(100)) == 64


def test_several_into_a_full_ring(ends):
    """P7: the count says how many were sent; those arrive, in order."""
    tx, rx = ends
    assert tx.send_many([bytes([i]) for i in range(100)], timeout=0) == 64
    assert tx.send_many([np.zeros(1)], timeout=0.01) == 0
    assert [frame.value[0] for frame in rx.recv_many(100)] == list(range(64))


def test_numpy_is_not_needed(python, ring, name):
    """R9.1: without NumPy bytes go both ways, and of an array its bytes can be read; its value, and
    a reservation of one, say what they need."""
    tx = ring.producer()
    tx.send(np.arange(3, dtype="u1"))
    tx.send(b"raw", meta={"a": 1})
    process = python(
        """
        import sys
        sys.modules["numpy"] = None
        import array, slipring
        with slipring.open(sys.argv[1]) as ring, slipring.create(sys.argv[1] + "-own") as own:
            rx, tx = ring.consumer(), own.producer()
            frame = rx.recv(0)
            tx.send(array.array("B", frame.view))
            for call in (lambda: frame.value, lambda: tx.reserve((3,), "u1")):
                try:
                    call()
                except ImportError as error:
                    print(error)
            print(rx.recv(0).meta, bytes(own.consumer().recv(0).value))
        """,
        name,
    )
    out, err = process.communicate(timeout=20)
    need = "arrays need NumPy 2: install numpy, or read the bytes by frame.view\n"
    assert (out, err) == (need * 2 + "{'a': 1} b'\\x00\\x01\\x02'\n", "")


def test_memory_stays_flat(ends):
    """R8.4: 10^5 round trips of both formats keep nothing."""
    tx, rx = ends

    def rounds(n):
        sent = np.arange(100)
        for _ in range(n):
            tx.send(b"x" * 64, meta={"k": "v"})
            tx.send(sent)
            rx.recv(0).value, rx.recv(0).meta
            for frame in (tx.send_many([sent, b"y"]), *rx.recv_many(2)):
                assert frame is not None
            with tx.reserve((3,), "u1") as array:
                array[0] = 1
            rx.recv(0).value.sum()

    def resident():
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * 4096

    rounds(2_000)
    before = resident()
    rounds(20_000)  # Five frames each.
    assert resident() - before < 2 << 20
