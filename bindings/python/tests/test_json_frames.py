"""JSON as a frame's format: what is sent so, what arrives, and what others write."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import decimal
import enum
import json as std
import pathlib
import time

import pytest

import slipring
from slipring import dataclass, json


def test_json_is_read_from_a_frames_bytes(ends):
    """J1: as they stand in the segment."""
    tx, rx = ends
    value = {"users": [{"id": n, "name": f"n{n}é"} for n in range(100)]}
    tx.send(json.dumps(value))
    frame = rx.recv(0)
    assert json.loads(frame.value) == value == json.loads(frame.view) == json.loads(frame)
    frame.release()
    tx.send(b'{"a": nul}')
    with pytest.raises(slipring.DecodeError) as caught:
        json.loads(rx.recv(0).value)
    assert caught.value.path == "$.a"

GOLDEN = std.loads((pathlib.Path(__file__).resolve().parents[3] / "tests/golden/json.json").read_text())


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: golden["name"])
def test_golden_texts_are_read_alike(golden, foreign):
    """J1, R9.1: by ``loads`` and from a frame, as the other languages read them; with the same errors at the same places."""
    data = bytes.fromhex(golden["hex"]) if "hex" in golden else golden["text"].encode()
    frame = foreign(5, 0, data, 0) if data else None
    for read in [lambda: json.loads(data), lambda: frame.value if frame else json.loads(b"")]:
        if "error" not in golden:
            assert slipring.encode(read()).hex() == golden["cbor"]
            continue
        with pytest.raises(slipring.DecodeError) as caught:
            read()
        error = caught.value
        found = {name: getattr(error, name) for name in ("line", "column", "path", "offset")}
        assert found | {"what": str(error).split(": line")[0]} == golden["error"]
        assert error.hint and error.type == "json"

VALUES = [
    None, True, 2**200, -1.5, "", "grüß\n\"", [], {}, [[], {}], {"a": [1, {"b": None}]}, ["x" * n for n in range(70)],
    {"users": [{"id": n, "name": f"n{n}é"} for n in range(2000)]}, list(range(100_000)),
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:30])
def test_json_frames_come_back(ends, value):
    """R14.1, R14.2: what is sent as JSON is a JSON frame, whose text is that of ``dumps``; with metadata and without."""
    tx, rx = ends
    for meta in (None, {"site": 4}):
        tx.send(value, format="json", meta=meta)
        frame = rx.recv(0)
        assert (frame.format, frame.meta, frame.value) == ("json", meta, value)
        assert bytes(frame.view) == json.dumps(value) and frame.in_place
        assert frame.describe()["len"] == len(json.dumps(value))
        tx.send(frame)
        assert rx.recv(0).value == value


def test_json_frames_are_described_and_counted(ends):
    """R1.5, R13.2: what one holds can be told without reading it."""
    tx, rx = ends
    before = slipring.stats()
    for value, kind in [({}, "object"), ([], "array"), ("", "string"), (1, "number"), (True, "boolean"), (None, "null")]:
        tx.send(value, format="json")
        frame = rx.recv(0)
        assert frame.describe() == {"format": "json", "kind": kind, "len": len(json.dumps(value))}
        frame.value
    after = slipring.stats()
    for way in ("sent", "decoded"):
        assert after[way]["json"]["frames"] - before[way].get("json", {"frames": 0})["frames"] == 6


def test_what_json_has_not_is_refused_with_its_path(ends):
    """R9.1, R6.5: by name and path, and nothing is sent."""
    tx, rx = ends
    with pytest.raises(slipring.EncodeError) as caught:
        tx.send({"a": [1, {2}]}, format="json")
    assert caught.value.path == "$.a[1]"
    for value in (float("nan"), b"bytes", {1: 2}, object(), "\ud800"):
        with pytest.raises(slipring.EncodeError):
            tx.send(value, format="json")
    with pytest.raises(slipring.Empty):
        rx.recv(0)


def test_a_value_grows_into_its_reservation(ends):
    """R14.1: whatever size was guessed, the text is whole: sizes around the guess, strings that end a reservation."""
    tx, rx = ends
    for size in [*range(440, 530), 4000, 4096, 5000, 100, 70_000, 1]:
        for value in ("\n" * (size // 2), ["é" * size, size], [1] * size):
            tx.send(value, format="json")
            assert rx.recv(0).value == value


def test_text_that_is_json_already(ends):
    """J1: goes as it is, by itself and among others; as str, bytes, or anything with bytes."""
    tx, rx = ends
    for text in ('{"id": 7}', b'{"id": 7}', bytearray(b'{"id": 7}'), memoryview(b'{"id": 7}')):
        raw = json.Raw(text)
        assert raw.data == b'{"id": 7}' and repr(raw) == "slipring.json.Raw(b'{\"id\": 7}')"
        assert json.dumps([1, raw, {"a": raw}]) == b'[1,{"id": 7},{"a":{"id": 7}}]'
        for format in (None, "json"):
            tx.send(raw, format=format)
            frame = rx.recv(0)
            assert (frame.format, frame.value, bytes(frame.view)) == ("json", {"id": 7}, b'{"id": 7}')
    tx.send([json.Raw("1"), "1"], format="json")
    assert rx.recv(0).value == [1, "1"]
    explained = slipring.explain(json.Raw("[1]"))
    assert (explained.format, explained.candidates[0].size) == ("json", 3)
    # It is no value, and no pickle either: nothing is guessed.
    for other in ([json.Raw("1")], {"a": json.Raw("1")}):
        with pytest.raises(slipring.EncodeError, match="json"):
            tx.send(other)
    with pytest.raises(TypeError, match="str or bytes"):
        json.Raw(7)
    with pytest.raises(ValueError, match="from byte 1 on"):
        json.Raw(b"1\xff")
    with pytest.raises(UnicodeEncodeError):
        json.Raw("\ud800")
    tx.send(json.Raw("{"))
    with pytest.raises(slipring.DecodeError, match="line 1, column 2"):
        rx.recv(0).value


def test_json_is_sent_from_an_event_loop(ends):
    """P8: as any other object."""
    tx, rx = ends
    asyncio.run(tx.send_async({"a": 1}, format="json"))
    frame = rx.recv(0)
    assert (frame.format, frame.value) == ("json", {"a": 1})


def test_explain_says_that_json_holds_it():
    """R1.5: a value goes as one; JSON would hold it, or would not."""
    explained = slipring.explain({"a": 1})
    [found] = [c for c in explained.candidates if c.format == "json"]
    assert explained.format == "value" and found.fits and found.size == len(b'{"a":1}') and "asked" in found.reason
    [found] = [c for c in slipring.explain({"a": {1}}).candidates if c.format == "json"]
    assert not found.fits and "$.a" in found.reason


@pytest.mark.parametrize("length", [3, 7, 16, 32, 400])
@pytest.mark.parametrize("key", [False, True])
@pytest.mark.parametrize("read", ["value", "view"])
def test_who_writes_meanwhile_breaks_no_text(name, meddling, length, key, read):
    """P9: what is made of bytes that change is the text or an error, and no key of it stays for other frames."""
    text = "qzk" + "x" * (length - 3)
    with slipring.create(name, max_deliveries=255) as ring:
        tx, rx = ring.producer(), ring.consumer(ack="manual")
        tx.send({text: 0} if key else [text], format="json")
        frame = rx.recv(0)
        with meddling(ring, text, 0xE9):
            outcomes, deadline = set(), time.monotonic() + 0.5
            # The same memory each time; a value that was read stays, so the frame has to come again.
            while time.monotonic() < deadline and frame.redeliveries < 255:
                try:
                    [got] = frame.value if read == "value" else json.loads(frame.view)
                    outcomes.add(got == text and got.isascii())
                except slipring.DecodeError:
                    outcomes.add("error")
                if read == "value":
                    frame.nack()
                    frame = rx.recv(0)
                    time.sleep(0.001)  # So that there is another who writes.
    assert outcomes == {True, "error"}, "or nobody meddled"


@pytest.mark.parametrize("other", ['"', "\\", "x", "."])
@pytest.mark.parametrize("length", [12, 700])
def test_who_writes_to_numbers_meanwhile_gets_numbers_or_errors(name, meddling, length, other):
    """P9, J1: whatever a digit becomes while it is read."""
    number = "7" * length
    with slipring.create(name) as ring:
        tx, rx = ring.producer(), ring.consumer()
        tx.send(json.Raw(f'[{number}, "{number}"]'))
        frame = rx.recv(0)
        outcomes, deadline = set(), time.monotonic() + 0.5
        with meddling(ring, number, ord(other)):
            while time.monotonic() < deadline:
                try:
                    got = json.loads(frame.view, floats="decimal")
                    assert isinstance(got[0], (int, decimal.Decimal)) and got[1] == number
                    outcomes.add(got[0] == int(number))
                except slipring.DecodeError:
                    outcomes.add("error")
    assert outcomes > {True} or outcomes == {True, "error"}, "or nobody meddled"


@pytest.mark.parametrize("read", ["text", "key", "moment", "named"])
def test_who_writes_to_a_dataclass_meanwhile_breaks_no_text(name, meddling, read):
    """P9, D3: fields by their names and of their types, or errors."""

    @dataclasses.dataclass
    class Reading:
        text: str
        table: dict[str, int]
        moment: datetime.datetime
        named: Colour

    sent = Reading("qzktext", {"qzkkey": 1}, datetime.datetime(2026, 1, 2, 3, 4, 5), Colour.RED)
    found = {"text": "qzktext", "key": "qzkkey", "moment": "2026", "named": '"red"'}[read]
    with slipring.create(name, max_deliveries=255) as ring:
        tx, rx = ring.producer(), ring.consumer(ack="manual")
        dataclass.to_frame(tx, sent, format="json")
        frame = rx.recv(0)
        with meddling(ring, found, 0xE9):
            outcomes, deadline = set(), time.monotonic() + 0.5
            while time.monotonic() < deadline and frame.redeliveries < 255:
                try:
                    got = dataclass.from_frame(Reading, frame)
                    outcomes.add(got == sent and got.text.isascii() and all(key.isascii() for key in got.table))
                except (slipring.DecodeError, slipring.ValidationError):
                    outcomes.add("error")
                frame.nack()
                frame = rx.recv(0)
                time.sleep(0.001)
    assert outcomes == {True, "error"}, "or nobody meddled"


class Colour(enum.Enum):
    RED = "red"


class Size(enum.IntEnum):
    BIG = 3


class Unit(enum.StrEnum):
    METRE = "m"


class Mode(enum.Flag):
    READ = 1
    WRITE = 2


@pytest.mark.parametrize("member", [Colour.RED, Mode.READ | Mode.WRITE], ids=repr)
@pytest.mark.filterwarnings("ignore::slipring.PickleWarning")
def test_members_go_as_docs_types_says(member):
    """R1, R9: with no form as a value and in a table; in a pickle unasked; as JSON their value."""
    ring = slipring.create(anonymous=True)
    tx, rx = ring.producer(), ring.consumer(pickle=True)
    for sent in (member, {"a": member}, {member: 1}, [{"a": member}] * 200):
        tx.send(sent)
        frame = rx.recv(0)
        assert (frame.format, frame.value) == ("pickle", sent)
        for format in ("value", "arrow"):
            with pytest.raises(slipring.EncodeError):
                tx.send(sent, format=format)
    tx.send([member], format="json")
    assert rx.recv(0).value == [member.value]


@pytest.mark.parametrize("member", [Size.BIG, Unit.METRE], ids=repr)
def test_members_that_are_numbers_or_texts_go_as_such(member):
    """R1, R9: in a value with a warning, which a table unasked would not be without; in one that is asked for, and as JSON, their value."""
    ring = slipring.create(anonymous=True)
    tx, rx = ring.producer(), ring.consumer()
    for sent in (member, {"a": member}, {member: 1}, [{"a": member}] * 200):
        with pytest.warns(slipring.LossyWarning, match=type(member).__name__):
            tx.send(sent)
        frame = rx.recv(0)
        assert (frame.format, frame.value) == ("value", sent) and member.name not in repr(frame.value)
    tx.send([{"a": member}] * 2, format="arrow")
    (record, _), plain = rx.recv(0).value, member.value
    assert record == {"a": plain} and type(record["a"]) is type(plain)
    tx.send([member], format="json")
    assert rx.recv(0).value == [member.value]


def test_members_as_keys_of_json(ends):
    """R1, J1: their value, where that is text."""
    tx, rx = ends
    tx.send({Colour.RED: 1, Unit.METRE: 2}, format="json")
    assert rx.recv(0).value == {"red": 1, "m": 2}
    with pytest.raises(slipring.EncodeError, match="a key of type int is no text"):
        tx.send({Size.BIG: 1}, format="json")
