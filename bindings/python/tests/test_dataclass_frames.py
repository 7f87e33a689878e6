"""Dataclasses into frames and out of them, as values and as JSON, with nothing in between."""

from __future__ import annotations

import ctypes
import dataclasses
import datetime as dt
import decimal
import random
import typing
import uuid

import hypothesis
import numpy as np
import pytest
from numpy.typing import NDArray
from test_dataclass_whole import ORDER, Color, Item, Order, orders

import slipring
from slipring import dataclass

D = decimal.Decimal
field, meta, Meta = dataclasses.field, dataclass.meta, dataclass.Meta
FORMATS = ["value", "json"]


@pytest.fixture
def ends():
    with slipring.create(anonymous=True, capacity="16 MiB") as ring:
        yield ring.producer(), ring.consumer()


def sent(ends, obj, cls=None, **options):
    """The frame of an object."""
    tx, rx = ends
    dataclass.to_frame(tx, obj, cls, **options)
    return rx.recv(1)


def outcome(call):
    try:
        return call()
    except dataclass.ValidationError as error:
        return error.messages
    except slipring.DecodeError as error:
        return slipring.DecodeError, error.path


def test_objects_go_through_a_ring(ends):
    """D5: as a map of fields in a value, with types that every language knows; checked when it comes."""
    frame = sent(ends, ORDER, meta={"k": 1})
    assert frame.format == "value" and frame.meta == {"k": 1}
    assert frame.value["at"] == ORDER.at and frame.value["raw"] == ORDER.raw and frame.value["id"] == ORDER.id
    assert dataclass.from_frame(Order, frame) == ORDER
    with pytest.raises(dataclass.ValidationError):
        dataclass.from_frame(Item, frame)
    assert dataclass.from_frame(list[Item], sent(ends, [Item("a", D("1.10"))], list[Item])) == [Item("a", D("1.10"))]
    for format in FORMATS:
        with pytest.raises(dataclass.ValidationError):
            sent(ends, [Item("a", 5)], list[Item], format=format)
    with pytest.raises(slipring.Empty):
        ends[1].recv(0)


def test_a_frame_of_json(ends):
    """D5, J1: the very bytes of dump_to_bytes, in a frame of JSON."""
    frame = sent(ends, ORDER, format="json", meta={"k": 1})
    assert frame.format == "json" and frame.meta == {"k": 1}
    assert bytes(frame.view) == dataclass.dump_to_bytes(ORDER)
    assert dataclass.from_frame(Order, frame) == ORDER
    # Also what others have sent as JSON; what is wrong is said as everywhere.
    tx, rx = ends
    tx.send({"name": "tea", "price": "cheap"}, format="json")
    assert outcome(lambda: dataclass.from_frame(Item, rx.recv(1))) == {"price": ["Not a valid number."]}
    with pytest.raises(ValueError, match="value or json"):
        dataclass.to_frame(tx, ORDER, format="pickle")


@hypothesis.given(orders)
def test_frames_hold_what_dumps_make(order):
    """D5: the value of a frame is the dump with native types, and comes back as the object."""
    with slipring.create(anonymous=True) as ring:
        ends = ring.producer(), ring.consumer()
        frame = sent(ends, order)
        assert frame.value == dataclass.dump(order, native=True)
        assert dataclass.from_frame(Order, frame) == order
        assert dataclass.from_frame(Order, sent(ends, order, format="json")) == order


