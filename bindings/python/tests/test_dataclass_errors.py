"""What is wrong with data, and where: R9.3, D3."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import json
import math
import pickle
import time
import typing
import uuid

import marshmallow
import numpy as np
import pyarrow as pa
import pytest

import slipring
from slipring import dataclass

D = decimal.Decimal
field, meta, Meta = dataclasses.field, dataclass.meta, dataclass.Meta


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1


class Pair(typing.NamedTuple):
    a: int
    b: int = 0


@dataclasses.dataclass
class Item:
    name: str
    price: D


@dataclasses.dataclass
class Order:
    id: uuid.UUID
    items: list[Item]
    by_name: dict[str, Item] = field(default_factory=dict)
    pair: tuple[int, str] | None = None


def messages(tp, given, **options):
    """What is said, and that it is the same of JSON."""
    with pytest.raises(dataclass.ValidationError) as caught:
        dataclass.load(tp, given, **options)
    with pytest.raises(dataclass.ValidationError) as of_json:
        dataclass.load_from_bytes(tp, json.dumps(given), **options)
    assert of_json.value.messages == caught.value.messages
    assert str(of_json.value) == str(caught.value) and of_json.value.type is caught.value.type
    return caught.value.messages


def test_all_that_is_wrong_is_said_at_its_place():
    """D3, R9.3: indices and names, down to the last field."""
    good = {"name": "a", "price": "1"}
    given = {
        "id": "no",
        "items": [good, {"name": 1}, good, {"name": "a", "price": "x"}, None, 5],
        "by_name": {"k": {"price": None, "name": "n"}, "l": []},
        "pair": ["1", 2],
    }
    assert messages(Order, given) == {
        "id": ["Not a valid UUID."],
        "items": {
            "1": {"name": ["Not a valid string."], "price": ["Missing data for required field."]},
            "3": {"price": ["Not a valid number."]},
            "4": ["Field may not be null."],
            "5": {"_schema": ["Invalid input type."]},
        },
        "by_name": {
            "k": {"value": {"price": ["Field may not be null."]}},
            "l": {"value": {"_schema": ["Invalid input type."]}},
        },
        "pair": {"0": ["Not a valid integer."], "1": ["Not a valid string."]},
    }
    assert messages(list[Order], [given, {}])["1"] == {
        "id": ["Missing data for required field."],
        "items": ["Missing data for required field."],
    }


def test_the_exception_names_field_and_type():
    """R9.3, R9: in slipring's tree, with a text for people, and it can be sent on."""
    with pytest.raises(dataclass.ValidationError, match="^Order: id: Not a valid UUID.; items.0: Invalid input type.$") as caught:
        dataclass.load(Order, {"id": "x", "items": [1]})
    error = caught.value
    assert error.type is Order and isinstance(error, slipring.Error) and isinstance(error, ValueError)
    assert pickle.loads(pickle.dumps(error)).messages == error.messages
    with pytest.raises(dataclass.ValidationError, match="^int: Not a valid integer.$") as caught:
        dataclass.load(int, "x")
    assert caught.value.messages == {"_schema": ["Not a valid integer."]}
    own = dataclass.ValidationError("text")
    assert own.messages == ["text"] and str(own) == "text"
    assert dataclass.ValidationError({"a": ["x", "y"], "b": {"0": ["z"]}}).messages["b"] == {"0": ["z"]}
    assert slipring.ValidationError is dataclass.ValidationError


WRONG = [
    (str, [1, 1.5, True, [], {}], "Not a valid string."),
    (int, ["1", 1.5, True, [], {}], "Not a valid integer."),
    (float, ["1", True, [], {}, 10**400], "Not a valid number."),
    (bool, ["true", 1, 0, [], {}], "Not a valid boolean."),
    (type(None), [0, "", False, []], "Must be null."),
    (D, ["x", "", "1_0", " 1", "1e", "--1", ".", True, [], {}, "٣"], "Not a valid number."),
    (D, ["NaN", "Infinity", "-inf", "sNaN"], "Special numeric values (nan or infinity) are not permitted."),
    (uuid.UUID, ["", "x" * 36, "x" * 32, "0" * 31, "0" * 36, "12345678-9abc-def0-1234-56789abcdef", 5, [], {}, "é" * 16], "Not a valid UUID."),
    (
        dt.datetime,
        ["", "2026-11-21", "2026-13-01T00:00", "2026-02-30T00:00:00", "2026-01-01T24:00:00", "2026-01-01T00:00:00.", "2026-01-01T00:00+1",
         "2026-01-01T00:00:00+24:00", "2026-01-01T00:00:00+05:60", "2026-01-01T00:00:00Zx", "0000-01-01T00:00:00", "20260101T000000", 5, [], {}, "２026-01-01T00:00"],
        "Not a valid datetime.",
    ),
    (dt.date, ["", "2026-1-1", "2026-02-29", "2026-01-01T00:00:00", "2026-01-01 ", 5, []], "Not a valid date."),
    (dt.time, ["", "1:00", "24:00", "00:60:00", "00:00:60", "00", 5, []], "Not a valid time."),
    (dt.timedelta, ["", "P", "PT", "1D", "P1", "P1H", "PT1D", "P1Y", "P1DT", "P1.5DT1H", "PT1S1M", "P1D1D", "P99999999999D", "P" + "9" * 30 + "D", 5, []], "Not a valid period of time."),
    (bytes, ["x", "ab=c", "====", "é", 5, []], "Not a valid base64 string."),
    (list[int], ["abc", {}, 1, "[]"], "Not a valid list."),
    (set[int], ["abc", {}, 1], "Not a valid set."),
    (set, [[[]], [{}]], "Not a valid set."),
    (tuple[int, ...], ["abc", {}, 1], "Not a valid tuple."),
    (tuple[int, int], ["abc", {}, 1], "Not a valid tuple."),
    (tuple[int, int], [[], [1], [1, 2, 3]], "Length must be 2."),
    (Pair, [[], [1, 2, 3]], "Length must be between 1 and 2."),
    (dict[str, int], ["abc", [], 1], "Not a valid mapping type."),
    (Color, ["", "green", "RED", 1, [], {}], "Must be one of: red, blue."),
    (Level, [0, "1", 1.0, True], "Must be one of: 1."),
    (typing.Literal["a", 1], ["b", 2, True, 1.0, []], "Must be one of: a, 1."),
]


