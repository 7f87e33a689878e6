"""Arrays of other packages, by DLPack and NumPy's array interface: sent, and received frames as such."""

from __future__ import annotations

import numpy as np
import pytest

import slipring


class Tensor:
    """A tensor of a package that is not there: it shows itself by DLPack, and has no buffer."""

    def __init__(self, array, device=(1, 0)):
        self.array, self.device = array, device

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.device


class Picture:
    """An image that describes its memory, as Pillow's do."""

    def __init__(self, array):
        self.array = array

    @property
    def __array_interface__(self):
        return self.array.__array_interface__


ARRAYS = [
    np.arange(6, dtype="f4").reshape(2, 3),
    np.asfortranarray(np.arange(6, dtype="i8").reshape(2, 3)),
    np.arange(24, dtype="u2").reshape(2, 3, 4)[:, ::2],
    np.array(True),
    np.zeros((0, 3), "c16"),
]


@pytest.mark.parametrize("kind", [Tensor, Picture])
@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype}{array.shape}")
def test_others_arrays_are_sent(ends, kind, array):
    """R4.1, P4: with shape, dtype and order, as if they were NumPy's."""
    tx, rx = ends
    tx.send(kind(array))
    frame = rx.recv(0)
    assert frame.format == "ndarray"
    got = frame.value
    assert (got.dtype, got.shape, got.tobytes()) == (array.dtype, array.shape, array.tobytes())
    # Without elements every order is one.
    assert array.size == 0 or got.flags.f_contiguous == array.flags.f_contiguous


def test_structs_show_themselves_too(ends):
    """R4.3: the array interface has them, with a description of their fields."""
    tx, rx = ends
    array = np.array([(1, 2.5)], [("a", "u1"), ("b", ">f8")])
    tx.send(Picture(array))
    assert rx.recv(0).value.dtype == array.dtype


@pytest.mark.parametrize("kind", [Tensor, Picture])
def test_others_arrays_stand_in_values(ends, kind):
    """R3.5, R4.1: among other objects, small ones in place and large ones out of line."""
    tx, rx = ends
    for array in (np.arange(3, dtype=">i2"), np.arange(600.0).reshape(20, 30)[:, ::2]):
        # DLPack knows the machine's byte order only.
        array = array if kind is Picture else array.astype(array.dtype.newbyteorder("="))
        tx.send({"shown": kind(array), "n": 1})
        frame = rx.recv(0)
        got = frame.value["shown"]
        assert frame.format == "value"
        assert (got.dtype, got.shape, got.tobytes()) == (array.dtype, array.shape, array.tobytes())


def test_a_frame_is_sent_on_as_what_it_is(ends):
    """P4: an array as an array, bytes as bytes."""
    tx, rx = ends
    sent = np.asfortranarray(np.zeros((2, 3), "M8[s]"))
    tx.send(sent)
    tx.send(rx.recv(0))
    got = rx.recv(0).value
    assert (got.dtype, got.flags.f_contiguous) == (sent.dtype, True)
    tx.send(b"bytes")
    tx.send(rx.recv(0))
    frame = rx.recv(0)
    assert (frame.format, bytes(frame.value)) == ("raw", b"bytes")


class Hostile(Tensor):
    def __init__(self, answer, device=(1, 0)):
        super().__init__(None, device)
        self.answer = answer

    def __dlpack__(self, **options):
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


class HostilePicture:
    def __init__(self, shown):
        self.__array_interface__ = shown


@pytest.mark.parametrize(
    "hostile",
    [
        Hostile(None),
        Hostile(b"capsule"),
        Hostile(ValueError("no")),
        Hostile(BufferError("requires grad")),
        Hostile(None, device=None),
        Hostile(None, device=(1,)),
        Hostile(None, device=("cpu", 0)),
        Tensor(np.array([{}])),
        Tensor(np.zeros(2, ">f4")),
        HostilePicture(5),
        HostilePicture({}),
        HostilePicture({"version": 3, "shape": (-1,), "typestr": "<f4", "data": b"1234"}),
        HostilePicture({"version": 3, "shape": (1,), "typestr": "<q3", "data": b"1234"}),
        HostilePicture(Picture(np.array([{}])).__array_interface__),
    ],
    ids=lambda of: f"{type(of).__name__} {getattr(of, 'answer', '')}",
)
def test_what_shows_itself_wrongly_is_refused(ends, hostile):
    """R6.5, R9.1, P9: whatever it answers, the error is ours, and has the cause."""
    tx, rx = ends
    with pytest.raises(slipring.EncodeError) as caught:
        tx.send(hostile)
    assert caught.value.path == "$" and caught.value.hint in str(caught.value)
    assert rx.try_recv() is None


def test_the_cause_is_told(ends):
    """R9.1: why the other package has refused; and what is no error goes through."""
    tx, _ = ends
    with pytest.raises(slipring.EncodeError, match="requires grad") as caught:
        tx.send(Hostile(BufferError("requires grad")))
    assert isinstance(caught.value.__cause__, BufferError)
    with pytest.raises(KeyboardInterrupt):
        tx.send(Hostile(KeyboardInterrupt()))


