"""Dataclasses against peers, against objects that change under the hand, and memory."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import gc
import json
import math
import sys
import threading
import typing
import uuid
import weakref

import hypothesis
import marshmallow
import msgspec
import pytest
from hypothesis import strategies as st

import slipring
from slipring import dataclass

D = decimal.Decimal
field, meta, Meta = dataclasses.field, dataclass.meta, dataclass.Meta
DEPTH = 512


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass
class Item:
    name: str
    price: D
    color: Color = Color.RED


@dataclasses.dataclass
class Order:
    id: uuid.UUID
    count: int
    weight: float
    paid: bool
    at: dt.datetime
    day: dt.date
    hour: dt.time
    note: str | None
    items: list[Item]
    tags: set[str]
    scores: dict[str, int]
    pair: tuple[int, str]
    many: tuple[float, ...]
    either: int | str | list[int]
    raw: bytes
    first: Item | None = None
    period: dt.timedelta = dt.timedelta(0)
    kind: typing.Literal["a", "b"] = "a"
    numbers: dict[int, D] = field(default_factory=dict)


texts = st.text(st.characters(codec="utf-8"))
floats = st.floats(allow_nan=False, allow_infinity=False)
decimals = st.decimals(allow_nan=False, allow_infinity=False)
zones = st.none() | st.just(dt.timezone.utc) | st.integers(-1439, 1439).map(lambda n: dt.timezone(dt.timedelta(minutes=n)))
items = st.builds(Item, texts, decimals, st.sampled_from(Color))
orders = st.builds(
    Order,
    id=st.uuids(),
    count=st.integers(),
    weight=floats,
    paid=st.booleans(),
    at=st.datetimes(timezones=zones).map(lambda moment: moment.replace(fold=0)),
    day=st.dates(),
    hour=st.times(timezones=zones).map(lambda time: time.replace(fold=0)),
    note=st.none() | texts,
    items=st.lists(items),
    tags=st.sets(texts),
    scores=st.dictionaries(texts, st.integers()),
    pair=st.tuples(st.integers(), texts),
    many=st.lists(floats).map(tuple),
    either=st.integers() | texts | st.lists(st.integers()),
    raw=st.binary(),
    first=st.none() | items,
    period=st.timedeltas(),
    kind=st.sampled_from("ab"),
    numbers=st.dictionaries(st.integers(), decimals),
)


#: Orders are large, and machines busy.
patiently = hypothesis.settings(deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])


def exactly(a, b):
    """Equal, of the same types, Decimals by their digits; sets have no order."""

    def shown(order):
        return repr(dataclasses.replace(order, tags=sorted(order.tags)))

    return a == b and shown(a) == shown(b)


@patiently
@hypothesis.given(orders)
def test_any_object_there_and_back(order):
    """D1, D2: to structures and JSON, by two readers of JSON."""
    plain, data = dataclass.dump(order), dataclass.dump_to_bytes(order)
    assert json.loads(data) == json.loads(json.dumps(plain))
    assert slipring.json.loads(data) == json.loads(data)
    for loaded in (
        dataclass.load(Order, plain),
        dataclass.load(Order, json.loads(data)),
        dataclass.load_from_bytes(Order, data),
        dataclass.load_from_bytes(Order, json.dumps(json.loads(data), indent=2)),
        dataclass.load(Order, dataclass.dump(order, native=True)),
    ):
        assert exactly(loaded, order)


@patiently
@hypothesis.given(orders)
def test_msgspec_reads_what_is_dumped(order):
    """D1: and we what it does, where both mean the same; of Decimals it wants no exponents, and writes UTC as Z."""
    hypothesis.assume(abs(order.count) < 2**63 and all(abs(n) < 2**63 for n in order.scores.values()))
    hypothesis.assume(not isinstance(order.either, int) or abs(order.either) < 2**63)
    hypothesis.assume(not isinstance(order.either, list) or all(abs(n) < 2**63 for n in order.either))
    hypothesis.assume(all(abs(n) < 2**63 for n in (order.pair[0], *order.numbers)))
    hypothesis.assume(abs(order.period.days) < 10**8)
    assert msgspec.convert(dataclass.dump(order), Order, str_keys=False) == order
    assert msgspec.json.decode(dataclass.dump_to_bytes(order), type=Order) == order
    assert dataclass.load_from_bytes(Order, msgspec.json.encode(order)) == order


class ItemSchema(marshmallow.Schema):
    class Meta:
        unknown = marshmallow.EXCLUDE

    name = marshmallow.fields.String(required=True)
    price = marshmallow.fields.Decimal(required=True, as_string=True)
    color = marshmallow.fields.Enum(Color, by_value=True)


class OrderSchema(marshmallow.Schema):
    class Meta:
        unknown = marshmallow.EXCLUDE

    id = marshmallow.fields.UUID(required=True)
    count = marshmallow.fields.Integer(required=True, strict=True)
    at = marshmallow.fields.DateTime(required=True)
    day = marshmallow.fields.Date(required=True)
    items = marshmallow.fields.List(marshmallow.fields.Nested(ItemSchema), required=True)
    first = marshmallow.fields.Nested(ItemSchema, allow_none=True)
    scores = marshmallow.fields.Dict(keys=marshmallow.fields.String(), values=marshmallow.fields.Integer(strict=True))


@dataclasses.dataclass
class Small:
    id: uuid.UUID
    count: int
    at: dt.datetime
    day: dt.date
    items: list[Item]
    first: Item | None = None
    scores: dict[str, int] = field(default_factory=dict)


def as_text(keys):
    """marshmallow has indices as numbers."""
    return {str(k): as_text(v) if isinstance(v, dict) else v for k, v in keys.items()}


# It writes Decimals without exponents.
plain_items = st.builds(Item, texts, st.decimals(-1000, 1000, places=2), st.sampled_from(Color))
wrong = st.none() | st.sampled_from(["", "x", "2026-01-01", "1.5", [], {}, {"name": "n"}, [None], [{"price": "y"}], {"k": "v"}, {"k": None}])


@patiently
@hypothesis.given(
    st.builds(Small, id=st.uuids(), count=st.integers(), at=st.datetimes(timezones=zones).map(lambda moment: moment.replace(fold=0)), day=st.dates(), items=st.lists(plain_items), first=st.none() | plain_items, scores=st.dictionaries(texts, st.integers())),
    st.dictionaries(st.sampled_from([f.name for f in dataclasses.fields(Small)]), wrong),
    st.sets(st.sampled_from([f.name for f in dataclasses.fields(Small)])),
)
def test_marshmallow_says_the_same(small, changes, missing):
    """D3: the same dump, and the same messages at the same places of the same wrong data."""
    plain = dataclass.dump(small)
    assert plain == OrderSchema().dump(small)
    given = {name: value for name, value in (plain | changes).items() if name not in missing}
    try:
        want = OrderSchema().load(given)
    except marshmallow.ValidationError as error:
        for load in (dataclass.load, lambda tp, given: dataclass.load_from_bytes(tp, json.dumps(given))):
            with pytest.raises(dataclass.ValidationError) as caught:
                load(Small, given)
            assert caught.value.messages == as_text(error.messages)
    else:
        loaded = dataclass.load(Small, given)
        assert {name: getattr(loaded, name) for name in want if name not in ("items", "first")} == {
            name: value for name, value in want.items() if name not in ("items", "first")
        }


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | floats | texts | st.sampled_from(["2026-01-01", "red", str(uuid.UUID(int=5))]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["name", "price", "color", "id", "items", "k"]) | texts, inner, max_size=4),
    max_leaves=20,
)


@patiently
@hypothesis.given(json_values, st.sampled_from([Order, Item, list[Item], dict[str, Item], Item | Small | int | list[str], typing.Any, tuple[int, Item], set[float]]), st.booleans())
def test_structures_and_json_are_loaded_alike(given, tp, strict):
    """D1: the same object or the same messages, whatever comes."""
    outcomes = []
    for load in (lambda: dataclass.load(tp, given, strict=strict), lambda: dataclass.load_from_bytes(tp, json.dumps(given), strict=strict)):
        try:
            outcomes.append(("is", repr(load())))
        except dataclass.ValidationError as error:
            outcomes.append(("is not", error.messages))
    assert outcomes[0] == outcomes[1]


@patiently
@hypothesis.given(st.binary(max_size=60), st.integers(0, 400))
def test_bytes_that_are_broken_anywhere(noise, at):
    """R9: an error of ours, and nothing worse."""
    data = bytearray(ORDER_JSON)
    at = min(at, len(data))
    data[at : at + len(noise)] = noise
    try:
        dataclass.load_from_bytes(Order, bytes(data))
    except (slipring.DecodeError, dataclass.ValidationError):
        pass


ORDER = Order(
    uuid.UUID(int=5), 1, 0.5, True, dt.datetime(2026, 1, 1), dt.date(2026, 1, 1), dt.time(1), "é\n", [Item("a", D("1.5"))], {"t"},
    {"k": 1}, (1, "x"), (1.5,), [1], b"raw", Item("b", D(2), Color.BLUE), numbers={5: D(1)},
)
ORDER_JSON = dataclass.dump_to_bytes(ORDER)


# --- depth ---


@dataclasses.dataclass
class Chain:
    next: Chain | None = None
    more: list[Chain] | None = None
    other: typing.Any = None


def test_depth_has_a_limit_both_ways():
    """R9: an error and no overflow, also on a small stack; what contains itself meets it as well."""

    def check():
        deepest, nested = Chain(), {}
        for _ in range(DEPTH - 1):
            deepest, nested = Chain(deepest), {"next": nested}
        data = dataclass.dump_to_bytes(deepest)
        plain = dataclass.dump(deepest)
        deepest_again = dataclass.load_from_bytes(Chain, data)
        assert dataclass.dump_to_bytes(dataclass.load(Chain, plain)) == data == dataclass.dump_to_bytes(deepest_again)
        too_deep = Chain(deepest)
        itself = Chain()
        itself.more = [itself]
        anything = Chain()
        anything.other = {"k": [anything]}
        for value in (too_deep, itself, anything):
            for dump in (dataclass.dump, dataclass.dump_to_bytes):
                with pytest.raises(slipring.EncodeError, match=f"more than {DEPTH}"):
                    dump(value)
        with pytest.raises(slipring.DecodeError, match=f"more than {DEPTH}"):
            dataclass.load(Chain, {"next": plain})
        with pytest.raises(slipring.DecodeError, match=f"more than {DEPTH}"):
            dataclass.load_from_bytes(Chain, b'{"next":' + data + b"}")
        with pytest.raises(slipring.DecodeError, match="inside each other"):
            dataclass.load_from_bytes(Chain, b'{"other":' + b"[" * 100_000)
        done.append(True)

    done: list = []
    check()
    before = threading.stack_size(1 << 20)
    try:
        thread = threading.Thread(target=check)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)
    assert done == [True, True]


# --- under the hand ---


# What runs code of others while it is dumped.
Day = typing.Annotated[dt.date, dataclass.Meta(format="%d")]


def test_lists_and_dicts_that_change_while_they_are_dumped():
    """R9: properties and formats of others run meanwhile."""

    class Evil(dt.date):
        def strftime(self, format):
            target.clear()
            return "1"

    target: typing.Any
    for make, tp in ((lambda: [Evil(2026, 1, 1), Evil(2026, 1, 1), Evil(2026, 1, 1)], list[Day]), (lambda: {str(n): Evil(2026, 1, 1) for n in range(9)}, dict[str, Day])):
        for dump in (dataclass.dump, dataclass.dump_to_bytes):
            target = make()
            try:
                got = dump(tp, target)
            except slipring.EncodeError as error:
                assert "changed" in str(error)
            else:
                assert got in (["1"], b'["1"]')

    class Growing(dt.date):
        def strftime(self, format):
            if len(growing) < 2000:
                growing.append(Growing(2026, 1, 1))
            return "1"

    growing = [Growing(2026, 1, 1)]
    assert len(dataclass.dump(list[Day], growing)) == 2000


def test_objects_that_change_while_they_are_dumped():
    """R9: their attributes go away, their dict is replaced, they become another class's."""

    class Hook(dt.date):
        def strftime(self, format):
            hook()
            return "1"

    @dataclasses.dataclass
    class Plain:
        a: Day
        b: str = "default"
        c: list[str] = field(default_factory=list)

    @dataclasses.dataclass(slots=True)
    class Slotted:
        a: Day
        b: str = "b"

    obj = Plain(Hook(2026, 1, 1), "b" * 50, ["c" * 50])

    def hook():
        obj.__dict__.clear()

    for dump in (dataclass.dump, dataclass.dump_to_bytes):
        obj.__dict__.update(a=Hook(2026, 1, 1), b="b" * 50, c=["c" * 50])
        with pytest.raises(dataclass.ValidationError, match="Missing data"):
            dump(obj)

    def hook():  # noqa: F811
        obj.__dict__ = {"b": "other", "c": ["x"]}

    for dump in (dataclass.dump, dataclass.dump_to_bytes):
        obj.__dict__ = {"a": Hook(2026, 1, 1), "b": "b", "c": []}
        assert dump(obj) in ({"a": "1", "b": "other", "c": ["x"]}, b'{"a":"1","b":"other","c":["x"]}')

    slotted = Slotted(Hook(2026, 1, 1))

    def hook():  # noqa: F811
        del slotted.b

    with pytest.raises(dataclass.ValidationError, match="Missing data"):
        dataclass.dump(slotted)

    class Sub(Plain):
        pass

    def hook():  # noqa: F811
        obj.__class__ = Sub

    obj = Plain(Hook(2026, 1, 1), "b", ["c"])
    assert dataclass.dump(obj) == {"a": "1", "b": "b", "c": ["c"]}


