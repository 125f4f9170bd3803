import asyncio
import errno
import fcntl
import os
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from service.engines.tensorflow import TensorFlowEngine
from service.prepare import program_name
from service.versions import loading
from service.versions.golden import GoldenImages
from service.versions.loading import LoadedVersion, Loader, PreparingFailed, read_whole
from service.versions.manifest import MANIFEST_PATH, Manifest, VersionRejected, read_manifest
from service.versions.model_store import Fingerprint, ModelStore, StoredVersion
from service.versions.preparing import LoadPostponed
from service.versions.program_cache import MAX_PROGRAMS
from tests.service.wrapping import write_wrapped


@pytest.fixture
def stored(released_store: Path) -> StoredVersion:
    return newest(released_store)


@pytest.fixture
def own_cache(program_cache: Path, tmp_path: Path) -> Path:
    """A copy of the warm cache that a test may damage."""
    return shutil.copytree(program_cache, tmp_path / "cache")


def load(stored: StoredVersion, cache: Path, prepare_timeout_seconds: float = 120) -> LoadedVersion:
    return asyncio.run(Loader("litert", cache, 8, prepare_timeout_seconds)(stored))


def newest(store: Path) -> StoredVersion:
    """The newest version as the store holds it now."""
    return ModelStore(store, "digits").look().versions[0]


def test_warm_cache_needs_no_preparing(stored: StoredVersion, own_cache: Path) -> None:
    """With the program in the cache a version loads at once: no process gets the time to prepare anything."""
    loaded = load(stored, own_cache, prepare_timeout_seconds=0)
    assert loaded.number == 1
    assert loaded.manifest.metrics.test_accuracy >= 0.995


