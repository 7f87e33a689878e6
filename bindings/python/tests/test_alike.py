"""Maps that come again with the same keys, which are read in another way than the first ones; and texts of all widths.

The oracles are cbor2 and Python's own UTF-8.
"""

import gc
import itertools
import threading
import tracemalloc
import weakref

import cbor2
import pytest

import slipring

#: So often each is read, that it is new, known, and expected.
TIMES = 6


class Here(list):
    """One that may be referred to weakly."""


def head(major, n):
    return bytes([major << 5 | n]) if n < 24 else bytes([major << 5 | 24, n])


def text(t):
    return head(3, len(t.encode())) + t.encode()


def written(pairs):
    """A map of pairs in this order, whatever they are."""
    return head(5, len(pairs)) + b"".join(text(k) + v for k, v in pairs)


@pytest.mark.parametrize("size", [*range(1, 12), 22, 23, 43, 63, 64, 65, 90])
@pytest.mark.parametrize("longest", [1, 6, 7, 23, 24, 39, 60])
def test_maps_of_any_size_come_as_they_were_however_often(size, longest):
    """R6.1, R14.2: also the last bytes of the input, which nothing follows, with keys of every length."""
    wanted = {f"{i:02}".ljust(1 + (i * 7) % longest, "k"): [None, i, 1.5, "x", [i], {"a": i}][i % 6] for i in range(size)}
    assert len(wanted) == size
    for data in (slipring.encode(wanted), cbor2.dumps([wanted, [wanted, 1]])):
        for _ in range(TIMES):
            got = slipring.decode(data)
            assert got == cbor2.loads(data)
            assert [*(got if isinstance(got, dict) else got[0])] == [*wanted]


def test_maps_that_part_from_those_before_at_any_key():
    """R6.1: the values that came before the other key stay, in their order."""
    keys = [f"key number {i}" for i in range(9)]
    first = dict.fromkeys(keys, 1)
    for at, other in itertools.product(range(9), ["key number X", "k", "x" * 50, "\xe4"]):
        for _ in range(TIMES):
            assert slipring.decode(slipring.encode(first)) == first
        parted = {(other if i == at else key): [i, {"in": i}] for i, key in enumerate(keys)}
        for _ in range(TIMES):
            got = slipring.decode(slipring.encode(parted))
            assert got == parted and [*got] == [*parted]
            got = slipring.decode(slipring.encode([first, parted, first]))
            assert got == [first, parted, first] and [*got[1]] == [*parted]


def test_a_key_that_comes_twice_is_refused_where_other_keys_were_expected():
    """R9.1: at each place of a map that is known by its other keys."""
    keys = ["alpha", "beta", "gamma", "delta"]
    for _ in range(TIMES):
        slipring.decode(written([(key, b"\x01") for key in keys]))
    for at in range(1, 4):
        twice = [*keys]
        twice[at] = keys[at - 1]
        for _ in range(TIMES):
            with pytest.raises(slipring.DecodeError, match="twice"):
                slipring.decode(written([(key, b"\x01") for key in twice]))


@pytest.mark.parametrize("cut", range(1, 39))
def test_a_map_that_is_known_may_end_anywhere(cut):
    """R9.2: also where what is missing is a key that is expected; zeros are no key."""
    data = slipring.encode({"alpha": 1, "beta": [1, "two"], "gamma\0\0": {"in": None, "at": 2}, "d": 4})
    for _ in range(TIMES):
        slipring.decode(data)
    assert 0 < len(data) - cut < len(data)
    with pytest.raises(slipring.DecodeError):
        slipring.decode(data[: len(data) - cut])
    slipring.decode(data)


def test_an_error_in_a_map_that_is_known_names_its_key():
    """R9.1, R6.5."""
    good = written([("name", b"\x01"), ("list", b"\x82\x01\x02"), ("last", b"\x03")])
    bad = written([("name", b"\x01"), ("list", b"\x82\x01\x62\xc3\x28"), ("last", b"\x03")])
    for _ in range(TIMES):
        slipring.decode(good)
        with pytest.raises(slipring.DecodeError) as error:
            slipring.decode(bad)
        assert error.value.path == "$.list[1]"


def test_what_was_read_is_the_readers_own():
    """R6.2: a change of one dict is no change of the next one, nor of what is expected."""
    value = {"name": "a", "list": [1], "none": None}
    data = slipring.encode(value)
    for _ in range(TIMES):
        got = slipring.decode(data)
        assert got == value
        got["name"] = "b"
        got["more"] = got
        del got["none"]
        got["list"].append(2)
        got |= {f"{i}": i for i in range(100)}


