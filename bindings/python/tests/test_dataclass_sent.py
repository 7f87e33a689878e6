"""What plain `send` has sent of objects, read by the plan of their class: registered types, and those that nobody has registered."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import typing
import uuid

import attrs
import pytest

import slipring
from slipring import Object, dataclass

D = decimal.Decimal
MISSING = "Missing data for required field."


def positive(n):
    if n <= 0:
        raise ValueError("Must be positive.")


@dataclasses.dataclass
class Point:
    x: typing.Annotated[int, dataclass.Meta(validate=positive)]
    y: int
    norm: float = dataclasses.field(init=False, default=0.0)


@dataclasses.dataclass
class Line:
    ends: list[Point]
    name: str = ""
    start: Point | None = None


@dataclass.options(rename="camelCase")
@dataclasses.dataclass(frozen=True, slots=True)
class Renamed:
    long_name: str
    day: dt.date = dt.date(2026, 1, 1)
    size: int = dataclasses.field(init=False, default=3)


class Fussy:
    def __init__(self, x):
        self.x = x


@dataclasses.dataclass
class Holder:
    n: int
    what: typing.Any = None
    all: list[Point] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Whole:
    id: uuid.UUID
    at: dt.datetime
    price: D
    raw: bytes
    points: dict[str, Point]
    pair: tuple[Point, ...]
    delta: dt.timedelta | None = None


def refused(cls, frame, **options):
    with pytest.raises(dataclass.ValidationError) as caught:
        dataclass.from_frame(cls, frame, **options)
    return caught.value.messages


@pytest.fixture
def through(ends):
    tx, rx = ends

    def through(value):
        tx.send(value, format="value")
        return rx.recv(1)

    return through


def point(**fields):
    return Object("p", 1, fields)


def register(cls=Point, name="p", **options):
    slipring.register(cls, name=name, **options)


def test_registered_objects_are_checked(through, registered):
    """D3, D5: types of fields, validators and what is missing, each at its place, all at once."""
    register()
    bad = [point(x=1, y=2), point(x=0, y="two"), point(y=True), point(x=None, y=1, norm="far")]
    assert refused(list[Point], through(bad)) == {
        "1": {"x": ["Must be positive."], "y": ["Not a valid integer."]},
        "2": {"y": ["Not a valid integer."], "x": [MISSING]},
        "3": {"x": ["Field may not be null."], "norm": ["Not a valid number."]},
    }
    assert refused(dict[str, tuple[Point, Point]], through({"k": (point(x=1, y=1), point())})) == {
        "k": {"value": {"1": {"x": [MISSING], "y": [MISSING]}}}
    }
    register(Line, "l")
    line = Object("l", 1, {"ends": [point(x=-1, y=1)], "start": point(x=1), "name": 5})
    assert refused(Line, through(line)) == {
        "ends": {"0": {"x": ["Must be positive."]}},
        "start": {"y": [MISSING]},
        "name": ["Not a valid string."],
    }
    good = Line([Point(1, 2), Point(3, 4)], "a", Point(5, 6))
    good.ends[0].norm = 7.5
    assert dataclass.from_frame(Line, through(good)) == good
    assert refused(Point, through(Object("p", 1, [1, 2]))) == {"_schema": ["Invalid input type."]}
    assert refused(Point, through(point(x=1, y=1, z=1)), unknown="raise") == {"z": ["Unknown field."]}


def test_fields_go_by_the_names_of_attributes(through, registered):
    """D4: what is wrong goes by the names outside, as ever; what `__init__` does not take is set."""
    made = Renamed("a", dt.date(2026, 2, 3))
    object.__setattr__(made, "size", 9)
    frame = through(made)
    assert type(frame.value) is Object
    for _ in range(2):
        assert dataclass.from_frame(Renamed, frame) == made
        slipring.register(Renamed)
    assert refused(Renamed, through(Object(slipring.values._name(Renamed), 1, {"longName": "a"}))) == {"longName": [MISSING]}


def test_unregistered_objects_are_read_from_their_fields(through):
    """D5: where the name is that of the class, as plain `send` gives it; nested and in unions, too."""
    whole = Whole(uuid.UUID(int=7), dt.datetime(2026, 1, 1, tzinfo=dt.timezone.utc), D("2.50"), b"raw", {"a": Point(1, 2)}, (Point(3, 4),))
    assert type(through(whole).value) is Object
    assert dataclass.from_frame(Whole, through(whole)) == whole
    line = Line([Point(1, 2), Point(3, 4)], "a")
    assert dataclass.from_frame(Line, through(line)) == line
    assert dataclass.from_frame(list[Point | Line], through([line, Point(1, 2)])) == [line, Point(1, 2)]
    assert dataclass.from_frame(list[Point | Renamed | None], through([None, Renamed("a")])) == [None, Renamed("a")]
    assert refused(list[Point | Line], through([Point(0, 1)])) == {"0": {"x": ["Must be positive."]}}
    assert dataclass.load(Line, through(line).value) == line
    assert dataclass.load(Line | Point, through(line).value) == line


def test_objects_of_other_names_are_told(through, registered):
    """R9.1: which one it is, and what to do."""
    (told,) = refused(list[Point], through([point(x=1, y=1)]))["0"]["_schema"]
    assert "named \"p\", not \"test_dataclass_sent.Point\"" in told and "register" in told
    register(Line, "l")
    assert refused(list[Point], through([Object("l", 1, {"ends": []})])) == {"0": {"_schema": ["Invalid input type."]}}


def test_registered_classes_in_unions_and_those_that_derive(through, registered):
    """D2, D5."""

    @dataclasses.dataclass
    class Solid(Point):
        z: int = 0

    register()
    register(Solid, "s")
    both = [Solid(1, 2, 3), Point(1, 2)]
    for cls in (list[Point], list[Point | Solid], list[Line | Point], list[str | Point | dict[str, int]]):
        got = dataclass.from_frame(cls, through(both))
        assert got == both and type(got[0]) is Solid
    assert refused(list[Point | Solid], through([Object("s", 1, {"x": 0, "z": "a"})])) == {
        "0": {"x": ["Must be positive."], "z": ["Not a valid integer."], "y": [MISSING]}
    }


def test_what_was_tried_first_is_looked_into(through, registered):
    """D3: inside of unions that have to try, and behind migrations, where objects have been put together before."""
    register()
    cls = list[list[Point] | tuple[Point, ...]]
    assert dataclass.from_frame(cls, through([[Point(1, 2)]])) == [[Point(1, 2)]]
    assert refused(cls, through([[Point(0, 2)]])) == {"0": {"0": {"x": ["Must be positive."]}}}
    (told,) = refused(cls, through([[point(x=1)]]))["0"]["0"]["_schema"]
    assert "p raised, given version 1" in told and "'y'" in told
    register(Line, "l", version=2, migrations={1: lambda old: {"ends": old["points"]}})
    old = Object("l", 1, {"points": [Point(1, 2), point(x=0, y=2)]})
    assert refused(Line, through(old)) == {"ends": {"1": {"x": ["Must be positive."]}}}
    assert dataclass.from_frame(Line, through(Object("l", 1, {"points": [Point(1, 2)]}))) == Line([Point(1, 2)])


def test_migrated_fields_are_checked(through, registered):
    """R5.2, R5.3, D3: from version to version; what is wrong then is said as of any object."""
    register(version=3, migrations={1: lambda old: {"x": old["a"]}, 2: lambda old: old | {"y": 7}})
    assert dataclass.from_frame(list[Point], through([point(a=5), Object("p", 2, {"x": 1})])) == [Point(5, 7), Point(1, 7)]
    got = refused(list[Point], through([point(a="5"), point(b=5), Object("p", 3, {"x": 0})]))
    assert got["0"] == {"x": ["Not a valid integer."]} and got["2"] == {"x": ["Must be positive."], "y": [MISSING]}
    (told,) = got["1"]["_schema"]
    assert 'migration of "p" from version 1 to 2 failed: KeyError' in told
    # What has gone through all migrations needs no other.
    register(version=2, migrations={1: lambda old: old})
    assert refused(Point, through(point(x=1))) == {"y": [MISSING]}
    with pytest.raises(slipring.SchemaError) as caught:
        dataclass.from_frame(list[Point], through([point(x=1), Object("p", 0, {})]))
    assert caught.value.migration == (0, 1)


def test_versions_without_migrations_go_by_name(through, registered):
    """R5.3, R5.4: as elsewhere; what is missing names the migration."""

    @dataclass.options(unknown="raise")
    @dataclasses.dataclass
    class Later:
        new: int = dataclasses.field(metadata={"slipring.aliases": "old, older"})
        more: int
        note: str = ""

    register(Later, version=2)
    assert dataclass.from_frame(Later, through(point(older=1, more=2, gone=3))) == Later(1, 2)
    assert refused(Later, through(point(old="a"))) == {
        "new": ["Not a valid integer."],
        "more": [MISSING],
        "_schema": ['"p" of version 1 can\'t be read as version 2; register a migration of "p" from version 1 to 2'],
    }
    assert "upgrade this side" in refused(Later, through(Object("p", 3, {"new": 1})))["_schema"][0]
    assert refused(Later, through(Object("p", 2, {"new": 1}))) == {"more": [MISSING]}


def test_own_decoders_fail_at_their_place(through, registered):
    """D3, R12.4: among what is wrong elsewhere; the walk goes on behind them."""

    def decode(fields, version):
        if fields["x"] == "no":
            raise dataclass.ValidationError({"x": ["Said no."]})
        if fields["x"] < 0:
            raise ValueError("Below zero.")
        return Point(fields["x"], 0)

    register(decode=decode)
    bad = [point(x=-1), point(x=1), point(z=1), point(x="no"), 5, Object("q", 1, [point(x=-2)])]
    got = refused(list[Point], through(bad))
    assert list(got) == ["0", "2", "3", "4", "5"]
    assert got["0"] == {"_schema": ["Below zero."]} and got["3"] == {"x": ["Said no."]}
    assert got["2"] == {"_schema": ["the decoder of p raised, given version 1: KeyError: 'x'"]}
    # What it makes is believed.
    assert dataclass.from_frame(Point, through(point(x=0))) == Point(0, 0)
    # Under Any, and beside faults of other fields.
    frame = through({"n": "a", "all": [Object("p", 1, {"x": -3})]})
    assert refused(Holder, frame) == {"n": ["Not a valid integer."], "all": {"0": {"_schema": ["Below zero."]}}}
    inner = {"a": [1, {"k": Object("p", 1, {"x": -3})}], "b": 1}
    assert refused(dict[str, typing.Any], through(inner)) == {
        "a": {"value": {"1": {"k": {"_schema": ["Below zero."]}}}}
    }
    slipring.register(Fussy, name="f", decode=lambda fields, version: Fussy(fields))
    (told,) = refused(list[typing.Any], through([1, Object("f", 1, {"p": [point(x=-1)]}), 2]))["1"]["p"]["0"]["_schema"]
    assert told == "Below zero."

    def interrupted(fields, version):
        raise KeyboardInterrupt

    register(decode=interrupted)
    with pytest.raises(KeyboardInterrupt):
        dataclass.from_frame(Point, through(point(x=1)))


def test_attrs_classes_are_checked(through, registered):
    """D2, D3."""

    @attrs.define(slots=False)
    class Box:
        _n: int = attrs.field(validator=attrs.validators.gt(0))
        ids: tuple[uuid.UUID, ...] = ()
        area: int = attrs.field(init=False, default=2)

    register(Box, "b")
    box = Box(3, (uuid.UUID(int=1),))
    box.area = 5
    assert dataclass.from_frame(Box, through(box)) == box
    assert list(refused(Box, through(Object("b", 1, {"_n": 0, "ids": 3})))) == ["_n", "ids"]


def test_post_init_and_keys(through, registered):
    """D2: what `__post_init__` refuses is said of the object; a key that stands twice is told."""

    @dataclasses.dataclass
    class Span:
        a: int
        b: int

        def __post_init__(self):
            if self.a > self.b:
                raise ValueError("Wrong order.")

    register(Span)
    assert refused(list[Span], through([point(a=2, b=1)])) == {"0": {"_schema": ["Wrong order."]}}
    assert dataclass.from_frame(Span, through(point(b=2, a=1))) == Span(1, 2)


@dataclasses.dataclass(frozen=True)
class Key:
    n: typing.Annotated[int, dataclass.Meta(validate=positive)]


def test_objects_in_sets_and_tuples(through, registered):
    """D2, D5: are gone through one by one as well."""
    for cls in (set[Key], frozenset[Key], tuple[Key, ...], list[Key]):
        for value in ({Key(1), Key(2)}, frozenset([Key(1), Key(2)]), (Key(1), Key(2)), [Key(1), Key(2)]):
            got = dataclass.from_frame(cls, through(value))
            assert sorted(key.n for key in got) == [1, 2] and isinstance(got, typing.get_origin(cls))
        assert len(refused(cls, through((Key(0), Key(-1))))) == 2
    assert refused(frozenset[Key], through({Key(0)})) == {"0": {"n": ["Must be positive."]}}
    slipring.register(Key)
    assert refused(dict[Key, int], through({Key(0): 1}))


def test_every_cut_and_changed_byte(registered, both):
    """P9: of an object's frame gives an object or an error."""
    import random

    register()
    tx, rx = both
    tx.send([Point(1, 2), Point(3, 4)], format="value")
    data = bytes(rx.recv(1).view)
    chance = random.Random(3)
    seen = set()
    for _ in range(3000):
        raw = bytearray(data)
        for _ in range(chance.randint(1, 2)):
            raw[chance.randrange(len(raw))] = chance.choice([chance.randrange(256), 0xF6, 0x80, 0xA0, 0xFF])
        tx.send([Point(1, 2), Point(3, 4)], format="value")
        frame = rx.recv(1)
        overwrite(frame.view, bytes(raw))
        try:
            dataclass.from_frame(list[Point], frame)
            seen.add("object")
        except dataclass.ValidationError:
            seen.add("invalid")
        except slipring.DecodeError:
            seen.add("no value")
        except (slipring.SchemaError, slipring.errors.LossyWarning):
            seen.add("no version")
    assert {"object", "invalid", "no value"} <= seen


def overwrite(view, data):
    import ctypes

    import numpy as np

    ctypes.memmove(np.frombuffer(view, "u1").ctypes.data, data, len(data))
