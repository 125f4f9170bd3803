"""The application: makes the service's parts, opens them in order, closes them in reverse."""

import asyncio
import contextlib
import importlib.metadata
import math
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, TypedDict

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from service.batching import Batcher
from service.bodies.reader import BodyReader, Limits
from service.cores import usable_cores
from service.exchange import ExchangeMiddleware
from service.head import HeadAsGet
from service.keys import KeyGuard, Keys
from service.openapi import DESCRIPTION, complete_document
from service.pool import Pool
from service.problems import add_problem_handlers
from service.routes import docs, health, models, page, predict, read
from service.routes import metrics as metrics_route
from service.settings import Settings
from service.state import Drain, ServiceState
from service.telemetry.metrics import Metrics
from service.telemetry.tally import BEAT_SECONDS, Memory
from service.versions.loading import Load, Loader
from service.versions.model_store import ModelStore
from service.versions.reads import Reads
from service.versions.registry import Registry

if TYPE_CHECKING:
    from service.telemetry.tracing import Tracing

# FastAPI's own traces, metrics and logs: they would duplicate the service's, and miss the shortcut.
_NO_TELEMETRY = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}

# Shares of a request's timeout: how long a picture may wait for a decoding thread, and more rows than a batch for the
# network. What would wait longer is refused at once: with a queue as long as the deadline, every request would reach
# the front too late. A flood is felt for this long after its end, which by default should be below 2 s. When one
# begins, requests admitted at the rate measured before wait two to four times as long. Bulk from 32 clients in turn,
# 500 rows each, should fit in.
_PICTURE_WAIT_SHARE, _BULK_WAIT_SHARE = 0.1, 0.13

# Where few workers see many cores, in a container without a limit on a large node, memory is scarcest: decoding a
# picture takes up to 100 MB, and a thread with bulk 6 MB for each version. For more work, run more workers.
_MOST_DECODING_THREADS, _MOST_BULK_THREADS = 2, 8

# How many cards, reports and manifests may be read from the store at once, for people who look at them. A read that
# hangs keeps its place.
_MOST_READS = 16


class LifespanState(TypedDict):
    """What each request finds in its `state`."""

    service: ServiceState


def create_app(
    settings: Settings,
    load: Load | None = None,
    drain: Drain | None = None,
    metrics: Metrics | None = None,
    tracing: "Tracing | None" = None,
) -> FastAPI:
    """Make the service.

    Args:
        settings: The service's settings.
        load: Loads a version; by default from its files, with the engine that the settings name.
        drain: Set from outside when the process is to stop.
        metrics: Shared with other workers; by default this app's own.
        tracing: Where requests and batches are traced; by default nowhere.
    """
    drain = drain or Drain()
    measured = metrics or Metrics()
    measured.queue_limit.set(settings.queue_limit)
    keys = settings.accepted_keys
    app = Digits(
        measured,
        drain,
        Keys(keys) if keys else None,
        tracing,
        telemetry=_NO_TELEMETRY,
        title="Digits",
        description=DESCRIPTION,
        version=importlib.metadata.version("digits"),
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        lifespan=lambda _: _open_parts(settings, load or _loader(settings), drain, measured, tracing),
        redirect_slashes=False,  # an unknown path is 404; and redirects would lead to plain HTTP, even behind TLS
        # All three are routes of `docs`.
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
    )
    for routes in (predict, read, models, health, metrics_route, docs, page):
        app.include_router(routes.router)
    add_problem_handlers(app)
    complete_document(app, needs_key=bool(keys))
    return app


@contextlib.asynccontextmanager
async def _open_parts(
    settings: Settings, load: Load, drain: Drain, metrics: Metrics, tracing: "Tracing | None"
) -> AsyncIterator[LifespanState]:
    """Open the parts in order, hand them to the requests, and close them in reverse when the service ends."""
    store = ModelStore(settings.model_store, settings.model_name)
    registry = Registry(store, load, metrics, settings.poll_seconds)
    async with (
        _beating(metrics.memory),
        tracing.running() if tracing else contextlib.nullcontext(),
        _pool(settings, _decoding_threads(settings, usable_cores()), metrics).running() as pool,
        _pool(settings, 1, metrics).running() as array_pool,
        _batcher(settings, metrics, tracing).running() as batcher,
        registry.running(),
    ):
        reads = Reads(_MOST_READS)
        reader = BodyReader(_limits(settings), pool, array_pool)
        yield {"service": ServiceState(settings, store, registry, reads, batcher, reader, metrics, drain)}


class Digits(FastAPI):
    """FastAPI wrapped in the exchange, so that the shortcut bypasses everything that FastAPI puts around a route."""

    def __init__(
        self,
        metrics: Metrics,
        drain: Drain,
        keys: Keys | None,
        tracing: "Tracing | None",
        **options: Any,  # noqa: ANN401 - FastAPI's own
    ) -> None:
        super().__init__(**options)
        inner: ASGIApp = predict.PredictShortcut(HeadAsGet(super().__call__))
        if keys:  # around the shortcut too
            inner = KeyGuard(inner, keys)
        self._exchange = ExchangeMiddleware(inner, metrics, lambda: drain.draining, tracing)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one exchange."""
        await self._exchange(scope, receive, send)


@contextlib.asynccontextmanager
async def _beating(memory: Memory) -> AsyncIterator[None]:
    """Show for as long as the context is open that the event loop runs: `workers` replaces a worker that hangs."""

    async def beat() -> None:
        while True:
            memory.note_alive()
            await asyncio.sleep(BEAT_SECONDS)

    beating = asyncio.create_task(beat(), name="beats")
    try:
        yield
    finally:
        beating.cancel()


def _decoding_threads(settings: Settings, cores: int) -> int:
    """Threads for decoding pictures in each worker: together as many as there are cores, within a bound.

    Half of decoding is Python: a second thread in a worker takes turns with the first instead of using another core,
    and the event loop has to wait for both. A picture then costs up to a third more CPU time, a refusal twice as much.
    """
    return min(_MOST_DECODING_THREADS, math.ceil(cores / (settings.workers or cores)))


def _bulk_threads(settings: Settings, cores: int) -> int:
    """Threads for bulk in each worker: together twice as many as there are cores, within a bound."""
    return min(_MOST_BULK_THREADS, cores, 2 * math.ceil(cores / (settings.workers or cores)))


def _pool(settings: Settings, threads: int, metrics: Metrics) -> Pool:
    return Pool(settings.queue_limit, threads, _PICTURE_WAIT_SHARE * settings.request_timeout_seconds, metrics)


def _batcher(settings: Settings, metrics: Metrics, tracing: "Tracing | None") -> Batcher:
    return Batcher(
        metrics,
        settings.max_batch_size,
        settings.queue_limit,
        _bulk_threads(settings, usable_cores()),
        tracing,
        _BULK_WAIT_SHARE * settings.request_timeout_seconds,
    )


def _loader(settings: Settings) -> Loader:
    return Loader(settings.engine, settings.cache.expanduser(), settings.max_batch_size)


def _limits(settings: Settings) -> Limits:
    return Limits(settings.max_body_bytes, settings.max_image_pixels, settings.max_instances)
