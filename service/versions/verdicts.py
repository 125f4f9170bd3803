"""Verdicts on versions that could not be loaded: a quarantine, or a wait because this machine could not load them now.

Each verdict is about the files that a version had then; with other files it is worth another try.
"""

import logging
import math
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from service.versions.loading import PreparingFailed
from service.versions.manifest import VersionRejected
from service.versions.model_store import Fingerprint, StoredVersion
from service.versions.preparing import LoadPostponed

# A load put off because the disk was full, or another worker was preparing the version, is tried again after this long,
# then after twice as long, up to 40 s: an operator who makes room, or pins the version, waits no longer than that.
POSTPONED_SECONDS = 10.0
_LONGEST_TIMES = 4

# How long an unforeseen error keeps a version in quarantine: it may be this machine's fault, or happen every time.
UNFORESEEN_SECONDS = 300.0

log = logging.getLogger("digits.registry")  # shared by the registry's parts


@dataclass(frozen=True)
class _Verdict:
    fingerprint: Fingerprint
    reason: str
    for_seconds: float
    until_seconds: float


class Verdicts:
    """The versions that may not serve, or not yet; at most one verdict of each kind for each version number."""

    def __init__(
        self, postponed_seconds: float = POSTPONED_SECONDS, unforeseen_seconds: float = UNFORESEEN_SECONDS
    ) -> None:
        self._postponed_seconds = postponed_seconds
        self._unforeseen_seconds = unforeseen_seconds
        self._quarantined: dict[int, _Verdict] = {}
        self._postponed: dict[int, _Verdict] = {}

    def judge(self, stored: StoredVersion, error: Exception) -> Literal["rejected", "postponed"]:
        """Quarantine a version for what may be its own fault, postpone it for this machine's; return which."""
        match error:
            case PreparingFailed():
                return self._reject(stored, str(error), error.again_in_seconds)
            case VersionRejected():
                return self._reject(stored, str(error))
            case LoadPostponed():
                return self._put_off(stored, str(error))
            case OSError():  # too many open files, a disk that fails
                return self._put_off(stored, f"loading it failed: {error.strerror or type(error).__name__}")
            case MemoryError():
                return self._put_off(stored, "loading it failed: Cannot allocate memory")
            case _:
                log.error("loading version %d failed", stored.number, exc_info=error)
                return self._reject(stored, f"loading it failed: {type(error).__name__}", self._unforeseen_seconds)

    def quarantine(self, stored: StoredVersion, reason: str, for_seconds: float = math.inf) -> None:
        """Quarantine these files; after `for_seconds` they may be tried again, but stay in quarantine meanwhile."""
        self._quarantined[stored.number] = _Verdict(
            stored.fingerprint, reason, for_seconds, time.monotonic() + for_seconds
        )
        self._postponed.pop(stored.number, None)

    def postpone(self, stored: StoredVersion, reason: str, for_seconds: float) -> None:
        """Leave these files alone for `for_seconds`, without blame; a quarantine of other files of the version ends."""
        if not self.is_quarantined(stored):
            self._quarantined.pop(stored.number, None)
        self._postponed[stored.number] = _Verdict(
            stored.fingerprint, reason, for_seconds, time.monotonic() + for_seconds
        )

    def acquit(self, number: int) -> None:
        """Hold nothing against a version any more: it has proved itself."""
        self._quarantined.pop(number, None)
        self._postponed.pop(number, None)

    def forget_all_but(self, numbers: Collection[int]) -> None:
        """Drop the verdicts on versions that are no longer there."""
        for verdicts in (self._quarantined, self._postponed):
            for number in verdicts.keys() - set(numbers):
                del verdicts[number]

    def is_quarantined(self, stored: StoredVersion) -> bool:
        """Whether it is in quarantine with just these files."""
        quarantine = self._quarantined.get(stored.number)
        return quarantine is not None and quarantine.fingerprint == stored.fingerprint

    def may_be_tried(self, stored: StoredVersion) -> bool:
        """Whether no quarantine keeps these files from another try."""
        quarantine = self._quarantined.get(stored.number)
        over = quarantine is not None and time.monotonic() >= quarantine.until_seconds
        return over or not self.is_quarantined(stored)

    def is_postponed(self, stored: StoredVersion) -> bool:
        """Whether it is not yet time for another try of just these files."""
        postponed = self._postponed.get(stored.number)
        if postponed is None or postponed.fingerprint != stored.fingerprint:
            return False
        return time.monotonic() < postponed.until_seconds

    def why_quarantined(self, number: int) -> str | None:
        """The reason for its quarantine, whichever files it was found with."""
        quarantine = self._quarantined.get(number)
        return quarantine.reason if quarantine else None

    def reason(self, number: int) -> str | None:
        """Why it does not serve, as far as a verdict says it."""
        postponed = self._postponed.get(number)
        return self.why_quarantined(number) or (postponed.reason if postponed else None)

    def _put_off(self, stored: StoredVersion, reason: str) -> Literal["postponed"]:
        self.postpone(stored, reason, self._next_postponement_seconds(stored))
        log.warning("version %d could not be loaded now: %s", stored.number, reason, extra={"version": stored.number})
        return "postponed"

    def _next_postponement_seconds(self, stored: StoredVersion) -> float:
        last = self._postponed.get(stored.number)
        if last is None or last.fingerprint != stored.fingerprint:
            return self._postponed_seconds
        return min(2 * last.for_seconds, _LONGEST_TIMES * self._postponed_seconds)

    def _reject(self, stored: StoredVersion, reason: str, for_seconds: float = math.inf) -> Literal["rejected"]:
        self.quarantine(stored, reason, for_seconds)
        log.error("version %d is quarantined: %s", stored.number, reason, extra={"version": stored.number})
        return "rejected"
