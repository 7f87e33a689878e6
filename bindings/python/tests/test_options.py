"""Options of the wrong kind, and arguments of the wrong sort: R9.1. Each is named, with what it takes."""

import dataclasses
import decimal
import typing

import numpy as np
import pytest

import slipring
from slipring import dataclass, json


@dataclasses.dataclass
class Point:
    x: int


@pytest.mark.parametrize(
    "call, said",
    [
        (lambda: json.dumps({}, nan=True), 'nan must be "error", "null" or "constants", not bool'),
        (lambda: json.dumps({}, keys=1), 'keys must be "strict" or "convert", not int'),
        (lambda: json.dumps({}, decimals=None), 'decimals must be "number" or "text", not NoneType'),
        (lambda: json.dumps({}, surrogates=1), 'surrogates must be "error" or "keep", not int'),
        (lambda: json.dumps({}, sort_keys="yes"), "sort_keys must be True or False, not str"),
        (lambda: json.dumps({}, ascii=1), "ascii must be True or False, not int"),
        (lambda: json.dumps({}, text="yes"), "text must be True or False, not str"),
        (lambda: json.loads("1", nan="yes"), "nan must be True or False, not str"),
        (lambda: json.loads("1", duplicates=True), 'duplicates must be "last" or "error", not bool'),
        (lambda: json.loads("1", floats=float), 'floats must be "float" or "decimal", not type'),
        (lambda: json.loads("1", surrogates=True), 'surrogates must be "error" or "keep", not bool'),
        (lambda: dataclass.load(Point, {}, strict="no"), "strict must be True or False, not str"),
        (lambda: dataclass.load(Point, {}, unknown=True), 'unknown must be "ignore", "raise" or None, not bool'),
        (lambda: dataclass.dump(Point(1), native=1), "native must be True or False, not int"),
        (lambda: dataclass.load_from_bytes(Point, b"{}", duplicates=True), 'duplicates must be "last" or "error", not bool'),
        (lambda: dataclass.load_from_bytes(Point, b"{}", max_digits="9"), "max_digits must be a number of digits, not str"),
        (lambda: slipring.create(1), "name must be a text, or None, not int"),
        (lambda: slipring.create("x", mode=1), 'mode must be "spsc", "mpsc", "spmc" or "mpmc", not int'),
        (lambda: slipring.create(anonymous=1), "anonymous must be True or False, not int"),
        (lambda: slipring.create("x", keep="no"), "keep must be True or False, not str"),
        (lambda: slipring.decode(b"1", pickle="no"), "pickle must be True or False, not str"),
    ],
)
def test_an_option_of_another_kind_is_named(call, said):
    with pytest.raises(TypeError) as caught:
        call()
    assert str(caught.value) == said


def test_an_option_of_a_ring_of_another_kind_is_named(ring):
    tx = ring.producer()
    for call, said in [
        (lambda: ring.consumer(ack=1), 'ack must be "auto" or "manual", not int'),
        (lambda: ring.consumer(checks=None), 'checks must be "safe" or "full", not NoneType'),
        (lambda: ring.consumer(copy="no"), "copy must be True or False, not str"),
        (lambda: tx.send(1, drop_oldest="no"), "drop_oldest must be True or False, not str"),
        (lambda: dataclass.to_frame(tx, Point(1), format=1), 'format must be "value" or "json", not int'),
    ]:
        with pytest.raises(TypeError) as caught:
            call()
        assert str(caught.value) == said
    # NumPy's truth is one.
    tx.send(1, drop_oldest=np.False_)


def test_default_by_position():
    """J1: as orjson takes it; what stands there and is no function, such as a file, is named."""
    assert json.dumps({1}, list) == b"[1]" == json.dumps({1}, default=list)
    with pytest.raises(TypeError, match="^default must be a function of one object, not TextIOWrapper"), open(__file__) as file:
        json.dumps({}, file)
    with pytest.raises(TypeError, match="from 1 to 2 positional"):
        json.dumps({}, list, 2)


def test_errors_of_json_are_at_hand():
    """J1: where who comes from the standard library looks."""
    assert json.DecodeError is slipring.DecodeError and json.EncodeError is slipring.EncodeError
    assert {"DecodeError", "EncodeError"} <= set(json.__all__)


