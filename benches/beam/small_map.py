"""The Python end of small_map.exs: fills the ring when it is told to, and says how long that took.

    python small_map.py RING

A line of standard input is `raw N` or `map N`; the answer is microseconds a frame.
"""

import sys
import time

import slipring

WHAT = {"raw": bytes(64), "map": {"id": 1, "name": "one", "at": 1.5}}

with slipring.open(sys.argv[1], wait=20) as ring:
    tx = ring.producer()
    send = tx.send
    for line in sys.stdin:
        what, count = line.split()
        body, count = WHAT[what], int(count)
        begun = time.perf_counter()
        for _ in range(count):
            send(body)
        print((time.perf_counter() - begun) * 1e6 / count, flush=True)
