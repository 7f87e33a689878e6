"""Schemas that change while programs of different ages share a ring."""

from __future__ import annotations

import gc
import asyncio
import dataclasses
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest
import slipring

pa = pytest.importorskip("pyarrow")
pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")


def schema(*fields: object) -> object:
    return pa.schema([f if isinstance(f, pa.Field) else pa.field(*f[:2], nullable=f[2]) for f in fields])


def with_default(name: str, kind: object, value: str, nullable: bool = False) -> object:
    return pa.field(name, kind, nullable=nullable, metadata={"slipring.default": value})


def renamed(name: str, kind: object, former: str) -> object:
    return pa.field(name, kind, nullable=False, metadata={"slipring.aliases": former})


#: A schema as it grew, with a row of each version.
READINGS = {
    1: (schema(("id", pa.int32(), False), ("temp", pa.float32(), True)), {"id": 1, "temp": 0.5}),
    2: (
        schema(("temp", pa.float32(), True), ("id", pa.int32(), False), ("note", pa.string(), True)),
        {"id": 2, "temp": 1.5, "note": "dry"},
    ),
    3: (
        schema(renamed("number", pa.int64(), "id"), ("temp", pa.float64(), True), with_default("level", pa.int8(), "9")),
        {"number": 3, "temp": 2.5, "level": 4},
    ),
}

#: What who expects a version reads of each that was written, or the column that is in the way.
MATRIX = {
    (1, 1): {"id": 1, "temp": 0.5},
    (1, 2): {"temp": 0.5, "id": 1, "note": None},
    (1, 3): {"number": 1, "temp": 0.5, "level": 9},
    (2, 1): {"id": 2, "temp": 1.5},
    (2, 2): {"temp": 1.5, "id": 2, "note": "dry"},
    (2, 3): {"number": 2, "temp": 1.5, "level": 9},
    (3, 1): "id",
    (3, 2): "id",
    (3, 3): {"number": 3, "temp": 2.5, "level": 4},
}


@pytest.fixture
def ring_path(tmp_path):
    return tmp_path / "ring"


def table_of(version: int) -> object:
    of, row = READINGS[version]
    return pa.Table.from_pylist([row], schema=of)


@pytest.mark.parametrize(("written", "wanted"), MATRIX)
def test_each_version_is_read_as_each(ring, written, wanted):
    """R2.4, R5.2, R5.3: writer version x reader version."""
    announced = {version: ring.announce("reading", of, version=version) for version, (of, _) in READINGS.items()}
    tx, rx = ring.producer(), ring.consumer()
    rx.expect("reading", READINGS[wanted][0], version=wanted)
    tx.send(table_of(written), schema=announced[written])
    expected = MATRIX[written, wanted]
    frame = rx.recv(timeout=5)
    assert (frame.header.schema_id, frame.header.schema_version) == (announced[written].id, written)
    if isinstance(expected, dict):
        assert frame.value.to_pylist() == [expected]
        assert pa.table(frame.value).schema == READINGS[wanted][0]
        return
    with pytest.raises(slipring.SchemaError, match=f'"reading" of version {written} .*column {expected} ') as caught:
        frame.value  # noqa: B018
    error = caught.value
    assert (error.name, error.written, error.wanted, error.migration) == ("reading", written, wanted, None)
    assert ("id", None, "Int32", "missing") in error.faults
    # The ring goes on.
    tx.send(table_of(wanted), schema=announced[wanted])
    assert rx.recv(timeout=5).value.to_pylist() == [MATRIX[wanted, wanted]]


@pytest.mark.parametrize(
    ("new", "faults"),
    [
        (schema(("id", pa.int32(), False), ("temp", pa.int16(), True)), [("temp", "Float32", "Int16", "type")]),
        (schema(("id", pa.int32(), False), ("x", pa.bool_(), False)), [("x", None, "Boolean", "missing")]),
        (schema(("id", pa.string(), False), ("temp", pa.float32(), False)), [
            ("id", "Int32", "Utf8", "type"), ("temp", "Float32", "Float32", "nullable")]),
        (schema(("id", pa.int32(), False), renamed("key", pa.int32(), "id")), [("key", "Int32", "Int32", "ambiguous")]),
    ],
)
def test_an_incompatible_version_is_not_announced(ring, new, faults):
    """R5.3, R5.5: all faults are told, with versions and the migration that is needed; nothing is stored."""
    ring.announce("reading", READINGS[1][0], version=1)
    with pytest.raises(slipring.SchemaError) as caught:
        ring.announce("reading", new, version=2)
    error = caught.value
    assert error.faults == [slipring.SchemaFault(*fault) for fault in faults]
    assert (error.written, error.wanted, error.migration) == (1, 2, (1, 2))
    assert str(error).endswith('register a migration of "reading" from version 1 to 2, and say breaking=True')
    assert [s.version for s in ring.schemas()] == [1]
    assert ring.announce("reading", new, version=2, breaking=True).version == 2