def test_structures_that_change_while_they_are_loaded():
    """R9: validators and factories of others run meanwhile."""

    def drop(value):
        for given in all_given:
            given.clear()

    def grow(value):
        for given in all_given:
            given[f"new{len(given)}"] = 1

    for change in (drop, grow):
        cls = dataclasses.make_dataclass("Cls", [("a", str, field(metadata=meta(validate=change))), ("b", str, "x")])
        given = {"a": "a" * 50, "b": "b" * 50}
        all_given = [given]
        with pytest.raises(RuntimeError, match="changed while it was loaded"):
            dataclass.load(cls, given)
        rows = [{"a": "a" * 50} for _ in range(5)]
        all_given = [rows] if change is drop else []
        loaded = dataclass.load(list[cls], rows)
        assert len(loaded) == (1 if change is drop else 5)


def again(value):
    assert dataclass.load_from_bytes(list[Item], dataclass.dump_to_bytes([Item("x", D(1))])) == [Item("x", D(1))]


@dataclasses.dataclass
class Again:
    a: typing.Annotated[str, Meta(validate=again)]
    b: list[typing.Annotated[int, Meta(validate=again)]]

    def __post_init__(self):
        again(self)


def test_code_of_others_may_come_back():
    """R9: a validator that loads and dumps, before objects and lists are whole."""
    assert dataclass.load(list[Again], [{"a": "a", "b": [1, 2]}] * 3) == [Again("a", [1, 2])] * 3
    data = json.dumps([{"a": "a", "b": [1, 2]}] * 3)
    assert dataclass.load_from_bytes(list[Again], data) == [Again("a", [1, 2])] * 3


