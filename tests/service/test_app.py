import asyncio
import threading
from pathlib import Path

import httpx
import pytest

from service.app import _bulk_threads, _decoding_threads, create_app
from service.cores import usable_cores
from service.settings import Settings
from tests.service.assertions import assert_problem
from tests.service.fakes import FakeLoader, write_version

# A call that has a thread begins in microseconds; the limit is for a busy machine.
_BEGINS_SECONDS = 30.0
_NO_MORE_SECONDS = 0.1


@pytest.mark.parametrize(("workers", "at_once"), [(0, 1), (1, min(2, usable_cores())), (usable_cores(), 1)])
def test_all_workers_together_decode_as_much_at_once_as_there_are_cores(
    tmp_path: Path, workers: int, at_once: int
) -> None:
    """With a worker for each core, each decodes one picture at a time; a single worker decodes two, the most it may."""
    write_version(tmp_path, 1)
    app = create_app(Settings(model_store=tmp_path, workers=workers), load=FakeLoader())
    begun, gate = threading.Semaphore(0), threading.Event()

    def decode() -> None:
        begun.release()
        gate.wait(_BEGINS_SECONDS)

    async def story() -> None:
        async with app.router.lifespan_context(app) as state:
            assert state is not None
            pool = state["service"].reader.pool
            calls = [asyncio.create_task(pool.run(decode)) for _ in range(at_once + 1)]
            for _ in range(at_once):
                assert await asyncio.to_thread(begun.acquire, timeout=_BEGINS_SECONDS)
            one_more = await asyncio.to_thread(begun.acquire, timeout=_NO_MORE_SECONDS)
            gate.set()
            await asyncio.gather(*calls)
            assert not one_more

    asyncio.run(story())


@pytest.mark.parametrize("path", ["/health/", "/v1/models/", "/v1/predict/", "/docs/", "/nothing/"])
def test_a_slash_too_many_is_another_path(client: httpx.Client, path: str) -> None:
    """It is a problem like every unknown path: behind a proxy with TLS, a redirect would lead to plain HTTP."""
    assert_problem(client.get(path), 404, "not-found")


@pytest.mark.parametrize(
    ("workers", "cores", "decoding", "bulk"),
    [(0, 1, 1, 1), (0, 2, 1, 2), (0, 64, 1, 2), (1, 2, 2, 2), (2, 4, 2, 4), (2, 64, 2, 8)],
)
def test_threads_of_a_worker_have_a_bound(workers: int, cores: int, decoding: int, bulk: int) -> None:
    """All workers together use all cores, unless few of them run on a large node: each thread takes memory."""
    settings = Settings(workers=workers)
    assert _decoding_threads(settings, cores) == decoding
    assert _bulk_threads(settings, cores) == bulk
