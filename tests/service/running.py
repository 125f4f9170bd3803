"""Running services in this process: real servers on ports of their own, in threads."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.app import create_app
from service.connections.protocol import counting_protocol
from service.settings import Settings
from service.state import Drain
from service.telemetry.metrics import Metrics
from tests.service.fakes import FakeLoader, write_version

# Milliseconds on an idle machine; the limit is for a busy one.
WAIT_SECONDS = 30.0
HEADER_SECONDS = 10.0


@contextlib.contextmanager
def running_service(
    root: Path,
    drain: Drain | None = None,
    header_seconds: float = HEADER_SECONDS,
    idle_seconds: int = 5,
    loop: str = "auto",
) -> Iterator[httpx.Client]:
    """A service that serves version 1 of a new model store below `root`, in that event loop; gives a client."""
    write_version(root, 1)
    metrics = Metrics()
    app = create_app(Settings(model_store=root, poll_seconds=0.02), load=FakeLoader(), drain=drain, metrics=metrics)
    with listening(app, metrics, header_seconds, idle_seconds, loop=loop) as port, client_of(port) as client:
        wait_until(lambda: client.get("/health/ready").status_code == 200)
        yield client


def client_of(port: int) -> httpx.Client:
    """A client of the service on that port of this machine."""
    # verify=False: reading certificates takes longer than a test, and nothing here is encrypted.
    return httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=WAIT_SECONDS, verify=False)  # noqa: S501


def wait_until(condition: Callable[[], bool], seconds: float = WAIT_SECONDS) -> None:
    """Wait for something that another thread or process brings about; fail when it does not come."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


@contextlib.contextmanager
def keep_doing(request: Callable[[], int], threads: int) -> Iterator[list[int]]:
    """Repeat the request in this many threads while the context is open; gives the list of its answers."""
    ended = threading.Event()
    answers: list[int] = []

    def repeat() -> None:
        while not ended.is_set():
            answers.append(request())

    with ThreadPoolExecutor(threads) as pool:
        repeating = [pool.submit(repeat) for _ in range(threads)]
        try:
            yield answers
        finally:
            ended.set()
    for each in repeating:
        each.result()


@contextlib.contextmanager
def listening(
    app: ASGIApp,
    metrics: Metrics,
    header_seconds: float = HEADER_SECONDS,
    idle_seconds: int = 5,
    protocol: type[HttpToolsProtocol] | None = None,
    loop: str = "auto",
) -> Iterator[int]:
    """A real server in a thread of this process, whose connections behave as in production; gives its port.

    `metrics` are the app's; `protocol` replaces the class of its connections; `loop` is as in uvicorn's settings.
    """
    protocol = protocol or counting_protocol(metrics, header_seconds)
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            port=0,
            loop=loop,
            http=protocol,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=idle_seconds,
        )
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_until(lambda: server.started or not thread.is_alive())
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(timeout=20)
