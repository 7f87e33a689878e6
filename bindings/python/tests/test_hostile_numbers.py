"""Numbers that take time by what they are: of many digits, and of one hash."""

from __future__ import annotations

import dataclasses
import decimal
import fractions
import random
import subprocess
import sys
import time
import uuid

import pytest

import slipring
from slipring import dataclass

PRIME = 2**61 - 1


def string(data):
    return b"\x5a" + len(data).to_bytes(4, "big") + data


def big(n):
    return b"\xc2" + string(n.to_bytes((n.bit_length() + 7) // 8, "big"))


#: Numbers of one hash each, which Python reduces by a prime that everybody knows.
ALIKE = {
    "ints": lambda n: big(2**64 * PRIME + n * PRIME),
    "tuples": lambda n: b"\xd9\xb9\xf1\x82\x01" + big(2**64 * PRIME + n * PRIME),
    "uuids": lambda n: b"\xd8\x25\x50" + (2**64 * PRIME + n * PRIME).to_bytes(16, "big"),
    "ratios": lambda n: b"\xd8\x1e\x82" + big(2**64 * PRIME + n * PRIME) + b"\x01",
}


@pytest.mark.parametrize("kind", ALIKE)
def test_keys_of_one_hash_take_no_time(kind):
    """P9: 20,000 of them took seconds, since each is compared with all before it."""
    keys = [ALIKE[kind](n) for n in range(20_000)]
    assert len({hash(slipring.decode(key)) for key in keys[:200]}) == 1
    count = len(keys).to_bytes(4, "big")
    began = time.process_time()
    for data in (b"\xba" + count + b"".join(key + b"\xf6" for key in keys), b"\xd9\x01\x02\x9a" + count + b"".join(keys)):
        with pytest.raises(slipring.DecodeError, match="more than 64 keys have one hash") as raised:
            slipring.decode(data)
        assert "128" in raised.value.path
    assert time.process_time() - began < 1
    # As many as chance could ever have, and keys of all kinds that nobody chose.
    few = slipring.decode(b"\xb8\x80" + b"".join(key + b"\xf6" for key in keys[:128]))
    assert len(few) == 128 and slipring.decode(slipring.encode(few)) == few
    draw = random.Random(3)
    honest = {draw.getrandbits(200): 1 for _ in range(3000)} | {(draw.random(), n): 1 for n in range(3000)}
    honest |= {uuid.UUID(int=draw.getrandbits(128)): 1 for _ in range(3000)} | {n * PRIME: 1 for n in range(-8, 8)}
    assert slipring.decode(slipring.encode(honest)) == honest
    assert slipring.decode(slipring.encode(set(honest))) == set(honest)


@dataclasses.dataclass
class Keyed:
    by: dict[int, int] = dataclasses.field(default_factory=dict)
    all: set[uuid.UUID] = dataclasses.field(default_factory=set)


def test_dataclasses_refuse_them_too():
    """P9, D4: from objects, from JSON, and among sets."""
    numbers = [2**64 * PRIME + n * PRIME for n in range(20_000)]
    began = time.process_time()
    with pytest.raises(slipring.Error, match="more than 64 keys have one hash"):
        dataclass.load_from_bytes(Keyed, b'{"by": {' + b", ".join(b'"%d": 1' % n for n in numbers) + b"}}")
    with pytest.raises(slipring.Error, match="more than 64 keys have one hash"):
        dataclass.load(Keyed, {"all": [str(uuid.UUID(int=n)) for n in numbers]})
    assert time.process_time() - began < 1


def test_parts_of_a_ratio_have_few_digits():
    """P9: what they have in common takes the square of their number to find; 100,000 digits are more than enough."""
    n = fractions.Fraction(3**100_000, 2**100_000)
    assert slipring.decode(slipring.encode(n)) == n
    many = 1 << 400_000
    for parts in ([many + 1, many - 1], [many, 1], [1, many]):
        data = b"\xd8\x1e\x82" + b"".join(map(big, parts))
        began = time.process_time()
        with pytest.raises(slipring.DecodeError, match="a ratio of more than 100000 digits") as raised:
            slipring.decode(data)
        assert raised.value.type == "Fraction" and time.process_time() - began < 0.1


@dataclasses.dataclass
class Priced:
    price: decimal.Decimal


def test_digits_of_a_hostile_decimal_are_few(foreign):
    """P9, D2: a Decimal straight from a frame into a dataclass is bound as one of a value is, whatever its digits and exponent."""

    def sent(mantissa, exponent=b"\x21"):
        return foreign(1, 0, b"\xa1\x65price\xc4\x82" + exponent + mantissa, 0)

    began = time.process_time()
    for _ in range(5):
        found = dataclass.from_frame(Priced, sent(big(10**90_000 - 1)))
        assert found.price.adjusted() == 89_997
        for mantissa in (big(10**100_100), big(1 << 3_000_000)):
            with pytest.raises(slipring.DecodeError, match="a decimal of more than 100000 digits"):
                dataclass.from_frame(Priced, sent(mantissa))
    for exponent in (b"\x3b" + b"\xff" * 8, b"\x1b" + b"\xff" * 8):
        with pytest.raises((slipring.DecodeError, slipring.ValidationError)):
            dataclass.from_frame(Priced, sent(b"\x1b" + b"\xff" * 8, exponent))
    assert time.process_time() - began < 2


LIMITED = """
import dataclasses, decimal, fractions, sys, slipring
from slipring import dataclass, json
sys.set_int_max_str_digits(640)
D = decimal.Decimal
n = 10**3000 + 7
long = [D("1." + "3" * 900), D("3" * 4000), D("-" + "3" * 4001), D("9" * 641)]
for value in ([n, -n], {n: {-n: n}}, *long, fractions.Fraction(n, 7), range(0, n, 2), {n, (n,)}, slipring.Tag(7, n)):
    assert slipring.decode(slipring.encode(value)) == value
    slipring.explain(value)
assert json.loads(json.dumps([n, -n])) == [n, -n]
assert list(json.loads(json.dumps({n: 1}, keys="convert")))
assert json.loads(json.dumps(long), floats="decimal")[0] == long[0]
with slipring.create(sys.argv[1]) as ring:
    tx, rx = ring.producer(), ring.consumer()
    tx.send(b"x", meta={"n": n, "d": long[1]})
    assert rx.recv(1).meta == {"n": n, "d": long[1]}
    tx.send([{"n": n}] * 200)
    assert rx.recv(1).value == [{"n": n}] * 200
@dataclasses.dataclass
class A:
    f: dict[int, int]
    s: str = ""
short = 10**600
assert dataclass.load(A, dataclass.dump(A({short: n}))) == A({short: n})
assert dataclass.load_from_bytes(A, dataclass.dump_to_bytes(A({short: n}))) == A({short: n})
try:
    # A key is a text there, which Python would not read.
    dataclass.load_from_bytes(A, json.dumps({"f": {n: 1}}, keys="convert"))
except dataclass.ValidationError as error:
    assert list(error.messages["f"].values()) == [{"key": ["Not a valid integer."]}]
else:
    raise AssertionError
try:
    dataclass.load(A, {"f": {n: "x"}, "s": n})
except dataclass.ValidationError as error:
    messages = {"f": {f"an integer of {n.bit_length()} bits": {"value": ["Not a valid integer."]}}, "s": ["Not a valid string."]}
    assert error.messages == messages, error.messages
else:
    raise AssertionError
print("done")
"""


def test_where_python_writes_few_digits(name):
    """R4.1, R9.1: `sys.set_int_max_str_digits` says how Python's own conversions end, not ours."""
    ran = subprocess.run([sys.executable, "-c", LIMITED, name], capture_output=True, text=True, timeout=60)
    assert ran.stdout == "done\n", ran.stderr[-2000:]