def test_other_devices_are_refused(ends):
    """R9.1: memory that is not the CPU's, before anything asks for a capsule."""
    tx, _ = ends
    with pytest.raises(slipring.EncodeError, match="type 2 can't be sent.*copy it to the CPU"):
        tx.send(Hostile(AssertionError("not to be called"), device=(2, 0)))


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype}{array.shape}")
def test_a_frame_is_a_tensor(ring, ends, array):
    """P5, R4.2: over the segment, read-only, and alive after the frame's release."""
    tx, rx = ends
    tx.send(array)
    frame = rx.recv(0)
    assert frame.__dlpack_device__() == (1, 0)
    tensor = np.from_dlpack(frame)
    assert (tensor.dtype, tensor.shape, tensor.tobytes()) == (array.dtype, array.shape, array.tobytes())
    assert array.size == 0 or tensor.__array_interface__["data"] == (frame.address, True)
    assert not tensor.flags.writeable
    frame.release()
    del frame
    assert ring.inspect().held == 1
    assert tensor.tobytes() == array.tobytes()
    del tensor
    assert ring.inspect().held == 0


def test_a_capsule_says_that_nobody_may_write(ends):
    """P5: by version 1.0 of DLPack. An older consumer can't be told, and gets none."""
    tx, rx = ends
    tx.send(np.arange(3))
    frame = rx.recv(0)
    assert "dltensor_versioned" in repr(frame.__dlpack__(max_version=(1, 0)))
    for options in ({}, {"max_version": None}, {"max_version": (0, 8)}):
        with pytest.raises(BufferError, match="readonly"):
            frame.__dlpack__(**options)
    copy = np.from_dlpack(frame, copy=True)
    assert copy.flags.writeable and copy.__array_interface__["data"][0] != frame.address


def test_raw_bytes_are_a_tensor_of_bytes(ends):
    """P5: as they are an array of bytes."""
    tx, rx = ends
    tx.send(b"bytes")
    frame = rx.recv(0)
    tensor = np.from_dlpack(frame)
    assert (tensor.dtype, tensor.tobytes()) == (np.uint8, b"bytes")
    assert tensor.__array_interface__["data"] == (frame.address, True)


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype}{array.shape}")
def test_a_frame_describes_its_memory(ring, ends, array):
    """P5, R4.2: whoever reads the description keeps the memory, not the frame."""
    tx, rx = ends
    tx.send(array)
    frame = rx.recv(0)
    address = frame.address
    shown = frame.__array_interface__
    frame.release()
    del frame
    assert ring.inspect().held == 1
    assert (shown["shape"], shown["typestr"]) == (array.shape, array.dtype.str)
    got = np.asarray(HostilePicture(shown))
    assert (got.dtype, got.shape, got.tobytes()) == (array.dtype, array.shape, array.tobytes())
    assert array.size == 0 or got.__array_interface__["data"] == (address, True)
    del got, shown
    assert ring.inspect().held == 0


def test_what_is_no_number_has_neither(ends):
    """R9.1: DLPack knows no such dtype; NumPy's interface would lose a part of it."""
    tx, rx = ends
    for array in (np.zeros(2, "M8[s]"), np.zeros(2, [("a", "i4")]), np.zeros(2, "U3")):
        tx.send(array)
        frame = rx.recv(0)
        with pytest.raises(BufferError, match="frame.value"):
            frame.__dlpack__(max_version=(1, 0))
        assert not hasattr(frame, "__array_interface__")
        assert np.asarray(frame).dtype == array.dtype
    tx.send(np.zeros(2, ">f8"))
    with pytest.raises(BufferError, match="byte order"):
        np.from_dlpack(rx.recv(0))


def test_a_released_frame_shows_nothing(ends):
    """P5: as of its other views."""
    tx, rx = ends
    tx.send(np.arange(3))
    frame = rx.recv(0)
    frame.release()
    with pytest.raises(slipring.Error, match="released"):
        frame.__dlpack__(max_version=(1, 0))
    with pytest.raises(slipring.Error, match="released"):
        frame.__array_interface__


def test_numpy_is_imported_for_others_arrays_alone(name, python):
    """P4: objects that show no array are sent, or refused, without it; and no other package is imported."""
    with slipring.create(name, capacity="1 MiB") as ring:
        ring.consumer()
        process = python(
            """
            import slipring, sys
            tx = slipring.open(sys.argv[1]).producer(pickle=True)
            tx.send(bytearray(b"x"))
            try:
                tx.send(object())
            except slipring.EncodeError:
                pass
            class Tensor:
                def __dlpack_device__(self): return (2, 0)
                def __dlpack__(self): raise AssertionError
            try:
                tx.send(Tensor())
            except slipring.EncodeError as error:
                assert "device" in str(error)
            assert not {"numpy", "torch"} & set(sys.modules)
            """,
            name,
        )
        _, errors = process.communicate(timeout=30)
        assert (process.returncode, errors) == (0, "")
