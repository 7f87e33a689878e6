"""Dataclasses with fields of types that `slipring.register` gives a form: R6.4, D2."""

from __future__ import annotations

import collections
import dataclasses
import decimal
import ipaddress
import json
import pathlib
import typing

import pytest

import slipring
from slipring import dataclass

Meta = dataclass.Meta


class Money:
    """A type of somebody else's: no dataclass, and not to be changed."""

    def __init__(self, amount, currency):
        self.amount, self.currency = decimal.Decimal(amount), currency

    def __eq__(self, other):
        return type(other) is type(self) and vars(other) == vars(self)

    __hash__ = None


class Euro(Money):
    pass


@pytest.fixture
def known(registered):
    slipring.register(pathlib.Path, encode=str, decode=lambda text, version: pathlib.Path(text))
    slipring.register(ipaddress.IPv4Address, encode=str, decode=lambda text, version: ipaddress.IPv4Address(text))
    slipring.register(
        Money,
        version=3,
        encode=lambda money: {"amount": money.amount, "currency": money.currency},
        decode=lambda fields, version: Money(fields["amount"], fields["currency"]),
    )

    @dataclasses.dataclass
    class Host:
        at: pathlib.Path
        address: ipaddress.IPv4Address | None = None
        price: Money | None = None
        more: dict[pathlib.Path, list[ipaddress.IPv4Address]] = dataclasses.field(default_factory=dict)

    Host.__annotations__ = typing.get_type_hints(Host, localns={"Money": Money})
    return Host


HERE = pathlib.Path("/srv/data")
LOCAL = ipaddress.IPv4Address("127.0.0.1")


def test_fields_of_registered_types(known, ends):
    """R6.4: there and back as structures, JSON and frames, also those of a class that makes derived ones, as Path does."""
    host = known(HERE, LOCAL, Money("1.50", "EUR"), {HERE: [LOCAL]})
    plain = {
        "at": "/srv/data",
        "address": "127.0.0.1",
        "price": {"amount": "1.50", "currency": "EUR"},
        "more": {"/srv/data": ["127.0.0.1"]},
    }
    assert dataclass.dump(host) == plain == json.loads(dataclass.dump_to_bytes(host))
    assert dataclass.load(known, plain) == host == dataclass.load_from_bytes(known, json.dumps(plain))
    native = dataclass.dump(host, native=True)
    assert native == plain | {"price": {"amount": decimal.Decimal("1.50"), "currency": "EUR"}}
    tx, rx = ends
    for form in ("value", "json"):
        dataclass.to_frame(tx, host, format=form)
        frame = rx.recv(0)
        assert frame.format == form and dataclass.from_frame(known, frame) == host
    # As they are.
    assert dataclass.load(known, {"at": HERE, "address": LOCAL, "price": host.price}) == known(HERE, LOCAL, host.price)
    assert dataclass.load(list[pathlib.Path], ["a", HERE]) == [pathlib.Path("a"), HERE]
    assert dataclass.dump(pathlib.Path, HERE) == "/srv/data"


def test_frames_keep_name_and_version(known, ends):
    """R12.4: so that a decoder knows what it reads, and older ones still read."""
    tx, rx = ends
    seen = []
    dataclass.to_frame(tx, known(HERE, None, Euro(2, "EUR")))
    slipring.register(
        Money,
        version=4,
        encode=vars,
        decode=lambda fields, version: (seen.append(version), Money(**fields))[1],
    )
    # It goes as what the field says, as derived dataclasses do.
    assert dataclass.from_frame(known, rx.recv(0)).price == Money(2, "EUR")
    assert dataclass.load(known, {"at": "x", "price": {"amount": 2, "currency": "EUR"}}).price == Money(2, "EUR")
    assert seen == [3, 4]


