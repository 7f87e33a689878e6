"""M4: a Rust program that embeds Python passes values and arrays both ways."""

import os
import pathlib
import subprocess
import sys
import sysconfig

import slipring

ROOT = pathlib.Path(__file__).resolve().parents[1]


def test_a_rust_program_embeds_python(name):
    """`make embed-host` builds the program; it finds the packages of this environment."""
    program = ROOT / "target/debug/slipring-embed"
    library = sysconfig.get_config_var("LIBDIR")
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([*filter(None, sys.path)]),
        "PYTHONHOME": sys.base_prefix,
        "LD_LIBRARY_PATH": os.pathsep.join([library, os.environ.get("LD_LIBRARY_PATH", "")]),
    }
    run = subprocess.run(
        [program, name], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert (run.returncode, run.stdout) == (0, "ok\n"), run.stderr
    assert not [ring for ring in slipring.list() if ring.startswith(name)]
