"""The model store as the trainer sees it: lists versions, publishes new ones and removes old ones.

A version is written into a `.publishing-` folder that no server looks at, forced to the disk, and then put in place by
one rename. So it is there whole, or not at all, whatever happens and whenever.
"""

import errno
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from trainer.errors import TrainerError
from trainer.versions.damage import damage_of
from trainer.versions.manifest import MANIFEST_PATH, Manifest, describe_files, encode, read
from trainer.writing import written_to

# As the service reads them: a number in plain digits, few enough for 64 bits.
VERSION_NAME = re.compile(r"[1-9][0-9]{0,17}")
_UNFINISHED_PREFIX = ".publishing-"
_RUN_PREFIX = ".training-"
_REMOVED_PREFIX = ".removing-"
UNWRITTEN_POLICY_PREFIX = ".policy.json-"
_DAY_SECONDS = 24 * 3600.0
# Everything but training takes less than a day; a stopped training may be resumed after a weekend.
_ABANDONED_SECONDS = {
    **dict.fromkeys((_UNFINISHED_PREFIX, _REMOVED_PREFIX, UNWRITTEN_POLICY_PREFIX), _DAY_SECONDS),
    _RUN_PREFIX: 30 * _DAY_SECONDS,
}
_MAX_ATTEMPTS = 100  # to get a number: this many trainers may finish at the same moment


class StoreError(TrainerError):
    """The model store can't do what was asked of it; the message says why."""


class OvertakenError(StoreError):
    """Another version was published first; the message says which."""


class Disk:
    """The two operations that make a version durable; a test passes an object that records them."""

    def synchronise(self, path: Path) -> None:
        """Forces a file's content, or a folder's entries, out of memory onto the disk."""
        descriptor = os.open(path, os.O_RDONLY)
        try:
            with written_to(path):
                os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        """Gives a file or folder another name in one step; fails if a version has that name."""
        source.rename(target)


@dataclass(frozen=True)
class ModelStore:
    """One model's folder in a model store, `<store>/<name>`."""

    root: Path
    name: str
    disk: Disk = field(default_factory=Disk)

    @property
    def folder(self) -> Path:
        """Where the versions are."""
        return self.root / self.name

    def prepare(self) -> None:
        """Makes the folder, and removes the files that killed trainers left behind long ago.

        Raises:
            StoreError: It can't be written to, or has no number left; better to know before training than after.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for abandoned in self._abandoned():
                with suppress(OSError):
                    _delete(abandoned)
            with self.publication():
                pass
            self.next_number()
        except OSError as error:
            raise StoreError(f"{self.folder} can't be written to ({error}): name another by --store") from error

    def run_folder(self, key: str) -> Path:
        """Where a training run with this key keeps what it needs to continue."""
        return self.folder / f"{_RUN_PREFIX}{key}"

    def _abandoned(self) -> list[Path]:
        return [
            path
            for prefix, seconds in _ABANDONED_SECONDS.items()
            for path in self.folder.glob(f"{prefix}*")
            if _age_seconds(path) > seconds
        ]

    def versions(self) -> list[int]:
        """Lists the numbers of the version folders in order; servers do not count a file as a version."""
        return sorted(int(entry.name) for entry in self._numbered() if entry.is_dir())

    def _numbered(self) -> list[Path]:
        """All entries that have a version's name, files included."""
        if not self.folder.is_dir():
            return []
        return [entry for entry in self.folder.iterdir() if VERSION_NAME.fullmatch(entry.name)]

    def next_number(self) -> int:
        """The number that the next version gets, unless another trainer is faster.

        Raises:
            StoreError: There is none left.
        """
        # A file with a version's name takes up its number as a version does.
        number = max((int(entry.name) for entry in self._numbered()), default=0) + 1
        if VERSION_NAME.fullmatch(str(number)):
            return number
        raise StoreError(
            f"{self.folder / str(number - 1)} has the last number that servers read: name another by --name"
        )

    def require(self, number: int) -> Path:
        """Returns a version's folder.

        Raises:
            StoreError: It is not there; the message says which are.
        """
        versions = self.versions()
        if number not in versions:
            listed = ", ".join(str(version) for version in versions) or "none"
            raise StoreError(f"version {number} is not in {self.folder}; there are: {listed}")
        return self.folder / str(number)

    def manifests(self) -> Iterator[Manifest]:
        """Reads the manifests of the versions that are whole, newest first."""
        for number in reversed(self.versions()):
            folder = self.folder / str(number)
            with suppress(FileNotFoundError):  # pruned after it was listed
                if damage_of(folder) is None:
                    yield read(folder)

    @contextmanager
    def publication(self) -> Iterator[Path]:
        """Yields an empty folder to write a version into; removes it if it was not published."""
        # Made with the user's own umask: the service's user could not read a folder made by mkdtemp.
        unfinished = self.folder / f"{_UNFINISHED_PREFIX}{secrets.token_hex(8)}"
        unfinished.mkdir()
        try:
            yield unfinished
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)

    def publish(self, unfinished: Path, manifest: Manifest, number: int | None = None) -> Path:
        """Makes a written folder the next version.

        Args:
            unfinished: The folder from `publication`, with everything written but the manifest.
            manifest: Its name, version and files are overwritten here.
            number: The only number allowed: the one that was next when the version was compared with the one before it.

        Returns:
            The version's folder.

        Raises:
            OvertakenError: Another version has that number by now.
            StoreError: No free number was found.
        """
        files = describe_files(unfinished)
        for path in sorted(unfinished.rglob("*"), reverse=True):  # files before their folders
            self.disk.synchronise(path)
        for _ in range(_MAX_ATTEMPTS):
            following = self.next_number()
            if number is not None and following != number:
                raise OvertakenError(f"{self.folder / str(following - 1)} was published in the meantime")
            self._write_manifest(unfinished, {**manifest, "name": self.name, "version": following, "files": files})
            target = self.folder / str(following)
            try:
                self.disk.rename(unfinished, target)
            except OSError as error:
                if error.errno not in {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR}:
                    raise
                continue  # another trainer was faster
            self.disk.synchronise(self.folder)
            return target
        raise StoreError(f"{self.folder}: no free version number in {_MAX_ATTEMPTS} attempts")

    def remove(self, number: int) -> None:
        """Removes a version: hides it by one rename, so that servers never see half of it, then deletes it."""
        removed = self.folder / f"{_REMOVED_PREFIX}{number}-{secrets.token_hex(8)}"
        self.disk.rename(self.folder / str(number), removed)
        self.disk.synchronise(self.folder)
        _delete(removed)

    def _write_manifest(self, unfinished: Path, manifest: Manifest) -> None:
        path = unfinished / MANIFEST_PATH
        path.parent.mkdir(exist_ok=True)
        with written_to(path):
            path.write_bytes(encode(manifest))
        for changed in (path, path.parent, unfinished):
            self.disk.synchronise(changed)


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()  # a policy file, or a link to a version that lies elsewhere


def _age_seconds(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0  # it belonged to another trainer, which has just ended
