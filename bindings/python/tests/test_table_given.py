"""Records under a schema: what pyarrow makes of them for that schema, or an error that says where."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import uuid
import zoneinfo

import hypothesis
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import strategies as st

import slipring

DAY = datetime.date(2026, 2, 28)
NOON = datetime.datetime(2026, 2, 28, 12, 0, 1)
UTC = datetime.timezone.utc


def ints(low, high):
    return st.integers(low, high)


#: Types, and values that they hold.
LEAVES = [
    *((getattr(pa, f"int{bits}")(), ints(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)) for bits in (8, 16, 32, 64)),
    *((getattr(pa, f"uint{bits}")(), ints(0, 2**bits - 1)) for bits in (8, 16, 32, 64)),
    (pa.float64(), st.floats() | ints(-(2**53), 2**53)),
    (pa.float32(), st.floats(width=32) | st.floats(-1e38, 1e38) | ints(-(2**24), 2**24)),
    (pa.float16(), st.floats(-6e4, 6e4) | ints(-(2**11), 2**11)),
    (pa.bool_(), st.booleans()),
    (pa.string(), st.text(max_size=9)),
    (pa.large_string(), st.text(max_size=9)),
    (pa.binary(), st.binary(max_size=9)),
    (pa.large_binary(), st.binary(max_size=9)),
    (pa.binary(3), st.binary(min_size=3, max_size=3)),
    (pa.date32(), st.dates()),
    (pa.date64(), st.dates()),
    (pa.time32("s"), st.times().map(lambda t: t.replace(microsecond=0))),
    (pa.time64("us"), st.times()),
    (pa.timestamp("us"), st.datetimes()),
    (pa.timestamp("s"), st.datetimes().map(lambda t: t.replace(microsecond=0))),
    (pa.timestamp("ns"), st.datetimes(datetime.datetime(1700, 1, 1), datetime.datetime(2200, 1, 1))),
    (pa.timestamp("ms", "UTC"), st.datetimes(timezones=st.sampled_from([UTC, zoneinfo.ZoneInfo("Europe/Oslo")]), allow_imaginary=False).map(lambda t: t.replace(microsecond=7000))),
    (pa.duration("us"), st.timedeltas(datetime.timedelta(-(10**8)), datetime.timedelta(10**8))),
    (pa.duration("s"), st.timedeltas().map(lambda delta: delta - datetime.timedelta(microseconds=delta.microseconds))),
    (pa.decimal128(12, 3), st.decimals(-(10**8), 10**8, places=2) | ints(-(10**8), 10**8)),
    (pa.decimal256(60, 3), st.decimals(-(10**50), 10**50, places=2) | ints(-(10**50), 10**50)),
    (pa.string_view(), st.text(max_size=30)),
    (pa.binary_view(), st.binary(max_size=30)),
    (pa.month_day_nano_interval(), st.tuples(ints(-(2**31), 2**31 - 1), ints(-(2**31), 2**31 - 1), ints(-(2**63), 2**63 - 1)) | st.timedeltas(datetime.timedelta(-(10**5)), datetime.timedelta(10**5))),
]
#: What there are few of, so that they repeat.
FEW = [
    (pa.string(), st.sampled_from(["", "a", "b", "a longer one than that"])),
    (pa.int16(), ints(-2, 2)),
    (pa.float64(), st.sampled_from([0.5, 1.5])),
    (pa.bool_(), st.booleans()),
    (pa.date32(), st.sampled_from([DAY])),
]
PACKED = [
    *((pa.dictionary(index, kind), values) for kind, values in FEW for index in (pa.int8(), pa.uint16(), pa.int64())),
    *((pa.run_end_encoded(ends, kind), values) for kind, values in FEW for ends in (pa.int16(), pa.int32(), pa.int64())),
]


def grow(inner):
    lists = inner.map(lambda pair: (pa.list_(pair[0]), st.lists(st.none() | pair[1], max_size=3)))
    large = inner.map(lambda pair: (pa.large_list(pair[0]), st.lists(st.none() | pair[1], max_size=3).map(tuple)))
    both = st.tuples(inner, inner).map(
        lambda two: (pa.struct({"x": two[0][0], "y": two[1][0]}), st.fixed_dictionaries({}, optional={"x": st.none() | two[0][1], "y": st.none() | two[1][1]}))
    )
    views = st.tuples(inner, st.sampled_from([pa.list_view, pa.large_list_view])).map(lambda made: (made[1](made[0][0]), st.lists(st.none() | made[0][1], max_size=3)))
    alike = st.tuples(inner, ints(0, 3)).map(lambda made: (pa.list_(made[0][0], made[1]), st.lists(st.none() | made[0][1], min_size=made[1], max_size=made[1])))
    maps = inner.map(lambda pair: (pa.map_(pa.string(), pair[0]), st.dictionaries(st.text(max_size=3), st.none() | pair[1], max_size=3).map(lambda made: list(made.items()))))
    return lists | large | both | views | alike | maps


TYPES = st.recursive(st.sampled_from(LEAVES + PACKED), grow, max_leaves=4)


@st.composite
def records(draw):
    kinds = draw(st.lists(TYPES, min_size=1, max_size=4))
    schema = pa.schema([(f"c{i}", kind) for i, (kind, _) in enumerate(kinds)])
    each = st.fixed_dictionaries({}, optional={f"c{i}": st.none() | values for i, (_, values) in enumerate(kinds)})
    return schema, draw(st.lists(each, min_size=1, max_size=8))


def unpacked(kind):
    """The type with values instead of dictionaries and runs, which pyarrow doesn't make of all elements."""
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return kind.value_type
    if pa.types.is_struct(kind):
        return pa.struct([(field.name, unpacked(field.type)) for field in kind])
    if pa.types.is_map(kind):
        return pa.map_(kind.key_type, unpacked(kind.item_type))
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(unpacked(kind.value_type), kind.list_size)
    lists = {pa.types.is_list: pa.list_, pa.types.is_large_list: pa.large_list, pa.types.is_list_view: pa.list_view, pa.types.is_large_list_view: pa.large_list_view}
    return next((make(unpacked(kind.value_type)) for of, make in lists.items() if of(kind)), kind)


