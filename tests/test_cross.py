"""Frames between Python, Elixir and Rust, all ways, and what is left when one of them is killed."""

import datetime as dt
import decimal
import fractions
import functools
import json
import math
import mmap
import pathlib
import struct
import time
import uuid
import warnings
import zoneinfo

import numpy as np
import pyarrow as pa
import pytest
import slipring

DTYPES = ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16"]


class Echo:
    """Rings in a row, between each two a process that sends on what comes; Python has the first end and the last."""

    def __init__(self, name, *starts):
        self.rings = [slipring.create(f"{name}-{n}", capacity="16 MiB") for n in range(len(starts) + 1)]
        self.there, self.back = self.rings[0], self.rings[-1]
        self.tx, self.rx = self.there.producer(), self.back.consumer()
        self.processes = [start(f"{name}-{n}", f"{name}-{n + 1}") for n, start in enumerate(starts)]

    def __call__(self, obj, meta=None, format=None):
        self.tx.send(obj, meta=meta, format=format, timeout=20)
        return self.answer()

    def answer(self):
        try:
            return self.rx.recv(timeout=20)
        except slipring.Timeout:
            pytest.fail(f"no answer; printed was: {[process.end() for process in self.processes]}")

    def meta(self, frame):
        """The metadata that was sent."""
        return frame.meta["meta"] if self.by_elixir else frame.meta

    def close(self):
        self.there.finish()
        for process in self.processes:
            assert (process.wait(20), process.end()) == (0, "")
        for ring in self.rings:
            ring.close()


#: By which processes what Python sends comes back. Elixir's says in the metadata what it makes of it.
ROUTES = {"elixir": ["elixir"], "rust": ["rust"], "rust-elixir-rust": ["rust", "elixir", "rust"]}


@pytest.fixture(params=ROUTES)
def echo(request, name, elixir, rust):
    start = {"elixir": functools.partial(elixir, "echo.exs"), "rust": functools.partial(rust, "relay")}
    route = ROUTES[request.param]
    echo = Echo(name, *(start[language] for language in route))
    echo.by_elixir = "elixir" in route
    yield echo
    echo.close()


#: What is told by who first can't read a frame, in the same words.
directly = pytest.mark.parametrize("echo", ["elixir", "rust"], indirect=True)


def test_bytes_of_any_length(echo):
    """P3, R3.1: bytes arrive as they were sent, whatever their length."""
    rng = np.random.default_rng(1)
    for size in [0, 1, 7, 63, 64, 65, 191, 192, 193, 4096, 65_535, 65_536, 65_537, 1 << 20]:
        sent = rng.bytes(size)
        frame = echo(sent)
        assert bytes(frame.view) == sent
        assert not echo.by_elixir or frame.meta["about"] == {"size": size}


GOLDEN = json.loads((pathlib.Path(__file__).parent / "golden/values.json").read_text())
# What Elixir reads as something else, and so sends back as that.
CHANGED = {
    "float nan": slipring.Atom("nan"),
    "float infinity": slipring.Atom("infinity"),
    "frozen set": {7},
    "element <i4": -5,
    "epoch": dt.datetime(1970, 1, 1, 0, 0, 1, tzinfo=dt.timezone.utc),
}


def test_golden_values_are_read_and_written_alike(echo):
    """R6.1, R6.2: the bytes of each type of value, which Elixir's tests have too; and there and back."""
    for golden in GOLDEN:
        name, data = golden["name"], bytes.fromhex(golden["hex"])
        if golden["note"].startswith("Elixir only"):
            with pytest.raises(slipring.DecodeError):
                slipring.decode(data)
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", slipring.LossyWarning)
            value = slipring.decode(data)
        if name not in ("map of a list key", "epoch"):
            assert slipring.encode(value) == data, name
        if isinstance(value, (bytes, np.ndarray)):
            continue  # These go as they are, and are tested below.
        echo.tx.send(value, format="value", timeout=20)
        got = echo.answer().value
        wanted = CHANGED.get(name, value) if echo.by_elixir else value
        if name == "text" and echo.by_elixir:
            assert bytes(got).decode() == wanted  # A binary alone goes raw.
        else:
            assert (type(got), repr(got)) == (type(wanted), repr(wanted)), name
            assert echo.by_elixir or slipring.encode(got) == slipring.encode(value), name


def test_numpys_text_and_bytes_are_binaries_in_elixir(echo):
    """R6.2: one element of an array of texts or bytes, without its dtype; Rust keeps it."""
    sent = [np.str_("grüß"), np.str_(""), np.bytes_(b"\xff\0a")]
    got = echo(sent).value
    assert got == ["grüß", "", b"\xff\0a"]
    assert [type(item) for item in got] == ([str, str, bytes] if echo.by_elixir else [type(item) for item in sent])


def test_values_there_and_back(echo):
    """R6.1, R14.2: values in each other; large bytes and arrays out of line both ways."""
    inner = {"int": 2**100, "tuple": (1, [2.5, None]), "set": {1, 2}, "text": "grüß", b"\xff": b"\0\xff"}
    large = np.arange(50_000, dtype=">f4").reshape(100, 500)
    sent = [{"in": inner, 7: [inner] * 3, (1, "a"): True}, large, b"\xff" * 100_000, large.T, [[]] * 1_000]
    frame = echo(sent)
    got = frame.value
    assert got[0] == sent[0]
    assert got[1].dtype == large.dtype and (got[1] == large).all() and not got[1].flags.owndata
    assert bytes(got[2]) == sent[2]
    assert (got[3] == large.T).all() and got[3].flags.f_contiguous
    assert got[4] == sent[4]
    assert not echo.by_elixir or frame.meta["about"]["term"].startswith('[%{7 => [%{"int" => 1267650600228229401496703205376')


