"""Sending and receiving with asyncio: a task sleeps until the package's watching thread tells its loop."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from .errors import Closed, Empty, Full, Unacknowledged

if TYPE_CHECKING:
    from ._native import Consumer, Frame, Producer


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
    frames = [await recv(consumer)]
    # What ends the batch early is told by the next call, if it is still so.
    with contextlib.suppress(Empty, Closed, Unacknowledged):
        frames += consumer.recv_many(n - 1, 0)
    return frames


async def following(consumer: Consumer) -> Frame:
    """As :func:`recv`, for ``async for``."""
    try:
        return await recv(consumer)
    except Closed:
        raise StopAsyncIteration from None


async def send(producer: Producer, obj: Any, meta: dict[str, Any] | None) -> None:
    """Sends as soon as there is room."""
    news = None
    while True:
        try:
            producer.send(obj, meta=meta, timeout=0)
        except Full:
            if news is None:
                # What is freed before this is not told of: try once more before waiting for it.
                news = News(producer)
            else:
                await news.wait()
                news = None
        except BaseException:
            if news is not None:
                news.cancel()
            raise
        else:
            if news is not None:
                news.cancel()
            return
