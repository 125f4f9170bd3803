"""Rolling restarts: two instances behind a proxy that checks their health are restarted in turn, under load."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Self

from benchmarks.contenders import free_ports
from benchmarks.digits import Released, digits
from benchmarks.processes import start
from benchmarks.stress.answers import own_questions
from benchmarks.stress.claims import Claim
from benchmarks.stress.clients import Clients
from benchmarks.stress.proxy import Proxy
from benchmarks.stress.running import wait_until

_CONNECTIONS = 16
# Longer than the proxy takes to notice, and many times what a client needs to send its next request.
_DRAIN_SECONDS = 1.5
_STOP_SECONDS = 30.0


def rolling_restarts(folder: Path, count: int) -> Iterator[Claim]:
    """Restart two instances alternately, `count` times in all; each restart waits until both are ready."""
    released = Released(folder)
    golden = released.publish()
    ports = free_ports(2)
    proxy, codes, longest = Proxy(ports), [], 0.0
    with ExitStack() as stack:
        instances = [stack.enter_context(Instance(released, port)) for port in ports]
        port = stack.enter_context(proxy.running())
        wait_until(lambda: proxy.ready == set(ports))
        clients = Clients(port, own_questions(golden, _CONNECTIONS))
        with clients.asking():
            for restart in range(count):
                started = time.monotonic()
                codes.append(instances[restart % len(instances)].restart())
                wait_until(lambda: proxy.ready == set(ports))
                longest = max(longest, time.monotonic() - started)
    text = f"{count} rolling restarts of two instances behind a proxy: failed or wrong"
    yield Claim(text, f"{clients.account}, a restart took at most {longest:.1f} s", not clients.failures)
    yield Claim("each instance ended with 0", ", ".join(map(str, sorted(set(codes)))), set(codes) == {0})


class Instance:
    """One instance of the service with one worker, on a port that it keeps; a context manager.

    `Server` is not used here: it ends every process started after it, and so would end the other instance too.
    """

    def __init__(self, released: Released, port: int) -> None:
        service = digits(released, ())
        environment = {
            **service.environment,
            "DIGITS_PORT": str(port),
            "DIGITS_WORKERS": "1",
            "DIGITS_DRAIN_SECONDS": str(_DRAIN_SECONDS),
        }
        self._start = partial(start, service.command, environment, released.folder / f"{port}.log", service.folder)
        self._process = self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def restart(self) -> int:
        """Stop it as an operator would and start it again; give its exit code."""
        self._process.terminate()
        code = self._process.wait(_STOP_SECONDS)
        self._process = self._start()
        return code
