"""When versions are loaded: those in the program cache one after the other, beside the one that is being prepared.

Loading from the cache takes milliseconds and never waits for preparing, which may take minutes. The registry decides
which versions to load, and what follows from how a load ended.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass

from service.versions.loading import Load, LoadedVersion
from service.versions.model_store import StoredVersion

_LoadOne = Callable[[StoredVersion], Awaitable[LoadedVersion | None]]

Ended = Callable[[StoredVersion, LoadedVersion | Exception | None, float], None]
"""Takes the version, the result of its load (None if it has to be prepared first), and how many seconds it took."""

log = logging.getLogger("digits.registry")  # shared by the registry's parts


@dataclass
class _Turn:
    """The version that is being loaded from the cache, or that is being prepared, if there is one."""

    task: asyncio.Task[None] | None = None
    stored: StoredVersion | None = None

    @property
    def number(self) -> int | None:
        """The version's number."""
        return self.stored.number if self.stored else None


class Schedule:
    """Loads one version from the cache and prepares one at a time; `is_due` is set when another may begin."""

    def __init__(self, load: Load, ended: Ended, believed_seconds: float) -> None:
        """Make it; nothing is loaded yet.

        Args:
            load: Loads one version.
            ended: Called when a load has ended, unless it was cancelled.
            believed_seconds: How long a version is taken not to be in the cache; another worker may prepare it.
        """
        self._load = load
        self._ended = ended
        self._believed_seconds = believed_seconds
        self._opening, self._preparing = _Turn(), _Turn()
        self._uncached_until: dict[StoredVersion, float] = {}
        self.is_due = asyncio.Event()

    @property
    def is_opening(self) -> bool:
        """Whether a version is being loaded out of the cache, or looked for there."""
        return self._opening.task is not None

    @property
    def numbers(self) -> list[int]:
        """The versions that are being loaded; the one that is being prepared first."""
        return [turn.number for turn in (self._preparing, self._opening) if turn.number is not None]

    def load_next(self, missing: list[StoredVersion], pinned: int | None) -> None:
        """Load cached versions one after the other; then prepare the rest one at a time, as each takes a core."""
        uncached = [stored for stored in missing if self._is_uncached(stored)]
        unknown = [stored for stored in missing if stored not in uncached]
        if unknown and not self.is_opening:
            self._start(self._opening, unknown[0], self._load.from_cache)
        if uncached and not self.is_opening:
            self._prepare_next(uncached[0], pinned)

    def forget_all_but(self, versions: Collection[StoredVersion]) -> None:
        """Drop what is known of versions that are no longer there."""
        for stored in self._uncached_until.keys() - set(versions):
            del self._uncached_until[stored]

    async def cancel(self) -> None:
        """Cancel the loads that are running."""
        for task in (self._opening.task, self._preparing.task):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    def _is_uncached(self, stored: StoredVersion) -> bool:
        """Whether it has to be or is being prepared; while it waits for its turn, the cache is checked repeatedly."""
        until_seconds = self._uncached_until.get(stored)
        is_known = until_seconds is not None and time.monotonic() < until_seconds
        return is_known or stored == self._preparing.stored

    def _prepare_next(self, stored: StoredVersion, pinned: int | None) -> None:
        """Prepare it unless another version is being prepared; only a pin interrupts that one, which comes again."""
        preparing = self._preparing
        if preparing.task is None:
            self._start(preparing, stored, self._load)
        elif stored.number == pinned != preparing.number and not preparing.task.cancelling():
            log.info("version %s waits for the pinned version %d", preparing.number, stored.number)
            preparing.task.cancel()

    def _start(self, turn: _Turn, stored: StoredVersion, load: _LoadOne) -> None:
        turn.stored = stored
        turn.task = asyncio.create_task(self._run(turn, stored, load), name="load version")

    async def _run(self, turn: _Turn, stored: StoredVersion, load: _LoadOne) -> None:
        started = time.monotonic()
        what = "preparing" if turn is self._preparing else "loading"
        log.info("%s version %d", what, stored.number, extra={"version": stored.number})
        loaded: LoadedVersion | Exception | None
        try:
            loaded = await load(stored)
        except Exception as error:  # noqa: BLE001 - `ended` gets it, and judges the version by it
            loaded = error
        finally:
            turn.task = turn.stored = None
            self.is_due.set()
        if loaded is None:
            self._uncached_until[stored] = time.monotonic() + self._believed_seconds
        elif isinstance(loaded, LoadedVersion):
            self._uncached_until.pop(stored, None)  # its program is in the cache from now on
        self._ended(stored, loaded, time.monotonic() - started)
