"""Numbers at their edges: rounding, NaN and infinities, zeros with a sign."""

from __future__ import annotations

import dataclasses
import decimal
import math
import struct
import typing

import numpy as np
import pyarrow as pa
import pytest

import slipring
from slipring import dataclass

D = decimal.Decimal
field, meta = dataclasses.field, dataclass.meta


def messages(tp, given):
    with pytest.raises(dataclass.ValidationError) as caught:
        dataclass.load(tp, given)
    return caught.value.messages


def test_rounding_asks_no_context_of_the_thread():
    """D2: the same number is the same everywhere."""
    cls = dataclasses.make_dataclass("Cls", [("d", D, field(metadata=meta(places=2)))])
    up = dataclasses.make_dataclass("Up", [("d", D, field(metadata=meta(places=2, rounding=decimal.ROUND_UP)))])
    odd = [
        decimal.Context(),
        decimal.Context(prec=5),
        decimal.Context(prec=5, rounding=decimal.ROUND_DOWN, Emax=2, Emin=-2),
        decimal.Context(traps=[decimal.Inexact, decimal.Rounded, decimal.FloatOperation]),
        decimal.Context(traps=[]),
    ]
    long = "123456789012345678901234567890.125"
    for context in odd:
        with decimal.localcontext(context):
            for given, expected in ((long, long[:-1]), ("12345.67", "12345.67"), ("0.135", "0.14"), ("-1E+30", None)):
                expected = expected or "-1" + "0" * 30 + ".00"
                for made in (dataclass.load(cls, {"d": given}), dataclass.load(cls, {"d": D(given)}), cls(D(given))):
                    assert dataclass.dump(made) == {"d": expected}
                    assert dataclass.dump_to_bytes(made) == f'{{"d":"{expected}"}}'.encode()
            assert dataclass.dump(up(D("0.121"))) == {"d": "0.13"}
            # What would take more digits than anybody gave.
            assert messages(cls, {"d": "1E+999999"}) == {"d": ["Not a valid number."]}
            with pytest.raises(dataclass.ValidationError, match="Special numeric"):
                dataclass.dump(cls(D("NaN")))
            for text in ("1E+99999999999999999999", "1E+9999999999999999999999999"):
                assert messages(cls, {"d": text}) == {"d": ["Not a valid number."]}


@dataclasses.dataclass
class Sample:
    x: float
    xs: list[float]
    maybe: float | None = None


@pytest.mark.parametrize("x", [math.nan, math.inf, -math.inf, np.float64("nan")])
def test_floats_that_are_none_stay_where_there_is_a_form(x, ends):
    """D2, D4: values and Arrow have NaN and infinities, JSON has not."""
    said = struct.pack("d", x)
    given = Sample(x, [1.0, x], x)
    tx, rx = ends
    dataclass.to_frame(tx, given)
    native = dataclass.dump(given, native=True)
    assert struct.pack("d", native["x"]) == said == struct.pack("d", native["xs"][1])
    rows = dataclasses.make_dataclass("Rows", [("x", float), ("xs", list[float]), ("maybe", typing.Optional[float])])
    table = dataclass.to_arrow([rows(x, [1.0, x], x)])
    for back in (
        dataclass.from_arrow(rows, table)[0],
        dataclass.from_arrow(rows, pa.table(table))[0],
        dataclass.from_frame(Sample, rx.recv(1)),
    ):
        assert [struct.pack("d", n) for n in (back.x, back.xs[1], back.maybe)] == [said] * 3
    for call in (dataclass.dump, dataclass.dump_to_bytes):
        with pytest.raises(dataclass.ValidationError, match="Special numeric"):
            call(given)


@pytest.mark.parametrize("text", ["-0", "-0.0", "-0e0", " -0 "])
def test_the_sign_of_nothing(text):
    """D2: a float keeps its sign, also where JSON writes it as a whole number."""
    assert math.copysign(1, dataclass.load_from_bytes(float, text)) == -1
    assert math.copysign(1, dataclass.load_from_bytes(list[float], f"[0,{text}]")[1]) == -1
    assert math.copysign(1, dataclass.load_from_bytes(float | None, text)) == -1
    assert dataclass.load_from_bytes(D, text).is_signed()
    assert math.copysign(1, dataclass.load_from_bytes(float, "0")) == 1
    assert dataclass.load_from_bytes(int, "-0") == 0
    with pytest.raises(slipring.DecodeError):
        dataclass.load_from_bytes(float, "-01")
