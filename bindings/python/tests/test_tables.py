"""Tables: what any library shows by Arrow's capsules comes back as the same, over the segment."""

from __future__ import annotations

import contextlib
import decimal
import gc
import subprocess
import sys
import uuid
import warnings

import duckdb
import hypothesis
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import strategies as st

import slipring

INTS = [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()]


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
    with pytest.raises(AttributeError, match="2 batches"):
        received.__arrow_c_array__
    for column in (pa.array([1, 2, None]), pa.chunked_array([[1], [2]]), pl.Series("n", ["a", None])):
        frame = there_and_back(both, column)
        assert isinstance(frame.value, slipring.Column)
        assert frame.value.to_pylist() == list(column.to_pylist() if hasattr(column, "to_pylist") else column)
        assert frame.table.num_columns == 1
    assert there_and_back(both, there_and_back(both, batch).value).value.to_pydict() == {"a": [1, 2]}
    with_meta = there_and_back(both, batch, meta={"site": 4})
    assert with_meta.meta == {"site": 4} and pa.table(with_meta.value).num_rows == 2


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_every_library_takes_any_number_of_batches(both, count):
    """R1.1: what prefers the array takes the stream where there is no such array; also the columns."""
    batches = [pa.record_batch({"a": [i, None], "s": ["x", f"text {i}"]}) for i in range(count)]
    schema = pa.schema({"a": pa.int64(), "s": pa.string()})
    whole = pa.Table.from_batches(batches, schema)
    frame = there_and_back(both, whole)
    received = frame.value
    assert received.num_batches == count
    assert hasattr(received, "__arrow_c_array__") == hasattr(received["a"], "__arrow_c_array__") == (count == 1)
    rows = whole.to_pylist()
    for made in (pl.DataFrame(received), received.to_polars(), pl.DataFrame(frame)):
        assert made.schema == {"a": pl.Int64, "s": pl.String} and made.to_dicts() == rows
    for made in (pl.Series(received["a"]), received["a"].to_polars()):
        assert made.dtype == pl.Int64 and made.to_list() == whole["a"].to_pylist()
    assert pa.table(received).equals(whole) and received.to_pyarrow().equals(whole)
    assert pa.chunked_array(received["s"]).equals(whole["s"])
    assert duckdb.sql("select * from received").fetchall() == [(row["a"], row["s"]) for row in rows]
    pd.testing.assert_frame_equal(received.to_pandas(), whole.to_pandas())
    pd.testing.assert_frame_equal(pd.DataFrame.from_arrow(received), whole.to_pandas())
    assert there_and_back(both, received).value.to_pylist() == rows
    if count == 1:
        assert pa.record_batch(received).equals(batches[0])


@pytest.mark.parametrize("rows", [0, 1, 1000])
def test_null_columns_of_polars_go_as_tables(both, rows):
    """R1.1: polars says of a null array that it has a buffer, which is none; also below lists and structs."""
    nulls = [None] * rows
    frame = pl.DataFrame(
        {
            "a": range(rows),
            "n": pl.Series(nulls, dtype=pl.Null),
            "l": pl.Series([[None, None]] * rows, dtype=pl.List(pl.Null)),
            "f": pl.Series([[None, None]] * rows, dtype=pl.Array(pl.Null, 2)),
            "s": pl.Series([{"m": None, "x": i} for i in range(rows)], dtype=pl.Struct({"m": pl.Null, "x": pl.Int16})),
        }
    )
    for _ in range(3):
        received = there_and_back(both, frame, format="arrow").value
        assert isinstance(received, slipring.Table)
        assert received.to_polars().equals(frame) and received.to_pylist() == frame.to_dicts()
    assert there_and_back(both, frame["n"]).value.to_pylist() == nulls
    assert there_and_back(both, frame.slice(1)).value.to_polars().equals(frame.slice(1))


