"""Continuous batching: rows that arrive while a batch runs go together into the next one.

There is no timer: a lone request runs at once, and batches grow by themselves as soon as there is more
to do than the network can keep up with. Requests with few rows run in the event loop's own thread, those of
one turn of the loop together. Bulk runs in threads, in slices; few rows have their turn between the slices.
`row_queue` decides which rows may wait, and which run next.
"""

import asyncio
import contextlib
import functools
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from service.inference import Inference, InferenceRequest, Slice, inference_of
from service.pool import background_threads
from service.problems import client_gone
from service.row_queue import RowQueue
from service.telemetry.metrics import Metrics
from service.versions.loading import LoadedVersion

if TYPE_CHECKING:
    from service.telemetry.tracing import RequestTrace, Tracing

# How long a caller with few rows watches neither its deadline nor its client: watching takes 30 us, a third of a
# request under load, and the deadline is checked anyway before the rows run. Five turns of 16 rows take about as long.
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
            longest_wait_seconds: More rows than a batch are refused if they would wait longer, at the measured rate.

        Raises:
            RuntimeError: The threads cannot be started.
        """
        self._metrics = metrics
        self._tracing = tracing
        self._queue = RowQueue(metrics, max_batch_size, queue_limit, longest_wait_seconds)
        self._unwatched: deque[InferenceRequest] = deque()
        self._turn_is_due = False
        self._bulk_running = 0
        self._bulk_threads = threads
        self._threads = background_threads(threads, "network")

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Batcher"]:
        """Run batches for as long as the context is open; requests that still wait at its end are cancelled."""
        try:
            yield self
        finally:
            self._queue.cancel()
            await asyncio.to_thread(self._threads.shutdown)

    async def infer(
        self,
        version: LoadedVersion,
        pixels: NDArray[np.float32],
        deadline: float,
        leaves: Leaves = stays,
        trace: "RequestTrace | None" = None,
        *,
        is_alone: bool = False,
    ) -> Inference:
        """Run the network of `version` on pixels float32 [n, 784].

        Args:
            version: Held until the answer is there, whatever the registry does meanwhile.
            pixels: Rows of the request; answered in their order.
            deadline: By the clock `time.monotonic`; rows still waiting then are dropped.
            leaves: Returns when the caller is gone; rows still waiting then are dropped.
            trace: The request's trace, if it is traced.
            is_alone: No other request was being answered when this one began.

        Raises:
            QueueFull: The rows don't fit into the queue, or would wait for too long.
            TimeoutError: The deadline came before the answer.
            ClientGone: The caller left before the answer.
        """
        self._queue.check_room(len(pixels), self._bulk_running)
        # A traced request goes through the queue, so that its trace shows it.
        if is_alone and trace is None and self._queue.is_empty and self._queue.are_few(len(pixels), version):
            return self._infer_at_once(version, pixels, deadline)
        request = InferenceRequest(version, pixels, deadline, trace)
        is_few = self._queue.add(request)
        if is_few:
            self._unwatched.append(request)
        self._take_turn_soon()
        try:
            # Few rows are mostly answered within this turn. If not, `wake` gives None, and the caller watches.
            at_once = await request.answered if is_few else None
            return at_once or await self._wait(request, leaves)
        finally:
            self._queue.release(request)
            request.close()

    def _infer_at_once(self, version: LoadedVersion, pixels: NDArray[np.float32], deadline: float) -> Inference:
        """Run few rows without the queue, which takes a tenth of a lone request's time for an unshared batch."""
        started = time.monotonic()
        if started >= deadline:
            raise TimeoutError
        self._metrics.queue_wait.observe(0.0)
        outputs = version.engine.run(pixels)
        seconds = time.monotonic() - started
        self._note_run(len(pixels), seconds)
        return inference_of(version, outputs, 0.0, seconds)

    def check_room(self, rows: int) -> None:
        """Check that this many rows would be accepted, before any work is done for them.

        Raises:
            QueueFull: They don't fit into the queue, or are more than a batch and would wait for too long.
        """
        self._queue.check_room(rows, self._bulk_running)

    async def _wait(self, request: InferenceRequest, leaves: Leaves) -> Inference:
        """Wait for an answer that is not there yet, but not for longer than the caller does."""
        leaving = asyncio.ensure_future(leaves())
        seconds = max(0.0, request.deadline - time.monotonic())
        try:
            await asyncio.wait((request.answered, leaving), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
        if request.answered.done() and (inference := request.answered.result()):  # None is what `wake` gave
            return inference
        if leaving.done():
            raise client_gone()
        raise TimeoutError

    def _take_turn_soon(self) -> None:
        """Run the rows that have gathered when this turn of the loop is over."""
        if not self._turn_is_due:
            self._turn_is_due = True
            asyncio.get_running_loop().call_soon(self._take_turn)

    def _take_turn(self) -> None:
        self._turn_is_due = False
        self._start_bulk()
        batch = self._queue.take_few()
        if batch:
            self._finish(batch, *_attempt(batch))
        if self._queue.has_few:
            self._take_turn_soon()
        self._wake_late_callers()

    def _wake_late_callers(self) -> None:
        """Make callers whose few rows have waited for a while start watching; forget those that are answered."""
        before = time.monotonic() - _UNWATCHED_SECONDS if self._queue.has_few else math.inf
        while self._unwatched and self._unwatched[0].arrived < before:
            self._unwatched.popleft().wake()

    def _start_bulk(self) -> None:
        """Start batches of bulk while a thread is free."""
        while self._bulk_running < self._bulk_threads:
            batch = self._queue.take_bulk()
            if not batch:
                return
            self._bulk_running += 1
            running = asyncio.get_running_loop().run_in_executor(self._threads, _attempt, batch)
            running.add_done_callback(functools.partial(self._finish_bulk, batch))

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
        self._note_run(len(outcome), seconds)
        at = 0
        for part in batch:
            rows = part.stop - part.start
            part.request.run_seconds += seconds
            part.request.receive(part.start, outcome[at : at + rows])
            part.request.answer()
            at += rows

    def _note_run(self, rows: int, seconds: float) -> None:
        self._metrics.batch_rows.observe(rows)
        self._metrics.inference_duration.observe(seconds)
        self._queue.measure(rows, seconds)


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
