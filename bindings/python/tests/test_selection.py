"""Which format an object takes, why, what that costs, and what is counted of it."""

import ast
import asyncio
import mmap
import tracemalloc

import numpy as np
import pytest

import slipring


def test_formats_can_be_asked_for(ends):
    """R1.4: each for what it can hold, and no other."""
    tx, rx = ends
    for sent, formats in [
        (b"abc", ["raw", "value", "pickle"]),
        (np.arange(3), ["ndarray", "raw", "value", "pickle"]),
        ({"a": 1}, ["value", "pickle"]),
        (slice(3), ["pickle"]),
    ]:
        for format in ("raw", "ndarray", "value", "pickle"):
            if format in formats:
                tx.send(sent, format=format)
                assert rx.recv(0).format == format
            else:
                with pytest.raises(slipring.EncodeError):
                    tx.send(sent, format=format)
    with pytest.raises(ValueError, match="format"):
        tx.send(b"", format="yaml")


def test_a_producer_may_send_no_pickles(ring):
    """R1.3, R9.1: then what has no other form is an error, with its path, and nothing is sent."""
    tx, rx = ring.producer(pickle=False), ring.consumer()
    with pytest.raises(slipring.EncodeError, match="sends no pickles") as caught:
        tx.send({"rows": [1, slice(2)]})
    assert caught.value.path == "$.rows[1]" and "slipring.register" in caught.value.hint
    for send in (
        lambda: tx.send(slice(1), format="pickle"), lambda: tx.send(np.array([{}])),
        lambda: tx.send_many([slice(1)]), lambda: asyncio.run(tx.send_async(slice(1))),
    ):  # fmt: skip
        with pytest.raises(slipring.EncodeError):
            send()
    tx.send({"rows": [1]})
    assert rx.recv(0).value == {"rows": [1]}


def test_who_can_not_be_pickled_either_is_not_told_to(ends):
    """R9.1: the error names what has no form as a value; its cause says what pickle says."""
    tx, _ = ends
    for send in (tx.send, slipring.encode):
        with pytest.raises(slipring.EncodeError) as caught:
            send({"a": (x for x in [])})
        assert caught.value.path == "$.a" and caught.value.hint == "register its type with slipring.register"
        assert "generator" in str(caught.value.__cause__)


def test_what_is_large_is_explained_without_a_copy():
    """R1.5: sizes are counted and are those that the ring takes, times are estimated; small ones are measured."""
    array = np.zeros((3000, 1000))
    records = [{"id": n, "name": f"n{n}", "x": [n / 7, None]} for n in range(20_000)]
    for sent in (array, bytes(30_000_000), {"a": array, "b": records}, records):
        tracemalloc.start()
        explained = slipring.explain(sent)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 1_000_000, "nothing of it was copied"
        for candidate in explained.candidates:
            assert candidate.measured is False and (candidate.seconds is None) == (not candidate.fits)
        first = explained.candidates[0]
        with slipring.create(anonymous=True, capacity="128 MiB") as ring:
            ring.producer().send(sent)
            frame = ring.consumer().recv(0)
            assert frame.format == first.format
            assert abs(frame.header.body_len - first.size) <= 256
    # What is large and no value is found out, wherever it is.
    explained = slipring.explain([*records, slice(1)])
    assert explained.format == "pickle"
    assert "$[20000]" in {c.format: c for c in explained.candidates}["value"].reason
    assert all(c.measured for c in slipring.explain([1, "a"]).candidates if c.fits)