def test_values_of_others(ends):
    """D5, R1: maps that others wrote: keys in another order, atoms, sets, tuples, floats that are whole, large numbers."""
    tx, rx = ends

    @dataclasses.dataclass
    class Part:
        n: int
        x: float
        tags: set[str]
        pair: tuple[int, str]
        name: str = "none"
        rest: typing.Any = None

    value = {
        "tags": {"a"},
        slipring.Atom("n"): 1 << 90,
        "unknown": [{"deep": 1}],
        "pair": (1, "b"),
        "x": 2,
        "name": slipring.Atom("tea"),
        "rest": D("1.5"),
    }
    tx.send(value, format="value")
    assert dataclass.from_frame(Part, rx.recv(1)) == Part(1 << 90, 2.0, {"a"}, (1, "b"), "tea", D("1.5"))
    tx.send(value | {"n": "x", slipring.Atom("n"): 1.0, "pair": (1,)}, format="value")
    messages = {"n": ["Not a valid integer."], "pair": ["Length must be 2."], "unknown": ["Unknown field."]}
    assert outcome(lambda: dataclass.from_frame(Part, rx.recv(1), unknown="raise")) == messages
    # Other formats go through the frame's value.
    tx.send([{"name": "tea", "price": D(1)}], format="pickle")
    with pytest.raises(slipring.UntrustedPickle):
        dataclass.from_frame(list[Item], rx.recv(1))


def test_a_key_that_stands_twice(ends):
    """D4: in a value it is no map, and is not taken for one."""
    ends[0].send({"name": "tea", "nome": "coffee", "price": D(1)}, format="value")
    frame = ends[1].recv(1)
    overwrite(frame.view, bytes(frame.view).index(b"ome"), b"a")
    assert outcome(lambda: dataclass.from_frame(Item, frame)) == {"name": ["This key stands twice."]}
    assert outcome(lambda: dataclass.from_frame(dict[str, typing.Any], frame)) == {"name": ["This key stands twice."]}


def test_damage_says_where(ends):
    """D4: the path to it, in a value as in JSON."""
    whole = {"parts": [Item("a", D("1.5")), Item("b", D("2.5"))], "unknown": []}
    cls = dict[str, list[Item]]
    for format, good, bad, path in (
        ("value", b"eprice", b"\xff", "$.parts[1].price"),
        ("json", b'"price":', b"x", "$.parts[1].price"),
    ):
        frame = sent(ends, whole, cls, format=format)
        overwrite(frame.view, bytes(frame.view).rindex(good) + len(good), bad)
        with pytest.raises(slipring.DecodeError) as caught:
            dataclass.from_frame(cls, frame)
        assert caught.value.path == path
    # Also in what is gone past.
    ends[0].send({"name": "a", "more": {"x": [1]}, "price": D(1)}, format="value")
    frame = ends[1].recv(1)
    assert dataclass.from_frame(Item, frame) == Item("a", D(1))
    overwrite(frame.view, bytes(frame.view).index(b"\x81\x01"), b"\xff")
    with pytest.raises(slipring.DecodeError) as caught:
        dataclass.from_frame(Item, frame)
    assert caught.value.path == "$.more"


def overwrite(view, at, new):
    """Writes into a frame's memory, as a peer might."""
    ctypes.memmove(np.frombuffer(view, np.uint8).ctypes.data + at, new, len(new))


def test_fields_that_are_left_out(ends):
    """D1, D3: of a class that omits None, and of a TypedDict, the map has as many pairs as it says."""

    @dataclass.options(omit_none=True)
    @dataclasses.dataclass
    class Note:
        text: str | None = None
        at: dt.date | None = None

    class Place(typing.TypedDict):
        x: int
        y: typing.NotRequired[int]

    for note in (Note(), Note("a"), Note(None, dt.date(2026, 1, 1))):
        frame = sent(ends, note)
        assert frame.value == dataclass.dump(note, native=True)
        assert dataclass.from_frame(Note, frame) == note
    for place in ({"x": 1}, {"x": 1, "y": 2}):
        assert sent(ends, place, Place).value == place
    assert outcome(lambda: sent(ends, {"y": 1}, Place)) == {"x": ["Missing data for required field."]}
    assert outcome(lambda: sent(ends, Note(5, 6))) == {"text": ["Not a valid string."], "at": ["Not a valid date."]}


