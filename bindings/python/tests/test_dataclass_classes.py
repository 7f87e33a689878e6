"""Dataclasses: how classes are taken apart and put together, and those that are none of dataclasses'."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import json
import typing

import attrs
import msgspec
import pytest
from test_dataclass import U, Color, Inner, Movie, Point, there_and_back

from slipring import dataclass
from slipring.dataclass import _fields

D = decimal.Decimal
T = typing.TypeVar("T")
K = typing.TypeVar("K")
field, meta = dataclasses.field, dataclass.meta


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
class Listed(Box[list[T]], typing.Generic[T]):
    pass


@dataclasses.dataclass
class Boxed(Box[Box[T | None]], typing.Generic[T]):
    pass


@dataclasses.dataclass
class Keyed(Listed[dict[str, tuple[T, K]]], typing.Generic[T, K]):
    pass


@dataclasses.dataclass
class Dates(Listed[dt.date]):
    pass


@pytest.mark.parametrize(
    "cls, item",
    [
        (Listed[D], ["1.5"]),
        (Listed[D], ["1.5", "x"]),
        (Boxed[D], {"item": "1.5", "more": [None]}),
        (Boxed[D], {"item": "x", "more": [None]}),
        (Keyed[D, int], [{"a": ["1.5", 2]}]),
        (Keyed[D, int], [{"a": [2, "1.5"]}]),
        (Dates, ["2026-01-01"]),
        (Dates, ["x"]),
    ],
)
def test_variables_within_the_types_of_a_generic_base(cls, item):
    """D2: as msgspec has it, one class below another."""
    data = {"item": item, "more": []}
    try:
        expected = msgspec.convert(data, cls)
    except msgspec.ValidationError:
        with pytest.raises(dataclass.ValidationError):
            dataclass.load(cls, data)
        return
    assert dataclass.load(cls, data) == expected
    assert dataclass.load_from_bytes(cls, dataclass.dump_to_bytes(cls, expected)) == expected


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


def test_an_init_of_its_own_is_called_where_its_code_has_no_file():
    """D2: under ``exec`` and ``python -c`` all code comes from ``<string>``, as that of dataclasses does."""
    scope = {"dataclasses": dataclasses}
    source = """
@dataclasses.dataclass
class Own:
    x: int
    def __init__(self, x):
        self.x = x * 2

@dataclasses.dataclass
class Generated:
    x: int

def make():
    @dataclasses.dataclass
    class Inner:
        x: int
        def __init__(self, x):
            self.x = x * 3
    return Inner