def test_what_is_dumped_belongs_to_nobody_else():
    """D1: a new dict each time, seen by the garbage collector, that may grow and shrink."""
    order = Order(**vars(ORDER))
    one, two = dataclass.dump(order), dataclass.dump(order)
    assert gc.is_tracked(one) and one is not two
    one["new"] = one
    del one["items"], one["id"]
    one["items"] = 5
    assert list(two) == [f.name for f in dataclasses.fields(Order)] and two == dataclass.dump(order)
    assert [key for key in one if key not in two] == ["new"]
    cls = dataclasses.make_dataclass("Wide", [(f"f{n}", int, n) for n in range(300)])
    assert dataclass.dump(cls()) == {f"f{n}": n for n in range(300)}
    assert dataclass.load(cls, {f"f{n}": -n for n in reversed(range(300))}) == cls(*(-n for n in range(300)))
    assert dataclass.load_from_bytes(cls, dataclass.dump_to_bytes(cls())) == cls()
    empty = dataclasses.make_dataclass("Empty", [])
    assert dataclass.dump(empty()) == {} and dataclass.load_from_bytes(empty, b" { } ") == empty()


def test_objects_of_many_makings_share_a_class():
    """D2: attributes that were set in another order, or before, or by somebody else."""
    cls = dataclasses.make_dataclass("Cls", [("a", int), ("b", str, "b"), ("c", float, 0.5)])
    odd = cls.__new__(cls)
    for name, value in (("c", 1.5), ("extra", 1), ("b", "x"), ("a", 7)):
        setattr(odd, name, value)
    for _ in range(3):
        assert dataclass.dump(odd) == {"a": 7, "b": "x", "c": 1.5}
        loaded = dataclass.load(cls, {"a": 1})
        assert loaded == cls(1) and vars(loaded) == {"a": 1, "b": "b", "c": 0.5}
        loaded.more = 1
        loaded.a = 2
        assert dataclass.dump(loaded) == {"a": 2, "b": "b", "c": 0.5}
        vars(loaded)["a"] = 3
        assert dataclass.dump_to_bytes(loaded) == b'{"a":3,"b":"b","c":0.5}'


