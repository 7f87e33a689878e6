"""Data frames of pandas' as tables, and tables as data frames, where no number has to be converted for it.

What pyarrow makes of a frame is what is sent, and what it makes of a table is what is had of it. It takes some 0.6 ms
each way, whatever the size, most of it for names, dtypes and metadata, which are those of the frame before. So it is asked once for each
kind of frame, and what it says is kept: from then on columns of numbers, times and categories go by their arrays, texts by
pyarrow's array of that column alone. What is not known to go so is left to pyarrow.
"""

from __future__ import annotations

import json
import re
import sys
import weakref
from typing import Any

#: Kinds of frames that are kept; with one more all are forgotten.
_MOST = 64
#: Metadata of pyarrow's that begins with an index that is a range, which each frame has its own of.
_RANGE = re.compile(
    r'\{"index_columns": \[\{"kind": "range", "name": (null|"[^"\\]*"), '
    r'"start": (-?\d{1,18}), "stop": (-?\d{1,18}), "step": (-?\d{1,18})\}\](, .*\})\Z',
    re.DOTALL,
)

#: What pyarrow makes of a kind of frame: its schema, and the metadata behind the index; None: not known to be always the same.
_shapes: dict[Any, tuple[Any, str] | None] = {}
#: What it makes of a kind of table; None: that takes pyarrow.
_plans: dict[Any, _Plan | None] = {}
#: The names of columns, by the number of their index, to which it refers.
_columns: dict[int, tuple[Any, tuple[Any, ...]]] = {}
#: Arrow's array of the categories of a categorical, by the number of their index, to which it refers.
_dictionaries: dict[int, tuple[Any, Any]] = {}


def _keep(known: dict[Any, Any], key: Any, value: Any) -> None:
    if len(known) >= _MOST:
        known.clear()
    known[key] = value


def _is_known(pandas: Any) -> bool:
    # Before its third version frames are made in another way.
    return pandas is not None and int(pandas.__version__.partition(".")[0]) >= 3


def shown(frame: Any, shape: Any) -> tuple[Any, str, int, list[Any]] | None:
    """A frame's schema, metadata, rows and columns: arrays of NumPy's, Arrow arrays, and pairs of codes and a dictionary."""
    pandas = sys.modules.get("pandas")
    if not _is_known(pandas) or type(frame) is not pandas.DataFrame or frame.attrs:
        return None
    index, columns = frame.index, frame.columns
    if type(index) is not pandas.RangeIndex or type(columns) is not pandas.Index or not len(index):
        return None
    # A Series of each column takes longer than all the rest. Where pandas has no such method any more, it is made.
    arrays = getattr(frame, "_get_column_array", None) or (lambda at: frame.iloc[:, at].array)
    kinds, parts = [], []
    for at in range(len(columns)):
        kind, part = _part(arrays(at), pandas)
        if kind is None:
            return None
        kinds.append(kind)
        parts.append(part)
    key = (_names(columns), columns.name, index.name, tuple(kinds))
    try:
        known = _shapes[key]
    except KeyError:
        known = _shape(frame, key)
        if known is not None:
            known = shape(known[0]), known[1]
        _keep(_shapes, key, known)
    if known is None:
        return None
    schema, rest = known
    name = "null" if index.name is None else json.dumps(index.name)
    span = f'"start": {index.start}, "stop": {index.stop}, "step": {index.step}'
    return schema, f'{{"index_columns": [{{"kind": "range", "name": {name}, {span}}}]{rest}', len(index), parts


def _names(columns: Any) -> tuple[Any, ...]:
    """An index of columns as what it is known by: its names, and of what type they are."""
    known = _columns.get(id(columns))
    if known is not None and known[0]() is columns:
        return known[1]
    names = (*columns, str(columns.dtype))
    _keep(_columns, id(columns), (weakref.ref(columns), names))
    return names


