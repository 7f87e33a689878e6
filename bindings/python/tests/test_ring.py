"""Making, opening and leaving rings, and everything that is refused."""

from __future__ import annotations

import builtins
import importlib.metadata
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import slipring


def test_a_ring_comes_and_goes(name):
    """P1: made under a name, seen by all, gone with the last who leaves."""
    with slipring.create(name) as ring:
        assert name in slipring.list()
        assert ring.path.endswith(name) and len(ring.mapped) > 64 << 20
        with slipring.open(name) as other:
            other.producer().send(b"x")
            assert ring.consumer().recv(1).value == b"x"
    assert name not in slipring.list()
    assert ring.closed and other.closed


def test_a_ring_in_a_file(tmp_path):
    """P1: path= for a ring with a file behind it, whether str or Path."""
    path = tmp_path / "ring"
    with slipring.create(path=path, capacity=1 << 20, keep=True) as ring:
        assert ring.path == str(path)
        ring.producer().send(b"x")
    with slipring.open(path=str(path)) as ring:
        assert ring.consumer().recv(0).value == b"x"
    assert path.exists()
    assert slipring.inspect(path=path).path == str(path)
    slipring.unlink(path=path)
    assert not path.exists()


@pytest.mark.parametrize(
    "capacity, expected",
    [("1 MiB", 1 << 20), ("1.5MiB", 3 << 19), ("2 MB", 2 << 20), (300_000, 1 << 19)],
)
def test_capacity_as_people_write_it(name, capacity, expected):
    """R8.5: whole chunks, rounded up."""
    with slipring.create(name, capacity=capacity, populate=True) as ring:
        inspection = ring.inspect()
        assert inspection.capacity == -(-expected // inspection.chunk) * inspection.chunk


@pytest.mark.parametrize("capacity", ["", "MiB", "5 miles", "1.2.3 GB", "-1", "1e9", "99999999 TiB"])
def test_capacity_that_is_none(name, capacity):
    """R9.1: says what it may be."""
    with pytest.raises(slipring.InvalidOption, match="option capacity is") as caught:
        slipring.create(name, capacity=capacity)
    assert isinstance(caught.value, ValueError)
    assert (caught.value.option, caught.value.value) == ("capacity", capacity)


def test_other_options_that_are_none(name):
    """R9.1."""
    with pytest.raises(slipring.InvalidOption) as caught:
        slipring.create(name, slots=1000)
    assert caught.value.option == "slots" and "power of two" in caught.value.expected
    for arguments in ({}, {"name": name, "path": "/tmp/x"}):
        with pytest.raises(TypeError, match="either a name"):
            slipring.create(**arguments)
    with pytest.raises(TypeError, match="64 MiB"):
        slipring.create(name, capacity=1.5)
    assert name not in slipring.list()


@pytest.mark.parametrize("bad", [-1, 0, 2**40, 2**64, 2**200, -(2**200)])
@pytest.mark.parametrize("option", ["slots", "cell", "capacity"])
def test_numbers_that_are_none(name, option, bad):
    """R9.1, R9.3: whatever the number, the error names the option and what it may be."""
    if (option, bad) in [("cell", 0), ("capacity", 2**40)]:
        return slipring.create(name, **{option: bad}).close()
    with pytest.raises(slipring.InvalidOption, match=f"option {option} is .* but must be") as caught:
        slipring.create(name, **{option: bad})
    assert isinstance(caught.value, ValueError) and caught.value.option == option
    with pytest.raises(TypeError, match=f"{option} must be .*, not float"):
        slipring.create(name, **{option: 1.5})


def test_waits_that_are_none(name):
    """R9.1, R9.3."""
    for bad in (-1, float("nan"), -(10**400)):
        with pytest.raises(ValueError, match="wait is .*: give seconds"):
            slipring.open(name, wait=bad)
    for bad in ("1", None, []):
        with pytest.raises(TypeError, match="wait is seconds as a number, or math.inf"):
            slipring.open(name, wait=bad)


@pytest.mark.parametrize("bad", ["", "/", ".."])
def test_paths_that_are_none(bad):
    """R9.1."""
    for call in (slipring.create, slipring.open, slipring.inspect):
        with pytest.raises(slipring.InvalidOption, match="option path is .* the path of a file"):
            call(path=bad)


def test_more_memory_than_there_is(name):
    """P9, R8.5: asked for all at once it is refused, with both numbers, and nothing is left."""
    with pytest.raises(slipring.OutOfMemory, match="are available") as caught:
        slipring.create(name, capacity="900 GiB", populate=True)
    error = caught.value
    assert isinstance(error, MemoryError) and error.path.endswith(name)
    assert error.needed > 900 << 30 and error.needed > error.available
    assert str(error.needed) in str(error) and str(error.available) in str(error)
    assert name not in slipring.list()


def test_a_disk_without_room(python, tmp_path):
    """P9: a file that can't be as long as the ring is OutOfMemory, and nothing is left."""
    process = python(
        """
        import resource, slipring, sys
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
        try:
            slipring.create(path=sys.argv[1])
        except slipring.OutOfMemory as error:
            assert isinstance(error, MemoryError) and error.path == sys.argv[1]
            print(error.needed, error.available, error)
        """,
        str(tmp_path / "ring"),
    )
    out, err = process.communicate(timeout=20)
    needed, available, message = out.split(" ", 2)
    assert err == "" and int(needed) > 64 << 20 and available == "None"
    assert message.startswith(f"no room for {needed} more bytes of {tmp_path / 'ring'}: free some")
    assert not any(tmp_path.iterdir())


def test_another_user_s_ring(ring, name):
    """P9: refused with both users."""
    if os.geteuid() == 0:
        os.chown(ring.path, 65534, -1)
        path, owner = ring.path, 65534
    else:
        path, owner = "/etc/passwd", 0
    for call in (slipring.open, slipring.inspect, slipring.unlink):
        with pytest.raises(slipring.NotOwner, match="use a ring of your own") as caught:
            call(path=path)
        error = caught.value
        assert isinstance(error, PermissionError)
        assert (error.path, error.owner, error.user) == (path, owner, os.geteuid())
    os.chown(ring.path, os.geteuid(), -1)


def test_a_damaged_word_is_told(ring, ends):
    """P9, R9.2: which word, and what it holds."""
    tx, rx = ends
    tx.send(b"x")
    with open(ring.path, "r+b") as file:
        file.seek(ring.inspect().offsets["slots"])
        file.write((1 << 63 | 5).to_bytes(8, "little"))
    with pytest.raises(slipring.Corrupt, match="slot 0 of the segment holds 0x8000000000000005") as caught:
        rx.recv(0)
    assert (caught.value.what, caught.value.index, caught.value.found) == ("slot", 0, 1 << 63 | 5)


@pytest.mark.parametrize("bad", ["", ".", "..", "../a", "a/b", "/etc/x", "a\0b", "ü", "n" * 201])
def test_names_that_are_none(bad):
    """P10: a name can't leave its directory."""
    for call in (slipring.create, slipring.open, slipring.unlink, slipring.inspect):
        with pytest.raises(slipring.InvalidName) as caught:
            call(bad)
        assert isinstance(caught.value, ValueError) and caught.value.name == bad


def test_no_such_ring(ring, name):
    """R9.1: the error lists the rings that there are, and is a FileNotFoundError."""
    for call in (slipring.open, slipring.unlink, slipring.inspect):
        with pytest.raises(FileNotFoundError, match=name) as caught:
            call("no-such-ring")
        assert isinstance(caught.value, slipring.NotFound)
        assert name in caught.value.rings and caught.value.path.endswith("no-such-ring")
    with pytest.raises(slipring.NotFound):
        slipring.open("no-such-ring", wait=0.05)


def test_a_name_that_is_taken(ring, name):
    """R9.1."""
    with pytest.raises(FileExistsError, match="open it, or unlink it") as caught:
        slipring.create(name)
    assert isinstance(caught.value, slipring.SegmentError)


def test_a_foreign_file_is_refused(tmp_path):
    """P9, R14.5: the first field that is wrong, and where."""
    path = tmp_path / "foreign"
    path.write_bytes(b"not a ring" * 1000)
    path.chmod(0o600)
    with pytest.raises(slipring.Foreign) as caught:
        slipring.open(path=path)
    assert (caught.value.field, caught.value.offset) == ("magic", 0)
    assert f"{path}: it is not a slipring segment: give the path of a ring" in str(caught.value)
    path.write_bytes(b"short")
    with pytest.raises(slipring.Foreign, match="cut short"):
        slipring.inspect(path=path)


@pytest.mark.parametrize(
    "field, offset, length, hint",
    [
        ("major", 8, 2, "damaged"),
        ("total_len", 16, 8, "damaged"),
        ("features", 76, 4, "damaged"),
        ("capacity", 88, 8, "damaged"),
        ("slots_at", 136, 8, "damaged"),
        ("checksum", 24, 16, "a field of the header changed"),
    ],
)
def test_a_damaged_header_is_refused(ring, name, field, offset, length, hint):
    """P9: by the name of the field that was flipped; where none can be told, that one changed."""
    with open(ring.path, "r+b") as file:
        file.seek(offset)
        flipped = bytes(byte ^ 0xFF for byte in file.read(length))
        file.seek(offset)
        file.write(flipped)
    for call in (slipring.open, slipring.inspect):
        with pytest.raises(slipring.Foreign, match="create it anew") as caught:
            call(name)
        assert (caught.value.field, caught.value.path) == (field, ring.path)
        assert hint in caught.value.hint


def test_a_second_end_is_refused(ring, ends, name):
    """P2: it names the first one's process, from this and from another handle."""
    with slipring.open(name) as other:
        for role, call in (("producer", other.producer), ("consumer", ring.consumer)):
            with pytest.raises(slipring.RoleTaken, match=str(os.getpid())) as caught:
                call()
            assert (caught.value.role, caught.value.pid) == (role, os.getpid())
        ends[0].close()
        other.producer().send(b"new")
    assert ends[1].recv(0).value == b"new"


def test_full_and_too_large(ring, ends):
    """P7: as was asked, at once or after a while; what can never fit says so at once."""
    tx, rx = ends
    for body in (b"x" * 64, b"x" * 300_000):
        sent = 0
        with pytest.raises(slipring.Full) as full:
            for _ in range(1000):
                tx.send(body, timeout=0)
                sent += 1
        assert 0 < sent <= 64
        with pytest.raises(TimeoutError) as late:
            tx.send(body, timeout=0.01)
        assert isinstance(late.value, slipring.Timeout)
        what = "all 64 slots hold" if len(body) == 64 else "the pool of 8388608 bytes has no room"
        for error in (full.value, late.value):
            assert f"{ring.path} is full: {what}" in str(error)
            assert f"its consumer is this process, {os.getpid()};" in str(error)
            assert error.inspection.waiting == sent
        with pytest.raises(slipring.Full), tx.reserve(300_000, timeout=0):
            pass
        assert len(rx.recv_many(1000)) == sent
    with pytest.raises(slipring.TooLarge) as caught:
        tx.send(bytes(9 << 20))
    assert (caught.value.len, caught.value.limit) == (9 << 20, ring.max_body)


def test_a_timeout_says_whose_turn_it_is(python, ring, name):
    """R9.1: which ring, and whether the other side is there and lives."""
    rx = ring.consumer()
    with pytest.raises(slipring.Timeout, match=f"no frame came to {ring.path} in time: it has no producer"):
        rx.recv(0.01)
    with pytest.raises(slipring.Empty, match=f"no frame waits in {ring.path}"):
        rx.recv(0)
    process = python(
        """
        import slipring, sys
        tx = slipring.open(sys.argv[1]).producer()
        print("there", flush=True)
        sys.stdin.read()
        """,
        name,
    )
    assert process.stdout.readline() == "there\n"
    with pytest.raises(slipring.Timeout, match=f"its producer is process {process.pid}, alive"):
        rx.recv_many(5, 0.01)
    process.kill()
    process.wait(10)
    with pytest.raises(slipring.Timeout) as late:
        rx.recv(0.2)
    # As the README advises: the dead one is shown as dead, or is gone already.
    assert not any(p.produces and p.alive for p in late.value.inspection.processes)
    rx.close()
    tx = ring.producer()
    with pytest.raises(slipring.Full, match="all 64 slots hold frames that wait; it has no consumer"):
        for _ in range(65):
            tx.send(b"", timeout=0)


def test_handles_show_their_state(ring, name):
    """R13.4: what people see of them while they look for a fault."""
    tx, rx = ring.producer(), ring.consumer()
    assert repr(rx) == f"<slipring.Consumer of {ring.path}, no frame waits>"
    tx.send(np.arange(3))
    assert repr(ring) == f"<slipring.Ring at {ring.path}, 1 of 64 slots taken>"
    assert repr(tx) == f"<slipring.Producer of {ring.path}, 1 sent>"
    assert repr(rx) == f"<slipring.Consumer of {ring.path}, ready>"
    with rx.recv(0) as frame:
        assert repr(frame).startswith("<slipring.Frame 0 ndarray, ") and "released" not in repr(frame)
    assert repr(frame).endswith("bytes, released>")
    thread = threading.Thread(target=lambda: rx.recv(10))
    thread.start()
    time.sleep(0.1)
    assert repr(rx) == f"<slipring.Consumer of {ring.path}, in use by a thread>"
    tx.send(b"")
    thread.join(10)
    ring.finish()
    assert repr(ring).endswith("0 of 64 slots taken, finished>")
    ring.close()
    assert repr(ring) == f"<slipring.Ring at {ring.path}, closed>"
    assert (repr(tx), repr(rx)) == ("<slipring.Producer, closed>", "<slipring.Consumer, closed>")


def test_the_package():
    """Its version is the distribution's; a star import leaves Python's own names alone."""
    assert slipring.__version__ == importlib.metadata.version("slipring")
    space: dict = {}
    exec("from slipring import *", space)
    assert space["create"] is slipring.create
    assert not set(slipring.__all__) & set(dir(builtins))


def test_timeouts_that_are_none(ends):
    """R9.1."""
    tx, rx = ends
    for bad in (-1, float("nan")):
        with pytest.raises(ValueError, match="timeout"):
            rx.recv(bad)
    with pytest.raises(ValueError, match="timeout is -inf"):
        rx.recv(-(10**400))
    with pytest.raises(TypeError, match="timeout is seconds as a number, or None"):
        tx.send(b"", timeout="1")
    tx.send(b"", timeout=float("inf"))
    assert rx.recv(1e300).value == b""
    tx.send(b"", timeout=10**400)
    assert rx.recv(10**400).value == b""
    with pytest.raises(slipring.Empty):
        rx.recv(0)


def test_a_finished_ring_is_drained(ring, ends):
    """P7: producers stop at once, consumers when all was taken; iteration ends."""
    tx, rx = ends
    tx.send_many([b"1", b"2", b"3"])
    ring.finish()
    assert ring.finished and ring.inspect().finished
    with pytest.raises(slipring.Closed):
        tx.send(b"4")
    assert [bytes(frame.value) for frame in rx] == [b"1", b"2", b"3"]
    for call in (rx.recv, rx.try_recv, lambda: rx.recv_many(3)):
        with pytest.raises(slipring.Closed):
            call()


def test_closed_handles_say_so(name):
    """R9.1: each handle names itself; closing twice is nothing."""
    ring = slipring.create(name)
    tx, rx = ring.producer(), ring.consumer()
    reservation = tx.reserve(4)
    ring.close()
    ring.close()
    tx.close()
    for call, what in [
        (lambda: tx.send(b""), "producer"),
        (lambda: tx.send_many([b""]), "producer"),
        (reservation.__enter__, "producer"),
        (lambda: rx.recv(0), "consumer"),
        (rx.try_recv, "consumer"),
        (lambda: next(rx), "consumer"),
        (ring.producer, "ring"),
        (ring.inspect, "ring"),
        (ring.finish, "ring"),
    ]:
        with pytest.raises(slipring.Detached, match=f"this {what} was closed"):
            call()


def test_a_reservation_outlives_its_ring(name):
    """P4: its memory stays; that it can't be sent is an error, and the name goes with it."""
    with slipring.create(name) as ring:
        reservation = ring.producer().reserve((4,), "u1")
        array = reservation.__enter__()
    array[:] = 5
    assert array.tolist() == [5] * 4
    with pytest.raises(slipring.Detached, match="producer was closed"):
        reservation.__exit__(None, None, None)
    del array, reservation
    assert name not in slipring.list()


def test_inspect_tells_what_is_there(ring, ends, name):
    """R13.4: from outside and from inside, for programs and for people."""
    tx, rx = ends
    tx.send_many([b"x" * 1000] * 3)
    frame = rx.recv(0)
    for seen in (slipring.inspect(name), ring.inspect()):
        assert (seen.waiting, seen.offered, seen.held) == (2, 2, 1)
        assert (seen.slots, seen.cell, seen.capacity) == (64, 192, 8 << 20)
        assert seen.tail - seen.head == 2
        assert seen.free_chunks + seen.slab_chunks + seen.run_chunks == seen.capacity // seen.chunk
        (process,) = seen.processes
        assert (process.pid, process.alive) == (os.getpid(), True)
        assert process.produces and process.consumes
        assert f"pid {os.getpid()}" in str(seen) and "waiting 2" in str(seen)
        assert seen.version == (1, 1) and "format    1.1" in str(seen)
        assert (seen.creator_pid, seen.creator_uid) == (os.getpid(), os.geteuid())
        assert seen.id in str(seen) and len(seen.id) == len(seen.boot_id) == 32 and not seen.keep
        assert abs(seen.created_ns - time.time_ns()) < 60e9
        assert seen.offsets["participants"] == 4096 and len(seen.offsets) == 11
    assert frame.sequence == 0


def test_a_ring_may_take_another_ones_name(name):
    """P9, R9.1: who replaces a ring has one of its own; the old one is there for who has it open."""
    with slipring.create(name) as old:
        old.producer().send(1)
        with pytest.raises(slipring.Exists):
            slipring.create(name)
        with slipring.create(name, replace=True) as new:
            assert new.inspect().id != old.inspect().id and slipring.inspect(name).id == new.inspect().id
            assert old.consumer().recv(0).value == 1
        with slipring.create(name, replace=True, schemas=7) as nothing_there:
            assert nothing_there.inspect().schema_limit == 7
    with pytest.raises(ValueError, match="schemas"):
        slipring.create(name, schemas=4097)


def test_rings_are_shown_to_people(name):
    """R7.1: listed, looked into and unlinked by a command; what goes wrong is said without a traceback."""

    def run(*arguments):
        return subprocess.run([sys.executable, "-m", "slipring", *arguments], capture_output=True, text=True, timeout=60)

    with slipring.create(name) as ring:
        assert name in run().stdout.split()
        assert run(name).stdout.strip().splitlines()[0] == str(ring.inspect()).strip().splitlines()[0]
        assert run("--unlink", name).returncode == 0 and name not in slipring.list()
    missing = run(name)
    assert missing.returncode == 1 and "no ring at" in missing.stderr and "Traceback" not in missing.stderr
