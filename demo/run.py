"""Hillshade of a real elevation model: Python cuts the tiles, Elixir shades them, Python draws. Then the weather: a
table of days there, a table of months back.

    make demo                                   both sides
    demo/run.py --no-spawn                      this side; then, in another terminal, in demo/hillshade:
    ERL_FLAGS=+Bd HILLSHADE_RINGS=hillshade mix run --no-halt

With `+Bd` Ctrl-C ends the Elixir side at once. Without it Erlang shows its menu, in which everything stands
still, the demo too, until `a` ends it.

The tiles go through one ring and come back through another. Elixir reads them where they lie. Then the
same tiles stream for a few seconds as fast as they can. Either side may be started first.
"""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import slipring

import weather

ROOT = Path(__file__).resolve().parent.parent
APP = ROOT / "demo" / "hillshade"
PICTURE = ROOT / "target" / "demo" / "hillshade.png"

SUN = {"azimuth": 315.0, "altitude": 30.0}  # degrees, clockwise from north and above the horizon
TILE = 64  # cells along the side of a result
TOLERANCE = 1e-3  # the elevations are floats of 32 bits
PATIENCE = 60.0  # seconds for the other side to start, or to answer
TICK = 0.5  # seconds between two looks whether it lives


class Stopped(Exception):
    """The demo can't go on; the text says why."""


def main():
    arguments = parse_arguments()
    # What a service manager sends is the same wish as Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with (
            slipring.create(f"{arguments.rings}-tiles", capacity="64 MiB") as tiles,
            slipring.create(f"{arguments.rings}-shades", capacity="16 MiB") as shades,
        ):
            tx, rx = tiles.producer(), shades.consumer()
            other = Other(tiles)
            try:
                if arguments.spawn:
                    other.start(arguments.rings)
                run(tx, rx, other, arguments.seconds)
            finally:
                # A second Ctrl-C would come between us and a clean end, which is near anyway.
                for wish in (signal.SIGINT, signal.SIGTERM):
                    signal.signal(wish, signal.SIG_IGN)
                # Elixir ends when it has taken what is there. A ring that is left empty goes with us.
                tiles.finish()
                other.end()
                drain(rx)
                if not other.takes():
                    drain(tiles.consumer())
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130
    except (Stopped, slipring.Error) as error:
        print(f"\ndemo: {error}", file=sys.stderr)
        return 1
    return 0


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--no-spawn", dest="spawn", action="store_false", help="start no Elixir")
    parser.add_argument("--rings", help="what the rings' names begin with")
    parser.add_argument("--seconds", type=float, default=3.0, help="of streaming (default 3)")
    arguments = parser.parse_args()
    if not arguments.rings:
        arguments.rings = f"hillshade-{os.getpid()}" if arguments.spawn else "hillshade"
    return arguments


@contextlib.contextmanager
def undisturbed():
    """Ctrl-C waits for the end of the block: what was started in it is known to who has to end it."""
    wishes = [w for w in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(w) is not signal.SIG_IGN]
    wished = []
    before = {wish: signal.signal(wish, lambda *_: wished.append(True)) for wish in wishes}
    try:
        yield
    finally:
        for wish, handler in before.items():
            signal.signal(wish, handler)
    if wished:
        raise KeyboardInterrupt