@pytest.mark.parametrize("dump", [dataclass.dump, lambda one: json.loads(dataclass.dump_to_bytes(one))])
def test_objects_whose_dict_was_asked_for(dump):
    """D2: attributes are where they were, until the dict becomes one of its own."""
    cls = dataclasses.make_dataclass("Cls", [("a", int), ("b", str, "b"), ("c", float, 0.5)])
    other = cls(9, "other", 9.5)
    for n in range(2000):
        one = cls(n)
        assert dump(one) == {"a": n, "b": "b", "c": 0.5}
        inside = vars(one)
        assert dump(one) == {"a": n, "b": "b", "c": 0.5}
        one.b = "new" * (n % 3)
        inside["c"] = 1.5
        assert dump(one) == {"a": n, "b": "new" * (n % 3), "c": 1.5}
        match n % 6:
            case 0:
                inside["extra"] = 1
            case 1:
                del inside["b"]
            case 2:
                one.__dict__ = vars(other)
            case 3:
                one.__dict__ = {"c": 2.5, "b": "x", "a": 1}
            case 4:
                inside.clear()
            case _:
                inside[5] = "no name"
        want = {name: getattr(one, name, None) for name in ("a", "b", "c")}
        if None in want.values():
            with pytest.raises(dataclass.ValidationError, match="Missing data"):
                dump(one)
            continue
        assert dump(one) == want
        del inside
        gc.collect(0)
        assert dump(one) == want


