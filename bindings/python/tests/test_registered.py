"""Types of one's own: registered with a name and a version, there and back, and what their code may do meanwhile."""

import collections
import dataclasses
import enum
import gc
import ipaddress
import subprocess
import sys
import textwrap

import attrs
import pytest

import slipring
from slipring import Object, Tag


class Colour(enum.IntEnum):
    RED = 1


class Names(dict):
    pass


@dataclasses.dataclass
class Point:
    x: int
    y: float = 0.0
    norm: float = dataclasses.field(init=False, default=0.0)


class Plain:
    def __init__(self, a):
        self.a = a


def test_registered_types_come_back(ends, registered):
    """R6.4, R12.1, R12.2: nested, too; unregistered they are names and fields."""
    tx, rx = ends
    point = Point(1, 2.0)
    point.norm = 5.0
    tx.send({"p": [point]})
    name = f"{__name__}.Point"
    assert rx.recv(0).value == {"p": [Object(name, 1, {"x": 1, "y": 2.0, "norm": 5.0})]}
    slipring.register(Point)
    slipring.register(Plain, name="acme.Plain", version=2)
    tx.send({"p": [point, Plain([1])]})
    got = rx.recv(0).value["p"]
    assert got[0] == point and type(got[1]) is Plain and got[1].a == [1]
    assert slipring.explain(point).format == "value"


class Pair(collections.namedtuple("Pair", "x y")):
    __slots__ = ()


@pytest.mark.parametrize("value", [Names(a=1), collections.OrderedDict(b=1, a=2), Colour.RED, Pair(1, 2)], ids=repr)
def test_registered_types_keep_what_they_derive_from(registered, value):
    """R6.4, R6.1: nothing of it is lost, and no warning says otherwise."""
    slipring.register(type(value))
    got = slipring.decode(slipring.encode([value]))[0]
    assert got == value and type(got) is type(value)


def test_what_registering_can_not_keep_is_said(registered):
    """R6.3: functions, and attributes beside the items."""
    with pytest.raises(TypeError, match="decode="):
        slipring.register(collections.defaultdict)
    slipring.register(Names)
    value = Names(a=1)
    value.more = 2
    with pytest.warns(slipring.LossyWarning) as caught:
        slipring.encode(value)
    assert ["attributes" in str(warning.message) for warning in caught] == [True, False]


def test_a_dataclass_with_items_loses_none_unsaid(registered):
    """R6.3: neither items nor fields."""
    @dataclasses.dataclass
    class Track(list):
        name: str = ""

    track = Track("a")
    track += [1, 2]
    with pytest.warns(slipring.LossyWarning, match="Track"):
        assert slipring.decode(slipring.encode(track)) == [1, 2]
    with pytest.raises(TypeError, match="encode="):
        slipring.register(Track)
    slipring.register(
        Track, encode=lambda t: {"name": t.name, "items": list(t)},
        decode=lambda fields, version: build(fields),
    )

    def build(fields):
        track = Track(fields["name"])
        track += fields["items"]
        return track

    got = slipring.decode(slipring.encode(track))
    assert type(got) is Track and list(got) == [1, 2] and got.name == "a"


def test_older_versions_are_read(registered):
    """R5.2, R12.4: `decode` gets the version of the sender."""
    old = slipring.encode(Object("acme.Point", 1, [3, 4]))

    def decode(fields, version):
        return Point(*fields) if version == 1 else Point(fields["x"], fields["y"])

    slipring.register(Point, name="acme.Point", version=2, decode=decode)
    assert slipring.decode(old) == Point(3, 4)
    assert slipring.decode(slipring.encode(Point(5, 6))) == Point(5, 6)


def test_an_encoder_that_fails_gives_way(registered, caplog):
    """R12.3, R9.4: with a warning, and what is done is traced (R12.5)."""
    def fails(obj):
        raise RuntimeError("no way")

    slipring.register(Point, encode=fails)
    with pytest.warns(slipring.LossyWarning, match="no way"):
        data = slipring.encode(Point(1))
    slipring.register(Point)
    with caplog.at_level("DEBUG", "slipring"):
        assert slipring.decode(data) == Point(1)
        slipring.encode(Point(1))
    assert "arrives as Point" in caplog.text and "Point is sent as" in caplog.text