JSON = json.loads((pathlib.Path(__file__).parent / "golden/json.json").read_text())


@directly
def test_json_is_refused_alike(echo):
    """R6.1, R9.2: what is no JSON, with the same path. What is not UTF-8 has no way here: only Raw sends what is no JSON."""
    for golden in JSON:
        if "error" in golden and "hex" not in golden:
            about = echo(slipring.json.Raw(golden["text"])).meta["about"]
            assert (about["reason"], about["path"]) == ("decode", golden["error"]["path"]), golden["name"]


def test_json_there_and_back(echo):
    """R6.1, R9.1: the golden texts are read and written alike; documents come back as they were."""
    for golden in JSON:
        if "error" in golden:
            continue
        data = bytes.fromhex(golden["hex"]) if "hex" in golden else golden["text"].encode()
        frame = echo(slipring.json.Raw(data))
        wanted = slipring.decode(bytes.fromhex(golden["cbor"]))
        # Elixir's maps have no order; as text 1 and 1.0 differ.
        texts = [slipring.json.dumps(value, sort_keys=echo.by_elixir) for value in (frame.value, wanted)]
        assert frame.format == "json" and texts[0] == texts[1], golden["name"]
    document = {"a": [1, 2.5, None, {"deep": [2**200, -0.0, "\u00e9\n\x7f"]}], "rows": [{"id": n} for n in range(3000)]}
    echo.tx.send(document, format="json", meta={"site": 4}, timeout=20)
    frame = echo.answer()
    assert frame.format == "json" and frame.value == document and echo.meta(frame) == {"site": 4}
    text = slipring.json.dumps(frame.value, sort_keys=True)
    assert text == slipring.json.dumps(document, sort_keys=True)


RECORD = np.dtype(
    {
        "names": ["id", "xy", "in", "when"],
        "formats": [">u2", ("<f4", (2,)), [("tag", "S2"), ("letter", ">U1")], "M8[25s]"],
        "offsets": [0, 4, 12, 24],
        "itemsize": 40,
        "titles": ["number", None, None, None],
    }
)
OTHERS = [
    (np.array([0, -1, "NaT"], "M8[25s]"), "<M8[25s]", "[0, -1, :nat]"),
    (np.array([[1], [-2]], ">m8[h]"), ">m8[h]", "[[1], [-2]]"),
    (np.array([b"ab", b"\0c", b""], "S4"), "|S4", '["ab", <<0, 99>>, ""]'),
    (np.array(["\u00e9\U0001d11e", "a"], ">U3"), ">U3", '["\u00e9\U0001d11e", "a"]'),
    (np.array(b"xyz", "V3"), "|V3", '"xyz"'),
    (np.array([(1, 2), (3, 4)], [("a", "u1"), ("b", "<i8")]), "[('a', 'u1'), ('b', '<i8')]",
     '[%{"a" => 1, "b" => 2}, %{"a" => 3, "b" => 4}]'),
    (np.array([(258, [1.5, -1], (b"a", "\u00fc"), 1)], RECORD), str(RECORD),
     '[%{"id" => 258, "in" => %{"letter" => "\u00fc", "tag" => "a"}, "when" => 1, "xy" => [1.5, -1.0]}]'),
    (np.array([["a", None], ["\u00e9", ""]], np.dtypes.StringDType(na_object=None)), "StringDType()",
     '[["a", nil], ["\u00e9", ""]]'),
]  # fmt: skip


@pytest.mark.parametrize("order", "CF")
def test_arrays_of_other_dtypes(echo, order):
    """R4.3, R4.5: dates, text, structs and strings there and back; Elixir names the dtype as NumPy does, and
    reads the elements."""
    for array, dtype, elements in OTHERS:
        sent = np.asarray(array, order=order)
        frame = echo(sent)
        got = frame.value
        assert (got.dtype, got.shape, repr(got)) == (sent.dtype, sent.shape, repr(sent))
        assert got.flags.f_contiguous == sent.flags.f_contiguous
        if echo.by_elixir:
            about = frame.meta["about"]
            assert (about["dtype"], about["elements"]) == (dtype, elements)
            assert about["shape"] == list(sent.shape)


def test_every_dtype_comes_back(echo):
    """R4.3: what Elixir and Rust have no numbers for, too."""
    deep = [("f", [("g", [("h", "G", (2, 2)), ("", "S0")])]), ("i", ">c16")]
    for dtype in ["g", ">G", "S0", "V0", "M8", deep, np.dtype([("a", "u1"), ("b", "f8")], align=True), []]:
        sent = np.zeros((2, 3), dtype) if dtype not in ("S0", "V0") else np.ndarray((2,), dtype, b"x")
        got = echo(sent).value
        assert (got.dtype, got.shape, got.tobytes()) == (sent.dtype, sent.shape, sent.tobytes())
        assert got.dtype.isalignedstruct == sent.dtype.isalignedstruct


def test_arrays_of_every_dtype_order_and_shape(echo):
    """R4.1, R4.5: dtype, byte order, memory order and shape survive the way there and back, and Elixir
    reads the numbers that Python wrote."""
    for letter in DTYPES:
        for byte_order in "<>":
            dtype = np.dtype(letter).newbyteorder(byte_order)
            for shape in [(), (0,), (5,), (2, 3), (2, 0, 3), (2, 3, 4)]:
                for order in "CF":
                    count = math.prod(shape)
                    array = np.arange(count).reshape(shape).astype(dtype, order=order)
                    frame = echo(array)
                    back = frame.value
                    assert back.dtype == array.dtype
                    assert back.shape == array.shape
                    np.testing.assert_array_equal(back, array)
                    assert back.flags.c_contiguous == array.flags.c_contiguous
                    assert back.flags.f_contiguous == array.flags.f_contiguous

                    if not echo.by_elixir:
                        continue
                    about = frame.meta["about"]
                    assert about["shape"] == list(shape)
                    assert about["sum"] == array.sum().real
                    kind = "bool" if letter == "?" else {"i": "s"}.get(letter[0], letter[0])
                    assert about["type"] == f"{kind}{8 * dtype.itemsize}"
                    if dtype.itemsize > 1:
                        assert about["byte_order"] == {"<": "little", ">": "big"}[byte_order]


