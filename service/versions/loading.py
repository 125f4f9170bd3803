"""Loading a version: from its folder in the model store to an engine that has proved itself.

A loaded version is whole (its files match the manifest), sane (its answers match the golden images) and warm (each of
LiteRT's interpreters has run; TensorFlow runs all batches in one way, which the golden images have gone through).
Preparing happens in a process of its own; see `preparing`.
"""

import asyncio
import contextlib
import fcntl
import functools
import math
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal, Protocol

from service.engines import Engine
from service.prepare import program_name
from service.versions.golden import GoldenImages, read_golden
from service.versions.manifest import Manifest, VersionRejected, read_manifest, verify_files
from service.versions.model_store import StoredVersion, fingerprint_of
from service.versions.preparing import LoadPostponed, NoVerdict, run_preparing
from service.versions.program_cache import prune, remove_leftovers
from service.versions.reads import Reads
from service.versions.rejections import Rejections

# Preparing takes 5 to 10 seconds on a core of its own, and took 4 minutes beside ten busy processes on two slow
# cores; a SavedModel that takes longer than this is taken to hang.
PREPARE_TIMEOUT_SECONDS = 300.0
# Reading and checking a version takes milliseconds, or seconds if its megabyte comes from a remote store.
READ_TIMEOUT_SECONDS = 60.0
# How long other cached versions wait for one that is read from a remote store: a start should serve within two seconds.
OPEN_TIMEOUT_SECONDS = 1.0
# A read that hangs keeps its place. This is twice what the versions to have loaded, and those to try again, can take.
_MOST_READS = 12
_LOCK_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class LoadedVersion:
    """A version that may serve; immutable, and alive for as long as a request holds it."""

    stored: StoredVersion
    manifest: Manifest
    engine: Engine
    loaded_at_seconds: float = field(default_factory=time.time)

    @property
    def number(self) -> int:
        """The version's number."""
        return self.stored.number


class PreparingFailed(VersionRejected):
    """Preparing gave no verdict on a version: it was killed, took too long, lacked memory or failed unexpectedly."""

    def __init__(self, reason: str, again_in_seconds: float) -> None:
        super().__init__(reason)
        self.again_in_seconds = again_in_seconds


class Load(Protocol):
    """Loads stored versions, or raises `VersionRejected` or `LoadPostponed` with the reason."""

    async def __call__(self, stored: StoredVersion) -> LoadedVersion:
        """Load it, however long that takes."""

    async def from_cache(self, stored: StoredVersion) -> LoadedVersion | None:
        """Load it if that needs no preparing and no waiting; return None otherwise."""


@dataclass(frozen=True)
class _Whole:
    """A version that is whole, and the path that its program has, or will have, in the cache."""

    stored: StoredVersion
    manifest: Manifest
    manifest_sha256: str
    golden: GoldenImages
    program: Path

    def check(self, engine: Engine, what: str) -> None:
        """Raise `VersionRejected` if the engine, which `what` names, does not answer the golden images as it should."""
        self.golden.check(engine.run, what, tells_is_digit=self.manifest.tells_is_digit)


