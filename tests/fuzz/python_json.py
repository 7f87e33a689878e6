"""Has hostile JSON, structures and frames read by `slipring.json` and `slipring.dataclass`, for a while: see walk.py.

What is promised of any bytes (J1, D4, D6, M5, P9): an object or an error of slipring's. What JSON is to `loads` is that to Python's
own module, too, and the same, and is written and read again as it was; so are rows of numbers, see rows.py. An object is loaded of JSON, or refused with the same
messages, as it is of the structure that the JSON says; and of a frame, as of the frame's value.
"""

import dataclasses
import datetime
import decimal
import enum
import json
import math
import numbers
import sys
import typing
import uuid

import slipring
from slipring import dataclass

import mutations
import rows
import walk

#: What numbers, texts and their like are broken with.
PIECES = [piece.encode() for piece in '{ } [ ] , : " \\ null true false NaN Infinity -0 1e400 -1E-9 0.1 1e5 00 "id" "items":[ \\ud83d \\u0000 \\/ "\\ud800\\udc00"'.split()]
PIECES += [b"\xff", b"\xc3\xa9", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\0", b" \t\r\n", b"[" * 2000, b"9" * 400, b"\xef\xbb\xbf"]


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass
class Item:
    name: str
    price: decimal.Decimal
    color: Color = Color.RED


@dataclasses.dataclass
class Cat:
    kind: typing.Literal["cat"]
    lives: int


@dataclasses.dataclass
class Dog:
    kind: typing.Literal["dog"]
    tricks: list[str]


@dataclass.options(unknown="raise")
@dataclasses.dataclass(slots=True)
class Order:
    id: uuid.UUID
    count: int
    weight: float
    paid: bool
    at: datetime.datetime
    day: datetime.date
    hour: datetime.time
    period: datetime.timedelta
    raw: bytes
    pet: typing.Union[Cat, Dog]
    note: typing.Optional[str] = None
    items: list[Item] = dataclasses.field(default_factory=list)
    tags: set[str] = dataclasses.field(default_factory=set)
    scores: dict[int, float] = dataclasses.field(default_factory=dict)
    pair: tuple[int, str] = (0, "")
    either: typing.Union[int, list[int], dict[str, int], Item, datetime.date, None] = None
    any: typing.Any = None


def order(n):
    """One of a few orders; JSON has their floats exactly, and their Decimals have a fraction."""
    utc = datetime.timezone.utc
    return Order(
        uuid.UUID(int=n << 64 | 7), n - 1 << 20 * n, n / 8, n % 2 == 0, datetime.datetime(2026, 11, 21, 1, 2, 3, 5 * n, utc if n % 2 else None),
        datetime.date(1, 1, 1 + n), datetime.time(n, 30), datetime.timedelta(n, 5), bytes(range(n)), Cat("cat", 9) if n % 2 else Dog("dog", ["sit"]),
        None if n % 3 else "é\U0001f600\n", [Item("tea", decimal.Decimal("2.50")), Item("cup", decimal.Decimal(n), Color.BLUE)], {"a", "b"},
        {n: 0.5, -1: 1e300}, (n, "x"), [5, [1, 2], {"k": 1}, Item("i", decimal.Decimal(1)), datetime.date(2026, 1, 1), None][n % 6], {"any": [1, None, "x"]},
    )  # fmt: skip


def outcome(call):
    """An object's text, or messages, or that it is damaged."""
    try:
        return "is", repr(call())
    except dataclass.ValidationError as error:
        assert error.messages and str(error)
        return "is not", error.messages
    except slipring.DecodeError as error:
        assert error.path.startswith("$") and error.hint, error
        return "damaged", None


def refuse(name):
    raise ValueError(name)


def read_json(data):
    """Whether the bytes are JSON."""
    try:
        value = slipring.json.loads(data)
    except slipring.DecodeError as error:
        assert error.path.startswith("$") and error.hint and error.line > 0 and error.column > 0, error
        return False
    text = data.decode()
    assert repr(json.loads(text, parse_constant=refuse)) == repr(value)
    written = slipring.json.dumps(value)
    assert repr(slipring.json.loads(written)) == repr(value) and slipring.json.dumps(slipring.json.loads(written)) == written
    return True


def read_object(data):
    """Whether the bytes are JSON of an order."""
    direct = outcome(lambda: dataclass.load_from_bytes(Order, data))
    try:
        plain = slipring.json.loads(data)
    except slipring.DecodeError:
        # A number may be too large for a float, and not for a Decimal.
        assert direct[0] == "damaged" or b"e" in data.lower(), direct
        return False
    if data.count(b'"kind"') > 1:
        return direct[0] == "is"  # the first one tells the class, where it is the first key
    through = outcome(lambda: dataclass.load(Order, plain))
    # Decimals have all digits of a number, of a float those that it needs.
    assert direct[0] == through[0] and (direct[0] == "is" or direct[1] == through[1]), (direct, through)
    return direct[0] == "is"


def told(messages):
    """Without unknown fields that are one key in a dict, such as 0 and False."""
    if not isinstance(messages, dict):
        return messages
    one = {"True", "False", "0", "1", "0.0", "1.0", "-0.0"}
    return {k: told(v) for k, v in messages.items() if not (k in one and v == ["Unknown field."])}


def finite(plain):
    """Whether no number in it is NaN or infinite."""
    if isinstance(plain, dict):
        return all(map(finite, plain.values())) and all(map(finite, plain))
    if isinstance(plain, (list, tuple, set, frozenset)):
        return all(map(finite, plain))
    return not isinstance(plain, numbers.Real) or (plain == plain and abs(plain) != math.inf)


def read_frame(frames, fields, body):
    """Whether the frame of this header and body is an order."""
    frame = frames.recv(fields, body)
    if frame is None:
        return False
    direct = outcome(lambda: dataclass.from_frame(Order, frame))
    if frame.format not in ("value", "json"):
        # What arrived is told, as of no other source.
        return direct[0] == "is"
    try:
        plain = frame.value
    except slipring.DecodeError:
        # What is not known may be gone past unseen.
        return direct[0] == "is"
    if bytes(frame.view).count(b"kind") > 1:
        return direct[0] == "is"
    is_json = fields[0] == mutations.FORMATS.index("json")
    if not is_json and not finite(plain):
        # A value may hold them, and what is loaded from JSON's types may not.
        return direct[0] == "is"
    through = outcome(lambda: dataclass.load(Order, plain))
    if direct[0] == "is not" and "This key stands twice." in str(direct[1]):
        return False
    assert direct[0] == through[0], (direct, through)
    same = direct[1] == through[1] or (direct[0] == "is not" and told(direct[1]) == told(through[1]))
    assert same or (is_json and direct[0] == "is"), (direct, through)
    return direct[0] == "is"


def broken(chance, data, others):
    """JSON with one to three changes."""
    data = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 3))):
        at = chance.randrange(len(data) + 1)
        kind = chance.randrange(7)
        if kind == 0:
            piece = chance.choice(PIECES)
            data[at : at + len(piece)] = piece
        elif kind == 1:
            data[at:at] = chance.choice(PIECES)
        elif kind == 2:
            data[at : at + 1] = bytes([chance.randrange(256)])
        elif kind == 3:
            del data[at : at + chance.choice((1, 1, 2, 9))]
        elif kind == 4:
            other = chance.choice(others)
            begin = chance.randrange(len(other) + 1)
            data[at:at] = other[begin : begin + chance.choice((1, 4, 30, 1 << 16))]
        elif kind == 5:
            # One value for another, which is often JSON as well.
            begin = max(data.rfind(b":", 0, at), data.rfind(b",", 0, at)) + 1
            end = data.find(b",", at)
            if 0 < begin < end:
                data[begin:end] = chance.choice((b"null", b"5", b'"x"', b"[]", b"{}", b"1.50", b"true", b'"2026-01-01"', b'"red"'))
        else:
            del data[at:]
    return bytes(data)


