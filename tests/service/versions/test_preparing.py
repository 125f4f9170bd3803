import asyncio
import contextlib
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from service.versions.manifest import VersionRejected
from service.versions.preparing import LoadPostponed, NoVerdict, run_preparing

Command = Callable[[str], list[str]]


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """Makes a command that stands in for the preparing process, from lines of shell."""

    def made(script: str) -> list[str]:
        file = tmp_path / "preparing"
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)
        return [str(file)]

    return made


def said(rejected: str = "null", postponed: str = "null", failed: str = "null") -> str:
    return f"""echo '{{"rejected": {rejected}, "postponed": {postponed}, "failed": {failed}}}'"""


def test_a_process_that_found_nothing_against_its_version_is_no_error(command: Command) -> None:
    """It may have printed anything before its report."""
    asyncio.run(run_preparing(command(f"echo TensorFlow says hello\n{said()}"), timeout_seconds=30))


@pytest.mark.parametrize(
    ("script", "error", "reason"),
    [
        (said(rejected='"it answers NaN"'), VersionRejected, "it answers NaN"),
        (said(postponed='"the disk is full"'), LoadPostponed, "the disk is full"),
        (said(failed='"it needs more memory"'), NoVerdict, "it needs more memory"),
        ("kill -KILL $$", NoVerdict, "was ended by signal 9"),
        ("exit 3", NoVerdict, "ended with 3"),
        ("echo '[]'", NoVerdict, "ended with 0"),
        ("head -c 100000 /dev/zero", NoVerdict, "ended with"),
        ("sleep 30", NoVerdict, r"longer than 0\.3 seconds"),
    ],
)
def test_what_it_has_found_out_is_raised(command: Command, script: str, error: type[Exception], reason: str) -> None:
    """Its verdict is raised; a process that reports nothing, or prints too much, gives `NoVerdict`."""
    seconds = 0.3 if script == "sleep 30" else 30.0
    with pytest.raises(error, match=reason):
        asyncio.run(run_preparing(command(script), seconds))


def test_nothing_of_it_stays(command: Command, tmp_path: Path) -> None:
    """Processes that it has started are ended with it."""
    started = tmp_path / "started"
    with pytest.raises(NoVerdict):
        asyncio.run(run_preparing(command(f"sleep 60 &\necho $! >{started}\nwait"), timeout_seconds=1.0))
    child = int(started.read_text())
    deadline = time.monotonic() + 10
    while is_running(child):
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("ending", [said(), "kill -KILL $$", "sleep 30"])
def test_its_temporary_files_go_with_it(command: Command, tmp_path: Path, ending: str) -> None:
    """TensorFlow's converter makes a folder of its own, and cannot remove it when the process is killed."""
    told = tmp_path / "told"
    with contextlib.suppress(NoVerdict):
        script = f'echo "$TMPDIR" >{told}\nmkdir "$TMPDIR/model"\ntouch "$TMPDIR/model/saved_model.pb"\n{ending}'
        asyncio.run(run_preparing(command(script), timeout_seconds=1.0))
    folder = Path(told.read_text().strip())
    assert folder.parent == Path(tempfile.gettempdir())
    assert not folder.exists()


def test_without_a_folder_for_temporary_files_it_is_run_all_the_same(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process itself knows whether it needs one, and says so."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(LoadPostponed, match="no folder"):
        asyncio.run(run_preparing(command(said(postponed='"no folder"')), timeout_seconds=30))


def is_running(pid: int) -> bool:
    """Whether the process exists and has not ended; a zombie has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_killed_process_that_cannot_end_is_not_waited_for(
    command: Command, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A process that waits for a mount ends only when that answers; the result does not wait for it."""
    monkeypatch.setattr(os, "killpg", lambda *_: None)

    async def story() -> None:
        started = time.monotonic()
        with pytest.raises(NoVerdict, match=r"longer than 0\.2 seconds"):
            await run_preparing(command("exec sleep 3"), timeout_seconds=0.2, end_seconds=0.1)
        assert time.monotonic() - started < 2
        await asyncio.sleep(3.5)  # so that it ends before the loop does

    asyncio.run(story())
    assert "has not ended yet" in caplog.text
