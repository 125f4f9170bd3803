import asyncio
import os
import re
import shutil
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from service.telemetry.metrics import Metrics
from service.telemetry.tally import Memory, file_for
from service.versions.choice import LOADED_VERSIONS
from service.versions.loading import LoadedVersion, Loader, PreparingFailed
from service.versions.manifest import MANIFEST_PATH, VersionRejected
from service.versions.model_store import ModelStore, Snapshot, StoredVersion
from service.versions.preparing import LoadPostponed
from service.versions.registry import NothingToServe, Registry
from service.versions.statuses import State
from tests.service.failing import fail, needs_a_failing_file
from tests.service.fakes import FakeLoader, loaded_version, write_version


class Watched:
    """A registry that looks at a store in a temporary folder every few milliseconds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.load = FakeLoader()
        self.metrics = Metrics()
        self.registry = Registry(ModelStore(folder, "digits"), self.load, self.metrics, poll_seconds=0.005)

    @property
    def serving(self) -> int | None:
        return self.registry.serving.number if self.registry.serving else None

    def state(self, number: int) -> State | None:
        return next((status.state for status in self.registry.statuses() if status.number == number), None)

    def pin(self, policy: str) -> None:
        (self.folder / "digits" / "policy.json").write_text(policy)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not condition():  # noqa: ASYNC110 - what the registry does is seen, not announced
                await asyncio.sleep(0.002)

    async def settled(self) -> None:
        """Wait for some polls: time for something that must not happen."""
        await asyncio.sleep(0.05)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with self.registry.running():
            yield


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def run(watched: Watched, story: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with watched.running():
            await story()

    asyncio.run(whole())


def test_empty_store_says_what_it_waits_for_and_serves_what_appears(watched: Watched) -> None:
    """Without a version the registry says so and names the command; the first version then serves."""

    async def story() -> None:
        await watched.settled()
        assert watched.serving is None
        assert "python -m trainer release" in watched.registry.waiting_for()
        assert "model store" in watched.registry.waiting_for()
        write_version(watched.folder, 1)
        await watched.until(lambda: watched.serving == 1)

    run(watched, story)


def test_before_the_first_look_it_is_not_known_what_the_store_holds(watched: Watched) -> None:
    """A store that answers slowly is not called empty, and nobody is told to publish."""
    write_version(watched.folder, 1)
    assert watched.registry.waiting_for() == "The model store is being looked at for the first time."


def test_between_two_loads_the_next_one_is_told(watched: Watched) -> None:
    """The registry names the version that is about to be loaded, whatever is wrong with another one."""
    for number in (1, 2):
        write_version(watched.folder, number)
    watched.load.rejected[2] = "it is damaged"
    told: list[str] = []

    class Telling(FakeLoader):
        async def from_cache(self, stored: StoredVersion) -> LoadedVersion | None:
            asyncio.get_running_loop().call_soon(lambda: told.append(watched.registry.waiting_for()))
            return await super().from_cache(stored)

    watched.load = Telling(rejected=watched.load.rejected)
    watched.registry = Registry(ModelStore(watched.folder, "digits"), watched.load, Metrics(), poll_seconds=0.005)

    async def story() -> None:
        await watched.until(lambda: watched.serving == 1)

    run(watched, story)
    assert told
    assert all(
        re.fullmatch(r"Version [12] is (about to be|being) loaded; that takes some seconds\.", one) for one in told
    )
    assert any("about to be" in one for one in told)


def test_newest_version_serves_and_a_newer_one_takes_over(watched: Watched) -> None:
    """The newest version serves from the start; one that is published later takes its place."""
    for number in (1, 2):
        write_version(watched.folder, number)

    async def story() -> None:
        await watched.until(lambda: watched.serving == 2)
        write_version(watched.folder, 3)
        await watched.until(lambda: watched.serving == 3)
        await watched.until(lambda: watched.state(2) is State.LOADED)

    run(watched, story)


def test_old_versions_are_let_go(watched: Watched) -> None:
    """Only the newest few versions stay loaded, however many there are."""
    for number in range(1, 8):
        write_version(watched.folder, number)

    async def story() -> None:
        loaded = [7, 6, 5][:LOADED_VERSIONS]
        await watched.until(lambda: all(watched.registry.loaded(number) for number in loaded))
        await watched.settled()
        assert sorted(watched.load.loads, reverse=True) == loaded
        assert watched.state(1) is State.STORED
        write_version(watched.folder, 8)
        await watched.until(lambda: watched.serving == 8)
        await watched.until(lambda: watched.registry.loaded(5) is None)

    run(watched, story)


def test_rejected_version_is_quarantined_and_tried_again_when_its_files_change(watched: Watched) -> None:
    """A bad version never serves; it is tried once, and once more after its files have changed."""
    write_version(watched.folder, 1)
    bad = write_version(watched.folder, 2)
    watched.load.rejected[2] = "golden images differ"

    async def story() -> None:
        await watched.until(lambda: watched.serving == 1)
        await watched.settled()
        assert watched.state(2) is State.QUARANTINED
        assert watched.registry.statuses()[0].reason == "golden images differ"
        assert watched.load.loads.count(2) == 1
        watched.load.rejected.clear()
        repaired = watched.folder / "repaired"
        repaired.write_bytes(b"repaired")
        repaired.replace(bad / "saved_model.pb")  # atomically: a half-written file would be tried, too
        await watched.until(lambda: watched.serving == 2)
        assert watched.registry.statuses()[0].reason is None

    run(watched, story)
    samples = watched.metrics.registry
    assert samples.get_sample_value("digits_model_loads_total", {"outcome": "rejected"}) == 1
    assert samples.get_sample_value("digits_model_loads_total", {"outcome": "loaded"}) == 2


def test_only_bad_versions_leave_the_reason(watched: Watched) -> None:
    """When no version may serve, the registry tells the reason for each."""
    write_version(watched.folder, 1)
    watched.load.rejected[1] = "saved_model.pb is damaged"

    async def story() -> None:
        await watched.until(lambda: watched.state(1) is State.QUARANTINED)
        assert "1: saved_model.pb is damaged" in watched.registry.waiting_for()

    run(watched, story)


def test_loader_that_breaks_does_not_end_the_registry(watched: Watched) -> None:
    """Whatever a loader raises, the version is quarantined and the next one still serves."""
    write_version(watched.folder, 1)

    class Broken(FakeLoader):
        async def __call__(self, stored: StoredVersion) -> LoadedVersion:
            if stored.number == 1:
                msg = "unforeseen"
                raise RuntimeError(msg)
            return await super().__call__(stored)

    registry = Registry(ModelStore(watched.folder, "digits"), Broken(), Metrics(), poll_seconds=0.005)
    watched.registry = registry

    async def story() -> None:
        await watched.until(lambda: watched.state(1) is State.QUARANTINED)
        write_version(watched.folder, 2)
        await watched.until(lambda: watched.serving == 2)

    run(watched, story)


def test_an_unforeseen_error_is_no_quarantine_for_good(watched: Watched) -> None:
    """The machine may be to blame, as when no thread can be started: the version is tried again automatically."""
    write_version(watched.folder, 1)

    class Once(FakeLoader):
        async def __call__(self, stored: StoredVersion) -> LoadedVersion:
            loaded = await super().__call__(stored)
            if len(self.loads) == 1:
                msg = "can't start new thread"
                raise RuntimeError(msg)
            return loaded

    watched.load = Once()
    store = ModelStore(watched.folder, "digits")
    watched.registry = Registry(store, watched.load, watched.metrics, poll_seconds=0.005, unforeseen_seconds=0.2)

    async def story() -> None:
        await watched.until(lambda: watched.state(1) is State.QUARANTINED)
        await watched.settled()
        assert watched.load.loads == [1]
        assert "loading it failed: RuntimeError" in watched.registry.waiting_for()
        await watched.until(lambda: watched.serving == 1)

    run(watched, story)


def test_policy_pins_and_rolls_back(watched: Watched) -> None:
    """policy.json chooses the version; without it the newest serves again."""
    for number in (1, 2):
        write_version(watched.folder, number)

    async def story() -> None:
        await watched.until(lambda: watched.serving == 2)
        watched.pin('{"serve": 1}')
        await watched.until(lambda: watched.serving == 1)
        write_version(watched.folder, 3)
        await watched.settled()
        assert watched.serving == 1
        watched.pin('{"serve": "latest"}')
        await watched.until(lambda: watched.serving == 3)

    run(watched, story)


@pytest.mark.parametrize("policy", ['{"serve": 9}', '{"serve": "newest"}', "not json", '{"serve": 0}'])
def test_impossible_policy_keeps_what_serves_and_says_so(watched: Watched, policy: str) -> None:
    """A policy that cannot be followed changes nothing, and is reported."""
    for number in (1, 2):
        write_version(watched.folder, number)

    async def story() -> None:
        await watched.until(lambda: watched.serving == 2)
        watched.pin(policy)
        await watched.until(lambda: watched.registry.trouble is not None)
        write_version(watched.folder, 3)
        await watched.settled()
        assert watched.serving == 2
        assert "policy.json" in (watched.registry.trouble or "")

    run(watched, story)


@pytest.mark.parametrize("policy", ['{"serve": 9}', "not json"])
def test_a_worker_in_another_s_place_serves_what_the_others_do(watched: Watched, policy: str) -> None:
    """If the policy cannot be followed, a replacement worker waits for the version that the other workers serve."""
    for number in (1, 2, 3):
        write_version(watched.folder, number)
    watched.pin(policy)
    file = file_for(2)
    Memory(2, 0, file).note_served(2)
    metrics = Metrics(Memory(2, 1, file))
    os.close(file)
    watched.registry = Registry(ModelStore(watched.folder, "digits"), watched.load, metrics, poll_seconds=0.005)

    watched.load.cached = {3}
    prepared = watched.load.hanging[2] = asyncio.Event()

    async def story() -> None:
        await watched.until(lambda: watched.registry.loaded(3) is not None)
        await watched.settled()
        assert watched.serving is None
        prepared.set()
        await watched.until(lambda: watched.serving == 2)

    run(watched, story)


def test_a_worker_in_another_s_place_leaves_to_the_others_what_it_cannot_load(tmp_path: Path) -> None:
    """Without a store it would refuse every request, so it ends; alone, or if no other worker serves, it waits."""
    file = file_for(2)
    other, own = Memory(2, 0, file), Memory(2, 1, file)
    os.close(file)
    registry = Registry(ModelStore(tmp_path / "away", "digits"), FakeLoader(), Metrics(own), poll_seconds=0.005)

    async def opened() -> None:
        async with registry.running():
            assert registry.serving is None

    asyncio.run(opened())
    other.note_served(2)
    with pytest.raises(NothingToServe, match="the other workers serve version 2 on from memory"):
        asyncio.run(opened())


def test_a_worker_in_another_s_place_waits_for_a_store_that_is_slow(watched: Watched) -> None:
    """A store that has not answered yet is not missing: a worker that ended for it would end again and again."""
    write_version(watched.folder, 1)
    file, gate = file_for(2), threading.Event()
    Memory(2, 0, file).note_served(1)
    metrics = Metrics(Memory(2, 1, file))
    os.close(file)

    class SlowStore(ModelStore):
        def look(self) -> Snapshot:
            assert gate.wait(30)
            return super().look()

    watched.registry = Registry(SlowStore(watched.folder, "digits"), watched.load, metrics, poll_seconds=0.005)

    async def story() -> None:
        assert watched.serving is None
        gate.set()
        await watched.until(lambda: watched.serving == 1)

    run(watched, story)


def test_a_pinned_version_serves_on_when_its_folder_goes(watched: Watched) -> None:
    """The pin still keeps the newest version from serving, and the trouble is told, until the pin is removed."""
    for number in (1, 2, 3):
        write_version(watched.folder, number)
    watched.pin('{"serve": 2}')

    async def story() -> None:
        await watched.until(lambda: watched.serving == 2 and watched.registry.loaded(3) is not None)
        shutil.rmtree(watched.folder / "digits" / "2")
        await watched.until(lambda: watched.registry.trouble is not None)
        await watched.settled()
        assert watched.serving == 2
        expected = "policy.json pins version 2, which is not in the model store and serves on from memory"
        assert watched.registry.trouble == expected
        watched.pin('{"serve": "latest"}')
        await watched.until(lambda: watched.serving == 3)
        assert watched.state(2) is None
        assert watched.registry.trouble is None

    run(watched, story)


def test_removed_version_gives_way_to_the_one_before(watched: Watched) -> None:
    """Removing the newest version's folder rolls back to the version before it."""
    for number in (1, 2):
        write_version(watched.folder, number)

    async def story() -> None:
        await watched.until(lambda: watched.serving == 2)
        shutil.rmtree(watched.folder / "digits" / "2")
        await watched.until(lambda: watched.serving == 1)

    run(watched, story)