@pytest.mark.parametrize("options", [{}, {"format": "arrow"}])
def test_objects_of_polars_are_refused(both, options):
    """R6.5: their Arrow is addresses in this process."""
    objects = pl.Series("u", [uuid.uuid4(), None], dtype=pl.Object)
    for shown in (objects, pl.DataFrame({"a": [1, 2]}).with_columns(objects), pl.DataFrame([objects.clear()])):
        with pytest.raises(slipring.EncodeError, match=r"cast to text, or send to_dicts\(\)") as caught:
            both[0].send(shown, timeout=5, **options)
        assert 'column "u"' in str(caught.value) and "Object" in str(caught.value)
    with pytest.raises(slipring.EncodeError, match="cast to text"):
        both[0].send({"inside": pl.DataFrame([objects])}, timeout=5, format="value")
    # Bytes of a fixed size are another matter.
    fixed = pa.table({"u": pa.array([b"12345678"], pa.binary(8))})
    assert there_and_back(both, fixed).value.to_pylist() == [{"u": b"12345678"}]


@pytest.mark.parametrize("kind", ["pl.List(pl.Object)", "pl.Array(pl.Object, 2)", "pl.List(pl.Struct({'a': pl.Int8, 'u': pl.Object}))"])
def test_objects_of_polars_in_other_types_are_refused(kind):
    """R6.5: asked for the Arrow of these, polars ends the process; it panics even when it frees them, so that this one just ends."""
    code = f"""
import os, polars as pl, slipring
frame = pl.DataFrame(schema={{"a": pl.Int8, "n": {kind}}})
with slipring.create(anonymous=True, capacity="1 MiB", slots=8) as ring:
    try:
        ring.producer().send(frame, format="arrow", timeout=5)
    except slipring.EncodeError as error:
        os._exit(0 if 'column "n"' in str(error) and "cast to text" in str(error) else 3)
    os._exit(4)
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=60, capture_output=True).returncode == 0


def test_a_series_of_pandas_keeps_its_name(both):
    """R1.1, R6.3: the name goes along; an index that is no plain count is lost, and that is said."""
    series = pd.Series([1, 2], name="price")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        received = there_and_back(both, series).value
        assert isinstance(received, slipring.Column) and received.name == "price" and received.to_pylist() == [1, 2]
        assert there_and_back(both, pd.Series([1.5])).value.name == ""
        assert there_and_back(both, pd.Series(["x"], name=7)).value.name == ""
        assert there_and_back(both, series.iloc[:0]).value.name == "price"
    for index in ([4, 5], ["a", "b"], pd.RangeIndex(1, 3), pd.RangeIndex(0, 4, 2), pd.RangeIndex(2, name="k")):
        odd = pd.Series([1, 2], name="price", index=index)
        with pytest.warns(slipring.LossyWarning, match="index") as caught:
            assert there_and_back(both, odd).value.name == "price"
        assert len(caught) == 1
    with pytest.warns(slipring.LossyWarning, match="index"):
        both[0].send_batches(odd, timeout=5)
    assert both[1].recv(5).table.column_names == ["price"]


def test_a_series_of_structs_is_a_column(both):
    """R1.1: with its name and its nulls, as a series of anything else is, and so is an array."""
    items = [{"a": 1}, None, {"a": 2}]
    for series in (pl.Series("p", items), pd.Series(items, name="p", dtype=pd.ArrowDtype(pa.struct([("a", pa.int64())])))):
        received = there_and_back(both, series).value
        assert isinstance(received, slipring.Column) and received.name == "p"
        assert received.to_pylist() == items
        columns = there_and_back(both, {"q": series}, format="arrow").value
        assert columns.to_pydict() == {"q": items}
    assert there_and_back(both, pl.Series("p", items)).value.to_polars().name == "p"
    assert isinstance(there_and_back(both, pa.array([{"a": 1}])).value, slipring.Column)


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


@pytest.mark.filterwarnings("ignore::slipring.PickleWarning")
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


