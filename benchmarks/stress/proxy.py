"""A small proxy in front of several instances: it asks each whether it is ready, and gives connections to one that is.

It passes bytes on and retries nothing: a request that fails behind it fails for the client. Only a connection that an
instance does not accept is offered to the next one.
"""

import asyncio
import contextlib
import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from typing import TypeAlias

Connection: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]

_CHECK_SECONDS = 0.2
_CHECK_TIMEOUT_SECONDS = 2.0
_CHECK = b"GET /health/ready HTTP/1.1\r\nHost: proxy\r\nConnection: close\r\n\r\n"
_PART_BYTES = 64 * 1024


class Proxy:
    """Passes connections on to the instances that are ready, in turn; `refused` counts those that none accepted."""

    def __init__(self, instances: Sequence[int]) -> None:
        self._instances = instances
        self._turns = itertools.count()
        self.ready: set[int] = set()
        self.refused = 0

    @contextlib.contextmanager
    def running(self) -> Iterator[int]:
        """Run in a thread while the context is open; gives the proxy's port."""
        started = Future[tuple[int, Callable[[], object]]]()
        thread = threading.Thread(target=lambda: asyncio.run(self._run(started)))
        thread.start()
        port, stop = started.result(timeout=10)
        try:
            yield port
        finally:
            stop()
            thread.join()

    async def _run(self, started: "Future[tuple[int, Callable[[], object]]]") -> None:
        loop, stopping = asyncio.get_running_loop(), asyncio.Event()
        checks = [asyncio.create_task(self._check(instance)) for instance in self._instances]
        server = await asyncio.start_server(self._pass_on, "127.0.0.1", 0)
        started.set_result((server.sockets[0].getsockname()[1], partial(loop.call_soon_threadsafe, stopping.set)))
        await stopping.wait()
        server.close()
        for task in checks:
            task.cancel()

    async def _check(self, instance: int) -> None:
        """Ask for readiness again and again, over a connection of its own each time."""
        while True:
            ready = False
            with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
                async with asyncio.timeout(_CHECK_TIMEOUT_SECONDS):
                    reader, writer = await asyncio.open_connection("127.0.0.1", instance)
                    with contextlib.closing(writer):  # also when the proxy stops amid a check, or it takes too long
                        writer.write(_CHECK)
                        ready = b" 200 " in await reader.readline()
            (self.ready.add if ready else self.ready.discard)(instance)
            await asyncio.sleep(_CHECK_SECONDS)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Connect the client to an instance that accepts it, and copy bytes both ways until one side closes."""
        # Cancelled when the proxy stops: asyncio of Python 3.11 would report that as an error.
        with contextlib.suppress(asyncio.CancelledError):
            connection = await self._connected()
            if connection is None:
                self.refused += 1
            else:
                await _exchange((reader, writer), connection)
        writer.close()

    async def _connected(self) -> Connection | None:
        """Connect to the next instance that is ready and accepts; None if none does."""
        turn = next(self._turns)
        for place in range(len(self._instances)):
            instance = self._instances[(turn + place) % len(self._instances)]
            if instance in self.ready:
                with contextlib.suppress(OSError):
                    return await asyncio.open_connection("127.0.0.1", instance)
        return None


async def _exchange(client: Connection, instance: Connection) -> None:
    copies = [asyncio.ensure_future(_copy(*way)) for way in ((client[0], instance[1]), (instance[0], client[1]))]
    try:
        await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for copy in copies:
            copy.cancel()
        await asyncio.gather(*copies, return_exceptions=True)
        instance[1].close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while part := await reader.read(_PART_BYTES):
            writer.write(part)
            await writer.drain()
