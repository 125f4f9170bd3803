"""Damage to a stored version is found and named."""

import errno
from pathlib import Path
from typing import Any

import pytest

from tests.trainer.made_versions import damage, rewrite_manifest, store_of
from trainer.versions.damage import damage_of
from trainer.versions.manifest import MANIFEST_PATH


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


@pytest.mark.parametrize("content", [None, b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_unreadable_manifest_is_damage(tmp_path: Path, content: bytes | None) -> None:
    """A manifest that is missing or no JSON is damage, not an exception."""
    path = store_of(tmp_path, 1).folder / "1" / MANIFEST_PATH
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    assert damage_of(path.parents[1]) == "its manifest can't be read"


@pytest.mark.parametrize("content", ["[]", "3", "null", "{}", '{"files": {}}', '{"files": 3}'])
def test_manifest_of_another_form_is_damage(tmp_path: Path, content: str) -> None:
    """JSON of any other form is damage, not an exception."""
    path = store_of(tmp_path, 1).folder / "1" / MANIFEST_PATH
    path.write_text(content)
    assert (damage_of(path.parents[1]) or "").startswith("its manifest is not valid (")


@pytest.mark.parametrize(
    ("members", "damage"),
    [
        ({"version": 2}, "its manifest says version 2"),
        ({"name": "letters"}, "its manifest says model letters"),
        ({"schema_version": 2}, "its manifest says schema 2"),
        ({"created": 1763844000}, "its manifest is not valid (created)"),
        ({"baseline": {"class_counts": [1] * 9, "confidence_counts": [1] * 20}}, "(baseline/class_counts)"),
        ({"files": {"../saved_model.pb": {"bytes": 0, "sha256": "0" * 64}}}, "(files/../saved_model.pb)"),
        ({"files": {"saved_model.pb": {"bytes": 0, "sha256": "0" * 64}}}, "does not list assets.extra/golden.npz"),
        ({"files": {}}, "its manifest does not list saved_model.pb"),
        ({"note": "x" * 1024**2}, "its manifest is not valid (its size)"),
    ],
)
def test_what_a_server_refuses_is_damage(tmp_path: Path, members: dict[str, Any], damage: str) -> None:
    """Another model's version, another number or form, and a version without golden images never serve."""
    store = store_of(tmp_path, 1)
    rewrite_manifest(store, 1, **members)
    assert (damage_of(store.folder / "1") or "").endswith(damage)


@pytest.mark.parametrize(
    ("path", "damage"),
    [
        ("variables/variables.index", "its manifest does not list variables/variables.index"),
        ("fingerprint.pb", "its manifest does not list fingerprint.pb"),
        ("assets.extra/notes.txt", None),
        (".DS_Store", None),
    ],
)
def test_what_may_be_loaded_must_be_listed(tmp_path: Path, path: str, damage: str | None) -> None:
    """Weights that the manifest leaves out would be loaded unchecked; files that TensorFlow never reads do no harm."""
    folder = store_of(tmp_path, 1).folder / "1"
    (folder / path).parent.mkdir(exist_ok=True)
    (folder / path).write_bytes(b"anything")
    assert damage_of(folder) == damage


@pytest.mark.parametrize("file", ["manifest.json", "saved_model.pb"])
@pytest.mark.parametrize("code", [errno.EIO, errno.EMFILE, errno.ENFILE, errno.ESTALE, errno.ENOMEM])
def test_fault_of_the_machine_is_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, code: int
) -> None:
    """A failing disk or too many open files say nothing about the version."""
    read_bytes = Path.read_bytes

    def failing(path: Path) -> bytes:
        if path.name == file:
            raise OSError(code, "the machine's")
        return read_bytes(path)

    store = store_of(tmp_path, 1)
    monkeypatch.setattr(Path, "read_bytes", failing)
    with pytest.raises(OSError, match="the machine's"):
        damage_of(store.folder / "1")
