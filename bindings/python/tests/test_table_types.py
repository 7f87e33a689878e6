"""Records and columns of elements under a schema, for the types that have no plain form: packed, of a fixed size, of several types."""

from __future__ import annotations

import array
import ctypes
import datetime
import decimal
import math
import typing

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import slipring

D = decimal.Decimal
SOON = datetime.timedelta(1, 2, 3)


def union(make, *fields):
    return make([pa.field(name, kind) for name, kind in fields])


ANYTHING = [("f", pa.float64()), ("i", pa.int8()), ("t", pa.string()), ("l", pa.list_(pa.int16())), ("s", pa.struct({"x": pa.int8()}))]
NANOS = pa.array([1, None, 2**62], pa.timestamp("ns"))


class Point(typing.NamedTuple):
    x: int
    y: str | None = None


@pytest.fixture
def sent(ring):
    """Sends one column of elements under a schema, as records and as a column, and gives what came, checked by pyarrow."""
    tx, rx = ring.producer(), ring.consumer()
    number = iter(range(1000))

    def send(kind, values, nullable=True):
        schema = pa.schema([pa.field("a", kind, nullable), ("z", pa.int8())])
        announced = ring.announce(f"s{next(number)}", schema, version=1)
        tx.send([{"z": 1, "a": value} for value in values], schema=announced)
        tx.send({"a": values}, schema=announced)
        first, second = (pa.table(rx.recv(1).value) for _ in range(2))
        for table in (first, second):
            table.validate(full=True)
            assert table.schema.equals(schema)
        assert str(first["a"].to_pylist()) == str(second["a"].to_pylist())
        return first["a"]

    return send


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        (pa.dictionary(pa.int8(), pa.string()), ["a", None, "b", "a"], None),
        (pa.dictionary(pa.uint8(), pa.list_(pa.int8())), [[1], [2], [1], None], None),
        (pa.dictionary(pa.int64(), pa.struct({"x": pa.int8()})), [{"x": 1}, {"x": None}, {"x": 1}], None),
        (pa.dictionary(pa.int8(), pa.timestamp("ns")), [pd.NaT, pd.Timestamp(0)], [None, pd.Timestamp(0)]),
        (pa.dictionary(pa.int8(), pa.string()), [None, None], None),
        (pa.run_end_encoded(pa.int32(), pa.list_(pa.int8())), [[1], [1], None, None, [2]], None),
        (pa.list_(pa.run_end_encoded(pa.int16(), pa.int8())), [[1, 1, 2], None, [], [2, None]], None),
        (pa.struct({"r": pa.run_end_encoded(pa.int16(), pa.int8())}), [{"r": 1}, None, {"r": 1}, {}], [{"r": 1}, None, {"r": 1}, {"r": None}]),
        (union(pa.dense_union, *ANYTHING), [1, "a", 1.5, None, 300, [1, 2], {"x": 3}], [1, "a", 1.5, None, 300.0, [1, 2], {"x": 3}]),
        (union(pa.sparse_union, *ANYTHING), [1, "a", 1.5, None, 300, [1, 2], {"x": 3}], [1, "a", 1.5, None, 300.0, [1, 2], {"x": 3}]),
        (pa.list_(union(pa.sparse_union, *ANYTHING)), [[1, None], None, ["a", [1]]], None),
        (union(pa.dense_union, ("f", pa.float32()), ("g", pa.float64())), [0.5, 0.1, np.float32(0.1)], [0.5, 0.1, float(np.float32(0.1))]),
        (union(pa.dense_union, ("s", pa.struct({"x": pa.int8()})), ("t", pa.struct({"x": pa.int8(), "y": pa.string()}))), [{"x": 1}, {"x": 1, "y": "a"}, {"x": 2}], None),
        (pa.dictionary(pa.int8(), union(pa.dense_union, *ANYTHING)), [1, "a", 1, 1.0, None], None),
        (pa.run_end_encoded(pa.int32(), union(pa.sparse_union, *ANYTHING)), [1, 1, 1.0, "a", "a"], None),
        (pa.map_(pa.string(), pa.int8()), [{"a": 1}, [("a", None)], None, [["b", 2]], {}], [[("a", 1)], [("a", None)], None, [("b", 2)], []]),
        (pa.map_(pa.int8(), pa.dictionary(pa.int8(), pa.string())), [{1: "a", 2: "a"}, {1: "b"}], [[(1, "a"), (2, "a")], [(1, "b")]]),
        (pa.list_(pa.int8(), 2), [[1, 2], None, (3, None), np.array([5, 6]), range(2)], [[1, 2], None, [3, None], [5, 6], [0, 1]]),
        (pa.list_(pa.int8(), 0), [None, []], None),
        (pa.list_(pa.field("item", pa.int8(), False), 2), [[1, 2], None], None),
        (pa.large_list_view(pa.string_view()), [["a", None], None, [], ["one that is longer than twelve bytes"]], None),
        (pa.month_day_nano_interval(), [pa.MonthDayNano([1, 2, 3]), (-1, 2, 3), SOON, -SOON, None], [pa.MonthDayNano(t) for t in ([1, 2, 3], [-1, 2, 3], [0, 1, 2_000_003_000], [0, -2, 86_397_999_997_000])] + [None]),
        (pa.decimal256(76, 3), [D("1e50"), D("-0.001"), 7, 10**70, None, np.int8(3)], [D("1e50"), D("-0.001"), D(7), D(10) ** 70, None, D(3)]),
        (pa.decimal256(9, -1), [D("1.5E+2"), 20], [D(150), D(20)]),
        (pa.decimal128(7, 3), [D("1." + "0" * 60), D("0e99")], [D(1), D(0)]),
        (pa.timestamp("ns"), [pd.Timestamp(1), np.datetime64(2, "ns"), pd.NaT, np.datetime64("NaT"), datetime.datetime(1970, 1, 1)], [pd.Timestamp(n) for n in (1, 2)] + [None, None, pd.Timestamp(0)]),
        (pa.timestamp("ns", "UTC"), [pd.Timestamp(1, tz="Europe/Oslo"), None], [pd.Timestamp(1, tz="UTC"), None]),
        (pa.timestamp("us"), [np.datetime64(1000, "ns"), np.datetime64(1, "D")], [datetime.datetime(1970, 1, 1, 0, 0, 0, 1), datetime.datetime(1970, 1, 2)]),
        (pa.timestamp("us", "UTC"), [datetime.datetime(2026, 1, 1, fold=1, tzinfo=datetime.timezone.utc)], [datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)]),
        (pa.duration("ns"), [pd.Timedelta(-1), np.timedelta64(3, "ns"), SOON], [pd.Timedelta(-1), pd.Timedelta(3), pd.Timedelta(SOON)]),
        (pa.duration("s"), [datetime.timedelta.min, datetime.timedelta(999_999_999)], None),
    ],
    ids=str,
)
def test_every_type_is_made_of_records(sent, kind, values, expected):
    """R1.1, R2.4: no type is found first and refused then, in records and in columns of elements."""
    expected = values if expected is None else expected
    got = sent(kind, values).to_pylist()
    assert got == expected and list(map(type, got)) == list(map(type, expected))
    assert sent(kind, []).to_pylist() == []


