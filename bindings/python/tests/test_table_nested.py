"""Tables inside values: `{"id": 7, "frame": df}`, with a ring and without."""

from __future__ import annotations

import contextlib
import datetime
import decimal
import gc
import pathlib
import runpy
import struct
import time

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import slipring

TABLE = b"\xd9\xb9\xfd"

# What lays out a body with a part table.
body = runpy.run_path(str(pathlib.Path(__file__).parents[3] / "tests/fuzz/mutations.py"))["body"]


def frame_of(rows):
    return pd.DataFrame({"a": np.arange(rows), "b": [f"text {n}" for n in range(rows)], "c": np.linspace(0, 1, rows)})


def of_every_kind():
    return pa.table(
        {
            "i": pa.array([1, None, 3], pa.int32()),
            "s": ["abc", None, "d" * 30],
            "l": [[1], [], None],
            "d": pa.array(["p", "q", "p"]).dictionary_encode(),
            "v": pa.array(["x" * 20, None, "y"], pa.string_view()),
            "t": [datetime.datetime(2026, 11, 21, tzinfo=datetime.timezone.utc), None, None],
            "n": [decimal.Decimal("1.25"), None, decimal.Decimal("-3.50")],
            "r": [{"x": 1.5}, {"x": None}, None],
        },
        metadata={"from": "here"},
    )


@pytest.mark.parametrize("wrap", [lambda t: t, lambda t: {"id": 7, "frame": t}, lambda t: [(t, {"deep": [t]})]])
@pytest.mark.parametrize(
    "table", [of_every_kind(), of_every_kind()[1:2], of_every_kind()[:0], pa.table({}), pa.concat_tables([of_every_kind()] * 3)]
)
def test_without_a_ring(wrap, table):
    """R4.1, M5: a table goes as a part of a value, and comes back as what an arrow frame gives."""

    def tables(value):
        if isinstance(value, slipring.Table):
            return [value]
        return [t for v in (value.values() if isinstance(value, dict) else value) if not isinstance(v, int) for t in tables(v)]

    data = slipring.encode(wrap(table))
    assert TABLE in data
    found = tables(slipring.decode(data))
    assert found
    for each in found:
        back = pa.table(each)
        assert back.equals(table, check_metadata=True) and back.num_rows == table.num_rows
        back.validate(full=True)


def test_any_library_and_columns():
    """R4.4: whatever shows itself by Arrow's capsules; a single column comes back as one."""
    sent = {
        "pandas": frame_of(10), "polars": pl.DataFrame({"x": [1, None]}), "series": pl.Series("n", [1, 2]),
        "batch": pa.record_batch({"x": [1]}), "array": pa.array(["a", None]), "none": None,
    }  # fmt: skip
    found = slipring.decode(slipring.encode(sent))
    assert found["pandas"].to_pandas().equals(sent["pandas"])
    assert found["polars"].to_polars().equals(sent["polars"])
    assert type(found["series"]) is type(found["array"]) is slipring.Column
    assert found["array"].to_pylist() == ["a", None] and found["series"].to_pylist() == [1, 2]
    assert found["batch"].to_pydict() == {"x": [1]} and found["none"] is None


@pytest.mark.parametrize("rows", [0, 1, 100, 50_000])
def test_in_a_frame_columns_are_views(ends, rows):
    """R1.4, R14: the columns lie in the segment, at multiples of 64, and keep the frame's memory by themselves."""
    tx, rx = ends
    df = frame_of(rows)
    tx.send({"id": 7, "frame": df, "again": [df]})
    frame = rx.recv(1)
    assert frame.format == "value" and frame.in_place
    value = frame.value
    assert value["id"] == 7 and type(value["frame"]) is slipring.Table
    low, high = frame.address & ~0xFFFF, frame.address + frame.header.body_len
    column = np.asarray(value["frame"]["c"])
    assert rows == 0 or (low <= column.ctypes.data < high and column.ctypes.data % 64 == 0)
    assert not column.flags.writeable
    read = pa.table(value["frame"])
    assert read.equals(pa.table(df)) and pa.table(value["again"][0]).equals(read)
    frame.release()
    del frame, value
    gc.collect()
    assert np.array_equal(column, df["c"])
    with pytest.raises(TypeError, match="is no table"):
        tx.send({"frame": df})
        rx.recv(1).table


