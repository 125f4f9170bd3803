"""A bounded pool of threads, for work that would hold up the event loop: decoding pictures, reading large JSON."""

import asyncio
import contextlib
import functools
import math
import os
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

from service.average import RunningAverage
from service.bodies.holding import HeldBody
from service.problems import QueueFull
from service.telemetry.metrics import Metrics

Result = TypeVar("Result")

# Out of 19; enough that the event loop's thread gets a core at once when it has something to do.
_NICENESS = 5
# How long a call is assumed to take before one has been measured: cleaning up a picture takes 1 to 5 ms.
_FIRST_GUESS_SECONDS = 0.005
# Weight of the newest call in the measured rate: about the last twenty count.
_RATE_WEIGHT = 0.05

Clock = Callable[[], float]


def background_threads(count: int, name: str) -> ThreadPoolExecutor:
    """Start threads that give way to the event loop's, wherever the system can tell threads apart.

    All start now: an executor that cannot start one when work comes raises, yet keeps the work, which nobody awaits.

    Raises:
        RuntimeError: The machine has no thread left.
    """
    threads = ThreadPoolExecutor(count, name, initializer=_give_way)
    all_asked_for = threading.Event()
    try:
        for _ in range(count):
            threads.submit(all_asked_for.wait)  # a waiting thread is not idle, so the next one is started
    finally:
        all_asked_for.set()
    return threads


def _give_way() -> None:
    with contextlib.suppress(OSError, AttributeError):  # only Linux gives a thread a niceness of its own
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)


class Pool:
    """Some threads, and bounds on how many calls may wait for them and for how long."""

    def __init__(
        self,
        limit: int,
        threads: int = 1,
        longest_wait_seconds: float = math.inf,
        metrics: Metrics | None = None,
        clock: Clock = time.perf_counter,
    ) -> None:
        """Make a pool, and start its threads.

        Args:
            limit: Most calls that may wait or run.
            threads: How many may run at once.
            longest_wait_seconds: A call that would wait for longer, at the measured rate, is refused at once.
            metrics: Told how many calls there are, and how long each waited; by default nobody is.
            clock: Gives seconds.

        Raises:
            RuntimeError: No threads are available.
        """
        self._limit = limit
        self._longest_wait_seconds = longest_wait_seconds
        self._metrics = metrics or Metrics()
        self._clock = clock
        self._pending = 0
        self._seconds_per_call = RunningAverage(_RATE_WEIGHT)
        self._thread_count = threads
        self._threads = background_threads(threads, "decode")

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Pool"]:
        """Keep the threads for as long as the context is open."""
        try:
            yield self
        finally:
            await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)

    async def run(
        self, work: Callable[[], Result], held: HeldBody | None = None, *, is_admitted: bool = False
    ) -> Result:
        """Call `work` in a thread and return what it returns.

        Args:
            work: What to call.
            held: The body that the work needs, held until the thread is done or the call is cancelled before it begins.
            is_admitted: The call continues work that was admitted already, and so is not refused.

        Raises:
            QueueFull: Too many calls wait or run already, or this one would wait for too long.
        """
        if not is_admitted:
            self.check_room()
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[Result] = loop.create_future()
        call = _Call(work, self._clock)
        running = self._threads.submit(call.make)
        self._pending += 1
        self._metrics.decodings_in_progress.inc()
        if held:
            held.use()
        # Counted until the thread is really done: a caller that gives up does not free it.
        running.add_done_callback(functools.partial(self._over, call, answered, held, loop))
        try:
            return await answered
        finally:
            running.cancel()  # if no thread has begun it: nobody waits for it any more
            del running, answered  # both hold the call's exception, which holds this frame: no reference cycle

    def check_room(self) -> None:
        """Check whether a call would be admitted, before anything is done for it.

        Raises:
            QueueFull: It would not.
        """
        calls_before = max(0, self._pending - self._thread_count + 1)  # that have to end before this one begins
        wait_seconds = calls_before * (self._seconds_per_call.value or _FIRST_GUESS_SECONDS) / self._thread_count
        if self._pending >= self._limit:
            detail = f"{self._pending} pictures or bodies are being read, the most allowed at once; try again later."
            raise QueueFull(detail, retry_after_seconds=wait_seconds)
        if calls_before > 1 and wait_seconds > self._longest_wait_seconds:  # one may wait, however long a call takes
            detail = (
                f"Pictures and bodies wait {wait_seconds:.3g} seconds to be read, "
                f"and may wait {self._longest_wait_seconds:.3g}; try again later."
            )
            raise QueueFull(detail, retry_after_seconds=wait_seconds)

    def _over(
        self,
        call: "_Call[Result]",
        answered: asyncio.Future[Result],
        held: HeldBody | None,
        loop: asyncio.AbstractEventLoop,
        done: Future[Result],
    ) -> None:
        """Hand a call's outcome to the event loop, from any thread."""
        call.forget()
        # One call for all that is to be done there: waking up the event loop costs both threads a switch.
        loop.call_soon_threadsafe(self._end, call, answered, held, done)

    def _end(
        self, call: "_Call[Result]", answered: asyncio.Future[Result], held: HeldBody | None, done: Future[Result]
    ) -> None:
        self._pending -= 1
        self._metrics.decodings_in_progress.inc(-1)
        if held:
            held.let_go()
        if done.cancelled():
            return
        self._metrics.decoding_wait.observe(call.wait_seconds)
        self._seconds_per_call.add(call.seconds)
        if answered.done():  # its caller has given up
            return
        error = done.exception()
        if error:
            answered.set_exception(error)
        else:
            answered.set_result(done.result())


class _Call(Generic[Result]):
    """Work for a thread, and how long it has waited and taken."""

    def __init__(self, work: Callable[[], Result], clock: Clock) -> None:
        self._work = [work]
        self._clock = clock
        self._submitted = clock()
        self.wait_seconds = self.seconds = 0.0

    def make(self) -> Result:
        """Do the work, in the calling thread."""
        work = self._work.pop()
        started = self._clock()
        self.wait_seconds = started - self._submitted
        try:
            return work()
        finally:
            self.seconds = self._clock() - started

    def forget(self) -> None:
        """Drop work that was given up: the executor keeps the cancelled call until a thread reaches it."""
        self._work.clear()
