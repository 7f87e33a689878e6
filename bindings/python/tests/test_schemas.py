"""The schema table: what is added once is listed, by every process, with what consumers want of it."""

from __future__ import annotations

import subprocess
import sys

import pytest

import slipring

TABLE, VALUE = 3, 1


def test_schemas_are_listed(name):
    """R13.2: by whoever is attached, and by inspection from outside, in the order in which they came."""
    with slipring.create(name) as ring, slipring.open(name) as other:
        assert ring.schemas() == [] and ring.inspect().schema_limit == 256
        assert ring._add_schema(TABLE, "weather", 1, b"one") == 1
        assert other._add_schema(TABLE, "weather", 2, b"two, larger") == 2
        assert other._add_schema(VALUE, "Punkt µ", 1, b"") == 3
        assert ring._add_schema(TABLE, "weather", 1, b"one") == 1
        told = [(s.id, s.kind, s.name, s.version, s.size) for s in ring.schemas()]
        assert told == [
            (1, TABLE, "weather", 1, 3),
            (2, TABLE, "weather", 2, 11),
            (3, VALUE, "Punkt µ", 1, 0),
        ]
        for schemas in (other.schemas(), slipring.inspect(name).schemas, ring.inspect().schemas):
            assert [(s.id, s.kind, s.name, s.version, s.size) for s in schemas] == told
        first = ring.schemas()[0]
        assert first.created_ns > 1_600_000_000_000_000_000 and first.wanted is None
        assert repr(first) == 'Schema(id=1, kind=3, name="weather", version=1, size=3)'
        assert [other._schema(n) for n in range(5)] == [None, b"one", b"two, larger", b"", None]
        assert "schema    2 is \"weather\" version 2, kind 3, 11 bytes" in str(ring.inspect())


def test_another_process_finds_and_adds(name):
    """R13.2, P6: and what it has added stays when it is killed."""
    script = """
import os, slipring, sys
ring = slipring.open(sys.argv[1])
assert ring._schema(1) == b"one"
assert ring._add_schema(3, "weather", 2, b"two" * 9000) == 2
os.kill(os.getpid(), 9)
"""
    with slipring.create(name) as ring:
        ring._add_schema(TABLE, "weather", 1, b"one")
        done = subprocess.run([sys.executable, "-c", script, name], timeout=60)
        assert done.returncode == -9
        with slipring.open(name) as late:
            assert late._schema(2) == b"two" * 9000
            assert len(late.schemas()) == 2


def test_what_can_t_be_added_is_told(name):
    """R2.4, R5.5: another schema of the same version, one that never fits, and a version that is none."""
    with slipring.create(name) as ring:
        ring._add_schema(TABLE, "weather", 1, b"one")
        with pytest.raises(slipring.SchemaConflict, match="new version") as caught:
            ring._add_schema(TABLE, "weather", 1, b"onE")
        error = caught.value
        assert (error.kind, error.name, error.version, error.id) == (TABLE, "weather", 1, 1)
        with pytest.raises(slipring.SchemaTooLarge) as caught:
            ring._add_schema(TABLE, "large", 1, bytes(2 << 20))
        assert caught.value.limit == 1 << 20
        with pytest.raises(slipring.InvalidOption, match="version"):
            ring._add_schema(TABLE, "weather", 0, b"")
        for n in range(255):
            ring._add_schema(TABLE, "many", n + 1, b"")
        with pytest.raises(slipring.SchemasFull, match="256") as caught:
            ring._add_schema(TABLE, "one more", 1, b"")
        assert caught.value.limit == 256 and len(ring.schemas()) == 256
    with slipring.create(name + "-room") as ring:
        ring._add_schema(TABLE, "large", 1, bytes(900_000))
        with pytest.raises(slipring.NoRoomForSchema) as caught:
            ring._add_schema(TABLE, "large", 2, bytes(200_000))
        assert caught.value.len > 200_000 and caught.value.limit == 1 << 20