def test_what_there_is_once_is_kept_once(sent):
    """R2.4: dictionaries and runs have no value twice that is the same; 0.0 and -0.0 are two."""
    packed = sent(pa.dictionary(pa.int8(), pa.float64()), [0.0, -0.0, 0.0, float("nan"), float("nan")]).chunk(0)
    assert str(packed.dictionary.to_pylist()) == "[0.0, -0.0, nan]" and packed.indices.to_pylist() == [0, 1, 0, 2, 2]
    runs = sent(pa.run_end_encoded(pa.int16(), pa.string()), ["a"] * 300 + [None] * 2 + ["b", "a"]).chunk(0)
    assert (runs.run_ends.to_pylist(), runs.values.to_pylist()) == ([300, 302, 303, 304], ["a", None, "b", "a"])
    assert len(sent(pa.dictionary(pa.int8(), pa.int64()), list(range(128))).chunk(0).dictionary) == 128


@pytest.mark.parametrize(
    ("kind", "value", "path", "told"),
    [
        (pa.dictionary(pa.int8(), pa.int64()), "x", "$[3].a", "str stands where Int64"),
        (pa.dictionary(pa.int8(), pa.int8()), 128, "$[3].a", "128 is no Int8"),
        (pa.run_end_encoded(pa.int32(), pa.int8()), 128, "$[3].a", "128 is no Int8"),
        (union(pa.dense_union, *ANYTHING), b"a", "$[3].a", "bytes stands where Union"),
        (union(pa.sparse_union, *ANYTHING), [1, "x"], "$[3].a[1]", "str stands where Int16"),
        (union(pa.dense_union, *ANYTHING), {"x": 1000}, "$[3].a.x", "1000 is no Int8"),
        (union(pa.dense_union, ("i", pa.int8()), ("j", pa.int16())), 2**15, "$[3].a", "int stands where Union"),
        (pa.map_(pa.string(), pa.int8()), [("a", 1), ("a", 2)], "$[3].a[1]", "the key 'a' stands twice"),
        (pa.map_(pa.float64(), pa.int8()), [(1, 1), (1.0, 2)], "$[3].a[1]", "the key 1.0 stands twice"),
        (pa.map_(pa.string(), pa.int8()), {None: 1}, "$[3].a[0]", "None is no key of a map"),
        (pa.map_(pa.string(), pa.int8()), {"k": 1, "l": 1000}, "$[3].a.l", "1000 is no Int8"),
        (pa.map_(pa.string(), pa.int8()), {7: 1}, "$[3].a[0]", "int stands where Utf8"),
        (pa.map_(pa.int8(), pa.int8()), [(1, 1), 5], "$[3].a[1]", "int stands where a key and its value"),
        (pa.map_(pa.int8(), pa.int8()), [(1, 1), (1, 2, 3)], "$[3].a[1]", "tuple stands where a key and its value"),
        (pa.map_(pa.int8(), pa.int8()), 5, "$[3].a", "int stands where Map"),
        (pa.list_(pa.int8(), 2), [1, 2, 3], "$[3].a", r"\[1, 2, 3\] is no FixedSizeList\(2 x Int8\)"),
        (pa.list_(pa.int8(), 2), [1, "x"], "$[3].a[1]", "str stands where Int8"),
        (pa.list_(pa.int8(), 2), {1, 2}, "$[3].a", "set stands where FixedSizeList"),
        (pa.list_view(pa.int8()), [1, 1000], "$[3].a[1]", "1000 is no Int8"),
        (pa.string_view(), b"a", "$[3].a", "bytes stands where Utf8View"),
        (pa.month_day_nano_interval(), (1, 2), "$[3].a", "tuple stands where Interval"),
        (pa.month_day_nano_interval(), (2**31, 2, 3), "$[3].a", "is no Interval"),
        (pa.month_day_nano_interval(), 7, "$[3].a", "int stands where Interval"),
        (pa.decimal256(76, 3), D("1e73"), "$[3].a", "is no Decimal256"),
        (pa.decimal256(76, 3), D("1.0001"), "$[3].a", "is no Decimal256"),
        (pa.decimal256(76, 3), D("NaN"), "$[3].a", "is no Decimal256"),
        (pa.decimal256(76, 3), D("-0"), "$[3].a", "is no Decimal256"),
        (pa.decimal256(76, 3), D("1e999999999"), "$[3].a", "is no Decimal256"),
        (pa.decimal256(76, 3), 10**73, "$[3].a", "is no Decimal256"),
        (pa.decimal256(76, 3), 1.5, "$[3].a", "float stands where Decimal256"),
        (pa.decimal256(76, 3), True, "$[3].a", "bool stands where Decimal256"),
        (pa.timestamp("us"), pd.Timestamp(1), "$[3].a", "is no Timestamp"),
        (pa.timestamp("ns", "UTC"), pd.Timestamp(1), "$[3].a", "pandas.Timestamp stands where Timestamp"),
        (pa.timestamp("ns"), pd.Timedelta(1), "$[3].a", "pandas.Timedelta stands where Timestamp"),
        (pa.timestamp("us"), np.datetime64(1, "ps"), "$[3].a", "numpy.datetime64 stands where Timestamp"),
        (pa.duration("us"), datetime.timedelta.max, "$[3].a", r"microsecon\.\.\. is no Duration"),
        (pa.duration("ns"), pd.Timestamp(1), "$[3].a", "pandas.Timestamp stands where Duration"),
    ],
    ids=str,
)
def test_what_does_not_fit_such_a_type(ring, kind, value, path, told):
    """R5.5, R6.5, R9.1: the path to the value, what it is and what was announced, of records and of columns; nothing is sent."""
    tx, rx = ring.producer(), ring.consumer()
    announced = ring.announce("w", pa.schema([("a", kind), ("z", pa.int8())]), version=1)
    column = "$.a[3]" + path.removeprefix("$[3].a")
    for given, where in (([{}, {}, {}, {"a": value}], path), ({"a": [None, None, None, value]}, column)):
        with pytest.raises(slipring.SchemaError, match=told) as raised:
            tx.send(given, schema=announced)
        assert raised.value.path == where == raised.value.faults[0].path and raised.value.hint
    assert rx.try_recv() is None
    tx.send([{"z": 1}], schema=announced)
    assert rx.recv(1).value.to_pylist() == [{"a": None, "z": 1}]


