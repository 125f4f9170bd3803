"""Publication: a version is there whole or not at all, under its own number, even if others publish too."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.trainer.made_versions import damage, store_of
from trainer.release import RELEASED_FOLDER
from trainer.versions.manifest import MANIFEST_PATH, Manifest, describe_files, read
from trainer.versions.store import Disk, ModelStore, OvertakenError, StoreError


@pytest.fixture
def manifest() -> Manifest:
    """Any manifest; name, version and files are replaced on publication."""
    return read(RELEASED_FOLDER)


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    """An empty store."""
    store = ModelStore(tmp_path, "digits")
    store.prepare()
    return store


def publish(store: ModelStore, manifest: Manifest) -> Path:
    """Publishes a version of two small files."""
    with store.publication() as folder:
        (folder / "variables").mkdir()
        (folder / "variables" / "data").write_bytes(b"weights")
        (folder / "saved_model.pb").write_bytes(b"graph")
        return store.publish(folder, manifest)


def unfinished(store: ModelStore) -> list[Path]:
    """Lists the unfinished publications."""
    return list(store.folder.glob(".publishing-*"))


def assert_whole(store: ModelStore) -> None:
    """Every version has a manifest with its number and its files."""
    for number in store.versions():
        manifest = read(store.folder / str(number))
        assert (manifest["name"], manifest["version"]) == ("digits", number)
        assert manifest["files"] == describe_files(store.folder / str(number))


def test_numbers_count_up_from_the_highest(store: ModelStore, manifest: Manifest) -> None:
    """The next number is one more than the highest, whatever numbers are missing and whatever else is in the folder."""
    assert publish(store, manifest).name == "1"
    (store.folder / "9").mkdir()
    (store.folder / "012").mkdir()
    (store.folder / "notes.txt").touch()
    assert publish(store, manifest).name == "10"
    assert store.versions() == [1, 9, 10]
    assert unfinished(store) == []


def test_what_servers_do_not_read_is_no_version(store: ModelStore, manifest: Manifest) -> None:
    """Files, links to nowhere, numbers of 19 digits or in other digits are not listed, and hinder no publication."""
    (store.folder / "3").touch()
    (store.folder / "4").symlink_to("nowhere")
    for name in ("1700000000000000000", "\u0662", "\u00b2"):
        (store.folder / name).mkdir()
    assert store.versions() == []
    assert publish(store, manifest).name == "5"
    assert store.versions() == [5]


def test_last_number_is_told(store: ModelStore, manifest: Manifest) -> None:
    """After the last number that servers read nothing is published, as they would not see it."""
    (store.folder / str(10**18 - 1)).mkdir()
    with pytest.raises(StoreError, match="last number"):
        publish(store, manifest)
    assert store.versions() == [10**18 - 1]


def test_store_without_a_free_number_is_found_early(store: ModelStore) -> None:
    """A store without a number for the next version is an error before any training."""
    (store.folder / str(10**18 - 1)).touch()
    with pytest.raises(StoreError, match=r"last number.*--name"):
        store.prepare()


def test_failure_leaves_nothing(store: ModelStore) -> None:
    """An exception while a version is written, including Ctrl-C, removes what was written."""

    def interrupted() -> None:
        with store.publication() as folder:
            (folder / "half").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(store.folder.iterdir()) == []


class RecordingDisk(Disk):
    """A disk that also records the order of operations, and may let another trainer be faster."""

    def __init__(self, rivals: int = 0) -> None:
        self.done: list[str] = []
        self._rivals = rivals

    def synchronise(self, path: Path) -> None:
        self.done.append(f"sync {path.name}")
        super().synchronise(path)

    def rename(self, source: Path, target: Path) -> None:
        if self._rivals:
            self._rivals -= 1
            target.mkdir()
            (target / "saved_model.pb").touch()
        assert read(source)["version"] == int(target.name)
        self.done.append(f"rename {target.name}")
        super().rename(source, target)


def test_everything_is_on_the_disk_before_the_rename(tmp_path: Path, manifest: Manifest) -> None:
    """Files, then their folders, then the manifest and its folders, then the rename, then the parent."""
    disk = RecordingDisk()
    store = ModelStore(tmp_path, "digits", disk)
    store.prepare()
    publish(store, manifest)
    before, after = disk.done[: disk.done.index("rename 1")], disk.done[disk.done.index("rename 1") + 1 :]
    assert after == ["sync digits"]
    assert before.index("sync data") < before.index("sync variables") < before.index("sync manifest.json")
    assert before.index("sync saved_model.pb") < before.index("sync manifest.json")
    assert before[-2] == "sync assets.extra"
    assert before[-1].startswith("sync .publishing-")


def test_taken_number_is_left_alone(tmp_path: Path, manifest: Manifest) -> None:
    """If others take the number at the last instant, the next one is tried, with that number in the manifest."""
    store = ModelStore(tmp_path, "digits", RecordingDisk(rivals=2))
    store.prepare()
    assert publish(store, manifest).name == "3"
    assert read(store.folder / "3")["version"] == 3
    assert not (store.folder / "1" / MANIFEST_PATH).exists()


@pytest.mark.parametrize("rivals", [0, 1])
def test_number_that_is_taken_will_not_do(tmp_path: Path, manifest: Manifest, rivals: int) -> None:
    """If a given number is taken already, or at the last instant, an error says so and nothing is published."""
    store = ModelStore(tmp_path, "digits", RecordingDisk(rivals))
    store.prepare()
    assert store.next_number() == 1
    if not rivals:
        publish(store, manifest)
    with store.publication() as folder, pytest.raises(OvertakenError, match=r"digits/1 was published"):
        store.publish(folder, manifest, 1)
    assert store.versions() == [1]
    with store.publication() as folder:
        assert store.publish(folder, manifest, store.next_number()).name == "2"


def test_concurrent_publishers_get_a_number_each(store: ModelStore, manifest: Manifest) -> None:
    """Eight that publish at once get eight whole versions."""
    start = threading.Barrier(8)
    folders: list[str] = []

    def run() -> None:
        start.wait(timeout=30)
        folders.append(publish(store, manifest).name)

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert sorted(map(int, folders)) == store.versions() == list(range(1, 9))
    assert_whole(store)


PUBLISH_FOREVER = """
import sys
from pathlib import Path
from trainer.versions.manifest import read
from trainer.release import RELEASED_FOLDER
from trainer.versions.store import ModelStore
store = ModelStore(Path(sys.argv[1]), "digits")
while True:
    with store.publication() as folder:
        (folder / "variables").mkdir()
        (folder / "variables" / "data").write_bytes(b"w" * 100_000)
        print(store.publish(folder, read(RELEASED_FOLDER)), flush=True)
