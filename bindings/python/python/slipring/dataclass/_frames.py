"""Objects into frames and out of them."""

from __future__ import annotations

from typing import Any

from .._native import _dataclass


def to_frame(tx: Any, obj: object, cls: Any = None, /, **options: Any) -> None:
    """Sends an object through a producer, as a value: a map of its fields by their names outside.

    It goes by ``cls``, or by its own class. Decimals, UUIDs and dates stay what they are, and every language reads
    them as such. ``options`` are those of ``send``.
    """
    made = _dataclass.dump(obj, native=True) if cls is None else _dataclass.dump(cls, obj, native=True)
    tx.send(made, format="value", **options)


def from_frame(cls: Any, frame: Any, /, *, strict: bool = True, unknown: Any = None) -> Any:
    """The object of type ``cls`` that a frame holds, whoever sent it; errors as those of ``load``."""
    return _dataclass.load(cls, frame.value, strict=strict, unknown=unknown)