@pytest.mark.parametrize(
    ("kind", "most", "value"),
    [
        (pa.dictionary(pa.int8(), pa.int64()), 128, lambda n: n),
        (pa.dictionary(pa.uint8(), pa.string()), 256, str),
        (pa.run_end_encoded(pa.int16(), pa.int64()), 32767, lambda n: 1),
        (pa.run_end_encoded(pa.int16(), pa.int64()), 32767, lambda n: None),
    ],
    ids=str,
)
def test_more_than_indices_count(sent, kind, most, value):
    """R6.5: the row that is one too many, in records and in rows that are null by the struct around them."""
    values = [value(n) for n in range(most + 1)]
    assert len(sent(kind, values[:-1])) == most
    with pytest.raises(slipring.SchemaError, match="more than .* can count") as raised:
        sent(kind, values)
    assert raised.value.path == f"$[{most}].a"
    if values[0] is None:
        with pytest.raises(slipring.SchemaError, match="more than .* can count"):
            sent(pa.struct({"r": kind}), values)


@pytest.mark.parametrize("make", [pa.dense_union, pa.sparse_union])
@pytest.mark.parametrize("wrap", [lambda kind: kind, pa.list_, lambda kind: pa.struct({"x": kind}), lambda kind: pa.run_end_encoded(pa.int16(), kind)], ids=["bare", "list", "struct", "runs"])
def test_a_member_that_failed_leaves_nothing_behind(sent, make, wrap):
    """R2.4: what a dictionary began to take for a member is not part of the next value."""
    inner = pa.dictionary(pa.int8(), pa.list_(pa.int16()))
    kind = union(make, ("d", wrap(inner)), ("l", wrap(pa.list_(pa.int64()))))
    form = {pa.list_: lambda value: [value]}.get(wrap, lambda value: {"x": value} if pa.types.is_struct(wrap(inner)) else value)
    values = [form(value) for value in ([1, 2**40], [5], [1, 5], [2**40], [5])]
    assert sent(kind, values).to_pylist() == values