class Other:
    """The Elixir application, started by us or by hand."""

    def __init__(self, tiles):
        self.tiles = tiles
        self.process = None

    def start(self, rings):
        # A session of its own: Ctrl-C is ours to handle. Without input it takes no commands.
        with undisturbed():
            self.process = subprocess.Popen(
                ["mix", "run", "--no-compile", "--no-deps-check", "--no-halt"],
                cwd=APP,
                env={**os.environ, "HILLSHADE_RINGS": rings},
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def takes(self):
        """Whether it is at its end of the ring, and alive."""
        return any(process.consumes and process.alive for process in self.tiles.inspect().processes)

    def check_process(self):
        if self.process and (status := self.process.poll()) is not None:
            raise Stopped(f"the Elixir side has ended with status {status}")

    def check(self):
        """For one that has come: a ring does not end with its processes, so we look for them."""
        self.check_process()
        if not self.takes():
            raise Stopped("the Elixir side takes no tiles any more: it has ended or was killed")

    def wait(self):
        begun = time.monotonic()
        while not self.takes():
            self.check_process()
            if time.monotonic() - begun > PATIENCE:
                raise Stopped(f"nobody came to take the tiles from {self.tiles.path}: start the Elixir side")
            time.sleep(0.02)

    def end(self):
        """It has been told by the end of its ring. Waits, and insists if it is ours."""
        if not self.process:
            begun = time.monotonic()
            while self.takes() and time.monotonic() - begun < 5:
                time.sleep(0.02)
            return
        # All of its session: what we have started may have started the emulator.
        for ask in (None, signal.SIGTERM, signal.SIGKILL):
            begun = time.monotonic()
            while self.runs(ask):
                ask = None
                if time.monotonic() - begun > 5:
                    break
                time.sleep(0.02)
            else:
                return

    def runs(self, ask):
        """Whether anything of it still runs, after having been sent what we ask."""
        self.process.poll()
        try:
            os.killpg(self.process.pid, ask or 0)
        except ProcessLookupError:
            return False
        return True


def run(tx, rx, other, seconds):
    elevation, dx, dy = read_model()
    print(f"elevation model: {elevation.shape[1]} x {elevation.shape[0]} cells of {dx:.0f} x {dy:.0f} m")
    other.wait()

    shade, report = shade_tiles(cut(elevation), elevation.shape, {"dx": dx, "dy": dy, **SUN}, tx, rx, other)
    difference = float(np.abs(shade - reference(elevation, dx, dy)).max())
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    draw(shade)
    report_tiles(report, difference)
    if difference > TOLERANCE:
        raise Stopped(f"the shades differ from NumPy's by {difference:.2g}, more than {TOLERANCE}")

    send = lambda value, **options: patiently(partial(tx.send, value, **options), other)  # noqa: E731
    said, difference = weather.run(send, lambda: patiently(rx.recv, other))
    print(*said, sep="\n")
    if difference > weather.TOLERANCE:
        raise Stopped(f"the months differ from pandas' by {difference:.2g}, more than {weather.TOLERANCE}")
    stream([tile for _, tile in cut(elevation)], seconds, tx, rx, other)


def read_model():
    """Elevations in metres, the northernmost row first, and the size of a cell in metres."""
    from matplotlib import cbook

    with cbook.get_sample_data("jacksboro_fault_dem.npz") as model:
        elevation = model["elevation"].astype("<f4")
        # A degree of latitude, and of longitude where we are.
        metres = 111_200.0
        latitude = np.radians((model["ymin"] + model["ymax"]) / 2)
        return elevation, float(model["dx"] * metres * np.cos(latitude)), float(model["dy"] * metres)


def cut(elevation):
    """Tiles with one cell more on each side, where there is none the nearest, and their places."""
    padded = np.pad(elevation, 1, mode="edge")
    rows, columns = elevation.shape
    for row in range(0, rows, TILE):
        for column in range(0, columns, TILE):
            yield (row, column), padded[row : row + TILE + 2, column : column + TILE + 2]


def patiently(attempt, other):
    """What `attempt(timeout=)` gives; it is repeated while the other side lives, for a minute."""
    for _ in range(int(PATIENCE / TICK)):
        try:
            return attempt(timeout=TICK)
        except slipring.Timeout:
            other.check()
    raise Stopped(f"the Elixir side has not answered for {PATIENCE:.0f} s")


def shade_tiles(cuts, shape, common, tx, rx, other):
    """Sends each tile and waits for its shade. The whole, and what happened on the way."""
    cuts = list(cuts)
    shade = np.empty(shape, "f4")
    trips, sent, received, here, there = [], 0, 0, 0, 0
    for (row, column), tile in progress(cuts):
        meta = {"row": row, "column": column, **common}
        begun = time.perf_counter_ns()
        patiently(partial(tx.send, tile, meta=meta), other)
        frame = patiently(rx.recv, other)
        part = frame.value
        trips.append(time.perf_counter_ns() - begun)
        assert (frame.meta["row"], frame.meta["column"]) == (row, column)
        shade[row : row + part.shape[0], column : column + part.shape[1]] = part
        sent, received = sent + tile.nbytes, received + part.nbytes
        here += frame.in_place
        there += frame.meta["in_place"]
    return shade, {
        "frames": len(trips),
        "bytes": (sent, received),
        "trips": np.array(trips) / 1e3,
        "in place": {"Elixir": there, "Python": here},
    }


def progress(items):
    """A bar, where somebody looks."""
    for done, item in enumerate(items):
        if sys.stderr.isatty():
            filled = "#" * (40 * done // len(items))
            print(f"\r[{filled:40}] {done}/{len(items)} tiles", end="", file=sys.stderr, flush=True)
        yield item
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)


def reference(elevation, dx, dy):
    """The same by NumPy; the formula and its source stand in hillshade/lib/hillshade.ex."""
    padded = np.pad(elevation, 1, mode="edge").astype("f8")
    (a, b, c), (d, _, f), (g, h, i) = (
        [padded[r : r + elevation.shape[0], s : s + elevation.shape[1]] for s in range(3)]
        for r in range(3)
    )
    east = ((c + 2 * f + i) - (a + 2 * d + g)) / (8 * dx)
    north = ((a + 2 * b + c) - (g + 2 * h + i)) / (8 * dy)
    azimuth, altitude = np.radians(SUN["azimuth"]), np.radians(SUN["altitude"])
    sun = np.cos(altitude) * np.sin(azimuth), np.cos(altitude) * np.cos(azimuth), np.sin(altitude)
    cosine = (sun[2] - east * sun[0] - north * sun[1]) / np.sqrt(1 + east**2 + north**2)
    return np.maximum(cosine, 0)


def draw(shade):
    import matplotlib.image

    matplotlib.image.imsave(PICTURE, shade, cmap="gray", vmin=0, vmax=1)


def report_tiles(report, difference):
    trips, frames = report["trips"], report["frames"]
    sent, received = report["bytes"]
    print(f"tiles:   {frames} there and back, {sent:,} bytes out, {received:,} bytes in")
    print(f"rate:    {frames / trips.sum() * 1e6:,.0f} tiles/s, one at a time, with the shading")
    print(f"trip:    median {np.median(trips):,.0f} us, p99 {np.percentile(trips, 99):,.0f} us")
    for side, count in report["in place"].items():
        print(f"{side + ':':8} {count} of {frames} read in place, {frames - count} copied")
    print(f"check:   at most {difference:.1e} from NumPy's")
    print(f"picture: {PICTURE.relative_to(ROOT)}")


def stream(tiles, seconds, tx, rx, other):
    """The tiles again and again, as fast as they go; Elixir takes each in place and counts."""
    tiles = [np.ascontiguousarray(tile) for tile in tiles]
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        if tx.send_many(tiles, timeout=TICK) < len(tiles):
            other.check()
    patiently(partial(tx.send, b"", meta={"report": True}), other)
    counted = patiently(rx.recv, other).meta
    took = time.monotonic() - begun
    print(
        f"stream:  {counted['frames']:,} tiles in {took:.1f} s: {counted['frames'] / took:,.0f} frames/s, "
        f"{counted['bytes'] / took / 1e6:,.0f} MB/s, Python to Elixir"
    )


def drain(rx):
    """Takes what nobody will take any more."""
    try:
        while rx.try_recv():
            pass
    except slipring.Closed:
        pass  # finished, and empty


if __name__ == "__main__":
    sys.exit(main())