def test_memory_goes_back(name):
    """R14.3: what a table of a value keeps is let go of with the last that reads it."""
    with slipring.create(name, capacity="8 MiB") as ring:
        tx, rx = ring.producer(), ring.consumer()
        df = frame_of(20_000)
        kept = []
        for turn in range(200):
            tx.send({"frame": df}, timeout=1)
            table = pa.table(rx.recv(1).value["frame"])
            kept = [*kept[-3:], table]
        assert all(table["a"][19_999].as_py() == 19_999 for table in kept)


def test_a_copy_refers_to_nothing(name):
    """P9: with copy=True the table lies in memory of its own."""
    with slipring.create(name, capacity="8 MiB") as ring:
        tx, rx = ring.producer(), ring.consumer(copy=True)
        tx.send([of_every_kind(), pa.table({"n": [1, 2]})])
        frame = rx.recv(1)
        table, numbers = frame.value
        at = np.asarray(numbers["n"]).ctypes.data
        low = frame.address & ~0xFFFF
        assert not low <= at < frame.address + frame.header.body_len and at % 64 == 0
        assert pa.table(table).equals(of_every_kind())


def test_what_shows_itself_once_is_asked_once(ends):
    """A reader that can be gone through once is, though a value may be written more than once until it has its place."""
    tx, rx = ends
    table = of_every_kind()
    reader = pa.RecordBatchReader.from_batches(table.schema, table.to_batches())
    tx.send({"pad": "x" * 50_000, "reader": reader, "same": [reader]})
    value = rx.recv(1).value
    assert pa.table(value["reader"]).equals(table) and pa.table(value["same"][0]).equals(table)


def test_a_frame_within_a_value(ends):
    """A received table is sent on as a part of a value, whatever it is part of itself."""
    tx, rx = ends
    tx.send(of_every_kind())
    first = rx.recv(1)
    tx.send([first, first.value, {"k": first.table["i"]}])
    second = rx.recv(1)
    a, b, c = second.value
    assert pa.table(a).equals(of_every_kind()) and pa.table(b).equals(of_every_kind())
    assert c["k"].to_pylist() == [1, None, 3]
    tx.send(second)
    assert pa.table(rx.recv(1).value[0]).equals(of_every_kind())


@pytest.mark.filterwarnings("ignore::slipring.PickleWarning")
def test_what_does_not_come_as_arrow(name, caplog):
    """R12, R9.1: the whole goes as a pickle, or is refused with the path to the table."""
    mixed = pd.DataFrame({"a": [1, "x", {}]})
    with slipring.create(name) as ring:
        tx, rx = ring.producer(), ring.consumer(pickle=True)
        with caplog.at_level("DEBUG", "slipring"):
            tx.send({"frame": mixed})
        assert "$.frame" in caplog.text
        frame = rx.recv(1)
        assert frame.format == "pickle" and frame.value["frame"].equals(mixed)
        with pytest.raises(slipring.EncodeError, match="does not come as Arrow") as raised:
            tx.send({"frame": [mixed]}, format="value")
        assert raised.value.path == "$.frame[0]" and raised.value.type == "pandas.DataFrame"


def test_explain_and_describe(ends):
    """R12.4: a value with a table is a value, and says so."""
    told = slipring.explain({"id": 7, "frame": frame_of(10)})
    assert told.format == "value" and "tables" in told.reason
    assert slipring.explain(frame_of(10)).format == "arrow"
    tx, rx = ends
    tx.send(frame_of(10), format="value")
    frame = rx.recv(1)
    assert frame.describe()["kind"] == "table" and len(frame.describe()["buffers"]) == 1
    assert type(frame.value) is slipring.Table


