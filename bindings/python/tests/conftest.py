"""What the tests share: rings with names of their own, and Python processes beside this one."""

from __future__ import annotations

import contextlib
import itertools
import mmap
import os
import subprocess
import sys
import textwrap

import hypothesis
import numpy as np
import pytest

import slipring
from slipring.dataclass import _analyse

_numbers = itertools.count()

# The same examples each time, so that a failure is of the change at hand; ever new ones for who looks for more.
hypothesis.settings.register_profile("steady", derandomize=True)
if not os.environ.get("SLIPRING_RANDOM"):
    hypothesis.settings.load_profile("steady")


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


def mapped(path):
    """Where this process has a segment in its memory; told by its inode, for it was made before it had a name."""
    inode = os.stat(path).st_ino
    with open("/proc/self/maps") as maps:
        return next(int(row.split("-")[0], 16) for row in maps if row.split()[4] == str(inode))


@pytest.fixture
def begin_of():
    """Of a ring's path."""
    return mapped


@pytest.fixture
def forge(ring):
    """Sends a body as it is given, under a header of the caller's: what another writer could send."""

    def send(tx, format, type_code, body, flags=1):
        with tx.reserve(len(body)) as room:
            room[:] = body
            at = np.frombuffer(room, "u1").ctypes.data - mapped(ring.path)
        header = bytes([format, 1]) + flags.to_bytes(2, "little") + type_code.to_bytes(2, "little")
        with open(ring.path, "r+b") as file, mmap.mmap(file.fileno(), 0) as segment:
            segment[at - 64 : at - 58] = header

    return send


@pytest.fixture
def foreign(ring, ends, forge):
    """Receives what was forged."""
    tx, rx = ends

    def receive(format, type_code, body, flags=1, checks="safe"):
        nonlocal rx
        if checks != "safe":
            rx.close()
            rx = ring.consumer(checks=checks)
        forge(tx, format, type_code, body, flags)
        frame = rx.recv(0)
        assert (frame.header.format, frame.header.type_code) == (format, type_code)
        return frame

    return receive


@pytest.fixture
def registered():
    """Takes back what a test registers, and the plans of such types."""
    before = dict(slipring.values._by_type), dict(slipring.values._by_name)
    yield
    for book, old in zip((slipring.values._by_type, slipring.values._by_name), before):
        book.clear()
        book.update(old)
    _analyse._plans.clear()
    _analyse._ordered.clear()


@pytest.fixture
def meddling():
    """Another process makes the second byte of a text in a ring another one, and well again, and so on."""
    code = """
        import mmap, sys
        with open(sys.argv[1], "r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
            at = memory.find(sys.argv[2].encode()) + 1
            well, other = memory[at], int(sys.argv[3])
            print("begins", flush=True)
            while True:
                memory[at] = other
                memory[at] = well
        """

    @contextlib.contextmanager
    def meddling(ring, text, byte):
        program = [sys.executable, "-c", textwrap.dedent(code), ring.path, text, str(byte)]
        with subprocess.Popen(program, stdout=subprocess.PIPE) as other:
            other.stdout.readline()
            try:
                yield
            finally:
                other.kill()

    return meddling


@pytest.fixture(scope="module")
def both():
    """A ring for many examples, whose consumer looks at everything."""
    with slipring.create(anonymous=True, capacity="64 MiB", slots=64) as ring:
        yield ring.producer(), ring.consumer(checks="full")
