"""Continuous batching: rows that arrive while a batch runs go together into the next one.

There is no timer: a lone request runs at once, and batches grow by themselves as soon as there is more
to do than the network can keep up with. A few rows run in the event loop's own thread, those of one turn
of the loop together; bulk runs in threads, in slices, between which the few have their turn.
"""

import asyncio
import contextlib
import functools
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from service.inference import Inference, InferenceRequest, Slice
from service.loading import LoadedVersion
from service.metrics import Metrics
from service.pool import background_threads
from service.problems import DeadlinePassed, QueueFull, client_gone

if TYPE_CHECKING:
    from service.tracing import RequestTrace, Tracing

# Weight of the newest batch in the measured rate: about the last twenty batches count.
_RATE_WEIGHT = 0.05

# A few rows that wait for no longer are not watched: to watch takes 30 us, a third of a request under load, and the
# deadline is looked at anyway before they run. Five turns of 16 rows take about so long.
_UNWATCHED_SECONDS = 0.01

Leaves = Callable[[], Awaitable[None]]
"""Returns when the caller is gone; awaited only if rows have to wait for a thread, or for more than a moment."""


async def stays() -> None:
    """A caller that never leaves."""
    await asyncio.get_running_loop().create_future()


class Batcher:
    """Runs the rows of concurrent requests together; use it as `async with batcher.running()`."""

    def __init__(
        self,
        metrics: Metrics,
        max_batch_size: int,
        queue_limit: int,
        threads: int = 1,
        tracing: "Tracing | None" = None,
        longest_wait_seconds: float = math.inf,
    ) -> None:
        """Make a batcher, and start its threads.

        Args:
            metrics: Where batches are counted.
            max_batch_size: Most rows that run at once.
            queue_limit: Most rows that may wait.
            threads: How many batches of bulk may run at once.
            tracing: Where batches are traced, if anywhere.
            longest_wait_seconds: More rows than a batch that would wait for longer, at the measured rate, are refused.

        Raises:
            RuntimeError: There are no threads to be had.
        """
        self._metrics = metrics
        self._tracing = tracing
        self._max_batch_size = max_batch_size
        self._queue_limit = queue_limit
        self._longest_wait_seconds = longest_wait_seconds
        self._unwatched: deque[InferenceRequest] = deque()
        self._few: deque[InferenceRequest] = deque()
        self._bulk: deque[InferenceRequest] = deque()
        self._queued_rows = 0
        self._seconds_per_row = 0.0
        self._turn_is_due = False
        self._bulk_running = 0
        self._bulk_threads = threads
        self._threads = background_threads(threads, "network")

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Batcher"]:
        """Run batches for as long as the context is open; what still waits then is cancelled."""
        try:
            yield self
        finally:
            for request in (*self._few, *self._bulk):
                request.answered.cancel()
            await asyncio.to_thread(self._threads.shutdown)

    async def infer(
        self,
        version: LoadedVersion,
        pixels: NDArray[np.float32],
        deadline: float,
        leaves: Leaves = stays,
        trace: "RequestTrace | None" = None,
    ) -> Inference:
        """Run the network of `version` on pixels float32 [n, 784].

        Args:
            version: Held until the answer is there, whatever the registry does meanwhile.
            pixels: Rows of the request; answered in their order.
            deadline: By the clock `time.monotonic`; rows still waiting then are dropped.
            leaves: Returns when the caller is gone; rows still waiting then are dropped.
            trace: Of the request, if it is traced.

        Raises:
            QueueFull: The rows don't fit into the queue, or would wait for too long.
            DeadlinePassed: The deadline came before the answer.
            ClientGone: The caller left before the answer.
        """
        request = InferenceRequest(version, pixels, deadline, trace)
        is_few = self._admit(request)
        try:
            at_once = await request.answered if is_few else None
            return at_once or await self._wait(request, leaves)
        finally:
            self._release(request)

    def check_room(self, rows: int) -> None:
        """Find out whether so many rows would be taken, before anything is done for them.

        Raises:
            QueueFull: They don't fit into the queue, or are more than a batch and would wait for too long.
        """
        if self._queued_rows + rows > self._queue_limit:
            detail = f"{self._queued_rows} rows are waiting and at most {self._queue_limit} may; try again later."
            raise QueueFull(detail, retry_after_seconds=self.retry_after_seconds())
        if rows <= self._max_batch_size or not self._queued_rows:
            return
        wait_seconds = self.retry_after_seconds()
        if wait_seconds > self._longest_wait_seconds:
            detail = (
                f"Rows wait {wait_seconds:.3g} seconds for the network, and may wait {self._longest_wait_seconds:.3g}; "
                "send fewer at once or try again later."
            )
            raise QueueFull(detail, retry_after_seconds=wait_seconds)

    def retry_after_seconds(self) -> float:
        """How long the rows that wait now will take at the measured rate of all batches that run at once."""
        return self._queued_rows * self._seconds_per_row / max(1, self._bulk_running) or 1.0

    def _admit(self, request: InferenceRequest) -> bool:
        """Put the rows into a queue; tells whether they are few."""
        rows = request.waiting
        self.check_room(rows)
        self._count_queued(rows)
        is_few = rows <= min(request.version.engine.inline_rows, self._max_batch_size)
        if is_few:
            self._few.append(request)
            self._unwatched.append(request)
        else:
            self._bulk.append(request)
        self._take_turn_soon()
        return is_few

    async def _wait(self, request: InferenceRequest, leaves: Leaves) -> Inference:
        """Wait for an answer that is not there yet, but not for longer than the caller does."""
        leaving = asyncio.ensure_future(leaves())
        seconds = max(0.0, request.deadline - time.monotonic())
        try:
            await asyncio.wait((request.answered, leaving), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
        if request.answered.done() and (inference := request.answered.result()):  # None only tells to come here
            return inference
        if leaving.done():
            raise client_gone()
        raise _deadline_passed()

    def _release(self, request: InferenceRequest) -> None:
        """Forget the rows of a request that nobody waits for any more; without effect on an answered one."""
        if request.waiting:
            self._count_queued(-request.waiting)
            request.taken = len(request.pixels)
        if not request.answered.cancel() and not request.answered.cancelled():
            request.answered.exception()  # looked at, so that asyncio does not report it as lost

    def _take_turn_soon(self) -> None:
        """Run what has come together when this turn of the loop is over."""
        if not self._turn_is_due:
            self._turn_is_due = True
            asyncio.get_running_loop().call_soon(self._take_turn)

    def _take_turn(self) -> None:
        self._turn_is_due = False
        self._start_bulk()
        batch = self._take_batch(self._few)
        if batch:
            self._finish(batch, *_attempt(batch))
        if self._few:
            self._take_turn_soon()
        self._let_the_late_watch()

    def _let_the_late_watch(self) -> None:
        """Tell callers that have waited for a while with few rows to watch their deadline; forget those answered."""
        before = time.monotonic() - _UNWATCHED_SECONDS if self._few else math.inf
        while self._unwatched and self._unwatched[0].arrived < before:
            _tell_to_wait(self._unwatched.popleft())

    def _start_bulk(self) -> None:
        """Start batches of bulk as long as there is a thread free for one."""
        while self._bulk_running < self._bulk_threads:
            batch = self._take_batch(self._bulk)
            if not batch:
                return
            self._bulk_running += 1
            running = asyncio.get_running_loop().run_in_executor(self._threads, _attempt, batch)
            running.add_done_callback(functools.partial(self._finish_bulk, batch))

    def _take_batch(self, queue: deque[InferenceRequest]) -> list[Slice]:
        """Take rows of one version from the front of a queue, up to the largest batch.

        A request of which rows remain goes to the back: others pass between the slices of a bulk request.
        """
        batch: list[Slice] = []
        free = self._max_batch_size
        for request in self._waiting_requests(queue):
            if batch and request.version is not batch[0].request.version:
                break
            if not batch:
                free = min(free, request.version.engine.inline_rows) if queue is self._few else free
            queue.popleft()
            rows = min(free, request.waiting)
            batch.append(Slice(request, request.taken, request.taken + rows))
            self._note_taken(request, rows)
            free -= rows
            if request.waiting:
                queue.append(request)
            if not free:
                break
        return batch

    def _waiting_requests(self, queue: deque[InferenceRequest]) -> Iterator[InferenceRequest]:
        """The front of a queue, again and again; requests that are answered or too late are dropped."""
        while queue:
            request = queue[0]
            if not request.waiting:
                queue.popleft()
            elif time.monotonic() >= request.deadline:
                queue.popleft()
                request.fail(_deadline_passed())
            else:
                yield request

    def _note_taken(self, request: InferenceRequest, rows: int) -> None:
        if request.taken == 0:
            request.queue_seconds = time.monotonic() - request.arrived
            self._metrics.queue_wait.observe(request.queue_seconds)
            if request.trace is not None:
                request.trace.add("queue", request.queue_seconds)
        request.taken += rows
        self._count_queued(-rows)

    def _finish_bulk(self, batch: list[Slice], done: "asyncio.Future[_Outcome]") -> None:
        """Hand each request its rows, and start the next batch."""
        self._bulk_running -= 1
        if not done.cancelled():
            self._finish(batch, *done.result())
        self._start_bulk()

    def _finish(self, batch: list[Slice], outcome: NDArray[np.float32] | Exception, seconds: float) -> None:
        if self._tracing is not None:
            _trace(self._tracing, batch, seconds, failed=isinstance(outcome, Exception))
        if isinstance(outcome, Exception):
            for part in batch:
                part.request.fail(outcome)
            return
        self._measure(len(outcome), seconds)
        at = 0
        for part in batch:
            rows = part.stop - part.start
            part.request.run_seconds += seconds
            part.request.receive(part.start, outcome[at : at + rows])
            part.request.answer()
            at += rows

    def _measure(self, rows: int, seconds: float) -> None:
        self._metrics.batch_rows.observe(rows)
        self._metrics.inference_duration.observe(seconds)
        took = seconds / rows
        weight = _RATE_WEIGHT if self._seconds_per_row else 1.0
        self._seconds_per_row += weight * (took - self._seconds_per_row)

    def _count_queued(self, rows: int) -> None:
        self._queued_rows += rows
        self._metrics.queue_rows.set(self._queued_rows)


_Outcome = tuple[NDArray[np.float32] | Exception, float]


def _attempt(batch: list[Slice]) -> _Outcome:
    """Run one batch in the calling thread; returns outputs float32 [n, 10 or 11], or the error, and the seconds."""
    started = time.perf_counter()
    try:
        parts = [part.request.pixels[part.start : part.stop] for part in batch]
        pixels = parts[0] if len(parts) == 1 else np.concatenate(parts)
        started = time.perf_counter()
        outcome: NDArray[np.float32] | Exception = batch[0].request.version.engine.run(pixels)
    except Exception as error:  # noqa: BLE001 - whatever the engine raises is its callers', not the loop's
        outcome = error
    return outcome, time.perf_counter() - started


def _trace(tracing: "Tracing", batch: list[Slice], seconds: float, *, failed: bool) -> None:
    rows = sum(part.stop - part.start for part in batch)
    tracing.ran([part.request.trace for part in batch], rows, batch[0].request.version.number, seconds, failed=failed)


def _tell_to_wait(request: InferenceRequest) -> None:
    """Let the caller know that its rows have to wait, so that it watches its deadline."""
    if not request.answered.done():
        waited, request.answered = request.answered, asyncio.get_running_loop().create_future()
        waited.set_result(None)


def _deadline_passed() -> DeadlinePassed:
    return DeadlinePassed("The deadline passed before the answer was there; send fewer rows or allow more time.")
