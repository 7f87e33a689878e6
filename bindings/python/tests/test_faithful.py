"""What is sent arrives as what it was, or who sends it is told: objects that pretend, keys that are one, types that are lost."""

import array
import collections
import ctypes
import dataclasses
import datetime as dt
import decimal
import fractions
import threading
import unittest.mock
import warnings

import numpy as np
import pytest

import slipring
from slipring import Object, Tag


@pytest.fixture
def as_value(ends):
    """Sends an object as a value or not at all."""
    return lambda obj: ends[0].send(obj, format="value")


class Money(decimal.Decimal):
    """One that shows less than it holds."""

    def __str__(self):
        return format(self, ".2f")


class Priced(decimal.Decimal):
    """One that shows more than a number."""

    def __str__(self):
        return "1.00 EUR"


@pytest.mark.parametrize("kind", [Money, Priced])
def test_a_decimal_goes_as_what_it_holds(kind):
    """R1.3: not as what its `__str__` makes of it."""
    for text in ("1.005", "-0", "NaN", "1E+5", "-Infinity"):
        with pytest.warns(slipring.LossyWarning):
            data = slipring.encode([kind(text)])
        assert repr(slipring.decode(data)) == repr([decimal.Decimal(text)])


def test_what_pretends_to_be_a_decimal_is_none(as_value):
    """R6.5: by its real type."""
    with pytest.raises(slipring.EncodeError, match="Mock"):
        as_value([unittest.mock.Mock(spec=decimal.Decimal)])


def test_a_decimal_s_form_does_not_depend_on_the_context():
    """R1.3: a context may show exponents by a small letter."""
    values = [decimal.Decimal(text) for text in ("1E+5", "-1.5E-300", "-0E+7")]
    wanted = slipring.encode(values)
    with decimal.localcontext() as context:
        context.capitals = 0
        assert slipring.encode(values) == wanted
    assert repr(slipring.decode(wanted)) == repr(values)


@pytest.mark.parametrize("moment", [
    dt.datetime(2026, 1, 1, tzinfo=dt.timezone(dt.timedelta(microseconds=5))),
    dt.time(1, tzinfo=dt.timezone(dt.timedelta(seconds=60, microseconds=5))),
], ids=repr)
@pytest.mark.filterwarnings("ignore::slipring.PickleWarning")
def test_a_zone_finer_than_a_second_is_named(ends, moment, as_value):
    """R6.5: with its path; a ring sends it as a pickle."""
    with pytest.raises(slipring.EncodeError, match="whole seconds") as caught:
        as_value({"at": [moment]})
    assert caught.value.path == "$.at[0]" and "astimezone" in caught.value.hint
    tx, rx = ends
    tx.send({"at": [moment]})
    assert rx.recv(timeout=10).format == "pickle"


