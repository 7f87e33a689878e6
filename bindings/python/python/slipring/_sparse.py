"""Sparse arrays and matrices of SciPy, taken apart into arrays and put together again.

What is put together has the arrays as they are given, views of a frame among them: nothing is copied and
no index gets another dtype, which SciPy's own constructors would do. Only ``dok`` and ``lil`` keep
their elements in Python's containers, which are filled anew.

SciPy is imported when a sparse object is at hand, and not before.
"""

from __future__ import annotations

import sys
from typing import Any

MODULE = "scipy.sparse"
FORMATS = ("bsr", "coo", "csc", "csr", "dia", "dok", "lil")
NAMES = frozenset(
    f"{MODULE}.{format}_{kind}" for format in FORMATS for kind in ("array", "matrix")
)


def is_sparse(obj: object) -> bool:
    """Whether ``to_components`` takes it. It is not if nobody has imported SciPy."""
    sparse = sys.modules.get(MODULE)
    name = type(obj).__name__
    return f"{MODULE}.{name}" in NAMES and getattr(sparse, name, None) is type(obj)


def to_components(obj: Any) -> tuple[str, dict[str, Any]]:
    """The name of a sparse object's class, and what it is made of: arrays, a shape, what is known of its
    order. The arrays are its own."""
    if not is_sparse(obj):
        raise TypeError(f"{type(obj).__qualname__} is no sparse array or matrix of SciPy's own")
    fields: dict[str, Any] = {"shape": tuple(int(length) for length in obj.shape)}
    match obj.format:
        case "csr" | "csc" | "bsr":
            fields |= {"data": obj.data, "indices": obj.indices, "indptr": obj.indptr}
            # These SciPy finds out when it is asked; only what it knows already is told.
            known = vars(obj)
            for flag in ("has_canonical_format", "has_sorted_indices"):
                if f"_{flag}" in known:
                    fields[flag] = bool(known[f"_{flag}"])
        case "coo":
            fields |= {"data": obj.data, "coords": list(obj.coords)}
            fields["has_canonical_format"] = bool(obj.has_canonical_format)
        case "dia":
            fields |= {"data": obj.data, "offsets": obj.offsets}
        case "dok":
            # In the order of its keys.
            coo = obj.tocoo()
            fields |= {"data": coo.data, "coords": list(coo.coords)}
        case "lil":
            fields |= _of_lists(obj)
    return f"{MODULE}.{type(obj).__name__}", fields


def from_components(name: str, fields: dict[str, Any]) -> Any:
    """The sparse object of these components. They may come from anywhere: an index beyond the shape, at
    which SciPy would read other memory, is a ``ValueError``."""
    if name not in NAMES:
        raise ValueError(f"{name!r} is no sparse array or matrix of SciPy's")
    import scipy.sparse

    cls = getattr(scipy.sparse, name.removeprefix(f"{MODULE}."))
    try:
        return _BUILD[cls.__name__[:3]](cls, dict(fields))
    except KeyError as missing:
        raise ValueError(f"{name} came without its {missing.args[0]}") from None


def _of_lists(obj: Any) -> dict[str, Any]:
    """The rows of a ``lil``, end to end."""
    import numpy as np

    indptr = np.zeros(len(obj.rows) + 1, np.int64)
    np.cumsum([len(row) for row in obj.rows], out=indptr[1:])
    indices = [index for row in obj.rows for index in row]
    data = np.empty(len(indices), obj.dtype)
    data[:] = [element for row in obj.data for element in row]
    return {"data": data, "indices": np.array(indices, np.int64), "indptr": indptr}


def _array(fields: dict[str, Any], name: str, ndim: int, integers: bool = False) -> Any:
    import numpy as np

    array = fields.pop(name)
    if not isinstance(array, np.ndarray) or array.ndim != ndim:
        raise ValueError(f"{name} is no array of {ndim} dimensions")
    # Of no other does SciPy make indices, and its compiled part knows no other.
    if integers and array.dtype not in (np.int32, np.int64):
        raise ValueError(f"{name} is of {array.dtype}, not of int32 or int64")
    return array


def _shape(fields: dict[str, Any], ndims: range = range(2, 3)) -> tuple[int, ...]:
    shape = tuple(fields.pop("shape"))
    if len(shape) not in ndims or not all(type(n) is int and 0 <= n < 1 << 63 for n in shape):
        raise ValueError(f"{shape} is no shape of this format")
    return shape


def _flags(obj: Any, fields: dict[str, Any]) -> Any:
    # In this order: the first may set the second.
    for flag in ("has_canonical_format", "has_sorted_indices"):
        if flag in fields:
            setattr(obj, flag, bool(fields.pop(flag)))
    return obj


