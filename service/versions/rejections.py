"""Keeps the reasons for rejections in the program cache, so that other workers need not find them again.

A reason counts for the files that it was found with, and for a while: a machine that was too busy may have room later.
"""

import contextlib
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path

from service.versions.model_store import Fingerprint

# The first wait is as long as preparing may take: a version that hangs takes half a core at most, soon a thirteenth.
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 300.0, 3600.0
_SUFFIX = ".rejected"


@dataclass(frozen=True)
class Rejection:
    """Why a version was rejected, and how soon it is worth another try: never (infinity) if the rejection is final."""

    reason: str
    again_in_seconds: float


@dataclass(frozen=True)
class _Kept:
    reason: str
    final: bool
    wait_seconds: float
    age_seconds: float


@dataclass(frozen=True)
class Rejections:
    """The reasons that are kept in the folder `cache` for rejections by the engine named `engine`."""

    cache: Path
    engine: str

    def find(self, manifest_sha256: str, fingerprint: Fingerprint) -> Rejection | None:
        """The rejection of the version with this manifest and these files, if there is one that still counts."""
        kept = self._read(manifest_sha256, fingerprint)
        if kept is None or kept.age_seconds >= kept.wait_seconds:
            return None
        return Rejection(kept.reason, math.inf if kept.final else kept.wait_seconds - kept.age_seconds)

    def keep(self, manifest_sha256: str, fingerprint: Fingerprint, reason: str, *, final: bool) -> Rejection:
        """Keep a rejection for the other workers; if the cache cannot be written to, each makes its own try.

        Args:
            manifest_sha256: Names the version.
            fingerprint: Its files.
            reason: Why it is rejected.
            final: Whether the version is to blame; if not, it is to be tried again, each time after a longer wait.
        """
        before = self._read(manifest_sha256, fingerprint)
        wait_seconds = min(2 * before.wait_seconds, _LONGEST_WAIT_SECONDS) if before else _FIRST_WAIT_SECONDS
        if final:
            wait_seconds = _LONGEST_WAIT_SECONDS
        file = self._file(manifest_sha256)
        kept = {"reason": reason, "final": final, "wait_seconds": wait_seconds, "fingerprint": _plain(fingerprint)}
        with contextlib.suppress(OSError):
            unfinished = file.with_suffix(".writing")
            unfinished.write_text(json.dumps(kept))
            unfinished.replace(file)
        return Rejection(reason, math.inf if final else wait_seconds)

    def _read(self, manifest_sha256: str, fingerprint: Fingerprint) -> _Kept | None:
        file = self._file(manifest_sha256)
        try:
            kept = json.loads(file.read_text())
            if kept["fingerprint"] != _plain(fingerprint):
                return None
            # It may lie in the future, if clocks differ or one was set back: the reason must not count for ever.
            age_seconds = abs(time.time() - file.stat().st_mtime)
            return _Kept(str(kept["reason"]), bool(kept["final"]), float(kept["wait_seconds"]), age_seconds)
        except (OSError, ValueError, KeyError, TypeError):
            return None  # none is kept, or it is damaged: the version is tried

    def _file(self, manifest_sha256: str) -> Path:
        return self.cache / f"{manifest_sha256}-{self.engine}{_SUFFIX}"


def _plain(fingerprint: Fingerprint) -> list[list[str | int]]:
    """The fingerprint as JSON returns it, without ctimes, which differ between replicas' copies of a version.

    Damage is found before anything is kept here, so the manifest's hash stands for the content.
    """
    return [list(entry[:3]) for entry in fingerprint]
