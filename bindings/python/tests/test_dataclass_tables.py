"""Lists of dataclasses as tables, and back."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import typing
import uuid

import hypothesis
import polars
import pyarrow as pa
import pytest
from hypothesis import strategies as st

import slipring
from slipring import dataclass

D = decimal.Decimal
field, meta, Meta = dataclasses.field, dataclass.meta, dataclass.Meta
UTC = dt.timezone.utc


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 9


@dataclasses.dataclass
class Part:
    name: str
    price: D
    made: dt.date | None = None


@dataclass.options(rename="camelCase", omit_none=True)
@dataclasses.dataclass
class Row:
    row_id: uuid.UUID
    count: int
    weight: float
    paid: bool
    raw: bytes
    at: dt.datetime
    hour: dt.time
    period: dt.timedelta
    color: Color
    level: Level
    kind: typing.Literal["a", "b", None]
    part: Part
    price: D = field(metadata=meta(places=3))
    note: str | None = None
    spare: Part | None = None
    parts: list[Part] = field(default_factory=list)
    tags: frozenset[str] = frozenset()
    scores: dict[str, int | None] = field(default_factory=dict)
    days: tuple[dt.date, ...] | None = None
    by_level: dict[Level, list[float]] = field(default_factory=dict)


texts = st.text(st.characters(codec="utf-8"), max_size=8)
ints = st.integers(-(1 << 63), (1 << 63) - 1)
floats = st.floats(allow_nan=False, allow_infinity=False)
decimals = st.decimals(-(10**12), 10**12, places=3)
moments = st.datetimes(timezones=st.just(UTC))
parts = st.builds(Part, texts, st.decimals(-(10**12), 10**12, places=2), st.none() | st.dates())
rows = st.builds(
    Row,
    st.uuids(),
    ints,
    floats,
    st.booleans(),
    st.binary(max_size=9),
    moments,
    st.times(),
    st.timedeltas(-dt.timedelta(10**6), dt.timedelta(10**6)),
    st.sampled_from(Color),
    st.sampled_from(Level),
    st.sampled_from(["a", "b", None]),
    parts,
    decimals,
    st.none() | texts,
    st.none() | parts,
    st.lists(parts, max_size=3),
    st.frozensets(texts, max_size=3),
    st.dictionaries(texts, st.none() | ints, max_size=3),
    st.none() | st.lists(st.dates(), max_size=3).map(tuple),
    st.dictionaries(st.sampled_from(Level), st.lists(floats, max_size=2), max_size=2),
)

SCHEMA = [
    ("rowId", pa.uuid(), False),
    ("count", pa.int64(), False),
    ("weight", pa.float64(), False),
    ("paid", pa.bool_(), False),
    ("raw", pa.binary(), False),
    ("at", pa.timestamp("us", "UTC"), False),
    ("hour", pa.time64("us"), False),
    ("period", pa.duration("us"), False),
    ("color", pa.dictionary(pa.int32(), pa.string()), False),
    ("level", pa.int64(), False),
    ("kind", pa.dictionary(pa.int32(), pa.string()), True),
    ("part", pa.struct([pa.field("name", pa.string(), False), pa.field("price", pa.decimal128(38, 2), False), pa.field("made", pa.date32())]), False),
    ("price", pa.decimal128(38, 3), False),
    ("note", pa.string(), True),
]


def rows_of(table):
    """Rows as pyarrow has them."""
    return table.to_pyarrow().to_pylist(maps_as_pydicts="strict")


def messages(call):
    with pytest.raises(dataclass.ValidationError) as caught:
        call()
    return caught.value.messages


def refusal(tp, objects=()):
    with pytest.raises(slipring.EncodeError) as caught:
        dataclass.to_arrow(tp, objects)
    return caught.value


@hypothesis.given(st.lists(rows, min_size=1, max_size=12))
@hypothesis.settings(deadline=None)
def test_rows_come_back(objects):
    """D5, R2: pyarrow finds the table valid and sees the dumps in it; from it, and from ours, the objects come back."""
    table = dataclass.to_arrow(objects)
    arrow = table.to_pyarrow()
    arrow.validate(full=True)
    assert dataclass.from_arrow(Row, table) == objects == dataclass.from_arrow(Row, arrow)
    for seen, made in zip(rows_of(table), objects):
        dumped = dataclass.dump(Row, made, native=True)
        absent = {name: None for name in seen if name not in dumped}
        assert seen.items() >= absent.items()
        dumped["byLevel"] = {int(key): value for key, value in dumped["byLevel"].items()}
        assert {name: seen[name] for name in dumped} == dumped


def test_the_schema_is_that_of_the_types():
    """D5: whatever is in the rows, but for what types do not tell: the digits of Decimals and whether times have a zone."""
    part = Part("x", D("1.50"))
    row = Row(uuid.UUID(int=1), 1, 1.0, True, b"", dt.datetime(2026, 1, 1, tzinfo=UTC), dt.time(1), dt.timedelta(1), Color.RED, Level.LOW, None, part, D(1))
    schema = dataclass.to_arrow([row]).to_pyarrow().schema
    assert [(one.name, one.type, one.nullable) for one in schema][: len(SCHEMA)] == SCHEMA
    empty = dataclass.to_arrow(Row, []).to_pyarrow()
    assert empty.num_rows == 0 and empty.schema.names == schema.names
    assert empty.schema.field("at").type == pa.timestamp("us") and empty.schema.field("price").type == pa.decimal128(38, 3)
    # The values of an Enum are all there, whether used or not.
    assert dataclass.to_arrow([row]).to_pyarrow()["color"].chunk(0).dictionary.to_pylist() == ["red", "blue"]
    naive = dataclasses.replace(row, at=dt.datetime(2026, 1, 1))
    assert dataclass.to_arrow([naive]).to_pyarrow().schema.field("at").type == pa.timestamp("us")
    east = dataclasses.replace(row, at=dt.datetime(2026, 1, 1, 3, tzinfo=dt.timezone(dt.timedelta(hours=3))))
    assert rows_of(dataclass.to_arrow([east]))[0]["at"] == dt.datetime(2026, 1, 1, tzinfo=UTC)


def test_times_of_all_years():
    """D5: from the first to the last that Python has."""

    @dataclasses.dataclass
    class Times:
        at: dt.datetime
        day: dt.date
        period: dt.timedelta = dt.timedelta(0)

    at = [dt.datetime.min, dt.datetime.max, dt.datetime(1970, 1, 1), dt.datetime(1969, 12, 31, 23, 59, 59, 999_999), dt.datetime(2000, 2, 29), dt.datetime(1900, 3, 1)]
    objects = [Times(one, one.date()) for one in at]
    table = dataclass.to_arrow(objects)
    assert dataclass.from_arrow(Times, table) == objects
    assert rows_of(table) == [dataclasses.asdict(one) for one in objects]
    beyond = Times(at[0], at[0].date(), dt.timedelta.max)
    assert messages(lambda: dataclass.to_arrow([beyond])) == {"0": {"period": ["Not within 64 bits."]}}


def test_a_table_goes_through_a_ring():
    """D5, R2: it is sent as every table is, and each client sees it."""
    objects = [Part("tea", D("2.50"), dt.date(2026, 1, 1)), Part("cup", D("10"))]
    with slipring.create(anonymous=True) as ring:
        tx, rx = ring.producer(), ring.consumer()
        tx.send(dataclass.to_arrow(objects))
        frame = rx.recv(1)
        assert frame.format == "arrow"
        assert dataclass.from_frame(list[Part], frame) == objects
        assert dataclass.from_arrow(Part, frame) == objects
        assert polars.DataFrame(frame.value)["price"].to_list() == [D("2.50"), D("10.00")]
    made = polars.DataFrame({"name": ["a"], "price": [D("1.5")]})
    assert dataclass.from_arrow(Part, made) == [Part("a", D("1.5"))]


def test_what_may_be_given():
    """D5: any iterable, with or without the class; TypedDicts, whose missing keys are null; attributes of a class above."""

    class Point(typing.TypedDict):
        x: int
        y: typing.NotRequired[int]

    @dataclasses.dataclass
    class More(Part):
        extra: int = 0

    assert rows_of(dataclass.to_arrow(Point, ({"x": n} for n in range(2)))) == [{"x": 0, "y": None}, {"x": 1, "y": None}]
    assert dataclass.to_arrow(Part, [More("a", D(1))]).column_names == ["name", "price", "made"]
    assert dataclass.to_arrow(iter([More("a", D(1))])).column_names == ["name", "price", "made", "extra"]
    with pytest.raises(ValueError, match="class is not known"):
        dataclass.to_arrow([])


def test_decimals():
    """D5: a column has the digits behind the point that its values need, or those that are said, and 38 at most."""

    @dataclasses.dataclass
    class One:
        d: D

    def column(*texts):
        arrow = dataclass.to_arrow([One(D(text)) for text in texts]).to_pyarrow()
        return arrow.schema.field("d").type.scale, [str(one) for one in arrow["d"].to_pylist()]

    assert column("1", "2.5", "-0.125") == (3, ["1.000", "2.500", "-0.125"])
    assert column("0E+9", "0E-50", "1E-38")[0] == 38
    assert column("1E+3", "-12") == (0, ["1000", "-12"])
    assert column("9" * 38, "-" + "9" * 38)[1] == ["9" * 38, "-" + "9" * 38]
    for text in ("9" * 39, "1E+38", "1E-39", "1E+999999", "123E-40"):
        assert messages(lambda: column("1", text)) == {"1": {"d": ["Not within 38 digits."]}}, text
    assert refusal(One, [One(D("9" * 38)), One(D("0.1"))]).path == "$.d"
    assert messages(lambda: column("NaN"))["0"]["d"][0].startswith("Special numeric")


def test_errors_say_where():
    """D4, D5: all that is wrong, by row and path, as everywhere."""
    good = Part("a", D(1))

    @dataclasses.dataclass
    class Whole:
        parts: list[Part]
        n: int
        at: dt.datetime
        scores: dict[str, int]

    at = dt.datetime(2026, 1, 1)
    objects = [
        Whole([good], 1, at, {}),
        Whole([good, Part("b", "1")], 1 << 63, at.replace(tzinfo=UTC), {"k": "v"}),
        "no row",
        Whole([good, None], 1, at, {}),
    ]
    said = messages(lambda: dataclass.to_arrow(Whole, objects))
    assert said == {
        "1": {
            "parts": {"1": {"price": ["Not a valid number."]}},
            "n": ["Not within 64 bits."],
            "at": ["With a zone among such without, or without among such with one."],
            "scores": {"k": {"value": ["Not a valid integer."]}},
        },
        "2": {"_schema": ["Invalid input type."]},
        "3": {"parts": {"1": ["Field may not be null."]}},
    }
    table = pa.table({"name": ["a", "b"], "price": ["1", "x"]})
    assert messages(lambda: dataclass.from_arrow(Part, table)) == {"1": {"price": ["Not a valid number."]}}


@dataclasses.dataclass
class Tree:
    n: int
    below: list[Tree]


def test_what_can_t_be_columns():
    """D5: the path to the field, and why; said of the types, before a row is looked at."""

    @dataclasses.dataclass
    class Odd:
        fine: int
        odd: list[int | str]

    @dataclasses.dataclass
    class Pair:
        pair: tuple[int, str]

    @dataclasses.dataclass
    class Free:
        free: typing.Any

    assert refusal(Odd).path == "$.odd" and "several types" in str(refusal(Odd))
    assert refusal(Pair).path == "$.pair" and refusal(Free).path == "$.free"
    assert refusal(Tree).path == "$.below" and "contains itself" in str(refusal(Tree))
    assert "class with fields" in str(refusal(int, [1]))


@dataclasses.dataclass
class Inner:
    a: int
    b: str | None = None


@dataclasses.dataclass
class Wide:
    id: uuid.UUID
    n: int
    price: decimal.Decimal
    inner: Inner
    many: list[Inner]
    at: dt.datetime
    note: str | None = None
    tags: list[str] = dataclasses.field(default_factory=list)
    once: int = dataclasses.field(default=7, init=False)


def wide(n):
    when = dt.datetime(2026, 11, 21, tzinfo=dt.timezone.utc)
    return Wide(uuid.UUID(int=n), n, decimal.Decimal(n) / 4, Inner(n), [Inner(1, "x")] * (n % 3), when, None if n % 2 else "é", ["t"])


@pytest.mark.parametrize("rows", [0, 1, 500])
def test_columns_become_objects_as_rows_do(rows):
    """D6: what comes straight from columns is what comes from rows of dicts, whatever else is in the table."""
    sent = [wide(n) for n in range(rows)]
    table = dataclass.to_arrow(Wide, sent)
    assert dataclass.from_arrow(Wide, table) == sent == dataclass.load(list[Wide], table.to_pylist())
    # Columns that nobody knows, in another order, in several batches; and those that are not there have their defaults.
    other = pa.table(table).append_column("more", pa.array([{"x": 1}] * rows, pa.struct([("x", pa.int8())])))
    other = pa.concat_tables([other, other]).select([*reversed(other.column_names)])
    assert dataclass.from_arrow(Wide, other) == sent * 2
    less = pa.table(table).drop_columns(["note", "tags", "once"])
    for found, one in zip(dataclass.from_arrow(Wide, less), sent):
        assert found == dataclasses.replace(one, note=None, tags=[])
    found = dataclass.from_arrow(Wide, less)
    assert len({id(one.tags) for one in found}) == rows


def test_what_is_wrong_in_columns_is_told_by_rows():
    """D4, D5, R9.1: each mistake with its row and path, as from rows."""
    table = pa.table({"a": pa.array([1, None, 3]), "b": pa.array(["x", None, "y"])})
    with pytest.raises(slipring.ValidationError) as raised:
        dataclass.from_arrow(Inner, table)
    assert {str(row): said for row, said in raised.value.messages.items()} == {"1": {"a": ["Field may not be null."]}}
    with pytest.raises(slipring.ValidationError) as raised:
        dataclass.from_arrow(Inner, pa.table({"b": ["x"]}))
    assert list(raised.value.messages.values()) == [{"a": ["Missing data for required field."]}]
    with pytest.raises(slipring.ValidationError, match="c: Unknown field"):
        dataclass.from_arrow(Inner, pa.table({"a": [1], "c": [1]}), unknown="raise")
    twice = pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"])
    with pytest.raises(ValueError, match='several columns named "a"'):
        dataclass.from_arrow(Inner, twice)
    assert dataclass.from_arrow(Inner, pa.table({"a": ["1"]}), strict=False) == [Inner(1)]


def test_code_of_others_runs_once_for_each_object():
    """D4: validators and __post_init__ see each object once, right or wrong."""
    seen = []

    def even(n):
        seen.append(n)
        return n % 2 == 0

    @dataclasses.dataclass
    class Even:
        n: int = dataclasses.field(metadata=dataclass.meta(validate=even))

        def __post_init__(self):
            seen.append(self)

    with pytest.raises(slipring.ValidationError):
        dataclass.from_arrow(Even, pa.table({"n": [2, 3, 4]}))
    assert [n for n in seen if type(n) is int] == [2, 3, 4]


def test_what_is_given_wrongly_is_told(both):
    """R1.2: what was given, and what is taken."""
    tx, rx = both
    tx.send(5, timeout=1)
    frame, part, table = rx.recv(1), Part("a", D(1)), pa.table({"name": ["a"]})
    for call, said in (
        (lambda: dataclass.from_arrow(Part, None), "from_arrow takes a table, .* not NoneType"),
        (lambda: dataclass.from_arrow(Part, [{"name": "a"}]), "not list; load takes lists of dicts"),
        (lambda: dataclass.from_arrow(Part, "text"), "not str"),
        (lambda: dataclass.from_arrow(Part, frame), "not a frame of format value; from_frame"),
        (lambda: dataclass.from_frame(Part, None), "from_frame takes a frame, .* not NoneType"),
        (lambda: dataclass.from_frame(Part, "text"), "not str"),
        (lambda: dataclass.from_frame(Part, table), "not pyarrow.lib.Table; from_arrow takes tables"),
        (lambda: dataclass.to_arrow(None), "to_arrow takes a list of objects of one class, .* not NoneType"),
        (lambda: dataclass.to_arrow("text"), "not str"),
        (lambda: dataclass.to_arrow(Part, "text"), "not str"),
        (lambda: dataclass.to_arrow({"name": "a"}), "not dict"),
        (lambda: dataclass.to_arrow(part), "not .*Part"),
        (lambda: dataclass.to_arrow(Part, part), "not .*Part"),
        (lambda: dataclass.to_arrow(Part), r"not a class: to_arrow\(cls, objects\)"),
        (lambda: dataclass.to_arrow([part], Part), "not a class"),
        (lambda: dataclass.to_frame(part, tx), "to_frame takes a producer, .* not .*Part"),
    ):
        with pytest.raises(TypeError, match=said):
            call()
    for wrong, kind in (([5], "int"), ([None], "NoneType"), ([{"name": "a"}], "dict")):
        with pytest.raises(slipring.EncodeError, match="not of "):
            dataclass.to_arrow(wrong)
    assert dataclass.to_arrow(Part, (each for each in [part])).column_names == ["name", "price", "made"]


class Spot(typing.NamedTuple):
    x: typing.Annotated[int, Meta(validate=lambda n: n >= 0)]
    name: str = "a"
    price: D | None = None


class Leg(typing.NamedTuple):
    start: Spot
    end: Spot | None
    via: list[Spot] = []
    named: dict[str, Spot] = {}
    part: Part = Part("p", D(1))


@dataclasses.dataclass
class Trip:
    leg: Leg
    spots: tuple[Spot, ...] = ()


SPOT = Spot(1, "b", D("2.50"))
LEG = Leg(SPOT, None, [SPOT, Spot(2)], {"k": SPOT}, Part("q", D("1.5"), dt.date(2026, 1, 2)))


def test_namedtuples_are_rows_and_structs():
    """D2, D5: by their fields' names, in their order, nested in each other and in dataclasses, both ways and through a ring."""
    table = dataclass.to_arrow([SPOT, Spot(2)])
    assert pa.table(table).to_pylist() == [
        {"x": 1, "name": "b", "price": D("2.50")},
        {"x": 2, "name": "a", "price": None},
    ]
    assert str(table.schema).splitlines()[0] == "x: Int64 not null"
    got = dataclass.from_arrow(Spot, table)
    assert got == [SPOT, Spot(2)] and type(got[0]) is Spot
    legs = [LEG, Leg(Spot(3), Spot(4))]
    table = dataclass.to_arrow(Leg, legs)
    assert pa.table(table).schema.field("start").type.names == ["x", "name", "price"]
    assert dataclass.from_arrow(Leg, table) == legs
    trips = [Trip(LEG, (SPOT, Spot(5))), Trip(legs[1])]
    table = dataclass.to_arrow(trips)
    assert dataclass.from_arrow(Trip, table) == trips
    assert dataclass.from_arrow(Trip, pa.table(table)) == trips
    with slipring.create(anonymous=True) as ring:
        tx, rx = ring.producer(), ring.consumer()
        tx.send(table)
        assert dataclass.from_frame(list[Trip], rx.recv(1)) == trips
    assert dataclass.from_arrow(Leg, dataclass.to_arrow(Leg, [])) == []


