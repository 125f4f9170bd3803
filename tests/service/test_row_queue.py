import asyncio
import math
import time

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from service.inference import InferenceRequest
from service.row_queue import RowQueue
from service.telemetry.metrics import Metrics
from service.versions.loading import LoadedVersion
from tests.service.fakes import FirstPixelEngine, loaded_version


def request_of(version: LoadedVersion, rows: int) -> InferenceRequest:
    return InferenceRequest(version, np.zeros((rows, 784), np.float32), time.monotonic() + 30, None)


@given(
    requests=st.lists(st.tuples(st.integers(1, 20), st.integers(0, 1)), max_size=10),
    max_batch_size=st.integers(1, 8),
    inline_rows=st.integers(0, 8),
)
def test_each_row_is_taken_once(requests: list[tuple[int, int]], max_batch_size: int, inline_rows: int) -> None:
    """Each row leaves the queue in exactly one batch; a batch has rows of one version, and no more than it may."""

    async def story() -> None:
        queue = RowQueue(Metrics(), max_batch_size, limit_rows=1000, longest_wait_seconds=math.inf)
        versions = [loaded_version(number, FirstPixelEngine(inline_rows=inline_rows)) for number in (1, 2)]
        waiting = [request_of(versions[version], rows) for rows, version in requests]
        are_few = [queue.add(request) for request in waiting]
        assert are_few == [rows <= min(max_batch_size, inline_rows) for rows, _ in requests]

        taken: dict[InferenceRequest, list[int]] = {request: [] for request in waiting}
        for take, most in ((queue.take_few, min(max_batch_size, inline_rows)), (queue.take_bulk, max_batch_size)):
            while batch := take():
                assert sum(part.stop - part.start for part in batch) <= most
                assert len({part.request.version.number for part in batch}) == 1
                for part in batch:
                    taken[part.request] += range(part.start, part.stop)
        assert all(rows == list(range(len(request.pixels))) for request, rows in taken.items())
        assert not queue.has_few

    asyncio.run(story())


def test_the_wait_follows_from_what_batches_took() -> None:
    """It is the number of rows times the measured time for a row, divided by the batches that run at once."""

    async def story() -> None:
        queue = RowQueue(Metrics(), max_batch_size=4, limit_rows=1000, longest_wait_seconds=math.inf)
        queue.measure(rows=2, seconds=0.5)
        queue.add(request_of(loaded_version(), 40))
        assert queue.wait_seconds(batches_at_once=1) == 10
        assert queue.wait_seconds(batches_at_once=2) == 5
        assert len(queue.take_bulk()) == 1
        assert queue.wait_seconds(batches_at_once=1) == 9

    asyncio.run(story())


def test_a_slow_moment_is_not_taken_for_the_rate() -> None:
    """While bodies arrive, batches take three times as long for a tenth of a second; this hardly changes the wait."""

    async def story() -> None:
        queue = RowQueue(Metrics(), max_batch_size=64, limit_rows=1000, longest_wait_seconds=math.inf)
        queue.add(request_of(loaded_version(), 640))
        for seconds in [0.002] * 1000 + [0.006] * 20:
            queue.measure(rows=64, seconds=seconds)
        assert 0.02 <= queue.wait_seconds(batches_at_once=1) <= 0.03
        for _ in range(1000):
            queue.measure(rows=64, seconds=0.006)
        assert queue.wait_seconds(batches_at_once=1) >= 0.055

    asyncio.run(story())


def test_rows_that_are_released_leave_room() -> None:
    """Rows whose request no longer waits are neither counted nor taken."""
    metrics = Metrics()

    async def story() -> None:
        queue = RowQueue(metrics, max_batch_size=4, limit_rows=10, longest_wait_seconds=math.inf)
        request = request_of(loaded_version(), 10)
        queue.add(request)
        assert metrics.registry.get_sample_value("digits_queue_rows") == 10
        queue.release(request)
        queue.check_room(10, batches_at_once=1)
        assert queue.take_bulk() == []

    asyncio.run(story())
    assert metrics.registry.get_sample_value("digits_queue_rows") == 0
