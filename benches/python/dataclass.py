"""Measures dataclasses to plain structures, JSON, frames and tables and back, slipring beside its peers, in this one process.

    python dataclass.py [--seconds 0.02] [--rounds 9] [--cases dump/] [--out target/bench/dataclass.json]

An order of 20 fields with Decimal, UUID, datetime, Enum, Optional, lists and nested classes; one, and 1,000 of them. All peers
give the same result, up to how they write UTC; msgspec gets the same plain dataclass.
"""

import argparse
import dataclasses
import datetime
import decimal
import enum
import gc
import itertools
import json
import pathlib
import sys
import typing
import uuid

import marshmallow
import msgspec
import pyarrow

import codec
import slipring
from slipring import dataclass

try:
    import marshmallow_recipe
except ImportError:
    marshmallow_recipe = None

Decimal = decimal.Decimal


class Status(str, enum.Enum):
    NEW = "new"
    PAID = "paid"
    SENT = "sent"


@dataclasses.dataclass
class Address:
    street: str
    city: str
    zip: str
    country: str


@dataclasses.dataclass
class Item:
    sku: str
    title: str
    price: Decimal
    count: int


@dataclasses.dataclass
class Order:
    id: uuid.UUID
    number: int
    customer: str
    email: str
    status: Status
    total: Decimal
    tax: Decimal
    discount: typing.Optional[Decimal]
    created: datetime.datetime
    paid: typing.Optional[datetime.datetime]
    day: datetime.date
    shipping: Address
    billing: typing.Optional[Address]
    items: list[Item]
    tags: list[str]
    is_gift: bool
    weight: float
    note: typing.Optional[str] = None
    parent: typing.Optional[uuid.UUID] = None
    scores: dict[str, int] = dataclasses.field(default_factory=dict)


def order(n):
    utc = datetime.timezone.utc
    moment = datetime.datetime(2026, 11, 21, 10, 30, n % 60, 123_456, utc)
    home = Address(f"{n} Main Street", "Springfield", "12345", "US")
    return Order(
        id=uuid.UUID(int=(n + 1) * 0x1234_5678_9ABC_DEF0_1234_5678),
        number=n + 1000,
        customer=f"Customer {n}",
        email=f"customer{n}@example.com",
        status=list(Status)[n % 3],
        total=Decimal(n * 100 + 9999) / 100,
        tax=Decimal("19.00"),
        discount=Decimal("1.50") if n % 2 else None,
        created=moment,
        paid=moment if n % 3 else None,
        day=moment.date(),
        shipping=home,
        billing=None if n % 2 else home,
        items=[Item(f"sku-{n}-{i}", f"Thing {i}", Decimal(f"{i}.99"), i + 1) for i in range(3)],
        tags=["fast", "insured", f"zone-{n % 7}"],
        is_gift=n % 5 == 0,
        weight=1.25 * n + 0.1,
        note="leave it at the door" if n % 4 == 0 else None,
        parent=uuid.UUID(int=n + 1) if n % 3 == 0 else None,
        scores={"speed": n % 10, "care": 5},
    )


def schemas():
    """marshmallow's, written by hand as its users do."""
    f = marshmallow.fields

    def making(cls):
        class Base(marshmallow.Schema):
            @marshmallow.post_load
            def make(self, data, **_):
                return cls(**data)

        return Base

    class AddressSchema(making(Address)):
        street, city, zip, country = (f.String(required=True) for _ in range(4))

    class ItemSchema(making(Item)):
        sku = f.String(required=True)
        title = f.String(required=True)
        price = f.Decimal(required=True, as_string=True)
        count = f.Integer(required=True, strict=True)

    class OrderSchema(making(Order)):
        id = f.UUID(required=True)
        number = f.Integer(required=True, strict=True)
        customer = f.String(required=True)
        email = f.String(required=True)
        status = f.Enum(Status, by_value=True, required=True)
        total = f.Decimal(required=True, as_string=True)
        tax = f.Decimal(required=True, as_string=True)
        discount = f.Decimal(required=True, as_string=True, allow_none=True)
        created = f.DateTime(required=True)
        paid = f.DateTime(required=True, allow_none=True)
        day = f.Date(required=True)
        shipping = f.Nested(AddressSchema, required=True)
        billing = f.Nested(AddressSchema, required=True, allow_none=True)
        items = f.List(f.Nested(ItemSchema), required=True)
        tags = f.List(f.String(), required=True)
        is_gift = f.Boolean(required=True)
        weight = f.Float(required=True)
        note = f.String(allow_none=True)
        parent = f.UUID(allow_none=True)
        scores = f.Dict(keys=f.String(), values=f.Integer())

    return OrderSchema()


