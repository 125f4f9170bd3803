import errno
import os
import time
from pathlib import Path

import pytest

from service.versions.program_cache import MAX_PROGRAMS, prune, remove_leftovers

DAY_SECONDS = 24 * 3600
SHA = "a" * 64


def leave(entry: Path, age_seconds: float) -> Path:
    """Make a file of that age; under the name of a preparing process's folder, a folder with a program in it."""
    if entry.name.startswith(".preparing-"):
        entry.mkdir()
        (entry / f"{SHA}.tflite").write_bytes(bytes(1000))
    else:
        entry.touch()
    os.utime(entry, (time.time() - age_seconds,) * 2)
    return entry


@pytest.mark.parametrize("name", [".preparing-abc_1234", f"{SHA}.lock", f"{SHA}-litert.rejected"])
def test_what_was_left_is_removed_after_a_day(tmp_path: Path, name: str) -> None:
    """A killed process leaves its program, a rejected version its lock and the reason: none of these stays for ever."""
    entry = leave(tmp_path / name, DAY_SECONDS - 60)
    remove_leftovers(tmp_path)
    assert entry.exists(), "somebody may be at it"
    os.utime(entry, (time.time() - DAY_SECONDS - 60,) * 2)
    remove_leftovers(tmp_path)
    assert not list(tmp_path.iterdir())


def test_what_others_keep_there_stays(tmp_path: Path) -> None:
    """Programs have a limit of their own, and a folder for temporary files holds other programs' locks."""
    names = [f"{SHA}.tflite", "apt.lock", "notes", f"{SHA}.lock.txt"]
    kept = {leave(tmp_path / name, 10 * DAY_SECONDS) for name in names}
    remove_leftovers(tmp_path)
    assert set(tmp_path.iterdir()) == kept


def test_a_cache_that_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    """A missing cache, or a file that is gone, raises nothing."""
    remove_leftovers(tmp_path / "missing")
    (tmp_path / f"{SHA}.lock").symlink_to("nowhere")
    remove_leftovers(tmp_path)


def test_programs_that_were_not_loaded_for_longest_make_room(tmp_path: Path) -> None:
    """A bounded number is kept, with their locks; the program just loaded is among them."""
    for number in range(MAX_PROGRAMS + 5):
        for suffix in (".tflite", ".lock"):
            leave(tmp_path / f"{number}{suffix}", age_seconds=1000 - number)
    prune(tmp_path, tmp_path / "0.tflite")
    kept = {"0", *map(str, range(6, MAX_PROGRAMS + 5))}
    assert {file.stem for file in tmp_path.glob("*.tflite")} == kept
    assert {file.stem for file in tmp_path.glob("*.lock")} == kept


def test_a_program_that_another_worker_removes_is_passed_over(tmp_path: Path) -> None:
    """A program that is removed between listing it and reading its age keeps no other from being loaded."""
    (tmp_path / "removed.tflite").symlink_to("nowhere")
    prune(tmp_path, tmp_path / "removed.tflite")


def refuse(*_: object, **__: object) -> None:
    """Fail as a read-only file system does."""
    raise OSError(errno.EROFS, os.strerror(errno.EROFS))


def test_a_cache_that_can_only_be_read_is_used_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program is loaded even if its load cannot be noted and surplus programs cannot be removed."""
    programs = [leave(tmp_path / f"{number}.tflite", age_seconds=1000) for number in range(MAX_PROGRAMS + 1)]
    monkeypatch.setattr(os, "utime", refuse)
    monkeypatch.setattr(os, "unlink", refuse)
    monkeypatch.setattr(Path, "unlink", refuse)
    prune(tmp_path, programs[0])
    assert all(program.exists() for program in programs)


def test_a_clock_that_was_ahead_removes_nothing_that_is_loaded_now(tmp_path: Path) -> None:
    """Times in the future are taken as now, and any program loaded from then on is newer."""
    ahead = [leave(tmp_path / f"ahead{number}.tflite", age_seconds=-3600) for number in range(MAX_PROGRAMS)]
    for name in ("first", "second"):
        program = leave(tmp_path / f"{name}.tflite", age_seconds=0)
        prune(tmp_path, program)
    assert (tmp_path / "first.tflite").exists()
    assert (tmp_path / "second.tflite").exists()
    assert sum(program.exists() for program in ahead) == MAX_PROGRAMS - 2
