"""Numbers of JSON: to the last bit, of any length, and what a float or an int does not hold. What floats are written as is
looked at more closely in test_json_floats.py."""

from __future__ import annotations

import decimal
import json as std
import math
import random
import re
import struct
import sys
import time

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

import slipring
from slipring import json

D = decimal.Decimal


def test_random_doubles_come_back():
    """J1: to the last bit, in the digits of Python's repr, and as Python's own reader reads them."""
    draw = random.Random(7)
    bits = [draw.getrandbits(64) for _ in range(100_000)]
    bits += [(e << 52) + d & 2**64 - 1 for e in range(2047) for d in (-1, 0, 1)]
    xs = [x for x, in struct.iter_unpack("<d", struct.pack(f"<{len(bits)}Q", *bits)) if math.isfinite(x)]
    back = json.loads(json.dumps(xs))
    assert struct.pack(f"{len(xs)}d", *back) == struct.pack(f"{len(xs)}d", *xs)
    same_digits = lambda x: re.sub(r"e([+-]?)0*", r"e\1", repr(x).replace("e+", "e"))  # noqa: E731
    for x in xs[:20_000]:
        ours = json.dumps(x, text=True)
        assert D(ours) == D(repr(x)) and len(ours.lstrip("-")) <= 24
        assert ours in (same_digits(x), ours) and float(ours) == x


def test_long_numbers_are_rounded_once():
    """J1: decimals of any length, half-way cases and their neighbours, as Python's float reads them."""
    draw = random.Random(8)
    texts = []
    for _ in range(40_000):
        digits = draw.randrange(1, 26)
        whole = str(draw.randrange(10 ** (digits - 1), 10**digits))
        point = draw.randrange(1, digits + 1)
        text = whole[:point] + ("." + whole[point:] if point < digits else ".0")
        texts.append(text + (f"e{draw.randrange(-345, 300)}" if draw.random() < 0.7 else ""))
    for _ in range(4_000):
        # Exactly between two doubles, and a little beside it.
        low = struct.unpack("<d", struct.pack("<Q", draw.getrandbits(52) | draw.randrange(900, 1150) << 52))[0]
        with decimal.localcontext() as context:
            context.prec = 1200
            middle = (D(low) + D(math.nextafter(low, math.inf))) / 2
            short = D(f"{middle:.18e}")
        texts += [f"{middle:e}", f"{middle:f}"[:1100] + "1" if "." in f"{middle:f}" else f"{middle:f}.1", f"{short:e}"]
    texts += ["9007199254740993.0", "9007199254740992.999999999999999999", "2.4703282292062327e-324", "2.4703282292062328e-324"]
    texts += ["2.2250738585072014e-308", "2.2250738585072011e-308", "1.7976931348623158e308", "0.000001", "1e23", "8.5e22"]
    texts += [f"{m}e{e}" for m in (1, 9, 2**53, 2**53 + 1, 2**64 - 1, 2**63) for e in range(-342, 289)]
    texts += ["0." + "0" * n + "123456789" for n in range(0, 320, 7)] + ["1" + "0" * n + ".0" for n in range(300)]
    for text in texts:
        theirs = float(text)
        if math.isinf(theirs):
            continue
        assert json.loads(text).hex() == theirs.hex(), text
        assert json.loads("-" + text).hex() == (-theirs).hex(), text


def test_floats_beyond_a_double_are_said():
    """J1: no infinity appears unasked."""
    for text in ("1e400", "-1e400", "1" + "0" * 400 + ".0", "1.7976931348623159e308", "1e99999999999999999999"):
        with pytest.raises(slipring.DecodeError, match="beyond what a float holds") as caught:
            json.loads(f'{{"a": [{text}]}}')
        assert caught.value.path == "$.a[0]" and caught.value.column == 8
        assert math.isinf(json.loads(text, nan=True))
    assert json.loads("1e400", floats="decimal") == D("1e400")
    assert json.loads("1e-99999999999999999999") == 0.0
    assert json.loads("0e99999999999999999999") == 0.0


def test_ints_of_every_size():
    """J1: around each power of ten and of two, and far beyond what Python reads and writes unasked."""
    edges = [s * (b**e + d) for b in (2, 10) for e in range(0, 140) for d in (-1, 0, 1) for s in (1, -1)]
    assert json.dumps(edges, text=True) == std.dumps(edges, separators=(",", ":"))
    back = json.loads(json.dumps(edges))
    assert back == edges and {type(n) for n in back} == {int}
    assert json.loads("[-0, 0, -1]") == [0, 0, -1] and type(json.loads("-0")) is int
    draw = random.Random(9)
    for digits in (640, 641, 1023, 1024, 1025, 4299, 4300, 4301, 5000, 20_000):
        text = str(draw.randrange(1, 10)) + "".join(draw.choices("0123456789", k=digits - 1))
        n = json.loads(text)
        assert type(n) is int and n == int(D(text)) and json.loads("-" + text) == -n
        assert json.dumps([n, -n], text=True) == f"[{text},-{text}]"
        assert json.dumps({n: 1}, keys="convert", text=True) == f'{{"{text}":1}}'
    limit = sys.get_int_max_str_digits()
    assert limit == 4300 or limit == 0 or limit > 640  # untouched
    assert json.loads("1" * 5000, max_digits=5000) > 0
    for options in ({}, {"floats": "decimal"}):
        with pytest.raises(slipring.DecodeError, match="5000 digits, more than 4999") as caught:
            json.loads("[0, " + "1" * (5000 if not options else 4999) + ("]" if not options else ".5]"), max_digits=4999, **options)
        assert caught.value.offset == 4 and caught.value.path == "$[1]"