def test_a_name_that_several_columns_have(ring):
    """R6.5: a record says it once, so that nobody knows which is meant; a table has them in order."""
    tx, rx = ring.producer(), ring.consumer()
    twice = [("x", pa.int8()), ("x", pa.int8())]
    ring.announce("w", pa.schema(twice), version=1)
    ring.announce("s", pa.schema([("s", pa.struct(twice))]), version=1)
    for rows, name, path in (([{"x": 1}], "w", "$[0].x"), ([{"s": None}, {"s": {"x": 1}}], "s", "$[1].s.x"), ({"s": [{"x": 1}]}, "s", "$.s[0].x")):
        with pytest.raises(slipring.SchemaError, match="several columns of this name") as raised:
            tx.send(rows, schema=name)
        assert raised.value.path == path and raised.value.faults[0].reason == "ambiguous"
    tx.send(pa.table([pa.array([1], pa.int8()), pa.array([2], pa.int8())], names=["x", "x"]), schema="w")
    assert [column.to_pylist() for column in pa.table(rx.recv(1).value).columns] == [[1], [2]]
    tx.send([{"s": None}], schema="s")
    assert rx.recv(1).value.to_pylist() == [{"s": None}]


def test_integers_among_floats(sent):
    """R6.3: those that a float holds exactly, however large."""
    for kind, values in ((pa.float64(), [2**60, -(2**63), 2**63, 3 << 61]), (pa.float32(), [2**40, 2**24]), (pa.float16(), [2048, 65504, 4100])):
        assert sent(kind, values).to_pylist() == [float(value) for value in values]
    for kind, value in ((pa.float64(), 2**60 + 1), (pa.float64(), 2**64 - 1), (pa.float32(), 2**24 + 1), (pa.float16(), 4097), (pa.float16(), 2**17)):
        with pytest.raises(slipring.SchemaError, match=rf"{value} is no Float"):
            sent(kind, [value])


def test_floats_of_16_bits_are_the_nearest_of_two_the_even_one(sent):
    """R6.3: rounded once, so that what lies above the middle of two goes up."""
    given = [1 + 2**-11, 1 + 2**-11 + 2**-40, 1 + 3 * 2**-11 - 2**-40, -65519.99999999999, 2**-25 + 2**-60, math.nan, -math.inf]
    nearest = [1.0, 1.0009765625, 1.0009765625, -65504.0, 2**-24, math.nan, -math.inf]
    assert str(sent(pa.float16(), given).to_pylist()) == str(nearest)
    with pytest.raises(slipring.SchemaError, match=r"65520\.0 is no Float16"):
        sent(pa.float16(), [65520.0])


