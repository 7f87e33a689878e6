"""What the tests share: rings with names of their own, and Python processes beside this one."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import textwrap

import pytest

import slipring

_numbers = itertools.count()


@pytest.fixture
def name():
    """A ring's name that nobody else has; nothing is left of it afterwards."""
    name = f"pytest-{os.getpid()}-{next(_numbers)}"
    yield name
    if name in slipring.list():
        slipring.unlink(name)


@pytest.fixture
def ring(name):
    with slipring.create(name, capacity="8 MiB", slots=64) as ring:
        yield ring


@pytest.fixture
def ends(ring):
    """A producer and a consumer of one ring."""
    return ring.producer(), ring.consumer()


@pytest.fixture
def python():
    """Starts Python code in a process of its own, which is killed if the test leaves it behind."""
    started = []

    def start(code, *arguments):
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()
