"""Damage to a stored version is found and named."""

from pathlib import Path

import pytest

from tests.trainer.versions import damage, store_of
from trainer.damage import damage_of
from trainer.manifest import MANIFEST_PATH


def test_whole_version_has_none(tmp_path: Path) -> None:
    """A version as it was published is whole; a file beside those that its manifest lists changes nothing."""
    store = store_of(tmp_path, 1)
    assert damage_of(store.folder / "1") is None
    (store.folder / "1" / "assets.extra" / "notes.txt").touch()
    assert damage_of(store.folder / "1") is None


def test_changed_and_missing_files_are_named(tmp_path: Path) -> None:
    """The file that differs or is gone is named."""
    store = store_of(tmp_path, 1)
    damage(store, 1)
    assert damage_of(store.folder / "1") == "saved_model.pb is not as its manifest states"
    (store.folder / "1" / "saved_model.pb").unlink()
    assert damage_of(store.folder / "1") == "saved_model.pb is not as its manifest states"


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b"{}", b'{"files": 3}', b"\xff\xfe"])
def test_unreadable_manifest_is_damage(tmp_path: Path, content: bytes | None) -> None:
    """A manifest that is missing, no JSON, or of another form is damage, not an exception."""
    path = store_of(tmp_path, 1).folder / "1" / MANIFEST_PATH
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    assert damage_of(path.parents[1]) == "its manifest can't be read"
