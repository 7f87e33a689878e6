r"""JSON (RFC 8259), as fast as it gets and strict.

>>> from slipring import json
>>> json.dumps({"id": 7, "at": [1.5, None], "name": "é"})
b'{"id":7,"at":[1.5,null],"name":"\xc3\xa9"}'
>>> json.loads(b'{"id": 12345678901234567890123}')
{'id': 12345678901234567890123}

Dates, decimals, dataclasses, enumerations, arrays have a form; ``default=`` gives one to what has none:

>>> import datetime, decimal
>>> json.dumps([datetime.date(2026, 11, 21), decimal.Decimal("1.10")], text=True)
'["2026-11-21",1.10]'
>>> json.dumps({"tags": {"b", "a"}}, default=sorted, text=True)
'{"tags":["a","b"]}'
>>> print(json.dumps({2: "b", 1: "a"}, keys="convert", sort_keys=True, indent=2, text=True))
{
  "1": "a",
  "2": "b"
}

``Raw`` is text that is JSON already:

>>> json.dumps({"cached": json.Raw('{"id":7}'), "n": 1})
b'{"cached":{"id":7},"n":1}'

It is also how JSON goes into a frame by other options than those of ``send(format="json")``, which are the strict ones:

>>> import slipring
>>> with slipring.create(anonymous=True) as ring:
...     tx, rx = ring.producer(), ring.consumer()
...     tx.send(json.Raw(json.dumps({"tags": {"b", "a"}, "x": float("nan")}, default=sorted, nan="null")))
...     rx.recv(1).value
{'tags': ['a', 'b'], 'x': None}

An error says where it is and what to do:

>>> try:
...     json.loads('{"users": [{"photo": nul}]}')
... except ValueError as error:
...     print(error.line, error.column, error.path)
1 22 $.users[0].photo
"""

from __future__ import annotations

from ._native import _json
from .errors import DecodeError, EncodeError

dumps = _json.dumps
loads = _json.loads
Raw = _json.Raw

__all__ = ["DecodeError", "EncodeError", "Raw", "dumps", "loads"]
