"""Tables: what any library shows by Arrow's capsules comes back as the same, over the segment."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime
import decimal
import gc
import importlib.util
import pathlib
import re
import signal
import struct
import time
import uuid
import zoneinfo

import duckdb
import hypothesis
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import strategies as st

import slipring

# What lays out a body by pyarrow alone.
_path = pathlib.Path(__file__).parents[3] / "crates/codec/tests/golden/arrow.py"
_spec = importlib.util.spec_from_file_location("golden_arrow", _path)
golden = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(golden)

INTS = [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()]


@pytest.fixture(scope="module")
def both():
    """A ring for many examples, whose consumer looks at everything."""
    with slipring.create(anonymous=True, capacity="64 MiB", slots=64) as ring:
        yield ring.producer(), ring.consumer(checks="full")


def there_and_back(both, table, **options):
    tx, rx = both
    tx.send(table, timeout=5, **options)
    return rx.recv(5)


def ints(kind):
    low, high = (0, 2**kind.bit_width - 1) if str(kind)[0] == "u" else (-(2 ** (kind.bit_width - 1)), 2 ** (kind.bit_width - 1) - 1)
    return st.integers(low, high)


def decimals(precision, scale):
    top = 10**precision - 1
    with decimal.localcontext() as context:
        context.prec = 90
        return st.integers(-top, top).map(lambda n: decimal.Decimal(n).scaleb(-scale, decimal.Context(prec=90)))


LEAVES = (
    [(kind, ints(kind)) for kind in INTS]
    + [
        (pa.null(), st.none()),
        (pa.bool_(), st.booleans()),
        (pa.float16(), st.floats(width=16, allow_nan=False).map(np.float16)),
        (pa.float32(), st.floats(width=32, allow_nan=False)),
        (pa.float64(), st.floats(allow_nan=False)),
        (pa.date32(), st.integers(-(2**31), 2**31 - 1)),
        (pa.date64(), st.integers(-(10**6), 10**6).map(lambda n: n * 86_400_000)),
        (pa.time32("s"), st.integers(0, 86_399)),
        (pa.time32("ms"), st.integers(0, 86_399_999)),
        (pa.time64("us"), st.integers(0, 86_400 * 10**6 - 1)),
        (pa.time64("ns"), st.integers(0, 86_400 * 10**9 - 1)),
    ]
    + [
        (pa.timestamp(unit, zone), st.integers(-(2**62), 2**62))
        for unit in ("s", "ms", "us", "ns")
        for zone in (None, "UTC", "Europe/Berlin", "+05:30")
    ]
    + [(pa.duration(unit), st.integers(-(2**62), 2**62)) for unit in ("s", "ms", "us", "ns")]
    + [
        (pa.month_day_nano_interval(), st.tuples(*[st.integers(-1000, 1000)] * 3)),
        (pa.decimal32(9, 3), decimals(9, 3)),
        (pa.decimal64(18, -2), st.integers(-(10**15), 10**15).map(lambda n: decimal.Decimal(n * 100))),
        (pa.decimal128(38, 10), decimals(38, 10)),
        (pa.decimal256(76, 0), decimals(76, 0)),
        (pa.binary(3), st.binary(min_size=3, max_size=3)),
    ]
    + [(kind, st.text(max_size=20)) for kind in (pa.string(), pa.large_string(), pa.string_view())]
    + [(kind, st.binary(max_size=20)) for kind in (pa.binary(), pa.large_binary(), pa.binary_view())]
)


def optional(values):
    return st.none() | values


def grow(inner):
    """A type around others, with the values that it takes."""

    def of_one(pair):
        kind, values = pair
        lists = st.lists(optional(values), max_size=4)
        return st.sampled_from(
            [
                (pa.list_(kind), lists),
                (pa.large_list(kind), lists),
                (pa.list_view(kind), lists),
                (pa.large_list_view(kind), lists),
                (pa.list_(kind, 2), st.lists(optional(values), min_size=2, max_size=2)),
                (pa.map_(pa.string(), kind), st.lists(st.tuples(st.text(max_size=3), optional(values)), max_size=3)),
            ]
        )

    def of_two(pairs):
        (one, first), (two, second) = pairs
        fields = [pa.field("one", one), pa.field("two", two, metadata={"k": "v"})]
        return (pa.struct(fields), st.fixed_dictionaries({"one": optional(first), "two": optional(second)}))

    return inner.flatmap(of_one) | st.tuples(inner, inner).map(of_two)


TYPES = st.recursive(st.sampled_from(LEAVES), grow, max_leaves=4)


@st.composite
def arrays(draw):
    """An array of any type, whole or cut out of a longer one."""
    kind, values = draw(TYPES)
    elements = draw(st.lists(optional(values), max_size=12))
    array = pa.array(elements, kind)
    plain = not pa.types.is_nested(kind) and not pa.types.is_null(kind)
    if plain and draw(st.booleans()) and not pa.types.is_interval(kind):
        # Not of every type there are dictionaries.
        with contextlib.suppress(pa.ArrowNotImplementedError):
            array = array.dictionary_encode()
    start = draw(st.integers(0, len(array)))
    return array.slice(start, draw(st.integers(0, len(array) - start)))


def same(received, sent):
    received.validate(full=True)
    assert received.schema.equals(sent.schema, check_metadata=True)
    assert received.equals(sent), (received, sent)


@hypothesis.given(array=arrays(), chunks=st.integers(1, 3))
@hypothesis.settings(max_examples=400, deadline=None, suppress_health_check=list(hypothesis.HealthCheck))
def test_every_type_goes_there_and_back(both, array, chunks):
    """R2.1, R2.3: tables of generated types, as pyarrow compares and validates them; also what to_pylist gives."""
    pieces = [array, array.slice(1), array.slice(0, len(array) // 2)][:chunks]
    table = pa.table({"c": pa.chunked_array(pieces, array.type)}, metadata={"m": "\u00e9"} if chunks == 2 else None)
    frame = there_and_back(both, table)
    assert frame.format == "arrow"
    same(pa.table(frame.value), table)
    try:
        expected = table.to_pylist()
    except (ValueError, OverflowError, ImportError):
        return
    if not pa.types.is_nested(array.type) and not pa.types.is_interval(array.type) and "ns" not in str(array.type):
        assert frame.value.to_pylist() == expected


def shapes():
    """Arrow's integration shapes, and others that break writers."""
    ids = pa.array([5, 7, 5, 5], pa.int8())
    children = [pa.array([1, None, 3, 4]), pa.array(["a", "b", None, "d"])]
    sparse = pa.UnionArray.from_sparse(ids, children, ["i", "s"], [5, 7])
    dense = pa.UnionArray.from_dense(ids, pa.array([0, 1, 2, 3], pa.int32()), children, ["i", "s"], [5, 7])
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([2, 3, 4], pa.int16()), pa.array(["x", None, "z"]))
    nested = pa.array([[{"a": [1, None]}, None], None, [], [{"a": None}]])
    words = pa.array(["p", "q", None, "p"]).dictionary_encode()
    ordered = pa.DictionaryArray.from_arrays(pa.array([0, 1, 1, None]), pa.array(["low", "high"]), ordered=True)
    deep = pa.DictionaryArray.from_arrays(
        pa.array([1, 0, None, 1], pa.int8()),
        pa.ListArray.from_arrays(pa.array([0, 1, 3]), pa.array(["v", "w", "v"]).dictionary_encode()),
    )
    long = pa.array(["a text that no view holds in itself", None, "x" * 40, ""], pa.string_view())
    columns = dict(sparse=sparse, dense=dense, runs=runs, nested=nested, words=words, ordered=ordered, deep=deep, long=long)
    whole = pa.table(columns)
    yield "all", whole
    for name, column in columns.items():
        for start, length in [(0, 4), (1, 2), (2, 2), (3, 1), (1, 0)]:
            yield f"{name}-{start}-{length}", pa.table({name: column.slice(start, length)})
    yield "chunks", pa.concat_tables([whole.slice(i % 4, 1) for i in range(40)])
    yield "no rows", whole.slice(0, 0)
    yield "no batches", pa.Table.from_batches([], schema=whole.schema)
    yield "no columns", pa.table({"a": [1, 2, 3]}).select([])
    yield "same names", pa.Table.from_arrays([pa.array([1]), pa.array(["x"])], names=["a", "a"])
    yield "wide", pa.table({f"c{i}": [i, None] for i in range(1000)})
    yield "extension", pa.table({"u": pa.array([b"0123456789abcdef"], pa.uuid())})


