"""Pickles that nobody asked for, and those that nobody loads: R1.5, R9.1, R9.4."""

import dataclasses
import decimal
import enum
import logging
import pickle
import warnings

import numpy as np
import pytest

import slipring
from slipring import _pickles


class Status(enum.Enum):
    PAID = "paid"


class Kind(enum.Enum):
    A = 1


@pytest.fixture(autouse=True)
def _forget():
    _pickles._told.clear()


def test_a_pickle_unasked_warns_once_of_each_type(ends):
    """R9.1: which type, where, and what to do; then no more of it."""
    tx, rx = ends
    with pytest.warns(slipring.PickleWarning) as caught:
        tx.send({"order": [1, Status.PAID]})
    assert len(caught) == 1 and caught[0].filename == __file__
    said = str(caught[0].message)
    assert f"{__name__}.Status" in said and "$.order[1]" in said and "send its .value" in said and "slipring.register" in said
    # The same type elsewhere, and another one.
    tx.send({"status": Status.PAID})
    with pytest.warns(slipring.PickleWarning, match="Kind"):
        tx.send([Kind.A])
    assert [rx.recv(0).format for _ in range(3)] == ["pickle"] * 3
    with pytest.warns(slipring.PickleWarning, match="array"):
        tx.send(np.array([{}, None]))
    with pytest.warns(slipring.PickleWarning, match="slice"):
        slipring.encode(slice(3))


def test_what_is_no_pickle_either_warns_of_none(ends):
    """R9.5: one thing is said, and what is."""
    for send in (ends[0].send, slipring.encode):
        with pytest.raises(slipring.EncodeError):
            send(x for x in ())


def test_where_the_warning_is_an_error_nothing_goes(ends):
    """R9.1: each time, and not only the first."""
    tx, rx = ends
    for _ in range(2):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(slipring.PickleWarning):
                tx.send(Status.PAID)
    with pytest.raises(slipring.Empty):
        rx.recv(0)


def test_who_asks_for_pickles_is_not_warned(name, caplog):
    """R1.5: the log says it all the same."""
    caplog.set_level(logging.DEBUG, logger="slipring")
    with slipring.create(name) as ring:
        tx, rx = ring.producer(pickle=True), ring.consumer(pickle=True)
        tx.send({"s": Status.PAID})
        tx.send(Status.PAID, format="pickle")
        slipring.encode(Status.PAID, format="pickle")
        assert [frame.value for frame in rx.recv_many(2)] == [{"s": Status.PAID}, Status.PAID]
        tx.close()
        with pytest.raises(TypeError, match="^pickle must be True, False or None, not str"):
            ring.producer(pickle="no")
        with pytest.raises(slipring.EncodeError, match="send its .value") as caught:
            ring.producer(pickle=False).send([Status.PAID])
        assert caught.value.path == "$[0]" and "format=" not in caught.value.hint
    assert [record.message for record in caplog.records] == [
        f"sent as a pickle: an object of type {__name__}.Status has no form as a value, at $.s"
    ]


def test_what_is_remembered_is_bounded(monkeypatch):
    """R8.4: whoever makes types without end."""
    monkeypatch.setattr(_pickles, "KEPT", 8)
    for n in range(30):
        kind = enum.Enum(f"Kind{n}", "A")
        kind.__module__ = __name__
        monkeypatch.setitem(globals(), kind.__name__, kind)
        with pytest.warns(slipring.PickleWarning):
            slipring.encode(kind.A)
        assert len(_pickles._told) <= 8


@dataclasses.dataclass
class Order:
    status: Status
    price: decimal.Decimal


def test_who_loads_none_is_told_what_it_names(ends):
    """R9.1: without a byte of it run."""
    tx, rx = ends
    tx.send({"s": Status.PAID, "price": decimal.Decimal(1), "k": [Kind.A, Kind.A]}, format="pickle")
    frame = rx.recv(0)
    with pytest.raises(slipring.UntrustedPickle, match="pickle=True") as caught:
        _ = frame.value
    # Of one module, which stands in it once.
    assert f"(of {__name__}.Status, decimal.Decimal, {__name__}.Kind)" in str(caught.value)
    assert "slipring.explain" in caught.value.hint
    data = slipring.encode([Status.PAID], format="pickle")
    with pytest.raises(slipring.UntrustedPickle, match=f"{__name__}.Status"):
        slipring.decode(data)


def test_a_pickle_that_names_nothing_or_is_none():
    """P9: whatever stands there."""
    def named(*args, **kw):
        return _pickles.named(pickle.dumps(*args, protocol=5, **kw))

    assert named([1, "a", {"b": 2}]) == "" == _pickles.named(b"") == _pickles.named(b"no pickle")
    whole = pickle.dumps([Status.PAID, Kind.A], protocol=5)
    assert _pickles.named(whole) == f"{__name__}.Status, {__name__}.Kind"
    assert {_pickles.named(whole[:n]) for n in range(len(whole))} <= {"", f"{__name__}.Status", f"{__name__}.Status, {__name__}.Kind"}
    assert named([Status.PAID, Kind.A, decimal.Decimal(1), Order]) == f"{__name__}.Status, {__name__}.Kind, decimal.Decimal and others"
    # A name that is none, one that is too long, and a memo that is not there.
    for name in (b"rm -rf", b"a" * 200):
        assert _pickles.named(b"\x80\x05\x8c\x01m\x8c" + bytes([len(name)]) + name + b"\x93.") == ""
    assert _pickles.named(b"\x80\x05h\x07\x93.") == ""
    assert _pickles.named(b"\x80\x05\x93.") == ""
    # It ends in time.
    assert _pickles.named(b"\x80\x05" + b"N0" * 100_000 + whole[2:]) == ""


def test_explain_says_what_made_it_a_pickle():
    """R1.5."""
    told = slipring.explain({"order": [1, Status.PAID]})
    assert told.format == "pickle"
    value = next(row for row in told.candidates if row.format == "value")
    assert f"{__name__}.Status has no form as a value, at $.order[1]; send its .value" in value.reason