@pytest.mark.parametrize("value", [
    decimal.Decimal("1.5"), fractions.Fraction(1, 3), 1j, range(3), dt.timedelta(1, 2, 3), (1, decimal.Decimal(2)),
    dt.datetime(2026, 1, 1, tzinfo=dt.timezone.utc),
], ids=repr)
def test_a_key_of_several_parts_loses_nothing(value):
    """R1.3: and no warning says that it does."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for whole in ({value: 1}, {value}, {frozenset({value})}, {("x", value): 1}):
            assert slipring.decode(slipring.encode(whole)) == whole


def test_a_list_that_is_a_key_is_still_told():
    """R1.4."""
    with pytest.warns(slipring.LossyWarning, match="tuple"):
        assert slipring.decode(bytes.fromhex("a1820102f6")) == {(1, 2): None}


class Cursed:
    """Nothing can find its hash."""

    def __init__(self, raised):
        self.raised = raised

    def __hash__(self):
        raise self.raised


@pytest.mark.parametrize("raised", [RuntimeError("no hash"), ValueError("no hash"), KeyError("no hash")], ids=repr)
def test_a_key_that_can_not_be_hashed_is_named(registered, raised):
    """R6.5: whatever its `__hash__` raises; an interrupt stays one."""
    slipring.register(Cursed, name="tests.cursed", encode=id, decode=lambda fields, version: Cursed(raised))
    # 258 is a set, 9999 a tag of nobody's.
    cursed = slipring.encode(Object("tests.cursed", 1, 0))
    for data in (b"\x81\xa1" + cursed + b"\0", b"\x81\xd9\x01\x02\x81" + cursed, b"\x81\xa1\xd9\x27\x0f" + cursed + b"\0"):
        with pytest.raises(slipring.DecodeError, match="no hash") as caught:
            slipring.decode(data)
        assert caught.value.path.startswith("$[0]") and caught.value.__cause__ is raised
    slipring.register(Cursed, name="tests.cursed", encode=id, decode=lambda fields, version: Cursed(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        slipring.decode(b"\x81\xa1" + cursed + b"\0")


def test_a_decimal_of_countless_digits_costs_nothing():
    """P9: the conversion takes the square of their number."""
    def frame(length):
        return b"\x81\xc4\x82\0\xc2\x5a" + length.to_bytes(4, "big") + b"\xff" * length

    with pytest.raises(slipring.DecodeError, match="100000 digits") as caught:
        slipring.decode(frame(400_000))
    assert caught.value.path == "$[0].<tag 4>"
    assert slipring.decode(frame(1000)) == [decimal.Decimal(2**8000 - 1)]
    large = decimal.Decimal("-1." + "3" * 200_000)
    assert slipring.decode(slipring.encode(large)) == large


class Failure(Exception):
    pass


class Queue(collections.deque):
    pass


class Grid(np.ndarray):
    pass


class Numbers(array.array):
    pass


class Slotted:
    __slots__ = ("a",)


class Half(Slotted):
    """One attribute in a slot, others in a dict."""


class Listed(list):
    pass


@dataclasses.dataclass
class Counted(collections.deque):
    name: str = ""


@pytest.mark.parametrize("cls", [Failure, Queue, Grid, Numbers, Slotted, Half], ids=lambda cls: cls.__name__)
def test_what_a_dict_does_not_hold_needs_an_encoder(registered, cls):
    """R12.1: attributes are not all of it."""
    with pytest.raises(TypeError, match="encode="):
        slipring.register(cls, name="tests.more")
    slipring.register(cls, name="tests.more", encode=str, decode=lambda fields, version: fields)
    with pytest.raises(TypeError, match="encode="):
        slipring.register(cls, name="tests.more", decode=lambda fields, version: fields)


def test_a_dataclass_that_is_more_needs_an_encoder(registered):
    """R12.1: slots of its fields and being an exception take nothing away."""
    with pytest.raises(TypeError, match="encode="):
        slipring.register(Counted)
    for base, slots in ((object, True), (Exception, False)):
        cls = dataclasses.make_dataclass("Fields", [("x", int)], bases=(base,), slots=slots)
        slipring.register(cls, name="tests.fields")
        assert slipring.decode(slipring.encode(cls(5))).x == 5


def test_a_list_of_one_s_own_needs_an_encoder_where_it_has_a_decoder(registered):
    """R12.1: its items are no attributes."""
    with pytest.raises(TypeError, match="encode="):
        slipring.register(Listed, decode=lambda fields, version: Listed(fields))


def test_names_and_versions_are_looked_at(registered):
    """R12.1, R9.1: when they are registered, not when they are sent."""
    for name in ("", "\ud800", b"name", 1):
        with pytest.raises(ValueError, match="name"):
            slipring.register(Failure, name=name, encode=str, decode=str)
    for version in (0, -1, True, 1.0, 2**63):
        with pytest.raises(ValueError, match="version"):
            slipring.register(Failure, version=version, encode=str, decode=str)


class Text(str):
    """Each is itself alone."""

    __eq__ = object.__eq__
    __hash__ = object.__hash__


NAN = float("nan")


@pytest.mark.parametrize("keys", [
    ("a", Text("a")), (Text("a"), "a"), (Text("a"), Text("a")), (NAN, float("nan")), ((1, NAN), (1, float("nan"))),
    (Tag(9999, Text("b")), Tag(9999, Text("b"))), (1, Text("x"), 2, Text("x")),
], ids=repr)
def test_no_key_is_sent_twice(keys, as_value):
    """R1.3: nobody would read it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(slipring.EncodeError, match="twice") as caught:
            as_value([dict.fromkeys(keys)])
    assert caught.value.path == f"$[0].<key {len(keys) - 1}>"


def test_keys_that_differ_are_sent():
    """R1.3."""
    whole = {1: 1, "1": 2, Tag(9999, 1): 3, Tag(9999, "1"): 4, NAN: 5, decimal.Decimal("1.5"): 6, (1, "a"): 7, b"1": 8}
    whole[dt.date(2026, 1, 1)] = 9
    got = slipring.decode(slipring.encode(whole))
    assert list(map(repr, got)) == list(map(repr, whole)) and list(got.values()) == list(whole.values())


TYPED = [
    (array.array("d", [1.0, 2.5]), np.array([1.0, 2.5])),
    (memoryview(bytes(range(6))).cast("B", (2, 3)), np.arange(6, dtype="u1").reshape(2, 3)),
    ((ctypes.c_int32 * 3)(1, 2, 3), np.array([1, 2, 3], "i4")),
    (memoryview(np.arange(200, dtype="i8"))[::2], np.arange(0, 200, 2)),
    (array.array("H", range(300)), np.arange(300, dtype="u2")),
]


