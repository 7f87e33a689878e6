"""Classes that say which one they are, and dataclasses sent by asyncio."""

from __future__ import annotations

import asyncio
import dataclasses
import typing
from typing import Annotated, Literal, Union

import attrs
import pyarrow as pa
import pytest

import slipring
from slipring import dataclass
from slipring.dataclass import Meta, ValidationError, options


@options(tag="circle")
@dataclasses.dataclass
class Circle:
    r: float
    note: str | None = None


@options(tag="square", rename="camelCase")
@dataclasses.dataclass(slots=True, frozen=True)
class Square:
    side_length: float


@options(tag=3, tag_field="type")
@attrs.define
class Triangle:
    a: float = 1.0


Shape = Union[Circle, Square, Triangle]


@dataclasses.dataclass
class Drawing:
    shapes: list[Shape]
    main: Circle | None = None
    by: dict[str, Circle | Square] = dataclasses.field(default_factory=dict)


DRAWING = Drawing([Circle(1.5), Square(2.0), Triangle(3.0), Circle(2.0, "x")], Circle(1.0), {"a": Square(1.0)})
DUMPED = {
    "shapes": [
        {"type": "circle", "r": 1.5, "note": None}, {"type": "square", "sideLength": 2.0}, {"type": 3, "a": 3.0},
        {"type": "circle", "r": 2.0, "note": "x"},
    ],
    "main": {"type": "circle", "r": 1.0, "note": None},
    "by": {"a": {"type": "square", "sideLength": 1.0}},
}  # fmt: skip


def test_tags_there_and_back(ends):
    """D1, D3: by dicts, JSON, frames of values and of JSON."""
    assert dataclass.dump(DRAWING) == DUMPED
    assert list(dataclass.dump(Circle(1.0)))[0] == "type"
    assert dataclass.load(Drawing, DUMPED) == DRAWING
    assert slipring.json.loads(dataclass.dump_to_bytes(DRAWING)) == DUMPED
    assert dataclass.load_from_bytes(Drawing, dataclass.dump_to_bytes(DRAWING)) == DRAWING
    tx, rx = ends
    for format in ("value", "json"):
        dataclass.to_frame(tx, DRAWING, format=format)
        frame = rx.recv(1)
        assert frame.value == DUMPED and dataclass.from_frame(Drawing, frame) == DRAWING
    assert (Circle.type, Square.type, Triangle.type) == ("circle", "square", 3)
    assert dataclass.from_arrow(Circle, dataclass.to_arrow([Circle(1.0)])) == [Circle(1.0)]
    assert pa.table(dataclass.to_arrow([Circle(1.0)]))["type"].to_pylist() == ["circle"]


def test_a_tag_wherever_it_stands_and_where_it_is_not():
    """D3: anywhere among the fields; where one class is expected it may be missing, and is no unknown field."""
    assert dataclass.load(Shape, {"r": 1.0, "note": None, "type": "circle"}) == Circle(1.0)
    assert dataclass.load(Circle, {"r": 1.0}) == Circle(1.0)
    assert dataclass.load(Circle, {"type": "circle", "r": 1.0}, unknown="raise") == Circle(1.0)
    assert dataclass.load_from_bytes(Square, b'{"sideLength": 1, "type": "square"}', unknown="raise") == Square(1.0)


@pytest.mark.parametrize(
    "cls, data, messages",
    [
        (Circle, {"type": "square", "r": 1.0}, {"type": ["Must be one of: circle."]}),
        (Circle, {"type": None, "r": "x"}, {"type": ["Field may not be null."], "r": ["Not a valid number."]}),
        (Triangle, {"type": True}, {"type": ["Must be one of: 3."]}),
        (Triangle, {"type": "3"}, {"type": ["Must be one of: 3."]}),
        (Shape, {"r": 1.0}, {"type": ["Missing data for required field."]}),
        (Drawing, {"shapes": [{"type": "circle", "r": "x"}, {"type": "hexagon"}]},
         {"shapes": {"0": {"r": ["Not a valid number."]}, "1": {"type": ["Must be one of: circle, square, 3."]}}}),
    ],
)  # fmt: skip
def test_tags_that_are_wrong(cls, data, messages):
    """D4, D5: each with its path, beside all else that is wrong."""
    for load in (lambda: dataclass.load(cls, data), lambda: dataclass.load_from_bytes(cls, slipring.json.dumps(data))):
        with pytest.raises(ValidationError) as raised:
            load()

        def plain(found):
            return {str(key): plain(value) if isinstance(value, dict) else value for key, value in found.items()}

        assert plain(raised.value.messages) == plain(messages)


def test_names_of_classes_as_tags():
    """D3: True is the name of each class, and of those that derive from it; a text is one class's."""

    @options(tag=True, tag_field="kind")
    @dataclasses.dataclass
    class Base:
        n: int = 0

    @dataclasses.dataclass
    class Left(Base):
        pass

    @dataclasses.dataclass
    class Right(Base):
        pass

    assert dataclass.dump(Right(1)) == {"kind": "Right", "n": 1}
    both = list[Left | Right | Base]
    assert dataclass.load(both, [{"kind": "Left"}, {"kind": "Right"}, {"kind": "Base"}]) == [Left(), Right(), Base()]
    assert Left.kind == "Left" and Base.kind == "Base"

    @dataclasses.dataclass
    class Small(Circle):
        pass

    assert dataclass.dump(Small(1.0)) == {"r": 1.0, "note": None}

    @options(tag="tiny")
    @dataclasses.dataclass
    class Tiny(Circle):
        pass

    assert dataclass.load(Circle | Tiny, dataclass.dump(Tiny(1.0))) == Tiny(1.0)
    named = Annotated[Circle | Tiny, Meta(discriminator="type")]
    assert dataclass.load(named, {"type": "circle", "r": 1}) == Circle(1.0)


