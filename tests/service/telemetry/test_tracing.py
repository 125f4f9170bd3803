import itertools
import json
import logging
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import numpy as np
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SentSpan
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from pydantic import SecretStr

from service.app import create_app
from service.bodies.media_types import BYTES
from service.cores import usable_cores
from service.settings import Settings
from service.telemetry.metrics import Metrics
from service.telemetry.tracing import Tracing, tracing_to_collector
from tests.service.fakes import FakeLoader, FirstPixelEngine, row_of, write_version
from tests.service.process import READY_SECONDS, Process
from tests.service.running import client_of, listening, wait_until
from tests.service.scraping import scrape
from tests.service.test_predict import PATH, as_levels
from tests.service.test_read import WidthEngine, touching

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
HEADERS = {"Content-Type": BYTES}
ROW = as_levels(np.stack([row_of(7)]))


@dataclass
class Traced:
    """A service whose spans end up in this process's memory."""

    client: httpx.Client
    memory: InMemorySpanExporter

    def spans(self, name: str) -> list[ReadableSpan]:
        """The spans of that name, in the order in which they ended."""
        return [span for span in self.memory.get_finished_spans() if span.name == name]

    def the(self, name: str) -> ReadableSpan:
        """The only span of that name; waits for it, as it may end after the answer."""
        wait_until(lambda: bool(self.spans(name)))
        (span,) = self.spans(name)
        return span


@contextmanager
def traced_service(root: Path, engine: FirstPixelEngine | None = None, keys: str | None = None) -> Iterator[Traced]:
    """A service that serves version 1 and whose spans stay in this process."""
    memory = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(memory))
    with service_with(Tracing(provider), root, engine, keys) as client:
        yield Traced(client, memory)


@contextmanager
def service_with(
    tracing: Tracing, root: Path, engine: FirstPixelEngine | None = None, keys: str | None = None
) -> Iterator[httpx.Client]:
    """A service that serves version 1 and is traced from its first prediction on."""
    write_version(root, 1)
    settings = Settings(model_store=root, poll_seconds=0.02, api_keys=SecretStr(keys) if keys else None)
    metrics = Metrics()
    load = FakeLoader(engine or FirstPixelEngine())
    app = create_app(settings, load=load, metrics=metrics, tracing=tracing)
    with listening(app, metrics) as port, client_of(port) as client:
        wait_until(lambda: client.get("/health/ready").status_code == 200)
        yield client


@pytest.fixture
def traced(tmp_path: Path) -> Iterator[Traced]:
    """A traced service with `FirstPixelEngine`."""
    with traced_service(tmp_path) as traced:
        yield traced


def attributes(span: ReadableSpan) -> dict[str, object]:
    """A span's attributes as a plain dictionary."""
    return dict(span.attributes or {})


def ids(span: ReadableSpan) -> tuple[int, int]:
    """The ids of the span's trace and of the span."""
    assert span.context
    return span.context.trace_id, span.context.span_id


def linked(span: ReadableSpan) -> set[tuple[int, int]]:
    """The spans that the span links to."""
    return {(link.context.trace_id, link.context.span_id) for link in span.links}


@pytest.mark.parametrize("query", ["", "?version=1"])
@pytest.mark.parametrize("inline_rows", [0, 4])
def test_a_request_has_a_span_and_its_parts_below_it(tmp_path: Path, query: str, inline_rows: int) -> None:
    """With and without routing, decode, queue and inference lie inside the request's span, one after the other.

    This also holds for a few rows, which would bypass the queue if they were not traced.
    """
    with traced_service(tmp_path, FirstPixelEngine(inline_rows=inline_rows)) as traced:
        assert_a_span_and_its_parts(traced, query)


def assert_a_span_and_its_parts(traced: Traced, query: str) -> None:
    """Ask once, and look at the request's span and the three below it."""
    answer = traced.client.post(PATH + query, content=ROW, headers=HEADERS | {"X-Request-ID": "mine"})
    request = traced.the(f"POST {PATH}")

    assert answer.status_code == 200
    assert request.kind is SpanKind.SERVER
    assert attributes(request) == {
        "digits.request_id": "mine",
        "http.request.method": "POST",
        "http.route": PATH,
        "http.response.status_code": 200,
        "digits.rows": 1,
        "digits.version": 1,
    }
    parts = [traced.the(name) for name in ("decode", "queue", "inference")]
    for part in parts:
        assert part.parent
        assert (part.parent.trace_id, part.parent.span_id) == ids(request)
    times = [moment for part in parts for moment in (part.start_time or 0, part.end_time or 0)]
    slack = 2_000_000  # nanoseconds: each part is timed by itself
    assert all(earlier <= later + slack for earlier, later in itertools.pairwise(times))
    assert (request.start_time or 0) <= times[0] + slack
    assert times[-1] <= (request.end_time or 0)