@pytest.mark.parametrize(("tp", "given", "says"), WRONG, ids=[f"{n}-{case[0]}" for n, case in enumerate(WRONG)])
def test_values_of_another_type(tp, given, says):
    """D2, D3: each type refuses what it is not, and None."""
    cls = dataclasses.make_dataclass("Cls", [("value", tp), ("after", str, "")])
    for one in given:
        assert messages(cls, {"value": one, "after": 5}) == {"value": [says], "after": ["Not a valid string."]}
        assert messages(typing.Optional[tp], one) == {"_schema": [says]}
    if tp is not type(None):
        assert messages(cls, {"value": None}) == {"value": ["Field may not be null."]}
        with pytest.raises(dataclass.ValidationError) as caught:
            dataclass.dump(cls, cls(None))
        assert caught.value.messages == {"value": ["Field may not be null."]}


@pytest.mark.parametrize("tp", [case[0] for case in WRONG])
def test_dumps_check_as_well(tp):
    """D3: what is not of the type is not dumped."""
    cls = dataclasses.make_dataclass("Cls", [("a", tp), ("b", int, 0)])
    for dump in (dataclass.dump, dataclass.dump_to_bytes):
        with pytest.raises(dataclass.ValidationError) as caught:
            dump(cls, cls(object(), "x"))
        assert set(caught.value.messages) == {"a", "b"}
        with pytest.raises(dataclass.ValidationError) as caught:
            dump(list[cls], [cls(object()), 5])
        assert set(caught.value.messages) == {"0", "1"}


def test_numbers_that_are_none_or_endless():
    """D2."""
    for x in (math.nan, math.inf):
        for call in (dataclass.load, dataclass.dump, dataclass.dump_to_bytes):
            with pytest.raises(dataclass.ValidationError, match="Special numeric"):
                call(float, x)
            with pytest.raises(dataclass.ValidationError, match="Special numeric"):
                call(D, D(x))
    for data in (b"NaN", b"[NaN]", b"-Infinity"):
        with pytest.raises(slipring.DecodeError):
            dataclass.load_from_bytes(float, data)


def test_keys_of_dicts():
    """D3: as marshmallow has them, of key and of value."""
    assert messages(dict[int, str], {"a": "x", "1": 1, "2": "fine"}) == {
        "a": {"key": ["Not a valid integer."]},
        "1": {"value": ["Not a valid string."]},
    }
    with pytest.raises(dataclass.ValidationError) as caught:
        dataclass.dump(dict[str, int], {1: "x", "a": "y"})
    assert caught.value.messages == {
        "1": {"key": ["Not a valid string."], "value": ["Not a valid integer."]},
        "a": {"value": ["Not a valid integer."]},
    }
    with pytest.raises(dataclass.ValidationError) as caught:
        dataclass.load(dict[str, int], {1: 1})
    assert caught.value.messages == {"1": {"key": ["Not a valid string."]}}


def test_unions_say_what_each_type_says():
    """D3."""
    assert messages(int | uuid.UUID, "x") == {"_schema": ["Not a valid integer.", "Not a valid UUID."]}
    assert messages(dt.date | uuid.UUID, "x") == {"_schema": ["Not a valid date.", "Not a valid UUID."]}
    assert messages(int | list[int] | Item, True) == {
        "_schema": ["Not a valid integer.", "Not a valid list.", "Invalid input type."]
    }
    assert messages(list[int] | list[bool], ["x"]) == {"0": ["Not a valid integer."]}
    assert messages(int | str, None) == {"_schema": ["Field may not be null."]}
    with pytest.raises(dataclass.ValidationError) as caught:
        dataclass.dump(int | str, [])
    assert caught.value.messages == {"_schema": ["Not a valid integer.", "Not a valid string."]}