def test_versions_are_held_against_their_neighbours(ring):
    """R2.4: a version between two others must suit both."""
    ring.announce("reading", READINGS[1][0], version=10)
    ring.announce("reading", READINGS[3][0], version=30)
    with pytest.raises(slipring.SchemaError, match="of version 20 can't be read as version 30: column number") as caught:
        ring.announce("reading", schema(("id", pa.float64(), False), ("temp", pa.float32(), True)), version=20)
    assert caught.value.migration == (20, 30)


def test_a_version_is_one_schema(ring):
    """R2.4: announced again it is the same one, or refused."""
    first = ring.announce("reading", READINGS[1][0], version=1)
    again = ring.announce("reading", READINGS[1][0].with_metadata({"pandas": "index"}), version=1)
    assert again.id == first.id
    with pytest.raises(slipring.SchemaError, match="column note .* was not announced; announce it as version 2"):
        ring.announce("reading", READINGS[2][0], version=1)
    with pytest.raises(slipring.SchemaError, match="another order, nullability or metadata"):
        ring.announce("reading", schema(("temp", pa.float32(), True), ("id", pa.int32(), False)), version=1)


def test_what_is_sent_is_what_was_announced(ring):
    """R5.5: names and types are held against the announced ones; order and what a library adds do not count."""
    announced = ring.announce("reading", READINGS[1][0], version=1)
    tx, rx = ring.producer(), ring.consumer()
    given = pl.DataFrame({"temp": [0.5, None], "id": [1, 2]}, schema={"temp": pl.Float32, "id": pl.Int32})
    tx.send(given, schema=announced)
    assert rx.recv(timeout=5).value.to_pylist() == [{"id": 1, "temp": 0.5}, {"id": 2, "temp": None}]
    with pytest.raises(slipring.SchemaError) as caught:
        tx.send(given.select("id", pl.lit("x").alias("more")), schema=announced)
    assert [(f.path, f.reason) for f in caught.value.faults] == [("temp", "missing"), ("more", "unknown")]
    with pytest.raises(slipring.SchemaError, match="no nulls in column id"):
        tx.send(pl.DataFrame({"temp": [0.5], "id": [None]}, schema=given.schema), schema=announced)
    with pytest.raises(TypeError, match="leave format away"):
        tx.send(given, schema=announced, format="value")
    assert rx.try_recv() is None


def test_the_schema_is_not_in_the_frame(ring):
    """R13.2, R14.3: the segment keeps it once; frames are as much smaller."""
    of = schema(*[(f"column number {i}", pa.int64(), True) for i in range(50)])
    announced = ring.announce("wide", of, version=1)
    tx, rx = ring.producer(), ring.consumer()
    table = pa.Table.from_pylist([{}], schema=of)
    tx.send(table)
    tx.send(table, schema=announced)
    plain, under = rx.recv(timeout=5), rx.recv(timeout=5)
    assert pa.table(under.value) == pa.table(plain.value) == table
    assert plain.header.body_len - under.header.body_len > 50 * len("column number 1")
    assert (announced.kind, announced.name, announced.version) == (3, "wide", 1)


def test_a_schema_is_read_once(ring, name):
    """R5.1, P9: what was read of a schema is what tables are read as, also if a peer changes its bytes in the segment; who has not read
    it yet is told that it is damaged."""
    table = pa.table({"an unlikely name": pa.array([1, 2], pa.int64())})
    announced = ring.announce("once", table.schema, version=1)
    tx, rx = ring.producer(), ring.consumer()
    tx.send(table, schema=announced)
    assert pa.table(rx.recv(1).value).equals(table)
    with open(ring.path, "r+b") as file:
        memory = file.read()
        # The record of the schema, from its message on.
        at = memory.index(b"\xff\xff\xff\xff", memory.index(b"once"))
        file.seek(at)
        file.write(b"\x01\x02\x03\x04" * 32)
    for _ in range(3):
        tx.send(table, schema=announced)
        assert pa.table(rx.recv(1).value).equals(table)
    tx.send(table, schema=announced)
    rx.close()
    with slipring.open(name) as late:
        with pytest.raises(slipring.DecodeError):
            late.consumer().recv(1).value


def test_columns_that_stay_are_not_copied(ring):
    """R2.3: what a projection keeps is read where it lies in the segment."""
    old = pa.table({"keep": pa.array(np.arange(1000)), "widen": pa.array(np.arange(1000, dtype="i4"))})
    announced = ring.announce("t", old, version=1)
    tx, rx = ring.producer(), ring.consumer()
    rx.expect("t", schema(("widen", pa.int64(), True), ("keep", pa.int64(), True)), version=2)
    tx.send(old, schema=announced)
    table = rx.recv(timeout=5).value
    keep, widen = np.asarray(table["keep"]), np.asarray(table["widen"])
    assert keep.ctypes.data in ring.mapped
    assert widen.ctypes.data not in ring.mapped
    assert pa.table(table)["keep"].chunk(0).buffers()[1].address in ring.mapped
    assert (keep == np.arange(1000)).all()
    assert (widen == np.arange(1000)).all()
    assert pl.DataFrame(table).columns == ["widen", "keep"]
    del table
    assert (widen == np.arange(1000)).all()