def test_a_request_continues_the_caller_s_trace(traced: Traced) -> None:
    """W3C traceparent names the trace and the calling span; without it a new trace begins."""
    traced.client.post(PATH, content=ROW, headers=HEADERS | {"traceparent": f"00-{TRACE}-{PARENT}-01"})
    continued = traced.the(f"POST {PATH}")
    assert continued.context
    assert continued.parent
    assert (f"{continued.context.trace_id:032x}", f"{continued.parent.span_id:016x}") == (TRACE, PARENT)

    for header in ({}, {"traceparent": "00-nonsense"}):
        traced.memory.clear()
        traced.client.post(PATH, content=ROW, headers=HEADERS | header)
        begun = traced.the(f"POST {PATH}")
        assert begun.parent is None


def test_what_the_caller_does_not_sample_is_not_traced(traced: Traced) -> None:
    """A trace that the caller does not sample is left out here too, batches included."""
    traced.client.post(PATH, content=ROW, headers=HEADERS | {"traceparent": f"00-{TRACE}-{PARENT}-00"})
    traced.client.post(PATH, content=ROW, headers=HEADERS | {"X-Request-ID": "next"})

    assert attributes(traced.the(f"POST {PATH}"))["digits.request_id"] == "next"
    assert len(traced.spans("batch")) == 1


def test_a_batch_is_linked_with_its_requests_and_they_with_it(tmp_path: Path) -> None:
    """Requests that ran together are found from the batch, and the batch from each of them."""
    gate, count = threading.Event(), usable_cores() + 6  # more than threads, each of which takes a batch
    with traced_service(tmp_path, FirstPixelEngine(gate)) as traced, ThreadPoolExecutor(count) as threads:
        sent = [threads.submit(traced.client.post, PATH, content=ROW, headers=HEADERS) for _ in range(count)]
        wait_until(lambda: scrape(traced.client).value("digits_http_requests_in_progress") == count + 1)
        gate.set()
        assert [answer.result().status_code for answer in sent] == [200] * count
        wait_until(lambda: len(traced.spans(f"POST {PATH}")) == count)

        requests, batches = traced.spans(f"POST {PATH}"), traced.spans("batch")
        inferences = traced.spans("inference")
    assert len(batches) < count
    assert sorted(one for batch in batches for one in linked(batch)) == sorted(ids(request) for request in requests)
    assert [attributes(batch)["digits.requests"] for batch in batches] == [len(linked(batch)) for batch in batches]
    for inference in inferences:
        assert inference.parent
        (batch,) = (batch for batch in batches if ids(batch) in linked(inference))
        assert (inference.parent.trace_id, inference.parent.span_id) in linked(batch)


def test_bulk_is_linked_with_each_of_its_batches(traced: Traced) -> None:
    """A request of more rows than a batch holds has one inference, over all of its batches."""
    traced.client.post(PATH, content=bytes(784 * 200), headers=HEADERS)

    inference = traced.the("inference")
    batches = traced.spans("batch")
    # Several threads run them, so the last one need not be the last to end.
    assert Counter(attributes(batch)["digits.rows"] for batch in batches) == {64: 3, 8: 1}
    assert linked(inference) == {ids(batch) for batch in batches}


def test_each_time_through_the_network_has_a_span_of_its_own(tmp_path: Path) -> None:
    """Digits that touch are cut after the first time: the spans follow each other, each linked to its own batch."""
    with traced_service(tmp_path, WidthEngine(tells_is_digit=True)) as traced:
        answer = traced.client.post("/v1/read", content=touching(), headers={"Content-Type": "image/png"})
        first, second = traced.spans("inference")
        batches = traced.spans("batch")
        request = traced.the("POST /v1/read")

    assert answer.json()["text"] == "555"
    assert attributes(request)["digits.rows"] == 3  # as many as digits were answered
    assert (first.end_time or 0) <= (second.start_time or 0)
    assert linked(first) | linked(second) == {ids(batch) for batch in batches}
    assert not linked(first) & linked(second)
    assert len(traced.spans("decode")) == len(traced.spans("queue")) == 2


