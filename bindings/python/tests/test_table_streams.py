"""Streams of tables: sent in pieces, taken piece by piece, and what is missing of them noticed."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import os
import sys
import time

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import slipring


def there_and_back(both, table, **options):
    tx, rx = both
    tx.send(table, timeout=5, **options)
    return rx.recv(5)


def test_tables_are_sent_in_pieces(both):
    """R2, R14: a reader of batches goes in frames of few rows, and is a stream on the other side."""
    tx, rx = both
    made = []

    def batches():
        for i in range(5):
            made.append(i)
            yield pa.record_batch({"i": np.arange(i * 10, i * 10 + 10)})

    reader = pa.RecordBatchReader.from_batches(pa.schema({"i": pa.int64()}), batches())
    assert tx.send_batches(reader, rows=4, meta={"k": 1}) == 15
    tables = rx.tables(timeout=1)
    assert tables.schema == "i: Int64"
    pieces = [len(table) for table in tables]
    assert pieces == [4, 4, 2] * 5
    for take in (pa.table, pl.DataFrame, lambda s: pa.RecordBatchReader.from_stream(s).read_all()):
        assert tx.send_batches(pl.DataFrame({"i": range(50)}), rows=7) == 8
        assert [*map(int, np.asarray(take(rx.tables(timeout=1))["i"]))] == list(range(50))
    # Without rows, and a table by itself, and one without batches.
    tx.send_batches(pa.table({"i": [1, 2]}))
    assert pa.table(rx.tables(timeout=1)).to_pydict() == {"i": [1, 2]}
    tx.send(pa.table({"i": [1, 2]}))
    assert pa.table(rx.tables(timeout=1)).to_pydict() == {"i": [1, 2]}
    assert tx.send_batches(pa.schema({"i": pa.int8()}).empty_table()) == 1
    assert pa.table(rx.tables(timeout=1)).schema.names == ["i"]


def test_asyncio_sends_and_takes_tables(name):
    """P5, R14: a stream longer than its ring, both ends in one loop, which goes on meanwhile; how many frames there were."""

    async def main():
        turns, seen = 0, 0

        async def count():
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        async def take(tables):
            nonlocal seen
            async for table in tables:
                assert np.asarray(table["i"])[0] == seen
                seen += len(table)

        with slipring.create(name, capacity="1 MiB", slots=8) as ring:
            tx, rx = ring.producer(), ring.consumer()
            counting = asyncio.ensure_future(count())
            tables = rx.tables()
            taking = asyncio.ensure_future(take(tables))
            source = pa.table({"i": np.arange(400_000)})
            assert await asyncio.wait_for(tx.send_batches_async(source, rows=10_000, meta={"k": 1}), 20) == 40
            await asyncio.wait_for(taking, 20)
            assert seen == 400_000 and turns > 40
            assert [table async for table in tables] == []
            # The end that is waited for: a task that is cancelled tells how far it came, and a full ring holds nobody.
            sending = asyncio.ensure_future(tx.send_batches_async(source, rows=10_000))
            while rx.try_recv() is None:
                await asyncio.sleep(0)
            before = turns
            await asyncio.sleep(0.05)
            assert not sending.done() and turns > before
            sending.cancel()
            with pytest.raises(asyncio.CancelledError) as cancelled:
                await sending
            assert 0 < cancelled.value.sent < 40
            ring.finish()
            with contextlib.suppress(slipring.Closed):
                rx.recv_many(64, 0)
            with pytest.raises(slipring.Closed):
                await anext(rx.tables())
            counting.cancel()

    asyncio.run(main())


def test_a_stream_holds_few_batches(name):
    """R14: however long it is: the ring is far smaller than the table, and the reader no faster than its consumer."""
    import threading

    with slipring.create(name, capacity="1 MiB", slots=8) as ring:
        tx, rx = ring.producer(), ring.consumer()
        total = 1_000_000
        sender = threading.Thread(target=tx.send_batches, args=(pa.table({"i": np.arange(total)}),), kwargs={"rows": 10_000, "timeout": 30})
        sender.start()
        seen = 0
        for table in rx.tables(timeout=30):
            column = np.asarray(table["i"])
            assert column[0] == seen
            seen += len(column)
            del table, column
        sender.join()
        assert seen == total


def test_a_broken_stream_says_so(both):
    """P9: what is no table, another stream, frames that are missing."""
    with slipring.create(anonymous=True) as ring:
        tx, rx = ring.producer(), ring.consumer()
        tx.send({"a": 1})
        with pytest.raises(ValueError, match="format value"):
            next(rx.tables(timeout=1))
        assert rx.recv(0).value == {"a": 1}
        tx.send_batches(pa.table({"i": range(4)}), rows=2)
        rx.recv(1)
        with pytest.raises(ValueError, match="missing"):
            next(rx.tables(timeout=1))
        with pytest.raises(slipring.Timeout):
            next(rx.tables(timeout=0.01))
        with pytest.raises(Exception, match="no frame came"):
            pa.table(rx.tables(timeout=0.01))

    def failing():
        yield pa.record_batch({"i": [1]})
        yield pa.record_batch({"i": [2]})
        raise RuntimeError("no more")

    with slipring.create(anonymous=True) as ring:
        tx, rx = ring.producer(), ring.consumer()
        reader = pa.RecordBatchReader.from_batches(pa.schema({"i": pa.int64()}), failing())
        with pytest.raises(Exception, match="no more") as raised:
            tx.send_batches(reader)
        assert raised.value.sent <= 1
        tx.send_batches(pa.table({"i": [1]}))
        tables = rx.tables(timeout=1)
        if raised.value.sent:
            next(tables)
            with pytest.raises(ValueError, match="another stream began"):
                next(tables)


def test_a_stream_is_read_within_a_call_of_this_package(both):
    """P9, R2.3: a library that reads a stream from a ring has the thread detached, whoever called it: here the encoder of a
    registered type."""
    seen = []

    class Counted:
        pass

    def rows(_=None):
        tx, rx = ring.producer(), ring.consumer()
        with tx, rx:
            tx.send_batches(pa.table({"i": range(10)}), rows=3)
            seen.append(pa.table(rx.tables(timeout=1)).num_rows)
        return {"rows": seen[-1]}

    with slipring.create(anonymous=True) as ring:
        slipring.register(Counted, name="tests.counted", encode=rows, decode=lambda fields, version: fields)
        assert there_and_back(both, [Counted()]).value == [{"rows": 10}]
    assert set(seen) == {10}


def rows_of(reader):
    return [table.to_pydict()["i"] for table in reader]


def test_a_piece_that_is_missing_is_noticed_wherever_it_was(ends):
    """P9, R2.2: no frame of a stream passes for all of it, and none is missing without a word."""
    tx, rx = ends
    table = pa.table({"i": range(8)})
    # The first was taken elsewhere: no piece between passes for a table by itself, and none stands in the way.
    tx.send_batches(table, rows=2)
    rx.recv(0)
    for _ in range(3):
        with pytest.raises(slipring.DecodeError, match="first frames") as raised:
            rows_of(rx.tables(timeout=0))
        assert "one consumer" in raised.value.hint and raised.value.hint in str(raised.value)
    with pytest.raises(slipring.Empty):
        rows_of(rx.tables(timeout=0))
    # One between.
    tx.send_batches(table, rows=2)
    reader = rx.tables(timeout=0)
    assert next(reader).num_rows == 2
    rx.recv(0)
    with pytest.raises(slipring.DecodeError, match="frames of the stream are missing"):
        next(reader)
    # It does not go on behind the gap, and the frame that told of it is there for others.
    with pytest.raises(slipring.DecodeError, match="read no further"):
        next(reader)
    assert rx.recv(0).value.to_pydict() == {"i": [4, 5]}
    rx.recv(0)
    # Tables by themselves, whoever made them, are whole wherever they come.
    for lone in (table, [{"i": n} for n in range(500)], pl.DataFrame({"i": range(8)})):
        tx.send(lone)
        assert rows_of(rx.tables(timeout=0)) == [list(range(500 if isinstance(lone, list) else 8))]


def test_two_readers_of_one_stream_are_told(name):
    """P9: on a ring that shares its frames out."""
    with slipring.create(name, mode="mpmc") as ring:
        tx, a, b = ring.producer(), ring.consumer(), ring.consumer()
        tx.send_batches(pa.table({"i": range(10)}), rows=2)
        first, second = a.tables(timeout=0), b.tables(timeout=0)
        assert next(first).num_rows == 2
        with pytest.raises(slipring.DecodeError, match="first frames"):
            next(second)
        with pytest.raises(slipring.DecodeError, match="missing"):
            next(first)


def test_what_broke_a_stream_is_left_for_the_next_reader(ends):
    """P9, R2.2: a stream that is sent again after one that was cut off, and a frame that is no table."""
    tx, rx = ends

    def cut_off():
        yield pa.record_batch({"i": [0, 1]})
        yield pa.record_batch({"i": [2, 3]})
        yield pa.record_batch({"i": [4, 5]})
        raise RuntimeError("no more")

    for take in (lambda: rows_of(rx.tables(timeout=0)), lambda: pa.table(rx.tables(timeout=0)).to_pydict()["i"]):
        with pytest.raises(Exception, match="no more") as raised:
            tx.send_batches(pa.RecordBatchReader.from_batches(pa.schema({"i": pa.int64()}), cut_off()))
        tx.send_batches(pa.table({"i": [7, 8, 9]}), rows=2)
        reader = rx.tables(timeout=0)
        for _ in range(raised.value.sent):
            assert next(reader).num_rows == 2
        for told in ("another stream began", "read no further"):
            with pytest.raises(slipring.DecodeError, match=told):
                next(reader)
        assert take() in ([[7, 8], [9]], [7, 8, 9])
    tx.send({"a": 1})
    tx.send({"b": 2})
    for take in (rx.recv, lambda: rx.try_recv(), lambda: rx.recv_many(9, 0)[0], lambda: next(iter(rx))):
        with pytest.raises(slipring.DecodeError, match="format value"):
            next(rx.tables(timeout=0))
        value = take().value
        assert value in ({"a": 1}, {"b": 2})
        tx.send({"a": 1})
    # Those of two readers come in the order in which they were met.
    with pytest.raises(slipring.DecodeError, match="format value"):
        next(rx.tables(timeout=0))
    rx.close()
    with pytest.raises(slipring.Detached):
        rx.recv(0)


def test_streams_are_made_of_whatever_tables_come(ends):
    """R2.2, R1.1: generators of chunks, lists of tables, records; all of the same columns."""
    tx, rx = ends
    chunks = [pd.DataFrame({"i": [n], "t": [str(n)]}, index=[n]) for n in range(4)]
    table = pa.table({"i": [0], "t": ["0"]})
    expected = {"i": [0, 1, 2, 3], "t": ["0", "1", "2", "3"]}
    plain = [{"i": [n], "t": [str(n)]} for n in range(4)]
    by_polars = (pl.DataFrame(columns) for columns in plain)
    for source, frames in [
        ((chunk.reset_index(drop=True) for chunk in chunks), 4),
        ([pa.table(columns) for columns in plain], 4),
        (tuple(plain), 4),
        (iter([[{"i": n, "t": str(n)}] for n in range(4)]), 4),
        (by_polars, 4),
        (expected, 1),
        ([{"i": n, "t": str(n)} for n in range(4)], 1),
        ([table, pl.DataFrame({"i": [1, 2, 3], "t": ["1", "2", "3"]})], 2),
    ]:
        assert tx.send_batches(source) == frames
        got = pa.table(rx.tables(timeout=0)).select(["i", "t"]).to_pydict()
        assert got == expected
    assert tx.send_batches([]) == 0 and tx.send_batches(iter(())) == 0
    assert rx.try_recv() is None
    assert asyncio.run(asyncio.wait_for(async_nothing(tx), 5)) == 0
    with pytest.raises(slipring.EncodeError, match="same columns.*column b") as raised:
        tx.send_batches([pa.table({"a": [1]}), pa.table({"b": [1]})])
    assert raised.value.path == "$[1]" and raised.value.sent == 0 and rx.try_recv() is None
    for nothing in ("abc", b"abc", 7):
        with pytest.raises(slipring.EncodeError, match="no table"):
            tx.send_batches(nothing)
    with pytest.raises(slipring.InvalidOption, match="rows"):
        tx.send_batches(table, rows=0)


LIBRARIES = {
    "pyarrow": lambda rx: pa.table(rx.tables(timeout=20)),
    "polars": lambda rx: pl.DataFrame(rx.tables(timeout=20)).to_arrow(),
    "tables": lambda rx: pa.concat_tables([pa.table(table) for table in rx.tables(timeout=20)]),
    "frames": lambda rx: pl.concat([pl.DataFrame(table) for table in rx.tables(timeout=20)]).to_arrow(),
}


@pytest.mark.parametrize("rows", [5_000, 70_000, 150_000])
@pytest.mark.parametrize("library", LIBRARIES)
def test_libraries_take_streams_that_are_larger_than_the_ring(name, library, rows):
    """R6.2: what they keep is copied before nothing is left for the producer, with small batches and with few in a ring."""
    table = pa.table({"i": pa.array(range(1_000_000)), "f": pa.array(np.arange(1_000_000.0))})
    with slipring.create(name, capacity="4 MiB") as ring:
        tx, rx = ring.producer(), ring.consumer()
        with concurrent.futures.ThreadPoolExecutor(1) as other:
            sending = other.submit(tx.send_batches, table, rows=rows, timeout=20)
            got = LIBRARIES[library](rx)
            sending.result()
        assert got.cast(table.schema).equals(table)


def test_tables_that_nobody_keeps_are_read_in_place(name, begin_of):
    """R1.2, R6.2: of a stream of any length."""
    table = pa.table({"i": pa.array(range(1_000_000))})
    with slipring.create(name, capacity="4 MiB") as ring:
        tx, rx = ring.producer(), ring.consumer()
        begin = begin_of(ring.path)
        with concurrent.futures.ThreadPoolExecutor(1) as other:
            sending = other.submit(tx.send_batches, table, rows=100_000, timeout=20)
            for piece in rx.tables(timeout=20):
                address = pa.table(piece)["i"].chunk(0).buffers()[1].address
                assert begin <= address < begin + os.path.getsize(ring.path)
            sending.result()


async def async_nothing(tx):
    return await tx.send_batches_async([])


def test_tables_of_a_stream_that_can_not_be_alike_say_so(ends):
    """R1.2: an element beyond the first table's type is named, with a path and in words."""
    tx, _ = ends
    days = pa.table({"t": pa.array([0], pa.timestamp("ns"))})
    far = pa.table({"t": pa.array([200_000], pa.date32())})
    with pytest.raises(slipring.EncodeError) as raised:
        tx.send_batches([days, far], timeout=1)
    assert raised.value.path == "$.columns.t" and "Value(" not in str(raised.value)
    assert raised.value.sent <= 1


def test_what_two_threads_leave_comes_in_its_order(name):
    """R6.1: frames that are no tables, taken by several readers at once and left by all, are there in the order in which they were sent."""
    with slipring.create(name, slots=64) as ring:
        tx, rx = ring.producer(), ring.consumer()

        def look():
            with pytest.raises(slipring.DecodeError, match="where a table should"):
                next(rx.tables(timeout=5))

        # As many turns as there can be.
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        try:
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                for _ in range(50):
                    looks = [pool.submit(look) for _ in range(8)]
                    time.sleep(0.0005)
                    for number in range(16):
                        tx.send(number)
                    for done in looks:
                        done.result()
                    assert [rx.recv(1).value for _ in range(16)] == list(range(16))
        finally:
            sys.setswitchinterval(interval)