def test_unions_with_a_choice_say_all_that_they_take():
    """R9.3: a Literal or an Enum tells its values, and the other types are not forgotten; nor are messages of one's own."""
    letters, said = typing.Literal["a", "b"], "Must be one of: a, b."
    for strict in (True, False):
        assert messages(int | letters, "x", strict=strict) == {"_schema": ["Not a valid integer.", said]}
        assert messages(letters | dt.date | list[int], "x", strict=strict) == {
            "_schema": [said, "Not a valid date.", "Not a valid list."]
        }
        assert messages(Color | int | None, "x", strict=strict) == {"_schema": ["Must be one of: red, blue.", "Not a valid integer."]}
        named = typing.Annotated[int, Meta(invalid="A whole number.")] | letters
        assert messages(named, "x", strict=strict) == {"_schema": ["A whole number.", said]}
        whole = typing.Annotated[int | letters, Meta(invalid="A number, a or b.")]
        assert messages(whole, "x", strict=strict) == messages(whole, [], strict=strict) == {"_schema": ["A number, a or b."]}
        # It is of the right type, and its validator has the word.
        low = typing.Annotated[int, Meta(validate=(lambda n: n < 9, "Too much."))] | letters
        assert messages(low, 10, strict=strict) == {"_schema": ["Too much."]}
    assert messages(low, "10", strict=False) == {"_schema": ["Too much."]}


@dataclasses.dataclass
class Left:
    x: typing.Union[Left, Right, None] = None
    n: int = 0
    pad: list[int] = field(default_factory=list)


@dataclasses.dataclass
class Right:
    x: typing.Union[Left, Right, None] = None
    n: typing.Union[int, str] = 0
    pad: list[int] = field(default_factory=list)


def nested(depth, innermost):
    data = innermost
    for _ in range(depth):
        data = {"x": data}
    return data


@pytest.mark.parametrize(
    "data",
    [nested(60, {"n": []}), {"x": nested(60, {"n": []})}, nested(12, {"n": [], "pad": [1] * 100_000})],
    ids=["deep", "inside a class", "wide"],
)
def test_unions_that_can_not_be_told_apart_end(data):
    """P9, R9.3: each level would be tried twice as often as the one around it."""
    for load in (lambda: dataclass.load(Left | Right, data), lambda: dataclass.load_from_bytes(Left | Right, json.dumps(data))):
        started = time.monotonic()
        with pytest.raises(slipring.DecodeError, match="can't be told apart") as caught:
            load()
        assert time.monotonic() - started < 60
        assert "discriminator" in caught.value.hint
    # Keys of dicts are loaded by a loader of their own, which pays from the same purse.
    with pytest.raises(slipring.DecodeError, match="can't be told apart"):
        dataclass.load(dict[str, Left | Right], {"k": nested(60, {"n": []})})


def test_unions_without_a_discriminator_are_tried_as_often_as_they_are_large():
    """D2: long lists of them, deep ones whose first type is right, and few levels that go wrong first."""
    data = [{"n": "s"}] * 100_000
    assert dataclass.load(list[Left | Right], data)[-1] == Right(n="s")
    assert dataclass.load_from_bytes(list[Left | Right] | int, json.dumps(data))[0] == Right(n="s")
    long = {"pad": list(range(300_000)), "n": "s"}
    assert dataclass.load_from_bytes(Left | Right, json.dumps(long)) == Right(n="s", pad=long["pad"])
    assert type(dataclass.load(Left | Right, nested(400, {})).x.x) is Left
    found = dataclass.load(Left | Right, nested(8, {"n": "s"}))
    for _ in range(8):
        found = found.x
    assert found == Right(n="s")
    assert messages(Left | Right, nested(5, {"n": []})) == nested(5, {"n": ["Not a valid integer."]})


@dataclasses.dataclass
class Either(Left, Right):
    """What a dump can take for both."""


def chained(depth, innermost):
    for _ in range(depth):
        innermost = Either(innermost)
    return innermost


@pytest.mark.parametrize("dump", [dataclass.dump, dataclass.dump_to_bytes])
def test_dumps_of_unions_end_as_loads_do(dump):
    """P9: what may be dumped by several types is tried within the same bounds."""
    wrong = Either(n=[])
    for tp, value in ((Left | Right, chained(60, wrong)), (list[Left | Right], [chained(60, wrong)]), (dict[str, Left | Right], {"k": chained(60, wrong)})):
        started = time.monotonic()
        with pytest.raises(slipring.EncodeError, match="can't be told apart") as caught:
            dump(tp, value)
        assert time.monotonic() - started < 60
        assert "discriminator" in caught.value.hint
    # Deep ones whose first type is right, wide ones, and few levels that go wrong first.
    assert dump(Left | Right, chained(400, Either()))
    assert dump(list[Left | Right], [Either(n="s")] * 100_000)
    assert dump(Left | Right, Either(n="s", pad=list(range(300_000))))
    assert json.loads(dataclass.dump_to_bytes(Left | Right, chained(8, Either(n="s")))) == dataclass.dump(Left | Right, chained(8, Either(n="s")))
    with pytest.raises(dataclass.ValidationError):
        dump(Left | Right, chained(5, wrong))


# --- validators and messages ---


def even(n):
    if n % 2:
        raise ValueError(f"{n} is odd.")


def structured(n):
    if n > 100:
        raise dataclass.ValidationError({"limit": ["At most 100."]})
    if n < 0:
        raise dataclass.ValidationError(["No less", "than 0."])


