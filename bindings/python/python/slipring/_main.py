"""Refuses sub-interpreters, before anything else is loaded.

What the package finds once (types, plans of classes) are objects of one interpreter, and must never reach another. The native module alone
could not say so in time: where a sub-interpreter comes first, the main one would be the one that is refused.
"""

from __future__ import annotations

import importlib


def refuse_others() -> None:
    for name in ("_interpreters", "_xxsubinterpreters"):
        try:
            interpreters = importlib.import_module(name)
        except ImportError:
            continue
        if interpreters.get_current() != interpreters.get_main():
            raise ImportError(
                "slipring can't be imported in a sub-interpreter: import it in the main one, and use threads there, or "
                "another process, which attaches to the same rings",
                name="slipring",
            )
        return


refuse_others()
