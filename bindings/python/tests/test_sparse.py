"""Sparse arrays of SciPy, taken apart and put together again."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from slipring import _sparse

CLASSES = [getattr(sp, name.removeprefix("scipy.sparse.")) for name in sorted(_sparse.NAMES)]
DTYPES = ["?", "i1", "u8", "f4", "f8", "c16", "g"]


def inner(obj):
    """All arrays and lists that a sparse object has."""
    match obj.format:
        case "csr" | "csc" | "bsr":
            return [obj.data, obj.indices, obj.indptr]
        case "coo":
            return [obj.data, *obj.coords]
        case "dia":
            return [obj.data, obj.offsets]
        case "dok":
            return [list(obj.items())]
        case "lil":
            return [obj.data.tolist(), obj.rows.tolist()]


def same(got, sent):
    assert type(got) is type(sent)
    assert (got.shape, got.dtype, got.nnz) == (sent.shape, sent.dtype, sent.nnz)
    for mine, other in zip(inner(got), inner(sent), strict=True):
        if isinstance(other, np.ndarray):
            assert mine.dtype == other.dtype and np.array_equal(mine, other)
        else:
            assert mine == other
    known = {key: of for key, of in vars(sent).items() if key.startswith(("_has", "has"))}
    assert {key: of for key, of in vars(got).items() if key.startswith(("_has", "has"))} == known


def trip(obj):
    name, fields = _sparse.to_components(obj)
    return _sparse.from_components(name, {key: locked(field) for key, field in fields.items()})


def locked(field):
    """As it comes from a frame: nobody may write."""
    if isinstance(field, list):
        return [locked(part) for part in field]
    if isinstance(field, np.ndarray):
        field = field.view()
        field.flags.writeable = False
    return field


def sample(cls, dtype, shape=(6, 4)):
    dense = np.arange(np.prod(shape)).reshape(shape) % 5 * (np.arange(np.prod(shape)).reshape(shape) % 3)
    if cls.__name__.startswith("bsr"):
        return cls(dense.astype(dtype), blocksize=(2, 2))
    return cls(dense.astype(dtype))


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_class_and_dtype_survives(cls, dtype):
    """R4.4: arrays and matrices, their dtype and shape, and what lies in them."""
    sent = sample(cls, dtype)
    got = trip(sent)
    same(got, sent)
    assert np.array_equal(got.toarray(), sent.toarray())


# SciPy itself makes no bsr without a row or column.
EMPTY = [(cls, shape) for cls in CLASSES for shape in [(0, 0), (0, 3), (3, 0), (1, 1), (4, 2)]
         if "bsr" not in cls.__name__ or 0 not in shape]  # fmt: skip
IN_ARRAYS = [cls for cls in CLASSES if cls.__name__[:3] not in ("dok", "lil")]


@pytest.mark.parametrize("cls, shape", EMPTY, ids=lambda of: getattr(of, "__name__", of))
def test_empty_ones_survive(cls, shape):
    """R4.4: without a row, a column or an element."""
    same(trip(cls(shape, dtype="f4")), cls(shape, dtype="f4"))


@pytest.mark.parametrize("cls", IN_ARRAYS, ids=lambda cls: cls.__name__)
def test_nothing_is_copied(cls):
    """R4.2, R4.4: the arrays that come are those of the object, in which SciPy can compute. Those of dok and
    lil are Python's containers."""
    sent = sample(cls, "f8")
    got = trip(sent)
    for mine, other in zip(inner(got), inner(sent), strict=True):
        assert np.shares_memory(mine, other) and not mine.flags.writeable
    assert np.array_equal(got @ np.ones(4), sent.toarray() @ np.ones(4))
    assert np.array_equal((got + got).toarray(), 2 * sent.toarray())
    assert np.array_equal(got.T.toarray(), sent.toarray().T)
    assert np.array_equal(got.tocsr()[1:3].toarray(), sent.toarray()[1:3])


@pytest.mark.parametrize("index", ["i4", "i8"])
@pytest.mark.parametrize("cls", [sp.csr_array, sp.csc_matrix, sp.bsr_array, sp.coo_array, sp.dia_matrix])
def test_the_dtype_of_indices_survives(cls, index):
    """R4.4: SciPy's constructors would make small ones of them."""
    sent = sample(cls, "f4")
    match sent.format:
        case "coo":
            sent.coords = tuple(of.astype(index) for of in sent.coords)
        case "dia":
            sent.offsets = sent.offsets.astype(index)
        case _:
            sent.indices, sent.indptr = sent.indices.astype(index), sent.indptr.astype(index)
    same(trip(sent), sent)


def test_duplicates_zeros_and_order_survive():
    """R4.4: and what SciPy knows of them; what it has not found out is not made up."""
    row, column, data = np.array([1, 0, 1]), np.array([2, 1, 2]), np.array([1.0, 0.0, 2.0])
    coo = sp.coo_array((data, (row, column)), shape=(2, 3))
    same(trip(coo), coo)
    assert not trip(coo).has_canonical_format
    for cls in (sp.csr_array, sp.csc_matrix):
        lines = 2 if cls is sp.csr_array else 3
        indptr = np.array([0, 3] + [3] * (lines - 1))
        sent = cls((data, np.array([1, 0, 1]), indptr), shape=(2, 3))
        assert "_has_canonical_format" not in vars(trip(sent))
        same(trip(sent), sent)
        assert not sent.has_canonical_format and not sent.has_sorted_indices
        same(trip(sent), sent)
        assert vars(trip(sent))["_has_sorted_indices"] is False
        sent.sort_indices()
        same(trip(sent), sent)
        assert vars(trip(sent)).get("_has_sorted_indices") is True