@dataclasses.dataclass
class Checked:
    a: int = field(default=0, metadata=meta(validate=even))
    b: int = field(default=0, metadata=meta(validate=[even, (lambda n: n < 10, "Too large."), lambda n: n != 7]))
    c: typing.Annotated[int, Meta(validate=structured)] = 0
    d: list[typing.Annotated[str, Meta(validate=len)]] = field(default_factory=list)
    e: typing.Optional[typing.Annotated[int, Meta(validate=even)]] = field(
        default=None, metadata=meta(validate=(lambda n: n > 0, "Must be positive."))
    )
    f: list[int] = field(default_factory=list, metadata=meta(validate=lambda all: len(all) < 3))


def test_validators():
    """D3: by ValueError or False, several, in Annotated, in containers, not for None; what they say is kept."""
    assert dataclass.load(Checked, {"a": 2, "b": 8, "c": 5, "d": ["x"], "e": None, "f": [1, 2]}) == Checked(2, 8, 5, ["x"], None, [1, 2])
    given = {"a": 1, "b": 17, "c": 101, "d": ["x", ""], "e": -3, "f": [1, 2, 3]}
    assert messages(Checked, given) == {
        "a": ["1 is odd."],
        "b": ["17 is odd.", "Too large."],
        "c": {"limit": ["At most 100."]},
        "e": ["-3 is odd.", "Must be positive."],
        "f": ["Invalid value."],
    }
    assert messages(Checked, {"b": 7, "c": -1}) == {"b": ["7 is odd.", "Invalid value."], "c": ["No less", "than 0."]}
    # NumPy's False is one; one that gives 0 says nothing by that.
    near = dataclasses.make_dataclass(
        "Near", [("x", float, field(metadata=meta(validate=lambda x: np.isclose(x, 1.0))))]
    )
    assert dataclass.load(near, {"x": 1.0}) == near(1.0) and messages(near, {"x": 5.0}) == {"x": ["Invalid value."]}
    assert dataclass.load(Checked, {"d": [""]}) == Checked(d=[""])
    assert messages(Checked, {"a": "x", "b": None}) == {"a": ["Not a valid integer."], "b": ["Field may not be null."]}


def test_other_exceptions_of_validators_go_through():
    """D3: a mistake in a validator is no mistake in the data."""

    def broken(value):
        raise KeyError("oops")

    cls = dataclasses.make_dataclass("Cls", [("a", int, field(metadata=meta(validate=broken)))])
    for call in (lambda: dataclass.load(list[cls], [{"a": 1}]), lambda: dataclass.load_from_bytes(list[cls], b'[{"a": 1}]')):
        with pytest.raises(KeyError, match="oops"):
            call()
    for error in (KeyboardInterrupt, SystemExit, MemoryError):

        def stop(value, error=error):
            raise error

        cls = dataclasses.make_dataclass("Cls", [("a", int, field(metadata=meta(validate=stop)))])
        with pytest.raises(error):
            dataclass.load(cls, {"a": 1})


def test_marshmallows_validators_work():
    """D3: its ValidationError is a ValueError with messages."""
    v = marshmallow.validate
    cls = dataclasses.make_dataclass(
        "Cls",
        [("n", int, field(metadata=meta(validate=v.Range(min=1, max=5)))), ("s", str, field(metadata=meta(validate=v.Length(max=2))))],
    )
    assert dataclass.load(cls, {"n": 1, "s": "ab"}) == cls(1, "ab")
    assert messages(cls, {"n": 9, "s": "abc"}) == {
        "n": ["Must be greater than or equal to 1 and less than or equal to 5."],
        "s": ["Longer than maximum length 2."],
    }


def test_messages_of_ones_own():
    """D3: for what is missing, null, or of another type; what is inside keeps its own."""

    @dataclasses.dataclass
    class Cls:
        a: int = field(metadata=meta(required="Give a.", none="a is never null.", invalid="a is a number."))
        b: list[int] = field(metadata=meta(invalid="b is a list."))
        c: Item = field(metadata=meta(invalid="c is an item.", required="Give c."))
        d: typing.Annotated[int, Meta(required="Give d.")]
        e: Color | None = field(default=None, metadata=meta(invalid="No such colour."))

    assert messages(Cls, {}) == {
        "a": ["Give a."],
        "b": ["Missing data for required field."],
        "c": ["Give c."],
        "d": ["Give d."],
    }
    assert messages(Cls, {"a": None, "b": None, "c": 5, "d": 1, "e": "x"}) == {
        "a": ["a is never null."],
        "b": ["Field may not be null."],
        "c": ["c is an item."],
        "e": ["No such colour."],
    }
    assert messages(Cls, {"a": "x", "b": ["x"], "c": {}, "d": 1}) == {
        "a": ["a is a number."],
        "b": {"0": ["Not a valid integer."]},
        "c": {"name": ["Missing data for required field."], "price": ["Missing data for required field."]},
    }


def test_what_a_class_says_of_its_objects():
    """D3: ValueError in `__post_init__` or `__init__` is about the object as a whole; other exceptions go through."""

    @dataclasses.dataclass
    class Span:
        start: int
        end: int

        def __post_init__(self):
            if self.start > self.end:
                raise ValueError("Ends before it starts.")
            if self.start == 7:
                raise dataclass.ValidationError({"start": ["Not 7."]})
            if self.start == 8:
                raise TypeError("eight")

    assert messages(list[Span], [{"start": 2, "end": 1}, {"start": 1, "end": 1}, {"start": 7, "end": 8}]) == {
        "0": {"_schema": ["Ends before it starts."]},
        "2": {"start": ["Not 7."]},
    }
    assert messages(Span, {"start": 2, "end": 1}) == {"_schema": ["Ends before it starts."]}
    with pytest.raises(TypeError, match="eight"):
        dataclass.load(Span, {"start": 8, "end": 9})

    class Tight(Pair):
        def __new__(cls, a, b=0):
            if a > b:
                raise ValueError("a is larger.")
            return super().__new__(cls, a, b)

    assert messages(list[Tight], [[1, 2], [2, 1]]) == {"1": ["a is larger."]}


