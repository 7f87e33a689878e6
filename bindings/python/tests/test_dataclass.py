"""Dataclasses: every type there and back, what classes are made of, and options.

Errors are in test_dataclass_errors.py; peers, hostile objects and memory in test_dataclass_whole.py.
"""

from __future__ import annotations

import base64
import collections.abc
import dataclasses
import datetime as dt
import decimal
import doctest
import enum
import json
import sys
import typing
import uuid
import zoneinfo

import attrs
import pytest

import slipring
from slipring import dataclass

D = decimal.Decimal
T = typing.TypeVar("T")
K = typing.TypeVar("K")
UTC = dt.timezone.utc
field, meta, Meta = dataclasses.field, dataclass.meta, dataclass.Meta


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


# --- classes ---


def test_the_type_may_be_left_out():
    """D1."""
    assert dataclass.dump(Inner(1)) == {"a": 1, "b": "b"}
    assert dataclass.dump_to_bytes(Inner(1)) == b'{"a":1,"b":"b"}'
    assert dataclass.dump([Inner(1), {"k": (Point(1), {2})}]) == [{"a": 1, "b": "b"}, {"k": [[1, 0.5], [2]]}]
    assert dataclass.dump_to_bytes([U, Color.RED, Inner(2)]) == f'["{U}","red",{{"a":2,"b":"b"}}]'.encode()


@dataclasses.dataclass
class Node:
    value: int
    next: Node | None = None
    children: list[Node] = field(default_factory=list)


@dataclasses.dataclass
class Left:
    right: typing.Optional["Right"] = None


@dataclasses.dataclass
class Right:
    left: typing.Optional["Left"] = None


def test_types_that_contain_themselves():
    """D2."""
    tree = Node(1, Node(2), [Node(3, Node(4))])
    assert dataclass.load(Node, dataclass.dump(tree)) == tree
    assert dataclass.load_from_bytes(Node, dataclass.dump_to_bytes(tree)) == tree
    both = Left(Right(Left()))
    assert dataclass.load(Left, dataclass.dump(both)) == both


@dataclasses.dataclass
class Box(typing.Generic[T]):
    item: T
    more: list[T] = field(default_factory=list)


@dataclasses.dataclass
class Pair(Box[K], typing.Generic[K, T]):
    other: T | None = None


@dataclasses.dataclass
class Ints(Box[int]):
    name: str = ""


@dataclasses.dataclass
class Linked(typing.Generic[T]):
    item: T
    next: Linked[T] | None = None


@dataclasses.dataclass
class Grows(typing.Generic[T]):
    item: T
    next: Grows[list[T]] | None = None


def test_generic_classes():
    """D2: each with types of its own."""
    there_and_back(Box[int], Box(1, [2]), {"item": 1, "more": [2]})
    there_and_back(Box[D], Box(D("1"), []), {"item": "1", "more": []})
    there_and_back(Box[Box[dt.date]], Box(Box(dt.date(2026, 1, 1))), {"item": {"item": "2026-01-01", "more": []}, "more": []})
    there_and_back(Pair[int, D], Pair(1, [2], D("3")), {"item": 1, "more": [2], "other": "3"})
    there_and_back(Ints, Ints(1, [2], "n"), {"item": 1, "more": [2], "name": "n"})
    there_and_back(Linked[D], Linked(D(1), Linked(D(2))), {"item": "1", "next": {"item": "2", "next": None}})
    assert dataclass.load(Box, {"item": "any"}) == Box("any")
    with pytest.raises(dataclass.ValidationError):
        dataclass.load(Ints, {"item": "1"})
    with pytest.raises(TypeError, match="contain a larger one of itself"):
        dataclass.load(Grows[int], {"item": 1})


@dataclasses.dataclass
class Base:
    a: int
    b: int = 2
    shared: typing.ClassVar[int] = 0


@dataclasses.dataclass
class Derived(Base):
    b: str = "two"
    c: list[int] = field(default_factory=lambda: [7])


class Undecorated(Derived):
    def method(self):
        return self.a


