"""The rows that wait for the network: how many may, for how long, and which of them go into the next batch.

`batching` decides when a batch runs, and in which thread.
"""

import time
from collections import deque
from collections.abc import Iterator

from service.average import RunningAverage
from service.inference import InferenceRequest, Slice
from service.problems import QueueFull
from service.telemetry.metrics import Metrics
from service.versions.loading import LoadedVersion

# Weight of the newest batch in the measured rate: about the last two hundred count. Of bulk that is half a second,
# nearly as long as the waits predicted from it; a moment in which the network has a third of a core, because bodies
# arrive, says little.
_RATE_WEIGHT = 0.005


class RowQueue:
    """Two queues of requests: those with few rows, which run in the event loop, and bulk, which runs in threads."""

    def __init__(self, metrics: Metrics, max_batch_size: int, limit_rows: int, longest_wait_seconds: float) -> None:
        """Make it empty.

        Args:
            metrics: Told how many rows wait, and how long each request's rows waited.
            max_batch_size: Largest number of rows in a batch.
            limit_rows: Most rows that may wait.
            longest_wait_seconds: More rows than a batch are refused if they would wait longer, at the measured rate.
        """
        self._metrics = metrics
        self._max_batch_size = max_batch_size
        self._limit_rows = limit_rows
        self._longest_wait_seconds = longest_wait_seconds
        self._few: deque[InferenceRequest] = deque()
        self._bulk: deque[InferenceRequest] = deque()
        self._rows = 0
        self._seconds_per_row = RunningAverage(_RATE_WEIGHT)

    @property
    def is_empty(self) -> bool:
        """Whether no row waits."""
        return not self._rows

    @property
    def has_few(self) -> bool:
        """Whether requests with few rows wait, or waited until they were given up."""
        return bool(self._few)

    def check_room(self, rows: int, batches_at_once: int) -> None:
        """Check that `rows` more rows may wait, while `batches_at_once` batches run.

        Raises:
            QueueFull: They don't fit, or are more than a batch and would wait for too long.
        """
        if self._rows + rows > self._limit_rows:
            detail = f"{self._rows} rows are waiting and at most {self._limit_rows} may; try again later."
            raise QueueFull(detail, retry_after_seconds=self.wait_seconds(batches_at_once))
        if rows <= self._max_batch_size or not self._rows:
            return
        wait_seconds = self.wait_seconds(batches_at_once)
        if wait_seconds > self._longest_wait_seconds:
            detail = (
                f"Rows wait {wait_seconds:.3g} seconds for the network, and may wait {self._longest_wait_seconds:.3g}; "
                "send fewer at once or try again later."
            )
            raise QueueFull(detail, retry_after_seconds=wait_seconds)

    def wait_seconds(self, batches_at_once: int) -> float:
        """How long the rows that wait now will take, at the measured rate and with this many batches at once."""
        return self._rows * (self._seconds_per_row.value or 0.0) / max(1, batches_at_once) or 1.0

    def add(self, request: InferenceRequest) -> bool:
        """Queue a request's rows; returns whether they are few."""
        rows = request.waiting
        self._count(rows)
        is_few = self.are_few(rows, request.version)
        (self._few if is_few else self._bulk).append(request)
        return is_few

    def are_few(self, rows: int, version: LoadedVersion) -> bool:
        """Whether this many rows run in the event loop's own thread."""
        return rows <= min(version.engine.inline_rows, self._max_batch_size)

    def release(self, request: InferenceRequest) -> None:
        """Forget rows that nobody waits for any more; without effect on a request whose rows have all been taken."""
        if request.waiting:
            self._count(-request.waiting)
            request.taken = len(request.pixels)

    def cancel(self) -> None:
        """Cancel every request that waits."""
        for request in (*self._few, *self._bulk):
            request.answered.cancel()

    def take_few(self) -> list[Slice]:
        """Take the next batch of few rows, no more than the engine runs in the event loop; empty if none wait."""
        return self._take(self._few, are_few=True)

    def take_bulk(self) -> list[Slice]:
        """Take the next batch of bulk; empty if none waits."""
        return self._take(self._bulk, are_few=False)

    def measure(self, rows: int, seconds: float) -> None:
        """Learn from a batch how long a row takes."""
        self._seconds_per_row.add(seconds / rows)

    def _take(self, queue: deque[InferenceRequest], *, are_few: bool) -> list[Slice]:
        """Take rows of one version from the front of a queue, up to the largest batch.

        A request with rows left goes to the back, so that others pass between the slices of a bulk request.
        """
        batch: list[Slice] = []
        free = self._max_batch_size
        for request in self._front(queue):
            if batch and request.version is not batch[0].request.version:
                break
            if not batch and are_few:
                free = min(free, request.version.engine.inline_rows)
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

    def _front(self, queue: deque[InferenceRequest]) -> Iterator[InferenceRequest]:
        """Yield the first request of a queue, again and again; drop those that are released or past their deadline."""
        while queue:
            request = queue[0]
            if not request.waiting:
                queue.popleft()
            elif time.monotonic() >= request.deadline:
                queue.popleft()
                request.fail(TimeoutError())
            else:
                yield request

    def _note_taken(self, request: InferenceRequest, rows: int) -> None:
        if request.taken == 0:
            request.queue_seconds = time.monotonic() - request.arrived
            self._metrics.queue_wait.observe(request.queue_seconds)
            if request.trace is not None:
                request.trace.add("queue", request.queue_seconds)
        request.taken += rows
        self._count(-rows)

    def _count(self, rows: int) -> None:
        self._rows += rows
        self._metrics.queue_rows.set(self._rows)
