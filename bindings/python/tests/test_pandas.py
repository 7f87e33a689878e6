"""Data frames of pandas': what is sent and what comes back is what pyarrow makes of them, also where it is not asked."""

from __future__ import annotations

import gc
import sys
import warnings

import hypothesis
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import strategies as st

import slipring
from slipring import _pandas

NUMBERS = [*"int8 int16 int32 int64 uint8 uint16 uint32 uint64".split()]
FLOATS = ["float16", "float32", "float64"]
UNITS = ["s", "ms", "us", "ns"]
TEXTS = ["", "a", "Zürich", "長い", "x" * 40]


def elements(kind):
    """One column of this kind, by its length."""
    def of(make):
        return lambda n: st.integers(0, 2**32 - 1).map(lambda seed: make(n, np.random.default_rng(seed)))

    def some(draw, n, what, none):
        return [none if draw.random() < 0.2 else what[draw.integers(len(what))] for _ in range(n)]

    if kind in NUMBERS:
        return of(lambda n, draw: draw.integers(0, 2**64, n, "u8").astype(kind))
    if kind in FLOATS:
        odd = [0.0, -0.0, 1.5, np.inf, -np.inf]
        return of(lambda n, draw: np.array(some(draw, n, odd, np.nan if draw.random() < 0.5 else 2.25)).astype(kind))
    if kind == "bool":
        return of(lambda n, draw: draw.random(n) < 0.5)
    if kind.startswith(("datetime64", "timedelta64")):
        return of(lambda n, draw: np.where(draw.random(n) < 0.1, np.int64(-(2**63)), draw.integers(-(10**9), 10**9, n)).view(kind))
    made = {
        "zoned": lambda n, draw: pd.DatetimeIndex(draw.integers(0, 10**9, n).view("M8[s]")).tz_localize("UTC").tz_convert("Europe/Oslo"),
        "str": lambda n, draw: pd.array(some(draw, n, TEXTS, None), dtype="str"),
        "string": lambda n, draw: pd.array(some(draw, n, TEXTS, None), dtype="string"),
        "two chunks": lambda n, draw: pd.concat([pd.Series(some(draw, n // 2, TEXTS, None), dtype="str"), pd.Series(some(draw, n - n // 2, TEXTS, None), dtype="str")]).array,
        "object": lambda n, draw: pd.Series(some(draw, n, TEXTS, None), dtype=object).array,
        "Int64": lambda n, draw: pd.array(some(draw, n, [1, -5, 2**40], None), dtype="Int64"),
        "UInt8": lambda n, draw: pd.array(some(draw, n, [1, 255], None), dtype="UInt8"),
        "Float64": lambda n, draw: pd.array(some(draw, n, [1.5, -2.0], None), dtype="Float64"),
        "boolean": lambda n, draw: pd.array(some(draw, n, [True, False], None), dtype="boolean"),
        "category": lambda n, draw: pd.Categorical(some(draw, n, TEXTS[1:3], None), categories=TEXTS[: 5 - draw.integers(0, 2)]),
        "ordered": lambda n, draw: pd.Categorical(some(draw, n, TEXTS, None), categories=TEXTS, ordered=True),
        "numbered": lambda n, draw: pd.Categorical(some(draw, n, [3, 1, 2], None), categories=[3, 1, 2]),
        "many": lambda n, draw: pd.Categorical.from_codes(draw.integers(-1, 200, n, "i2"), categories=[f"c{i}" for i in range(200)]),
        "dates": lambda n, draw: pd.Categorical(some(draw, n, list(pd.date_range("2026", periods=3)), None)),
        "period": lambda n, draw: pd.period_range("2026-01", periods=n, freq="M").array,
        "arrow": lambda n, draw: pd.array(some(draw, n, [1, 2], None), dtype=pd.ArrowDtype(pa.int16())),
        "strided": lambda n, draw: draw.random((n, 3))[:, 1],
        "big": lambda n, draw: draw.random(n).astype(">f8"),
    }
    return of(made[kind])


KINDS = [
    *NUMBERS, *FLOATS, "bool", *(f"datetime64[{unit}]" for unit in UNITS), *(f"timedelta64[{unit}]" for unit in UNITS),
    *"zoned str string object Int64 UInt8 Float64 boolean category ordered numbered many dates period arrow strided".split(), "two chunks",
]  # fmt: skip

INDEXES = [
    lambda n: pd.RangeIndex(n),
    lambda n: pd.RangeIndex(5, 5 + 3 * n, 3, name="row"),
    lambda n: pd.RangeIndex(n - 1, -1, -1, name='a "quoted" name'),
    lambda n: pd.Index([f"r{i}" for i in range(n)], dtype="str"),
    lambda n: pd.date_range("2026-01-01", periods=n),
    lambda n: pd.MultiIndex.from_tuples([(i, str(i)) for i in range(n)], names=["a", "b"]),
]


@st.composite
def frames(draw):
    """Several frames of one kind: the first ones teach, the others are to go without pyarrow."""
    names = draw(st.lists(st.sampled_from(["a", "b", "ü", "with \"quotes\"", "d", "index"]), min_size=1, max_size=5, unique=True))
    kinds = [draw(st.sampled_from(KINDS)) for _ in names]
    index = draw(st.sampled_from(INDEXES[:1] * 5 + INDEXES))
    name = draw(st.sampled_from([None, None, "columns"]))
    made = []
    for _ in range(4):
        n = draw(st.integers(0, 20))
        frame = pd.DataFrame({name: draw(elements(kind)(n)) for name, kind in zip(names, kinds)}, index=None)
        if draw(st.booleans()):
            # One block for each dtype.
            frame = frame.copy()
        frame.index = index(n) if n else pd.RangeIndex(0)
        frame.columns.name = name
        made.append(frame)
    return made


def assert_same(got, expected):
    pd.testing.assert_frame_equal(got, expected, check_exact=True, check_freq=True)
    assert type(got.index) is type(expected.index) and got.attrs == expected.attrs
    assert got.columns.dtype == expected.columns.dtype and got.columns.name == expected.columns.name
    for at in range(len(got.columns)):
        ours, theirs = got.iloc[:, at].array, expected.iloc[:, at].array
        assert type(ours) is type(theirs)
        if isinstance(theirs, pd.Categorical):
            assert ours.codes.dtype == theirs.codes.dtype and type(ours.categories) is type(theirs.categories)
            assert ours.categories.dtype == theirs.categories.dtype and ours.ordered == theirs.ordered
            assert (ours.codes == theirs.codes).all()
    # Who may write to a column of pyarrow's may write to ours, and never to the frame.
    assert writable(got) == writable(expected)


def writable(frame):
    blocks = [frame._mgr.blocks[at].values for at in frame._mgr.blknos]
    arrays = [getattr(values, "_ndarray", values) for values in blocks]
    return [array.flags.writeable for array in arrays if isinstance(array, np.ndarray)]


@hypothesis.given(frames())
@hypothesis.settings(max_examples=400, deadline=None, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
def test_what_is_sent_and_what_comes_is_what_pyarrow_makes(both, made):
    """R1.1, R2.3: types, nulls, index and pandas' metadata are those of pyarrow's own conversion."""
    tx, rx = both
    for frame in made:
        tx.send(frame, format="arrow", timeout=5)
        table = rx.recv(5).table
        expected = pa.table(frame)
        sent = table.to_pyarrow()
        assert sent.schema.equals(expected.schema, check_metadata=True)
        assert sent.schema.metadata == expected.schema.metadata
        # NaN is no value in pyarrow's eyes either, so that there are none to differ.
        assert sent.equals(expected)
        for options in ({}, {"split_blocks": True}, {"split_blocks": False}):
            assert_same(table.to_pandas(**options), sent.to_pandas(**options))


@pytest.fixture
def looked(monkeypatch):
    """How many frames went each way without pyarrow."""
    found = {"shown": 0, "made": 0}

    def counted(name):
        def call(*args):
            result = original(*args)
            found[name] += result is not None
            return result

        original = getattr(_pandas, name)
        monkeypatch.setattr(_pandas, name, call)

    for name in found:
        counted(name)
    for known in (_pandas._shapes, _pandas._plans, _pandas._dictionaries, _pandas._columns):
        known.clear()
    return found


def ordinary(n):
    draw = np.random.default_rng(n)
    return pd.DataFrame(
        {
            "id": np.arange(n),
            "price": np.where(draw.random(n) < 0.1, np.nan, draw.random(n)),
            "day": draw.integers(0, 100, n, "i4"),
            "at": np.arange(n).view("M8[ms]"),
            "zoned": pd.date_range("2026", periods=n, tz="UTC"),
            "ok": draw.random(n) < 0.5,
            "city": pd.Categorical(draw.choice(["Oslo", "Lima"], n), categories=["Oslo", "Lima"]),
            "note": pd.array([f"note {i}" for i in range(n)], dtype="str"),
        }
    )


def test_ordinary_frames_go_without_pyarrow(both, looked):
    """R1.1: what is kept of the first frame is used for the next, of whatever length."""
    tx, rx = both
    for n in (10, 10, 20, 500):
        frame = ordinary(n).drop(columns="zoned")
        tx.send(frame, timeout=5)
        assert_same(rx.recv(5).value.to_pandas(), pa.table(frame).to_pandas())
    assert looked == {"shown": 4, "made": 3}
    tx.send(ordinary(10), timeout=5)
    rx.recv(5).release()
    assert looked["shown"] == 5


def test_columns_of_numbers_lie_in_the_frame(both):
    """R2.3: with blocks of their own, columns are views."""
    tx, rx = both
    for _ in range(3):
        tx.send(ordinary(1000)[["id", "day"]], timeout=5)
        frame = rx.recv(5)
        made = frame.value.to_pandas(split_blocks=True)
        start = frame.address
        for name in made:
            assert 0 <= made[name].to_numpy().ctypes.data - start < frame.header.body_len
            assert not made[name].to_numpy().flags.writeable


def test_nothing_that_is_kept_keeps_a_frame(looked):
    """R8.4: what is known of kinds of frames, and of categories, is no view of any."""
    with slipring.create(anonymous=True, capacity="2 MiB") as ring:
        tx, rx = ring.producer(), ring.consumer()
        first = ordinary(4000).drop(columns="zoned")
        tx.send(pa.table(first), timeout=5)
        for n in range(30):
            # Some 180 KB each: kept, they would fill the ring.
            made = rx.recv(5).value.to_pandas(split_blocks=True)
            first = made.assign(city=made["city"].cat.rename_categories([f"Oslo {n}", f"Lima {n}"]))
            tx.send(first if n % 3 else made, timeout=5)
            del made
        del first
        rx.recv(5).release()
        gc.collect()
        assert looked["made"] > 5
        assert ring.inspect().held == 0


def test_names_given_to_one_frame_are_not_the_next_ones(both):
    tx, rx = both

    def through():
        tx.send(ordinary(5), timeout=5)
        return rx.recv(5).value.to_pandas()

    for _ in range(3):
        frame = through()
        assert frame.columns.name is None and frame.attrs == {}
        frame.columns.name, frame.index.name, frame.attrs["a"] = "mine", "rows", 1
    frame = ordinary(5)
    for name in ("one", None, "other"):
        frame.columns.name = name
        tx.send(frame, timeout=5)
        assert rx.recv(5).value.to_pandas().columns.name == name


def test_frames_that_look_alike_are_told_apart(both):
    """Names that are equal and not the same, other dtypes, attributes, other classes."""
    tx, rx = both
    plain = pd.DataFrame({"a": [1, 2], "b": [0.5, 1.5]})
    others = [
        plain.astype({"a": "float64"}),
        plain.rename(columns={"a": 1}),
        plain.rename(columns={"a": True}),
        plain.rename(columns={"a": 1.0}),
        plain.set_axis(pd.Index(["a", "b"], dtype=object), axis=1),
        plain.set_axis(pd.RangeIndex(2), axis=1),
        plain.set_axis(pd.Index(["2026-01-01", "2026-01-02"], dtype="M8[ns]"), axis=1),
        plain.rename_axis(index=5),
        plain.rename_axis(index="5"),
    ]
    noted = plain.copy()
    noted.attrs["unit"] = "m"
    for frame in [plain, *others, noted, plain, *others, plain]:
        with warnings.catch_warnings():
            # Of names that are no texts.
            warnings.simplefilter("ignore", UserWarning)
            expected = pa.table(frame)
            tx.send(frame, timeout=5)
        got = rx.recv(5).value
        assert got.to_pyarrow().schema.metadata == expected.schema.metadata
        assert_same(got.to_pandas(), expected.to_pandas())


@pytest.mark.parametrize(
    "index",
    ['"start": 0, "stop": 3, "step": 0', '"start": 0, "stop": 3, "step": -0', '"start": 0, "stop": 999999999999999999, "step": 1', '"start": 9, "stop": 0, "step": 1', '"start": 0, "stop": 3, "step": 1'],
)
def test_metadata_that_lies_makes_the_frame_that_pyarrow_makes(both, index):
    """P9: metadata is a peer's to write."""
    tx, rx = both
    table = pa.table({"a": [1, 2, 3]})
    rest = '"column_indexes": [], "columns": [], "attributes": {}, "creator": {"library": "x", "version": "1"}, "pandas_version": "3"}'
    text = f'{{"index_columns": [{{"kind": "range", "name": null, {index}}}], {rest}'
    told = table.replace_schema_metadata({"pandas": text})
    for _ in range(3):
        tx.send(told, timeout=5)
        value = rx.recv(5).value
        try:
            expected = told.to_pandas()
        except ValueError:
            with pytest.raises(ValueError):
                value.to_pandas()
        else:
            assert_same(value.to_pandas(), expected)


def column(kind, values):
    """A column of Arrow's; of a dictionary, with all of its values."""
    if pa.types.is_dictionary(kind):
        places = [None if value is None else ["a", "b"].index(value) for value in values]
        return pa.DictionaryArray.from_arrays(pa.array(places, kind.index_type), ["a", "b"], ordered=kind.ordered)
    return pa.array(values, kind)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        *((kind, [0, 1, 1]) for kind in (pa.int8(), pa.uint16(), pa.int64(), pa.float64())),
        (pa.float16(), [np.float16(0), np.float16(1), np.float16(2)]),
        (pa.bool_(), [True, False, True]),
        *((kind, [0, 10, 20]) for kind in (pa.timestamp("us"), pa.timestamp("s", "UTC"), pa.duration("s"), pa.date32())),
        *((kind, ["a", "b", "a"]) for kind in (pa.string(), pa.large_string(), pa.string_view())),
        *((pa.dictionary(index, pa.string(), ordered), ["a", "b", "a"]) for index in (pa.int8(), pa.uint32()) for ordered in (False, True)),
        (pa.list_(pa.int8()), [[1], [], [2]]),
    ],
    ids=str,
)
def test_nulls_come_and_go(both, kind, values):
    """R1.1: what the columns of one frame are with nulls is not what those of the next are without."""
    tx, rx = both
    plain, some = column(kind, values), column(kind, [values[0], None, None])
    for given in (some, plain, plain, some, plain, some):
        tx.send(pa.table({"a": given}), timeout=5)
        got = rx.recv(5).table
        for options in ({}, {"split_blocks": True}):
            assert_same(got.to_pandas(**options), got.to_pyarrow().to_pandas(**options))


@pytest.mark.filterwarnings("ignore::slipring.PickleWarning")
def test_a_frame_that_arrow_refuses_goes_otherwise(looked, monkeypatch):
    """R1.1, R1.2: what pyarrow says of its categories, or that it is missing, is the reason for another format, and no error of its own."""
    mixed = pd.DataFrame({"c": pd.Categorical([1, "a"])})
    # With texts for names pandas needs pyarrow for a pickle, too.
    numbered = pd.DataFrame({"c": pd.Categorical([3, 1])}).set_axis(pd.Index(["c"], dtype=object), axis=1)
    with slipring.create(anonymous=True) as ring:
        tx, rx = ring.producer(), ring.consumer(pickle=True)

        def goes_otherwise(frame, cause):
            tx.send(frame, timeout=1)
            got = rx.recv(1)
            assert got.format == "pickle"
            pd.testing.assert_frame_equal(got.value, frame)
            with pytest.raises(slipring.EncodeError, match="does not come as Arrow") as raised:
                tx.send(frame, format="arrow", timeout=1)
            assert isinstance(raised.value.__cause__, cause) and raised.value.path == "$"

        goes_otherwise(mixed, pa.ArrowInvalid)
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        goes_otherwise(numbered, ImportError)


def test_ever_new_categories_are_left_to_pyarrow(both, looked):
    """A kind of tables whose categories are others each time is not looked up for ever, nor are its texts made for nothing."""
    tx, rx = both

    def through(n):
        city = pd.Categorical.from_codes([0, 1], categories=[f"Oslo {n}", f"Lima {n}"])
        frame = pd.DataFrame({"note": pd.array(["a", "b"], dtype="str"), "city": city})
        tx.send(frame, timeout=5)
        assert_same(rx.recv(5).value.to_pandas(), pa.table(frame).to_pandas())

    for n in range(80):
        through(n)
    assert looked["made"] == 0 and list(_pandas._plans.values()) == [None]
    through(79)
    assert looked["made"] == 0


def test_categories_that_are_kept_are_ones_own(both, looked):
    """R8.4: also those that Arrow shares unasked: slices, views of texts."""
    for categories in (pd.Index([3, 1, 2]), pd.Index(["a", "b", "c" * 40], dtype="str"), pd.Index([0.5, 1.5])):
        own = _pandas._dictionary(categories), _pandas._dictionary(categories)
        assert own[0].to_pylist() == own[1].to_pylist() == categories.tolist()
        shown = {buffer.address for buffer in pa.array(categories.values, from_pandas=True).buffers() if buffer}
        assert not shown & {buffer.address for buffer in own[1].buffers() if buffer}
