"""Dataclasses: every type there and back.

What classes are made of is in test_dataclass_classes.py, options in test_dataclass_options.py, errors in
test_dataclass_errors.py; peers, hostile objects and memory in test_dataclass_whole.py; frames and tables in rooms of their own.
"""

from __future__ import annotations

import base64
import collections.abc
import dataclasses
import datetime as dt
import decimal
import enum
import json
import typing
import uuid
import zoneinfo

import pytest

import slipring
from slipring import dataclass

D = decimal.Decimal
T = typing.TypeVar("T")
UTC = dt.timezone.utc


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Mixed(enum.Enum):
    ONE = 1
    HALF = 0.5
    NAME = "name"
    YES = True


class Word(str, enum.Enum):
    A = "a"


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


class Loose(enum.Enum):
    KNOWN = "known"

    @classmethod
    def _missing_(cls, value):
        return cls.KNOWN if value == "also known" else None


Big = enum.Enum("Big", {f"N{n}": f"n{n}" for n in range(40)})


class Point(typing.NamedTuple):
    x: int
    y: float = 0.5


class Movie(typing.TypedDict):
    title: str
    year: typing.NotRequired[int]


Name = typing.NewType("Name", str)


@dataclasses.dataclass
class Inner:
    a: int
    b: str = "b"


@dataclasses.dataclass(frozen=True)
class Key:
    n: int


@dataclasses.dataclass
class Cat:
    kind: typing.Literal["cat"]
    name: str


@dataclasses.dataclass
class Dog:
    kind: typing.Literal["dog", "puppy"]
    name: str


@dataclasses.dataclass
class Circle:
    r: float


@dataclasses.dataclass
class Square:
    side: float
    label: str | None = None


@dataclasses.dataclass
class Named:
    side: float
    label: str
    extra: int = 0


def there_and_back(tp, value, plain):
    """Dumped to this, in all four ways, and back to the same."""
    assert same(dataclass.dump(tp, value), plain)
    data = dataclass.dump_to_bytes(tp, value)
    assert json.loads(data) == json.loads(json.dumps(plain))
    assert slipring.json.loads(data) == json.loads(json.dumps(plain))
    for loaded in (dataclass.load(tp, plain), dataclass.load_from_bytes(tp, data), dataclass.load_from_bytes(tp, data.decode())):
        assert same(loaded, value), (loaded, value)
    native = dataclass.dump(tp, value, native=True)
    assert same(dataclass.load(tp, native), value)


def same(a, b):
    if type(a) is not type(b):
        return False
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(map(same, a.values(), b.values()))
    if isinstance(a, D):
        return a.as_tuple() == b.as_tuple()
    if isinstance(a, dt.datetime):
        return a == b and a.utcoffset() == b.utcoffset()
    return a == b


U = uuid.UUID("12345678-9abc-def0-1234-56789abcdef0")
MOMENT = dt.datetime(2026, 11, 21, 1, 2, 3, 450, UTC)
PLUS = dt.timezone(dt.timedelta(hours=5, minutes=30))