# --- JSON that is none ---


@pytest.mark.parametrize(
    ("data", "path", "line", "column"),
    [
        (b"", "$", 1, 1),
        (b"[", "$[0]", 1, 2),
        (b'[{"id": 5,\n "items": [nul]}]', "$[0].items[0]", 2, 12),
        (b'[{"id": 5, "items": [{"name": "a" "price": 1}]}]', "$[0].items[0]", 1, 35),
        (b'[{"other": [1, {"x": tru}]}]', "$[0].other[1].x", 1, 22),
        (b'[{"id" 5}]', "$[0]", 1, 8),
        (b'[{"id": 5,}]', "$[0]", 1, 11),
        (b'[{"by_name": {"k": {"name": "x}}}]', "$[0].by_name.k.name", 1, 35),
        (b'[{"by_name": {"k": {"price": 1.}}}]', "$[0].by_name.k.price", 1, 32),
        (b'[{"id": "\xff"}]', "$[0].id", 1, 10),
        (b"[] x", "$", 1, 4),
        (b'[{"pair": [1, "a"}]', "$[0].pair", 1, 18),
        (b'[{"pair": [01, "a"]}]', "$[0].pair[0]", 1, 12),
    ],
)
def test_malformed_json_says_where(data, path, line, column):
    """D3, R9: the reader's own error, also after what is not valid."""
    with pytest.raises(slipring.DecodeError) as caught:
        dataclass.load_from_bytes(list[Order], data)
    error = caught.value
    assert (error.path, error.line, error.column) == (path, line, column)
    assert not isinstance(error, dataclass.ValidationError)


def test_every_prefix_is_an_error_and_no_crash():
    """R9."""
    order = Order(uuid.uuid4(), [Item("a", D("1.5"))], {"k": Item("é\n", D(2))}, (1, "x"))
    data = dataclass.dump_to_bytes(order)
    assert dataclass.load_from_bytes(Order, data) == order
    for end in range(len(data)):
        with pytest.raises(slipring.DecodeError):
            dataclass.load_from_bytes(Order, data[:end])


def test_keys_that_stand_twice():
    """J1: the last one stays, or that is an error."""
    data = b'{"name": "a", "name": "b", "price": 1}'
    assert dataclass.load_from_bytes(Item, data) == Item("b", D(1))
    with pytest.raises(dataclass.ValidationError) as caught:
        dataclass.load_from_bytes(Item, data, duplicates="error")
    assert caught.value.messages == {"name": ["This key stands twice."]}
    with pytest.raises(dataclass.ValidationError) as caught:
        dataclass.load_from_bytes(dict[str, int], b'{"a": 1, "a": 2}', duplicates="error")
    assert caught.value.messages == {"a": ["This key stands twice."]}
    assert dataclass.load_from_bytes(dict[str, int], b'{"a": 1, "a": 2}') == {"a": 2}
    # What was wrong with the former one is nobody's business.
    assert dataclass.load_from_bytes(Item, b'{"name": 1, "price": 1, "name": 2, "name": "b"}') == Item("b", D(1))
    assert dataclass.load_from_bytes(dict[str, Item], b'{"a": {"name": 1}, "a": {"name": "b", "price": 1}}') == {"a": Item("b", D(1))}
    for data, says in (
        (b'{"name": 1, "price": "x", "name": "b"}', {"price": ["Not a valid number."]}),
        (b'{"name": "a", "price": 1, "name": 5}', {"name": ["Not a valid string."]}),
        (b'{"name": 1, "name": "b", "name": 5, "price": 1}', {"name": ["Not a valid string."]}),
    ):
        with pytest.raises(dataclass.ValidationError) as caught:
            dataclass.load_from_bytes(Item, data)
        assert caught.value.messages == says
    many = b",".join(b'"k%d": "x"' % (n % 50_000) for n in range(200_000))
    with pytest.raises(dataclass.ValidationError) as caught:
        dataclass.load_from_bytes(dict[str, int], b"{" + many + b', "k0": 1}')
    assert len(caught.value.messages) == 49_999


def test_more_behind_the_end_is_no_json():
    """J1: whatever else is wrong."""
    for data in (b"{} x", b'{"name": 5}]', b'[] {"name": "a"}'):
        with pytest.raises(slipring.DecodeError):
            dataclass.load_from_bytes(Item, data)


def test_what_is_no_text_and_what_has_no_form():
    """R9: with a path."""
    for dump in (dataclass.dump_to_bytes,):
        with pytest.raises(slipring.EncodeError) as caught:
            dump(list[Item], [Item("a", D(1)), Item("\ud800", D(1))])
        assert caught.value.path == "$[1].name"
    holder = dataclasses.make_dataclass("Holder", [("x", typing.Any)])
    for dump in (dataclass.dump, dataclass.dump_to_bytes):
        with pytest.raises(slipring.EncodeError) as caught:
            dump(holder({"k": [1, object()]}))
        assert caught.value.path == "$.x.k[1]"


