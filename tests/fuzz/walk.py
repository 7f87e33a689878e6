"""A walk by chance: inputs are drawn and tried until time is over, and what breaks a promise is kept.

    python TARGET.py SECONDS FOLDER [--seed N] [--try FILE]

Each input is in FOLDER/NAME-last before it is tried, so that one which kills the process is there; one that breaks a
promise is kept as FOLDER/NAME-DIGEST. Without a seed there is a new one for each run, and it is printed. `--try` takes
such a file.
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
import typing
import warnings

import slipring

#: Seconds after which one input counts as a hang.
PATIENCE = 30
#: A frame's header, by docs/segment-format.md: its length, and format, version, flags and type code.
HEADER, FIELDS = 64, struct.Struct("<BBHH")
#: As a file: what it is, the fields of the header, the length, the bytes.
PACKED = struct.Struct("<5sBBHHI")


class Input(typing.NamedTuple):
    """What it is, the fields of a frame's header, the bytes."""

    kind: str
    fields: tuple
    data: bytes


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

    def recv(self, fields, body):
        """The frame of this header and body, as if it had been sent; None if it is refused."""
        self.tx.send(body, format="raw")
        at = self.place(body)
        assert at > 0, "the frame is not in the ring"
        FIELDS.pack_into(self.memory, at - HEADER, *fields)
        try:
            return self.rx.recv(0)
        except slipring.DecodeError:
            return None


def main(name, prepare):
    """`prepare` gives, for a folder, what draws an input by a ``random.Random``, and what tries one: whether it was good. An
    ``AssertionError``, and any other exception, is a promise that is broken."""
    parser = argparse.ArgumentParser()
    parser.add_argument("seconds", type=float)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--try", dest="file", type=pathlib.Path)
    options = parser.parse_args()
    faulthandler.enable()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        draw, tried = prepare(folder)
        if options.file:
            given = unpack(options.file.read_bytes())
            print(f"{given.kind} {given.fields} {given.data.hex()}: {'read' if tried(given) else 'refused'}")
        else:
            run(name, options, draw, tried)


def run(name, options, draw, tried):
    options.folder.mkdir(parents=True, exist_ok=True)
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1 << 32)
    print(f"python-{name}: seed {seed}", flush=True)
    chance = random.Random(seed)
    last = options.folder / f"python-{name}-last"
    last.write_bytes(bytes(1 << 20))
    with open(last, "r+b") as file:
        record = mmap.mmap(file.fileno(), 0)
    counts = {}
    until = time.monotonic() + options.seconds
    while time.monotonic() < until:
        faulthandler.dump_traceback_later(PATIENCE, exit=True)
        for _ in range(500):
            given = draw(chance)
            packed = pack(given)
            record[: len(packed)] = packed
            try:
                outcome = tried(given)
            except KeyboardInterrupt:
                raise
            except BaseException:  # a panic's is no Exception
                traceback.print_exc()
                found = options.folder / f"python-{name}-{hashlib.sha256(packed).hexdigest()[:16]}"
                found.write_bytes(packed)
                raise SystemExit(f"python-{name}: a promise is broken by {found}")
            counts[given.kind, outcome] = counts.get((given.kind, outcome), 0) + 1
    faulthandler.cancel_dump_traceback_later()
    last.unlink()
    print(f"python-{name}:", ", ".join(f"{n} {'good' if ok else 'bad'} {kind}" for (kind, ok), n in sorted(counts.items())))
    # Both happen of each, else it is not much of a test.
    assert len(counts) == 2 * len({kind for kind, _ in counts}) and min(counts.values()) > options.seconds, counts


def pack(given):
    return PACKED.pack(given.kind.encode(), *given.fields, len(given.data)) + given.data


def unpack(packed):
    kind, *fields, length = PACKED.unpack_from(packed)
    return Input(kind.rstrip(b"\0").decode(), tuple(fields), packed[PACKED.size : PACKED.size + length])