def test_tags_that_can_not_be():
    """R9.1: said when the class is looked at, or at once."""
    for tag in (1.5, False, b"x", ()):
        with pytest.raises(TypeError, match="give a str, an int, or True"):
            options(tag=tag)
    with pytest.raises(TypeError, match="give the name of a field"):
        options(tag="x", tag_field="")

    @options(tag="x")
    @dataclasses.dataclass
    class Has:
        type: str = ""

    @options(tag="x", tag_field="other")
    @dataclasses.dataclass
    class Other:
        def other(self):
            pass

    @options(tag="x")
    class Typed(typing.TypedDict):
        a: int

    @options(tag="x")
    class Named(typing.NamedTuple):
        a: int

    @options(tag="x", tag_field="b")
    @dataclasses.dataclass
    class Outside:
        a: int = dataclasses.field(default=0, metadata=slipring.dataclass.meta(alias="b"))

    @options(tag="circle")
    @dataclasses.dataclass
    class Same:
        r: float

    for cls, said in ((Has, "has a field 'type'"), (Other, "has an attribute 'other'"), (Typed, "has no tag"), (Named, "has no tag"), (Outside, "are both called 'b'")):
        with pytest.raises(TypeError, match=said):
            dataclass.load(cls, {})
    with pytest.raises(TypeError, match="Circle and .*Same have the tag"):
        dataclass.load(Annotated[Circle | Same, Meta(discriminator="type")], {})


def test_a_literal_is_as_good():
    """D3: what pydantic's and msgspec's users write otherwise: a field of its own, which has a default."""

    @dataclasses.dataclass
    class A:
        kind: Literal["a"] = "a"

    @options(tag="b", tag_field="kind")
    @dataclasses.dataclass
    class B:
        n: int = 0

    for obj in (A(), B(1)):
        assert dataclass.load(A | B, dataclass.dump(obj)) == obj


def test_dataclasses_by_asyncio(name):
    """D6, R10.1: to_frame_async waits for room while other tasks go on, and sends what to_frame does."""

    async def main():
        with slipring.create(name, capacity="1 MiB", slots=8) as ring:
            tx, rx = ring.producer(), ring.consumer()
            order, turns = [Circle(float(n)) for n in range(40)], []

            async def send():
                for circle in order:
                    await dataclass.to_frame_async(tx, circle, format="value", meta={"n": int(circle.r)})
                await dataclass.to_frame_async(tx, [1, 2], list[int], format="json")

            async def turn():
                while len(turns) < 1000:
                    turns.append(None)
                    await asyncio.sleep(0)

            sending = asyncio.create_task(send())
            await turn()
            assert not sending.done()
            for circle in order:
                frame = await rx.recv_async()
                assert dataclass.from_frame(Circle, frame) == circle and frame.meta == {"n": circle.r}
            last = await rx.recv_async()
            assert last.format == "json" and last.value == [1, 2]
            await sending
            with pytest.raises(ValidationError):
                await dataclass.to_frame_async(tx, Circle("x"))
            with pytest.raises(TypeError):
                await dataclass.to_frame_async(tx, 1, int, str)
            # One that was given up sends nothing.
            for circle in order[:8]:
                await dataclass.to_frame_async(tx, circle)
            waiting = asyncio.create_task(dataclass.to_frame_async(tx, Circle(9.0)))
            await asyncio.sleep(0.02)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert [dataclass.from_frame(Circle, f).r for f in rx.recv_many(20, 0)] == [float(n) for n in range(8)]
            assert rx.try_recv() is None

    asyncio.run(main())


def test_two_of_a_tag_are_refused():
    """D3: the second would come back as the first."""

    @options(tag="same")
    @dataclasses.dataclass
    class One:
        x: int

    @options(tag="same")
    @dataclasses.dataclass
    class Other:
        x: int

    @options(tag="same", tag_field="other")
    @dataclasses.dataclass
    class Elsewhere:
        x: int

    for union in (One | Other, list[Other | One], dict[str, One | Other | None]):
        with pytest.raises(TypeError, match="One.* have the tag 'same' in one union|Other.* have the tag 'same' in one union"):
            dataclass.dump(union, None)
    assert dataclass.load(One | Elsewhere, {"type": "same", "x": 1}) == One(1)
    assert dataclass.load(One | None, {"type": "same", "x": 1}) == One(1)


def test_a_namedtuple_has_no_names_outside():
    """D3: what is said of names is about nothing there."""
    for said in ({"rename": "camelCase"}, {"omit_none": True}, {"tag": "a"}):

        @options(**said)
        class Named(typing.NamedTuple):
            an_int: int

        with pytest.raises(TypeError, match=f"has no {next(iter(said))}: make it a dataclass"):
            dataclass.load(Named, [1])
    for meta in (Meta(alias="x"), Meta(required="Give it.")):
        named = typing.NamedTuple("Named", [("an_int", Annotated[int, meta])])
        with pytest.raises(TypeError, match=r"^Named\.an_int: a NamedTuple is a list outside"):
            dataclass.load(list[named], [[1]])
