"""The released model goes into an empty store, quickly, and into no other."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from trainer.release import RELEASED_FOLDER, release
from trainer.versions.manifest import describe_files, read
from trainer.versions.store import Disk, ModelStore, StoreError


def test_empty_store_gets_it(tmp_path: Path) -> None:
    """It becomes version 1, whole, with its manifest's facts, under the name that was asked for."""
    folder = release(ModelStore(tmp_path, "numerals"))
    assert folder == tmp_path / "numerals" / "1"
    manifest, released = read(folder), read(RELEASED_FOLDER)
    assert manifest == {**released, "name": "numerals", "version": 1}
    assert manifest["files"] == describe_files(folder)


def test_store_with_a_version_is_left_alone(tmp_path: Path) -> None:
    """A second release changes nothing."""
    store = ModelStore(tmp_path, "digits")
    release(store)
    assert release(store) is None
    assert store.versions() == [1]


class RivalDisk(Disk):
    """Lets another release come first at the last instant."""

    def rename(self, source: Path, target: Path) -> None:
        if target.name == "1" and not target.exists():
            release(ModelStore(target.parents[1], target.parent.name))
        super().rename(source, target)


def test_two_at_once_release_it_once(tmp_path: Path) -> None:
    """If two releases find the store empty, the second gives way instead of publishing a version 2."""
    store = ModelStore(tmp_path, "digits", RivalDisk())
    assert release(store) is None
    assert store.versions() == [1]
    assert [path.name for path in store.folder.iterdir()] == ["1"]


def test_damaged_release_is_refused(tmp_path: Path) -> None:
    """A released model that doesn't match its manifest is not published."""
    released = tmp_path / "released"
    shutil.copytree(RELEASED_FOLDER, released)
    (released / "fingerprint.pb").write_bytes(b"other")
    store = ModelStore(tmp_path / "models", "digits")
    with pytest.raises(StoreError, match="damaged"):
        release(store, released)
    assert store.versions() == []
    with pytest.raises(StoreError, match="can't be read"):
        release(store, tmp_path / "nothing")


def test_command_imports_no_tensorflow(tmp_path: Path) -> None:
    """`release` answers at once because it never imports TensorFlow or Keras."""
    code = (
        "import sys; from trainer.cli import app; app(standalone_mode=False); "
        "print(sorted({'tensorflow', 'keras'} & set(sys.modules)))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code, "release", "--store", str(tmp_path)],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert answer.stdout.splitlines() == [f"released      {tmp_path / 'digits' / '1'}", "[]"]