def test_bytes_of_any_make(sent):
    """R1.1, R2.4: what may be written to goes as the bytes that it is; what is more than bytes does not."""
    given = [bytearray(b"ab"), memoryview(b"axbx")[::2], memoryview(bytearray(b"ab")), b"ab"]
    for kind in (pa.binary(), pa.large_binary(), pa.binary_view(), pa.binary(2), pa.dictionary(pa.int8(), pa.binary())):
        assert sent(kind, given).to_pylist() == [b"ab"] * 4
    numbers, square = memoryview(array.array("i", [1])), memoryview(b"abcd").cast("B", (2, 2))
    for kind, value in ((pa.binary(), numbers), (pa.binary(), square), (pa.string(), bytearray(b"ab")), (pa.binary(3), bytearray(b"ab"))):
        with pytest.raises(slipring.SchemaError) as raised:
            sent(kind, [value])
        assert raised.value.path == "$[0].a"


def test_nothing_of_pandas_is_null(sent):
    """R1.1, R2.4: whatever was announced, and within what was."""
    kinds = [pa.int8(), pa.string(), pa.bool_(), pa.timestamp("ns"), pa.decimal256(50, 2), pa.null(), pa.list_(pa.int8()), pa.list_(pa.int8(), 2), pa.struct({"x": pa.int8()})]
    kinds += [pa.map_(pa.string(), pa.int8()), pa.dictionary(pa.int8(), pa.string()), pa.run_end_encoded(pa.int16(), pa.string()), union(pa.dense_union, *ANYTHING)]
    for kind in kinds:
        assert sent(kind, [pd.NA, None]).to_pylist() == [None, None]
    assert sent(pa.list_(pa.int8()), [[1, pd.NA]]).to_pylist() == [[1, None]]
    assert sent(pa.struct({"x": pa.struct({"y": pa.int8()})}), [{"x": pd.NA}]).to_pylist() == [{"x": None}]
    for kind, value, path in ((pa.int8(), pd.NA, "$[0].a"), (pa.struct({"y": pa.int8()}), pd.NA, "$[0].a"), (pa.list_(pa.field("item", pa.int8(), False)), [pd.NA], "$[0].a[0]")):
        with pytest.raises(slipring.SchemaError, match="None stands where") as raised:
            sent(kind, [value], nullable=False)
        assert raised.value.path == path

    class NAType:
        pass

    with pytest.raises(slipring.SchemaError, match="NAType stands where Int8"):
        sent(pa.int8(), [NAType()])


def test_what_has_no_form_is_told_as_itself(ring):
    """R6.5: an int beyond 64 bits is an int, half of a pair of code points is in a text, and a list may fail."""
    tx = ring.producer()

    class Broken(list):
        def __iter__(self):
            raise RuntimeError

    kinds = {"i": pa.int8(), "f": pa.float64(), "t": pa.string_view(), "l": pa.list_(pa.int8()), "m": pa.month_day_nano_interval()}
    ring.announce("w", pa.schema(list(kinds.items())), version=1)
    for name, value, told in (("i", 2**64, f"{2**64} is no Int8"), ("f", 10**40, f"{10**40} is no Float64"), ("t", "a\ud800", r"'a\\ud800' is no Utf8View"), ("l", Broken([1]), "Broken stands where List"), ("m", (0, 0, 2**63), f"{2**63}.* is no Interval")):
        with pytest.raises(slipring.SchemaError, match=told):
            tx.send([{name: value}], schema="w")


class Schema:
    """A schema of one column of a type that pyarrow has no name for: Arrow's own text of it."""

    def __init__(self, code):
        self.code = ctypes.create_string_buffer(code)

    def __arrow_c_schema__(self):
        capsule = pa.schema([("a", pa.int32())]).__arrow_c_schema__()
        pointer = ctypes.pythonapi.PyCapsule_GetPointer
        pointer.restype, pointer.argtypes = ctypes.POINTER(ctypes.c_void_p), [ctypes.py_object, ctypes.c_char_p]
        words = pointer(capsule, b"arrow_schema")  # format, name, metadata, flags, number of children, children
        child = ctypes.cast(words[5], ctypes.POINTER(ctypes.POINTER(ctypes.c_void_p)))[0]
        child[0] = ctypes.addressof(self.code)
        return capsule