def compact(value):
    return json.dumps(value, separators=(",", ":")).encode()


def cases():
    schema = schemas()
    one, many = order(3), [order(n) for n in range(1000)]
    for size, value in (("1", one), ("1000", many)):
        tp = Order if size == "1" else list[Order]
        is_many = size != "1"
        plain, data = dataclass.dump(tp, value), dataclass.dump_to_bytes(tp, value)
        assert json.loads(data) == plain == schema.dump(value, many=is_many)
        assert dataclass.load(tp, plain) == value == dataclass.load_from_bytes(tp, data)
        assert msgspec.convert(plain, tp) == value == msgspec.json.decode(data, type=tp)
        assert schema.load(plain, many=is_many) == value
        encoder, decoder = msgspec.json.Encoder(), msgspec.json.Decoder(tp)
        dump = {
            "slipring": lambda tp=tp, v=value: dataclass.dump(tp, v),
            "msgspec": lambda v=value: msgspec.to_builtins(v),
            "marshmallow": lambda v=value, m=is_many: schema.dump(v, many=m),
        }
        load = {
            "slipring": lambda tp=tp, v=plain: dataclass.load(tp, v),
            "msgspec": lambda tp=tp, v=plain: msgspec.convert(v, tp),
            "marshmallow": lambda v=plain, m=is_many: schema.load(v, many=m),
        }
        to_bytes = {
            "slipring": lambda tp=tp, v=value: dataclass.dump_to_bytes(tp, v),
            "msgspec": lambda v=value: encoder.encode(v),
            "marshmallow": lambda v=value, m=is_many: compact(schema.dump(v, many=m)),
        }
        from_bytes = {
            "slipring": lambda tp=tp, d=data: dataclass.load_from_bytes(tp, d),
            "msgspec": lambda d=data: decoder.decode(d),
            "marshmallow": lambda d=data, m=is_many: schema.load(json.loads(d), many=m),
        }
        if marshmallow_recipe is not None:
            mr = marshmallow_recipe
            recipe_dump, recipe_load = (mr.dump_many, mr.load_many) if is_many else (mr.dump, mr.load)
            args = () if is_many else (Order,)
            dump["marshmallow-recipe"] = lambda a=args, v=value, f=recipe_dump: f(*a, v)
            load["marshmallow-recipe"] = lambda v=plain, f=recipe_load: f(Order, v)
            to_bytes["marshmallow-recipe"] = lambda a=args, v=value, f=recipe_dump: compact(f(*a, v))
            from_bytes["marshmallow-recipe"] = lambda d=data, f=recipe_load: f(Order, json.loads(d))
        yield f"dataclass/dump/{size}", dump
        yield f"dataclass/load/{size}", load
        yield f"dataclass/dump_to_bytes/{size}", to_bytes
        yield f"dataclass/load_from_bytes/{size}", from_bytes


