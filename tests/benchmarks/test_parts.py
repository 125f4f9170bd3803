"""The service still answers correctly when some of its parts are switched off, and those parts are off."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from benchmarks.digits import Released, without
from benchmarks.parts import PARTS, strip
from benchmarks.requests import Request, json_image, octet_image
from service.settings import Settings
from tests.service.fakes import FakeLoader, FirstPixelEngine, write_version
from tests.service.running import client_of, listening, wait_until
from tests.service.scraping import scrape

ROW = np.full(784, 0.4, np.float32)


@pytest.fixture(autouse=True)
def access_level() -> Iterator[None]:
    """Restore the access log's level after the test."""
    access = logging.getLogger("digits.access")
    before = access.level
    yield
    access.setLevel(before)


@contextlib.contextmanager
def stripped(root: Path, *off: str) -> Iterator[httpx.Client]:
    write_version(root, 1)
    loader = FakeLoader(FirstPixelEngine(inline_rows=64, tells_is_digit=True))
    service = strip(Settings(model_store=root, poll_seconds=0.02), off, loader)
    served = listening(service.app, service.metrics, protocol=service.protocol)
    with served as port, client_of(port) as client:
        wait_until(lambda: client.get("/health/ready").status_code == 200)
        yield client


def asked(client: httpx.Client, request: Request) -> httpx.Response:
    return client.post(request.path, content=request.body, headers=dict(request.headers))


@pytest.mark.parametrize("off", [*([part] for part in PARTS), list(PARTS)], ids="+".join)
def test_what_is_left_answers(tmp_path: Path, off: list[str]) -> None:
    """Both kinds of body are answered, whichever part is missing."""
    with stripped(tmp_path, *off) as client:
        for request in (json_image(ROW), octet_image(ROW)):
            (prediction,) = asked(client, request).raise_for_status().json()["predictions"]
            assert prediction["digit"] == 4
            assert prediction["is_digit"]


def test_without_the_exchange_there_is_no_id(tmp_path: Path) -> None:
    """The other headers that every answer has are missing too."""
    with stripped(tmp_path, "exchange") as client:
        headers = asked(client, json_image(ROW)).headers
    assert "x-request-id" not in headers
    assert "x-content-type-options" not in headers


def test_without_metrics_nothing_is_counted(tmp_path: Path) -> None:
    """The counters of the whole service are not there."""
    with stripped(tmp_path, "metrics") as client:
        asked(client, json_image(ROW))
        assert not scrape(client).total("digits_predictions_total")


def test_without_the_queue_there_are_no_batches(tmp_path: Path) -> None:
    """The rows run, but are not counted as a batch."""
    with stripped(tmp_path, "batching") as client:
        asked(client, json_image(ROW))
        shown = scrape(client)
    assert shown.total("digits_predictions_total") == 1
    assert shown.total("digits_batch_rows_count") == 0


def test_without_checks_anything_is_a_digit(tmp_path: Path) -> None:
    """Ink of 2.0, which the whole service refuses, gets an answer."""
    dark = json_image(np.full(784, 2.0, np.float32))
    with stripped(tmp_path / "whole") as client:
        assert asked(client, dark).status_code == 422
    with stripped(tmp_path / "trusting", "checks") as client:
        assert asked(client, dark).status_code == 200


def test_without_the_access_log_no_line_is_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With the access log, a request writes one line."""
    caplog.set_level(logging.INFO)
    for off, lines in (((), 1), (("log",), 0)):
        caplog.clear()
        with stripped(tmp_path / str(lines), *off) as client:
            asked(client, json_image(ROW))
        assert len([record for record in caplog.records if record.name == "digits.access"]) == lines


def test_without_their_own_limits_connections_are_uvicorns() -> None:
    """The protocol class is then uvicorn's own, from which the service's is derived."""
    assert strip(Settings(), ["connections"]).protocol is HttpToolsProtocol
    assert strip(Settings(), []).protocol is not HttpToolsProtocol


def test_all_parts_are_named_to_the_process_without_them(tmp_path: Path) -> None:
    """They are arguments on its command line."""
    assert without("all of these", PARTS, Released(tmp_path), ()).command[-len(PARTS) :] == tuple(PARTS)
    assert without("the log", ["log"], Released(tmp_path), ()).command[-1] == "log"
