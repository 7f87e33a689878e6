"""Measures what it costs to encode and decode, slipring beside its peers, in this one process.

    python codec.py [--seconds 0.05] [--rounds 9] [--cases cbor/] [--out target/bench/codec.json]

Each figure is the median over rounds of the mean over as many calls as fill `--seconds`; in each round all
peers take their turn. Documents come from `SLIPRING_BENCH_DATA`, else `../shared/data/json`; where neither is
there they are made up, and the report says so. What peers are given is what they can hold: MessagePack has
no dates and no tuples, so the objects have none.
"""

import argparse
import datetime
import decimal
import gc
import importlib.util
import json
import lzma
import math
import multiprocessing
import os
import pathlib
import pickle
import random
import statistics
import subprocess
import sys
import sysconfig
import time
import uuid

import cbor2
import msgspec
import numpy as np
import orjson
import ormsgpack

import slipring
import slipring.json

ROOT = pathlib.Path(__file__).resolve().parents[2]
#: The cases of the geometric means.
MEAN = "twitter citm canada github ints floats bools strings dict nested mixed".split()
MEAN_JSON = [name for name in MEAN if name != "mixed"]


def documents():
    """The objects by name, and whether the real documents were there."""
    folder = pathlib.Path(os.environ.get("SLIPRING_BENCH_DATA", ROOT.parent / "shared/data/json"))
    files = {"twitter": "twitter", "citm": "citm_catalog", "canada": "canada", "github": "github"}
    found = {}
    for name, file in files.items():
        for path in (folder / f"{file}.json.xz", folder / f"{file}.json"):
            if path.exists():
                data = path.read_bytes()
                found[name] = json.loads(lzma.decompress(data) if path.suffix == ".xz" else data)
                break
    real = len(found) == len(files)
    draw = random.Random(1)
    text = lambda n: "".join(draw.choices("abcdefghijklmnop ", k=n))  # noqa: E731
    for name in files:
        found.setdefault(name, [{text(8): {text(5): text(40), text(6): draw.random()}} for _ in range(2000)])
    found["ints"] = [draw.randrange(-(2**40), 2**40) for _ in range(10_000)]
    found["floats"] = [draw.random() * 10 ** draw.randrange(-5, 5) for _ in range(10_000)]
    found["bools"] = [draw.random() < 0.5 for _ in range(10_000)]
    found["strings"] = [text(draw.randrange(5, 30)) for _ in range(10_000)]
    found["dict"] = {f"key{i}": i for i in range(10_000)}
    found["nested"] = [
        {"id": i, "name": f"n{i}", "tags": ["a", "b"], "at": {"x": i * 0.5, "y": i * 0.25}, "ok": i % 2 == 0}
        for i in range(1000)
    ]
    found["mixed"] = [
        draw.choice([None, True, i, i * 1.5, f"item {i}", [i, i + 1], {"k": i}]) for i in range(1000)
    ]
    return found, real


def clock(call, seconds):
    """Seconds per call, over as many calls as fill the time."""
    n = 1
    while True:
        start = time.perf_counter()
        for _ in range(n):
            call()
        spent = time.perf_counter() - start
        if spent >= seconds:
            return spent / n
        n = max(n * 2, int(n * seconds / max(spent, 1e-9)))


def limit_module():
    """What makes the objects and does nothing else (`limit.c`); None, said, where it can't be built."""
    source, built = pathlib.Path(__file__).with_name("limit.c"), ROOT / "target/bench/limit.so"
    built.parent.mkdir(parents=True, exist_ok=True)
    include = sysconfig.get_paths()["include"]
    try:
        subprocess.run(["cc", "-O3", "-shared", "-fPIC", f"-I{include}", source, "-o", built], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"limit is left out: a C compiler and Python's headers make it: {error}", file=sys.stderr)
        return None
    spec = importlib.util.spec_from_file_location("limit", built)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def codec_cases(objects):
    limit = limit_module()
    pack, unpack = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder().decode
    encoders = {
        "slipring": slipring.encode,
        "msgspec": pack,
        "ormsgpack": ormsgpack.packb,
        "cbor2": cbor2.dumps,
        "pickle5": lambda value: pickle.dumps(value, 5),
    }
    decoders = {
        "slipring": slipring.decode,
        "msgspec": unpack,
        "ormsgpack": ormsgpack.unpackb,
        "cbor2": cbor2.loads,
        "pickle5": pickle.loads,
    }
    for name in MEAN:
        value = objects[name]
        yield f"cbor/encode/{name}", {
            peer: (lambda f=f, v=value: f(v)) for peer, f in encoders.items()
        }
        calls = {peer: (lambda f=f, d=encoders[peer](value): f(d)) for peer, f in decoders.items()}
        if limit:
            tape = limit.tape(value)
            assert limit.make(tape) == value
            calls["limit"] = lambda tape=tape: limit.make(tape)
        yield f"cbor/decode/{name}", calls
    value = objects["mixed"]
    yield "cbor/there-and-back/mixed1000", {
        peer: (lambda f=f, g=decoders[peer], v=value: g(f(v))) for peer, f in encoders.items()
    }


