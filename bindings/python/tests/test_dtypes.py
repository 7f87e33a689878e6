"""Arrays of every dtype that NumPy has, objects apart."""

from __future__ import annotations

import gc
import pathlib

import hypothesis.extra.numpy as npst
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import slipring

StringDType = np.dtypes.StringDType

PLAIN = "S5 S1 S0 U3 >U3 U0 V7 V0 g >g G M8[s] M8[25us] >M8[D] m8 >m8[ns] M8".split()
NESTED = np.dtype(
    [
        (("a title", "id"), ">u2"),
        ("when", "M8[3h]"),
        ("grid", [("x", "f4", (2, 1)), ("name", "U2")], (3,)),
        ("ü", "S0"),
        ("raw", "V3"),
        ("wide", "G"),
    ]
)
STRUCTS = {
    "packed": np.dtype([("a", "i4"), ("b", "f8", (2, 3))]),
    "aligned": np.dtype([("a", "u1"), ("b", "f8"), ("c", "U1")], align=True),
    "overlapping": np.dtype(
        {"names": ["whole", "low"], "formats": [">u4", "u1"], "offsets": [0, 3], "itemsize": 9}
    ),
    "out of order": np.dtype({"names": ["b", "a"], "formats": ["i2", "i4"], "offsets": [4, 0]}),
    "nested": NESTED,
    "no field": np.dtype([]),
    "gaps alone": np.dtype({"names": [], "formats": [], "itemsize": 8}),
    "nested subarray": np.dtype([("a", (np.dtype(("f4", (2,))), (3,)))]),
}
EVERY = {**{name: np.dtype(name) for name in PLAIN}, **STRUCTS}


def filled(dtype, shape):
    """Bits at random, of text characters; what lies between fields is not zero."""
    size = int(np.prod(shape))
    if dtype.itemsize == 0:
        return np.ndarray(shape, dtype, b"-")
    if dtype.kind == "U":
        letters = np.array(["", "a", "é𝄞", "xyz"], dtype)
        return np.ndarray(shape, dtype, np.resize(letters, size).tobytes())
    bits = np.random.default_rng(size).integers(1, 255, size * dtype.itemsize, "u1")
    array = bits.view(dtype).reshape(shape)
    for part in texts(array):
        part[...] = "é𝄞"
    return array


def texts(array):
    for name in array.dtype.names or ():
        yield from [array[name]] if array[name].dtype.kind == "U" else texts(array[name])


def described(dtype):
    """All that makes a dtype, as far as equality leaves something out."""
    if dtype.subdtype:
        base, shape = dtype.subdtype
        return described(base), shape
    fields = [(name, described(of), *rest) for name in dtype.names or () for of, *rest in [dtype.fields[name]]]
    return dtype.str, dtype.itemsize, dtype.alignment, dtype.isalignedstruct, dtype.names, fields


def bits(array):
    """The bytes of all elements but what lies between fields."""
    if array.dtype.names is None:
        return array.tobytes()
    return [bits(array[name]) for name in array.dtype.names]


def same(got, sent):
    assert got.dtype == sent.dtype
    assert described(got.dtype) == described(sent.dtype)
    assert (type(got), got.shape) == (np.ndarray, sent.shape)
    assert bits(got) == bits(sent)


@pytest.mark.parametrize("dtype", EVERY.values(), ids=EVERY)
def test_every_dtype_survives_in_place(ends, dtype):
    """R4.1, R4.2, R4.3, M2: dtype, shape, order and elements, over the segment itself."""
    tx, rx = ends
    for shape in [(), (0,), (5,), (2, 3), (0, 2), (2, 1, 3)]:
        for order in "CF":
            sent = np.asarray(filled(dtype, shape), order=order)
            tx.send(sent, meta={"n": 1})
            frame = rx.recv(0)
            got = frame.value
            same(got, sent)
            assert (got.flags.c_contiguous, got.flags.f_contiguous) == (
                sent.flags.c_contiguous,
                sent.flags.f_contiguous,
            )
            assert got.flags.aligned and not got.flags.writeable
            assert got.nbytes == 0 or got.__array_interface__["data"] == (frame.address, True)
            assert (frame.format, frame.meta) == ("ndarray", {"n": 1})
            assert frame.header.type_code >> 8 & 0x7F == ord(dtype.kind)
            if dtype.names is None:
                assert bytes(frame.view) == sent.tobytes(order="A")