def test_no_table_is_a_key():
    """R9.1: it is no key, and no member of a set."""
    table = slipring.encode(pa.table({"a": [1]}))
    for data in (b"\xa1" + table + b"\x01", b"\xd9\x01\x02\x81" + table):
        with pytest.raises(slipring.DecodeError, match="a table is the key of a map, or a member of a set"):
            slipring.decode(data)


# --- hostile bytes ------------------------------------------------------------------------------


def parts_of(data):
    """The tables of a value as (messages, bodies), by a reader of CBOR's heads alone."""
    assert data.startswith(TABLE) and data[3] >> 5 == 4
    at, strings = 4, []
    for _ in range(data[3] & 31):
        assert data[at] >> 5 == 2
        size = {24: 1, 25: 2, 26: 4, 27: 8}.get(data[at] & 31, 0)
        length = int.from_bytes(data[at + 1 : at + 1 + size], "big") if size else data[at] & 31
        strings.append(data[at + 1 + size : at + 1 + size + length])
        at += 1 + size + length
    return strings


def string(data):
    return b"\x5a" + len(data).to_bytes(4, "big") + data


def buffer(number):
    return b"\xd9\xb9\xf0" + (bytes([number]) if number < 24 else b"\x18" + bytes([number]))


def test_mutations_end_well(foreign):
    """P9: a table in a value with any word changed is refused, or can be walked by pyarrow in full: in line, and in a frame."""
    messages, *columns = parts_of(slipring.encode(of_every_kind()))
    rng = np.random.default_rng(7)
    refused = read = 0
    for turn in range(1500):
        spoilt = [bytearray(messages), *map(bytearray, columns)]
        part = spoilt[int(rng.integers(0, len(spoilt)))]
        at = int(rng.integers(0, len(part) // 4)) * 4
        part[at : at + 4] = struct.pack("<I", int(rng.choice([0, 1, 2, 7, 255, 2**16, 2**31 - 1, 2**31, 2**32 - 1])))
        head, *bodies = map(bytes, spoilt)
        start = TABLE + bytes([0x80 | len(spoilt)]) + string(head)
        try:
            if turn % 2:
                found = slipring.decode(start + b"".join(map(string, bodies)))
            else:
                found = foreign(1, 0, body(start + b"".join(map(buffer, range(len(bodies)))), None, bodies), 1).value
            received = pa.table(found)
        except (slipring.DecodeError, OSError, ValueError, NotImplementedError, pa.ArrowException) as error:
            refused += 1
            if isinstance(error, slipring.DecodeError):
                assert error.path.startswith("$.<tag 47613>"), error
            continue
        read += 1
        with contextlib.suppress(UnicodeDecodeError, OverflowError, ValueError):
            received.to_pylist()
    assert refused > 100 and read > 100


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\x80", b"\x40", b"\x81\x00", b"\x81\x40", b"\x82\x40\x00", b"\x82\x60\x40", b"\x9f\x40\xff", b"\x81" + buffer(0),
        b"\x9b" + b"\xff" * 8, b"\x9a\x7f\xff\xff\xff\x40", b"\x81\x5f\x40\xff",
    ],
)  # fmt: skip
def test_what_is_no_table(data):
    """P9, R9.1: refused with its place."""
    with pytest.raises(slipring.DecodeError) as raised:
        slipring.decode(b"\x81" + TABLE + data)
    assert raised.value.path.startswith("$[0]")