class OwnInit(Base):
    def __init__(self, a, b=5):
        super().__init__(a * 10, b)


def test_inheritance():
    """D2."""
    there_and_back(Derived, Derived(1), {"a": 1, "b": "two", "c": [7]})
    loaded = dataclass.load(Undecorated, {"a": 1})
    assert type(loaded) is Undecorated and loaded == Undecorated(1)
    assert dataclass.load(OwnInit, {"a": 1}) == OwnInit(1)
    # An object of a class that derives from the one that is asked for is dumped as that one.
    assert dataclass.dump(list[Inner], [dataclasses.make_dataclass("More", [("c", int, 5)], bases=(Inner,))(1)]) == [
        {"a": 1, "b": "b"}
    ]


@dataclasses.dataclass
class Posted:
    a: int
    scale: dataclasses.InitVar[int]
    offset: dataclasses.InitVar[int] = 100
    made: int = field(init=False)
    kept: list[int] = field(init=False, default_factory=list)
    fixed: int = field(init=False, default=9)

    def __post_init__(self, scale, offset):
        self.made = self.a * scale + offset


@dataclasses.dataclass(slots=True)
class Slotted:
    a: int
    fixed: int = field(init=False, default=9)
    made: int = field(init=False, default=0)

    def __post_init__(self):
        self.made = self.a + 1


def test_what_init_does_is_done():
    """D2: InitVar, `__post_init__`, `init=False`, with slots and without."""
    for load in (dataclass.load, lambda tp, given: dataclass.load_from_bytes(tp, json.dumps(given))):
        loaded = load(Posted, {"a": 2, "scale": 3})
        assert loaded == Posted(2, 3) and vars(loaded) == vars(Posted(2, 3))
        assert load(Posted, {"a": 2, "scale": 3, "offset": 1, "made": 55, "kept": [1]}).made == 7
        assert load(Slotted, {"a": 2, "made": 0}) == Slotted(2)
    assert dataclass.dump(Posted(2, 3)) == {"a": 2, "made": 106, "kept": [], "fixed": 9}
    assert dataclass.dump(Slotted(2)) == {"a": 2, "fixed": 9, "made": 3}


def test_objects_are_as_if_init_had_made_them():
    """D2: attributes, their order, defaults that are not shared."""

    @dataclasses.dataclass
    class Plain:
        a: int
        b: str = "x"
        c: list = field(default_factory=list)
        d: dict = field(default_factory=dict)
        e: object = field(default_factory=lambda: [1])

    one, two = dataclass.load(Plain, {"a": 1}), dataclass.load(Plain, {"a": 1})
    for loaded in (one, two):
        assert list(vars(loaded).items()) == list(vars(Plain(1)).items())
    assert one.c is not two.c and one.d is not two.d and one.e is not two.e
    one.new = 5
    del one.b
    assert one.b == "x" and one.__dict__ == {"a": 1, "c": [], "d": {}, "e": [1], "new": 5}
    assert dataclass.dump(Plain, one) == {"a": 1, "b": "x", "c": [], "d": {}, "e": [1]}


def test_classes_that_do_more_are_made_by_a_call():
    """D2: `__setattr__`, `__new__`, a metaclass's `__call__`, properties in the way."""
    seen = []

    @dataclasses.dataclass
    class Watched:
        a: int

        def __setattr__(self, name, value):
            seen.append((name, value))
            object.__setattr__(self, name, value)

    class Counting(type):
        def __call__(cls, *args, **kwargs):
            seen.append("called")
            return super().__call__(*args, **kwargs)

    @dataclasses.dataclass
    class Counted(metaclass=Counting):
        a: int

    @dataclasses.dataclass
    class New:
        a: int

        def __new__(cls, *args, **kwargs):
            seen.append("new")
            return super().__new__(cls)

    class Doubled:
        def __set_name__(self, owner, name):
            self.name = "_" + name

        def __get__(self, obj, owner):
            return 0 if obj is None else getattr(obj, self.name)

        def __set__(self, obj, value):
            setattr(obj, self.name, value * 2)

    @dataclasses.dataclass
    class Property:
        a: int = Doubled()

    for cls in (Watched, Counted, New):
        assert dataclass.load(cls, {"a": 1}).a == 1
    assert seen == [("a", 1), "called", "new"]
    assert dataclass.load(Property, {"a": 3}).a == 6
    assert dataclass.dump(Property(3)) == {"a": 6}


