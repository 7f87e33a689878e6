"""Storms over rings, one after the other: producers and consumers in several languages, killed, stopped and replaced at
random moments. A checker holds the whole history and accounts for every frame (P2, P5, P6, P7).

    python tests/storm/storm.py [--seconds 60] [--mode MODE] [--delivery manual|auto] [--drop yes|no]
                                [--languages rust,python,beam] [--seed N]

A run has a storm for each mode, longer ones several; what is not said, the seed decides. There are as many
workers at an end as the mode permits, up to two.

Each worker writes a log, or several, one for each of its threads of work (`consume-7.log`, `consume-7.2.log`):
a record before and after each step: life of the producer, number of the frame in it, number of the producer's handle,
length of the frame (u32 each), step (u8), whether it was delivered before (u8), two bytes of nothing, time (ns, u64).
A log outlives its writer. A producer does not know its handle, which stands in the header, and writes 0.

A life numbers its frames as its handle does, so the header says which frame of its life one is, also where the body is
empty. A frame of 12 bytes or more begins with its life, its number and its length (u32 each); the rest of it, and
all of a shorter one, is a piece of `TABLE`, which `fill` in `worker.py` makes. Nothing in it repeats within 65,521
bytes, so that bytes that were shifted, torn or left by another frame are seen.
"""

import argparse
import collections
import itertools
import os
import random
import signal
import struct
import subprocess
import sys
import tempfile
import time
import typing
from pathlib import Path

import slipring

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
EBIN = ROOT / "bindings/beam/_build/dev/lib/slipring/ebin"
RECORD = struct.Struct("<IIIIBBxxQ")
BEGUN, SENT, GOT, ACKED, GIVEN_BACK, DEAD = range(1, 7)
# The life in a consumer's record of a frame that is too short to say it.
UNSAID = 2**32 - 1
MODES = ("spsc", "mpsc", "spmc", "mpmc")
# Elixir takes a second to start.
SHORTEST = 4
# A worker that is neither stopped nor killed does something within this time, in seconds.
PATIENCE = 30

COMMANDS = {
    "rust": [os.environ.get("SLIPRING_STORM_WORKER", str(ROOT / "target/release/slipring-storm"))],
    "python": [sys.executable, str(HERE / "worker.py")],
    "beam": ["elixir", "-pa", str(EBIN), str(HERE / "worker.exs")],
}


class Weather(typing.NamedTuple):
    """What one storm goes over."""

    mode: str
    delivery: str
    # Whether producers drop the oldest frames, now and then.
    drop: str

    def ends(self, role):
        """How many may be at an end, `None` for many."""
        return 1 if self.mode[0 if role == "produce" else 2] == "s" else None