def test_threads_share_plans():
    """R9."""
    data = dataclass.dump_to_bytes([ORDER] * 20)
    failed = []

    def work():
        for _ in range(50):
            if dataclass.load_from_bytes(list[Order], data) != [ORDER] * 20 or dataclass.dump_to_bytes([ORDER] * 20) != data:
                failed.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


# --- memory ---


def refuse(value):
    if value == 7:
        raise ValueError("seven")


@dataclasses.dataclass
class Watched:
    a: typing.Any
    b: list[typing.Annotated[int, Meta(validate=refuse)]] = field(default_factory=list)
    c: dict[str, Item] = field(default_factory=dict)
    d: Item | Small | None = None
    e: set[str] = field(default_factory=set)
    f: tuple[int, str] | None = None
    g: dataclasses.InitVar[object] = None
    h: Color = Color.RED
    i: frozenset[uuid.UUID] = frozenset()

    def __post_init__(self, g):
        if self.a is None:
            raise ValueError("none")


def test_nothing_leaks():
    """R9: references and memory stay flat, in errors too."""
    probe, key, Cls = "probe" * 20, "key" * 20, Watched
    item = {"name": probe, "price": "1.5"}
    good = {"a": probe, "b": [1, 2], "c": {key: item}, "d": item, "e": [probe], "f": [1, probe], "g": probe, "i": [str(uuid.UUID(int=1))]}
    bad = [
        {**good, "a": None},
        {**good, "b": [1, 7, "x"]},
        {**good, "c": {key: {"name": 5}}},
        {**good, "d": {"x": probe}},
        {**good, "e": [probe, 5]},
        {**good, "f": [1]},
        {**good, "f": [probe, probe]},
        {**good, "h": probe, "i": [probe]},
        {"b": probe},
        [probe],
    ]

    def rounds(n):
        for _ in range(n):
            loaded = dataclass.load(Cls, good)
            data = dataclass.dump_to_bytes(loaded)
            dataclass.load_from_bytes(Cls, data)
            dataclass.dump(loaded)
            dataclass.dump(loaded, native=True)
            dataclass.load(Cls, good | {"unknown": probe})
            loaded.h, loaded.f = probe, (probe, probe, probe)
            for dump in (dataclass.dump, dataclass.dump_to_bytes):
                with pytest.raises(dataclass.ValidationError):
                    dump(loaded)
            for given in bad:
                for load in (lambda: dataclass.load(Cls, given, unknown="raise"), lambda: dataclass.load_from_bytes(Cls, json.dumps(given))):
                    with pytest.raises(dataclass.ValidationError):
                        load()
            for end in range(0, len(data), 17):
                with pytest.raises(slipring.DecodeError):
                    dataclass.load_from_bytes(Cls, data[:end])

    rounds(20)
    gc.collect()
    watched = [probe, key, None.__class__, Color.RED, Cls, Item, uuid.SafeUUID.unknown]
    before, blocks = [sys.getrefcount(one) for one in watched], sys.getallocatedblocks()
    rounds(60)
    gc.collect()
    assert [sys.getrefcount(one) for one in watched] == before
    assert abs(sys.getallocatedblocks() - blocks) < 60


