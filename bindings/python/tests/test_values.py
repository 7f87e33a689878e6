"""Values: every type there and back, by a ring and by bytes, against other readers and writers."""

import collections
import datetime as dt
import decimal
import enum
import fractions
import gc
import json
import math
import os
import pathlib
import pickle
import sys
import time
import uuid
import warnings
import zoneinfo

import cbor2
import cloudpickle  # noqa: F401  what slipring falls back to
import hypothesis
import numpy as np
import pytest
import scipy.sparse
from hypothesis import strategies as st

import slipring
from slipring import Atom, Object, Tag


class Own(dt.tzinfo):
    """A zone of one's own."""

    def utcoffset(self, moment):
        return dt.timedelta(hours=2)

    def tzname(self, moment):
        return "OWN"

    def dst(self, moment):
        return None


BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
HALF_PAST = dt.timezone(dt.timedelta(hours=-5, minutes=-30))

#: One of each row of docs/types.md, and the ends of its range.
EACH = [
    None, True, False,
    0, 23, 24, -1, -24, -25, 2**30, 2**31, 2**60, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**30), -(2**63),
    -(2**63) - 1, -(2**64), -(2**64) - 1, 10**60, -(10**60),
    0.0, -0.0, 1.5, 5e-324, math.inf, -math.inf,
    "", "a", "x" * 8, "x" * 300, "ä", "€\U0001f600\0", b"", b"\0\xff", b"x" * 300,
    [], [1, [2, [3]]], (), (1, (2,)), {}, {"a": {"b": 1}}, {1: "int", "1": "text", 2.5: None, None: 0, (1, 2): b""},
    set(), {1, "a"}, frozenset(), frozenset({frozenset({1})}), {frozenset({1}): 1},
    Atom("ok"), {Atom("k"): Atom("v")}, range(0), range(10), range(10, 0, -3), range(2**70, 2**71, 2**69),
    dt.date(1, 1, 1), dt.date(9999, 12, 31), dt.time(0, 0), dt.time(23, 59, 59, 999999),
    dt.time(1, 2, tzinfo=dt.timezone.utc), dt.datetime(2026, 11, 21, 10, 46, 28, 5),
    dt.datetime(2026, 1, 2, tzinfo=dt.timezone.utc), dt.datetime(2026, 1, 2, 3, tzinfo=HALF_PAST),
    dt.datetime(2026, 7, 1, 12, tzinfo=BERLIN), dt.datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN),
    dt.datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=BERLIN),
    dt.timedelta(0), dt.timedelta.max, dt.timedelta.min, dt.timedelta(microseconds=-1),
    decimal.Decimal("0"), decimal.Decimal("-0.00"), decimal.Decimal("1.10"), decimal.Decimal("-1E+400"),
    decimal.Decimal("12345678901234567890123456789.01"), decimal.Decimal("9" * 5000), decimal.Decimal("Infinity"),
    fractions.Fraction(-3, 7), 1 - 2j, uuid.UUID(int=2**127 + 1),
    Tag(4711, ["x"]), Object("acme.Thing", 3, {"a": 1}),
]  # fmt: skip


