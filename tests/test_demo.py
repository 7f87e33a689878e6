"""The demo, as `make demo` runs it: what it prints and draws, and how it ends."""

import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import slipring

from conftest import ROOT

PICTURE = ROOT / "target/demo/hillshade.png"


@pytest.fixture(scope="module", autouse=True)
def built():
    subprocess.run(["mix", "compile"], cwd=ROOT / "demo/hillshade", stdin=subprocess.DEVNULL, check=True)


@pytest.fixture
def demo(spawn, name):
    def start(*arguments):
        return spawn(sys.executable, ROOT / "demo/run.py", "--rings", name, *arguments)

    return start


@pytest.fixture
def shader(spawn, name):
    """The Elixir side, started by hand."""
    return lambda: spawn(
        "env", "-C", ROOT / "demo/hillshade", f"HILLSHADE_RINGS={name}",
        "mix", "run", "--no-compile", "--no-deps-check", "--no-halt",
    )


def beams():
    """Emulators that run the demo's worker."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as environ, open(f"/proc/{pid}/comm") as comm:
                if b"HILLSHADE_RINGS=cross-" in environ.read() and comm.read() == "beam.smp\n":
                    found.append(int(pid))
        except OSError:
            pass
    return found


def until(check, patience=20):
    deadline = time.monotonic() + patience
    while not (found := check()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
    return found


def started(name):
    until(lambda: f"{name}-tiles" in slipring.list())


def streams(name):
    """Waits until more goes through the ring than one picture takes."""
    started(name)
    until(lambda: slipring.inspect(f"{name}-tiles").tail)
    begun = slipring.inspect(f"{name}-tiles").tail
    until(lambda: slipring.inspect(f"{name}-tiles").tail - begun > 1000)


def test_it_draws_and_reports(demo):
    """P1, R4.2: the tiles come back as NumPy would have them, both sides having read them in place."""
    PICTURE.unlink(missing_ok=True)
    process = demo("--seconds", "0.3")
    assert process.wait(60) == 0
    said = process.end()
    assert "42 there and back" in said
    assert "Elixir:  42 of 42 read in place, 0 copied" in said
    assert "Python:  42 of 42 read in place, 0 copied" in said
    assert re.search(r"trip: +median [\d,]+ us, p99 [\d,]+ us", said)
    assert float(re.search(r"at most (\S+) from NumPy", said)[1]) < 1e-3
    rate = re.search(r"stream: +([\d,]+) tiles in .* ([\d,]+) frames/s", said)
    assert int(rate[1].replace(",", "")) >= 42

    from matplotlib import image

    picture = image.imread(PICTURE)
    assert picture.shape[:2] == (344, 403)
    assert np.ptp(picture[..., 0]) > 0.5
    until(lambda: not beams())


@pytest.mark.parametrize("first", ["python", "elixir"])
def test_either_side_may_be_first(demo, shader, name, first):
    """P1: who comes first waits for the other."""
    if first == "elixir":
        shades = shader()
        time.sleep(1.0)
        python = demo("--no-spawn", "--seconds", "0.1")
    else:
        python = demo("--no-spawn", "--seconds", "0.1")
        started(name)
        time.sleep(0.3)
        shades = shader()
    assert python.wait(60) == 0, python.end()
    assert shades.wait(20) == 0, shades.end()


@pytest.mark.parametrize("moment", ["starting", "streaming"])
def test_ctrl_c_ends_both(demo, name, moment):
    """P6: nothing runs on, and nothing is left in shared memory."""
    process = demo("--seconds", "60")
    started(name) if moment == "starting" else streams(name)
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    assert "stopped" in process.end()
    until(lambda: not beams())


@pytest.mark.parametrize("killed", ["python", "elixir"])
def test_a_killed_side_ends_the_other(demo, name, killed):
    """P6: the survivor says what has happened and leaves nothing behind."""
    process = demo("--seconds", "60")
    streams(name)
    if killed == "elixir":
        (beam,) = beams()
        os.kill(beam, signal.SIGKILL)
        assert process.wait(30) == 1
        assert "the Elixir side has ended with status -9" in process.end()
    else:
        process.kill()
        until(lambda: not beams())
        assert "nobody sends tiles any more" in process.end()
