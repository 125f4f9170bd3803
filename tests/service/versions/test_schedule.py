import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from service.versions.loading import LoadedVersion
from service.versions.manifest import VersionRejected
from service.versions.model_store import StoredVersion
from service.versions.schedule import Schedule
from tests.service.fakes import FakeLoader

ONE, TWO, THREE = (StoredVersion(number, Path(), (("saved_model.pb", 3, 1, 1),)) for number in (1, 2, 3))


class Scheduled:
    """A schedule over a fake loader, and the results of its loads as it reports them."""

    def __init__(self, believed_seconds: float = 60.0) -> None:
        self.load = FakeLoader()
        self.schedule = Schedule(self.load, self._ended, believed_seconds)
        self.ended: list[tuple[int, type]] = []

    def _ended(self, stored: StoredVersion, loaded: LoadedVersion | Exception | None, _seconds: float) -> None:
        self.ended.append((stored.number, type(loaded)))

    async def ask(self, *missing: StoredVersion, pinned: int | None = None) -> None:
        """Ask again and again for the versions that are not loaded yet, as successive looks at the store do."""
        for _ in range(10):
            left = [stored for stored in missing if (stored.number, LoadedVersion) not in self.ended]
            self.schedule.load_next(left, pinned)
            await asyncio.sleep(0)


def run(scheduled: Scheduled, story: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        try:
            await story()
        finally:
            await scheduled.schedule.cancel()

    asyncio.run(whole())


def test_what_is_not_in_the_cache_is_prepared() -> None:
    """The cache is tried first; the end of each load is reported, however it ended."""
    scheduled = Scheduled()

    async def story() -> None:
        scheduled.load.rejected[1] = "it differs"
        for is_opening in (True, False):
            scheduled.schedule.is_due.clear()
            scheduled.schedule.load_next([ONE], None)
            assert (scheduled.schedule.numbers, scheduled.schedule.is_opening) == ([1], is_opening)
            await asyncio.wait_for(scheduled.schedule.is_due.wait(), 30)
            assert scheduled.schedule.numbers == []

    run(scheduled, story)
    assert scheduled.ended == [(1, type(None)), (1, VersionRejected)]


def test_one_version_is_prepared_at_a_time_and_what_is_cached_passes_it() -> None:
    """Preparing takes a core; loading from the cache takes milliseconds."""
    scheduled = Scheduled()
    scheduled.load.cached = {1}
    prepared = scheduled.load.hanging[3] = asyncio.Event()

    async def story() -> None:
        await scheduled.ask(THREE, TWO, ONE)
        assert (scheduled.load.loads, scheduled.schedule.numbers[0]) == ([3], 3)
        assert (1, LoadedVersion) in scheduled.ended
        prepared.set()
        await scheduled.ask(TWO)
        assert scheduled.load.loads[:2] == [3, 2]

    run(scheduled, story)


def test_only_a_pin_interrupts_what_is_being_prepared() -> None:
    """The interrupted version is prepared again later, and no result is reported for the interrupted try."""
    scheduled = Scheduled()
    scheduled.load.hanging[3] = asyncio.Event()

    async def story() -> None:
        await scheduled.ask(THREE, TWO, pinned=3)
        assert scheduled.load.loads == [3]
        await scheduled.ask(TWO, THREE, pinned=2)
        assert scheduled.load.loads[:2] == [3, 2]
        assert (2, LoadedVersion) in scheduled.ended
        await scheduled.ask(THREE, pinned=2)
        assert scheduled.load.loads[-1] == 3

    run(scheduled, story)
    assert not [loaded for number, loaded in scheduled.ended if number == 3 and loaded is not type(None)]


def test_what_waits_to_be_prepared_is_looked_for_again() -> None:
    """Another worker may have prepared it meanwhile, but the cache is not checked all the time."""
    scheduled = Scheduled(believed_seconds=0.2)
    scheduled.load.hanging[3] = asyncio.Event()

    async def story() -> None:
        await scheduled.ask(THREE)
        await scheduled.ask(THREE, TWO)
        scheduled.load.cached = {2}
        await scheduled.ask(THREE, TWO)
        assert (2, LoadedVersion) not in scheduled.ended
        await asyncio.sleep(0.2)
        await scheduled.ask(THREE, TWO)
        assert (2, LoadedVersion) in scheduled.ended

    run(scheduled, story)


def test_what_is_gone_is_looked_for_again_when_it_comes_back() -> None:
    """That a version is not in the cache is forgotten once the version is gone from the store."""
    scheduled = Scheduled()
    scheduled.load.hanging[3] = asyncio.Event()

    async def story() -> None:
        await scheduled.ask(THREE)
        await scheduled.ask(THREE, TWO)
        scheduled.schedule.forget_all_but([THREE])
        scheduled.load.cached = {2}
        await scheduled.ask(THREE, TWO)
        assert (2, LoadedVersion) in scheduled.ended

    run(scheduled, story)
