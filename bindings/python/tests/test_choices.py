"""What the log says of choices: R1.5. To who asks, and then for whichever way frames take into a ring."""

import asyncio
import dataclasses
import logging
import sys
import warnings

import numpy as np
import pyarrow
import pytest

import slipring
from slipring import dataclass, json


@pytest.fixture
def asked(caplog):
    """The messages, from here on."""
    caplog.set_level(logging.DEBUG, logger="slipring")
    slipring.log_choices()
    yield lambda: [record.message for record in caplog.records if record.name == "slipring"]
    slipring.log_choices(False)


@dataclasses.dataclass
class Point:
    x: int


RAW = "bytes are the frame as they are, and are read in place"
ARRAY = "keeps dtype, shape and order, and is read in place"
VALUE = "every language reads it, and large bytes, arrays and tables in it in place"
TABLE = "keeps columns, types and nulls, and is read in place"


@pytest.mark.parametrize(
    "sent, format, reason, kind",
    [
        (b"abc", "raw", RAW, "bytes"),
        (bytes(100_000), "raw", RAW, "bytes"),
        (memoryview(b"abcdef")[::2], "raw", RAW, "memoryview"),
        (7, "value", VALUE, "int"),
        ({"a": [1]}, "value", VALUE, "dict"),
        (Point(1), "value", VALUE, f"{__name__}.Point"),
        (np.arange(3), "ndarray", ARRAY, "numpy.ndarray"),
        (pyarrow.table({"a": [1]}), "arrow", TABLE, "pyarrow.lib.Table"),
        ([{"n": n} for n in range(200)], "arrow", "the same keys and types throughout: columns are smaller and read in place", "list"),
        (json.Raw(b"[1]"), "json", "it is JSON already, and every language reads it", "slipring.json.Raw"),
        (slice(3), "pickle", "nothing else holds it; it is read only by who trusts the sender", "slice"),
        (np.array([slice(1)]), "pickle", "nothing else holds it; it is read only by who trusts the sender", "numpy.ndarray"),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_sent_is_logged_with_its_reason(name, asked, caplog, sent, format, reason, kind):
    with slipring.create(name) as ring:
        ring.producer(pickle=True).send(sent)
        assert asked()[-1] == f"sent on {name} as {format}: {reason} ({kind})"
        record = caplog.records[-1]
        assert (record.levelno, record.ring, record.format, record.frames, record.type) == (logging.DEBUG, name, format, 1, kind)
        # Of the line that sent it.
        assert record.filename == "test_choices.py"
        assert ring.consumer(pickle=True).recv(0).format == format


@pytest.mark.parametrize("format", ["raw", "ndarray", "value", "arrow", "pickle", "json"])
def test_what_was_asked_for_is_said_to_be(ends, name, asked, format):
    tx, _ = ends
    sent = {"raw": b"a", "ndarray": np.zeros(2), "arrow": [{"a": 1}]}.get(format, [1])
    tx.send(sent, format=format)
    (said,) = asked()
    assert said.startswith(f'sent on {name} as {format}: it was asked for by format="{format}" (')


def test_nothing_is_logged_unasked_and_after(ends, caplog, asked):
    tx, _ = ends
    slipring.log_choices(False)
    tx.send(b"a")
    tx.send_many([b"a", 1])
    slipring.log_choices(True)
    assert asked() == []
    tx.send(1)
    assert len(asked()) == 1
    slipring.log_choices(on=False)
    tx.send(1)
    assert len(asked()) == 1
    # And not of a logger that takes less.
    slipring.log_choices()
    caplog.set_level(logging.INFO, logger="slipring")
    tx.send(1)
    assert len(asked()) == 1
    with pytest.raises(TypeError, match="on must be True or False, not str"):
        slipring.log_choices("yes")


def test_many_frames_of_a_kind_are_one_record(ends, name, asked, caplog):
    tx, rx = ends
    assert tx.send_many([b"a", 1, b"b"]) == 3
    assert asked() == [f"sent 2 frames on {name} as raw: {RAW} (bytes)", f"sent on {name} as value: {VALUE} (int)"]
    assert [record.frames for record in caplog.records] == [2, 1]
    caplog.clear()
    # What was sent before an error is said, what was not is not.
    with pytest.raises(slipring.EncodeError) as caught:
        tx.send_many([b"a", (x for x in ()), b"b"])
    assert caught.value.sent == 1
    assert asked() == [f"sent on {name} as raw: {RAW} (bytes)"]
    caplog.clear()
    # Into a ring that is full.
    rx.recv_many(10)
    assert tx.send_many([b"c"] * 100, timeout=0) == 64
    assert asked() == [f"sent 64 frames on {name} as raw: {RAW} (bytes)"]
    caplog.clear()
    with pytest.raises(slipring.Full):
        tx.send(b"", timeout=0)
    assert asked() == []


def test_every_other_way_is_logged(ring, name, asked, caplog):
    tx, rx = ring.producer(), ring.consumer()

    def said():
        messages = [message.removeprefix(f"sent on {name} as ") for message in asked()]
        caplog.clear()
        return messages

    with tx.reserve(8) as _:
        pass
    with tx.reserve((2, 3), "f4") as _:
        pass
    assert said() == ["raw: it was reserved so", "ndarray: it was reserved so"]
    tx.send(rx.recv(0))
    assert said() == ["raw: a frame is sent on as what it is (slipring.Frame)"]
    table = pyarrow.table({"a": [1, 2, 3, 4]})
    assert tx.send_batches(table, rows=2) == 2
    assert said() == [f"sent 2 frames on {name} as arrow: {TABLE}"]
    dataclass.to_frame(tx, Point(1))
    dataclass.to_frame(tx, Point(1), format="json")
    assert said() == [f"value: {VALUE} ({__name__}.Point)", f'json: it was asked for by format="json" ({__name__}.Point)']

    async def sends():
        await tx.send_async(b"a")
        await tx.send_many_async([1, 2, b"b"])
        await tx.send_batches_async(table)
        async with tx.reserve_async(8) as _:
            pass

    asyncio.run(sends())
    assert said() == [
        f"raw: {RAW} (bytes)",
        f"sent 2 frames on {name} as value: {VALUE} (int)",
        f"raw: {RAW} (bytes)",
        f"arrow: {TABLE}",
        "raw: it was reserved so",
    ]


def test_tables_under_a_schema_and_rings_of_a_file(tmp_path, asked):
    path = tmp_path / "ring"
    with slipring.create(path=path) as ring:
        schema = ring.announce("t", pyarrow.schema([("a", pyarrow.int64())]), version=1)
        tx = ring.producer()
        tx.send([{"a": 1}], schema=schema)
        tx.send_many([[{"a": 1}], [{"a": 2}]], schema=schema)
    told = f"on {path} as arrow: it was asked for by schema=... (list)"
    assert asked() == [f"sent {told}", f"sent 2 frames {told}"]


class Raises(logging.Handler):
    def __init__(self, error):
        super().__init__()
        self.error = error

    def emit(self, record):
        raise self.error


@pytest.fixture
def handled(asked):
    """Adds a handler."""
    added = []

    def add(handler):
        logging.getLogger("slipring").addHandler(handler)
        added.append(handler)

    yield add
    for handler in added:
        logging.getLogger("slipring").removeHandler(handler)


def test_what_a_handler_raises_loses_no_frame(ends, handled, monkeypatch):
    """The frame is sent, so sending it must not seem to have failed: who sends again would send it twice."""
    tx, rx = ends
    seen = []
    monkeypatch.setattr(sys, "unraisablehook", lambda told: seen.append(told.exc_value))
    error = OSError("the disk is full")
    handled(Raises(error))
    tx.send(b"a")
    assert tx.send_many([1, b"b"]) == 2
    with tx.reserve(3) as _:
        pass
    asyncio.run(tx.send_many_async([b"c", b"d"]))
    assert seen == [error] * 4
    assert [bytes(frame.view) for frame in rx.recv_many(9)] == [b"a", b"\x01", b"b", bytes(3), b"c", b"d"]
    # With what is under way it does not meddle.
    with pytest.raises(slipring.EncodeError) as caught:
        tx.send_many([b"a", (x for x in ())])
    assert caught.value.sent == 1


def test_a_signal_while_the_log_is_told_is_not_lost(ends, handled):
    tx, rx = ends
    handled(Raises(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        tx.send(b"a")
    with pytest.raises(KeyboardInterrupt) as caught:
        tx.send_many([b"b", b"c"])
    assert caught.value.sent == 2
    # Nor where something else has gone wrong before.
    with pytest.raises(KeyboardInterrupt) as caught:
        tx.send_many([b"d", (x for x in ())])
    assert caught.value.sent == 1
    assert len(rx.recv_many(9)) == 4


def test_a_handler_may_send_frames_itself(ends, handled, asked):
    """Which it says nothing of: there would be no end of it."""
    tx, rx = ends

    class Ships(logging.Handler):
        def emit(self, record):
            tx.send(record.getMessage())

    handled(Ships())
    tx.send(b"a")
    assert len(asked()) == 1
    assert [frame.value for frame in rx.recv_many(9)][1:] == asked()


def test_a_source_that_sends_is_told_of_by_its_own_ring(ends, name, asked):
    with slipring.create(anonymous=True) as other:
        inner = other.producer()

        def source():
            yield b"a"
            inner.send(1)
            yield b"b"

        ends[0].send_many(source())
    assert [message.split(" as ")[1].split(":")[0] for message in asked()] == ["value", "raw"]
    assert asked()[1].startswith(f"sent 2 frames on {name} ")


def test_frames_that_were_reserved_are_counted(ends):
    before = slipring.stats()["sent"]
    count = lambda counts, format: counts.get(format, {"frames": 0, "bytes": 0})  # noqa: E731
    tx, _ = ends
    with tx.reserve(100) as _:
        pass
    with tx.reserve((2, 3), "f4") as _:
        pass

    async def reserves():
        async with tx.reserve_async(8) as _:
            pass

    asyncio.run(reserves())
    after = slipring.stats()["sent"]
    assert count(after, "raw")["frames"] - count(before, "raw")["frames"] == 2
    assert count(after, "raw")["bytes"] - count(before, "raw")["bytes"] == 108
    assert count(after, "ndarray")["frames"] - count(before, "ndarray")["frames"] == 1


def test_a_refused_pickle_is_not_logged(ring, asked):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(slipring.PickleWarning):
            ring.producer().send(type("Local", (), {})())
    assert not [message for message in asked() if " as pickle" in message and "sent on" in message]
