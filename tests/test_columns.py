"""Columns that Elixir makes of terms, as pyarrow sees them."""

import datetime as dt
import decimal

import pyarrow as pa
import pytest
import slipring
from test_cross import STRUCT, TABLES, of_type, special


def offsets(*ends):
    return pa.array([0, *ends], pa.int32())


def nested():
    """Types that Python has no list of elements for, or that stand within others."""
    (sparse, _), (dense, _), (runs, _), _ = special()
    yield from (sparse, dense, runs)
    for values in ([dt.date(2026, 11, 21), None, dt.date(1, 1, 1)], [True, None, True], [b"ab", None], [1.5, None, -0.0, 0.0]):
        yield pa.array(values).dictionary_encode()
    wide = pa.array([decimal.Decimal(10) ** 60, None, decimal.Decimal(-1)], pa.decimal256(76, 0))
    views = pa.array(["short", "longer than twelve bytes", None, "longer than twelve bytes"], pa.string_view())
    pairs = pa.StructArray.from_arrays([pa.array([1, 1, 2], pa.int8()), pa.array(["x", "x", None])], ["a", "b"])
    of_pairs = pa.DictionaryArray.from_arrays(pa.array([0, None, 2], pa.uint16()), pairs)
    of_lists = pa.DictionaryArray.from_arrays(pa.array([1, 0, None], pa.int8()), pa.array([[1.0], [None, -0.0]]))
    yield from (wide.dictionary_encode(), views.cast(pa.string()).dictionary_encode(), of_pairs, of_lists)
    for item in (sparse, dense, views, pa.array(["x", "y", "x", None]).dictionary_encode()):
        yield pa.ListArray.from_arrays(offsets(1, 1, 4), item)
        yield pa.MapArray.from_arrays(offsets(2, 2, 4), ["k", "l", "m", "k"], item)
        yield pa.StructArray.from_arrays([item, pa.array(range(4))], ["of", "n"])
    six = pa.array([1, 1, None, 2, 2, 3], pa.float16())
    yield pa.FixedSizeListArray.from_arrays(six, 3)
    yield pa.RunEndEncodedArray.from_arrays(pa.array([1, 3, 6], pa.int64()), pa.array([[1], None, [1, None]]))
    strict = pa.struct([pa.field("id", pa.binary(2), False), pa.field("at", pa.list_(pa.field("t", pa.time64("ns"), False)))])
    yield pa.array([{"id": b"ab", "at": [dt.time(1)]}, None, {"id": b"cd", "at": None}], strict)
    yield pa.array([[{"a": 1, "b": ["x"]}], None], pa.large_list_view(STRUCT))
    yield pa.array([[(1, pa.MonthDayNano([1, 2, 3]))], []], pa.map_(pa.int16(), pa.month_day_nano_interval()))


@pytest.fixture
def rings(name, elixir):
    with slipring.create(f"{name}-there", capacity="16 MiB") as there, slipring.create(f"{name}-back", capacity="16 MiB") as back:
        process = elixir("columns.exs", name)
        yield there.producer(), back, back.consumer(), process
        there.finish()
        assert (process.wait(20), process.end()) == (0, "")


def received(rx, process):
    try:
        table = pa.table(rx.recv(timeout=20).value)
    except slipring.Timeout:
        pytest.fail(f"no answer; Elixir printed: {process.end()}")
    table.validate(full=True)
    return table


def test_columns_of_every_type_are_made_of_terms(rings):
    """R2.1, R2.2, R6.1: what Elixir reads of a column and gives back with its type is the same column to pyarrow, whether it is made of
    columns, of rows, or under a schema; also where there is nothing in it, and nothing but nulls."""
    tx, back, rx, process = rings
    arrays = [*(of_type(kind, values) for kind, values in TABLES), *nested()]
    for number, array in enumerate(arrays):
        kind, name = array.type, f"case {number}"
        back.announce(name, pa.schema([("c", kind)]), version=1)
        null = None if pa.types.is_union(kind) or pa.types.is_run_end_encoded(kind) else pa.nulls(2, kind)
        for part in (array, array[:0], array[1:], null):
            if part is None:
                continue
            table = pa.table({"c": part})
            tx.send(table, meta={"schema": name}, timeout=20)
            made = [received(rx, process) for _ in range(4)]
            for got, announced in zip(made, (False, False, True, True)):
                # That its values have an order is said of a column, and of no type.
                ordered = pa.types.is_dictionary(kind) and kind.ordered and not announced
                wants = pa.dictionary(kind.index_type, kind.value_type) if ordered else kind
                assert got.schema.names == ["c"], kind
                assert got.schema.field("c").type == wants, (kind, got.schema)
                assert got.num_rows == len(part), kind
                assert repr(got["c"].to_pylist()) == repr(table["c"].to_pylist()), kind
