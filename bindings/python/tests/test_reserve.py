"""Writing in place: reservations, and what must not outlive them."""

from __future__ import annotations

import numpy as np
import pytest

import slipring


@pytest.mark.parametrize("order", "CF")
def test_an_array_is_written_in_the_segment(ring, ends, order):
    """P4, R14.1: no copy is made; it is sent on leaving."""
    tx, rx = ends
    with tx.reserve((3, 4), ">i2", order=order, meta={"k": [1, None]}) as array:
        assert array.ctypes.data in ring.mapped
        assert array.flags.c_contiguous == (order == "C")
        array[:] = np.arange(12).reshape(3, 4)
        assert rx.try_recv() is None
    frame = rx.recv(0)
    assert frame.value.dtype == ">i2" and frame.value.flags.f_contiguous == (order == "F")
    assert frame.value.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    assert frame.meta == {"k": [1, None]}


def test_afterwards_the_array_reaches_nothing(ends):
    """P5: the name that is left stands for an empty array that stays read-only."""
    tx, rx = ends
    with tx.reserve((2, 2), "f8") as array:
        array[:] = 1
    with tx.reserve((), "f8") as scalar:
        scalar[()] = 7
    assert array.size == 0 and scalar.shape == ()
    for left in (array, scalar):
        with pytest.raises(ValueError):
            left[...] = 5
        with pytest.raises(ValueError, match="WRITEABLE"):
            left.flags.writeable = True
    assert rx.recv(0).value.tolist() == [[1, 1], [1, 1]]
    assert rx.recv(0).value == 7


def test_bytes_are_written_in_the_segment(ends):
    """P4: a number of bytes gives a memoryview, which is released afterwards."""
    tx, rx = ends
    with tx.reserve(5) as view:
        view[:] = b"hello"
    with pytest.raises(ValueError, match="released"):
        view[0]
    with tx.reserve(0):
        pass
    assert bytes(rx.recv(0).value) == b"hello"
    assert bytes(rx.recv(0).value) == b""


@pytest.mark.parametrize(
    "derive",
    [
        lambda a: a[1:],
        lambda a: a.T,
        lambda a: a.reshape(-1)[::2],
        memoryview,
        lambda a: [a, a],
        lambda a: np.frombuffer(a, "u1"),
    ],
    ids=["slice", "transpose", "nested view", "memoryview", "two names", "frombuffer"],
)
def test_an_array_that_escapes_is_not_sent(ring, ends, derive):
    """P4, P5: what still refers to the memory keeps it, and nobody reads what it writes."""
    tx, rx = ends
    with pytest.raises(BufferError, match="nothing was sent"):
        with tx.reserve((4, 4), "u1") as array:
            array[:] = 3
            escaped = derive(array)
    assert rx.try_recv() is None
    assert ring.inspect().filling == 1
    tx.send(np.full((4, 4), 9, "u1"))
    assert np.asarray(escaped).max() == 3, "its memory is given to no other frame"
    del escaped, array
    assert ring.inspect().filling == 0
    assert rx.recv(0).value.max() == 9


@pytest.mark.parametrize(
    "derive",
    [lambda m: m[1:3], memoryview, lambda m: np.frombuffer(m, "u1")],
    ids=["slice", "memoryview", "frombuffer"],
)
def test_a_memoryview_that_escapes_is_not_sent(ring, ends, derive):
    """P4, P5: as for arrays."""
    tx, rx = ends
    with pytest.raises(BufferError, match="nothing was sent"):
        with tx.reserve(8) as view:
            escaped = derive(view)
    assert rx.try_recv() is None and ring.inspect().filling == 1
    del escaped, view
    assert ring.inspect().filling == 0


def test_an_exception_drops_the_frame(ring, ends):
    """P4: nothing is sent, the space is free again, and the exception is the one that was raised."""
    tx, rx = ends
    for arguments in ((4,), ((2, 2), "f4")):
        with pytest.raises(ZeroDivisionError):
            with tx.reserve(*arguments) as place:
                place[0] = 1 // 0
        del place
    assert rx.try_recv() is None
    assert ring.inspect().filling == 0


def test_reservations_may_be_many_and_end_in_any_order(ends):
    """P4: sent in the order of leaving."""
    tx, rx = ends
    first, second = tx.reserve(1), tx.reserve(1)
    with first as a:
        with second as b:
            a[0], b[0] = 1, 2
    assert [rx.recv(0).value[0] for _ in range(2)] == [2, 1]


def test_what_can_not_be_reserved(ends):
    """R9.1: each refusal says why."""
    tx, _ = ends
    with pytest.raises(TypeError, match="number of bytes"):
        tx.reserve((2, 2))
    with pytest.raises(ValueError, match="option shape is -1, but must be of whole numbers"):
        tx.reserve(-1)
    with pytest.raises(ValueError, match="order"):
        tx.reserve((2,), "f4", order="K")
    with pytest.raises(slipring.EncodeError, match="overflows"):
        tx.reserve((1 << 62, 8), "f4")
    with pytest.raises(slipring.EncodeError, match="dimensions"):
        tx.reserve((1,) * 65, "f4")
    with pytest.raises(slipring.EncodeError, match="pickle"):
        tx.reserve((1,), "O")
    with pytest.raises(slipring.TooLarge) as caught:
        with tx.reserve(1 << 40):
            pass
    assert caught.value.len == 1 << 40 and caught.value.limit < 8 << 20
    reservation = tx.reserve(1)
    with reservation, pytest.raises(RuntimeError, match="entered already"):
        reservation.__enter__()
