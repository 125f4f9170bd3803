"""A client that sends bulk in a loop, and what single images notice of it."""

from collections.abc import Iterator

import numpy as np

from benchmarks.requests import Request, json_bulk, json_grids, octet_image, octets
from benchmarks.stress.claims import Claim
from benchmarks.stress.clients import Clients
from benchmarks.stress.running import Running

_ROWS = 10_000
_JSON_ROWS = 2_000  # 8 MB, half of what a body may have
_SECONDS = 5.0
# The kernel gives each to one of the workers at random: of two, one in 256 runs has none on the worker with the bulk.
_SINGLES = 8


def bulk(running: Running) -> Iterator[Claim]:
    """Ask for single images alone, then beside bodies of thousands of rows, of each kind."""
    row = running.golden.pixels[0]
    alone = Clients(running.port, (octet_image(row),), _SINGLES).ask_for(_SECONDS)
    few = [row] * _JSON_ROWS
    for heavy in (octets(np.tile(row, (_ROWS, 1))), json_bulk(few), json_grids(few)):
        yield from _beside(running, alone, heavy)


def _beside(running: Running, alone: Clients, request: Request) -> Iterator[Claim]:
    heavy = Clients(running.port, (request,), 1)
    with heavy.asking():
        beside = Clients(running.port, alone.requests, _SINGLES).ask_for(2 * _SECONDS)
    yield Claim(
        f"singles' p99 beside {request.load}, at most three times that without",
        f"{beside.p99_ms():.1f} / {alone.p99_ms():.1f} ms, {len(heavy.seconds)} bulk answers",
        beside.p99_ms() <= 3 * alone.p99_ms(),
    )
    yield Claim("failed among both", f"{heavy.account}, {beside.account}", not heavy.failures + beside.failures)
