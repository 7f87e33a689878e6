"""What the tests share: rings with names of their own, and Python processes beside this one."""

from __future__ import annotations

import itertools
import mmap
import os
import re
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


@pytest.fixture
def foreign(ring, ends):
    """Receives a body as it is given, under a header of the caller's: what another writer could send."""
    tx, rx = ends

    def receive(format, type_code, body, flags=1):
        tx.send(body)
        with open(ring.path, "r+b") as file, mmap.mmap(file.fileno(), 0) as segment:
            # An earlier one may have left the same bytes: the newest has the highest number.
            places = [match.start() for match in re.finditer(re.escape(body), segment)]
            newest = max(places, key=lambda at: int.from_bytes(segment[at - 32 : at - 24], "little"))
            header = bytes([format, 1]) + flags.to_bytes(2, "little") + type_code.to_bytes(2, "little")
            segment[newest - 64 : newest - 58] = header
        frame = rx.recv(0)
        assert (frame.header.format, frame.header.type_code) == (format, type_code)
        return frame

    return receive
