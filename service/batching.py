"""Continuous batching: rows that arrive while a batch runs go together into the next one.

There is no timer: a lone request runs at once, and batches grow by themselves as soon as there is more
to do than the network can keep up with. One thread runs the network; the queue lives in the event loop.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.loading import LoadedVersion
from service.metrics import Metrics
from service.problems import DeadlinePassed, QueueFull

# Weight of the newest batch in the measured rate: about the last twenty batches count.
_RATE_WEIGHT = 0.05


@dataclass(frozen=True)
class Inference:
    """Probabilities float32 [n, 10] of one request, and how long its rows waited and ran, in seconds."""

    probabilities: NDArray[np.float32]
    queue_seconds: float
    run_seconds: float


class _Request:
    """The rows of one request: how many have been taken into batches, and the answers so far."""

    def __init__(self, version: LoadedVersion, pixels: NDArray[np.float32], deadline: float) -> None:
        self.version = version
        self.pixels = pixels
        self.deadline = deadline
        self.probabilities = np.empty((len(pixels), 10), np.float32)
        self.answered: asyncio.Future[Inference] = asyncio.get_running_loop().create_future()
        self.arrived = time.monotonic()
        self.queue_seconds = 0.0
        self.run_seconds = 0.0
        self.taken = 0
        self.finished = 0

    @property
    def waiting(self) -> int:
        """Rows that no batch has taken yet."""
        return len(self.pixels) - self.taken


@dataclass(frozen=True)
class _Slice:
    """Rows `start` to `stop` of a request, as part of a batch."""

    request: _Request
    start: int
    stop: int


class Batcher:
    """Runs the rows of concurrent requests together; use it as `async with batcher.running()`."""

    def __init__(self, metrics: Metrics, max_batch_size: int, queue_limit: int) -> None:
        self._metrics = metrics
        self._max_batch_size = max_batch_size
        self._queue_limit = queue_limit
        self._queue: deque[_Request] = deque()
        self._queued_rows = 0
        self._rows_per_second = 0.0
        self._running = False
        self._thread = ThreadPoolExecutor(1, "network")

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Batcher"]:
        """Run batches for as long as the context is open; what still waits then is cancelled."""
        try:
            yield self
        finally:
            for request in self._queue:
                request.answered.cancel()
            await asyncio.to_thread(self._thread.shutdown)

    async def infer(self, version: LoadedVersion, pixels: NDArray[np.float32], deadline: float) -> Inference:
        """Run the network of `version` on pixels float32 [n, 784].

        Args:
            version: Held until the answer is there, whatever the registry does meanwhile.
            pixels: Rows of the request; answered in their order.
            deadline: By the clock `time.monotonic`; rows still waiting then are dropped.

        Raises:
            QueueFull: The rows don't fit into the queue.
            DeadlinePassed: The deadline came before the answer.
        """
        self._admit(len(pixels))
        request = _Request(version, pixels, deadline)
        self._queue.append(request)
        self._dispatch()
        try:
            async with asyncio.timeout_at(asyncio.get_running_loop().time() + deadline - time.monotonic()):
                return await request.answered
        except TimeoutError:
            raise _deadline_passed() from None
        finally:
            self._release(request)

    def retry_after_seconds(self) -> float:
        """How long the rows that wait now will take at the measured rate."""
        return self._queued_rows / self._rows_per_second if self._rows_per_second else 1.0

    def _admit(self, rows: int) -> None:
        if self._queued_rows + rows > self._queue_limit:
            detail = f"{self._queued_rows} rows are waiting and at most {self._queue_limit} may; try again later."
            raise QueueFull(detail, retry_after_seconds=self.retry_after_seconds())
        self._count_queued(rows)

    def _release(self, request: _Request) -> None:
        """Forget the rows of a request that nobody waits for any more; without effect on an answered one."""
        self._count_queued(-request.waiting)
        request.taken = len(request.pixels)
        if not request.answered.cancel() and not request.answered.cancelled():
            request.answered.exception()  # looked at, so that asyncio does not report it as lost

    def _dispatch(self) -> None:
        """Start the next batch unless one runs."""
        if self._running:
            return
        batch = self._take_batch()
        if not batch:
            return
        self._running = True
        loop = asyncio.get_running_loop()
        running = loop.run_in_executor(self._thread, _run, batch)
        running.add_done_callback(lambda done: self._finish(batch, done))

    def _take_batch(self) -> list[_Slice]:
        """Take rows of one version from the front of the queue, up to the largest batch.

        A request of which rows remain goes to the back: others pass between the slices of a bulk request.
        """
        batch: list[_Slice] = []
        free = self._max_batch_size
        for request in self._waiting_requests():
            if batch and request.version is not batch[0].request.version:
                break
            self._queue.popleft()
            rows = min(free, request.waiting)
            batch.append(_Slice(request, request.taken, request.taken + rows))
            self._note_taken(request, rows)
            free -= rows
            if request.waiting:
                self._queue.append(request)
            if not free:
                break
        return batch

    def _waiting_requests(self) -> Iterator[_Request]:
        """The front of the queue, again and again; requests that are answered or too late are dropped."""
        while self._queue:
            request = self._queue[0]
            if request.answered.done():
                self._queue.popleft()
            elif time.monotonic() >= request.deadline:
                self._queue.popleft()
                request.answered.set_exception(_deadline_passed())
            else:
                yield request

    def _note_taken(self, request: _Request, rows: int) -> None:
        if request.taken == 0:
            request.queue_seconds = time.monotonic() - request.arrived
            self._metrics.queue_wait.observe(request.queue_seconds)
        request.taken += rows
        self._count_queued(-rows)

    def _finish(self, batch: list[_Slice], done: asyncio.Future[tuple[NDArray[np.float32], float]]) -> None:
        """Hand each request its rows, and start the next batch."""
        self._running = False
        error = None if done.cancelled() else done.exception()
        if error is not None:
            _fail(batch, error)
        elif not done.cancelled():
            self._deliver(batch, *done.result())
        self._dispatch()

    def _deliver(self, batch: list[_Slice], probabilities: NDArray[np.float32], seconds: float) -> None:
        self._measure(len(probabilities), seconds)
        at = 0
        for part in batch:
            rows = part.stop - part.start
            request = part.request
            request.probabilities[part.start : part.stop] = probabilities[at : at + rows]
            request.finished += rows
            request.run_seconds += seconds
            at += rows
            if request.finished == len(request.pixels) and not request.answered.done():
                answer = Inference(request.probabilities, request.queue_seconds, request.run_seconds)
                request.answered.set_result(answer)

    def _measure(self, rows: int, seconds: float) -> None:
        self._metrics.batch_rows.observe(rows)
        self._metrics.inference_duration.observe(seconds)
        rate = rows / max(seconds, 1e-6)
        weight = _RATE_WEIGHT if self._rows_per_second else 1.0
        self._rows_per_second += weight * (rate - self._rows_per_second)

    def _count_queued(self, rows: int) -> None:
        self._queued_rows += rows
        self._metrics.queue_rows.set(self._queued_rows)


def _run(batch: list[_Slice]) -> tuple[NDArray[np.float32], float]:
    """Run one batch in the network's thread; returns probabilities float32 [n, 10] and the seconds it took."""
    parts = [part.request.pixels[part.start : part.stop] for part in batch]
    pixels = parts[0] if len(parts) == 1 else np.concatenate(parts)
    started = time.perf_counter()
    probabilities = batch[0].request.version.engine.run(pixels)
    return probabilities, time.perf_counter() - started


def _fail(batch: list[_Slice], error: BaseException) -> None:
    for part in batch:
        if not part.request.answered.done():
            part.request.answered.set_exception(error)


def _deadline_passed() -> DeadlinePassed:
    return DeadlinePassed("The deadline passed before the answer was there; send fewer rows or allow more time.")
