"""Lists rings and looks into them: ``python -m slipring``, ``python -m slipring camera``, ``python -m slipring --unlink camera``."""

from __future__ import annotations

import argparse
import sys

import slipring


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m slipring", description="The rings in shared memory, and what is in one of them.")
    parser.add_argument("name", nargs="?", help="a ring to look into; without one, all are listed")
    parser.add_argument("--unlink", action="store_true", help="take its name away; who has it open keeps it")
    given = parser.parse_args()
    if given.unlink and given.name is None:
        parser.error("--unlink needs the name of a ring")
    try:
        if given.unlink:
            slipring.unlink(given.name)
        elif given.name is None:
            for name in slipring.list():
                print(name)
        else:
            print(slipring.inspect(given.name))
    except slipring.Error as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