"""
    exec(source, scope)  # noqa: S102
    assert dataclass.load(scope["Own"], {"x": 2}).x == scope["Own"](2).x == 4
    assert dataclass.load_from_bytes(scope["make"](), b'{"x": 2}').x == 6
    assert dataclass.load(scope["Generated"], {"x": 2}) == scope["Generated"](2)
    ways = {name: _fields.way(cls, [])[0] for name, cls in (("own", scope["Own"]), ("generated", scope["Generated"]))}
    assert ways == {"own": _fields.CALLED, "generated": _fields.FILLED}


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
    with pytest.raises(dataclass.ValidationError, match="Missing data"):
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
    assert list(caught.value.messages) == ["1"] and "> 0" in caught.value.messages["1"]["n"][0]


@attrs.define
class AttrRules:
    small: int = attrs.field(validator=[attrs.validators.gt(0), attrs.validators.lt(10)])
    name: str = attrs.field(validator=attrs.validators.matches_re("[a-z]+"), metadata=meta(alias="Name"))
    of: str = attrs.field(default="a", validator=attrs.validators.in_(["a", "b"]))
    whole: list[int] = attrs.field(factory=list, validator=attrs.validators.deep_iterable(attrs.validators.le(3)))
    maybe: typing.Optional[int] = attrs.field(default=None, validator=attrs.validators.optional(attrs.validators.ge(1)))
    made: int = attrs.field(default=1, converter=lambda n: n * 2, validator=attrs.validators.lt(10))
    own: int = attrs.field(default=0)

    @own.validator
    def _check_own(self, attribute, value):
        if value > self.small:
            raise ValueError("more than small")


def test_attrs_tells_each_field_that_it_refuses():
    """D3, D5: all faults that attrs' own validators find are told, each at its field."""
    good = {"small": 5, "Name": "ab", "of": "b", "whole": [1], "maybe": 2, "made": 4, "own": 5}
    want = AttrRules(5, "ab", "b", [1], 2, 4, 5)
    assert dataclass.load(AttrRules, good) == want
    assert dataclass.load_from_bytes(AttrRules, json.dumps(good)) == want
    bad = {"small": 0, "Name": "1", "of": "c", "whole": [1, 4], "maybe": 0}
    for load in (dataclass.load, lambda cls, data: dataclass.load_from_bytes(cls, json.dumps(data))):
        with pytest.raises(dataclass.ValidationError) as caught:
            load(AttrRules, bad)
        messages = caught.value.messages
        assert list(messages) == ["small", "Name", "of", "whole", "maybe"]
        assert "must be > 0" in messages["small"][0] and "must match" in messages["Name"][0]
        assert "must be in" in messages["of"][0] and "must be <= 3" in messages["whole"][0]
        assert "must be >= 1" in messages["maybe"][0]
        for odd, said in ({"own": 6}, "more than small"), ({"made": 5}, "must be < 10"):
            with pytest.raises(dataclass.ValidationError, match=said) as caught:
                load(AttrRules, good | odd)
            assert list(caught.value.messages) == list(odd)
    with attrs.validators.disabled():
        assert dataclass.load(AttrRules, bad).small == 0


def positive(instance, attribute, value):
    if value <= 0:
        raise ValueError(f"{attribute.name} must be positive")


@attrs.define
class AttrOwn:
    low: int = attrs.field(validator=[attrs.validators.lt(100), positive], metadata=meta(alias="Low"))
    high: int = attrs.field(validator=positive)
    made: int = attrs.field(default=4, converter=lambda n: n * 2, validator=[positive, attrs.validators.instance_of(int)])
    step: int = attrs.field(default=1)
    seen: list[int] = attrs.field(factory=list)
    late: int = attrs.field(default=attrs.Factory(lambda self: self.low, takes_self=True), validator=positive)
    fixed: int = attrs.field(init=False, default=-1)

    @high.validator
    def _above(self, attribute, value):
        if value < self.low + self.step:
            raise ValueError("high is too low")

    @step.validator
    def _step(self, attribute, value):
        if value > 5:
            raise dataclass.ValidationError({"by": ["More than five."]})

    @fixed.validator
    def _fixed(self, attribute, value):
        if self.low == 13:
            raise ValueError("unlucky")


def test_attrs_own_functions_are_all_told():
    """D3, D5: each at its field, also where they look at another one's value; behind converters, and of defaults."""
    def said(cls, data):
        got = []
        for load in (dataclass.load, lambda cls, data: dataclass.load_from_bytes(cls, json.dumps(data))):
            with pytest.raises(dataclass.ValidationError) as caught:
                load(cls, data)
            got.append(caught.value.messages)
        assert got[0] == got[1]
        return got[0]

    assert dataclass.load(AttrOwn, {"Low": 1, "high": 2}) == AttrOwn(1, 2)
    assert said(AttrOwn, {"Low": -3, "high": -5, "made": -1, "step": 6}) == {
        "Low": ["low must be positive"],
        "high": ["high must be positive", "high is too low"],
        "made": ["made must be positive"],
        "step": {"by": ["More than five."]},
        "late": ["late must be positive"],
    }
    assert said(list[AttrOwn], [{"Low": 13, "high": 13}]) == {"0": {"high": ["high is too low"], "fixed": ["unlucky"]}}
    # Where a field is not valid otherwise, those that need it or a converter are not asked.
    assert said(AttrOwn, {"Low": "a", "high": -1, "step": 7, "made": -5}) == {
        "Low": ["Not a valid integer."],
        "high": ["high must be positive"],
        "step": {"by": ["More than five."]},
    }
    assert said(AttrOwn, {"high": 1, "Low": 200}) == {"Low": ["'low' must be < 100: 200"], "high": ["high is too low"]}
    assert said(AttrOwn, {"Low": 13, "step": 7}) == {
        "high": ["Missing data for required field."],
        "step": {"by": ["More than five."]},
        "fixed": ["unlucky"],
    }
    with attrs.validators.disabled():
        assert dataclass.load(AttrOwn, {"Low": -1, "high": -2}).high == -2
        assert said(AttrOwn, {"Low": "a", "high": -1}) == {"Low": ["Not a valid integer."]}


