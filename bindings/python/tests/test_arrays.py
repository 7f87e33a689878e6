"""Arrays through a ring: dtype, byte order, memory order and shape."""

from __future__ import annotations

import gc
import hashlib
import io
import weakref

import numpy as np
import pytest

import slipring

DTYPES = "? i1 i2 i4 i8 u1 u2 u4 u8 f2 f4 f8 c8 c16".split()
SHAPES = [(), (0,), (1,), (7,), (0, 3), (3, 0, 2), (1, 1, 1), (3, 4), (2, 3, 5, 1, 2, 1, 3)]


def filled(shape, dtype):
    """Random bits, so that NaN payloads and negative zeros are among them; bools stay 0 and 1."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    bits = np.random.default_rng(size).integers(0, 2 if dtype == "?" else 256, size, "u1")
    return bits.view(dtype).reshape(shape)


def same(got, sent):
    assert (got.dtype, got.shape) == (sent.dtype, sent.shape)
    assert got.dtype.str == sent.dtype.str
    assert got.tobytes() == sent.tobytes()


@pytest.mark.parametrize("byte_order", "<>")
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_order_and_shape_survives(ends, dtype, byte_order):
    """R4.1, R4.2: what arrives is what was sent, in place."""
    tx, rx = ends
    dtype = np.dtype(dtype).newbyteorder(byte_order)
    for shape in SHAPES:
        for order in "CF":
            sent = np.asarray(filled(shape, dtype), order=order)
            tx.send(sent)
            frame = rx.recv(0)
            same(frame.value, sent)
            assert frame.value.flags.c_contiguous == sent.flags.c_contiguous
            assert frame.value.flags.f_contiguous == sent.flags.f_contiguous
            assert frame.format == "ndarray" and frame.in_place


@pytest.mark.parametrize(
    "cut",
    [np.s_[::2], np.s_[::-1, 1:], np.s_[:, ::3], np.s_[1:1], np.s_[..., None, :, 1]],
    ids=str,
)
def test_strided_arrays_arrive_in_c_order(ends, cut):
    """R4.1: a view with strides is copied in C order; its values and shape survive."""
    tx, rx = ends
    sent = filled((6, 5, 4), "<i4")[cut]
    tx.send(sent)
    same(rx.recv(0).value, sent)


def test_broadcast_and_large_strided_arrays(ends):
    """R4.1: strides of zero; and a copy large enough to be made without the GIL."""
    tx, rx = ends
    for sent in (np.broadcast_to(np.arange(3.0), (4, 3)), filled((600, 600), "<f8")[:, ::2]):
        tx.send(sent)
        same(rx.recv(0).value, sent)


def test_a_large_array_is_copied_whole(ends):
    """R4.1: beyond the size at which the GIL is released."""
    tx, rx = ends
    sent = filled((1 << 18,), ">f8")
    tx.send(sent, meta={"n": 1})
    frame = rx.recv(0)
    same(frame.value, sent)
    assert frame.meta == {"n": 1}
    assert frame.address % 64 == 0


@pytest.mark.parametrize("byte_order", "<>")
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_frame_is_its_array(ends, dtype, byte_order):
    """R4.1, P5: NumPy takes the frame itself for the array, with dtype, shape and order, in place."""
    tx, rx = ends
    dtype = np.dtype(dtype).newbyteorder(byte_order)
    for shape in SHAPES:
        for order in "CF":
            sent = np.asarray(filled(shape, dtype), order=order)
            tx.send(sent, meta={"n": 1})
            frame = rx.recv(0)
            for array in (np.asarray(frame), np.array(frame, copy=None), frame.__array__()):
                same(array, sent)
                assert array.flags.f_contiguous == sent.flags.f_contiguous
                assert not array.flags.writeable
                assert array.size == 0 or array.__array_interface__["data"][0] == frame.address
            view = memoryview(frame)
            assert (view.shape, view.strides, view.readonly) == (sent.shape, frame.value.strides, True)
            assert view.tobytes() == bytes(frame) == sent.tobytes()


def test_a_raw_frame_is_an_array_of_bytes(ends):
    """R4.1: whether or not metadata stands beside it."""
    tx, rx = ends
    for meta in (None, {"n": 1}):
        tx.send(b"bytes", meta=meta)
        frame = rx.recv(0)
        array = np.asarray(frame)
        assert (array.dtype, array.shape, array.tobytes()) == (np.uint8, (5,), b"bytes")
        assert array.__array_interface__["data"] == (frame.address, True)
        assert np.asarray(frame, "u2").tolist() == list(b"bytes")


def test_an_array_of_a_frame_keeps_its_memory(ring, ends):
    """P5: after the frame's release and the ring's end."""
    tx, rx = ends
    tx.send(np.arange(1000))
    frame = rx.recv(0)
    array = np.asarray(frame)
    frame.release()
    del frame
    assert ring.inspect().held == 1
    for _ in range(20):
        tx.send(np.zeros(1000))
        rx.recv(0)
    assert array.tolist() == list(range(1000))
    del array
    assert ring.inspect().held == 0


def test_a_buffer_that_can_not_be_is_refused(ends):
    """R9.1: of an array in Fortran order there are no plain bytes; frame.view has them as they lie."""
    tx, rx = ends
    tx.send(np.arange(6, dtype="<i2").reshape(2, 3))
    assert hashlib.sha256(rx.recv(0)).digest() == hashlib.sha256(np.arange(6, dtype="<i2")).digest()
    sent = np.asfortranarray(np.arange(6, dtype="<i2").reshape(2, 3))
    tx.send(sent)
    frame = rx.recv(0)
    with pytest.raises(BufferError, match="frame.view"):
        hashlib.sha256(frame)
    assert bytes(frame.view) == sent.tobytes(order="F")
    with pytest.raises((BufferError, TypeError), match="read"):
        io.BytesIO(b"1234567").readinto(frame)


def test_arrays_are_read_only(ends):
    """P5: nobody writes into a frame that others may read, not even on request."""
    tx, rx = ends
    tx.send(np.arange(4))
    value = rx.recv(0).value
    with pytest.raises(ValueError, match="read-only"):
        value[0] = 1
    with pytest.raises(ValueError, match="WRITEABLE"):
        value.flags.writeable = True
    assert memoryview(value).readonly


def test_the_value_is_decoded_once(ends):
    """R14.2: one array, whoever asks for it."""
    tx, rx = ends
    tx.send(np.arange(4))
    frame = rx.recv(0)
    assert frame.value is frame.value


@pytest.mark.parametrize(
    "unsendable, kind",
    [
        (np.array([{}, None]), "object"),
        (np.ma.array([1, 2], mask=[0, 1]), "MaskedArray"),
        ([1, 2], "list"),
    ],
    ids=lambda value: str(getattr(value, "dtype", value)),
)
def test_what_has_no_frame_is_named(ends, unsendable, kind):
    """R6.5, R9.1: the error names the type, the place and what to do, and is a TypeError."""
    tx, rx = ends
    with pytest.raises(slipring.EncodeError) as caught:
        tx.send(unsendable, format="ndarray")
    assert isinstance(caught.value, TypeError)
    assert (caught.value.type, caught.value.path) == (kind, "$")
    assert caught.value.hint in str(caught.value)
    assert rx.try_recv() is None


def test_views_outlive_frame_ends_and_ring(name):
    """P5, R14.2: a view keeps its block, whatever is closed, and the last one frees it."""
    with slipring.create(name, capacity="1 MiB") as ring:
        tx, rx = ring.producer(), ring.consumer()
        tx.send(np.arange(1000))
        tx.send(bytes(range(256)) * 4)
        tail = rx.recv(0).value[990:]
        slice_ = rx.recv(0).view[250:260]
        assert ring.inspect().held == 2
        del tx, rx
    with pytest.raises(slipring.Error, match="closed"):
        ring.producer()
    assert name in slipring.list(), "a view keeps the segment"
    gc.collect()
    assert tail.tolist() == list(range(990, 1000))
    assert bytes(slice_) == bytes([250, 251, 252, 253, 254, 255, 0, 1, 2, 3])
    del tail, slice_
    assert name not in slipring.list(), "and the last view lets it go"


def test_the_last_reference_frees_the_block(ring, ends):
    """P5, R8.4: at once, without the garbage collector."""
    tx, rx = ends
    gc.disable()
    try:
        for keep in (lambda f: f, lambda f: f.value, lambda f: f.view, memoryview):
            tx.send(np.zeros(1000))
            kept = keep(rx.recv(0))
            assert ring.inspect().held == 1
            del kept
            assert ring.inspect().held == 0
    finally:
        gc.enable()


def test_release_leaves_views_alone(ring, ends):
    """P5: the frame lets go; a view of it does not."""
    tx, rx = ends
    tx.send(np.arange(5))
    with rx.recv(0) as frame:
        value = frame.value
    with pytest.raises(slipring.Error, match="released"):
        frame.value
    frame.release()
    assert (ring.inspect().held, value.sum()) == (1, 10)
    gone = weakref.ref(value)
    del value
    assert (gone(), ring.inspect().held) == (None, 0)
    assert frame.sequence == 0 and frame.header.body_len > 0
