"""Records: which lists of dicts and of objects go as tables, and that they come back as they were."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import re
import uuid
import zoneinfo

import hypothesis
import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import strategies as st

import slipring


def there_and_back(both, table, **options):
    tx, rx = both
    tx.send(table, timeout=5, **options)
    return rx.recv(5)


def records(n, **fields):
    return [{"id": i, "name": f"n{i}", "half": i / 2, "odd": i % 2 == 1, "raw": b"%d" % i, **fields} for i in range(n)]

UTC = datetime.timezone.utc

EAST = datetime.timezone(datetime.timedelta(hours=5, minutes=30))

WEST = datetime.timezone(-datetime.timedelta(hours=23, minutes=59))


def exactly(one, two):
    """Also the same types, and keys in the same order."""
    return repr(one) == repr(two) and type(one) is type(two)


def test_records_go_as_a_table_and_come_back_as_records(both):
    """R1.1, R2.2: many dicts with the same keys and types; the value is the list as it was sent."""
    for sent in (
        records(200),
        records(200, none=None),
        [{"a": i} if i % 3 else {"a": i, "b": "x"} for i in range(200)],
        [{"a": i if i % 3 else None} for i in range(200)],
        [{"u": 2**64 - 1 - i} for i in range(200)],
        [{"u": 2**62 * (i % 4)} for i in range(200)],
        [{"f": f} for f in [float("nan"), float("inf"), -0.0, 1e300] * 50],
    ):
        frame = there_and_back(both, sent)
        assert frame.format == "arrow" and exactly(frame.value, sent), sent[:3]
        assert frame.table.num_rows == 200
        assert slipring.explain(sent).format == "arrow"
    assert pl.DataFrame(there_and_back(both, records(200)))["id"].sum() == 19900


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (records(127), "127 records: .* from 128 on"),
        ([{"a": 1}] * 150 + [{"a": 1.0}], "a float under"),
        ([{"a": 1}] * 150 + [{"a": True}], "a bool under"),
        ([{"a": -1}] * 150 + [{"a": 2**63}], "2\\^63"),
        ([{"a": 2**64}] * 150, "int"),
        ([{"a": 1, "b": None}] * 150 + [{"a": 1}], "missing here and null"),
        ([{"a": 1, "b": 2}] * 150 + [{"b": 1, "a": 2}], "another order"),
        ([{"a": (1,)}] * 150, "tuple"),
        ([{1: 2}] * 150, "no text"),
        ([{"a": 1}] * 150 + [5], "record 150"),
        ([{}] * 150, "no record has a value"),
        ([{"a": None}] * 150, "no record has a value"),
        ([{"a": {"b": None}}] * 150, "no record has a value"),
        ([{"a": [None] * 20_000}] * 150, "too few bytes"),
        ([{"a": [{"b": 1}]}] * 150 + [{"a": [{"b": "x"}]}], "a text under .a\\[\\].b., where there was an integer"),
        ([{"a": [1]}] * 150 + [{"a": 1}], "an integer under .a., where there was a list"),
        ([{"a": 1}] * 150 + [{"a": {"b": 1}}], "a map under .a., where there was an integer"),
        ([{"a": {"b": 1}}] * 150 + [{"a": {}}], "keys are none"),
        ([{"a": {"b": 1}}] * 150 + [{"a": {"c": 1}}], "not those of the first"),
        ([{"a": {"b": 1, "c": 2}}] * 150 + [{"a": {"b": 1}}], "not those of the first"),
        ([{"a": {"b": 1}}] * 150 + [{"a": {"b": 1, "c": 2}}], "not those of the first"),
        ([{"a": {"b": 1, "c": 2}}] * 150 + [{"a": {"c": 1, "b": 2}}], "not those of the first"),
        ([{"a": {1: 2}}] * 150, "no text"),
        ([{"a": [[(1,)]]}] * 150, "tuple under .a\\[\\]\\[\\]."),
        ([{"a": [{"b": {1}}]}] * 150, "set under .a\\[\\].b."),
        ([{"a": decimal.Decimal("1.0")}] * 150 + [{"a": decimal.Decimal("1.00")}], "more or fewer digits"),
        ([{"a": decimal.Decimal("-0")}] * 150, "Decimal"),
        ([{"a": decimal.Decimal("NaN")}] * 150, "Decimal"),
        ([{"a": decimal.Decimal("9" * 39)}] * 150, "Decimal"),
        ([{"a": decimal.Decimal("1E-39")}] * 150, "Decimal"),
        ([{"a": datetime.timedelta.max}] * 150, "timedelta"),
        ([{"a": datetime.date(2020, 1, 1)}] * 150 + [{"a": datetime.datetime(2020, 1, 1)}], "a date and time of whole seconds under"),
        ([{"a": datetime.datetime(2020, 1, 1)}] * 150 + [{"a": datetime.datetime(2020, 1, 1, 1, 1, 1, 1)}], "with microseconds under"),
        ([{"a": datetime.time(1)}] * 150 + [{"a": datetime.time(1, 1, 1, 1)}], "with microseconds under"),
        ([{"a": datetime.datetime(2020, 1, 1)}] * 150 + [{"a": datetime.datetime(2020, 1, 1, tzinfo=UTC)}], "a point in time of whole"),
        ([{"a": datetime.datetime(2020, 1, 1, tzinfo=zone)} for zone in [UTC, EAST] * 80], "another offset"),
        ([{"a": datetime.datetime(2020, 1, 1, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin"))}] * 150, "datetime"),
    ],
)
def test_records_that_are_no_table_go_as_values(both, sent, why):
    """R2.5: nothing changes its type on the way; explain says what kept them from a table."""
    frame = there_and_back(both, sent)
    assert frame.format == "value" and exactly(frame.value, sent)
    told = slipring.explain(sent)
    [arrow] = [candidate for candidate in told.candidates if candidate.format == "arrow"]
    assert not arrow.fits and re.search(why, arrow.reason), arrow.reason


@hypothesis.given(
    rows=st.lists(
        st.dictionaries(
            st.sampled_from("abcd"),
            st.none() | st.booleans() | st.integers(-(2**65), 2**65) | st.floats() | st.text(max_size=3) | st.binary(max_size=3),
        ),
        min_size=128,
        max_size=132,
    )
    | st.fixed_dictionaries({"a": st.none() | st.integers(-(2**63), 2**64 - 1), "b": st.text(max_size=4)}).flatmap(
        lambda row: st.lists(st.sampled_from([row, {"a": 1, "b": ""}, {"a": None, "b": "x"}]), min_size=128, max_size=132)
    )
)
@hypothesis.settings(max_examples=150, deadline=None, suppress_health_check=list(hypothesis.HealthCheck))
def test_any_records_come_back_as_they_were(both, rows):
    """R1.1, R2.5: whichever format was taken."""
    assert exactly(there_and_back(both, rows).value, rows)


def whole(moment):
    return moment.replace(microsecond=0, fold=0)


def fine(moment):
    return moment.replace(microsecond=moment.microsecond or 1, fold=0)


def in_order(**fields):
    return st.tuples(*fields.values()).map(lambda values: dict(zip(fields, values)))

DAYS = [datetime.date.min, datetime.date(1, 2, 28), datetime.date(1600, 2, 29), datetime.date(1899, 12, 31), datetime.date(1969, 12, 31)]

DAYS += [datetime.date(1970, 1, 1), datetime.date(2000, 2, 29), datetime.date(2000, 3, 1), datetime.date(2100, 2, 28), datetime.date.max]

MOMENTS = st.datetimes() | st.sampled_from([datetime.datetime.min, datetime.datetime.max])

RICH = {
    "dates": st.dates() | st.sampled_from(DAYS),
    "moments": MOMENTS.map(fine),
    "whole moments": MOMENTS.map(whole),
    "utc": MOMENTS.map(lambda moment: fine(moment).replace(tzinfo=UTC)),
    "east": MOMENTS.map(lambda moment: whole(moment).replace(tzinfo=EAST)),
    "west": MOMENTS.map(lambda moment: fine(moment).replace(tzinfo=WEST)),
    "times": st.times().map(fine),
    "whole times": st.times().map(whole),
    "durations": st.timedeltas(min_value=datetime.timedelta(days=-(10**8)), max_value=datetime.timedelta(days=10**8)),
    "decimals": st.integers(-(10**38) + 1, 10**38 - 1).map(lambda n: decimal.Decimal(n).scaleb(-7, decimal.Context(prec=60))),
    "thousands": st.integers(-99, 99).map(lambda n: decimal.Decimal(f"{n}E+3")),
    "ids": st.uuids(),
    "bytes": st.binary(max_size=5),
    "lists": st.lists(st.none() | st.integers(-5, 2**63), max_size=4),
    "lists of lists": st.lists(st.lists(st.dates(), max_size=3), max_size=3),
    "dicts": in_order(x=st.floats(), deep=in_order(id=st.none() | st.uuids(), t=st.text(max_size=2))),
    "lists of dicts": st.lists(in_order(at=MOMENTS.map(whole), ok=st.none() | st.booleans()), max_size=3),
}


@pytest.mark.parametrize("kind", RICH)
@hypothesis.given(data=st.data())
@hypothesis.settings(max_examples=25, deadline=None, suppress_health_check=list(hypothesis.HealthCheck))
def test_rich_records_go_as_a_table(both, kind, data):
    """R1.1, R2.2, R2.5: dates, times, decimals, UUIDs, lists and dicts in records, with and without nulls: the same types and values."""
    some = data.draw(st.lists(RICH[kind], min_size=1, max_size=8))
    some += [None] * data.draw(st.integers(0, 1))
    rows = [{"a": some[i % len(some)], "id": i} for i in range(130)]
    frame = there_and_back(both, rows)
    assert exactly(frame.value, rows), rows[:8]
    # Of floats that are no numbers, and of types that pyarrow has other ones for, it can't be asked.
    if kind not in ("thousands", "east", "west", "dicts"):
        table = pa.table(frame.table)
        table.validate(full=True)
        assert table.to_pylist() == rows
    assert frame.format == "arrow"


def test_columns_of_records_have_fitting_types(both):
    """R2.2: what other libraries see of them; a list that is cut short goes with what it has."""
    row = {
        "day": datetime.date(2024, 2, 29),
        "at": datetime.datetime(2024, 2, 29, 1, 2, 3, tzinfo=UTC),
        "local": datetime.datetime(2024, 2, 29, 1, 2, 3, 4),
        "east": datetime.datetime(2024, 2, 29, 1, 2, 3, tzinfo=EAST),
        "of_day": datetime.time(1, 2, 3),
        "took": datetime.timedelta(days=-1, microseconds=5),
        "price": decimal.Decimal("-12.50"),
        "key": uuid.UUID(int=7),
        "tags": ["a", None],
        "place": {"x": 1.5, "names": [[b"n"]]},
        "none": {"a": [], "b": None},
    }
    frame = there_and_back(both, [row] * 128)
    assert exactly(frame.value, [row] * 128)
    table = pa.table(frame.table)
    assert {field.name: str(field.type) for field in table.schema} == {
        "day": "date32[day]",
        "at": "timestamp[s, tz=UTC]",
        "local": "timestamp[us]",
        "east": "timestamp[s, tz=+05:30]",
        "of_day": "time32[s]",
        "took": "duration[us]",
        "price": "decimal128(4, 2)",
        "key": "extension<arrow.uuid>",
        "tags": "list<item: string>",
        "place": "struct<x: double not null, names: list<item: list<item: binary not null> not null> not null>",
        "none": "struct<a: list<item: null> not null, b: null>",
    }
    assert frame.table["key"].to_pylist() == [uuid.UUID(int=7)] * 128
    assert frame.table.to_pydict()["day"] == [row["day"]] * 128
    assert pl.DataFrame(there_and_back(both, [{k: row[k] for k in ("day", "at", "price", "tags", "place")}] * 128))["tags"].to_list() == [["a", None]] * 128


def test_nulls_around_lists_and_dicts_are_kept(both):
    """R2.5: what is null since all around it is, and what is null itself."""
    deep = {"k": 1, "l": [1, None], "d": {"t": "x"}}
    for rows in (
        [{"a": None}] * 100 + [{"a": deep}] * 100 + [{"a": None}],
        [{"a": deep}] * 150 + [{}] + [{"a": deep}],
        [{"a": [None, deep, None]}, {"a": []}, {"a": None}] * 60,
        [{"a": {"k": None, "l": None, "d": None}}, {"a": deep}] * 100,
        [{"a": [[None, []], None]}] * 150 + [{"a": [[None, [1]]]}],
    ):
        frame = there_and_back(both, rows)
        assert frame.format == "arrow" and exactly(frame.value, rows), rows[:2]


def test_what_never_ends_is_no_table(both):
    """R1.2, P9: a list in itself, lists beyond all depth."""
    rounds, deep = [], 1
    rounds.append(rounds)
    for _ in range(64):
        deep = [deep]
    for odd in (rounds, deep):
        with pytest.raises(slipring.EncodeError, match="list inside of 63 others under"):
            both[0].send([{"a": odd}] * 200, format="arrow")
    assert exactly(there_and_back(both, [{"a": deep}] * 200).value, [{"a": deep}] * 200)


@dataclasses.dataclass
class Line:
    start: Point
    points: list
    at: datetime.date


@dataclasses.dataclass
class Point:
    x: float
    label: str


def test_what_is_asked_to_be_a_table(both):
    """R1.1: dicts of columns, dataclasses and few records, with format="arrow"."""
    columns = {"n": np.arange(4, dtype="i4"), "s": ["a", None, "c", "d"], "p": pa.array([1.5, 2, 3, 4]), "b": np.array([True] * 4), "r": np.arange(8.0)[::2]}
    table = there_and_back(both, columns, format="arrow").value
    assert pa.table(table).to_pydict() == {"n": [0, 1, 2, 3], "s": ["a", None, "c", "d"], "p": [1.5, 2, 3, 4], "b": [True] * 4, "r": [0, 2, 4, 6]}
    points = [Point(1.0, "a"), Point(2.0, "b")]
    assert there_and_back(both, points, format="arrow").table.to_pydict() == {"x": [1.0, 2.0], "label": ["a", "b"]}
    day = datetime.date(2024, 2, 29)
    lines = there_and_back(both, [Line(points[0], points, day)], format="arrow").value
    assert lines == [{"start": {"x": 1.0, "label": "a"}, "points": [{"x": 1.0, "label": "a"}, {"x": 2.0, "label": "b"}], "at": day}]
    columns = {"when": [day, None], "which": [[points[0]], []]}
    assert there_and_back(both, columns, format="arrow").value.to_pydict() == {"when": [day, None], "which": [[{"x": 1.0, "label": "a"}], []]}
    for wrong in ({"a": [1], "b": [1, 2]}, {"a": [1, "x"]}, {"a": np.zeros((2, 2))}, {"a": object()}, 5, "text", [], [1]):
        with pytest.raises(slipring.EncodeError):
            both[0].send(wrong, format="arrow", timeout=1)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (2**64, "int beyond 64 bits"),
        (-(2**63) - 1, "int beyond 64 bits"),
        ("\ud800", "str with a lone surrogate"),
        (decimal.Decimal("-0"), "decimal.Decimal that is -0, no number or beyond 38 digits"),
        (datetime.datetime(2026, 1, 1, tzinfo=zoneinfo.ZoneInfo("Europe/Oslo")), "datetime.datetime with a fold or a zone that is no mere offset"),
        (datetime.time(2, fold=1), "datetime.time with a fold or a zone that is no mere offset"),
        (1j, "complex"),
    ],
)
def test_what_columns_have_no_place_for_is_told(both, value, told):
    """R2.3, R5.5: not only its type, where columns have that type."""
    rows = [{"a": None}] * 128 + [{"a": value}]
    if value != "\ud800":  # only a pickle holds that
        (arrow,) = [one for one in slipring.explain(rows).candidates if one.format == "arrow"]
        assert not arrow.fits and arrow.reason == f'record 128 has an object of type {told} under "a"'
    with pytest.raises(slipring.EncodeError, match=f"record 1 has an object of type {told} under"):
        both[0].send([{"a": None}, {"a": value}], format="arrow", timeout=1)
    with pytest.raises(slipring.EncodeError, match=f'row 1 of column "a" has an object of type {told}'):
        both[0].send({"a": [None, value]}, format="arrow", timeout=1)


def test_a_tuple_of_records_is_a_table_where_it_is_asked_for(both):
    """R1.1, R9.1: as a list of them; what is none is told by what it holds."""
    records = ({"a": 1, "b": "x"}, {"a": 2, "b": None})
    assert there_and_back(both, records, format="arrow").value == list(records)
    for given, said in (((1, 2), "a tuple of int is no table"), ([1], "a list of int is no table"), ([], "an empty list"), ((), "an empty tuple")):
        with pytest.raises(slipring.EncodeError, match=said):
            both[0].send(given, format="arrow", timeout=1)


def test_why_a_dict_is_no_table_is_explained():
    """R1.5: where it has columns; another one is no table anyway."""
    many = list(range(5000))
    for given, reason in (
        ({"a": [1], "b": 3}, 'column "b" is of type int'),
        ({"a": 3, "b": [1]}, 'column "a" is of type int'),
        ({"a": [1], "b": [1, 2]}, 'column "b" has 2 elements, the first 1'),
        ({"a": many, "b": many[1:]}, 'column "b" has 4999 elements, the first 5000'),
        ({"a": [{1}]}, 'row 0 of column "a" has an object of type set'),
    ):
        (arrow,) = [one for one in slipring.explain(given).candidates if one.format == "arrow"]
        assert not arrow.fits and reason in arrow.reason
        with pytest.raises(slipring.EncodeError) as refused:
            slipring.create(anonymous=True).producer().send(given, format="arrow")
        assert arrow.reason in str(refused.value)
    assert "arrow" not in {one.format for one in slipring.explain({"a": 1}).candidates}


def test_tables_that_are_asked_for_may_hold_nulls_alone(both):
    """R1.1, R2.2: as pyarrow has it, any number of them; without a key there is no table."""
    for records in ([{"a": None}] * 3, [{"a": None}, {"b": None}], [{"a": {"b": None}}], [{"a": [None]}, {"a": []}]):
        frame = there_and_back(both, records, format="arrow")
        names = sorted({name for record in records for name in record})
        got = pa.table(frame.table)
        got.validate(full=True)
        assert got.to_pylist() == [{name: record.get(name) for name in names} for record in records]
        assert names != ["a"] or got.schema.types == pa.Table.from_pylist(records).schema.types
        assert frame.value == [{name: record.get(name) for name in names} for record in records]
    columns = {"a": [1, 2], "b": [None, None], "c": (None, None), "d": np.array([None, None], object)}
    got, expected = pa.table(there_and_back(both, columns, format="arrow").value), pa.table({name: list(column) for name, column in columns.items()})
    assert (got.to_pydict(), got.schema.types) == (expected.to_pydict(), expected.schema.types)
    many = 5_000_000
    assert there_and_back(both, {"a": [None] * many}, format="arrow").value["a"].null_count == many
    for nothing in ([{}, {}], [{}]):
        with pytest.raises(slipring.EncodeError, match="no record has a value"):
            both[0].send(nothing, format="arrow", timeout=1)


def test_records_that_are_asked_to_be_a_table_come_together(both):
    """R2.2: what pyarrow takes without loss: numbers of two kinds, keys in any order and missing within, times of any fineness."""
    tx = both[0]

    def table(records):
        return pa.table(there_and_back(both, records, format="arrow").table)

    cents = [decimal.Decimal("1.5"), decimal.Decimal("-0.25"), decimal.Decimal(3)]
    noon = datetime.datetime(2026, 1, 1, 12)
    for records in (
        [{"n": 1}, {"n": 2.5}, {"n": None}, {"n": 2**53}],
        [{"n": 0.5}, {"n": -(2**53)}],
        [{"d": cent} for cent in cents],
        [{"t": noon}, {"t": noon.replace(microsecond=1)}],
        [{"t": noon.time()}, {"t": noon.time().replace(microsecond=1)}],
        [{"a": 1, "b": 2}, {"b": 3, "a": 4}, {"c": None, "b": 1}, {}],
        [{"r": {"a": 1}}, {"r": {"b": "x", "a": 2}}, {"r": None}, {"r": {}}],
        [{"l": [{"a": 1}, {"b": [1, 0.5]}]}, {"l": []}],
        [{"l": (1, 2)}, {"l": np.arange(2)}, {"l": range(3)}],
        [{"n": np.float64(0.5)}, {"n": np.int64(1)}, {"n": np.int8(3)}],
    ):
        expected = [{key: list(value) if isinstance(value, (tuple, range, np.ndarray)) else value for key, value in record.items()} for record in records]
        expected = pa.Table.from_pylist(expected)
        names = sorted({name for record in records for name in record})
        got = table(records)
        assert sorted(got.column_names) == names
        for name in names:
            whole = pa.array([record.get(name) for record in got.to_pylist()])
            assert whole.to_pylist() == pa.array([pythonic(record.get(name)) for record in records]).to_pylist(), records
    assert table([{"n": 1}, {"n": 0.5}]).schema.field("n").type == pa.float64()
    for records, path, said in (
        ([{"n": 1}, {"n": "x"}], "$[1].n", "record 1 has a text"),
        ([{"n": 0.5}, {"n": 1}, {"n": 2**53 + 1}], "$[2].n", "no float holds exactly"),
        ([{"r": {"a": 1}}, {"r": {"a": "x"}}], "$[1].r.a", "record 1 has a text"),
        ([{"n": 1}, {"n": object()}], "$[1].n", "object"),
        ([{"n": 1}, {"n": np.datetime64(5, "ns")}], "$[1].n", "numpy.datetime64"),
        ([{"n": 1}, 5], "$[1]", "record 1 is of type int"),
        ({"n": [1, "x"]}, "$.n[1]", "record 1 has a text"),
        ({"n": [0.5, 2**53 + 1]}, "$.n[1]", "no float holds exactly"),
        ({"n": [{"a": 1}, {"a": "x"}]}, "$.n[1].a", "record 1 has a text"),
        ({"n": [1, object()]}, "$.n[1]", "row 1"),
        ({"n": [1], "m": [1, 2]}, "$.m", "2 elements"),
    ):
        with pytest.raises(slipring.EncodeError, match=said) as raised:
            tx.send(records, format="arrow", timeout=1)
        assert raised.value.path == path


def pythonic(value):
    """As a record has it once it was a column."""
    if isinstance(value, dict):
        return {key: pythonic(one) for key, one in value.items()}
    if isinstance(value, (list, tuple, range, np.ndarray)):
        return [pythonic(one) for one in value]
    return value.item() if isinstance(value, np.generic) else value


def test_columns_are_whatever_has_elements_in_order(both):
    """R1.1: tuples, ranges, and NumPy's times, texts, objects, masked and big-endian numbers, as pyarrow takes them."""
    whole = np.array(["2026-01-01T00:00:01", "NaT", "1969-12-31T23:59:59"], "M8[s]")
    columns = {
        "tuple": (1, None, 2.5),
        "range": range(5, 11, 2),
        **{f"at {unit}": whole.astype(f"M8[{unit}]") for unit in ("s", "ms", "us", "ns", "D")},
        **{f"for {unit}": (whole - whole[0]).astype(f"m8[{unit}]") for unit in ("s", "ms", "us", "ns")},
        "big": whole.astype(">M8[ms]"),
        "strided": np.repeat(whole, 2)[::2],
        "U": np.array(["a", "Zürich", ""]),
        "S": np.array([b"a", b"bc", b""]),
        "texts": np.array(["a", None, "c"], np.dtypes.StringDType(na_object=None)),
        "objects": np.array(["a", None, "c"], object),
        "numbers": np.arange(3, dtype=">i4"),
        "bools": np.array([True, False, True]),
    }
    got = pa.table(there_and_back(both, columns, format="arrow").value)
    for name, column in columns.items():
        if isinstance(column, np.ndarray):
            given = column.astype(column.dtype.newbyteorder("=")) if not column.dtype.isnative else column
            if given.dtype.kind == "T":
                given = given.tolist()
            expected = pa.array(given)
            assert got.schema.field(name).type == expected.type, name
            assert got[name].to_pylist() == expected.to_pylist(), name
        else:
            assert got[name].to_pylist() == list(column), name
    assert got.schema.field("at s").nullable and not got.schema.field("bools").nullable
    masked = np.ma.array([1, 2, 3], mask=[False, True, False])
    got = pa.table(there_and_back(both, {"m": masked}, format="arrow").value)
    assert got["m"].to_pylist() == [1, None, 3]
    for wrong in (whole.astype("M8[h]"), np.array([1], "m8[D]"), np.array([1 + 1j]), np.array([2**40], "M8[D]"), {1, 2}, "text", np.zeros((2, 2), "M8[s]")):
        with pytest.raises(slipring.EncodeError) as raised:
            both[0].send({"a": wrong}, format="arrow", timeout=1)
        assert raised.value.path.startswith("$.a")


