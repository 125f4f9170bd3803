"""The manifest's facts: checksums of files, sources and commits."""

import hashlib
import json
import subprocess
from pathlib import Path

import pytest

from trainer.release import RELEASED_FOLDER
from trainer.versions.manifest import MANIFEST_PATH, code_sha256, describe_files, git_commit, library_versions, read


def test_every_file_but_the_manifest_is_described(tmp_path: Path) -> None:
    """Each file has its size and SHA-256 under its POSIX path."""
    (tmp_path / MANIFEST_PATH).parent.mkdir()
    (tmp_path / MANIFEST_PATH).write_text("{}")
    (tmp_path / "variables").mkdir()
    (tmp_path / "variables" / "a").write_bytes(b"abc")
    digest = hashlib.sha256(b"abc").hexdigest()
    assert describe_files(tmp_path) == {"variables/a": {"bytes": 3, "sha256": digest}}


def test_code_digest_sees_every_change(tmp_path: Path) -> None:
    """A source's content, name and place count; other files don't."""
    (tmp_path / "a.py").write_text("x = 1")
    digests = [code_sha256(tmp_path)]
    (tmp_path / "notes.txt").write_text("not code")
    assert code_sha256(tmp_path) == digests[0]
    (tmp_path / "a.py").write_text("x = 2")
    digests.append(code_sha256(tmp_path))
    (tmp_path / "a.py").rename(tmp_path / "b.py")
    digests.append(code_sha256(tmp_path))
    (tmp_path / "c.py").touch()
    digests.append(code_sha256(tmp_path))
    assert len(set(digests)) == 4


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A git repository with one committed source."""
    package = tmp_path / "trainer"
    package.mkdir()
    (package / "__init__.py").write_text("")
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    for arguments in (["init", "-q"], ["add", "."], [*identity, "commit", "-q", "-m", "first"]):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True, timeout=20)
    return package


def test_commit_is_named_only_if_the_sources_are_of_it(repository: Path) -> None:
    """Untouched sources have a commit; changed, new or ignored ones have none."""
    commit = git_commit(repository)
    assert commit is not None
    assert len(commit) == 40
    (repository / "new.py").write_text("")
    assert git_commit(repository) is None
    (repository / "new.py").unlink()
    (repository / "__init__.py").write_text("changed = True")
    assert git_commit(repository) is None


def test_installed_copy_has_no_commit(repository: Path) -> None:
    """A copy that another project's repository ignores is not of that project's commit."""
    (repository.parent / ".gitignore").write_text("installed/\n")
    copy = repository.parent / "installed" / "trainer"
    copy.mkdir(parents=True)
    (copy / "__init__.py").write_text("")
    assert git_commit(copy) is None


def test_libraries_are_named() -> None:
    """The versions of Python and of each library that shapes the result are there."""
    libraries = library_versions()
    assert set(libraries) == {"python", "tensorflow", "keras", "numpy"}
    assert all(version[0].isdigit() for version in libraries.values())


def test_released_model_matches_its_manifest() -> None:
    """The released model's files are those its manifest lists, and small; it was trained on MNIST itself."""
    manifest = read(RELEASED_FOLDER)
    assert manifest["files"] == describe_files(RELEASED_FOLDER)
    assert manifest["dataset"]["canonical"]
    sizes = [file["bytes"] for file in manifest["files"].values()]
    assert max(sizes) <= 1024 * 1024
    assert sum(sizes) < 2 * 1024 * 1024
    assert "/" not in json.dumps({**manifest, "files": {}})
