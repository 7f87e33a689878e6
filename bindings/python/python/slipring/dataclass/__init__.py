r"""Dataclasses to plain structures and to JSON, and back, checked all the way.

>>> import dataclasses, decimal, uuid
>>> from slipring import dataclass
>>> @dataclasses.dataclass
... class Item:
...     name: str
...     price: decimal.Decimal
>>> @dataclasses.dataclass
... class Order:
...     id: uuid.UUID
...     items: list[Item] = dataclasses.field(default_factory=list)
>>> order = Order(uuid.UUID(int=7), [Item("tea", decimal.Decimal("2.50"))])
>>> dataclass.dump(order)
{'id': '00000000-0000-0000-0000-000000000007', 'items': [{'name': 'tea', 'price': '2.50'}]}
>>> dataclass.load(Order, dataclass.dump(order)) == order
True
>>> dataclass.load_from_bytes(Order, dataclass.dump_to_bytes(order)) == order
True

All that is wrong is said at once, each where it is:

>>> try:
...     dataclass.load(Order, {"items": [{"name": "tea", "price": "cheap"}, {}]})
... except dataclass.ValidationError as error:
...     print(error.messages["items"]["0"], error.messages["id"])
{'price': ['Not a valid number.']} ['Missing data for required field.']

Also attrs classes, TypedDict and NamedTuple, and types made of all these, such as ``list[Order]``.
"""

from __future__ import annotations

from typing import Any

from .. import _asyncio
from .._native import _dataclass
from ..errors import ValidationError
from ._options import Meta, meta, options

dump = _dataclass.dump
dump_to_bytes = _dataclass.dump_to_bytes
load = _dataclass.load
load_from_bytes = _dataclass.load_from_bytes
to_frame = _dataclass.to_frame
from_frame = _dataclass.from_frame
to_arrow = _dataclass.to_arrow
from_arrow = _dataclass.from_arrow


async def to_frame_async(tx: Any, obj: Any, *cls: Any, format: str = "value", meta: Any = None) -> None:
    if len(cls) > 1:
        raise TypeError("to_frame_async takes a producer, an object, and at most one class")
    await _asyncio.to_frame(tx, obj, cls, format, meta)


__all__ = [
    "Meta",
    "ValidationError",
    "dump",
    "dump_to_bytes",
    "from_arrow",
    "from_frame",
    "load",
    "load_from_bytes",
    "meta",
    "options",
    "to_arrow",
    "to_frame",
    "to_frame_async",
]