"""


@pytest.mark.parametrize("published", [1, 2, 5, 9])
def test_killed_publisher_leaves_only_an_unfinished_folder(store: ModelStore, published: int) -> None:
    """SIGKILL at any instant leaves whole versions, and at most one folder that servers ignore."""
    with subprocess.Popen(
        [sys.executable, "-c", PUBLISH_FOREVER, str(store.root)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for _ in range(published):
            assert process.stdout.readline()
        process.kill()  # somewhere in the next publication
    assert len(store.versions()) >= published
    assert_whole(store)
    assert len(unfinished(store)) <= 1
    others = set(store.folder.iterdir()) - set(unfinished(store))
    assert {path.name for path in others} == {str(number) for number in store.versions()}


def test_abandoned_folders_are_removed_after_a_day(store: ModelStore) -> None:
    """A day-old unfinished folder is removed at the next run; a younger one may be in use and stays."""
    for name, age_seconds in (("old", 90_000), ("young", 3_600)):
        folder = store.folder / f".publishing-{name}"
        (folder / "variables").mkdir(parents=True)
        now = folder.stat().st_mtime
        os.utime(folder, (now - age_seconds, now - age_seconds))
    store.prepare()
    assert [path.name for path in unfinished(store)] == [".publishing-young"]


def test_abandoned_policy_is_removed_after_a_day(store: ModelStore) -> None:
    """A policy that was never put in place is removed like an unfinished folder; the one in place stays."""
    store.folder.mkdir(parents=True, exist_ok=True)
    for name in (".policy.json-old", "policy.json"):
        path = store.folder / name
        path.write_text("{}")
        os.utime(path, (path.stat().st_mtime - 90_000,) * 2)
    store.prepare()
    assert [path.name for path in store.folder.iterdir()] == ["policy.json"]


def test_folder_that_goes_while_it_is_looked_at_is_no_failure(
    store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another trainer may end, and remove its unfinished folder, between the listing and the look at its age."""
    listed = Path.glob

    def glob_and_vanish(folder: Path, pattern: str) -> list[Path]:
        return [*listed(folder, pattern), folder / f"{pattern[:-1]}vanished"]

    monkeypatch.setattr(Path, "glob", glob_and_vanish)
    store.prepare()


def test_store_that_cannot_be_written_is_found_early(tmp_path: Path) -> None:
    """A store that is a file, for example, is an error before any training."""
    (tmp_path / "models").touch()
    with pytest.raises(StoreError, match="--store"):
        ModelStore(tmp_path / "models", "digits").prepare()


def test_damaged_versions_are_passed_over(tmp_path: Path) -> None:
    """A manifest counts only if its version could serve: damaged versions and those without a manifest are skipped."""
    store = store_of(tmp_path, 4)
    damage(store, 2)
    (store.folder / "4" / MANIFEST_PATH).unlink()
    assert [found["version"] for found in store.manifests()] == [3, 1]
