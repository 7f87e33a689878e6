"""Where the package may be imported."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("first", ["import slipring", "pass"], ids=["after the main one", "before the main one"])
def test_sub_interpreters_are_refused(first):
    """M5: clearly, and to the harm of nobody else."""
    module = "_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters"
    script = f"""
import {module} as interpreters
{first}
other = interpreters.create()
interpreters.run_string(other, '''
try:
    import slipring
except ImportError as error:
    print(error, flush=True)
''')
interpreters.destroy(other)
import slipring
print(slipring.decode(slipring.encode([1])), flush=True)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    said, value = done.stdout.splitlines()
    assert said.startswith("slipring can't be imported in a sub-interpreter") and value == "[1]"
