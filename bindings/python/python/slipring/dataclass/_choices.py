"""Literals and Enums: what may stand outside, and what it is inside."""

from __future__ import annotations

import base64
import enum
import typing
from typing import Any

from ._options import Meta


def _choices(outers: Any) -> str:
    return f"Must be one of: {', '.join(str(outer) for outer in outers)}."


def literal(values: tuple[Any, ...]) -> tuple[Any, ...]:
    flat: list[Any] = []
    for value in values:
        if typing.get_origin(value) is typing.Literal:
            flat.extend(typing.get_args(value))
        else:
            flat.append(value)
    pairs = []
    for value in flat:
        outer = value.value if isinstance(value, enum.Enum) else value
        if isinstance(outer, bytes):
            outer = base64.b64encode(outer).decode()
        if not (outer is None or type(outer) in (str, int, bool)):
            raise TypeError(f"Literal[{value!r}] has no form outside: give str, int, bool or None")
        pairs.append((value, outer))
    return "choice", None, tuple(pairs), _choices(outer for _, outer in pairs), False


def enumeration(cls: type[enum.Enum], meta: Meta) -> tuple[Any, ...]:
    if meta.by == "name":
        pairs = tuple((member, name) for name, member in cls.__members__.items())
        return "choice", cls, pairs, _choices(cls.__members__), False
    pairs = []
    for member in cls:
        outer = member.value
        if type(outer) not in (str, int, float, bool, type(None)):
            if isinstance(outer, str):
                outer = str.__str__(outer)
            elif isinstance(outer, int) and not isinstance(outer, bool):
                outer = int(outer)
            else:
                raise TypeError(
                    f"{cls.__qualname__}.{member.name} has a value of type {type(outer).__name__}: "
                    'give meta(by="name"), or values of str, int, float or bool'
                )
        pairs.append((member, outer))
    # Flags have members that nobody has named, and a class may find more by itself.
    asks = issubclass(cls, enum.Flag) or getattr(cls._missing_, "__func__", None) is not enum.Enum._missing_.__func__  # type: ignore[attr-defined]
    return "choice", cls, tuple(pairs), _choices(outer for _, outer in pairs), asks
