"""JSON both ways: each character, what both have a policy for, depth, threads, leaks, and what is told of the module."""

from __future__ import annotations

import ast
import decimal
import doctest
import gc
import inspect
import json as std
import math
import pathlib
import sys
import threading

import numpy as np
import orjson
import pytest
from test_json_writing import Items, Point, Slotted, Text

import slipring
from slipring import json

D = decimal.Decimal
DEPTH = 1024


def test_every_character_is_written_and_read():
    """J1: one by one and at each place in a block."""
    everything = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x11_0000)]))
    assert json.loads(json.dumps(everything)) == everything
    assert json.loads(json.dumps(everything, ascii=True)) == everything
    assert json.dumps(everything, ascii=True, text=True) == std.dumps(everything)
    assert json.dumps(everything, text=True) == std.dumps(everything, ensure_ascii=False)
    for special in ('"', "\\", "\n", "\0", "\x1f", "\x7f", "é", "ÿ", "Ā", "€", "😀", "/", " "):
        for before in range(36):
            for behind in (0, 1, 7, 15, 16, 17, 33):
                text = "x" * before + special + "y" * behind
                theirs = std.dumps(text, ensure_ascii=False)
                assert json.dumps(text, text=True) == theirs
                assert json.dumps({text: text}, text=True) == f"{{{theirs}:{theirs}}}"
                assert json.loads(theirs) == text and json.loads(std.dumps(text)) == text
                assert json.loads(theirs.encode()) == text
                assert json.loads(f"{{{theirs}:1}}".encode()) == {text: 1}


def test_strings_of_every_length():
    """J1: with and without escapes, beyond the piece in which they are written."""
    for size in [*range(80), 1023, 1024, 1025, 2048, 5000]:
        for letter in ("a", '"', "\0", "é", "€", "a\\"):
            text = letter * size
            assert json.dumps([text, text], text=True, ) == std.dumps([text, text], ensure_ascii=False, separators=(",", ":"))
            assert json.loads(json.dumps(text)) == text


def test_nan_has_a_policy():
    """J1: an error unless one of the others is asked for."""
    for x, name in ((math.nan, "NaN"), (math.inf, "Infinity"), (-math.inf, "-Infinity")):
        for value, path in ((x, "$"), ([0, x], "$[1]"), ({"a": (x,)}, "$.a[0]")):
            with pytest.raises(slipring.EncodeError, match="is no number in JSON") as caught:
                json.dumps(value)
            assert caught.value.path == path and "null" in caught.value.hint
        assert json.dumps([x, x], nan="null") == b"[null,null]" == orjson.dumps([x, x])
        assert json.dumps([x], nan="constants", text=True) == std.dumps([x]) == f"[{name}]"
        got = json.loads(f"[{name}, 1]", nan=True)
        assert repr(got) == repr(std.loads(f"[{name}, 1]"))
        with pytest.raises(slipring.DecodeError, match="nan=True") as caught:
            json.loads(f"[0, {name}]")
        assert caught.value.column == 5
    for text in ("nan", "Nan", "inf", "Infinit", "+Infinity", "-NaN", "--Infinity", "-Infinit"):
        with pytest.raises(slipring.DecodeError):
            json.loads(text, nan=True)


@pytest.mark.parametrize("lone", ["\ud800", "a\udfffb", "\udc00\ud800", "x" * 40 + "\udbff", "é\ud83d"])
def test_lone_surrogates_are_kept_on_request_only(lone):
    """J1."""
    for value, path in (([lone], "$[0]"), ({lone: 1}, "$.<key 0>"), ({"k": Text(lone)}, "$.k")):
        for options in ({}, {"ascii": True}, {"sort_keys": True}):
            with pytest.raises(slipring.EncodeError, match="surrogate") as caught:
                json.dumps(value, **options)
            assert caught.value.path == path
            written = json.dumps(value, surrogates="keep", **options)
            assert std.loads(written) == value == json.loads(written, surrogates="keep")
            with pytest.raises(slipring.DecodeError, match="lone surrogate"):
                json.loads(written)
    raw = f'["{lone}"]'
    assert json.loads(raw, surrogates="keep") == [lone] == json.loads(raw.encode("utf-8", "surrogatepass"), surrogates="keep")
    for data in (raw, raw.encode("utf-8", "surrogatepass")):
        with pytest.raises(slipring.DecodeError, match="lone surrogate") as caught:
            json.loads(data)
        assert caught.value.path == "$[0]"
    assert json.loads('["\\ud83d\\ude00", "\\ud83d"]', surrogates="keep") == ["😀", "\ud83d"]


def test_the_depth_is_documented():
    """J1: where users read it: in the stub of each function, and in ``help()``."""
    stub = (pathlib.Path(json.__file__).parent / "json.pyi").read_text()
    docs = {node.name: ast.get_docstring(node) or "" for node in ast.parse(stub).body if isinstance(node, ast.FunctionDef)}
    for name in ("dumps", "loads"):
        assert str(DEPTH) in docs[name] and str(DEPTH) in getattr(json, name).__doc__