def test_migrations_are_chained(ring):
    """R5.2, R12.4: 1 -by function-> 2 -by the rules-> 3 -by function-> 4, unseen by the caller."""
    one = schema(("name", pa.string(), False), ("fahrenheit", pa.float64(), False))
    two = schema(("name", pa.string(), False), ("celsius", pa.float32(), False))
    three = schema(("name", pa.string(), False), ("celsius", pa.float64(), False), ("note", pa.string(), True))
    four = schema(("name", pa.large_string(), False), ("kelvin", pa.float64(), False))
    announced = [
        ring.announce("temp", of, version=version, breaking=True)
        for version, of in enumerate((one, two, three, four), 1)
    ]
    seen = []

    def to_celsius(table):
        seen.append((1, table.column_names))
        frame = pl.DataFrame(table)
        return frame.select("name", celsius=((pl.col("fahrenheit") - 32) / 1.8).cast(pl.Float32))

    def to_kelvin(table):
        seen.append((3, table.column_names))
        table = table.to_pyarrow()
        kelvin = pa.array([v + 273.15 for v in table["celsius"].to_pylist()])
        return table.drop_columns(["celsius", "note"]).append_column(pa.field("kelvin", pa.float64(), False), kelvin)

    tx, rx = ring.producer(), ring.consumer()
    rx.expect("temp", four, version=4, migrations={1: to_celsius, 3: to_kelvin})
    tx.send(pa.Table.from_pylist([{"name": "a", "fahrenheit": 212.0}], schema=one), schema=announced[0])
    tx.send(pa.Table.from_pylist([{"name": "b", "celsius": 0.0, "note": "x"}], schema=three), schema=announced[2])
    tx.send(pa.Table.from_pylist([{"name": "c", "kelvin": 1.0}], schema=four), schema=announced[3])
    values = [rx.recv(timeout=5).value for _ in range(3)]
    assert [v.to_pylist()[0]["name"] for v in values] == ["a", "b", "c"]
    assert [round(v.to_pylist()[0]["kelvin"], 2) for v in values] == [373.15, 273.15, 1.0]
    assert all(pa.table(v).schema == four for v in values)
    assert [step for step, _ in seen] == [1, 3, 3]


def test_a_missing_migration_is_named(ring):
    """R5.3: of a chain the step that is missing, also where it is not the first."""
    one = schema(("x", pa.int32(), False))
    three = schema(("x", pa.string(), False))
    first = ring.announce("n", one, version=1)
    ring.announce("n", schema(("x", pa.int64(), False)), version=2)
    ring.announce("n", three, version=3, breaking=True)
    tx, rx = ring.producer(), ring.consumer()
    rx.expect("n", three, version=3)
    tx.send(pa.Table.from_pylist([{"x": 1}], schema=one), schema=first)
    with pytest.raises(slipring.SchemaError, match='register a migration of "n" from version 2 to 3$') as caught:
        rx.recv(timeout=5).value  # noqa: B018
    assert caught.value.migration == (2, 3)
    assert caught.value.faults == [("x", "Int32", "Utf8", "type")]


def test_a_migration_that_fails_is_named(ring):
    """R9.1: its exception is the cause."""
    of = schema(("x", pa.int32(), False))
    first = ring.announce("n", of, version=1)
    tx, rx = ring.producer(), ring.consumer()
    table = pa.Table.from_pylist([{"x": 1}], schema=of)
    for migrate, cause in [(lambda table: 1 / 0, ZeroDivisionError), (lambda table: 5, TypeError)]:
        rx.expect("n", of, version=2, migrations={1: migrate})
        tx.send(table, schema=first)
        with pytest.raises(slipring.SchemaError, match='migration of "n" from version 1 to 2 failed') as caught:
            rx.recv(timeout=5).value  # noqa: B018
        assert isinstance(caught.value.__cause__, cause)


def test_the_oldest_is_agreed_on(ring):
    """R2.4: producers see what all consumers read, and older tables are refused."""
    of = schema(("x", pa.int32(), False))
    first = ring.announce("n", of, version=1)
    tx, rx = ring.producer(), ring.consumer()
    assert tx.wanted("n") is None
    rx.expect("n", of, version=4, oldest=2)
    assert tx.wanted("n") == (2, 4)
    rx.expect("n", of, version=3, oldest=2)
    assert tx.wanted("n") == (2, 3)
    tx.send(pa.Table.from_pylist([{"x": 1}], schema=of), schema=first)
    with pytest.raises(slipring.SchemaError, match="version 1 came, and 2 is the oldest"):
        rx.recv(timeout=5).value  # noqa: B018
    rx.close()
    assert tx.wanted("n") is None


