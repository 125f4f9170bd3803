import asyncio
import threading

import pytest

from service.pool import Pool
from service.problems import QueueFull


def test_result_and_exception_come_back() -> None:
    """What the work returns is returned, what it raises is raised."""

    async def story() -> None:
        async with Pool(limit=2).running() as pool:
            assert await pool.run(lambda: 6 * 7) == 42
            with pytest.raises(ZeroDivisionError):
                await pool.run(lambda: 1 // 0)

    asyncio.run(story())


def test_limit_counts_work_whose_caller_has_gone() -> None:
    """A caller that gives up does not free its place until the thread is done with its work."""
    gate = threading.Event()

    async def story() -> None:
        async with Pool(limit=1).running() as pool:
            given_up = asyncio.create_task(pool.run(lambda: gate.wait(10)))
            await asyncio.sleep(0.01)
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
