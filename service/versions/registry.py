"""The registry: watches the model store, and makes the right version serve.

The store's newest version serves, or the one that policy.json pins. A version that fails to load is
quarantined with its reason until its files change, or until it is time for another try if the machine may
have been to blame; whatever happens, the version that serves goes on. `choice` decides which one should serve,
`schedule` when versions are loaded, and `verdicts` what is held against those that fail.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import replace

from service.telemetry.metrics import Metrics
from service.versions.choice import Choice
from service.versions.loading import Load, LoadedVersion
from service.versions.model_store import ModelStore, Snapshot, StoredVersion
from service.versions.reads import Reads
from service.versions.schedule import Schedule
from service.versions.statuses import State, VersionStatus
from service.versions.verdicts import POSTPONED_SECONDS, UNFORESEEN_SECONDS, Verdicts

# A version whose program is in the cache serves within this time, so that no request is refused at the start.
_OPENING_SECONDS = 2.0

# A look takes some 30 file operations for each version, each at most some milliseconds on a remote store.
STORE_TIMEOUT_SECONDS = 30.0

log = logging.getLogger("digits.registry")


class NothingToServe(RuntimeError):
    """A worker has no version and can load none, while the other workers go on with the one that they have."""


class Registry:
    """Keeps the right versions loaded; read by requests, changed only by its own task."""

    def __init__(
        self,
        store: ModelStore,
        load: Load,
        metrics: Metrics,
        poll_seconds: float,
        postponed_seconds: float = POSTPONED_SECONDS,
        unforeseen_seconds: float = UNFORESEEN_SECONDS,
        store_timeout_seconds: float = STORE_TIMEOUT_SECONDS,
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._poll_seconds = poll_seconds
        self._store_timeout_seconds = store_timeout_seconds
        self._reads = Reads(1)  # a look that hangs blocks only its own thread, and no other begins until it is done
        self._snapshot = Snapshot((), None)
        self._has_looked = False
        self._loaded: dict[int, LoadedVersion] = {}
        self._verdicts = Verdicts(postponed_seconds, unforeseen_seconds)
        self._schedule = Schedule(load, self._take, postponed_seconds)
        self._settled = asyncio.Event()
        self.serving: LoadedVersion | None = None
        self.trouble: str | None = None

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Watch the store while the context is open; entering waits briefly for a version that needs no preparing.

        Raises:
            NothingToServe: The store is missing or empty while other workers serve: they get this one's connections.
        """
        watching = asyncio.create_task(self._watch(), name="registry")
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_OPENING_SECONDS):
                    await self._settled.wait()
            self._give_way_to_others()
            yield
        finally:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching
            await self._schedule.cancel()

    def _give_way_to_others(self) -> None:
        """Raise `NothingToServe` rather than answer 503 to requests that other workers could answer."""
        others = self._metrics.memory.served_by_others
        if self.serving is None and others is not None and self._has_looked and not self._snapshot.versions:
            trouble = self.trouble or "the model store holds no version"
            raise NothingToServe(f"{trouble}; the other workers serve version {others} on from memory")

    def loaded(self, number: int) -> LoadedVersion | None:
        """The loaded version of that number, if there is one."""
        return self._loaded.get(number)

    def stored(self, number: int) -> StoredVersion | None:
        """The version of that number that lies in the store, loaded or not."""
        return next((stored for stored in self._snapshot.versions if stored.number == number), None)

    def statuses(self) -> list[VersionStatus]:
        """Every version that is in the store or loaded, newest first."""
        numbers = {stored.number for stored in self._snapshot.versions} | self._loaded.keys()
        return [self._status(number) for number in sorted(numbers, reverse=True)]

    def waiting_for(self) -> str:
        """Why no version serves, as a sentence that says what to do."""
        loading = self._schedule.numbers
        if loading:
            return f"Version {loading[0]} is being loaded; that takes some seconds."
        if not self._has_looked:
            return "The model store is being looked at for the first time."
        waiting = [stored for stored in self._choice().wanted() if not self._verdicts.is_postponed(stored)]
        if waiting:
            return f"Version {waiting[0].number} is about to be loaded; that takes some seconds."
        if self._snapshot.versions:
            reasons = [f"{status.number}: {status.reason}" for status in self.statuses() if status.reason]
            reasons += [self.trouble] if self.trouble else []
            return f"No version in the model store may serve. {'; '.join(reasons)}."
        where = self.trouble or "the model store holds no version"
        return (
            f"{where[0].upper()}{where[1:]}. Publish one with `python -m trainer release` or `python -m trainer train`."
        )

    async def _watch(self) -> None:
        while True:
            self._schedule.is_due.clear()
            try:
                await self.look()
            except Exception as error:  # noqa: BLE001 - a watch that ended would never look at the store again
                self._has_looked = True
                self._note_trouble(f"looking at the model store failed: {type(error).__name__}", error)
            if self.serving or not self._schedule.is_opening:
                self._settled.set()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._poll_seconds):
                    await self._schedule.is_due.wait()

    async def look(self) -> None:
        """Look at the store once: switch to the version that should serve, start loading what is missing."""
        snapshot = await self._see()
        if snapshot.versions or not self.serving:
            self._snapshot = snapshot
        choice = self._choice()
        wanted = choice.wanted()
        self._note_trouble(snapshot.trouble or choice.trouble_with_pin())
        self._switch(choice, wanted)
        self._forget_the_rest(wanted)
        if snapshot is self._snapshot:  # a store that has vanished has nothing to load
            choice = self._choice()  # with the version that serves by now
            self._schedule.load_next(choice.missing(wanted), choice.pinned)

    async def _see(self) -> Snapshot:
        """What the store holds now; if it cannot be read, what it held before, with the trouble."""
        try:
            snapshot = await self._reads.run(self._store, self._store.look, self._store_timeout_seconds)
        except TimeoutError:
            trouble = f"the model store has not answered for {self._store_timeout_seconds:g} seconds"
            snapshot = replace(self._snapshot, trouble=trouble)
        except OSError as error:
            snapshot = replace(self._snapshot, trouble=f"the model store cannot be looked at: {error.strerror}")
        self._has_looked = True
        if self.serving and not snapshot.versions and not snapshot.trouble:
            emptied = f"the model store holds no version; version {self.serving.number} serves on from memory"
            snapshot = replace(snapshot, trouble=emptied)
        return snapshot

    def _choice(self) -> Choice:
        """What should serve, by what is known now."""
        serving = self.serving.number if self.serving else None
        served = serving or self._metrics.memory.served_by_others
        return Choice(self._snapshot, self._loaded, self._verdicts, serving, served)

    def _switch(self, choice: Choice, wanted: list[StoredVersion]) -> None:
        """Serve the first wanted version once it is loaded; until then, the version that serves goes on."""
        ready = [self._loaded[stored.number] for stored in wanted if stored.number in self._loaded]
        if not ready or ready[0] is self.serving:
            return
        if ready[0].number == wanted[0].number or (self.serving is None and not choice.must_be_waited_for(wanted[0])):
            self.serving = ready[0]
            self._metrics.serve(self.serving)
            log.info("serving version %d", self.serving.number, extra={"version": self.serving.number})

    def _forget_the_rest(self, wanted: list[StoredVersion]) -> None:
        keep = {stored.number for stored in wanted} | ({self.serving.number} if self.serving else set())
        for number in self._loaded.keys() - keep:
            del self._loaded[number]
        self._verdicts.forget_all_but([stored.number for stored in self._snapshot.versions])
        self._schedule.forget_all_but(self._snapshot.versions)

    def _take(self, stored: StoredVersion, loaded: LoadedVersion | Exception | None, seconds: float) -> None:
        """Take the result of a load; called by the schedule."""
        if self.stored(stored.number) != stored:
            # The files that are there now are loaded separately, and may have been already.
            log.info("version %d has changed meanwhile", stored.number, extra={"version": stored.number})
        elif isinstance(loaded, Exception):
            self._metrics.loads.inc(self._verdicts.judge(stored, loaded))
        elif loaded is not None:
            self._accept(loaded)
            self._metrics.load_duration.observe(seconds)

    def _accept(self, loaded: LoadedVersion) -> None:
        number = loaded.number
        self._loaded[number] = loaded
        self._verdicts.acquit(number)
        self._metrics.loads.inc("loaded")
        if self.serving and self.serving.number == number:  # the same number with other files
            self.serving = loaded
            self._metrics.serve(loaded)

    def _status(self, number: int) -> VersionStatus:
        reason = self._verdicts.reason(number)
        if self.serving and self.serving.number == number:
            return VersionStatus(number, State.SERVING, reason)
        stored = self.stored(number)
        loading = number in self._schedule.numbers
        if loading and not (stored and self._choice().is_quarantined(stored)):
            return VersionStatus(number, State.LOADING)
        if number in self._loaded:
            return VersionStatus(number, State.LOADED, reason)
        if self._verdicts.why_quarantined(number):
            return VersionStatus(number, State.QUARANTINED, reason)
        return VersionStatus(number, State.STORED, reason)

    def _note_trouble(self, trouble: str | None, error: Exception | None = None) -> None:
        if trouble and trouble != self.trouble:
            log.warning("%s", trouble, exc_info=error)
        self.trouble = trouble