def test_a_late_consumer_in_another_process_finds_the_schema(ring):
    """R14.3: and a producer sees what it wants while it lives."""
    announced = ring.announce("reading", READINGS[1][0], version=1)
    tx = ring.producer()
    tx.send(table_of(1), schema=announced)
    program = """if True:
        import sys, pyarrow as pa, slipring
        ring = slipring.open(path=sys.argv[1])
        rx = ring.consumer()
        rx.expect("reading", pa.schema([pa.field("id", pa.int64())]), version=2)
        print(rx.recv(timeout=5).value.to_pylist(), flush=True)
        sys.stdin.read()
    """
    child = subprocess.Popen(
        [sys.executable, "-c", program, ring.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout.readline() == "[{'id': 1}]\n"
    assert tx.wanted("reading") == (1, 2)
    child.communicate(timeout=20)
    assert child.returncode == 0
    assert tx.wanted("reading") is None


def test_a_closed_ring_is_left_at_once(ring_path):
    """What a consumer wants does not keep its process in the ring."""
    ring = slipring.create(path=ring_path)
    rx = ring.consumer()
    rx.expect("n", schema(("x", pa.int32(), True)), version=1)
    ring.close()
    assert not ring_path.exists()
    with pytest.raises(slipring.Detached):
        rx.expect("n", schema(("x", pa.int32(), True)), version=1)


def test_frames_are_sent_on_with_their_schema(ring, ring_path):
    """R13.1: another ring has other numbers for schemas."""
    ring.announce("other", schema(("y", pa.int8(), True)), version=1)
    announced = ring.announce("reading", READINGS[1][0], version=1)
    tx, rx = ring.producer(), ring.consumer()
    tx.send(table_of(1), schema=announced)
    with slipring.create(path=ring_path) as second:
        further, last = second.producer(), second.consumer()
        further.send(rx.recv(timeout=5))
        last.expect("reading", READINGS[3][0], version=3)
        frame = last.recv(timeout=5)
        assert frame.value.to_pylist() == [MATRIX[1, 3]]
        assert [(s.id, s.name) for s in second.schemas() if s.version] == [(1, "reading")]
        # A schema of one ring is none of another's.
        with pytest.raises(ValueError, match="not of this ring"):
            further.send(table_of(1), schema=announced)


def test_streams_of_tables_are_projected(ring):
    """R8.1, R2.4: each frame of a stream."""
    announced = ring.announce("reading", READINGS[1][0], version=1)
    tx, rx = ring.producer(), ring.consumer()
    rx.expect("reading", READINGS[3][0], version=3)
    table = pa.Table.from_pylist([{"id": i, "temp": None} for i in range(10)], schema=READINGS[1][0])
    assert tx.send_batches(table, rows=4, schema=announced) == 3
    read = [row for part in rx.tables(timeout=5) for row in part.to_pylist()]
    assert read == [{"number": i, "temp": None, "level": 9} for i in range(10)]


def test_a_value_beyond_the_type_is_named(ring):
    """R5.5, R9.3: the column and the row."""
    of = schema(("at", pa.timestamp("s"), True))
    announced = ring.announce("t", of, version=1)
    tx, rx = ring.producer(), ring.consumer()
    rx.expect("t", schema(("at", pa.timestamp("ns"), True)), version=2)
    tx.send(pa.table({"at": pa.array([0, 10**10], pa.timestamp("s"))}), schema=announced)
    with pytest.raises(slipring.DecodeError, match="column at: element 1 is beyond") as caught:
        rx.recv(timeout=5).value  # noqa: B018
    assert caught.value.path == "$.columns.at"


@pytest.mark.parametrize("version", [0, 65536, -1, "1", None, 1.5])
def test_versions_are_small_whole_numbers(ring, version):
    with pytest.raises((slipring.InvalidOption, TypeError)):
        ring.announce("n", READINGS[1][0], version=version)


def test_what_is_no_schema_is_said(ring):
    for none in [5, {"id": "int32"}, None]:
        with pytest.raises(TypeError, match="a schema is given by Arrow's"):
            ring.announce("n", none, version=1)
    rx = ring.consumer()
    with pytest.raises(TypeError, match="migrations is a dict"):
        rx.expect("n", READINGS[1][0], version=2, migrations=[print])
    with pytest.raises(ValueError, match="from version 2 must be a function, and from a version before 2"):
        rx.expect("n", READINGS[1][0], version=2, migrations={2: print})
    with pytest.raises(slipring.InvalidOption):
        rx.expect("n", READINGS[1][0], version=2, oldest=3)


def test_announcing_at_once_gives_one_schema(ring):
    """Threads that announce the same get the same number."""
    found: list[int] = []
    threads = [
        threading.Thread(target=lambda: found.append(ring.announce("n", READINGS[1][0], version=1).id)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


def test_asyncio_sends_under_a_schema(ring):
    """P8: as the blocking call."""
    announced = ring.announce("reading", READINGS[1][0], version=1)
    tx, rx = ring.producer(), ring.consumer()
    rx.expect("reading", READINGS[2][0], version=2)

    async def there():
        await tx.send_async(table_of(1), schema=announced, meta={"site": 4})
        frame = await rx.recv_async()
        return frame.value.to_pylist(), frame.meta, frame.header.schema_version

    assert asyncio.run(there()) == ([MATRIX[1, 2]], {"site": 4}, 1)


# Registered types -------------------------------------------------------------------------------


def as_sent(name, version, fields):
    """What a program sends that has registered another version of the type."""
    return slipring.encode(slipring.Object(name, version, fields))


def test_fields_of_older_versions_are_migrated():
    """R5.2, R12.4: each step from the sender's version on, before decode."""
    told = []

    @dataclasses.dataclass
    class Price:
        cents: int
        currency: str

    slipring.register(
        Price,
        name="evolution.price",
        version=3,
        decode=lambda fields, version: told.append(version) or Price(**fields),
        migrations={
            1: lambda fields: {"cents": fields["euros"] * 100},
            2: lambda fields: {**fields, "currency": "EUR"},
        },
    )
    read = {
        1: {"euros": 2},
        2: {"cents": 200},
        3: {"cents": 200, "currency": "EUR"},
    }
    for version, fields in read.items():
        assert slipring.decode(as_sent("evolution.price", version, fields)) == Price(200, "EUR")
    assert told == [3, 3, 3]
    # Within a value of a frame, too.
    with slipring.create(anonymous=True) as ring:
        ring.producer().send({"all": [slipring.Object("evolution.price", 1, {"euros": 1})]})
        assert ring.consumer().recv(timeout=5).value == {"all": [Price(100, "EUR")]}
    # A newer one is decode's.
    slipring.decode(as_sent("evolution.price", 4, {"cents": 1, "currency": "CHF"}))
    assert told[-1] == 4


def test_a_missing_step_of_a_type_is_named():
    """R5.3: with name, versions and the migration."""

    @slipring.register(name="evolution.gap", version=4, migrations={1: dict, 3: dict})
    @dataclasses.dataclass
    class Gap:
        x: int = 0

    for written, step in [(1, 2), (2, 2), (0, 0)]:
        with pytest.raises(slipring.SchemaError) as caught:
            slipring.decode(as_sent("evolution.gap", written, {"x": 1}))
        error = caught.value
        assert str(error) == (
            f'"evolution.gap" of version {written} can\'t be read as version 4; '
            f'register a migration of "evolution.gap" from version {step} to {step + 1}'
        )
        assert (error.name, error.written, error.wanted, error.faults) == ("evolution.gap", written, 4, [])
        assert error.migration == (step, step + 1)
    assert slipring.decode(as_sent("evolution.gap", 3, {"x": 1})) == Gap(1)


def test_a_step_of_a_type_that_fails_is_named():
    """R9.1: with its exception as the cause."""

    @slipring.register(name="evolution.fails", version=2, migrations={1: lambda fields: fields["x"]})
    @dataclasses.dataclass
    class Fails:
        y: int

    with pytest.raises(slipring.SchemaError, match="from version 1 to 2 failed: KeyError: 'x'; correct it") as caught:
        slipring.decode(as_sent("evolution.fails", 1, {}))
    assert isinstance(caught.value.__cause__, KeyError)
    assert issubclass(Fails, object)


def test_dataclasses_take_other_versions_by_name():
    """R5.2, R5.3, R5.5: dropped, renamed and added fields; what has no default is named, all of it."""

    @slipring.register(name="evolution.named", version=2)
    @dataclasses.dataclass
    class Named:
        number: int = dataclasses.field(metadata={"slipring.aliases": "nr, id"})
        place: str
        note: str = "none"
        tags: list = dataclasses.field(default_factory=list)
        sum: int = dataclasses.field(default=0, init=False)

    def read(version, fields):
        return slipring.decode(as_sent("evolution.named", version, fields))

    assert read(1, {"id": 1, "place": "hill", "gone": True}) == Named(1, "hill")
    assert read(3, {"place": "hill", "nr": 1, "newer": 5, "tags": ["a"]}) == Named(1, "hill", tags=["a"])
    assert read(1, {"number": 1, "place": "hill", "sum": 4}).sum == 4
    with pytest.raises(slipring.SchemaError) as caught:
        read(1, {"place": None})
    error = caught.value
    assert error.faults == [slipring.SchemaFault("number", None, "int", "missing")]
    assert "field number is not there and has no default" in str(error)
    assert str(error).endswith('register a migration of "evolution.named" from version 1 to 2')
    with pytest.raises(slipring.SchemaError, match="knows \"evolution.named\" up to version 2") as caught:
        read(5, {})
    assert [fault.path for fault in caught.value.faults] == ["number", "place"]
    assert caught.value.migration is None
    # Of its own version nothing is guessed.
    with pytest.raises(slipring.DecodeError, match="gone"):
        read(2, {"number": 1, "place": "hill", "gone": True})


@pytest.mark.parametrize("migrations", [{2: dict}, {-1: dict}, {"1": dict}, {1: 5}])
def test_migrations_are_functions_from_older_versions(migrations):
    with pytest.raises(ValueError, match="give functions, each by the version it starts from, below 2"):
        slipring.register(Exception, name="evolution.bad", version=2, migrations=migrations)


def test_a_migration_that_leads_back_keeps_no_consumer():
    """R8.4: a reader whose own method migrates is collected, and its end of the ring is free."""

    class Reader:
        def __init__(self, ring):
            self.rx = ring.consumer()
            self.rx.expect("w", pa.schema([("a", pa.int64())]), version=2, migrations={1: self.migrate})

        def migrate(self, table):
            return table

    with slipring.create(anonymous=True) as ring:
        for _ in range(3):
            Reader(ring)
            gc.collect()


def test_what_is_sent_is_converted_where_that_is_exact(ring):
    """R8.1, R2.1: by the rules for reading: texts of any layout, dictionaries, nulls alone, smaller numbers."""
    tx, rx = ring.producer(), ring.consumer()
    announced = ring.announce("w", pa.schema({"t": pa.string(), "n": pa.float64()}), version=1)
    frame = pd.DataFrame({"t": ["a", None], "n": [1.0, 2.0]})
    texts = pa.array(["a", None])
    expected = {"t": ["a", None], "n": [1.0, 2.0]}
    givens = [
        frame,
        pl.DataFrame(expected),
        pl.DataFrame(expected).with_columns(pl.col("t").cast(pl.Categorical)),
        pa.table({"t": texts.cast(pa.large_string()), "n": pa.array([1, 2], pa.int32())}),
        pa.table({"n": pa.array([1, 2], pa.float32()), "t": texts.dictionary_encode()}),
        [{"n": 1, "t": "a"}, {"n": 2}],
        {"t": ["a", None], "n": [1, 2]},
    ]
    for given in givens:
        tx.send(given, schema=announced)
        got = rx.recv(0).value
        assert pa.schema(got).field("t").type == pa.string() and pa.schema(got).field("n").type == pa.float64()
        assert got.to_pydict() == expected
    for given in (pa.table({"t": pa.nulls(2), "n": [1.0, 2.0]}), [{"t": None, "n": 1.0}, {"t": None, "n": 2.0}]):
        tx.send(given, schema=announced)
        assert rx.recv(0).value.to_pydict() == {"t": [None, None], "n": [1.0, 2.0]}
    tx.send([], schema=announced)
    got = rx.recv(0).value
    assert got.to_pydict() == {"t": [], "n": []} and pa.schema(got).names == ["t", "n"]
    # In pieces, of which each is held against it.
    assert tx.send_batches(pl.DataFrame(expected), rows=1, schema=announced) == 2
    assert pa.table(rx.tables(timeout=0)).to_pydict() == expected
    # Nothing is dropped, made up or cut.
    small = ring.announce("s", pa.schema([pa.field("i", pa.int8(), False), pa.field("s", pa.struct({"a": pa.int64()}))]), version=1)
    tx.send([{"i": -128, "s": {"a": 1}}], schema=small)
    assert rx.recv(0).value.to_pylist() == [{"i": -128, "s": {"a": 1}}]
    pair = pa.array([{"a": 1, "b": 2}])
    for given, reason in [
        ([{"i": 128}], "type"),
        ([{"i": 1.0}], "type"),
        ([{"s": {"a": 1}}], "missing"),
        ([{"i": None, "s": {"a": 1}}], "nullable"),
        ([{"i": 1, "x": 1}], "unknown"),
        (pa.table({"i": pa.array([1], pa.int8())}), "missing"),
        (pa.table({"i": pa.array([1], pa.int16()), "s": [{"a": 1}]}), "type"),
        (pa.table({"i": pa.array([1], pa.int8()), "s": pair}), "type"),
    ]:
        with pytest.raises(slipring.SchemaError, match="does not fit what was announced as \"s\", version 1") as raised:
            tx.send(given, schema=small)
        assert reason in [fault.reason for fault in raised.value.faults], given
        assert "announce it as version 2" in str(raised.value)
    assert rx.try_recv() is None
    # 2^53 + 1 is no float.
    with pytest.raises(slipring.SchemaError, match="9007199254740993 is no Float64"):
        tx.send([{"n": 2**53 + 1, "t": "a"}], schema=announced)


def test_texts_go_into_the_dictionary_that_was_announced(ring):
    """R1.1, R5.5: whichever library has them, and however it counts them; too many are told, and as the type of the column."""
    tx, rx = ring.producer(), ring.consumer()
    texts = ["Oslo", None, "Lima", "Oslo", ""]
    plain = pa.table({"city": texts})
    given = {
        "pandas": pd.DataFrame({"city": pd.Series(texts, dtype="str")}),
        "categories": pd.DataFrame({"city": pd.Categorical(texts)}),
        "polars": pl.DataFrame({"city": texts}),
        "polars' categories": pl.DataFrame({"city": pl.Series(texts, dtype=pl.Categorical)}),
        "an enumeration": pl.DataFrame({"city": pl.Series(texts, dtype=pl.Enum(["", "Lima", "Oslo"]))}),
        "pyarrow": plain,
        "chunks": pa.concat_tables([plain.slice(0, 2), plain.slice(2)]),
        "columns": {"city": plain["city"]},
        "records": [{"city": text} for text in texts],
    }
    for number, index in enumerate((pa.int8(), pa.int32(), pa.uint64())):
        kind = pa.dictionary(index, pa.string())
        announced = ring.announce(f"cities{number}", pa.schema([("city", kind)]), version=1)
        for name, table in given.items():
            tx.send(table, schema=announced)
            came = pa.table(rx.recv(1).value)
            came.validate(full=True)
            assert came.schema.field("city").type == kind and came["city"].to_pylist() == texts, name
        tx.send_batches(given["chunks"], schema=announced)
        assert pa.table(rx.tables(timeout=0))["city"].to_pylist() == texts
    few = ring.announce("few", pa.schema([("city", pa.dictionary(pa.int8(), pa.string()))]), version=1)
    many = [str(number) for number in range(129)]
    for table, was in ((pl.DataFrame({"city": many}), "Utf8View"), (pl.DataFrame({"city": pl.Series(many, dtype=pl.Categorical)}), "Dictionary(UInt32, Utf8View)"), (pa.table({"city": many}), "Utf8")):
        with pytest.raises(slipring.SchemaError) as raised:
            tx.send(table, schema=few)
        (fault,) = raised.value.faults
        assert (fault.path, fault.was, fault.wants) == ("city", was, "Dictionary(Int8, Utf8)")
    strict = ring.announce("strict", pa.schema([pa.field("city", pa.dictionary(pa.int8(), pa.string()), False)]), version=1)
    with pytest.raises(slipring.SchemaError, match="city"):
        tx.send(plain, schema=strict)
    assert rx.try_recv() is None


def test_what_a_migration_gives_is_told_as_its_own(ring):
    """R8.4: lists and dicts are tables, as where one is asked for; and nobody is told to send another one."""
    tx, rx = ring.producer(), ring.consumer()
    one = ring.announce("w", pa.schema({"x": pa.int32()}), version=1)
    two = pa.schema([pa.field("x", pa.int32(), False), pa.field("y", pa.string())])
    for made, expected in [
        ([{"x": 1}, {"x": 2, "y": "b"}], [{"x": 1, "y": None}, {"x": 2, "y": "b"}]),
        ({"x": [7], "y": ["a"]}, [{"x": 7, "y": "a"}]),
        ([], []),
        (pd.DataFrame({"x": np.array([3], np.int32), "y": ["c"]}), [{"x": 3, "y": "c"}]),
    ]:
        rx.expect("w", two, version=2, migrations={1: lambda table, made=made: made})
        tx.send(pa.table({"x": pa.array([1], pa.int32())}), schema=one)
        got = rx.recv(0).value
        assert got.to_pylist() == expected and got.column_names == ["x", "y"]
    rx.expect("w", two, version=2, migrations={1: lambda table: [{"x": "a"}]})
    tx.send(pa.table({"x": pa.array([1], pa.int32())}), schema=one)
    with pytest.raises(slipring.SchemaError) as raised:
        _ = rx.recv(0).value
    told = str(raised.value)
    assert told.startswith("what the migration of \"w\" from version 1 to 2 gave can't be read as version 2: column x is Utf8")
    assert told.endswith("; correct the migration from version 1 to 2") and raised.value.migration == (1, 2)
    rx.expect("w", two, version=3, migrations={1: lambda table: pa.table({"x": ["a"]})})
    tx.send(pa.table({"x": pa.array([1], pa.int32())}), schema=one)
    with pytest.raises(slipring.SchemaError, match="gave can't be read as version 3.*correct it, or register a migration"):
        _ = rx.recv(0).value
    rx.expect("w", two, version=2, migrations={1: lambda table: 7})
    tx.send(pa.table({"x": pa.array([1], pa.int32())}), schema=one)
    with pytest.raises(slipring.SchemaError, match="from version 1 to 2 failed.*int is no table"):
        _ = rx.recv(0).value
    # Announced again as another.
    with pytest.raises(slipring.SchemaError, match="the schema is not what was announced as \"w\", version 1: .*; announce it as version 2$"):
        ring.announce("w", pa.schema({"x": pa.int64()}), version=1)


def test_a_schema_is_given_as_it_was_announced_or_by_name(ring):
    """R8.1: the newest version of the name; for many at once, too; and nothing else."""
    tx, rx = ring.producer(), ring.consumer()
    one = ring.announce("w", pa.schema({"x": pa.int32()}), version=1)
    ring.announce("w", pa.schema({"x": pa.int64()}), version=2)
    tables = [pa.table({"x": pa.array([n], pa.int32())}) for n in range(5)]
    tx.send(tables[0], schema="w")
    assert rx.recv(0).header.schema_version == 2
    assert tx.send_many(tables, schema=one) == 5
    assert [(f.header.schema_version, f.value.to_pydict()) for f in rx.recv_many(9, 0)] == [(1, {"x": [n]}) for n in range(5)]

    async def many():
        assert await tx.send_many_async([[{"x": 1}], []], schema="w") == 2
        await tx.send_async(tables[1], schema="w")
        assert await tx.send_batches_async(tables, schema="w") == 5

    asyncio.run(many())
    assert {frame.header.schema_version for frame in rx.recv_many(9, 0)} == {2}
    for call in (tx.send, lambda given, schema: tx.send_many([given], schema=schema), tx.send_batches):
        with pytest.raises(TypeError, match="ring.announce"):
            call(tables[0], schema=pa.schema({"x": pa.int32()}))
        with pytest.raises(ValueError, match="\"v\" was announced"):
            call(tables[0], schema="v")
    with pytest.raises(slipring.SchemaError) as raised:
        tx.send_many([tables[0], pa.table({"y": [1]})], schema=one)
    assert raised.value.sent == 1


def test_a_default_of_another_type_is_not_announced(ring):
    """R8.2: found when it is said, and not when somebody needs it; within structs, too."""
    rx = ring.consumer()
    wrong = pa.field("x", pa.int32(), metadata={"slipring.default": "abc"})
    for path, made in (("x", wrong), ("s.x", pa.field("s", pa.struct([wrong]))), ("l[].x", pa.field("l", pa.list_(pa.struct([wrong]))))):
        for call in (ring.announce, rx.expect):
            with pytest.raises(slipring.SchemaError, match="the default \"abc\" of column .* is no Int32") as raised:
                call("d", pa.schema([made]), version=1)
            assert [(fault.path, fault.reason) for fault in raised.value.faults] == [(path, "default")]
    assert ring.schemas() == []
    ring.announce("d", pa.schema([wrong.with_metadata({"slipring.default": "7"})]), version=1)


@pytest.mark.parametrize("many", [False, True])
def test_an_index_of_pandas_that_was_not_announced_is_left_out(ring, many):
    """R2.4, R6.3: what has no name, as pyarrow leaves it out, and that is said; what has one is a column that was not announced."""
    tx, rx = ring.producer(), ring.consumer()
    kind = pa.schema([("a", pa.int64())])
    under = ring.announce("plain", kind, version=1)
    frame = pd.DataFrame({"a": [1, 2, 3]})

    def sent(frame, schema=under):
        tx.send_batches(frame, schema=schema, timeout=1) if many else tx.send(frame, schema=schema, timeout=1)
        return pa.table(rx.recv(1).table)

    odd = frame.set_axis(["x", "y", "z"])
    for index in (odd.index, pd.date_range("2026", periods=3), pd.MultiIndex.from_product([[1], ["x", "y", "z"]]), pd.Index([0, 2, 1])):
        unnamed = frame.set_axis(index)
        with pytest.warns(slipring.LossyWarning, match="the index of a pandas data frame is not sent") as caught:
            got = sent(unnamed)
        assert len(caught) == 1
        assert got.to_pydict() == pa.Table.from_pandas(unnamed, schema=kind).to_pydict() == {"a": [1, 2, 3]}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert sent(frame).to_pydict() == {"a": [1, 2, 3]}
        for refused in (odd.rename_axis("row"), frame.assign(__index_level_0__=1)):
            with pytest.raises(slipring.SchemaError) as raised:
                sent(refused)
            assert [fault[3] for fault in raised.value.faults] == ["unknown"]
        whole = ring.announce("whole", pa.table(odd).schema, version=1)
        assert sent(odd, whole).to_pydict() == {"a": [1, 2, 3], "__index_level_0__": ["x", "y", "z"]}
