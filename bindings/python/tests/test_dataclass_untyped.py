"""What a dump makes of objects whose type no plan tells: as JSON has them."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import json as std
import typing

import numpy as np
import pytest

import slipring
from slipring import dataclass


class Level(enum.Enum):
    LOW = 1
    WHEN = dt.date(2026, 1, 2)


class Name(str, enum.Enum):
    A = "a"


class Spot:
    def __init__(self, x):
        self.x = x


def test_what_has_no_type_is_the_same_in_both_dumps():
    """D1, D2: what JSON has a form for has a plain form."""
    cls = dataclasses.make_dataclass("Cls", [("payload", dict[str, typing.Any])])
    cases = {
        "enum": (Level.LOW, 1),
        "enum of a date": (Level.WHEN, "2026-01-02"),
        "enum of text": (Name.A, "a"),
        "int": (np.int64(3), 3),
        "uint8": (np.uint8(3), 3),
        "bool": (np.bool_(True), True),
        "float": (np.float64(0.5), 0.5),
        "short float": (np.float32(0.5), 0.5),
        "half": (np.float16(0.5), 0.5),
        "text": (np.str_("x"), "x"),
        "array": (np.array([[1, 2], [3, 4]], np.int16), [[1, 2], [3, 4]]),
        "floats": (np.array([0.5], np.float32), [0.5]),
        "texts": (np.array(["a", "b"]), ["a", "b"]),
        "objects": (np.array([Level.LOW, None], object), [1, None]),
        "moment": (np.datetime64("2026-01-02T03:04:05.123456789"), "2026-01-02T03:04:05.123456789"),
        "moments": (np.array(["2026-01-02"], "M8[D]"), ["2026-01-02"]),
        "keys": ({Level.LOW: [Level.LOW], Name.A: 2}, {1: [1], "a": 2}),
        "values": (slipring.Object("spot", 1, {"x": Level.LOW}), {"x": 1}),
    }
    for name, (given, expected) in cases.items():
        made = cls({"k": given})
        assert dataclass.dump(made) == {"payload": {"k": expected}}, name
        assert dataclass.dump(made, native=True)["payload"]["k"] is not None
        assert std.loads(dataclass.dump_to_bytes(made)) == std.loads(std.dumps(dataclass.dump(made))), name
        assert type(dataclass.dump(made)["payload"]["k"]) is type(expected), name


def test_what_is_registered_is_its_fields_where_nothing_has_a_type(registered):
    """D1, D2."""
    slipring.register(Spot, name="spot")
    given = {"k": [Spot(Level.LOW)]}
    assert dataclass.dump(dict[str, typing.Any], given) == {"k": [{"x": 1}]}
    assert dataclass.dump_to_bytes(dict[str, typing.Any], given) == b'{"k":[{"x":1}]}'


def test_what_has_no_type_and_no_form_is_refused_by_both_dumps():
    """R9.3, D3."""
    odd = [np.datetime64("NaT"), np.array([1j]), np.ma.array([1]), np.timedelta64(1, "s"), object()]
    for given in odd:
        for call in (dataclass.dump, dataclass.dump_to_bytes):
            with pytest.raises(slipring.EncodeError, match="form") as caught:
                call(dict[str, typing.Any], {"k": given})
            assert caught.value.path == "$.k"
