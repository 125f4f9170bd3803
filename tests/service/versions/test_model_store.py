import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.versions.manifest import MANIFEST_PATH
from service.versions.model_store import ModelStore, Policy, Snapshot
from tests.service.fakes import write_version
from tests.service.running import wait_until


def look(root: Path) -> Snapshot:
    """One look at the model `digits` in the store."""
    return ModelStore(root, "digits").look()


def numbers(root: Path) -> list[int]:
    """The numbers of the versions, in the snapshot's order."""
    return [version.number for version in look(root).versions]


def write_policy(root: Path, content: str) -> None:
    """Write policy.json beside the versions."""
    (root / "digits").mkdir(exist_ok=True)
    (root / "digits" / "policy.json").write_text(content)


def test_versions_come_newest_first(tmp_path: Path) -> None:
    """Versions are ordered as numbers, not as texts."""
    for number in (2, 10, 9, 1):
        write_version(tmp_path, number)

    assert numbers(tmp_path) == [10, 9, 2, 1]


@pytest.mark.parametrize(
    "name",
    ["007", "v2", "0", "-1", "+3", "1.0", "2 ", "²", ".publishing-x", "1-copy", "9" * 19],
)
def test_folders_that_are_no_plain_number_are_not_versions(tmp_path: Path, name: str) -> None:
    """A folder whose name is not a plain positive integer is ignored, above all a version being written."""
    write_version(tmp_path, 1)
    (tmp_path / "digits" / name).mkdir()

    assert numbers(tmp_path) == [1]


def test_a_file_named_like_a_version_is_not_one(tmp_path: Path) -> None:
    """A version is a folder."""
    write_version(tmp_path, 1)
    (tmp_path / "digits" / "3").write_text("")

    assert numbers(tmp_path) == [1]


def test_a_link_to_a_folder_is_a_version(tmp_path: Path) -> None:
    """Stores that are mounted may link their versions."""
    target = write_version(tmp_path / "elsewhere", 1)
    (tmp_path / "digits").mkdir()
    (tmp_path / "digits" / "2").symlink_to(target)

    assert numbers(tmp_path) == [2]


def test_a_store_that_vanished_is_empty_and_says_so(tmp_path: Path) -> None:
    """A missing store raises nothing: the service goes on with what it has."""
    snapshot = look(tmp_path / "nowhere")

    assert snapshot.versions == ()
    assert snapshot.policy == Policy(serve="latest")
    assert snapshot.trouble is not None
    assert "No such file or directory" in snapshot.trouble


def test_a_store_that_is_a_file_is_empty_and_says_so(tmp_path: Path) -> None:
    """A file in the store's place is trouble, not a crash."""
    (tmp_path / "digits").write_text("")

    snapshot = look(tmp_path)

    assert snapshot.versions == ()
    assert snapshot.trouble


def test_without_a_policy_the_latest_serves(tmp_path: Path) -> None:
    """policy.json is optional."""
    write_version(tmp_path, 1)

    assert look(tmp_path).policy == Policy(serve="latest")
    assert look(tmp_path).trouble is None


@pytest.mark.parametrize(
    ("content", "serve"), [('{"serve": "latest"}', "latest"), ('{"serve": 2}', 2), ("{}", "latest")]
)
def test_a_policy_is_read(tmp_path: Path, content: str, serve: str | int) -> None:
    """The policy asks for the latest version or for one number."""
    write_policy(tmp_path, content)

    policy = look(tmp_path).policy

    assert policy is not None
    assert policy.serve == serve


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        '{"serve": 0}',
        '{"serve": -1}',
        '{"serve": "2"}',
        '{"serve": true}',
        '{"serv": 2}',
        '{"serve": null}',
    ],
)
def test_a_malformed_policy_is_none_and_says_so(tmp_path: Path, content: str) -> None:
    """A policy that cannot be read is not taken for the latest; the versions are listed all the same."""
    write_version(tmp_path, 1)
    write_policy(tmp_path, content)

    snapshot = look(tmp_path)

    assert snapshot.policy is None
    assert snapshot.trouble is not None
    assert "policy.json cannot be used" in snapshot.trouble
    assert [version.number for version in snapshot.versions] == [1]


def test_a_huge_policy_is_not_read(tmp_path: Path) -> None:
    """A file larger than memory is trouble, and the versions are listed all the same."""
    write_version(tmp_path, 1)
    write_policy(tmp_path, "{}")
    os.truncate(tmp_path / "digits" / "policy.json", 1 << 40)

    snapshot = look(tmp_path)

    assert snapshot.policy is None
    assert snapshot.trouble == "policy.json cannot be read: File too large"
    assert [version.number for version in snapshot.versions] == [1]


def test_a_policy_that_is_a_link_to_nowhere_is_none_and_says_so(tmp_path: Path) -> None:
    """A broken link is not taken for a missing policy: there is a policy somewhere, which may pin a version."""
    write_version(tmp_path, 1)
    (tmp_path / "digits" / "policy.json").symlink_to(tmp_path / "elsewhere.json")

    snapshot = look(tmp_path)

    assert snapshot.policy is None
    assert snapshot.trouble == "policy.json cannot be read: No such file or directory"


def test_a_policy_that_cannot_be_opened_is_none_and_says_so(tmp_path: Path) -> None:
    """A folder in the policy's place is trouble, not a crash."""
    write_version(tmp_path, 1)
    (tmp_path / "digits" / "policy.json").mkdir()

    snapshot = look(tmp_path)

    assert snapshot.policy is None
    assert snapshot.trouble is not None
    assert "Is a directory" in snapshot.trouble