def test_attributes_that_are_computed_are_read():
    """D2: `__getattribute__` and `__getattr__`."""

    @dataclasses.dataclass
    class Upper:
        a: str

        def __getattribute__(self, name):
            value = super().__getattribute__(name)
            return value.upper() if name == "a" else value

    @dataclasses.dataclass
    class Late:
        a: str

        def __getattr__(self, name):
            return f"late {name}"

    late = Late("x")
    del late.a
    assert dataclass.dump(Upper("x")) == {"a": "X"} and dataclass.dump(late) == {"a": "late a"}
    gone = Inner(1)
    del gone.a
    with pytest.raises(AttributeError):
        dataclass.dump(gone)


@attrs.define
class Attr:
    a: int
    _hidden: str = "h"
    items: list[D] = attrs.field(factory=list)
    both: int = attrs.field(default=attrs.Factory(lambda self: self.a + 1, takes_self=True))
    conv: int = attrs.field(default=1, converter=lambda n: n * 2)
    fixed: int = attrs.field(init=False, default=3)


@attrs.frozen(slots=False)
class AttrChecked:
    n: int = attrs.field(validator=attrs.validators.gt(0))
    renamed: str = attrs.field(default="r", metadata=meta(alias="other"))


def test_attrs_classes():
    """D2: attrs' own `__init__` makes them, with converters and validators."""
    obj = Attr(1, "x", [D("1.5")])
    plain = {"a": 1, "_hidden": "x", "items": ["1.5"], "both": 2, "conv": 2, "fixed": 3}
    assert dataclass.dump(obj) == plain and json.loads(dataclass.dump_to_bytes(obj)) == plain
    assert dataclass.load(Attr, {"a": 1, "_hidden": "x", "items": ["1.5"]}) == obj
    assert dataclass.load_from_bytes(Attr, b'{"a": 1}') == Attr(1)
    assert dataclass.load(AttrChecked, {"n": 1, "other": "o"}) == AttrChecked(1, "o")
    assert dataclass.dump(AttrChecked(1)) == {"n": 1, "other": "r"}
    with pytest.raises(dataclass.ValidationError) as caught:
        dataclass.load(list[AttrChecked], [{"n": 1}, {"n": 0}])
    assert list(caught.value.messages) == ["1"] and "> 0" in caught.value.messages["1"]["_schema"][0]


class Partial(Movie, total=False):
    rating: float


class Wide(typing.NamedTuple):
    a: int
    b: "list[D]"
    c: typing.Optional[str] = None


def test_typeddict_and_namedtuple():
    """D2."""
    there_and_back(Partial, {"title": "t", "rating": 0.5}, {"title": "t", "rating": 0.5})
    assert dataclass.load(Partial, {"title": "t", "unknown": 1}) == {"title": "t"}
    there_and_back(Wide, Wide(1, [D("1")]), [1, ["1"], None])
    assert dataclass.load(Wide, [1, []]) == Wide(1, [])
    with pytest.raises(dataclass.ValidationError) as caught:
        dataclass.load(Partial, {})
    assert caught.value.messages == {"title": ["Missing data for required field."]}
    with pytest.raises(dataclass.ValidationError) as caught:
        dataclass.dump(Movie, {"year": "x"})
    assert caught.value.messages == {"title": ["Missing data for required field."], "year": ["Not a valid integer."]}


# --- options ---


@dataclass.options(rename="camelCase")
@dataclasses.dataclass
class Camel:
    first_name: str
    _private: int = 1
    http_port_8080: int = 2
    given: int = field(default=3, metadata=meta(alias="as-it-is"))
    noted: typing.Annotated[int, Meta(alias="fromType")] = 4


