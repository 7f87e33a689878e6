"""What ``json.loads`` reads, and what is said of a text that it refuses."""

from __future__ import annotations

import gc
import itertools
import json as std
import re

import numpy as np
import pytest

import slipring
from slipring import json


def test_only_the_four_white_spaces_stand_between():
    """J1."""
    assert json.loads(b" \t\r\n{ \t\r\n\"a\" \t\r\n: \t\r\n[ \t\r\n1 \t\r\n, \t\r\n2 \t\r\n] \t\r\n} \t\r\n") == {"a": [1, 2]}
    for byte in range(256):
        text = b"[1," + bytes([byte]) * 2 + b"2]"
        if byte in b" \t\r\n":
            assert json.loads(text) == [1, 2]
        elif not 0x30 <= byte <= 0x39 and byte != 0x2D or byte in b"0-":
            with pytest.raises(slipring.DecodeError):
                json.loads(text)


def test_keys_are_told_apart():
    """J1: whatever was read before, of which some is kept."""
    keys = ["".join(words) for words in itertools.permutations(("a" * 8, "b" * 8, "c" * 8, "d" * 8))]
    for size in (0, 1, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 64):
        keys += ["k" * size, *("k" * at + "x" + "k" * (size - at - 1) for at in range(size))]
    keys += [f"key{n}" for n in range(5000)]
    for _ in range(3):
        value = dict.fromkeys(keys, 1)
        assert list(json.loads(std.dumps(value))) == list(value)
        for key in keys[:400]:
            assert json.loads(std.dumps({key: 1})) == {key: 1}
        keys.reverse()


def test_keys_that_stand_twice():
    """J1: the last value stays, or the second one is an error, with its place."""
    text = '{"a": {"x": 1,\n "y": 2, "\\u0078": 3}, "b": [{}, {"k": 1, "l": 2}]}'
    assert json.loads(text) == {"a": {"x": 3, "y": 2}, "b": [{}, {"k": 1, "l": 2}]}
    with pytest.raises(slipring.DecodeError, match="this key twice") as caught:
        json.loads(text, duplicates="error")
    error = caught.value
    assert (error.path, error.line, error.column, error.offset) == ("$.a", 2, 10, 24)
    fine = '{"a": {"a": [{"a": 1, "b": 1}, {"a": 2}]}, "b": {"a": {}}}'
    assert json.loads(fine, duplicates="error") == std.loads(fine)


@pytest.mark.parametrize("name", ["duplicates", "floats", "surrogates"])
def test_wrong_options_of_loads_are_named(name):
    """J1."""
    with pytest.raises(ValueError, match=name):
        json.loads("1", **{name: "other"})


def test_what_is_read_from():
    """J1: anything with a buffer, strided too; nothing else."""
    data = b'{"a": [1, 2]}'
    doubled = bytes(byte for byte in data for _ in range(2))
    for source in (data, bytearray(data), memoryview(data), memoryview(doubled)[::2], np.frombuffer(data, "u1"), data.decode()):
        assert json.loads(source) == {"a": [1, 2]}
    for wrong in (None, 1, ["1"], object()):
        with pytest.raises(TypeError, match="str or bytes"):
            json.loads(wrong)


def test_garbage_is_collected_again_afterwards():
    """J1: reading pauses the collector, and gives it back as it was."""
    for text, fails in (("[1]", False), ("[1", True)):
        for enabled in (True, False):
            (gc.enable if enabled else gc.disable)()
            try:
                if fails:
                    with pytest.raises(slipring.DecodeError):
                        json.loads(text)
                else:
                    json.loads(text)
                assert gc.isenabled() is enabled
            finally:
                gc.enable()


# --- errors ---


@pytest.mark.parametrize(
    "text, line, column, path, part",
    [
        ("", 1, 1, "$", "a value is missing"),
        ('{"users": [0, 1, 2, {"photo": x}]}', 1, 31, "$.users[3].photo", "begins no value"),
        ('[\n  1,\n  "é€😀", ?]', 3, 10, "$[2]", "begins no value"),
        ("[1 2]", 1, 4, "$", "neither a comma nor ]"),
        ('{"a": {"b": 1 "c"}}', 1, 15, "$.a", "neither a comma nor }"),
        ('{"a" 1}', 1, 6, "$", "no colon"),
        ("{1: 2}", 1, 2, "$", "a key is missing"),
        ('{"a": 1,}', 1, 9, "$", "a key is missing"),
        ("[1,]", 1, 4, "$[1]", "begins no value"),
        ("[1", 1, 3, "$", "an array does not end"),
        ('[{"a": 1', 1, 9, "$[0]", "an object does not end"),
        ('["abc', 1, 6, "$[0]", "a string does not end"),
        ('["a\tb"]', 1, 4, "$[0]", "control character 0x09"),
        ('["a\\x"]', 1, 4, "$[0]", "no escape"),
        ('{"a\\x": 1}', 1, 4, "$.<key 0>", "no escape"),
        ('{"a": 1, "\\u12": 1}', 1, 11, "$.<key 1>", "four hexadecimal digits"),
        ("[01]", 1, 2, "$[0]", "begins with 0"),
        ("[-]", 1, 3, "$[0]", "behind the minus"),
        ("[1.]", 1, 4, "$[0]", "behind the point"),
        ("[1e]", 1, 4, "$[0]", "in the exponent"),
        ("1 1", 1, 3, "$", "something follows"),
        ('{"a b": {"1": [tru]}}', 1, 16, '$["a b"]["1"][0]', "begins no value"),
        ("\ufeff1", 1, 1, "$", "byte order mark"),
        ("['a']", 1, 2, "$[0]", "double quotes"),
        ("[1, // one\n2]", 1, 5, "$[1]", "comments"),
    ],
)
def test_what_is_wrong_is_named(text, line, column, path, part):
    """J1: line and column from 1, the path, the offset, what to do."""
    for data in (text, text.encode()):
        with pytest.raises(slipring.DecodeError, match=re.escape(part)) as caught:
            json.loads(data)
        error = caught.value
        assert (error.line, error.column, error.path) == (line, column, path)
        assert error.type == "json" and error.hint and isinstance(error, ValueError)
        head = data[: error.offset]
        newline = "\n" if isinstance(data, str) else b"\n"
        assert head.count(newline) == line - 1
        assert f"line {line}, column {column}, at {path}" in str(error) or part in error.hint
        tail = head.split(newline)[-1]
        assert len(tail if isinstance(tail, str) else tail.decode()) == column - 1


def test_bytes_that_are_not_utf8_are_named():
    """J1: the byte itself, among ASCII, text and escapes, in values and keys."""
    for bad in (b"\xff", b"\xc3", b"\xc0\x80", b"\xe2\x82", b"\xf5\x80\x80\x80", b"\x80", b"\xed\xa0"):
        for before in (b"", b"abc", b"x" * 20, "é€".encode(), b"\\n", "\\u00e9é".encode()):
            for shape in (b'["%b"]', b'{"%b": 1}'):
                data = shape % (before + bad + b"z")
                with pytest.raises(slipring.DecodeError, match="UTF-8|surrogate") as caught:
                    json.loads(data)
                assert caught.value.offset == 2 + len(before), data