def test_a_fingerprint_stays_while_nothing_changes(tmp_path: Path) -> None:
    """Two looks at the same files are equal: nothing is loaded again."""
    write_version(tmp_path, 1)

    assert look(tmp_path) == look(tmp_path)


def test_a_fingerprint_changes_with_a_file(tmp_path: Path) -> None:
    """Other content, another time, one file more or fewer: the version is worth another try."""
    folder = write_version(tmp_path, 1)
    seen = [look(tmp_path).versions[0].fingerprint]

    (folder / "saved_model.pb").write_bytes(b"longer than before")
    seen.append(look(tmp_path).versions[0].fingerprint)
    os.utime(folder / MANIFEST_PATH, ns=(1, 1))
    seen.append(look(tmp_path).versions[0].fingerprint)
    (folder / "assets.extra" / "model_card.md").write_text("card")
    seen.append(look(tmp_path).versions[0].fingerprint)
    (folder / MANIFEST_PATH).unlink()
    seen.append(look(tmp_path).versions[0].fingerprint)

    assert len(set(seen)) == len(seen)


@pytest.mark.parametrize("copy", ["written over", "moved over"])
def test_a_fingerprint_changes_when_a_copy_keeps_size_and_time(tmp_path: Path, copy: str) -> None:
    """Repairing a file with `cp -p` or `rsync -a` is noticed, though its size and mtime stay the same."""
    folder = write_version(tmp_path, 1)
    file = folder / "saved_model.pb"
    good, times = file.read_bytes(), file.stat().st_mtime_ns
    file.write_bytes(bytes(len(good)))
    os.utime(file, ns=(times, times))
    damaged = look(tmp_path).versions[0].fingerprint

    # The clock of a file system ticks every few milliseconds.
    wait_until(lambda: _mend(file, good, times, copy) and look(tmp_path).versions[0].fingerprint != damaged, 2)


def _mend(file: Path, good: bytes, times: int, copy: str) -> bool:
    target = file if copy == "written over" else file.parent.parent.parent / "copy"
    target.write_bytes(good)
    os.utime(target, ns=(times, times))
    return bool(target.replace(file))


def test_a_fingerprint_lists_every_file_with_its_size(tmp_path: Path) -> None:
    """Files in subfolders count like those at the top."""
    folder = write_version(tmp_path, 1)

    sizes = {path: size for path, size, *_ in look(tmp_path).versions[0].fingerprint}

    assert sizes["saved_model.pb"] == len(b"a model 1")
    assert sizes[MANIFEST_PATH] == len((folder / MANIFEST_PATH).read_bytes())


def test_a_broken_link_in_a_version_hides_no_other_version(tmp_path: Path) -> None:
    """One damaged version must not make the store unreadable."""
    write_version(tmp_path, 1)
    damaged = write_version(tmp_path, 2)
    (damaged / "variables").symlink_to("nowhere")
    (damaged / "loop").symlink_to("loop")

    assert numbers(tmp_path) == [2, 1]


def test_a_folder_that_cannot_be_listed_hides_no_other_version(tmp_path: Path) -> None:
    """A folder that the system refuses to list leaves the other versions; loading says what is wrong with it."""
    for number in (1, 2, 3):
        write_version(tmp_path, number)
    before = look(tmp_path)
    with _too_deep(tmp_path / "digits" / "2"):
        snapshot = look(tmp_path)

        assert [version.number for version in snapshot.versions] == [3, 2, 1]
        assert snapshot.trouble is None
        assert snapshot.versions[0] == before.versions[0]
        assert look(tmp_path) == snapshot


def test_folders_in_folders_without_end_hide_no_other_version(tmp_path: Path) -> None:
    """A version is searched to the bottom, even where that is deeper than Python's recursion limit."""
    for number in (1, 2):
        write_version(tmp_path, number)
    folders = [tmp_path / "digits" / "2" / "/".join("x" * depth) for depth in range(1, 1_200)]
    try:
        for folder in folders:
            folder.mkdir()
        snapshot = look(tmp_path)
    finally:
        for folder in reversed(folders):  # pytest would remove them, and exceed Python's recursion limit
            folder.rmdir()

    assert [version.number for version in snapshot.versions] == [2, 1]
    assert {"saved_model.pb", "/".join("x" * 1_199)} < {path for path, *_ in snapshot.versions[0].fingerprint}


def test_a_version_that_may_be_no_folder_hides_no_other_version(tmp_path: Path) -> None:
    """An entry that the system cannot examine counts as a version: loading says what is wrong with it."""
    write_version(tmp_path, 1)
    (tmp_path / "digits" / "2").symlink_to("x" * 300)

    assert numbers(tmp_path) == [2, 1]
    assert look(tmp_path).versions[0].fingerprint == ()


@contextlib.contextmanager
def _too_deep(folder: Path) -> Iterator[None]:
    """Nest folders inside the folder until their path is longer than the system allows."""
    with contextlib.ExitStack() as stack:
        inner = os.open(folder, os.O_RDONLY)
        stack.callback(os.close, inner)
        stack.callback(shutil.rmtree, folder)
        for _ in range(20):
            os.mkdir("x" * 250, dir_fd=inner)
            inner = os.open("x" * 250, os.O_RDONLY, dir_fd=inner)
            stack.callback(os.close, inner)
        yield


def test_the_policy_can_be_written_by_hand(tmp_path: Path) -> None:
    """Spaces and line breaks are JSON too."""
    write_policy(tmp_path, json.dumps({"serve": 3}, indent=4) + "\n")

    assert look(tmp_path).policy == Policy(serve=3)
