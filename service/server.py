"""The server process: uvicorn around the app, and a stop that loses nothing.

On SIGTERM readiness turns 503 at once, requests are still answered for `drain_seconds` so that load
balancers can turn away, then what is in flight is finished and the process ends with 0.
"""

import asyncio
import math
import signal
import socket
import warnings
from types import FrameType

import uvicorn
from prometheus_client import disable_created_metrics

from service.app import create_app
from service.settings import Settings
from service.state import Drain

# Connections that the kernel holds until the event loop takes them.
_BACKLOG = 2048


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C.

    Raises:
        OSError: The address cannot be listened on.
    """
    # Pillow warns of damaged files, which are answered with 422; each text would be remembered for ever.
    warnings.filterwarnings("ignore", module="PIL")
    # The time at which each series began doubles the size of /metrics and says nothing here.
    disable_created_metrics()
    drain = Drain()
    config = uvicorn.Config(
        create_app(settings, drain=drain),
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=math.ceil(settings.request_timeout_seconds),
    )
    with _listen(settings.host, settings.port) as listener:
        host, port = listener.getsockname()[:2]
        print(f"Digits listens on http://{_shown(host)}:{port}", flush=True)  # noqa: T201 - for the person who started it
        DrainingServer(config, drain, settings.drain_seconds).run([listener])


class DrainingServer(uvicorn.Server):
    """A uvicorn server that keeps answering for some seconds after SIGTERM."""

    def __init__(self, config: uvicorn.Config, drain: Drain, drain_seconds: float) -> None:
        super().__init__(config)
        self._drain = drain
        self._drain_seconds = drain_seconds

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain on the first SIGTERM; stop at once on a second one and on Ctrl-C."""
        if sig != signal.SIGTERM or self._drain.draining:
            super().handle_exit(sig, frame)
            return
        self._drain.draining = True
        asyncio.get_running_loop().call_later(self._drain_seconds, self._stop)

    def _stop(self) -> None:
        self.should_exit = True


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
