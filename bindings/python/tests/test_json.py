"""JSON, against the standard module, against orjson, and against RFC 8259.

What differs on purpose from the standard module, and is taken out of the comparisons here: NaN and Infinity, lone
surrogates, numbers beyond a double and byte order marks are refused unless asked for; bytes are UTF-8 only; there is
a limit of 1024 containers inside each other; keys other than str are refused unless asked for.
"""

from __future__ import annotations

import ast
import collections
import dataclasses
import datetime as dt
import decimal
import doctest
import enum
import functools
import gc
import inspect
import itertools
import json as std
import math
import pathlib
import re
import struct
import sys
import threading
import typing
import uuid
import zoneinfo

import hypothesis
import numpy as np
import orjson
import pytest
from hypothesis import strategies as st

import slipring
from slipring import json

D = decimal.Decimal
DEPTH = 1024

floats = st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(codec="utf-8")) | st.text("ab\\\"\n\0é€😀/", max_size=60)
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | floats | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=40,
)


def same(a, b):
    """Equal, of the same types all the way down, floats by their bits."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(map(same, a.values(), b.values()))
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float):
        return struct.pack("d", a) == struct.pack("d", b)
    return a == b


def strict_std(data):
    """What the standard module reads in its strict mode; ValueError for what we refuse as well."""

    def constant(name):
        raise ValueError(name)

    def number(text):
        if math.isinf(float(text)):
            raise ValueError("beyond a double")
        return float(text)

    if isinstance(data, bytes):
        data = data.decode()
    value = std.loads(data, parse_constant=constant, parse_float=number)
    std.dumps(value, ensure_ascii=False).encode()
    return value


# --- against others ---


@hypothesis.given(documents)
@hypothesis.settings(max_examples=400)
def test_documents_come_back_as_the_standard_module_writes_them(value):
    """J1: each reads what the other writes; the texts are the same where numbers are written alike."""
    written = json.dumps(value)
    assert same(json.loads(written), value)
    assert same(std.loads(written), value)
    assert same(json.loads(std.dumps(value)), value)
    assert same(json.loads(std.dumps(value, ensure_ascii=False, indent=3)), value)
    assert json.dumps(value, text=True) == written.decode()


#: Values whose floats all have the same digits in both.
alike = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from([0.5, -0.0, 1.25, 123.0]) | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=40,
)


@hypothesis.given(alike, st.sampled_from([None, 0, 1, 2, 7, "\t"]), st.booleans(), st.booleans())
@hypothesis.settings(max_examples=400)
def test_texts_are_those_of_the_standard_module(value, indent, sort_keys, ascii):
    """J1: indentation, sorted keys, ASCII."""
    separators = (",", ": " if indent is not None else ":")
    theirs = std.dumps(value, indent=indent, sort_keys=sort_keys, ensure_ascii=ascii, separators=separators)
    assert json.dumps(value, indent=indent, sort_keys=sort_keys, ascii=ascii, text=True) == theirs


@hypothesis.given(documents)
def test_texts_are_those_of_orjson(value):
    """J2: byte for byte, where orjson can hold the value."""
    try:
        theirs = orjson.dumps(value)
    except TypeError:
        return
    assert json.dumps(value) == theirs
    assert same(json.loads(theirs), orjson.loads(theirs))


@hypothesis.given(documents, st.data())
@hypothesis.settings(max_examples=1000, suppress_health_check=[hypothesis.HealthCheck.too_slow])
def test_broken_documents_are_judged_as_the_standard_module_judges_them(value, data):
    """J1: a byte taken out, put in or changed: accepted by all, with the same value, or by none; by orjson as well."""
    good = bytearray(std.dumps(value, ensure_ascii=False, indent=data.draw(st.sampled_from([None, 1]))).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(good) - 1)) if good else 0
        byte = data.draw(st.sampled_from(b'{}[]",:\\0123456789-+.eEtfnul \n\t\0\x7f\x80\xc3\xed\xff/') | st.integers(0, 255))
        kind = data.draw(st.sampled_from("xio"))
        good[at : at + (kind != "i")] = b"" if kind == "o" else bytes([byte])
    check_alike(bytes(good))
    check_with_orjson(bytes(good))


def check_with_orjson(text):
    try:
        theirs = orjson.loads(text)
    except ValueError:
        with pytest.raises(slipring.DecodeError):
            json.loads(text)
        return
    # Ints beyond 64 bits, which orjson makes floats of, and floats that are written as such ints.
    if not re.search(rb"[0-9]{19}", text):
        assert same(json.loads(text), theirs)


def check_alike(text):
    try:
        theirs = strict_std(text)
    except ValueError:  # of both kinds: JSON and Unicode
        with pytest.raises(slipring.DecodeError) as caught:
            json.loads(text)
        assert 0 <= caught.value.offset <= len(text)
        return
    assert same(json.loads(text), theirs)


@hypothesis.given(st.text('[]{}",:0123456789-.eE\\ntruefalsenull \n\t/ué😀', max_size=30))
@hypothesis.settings(max_examples=1000)
def test_texts_of_its_letters_are_judged_alike(text):
    """J1: as str and as bytes."""
    check_alike(text.encode())
    try:
        theirs = strict_std(text)
    except ValueError:
        with pytest.raises(slipring.DecodeError):
            json.loads(text)
    else:
        assert same(json.loads(text), theirs)


@hypothesis.given(st.binary(max_size=100))
@hypothesis.settings(max_examples=1000)
@hypothesis.example(b"\xef\xbb\xbf1")
@hypothesis.example(b'"' + b"\xff" * 40)
@hypothesis.example(b'"\xed\xa0\x80"')
@hypothesis.example(b'["\xf4\x90\x80\x80"]')
@hypothesis.example(b"\0")
def test_any_bytes_end_well(data):
    """J1: a value, or an error of ours with a place in it."""
    for options in ({}, {"surrogates": "keep", "nan": True, "duplicates": "error", "floats": "decimal"}):
        try:
            json.loads(data, **options)
        except slipring.DecodeError as error:
            assert error.line >= 1 and error.column >= 1 and error.path[0] == "$" and error.hint
            assert 0 <= error.offset <= len(data)


def test_every_end_of_a_document_is_an_error_or_a_value():
    """J1: nothing is read behind the end; each prefix and each start lies at the end of its memory."""
    text = std.dumps(
        {"a": [1, -2.5e-3, True, None, "é\n\\ud83d", "x" * 40], "k" * 40: {"z": [[], {}]}, "": 10**30}, indent=2
    )
    for end in range(len(text) + 1):
        check_alike(text[:end].encode())
        check_alike(text[end:].encode())


# --- what RFC 8259 says ---

ACCEPTED = r"""
[]|[[]   ]|[""]|["a"]|[1]|[1 ]| [1]|[null, 1, "1", {}]|[true]|{}|{"":0}|{"a":[]}|{"a":"b","a":"c"}|{"a":"b","a":"b"}
[123e65]|[0e+1]|[0e1]|[ 4]|[-0.000000000000000000000000000000000000000000000000000000000000000000000000000001]|[20e1]
[-0]|[-123]|[-1]|[-0.0]|[1E22]|[1E-2]|[1E+2]|[123e45]|[123.456e78]|[1e-2]|[1e+2]|[123]|[123.456789]|0|-0|0.0|1e0
["\u0060\u012a\u12AB"]|["\uD801\udc37"]|["\ud83d\ude39\ud83d\udc8d"]|["\"\\\/\b\f\n\r\t"]|["\\u0000"]|["\""]
["a/*b*/c/*d//e"]|["\\a"]|["\\n"]|["\u0012"]|["\uFFFF"]|["asd"]|[ "asd"]|["\uDBFF\uDFFF"]|["new\u00A0line"]
["\u0000"]|["\u002c"]|["π"]|["𛿿"]|["asd "]|" "|["\uD834\uDd1e"]|["\u0821"]|["\u0123"]|["\u2028"]|["\u0061\u30af\u30EA\u30b9"]
["new\u000Aline"]|["\u200B"]|["\u2064"]|["\uFDD0"]|["\u0022"]|["aa"]|false|42|-0.1|null|"asd"|true|["a"] | [1,2] |{"a":1,"b":2}
[1.7976931348623157e308]|[5e-324]|[1e-400]|[2.2250738585072011e-308]|[9007199254740993]|[123456789012345678901234567890]
"""
REFUSED = r"""
[1 true]|["": 1]|[""],|[,1]|[1,,2]|["x",,]|["x"]]|["",]|["x"|[x|[3[4]]|[1:2]|[,]|[-]|[   , ""]|["a",|[1,]|[""|[*]|[""
[fals]|[nul]|[tru]|[True]|[++1234]|[+1]|[+Inf]|[-01]|[-1.0.]|[-2.]|[.-1]|[.2e-3]|[0.1.2]|[0.3e+]|[0.3e]|[0.e1]|[0E+]
[0E]|[0e+]|[0e]|[1.0e+]|[1.0e-]|[1.0e]|[1 000.0]|[1eE2]|[2.e+3]|[2.e-3]|[2.e3]|[9.e+]|[Inf]|[NaN]|[1+2]|[0x1]|[0x42]
[Infinity]|[0e+-1]|[-123.123foo]|[-Infinity]|[-foo]|[- 1]|[-012]|[-.123]|[-1x]|[1ea]|[1.]|[.123]|[1.2a-3]|[1.8011670033376514H-308]
[012]|["x", truth]|{[: "x"}|{"x", null}|{"x"::"b"}|{🇨🇭}|{"a":"a" 123}|{key: 'value'}|{"a" b}|{:"b"}|{"a" "b"}|{"a":|{"a"
{1:1}|{9999E9999:1}|{null:null,null:null}|{"id":0,,,,,}|{'a':0}|{"id":0,}|{"a":"b"}/**/|{"a":"b"}/**//|{"a":"b"}//|{"a":"b"}/
{"a":"b",,"c":"d"}|{a: "b"}|{"a":"a|{ "foo" : "bar", "a" }|{"a":"b"}#| |["\uD800\"]|["\uD800\u"]|["\uD800\u1"]|["\uD800\u1x"]
[é]|["\x00"]|["\\\"]|["\	"]|["\🌀"]|["\"]|["\u00A"]|["\uD834\uDd"]|["\uD800\uD800\x"]|["\a"]|["\uqqqq"]|[\n]|"|['single quote']|abc
["\|["a|"\|[\u000A""]|<.>|[<null>]|[1]x|[1]]|aå|[True]|1]|{"x": true,|[][]|]|{}}|{"":|[|{|[{"":[{"":|2@|{"a": true} "x"|['|["a|{]|{,|{[|{"a|{'a'
[{"a":|["\u{1F600}"]|tru|nulll|truefalse|["\ud800"]|["\udc00"]|["\ud800abc"]|["\udc00\ud800"]|["\ud800\n"]|[1e400]|[-1e400]|+1|00|-00|01|1.e1|.5|--1|-
"""


def lines(text):
    return [case for line in text.strip("\n").split("\n") for case in line.split("|")]


@pytest.mark.parametrize("text", lines(ACCEPTED))
def test_what_is_json_is_read(text):
    """J1: as the standard module and orjson read it, from bytes and from str, at any end of memory."""
    theirs = std.loads(text)
    for data in (text, text.encode(), bytearray(text.encode()), memoryview(b"x" + text.encode() + b"1")[1:-1]):
        assert same(json.loads(data), theirs)
    if "123456789012345678901234567890" not in text:
        assert orjson.loads(text) == theirs


@pytest.mark.parametrize("text", [*lines(REFUSED), "", "\ufeff[]", "[1]\0", '["a\nb"]', '["\t"]', '["\x1f"]', "\u00a0[]", "[\x0c]"])
def test_what_is_no_json_is_refused(text):
    """J1: by the standard module in its strict mode, too."""
    with pytest.raises(ValueError):
        strict_std(text)
    for data in (text, text.encode(), text.encode() + b"\n"):
        with pytest.raises(slipring.DecodeError):
            json.loads(data)


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


def test_the_memory_may_be_full_anywhere():
    """J1: before, within and behind an item of each kind, and behind many containers that end together."""
    deep = functools.reduce(lambda inner, n: [inner] if n % 2 else {"k": inner}, range(300), [])
    items = [None, True, False, 0, -(2**59), 2**80, -1.5e-300, "", "a" * 15, '"' * 33, "é", [], {}, (), {"": "", "b" * 40: 1}]
    for value in (deep, [items] * 9, {f"key {n}": items for n in range(9)}):
        theirs = std.dumps(value, ensure_ascii=False, separators=(",", ":"))
        for before in range(880, 1040):
            assert json.dumps(["x" * before, value], text=True) == f'["{"x" * before}",{theirs}]'


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


# --- what else is written ---


class Colour(enum.Enum):
    RED = 1
    DEEP = ("a", 2)


class Level(enum.IntEnum):
    LOW = 3


class Name(str, enum.Enum):
    A = "a"


@dataclasses.dataclass
class Point:
    x: int
    y: object = None
    _hidden: int = 0
    kind: typing.ClassVar[str] = "point"


@dataclasses.dataclass(frozen=True, slots=True)
class Slotted:
    a: list


class Text(str):
    pass


class Names(dict):
    pass


class Items(list):
    pass


Pair = collections.namedtuple("Pair", "a b")
ordered = collections.OrderedDict(a=1, b=2)
ordered.move_to_end("a")
UTC, HALF = dt.timezone.utc, dt.timezone(-dt.timedelta(hours=5, minutes=30))


@pytest.mark.parametrize(
    "value, text",
    [
        ((1, (2,), ()), "[1,[2],[]]"),
        (Pair(1, [2]), "[1,[2]]"),
        ([Colour.RED, Colour.DEEP, Level.LOW, Name.A], '[1,["a",2],3,"a"]'),
        ({Name.A: 1, Text("t"): 2}, '{"a":1,"t":2}'),
        (Point(1, Slotted([2.5])), '{"x":1,"y":{"a":[2.5]},"_hidden":0}'),
        (uuid.UUID(int=2**127 + 5), '"80000000-0000-0000-0000-000000000005"'),
        (dt.date(1, 2, 3), '"0001-02-03"'),
        (dt.time(1, 2, 3), '"01:02:03"'),
        (dt.time(1, 2, 3, 4), '"01:02:03.000004"'),
        (dt.time(1, tzinfo=HALF), '"01:00:00-05:30"'),
        (dt.datetime(2026, 11, 21, 10, 46, 28), '"2026-11-21T10:46:28"'),
        (dt.datetime(2026, 11, 21, 10, 46, 28, 5, UTC), '"2026-11-21T10:46:28.000005+00:00"'),
        (dt.datetime(2026, 1, 2, tzinfo=HALF), '"2026-01-02T00:00:00-05:30"'),
        (dt.datetime(2026, 7, 1, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")), '"2026-07-01T00:00:00+02:00"'),
        (D("1.10"), "1.10"),
        (D("-1E+400"), "-1E+400"),
        ([Text("é"), Names(a=1), Items([1]), Items(), Names()], '["é",{"a":1},[1],[],{}]'),
        (ordered, '{"b":2,"a":1}'),
        (collections.defaultdict(int, a=1), '{"a":1}'),
        (slipring.Atom("ok"), '"ok"'),
        (slipring.Object("acme.Thing", 1, {"a": [1]}), '{"a":[1]}'),
        (True, "true"),
        (type("Int", (int,), {"__str__": lambda self: "x", "__index__": lambda self: 0})(7), "7"),
        (type("Float", (float,), {"__repr__": lambda self: "x"})(0.5), "0.5"),
        (type("Big", (int,), {})(10**30), "1" + "0" * 30),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_each_type_has_its_form(value, text):
    """J1: alone, inside, with other options, and as orjson writes it where that knows it."""
    assert json.dumps(value, text=True) == text
    assert json.dumps([{"k": value}], text=True) == f'[{{"k":{text}}}]'
    assert std.loads(json.dumps(value, indent=2)) == std.loads(text)
    if type(value).__name__ not in "Point Pair Atom Object Decimal Int Float Big OrderedDict".split() and "05:30\"" not in text[:16]:
        if not isinstance(value, dict) or type(next(iter(value))) is str:
            assert orjson.dumps(value, default=tuple).decode() == text


def test_numpy_is_written():
    """J1: arrays of any layout as lists, scalars as numbers; of shorter floats the shorter digits."""
    whole = np.arange(24).reshape(2, 3, 4)
    for array in (
        *(np.arange(-3, 40).astype(t) for t in "bBhHiIlLqQ?fd"),
        np.array([2**63, 2**64 - 1], "u8"), np.array([-(2**63)], "i8"),
        whole, whole[:, ::2, ::-1], np.asfortranarray(whole), whole.astype(">i2"), whole.astype(">f8") / 3,
        np.zeros((0, 3)), np.zeros((3, 0)), np.zeros((2, 0, 2)), np.array(5), np.array(2.5), np.array([[True], [False]]),
        np.array(["a", "é\n"]), np.array([{"a": 1}, None], object), np.array([0.5, 1e300]), np.float16([0.5, 2]),
    ):  # fmt: skip
        expected = std.dumps(array.tolist(), separators=(",", ":"), ensure_ascii=False)
        assert std.loads(json.dumps(array)) == std.loads(expected), array.dtype
        assert std.loads(json.dumps(array, indent=1)) == std.loads(expected), array.dtype
    assert json.dumps(whole, indent=1, text=True) == std.dumps(whole.tolist(), indent=1)
    third = np.array([1 / 3, 0.1], "f4")
    assert json.dumps(third) == b"[0.33333334,0.1]" == orjson.dumps(third, option=orjson.OPT_SERIALIZE_NUMPY)
    scalars = [np.float32(0.1), np.float64(0.1), np.float16(0.1), np.int8(-3), np.uint64(2**64 - 1), np.bool_(True), np.str_("s")]
    assert json.dumps(scalars) == b'[0.1,0.1,0.099975586,-3,18446744073709551615,true,"s"]'
    times = np.array(["2026-11-21T10:46:28", "1970-01-01"], "M8[ms]")
    assert json.loads(json.dumps([times, times[0]])) == [["2026-11-21T10:46:28.000", "1970-01-01T00:00:00.000"], "2026-11-21T10:46:28.000"]
    assert json.dumps({"a": np.array([1.5, np.nan, np.inf])}, nan="null") == b'{"a":[1.5,null,null]}'
    with pytest.raises(slipring.EncodeError) as caught:
        json.dumps({"a": np.array([[1.5], [np.nan]])})
    assert caught.value.path == "$.a[1][0]"
    for other in (np.array([1j]), np.array([b"x"]), np.array([1], "m8[s]"), np.datetime64("NaT"), np.complex64(1), np.longdouble(1),
                  np.array([1], "longdouble"), np.zeros(2, "i4,f4"), np.ma.masked_array([1, 2], [0, 1])):  # fmt: skip
        with pytest.raises(slipring.EncodeError, match="default="):
            json.dumps([other])
        assert json.dumps([other], default=lambda o: str(type(o).__name__)).startswith(b'["')


def test_moments_of_numpy_are_those_of_the_rfc():
    """J1: dates and times in full, whatever steps they are counted in; what is neither is told by its place."""
    for unit in ("Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "25m", "7D"):
        for text in ("1969-07-20T20:17:40.5", "0002-01-01", "2026-11-21", "9999-12-31"):
            if unit == "ns" and text[:2] not in ("19", "20"):
                continue
            moment = np.datetime64(text, "us").astype(f"M8[{unit}]")
            for written in (json.loads(json.dumps(moment)), json.loads(json.dumps(np.array([moment])))[0]):
                read = (dt.datetime if "T" in written else dt.date).fromisoformat(written)
                assert np.datetime64(read) == moment, (unit, written)
                assert ("T" in written) == (unit[-1] not in "YMWD")
    for wrong, told, path in (
        (np.datetime64("NaT"), "NaT", "$"), (np.datetime64("NaT", "s"), "NaT", "$"), (np.array([["2026", "NaT"]], "M8[ns]"), "NaT", "$[0][1]"),
        (np.array(["-0001-01-01"], "M8[D]"), "0 to 9999", "$[0]"), (np.datetime64("10000-01-01T00"), "0 to 9999", "$"), (np.datetime64(2**62, "Y"), "0 to 9999", "$"),
    ):  # fmt: skip
        with pytest.raises(slipring.EncodeError, match=told) as caught:
            json.dumps({"a": wrong})
        assert caught.value.path == "$.a" + path[1:] and "default=" in caught.value.hint
        assert json.dumps({"a": wrong}, default=lambda _: None) == b'{"a":null}'


class Plain:
    def __init__(self):
        self.a, self.b = 1, [2]


def test_registered_types_are_written_as_their_fields(registered):
    """J1: what `encode=` makes of them, or their `__dict__`."""
    with pytest.raises(slipring.EncodeError, match="Plain"):
        json.dumps(Plain())
    slipring.register(Plain)
    slipring.register(Point, encode=lambda p: [p.x, p.y])
    slipring.register(Colour, encode=lambda c: c.name)
    assert json.dumps({"p": Plain(), "q": Point(1, Plain()), "c": Colour.RED}) == b'{"p":{"a":1,"b":[2]},"q":[1,{"a":1,"b":[2]}],"c":"RED"}'


# --- options ---


@pytest.mark.parametrize("wrong", [5, "sorted", ()])
def test_a_default_that_is_no_function_is_told_at_once(wrong):
    """R9: whether or not there is something to call it for."""
    for value in (1, {1, 2}):
        with pytest.raises(TypeError, match=f"^default must be a function of one object, not {type(wrong).__name__}$"):
            json.dumps(value, default=wrong)


def test_default_makes_what_has_no_form():
    """J1: its result is written, again by `default` if need be; what it raises comes out."""
    assert json.dumps([{1}, b"x", 1j, range(2)], default=lambda o: list(o) if not isinstance(o, complex) else Point(1)) == (
        b'[[1],[120],{"x":1,"y":null,"_hidden":0},[0,1]]'
    )
    assert json.dumps({"a": {3, 1, 2}}, default=sorted) == b'{"a":[1,2,3]}'
    assert json.dumps(object(), default=lambda o: None) == b"null"
    calls = []
    assert json.dumps(frozenset([1]), default=lambda o: calls.append(o) or (list(o) if len(calls) > 3 else o)) == b"[1]"
    with pytest.raises(ZeroDivisionError):
        json.dumps([object()], default=lambda o: 1 / 0)
    with pytest.raises(slipring.EncodeError, match="asked for again, 256 times"):
        json.dumps([object()], default=lambda o: o)
    with pytest.raises(slipring.EncodeError, match="256 times"):
        json.dumps([object()], default=lambda o: [o])
    # Beside each other there may be more.
    assert json.dumps([{n} for n in range(300)], default=list, text=True) == std.dumps([[n] for n in range(300)], separators=(",", ":"))
    with pytest.raises(TypeError):
        json.dumps(object(), default=1)


@pytest.mark.parametrize(
    "value, hint",
    [({1}, "sorted"), (frozenset(), "sorted"), (b"x", "base64"), (bytearray(), "base64"), (memoryview(b""), "base64"),
     (object(), "default="), (1j, "default="), (range(3), "default="), (dt.timedelta(1), "default="), (int, "default="), (std, "default=")],
    ids=repr,
)  # fmt: skip
def test_what_has_no_form_is_refused(value, hint):
    """J1: with its place, and what to do."""
    with pytest.raises(slipring.EncodeError, match="has no form in JSON") as caught:
        json.dumps({"a b": [1, {"c": value}]})
    assert caught.value.path == '$["a b"][1].c' and hint in caught.value.hint
    assert caught.value.type.endswith(type(value).__name__)
    assert isinstance(caught.value, TypeError)


def test_keys_are_converted_on_request():
    """J1: as the standard module does, and more; sorted by their text."""
    value = {1: 0, 10**25: 1, True: 2, None: 3, 2.5: 4, -0.0: 5, "s": 6, Text("t"): 7}
    expected = std.dumps(value, separators=(",", ":"))
    assert json.dumps(value, keys="convert", text=True) == expected
    more = {
        uuid.UUID(int=1): 0, dt.date(2026, 1, 2): 1, dt.datetime(2026, 1, 2, tzinfo=UTC): 2, dt.time(1): 3, Colour.RED: 4, Name.A: 5,
        D("1.10"): 6, np.float64(1.5): 7,
    }  # fmt: skip
    scalars = {np.int64(-3): 0, np.uint64(2**64 - 1): 1, np.float32(0.1): 2, np.float16(0.5): 3, np.bool_(True): 4, np.str_("s"): 5}
    assert json.dumps(scalars, keys="convert") == b'{"-3":0,"18446744073709551615":1,"0.1":2,"0.5":3,"true":4,"s":5}'
    assert json.dumps(more, keys="convert", text=True) == (
        '{"00000000-0000-0000-0000-000000000001":0,"2026-01-02":1,"2026-01-02T00:00:00+00:00":2,"01:00:00":3,"1":4,"a":5,"1.10":6,"1.5":7}'
    )
    assert json.dumps({3: 0, "20": 1, 1: 2, None: 3}, keys="convert", sort_keys=True) == b'{"1":2,"20":1,"3":0,"null":3}'
    assert json.dumps({math.nan: 1}, keys="convert", nan="constants") == b'{"NaN":1}'
    for key in (1, None, True, 2.5, uuid.UUID(int=1), Colour.RED):
        for options in ({}, {"sort_keys": True}):
            with pytest.raises(slipring.EncodeError, match='keys="convert"') as caught:
                json.dumps({"a": {"b": 1, key: 2}}, **options)
            assert caught.value.path == "$.a.<key 1>"
    for key in ((1,), b"x", frozenset(), object(), math.inf, np.float32("inf"), np.complex64(1), np.datetime64("2026-01-02")):
        with pytest.raises(slipring.EncodeError):
            json.dumps({key: 1}, keys="convert")


@hypothesis.given(st.dictionaries(texts, st.booleans()))
def test_keys_are_sorted_by_code_points(value):
    """J1."""
    expected = std.dumps(dict(sorted(value.items())), separators=(",", ":"), ensure_ascii=False)
    assert json.dumps(value, sort_keys=True, text=True) == expected
    assert orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode() == expected


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


def test_indentation_is_white_space():
    """J1."""
    value = {"a": [1, {"b": []}], "c": {}, "d": ()}
    for indent in (0, 1, 4, 64, "", "\t", " \t"):
        assert json.dumps(value, indent=indent, text=True) == std.dumps(value, indent=indent)
    assert json.dumps(value, indent=2) == orjson.dumps(value, option=orjson.OPT_INDENT_2)
    for wrong, error in ((65, ValueError), (-1, ValueError), ("x", ValueError), (1.5, TypeError), (10**30, ValueError)):
        with pytest.raises(error, match="indent"):
            json.dumps(value, indent=wrong)


@pytest.mark.parametrize("name", ["nan", "decimals", "keys", "surrogates"])
def test_wrong_options_of_dumps_are_named(name):
    """J1."""
    with pytest.raises(ValueError, match=name):
        json.dumps(1, **{name: "other"})


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


def test_containers_that_change_meanwhile():
    """J1: no memory that is gone is read, and writing ends."""
    d = {str(n): object() for n in range(10)}
    for change in (d.clear, lambda: d.update({str(len(d)): object()}), lambda: d.pop("5", None)):
        d.clear()
        d.update({str(n): object() for n in range(10)})
        with pytest.raises(slipring.EncodeError, match="changed"):
            json.dumps([d], default=lambda o: change())
    items = [object() for _ in range(10)]
    assert json.dumps(items, default=lambda o: items.clear()) == b"[null]"
    more = [object()]
    assert json.dumps(more, default=lambda o: len(more) < 5 and more.append(object())) == b"[null,null,null,null,false]"


def test_garbage_may_be_found_at_any_time():
    """J1: what raises allocates, and a finalizer that then runs may take the container apart."""

    class Taking:
        def __init__(self, container):
            self.container, self.self = container, self

        def __del__(self):
            self.container.clear()

    threshold = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for wrong in ("\ud800" + "x" * 50, 10**40, "é" * 60 + "\udfff"):
            for make in (lambda: {"k" * 50: wrong}, lambda: {wrong: "v" * 50}, lambda: [wrong, "w" * 50]):
                for options in ({}, {"surrogates": "keep"}, {"keys": "convert", "ascii": True}):
                    for _ in range(20):
                        container = make()
                        Taking(container)
                        try:
                            json.dumps(container, **options)
                        except slipring.EncodeError:
                            pass
    finally:
        gc.set_threshold(*threshold)


def test_what_is_written_can_be_large():
    """J1: the piece that is written into grows as it must."""
    for size in (1, 100, 1000, 10_000, 300_000):
        value = [{"k" * 20: "v" * (size % 977), "n": list(range(50))}] * (size // 100 + 1) + ["x" * size, '"' * size]
        assert json.loads(json.dumps(value)) == value
        assert json.dumps(value, text=True) == std.dumps(value, separators=(",", ":"))


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
    assert {node.name for node in functions} | {"Raw"} == {"Raw", "dumps", "loads"} == set(json.__all__)
    for node in functions:
        given = node.args
        expected = [(given.posonlyargs[0].arg, inspect.Parameter.empty)]
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


def test_members_that_are_their_own_values_are_refused():
    """J1: as keys, without end."""

    class Endless(enum.Enum):
        A = 1

        @property
        def value(self):
            return self

    with pytest.raises(slipring.EncodeError, match="members of enumerations"):
        json.dumps({Endless.A: 1})
