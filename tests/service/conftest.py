from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.app import create_app
from service.settings import Settings
from service.telemetry.metrics import Metrics
from tests.service.fakes import FakeLoader, write_version
from tests.service.running import client_of, listening, wait_until

StartService = Callable[..., httpx.Client]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A model store that holds version 1."""
    write_version(tmp_path / "store", 1)
    return tmp_path / "store"


@pytest.fixture
def start_service(tmp_path: Path) -> Iterator[StartService]:
    """Starts services with fake versions and any settings on ports of their own; stops them after the test."""
    with ExitStack() as stack:

        def start(load: FakeLoader | None = None, *, ready: bool = True, **settings: Any) -> httpx.Client:
            chosen = Settings.model_validate({"model_store": tmp_path / "store", "poll_seconds": 0.02} | settings)
            metrics = Metrics()
            app = create_app(chosen, load=load or FakeLoader(), metrics=metrics)
            port = stack.enter_context(listening(app, metrics))
            client = stack.enter_context(client_of(port))
            if ready:
                wait_until(lambda: client.get("/health/ready").status_code == 200)
            return client

        yield start


@pytest.fixture
def client(store: Path, start_service: StartService) -> httpx.Client:  # noqa: ARG001 - the store must be there first
    """A running service that serves version 1 with `FirstPixelEngine`."""
    return start_service()
