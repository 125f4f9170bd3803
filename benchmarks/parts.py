"""The service with some parts switched off, to show what each costs; the rest still answers correctly.

`python -m benchmarks.parts PORT WORKERS [PART ...]`. Each process has its own metrics, and none is replaced if it ends.
The whole service runs in the same way for the comparison, so that only the part differs.
"""

import argparse
import logging
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from benchmarks.bare import in_processes, listening, row_from_octets
from service.app import create_app
from service.batching import Batcher
from service.bodies.media_types import BYTES, JSON, RawHeaders
from service.bodies.reader import Announced, Body, BodyReader
from service.connections.protocol import counting_protocol
from service.exchange import CONNECTION, IS_ALONE, WHOLE
from service.inference import Inference, inference_of
from service.routes.predict import PredictShortcut
from service.server import serve_app
from service.settings import Settings
from service.state import Drain, ServiceState
from service.telemetry import logs
from service.telemetry.instruments import Counter, Gauge, Histogram
from service.telemetry.metrics import Metrics
from service.versions.loading import Load, LoadedVersion

if TYPE_CHECKING:
    import simdjson

PARTS = {
    "reload": "looking at the model store (hot reload)",
    "log": "the access log",
    "metrics": "the metrics",
    "exchange": "ids, safety headers, log and count of each request",
    "checks": "the checks of bodies",
    "batching": "the queue: batches, deadlines, limits, cancellation",
    "connections": "the connections' own limits, answers in one piece, and whether a request is alone",
}
"""Each part that can be switched off, and what it is."""

_NEVER_SECONDS = 86_400.0


def main() -> None:
    """Serve without the parts that the command line names, until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.parts")
    parser.add_argument("port", type=int)
    parser.add_argument("workers", type=int)
    # Without a part, argparse looks for the empty list among the choices.
    parser.add_argument("off", nargs="*", choices=[[], *PARTS], metavar="PART", help=", ".join(PARTS))
    arguments = parser.parse_args()
    in_processes(arguments.workers, _serve, arguments.port, frozenset(arguments.off))


def _serve(port: int, off: Collection[str]) -> None:
    settings = Settings()
    logs.configure(settings.log_format)
    stripped = strip(settings, off)
    with listening(port) as listener:
        serve_app(stripped.app, stripped.protocol, settings, stripped.drain, listener)


class Stripped(NamedTuple):
    """The service without some of its parts; `protocol` is the class of its connections."""

    app: ASGIApp
    protocol: type[HttpToolsProtocol]
    drain: Drain
    metrics: Metrics


def strip(settings: Settings, off: Collection[str], load: Load | None = None) -> Stripped:
    """Make the service without the parts `off`; `load` is as for `create_app`."""
    if "reload" in off:
        settings = settings.model_copy(update={"poll_seconds": _NEVER_SECONDS})
    if "log" in off:
        logging.getLogger("digits.access").setLevel(logging.ERROR)
    drain, metrics = Drain(), _Uncounted() if "metrics" in off else Metrics()
    whole: ASGIApp = create_app(settings, load, drain, metrics)
    app = _Changed(whole, lambda state: _without(state, off), has_exchange="exchange" not in off)
    counting = counting_protocol(metrics, settings.request_timeout_seconds)
    return Stripped(app, HttpToolsProtocol if "connections" in off else counting, drain, metrics)


def _without(state: ServiceState, off: Collection[str]) -> ServiceState:
    if "batching" in off:
        state = replace(state, batcher=_AtOnce(state.metrics, state.settings.max_batch_size, 1))
    if "checks" in off:
        state = replace(state, reader=_Trusting(state.reader.limits, state.reader.pool, state.reader.array_pool))
    return state


class _Uncounted(Metrics):
    """Metrics whose instruments count nothing."""

    def __init__(self) -> None:
        super().__init__()
        for name, instrument in list(vars(self).items()):
            if isinstance(instrument, Counter | Gauge | Histogram):
                setattr(self, name, _Nothing())

    def predicted(self, version: int, probabilities: NDArray[np.float32], is_digit: list[bool] | None = None) -> None:
        """Count nothing."""


class _Nothing:
    """An instrument whose methods take as little time as a call can."""

    def inc(self, *_: object, by: float = 1) -> None:
        pass

    def set(self, value: float) -> None:
        pass

    def observe(self, value: float, *_: str) -> None:
        pass

    def observe_all(self, values: NDArray[np.float64], *_: str) -> None:
        pass

    def observe_request(self, value: float, request_id: str, trace_id: str, *_: str) -> None:
        pass


class _Changed:
    """The app with other parts in each request's state, and optionally without the exchange around each request."""

    def __init__(self, app: ASGIApp, change: Callable[[ServiceState], ServiceState], *, has_exchange: bool) -> None:
        self._app = app if has_exchange else _WithoutExchange(app)
        self._change = change
        self._changed: ServiceState | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self._changed = self._changed or self._change(scope["state"]["service"])
            scope["state"]["service"] = self._changed
        await self._app(scope, receive, send)


class _WithoutExchange:
    """Predictions bypass the exchange; other requests go through it, since a benchmark only asks for predictions."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._shortcut = PredictShortcut(app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        state = scope["state"]
        state["request_id"] = "none"
        connection = state.pop(CONNECTION, None)
        state[IS_ALONE] = connection is not None and connection.is_alone

        async def send_whole(message: Message) -> None:
            if message["type"] != WHOLE:
                await send(message)
                return
            write = connection and connection.whole_writer(scope)
            if write:
                lines = [b"%b: %b\r\n" % header for header in message["headers"]]
                write(message["status"], b"".join([*lines, b"\r\n", message["body"]]))
                return
            await send({"type": "http.response.start", "status": message["status"], "headers": message["headers"]})
            await send({"type": "http.response.body", "body": message["body"]})

        await self._shortcut(scope, receive, send_whole)


class _AtOnce(Batcher):
    """Runs each request's rows on their own, in the event loop, as soon as they have arrived."""

    async def infer(self, version: LoadedVersion, pixels: NDArray[np.float32], *_: object, **__: object) -> Inference:
        """Run the network; caller and deadline do not matter, because nothing waits."""
        started = time.perf_counter()
        outputs = version.engine.run(pixels)
        return inference_of(version, outputs, 0.0, time.perf_counter() - started)

    def check_room(self, rows: int) -> None:
        """Accept any number of rows."""


class _Trusting(BodyReader):
    """Reads single images as the service does, but without checking them."""

    def admit(self, headers: RawHeaders, *_: object) -> Announced:
        """Trust the Content-Type header."""
        content_type = headers[b"content-type"]
        return Announced(JSON if content_type == JSON.encode() else BYTES, content_type)

    def rows_at_once(self, body: Body) -> NDArray[np.float32]:
        """Read pixels float32 [1, 784]."""
        if body.media_type == BYTES:
            return row_from_octets(body.content)
        document = cast("simdjson.Object", self.parser.parse(body.content))
        pixels = cast("simdjson.Array", document["pixels"])
        return np.frombuffer(pixels.as_buffer(of_type="d")).astype(np.float32).reshape(1, 784)


if __name__ == "__main__":
    main()