def test_one_send_in_a_while_is_timed(ends):
    """R1.4, R7.1: what sending takes is known after a while, by format, kind and size; and at once after ``calibrate``."""
    tx, rx = ends
    found = {(cost.format, cost.kind) for cost in slipring.calibrate()}
    assert {("value", "records"), ("json", "numbers"), ("pickle", "text"), ("ndarray", "arrays"), ("raw", "bytes")} <= found
    assert all(cost.seconds > 0 and cost.size > 0 for cost in slipring.costs())

    def mean():
        [cost] = [c for c in slipring.costs() if (c.format, c.kind) == ("value", "text") and 4096 <= c.size < 65_536]
        return cost.size

    before = mean()
    for _ in range(64 * 40):
        tx.send(["x" * 9000])
        rx.recv(0)
    assert abs(mean() - 9000) < 200 < abs(before - 9000)
    # The estimate is of the size of what it takes.
    text = ["x" * 1_000_000]
    [estimate] = [c.seconds for c in slipring.explain(text).candidates if c.format == "value"]
    assert 1e-6 < estimate < 1e-2


@pytest.mark.filterwarnings("ignore::slipring.PickleWarning")
def test_the_choice_is_explained(ends):
    """R1.5: `explain` says what `send` does, why, and what the others would have cost."""
    tx, rx = ends
    for sent in (b"abc", np.arange(9), {"a": [1]}, slice(1), np.float32(1), "text", memoryview(b"x"), np.array([None])):
        told = slipring.explain(sent)
        tx.send(sent)
        assert told.format == rx.recv(0).format, sent
        assert told.candidates[0].seconds > 0 and told.candidates[0].size > 0
        assert told.reason and len(told.candidates) >= 4 and told.format in str(told)
        assert [c.fits for c in told.candidates] == sorted((c.fits for c in told.candidates), reverse=True)
    told = slipring.explain((x for x in []))
    assert told.format is None and "generator" in str(told)
    assert "$[0]" in next(c for c in slipring.explain([slice(1)]).candidates if c.format == "value").reason


@pytest.mark.filterwarnings("ignore::slipring.PickleWarning")
def test_what_is_sent_is_counted(ends):
    """R1.5, R7.1."""
    tx, rx = ends
    count = lambda way, format: slipring.stats()[way].get(format, {"frames": 0})["frames"]  # noqa: E731
    before = [count(way, f) for way in ("sent", "decoded") for f in ("raw", "value", "ndarray", "pickle")]
    for sent in (b"a", {"b": 1}, np.arange(3), slice(1)):
        tx.send(sent)
    assert tx.send_many([b"x", b"y", 1]) == 3
    for frame in rx.recv_many(7):
        if frame.format != "pickle":
            _ = frame.value, frame.value
    after = [count(way, f) for way in ("sent", "decoded") for f in ("raw", "value", "ndarray", "pickle")]
    assert [b - a for a, b in zip(before, after)] == [3, 2, 1, 1, 3, 2, 1, 0]


def test_what_was_measured_stays_with_the_segment(name, ring, python):
    """R1.4: the next process takes it over, and what nobody can have measured it does not."""
    code = """
        import sys, slipring
        ring = slipring.open(sys.argv[1])
        tx = ring.producer()
        {}
        print([(c.format, c.kind, c.size, c.seconds) for c in slipring.costs()])
    """
    first = python(code.format("rx = ring.consumer()\n        for _ in range(64): tx.send(['x' * 9000]), rx.recv()"), name)
    told, errors = first.communicate(timeout=60)
    [(format, kind, size, seconds)] = ast.literal_eval(told)
    assert (format, kind) == ("value", "text") and 9000 <= size <= 9100, errors
    with open(ring.path, "r+b") as file, mmap.mmap(file.fileno(), 0) as segment:
        # Words of Python's figures: `selection.md` says where they are; the last one is made up.
        assert np.count_nonzero(np.frombuffer(segment[1536:2376], "<u4")) == 1
        segment[512 + 4 * (256 + 209) : 512 + 4 * (256 + 210)] = b"\xff" * 4
    next_one, errors = python(code.format(""), name).communicate(timeout=60)
    [(*same, near, after)] = ast.literal_eval(next_one)
    assert same == ["value", "text"] and abs(near - size) <= size / 100 and abs(after / seconds - 1) < 0.01, errors
