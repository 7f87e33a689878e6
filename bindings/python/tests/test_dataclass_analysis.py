"""How types are read: what is in them, in which order, and what is said of types that can't be."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import itertools
import pathlib
import sys
import threading
import typing
import uuid

import pytest

import slipring
from slipring import dataclass, json
from slipring.dataclass import _analyse

D = decimal.Decimal
T = typing.TypeVar("T")
field, meta, Meta = dataclasses.field, dataclass.meta, dataclass.Meta
A_DAY = dt.date(2026, 1, 1)
AN_ID = uuid.UUID(int=7)


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass
class Box(typing.Generic[T]):
    inner: T


# --- order ---


def test_the_order_of_a_union_is_its_own():
    """D2: what was seen before does not matter, though Python holds such types equal."""
    for _ in range(2):
        for load in (dataclass.load, lambda tp, given: dataclass.load_from_bytes(tp, f'"{given}"')):
            assert load(dt.date | str, "2026-01-01") == A_DAY
            assert load(str | dt.date, "2026-01-01") == "2026-01-01"
            assert load(typing.Union[str, uuid.UUID], str(AN_ID)) == str(AN_ID)
            assert load(typing.Union[uuid.UUID, str], str(AN_ID)) == AN_ID
        for first, second in itertools.permutations((dt.date, str)):
            want = A_DAY if first is dt.date else "2026-01-01"
            assert dataclass.load(list[first | second], ["2026-01-01"]) == [want]
            assert dataclass.load(dict[str, tuple[first | second, ...]], {"a": ["2026-01-01"]}) == {"a": (want,)}
            assert dataclass.load(first | None | second, "2026-01-01") == want
            assert dataclass.load_from_bytes(list[int] | dict[str, first | second], b'{"a":"2026-01-01"}') == {"a": want}


def test_containers_in_a_union_keep_their_order():
    """D2: what is inside them is the same, they are not."""
    for _ in range(2):
        assert dataclass.load(set[int] | list[int], [1]) == {1}
        assert dataclass.load(list[int] | set[int], [1]) == [1]
        assert dataclass.load(list[set[int] | list[int]], [[1]]) == [{1}]
        assert dataclass.load(list[list[int] | set[int]], [[1]]) == [[1]]


def test_literals_name_their_values_in_their_own_order():
    """R9.3: in the messages."""
    for values in (("a", "b"), ("b", "a"), ("a", "b")):
        with pytest.raises(dataclass.ValidationError) as caught:
            dataclass.load(typing.Literal[values], "c")
        assert caught.value.messages == {"_schema": [f"Must be one of: {', '.join(values)}."]}


def test_forms_of_a_generic_class_keep_their_order():
    """D2: two forms in one plan."""
    # typing keeps what it has made of equal arguments itself, so the forms are put together here.
    nodes = _analyse.Nodes()
    ways = [nodes.record(Box, (tp,)) for tp in (dt.date | str, str | dt.date, dt.date | str)]
    assert ways[0] == ways[2] != ways[1]


def test_so_many_plans_are_kept_and_the_latest_ones():
    """M5: the oldest goes, not all."""
    kept = [list[typing.Annotated[int, n]] for n in range(_analyse.KEPT + 1)]
    for tp in kept:
        dataclass.load(tp, [1])
    assert kept[0] not in _analyse._plans
    assert all(tp in _analyse._plans for tp in kept[1:])
    unions = [typing.Annotated[int, n] | str for n in range(_analyse.KEPT + 1)]
    for tp in unions:
        assert dataclass.load(tp, 1) == 1
    assert len(_analyse._plans) == len(_analyse._ordered) == _analyse.KEPT


def test_threads_may_fill_the_book_of_plans():
    """M5: each lets the oldest go while others add theirs."""
    failed = []

    def load(k):
        try:
            for n in range(800):
                dataclass.load(list[typing.Annotated[int, (k, n)] | str], [1])
        except BaseException as error:  # noqa: BLE001
            failed.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=load, args=(k,)) for k in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert failed == [] and len(_analyse._plans) <= _analyse.KEPT


# --- what can't be ---


@dataclasses.dataclass
class Order:
    id: int


@dataclasses.dataclass(frozen=True)
class Frozen:
    id: int


def test_likely_mistakes_are_told_apart():
    """R9, D3: a list of the type, the class instead of an object, and JSON where an object is expected."""
    for call in (dataclass.load, dataclass.dump):
        with pytest.raises(TypeError, match=r"^\[<class .*Order'>\] is a list and no type: give list\[...\] for many$"):
            call([Order], [{"id": 1}])
    for call, form in ((dataclass.dump, "plain form"), (dataclass.dump_to_bytes, "form in JSON"), (json.dumps, "form in JSON")):
        for given, path in ((Order, "$"), ({"a": [Order]}, "$.a[0]")):
            with pytest.raises(slipring.EncodeError, match=f"^the class Order itself has no {form}, at .*give an object") as caught:
                call(given)
            assert caught.value.path == path
    for given in ('{"id": 1}', b' [{"id": 1}]'):
        with pytest.raises(dataclass.ValidationError) as caught:
            dataclass.load(Order, given)
        assert caught.value.__notes__ == [f"a {type(given).__name__} was given that looks like JSON: load_from_bytes reads it"]
    for given in ("id", b"", 5, None, {"id": "5"}):
        with pytest.raises(dataclass.ValidationError) as caught:
            dataclass.load(Order, given)
        assert not hasattr(caught.value, "__notes__")


@pytest.mark.parametrize("given", [Order(1), Frozen(1), {"id": 1}, [1], 5, 1.5, b"{}", '{"id": 1}', ({"id": 1},)])
def test_a_type_that_is_none_says_where_types_go(given):
    """R9: the arguments in the other order are the likeliest mistake."""
    says = f"^an object of type {type(given).__name__} is no type .*give the type first: load"
    for call in (dataclass.load, dataclass.dump, dataclass.load_from_bytes, dataclass.dump_to_bytes):
        with pytest.raises(TypeError, match=says):
            call(given, Order)
    with slipring.create(anonymous=True) as ring:
        with pytest.raises(TypeError, match=says + ".*last: to_frame"):
            dataclass.to_frame(ring.producer(), Order, given)
    with pytest.raises(TypeError, match="no type that can be"):
        dataclass.load(list[typing.Callable], [given])


def test_a_part_that_is_no_type_is_named():
    """R9: in a class, where nothing was given the wrong way."""
    cls = dataclasses.make_dataclass("Odd", [("a", [int])])
    with pytest.raises(TypeError, match=r"\[<class 'int'>\] is no type that can be"):
        dataclass.load(cls, {})


# --- types that are written in other ways ---


def test_tuples_that_are_unpacked_in_tuples():
    """D2: their types stand among the others."""
    for tp in (tuple[int, *tuple[str, bool]], tuple[int, typing.Unpack[tuple[str, *tuple[bool]]]]):
        assert dataclass.load(tp, [1, "a", True]) == (1, "a", True)
        assert dataclass.dump_to_bytes(tp, (1, "a", True)) == b'[1,"a",true]'
        with pytest.raises(dataclass.ValidationError):
            dataclass.load(tp, [1, ["a", True]])
    assert dataclass.load(tuple[*tuple[int, ...]], [1, 2, 3]) == (1, 2, 3)
    for tp in (tuple[*tuple[()]], tuple[()], typing.Tuple[()]):
        assert dataclass.load(tp, []) == ()
        with pytest.raises(dataclass.ValidationError):
            dataclass.load(tp, [1])
    for tp in (tuple, typing.Tuple):
        assert dataclass.load(tp, [1, "a"]) == (1, "a")


def test_tuples_with_an_open_middle_have_no_plan():
    """D2: said, and not read as another type."""
    types = typing.TypeVarTuple("types")
    for tp in (tuple[int, *tuple[str, ...]], tuple[*tuple[str, ...], int], tuple[int, typing.Unpack[tuple[str, ...]]], tuple[*types]):
        with pytest.raises(TypeError, match="any number of a tuple's items"):
            dataclass.load(tp, [1, "a"])


@dataclasses.dataclass
class Chain:
    n: int
    next: typing.Optional[typing.Self] = None
    more: list[typing.Self] = field(default_factory=list)
    boxed: Box[list[typing.Self]] | None = None


@dataclasses.dataclass
class Longer(Chain):
    extra: str = ""


@dataclasses.dataclass
class Holder(typing.Generic[T]):
    value: T
    next: typing.Self | None = None


class Link(typing.NamedTuple):
    n: int
    next: typing.Optional[typing.Self] = None
    named: Link | None = None


def test_self_is_the_class_itself():
    """D2: in Optional, containers and forms of other classes; of a class that derives, that one."""
    for cls in (Chain, Longer):
        chain = cls(1, cls(2), [cls(3)], Box([cls(4)]))
        assert dataclass.load(cls, dataclass.dump(chain)) == chain
        assert dataclass.load_from_bytes(cls, dataclass.dump_to_bytes(chain)) == chain
    with pytest.raises(dataclass.ValidationError) as caught:
        dataclass.load(Longer, {"n": 1, "next": {"n": 2, "extra": 5}, "boxed": {"inner": [{"n": "x"}]}})
    assert caught.value.messages == {
        "next": {"extra": ["Not a valid string."]},
        "boxed": {"inner": {"0": {"n": ["Not a valid integer."]}}},
    }
    held = Holder(A_DAY, Holder(A_DAY))
    assert dataclass.load(Holder[dt.date], dataclass.dump(Holder[dt.date], held)) == held
    with pytest.raises(dataclass.ValidationError):
        dataclass.load(Holder[dt.date], {"value": "2026-01-01", "next": {"value": 5}})
    with pytest.raises(TypeError, match="Self is no type"):
        dataclass.load(list[typing.Self], [])


def test_named_tuples_may_contain_themselves():
    """D2."""
    link = Link(1, Link(2), Link(3, Link(4)))
    assert dataclass.load(Link, dataclass.dump(Link, link)) == link
    assert dataclass.load_from_bytes(Link, dataclass.dump_to_bytes(Link, link)) == link


@dataclasses.dataclass
class Given(typing.Generic[T]):
    a: dataclasses.InitVar["typing.Optional[int]"]
    b: dataclasses.InitVar[list["Color"]]
    c: dataclasses.InitVar["T"]
    seen: typing.Any = None

    def __post_init__(self, a, b, c):
        self.seen = (a, b, c)


@dataclasses.dataclass
class GivenToo(Given[dt.date]):
    d: dataclasses.InitVar["int"] = 0

    def __post_init__(self, a, b, c, d):
        self.seen = (a, b, c, d)


def test_names_within_an_initvar():
    """D2: Python leaves them as they are written."""
    assert dataclass.load(Given[int], {"a": None, "b": ["red"], "c": 2}).seen == (None, [Color.RED], 2)
    assert dataclass.load(GivenToo, {"a": 1, "b": [], "c": "2026-01-01", "d": 3}).seen == (1, [], A_DAY, 3)
    with pytest.raises(dataclass.ValidationError) as caught:
        dataclass.load(GivenToo, {"a": "x", "b": ["green"], "c": 1, "d": "1"})
    assert list(caught.value.messages) == ["a", "b", "c", "d"]
    unknown = dataclasses.make_dataclass("Unknown", [("a", dataclasses.InitVar["Nobody"])])
    with pytest.raises(TypeError, match="'Nobody'"):
        dataclass.load(unknown, {})


# --- what is said of types ---


@pytest.mark.parametrize(
    ("tp", "said"),
    [
        (list[D], {"places": 1}),
        (str, {"format": "%d"}),
        (str, {"by": "name"}),
        (typing.Optional[int], {"rounding": decimal.ROUND_UP}),
        (typing.Literal[Color.RED], {"by": "name"}),
        (dt.timedelta, {"format": "%H"}),
        (typing.Any, {"places": 1}),
        (int | str, {"format": "%d"}),
        (typing.Optional[Order], {"discriminator": "id"}),
        (dict[str, dt.date], {"format": "%d"}),
        (list[typing.Annotated[D, Meta(places=1)]], {"places": 2}),
    ],
)
def test_options_that_fit_nothing_are_refused(tp, said):
    """R9: of a field, and in Annotated; those that are about what is within say where they go."""
    (name,) = said
    cls = dataclasses.make_dataclass("Cls", [("a", tp, field(metadata=meta(**said)))])
    with pytest.raises(TypeError, match=f"Cls.a: {name}= is for .* list\\[Annotated"):
        dataclass.load(cls, {})
    for annotated in (typing.Annotated[tp, Meta(**said)], list[typing.Annotated[tp, Meta(**said)]]):
        with pytest.raises(TypeError, match=f"{name}= is for"):
            dataclass.load(annotated, [])


@dataclasses.dataclass
class Priced:
    price: D = field(metadata=meta(places=1))


@dataclasses.dataclass
class Amount(typing.Generic[T]):
    of: T = field(metadata=meta(places=1, format="%d"))


def test_options_that_fit_one_type_of_several_stay():
    """D2: of unions one member will do; of a type variable nobody knows what it stands for elsewhere."""
    tp = typing.Annotated[D | str | None, Meta(places=1)]
    assert dataclass.load(tp, "1.25") == D("1.2")
    cent = typing.NewType("cent", D)
    assert dataclass.load(typing.Annotated[typing.Optional[cent], Meta(places=1)], "1.25") == D("1.2")
    assert dataclass.load(Amount[D], {"of": "1.25"}).of == D("1.2")
    assert dataclass.load(Amount[int], {"of": 1}).of == 1
    with pytest.raises(TypeError, match="places= is for"):
        dataclass.load(typing.Annotated[Priced, Meta(places=2)], {})
    with pytest.raises(TypeError, match="give both"):
        dataclass.load(typing.Annotated[D, Meta(rounding=decimal.ROUND_UP)], "1")


class Row(typing.NamedTuple):
    a: int
    order: Order


@pytest.mark.parametrize(
    ("inner", "which", "hint"),
    [
        (Order, "Order", "make it frozen"),
        (typing.Optional[Order], "Order", "make it frozen"),
        (typing.Annotated[Order, Meta(invalid="No.")], "Order", "make it frozen"),
        (tuple[int, Order], "Order", "make it frozen"),
        (Row, "Order", "make it frozen"),
        (Frozen | Order, "Order", "make it frozen"),
        (list[int], "a list", "annotate a tuple"),
        (tuple[set[int], ...], "a set", "annotate a frozenset"),
        (dict[str, int], "a dict", "make it a NamedTuple"),
        (typing.TypedDict("Movie", {"name": str}), "Movie", "make it a NamedTuple"),
    ],
)
def test_what_has_no_hash_is_refused_in_sets(inner, which, hint):
    """R9: no data could be right."""
    for tp in (set[inner], frozenset[inner], list[set[inner]], typing.AbstractSet[inner]):
        with pytest.raises(TypeError, match=f"^{which} has no hash, so it can't be in a set: {hint}"):
            dataclass.load(tp, [])
    with pytest.raises(TypeError, match=f"^{which} has no hash, so it can't be a key of a dict: {hint}"):
        dataclass.load(dict[inner, int], {})


@dataclasses.dataclass(eq=False)
class Tree:
    children: set[Tree] = field(default_factory=set)


def test_what_has_a_hash_is_taken_in_sets():
    """D2: frozen, by identity, and a class that contains a set of itself."""
    assert dataclass.load(set[Frozen], [{"id": 1}, {"id": 1}]) == {Frozen(1)}
    assert dataclass.load(set[tuple[Frozen | None, int]], [[None, 1]]) == {(None, 1)}
    assert len(dataclass.load(Tree, {"children": [{}, {}]}).children) == 2
    assert dataclass.load(set[frozenset[int]], [[1]]) == {frozenset({1})}


# --- what is made already ---


@dataclasses.dataclass
class Sub(Order):
    pass


def test_objects_of_the_very_class_are_taken_as_they_are():
    """D2: at any depth, in unions, with validators; those of a class that derives are refused."""
    order = Order("unchecked")
    assert dataclass.load(Order, order) is order
    assert dataclass.load(typing.Optional[Order], order) is order
    assert dataclass.load(list[Order], [order, {"id": 2}]) == [order, Order(2)]
    assert dataclass.load(Order | Sub, Sub(1)) == Sub(1)
    sub = Sub(1)
    assert dataclass.load(Sub | Order | int, sub) is sub
    assert dataclass.load(Box[Order], Box(1)) == Box(1)
    checked = typing.Annotated[Order, Meta(validate=(lambda order: order.id == 1, "No."))]
    assert dataclass.load(checked, Order(1)) == Order(1)
    for tp, given in [(checked, Order(2)), (Order, Sub(1)), (Order, Frozen(1)), (list[Order], [1])]:
        with pytest.raises(dataclass.ValidationError):
            dataclass.load(tp, given)


def test_what_is_no_type_is_told_with_its_field():
    """D2, D5."""
    inner = dataclasses.make_dataclass("Inner", [("where", pathlib.Path)])
    outer = dataclasses.make_dataclass("Outer", [("ok", int), ("all", list[inner])])
    for tp in (inner, outer, dict[str, outer]):
        with pytest.raises(TypeError, match=r"^Inner\.where: Path is no type"):
            dataclass.load(tp, {})


def test_a_fields_metadata_is_not_taken_for_what_annotated_takes():
    """D3: its validators would be passed over without a word."""
    for odd in (meta(validate=lambda n: n > 3), Meta):
        with pytest.raises(TypeError, match=r"Annotated takes Meta\(\.\.\.\)"):
            dataclass.load(typing.Annotated[int, odd], 1)