def nested(depth):
    return [json.loads("[" * depth + "]" * depth), json.loads('{"a":' * depth + "1" + "}" * depth)]


def test_depth_has_a_limit_both_ways():
    """J1: an error, and no overflow of the stack."""
    for value in nested(DEPTH):
        text = json.dumps(value)
        assert text in (b"[" * DEPTH + b"]" * DEPTH, b'{"a":' * DEPTH + b"1" + b"}" * DEPTH)
        assert json.dumps(json.loads(json.dumps(value, indent=1, sort_keys=True))) == text
        for outer in ([value], {"a": value}, (value,), Items([value]), Point(value)):
            for options in ({}, {"indent": 0}, {"sort_keys": True}):
                with pytest.raises(slipring.EncodeError, match="1024"):
                    json.dumps(outer, **options)
    for opening in ("[", '{"a":', '[{"a":', "[[],"):
        for times in (DEPTH + 1, 100_000):
            with pytest.raises(slipring.DecodeError, match="1024") as caught:
                json.loads(opening * times)
            assert caught.value.path.startswith("$")
    endless: list = []
    endless.append(endless)
    loop: dict = {}
    loop["a"] = [loop]
    for value in (endless, loop):
        with pytest.raises(slipring.EncodeError, match="contains itself"):
            json.dumps(value)


def test_the_deepest_document_fits_a_small_stack():
    """J1: of a thread with 1 MiB, whatever is nested."""
    done: list = []

    def check():
        test_depth_has_a_limit_both_ways()
        tower: object = 1
        for n in range(DEPTH):
            tower = [Slotted(tower), (tower,), Items([tower]), {1: tower}][n % 4]
        json.dumps(tower, keys="convert")
        with pytest.raises(slipring.EncodeError, match="1024"):
            json.dumps([tower], keys="convert")
        with pytest.raises(slipring.EncodeError, match="256 times"):
            json.dumps([object()], default=lambda o: [o])
        done.append(True)

    before = threading.stack_size(1 << 20)
    try:
        thread = threading.Thread(target=check)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)
    assert done == [True]


def test_threads_read_and_write_at_once():
    """J1."""
    value = {f"key{n}": [n, str(n), {"é": n / 7}] for n in range(300)}
    text, wrong = json.dumps(value), []

    def work():
        for _ in range(30):
            if json.loads(text) != value or json.dumps(value) != text:
                wrong.append(True)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_nothing_leaks():
    """J1: references and memory stay flat, in errors too."""
    probe = object()
    value = {"a": [1.5, "text", 2**70, None], "d": D("1.1"), "k" * 40: (1, "é" * 30), "n": np.arange(3)}
    broken = [b'[1, {"a": [1.5, "x"', b'{"a": {"b": 12345678901234567890, "a"', b'["\\ud800"]', b'[{"a": 1, "a": 2}]', b'{"k": ["\xff"]}', b"[1] x"]

    def rounds(n):
        for _ in range(n):
            data = json.dumps(value)
            assert json.loads(data)["a"][1] == "text"
            json.loads(data.decode(), floats="decimal")
            json.dumps(value, indent=1, sort_keys=True, ascii=True, text=True)
            json.dumps([probe], default=lambda o: [1])
            for bad in broken:
                with pytest.raises(slipring.DecodeError):
                    json.loads(bad, duplicates="error")
            for options in ({}, {"default": lambda o: o}, {"sort_keys": True}):
                with pytest.raises(slipring.EncodeError):
                    json.dumps({"x" * 1000: [value, probe]}, **options)

    rounds(100)
    gc.collect()
    before, blocks = sys.getrefcount(probe), sys.getallocatedblocks()
    rounds(500)
    gc.collect()
    assert sys.getrefcount(probe) == before
    assert sys.getallocatedblocks() - blocks < 200


# --- what is told of it ---


def test_the_stub_says_what_there_is():
    """The signatures of the stub are those of the module."""
    stub = ast.parse(pathlib.Path(json.__file__).with_suffix(".pyi").read_text())
    functions = [node for node in stub.body if isinstance(node, ast.FunctionDef)]
    others = {"DecodeError", "EncodeError", "Raw"}
    assert {node.name for node in functions} | others == {"dumps", "loads"} | others == set(json.__all__)
    for node in functions:
        given = node.args
        expected = [(given.posonlyargs[0].arg, inspect.Parameter.empty)]
        expected += [(a.arg, ast.literal_eval(d)) for a, d in zip(given.args, given.defaults, strict=True)]
        expected += [(a.arg, ast.literal_eval(d)) for a, d in zip(given.kwonlyargs, given.kw_defaults) if d]
        found = [(p.name, p.default) for p in inspect.signature(getattr(json, node.name)).parameters.values()]
        # Where it says what comes out, an option has no default.
        required = {a.arg for a, d in zip(given.kwonlyargs, given.kw_defaults) if not d}
        assert [p for p in found if p[0] not in required] == expected


def test_the_examples_are_true():
    """The docstrings."""
    assert slipring.json is json
    tried = doctest.testmod(json)
    assert tried.failed == 0 and tried.attempted >= 8
