"""Dataclasses to plain structures and to JSON, and back, checked all the way."""

from collections.abc import Iterable
from typing import Any, Literal, TypeVar, overload

from typing_extensions import Buffer

from .._native import Frame, Producer, Table, _Meta, _Timeout
from ..errors import ValidationError as ValidationError
from ._options import Meta as Meta
from ._options import meta as meta
from ._options import options as options

T = TypeVar("T")

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

@overload
def dump(obj: object, /, *, native: bool = False) -> Any: ...
@overload
def dump(cls: Any, obj: object, /, *, native: bool = False) -> Any:
    """The object as dicts, lists, str, numbers, True, False and None.

    It goes by ``cls``, or by its own class. ``native`` leaves Decimal, UUID, dates, timedelta and bytes as they are, and
    lets NaN and infinities through.
    ``ValidationError`` says which of its fields are not of their types, ``EncodeError`` the path of what has no form.
    """

@overload
def dump_to_bytes(obj: object, /) -> bytes: ...
@overload
def dump_to_bytes(cls: Any, obj: object, /) -> bytes:
    """The object as JSON, UTF-8, with nothing in between. Errors as those of ``dump``."""

@overload
def load(
    cls: type[T], data: object, /, *, strict: bool = True, unknown: Literal["ignore", "raise", None] = None
) -> T: ...
@overload
def load(
    cls: Any, data: object, /, *, strict: bool = True, unknown: Literal["ignore", "raise", None] = None
) -> Any:
    """The object of type ``cls`` that a plain structure says.

    With ``strict=False`` text may be numbers and booleans, whole floats ints, numbers text. Fields that are ``unknown``
    are ignored or refused, whatever their class says. ``ValidationError`` has all that is wrong, each where it is.
    Where an object of the very class stands it is taken as it is.
    """

@overload
def load_from_bytes(
    cls: type[T],
    data: str | Buffer,
    /,
    *,
    strict: bool = True,
    unknown: Literal["ignore", "raise", None] = None,
    duplicates: Literal["last", "error"] = "last",
    max_digits: int | None = None,
) -> T: ...
@overload
def load_from_bytes(
    cls: Any,
    data: str | Buffer,
    /,
    *,
    strict: bool = True,
    unknown: Literal["ignore", "raise", None] = None,
    duplicates: Literal["last", "error"] = "last",
    max_digits: int | None = None,
) -> Any:
    """The object of type ``cls`` that JSON says, with nothing in between; from str or anything that has bytes, such as a
    frame's view.

    As ``load``. Of ``duplicates`` of a key the last one stays, or they are an error. ``max_digits`` limits what a number may
    have. ``DecodeError`` says where JSON is none.
    """

def to_frame(
    tx: Producer,
    obj: object,
    cls: Any = None,
    /,
    *,
    format: Literal["value", "json"] = "value",
    meta: _Meta = None,
    timeout: _Timeout = None,
    drop_oldest: bool = False,
) -> None:
    """Sends an object through a producer with nothing in between: as a value, a map of its fields by their names outside,
    or with ``format="json"`` as JSON.

    It goes by ``cls``, or by its own class. In a value Decimals, UUIDs, dates, timedelta and bytes stay what they are,
    and every language reads them as such; arrays and large bytes lie out of line. ``meta``, ``timeout`` and
    ``drop_oldest`` are those of ``send``.
    """

@overload
async def to_frame_async(
    tx: Producer, obj: object, cls: Any = None, /, *, format: Literal["value", "json"] = "value", meta: _Meta = None
) -> None:
    """As :func:`to_frame`, for asyncio: sends as soon as there is room, while other tasks go on."""

def to_arrow(objects: Iterable[object], /) -> Table: ...
@overload
def to_arrow(cls: Any, objects: Iterable[object], /) -> Table:
    """Objects as a ``slipring.Table``, whose schema is that of their class: which can be sent, and which every library takes
    that knows Arrow.

    They go by ``cls``, or by the class of the first one. ``ValidationError`` says which fields are not of their types,
    ``EncodeError`` the path of what can't be a column.
    """

@overload
def from_arrow(
    cls: type[T], table: object, /, *, strict: bool = True, unknown: Literal["ignore", "raise", None] = None
) -> list[T]: ...
@overload
def from_arrow(
    cls: Any, table: object, /, *, strict: bool = True, unknown: Literal["ignore", "raise", None] = None
) -> list[Any]:
    """The objects of type ``cls`` that the rows of a table are: of slipring's, or of any library's that shows itself as Arrow.
    Errors as those of ``load``.
    """

@overload
def from_frame(
    cls: type[T], frame: Frame, /, *, strict: bool = True, unknown: Literal["ignore", "raise", None] = None
) -> T: ...
@overload
def from_frame(
    cls: Any, frame: Frame, /, *, strict: bool = True, unknown: Literal["ignore", "raise", None] = None
) -> Any:
    """The object of type ``cls`` that a frame holds, whoever sent it: of values and JSON with nothing in between, of a table
    the list of its rows, of other formats from the frame's value. Errors as those of ``load``.

    Arrays are views of the frame, as those of ``frame.value`` are.
    """
