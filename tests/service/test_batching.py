import asyncio
import re
import threading
import time
from collections.abc import Awaitable, Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from service.batching import Batcher, stays
from service.problems import ClientGone, QueueFull
from service.telemetry.metrics import Metrics
from service.versions.loading import LoadedVersion
from tests.service.failing import no_threads
from tests.service.fakes import IS_DIGIT_THRESHOLD, FirstPixelEngine, loaded_version, row_of


def rows_of(*digits: int) -> NDArray[np.float32]:
    return np.stack([row_of(digit) for digit in digits])


def soon() -> float:
    return time.monotonic() + 30


async def read(batcher: Batcher, version: LoadedVersion, *digits: int) -> list[int]:
    inference = await batcher.infer(version, rows_of(*digits), soon())
    return [int(digit) for digit in inference.probabilities.argmax(axis=1)]


async def turns(count: int) -> None:
    """Let the event loop turn `count` times; a request that was sent has started its batch after three turns."""
    for _ in range(count):
        await asyncio.sleep(0)


def run_with(batcher: Batcher, story: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with batcher.running():
            await story()

    asyncio.run(whole())


def test_lone_request_is_answered_with_its_own_rows() -> None:
    """A request alone runs at once, as a batch of its own rows."""
    engine = FirstPixelEngine()
    batcher = Batcher(Metrics(), max_batch_size=8, queue_limit=100)

    async def story() -> None:
        assert await read(batcher, loaded_version(engine=engine), 3, 1, 4) == [3, 1, 4]

    run_with(batcher, story)
    assert engine.batches == [3]


def test_few_rows_that_are_alone_do_not_wait_for_a_turn() -> None:
    """With no other rows to share a batch with, the answer is there before the event loop goes on."""
    batcher = Batcher(Metrics(), max_batch_size=8, queue_limit=100)

    async def story() -> None:
        version = loaded_version(engine=FirstPixelEngine(inline_rows=4))
        answering = batcher.infer(version, rows_of(3, 1), soon(), is_alone=True)
        with pytest.raises(StopIteration) as answered:
            answering.send(None)
        assert answered.value.value.probabilities.argmax(axis=1).tolist() == [3, 1]

    run_with(batcher, story)


@pytest.mark.parametrize("is_alone", [False, True])
def test_rows_are_counted_whether_they_are_alone_or_not(*, is_alone: bool) -> None:
    """The metrics have a batch, its size and its duration, and a queue wait for each request."""
    metrics = Metrics()
    batcher = Batcher(metrics, max_batch_size=8, queue_limit=100)

    async def story() -> None:
        version = loaded_version(engine=FirstPixelEngine(inline_rows=4))
        await batcher.infer(version, rows_of(3, 1), soon(), is_alone=is_alone)

    run_with(batcher, story)
    counted = metrics.registry.get_sample_value
    assert counted("digits_batch_rows_sum") == 2
    for name in ("digits_batch_rows", "digits_inference_duration_seconds", "digits_queue_wait_seconds"):
        assert counted(f"{name}_count") == 1


def test_rows_that_find_others_waiting_share_their_batch() -> None:
    """A request that was alone when it began may no longer be alone when its rows are ready."""
    engine = FirstPixelEngine(inline_rows=4)
    batcher = Batcher(Metrics(), max_batch_size=8, queue_limit=100)

    async def story() -> None:
        version = loaded_version(engine=engine)
        first = asyncio.create_task(read(batcher, version, 1))
        await asyncio.sleep(0)
        second = await batcher.infer(version, rows_of(2), soon(), is_alone=True)
        assert second.probabilities.argmax() == 2
        assert await first == [1]

    run_with(batcher, story)
    assert engine.batches == [2]


def test_many_rows_that_are_alone_run_in_a_thread() -> None:
    """Bulk does not hold up the event loop, even when it is alone."""
    engine = FirstPixelEngine(gate=threading.Event(), inline_rows=4)
    batcher = Batcher(Metrics(), max_batch_size=8, queue_limit=100)

    async def story() -> None:
        version = loaded_version(engine=engine)
        bulk = asyncio.create_task(batcher.infer(version, rows_of(*range(8)), soon(), is_alone=True))
        await turns(3)
        assert engine.gate is not None
        engine.gate.set()
        assert (await bulk).probabilities.argmax(axis=1).tolist() == [*range(8)]

    run_with(batcher, story)


def test_rows_that_are_alone_have_a_deadline_too() -> None:
    """Rows that are past their deadline when they could run are not run."""
    engine = FirstPixelEngine(inline_rows=4)
    batcher = Batcher(Metrics(), max_batch_size=8, queue_limit=100)

    async def story() -> None:
        with pytest.raises(TimeoutError):
            await batcher.infer(loaded_version(engine=engine), rows_of(1), time.monotonic(), is_alone=True)

    run_with(batcher, story)
    assert engine.batches == []


def test_rows_that_arrive_while_a_batch_runs_share_the_next_one() -> None:
    """Requests that arrive while the network is busy are run together, not one by one."""
    engine = FirstPixelEngine(gate=threading.Event())
    batcher = Batcher(Metrics(), max_batch_size=8, queue_limit=100)

    async def story() -> None:
        version = loaded_version(engine=engine)
        reading = [asyncio.create_task(read(batcher, version, 0))]
        await turns(3)
        reading += [asyncio.create_task(read(batcher, version, digit)) for digit in range(1, 6)]
        await turns(3)
        assert engine.gate is not None
        engine.gate.set()
        assert await asyncio.gather(*reading) == [[digit] for digit in range(6)]

    run_with(batcher, story)
    assert engine.batches == [1, 5]


def test_few_rows_run_in_the_loop_s_own_thread() -> None:
    """The few rows of one turn run together, at once and without a thread; many rows run in a thread."""
    threads: list[int] = []

    class Noting(FirstPixelEngine):
        def run(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
            threads.append(threading.get_ident())
            return super().run(pixels)

    engine = Noting(inline_rows=4)
    batcher = Batcher(Metrics(), max_batch_size=8, queue_limit=100)

    async def story() -> None:
        version = loaded_version(engine=engine)
        few = [read(batcher, version, digit) for digit in range(6)]
        assert await asyncio.gather(*few) == [[digit] for digit in range(6)]
        assert await read(batcher, version, 1, 2, 3, 4, 5) == [1, 2, 3, 4, 5]

    run_with(batcher, story)
    assert engine.batches == [4, 2, 5]
    assert threads[:2] == [threading.get_ident()] * 2
    assert threads[2] != threading.get_ident()


def test_few_rows_do_not_wait_for_bulk() -> None:
    """While bulk is running in every thread, a single row is answered all the same."""
    bulk_engine, engine = FirstPixelEngine(gate=threading.Event()), FirstPixelEngine(inline_rows=4)
    batcher = Batcher(Metrics(), max_batch_size=8, queue_limit=100, threads=2)

    async def story() -> None:
        bulk_version, version = loaded_version(1, bulk_engine), loaded_version(2, engine)
        bulk = [asyncio.create_task(read(batcher, bulk_version, *[digit] * 16)) for digit in (1, 2)]
        await turns(3)
        assert await read(batcher, version, 7) == [7]
        assert bulk_engine.gate is not None
        bulk_engine.gate.set()
        assert await asyncio.gather(*bulk) == [[1] * 16, [2] * 16]

    run_with(batcher, story)


def test_few_rows_that_wait_for_a_moment_are_not_watched() -> None:
    """A caller that gets its answer within a few turns of the loop is not watched for leaving."""
    batcher = Batcher(Metrics(), max_batch_size=8, queue_limit=100)
    watched: list[int] = []

    async def story() -> None:
        version = loaded_version(engine=FirstPixelEngine(inline_rows=1))

        async def infer(at: int) -> None:
            async def leaves() -> None:
                watched.append(at)
                await stays()

            await batcher.infer(version, rows_of(at), soon(), leaves)

        await asyncio.gather(*map(infer, range(4)))

    run_with(batcher, story)
    assert watched == []


@pytest.mark.parametrize(("seconds", "error"), [(30, ClientGone), (0.02, TimeoutError)])
def test_few_rows_that_wait_for_longer_are_watched(seconds: float, error: type[Exception]) -> None:
    """Behind slow batches in the event loop, a caller that is gone or past its deadline gives its place back."""

    class Slow(FirstPixelEngine):
        def run(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
            time.sleep(0.03)
            return super().run(pixels)

    engine = Slow(inline_rows=1)
    batcher = Batcher(Metrics(), max_batch_size=8, queue_limit=100)

    async def story() -> None:
        version = loaded_version(engine=engine)
        leaves = (lambda: asyncio.sleep(0)) if error is ClientGone else stays
        staying = [asyncio.create_task(read(batcher, version, digit)) for digit in range(9)]
        leaving = asyncio.create_task(batcher.infer(version, rows_of(3), time.monotonic() + seconds, leaves))
        with pytest.raises(error):
            await leaving
        assert await asyncio.gather(*staying) == [[digit] for digit in range(9)]

    run_with(batcher, story)
    assert engine.batches == [1] * 9


def test_caller_that_leaves_gives_its_place_back() -> None:
    """The rows of a caller that is gone are never run, and the other callers are answered."""
    engine = FirstPixelEngine(gate=threading.Event())
    batcher = Batcher(Metrics(), max_batch_size=4, queue_limit=5)

    async def story() -> None:
        version = loaded_version(engine=engine)
        gone = asyncio.Event()

        async def leaves() -> None:
            await gone.wait()

        running = asyncio.create_task(read(batcher, version, 1))
        await turns(3)
        leaving = asyncio.create_task(batcher.infer(version, rows_of(2, 2, 2), soon(), leaves))
        staying = asyncio.create_task(read(batcher, version, 3, 3))
        await turns(3)
        gone.set()
        with pytest.raises(ClientGone):
            await leaving
        assert engine.gate is not None
        engine.gate.set()
        assert await running == [1]
        assert await staying == [3, 3]

    run_with(batcher, story)
    assert engine.batches == [1, 2]


def test_versions_never_share_a_batch() -> None:
    """Each row is run by the version that its request was admitted with."""
    old, new = FirstPixelEngine(gate=threading.Event()), FirstPixelEngine()
    batcher = Batcher(Metrics(), max_batch_size=8, queue_limit=100)

    async def story() -> None:
        first, second = loaded_version(1, old), loaded_version(2, new)
        reading = [
            asyncio.create_task(read(batcher, version, digit))
            for digit, version in enumerate([first, first, second, second, first])
        ]
        await turns(3)
        assert old.gate is not None
        old.gate.set()
        await asyncio.gather(*reading)

    run_with(batcher, story)
    assert (old.batches, new.batches) == ([2, 1], [2])


def test_single_passes_between_the_slices_of_a_bulk_request() -> None:
    """A bulk request does not hold back a small one that arrives after it."""
    engine = FirstPixelEngine(gate=threading.Event())
    batcher = Batcher(Metrics(), max_batch_size=4, queue_limit=1000)
    order: list[str] = []

    async def story() -> None:
        version = loaded_version(engine=engine)

        async def note(name: str, *digits: int) -> None:
            assert await read(batcher, version, *digits) == list(digits)
            order.append(name)

        bulk = asyncio.create_task(note("bulk", *[digit % 10 for digit in range(40)]))
        await asyncio.sleep(0)
        single = asyncio.create_task(note("single", 7))
        await asyncio.sleep(0)
        assert engine.gate is not None
        engine.gate.set()
        await asyncio.gather(bulk, single)

    run_with(batcher, story)
    assert order == ["single", "bulk"]


def test_full_queue_refuses_with_the_time_to_come_back() -> None:
    """Rows that do not fit into the queue are refused at once, and those in it are still answered."""
    engine = FirstPixelEngine(gate=threading.Event())
    batcher = Batcher(Metrics(), max_batch_size=1, queue_limit=3)

    async def story() -> None:
        version = loaded_version(engine=engine)
        reading = [asyncio.create_task(read(batcher, version, 0))]
        await turns(3)
        reading += [asyncio.create_task(read(batcher, version, digit)) for digit in range(1, 4)]
        await turns(3)
        with pytest.raises(QueueFull) as refused:
            await read(batcher, version, 9)
        assert int(refused.value.headers["Retry-After"]) >= 1
        assert engine.gate is not None
        engine.gate.set()
        assert await asyncio.gather(*reading) == [[digit] for digit in range(4)]
        assert await read(batcher, version, 9) == [9]

    run_with(batcher, story)


def test_bulk_that_would_wait_too_long_is_refused_with_the_time_that_it_would_wait() -> None:
    """The measured rate predicts the wait; up to a batch of rows is always taken, and any number when none wait."""

    class Slow(FirstPixelEngine):
        def run(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
            if self.gate is None or not self.gate.is_set():
                time.sleep(0.1)
            return super().run(pixels)

    engine = Slow(inline_rows=1)
    batcher = Batcher(Metrics(), max_batch_size=2, queue_limit=1000, longest_wait_seconds=2)

    async def story() -> None:
        version = loaded_version(engine=engine)
        assert await read(batcher, version, *[3] * 2) == [3] * 2  # 50 ms a row, or more on a busy machine
        engine.gate = threading.Event()
        running = asyncio.create_task(read(batcher, version, 1, 1))
        await turns(3)
        waiting = asyncio.create_task(read(batcher, version, *[2] * 100))  # any number, as none wait before it
        await turns(3)
        with pytest.raises(QueueFull, match=r"Rows wait \S+ seconds for the network, and may wait 2; ") as refused:
            batcher.check_room(3)
        assert int(refused.value.headers["Retry-After"]) >= 5
        batcher.check_room(2)
        engine.gate.set()
        assert await waiting == [2] * 100
        assert await running == [1, 1]
        assert await read(batcher, version, 4, 5) == [4, 5]

    run_with(batcher, story)


@pytest.mark.parametrize("threads", [1, 4])
def test_the_time_to_come_back_is_right_for_any_number_of_threads(threads: int) -> None:
    """The predicted wait is right within a factor of two, however many batches run at once."""

    class Slow(FirstPixelEngine):
        def run(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
            time.sleep(0.04)  # long compared with all else, on a busy machine too
            return super().run(pixels)

    batcher = Batcher(Metrics(), max_batch_size=1, queue_limit=1000, threads=threads, longest_wait_seconds=0.01)

    async def story() -> None:
        version = loaded_version(engine=Slow())
        await read(batcher, version, 0)
        reading = [asyncio.create_task(read(batcher, version, 1)) for _ in range(40)]
        await turns(3)
        with pytest.raises(QueueFull) as refused:
            batcher.check_room(2)
        told = re.match(r"Rows wait (\S+) seconds ", refused.value.detail)
        assert told
        promised, started = float(told[1]), time.monotonic()
        await asyncio.gather(*reading)
        assert promised / 2 <= time.monotonic() - started <= promised * 2

    run_with(batcher, story)


def test_deadline_is_kept_while_the_network_is_busy() -> None:
    """A request whose deadline passes fails at once, is never run, and gives its place in the queue back."""
    engine = FirstPixelEngine(gate=threading.Event())
    batcher = Batcher(Metrics(), max_batch_size=4, queue_limit=4)

    async def story() -> None:
        version = loaded_version(engine=engine)
        running = asyncio.create_task(read(batcher, version, 1))
        await turns(3)
        with pytest.raises(TimeoutError):
            await batcher.infer(version, rows_of(2, 2, 2, 2), time.monotonic() + 0.01)
        waiting = asyncio.create_task(read(batcher, version, 3, 3, 3, 3))
        await asyncio.sleep(0)
        assert engine.gate is not None
        engine.gate.set()
        assert await running == [1]
        assert await waiting == [3, 3, 3, 3]

    run_with(batcher, story)
    assert engine.batches == [1, 4]


@pytest.mark.parametrize(("inline_rows", "is_alone"), [(0, False), (4, False), (4, True)])
def test_failing_engine_fails_its_batch_only(inline_rows: int, *, is_alone: bool) -> None:
    """An exception in the network reaches the callers of that batch; the next one runs as usual.

    This holds in a thread, in the event loop, and when the queue is bypassed.
    """

    class FailingOnce(FirstPixelEngine):
        def run(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
            answer = super().run(pixels)
            if len(self.batches) == 1:
                msg = "broken"
                raise RuntimeError(msg)
            return answer

    metrics = Metrics()
    batcher = Batcher(metrics, max_batch_size=4, queue_limit=100)

    async def story() -> None:
        version = loaded_version(engine=FailingOnce(inline_rows=inline_rows))
        with pytest.raises(RuntimeError, match="broken"):
            await batcher.infer(version, rows_of(1), soon(), is_alone=is_alone)
        assert await read(batcher, version, 2) == [2]

    run_with(batcher, story)
    assert metrics.registry.get_sample_value("digits_queue_wait_seconds_count") == 2


def test_a_machine_without_threads_holds_nothing_up() -> None:
    """Bulk runs in threads that exist already, and the few rows that came with it are answered."""
    batcher = Batcher(Metrics(), max_batch_size=4, queue_limit=100, threads=2)

    async def story() -> None:
        version = loaded_version(engine=FirstPixelEngine(inline_rows=1))
        with no_threads():
            async with asyncio.timeout(10):
                bulk, few = await asyncio.gather(read(batcher, version, 1, 2), read(batcher, version, 3))
        assert (bulk, few) == ([1, 2], [3])
        assert await read(batcher, version, 4, 5) == [4, 5]

    run_with(batcher, story)


@settings(max_examples=60)
@given(
    requests=st.lists(
        st.tuples(
            st.lists(st.integers(0, 9), min_size=1, max_size=9),  # its rows
            st.integers(0, 2),  # its version
            st.integers(0, 3),  # loop turns until it is sent
            st.none() | st.integers(0, 4),  # loop turns until its caller goes away
        ),
        min_size=1,
        max_size=12,
    ),
    max_batch_size=st.integers(1, 8),
    inline_rows=st.integers(0, 8),
    threads=st.integers(1, 3),
)
def test_rows_never_swap_owners(
    requests: list[tuple[list[int], int, int, int | None]], max_batch_size: int, inline_rows: int, threads: int
) -> None:
    """However requests arrive, mix and leave, each caller gets exactly its own rows and the queue ends empty."""
    metrics = Metrics()
    batcher = Batcher(metrics, max_batch_size, queue_limit=1000, threads=threads)
    versions = [loaded_version(number, FirstPixelEngine(inline_rows=inline_rows)) for number in (1, 2, 3)]

    async def caller(digits: list[int], version: int, before: int, patience: int | None) -> None:
        await turns(before)
        reading = asyncio.create_task(read(batcher, versions[version], *digits))
        if patience is not None:
            await turns(patience)
            reading.cancel()
        answered = (await asyncio.gather(reading, return_exceptions=True))[0]
        assert answered == digits or (patience is not None and isinstance(answered, asyncio.CancelledError))

    async def story() -> None:
        await asyncio.gather(*(caller(*request) for request in requests))

    run_with(batcher, story)
    assert metrics.registry.get_sample_value("digits_queue_rows") == 0


@settings(max_examples=30)
@given(
    scores=st.lists(st.sampled_from([0.0, IS_DIGIT_THRESHOLD - 0.01, IS_DIGIT_THRESHOLD, 1.0]), min_size=1, max_size=9),
    max_batch_size=st.integers(1, 8),
    inline_rows=st.integers(0, 8),
)
def test_each_row_is_told_from_other_things(scores: list[float], max_batch_size: int, inline_rows: int) -> None:
    """However a request is sliced, a row is a digit if its own score is at the threshold or over it."""
    batcher = Batcher(Metrics(), max_batch_size, queue_limit=100)

    async def story() -> None:
        version = loaded_version(engine=FirstPixelEngine(inline_rows=inline_rows, tells_is_digit=True))
        rows = np.stack([row_of(at, score) for at, score in enumerate(scores)])
        inference = await batcher.infer(version, rows, soon())
        assert inference.probabilities.shape == (len(scores), 10)
        assert inference.is_digit == [score >= IS_DIGIT_THRESHOLD for score in scores]

    run_with(batcher, story)


def test_a_version_that_does_not_tell_says_nothing() -> None:
    """Without a threshold there is no verdict."""
    batcher = Batcher(Metrics(), max_batch_size=8, queue_limit=100)

    async def story() -> None:
        assert (await batcher.infer(loaded_version(), rows_of(1), soon())).is_digit is None

    run_with(batcher, story)


def test_ten_thousand_requests_that_mix_and_leave_get_their_own_rows() -> None:
    """In rounds of a hundred that arrive, share batches and leave at random, nobody gets another's row."""
    random = np.random.default_rng(0)
    metrics = Metrics()
    batcher = Batcher(metrics, max_batch_size=16, queue_limit=2000, threads=2)
    versions = [loaded_version(number, FirstPixelEngine(inline_rows=4)) for number in (1, 2, 3)]

    async def caller() -> None:
        digits = random.integers(0, 10, random.choice([1, 1, 1, 2, 7, 20])).tolist()
        await turns(int(random.integers(0, 20)))
        reading = asyncio.create_task(read(batcher, versions[random.integers(0, 3)], *digits))
        if leaves := random.random() < 0.2:
            await turns(int(random.integers(0, 6)))
            reading.cancel()
        answered = (await asyncio.gather(reading, return_exceptions=True))[0]
        assert answered == digits or (leaves and isinstance(answered, asyncio.CancelledError))

    async def story() -> None:
        for _ in range(100):
            await asyncio.gather(*(caller() for _ in range(100)))

    run_with(batcher, story)
    assert metrics.registry.get_sample_value("digits_queue_rows") == 0