def test_what_is_no_argument():
    """R9."""
    for call in (lambda: dataclass.load(Item), lambda: dataclass.load_from_bytes(Item, 5), lambda: dataclass.load_from_bytes(Item, None)):
        with pytest.raises(TypeError):
            call()
    for options in ({"duplicates": "first"}, {"unknown": "x"}):
        with pytest.raises(slipring.InvalidOption):
            dataclass.load_from_bytes(Item, b"{}", **options)


def test_hints_name_only_what_the_call_takes():
    """R9.3."""
    options = ("surrogates=", "nan=", "floats=", "default=", "keys=", "max_digits", "duplicates=")
    texts = ["1e400", '"\\ud800"', '["\\ud800"]', "NaN", "[Infinity]", "-Infinity", "[1e400]"]
    for text in texts:
        for tp in (float, str, list[float], list[str], object):
            with pytest.raises((slipring.DecodeError, dataclass.ValidationError)) as caught:
                dataclass.load_from_bytes(tp, text)
            if isinstance(caught.value, slipring.DecodeError):
                hint = caught.value.hint
                assert hint and not any(option in hint for option in options), (text, tp, hint)
    cls = dataclasses.make_dataclass("Cls", [("x", object)])
    for given in (np.array([math.nan]), np.array([1j]), np.float32("nan"), "\ud800", {"\ud800": 1}, {(): 1}):
        with pytest.raises((slipring.EncodeError, dataclass.ValidationError)) as caught:
            dataclass.dump_to_bytes(cls(given))
        if isinstance(caught.value, slipring.EncodeError):
            hint = caught.value.hint
            assert hint and not any(option in hint for option in options), (given, hint)
    with pytest.raises(slipring.DecodeError) as caught:
        slipring.json.loads("1e400")
    assert "floats=" in caught.value.hint


def test_a_lone_surrogate_is_told_in_our_words():
    """R9.3, J1."""
    for given in ("\ud800", ["é" * 2000 + "\udfff"], {"\ud800": 1}):
        with pytest.raises(slipring.EncodeError, match="lone surrogate") as caught:
            slipring.json.dumps(given)
        assert "UnicodeEncodeError" not in str(caught.value)
        assert 'surrogates="keep"' in caught.value.hint and "bytes" not in caught.value.hint
    with pytest.raises(slipring.EncodeError, match="lone surrogate") as caught:
        dataclass.dump_to_bytes(str, "\ud800")
    assert "UnicodeEncodeError" not in str(caught.value) and "surrogates=" not in caught.value.hint


def test_a_validator_that_says_nothing_has_a_message():
    """D3: nobody is helped by an empty text."""

    def silent(value):
        raise ValueError

    @dataclasses.dataclass
    class Cls:
        a: int = field(metadata=meta(validate=[silent, (silent, "No.")]))

    assert messages(Cls, {"a": 1}) == {"a": ["Invalid value.", "No."]}
    posted = dataclasses.make_dataclass("Posted", [("a", int)], namespace={"__post_init__": lambda self: silent(self)})
    assert messages(posted, {"a": 1}) == {"_schema": ["Invalid value."]}


@dataclasses.dataclass
class Unset:
    a: int
    b: str = field(init=False)


def test_an_attribute_that_is_not_set_is_told_by_its_field():
    """R9.3, D3."""
    made = Unset(1)
    for call in (dataclass.dump, dataclass.dump_to_bytes):
        with pytest.raises(dataclass.ValidationError) as caught:
            call(made)
        assert caught.value.messages == {"b": ["Missing data for required field."]}
    with pytest.raises(dataclass.ValidationError) as caught:
        dataclass.dump(list[Unset], [made, made])
    assert caught.value.messages == {"0": {"b": ["Missing data for required field."]}, "1": {"b": ["Missing data for required field."]}}
    gone = Item("x", D(1))
    del gone.price
    with pytest.raises(dataclass.ValidationError) as caught:
        dataclass.dump(gone)
    assert caught.value.messages == {"price": ["Missing data for required field."]}
    with pytest.raises(slipring.EncodeError, match="b") as caught:
        slipring.json.dumps({"k": [made]})
    assert caught.value.path == "$.k[0].b"

    @dataclasses.dataclass
    class Asks:
        a: int

        def __getattribute__(self, name):
            if name == "a":
                raise KeyError("own")
            return object.__getattribute__(self, name)

    with pytest.raises(KeyError, match="own"):
        dataclass.dump(Asks(1))

    @dataclasses.dataclass
    class Computes:
        a: int = field(init=False)

        @property
        def b(self):
            raise AttributeError("of another object")

    with pytest.raises(dataclass.ValidationError):
        dataclass.dump(Computes())


