"""A storm over one ring: producers and consumers in several languages, killed, stopped and replaced at
random moments. A checker holds the whole history and accounts for every frame (P2, P5, P6).

    python tests/storm/storm.py [--seconds 60] [--delivery manual|auto] [--languages rust,python,beam]

Each worker writes a log, or several, one for each of its threads of work (`consume-7.log`, `consume-7.2.log`):
a record before and after each step: life of the producer (u32), number of the frame
in it (u32), step (u8), whether it was delivered before (u8), two bytes of nothing, time (ns, u64). A log
outlives its writer. A frame's body is its life, its number and its length (u32 each), then so many bytes of one
value that follows from both.
"""

import argparse
import collections
import os
import random
import signal
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import slipring

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
EBIN = ROOT / "bindings/beam/_build/dev/lib/slipring/ebin"
RECORD = struct.Struct("<IIBBxxQ")
BEGUN, SENT, GOT, ACKED, GIVEN_BACK, DEAD = range(1, 7)
# A worker that is neither stopped nor killed does something within this time, in seconds.
PATIENCE = 30

COMMANDS = {
    "rust": [os.environ.get("SLIPRING_STORM_WORKER", str(ROOT / "target/release/slipring-storm"))],
    "python": [sys.executable, str(HERE / "worker.py")],
    "beam": ["elixir", "-pa", str(EBIN), str(HERE / "worker.exs")],
}


class Worker:
    """One life of one worker."""

    def __init__(self, language, role, life, ring, folder, delivery):
        self.language, self.role, self.life = language, role, life
        self.folder = folder
        self.output = open(folder / f"{role}-{life}.out", "w+")
        self.process = subprocess.Popen(
            [*COMMANDS[language], role, ring, str(life), str(folder), delivery],
            stdin=subprocess.DEVNULL,
            stdout=self.output,
            stderr=subprocess.STDOUT,
        )
        self.stopped_until = None
        self.killed = False
        self.moved = (time.monotonic(), 0)

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        self.killed = True
        self.process.kill()
        self.process.wait()

    def logs(self):
        return list(self.folder.glob(f"{self.role}-{self.life}.*log"))

    def check(self, now):
        """It runs, and gets on."""
        size = sum(log.stat().st_size for log in self.logs())
        if size != self.moved[1] or self.stopped_until:
            self.moved = (now, size)
        if self.process.poll() is not None:
            self.fail(f"ended by itself ({self.process.returncode})")
        if now - self.moved[0] > PATIENCE:
            self.fail(f"has done nothing for {PATIENCE} s")

    def fail(self, what):
        self.output.seek(0)
        raise SystemExit(f"{self} {what}\n{self.output.read()}")

    def __str__(self):
        return f"{self.language} worker {self.role}-{self.life} (pid {self.process.pid})"