@dataclass
class Loader:
    """Loads versions with the chosen engine; compiled programs are kept in the folder `cache`."""

    engine: Literal["litert", "tensorflow"]
    cache: Path
    max_batch_size: int
    prepare_timeout_seconds: float = PREPARE_TIMEOUT_SECONDS
    read_timeout_seconds: float = READ_TIMEOUT_SECONDS
    open_timeout_seconds: float = OPEN_TIMEOUT_SECONDS
    _reads: Reads = field(default_factory=lambda: Reads(_MOST_READS), init=False)
    _has_loaded: bool = field(default=False, init=False)

    async def __call__(self, stored: StoredVersion) -> LoadedVersion:
        """Load `stored`, preparing it first if its program is not in the cache.

        Raises:
            VersionRejected: The version may not serve; `PreparingFailed` if it is to be tried again later.
            LoadPostponed: This machine cannot load it now: the cache is full, another worker has been preparing it
                for too long, or the store does not answer.
            OSError: This machine cannot load it now: it has no file descriptors or memory left, or its disk fails.
        """
        whole = await self._read(stored, self.read_timeout_seconds)
        async with self._turn(whole.program):
            loaded = await self._open_cached(whole)
            if loaded is None:
                await self._prepare_once(stored, whole.manifest_sha256)
                loaded = await self._open(whole)
        return loaded

    async def from_cache(self, stored: StoredVersion) -> LoadedVersion | None:
        """Load `stored` if its program is in the cache, whatever is being prepared meanwhile; None if it is not.

        Also None if the store has not answered within a second: the full load waits longer, and delays no other.

        Raises:
            VersionRejected: The version is not whole.
            OSError: This machine cannot read it now.
        """
        if self.engine != "litert":
            return None
        try:
            whole = await self._read(stored, self.open_timeout_seconds)
        except LoadPostponed:
            return None
        return await self._open_cached(whole)

    async def _read(self, stored: StoredVersion, timeout_seconds: float) -> _Whole:
        try:
            read = functools.partial(read_whole, stored)
            async with self._blaming_only_what_stays(stored, timeout_seconds):
                manifest, manifest_sha256, golden = await self._reads.run(stored, read, timeout_seconds)
        except TimeoutError:
            msg = f"reading it took longer than {timeout_seconds:g} seconds"
            raise LoadPostponed(msg) from None
        return _Whole(stored, manifest, manifest_sha256, golden, self.cache / program_name(manifest_sha256))

    async def _open_cached(self, whole: _Whole) -> LoadedVersion | None:
        if self.engine == "litert":
            # A program that is missing or damaged says nothing about the version: it is compiled again.
            with contextlib.suppress(VersionRejected, FileNotFoundError):
                return await self._open(whole)
        return None

    async def _prepare_once(self, stored: StoredVersion, manifest_sha256: str) -> None:
        """Prepare, unless another worker has found these files bad already."""
        rejections = Rejections(self.cache, self.engine)
        version = manifest_sha256, stored.fingerprint
        rejection = await asyncio.to_thread(rejections.find, *version)
        if rejection is None:
            try:
                async with self._blaming_only_what_stays(stored, self.read_timeout_seconds):
                    await self._prepare(stored.folder)
            except NoVerdict as error:
                rejection = await asyncio.to_thread(rejections.keep, *version, str(error), final=False)
            except VersionRejected as error:
                rejection = await asyncio.to_thread(rejections.keep, *version, str(error), final=True)
            else:
                return
        if rejection.again_in_seconds < math.inf:
            raise PreparingFailed(rejection.reason, rejection.again_in_seconds)
        raise VersionRejected(rejection.reason)

    @contextlib.asynccontextmanager
    async def _blaming_only_what_stays(self, stored: StoredVersion, timeout_seconds: float) -> AsyncIterator[None]:
        """Hold nothing against a version whose files have changed or gone meanwhile, singly or with the whole store.

        Raises:
            LoadPostponed: Its files have changed or gone, or the store has not answered in time.
        """
        try:
            yield
        except (VersionRejected, NoVerdict):
            look = functools.partial(fingerprint_of, stored.folder)
            try:
                found = await self._reads.run((stored, "fingerprint"), look, timeout_seconds)
            except TimeoutError:
                msg = "the store does not say whether its files are still there"
                raise LoadPostponed(msg) from None
            if found != stored.fingerprint:
                msg = "its files have gone or changed while it was loaded"
                raise LoadPostponed(msg) from None
            raise

    @contextlib.asynccontextmanager
    async def _turn(self, program: Path) -> AsyncIterator[None]:
        """Wait until no other worker prepares this program; the next worker in turn finds it in the cache.

        Raises:
            LoadPostponed: The others take too long, or the cache cannot be written to.
        """
        try:
            await asyncio.to_thread(self.cache.mkdir, parents=True, exist_ok=True)
            await asyncio.to_thread(remove_leftovers, self.cache)
            opened = program.with_suffix(".lock").open("wb")
        except OSError as error:
            msg = f"the program cache cannot be written to: {error.strerror}"
            raise LoadPostponed(msg) from error
        with opened as lock:  # also released when the process dies
            try:
                async with asyncio.timeout(2 * self.prepare_timeout_seconds + 1):
                    while not _locked(lock):  # noqa: ASYNC110 - another process has it, so there is no event
                        await asyncio.sleep(_LOCK_POLL_SECONDS)
            except TimeoutError:
                msg = "another worker has been preparing it for too long"
                raise LoadPostponed(msg) from None
            yield

    async def _prepare(self, folder: Path) -> None:
        await run_preparing(self._command(folder), self.prepare_timeout_seconds)

    def _command(self, folder: Path) -> list[str]:
        command = [sys.executable, "-m", "service.prepare", str(folder), str(self.cache), "--engine", self.engine]
        # Preparing gives way to a version that serves; before the first one serves, everything waits for preparing.
        return [*command, "--until-stdin-closes", *(["--background"] if self._has_loaded else [])]

    async def _open(self, whole: _Whole) -> LoadedVersion:
        """Make an engine and let it prove itself on the golden images."""
        if self.engine == "tensorflow":
            engine = await self._open_saved_model(whole)
        else:
            engine = await asyncio.to_thread(_open_program, whole.program, self.max_batch_size)
            await asyncio.to_thread(whole.check, engine, "the compiled program")
            await asyncio.to_thread(prune, self.cache, whole.program)
        self._has_loaded = True
        return LoadedVersion(whole.stored, whole.manifest, engine)

    async def _open_saved_model(self, whole: _Whole) -> Engine:
        """Open the SavedModel directly in the store, which may not answer."""
        what, opening = (whole.stored, "saved_model.pb"), functools.partial(_open_saved_model, whole)
        try:
            async with self._blaming_only_what_stays(whole.stored, self.read_timeout_seconds):
                return await self._reads.run(what, opening, self.prepare_timeout_seconds)
        except TimeoutError:
            msg = f"opening it took longer than {self.prepare_timeout_seconds:g} seconds"
            raise LoadPostponed(msg) from None


