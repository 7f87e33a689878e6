"""What scripts/setup says of a machine on which something is too old or missing."""

import os
import re
import subprocess

import pytest
from conftest import ROOT


@pytest.fixture
def setup(tmp_path):
    """Runs a part of scripts/setup with programs of our own before the real ones."""

    def run(part, **programs):
        for name, text in programs.items():
            program = tmp_path / name
            program.write_text(f"#!/bin/sh\n{text}\n")
            program.chmod(0o755)
        path = f"{tmp_path}:{os.environ['PATH']}"
        return subprocess.run(
            [ROOT / "scripts/setup", part],
            env={**os.environ, "PATH": path, "PYTHON": "python3"}, capture_output=True, text=True, timeout=60,
        )  # fmt: skip

    return run


@pytest.mark.parametrize(
    "part, programs, said",
    [
        ("system", {"rustc": "echo rustc 1.9.0"}, "Rust 1.9.0 at .*/rustc is too old: slipring needs 1.91"),
        ("system", {"python3": "exit 1"}, "is too old: the tests need CPython 3.11 or newer"),
        ("system", {"elixir": "echo 1.9.4 25 /"}, "Elixir 1.9.4 on OTP 25 at .* needs 1.14 on OTP 25"),
        ("system", {"elixir": "echo 1.14.0 24 /"}, "Elixir 1.14.0 on OTP 24 at .* is too old"),
        (
            "system",
            {"elixir": "echo 1.18.0 27 /nowhere", "apt-get": "exit 1", "id": "echo 1", "sudo": "exit 1"},
            "headers are not in /nowhere/usr/include. Run: sudo apt-get install erlang-dev",
        ),
        ("lint", {"cargo": "exit 1", "rustup": "exit 1"}, "rustup could not add rustfmt clippy"),
        ("nonsense", {}, "unknown part 'nonsense'; there are: system venv python beam lint bench"),
    ],
    ids=["rust", "python", "elixir", "otp", "headers", "lint", "part"],
)
def test_what_is_missing_is_named(setup, part, programs, said):
    """R9.1: by name, with what was found, what is needed, and what to do."""
    ran = setup(part, **programs)
    assert ran.returncode == 1
    assert re.search(said, ran.stderr), ran.stderr


def test_this_machine_will_do(setup):
    """Nothing is said, and nothing done, where all is there."""
    for part in ("system", "lint"):
        ran = setup(part)
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
