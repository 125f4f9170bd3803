"""Which version of the store should serve, and which others stay loaded: follows the policy as far as possible.

Only decides: `schedule` says when versions are loaded, and the registry when one begins to serve.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from service.versions.loading import LoadedVersion
from service.versions.model_store import Snapshot, StoredVersion
from service.versions.verdicts import Verdicts

# Versions that stay loaded: the one that serves and the newest others, so that `?version=` can compare
# and a rollback is instant. A loaded version takes about 8 MB.
LOADED_VERSIONS = 3


@dataclass(frozen=True)
class Choice:
    """What should serve, given the last snapshot of the store, the loaded versions and the verdicts.

    `serving` is the version that this worker serves. `served` is the same one or, before there is one, the version that
    the other workers serve.
    """

    snapshot: Snapshot
    loaded: Mapping[int, LoadedVersion]
    verdicts: Verdicts
    serving: int | None
    served: int | None

    def wanted(self) -> list[StoredVersion]:
        """The versions to have loaded, the one that should serve first."""
        return self._of([stored for stored in self.snapshot.versions if not self.is_quarantined(stored)])

    def worth_another_try(self) -> list[StoredVersion]:
        """The versions whose quarantine is over, and that would be wanted if they could serve."""
        versions = self.snapshot.versions
        candidates = [stored for stored in versions if not self.is_quarantined(stored) or self.needs_loading(stored)]
        return [stored for stored in self._of(candidates) if self.is_quarantined(stored)]

    def missing(self, wanted: list[StoredVersion]) -> list[StoredVersion]:
        """The versions to load now, out of those that are wanted and those that are worth another try."""
        asked_for = [*wanted, *self.worth_another_try()]
        return [stored for stored in asked_for if self.needs_loading(stored) and not self.verdicts.is_postponed(stored)]

    def must_be_waited_for(self, first: StoredVersion) -> bool:
        """Whether no other version may begin to serve first: a pin may be there to keep the newest one from serving."""
        return first.number in (self.pinned, self.served) and not self.verdicts.is_postponed(first)

    def trouble_with_pin(self) -> str | None:
        """Why the pinned version does not serve from the store, as far as that is known."""
        pinned = self.pinned
        stored = _numbered(self.snapshot.versions, pinned)
        if pinned is None:
            return None
        if stored and not self.is_quarantined(stored[0]):
            return self._why_put_off(stored[0])
        reason = self.verdicts.why_quarantined(pinned)
        why = f"is quarantined: {reason}" if reason else "is not in the model store"
        why += " and serves on from memory" if self.serving == pinned else ""
        return f"policy.json pins version {pinned}, which {why}"

    def is_quarantined(self, stored: StoredVersion) -> bool:
        """Whether the version may not serve; a loaded one may go on, whatever happens to its files."""
        return self.verdicts.is_quarantined(stored) and stored.number not in self.loaded

    def needs_loading(self, stored: StoredVersion) -> bool:
        """Whether its files differ from those that were loaded, and no quarantine keeps them from being tried."""
        loaded = self.loaded.get(stored.number)
        is_loaded = loaded is not None and loaded.stored.fingerprint == stored.fingerprint
        return not is_loaded and self.verdicts.may_be_tried(stored)

    @property
    def pinned(self) -> int | None:
        """The version that the policy pins; if the policy cannot be read, the one that serves."""
        policy = self.snapshot.policy
        if policy is None:
            return self.served
        return policy.serve if isinstance(policy.serve, int) else None

    def _why_put_off(self, pinned: StoredVersion) -> str | None:
        """Why this machine could not load the pinned version yet; None if it serves or is still being loaded."""
        if pinned.number == self.serving or not self.verdicts.is_postponed(pinned):
            return None
        why = self.verdicts.reason(pinned.number)
        return f"policy.json pins version {pinned.number}, which could not be loaded yet: {why}"

    def _of(self, usable: list[StoredVersion]) -> list[StoredVersion]:
        """The usable versions to have loaded, the one that should serve first.

        A pinned version whose folder is gone serves on from memory. If a pin cannot be followed at all, the version
        that serves goes on, and a worker that replaces another begins with the version that the others serve.
        """
        pinned = self.pinned
        first = _numbered(usable, pinned)
        if not first and pinned is not None:
            kept = self.loaded.get(pinned)
            first = [kept.stored] if kept else _numbered(usable, self.served)
        return [*first, *(stored for stored in usable if stored not in first)][:LOADED_VERSIONS]


def _numbered(versions: Iterable[StoredVersion], number: int | None) -> list[StoredVersion]:
    return [stored for stored in versions if stored.number == number]
