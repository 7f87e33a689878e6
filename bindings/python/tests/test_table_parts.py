"""Parts of tables: some rows, one column, each over the memory of the frame."""

from __future__ import annotations

import datetime
import gc

import hypothesis
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import strategies as st

import slipring
from test_tables import addresses, arrays, shapes, there_and_back, within


def alike(got, expected):
    """Tables with the same elements, however they lie."""
    got.validate(full=True)
    assert got.schema.equals(expected.schema) and got.num_rows == expected.num_rows
    for one, other in zip(got.columns, expected.columns):
        try:
            assert one.equals(other)
        except (AssertionError, pa.ArrowNotImplementedError):
            # NaN, and types that pyarrow does not compare.
            assert repr(one.to_pylist()) == repr(other.to_pylist())


@hypothesis.given(arrays(), st.integers(1, 3), st.data())
@hypothesis.settings(max_examples=300, deadline=None, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
def test_rows_of_every_type(both, array, chunks, data):
    """R2.1: slices, and slices of slices, have the rows that pyarrow's have."""
    table = pa.concat_tables([pa.table({"a": array})] * chunks)
    ours = there_and_back(both, table).table
    for _ in range(3):
        start, length = data.draw(st.integers(0, len(ours) + 1)), data.draw(st.integers(0, len(ours) + 1))
        ours, table = ours.slice(start, length), table.slice(min(start, len(table)), length)
        assert len(ours) == len(table)
        alike(pa.table(ours), table)


@pytest.mark.parametrize("table", [pytest.param(table, id=name) for name, table in shapes()])
def test_rows_of_the_shapes_of_arrow(both, table):
    """R2.1: unions, runs, dictionaries in dictionaries, views, many chunks; also sent once more."""
    ours = there_and_back(both, table).table
    for start in range(0, 6):
        for length in (0, 1, 2, 30):
            expected, got = table.slice(min(start, len(table)), length), ours.slice(start, length)
            assert pa.table(got).schema == expected.schema
            for names in (pa.table(got), pa.table(there_and_back(both, got).table)):
                assert [column.to_pylist() for column in names.columns] == [column.to_pylist() for column in expected.columns]


def test_rows_are_not_copied(both):
    """R2.3: what begins with a byte lies where it lay, and keeps the frame; only bits within a byte are made."""
    n = 4096
    columns = {"i": np.arange(n), "s": [f"text {i}" for i in range(n)], "b": [i % 3 == 0 for i in range(n)], "null": [None if i % 7 == 0 else i for i in range(n)]}
    frame = there_and_back(both, pa.table(columns))
    for start, moved in ((8, 0), (1024, 0), (9, 2)):
        part = frame.table.slice(start, 100)
        places = [address for column in pa.table(part).columns for chunk in column.chunks for address in addresses(chunk)]
        assert sum(not within(frame, address) for address in places) == moved
        assert part.to_pydict() == {name: list(column[start : start + 100]) for name, column in columns.items()}
    assert part["null"].null_count == sum(i % 7 == 0 for i in range(9, 109))
    assert pa.table(part.slice(3, 4))["b"].to_pylist() == [i % 3 == 0 for i in range(12, 16)]
    # All of it is the table itself; behind it there is nothing.
    assert len(frame.table.slice()) == n and len(frame.table.slice(n - 1)) == 1
    assert len(frame.table.slice(n)) == 0 == len(frame.table.slice(2**62)) == len(frame.table.slice(5, length=0))
    for wrong in (-1, 2.5, "1", None):
        with pytest.raises((TypeError, ValueError)):
            frame.table.slice(length=wrong) if wrong is not None else frame.table.slice(0, 1, 2)


def test_rows_of_a_frame_of_pandas_have_their_own_index(both):
    frame = pd.DataFrame({"a": range(10), "b": 0.5})
    for _ in range(3):
        table = there_and_back(both, frame).table
        pd.testing.assert_frame_equal(table.slice(2, 3).to_pandas(), pa.table(frame).slice(2, 3).to_pandas())


def test_rows_keep_their_frame(ring):
    tx, rx = ring.producer(), ring.consumer()
    tx.send(pa.table({"a": np.arange(1000), "b": [True, None] * 500}))
    part = rx.recv(1).table.slice(3, 5)
    gc.collect()
    assert ring.inspect().held == 1 and part.to_pydict() == {"a": [3, 4, 5, 6, 7], "b": [None, True, None, True, None]}
    del part
    gc.collect()
    assert ring.inspect().held == 0


def test_a_column_is_a_view_of_numpy_and_pandas(both):
    """R2.3: addresses are the frame's; what is no view says so, or is what pyarrow makes."""
    at = [datetime.datetime(2026, 1, 1), datetime.datetime(2026, 1, 2)] * 500
    columns = {"i": pa.array(range(1000)), "at": pa.array(at), "s": pa.array(["a", None] * 500), "b": pa.array([True, False] * 500), "null": pa.array([1, None] * 500)}
    table = pa.table(columns)
    frame = there_and_back(both, table)
    ours = frame.table
    for name in ("i", "at"):
        numpy = ours[name].to_numpy()
        assert within(frame, numpy.ctypes.data) and not numpy.flags.writeable
        assert np.array_equal(numpy, table[name].to_numpy())
        series = ours[name].to_pandas()
        assert series.name == name and series.equals(table[name].to_pandas().rename(name))
        assert within(frame, series.to_numpy().ctypes.data)
    for name in ("s", "b", "null"):
        with pytest.raises((TypeError, ValueError), match=f'column "{name}"'):
            ours[name].to_numpy()
    for name in columns:
        numpy, expected = ours[name].to_numpy(zero_copy_only=False), table[name].to_numpy()
        assert numpy.dtype == expected.dtype and pd.Series(numpy).equals(pd.Series(expected))
        pd.testing.assert_series_equal(ours[name].to_pandas(), table[name].to_pandas().rename(name))
        assert [*ours[name]] == table[name].to_pylist() == ours[name].to_pylist()
    assert ours["i"].to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get).dtype == "Int64"
    chunks = there_and_back(both, pa.concat_tables([table, table])).table["i"]
    with pytest.raises(ValueError, match="2 batches"):
        chunks.to_numpy()
    assert np.array_equal(chunks.to_numpy(zero_copy_only=False), [*range(1000)] * 2)
    none = there_and_back(both, table.slice(0, 0)).table
    assert none["i"].to_numpy().dtype == "i8" and len(none["i"].to_numpy(zero_copy_only=False)) == 0 == len([*none["i"]])


def test_two_columns_of_a_name_are_no_dict(both):
    """P3: what has no place in a dict is not left out without a word."""
    twice = pa.Table.from_arrays([pa.array([1]), pa.array(["x"])], names=["a", "a"])
    table = there_and_back(both, twice).table
    for make in (table.to_pylist, table.to_pydict, table.to_numpy):
        with pytest.raises(ValueError, match='several columns named "a"'):
            make()
    assert table[0].to_pylist() == [1] and table[1].to_pylist() == ["x"]
    within = pa.table({"s": pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], names=["b", "b"])})
    table = there_and_back(both, within).table
    with pytest.raises(ValueError, match='several columns named "b"'):
        table.to_pylist()
    # One who says that it is records is a table then.
    marked = twice.replace_schema_metadata({"slipring.records": "1"})
    assert isinstance(there_and_back(both, marked).value, slipring.Table)
