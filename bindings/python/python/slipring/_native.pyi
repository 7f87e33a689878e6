"""What the Rust side gives. Times are in seconds, lengths in bytes, unless said otherwise."""

import builtins
import os
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Literal, Protocol, SupportsFloat, SupportsIndex, TypeVar, Union, final, overload

from typing_extensions import Buffer, Self

import numpy as np
import numpy.typing as npt

_T = TypeVar("_T")
_Meta = Union[dict[str, Any], None]
_Timeout = Union[SupportsFloat, SupportsIndex, None]
_Path = Union[str, os.PathLike[str]]

__version__: str

def create(
    name: str | None = None,
    *,
    path: _Path | None = None,
    anonymous: bool = False,
    mode: Literal["spsc", "mpsc", "spmc", "mpmc"] = "spsc",
    capacity: int | str | None = None,
    slots: int = 1024,
    cell: int = 192,
    populate: bool = False,
    keep: bool = False,
    drop_oldest: bool = False,
    max_deliveries: int = 5,
    share: int | None = None,
    schemas: int = 256,
    replace: bool = False,
) -> Ring:
    """Makes a ring, under a name in shared memory or at the path of a file, and attaches to it.

    ``capacity`` is the pool for frames beyond ``cell`` bytes, such as ``"64 MiB"`` (the default);
    ``slots``, a power of two, is how many frames can wait. Memory is taken as it is needed, with
    ``populate`` at once; a file's room on its disk is always taken at once. The last process to
    leave the empty ring removes it, unless ``keep``.

    ``mode`` says how many producers and consumers there may be: one at a time (``s``) or many
    (``m``). Each frame goes to one consumer. With ``drop_oldest`` a producer may drop frames to make
    room. A frame that is given back more than ``max_deliveries`` times, and so was delivered once more, is a dead letter, which
    keeps its memory until ``recv_dead`` takes it. ``share`` is
    the part of the pool, in percent, that one process may hold and still send by it, and that it may hold in frames and views and still
    receive (``ShareHeld``): by default all for one producer, half where there may be many. ``schemas`` is how many ``announce`` has room for.

    Where there is such a ring already that is ``Exists``. With ``replace`` the old one loses its name first, to which a program
    that has died may have left it; processes that have it open keep it.

    An ``anonymous`` ring has no name: a child process opens it by the descriptor that ``ring.share()``
    gives. It is sealed, so that nobody can cut it short.
    """

def open(
    name: str | None = None,
    *,
    path: _Path | None = None,
    fd: int | None = None,
    wait: float = 0.0,
) -> Ring:
    """Attaches to a ring that is there, or that appears within ``wait`` seconds (``math.inf``: ever);
    or to one whose descriptor ``fd`` was inherited."""

def list() -> builtins.list[str]:
    """The names of the rings in shared memory that are this user's."""

def unlink(name: str | None = None, *, path: _Path | None = None) -> None:
    """Removes a ring's name. Processes that are attached keep the ring until they leave."""

def inspect(name: str | None = None, *, path: _Path | None = None) -> Inspection:
    """Looks into a ring without joining it."""

def encode(obj: object, /, *, format: Literal["raw", "ndarray", "value", "arrow", "pickle"] | None = None) -> bytes:
    """The object as CBOR (RFC 8949), as a frame of format ``value`` has it, with everything inline.

    What has no form as a value is pickled, with a ``PickleWarning``; then only ``decode(..., pickle=True)`` reads it. With ``format`` the
    object goes in that form or not at all, as with ``Producer.send``: ``"value"`` is never a pickle, and ``"arrow"`` makes a table
    of records and of columns, which is read as a ``Table``. JSON is made by ``slipring.json.dumps``.
    """

def decode(data: Buffer, /, *, pickle: bool = False) -> Any:
    """The object that ``data`` encodes. ``pickle`` permits pickles, which are code."""

def stats() -> dict[Literal["sent", "decoded"], dict[str, dict[Literal["frames", "bytes"], int]]]:
    """Frames that this process has sent, and whose values it has asked for: by format, with the bytes of
    their bodies."""