def test_strided_arrays_arrive_whole(echo):
    """R4.1: what does not lie in one piece is put together."""
    array = np.arange(24.0).reshape(4, 6)[::2, 1::2]
    np.testing.assert_array_equal(echo(array).value, array)


def test_metadata(echo):
    """R3.5: every kind of value that metadata can have, nested, through both languages."""
    meta = {
        "text": "Grüße",
        "bytes": b"\xff\x00",
        "integers": [0, 23, 24, 255, 256, -1, -(2**63), 2**64 - 1, -(2**64)],
        "floats": [0.0, -1.5, 1e300],
        "none": None,
        "truth": [True, False],
        "nested": {"": {"deep": [[], {}, [{"deeper": 1}]]}},
    }
    assert alike(echo.meta(echo(b"", meta)), meta)
    assert echo.meta(echo(np.ones(3), {})) == {}
    assert echo.meta(echo(b"x")) is None


def test_floats_that_elixir_does_not_have(echo):
    """R6.1: NaN and the infinities in metadata are atoms there, and come back as their names; from Rust as they were."""
    sent = {"floats": [math.nan, math.inf, -math.inf]}
    expected = {"floats": ["nan", "infinity", "neg_infinity"]} if echo.by_elixir else sent
    assert alike(echo.meta(echo(b"", sent)), expected)


def corrupt(path, where, what):
    """Overwrites what lies at `where(bytes)` in a segment's file, as a stray pointer would."""
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0) as segment:
        at = where(segment)
        segment[at : at + len(what)] = what


# From the start of the array's body: what is wrong, and the path to it.
HARM = [
    (0, b"\xff\xff", "$.parts"),  # more parts than there is room for
    (8 + 8, b"\x01\x00\x00\x00\x00\x00\x00\x00", "$.parts[0]"),  # the head lies in the table
    (8 + 16, b"\xff" * 8, "$.parts[0]"),  # it is longer than the body
    (56 + 1, b"q", "$.head.dtype"),
    (56 + 16, b"\x09", "$.data"),  # a shape that needs more elements
]


@pytest.mark.parametrize("offset, what, path", HARM)
def test_damaged_frames_are_refused(name, elixir, offset, what, path):
    """P9, R9.2, R9.3: a body whose descriptors lie gives an error that names the place, in both
    languages, and the next frame is not touched."""
    array = np.frombuffer(b"the array's own bytes", "u1")

    def send_damaged(ring):
        tx = ring.producer()
        tx.send(array)
        corrupt(ring.path, lambda file: file.find(array.tobytes()) - 128 + offset, what)
        tx.send(b"after")
        return tx

    with slipring.create(name, capacity="1 MiB") as ring:
        send_damaged(ring)
        rx = ring.consumer()
        with pytest.raises(slipring.DecodeError) as error:
            rx.recv(timeout=1).value
        assert error.value.path.startswith(path)
        assert error.value.hint
        assert bytes(rx.recv(timeout=1).view) == b"after"

    with (
        slipring.create(f"{name}-there", capacity="1 MiB") as there,
        slipring.create(f"{name}-back", capacity="1 MiB") as back,
    ):
        send_damaged(there)
        there.finish()
        process = elixir("echo.exs", f"{name}-there", f"{name}-back")
        rx = back.consumer()
        about = rx.recv(timeout=20).meta["about"]
        assert about["reason"] == "decode"
        assert about["path"].startswith(path)
        assert about["hint"]
        assert bytes(rx.recv(timeout=20).view) == b"after"
        assert process.wait(20) == 0


POUR = """
import sys, slipring
name, first, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
tx = slipring.open(name, wait=20).producer()
while True:
    tx.send(first.to_bytes(8, "little") + bytes(size - 8))
    first += 1
"""

COUNT = """
import sys, slipring
with slipring.open(sys.argv[1], wait=20) as ring:
    for frame in ring.consumer():
        print(int.from_bytes(frame.view[:8], "little"), flush=True)
        del frame
"""


def attached(ring, role):
    """Waits until a living process has the role."""
    deadline = time.monotonic() + 20
    while not any(getattr(process, role) and process.alive for process in ring.inspect().processes):
        assert time.monotonic() < deadline, f"nobody {role}"
        time.sleep(0.01)


@pytest.mark.parametrize("size", [64, 10_000])
@pytest.mark.parametrize("language", ["elixir", "python"])
def test_a_killed_producer_is_replaced(name, elixir, python, language, size):
    """P6: what a killed producer had committed arrives, in order and once; the next one goes on."""
    with slipring.create(name, capacity="1 MiB", slots=64) as ring:
        rx = ring.consumer()
        got = []
        for life in range(3):
            first = life * 1_000_000_000
            arguments = name, first, size
            elixirs = language == "elixir"
            process = elixir("pour.exs", *arguments) if elixirs else python(POUR, *arguments)
            # Until well into its stream.
            mine = [int.from_bytes(rx.recv(timeout=20).view[:8], "little") for _ in range(500)]
            process.end()
            while frame := rx.try_recv():
                mine.append(int.from_bytes(frame.view[:8], "little"))
                del frame
            assert mine == list(range(first, first + len(mine)))
            got += mine
        assert len(got) >= 1500
        # Whoever waits sees to the dead.
        with pytest.raises(slipring.Timeout):
            rx.recv(timeout=0.5)
        inspection = ring.inspect()
        assert (inspection.filling, inspection.offered, inspection.held) == (0, 0, 0)


