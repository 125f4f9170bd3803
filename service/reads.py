"""Reading from a model store that may never answer: a network mount that stalls keeps whoever reads from it for ever.

So every read has a deadline, few threads can be kept at once, and they hold up no exit.
"""

import asyncio
import contextlib
import errno
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

Result = TypeVar("Result")


class Reads:
    """Runs reads in threads; those that still wait for the store after their deadline take a place each."""

    def __init__(self, most: int) -> None:
        """Make it; nothing runs yet.

        Args:
            most: How many may run at once. A further one waits, and its deadline runs.
        """
        self._places = asyncio.Semaphore(most)

    async def run(self, read: Callable[[], Result], timeout_seconds: float) -> Result:
        """Call `read` in a thread and return what it returns.

        Raises:
            TimeoutError: It was not done in time, or others kept all places until then.
            OSError: No thread can be had; or what `read` raised.
        """
        async with asyncio.timeout(timeout_seconds):
            await self._places.acquire()
            return await asyncio.wrap_future(self._start(read))

    def _start(self, read: Callable[[], Result]) -> "Future[Result]":
        running = Future[Result]()
        running.set_running_or_notify_cancel()  # who gives up does not get its place back before the thread is done
        loop = asyncio.get_running_loop()

        def leave(_: "Future[Result]") -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: the service has ended meanwhile
                loop.call_soon_threadsafe(self._places.release)

        running.add_done_callback(leave)
        try:
            # Not an executor's: Python waits for those when it ends.
            threading.Thread(target=_call, args=(read, running), name="read", daemon=True).start()
        except RuntimeError:
            running.set_exception(OSError(errno.EAGAIN, os.strerror(errno.EAGAIN)))
        return running


def _call(read: Callable[[], Result], running: "Future[Result]") -> None:
    try:
        running.set_result(read())
    except BaseException as error:  # noqa: BLE001 - it is raised again where the result is awaited
        running.set_exception(error)
