"""OpenTelemetry traces: a span for each request, with decode, queue and inference in it, and a span for each batch.

Imported only where traces are sent, because it needs the extra `otel`. A span says no more than the access log:
nothing of a picture, no path, no key. The standard OTEL_* variables set where spans go, and how many.
"""

import asyncio
import contextlib
import importlib.metadata
import threading
import time
from collections.abc import AsyncIterator, Mapping, Sequence

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import Scope

_CONTEXT_HEADERS = frozenset({b"traceparent", b"tracestate"})
_W3C = TraceContextTextMapPropagator()
_UNNAMED = "unknown_service"
# The remaining spans are sent when the process stops, but a collector that does not answer must not delay the stop.
_STOP_SECONDS = 2.0
_ATTRIBUTES = {
    "request_id": "digits.request_id",
    "method": "http.request.method",
    "route": "http.route",
    "status": "http.response.status_code",
    "reason": "error.type",
    "rows": "digits.rows",
    "version": "digits.version",
}
"""Maps the fields of an access line to the attributes of a request's span."""

Fields = Mapping[str, str | int | float]


class RequestTrace:
    """The spans of one request."""

    __slots__ = ("_batches", "_ended", "_inside", "_span", "_started", "_tracer")

    def __init__(self, tracer: Tracer, span: Span) -> None:
        self._tracer = tracer
        self._span = span
        self._inside = set_span_in_context(span)
        self._batches: list[Link] = []
        self._started = self._ended = 0

    @property
    def context(self) -> SpanContext:
        """Identifies the request's own span."""
        return self._span.get_span_context()

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits."""
        return f"{self.context.trace_id:032x}"

    def add(self, name: str, seconds: float) -> None:
        """Add a span that has just ended and took `seconds`."""
        ended = time.time_ns()
        self._tracer.start_span(name, self._inside, start_time=_before(ended, seconds)).end(ended)

    def add_batch(self, links: Sequence[Link], attributes: Fields, seconds: float, *, failed: bool) -> SpanContext:
        """Add the span of a batch that has just ended, with links to all of its requests."""
        ended = time.time_ns()
        started = _before(ended, seconds)
        span = self._tracer.start_span("batch", self._inside, attributes=attributes, links=links, start_time=started)
        if failed:
            span.set_status(StatusCode.ERROR)
        span.end(ended)
        return span.get_span_context()

    def ran_in(self, batch: SpanContext, seconds: float) -> None:
        """Note a batch that has just ended and had rows of this request."""
        self._ended = time.time_ns()
        self._started = self._started or _before(self._ended, seconds)
        self._batches.append(Link(batch))

    def inferred(self) -> None:
        """Add the span of the inference: from the first of its batches to the last, with links to them."""
        span = self._tracer.start_span("inference", self._inside, links=self._batches, start_time=self._started)
        span.end(self._ended)
        self._batches, self._started = [], 0  # a picture of several digits may go through the network twice

    def end(self, method: str, fields: Fields) -> None:
        """End the request's span; `method` is from a bounded set, `fields` are those of its access line."""
        self._span.update_name(f"{method} {fields['route']}")
        self._span.set_attributes({_ATTRIBUTES[name]: value for name, value in fields.items() if name in _ATTRIBUTES})
        if int(fields["status"]) >= 500:
            self._span.set_status(StatusCode.ERROR)
        self._span.end()


class Tracing:
    """Makes the spans of one service; use it as `async with tracing.running()`."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("digits", _version())

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Send spans for as long as the context is open."""
        try:
            yield
        finally:
            stopping = threading.Thread(target=self._provider.shutdown, daemon=True)
            stopping.start()
            await asyncio.to_thread(stopping.join, _STOP_SECONDS)

    def begin(self, scope: Scope) -> RequestTrace | None:
        """Begin the span of a request, in the trace that its W3C headers name; None if it is not sampled."""
        span = self._tracer.start_span(scope["method"], _context_of(scope), SpanKind.SERVER)
        return RequestTrace(self._tracer, span) if span.is_recording() else None

    def ran(
        self, traces: Sequence[RequestTrace | None], rows: int, version: int, seconds: float, *, failed: bool
    ) -> None:
        """Add the span of a batch that has just ended, in the trace of the first of its requests that has one.

        Args:
            traces: One for each request with rows in the batch; None if it is not sampled.
            rows: How many rows the batch has.
            version: The version that ran it.
            seconds: How long it took.
            failed: Whether the run raised.
        """
        sampled = [trace for trace in traces if trace is not None]
        if sampled:
            attributes = {"digits.rows": rows, "digits.requests": len(traces), "digits.version": version}
            links = [Link(trace.context) for trace in sampled]
            batch = sampled[0].add_batch(links, attributes, seconds, failed=failed)
            for trace in sampled:
                trace.ran_in(batch, seconds)


def tracing_to_collector() -> Tracing:
    """Send spans by OTLP over HTTP, as the OTEL_* variables say."""
    provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Tracing(provider)


def _resource() -> Resource:
    """Identifies the sender of the spans, by the name that the OTEL_* variables set, else by the service's own."""
    found = Resource.create({SERVICE_VERSION: _version()})
    if str(found.attributes[SERVICE_NAME]).startswith(_UNNAMED):
        return found.merge(Resource({SERVICE_NAME: "digits"}))
    return found


def _context_of(scope: Scope) -> Context:
    headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"] if name in _CONTEXT_HEADERS}
    # An empty context, not the current one: a request without these headers begins a trace of its own.
    return _W3C.extract(headers, Context())


def _before(ended: int, seconds: float) -> int:
    return ended - round(seconds * 1e9)


def _version() -> str:
    return importlib.metadata.version("digits")
