"""A short run of tests/leaks/leaks.py, which `make leaks` has make a million trips; and that it finds what leaks."""

import pathlib
import subprocess
import sys

import pytest

LEAKS = pathlib.Path(__file__).parent / "leaks" / "leaks.py"


def run(*arguments):
    return subprocess.run([sys.executable, LEAKS, *arguments], capture_output=True, text=True, timeout=250)


def test_references_and_memory_are_flat():
    """R14.3, R9.2: values, arrays, JSON, dataclasses, tables, and all that is refused."""
    ran = run("--trips", "20000")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.count(" trips in ") == 6


@pytest.mark.parametrize("kind", ["values", "tables"])
def test_one_integer_a_trip_is_found(kind):
    """The test above says something."""
    ran = run("--trips", "40000", "--only", kind, "--leak")
    assert ran.returncode == 1 and f"LEAK: {kind}: blocks grew" in ran.stdout, ran.stdout + ran.stderr
