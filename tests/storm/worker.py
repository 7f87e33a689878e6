"""A Python worker of the storm, on either side of the ring, to be killed at any moment: see storm.py.

    python worker.py produce|consume RING LIFE FOLDER manual|auto one|many drop|wait
"""

import random
import struct
import sys
import time
from pathlib import Path

import slipring

RECORD = struct.Struct("<IIIIBBxxQ")
BEGUN, SENT, GOT, ACKED, GIVEN_BACK, DEAD = range(1, 7)
UNSAID = 2**32 - 1
HEAD = struct.Struct("<III")
LONGEST = 3 << 20
# Bytes that look random, and begin anew after so many: a prime, so that no shift by a power of two hides.
PERIOD = 65_521


def table():
    state, once = 1, bytearray()
    for _ in range(PERIOD):
        state = (state * 1_103_515_245 + 12_345) & 0x7FFF_FFFF
        once.append(state >> 16 & 0xFF)
    return bytes(once) * (LONGEST // PERIOD + 2)


TABLE = table()


def length(dice):
    """Most frames are small, some empty, few of several MiB."""
    kind = dice.randrange(100)
    most = 160 if kind < 60 else 1 if kind < 65 else 12 if kind < 70 else 8000 if kind < 90 else 300_000
    return dice.randrange(most if kind < 99 else LONGEST)


def fill(life, number, len_):
    """The whole frame."""
    if len_ < HEAD.size:
        life, head = 0, b""
    else:
        head = HEAD.pack(life, number, len_)
    start = (life * 31 + number * 7919) % PERIOD
    return head + TABLE[start : start + len_ - len(head)]


def produce(ring, life, log, stop, drops):
    tx, dice, number = ring.producer(), random.Random(life), 0
    while not stop.exists():
        len_ = length(dice)
        if dice.randrange(8) == 0:
            version = 1 + dice.randrange(100)
            ring._add_schema(1, "storm", version, bytes([version]) * (version * 100))
        wait = {"drop_oldest": True} if drops and dice.randrange(2) else {"timeout": 0.5}
        try:
            log(BEGUN, life, number, 0, len_)
            if dice.randrange(3):
                tx.send(fill(life, number, len_), **wait)
            else:
                with tx.reserve(len_, **wait) as body:
                    body[:] = fill(life, number, len_)
        except (slipring.Timeout, slipring.Full):
            continue
        log(SENT, life, number, 0, len_)
        number += 1


def check(frame):
    body, number, life = bytes(frame.view), frame.sequence, UNSAID
    if len(body) >= HEAD.size:
        life, *_ = HEAD.unpack_from(body)
    assert body == fill(life, number, len(body)), f"frame {number} of life {life} is damaged"
    return life, number, frame.header.producer, len(body)


def consume(ring, life, log, stop, manual):
    rx = ring.consumer(**({"ack": "manual", "limit": 32} if manual else {}))
    dice, held = random.Random(life), []
    while True:
        ended = False
        try:
            frame = rx.recv(0.05)
            log(GOT, *check(frame), again=frame.redeliveries > 0)
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
    role, name, life, folder, delivery, _, drop = sys.argv[1:]
    life, folder = int(life), Path(folder)
    with open(folder / f"{role}-{life}.log", "wb", buffering=0) as file:

        def log(step, life, number, handle, length, again=False):
            file.write(RECORD.pack(life, number, handle, length, step, again, time.time_ns()))

        stop = folder / f"stop-{role}"
        with slipring.open(name) as ring:
            if role == "produce":
                produce(ring, life, log, stop, drop == "drop")
            else:
                consume(ring, life, log, stop, delivery == "manual")


if __name__ == "__main__":
    main()
