"""policy.json: written whole, read strictly, and which version serves because of it."""

import shutil
from pathlib import Path

import pytest

from tests.trainer.made_versions import damage, store_of
from trainer.versions.policy import read_pin, serving_version, write_pin
from trainer.versions.store import Disk, ModelStore, StoreError


def test_pin_is_read_as_it_was_written(tmp_path: Path) -> None:
    """A pinned version serves until the latest is asked for again."""
    store = store_of(tmp_path, 3)
    assert (read_pin(store), serving_version(store)) == (None, 3)
    write_pin(store, 2)
    assert (read_pin(store), serving_version(store)) == (2, 2)
    write_pin(store, None)
    assert (read_pin(store), serving_version(store)) == (None, 3)
    assert {path.name for path in store.folder.iterdir()} == {"1", "2", "3", "policy.json"}


def test_version_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """The error says which versions there are, and the policy stays as it was."""
    store = store_of(tmp_path, 2)
    with pytest.raises(StoreError, match=r"version 7 is not in .*there are: 1, 2"):
        write_pin(store, 7)
    assert not (store.folder / "policy.json").exists()


@pytest.mark.parametrize("version", [1, None])
def test_empty_store_can_serve_nothing(tmp_path: Path, version: int | None) -> None:
    """In an empty store neither a number nor the latest can be chosen."""
    with pytest.raises(StoreError, match="holds no version"):
        write_pin(ModelStore(tmp_path / "nowhere", "digits"), version)


def test_damaged_version_is_refused(tmp_path: Path) -> None:
    """A version that no server would take can't be pinned."""
    store = store_of(tmp_path, 2)
    damage(store, 1)
    with pytest.raises(StoreError, match=r"version 1 can't serve: saved_model\.pb"):
        write_pin(store, 1)


def test_newest_whole_version_serves_in_place_of_a_damaged_one(tmp_path: Path) -> None:
    """The latest is the newest that is whole; without any, none serves."""
    store = store_of(tmp_path, 2)
    damage(store, 2)
    assert serving_version(store) == 1
    damage(store, 1)
    assert serving_version(store) is None


def test_what_serves_in_place_of_a_pin_is_not_known(tmp_path: Path) -> None:
    """A running service keeps the version that it has if the pinned one is damaged or gone."""
    store = store_of(tmp_path, 3)
    write_pin(store, 1)
    damage(store, 1)
    with pytest.raises(StoreError, match=r"pins version 1, which can't serve \(saved_model\.pb"):
        serving_version(store)
    shutil.rmtree(store.folder / "1")
    with pytest.raises(StoreError, match=r"pins version 1, which can't serve \(it is not in the store"):
        serving_version(store)


def test_folder_in_the_policys_place_is_to_be_removed(tmp_path: Path) -> None:
    """Reading and writing both say to remove it, as writing another policy would fail too; nothing is left."""
    store = store_of(tmp_path, 1)
    (store.folder / "policy.json" / "of somebody").mkdir(parents=True)
    with pytest.raises(StoreError, match=r"policy\.json is a folder: remove it$"):
        serving_version(store)
    with pytest.raises(StoreError, match=r"policy\.json is a folder: remove it$"):
        write_pin(store, 1)
    assert {path.name for path in store.folder.iterdir()} == {"1", "policy.json"}


class ReadOnlyDisk(Disk):
    """Refuses to rename a file, with both names in the error."""

    def rename(self, source: Path, target: Path) -> None:
        raise OSError(30, "Read-only file system", str(source), None, str(target))


def test_what_cannot_be_written_is_the_policy(tmp_path: Path) -> None:
    """The error names the file that people know, not the temporary one that would replace it."""
    store = ModelStore(store_of(tmp_path, 1).root, "digits", ReadOnlyDisk())
    with pytest.raises(OSError, match=r"Read-only file system: '[^']*/policy\.json'$"):
        write_pin(store, 1)


class FullDisk(Disk):
    """Has no room when a policy's content is forced onto it."""

    def synchronise(self, path: Path) -> None:
        if "policy" in path.name:
            raise OSError(28, "No space left on device", str(path))
        super().synchronise(path)


def test_policy_is_on_the_disk_before_it_takes_its_place(tmp_path: Path) -> None:
    """If the new policy can't be written out, the old one stays, and no temporary file is left."""
    store = store_of(tmp_path, 2)
    write_pin(store, 1)
    with pytest.raises(OSError, match=r"No space left on device: '.*/policy\.json'$"):
        write_pin(ModelStore(store.root, store.name, FullDisk()), 2)
    assert read_pin(store) == 1
    assert {path.name for path in store.folder.iterdir()} == {"1", "2", "policy.json"}
