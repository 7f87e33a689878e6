"""Dataclasses that nobody has thought of, their values, and what is wrong with them, beside marshmallow and msgspec."""

from __future__ import annotations

import copy
import dataclasses
import datetime as dt
import decimal
import enum
import itertools
import json
import re
import typing
import uuid
from collections.abc import Callable
from typing import Any

import hypothesis
import marshmallow
import msgspec
from hypothesis import strategies as st
from marshmallow import fields

from slipring import dataclass

UTC = dt.timezone.utc
patiently = hypothesis.settings(deadline=None, max_examples=300, suppress_health_check=list(hypothesis.HealthCheck))


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 10
    HIGH = 20


@dataclasses.dataclass(frozen=True)
class Kind:
    """A type, values of it, and marshmallow's field for it, if that means the same."""

    tp: Any
    values: st.SearchStrategy[Any]
    field: Callable[..., Any] | None


texts = st.text(st.characters(codec="utf-8"), max_size=6)
#: Of msgspec's range, and without what others write of zones that are odd.
zones = st.just(UTC) | st.integers(-14, 14).map(lambda n: dt.timezone(dt.timedelta(hours=n)))
moments = st.datetimes(timezones=zones | st.none()).map(lambda moment: moment.replace(fold=0))
LEAVES = [
    Kind(int, st.integers(-(1 << 63), (1 << 63) - 1), lambda **o: fields.Integer(strict=True, **o)),
    Kind(str, texts, fields.String),
    Kind(float, st.floats(allow_nan=False, allow_infinity=False), fields.Float),
    Kind(bool, st.booleans(), lambda **o: fields.Boolean(truthy={True}, falsy={False}, **o)),
    Kind(decimal.Decimal, st.decimals(-(10**9), 10**9, places=2), lambda **o: fields.Decimal(as_string=True, **o)),
    Kind(uuid.UUID, st.uuids(), fields.UUID),
    Kind(dt.datetime, moments, fields.DateTime),
    Kind(dt.date, st.dates(), fields.Date),
    Kind(dt.time, st.times(), fields.Time),
    Kind(Color, st.sampled_from(Color), lambda **o: fields.Enum(Color, by_value=True, **o)),
]
#: What marshmallow has otherwise.
MORE = [
    Kind(bytes, st.binary(max_size=6), None),
    Kind(dt.timedelta, st.timedeltas(-dt.timedelta(10**6), dt.timedelta(10**6)), None),
    Kind(Level, st.sampled_from(Level), None),
    Kind(typing.Literal["a", "b"], st.sampled_from(["a", "b"]), None),
    Kind(typing.Union[int, str], st.integers(-9, 9) | texts, None),
    Kind(typing.Union[bool, float, list[int]], st.booleans() | st.lists(st.integers(-9, 9), max_size=2), None),
]
#: Types of keys.
KEYS = [
    (str, texts, fields.String),
    (uuid.UUID, st.uuids(), fields.UUID),
    (dt.date, st.dates(), fields.Date),
]
numbers = itertools.count()


@st.composite
def kinds(draw, depth, leaves):
    """A kind with kinds in it. ``leaves`` are where it ends."""
    shape = draw(st.sampled_from(["leaf"] * 6 + (["list", "dict", "optional", "class"] + ["tuple", "set"] * (leaves is not LEAVES)) * (depth > 0)))
    if shape == "leaf":
        return draw(st.sampled_from(leaves))
    if shape == "class":
        return draw(classes(depth - 1, leaves))[0]
    inner = draw(kinds(depth - 1, leaves))
    made = inner.field
    if shape == "list":
        return Kind(list[inner.tp], st.lists(inner.values, max_size=3), made and (lambda **o: fields.List(made(), **o)))
    if shape == "dict":
        key, keys, of_keys = draw(st.sampled_from(KEYS))
        by_name = made and (lambda **o: fields.Dict(keys=of_keys(), values=made(), **o))
        return Kind(dict[key, inner.tp], st.dictionaries(keys, inner.values, max_size=3), by_name)
    if shape == "optional":
        return Kind(typing.Optional[inner.tp], st.none() | inner.values, made and (lambda **o: made(**(o | {"allow_none": True}))))
    if shape == "tuple":
        return Kind(tuple[inner.tp, int], st.tuples(inner.values, st.integers(-9, 9)), None)
    return Kind(frozenset[int], st.frozensets(st.integers(-9, 9), max_size=3), None)


@st.composite
def classes(draw, depth=2, leaves=LEAVES):
    """A dataclass, and its schema."""
    name = f"Made{next(numbers)}"
    count = draw(st.integers(0, 5))
    unknown = draw(st.sampled_from(["ignore", "raise"]))
    declared, values, schema = [], {}, {}
    for n in range(count):
        kind = draw(kinds(depth, leaves))
        options, more = {}, {"required": True}
        if leaves is LEAVES and draw(st.integers(0, 3)) == 0:
            options["metadata"] = dataclass.meta(alias=f"other{n}", required="Where is it?")
            more |= {"data_key": f"other{n}", "error_messages": {"required": "Where is it?"}}
        strategy = kind.values
        if draw(st.integers(0, 2)) == 0:
            default = draw(kind.values)
            options["default_factory"] = lambda default=default: copy.deepcopy(default)
            more["required"] = False
        declared.append((f"f{n}", kind.tp, dataclasses.field(kw_only=True, **options)))
        values[f"f{n}"] = strategy
        schema[f"f{n}"] = kind.field and kind.field(**more)
    cls = dataclasses.make_dataclass(name, declared, slots=draw(st.booleans()), frozen=draw(st.booleans()))
    dataclass.options(unknown=unknown)(cls)
    built = None
    if leaves is LEAVES:
        meta = type("Meta", (), {"unknown": marshmallow.RAISE if unknown == "raise" else marshmallow.EXCLUDE})
        make = marshmallow.post_load(lambda self, data, **_: cls(**data))
        built = type(name + "Schema", (marshmallow.Schema,), schema | {"Meta": meta, "make": make})
    return Kind(cls, st.builds(cls, **values), built and (lambda **o: fields.Nested(built, **o))), built


