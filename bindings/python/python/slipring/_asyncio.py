"""Sending and receiving with asyncio: a task sleeps until the package's watching thread tells its loop."""

from __future__ import annotations

import asyncio
import atexit
import itertools
from typing import TYPE_CHECKING, Any

from ._native import _after, _dataclass, _stop_watching
from .errors import Closed, Empty, Full

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from ._native import Consumer, Frame, Producer, Reservation, Table, TableReader, _Sending

#: Objects that `send_many` takes from its iterator at a time.
BATCH = 64

# The thread that tells loops must not meet the interpreter's end.
atexit.register(_stop_watching)


class News:
    """What one end of a ring has to tell a task, once."""

    def __init__(self, end: Consumer | Producer) -> None:
        loop = asyncio.get_running_loop()
        self._future: asyncio.Future[None] = loop.create_future()
        self._watch = end._watch(lambda: self._tell(loop))

    def _tell(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            loop.call_soon_threadsafe(self._wake)
        except RuntimeError:
            # The loop was closed meanwhile, and with it went whoever waited.
            pass

    def _wake(self) -> None:
        if not self._future.done():
            self._future.set_result(None)

    def cancel(self) -> None:
        self._watch.cancel()

    async def wait(self) -> None:
        try:
            await self._future
        except BaseException:
            self.cancel()
            raise


async def recv(consumer: Consumer) -> Frame:
    """The next frame. Other tasks and threads may be after it too: then the next one after that."""
    while (frame := consumer.try_recv()) is None:
        await News(consumer).wait()
    return frame


async def recv_many(consumer: Consumer, n: int) -> list[Frame]:
    """Waits for a frame, then takes what is there, up to ``n``."""
    if n == 0:
        return []
    while True:
        try:
            return consumer.recv_many(n, 0)
        except Empty:
            await News(consumer).wait()


async def following(consumer: Consumer) -> Frame:
    """As :func:`recv`, for ``async for``."""
    try:
        return await recv(consumer)
    except Closed:
        raise StopAsyncIteration from None


class Room:
    """Waits for room without missing any that is made between an attempt and the wait."""

    def __init__(self, producer: Producer) -> None:
        self._producer = producer
        self._news: News | None = None

    async def wait(self) -> None:
        """After each attempt that found none. What is freed before the first call is not told of, so that
        one returns at once, for one more attempt."""
        if self._news is None:
            self._news = News(self._producer)
        else:
            news, self._news = self._news, None
            await news.wait()

    def __enter__(self) -> Room:
        return self

    def __exit__(self, *_: object) -> None:
        if self._news is not None:
            self._news.cancel()


async def send(
    producer: Producer, obj: Any, format: Any, schema: Any, meta: dict[str, Any] | None
) -> None:
    """Sends as soon as there is room."""
    with Room(producer) as room:
        while True:
            try:
                return producer.send(obj, format=format, schema=schema, meta=meta, timeout=0)
            except Full:
                pass
            await room.wait()


async def to_frame(producer: Producer, obj: Any, cls: tuple[Any, ...], format: Any, meta: dict[str, Any] | None) -> None:
    """Sends an object by its class as soon as there is room."""
    with Room(producer) as room:
        while True:
            try:
                return _dataclass.to_frame(producer, obj, *cls, format=format, meta=meta, timeout=0)
            except Full:
                pass
            await room.wait()


def gather(objects: Iterator[Any]) -> tuple[list[Any], BaseException | None]:
    """The next objects, and what the iterator raised after them."""
    batch: list[Any] = []
    try:
        batch.extend(itertools.islice(objects, BATCH))
    except BaseException as fault:
        return batch, fault
    return batch, None


async def send_many(producer: Producer, objects: Iterator[Any], under: Any = None) -> int:
    """Sends all of them, each as soon as there is room. Whatever ends it early, also a cancellation,
    is told how many were sent."""
    sent, batch = 0, []
    fault = failed = None
    try:
        with Room(producer) as room:
            more = True
            while more:
                batch, fault = gather(objects)
                more = len(batch) == BATCH
                while batch:
                    done, full, failed = producer._send_some(batch, under)
                    sent += done
                    if failed is not None:
                        raise failed
                    del batch[:done]
                    if full:
                        await room.wait()
                    elif batch or more:
                        # The consumer may be as fast as this: other tasks want their turn, too.
                        await asyncio.sleep(0)
                if fault is not None:
                    raise fault
    except BaseException as error:
        _after(error, sent)
        raise
    finally:
        # The traceback refers to this frame: what was to be sent must not hang on it.
        batch, fault, failed = [], None, None
    return sent


async def send_batches(producer: Producer, sending: _Sending) -> int:
    """Sends all pieces of a table, each as soon as there is room. Whatever ends it early is told how many were sent."""
    sent, more = 0, True
    try:
        with Room(producer) as room:
            while more:
                try:
                    more = sending._send()
                except Full:
                    await room.wait()
                    continue
                if more is None:
                    break
                sent += 1
                # A piece may be large, and the consumer fast: other tasks want their turn, too.
                await asyncio.sleep(0)
    except BaseException as error:
        _after(error, sent)
        raise
    return sent


async def next_table(reader: TableReader) -> Table:
    """The next table of a stream, for ``async for``."""
    consumer = reader._consumer
    while True:
        try:
            table = reader._try_next()
        except Empty:
            await News(consumer).wait()
        else:
            break
    if table is None:
        raise StopAsyncIteration
    return table


class Reserving:
    """Room that is asked for: awaited, a reservation that has it; in ``async with``, what is lent of it."""

    def __init__(self, producer: Producer, reservation: Reservation[Any]) -> None:
        self._producer = producer
        self._reservation = reservation

    async def _when(self, step: Callable[[], bool]) -> None:
        with Room(self._producer) as room:
            while not step():
                await room.wait()

    async def _claimed(self) -> Reservation[Any]:
        await self._when(self._reservation._claim)
        return self._reservation

    def __await__(self) -> Generator[Any, None, Reservation[Any]]:
        return self._claimed().__await__()

    async def __aenter__(self) -> Any:
        return (await self._claimed()).__enter__()

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._reservation._withdraw(kind)
        if kind is None:
            try:
                await self._when(self._reservation._commit)
            finally:
                # A wait that was cancelled sends nothing, and keeps no room.
                self._reservation._drop()