def log_choices(on: bool = True) -> None:
    """Has the log say, from now on or no more, in which format each frame is sent and why: to the logger ``slipring``, at the
    level ``DEBUG``, with ``ring``, ``format``, ``frames`` and ``type`` as attributes of the record.

    It is off until it is asked for, whatever the level is, and costs nothing then; and it is this process's. Frames of one call
    that have all of these in common are one record. It is told once they are sent: what a handler raises is told to
    ``sys.unraisablehook`` and not to the caller, and what a handler sends itself is not logged.

    >>> slipring.log_choices()
    >>> slipring.log_choices(False)
    """

def _explain(
    obj: object,
) -> builtins.list[tuple[str, bool, str, tuple[int, float] | None]]: ...
def _after(error: BaseException, sent: int) -> None: ...
def _stop_watching() -> None: ...

@final
class Ring:
    """A ring that this process has created or opened."""

    def producer(self, *, pickle: bool | None = None) -> Producer:
        """A producing end. Where there is one at a time, ``RoleTaken`` while another one lives, in
        whichever process.

        An object that has no other form goes as a pickle, the whole of it, which only a consumer that trusts this process
        reads; a ``PickleWarning`` says once of each type that it does, and what has no form. With ``pickle=True`` nothing is
        said, with ``pickle=False`` that is an ``EncodeError``, whose ``path`` tells what has no form."""
    def consumer(
        self,
        *,
        ack: Literal["auto", "manual"] = "auto",
        limit: int = 1024,
        pickle: bool = False,
        copy: bool = False,
        checks: Literal["safe", "full"] = "safe",
    ) -> Consumer:
        """A consuming end. Where there is one at a time, ``RoleTaken`` while another one lives.

        With ``ack="auto"`` each frame is delivered at most once. With ``"manual"`` it is delivered
        again, to whichever consumer, until one calls ``frame.ack()``: after ``frame.nack()``, or when
        the frame and its views are gone unacknowledged, or their process is. ``limit`` is how many
        frames may be unacknowledged before ``recv``, or iterating, raises ``Unacknowledged``.

        With ``pickle`` pickles are loaded, which runs code that the sender chose: only where you trust whoever
        can write to the ring. With ``copy`` values have memory of their own, and no view keeps the frame.

        ``checks`` is for tables. ``"safe"`` looks at all that a library follows without asking, such as offsets, so
        that none reads outside of the frame; ``"full"`` also at what it may trip over, such as texts that are not UTF-8.
        """
    def share(self) -> int:
        """A descriptor for a child process (``pass_fds=[fd]``), which gives it to ``open(fd=fd)``. The
        caller closes it."""
    def lock_memory(self) -> None:
        """Keeps what is in use of the ring in memory, within the limit of ``ulimit -l``. ``Refused`` beyond it, and before
        Linux 4.4."""
    def use_huge_pages(self) -> None:
        """Asks the system to map the ring by huge pages in this process, where it can. ``Refused`` where the
        kernel was built without them."""
    @property
    def mode(self) -> str:
        """``"spsc"``, ``"mpsc"``, ``"spmc"`` or ``"mpmc"``."""
    @property
    def dropped(self) -> int:
        """Frames that producers have dropped to make room."""
    def finish(self) -> None:
        """Ends the sending, for all processes: producers get ``Closed`` from now on, consumers
        once they have taken what is there, and what is being sent just now. Frames that a worker has
        not acknowledged by then come back only to a consumer that is still there."""
    @property
    def finished(self) -> bool: ...
    def inspect(self) -> Inspection: ...
    def schemas(self) -> builtins.list[Schema]:
        """The schemas that frames name, in the order in which they were added."""
    def announce(self, name: str, schema: object, *, version: int, breaking: bool = False) -> Schema:
        """Stores a version of a schema in the ring: what ``send(..., schema=)`` takes. ``schema`` is Arrow's
        (``pyarrow.schema(...)``), or a table that has it.

        It must be compatible with the versions next to it: who expects the newer one can be given what was written as the
        older one (``docs/evolution.md`` has the rules). Else ``SchemaError`` says all that is in the way, and which migration
        consumers need; ``breaking`` says that they have it. Announcing a version again gives the same one.
        """
    def _add_schema(self, kind: int, name: str, version: int, data: bytes) -> int: ...
    def _schema(self, id: int) -> bytes | None: ...
    def close(self) -> None:
        """Leaves the ring, and closes the ends that were made from this object. The ring goes on
        for others. Frames and views stay valid."""
    @property
    def closed(self) -> bool:
        """Whether this object was closed."""
    @property
    def path(self) -> str: ...
    @property
    def max_body(self) -> int:
        """The longest body that a frame can have."""
    @property
    def mapped(self) -> range:
        """The addresses at which the segment is mapped in this process."""
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...