class Storm:
    def __init__(self, ring, folder, delivery, languages, dice):
        self.ring, self.folder, self.delivery, self.dice = ring, folder, delivery, dice
        self.languages = languages
        self.lives = collections.Counter()
        self.ended = []
        self.counts = collections.Counter()
        roles = [role for _ in range(2) for role in ("produce", "consume")]
        self.workers = [
            self.start(language, role)
            for language, role in zip(languages * len(roles), roles, strict=False)
        ]

    def start(self, language, role):
        life = self.lives[role]
        self.lives[role] += 1
        return Worker(language, role, life, self.ring, self.folder, self.delivery)

    def blow(self, seconds):
        """Kills and stops at random moments."""
        end = time.monotonic() + seconds
        while (now := time.monotonic()) < end:
            for worker in self.workers:
                worker.check(now)
                if worker.stopped_until and worker.stopped_until < now:
                    worker.signal(signal.SIGCONT)
                    worker.stopped_until = None
            at = self.dice.randrange(len(self.workers))
            worker = self.workers[at]
            if self.dice.random() < 0.3:
                if not worker.stopped_until:
                    worker.signal(signal.SIGSTOP)
                    worker.stopped_until = now + self.dice.random() * 0.5
                    self.counts["stops"] += 1
            elif worker.moved[1] > 0 or self.dice.random() < 0.1:
                worker.kill()
                self.counts["kills"] += 1
                self.ended.append(worker)
                self.workers[at] = self.start(self.dice.choice(self.languages), worker.role)
            time.sleep(self.dice.random() * 0.05)
        for worker in self.workers:
            if worker.stopped_until:
                worker.signal(signal.SIGCONT)

    def settle(self):
        """Ends the producers, then, once all is taken, the consumers."""
        for role in ("produce", "consume"):
            (self.folder / f"stop-{role}").touch()
            for worker in self.workers:
                if worker.role != role:
                    continue
                try:
                    code = worker.process.wait(PATIENCE)
                except subprocess.TimeoutExpired:
                    worker.fail("does not end")
                if code != 0:
                    worker.fail(f"ended with {code}")
        # What dead consumers had taken is delivered once more.
        last = self.start("rust", "consume")
        if last.process.wait(PATIENCE) != 0:
            last.fail("failed")
        self.ended += [*self.workers, last]

    def account(self):
        """Every frame, by all logs."""
        sent, got = set(), collections.defaultdict(list)
        acked, begun = collections.defaultdict(list), set()
        for worker, log in ((worker, log) for worker in self.ended for log in worker.logs()):
            following = {}
            for life, number, step, again, at in records(log):
                frame = (life, number)
                if step == BEGUN:
                    begun.add(frame)
                elif step == SENT:
                    sent.add(frame)
                elif step in (GOT, DEAD):
                    got[frame].append((at, bool(again), worker))
                    if not again:
                        assert number >= following.get(life, 0), f"{worker}: {frame} out of order"
                        following[life] = number + 1
                elif step == ACKED:
                    acked[frame].append(at)
        # Each may have had one in its hands.
        killed = sum(
            len(worker.logs())
            for worker in self.ended
            if worker.killed and worker.role == "consume"
        )
        invented = got.keys() - begun
        assert not invented, f"never sent: {sorted(invented)[:5]}"
        lost = sent - got.keys()
        if self.delivery == "manual":
            assert not lost, f"{len(lost)} lost: {sorted(lost)[:5]}"
        else:
            assert len(lost) <= killed, f"{len(lost)} lost, {killed} consumers killed"
        for frame, times in got.items():
            unmarked = [worker for _, again, worker in times if not again]
            assert len(unmarked) <= 1, f"{frame} came twice unmarked: {[str(w) for w in unmarked]}"
            if self.delivery == "auto":
                assert len(times) == 1, f"{frame} came {len(times)} times"
            for done in acked[frame]:
                late = [str(worker) for at, _, worker in times if at > done]
                assert not late, f"{frame} was acknowledged and came again to {late}"
        self.counts |= {
            "frames": len(sent),
            "delivered again": sum(len(times) > 1 for times in got.values()),
            "died in their consumers' hands": len(lost),
        }


def records(log):
    data = log.read_bytes()
    return RECORD.iter_unpack(data[: len(data) // RECORD.size * RECORD.size])


def storm(seconds, delivery, languages, seed):
    ring = f"storm-{os.getpid()}-{delivery}"
    with (
        tempfile.TemporaryDirectory() as folder,
        slipring.create(ring, mode="mpmc", slots=64, capacity="48 MiB", max_deliveries=3) as hold,
    ):
        it = Storm(ring, Path(folder), delivery, languages, random.Random(seed))
        try:
            it.blow(seconds)
            it.settle()
            it.account()
        finally:
            for worker in it.workers:
                worker.process.kill()
        left = hold.inspect()
        for what in ("waiting", "filling", "offered", "held", "returned", "dead"):
            assert getattr(left, what) == 0, f"{what}:\n{left}"
        # Each schema that the workers added, once and whole.
        versions = [schema.version for schema in left.schemas]
        assert len(set(versions)) == len(versions) > 0, versions
        for schema in left.schemas:
            body = bytes([schema.version]) * (schema.version * 100)
            assert hold._schema(schema.id) == body, schema
        for what in ("kills", "stops", "frames", *(["delivered again"] if delivery == "manual" else [])):
            assert it.counts[what] > 0, f"a storm without {what}: {dict(it.counts)}"
        counts = ", ".join(f"{count} {what}" for what, count in it.counts.items())
        print(f"{delivery}: {counts}; nothing is left in the ring", flush=True)
        return it.counts


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--delivery", choices=["manual", "auto", "both"], default="both")
    parser.add_argument("--languages", default="rust,python,beam")
    parser.add_argument("--seed", type=int, default=None)
    asked = parser.parse_args()
    seed = asked.seed if asked.seed is not None else time.time_ns() % 1_000_000
    print(f"seed {seed}", flush=True)
    deliveries = ["manual", "auto"] if asked.delivery == "both" else [asked.delivery]
    for delivery in deliveries:
        storm(asked.seconds / len(deliveries), delivery, asked.languages.split(","), seed)


if __name__ == "__main__":
    main()