def test_intervals_of_other_units(ring):
    """R2.4: months, and days with milliseconds, as `to_pylist` has them."""
    tx, rx = ring.producer(), ring.consumer()
    for number, (code, values, made, bad) in enumerate(
        (
            (b"tiM", [7, -1, None], [7, -1, None], (2**31, "7", SOON)),
            (b"tiD", [(1, 2), SOON, -datetime.timedelta(0, 1), None], [(1, 2), (1, 2000), (-1, 86_399_000), None], ((1, 2**31), (1, 2, 3), datetime.timedelta(0, 0, 1), 7)),
        )
    ):
        values = [value.__class__(value.days, value.seconds) if value is SOON else value for value in values]
        announced = ring.announce(f"w{number}", Schema(code), version=1)
        tx.send([{"a": value} for value in values], schema=announced)
        assert rx.recv(1).value.to_pydict() == {"a": made}
        for value in bad:
            with pytest.raises(slipring.SchemaError, match="Interval") as raised:
                tx.send([{}, {"a": value}], schema=announced)
            assert raised.value.path == "$[1].a"


def test_nulls_where_none_were_announced(sent):
    """R5.5: also of types that have no nulls themselves."""
    for kind in (pa.run_end_encoded(pa.int16(), pa.int64()), union(pa.dense_union, *ANYTHING), pa.dictionary(pa.int8(), pa.int8()), pa.list_(pa.int8(), 1)):
        value = [1] if pa.types.is_fixed_size_list(kind) else 1
        assert sent(kind, [value, value], nullable=False).to_pylist() == [value, value]
        with pytest.raises(slipring.SchemaError, match="may not be null") as raised:
            sent(kind, [value, None], nullable=False)
        assert raised.value.path == "$[1].a"
        within = pa.struct([pa.field("x", kind, False)])
        assert sent(within, [{"x": value}, None, {"x": value}]).to_pylist() == [{"x": value}, None, {"x": value}]


def test_nulls_that_a_column_does_not_count(ring):
    """R5.5: columns of a library in which a dictionary's values, runs or a union's member are null, under a schema that has no nulls."""
    tx, rx = ring.producer(), ring.consumer()
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([1, 3], pa.int16()), pa.array([1, None], pa.int8()))
    packed = pa.DictionaryArray.from_arrays(pa.array([0, 1, 1], pa.int8()), pa.array(["a", None]))
    member = pa.UnionArray.from_dense(pa.array([0, 0, 0], pa.int8()), pa.array([0, 1, 1], pa.int32()), [pa.array([1, None], pa.int8())])
    for number, column in enumerate((runs, packed, member)):
        name = f"w{number}"
        ring.announce(name, pa.schema([pa.field("n", pa.int8()), pa.field("a", column.type, False)]), version=1)
        for nullable in (True, False):
            fields = [pa.field("n", pa.int8()), pa.field("a", column.type, nullable)]
            table = pa.Table.from_arrays([pa.array([1, 2, 3], pa.int8()), column], schema=pa.schema(fields))
            with pytest.raises(slipring.SchemaError, match="no nulls in column a, and there are 2, the first in row 1|column a .* may have nulls"):
                tx.send(table, schema=name)
            tx.send(table.slice(0, 1), schema=name)
            assert rx.recv(1).value.to_pydict()["a"] == column.slice(0, 1).to_pylist()


def test_nulls_that_a_migration_makes(ring):
    """R5.5: the same, of what a migration gives: the table of a library, and one that came."""
    tx, rx = ring.producer(), ring.consumer()
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([1, 3], pa.int16()), pa.array([1, None], pa.int8()))
    packed = pa.DictionaryArray.from_arrays(pa.array([0, 1, 1], pa.int8()), pa.array(["a", None]))
    member = pa.UnionArray.from_dense(pa.array([0, 0, 0], pa.int8()), pa.array([0, 1, 1], pa.int32()), [pa.array([1, None], pa.int8())])
    for number, column in enumerate((runs, packed, member)):
        name = f"m{number}"
        ring.announce(name, pa.schema([pa.field("a", pa.int8())]), version=1)
        wanted = pa.schema([pa.field("a", column.type, False)])
        table = pa.Table.from_arrays([column], names=["a"])
        tx.send(table)
        for given in (table, rx.recv(1).value):
            rx.expect(name, wanted, version=2, migrations={1: lambda _, given=given: given})
            tx.send([{"a": 1}], schema=name)
            with pytest.raises(slipring.SchemaError, match="column a .* may have nulls"):
                rx.recv(1).value  # noqa: B018
        rx.expect(name, wanted, version=2, migrations={1: lambda _: table.slice(0, 1)})
        tx.send([{"a": 1}], schema=name)
        assert rx.recv(1).value.to_pydict()["a"] == column.slice(0, 1).to_pylist()