CASES = [
    (str, "text é \"quoted\" \n", None),
    (str, "", None),
    (int, 0, None),
    (int, -(2**63), None),
    (int, 2**200, None),
    (float, 0.1, None),
    (float, -0.0, None),
    (float, 1e300, None),
    (bool, True, None),
    (bool, False, None),
    (type(None), None, None),
    (None, None, None),
    (D, D("1.10"), "1.10"),
    (D, D("-1E+30"), "-1E+30"),
    (D, D("0.0000001"), "1E-7"),
    (D, D("12345678901234567890.123456789"), "12345678901234567890.123456789"),
    (uuid.UUID, U, str(U)),
    (uuid.UUID, uuid.UUID(int=0), "00000000-0000-0000-0000-000000000000"),
    (uuid.UUID, uuid.UUID(int=2**128 - 1), "f" * 8 + ("-" + "f" * 4) * 3 + "-" + "f" * 12),
    (dt.datetime, MOMENT, "2026-11-21T01:02:03.000450+00:00"),
    (dt.datetime, dt.datetime(1, 1, 1), "0001-01-01T00:00:00"),
    (dt.datetime, dt.datetime(9999, 12, 31, 23, 59, 59, 999999, PLUS), "9999-12-31T23:59:59.999999+05:30"),
    (dt.datetime, dt.datetime(2026, 1, 1, tzinfo=dt.timezone(-dt.timedelta(hours=3, seconds=7))), "2026-01-01T00:00:00-03:00:07"),
    (dt.date, dt.date(2026, 2, 28), "2026-02-28"),
    (dt.time, dt.time(23, 59, 58, 1), "23:59:58.000001"),
    (dt.time, dt.time(1, 2, 3, tzinfo=UTC), "01:02:03+00:00"),
    (dt.timedelta, dt.timedelta(0), "PT0S"),
    (dt.timedelta, dt.timedelta(days=3), "P3D"),
    (dt.timedelta, dt.timedelta(days=-1, seconds=1, microseconds=5), "-PT86398.999995S"),
    (dt.timedelta, dt.timedelta.max, "P999999999DT86399.999999S"),
    (dt.timedelta, dt.timedelta.min, "-P999999999D"),
    (bytes, b"\x00\xff text", base64.b64encode(b"\x00\xff text").decode()),
    (bytes, b"", ""),
    (list[int], [1, 2], None),
    (list, [1, "a", None], None),
    (collections.abc.Sequence[int], [1, 2], None),
    (set[int], {1, 2}, [1, 2]),
    (frozenset[str], frozenset({"a"}), ["a"]),
    (tuple[int, ...], (1, 2, 3), [1, 2, 3]),
    (tuple[int, str, D], (1, "a", D("1.5")), [1, "a", "1.5"]),
    (tuple[()], (), []),
    (tuple, (1, "a"), [1, "a"]),
    (dict[str, int], {"a": 1, "é": 2}, None),
    (dict[str, list[D]], {"a": [D("1")]}, {"a": ["1"]}),
    (dict, {"a": [1]}, None),
    (collections.abc.Mapping[str, int], {"a": 1}, None),
    (typing.Optional[int], None, None),
    (typing.Optional[D], D("2.5"), "2.5"),
    (int | None, 5, None),
    (Color, Color.BLUE, "blue"),
    (Level, Level.HIGH, 2),
    (Mixed, Mixed.ONE, 1),
    (Mixed, Mixed.HALF, 0.5),
    (Mixed, Mixed.NAME, "name"),
    (Word, Word.A, "a"),
    (Rights, Rights.READ | Rights.WRITE, 3),
    (Big, Big.N39, "n39"),
    (typing.Literal["a", 1, None], "a", None),
    (typing.Literal["a", 1, None], 1, None),
    (typing.Literal["a", 1, None], None, None),
    (typing.Literal[Color.RED, 5], Color.RED, "red"),
    (Name, Name("n"), "n"),
    (typing.Annotated[int, "anything"], 5, None),
    (Inner, Inner(1), {"a": 1, "b": "b"}),
    (list[Inner], [Inner(1), Inner(2, "c")], [{"a": 1, "b": "b"}, {"a": 2, "b": "c"}]),
    (dict[str, Inner], {"k": Inner(1)}, {"k": {"a": 1, "b": "b"}}),
    (set[Key], {Key(5)}, [{"n": 5}]),
    (Point, Point(1, 2.5), [1, 2.5]),
    (Movie, {"title": "t"}, None),
    (Movie, {"title": "t", "year": 1}, None),
    (int | str, 5, None),
    (int | str, "5", None),
    (float | str, 0.5, None),
    (int | float, 0.5, None),
    (int | float, 5, None),
    (float | int, 5, None),
    (D | int, 5, None),
    (bool | int, True, None),
    (bool | int, 1, None),
    (uuid.UUID | str, U, str(U)),
    (uuid.UUID | str, "no uuid", None),
    (dt.datetime | dt.date, dt.date(2026, 1, 1), "2026-01-01"),
    (dt.datetime | dt.date, MOMENT, "2026-11-21T01:02:03.000450+00:00"),
    (list[int] | list[str], ["a"], None),
    (list[int] | list[str], [1], None),
    (list[int] | dict[str, int], {"a": 1}, None),
    (Color | Level, Level.LOW, 1),
    (Color | Level | None, Color.RED, "red"),
    (Cat | Dog, Cat("cat", "x"), {"kind": "cat", "name": "x"}),
    (Cat | Dog, Dog("puppy", "x"), {"kind": "puppy", "name": "x"}),
    (list[Cat | Dog | None], [None, Dog("dog", "x")], [None, {"kind": "dog", "name": "x"}]),
    (Circle | Square, Square(2.0), {"side": 2.0, "label": None}),
    (Circle | Square | int, 7, None),
    (Square | Named, Named(2.0, "l"), {"side": 2.0, "label": "l", "extra": 0}),
    (Inner | Movie, {"title": "t"}, None),
    (typing.Any, {"a": [1, "b", None, 1.5]}, None),
    (object, "text", None),
]


