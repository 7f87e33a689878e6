"""Which format an object goes in, and why."""

from __future__ import annotations

import dataclasses

from . import _native


@dataclasses.dataclass(frozen=True, slots=True)
class Candidate:
    """A format that could carry an object, or could not."""

    format: str
    #: Whether it holds all of the object.
    fits: bool
    reason: str
    #: Bytes that it takes, without the frame's header.
    size: int | None = None
    #: Seconds to write it, once, on this machine.
    seconds: float | None = None
    #: Whether it was written to find that out; else the seconds, and of pickles the size, are an estimate by what was sent
    #: before (``slipring.costs``).
    measured: bool = False

    def __str__(self) -> str:
        about = "" if self.measured else "about "
        cost = f"{about}{self.size} bytes, {self.seconds * 1e6:.1f} us" if self.seconds is not None else "-"
        return f"{self.format:8} {'yes' if self.fits else 'no':4} {cost:28} {self.reason}"


@dataclasses.dataclass(frozen=True, slots=True)
class Cost:
    """What frames of a format took to write: a mean of those that were timed."""

    format: str
    #: What they were made of: ``scalar``, ``text``, ``numbers``, ``records``, ``arrays``, ``bytes``, ``table``.
    kind: str
    #: Their mean length.
    size: int
    seconds: float


def costs() -> tuple[Cost, ...]:
    """What sending took in this process, by format, by what was sent, and by size: one send of 64 of each format is timed.

    Small ``bytes`` are not: the ring itself copies them.
    """
    return tuple(Cost(*row) for row in _native._costs())


def calibrate() -> tuple[Cost, ...]:
    """Times each format on objects of several kinds and sizes, in a fraction of a second, and answers ``costs()``.

    Estimates are better from then on; no choice depends on it.
    """
    samples: list[tuple[object, tuple[str, ...]]] = []
    both = ("value", "json", "pickle")
    for n in (1, 40, 1000):
        samples += [
            (n, both), ("text" * 50 * n, both), ([k / 7 for k in range(10 * n)], both),
            ([{"id": k, "name": f"n{k}", "at": k / 7} for k in range(n)], both),
            (bytes(100 * n), ("value",)), (bytearray(2000 * n), ("raw",)),
        ]  # fmt: skip
        try:
            import numpy
        except ImportError:
            continue
        samples.append((numpy.arange(20 * n), ("ndarray", "value", "pickle")))
    with _native.create(anonymous=True, capacity="64 MiB") as ring:
        tx, rx = ring.producer(), ring.consumer()
        _native._time_all(True)
        try:
            for obj, formats in samples:
                for format in formats * 16:
                    tx.send(obj, format=format)
                    rx.recv(0).release()
        finally:
            _native._time_all(False)
    return costs()


@dataclasses.dataclass(frozen=True, slots=True)
class Explanation:
    """What ``send`` would do with an object: ``format``, why, and the runners-up in their order."""

    format: str | None
    reason: str
    candidates: tuple[Candidate, ...]

    def __str__(self) -> str:
        return "\n".join(map(str, self.candidates))


def explain(obj: object) -> Explanation:
    """Tries ``obj`` in the formats that may hold it, and says which one ``send`` would take.

    What takes up to 64 KiB is written once in each, so that size and time are measured. Of what is larger nothing is copied:
    sizes are counted, times are estimated.
    """
    candidates = tuple(
        Candidate(format, fits, reason, *(cost or (None, None)))
        for format, fits, reason, cost in _native._explain(obj)
    )
    first = candidates[0]
    return Explanation(first.format if first.fits else None, first.reason, candidates)
