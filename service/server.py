"""One serving process: uvicorn around the app, and a stop that loses nothing.

On SIGTERM readiness turns 503 at once. Requests are still answered for `drain_seconds`, so that load balancers can turn
away; then requests in flight are finished, and the process exits with 0.
"""

import asyncio
import gc
import logging
import math
import os
import resource
import signal
import socket
import warnings
from collections.abc import Mapping
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.app import create_app
from service.connections.protocol import counting_protocol
from service.settings import Settings
from service.state import Drain
from service.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from service.telemetry.tracing import Tracing

# The most that macOS allows where it reports no limit; it refuses to set "no limit".
_FILES_WITHOUT_LIMIT = 10_240
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")

# New objects from one garbage collection to the next. A few thousand waiting requests are this many objects, none of
# them garbage: with Python's 700, collections take an eighth of the event loop's time.
_NEW_OBJECTS = 20_000

log = logging.getLogger("digits.server")


def serve(settings: Settings, listener: socket.socket, metrics: Metrics) -> None:
    """Serve the connections of a listening socket until SIGTERM or Ctrl-C."""
    drain = Drain()
    app = create_app(settings, drain=drain, metrics=metrics, tracing=_tracing(os.environ))
    serve_app(app, counting_protocol(metrics, settings.request_timeout_seconds), settings, drain, listener)


def serve_app(
    app: ASGIApp, protocol: type[HttpToolsProtocol], settings: Settings, drain: Drain, listener: socket.socket
) -> None:
    """Serve any app in this way; `protocol` is the class of its connections."""
    # Pillow warns of damaged files, which are answered with 422; each warning's text would be kept for ever.
    warnings.filterwarnings("ignore", module="PIL")
    _allow_open_files()
    config = uvicorn.Config(
        app,
        http=protocol,
        lifespan="on",
        ws="none",  # there is no WebSocket here, and uvicorn would refuse one past the app, which would not count it
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nothing here asks who the client is
        date_header=False,  # the connections write it: uvicorn's is made in the loop that is left out below
        timeout_graceful_shutdown=math.ceil(settings.request_timeout_seconds),
    )
    # Modules, routes and schemas stay for ever: the garbage collector need not look at them again and again.
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS)
    DrainingServer(config, drain, settings.drain_seconds).run([listener])


def _allow_open_files() -> None:
    """Let this process have as many files open as it may: each connection is one, and shells allow 256 to 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft in (hard, resource.RLIM_INFINITY):
        return
    wanted = max(soft, _FILES_WITHOUT_LIMIT) if hard == resource.RLIM_INFINITY else hard
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError) as error:
        log.warning("no more than %d files can be open, connections among them: %s", soft, error)


def _tracing(environment: Mapping[str, str]) -> "Tracing | None":
    """Tracing, if OpenTelemetry's standard variables say where to send traces; else it is not even imported."""
    disabled = environment.get("OTEL_SDK_DISABLED", "").lower() == "true"
    if disabled or environment.get("OTEL_TRACES_EXPORTER") == "none" or not any(map(environment.get, _ENDPOINTS)):
        return None
    try:
        from service.telemetry.tracing import tracing_to_collector
    except ImportError as error:
        log.warning("no traces: %s is not installed; the extra `otel` brings it", error.name)
        return None
    return tracing_to_collector()


class DrainingServer(uvicorn.Server):
    """A uvicorn server that keeps answering for some seconds after SIGTERM, and sleeps while nobody asks."""

    def __init__(self, config: uvicorn.Config, drain: Drain, drain_seconds: float) -> None:
        super().__init__(config)
        self._drain = drain
        self._drain_seconds = drain_seconds
        self._stopped = asyncio.Event()

    async def main_loop(self) -> None:
        """Wait until the server is to stop; called by uvicorn.

        uvicorn's own loop wakes up ten times a second, which takes more of a core than all else that an idle worker
        does. Its other work is not needed: connections make the date themselves, and requests have no maximum number.
        """
        await self._stopped.wait()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain on the first SIGTERM; stop at once on a second one and on Ctrl-C."""
        loop = asyncio.get_running_loop()
        # The loop may be asleep: from a signal handler, only a thread-safe call is sure to wake it up.
        if sig != signal.SIGTERM or self._drain.draining:
            super().handle_exit(sig, frame)
            loop.call_soon_threadsafe(self._stopped.set)
            return
        self._drain.draining = True
        loop.call_soon_threadsafe(loop.call_later, self._drain_seconds, self._stop)

    def _stop(self) -> None:
        self.should_exit = True
        self._stopped.set()