@pytest.mark.parametrize("table", [pytest.param(t, id=name) for name, t in shapes()])
def test_the_shapes_of_arrow_go_there_and_back(both, table):
    """R2.1: unions, runs, dictionaries in dictionaries, views, slices, many chunks, nothing at all."""
    frame = there_and_back(both, table)
    received = pa.table(frame.value)
    if "runs" in table.column_names or "dense" in table.column_names or "sparse" in table.column_names:
        assert received.schema == table.schema
        assert received.to_pylist() == table.to_pylist()
    else:
        same(received, table)
    assert frame.value.num_rows == len(frame.value) == table.num_rows
    assert frame.value.column_names == table.column_names
    if len(set(table.column_names)) == table.num_columns and "u" not in table.column_names:
        assert frame.value.to_pylist() == table.to_pylist()


def addresses(array):
    return [b.address for b in array.buffers() if b is not None and b.size]


def within(frame, address):
    return frame.in_place and frame.address - 4096 <= address < frame.address + frame.header.body_len


def test_every_library_reads_the_segment_itself(both):
    """R2.3, R3: pyarrow, polars, pandas, DuckDB and NumPy take the column without a copy: its address is the frame's."""
    n = 20_000
    table = pa.table({"i": np.arange(n), "f": np.arange(n) / 2, "s": [f"text number {i}" for i in range(n)]})
    frame = there_and_back(both, table)
    received = frame.value
    for array in pa.table(received).columns:
        assert all(within(frame, address) for chunk in array.chunks for address in addresses(chunk))
    assert all(a % 64 == 0 for c in pa.table(received).columns for k in c.chunks for a in addresses(k))
    # The frame itself is taken as well.
    assert pa.table(frame).equals(table)
    other = there_and_back(both, np.arange(3))
    assert hasattr(frame, "__arrow_c_stream__") and not hasattr(other, "__arrow_c_stream__")
    with pytest.raises(TypeError, match="ndarray is no table"):
        other.table

    numpy = np.asarray(received.column("i"))
    assert within(frame, numpy.ctypes.data) and not numpy.flags.writeable
    assert within(frame, np.frombuffer(received["f"]).ctypes.data)
    assert np.array_equal(np.asarray(received["f"]), np.arange(n) / 2)

    frame_of_polars = pl.DataFrame(received)
    address = frame_of_polars["i"].to_numpy(allow_copy=False).ctypes.data
    assert within(frame, address)
    assert frame_of_polars["s"].to_list() == table["s"].to_pylist()

    of_pandas = received.to_pandas(split_blocks=True)
    assert within(frame, of_pandas["i"].to_numpy().ctypes.data)
    assert of_pandas["s"].tolist() == table["s"].to_pylist()

    connection = duckdb.connect()
    [row] = connection.sql("select sum(i), max(s) from received").fetchall()
    assert row == (sum(range(n)), max(table["s"].to_pylist()))