@final
class Producer:
    """Writes frames into a ring. Threads may share it; they take turns.

    ``timeout`` says what to do about a full ring: ``None`` waits for ever, 0 raises ``Full`` at
    once, seconds raise ``Timeout`` when they are over. ``drop_oldest`` waits for nobody and drops what
    waits longest, on a ring created for it.
    """

    def send(
        self,
        obj: object,
        *,
        format: Literal["raw", "ndarray", "value", "arrow", "pickle", "json"] | None = None,
        schema: Schema | str | None = None,
        meta: _Meta = None,
        timeout: _Timeout = None,
        drop_oldest: bool = False,
    ) -> None:
        """Sends any object, in the format that fits it or in the one that ``format`` names.

        Bytes (any object with a buffer) go raw, and arrays of any dtype but objects as arrays, copied once into
        the ring; so does what has ``__dlpack__`` (in the CPU's memory) or ``__array_interface__``. Everything
        else goes as a value: basic types, dates, decimals, sets and so on, nested, with arrays and
        large bytes among them out of line; dataclasses and what ``slipring.register`` knows by name and
        fields. What has no form as a value goes as a pickle, which the consumer must want to load, with a
        ``PickleWarning`` unless that was said before.

        What shows itself by Arrow's capsules goes as a table: data frames of pandas (with pyarrow) and polars, tables,
        batches and readers of pyarrow, DuckDB's relations, and single columns. So do lists of 128 dicts or more
        that have the same types under the same text keys; their ``value`` is a list of dicts again. With
        ``format="arrow"`` a dict of columns and shorter lists of dicts or dataclasses are tables, too.

        ``schema`` is what ``Ring.announce`` has returned: the object goes as a table of that name and version, and its schema
        stays in the ring. Its columns must be the announced ones, in any order, else ``SchemaError``.

        Shape, dtype, byte order, and C or Fortran order are kept; a strided array arrives in C
        order. ``meta`` is a dict with text keys, of anything that a value may be.
        """
    def send_batches(
        self,
        source: object,
        *,
        rows: int | None = None,
        schema: Schema | str | None = None,
        meta: _Meta = None,
        timeout: _Timeout = None,
    ) -> int:
        """Sends a table of any length in frames of ``rows`` rows at most, or of a batch each: how many frames that were.
        ``source`` is a data frame, a reader of batches, or an iterable of what ``send(format="arrow")`` takes, all with the same
        columns: chunks as of ``pandas.read_csv(chunksize=...)``, a list of tables. No more than two batches of a reader are in memory at a time. ``timeout`` is for each frame, ``meta`` goes with
        the first. An error has the number of frames sent as ``sent``. The other side takes them with
        ``Consumer.tables``; on a ring with several producers, other frames must not come between."""
    def send_many(
        self,
        objects: Iterable[object],
        *,
        schema: Schema | str | None = None,
        timeout: _Timeout = None,
        drop_oldest: bool = False,
    ) -> int:
        """Sends several, and tells the consumer once for many. Answers how many were sent: fewer
        than all only if the time, which is for all together, ran out. Of an iterator some more
        may have been consumed then. Any other error has the number as ``sent``. Under a ``schema`` each is a table,
        and all are of one version."""
    @overload
    def reserve(
        self, shape: int, dtype: None = None, *, order: Literal["C", "F"] = "C",
        meta: _Meta = None, timeout: _Timeout = None, drop_oldest: bool = False,
    ) -> Reservation[memoryview]: ...
    @overload
    def reserve(
        self, shape: int | Sequence[int], dtype: npt.DTypeLike, *, order: Literal["C", "F"] = "C",
        meta: _Meta = None, timeout: _Timeout = None, drop_oldest: bool = False,
    ) -> Reservation[npt.NDArray[Any]]:
        """Room in the segment itself, as a memoryview or array to write into::

            with tx.reserve((1080, 1920, 3), "u1") as a:
                camera.readinto(a)

        It is sent on leaving, and dropped on an exception. If anything but the name after ``as``
        still refers to it then (a slice, a view, a second name) that is a ``BufferError``, and
        nothing is sent. Afterwards the name stands for an empty array or a released memoryview.
        Fresh memory holds what an earlier frame left. ``timeout`` is for entering and for
        leaving, each.
        """
    def send_async(
        self,
        obj: object,
        *,
        format: Literal["raw", "ndarray", "value", "arrow", "pickle", "json"] | None = None,
        schema: Schema | str | None = None,
        meta: _Meta = None,
    ) -> Awaitable[None]:
        """As ``send``, for asyncio: waits for room without holding the loop. Limit it with
        ``asyncio.timeout``."""
    def send_many_async(
        self, objects: Iterable[object], *, schema: Schema | str | None = None
    ) -> Awaitable[int]:
        """As ``send_many``, for asyncio: waits for room without holding the loop, and answers how many
        were sent, which is all. Any error, a ``CancelledError`` too, has the number as ``sent``; what was
        sent stays sent. ``asyncio.timeout`` puts the ``CancelledError`` into ``__cause__``."""
    def send_batches_async(
        self,
        source: object,
        *,
        rows: int | None = None,
        schema: Schema | str | None = None,
        meta: _Meta = None,
    ) -> Awaitable[int]:
        """As ``send_batches``, for asyncio: waits for room without holding the loop, and lets other tasks run after each frame.
        The batches of ``source`` itself are taken as they come: one that waits for them holds the loop."""
    @overload
    def reserve_async(
        self, shape: int, dtype: None = None, *, order: Literal["C", "F"] = "C",
        meta: _Meta = None,
    ) -> _Reserving[memoryview]: ...
    @overload
    def reserve_async(
        self, shape: int | Sequence[int], dtype: npt.DTypeLike, *, order: Literal["C", "F"] = "C",
        meta: _Meta = None,
    ) -> _Reserving[npt.NDArray[Any]]:
        """As ``reserve``, for asyncio: waits without holding the loop, on entering and on leaving::

            async with tx.reserve_async((1080, 1920, 3), "u1") as a:
                camera.readinto(a)

        Awaited, it gives a reservation that has its room, for ``with``; leaving that raises ``Full`` where
        the ring has no place for the frame. A cancelled wait sends nothing and keeps no room."""
    def _send_some(
        self, objects: builtins.list[Any], under: Any = None
    ) -> tuple[int, bool, BaseException | None]: ...
    def _watch(self, callback: Callable[[], object]) -> _Watch: ...
    @property
    def dropped(self) -> int:
        """Frames that this producer has dropped to make room."""
    def wanted(self, name: str) -> tuple[int, int] | None:
        """The oldest and the newest version of a schema that all consumers read which have said so by ``expect``; the first is
        greater where there is none that all read. ``None``: nobody has."""
    def trim(self) -> int:
        """Gives the pool's idle memory back to the system. Answers how many bytes."""
    def close(self) -> None:
        """Gives the role back."""
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...

