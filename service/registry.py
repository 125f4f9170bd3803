"""The registry: watches the model store and decides which version serves.

The store's newest version serves, or the one that policy.json pins. A version that fails to load is
quarantined with its reason until its files change, or until it is time for another try if the machine may
have been to blame; whatever happens, the version that serves goes on. What is in the program cache never waits for
what has to be prepared.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

from service.choice import Choice
from service.loading import Load, LoadedVersion
from service.metrics import Metrics
from service.model_store import ModelStore, Snapshot, StoredVersion
from service.reads import Reads
from service.statuses import State, VersionStatus
from service.verdicts import POSTPONED_SECONDS, UNFORESEEN_SECONDS, Verdicts

# With its program in the cache a version serves within this time, and no request is refused at the start.
_OPENING_SECONDS = 2.0

# A look takes some 40 file operations for each version, of at most some milliseconds each where a store is far away.
STORE_TIMEOUT_SECONDS = 30.0

_LoadOne = Callable[[StoredVersion], Awaitable[LoadedVersion | None]]

log = logging.getLogger("digits.registry")


class NothingToServe(RuntimeError):
    """A worker that has no version and can load none, where others go on with the one that they have."""


@dataclass
class _Turn:
    """The one version of its kind that is being loaded, if one is."""

    task: asyncio.Task[None] | None = None
    stored: StoredVersion | None = None

    @property
    def number(self) -> int | None:
        """The version's number."""
        return self.stored.number if self.stored else None