def test_what_libraries_show_is_sent(both):
    """R1.1: pandas with its index, polars, DuckDB, batches, readers, chunked and single columns."""
    index = pd.DataFrame({"a": [1, 2], "s": ["x", None]}, index=pd.Index(["p", "q"], name="key"))
    pd.testing.assert_frame_equal(there_and_back(both, index).value.to_pandas(), index)
    frame = pl.DataFrame({"a": [1, None], "s": ["x", "a longer text than a view has"], "c": pl.Series(["u", "v"], dtype=pl.Categorical)})
    assert there_and_back(both, frame).value.to_polars().equals(frame)
    relation = duckdb.sql("select range as i, 'x' || range as s from range(3000)")
    assert there_and_back(both, relation).value.num_rows == 3000
    batch = pa.record_batch({"a": [1, 2]})
    received = there_and_back(both, batch).value
    assert pa.record_batch(received).equals(batch)
    reader = pa.RecordBatchReader.from_batches(batch.schema, iter([batch, batch]))
    received = there_and_back(both, reader).value
    assert [len(piece) for piece in received.batches()] == [len(piece) for piece in received] == [2, 2]
    with pytest.raises(TypeError, match="2 batches"):
        received.__arrow_c_array__()
    for column in (pa.array([1, 2, None]), pa.chunked_array([[1], [2]]), pl.Series("n", ["a", None])):
        frame = there_and_back(both, column)
        assert isinstance(frame.value, slipring.Column)
        assert frame.value.to_pylist() == list(column.to_pylist() if hasattr(column, "to_pylist") else column)
        assert frame.table.num_columns == 1
    assert there_and_back(both, there_and_back(both, batch).value).value.to_pydict() == {"a": [1, 2]}
    with_meta = there_and_back(both, batch, meta={"site": 4})
    assert with_meta.meta == {"site": 4} and pa.table(with_meta.value).num_rows == 2


def test_a_column_alone_keeps_the_frame(both):
    """R5.2, R14: the block is given back when the last array is gone, and not before."""
    tx, rx = both
    with slipring.create(anonymous=True, capacity="1 MiB", slots=8) as ring:
        tx, rx = ring.producer(), ring.consumer()
        tx.send(pa.table({"a": np.arange(50_000), "b": np.arange(50_000)}))
        frame = rx.recv(1)
        column = pa.table(frame.value).column("b")
        frame.release()
        del frame
        gc.collect()
        with pytest.raises(slipring.Full):
            tx.send(b"x" * 400_000, timeout=0)
        assert column.to_pylist() == list(range(50_000))
        del column
        tx.send(b"x" * 400_000, timeout=0)
        assert len(rx.recv(1).value) == 400_000


def test_a_copy_is_ones_own(ring):
    """R5: with copy=True nothing refers to the segment, and the body was copied before it was checked."""
    tx, rx = ring.producer(), ring.consumer(copy=True)
    tx.send(pa.table({"a": np.arange(5000)}))
    frame = rx.recv(1)
    array = np.asarray(frame.value["a"])
    assert not within(frame, array.ctypes.data) and array.ctypes.data % 64 == 0
    frame.release()
    assert array.sum() == 5000 * 4999 // 2


