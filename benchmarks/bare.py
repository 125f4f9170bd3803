"""The bare endpoint, a reference point: an endpoint written carefully by hand for uvicorn.

Plain ASGI around the LiteRT engine, run inline: no validation, no batching, no metrics, no deadline. It is not a lower
bound: the service reads JSON in another way, shares batches and writes without uvicorn, and may be faster.
`python -m benchmarks.bare PROGRAM PORT WORKERS`
"""

import argparse
import contextlib
import json
import multiprocessing
import socket
import struct
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from numpy.typing import NDArray
from pydantic_core import from_json

from service.engines.litert import LiteRTEngine

_Message = MutableMapping[str, Any]
_PACK = struct.Struct("784f")


class BareEndpoint:
    """An ASGI app that answers each POST with the probabilities of one image."""

    def __init__(self, program: Path) -> None:
        self._engine = LiteRTEngine(program, max_batch_size=1)

    async def __call__(
        self, scope: _Message, receive: Callable[[], Awaitable[_Message]], send: Callable[[_Message], Awaitable[None]]
    ) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        body = b""
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        is_json = (b"content-type", b"application/json") in scope["headers"]
        row = row_from_json(body) if is_json else row_from_octets(body)
        answer = json.dumps({"probabilities": self._engine.run(row)[0, :10].round(6).tolist()}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})


def row_from_json(body: bytes) -> NDArray[np.float32]:
    """Pixels float32 [1, 784] from `{"pixels": [784 numbers]}`."""
    return np.frombuffer(_PACK.pack(*from_json(body)["pixels"]), np.float32).reshape(1, 784)


def row_from_octets(body: bytes) -> NDArray[np.float32]:
    """Pixels float32 [1, 784] from 784 bytes."""
    return np.frombuffer(body, np.uint8).astype(np.float32).reshape(1, 784) / np.float32(255)


def main() -> None:
    """Serve with one process a worker, each with a listening socket of its own on the same port."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bare")
    parser.add_argument("program", type=Path)
    parser.add_argument("port", type=int)
    parser.add_argument("workers", type=int)
    arguments = parser.parse_args()
    in_processes(arguments.workers, _serve, arguments.program, arguments.port)


def in_processes(count: int, serve: Callable[..., None], *arguments: object) -> None:
    """Serve in `count` processes, of which this one is the first; when it ends, the others end too."""
    spawn = multiprocessing.get_context("spawn")
    for _ in range(count - 1):
        spawn.Process(target=serve, args=arguments, daemon=True).start()
    serve(*arguments)


@contextlib.contextmanager
def listening(port: int) -> Iterator[socket.socket]:
    """Listen on a port of loopback that the other processes listen on too."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(2048)
        yield listener


def _serve(program: Path, port: int) -> None:
    config = uvicorn.Config(BareEndpoint(program), log_level="warning", access_log=False, lifespan="off")
    with listening(port) as listener:
        uvicorn.Server(config).run([listener])


if __name__ == "__main__":
    main()