@pytest.mark.parametrize(("tp", "value", "plain"), CASES, ids=[f"{n}-{case[0]}" for n, case in enumerate(CASES)])
def test_every_type_there_and_back(tp, value, plain):
    """D1, D2: by itself, in a dataclass, in a list, and where it may be missing."""
    plain = value if plain is None else plain
    there_and_back(tp, value, plain)
    there_and_back(list[tp], [value, value], [plain, plain])
    there_and_back(typing.Optional[tp], value, plain)
    for options in ({}, {"slots": True}, {"frozen": True}, {"frozen": True, "slots": True}, {"kw_only": True}):
        cls = dataclasses.make_dataclass("Cls", [("first", str), ("value", tp), ("last", typing.Optional[tp], None)], **options)
        obj = cls(first="1", value=value)
        there_and_back(cls, obj, {"first": "1", "value": plain, "last": None})


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        (str, "a", "a"),
        (int, -5, "-5"),
        (int, 2**80, str(2**80)),
        (float, 0.5, "0.5"),
        (bool, True, "true"),
        (uuid.UUID, U, str(U)),
        (dt.date, dt.date(2026, 1, 2), "2026-01-02"),
        (dt.datetime, MOMENT, MOMENT.isoformat()),
        (D, D("1.50"), "1.50"),
        (Color, Color.RED, "red"),
        (Level, Level.LOW, "1"),
        (typing.Literal[1, 2], 2, "2"),
        (typing.Optional[int], 7, "7"),
        (Name, "n", "n"),
    ],
)
def test_keys_of_dicts(key, value, text):
    """D2: what JSON has as text becomes a key again."""
    tp = dict[key, int]
    data = dataclass.dump_to_bytes(tp, {value: 1})
    assert json.loads(data) == {text: 1}
    assert same(dataclass.load_from_bytes(tp, data), {value: 1})
    plain = dataclass.dump(tp, {value: 1})
    assert same(dataclass.load(tp, plain), {value: 1})
    assert same(dataclass.load(tp, {text: 1}), {value: 1})


@pytest.mark.parametrize(
    ("tp", "given", "value"),
    [
        (dt.datetime, "2026-11-21 01:02:03Z", dt.datetime(2026, 11, 21, 1, 2, 3, tzinfo=UTC)),
        (dt.datetime, "2026-11-21t01:02z", dt.datetime(2026, 11, 21, 1, 2, tzinfo=UTC)),
        (dt.datetime, "2026-11-21T01:02:03.1234567", dt.datetime(2026, 11, 21, 1, 2, 3, 123456)),
        (dt.datetime, "2026-11-21T01:02:03.5+0530", dt.datetime(2026, 11, 21, 1, 2, 3, 500000, PLUS)),
        (dt.datetime, "2026-11-21T01:02:03-01", dt.datetime(2026, 11, 21, 1, 2, 3, tzinfo=dt.timezone(-dt.timedelta(hours=1)))),
        (dt.time, "01:02", dt.time(1, 2)),
        (dt.timedelta, "P1W2DT3H4M5.25S", dt.timedelta(weeks=1, days=2, hours=3, minutes=4, seconds=5.25)),
        (dt.timedelta, "PT1.5H", dt.timedelta(hours=1.5)),
        (dt.timedelta, "-P1D", dt.timedelta(days=-1)),
        (uuid.UUID, U.hex, U),
        (uuid.UUID, str(U).upper(), U),
        (D, 5, D(5)),
        (D, 0.1, D("0.1")),
        (D, "+1.5e3", D("1.5e3")),
        (D, ".5", D("0.5")),
        (D, 10**40, D(10**40)),
        (float, 5, 5.0),
        (list[int], [], []),
        (Loose, "also known", Loose.KNOWN),
        (Rights, 0, Rights(0)),
        (Point, [1], Point(1)),
        (Inner, {"b": "x", "a": 1}, Inner(1, "x")),
        (Inner, {"c": 0, "a": 1}, Inner(1)),
    ],
)
def test_other_forms_that_are_loaded(tp, given, value):
    """D2."""
    assert same(dataclass.load(tp, given), value)
    assert same(dataclass.load_from_bytes(tp, slipring.json.dumps(given)), value)


def test_numbers_of_json_are_exact_as_decimals():
    """D2: no float in between."""
    assert dataclass.load_from_bytes(list[D], b"[1.10, 123456789012345678901234567890.5, 1e400]") == [
        D("1.10"),
        D("123456789012345678901234567890.5"),
        D("1e400"),
    ]


def test_native_types_stay_on_request():
    """D1: `native=True` leaves what is no basic type; in JSON there is no such thing."""
    value = [U, MOMENT, D("1.5"), b"x", dt.timedelta(1), dt.date(2026, 1, 1), dt.time(1)]
    tp = tuple[uuid.UUID, dt.datetime, D, bytes, dt.timedelta, dt.date, dt.time]
    assert dataclass.dump(tp, tuple(value), native=True) == value
    assert all(isinstance(one, str) for one in dataclass.dump(tp, tuple(value)))
    assert all(isinstance(one, str) for one in dataclass.dump(typing.Any, value))
    assert dataclass.dump(typing.Any, value, native=True) == value


def test_what_is_written_of_zones_is_their_offset():
    """D2."""
    moment = dt.datetime(2026, 7, 1, 12, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin"))
    assert dataclass.dump(dt.datetime, moment) == "2026-07-01T12:00:00+02:00" == moment.isoformat()