@final
class Reservation(AbstractContextManager[_T, bool]):
    """Room for a frame, within a ``with`` block; see :meth:`Producer.reserve`."""

    def __enter__(self) -> _T: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> bool: ...
    def _claim(self) -> bool: ...
    def _withdraw(self, kind: type[BaseException] | None) -> None: ...
    def _commit(self) -> bool: ...
    def _drop(self) -> None: ...

class _Reserving(Protocol[_T]):
    """A reservation that is waited for."""

    def __await__(self) -> Generator[Any, None, Reservation[_T]]: ...
    async def __aenter__(self) -> _T: ...
    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...

@final
class Consumer:
    """Reads frames from a ring, each once. Threads may share it; they take turns.

    Iterating, plainly or with ``async for``, ends when the ring was finished and is empty.
    """

    def recv(self, timeout: _Timeout = None) -> Frame:
        """The next frame. ``None`` waits for ever; 0 raises ``Empty`` at once, seconds raise
        ``Timeout`` when they are over. ``Closed`` when there will be no more."""
    def expect(
        self,
        name: str,
        schema: object,
        *,
        version: int,
        oldest: int = 1,
        migrations: Mapping[int, Callable[[Table], object]] | None = None,
    ) -> None:
        """Reads tables that are sent under ``name`` as ``schema`` (Arrow's, or a table that has it) from now on,
        whichever version was written: columns by name or former name, widened, dropped, or filled in. What stays as it was is not
        copied. ``docs/evolution.md`` has the rules. Where they can't, ``frame.value`` is a ``SchemaError`` that names the
        columns and the migration that is needed.

        ``version`` is the schema's. ``migrations={1: function, 2: function}`` are called for older tables, one after the other from
        the written version on, each with a ``Table`` of a version; it gives one of the next, as any library's. Tables older than
        ``oldest`` are refused. Producers see from which version to which one is read: ``Producer.wanted``.
        """
    def tables(self, *, timeout: _Timeout = None) -> TableReader:
        """The next stream of tables, as ``Producer.send_batches`` sends it, or a single table: frames are taken as they
        are asked for, each in ``timeout``, and acknowledged when they are taken. A frame that is missing, or that is no part
        of the stream, is a ``DecodeError``, and the reader's last word. What came instead, such as the first frame of another
        stream, is there for the next ``tables`` or ``recv``."""
    def try_recv(self) -> Frame | None:
        """The next frame if one is there."""
    def recv_many(self, n: int, timeout: _Timeout = None) -> builtins.list[Frame]:
        """Waits for a frame, then takes what is there, up to ``n``: at least one. As :meth:`recv`,
        ``Empty`` or ``Timeout`` when there is none, and ``Closed`` when there will be no more."""
    def recv_bytes(self, timeout: _Timeout = None) -> bytes:
        """A copy of the next frame's bytes, ``bytes(frame.view)``, with nothing to release and no frame: of small frames
        the fastest way. It is acknowledged by that. Bytes that are no frame's are a ``DecodeError``, which the frame ends with;
        with ``ack="manual"`` it comes again. For all else see :meth:`recv`."""
    def recv_many_bytes(self, n: int, timeout: _Timeout = None) -> builtins.list[bytes]:
        """Of up to ``n`` frames, one at least, as :meth:`recv_many` takes them. A ``DecodeError`` comes by itself: after
        those that were sent before, and before those that were sent behind."""
    def recv_dead(self) -> Frame | None:
        """A dead letter, if there is one: a frame that was given back too often. To a consumer with ``ack="manual"`` it comes again
        and again until it is acknowledged, others only after it: call ``frame.ack()``."""
    def recv_async(self) -> Awaitable[Frame]:
        """The next frame, for asyncio. Limit it with ``asyncio.timeout``."""
    def recv_many_async(self, n: int) -> Awaitable[builtins.list[Frame]]:
        """As ``recv_many``, for asyncio."""
    def _watch(self, callback: Callable[[], object]) -> _Watch: ...
    def close(self) -> None:
        """Gives the role back. Frames and views stay valid."""
    def __iter__(self) -> Iterator[Frame]: ...
    def __next__(self) -> Frame: ...
    def __aiter__(self) -> AsyncIterator[Frame]: ...
    def __anext__(self) -> Awaitable[Frame]: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...