def _part(array: Any, pandas: Any) -> tuple[Any, Any]:
    """What pyarrow's type of a column follows from, and what holds its elements."""
    import numpy as np

    dtype = array.dtype
    if dtype.kind in "mM" and hasattr(array, "view"):
        return str(dtype), array.view("i8")
    if type(array) is np.ndarray:
        return (dtype, array) if dtype.kind in "iufb" and dtype.isnative else (None, None)
    if isinstance(array, pandas.Categorical):
        codes, categories = array.codes, array.categories
        kind = ("category", codes.dtype, len(categories), array.ordered)
        return kind, (codes, _dictionary(categories))
    if not hasattr(array, "__arrow_array__"):
        return None, None
    import pyarrow

    made = pyarrow.array(array, from_pandas=True)
    if isinstance(made, pyarrow.ChunkedArray):
        if made.num_chunks != 1:
            return None, None
        made = made.chunk(0)
    return str(dtype), made


def _dictionary(categories: Any) -> Any:
    known = _dictionaries.get(id(categories))
    if known is not None and known[0]() is categories:
        return known[1]
    import pyarrow

    # As pyarrow takes them of a categorical.
    made = pyarrow.array(categories.values, from_pandas=True)
    if isinstance(made, pyarrow.ChunkedArray):
        made = made.combine_chunks()
    if len(categories) <= 4096:
        # They may lie in a frame, which is not to be kept. Put together with nothing they are copied, but for what views refer to.
        is_flat = pyarrow.types.is_primitive(made.type) or made.type in (pyarrow.string(), pyarrow.large_string())
        own = pyarrow.concat_arrays([made, made[:0]]) if is_flat else pyarrow.array(made.to_pylist(), made.type)
        _keep(_dictionaries, id(categories), (weakref.ref(categories), own))
    return made


def _shape(frame: Any, key: Any) -> tuple[Any, str] | None:
    """What pyarrow says of a frame with no rows of that kind: schema and metadata are the same, but for the index."""
    (*names, _), name, index_name, _ = key
    texts = [*names, *(text for text in (name, index_name) if text is not None)]
    if not all(type(text) is str for text in texts) or len(set(names)) != len(names):
        return None
    try:
        import pyarrow
    except ImportError:
        return None
    schema = pyarrow.RecordBatchReader.from_stream(frame.iloc[:0]).schema
    metadata = schema.metadata or {}
    found = _RANGE.match(metadata.get(b"pandas", b"").decode())
    if found is None or len(metadata) != 1 or found[1] != json.dumps(index_name):
        return None
    return schema, found[5]


class _Plan:
    """How tables of one kind become frames."""

    def __init__(self, columns: Any, dtypes: list[Any], ways: list[str]) -> None:
        self.columns, self.dtypes, self.ways = columns, dtypes, ways
        #: Of columns of categories, by number and by the bytes of their dictionary.
        self.categories: dict[tuple[int, bytes], Any] = {}


def _key(metadata: str | None, kinds: tuple[str, ...], rows: int) -> tuple[Any, Any] | None:
    """What a kind of table is known by, and the index of this one."""
    pandas = sys.modules.get("pandas")
    if not _is_known(pandas):
        return None
    if metadata is None:
        return (None, kinds), pandas.RangeIndex(rows)
    found = _RANGE.match(metadata)
    if found is None:
        return None
    name, start, stop, step, rest = found.groups()
    if not int(step):
        return None
    span = range(int(start), int(stop), int(step))
    index = pandas.RangeIndex(span, name=None if name == "null" else json.loads(name))
    return ((name, rest, kinds), index) if len(index) == rows else None


def ways(metadata: str | None, kinds: tuple[str, ...], rows: int) -> tuple[_Plan | None, Any, list[str], Any] | None:
    """The plan of a table that takes no conversion, if it is known, and in which way each column is to be given; what it is known by,
    and its index. ``None`` where that is not worth a try."""
    found = _key(metadata, kinds, rows)
    if found is None:
        return None
    key, index = found
    plan = _plans.get(key, False)
    if plan is None:
        return None
    return (plan or None), key, (plan.ways if plan else []), index