def test_names_outside():
    """D4: aliases and cases, both ways."""
    plain = {"firstName": "a", "private": 1, "httpPort8080": 2, "as-it-is": 3, "fromType": 4}
    there_and_back(Camel, Camel("a"), plain)
    with pytest.raises(dataclass.ValidationError) as caught:
        dataclass.load(Camel, {"first_name": "a"})
    assert caught.value.messages == {"firstName": ["Missing data for required field."]}
    for rename, name in {
        "PascalCase": "FirstName",
        "kebab-case": "first-name",
        "SCREAMING_CASE": "FIRST_NAME",
        str.title: "First_Name",
        None: "first_name",
    }.items():
        cls = dataclass.options(rename=rename)(dataclasses.make_dataclass("Cls", [("first_name", int)]))
        there_and_back(cls, cls(1), {name: 1})
    odd = dataclasses.make_dataclass("Odd", [("a", int, field(metadata=meta(alias='quo"te\\ \n é')))])
    there_and_back(odd, odd(1), {'quo"te\\ \n é': 1})
    assert dataclass.load_from_bytes(Inner, b'{"\\u0061": 5}') == Inner(5)
    with pytest.raises(TypeError, match="both called 'x' outside"):
        dataclass.dump(dataclasses.make_dataclass("Two", [("x", int), ("y", int, field(default=1, metadata=meta(alias="x")))])(1))


def test_fields_that_are_not_known():
    """D4: ignored, or refused by name; the class says it, or the call."""
    strict = dataclass.options(unknown="raise")(dataclasses.make_dataclass("Strict", [("a", int)]))
    derived = dataclasses.make_dataclass("Derived", [("b", int, 1)], bases=(strict,))
    given = {"x": [1, {"deep": None}], "a": 1, "y é": 2}
    for load in (dataclass.load, lambda tp, given, **kw: dataclass.load_from_bytes(tp, json.dumps(given), **kw)):
        assert load(Inner, given) == Inner(1)
        for cls, options in ((strict, {}), (derived, {}), (Inner, {"unknown": "raise"})):
            with pytest.raises(dataclass.ValidationError) as caught:
                load(cls, given, **options)
            assert caught.value.messages == {"x": ["Unknown field."], "y é": ["Unknown field."]}
        assert load(strict, given, unknown="ignore") == strict(1)
    with pytest.raises(slipring.InvalidOption, match="unknown"):
        dataclass.load(Inner, {}, unknown="drop")


def test_none_left_out():
    """D4."""
    cls = dataclass.options(omit_none=True)(
        dataclasses.make_dataclass("Cls", [("a", int), ("b", typing.Optional[int], None), ("c", typing.Optional[str], None)])
    )
    assert dataclass.dump(cls(1)) == {"a": 1} and dataclass.dump_to_bytes(cls(1, c="x")) == b'{"a":1,"c":"x"}'
    assert dataclass.load(cls, {"a": 1}) == cls(1)


def test_options_of_fields():
    """D2: places, rounding, formats, members by name; also through Optional, and in Annotated."""

    @dataclasses.dataclass
    class Cls:
        price: typing.Optional[D] = field(default=None, metadata=meta(places=2, rounding=decimal.ROUND_UP))
        rates: list[typing.Annotated[D, Meta(places=1)]] = field(default_factory=list)
        day: dt.date | None = field(default=None, metadata=meta(format="%d.%m.%Y"))
        at: typing.Annotated[dt.datetime | None, Meta(format="%Y%m%d %H%M%z")] = None
        hour: dt.time | None = field(default=None, metadata=meta(format="%H"))
        color: Color | None = field(default=None, metadata=meta(by="name"))

    obj = Cls(D("1.001"), [D("0.25")], dt.date(2026, 1, 2), dt.datetime(2026, 1, 2, 3, 4, tzinfo=UTC), dt.time(5), Color.RED)
    plain = {"price": "1.01", "rates": ["0.2"], "day": "02.01.2026", "at": "20260102 0304+0000", "hour": "05", "color": "RED"}
    assert dataclass.dump(obj) == plain == json.loads(dataclass.dump_to_bytes(obj))
    given = plain | {"price": "1.0001", "rates": ["0.34", 1, 0.55]}
    rounded = dataclasses.replace(obj, price=D("1.01"), rates=[D("0.3"), D("1.0"), D("0.6")])
    for loaded in (dataclass.load(Cls, given), dataclass.load_from_bytes(Cls, json.dumps(given))):
        assert loaded == rounded and str(loaded.rates) == str(rounded.rates)
    with pytest.raises(dataclass.ValidationError) as caught:
        dataclass.load(Cls, {"price": "1" * 40, "day": "2026-01-02", "color": "red"})
    assert caught.value.messages == {
        "price": ["Not a valid number."],
        "day": ["Not a valid date."],
        "color": ["Must be one of: RED, BLUE."],
    }