def json_cases(objects):
    """From objects to bytes, and from bytes to objects."""
    encoders = {
        "slipring": slipring.json.dumps,
        "orjson": orjson.dumps,
        "json": lambda value: json.dumps(value, separators=(",", ":")).encode(),
    }
    decoders = {"slipring": slipring.json.loads, "orjson": orjson.loads, "json": json.loads}
    try:
        # It is built for newer processors only.
        import ssrjson
    except ImportError:
        print("ssrjson is not there: it is left out", file=sys.stderr)
    else:
        encoders["ssrjson"], decoders["ssrjson"] = ssrjson.dumps_to_bytes, ssrjson.loads
    for name in MEAN_JSON:
        value, data = objects[name], orjson.dumps(objects[name])
        yield f"json/dumps/{name}", {peer: (lambda f=f, v=value: f(v)) for peer, f in encoders.items()}
        yield f"json/loads/{name}", {peer: (lambda f=f, d=data: f(d)) for peer, f in decoders.items()}


def frame_cases():
    """Through a ring whose both ends are here."""
    ring = slipring.create(anonymous=True, capacity="256 MiB")
    tx, rx = ring.producer(), ring.consumer(pickle=True)

    def through(value, **options):
        tx.send(value, **options)
        frame = rx.recv(0)
        got = frame.value
        frame.release()
        return got

    array = np.arange(1 << 20, dtype="f8")
    place = np.empty_like(array)

    def send():
        tx.send(array)
        rx.recv(0).release()

    def memcpy():
        place[:] = array

    yield "array/send/8MiB", {"slipring": send, "memcpy": memcpy}
    for size in ("8KiB", "8MiB"):
        data = array[: 1024 if size == "8KiB" else None]
        tx.send(data)
        frame, whole = rx.recv(0), data.tobytes()
        # The buffer of a frame is asked for anew each time; `value` is made once.
        yield f"array/recv/{size}", {
            "slipring": lambda frame=frame: np.asarray(memoryview(frame)),
            "np.frombuffer": lambda whole=whole: np.frombuffer(whole),
        }
        frame.release()
    columns = {f"c{i}": array[i * 1000 : i * 1000 + 100_000] for i in range(5)}
    buffers = []

    def out_of_band(value):
        def call():
            buffers.clear()
            stream = pickle.dumps(value, 5, buffer_callback=buffers.append)
            at = 0
            for buffer in buffers:
                raw = buffer.raw()
                np.frombuffer(place, "u1")[at : at + raw.nbytes] = np.frombuffer(raw, "u1")
                at += raw.nbytes
            return pickle.loads(stream, buffers=buffers)

        return call

    yield "frame/dict-of-arrays/pickle5", {
        "slipring": lambda: through(columns, format="pickle"),
        "pickle5 + memcpy": out_of_band(columns),
    }
    yield "frame/dict-of-arrays/value", {
        "slipring": lambda: through(columns),
        "pickle5 + memcpy": out_of_band(columns),
    }
    try:
        import pandas
    except ImportError:
        pass
    else:
        table = pandas.DataFrame({name: column[:100_000] for name, column in columns.items()})
        yield "frame/pandas/pickle5", {
            "slipring": lambda: through(table, format="pickle"),
            "pickle5 + memcpy": out_of_band(table),
        }
    yield from table_cases()
    small = {"id": 7, "name": "camera", "at": [1.5, 2.5], "ok": True}
    raw = b"x" * 40
    yield "frame/small-dict", {"slipring": lambda: through(small), "raw": lambda: through(raw)}


