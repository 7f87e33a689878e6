"""Dataclasses: options of fields, classes and calls, unions of classes, and what can't be."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import doctest
import enum
import json
import sys
import typing

import pytest
from test_dataclass import Circle, Color, Inner, Level, Named, Square, there_and_back
from test_dataclass_classes import Derived, Ints

import slipring
from slipring import dataclass

D = decimal.Decimal
T = typing.TypeVar("T")
UTC = dt.timezone.utc
field, meta, Meta = dataclasses.field, dataclass.meta, dataclass.Meta


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
        dataclass.load(Cls, {"price": "1e9999", "day": "2026-01-02", "color": "red"})
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


def test_numbers_and_booleans_tell_classes_apart():
    """D2: as text does; True is not 1."""

    @dataclasses.dataclass
    class One:
        v: typing.Literal[1, "one"]
        a: int = 0

    @dataclasses.dataclass
    class Two:
        v: typing.Literal[True, 2]
        a: int = 0

    declared = typing.Annotated[typing.Union[One, Two], Meta(discriminator="v")]
    for tp in (declared, typing.Union[One, Two]):
        for value in (One(1, 5), One("one"), Two(True), Two(2, 5)):
            plain = dataclass.dump(tp, value)
            assert dataclass.load(tp, plain) == value == dataclass.load(tp, dict(reversed(plain.items())))
            assert dataclass.load_from_bytes(tp, dataclass.dump_to_bytes(tp, value)) == value
        for bad, messages in [
            ({"v": 3}, {"v": ["Must be one of: 1, one, True, 2."]}),
            ({"v": 1.0}, {"v": ["Must be one of: 1, one, True, 2."]}),
            ({"a": 1}, {"v": ["Missing data for required field."]}),
            ({"v": 2, "a": "x"}, {"a": ["Not a valid integer."]}),
        ]:
            for load in (dataclass.load, lambda tp, bad: dataclass.load_from_bytes(tp, json.dumps(bad))):
                with pytest.raises(dataclass.ValidationError) as caught:
                    load(tp, bad)
                assert caught.value.messages == messages
        with slipring.create(anonymous=True) as ring:
            dataclass.to_frame(ring.producer(), Two(2, 5), tp)
            assert dataclass.from_frame(tp, ring.consumer().recv(1)) == Two(2, 5)


@dataclasses.dataclass
class Num:
    kind: typing.Literal["num"]
    n: int


@dataclasses.dataclass
class Neg:
    kind: typing.Literal["neg"]
    of: Num | Neg


Expr = typing.Union[Num, Neg]


def test_what_is_said_further_out_goes_first():
    """D3, D4: meta(...), then Annotated from its end; validators of all of them, the innermost first."""

    def no(n):
        return Meta(alias=f"a{n}", required=f"r{n}", invalid=f"i{n}", validate=(lambda value: False, f"v{n}"))

    inner = typing.Annotated[int, no(1)]
    cls = dataclasses.make_dataclass("Cls", [("x", typing.Annotated[inner, no(2)], field(metadata={"slipring": Meta(invalid="i3")}))])
    new = dataclasses.make_dataclass("New", [("x", typing.Annotated[typing.NewType("Named", inner), no(2)])])
    for tp, invalid in ((cls, "i3"), (new, "i2")):
        for given, want in (({}, ["r2"]), ({"a2": "x"}, [invalid]), ({"a2": 1}, ["v1", "v2"])):
            with pytest.raises(dataclass.ValidationError) as caught:
                dataclass.load(tp, given)
            assert caught.value.messages == {"a2": want}


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


@pytest.mark.parametrize(
    "tp, given, want",
    [
        (typing.Literal[1], "1", 1),
        (typing.Literal[1], 1.0, 1),
        (typing.Literal["1"], 1, "1"),
        (typing.Literal[True], "yes", True),
        (typing.Literal[True, 1], " 1 ", 1),
        (typing.Literal["1", 1], "1", "1"),
        (typing.Literal["1", 1], 1, 1),
        (Level, str(Level(1).value), Level(1)),
        (Color | int, "12", 12),
        (int | None, "3", 3),
        (int | dt.date, "3", 3),
        (int | dt.date, "2026-11-21", dt.date(2026, 11, 21)),
        (int | float, "3.5", 3.5),
        (int | float, "3", 3),
        (int | str, "3", "3"),
        (bool | int, "1", 1),
        (bool | int, "yes", True),
        (int | typing.Literal["a"], "7", 7),
        (typing.Literal[7] | dt.date, "7", 7),
        (list[int] | list[str], ["1"], ["1"]),
        (list[int] | dict[str, int], ["1"], [1]),
        (list[int | bool], ["1", "no"], [1, False]),
    ],
)
def test_other_types_on_request_where_a_choice_tells(tp, given, want):
    """D2: in unions, Literals and Enums as well; what is of a type as it stands is that."""
    for made in (
        dataclass.load(tp, given, strict=False),
        dataclass.load_from_bytes(tp, json.dumps(given), strict=False),
    ):
        assert made == want and type(made) is type(want)


def test_other_types_on_request_in_flags_and_tags():
    """D2: several flags at once, values that a class finds by itself, and fields that tell classes apart."""

    class Rights(enum.Flag):
        READ, WRITE = 1, 2

    class Found(enum.Enum):
        A = 1

        @classmethod
        def _missing_(cls, value):
            return cls.A if value == "first" else None

    @dataclasses.dataclass
    class One:
        kind: typing.Literal[1]
        n: int

    @dataclasses.dataclass
    class Two:
        kind: typing.Literal[2]
        n: str

    @dataclasses.dataclass
    class Number:
        n: int

    @dataclasses.dataclass
    class Text:
        n: str

    def load(tp, given):
        made = dataclass.load(tp, given, strict=False)
        assert made == dataclass.load_from_bytes(tp, json.dumps(given), strict=False)
        return made

    assert load(Rights, "3") == Rights.READ | Rights.WRITE and load(Rights, "2") is Rights.WRITE
    assert load(Found, "first") is load(Found, "1") is Found.A
    assert load(One | Two, {"kind": "1", "n": "5"}) == One(1, 5) and load(One | Two, {"kind": "2", "n": "5"}) == Two(2, "5")
    assert load(Number | Text, {"n": "5"}) == Text("5")
    for tp, given in [(Rights, "x"), (Found, "second"), (typing.Literal[1], "1.5"), (One | Two, {"kind": "3"}), (int | bool, "x")]:
        with pytest.raises(dataclass.ValidationError):
            load(tp, given)
    for tp, given in [(Rights, "3"), (Found, "1"), (typing.Literal[1], "1"), (One | Two, {"kind": "1", "n": 5})]:
        with pytest.raises(dataclass.ValidationError):
            dataclass.load(tp, given)


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


@pytest.mark.parametrize("format", ["iso", "rfc", "timestamp", ""])
def test_a_format_is_strftime_s(format):
    """D2, R9: what other libraries call formats is no text to write in place of each date."""
    with pytest.raises(ValueError, match=f"^format is '{format}': give strftime's.*without one .* RFC 3339"):
        meta(format=format)


def test_wrong_validators_are_named():
    """R9."""
    for wrong in (5, True, 1.5):
        with pytest.raises(TypeError, match=f"^validate must be a function, or several, not {type(wrong).__name__}$"):
            meta(validate=wrong)
