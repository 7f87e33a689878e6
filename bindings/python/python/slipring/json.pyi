"""JSON (RFC 8259), as fast as it gets and strict."""

from collections.abc import Callable
from typing import Any, Literal, Union, final, overload

from typing_extensions import Buffer

from .errors import DecodeError as DecodeError, EncodeError as EncodeError

__all__ = ["DecodeError", "EncodeError", "Raw", "dumps", "loads"]

@final
class Raw:
    """Text that is JSON already: ``dumps`` writes it as it is, wherever it stands, and ``Producer.send`` sends it as a JSON
    frame. It is checked to be UTF-8, and not to be JSON: whoever reads it does that."""

    def __new__(cls, text: Union[str, Buffer], /) -> Raw: ...
    @property
    def data(self) -> bytes:
        """The text, as UTF-8."""


@overload
def dumps(
    obj: object,
    /,
    default: Callable[[Any], Any] | None = None,
    *,
    sort_keys: bool = False,
    indent: Union[int, str, None] = None,
    text: Literal[False] = False,
    ascii: bool = False,
    nan: Literal["error", "null", "constants"] = "error",
    decimals: Literal["number", "text"] = "number",
    keys: Literal["strict", "convert"] = "strict",
    surrogates: Literal["error", "keep"] = "error",
) -> bytes: ...
@overload
def dumps(
    obj: object,
    /,
    default: Callable[[Any], Any] | None = None,
    *,
    sort_keys: bool = False,
    indent: Union[int, str, None] = None,
    text: Literal[True],
    ascii: bool = False,
    nan: Literal["error", "null", "constants"] = "error",
    decimals: Literal["number", "text"] = "number",
    keys: Literal["strict", "convert"] = "strict",
    surrogates: Literal["error", "keep"] = "error",
) -> str:
    """The object as JSON: UTF-8 bytes, or a str with ``text=True``.

    ``default`` is called for what has no form, and its result is written. ``sort_keys`` orders keys by their code points.
    ``indent`` is a number of spaces or a text of white space. ``ascii`` escapes all else. ``nan`` says what becomes of NaN
    and infinities; ``"constants"`` are no JSON. ``decimals`` are a number, exactly, or a text. With ``keys="convert"``
    keys may be int, float, bool, None, Decimal, UUID or dates. ``surrogates="keep"`` writes halves of surrogate
    pairs as escapes. ``EncodeError`` names the path of what can't be written, such as more than 1024 containers inside each
    other.
    """

def loads(
    data: Union[str, Buffer],
    /,
    *,
    duplicates: Literal["last", "error"] = "last",
    floats: Literal["float", "decimal"] = "float",
    nan: bool = False,
    surrogates: Literal["error", "keep"] = "error",
    max_digits: int | None = None,
) -> Any:
    """The object that JSON says, from str or anything that has bytes, such as a frame's view.

    ``DecodeError`` has ``line`` and ``column`` from 1, ``path``, ``offset`` and ``hint``. Of ``duplicates`` the last value
    stays, or they are an error. ``floats`` are floats or Decimals. ``nan`` lets NaN and Infinity in, and makes numbers
    beyond a float infinite. ``surrogates="keep"`` reads halves of surrogate pairs. ``max_digits`` limits Decimals, and ints of
    more than 18 digits.
    More than 1024 arrays and objects inside each other are an error.
    """