class Worker:
    """One life of one worker."""

    def __init__(self, language, role, life, ring, folder, weather):
        self.language, self.role, self.life = language, role, life
        self.folder = folder
        self.output = open(folder / f"{role}-{life}.out", "w+")
        alone = "many" if weather.ends(role) is None else "one"
        self.process = subprocess.Popen(
            [*COMMANDS[language], role, ring, str(life), folder, weather.delivery, alone, weather.drop],
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
    def __init__(self, ring, folder, weather, languages, dice):
        self.ring, self.folder, self.weather, self.dice = ring, folder, weather, dice
        self.languages = languages
        self.lives = collections.Counter()
        self.ended = []
        self.counts = collections.Counter()
        roles = [role for role in ("produce", "consume") for _ in range(weather.ends(role) or 2)]
        first = dice.sample(languages * len(roles), len(roles))
        self.workers = [self.start(*each) for each in zip(first, roles, strict=True)]

    def start(self, language, role):
        life = self.lives[role]
        self.lives[role] += 1
        return Worker(language, role, life, self.ring, self.folder, self.weather)

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
            elif worker.moved[1] > 0 or self.dice.random() < 0.05:
                worker.kill()
                self.counts["kills"] += 1
                self.ended.append(worker)
                self.workers[at] = self.start(self.dice.choice(self.languages), worker.role)
            # Each gets as much of it, however many there are.
            time.sleep(self.dice.random() * 0.2 / len(self.workers))
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

    def killed(self, role):
        """Threads of work that were killed. Each may have had one frame in its hands, and no time to say so."""
        return sum(len(it.logs()) for it in self.ended if it.killed and it.role == role)

    def account(self, dropped):
        """Every frame, by all logs, of which producers say that they have dropped so many."""
        begun, sent, told = {}, set(), []
        for worker, log in ((worker, log) for worker in self.ended for log in worker.logs()):
            following = collections.defaultdict(int)
            for life, number, handle, length, step, again, at in records(log):
                if step == BEGUN:
                    begun[life, number] = length
                elif step == SENT:
                    sent.add((life, number))
                else:
                    told.append((life, number, handle, length, step, again, at, worker))
                    if step == GOT and not again:
                        assert number >= following[handle], (
                            f"{worker}: {number} of handle {handle} after {following[handle] - 1}"
                        )
                        following[handle] = number + 1
        lives = named(told, begun)
        got, acked, settled = collections.defaultdict(list), collections.defaultdict(list), set()
        for _, number, handle, length, step, again, at, worker in told:
            frame = (lives[handle], number)
            assert frame in begun, f"{worker}: {frame} was never sent"
            assert length == begun[frame], f"{worker}: {frame} has {length} of {begun[frame]} bytes"
            if step in (GOT, DEAD):
                got[frame].append((at, bool(again), worker))
            if step in (ACKED, DEAD):
                acked[frame].append(at)
        lost = sent - got.keys()
        # The one that its consumer took and did not tell, and the one that was dropped and not counted.
        unsaid = self.killed("consume") if self.weather.delivery == "auto" else 0
        uncounted = self.killed("produce") if self.weather.drop == "drop" else 0
        assert len(lost) <= dropped + uncounted + unsaid, (
            f"{len(lost)} lost, {dropped} dropped, {uncounted} + {unsaid} killed: {sorted(lost)[:5]}"
        )
        never = len(begun.keys() - got.keys())
        assert dropped <= never, f"{dropped} dropped, and {never} never came"
        if self.weather.delivery == "manual":
            # An acknowledgement is told after it was given.
            open_ = got.keys() - acked.keys()
            assert len(open_) <= self.killed("consume"), f"not acknowledged: {sorted(open_)[:5]}"
        for frame, times in got.items():
            unmarked = [worker for _, again, worker in times if not again]
            assert len(unmarked) <= 1, f"{frame} came twice unmarked: {[str(w) for w in unmarked]}"
            if self.weather.delivery == "auto":
                assert len(times) == 1, f"{frame} came {len(times)} times"
            for done in acked[frame]:
                late = [str(worker) for at, _, worker in times if at > done]
                assert not late, f"{frame} was acknowledged and came again to {late}"
        self.counts |= {
            "frames": len(sent),
            "empty": sum(begun[frame] == 0 for frame in got),
            "delivered again": sum(len(times) > 1 for times in got.values()),
            "dropped": dropped,
            "died in their consumers' hands": max(0, len(lost) - dropped),
        }


def records(log):
    data = log.read_bytes()
    return RECORD.iter_unpack(data[: len(data) // RECORD.size * RECORD.size])


def named(told, begun):
    """The life of each handle of which something was told: each has one, and no two the same."""
    lives, short = {}, collections.defaultdict(dict)
    for life, number, handle, length, *_ in told:
        if life != UNSAID:
            known = lives.setdefault(handle, life)
            assert life == known, f"frames of the lives {known} and {life} came from handle {handle}"
        short[handle][number] = length
    assert len(set(lives.values())) == len(lives), f"a life came from two handles: {lives}"
    # Of some only frames came that are too short to say it. Each is one of the lives that are left and began such frames.
    left = {life for life, _ in begun} - set(lives.values())
    handles = {}

    def place(handle, tried):
        for life in left - tried:
            if all(begun.get((life, number)) == length for number, length in short[handle].items()):
                tried.add(life)
                if life not in handles or place(handles[life], tried):
                    handles[life] = handle
                    return True
        return False

    for handle in short.keys() - lives.keys():
        assert place(handle, set()), f"nobody sent what came from handle {handle}: {short[handle]}"
    return lives | {handle: life for life, handle in handles.items()}


def storm(seconds, weather, languages, dice):
    ring = f"storm-{os.getpid()}-{'-'.join(weather)}"
    drops = weather.drop == "drop"
    options = {"slots": 16 if drops else 64, "capacity": "48 MiB", "max_deliveries": 3, "drop_oldest": drops}
    with (
        tempfile.TemporaryDirectory() as folder,
        slipring.create(ring, mode=weather.mode, **options) as hold,
    ):
        begun = time.monotonic()
        it = Storm(ring, Path(folder), weather, languages, dice)
        try:
            it.blow(seconds)
            it.settle()
            took = time.monotonic() - begun
            it.account(hold.dropped)
        finally:
            for worker in it.workers:
                worker.process.kill()
        left = hold.inspect()
        for what in ("waiting", "filling", "offered", "held", "returned", "dead"):
            assert getattr(left, what) == 0, f"{what}:\n{left}"
        # Each schema that the workers added, once and whole.
        versions = [schema.version for schema in left.schemas]
        assert len(set(versions)) == len(versions), versions
        for schema in left.schemas:
            body = bytes([schema.version]) * (schema.version * 100)
            assert hold._schema(schema.id) == body, schema
        it.counts["schemas"] = len(versions)
        counts = ", ".join(f"{count} {what}" for what, count in it.counts.items())
        print(f"{' '.join(weather)}: {took:.1f} s, {counts}; nothing is left in the ring", flush=True)
        return it.counts


def forecast(count, asked, dice):
    """So many storms: each mode in turn, and each time with what it, and the others, had least of."""
    modes = [asked.mode] if asked.mode else MODES
    deliveries = [asked.delivery] if asked.delivery else ("manual", "auto")
    ways = [{"yes": "drop", "no": "wait"}[asked.drop]] if asked.drop else ("drop", "wait")
    every = [
        Weather(*of)
        for of in itertools.product(modes, deliveries, ways)
        # One producer and one consumer can't drop.
        if of[0] != "spsc" or of[2] == "wait"
    ]
    dice.shuffle(every)
    plan, had = [], collections.Counter()

    def parts(of):
        return of.mode, (of.mode, of.delivery), (of.mode, of.drop), of.delivery, of.drop

    while len(plan) < count:
        plan.append(min(every, key=lambda of: [had[part] for part in parts(of)]))
        had.update(parts(plan[-1]))
    return plan


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--mode", choices=MODES)
    parser.add_argument("--delivery", choices=["manual", "auto"])
    parser.add_argument("--drop", choices=["yes", "no"])
    parser.add_argument("--languages", default="rust,python,beam")
    parser.add_argument("--seed", type=int, default=None)
    asked = parser.parse_args()
    if asked.mode == "spsc" and asked.drop == "yes":
        parser.error("a ring of mode spsc can't drop the oldest frame")
    seed = asked.seed if asked.seed is not None else time.time_ns() % 1_000_000
    print(f"seed {seed}", flush=True)
    dice = random.Random(seed)
    plan = forecast(min(max(int(asked.seconds / SHORTEST), 1), 2 * len(MODES)), asked, dice)
    total = collections.Counter()
    for weather in plan:
        total += storm(asked.seconds / len(plan), weather, asked.languages.split(","), dice)
    expected = ["kills", "stops", "frames", "empty"]
    expected += ["delivered again"] if any(of.delivery == "manual" for of in plan) else []
    expected += ["dropped"] if any(of.drop == "drop" for of in plan) else []
    expected += ["schemas"] if "beam" != asked.languages else []
    for what in expected:
        assert total[what] > 0, f"storms without {what}: {dict(total)}"
    print(f"all: {', '.join(f'{count} {what}' for what, count in total.items())}", flush=True)


if __name__ == "__main__":
    main()
