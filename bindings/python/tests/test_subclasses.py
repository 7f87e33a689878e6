"""What derives from the standard library's types, or looks like them: R9.3, D2, J1."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import typing
import uuid

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
