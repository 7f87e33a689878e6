"""Hillshade of a real elevation model: Python cuts the tiles, Elixir shades them, Python draws.

    make demo                                   both sides
    demo/run.py --no-spawn                      this side; then, in another terminal:
    HILLSHADE_RINGS=hillshade mix run --no-halt     (in demo/hillshade)

The tiles go through one ring and come back through another. Elixir reads them where they lie. Then the
same tiles stream for a few seconds as fast as they can. Either side may be started first.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import slipring

ROOT = Path(__file__).resolve().parent.parent
APP = ROOT / "demo" / "hillshade"
PICTURE = ROOT / "target" / "demo" / "hillshade.png"

SUN = {"azimuth": 315.0, "altitude": 30.0}  # degrees, clockwise from north and above the horizon
TILE = 64  # cells along the side of a result
TOLERANCE = 1e-3  # the elevations are floats of 32 bits
PATIENCE = 60.0  # seconds for the other side to start


class Stopped(Exception):
    """The demo can't go on; the text says why."""


def main():
    arguments = parse_arguments()
    # What a service manager sends is the same wish as Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    other = None
    try:
        with (
            slipring.create(f"{arguments.rings}-tiles", capacity="64 MiB") as tiles,
            slipring.create(f"{arguments.rings}-shades", capacity="16 MiB") as shades,
        ):
            try:
                other = Other(arguments.rings) if arguments.spawn else None
                run(tiles, shades, other, arguments.seconds)
            finally:
                # Elixir ends when it has taken what is there; this side takes what has come.
                tiles.finish()
                if other:
                    other.end()
                for ring in (tiles, shades):
                    drain(ring)
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


class Other:
    """The Elixir application, started by us."""

    def __init__(self, rings):
        # A session of its own: Ctrl-C is ours to handle. Without input it takes no commands.
        self.process = subprocess.Popen(
            ["mix", "run", "--no-compile", "--no-deps-check", "--no-halt"],
            cwd=APP,
            env={**os.environ, "HILLSHADE_RINGS": rings},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )

    def ended(self):
        return self.process.poll()

    def end(self):
        """It has been told by the end of its ring. Waits, and insists if need be."""
        for ask in (lambda: None, self.process.terminate, self.process.kill):
            ask()
            try:
                return self.process.wait(5)
            except subprocess.TimeoutExpired:
                pass


def run(tiles, shades, other, seconds):
    elevation, dx, dy = read_model()
    print(f"elevation model: {elevation.shape[1]} x {elevation.shape[0]} cells of {dx:.0f} x {dy:.0f} m")
    tx, rx = tiles.producer(), shades.consumer()
    wait_for_consumer(tiles, other)

    shade, report = shade_tiles(cut(elevation), elevation.shape, {"dx": dx, "dy": dy, **SUN}, tx, rx, other)
    difference = float(np.abs(shade - reference(elevation, dx, dy)).max())
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    draw(shade)
    report_tiles(report, difference)
    if difference > TOLERANCE:
        raise Stopped(f"the shades differ from NumPy's by {difference:.2g}, more than {TOLERANCE}")
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


def wait_for_consumer(tiles, other):
    begun = time.monotonic()
    while not any(process.consumes for process in tiles.inspect().processes):
        check(other)
        if time.monotonic() - begun > PATIENCE:
            raise Stopped(f"nobody came to take the tiles from {tiles.path}: start the Elixir side")
        time.sleep(0.02)


def check(other):
    if other and (status := other.ended()) is not None:
        raise Stopped(f"the Elixir side has ended with status {status}")


def receive(rx, other):
    """The next frame. A ring does not end with its producer, so now and then we look for it."""
    waited = 0
    while True:
        try:
            return rx.recv(timeout=0.5)
        except slipring.Timeout:
            check(other)
            waited += 1
            if waited > PATIENCE * 2:
                raise Stopped("no shade came for a minute") from None


def shade_tiles(cuts, shape, common, tx, rx, other):
    """Sends each tile and waits for its shade. The whole, and what happened on the way."""
    cuts = list(cuts)
    shade = np.empty(shape, "f4")
    trips, sent, received, here, there = [], 0, 0, 0, 0
    for (row, column), tile in progress(cuts):
        meta = {"row": row, "column": column, **common}
        begun = time.perf_counter_ns()
        tx.send(tile, meta=meta, timeout=PATIENCE)
        frame = receive(rx, other)
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
        if tx.send_many(tiles, timeout=0.5) < len(tiles):
            check(other)
    tx.send(b"", meta={"report": True}, timeout=PATIENCE)
    counted = receive(rx, other).meta
    took = time.monotonic() - begun
    print(
        f"stream:  {counted['frames']:,} tiles in {took:.1f} s: {counted['frames'] / took:,.0f} frames/s, "
        f"{counted['bytes'] / took / 1e6:,.0f} MB/s, Python to Elixir"
    )


def drain(ring):
    """Takes what nobody will take any more, so that the ring's name goes with us."""
    try:
        with ring.consumer() as rx:
            while rx.try_recv():
                pass
    except slipring.Error:
        pass  # finished and empty, or somebody else's to take


if __name__ == "__main__":
    sys.exit(main())