def prepare(folder):
    sys.set_int_max_str_digits(0)
    frames = walk.Frames(folder)
    orders = [order(n) for n in range(8)]
    texts = [dataclass.dump_to_bytes(one) for one in orders]
    texts += [text.replace(b",", b" ,\n").replace(b":", b": ") for text in texts]
    golden = json.loads((mutations.ROOT / "tests/golden/json.json").read_text())
    # Long ones of one kind are written and read in ways of their own.
    long = [[n * 7919**3 - 10 for n in range(300)], [n / 7 for n in range(300)], [n % 3 == 0 for n in range(300)]]
    documents = texts + [json.dumps(row).encode() for row in long]
    suite = [path.read_bytes() for path in sorted((mutations.ROOT / "tests/data/json_test_suite/test_parsing").iterdir())]
    documents += [text for text in suite if len(text) <= 1000]
    documents += [one["text"].encode() if "text" in one else bytes.fromhex(one["hex"]) for one in golden]
    heads = [slipring.encode(dataclass.dump(one, native=True)) for one in orders]
    for one, text in zip(orders, texts):
        assert dataclass.load_from_bytes(Order, text) == one
    value, as_json = mutations.FORMATS.index("value"), mutations.FORMATS.index("json")

    def draw(chance):
        kind = chance.choice(("json", "load", "frame", "rows"))
        if kind == "rows":
            return walk.Input(kind, *rows.drawn(chance))
        if kind == "json":
            return walk.Input(kind, (0, 0, 0, 0), broken(chance, chance.choice(documents), documents))
        if kind == "load":
            text = chance.choice(texts)
            return walk.Input(kind, (0, 0, 0, 0), text if chance.random() < 0.05 else broken(chance, text, texts))
        if chance.random() < 0.3:
            return walk.Input(kind, (as_json, 1, 0, 0), broken(chance, chance.choice(texts), texts) or b"\0")
        return walk.Input(kind, (value, 1, 0, 0), mutations.mutate(chance, chance.choice(heads), heads) or b"\0")

    def tried(given):
        if given.kind == "rows":
            return rows.tried(frames, given.fields, given.data)
        if given.kind == "json":
            return read_json(given.data)
        return read_object(given.data) if given.kind == "load" else read_frame(frames, given.fields, given.data)

    return draw, tried


walk.main("json", prepare)