def validated():
    """The validators' own time beside a load with them and one without."""

    def short(value):
        return len(value) < 100

    def positive(value):
        if value <= 0:
            raise ValueError("Must be positive.")

    def field(validate):
        return dataclasses.field(metadata=dataclass.meta(validate=validate))

    plain = dataclasses.make_dataclass("Plain", [("name", str), ("sku", str), ("count", int), ("size", int)])
    checked = dataclasses.make_dataclass(
        "Checked",
        [("name", str, field(short)), ("sku", str, field(short)), ("count", int, field(positive)), ("size", int, field(positive))],
    )
    data = [{"name": f"n{n}", "sku": f"s{n}", "count": n + 1, "size": n + 2} for n in range(1000)]

    def alone():
        for one in data:
            short(one["name"]), short(one["sku"]), positive(one["count"]), positive(one["size"])

    return data, list[plain], list[checked], alone


def frames():
    """Through a ring of this process, into a frame and out of it; and lists as tables."""
    ring = slipring.create(anonymous=True, capacity="64 MiB")
    tx, rx = ring.producer(), ring.consumer()
    one, many = order(3), [order(n) for n in range(1000)]
    for size, value, tp in (("1", one, Order), ("1000", many, list[Order])):

        def sent(send):
            send()
            return rx.recv(1)

        def as_dict(tp=tp, v=value):
            tx.send(dataclass.dump(tp, v, native=True), format="value")

        def as_value(tp=tp, v=value):
            dataclass.to_frame(tx, v, tp)

        def as_json(tp=tp, v=value):
            dataclass.to_frame(tx, v, tp, format="json")

        def as_msgpack(v=value):
            tx.send(msgspec.msgpack.encode(v))

        writers = {"slipring": as_value, "slipring, JSON": as_json, "by a dict": as_dict, "msgspec's MessagePack": as_msgpack}
        yield f"dataclass/to_frame/{size}", {name: lambda send=send: sent(send) for name, send in writers.items()}
        in_value, in_json, in_msgpack = sent(as_value), sent(as_json), sent(as_msgpack)
        assert dataclass.from_frame(tp, in_value) == value == dataclass.from_frame(tp, in_json)
        decoder = msgspec.msgpack.Decoder(tp)
        yield f"dataclass/from_frame/{size}", {
            "slipring": lambda tp=tp, f=in_value: dataclass.from_frame(tp, f),
            "slipring, JSON": lambda tp=tp, f=in_json: dataclass.from_frame(tp, f),
            "by a dict": lambda tp=tp, f=in_value: dataclass.load(tp, slipring.decode(f.view)),
            "msgspec's MessagePack": lambda d=decoder, f=in_msgpack: d.decode(f.view),
        }
    table = dataclass.to_arrow(many)
    assert dataclass.from_arrow(Order, table) == many
    yield "dataclass/to_arrow/1000", {
        "slipring": lambda: dataclass.to_arrow(many),
        "pyarrow, of a dump": lambda: pyarrow.Table.from_pylist(dataclass.dump(list[Order], many)),
    }
    yield "dataclass/from_arrow/1000", {
        "slipring": lambda: dataclass.from_arrow(Order, table),
        "pyarrow, to load": lambda: dataclass.load(list[Order], table.to_pyarrow().to_pylist(maps_as_pydicts="strict")),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=0.02)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--cases", default="")
    parser.add_argument("--out", type=pathlib.Path, default=codec.ROOT / "target/bench/dataclass.json")
    options = parser.parse_args()
    gc.collect()
    rows = []
    for case, peers in itertools.chain(cases(), frames()):
        if options.cases in case:
            rows += codec.measure(case, peers, options)
    if options.cases in "dataclass/validated/1000":
        data, plain, checked, alone = validated()
        peers = {
            "slipring": lambda: dataclass.load(checked, data),
            "without": lambda: dataclass.load(plain, data),
            "validators alone": alone,
            "both": lambda: (dataclass.load(plain, data), alone()),
        }
        rows += codec.measure("dataclass/validated/1000", peers, options)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(rows, indent=1) + "\n")
    options.out.with_suffix(".md").write_text(codec.table(rows, True))
    print(codec.table(rows, True))


if __name__ == "__main__":
    sys.exit(main())