def test_the_collector_looks_into_dicts_that_enclose_something_and_only_those():
    """R8.4: a ring of objects through a dict that was read is found and freed."""
    for value, looks in [({"alpha": 1, "b": "x"}, False), ({"alpha": 1, "b": []}, True), ({"alpha": {}, "b": 1}, True)]:
        data = slipring.encode(value)
        for _ in range(TIMES):
            got = slipring.decode(data)
            assert gc.is_tracked(got) == looks

    for _ in range(TIMES):
        got = slipring.decode(data)
        here = Here([got])
        got["alpha"] = here
        dead = weakref.ref(here)
        del got, here
        gc.collect()
        assert dead() is None


def test_lengths_that_take_more_bytes_than_they_need_are_read_as_often():
    """R6.1: RFC 8949 lets a length stand in more bytes; such a map is never the expected one."""
    long_ = lambda t: bytes([0x78, len(t)]) + t.encode()  # noqa: E731
    keys = ["alpha", "beta", "gamma"]
    odd = b"\xa3" + b"".join(long_(key) + b"\x05" for key in keys)
    mixed = b"\xa3" + text(keys[0]) + b"\x05" + long_(keys[1]) + b"\x05" + text(keys[2]) + b"\x05"
    for data in [odd, mixed, written([(key, b"\x05") for key in keys])] * TIMES:
        got = slipring.decode(data)
        assert got == dict.fromkeys(keys, 5) and [*got] == keys


def test_more_kinds_of_maps_than_are_remembered():
    """R8.4: a thousand kinds in turns, from several threads."""
    kinds = [{f"{i}{j}": j for j in range(2 + i % 60)} for i in range(1000)]
    data = slipring.encode(kinds)
    wrong = []

    def read():
        for _ in range(3):
            if slipring.decode(data) != kinds:
                wrong.append(1)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_texts_of_all_widths_and_lengths_are_those_of_python():
    """R6.1: characters of one to four bytes, at each place of texts around each length that is read in a way of its own."""
    lengths = [*range(70), 127, 128, 129, 255, 256, 257, 500, 510, 511, 512, 513, 600, 1100]
    for wide, length in itertools.product(["\x7f", "\x80", "\xff", "\u0100", "\u07ff", "\u0800", "\ud7ff", "\uffff", "\U00010000", "\U0010ffff"], lengths):
        for at in {0, 1, length // 2, length - 1} if length else []:
            value = "a" * at + wide + "b" * (length - at - 1)
            got = slipring.decode(slipring.encode(value))
            assert got == value and hash(got) == hash(value) and got.isascii() == value.isascii()
            # Its memory is as wide as Python's own: else equal texts would be told apart.
            assert got.__sizeof__() == value.encode().decode().__sizeof__()
        value = wide * length
        assert slipring.decode(slipring.encode([value, {value: 1}])) == [value, {value: 1}]


def test_bytes_that_are_no_text_are_refused_as_python_refuses_them():
    """R9.2: every two and three bytes with a first byte beyond ASCII, alone and inside of longer texts; Python's decoder is the oracle."""
    some = [0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xED, 0xEF, 0xF0, 0xF4, 0xF5, 0xFF]
    refused = 0
    for first in range(0x80, 0x100):
        for rest in itertools.chain([()], itertools.product(some), itertools.product(some, some), itertools.product([0x80, 0xBF, 0x41], repeat=3)):
            piece = bytes([first, *rest])
            for whole in (piece, b"a" * 40 + piece, piece + b"b" * 20):
                data = head(3, len(whole)) + whole
                try:
                    wanted = whole.decode()
                except UnicodeDecodeError as error:
                    refused += 1
                    with pytest.raises(slipring.DecodeError, match="UTF-8") as raised:
                        slipring.decode(data)
                    assert isinstance(raised.value, slipring.DecodeError), error
                else:
                    assert slipring.decode(data) == wanted
    assert refused > 10_000


def test_truth_stands_in_lists_and_keeps_its_identity():
    """R6.2."""
    value = [True, False, None, True] * 50
    got = slipring.decode(slipring.encode(value))
    assert all(a is b for a, b in zip(got, value, strict=True))


def test_a_map_that_announces_many_pairs_takes_no_more_memory_than_it_paid_for():
    """R9.2: pairs of two bytes each, all with the same key."""
    data = b"\xba" + (1 << 16).to_bytes(4, "big") + b"\x00\x00" * (1 << 16)
    tracemalloc.start()
    with pytest.raises(slipring.DecodeError, match="twice"):
        slipring.decode(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # With a place for each pair they would be 20 times as many.
    assert peak < 12 * len(data), peak
