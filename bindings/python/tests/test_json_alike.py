"""JSON as others judge it: the standard module, orjson, and RFC 8259.

What differs on purpose from the standard module, and is taken out of the comparisons here: NaN and Infinity, lone
surrogates, numbers beyond a double and byte order marks are refused unless asked for; bytes are UTF-8 only; there is
a limit of 1024 containers inside each other; keys other than str are refused unless asked for.
"""

from __future__ import annotations

import json as std
import math
import re
import struct

import hypothesis
import orjson
import pytest
from hypothesis import strategies as st

import slipring
from slipring import json

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