def test_classes_go_with_their_plans():
    """R9: a class of a function's is garbage when the function is done with it."""

    def make():
        @dataclasses.dataclass
        class Cls:
            a: int
            me: Cls | None = None
            b: list = field(default_factory=list, metadata=meta(validate=lambda value: True))

        assert dataclass.load(Cls, {"a": 1, "me": {"a": 2}}).me == Cls(2)
        dataclass.dump_to_bytes(Cls(1))
        return weakref.ref(Cls)

    gone = [make() for _ in range(5)]
    gc.collect()
    assert [ref() for ref in gone] == [None] * 5


def test_plans_of_other_types_are_bounded():
    """R9: types made on the fly do not pile up."""
    from slipring.dataclass import _analyse

    for n in range(2 * _analyse.KEPT):
        assert dataclass.load(typing.Literal[f"value{n}"], f"value{n}") == f"value{n}"
    assert len(_analyse._plans) <= _analyse.KEPT


def test_the_garbage_collector_is_as_it_was():
    """D1: it rests while nothing of others is called, and goes on afterwards, in errors too."""
    for enabled in (True, False):
        (gc.enable if enabled else gc.disable)()
        try:
            dataclass.load(list[Item], [{"name": "a", "price": "1"}])
            with pytest.raises(dataclass.ValidationError):
                dataclass.load_from_bytes(list[Item], b"[5]")
            dataclass.dump([Item("a", D(1))])
            assert gc.isenabled() is enabled
        finally:
            gc.enable()


def test_floats_are_exact():
    """D2: to the last bit."""
    for x in (0.1, 1e-320, 1.7976931348623157e308, -0.0, 5e-324, 2**53 + 1.0):
        got = dataclass.load_from_bytes(float, dataclass.dump_to_bytes(float, x))
        assert got == x and math.copysign(1, got) == math.copysign(1, x)


def test_plans_are_found_again():
    """D1: each type is analysed once, whatever kind of type it is."""
    from slipring.dataclass import _analyse

    class Pair(typing.NamedTuple):
        a: int

    for tp in (int, Color, Pair, list[Item], Item | None, Item, typing.Annotated[int, Meta(validate=again)]):
        assert _analyse.plan(tp) is _analyse.plan(tp)
    # What has no hash can't be found again, and works all the same.
    assert dataclass.load(typing.Annotated[int, ["no hash"]], 5) == 5
