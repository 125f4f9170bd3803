"""Reading from a model store that may never answer: a network mount that stalls blocks its readers for ever.

So every read has a deadline, and runs in a thread that does not keep the process from ending. Only a few threads can
hang at once, and only one for each thing that is read.
"""

import asyncio
import contextlib
import errno
import os
import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any, NamedTuple, TypeVar

Result = TypeVar("Result")


class _Running(NamedTuple):
    result: "Future[Any]"
    began_seconds: float


class Reads:
    """Runs reads in threads; one that still waits for the store after its deadline keeps its place."""

    def __init__(self, most: int) -> None:
        """Make it; nothing runs yet.

        Args:
            most: How many reads may run at once. A further one waits for a place while its deadline runs.
        """
        self._places = asyncio.Semaphore(most)
        self._running: dict[Hashable, _Running] = {}

    async def run(self, what: Hashable, read: Callable[[], Result], timeout_seconds: float) -> Result:
        """Call `read` in a thread and return what it returns; if `what` is being read already, wait for that instead.

        The deadline counts from when the read began: a later caller that joins a hanging read times out at once.

        Raises:
            TimeoutError: The read was not done in time, or others kept all places until then.
            OSError: No thread can be started; or what `read` raised.
        """
        async with asyncio.timeout(timeout_seconds) as deadline:
            running = self._running.get(what) or await self._begin(what, read)
            latest = deadline.when() or 0.0
            deadline.reschedule(min(latest, running.began_seconds + timeout_seconds))
            result: Result = await asyncio.wrap_future(running.result)
            return result

    async def _begin(self, what: Hashable, read: Callable[[], Result]) -> _Running:
        await self._places.acquire()
        if what in self._running:  # another caller began it meanwhile
            self._places.release()
        else:
            self._running[what] = _Running(self._start(what, read), asyncio.get_running_loop().time())
        return self._running[what]

    def _start(self, what: Hashable, read: Callable[[], Result]) -> "Future[Result]":
        running = Future[Result]()
        running.set_running_or_notify_cancel()  # giving up does not free the place before the thread is done
        loop = asyncio.get_running_loop()

        def leave(_: "Future[Result]") -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: the service has ended meanwhile
                loop.call_soon_threadsafe(self._leave, what)

        running.add_done_callback(leave)
        try:
            # Not an executor's thread: Python waits for those at exit.
            threading.Thread(target=_call, args=(read, running), name="read", daemon=True).start()
        except RuntimeError:
            running.set_exception(OSError(errno.EAGAIN, os.strerror(errno.EAGAIN)))
        return running

    def _leave(self, what: Hashable) -> None:
        del self._running[what]
        self._places.release()


def _call(read: Callable[[], Result], running: "Future[Result]") -> None:
    try:
        running.set_result(read())
    except BaseException as error:  # noqa: BLE001 - it is raised again where the result is awaited
        running.set_exception(error)
