"""A Python worker of the storm, on either side of the ring, to be killed at any moment: see storm.py.

    python worker.py produce|consume RING LIFE FOLDER manual|auto
"""

import random
import struct
import sys
import time
from pathlib import Path

import slipring

RECORD = struct.Struct("<IIBBxxQ")
BEGUN, SENT, GOT, ACKED, GIVEN_BACK, DEAD = range(1, 7)
HEAD = struct.Struct("<III")


def length(dice):
    """Most frames are small, few are of several MiB."""
    kind = dice.randrange(100)
    most = 160 if kind < 60 else 1 if kind < 70 else 8000 if kind < 90 else 300_000
    return dice.randrange(most if kind < 99 else 3 << 20)


def pattern(life, number):
    return (life * 31 + number * 7) & 0xFF


def produce(ring, life, log, stop):
    tx, dice, number = ring.producer(), random.Random(life), 0
    while not stop.exists():
        len_ = length(dice)
        if dice.randrange(8) == 0:
            version = 1 + dice.randrange(100)
            ring._add_schema(1, "storm", version, bytes([version]) * (version * 100))
        try:
            log(BEGUN, life, number)
            if dice.randrange(3):
                head = HEAD.pack(life, number, len_)
                tx.send(head + bytes([pattern(life, number)]) * len_, timeout=0.5)
            else:
                with tx.reserve(HEAD.size + len_, timeout=0.5) as body:
                    HEAD.pack_into(body, 0, life, number, len_)
                    body[HEAD.size :] = bytes([pattern(life, number)]) * len_
        except slipring.Timeout:
            continue
        log(SENT, life, number)
        number += 1


def check(frame):
    body = frame.view
    life, number, len_ = HEAD.unpack_from(body)
    assert len(body) == HEAD.size + len_, (life, number)
    assert body[HEAD.size :] == bytes([pattern(life, number)]) * len_, (life, number)
    return life, number


def consume(ring, life, log, stop, manual):
    rx = ring.consumer(**({"ack": "manual", "limit": 32} if manual else {}))
    dice, held = random.Random(life), []
    while True:
        ended = False
        try:
            frame = rx.recv(0.05)
            log(GOT, *check(frame), frame.redeliveries > 0)
            held.append(frame)
        except slipring.Unacknowledged:
            pass
        except slipring.Timeout:
            ended = True
        while held and (ended or len(held) > 8 or dice.randrange(2)):
            frame = held.pop(dice.randrange(len(held)))
            id = check(frame)
            if manual and not stop.exists() and dice.randrange(20) == 0:
                log(GIVEN_BACK, *id)
                frame.nack()
            else:
                frame.ack()
                log(ACKED, *id)
            frame.release()
        if ended and stop.exists():
            return


def main():
    role, name, life, folder, delivery = sys.argv[1:]
    life, folder = int(life), Path(folder)
    with open(folder / f"{role}-{life}.log", "wb", buffering=0) as file:

        def log(step, life, number, again=False):
            file.write(RECORD.pack(life, number, step, again, time.time_ns()))

        stop = folder / f"stop-{role}"
        with slipring.open(name) as ring:
            if role == "produce":
                produce(ring, life, log, stop)
            else:
                consume(ring, life, log, stop, delivery == "manual")


if __name__ == "__main__":
    main()