def test_rows_beyond_pythons_moments_are_told_by_row_and_field():
    """R9.3, D3, D4."""
    cls = dataclasses.make_dataclass("Cls", [("at", dt.datetime)])
    fine = pa.table({"at": pa.array([0, 1], pa.timestamp("ns"))})
    far = pa.table({"at": pa.array([0, 2**62], pa.timestamp("s"))})
    for table in (fine, far):
        with pytest.raises((slipring.DecodeError, dataclass.ValidationError)) as caught:
            dataclass.from_arrow(cls, table)
        if isinstance(caught.value, slipring.DecodeError):
            assert caught.value.path == "$[1].at"
        else:
            assert list(caught.value.messages) == ["1"] and list(caught.value.messages["1"]) == ["at"]
    early = cls(dt.datetime(1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=5))))
    with pytest.raises((slipring.EncodeError, dataclass.ValidationError)) as caught:
        dataclass.to_arrow([early]).to_pylist()


def test_a_uuid_that_is_none():
    """R9.3, D3."""
    cls = dataclasses.make_dataclass("Cls", [("id", uuid.UUID)])
    made = uuid.UUID(int=1)
    object.__setattr__(made, "int", 2**200)
    for call in (dataclass.dump, dataclass.dump_to_bytes, lambda x: dataclass.to_arrow([x])):
        with pytest.raises(dataclass.ValidationError, match="UUID"):
            call(cls(made))


def test_a_bad_key_is_told_beside_its_bad_value(ends):
    """D3: of loads and dumps, and of keys that a function refuses."""
    both = {"x": {"key": ["Not a valid integer."], "value": ["Not a valid string."]}}
    assert messages(dict[int, str], {"x": 5}) == both
    assert marshmallow_says(int, {"x": 5}) == both
    assert messages(list[dict[int, str]], [{"x": 5, "y": "fine", "3": 1}]) == {
        "0": both | {"y": {"key": ["Not a valid integer."]}, "3": {"value": ["Not a valid string."]}}
    }
    checked = typing.Annotated[str, Meta(validate=lambda text: text != "x")]
    assert messages(dict[checked, str], {"x": 5}) == {"x": {"key": ["Invalid value."], "value": ["Not a valid string."]}}
    tx, rx = ends
    for send in (tx.send, lambda given: tx.send(given, format="json")):
        send({"x": 5})
        with pytest.raises(dataclass.ValidationError) as caught:
            dataclass.from_frame(dict[int, str], rx.recv(1))
        assert caught.value.messages == both
    calls = (dataclass.dump, dataclass.dump_to_bytes, lambda tp, given: dataclass.to_frame(tx, given, tp))
    for call in calls:
        with pytest.raises(dataclass.ValidationError) as caught:
            call(dict[int, str], {"x": 5})
        assert caught.value.messages == both


def marshmallow_says(key, given):
    keys = {int: marshmallow.fields.Integer, uuid.UUID: marshmallow.fields.UUID, dt.date: marshmallow.fields.Date}[key]
    with pytest.raises(marshmallow.ValidationError) as caught:
        marshmallow.fields.Dict(keys=keys(), values=marshmallow.fields.String()).deserialize(given)
    return caught.value.messages


@pytest.mark.parametrize("key", [int, uuid.UUID, dt.date])
def test_marshmallow_says_the_same_of_keys_that_are_no_text(key):
    """D3: of good and bad keys with good and bad values."""
    good = {int: "7", uuid.UUID: str(uuid.UUID(int=1)), dt.date: "2026-01-01"}[key]
    for pairs in ({"x": 5}, {"x": "a", good: 5}, {"x": None, "y": 5, good: "a"}, {good: None, "x": "a"}):
        assert messages(dict[key, str], pairs) == marshmallow_says(key, pairs)


def of_json(tp, text, **options):
    with pytest.raises(dataclass.ValidationError) as caught:
        dataclass.load_from_bytes(tp, text, **options)
    return caught.value.messages


#: Beyond a double.
FAR = "1e999", "-1e999", "1" + "0" * 400 + ".5"


@pytest.mark.parametrize("far", FAR)
def test_a_number_beyond_a_double_is_wrong_where_it_stands(far, ends):
    """D2, D3: as one that `load` gets as an int, and told with all else."""
    number = ["Not a valid number."]
    assert messages(float, 10**400) is not None and of_json(float, far) == of_json(float, str(10**400)) == {"_schema": number}
    cls = dataclasses.make_dataclass("Q", [("a", int), ("b", object, None)])
    for unknown in (far, f"[{far}]", f'{{"k": [1, {far}]}}'):
        text = f'{{"a": "x", "zz": {unknown}}}'
        assert of_json(cls, text) == {"a": ["Not a valid integer."]}
        assert of_json(cls, text, unknown="raise") == {"a": ["Not a valid integer."], "zz": ["Unknown field."]}
        assert dataclass.load_from_bytes(cls, text.replace('"x"', "1")) == cls(1)
    tx, rx = ends
    tx.send(slipring.json.Raw(f'{{"a": "x", "zz": {far}}}'), format="json")
    with pytest.raises(dataclass.ValidationError) as caught:
        dataclass.from_frame(cls, rx.recv(1))
    assert caught.value.messages == {"a": ["Not a valid integer."]}
    said = {
        float: number,
        typing.Optional[float]: number,
        typing.Any: number,
        int: ["Not a valid integer."],
        str: ["Not a valid string."],
        typing.Union[float, int]: ["Not a valid number.", "Not a valid integer."],
        typing.Union[float, D]: number,
        typing.Union[int, str]: ["Not a valid integer.", "Not a valid string."],
        typing.Literal[1, 2]: ["Must be one of: 1, 2."],
        list[float]: ["Not a valid list."],
    }
    for tp, told in said.items():
        cls = dataclasses.make_dataclass("Cls", [("a", tp), ("b", int)])
        text = f'{{"a": {far}, "b": "x"}}'
        assert of_json(cls, text) == {"a": told, "b": ["Not a valid integer."]}, tp
        if tp not in (list[float], typing.Any, typing.Union[float, D]):
            assert set(of_json(cls, text, strict=False)) == {"a", "b"}
    assert of_json(list[float], f'[1, {far}, "x", 2.5]') == {"1": number, "2": number}
    inside = {"1": number, "2": {"k": {"value": {"0": number}}}}
    for tp in (typing.Any, typing.Union[list[int], list[typing.Any]]):
        cls = dataclasses.make_dataclass("Cls", [("a", tp), ("b", int)])
        assert of_json(cls, f'{{"a": [1, {far}, {{"j": 2, "k": [{far}]}}, "t"], "b": "x"}}') == {
            "a": inside,
            "b": ["Not a valid integer."],
        }
    assert dataclass.load_from_bytes(list[D], f"[{far}]") == [D(far)]


