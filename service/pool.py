"""A bounded pool of threads, for work that would hold up the event loop: decoding pictures, reading large JSON."""

import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from service.problems import QueueFull

Result = TypeVar("Result")

# Of 19. Enough that the event loop's thread gets a core at once when it has something to do.
_NICENESS = 5


def background_threads(count: int, name: str) -> ThreadPoolExecutor:
    """Make threads that give way to the event loop's, wherever the system can tell threads apart."""
    return ThreadPoolExecutor(count, name, initializer=_give_way)


def _give_way() -> None:
    with contextlib.suppress(OSError, AttributeError):  # only Linux gives a thread a niceness of its own
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)


class Pool:
    """Some threads, and a bound on what may wait for them."""

    def __init__(self, limit: int, threads: int = 1) -> None:
        """Make a pool of so many threads in which at most `limit` calls may wait or run."""
        self._limit = limit
        self._pending = 0
        self._threads = background_threads(threads, "decode")

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Pool"]:
        """Keep the threads for as long as the context is open."""
        try:
            yield self
        finally:
            await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)

    async def run(self, work: Callable[[], Result]) -> Result:
        """Call `work` in a thread and return what it returns.

        Raises:
            QueueFull: Too many calls wait already.
        """
        if self._pending >= self._limit:
            detail = f"{self._pending} pictures or bodies are being read, the most that may; try again later."
            raise QueueFull(detail, retry_after_seconds=1)
        self._pending += 1
        loop = asyncio.get_running_loop()
        running = self._threads.submit(work)
        # Counted until the thread is really done: a caller that gives up does not free it.
        running.add_done_callback(lambda _: loop.call_soon_threadsafe(self._forget))
        return await asyncio.wrap_future(running)

    def _forget(self) -> None:
        self._pending -= 1