@hypothesis.given(records())
@hypothesis.settings(max_examples=300, deadline=None)
def test_records_are_what_pyarrow_makes_of_them(made):
    """R1.1, R2.4: each value goes into the type that was announced, whatever those of the other records are."""
    schema, rows = made
    with slipring.create(anonymous=True, capacity="4 MiB") as ring:
        tx, rx = ring.producer(), ring.consumer()
        announced = ring.announce("w", schema, version=1)
        tx.send(rows, schema=announced)
        got = pa.table(rx.recv(1))
        columns = {name: [row.get(name) for row in rows] for name in schema.names}
        tx.send(columns, schema=announced)
        assert pa.table(rx.recv(1)).equals(got) or "nan" in str(rows)
    got.validate(full=True)
    assert got.schema.equals(schema)
    plain = pa.schema([(field.name, unpacked(field.type)) for field in schema])
    expected = pa.Table.from_pylist(rows, schema=plain)
    # NaN is none of its equals.
    assert str(got.to_pylist()) == str(expected.to_pylist())
    if plain.equals(schema) and "nan" not in str(rows):
        assert got.equals(expected)


@pytest.fixture
def sent(ring):
    """Sends records under a schema, and gives what came."""
    tx, rx = ring.producer(), ring.consumer()
    number = iter(range(1000))

    def send(schema, rows):
        tx.send(rows, schema=ring.announce(f"s{next(number)}", schema, version=1))
        return rx.recv(1).value.to_pylist()

    return send


class Colour(enum.IntEnum):
    RED = 1


class Text(str):
    pass


@dataclasses.dataclass
class Point:
    x: float
    y: int | None = None


def test_numbers_of_two_kinds_under_one_key(sent):
    """R2.4: a float for float32, and ints among floats, in whatever order."""
    kind = pa.schema([("a", pa.float32()), ("b", pa.float64()), ("c", pa.float16())])
    rows = [{"a": 1, "b": 2.5, "c": 1}, {"a": 0.1, "b": 3}, {"c": 0.1, "b": 2**53}, {"a": float("inf"), "b": True * 1}]
    assert sent(kind, rows) == pa.Table.from_pylist(rows, schema=kind).to_pylist()


def test_keys_in_any_order_and_of_any_make(sent):
    """R2.4: keys are told by their text, wherever they stand and whichever object they are."""
    kind = pa.schema([(f"k{i}", pa.float32()) for i in range(4)])
    rows = [{"k0": 1, "k1": 2, "k2": 3, "k3": 4}, {"k3": 1, "k0": 2}, {"k1": 5}, {}, {"k0": None, "k1": 1.5, "k3": 2}, {"k2": 1}]
    made = [{"".join(key): value for key, value in row.items()} for row in rows]
    for given in (rows, made, made[::-1], [{Text(key): value for key, value in row.items()} for row in rows]):
        assert sent(kind, given) == pa.Table.from_pylist(given, schema=kind).to_pylist()