def test_refusals_and_faults_are_told_apart(tmp_path: Path) -> None:
    """A client's mistake is no error of the service; a fault is one, and its span says nothing internal."""

    class Broken(FirstPixelEngine):
        def run(self, pixels: object) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
            raise RuntimeError(repr(pixels))

    with traced_service(tmp_path, Broken()) as traced:
        traced.client.post(PATH, content=bytes(783), headers=HEADERS)
        refused = traced.the(f"POST {PATH}")
        traced.memory.clear()
        traced.client.post(PATH, content=ROW, headers=HEADERS)
        failed, batch = traced.the(f"POST {PATH}"), traced.the("batch")

    assert (refused.status.status_code, attributes(refused)["error.type"]) == (StatusCode.UNSET, "invalid-input")
    assert (failed.status.status_code, attributes(failed)["error.type"]) == (StatusCode.ERROR, "internal")
    assert batch.status.status_code is StatusCode.ERROR
    assert not [event for span in (failed, batch) for event in span.events]


def test_probes_and_scrapes_are_not_traced(traced: Traced) -> None:
    """The requests that machines send every second would bury the rest."""
    for path in ("/health", "/health/ready", "/metrics", "/v1/models"):
        traced.client.get(path)

    traced.the("GET /v1/models")
    assert len(traced.memory.get_finished_spans()) == 1


def test_no_span_tells_of_a_picture_a_path_or_a_key(tmp_path: Path) -> None:
    """Nothing that a client sends gets into its traces, wherever it is sent."""
    with traced_service(tmp_path, keys="secret-key") as traced:
        for key in ("secret-key", "secret-guess"):
            headers = HEADERS | {"X-API-Key": key, "Cookie": "secret-cookie", "tracestate": "vendor=1"}
            traced.client.post(PATH, content=ROW, headers=headers)
            traced.client.post(f"{PATH}?version=1", content=b"secret body", headers=headers)
            traced.client.post(f"{PATH}?secret=query", content=b"secret body", headers=headers)
            traced.client.get("/v1/models/secret-path", headers=headers)
            traced.client.request("PROPFIND", "/secret-other", headers=headers)
        wait_until(lambda: len([span for span in traced.memory.get_finished_spans() if span.parent is None]) == 10)
        told = "".join(span.to_json() for span in traced.memory.get_finished_spans())

    assert "secret" not in told
    assert "unmatched" in told


def test_the_access_log_and_the_exemplar_name_the_trace(traced: Traced, caplog: pytest.LogCaptureFixture) -> None:
    """A line of the log and a bucket of the metrics both lead to the trace."""
    with caplog.at_level(logging.INFO, "digits.access"):
        traced.client.post(PATH, content=ROW, headers=HEADERS | {"traceparent": f"00-{TRACE}-{PARENT}-01"})
        traced.the(f"POST {PATH}")
        wait_until(lambda: bool(caplog.records))
    shown = traced.client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"}).text

    assert [record.__dict__["trace_id"] for record in caplog.records] == [TRACE]
    assert f'trace_id="{TRACE}"' in shown


class Collector(ThreadingHTTPServer):
    """Receives OTLP over HTTP, and keeps the spans."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Export)
        self.exports: list[ExportTraceServiceRequest] = []

    def spans(self) -> list[SentSpan]:
        """All spans that have come."""
        return [
            span
            for export in list(self.exports)
            for resource in export.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def named(self, name: str) -> list[SentSpan]:
        """The spans of that name that have come."""
        return [span for span in self.spans() if span.name == name]


class _Export(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Collector)
        content = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/v1/traces":
            self.server.exports.append(ExportTraceServiceRequest.FromString(content))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A collector that listens on this machine."""
    with Collector() as collector:
        thread = threading.Thread(target=collector.serve_forever)
        thread.start()
        yield collector
        collector.shutdown()
        thread.join()


def test_spans_of_all_workers_reach_a_collector(
    collector: Collector, released_store: Path, program_cache: Path
) -> None:
    """A real service sends all its spans by OTLP over HTTP, even the last ones; FastAPI adds none."""
    endpoint = f"http://127.0.0.1:{collector.server_address[1]}"
    service = Process(
        released_store,
        program_cache,
        DIGITS_WORKERS="2",
        DIGITS_DRAIN_SECONDS="0",
        OTEL_EXPORTER_OTLP_ENDPOINT=endpoint,
        OTEL_BSP_SCHEDULE_DELAY="60000",
        FASTAPI_OTEL_AUTO_CONFIGURE="true",
    )
    try:
        wait_until(service.ready, READY_SECONDS)
        for number in range(10):
            query = "?version=1" if number % 2 else ""  # through FastAPI, and past it
            httpx.post(f"{service.client.base_url}{PATH}{query}", content=bytes(784), headers=HEADERS, timeout=20)
        service.process.terminate()
        assert service.process.wait(timeout=60) == 0
    finally:
        service.close()

    names = [span.name for span in collector.spans()]
    counts = {name: names.count(name) for name in set(names)}
    assert counts == {f"POST {PATH}": 10, "decode": 10, "queue": 10, "inference": 10, "batch": 10}
    resources = [resource.resource for export in collector.exports for resource in export.resource_spans]
    said = {(at.key, at.value.string_value) for resource in resources for at in resource.attributes}
    assert ("service.name", "digits") in said
    assert len({value for key, value in said if key == "service.instance.id"}) == len(resources) <= 2


