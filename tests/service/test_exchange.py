import asyncio
import gc
import json
import logging
import re
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import Receive, Scope, Send

from service.exchange import ExchangeMiddleware
from service.problems import NotReady, add_problem_handlers
from service.telemetry.metrics import Metrics
from tests.service.assertions import assert_problem

INSIDE = "row 17 of the inside"


class Bug(Exception):
    """An unforeseen exception in a route of the example."""


def example(metrics: Metrics, *, draining: bool = False) -> FastAPI:
    """An app with a route for each way a request may end."""
    app = FastAPI()

    @app.get("/fine/{name}")
    async def fine(name: str) -> str:
        return name

    @app.get("/bug")
    async def bug() -> None:
        raise Bug(INSIDE)

    @app.get("/problem")
    async def problem() -> None:
        raise NotReady("Wait a moment.", retry_after_seconds=3)

    add_problem_handlers(app)
    app.add_middleware(ExchangeMiddleware, metrics=metrics, draining=lambda: draining)
    return app


FINE = example(Metrics())


def ask(app: FastAPI, method: str, path: str, headers: dict[str, Any] | None = None) -> httpx.Response:
    """Send one request to the app, without a server."""

    async def send() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            return await client.request(method, path, headers=headers)

    return asyncio.run(send())


def counted(metrics: Metrics, **labels: str) -> float | None:
    """How many requests the metrics have counted under these labels."""
    return metrics.registry.get_sample_value("digits_http_requests_total", labels)


@contextmanager
def lines_of_access(caplog: pytest.LogCaptureFixture) -> Iterator[list[logging.LogRecord]]:
    """The records of the access log while the context is open."""
    with caplog.at_level(logging.INFO, "digits.access"):
        caplog.clear()
        yield caplog.records


def test_an_exception_is_a_problem_that_tells_nothing() -> None:
    """A fault of the service is a 500 with the request's id and nothing of the exception."""
    metrics = Metrics()

    response = ask(example(metrics), "GET", "/bug", {"X-Request-ID": "mine"})

    problem = assert_problem(response, 500, "internal")
    assert problem["request_id"] == "mine"
    assert INSIDE not in response.text
    assert "Bug" not in response.text


def test_an_exception_is_counted() -> None:
    """A 500 is counted as a request like any other, and as a rejection."""
    metrics = Metrics()

    ask(example(metrics), "GET", "/bug")

    assert counted(metrics, method="GET", route="/bug", status="500") == 1
    assert metrics.registry.get_sample_value("digits_rejected_total", {"reason": "internal"}) == 1
    assert metrics.registry.get_sample_value("digits_http_requests_in_progress") == 0


def test_an_exception_is_logged_with_its_request(caplog: pytest.LogCaptureFixture) -> None:
    """The log has the exception, which the answer does not show, under the request's id."""
    with lines_of_access(caplog) as records:
        ask(example(Metrics()), "GET", "/bug", {"X-Request-ID": "mine"})

    failed = next(record for record in records if record.exc_info)
    assert "mine" in failed.getMessage()
    assert INSIDE in caplog.text


@pytest.mark.parametrize("is_handled", [True, False])
def test_what_led_to_a_problem_goes_with_the_answer(*, is_handled: bool) -> None:
    """A connection keeps the scope of its last request, which must not keep a refused body or its rows in memory."""
    held: list[weakref.ref[Bug]] = []

    def refuse() -> None:
        large = Bug()
        held.append(weakref.ref(large))
        raise NotReady(str(large))

    async def bare(_: Scope, __: Receive, ___: Send) -> None:
        refuse()

    app = FastAPI()
    app.get("/")(refuse)
    add_problem_handlers(app)
    exchange = ExchangeMiddleware(app if is_handled else bare, Metrics(), lambda: False)
    scopes: list[Scope] = []

    async def kept(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)
        await exchange(scope, receive, send)

    async def story() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(kept), base_url="http://test") as client:
            assert (await client.get("/")).status_code == 503
        gc.collect()
        assert held[0]() is None
        assert scopes[0]["state"]["rejected"] == "not-ready"

    asyncio.run(story())


def test_a_problem_keeps_its_headers() -> None:
    """Retry-After gets through, beside the request's id."""
    response = ask(example(Metrics()), "GET", "/problem")

    assert_problem(response, 503, "not-ready")
    assert response.headers["Retry-After"] == "3"


def test_a_wrong_method_names_the_right_ones() -> None:
    """A 405 has the header Allow, and is counted under the route's template, not its path."""
    metrics = Metrics()

    response = ask(example(metrics), "POST", "/fine/x")

    assert_problem(response, 405, "method-not-allowed")
    assert response.headers["Allow"] == "GET, HEAD"
    assert counted(metrics, method="POST", route="/fine/{name}", status="405") == 1


def test_routes_are_templates() -> None:
    """All paths of a route share one label; so do all paths that do not exist."""
    metrics = Metrics()
    app = example(metrics)

    for name in "abc":
        ask(app, "GET", f"/fine/{name}")
        ask(app, "GET", f"/nothing/{name}")

    assert counted(metrics, method="GET", route="/fine/{name}", status="200") == 3
    assert counted(metrics, method="GET", route="unmatched", status="404") == 3


