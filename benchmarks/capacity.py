"""`python -m benchmarks.capacity`: the figures marked in docs/capacity.md: 1 and 2 workers, a scrape, preparing.

It also prints the load average beforehand. One worker and two are measured by turns, so that other work on the machine
affects both alike. The figures of whole loads come from `make bench`.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import wrk
from benchmarks.contenders import serving
from benchmarks.digits import Released, digits, single_loads
from benchmarks.figures import Run
from benchmarks.machine import conditions
from benchmarks.processes import ServerError, end_by_sigterm
from service.versions.golden import GoldenImages

_FOLDER = Path(__file__).parents[1] / "build" / "bench"
_WORKERS = (1, 2)
_CONNECTIONS = 32
_ROUNDS = 3
_SECONDS = 4.0
_SCRAPES = 20
_MB = 1e6


@dataclass(frozen=True)
class Scrape:
    """What one scrape of /metrics costs."""

    series: int
    size_bytes: int
    milliseconds: float


@dataclass(frozen=True)
class Round:
    """One replica under load: a run with each kind of body, its memory before, a scrape after."""

    runs: dict[str, Run]
    idle_bytes: int
    scrape: Scrape


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print one line for each figure."""
    argparse.ArgumentParser(prog="python -m benchmarks.capacity", description=__doc__).parse_args(arguments)
    end_by_sigterm()
    machine = conditions(_ROUNDS, _SECONDS, ())
    _say(f"{machine.processor}, {machine.cores} cores; load average before: {machine.load_before}")
    released = Released(_FOLDER)
    golden = released.publish()
    rounds: dict[int, list[Round]] = {workers: [] for workers in _WORKERS}
    for _ in range(_ROUNDS):
        for workers in _WORKERS:
            rounds[workers].append(_measure(released, golden, workers))
    for workers, measured in rounds.items():
        _report(workers, measured)
    for load in rounds[1][0].runs:
        _say(f"2 workers on 2 cores answered {_growth(rounds, load):.2f} times what one does: {load}")
    _report_preparing(released)
    return 0


def _measure(released: Released, golden: GoldenImages, workers: int) -> Round:
    loads = single_loads(golden, (_CONNECTIONS,))
    contender = digits(released, loads)
    contender = replace(contender, environment={**contender.environment, "DIGITS_WORKERS": str(workers)})
    with serving(contender, golden, _FOLDER / "logs") as (server, port):
        idle_bytes = server.memory_bytes()
        runs = {load.request.load: wrk.measure(server, load.request, port, _CONNECTIONS, _SECONDS) for load in loads}
        return Round(runs, idle_bytes, _scrape(port))


def _scrape(port: int) -> Scrape:
    milliseconds = []
    for _ in range(_SCRAPES):
        started = time.perf_counter()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            body = answer.read()
        milliseconds.append(1000 * (time.perf_counter() - started))
    series = sum(not line.startswith(b"#") for line in body.splitlines())
    return Scrape(series, len(body), statistics.median(milliseconds))


def _report(workers: int, rounds: list[Round]) -> None:
    for load in rounds[0].runs:
        runs = [measured.runs[load] for measured in rounds]
        if any(run.errors for run in runs):
            msg = f"requests failed under {load}: a service that fails has no capacity"
            raise ServerError(msg)
        _say(
            f"{workers} workers, {load}: {_spread([run.requests_per_second for run in runs], '.0f')} requests/s,"
            f" {_spread([run.cpu_ms_per_request for run in runs], '.3f')} ms of CPU each,"
            f" p99 {_spread([run.p99_ms for run in runs], '.1f')} ms,"
            f" peak {_spread([run.peak_bytes / _MB for run in runs], '.0f')} MB"
        )
    scrape = rounds[-1].scrape
    idle = _spread([measured.idle_bytes / _MB for measured in rounds], ".0f")
    _say(
        f"{workers} workers: {idle} MB before the load; a scrape has {scrape.series} series"
        f" in {scrape.size_bytes / 1000:.0f} kB and takes {scrape.milliseconds:.1f} ms"
    )


def _growth(rounds: dict[int, list[Round]], load: str) -> float:
    """How many times as many requests two workers answered as one did, with the generator on the same two cores."""
    one, two = (
        statistics.median(each.runs[load].requests_per_second for each in rounds[workers]) for workers in (1, 2)
    )
    return two / one


def _report_preparing(released: Released) -> None:
    """Prepare the released version once, in a cache of its own, and say what it took."""
    cache = _FOLDER / "capacity-cache"
    shutil.rmtree(cache, ignore_errors=True)
    command = [sys.executable, "-m", "service.prepare", str(released.version), str(cache)]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603 - our own
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - started
    if status:
        msg = f"preparing ended with {process.returncode}"
        raise ServerError(msg)
    bytes_read = sum(file.stat().st_size for file in released.version.rglob("*") if file.is_file())
    cpu_seconds = used.ru_utime + used.ru_stime
    _say(
        f"preparing a version of {bytes_read / _MB:.2f} MB: {seconds:.1f} s, {cpu_seconds:.1f} s of CPU,"
        f" peak {used.ru_maxrss * 1024 / _MB:.0f} MB"
    )


def _spread(values: list[float], form: str) -> str:
    """The median, with the least and the greatest."""
    return f"{statistics.median(values):{form}} ({min(values):{form}}-{max(values):{form}})"


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
