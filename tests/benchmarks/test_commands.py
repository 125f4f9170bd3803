"""The benchmarks that have no options: they say what they measure, and leave no server behind."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from benchmarks import capacity, counters
from benchmarks.processes import descendants
from tests.service.running import wait_until

ROOT = Path(__file__).parents[2]
SECONDS = 60


@pytest.mark.parametrize("module", [capacity, counters])
def test_help_measures_nothing(
    module: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--help` says what is measured, and ends; an unknown option is wrong usage."""
    monkeypatch.setattr(module, "Released", None)  # without which nothing can be measured
    for given, code in (("--help", 0), ("--quick", 2)):
        with pytest.raises(SystemExit) as ended:
            module.main([given])
        assert ended.value.code == code
        shown = capsys.readouterr()
        assert (shown.out + shown.err).startswith(f"usage: python -m {module.__name__} [-h]")


def is_there(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def services(pid: int) -> list[int]:
    """The service processes among a process's descendants."""
    found = []
    for below in descendants(pid):
        with contextlib.suppress(OSError):  # it has ended since it was listed
            if b"-m\0service\0" in Path(f"/proc/{below}/cmdline").read_bytes():
                found.append(below)
    return found


def test_sigterm_ends_the_server_too(tmp_path: Path) -> None:
    """Ending a benchmark by SIGTERM, as `timeout` does, also ends every process that it started."""
    benchmark = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.counters"], cwd=ROOT, env={**os.environ, "TMPDIR": str(tmp_path)}
    )
    started: list[int] = []
    try:
        wait_until(lambda: bool(services(benchmark.pid)), SECONDS)
        started = services(benchmark.pid)
        benchmark.terminate()
        assert benchmark.wait(SECONDS) == 128 + signal.SIGTERM
        assert [pid for pid in started if is_there(pid)] == []
        assert list(tmp_path.iterdir()) == []
    finally:
        benchmark.kill()
        benchmark.wait()
        for pid in filter(is_there, started):
            os.kill(pid, signal.SIGKILL)


def test_capacity_listens_to_sigterm_before_it_starts_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    """The handler is set first, so that everything the benchmark starts ends with it."""
    handlers: list[object] = []

    def released(_: Path) -> None:
        handlers.append(signal.getsignal(signal.SIGTERM))
        raise KeyboardInterrupt

    monkeypatch.setattr(capacity, "Released", released)
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(KeyboardInterrupt):
            capacity.main([])
    finally:
        signal.signal(signal.SIGTERM, before)
    assert handlers != [before]