def test_a_collector_gets_the_callers_traces_and_the_links_across_batches(
    collector: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over the wire each request is below the calling span and linked from its batch; unsampled ones never come."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{collector.server_address[1]}")
    gate, count = threading.Event(), usable_cores() + 6  # more than threads, each of which takes a batch
    asking = {bytes([number] * 16): bytes([number] * 8) for number in range(1, count + 1)}
    headers = [f"00-{trace.hex()}-{parent.hex()}-01" for trace, parent in asking.items()]
    headers += [f"00-{TRACE}-{PARENT}-00"]

    def ask(client: httpx.Client, traceparent: str) -> int:
        return client.post(PATH, content=ROW, headers=HEADERS | {"traceparent": traceparent}).status_code

    with (
        service_with(tracing_to_collector(), tmp_path, FirstPixelEngine(gate)) as client,
        ThreadPoolExecutor(len(headers)) as threads,
    ):
        sent = [threads.submit(ask, client, header) for header in headers]
        wait_until(lambda: scrape(client).value("digits_http_requests_in_progress") == len(headers) + 1)
        gate.set()
        assert [status.result() for status in sent] == [200] * len(headers)

    requests = collector.named(f"POST {PATH}")
    assert {span.trace_id: span.parent_span_id for span in requests} == asking
    for part in ("decode", "queue", "inference"):
        assert {(span.trace_id, span.parent_span_id) for span in collector.named(part)} == places(requests)
    batches = collector.named("batch")
    assert 0 < len(batches) < count
    assert sorted(place for batch in batches for place in linked_on_the_wire(batch)) == sorted(places(requests))
    for inference in collector.named("inference"):
        (batch,) = (batch for batch in batches if places([batch]) == linked_on_the_wire(inference))
        assert (inference.trace_id, inference.parent_span_id) in linked_on_the_wire(batch)


def places(spans: Iterable[SentSpan]) -> set[tuple[bytes, bytes]]:
    """The ids of each span's trace and of the span."""
    return {(span.trace_id, span.span_id) for span in spans}


def linked_on_the_wire(span: SentSpan) -> set[tuple[bytes, bytes]]:
    """The spans that the span links to."""
    return {(link.trace_id, link.span_id) for link in span.links}


def test_a_collector_that_is_not_there_holds_nothing_up(released_store: Path, program_cache: Path) -> None:
    """Requests are answered and the service stops in time, whether spans can be sent or not."""
    service = Process(
        released_store,
        program_cache,
        DIGITS_WORKERS="1",
        DIGITS_DRAIN_SECONDS="0",
        OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9",
    )
    try:
        wait_until(service.ready, READY_SECONDS)
        assert service.predict().status_code == 200
        told = time.monotonic()
        service.process.terminate()
        assert service.process.wait(timeout=60) == 0
    finally:
        service.close()
    assert time.monotonic() - told < 15


OFF: list[dict[str, str]] = [
    {},
    {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
    {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_SDK_DISABLED": "true"},
    {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_TRACES_EXPORTER": "none"},
]


def test_without_a_collector_nothing_of_it_is_imported() -> None:
    """Off means off: neither the service's tracing nor OpenTelemetry's SDK or exporter is in the process."""
    program = f"""
import json, sys
from service.app import create_app
from service.server import _tracing
from service.settings import Settings
parts = ("service.telemetry.tracing", "opentelemetry.sdk", "opentelemetry.exporter")
for variables in {OFF!r}:
    tracing = _tracing(variables)
    create_app(Settings(), tracing=tracing)
    print(json.dumps([tracing, [name for name in sys.modules if name.startswith(parts)]]))
"""
    ended = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert [json.loads(line) for line in ended.stdout.splitlines()] == [[None, []]] * len(OFF)


def test_a_missing_extra_is_told_and_the_service_goes_on() -> None:
    """If traces are wanted but the packages are missing, a log line says so, and the service runs without traces."""
    program = """
import logging, sys
logging.basicConfig(format="%(message)s")
sys.modules["opentelemetry.sdk"] = None
from service.server import _tracing
print(_tracing({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}))
"""
    ended = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert ended.stdout == "None\n"
    assert "the extra `otel` brings it" in ended.stderr