@pytest.mark.parametrize("size", [64, 10_000])
@pytest.mark.parametrize("language", ["elixir", "python"])
def test_a_killed_consumer_is_replaced(name, elixir, python, language, size):
    """P6: frames that a killed consumer had not taken go to the next one. What it had taken is delivered
    once at most, and of its memory nothing is lost."""
    with slipring.create(name, capacity="1 MiB", slots=64) as ring:
        tx = ring.producer()
        sent, seen = 0, []
        for life in range(3):
            process = elixir("count.exs", name) if language == "elixir" else python(COUNT, name)
            attached(ring, "consumes")
            begun = time.monotonic()
            while time.monotonic() - begun < 0.3:
                tx.send(sent.to_bytes(8, "little") + bytes(size - 8), timeout=20)
                sent += 1
            # The last line may be half.
            seen.append([int(line) for line in process.end().split("\n")[:-1]])
        with ring.consumer() as rx:
            rest = []
            while frame := rx.try_recv():
                rest.append(int.from_bytes(frame.view[:8], "little"))
                del frame
        for lines in seen:
            assert lines == list(range(lines[0], lines[0] + len(lines)))
        order = [number for lines in [*seen, rest] for number in lines]
        assert order == sorted(set(order)), "out of order, or twice"
        assert rest == list(range(sent - len(rest), sent))
        inspection = ring.inspect()
        assert (inspection.filling, inspection.offered, inspection.held) == (0, 0, 0)


BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
#: What Python sends, and what comes back by way of Elixir where that is another thing.
VALUES = [
    None, True, 0, -1, 2**63, 2**64, -(2**64) - 1, 10**40, 0.5, -0.0, 1e300, "", "text", "ä€\U0001f600", b"\0\xff",
    (b"ascii", "ascii"), (math.inf, slipring.Atom("infinity")), (-math.inf, slipring.Atom("neg_infinity")),
    (math.nan, slipring.Atom("nan")),
    [], [1, [2.5, [None]]], (((1, (2,)), []),), ((),), {}, {"a": {"b": [1]}}, {1: "int", 2.5: "float", None: 0, (1, 2): "tuple"},
    {1, "a"}, (frozenset({1}), {1}), slipring.Atom("ok"), range(10), range(10, 0, -3), range(0),
    dt.date(2026, 11, 21), dt.time(10, 46, 28, 5), dt.datetime(2026, 11, 21, 10, 46), dt.datetime(2026, 11, 21, microsecond=7),
    dt.datetime(2026, 11, 21, tzinfo=dt.timezone.utc), dt.datetime(2026, 11, 21, tzinfo=dt.timezone(dt.timedelta(hours=-5))),
    dt.datetime(2026, 7, 1, 12, tzinfo=BERLIN), dt.datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=BERLIN), dt.timedelta(days=-1, microseconds=1),
    decimal.Decimal("-12.50"), decimal.Decimal("NaN"), decimal.Decimal("-NaN"), decimal.Decimal("1E+400"), decimal.Decimal("9" * 60),
    fractions.Fraction(3, 7), 1 - 2j, uuid.UUID(int=2**100), slipring.Tag(4711, ["x"]), slipring.Object("acme.Thing", 2, {"a": 1}),
]  # fmt: skip


def alike(a, b):
    """Equal and of one type, all the way down; maps in any order."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return len(a) == len(b) and all(key in b and alike(value, b[key]) for key, value in a.items())
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(alike, a, b))
    return str(a) == str(b) if isinstance(a, (float, decimal.Decimal)) else a == b


def test_any_value_goes_there_and_back(echo):
    """R6.1, R6.2: each type by way of Elixir's terms and Rust's `Value`, alone and inside others; what changes is what
    docs/types.md says, and nothing in Rust."""
    for value in VALUES:
        sent, expected = value if type(value) is tuple and len(value) == 2 else (value, value)
        if type(value) is tuple and len(value) == 1:
            sent = expected = value[0]
        if not echo.by_elixir:
            expected = sent
        frame = echo([sent, {"in": sent}])
        got = frame.value
        assert alike(got, [expected, {"in": expected}]), (sent, got, frame.meta)


def test_elixirs_terms_come_back_from_rust(name, elixir, rust):
    """R6.1, R6.2: every type of the table that Elixir has, by way of Rust's own, is the same term again."""
    with (
        slipring.create(f"{name}-there", capacity="16 MiB") as there,
        slipring.create(f"{name}-back", capacity="16 MiB"),
    ):
        relay = rust("relay", f"{name}-there", f"{name}-back")
        process = elixir("through.exs", f"{name}-there", f"{name}-back")
        ended, printed = process.wait(60), process.end()
        assert (ended, printed) == (0, ""), printed
        there.finish()
        assert (relay.wait(20), relay.end()) == (0, "")


def test_arrays_in_values_go_there_and_back(echo):
    """R4.1, R14.2: out of line both ways, every dtype, and large bytes."""
    arrays = {code: np.arange(300).astype(code).reshape(20, 15) for code in DTYPES}
    sent = {**arrays, "small": np.arange(3), "fortran": np.asfortranarray(np.ones((30, 40))), "blob": bytes(range(256)) * 400}
    frame = echo(sent)
    got = frame.value
    assert len(frame.describe()["buffers"]) == len(DTYPES) + 2
    assert bytes(got.pop("blob")) == sent.pop("blob")
    for name, array in sent.items():
        assert (got[name].dtype, got[name].shape) == (array.dtype, array.shape), name
        assert np.array_equal(got[name], array)
    others = [array for array, _, _ in OTHERS]
    for array, got in zip(others, echo(others).value):
        assert (got.dtype, got.shape, repr(got)) == (array.dtype, array.shape, repr(array))