def test_columns_are_explained():
    """R2.3: what is explained of columns tells of the table that they would be; others are none."""

    def arrow(obj):
        told = slipring.explain(obj)
        arrow = [candidate.reason for candidate in told.candidates if candidate.format == "arrow"]
        return told.format, "".join(arrow)

    for columns in ({"a": [1, 2], "b": ("x", None)}, {"a": np.arange(3)}, {"a": range(3), "b": pa.array([1, 2, 3])}, {"a": [1] * 10_000}):
        format, reason = arrow(columns)
        assert format == "value" and 'format="arrow"' in reason
    for other in ({}, {"a": 1}, {"a": [1], "b": [1, 2]}, {"a": [1, "x"]}, {1: [1]}, {"a": "text"}):
        assert 'format="arrow"' not in arrow(other)[1]


def test_what_is_no_table_by_itself_says_what_to_do():
    """R2.5, R1.2: a list of dataclasses, which would come back as dicts."""
    told = slipring.explain([Point(1.0, "a")] * 200)
    [arrow] = [candidate for candidate in told.candidates if candidate.format == "arrow"]
    assert told.format != "arrow" and 'format="arrow"' in arrow.reason


def test_records_with_odd_texts_and_keys_go_as_they_are(ends):
    """R1.1, R2.5: keys that are equal and not the same object, texts beyond ASCII, integers of any size up to 2^64."""
    tx, rx = ends
    alike = [{"".join(["k", "ey"]): n, "wörd": "ß" * (n % 3), "big": 2**40 + n, "huge": 2**63 + n} for n in range(200)]
    tx.send(alike)
    frame = rx.recv(0)
    assert frame.format == "arrow" and frame.value == alike
    for odd in ({"key": "\ud800"}, {"\ud800": 1}, {1: 1}, {"key": 2**64}):
        records = [{"key": 1}] * 200 + [odd]
        with pytest.raises(slipring.EncodeError):
            tx.send(records, format="arrow")
    assert rx.try_recv() is None


