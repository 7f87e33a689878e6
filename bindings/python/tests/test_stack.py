"""Walks through what is deep, in threads that have little stack."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import dataclasses, sys, threading
import slipring
from slipring import dataclass, json

@dataclasses.dataclass
class Node:
    child: "Node | None"

def deep(wrap, inner, depth):
    for _ in range(depth):
        inner = wrap(inner)
    return inner

objects = deep(Node, None, 510)
lists, dicts = deep(lambda x: [x], 1, 1023), deep(lambda x: {"a": x}, 1, 1023)
plain, text = dataclass.dump(objects), dataclass.dump_to_bytes(objects)
class D(dict):
    pass

kinds = deep(lambda x: D(a=x), 1, 250)
short = deep(lambda x: [x], 1, 255)
calls = {
    "encode": lambda: slipring.encode(short),
    "encode kinds": lambda: slipring.encode(kinds),
    "decode": lambda: slipring.decode(b"\\x81" * 255 + b"\\x01"),
    "decode maps": lambda: slipring.decode(b"\\xa1\\x61a" * 255 + b"\\x01"),
    "decode sets": lambda: slipring.decode(b"\\xd9\\x01\\x02\\x81" * 120 + b"\\x01"),
    "kinds": lambda: json.dumps(kinds, sort_keys=True),
    "array": lambda: json.loads("[" * 1024 + "]" * 1024),
    "object": lambda: json.loads('{"a":' * 1023 + "1" + "}" * 1023),
    "broken": lambda: json.loads('{"a":' * 1023),
    "lists": lambda: json.dumps(lists),
    "dicts": lambda: json.dumps(dicts),
    "lines": lambda: json.dumps(dicts, indent=1, sort_keys=True),
    "dump": lambda: dataclass.dump(objects),
    "dump any": lambda: dataclass.dump(object, {"a": lists}),
    "dump_to_bytes": lambda: dataclass.dump_to_bytes(objects),
    "load": lambda: dataclass.load(Node, plain),
    "load_from_bytes": lambda: dataclass.load_from_bytes(Node, text),
    "load any": lambda: dataclass.load_from_bytes(object, "[" * 1000 + "]" * 1000),
}
call = calls[sys.argv[1]]

def run():
    global said
    try:
        call()
        said = "done"
    except (slipring.DecodeError, slipring.EncodeError) as error:
        said = str(error)

threading.stack_size(int(sys.argv[2]) << 10)
thread = threading.Thread(target=run)
thread.start()
thread.join()
print(said)
# The same elsewhere: nothing is remembered of another thread.
threading.stack_size(16 << 20)
thread = threading.Thread(target=run)
thread.start()
thread.join()
print(said)
"""

CALLS = ["array", "object", "broken", "lists", "dicts", "lines", "dump", "dump any", "dump_to_bytes", "load", "load_from_bytes"]
VALUES = ["encode", "encode kinds", "decode", "decode maps", "decode sets", "kinds"]


@pytest.mark.parametrize("call", [*CALLS, *VALUES, "load any"])
@pytest.mark.parametrize("kib", [64, 128, 256, 512])
def test_little_stack_is_an_error_and_no_death(call, kib):
    """R9, J1, D3: however deep what a peer sends is, and however little stack a thread has."""
    done = subprocess.run([sys.executable, "-c", CODE, call, str(kib)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    small, large = done.stdout.splitlines()
    assert "too deep for the stack" not in large
    assert small == large or "too deep for the stack" in small


def test_a_thread_as_usual_takes_all_depths():
    """R9: the limit of depth is reached before that of the stack."""
    for call in CALLS:
        done = subprocess.run([sys.executable, "-c", CODE, call, "8192"], capture_output=True, text=True, timeout=60)
        assert done.stdout.splitlines() == [done.stdout.splitlines()[1]] * 2
        assert "too deep for the stack" not in done.stdout