def test_defaults_of_packed_columns(ring):
    """R5.2: a key that is missing is the default, in a dictionary and in views as well."""
    default = {"slipring.default": "x"}
    schema = pa.schema([("n", pa.int8()), pa.field("d", pa.dictionary(pa.int8(), pa.string()), False, default), pa.field("v", pa.string_view(), True, default)])
    tx, rx = ring.producer(), ring.consumer()
    ring.announce("w", schema, version=1)
    tx.send([{"n": 1}, {"d": "y", "v": None}, {}], schema="w")
    assert rx.recv(1).value.to_pylist() == [{"n": 1, "d": "x", "v": "x"}, {"n": None, "d": "y", "v": None}, {"n": None, "d": "x", "v": "x"}]


def test_named_tuples_are_records(ring):
    """R1.1: as dataclasses are, under a schema and where a table is asked for; a plain tuple has no names."""
    tx, rx = ring.producer(), ring.consumer()
    ring.announce("w", pa.schema([("x", pa.int8()), ("y", pa.dictionary(pa.int8(), pa.string()))]), version=1)
    rows = [{"x": 1, "y": None}, {"x": 2, "y": "b"}]
    for records in ([Point(1), Point(2, "b")], (Point(1), Point(2, "b")), [Point(1), rows[1]], tuple(rows)):
        tx.send(records, schema="w")
        assert rx.recv(1).value.to_pylist() == rows
    for records in ([Point(1), Point(2, "b")], (Point(1), Point(2, "b"))):
        tx.send(records, format="arrow")
        assert rx.recv(1).value == rows
    tx.send([{"p": Point(1, "a"), "l": [Point(2, "b")]}], format="arrow")
    assert rx.recv(1).value == [{"p": {"x": 1, "y": "a"}, "l": [{"x": 2, "y": "b"}]}]
    for records in ([(1, "a")], iter(rows)):
        with pytest.raises(slipring.EncodeError, match="is no table"):
            tx.send(records, schema="w")
    with pytest.raises(slipring.EncodeError, match="send_batches"):
        tx.send(iter(rows), format="arrow")


def test_columns_of_elements_and_of_arrays_under_a_schema(ring):
    """R2.1: elements are taken as those of records are; arrays are converted by their elements, and of a library's type by the rules."""
    tx, rx = ring.producer(), ring.consumer()
    schema = pa.schema([("x", pa.float32()), ("m", pa.map_(pa.string(), pa.int8())), ("t", pa.timestamp("ns")), ("l", pa.list_(pa.int8(), 2)), ("d", pa.dictionary(pa.int8(), pa.string()))])
    ring.announce("w", schema, version=1)
    nanos = np.array([1, 2], "M8[ns]")
    given = {"x": np.array([0.1, 2]), "m": [{"a": 1}, None], "t": nanos, "l": np.array([[1, 2], [3, 4]]), "d": np.array(["a", "b"])}
    tx.send(given, schema="w")
    got = pa.table(rx.recv(1).value)
    assert got.schema.equals(schema)
    assert got.to_pydict() == {"x": [float(np.float32(0.1)), 2.0], "m": [[("a", 1)], None], "t": [pd.Timestamp(1), pd.Timestamp(2)], "l": [[1, 2], [3, 4]], "d": ["a", "b"]}
    tx.send({"d": pa.array(["a", "b"]).dictionary_encode().cast(schema.field("d").type), "x": range(2)}, schema="w")
    assert rx.recv(1).value.to_pydict() == {"x": [0.0, 1.0], "m": [None, None], "t": [None, None], "l": [None, None], "d": ["a", "b"]}
    tx.send({"x": np.ma.array([1, 2], mask=[False, True])}, schema="w")
    assert rx.recv(1).value.to_pydict()["x"] == [1.0, None]
    for columns, error, path in (({"x": [1], "q": [1]}, slipring.SchemaError, None), ({"x": [1, 2], "d": ["a"]}, slipring.EncodeError, "$.d"), ({"x": np.array([2**30 + 1])}, slipring.SchemaError, "$.x[0]")):
        with pytest.raises(error) as raised:
            tx.send(columns, schema="w")
        assert path is None or raised.value.path == path


