"""Typed frames between processes on one machine, through shared memory.

Send in three lines::

    import slipring

    with slipring.create("camera", capacity="64 MiB") as ring:
        tx = ring.producer()
        tx.send(image)                      # bytes or a NumPy array

and receive in three, in another process::

    with slipring.open("camera", wait=5.0) as ring:
        for frame in ring.consumer():
            frame.value                     # an array or memoryview over the segment, not a copy

A view keeps its frame's memory for as long as it lives, whatever becomes of the ring.
"""

from __future__ import annotations

from . import _main  # isort: skip
from . import dataclass, json
from ._explain import Candidate, Cost, Explanation, calibrate, costs, explain
from ._native import (
    Column,
    Consumer,
    Frame,
    Header,
    Inspection,
    Process,
    Producer,
    Reservation,
    Ring,
    Schema,
    Table,
    TableReader,
    TableSchema,
    __version__,
    create,
    decode,
    encode,
    inspect,
    list,
    log_choices,
    open,
    stats,
    unlink,
)
from .errors import (
    Acknowledged,
    Closed,
    Corrupt,
    DecodeError,
    Detached,
    Empty,
    EncodeError,
    Error,
    Exists,
    Foreign,
    Forked,
    Full,
    GivenBack,
    InvalidName,
    InvalidOption,
    LossyWarning,
    NoRoomForSchema,
    NoSchemas,
    NotFound,
    NotOwner,
    OutOfMemory,
    PickleWarning,
    Refused,
    Released,
    RoleTaken,
    SchemaConflict,
    SchemaError,
    SchemaFault,
    SchemaTooLarge,
    SchemasFull,
    SegmentError,
    ShareHeld,
    Timeout,
    TooLarge,
    TooManyParticipants,
    TooManyWanted,
    Unacknowledged,
    UntrustedPickle,
    ValidationError,
)
from .values import Atom, Object, Tag, register

# Without `list` and `open`: a star import must not take the place of Python's own.
__all__ = [
    "Acknowledged",
    "Atom",
    "Candidate",
    "Closed",
    "Column",
    "Consumer",
    "Corrupt",
    "Cost",
    "DecodeError",
    "Detached",
    "Empty",
    "EncodeError",
    "Error",
    "Exists",
    "Explanation",
    "Foreign",
    "Forked",
    "Frame",
    "Full",
    "GivenBack",
    "Header",
    "Inspection",
    "InvalidName",
    "InvalidOption",
    "LossyWarning",
    "NoRoomForSchema",
    "NoSchemas",
    "NotFound",
    "NotOwner",
    "Object",
    "OutOfMemory",
    "PickleWarning",
    "Process",
    "Producer",
    "Refused",
    "Released",
    "Reservation",
    "Ring",
    "RoleTaken",
    "Schema",
    "SchemaConflict",
    "SchemaError",
    "SchemaFault",
    "SchemaTooLarge",
    "SchemasFull",
    "SegmentError",
    "ShareHeld",
    "Table",
    "TableReader",
    "TableSchema",
    "Tag",
    "Timeout",
    "TooLarge",
    "TooManyParticipants",
    "TooManyWanted",
    "Unacknowledged",
    "UntrustedPickle",
    "ValidationError",
    "__version__",
    "calibrate",
    "costs",
    "create",
    "dataclass",
    "decode",
    "encode",
    "explain",
    "inspect",
    "json",
    "log_choices",
    "register",
    "stats",
    "unlink",
]
