"""The exceptions of slipring, all under :class:`Error`.

``Full``, ``Empty``, ``Closed`` and ``Timeout`` are ordinary outcomes; the others tell of a mistake
or a fault. Each message says what happened, where, and what to do; the attributes named below hold
the same for programs.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from ._native import Inspection


class Error(Exception):
    """Whatever went wrong in slipring.

    From ``send_many`` and ``send_many_async``, ``sent`` frames went before it.
    """

    sent: int


class Full(Error):
    """The ring has no room, and the call was not to wait. Nothing was sent. ``inspection`` is what
    was in the ring then."""

    inspection: Inspection | None = None


class Empty(Error):
    """No frame waits, and the call was not to wait."""


class Closed(Error):
    """The ring was finished; for a consumer: and everything in it has been taken."""


class Timeout(Error, TimeoutError):
    """The time ran out first. Nothing was sent or taken. ``inspection`` is what was in the ring then."""

    inspection: Inspection | None = None


class TooLarge(Error, ValueError):
    """The frame can never fit: ``len`` bytes, where ``limit`` would."""

    len: int
    limit: int


class Unacknowledged(Error):
    """``limit`` frames are taken and not acknowledged: the consumer gets no more until some are."""

    limit: int


class ShareHeld(Error):
    """This process holds ``held`` bytes of the pool in frames and views, and may hold ``limit``: the consumer gets no more
    until some are let go of."""

    held: int
    limit: int


class Acknowledged(Error):
    """The frame was acknowledged, and can't be given back."""


class GivenBack(Error):
    """The frame was given back, or its consumer is gone, and can't be acknowledged."""


class Detached(Error, ValueError):
    """A ring, producer or consumer is used after its ``close()``; a ``ValueError``, as of a closed file."""


class Released(Error, ValueError):
    """A frame is read after its ``release()``; a ``ValueError``, as of a released ``memoryview``."""


class SegmentError(Error):
    """The ring's segment can't be made, opened or used."""


class InvalidName(SegmentError, ValueError):
    """``name`` is none for a ring, for this ``reason``."""

    name: str
    reason: str


class InvalidOption(SegmentError, ValueError):
    """``option`` has a ``value`` other than what is ``expected``."""

    option: str
    value: str
    expected: str


class NotFound(SegmentError, FileNotFoundError):
    """No ring at ``path``; ``rings`` names those that there are."""

    path: str
    rings: list[str]


class Exists(SegmentError, FileExistsError):
    """There is a ring at ``path`` already."""

    path: str


class Foreign(SegmentError):
    """The file at ``path`` is no segment of this version; ``field`` at ``offset`` says why."""

    path: str
    field: str
    offset: int
    expected: str
    found: str
    hint: str


class NotOwner(SegmentError, PermissionError):
    """The ring at ``path`` belongs to ``owner``, and this process runs as ``user``."""

    path: str
    owner: int
    user: int


class RoleTaken(SegmentError):
    """The ring's one producer or consumer (``role``) is the process ``pid``."""

    role: str
    pid: int


class TooManyParticipants(SegmentError):
    """The ring at ``path`` has all the processes that it can have."""

    path: str


class OutOfMemory(SegmentError, MemoryError):
    """No room for ``needed`` more bytes of ``path``; where ``populate`` was asked for, ``available``
    says for how many there is."""

    path: str
    needed: int
    available: int | None


class NoSchemas(SegmentError):
    """The ring has no schema table: it was created so, or by an earlier version."""


class SchemasFull(SegmentError):
    """The ring's table holds ``limit`` schemas, and has no entry left."""

    limit: int


class NoRoomForSchema(SegmentError):
    """A schema of ``len`` bytes has no room beside the others; ``limit`` bytes are for all of them."""

    len: int
    limit: int


class SchemaTooLarge(SegmentError, ValueError):
    """A schema of ``len`` bytes never fits: ``limit`` bytes are for all of the ring's."""

    len: int
    limit: int


class SchemaConflict(SegmentError, ValueError):
    """The ring has another schema of this ``kind``, ``name`` and ``version``, the one with this ``id``."""

    kind: int
    name: str
    version: int
    id: int


class TooManyWanted(SegmentError):
    """This process has said of ``limit`` schemas which versions it reads, and can't of more."""

    limit: int


class Refused(SegmentError, OSError):
    """The operating system refused an ``operation`` on ``path``, with ``errno``."""

    operation: str
    path: str


