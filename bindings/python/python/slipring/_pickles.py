"""What is said of pickles: of those that are sent though nobody asked for one, and of those that nobody loads."""

from __future__ import annotations

import itertools
import logging
import pickletools
import warnings

from .errors import PickleWarning

_log = logging.getLogger("slipring")

#: What has been said already: of each type and reason once.
_told: set[tuple[str, str]] = set()
KEPT = 1024

#: Operations of a pickle that are looked at, and names that are told.
LOOKS, NAMES = 10_000, 3


def chosen(kind: str, what: str, path: str, hint: str, warns: bool) -> None:
    """An object goes as a pickle, since it has no other form."""
    _log.debug("sent as a pickle: %s, at %s", what, path)
    if not warns or (kind, what) in _told:
        return
    message = f"sent as a pickle, which is read only by who trusts the sender (pickle=True): {what}, at {path}; {hint}"
    warnings.warn(message, PickleWarning, stacklevel=2)
    if len(_told) >= KEPT:
        _told.clear()
    # Where the warning is an exception, it is one each time.
    _told.add((kind, what))


def named(stream: bytes) -> str:
    """The first classes and functions that a pickle names, found without running any of it."""
    names: dict[str, None] = {}
    pushed: list[str | None] = [None, None]
    memo: list[str | None] = []
    try:
        for operation, argument, _ in itertools.islice(pickletools.genops(stream), LOOKS):
            kind = operation.name
            if kind == "MEMOIZE":
                memo.append(pushed[-1])
            elif kind in ("BINGET", "LONG_BINGET"):
                pushed = [pushed[-1], memo[argument]]
            elif kind in ("SHORT_BINUNICODE", "BINUNICODE"):
                pushed = [pushed[-1], argument]
            elif kind == "STACK_GLOBAL":
                module, name = pushed
                pushed = [None, None]
                # A hostile one may name anything.
                plain = f"{module}.{name}"
                if module not in (None, "builtins", "copyreg") and len(plain) <= 120 and plain.replace(".", "").isidentifier():
                    names[plain] = None
                    if len(names) > NAMES:
                        break
            elif kind not in ("PROTO", "FRAME"):
                pushed = [pushed[-1], None]
    except (ValueError, IndexError):
        # Cut off, or none: what was found stands.
        pass
    told = list(names)
    return ", ".join(told[:NAMES]) + (" and others" if len(told) > NAMES else "")
