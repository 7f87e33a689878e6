"""Tables that a peer has spoilt, or that claim more than their bytes paid for."""

from __future__ import annotations

import contextlib
import datetime
import decimal
import gc
import pathlib
import runpy
import signal
import struct
import time

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import slipring

# What lays out a body by pyarrow alone.
body_of = runpy.run_path(str(pathlib.Path(__file__).parents[3] / "crates/codec/tests/golden/arrow.py"))["body"]


def test_mutations_end_well(foreign):
    """P9: a good body with any word changed is refused, or its table can be walked by pyarrow in full."""
    table = pa.table({"i": [1, None, 3], "s": ["abc", None, "d" * 30], "l": [[1], [], None], "d": pa.array(["p", "q", "p"]).dictionary_encode(), "v": pa.array(["x" * 20, None, "y"], pa.string_view())})
    body = body_of(table.to_batches())
    flags = 1
    assert pa.table(foreign(3, 0, body, flags).value).equals(table)
    rng = np.random.default_rng(7)
    refused = read = 0
    for _ in range(1500):
        spoilt = bytearray(body)
        at = int(rng.integers(0, len(body) // 4)) * 4
        value = int(rng.choice([0, 1, 2, 7, 255, 2**16, 2**31 - 1, 2**31, 2**32 - 1]))
        spoilt[at : at + 4] = struct.pack("<I", value)
        found = foreign(3, 0, bytes(spoilt), flags)
        try:
            received = pa.table(found.value)
        except (slipring.DecodeError, OSError, ValueError, NotImplementedError, pa.ArrowException):
            refused += 1
            continue
        read += 1
        # Texts need not be UTF-8, nor numbers be within what Python has: nothing but that may go wrong.
        with contextlib.suppress(UnicodeDecodeError, OverflowError, ValueError):
            received.to_pylist()
        del found, received
    assert refused > 100 and read > 100


def test_null_views_are_looked_at(foreign):
    """P9: libraries follow them, whatever the bitmap says: one that points nowhere is refused, wherever it stands."""
    texts = ["x" * 20, None, "y" * 30, None, "short"] * 20
    for kind in (pa.string_view(), pa.binary_view()):
        body = body_of([pa.record_batch({"v": pa.array(texts, kind)})])
        views = body.index(struct.pack("<i", 20) + b"xxxx")
        assert pa.table(foreign(3, 0, body).value)["v"].null_count == 40
        for row in (1, 3, 98):
            for view in [(13, 0, 0x7000_0000), (13, 7, 0), (13, -1, 0), (13, 0, -1), (2**31 - 1, 0, 0), (-1, 0, 0)]:
                length, buffer, offset = view
                spoilt = bytearray(body)
                assert spoilt[views + 16 * row :][:16] == bytes(16)
                struct.pack_into("<i4sii", spoilt, views + 16 * row, length, b"ABCD", buffer, offset)
                with pytest.raises(slipring.DecodeError, match=r"columns\.v\.views"):
                    pa.table(foreign(3, 0, bytes(spoilt)).value)
            # What fits may stand there: short, or of bytes that are there.
            struct.pack_into("<i4sii", spoilt, views + 16 * row, 20, b"xxxx", 0, 0)
            found = pa.table(foreign(3, 0, bytes(spoilt)).value)
            assert pc.equal(found["v"], found["v"]).null_count == 40


def spoil(ring, frame, rng):
    """Changes a word of a frame that was received and not yet read."""
    at = frame.address - ring.mapped.start + int(rng.integers(0, frame.header.body_len // 4)) * 4
    value = int(rng.choice([0, 1, 2, 7, 255, 2**16, 2**31 - 1, 2**31, 2**32 - 1]))
    with open(ring.path, "r+b") as file:
        file.seek(at)
        file.write(struct.pack("<I", value))


def walked(table, on):
    """All of a table, by each way there is in this package, and once more as what is sent on."""
    tx, rx = on
    refused = 0
    for walk in (table.to_pylist, table.to_pydict, table.to_numpy, lambda: tx.send(table, timeout=1), lambda: table.slice(1, 1).to_pylist()):
        try:
            walk()
        except (slipring.Error, ValueError, OverflowError, TypeError):
            refused += 1
    for batch in table:
        for name in batch.column_names:
            with contextlib.suppress(slipring.Error, ValueError, OverflowError, TypeError):
                np.asarray(batch[name]).tolist()
            with contextlib.suppress(slipring.Error, ValueError, OverflowError):
                batch[name].to_pylist()
    while (frame := rx.try_recv()) is not None:
        with contextlib.suppress(slipring.Error):
            repr(frame.value)
    return refused


def mutable():
    """A table of what has offsets, indices, views, bits and moments."""
    return pa.table(
        {
            "i": [1, None, 3],
            "s": ["abc", None, "d" * 30],
            "l": [[1], [], None],
            "d": pa.array(["p", "q", "p"]).dictionary_encode(),
            "v": pa.array(["x" * 20, None, "y"], pa.string_view()),
            "n": [{"at": datetime.datetime(2024, 2, 29), "m": [decimal.Decimal("1.5")]}, None, {"at": None, "m": []}],
            "u": pa.array([b"0123456789abcdef", None, b"f" * 16], pa.uuid()),
            "f": pa.array([0.5, 1.5, None], pa.float32()),
            "r": pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int16()), pa.array(["x", None])),
        }
    )


@contextlib.contextmanager
def two_rings(name, **reading):
    """A ring, its ends, the reading one as asked for, and both ends of a ring to send on what was read."""
    with slipring.create(name, capacity="8 MiB", slots=16) as ring, slipring.create(anonymous=True, capacity="8 MiB", slots=64) as other:
        yield ring, ring.producer(), ring.consumer(**reading), (other.producer(), other.consumer(copy=True))


@pytest.mark.parametrize("copy", [False, True])
@pytest.mark.parametrize("checks", ["safe", "full"])
def test_mutations_are_walked_by_this_package(name, copy, checks):
    """P9, R5: any word of a frame changed before it is looked at: whatever the checks let through is walked to its end, read again as
    objects, sent on. Under the address sanitizer what a copy's buffers don't have is out of bounds."""
    rng = np.random.default_rng([copy, checks == "full"])
    read = refused = spent = 0
    with two_rings(name, copy=copy, checks=checks) as (ring, tx, rx, on):
        for _ in range(300):
            tx.send(mutable())
            frame = rx.recv(0)
            spoil(ring, frame, rng)
            try:
                table = frame.value
            except slipring.DecodeError:
                refused += 1
                continue
            read += 1
            spent += walked(table, on)
    assert read > 40 and refused > 40 and spent > 0


def test_mutations_are_read_as_what_is_expected(name):
    """P9, R5.3: the same of tables that are widened and filled in as they are read: what is made lies in memory of its own."""
    rng = np.random.default_rng(3)
    fields = {field.name: field for field in mutable().schema}
    wider = [fields["i"], pa.field("s", pa.large_string()), pa.field("l", pa.large_list(pa.int64())), pa.field("d", pa.string())]
    wider += [pa.field("v", pa.string()), pa.field("f", pa.float64()), pa.field("more", pa.int8()), fields["n"]]
    read = refused = 0
    with two_rings(name, copy=True) as (ring, tx, rx, on):
        schema = ring.announce("mutable", mutable().schema, version=1)
        rx.expect("mutable", pa.schema(wider), version=2)
        for _ in range(300):
            tx.send(mutable(), schema=schema)
            frame = rx.recv(0)
            spoil(ring, frame, rng)
            try:
                table = frame.value
            except slipring.Error:
                refused += 1
                continue
            read += 1
            assert table.column_names == [field.name for field in wider]
            walked(table, on)
    assert read > 40 and refused > 40


def test_rows_that_nobody_paid_for_are_not_made(foreign):
    """P9: a table that claims any number of records in no bytes is not made into a list of them."""
    schema = pa.schema({}, metadata={"slipring.records": "1"})
    batch = pa.RecordBatch.from_struct_array(pa.array([{}] * 1_000_000, pa.struct([])))
    body = body_of([batch.replace_schema_metadata(schema.metadata)])
    value = foreign(3, 0, body).value
    assert isinstance(value, slipring.Table) and len(value) == 1_000_000


def many_nulls(n, records):
    """A bit for each row, and beside it columns that take nothing."""
    columns = {"b": pa.array(np.zeros(n, bool))} | {f"n{i}": pa.nulls(n) for i in range(60)}
    return pa.table(columns).replace_schema_metadata({"slipring.records": "1"} if records else None)


def hostile_columns():
    n = 20_000_000
    ends = pa.array([n], pa.int32())
    long_run = pa.RunEndEncodedArray.from_arrays(ends, pa.array([7]))
    no_bytes = pa.Array.from_buffers(pa.binary(0), n, [None, pa.py_buffer(b"")])
    child = pa.array(np.zeros(20_000, np.int8))
    views = pa.ListViewArray.from_arrays(pa.array([0] * 2000, pa.int32()), pa.array([20_000] * 2000, pa.int32()), child)
    text = pa.DictionaryArray.from_arrays(pa.array([0] * 20_000, pa.int8()), ["x" * 50_000])
    return {"null": pa.nulls(n), "run": long_run, "no width": no_bytes, "views": views, "shared text": text}


@pytest.mark.parametrize("kind", ["null", "run", "no width", "views", "shared text"])
def test_elements_that_nobody_paid_for_are_not_made(foreign, kind):
    """P9: what is made of a column is bounded by the bytes of its frame, by each way to make it."""
    table = pa.table({"c": hostile_columns()[kind]})
    received = foreign(3, 0, body_of(table.to_batches())).value
    assert len(received) == len(table)
    for make in (received.to_pylist, received.to_pydict, received["c"].to_pylist):
        with pytest.raises(slipring.DecodeError, match="more elements than are made of .*to_pyarrow") as caught:
            make()
        assert caught.value.path == "$.columns" and "slices" in caught.value.hint
    assert len(received.to_pyarrow().slice(5, 10).to_pylist()) == 10


def test_columns_of_nothing_do_not_multiply(foreign):
    """P9: columns that take no bytes are bounded together, and such records stay a table."""
    for records in (False, True):
        received = foreign(3, 0, body_of(many_nulls(200_000, records).to_batches())).value
        assert isinstance(received, slipring.Table) and len(received) == 200_000
        for make in (received.to_pylist, received.to_pydict):
            with pytest.raises(slipring.DecodeError, match="more elements"):
                make()
    received = foreign(3, 0, body_of(many_nulls(10_000, True).to_batches())).value
    assert received == many_nulls(10_000, True).to_pylist()


def test_honest_columns_of_few_bytes_are_made(foreign):
    """R2.3: nulls, one long run, many bits inside structs, and windows over the same numbers."""
    n = 300_000
    bits = pa.array(np.arange(n) % 3 == 0)
    deep = pa.StructArray.from_arrays([pa.StructArray.from_arrays([bits], ["a"])], ["b"])
    run = pa.RunEndEncodedArray.from_arrays(pa.array([n], pa.int32()), pa.array(["x"]))
    starts = pa.array(np.arange(9000), pa.int32())
    windows = pa.ListViewArray.from_arrays(starts, pa.array(np.full(9000, 50), pa.int32()), pa.array(np.zeros(9050, np.int8)))
    for column, expected in (
        (pa.nulls(n), [None] * n),
        (run, ["x"] * n),
        (deep, [{"b": {"a": i % 3 == 0}} for i in range(n)]),
        (windows, [[0] * 50] * 9000),
    ):
        received = foreign(3, 0, body_of(pa.table({"c": column}).to_batches())).value
        assert received["c"].to_pylist() == expected and received.to_pydict() == {"c": expected}
        assert [row["c"] for row in received.to_pylist()] == expected


def test_making_objects_can_be_interrupted(foreign):
    """R9.3: a signal's exception ends it, long before all is made."""

    def interrupt(number, stack):
        raise InterruptedError

    def taken(make, within):
        started = time.perf_counter()
        with contextlib.suppress(InterruptedError):
            if within:
                signal.setitimer(signal.ITIMER_REAL, within)
            make()
        return time.perf_counter() - started

    few, many = (foreign(3, 0, body_of(pa.table({"c": pa.nulls(n)}).to_batches())).value for n in (600_000, 3_000_000))
    former = signal.signal(signal.SIGALRM, interrupt)
    # Callbacks of the collector, which others have set, would swallow the exception.
    gc.disable()
    try:
        for make in (many["c"].to_pylist, many.to_pydict, few.to_pylist):
            whole = min(taken(make, None) for _ in range(2))
            assert min(taken(make, 0.001) for _ in range(5)) < whole / 2
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)
        gc.enable()


@pytest.mark.parametrize("wide", [False, True])
def test_each_list_view_is_looked_at(foreign, wide):
    """P9: wherever it stands, and where its offset and its size together have no room in their type."""
    word, most = ("<q", 2**63 - 1) if wide else ("<i", 2**31 - 1)
    kind, number = (pa.LargeListViewArray, pa.int64()) if wide else (pa.ListViewArray, pa.int32())
    lists = kind.from_arrays(pa.array(range(7000, 7300), number), pa.array([9] * 300, number), pa.array(np.zeros(7309, np.int8)))
    body = body_of([pa.record_batch({"v": lists})])
    size = struct.calcsize(word)
    offsets, sizes = body.index(struct.pack(word, 7000) + struct.pack(word, 7001)), body.index(struct.pack(word, 9) * 300)
    for row in (0, 130, 299):
        for offset, length in ((7301, 9), (-1, 9), (0, -1), (most, 1), (most, most), (0, 7310), (-7, 9)):
            spoilt = bytearray(body)
            struct.pack_into(word, spoilt, offsets + size * row, offset)
            struct.pack_into(word, spoilt, sizes + size * row, length)
            with pytest.raises(slipring.DecodeError, match=rf"offset {row} is"):
                foreign(3, 0, bytes(spoilt)).table
    spoilt = bytearray(body)
    struct.pack_into(word, spoilt, offsets, 7300)
    assert len(foreign(3, 0, bytes(spoilt)).table["v"]) == 300


@pytest.mark.parametrize("letter", ["x", "ä"])
def test_each_view_is_looked_at(ring, foreign, letter):
    """P9: a long one among short ones, also the last; in full each text, wherever it begins and ends."""
    texts = ["short", None] * 100 + [letter * 20, "ü", letter * 30]
    body = body_of([pa.record_batch({"v": pa.array(texts, pa.string_view())})])
    views = body.index(struct.pack("<i", 5) + b"short")
    length = len(letter.encode())
    assert foreign(3, 0, body).table["v"].to_pylist() == texts
    for row in (200, 202):
        for at, wrong in ((0, 31 * length * 9), (0, -1), (8, 1), (8, -1), (12, 20 * length * 9), (12, -1)):
            spoilt = bytearray(body)
            struct.pack_into("<i", spoilt, views + 16 * row + at, wrong)
            with pytest.raises(slipring.DecodeError, match=rf"view {row} is"):
                foreign(3, 0, bytes(spoilt)).table
    if length == 1:
        return
    # Within a character: safe, as it is read as no text, and refused where all is asked.
    spoilt = bytearray(body)
    struct.pack_into("<i", spoilt, views + 16 * 202 + 12, 1)
    with pytest.raises(slipring.DecodeError):
        foreign(3, 0, bytes(spoilt), checks="full").table