def test_numbers_beyond_a_double_are_told_however_deep_they_are():
    """R9.3: in time, and in messages that can be shown."""
    for depth in (63, 64, 65, 1000):
        for begin, end in (("[", "]"), ('{"k":', "}")):
            text = begin * depth + "1e999" + end * depth
            with pytest.raises(dataclass.ValidationError, match="Not a valid number") as caught:
                dataclass.load_from_bytes(dict[str, typing.Any], f'{{"a": {text}, "b": [1e999]}}')
            assert set(caught.value.messages) == {"a", "b"}
    ones = "1," * 1_000_000
    began = time.process_time()
    of_json(typing.Any, "[" * 1000 + ones + "1e999" + "]" * 1000)
    # The numbers are read twice, not once more for each level.
    assert time.process_time() - began < 2


def test_a_number_beyond_a_decimal_is_wrong_where_it_stands():
    """D2, D3."""
    cls = dataclasses.make_dataclass("Cls", [("a", D), ("b", int)])
    text = '{"a": 1e9999999999999999999999, "b": "x"}'
    assert of_json(cls, text) == {"a": ["Not a valid number."], "b": ["Not a valid integer."]}


def test_what_is_no_json_stays_so_beside_numbers_out_of_range():
    """R9.3: with its place."""
    deep = "[" * 3000 + "]" * 3000
    for text, path in (('{"a": [1e999, {"k": nul}]}', "$.a[1].k"), ('{"a": [1e999, ' + deep + "]}", None), ('{"a": 1e999', "$")):
        with pytest.raises(slipring.DecodeError) as caught:
            dataclass.load_from_bytes(dict[str, typing.Any], text)
        assert path in (None, caught.value.path)


def test_digits_of_what_is_passed_over_are_not_counted():
    """D2: no number is made of them."""
    cls = dataclasses.make_dataclass("Cls", [("a", int)])
    assert dataclass.load_from_bytes(cls, '{"zz": ' + "9" * 50 + ', "a": 1}', max_digits=20) == cls(1)
    with pytest.raises(slipring.DecodeError, match="50 digits"):
        dataclass.load_from_bytes(cls, '{"a": ' + "9" * 50 + "}", max_digits=20)


@dataclasses.dataclass(frozen=True)
class Point:
    x: int


def test_keys_that_have_no_form_are_told_with_their_path(ends):
    """D3, R9.3."""
    tx, _ = ends
    cls = dataclasses.make_dataclass("Cls", [("a", dict[tuple[int, int], int])])
    of_point = dataclasses.make_dataclass("Cls", [("a", dict[Point, int])])
    calls = [(dataclass.dump, cls({(1, 2): 3})), (dataclass.dump_to_bytes, cls({(1, 2): 3}))]
    native = lambda given: dataclass.dump(given, native=True)
    frame = lambda given: dataclass.to_frame(tx, given)
    calls += [(call, of_point({Point(1): 3})) for call in (dataclass.dump, dataclass.dump_to_bytes, native, frame)]
    calls += [(lambda given: dataclass.to_frame(tx, given, format="json"), cls({(1, 2): 3}))]
    for call, given in calls:
        with pytest.raises(slipring.EncodeError) as caught:
            call(given)
        assert caught.value.path.startswith("$.a") and caught.value.path != "$.a", caught.value.path
        assert caught.value.hint


def test_keys_that_are_tuples_stay_so_where_they_may(ends):
    """D3: in frames and in native dumps."""
    tx, rx = ends
    for tp, given in (
        (dict[tuple[int, int], int], {(1, 2): 3, (4, 5): 6}),
        (dict[tuple[tuple[str, int], dt.date], int], {(("a", 1), dt.date(2026, 1, 2)): 3}),
        (dict[frozenset[int], int], {frozenset([1]): 3}),
        (dict[tuple[int, ...], dict[tuple[int, ...], list[int]]], {(): {(1,): [1]}}),
    ):
        assert dataclass.load(tp, dataclass.dump(tp, given, native=True)) == given
        dataclass.to_frame(tx, given, tp)
        assert dataclass.from_frame(tp, rx.recv(1)) == given
    assert dataclass.dump(dict[tuple[int, int], list[int]], {(1, 2): [3]}, native=True) == {(1, 2): [3]}