def test_values_of_other_classes_go_as_what_they_are(sent):
    kind = pa.schema([("n", pa.int8()), ("f", pa.float32()), ("t", pa.string()), ("p", pa.struct({"x": pa.float64(), "y": pa.int64()})), ("l", pa.list_(pa.int16())), ("u", pa.binary(16))])
    some = uuid.UUID(int=7)
    rows = [
        {"n": Colour.RED, "f": np.float32(0.1), "t": Text("a"), "p": Point(1, 2), "l": np.arange(2), "u": some},
        {"n": np.int64(-3), "f": np.float64(0.5), "t": np.str_("b"), "p": {"y": np.uint8(3)}, "l": (), "u": some.bytes},
    ]
    assert sent(kind, rows) == [
        {"n": 1, "f": float(np.float32(0.1)), "t": "a", "p": {"x": 1.0, "y": 2}, "l": [0, 1], "u": some.bytes},
        {"n": -3, "f": 0.5, "t": "b", "p": {"x": None, "y": 3}, "l": [], "u": some.bytes},
    ]
    moments = pa.schema([("a", pa.timestamp("us")), ("b", pa.timestamp("us", "UTC"))])
    twice = datetime.datetime(2026, 10, 25, 2, 30, fold=1)
    rows = [{"a": twice, "b": twice.replace(tzinfo=zoneinfo.ZoneInfo("Europe/Oslo"))}]
    assert sent(moments, rows) == [{"a": twice.replace(fold=0), "b": datetime.datetime(2026, 10, 25, 1, 30, tzinfo=UTC)}]
    assert sent(pa.schema([("x", pa.float64()), ("y", pa.int8())]), [Point(1), Point(2.5, 3)]) == [{"x": 1.0, "y": None}, {"x": 2.5, "y": 3}]


def test_what_is_missing_is_null_or_the_default(sent):
    """R2.4: as where it is read; what is None stays None."""

    def column(name, kind, default=None, nullable=True):
        return pa.field(name, kind, nullable, {"slipring.default": default} if default else None)

    kind = pa.schema(
        [column("id", pa.int64()), column("n", pa.int16(), "-7"), column("f", pa.float32(), "0.5", False), column("t", pa.string(), "ü"), column("b", pa.bool_(), "true"), column("d", pa.date32(), "2026-02-28"), column("m", pa.decimal128(5, 2), "1.5"), column("x", pa.string())]
    )
    filled = {"n": -7, "f": 0.5, "t": "ü", "b": True, "d": DAY, "m": decimal.Decimal("1.50"), "x": None}
    rows = [{"id": 1}, {"id": 2, "n": None, "t": None, "f": 3}]
    assert sent(kind, rows) == [{"id": 1, **filled}, {"id": 2, **filled, "n": None, "t": None, "f": 3.0}]


NOT_NULL = pa.field("a", pa.int8(), False)