def test_what_is_asked_for_is_there(both):
    """R2.3: names, types, columns by name and number, errors that say what to do."""
    table = there_and_back(both, pa.table({"a": [1, None], "b": ["x", "y"], "t": pa.array([1, 2], pa.timestamp("us"))})).value
    assert table.schema.splitlines()[:2] == ["a: Int64", "b: Utf8"]
    assert (table.num_rows, table.num_columns, table.num_batches) == (2, 3, 1)
    assert table["b"].to_pylist() == table.column(-2).to_pylist() == ["x", "y"]
    assert table["a"].null_count == 1 and table["a"].name == "a" and table["a"].type == "Int64"
    assert np.asarray(table["t"]).dtype == "M8[us]"
    assert "2 rows x 3 columns" in repr(table) and "Int64" in repr(table["a"])
    with pytest.raises(KeyError):
        table["z"]
    with pytest.raises(IndexError):
        table[3]
    with pytest.raises(ValueError, match="1 nulls"):
        np.asarray(table["a"])
    with pytest.raises(TypeError, match="Utf8"):
        np.asarray(table["b"])
    assert pl.Series(table["b"]).to_list() == ["x", "y"]
    assert table["a"].to_polars().to_list() == [1, None] and table["a"].to_pyarrow().to_pylist() == [1, None]


def test_what_does_not_come_as_arrow_goes_otherwise(both):
    """R2.5: a frame with objects of several types is pickled, and explain says why."""
    odd = pd.DataFrame({"a": [1, "x", object]})
    tx, _ = both
    with slipring.create(anonymous=True) as ring:
        ring.producer().send(odd)
        assert ring.consumer(pickle=True).recv(1).format == "pickle"
        with pytest.raises(slipring.EncodeError, match="does not come as Arrow"):
            tx.send(odd, format="arrow")
    told = slipring.explain(odd)
    assert told.format == "pickle" and "does not come as Arrow" in str(told)
    told = slipring.explain(pa.table({"a": [1]}))
    assert told.format == "arrow" and told.candidates[0].size > 0


def records(n, **fields):
    return [{"id": i, "name": f"n{i}", "half": i / 2, "odd": i % 2 == 1, "raw": b"%d" % i, **fields} for i in range(n)]


UTC = datetime.timezone.utc
EAST = datetime.timezone(datetime.timedelta(hours=5, minutes=30))
WEST = datetime.timezone(-datetime.timedelta(hours=23, minutes=59))


def exactly(one, two):
    """Also the same types, and keys in the same order."""
    return repr(one) == repr(two) and type(one) is type(two)


