"""A server under measurement: started, watched through /proc, and ended with everything that it started. Linux only."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_PR_SET_CHILD_SUBREAPER = 36
# Long enough for a drain of five seconds and for Ray, which ends a dozen processes one by one.
_STOP_SECONDS = 20.0
_ENDED_BY_SIGTERM = 128 + signal.SIGTERM  # as shells say it


class ServerError(Exception):
    """A server that could not be started, or that answers wrongly; its text is the reason that is reported."""


class Server:
    """A command that serves, with all its processes; a context manager.

    Every new descendant of this process counts as the server's, except those passed as `others`. Processes that a
    server detaches from itself remain descendants, because this process asks the kernel to hand it orphans.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path, folder: Path) -> None:
        self._command, self._environment, self._log, self._folder = command, environment, log, folder
        self._process: subprocess.Popen[bytes] | None = None
        self._there_before: set[int] = set()

    def __enter__(self) -> Self:
        adopt_orphans()
        self._there_before = descendants(os.getpid())
        self._process = start(self._command, self._environment, self._log, self._folder)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the server as an operator would, then kill the processes that are left."""
        process = self._process
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
        self._kill_what_is_left()
        process.wait()

    @property
    def pid(self) -> int:
        """Process id of the command itself.

        Raises:
            ServerError: It has not been started.
        """
        if self._process is None:
            msg = "it has not been started"
            raise ServerError(msg)
        return self._process.pid

    @property
    def ended(self) -> bool:
        """Whether the command has ended by itself."""
        return self._process is None or self._process.poll() is not None

    def log_tail(self, lines: int = 3) -> str:
        """The last lines that the server wrote, joined into one."""
        text = self._log.read_text(errors="replace").splitlines()
        return " / ".join(line.strip() for line in text[-lines:] if line.strip())

    def cpu_seconds(self, *others: int) -> float:
        """User and system time of all processes so far, including those that have ended and been waited for."""
        return sum(_cpu_seconds(pid) for pid in self._pids(others))

    def memory_bytes(self, *others: int) -> int:
        """Sum of the proportional set sizes: memory that processes share is counted once."""
        return sum(self.process_bytes(*others))

    def process_bytes(self, *others: int) -> tuple[int, ...]:
        """The proportional set size of each process, greatest first."""
        return tuple(sorted(map(_proportional_bytes, self._pids(others)), reverse=True))

    def _pids(self, others: Collection[int]) -> set[int]:
        return descendants(os.getpid()) - self._there_before - set(others)

    def _kill_what_is_left(self) -> None:
        """Kill and wait, repeatedly, as processes may be started in between."""
        deadline = time.monotonic() + _STOP_SECONDS
        while (left := self._pids(())) and time.monotonic() < deadline:
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                # Other processes' children can be waited for only once they are orphans that this process adopted.
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
            time.sleep(0.05)


def start(command: Sequence[str], environment: Mapping[str, str], log: Path, folder: Path) -> subprocess.Popen[bytes]:
    """Start a command in `folder`, with `environment` added to this process's; its output goes into `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        return subprocess.Popen(  # noqa: S603 - the benchmark's own commands
            command,
            env={**os.environ, **environment},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def end_by_sigterm() -> None:
    """Have SIGTERM end this process the way that Ctrl-C does, so that its servers end with it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_ENDED_BY_SIGTERM))


def adopt_orphans() -> None:
    """Ask the kernel to make orphaned descendants children of this process, so that none gets lost."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants(root: int) -> set[int]:
    """Process ids of everything below `root`."""
    children: dict[int, list[int]] = {}
    for pid, parent in _parents():
        children.setdefault(parent, []).append(pid)
    found: set[int] = set()
    waiting = [root]
    while waiting:
        for child in children.get(waiting.pop(), []):
            found.add(child)
            waiting.append(child)
    return found


def _parents() -> Iterator[tuple[int, int]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = _stat_fields(int(entry.name))
            if fields:
                yield int(entry.name), int(fields[1])


def _stat_fields(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the state on; empty when the process is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return []
    return stat.rpartition(")")[2].split()


def _cpu_seconds(pid: int) -> float:
    # utime, stime, cutime, cstime: fields 14 to 17 of the file, and the state is field 3.
    return sum(int(ticks) for ticks in _stat_fields(pid)[11:15]) / _TICKS_PER_SECOND


def _proportional_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)
