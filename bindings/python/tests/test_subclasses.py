"""What derives from the standard library's types, or looks like them: R9.3, D2, J1."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import typing
import uuid
import warnings

import pandas as pd
import pytest

import slipring
from slipring import dataclass, json

D = decimal.Decimal


@dataclasses.dataclass
class Event:
    at: dt.datetime | None


@dataclasses.dataclass
class Span:
    length: dt.timedelta


def test_pandas_moments_that_are_none_are_refused():
    """R9.3, D2, J1: NaT derives from datetime and has a year, but is no moment."""
    calls = {
        "$.at": (
            lambda: json.dumps({"at": pd.NaT}),
            lambda: dataclass.dump(Event(pd.NaT)),
            lambda: dataclass.dump_to_bytes(Event(pd.NaT)),
            lambda: dataclass.dump(dict[str, typing.Any], {"at": pd.NaT}),
        ),
        "$[0].at": (lambda: dataclass.to_arrow([Event(pd.NaT)]), lambda: json.dumps([{"at": pd.NaT}])),
    }
    for path, made in calls.items():
        for call in made:
            with pytest.raises(slipring.EncodeError, match="NaTType") as caught:
                call()
            assert caught.value.path == path
            assert "None" in caught.value.hint
    with pytest.raises(slipring.EncodeError, match="NaTType"):
        json.dumps({pd.NaT: 1}, keys="convert")
    with pytest.raises(slipring.EncodeError, match="NaTType"):
        dataclass.dump(typing.Annotated[dt.datetime, dataclass.Meta(format="%Y")], pd.NaT)
    assert json.dumps([pd.NaT], default=lambda _: None) == b"[null]"


def test_pandas_nanoseconds_are_not_dropped_unsaid():
    """R9.3, D2, J1."""
    fine, whole = pd.Timestamp("2026-01-02T03:04:05.123456789"), pd.Timestamp("2026-01-02T03:04:05.123456")
    delta = pd.Timedelta(1500, "ns")
    for call in (json.dumps, lambda x: dataclass.dump(Event(x)), lambda x: dataclass.dump_to_bytes(Event(x))):
        with pytest.raises(slipring.EncodeError, match="Timestamp") as caught:
            call(fine)
        assert "floor" in caught.value.hint
    with pytest.raises(slipring.EncodeError, match="Timestamp"):
        dataclass.to_arrow([Event(fine)])
    for call in (dataclass.dump, dataclass.dump_to_bytes, lambda span: dataclass.to_arrow([span])):
        with pytest.raises(slipring.EncodeError, match="Timedelta"):
            call(Span(delta))
    assert json.loads(json.dumps([whole])) == ["2026-01-02T03:04:05.123456"]
    assert dataclass.dump(Event(whole)) == {"at": "2026-01-02T03:04:05.123456"}
    assert dataclass.to_arrow([Event(whole)]).to_pylist() == [{"at": whole.to_pydatetime()}]
    assert dataclass.dump(Event(fine), native=True)["at"] is fine
    by_day = typing.Annotated[dt.datetime, dataclass.Meta(format="%Y-%m-%d")]
    assert dataclass.dump(by_day, fine) == "2026-01-02"


def decimals_that_say(text):
    """A Decimal, of a class whose objects say something else of themselves."""
    made = type("Says", (D,), {"__str__": lambda _: text, "__format__": lambda *_: text})
    return made("1.50")


@pytest.mark.parametrize("text", ['1"evil', "1],[2", "7", "\ud800", "NaN", "1\n", "", "Infinity"])
def test_a_decimals_own_text_is_not_asked_for(text):
    """R9.3, D2, J1: what writes JSON vouches for each byte."""
    d = decimals_that_say(text)
    assert json.dumps([d]) == b"[1.50]"
    assert json.dumps([d], decimals="text") == b'["1.50"]'
    assert json.dumps({d: 1}, keys="convert") == b'{"1.50":1}'
    assert dataclass.dump(D, d) == "1.50"
    assert dataclass.dump_to_bytes(D, d) == b'"1.50"'
    assert dataclass.dump_to_bytes(dict[D, typing.Any], {d: d}) == b'{"1.50":"1.50"}'
    cls = dataclasses.make_dataclass("Row", [("d", D), ("by", dict[D, int])])
    assert dataclass.to_arrow([cls(d, {d: 1})]).to_pylist() == [{"d": D("1.50"), "by": [(D("1.50"), 1)]}]


def test_a_decimals_own_text_goes_into_no_frame(ends):
    """R9.3, D4: the reader gets what its own Decimal would be."""
    tx, rx = ends
    d = decimals_that_say("1],[2")
    for format in ("value", "json"):
        with warnings.catch_warnings():
            # Of a value that its type is lost.
            warnings.simplefilter("ignore", slipring.LossyWarning)
            dataclass.to_frame(tx, [d], list[D], format=format)
        assert dataclass.from_frame(list[D], rx.recv(1)) == [D("1.50")]
    with pytest.warns(slipring.LossyWarning):
        tx.send({"d": d})
    assert rx.recv(1).value == {"d": D("1.50")}


def test_a_uuids_own_text_is_not_asked_for():
    """R9.3, J1."""
    made = type("Says", (uuid.UUID,), {"__str__": lambda _: "\ud800"})(int=5)
    assert json.dumps(made) == b'"00000000-0000-0000-0000-000000000005"'


def test_decimals_of_a_context_without_capitals():
    """D2, D4: how a thread writes its Decimals is its own affair."""
    row = dataclasses.make_dataclass("Row", [("d", D)])
    with decimal.localcontext(decimal.Context(capitals=0)):
        assert dataclass.to_arrow([row(D("1E+3"))]).to_pylist() == [{"d": D(1000)}]
        assert json.loads(json.dumps(D("1E+3"))) == 1000