def test_a_record_with_a_new_key_in_front_keeps_its_order(ends):
    """R1.1: columns move, and the keys that were known with them."""
    tx, rx = ends
    mixed = [{"b": n, "c": -n} for n in range(100)] + [{"a": n, "b": n, "c": -n} for n in range(100)]
    mixed += [{"c": 1, "d": 2}] * 3 + [{"a": 5, "d": 6}] * 3
    tx.send(mixed)
    frame = rx.recv(0)
    assert frame.format == "arrow" and frame.value == mixed
    assert [list(record) for record in frame.value] == [list(record) for record in mixed]


def test_a_record_that_changes_while_it_is_taken_in_moves_no_rows(ends):
    """R2.2: code of others, run for an element, puts a key behind the others that was there already."""
    tx, rx = ends
    record = {}

    @dataclasses.dataclass
    class Meddler:
        x: int

        def __getattribute__(self, name):
            if name == "x" and record.pop("b", None) is self:
                record["b"] = {"x": 9}
            return object.__getattribute__(self, name)

    record["b"], record["a"] = Meddler(5), 7
    records = [{"a": 1, "b": {"x": 0}}, record, {"a": 1, "b": {"x": 1}}, {"a": 1}]
    with pytest.raises(slipring.EncodeError, match="one of them twice|in another order"):
        tx.send(records, format="arrow")
    assert rx.try_recv() is None


@pytest.mark.parametrize("change", [lambda columns: columns.update(d=[1, 2]), dict.clear, dict.popitem])
def test_columns_that_change_while_they_are_taken_in_go_as_they_were(ends, change):
    """R2.2: code of others, run for one column, changes the dict that it stands in."""
    tx, rx = ends

    class Shown:
        def __arrow_c_array__(self, requested_schema=None):
            change(columns)
            return pa.array([1, 2]).__arrow_c_array__(requested_schema)

        def __len__(self):
            return 2

    columns: dict[str, object] = {"a": Shown(), "b": [3, 4], "c": ["x", "y"]}
    tx.send(columns, format="arrow")
    assert rx.recv(1).table.to_pydict() == {"a": [1, 2], "b": [3, 4], "c": ["x", "y"]}
    columns.update(a=Shown(), b=[3, 4], c=["x", "y"])
    assert slipring.explain(columns).format