class _Uncached(NamedTuple):
    """A version whose program was not in the cache, and until when that is believed: another worker may make it."""

    stored: StoredVersion
    until_seconds: float


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
        self._load = load
        self._metrics = metrics
        self._poll_seconds = poll_seconds
        self._postponed_seconds = postponed_seconds
        self._store_timeout_seconds = store_timeout_seconds
        self._reads = Reads(1)  # a look that hangs has its thread for itself, and there are no others until it is done
        self._snapshot = Snapshot((), None)
        self._has_looked = False
        self._loaded: dict[int, LoadedVersion] = {}
        self._verdicts = Verdicts(postponed_seconds, unforeseen_seconds)
        # What is in the cache takes milliseconds and is loaded beside what has to be prepared, which may take minutes.
        self._opening, self._preparing = _Turn(), _Turn()
        self._uncached: dict[int, _Uncached] = {}
        self._look_again = asyncio.Event()
        self._settled = asyncio.Event()
        self.serving: LoadedVersion | None = None
        self.trouble: str | None = None

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Watch the store for as long as the context is open; opens once a version serves that needs no preparing.

        Raises:
            NothingToServe: The store is away or empty, and other workers serve: they get the connections of this one.
        """
        watching = asyncio.create_task(self._watch(), name="registry")
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_OPENING_SECONDS):
                    await self._settled.wait()
            self._give_way_to_others()
            yield
        finally:
            for task in (watching, self._opening.task, self._preparing.task):
                if task is not None:
                    task.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await task

    def _give_way_to_others(self) -> None:
        """Raise `NothingToServe` rather than answer 503 to what other workers would answer."""
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
        loading = self._preparing.number or self._opening.number
        if loading is not None:
            return f"Version {loading} is being loaded; that takes some seconds."
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
            self._look_again.clear()
            try:
                await self.look()
            except Exception as error:  # noqa: BLE001 - a watch that ended would never look at the store again
                self._has_looked = True
                self._note_trouble(f"looking at the model store failed: {type(error).__name__}", error)
            if self.serving or self._opening.task is None:
                self._settled.set()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._poll_seconds):
                    await self._look_again.wait()

    async def look(self) -> None:
        """Look at the store once: switch to the version that should serve, start loading what is missing."""
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
        if snapshot.versions or not self.serving:
            self._snapshot = snapshot
        choice = self._choice()
        wanted = choice.wanted()
        self._note_trouble(snapshot.trouble or choice.trouble_with_pin())
        self._switch(choice, wanted)
        self._forget_the_rest(wanted)
        if snapshot is self._snapshot:  # a store that has vanished has nothing to load
            self._load_next(self._choice(), wanted)

    def _choice(self) -> Choice:
        """What should serve, by what is known now."""
        serving = self.serving.number if self.serving else None
        served = serving or self._metrics.memory.served_by_others
        return Choice(self._snapshot, self._loaded, self._verdicts, serving, served)

    def _switch(self, choice: Choice, wanted: list[StoredVersion]) -> None:
        """Serve the first wanted version once it is loaded; until then, what serves goes on."""
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
        stored_numbers = {stored.number for stored in self._snapshot.versions}
        self._verdicts.forget_all_but(stored_numbers)
        for number in self._uncached.keys() - stored_numbers:
            del self._uncached[number]

    def _load_next(self, choice: Choice, wanted: list[StoredVersion]) -> None:
        """Load what is in the cache, one after the other; then prepare what is not, one at a time: it takes a core."""
        asked_for = [*wanted, *choice.worth_another_try()]
        missing = [
            stored for stored in asked_for if choice.needs_loading(stored) and not self._verdicts.is_postponed(stored)
        ]
        uncached = [stored for stored in missing if self._is_uncached(stored)]
        unknown = [stored for stored in missing if stored not in uncached]
        if unknown and self._opening.task is None:
            self._start(self._opening, unknown[0], self._load.from_cache)
        if uncached and self._opening.task is None:
            self._prepare_next(uncached[0], choice.pinned)

    def _is_uncached(self, stored: StoredVersion) -> bool:
        """Whether it has to be prepared, or is being: one that waits for its turn is looked for again and again."""
        uncached = self._uncached.get(stored.number)
        is_known = uncached is not None and uncached.stored == stored and time.monotonic() < uncached.until_seconds
        return is_known or stored == self._preparing.stored

    def _prepare_next(self, stored: StoredVersion, pinned: int | None) -> None:
        """Prepare it unless another version is being prepared, which only a pin may interrupt: that one comes again."""
        preparing = self._preparing
        if preparing.task is None:
            self._start(preparing, stored, self._load)
        elif stored.number == pinned != preparing.number and not preparing.task.cancelling():
            log.info("version %s waits for the pinned version %d", preparing.number, stored.number)
            preparing.task.cancel()

    def _start(self, turn: _Turn, stored: StoredVersion, load: _LoadOne) -> None:
        turn.stored = stored
        turn.task = asyncio.create_task(self._load_version(turn, stored, load), name="load version")

    async def _load_version(self, turn: _Turn, stored: StoredVersion, load: _LoadOne) -> None:
        started = time.monotonic()
        what = "preparing" if turn is self._preparing else "loading"
        log.info("%s version %d", what, stored.number, extra={"version": stored.number})
        loaded: LoadedVersion | Exception | None
        try:
            loaded = await load(stored)
        except Exception as error:  # noqa: BLE001 - a registry that ended would never look at the store again
            loaded = error
        finally:
            turn.task = turn.stored = None
            self._look_again.set()
        if self.stored(stored.number) != stored:
            # The files that are there now are loaded for themselves, and may have been already.
            log.info("version %d has changed meanwhile", stored.number, extra={"version": stored.number})
        elif isinstance(loaded, Exception):
            self._metrics.loads.inc(self._verdicts.judge(stored, loaded))
        elif loaded is None:
            self._uncached[stored.number] = _Uncached(stored, time.monotonic() + self._postponed_seconds)
        else:
            self._accept(loaded)
            self._metrics.load_duration.observe(time.monotonic() - started)

    def _accept(self, loaded: LoadedVersion) -> None:
        number = loaded.number
        self._loaded[number] = loaded
        self._uncached.pop(number, None)  # when it is asked for again, its program is there
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
        loading = number in (self._opening.number, self._preparing.number)
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