def test_registering_what_can_not_be_is_refused(registered):
    """R9.1."""
    for wrong in ((1,), (dict,), (object,)):
        with pytest.raises(TypeError):
            slipring.register(*wrong)
    with pytest.raises(ValueError, match="version"):
        slipring.register(Point, version=-1)
    slipring.register(Point, name="a")
    slipring.register(Point, name="b")
    assert type(slipring.decode(slipring.encode(Object("a", 1, {})))) is Object


class Fussy:
    """Its decoder reads what it likes."""

    def __init__(self, x=0):
        self.x = x


def test_a_decoder_that_raises_is_named(ends, registered):
    """R9.1, R12.4: with the path, the registered name and version, and what it raised as the cause; in metadata, too."""

    def decode(fields, version):
        if fields["x"] > 1:
            raise KeyError("no such thing")
        return Fussy(fields["x"])

    slipring.register(Fussy, name="fussy", version=3, decode=decode)
    tx, rx = ends
    tx.send({"all": [Fussy(1), Fussy(2)]})
    frame = rx.recv(0)
    with pytest.raises(slipring.DecodeError, match="fussy raised, given version 3.*no such thing") as caught:
        frame.value
    assert (caught.value.path, caught.value.type) == ("$.all[1].<tag 47603>", "fussy")
    assert isinstance(caught.value.__cause__, KeyError) and "version" in caught.value.hint
    with pytest.raises(slipring.DecodeError) as caught:
        slipring.decode(slipring.encode([Fussy(2)]))
    assert caught.value.path == "$[0].<tag 47603>"
    tx.send(b"", meta={"by": Fussy(9)})
    with pytest.raises(slipring.DecodeError) as caught:
        rx.recv(0).meta
    assert caught.value.path == "$.meta.by.<tag 47603>" and isinstance(caught.value.__cause__, KeyError)

    def interrupted(fields, version):
        raise KeyboardInterrupt

    slipring.values._by_name.clear()
    slipring.values._by_type.clear()
    slipring.register(Fussy, name="fussy", version=3, decode=interrupted)
    with pytest.raises(KeyboardInterrupt):
        slipring.decode(slipring.encode(Fussy()))


def test_what_grows_each_time_it_is_looked_at_is_an_error(name, registered):
    """P7: `send` ends."""
    asked = 0

    def longer(plain):
        nonlocal asked
        asked += 1
        return "x" * (5000 * asked**2)

    slipring.register(Plain, encode=longer)
    with slipring.create(name) as ring, pytest.raises(slipring.EncodeError, match="changed"):
        ring.producer().send(Plain(1))
    assert 2 < asked < 10


def test_what_is_half_made_is_seen_by_nobody(registered):
    """P9: not by the garbage collector's lists, while decoders of others run."""
    def marked():
        return {id(o) for o in gc.get_objects() if type(o) in (list, tuple) and o and type(o[0]) is str and o[0] == "marked 4711"}

    def build(fields, version):
        assert marked() == known
        return Plain(fields)

    slipring.register(Plain, name="acme.Plain", encode=lambda plain: plain.a, decode=build)
    for made in (["marked 4711", Plain(1), 2], ("marked 4711", Plain(1), 2)):
        data, known = slipring.encode(made), marked()
        got = slipring.decode(data)
        assert gc.is_tracked(got) and got[1].a == 1 and id(got) in marked()


def test_what_others_would_refuse_is_not_sent(registered):
    """R6.5: classes, depths that a tag exceeds, tags of buffers; Ctrl-C passes."""
    assert slipring.explain(Point).format == "pickle"
    deep = 2**70
    for _ in range(256):
        deep = [deep]
    assert slipring.explain(deep).format == "pickle"
    for wrong in (Tag(47600, 0), Tag(-1, 1), Tag("a", 1), Tag(2**64, 1), Object("a", -1, {})):
        told = slipring.explain(wrong)
        assert told.format == "pickle", wrong

    def interrupted(obj):
        raise KeyboardInterrupt

    slipring.register(Plain, encode=interrupted)
    with pytest.raises(KeyboardInterrupt):
        slipring.encode(Plain(1))
    grown: dict = {}

    def grows(obj):
        grown[len(grown)] = Plain(1)
        return 1

    slipring.register(Plain, encode=grows)
    grown[0] = Plain(1)
    with pytest.raises(slipring.EncodeError, match="changed"):
        slipring.encode(grown)