class Forked(SegmentError):
    """The process ``pid`` was forked and uses what belongs to its parent."""

    pid: int


class Corrupt(SegmentError):
    """A control word in the segment (``what``, number ``index``) holds ``found``."""

    what: str
    index: int
    found: int


class EncodeError(Error, TypeError):
    """An object that can't be sent: ``what`` is wrong with it, its ``type``, at which ``path``, and a ``hint``."""

    what: str
    path: str
    type: str
    hint: str


class DecodeError(Error, ValueError):
    """A frame that can't be read: its format ``type``, the ``path`` in it, and a ``hint``.

    Of JSON (``slipring.json.loads``) also ``line`` and ``column``, counted from 1, and the ``offset``: of bytes, or of
    characters in a str.
    """

    path: str
    type: str
    hint: str
    offset: int
    line: int
    column: int


class SchemaFault(NamedTuple):
    """What stands in the way in one column, at ``path``: the type that it ``was`` written as, the one that is
    expected (``wants``), and the ``reason``: ``"missing"``, ``"type"``, ``"nullable"``, ``"ambiguous"``, ``"default"``
    or ``"unknown"``."""

    path: str
    was: str | None
    wants: str | None
    reason: str


class SchemaError(Error, ValueError):
    """What was ``written`` as one version of ``name`` can't be read as the ``wanted`` one. ``faults`` says why, column by column;
    ``migration`` from which version to which one a migration would help, if one would. Of records that are sent under a schema and do not
    fit, ``path`` says which value (``$[3].price``), ``type`` what it is, and ``hint`` what to do."""

    name: str
    written: int
    wanted: int
    faults: list[SchemaFault]
    migration: tuple[int, int] | None
    path: str | None = None
    type: str | None = None
    hint: str | None = None


class UntrustedPickle(DecodeError):
    """A pickle arrived, which is code: it is not run unless the consumer asks for that."""


class LossyWarning(UserWarning):
    """Something is lost on the way: what, and how to keep it."""


class PickleWarning(UserWarning):
    """An object goes as a pickle that nobody asked for, since it has no other form: why, and what to do. Of each type and reason
    it is said once."""


class ValidationError(Error, ValueError):
    """Data that are not valid for a type. ``messages`` say what is wrong, by name and index, down to lists of texts:
    ``{"items": {"3": {"price": ["Not a valid number."]}}}``; what is wrong with an object as a whole stands under
    ``"_schema"``. ``type`` is the type that the data were for.

    Validators raise it with a text, a list of texts, or a dict of such.
    """

    messages: Any
    type: Any = None

    def __init__(self, message: Any) -> None:
        self.messages = message if isinstance(message, (dict, list)) else [message]
        super().__init__(message)

    @classmethod
    def _of(cls, messages: Any, type: Any) -> ValidationError:
        error = cls({"_schema": messages} if isinstance(messages, list) else messages)
        error.type = type
        return error

    def __str__(self) -> str:
        said = "; ".join(_lines(self.messages, ""))
        return said if self.type is None else f"{_titled(self.type)}: {said}"


def _titled(tp: Any) -> str:
    """A type as it is written, without modules: ``list[Order | None]``."""
    if tp is None or tp is type(None):
        return "None"
    origin = typing.get_origin(tp)
    if origin is None:
        return getattr(tp, "__qualname__", None) or repr(tp)
    args = typing.get_args(tp)
    if origin is typing.Annotated:
        return _titled(args[0])
    if origin is typing.Literal:
        return f"Literal[{', '.join(map(repr, args))}]"
    told = ["..." if arg is ... else str(arg) if isinstance(arg, typing.TypeVar) else _titled(arg) for arg in args]
    if origin is typing.Union or origin is types.UnionType:
        return " | ".join(told)
    return f"{getattr(origin, '__qualname__', None) or repr(origin)}[{', '.join(told)}]"


def _lines(messages: Any, path: str) -> Iterator[str]:
    if isinstance(messages, dict):
        for name, inner in messages.items():
            yield from _lines(inner, path if name == "_schema" else f"{path}.{name}" if path else str(name))
    elif isinstance(messages, list) and not any(isinstance(one, dict) for one in messages):
        yield (f"{path}: " if path else "") + " ".join(map(str, messages))
    else:
        yield f"{path}: {messages}" if path else str(messages)