def made(plan: _Plan, index: Any, parts: list[Any], split: bool) -> Any:
    """The frame of a table, by its columns: arrays, columns, and pairs of codes and what the dictionary is known by."""
    import numpy as np
    from pandas import Categorical
    from pandas.api.internals import create_dataframe_from_blocks

    # What is not known is seen before anything is made.
    dictionaries = {at: plan.categories.get((at, parts[at][1])) for at, way in enumerate(plan.ways) if way == "codes"}
    if None in dictionaries.values():
        return None
    blocks: list[tuple[Any, Any]] = []
    #: Arrays of a dtype share a block, unless they are to be split.
    shared: dict[Any, list[int]] = {}
    for at, (way, part, dtype) in enumerate(zip(plan.ways, parts, plan.dtypes)):
        if way == "array":
            if split:
                blocks.append((part.reshape(1, -1), np.array([at])))
            else:
                shared.setdefault(dtype, []).append(at)
        elif way == "codes":
            made = Categorical.from_codes(part[0], dtype=dictionaries[at], validate=False)
            blocks.append((made, np.array([at])))
        else:
            blocks.append((dtype.__from_arrow__(part.to_pyarrow()), np.array([at])))
    for dtype, places in shared.items():
        if len(places) == 1 and parts[places[0]].flags.writeable:
            block = parts[places[0]].reshape(1, -1)
        else:
            # In memory of its own, as pyarrow has it where blocks are not split: a user may write to it.
            block = np.empty((len(places), len(index)), dtype)
            for row, at in enumerate(places):
                block[row] = parts[at]
        blocks.append((block, np.array(places)))
    # Whoever names the columns of one frame has not named those of the next.
    return create_dataframe_from_blocks(blocks, index=index, columns=plan.columns.view())


#: The dtypes that pyarrow gives to columns of these types, if they have no nulls.
_NUMBERS = {
    **{f"{sign}Int{bits}": f"{sign.lower()}int{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)},
    **{f"Float{bits}": f"float{bits}" for bits in (16, 32, 64)},
    "Boolean": "bool",
    **{f"Timestamp({unit})": f"datetime64[{unit}]" for unit in ("s", "ms", "us", "ns")},
    **{f"Duration({unit})": f"timedelta64[{unit}]" for unit in ("s", "ms", "us", "ns")},
}


def learn(key: Any, kinds: tuple[str, ...], frame: Any, nulls: list[int], known_by: list[bytes | None]) -> None:
    """Sees what pyarrow has made of a table."""
    import numpy as np
    import pandas

    plan = _plans.get(key, False)
    if plan is None:
        return
    if plan is False:
        types = kinds[1::2]
        if type(frame.columns) is not pandas.Index or len(frame.columns) != len(types) or frame.attrs:
            return _keep(_plans, key, None)
        dtypes = list(frame.dtypes)
        differs = (null and isinstance(dtype, np.dtype) and str(dtype) != _NUMBERS.get(kind) for kind, dtype, null in zip(types, dtypes, nulls))
        if any(differs):
            # What they are without nulls is not to be seen here.
            return None
        ways = [_way(kind, dtype, pandas) for kind, dtype in zip(types, dtypes)]
        # Categories may lie in the frame, which is not to be kept; there is a copy for each dictionary.
        dtypes = [None if way == "codes" else dtype for way, dtype in zip(ways, dtypes)]
        plan = None if None in ways else _Plan(frame.columns, dtypes, ways)
        _keep(_plans, key, plan)
    if plan is None:
        return None
    for at, (way, known) in enumerate(zip(plan.ways, known_by)):
        if way == "codes" and known is not None:
            dtype = _own(frame.dtypes.iloc[at], pandas)
            # Tables of ever new categories are better left to pyarrow than looked at each time.
            if dtype is None or len(plan.categories) >= _MOST:
                return _keep(_plans, key, None)
            plan.categories[at, known] = dtype
    return None


def _way(kind: str, dtype: Any, pandas: Any) -> str | None:
    if _NUMBERS.get(kind) == str(dtype):
        return "array"
    if kind.startswith("Dictionary(") and isinstance(dtype, pandas.CategoricalDtype):
        return "codes"
    masked = ("Int", "UInt", "Float", "boolean")
    is_masked = str(dtype).startswith(masked) and type(dtype).__module__.startswith("pandas.")
    if isinstance(dtype, pandas.StringDtype) or is_masked:
        return "column" if hasattr(dtype, "__from_arrow__") else None
    return None


def _own(dtype: Any, pandas: Any) -> Any:
    """The same categories, in memory of their own: those that pyarrow has made may lie in a frame, which they would keep."""
    of = dtype.categories
    if type(of) is not pandas.Index or not (isinstance(of.dtype, pandas.StringDtype) or of.dtype.kind in "iuf"):
        return None
    return pandas.CategoricalDtype(pandas.Index(of.tolist(), dtype=of.dtype), dtype.ordered)
