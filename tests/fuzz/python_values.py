"""Has hostile bytes read by the Python package, for a while.

    python python_values.py SECONDS FOLDER [--seed N] [--try FILE]

Values go through `slipring.decode`; bodies and metadata through a ring of which the frame's header says what the
sender would never say. Each input is in FOLDER/python-last before it is tried, so that one which kills the
process is there; one that breaks a promise is kept as FOLDER/python-DIGEST. Without a seed there is a new one for
each run, and it is printed. `--try` takes such a file.

What is promised of any bytes: a value or an error of slipring's (P9, R9.2), and of a value, that what it is
written as is read, and written the same again (R6.1).
"""

import argparse
import faulthandler
import hashlib
import mmap
import os
import pathlib
import random
import struct
import tempfile
import time
import traceback
import warnings

import slipring

import mutations

#: A frame's header, by docs/segment-format.md: its length, and format, version, flags and type code.
HEADER, FIELDS = 64, struct.Struct("<BBHH")
#: Seconds after which one input counts as a hang.
PATIENCE = 30


def read(data):
    """Whether the bytes are a value."""
    try:
        value = slipring.decode(data)
    except slipring.DecodeError as error:
        assert error.path.startswith("$") and error.hint, error
        return False
    try:
        written = slipring.encode(value)
    except slipring.EncodeError:
        return True  # a key or a depth that only the other form had room for
    again = slipring.encode(slipring.decode(written))
    assert again == written, f"{written.hex()} is written as {again.hex()}"
    return True


class Frames:
    """A ring of this process alone, and its memory as a hostile peer has it."""

    def __init__(self, folder):
        self.file = os.path.join(folder, "ring")
        self.ring = slipring.create(path=self.file, capacity="2MiB", slots=8)
        self.tx, self.rx = self.ring.producer(), self.ring.consumer()
        with open(self.file, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), 0)
        self.places = []

    def place(self, body):
        """Where the body lies: mostly where another did before."""
        for at in self.places:
            if self.said(at) == len(body) and self.memory[at : at + len(body)] == body:
                return at
        at = self.memory.find(body)
        while at >= 0 and self.said(at) != len(body):
            at = self.memory.find(body, at + 1)
        self.places.append(at)
        return at

    def said(self, at):
        return struct.unpack_from("<Q", self.memory, at - HEADER + 16)[0] if at >= HEADER else -1

    def read(self, fields, body):
        """Whether the frame of this header and body is read."""
        self.tx.send(body, format="raw")
        at = self.place(body)
        assert at > 0, "the frame is not in the ring"
        FIELDS.pack_into(self.memory, at - HEADER, *fields)
        done = True
        try:
            frame = self.rx.recv(0)
        except slipring.DecodeError:
            return False
        for look in (lambda: frame.value, lambda: frame.meta, frame.describe, lambda: frame.view):
            try:
                look()
            except (slipring.DecodeError, slipring.UntrustedPickle) as error:
                assert str(error)
                done = False
        return done


def tried(frames, kind, fields, data):
    if kind == "value":
        return read(data)
    return frames.read(fields, data)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("seconds", type=float)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--try", dest="file", type=pathlib.Path)
    options = parser.parse_args()
    faulthandler.enable()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        run(options, Frames(folder))


def run(options, frames):
    if options.file:
        kind, fields, data = unpack(options.file.read_bytes())
        print(f"{kind} {fields} {data.hex()}: {'read' if tried(frames, kind, fields, data) else 'refused'}")
        return
    options.folder.mkdir(parents=True, exist_ok=True)
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1 << 32)
    print(f"python-values: seed {seed}", flush=True)
    draw = random.Random(seed)
    values = mutations.values()
    bodies = mutations.bodies(values)
    only = [body for *_, body in bodies]
    # Pickles, and what Python has no form for: a year before 1.
    refused = [body for form, *fields, body in bodies if not frames.read((form, 1, *fields), body)]
    assert len(refused) < 5, [body.hex() for body in refused]
    last = options.folder / "python-last"
    last.write_bytes(bytes(1 << 20))
    with open(last, "r+b") as file:
        record = mmap.mmap(file.fileno(), 0)
    counts = {}
    until = time.monotonic() + options.seconds
    while time.monotonic() < until:
        faulthandler.dump_traceback_later(PATIENCE, exit=True)
        for _ in range(500):
            if draw.random() < 0.6:
                kind, fields, data = "value", (0, 0, 0, 0), mutations.mutate(draw, draw.choice(values), values)
            else:
                form, flags, code, data = draw.choice(bodies)
                data = mutations.mutate(draw, data, only) or b"\0"  # a frame without bytes is found by nothing
                if draw.random() < 0.2:
                    form, flags, code = draw.randrange(7), draw.randrange(64), draw.choice((0, 5, code, 0x6608))
                kind, fields = "body", (form, 1 if draw.random() < 0.99 else 2, flags, code)
            packed = pack(kind, fields, data)
            record[: len(packed)] = packed
            try:
                outcome = tried(frames, kind, fields, data)
            except KeyboardInterrupt:
                raise
            except BaseException:  # a panic's is no Exception
                traceback.print_exc()
                found = options.folder / f"python-{hashlib.sha256(packed).hexdigest()[:16]}"
                found.write_bytes(packed)
                raise SystemExit(f"python-values: a promise is broken by {found}")
            counts[kind, outcome] = counts.get((kind, outcome), 0) + 1
    faulthandler.cancel_dump_traceback_later()
    last.unlink()
    print("python-values:", ", ".join(f"{n} {'good' if ok else 'bad'} {kind}" for (kind, ok), n in sorted(counts.items())))
    # Both happen of each, else it is not much of a test.
    assert len(counts) == 4 and min(counts.values()) > options.seconds, counts


def pack(kind, fields, data):
    """As a file: what it is, the fields of the header, the length, the bytes."""
    return struct.pack("<5sBBHHI", kind.encode(), *fields, len(data)) + data


def unpack(packed):
    kind, *fields, length = struct.unpack_from("<5sBBHHI", packed)
    begin = struct.calcsize("<5sBBHHI")
    return kind.rstrip(b"\0").decode(), tuple(fields), packed[begin : begin + length]


main()
