"""Rings with names of their own, and processes in Elixir at their other ends."""

import itertools
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import slipring

ROOT = Path(__file__).resolve().parent.parent
LIBRARY = ROOT / "bindings/beam/_build/dev/lib/slipring/ebin"
NUMBERS = itertools.count()


@pytest.fixture
def name():
    name = f"cross-{os.getpid()}-{next(NUMBERS)}"
    yield name
    left = [ring for ring in slipring.list() if ring.startswith(name)]
    for ring in left:
        slipring.unlink(ring)
    assert not left, f"left behind: {left}"


@pytest.fixture
def spawn():
    """Starts processes, and ends those that are left."""
    running = []

    def start(*command, **streams):
        process = Process(command, **streams)
        running.append(process)
        return process

    yield start
    for process in running:
        process.end()


class Process(subprocess.Popen):
    """A process whose output lies in a file, so that printing never makes it wait."""

    def __init__(self, command, stderr=subprocess.STDOUT):
        self.output = tempfile.TemporaryFile("w+")
        super().__init__(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=self.output,
            stderr=stderr,
            # Also where the tests themselves run in the background.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )

    def end(self):
        """Kills it, unless it has ended. What it has printed."""
        self.kill()
        self.wait()
        if not self.output.closed:
            self.output.seek(0)
            self.printed = self.output.read()
            self.output.close()
        return self.printed


@pytest.fixture
def elixir(spawn):
    def start(script, *arguments):
        return spawn("elixir", "-pa", LIBRARY, ROOT / "tests/elixir" / script, *arguments)

    return start


@pytest.fixture(scope="session")
def rust_examples():
    """The folder of the examples of the crate for Rust's own tables and values."""
    command = ["cargo", "build", "-q", "-p", "slipring-frames", "--examples"]
    subprocess.run(command, cwd=ROOT, check=True, timeout=600, stdin=subprocess.DEVNULL)
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug/examples"


@pytest.fixture
def rust(spawn, rust_examples):
    def start(example, *arguments):
        return spawn(rust_examples / example, *arguments)

    return start


@pytest.fixture
def python(spawn):
    def start(code, *arguments):
        return spawn(sys.executable, "-c", code, *arguments)

    return start
