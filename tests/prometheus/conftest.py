import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.prometheus.server import Prometheus, free_port, running_prometheus
from tests.service.process import READY_SECONDS, Process
from tests.service.running import wait_until

Start = Callable[..., Process]

_BUILD = Path(__file__).parents[2] / "build"


@pytest.fixture(scope="session")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """One server for all tests; at the end, which alerts fired and cleared, and when, is written into build/."""
    with running_prometheus(tmp_path_factory.mktemp("prometheus")) as server:
        yield server
        # pytest's worker processes do not show what is printed.
        log = _BUILD / f"alerts-{os.environ.get('PYTEST_XDIST_WORKER', 'gw')}.log"
        log.parent.mkdir(exist_ok=True)
        log.write_text("".join(f"{seconds:6.1f} s  {alert} {what}\n" for seconds, alert, what in server.log))


@pytest.fixture
def store(released_store: Path, tmp_path: Path) -> Path:
    """The test's own model store, with the released version 1."""
    return Path(shutil.copytree(released_store, tmp_path / "store"))


@pytest.fixture
def port() -> int:
    """The port that this test's service listens on each time it is started."""
    return free_port()


@pytest.fixture
def start(prometheus: Prometheus, store: Path, program_cache: Path, port: int) -> Iterator[Start]:
    """Starts the service on that port, with any settings; Prometheus scrapes it, and at first no alert fires."""
    with ExitStack() as stack:

        def start(*, ready: bool = True, **settings: str) -> Process:
            chosen = {"DIGITS_PORT": str(port), "DIGITS_WORKERS": "2", "DIGITS_DRAIN_SECONDS": "0"} | settings
            process = Process(store, program_cache, **chosen)
            stack.callback(process.close)
            prometheus.scrape([port])
            if ready:
                wait_until(process.ready, READY_SECONDS)
                prometheus.wait_for_silence()
            return process

        yield start