@pytest.mark.parametrize("dtype", EVERY.values(), ids=EVERY)
def test_every_dtype_is_copied_from_strides(ends, dtype):
    """R4.1, R4.3: what does not lie in one piece arrives in C order; between fields nothing shows through
    of what the memory held before."""
    tx, rx = ends
    sent = filled(dtype, (4, 3, 2))
    tx.send(b"\xee" * 4096)
    rx.recv(0)
    for cut in (sent[::2], sent[:, ::-1, 1:], sent[1:1], np.broadcast_to(sent[0, 0], (3, 2))):
        tx.send(cut)
        frame = rx.recv(0)
        same(frame.value, cut)
        assert frame.value.flags.c_contiguous
    tx.send(sent[:, ::2])
    frame = rx.recv(0)
    if dtype is STRUCTS["aligned"]:
        gap = np.frombuffer(frame.view, "u1").reshape(-1, dtype.itemsize)[:, 1:8]
        assert not gap.any()


def test_titles_offsets_and_alignment_survive(ends):
    """R4.3, R4.5: also where NumPy's equality does not look at them."""
    tx, rx = ends
    tx.send(np.zeros(2, NESTED))
    dtype = rx.recv(0).value.dtype
    assert dtype.fields["a title"] == dtype.fields["id"] == (np.dtype(">u2"), 0, "a title")
    assert dtype["grid"].base["x"].shape == (2, 1)
    tx.send(np.zeros(2, STRUCTS["aligned"]))
    assert rx.recv(0).value.dtype.isalignedstruct


def test_the_dtype_is_told(ends):
    """R4.5: by name, as NumPy writes it, without an array being made."""
    tx, rx = ends
    for dtype in ["M8[25s]", ">U3", "S5", STRUCTS["packed"], STRUCTS["aligned"], NESTED["grid"].base]:
        tx.send(np.zeros(2, dtype))
        told = rx.recv(0).describe()
        named = np.dtype(dtype)
        assert told["dtype"] == (str(named) if named.names else named.str)
        assert told["shape"] == (2,)