def test_discriminators():
    """D2: declared, found by Literal, not first in the object, in classes that contain the union."""

    @dataclasses.dataclass
    class Leaf:
        name: str
        op: typing.Literal["leaf"] = "leaf"

    @dataclasses.dataclass
    class Tree:
        left: typing.Any
        op: typing.Literal["tree"] = "tree"

    tp = typing.Annotated[Leaf | Tree, Meta(discriminator="op")]
    for value in (Leaf("x"), Tree(1)):
        assert dataclass.load(tp, dataclass.dump(tp, value)) == value
        assert dataclass.load_from_bytes(tp, dataclass.dump_to_bytes(tp, value)) == value
    assert dataclass.load_from_bytes(tp, b' { "op" : "leaf" , "name" : "x" } ') == Leaf("x")
    for bad, messages in [
        ({"op": "x"}, {"op": ["Must be one of: leaf, tree."]}),
        ({"name": "x"}, {"op": ["Missing data for required field."]}),
        ({"op": "leaf"}, {"name": ["Missing data for required field."]}),
        (5, {"_schema": ["Invalid input type."]}),
    ]:
        for load in (dataclass.load, lambda tp, bad: dataclass.load_from_bytes(tp, json.dumps(bad))):
            with pytest.raises(dataclass.ValidationError) as caught:
                load(tp, bad)
            assert caught.value.messages == messages
    with pytest.raises(TypeError, match="no field that tells"):
        dataclass.load(typing.Annotated[Leaf | Inner, Meta(discriminator="op")], {})
    assert dataclass.load(Expr, {"kind": "neg", "of": {"kind": "num", "n": 1}}) == Neg("neg", Num("num", 1))


@dataclasses.dataclass
class Num:
    kind: typing.Literal["num"]
    n: int


@dataclasses.dataclass
class Neg:
    kind: typing.Literal["neg"]
    of: Num | Neg


Expr = typing.Union[Num, Neg]


def test_shapes_choose_among_classes_without_a_discriminator():
    """D2: the one whose fields are there, and that knows most of what is."""
    assert dataclass.load(Square | Named, {"side": 1.0, "label": "x", "extra": 2}) == Named(1.0, "x", 2)
    assert dataclass.load(Square | Named, {"side": 1.0}) == Square(1.0)
    assert dataclass.load_from_bytes(Circle | Square, b'{"side": 1}') == Square(1.0)
    with pytest.raises(dataclass.ValidationError) as caught:
        dataclass.load(Circle | Named, {"side": 1.0, "label": 5})
    assert caught.value.messages == {"label": ["Not a valid string."]}