def test_keys_of_dicts(ends):
    """D3: whatever they are outside, no two of them are one."""
    by_name = typing.Annotated[Color, Meta(by="name")]
    for cls, given in (
        (dict[int, D], {1: D("1.5"), 1 << 70: D(2)}),
        (dict[Color, int], {Color.RED: 1, Color.BLUE: 2}),
        (dict[by_name, int], {Color.RED: 1}),
        (dict[uuid.UUID, list[Color]], {uuid.UUID(int=5): [Color.RED]}),
        (dict[dt.date, int], {dt.date(2026, 1, 1): 1}),
        (dict[str, dict[str, Item]], {"a": {"b": Item("tea", D(1))}}),
        (dict[typing.Any, int], {"a": 1, 5: 2}),
    ):
        for format in FORMATS:
            got = dataclass.from_frame(cls, sent(ends, given, cls, format=format))
            assert got == (given if format == "value" or cls != dict[typing.Any, int] else {"a": 1, "5": 2})
    # Two keys that are one outside: the last one stays, as it does in a dict.
    frame = sent(ends, {Color.RED: 1, "red": 2}, dict[Color | str, int])
    assert frame.value == {"red": 2}


def test_arrays_lie_in_the_frame(ends):
    """D5, R4: an array in a field is a view of the frame; with a dtype only such arrays are taken; in JSON it is a list."""

    @dataclasses.dataclass
    class Tile:
        name: str
        heights: NDArray[np.float32]
        mask: np.ndarray | None = None
        more: list[NDArray[np.int64]] = field(default_factory=list)

    tile = Tile("a", np.arange(60_000, dtype="f4").reshape(200, 300), None, [np.arange(3)])
    frame = sent(ends, tile)
    got = dataclass.from_frame(Tile, frame)
    assert got.name == "a" and got.mask is None and (got.heights == tile.heights).all() and (got.more[0] == [0, 1, 2]).all()
    assert not got.heights.flags.writeable and not got.heights.flags.owndata
    head = np.frombuffer(frame.view, np.uint8)
    assert 0 < got.heights.ctypes.data - head.ctypes.data < 1 << 20
    assert len(head) < 256
    # It keeps its memory for itself.
    del frame, head
    assert (got.heights == tile.heights).all()

    assert outcome(lambda: sent(ends, dataclasses.replace(tile, heights=[1.0]))) == {"heights": ["Not a valid array."]}
    wrong = dataclasses.replace(tile, heights=tile.heights.astype("f8"))
    assert outcome(lambda: sent(ends, wrong)) == {"heights": ["Not a valid array."]}

    small = Tile("a", np.array([[1, 2.5]], "f4"), np.array([True]))
    assert dataclass.dump(small) == {"name": "a", "heights": [[1.0, 2.5]], "mask": [True], "more": []}
    assert dataclass.dump(small, native=True)["heights"] is small.heights
    assert dataclass.dump_to_bytes(small) == b'{"name":"a","heights":[[1.0,2.5]],"mask":[true],"more":[]}'
    again = dataclass.from_frame(Tile, sent(ends, small, format="json"))
    assert again.heights.dtype == np.float32 and (again.heights == small.heights).all() and again.mask.dtype == bool
    assert dataclass.load(Tile, {"name": "a", "heights": small.heights}).heights is small.heights
    for bad in ([[1, 2], [3]], ["x"], "x", {"a": 1}, None):
        message = "Field may not be null." if bad is None else "Not a valid array."
        assert outcome(lambda: dataclass.load(Tile, {"name": "a", "heights": bad})) == {"heights": [message]}
    assert outcome(lambda: dataclass.load(Tile, {"name": "a", "heights": [1], "mask": ["x", {}]})) == {"mask": ["Not a valid array."]}


def test_large_bytes(ends):
    """D1: they lie out of line, and are bytes again."""

    @dataclasses.dataclass
    class Photo:
        jpeg: bytes

    photo = Photo(bytes(range(256)) * 1000)
    frame = sent(ends, photo)
    assert len(frame.view) < 64 and frame.value["jpeg"] == photo.jpeg
    got = dataclass.from_frame(Photo, frame)
    assert got == photo and type(got.jpeg) is bytes


