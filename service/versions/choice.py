"""Which version of the store should serve, and which to have loaded besides: the policy, as far as it can be followed.

Decides only: when versions are loaded is for `schedule` to say, and when one begins to serve for the registry.
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
    """What follows from the store as it was seen last, what is loaded, and what is held against versions.

    `serving` is the version that serves here; `served` is too, and before there is one, what the other workers serve.
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
        """What has to be loaded now: of those that are wanted, and of those that are worth another try."""
        asked_for = [*wanted, *self.worth_another_try()]
        return [stored for stored in asked_for if self.needs_loading(stored) and not self.verdicts.is_postponed(stored)]

    def must_be_waited_for(self, first: StoredVersion) -> bool:
        """Whether nothing else may begin to serve: a pin may be there to keep the newest version from it."""
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
        """Whether it may not serve: one that is loaded goes on, whatever becomes of its files."""
        return self.verdicts.is_quarantined(stored) and stored.number not in self.loaded

    def needs_loading(self, stored: StoredVersion) -> bool:
        """Whether its files are other than those that were loaded, or that are in quarantine still."""
        loaded = self.loaded.get(stored.number)
        is_loaded = loaded is not None and loaded.stored.fingerprint == stored.fingerprint
        return not is_loaded and self.verdicts.may_be_tried(stored)

    @property
    def pinned(self) -> int | None:
        """The version that the policy asks for; with a policy that cannot be read, the one that serves."""
        policy = self.snapshot.policy
        if policy is None:
            return self.served
        return policy.serve if isinstance(policy.serve, int) else None

    def _why_put_off(self, pinned: StoredVersion) -> str | None:
        """Why the pinned version does not serve yet, if this machine could not load it; else it is on its way."""
        if pinned.number == self.serving or not self.verdicts.is_postponed(pinned):
            return None
        why = self.verdicts.reason(pinned.number)
        return f"policy.json pins version {pinned.number}, which could not be loaded yet: {why}"

    def _of(self, usable: list[StoredVersion]) -> list[StoredVersion]:
        """Of these the ones to have loaded, the one that should serve first.

        A pinned version whose folder is gone serves on; a pin that cannot be followed at all leaves what serves, and a
        worker that takes another's place begins with what the others serve.
        """
        pinned = self.pinned
        first = _numbered(usable, pinned)
        if not first and pinned is not None:
            kept = self.loaded.get(pinned)
            first = [kept.stored] if kept else _numbered(usable, self.served)
        return [*first, *(stored for stored in usable if stored not in first)][:LOADED_VERSIONS]


def _numbered(versions: Iterable[StoredVersion], number: int | None) -> list[StoredVersion]:
    return [stored for stored in versions if stored.number == number]
