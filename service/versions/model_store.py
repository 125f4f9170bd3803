"""The model store as the service sees it: which versions lie there, and which one its policy asks for.

Only looks; `manifest` and `service.prepare` check whether a version is whole and sane.
"""

import contextlib
import errno
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, PositiveInt, ValidationError

# TensorFlow Serving's layout: a plain positive integer. `007`, `v2` and `.publishing-x` are not versions.
_VERSION_NAME = re.compile(r"[1-9][0-9]{0,17}")
# A policy has some twenty bytes; a larger file is something else and is not read into memory.
_MAX_POLICY_BYTES = 64 * 1024


class Policy(BaseModel):
    """policy.json: which version to serve."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    serve: Literal["latest"] | PositiveInt = "latest"


Fingerprint = tuple[tuple[str, int, int, int], ...]
"""Path, size in bytes, mtime and ctime in nanoseconds of every file of a version.

A damaged file that is repaired by copying the good one over it (`cp -p`, `rsync -a`) may keep its size and mtime, but
the ctime cannot be set back. A ctime that changes without the content, as by a hard link, costs one more load. An inode
number would tell nothing more, and some network mounts make it up.
"""


@dataclass(frozen=True)
class StoredVersion:
    """A version's folder; the fingerprint changes whenever one of its files does."""

    number: int
    folder: Path
    fingerprint: Fingerprint

    @property
    def model(self) -> str:
        """The name of its model, which is the parent folder's."""
        return self.folder.parent.name


@dataclass(frozen=True)
class Snapshot:
    """The store at one moment; versions newest first, `trouble` says what could not be read."""

    versions: tuple[StoredVersion, ...]
    policy: Policy | None
    trouble: str | None = None


class ModelStore:
    """The versions of one model below `root`."""

    def __init__(self, root: Path, name: str) -> None:
        self.name = name
        self.folder = root / name
        self._policy_file = self.folder / "policy.json"

    def look(self) -> Snapshot:
        """List the versions and read the policy.

        A store that is missing or unreadable is empty with `trouble`; a policy that cannot be read
        is None with `trouble`. Nothing is raised: the service goes on with what it has.
        """
        try:
            policy = self._policy()
            trouble = None
        except ValidationError as error:
            trouble = (
                f'policy.json cannot be used ({error.errors()[0]["msg"]}); write {{"serve": "latest"}} or a number'
            )
            policy = None
        except OSError as error:
            policy, trouble = None, f"policy.json cannot be read: {error.strerror}"
        try:
            return Snapshot(self._versions(), policy, trouble)
        except OSError as error:
            return Snapshot((), policy, f"the model store cannot be read: {error.strerror}")

    def _policy(self) -> Policy:
        try:
            with self._policy_file.open("rb") as stream:
                raw = stream.read(_MAX_POLICY_BYTES + 1)
        except FileNotFoundError:
            if self._policy_file.is_symlink():  # a broken link: there is a policy, and it may be a pin
                raise
            return Policy()
        if len(raw) > _MAX_POLICY_BYTES:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        return Policy.model_validate_json(raw)

    def _versions(self) -> tuple[StoredVersion, ...]:
        numbers = [
            int(entry.name)
            for entry in self.folder.iterdir()
            if _VERSION_NAME.fullmatch(entry.name) and _may_be_folder(entry)
        ]
        return tuple(self._version(number) for number in sorted(numbers, reverse=True))

    def _version(self, number: int) -> StoredVersion:
        folder = self.folder / str(number)
        return StoredVersion(number, folder, fingerprint_of(folder))


def _may_be_folder(entry: Path) -> bool:
    """Whether it is a folder or cannot be examined: then loading says what is wrong, and the others are listed."""
    try:
        return entry.is_dir()
    except OSError:
        return True


def fingerprint_of(folder: Path) -> Fingerprint:
    """Take the fingerprint of a version's files, which is cheap enough for each poll, unlike digests.

    A folder that cannot be listed counts as empty; a file that was removed since the listing, or a broken link, is left
    out: the code that needs them reports it. Paths are plain strings here, because making a `Path` for each file would
    take most of the time.
    """
    entries = []
    unlisted = [""]
    while unlisted:
        inner = unlisted.pop()
        with contextlib.suppress(OSError), os.scandir(folder / inner) as found:
            for file in found:
                name = inner + file.name
                if file.is_dir(follow_symlinks=False):
                    unlisted.append(f"{name}/")
                with contextlib.suppress(OSError):
                    status = file.stat()
                    entries.append((name, status.st_size, status.st_mtime_ns, status.st_ctime_ns))
    return tuple(sorted(entries))