def test_an_emptied_store_leaves_the_version_serving_and_says_so(watched: Watched) -> None:
    """Removing every version may be a mistake: the version that serves goes on until the process ends."""
    for number in (1, 2):
        write_version(watched.folder, number)

    async def story() -> None:
        await watched.until(lambda: watched.serving == 2)
        for number in (1, 2):
            (watched.folder / "digits" / str(number)).rename(watched.folder / str(number))
        await watched.until(lambda: watched.registry.trouble is not None)
        await watched.settled()
        serving = watched.serving
        expected = f"the model store holds no version; version {serving} serves on from memory"
        assert watched.registry.trouble == expected
        write_version(watched.folder, 3)
        await watched.until(lambda: watched.serving == 3)
        assert watched.registry.trouble is None

    run(watched, story)


def test_vanished_store_leaves_the_version_serving(watched: Watched) -> None:
    """A store that disappears changes nothing but the reported trouble; when it is back, it is followed again."""
    write_version(watched.folder, 1)

    async def story() -> None:
        await watched.until(lambda: watched.serving == 1)
        shutil.rmtree(watched.folder / "digits")
        await watched.until(lambda: watched.registry.trouble is not None)
        await watched.settled()
        assert watched.serving == 1
        write_version(watched.folder, 2)
        await watched.until(lambda: watched.serving == 2)
        assert watched.registry.trouble is None

    run(watched, story)