class _Watch:
    def cancel(self) -> None: ...

class _Sending:
    def _send(self) -> bool: ...

@final
class Table:
    """A table in the memory of its frame. pyarrow, polars, pandas, DuckDB and others take it without a copy:
    ``pyarrow.table(table)``, ``polars.DataFrame(table)``. What they make of it keeps the frame's memory."""

    @property
    def num_rows(self) -> int: ...
    @property
    def num_columns(self) -> int: ...
    @property
    def num_batches(self) -> int:
        """Pieces that it lies in; each is a record batch of Arrow's."""
    @property
    def column_names(self) -> list[str]: ...
    @property
    def schema(self) -> str:
        """Name and type of each column, a line each."""
    @property
    def metadata(self) -> dict[str, str]:
        """The schema's own, as the library that made it has left it."""
    def column(self, name: str | int) -> Column: ...
    def batches(self) -> list[Table]:
        """Each batch as a table of its own, over the same memory. Iterating gives the same."""
    def slice(self, offset: int = 0, length: int | None = None) -> Table:
        """These rows, as far as there are so many, over the same memory: only null masks and booleans are copied, where the rows
        begin within a byte of them, and the ends of runs."""
    def to_pylist(self) -> list[dict[str, Any]]:
        """Each row as a dict. Needs no other package. Columns that share a name are a ``ValueError``, as one would be gone."""
    def to_pydict(self) -> dict[str, list[Any]]:
        """Each column as a list. Needs no other package. Columns that share a name are a ``ValueError``."""
    def to_numpy(self) -> dict[str, np.ndarray]:
        """Each column as an array, in place; all must be numbers or times without nulls, with names of their own."""
    def to_pyarrow(self) -> Any:
        """A ``pyarrow.Table``, in place."""
    def to_polars(self) -> Any:
        """A ``polars.DataFrame``, in place."""
    def to_pandas(self, **options: Any) -> Any:
        """A ``pandas.DataFrame`` as pyarrow makes it, whose options are taken; with its index, where it had one. With ``split_blocks=True``
        columns of numbers without nulls lie in the frame and are read-only."""
    def __getitem__(self, name: str | int) -> Column: ...
    def __iter__(self) -> Iterator[Table]: ...
    def __len__(self) -> int:
        """Rows."""
    def __bool__(self) -> bool: ...
    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any: ...
    def __arrow_c_schema__(self) -> Any: ...
    @property
    def __arrow_c_array__(self) -> Callable[..., tuple[Any, Any]]:
        """Of a table of one batch; others have only the stream (``AttributeError``)."""
    def _array(self, requested_schema: Any = None) -> tuple[Any, Any]: ...

