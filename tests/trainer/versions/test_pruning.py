"""Pruning removes old versions, keeps the serving one, and shows servers no half version."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trainer.made_versions import damage, rewrite_manifest, store_of
from trainer.versions.policy import write_pin
from trainer.versions.pruning import prune
from trainer.versions.store import Disk, ModelStore, StoreError


@given(count=st.integers(1, 6), keep=st.integers(1, 8), pin=st.integers(1, 6) | st.none())
def test_newest_and_the_serving_one_stay(
    tmp_path_factory: pytest.TempPathFactory, count: int, keep: int, pin: int | None
) -> None:
    """The newest versions and the pinned one are left; the rest is removed, and reported as removed."""
    store = store_of(tmp_path_factory.mktemp("store"), count)
    expected = {*range(max(1, count - keep + 1), count + 1)}
    if pin is not None and pin <= count:
        write_pin(store, pin)
        expected.add(pin)
    removed = prune(store, keep)
    assert set(store.versions()) == expected
    assert removed == sorted(set(range(1, count + 1)) - expected)
    assert list(store.folder.glob(".*")) == []


def test_version_that_serves_because_newer_ones_are_damaged_stays(tmp_path: Path) -> None:
    """The latest version that can serve is kept, and so is the newest, damaged one."""
    store = store_of(tmp_path, 3)
    damage(store, 3)
    assert prune(store, 1) == [1]
    assert store.versions() == [2, 3]


def test_nothing_goes_while_the_policy_is_unreadable(tmp_path: Path) -> None:
    """If it is not known which version serves, nothing is removed."""
    store = store_of(tmp_path, 3)
    (store.folder / "policy.json").write_text("serve 1")
    with pytest.raises(StoreError, match="serve-version"):
        prune(store, 1)
    assert store.versions() == [1, 2, 3]


def test_nothing_goes_while_the_pin_leads_nowhere(tmp_path: Path) -> None:
    """With a pin on a missing version a service keeps the one it has, which is unknown here: nothing is removed."""
    store = store_of(tmp_path, 3)
    (store.folder / "policy.json").write_text('{"serve": 99}')
    with pytest.raises(StoreError, match=r"nothing was removed.* pins version 99.* not in the store"):
        prune(store, 1)
    assert store.versions() == [1, 2, 3]


def test_nothing_goes_while_the_pinned_version_is_damaged(tmp_path: Path) -> None:
    """A pin on a damaged version is treated like one on a missing version."""
    store = store_of(tmp_path, 3)
    write_pin(store, 1)
    damage(store, 1)
    with pytest.raises(StoreError, match="nothing was removed"):
        prune(store, 1)
    assert store.versions() == [1, 2, 3]


def test_version_of_another_model_does_not_push_out_the_one_that_serves(tmp_path: Path) -> None:
    """A version that was copied from another model never serves, so the newest of this one stays."""
    store = store_of(tmp_path, 3)
    rewrite_manifest(store, 3, name="letters")
    assert prune(store, 1) == [1]
    assert store.versions() == [2, 3]


def test_version_that_may_serve_stays(tmp_path: Path) -> None:
    """Versions newer than the newest whole one stay: a server may have loaded one before it was damaged."""
    store = store_of(tmp_path, 4)
    damage(store, 3)
    damage(store, 4)
    assert prune(store, 1) == [1]
    assert store.versions() == [2, 3, 4]


def test_version_that_answers_otherwise_does_not_push_out_the_one_that_serves(tmp_path: Path) -> None:
    """If the newest versions have trouble other than with their files, the newest one without trouble stays."""
    store, asked = store_of(tmp_path, 4), []

    def trouble_of(folder: Path) -> str | None:
        asked.append(int(folder.name))
        return "it does not answer its golden images as it did" if folder.name in {"3", "4"} else None

    assert prune(store, 1, trouble_of) == [1]
    assert store.versions() == [2, 3, 4]
    assert asked == [4, 3, 2]
    write_pin(store, 3)
    with pytest.raises(StoreError, match=r"nothing was removed.*golden images"):
        prune(store, 1, trouble_of)
    assert store.versions() == [2, 3, 4]


def test_nobody_is_asked_where_nothing_may_go(tmp_path: Path) -> None:
    """If there are no more versions than are kept, no network has to run."""
    assert prune(store_of(tmp_path, 2), 2, lambda folder: pytest.fail(str(folder))) == []


def test_nothing_goes_while_all_are_damaged(tmp_path: Path) -> None:
    """If no version could serve, one may still be serving, so all stay; an empty store has nothing to remove."""
    store = store_of(tmp_path, 2)
    damage(store, 1)
    damage(store, 2)
    with pytest.raises(StoreError, match="every version is damaged"):
        prune(store, 1)
    assert store.versions() == [1, 2]
    assert prune(ModelStore(tmp_path, "letters"), 1) == []


class WatchingDisk(Disk):
    """Records each rename, and whether the version still has its SavedModel at that moment."""

    def __init__(self) -> None:
        self.renamed: list[tuple[str, str, bool]] = []

    def rename(self, source: Path, target: Path) -> None:
        self.renamed.append((source.name, target.name, (source / "saved_model.pb").exists()))
        super().rename(source, target)


def test_version_goes_by_one_rename_first(tmp_path: Path) -> None:
    """A version stays whole under its number until it is renamed to a name that servers ignore."""
    root, disk = store_of(tmp_path, 2).root, WatchingDisk()
    prune(ModelStore(root, "digits", disk), 1)
    ((number, hidden, whole),) = disk.renamed
    assert (number, whole) == ("1", True)
    assert hidden.startswith(".removing-1-")


def test_link_goes_without_what_it_leads_to(tmp_path: Path) -> None:
    """If a version is a link to another place, only the link is removed."""
    store = store_of(tmp_path, 2)
    elsewhere = tmp_path / "elsewhere"
    (store.folder / "1").rename(elsewhere)
    (store.folder / "1").symlink_to(elsewhere)
    assert prune(store, 1) == [1]
    assert (elsewhere / "saved_model.pb").exists()
    assert list(store.folder.glob(".*")) == []


def test_half_removed_version_is_cleared_away_later(tmp_path: Path) -> None:
    """The remains of a version that a killed run was removing are deleted before the next training."""
    store = store_of(tmp_path, 1)
    left = store.folder / ".removing-9-0123"
    left.mkdir()
    os.utime(left, (0, 0))  # a version keeps the time at which it was made
    store.prepare()
    assert not left.exists()