def same(a, b):
    """Equal, and of the same types all the way down; a NaN is equal to itself."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return len(a) == len(b) and all(
            same(x, y) and same(v, w) for (x, v), (y, w) in zip(a.items(), b.items())
        )
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float):
        return a.hex() == b.hex()
    return str(a) == str(b) if isinstance(a, decimal.Decimal) else a == b


@pytest.mark.parametrize("value", EACH, ids=lambda value: repr(value)[:40])
def test_each_type_comes_back(ends, value):
    """M1, R6.1, R6.2: by bytes and by a frame, alone and inside others."""
    assert same(slipring.decode(slipring.encode(value)), value)
    tx, rx = ends
    for sent in (value, [value, value], {"deep": ({"er": value},)}):
        tx.send(sent, format="value")
        frame = rx.recv(0)
        assert frame.format == "value"
        assert same(frame.value, sent)


def test_a_zone_s_double_hour_keeps_its_offset():
    """R6.1: `fold` tells the two apart, and equality does not."""
    for fold in (0, 1):
        sent = dt.datetime(2026, 10, 25, 2, 30, fold=fold, tzinfo=BERLIN)
        got = slipring.decode(slipring.encode(sent))
        assert (got.utcoffset(), got.fold, got.tzinfo.key) == (sent.utcoffset(), fold, "Europe/Berlin")


keys = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
leaves = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.dates()
    | st.times() | st.datetimes().map(lambda moment: moment.replace(fold=0)) | st.timedeltas() | st.decimals(allow_nan=False) | st.fractions()
    | st.complex_numbers(allow_nan=False) | st.uuids()
)  # fmt: skip
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner)
    | st.lists(inner).map(tuple)
    | st.dictionaries(keys, inner)
    | st.sets(keys.filter(lambda key: key is not None))
    | st.frozensets(keys),
    max_leaves=30,
)


@hypothesis.given(values)
def test_any_value_comes_back(value):
    """M1."""
    assert same(slipring.decode(slipring.encode(value)), pickle.loads(pickle.dumps(value)))


#: What cbor2 knows by the same tags.
shared = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
    | st.decimals(allow_nan=False, allow_infinity=False).filter(lambda d: d or not d.is_signed())
    | st.fractions() | st.uuids()
    | st.datetimes(timezones=st.just(dt.timezone.utc)),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=30,
)  # fmt: skip


@hypothesis.given(shared)
def test_any_cbor_reader_reads_it(value):
    """R6.1: cbor2 reads what we write, and we read what it writes."""
    assert same(cbor2.loads(slipring.encode(value)), value)
    assert same(slipring.decode(cbor2.dumps(value, timezone=dt.timezone.utc)), value)


@hypothesis.given(st.binary(max_size=200))
@hypothesis.example(b"\xf7")
@hypothesis.example(b"\xff")
@hypothesis.example(b"\x9f" * 400)
@hypothesis.example(b"\x9b" + b"\xff" * 8)
@hypothesis.example(b"\xbb" + b"\x7f" + b"\xff" * 7 + b"\0" * 100)
@hypothesis.example(b"\x9a\xff\xff\xff\xff" * 60)
def test_any_bytes_end_well(data):
    """P9, R9.2: a value or an error of ours, with a path."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", slipring.LossyWarning)
            slipring.decode(data)
    except slipring.DecodeError as error:
        assert error.path.startswith("$") and error.hint


def test_every_spoilt_byte_ends_well():
    """P9: one of each type, each byte of it replaced by several others."""
    array = {"a": np.arange(6).reshape(2, 3), "b": np.array([True]), "c": np.float32(2)}
    good = slipring.encode([*EACH[:40], *(v for v in EACH[40:] if len(repr(v)) < 200), array])
    for at in range(len(good)):
        for flip in (1, 0x20, 0x80, 0xFF):
            bad = bytearray(good)
            bad[at] ^= flip
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", slipring.LossyWarning)
                try:
                    slipring.decode(bytes(bad))
                except slipring.DecodeError:
                    pass


def test_hostile_lengths_cost_nothing():
    """P9, R9.2: nested containers can't claim together what is not there."""
    nested = b"\x9a\x00\x00\xff\x00" * 200 + b"\x00" * 0x1_0000
    for data in (nested, nested.replace(b"\x9a", b"\xba"), b"\xd9\xb9\xf1" + nested):
        with pytest.raises(slipring.DecodeError) as caught:
            slipring.decode(data)
        assert "ends early" in str(caught.value)