def test_other_types_on_request():
    """D2: strict by default; `strict=False` takes what marshmallow takes."""

    @dataclasses.dataclass
    class Cls:
        n: int = 0
        x: float = 0.0
        b: bool = False
        s: str = ""
        d: dt.timedelta = dt.timedelta(0)

    given = {"n": " 12 ", "x": "1.5", "b": "Yes", "s": 5, "d": 90}
    want = Cls(12, 1.5, True, "5", dt.timedelta(seconds=90))
    data = json.dumps(given)
    assert dataclass.load(Cls, given, strict=False) == want == dataclass.load_from_bytes(Cls, data, strict=False)
    assert dataclass.load(Cls, {"n": 2.0, "b": 0}, strict=False) == Cls(2)
    for load in (lambda: dataclass.load(Cls, given), lambda: dataclass.load_from_bytes(Cls, data)):
        with pytest.raises(dataclass.ValidationError) as caught:
            load()
        assert list(caught.value.messages) == ["n", "x", "b", "s", "d"]
    bad = {"n": "1.5", "x": "nan", "b": "maybe", "s": None, "d": "soon"}
    for load in (dataclass.load, lambda tp, bad, **kw: dataclass.load_from_bytes(tp, json.dumps(bad), **kw)):
        with pytest.raises(dataclass.ValidationError) as caught:
            load(Cls, bad, strict=False)
        assert list(caught.value.messages) == ["n", "x", "b", "s", "d"]


def test_booleans_are_no_numbers():
    """D2."""
    for tp, given in [(int, True), (float, False), (D, True), (bool, 1), (str, 1), (int, 1.0), (typing.Literal[1], True), (Level, True)]:
        with pytest.raises(dataclass.ValidationError):
            dataclass.load(tp, given)
        with pytest.raises(dataclass.ValidationError):
            dataclass.load_from_bytes(tp, json.dumps(given))
    for tp, given in [(int, True), (float, False), (bool, 1), (str, 1), (int, 1.0), (D, 1.5)]:
        with pytest.raises(dataclass.ValidationError):
            dataclass.dump(tp, given)


# --- what can't be ---


class Unknown:
    pass


@pytest.mark.parametrize(
    ("tp", "says"),
    [
        (Unknown, "Unknown is no type"),
        (typing.Callable[[int], int], "no type that can be"),
        ("Inner", "is a name and not a type"),
        (list["Inner"], "is a name and not a type"),
        (5, "no type that can be"),
        (typing.Literal[1.5], "has no form outside"),
        (enum.Enum("Odd", {"A": (1, 2)}), "by=\"name\""),
        (typing.Annotated[int | str, Meta(discriminator="x")], "at least two classes"),
    ],
)
def test_types_that_have_no_plan(tp, says):
    """R9: said when the type is first seen."""
    with pytest.raises(TypeError, match=says):
        dataclass.load(tp, {})


def test_annotations_that_nobody_knows():
    """R9."""

    @dataclasses.dataclass
    class Here:
        me: Here | None
        other: Nowhere  # noqa: F821

    with pytest.raises(TypeError, match="'Nowhere', which its module does not know"):
        dataclass.dump(Here(None, None))

    @dataclasses.dataclass
    class Self:
        me: Self | None

    assert dataclass.load(Self, {"me": {"me": None}}) == Self(Self(None))


@pytest.mark.parametrize(
    "given",
    [{"places": -1}, {"places": True}, {"rounding": "up"}, {"by": "x"}, {"validate": 5}, {"alias": 5}, {"validate": [(int, 5)]}],
)
def test_options_are_checked_when_they_are_given(given):
    """R9."""
    with pytest.raises((TypeError, ValueError)):
        meta(**given)
    with pytest.raises((TypeError, ValueError)):
        dataclass.options(rename="snake")


def test_the_documentation_is_true():
    """The examples of the module."""
    result = doctest.testmod(dataclass, extraglobs={"annotations": None})
    assert result.attempted > 5 and not result.failed


def test_a_newer_python_knows_type_aliases():
    """D2."""
    if sys.version_info < (3, 12):
        Alias = typing.TypeAlias
        assert Alias is not None
        return
    space: dict = {}
    exec("type Ints = list[int]\ntype Pairs[T] = list[tuple[T, T]]", space)
    assert dataclass.load(space["Ints"], [1]) == [1]
    assert dataclass.load(space["Pairs"][int], [[1, 2]]) == [(1, 2)]