@pytest.mark.parametrize("chunked", [False, True])
def test_structs_with_null_rows_are_a_column(ring, chunked):
    """R2.5: an array of structs is a column, whether a row of it is null or none is, alone and in a value."""
    tx, rx = ring.producer(), ring.consumer()
    for mask in ([False, True], [False, False]):
        made = pa.StructArray.from_arrays([pa.array([1, 2])], names=["a"], mask=pa.array(mask))
        made = pa.chunked_array([made, made]) if chunked else made
        assert slipring.explain(made).format == "arrow"
        tx.send(made)
        frame = rx.recv(1)
        assert frame.format == "arrow" and isinstance(frame.value, slipring.Column)
        assert frame.value.to_pylist() == made.to_pylist()
        tx.send({"of": made})
        assert rx.recv(1).value["of"].to_pylist() == made.to_pylist()
        back = pa.chunked_array(slipring.decode(slipring.encode(made)))
        assert back.to_pylist() == made.to_pylist()


def test_only_what_stands_in_the_way_is_told(ring):
    """R6.5: a column that would be converted is not blamed where another one is unknown or of another type."""
    polars = pytest.importorskip("polars")
    tx = ring.producer()
    ring.announce("w", pa.schema([("t", pa.string()), ("n", pa.int64())]), version=1)
    for frame, path, reason in (
        (polars.DataFrame({"t": ["a"], "n": [1], "x": [1]}), "x", "unknown"),
        (polars.DataFrame({"t": ["a"], "n": ["b"]}), "n", "type"),
        (polars.DataFrame({"t": ["a"]}), "n", "missing"),
        ({"t": polars.Series(["a"]), "x": [1]}, "x", "unknown"),
    ):
        with pytest.raises(slipring.SchemaError) as raised:
            tx.send(frame, schema="w")
        assert [(fault.path, fault.reason) for fault in raised.value.faults] == [(path, reason)]


def test_what_python_has_no_room_for_is_told_with_its_place(ring):
    """R6.5: a zone that is not known, nanoseconds, years: column and row."""
    tx, rx = ring.producer(), ring.consumer()
    tx.send(pa.table({"ok": [1, 2], "t": pa.array([None, 1], pa.timestamp("us", "Mars/Base")), "n": NANOS[:2], "y": pa.array([None, 2**60], pa.timestamp("s"))}))
    table = rx.recv(1).value
    for name, row, told in (("t", 1, "Mars/Base"), ("n", 0, "finer than"), ("y", 1, "is out of range|too large")):
        with pytest.raises(slipring.DecodeError, match=told) as raised:
            table[name].to_pylist()
        assert raised.value.path == f"$.columns.{name}[{row}]" and raised.value.__cause__ is not None
    for all_of_it in (table.to_pylist, table.to_pydict):
        with pytest.raises(slipring.DecodeError) as raised:
            all_of_it()
        assert raised.value.path in ("$.columns.n[0]", "$.columns.t[1]")


def test_as_deep_as_documented(ring):
    """R2.4: types nest 64 deep, as records that are asked to be a table and under a schema; one more is told as that."""
    tx, rx = ring.producer(), ring.consumer()
    kind, value = pa.int64(), 1
    for depth in range(1, 64):
        kind, value = pa.list_(kind), [value]
        if depth in (33, 62):
            ring.announce(f"d{depth}", pa.schema([("a", kind)]), version=1)
            tx.send([{"a": value}], schema=f"d{depth}")
            assert rx.recv(1).value.to_pylist() == [{"a": value}]
    tx.send([{"a": value}], format="arrow")
    assert rx.recv(1).value == [{"a": value}]
    with pytest.raises(slipring.EncodeError, match="inside of 63 others"):
        tx.send([{"a": [value]}], format="arrow")
    with pytest.raises(slipring.EncodeError, match="timedelta beyond 64 bits of microseconds"):
        tx.send([{"a": datetime.timedelta.max}], format="arrow")


def test_a_ring_that_was_waited_for_in_vain():
    """R9.1: which ring, how long, and which there are."""
    with slipring.create("pytest-there", replace=True) as ring:
        assert ring.path
        with pytest.raises(slipring.NotFound, match=r"no ring at \S*pytest-not-there after 0.2 s; there are: .*pytest-there.*wait longer"):
            slipring.open("pytest-not-there", wait=0.2)
        with pytest.raises(slipring.NotFound, match=r"no ring at \S*pytest-not-there; there are: .*pytest-there.*wait for it"):
            slipring.open("pytest-not-there")
