"""Work that goes on beside the requests, as long as the application runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Protocol, TypeVar

from aiohttp import web


class Work(Protocol):
    """What is taken up when the application starts, and left when it stops."""

    async def load(self) -> None:
        """Read what the process before has left."""

    async def work(self) -> None:
        """Work until it is cancelled."""

    def close(self) -> None:
        """Give back what it holds."""


W = TypeVar("W", bound=Work)


def working(key: web.AppKey[W], name: str) -> Callable[[web.Application], AsyncIterator[None]]:
    """Return the entry for ``app.cleanup_ctx`` that does the work that the application has under ``key``."""

    async def run(app: web.Application) -> AsyncIterator[None]:
        work = app[key]
        await work.load()
        task = asyncio.create_task(work.work(), name=name)
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        work.close()

    return run
