"""The service that is put under load: started on a free port, watched from outside, given new versions."""

import http.client
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.contenders import free_ports
from benchmarks.digits import Released, digits
from benchmarks.processes import Server, descendants
from benchmarks.stress.answers import RELEASED_ONLY
from service.prepare import program_name
from service.versions.golden import GoldenImages
from service.versions.manifest import MANIFEST_PATH, read_manifest

_LONGEST_WAIT_SECONDS = 120.0
_ESTABLISHED = "01"  # in /proc/net/tcp
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Network:
    """A network as it is published again and again: a version's folder, and its compiled program."""

    folder: Path
    program: bytes


@dataclass(frozen=True)
class Running:
    """A service that runs, with the model store that it serves and the golden images of its version 1."""

    port: int
    server: Server
    released: Released
    golden: GoldenImages
    networks: tuple[Network, ...]
    """The released network and, if asked for, the mirrored one; versions have them in turn."""
    published: dict[int, bool]
    """The versions that were published whole, and whether they have the mirrored network."""

    def serving(self) -> int | None:
        """The version that serves, according to the worker that answers."""
        number: int | None = self._model().get("serving")
        return number

    def state(self, number: int) -> str | None:
        """The state of a version, according to the worker that answers; None if it is not in the store."""
        states = {version["version"]: version["state"] for version in self._model().get("versions", [])}
        return states.get(number)

    def workers(self) -> set[int]:
        """Process ids of the workers, if there are several."""
        return {pid for pid in descendants(self.server.pid) if _name(pid).startswith("worker ")}

    def connections(self, worker: int) -> int:
        """How many connections to clients that worker has open."""
        established = {
            fields[9]
            for fields in map(str.split, Path("/proc/net/tcp").read_text().splitlines()[1:])
            if fields[3] == _ESTABLISHED and int(fields[1].rpartition(":")[2], 16) == self.port
        }
        files = [_link(file) for file in Path(f"/proc/{worker}/fd").iterdir()]
        return sum(file in {f"socket:[{inode}]" for inode in established} for file in files)

    def metric(self, name: str) -> float:
        """The value of a metric without labels, over all workers."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)) as connection:
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
        return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} "))

    def resident_bytes(self) -> int:
        """Resident memory of the serving processes; those that only prepare a version are left out."""
        return sum(_resident_bytes(pid) for pid in (self.server.pid, *self.workers()))

    def publish_again(self, number: int, *, in_cache: bool = False, damaged: bool = False) -> Path:
        """Publish the next network under another number, by one rename as the trainer does.

        With `in_cache` its program is put into the cache first, as if another replica had prepared it: the service only
        has to verify it, open it and compare it with the golden images. With `damaged` one bit of the SavedModel is
        wrong.
        """
        turn = (number - 1) % len(self.networks)
        unfinished = self.released.store / "digits" / ".publishing-stress"
        shutil.copytree(self.networks[turn].folder, unfinished)
        manifest = unfinished / MANIFEST_PATH
        manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"version": number}))
        if damaged:
            model = unfinished / "saved_model.pb"
            content = model.read_bytes()
            model.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        if in_cache:
            name = program_name(read_manifest(unfinished)[1])
            (self.released.cache / name).write_bytes(self.networks[turn].program)
        if not damaged:
            self.published[number] = bool(turn)
        return unfinished.rename(self.released.store / "digits" / str(number))

    def _model(self) -> dict[str, Any]:
        """The model as /v1/models describes it; empty if the service does not answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        with closing(connection), suppress(OSError, http.client.HTTPException, ValueError):
            connection.request("GET", "/v1/models")
            model: dict[str, Any] = json.loads(connection.getresponse().read())["models"][0]
            return model
        return {}


@contextmanager
def running(folder: Path, *, apart: bool = False, mirrored: bool = False) -> Iterator[Running]:
    """Serve the released model from a store of its own below `folder`, while the context is open.

    With `apart`, if there are several cores, this process has the last one to itself and the service has the others, as
    if its clients were on another machine. With `mirrored`, versions have the released and a mirrored network in turn.
    """
    released = Released(folder)
    golden = released.publish()
    others = [_mirrored(released)] if mirrored else []
    (port,) = free_ports(1)
    cores = os.sched_getaffinity(0)
    own = {max(cores)} if apart and len(cores) > 1 else cores
    try:
        os.sched_setaffinity(0, cores - own or cores)
        server = digits(released, ())
        environment = {**server.environment, "DIGITS_PORT": str(port), "DIGITS_POLL_SECONDS": "0.2"}
        with Server(server.command, environment, folder / "log", server.folder) as started:
            os.sched_setaffinity(0, own)
            wait_until(lambda: is_ready(port))
            network = Network(released.version, released.program().read_bytes())
            yield Running(port, started, released, golden, (network, *others), dict(RELEASED_ONLY))
    finally:
        os.sched_setaffinity(0, cores)


def _mirrored(released: Released) -> Network:
    """Make the mirrored network in the benchmark's folder, and its program."""
    folder, cache = released.folder / "mirrored", released.folder / "mirrored-program"
    for module in (["benchmarks.stress.mirror", released.version, folder], ["service.prepare", folder, cache]):
        command = [sys.executable, "-m", *map(str, module)]
        subprocess.run(command, check=True, capture_output=True, timeout=300)  # noqa: S603 - our own programs
    return Network(folder, next(cache.glob("*.tflite")).read_bytes())


def is_ready(port: int) -> bool:
    """Whether the service on that port answers readiness with 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with closing(connection), suppress(OSError, http.client.HTTPException):
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == http.HTTPStatus.OK
    return False


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for something to come true.

    Raises:
        TimeoutError: It did not.
    """
    deadline = time.monotonic() + _LONGEST_WAIT_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            msg = "it did not happen in time"
            raise TimeoutError(msg)
        time.sleep(0.02)


def _resident_bytes(pid: int) -> int:
    with suppress(OSError, IndexError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
    return 0


def _name(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text()
    return ""


def _link(file: Path) -> str:
    with suppress(OSError):  # closed meanwhile
        return str(file.readlink())
    return ""
