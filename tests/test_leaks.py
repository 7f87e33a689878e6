"""Short runs of what `make leaks` has make a million trips, tests/leaks/; and that they find what leaks."""

import pathlib
import subprocess
import sys

import pytest
from conftest import LIBRARY

LEAKS = pathlib.Path(__file__).parent / "leaks"
PYTHON = [sys.executable, LEAKS / "leaks.py"]
ELIXIR = ["elixir", "-pa", LIBRARY, LEAKS / "leaks.exs"]


def run(program, *arguments):
    return subprocess.run([*program, *arguments], capture_output=True, text=True, timeout=250, stdin=subprocess.DEVNULL)


@pytest.mark.parametrize("program, trips, kinds", [(PYTHON, "20000", 6), (ELIXIR, "10000", 8)], ids=["python", "elixir"])
def test_what_is_held_is_flat(program, trips, kinds):
    """R14.3, R9.2: values, arrays, JSON, dataclasses, tables, views that are kept, ends that come and go, and all that is refused."""
    ran = run(program, "--trips", trips)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.count(" trips in ") == kinds


@pytest.mark.parametrize("kind", ["values", "tables"])
def test_one_integer_a_trip_is_found(kind):
    """The test above says something."""
    ran = run(PYTHON, "--trips", "40000", "--only", kind, "--leak")
    assert ran.returncode == 1 and f"LEAK: {kind}: blocks grew" in ran.stdout, ran.stdout + ran.stderr


def test_one_term_a_trip_is_found():
    """The same of Elixir's."""
    ran = run(ELIXIR, "--trips", "20000", "--only", "values", "--leak")
    assert ran.returncode == 1 and "LEAK: values: total grew" in ran.stdout, ran.stdout + ran.stderr
