"""The documents of JSONTestSuite: what must be read is, what must not is refused, and of the others what is decided; see
tests/data/json_test_suite/README.md."""

from __future__ import annotations

import collections
import dataclasses
import functools
import json as std
import pathlib
from typing import Any

import pytest

import slipring
from slipring import dataclass, json

HOME = pathlib.Path(__file__).resolve().parents[3] / "tests/data/json_test_suite"
DOCUMENTS = {path.stem: path.read_bytes() for path in sorted((HOME / "test_parsing").iterdir())}
DECISIONS = {name: row for row in std.loads((HOME / "decisions.json").read_text()) for name in row["documents"]}


@dataclasses.dataclass
class Known:
    a: int


def sources(data):
    """A document in all that it can be read from, ends of memory among them."""
    yield from (data, bytearray(data), memoryview(b"[" + data + b"]")[1 : 1 + len(data)])
    try:
        yield data.decode()
    except UnicodeDecodeError:
        pass


BEYOND = "a number is beyond what a float holds"


def refused(data, readers=(json.loads, functools.partial(dataclass.load_from_bytes, Any))):
    """What is said of a document, by each of its readers: the same but for their options, and where it is."""
    told = set()
    for source in sources(data):
        for read in readers:
            with pytest.raises(slipring.DecodeError) as caught:
                read(source)
            error = caught.value
            told.add((type(source) is str, str(error).split("; ")[0], error.path, error.line, error.column, error.offset))
            assert error.hint and error.path.startswith("$")
            line = source[: error.offset].tobytes() if isinstance(source, memoryview) else source[: error.offset]
            line = line if isinstance(line, str) else line.decode()
            assert (line.count("\n") + 1, len(line) - line.rfind("\n")) == (error.line, error.column)
    assert len(told) == len({is_text for is_text, *_ in told})
    if len(readers) > 1:
        with pytest.raises(slipring.DecodeError):
            dataclass.load_from_bytes(Known, b'{"a": 1, "skipped": ' + data + b"}")
    return error


def out_of_range(data):
    """What is said of a document that is JSON, but for a number; dataclasses say it of its place, and pass over it."""
    for source in sources(data):
        with pytest.raises(dataclass.ValidationError) as caught:
            dataclass.load_from_bytes(Any, source)
        assert caught.value.messages == {"0": ["Not a valid number."]}
    assert dataclass.load_from_bytes(Known, b'{"a": 1, "skipped": ' + data + b"}") == Known(1)
    return refused(data, readers=(json.loads,))


def read(data):
    """What a document says, to each of its readers."""
    value = json.loads(data)
    for source in sources(data):
        assert repr(json.loads(source)) == repr(value)
        assert repr(dataclass.load_from_bytes(Any, source)) == repr(value)
    assert dataclass.load_from_bytes(Known, b'{"a": 1, "skipped": ' + data + b"}") == Known(1)
    return value


def test_all_documents_are_there():
    """J1: so that none is judged right by its absence; each that a reader may judge as it likes has its decision."""
    assert collections.Counter(name[:2] for name in DOCUMENTS) == {"y_": 95, "n_": 188, "i_": 35}
    assert set(DECISIONS) == {name for name in DOCUMENTS if name.startswith("i_")}


@pytest.mark.parametrize("name", [name for name in DOCUMENTS if name.startswith("y_")])
def test_what_must_be_read_is(name):
    """J1, D6: with the standard module's value, by ``loads``, as anything in an object, and where it is skipped."""
    data = DOCUMENTS[name]
    value = read(data)
    assert repr(value) == repr(std.loads(data))
    assert repr(json.loads(json.dumps(value))) == repr(value)


@pytest.mark.parametrize("name", [name for name in DOCUMENTS if name.startswith("n_")])
def test_what_must_not_be_read_is_refused(name):
    """J1, D6: with line, column and path, which are true; also where it is skipped."""
    refused(DOCUMENTS[name])


@pytest.mark.parametrize("name, row", DECISIONS.items(), ids=list(DECISIONS))
def test_what_may_be_either_is_what_is_decided(name, row):
    """J1, R9.1: by this table, which the other languages keep to as well."""
    data = DOCUMENTS[name]
    if "error" in row:
        error = out_of_range(data) if row["error"] == BEYOND else refused(data)
        assert (str(error).split(": line ")[0], error.path) == (row["error"], row["path"])
        return
    value = read(data)
    assert repr(value) == repr(std.loads(data))
    if "depth" in row:
        value = json.dumps(value)
        assert value == b"[" * row["depth"] + b"]" * row["depth"]
    else:
        assert slipring.encode(value).hex() == row["cbor"]