def table_cases():
    """A table of a million rows through a ring, and what reading it with each kind of checks takes."""
    try:
        import pandas
        import pyarrow as pa
    except ImportError:
        return
    n = 1_000_000
    draw = np.random.default_rng(1)
    table = pa.table(
        {
            "id": np.arange(n),
            "price": draw.random(n),
            "day": draw.integers(0, 20_000, n, "i4"),
            "city": pa.array(draw.choice(["Oslo", "Lima", "Kyoto"], n)).dictionary_encode(),
            "note": pa.array([f"note {i}" for i in range(n)]),
        }
    )
    ring = slipring.create(anonymous=True, capacity="512 MiB")
    tx, rx = ring.producer(), ring.consumer()
    memory = np.empty(table.nbytes + (1 << 20), "u1")
    data = np.frombuffer(np.ones(table.nbytes, "u1"), "u1")

    def send(what):
        tx.send(what)
        rx.recv(0).release()

    def ipc(what):
        with pa.ipc.new_stream(pa.FixedSizeBufferWriter(pa.py_buffer(memory)), what.schema) as writer:
            writer.write_table(what)

    def growing(what):
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, what.schema) as writer:
            writer.write_table(what)
        return sink.getvalue()

    def memcpy():
        memory[: len(data)] = data

    yield "table/1Mx5/write", {
        "slipring": lambda: send(table),
        "pyarrow IPC": lambda: ipc(table),
        "pyarrow IPC, growing": lambda: growing(table),
        "memcpy": memcpy,
    }
    frame = table.to_pandas()
    place = np.empty(table.nbytes * 2, "u1")

    def pickled():
        buffers = []
        stream = pickle.dumps(frame, 5, buffer_callback=buffers.append)
        at = len(stream)
        place[:at] = np.frombuffer(stream, "u1")
        for buffer in buffers:
            raw = buffer.raw()
            place[at : at + raw.nbytes] = np.frombuffer(raw, "u1")
            at += raw.nbytes

    yield "table/1Mx5/write-pandas", {"slipring": lambda: send(frame), "pickle5 + memcpy": pickled}
    stream = growing(table)

    # A frame is opened anew by each call, and so checked each time.
    tx.send(table)
    taken = rx.recv(0)
    other = slipring.create(anonymous=True, capacity="512 MiB")
    other.producer().send(table)
    whole = other.consumer(checks="full").recv(0)
    yield "table/1Mx5/read", {
        "slipring": lambda: pa.table(taken),
        "slipring, full checks": lambda: pa.table(whole),
        "pyarrow IPC, no checks": lambda: pa.ipc.open_stream(stream).read_all(),
        "pyarrow IPC, validate(full)": lambda: pa.ipc.open_stream(stream).read_all().validate(full=True),
    }
    one = pa.table({"a": [1, 2, 3], "b": ["x", "y", None]})
    yield "table/3x2/there-and-back", {
        "slipring": lambda: (tx.send(one), pa.table(rx.recv(0)))[1],
        "pyarrow IPC": lambda: (ipc(one), pa.ipc.open_stream(memory).read_all())[1],
    }
    rows = [{"id": i, "name": f"name {i}", "price": i / 3, "ok": i % 2 == 0} for i in range(10_000)]
    got = []

    def records(format):
        tx.send(rows, format=format)
        got[:] = rx.recv(0).value

    # Into a frame, and taken from there by a library without a copy.
    yield "table/10k-dicts/to-arrow", {
        "slipring": lambda: (tx.send(rows), pa.table(rx.recv(0)))[1],
        "pyarrow.Table.from_pylist": lambda: pa.Table.from_pylist(rows),
    }
    fields = pa.schema({"id": pa.int64(), "name": pa.string(), "price": pa.float32(), "ok": pa.bool_()})
    announced = ring.announce("records", fields, version=1)
    yield "table/10k-dicts/to-arrow-under-schema", {
        "slipring": lambda: (tx.send(rows, schema=announced), pa.table(rx.recv(0)))[1],
        "pyarrow.Table.from_pylist": lambda: pa.Table.from_pylist(rows, schema=fields),
    }
    rich = [{"id": uuid.UUID(int=i), "at": datetime.datetime(2026, 1, 1) + i * datetime.timedelta(seconds=61), "price": decimal.Decimal(i).scaleb(-2), "tags": ["a", "b"], "place": {"x": i / 3, "y": i / 7}} for i in range(10_000)]
    yield "table/10k-rich-dicts/to-arrow", {
        "slipring": lambda: (tx.send(rich), pa.table(rx.recv(0)))[1],
        "pyarrow.Table.from_pylist": lambda: pa.Table.from_pylist([row | {"id": row["id"].bytes} for row in rich]),
    }
    yield from process_cases(frame)
    yield "table/10k-dicts/there-and-back", {
        "slipring": lambda: records(None),
        "slipring, as a value": lambda: records("value"),
    }