@pytest.mark.parametrize(
    "data, path, part",
    [
        ("8201", "$", "ends early"),
        ("820100ff", "$", "1 bytes follow"),
        ("a2616101616102", "$.a", "holds this key twice"),
        ("a16161f7", "$.a", "undefined"),
        ("8162c328", "$[0]", "UTF-8"),
        ("a162c32801", "$.<key 0>", "UTF-8"),
        ("81c2f5", "$[0].<tag 2>", "the tag 2 encloses"),
        ("c482f501", "$.<tag 4>", "the tag 4 encloses"),
        ("d81e820100", "$.<tag 30>", "the tag 30 encloses"),
        ("d9b9f001", "$.<tag 47600>", "no buffer"),
        ("d903ec6a323032362d31332d3031", "$.<tag 1004>", "the tag 1004 encloses"),
        ("d8204100", "$", None),
        ("a1a001", "$.<key 0>", "a map is the key"),
        ("d9b9fa82410041", "$.<tag 47610>", "ends early"),
        ("d8284100", "$.<tag 40>", "the tag 40 encloses"),
        ("c1f5", "$.<tag 1>", "the tag 1 encloses"),
        ("d81e420301", "$.<tag 30>", "the tag 30 encloses"),
        ("c11b0fffffffffffffff", "$.<tag 1>", "the tag 1 encloses"),
        ("d9b9fbd84040", "$.<tag 47611>", "the tag 47611 encloses"),
    ],
)
def test_what_is_wrong_is_named(data, path, part):
    """R5.5, R9.1: the place, the reason, what to do."""
    if part is None:
        assert slipring.decode(bytes.fromhex(data)) == Tag(32, b"\0")
        return
    with pytest.raises(slipring.DecodeError, match=part) as caught:
        slipring.decode(bytes.fromhex(data))
    assert caught.value.path == path


def test_other_encodings_are_read():
    """RFC 8949: indefinite lengths, longer integers, half floats, epochs, the mark of CBOR."""
    read = lambda hex: slipring.decode(bytes.fromhex(hex))  # noqa: E731
    assert read("9f0102ff") == [1, 2]
    assert read("bf61610161629f02ffff") == {"a": 1, "b": [2]}
    assert read("5f4101420203ff") == b"\1\2\3" and read("7f61616162ff") == "ab"
    assert read("1b0000000000000001") == 1 and read("f93e00") == 1.5 and read("fa3fc00000") == 1.5
    assert read("c11a514b67b0") == dt.datetime(2013, 3, 21, 20, 4, tzinfo=dt.timezone.utc)
    assert read("d8641828") == dt.date(1970, 2, 10)
    assert read("d9d9f7820102") == [1, 2]
    assert read("d90102" + "9f0102ff") == {1, 2}
    assert read("d9b9f1" + "9f0102ff") == (1, 2)


def test_arrays_inside_values_are_views(ends):
    """M2, R4.1, R4.2, R14.2: in place, read-only, dtype and shape kept; the last view frees the frame."""
    tx, rx = ends
    arrays = {
        "plain": np.arange(1000.0),
        "table": np.arange(600, dtype=">i2").reshape(20, 30),
        "fortran": np.asfortranarray(np.ones((30, 40), "c8")),
        "strided": np.arange(2000)[::2],
        "bool": np.arange(500) % 3 == 0,
        "small": np.arange(3, dtype="u1"),
        "point": np.array(2.5),
        "empty": np.zeros((0, 3)),
    }
    tx.send([arrays, b"y" * 70_000])
    frame = rx.recv(0)
    got, large = frame.value
    assert frame.describe()["buffers"] == [8000, 1200, 9600, 8000, 500, 70_000]
    start, end = frame.address, frame.address + frame.header.body_len
    for name, array in arrays.items():
        assert (got[name].dtype, got[name].shape) == (array.dtype, array.shape), name
        assert np.array_equal(got[name], array) and not got[name].flags.writeable
        if array.nbytes >= 256:
            assert start <= got[name].ctypes.data < end and got[name].ctypes.data % 64 == 0
    assert isinstance(large, memoryview) and large.readonly and large == b"y" * 70_000
    keep = got["plain"]
    del got, large
    frame.release()
    gc.collect()
    assert keep.sum() == 499_500