def test_a_cache_that_can_only_be_read_serves(
    stored: StoredVersion, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program in the cache is loaded even where a load cannot be noted and nothing can be removed."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EROFS, os.strerror(errno.EROFS))

    for module, name in ((os, "utime"), (Path, "unlink"), (Path, "mkdir")):
        monkeypatch.setattr(module, name, refuse)
    loaded = asyncio.run(Loader("litert", own_cache, 8).from_cache(stored))
    assert loaded is not None


def test_damaged_program_is_made_anew(stored: StoredVersion, own_cache: Path) -> None:
    """A damaged cache does not count against the version: its program is compiled again."""
    (program,) = own_cache.glob("*.tflite")
    whole = program.read_bytes()
    program.write_bytes(whole[: len(whole) // 2])
    assert load(stored, own_cache).number == 1
    assert program.stat().st_size == len(whole)


def test_preparing_has_a_deadline(stored: StoredVersion, tmp_path: Path) -> None:
    """A version whose preparing takes too long is rejected until it is tried again, and the process is gone."""
    with pytest.raises(PreparingFailed, match=r"longer than 0\.05 seconds") as raised:
        load(stored, tmp_path / "cache", prepare_timeout_seconds=0.05)
    assert raised.value.again_in_seconds == 300
    assert {file.suffix for file in (tmp_path / "cache").glob("*")} <= {".lock", ".rejected"}


def test_version_in_another_folder_is_rejected(stored: StoredVersion, own_cache: Path) -> None:
    """A folder that was copied to another number is rejected for that, rather than serving under it."""
    with pytest.raises(VersionRejected, match="the manifest says version 1, the folder is 7"):
        load(replace(stored, number=7), own_cache)


def test_version_of_another_model_is_rejected(stored: StoredVersion, own_cache: Path, tmp_path: Path) -> None:
    """A folder copied to another model is rejected for that, rather than answering with the name of the first one."""
    shutil.copytree(stored.folder, tmp_path / "numerals" / "1")
    (copied,) = ModelStore(tmp_path, "numerals").look().versions
    with pytest.raises(VersionRejected, match="the manifest says model digits, the folder is numerals"):
        load(copied, own_cache)


def test_cache_is_bounded(stored: StoredVersion, own_cache: Path) -> None:
    """A load keeps its program and makes room for new ones; day-old leftovers of killed processes go too."""
    for number in range(MAX_PROGRAMS + 5):
        (own_cache / f"{number}.tflite").touch()
    left = [own_cache / ".preparing-abc_1234", own_cache / f"{'b' * 64}.lock"]
    for entry in left:
        entry.touch()
        os.utime(entry, (time.time() - 25 * 3600,) * 2)
    load(stored, own_cache, prepare_timeout_seconds=0)
    kept = {program.stem for program in own_cache.glob("*.tflite")}
    assert len(kept) == MAX_PROGRAMS
    assert read_manifest(stored.folder)[1] in kept
    assert not any(entry.exists() for entry in left)


def test_workers_prepare_a_version_once(stored: StoredVersion, tmp_path: Path) -> None:
    """Two workers that find the same version at the same time make its program once."""
    cache = tmp_path / "cache"
    made: list[int] = []

    class Counting(Loader):
        async def _prepare(self, folder: Path) -> None:
            made.append(1)
            await super()._prepare(folder)

    async def both() -> None:
        await asyncio.gather(*(Counting("litert", cache, 8)(stored) for _ in range(2)))

    asyncio.run(both())
    assert made == [1]


def test_waiting_for_another_worker_has_a_deadline(stored: StoredVersion, own_cache: Path) -> None:
    """A worker that prepares for ever holds the others back for a bounded time, and that is no fault of the version."""
    (program,) = own_cache.glob("*.tflite")
    with program.with_suffix(".lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(LoadPostponed, match="another worker"):
            load(stored, own_cache, prepare_timeout_seconds=-0.4)


def test_what_is_cached_waits_for_nobody(stored: StoredVersion, own_cache: Path) -> None:
    """A program in the cache is loaded even while another worker holds its lock, as when it tries the version anew."""
    (program,) = own_cache.glob("*.tflite")
    with program.with_suffix(".lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        loaded = asyncio.run(Loader("litert", own_cache, 8).from_cache(stored))
    assert loaded is not None
    assert loaded.number == 1


def test_what_is_not_cached_is_not_loaded_from_there(stored: StoredVersion, own_cache: Path) -> None:
    """Without its program, with a damaged one, or for the engine that has none, a version has to be prepared."""
    assert asyncio.run(Loader("tensorflow", own_cache, 8).from_cache(stored)) is None
    (program,) = own_cache.glob("*.tflite")
    program.write_bytes(program.read_bytes()[:1000])
    assert asyncio.run(Loader("litert", own_cache, 8).from_cache(stored)) is None
    program.unlink()
    assert asyncio.run(Loader("litert", own_cache, 8).from_cache(stored)) is None


def test_a_version_that_is_not_whole_is_found_out_without_preparing(stored: StoredVersion, own_cache: Path) -> None:
    """Damage is reported at once, whatever else is being prepared."""
    with pytest.raises(VersionRejected, match="the folder is 7"):
        asyncio.run(Loader("litert", own_cache, 8).from_cache(replace(stored, number=7)))


def test_a_version_whose_files_do_not_answer_is_postponed(stored: StoredVersion, tmp_path: Path) -> None:
    """A store that stalls while a version is read says nothing about the version."""
    folder = shutil.copytree(stored.folder, tmp_path / "digits" / "1")
    (folder / MANIFEST_PATH).unlink()
    os.mkfifo(folder / MANIFEST_PATH)  # reading it waits for a writer
    loader = Loader("litert", tmp_path / "cache", 8, read_timeout_seconds=0.05)
    with pytest.raises(LoadPostponed, match=r"reading it took longer than 0\.05 seconds"):
        asyncio.run(loader(replace(stored, folder=folder)))


def test_a_version_that_hangs_holds_up_no_other_one(stored: StoredVersion, own_cache: Path, tmp_path: Path) -> None:
    """However often it is tried, other versions in the cache are loaded meanwhile, and wait a moment at most."""
    folder = shutil.copytree(stored.folder, tmp_path / "digits" / "1")
    (folder / MANIFEST_PATH).unlink()
    os.mkfifo(folder / MANIFEST_PATH)  # reading it waits for a writer
    hung = replace(stored, folder=folder)

    async def story() -> None:
        loader = Loader("litert", own_cache, 8, read_timeout_seconds=0.3, open_timeout_seconds=0.05)
        assert await loader.from_cache(hung) is None
        for _ in range(20):
            with pytest.raises(LoadPostponed, match=r"reading it took longer than 0\.3 seconds"):
                await loader(hung)
        started = time.monotonic()
        assert await loader.from_cache(hung) is None
        with pytest.raises(LoadPostponed):
            await loader(hung)
        assert time.monotonic() - started < 0.2
        loader.open_timeout_seconds = 5
        assert await loader.from_cache(stored) is not None

    asyncio.run(story())


def test_a_version_from_far_away_is_loaded_by_the_load_proper(
    stored: StoredVersion, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading it takes longer than others are to wait: the full load waits for that read instead of reading again."""
    reads: list[int] = []

    def read_slowly(version: StoredVersion) -> tuple[Manifest, str, GoldenImages]:
        reads.append(version.number)
        time.sleep(0.3)
        return read_whole(version)

    monkeypatch.setattr(loading, "read_whole", read_slowly)

    async def story() -> None:
        loader = Loader("litert", own_cache, 8, prepare_timeout_seconds=0, open_timeout_seconds=0.05)
        assert await loader.from_cache(stored) is None
        assert (await loader(stored)).number == 1

    asyncio.run(story())
    assert reads == [1]


def test_a_store_that_stalls_after_a_rejection_holds_up_nobody(
    stored: StoredVersion, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check whether rejected files are still there has the same deadline as reading them."""
    stalled = threading.Event()

    def wait(_: Path) -> Fingerprint:
        stalled.wait(20)
        return ()

    monkeypatch.setattr(loading, "fingerprint_of", wait)
    elsewhere = replace(stored, number=7)

    async def story() -> None:
        loader = Loader("litert", own_cache, 8, read_timeout_seconds=10, open_timeout_seconds=0.05)
        started = time.monotonic()
        assert await loader.from_cache(elsewhere) is None
        assert time.monotonic() - started < 5
        loader.read_timeout_seconds = 1  # more than reading the files takes, on a busy machine too
        with pytest.raises(LoadPostponed, match="the store does not say whether its files are still there"):
            await loader(elsewhere)

    try:
        asyncio.run(story())
    finally:
        stalled.set()


def test_preparing_gives_way_to_a_version_that_serves(stored: StoredVersion, own_cache: Path) -> None:
    """The first version is prepared at full speed, since no request can be answered before; later ones are not."""
    loader = Loader("litert", own_cache, 8)
    assert "--background" not in loader._command(stored.folder)
    asyncio.run(loader(stored))
    assert "--background" in loader._command(stored.folder)


def test_program_from_before_the_score_is_made_anew(
    released_store: Path, released_program: Path, tmp_path: Path
) -> None:
    """A program without the score, compiled by a service that did not know of it, is not taken from the cache."""
    folder = write_wrapped(released_store / "digits" / "1", tmp_path / "store" / "digits" / "2")
    (stored,) = ModelStore(tmp_path / "store", "digits").look().versions
    cache = tmp_path / "cache"
    cache.mkdir()
    shutil.copy(released_program, cache / program_name(read_manifest(folder)[1]))

    loaded = load(stored, cache)

    assert loaded.engine.run(np.zeros((1, 784), np.float32)).shape == (1, 11)


def test_a_rejected_version_is_prepared_once_by_all_workers(stored: StoredVersion, tmp_path: Path) -> None:
    """A version that one worker found bad is rejected by the others for the same reason, until its files change."""
    tries: list[int] = []

    class Rejecting(Loader):
        async def _prepare(self, folder: Path) -> None:  # noqa: ARG002 - the loader's own
            tries.append(1)
            msg = "it hangs"
            raise VersionRejected(msg)

    async def all_workers(version: StoredVersion) -> list[LoadedVersion | BaseException]:
        workers = [Rejecting("litert", tmp_path / "cache", 8) for _ in range(3)]
        return await asyncio.gather(*(worker(version) for worker in workers), return_exceptions=True)

    folder = shutil.copytree(stored.folder, tmp_path / "digits" / "1")
    outcomes = asyncio.run(all_workers(newest(tmp_path)))
    assert [str(outcome) for outcome in outcomes] == ["it hangs"] * 3
    assert tries == [1]
    (folder / MANIFEST_PATH).touch()
    asyncio.run(all_workers(newest(tmp_path)))
    assert tries == [1, 1]


@pytest.mark.parametrize("amid", ["reading", "preparing"])
def test_nothing_is_held_against_a_version_whose_store_vanishes(
    stored: StoredVersion, tmp_path: Path, amid: str
) -> None:
    """Its files are missing only for a while: neither this worker nor another may keep a rejection of it."""
    shutil.copytree(stored.folder, tmp_path / "digits" / "1")
    version = newest(tmp_path)

    class Vanishing(Loader):
        async def _prepare(self, folder: Path) -> None:
            vanish()
            await super()._prepare(folder)

    def vanish() -> None:
        (tmp_path / "digits").rename(tmp_path / "away")

    if amid == "reading":
        vanish()
    with pytest.raises(LoadPostponed, match="its files have gone or changed"):
        asyncio.run(Vanishing("litert", tmp_path / "cache", 8)(version))
    assert not list(tmp_path.glob("cache/*.rejected"))


def test_a_killed_preparing_is_tried_again_by_all_workers_at_the_same_time(
    stored: StoredVersion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that the kernel kills for lack of memory says nothing about the version, which is tried again later."""
    cache = tmp_path / "cache"
    # Stands in for the preparing process, and ends as if the kernel had killed it.
    killed = tmp_path / "killed"
    killed.write_text("#!/bin/sh\nkill -KILL $$\n")
    killed.chmod(0o755)
    with monkeypatch.context() as patched:
        patched.setattr(sys, "executable", str(killed))
        with pytest.raises(PreparingFailed, match="was ended by signal 9") as raised:
            load(stored, cache)
        assert raised.value.again_in_seconds == 300
        with pytest.raises(PreparingFailed, match="was ended by signal 9") as told:
            load(stored, cache)
        assert 290 < told.value.again_in_seconds < 300
    (kept,) = cache.glob("*.rejected")
    os.utime(kept, (kept.stat().st_mtime - 300,) * 2)
    assert load(stored, cache).number == 1


def test_a_version_that_lacked_memory_is_tried_again(
    stored: StoredVersion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If preparing reports that it failed, nothing is known about the version, which may fit into memory later."""
    # Stands in for the preparing process.
    failing = tmp_path / "failing"
    failing.write_text(
        """#!/bin/sh\necho '{"rejected": null, "postponed": null, "failed": "it needs more memory"}'; exit 1\n"""
    )
    failing.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(failing))
    with pytest.raises(PreparingFailed, match="it needs more memory") as raised:
        load(stored, tmp_path / "cache")
    assert raised.value.again_in_seconds == 300


def test_a_cache_that_cannot_be_made_postpones(stored: StoredVersion, tmp_path: Path) -> None:
    """A cache folder that cannot be made says nothing about the version."""
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(LoadPostponed, match="the program cache cannot be written to"):
        load(stored, tmp_path / "file" / "cache")


@pytest.mark.skipif(shutil.which("mount") is None or os.geteuid() != 0, reason="mounts a small file system")
def test_a_full_disk_postpones_until_there_is_room(stored: StoredVersion, tmp_path: Path) -> None:
    """A program that does not fit on the cache's disk leaves nothing behind, and is made when there is room."""
    cache = tmp_path / "small"
    cache.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", cache], check=False).returncode:
        pytest.skip("file systems cannot be mounted here")
    try:
        with pytest.raises(LoadPostponed, match="No space left on device"):
            load(stored, cache)
        assert {file.suffix for file in cache.iterdir()} <= {".lock"}
        subprocess.run(["mount", "-o", "remount,size=64m", cache], check=True)
        assert load(stored, cache).number == 1
    finally:
        subprocess.run(["umount", cache], check=True)


def test_a_saved_model_that_hangs_is_postponed(
    stored: StoredVersion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store may also stall while TensorFlow reads from it: that has a deadline and does not hold up an exit."""
    answers = threading.Event()

    def hang(*_: object) -> None:
        answers.wait(10)

    async def prepared(_: Loader, folder: Path) -> None:
        pass

    monkeypatch.setattr(TensorFlowEngine, "__init__", hang)
    monkeypatch.setattr(Loader, "_prepare", prepared)
    started = time.monotonic()
    with pytest.raises(LoadPostponed, match=r"opening it took longer than 0\.2 seconds"):
        asyncio.run(Loader("tensorflow", tmp_path, 8, prepare_timeout_seconds=0.2)(stored))
    assert time.monotonic() - started < 5
    answers.set()


def test_a_saved_model_that_finds_too_little_memory_is_postponed(
    stored: StoredVersion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorFlow's own error for it says as little about the version as Python's."""

    def exhaust(*_: object) -> None:
        raise tf.errors.ResourceExhaustedError(None, None, "OOM")

    async def prepared(_: Loader, folder: Path) -> None:
        pass

    monkeypatch.setattr(TensorFlowEngine, "run", exhaust)
    monkeypatch.setattr(Loader, "_prepare", prepared)
    with pytest.raises(LoadPostponed, match="too little memory"):
        asyncio.run(Loader("tensorflow", tmp_path, 8)(stored))
