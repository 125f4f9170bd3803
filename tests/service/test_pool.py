import asyncio
import gc
import threading
import weakref

import pytest

from service.bodies.holding import BodyMemory, HeldBody
from service.pool import Pool
from service.problems import QueueFull
from service.telemetry.metrics import Metrics
from tests.service.failing import no_threads
from tests.service.fakes import Clock
from tests.service.test_batching import turns


def test_result_and_exception_come_back() -> None:
    """A call returns what its work returns, and raises what its work raises."""

    async def story() -> None:
        async with Pool(limit=2).running() as pool:
            assert await pool.run(lambda: 6 * 7) == 42
            with pytest.raises(ZeroDivisionError):
                await pool.run(lambda: 1 // 0)

    asyncio.run(story())


def test_threads_are_there_from_the_start() -> None:
    """If the machine can start no more threads, no call fails, and none stays in memory."""
    together = threading.Barrier(2)

    async def story() -> None:
        async with Pool(limit=3, threads=2).running() as pool:
            with no_threads():
                await asyncio.gather(*(pool.run(lambda: together.wait(30)) for _ in range(2)))

    asyncio.run(story())


def test_a_pool_without_its_threads_is_not_made() -> None:
    """The error comes when the service starts, not when the first picture is sent."""
    with no_threads(), pytest.raises(RuntimeError, match="can't start new thread"):
        Pool(limit=1)


def test_one_may_wait_however_long_a_call_takes() -> None:
    """Even if every call takes longer than any may wait, there is a queue of one."""
    clock, gate = Clock(), threading.Event()

    async def story() -> None:
        async with Pool(limit=100, threads=1, longest_wait_seconds=1, clock=clock).running() as pool:
            await pool.run(lambda: clock.advance(10))
            calls = [asyncio.create_task(pool.run(lambda: gate.wait(30))) for _ in range(2)]
            await asyncio.sleep(0)
            with pytest.raises(QueueFull):
                await pool.run(lambda: None)
            gate.set()
            assert await asyncio.gather(*calls) == [True, True]

    asyncio.run(story())


def test_who_waits_and_for_how_long_is_measured() -> None:
    """Waiting calls are counted while they wait, and the wait of each is recorded afterwards."""
    clock, gate, metrics = Clock(), threading.Event(), Metrics()

    def sample(name: str) -> float | None:
        return metrics.registry.get_sample_value(name)

    async def story() -> None:
        async with Pool(limit=100, metrics=metrics, clock=clock).running() as pool:
            calls = [asyncio.create_task(pool.run(lambda: gate.wait(30))) for _ in range(3)]
            await asyncio.sleep(0)
            assert sample("digits_decodings_in_progress") == 3
            clock.advance(2)
            gate.set()
            await asyncio.gather(*calls)
            await turns(3)
            assert sample("digits_decodings_in_progress") == 0
            assert sample("digits_decoding_wait_seconds_count") == 3
            assert sample("digits_decoding_wait_seconds_sum") in {
                4,
                6,
            }  # the first may have begun before the two seconds

    asyncio.run(story())


def test_what_would_wait_too_long_is_refused_with_the_time_that_it_would_wait() -> None:
    """The wait is estimated from how long calls have taken, divided by the number of threads."""
    clock, gate = Clock(), threading.Event()

    async def story() -> None:
        async with Pool(limit=100, threads=2, longest_wait_seconds=8, clock=clock).running() as pool:
            await pool.run(lambda: clock.advance(10))
            waiting = [asyncio.create_task(pool.run(lambda: gate.wait(30))) for _ in range(3)]
            await asyncio.sleep(0)
            with pytest.raises(QueueFull, match="wait 10 seconds to be read, and may wait 8") as refused:
                await pool.run(lambda: None)
            assert refused.value.headers["Retry-After"] == "10"
            gate.set()
            await asyncio.gather(*waiting)
            assert await pool.run(lambda: "in") == "in"

    asyncio.run(story())


def test_nothing_waits_while_a_thread_is_idle() -> None:
    """However long calls take, a call that a thread can begin at once is accepted."""
    clock, gate = Clock(), threading.Event()

    async def story() -> None:
        async with Pool(limit=100, threads=2, longest_wait_seconds=1, clock=clock).running() as pool:
            await pool.run(lambda: clock.advance(10))
            running = asyncio.create_task(pool.run(lambda: gate.wait(30)))
            await asyncio.sleep(0)
            assert await pool.run(lambda: "in") == "in"
            gate.set()
            await running

    asyncio.run(story())


def test_what_is_admitted_already_is_not_refused() -> None:
    """A call that continues admitted work runs even if a new call would be refused."""
    gate = threading.Event()

    async def story() -> None:
        async with Pool(limit=1).running() as pool:
            running = asyncio.create_task(pool.run(lambda: gate.wait(30)))
            await asyncio.sleep(0)
            with pytest.raises(QueueFull, match="1 pictures or bodies are being read, the most allowed at once"):
                await pool.run(lambda: "new")
            continued = asyncio.create_task(pool.run(lambda: "continued", is_admitted=True))
            await asyncio.sleep(0)
            gate.set()
            assert await continued == "continued"
            await running

    asyncio.run(story())


async def settle() -> None:
    """Let the event loop run everything that is ready."""
    await turns(20)


class Content:
    """Stands for the bytes of a body, and can be watched."""

    def touch(self) -> None:
        """Be needed by a call."""


def test_what_a_call_needs_goes_when_it_is_given_up() -> None:
    """A waiting call keeps nothing in memory once its caller has gone, even while all threads are busy."""
    gate = threading.Event()

    async def story() -> None:
        async with Pool(limit=3).running() as pool:
            running = asyncio.create_task(pool.run(lambda: gate.wait(30)))
            content = Content()
            seen = weakref.ref(content)
            given_up = asyncio.create_task(pool.run(content.touch))
            del content
            await settle()
            assert seen()
            given_up.cancel()
            await asyncio.gather(given_up, return_exceptions=True)
            del given_up
            await settle()
            is_gone = seen() is None
            gate.set()
            await running
            assert is_gone

    asyncio.run(story())


def test_what_a_call_needed_goes_when_it_fails() -> None:
    """No reference cycle keeps a picture that does not decode until the garbage collector runs."""

    def fail(content: Content) -> None:
        content.touch()
        msg = "no picture"
        raise ValueError(msg)

    async def refused(pool: Pool, content: Content) -> None:
        with pytest.raises(ValueError, match="no picture"):
            await pool.run(lambda: fail(content))

    async def story() -> None:
        async with Pool(limit=3).running() as pool:
            content, gone = Content(), asyncio.Event()
            weakref.finalize(content, asyncio.get_running_loop().call_soon_threadsafe, gone.set)
            await refused(pool, content)
            del content
            await asyncio.wait_for(gone.wait(), timeout=30)  # the thread lets go of it a moment after the answer

    gc.disable()
    try:
        asyncio.run(story())
    finally:
        gc.enable()


def test_a_body_is_held_until_its_thread_is_done() -> None:
    """If a caller gives up, the bytes of a waiting call are freed at once, those of a running call when it ends."""
    started, gate = threading.Event(), threading.Event()
    memory = BodyMemory(limit_bytes=2)

    def work() -> None:
        started.set()
        gate.wait(30)

    def hold() -> HeldBody:
        held = HeldBody(memory, deadline=0.0)
        held.grow_to(1)
        return held

    async def story() -> None:
        async with Pool(limit=3).running() as pool:
            running, waiting = hold(), hold()
            calls = [asyncio.create_task(pool.run(work, held)) for held in (running, waiting)]
            await settle()
            await asyncio.to_thread(started.wait, 30)
            running.let_go()
            waiting.let_go()
            with pytest.raises(QueueFull):
                hold()
            for call in calls:
                call.cancel()
            await settle()
            hold()  # in place of the one that waited
            with pytest.raises(QueueFull):
                hold()
            gate.set()
            assert await pool.run(lambda: "in") == "in"
            hold()  # in place of the one that ran

    asyncio.run(story())


def test_calls_that_are_given_up_free_their_place_before_their_turn() -> None:
    """A call whose caller gives up while it waits is never run."""
    gate, done = threading.Event(), list[str]()

    async def story() -> None:
        async with Pool(limit=2).running() as pool:
            running = asyncio.create_task(pool.run(lambda: gate.wait(30)))
            given_up = asyncio.create_task(pool.run(lambda: done.append("given up")))
            await settle()
            given_up.cancel()
            await settle()
            waiting = asyncio.create_task(pool.run(lambda: done.append("waiting")))
            await settle()
            gate.set()
            await asyncio.gather(running, waiting)

    asyncio.run(story())
    assert done == ["waiting"]


def test_limit_counts_work_whose_caller_has_gone() -> None:
    """If its caller gives up, a running call keeps its place until the thread is done with it."""
    started, gate = threading.Event(), threading.Event()

    def work() -> None:
        started.set()
        gate.wait(10)

    async def story() -> None:
        async with Pool(limit=1).running() as pool:
            given_up = asyncio.create_task(pool.run(work))
            await asyncio.to_thread(started.wait, 30)
            given_up.cancel()
            await asyncio.gather(given_up, return_exceptions=True)
            with pytest.raises(QueueFull):
                await pool.run(lambda: None)
            gate.set()
            async with asyncio.timeout(30):
                while True:
                    try:
                        assert await pool.run(lambda: "in") == "in"
                    except QueueFull:
                        await asyncio.sleep(0.001)
                    else:
                        return

    asyncio.run(story())