def arrays():
    dtypes = st.one_of(
        npst.array_dtypes(max_size=5, allow_subarrays=True),
        npst.nested_dtypes(max_leaves=8),
        npst.scalar_dtypes(),
        npst.byte_string_dtypes(),
        npst.unicode_string_dtypes(),
    )
    # A subarray outside of a struct is no dtype of an array.
    shapes = npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
    return dtypes.flatmap(lambda dtype: npst.arrays(np.dtype([("f", dtype)])["f"].base, shapes))


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(sent=arrays(), order=st.sampled_from("CF"), step=st.sampled_from([1, 2, -1]))
def test_any_array_survives(ends, sent, order, step):
    """R4.1, R4.3, R13.3: of nested dtypes with subarrays too; NumPy itself is the oracle."""
    tx, rx = ends
    sent = np.asarray(sent, order=order)
    sent = sent[::step] if sent.ndim else sent
    tx.send(sent)
    same(rx.recv(0).value, sent)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    texts=st.lists(st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"]))), max_size=24),
    missing=st.sampled_from(["none", "nan", "text"]),
)
def test_any_texts_survive(ends, texts, missing):
    """R4.3: StringDType, short and long texts, NULs within them, and what stands for a missing one."""
    tx, rx = ends
    na = {"none": None, "nan": float("nan"), "text": "n/a"}[missing]
    dtype = StringDType(na_object=na, coerce=missing == "text")
    sent = np.array([na if text is None else text for text in texts], dtype)
    for sent in (sent, sent.reshape(1, -1), sent[::-2], np.asfortranarray(sent[: len(sent) // 2 * 2].reshape(-1, 2))):
        tx.send(sent)
        got = rx.recv(0).value
        assert (got.dtype, got.shape) == (sent.dtype, sent.shape)
        assert got.dtype.coerce == sent.dtype.coerce
        assert repr(got.tolist()) == repr(sent.tolist())
        assert got.flags.f_contiguous == sent.flags.f_contiguous or sent.size < 2 or sent.ndim == 1
        assert not got.flags.writeable


def test_texts_without_missing_ones(ends):
    """R4.3: 0-d, none at all, and a frame of texts as seen from outside."""
    tx, rx = ends
    for sent in (np.array("é", StringDType()), np.array([], StringDType()).reshape(0, 3)):
        tx.send(sent)
        frame = rx.recv(0)
        assert (frame.value.dtype, frame.value.shape) == (StringDType(), sent.shape)
        assert frame.value.tolist() == sent.tolist()
        assert not hasattr(frame.value.dtype, "na_object")
        assert frame.in_place and np.asarray(frame).tolist() == sent.tolist()
        with pytest.raises(BufferError, match="frame.view"):
            memoryview(frame)


def test_texts_are_not_held(ring, ends):
    """P5: the array is a copy; it keeps no block once its frame is gone."""
    tx, rx = ends
    tx.send(np.array(["text"] * 100, StringDType()))
    texts = rx.recv(0).value
    gc.collect()
    assert ring.inspect().held == 0
    assert texts[99] == "text"


def test_subclasses_arrive_as_arrays(ends):
    """R4.3: a record array and a matrix; a field called mask makes none of them a masked array."""
    tx, rx = ends
    records = np.rec.array([(1, 2.5), (3, 4.5)], dtype=[("mask", "i4"), ("b", "f8")])
    with pytest.warns(slipring.LossyWarning, match="recarray"):
        tx.send(records)
    got = rx.recv(0).value
    assert type(got) is np.ndarray and got["mask"].tolist() == [1, 3]
    assert got.dtype == [("mask", "i4"), ("b", "f8")] and got.dtype.type is np.void
    with pytest.warns(PendingDeprecationWarning):
        matrix = np.matrix([[1, 2]])
    with pytest.warns(slipring.LossyWarning, match="matrix"):
        tx.send(matrix)
    same(rx.recv(0).value, np.array([[1, 2]]))


class Liar(np.ndarray):
    """An array that says of itself what is not so."""

    @property
    def dtype(self):
        return np.dtype([("x", "V100000")])

    def ravel(self, order="C"):
        return np.zeros(1)

    def tolist(self):
        return ["more"] * 1000


@pytest.mark.filterwarnings("ignore::slipring.LossyWarning")
def test_a_subclass_is_not_asked_what_it_is(ends):
    """P9: its memory is what NumPy knows of it, read whole and strided."""
    tx, rx = ends
    for dtype in ([("x", "u1")], "M8[s]", "f8"):
        sent = np.zeros(4, dtype)
        for array in (sent, sent[::2]):
            tx.send(array.view(Liar))
            same(rx.recv(0).value, array)
    texts = np.array(["a", "b"], StringDType())
    tx.send(texts.view(Liar))
    assert rx.recv(0).value.tolist() == ["a", "b"]


OLD_UNION = np.dtype((np.int32, {"low": ("i2", 0), "high": ("i2", 2)}))


@pytest.mark.parametrize(
    "unsendable, path, hint",
    [
        (np.array([{}, None]), "$", "pickle"),
        (np.zeros(2, [("a", "i4"), ("b", [("c", "O")])]), "$.b.c", "pickle"),
        (np.zeros(2, [("a", "O", (2,))]), "$.a", "pickle"),
        (np.zeros(2, StringDType(na_object=Ellipsis)), "$", "None, NaN or a text"),
        (np.zeros(2, [("\ud800", "i4")]), "$", "Unicode"),
        (np.zeros(2, [((3, "a"), "i4")]), "$", "Unicode"),
        (np.zeros(2, OLD_UNION), "$", "view"),
        (np.ma.array([1, 2], mask=[0, 1]), "$", "filled"),
        (np.ma.zeros(2, [("a", "i4")]), "$", "filled"),
    ],
    ids=["object", "in a struct", "subarray", "na", "surrogate", "title", "union", "ma", "struct ma"],
)
def test_what_has_no_frame_is_named(ends, unsendable, path, hint):
    """R6.5, R9.1, R9.3: the error has the path to the field, and what to do."""
    tx, rx = ends
    with pytest.raises(slipring.EncodeError) as caught:
        tx.send(unsendable, format="ndarray")
    assert (caught.value.path, isinstance(caught.value, TypeError)) == (path, True)
    assert hint in caught.value.hint and caught.value.hint in str(caught.value)
    assert rx.try_recv() is None


@pytest.mark.filterwarnings("ignore::slipring.PickleWarning")
def test_what_has_no_frame_goes_by_pickle(ring):
    """R9.4: where no other form is asked for; and back with all that it was."""
    tx, rx = ring.producer(), ring.consumer(pickle=True)
    masked = np.ma.array([1, 2], mask=[0, 1])
    for sent in (np.array([{"a": 1}, None]), masked, np.zeros(2, [("a", "i4"), ("b", [("c", "O")])])):
        tx.send(sent)
        frame = rx.recv(0)
        assert frame.format == "pickle"
        got = frame.value
        assert (type(got), got.dtype, repr(got)) == (type(sent), sent.dtype, repr(sent))


@pytest.mark.parametrize("dtype", EVERY.values(), ids=EVERY)
def test_every_dtype_stands_in_values(ends, dtype):
    """R3.5, R4.2, R4.3: in place where it is small, else out of line as a view; and as a scalar."""
    tx, rx = ends
    for shape in [(), (3,), (40, 20)]:
        sent = filled(dtype, shape)
        tx.send({"array": sent, "n": [1, None]})
        frame = rx.recv(0)
        got = frame.value["array"]
        same(got, sent)
        assert not got.flags.writeable
        if sent.nbytes >= 256:
            assert got.__array_interface__["data"][0] in ring_of(frame)
    scalar = filled(dtype, (1,))[0]
    tx.send([scalar])
    got = rx.recv(0).value[0]
    assert type(got) is type(scalar) and got.dtype == scalar.dtype
    # The bytes of a long double that mean nothing are not kept in a scalar.
    assert repr(got) == repr(scalar) if dtype.kind in "fc" else bits(np.asarray(got)) == bits(np.asarray(scalar))


def ring_of(frame):
    """The addresses of a frame's bytes."""
    view = np.frombuffer(frame.view, "u1")
    start = view.__array_interface__["data"][0]
    return range(start, start + frame.header.body_len)


def test_the_cost_of_texts_is_told():
    """R4.3: an array whose elements don't lie in it is measured by what its frame takes."""
    texts = np.array(["é" * 1000] * 50, StringDType())
    told = slipring.explain(texts)
    assert told.format == "ndarray"
    assert told.candidates[0].size == 51 * 8 + 7 + 50 * 2000


def test_texts_stand_in_values(ends):
    """R3.5, R4.3: texts of any length, few and many, and missing ones."""
    tx, rx = ends
    for n in (0, 3, 500):
        sent = np.array(["é" * (i % 40) if i % 3 else None for i in range(n)], StringDType(na_object=None))
        for value in (sent, sent[::2]):
            tx.send({"texts": value})
            got = rx.recv(0).value["texts"]
            assert (got.dtype, got.tolist()) == (value.dtype, value.tolist())


def nested(depth):
    dtype = np.dtype("i4")
    for _ in range(depth):
        dtype = np.dtype([("f", dtype)])
    return dtype


def test_nesting_has_a_limit(ends):
    """P9: 32 structs inside each other, and no deep recursion for more."""
    tx, rx = ends
    tx.send(np.zeros(1, nested(32)))
    same(rx.recv(0).value, np.zeros(1, nested(32)))
    for depth in (33, 200):
        with pytest.raises(slipring.EncodeError, match="32"):
            tx.send(np.zeros(1, nested(depth)), format="ndarray")


@pytest.mark.parametrize("dtype", EVERY.values(), ids=EVERY)
def test_a_frame_is_its_array(ends, dtype):
    """R4.1, P5: NumPy takes the frame for the array, in place, whether or not it has a buffer."""
    tx, rx = ends
    sent = filled(dtype, (2, 3))
    tx.send(sent)
    frame = rx.recv(0)
    for array in (np.asarray(frame), frame.__array__(), np.array(frame, copy=None)):
        assert array.dtype == dtype and array.shape == (2, 3)
        assert bits(array) == bits(sent)
        assert not array.flags.writeable
        assert array.nbytes == 0 or array.__array_interface__["data"] == (frame.address, True)


@pytest.mark.parametrize("which", ["S5", "U3", ">U3", "g", "packed", "aligned"])
def test_the_buffer_is_numpy_s(ends, which):
    """P5: format, shape and strides as NumPy gives them; nobody may write."""
    tx, rx = ends
    sent = np.asfortranarray(filled(EVERY[which], (2, 3)))
    tx.send(sent)
    frame = rx.recv(0)
    view, numpy = memoryview(frame), memoryview(sent)
    assert (view.format, view.shape, view.strides) == (numpy.format, numpy.shape, numpy.strides)
    assert (view.itemsize, view.readonly) == (numpy.itemsize, True)
    address = np.asarray(view).__array_interface__["data"][0]
    assert sent.nbytes == 0 or address == frame.address
    frame.release()
    del frame
    assert bits(np.asarray(view)) == bits(np.asarray(numpy))


UNSEEN = ["M8[s]", "V7", "nested", "overlapping", "out of order", "gaps alone", "nested subarray"]


@pytest.mark.parametrize("which", UNSEEN)
def test_a_buffer_that_can_not_be_is_refused(ends, which):
    """R9.1: dates, titles, fields over each other; the bytes are there all the same."""
    tx, rx = ends
    sent = filled(EVERY[which], (2,))
    tx.send(sent)
    frame = rx.recv(0)
    with pytest.raises(BufferError, match="frame.view"):
        memoryview(frame)
    assert bytes(frame.view) == sent.tobytes()


@pytest.mark.parametrize("dtype", EVERY.values(), ids=EVERY)
def test_every_dtype_is_reserved(ring, ends, dtype):
    """P4, R4.3: written in the segment; the name that is left stands for nothing, however large an element."""
    tx, rx = ends
    for shape in [(2, 3), (), (0,)]:
        sent = filled(dtype, shape)
        with tx.reserve(shape, dtype, order="F") as array:
            assert array.nbytes == 0 or array.ctypes.data in ring.mapped
            assert array.flags.writeable
            array[...] = sent
        same(rx.recv(0).value, sent)
        assert array.nbytes == 0 or bytes(array.tobytes()) == bytes(array.nbytes)
        assert array.nbytes == 0 or array.ctypes.data not in ring.mapped
        with pytest.raises(ValueError, match="WRITEABLE"):
            array.flags.writeable = True
    assert ring.inspect().filling == 0


def test_what_can_not_be_reserved(ends):
    """R9.1: texts of any length, objects, and a subarray without a struct."""
    tx, _ = ends
    for dtype, hint in [(StringDType(), "filled"), ("O", "pickle"), (("f4", (2,)), "shape")]:
        with pytest.raises(slipring.EncodeError, match=hint):
            tx.reserve((2,), dtype)


def test_a_large_struct_without_dimensions_outlives_its_frame(ring, ends):
    """P5: the place that is left of a reservation is its own."""
    tx, rx = ends
    with tx.reserve((), "V5000") as array:
        array[()] = b"x" * 5000
    left = array
    del array
    assert left.tobytes() == bytes(5000)
    assert rx.recv(0).value.tobytes() == b"x" * 5000


HOSTILE = {
    # The head's letters, item size and description.
    "aligned where it is not": (b"V|", 5, [["b", 1, ["f", "<", 4]]], True),
    "subarray of nothing": (b"V|", 8, [["b", 0, ["V", "|", 0, {"shape": [2], "element": ["S", "|", 0]}]]], False),
}


def cbor(value):
    match value:
        case bool():
            return b"\xf5" if value else b"\xf4"
        case int():
            assert value < 24
            return bytes([value])
        case str():
            return bytes([0x60 + len(value)]) + value.encode()
        case [*items]:
            return bytes([0x80 + len(items)]) + b"".join(map(cbor, items))
        case dict():
            pairs = b"".join(cbor(key) + cbor(of) for key, of in value.items())
            return bytes([0xA0 + len(value)]) + pairs


def body(letters, size, description, data):
    """An array frame of shape (1,), laid out by hand."""
    head = b"\x01" + letters + b"C" + size.to_bytes(4, "little") + b"\x01\0\0\0"
    head += len(description).to_bytes(4, "little") + (1).to_bytes(8, "little") + description
    at = 56 + len(head) + 63 & ~63
    entry = lambda *fields: b"".join(n.to_bytes(8, "little") for n in fields)
    table = entry(2) + entry(1, 56, len(head)) + entry(2, at, len(data))
    return (table + head).ljust(at, b"\0") + data


@pytest.mark.parametrize("letters, size, fields, aligned", HOSTILE.values(), ids=HOSTILE)
def test_a_dtype_that_numpy_refuses_is_no_value(foreign, letters, size, fields, aligned):
    """P9, R9.1: a description that the format allows and NumPy does not is an error with a path; the bytes
    are there."""
    description = cbor({"fields": fields, "aligned": aligned})
    frame = foreign(2, 0x5600, body(letters, size, description, b"x" * size))
    with pytest.raises(slipring.DecodeError, match="dtype") as caught:
        frame.value
    assert caught.value.path == "$.head.dtype"
    assert bytes(frame.view) == b"x" * size


def test_another_platform_s_long_double_is_refused(foreign):
    """R4.3, R9.1: its bits mean something else here."""
    here = "x87" if np.finfo(np.longdouble).nmant == 63 else "binary128"
    other = {"x87": "binary128", "binary128": "x87"}[here]
    data = np.array([1.5], "g").tobytes()
    assert foreign(2, 0x6610, body(b"f<", 16, cbor(here), data)).value.tolist() == [1.5]
    frame = foreign(2, 0x6610, body(b"f<", 16, cbor(other), data))
    with pytest.raises(slipring.DecodeError, match=f"long double of this platform is not {other}"):
        frame.value


def test_texts_that_lead_astray_are_refused(foreign):
    """P9, R9.2: offsets are checked when the texts are read."""
    description = cbor({"coerce": True})
    good = bytes(8) + (2).to_bytes(8, "little") + b"\0" + b"ab"
    assert foreign(2, 0x5400, body(b"T|", 0, description, good)).value.tolist() == ["ab"]
    for at, to in [(0, 1), (8, 1), (8, 3), (15, 255), (17, 255)]:
        data = bytearray(good)
        data[at] = to
        frame = foreign(2, 0x5400, body(b"T|", 0, description, bytes(data)))
        with pytest.raises(slipring.DecodeError):
            frame.value


GOLDEN = pathlib.Path(__file__).resolve().parents[3] / "crates/codec/tests/golden"


def golden(name):
    """The bytes of a golden file: two digits each, and comments."""
    lines = (GOLDEN / f"ndarray-{name}.hex").read_text().splitlines()
    return bytes.fromhex(" ".join(line.split("#")[0] for line in lines))


RECORD = np.dtype(
    {
        "names": ["id", "xy", "in"],
        "formats": ["<u2", (">f4", (2,)), np.dtype([("s", "S2")])],
        "offsets": [0, 4, 12],
        "titles": ["number", None, None],
        "itemsize": 16,
    },
    align=True,
)


@pytest.mark.parametrize(
    "file, code, array",
    [
        ("M8-25s", 0x4D08, np.array([1, -2, "NaT"], "<M8[25s]")),
        ("m8-big", 0xED08, np.ndarray((), ">m8", (7).to_bytes(8, "big"))),
        ("U2-big-f", 0xD500, np.array([["hé"], ["𝄞"]], ">U2")),
        ("S0", 0x5300, np.ndarray((2, 3), "S0", b"-")),
        ("struct", 0x5600, np.array([(258, [1.5, -1.0], (b"ab",))], RECORD)),
        ("T-missing", 0x5400, np.array([["a", ""], ["é", None]], StringDType(na_object=None))),
    ],
    ids=lambda of: of if isinstance(of, str) else "",
)
def test_golden_bodies_are_read(foreign, file, code, array):
    """R5.1, R4.3: laid out by hand, by the document alone; NumPy makes of them what it should."""
    got = foreign(2, code, golden(file)).value
    assert (got.dtype, got.shape, repr(got.tolist())) == (array.dtype, array.shape, repr(array.tolist()))
    assert described(got.dtype) == described(array.dtype)


def test_a_struct_needs_numpy_s_buffer_only(name, python):
    """R4.3: a process that has not imported NumPy reads bytes and header, and NumPy is imported on request."""
    with slipring.create(name, capacity="1 MiB") as ring:
        tx = ring.producer()
        for _ in range(2):
            tx.send(np.array([(1, b"x")], [("a", "u1"), ("b", "S1")]))
        process = python(
            """
            import slipring, sys
            rx = slipring.open(sys.argv[1]).consumer()
            frame = rx.recv(5)
            assert bytes(frame.view) == b"\\x01x" and hex(frame.header.type_code) == "0x5600"
            assert "numpy" not in sys.modules
            assert frame.value["b"][0] == b"x"
            assert memoryview(rx.recv(5)).format == "T{B:a:1s:b:}"
            """,
            name,
        )
        _, errors = process.communicate(timeout=30)
        assert (process.returncode, errors) == (0, "")