def test_unions_in_frames(ends):
    """D2: by their tag, by shape, by trial."""

    @dataclasses.dataclass
    class Cat:
        kind: typing.Literal["cat"]
        lives: int

    @dataclasses.dataclass
    class Dog:
        kind: typing.Literal["dog"]
        tricks: list[str]

    pets = [Dog("dog", ["sit"]), Cat("cat", 9)]
    assert dataclass.from_frame(list[Cat | Dog], sent(ends, pets, list[Cat | Dog])) == pets
    cls = list[dict[str, int] | dict[str, D] | dt.date | list[int | str] | None]
    mixed = [{"a": D(1)}, {"a": 1}, dt.date(2026, 1, 1), [1, "a"], None]
    assert dataclass.from_frame(cls, sent(ends, mixed, cls)) == mixed


def test_registered_types_migrate(ends):
    """D5, R9: a frame with an older version of a registered class gives an object of today."""

    @dataclasses.dataclass
    class Point:
        x: int
        y: int

    def decode(fields, version):
        return Point(**(fields if version == 2 else {"x": fields["a"], "y": 0}))

    slipring.register(Point, name="frames.Point", version=2, encode=dataclasses.asdict, decode=decode)
    tx, rx = ends
    tx.send(slipring.Object("frames.Point", 1, {"a": 5}), format="value")
    assert dataclass.from_frame(Point, rx.recv(1)) == Point(5, 0)
    tx.send({"all": [slipring.Object("frames.Point", 1, {"a": 5}), Point(1, 2)]}, format="value")
    assert dataclass.from_frame(dict[str, list[Point]], rx.recv(1)) == {"all": [Point(5, 0), Point(1, 2)]}


def test_objects_that_change_meanwhile(ends):
    """D6: a list that is longer or shorter in the end is no frame, and no frame goes."""
    items: list[Item] = []

    class Sly(Item):
        def __getattribute__(self, name):
            items.extend([Item("more", D(1))] * (len(items) < 5))
            return super().__getattribute__(name)

    items += [Sly("a", D(1)), Item("b", D(1))]
    with pytest.raises(slipring.EncodeError, match="changed while it was dumped"):
        sent(ends, items, list[Item])
    with pytest.raises(slipring.Empty):
        ends[1].recv(0)


def test_depth(ends):
    """D6: what is sent is no deeper than what is read."""

    @dataclasses.dataclass
    class Node:
        n: D
        next: Node | None = None

    globals()["Node"] = Node
    node = None
    for n in range(252):
        node = Node(D(n), node)
    assert dataclass.from_frame(Node, sent(ends, node)) == node
    with pytest.raises(slipring.EncodeError, match="more than 252"):
        sent(ends, Node(D(0), node))


def test_frames_of_any_bytes(ends):
    """D6, M5: a damaged value gives an object, or an error, and the same one as its plain value does."""
    tx, rx = ends
    chance = random.Random(7)
    seen = set()
    for n in range(3000):
        frame = sent(ends, ORDER)
        raw = bytearray(frame.view)
        for _ in range(chance.randint(1, 3)):
            at = chance.randrange(len(raw))
            raw[at] = chance.choice([chance.randrange(256), raw[at] ^ 1 << chance.randrange(8), 0xF6, 0x80, 0xA0, 0x9F, 0xFF])
        overwrite(frame.view, 0, bytes(raw))
        try:
            direct = outcome(lambda: dataclass.from_frame(Order, frame))
            plain = frame.value
        except slipring.DecodeError:
            seen.add("no value")
            # Fields that are not known are gone past unseen, and so are keys that stand twice in them.
            assert type(direct) in (Order, tuple, dict)
            continue
        except slipring.errors.LossyWarning:
            continue
        through = outcome(lambda: dataclass.load(Order, plain))
        if type(through) is Order and type(direct) is Order:
            assert repr(direct) == repr(through), raw
            seen.add("object")
        elif type(direct) is dict:
            assert direct == through or "This key stands twice." in str(direct), raw
            seen.add("invalid")
        else:
            assert type(direct) is type(through), (raw, direct, through)
    assert seen == {"object", "invalid", "no value"}
