"""A short storm; `make storm` is a longer one."""

import os
import random
import subprocess
import sys
from pathlib import Path

STORM = Path(__file__).parent / "storm" / "storm.py"


def test_a_short_storm():
    """P2, P5, P6: every frame is accounted for, whoever is killed or stopped."""
    seconds = os.environ.get("STORM_SECONDS", "16")
    command = [sys.executable, STORM, "--seconds", seconds, "--seed", str(random.randrange(10**6))]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print(done.stdout)
    assert done.returncode == 0, done.stdout