def test_namedtuples_of_other_columns():
    """D2, D4: in any order, with defaults for those that are missing; what is wrong is told by row and name."""
    assert dataclass.from_arrow(Spot, pa.table({"price": [D("1.0")], "x": [1]})) == [Spot(1, "a", D("1.0"))]
    assert dataclass.from_arrow(Spot, pa.table({"more": [1], "x": [1]})) == [Spot(1)]

    def messages(call):
        with pytest.raises(dataclass.ValidationError) as caught:
            call()
        return caught.value.messages

    table = pa.table({"x": [1, -1, None], "name": ["a", "b", None], "more": [1, 2, 3]})
    assert messages(lambda: dataclass.from_arrow(Spot, table)) == {
        "1": {"x": ["Invalid value."]},
        "2": {"x": ["Field may not be null."], "name": ["Field may not be null."]},
    }
    assert messages(lambda: dataclass.from_arrow(Spot, pa.table({"x": [1], "more": [1]}), unknown="raise")) == {
        "0": {"more": ["Unknown field."]}
    }
    assert messages(lambda: dataclass.from_arrow(Spot, pa.table({"name": ["a"]}))) == {
        "0": {"x": ["Missing data for required field."]}
    }
    nested = pa.table({"leg": [{"start": {"x": 1}, "end": {"x": "a"}}]})
    assert messages(lambda: dataclass.from_arrow(Trip, nested)) == {"0": {"leg": {"end": {"x": ["Not a valid integer."]}}}}
    assert messages(lambda: dataclass.to_arrow(Spot, [Spot(1), Spot("a")])) == {"1": {"0": ["Not a valid integer."]}}
    assert "all items" in messages(lambda: dataclass.to_arrow(Spot, [(1, "a")]))["0"][0]
    # Elsewhere a NamedTuple is a list still.
    assert messages(lambda: dataclass.load(Spot, {"x": 1})) == {"_schema": ["Not a valid tuple."]}


class Loop(typing.NamedTuple):
    n: int
    next: "typing.Optional[Loop]" = None


def test_what_are_no_rows_is_told():
    """R9.1: what the first object is, at its place."""
    for rows, what in [([1], "not of int"), ([(1, 2)], "not of tuple"), ([None], "not of NoneType")]:
        with pytest.raises(slipring.EncodeError, match=what) as caught:
            dataclass.to_arrow(rows)
        assert caught.value.path == "$[0]"
    with pytest.raises(slipring.EncodeError, match="contains itself") as caught:
        dataclass.to_arrow(Loop, [Loop(1)])
    assert caught.value.path == "$.next"
    import collections

    with pytest.raises(slipring.EncodeError, match="any type") as caught:
        dataclass.to_arrow([collections.namedtuple("Loose", "a b")(1, 2)])
    assert caught.value.path == "$.a"