def test_tables_in_values_go_there_and_back(echo):
    """R4.1, R6.1, R14.2: a table inside of others, of every type, whole, sliced, empty, in batches, and a column."""
    columns = {f"c{n}": of_type(kind, values) for n, (kind, values) in enumerate(TABLES) if len(values) == 3}
    table = pa.table(columns, metadata={"from": "here"})
    many = pa.table({"n": pa.chunked_array([[1, 2], [], [3]]), "s": pa.chunked_array([["a", None], [], ["c" * 50]])})
    sent = {"id": 7, "frame": table, "more": [table[1:], table[:0], many, (pa.array([1, None]), {"x": many})]}
    frame = echo(sent)
    got = frame.value
    assert frame.format == "value" and got["id"] == 7
    whole, cut, none, batches, (column, inner) = got["frame"], *got["more"][:3], got["more"][3]
    for found, expected in [(whole, table), (cut, table[1:]), (none, table[:0]), (batches, many), (inner["x"], many)]:
        assert type(found) is slipring.Table
        read = pa.table(found)
        read.validate(full=True)
        assert read.equals(expected, check_metadata=True)
    assert batches.num_batches == len(many.to_batches())
    assert type(column) is slipring.Column and column.to_pylist() == [1, None]
    assert not echo.by_elixir or "#Slipring.Table<" in frame.meta["about"]["term"]


@directly
@pytest.mark.filterwarnings("ignore::slipring.PickleWarning")
def test_a_pickle_keeps_its_metadata(echo):
    """R13.2, M3: Elixir and Rust can't load it, and read what stands beside it."""
    for size in (1, 200_000):
        frame = echo(slice(b"x" * size), {"job": 7})
        assert frame.meta["meta"] == {"job": 7}
        assert "pickle" in frame.meta["about"]["message"]
        assert not echo.by_elixir or frame.meta["about"]["reason"] == "untrusted_pickle"