def test_capacity_beyond_the_elements_survives():
    """R4.4: arrays that are longer than what is in use."""
    sent = sp.csr_array((np.arange(3.0), np.array([0, 1, 0]), np.array([0, 2, 3])), shape=(2, 10))
    # What lies there is no index, and not looked at.
    sent.data, sent.indices = np.arange(5.0), np.array([0, 1, 0, 99, -1])
    same(trip(sent), sent)
    assert len(trip(sent).data) == 5 and trip(sent).nnz == 3


def test_keys_keep_their_order_and_zeros():
    """R4.4: of a dok, whose elements were set one by one."""
    for cls in (sp.dok_array, sp.dok_matrix):
        sent = cls((3, 4), dtype="i4")
        sent[2, 1], sent[0, 3], sent[1, 1] = 5, 6, 7
        same(trip(sent), sent)
        assert list(trip(sent).keys()) == [(2, 1), (0, 3), (1, 1)]


@pytest.mark.parametrize("cls", [sp.coo_array, sp.csr_array, sp.dok_array])
def test_one_dimension(cls):
    """R4.4: of sparse arrays, and more than two of coo."""
    sent = cls(np.array([0, 3, 0, 4, 0], "i2"))
    same(trip(sent), sent)
    assert np.array_equal(trip(sent).toarray(), sent.toarray())
    deep = sp.coo_array(np.arange(24).reshape(2, 3, 4) % 3)
    same(trip(deep), deep)


@settings(max_examples=200, deadline=None)
@given(
    cls=st.sampled_from(CLASSES),
    shape=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    dtype=st.sampled_from(["i2", "f4", "c8"]),
    seed=st.integers(0, 99),
)
def test_any_survives(cls, shape, dtype, seed):
    """R4.4, R13.3: of any shape and density."""
    rng = np.random.default_rng(seed)
    dense = rng.integers(-2, 3, shape) * rng.integers(0, 2, shape)
    sent = cls(dense.astype(dtype))
    same(trip(sent), sent)
    assert np.array_equal(trip(sent).toarray(), dense.astype(dtype))


def test_what_is_none_is_not_taken_apart():
    """R6.5: nor a subclass, whose name nobody would know."""

    class Mine(sp.csr_array):
        pass

    Mine.__name__ = "csr_array"
    for other in (np.zeros(3), Mine((2, 2)), None, sp):
        assert not _sparse.is_sparse(other)
        with pytest.raises(TypeError, match="no sparse array"):
            _sparse.to_components(other)
    assert _sparse.is_sparse(sp.eye_array(3))


def spoilt(cls, **changes):
    name, fields = _sparse.to_components(sample(cls, "f8"))
    for field, change in changes.items():
        fields[field] = change(fields[field]) if callable(change) else change
    return name, fields


def put(at, to):
    def change(array):
        array = array.copy()
        array[at] = to
        return array

    return change


@pytest.mark.parametrize(
    "name, fields",
    [
        ("scipy.sparse.xyz_array", {}),
        ("os.system", {}),
        ("scipy.sparse.csr_array", {}),
        spoilt(sp.csr_array, indices=put(0, 4)),
        spoilt(sp.csr_array, indices=put(0, -1)),
        spoilt(sp.csc_array, indices=put(-1, 6)),
        spoilt(sp.csr_array, indptr=put(0, 1)),
        spoilt(sp.csr_array, indptr=put(2, 99)),
        spoilt(sp.csr_array, indptr=put(-1, 99)),
        spoilt(sp.csr_array, indptr=lambda of: of[:-1]),
        spoilt(sp.csr_array, indices=lambda of: of.astype("f8")),
        spoilt(sp.csr_array, indices=lambda of: of.astype(">i4")),
        spoilt(sp.csr_array, indptr=lambda of: of.astype("u8")),
        spoilt(sp.csr_array, data=lambda of: of[:2]),
        spoilt(sp.csr_array, data=lambda of: of.tolist()),
        spoilt(sp.csr_array, shape=(6, -4)),
        spoilt(sp.csr_array, shape=(6, 4.0)),
        spoilt(sp.csr_matrix, shape=(24,)),
        spoilt(sp.bsr_array, indices=put(0, 2)),
        spoilt(sp.bsr_array, data=lambda of: of[:, :0]),
        spoilt(sp.bsr_array, shape=(7, 4)),
        spoilt(sp.coo_array, coords=lambda of: [of[0], of[1] + 4]),
        spoilt(sp.coo_array, coords=lambda of: of[:1]),
        spoilt(sp.coo_array, coords=lambda of: [of[0][1:], of[1]]),
        spoilt(sp.dok_array, coords=lambda of: [of[0] - 1, of[1]]),
        spoilt(sp.dia_array, offsets=lambda of: of[1:]),
        spoilt(sp.lil_array, indices=put(0, 9)),
        spoilt(sp.lil_array, indices=lambda of: of[:-1]),
        spoilt(sp.lil_array, indptr=put(-1, 3)),
    ],
)
def test_components_that_lead_astray_are_refused(name, fields):
    """P9, R9.1: where SciPy would read other memory, or nothing."""
    with pytest.raises(ValueError):
        _sparse.from_components(name, fields)
