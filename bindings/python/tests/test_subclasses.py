"""What derives from the standard library's types, or looks like them: R9.3, D2, J1."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import typing
import uuid
import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
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


class Noon(dt.time):
    """A subclass of the one type of times that pandas derives nothing from."""


def test_pandas_moments_in_records_are_moments():
    """R1.1, R2.2: what to_dict("records") gives is a table where one is asked for or announced; NaT is null."""
    frame = pd.DataFrame({
        "at": pd.to_datetime(["2026-01-02T03:04:05.123456", None, "1969-12-31T23:59:59.5"]),
        "utc": pd.to_datetime(["2026-01-02", "2026-01-03", None], utc=True),
        "took": pd.to_timedelta([-1.5, 0, None], unit="s"),
    })  # fmt: skip
    rows = [{**row, "noon": Noon(12), "day": frame["at"][0].date()} for row in frame.to_dict("records")]
    assert isinstance(rows[0]["at"], pd.Timestamp) and rows[1]["at"] is pd.NaT
    plain = {pd.Timestamp: pd.Timestamp.to_pydatetime, pd.Timedelta: pd.Timedelta.to_pytimedelta, type(pd.NaT): lambda _: None}
    expected = [{key: plain.get(type(value), lambda x: x)(value) for key, value in row.items()} for row in rows]
    kinds = {"at": pa.timestamp("us"), "utc": pa.timestamp("ns", "UTC"), "took": pa.duration("ms"), "noon": pa.time32("s"), "day": pa.date32()}
    with slipring.create(anonymous=True) as ring:
        tx, rx = ring.producer(), ring.consumer()
        schema = ring.announce("moments", pa.schema(kinds.items()), version=1)
        zoned = ring.announce("zoned", pa.schema([pa.field("at", pa.timestamp("us", "UTC"), nullable=False)]), version=1)
        for options in ({"format": "arrow"}, {"schema": schema}):
            tx.send(rows, timeout=1, **options)
            assert rx.recv(1).table.to_pylist() == expected, options
        tx.send({"at": [row["at"] for row in rows]}, format="arrow", timeout=1)
        assert rx.recv(1).value["at"].to_pylist() == [row["at"] for row in expected]
        oslo = pd.Timestamp("2026-10-25T01:30", tz="UTC").tz_convert("Europe/Oslo")  # the second of two that are told alike
        tx.send([{"at": oslo}], schema=zoned, timeout=1)
        assert rx.recv(1).table.to_pylist() == [{"at": dt.datetime(2026, 10, 25, 1, 30, tzinfo=dt.timezone.utc)}]
        fine = pd.Timestamp("2026-01-02T03:04:05.123456789")
        for row, options, error in (
            ({"at": fine}, {"format": "arrow"}, slipring.EncodeError), ({"at": fine}, {"schema": schema}, slipring.SchemaError),
            ({"took": pd.Timedelta(1, "ns")}, {"schema": schema}, slipring.SchemaError), ({"at": pd.NaT}, {"schema": zoned}, slipring.SchemaError),
            ({"at": np.datetime64("NaT")}, {"schema": zoned}, slipring.SchemaError), ({"day": fine.floor("us")}, {"schema": schema}, slipring.SchemaError),
        ):  # fmt: skip
            with pytest.raises(error) as caught:
                tx.send([row], timeout=1, **options)
            assert "format" not in options or "pandas.Timestamp finer than microseconds" in str(caught.value)
            assert caught.value.path == f"$[0].{next(iter(row))}"
        tx.send([{"at": np.datetime64("NaT")}], schema=schema, timeout=1)
        assert rx.recv(1).table.to_pylist()[0]["at"] is None