def test_a_million_digits_take_no_minutes():
    """J1: the time of reading grows less than with the square."""
    start = time.perf_counter()
    n = json.loads("7" * 1_000_000)
    assert n % 10**9 == 777_777_777 and n.bit_length() == 3321928
    assert time.perf_counter() - start < 60


@hypothesis.given(st.decimals())
def test_decimals_are_exact(x):
    """J1: as numbers, or as text."""
    text = str(x)
    assert json.dumps(x, decimals="text", text=True) == f'"{text}"'
    if not x.is_finite():
        with pytest.raises(slipring.EncodeError):
            json.dumps(x)
        constant = "NaN" if x.is_nan() else f"{'-' * x.is_signed()}Infinity"
        assert json.dumps(x, nan="constants", text=True) == constant and json.dumps(x, nan="null") == b"null"
        return
    assert json.dumps([x], text=True) == f"[{text}]"
    std.loads(text)
    back = json.loads(text, floats="decimal")
    assert (str(back) == text and type(back) is D) if set(text) & set(".eE") else back == int(x)


def test_floats_may_become_decimals():
    """J1."""
    got = json.loads('{"a": [1.10, 1, 1E+3, -0.0]}', floats="decimal")["a"]
    assert list(map(str, got)) == ["1.10", "1", "1E+3", "-0.0"] and type(got[1]) is int
    with pytest.raises(slipring.DecodeError, match="Decimal"):
        json.loads("1e9999999999999999999999", floats="decimal")


#: Truth values in no order that one could foretell.
TRUTH = [bool(random.Random(n).getrandbits(1)) for n in range(3000)]


@pytest.mark.parametrize("behind", [[], [None], [1, True], ["x", False, False], [[True]], [2**80]], ids=repr)
def test_rows_of_truth_values_end_anywhere(behind):
    """J1: a list that begins with them, of any length, wherever the memory is full, and whatever follows."""
    for size in [*range(40), 150, 170, 200, 600, 3000]:
        row = TRUTH[:size] + behind
        theirs = std.dumps(row, separators=(",", ":"))
        for before in (0, 880, 890, 900, 910, 920, 4000):
            assert json.dumps(["x" * before, row, tuple(row)], text=True) == f'["{"x" * before}",{theirs},{theirs}]'
        assert json.dumps(row, text=True, indent=1) == std.dumps(row, indent=1)


#: The widest numbers of each kind, and how they are written.
WIDEST = {
    "?": {True: "true", False: "false"},
    "f": {-1.1754944e-38: "-1.1754944e-38", 0.0: "0.0", 3.4028235e38: "3.4028235e+38"},
    "d": {-2.2250738585072014e-308: "-2.2250738585072014e-308", 0.5: "0.5"},
    **{kind: {n: str(n) for n in (np.iinfo(kind).min, np.iinfo(kind).max, 7)} for kind in "bBhHiIqQ"},
}


@pytest.mark.parametrize("kind", WIDEST)
def test_arrays_end_anywhere(kind):
    """J1: arrays of one and more dimensions, wherever the memory is full."""
    numbers = random.Random(3).choices(list(WIDEST[kind]), k=3000)
    for size in [*range(40), 150, 600, 3000]:
        row = np.array(numbers[:size], kind)
        theirs = f"[{','.join(WIDEST[kind][n] for n in numbers[:size])}]"
        assert json.dumps(row, text=True) == theirs
        for before in (880, 900, 920, 4000):
            made = json.dumps(["x" * before, np.stack([row, row])], text=True)
            assert made == f'["{"x" * before}",[{theirs},{theirs}]]'
        assert "".join(json.dumps(row, indent=2, text=True).split()) == theirs


def test_rows_go_straight_into_a_frame():
    """J1, R14.1: what does not fit a frame's room is counted, and then written, as in bytes of one's own."""
    ring = slipring.create(anonymous=True, capacity="4 MiB")
    tx, rx = ring.producer(), ring.consumer()
    for size in [*range(0, 400, 7), 3000]:
        for row in (TRUTH[:size], np.array(TRUTH[:size]), np.arange(size) - 2**62, np.arange(size, dtype="f4") / 3):
            tx.send([row, row], format="json")
            with rx.recv(0) as frame:
                assert bytes(frame.view) == json.dumps([row, row])


def test_an_array_s_number_that_is_none_is_told_by_its_place():
    """J1: behind many others, in lines and without."""
    array = np.ones((300, 2), "f4")
    array[299] = [np.nan, -np.inf]
    for indent in (None, 1):
        assert json.loads(json.dumps(array, nan="null", indent=indent))[-2:] == [[1.0, 1.0], [None, None]]
        assert json.dumps(array, nan="constants", indent=indent).split()[-1].endswith(b"NaN,-Infinity]]" if indent is None else b"]")
        with pytest.raises(slipring.EncodeError) as caught:
            json.dumps({"a": array}, indent=indent)
        assert caught.value.path == "$.a[299][0]"


@pytest.mark.parametrize("told", ["i1", "i8"])
def test_an_array_that_says_something_else_of_itself_is_refused(told):
    """J1: a class below NumPy's may say what it likes of its items, and something else the next time."""

    class Liar(np.ndarray):
        asked = 0

        @property
        def dtype(self):
            self.asked += 1
            return np.dtype(told if self.asked == 1 else "i4")

    for shape in ((24,), (2, 3, 4)):
        with pytest.raises(slipring.EncodeError, match="Liar"):
            json.dumps(np.arange(24).reshape(shape).view(Liar))
