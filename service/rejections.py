"""Why a version was rejected, kept beside its program in the cache: what one worker has found, the others need not.

A reason counts for the files that it was found with, and for an hour: a machine that was too busy may have room then.
"""

import contextlib
import json
import time
from dataclasses import dataclass
from pathlib import Path

from service.model_store import Fingerprint

_VALID_SECONDS = 3600.0
_SUFFIX = ".rejected"


@dataclass(frozen=True)
class Rejections:
    """The reasons that are kept in the folder `cache`, for versions as the engine named `engine` finds them."""

    cache: Path
    engine: str

    def reason(self, manifest_sha256: str, fingerprint: Fingerprint) -> str | None:
        """Why the version of that manifest and those files was rejected, if it was."""
        file = self._file(manifest_sha256)
        try:
            if time.time() - file.stat().st_mtime > _VALID_SECONDS:
                return None
            kept = json.loads(file.read_text())
            return str(kept["reason"]) if kept["fingerprint"] == _plain(fingerprint) else None
        except (OSError, ValueError, KeyError, TypeError):
            return None  # none is kept, or it is damaged: the version is tried

    def keep(self, manifest_sha256: str, fingerprint: Fingerprint, reason: str) -> None:
        """Let the other workers know; a cache that cannot be written to costs them their own try."""
        self._forget_the_old()
        file = self._file(manifest_sha256)
        with contextlib.suppress(OSError):
            unfinished = file.with_suffix(".writing")
            unfinished.write_text(json.dumps({"reason": reason, "fingerprint": _plain(fingerprint)}))
            unfinished.replace(file)

    def _file(self, manifest_sha256: str) -> Path:
        return self.cache / f"{manifest_sha256}-{self.engine}{_SUFFIX}"

    def _forget_the_old(self) -> None:
        for file in self.cache.glob(f"*{_SUFFIX}"):
            with contextlib.suppress(OSError):
                if time.time() - file.stat().st_mtime > _VALID_SECONDS:
                    file.unlink()


def _plain(fingerprint: Fingerprint) -> list[list[str | int]]:
    """As JSON gives it back."""
    return [list(entry) for entry in fingerprint]
