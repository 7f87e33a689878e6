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
    #: Bytes that it takes, without the frame's header; measured.
    size: int | None = None
    #: Seconds to write it, once, on this machine; measured.
    seconds: float | None = None

    def __str__(self) -> str:
        cost = f"{self.size} bytes, {self.seconds * 1e6:.1f} us" if self.seconds is not None else "-"
        return f"{self.format:8} {'yes' if self.fits else 'no':4} {cost:28} {self.reason}"


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

    Sizes and times are measured, by writing it once in each.
    """
    candidates = tuple(
        Candidate(format, fits, reason, *(cost or (None, None)))
        for format, fits, reason, cost in _native._explain(obj)
    )
    first = candidates[0]
    return Explanation(first.format if first.fits else None, first.reason, candidates)