@pytest.mark.parametrize("buffer, wanted", TYPED, ids=lambda value: type(value).__name__)
def test_a_typed_buffer_is_an_array(ends, buffer, wanted):
    """R3.1: by itself, inside of values and in bytes."""
    tx, rx = ends
    tx.send(buffer)
    tx.send({"x": buffer})
    alone, inside = rx.recv(timeout=10), rx.recv(timeout=10)
    assert (alone.format, inside.format) == ("ndarray", "value")
    for got in (alone.value, inside.value["x"], slipring.decode(slipring.encode([buffer]))[0]):
        assert got.dtype == wanted.dtype and np.array_equal(got, wanted)
    assert slipring.explain(buffer).format == "ndarray"
    tx.send(buffer, format="raw")
    assert bytes(rx.recv(timeout=10).value) == bytes(buffer)


@pytest.mark.parametrize("buffer", [
    b"abc", bytearray(b"abc"), memoryview(b"abc"), memoryview(b"abc").cast("c"), memoryview(b"abc").cast("b"),
    memoryview(b"aabbcc")[::2],
], ids=repr)
def test_bytes_stay_bytes(ends, buffer):
    """R3.1."""
    tx, rx = ends
    tx.send(buffer)
    tx.send([buffer])
    first, second = rx.recv(timeout=10), rx.recv(timeout=10)
    assert first.format == "raw" and bytes(first.value) == b"abc"
    assert second.value == [b"abc"]


@pytest.mark.parametrize("made", [
    lambda: np.matrix([[1, 2]]), lambda: np.rec.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
    lambda: np.arange(3).view(Grid),
], ids=["matrix", "recarray", "own"])
def test_an_array_s_lost_type_is_said(ends, made):
    """R1.4: a plain array arrives."""
    tx, rx = ends
    with warnings.catch_warnings():
        # NumPy's own, of matrices.
        warnings.simplefilter("ignore")
        value = made()
    for send in (lambda: tx.send(value), lambda: tx.send([value])):
        with pytest.warns(slipring.LossyWarning, match=type(value).__name__):
            send()
        rx.recv(timeout=10)
    with pytest.warns(slipring.LossyWarning, match=type(value).__name__):
        slipring.encode(value)


def test_plain_arrays_lose_nothing(ends, tmp_path):
    """R1.4: and a memory map is an array at another place."""
    tx, rx = ends
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for value in (np.arange(3), np.float32(1), np.memmap(tmp_path / "map", "i4", "w+", shape=(3,))):
            for whole in (value, [value]):
                tx.send(whole)
                assert np.array_equal(rx.recv(timeout=10).value, whole)


def test_a_registered_array_keeps_its_type(ends, registered):
    """R12.1: by itself, too."""
    def decode(fields, version):
        return fields.view(Grid)

    slipring.register(Grid, encode=np.asarray, decode=decode)
    tx, rx = ends
    for whole in (np.arange(3).view(Grid), [np.arange(3).view(Grid)]):
        tx.send(whole)
        got = rx.recv(timeout=10).value
        assert type(got[0] if isinstance(got, list) else got) is Grid


class Handle:
    def __init__(self, inner):
        self.inner = inner

    def __reduce__(self):
        return (str, ("handle",))


def test_a_registered_type_does_not_go_by_pickle_unsaid(ends, registered):
    """R12.3, R9.4."""
    slipring.register(Handle, encode=lambda handle: handle, decode=lambda fields, version: fields)
    tx, rx = ends
    for send in (lambda: tx.send([Handle(1)]), lambda: slipring.encode([Handle(1)])):
        with pytest.warns(slipring.LossyWarning, match="Handle.*pickle"):
            send()
    assert rx.recv(timeout=10).format == "pickle"


def test_what_not_even_a_pickle_holds_says_so(ends):
    """R6.5: in the message, not in its cause alone."""
    tx, _ = ends
    for send in (lambda: tx.send([threading.Lock()]), lambda: slipring.encode([threading.Lock()])):
        with pytest.raises(slipring.EncodeError, match="pickle can't hold it either") as caught:
            send()
        assert "format=" not in caught.value.hint and caught.value.path == "$[0]"


def test_metadata_is_not_told_of_pickles(ends):
    """R6.5: no hint that does not help."""
    tx, _ = ends
    with pytest.raises(slipring.EncodeError) as caught:
        tx.send(1, meta={"x": object()})
    assert caught.value.path == "$.meta.x" and "register" in caught.value.hint and "format=" not in caught.value.hint


@pytest.mark.filterwarnings("ignore::slipring.PickleWarning")
def test_a_pickle_in_a_value_has_its_path():
    """R6.5."""
    data = b"\x82\0" + slipring.encode(Failure)
    with pytest.raises(slipring.UntrustedPickle) as caught:
        slipring.decode(data)
    assert caught.value.path == "$[1]"


def test_a_path_without_an_end_is_cut(as_value):
    """R6.5: its begin and its end tell where it is."""
    deep = []
    for _ in range(300):
        deep = [deep]
    with pytest.raises(slipring.EncodeError, match="inside each other") as caught:
        as_value({"top": deep})
    path = caught.value.path
    assert path.startswith("$.top[0][0]") and path.endswith("[0][0]") and "..." in path and len(path) < 200