class Column:
    """A column of a table, in the memory of its frame. ``numpy.asarray(column)`` and ``memoryview(column)`` are
    views of numbers without nulls; Arrow's libraries take any column."""

    @property
    def name(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def null_count(self) -> int: ...
    def to_pylist(self) -> list[Any]: ...
    def to_numpy(self, *, zero_copy_only: bool = True) -> np.ndarray:
        """A view of numbers or times without nulls that lie in one batch. ``zero_copy_only=False`` gives copies of all else, too, as pyarrow
        makes them: nulls of numbers are NaN, texts objects."""
    def to_pyarrow(self) -> Any:
        """A ``pyarrow.ChunkedArray``, in place."""
    def to_polars(self) -> Any:
        """A ``polars.Series``, in place."""
    def to_pandas(self, **options: Any) -> Any:
        """A ``pandas.Series`` as pyarrow makes it, whose options are taken, under the column's name; numbers without nulls lie in the
        frame and are read-only."""
    def __iter__(self) -> Iterator[Any]:
        """The elements of ``to_pylist``."""
    def __len__(self) -> int: ...
    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...
    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any: ...
    def __arrow_c_schema__(self) -> Any: ...
    @property
    def __arrow_c_array__(self) -> Callable[..., tuple[Any, Any]]:
        """Of a table of one batch; others have only the stream (``AttributeError``)."""
    def _array(self, requested_schema: Any = None) -> tuple[Any, Any]: ...

class TableReader:
    """One stream of tables, taken off a ring frame by frame: iterate over it, or give it to a library,
    as in ``pyarrow.RecordBatchReader.from_stream(reader)`` and ``polars.DataFrame(reader)``. In asyncio
    ``async for table in reader`` waits without holding the loop, and without a timeout."""

    @property
    def schema(self) -> str:
        """Name and type of each column, a line each. Waits for the first frame."""
    def __iter__(self) -> TableReader: ...
    def __next__(self) -> Table: ...
    def __aiter__(self) -> TableReader: ...
    def __anext__(self) -> Awaitable[Table]: ...
    def _try_next(self) -> Table | None: ...
    @property
    def _consumer(self) -> Consumer: ...
    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any: ...
    def __arrow_c_schema__(self) -> Any: ...

@final
class TableSchema:
    """The columns of a table, without the table. Libraries take it by Arrow's capsules: ``pyarrow.schema(frame.schema)``."""

    @property
    def columns(self) -> builtins.list[tuple[str, str, bool]]:
        """Name and type of each column, and whether it may be null."""
    @property
    def names(self) -> builtins.list[str]: ...
    @property
    def name(self) -> str | None:
        """The name that it was announced by; ``None`` of a table that was sent under no schema."""
    @property
    def version(self) -> int | None:
        """The version of that name."""
    @property
    def metadata(self) -> dict[str, str]:
        """Its own, without that of its columns."""
    def __arrow_c_schema__(self) -> Any: ...
    def __len__(self) -> int: ...

class Frame:
    """A frame that was received, in place. It and each of its views keep its memory; the last of
    them to go gives it back. Views are read-only.

    ``numpy.asarray(frame)``, ``numpy.from_dlpack(frame)`` and ``memoryview(frame)`` are such views too: of an
    array with its dtype and shape, of raw bytes as ``uint8``. Dates and fields with titles have no
    ``memoryview``, and what is no number no DLPack. Of a value or a pickle there is none (``BufferError``): ``frame.view`` has the
    bytes that encode it."""

    @property
    def value(self) -> Any:
        """What was sent: an ndarray, a :class:`Table` or, for raw bytes, a memoryview; decoded on first use. Texts of any
        length (``StringDType``) are copied, and records made anew from their columns; all else is a view."""
    @property
    def table(self) -> Table:
        """The table of a frame of format ``arrow``, also where its value is a list of records or a column."""
    @property
    def schema(self) -> TableSchema | None:
        """The schema of a frame of format ``arrow`` as it was written, whatever is expected; nothing else of the frame is read.
        ``None`` for other formats."""
    @property
    def __arrow_c_stream__(self) -> Callable[..., Any]:
        """Of a frame of format ``arrow``, so that libraries take the frame for its table."""
    @property
    def __arrow_c_schema__(self) -> Callable[..., Any]: ...
    @property
    def view(self) -> memoryview:
        """The data's bytes, without what the format and the metadata add."""
    @property
    def format(self) -> str:
        """``"raw"``, ``"ndarray"``, ``"value"``, ``"arrow"``, ``"pickle"`` or ``"json"``; ``"unknown"`` of what this version can't read."""
    @property
    def meta(self) -> dict[str, Any] | None: ...
    def describe(self) -> dict[str, Any]:
        """What the frame holds, without decoding it: ``format``; of an array ``dtype``, ``shape`` and
        ``order``; of a value its ``kind``, ``len``, CBOR ``tags`` and the first ``keys`` of a map; of a table its
        ``columns`` as they were written: name, type and whether they may be null; the lengths of out-of-line ``buffers``."""
    @property
    def sequence(self) -> int:
        """The frame's number, counted per producer from 0."""
    @property
    def timestamp(self) -> int:
        """When it was sent, in nanoseconds since the Unix epoch."""
    @property
    def header(self) -> Header: ...
    @property
    def address(self) -> int:
        """Where the data lies in this process's memory."""
    @property
    def in_place(self) -> bool:
        """Whether the data is read where the producer wrote it, in the segment."""
    @property
    def redeliveries(self) -> int:
        """How often it was delivered before, and not acknowledged."""
    def ack(self) -> None:
        """Acknowledges the frame: it is not delivered again. Views stay valid. ``GivenBack`` if that
        is too late. Nothing happens where acknowledgement is automatic."""
    def nack(self) -> None:
        """Lets go of the frame and gives it back, to be delivered again once the views that were taken
        of it are gone. ``Acknowledged`` if that is too late."""
    def release(self) -> None:
        """Lets go of the frame now. Views that were taken of it stay valid and keep its memory."""
    def __buffer__(self, flags: int, /) -> memoryview: ...
    def __array__(
        self, dtype: npt.DTypeLike | None = None, copy: bool | None = None
    ) -> npt.NDArray[Any]: ...
    def __dlpack__(
        self,
        *,
        stream: None = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        """An array of numbers as a read-only tensor, by DLPack 1.0 or newer. ``BufferError`` for older
        consumers, which can't be told that nobody may write, and for other dtypes."""
    def __dlpack_device__(self) -> tuple[int, int]: ...
    @property
    def __array_interface__(self) -> dict[str, Any]:
        """Of an array of numbers. Its data is a memoryview, which keeps the memory."""
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...

@final
class Header:
    """The fixed header of a frame; its fields are those of the frame format."""

    @property
    def format(self) -> int: ...
    @property
    def format_version(self) -> int: ...
    @property
    def flags(self) -> int: ...
    @property
    def type_code(self) -> int: ...
    @property
    def schema_version(self) -> int: ...
    @property
    def schema_id(self) -> int: ...
    @property
    def checksum(self) -> int: ...
    @property
    def body_len(self) -> int: ...
    @property
    def uncompressed_len(self) -> int: ...
    @property
    def sequence(self) -> int: ...
    @property
    def created_ns(self) -> int: ...
    @property
    def correlation_id(self) -> int: ...
    @property
    def participant(self) -> int: ...
    @property
    def producer(self) -> int: ...

@final
class Schema:
    """A schema that a ring keeps for its frames, which name it by its id."""

    @property
    def id(self) -> int:
        """As ``frame.header.schema_id`` says it."""
    @property
    def kind(self) -> int:
        """The number of the format whose bodies it describes."""
    @property
    def name(self) -> str: ...
    @property
    def version(self) -> int:
        """From 1 on; 0 for a name of which there is no version yet."""
    @property
    def size(self) -> int:
        """In bytes."""
    @property
    def created_ns(self) -> int:
        """When it was added, in nanoseconds since the Unix epoch."""
    @property
    def wanted(self) -> tuple[int, int] | None:
        """The oldest and the newest version that all consumers read which have said so."""

@final
class Inspection:
    """A snapshot of a ring; ``str()`` of it is for reading."""

    @property
    def path(self) -> str: ...
    @property
    def len(self) -> int:
        """Of the file."""
    @property
    def version(self) -> tuple[int, int]:
        """Of the segment's format: major, minor."""
    @property
    def id(self) -> str:
        """Drawn at random when the ring was made."""
    @property
    def boot_id(self) -> str:
        """Of the machine's boot in which the ring was made."""
    @property
    def created_ns(self) -> int:
        """When it was made, in nanoseconds since the Unix epoch."""
    @property
    def creator_pid(self) -> int: ...
    @property
    def creator_uid(self) -> int: ...
    @property
    def keep(self) -> bool:
        """Whether its name stays when the last process leaves."""
    @property
    def offsets(self) -> dict[str, int]:
        """Where each part of the segment begins in the file."""
    @property
    def slots(self) -> int: ...
    @property
    def cell(self) -> int: ...
    @property
    def capacity(self) -> int: ...
    @property
    def chunk(self) -> int: ...
    @property
    def mode(self) -> str: ...
    @property
    def dropped(self) -> int:
        """Frames that producers have dropped to make room."""
    @property
    def returned(self) -> int:
        """Frames given back, to be delivered again."""
    @property
    def dead(self) -> int:
        """Dead letters."""
    @property
    def finished(self) -> bool: ...
    @property
    def head(self) -> int: ...
    @property
    def tail(self) -> int: ...
    @property
    def waiting(self) -> int:
        """Frames in the ring."""
    @property
    def free_chunks(self) -> int: ...
    @property
    def slab_chunks(self) -> int: ...
    @property
    def run_chunks(self) -> int: ...
    @property
    def filling(self) -> int:
        """Frames reserved and not sent."""
    @property
    def offered(self) -> int:
        """Frames sent and not taken."""
    @property
    def held(self) -> int:
        """Frames taken, with a view alive."""
    @property
    def schemas(self) -> builtins.list[Schema]: ...
    @property
    def schema_limit(self) -> int:
        """How many schemas there is room for; 0: the ring has no table."""
    @property
    def processes(self) -> builtins.list[Process]: ...

@final
class Process:
    """A process attached to a ring."""

    @property
    def id(self) -> int: ...
    @property
    def pid(self) -> int: ...
    @property
    def alive(self) -> bool: ...
    @property
    def produces(self) -> bool: ...
    @property
    def consumes(self) -> bool: ...