def test_a_container_that_changes_is_an_error(registered):
    """P9: nobody reads what is gone."""
    class Meddler:
        def __init__(self, do):
            self.do = do

    slipring.register(Meddler, encode=lambda meddler: meddler.do())
    for target, change in [
        ([], lambda: target.clear()),
        ([], lambda: target.append(1)),
        ({}, lambda: target.clear()),
        ({}, lambda: target.update(z=1)),
    ]:
        meddler = Meddler(change)
        if isinstance(target, list):
            target += [meddler, "after"]
        else:
            target |= {"m": meddler, "n": "after"}
        with pytest.raises((slipring.EncodeError, RuntimeError)):
            slipring.encode(target)


@pytest.mark.parametrize("slots", [True, False])
def test_attrs_classes_are_registered(registered, slots):
    """R3.1: with or without ``__dict__``, derived ones too, and what is not set stays so."""

    @attrs.define(slots=slots)
    class Sample:
        x: int
        tags: list[str] = attrs.field(factory=list)
        later: int = attrs.field(init=False)

    @attrs.frozen(slots=slots)
    class Named(Sample):
        name: str = "none"

    slipring.register(Sample, name="sample")
    slipring.register(Named, name="named")
    sent = [Sample(1, ["a"]), Named(2, name="b")]
    got = slipring.decode(slipring.encode(sent))
    assert [type(one) for one in got] == [Sample, Named] and not hasattr(got[0], "later")
    assert (got[0].x, got[0].tags, got[1].x, got[1].tags, got[1].name) == (1, ["a"], 2, [], "b")


@pytest.mark.parametrize(
    "options, said",
    [
        ({"encode": str, "decode": ipaddress.IPv4Address}, r"decode is called with \(fields, version\)"),
        ({"encode": lambda: 1, "decode": lambda fields, version: 1}, r"encode is called with \(obj\)"),
        ({"encode": "x"}, "encode must be a function"),
        ({"encode": str}, "give decode=, too"),
        ({"encode": str, "decode": lambda *given: 1, "migrations": [1]}, "migrations must be a dict"),
    ],
)
def test_what_can_not_be_called_is_refused_at_once(options, said):
    """R9.1: and not by the first object that arrives."""
    with pytest.raises(TypeError, match=said):
        slipring.register(ipaddress.IPv4Address, **options)


def test_a_migration_that_gives_nothing_is_told(registered):
    """R13.4: as one that changes the fields in place does."""

    @dataclasses.dataclass
    class Sample:
        x: int = 1

    slipring.register(Sample, name="sample.nothing")
    sent = slipring.encode(Sample())
    slipring.register(Sample, name="sample.nothing", version=2, migrations={1: lambda fields: fields.update(x=2)})
    with pytest.raises(slipring.SchemaError, match="from version 1 to 2 gave None: return the fields of version 2"):
        slipring.decode(sent)


def test_classes_of_a_script_have_the_same_name_where_it_is_started_again(tmp_path):
    """R3.1: in processes that ``multiprocessing`` spawns the script's module is ``__mp_main__``."""
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent("""
        import multiprocessing
        from dataclasses import dataclass
        import slipring

        @slipring.register
        @dataclass
        class Point:
            x: int

        def read(sent, out):
            out.put(type(slipring.decode(sent)) is Point)

        if __name__ == "__main__":
            spawn = multiprocessing.get_context("spawn")
            out = spawn.Queue()
            child = spawn.Process(target=read, args=(slipring.encode(Point(1)), out))
            child.start()
            print(out.get())
            child.join()
        """)
    )
    assert subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60).stdout == "True\n"