def fresh_reads():
    """What taking a table of numbers that nobody has read costs: seconds of one call, and what is done before it."""
    try:
        import pyarrow as pa
    except ImportError:
        return {}
    types = ["i8", "f8", "i4", "f8", "i8"]
    made = {n: pa.table({f"c{i}": np.arange(n, dtype=kind) for i, kind in enumerate(types)}) for n in (1000, 1_000_000)}
    other = np.ones(8 << 20)
    rings = {n: slipring.create(anonymous=True, capacity="512 MiB" if n > 1000 else "64 MiB") for n in made}
    ends = {n: (ring.producer(), ring.consumer()) for n, ring in rings.items()}

    def read(rows, ahead=0, write=False):
        def call():
            nonlocal other
            tx, rx = ends[rows]
            for _ in range(ahead + 1):
                tx.send(made[rows])
            for _ in range(ahead):
                rx.recv(0).value
            if write:
                other += 1
            frame = rx.recv(0)
            start = time.perf_counter()
            value = frame.value
            spent = time.perf_counter() - start
            assert len(value) == rows
            return spent

        return call

    return {
        "slipring": read(1_000_000),
        "slipring, another one read just before": read(1_000_000, ahead=1),
        "slipring, 1,000 rows": read(1000),
        "slipring, 1,000 rows, 64 MiB of others' written before": read(1000, write=True),
    }


def data_frame(frame):
    """What a frame holds, as a data frame of pandas'. Released, its memory lives as long as that."""
    got = frame.value
    frame.release()
    return got if frame.format == "pickle" else got.to_pandas(split_blocks=True)


def echo_frames(name):
    """The far end, of a ring: each frame is a data frame of pandas' here, and goes back as one in the same format."""
    there, back = slipring.open(f"{name}-there", wait=20), slipring.open(f"{name}-back", wait=20)
    tx = back.producer()
    for frame in there.consumer(pickle=True):
        tx.send(data_frame(frame), format=frame.format)


def echo_pickles(pipe):
    """The same of a pipe."""
    while data := pipe.recv_bytes():
        pipe.send_bytes(pickle.dumps(pickle.loads(data), 5))


def process_cases(frame):
    """A data frame to another process and back, a data frame at both ends."""
    spawn = multiprocessing.get_context("spawn")
    name = f"bench-{os.getpid()}"
    near, far = spawn.Pipe()
    there = slipring.create(f"{name}-there", capacity="256 MiB")
    back = slipring.create(f"{name}-back", capacity="256 MiB")
    ends = [spawn.Process(target=echo_frames, args=(name,)), spawn.Process(target=echo_pickles, args=(far,))]
    for end in ends:
        end.start()
    tx, rx = there.producer(), back.consumer(pickle=True)

    def through_rings(frame, format=None):
        tx.send(frame, format=format)
        return data_frame(rx.recv(20))

    def through_pipe(frame):
        near.send_bytes(pickle.dumps(frame, 5))
        return pickle.loads(near.recv_bytes())

    kinds = {"1Mx5": frame, "1Mx3-numbers": frame.select_dtypes("number"), "10kx5": frame.head(10_000).copy()}
    try:
        for what, data in kinds.items():
            for way in (through_rings, through_pipe, lambda data: through_rings(data, "pickle")):
                assert way(data).equals(data), (what, way)
            yield f"processes/pandas/{what}/there-and-back", {
                "slipring": lambda data=data: through_rings(data),
                "slipring, as a pickle": lambda data=data: through_rings(data, "pickle"),
                "pickle5 in a pipe": lambda data=data: through_pipe(data),
            }
    finally:
        there.finish()
        near.send_bytes(b"")
        for end in ends:
            end.join(20)
        there.close()
        back.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=0.02)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--cases", default="")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "target/bench/codec.json")
    parser.add_argument("--more", type=argparse.FileType(), help="lines of JSON to add to the report")
    options = parser.parse_args()
    objects, real = documents()
    if not real:
        print("the documents are not there: made-up ones stand for them", file=sys.stderr)
    rows = []
    for case, peers in [*codec_cases(objects), *json_cases(objects)] if "frame" not in options.cases else []:
        if options.cases in case:
            rows += measure(case, peers, options)
    for case, peers in frame_cases():
        if options.cases in case:
            rows += measure(case, peers, options)
    case = "table/1Mx5-numbers/first-read"
    if options.cases in case:
        rows += measure_once(case, fresh_reads(), options)
    rows += both_ways(rows)
    rows += means(rows)
    if options.more:
        rows += [json.loads(line) for line in options.more if line.strip()]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(rows, indent=1) + "\n")
    options.out.with_suffix(".md").write_text(table(rows, real))
    print(table(rows, real))


