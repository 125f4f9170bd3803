"""Where the service's time goes: a py-spy profile of all its processes under load, as functions by own time."""

import collections
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import wrk
from benchmarks.contenders import Say, described, serving
from benchmarks.digits import Released, digits, single_loads
from benchmarks.figures import Profile, Share
from benchmarks.processes import ServerError

_PY_SPY = "py-spy==0.4.3"
_SAMPLES_PER_SECOND = 200
_CONNECTIONS = 32
_SHOWN = 40
# Threads that wait for work; py-spy counts some of them as busy.
_WAITING = (
    *("Condition.wait (", "_worker (concurrent/futures/", "EpollSelector.select (", "Popen._try_wait ("),
    "_stop_when_closed (",  # reads from the parent, which says nothing until it ends
)


def profile(folder: Path, seconds: float, say: Say) -> tuple[Profile, ...]:
    """Load the service with single images, JSON and then octet-stream; report and return functions by own time.

    Raises:
        ServerError: The service does not start, or py-spy cannot be installed or may not attach to it.
    """
    released = Released(folder / "bench")
    golden = released.publish()
    py_spy = _installed(folder / "profile")
    loads = single_loads(golden, (_CONNECTIONS,))
    profiles: list[Profile] = []
    with serving(digits(released, loads), golden, folder / "bench" / "logs") as (server, port):
        for load in loads:
            stacks = folder / "profile" / f"{load.request.load.split(',')[0]}.txt"
            with _recording(py_spy, server.pid, stacks, seconds) as recorder:
                run = wrk.measure(server, load.request, port, _CONNECTIONS, seconds + 1)
                _, complaint = recorder.communicate(timeout=seconds + 60)
            if recorder.returncode:
                msg = f"py-spy: {complaint.strip()}"
                raise ServerError(msg)
            say(f"\n{load.request.load}, {_CONNECTIONS} connections, while being looked at: {described(run)}")
            shares = tuple(own_times(stacks.read_text().splitlines())[:_SHOWN])
            for line in shares:
                say(f"{line.share:7.1%}  {line.function}")
            say(f"whole stacks: {stacks}")
            profiles.append(Profile(load.request.load, _CONNECTIONS, shares))
    return tuple(profiles)


def own_times(stacks: Sequence[str]) -> list[Share]:
    """Sum up collapsed stacks (`frame;frame;frame samples`) by innermost frame, greatest first; waiting left out."""
    samples: collections.Counter[str] = collections.Counter()
    for line in stacks:
        frames, _, count = line.rpartition(" ")
        innermost = frames.rpartition(";")[2]
        if not innermost.startswith(_WAITING):
            samples[innermost] += int(count)
    total = samples.total() or 1
    return [Share(function, count / total) for function, count in samples.most_common()]


def _recording(py_spy: Path, pid: int, stacks: Path, seconds: float) -> subprocess.Popen[str]:
    options = [f"--duration={seconds:.0f}", f"--rate={_SAMPLES_PER_SECOND}", "--format=raw", f"--output={stacks}"]
    command = [str(py_spy), "record", f"--pid={pid}", "--subprocesses", "--function", *options]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)  # noqa: S603


def _installed(folder: Path) -> Path:
    py_spy = folder / "bin" / "py-spy"
    if not py_spy.exists():
        try:
            for command in (
                [sys.executable, "-m", "venv", str(folder)],
                [str(folder / "bin" / "pip"), "install", "--quiet", _PY_SPY],
            ):
                subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)  # noqa: S603
        except (OSError, subprocess.SubprocessError) as error:
            msg = f"py-spy cannot be installed: {error}"
            raise ServerError(msg) from error
    return py_spy