def test_digits_of_numbers_are_limited():
    """R9.1: ints beyond 64 bits and Decimals, typed or not, with the path; texts are no numbers."""
    ones = "1" * 30

    @dataclasses.dataclass
    class Item:
        n: int
        price: decimal.Decimal | None = None
        more: typing.Any = None

    for text, path in [
        (f'{{"n": {ones}}}', "$.n"),
        (f'{{"n": 1, "price": 0.{ones}}}', "$.price"),
        (f'{{"n": 1, "price": {ones}}}', "$.price"),
        (f'{{"n": 1, "more": [{ones}]}}', "$.more[0]"),
    ]:
        assert dataclass.load_from_bytes(Item, text, max_digits=31) == dataclass.load_from_bytes(Item, text)
        with pytest.raises(slipring.DecodeError, match="digits") as caught:
            dataclass.load_from_bytes(Item, text, max_digits=29)
        assert caught.value.path == path and "max_digits" in caught.value.hint
    price = dataclass.load_from_bytes(Item, f'{{"n": 1, "price": "{ones}"}}', max_digits=4).price
    assert price == decimal.Decimal(ones)


def test_tables_of_what_is_no_row():
    """D5, R9.1: what was given, and what is meant."""
    for given, name in (([1, 2], "int"), (["a"], "str"), ([[1]], "list")):
        with pytest.raises(slipring.EncodeError, match=f"rows are objects of a class with fields, not of {name}, .*format=\"arrow\""):
            dataclass.to_arrow(given)
    with pytest.raises(slipring.EncodeError, match=r"not of list\[Point\], .*give the type of one row: to_arrow\(cls, objects\)"):
        dataclass.to_arrow(list[Point], [Point(1)])
    table = dataclass.to_arrow([Point(1)])
    for tp, title in ((list[Point], r"list\[Point\]"), (int, "int"), (set[int], r"set\[int\]")):
        with pytest.raises(TypeError, match=f"from_arrow makes a list.*the type of one row, .* not {title}"):
            dataclass.from_arrow(tp, table)
    assert dataclass.from_arrow(dict[str, int], table) == [{"x": 1}] == dataclass.from_arrow(typing.Any, table)


def test_frames_of_what_is_no_object(ends):
    """R9.1: what arrived, and what reads it."""
    tx, rx = ends
    for sent, said in [
        (b'{"x": 1}', "Bytes arrived, and no object; if they are JSON: load_from_bytes(Point, frame.view)."),
        (np.ones(3), "An array arrived, and no object: frame.value is it."),
        (dataclass.to_arrow([Point(1)]), "A table arrived, which is many rows: from_frame(list[Point], frame)."),
    ]:
        tx.send(sent)
        frame = rx.recv(0)
        with pytest.raises(dataclass.ValidationError) as caught:
            dataclass.from_frame(Point, frame)
        assert caught.value.messages == {"_schema": [said]} and str(caught.value) == f"Point: {said}"
        match frame.format:
            case "raw":
                assert dataclass.load_from_bytes(Point, frame.view) == Point(1) and dataclass.from_frame(bytes, frame) == sent
            case "arrow":
                assert dataclass.from_frame(list[Point], frame) == [Point(1)]
            case _:
                assert dataclass.from_frame(np.ndarray, frame).tolist() == [1, 1, 1]


def test_errors_name_the_type_as_it_is_written():
    """R9.3: the whole of it, whatever `typing` makes of it."""
    T = typing.TypeVar("T")

    @dataclasses.dataclass
    class Box(typing.Generic[T]):
        inner: T

    for tp, title in [
        (int, "int"),
        (list[Point], "list[Point]"),
        (typing.List[Point], "list[Point]"),
        (typing.Optional[int], "int | None"),
        (int | Point, "int | Point"),
        (typing.Union[int, typing.Literal["a", 1]], "int | Literal['a', 1]"),
        (typing.Annotated[dict[str, int], dataclass.Meta(none="x")], "dict[str, int]"),
        (tuple[int, ...], "tuple[int, ...]"),
        (Box[int], "test_errors_name_the_type_as_it_is_written.<locals>.Box[int]"),
    ]:
        with pytest.raises(dataclass.ValidationError) as caught:
            dataclass.load(tp, {"inner": 1.5})
        assert str(caught.value).startswith(f"{title}: "), str(caught.value)