# Each engine is imported where it is opened, so that a process imports only the one that it uses: TensorFlow only if
# the settings name it.


def _open_saved_model(whole: _Whole) -> Engine:
    from service.engines.tensorflow import OUT_OF_MEMORY, TensorFlowEngine, rejecting_what_cannot_run

    try:
        engine = TensorFlowEngine(whole.stored.folder)
        with rejecting_what_cannot_run():
            whole.check(engine, "the SavedModel")
    except OUT_OF_MEMORY as error:
        msg = "TensorFlow finds too little memory for it"
        raise LoadPostponed(msg) from error
    return engine


def _open_program(program: Path, max_batch_size: int) -> Engine:
    from service.engines.litert import LiteRTEngine

    try:
        return LiteRTEngine(program, max_batch_size)
    except (ValueError, RuntimeError) as error:  # LiteRT raises RuntimeError for damage inside
        msg = f"LiteRT cannot read the compiled program: {error}"
        raise VersionRejected(msg) from error


def read_whole(stored: StoredVersion) -> tuple[Manifest, str, GoldenImages]:
    """Read a version's manifest and golden images, and check that all its files are unaltered and in the right folder.

    Returns:
        The manifest, the SHA-256 of its bytes, and the golden images.

    Raises:
        VersionRejected: A file is missing or damaged, or the manifest names another version or model than the folder.
        OSError: This machine cannot read it now; that says nothing about the version.
    """
    manifest, manifest_sha256 = read_manifest(stored.folder)
    for what, said, expected in (("model", manifest.name, stored.model), ("version", manifest.version, stored.number)):
        if said != expected:
            msg = f"the manifest says {what} {said}, the folder is {expected}"
            raise VersionRejected(msg)
    verify_files(stored.folder, manifest)
    return manifest, manifest_sha256, read_golden(stored.folder)


def _locked(lock: BinaryIO) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
