"""Brings up the project's own docker-compose.yml, under its own project name and on its own ports."""

import os
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from types import MappingProxyType
from typing import Any, TypeVar

import httpx

from tests.service.running import keep_doing

_REPOSITORY = Path(__file__).parents[2]
# Downloading and unpacking TensorFlow takes most of it; a second build takes seconds.
_BUILD_SECONDS = 2400
_COMMAND_SECONDS = 300
# Stands in for a machine without a network: nothing listens on the discard port. The fast profile, chosen to save
# time, is worse than the released model and passes the quality gate only by force.
_NO_NETWORK = """
services:
  trainer:
    command: ["sh", "-c", "sleep 30 & python -m trainer bootstrap --force; status=$$?; wait; exit $$status"]
    environment: {HTTPS_PROXY: "http://127.0.0.1:9"}
  nightly-trainer:
    environment: {HTTPS_PROXY: "http://127.0.0.1:9"}
"""

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Stack:
    """A running `docker compose up --build --wait`: its containers, and where its ports are published."""

    files: tuple[Path, ...]
    environment: dict[str, str]
    service: str
    prometheus: str

    def up(self, *arguments: str) -> None:
        """Build and start everything, as a user does."""
        self.compose("up", "--build", "--wait", *arguments, timeout_seconds=_BUILD_SECONDS)

    def compose(self, *arguments: str, timeout_seconds: float = _COMMAND_SECONDS) -> str:
        """Run `docker compose` and return its output; fail with what it said on standard error."""
        files = [part for file in self.files for part in ("--file", str(file))]
        return _run(["docker", "compose", *files, *arguments], self.environment, timeout_seconds)

    def docker(self, *arguments: str) -> str:
        """Run `docker` and return its output; fail with what it said on standard error."""
        return _run(["docker", *arguments], self.environment, _COMMAND_SECONDS).strip()

    def containers(self, service: str) -> list[str]:
        """Return the ids of a service's containers, running or not."""
        return self.compose("ps", "--all", "--quiet", service).split()

    def inspect(self, service: str, template: str) -> str:
        """Return what `docker inspect` says of a service's only container."""
        (container,) = self.containers(service)
        return self.docker("inspect", "--format", template, container)

    def query(self, expression: str) -> dict[str, float]:
        """Return the value that Prometheus gives an expression for each `instance`; the key is empty without one."""
        answer = httpx.get(f"{self.prometheus}/api/v1/query", params={"query": expression}).raise_for_status()
        return {
            sample["metric"].get("instance", ""): float(sample["value"][1])
            for sample in answer.json()["data"]["result"]
        }

    def python(self, service: str, program: str) -> str:
        """Run a Python program in a service's container and return what it prints."""
        return self.compose("exec", "--no-TTY", service, "python", "-c", program).strip()

    def trainer_ends(self, timeout_seconds: float) -> tuple[int, str]:
        """Wait until the trainer has ended; return its exit code and its log."""
        state = "{{.State.Status}} {{.State.ExitCode}}"
        ended = poll(
            lambda: self.inspect("trainer", state), lambda answer: answer.startswith("exited"), timeout_seconds
        )
        return int(ended.split()[1]), self.compose("logs", "--no-log-prefix", "trainer")


@contextmanager
def running(
    project: str,
    folder: Path,
    data: Path,
    *arguments: str,
    beside: tuple[str, ...] = (),
    environment: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Stack]:
    """Bring the stack up, with mnist.npz from the folder `data` and no other source; take it down at the end.

    Args:
        project: The name of the Compose project; no other stack on the machine may have it.
        folder: For a Compose file of the tests' own.
        data: Stands in for `./data`.
        arguments: More arguments for `docker compose up`.
        beside: More Compose files of the repository.
        environment: More variables that docker-compose.yml reads.
    """
    override = folder / "no-network.yml"
    override.write_text(_NO_NETWORK)
    service_port, prometheus_port = _free_ports()
    stack = Stack(
        files=(_REPOSITORY / "docker-compose.yml", *(_REPOSITORY / file for file in beside), override),
        environment={
            **os.environ,
            "COMPOSE_PROJECT_NAME": project,
            "DIGITS_DATA": str(data),
            "DIGITS_PROFILE": "fast",
            "DIGITS_PORT": str(service_port),
            "PROMETHEUS_PORT": str(prometheus_port),
            **environment,
        },
        service=f"http://127.0.0.1:{service_port}",
        prometheus=f"http://127.0.0.1:{prometheus_port}",
    )
    try:
        stack.up(*arguments)
        yield stack
    finally:
        stack.compose("down", "--volumes", "--remove-orphans", "--rmi", "local")


def poll(ask: Callable[[], Answer], enough: Callable[[Answer], bool], timeout_seconds: float) -> Answer:
    """Ask twice a second until `enough` accepts the answer; a server that is not there yet is asked again."""
    deadline = time.monotonic() + timeout_seconds
    answer: object = None
    while time.monotonic() < deadline:
        try:
            answer = result = ask()
            if enough(result):
                return result
        except httpx.TransportError as error:
            answer = error
        time.sleep(0.5)
    msg = f"not within {timeout_seconds} s; the last answer was {answer}"
    raise AssertionError(msg)


@contextmanager
def predicting(url: str, clients: int, timeout_seconds: float, **request: Any) -> Iterator[Counter[int]]:
    """Send the same request from several clients, without a pause, for as long as the context is open.

    Args:
        url: The service's.
        clients: How many ask at once, each over its own connection: if threads shared connections, one might close a
            connection that another is about to use.
        timeout_seconds: The longest that a client may wait for a part of its answer.
        request: The request's body and headers, as httpx takes them.

    Yields:
        The number of answers with each status; empty until the context is closed.
    """
    answers: Counter[int] = Counter()
    free: SimpleQueue[httpx.Client] = SimpleQueue()

    def predict() -> int:
        client = free.get()
        try:
            return client.post("/v1/predict", **request).status_code
        finally:
            free.put(client)

    with ExitStack() as opened:
        for _ in range(clients):
            free.put(opened.enter_context(httpx.Client(base_url=url, timeout=timeout_seconds)))
        with keep_doing(predict, clients) as statuses:
            yield answers
        answers.update(statuses)


def _free_ports() -> tuple[int, int]:
    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", 0))
        second.bind(("127.0.0.1", 0))
        return first.getsockname()[1], second.getsockname()[1]


def _run(command: list[str], environment: dict[str, str], timeout_seconds: float) -> str:
    done = subprocess.run(
        command, cwd=_REPOSITORY, env=environment, timeout=timeout_seconds, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr[-4000:]}"
    return done.stdout
