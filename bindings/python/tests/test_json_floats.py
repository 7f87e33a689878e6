"""Floats written as JSON: those that are hardest to judge, computed, and all kinds of others.

A float is c * 2**q. What the writer computes is its quotient by 10**(k+1): the fraction, cut to 64 bits, decides between
the digits. Power, product and fraction are cut, so that the fraction may be one less in the last place than the true
one cut, and half of the way to the next float as well. So whatever is judged wrongly has a fraction within three of
these units from where the decision changes: at that half of the way from the whole numbers, and in the middle between two
tenths. For each exponent those floats are found here by arithmetic modulo one, and all of them are tried.
"""

from __future__ import annotations

import os
import random
import re
import struct
from decimal import Decimal as D

import numpy as np
import pytest

from slipring import json

FIRST, END = 2**52, 2**53
ONE = 2**256  # the unit of fractions here
#: More than the three units of the last place, for more floats to try; and what a fraction here may be off, and more.
WINDOW, EXACT = ONE >> 57, ONE >> 180


def text(x: float) -> str:
    """Python's digits, which are the shortest and of these the nearest, laid out as JSON has them."""
    sign, digits, exponent = re.fullmatch(r"(-?)([\d.]+)(?:e(.*))?", repr(x)).groups()
    exponent = int(exponent or 0)
    if exponent == -5:
        return f"{sign}0.0000{digits.replace('.', '')}"
    return f"{sign}{digits}" + (f"e{exponent:+}" if exponent else "")


def check(xs: list[float]) -> None:
    written = json.dumps(xs, text=True)[1:-1].split(",") if xs else []
    assert len(written) == len(xs)
    for ours, x in zip(written, xs, strict=True):
        assert ours == text(x), x.hex()


def doubles(bits) -> list[float]:
    return list(struct.unpack(f"<{len(bits)}d", struct.pack(f"<{len(bits)}Q", *bits)))


def first_within(a: int, start: int, low: int, width: int, m: int = ONE) -> int | None:
    """The smallest t >= 0 for which start + a * t, modulo m, is among the `width` numbers from `low` on."""
    return first_between(a % m, m, *((low - start) % m, (low - start + width - 1) % m))


def first_between(a: int, m: int, low: int, high: int) -> int | None:
    """The smallest t >= 0 with low <= a * t % m <= high, by Euclid's steps; from `high` through 0 to `low` if that is above."""
    if low == 0 or low > high:
        return 0
    if a == 0:
        return None
    if 2 * a > m:
        return first_between(m - a, m, m - high, m - low)
    t = -(-low // a)
    if a * t <= high:
        return t
    # The products that pass m: how often, is the same question modulo a.
    turns = first_between(-m % a, a, low % a, high % a)
    return None if turns is None else -(-(low + m * turns) // a)


def all_within(a: int, first: int, low: int, width: int, most: int) -> list[int]:
    """Of all c from `first` on those for which a * c lies there: at most so many from the first on, and from the last on."""
    found = set()
    for step, begin, end in ((1, first, END), (-1, END - 1, first - 1)):
        at, left = begin, most
        while left and (t := first_within(step * a, a * at, low, width)) is not None and (end - at) * step > t:
            at += step * t
            found.add(at)
            at, left = at + step, left - 1
    return sorted(found)


def hard(exponent: int) -> list[int]:
    """The bits of all doubles of an exponent that are hard to judge; of those exactly where the decision changes, which may
    be many, the first and the last ones: the larger c is, the more is cut, so that all between are judged as these."""
    q = exponent - 1075
    k = len(str(2**q)) - 1 if q >= 0 else -len(str(2**-q - 1))
    up, down = 2 ** max(q, 0) * 10 ** max(-k - 1, 0), 2 ** max(-q, 0) * 10 ** max(k + 1, 0)
    assert down <= 10 * up < 10 * down
    a = ONE * up // down
    half = a // 2
    # Subnormals have the first exponent's q. A power of two has another half below it.
    first = 1 if exponent == 1 else FIRST + 1
    found = set()
    for place in (half, ONE - half, *(ONE * n // 20 for n in range(1, 20, 2))):
        found.update(all_within(a, first, (place - EXACT) % ONE, 2 * EXACT, 8))
        for low in (place - WINDOW, place + EXACT):
            beside = all_within(a, first, low % ONE, WINDOW - EXACT, 500)
            assert len(beside) < 500
            found.update(beside)
    return [(exponent << 52) + c - FIRST for c in found]


def test_what_is_hard_is_found():
    """The search itself, where all can be counted."""
    draw = random.Random(1)
    for _ in range(3_000):
        m = draw.randrange(1, 200)
        a, start, low, width = (draw.randrange(m) for _ in range(4))
        if width == 0:
            continue
        naive = next((t for t in range(m) if (start + a * t - low) % m < width), None)
        assert first_within(a, start, low, width, m) == naive, (a, start, low, width, m)


@pytest.mark.parametrize("part", range(8))
def test_hard_doubles_have_the_digits_of_repr(part):
    """J1, J2: each exponent; of the hard ones all."""
    count = 0
    for exponent in range(1 + part, 2047, 8):
        bits = hard(exponent)
        count += len(bits)
        check(doubles(bits))
    assert count > 100


def test_neighbours_of_powers_have_the_digits_of_repr():
    """J1, J2: of two, which have one neighbour nearer than the other, and of ten; subnormals."""
    near = [e << 52 for e in range(2047)] + [1 << e for e in range(52)]
    near += [struct.unpack("<Q", struct.pack("<d", float(f"{n}e{e}")))[0] for e in range(-323, 309) for n in (1, 2, 5, 9)]
    check(doubles(sorted({b + d for b in near for d in (-1, 0, 1) if 0 <= b + d < 2047 << 52})))
    check([-x for x in doubles(range(2_000))])


def test_any_doubles_have_the_digits_of_repr():
    """J1, J2: random ones of each exponent, integers, decimals; `SLIPRING_ROUNDS` thousands of each."""
    draw = random.Random(os.urandom(8) if os.environ.get("SLIPRING_RANDOM") else 2)
    for _ in range(int(os.environ.get("SLIPRING_ROUNDS", "40"))):
        bits = [draw.getrandbits(63) for _ in range(1_000)]
        check(doubles([b for b in bits if b >> 52 < 2047]))
        check([float(draw.getrandbits(draw.randrange(1, 70))) for _ in range(1_000)])
        check([draw.randrange(10 ** draw.randrange(1, 17)) / 10 ** draw.randrange(22) for _ in range(1_000)])
        check([-draw.random() * 10 ** draw.randrange(-7, 18) for _ in range(1_000)])


def test_short_floats_have_the_digits_of_numpy():
    """J1, J2: an array of them in the digits that each takes."""
    draw = random.Random(3)
    bits = [e << 23 | draw.getrandbits(23) >> draw.randrange(24) for e in range(255) for _ in range(40)]
    xs = np.array(bits, np.uint32).view(np.float32)
    written = json.dumps(np.concatenate([xs, -xs]), text=True)[1:-1].split(",")
    for ours, x in zip(written, [*xs, *-xs], strict=True):
        assert D(ours) == D(np.format_float_scientific(x)), x.tobytes().hex()