@pytest.mark.filterwarnings("ignore::slipring.PickleWarning")
def test_a_copy_keeps_no_frame(name):
    """P5: with copy=True nothing refers to the segment."""
    with slipring.create(name, capacity="4 MiB") as ring:
        tx, rx = ring.producer(), ring.consumer(copy=True, pickle=True)
        mixed = {"a": np.arange(1000), "b": b"z" * 70_000}
        for sent in (mixed, np.arange(5), b"raw", mixed | {"f": len}):
            tx.send(sent)
        values = [frame.value for frame in rx.recv_many(4)]
        assert type(values[0]["b"]) is bytes and type(values[2]) is bytes
        assert np.array_equal(values[0]["a"], np.arange(1000))
        assert np.array_equal(values[3]["a"], np.arange(1000)) and values[3]["f"] is len
        assert ring.inspect().held == 0


@pytest.mark.parametrize("length", [3, 7, 16, 32, 400])
@pytest.mark.parametrize("key", [False, True])
def test_who_writes_meanwhile_breaks_no_text(ring, ends, meddling, length, key):
    """P9: what is made of bytes that change is the text or an error, and no key of it stays for other frames."""
    tx, rx = ends
    text = "qzj" + "x" * (length - 3)
    tx.send({text: 0} if key else [text])
    frame = rx.recv(0)
    with meddling(ring, text, 0xC3):
        outcomes, deadline = set(), time.monotonic() + 0.5
        while time.monotonic() < deadline:
            try:
                [got] = slipring.decode(frame.view)
                outcomes.add(got == text)
            except slipring.DecodeError:
                outcomes.add("error")
    assert outcomes == {True, "error"}, "or nobody meddled"


def test_numpy_scalars_come_back():
    """R4.3: of the type that they were."""
    for scalar in (np.float64(1.5), np.float32(1.5), np.int16(-3), np.uint64(2**63), np.bool_(True), np.complex64(1j)):
        got = slipring.decode(slipring.encode({"x": scalar}))["x"]
        assert type(got) is type(scalar) and got == scalar


class Colour(enum.IntEnum):
    RED = 1


class Names(dict):
    pass


