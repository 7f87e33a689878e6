"""The Python end of the Elixir cases: port program, socket client, or slipring.

    python far.py PATTERN SIZE SECONDS [--socket PATH | --ring NAME]

Speaks frames of four bytes of length and a body over standard input and output, or over the Unix
socket; over two rings, NAME-there and NAME-back, the frames are the ring's. An empty frame ends a
stream. In `recv` cases it sends for SECONDS; in `send` cases it counts what comes and answers with
the rate; in `rtt` cases it echoes.

In `send` cases a port or socket only counts bytes and never looks into a frame: less than any real
receiver does. slipring takes each frame as an object.
"""

import json
import os
import socket
import struct
import sys
import time

CHUNK = 256 * 1024


def main():
    pattern, size, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    cores = os.environ.get("SLIPRING_BENCH_CORES")
    if cores:
        os.sched_setaffinity(0, {int(cores.split(",")[1])})
    if "--ring" in sys.argv:
        return over_rings(pattern, size, seconds, sys.argv[5])
    if "--socket" in sys.argv:
        end = socket.socket(socket.AF_UNIX)
        end.connect(sys.argv[5])
        read_into, write = end.recv_into, end.sendall
    else:
        source = open(0, "rb", buffering=0)
        read_into, write = source.readinto, write_all
    try:
        {"recv": pour, "send": count, "rtt": echo}[pattern](read_into, write, size, seconds)
    except (BrokenPipeError, ConnectionResetError):
        pass  # the other end has seen enough


def write_all(data):
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]


def pour(read_into, write, size, seconds):
    frame = struct.pack(">I", size) + bytes(size)
    chunk = frame * max(1, 64 * 1024 // len(frame))
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        write(chunk)
    write(struct.pack(">I", 0))


def count(read_into, write, size, seconds):
    buffer = memoryview(bytearray(CHUNK))
    frame, total, tail, begun, counted_from = size + 4, 0, b"", None, 0
    started = None
    while got := read_into(buffer):
        now = time.monotonic()
        started = started or now
        total += got
        tail = (tail + bytes(buffer[max(0, got - 4) : got]))[-4:]
        if begun is None and now - started >= seconds / 4:
            begun, counted_from = now, total
        # At this place of the stream the last four bytes are a header; only the empty frame's is 0.
        if total % frame == 4 and tail == bytes(4):
            rate = (total - counted_from) / frame / (now - begun) if begun and now > begun else 0
            answer = json.dumps({"frames_per_s": rate, "frames": total // frame}).encode()
            write(struct.pack(">I", len(answer)) + answer)
            return


def echo(read_into, write, size, seconds):
    frame = size + 4
    buffer = memoryview(bytearray(frame))
    filled = 0
    while True:
        got = read_into(buffer[filled:])
        if not got:
            return
        filled += got
        if filled == frame:
            write(buffer)
            filled = 0


BATCH = 64
# Seconds without a frame, or without room for one, after which the other end has seen enough.
PATIENCE = 3


def over_rings(pattern, size, seconds, name):
    import slipring

    with slipring.open(name + "-there", wait=20) as there, slipring.open(name + "-back") as back:
        rx, tx = there.consumer(), back.producer()
        try:
            {"recv": pour_frames, "send": count_frames, "rtt": echo_frames}[pattern](
                rx, tx, size, seconds
            )
        except slipring.Timeout:
            pass  # the other end has seen enough


def pour_frames(rx, tx, size, seconds):
    frames = [bytes(size)] * BATCH
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if tx.send_many(frames, timeout=PATIENCE) < BATCH:
            return
    tx.send(b"", timeout=PATIENCE)


def count_frames(rx, tx, size, seconds):
    total, started, begun, counted_from = 0, None, None, 0
    while True:
        frames = rx.recv_many(BATCH, timeout=PATIENCE)
        now = time.monotonic()
        started = started or now
        total += len(frames)
        if begun is None and now - started >= seconds / 4:
            begun, counted_from = now, total
        if len(frames[-1].view) == 0:
            total -= 1
            rate = (total - counted_from) / (now - begun) if begun and now > begun else 0
            tx.send(json.dumps({"frames_per_s": rate, "frames": total}).encode())
            return


def echo_frames(rx, tx, size, seconds):
    while True:
        tx.send(rx.recv(timeout=PATIENCE).view)


main()
