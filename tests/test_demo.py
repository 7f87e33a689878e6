"""The demo, as `make demo` runs it: what it prints and draws, and how it ends."""

import contextlib
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
WEATHER = ROOT / "target/demo/weather.png"


@pytest.fixture(scope="module", autouse=True)
def built():
    subprocess.run(["mix", "compile"], cwd=ROOT / "demo/hillshade", stdin=subprocess.DEVNULL, check=True)


@pytest.fixture
def demo(spawn, name):
    def start(*arguments, **streams):
        return spawn(sys.executable, ROOT / "demo/run.py", "--rings", name, *arguments, **streams)

    return start


@pytest.fixture
def shader(spawn, name):
    """The Elixir side, started by hand."""
    return lambda: spawn(
        "env", "-C", ROOT / "demo/hillshade", f"HILLSHADE_RINGS={name}", "ERL_FLAGS=+Bd",
        "mix", "run", "--no-compile", "--no-deps-check", "--no-halt",
    )


def beams(name):
    """Emulators that run the worker of this test's demo, and of no other's on the machine."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as environ, open(f"/proc/{pid}/comm") as comm:
                mine = f"HILLSHADE_RINGS={name}".encode() in environ.read().split(b"\0")
                if mine and comm.read() == "beam.smp\n":
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


def shades(name):
    """Waits until tiles go there and back, one at a time."""
    started(name)
    until(lambda: slipring.inspect(f"{name}-tiles").tail)


def test_it_draws_and_reports(demo, name):
    """P1, R2.3, R4.2: tiles and months come back as NumPy and pandas would have them, both sides having read them in place."""
    PICTURE.unlink(missing_ok=True)
    WEATHER.unlink(missing_ok=True)
    process = demo("--seconds", "0.3")
    assert process.wait(60) == 0
    said = process.end()
    assert "42 there and back" in said
    assert "Elixir:  42 of 42 read in place, 0 copied" in said
    assert "Python:  42 of 42 read in place, 0 copied" in said
    assert re.search(r"trip: +median [\d,]+ us, p99 [\d,]+ us", said)
    assert float(re.search(r"at most (\S+) from NumPy", said)[1]) < 1e-3
    assert re.search(r"1461 days out, 48 months back in [\d.]+ ms; Elixir read in place, Python read in place", said)
    rate = re.search(r"stream: +([\d,]+) tiles in .* ([\d,]+) frames/s", said)
    assert int(rate[1].replace(",", "")) >= 42
    assert "\r" not in said, "a bar where nobody looks"

    from matplotlib import image

    picture = image.imread(PICTURE)
    assert picture.shape[:2] == (344, 403)
    assert np.ptp(picture[..., 0]) > 0.5
    assert np.ptp(image.imread(WEATHER)[..., 0]) > 0.5
    until(lambda: not beams(name))


def test_it_shows_how_far_it_is(demo):
    """On a terminal a bar grows, and is gone at the end."""
    ours, theirs = os.openpty()
    process = demo("--seconds", "0.1", stderr=theirs)
    os.close(theirs)
    shown = b""
    # A terminal whose last writer has gone can't be read.
    with contextlib.suppress(OSError):
        while part := os.read(ours, 4096):
            shown += part
    os.close(ours)
    assert process.wait(20) == 0, shown
    bars = re.findall(rb"\r\[(#* *)\] (\d+)/42 tiles", shown)
    assert bars == [(b"#" * (40 * n // 42) + b" " * (40 - 40 * n // 42), b"%d" % n) for n in range(42)]
    assert shown.count(b"41/42 tiles\r\033[K") == 1
    assert "tiles\r" not in process.end()


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


MOMENTS = {"starting": started, "shading": shades, "streaming": streams}


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("twice", [False, True])
def test_ctrl_c_ends_both(demo, name, moment, twice):
    """P6: nothing runs on, and nothing is left in shared memory; impatience changes nothing."""
    process = demo("--seconds", "60")
    MOMENTS[moment](name)
    process.send_signal(signal.SIGINT)
    if twice:
        # By then the first has been noticed: the ring is finished as soon as it is.
        until(lambda: f"{name}-tiles" not in slipring.list() or slipring.inspect(f"{name}-tiles").finished)
        process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    assert "stopped" in process.end()
    until(lambda: not beams(name))


@pytest.mark.parametrize("moment", ["shading", "streaming"])
@pytest.mark.parametrize("killed", ["python", "elixir"])
def test_a_killed_side_ends_the_other(demo, name, killed, moment):
    """P6: the survivor says what has happened and leaves nothing behind."""
    process = demo("--seconds", "60")
    MOMENTS[moment](name)
    if killed == "elixir":
        (beam,) = beams(name)
        os.kill(beam, signal.SIGKILL)
        assert process.wait(30) == 1
        assert "the Elixir side has ended with status -9" in process.end()
    else:
        process.kill()
        until(lambda: not beams(name))
        assert "nobody sends tiles any more" in process.end()


def test_one_started_by_hand_and_killed_is_missed(demo, shader, name):
    """P6: Python looks for it through the ring, since it is not its child, and has not to wait long."""
    elixir = shader()
    process = demo("--no-spawn", "--seconds", "60")
    streams(name)
    elixir.end()
    assert process.wait(10) == 1
    assert "takes no tiles any more" in process.end()


def test_ctrl_c_ends_one_started_by_hand(demo, shader, name):
    """P6: it hears of the end through the ring, and what it still sends is taken."""
    elixir = shader()
    process = demo("--no-spawn", "--seconds", "60")
    shades(name)
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    assert elixir.wait(20) == 0, elixir.end()


def test_ctrl_c_on_the_side_started_by_hand(demo, shader, name):
    """P6: with `+Bd` it ends at once, the demo misses it, and nothing is left of the rings."""
    elixir = shader()
    process = demo("--no-spawn", "--seconds", "60")
    shades(name)
    (beam,) = beams(name)
    os.kill(beam, signal.SIGINT)
    elixir.wait(10)
    elixir.end()
    assert process.wait(20) == 1
    assert "takes no tiles any more" in process.end()