DAY = dt.date(2026, 11, 21)
NAIVE = dt.datetime(2026, 11, 21, 10, 46, 28)
MOMENT = NAIVE.replace(tzinfo=dt.timezone.utc)
STRUCT = pa.struct([pa.field("a", pa.int8(), nullable=False), ("b", pa.list_(pa.string()))])
# Types, and elements that Elixir reads as what they are.
TABLES = [
    (pa.null(), [None, None, None]),
    (pa.bool_(), [True, None, False] * 7),
    *[(kind, [1, None, 127]) for kind in (pa.int8(), pa.int16(), pa.int32(), pa.int64())],
    *[(kind, [1, None, 255]) for kind in (pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64())],
    (pa.int64(), [-(2**63), 2**63 - 1]),
    (pa.uint64(), [2**64 - 1]),
    *[(kind, [1.5, None, -0.25]) for kind in (pa.float16(), pa.float32(), pa.float64())],
    *[
        (kind, [decimal.Decimal("-1234.56"), None, decimal.Decimal("0.01")])
        for kind in (pa.decimal32(9, 2), pa.decimal64(18, 2), pa.decimal128(38, 2), pa.decimal256(76, 2))
    ],
    (pa.decimal256(76, 0), [decimal.Decimal(-(10**75)), decimal.Decimal(10**75)]),
    *[(kind, ["", None, "\u00e9", "x" * 70_000]) for kind in (pa.string(), pa.large_string(), pa.string_view())],
    *[(kind, [b"\xff", None, b"\xfe" * 70_000]) for kind in (pa.binary(), pa.large_binary(), pa.binary_view())],
    (pa.binary(2), [b"\xff\x00", None]),
    (pa.date32(), [DAY, None, dt.date(1, 1, 1)]),
    (pa.date64(), [DAY, None, dt.date(1969, 12, 31)]),
    *[(kind, [dt.time(10, 46, 28), None]) for kind in (pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns"))],
    *[(pa.timestamp(unit), [NAIVE, None, dt.datetime(1900, 1, 1)]) for unit in ("s", "ms", "us", "ns")],
    *[(pa.timestamp(unit, "Europe/Berlin"), [MOMENT, None]) for unit in ("s", "ms", "us", "ns")],
    (pa.timestamp("us", "+05:30"), [MOMENT, None]),
    *[(pa.duration(unit), [dt.timedelta(days=-3, seconds=5), None]) for unit in ("s", "ms", "us", "ns")],
    (pa.month_day_nano_interval(), [pa.MonthDayNano([1, -2, 3]), None]),
    (pa.list_(pa.int16()), [[1, None], None, [], [2]]),
    (pa.large_list(pa.string()), [["a"], None, [], ["b", None]]),
    (pa.list_(pa.int16(), 2), [[1, 2], None, [3, None]]),
    (pa.list_view(pa.int16()), [[1, None], None, [], [2]]),
    (pa.large_list_view(pa.int16()), [[1, None], None, [], [2]]),
    (STRUCT, [{"a": 1, "b": ["x", None]}, None, {"a": -1, "b": None}]),
    (pa.list_(STRUCT), [[{"a": 1, "b": []}], None, []]),
    (pa.map_(pa.string(), pa.list_(pa.int8())), [[("k", [1]), ("l", None)], None, []]),
    (pa.dictionary(pa.int8(), pa.string()), ["x", None, "y", "x"]),
    (pa.dictionary(pa.uint16(), pa.int64(), ordered=True), [5, None, 7, 5]),
]


def of_type(kind, values):
    if pa.types.is_dictionary(kind):
        return pa.array(values, kind.value_type).dictionary_encode().cast(kind)
    return pa.array(values, kind)


def special():
    """Arrays that are not made of a list, and their elements."""
    ids = pa.array([0, 1, 0, 1], pa.int8())
    ints, texts = pa.array([1, 2, 3, 4]), pa.array(["p", None, "q", "r"])
    yield pa.UnionArray.from_sparse(ids, [ints, texts]), [1, None, 3, "r"]
    offsets = pa.array([3, 0, 0, 2], pa.int32())
    yield pa.UnionArray.from_dense(ids, offsets, [ints, texts]), [4, "p", 1, "q"]
    ends = pa.array([2, 3, 6], pa.int32())
    yield pa.RunEndEncodedArray.from_arrays(ends, pa.array(["x", None, "y"])), ["x", "x", None, "y", "y", "y"]
    yield pa.array(["a", "bb", "ccc", None, "e"] * 5).slice(3, 17), (["a", "bb", "ccc", None, "e"] * 5)[3:20]


def as_elixir_has_it(value):
    return dict(zip(("months", "days", "nanoseconds"), value)) if isinstance(value, pa.MonthDayNano) else value


def test_tables_of_every_type(echo):
    """R2.2, R2.3, R6.1: Elixir reads what pyarrow wrote, whole and from the middle, and pyarrow what goes on from there."""
    cases = [(of_type(kind, values), values) for kind, values in TABLES] + list(special())
    for array, values in cases:
        for length in (len(array), 0):
            table = pa.table({"c": array.slice(0, length)})
            frame = echo(table)
            got = pa.table(frame.value)
            assert got.schema.equals(table.schema, check_metadata=True), array.type
            assert got.equals(table), array.type
            if not echo.by_elixir:
                continue
            expected = [as_elixir_has_it(value) for value in values[:length]]
            about = frame.meta["about"]
            assert about["columns"] == {"c": expected}, array.type
            assert about["half"] == {"c": expected[length // 2 :]}, array.type


def test_tables_of_many_batches_with_metadata(echo):
    """R2.2: batches stay batches, and what the schema says of itself stays."""
    schema = pa.schema([pa.field("id", pa.int64(), False, {"unit": "m"}), ("d", pa.dictionary(pa.int8(), pa.string()))])
    schema = schema.with_metadata({"made": "here"})
    batches = [
        pa.record_batch([pa.array(ids), pa.array(names).dictionary_encode().cast(schema.field("d").type)], schema)
        for ids, names in [([1, 2], ["a", "b"]), ([3], ["c"]), ([], pa.array([], pa.string())), ([4, 5], ["b", None])]
        for ids, names in [(pa.array(ids, pa.int64()), names)]
    ]
    table = pa.Table.from_batches(batches)
    frame = echo(table)
    got = pa.table(frame.value)
    assert got.schema.equals(table.schema, check_metadata=True)
    assert got.equals(table) and got.column("id").num_chunks == 4
    assert not echo.by_elixir or frame.meta["about"]["columns"] == {"id": [1, 2, 3, 4, 5], "d": ["a", "b", "c", "b", None]}


def test_records_stay_records(echo):
    """R2.2, R6.1: what Python sends as a table unasked is the same list in Elixir, and is one when it comes back."""
    for records in (
        [{"id": i, "name": f"n{i}", "x": i / 2, "ok": i % 2 == 0, "no": None} for i in range(500)],
        [{"id": i} if i % 2 else {"id": i, "even": "yes"} for i in range(500)],
    ):
        frame = echo(records)
        assert frame.format == "arrow"
        assert frame.value == records
        assert not echo.by_elixir or "%Slipring.Table" not in frame.meta["about"]["term"]


def test_rich_records_are_the_same_terms(echo):
    """R2.2, R6.1: dates, times, decimals, UUIDs, lists and dicts in records: in Elixir what a value of them is, term by term, and in
    Python again what they were."""
    zones = [dt.timezone.utc, dt.timezone(dt.timedelta(hours=-3, minutes=-30))]
    moment = dt.datetime(1969, 12, 31, 23, 59, 58)
    for zone in (None, *zones):
        for micros in (0, 70):
            at = moment.replace(tzinfo=zone, microsecond=micros)
            records = [
                {
                    "id": uuid.UUID(int=2**127 + i),
                    "at": at + dt.timedelta(days=i),
                    "day": dt.date(1, 1, 1) + dt.timedelta(days=i * 10_000),
                    "time": at.replace(tzinfo=None).time(),
                    "took": dt.timedelta(days=-i, microseconds=i),
                    "price": decimal.Decimal(7 * i - 90).scaleb(-2),
                    "large": decimal.Decimal(f"{10**30 + i}E+2"),
                    "raw": bytes([255, i]),
                    "tags": [None, "x"] * (i % 3),
                    "place": {"x": i / 4, "of": [{"id": uuid.UUID(int=i), "at": at}], "maybe": None if i % 2 else [i]},
                    "maybe": None if i % 5 else {"day": dt.date(2024, 2, 29)},
                }
                for i in range(200)
            ]
            table, value = echo(records), echo(records, format="value")
            if echo.by_elixir:
                assert (table.format, value.format) == ("value", "value")
                assert table.meta["about"] == value.meta["about"]
                assert "Slipring.UUID" in table.meta["about"]["term"]
            assert table.value == records and repr(table.value) == repr(value.value)


def test_streams_of_batches_to_elixir(name, elixir):
    """R2.2, P5: a table larger than the ring goes through it batch by batch, and back as another."""
    there, back = (slipring.create(f"{name}-{end}", capacity="1 MiB") for end in ("there", "back"))
    process = elixir("batches.exs", name)
    table = pa.table({"id": pa.array(range(500_000)), "x": pa.array(np.arange(500_000) / 2)})
    tx, rx = there.producer(), back.consumer()
    assert tx.send_batches(table, rows=10_000, timeout=20) == 50
    got = pa.table(rx.recv(timeout=20).value)
    assert got.column("rows").to_pylist() == [10_000] * 50
    assert sum(got.column("sum").to_pylist()) == sum(range(500_000))
    assert (process.wait(20), process.end()) == (0, "")
    there.close()
    back.close()


READING = pa.schema([
    pa.field("id", pa.int64(), False),
    pa.field("temp", pa.float64()),
    pa.field("site", pa.dictionary(pa.int8(), pa.string())),
])


def reading(rows):
    sites = pa.array([["north", "south", None][row % 3] for row in range(rows)]).dictionary_encode()
    columns = [pa.array(range(rows)), pa.array([row / 2 or None for row in range(rows)])]
    return pa.table([*columns, sites.cast(READING.field("site").type)], READING)


@pytest.mark.parametrize("rows", [3, 100_000])
def test_tables_under_a_schema_are_read(echo, rows):
    """R2.4, P5: a table whose schema stands in the ring is read in Elixir, from a small frame, which is copied, and from a
    large one in place, and in Rust; sent on to another ring, it names no schema of the first one."""
    # So that no number of a schema is that of its version.
    echo.there.announce("other", pa.schema([("x", pa.int8())]), version=1)
    announced = echo.there.announce("weather", READING, version=1)
    wider = READING.append(pa.field("wind", pa.float32()))
    second = echo.there.announce("weather", wider, version=2)
    assert (announced.id, second.id) == (2, 3)
    table = reading(rows)
    for sent, under in [
        (table, announced),
        (table.append_column(wider.field("wind"), pa.nulls(rows, pa.float32())), second),
        (table, announced),
        (table, None),
    ]:
        echo.tx.send(sent, schema=under, timeout=20)
        frame = echo.answer()
        assert not echo.by_elixir or frame.meta["about"]["columns"] == sent.to_pydict()
        assert (frame.header.schema_id, frame.header.schema_version) == (0, 0)
        got = pa.table(frame.value)
        assert got.equals(sent) and got.schema.equals(sent.schema)


def test_a_late_joiner_reads_tables_under_a_schema(name, elixir):
    """R2.4: who comes after the announcement, and after the frames, finds the schema in the ring, also when who announced it
    has gone."""
    with (
        slipring.create(f"{name}-there", capacity="16 MiB") as there,
        slipring.create(f"{name}-back", capacity="16 MiB") as back,
    ):
        announced = there.announce("weather", READING, version=1)
        tables = [reading(3), reading(50_000)]
        with there.producer() as tx:
            for table in tables:
                tx.send(table, schema=announced)
        there.finish()
        process = elixir("echo.exs", f"{name}-there", f"{name}-back")
        rx = back.consumer()
        for table in tables:
            frame = rx.recv(timeout=20)
            assert frame.meta["about"]["columns"] == table.to_pydict()
            assert pa.table(frame.value).equals(table)
        assert (process.wait(20), process.end()) == (0, "")


VERSION = 51_966


@pytest.mark.parametrize("rows", [3, 100_000])
@pytest.mark.parametrize("version, number", [(VERSION, 200), (VERSION, 100_000), (VERSION - 1, 1), (VERSION, 2)])
def test_tables_under_a_schema_that_is_not_theirs(name, elixir, rows, version, number):
    """R2.4, R9.2: a number under which there is no schema of tables of that version is an error that says the number; the
    metadata is read, and so is the next frame."""
    with (
        slipring.create(f"{name}-there", capacity="16 MiB") as there,
        slipring.create(f"{name}-back", capacity="1 MiB") as back,
    ):
        announced = there.announce("weather", READING, version=VERSION)
        there.announce("weather", READING.append(pa.field("wind", pa.float32())), version=VERSION + 1)
        tx = there.producer()
        tx.send(reading(rows), schema=announced, meta={"from": "here"})
        header = struct.pack("<HI", VERSION, announced.id)
        corrupt(there.path, lambda file: file.find(header), struct.pack("<HI", version, number))
        tx.send(b"after")
        there.finish()
        process = elixir("echo.exs", f"{name}-there", f"{name}-back")
        rx = back.consumer()
        meta = rx.recv(timeout=20).meta
        assert meta["meta"] == {"from": "here"}
        about = meta["about"]
        assert (about["reason"], about["path"], about["got"]) == ("decode", "$.schema_id", number)
        assert "send it again" in about["hint"] and str(number) in about["message"]
        assert bytes(rx.recv(timeout=20).view) == b"after"
        assert process.wait(20) == 0


def test_what_elixir_announces(name, elixir):
    """R2.4, R5.2: Elixir announces a version after Python's, and Python one after that; a consumer of Python's reads what
    Elixir sends under its version as the newest."""
    with slipring.create(name, capacity="1 MiB") as ring:
        first = pa.schema([pa.field("id", pa.int32()), pa.field("temp", pa.float32())])
        ring.announce("weather", first, version=1)
        third = pa.schema([("temp", pa.float64()), ("id", pa.int64()), ("site", pa.string()), ("wind", pa.int8())])
        rx = ring.consumer()
        process = elixir("announce.exs", name)
        frame = rx.recv(timeout=20)
        assert (frame.header.schema_version, frame.value.to_pylist()) == (2, [{"id": 7, "temp": 0.5, "site": "north"}])
        number = frame.header.schema_id
        # What is held by a traceback would keep the ring.
        del frame
        second = ring.schemas()[1]
        assert (second.name, second.version, second.id) == ("weather", 2, number)
        ring.announce("weather", third, version=3)
        rx.expect("weather", third, version=3)
        expected = pa.Table.from_pylist([{"id": 7, "temp": 0.5, "site": "north"}], schema=third)
        assert pa.table(rx.recv(timeout=20).value).equals(expected)
        # What breaks the rules is told alike.
        told = rx.recv(timeout=20).value
        with pytest.raises(slipring.SchemaError) as refused:
            ring.announce("weather", pa.schema([pa.field("id", pa.string())]), version=4)
        here, there = (text.rsplit("; ", 1)[0].split("read as")[1] for text in (str(refused.value), told["message"]))
        assert here.replace("version 4", "version 3").replace("Int64", "Int32") == there
        assert (told["path"], told["got"], told["expected"]) == ("$.columns.id", 2, 3)
        assert (process.wait(20), process.end()) == (0, "")


def field(kind, nullable=True, **metadata):
    return kind, nullable, {f"slipring.{key}": value for key, value in metadata.items()}


def grown(**fields):
    return pa.schema([pa.field(name, kind, nullable, more) for name, (kind, nullable, more) in fields.items()])


#: A schema as it grew, with a row of each version; elixir/readings.exs and the example `readings` of Rust have the same.
READINGS = {
    1: (grown(id=field(pa.int32(), False), temp=field(pa.float32())), {"id": 1, "temp": 0.5}),
    2: (
        grown(temp=field(pa.float32()), id=field(pa.int32(), False), note=field(pa.string())),
        {"id": 2, "temp": 1.5, "note": "dry"},
    ),
    3: (
        grown(
            number=field(pa.int64(), False, aliases="id"),
            temp=field(pa.float64()),
            level=field(pa.int8(), False, default="9"),
        ),
        {"number": 3, "temp": 2.5, "level": 4},
    ),
}

#: What who expects a version reads of each that was written; None: an error.
READ = {
    1: [{"id": 1, "temp": 0.5}, {"id": 2, "temp": 1.5}, None],
    2: [{"id": 1, "temp": 0.5, "note": None}, {"id": 2, "temp": 1.5, "note": "dry"}, None],
    3: [
        {"number": 1, "temp": 0.5, "level": 9},
        {"number": 2, "temp": 1.5, "level": 9},
        {"number": 3, "temp": 2.5, "level": 4},
    ],
}


def until(check, seconds=20):
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture(params=["elixir", "rust"])
def readings(request):
    """Starts the other side, in either language; both have the same versions."""
    start = request.getfixturevalue(request.param)
    program = {"elixir": "readings.exs", "rust": "readings"}[request.param]
    return lambda *arguments: start(program, *arguments)


@pytest.mark.parametrize("wanted", READINGS)
def test_others_read_the_version_that_they_expect(name, readings, wanted):
    """R2.4, R5.2, R5.3: Python announces and sends three versions, the other expects one and says so in the ring; what it reads, also by
    a migration of its own, has the schema of that, and where it can't, its error is the one that Python gives."""
    with (
        slipring.create(f"{name}-there", capacity="1 MiB", mode="mpmc") as there,
        slipring.create(f"{name}-back", capacity="1 MiB") as back,
    ):
        announced = {version: there.announce("reading", of, version=version) for version, (of, _) in READINGS.items()}
        tx, rx = there.producer(), back.consumer()
        process = readings("read", name, wanted)
        until(lambda: tx.wanted("reading") == (1, wanted))
        for version, (of, row) in READINGS.items():
            tx.send(pa.Table.from_pylist([row], schema=of), schema=announced[version])
        there.finish()
        for expected in READ[wanted]:
            got = rx.recv(timeout=20).value
            if expected is None:
                with slipring.create(f"{name}-own", capacity="1 MiB") as own:
                    third = own.announce("reading", READINGS[3][0], version=3)
                    mine, reader = own.producer(), own.consumer()
                    reader.expect("reading", READINGS[wanted][0], version=wanted)
                    mine.send(pa.Table.from_pylist([READINGS[3][1]], schema=READINGS[3][0]), schema=third)
                    frame = reader.recv(timeout=5)
                    with pytest.raises(slipring.SchemaError) as refused:
                        frame.value  # noqa: B018
                    del frame
                    assert got["message"] == str(refused.value)
                    fault = refused.value.faults[0]
                    told = (got["reason"], got["path"], got["got"], got["expected"])
                    assert told == ("schema", f"$.columns.{fault.path}", 3, wanted)
                    del refused
            else:
                if wanted == 2 and expected["id"] == 1:
                    expected = {**expected, "note": "migrated"}
                assert pa.table(got).equals(pa.Table.from_pylist([expected], schema=READINGS[wanted][0]))
                assert pa.table(got).schema.equals(READINGS[wanted][0], check_metadata=True)
        assert (process.wait(20), process.end()) == (0, "")
        until(lambda: tx.wanted("reading") is None)


@pytest.mark.parametrize("wanted", READINGS)
def test_python_reads_what_others_announce_as_the_version_that_it_expects(name, readings, wanted):
    """R2.4, R5.2, R5.3: the reverse; the other sees what Python reads."""
    with slipring.create(name, capacity="1 MiB") as ring:
        rx = ring.consumer()
        rx.expect("reading", READINGS[wanted][0], version=wanted)
        process = readings("write", name)
        assert rx.recv(timeout=20).value == [1, wanted]
        for expected in READ[wanted]:
            frame = rx.recv(timeout=20)
            if expected is None:
                with pytest.raises(slipring.SchemaError, match="of version 3 can't be read"):
                    frame.value  # noqa: B018
            else:
                assert pa.table(frame.value).equals(pa.Table.from_pylist([expected], schema=READINGS[wanted][0]))
            del frame
        assert (process.wait(20), process.end()) == (0, "")