#: What stands where something else should: of every type, and nothing that only one library takes for a number or a date.
WRONG = [None, True, 5, -7, 1 << 70, 1.5, "", "x", "red", "a", [], [None], ["x", 5], {}, {"f0": None}, {"k": "v"}, {"f1": [], "other0": 5}]


def mutated(draw, plain):
    """The same structure with up to three places changed."""
    plain = copy.deepcopy(plain)
    # Each time another one: what was put in may be changed next.
    wrong = st.sampled_from(WRONG).map(copy.deepcopy)
    for _ in range(draw(st.integers(0, 3))):
        at = plain
        while True:
            inside = list(at) if isinstance(at, dict) else list(range(len(at)))
            what = draw(st.integers(0, 9))
            if isinstance(at, dict) and (what == 0 or not inside):
                at[draw(st.sampled_from(["f0", "f9", "other1", "k"]))] = draw(wrong)
                break
            if not inside:
                at.append(draw(wrong))
                break
            key = draw(st.sampled_from(inside))
            if what == 1:
                del at[key]
                break
            if what < 6 and isinstance(at[key], (dict, list)):
                at = at[key]
                continue
            at[key] = draw(wrong)
            break
    return plain


def as_text(messages):
    """marshmallow has indices as numbers."""
    return {str(k): as_text(v) if isinstance(v, dict) else v for k, v in messages.items()}


def loads(tp, given):
    """What comes of a structure, and of it as JSON."""
    for load in (lambda: dataclass.load(tp, given), lambda: dataclass.load_from_bytes(tp, json.dumps(given))):
        try:
            yield load(), None
        except dataclass.ValidationError as error:
            yield None, error.messages


def shown(value):
    """What it is made of, but for the names that marshmallow gives to zones."""
    text = re.sub(r"(timedelta\([^)]*\)), '[+-]\d{4}'\)", r"\1)", repr(value))
    return text.replace("datetime.timezone(datetime.timedelta(0))", "datetime.timezone.utc")


def as_read(value):
    """A dump as marshmallow has it, which writes no microseconds that are zero, and floats of whole numbers as they are."""
    return json.loads(json.dumps(value))


@patiently
@hypothesis.given(st.data())
def test_marshmallow_says_the_same_of_any_class(data):
    """D1, D3, D4: the same dump, the same object, and the same messages at the same places of what is wrong."""
    kind, schema = data.draw(classes())
    value = data.draw(kind.values)
    plain = dataclass.dump(value)
    assert as_read(schema().dump(value)) == as_read(plain) == json.loads(dataclass.dump_to_bytes(value))
    given = mutated(data.draw, plain)
    try:
        want, messages = schema().load(given), None
    except marshmallow.ValidationError as error:
        want, messages = None, as_text(error.messages)
    hypothesis.event("taken" if messages is None else "refused")
    for got, said in loads(kind.tp, given):
        assert said == messages
        assert got == want
        # Equal ones of other types: True for 1, 5 for 5.0.
        assert shown(got) == shown(want)


def steps(path):
    """The way that msgspec's message names, up to a key of a dict, which it does not tell."""
    found = re.findall(r"\.(\w+)|\[(\d+|\.\.\.)\]", path)
    return list(itertools.takewhile(lambda step: step != "...", (name or index for name, index in found)))


@patiently
@hypothesis.given(st.data())
def test_msgspec_takes_and_refuses_the_same(data):
    """D1, D2, D4: one reads what the other writes; of mutations both take or refuse each, and where msgspec ends we have said so."""
    kind = data.draw(classes(leaves=LEAVES + MORE))[0]
    value = data.draw(kind.values)
    plain = dataclass.dump(value)
    assert msgspec.convert(plain, kind.tp) == value == msgspec.json.decode(dataclass.dump_to_bytes(value), type=kind.tp)
    assert dataclass.load_from_bytes(kind.tp, msgspec.json.encode(value)) == value
    given = mutated(data.draw, plain)
    try:
        want, refused = msgspec.json.decode(json.dumps(given), type=kind.tp), None
    except msgspec.ValidationError as error:
        want, refused = None, str(error)
    hypothesis.event("taken" if refused is None else "refused")
    for got, said in loads(kind.tp, given):
        if refused is None and said is not None:
            # What it passes over: fields that are not known, and nothing else.
            assert only_unknown(said), (said, given)
        elif refused is None:
            assert got == want and shown(got) == shown(want)
        else:
            assert said is not None, (refused, got)
            at = said
            for step in steps(refused.partition(" - at ")[2]):
                # It goes through a tuple before it counts.
                if at == ["Length must be 2."]:
                    break
                assert step in at, (refused, said)
                at = at[step]


def only_unknown(said):
    if isinstance(said, list):
        return said == ["Unknown field."]
    return all(only_unknown(one) for one in said.values())
