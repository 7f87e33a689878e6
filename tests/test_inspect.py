"""The example program that shows what is in a ring, on a ring that Python made."""

import os
import subprocess

import pytest
import slipring
from conftest import ROOT


@pytest.fixture(scope="module")
def inspect():
    command = ["cargo", "run", "-q", "-p", "slipring", "--example", "inspect"]
    subprocess.run([*command[:1], "build", *command[2:]], cwd=ROOT, check=True, timeout=300)

    def run(*arguments):
        return subprocess.run(
            [*command, "--", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60
        )

    return run


def test_it_shows_a_living_ring(name, inspect, tmp_path):
    """R13.4: by name and by path, with its origin, its parts and its processes."""
    file = tmp_path / "ring"
    with slipring.create(name, capacity="1 MiB", slots=64) as ring, slipring.create(path=file):
        tx = ring.producer()
        tx.send(b"one")
        for argument in (name, ring.path):
            shown = inspect(argument)
            assert (shown.returncode, shown.stderr) == (0, "")
            for part in (
                f"segment   {ring.path} (",
                "format    1.1, spsc",
                f"by process {os.getpid()} of user {os.geteuid()}",
                f"id        {ring.inspect().id}, boot {ring.inspect().boot_id}",
                "features  none",
                "offsets   participants 4096, cursors",
                "head 0, tail 1, waiting 1",
                f"has pid {os.getpid()}, alive, producer",
            ):
                assert part in shown.stdout, shown.stdout
        assert str(file) in inspect(str(file)).stdout
        assert name in inspect().stdout.splitlines()
        ring.consumer().recv(0)


def test_its_errors_are_sentences(inspect):
    """R9.1."""
    shown = inspect("no-such-ring")
    assert (shown.returncode, shown.stdout) == (1, "")
    assert shown.stderr.startswith("inspect: no ring at /dev/shm/slipring.no-such-ring")