def measure(case, peers, options):
    times = {peer: [] for peer in peers}
    gc.collect()
    # What the harness keeps is nobody's garbage to look for: whose turn it would be is chance.
    gc.freeze()
    for call in peers.values():
        call()
    for _ in range(options.rounds):
        for peer, call in peers.items():
            times[peer].append(clock(call, options.seconds) * 1e6)
    gc.unfreeze()
    print(case, {peer: round(statistics.median(all), 2) for peer, all in times.items()}, file=sys.stderr)
    return [row(case, peer, all) for peer, all in times.items()]


def measure_once(case, peers, options, calls=9):
    """Of calls that time a part of themselves, as what they do can be done once only; they take turns."""
    times = {peer: [] for peer in peers}
    for _ in range(options.rounds * calls):
        for peer, call in peers.items():
            times[peer].append(call() * 1e6)
    print(case, {peer: round(statistics.median(all), 2) for peer, all in times.items()}, file=sys.stderr)
    return [row(case, peer, all) for peer, all in times.items()]


def row(case, peer, all, metric="time", unit="us"):
    figures = {"median": statistics.median(all), "min": min(all), "max": max(all)}
    return {"case": case, "peer": peer, "metric": metric, "unit": unit, **figures}


def means(rows):
    """Geometric means over the documents, per peer."""
    made = []
    cbor = {f"cbor/{way}": MEAN for way in ("encode", "decode", "roundtrip")}
    ways = cbor | {"json/dumps": MEAN_JSON, "json/loads": MEAN_JSON}
    for way, names in ways.items():
        for peer in dict.fromkeys(r["peer"] for r in rows):
            of = [r for r in rows if r["peer"] == peer and r["case"].startswith(f"{way}/")]
            if len(of) == len(names):
                mean = {
                    key: math.exp(statistics.fmean(math.log(r[key]) for r in of))
                    for key in ("median", "min", "max")
                }
                made.append({"case": f"{way}/geomean", "peer": peer, "metric": "time", "unit": "us", **mean})
    return made


def both_ways(rows):
    """What there and back take together, of each document: the sum of what was measured each by itself."""
    of = {(r["case"], r["peer"]): r for r in rows}
    made = []
    for (case, peer), there in of.items():
        back = of.get((case.replace("/encode/", "/decode/"), peer))
        if case.startswith("cbor/encode/") and back:
            both = {key: there[key] + back[key] for key in ("median", "min", "max")}
            made.append(there | both | {"case": case.replace("/encode/", "/roundtrip/")})
    return made


def table(rows, real):
    """Markdown: a line per case, the peers beside each other, as ratios to slipring."""
    lines = ["| case | slipring | peers (slipring's time in theirs) |", "|---|--:|---|"]
    for case in dict.fromkeys(r["case"] for r in rows):
        of = {r["peer"]: r for r in rows if r["case"] == case}
        own = of.pop("slipring", None)
        if own is None:
            continue
        others = ", ".join(
            f"{peer} {r['median']:.4g} ({own['median'] / r['median']:.2f})" for peer, r in of.items()
        )
        lines.append(f"| {case} | {own['median']:.4g} {own['unit']} | {others} |")
    if not real:
        lines.append("\nThe documents were not there: made-up ones stand for them.")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
