"""A contender: a server that can be started, asked and compared; and the rounds in which contenders take turns."""

import contextlib
import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import wrk
from benchmarks.figures import Point, Run, ServerFigures
from benchmarks.machine import package_versions
from benchmarks.processes import Server, ServerError
from benchmarks.requests import Answer, Request, send
from service.versions.golden import GOLDEN_TOLERANCE, GoldenImages

# Ray needs most of a minute on two busy cores, and TensorFlow ten seconds in each worker.
START_SECONDS = 180.0
_ASK_AGAIN_SECONDS = 0.1
# Each over a new connection: if one of two processes is not ready yet, that many miss it once in a million.
_ANSWERS_IN_A_ROW = 20
# After this, caches, threads and connections no longer change.
_WARM_UP_SECONDS = 1.0
_PORTS = ("{port}", "{second_port}", "{third_port}")

Builder = Callable[[NDArray[np.float32]], Request]
"""Makes the request that asks about one image, from pixels float32 [784]."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Load:
    """A request, and the numbers of connections that it is measured at."""

    request: Request
    connections: tuple[int, ...]


@dataclass(frozen=True)
class Contender:
    """How to start a server, what to ask it, and where in its JSON the ten probabilities are."""

    name: str
    title: str
    command: tuple[str, ...]
    """`{port}`, `{second_port}` and `{third_port}`, here and in `environment`, stand for free ports."""
    builders: tuple[Builder, ...]
    """The single-image requests whose answers must be right before anything is timed."""
    probabilities_at: tuple[str | int, ...]
    loads: tuple[Load, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path = Path()
    packages: tuple[str, ...] = ()
    settings: str = ""

    def probabilities_in(self, answer: Answer) -> NDArray[np.float32]:
        """Find the probabilities float32 [10] in an answer.

        Raises:
            ServerError: They are not there.
        """
        try:
            found = json.loads(answer.body)
            for step in self.probabilities_at:
                found = found[step]
            return np.asarray(found, np.float32).reshape(10)
        except (ValueError, LookupError, TypeError) as error:
            msg = f"no probabilities in its answer {answer.status} {answer.body[:200]!r}"
            raise ServerError(msg) from error


@dataclass
class _Taken:
    """A contender's runs so far, and why it failed if it did."""

    runs: dict[tuple[str, int], list[Run]] = field(default_factory=dict)
    failure: str | None = None


def take_turns(
    contenders: Sequence[Contender], golden: GoldenImages, logs: Path, repeats: int, seconds: float, say: Say
) -> tuple[ServerFigures, ...]:
    """Start, check, measure and end each contender in turn, `repeats` times over.

    One that fails is reported with its reason and left out of later rounds; the others go on.
    """
    taken = {contender.name: _Taken() for contender in contenders}
    for turn in range(1, repeats + 1):
        for contender in contenders:
            if taken[contender.name].failure is None:
                say(f"round {turn} of {repeats}: {contender.title}")
                _take_turn(contender, golden, logs, seconds, taken[contender.name], say)
    return tuple(_figures(contender, taken[contender.name]) for contender in contenders)


def _take_turn(contender: Contender, golden: GoldenImages, logs: Path, seconds: float, taken: _Taken, say: Say) -> None:
    try:
        with serving(contender, golden, logs) as (server, port):
            _measure_all(contender, server, port, seconds, taken, say)
    except (ServerError, OSError, http.client.HTTPException) as error:
        taken.failure = str(error) or type(error).__name__
        say(f"  failed: {taken.failure}")


@contextlib.contextmanager
def serving(contender: Contender, golden: GoldenImages, logs: Path) -> Iterator[tuple[Server, int]]:
    """Run a contender while the context is open, and check its answers first; gives the server and its port.

    Raises:
        ServerError: It did not start in time, or it answers wrongly.
    """
    ports = dict(zip(_PORTS, free_ports(len(_PORTS)), strict=True))
    port = ports["{port}"]
    command = [_filled(part, ports) for part in contender.command]
    environment = {name: _filled(value, ports) for name, value in contender.environment.items()}
    with Server(command, environment, logs / f"{contender.name}.log", contender.folder) as server:
        _wait_until_it_answers(contender, server, port, golden)
        _check_answers(contender, port, golden)
        yield server, port