def test_no_buffer_is_gone_through_twice(foreign):
    """P9: bytes that many tables claim would be checked many times: each belongs to one, and they have theirs in order."""
    # Indices of a dictionary are looked at, each of them.
    keys = pa.DictionaryArray.from_arrays(pa.array(np.zeros(1_000_000), pa.int8()), pa.array(["x"]))
    strings = parts_of(slipring.encode(pa.table({"d": keys})))
    table = TABLE + b"\x83" + string(strings[0])
    once = table + buffer(0) + buffer(1)
    (found,) = foreign(1, 0, body(b"\x81" + once, None, strings[1:])).value
    assert len(found) == 1_000_000
    for second in (once, table + buffer(1) + buffer(2)):
        began = time.process_time()
        with pytest.raises(slipring.DecodeError, match="47613") as raised:
            foreign(1, 0, body(b"\x99\x0f\xff" + once + second * 4094, None, strings[1:] * 2)).value
        assert raised.value.path.startswith("$[1]") and time.process_time() - began < 2
    with pytest.raises(slipring.DecodeError):
        foreign(1, 0, body(b"\x81" + table + buffer(1) + buffer(0), None, strings[1:])).value
    with pytest.raises(slipring.DecodeError, match="buffer"):
        foreign(1, 0, body(b"\x81" + table + buffer(1) + buffer(7), None, strings[1:])).value


def test_a_checked_table_of_a_value(name):
    """P9: checks="full" looks at the texts of a table within a value, too."""
    with slipring.create(name) as ring:
        tx = ring.producer()
        data = pa.array([b"\xff\xfe", b"ok"])
        text = pa.Array.from_buffers(pa.utf8(), 2, data.buffers())
        for checks in ("safe", "full"):
            rx = ring.consumer(checks=checks)
            tx.send([pa.table({"t": text})])
            if checks == "safe":
                assert type(rx.recv(1).value[0]) is slipring.Table
            else:
                with pytest.raises(slipring.DecodeError, match="UTF-8"):
                    rx.recv(1).value
            rx.close()


# --- encode(format=) -----------------------------------------------------------------------------


def test_encode_in_a_format():
    """R3.2, R4.1: as with send: the form that is asked for, or an error."""
    records = [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]
    assert slipring.decode(slipring.encode(records, format="arrow")).to_pylist() == records
    assert slipring.decode(slipring.encode({"a": [1, 2]}, format="arrow")).to_pydict() == {"a": [1, 2]}
    assert slipring.encode(b"abc", format="raw") == slipring.encode(b"abc", format="value") == b"\x43abc"
    array = np.arange(6).reshape(2, 3)
    assert slipring.encode(array, format="ndarray") == slipring.encode(array)
    assert slipring.decode(slipring.encode({1: "x"}, format="pickle"), pickle=True) == {1: "x"}
    assert slipring.encode(records, format="value") == slipring.encode(records)


@pytest.mark.parametrize(
    "obj, format",
    [(5, "raw"), ("x", "ndarray"), ([1], "ndarray"), ("x", "arrow"), ([{"a": 1}, {"a": "x"}], "arrow"), (lambda: 0, "value"), (object(), "value")],
)
def test_encode_has_the_errors_of_send(ends, obj, format):
    """R9.1: the same words, path, type and hint."""
    tx, _rx = ends
    with pytest.raises(slipring.EncodeError) as sent:
        tx.send(obj, format=format)
    with pytest.raises(slipring.EncodeError) as encoded:
        slipring.encode(obj, format=format)
    for fact in ("path", "type", "hint", "what"):
        assert getattr(sent.value, fact) == getattr(encoded.value, fact)
    assert str(sent.value) == str(encoded.value)


def test_encode_makes_no_json_and_nothing_unknown(ends):
    """R9.1: what JSON makes is said; other names are refused as send refuses them."""
    with pytest.raises(ValueError, match="slipring.json.dumps"):
        slipring.encode({}, format="json")
    with pytest.raises(ValueError, match="format is cbor"):
        slipring.encode({}, format="cbor")
    with pytest.raises(TypeError):
        slipring.encode({}, "value")
