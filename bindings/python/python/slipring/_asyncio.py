"""Receiving with asyncio: a task sleeps until the package's watching thread tells its loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from .errors import Closed

if TYPE_CHECKING:
    from ._native import Consumer, Frame


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


async def recv(consumer: Consumer) -> Frame:
    """The next frame. Other tasks and threads may be after it too: then the next one after that."""
    while (frame := consumer.try_recv()) is None:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()

        def tell(loop: asyncio.AbstractEventLoop = loop, future: asyncio.Future[None] = future) -> None:
            try:
                loop.call_soon_threadsafe(_wake, future)
            except RuntimeError:
                # The loop was closed meanwhile, and with it went whoever waited.
                pass

        watch = consumer._watch(tell)
        try:
            await future
        except BaseException:
            watch.cancel()
            raise
    return frame


async def following(consumer: Consumer) -> Frame:
    """As :func:`recv`, for ``async for``."""
    try:
        return await recv(consumer)
    except Closed:
        raise StopAsyncIteration from None