def test_what_a_decoder_refuses_stands_at_its_field(known):
    """D3, R9.3: a ValueError in its own words; a TypeError, which was written for others, in ours."""
    with pytest.raises(dataclass.ValidationError) as caught:
        dataclass.load(known, {"at": 5, "address": "300.1.1.1", "more": {"a": ["x"]}})
    said = caught.value.messages
    assert said["at"] == ["Not a valid Path."] and "300" in said["address"][0]
    assert list(said["more"]) == ["a"] and "'x'" in said["more"]["a"]["value"]["0"][0]
    with pytest.raises(dataclass.ValidationError) as caught:
        dataclass.load(known, {"at": None})
    assert caught.value.messages == {"at": ["Field may not be null."]}
    # A fault of the decoder's own.
    with pytest.raises(KeyError):
        dataclass.load(known, {"at": "x", "price": {}})
    with pytest.raises(dataclass.ValidationError) as caught:
        dataclass.dump(known("/srv/data"))
    assert caught.value.messages == {"at": ["Not a valid Path."]}
    own = typing.Annotated[pathlib.Path, Meta(invalid="Where?", validate=(pathlib.Path.is_absolute, "Not absolute."))]
    for given, want in ((5, "Where?"), ("a", "Not absolute.")):
        with pytest.raises(dataclass.ValidationError) as caught:
            dataclass.load(own, given)
        assert caught.value.messages == {"_schema": [want]}


def test_unions_with_registered_types(known, ends):
    """D2: in their order, as with text of others."""
    tp = ipaddress.IPv4Address | pathlib.Path | int
    tx, rx = ends
    for obj in (LOCAL, HERE):
        assert dataclass.load(tp, dataclass.dump(tp, obj)) == obj
        assert dataclass.load_from_bytes(tp, dataclass.dump_to_bytes(tp, obj)) == obj
        dataclass.to_frame(tx, obj, tp)
        assert dataclass.from_frame(tp, rx.recv(0)) == obj
    assert dataclass.load(pathlib.Path | int, 5) == 5
    with pytest.raises(dataclass.ValidationError) as caught:
        dataclass.load(pathlib.Path | bool, 5)
    assert caught.value.messages == {"_schema": ["Not a valid Path.", "Not a valid boolean."]}


def test_an_encoder_that_fails_has_a_path(known):
    """R9.1: what it raised, and where."""
    slipring.register(pathlib.Path, encode=lambda path: 1 / 0, decode=lambda text, version: pathlib.Path(text))
    with pytest.raises(slipring.EncodeError, match="the encoder registered for pathlib.* failed: ZeroDivisionError: division by zero") as caught:
        dataclass.dump(known(HERE))
    assert caught.value.path == "$.at" and "encode=" in caught.value.hint


def test_a_type_that_has_no_form_says_what_to_do(registered):
    """R6.5: no advice that can't be followed."""
    cases = {
        pathlib.Path: "slipring.register(Path, encode=..., decode=...) gives it a form",
        ipaddress.IPv4Address: "slipring.register(IPv4Address, encode=..., decode=...) gives it a form",
        complex: "slipring.register(complex, encode=..., decode=...) gives it a form",
        Money: "make it a dataclass; or slipring.register(Money, encode=..., decode=...) gives it a form",
        bytearray: "annotate the field with bytes, or slipring.register",
        collections.deque: "annotate the field with list",
        collections.OrderedDict: "annotate the field with dict",
        range: "annotate the field with list, or slipring.register",
        typing.Callable[[int], int]: "annotate the field with a type of data",
    }
    for tp, hint in cases.items():
        with pytest.raises(TypeError, match="no type that can be dumped and loaded") as caught:
            dataclass.load(tp, "x")
        assert str(caught.value).partition(": ")[2].startswith(hint)
    # What is registered then is found.
    slipring.register(complex, encode=lambda z: [z.real, z.imag], decode=lambda parts, version: complex(*parts))
    assert dataclass.load(list[complex], dataclass.dump(list[complex], [1j, 2 + 0j])) == [1j, 2]


def test_registered_types_without_a_hash_or_a_column(known):
    """R9.1: told when the type is seen, or the table made."""
    for tp in (set[Money], dict[Money, int]):
        with pytest.raises(TypeError, match="Money has no hash.*give it a __hash__"):
            dataclass.load(tp, [])
    with pytest.raises(slipring.EncodeError, match="of a registered type there is no column") as caught:
        dataclass.to_arrow([known(HERE)])
    assert caught.value.path == "$.at"
