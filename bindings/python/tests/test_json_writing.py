"""What ``json.dumps`` writes of each type and with each option, and what it refuses."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import functools
import gc
import json as std
import math
import typing
import uuid
import zoneinfo

import hypothesis
import numpy as np
import orjson
import pytest
from hypothesis import strategies as st
from test_json_alike import texts

import slipring
from slipring import json

D = decimal.Decimal


class Colour(enum.Enum):
    RED = 1
    DEEP = ("a", 2)


class Level(enum.IntEnum):
    LOW = 3


class Name(str, enum.Enum):
    A = "a"


@dataclasses.dataclass
class Point:
    x: int
    y: object = None
    _hidden: int = 0
    kind: typing.ClassVar[str] = "point"


@dataclasses.dataclass(frozen=True, slots=True)
class Slotted:
    a: list


class Text(str):
    pass


class Names(dict):
    pass


class Items(list):
    pass


Pair = collections.namedtuple("Pair", "a b")
ordered = collections.OrderedDict(a=1, b=2)
ordered.move_to_end("a")
UTC, HALF = dt.timezone.utc, dt.timezone(-dt.timedelta(hours=5, minutes=30))


@pytest.mark.parametrize(
    "value, text",
    [
        ((1, (2,), ()), "[1,[2],[]]"),
        (Pair(1, [2]), "[1,[2]]"),
        ([Colour.RED, Colour.DEEP, Level.LOW, Name.A], '[1,["a",2],3,"a"]'),
        ({Name.A: 1, Text("t"): 2}, '{"a":1,"t":2}'),
        (Point(1, Slotted([2.5])), '{"x":1,"y":{"a":[2.5]},"_hidden":0}'),
        (uuid.UUID(int=2**127 + 5), '"80000000-0000-0000-0000-000000000005"'),
        (dt.date(1, 2, 3), '"0001-02-03"'),
        (dt.time(1, 2, 3), '"01:02:03"'),
        (dt.time(1, 2, 3, 4), '"01:02:03.000004"'),
        (dt.time(1, tzinfo=HALF), '"01:00:00-05:30"'),
        (dt.datetime(2026, 11, 21, 10, 46, 28), '"2026-11-21T10:46:28"'),
        (dt.datetime(2026, 11, 21, 10, 46, 28, 5, UTC), '"2026-11-21T10:46:28.000005+00:00"'),
        (dt.datetime(2026, 1, 2, tzinfo=HALF), '"2026-01-02T00:00:00-05:30"'),
        (dt.datetime(2026, 7, 1, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")), '"2026-07-01T00:00:00+02:00"'),
        (D("1.10"), "1.10"),
        (D("-1E+400"), "-1E+400"),
        ([Text("é"), Names(a=1), Items([1]), Items(), Names()], '["é",{"a":1},[1],[],{}]'),
        (ordered, '{"b":2,"a":1}'),
        (collections.defaultdict(int, a=1), '{"a":1}'),
        (slipring.Atom("ok"), '"ok"'),
        (slipring.Object("acme.Thing", 1, {"a": [1]}), '{"a":[1]}'),
        (True, "true"),
        (type("Int", (int,), {"__str__": lambda self: "x", "__index__": lambda self: 0})(7), "7"),
        (type("Float", (float,), {"__repr__": lambda self: "x"})(0.5), "0.5"),
        (type("Big", (int,), {})(10**30), "1" + "0" * 30),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_each_type_has_its_form(value, text):
    """J1: alone, inside, with other options, and as orjson writes it where that knows it."""
    assert json.dumps(value, text=True) == text
    assert json.dumps([{"k": value}], text=True) == f'[{{"k":{text}}}]'
    assert std.loads(json.dumps(value, indent=2)) == std.loads(text)
    if type(value).__name__ not in "Point Pair Atom Object Decimal Int Float Big OrderedDict".split() and "05:30\"" not in text[:16]:
        if not isinstance(value, dict) or type(next(iter(value))) is str:
            assert orjson.dumps(value, default=tuple).decode() == text


def test_numpy_is_written():
    """J1: arrays of any layout as lists, scalars as numbers; of shorter floats the shorter digits."""
    whole = np.arange(24).reshape(2, 3, 4)
    for array in (
        *(np.arange(-3, 40).astype(t) for t in "bBhHiIlLqQ?fd"),
        np.array([2**63, 2**64 - 1], "u8"), np.array([-(2**63)], "i8"),
        whole, whole[:, ::2, ::-1], np.asfortranarray(whole), whole.astype(">i2"), whole.astype(">f8") / 3,
        np.zeros((0, 3)), np.zeros((3, 0)), np.zeros((2, 0, 2)), np.array(5), np.array(2.5), np.array([[True], [False]]),
        np.array(["a", "é\n"]), np.array([{"a": 1}, None], object), np.array([0.5, 1e300]), np.float16([0.5, 2]),
    ):  # fmt: skip
        expected = std.dumps(array.tolist(), separators=(",", ":"), ensure_ascii=False)
        assert std.loads(json.dumps(array)) == std.loads(expected), array.dtype
        assert std.loads(json.dumps(array, indent=1)) == std.loads(expected), array.dtype
    assert json.dumps(whole, indent=1, text=True) == std.dumps(whole.tolist(), indent=1)
    third = np.array([1 / 3, 0.1], "f4")
    assert json.dumps(third) == b"[0.33333334,0.1]" == orjson.dumps(third, option=orjson.OPT_SERIALIZE_NUMPY)
    scalars = [np.float32(0.1), np.float64(0.1), np.float16(0.1), np.int8(-3), np.uint64(2**64 - 1), np.bool_(True), np.str_("s")]
    assert json.dumps(scalars) == b'[0.1,0.1,0.099975586,-3,18446744073709551615,true,"s"]'
    times = np.array(["2026-11-21T10:46:28", "1970-01-01"], "M8[ms]")
    assert json.loads(json.dumps([times, times[0]])) == [["2026-11-21T10:46:28.000", "1970-01-01T00:00:00.000"], "2026-11-21T10:46:28.000"]
    assert json.dumps({"a": np.array([1.5, np.nan, np.inf])}, nan="null") == b'{"a":[1.5,null,null]}'
    with pytest.raises(slipring.EncodeError) as caught:
        json.dumps({"a": np.array([[1.5], [np.nan]])})
    assert caught.value.path == "$.a[1][0]"
    for other in (np.array([1j]), np.array([b"x"]), np.array([1], "m8[s]"), np.datetime64("NaT"), np.complex64(1), np.longdouble(1),
                  np.array([1], "longdouble"), np.zeros(2, "i4,f4"), np.ma.masked_array([1, 2], [0, 1])):  # fmt: skip
        with pytest.raises(slipring.EncodeError, match="default="):
            json.dumps([other])
        assert json.dumps([other], default=lambda o: str(type(o).__name__)).startswith(b'["')


def test_moments_of_numpy_are_those_of_the_rfc():
    """J1: dates and times in full, whatever steps they are counted in; what is neither is told by its place."""
    for unit in ("Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "25m", "7D"):
        for text in ("1969-07-20T20:17:40.5", "0002-01-01", "2026-11-21", "9999-12-31"):
            if unit == "ns" and text[:2] not in ("19", "20"):
                continue
            moment = np.datetime64(text, "us").astype(f"M8[{unit}]")
            for written in (json.loads(json.dumps(moment)), json.loads(json.dumps(np.array([moment])))[0]):
                read = (dt.datetime if "T" in written else dt.date).fromisoformat(written)
                assert np.datetime64(read) == moment, (unit, written)
                assert ("T" in written) == (unit[-1] not in "YMWD")
    for wrong, told, path in (
        (np.datetime64("NaT"), "NaT", "$"), (np.datetime64("NaT", "s"), "NaT", "$"), (np.array([["2026", "NaT"]], "M8[ns]"), "NaT", "$[0][1]"),
        (np.array(["-0001-01-01"], "M8[D]"), "0 to 9999", "$[0]"), (np.datetime64("10000-01-01T00"), "0 to 9999", "$"), (np.datetime64(2**62, "Y"), "0 to 9999", "$"),
    ):  # fmt: skip
        with pytest.raises(slipring.EncodeError, match=told) as caught:
            json.dumps({"a": wrong})
        assert caught.value.path == "$.a" + path[1:] and "default=" in caught.value.hint
        assert json.dumps({"a": wrong}, default=lambda _: None) == b'{"a":null}'


class Plain:
    def __init__(self):
        self.a, self.b = 1, [2]


def test_registered_types_are_written_as_their_fields(registered):
    """J1: what `encode=` makes of them, or their `__dict__`."""
    with pytest.raises(slipring.EncodeError, match="Plain"):
        json.dumps(Plain())
    slipring.register(Plain)
    slipring.register(Point, encode=lambda p: [p.x, p.y])
    slipring.register(Colour, encode=lambda c: c.name)
    assert json.dumps({"p": Plain(), "q": Point(1, Plain()), "c": Colour.RED}) == b'{"p":{"a":1,"b":[2]},"q":[1,{"a":1,"b":[2]}],"c":"RED"}'


# --- options ---


@pytest.mark.parametrize("wrong", [5, "sorted", ()])
def test_a_default_that_is_no_function_is_told_at_once(wrong):
    """R9: whether or not there is something to call it for."""
    for value in (1, {1, 2}):
        with pytest.raises(TypeError, match=f"^default must be a function of one object, not {type(wrong).__name__}$"):
            json.dumps(value, default=wrong)


def test_default_makes_what_has_no_form():
    """J1: its result is written, again by `default` if need be; what it raises comes out."""
    assert json.dumps([{1}, b"x", 1j, range(2)], default=lambda o: list(o) if not isinstance(o, complex) else Point(1)) == (
        b'[[1],[120],{"x":1,"y":null,"_hidden":0},[0,1]]'
    )
    assert json.dumps({"a": {3, 1, 2}}, default=sorted) == b'{"a":[1,2,3]}'
    assert json.dumps(object(), default=lambda o: None) == b"null"
    calls = []
    assert json.dumps(frozenset([1]), default=lambda o: calls.append(o) or (list(o) if len(calls) > 3 else o)) == b"[1]"
    with pytest.raises(ZeroDivisionError):
        json.dumps([object()], default=lambda o: 1 / 0)
    with pytest.raises(slipring.EncodeError, match="asked for again, 256 times"):
        json.dumps([object()], default=lambda o: o)
    with pytest.raises(slipring.EncodeError, match="256 times"):
        json.dumps([object()], default=lambda o: [o])
    # Beside each other there may be more.
    assert json.dumps([{n} for n in range(300)], default=list, text=True) == std.dumps([[n] for n in range(300)], separators=(",", ":"))
    with pytest.raises(TypeError):
        json.dumps(object(), default=1)


@pytest.mark.parametrize(
    "value, hint",
    [({1}, "sorted"), (frozenset(), "sorted"), (b"x", "base64"), (bytearray(), "base64"), (memoryview(b""), "base64"),
     (object(), "default="), (1j, "default="), (range(3), "default="), (dt.timedelta(1), "default="), (int, "default="), (std, "default=")],
    ids=repr,
)  # fmt: skip
def test_what_has_no_form_is_refused(value, hint):
    """J1: with its place, and what to do."""
    with pytest.raises(slipring.EncodeError, match="has no form in JSON") as caught:
        json.dumps({"a b": [1, {"c": value}]})
    assert caught.value.path == '$["a b"][1].c' and hint in caught.value.hint
    assert caught.value.type.endswith(type(value).__name__)
    assert isinstance(caught.value, TypeError)


def test_keys_are_converted_on_request():
    """J1: as the standard module does, and more; sorted by their text."""
    value = {1: 0, 10**25: 1, True: 2, None: 3, 2.5: 4, -0.0: 5, "s": 6, Text("t"): 7}
    expected = std.dumps(value, separators=(",", ":"))
    assert json.dumps(value, keys="convert", text=True) == expected
    more = {
        uuid.UUID(int=1): 0, dt.date(2026, 1, 2): 1, dt.datetime(2026, 1, 2, tzinfo=UTC): 2, dt.time(1): 3, Colour.RED: 4, Name.A: 5,
        D("1.10"): 6, np.float64(1.5): 7,
    }  # fmt: skip
    scalars = {np.int64(-3): 0, np.uint64(2**64 - 1): 1, np.float32(0.1): 2, np.float16(0.5): 3, np.bool_(True): 4, np.str_("s"): 5}
    assert json.dumps(scalars, keys="convert") == b'{"-3":0,"18446744073709551615":1,"0.1":2,"0.5":3,"true":4,"s":5}'
    assert json.dumps(more, keys="convert", text=True) == (
        '{"00000000-0000-0000-0000-000000000001":0,"2026-01-02":1,"2026-01-02T00:00:00+00:00":2,"01:00:00":3,"1":4,"a":5,"1.10":6,"1.5":7}'
    )
    assert json.dumps({3: 0, "20": 1, 1: 2, None: 3}, keys="convert", sort_keys=True) == b'{"1":2,"20":1,"3":0,"null":3}'
    assert json.dumps({math.nan: 1}, keys="convert", nan="constants") == b'{"NaN":1}'
    for key in (1, None, True, 2.5, uuid.UUID(int=1), Colour.RED):
        for options in ({}, {"sort_keys": True}):
            with pytest.raises(slipring.EncodeError, match='keys="convert"') as caught:
                json.dumps({"a": {"b": 1, key: 2}}, **options)
            assert caught.value.path == "$.a.<key 1>"
    for key in ((1,), b"x", frozenset(), object(), math.inf, np.float32("inf"), np.complex64(1), np.datetime64("2026-01-02")):
        with pytest.raises(slipring.EncodeError):
            json.dumps({key: 1}, keys="convert")


@hypothesis.given(st.dictionaries(texts, st.booleans()))
def test_keys_are_sorted_by_code_points(value):
    """J1."""
    expected = std.dumps(dict(sorted(value.items())), separators=(",", ":"), ensure_ascii=False)
    assert json.dumps(value, sort_keys=True, text=True) == expected
    assert orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode() == expected


def test_indentation_is_white_space():
    """J1."""
    value = {"a": [1, {"b": []}], "c": {}, "d": ()}
    for indent in (0, 1, 4, 64, "", "\t", " \t"):
        assert json.dumps(value, indent=indent, text=True) == std.dumps(value, indent=indent)
    assert json.dumps(value, indent=2) == orjson.dumps(value, option=orjson.OPT_INDENT_2)
    for wrong, error in ((65, ValueError), (-1, ValueError), ("x", ValueError), (1.5, TypeError), (10**30, ValueError)):
        with pytest.raises(error, match="indent"):
            json.dumps(value, indent=wrong)


@pytest.mark.parametrize("name", ["nan", "decimals", "keys", "surrogates"])
def test_wrong_options_of_dumps_are_named(name):
    """J1."""
    with pytest.raises(ValueError, match=name):
        json.dumps(1, **{name: "other"})


# --- in the middle of it ---


def test_the_memory_may_be_full_anywhere():
    """J1: before, within and behind an item of each kind, and behind many containers that end together."""
    deep = functools.reduce(lambda inner, n: [inner] if n % 2 else {"k": inner}, range(300), [])
    items = [None, True, False, 0, -(2**59), 2**80, -1.5e-300, "", "a" * 15, '"' * 33, "é", [], {}, (), {"": "", "b" * 40: 1}]
    for value in (deep, [items] * 9, {f"key {n}": items for n in range(9)}):
        theirs = std.dumps(value, ensure_ascii=False, separators=(",", ":"))
        for before in range(880, 1040):
            assert json.dumps(["x" * before, value], text=True) == f'["{"x" * before}",{theirs}]'


def test_containers_that_change_meanwhile():
    """J1: no memory that is gone is read, and writing ends."""
    d = {str(n): object() for n in range(10)}
    for change in (d.clear, lambda: d.update({str(len(d)): object()}), lambda: d.pop("5", None)):
        d.clear()
        d.update({str(n): object() for n in range(10)})
        with pytest.raises(slipring.EncodeError, match="changed"):
            json.dumps([d], default=lambda o: change())
    items = [object() for _ in range(10)]
    assert json.dumps(items, default=lambda o: items.clear()) == b"[null]"
    more = [object()]
    assert json.dumps(more, default=lambda o: len(more) < 5 and more.append(object())) == b"[null,null,null,null,false]"


def test_garbage_may_be_found_at_any_time():
    """J1: what raises allocates, and a finalizer that then runs may take the container apart."""

    class Taking:
        def __init__(self, container):
            self.container, self.self = container, self

        def __del__(self):
            self.container.clear()

    threshold = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for wrong in ("\ud800" + "x" * 50, 10**40, "é" * 60 + "\udfff"):
            for make in (lambda: {"k" * 50: wrong}, lambda: {wrong: "v" * 50}, lambda: [wrong, "w" * 50]):
                for options in ({}, {"surrogates": "keep"}, {"keys": "convert", "ascii": True}):
                    for _ in range(20):
                        container = make()
                        Taking(container)
                        try:
                            json.dumps(container, **options)
                        except slipring.EncodeError:
                            pass
    finally:
        gc.set_threshold(*threshold)


def test_what_is_written_can_be_large():
    """J1: the piece that is written into grows as it must."""
    for size in (1, 100, 1000, 10_000, 300_000):
        value = [{"k" * 20: "v" * (size % 977), "n": list(range(50))}] * (size // 100 + 1) + ["x" * size, '"' * size]
        assert json.loads(json.dumps(value)) == value
        assert json.dumps(value, text=True) == std.dumps(value, separators=(",", ":"))


def test_members_that_are_their_own_values_are_refused():
    """J1: as keys, without end."""

    class Endless(enum.Enum):
        A = 1

        @property
        def value(self):
            return self

    with pytest.raises(slipring.EncodeError, match="members of enumerations"):
        json.dumps({Endless.A: 1})