def test_attrs_own_functions_in_every_kind_of_class():
    """D2, D3: frozen, with and without slots, with hooks, a converter or hook that refuses, and code that is not attrs'."""
    calls = []

    def even(instance, attribute, value):
        calls.append(value)
        if value % 2:
            raise ValueError("odd")
        if value == 8:
            raise AssertionError("eight")
        if value == 6:
            raise TypeError("six")

    def counted(value):
        calls.append("converted")
        return int(value)

    def hook(self):
        if self.a == 2:
            raise ValueError("refused in the end")

    kinds = [
        attrs.make_class("A", {"a": attrs.field(validator=even, type=int), "b": attrs.field(validator=even, type=int)}, **options)
        for options in ({"slots": True}, {"slots": False}, {"frozen": True}, {"slots": True, "on_setattr": attrs.setters.validate})
    ]
    for kind in kinds:
        assert dataclass.load(kind, {"a": 4, "b": 0}) == kind(4, 0)
        with pytest.raises(dataclass.ValidationError) as caught:
            dataclass.load(kind, {"a": 1, "b": 3})
        assert caught.value.messages == {"a": ["odd"], "b": ["odd"]}
        for value, error in (8, AssertionError), (6, TypeError):
            with pytest.raises(error):
                dataclass.load(kind, {"a": 1, "b": value})

    @attrs.define
    class Hooked:
        a: int = attrs.field(validator=even)
        b: typing.Any = attrs.field(default=0, converter=counted)
        __attrs_post_init__ = hook

    class Derived(Hooked):
        pass

    @attrs.define(init=False)
    class Own:
        a: int = attrs.field(validator=even)

        def __init__(self, a):
            self.__attrs_init__(a)

    # A converter that raises comes first: what the object would have been nobody knows.
    for data, want in ({"a": 2}, "refused in the end"), ({"a": 1, "b": "x"}, "invalid literal"):
        for cls in (Hooked, Derived):
            with pytest.raises(dataclass.ValidationError) as caught:
                dataclass.load(cls, data)
            assert want in caught.value.messages["_schema"][0]
    calls.clear()
    with pytest.raises(dataclass.ValidationError) as caught:
        dataclass.load(Derived, {"a": 1})
    assert caught.value.messages == {"a": ["odd"]} and calls == ["converted", 1, 1]
    assert type(dataclass.load(Derived, {"a": 4})) is Derived

    @attrs.define
    class Needs:
        a: int = attrs.field()
        b: int = attrs.field(default=-1, converter=lambda n: n * 2)
        c: int = 0

        @a.validator
        def _check(self, attribute, value):
            if self.b == -1:
                raise ValueError("not converted")

    with pytest.raises(dataclass.ValidationError) as caught:
        dataclass.load(Needs, {"a": 1, "c": "c"})
    assert list(caught.value.messages) == ["c"]

    class Counting(type):
        def __call__(cls, *args, **kwargs):
            calls.append("called")
            return super().__call__(*args, **kwargs)

    @attrs.define
    class Counted(metaclass=Counting):
        a: int = attrs.field(validator=even)

    calls.clear()
    assert dataclass.load(Counted, {"a": 4}) == Counted(4) and calls == ["called", 4, "called", 4]
    with pytest.raises(dataclass.ValidationError) as caught:
        dataclass.load(Own, {"a": 1})
    assert caught.value.messages == {"_schema": ["odd"]}


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