def test_what_is_lost_is_said():
    """R6.3: once per type, with the way to keep it."""
    Point = collections.namedtuple("Point", "x y")
    for sent, got in [
        (Colour.RED, 1), (Names(a=1), {"a": 1}), (Point(1, 2), (1, 2)),
        (collections.OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
    ]:  # fmt: skip
        with pytest.warns(slipring.LossyWarning, match="slipring.register") as caught:
            data = slipring.encode([sent, sent])
        assert len(caught) == 1 and same(slipring.decode(data), [got, got])
    with pytest.warns(slipring.LossyWarning, match="two keys of a map"):
        assert slipring.decode(bytes.fromhex("a20101fb3ff000000000000002")) == {1: 2}
    with pytest.warns(slipring.LossyWarning, match="list that is a key"):
        assert slipring.decode(bytes.fromhex("a1810102")) == {(1,): 2}


@pytest.mark.parametrize("kind", ["array", "matrix"])
@pytest.mark.parametrize("format", slipring.values._sparse.FORMATS)
def test_sparse_arrays_travel_by_their_parts(ends, format, kind):
    """R4.4: each format comes back as itself; its arrays lie in the frame."""
    tx, rx = ends
    dense = np.zeros((200, 300), "f4")
    for offset in (-3, 0, 40):
        np.fill_diagonal(dense[max(0, -offset) :, max(0, offset) :], 1 + offset)
    sent = getattr(scipy.sparse, f"{format}_{kind}")(dense)
    tx.send({"m": sent})
    frame = rx.recv(0)
    got = frame.value["m"]
    assert type(got) is type(sent) and got.dtype == sent.dtype and (got != sent).nnz == 0
    if format in ("csr", "csc", "bsr"):
        start = frame.address
        assert start <= got.data.ctypes.data < start + frame.header.body_len
    assert slipring.explain(sent).format == "value"


class Later(dt.datetime):
    nanosecond = 5


@pytest.mark.parametrize("moment", [
    dt.datetime(2026, 1, 2, 3, tzinfo=dt.timezone(dt.timedelta(hours=1), "CET")),
    dt.datetime(2026, 1, 2, 3, tzinfo=Own()),
    dt.time(3, tzinfo=Own()),
])
def test_what_is_lost_of_a_zone_is_said(moment):
    """R6.3: a name, or a class of one's own."""
    with pytest.warns(slipring.LossyWarning, match="only the offset from UTC is sent"):
        data = slipring.encode(moment)
    assert slipring.decode(data) == moment


def test_what_is_lost_of_a_fold_is_said():
    """R6.3: a time that the clock shows twice, in no zone."""
    with pytest.warns(slipring.LossyWarning, match="fold"):
        data = slipring.encode(dt.datetime(2026, 10, 25, 2, 30, fold=1))
    assert slipring.decode(data) == dt.datetime(2026, 10, 25, 2, 30)


def test_finer_times_are_not_cut():
    """R6.3: what derives from datetime and holds more is no value."""
    assert slipring.explain(Later(2026, 1, 1)).format == "pickle"


def test_sparse_parts_that_do_not_fit_are_an_error():
    """P9, R9.2."""
    parts = {"shape": (2, 2), "data": np.ones(1), "indices": np.array([7]), "indptr": np.array([0, 1, 1])}
    with pytest.raises(slipring.DecodeError, match="can't be put together"):
        slipring.decode(slipring.encode(Object("scipy.sparse.csr_array", 1, parts)))


@pytest.mark.filterwarnings("ignore::slipring.PickleWarning")
def test_pickles_are_loaded_only_on_request(name):
    """M3, R1.3, R9.4: any object goes, by pickle or cloudpickle; it is run only for who trusts."""
    with slipring.create(name, capacity="4 MiB") as ring:
        tx, rx = ring.producer(), ring.consumer()
        tx.send(lambda x: x + 1)
        frame = rx.recv(0)
        assert frame.format == "pickle"
        with pytest.raises(slipring.UntrustedPickle, match="pickle=True") as caught:
            _ = frame.value
        assert caught.value.type == "pickle"
        frame.release()
        rx.close()
        rx = ring.consumer(pickle=True)
        nested = {"a": np.arange(1000), "f": complex, "s": slice(1, 2)}
        endless: list = []
        endless.append(endless)
        for sent in (lambda x: x + 1, nested, endless, np.array([{}, None])):
            tx.send(sent)
        frames = rx.recv_many(4)
        assert [frame.format for frame in frames] == ["pickle"] * 4
        assert frames[0].value(2) == 3
        got = frames[1].value
        assert got["s"] == slice(1, 2) and np.array_equal(got["a"], nested["a"])
        assert not got["a"].flags.writeable and frames[1].describe()["buffers"] == [8000]
        start = frames[1].address
        assert start <= got["a"].ctypes.data < start + frames[1].header.body_len
        assert frames[2].value[0] is frames[2].value
        assert list(frames[3].value) == [{}, None]
        data = slipring.encode({"f": slice(3)})
        with pytest.raises(slipring.UntrustedPickle):
            slipring.decode(data)
        assert slipring.decode(data, pickle=True) == {"f": slice(3)}
        with pytest.raises(slipring.EncodeError) as caught:
            tx.send({"ok": 1, "deep": [0, {"gen": (x for x in [])}]})
        assert caught.value.path == "$.deep[1].gen"


@pytest.mark.filterwarnings("ignore::slipring.PickleWarning")
def test_a_damaged_pickle_is_an_error(name):
    """P9, R9.1."""
    with slipring.create(name) as ring:
        tx, rx = ring.producer(), ring.consumer(pickle=True)
        data = slipring.encode(slice(3))
        with pytest.raises(slipring.DecodeError, match="can't be loaded"):
            slipring.decode(data.replace(b"slice", b"slyce"), pickle=True)
        tx.send(slice(3), format="pickle")
        assert rx.recv(0).value == slice(3)


def test_what_encodes_an_object_is_no_array(ends):
    """R9.1: nobody gets CBOR for an array; its bytes are there for who asks for them."""
    tx, rx = ends
    tx.send([1.5, 2.5])
    frame = rx.recv(0)
    for convert in (np.asarray, memoryview):
        with pytest.raises(BufferError, match="frame.value"):
            convert(frame)
    assert slipring.decode(frame.view) == frame.value == [1.5, 2.5]
    tx.send(b"raw")
    assert bytes(np.asarray(rx.recv(0))) == b"raw"


@pytest.mark.filterwarnings("ignore::slipring.PickleWarning")
def test_a_frame_goes_on_as_what_it_is(ends):
    """R13.1, R13.3: whatever it holds, with its metadata; other metadata makes another frame."""
    tx, rx = ends
    for sent, format in [({"a": [1, np.arange(100)]}, "value"), (b"raw", "raw"), (slice(3), "pickle")]:
        tx.send(sent, meta={"from": 1})
        first = rx.recv(0)
        tx.send(first)
        second = rx.recv(0)
        assert (second.format, second.meta) == (format, {"from": 1})
        assert bytes(second.view) == bytes(first.view)
        assert second.describe() == first.describe()
    tx.send(first, meta={"other": 2}, format="raw")
    assert rx.recv(0).meta == {"other": 2}


def test_a_frame_tells_what_it_holds(ends):
    """R13.2: without decoding."""
    tx, rx = ends
    tx.send({"site": 4, "data": np.arange(100), 3: None})
    told = rx.recv(0).describe()
    assert told == {"format": "value", "kind": "map", "len": 3, "keys": ["site", "data"], "buffers": [800]}
    tx.send(np.zeros((2, 3), ">f4"))
    assert rx.recv(0).describe() == {"format": "ndarray", "dtype": ">f4", "shape": (2, 3), "order": "C"}
    tx.send((1, 2))
    assert rx.recv(0).describe() == {"format": "value", "kind": "array", "tags": [47601], "len": 2}
    tx.send(b"abc")
    assert rx.recv(0).describe() == {"format": "raw"}


def test_values_of_all_sizes_find_room(name):
    """R14.1: what did not fit the first time is written again into a piece that is large enough."""
    with slipring.create(name, capacity="8 MiB") as ring:
        tx, rx = ring.producer(), ring.consumer()
        for size in [0, 1, 100, 500, 10_000, 10, 1_000_000, 3, 1_500_000, 400, 0]:
            sent = {"text": "x" * size, "ints": list(range(size // 10))}
            tx.send(sent, meta={"size": size})
            frame = rx.recv(0)
            assert frame.value == sent and frame.meta == {"size": size}
            frame.release()
        with pytest.raises(slipring.TooLarge):
            tx.send("x" * (9 << 20))
        tx.send("small")
        assert rx.recv(0).value == "small"


def test_small_values_take_little_room_after_a_large_one(name):
    """P7: what waits has the room that it needs, whatever was sent before it."""
    with slipring.create(name, capacity="8 MiB") as ring:
        tx, rx = ring.producer(), ring.consumer()
        large = [1.5] * 200_000
        tx.send(large)
        assert rx.recv(0).value == large
        small = [{"number": i, "text": "x" * 700} for i in range(100)]
        for value in small:
            tx.send(value, timeout=0)
        assert [rx.recv(0).value for _ in small] == small


@pytest.mark.filterwarnings("ignore::slipring.PickleWarning")
def test_code_that_runs_on_a_fault_does_no_harm():
    """P9: the collector runs others' code while an exception is made; what was being written is held."""
    container: list = []

    def meddle(phase, info):
        container.clear()

    threshold = gc.get_threshold()
    gc.callbacks.append(meddle)
    gc.set_threshold(1)
    try:
        for _ in range(50):
            container[:] = [1, "".join([chr(0xD800)] + ["x"] * 600), 2]
            try:
                slipring.encode(container)
            except slipring.EncodeError:
                pass
    finally:
        gc.set_threshold(*threshold)
        gc.callbacks.remove(meddle)


def test_nothing_is_written_twice(name, python):
    """R14.1, R14.2: neither sending nor reading takes private memory of a frame's size. Arrays and bytes are copied
    once, from where they are into the ring; a value's head is written there at once."""
    process = python(
        """
        import resource, sys
        import numpy as np
        import slipring

        ring = slipring.create(sys.argv[1], capacity="512 MiB", mode="mpmc", share=100)
        tx, rx = ring.producer(), ring.consumer()
        array = np.ones(12 << 20)                              # 96 MiB
        blob = bytes(96 << 20)
        texts = ["x" * 1000 + str(i) for i in range(50_000)]   # 48 MiB
        tx.send([{"warm": np.ones(1000)}]), rx.recv(0).value

        used = int(next(line for line in open("/proc/self/status") if line.startswith("VmData")).split()[1]) << 10
        resource.setrlimit(resource.RLIMIT_DATA, (used + (16 << 20),) * 2)
        try:
            bytearray(32 << 20)
        except MemoryError:
            pass
        else:
            raise AssertionError("the limit does not hold")
        for sent in ({"a": [array]}, {"b": blob}, texts, array, blob):
            tx.send(sent)
            frame = rx.recv(0)
            if sent is not texts:
                value = frame.value
                value = value["a"][0] if "a" in frame.describe().get("keys", ()) else value
                value = value["b"] if isinstance(value, dict) else value
                assert memoryview(value).nbytes == 96 << 20
                del value
            frame.release()
        """,
        name,
    )
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors


def private_memory():
    """Bytes of this process's own, the ring not among them."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("RssAnon"))


def test_nothing_leaks(ends):
    """R8.4: references and memory stay flat, over as many rounds as SLIPRING_ROUNDS says."""
    tx, rx = ends
    probe = object()
    value = {
        "a": [1.5, "text", (2**70, b"x")], "n": np.arange(100), "d": decimal.Decimal("1.1"),
        "k" * 40: {1}, "at": dt.datetime(2026, 7, 1, tzinfo=BERLIN), "o": Object("x", 1, Atom("y")),
    }  # fmt: skip

    def rounds(n):
        for _ in range(n):
            tx.send(value)
            assert rx.recv(0).value["a"][1] == "text"
            slipring.decode(slipring.encode(value))
            for bad in (b"\x82\x01", b"\xa2\x61\x61\x01\x61\x61\x02", b"\x81\xc2\xf5"):
                with pytest.raises(slipring.DecodeError):
                    slipring.decode(bad)
            with pytest.raises(slipring.EncodeError):
                tx.send([probe], format="value")

    rounds(1000)
    gc.collect()
    before, blocks, memory = sys.getrefcount(probe), sys.getallocatedblocks(), private_memory()
    rounds(int(os.environ.get("SLIPRING_ROUNDS", "2000")))
    gc.collect()
    assert sys.getrefcount(probe) == before
    assert sys.getallocatedblocks() - blocks < 200
    assert private_memory() - memory < 8 << 20


def test_documents_come_back():
    """M1: what JSON holds, of some size."""
    document = json.loads(json.dumps({"rows": [{"id": i, "s": f"ä{i}", "x": i / 7, "n": None} for i in range(5000)]}))
    assert slipring.decode(slipring.encode(document)) == document


#: Written otherwise here: as a date and time.
OTHERWISE = {"epoch"}
GOLDEN = json.loads((pathlib.Path(__file__).resolve().parents[3] / "tests/golden/values.json").read_text())


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: golden["name"])
def test_golden_bytes_are_read_and_written(golden):
    """R5.1: the bytes of format version 1, which every later version reads; each side writes the same."""
    name, data = golden["name"], bytes.fromhex(golden["hex"])
    if name == "date -0001-01-01":
        # Python's years begin with 1.
        with pytest.raises(slipring.DecodeError, match="the tag 100 encloses"):
            slipring.decode(data)
        return
    if name == "map of a list key":
        with pytest.warns(slipring.LossyWarning):
            assert all(isinstance(key, tuple) for key in slipring.decode(data))
        return
    value = slipring.decode(data)
    again = slipring.encode(value)
    assert (again == data) != (name in OTHERWISE), again.hex()
    if isinstance(value, np.ndarray):
        assert np.array_equal(slipring.decode(again), value)
    else:
        assert same(slipring.decode(again), value) or value != value
