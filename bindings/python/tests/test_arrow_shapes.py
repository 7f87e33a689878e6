"""The shapes that Arrow's implementations test each other with, made here with pyarrow; and, where ARROW_TEST_DATA names the data of
Arrow's own test repository, as that has them."""

from __future__ import annotations

import decimal
import os
import random
from pathlib import Path

import pyarrow as pa
import pytest
import slipring

#: Rows of the batches of a shape.
ROWS = (7, 17, 0)


class Chance:
    """Values by chance, the same ones for the same shape; every third or so is null where that may be."""

    def __init__(self, name):
        self.draw = random.Random(name)

    def null(self, nullable=True):
        return nullable and self.draw.random() < 0.3

    def list(self, n, value, nullable=True):
        return [None if self.null(nullable) else value() for _ in range(n)]

    def int(self, kind):
        bits = kind.bit_width
        low, high = (0, 2**bits - 1) if pa.types.is_unsigned_integer(kind) else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        return self.draw.choice((low, high, self.draw.randint(low, high)))

    def text(self, longest=9):
        return "".join(self.draw.choice("aZ0_ äß𝄞") for _ in range(self.draw.randint(0, longest)))

    def bytes(self, longest=9):
        return self.draw.randbytes(self.draw.randint(0, longest))

    def digits(self, precision, scale):
        with decimal.localcontext() as context:
            context.prec = 90
            return decimal.Decimal(self.draw.randint(-(10**precision) + 1, 10**precision - 1)).scaleb(-scale)

    def of(self, kind, n, nullable=True):
        """An array of a type without types of its own."""
        t, draw = pa.types, self.draw
        if t.is_null(kind):
            return pa.nulls(n)
        if t.is_boolean(kind):
            made = self.list(n, lambda: draw.random() < 0.5, nullable)
        elif t.is_integer(kind):
            made = self.list(n, lambda: self.int(kind), nullable)
        elif t.is_floating(kind):
            made = self.list(n, lambda: draw.choice((-0.0, 1.5, 2.0**-24, draw.randint(-1000, 1000) / 8)), nullable)
        elif t.is_decimal(kind):
            made = self.list(n, lambda: self.digits(kind.precision, kind.scale), nullable)
        elif t.is_fixed_size_binary(kind):
            made = self.list(n, lambda: draw.randbytes(kind.byte_width), nullable)
        elif t.is_string(kind) or t.is_large_string(kind):
            made = self.list(n, self.text, nullable)
        elif t.is_binary(kind) or t.is_large_binary(kind):
            made = self.list(n, self.bytes, nullable)
        elif kind in (pa.string_view(), pa.binary_view()):
            made = self.list(n, lambda: (self.text if kind == pa.string_view() else self.bytes)(draw.choice((12, 40))), nullable)
        elif t.is_interval(kind):
            made = self.list(n, lambda: (draw.randint(-99, 99), draw.randint(-99, 99), draw.randint(-(10**12), 10**12)), nullable)
        else:  # times: as integers of their unit
            bound = {"time32[s]": 86_399, "time32[ms]": 86_399_999, "time64[us]": 86_399_999_999, "time64[ns]": 86_399_999_999_999}
            top = bound.get(str(kind))
            low, high = (0, top) if top else (-(2**31), 2**31 - 1)
            scale = 86_400_000 if kind == pa.date64() else 1
            numbers = self.list(n, lambda: draw.randint(low, high) // (1000 if scale > 1 else 1) * scale, nullable)
            return pa.array(numbers, pa.int32() if kind.bit_width == 32 else pa.int64()).cast(kind)
        return pa.array(made, kind)

    def lists(self, kind, items, n):
        """An array of lists of any layout over ``items(count)``, some null."""
        lengths = [None if self.null() else self.draw.randint(0, 4) for _ in range(n)]
        if pa.types.is_fixed_size_list(kind):
            nulls = pa.array([length is None for length in lengths], pa.bool_())
            return pa.FixedSizeListArray.from_arrays(items(n * kind.list_size), type=kind, mask=nulls)
        offsets, at = [], 0
        for length in lengths:
            offsets.append(at)
            at += length or 0
        wide = kind.id in (pa.large_list(pa.null()).id, pa.large_list_view(pa.null()).id)
        number = pa.int64() if wide else pa.int32()
        nulls = pa.array([length is None for length in lengths], pa.bool_())
        if kind.id in (pa.list_view(pa.null()).id, pa.large_list_view(pa.null()).id):
            sizes = pa.array([length or 0 for length in lengths], number)
            made = pa.LargeListViewArray if wide else pa.ListViewArray
            return made.from_arrays(pa.array(offsets, number), sizes, items(at), type=kind, mask=nulls)
        made = pa.LargeListArray if wide else pa.ListArray
        return made.from_arrays(pa.array([*offsets, at], number), items(at), type=kind, mask=nulls)

    def structs(self, fields, columns, n):
        nulls = pa.array([self.null() for _ in range(n)], pa.bool_())
        return pa.StructArray.from_arrays(columns, fields=fields, mask=nulls)

    def indices(self, kind, n, count):
        return pa.array(self.list(n, lambda: self.draw.randrange(count)), kind)

    def maps(self, kind, n):
        def entries():
            keys = random.Random(self.draw.random()).sample(range(50), self.draw.randint(0, 4))
            return [(f"k{key}", None if self.null() else self.int(pa.int32())) for key in keys]

        return pa.array(self.list(n, entries), kind)


PRIMITIVE = [
    pa.bool_(), pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64(),
    pa.float16(), pa.float32(), pa.float64(), pa.binary(), pa.string(), pa.binary(19), pa.binary(120),
]


def plain(*kinds):
    """Columns of these types, each where nulls may be and where not."""

    def batch(chance, n):
        fields, columns = [], []
        for number, kind in enumerate(kinds):
            for nullable in (True, False):
                if pa.types.is_null(kind) and not nullable:
                    continue
                fields.append(pa.field(f"f{number}_{'nullable' if nullable else 'nonnullable'}", kind, nullable))
                columns.append(chance.of(kind, n, nullable))
        return fields, columns

    return batch


def nulls(chance, n):
    fields = [pa.field("f0", pa.null()), pa.field("f1", pa.int32(), False), pa.field("f2", pa.null()), pa.field("f3", pa.float64()), pa.field("f4", pa.null())]
    return fields, [chance.of(field.type, n, field.nullable) for field in fields]


def maps(chance, n):
    kinds = [pa.map_(pa.string(), pa.int32()), pa.map_(pa.string(), pa.int32(), keys_sorted=True)]
    return [pa.field(f"f{i}", kind) for i, kind in enumerate(kinds)], [chance.maps(kind, n) for kind in kinds]


def maps_by_other_names(chance, n):
    kind = pa.map_(pa.field("some_key", pa.string(), False), pa.field("some_value", pa.int32()))
    return [pa.field("f0", kind)], [chance.maps(kind, n)]


def of_lists(*kinds):
    def batch(chance, n):
        def made(kind, count):
            if pa.types.is_nested(kind) and not pa.types.is_struct(kind):
                return chance.lists(kind, lambda inner: made(kind.value_type, inner), count)
            if pa.types.is_struct(kind):
                return chance.structs(list(kind), [made(field.type, count) for field in kind], count)
            return chance.of(kind, count)

        return [pa.field(f"f{i}", kind) for i, kind in enumerate(kinds)], [made(kind, n) for kind in kinds]

    return batch


PAIR = pa.struct([pa.field("a", pa.int32()), pa.field("b", pa.string())])
NESTED = [pa.list_(pa.int32()), pa.list_(pa.int32(), 4), PAIR, pa.list_(pa.field("items", pa.int32()))]
RECURSIVE = [
    pa.list_(pa.list_(pa.int16())),
    pa.list_(PAIR),
    pa.struct([pa.field("inner", PAIR), pa.field("list", pa.list_(pa.list_(pa.bool_(), 2)))]),
]


def unions(chance, n):
    kinds = [pa.int32(), pa.string()]
    codes = pa.array([chance.draw.choice((5, 7)) for _ in range(n)], pa.int8())
    fields, columns = [], []
    for mode, nullable in (("sparse", True), ("sparse", False), ("dense", True), ("dense", False)):
        if mode == "sparse":
            children = [chance.of(kind, n, nullable) for kind in kinds]
            made = pa.UnionArray.from_sparse(codes, children, ["a", "b"], [5, 7])
        else:
            counts, offsets = {5: 0, 7: 0}, []
            for code in codes.to_pylist():
                offsets.append(counts[code])
                counts[code] += 1
            children = [chance.of(kind, counts[code], nullable) for kind, code in zip(kinds, (5, 7))]
            made = pa.UnionArray.from_dense(codes, pa.array(offsets, pa.int32()), children, ["a", "b"], [5, 7])
        fields.append(pa.field(f"{mode}_{nullable}", made.type))
        columns.append(made)
    return fields, columns


def metadata(chance, n):
    fields = [
        pa.field("sort_of_pandas", pa.int8(), metadata={"key": "value", "": "empty key", "empty": ""}),
        pa.field("bytes", pa.string(), metadata={"umlaut": "ä".encode()}),
        pa.field("inner", pa.struct([pa.field("a", pa.int8(), metadata={"deep": "yes"})])),
    ]
    inner = chance.structs(list(fields[2].type), [chance.of(pa.int8(), n)], n)
    return fields, [chance.of(pa.int8(), n), chance.of(pa.string(), n), inner]


def same_names(chance, n):
    inner = pa.struct([pa.field("x", pa.int32()), pa.field("x", pa.int32())])
    fields = [pa.field("ints", pa.int8()), pa.field("ints", pa.int32()), pa.field("struct", inner)]
    struct = chance.structs(list(inner), [chance.of(pa.int32(), n) for _ in inner], n)
    return fields, [chance.of(pa.int8(), n), chance.of(pa.int32(), n), struct]


def dictionaries(*indices):
    def batch(chance, n):
        # The same dictionary in each batch, and the order that it may have said.
        words = [pa.array(["a", "", "äöü", None, "e" * 20]), pa.array([b"x", b"", b"zz"], pa.binary()), pa.array([2**40, -1, 0])]
        columns = [
            pa.DictionaryArray.from_arrays(chance.indices(kind, n, len(values)), values, ordered=number == 1)
            for number, (kind, values) in enumerate(zip(indices, words))
        ]
        return [pa.field(f"dict{i}", column.type) for i, column in enumerate(columns)], columns

    return batch


def nested_dictionaries(chance, n):
    words = pa.array(["foo", "bar", None, "baz"])

    def of(count):
        return pa.DictionaryArray.from_arrays(chance.indices(pa.int8(), count, 4), words)

    inner = of(6)
    lists = pa.ListArray.from_arrays(pa.array([0, 2, 2, 5, 6], pa.int32()), inner)
    outer = pa.DictionaryArray.from_arrays(chance.indices(pa.int16(), n, 4), lists)
    kind = pa.list_(inner.type)
    struct = [pa.field("a", inner.type), pa.field("b", pa.int32())]
    columns = [outer, chance.lists(kind, of, n), chance.structs(struct, [of(n), chance.of(pa.int32(), n)], n)]
    return [pa.field(f"f{i}", column.type) for i, column in enumerate(columns)], columns


def runs(chance, n):
    columns = []
    for ends in (pa.int16(), pa.int32(), pa.int64()):
        for kind in (pa.int32(), pa.string(), pa.float32()):
            at, all_ends = 0, []
            while at < n:
                at = min(n, at + chance.draw.randint(1, 4))
                all_ends.append(at)
            columns.append(pa.RunEndEncodedArray.from_arrays(pa.array(all_ends, ends), chance.of(kind, len(all_ends))))
    return [pa.field(f"f{i}", column.type) for i, column in enumerate(columns)], columns


def extensions(chance, n):
    named = {"ARROW:extension:name": "slipring.test.unknown", "ARROW:extension:metadata": "of no library"}
    words = pa.DictionaryArray.from_arrays(chance.indices(pa.int8(), n, 2), pa.array(["a", "b"]))
    fields = [pa.field("uuid", pa.uuid()), pa.field("unknown", pa.int16(), metadata=named), pa.field("dict", words.type, metadata=named)]
    uuids = pa.ExtensionArray.from_storage(pa.uuid(), chance.of(pa.binary(16), n))
    return fields, [uuids, chance.of(pa.int16(), n), words]


def exact(kind, digits, scale=2):
    return plain(*(kind(precision, scale) for precision in digits))


SHAPES = {
    "primitive": plain(*PRIMITIVE),
    "primitive_large_offsets": plain(pa.large_binary(), pa.large_string()),
    "null": nulls,
    "null_trivial": plain(pa.null()),
    "decimal32": exact(pa.decimal32, range(3, 10)),
    "decimal64": exact(pa.decimal64, range(3, 19)),
    "decimal128": exact(pa.decimal128, range(3, 39)),
    "decimal256": exact(pa.decimal256, range(37, 77)),
    "datetime": plain(
        pa.date32(), pa.date64(), pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns"),
        *(pa.timestamp(unit, zone) for unit in ("s", "ms", "us", "ns") for zone in (None, "UTC", "America/New_York", "+07:30")),
    ),
    "duration": plain(*(pa.duration(unit) for unit in ("s", "ms", "us", "ns"))),
    "interval": plain(pa.month_day_nano_interval()),
    "map": maps,
    "map_non_canonical": maps_by_other_names,
    "nested": of_lists(*NESTED),
    "recursive_nested": of_lists(*RECURSIVE),
    "nested_large_offsets": of_lists(pa.large_list(pa.int32()), pa.large_list(pa.large_list(pa.int16())), pa.large_list(PAIR)),
    "unions": unions,
    "custom_metadata": metadata,
    "duplicate_fieldnames": same_names,
    "dictionary": dictionaries(pa.int8(), pa.int32(), pa.int16()),
    "dictionary_unsigned": dictionaries(pa.uint8(), pa.uint32(), pa.uint16()),
    "nested_dictionary": nested_dictionaries,
    "run_end_encoded": runs,
    "binary_view": plain(pa.binary_view(), pa.string_view()),
    "list_view": of_lists(pa.list_view(pa.int32()), pa.large_list_view(pa.int32()), pa.list_view(pa.list_view(pa.int16()))),
    "extension": extensions,
}

#: What is said of a whole table.
SAID = {"of": "the table", "": "nothing"}


def batches(name, rows):
    chance = Chance(name)
    made = [SHAPES[name](chance, n) for n in rows]
    schema = pa.schema(made[0][0], SAID if name == "custom_metadata" else None)
    return schema, [pa.RecordBatch.from_arrays(columns, schema=schema) for _, columns in made]


def heard(table):
    """As pyarrow takes it from another's memory: of the entries of maps it forgets the names."""
    return pa.RecordBatchReader._import_from_c_capsule(table.__arrow_c_stream__()).read_all()


def is_valid(table):
    """Some of Arrow's own have dates of 24 hours and a bit."""
    try:
        table.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def same(got, sent):
    """To the last word: types, names, order, metadata, elements; and it is as valid."""
    got, sent = pa.table(got), heard(sent)
    assert is_valid(got) == is_valid(sent)
    assert got.schema.equals(sent.schema, check_metadata=True)
    assert got.equals(sent, check_metadata=True)


def through(ends, schema, batches):
    """Each batch by itself, all as one table, and as a stream of frames."""
    tx, rx = ends
    for batch in batches:
        tx.send(batch, timeout=5)
        same(rx.recv(5).value, pa.Table.from_batches([batch]))
    whole = pa.Table.from_batches(batches, schema)
    tx.send(whole, timeout=5)
    same(rx.recv(5).value, whole)
    reader = pa.RecordBatchReader.from_batches(schema, batches)
    assert tx.send_batches(reader, timeout=5) == max(1, len(batches))
    same(rx.tables(timeout=5), whole)
    assert rx.try_recv() is None


@pytest.mark.parametrize("shape", SHAPES)
def test_each_shape_goes_there_and_back(ends, shape):
    """R2.1, R2.3: batches of 7, 17 and no rows, none at all, and only empty ones."""
    for rows in (ROWS, (0, 0, 0)):
        through(ends, *batches(shape, rows))
    schema, _ = batches(shape, ROWS)
    tx, rx = ends
    none = pa.Table.from_batches([], schema)
    tx.send(none, timeout=5)
    same(rx.recv(5).value, none)


@pytest.mark.parametrize("shape", SHAPES)
def test_each_shape_is_cut(ends, shape):
    """R2.1, R14.1: slices, of slices too, whose bitmaps begin within a byte; what lies outside of one is not sent."""
    tx, rx = ends
    schema, (seven, seventeen, _) = batches(shape, ROWS)
    for batch in (seven.slice(3), seven.slice(0, 0), seventeen.slice(1, 15), seventeen.slice(9, 7), seventeen.slice(3, 12).slice(5, 3), seventeen.slice(16)):
        tx.send(batch, timeout=5)
        same(rx.recv(5).value, pa.Table.from_batches([batch]))
    through(ends, schema, [seven.slice(2, 4), seventeen.slice(8, 8), seven.slice(7)])


@pytest.mark.parametrize("shape", SHAPES)
def test_each_shape_is_sent_under_a_schema(ring, ends, shape):
    """R13.2, R14.3: which keeps all that the fields say; expected as that, it is that."""
    tx, rx = ends
    schema, made = batches(shape, ROWS)
    announced = ring.announce(shape, schema, version=1)
    rx.expect(shape, schema, version=2)
    for batch in made:
        tx.send(batch, schema=announced, timeout=5)
        same(rx.recv(5).value, pa.Table.from_batches([batch]))


def golden():
    """The streams of Arrow's own, where they are, in the byte order of this machine and uncompressed."""
    folder = os.environ.get("ARROW_TEST_DATA")
    found = sorted(Path(folder, "arrow-ipc-stream/integration").glob("*/*.stream")) if folder else []
    return [path for path in found if "bigendian" not in str(path) and "compression" not in str(path)]


def test_streams_that_others_wrote_go_there_and_back(ends, tmp_path):
    """R2.1: as any program has written them: all of Arrow's own, where they are at hand, and one of pyarrow's in any case."""
    schema, made = batches("nested_dictionary", ROWS)
    assert is_valid(pa.Table.from_batches(made))
    with pa.ipc.new_stream(tmp_path / "own.stream", schema) as out:
        for batch in made:
            out.write_batch(batch)
    for path in [tmp_path / "own.stream", *golden()]:
        with pa.ipc.open_stream(path) as reader:
            through(ends, reader.schema, list(reader))