@pytest.mark.parametrize(
    ("kind", "value", "path", "reason"),
    [
        (pa.int8(), 128, "$[1].a", "type"),
        (pa.uint64(), -1, "$[1].a", "type"),
        (pa.int64(), 2**63, "$[1].a", "type"),
        (pa.int64(), 2**70, "$[1].a", "type"),
        (pa.int64(), 1.0, "$[1].a", "type"),
        (pa.int64(), True, "$[1].a", "type"),
        (pa.float64(), True, "$[1].a", "type"),
        (pa.float64(), 2**53 + 1, "$[1].a", "type"),
        (pa.float32(), 2**24 + 1, "$[1].a", "type"),
        (pa.float32(), 1e300, "$[1].a", "type"),
        (pa.float16(), 7e4, "$[1].a", "type"),
        (pa.float64(), decimal.Decimal(1), "$[1].a", "type"),
        (pa.bool_(), 1, "$[1].a", "type"),
        (pa.string(), b"a", "$[1].a", "type"),
        (pa.string(), "\ud800", "$[1].a", "type"),
        (pa.binary(2), b"abc", "$[1].a", "type"),
        (pa.timestamp("s"), NOON.replace(microsecond=1), "$[1].a", "type"),
        (pa.timestamp("us"), NOON.replace(tzinfo=UTC), "$[1].a", "type"),
        (pa.timestamp("us", "UTC"), NOON, "$[1].a", "type"),
        (pa.date32(), NOON, "$[1].a", "type"),
        (pa.decimal128(4, 2), decimal.Decimal("1.005"), "$[1].a", "type"),
        (pa.decimal128(4, 2), decimal.Decimal(100), "$[1].a", "type"),
        (pa.null(), 1, "$[1].a", "type"),
        (pa.list_(pa.int8()), "ab", "$[1].a", "type"),
        (pa.list_(pa.int8()), [1, 2, "x"], "$[1].a[2]", "type"),
        (pa.list_(pa.struct({"b": pa.int8()})), [{"b": 1}, {"b": 1.5}], "$[1].a[1].b", "type"),
        (pa.struct({"b": pa.int8()}), {"b": 1, "c": 2}, "$[1].a.c", "unknown"),
        (pa.struct({"b": pa.int8()}), {"b": 1, 7: 2}, "$[1].a.7", "unknown"),
        (pa.struct({"b": pa.int8()}), [1], "$[1].a", "type"),
        (pa.struct([pa.field("b", pa.int8(), False)]), {}, "$[1].a.b", "missing"),
        (pa.struct([pa.field("b", pa.int8(), False)]), {"b": None}, "$[1].a.b", "nullable"),
        (pa.list_(pa.field("item", pa.int8(), False)), [1, None], "$[1].a[1]", "nullable"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_told_with_its_path(ring, kind, value, path, reason):
    """R5.5, R6.5, R9.1: the record, the key, what is there, what was announced, and what to do; nothing is sent."""
    tx, rx = ring.producer(), ring.consumer()
    announced = ring.announce("w", pa.schema([("a", kind), ("z", pa.int8())]), version=1)
    for rows, where in (([{}, {"a": value}], path), ([{}, {"z": 1, "a": value}, {"z": "x"}], path)):
        with pytest.raises(slipring.SchemaError, match='does not fit what was announced as "w", version 1') as raised:
            tx.send(rows, schema=announced)
        error = raised.value
        (fault,) = error.faults
        assert (error.path, fault.path, fault.reason) == (where, where, reason)
        assert error.hint and error.hint in str(error) and where in str(error)
        assert (error.type is None) == (reason in ("missing", "unknown"))
    assert rx.try_recv() is None
    tx.send([{"z": 1}], schema=announced)
    assert rx.recv(1).value.to_pylist() == [{"a": None, "z": 1}]


def test_every_way_of_sending_records(ring):
    tx, rx = ring.producer(), ring.consumer()
    ring.announce("w", pa.schema([("a", pa.float32())]), version=1)
    tx.send([{"a": 1}], schema="w", format="arrow")
    tx.send_many([[{"a": 1}], [{"a": 0.5}, {}]], schema="w")
    assert tx.send_batches([{"a": n / 2} for n in range(5)], rows=2, schema="w") == 3
    got = [frame.value.to_pylist() for frame in rx.recv_many(9, 1)]
    assert got[:3] == [[{"a": 1.0}], [{"a": 1.0}], [{"a": 0.5}, {"a": None}]]
    assert [row["a"] for rows in got[3:] for row in rows] == [0.0, 0.5, 1.0, 1.5, 2.0]
    with pytest.raises(slipring.SchemaError) as raised:
        tx.send([{"a": 1}, 7], schema="w")
    assert raised.value.path == "$[1]" and raised.value.type == "int"


def test_a_frame_tells_its_schema(ring):
    """R13.2: columns, types and nulls without the table; an announced one with its name and version, as it was written."""
    tx, rx = ring.producer(), ring.consumer()
    fields = pa.schema([pa.field("a", pa.int8(), False), ("b", pa.timestamp("us", "UTC")), ("c", pa.dictionary(pa.int8(), pa.string()))], {"of": "me"})
    table = pa.table({"a": pa.array([1], pa.int8()), "b": pa.array([2], fields.field("b").type), "c": pa.array(["x"]).dictionary_encode().cast(fields.field("c").type)}, schema=fields)
    tx.send(table)
    frame = rx.recv(1)
    schema = frame.schema
    assert pa.schema(schema).equals(fields, check_metadata=True)
    assert schema.columns == [("a", "Int8", False), ("b", 'Timestamp(µs, "UTC")', True), ("c", "Dictionary(Int8, Utf8)", True)]
    assert frame.describe()["columns"] == schema.columns and frame.describe()["format"] == "arrow"
    assert (schema.names, len(schema), schema.name, schema.version, schema.metadata) == (["a", "b", "c"], 3, None, None, {"of": "me"})
    assert repr(schema) == '<slipring.TableSchema: a: Int8 not null, b: Timestamp(µs, "UTC"), c: Dictionary(Int8, Utf8)>'
    assert str(schema) == frame.value.schema
    announced = ring.announce("w", schema, version=3)
    rx.expect("w", pa.schema([("a", pa.int64())]), version=3)
    tx.send(table, schema=announced)
    frame = rx.recv(1)
    assert frame.value.column_names == ["a"]
    assert (frame.schema.name, frame.schema.version, frame.schema.names) == ("w", 3, ["a", "b", "c"])
    assert repr(frame.schema).startswith('<slipring.TableSchema "w" 3: a: Int8')
    frame.release()
    assert schema.names == ["a", "b", "c"]
    with pytest.raises(slipring.Error, match="released"):
        _ = frame.schema
    for other in (b"raw", {"a": 1}, np.arange(3)):
        tx.send(other)
        assert rx.recv(1).schema is None
