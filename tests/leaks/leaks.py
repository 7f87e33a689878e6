"""Sends and takes what there is, many times over, and fails where references or memory grow:  leaks.py [--trips N]

What is counted after each round of trips, when the first rounds have filled every cache:

- blocks of Python's own allocator, and objects that its garbage collector knows;
- references to what everybody refers to: None, True, the empty tuple, and the classes that values are made of;
- memory of the process as the kernel counts it, after the allocator has given back what it had at hand;
- memory that is held in the ring.

A leak shows as a growth with each trip; what is put up with is far less than one object, one reference or some bytes a trip.
"""

from __future__ import annotations

import argparse
import ctypes
import dataclasses
import datetime
import decimal
import enum
import fractions
import gc
import os
import sys
import time
import uuid
import warnings

import numpy as np
import pyarrow as pa

import slipring
from slipring import dataclass, json

#: Rounds that are measured; there are as many trips in the one ahead of them, which is not.
ROUNDS = 4
#: Of a trip: bytes of the process's memory, and all else that is counted.
BYTES, COUNT = 4, 0.005
#: What may come and go without being a trip's.
SLACK_BYTES, SLACK = 3 << 20, 512


class Color(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Item:
    name: str
    price: decimal.Decimal
    colors: list[Color] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Order:
    id: uuid.UUID
    at: datetime.datetime
    items: list[Item]
    note: str | None = None
    by: dict[str, int] = dataclasses.field(default_factory=dict)


@slipring.register(name="leaks.Point", version=2, migrations={1: lambda fields: fields})
@dataclasses.dataclass
class Point:
    x: int
    y: float


NOW = datetime.datetime(2026, 11, 21, 10, 46, 28, tzinfo=datetime.timezone.utc)
VALUE = {
    "n": [1, 2**70, -1.5, None, True, "grüß", b"\xff" * 9], "when": [NOW, NOW.date(), NOW.time(), datetime.timedelta(1, 2)],
    "of": (decimal.Decimal("1.25"), fractions.Fraction(1, 3), 1j, uuid.UUID(int=7), range(3), {1, 2}, frozenset("a")),
    7: slipring.Tag(4711, ["x"]), "point": Point(1, 2.5), "unknown": slipring.Object("x", 1, {"a": 1}), "atom": slipring.Atom("ok"),
}  # fmt: skip
ORDER = Order(uuid.UUID(int=7), NOW, [Item("tea", decimal.Decimal("2.50"), [Color.RED]), Item("cup", decimal.Decimal(9))], by={"a": 1})
ORDERS = [ORDER] * 3
ARRAYS = {"f": np.arange(300.0).reshape(20, 15), "small": np.arange(3), "s": np.array(["a", "bb"]), "blob": bytes(70_000)}
RECORDS = [{"id": n, "name": f"name {n}", "at": NOW} for n in range(130)]
TABLE = pa.table({"id": range(50), "name": [f"name {n}" for n in range(50)], "kind": pa.array(["a", "b"] * 25).dictionary_encode()})
NESTED = {"id": 7, "frame": TABLE, "more": [TABLE["name"], TABLE.to_batches()[0]]}
TEXT = json.dumps({"users": [{"id": n, "name": f"n{n}", "x": n / 3, "tags": ["a", None, True]} for n in range(5)], "é": 2**80})
BAD = [b"\xa2\x01\x01\x01\x02", b"\x82\x01", b"\xd9\xb9\xfd\x82\x40\x40", b"\xd8\x25\x41\x00", b"\xd9\xb9\xf3\x80"]


def refused(call, *arguments):
    try:
        call(*arguments)
    except (slipring.Error, ValueError):
        return
    raise AssertionError(f"{arguments} was not refused")


def trips(ring):
    """By name, what a trip does."""
    tx, rx = ring.producer(), ring.consumer()

    def through(obj, **options):
        tx.send(obj, **options)
        return rx.recv(1).value

    def values():
        assert through(VALUE)["n"][0] == 1
        assert slipring.decode(slipring.encode(VALUE))["of"][1] == VALUE["of"][1]

    def arrays():
        got = through(ARRAYS)
        assert got["f"][1, 1] == 16 and len(got["blob"]) == 70_000
        assert through(ARRAYS["f"])[0, 1] == 1

    def texts():
        assert json.loads(TEXT)["users"][4]["id"] == 4
        assert through({"a": [1, "b", None, 2.5]}, format="json")["a"][0] == 1
        json.dumps(VALUE["when"][:3])
        refused(json.loads, b'{"a": [1, 2')
        refused(json.dumps, {"a": object})

    def classes():
        assert dataclass.load_from_bytes(Order, dataclass.dump_to_bytes(ORDER)) == ORDER
        assert dataclass.load(Order, dataclass.dump(ORDER)) == ORDER
        dataclass.to_frame(tx, ORDER)
        assert dataclass.from_frame(Order, rx.recv(1)) == ORDER
        refused(dataclass.load, Order, {"id": 7, "items": [{"name": 1, "price": "cheap"}]})

    def tables():
        assert pa.table(through(TABLE)).num_rows == 50
        assert through(RECORDS)[129]["id"] == 129
        got = through(NESTED)
        assert pa.table(got["frame"])["id"][49].as_py() == 49
        assert slipring.decode(slipring.encode(NESTED))["more"][0].to_pylist()[0] == "name 0"
        assert dataclass.from_arrow(Item, dataclass.to_arrow(ORDER.items))[0] == ORDER.items[0]
        got["frame"].to_pylist()

    def errors():
        refused(lambda: slipring.encode({"a": [lambda: 0]}, format="value"))
        for data in BAD:
            refused(slipring.decode, data)
        tx.send(b"x", meta={"k": [1, {"a": None}]})
        assert rx.recv(1).meta["k"][0] == 1

    return {"values": values, "arrays": arrays, "json": texts, "dataclasses": classes, "tables": tables, "errors": errors}


#: Of so many trips.
SHARES = {"values": 0.25, "arrays": 0.2, "json": 0.2, "dataclasses": 0.2, "tables": 0.05, "errors": 0.1}

WATCHED = [None, True, (), slipring.Table, slipring.Column, slipring.Frame, decimal.Decimal, uuid.UUID, np.ndarray, Order, Item, Point, Color.RED, dict, str]
_libc = ctypes.CDLL(None)


def measured(ring):
    gc.collect()
    pa.default_memory_pool().release_unused()
    _libc.malloc_trim(0)
    with open("/proc/self/statm") as statm:
        resident = int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE")
    told = {"blocks": sys.getallocatedblocks(), "objects": len(gc.get_objects()), "arrow": pa.total_allocated_bytes()}
    told |= {f"references to {str(one)[:40]}": sys.getrefcount(one) for one in WATCHED}
    told |= {"memory": resident, "in the ring": ring.inspect().held}
    return told


def run(name, trip, count, ring):
    """Makes so many trips in each of some rounds. Gives what has grown, by a trip."""
    each = max(count // (ROUNDS + 1), 1)
    rounds = []
    for _ in range(ROUNDS + 1):
        for _ in range(each):
            trip()
        rounds.append(measured(ring))
    first, last, made = rounds[0], rounds[-1], each * ROUNDS
    grown = {what: last[what] - first[what] for what in first}
    allowed = {what: SLACK + COUNT * made for what in first} | {"memory": SLACK_BYTES + BYTES * made, "in the ring": 0}
    faults = {what: by for what, by in grown.items() if by > allowed[what]}
    return grown, {what: (by, by / made) for what, by in faults.items()}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--trips", type=int, default=1_000_000)
    parser.add_argument("--only")
    parser.add_argument("--leak", action="store_true", help="leaks on purpose, to see it found")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    name, failed, began = f"leaks-{os.getpid()}", False, time.monotonic()
    kept = []
    with slipring.create(name, capacity="8 MiB") as ring:
        try:
            for kind, trip in trips(ring).items():
                if arguments.only not in (None, kind):
                    continue
                start, count = time.monotonic(), int(arguments.trips * SHARES[kind])
                leaking = (lambda trip=trip: (trip(), kept.append(len(kept) + 1000))) if arguments.leak else trip
                grown, faults = run(kind, leaking, count, ring)
                most = ", ".join(f"{what} {by:+}" for what, by in grown.items() if by and not what.startswith("references"))
                references = max((by for what, by in grown.items() if what.startswith("references")), default=0)
                seconds = time.monotonic() - start
                print(f"{kind:12} {count:8} trips in {seconds:6.1f} s: {most or 'nothing'}; references {references:+}", flush=True)
                for what, (by, each) in faults.items():
                    failed = True
                    print(f"LEAK: {kind}: {what} grew by {by}, {each:.3f} a trip")
        finally:
            slipring.unlink(name)
    print(f"{'failed' if failed else 'flat'} after {time.monotonic() - began:.0f} s")
    sys.exit(failed)


if __name__ == "__main__":
    main()