def free_ports(count: int) -> list[int]:
    """`count` different free ports of this machine."""
    with contextlib.ExitStack() as opened:
        listeners = [opened.enter_context(socket.socket()) for _ in range(count)]
        for listener in listeners:
            listener.bind(("127.0.0.1", 0))
        return [listener.getsockname()[1] for listener in listeners]


def _filled(text: str, ports: Mapping[str, int]) -> str:
    for name, port in ports.items():
        text = text.replace(name, str(port))
    return text


def _wait_until_it_answers(contender: Contender, server: Server, port: int, golden: GoldenImages) -> None:
    request = contender.builders[0](golden.pixels[0])
    deadline = time.monotonic() + START_SECONDS
    reason, answers = "it does not listen", 0
    while time.monotonic() < deadline:
        if server.ended:
            msg = f"it ended at once: {server.log_tail()}"
            raise ServerError(msg)
        try:
            answer = send(port, request)
        except (OSError, http.client.HTTPException) as error:
            reason = str(error)
        else:
            answers = answers + 1 if answer.status == 200 else 0
            if answers == _ANSWERS_IN_A_ROW:
                return
            reason = f"it answers {answer.status} {answer.body[:200]!r}"
        if not answers:
            time.sleep(_ASK_AGAIN_SECONDS)
    msg = f"not ready after {START_SECONDS:g} seconds: {reason}; its log ends: {server.log_tail()}"
    raise ServerError(msg)


def _check_answers(contender: Contender, port: int, golden: GoldenImages) -> None:
    for builder in contender.builders:
        for pixels, expected in zip(golden.pixels, golden.probabilities, strict=True):
            answered = contender.probabilities_in(send(port, builder(pixels)))
            difference = float(np.abs(answered - expected).max())
            if not difference <= GOLDEN_TOLERANCE:
                msg = f"its probabilities differ from the golden images' by {difference:.2g}"
                raise ServerError(msg)


def _measure_all(contender: Contender, server: Server, port: int, seconds: float, taken: _Taken, say: Say) -> None:
    for load in contender.loads:
        answer = send(port, load.request)
        if answer.status != 200:
            msg = f"it answers {load.request.load} with {answer.status} {answer.body[:200]!r}"
            raise ServerError(msg)
        wrk.measure(server, load.request, port, max(load.connections), min(_WARM_UP_SECONDS, seconds))
        for connections in load.connections:
            run = wrk.measure(server, load.request, port, connections, seconds)
            taken.runs.setdefault((load.request.load, connections), []).append(run)
            say(f"  {load.request.load}, {connections} connections: {described(run)}")


def described(run: Run) -> str:
    """One run in one line."""
    return (
        f"{run.requests_per_second:,.0f} requests/s, p50 {run.p50_ms:.2f} ms, p99 {run.p99_ms:.1f} ms, "
        f"{run.cpu_ms_per_request:.3f} CPU ms a request, {run.peak_bytes / 1e6:.0f} MB, {run.errors} errors"
    )


def _figures(contender: Contender, taken: _Taken) -> ServerFigures:
    rows = {load.request.load: load.request.rows for load in contender.loads}
    return ServerFigures(
        name=contender.name,
        title=contender.title,
        command=" ".join(contender.command),
        versions=package_versions(Path(contender.command[0]).with_name("python"), contender.packages),
        settings=contender.settings,
        points=tuple(
            Point(load, rows[load], connections, tuple(runs)) for (load, connections), runs in taken.runs.items()
        ),
        failure=taken.failure,
    )