def test_a_store_that_hangs_is_trouble_and_is_followed_again(watched: Watched) -> None:
    """A stalled mount is told as trouble, like one that vanished; when it answers again, it is followed again."""
    write_version(watched.folder, 1)
    store = ModelStore(watched.folder, "digits")
    watched.registry = Registry(store, watched.load, watched.metrics, poll_seconds=0.005, store_timeout_seconds=0.1)
    policy = watched.folder / "digits" / "policy.json"

    async def story() -> None:
        await watched.until(lambda: watched.serving == 1)
        os.mkfifo(policy)  # reading it waits for a writer
        await watched.until(lambda: watched.registry.trouble is not None)
        assert watched.registry.trouble == "the model store has not answered for 0.1 seconds"
        assert watched.serving == 1
        write_version(watched.folder, 2)
        with policy.open("w") as stream:
            policy.unlink()
            stream.write("{}")
        await watched.until(lambda: watched.serving == 2)
        assert watched.registry.trouble is None

    run(watched, story)


class UnforeseenStore(ModelStore):
    """A store whose look raises an unforeseen error while it `fails`."""

    fails = False

    def look(self) -> Snapshot:
        if self.fails:
            raise MemoryError
        return super().look()


def test_an_unforeseen_error_does_not_end_the_watch(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    """It is told as trouble and logged once with its traceback; the next look that succeeds is followed."""
    write_version(watched.folder, 1)
    store = UnforeseenStore(watched.folder, "digits")
    watched.registry = Registry(store, watched.load, watched.metrics, poll_seconds=0.005)

    async def story() -> None:
        await watched.until(lambda: watched.serving == 1)
        store.fails = True
        await watched.until(lambda: watched.registry.trouble is not None)
        await watched.settled()
        assert watched.registry.trouble == "looking at the model store failed: MemoryError"
        assert watched.serving == 1
        write_version(watched.folder, 2)
        store.fails = False
        await watched.until(lambda: watched.serving == 2)
        assert watched.registry.trouble is None

    run(watched, story)
    logged = [record for record in caplog.records if record.exc_info]
    assert [record.getMessage() for record in logged] == ["looking at the model store failed: MemoryError"]


def test_who_waits_is_told_of_an_unforeseen_error(watched: Watched) -> None:
    """After a first look that failed, the error is told, not that the store is looked at for the first time."""
    store = UnforeseenStore(watched.folder, "digits")
    store.fails = True
    watched.registry = Registry(store, watched.load, watched.metrics, poll_seconds=0.005)

    async def story() -> None:
        await watched.settled()
        assert watched.registry.waiting_for().startswith("Looking at the model store failed: MemoryError.")

    run(watched, story)


def test_damage_to_a_serving_versions_files_does_not_disturb_it(watched: Watched) -> None:
    """The version that serves is in memory: files that go bad are reported, tried only once, and not served."""
    folder = write_version(watched.folder, 1)

    async def story() -> None:
        await watched.until(lambda: watched.serving == 1)
        watched.load.rejected[1] = "saved_model.pb differs"
        (folder / "saved_model.pb").write_bytes(b"damaged")
        await watched.until(lambda: watched.registry.statuses()[0].reason is not None)
        await watched.settled()
        assert watched.serving == 1
        assert watched.load.loads == [1, 1]

    run(watched, story)


def test_a_postponed_version_is_no_bad_one_and_is_tried_again(watched: Watched) -> None:
    """A version that the machine could not load now is not quarantined: the reason is told, and it is loaded later."""
    write_version(watched.folder, 1)
    full = [True]

    class Full(FakeLoader):
        async def __call__(self, stored: StoredVersion) -> LoadedVersion:
            if full:
                self.loads.append(stored.number)
                msg = "the disk is full"
                raise LoadPostponed(msg)
            return await super().__call__(stored)

    watched.load = Full()
    store = ModelStore(watched.folder, "digits")
    watched.registry = Registry(store, watched.load, watched.metrics, poll_seconds=0.005, postponed_seconds=0.1)

    async def story() -> None:
        await watched.until(lambda: len(watched.load.loads) == 1)
        await watched.settled()
        assert watched.load.loads == [1]
        assert watched.state(1) is State.STORED
        assert "the disk is full" in watched.registry.waiting_for()
        full.clear()
        await watched.until(lambda: watched.serving == 1)
        assert watched.registry.statuses()[0].reason is None

    run(watched, story)
    assert watched.metrics.registry.get_sample_value("digits_model_loads_total", {"outcome": "postponed"}) == 1


class Failing(FakeLoader):
    """Fails to prepare version 2 while `fails` is true; every later try of it waits until `let_go` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.fails = True
        self.let_go = asyncio.Event()

    async def __call__(self, stored: StoredVersion) -> LoadedVersion:
        if stored.number != 2:
            return await super().__call__(stored)
        self.loads.append(2)
        if self.loads.count(2) > 1:
            await self.let_go.wait()
        if self.fails:
            msg = "it was killed"
            raise PreparingFailed(msg, again_in_seconds=0.5)
        return loaded_version(2, self.engine, stored)


def test_a_version_that_could_not_be_prepared_is_tried_again_after_a_while(watched: Watched) -> None:
    """It stays in quarantine until it has proved itself, even while it is tried again; the one before serves on."""
    for number in (1, 2):
        write_version(watched.folder, number)
    failing = watched.load = Failing()
    watched.registry = Registry(ModelStore(watched.folder, "digits"), failing, watched.metrics, poll_seconds=0.005)

    async def story() -> None:
        await watched.until(lambda: watched.serving == 1)
        await watched.settled()
        assert failing.loads.count(2) == 1
        await watched.until(lambda: failing.loads.count(2) == 2)
        await watched.settled()
        (tried, _) = watched.registry.statuses()
        assert (tried.state, tried.reason, watched.serving) == (State.QUARANTINED, "it was killed", 1)
        failing.let_go.set()
        await watched.until(lambda: failing.loads.count(2) == 3)
        failing.fails = False
        await watched.until(lambda: watched.serving == 2)
        assert watched.registry.statuses()[0].reason is None

    run(watched, story)
    rejected = watched.metrics.registry.get_sample_value("digits_model_loads_total", {"outcome": "rejected"})
    assert rejected == failing.loads.count(2) - 1


def test_a_pin_to_what_is_cached_is_followed_while_another_version_hangs(watched: Watched) -> None:
    """A rollback does not wait for the newest version, which is still being prepared and is quarantined later."""
    for number in range(1, 6):
        write_version(watched.folder, number)
    watched.load.cached = {1, 2, 3, 4, 5}
    hung = watched.load.hanging[6] = asyncio.Event()

    async def story() -> None:
        await watched.until(lambda: watched.serving == 5)
        write_version(watched.folder, 6)
        await watched.until(lambda: watched.load.loads == [6])
        watched.pin('{"serve": 1}')
        await watched.until(lambda: watched.serving == 1)
        assert watched.state(6) is State.LOADING
        watched.load.rejected[6] = "it hangs"
        hung.set()
        await watched.until(lambda: watched.state(6) is State.QUARANTINED)
        assert watched.load.loads == [6]

    run(watched, story)


def test_what_another_worker_prepares_meanwhile_is_loaded(watched: Watched) -> None:
    """A version that waits because another one hangs is looked for in the cache again."""
    for number in (1, 2):
        write_version(watched.folder, number)
    watched.load.hanging[2] = asyncio.Event()
    store = ModelStore(watched.folder, "digits")
    watched.registry = Registry(store, watched.load, watched.metrics, poll_seconds=0.005, postponed_seconds=0.1)

    async def story() -> None:
        await watched.until(lambda: watched.load.loads == [2])
        await watched.settled()
        assert watched.serving is None
        watched.load.cached = {1}
        await watched.until(lambda: watched.serving == 1)
        assert watched.load.loads == [2]

    run(watched, story)


@pytest.mark.parametrize("outcome", ["loaded", "rejected", "postponed"])
def test_what_becomes_of_files_that_have_changed_meanwhile_counts_no_more(watched: Watched, outcome: str) -> None:
    """A load that ends late neither replaces the version loaded from the new files nor says anything about them."""
    folder = write_version(watched.folder, 1)
    late = asyncio.Event()

    class Late(FakeLoader):
        async def __call__(self, stored: StoredVersion) -> LoadedVersion:
            self.loads.append(stored.number)
            await late.wait()
            if outcome == "postponed":
                raise MemoryError
            if outcome == "rejected":
                msg = "it is half written"
                raise VersionRejected(msg)
            return loaded_version(1, self.engine, stored)

    load = watched.load = Late()
    watched.registry = Registry(ModelStore(watched.folder, "digits"), load, watched.metrics, poll_seconds=0.005)

    async def story() -> None:
        await watched.until(lambda: load.loads == [1])
        load.cached = {1}
        other = watched.folder / "other"
        other.write_bytes(b"other")
        other.replace(folder / "saved_model.pb")
        await watched.until(lambda: watched.serving == 1)
        serving = watched.registry.serving
        loads = watched.metrics.registry.get_sample_value("digits_model_loads_total", {"outcome": "loaded"})
        late.set()
        await watched.settled()
        assert watched.registry.serving is serving
        assert watched.registry.statuses()[0].reason is None
        assert watched.metrics.registry.get_sample_value("digits_model_loads_total", {"outcome": "loaded"}) == loads

    run(watched, story)
    for failed in ("rejected", "postponed"):
        assert not watched.metrics.registry.get_sample_value("digits_model_loads_total", {"outcome": failed})


def test_a_start_serves_what_is_cached_while_the_newest_hangs(watched: Watched) -> None:
    """The newest version whose program is in the cache serves until a newer one is prepared."""
    for number in range(1, 7):
        write_version(watched.folder, number)
    watched.load.cached = {3, 4, 5}
    hung = watched.load.hanging[6] = asyncio.Event()

    async def story() -> None:
        assert watched.serving == 5
        await watched.until(lambda: watched.state(6) is State.LOADING)
        await watched.until(lambda: watched.state(4) is State.LOADED)
        hung.set()
        await watched.until(lambda: watched.serving == 6)

    run(watched, story)


def test_a_pin_that_has_to_be_prepared_goes_first(watched: Watched) -> None:
    """One version is prepared at a time, and a pinned one does not wait for another one that hangs."""
    for number in (1, 2):
        write_version(watched.folder, number)
    watched.load.hanging[2] = asyncio.Event()

    async def story() -> None:
        await watched.until(lambda: watched.load.loads == [2])
        watched.pin('{"serve": 1}')
        await watched.until(lambda: watched.serving == 1)
        await watched.until(lambda: watched.load.loads == [2, 1, 2])

    run(watched, story)


def test_nothing_else_serves_while_the_pinned_version_is_prepared_at_the_start(watched: Watched) -> None:
    """The pin may be there to keep the other version from serving: at a start, that one does not serve even briefly."""
    for number in (1, 2):
        write_version(watched.folder, number)
    watched.load.cached = {2}
    watched.pin('{"serve": 1}')
    prepared = watched.load.hanging[1] = asyncio.Event()

    async def story() -> None:
        await watched.until(lambda: watched.state(2) is State.LOADED)
        await watched.settled()
        assert watched.serving is None
        prepared.set()
        await watched.until(lambda: watched.serving == 1)

    run(watched, story)


@needs_a_failing_file
def test_a_version_on_a_disk_that_fails_is_not_quarantined(watched: Watched, tmp_path: Path) -> None:
    """The real loader postpones a version that it cannot read now, and leaves no rejection of it in the cache."""
    fail(write_version(watched.folder, 1) / MANIFEST_PATH)
    load = Loader("litert", tmp_path / "cache", 8)
    watched.registry = Registry(ModelStore(watched.folder, "digits"), load, watched.metrics, poll_seconds=0.005)

    async def story() -> None:
        await watched.until(lambda: "Input/output error" in watched.registry.waiting_for())
        assert watched.state(1) is State.STORED
        assert not (tmp_path / "cache").exists()

    run(watched, story)


def test_numbers_that_go_down_are_followed(watched: Watched) -> None:
    """A store in which only smaller numbers are left serves the largest of them."""
    write_version(watched.folder, 9)

    async def story() -> None:
        await watched.until(lambda: watched.serving == 9)
        write_version(watched.folder, 3)
        await watched.until(lambda: watched.state(3) is State.LOADED)
        shutil.rmtree(watched.folder / "digits" / "9")
        await watched.until(lambda: watched.serving == 3)

    run(watched, story)


def test_a_renamed_version_serves_under_its_new_number(watched: Watched) -> None:
    """Renaming a folder makes it another version; the loader is asked whether it may serve under that number."""
    write_version(watched.folder, 1)

    async def story() -> None:
        await watched.until(lambda: watched.serving == 1)
        (watched.folder / "digits" / "1").rename(watched.folder / "digits" / "5")
        await watched.until(lambda: watched.serving == 5)
        assert watched.state(1) is None

    run(watched, story)


@pytest.mark.parametrize("name", ["007", "v2", "2.0", "-3", "+4", "1e3", "٣", "3 ", ".publishing-9"])
def test_what_is_no_plain_number_is_no_version(watched: Watched, name: str) -> None:
    """Folders with other names, and a file with a number for a name, are passed over without trouble."""
    write_version(watched.folder, 1)
    shutil.copytree(watched.folder / "digits" / "1", watched.folder / "digits" / name)
    (watched.folder / "digits" / "3").write_text("a file")

    async def story() -> None:
        await watched.until(lambda: watched.serving == 1)
        await watched.settled()
        assert [status.number for status in watched.registry.statuses()] == [1]
        assert watched.registry.trouble is None

    run(watched, story)