def _within(indices: Any, length: int, name: str) -> None:
    if indices.size and not (0 <= int(indices.min()) and int(indices.max()) < length):
        raise ValueError(f"{name} leads beyond a length of {length}")


def _pointers(indptr: Any, lines: int, most: int) -> int:
    """Checks where lines begin and end; how many elements they have."""
    if indptr.size != lines + 1:
        raise ValueError(f"indptr has {indptr.size} elements for {lines} lines")
    if indptr[0] != 0 or bool((indptr[1:] < indptr[:-1]).any()) or int(indptr[-1]) > most:
        raise ValueError(f"indptr does not rise from 0 to at most {most}")
    return int(indptr[-1])


def _compressed(cls: Any, fields: dict[str, Any]) -> Any:
    block = cls.__name__.startswith("bsr")
    data = _array(fields, "data", 3 if block else 1)
    indices = _array(fields, "indices", 1, integers=True)
    indptr = _array(fields, "indptr", 1, integers=True)
    shape = _shape(fields, range(1, 3) if cls.__name__ == "csr_array" else range(2, 3))
    # One dimension is one row.
    lines, length = shape if len(shape) == 2 else (1, *shape)
    options = {}
    if block:
        rows, columns = data.shape[1:]
        if 0 in (rows, columns) or lines % rows or length % columns:
            raise ValueError(f"{shape} can't be cut into blocks of {rows} x {columns}")
        lines, length = lines // rows, length // columns
        options["blocksize"] = (rows, columns)
    elif cls.__name__.startswith("csc"):
        lines, length = length, lines
    n = _pointers(indptr, lines, min(len(indices), len(data)))
    _within(indices[:n], length, "indices")
    obj = cls(shape, dtype=data.dtype, **options)
    obj.data, obj.indices, obj.indptr = data, indices, indptr
    return _flags(obj, fields)


def _coordinates(cls: Any, fields: dict[str, Any]) -> Any:
    shape = _shape(fields, range(1, 65) if cls.__name__.endswith("array") else range(2, 3))
    data = _array(fields, "data", 1)
    columns = dict(enumerate(fields.pop("coords")))
    if len(columns) != len(shape):
        raise ValueError(f"coordinates of {len(columns)} dimensions for the shape {shape}")
    coords = tuple(_array(columns, axis, 1, integers=True) for axis in range(len(shape)))
    for axis, length in enumerate(shape):
        if len(coords[axis]) != len(data):
            raise ValueError(f"{len(coords[axis])} coordinates for {len(data)} elements")
        _within(coords[axis], length, f"coordinate {axis}")
    obj = cls(shape, dtype=data.dtype)
    obj.data, obj.coords = data, coords
    return _flags(obj, fields)


def _diagonals(cls: Any, fields: dict[str, Any]) -> Any:
    shape, data = _shape(fields), _array(fields, "data", 2)
    offsets = _array(fields, "offsets", 1, integers=True)
    if len(offsets) != len(data):
        raise ValueError(f"{len(offsets)} offsets for {len(data)} diagonals")
    obj = cls(shape, dtype=data.dtype)
    obj.data, obj.offsets = data, offsets
    return obj


def _keys(cls: Any, fields: dict[str, Any]) -> Any:
    import scipy.sparse

    coo = getattr(scipy.sparse, cls.__name__.replace("dok", "coo"))
    fields.pop("has_canonical_format", None)
    obj = _coordinates(coo, fields)
    # No key stands twice, and they keep their order: else SciPy would sort them first.
    obj.has_canonical_format = True
    return obj.todok()


def _lists(cls: Any, fields: dict[str, Any]) -> Any:
    shape, data = _shape(fields), _array(fields, "data", 1)
    indices = _array(fields, "indices", 1, integers=True)
    indptr = _array(fields, "indptr", 1, integers=True)
    n = _pointers(indptr, shape[0], len(data))
    if not n == len(data) == len(indices):
        raise ValueError(f"{len(indices)} indices for {len(data)} elements in rows of {n}")
    _within(indices, shape[1], "indices")
    obj = cls(shape, dtype=data.dtype)
    ends, indices, elements = indptr.tolist(), indices.tolist(), data.tolist()
    for row, (start, end) in enumerate(zip(ends, ends[1:], strict=False)):
        obj.rows[row], obj.data[row] = indices[start:end], elements[start:end]
    return obj


_BUILD = {
    "csr": _compressed,
    "csc": _compressed,
    "bsr": _compressed,
    "coo": _coordinates,
    "dia": _diagonals,
    "dok": _keys,
    "lil": _lists,
}