@pytest.mark.parametrize("method", ["BREW", "PROPFIND", "get", "x" * 500])
def test_made_up_methods_are_one_label(method: str) -> None:
    """Clients can make up methods; the metrics have one label for all of them."""
    metrics = Metrics()

    app = example(metrics)
    asyncio.run(_bare_request(app, method))

    assert counted(metrics, method="other", route="/fine/{name}", status="405") == 1


async def _bare_request(app: FastAPI, method: str) -> None:
    """Call the app as a server does; httpx would write the method in capitals."""
    scope = {"type": "http", "method": method, "path": "/fine/x", "headers": [], "query_string": b"", "scheme": "http"}

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(_: Any) -> None:
        pass

    await app(scope, receive, send)


@settings(max_examples=60)
@given(st.binary(max_size=140))
def test_a_request_id_is_kept_or_made(sent: bytes) -> None:
    """An id of 1 to 128 harmless characters is sent back; any other is replaced by a new one of that form."""
    response = ask(FINE, "GET", "/fine/x", {"X-Request-ID": sent})

    given_back = response.headers["X-Request-ID"].encode()
    assert re.fullmatch(rb"[A-Za-z0-9._-]{1,128}", given_back)
    if re.fullmatch(rb"[A-Za-z0-9._-]{1,128}", sent):
        assert given_back == sent
    else:
        assert given_back != sent


def test_made_request_ids_differ() -> None:
    """Two requests without an id are told apart."""
    app = example(Metrics())

    assert ask(app, "GET", "/fine/x").headers["X-Request-ID"] != ask(app, "GET", "/fine/x").headers["X-Request-ID"]


def test_each_request_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """The access line has id, method, route, status, duration and the reason of a refusal."""
    with lines_of_access(caplog) as records:
        ask(example(Metrics()), "GET", "/problem", {"X-Request-ID": "mine"})

    (record,) = records
    fields = {name: getattr(record, name) for name in ("request_id", "method", "route", "status", "reason")}
    assert fields == {
        "request_id": "mine",
        "method": "GET",
        "route": "/problem",
        "status": 503,
        "reason": "not-ready",
    }
    assert json.dumps(record.__dict__["duration_ms"])


def flood(app: FastAPI, paths: list[str]) -> float:
    """Send requests one after the other; returns the seconds that it took."""

    async def send() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            for path in paths:
                await client.get(path)

    started = time.monotonic()
    asyncio.run(send())
    return time.monotonic() - started


def told(records: list[logging.LogRecord], status: int) -> tuple[int, int]:
    """Count the lines of that status, and the requests that they report as left out."""
    lines = [record.__dict__ for record in records if record.__dict__.get("status") == status]
    return len(lines), sum(line.get("left_out", 0) for line in lines)


def test_under_load_lines_are_left_out_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    """At most a hundred lines a second are written; a later one says how many were left out."""
    app = example(Metrics())
    with lines_of_access(caplog) as records:
        seconds = flood(app, ["/fine/x"] * 400)
        time.sleep(1.01)  # into another second, in which there is room
        ask(app, "GET", "/fine/x")

    lines, left_out = told(records, 200)
    assert lines + left_out == 401
    assert lines <= 100 * (int(seconds) + 2) + 1
    assert left_out == sum(int(number) for number in re.findall(r"\((\d+) more not shown\)", caplog.text))


def test_a_flood_of_refusals_hides_no_fault(caplog: pytest.LogCaptureFixture) -> None:
    """Faults, refusals and answers are sampled separately."""
    app = example(Metrics())
    with lines_of_access(caplog) as records:
        flood(app, ["/nothing"] * 300 + ["/bug", "/problem", "/fine/x"])

    assert told(records, 500) == (1, 0)
    assert told(records, 503) == (1, 0)
    assert told(records, 200) == (1, 0)


def test_the_same_traceback_is_not_written_for_every_request(caplog: pytest.LogCaptureFixture) -> None:
    """Five a second are enough; each request still has its line, and is answered and counted."""
    metrics = Metrics()
    with lines_of_access(caplog) as records:
        seconds = flood(example(metrics), ["/bug"] * 60)

    assert 1 <= len([record for record in records if record.exc_info]) <= 5 * (int(seconds) + 2)
    assert told(records, 500) == (60, 0)
    assert counted(metrics, method="GET", route="/bug", status="500") == 60


@pytest.mark.parametrize("path", ["/health", "/health/ready", "/metrics"])
def test_what_machines_ask_every_second_is_not_logged(caplog: pytest.LogCaptureFixture, path: str) -> None:
    """Probes and scrapes would bury the rest."""
    with lines_of_access(caplog) as records:
        ask(example(Metrics()), "GET", path)

    assert not records


@pytest.mark.parametrize("path", ["/healthy", "/health/other", "/metrics2"])
def test_what_only_begins_like_that_is_logged(caplog: pytest.LogCaptureFixture, path: str) -> None:
    """A path that no probe asks for is logged like every path that does not exist."""
    with lines_of_access(caplog) as records:
        ask(example(Metrics()), "GET", path)

    assert len(records) == 1


def test_a_draining_service_closes_its_connections() -> None:
    """Each answer tells the client not to use the connection again; otherwise it may."""
    assert ask(example(Metrics(), draining=True), "GET", "/fine/x").headers["connection"] == "close"
    assert "connection" not in ask(example(Metrics()), "GET", "/fine/x").headers