def test_records_go_as_a_table_and_come_back_as_records(both):
    """R1.1, R2.2: many dicts with the same keys and types; the value is the list as it was sent."""
    for sent in (
        records(200),
        records(200, none=None),
        [{"a": i} if i % 3 else {"a": i, "b": "x"} for i in range(200)],
        [{"a": i if i % 3 else None} for i in range(200)],
        [{"u": 2**64 - 1 - i} for i in range(200)],
        [{"u": 2**62 * (i % 4)} for i in range(200)],
        [{"f": f} for f in [float("nan"), float("inf"), -0.0, 1e300] * 50],
    ):
        frame = there_and_back(both, sent)
        assert frame.format == "arrow" and exactly(frame.value, sent), sent[:3]
        assert frame.table.num_rows == 200
        assert slipring.explain(sent).format == "arrow"
    assert pl.DataFrame(there_and_back(both, records(200)))["id"].sum() == 19900


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (records(127), "127 records: .* from 128 on"),
        ([{"a": 1}] * 150 + [{"a": 1.0}], "a float under"),
        ([{"a": 1}] * 150 + [{"a": True}], "a bool under"),
        ([{"a": -1}] * 150 + [{"a": 2**63}], "2\\^63"),
        ([{"a": 2**64}] * 150, "int"),
        ([{"a": 1, "b": None}] * 150 + [{"a": 1}], "missing here and null"),
        ([{"a": 1, "b": 2}] * 150 + [{"b": 1, "a": 2}], "another order"),
        ([{"a": (1,)}] * 150, "tuple"),
        ([{1: 2}] * 150, "no text"),
        ([{"a": 1}] * 150 + [5], "record 150"),
        ([{}] * 150, "no record has a value"),
        ([{"a": None}] * 150, "no record has a value"),
        ([{"a": {"b": None}}] * 150, "no record has a value"),
        ([{"a": [None] * 20_000}] * 150, "too few bytes"),
        ([{"a": [{"b": 1}]}] * 150 + [{"a": [{"b": "x"}]}], "a text under .a\\[\\].b., where there was an integer"),
        ([{"a": [1]}] * 150 + [{"a": 1}], "an integer under .a., where there was a list"),
        ([{"a": 1}] * 150 + [{"a": {"b": 1}}], "a map under .a., where there was an integer"),
        ([{"a": {"b": 1}}] * 150 + [{"a": {}}], "keys are none"),
        ([{"a": {"b": 1}}] * 150 + [{"a": {"c": 1}}], "not those of the first"),
        ([{"a": {"b": 1, "c": 2}}] * 150 + [{"a": {"b": 1}}], "not those of the first"),
        ([{"a": {"b": 1}}] * 150 + [{"a": {"b": 1, "c": 2}}], "not those of the first"),
        ([{"a": {"b": 1, "c": 2}}] * 150 + [{"a": {"c": 1, "b": 2}}], "not those of the first"),
        ([{"a": {1: 2}}] * 150, "no text"),
        ([{"a": [[(1,)]]}] * 150, "tuple under .a\\[\\]\\[\\]."),
        ([{"a": [{"b": {1}}]}] * 150, "set under .a\\[\\].b."),
        ([{"a": decimal.Decimal("1.0")}] * 150 + [{"a": decimal.Decimal("1.00")}], "more or fewer digits"),
        ([{"a": decimal.Decimal("-0")}] * 150, "Decimal"),
        ([{"a": decimal.Decimal("NaN")}] * 150, "Decimal"),
        ([{"a": decimal.Decimal("9" * 39)}] * 150, "Decimal"),
        ([{"a": decimal.Decimal("1E-39")}] * 150, "Decimal"),
        ([{"a": datetime.timedelta.max}] * 150, "timedelta"),
        ([{"a": datetime.date(2020, 1, 1)}] * 150 + [{"a": datetime.datetime(2020, 1, 1)}], "a date and time of whole seconds under"),
        ([{"a": datetime.datetime(2020, 1, 1)}] * 150 + [{"a": datetime.datetime(2020, 1, 1, 1, 1, 1, 1)}], "with microseconds under"),
        ([{"a": datetime.time(1)}] * 150 + [{"a": datetime.time(1, 1, 1, 1)}], "with microseconds under"),
        ([{"a": datetime.datetime(2020, 1, 1)}] * 150 + [{"a": datetime.datetime(2020, 1, 1, tzinfo=UTC)}], "a point in time of whole"),
        ([{"a": datetime.datetime(2020, 1, 1, tzinfo=zone)} for zone in [UTC, EAST] * 80], "another offset"),
        ([{"a": datetime.datetime(2020, 1, 1, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin"))}] * 150, "datetime"),
    ],
)
def test_records_that_are_no_table_go_as_values(both, sent, why):
    """R2.5: nothing changes its type on the way; explain says what kept them from a table."""
    frame = there_and_back(both, sent)
    assert frame.format == "value" and exactly(frame.value, sent)
    told = slipring.explain(sent)
    [arrow] = [candidate for candidate in told.candidates if candidate.format == "arrow"]
    assert not arrow.fits and re.search(why, arrow.reason), arrow.reason


@hypothesis.given(
    rows=st.lists(
        st.dictionaries(
            st.sampled_from("abcd"),
            st.none() | st.booleans() | st.integers(-(2**65), 2**65) | st.floats() | st.text(max_size=3) | st.binary(max_size=3),
        ),
        min_size=128,
        max_size=132,
    )
    | st.fixed_dictionaries({"a": st.none() | st.integers(-(2**63), 2**64 - 1), "b": st.text(max_size=4)}).flatmap(
        lambda row: st.lists(st.sampled_from([row, {"a": 1, "b": ""}, {"a": None, "b": "x"}]), min_size=128, max_size=132)
    )
)
@hypothesis.settings(max_examples=150, deadline=None, suppress_health_check=list(hypothesis.HealthCheck))
def test_any_records_come_back_as_they_were(both, rows):
    """R1.1, R2.5: whichever format was taken."""
    assert exactly(there_and_back(both, rows).value, rows)


def whole(moment):
    return moment.replace(microsecond=0, fold=0)


def fine(moment):
    return moment.replace(microsecond=moment.microsecond or 1, fold=0)


def in_order(**fields):
    return st.tuples(*fields.values()).map(lambda values: dict(zip(fields, values)))


DAYS = [datetime.date.min, datetime.date(1, 2, 28), datetime.date(1600, 2, 29), datetime.date(1899, 12, 31), datetime.date(1969, 12, 31)]
DAYS += [datetime.date(1970, 1, 1), datetime.date(2000, 2, 29), datetime.date(2000, 3, 1), datetime.date(2100, 2, 28), datetime.date.max]
MOMENTS = st.datetimes() | st.sampled_from([datetime.datetime.min, datetime.datetime.max])
RICH = {
    "dates": st.dates() | st.sampled_from(DAYS),
    "moments": MOMENTS.map(fine),
    "whole moments": MOMENTS.map(whole),
    "utc": MOMENTS.map(lambda moment: fine(moment).replace(tzinfo=UTC)),
    "east": MOMENTS.map(lambda moment: whole(moment).replace(tzinfo=EAST)),
    "west": MOMENTS.map(lambda moment: fine(moment).replace(tzinfo=WEST)),
    "times": st.times().map(fine),
    "whole times": st.times().map(whole),
    "durations": st.timedeltas(min_value=datetime.timedelta(days=-(10**8)), max_value=datetime.timedelta(days=10**8)),
    "decimals": st.integers(-(10**38) + 1, 10**38 - 1).map(lambda n: decimal.Decimal(n).scaleb(-7, decimal.Context(prec=60))),
    "thousands": st.integers(-99, 99).map(lambda n: decimal.Decimal(f"{n}E+3")),
    "ids": st.uuids(),
    "bytes": st.binary(max_size=5),
    "lists": st.lists(st.none() | st.integers(-5, 2**63), max_size=4),
    "lists of lists": st.lists(st.lists(st.dates(), max_size=3), max_size=3),
    "dicts": in_order(x=st.floats(), deep=in_order(id=st.none() | st.uuids(), t=st.text(max_size=2))),
    "lists of dicts": st.lists(in_order(at=MOMENTS.map(whole), ok=st.none() | st.booleans()), max_size=3),
}


@pytest.mark.parametrize("kind", RICH)
@hypothesis.given(data=st.data())
@hypothesis.settings(max_examples=25, deadline=None, suppress_health_check=list(hypothesis.HealthCheck))
def test_rich_records_go_as_a_table(both, kind, data):
    """R1.1, R2.2, R2.5: dates, times, decimals, UUIDs, lists and dicts in records, with and without nulls: the same types and values."""
    some = data.draw(st.lists(RICH[kind], min_size=1, max_size=8))
    some += [None] * data.draw(st.integers(0, 1))
    rows = [{"a": some[i % len(some)], "id": i} for i in range(130)]
    frame = there_and_back(both, rows)
    assert exactly(frame.value, rows), rows[:8]
    # Of floats that are no numbers, and of types that pyarrow has other ones for, it can't be asked.
    if kind not in ("thousands", "east", "west", "dicts"):
        table = pa.table(frame.table)
        table.validate(full=True)
        assert table.to_pylist() == rows
    assert frame.format == "arrow"


def test_columns_of_records_have_fitting_types(both):
    """R2.2: what other libraries see of them; a list that is cut short goes with what it has."""
    row = {
        "day": datetime.date(2024, 2, 29),
        "at": datetime.datetime(2024, 2, 29, 1, 2, 3, tzinfo=UTC),
        "local": datetime.datetime(2024, 2, 29, 1, 2, 3, 4),
        "east": datetime.datetime(2024, 2, 29, 1, 2, 3, tzinfo=EAST),
        "of_day": datetime.time(1, 2, 3),
        "took": datetime.timedelta(days=-1, microseconds=5),
        "price": decimal.Decimal("-12.50"),
        "key": uuid.UUID(int=7),
        "tags": ["a", None],
        "place": {"x": 1.5, "names": [[b"n"]]},
        "none": {"a": [], "b": None},
    }
    frame = there_and_back(both, [row] * 128)
    assert exactly(frame.value, [row] * 128)
    table = pa.table(frame.table)
    assert {field.name: str(field.type) for field in table.schema} == {
        "day": "date32[day]",
        "at": "timestamp[s, tz=UTC]",
        "local": "timestamp[us]",
        "east": "timestamp[s, tz=+05:30]",
        "of_day": "time32[s]",
        "took": "duration[us]",
        "price": "decimal128(4, 2)",
        "key": "extension<arrow.uuid>",
        "tags": "list<item: string>",
        "place": "struct<x: double not null, names: list<item: list<item: binary not null> not null> not null>",
        "none": "struct<a: list<item: null> not null, b: null>",
    }
    assert frame.table["key"].to_pylist() == [uuid.UUID(int=7)] * 128
    assert frame.table.to_pydict()["day"] == [row["day"]] * 128
    assert pl.DataFrame(there_and_back(both, [{k: row[k] for k in ("day", "at", "price", "tags", "place")}] * 128))["tags"].to_list() == [["a", None]] * 128


def test_nulls_around_lists_and_dicts_are_kept(both):
    """R2.5: what is null since all around it is, and what is null itself."""
    deep = {"k": 1, "l": [1, None], "d": {"t": "x"}}
    for rows in (
        [{"a": None}] * 100 + [{"a": deep}] * 100 + [{"a": None}],
        [{"a": deep}] * 150 + [{}] + [{"a": deep}],
        [{"a": [None, deep, None]}, {"a": []}, {"a": None}] * 60,
        [{"a": {"k": None, "l": None, "d": None}}, {"a": deep}] * 100,
        [{"a": [[None, []], None]}] * 150 + [{"a": [[None, [1]]]}],
    ):
        frame = there_and_back(both, rows)
        assert frame.format == "arrow" and exactly(frame.value, rows), rows[:2]


def test_what_never_ends_is_no_table(both):
    """R1.2, P9: a list in itself, lists beyond all depth."""
    rounds, deep = [], 1
    rounds.append(rounds)
    for _ in range(33):
        deep = [deep]
    for odd in (rounds, deep):
        with pytest.raises(slipring.EncodeError, match="list under"):
            both[0].send([{"a": odd}] * 200, format="arrow")
    assert exactly(there_and_back(both, [{"a": deep}] * 200).value, [{"a": deep}] * 200)


@dataclasses.dataclass
class Line:
    start: Point
    points: list
    at: datetime.date


@dataclasses.dataclass
class Point:
    x: float
    label: str


def test_what_is_asked_to_be_a_table(both):
    """R1.1: dicts of columns, dataclasses and few records, with format="arrow"."""
    columns = {"n": np.arange(4, dtype="i4"), "s": ["a", None, "c", "d"], "p": pa.array([1.5, 2, 3, 4]), "b": np.array([True] * 4), "r": np.arange(8.0)[::2]}
    table = there_and_back(both, columns, format="arrow").value
    assert pa.table(table).to_pydict() == {"n": [0, 1, 2, 3], "s": ["a", None, "c", "d"], "p": [1.5, 2, 3, 4], "b": [True] * 4, "r": [0, 2, 4, 6]}
    points = [Point(1.0, "a"), Point(2.0, "b")]
    assert there_and_back(both, points, format="arrow").table.to_pydict() == {"x": [1.0, 2.0], "label": ["a", "b"]}
    day = datetime.date(2024, 2, 29)
    lines = there_and_back(both, [Line(points[0], points, day)], format="arrow").value
    assert lines == [{"start": {"x": 1.0, "label": "a"}, "points": [{"x": 1.0, "label": "a"}, {"x": 2.0, "label": "b"}], "at": day}]
    columns = {"when": [day, None], "which": [[points[0]], []]}
    assert there_and_back(both, columns, format="arrow").value.to_pydict() == {"when": [day, None], "which": [[{"x": 1.0, "label": "a"}], []]}
    for wrong in ({"a": [1], "b": [1, 2]}, {"a": [1, "x"]}, {"a": np.zeros((2, 2))}, {"a": object()}, 5, "text", [], [1]):
        with pytest.raises(slipring.EncodeError):
            both[0].send(wrong, format="arrow", timeout=1)


def test_what_is_no_table_by_itself_says_what_to_do(both):
    """R2.5, R1.2: a table inside of a value, and a list of dataclasses, which would come back as dicts."""
    table = pa.table({"a": [1]})
    for inner in (table, pl.DataFrame(table), there_and_back(both, table).value):
        for refuse in (lambda value: both[0].send(value, format="value"), slipring.encode):
            if refuse is slipring.encode and not isinstance(inner, slipring.Table):
                # A pickle, which needs no hint.
                assert slipring.decode(refuse({"frame": inner}), pickle=True)["frame"].equals(inner)
                continue
            with pytest.raises(slipring.EncodeError) as refused:
                refuse({"frame": inner, "n": 3})
            assert refused.value.path == "$.frame" and "by itself" in refused.value.hint
    told = slipring.explain([Point(1.0, "a")] * 200)
    [arrow] = [candidate for candidate in told.candidates if candidate.format == "arrow"]
    assert told.format != "arrow" and 'format="arrow"' in arrow.reason


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


def test_mutations_end_well(foreign):
    """P9: a good body with any word changed is refused, or its table can be walked by pyarrow in full."""
    table = pa.table({"i": [1, None, 3], "s": ["abc", None, "d" * 30], "l": [[1], [], None], "d": pa.array(["p", "q", "p"]).dictionary_encode(), "v": pa.array(["x" * 20, None, "y"], pa.string_view())})
    body = golden.body(table.to_batches())
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
        body = golden.body([pa.record_batch({"v": pa.array(texts, kind)})])
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
    for walk in (table.to_pylist, table.to_pydict, table.to_numpy, lambda: tx.send(table, timeout=1)):
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


@pytest.mark.parametrize("copy", [False, True])
@pytest.mark.parametrize("checks", ["safe", "full"])
def test_mutations_are_walked_by_this_package(name, copy, checks):
    """P9, R5: any word of a frame changed before it is looked at: whatever the checks let through is walked to its end, read again as
    objects, sent on. Under the address sanitizer what a copy's buffers don't have is out of bounds."""
    rng = np.random.default_rng([copy, checks == "full"])
    read = refused = spent = 0
    with slipring.create(name, capacity="8 MiB", slots=16) as ring, slipring.create(anonymous=True, capacity="8 MiB", slots=64) as other:
        tx, rx = ring.producer(), ring.consumer(copy=copy, checks=checks)
        on = other.producer(), other.consumer(copy=True)
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
    with slipring.create(name, capacity="8 MiB", slots=16) as ring, slipring.create(anonymous=True, capacity="8 MiB", slots=64) as other:
        tx, rx = ring.producer(), ring.consumer(copy=True)
        on = other.producer(), other.consumer(copy=True)
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
    body = golden.body([batch.replace_schema_metadata(schema.metadata)])
    value = foreign(3, 0, body).value
    assert isinstance(value, slipring.Table) and len(value) == 1_000_000


def test_columns_that_are_made_when_asked_are_kept(ends):
    """P9: a column of another package may be an array that exists for us alone."""

    class Fresh:
        def __init__(self, start):
            self.start = start

        def _array(self):
            return np.arange(self.start, self.start + 100_000, dtype="i8")

        def __dlpack__(self, **options):
            return self._array().__dlpack__(**options)

        def __dlpack_device__(self):
            return (1, 0)

    tx, rx = ends
    tx.send({str(n): Fresh(n) for n in range(8)}, format="arrow")
    table = rx.recv(0).value
    for n in range(8):
        assert np.array_equal(np.asarray(table[str(n)]), np.arange(n, n + 100_000))


def test_a_frame_that_can_not_be_read_is_not_acknowledged(name):
    """P6: under manual acknowledgement the next one has it."""
    with slipring.create(name, capacity="4 MiB", slots=64, mode="mpmc") as ring:
        ring.producer().send(pa.table({"text": ["abc"]}))
        first = ring.consumer(ack="manual", checks="full")
        with open(ring.path, "r+b") as file:
            memory = file.read()
            file.seek(memory.index(b"abc"))
            file.write(b"\xff")
        reader = first.tables()
        with pytest.raises(slipring.DecodeError):
            next(iter(reader))
        del reader
        gc.collect()
        first.close()
        assert ring.consumer(ack="manual").recv(0).redeliveries == 1


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
    received = foreign(3, 0, golden.body(table.to_batches())).value
    assert len(received) == len(table)
    for make in (received.to_pylist, received.to_pydict, received["c"].to_pylist):
        with pytest.raises(slipring.DecodeError, match="more elements than are made of .*to_pyarrow") as caught:
            make()
        assert caught.value.path == "$.columns" and "slices" in caught.value.hint
    assert len(received.to_pyarrow().slice(5, 10).to_pylist()) == 10


def test_columns_of_nothing_do_not_multiply(foreign):
    """P9: columns that take no bytes are bounded together, and such records stay a table."""
    for records in (False, True):
        received = foreign(3, 0, golden.body(many_nulls(200_000, records).to_batches())).value
        assert isinstance(received, slipring.Table) and len(received) == 200_000
        for make in (received.to_pylist, received.to_pydict):
            with pytest.raises(slipring.DecodeError, match="more elements"):
                make()
    received = foreign(3, 0, golden.body(many_nulls(10_000, True).to_batches())).value
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
        received = foreign(3, 0, golden.body(pa.table({"c": column}).to_batches())).value
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

    few, many = (foreign(3, 0, golden.body(pa.table({"c": pa.nulls(n)}).to_batches())).value for n in (600_000, 3_000_000))
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


def test_records_with_odd_texts_and_keys_go_as_they_are(ends):
    """R1.1, R2.5: keys that are equal and not the same object, texts beyond ASCII, integers of any size up to 2^64."""
    tx, rx = ends
    alike = [{"".join(["k", "ey"]): n, "wörd": "ß" * (n % 3), "big": 2**40 + n, "huge": 2**63 + n} for n in range(200)]
    tx.send(alike)
    frame = rx.recv(0)
    assert frame.format == "arrow" and frame.value == alike
    for odd in ({"key": "\ud800"}, {"\ud800": 1}, {1: 1}, {"key": 2**64}):
        records = [{"key": 1}] * 200 + [odd]
        with pytest.raises(slipring.EncodeError):
            tx.send(records, format="arrow")
    assert rx.try_recv() is None


def test_a_record_with_a_new_key_in_front_keeps_its_order(ends):
    """R1.1: columns move, and the keys that were known with them."""
    tx, rx = ends
    mixed = [{"b": n, "c": -n} for n in range(100)] + [{"a": n, "b": n, "c": -n} for n in range(100)]
    mixed += [{"c": 1, "d": 2}] * 3 + [{"a": 5, "d": 6}] * 3
    tx.send(mixed)
    frame = rx.recv(0)
    assert frame.format == "arrow" and frame.value == mixed
    assert [list(record) for record in frame.value] == [list(record) for record in mixed]


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
    with pytest.raises(slipring.Error):
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


async def async_nothing(tx):
    return await tx.send_batches_async([])
