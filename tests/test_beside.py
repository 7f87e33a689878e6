"""scripts/beside, by which the tests of two cores are run: it may lose neither an output nor a failure."""

import subprocess
import sys

import pytest
from conftest import ROOT


def beside(*commands):
    command = [sys.executable, ROOT / "scripts/beside", *commands]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_both_run_at_once_and_are_shown_in_order(tmp_path):
    """Each waits for the other to begin."""
    meet = "touch {0}/{1}; until [ -e {0}/{2} ]; do sleep 0.01; done; echo {1}; echo {1} too >&2"
    ran = beside(meet.format(tmp_path, "first", "second"), meet.format(tmp_path, "second", "first"))
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "first\nsecond\nsecond too\n", "first too\n")


@pytest.mark.parametrize(
    "commands, failed",
    [(["exit 3", "true"], "status 3 of: exit 3"), (["true", "exit 4"], "status 4 of: exit 4"), (["true", "kill -9 $$"], "status -9")],
    ids=["first", "second", "killed"],
)
def test_who_fails_is_named(commands, failed):
    """By the status; and the other one ends all the same."""
    ran = beside(*(f"echo ran; {command}" for command in commands))
    assert ran.returncode == 1 and ran.stdout == "ran\nran\n" and failed in ran.stderr.replace("echo ran; ", "")
